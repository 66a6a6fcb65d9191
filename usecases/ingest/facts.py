"""Facts about an entity from people and programs: tags, screenings, cases and alerts. Each marks the entity due."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import chain, count
from typing import Any, Literal

from sqlalchemy import ColumnElement, case, select, update
from sqlalchemy.orm import Session

from fivefold.domain.clock import day_text
from fivefold.domain.errors import ConfigError, ConflictError, NotFoundError
from fivefold.domain.text import wrong_in_name
from fivefold.store.audit.bound_rows import Digests, digests
from fivefold.store.ingest.entities import entity_named, record_activity, subject_of
from fivefold.store.ingest.future_moments import ENDED_US, screened_before
from fivefold.store.ingest.tags import forget_ends, lasts_after, plan_ends
from fivefold.store.levels.assessment_queue import Reason
from fivefold.store.sql.arrays import among
from fivefold.store.sql.database import add_alone
from fivefold.store.tables.entities import Entity, EntityType, Record, Screening, Tag
from fivefold.usecases.ingest.owners import mark_with_owners
from fivefold.usecases.ingest.tags import announce_ended_before
from fivefold.usecases.levels.lowering import Concern, LoweringGuard, dated_far_back
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.entity_checks import FIELDS, MOST_CHARACTERS, RIGHT_NAME, refuse_bad_fields, storable
from fivefold.usecases.shared.flow_triggers import ENDED, GIVEN, TriggerEvent, behind, note, tag_end_cause
from fivefold.usecases.shared.inputs import LATEST_US, refuse_unseen_moment

MOST_WORD_CHARACTERS = 100


@dataclass(frozen=True, kw_only=True)
class RecordGiven:
    """A case or an alert in a request.

    Attributes:
        external_id: its number in its own system; an existing one is changed.
        opened_us: when it was opened, microseconds.
        closed_us: when it was closed, microseconds; None while it is open.
        outcome: such as confirmed; only with `closed_us`.
        status: its status in the organisation's own words.
        fields: values of the fields that the entity type declares for cases.
    """

    external_id: str
    opened_us: int
    closed_us: int | None = None
    outcome: str | None = None
    status: str | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)


def set_tag(
    context: Context, type_name: str, external_id: str, tag: str, *, until_us: int | None = None, reason: str = ""
) -> bool:
    """Set a tag on an entity from now until a moment (not included), or without end. One that it has gets the new end.

    If it has the tag with that end already, nothing is stored, whatever the reason. Return whether anything was stored.
    *reason* may be empty.

    Raises:
        NotFoundError: there is no such entity.
        ConfigError: the tag or its end is invalid.
        WouldLowerError: a level or a floor would fall, and only one person makes the change.
    """
    now = context.now()
    _refuse_word("tag", tag)
    _refuse_control("tag", tag)
    with context.writing() as session:
        entity = entity_named(session, context.organisation_id, type_name, external_id, alone=True)
        return set_tag_alone_in(session, context, entity, tag, until_us, reason, now)


def set_tag_alone_in(
    session: Session, context: Context, entity: Entity, tag: str, until_us: int | None, reason: str, now: int
) -> bool:
    """Set a tag with `set_tag_in`, as one person may; WouldLowerError if a level or a floor would fall."""
    there = _live_tag(session, entity, tag, now)
    ends_before = until_us is not None and there is not None and until_us < (there["until_us"] or until_us + 1)
    concern = Concern.of_new(now, until_us=until_us)
    if there is not None:
        concern = replace(Concern.of_change(now, there["until_us"], until_us), takes_back=ends_before)
    watch = LoweringGuard(session, context, "tags", {entity.id: concern}, now)
    is_stored = set_tag_in(session, context, entity, tag, until_us, reason, now)
    watch.refuse_falls()
    return is_stored


def set_tag_in(
    session: Session, context: Context, entity: Entity, tag: str, until_us: int | None, reason: str, now: int
) -> bool:
    """Set a tag in the caller's transaction, which has locked the entity; errors as of `set_tag`."""
    if until_us is not None and until_us <= now:
        raise ConfigError(f"a tag cannot end at {day_text(until_us)}: that is in the past")
    if until_us is not None and until_us >= LATEST_US:
        raise ConfigError(f"a tag cannot end at {day_text(until_us)}: its end must be before the year 9000")
    live = live_tag_in(session, entity, tag, now)
    # A tag that begins after now does not hold yet: a clock ahead set it, as no caller can set a later beginning.
    if live is not None and live.from_us <= now and live.until_us == until_us:
        return False
    announce_ended_before(session, [entity.id], now)
    before, ended_rows = _end_live(session, context, entity, tag, reason, now)
    forget_ends(session, list(ended_rows))
    tag_row = Tag(
        organisation_id=entity.organisation_id,
        entity_id=entity.id,
        tag=tag,
        from_us=now,
        until_us=until_us,
        set_by=context.actor.name,
        set_reason=reason or None,
    )
    session.add(tag_row)
    _mark(session, context, entity, Reason.TAG, now)
    session.flush()
    plan_ends(session, [(tag_row.id, entity.id, until_us)], now)
    about = {"tag": tag, "change": GIVEN, "by": context.actor.name}
    _note(session, entity, "tag", f"tag:{tag_row.id}", about, now)
    rows = digests(session, "tags", [*ended_rows, tag_row.id])
    ended = {ENDED_US: now} if ended_rows else {}
    after = {"tag": tag, "until_us": until_us} | ({"reason": reason} if reason else {})
    _record(session, context, "tag.set", entity, rows, before, after, ended)
    return True


