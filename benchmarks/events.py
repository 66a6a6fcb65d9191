"""What one event costs, by how many transactions of its customer are stored: from the call to the level.

`python -m benchmarks.events` makes customers with 100, 1,000, 10,000 and 100,000 transactions in a database of its
own, SQLite in a file, and lets each of the rulesets that ship decide about them in turn. Then one transaction arrives
for each customer, in turns: it is stored and marked, claimed, read, assessed and written. Processor time of the
program, medians, and how many times that of the customer with the fewest. `--postgresql` takes a server of its own,
and counts the server's processor time too. `--steps RULESET` tells of one ruleset where the time goes instead.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from pkgutil import resolve_name
from statistics import median
from typing import Any
from unittest.mock import patch

import numpy as np
from sqlalchemy import Engine

from benchmarks.platform.data import PART, activate, postgresql
from benchmarks.platform.run import clocked
from benchmarks.rules.single import FIELDS, LISTS
from fivefold.store.sql.database import open_database, upgrade, writing
from fivefold.usecases.accounts.entity_types import define_type
from fivefold.usecases.accounts.lists import put_list_in
from fivefold.usecases.accounts.organisations import actor_in_new
from fivefold.usecases.accounts.settings import choose_levels
from fivefold.usecases.ingest.entities import put_entities
from fivefold.usecases.ingest.transactions import add_transactions
from fivefold.usecases.levels.worker import run_batch
from fivefold.usecases.portfolio_files.bundled import bundled_lists, bundled_ruleset
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.entity_checks import EntityRow

RULESETS = ("fatf-retail", "eu-bank-weighted")
SIZES = (100, 1_000, 10_000, 100_000)
WARM_UP = 2
"""Events of each customer that are not counted; what is made once for a customer is made in the first."""

STEPS = {
    "the transaction is checked, stored and marked": f"{__name__}:add_transactions",
    "transactions are read": "fivefold.usecases.levels.assess:transactions_for",
    "they are laid out, indicators computed, other facts read": "fivefold.usecases.levels.assess:read_stored_portfolio",
    "what the rules read": "fivefold.risk.engine.assess:resolve_inputs",
    "when time alone changes it": "fivefold.risk.engine.assess:moments_ahead",
}
"""Functions of an event, none of which calls another one of them."""
WHOLE = "together"


@dataclass(frozen=True)
class Measured:
    """What an event of a customer with so many transactions took, in milliseconds, by its rounds."""

    stored: int
    milliseconds: Sequence[float]

    @property
    def middle(self) -> float:
        """The median."""
        return median(self.milliseconds)


def transactions(name: str, count: int, days: float, first: int = 0) -> Iterator[dict[str, Any]]:
    """Make transactions of one customer, spread evenly over the last *days*."""
    random = np.random.default_rng(count + first)
    now = datetime.now(UTC).replace(microsecond=0)
    for number in range(count):
        yield {
            "transaction_id": f"{name}-{first + number}",
            "user_id": name,
            "transaction_amount": round(float(random.normal(200, 900)), 2),
            "transaction_currency": "EUR",
            "transaction_date": (now - timedelta(days=days * (1 - number / count))).isoformat(),
            "user_balance": 500.0,
            "user_created": "2020-01-01",
            "user_category": "WEB",
            "operation": str(random.choice(["cash", "card", "transfer"])),
            "purpose": str(random.choice(["salary", "rent", "food"])),
            "counterparty_id": f"p{random.integers(0, 30)}",
            "counterparty_country": str(random.choice(["DE", "FR", "NO", "US"])),
        }


@contextmanager
def sqlite() -> Iterator[Engine]:
    """Make a database in a file."""
    with tempfile.TemporaryDirectory() as folder:
        engine = open_database(f"sqlite:///{Path(folder) / 'events.db'}")
        upgrade(engine)
        try:
            yield engine
        finally:
            engine.dispose()


def prepared(engine: Engine, ruleset_name: str, sizes: Sequence[int], days: float) -> Context:
    """Store the customers, with everything that the ruleset reads, and let it decide."""
    ruleset = bundled_ruleset(ruleset_name)
    written = json.loads(ruleset.canonical)
    context = Context(engine, actor_in_new(engine, f"measured by {ruleset_name}", "cli:benchmark"))
    choose_levels(context, written["levels"])
    define_type(context, written["entity_type"], written["fields"], written["transaction_fields"])
    with writing(engine) as session:
        for named in bundled_lists().values():
            put_list_in(session, context, named, context.now(), marks=False)
    activate(engine, context.actor, ruleset.canonical)
    declarations = FIELDS | LISTS
    fields = {name: value for name, value in declarations.items() if name in written["fields"]}
    put_entities(context, written["entity_type"], [EntityRow(f"c{size}", fields) for size in sizes])
    for size in sizes:
        rows = list(transactions(f"c{size}", size, days))
        for begin in range(0, size, PART):
            add_transactions(context, rows[begin : begin + PART], written["entity_type"])
    while run_batch(engine) is not None:
        pass
    return context


def measure(
    engine: Engine,
    context: Context,
    sizes: Sequence[int],
    rounds: int,
    *,
    server: bool,
    first: int = 0,
    warm_up: int = WARM_UP,
) -> list[Measured]:
    """Let one transaction arrive for each customer in turn, and wait for its level; their numbers begin at *first*."""
    milliseconds: dict[int, list[float]] = {size: [] for size in sizes}
    for number in range(first, first + warm_up + rounds):
        for size in sizes:
            (row,) = transactions(f"c{size}", 1, 0.0, first=size + number)

            def event(row: dict[str, Any] = row) -> None:
                add_transactions(context, [row])
                assert run_batch(engine) is not None

            took = clocked(event, engine if server else None)
            if number >= first + warm_up:
                milliseconds[size].append(1e3 * took[1])
    return [Measured(size, times) for size, times in milliseconds.items()]


def steps(engine: Engine, context: Context, sizes: Sequence[int], rounds: int) -> Iterator[str]:
    """Let events happen in turn as `measure` does; write a line of the table for each step, and for all of them."""
    times_by_step: dict[tuple[str, int], list[float]] = {}
    for number in range(WARM_UP + rounds):
        for size in sizes:
            seconds = dict.fromkeys(STEPS, 0.0)
            with ExitStack() as patched:
                for step, place in STEPS.items():
                    timed = _timed(resolve_name(place), seconds, step)
                    patched.enter_context(patch(place.replace(":", "."), timed))
                (measured,) = measure(engine, context, [size], 1, server=False, first=number, warm_up=0)
            for step, took in {**{step: 1e3 * took for step, took in seconds.items()}, WHOLE: measured.middle}.items():
                times_by_step.setdefault((step, size), []).extend([took] if number >= WARM_UP else [])
    for step in (*STEPS, WHOLE):
        yield f"| {step} | {' | '.join(f'{median(times_by_step[step, size]):.1f}' for size in sizes)} |"


def _timed(function: Callable[..., Any], seconds: dict[str, float], step: str) -> Callable[..., Any]:
    def timed(*arguments: Any, **options: Any) -> Any:
        began = time.process_time()
        try:
            return function(*arguments, **options)
        finally:
            seconds[step] += time.process_time() - began

    return timed


def lines(ruleset_name: str, measured: Sequence[Measured]) -> Iterator[str]:
    """Write one line of the table for each customer."""
    first = measured[0].middle
    for each in measured:
        yield (
            f"| `{ruleset_name}` | {each.stored:,} | {each.middle:.1f} | {min(each.milliseconds):.1f} to "
            f"{max(each.milliseconds):.1f} | {each.middle / first:.2f} |"
        )


def main() -> None:
    """Measure, and print a table in Markdown."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=15)
    arguments.add_argument("--years", type=float, default=5.0, help="over which the transactions are spread")
    arguments.add_argument("--sizes", type=int, nargs="+", default=[*SIZES])
    arguments.add_argument("--postgresql", action="store_true")
    arguments.add_argument("--steps", choices=RULESETS, help="of which ruleset to tell where the time goes")
    options = arguments.parse_args()
    before = os.getloadavg()[0]
    if options.steps is not None:
        with sqlite() as engine:
            context = prepared(engine, options.steps, options.sizes, 365.25 * options.years)
            table = [f"| step | {' | '.join(f'{size:,} stored, ms' for size in options.sizes)} |"]
            table += ["|---|" + "---:|" * len(options.sizes), *steps(engine, context, options.sizes, options.rounds)]
        sys.stdout.write("\n".join([*table, f"load {before:.1f} before, {os.getloadavg()[0]:.1f} after", ""]))
        return
    page_lines: list[str] = []
    for ruleset_name in RULESETS:
        with postgresql() if options.postgresql else sqlite() as engine:
            context = prepared(engine, ruleset_name, options.sizes, 365.25 * options.years)
            page_lines += lines(
                ruleset_name, measure(engine, context, options.sizes, options.rounds, server=options.postgresql)
            )
    head = ("| ruleset | stored | ms of the processor | least to most | ratio |", "|---|---:|---:|---:|---:|")
    sys.stdout.write("\n".join([*head, *page_lines, f"load {before:.1f} before, {os.getloadavg()[0]:.1f} after", ""]))


if __name__ == "__main__":
    main()
