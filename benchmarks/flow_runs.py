"""How long a recorded run of a flow takes, with all that it reads and writes; and what groups cost each batch.

Run `python -m benchmarks.flow_runs --calls 1000`; the pages docs/benchmarks-flows.md and
docs/groups.md have what it said. A run is called as `POST /v1/flows/{flow}/run` calls it, one after another, of
customers in turn.
"""

import argparse
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from statistics import median, quantiles
from time import perf_counter, process_time

from sqlalchemy import Engine, select, update
from sqlalchemy.orm import Session

from benchmarks.decisions import CUSTOMERS, EACH, Times, milliseconds, prepared, sqlite
from benchmarks.flows import KINDS, ROWS, WIDTH
from benchmarks.platform.data import FIELDS, LEVELS, TRANSACTION_FIELDS
from fivefold.domain.clock import now_microseconds
from fivefold.flows.analysis import analyse_flow
from fivefold.store.tables.entities import EntityType
from fivefold.store.tables.flows import FlowRow, FlowVersion
from fivefold.store.tables.levels import DueMark
from fivefold.usecases.accounts.organisations import add_member
from fivefold.usecases.flows.runs.calling import call_flow
from fivefold.usecases.groups.versions import approve_group, propose_group
from fivefold.usecases.levels.worker import run_batch
from fivefold.usecases.rulesets.activate import advance_markings
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context

ACTIONS = [
    {"id": "flagged", "title": "Flag", "status": "flagged"},
    {"id": "bound", "title": "Bound", "limit": "daily", "amount": 100, "between": [0, 500]},
]
ENDS = [{"id": "acted", "title": "Acted", "end": ["flagged", "bound"]}, {"id": "passed", "title": "Passed", "end": []}]
GROUPS = (0, 1, 10, 50)
"""So many groups are looked at with each batch."""
ROUNDS = 5
"""Batches of everybody for each number of groups."""


def written_flow(name: str, steps: list[dict[str, object]]) -> str:
    """Write a flow about a customer and a transaction."""
    return json.dumps(
        {
            "flow": name,
            "title": "Measured",
            "entity_type": "customer",
            "fields": FIELDS,
            "transaction_fields": TRANSACTION_FIELDS,
            "levels": LEVELS,
            "actions": ACTIONS,
            "steps": [*steps, *ENDS],
            "on_failure": ["flagged"],
        }
    )


