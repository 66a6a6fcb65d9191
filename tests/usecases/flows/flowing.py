"""A bank with flows for tests: versions that are active or run as shadows, put there without the steps before."""

from typing import Any

from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session

from fivefold.flows.analysis import analyse_flow
from fivefold.store.tables.flows import FlowAction, FlowRow, FlowRun, FlowVersion
from fivefold.usecases.flows.runs.execute import run_flows
from fivefold.usecases.ingest.entities import put_entities
from fivefold.usecases.ingest.transactions import add_transactions
from fivefold.usecases.shared.entity_checks import EntityRow
from tests.usecases.banks import Bank
from tests.usecases.platforms import NOW, transaction

HOUR_US = 3_600_000_000

LARGE = """
flow: large
title: Large payments
entity_type: customer
levels: [low, medium, high]
transaction_fields: {operation: text}
triggers: [{on: transaction}]
actions:
  - {id: look, title: Look at it, review: 2 days}
  - {id: flagged, title: Flag, status: flagged}
  - {id: blocked, title: Block, status: blocked}
  - {id: note, title: Note it, tag: large, lasts: 30 days}
  - {id: open, title: Open a case, case: A large payment.}
  - {id: tell, title: Tell, webhook: large-payment}
  - {id: bound, title: Bound what goes out, limit: daily, amount: 100, between: [0, 500]}
steps:
  - id: size
    title: Size
    route:
      - {when: {transaction: amount, above: 1000}, to: ask}
      - {when: {transaction: amount, above: 100}, to: flag}
    otherwise: nothing
  - id: ask
    title: A person looks
    person:
      question: Is this payment right?
      role: investigator
      within: 4 hours
      answers: {right: nothing, wrong: stop}
      otherwise: flag
  - {id: nothing, title: Nothing, end: []}
  - {id: flag, title: Flagged, end: [flagged, note, open, tell, bound]}
  - {id: stop, title: Stopped, end: [blocked]}
on_failure: [look]
"""


class FlowBank(Bank):
    """A bank with customers a and b, flows, and a clock that stands until it is moved."""

    def __init__(self, engine: Engine, customers: str = "ab") -> None:
        super().__init__(engine)
        put_entities(self.context, "customer", [EntityRow(name, {}) for name in customers])

    def add_flow(self, document: str, *, acting: bool = True, shadow: bool = False) -> int:
        """Put a version there; it is active, or runs as a shadow, or neither."""
        flow = analyse_flow(document).flow
        with Session(self.engine) as session, session.begin():
            kind = session.execute(text("SELECT id FROM entity_types")).scalar_one()
            row = session.scalar(select(FlowRow).where(FlowRow.name == flow.name))
            if row is None:
                row = FlowRow(organisation_id=self.of, type_id=kind, name=flow.name, created_us=NOW)
                session.add(row)
                session.flush()
            count = len(session.scalars(select(FlowVersion.id).where(FlowVersion.flow_id == row.id)).all())
            version = FlowVersion(
                organisation_id=self.of,
                flow_id=row.id,
                number=count + 1,
                document=document,
                canonical=flow.canonical,
                content_hash=flow.content_hash,
                pinned={},
                tests={},
                editors=["member:8"],
                committed_by="member:8",
                committed_us=NOW,
            )
            session.add(version)
            session.flush()
            if shadow:
                row.shadow_version_id = version.id
            elif acting:
                row.active_version_id = version.id
            return version.id

    def post(self, number: int, amount: float, user: str = "a", **changed: Any) -> None:
        """Post a transaction."""
        add_transactions(self.context, [transaction(number, user, transaction_amount=amount, **changed)])

    def work(self) -> int:
        """Carry runs on until none is due; tell how many were."""
        done = 0
        while (count := run_flows(self.engine, clock=lambda: self.now)) is not None:
            done += count
        return done

    def runs(self) -> list[FlowRun]:
        """All runs, as they stand."""
        with Session(self.engine) as session:
            return list(session.scalars(select(FlowRun).order_by(FlowRun.id)))

    def states(self) -> list[tuple[str, str, str | None]]:
        """The cause, state and last step of all runs."""
        return [(run.cause, run.state, run.stopped_at) for run in self.runs()]

    def actions(self) -> list[FlowAction]:
        """All actions that were taken."""
        with Session(self.engine) as session:
            return list(session.scalars(select(FlowAction).order_by(FlowAction.id)))

    def count(self, what: str) -> int:
        """Count rows."""
        with self.engine.connect() as connection:
            return int(connection.execute(text(f"SELECT count(*) FROM {what}")).scalar_one())
