"""What one customer costs: rules alone, what they read, and the whole assessment, by plain functions and by queries.

`python -m benchmarks.rules.single` makes a customer with stored transactions, assesses it by rulesets that ship, and
names what has no plain form. Processor time, medians; both ways say the same, which is compared first.
"""

import argparse
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from statistics import median
from typing import Any
from unittest.mock import patch

import numpy as np
import polars as pl
from polars.testing import assert_frame_equal

from fivefold.domain.clock import DAY_US, to_microseconds
from fivefold.domain.money import base_only
from fivefold.features.stored import stored_histories
from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.engine.assess import assess, timed_entities
from fivefold.risk.engine.next_change import next_changes
from fivefold.risk.engine.outcomes import assess_columns, assess_inputs
from fivefold.risk.engine.single.rules import single_program
from fivefold.risk.facts.inputs import Needs, resolve
from fivefold.risk.facts.moments import next_moments
from fivefold.risk.facts.portfolio import ENTITY, Portfolio, members_at
from fivefold.risk.facts.resolution import lazy_sources, resolve_inputs
from fivefold.risk.facts.single.moments import moment_plan_for
from fivefold.risk.facts.single.plans import plan_for
from fivefold.risk.facts.value_inputs import indicator_frame
from fivefold.risk.language.expressions import input_key
from fivefold.usecases.portfolio_files.bundled import bundled_lists, bundled_ruleset

NOW = to_microseconds(datetime(2026, 11, 20, tzinfo=UTC))
RULESETS = ("fatf-retail", "eu-bank-weighted")
FIELDS: dict[str, Any] = {
    "kind": "person",
    "country": "DE",
    "occupation": "nurse",
    "onboarding": "video",
    "funds_verified": True,
    "declared_turnover": 3_000.0,
    "last_review": "2026-02-01",
    "resident": True,
    "industry": "retail",
    "ownership_layers": 0.0,
    "nominee_shareholders": False,
    "expected_turnover": 3_000.0,
}
LISTS = {"products": ["prepaid-card"], "declared_purposes": ["salary", "rent"]}


def customer(transactions: int) -> Portfolio:
    """Make a customer as the platform reads one from its database."""
    random = np.random.default_rng(1)

    def words(*some: str) -> list[str]:
        return [str(one) for one in random.choice(some, transactions)]

    rows = pl.DataFrame(
        {
            ENTITY: ["1"] * transactions,
            "transaction_id": [f"t{number}" for number in range(transactions)],
            "time": np.sort(NOW - random.integers(0, 400 * DAY_US, transactions)),
            "amount": np.round(random.normal(200, 900, transactions), 2),
            "currency": ["EUR"] * transactions,
            "state": pl.Series([None] * transactions, dtype=pl.String),
            "operation": words("cash", "card", "transfer"),
            "purpose": words("salary", "rent", "food"),
            "counterparty_id": words(*(f"p{number}" for number in range(30))),
            "counterparty_country": words("DE", "FR", "NO", "US"),
            "transfer_information": words("complete", "incomplete"),
            "counterparty_wallet": words("hosted", "self-hosted"),
        }
    )
    stored = rows.select(
        pl.col(ENTITY).cast(pl.Int64).alias("entity"),
        "transaction_id",
        "amount",
        "currency",
        "state",
        at_us="time",
        balance=pl.lit(None, pl.Float64),
        category=pl.lit("WEB"),
        account_created_us=pl.lit(NOW - 800 * DAY_US),
    )
    rates = base_only("EUR", date(2026, 7, 1))
    histories = stored_histories(stored, rates)
    record = {ENTITY: pl.String, **dict.fromkeys(("opened", "closed"), pl.Datetime("us"))}
    no_cases = pl.DataFrame(schema={**record, "outcome": pl.String, "status": pl.String})
    looked_for = ["sanctions", "pep", "adverse-media"]
    return Portfolio(
        pl.DataFrame({ENTITY: ["1"], **{name: [value] for name, value in (FIELDS | LISTS).items()}}),
        rates,
        transactions=rows,
        cases=no_cases,
        alerts=no_cases,
        tags=pl.DataFrame(schema={ENTITY: pl.String, "tag": pl.String}),
        screenings=pl.DataFrame(
            {ENTITY: ["1"] * 3, "screening": looked_for, "found": [False] * 3, "at": [datetime(2026, 1, 1)] * 3}  # noqa: DTZ001 (UTC)
        ),
        indicators=indicator_frame(histories, NOW),
        histories=histories,
        lists={named.name: named for named in bundled_lists().values()},
        stored=True,
    )


