"""What it costs to tell when time alone may move a level, and how often a worker looks again because of it.

`python -m benchmarks.rules.moments --data FOLDER` takes customers of Berka (28 years later, so that today's lists are
in force) through a year, by rulesets that ship: each is assessed when a transaction comes, and when time was announced.
Without `--data` they are the customers of `fivefold sample`.
"""

import argparse
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl
from tqdm import tqdm

from fivefold.domain.clock import DAY_US, to_microseconds
from fivefold.domain.money import base_only, ecb_rates
from fivefold.features.indicator_matrix import catalogue, snapshots
from fivefold.features.reading.sources import read_histories
from fivefold.features.schema import CREATED, DATE, USER_ID
from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.engine.assess import assess
from fivefold.risk.engine.assessments import Assessments
from fivefold.risk.engine.time_changes import NEVER, next_by_time
from fivefold.risk.facts.portfolio import ENTITY, Portfolio
from fivefold.training.simulation.sample_portfolio import write_sample
from fivefold.usecases.portfolio_files.bundled import bundled_lists, bundled_ruleset

LATER = pl.duration(days=10_227)
"""28 years, in which the calendar comes round."""
BEGIN, END = (to_microseconds(datetime(year, 7, 1, tzinfo=UTC)) for year in (2025, 2026))
RULESETS = ("fatf-retail", "eu-bank-weighted")
INDICATORS = ("account_age", "regularity_365d")
"""Those that the rulesets read."""


def simulated(customers: int) -> Portfolio:
    """Give the persons of a sample portfolio, with the fields that `eu-bank-weighted` reads beside the sample's own."""
    with TemporaryDirectory() as folder:
        sample = write_sample(Path(folder), customers, end=datetime.fromtimestamp(END / 1e6, UTC).date())
        everyone, rows, screenings, tags, cases, alerts = map(pl.read_parquet, sample.paths)
    entities = everyone.filter(pl.col("kind") == "person").with_columns(
        resident=pl.lit(value=True),
        industry=pl.lit(None, pl.String),
        ownership_layers=pl.lit(0.0),
        nominee_shareholders=pl.lit(value=False),
        expected_turnover="declared_turnover",
    )
    rows = rows.filter(pl.col(USER_ID).is_in(entities[ENTITY].implode()))
    paid = entities[ENTITY].is_in(rows[USER_ID].implode())
    rates = ecb_rates("EUR", date(2026, 7, 1))
    own = ("operation", "purpose", "counterparty_id", "counterparty_country")
    return Portfolio(
        entities.filter(paid),
        rates,
        transactions=rows,
        histories=read_histories(rows.drop(own).sort(USER_ID, DATE), rates),
        screenings=screenings,
        tags=tags,
        cases=cases,
        alerts=alerts,
        lists={named.name: named for named in bundled_lists().values()},
    )


def read_portfolio(data: Path | None, customers: int) -> Portfolio:
    """Give customers of a data set, or simulated ones."""
    return simulated(customers) if data is None else of_berka(data, customers)


def of_berka(data: Path, customers: int) -> Portfolio:
    """Give customers of Berka with the fields that the rulesets read."""
    folder = data / "berka"
    accounts = pl.read_parquet(folder / "accounts.parquet").sort(USER_ID).sample(customers, seed=1)
    rows = pl.read_parquet(folder / "transactions.parquet").with_columns(pl.col(DATE, CREATED) + LATER)
    rows = rows.join(accounts.select(USER_ID), on=USER_ID, how="semi").with_columns(
        operation=pl.when(pl.col("operation").str.starts_with("cash"))
        .then(pl.lit("cash"))
        .otherwise(pl.lit("transfer")),
        purpose="k_symbol",
        counterparty_id="k_symbol",
        counterparty_country=pl.lit("CZ"),
    )
    before = rows.filter(pl.col(DATE).cast(pl.Int64) < BEGIN)
    monthly = before.group_by(USER_ID).agg(
        (pl.col("transaction_amount").abs().sum() / (pl.col(DATE).n_unique() / 5).clip(1)).alias("turnover"),
        pl.col("purpose").drop_nulls().unique().alias("purposes"),
    )
    accounts_by_month = accounts.select(USER_ID).join(monthly, on=USER_ID, how="left", maintain_order="left")
    random = np.random.default_rng(1)
    entities = accounts_by_month.select(
        pl.col(USER_ID).alias(ENTITY),
        kind=pl.lit("person"),
        country=pl.lit("CZ"),
        occupation=pl.lit(None, pl.String),
        onboarding=pl.lit("video"),
        products=pl.lit([], pl.List(pl.String)),
        funds_verified=pl.lit(None, pl.Boolean),
        declared_turnover="turnover",
        declared_purposes="purposes",
        last_review=pl.Series(BEGIN - random.integers(0, 1000, customers) * DAY_US).cast(pl.Datetime("us")),
        resident=pl.lit(value=True),
        industry=pl.lit(None, pl.String),
        ownership_layers=pl.lit(0.0),
        nominee_shareholders=pl.lit(value=False),
        expected_turnover="turnover",
    )
    screenings = pl.concat(
        entities.select(ENTITY, screening=pl.lit(word), found=pl.lit(value=False))
        for word in ("sanctions", "pep", "adverse-media")
    )
    rates = base_only("CZK", date(2026, 7, 1))
    own = ("operation", "purpose", "counterparty_id", "counterparty_country", "k_symbol")
    return Portfolio(
        entities,
        rates,
        transactions=rows,
        histories=read_histories(rows.drop(own).sort(USER_ID, DATE), rates),
        screenings=screenings,
        lists={named.name: named for named in bundled_lists().values()},
    )


