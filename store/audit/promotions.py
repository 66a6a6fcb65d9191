"""Promotions of value models, as recorded in the audit logs of all organisations."""

import json
from collections.abc import Iterable
from typing import Any, NamedTuple

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from fivefold.store.accounts.tokens import every_organisation
from fivefold.store.tables.audit import AuditEntry

PROMOTED = {"promote": "model.promoted", "rollback": "model.rolled_back"}
"""The action of an audit entry, by the action of the promotion in the registry of models."""


ACKNOWLEDGED = "model.loss_acknowledged"
"""The action of an entry by which a person acknowledges that the registry of models lost a promotion."""


class LoggedPromotion(NamedTuple):
    """A promotion as an organisation's audit log records it.

    Attributes:
        entry: the number of its entry in that log.
        action: a value of `PROMOTED`.
        model: the name of the model.
        at_us: its time, in microseconds; None in an entry of an earlier release.
        details: the entry's details, see `usecases.models.promotion_log`.
        is_last: the log has no later promotion of this model.
    """

    organisation_id: int
    entry: int
    action: str
    model: str
    version: int
    at_us: int | None
    details: dict[str, Any]
    is_last: bool


def logged_promotions(session: Session) -> list[LoggedPromotion]:
    """List the promotions of all models by organisation, oldest first."""
    logged, followed = list[LoggedPromotion](), set[tuple[int, str]]()
    statement = _entries(session, PROMOTED.values())
    for entry in session.scalars(statement.order_by(AuditEntry.organisation_id.desc(), AuditEntry.number.desc())):
        details = json.loads(entry.details)
        model, of = details["model"], entry.organisation_id
        what = (entry.action, model, details["version"], details.get("at_us"), details)
        logged.append(LoggedPromotion(of, entry.number, *what, is_last=(of, model) not in followed))
        followed.add((of, model))
    return logged[::-1]


def acknowledged_losses(session: Session) -> set[tuple[int, int]]:
    """Return the entries of promotions whose loss was acknowledged, by organisation and number."""
    entries = session.scalars(_entries(session, [ACKNOWLEDGED]))
    return {(entry.organisation_id, json.loads(entry.details)["entry"]) for entry in entries}


def _entries(session: Session, actions: Iterable[str]) -> Select[AuditEntry]:
    return select(AuditEntry).where(
        AuditEntry.organisation_id.in_(every_organisation(session)),
        AuditEntry.subject_kind == "model",
        AuditEntry.action.in_(actions),
    )