def end_tag(
    context: Context,
    type_name: str,
    external_id: str,
    tag: str,
    *,
    reason: str = "",
    expected_from_us: int | None = None,
) -> None:
    """End a tag of an entity.

    *reason* may be empty. *expected_from_us*: since when the entity had the tag that the caller read; None for no
    check.

    Raises:
        NotFoundError: there is no such entity, or it does not have the tag.
        WouldLowerError: a level or a floor would fall, and only one person makes the change.
        ConflictError: the tag was set anew since it was read.
    """
    now = context.now()
    with context.writing() as session:
        entity = entity_named(session, context.organisation_id, type_name, external_id, alone=True)
        _refuse_another_tag(session, entity, tag, expected_from_us, now)
        end_tag_alone_in(session, context, entity, tag, reason, now)


def _refuse_another_tag(session: Session, entity: Entity, tag: str, expected_us: int | None, now: int) -> None:
    begins = session.scalars(select(Tag.from_us).where(*_live(entity, tag, now))).all()
    if begins and expected_us not in begins:
        refuse_unseen_moment(f"the tag {tag!r}", expected_us, max(begins))


def end_tag_alone_in(session: Session, context: Context, entity: Entity, tag: str, reason: str, now: int) -> None:
    """End a tag with `end_tag_in`, as one person may; WouldLowerError if a level or a floor would fall."""
    watch = LoweringGuard(session, context, "tags", {entity.id: Concern.of_change(now)}, now)
    end_tag_in(session, context, entity, tag, reason, now)
    watch.refuse_falls()


def end_tag_in(session: Session, context: Context, entity: Entity, tag: str, reason: str, now: int) -> None:
    """End a tag in the caller's transaction, which has locked the entity; NotFoundError if it does not have the tag."""
    before, ended_rows = _end_live(session, context, entity, tag, reason, now)
    if before is None:
        kind = session.get_one(EntityType, entity.type_id).name
        raise NotFoundError(f"{kind} {entity.external_id!r} does not have the tag {tag!r}")
    _mark(session, context, entity, Reason.TAG, now)
    forget_ends(session, list(ended_rows))
    about = {"tag": tag, "change": ENDED, "by": context.actor.name}
    until_us, last = max((end, number) for number, end in ended_rows.items())
    _note(session, entity, "tag", tag_end_cause(last, until_us), about, now)
    rows = digests(session, "tags", ended_rows)
    after = {"reason": reason} if reason else None
    _record(session, context, "tag.ended", entity, rows, before, after, {ENDED_US: now})


def shorten_tag_in(
    session: Session, context: Context, entity: Entity, live: Tag, until_us: int, reason: str, now: int
) -> None:
    """Set an earlier end, still to come, of a tag, in the caller's transaction, which has locked the entity.

    The tag is not set anew, so no flow gets an event before that end.
    """
    before = {"tag": live.tag, "until_us": live.until_us}
    forget_ends(session, [live.id])
    live.until_us, live.ended_by, live.end_reason = until_us, context.actor.name, reason
    session.flush()
    plan_ends(session, [(live.id, entity.id, until_us)], now)
    _mark(session, context, entity, Reason.TAG, now)
    rows = digests(session, "tags", [live.id])
    _record(session, context, "tag.set", entity, rows, before, {"tag": live.tag, "until_us": until_us})


