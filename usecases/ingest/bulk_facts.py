"""Tags, screenings, cases and alerts in bulk: all rows of one call; a repeated row is recognised."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import update
from sqlalchemy.orm import Session

from fivefold.domain.errors import InvalidDataError, Problem
from fivefold.features.reading.columns import short_text
from fivefold.store.audit.bound_rows import digests, new_ids
from fivefold.store.audit.history import new_salts
from fivefold.store.ingest import facts
from fivefold.store.ingest.entities import entity_numbers, lock_entities, record_activity, type_named
from fivefold.store.ingest.future_moments import screened_before
from fivefold.store.ingest.tags import forget_ends, plan_ends
from fivefold.store.levels.assessment_queue import BULK, EVENT, Reason, Subject
from fivefold.store.sql.statements import write_rows
from fivefold.store.tables.entities import EntityType, Record, Tag
from fivefold.usecases.audit import record as audit
from fivefold.usecases.ingest.entities import AT_ONCE, RowCounts
from fivefold.usecases.ingest.facts import MOST_WORD_CHARACTERS, RecordGiven
from fivefold.usecases.ingest.owners import mark_with_owners
from fivefold.usecases.ingest.tags import announce_ended_before
from fivefold.usecases.levels.lowering import HOW, Concern, LoweringGuard, dated_far_back
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.entity_checks import (
    FIELDS,
    MOST_CHARACTERS,
    problems_of_fields,
    problems_of_new_names,
    storable,
)
from fivefold.usecases.shared.flow_triggers import TriggerEvent, note

MOMENT = "a moment that is not after now"
WORD = f"text of 1 to {MOST_WORD_CHARACTERS} characters, none of them NUL"
NUMBER = f"text of 1 to {MOST_CHARACTERS} characters, none of them NUL"


@dataclass(frozen=True)
class TagRow:
    """A tag of an entity, from a moment (None for now) until another (None for no end)."""

    external_id: str
    tag: str
    from_us: int | None = None
    until_us: int | None = None


@dataclass(frozen=True)
class ScreeningRow:
    """A screening of an entity at a moment, and whether it had a match."""

    external_id: str
    screening: str
    has_match: bool
    at_us: int


@dataclass(frozen=True)
class RecordRow:
    """A case or an alert about an entity."""

    external_id: str
    record: RecordGiven


@dataclass(frozen=True)
class _RowEntities:
    """The type of the entities of some rows, and their numbers by their names."""

    kind: EntityType
    numbers: Mapping[str, int]


@dataclass(frozen=True)
class _TagChanges:
    """The changes that rows of tags make.

    Attributes:
        new: the rows of tags to add, by entity, tag and first moment.
        ends: the existing tags that get the end of a row, by their numbers.
        about: how each entity is concerned.
    """

    new: dict[tuple[int, str, int], TagRow]
    ends: dict[int, tuple[facts.StoredTag, TagRow]]
    about: dict[int, Concern]


def put_tags(context: Context, type_name: str, rows: Sequence[TagRow]) -> RowCounts:
    """Set tags. A tag that the entity already has from the same moment gets the row's end.

    Without a first moment a tag holds from now on; an existing one keeps its own, unless a clock dated it after now.

    Raises: NotFoundError: there is no such type. InvalidDataError: invalid rows, each named; then nothing was stored.
    """
    now = context.now()
    problems = [problem for number, row in enumerate(rows) for problem in _problems_of_tag(number, row, now)]
    problems += repeated_otherwise(
        rows, "tag", lambda row: (row.external_id, row.tag, row.from_us), lambda row: row.until_us
    )
    with context.writing() as session:
        entities = _require_entities(session, context, type_name, rows, problems)
        lock_entities(session, entities.numbers.values())
        announce_ended_before(session, entities.numbers.values(), now)
        changes = _tag_changes(facts.tags(session, [*entities.numbers.values()]), rows, entities.numbers, now)
        watch = LoweringGuard(session, context, "tags", changes.about, now)
        ids = _store_tags(session, context, changes, now)
        _refuse_falls(watch, entities, rows, "tag")
        new, ends = changes.new, changes.ends
        touched_ids = [entity for entity, *_ in new] + [tag.entity_id for tag, _ in ends.values()]
        without_from = sum(row.from_us is None for row in new.values())
        counts = RowCounts(len(new), len(ends), len(rows) - len(new) - len(ends), without_from)
        _finish(session, context, "tags.put", entities, counts, touched_ids, ("tags", ids), Reason.TAG, now)
        return counts


def _tag_changes(
    there: Sequence[facts.StoredTag], rows: Sequence[TagRow], numbers: Mapping[str, int], now: int
) -> _TagChanges:
    """Return the changes that rows make to existing tags."""
    of_moment = {(each.entity_id, each.tag, each.from_us): each for each in there}
    # A tag that ends where it begins never held.
    there_now = (each for each in there if each.until_us is None or each.until_us > max(each.from_us, now))
    live = {(each.entity_id, each.tag): each for each in there_now}
    changes = _TagChanges({}, {}, {})
    for row in dict.fromkeys(rows):
        entity = numbers[row.external_id]
        present = live.get((entity, row.tag)) if row.from_us is None else of_moment.get((entity, row.tag, row.from_us))
        if present is None:
            changes.new[entity, row.tag, now if row.from_us is None else row.from_us] = row
            concern = Concern.of_new(now, row.from_us, row.until_us)
        elif present.from_us > now or present.until_us != row.until_us:
            changes.ends[present.id] = present, row
            concern = Concern.of_change(now, present.until_us, row.until_us)
        else:
            continue
        changes.about[entity] = changes.about.get(entity, concern) | concern
    return changes


def _store_tags(session: Session, context: Context, changes: _TagChanges, now: int) -> list[int]:
    """Add the new tags, set the ends of the others, and plan all these ends; return the numbers of the written rows."""
    of, by = context.organisation_id, context.actor.name
    columns = ("organisation_id", "entity_id", "tag", "from_us", "until_us", "set_by")
    ids = _add(session, "tags", columns, [(of, *named, row.until_us, by) for named, row in changes.new.items()])
    if changes.ends:
        session.execute(update(Tag), [_new_end(tag, row, by, now) for tag, row in changes.ends.values()])
    forget_ends(session, list(changes.ends))
    ends = [(key, named[0], row.until_us) for key, (named, row) in zip(ids, changes.new.items(), strict=True)]
    plan_ends(session, [*ends, *((tag.id, tag.entity_id, row.until_us) for tag, row in changes.ends.values())], now)
    return [*ids, *changes.ends]


def _new_end(tag: facts.StoredTag, row: TagRow, by: str, now: int) -> dict[str, Any]:
    """Return the new values of a tag whose end is changed or removed; a tag dated ahead begins now as well."""
    ended_by = None if row.until_us is None else by
    from_us = min(tag.from_us, now)
    return {"id": tag.id, "from_us": from_us, "until_us": row.until_us, "ended_by": ended_by, "end_reason": None}


def add_screenings(context: Context, type_name: str, rows: Sequence[ScreeningRow]) -> RowCounts:
    """Record screenings, except those stored with the same entity, word, moment and result; errors as of `put_tags`."""
    now = context.now()
    problems = [problem for number, row in enumerate(rows) for problem in _problems_of_screening(number, row, now)]
    with context.writing() as session:
        entities = _require_entities(session, context, type_name, rows, problems)
        there = set(facts.screenings(session, [*entities.numbers.values()]))
        by_key = {
            (entities.numbers[row.external_id], row.screening, row.at_us, int(row.has_match)): row for row in rows
        }
        new_screenings = {key: row for key, row in by_key.items() if key not in there}
        hits = _latest_matches(there)
        about: dict[int, Concern] = {}
        for entity, word, _, hit in new_screenings:
            if not hit and (entity, word) in hits:
                # As for a single screening: a clock that was ahead may have dated the match after now.
                concern = Concern.of_change(now, hits[entity, word])
                about[entity] = about.get(entity, concern) | concern
        watch = LoweringGuard(session, context, "screenings", about, now)
        of = entities.kind.organisation_id
        earlier = screened_before(session, ((*key[:3], row.has_match) for key, row in new_screenings.items()), now)
        ids = _add(
            session,
            "screenings",
            ("organisation_id", "entity_id", "screening", "found", "at_us", "recorded_us"),
            [
                (of, entity, screening, row.has_match, at, now)
                for (entity, screening, at, _), row in new_screenings.items()
            ],
        )
        _refuse_falls(watch, entities, rows, "found")
        counts = RowCounts(len(new_screenings), 0, len(rows) - len(new_screenings))
        touched_ids, written_rows = [key[0] for key in new_screenings], ("screenings", [*ids, *earlier])
        _finish(
            session, context, "screenings.added", entities, counts, touched_ids, written_rows, Reason.SCREENING, now
        )
        return counts


def put_records(
    context: Context, type_name: str, rows: Sequence[RecordRow], kind: Literal["case", "alert"]
) -> RowCounts:
    """Open, change or close cases or alerts, identified by their numbers; errors as of `put_tags`."""
    now = context.now()
    problems = [problem for number, row in enumerate(rows) for problem in _problems_of_record(number, row, now)]
    problems += repeated_otherwise(rows, "number", lambda row: row.record.external_id, lambda row: row)
    with context.writing() as session:
        declared = FIELDS.validate_python(type_named(session, context.organisation_id, type_name).case_fields)
        problems += problems_of_fields([row.record.fields for row in rows], declared)
        entities = _require_entities(session, context, type_name, rows, problems)
        of = entities.kind.organisation_id
        there = facts.records(session, of, kind, [row.record.external_id for row in rows])
        _refuse_others(rows, kind, entities.numbers, there)
        numbers = [(number, row.record.external_id) for number, row in enumerate(rows)]
        if problems := problems_of_new_names([one for one in numbers if one[1] not in there], "number"):
            raise InvalidDataError(problems)
        by_name = {row.record.external_id: row for row in rows}
        new_records, changed_records = [], []
        for name, row in by_name.items():
            values = _record_values(row.record)
            if name not in there:
                new_records.append((of, kind, name, entities.numbers[row.external_id], *values))
            elif there[name].values != values:
                changed_records.append((there[name], values))
        about = {row[3]: Concern.of_new(now) for row in new_records}
        about |= {record.entity_id: Concern.of_change(now) for record, _ in changed_records}
        watch = LoweringGuard(session, context, f"{kind}s", about, now)
        columns = ("opened_us", "closed_us", "outcome", "status", "content")
        names = ("organisation_id", "kind", "external_id", "entity_id", *columns)
        ids = _add(session, "records", names, new_records)
        if changed_records:
            news = [{"id": record.id, **dict(zip(columns, values, strict=True))} for record, values in changed_records]
            session.execute(update(Record), news)
        _refuse_falls(watch, entities, rows, "number")
        earlier = [record.id for record, values in changed_records if _moment(values) < _moment(record.values)]
        if earlier:
            with dated_far_back(session, earlier):
                _refuse_falls(watch, entities, rows, "number")
        touched_ids = [row[3] for row in new_records] + [record.entity_id for record, _ in changed_records]
        counts = RowCounts(len(new_records), len(changed_records), len(rows) - len(new_records) - len(changed_records))
        sealed = ("records", [*ids, *(record.id for record, _ in changed_records)])
        _finish(session, context, f"{kind}s.put", entities, counts, touched_ids, sealed, Reason.RECORD, now)
        return counts


def _require_entities(
    session: Session, context: Context, type_name: str, rows: Sequence[Any], problems: list[Problem]
) -> _RowEntities:
    """Find the entities of the rows; InvalidDataError for every problem, unknown entities included."""
    kind = type_named(session, context.organisation_id, type_name, locked=True)
    by_name = entity_numbers(session, kind.id, [row.external_id for row in rows if isinstance(row.external_id, str)])
    numbers = dict(by_name.select("external_id", "entity_id").iter_rows())
    problems += [
        Problem(
            number, "entity_id", f"is {short_text(row.external_id)}: there is no such {type_name}", "an existing one"
        )
        for number, row in enumerate(rows)
        if row.external_id not in numbers
    ]
    if problems:
        raise InvalidDataError(problems)
    return _RowEntities(kind, numbers)


def _add(session: Session, table: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> list[int]:
    """Add rows that the audit log binds; return their numbers."""
    ids = new_ids(session, table, len(rows))
    numbered_rows = ((key, salt, *row) for key, salt, row in zip(ids, new_salts(len(rows)), rows, strict=True))
    write_rows(session, table, ("id", "salt", *columns), numbered_rows)
    return ids


def _finish(
    session: Session,
    context: Context,
    action: str,
    entities: _RowEntities,
    counts: RowCounts,
    touched_ids: Sequence[int],
    written_rows: tuple[str, Sequence[int]],
    reason: Reason,
    now: int,
) -> None:
    """Mark the changed entities and their owners due; record the call once, with the rows that it wrote."""
    if not touched_ids:
        return
    kind = entities.kind
    subjects = [Subject(entity, kind.organisation_id, kind.id) for entity in dict.fromkeys(touched_ids)]
    record_activity(session, touched_ids, now)
    mark_with_owners(session, subjects, reason, now, BULK if len(subjects) > AT_ONCE else EVENT)
    cause = f"import:{written_rows[0]}-{min(written_rows[1])}.{now}"
    events = [TriggerEvent(subject.entity_id, cause, {}) for subject in subjects]
    note(session, kind.organisation_id, kind.id, "import", events, now)
    rows = digests(session, *written_rows)
    context.record(
        session,
        action,
        ("entity", None),
        details=counts.details,
        bulk=audit.bulk_of(counts.new + counts.changed, rows),
        rows=rows,
    )


def _latest_matches(there: Iterable[tuple[int, str, int, int]]) -> dict[tuple[int, str], int]:
    """Return the moment of the latest screening of each entity for a word, where that had a match."""
    last: dict[tuple[int, str], tuple[int, int]] = {}
    for entity, word, at, has_match in there:
        last[entity, word] = max((at, has_match), last.get((entity, word), (at, has_match)))
    return {key: at for key, (at, has_match) in last.items() if has_match}


def _refuse_falls(watch: LoweringGuard, entities: _RowEntities, rows: Sequence[Any], field: str) -> None:
    """Refuse the rows that would lower a level or a floor: a file has no second person."""
    falls = {entity: fall for fall in watch.falls() for entity in fall.through}
    if falls:
        numbers = [entities.numbers[row.external_id] for row in rows]
        fallen = [(number, falls[entity]) for number, entity in enumerate(numbers) if entity in falls]
        raise InvalidDataError(
            [Problem(number, field, f"needs a second person: {fall}", HOW) for number, fall in fallen]
        )


def _refuse_others(
    rows: Sequence[RecordRow], kind: str, numbers: Mapping[str, int], there: Mapping[str, facts.StoredCase]
) -> None:
    """Refuse rows whose number belongs to another entity."""
    problems = [
        Problem(
            number, "number", f"is {short_text(row.record.external_id)}, which is about another entity", f"a new {kind}"
        )
        for number, row in enumerate(rows)
        if row.record.external_id in there and there[row.record.external_id].entity_id != numbers[row.external_id]
    ]
    if problems:
        raise InvalidDataError(problems)


def _record_values(record_given: RecordGiven) -> tuple[Any, ...]:
    content = json.dumps(dict(record_given.fields), sort_keys=True, ensure_ascii=False) if record_given.fields else None
    return (record_given.opened_us, record_given.closed_us, record_given.outcome, record_given.status, content)


def _moment(values: Sequence[Any]) -> int:
    """Return the moment from which a record counts: its end, or its opening while it is open."""
    opened_us, closed_us = values[:2]
    return int(opened_us if closed_us is None else closed_us)


def repeated_otherwise(
    rows: Sequence[Any], field: str, name: Callable[[Any], Any], content: Callable[[Any], Any]
) -> list[Problem]:
    """Return a problem for each row about the same thing as an earlier one, with other content."""
    first: dict[Any, Any] = {}
    return [
        Problem(number, field, "is repeated with other content", "each once, or exact repeats")
        for number, row in enumerate(rows)
        if first.setdefault(name(row), content(row)) != content(row)
    ]


def _problems_of_tag(number: int, row: TagRow, now: int) -> list[Problem]:
    problems = _problem_of_word(number, "tag", row.tag) or problems_of_new_names([(number, row.tag)], "tag")
    begin = now if row.from_us is None else row.from_us
    if begin > now:
        problems.append(Problem(number, "from", "is in the future", MOMENT))
    if row.until_us is not None and row.until_us <= begin:
        wrong, allowed = "is not after from", "a later moment, or nothing"
        if row.from_us is None:
            wrong = "is in the past, and the row has no from, so it would begin now"
            allowed = "an earlier from beside it, or a later moment"
        problems.append(Problem(number, "until", wrong, allowed))
    return problems


def _problems_of_screening(number: int, row: ScreeningRow, now: int) -> list[Problem]:
    problems = _problem_of_word(number, "screening", row.screening)
    problems += problems_of_new_names([] if problems else [(number, row.screening)], "screening")
    if row.at_us > now:
        problems.append(Problem(number, "at", "is in the future", MOMENT))
    return problems


def _problems_of_record(number: int, row: RecordRow, now: int) -> list[Problem]:
    """Return the problems of a case or an alert: its words, its moments and their order."""
    record_given = row.record
    problems = _problem_of_word(number, "number", record_given.external_id, MOST_CHARACTERS)
    for field, word in (("outcome", record_given.outcome), ("status", record_given.status)):
        problems += [] if word is None else _problem_of_word(number, field, word)
    for field, at in (("opened", record_given.opened_us), ("closed", record_given.closed_us)):
        if at is not None and at > now:
            problems.append(Problem(number, field, "is in the future", MOMENT))
    if record_given.closed_us is not None and record_given.closed_us < record_given.opened_us:
        problems.append(Problem(number, "closed", "is before opened", "a later moment, or nothing"))
    if record_given.closed_us is None and record_given.outcome is not None:
        problems.append(Problem(number, "outcome", "needs closed too", "closed, the moment since which it is known"))
    return problems


def _problem_of_word(number: int, field: str, word: str, most: int = MOST_WORD_CHARACTERS) -> list[Problem]:
    if 1 <= len(word) <= most and storable(word):
        return []
    return [Problem(number, field, f"is {short_text(word)}", WORD if most == MOST_WORD_CHARACTERS else NUMBER)]
