"""The stored facts behind an assessment, as known at its moment. Nothing here begins or ends a transaction.

A fact counts if it happened and was recorded by then. All facts are read by one statement.
"""

import json
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    CompoundSelect,
    Select,
    Subquery,
    Text,
    and_,
    bindparam,
    case,
    cast,
    exists,
    func,
    literal,
    null,
    or_,
    select,
    union_all,
)
from sqlalchemy.orm import Session

from fivefold.store.sql.arrays import among_parameter
from fivefold.store.tables.audit import AuditEntry, AuditValues
from fivefold.store.tables.entities import (
    BIG,
    Attributes,
    Correction,
    Entity,
    Ownership,
    Record,
    Screening,
    Tag,
    Transaction,
    ValueScore,
)

MOST_VERSIONS: Final = 500
"""The most versions of attributes to read, from the latest back."""


class Fact(StrEnum):
    """The kinds of facts that can be read; of linked facts only the latest."""

    ATTRIBUTES = "attributes"
    TAG = "tag"
    SCREENING = "screening"
    TRANSACTION = "transaction"
    CORRECTED = "corrected"
    CASE = "case"
    ALERT = "alert"
    OWNED = "owned"
    VALUE = "value"


class FactRow(NamedTuple):
    """One fact, with the columns that its kind has.

    Attributes:
        number: of its row, or of its version.
        about: the tag, the screening, or the segment of a value.
        at_us: from when it holds or when it happened; for owned entities, the number of ownerships.
        until_us: the end of a tag; for a case or an alert, the last arrival of any fact about its entity, as the time
            of its own arrival is not stored.
        content: of attributes; `1` or `0` of a screening; the name of a model.
        by: who set a tag.
    """

    kind: str
    number: int | None
    about: str | None
    at_us: int | None
    until_us: int | None
    content: str | None
    by: str | None


@dataclass(frozen=True)
class FactSelection:
    """The facts to read: kinds, and the words of tags and screenings."""

    kinds: frozenset[Fact]
    tags: frozenset[str] = frozenset()
    screenings: frozenset[str] = frozenset()


def facts_known(session: Session, entity_id: int, as_of_us: int, selection: FactSelection) -> list[FactRow]:
    """Read the facts about an entity known at a moment; empty if no kinds are selected."""
    if not selection.kinds:
        return []
    values: dict[str, Any] = {"entity_id": entity_id, "as_of_us": as_of_us}
    if Fact.TAG in selection.kinds:
        values["tags"] = sorted(selection.tags)
    if Fact.SCREENING in selection.kinds:
        values["screenings"] = sorted(selection.screenings)
    statement = _statement(selection.kinds, session.get_bind().dialect.name)
    return [FactRow(*row) for row in session.execute(statement, values)]


@lru_cache(maxsize=128)
def _statement(kinds: frozenset[Fact], dialect: str) -> CompoundSelect[Any]:
    """Select facts of some kinds; cached, as building it takes several times as long as running it."""
    branches = []
    for kind in sorted(kinds):
        match kind:
            case Fact.ATTRIBUTES:
                branches.append(_attributes())
            case Fact.TAG:
                branches.append(_tags(dialect))
            case Fact.SCREENING:
                branches.append(_screenings(dialect))
            case Fact.VALUE:
                branches.append(_value())
            case Fact.TRANSACTION:
                branches += [_uncorrected(), _corrected(), _ownerships()]
            case Fact.CASE | Fact.ALERT:
                branches.append(_record(kind))
    return union_all(*(select(each.subquery()) for each in branches))


_ENTITY: Final[Any] = bindparam("entity_id", type_=BIG)
_AS_OF: Final[Any] = bindparam("as_of_us", type_=BigInteger)