@dataclass
class Year:
    """A year of a portfolio under one ruleset.

    Attributes:
        by_facts: assessments because a transaction came.
        by_time: of each customer, those because time was announced.
        inputs: by which input.
    """

    by_facts: int
    by_time: np.ndarray
    inputs: Counter[str]


def known_at(portfolio: Portfolio, at: Sequence[int]) -> Portfolio:
    """Give the portfolio with the indicators that the rulesets read, of each customer as of a moment of its own."""
    histories, names = portfolio.histories, portfolio.entities[ENTITY].to_list()
    assert histories is not None
    places = {name: place for place, name in enumerate(histories.user_ids.to_pylist())}
    rows = []
    for name, moment in zip(names, at, strict=True):
        place = places[name]
        snapshot = snapshots(histories.select(place, place + 1), np.array([moment]), wanted=INDICATORS)
        rows.append([snapshot.values[0, 0, number] for number in map(catalogue().names.index, INDICATORS)])
    columns = pl.DataFrame(rows, schema=dict.fromkeys(INDICATORS, pl.Float64), orient="row").fill_nan(None)
    indicators = portfolio.entities.select(ENTITY).hstack(columns)
    return replace(portfolio, indicators=indicators).with_empty_tables(("cases", "alerts", "tags"), ())


def year_of(analysed: AnalysedRuleset, portfolio: Portfolio) -> Year:
    """Take the customers through the year, each from one assessment to the next."""
    rows = portfolio.transactions
    assert isinstance(rows, pl.DataFrame)
    days = rows.group_by(USER_ID).agg(pl.col(DATE).cast(pl.Int64).unique().sort())
    events = dict(days.iter_rows())
    names = portfolio.entities[ENTITY].to_list()
    coming = [[at for at in events.get(name, []) if BEGIN < at < END] for name in names]
    year = Year(sum(map(len, coming)), np.zeros(len(names), np.int64), Counter())
    now = np.full(len(names), BEGIN)
    progress = tqdm(total=len(names) * (END - BEGIN) // DAY_US, desc=analysed.ruleset.name)
    while (live := np.flatnonzero(now < END)).size:
        part = replace(portfolio, entities=portfolio.entities[live])
        assessments = assess(analysed, known_at(part, now[live].tolist()), pl.Series(now[live]), ahead=True)
        facts = [next((at for at in coming[row] if at > now[row]), END) for row in live]
        moments = next_by_time(assessments, pl.Series(facts, dtype=pl.Int64)).to_numpy()
        by_time = moments < NEVER
        year.by_time[live[by_time]] += 1
        year.inputs.update(_named(assessments, moments, by_time))
        following = np.where(by_time, moments, facts)
        progress.update(int((following - now[live]).sum() // DAY_US))
        now[live] = following
    return year


def _named(assessments: Assessments, moments: np.ndarray, by_time: np.ndarray) -> list[str]:
    assert assessments.moments is not None
    names = []
    for row, moment in zip(assessments.moments.filter(by_time).iter_rows(named=True), moments[by_time], strict=True):
        names += [name for name, at in row.items() if at == moment][:1]
    return names


def cost(analysed: AnalysedRuleset, portfolio: Portfolio, rounds: int) -> tuple[float, float]:
    """Give the processor time of assessing everybody at once, without and with the moments of time; medians."""
    at = pl.Series(np.full(len(portfolio.entities), (BEGIN + END) // 2))
    portfolio_then = known_at(portfolio, at.to_list())
    seconds: dict[bool, list[float]] = {False: [], True: []}
    for number in range(rounds + 1):
        for ahead in (False, True):
            began = time.process_time()
            assessments = assess(analysed, portfolio_then, at, ahead=ahead)
            if ahead:
                next_by_time(assessments, pl.repeat(NEVER, len(at), dtype=pl.Int64, eager=True))
            if number:  # the first round warms up
                seconds[ahead].append(time.process_time() - began)
    return median(seconds[False]), median(seconds[True])


def main() -> None:
    """Print what it costs, and how often customers are looked at again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="the folder of the data sets; without it customers are simulated")
    parser.add_argument("--customers", type=int, default=4500, help="for what it costs")
    parser.add_argument("--year", type=int, default=300, help="customers that are taken through a year")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    for name in RULESETS:
        analysed = AnalysedRuleset(bundled_ruleset(name))
        portfolio = read_portfolio(options.data, options.customers)
        without, with_time = cost(analysed, portfolio, options.rounds)
        more = 100 * (with_time / without - 1)
        count = len(portfolio.entities)
        print(f"{name}: {count:,} customers {without:.2f} s, with time {with_time:.2f} s ({more:+.0f} %)")
        if options.year:
            year = year_of(analysed, read_portfolio(options.data, options.year))
            by_time, customers = year.by_time, len(year.by_time)
            print(
                f"  a customer and year: {year.by_facts / customers:.1f} by facts, {by_time.mean():.2f} by time", end=""
            )
            print(
                f" (median {np.median(by_time):.0f}, 95 of 100 {np.quantile(by_time, 0.95):.0f}, most {by_time.max()})"
            )
            for key, count in year.inputs.most_common():
                print(f"  {count / customers:8.2f}  {key}")


if __name__ == "__main__":
    main()
