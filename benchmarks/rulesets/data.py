"""The two data sets that rulesets are judged on, each with only what a ruleset may read there.

What a ruleset must not read is not handed over: no row, column or field of it is in the portfolio.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import lru_cache
from pathlib import Path

import polars as pl

from fivefold.domain.clock import to_microseconds
from fivefold.domain.money import base_only
from fivefold.features.schema import AMOUNT, CURRENCY, DATE, STATE, USER_ID
from fivefold.risk.facts.portfolio import AS_OF, ENTITY, Portfolio
from fivefold.risk.governance.validate.ranking import Marks

RULESETS = Path(__file__).parent
PLAIN = (USER_ID, AMOUNT, CURRENCY, DATE, STATE)
"""The columns of transactions that every ruleset may read."""


@dataclass(frozen=True)
class Trial:
    """Entities, what is known of them at two moments, and what became of them.

    Attributes:
        name: of the data set.
        ruleset: the file of the ruleset, as tuned on the first split.
        tuning: what rules are tuned on.
        judging: what they are judged on, the same entities in the same order.
        tuning_as_of: microseconds, for each entity.
        judging_as_of: the same for judging.
        confirmed: n marks.
        banned: names that no input may have.
        attributes: rules that read more than transactions, to be left out as a comparison.
        alone: the input that is to be beaten, by the rule that reads it.
        alone_sign: 1 where much of it means risk, -1 where little does.
    """

    name: str
    ruleset: Path
    tuning: Portfolio
    judging: Portfolio
    tuning_as_of: pl.Series
    judging_as_of: pl.Series
    confirmed: Marks
    banned: tuple[str, ...]
    attributes: tuple[str, ...]
    alone: str
    alone_sign: int

    def labels(self) -> pl.DataFrame:
        """Give the labels as `validate` reads them; neither data set says when they became known."""
        return self.judging.entities.select(ENTITY, confirmed=pl.Series(self.confirmed))


def part_of(portfolio: Portfolio, marks: Marks) -> Portfolio:
    """Keep the entities that *marks* names, one mark for each."""
    return replace(portfolio, entities=portfolio.entities.filter(pl.Series(marks)))


def transfers(rows: pl.DataFrame) -> pl.DataFrame:
    """Keep the transfers between customers, and of them who, with whom, when and how much.

    `met_before` tells whether an earlier transfer, in either direction, was with the same counterparty, as a bank that
    asks for a new payee's confirmation knows.
    """
    between = rows.filter(pl.col("counterparty_kind") == "account").select(*PLAIN, "counterparty_id")
    first = pl.col(DATE).min().over(USER_ID, "counterparty_id")
    return between.with_columns(met_before=pl.col(DATE) > first)


AMLGENTEX_BANNED = ("transactions", "user_balance", "user_category", "channel", "counterparty_kind")
"""The simulator gives the label away in them: total counts, balance, cash, external payments."""


def amlgentex(folder: Path) -> Trial:
    """Read AMLGentex: transfers between customers and salary; tuned as of the half year, judged as of its end."""
    customers = pl.read_parquet(folder / "customers.parquet").sort(USER_ID)
    entities = customers.select(pl.col(USER_ID).alias(ENTITY), "salary")
    rows = transfers(pl.read_parquet(folder / "transactions.parquet"))
    portfolio = Portfolio(entities, base_only("SEK", date(2023, 12, 31)), transactions=rows)
    middle, end = (
        pl.repeat(to_microseconds(moment) - 1, len(entities), dtype=pl.Int64, eager=True)
        for moment in (datetime(2023, 7, 1, tzinfo=UTC), datetime(2024, 1, 1, tzinfo=UTC))
    )
    confirmed = customers["confirmed_suspicious"].to_numpy()
    return Trial(
        "amlgentex",
        RULESETS / "amlgentex.yaml",
        portfolio,
        portfolio,
        middle,
        end,
        confirmed,
        AMLGENTEX_BANNED,
        ("flow-to-salary",),
        "counterparties",
        1,
    )


BERKA_BANNED = ("status", "status_text", "bad", "user_category")
"""What became of the loan; and a column that the data set's maker invented."""

LOAN_TERMS = ("payments",)
"""What is agreed on the day of the loan: what is to be paid each month."""


def berka(folder: Path) -> Trial:
    """Read Berka: transactions before the day of the loan, and its terms; every loan has its own as-of."""
    loans = pl.read_parquet(folder / "loans.parquet").sort(USER_ID)
    entities = loans.select(pl.col(USER_ID).alias(ENTITY), *LOAN_TERMS)
    columns = [*PLAIN, "user_balance", "operation", "k_symbol"]
    rows = pl.read_parquet(folder / "transactions.parquet", columns=columns)
    days = loans.select(USER_ID, day=pl.col("loan_date").cast(pl.Datetime("us")))
    before = rows.join(days, on=USER_ID).filter(pl.col(DATE) < pl.col("day")).drop("day")
    as_of = days["day"].cast(pl.Int64).rename(AS_OF) - 1
    portfolio = Portfolio(entities, base_only("CZK", date(1998, 12, 31)), transactions=before)
    return Trial(
        "berka",
        RULESETS / "berka-loans.yaml",
        portfolio,
        portfolio,
        as_of,
        as_of,
        loans["bad"].to_numpy(),
        BERKA_BANNED,
        ("loan-payment", "reserve-to-payment"),
        "lowest-balance",
        -1,
    )


TRIALS: Mapping[str, Callable[[Path], Trial]] = {"amlgentex": amlgentex, "berka": berka}


@lru_cache(maxsize=len(TRIALS))
def read_trial(name: str, data: Path) -> Trial:
    """Read a data set by its name from the folder that holds all of them."""
    return TRIALS[name](data / name)
