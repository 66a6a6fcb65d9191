"""The data sets that `transaction-monitoring` is judged on, with nothing tuned on any of them.

AMLSim's samples are three small banks that its authors drew: `sample/*.tgz` of https://github.com/IBM/AMLSim, each to be
unpacked into the folder `amlsim` of the data sets. None of it is in this repository.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path

import polars as pl

from benchmarks.rulesets.data import read_trial
from fivefold.domain.clock import to_microseconds
from fivefold.domain.money import base_only
from fivefold.features.schema import AMOUNT, CURRENCY, DATE, STATE, USER_ID
from fivefold.risk.facts.portfolio import ENTITY, Portfolio
from fivefold.risk.governance.validate.ranking import Marks


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


def amlsim(sample: str, data: Path) -> Payments:
    """Read a sample of AMLSim, where a step is a day, assessed at the end of the last one."""
    folder = data / "amlsim" / sample
    nodes = pl.read_csv(folder / "nodes.csv", schema_overrides={"nodeid": pl.String}).sort("nodeid")
    moved = pl.read_csv(
        folder / "transactions.csv", schema_overrides={"sourceNodeId": pl.String, "targetNodeId": pl.String}
    )
    first = datetime(2018, 1, 1, tzinfo=UTC)
    as_of = to_microseconds(first) + (int(moved["time"].max()) + 1) * DAY_US - 1
    portfolio = Portfolio(
        nodes.select(pl.col("nodeid").alias(ENTITY)),
        base_only("USD", date(2018, 12, 31)),
        transactions=both_sides(moved, first),
    )
    confirmed = nodes["isFraud"].cast(pl.String).str.to_lowercase().is_in(["1", "true"]).to_numpy()
    return Payments("AMLSim", portfolio, as_of, confirmed)


DAY_US = 86_400_000_000


def both_sides(moved: pl.DataFrame, first: datetime) -> pl.DataFrame:
    """Give each payment twice: a withdrawal of the payer, and a deposit of the payee."""
    when = pl.lit(first.replace(tzinfo=None)) + pl.duration(days=pl.col("time"))
    plain = {DATE: when, CURRENCY: pl.lit("USD"), STATE: pl.lit("COMPLETED")}
    sides = (("sourceNodeId", "targetNodeId", -1), ("targetNodeId", "sourceNodeId", 1))
    return pl.concat(
        moved.select(
            pl.col(own).alias(USER_ID),
            pl.col(other).alias("counterparty_id"),
            (pl.col("value").cast(pl.Float64) * sign).alias(AMOUNT),
            **plain,
        )
        for own, other, sign in sides
    )


AMLSIM_SAMPLES = ("20K_fanin200cycle200", "20K_fanin200", "20K_cycle200")

SETS: Mapping[str, Callable[[Path], Payments]] = {
    "amlgentex": amlgentex,
    **{sample: partial(amlsim, sample) for sample in AMLSIM_SAMPLES},
}
