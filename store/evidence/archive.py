"""Evidence of a quarter: the rows of its archive by internal numbers only, and its collection by workers.

Nothing here begins or ends a transaction.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar, cast

from sqlalchemy import Connection, Table, and_, func, or_, select, update
from sqlalchemy.orm import Session

from fivefold.domain.errors import NotFoundError
from fivefold.store.audit.chain_reading import ROWS_AT_A_TIME
from fivefold.store.sql.arrays import among
from fivefold.store.sql.jobs import OPEN
from fivefold.store.sql.statements import UNSEEN
from fivefold.store.tables.accounts import RateTableRow
from fivefold.store.tables.audit import AuditEntry, AuditHead, AuditValues
from fivefold.store.tables.entities import Entity, EntityType, Link, Record
from fivefold.store.tables.events import EvidenceJob, MaterialChange, ValidationRun
from fivefold.store.tables.levels import OverrideRow, Transition
from fivefold.store.tables.recourse import Challenge
from fivefold.store.tables.rulesets import Activation, Backtest, Family, Proposal, RulesetVersion, ThresholdReview

_ENTRIES = cast("Table", AuditEntry.__table__)
NumberedRow = TypeVar("NumberedRow", Record, Link)
Versions = Sequence[tuple[RulesetVersion, Family]]


def versions_of_organisation(session: Session, organisation_id: int) -> Versions:
    """List all versions with their families: by name and number."""
    statement = (
        select(RulesetVersion, Family)
        .join(Family, Family.id == RulesetVersion.family_id)
        .where(RulesetVersion.organisation_id == organisation_id)
        .order_by(Family.name, RulesetVersion.number)
    )
    return [(version, family) for version, family in session.execute(statement)]


def activations_before(session: Session, organisation_id: int, until_us: int) -> Sequence[Activation]:
    """List the activations before a moment, in their order."""
    statement = select(Activation).where(Activation.organisation_id == organisation_id, Activation.at_us < until_us)
    return session.scalars(statement.order_by(Activation.id)).all()


def policies_retired(session: Session, organisation_id: int) -> dict[int, int]:
    """Return when versions of policies were retired or refused, by their numbers, from the audit log."""
    row = AuditEntry
    statement = select(row.subject_id, row.at_us).where(
        row.organisation_id == organisation_id, row.action == "policy.retired"
    )
    return {int(number): at_us for number, at_us in session.execute(statement) if number is not None}


def entries_about_versions(
    session: Session, organisation_id: int, action: str
) -> Iterator[tuple[int, str, Mapping[str, Any]]]:
    """Yield the log entries of an action on versions: moment, actor and details, in order."""
    row = AuditEntry
    statement = select(row.at_us, row.actor, row.details).where(
        row.organisation_id == organisation_id, row.action == action
    )
    for at_us, actor, details in session.execute(statement.order_by(row.number)):
        yield at_us, actor, json.loads(details)


def rows_written(
    session: Session, organisation_id: int, table: str, actions: Sequence[str]
) -> Iterator[tuple[int, int, str]]:
    """Yield the number of each row of a table that was written, when, and by whom, in the order of the log.

    Rows written about an entity erased since are left out.
    """
    row, values = AuditEntry, AuditValues
    of_row = and_(values.organisation_id == row.organisation_id, values.number == row.number)
    statement = (
        select(row.at_us, row.actor, values.after)
        .join(values, of_row)
        .where(row.organisation_id == organisation_id, row.action.in_(actions))
        .order_by(row.number)
        .execution_options(yield_per=ROWS_AT_A_TIME)
    )
    for at_us, actor, after in session.execute(statement):
        bound = {} if after is None else json.loads(after).get("rows", {})
        yield from ((int(name.rpartition(".")[2]), at_us, actor) for name in bound.get(table, ()))


def rows_numbered(session: Session, table: type[NumberedRow], numbers: Sequence[int]) -> Sequence[NumberedRow]:
    """List the rows with some numbers, in the order of these."""
    return session.scalars(select(table).where(among(session, table.id, list(numbers))).order_by(table.id)).all()


def rate_tables_before(session: Session, organisation_id: int, until_us: int) -> Sequence[Any]:
    """List an organisation's own tables of rates stored before a moment, in their order, without their rates.

    `version_id` is the number of a table, and `at_us` when it came into force.
    """
    row = RateTableRow
    columns = (row.number.label("version_id"), row.created_us.label("at_us"), row.base_currency, row.source)
    of = (row.organisation_id == organisation_id, row.created_us < until_us)
    return session.execute(select(*columns).where(*of).order_by(row.number)).all()


def rates_of_table(session: Session, organisation_id: int, number: int) -> str:
    """Return the rates of an organisation's own table as they are stored."""
    return session.get_one(RateTableRow, (organisation_id, number)).content


