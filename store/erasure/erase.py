"""Erasure of a person from every table. Only numbers remain, which identify no person.

Nothing here begins or ends a transaction. A test searches all tables for erased data.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

from sqlalchemy import ColumnElement, ScalarSelect, Text, case, delete, func, or_, select, update
from sqlalchemy import cast as cast_to
from sqlalchemy.orm import DeclarativeBase, InstrumentedAttribute, Session

from fivefold.store.accounts.idempotency import forget_answers
from fivefold.store.audit.history import new_salt
from fivefold.store.changes.proposals import PROPOSED, WITHDRAWN
from fivefold.store.evidence.archive import forget_archives_of
from fivefold.store.ingest import links, ownerships
from fivefold.store.ingest.entities import subjects
from fivefold.store.levels.assessment_queue import Subject
from fivefold.store.rulesets.backtests import forget_entities
from fivefold.store.sql.arrays import among
from fivefold.store.sql.statements import UNSEEN
from fivefold.store.tables.audit import AuditEntry
from fivefold.store.tables.entities import (
    Attributes,
    Correction,
    Entity,
    EntityType,
    Link,
    Ownership,
    Record,
    Screening,
    SearchWord,
    SummaryTransaction,
    Tag,
    TagEnd,
    Transaction,
    TransactionBlock,
    ValueScore,
)
from fivefold.store.tables.events import Decision, Delivery, OutboxEvent
from fivefold.store.tables.flows import FlowAction, FlowMark, FlowReplayPerson, FlowRun, StepOutcome
from fivefold.store.tables.groups import GroupMember, GroupMove
from fivefold.store.tables.levels import Assessment, AssessmentInputs, DueMark, Opening, OverrideRow, Standing
from fivefold.store.tables.predictions import Prediction
from fivefold.store.tables.queue import QueueWork
from fivefold.store.tables.recourse import Challenge
from fivefold.store.tables.rulesets import BacktestMover, Proposal

_DELETED: tuple[type[Any], ...] = (
    *(DueMark, Attributes, Transaction, Correction, TagEnd, Tag, Screening, Record, ValueScore, SearchWord, QueueWork),
    *(SummaryTransaction, TransactionBlock, BacktestMover, Opening, Challenge, StepOutcome, FlowAction, FlowRun),
    *(FlowMark, GroupMember, GroupMove, FlowReplayPerson, Prediction),
)
"""Tables with rows only about the person. Due marks come first, so that a worker with their lease stores nothing."""

EMPTIED: Mapping[type[Any], Mapping[str, Any]] = {
    AssessmentInputs: {"content": None, "salt": None},
    Assessment: {"breakdown": None},
    Standing: {**dict.fromkeys(("value_score", "segment", "expected_value", "value_currency")), "erased": True},
    OutboxEvent: {"body": None},
    Delivery: {"error": None},
    Decision: {"inputs": None, "answer": None, "decision_key": None},
    OverrideRow: {"reason": "erased", "decision_reason": None, "revocation_reason": None},
}
"""Tables with rows kept for the history and the audit chain, and the values that replace data of the person."""

ACTIVITY: tuple[tuple[InstrumentedAttribute[Any], InstrumentedAttribute[Any]], ...] = (
    (Entity.created_us, Entity.id),
    (Entity.noted_us, Entity.id),
    (Attributes.known_us, Attributes.entity_id),
    (Transaction.at_us, Transaction.entity_id),
    (Transaction.recorded_us, Transaction.entity_id),
    (Correction.at_us, Correction.entity_id),
    (Correction.known_us, Correction.entity_id),
    (Correction.recorded_us, Correction.entity_id),
    (Tag.from_us, Tag.entity_id),
    (Tag.until_us, Tag.entity_id),
    (Screening.at_us, Screening.entity_id),
    (Screening.recorded_us, Screening.entity_id),
    (Ownership.from_us, Ownership.owner_id),
    (Ownership.until_us, Ownership.owner_id),
    (Ownership.from_us, Ownership.entity_id),
    (Ownership.until_us, Ownership.entity_id),
    (Link.from_us, Link.entity_id),
    (Link.until_us, Link.entity_id),
    (Link.recorded_us, Link.entity_id),
    (Link.from_us, Link.other_id),
    (Link.until_us, Link.other_id),
    (Record.opened_us, Record.entity_id),
    (Record.closed_us, Record.entity_id),
    (OverrideRow.requested_us, OverrideRow.entity_id),
    (OverrideRow.decided_us, OverrideRow.entity_id),
    (OverrideRow.revoked_us, OverrideRow.entity_id),
    (Proposal.proposed_us, Proposal.entity_id),
    (Proposal.decided_us, Proposal.entity_id),
    (Decision.at_us, Decision.entity_id),
    (Challenge.received_us, Challenge.entity_id),
    (Challenge.opened_us, Challenge.entity_id),
    (Challenge.settled_us, Challenge.entity_id),
    (QueueWork.changed_us, QueueWork.entity_id),
    (QueueWork.done_us, QueueWork.entity_id),
)
"""Every moment that restarts retention, with its entity. A test compares all tables about entities with it."""

_PLANNED = (
    (Transaction, "at_us"), (Tag, "until_us"), (Link, "from_us"), (Link, "until_us"),
    (Ownership, "from_us"), (Ownership, "until_us"),
)  # fmt: skip
"""Moments that may be announced before they come: the announcement itself is activity, by `Entity.noted_us` or
`recorded_us`."""

ERASED_NAME = re.compile("erased-[0-9]+")
"""The form of `erased_name`; no entity may be added under such a name."""


def erased_name(entity_id: int) -> str:
    """Return the name of an erased entity.

    >>> erased_name(12)
    'erased-12'
    """
    return f"erased-{entity_id}"


def with_owned(
    session: Session, entity: Entity, now_us: int, *, locked: bool = True
) -> tuple[list[Entity], list[Entity], list[int]]:
    """Lock an entity and what it owns or owned, as they are now: facts about these are facts about the owner.

    From here until the transaction ends no transaction, entity or owner can be added, so slow work comes before.
    Without *locked* nothing is locked, and others may change it.

    Returns:
        The entities to erase, itself and those without another owner; those that it owns now together with others,
        which are kept; and the numbers of the other owners, past and present, of the entities to erase. Erased
        entities are left out. Other owners are locked too: a challenge locks only the owner, and protects the entities
        that the owner had.
    """
    if locked:
        types = select(EntityType.id).where(EntityType.organisation_id == entity.organisation_id)
        session.execute(types.with_for_update())
    ever_owned, owned_now = (
        ownerships.owned_numbers(session, entity.id),
        ownerships.owned_numbers(session, entity.id, now_us),
    )
    others = ownerships.spans_of(session, ever_owned)
    also_owned = {number for number in ever_owned if any(span.owner_id != entity.id for span in others[number])}
    alone = {entity.id, *ever_owned - also_owned}
    owners = ownerships.owner_numbers(session, alone) - alone
    statement = select(Entity).where(among(session, Entity.id, sorted({*alone, *owned_now, *owners})))
    statement = statement.where(Entity.erased_us.is_(None)).order_by(Entity.id)
    statement = statement.with_for_update() if locked else statement
    rows = list(session.scalars(statement.execution_options(populate_existing=True)))
    stay = [row for row in rows if row.id in owned_now & also_owned]
    return [row for row in rows if row.id in alone], stay, sorted(owners)


def conflicting_entity(session: Session, entities: Sequence[Entity]) -> Entity | None:
    """Find an entity that already has the name that one of these would get; earlier versions allowed such names."""
    future_names = {(entity.type_id, erased_name(entity.id)): entity for entity in entities}
    types, names = sorted({entity.type_id for entity in entities}), [erased_name(entity.id) for entity in entities]
    conditions = among(session, Entity.type_id, types), among(session, Entity.external_id, names)
    for other in session.scalars(select(Entity).where(*conditions)):
        if future_names.get((other.type_id, other.external_id), other) is not other:
            return other
    return None


def last_activity_us(session: Session, entity_ids: Sequence[int], now_us: int, *, planned: bool = True) -> int:
    """Return the moment of the last activity of entities: when they or a fact about them were added, began or ended.

    A future moment, such as the end of a tag, does not count yet. Without *planned*, moments that may be announced
    ahead never count, only their announcement.
    """
    latest = [
        session.scalar(select(func.max(moment)).where(among(session, of, entity_ids), moment <= now_us))
        for moment, of in ACTIVITY
        if planned or (moment.class_, moment.key) not in _PLANNED
    ]
    return max((moment for moment in latest if moment is not None), default=now_us)


def open_record(session: Session, entity_ids: Sequence[int]) -> Record | None:
    """Find an open case or alert about entities, of any age."""
    statement = select(Record).where(among(session, Record.entity_id, entity_ids), Record.closed_us.is_(None))
    return session.scalar(statement.order_by(Record.id).limit(1))


def open_challenge(session: Session, entity_ids: Sequence[int]) -> Challenge | None:
    """Find an open challenge of an assessment of entities; it protects the record until it is settled."""
    statement = select(Challenge).where(among(session, Challenge.entity_id, entity_ids), Challenge.state == "open")
    return session.scalar(statement.order_by(Challenge.id).limit(1))


def erase(session: Session, entities: Sequence[Entity], now_us: int) -> dict[str, list[int]]:
    """Erase entities everywhere except in the values of the audit log.

    Returns, by table, the numbers of the rows that stay but were changed: the entities, proposals and backtests.
    """
    ids = [entity.id for entity in entities]
    for entity in entities:
        entity.external_id, entity.hold_reason = erased_name(entity.id), None
        entity.erased_us, entity.salt = now_us, new_salt()  # without it, former digests reveal nothing
    session.flush()  # the triggers that guard history check `erased_us`
    # A prediction about another owner covered more than the owner has now, so the comparison would find too little.
    theirs = delete(Prediction).where(among(session, Prediction.entity_id, _other_owners(session, ids)))
    session.execute(theirs, execution_options=UNSEEN)
    ownerships.forget(session, ids)
    links.forget(session, ids)
    for table in _DELETED:
        session.execute(delete(table).where(among(session, _of(table), ids)), execution_options=UNSEEN)
    for table, emptied in EMPTIED.items():
        statement = update(table).where(among(session, _of(table), ids)).values(**emptied)
        session.execute(statement, execution_options=UNSEEN)
    proposals = update(Proposal).where(among(session, Proposal.entity_id, ids))
    state = case((Proposal.state == PROPOSED, WITHDRAWN), else_=Proposal.state)
    emptied = {"subject": "erased", "content": {}, "reach": {}, "reason": "erased", "decision_reason": None}
    session.execute(proposals.values(**emptied, state=state), execution_options=UNSEEN)
    forget_answers(session, entities[0].organisation_id)
    forget_archives_of(session, entities[0].organisation_id)
    backtests = forget_entities(session, entities[0].organisation_id, ids)
    return {"entities": ids, "proposals": _proposals_about(session, ids), "backtests": backtests}


def count_rows(session: Session, ids: Sequence[int]) -> dict[str, int]:
    """Count the rows that `erase` would delete or empty, by table; tables without any are left out."""
    owned = or_(among(session, Ownership.owner_id, ids), among(session, Ownership.entity_id, ids))
    linked = or_(among(session, Link.entity_id, ids), among(session, Link.other_id, ids))
    tables: list[type[Any]] = [*_DELETED, *EMPTIED, Proposal]
    about: list[tuple[type[Any], ColumnElement[bool]]] = [
        (Entity, among(session, Entity.id, ids)),
        (Ownership, owned),
        (Link, linked),
        *((table, among(session, _of(table), ids)) for table in tables),
    ]
    counts = {
        table.__tablename__: session.scalar(select(func.count()).select_from(table).where(condition)) or 0
        for table, condition in about
    }
    return {name: count for name, count in counts.items() if count}


def _proposals_about(session: Session, ids: Sequence[int]) -> list[int]:
    """Find the proposals about entities, their facts or the end of an override: their reasons may mention a person."""
    return list(session.scalars(select(Proposal.id).where(among(session, Proposal.entity_id, ids))))


def _of(table: type[DeclarativeBase]) -> ColumnElement[int]:
    return cast("ColumnElement[int]", table.__table__.c.entity_id)


def entries_about(session: Session, organisation_id: int, ids: Sequence[int]) -> list[int]:
    """Find entries of the audit log about entities, their decisions, challenges, overrides and proposals.

    This includes entries about their runs of flows, and the actions of these.
    """

    def numbers_of(table: type[Any]) -> ScalarSelect[str]:
        return select(cast_to(table.id, Text)).where(among(session, _of(table), ids)).scalar_subquery()

    is_about = or_(
        (AuditEntry.subject_kind == "entity") & among(session, AuditEntry.subject_id, [str(number) for number in ids]),
        (AuditEntry.subject_kind == "override") & AuditEntry.subject_id.in_(numbers_of(OverrideRow)),
        (AuditEntry.subject_kind == "decision") & AuditEntry.subject_id.in_(numbers_of(Decision)),
        (AuditEntry.subject_kind == "challenge") & AuditEntry.subject_id.in_(numbers_of(Challenge)),
        (AuditEntry.subject_kind == "flow run") & AuditEntry.subject_id.in_(numbers_of(FlowRun)),
        (AuditEntry.subject_kind == "flow action") & AuditEntry.subject_id.in_(numbers_of(FlowAction)),
    )
    proposals = [str(number) for number in _proposals_about(session, ids)]
    if proposals:
        of_proposals = among(session, AuditEntry.subject_id, proposals)
        is_about = or_(is_about, (AuditEntry.subject_kind == "proposal") & of_proposals)
    statement = select(AuditEntry.number).where(AuditEntry.organisation_id == organisation_id, is_about)
    return list(session.scalars(statement.order_by(AuditEntry.number)))


def entity_by_id(session: Session, organisation_id: int, entity_id: int) -> Entity | None:
    """Find an entity by its number."""
    row = session.get(Entity, entity_id)
    return row if row is not None and row.organisation_id == organisation_id else None


def remaining_owners(session: Session, entities: Sequence[Entity]) -> list[Subject]:
    """List the other owners of entities to erase: facts that counted for them are deleted."""
    return subjects(session, set(_other_owners(session, [entity.id for entity in entities])))


def _other_owners(session: Session, ids: Sequence[int]) -> list[int]:
    return sorted(ownerships.owner_numbers(session, ids) - set(ids))