def writers_of(session: Session, organisation_id: int, entity_id: int, versions: Collection[int]) -> dict[int, str]:
    """Return who wrote versions of an entity's attributes, from the audit log; without versions from bulk calls.

    An entry names the rows that its call wrote, so nothing is guessed from moments.
    """
    if not versions:
        return {}
    names = {f"{entity_id}.{number}": number for number in versions}
    same = and_(AuditValues.organisation_id == AuditEntry.organisation_id, AuditValues.number == AuditEntry.number)
    statement = select(AuditEntry.actor, AuditValues.after).join(AuditValues, same)
    statement = statement.where(
        AuditEntry.organisation_id == organisation_id,
        AuditEntry.subject_kind == "entity",
        AuditEntry.subject_id == str(entity_id),
        or_(*(AuditValues.after.contains(f'"{name}":') for name in names)),
    )
    return {
        names[name]: actor
        for actor, after in session.execute(statement)
        for name in json.loads(after or "{}").get("rows", {}).get("attributes", {})
        if name in names
    }


_FORMS: Final[dict[str, Any]] = {
    "number": BigInteger,
    "about": Text,
    "at_us": BigInteger,
    "until_us": BigInteger,
    "content": Text,
    "by": Text,
}
"""The types of the columns of `FactRow` after the kind."""


def _fact(kind: Fact, **columns: Any) -> Select[Any]:
    """Select a fact in the columns of `FactRow`; omitted columns are null."""
    parts = (cast(columns.get(name, null()), form).label(name) for name, form in _FORMS.items())
    return select(literal(kind.value).label("kind"), *parts)


def _attributes() -> Select[Any]:
    of = Attributes
    statement = _fact(Fact.ATTRIBUTES, number=of.number, at_us=of.known_us, content=of.content)
    statement = statement.where(of.entity_id == _ENTITY, of.known_us <= _AS_OF)
    return statement.order_by(of.number.desc()).limit(MOST_VERSIONS)


def _tags(dialect: str) -> Select[Any]:
    statement = _fact(Fact.TAG, number=Tag.id, about=Tag.tag, at_us=Tag.from_us, until_us=Tag.until_us, by=Tag.set_by)
    return statement.where(Tag.entity_id == _ENTITY, among_parameter(dialect, Tag.tag, "tags"), Tag.from_us <= _AS_OF)


def _screenings(dialect: str) -> Select[Any]:
    """Select the latest screening of each word: of two at one moment, the one recorded later."""
    latest = (Screening.at_us.desc(), Screening.id.desc())
    place = func.row_number().over(partition_by=Screening.screening, order_by=latest).label("place")
    of_words = select(Screening.id, Screening.screening, Screening.found, Screening.at_us, place).where(
        Screening.entity_id == _ENTITY,
        among_parameter(dialect, Screening.screening, "screenings"),
        Screening.at_us <= _AS_OF,
        Screening.recorded_us <= _AS_OF,
    )
    last = of_words.subquery()
    has_match = case((last.c.found, "1"), else_="0")
    columns = {"number": last.c.id, "about": last.c.screening, "at_us": last.c.at_us, "content": has_match}
    return _fact(Fact.SCREENING, **columns).where(last.c.place == 1)


def _value() -> Select[Any]:
    of = ValueScore
    columns = {"number": of.model_version, "about": of.segment, "at_us": of.as_of_us, "content": of.model}
    statement = _fact(Fact.VALUE, **columns).where(of.entity_id == _ENTITY, of.as_of_us <= _AS_OF)
    return statement.order_by(of.as_of_us.desc()).limit(1)


def _ownerships() -> Select[Any]:
    return _fact(Fact.OWNED, at_us=func.count(Ownership.id)).where(Ownership.owner_id == _ENTITY)


def _counts() -> Subquery:
    """Select whose facts count for an entity, and for which time: its own, and those of entities that it owned then."""
    nothing = cast(null(), BigInteger)
    own = select(cast(_ENTITY, BIG).label("entity_id"), nothing.label("from_us"), nothing.label("until_us"))
    owned_spans = select(Ownership.entity_id, Ownership.from_us, Ownership.until_us).where(
        Ownership.owner_id == _ENTITY
    )
    return own.union_all(owned_spans).subquery("counts")


