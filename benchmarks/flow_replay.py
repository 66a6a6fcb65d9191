"""A replay of two versions of a flow over everybody on the platform, as a worker makes it, on a database of its own.

    python -m benchmarks.flow_replay --customers 100000

Customers are simulated: a country, a level and some payments each. Everything is stored in SQLite first, which is not
timed; then one version is replayed beside the one that acts, in this process, and the memory is the most that it had.
"""

import argparse
import json
import os
import random
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, insert, select
from sqlalchemy.orm import Session

from benchmarks.platform.data import organise
from fivefold.domain.clock import DAY_US, now_microseconds
from fivefold.flows.analysis import analyse_flow
from fivefold.store.sql.database import open_database, upgrade
from fivefold.store.tables.entities import Attributes, Entity, EntityType, Transaction
from fivefold.store.tables.flows import FlowRow, FlowVersion
from fivefold.store.tables.levels import Standing
from fivefold.usecases.flows.replays.jobs import REPLAYS, ReplayAsked, read_flow_replay, request_flow_replay
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.jobs import run_next_job

AT_ONCE = 10_000
PAYMENTS = 5
FLOW = """
flow: measured
title: Limits by what moves
entity_type: customer
levels: [low, medium, high]
fields: {country: country}
actions:
  - {id: flagged, title: Flag, status: flagged}
  - {id: bound, title: Bound, limit: daily, amount: {calculation: room}, between: [0, 5000]}
steps:
  - {id: usual, title: Usual, calculate: {room: {divide: [{sum: amount, over: 90 days}, 9], unit: money}}}
  - id: risk
    title: Risk
    route:
      - {when: {level: in_force, equals: high}, to: flag}
      - {when: {all: [{count: transactions, over: 30 days, at_least: 3}, {field: country, in: [IR, KP]}]}, to: flag}
      - {when: {sum: amount, over: 90 days, above: 300}, to: limited}
    otherwise: nothing
    on_unknown: nothing
  - {id: nothing, title: Nothing, end: []}
  - {id: flag, title: Flagged, end: [flagged]}
  - {id: limited, title: Limited, end: [bound]}
on_failure: [flagged]
"""


def stored(engine: Engine, actor: Actor, customers: int, now_us: int) -> None:
    """Store the customers, their payments, and two versions of the flow."""
    random.seed(7)
    with Session(engine) as session, session.begin():
        kind = session.scalars(select(EntityType.id)).one()
        for table, rows in _rows(actor.organisation_id, kind, customers, now_us):
            session.execute(insert(table), rows)
        flow = FlowRow(organisation_id=actor.organisation_id, type_id=kind, name="measured", created_us=now_us)
        session.add(flow)
        session.flush()
        for number, text in enumerate((FLOW, FLOW.replace("above: 300", "above: 250")), start=1):
            read = analyse_flow(text).flow
            version = FlowVersion(
                organisation_id=actor.organisation_id,
                flow_id=flow.id,
                number=number,
                document=text,
                canonical=read.canonical,
                content_hash=read.content_hash,
                pinned={},
                tests={},
                editors=["member:1"],
                committed_by="member:1",
                committed_us=now_us,
            )
            session.add(version)
            session.flush()
            flow.active_version_id = flow.active_version_id or version.id


def _rows(of: int, kind: int, customers: int, now_us: int) -> Iterator[tuple[type[Any], list[dict[str, Any]]]]:
    for first in range(1, customers + 1, AT_ONCE):
        numbers = range(first, min(first + AT_ONCE, customers + 1))
        whole = {"organisation_id": of, "type_id": kind}
        yield (
            Entity,
            [{"id": each, "external_id": f"c{each}", "created_us": now_us - 400 * DAY_US, **whole} for each in numbers],
        )
        yield (
            Attributes,
            [
                {
                    "entity_id": each,
                    "known_us": now_us - 400 * DAY_US,
                    "number": 1,
                    "content": json.dumps({"country": random.choice(["NO", "DE", "IR", "FR"])}),
                }
                for each in numbers
            ],
        )
        yield (
            Standing,
            [
                {
                    "entity_id": each,
                    "number": 1,
                    "assessed_us": now_us - DAY_US,
                    "status": "assessed",
                    "source": "rules",
                    "level": random.choice([1, 1, 1, 2, 3]),
                    "rules_level": 1,
                    "hard_floor": 0,
                    "level_since_us": now_us - DAY_US,
                    **whole,
                }
                for each in numbers
            ],
        )
        yield (
            Transaction,
            [
                {
                    "organisation_id": of,
                    "transaction_id": f"t{each}-{place}",
                    "entity_id": each,
                    "at_us": now_us - random.randrange(1, 180) * DAY_US,
                    "recorded_us": now_us,
                    "amount": float(random.randrange(1, 300)),
                    "currency": "EUR",
                }
                for each in numbers
                for place in range(PAYMENTS)
            ],
        )


def main() -> None:
    """Measure, and print one line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=100_000)
    customers = parser.parse_args().customers
    with tempfile.TemporaryDirectory() as folder:
        engine = open_database(f"sqlite:///{Path(folder) / 'measured.db'}")
        upgrade(engine)
        actor, now_us = organise(engine), now_microseconds()
        stored(engine, actor, customers, now_us)
        context = Context(engine, actor, lambda: now_us)
        line, _ = request_flow_replay(context, "measured", ReplayAsked(version=2))
        load, began, processor = os.getloadavg()[0], time.perf_counter(), time.process_time()
        run_next_job(engine, REPLAYS, now_us)
        seconds, processor = time.perf_counter() - began, time.process_time() - processor
        replay = read_flow_replay(context, line.id)
        engine.dispose()
    report = replay.report or {}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{replay.state}: {customers:,} customers by two versions in {seconds:.1f} s ({processor:.1f} of processors),"
        f" {customers / seconds:,.0f} a second; {report.get('people', 0):,} treated otherwise;"
        f" {peak:,.0f} MB at most; load {load:.1f} before and {os.getloadavg()[0]:.1f} after {replay.error or ''}"
    )


if __name__ == "__main__":
    main()
