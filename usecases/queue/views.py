"""Named filters of the queue: of one member, or of the whole organisation."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import ConfigError, ConflictError, NotFoundError
from fivefold.domain.text import wrong_in_name
from fivefold.store.queue.items import QueueOrder
from fivefold.store.sql.database import add_alone
from fivefold.store.tables.queue import VIEW_NAME_CHARACTERS, QueueView
from fivefold.usecases.queue.items import QueueFilters, count_items, own_number
from fivefold.usecases.shared.actors import Role
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.entity_checks import storable
from fivefold.usecases.shared.inputs import digits

FILTERS: Final = ("kind", "assigned", "type", "level", "flow", "days", "order")
"""The conditions of a filter, in their order in addresses."""
OF_ALL: Final = 0
MOST_VIEWS: Final = 50
"""The most filters of a member, and the most of the organisation."""


@dataclass(frozen=True, kw_only=True)
class QueueViewShown:
    """A named filter; `shared`: everybody of the organisation has it.

    Attributes:
        filters: the conditions of `FILTERS`, as in addresses.
        saved_by: the number of the member who saved it.
    """

    name: str
    shared: bool
    filters: Mapping[str, str]
    saved_by: int


def filters_of(conditions: Mapping[str, str], now_us: int) -> QueueFilters:
    """Read a filter from the form in addresses; ConfigError for an invalid order or number of days.

    >>> filters_of({"kind": "rise,review", "days": "1"}, 86_400_000_000).since_us
    0
    """
    days, order = conditions.get("days", ""), conditions.get("order") or QueueOrder.DUE
    if order not in set(QueueOrder):
        raise ConfigError(f"order is {order!r}; it must be one of {', '.join(QueueOrder)}")
    if days and digits(days, 3) is None:
        raise ConfigError(f"days is {days!r}; it must be a whole number up to 999")
    return QueueFilters(
        kinds=tuple(filter(None, conditions.get("kind", "").split(","))),
        assigned=conditions.get("assigned", ""),
        entity_type=conditions.get("type") or None,
        levels=tuple(filter(None, conditions.get("level", "").split(","))),
        flow=conditions.get("flow") or None,
        since_us=now_us - int(days) * DAY_US if days else None,
        order=QueueOrder(order),
    )


def list_views(context: Context) -> list[QueueViewShown]:
    """List the filters of the acting member, then those of the organisation, by name."""
    owners = (own_number(context) or OF_ALL, OF_ALL)
    with context.reading() as session:
        rows = session.scalars(
            select(QueueView)
            .where(QueueView.organisation_id == context.organisation_id, QueueView.owner.in_(owners))
            .order_by(QueueView.owner.desc(), QueueView.name)
        )
        return [_view(row) for row in rows]


def save_view(context: Context, role: Role, name: str, filters: Mapping[str, str], *, shared: bool) -> QueueViewShown:
    """Save a filter under a name; one of the same name is replaced.

    Raises:
        ConfigError: the name cannot be stored, the actor is not a member, or the filter is empty.
        NotFoundError: the filter names a type of entity, a member or a flow that does not exist.
        ConflictError: there are too many, or another member saved the organisation's one of this name.
    """
    conditions = {each: filters[each] for each in FILTERS if filters.get(each)}
    if not 1 <= len(name) <= VIEW_NAME_CHARACTERS or wrong_in_name(name) or not storable(name):
        raise ConfigError(
            f"the name {name[:80]!r} cannot be stored; it must have 1 to {VIEW_NAME_CHARACTERS} characters, in one line"
            " and without spaces around them"
        )
    member, now = _own(context), context.now()
    count_items(context, role, filters_of(conditions, now))
    with context.writing() as session:
        row = _find_view(session, context, name, OF_ALL if shared else member)
        if row is not None:
            _refuse_others(context, role, row)
        if row is None and len(_names(session, context, OF_ALL if shared else member)) >= MOST_VIEWS:
            raise ConflictError(f"there are {MOST_VIEWS} filters already; remove one first")
        if row is None:
            row = QueueView(organisation_id=context.organisation_id, owner=OF_ALL if shared else member, name=name)
        row.filters, row.saved_by, row.saved_us = conditions, member, now
        add_alone(session, row)
        details = {"shared": shared, "filters": conditions}
        context.record(session, "queue_view.saved", ("queue_view", row.id), after={"name": name}, details=details)
        return _view(row)


def remove_view(context: Context, role: Role, name: str, *, shared: bool) -> None:
    """Remove a named filter; one of the organisation only by the member who saved it, or by an administrator.

    Raises:
        NotFoundError: no filter has that name.
        ConflictError: another member saved it.
        ConfigError: the actor is not a member.
    """
    with context.writing() as session:
        row = _find_view(session, context, name, OF_ALL if shared else _own(context))
        if row is None:
            raise NotFoundError(f"there is no filter {name[:80]!r}")
        _refuse_others(context, role, row)
        session.delete(row)
        details = {"shared": shared}
        context.record(session, "queue_view.removed", ("queue_view", row.id), before={"name": name}, details=details)


def may_change(view: QueueViewShown, member: int | None, role: Role) -> bool:
    """Return whether a member may replace or remove a filter that they see."""
    return not view.shared or role == Role.ADMIN or view.saved_by == member


def _refuse_others(context: Context, role: Role, row: QueueView) -> None:
    if not may_change(_view(row), own_number(context), role):
        raise ConflictError(
            f"the organisation's filter {row.name!r} was saved by another member; they or an administrator change it"
        )


def _own(context: Context) -> int:
    member = own_number(context)
    if member is None:
        raise ConfigError(f"{context.actor.name} is not a member; filters are stored for members")
    return member


def _find_view(session: Session, context: Context, name: str, owner: int) -> QueueView | None:
    statement = select(QueueView).where(
        QueueView.organisation_id == context.organisation_id, QueueView.owner == owner, QueueView.name == name
    )
    return session.scalar(statement.with_for_update())


def _names(session: Session, context: Context, owner: int) -> list[str]:
    statement = select(QueueView.name).where(
        QueueView.organisation_id == context.organisation_id, QueueView.owner == owner
    )
    return list(session.scalars(statement))


def _view(row: QueueView) -> QueueViewShown:
    return QueueViewShown(name=row.name, shared=row.owner == OF_ALL, filters=row.filters, saved_by=row.saved_by)