def types_defined(session: Session, organisation_id: int, until_us: int) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield the definitions of types of entities, each with its moment, from the audit log, in its order."""
    row, values = AuditEntry, AuditValues
    of_row = and_(values.organisation_id == row.organisation_id, values.number == row.number)
    statement = (
        select(row.at_us, values.after)
        .join(values, of_row)
        .where(row.organisation_id == organisation_id, row.action == "type.defined", row.at_us < until_us)
        .order_by(row.number)
    )
    for at_us, after in session.execute(statement):
        if after is not None:
            yield at_us, json.loads(after)


def backtests_in(
    session: Session, organisation_id: int, from_us: int, until_us: int, numbers: Sequence[int]
) -> Sequence[tuple[Backtest, str | None, str]]:
    """List the backtests requested or finished in a period, those of proposals decided in it, and some by number.

    Each comes with its ruleset, None for the backtest of a proposal, and its type of entities.
    """
    decided = select(Proposal.id).where(
        Proposal.organisation_id == organisation_id, Proposal.decided_us >= from_us, Proposal.decided_us < until_us
    )
    in_time = or_(
        and_(Backtest.requested_us >= from_us, Backtest.requested_us < until_us),
        and_(Backtest.finished_us >= from_us, Backtest.finished_us < until_us),
        Backtest.proposal_id.in_(decided),
        Backtest.id.in_(numbers),
    )
    statement = (
        select(Backtest, Family.name, EntityType.name)
        .join(EntityType, EntityType.id == Backtest.type_id)
        .outerjoin(Family, Family.id == Backtest.family_id)
        .where(Backtest.organisation_id == organisation_id, in_time)
        .order_by(Backtest.id)
    )
    return [(backtest, ruleset, kind) for backtest, ruleset, kind in session.execute(statement)]


def threshold_reviews_in(
    session: Session, organisation_id: int, from_us: int, until_us: int
) -> Sequence[tuple[ThresholdReview, str, int]]:
    """List the reviews of thresholds that ended in a period, each with its ruleset and the version in force."""
    statement = (
        select(ThresholdReview, Family.name, RulesetVersion.number)
        .join(Family, Family.id == ThresholdReview.family_id)
        .join(RulesetVersion, RulesetVersion.id == ThresholdReview.version_id)
        .where(ThresholdReview.organisation_id == organisation_id)
        .where(ThresholdReview.finished_us >= from_us, ThresholdReview.finished_us < until_us)
        .order_by(ThresholdReview.id)
    )
    return [(review, ruleset, version) for review, ruleset, version in session.execute(statement)]


def validations_in(session: Session, organisation_id: int, from_us: int, until_us: int) -> Sequence[ValidationRun]:
    """List the validations that overlap a period, or were made in it."""
    in_time = or_(
        and_(ValidationRun.from_us < until_us, ValidationRun.until_us > from_us),
        and_(ValidationRun.made_us >= from_us, ValidationRun.made_us < until_us),
    )
    statement = select(ValidationRun).where(ValidationRun.organisation_id == organisation_id, in_time)
    return session.scalars(statement.order_by(ValidationRun.id)).all()


def validations_signed_in(
    session: Session, organisation_id: int, from_us: int, until_us: int
) -> Sequence[ValidationRun]:
    """List the validations that were signed off in a period."""
    row = ValidationRun
    statement = select(row).where(row.organisation_id == organisation_id, row.signed_us >= from_us)
    return session.scalars(statement.where(row.signed_us < until_us).order_by(row.id)).all()


def challenges_in(session: Session, organisation_id: int, from_us: int, until_us: int) -> Sequence[Challenge]:
    """List the challenges that were open or settled in a period."""
    over = and_(Challenge.settled_us.is_not(None), Challenge.settled_us < from_us)
    statement = select(Challenge).where(
        Challenge.organisation_id == organisation_id, Challenge.opened_us < until_us, ~over
    )
    return session.scalars(statement.order_by(Challenge.id)).all()


def overrides_in(session: Session, organisation_id: int, from_us: int, until_us: int) -> Sequence[OverrideRow]:
    """List the overrides that waited, were decided or were in force in a period."""
    over = or_(
        and_(OverrideRow.state == "refused", OverrideRow.decided_us < from_us),
        and_(OverrideRow.state == "revoked", OverrideRow.revoked_us < from_us),
        and_(OverrideRow.state == "approved", OverrideRow.until_us.is_not(None), OverrideRow.until_us < from_us),
    )
    statement = select(OverrideRow).where(
        OverrideRow.organisation_id == organisation_id, OverrideRow.requested_us < until_us, ~over
    )
    return session.scalars(statement.order_by(OverrideRow.id)).all()


def changes_in(session: Session, organisation_id: int, from_us: int, until_us: int) -> Sequence[MaterialChange]:
    """List the material changes that were registered, open or signed off in a period."""
    statement = select(MaterialChange).where(
        MaterialChange.organisation_id == organisation_id,
        MaterialChange.registered_us < until_us,
        or_(MaterialChange.signed_us.is_(None), MaterialChange.signed_us >= from_us),
    )
    return session.scalars(statement.order_by(MaterialChange.id)).all()


def proposals_in(session: Session, organisation_id: int, from_us: int, until_us: int) -> Sequence[Proposal]:
    """List the proposals that were made, open or decided in a period."""
    statement = select(Proposal).where(
        Proposal.organisation_id == organisation_id,
        Proposal.proposed_us < until_us,
        or_(Proposal.decided_us.is_(None), Proposal.decided_us >= from_us),
    )
    return session.scalars(statement.order_by(Proposal.id)).all()


def transitions_in(
    session: Session, organisation_id: int, from_us: int, until_us: int
) -> Sequence[tuple[int, int | None, int | None, str, int]]:
    """Count the levels reached in a period: type, from, to and cause, and how many."""
    by = (Entity.type_id, Transition.from_level, Transition.to_level, Transition.source)
    statement = (
        select(*by, func.count())
        .join(Entity, Entity.id == Transition.entity_id)
        .where(Transition.organisation_id == organisation_id)
        .where(Transition.at_us >= from_us, Transition.at_us < until_us)
        .group_by(*by)
        .order_by(*(func.coalesce(column, 0) for column in by[:3]), Transition.source)
    )
    return [(kind, before, after, cause, count) for kind, before, after, cause, count in session.execute(statement)]


def entries_in(
    connection: Connection, organisation_id: int, from_us: int, until_us: int
) -> Iterator[Mapping[str, Any]]:
    """Stream the audit entries of a period, without values, in their order."""
    statement = (
        select(_ENTRIES)
        .where(_ENTRIES.c.organisation_id == organisation_id, _ENTRIES.c.at_us >= from_us, _ENTRIES.c.at_us < until_us)
        .order_by(_ENTRIES.c.number)
    )
    with connection.execute(statement, execution_options={"yield_per": ROWS_AT_A_TIME}) as rows:
        yield from cast("Iterator[Mapping[str, Any]]", rows.mappings())


def head_of(session: Session, organisation_id: int) -> tuple[int, str] | None:
    """Return the last entry of an organisation's chain: number and hash; None before the first."""
    row = session.get(AuditHead, organisation_id)
    return None if row is None else (row.number, row.hash)