def _within(counts: Any, at: Any) -> ColumnElement[bool]:
    return and_(
        or_(counts.c.from_us.is_(None), counts.c.from_us <= at),
        or_(counts.c.until_us.is_(None), counts.c.until_us > at),
    )


def _corrections_known() -> ColumnElement[bool]:
    """As `Correction.counts_from_us`: known or recorded by then, whichever was earlier."""
    return or_(Correction.known_us <= _AS_OF, Correction.recorded_us <= _AS_OF)


def _uncorrected() -> Select[Any]:
    """Select the latest transaction without a known correction; one index look-up for each entity."""
    counts, of = _counts(), Transaction
    corrected = exists().where(
        Correction.entity_id == of.entity_id,
        Correction.transaction_id == of.transaction_id,
        _corrections_known(),
    )
    latest = (
        select(of.at_us)
        .where(of.entity_id == counts.c.entity_id, of.at_us <= _AS_OF, of.recorded_us <= _AS_OF)
        .where(_within(counts, of.at_us), ~corrected)
        .order_by(of.at_us.desc())
        .limit(1)
        .correlate(counts)
        .scalar_subquery()
    )
    each = select(latest.label("at_us")).select_from(counts).subquery()
    return _fact(Fact.TRANSACTION, at_us=func.max(each.c.at_us))


def _corrected() -> Select[Any]:
    """Select the latest transaction with a known correction, as corrected; without reversed ones."""
    counts, of = _counts(), Correction
    counted_from = case((of.recorded_us < of.known_us, of.recorded_us), else_=of.known_us)
    latest = (counted_from.desc(), of.id.desc())
    key = (of.organisation_id, of.entity_id, of.transaction_id)
    numbered = (
        select(
            *(*key, of.kind, of.at_us),
            func.row_number().over(partition_by=key, order_by=latest).label("place"),
            func.row_number().over(partition_by=(*key, of.at_us.is_(None)), order_by=latest).label("moment_place"),
        )
        .where(of.entity_id.in_(select(counts.c.entity_id)), _corrections_known())
        .subquery()
    )
    columns = numbered.c
    says_when = and_(columns.at_us.is_not(None), columns.moment_place == 1)
    row_key = (columns.organisation_id, columns.entity_id, columns.transaction_id)
    corrected_values = (
        select(
            *row_key,
            func.max(case((columns.place == 1, columns.kind))).label("kind"),
            func.max(case((says_when, columns.at_us))).label("at_us"),
        )
        .group_by(*row_key)
        .subquery()
    )
    whose = _counts().alias("whose")
    at = func.coalesce(corrected_values.c.at_us, Transaction.at_us)
    same = and_(
        Transaction.organisation_id == corrected_values.c.organisation_id,
        Transaction.transaction_id == corrected_values.c.transaction_id,
    )
    counting = (
        select(at.label("at_us"))
        .select_from(corrected_values)
        .join(Transaction, same)
        .join(whose, whose.c.entity_id == corrected_values.c.entity_id)
        .where(
            corrected_values.c.kind == "correction", at <= _AS_OF, Transaction.recorded_us <= _AS_OF, _within(whose, at)
        )
        .subquery()
    )
    return _fact(Fact.CORRECTED, at_us=func.max(counting.c.at_us))


def _record(kind: Fact) -> Select[Any]:
    """Select when the latest case or alert was opened, and when anything about these entities arrived last."""
    counts = _counts()
    opened = (
        select(Record.opened_us, Entity.noted_us)
        .join(counts, counts.c.entity_id == Record.entity_id)
        .join(Entity, Entity.id == Record.entity_id)
        .where(Record.kind == kind.value, Record.opened_us <= _AS_OF, _within(counts, Record.opened_us))
        .subquery()
    )
    return _fact(kind, at_us=func.max(opened.c.opened_us), until_us=func.max(opened.c.noted_us))