def by_columns(analysed: AnalysedRuleset, portfolio: Portfolio) -> pl.DataFrame:
    """Assess by queries, however few customers there are."""
    with (
        patch("fivefold.risk.engine.assess.resolve_inputs", _resolve_columns),
        patch("fivefold.risk.engine.assess.assess_inputs", assess_columns),
    ):
        return assess(analysed, portfolio, NOW).outcomes


def with_time_by_columns(analysed: AnalysedRuleset, portfolio: Portfolio) -> pl.DataFrame:
    """Assess by plain functions, and find by queries when time alone may change it."""
    with patch("fivefold.risk.engine.assess.moments_ahead", next_moments):
        return next_changes(assess(analysed, portfolio, NOW, ahead=True))


def _resolve_columns(needs: Needs, portfolio: Portfolio, sources: Any, lists: Any, entities: Any) -> pl.DataFrame:
    return resolve(needs, portfolio, sources(), lists, entities)


def milliseconds(job: Callable[[], object], rounds: int) -> float:
    """Give the median processor time of a job, after one that warms up."""
    job()
    times = []
    for _ in range(rounds):
        began = time.process_time()
        job()
        times.append((time.process_time() - began) * 1000)
    return median(times)


def lines(name: str, portfolio: Portfolio, rounds: int) -> list[str]:
    """Measure one ruleset; the lines of the table, and what has no plain form."""
    analysed = AnalysedRuleset(bundled_ruleset(name))
    assessments = assess(analysed, portfolio, NOW)
    assert_frame_equal(assessments.outcomes, by_columns(analysed, portfolio))
    found_plainly = next_changes(assess(analysed, portfolio, NOW, ahead=True))
    assert_frame_equal(found_plainly, with_time_by_columns(analysed, portfolio))
    program, row = assessments.program, assessments.inputs.row(0, named=True)
    single, needs, entities = single_program(program), Needs.of(analysed), timed_entities(portfolio, NOW)
    versions = members_at(portfolio.lists, analysed.lists, NOW)
    lists = {each: version.members for each, version in versions.items()}
    plan = plan_for(needs, tuple(sorted(lists.items())), portfolio.rates.base)

    def read(how: Any) -> object:
        return how(needs, portfolio, lazy_sources(needs, portfolio), lists, entities)

    def with_time() -> object:
        return next_changes(assess(analysed, portfolio, NOW, ahead=True))

    jobs: dict[str, tuple[Callable[[], object], Callable[[], object] | None]] = {
        "rules alone, from values": (lambda: single.run(row), lambda: program.run(assessments.inputs)),
        "with the level over time, as a frame": (
            lambda: assess_inputs(program, assessments.inputs),
            lambda: assess_columns(program, assessments.inputs),
        ),
        "what the rules read": (lambda: read(resolve_inputs), lambda: read(_resolve_columns)),
        "`assess`": (lambda: assess(analysed, portfolio, NOW), lambda: by_columns(analysed, portfolio)),
        "`assess`, and when time changes it": (with_time, lambda: with_time_by_columns(analysed, portfolio)),
    }
    rows = []
    for job, (plain, columns) in jobs.items():
        by_columns_ms = "" if columns is None else f"{milliseconds(columns, rounds):.2f}"
        rows.append(f"| `{name}`: {job} | {milliseconds(plain, rounds):.3f} | {by_columns_ms} |")
    ahead = moment_plan_for(analysed, tuple(sorted(lists.items())), portfolio.rates.base)
    left = [*single.batch_only, *map(input_key, plan.batch_only), *(f"when changes {each}" for each in ahead.left)]
    return [*rows, f"| `{name}`: without a plain form | {len(left)} {' '.join(left)} | |"]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--transactions", type=int, default=100)
    options = parser.parse_args()
    portfolio = customer(options.transactions)
    print("| milliseconds of the processor | plain functions | queries |\n|---|---|---|")
    for name in RULESETS:
        print("\n".join(lines(name, portfolio, options.rounds)))


if __name__ == "__main__":
    main()
