"""Tags, screenings, cases and alerts in bulk: all rows of one call, each known again however often it is sent."""

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
from fivefold.store.ingest.tag_ends import forget_ends, plan_ends
from fivefold.store.levels.assessment_queue import BULK, EVENT, Reason, Subject
from fivefold.store.sql.bulk import write_rows
from fivefold.store.tables.entities import EntityType, Record, Tag
from fivefold.usecases.audit import record as audit
from fivefold.usecases.ingest.entities import AT_ONCE, RowCounts
from fivefold.usecases.ingest.facts import MOST_WORD_CHARACTERS, RecordGiven
from fivefold.usecases.ingest.owners import mark_with_owners
from fivefold.usecases.ingest.tag_ends import tell_ended_before
from fivefold.usecases.levels.lowering import HOW, Concern, LoweringGuard, dated_far_back
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.entity_checks import (
    FIELDS,
    MOST_CHARACTERS,
    problems_of_fields,
    problems_of_new_names,
    storable,
)
from fivefold.usecases.shared.flow_triggers import Event, note

MOMENT = "a moment that is not after now"
WORD = f"text of 1 to {MOST_WORD_CHARACTERS} characters, none of them NUL"
NUMBER = f"text of 1 to {MOST_CHARACTERS} characters, none of them NUL"


@dataclass(frozen=True)
class TagRow:
    """A tag of an entity, from a moment (now where it is None) until another (without end where it is None)."""

    external_id: str
    tag: str
    from_us: int | None = None
    until_us: int | None = None


@dataclass(frozen=True)
class ScreeningRow:
    """What an entity was screened for at a moment, and whether anything was found."""

    external_id: str
    screening: str
    found: bool
    at_us: int


@dataclass(frozen=True)
class RecordRow:
    """A case or an alert about an entity."""

    external_id: str
    given: RecordGiven


@dataclass(frozen=True)
class _RowEntities:
    """The type of the entities of some rows, and their numbers by their names."""

    kind: EntityType
    numbers: Mapping[str, int]


def put_tags(context: Context, type_name: str, rows: Sequence[TagRow]) -> RowCounts:
    """Set tags. One that the entity has from the same moment on is known, and gets the end that the row gives.

    A tag without a first moment holds from now on; an entity that has it already keeps it, with the row's end.

    Raises:
        NotFoundError: there is no such type.
        InvalidDataError: rows that cannot be taken, each named; then nothing was taken.
    """
    now = context.now()
    problems = [problem for number, row in enumerate(rows) for problem in _problems_of_tag(number, row, now)]
    problems += repeated_otherwise(
        rows, "tag", lambda row: (row.external_id, row.tag, row.from_us), lambda row: row.until_us
    )
    with context.writing() as session:
        entities = _require_entities(session, context, type_name, rows, problems)
        lock_entities(session, entities.numbers.values())
        tell_ended_before(session, entities.numbers.values(), now)
        there = facts.tags(session, [*entities.numbers.values()])
        of_moment = {(entity, tag, begin): (key, end) for key, entity, tag, begin, end in there}
        live = {(entity, tag): (key, end) for key, entity, tag, begin, end in there if begin <= now < (end or now + 1)}
        added: dict[tuple[int, str, int], TagRow] = {}
        changed: dict[int, tuple[int, TagRow]] = {}
        about: dict[int, Concern] = {}
        for row in dict.fromkeys(rows):
            entity = entities.numbers[row.external_id]
            present = (
                live.get((entity, row.tag)) if row.from_us is None else of_moment.get((entity, row.tag, row.from_us))
            )
            if present is None:
                added[entity, row.tag, now if row.from_us is None else row.from_us] = row
                concern = Concern.of_new(now, row.from_us, row.until_us)
            elif present[1] != row.until_us:
                changed[present[0]] = (entity, row)
                concern = Concern.of_change(now, present[1], row.until_us)
            else:
                continue
            about[entity] = about.get(entity, concern) | concern
        watch = LoweringGuard(session, context, "tags", about, now)
        of = entities.kind.organisation_id
        ids = _add(
            session,
            "tags",
            ("organisation_id", "entity_id", "tag", "from_us", "until_us", "set_by"),
            [(of, entity, tag, begin, row.until_us, context.actor.name) for (entity, tag, begin), row in added.items()],
        )
        if changed:
            session.execute(update(Tag), [{"id": key, "until_us": row.until_us} for key, (_, row) in changed.items()])
        forget_ends(session, list(changed))
        ends = [
            *((key, entity, row.until_us) for key, ((entity, _, _), row) in zip(ids, added.items(), strict=True)),
            *((key, entity, row.until_us) for key, (entity, row) in changed.items()),
        ]
        plan_ends(session, ends, now)
        _refuse_falls(watch, entities, rows, "tag")
        touched = [entity for entity, _, _ in added] + [entity for entity, _ in changed.values()]
        counts = RowCounts(len(added), len(changed), len(rows) - len(added) - len(changed))
        sealed = ("tags", [*ids, *changed])
        _finish(session, context, "tags.put", entities, counts, touched, sealed, Reason.TAG, now)
        return counts


