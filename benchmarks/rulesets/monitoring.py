"""`transaction-monitoring` judged on payments: nothing is tuned, labels are read for the figure alone.

`python -m benchmarks.rulesets.monitoring --data <folder of data sets>` prints the table of docs/results-rules.md for
AMLGentex; `--set` names another data set. None of them is in this repository. AMLSim's are of
https://github.com/IBM/AMLSim, beneath the folder `amlsim` of the data sets: the samples that its authors made
(`sample/*.tgz`, unpacked), and as `10K` the tables that a run of it leaves with its own `conf.json` and the parameters
`paramFiles/10K`.
"""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path

import polars as pl

from benchmarks.rulesets.data import read_trial
from fivefold.domain.clock import to_microseconds
from fivefold.domain.money import base_only
from fivefold.features.schema import AMOUNT, CURRENCY, DATE, STATE, USER_ID
from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.engine.assess import assess
from fivefold.risk.engine.assessments import Assessments
from fivefold.risk.engine.program import TOTAL
from fivefold.risk.facts.peers import made_reference
from fivefold.risk.facts.portfolio import ENTITY, ListVersion, NamedList, Portfolio
from fivefold.risk.governance.validate.ranking import ConfidenceInterval, Marks, rank
from fivefold.usecases.portfolio_files.bundled import bundled_ruleset
from fivefold.usecases.portfolio_files.reference import peer_numbers, peers_wanted

COUNTERPARTY = "counterparty_id"
PAYER, PAYEE = "payer", "payee"


@dataclass(frozen=True)
class Payments:
    """Customers, their payments, and who was found to launder.

    Attributes:
        source: the name of the data set.
        portfolio: customers and payments.
        as_of: microseconds, the end of the data: the moment at which everyone is assessed, and that peers are of.
        confirmed: n marks.
    """

    source: str
    portfolio: Portfolio
    as_of: int
    confirmed: Marks


def amlgentex(data: Path) -> Payments:
    """Read AMLGentex, assessed at the end of its one year."""
    trial = read_trial("amlgentex", data)
    return Payments("AMLGentex", trial.judging, int(trial.judging_as_of[0]), trial.confirmed)


def amlsim_sample(name: str, data: Path) -> Payments:
    """Read one of AMLSim's samples, where a step is a day."""
    folder = data / "amlsim" / name
    nodes = pl.read_csv(folder / "nodes.csv").sort("nodeid")
    start = datetime(2018, 1, 1)  # noqa: DTZ001 (a day without a zone, as the files of banks have them)
    moved = pl.read_csv(folder / "transactions.csv").select(
        pl.col("sourceNodeId").alias(PAYER),
        pl.col("targetNodeId").alias(PAYEE),
        pl.col("value").alias(AMOUNT),
        (pl.lit(start) + pl.duration(days=pl.col("time"))).alias(DATE),
    )
    return _amlsim(moved, nodes["nodeid"], nodes["isFraud"] == 1)


def amlsim_run(name: str, since: date, data: Path, *, active: bool = False) -> Payments:
    """Read what a run of AMLSim left, and as confirmed the accounts of which it filed a report since a day.

    Two thirds of its accounts pay and are paid nothing in the last year; with *active* they are left out.
    """
    folder = data / "amlsim" / name
    accounts = pl.read_csv(folder / "accounts.csv")["acct_id"].sort()
    reports = pl.read_csv(folder / "sar_accounts.csv").filter(
        pl.col("IS_SAR") == "YES",
        pl.col("EVENT_DATE").cast(pl.String).str.to_date("%Y%m%d") >= since,
    )
    moved = pl.read_csv(folder / "transactions.csv").select(
        pl.col("orig_acct").alias(PAYER),
        pl.col("bene_acct").alias(PAYEE),
        pl.col("base_amt").alias(AMOUNT),
        pl.col("tran_timestamp").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="us").alias(DATE),
    )
    if active:
        busy = moved.filter(pl.col(DATE).dt.date() >= since)
        accounts = accounts.filter(accounts.is_in(pl.concat([busy[PAYER], busy[PAYEE]]).unique().to_list()))
    return _amlsim(moved, accounts, accounts.is_in(reports["ACCOUNT_ID"].unique().to_list()))


