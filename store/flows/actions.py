"""Actions of runs: one row for each flow, entity, cause and action. Begins and ends no transaction."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from sqlalchemy import Table, bindparam, select
from sqlalchemy.orm import Session

from fivefold.domain.errors import NotFoundError
from fivefold.store.sql.statements import INSERTS
from fivefold.store.tables.flows import FlowAction

_ACTIONS = cast("Table", FlowAction.__table__)
_ADD: Final = {
    dialect: insert(_ACTIONS)
    .on_conflict_do_nothing(index_elements=["flow_id", "entity_id", "cause", "action"])
    .returning(_ACTIONS.c.id)
    for dialect, insert in INSERTS.items()
}


OF_TRANSACTION: Final = "status of the transaction"
"""The subject of actions that set a transaction's status, as `flows.actions` writes it; they are not about its owner.
"""


def add_action(session: Session, values: Mapping[str, Any]) -> int | None:
    """Add an action, and return its number; None if it was already taken, so that it is not carried out again."""
    number: int | None = session.scalar(_ADD[session.get_bind().dialect.name], dict(values))
    return number


def action_under(session: Session, flow_id: int, entity_id: int, cause: str, action: str) -> FlowAction:
    """Return a flow's action on an entity for a cause; it must exist."""
    by = {"flow_id": flow_id, "entity_id": entity_id, "cause": cause, "action": action}
    return session.scalars(select(FlowAction).filter_by(**by)).one()


def action_numbered(session: Session, organisation_id: int, number: int) -> FlowAction:
    """Find an action and lock it; NotFoundError if the organisation has none of that number."""
    statement = select(FlowAction).where(FlowAction.id == number, FlowAction.organisation_id == organisation_id)
    row = session.scalar(statement.with_for_update())
    if row is None:
        raise NotFoundError(f"there is no action {number}")
    return row


_OF_RUN: Final = select(FlowAction).where(FlowAction.run_id == bindparam("of")).order_by(FlowAction.id)
"""Built once, as every run uses it."""


def actions_of_run(session: Session, run_id: int) -> Sequence[FlowAction]:
    """List the actions of a run, in the order in which they were taken."""
    return session.scalars(_OF_RUN, {"of": run_id}).all()


def standing_actions(session: Session, entity_id: int, kinds: Sequence[str]) -> Sequence[FlowAction]:
    """List the actions on an entity, of some kinds, that were neither undone nor completed, the oldest first."""
    open_still = (FlowAction.taken_back_us.is_(None), FlowAction.done_us.is_(None))
    of = (FlowAction.entity_id == entity_id, FlowAction.kind.in_(kinds), *open_still)
    return session.scalars(select(FlowAction).where(*of).order_by(FlowAction.id)).all()