def add_screenings(context: Context, type_name: str, rows: Sequence[ScreeningRow]) -> RowCounts:
    """Note screenings. One of the same entity, word, moment and result is known; errors are those of `put_tags`."""
    now = context.now()
    problems = [problem for number, row in enumerate(rows) for problem in _problems_of_screening(number, row, now)]
    with context.writing() as session:
        entities = _require_entities(session, context, type_name, rows, problems)
        there = set(facts.screenings(session, [*entities.numbers.values()]))
        by_key = {(entities.numbers[row.external_id], row.screening, row.at_us, int(row.found)): row for row in rows}
        added = {key: row for key, row in by_key.items() if key not in there}
        hits = _last_found(there)
        cleared = {entity for entity, word, _, hit in added if not hit and (entity, word) in hits}
        watch = LoweringGuard(
            session, context, "screenings", {entity: Concern.of_change(now) for entity in cleared}, now
        )
        of = entities.kind.organisation_id
        ids = _add(
            session,
            "screenings",
            ("organisation_id", "entity_id", "screening", "found", "at_us", "recorded_us"),
            [(of, entity, screening, row.found, at, now) for (entity, screening, at, _), row in added.items()],
        )
        _refuse_falls(watch, entities, rows, "found")
        counts = RowCounts(len(added), 0, len(rows) - len(added))
        touched, sealed = [key[0] for key in added], ("screenings", ids)
        _finish(session, context, "screenings.added", entities, counts, touched, sealed, Reason.SCREENING, now)
        return counts