_OPEN = EvidenceJob.state.in_(OPEN)


def open_job(session: Session, organisation_id: int, quarter: str) -> EvidenceJob | None:
    """Find the waiting or running collection for a quarter."""
    return session.scalar(
        select(EvidenceJob).where(EvidenceJob.organisation_id == organisation_id, EvidenceJob.quarter == quarter, _OPEN)
    )


def jobs_since(session: Session, organisation_id: int, since_us: int, most: int) -> Sequence[EvidenceJob]:
    """List the collections that wait, run, or were requested since a moment, the newest first."""
    statement = select(EvidenceJob).where(
        EvidenceJob.organisation_id == organisation_id, _OPEN | (EvidenceJob.requested_us >= since_us)
    )
    return session.scalars(statement.order_by(EvidenceJob.id.desc()).limit(most)).all()


def job_numbered(session: Session, organisation_id: int, number: int) -> EvidenceJob:
    """Find a requested collection; NotFoundError if the organisation has none of that number."""
    row = session.get(EvidenceJob, number)
    if row is None or row.organisation_id != organisation_id:
        raise NotFoundError(f"there is no requested evidence {number}")
    return row


def forget_archives_of(session: Session, organisation_id: int) -> None:
    """Delete an organisation's archives: they may contain erased data. One that is being collected begins again."""
    of = EvidenceJob.organisation_id == organisation_id
    done = update(EvidenceJob).where(of, EvidenceJob.content.is_not(None))
    session.execute(done.values(content=None, size_bytes=None), execution_options=UNSEEN)
    again = {"state": "queued", "lease_until_us": None, "attempts": EvidenceJob.attempts - 1, "done": 0, "total": 0}
    running = update(EvidenceJob).where(of, EvidenceJob.state == "running").values(**again)
    session.execute(running, execution_options=UNSEEN)


def forget_archives(session: Session, until_us: int) -> int:
    """Delete the content of archives that were finished up to a moment; return how many."""
    expired = (EvidenceJob.finished_us <= until_us, EvidenceJob.content.is_not(None))
    result = session.execute(update(EvidenceJob).where(*expired).values(content=None))
    return int(result.rowcount)  # type: ignore[attr-defined]  # an update has one