def end_of_tag(until_us: int | None) -> int:
    """Return the end of a tag as a moment to compare, `LATEST_US` if it has none."""
    return LATEST_US if until_us is None else until_us


def live_tag_in(session: Session, entity: Entity, tag: str, now: int) -> Tag | None:
    """Find the row of a tag that an entity has, of several the one that lasts longest; None if it does not have it."""
    rows = session.scalars(select(Tag).where(*_live(entity, tag, now)).order_by(Tag.id)).all()
    return max(rows, key=lambda row: end_of_tag(row.until_us), default=None)


def _live(entity: Entity, tag: str, now: int) -> tuple[ColumnElement[bool], ...]:
    return (Tag.entity_id == entity.id, Tag.tag == tag, lasts_after(now))


def _live_tag(session: Session, entity: Entity, tag: str, now: int) -> Mapping[str, Any] | None:
    live = live_tag_in(session, entity, tag, now)
    return None if live is None else {"tag": live.tag, "until_us": live.until_us}


def _end_live(
    session: Session, context: Context, entity: Entity, tag: str, reason: str, now: int
) -> tuple[Mapping[str, Any] | None, dict[int, int]]:
    """End a tag; return its former state, and the ended rows with their ends."""
    before = _live_tag(session, entity, tag, now)
    if before is None:
        return None, {}
    ids = session.scalars(select(Tag.id).where(*_live(entity, tag, now))).all()
    ending = update(Tag).where(among(session, Tag.id, ids))
    # A tag that a clock ahead let begin later never held: it begins and ends now, so that no repair restarts it.
    from_us = case((Tag.from_us > now, now), else_=Tag.from_us)
    end = {"until_us": now, "ended_by": context.actor.name, "end_reason": reason or None}
    session.execute(ending.values(from_us=from_us, **end))
    return before, dict.fromkeys(ids, now)


def add_screening(
    context: Context, type_name: str, external_id: str, screening: str, *, has_match: bool, at_us: int | None = None
) -> None:
    """Record a screening of an entity, and whether it had a match; clean ones are recorded too.

    One that is stored with the same moment and result is not stored again.

    Raises:
        NotFoundError: there is no such entity.
        ConfigError: the moment lies in the future.
        WouldLowerError: it is clean after one with a match, a level or a floor would fall, and only one person
            makes the change.
    """
    now = context.now()
    at = now if at_us is None else at_us
    _refuse_word("screening", screening)
    _refuse_control("screening", screening)
    with context.writing() as session:
        entity = entity_named(session, context.organisation_id, type_name, external_id, stays=True)
        add_screening_alone_in(session, context, entity, screening, has_match=has_match, at=at, now=now)


def add_screening_alone_in(
    session: Session, context: Context, entity: Entity, screening: str, *, has_match: bool, at: int, now: int
) -> None:
    """Record a screening as one person may; WouldLowerError if a level or a floor would fall."""
    newest = newest_screening_in(session, entity.id, screening)
    clears = newest is not None and newest.found and not has_match
    # A clock that was ahead may have dated the match after now: until then nothing seems to fall.
    about = {entity.id: Concern.of_change(now, newest.at_us)} if newest is not None and clears else {}
    watch = LoweringGuard(session, context, "screenings", about, now)
    add_screening_in(session, context, entity, screening, has_match=has_match, at=at, now=now)
    watch.refuse_falls()


def newest_screening_in(session: Session, entity_id: int, screening: str) -> Screening | None:
    """Find the newest screening of an entity for a word, of two at the same moment the one with a match."""
    same = (Screening.entity_id == entity_id, Screening.screening == screening)
    query = select(Screening).where(*same).order_by(Screening.at_us.desc(), Screening.found.desc()).limit(1)
    return session.scalars(query).one_or_none()


