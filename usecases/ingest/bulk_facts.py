"""Tags, screenings, cases and alerts in bulk: all rows of one call, each known again however often it is sent."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Engine, update
from sqlalchemy.orm import Session

from fivefold.domain.clock import resolve_now
from fivefold.domain.errors import DataNotValid, Problem
from fivefold.features.reading.columns import short_text
from fivefold.store.audit.bound_rows import digests, new_ids
from fivefold.store.audit.history import new_salts
from fivefold.store.ingest import bulk_facts
from fivefold.store.ingest.entities import entity_numbers, lock_entities, record_activity, type_named
from fivefold.store.levels.assessment_queue import BULK, EVENT, Reason, Subject
from fivefold.store.sql.bulk import write_rows
from fivefold.store.sql.database import writing
from fivefold.store.tables.entities import EntityType, Record, Tag
from fivefold.usecases.audit import record as audit
from fivefold.usecases.ingest.entities import AT_ONCE, Taken
from fivefold.usecases.ingest.facts import MOST_WORD_CHARACTERS, RecordGiven
from fivefold.usecases.ingest.owners import mark_with_owners
from fivefold.usecases.levels.lowering import HOW, Concern, Watch, dated_far_back
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.entity_checks import (
    FIELDS,
    MOST_CHARACTERS,
    problems_of_fields,
    problems_of_new_names,
    storable,
)

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
class _Known:
    """The type of the entities of some rows, and their numbers by their names."""

    kind: EntityType
    numbers: Mapping[str, int]


def put_tags(engine: Engine, actor: Actor, type_name: str, rows: Sequence[TagRow], now_us: int | None = None) -> Taken:
    """Set tags. One that the entity has from the same moment on is known, and gets the end that the row gives.

    A tag without a first moment holds from now on; an entity that has it already keeps it, with the row's end.

    Raises:
        NotThere: there is no such type.
        DataNotValid: rows that cannot be taken, each named; then nothing was taken.
    """
    now = resolve_now(now_us)
    problems = [problem for number, row in enumerate(rows) for problem in _problems_of_tag(number, row, now)]
    problems += _twice(rows, "tag", lambda row: (row.external_id, row.tag, row.from_us), lambda row: row.until_us)
    with writing(engine) as session:
        known = _known(session, actor, type_name, rows, problems)
        lock_entities(session, known.numbers.values())
        there = bulk_facts.tags(session, [*known.numbers.values()])
        of_moment = {(entity, tag, begin): (key, end) for key, entity, tag, begin, end in there}
        live = {(entity, tag): (key, end) for key, entity, tag, begin, end in there if begin <= now < (end or now + 1)}
        added: dict[tuple[int, str, int], TagRow] = {}
        changed: dict[int, tuple[int, TagRow]] = {}
        for row in dict.fromkeys(rows):
            entity = known.numbers[row.external_id]
            found = (
                live.get((entity, row.tag)) if row.from_us is None else of_moment.get((entity, row.tag, row.from_us))
            )
            if found is None:
                added[entity, row.tag, now if row.from_us is None else row.from_us] = row
            elif found[1] != row.until_us:
                changed[found[0]] = (entity, row)
        about = {entity: Concern(now) for entity, _, _ in added}
        about |= {entity: Concern(max(now, row.until_us or now), True) for entity, row in changed.values()}
        watch = Watch(session, actor, "tags", about, now)
        of = known.kind.organisation_id
        made = _add(
            session,
            "tags",
            ("organisation_id", "entity_id", "tag", "from_us", "until_us", "set_by"),
            [(of, entity, tag, begin, row.until_us, actor.name) for (entity, tag, begin), row in added.items()],
        )
        if changed:
            session.execute(update(Tag), [{"id": key, "until_us": row.until_us} for key, (_, row) in changed.items()])
        _refuse_falls(watch, known, rows, "tag")
        touched = [entity for entity, _, _ in added] + [entity for entity, _ in changed.values()]
        taken = Taken(len(added), len(changed), len(rows) - len(added) - len(changed))
        written = ("tags", [*made, *changed])
        _finish(session, actor, "tags.put", known, taken, touched, written, Reason.TAG, now)
        return taken


def add_screenings(
    engine: Engine, actor: Actor, type_name: str, rows: Sequence[ScreeningRow], now_us: int | None = None
) -> Taken:
    """Note screenings. One of the same entity, word, moment and result is known; errors are those of `put_tags`."""
    now = resolve_now(now_us)
    problems = [problem for number, row in enumerate(rows) for problem in _problems_of_screening(number, row, now)]
    with writing(engine) as session:
        known = _known(session, actor, type_name, rows, problems)
        there = set(bulk_facts.screenings(session, [*known.numbers.values()]))
        wanted = {(known.numbers[row.external_id], row.screening, row.at_us, int(row.found)): row for row in rows}
        added = {key: row for key, row in wanted.items() if key not in there}
        hits = _last_found(there)
        cleared = {entity for entity, word, _, hit in added if not hit and (entity, word) in hits}
        watch = Watch(session, actor, "screenings", {entity: Concern(now, True) for entity in cleared}, now)
        of = known.kind.organisation_id
        made = _add(
            session,
            "screenings",
            ("organisation_id", "entity_id", "screening", "found", "at_us", "recorded_us"),
            [(of, entity, screening, row.found, at, now) for (entity, screening, at, _), row in added.items()],
        )
        _refuse_falls(watch, known, rows, "found")
        taken = Taken(len(added), 0, len(rows) - len(added))
        touched, written = [key[0] for key in added], ("screenings", made)
        _finish(session, actor, "screenings.added", known, taken, touched, written, Reason.SCREENING, now)
        return taken


def put_records(
    engine: Engine,
    actor: Actor,
    type_name: str,
    rows: Sequence[RecordRow],
    kind: Literal["case", "alert"],
    now_us: int | None = None,
) -> Taken:
    """Open, change or close cases or alerts, known by their numbers; errors are those of `put_tags`."""
    now = resolve_now(now_us)
    problems = [problem for number, row in enumerate(rows) for problem in _problems_of_record(number, row, now)]
    problems += _twice(rows, "number", lambda row: row.given.external_id, lambda row: row)
    with writing(engine) as session:
        declared = FIELDS.validate_json(type_named(session, actor.organisation_id, type_name).case_fields)
        problems += problems_of_fields([row.given.fields for row in rows], declared)
        known = _known(session, actor, type_name, rows, problems)
        of = known.kind.organisation_id
        there = bulk_facts.records(session, of, kind, [row.given.external_id for row in rows])
        _refuse_others(rows, kind, known.numbers, there)
        numbers = [(number, row.given.external_id) for number, row in enumerate(rows)]
        if problems := problems_of_new_names([one for one in numbers if one[1] not in there], "number"):
            raise DataNotValid(problems)
        wanted = {row.given.external_id: row for row in rows}
        added, changed = [], []
        for name, row in wanted.items():
            said = _said(row.given)
            if name not in there:
                added.append((of, kind, name, known.numbers[row.external_id], *said))
            elif there[name].said != said:
                changed.append((there[name], said))
        about = {row[3]: Concern(now) for row in added}
        about |= {record.entity_id: Concern(now, True) for record, _ in changed}
        watch = Watch(session, actor, f"{kind}s", about, now)
        columns = ("opened_us", "closed_us", "outcome", "status", "content")
        names = ("organisation_id", "kind", "external_id", "entity_id", *columns)
        made = _add(session, "records", names, added)
        if changed:
            news = [{"id": record.id, **dict(zip(columns, said, strict=True))} for record, said in changed]
            session.execute(update(Record), news)
        _refuse_falls(watch, known, rows, "number")
        earlier = [record.id for record, said in changed if _moment(said) < _moment(record.said)]
        if earlier:
            with dated_far_back(session, earlier):
                _refuse_falls(watch, known, rows, "number")
        touched = [row[3] for row in added] + [record.entity_id for record, _ in changed]
        taken = Taken(len(added), len(changed), len(rows) - len(added) - len(changed))
        written = ("records", [*made, *(record.id for record, _ in changed)])
        _finish(session, actor, f"{kind}s.put", known, taken, touched, written, Reason.RECORD, now)
        return taken


def _known(session: Session, actor: Actor, type_name: str, rows: Sequence[Any], problems: list[Problem]) -> _Known:
    """Find the entities of the rows; DataNotValid for everything that is wrong, unknown entities among it."""
    kind = type_named(session, actor.organisation_id, type_name, locked=True)
    named = entity_numbers(session, kind.id, [row.external_id for row in rows if isinstance(row.external_id, str)])
    numbers = dict(named.select("external_id", "entity_id").iter_rows())
    problems += [
        Problem(
            number, "entity_id", f"is {short_text(row.external_id)}: there is no such {type_name}", "one that was added"
        )
        for number, row in enumerate(rows)
        if row.external_id not in numbers
    ]
    if problems:
        raise DataNotValid(problems)
    return _Known(kind, numbers)


def _add(session: Session, table: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> list[int]:
    """Add rows that the audit log binds; give their numbers."""
    made = new_ids(session, table, len(rows))
    numbered_rows = ((key, salt, *row) for key, salt, row in zip(made, new_salts(len(rows)), rows, strict=True))
    write_rows(session, table, ("id", "salt", *columns), numbered_rows)
    return made


def _finish(
    session: Session,
    actor: Actor,
    action: str,
    known: _Known,
    taken: Taken,
    touched: Sequence[int],
    written: tuple[str, Sequence[int]],
    reason: Reason,
    now: int,
) -> None:
    """Mark those about whom anything is new, and their owners; record the call once, with the rows that it wrote."""
    if not touched:
        return
    kind = known.kind
    subjects = [Subject(entity, kind.organisation_id, kind.id) for entity in dict.fromkeys(touched)]
    record_activity(session, touched, now)
    mark_with_owners(session, subjects, reason, now, BULK if len(subjects) > AT_ONCE else EVENT)
    rows = digests(session, *written)
    audit.record(
        session,
        actor.organisation_id,
        action,
        ("entity", None),
        actor=actor.name,
        details=vars(taken),
        bulk=audit.bulk_of(taken.new + taken.changed, rows),
        rows=rows,
    )


def _last_found(there: Iterable[tuple[int, str, int, int]]) -> set[tuple[int, str]]:
    """Tell of whom the latest screening for a word found something."""
    last: dict[tuple[int, str], tuple[int, int]] = {}
    for entity, word, at, hit in there:
        last[entity, word] = max((at, hit), last.get((entity, word), (at, hit)))
    return {key for key, (_, hit) in last.items() if hit}


def _refuse_falls(watch: Watch, known: _Known, rows: Sequence[Any], field: str) -> None:
    """Refuse the rows by which a level or a floor would fall: a file has no second person."""
    falls = {entity: fall for fall in watch.falls() for entity in fall.through}
    if falls:
        numbers = [known.numbers[row.external_id] for row in rows]
        found = [(number, falls[entity]) for number, entity in enumerate(numbers) if entity in falls]
        raise DataNotValid([Problem(number, field, f"cannot be taken alone: {fall}", HOW) for number, fall in found])


def _refuse_others(
    rows: Sequence[RecordRow], kind: str, numbers: Mapping[str, int], there: Mapping[str, bulk_facts.StoredRecord]
) -> None:
    problems = [
        Problem(
            number, "number", f"is {short_text(row.given.external_id)}, which is about another entity", f"a new {kind}"
        )
        for number, row in enumerate(rows)
        if row.given.external_id in there and there[row.given.external_id].entity_id != numbers[row.external_id]
    ]
    if problems:
        raise DataNotValid(problems)


def _said(given: RecordGiven) -> tuple[Any, ...]:
    content = json.dumps(dict(given.fields), sort_keys=True, ensure_ascii=False) if given.fields else None
    return (given.opened_us, given.closed_us, given.outcome, given.status, content)


def _moment(said: Sequence[Any]) -> int:
    """Give when a record counts from: when it was closed, and until then when it was opened."""
    opened, closed = said[:2]
    return int(opened if closed is None else closed)


def _twice(rows: Sequence[Any], field: str, name: Callable[[Any], Any], content: Callable[[Any], Any]) -> list[Problem]:
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
    given = row.given
    problems = _problem_of_word(number, "number", given.external_id, MOST_CHARACTERS)
    for field, word in (("outcome", given.outcome), ("status", given.status)):
        problems += [] if word is None else _problem_of_word(number, field, word)
    for field, at in (("opened", given.opened_us), ("closed", given.closed_us)):
        if at is not None and at > now:
            problems.append(Problem(number, field, "is still to come", MOMENT))
    if given.closed_us is not None and given.closed_us < given.opened_us:
        problems.append(Problem(number, "closed", "is before opened", "a later moment, or nothing"))
    if given.closed_us is None and given.outcome is not None:
        problems.append(Problem(number, "outcome", "has no closed beside it", "closed, the moment it was known from"))
    return problems


def _problem_of_word(number: int, field: str, word: str, most: int = MOST_WORD_CHARACTERS) -> list[Problem]:
    if 1 <= len(word) <= most and storable(word):
        return []
    return [Problem(number, field, f"is {short_text(word)}", WORD if most == MOST_WORD_CHARACTERS else NUMBER)]