def graph() -> str:
    """Write the graph of `benchmarks.flows`, about the transaction: a table of 31 rows, and a choice."""
    rows = [
        {
            "when": {
                "all": [
                    {"transaction": "amount", "at_least": place * WIDTH},
                    {"transaction": "amount", "below": (place + 1) * WIDTH},
                    {"transaction": "operation", "equals": f"k{place % KINDS}"},
                ]
            },
            "give": {"points": place},
        }
        for place in range(ROWS)
    ]
    table = {"gives": {"points": "number"}, "rows": rows, "otherwise": {"points": -1}, "on_unknown": {"points": -1}}
    way = {"when": {"step": "points", "output": "points", "above": ROWS // 2}, "to": "acted"}
    return written_flow(
        "graph",
        [
            {"id": "points", "title": "Points", "table": table},
            {"id": "choice", "title": "The choice", "route": [way], "otherwise": "passed"},
        ],
    )


def history() -> str:
    """Write a flow that reads much: the level, the value, a tag, and sums of the day and the quarter."""
    usual = {"usual": {"divide": [{"sum": "amount", "over": "90 days"}, 90], "unit": "money"}}
    ways = [
        {"when": {"all": [{"level": "in_force", "at_least": "high"}, {"transaction": "amount", "above": 1000}]}},
        {"when": {"sum": "amount", "over": "1 day", "at_least": 100_000}},
        {"when": {"all": [{"calculation": "usual", "above": 50}, {"transaction": "amount", "above": 2000}]}},
        {"when": {"tag": "watch", "is": "present"}},
        {"when": {"value": "score", "at_least": 4}},
    ]
    return written_flow(
        "history",
        [
            {"id": "usual", "title": "What is usual", "calculate": usual},
            {
                "id": "choice",
                "title": "The choice",
                "route": [{**way, "to": "acted"} for way in ways],
                "otherwise": "passed",
                "on_unknown": "passed",
            },
        ],
    )


def let_act(engine: Engine, actor: Actor, document: str) -> None:
    """Make a flow act, without the ceremony."""
    flow = analyse_flow(document).flow
    with Session(engine) as session, session.begin():
        kind = session.scalars(select(EntityType.id).where(EntityType.organisation_id == actor.organisation_id)).one()
        now = now_microseconds()
        row = FlowRow(organisation_id=actor.organisation_id, type_id=kind, name=flow.name, created_us=now)
        session.add(row)
        session.flush()
        version = FlowVersion(
            organisation_id=actor.organisation_id,
            flow_id=row.id,
            number=1,
            document=document,
            canonical=flow.canonical,
            content_hash=flow.content_hash,
            pinned={},
            tests={},
            editors=[],
            committed_by="cli:benchmark",
            committed_us=now,
        )
        session.add(version)
        session.flush()
        row.active_version_id = version.id


def recorded_runs(engine: Engine, actor: Actor, calls: int) -> Iterator[str]:
    """Call each flow again and again; give a line of the table for each."""
    for flow, document in (("graph", graph()), ("history", history())):
        let_act(engine, actor, document)

        def call(number: int, flow: str = flow) -> object:
            transaction = {
                "transaction_id": f"{flow}-{number}",
                "transaction_amount": float(number * 37 % (ROWS * WIDTH)),
                "transaction_currency": "EUR",
                "operation": f"k{number % KINDS}",
            }
            return call_flow(Context(engine, actor), flow, "customer", f"c{number % CUSTOMERS}", transaction)

        yield line_of(flow, milliseconds(calls, call))


def line_of(flow: str, times: Times) -> str:
    """Write the quantiles of the times of a flow."""
    passed, busy = (quantiles(each, n=100) for each in zip(*times, strict=True))
    cells = (f"{cuts[place]:.1f}" for cuts in (busy, passed) for place in (49, 89, 98))
    return f"| {flow} | {' | '.join(cells)} |"


def written_group(number: int) -> str:
    """Write a group: value, risk and behaviour, with a threshold of its own."""
    return json.dumps(
        {
            "group": f"measured-{number}",
            "title": "Measured",
            "entity_type": "customer",
            "rationale": "It is measured.",
            "fields": FIELDS,
            "transaction_fields": TRANSACTION_FIELDS,
            "levels": LEVELS,
            "when": {
                "all": [
                    {"level": "in_force", "at_least": "medium"},
                    {"sum": "amount", "over": "90 days", "above": 100 * number},
                    {"field": "country", "in": ["IR", "KP", "NO"]},
                ]
            },
            "on_unknown": "in",
        }
    )


def groups_beside(engine: Engine, actor: Actor) -> Iterator[str]:
    """Assess everybody again and again, with more and more groups; give a line of the table for each number."""
    writer, approver = (
        replace(actor, name=f"member:{add_member(Context(engine, actor), name, ['publisher']).id}")
        for name in ("Cy", "Di")
    )
    there = 0
    alone = 0.0
    for wanted in GROUPS:
        for number in range(there, wanted):
            line = propose_group(Context(engine, writer), written_group(number), "To measure.", "To measure.")
            approve_group(Context(engine, approver), line.name, line.number, "To measure.")
        there = wanted
        while advance_markings(engine, now_microseconds()) or run_batch(engine) is not None:
            pass
        busy, passed = zip(*(one_batch(engine) for _ in range(ROUNDS)), strict=True)
        alone = alone or median(busy)
        more = (median(busy) - alone) / wanted if wanted else 0.0
        yield f"| {wanted} | {median(busy):.0f} | {median(passed):.0f} | {more:.1f} |"


def one_batch(engine: Engine) -> tuple[float, float]:
    """Assess everybody in one batch; give the milliseconds of the processor, and those that passed."""
    with Session(engine) as session, session.begin():
        session.execute(update(DueMark).values(due_us=now_microseconds()))
    begin, busy = perf_counter(), process_time()
    done = run_batch(engine)
    assert done is not None
    assert done.assessed == CUSTOMERS
    return (process_time() - busy) * 1000, (perf_counter() - begin) * 1000


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=1000)
    calls = parser.parse_args().calls
    print(f"SQLite, {CUSTOMERS} customers with {EACH} transactions; {calls} calls of each flow.")
    print(f"Load {os.getloadavg()[0]:.1f} before, on {os.cpu_count()} processors.\n")
    with sqlite() as engine:
        actor = prepared(engine)
        print("| flow | processor ms: p50 | p90 | p99 | passed ms: p50 | p90 | p99 |")
        print("|---|---|---|---|---|---|---|")
        for line in recorded_runs(engine, actor, calls):
            print(line, flush=True)
        print(f"\n| groups | processor ms of a batch of {CUSTOMERS} | passed ms | processor ms more for each group |")
        print("|---|---|---|---|")
        for line in groups_beside(engine, actor):
            print(line, flush=True)
    print(f"\nLoad {os.getloadavg()[0]:.1f} after.")


if __name__ == "__main__":
    main()