def add_screening_in(
    session: Session, context: Context, entity: Entity, screening: str, *, has_match: bool, at: int, now: int
) -> None:
    """Record a screening in the caller's transaction, which has locked the entity."""
    _refuse_future("a screening", at, now)
    same = (Screening.screening == screening, Screening.found.is_(has_match), Screening.at_us == at)
    if session.scalar(select(Screening.id).where(Screening.entity_id == entity.id, *same).limit(1)) is not None:
        return
    row = Screening(
        organisation_id=entity.organisation_id,
        entity_id=entity.id,
        screening=screening,
        found=has_match,
        at_us=at,
        recorded_us=now,
    )
    earlier = screened_before(session, [(entity.id, screening, at, has_match)], now)
    session.add(row)
    _mark(session, context, entity, Reason.SCREENING, now)
    session.flush()
    about = {"screening": screening, "found": has_match, "by": context.actor.name}
    _note(session, entity, "screening", f"screening:{row.id}", about, now)
    rows = digests(session, "screenings", [*earlier, row.id])
    details = {"screening": screening, "found": has_match, "at_us": at}
    _record(session, context, "screening.added", entity, rows, None, details)


def put_record(
    context: Context,
    type_name: str,
    external_id: str,
    kind: Literal["case", "alert"],
    record_given: RecordGiven,
    *,
    only_new: bool = False,
) -> None:
    """Open, change or close a case or an alert about an entity; with *only_new* an existing one is not changed.

    Raises:
        NotFoundError: there is no such entity.
        ConflictError: the number belongs to another entity, or exists with *only_new*; WouldLowerError if a level or a
            floor would fall, and only one person makes the change.
        ConfigError: moments or fields are invalid.
    """
    now = context.now()
    _refuse_record(kind, record_given, now)
    with context.writing() as session:
        entity = entity_named(session, context.organisation_id, type_name, external_id, stays=True)
        put_record_alone_in(session, context, entity, kind, record_given, now, only_new=only_new)


def put_record_alone_in(
    session: Session,
    context: Context,
    entity: Entity,
    kind: Literal["case", "alert"],
    record_given: RecordGiven,
    now: int,
    *,
    only_new: bool = False,
) -> None:
    """Put a case or an alert as one person may; WouldLowerError if a level or a floor would fall."""
    there = record_in(session, entity, kind, record_given.external_id, locked=True)
    before = None if there is None else (there.id, _moment(there))
    concern = Concern.of_new(now) if there is None else Concern.of_change(now)
    watch = LoweringGuard(session, context, f"{kind}s", {entity.id: concern}, now)
    put_record_in(session, context, entity, kind, record_given, now, only_new=only_new)
    watch.refuse_falls()
    if before is not None and _moment(record_given) < before[1]:
        with dated_far_back(session, [before[0]]):
            watch.refuse_falls()


def put_record_in(
    session: Session,
    context: Context,
    entity: Entity,
    kind: Literal["case", "alert"],
    record_given: RecordGiven,
    now: int,
    *,
    only_new: bool = False,
) -> None:
    """Put a case or an alert in the caller's transaction, which has locked the entity."""
    _refuse_record(kind, record_given, now)
    declared = FIELDS.validate_python(session.get_one(EntityType, entity.type_id).case_fields)
    refuse_bad_fields(record_given.fields, declared)
    there = record_in(session, entity, kind, record_given.external_id, locked=True)
    if there is None:
        _refuse_control(f"{kind}'s number", record_given.external_id)
    elif only_new:
        raise ConflictError(f"{kind} {record_given.external_id!r} exists already, and was not changed")
    if there is not None and there.entity_id != entity.id:
        raise ConflictError(
            f"{kind} {record_given.external_id!r} is about another entity, and cannot be about this one"
        )
    before = None if there is None else _record_values(there)
    record = there or Record(
        organisation_id=entity.organisation_id, kind=kind, external_id=record_given.external_id, entity_id=entity.id
    )
    record.opened_us, record.closed_us = record_given.opened_us, record_given.closed_us
    record.outcome, record.status = record_given.outcome, record_given.status
    record.content = (
        json.dumps(dict(record_given.fields), sort_keys=True, ensure_ascii=False) if record_given.fields else None
    )
    if before == _record_values(record):
        return
    add_alone(session, record)
    _mark(session, context, entity, Reason.RECORD, now)
    about = {kind: record.external_id, "by": context.actor.name}
    _note(session, entity, kind, f"{kind}:{record.id}.{now}", about, now)
    _record(
        session,
        context,
        f"{kind}.put",
        entity,
        digests(session, "records", [record.id]),
        before,
        _record_values(record),
    )