def _amlsim(moved: pl.DataFrame, accounts: pl.Series, confirmed: pl.Series) -> Payments:
    last = moved[DATE].cast(pl.Datetime("us")).dt.date().max()
    if not isinstance(last, date):
        raise TypeError("the file of transactions has no row with a day")
    end = datetime(last.year, last.month, last.day, tzinfo=UTC) + timedelta(days=1)
    entities = pl.DataFrame({ENTITY: accounts.cast(pl.String)})
    portfolio = Portfolio(entities, base_only("USD", last), transactions=both_sides(moved))
    return Payments("AMLSim", portfolio, to_microseconds(end) - 1, confirmed.to_numpy())


def both_sides(moved: pl.DataFrame) -> pl.DataFrame:
    """Give each payment twice: as a withdrawal of the payer, and as a deposit of the payee."""
    return pl.concat(
        moved.select(
            pl.col(own).cast(pl.String).alias(USER_ID),
            pl.col(other).cast(pl.String).alias(COUNTERPARTY),
            (pl.col(AMOUNT).cast(pl.Float64) * sign).alias(AMOUNT),
            pl.col(DATE).cast(pl.Datetime("us")),
            pl.lit("USD").alias(CURRENCY),
            pl.lit("COMPLETED").alias(STATE),
        )
        for own, other, sign in ((PAYER, PAYEE, -1), (PAYEE, PAYER, 1))
    )


LAST_YEAR = date(2017, 12, 22)
"""Where the year begins that ends with the last of the run's 720 days."""

SAMPLES = ("20K_fanin200cycle200", "20K_fanin200", "20K_cycle200")

SETS: Mapping[str, Callable[[Path], Payments]] = {
    "amlgentex": amlgentex,
    **{name: partial(amlsim_sample, name) for name in SAMPLES},
    "10K": partial(amlsim_run, "10K", LAST_YEAR),
    "10K-active": partial(amlsim_run, "10K", LAST_YEAR, active=True),
    "10K-two-years": partial(amlsim_run, "10K", date(2017, 1, 1)),
}


def main() -> None:
    """Judge the ruleset on one data set and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds the data sets")
    parser.add_argument("--set", choices=tuple(SETS), default="amlgentex", help="the data set to judge it on")
    arguments = parser.parse_args()
    print(judged(SETS[arguments.set](arguments.data)))


def judged(payments: Payments) -> str:
    """Give the table: the whole ruleset, and each rule's own number, as they rank everyone; and the levels."""
    ruleset = AnalysedRuleset(bundled_ruleset("transaction-monitoring"))
    assessments = assessed(ruleset, payments)
    lines = ["| score | Gini |", "| --- | --- |"]
    lines.append(
        f"| **the ruleset** | {_words(rank(assessments.outcomes[TOTAL].to_numpy(), payments.confirmed).gini)} |"
    )
    keys = zip(ruleset.ruleset.rules, assessments.program.inputs, strict=True)
    for rule, key in keys:
        places = assessments.inputs[key].fill_null(0).to_numpy()
        lines.append(f"| `{rule.id}` alone | {_words(rank(places, payments.confirmed).gini)} |")
    shares = assessments.outcomes.group_by("level").len().sort("level")
    named = shares.with_columns(share=pl.col("len") / len(assessments) * 100)
    rows = [f"{ruleset.ruleset.levels[level - 1]} {share:.1f} %" for level, _, share in named.iter_rows()]
    return "\n".join([*lines, "", f"Levels: {', '.join(rows)}"])


def assessed(ruleset: AnalysedRuleset, payments: Payments) -> Assessments:
    """Assess everyone among the peers of the data set itself; nothing of it reads a label."""
    wanted, portfolio = peers_wanted(ruleset), payments.portfolio
    numbers = peer_numbers(ruleset, wanted, portfolio, payments.as_of)
    reference = made_reference(wanted, numbers, payments.as_of, portfolio.rates.base)
    name = str(ruleset.definition.reference)
    versions = (ListVersion(since=payments.as_of, members=reference.lines()),)
    peers = NamedList(name=name, title="Peers", source=payments.source, versions=versions)
    return assess(ruleset, replace(portfolio, lists={name: peers}), payments.as_of)


def _words(gini: ConfidenceInterval) -> str:
    return f"{gini.estimate:.3f} ({gini.low:.3f} to {gini.high:.3f})"


if __name__ == "__main__":
    main()