def put_records(
    context: Context, type_name: str, rows: Sequence[RecordRow], kind: Literal["case", "alert"]
) -> RowCounts:
    """Open, change or close cases or alerts, known by their numbers; errors are those of `put_tags`."""
    now = context.now()
    problems = [problem for number, row in enumerate(rows) for problem in _problems_of_record(number, row, now)]
    problems += repeated_otherwise(rows, "number", lambda row: row.given.external_id, lambda row: row)
    with context.writing() as session:
        declared = FIELDS.validate_python(type_named(session, context.organisation_id, type_name).case_fields)
        problems += problems_of_fields([row.given.fields for row in rows], declared)
        entities = _require_entities(session, context, type_name, rows, problems)
        of = entities.kind.organisation_id
        there = facts.records(session, of, kind, [row.given.external_id for row in rows])
        _refuse_others(rows, kind, entities.numbers, there)
        numbers = [(number, row.given.external_id) for number, row in enumerate(rows)]
        if problems := problems_of_new_names([one for one in numbers if one[1] not in there], "number"):
            raise InvalidDataError(problems)
        by_name = {row.given.external_id: row for row in rows}
        added, changed = [], []
        for name, row in by_name.items():
            values = _record_values(row.given)
            if name not in there:
                added.append((of, kind, name, entities.numbers[row.external_id], *values))
            elif there[name].values != values:
                changed.append((there[name], values))
        about = {row[3]: Concern.of_new(now) for row in added}
        about |= {record.entity_id: Concern.of_change(now) for record, _ in changed}
        watch = LoweringGuard(session, context, f"{kind}s", about, now)
        columns = ("opened_us", "closed_us", "outcome", "status", "content")
        names = ("organisation_id", "kind", "external_id", "entity_id", *columns)
        ids = _add(session, "records", names, added)
        if changed:
            news = [{"id": record.id, **dict(zip(columns, values, strict=True))} for record, values in changed]
            session.execute(update(Record), news)
        _refuse_falls(watch, entities, rows, "number")
        earlier = [record.id for record, values in changed if _moment(values) < _moment(record.values)]
        if earlier:
            with dated_far_back(session, earlier):
                _refuse_falls(watch, entities, rows, "number")
        touched = [row[3] for row in added] + [record.entity_id for record, _ in changed]
        counts = RowCounts(len(added), len(changed), len(rows) - len(added) - len(changed))
        sealed = ("records", [*ids, *(record.id for record, _ in changed)])
        _finish(session, context, f"{kind}s.put", entities, counts, touched, sealed, Reason.RECORD, now)
        return counts


def _require_entities(
    session: Session, context: Context, type_name: str, rows: Sequence[Any], problems: list[Problem]
) -> _RowEntities:
    """Find the entities of the rows; InvalidDataError for everything that is wrong, unknown entities among it."""
    kind = type_named(session, context.organisation_id, type_name, locked=True)
    by_name = entity_numbers(session, kind.id, [row.external_id for row in rows if isinstance(row.external_id, str)])
    numbers = dict(by_name.select("external_id", "entity_id").iter_rows())
    problems += [
        Problem(
            number, "entity_id", f"is {short_text(row.external_id)}: there is no such {type_name}", "one that was added"
        )
        for number, row in enumerate(rows)
        if row.external_id not in numbers
    ]
    if problems:
        raise InvalidDataError(problems)
    return _RowEntities(kind, numbers)


def _add(session: Session, table: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> list[int]:
    """Add rows that the audit log binds; give their numbers."""
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
    touched: Sequence[int],
    sealed: tuple[str, Sequence[int]],
    reason: Reason,
    now: int,
) -> None:
    """Mark those about whom anything is new, and their owners; record the call once, with the rows that it wrote."""
    if not touched:
        return
    kind = entities.kind
    subjects = [Subject(entity, kind.organisation_id, kind.id) for entity in dict.fromkeys(touched)]
    record_activity(session, touched, now)
    mark_with_owners(session, subjects, reason, now, BULK if len(subjects) > AT_ONCE else EVENT)
    cause = f"import:{sealed[0]}-{min(sealed[1])}.{now}"
    events = [Event(subject.entity_id, cause, {}) for subject in subjects]
    note(session, kind.organisation_id, kind.id, "import", events, now)
    rows = digests(session, *sealed)
    context.record(
        session,
        action,
        ("entity", None),
        details=vars(counts),
        bulk=audit.bulk_of(counts.new + counts.changed, rows),
        rows=rows,
    )


def _last_found(there: Iterable[tuple[int, str, int, int]]) -> set[tuple[int, str]]:
    """Tell of whom the latest screening for a word found something."""
    last: dict[tuple[int, str], tuple[int, int]] = {}
    for entity, word, at, hit in there:
        last[entity, word] = max((at, hit), last.get((entity, word), (at, hit)))
    return {key for key, (_, hit) in last.items() if hit}


