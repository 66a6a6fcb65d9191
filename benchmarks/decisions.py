"""How long a decision takes, in process, one after another: on SQLite and on PostgreSQL, as a table in Markdown.

Run `python -m benchmarks.decisions --calls 1000`; the page docs/decisions-api.md has what it said.
"""

import argparse
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import quantiles
from time import perf_counter, process_time

from sqlalchemy import Engine

from benchmarks.platform.data import FIELDS, LEVELS, TRANSACTION_FIELDS, activate, add_customers, organise, transactions
from benchmarks.platform.data import postgresql as new_postgresql
from fivefold.risk.compiler.analysis import analyse_canonical_policy
from fivefold.risk.engine.policy_program import policy_program_for
from fivefold.risk.engine.single.rules import single_policy
from fivefold.risk.facts.inputs import Needs
from fivefold.risk.facts.single.plans import plan_for
from fivefold.risk.language.expressions import input_key
from fivefold.risk.language.policy import read_policy
from fivefold.store.sql.database import open_database, upgrade
from fivefold.usecases.accounts.organisations import add_member
from fivefold.usecases.decisions.decide import decide
from fivefold.usecases.decisions.policies import approve_policy, propose_policy
from fivefold.usecases.ingest.transactions import add_transactions
from fivefold.usecases.levels.read import Freshness, read_level
from fivefold.usecases.levels.worker import run_batch
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context

CUSTOMERS, EACH = 500, 40
WARM_UP = 20

THRESHOLDS = [
    ("cash-high", [{"level": "in_force", "at_least": "high"}, {"transaction": "amount", "above": 1_000}], "block"),
    ("cash-low", [{"transaction": "operation", "equals": "cash"}, {"transaction": "amount", "above": 10_000}], "block"),
    ("old", [{"level": "age_days", "above": 180}], "review"),
    ("worth", [{"value": "score", "at_least": 4}, {"field": "country", "equals": "NO"}], "allow"),
]
HISTORY = [
    ("day", [{"sum": "amount", "over": "1 day", "at_least": 100_000}], "review"),
    (
        "unusual",
        [{"ratio": [{"transaction": "amount"}, {"mean": "amount", "over": "90 days"}], "at_least": 50}],
        "review",
    ),
    ("watched", [{"tag": "watch", "is": "present"}], "review"),
]


def document(name: str, rules: list[tuple[str, list[dict[str, object]], str]]) -> str:
    """Write a policy."""
    return json.dumps(
        {
            "policy": name,
            "entity_type": "customer",
            "fields": FIELDS,
            "transaction_fields": TRANSACTION_FIELDS,
            "levels": LEVELS,
            "actions": ["allow", "review", "block"],
            "wins": "most severe",
            "rationale": "It is measured.",
            "rules": [
                {
                    "id": key,
                    "title": key.title(),
                    "rationale": "It is measured.",
                    "when": {"all": parts},
                    "action": action,
                }
                for key, parts, action in rules
            ],
            "otherwise": "allow",
        }
    )


@contextmanager
def sqlite() -> Iterator[Engine]:
    """Make a database in a file."""
    with tempfile.TemporaryDirectory() as folder:
        engine = open_database(f"sqlite:///{Path(folder) / 'measured.db'}")
        upgrade(engine)
        try:
            yield engine
        finally:
            engine.dispose()


def prepared(engine: Engine) -> Actor:
    """Let everybody have a history and a level, and two policies be in force."""
    actor = organise(engine)
    activate(engine, actor)
    add_customers(engine, actor, CUSTOMERS)
    add_transactions(Context(engine, actor), transactions(0, CUSTOMERS * EACH, CUSTOMERS))
    while run_batch(engine) is not None:
        pass
    writer, approver = (
        replace(actor, name=f"member:{add_member(Context(engine, actor), name, ['publisher']).id}")
        for name in ("Ana", "Bo")
    )
    for name, rules in (("thresholds", THRESHOLDS), ("history", [*THRESHOLDS, *HISTORY])):
        proposal = propose_policy(Context(engine, writer), document(name, rules), "To measure.", "To measure.")
        approve_policy(Context(engine, approver), name, proposal.number, "To measure.")
    return actor


Times = list[tuple[float, float]]
"""Of each call the milliseconds that passed, and those of this process's processor time."""


def milliseconds(calls: int, call: Callable[[int], object]) -> Times:
    """Time each call, after a few that are not timed."""
    times = []
    for number in range(calls + WARM_UP):
        begin, busy = perf_counter(), process_time()
        call(number)
        times.append(((perf_counter() - begin) * 1000, (process_time() - busy) * 1000))
    return times[WARM_UP:]


def measured(kind: str, engine: Engine, calls: int) -> Iterator[str]:
    """Decide again and again; give a line of the table for each policy and freshness."""
    actor = prepared(engine)

    def level(number: int) -> object:
        return read_level(Context(engine, actor), "customer", f"c{number % CUSTOMERS}", Freshness.STORED)

    yield _line(kind, "none: the level alone", Freshness.STORED, milliseconds(calls, level))
    for policy in ("thresholds", "history"):
        for freshness in (Freshness.STORED, Freshness.REFRESH, Freshness.NOW):

            def call(number: int, policy: str = policy, freshness: Freshness = freshness) -> object:
                transaction = {
                    "transaction_id": f"{policy}-{freshness}-{number}",
                    "transaction_amount": -100.0 - number,
                    "transaction_currency": ("EUR", "USD")[number % 2],
                    "operation": ("cash", "wire")[number % 2],
                }
                return decide(
                    Context(engine, actor), policy, "customer", f"c{number % CUSTOMERS}", transaction, freshness
                )

            yield _line(kind, policy, freshness, milliseconds(calls, call))


def _line(kind: str, policy: str, freshness: Freshness, times: Times) -> str:
    passed, busy = (quantiles(each, n=100) for each in zip(*times, strict=True))
    cells = (f"{cuts[place]:.1f}" for cuts in (busy, passed) for place in (49, 89, 98))
    return f"| {kind} | {policy} | {freshness} | {' | '.join(cells)} |"


def without_plain_form(name: str, rules: list[tuple[str, list[dict[str, object]], str]]) -> str:
    """Name what a policy still asks of columns, which is slow for one entity."""
    analysed = analyse_canonical_policy(read_policy(document(name, rules)).canonical)
    missing = [input_key(each) for each in plan_for(Needs.of(analysed), (), "EUR").batch_only]
    if single_policy(policy_program_for(analysed, {}, "EUR")) is None:
        missing.append("its conditions")
    return ", ".join(missing) or "nothing"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=1000)
    calls = parser.parse_args().calls
    print(
        f"{calls} calls each, {CUSTOMERS} customers with {EACH} transactions; load {os.getloadavg()[0]:.1f} before.\n"
    )
    print("| database | policy | level | processor ms: p50 | p90 | p99 | passed ms: p50 | p90 | p99 |")
    print("|---|---|---|---|---|---|---|---|---|")
    for kind, opened in (("SQLite", sqlite), ("PostgreSQL", new_postgresql)):
        with opened() as engine:
            for line in measured(kind, engine, calls):
                print(line, flush=True)
    for name, rules in (("thresholds", THRESHOLDS), ("history", [*THRESHOLDS, *HISTORY])):
        print(f"\nWithout a plain form in {name}: {without_plain_form(name, rules)}.")
    print(f"\nLoad {os.getloadavg()[0]:.1f} after, on {os.cpu_count()} processors.")


if __name__ == "__main__":
    main()