def free_case_number(session: Session, organisation_id: int, number: str) -> str:
    """Return a number that no case of the organisation has: *number*, or the same with `-2`, `-3` and so on."""
    candidates = chain([number], (f"{number}-{copy}" for copy in count(2)))
    of_kind = (Record.organisation_id == organisation_id, Record.kind == "case")
    return next(
        each
        for each in candidates
        if session.scalar(select(Record.id).where(*of_kind, Record.external_id == each)) is None
    )


def _moment(record: Record | RecordGiven) -> int:
    """Return the moment from which a record counts: its end, or its opening while it is open."""
    return record.opened_us if record.closed_us is None else record.closed_us


def record_in(session: Session, entity: Entity, kind: str, number: str, *, locked: bool = False) -> Record | None:
    """Find a case or an alert of an entity's organisation by number; *locked*: lock it until the transaction ends."""
    same = (Record.organisation_id == entity.organisation_id, Record.kind == kind, Record.external_id == number)
    statement = select(Record).where(*same)
    return session.scalar(statement.with_for_update() if locked else statement)


def _record_values(record: Record) -> dict[str, Any]:
    names = ("external_id", "opened_us", "closed_us", "outcome", "status", "content")
    return {name: getattr(record, name) for name in names}


def _refuse_record(kind: str, record_given: RecordGiven, now: int) -> None:
    """Check the words of a case or an alert, its moments and their order."""
    for what, word in (
        ("number", record_given.external_id),
        ("outcome", record_given.outcome),
        ("status", record_given.status),
    ):
        if word is not None:
            _refuse_word(f"{kind}'s {what}", word, MOST_CHARACTERS if what == "number" else MOST_WORD_CHARACTERS)
    _refuse_future("opened_at", record_given.opened_us, now)
    if record_given.closed_us is not None:
        _refuse_future("closed_at", record_given.closed_us, now)
        if record_given.closed_us < record_given.opened_us:
            raise ConfigError(
                f"{kind} {record_given.external_id!r} is closed before it was opened; closed_at must not be earlier"
            )
    elif record_given.outcome is not None:
        raise ConfigError(f"{kind} {record_given.external_id!r} has an outcome and no end; it needs closed_at too")


def _refuse_word(what: str, word: str, most: int = MOST_WORD_CHARACTERS) -> None:
    if not 1 <= len(word) <= most or not storable(word):
        raise ConfigError(f"{what} is {_shown(word)}; it must be text of 1 to {most} characters, none of them NUL")


def _refuse_control(what: str, name: str) -> None:
    if wrong := wrong_in_name(name):
        raise ConfigError(f"{what} is {_shown(name)}, {wrong}; it must be {RIGHT_NAME}")


def _shown(word: str) -> str:
    """Quote a word; of a long word only the beginning, with its length.

    >>> _shown("vip"), _shown("v" * 101)
    ("'vip'", "'vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv'… of 101 characters")
    """
    return repr(word) if len(word) <= 40 else f"{word[:40]!r}… of {len(word)} characters"


def _refuse_future(what: str, at: int, now: int) -> None:
    if at > now:
        raise ConfigError(f"{what} is at {day_text(at)}, which is in the future; it must not be after now")


def _mark(session: Session, context: Context, entity: Entity, reason: Reason, now: int) -> None:
    record_activity(session, [entity.id], now)
    with behind(session, entity.organisation_id, [context.actor.name]):
        mark_with_owners(session, [subject_of(entity)], reason, now)


def _note(session: Session, entity: Entity, kind: str, cause: str, about: Mapping[str, Any], now: int) -> None:
    note(session, entity.organisation_id, entity.type_id, kind, [TriggerEvent(entity.id, cause, about)], now)


def _record(
    session: Session,
    context: Context,
    action: str,
    entity: Entity,
    rows: Digests,
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any] | None,
    details: Mapping[str, Any] | None = None,
) -> None:
    """Record a fact about an entity."""
    context.record(session, action, ("entity", entity.id), before=before, after=after, details=details, rows=rows)