def _refuse_falls(watch: LoweringGuard, entities: _RowEntities, rows: Sequence[Any], field: str) -> None:
    """Refuse the rows by which a level or a floor would fall: a file has no second person."""
    falls = {entity: fall for fall in watch.falls() for entity in fall.through}
    if falls:
        numbers = [entities.numbers[row.external_id] for row in rows]
        fallen = [(number, falls[entity]) for number, entity in enumerate(numbers) if entity in falls]
        raise InvalidDataError(
            [Problem(number, field, f"cannot be taken alone: {fall}", HOW) for number, fall in fallen]
        )


def _refuse_others(
    rows: Sequence[RecordRow], kind: str, numbers: Mapping[str, int], there: Mapping[str, facts.StoredRecord]
) -> None:
    problems = [
        Problem(
            number, "number", f"is {short_text(row.given.external_id)}, which is about another entity", f"a new {kind}"
        )
        for number, row in enumerate(rows)
        if row.given.external_id in there and there[row.given.external_id].entity_id != numbers[row.external_id]
    ]
    if problems:
        raise InvalidDataError(problems)


def _record_values(record_given: RecordGiven) -> tuple[Any, ...]:
    content = json.dumps(dict(record_given.fields), sort_keys=True, ensure_ascii=False) if record_given.fields else None
    return (record_given.opened_us, record_given.closed_us, record_given.outcome, record_given.status, content)


def _moment(values: Sequence[Any]) -> int:
    """Return when a record counts from: when it was closed, and until then when it was opened."""
    opened, closed = values[:2]
    return int(opened if closed is None else closed)


def repeated_otherwise(
    rows: Sequence[Any], field: str, name: Callable[[Any], Any], content: Callable[[Any], Any]
) -> list[Problem]:
    """Name rows that stand for the same thing as an earlier one, with other content."""
    first: dict[Any, Any] = {}
    return [
        Problem(number, field, "came before with other content", "each once, or exact repeats")
        for number, row in enumerate(rows)
        if first.setdefault(name(row), content(row)) != content(row)
    ]


def _problems_of_tag(number: int, row: TagRow, now: int) -> list[Problem]:
    problems = _problem_of_word(number, "tag", row.tag) or problems_of_new_names([(number, row.tag)], "tag")
    begin = now if row.from_us is None else row.from_us
    if begin > now:
        problems.append(Problem(number, "from", "is still to come", MOMENT))
    if row.until_us is not None and row.until_us <= begin:
        problems.append(Problem(number, "until", "is not after from", "a later moment, or nothing"))
    return problems


def _problems_of_screening(number: int, row: ScreeningRow, now: int) -> list[Problem]:
    problems = _problem_of_word(number, "screening", row.screening)
    problems += problems_of_new_names([] if problems else [(number, row.screening)], "screening")
    if row.at_us > now:
        problems.append(Problem(number, "at", "is still to come", MOMENT))
    return problems


def _problems_of_record(number: int, row: RecordRow, now: int) -> list[Problem]:
    record_given = row.given
    problems = _problem_of_word(number, "number", record_given.external_id, MOST_CHARACTERS)
    for field, word in (("outcome", record_given.outcome), ("status", record_given.status)):
        problems += [] if word is None else _problem_of_word(number, field, word)
    for field, at in (("opened", record_given.opened_us), ("closed", record_given.closed_us)):
        if at is not None and at > now:
            problems.append(Problem(number, field, "is still to come", MOMENT))
    if record_given.closed_us is not None and record_given.closed_us < record_given.opened_us:
        problems.append(Problem(number, "closed", "is before opened", "a later moment, or nothing"))
    if record_given.closed_us is None and record_given.outcome is not None:
        problems.append(Problem(number, "outcome", "has no closed beside it", "closed, the moment it was known from"))
    return problems


def _problem_of_word(number: int, field: str, word: str, most: int = MOST_WORD_CHARACTERS) -> list[Problem]:
    if 1 <= len(word) <= most and storable(word):
        return []
    return [Problem(number, field, f"is {short_text(word)}", WORD if most == MOST_WORD_CHARACTERS else NUMBER)]
