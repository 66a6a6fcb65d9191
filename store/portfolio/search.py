"""Entities found by words, by a tag or by their owner. Nothing here begins or ends a transaction.

Of several words the rarest is looked up in the index, and the others are asked of each entity that it finds.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    Select,
    and_,
    distinct,
    exists,
    func,
    literal,
    or_,
    select,
    tuple_,
    union_all,
)
from sqlalchemy.orm import Session, aliased

from fivefold.domain.paging import Page, Part
from fivefold.store.levels.value_scores import superseded_by
from fivefold.store.portfolio.words import Place, end_of, words_of_entity
from fivefold.store.sql.bulk import delete_rows, write_rows
from fivefold.store.sql.keyset import require_key, rows_of
from fivefold.store.tables.entities import Entity, EntityType, Ownership, SearchWord, Tag
from fivefold.store.tables.levels import Standing

MOST_COUNTED = 10_000
"""So many are counted; beyond that it is said that there are more."""
MOST_ROWS_COUNTED = 3 * MOST_COUNTED
"""So many rows of the index are read to count them: an entity has one for each of its words that begin alike."""


@dataclass(frozen=True, kw_only=True)
class WantedEntities:
    """Who is looked for; empty or None is no condition. There are words, a tag or an owner.

    Attributes:
        type_id: of the entities.
        words: beginnings of words, as `store.portfolio.words.words_in` gives them; all must be found.
        tag: that they have at *now_us*.
        owner_id: who owns them at *now_us*.
        levels: numbers of levels.
        segments: of the value.
        statuses: of the latest assessment.
        places: in which words are looked for: what stands elsewhere is not found, and not seen in what is.
    """

    organisation_id: int
    type_id: int
    now_us: int
    words: Sequence[str] = ()
    tag: str | None = None
    owner_id: int | None = None
    levels: Sequence[int] = ()
    segments: Sequence[str] = ()
    statuses: Sequence[str] = ()
    places: Sequence[Place] = tuple(Place)


@dataclass(frozen=True)
class FoundRow:
    """An entity that was found, where its word stands, and where it stands itself; None if it was never assessed.

    Attributes:
        superseded_by: the version of the value model that serves, where another one gave the value; else None.
    """

    place: int
    entity: Entity
    standing: Standing | None
    superseded_by: int | None


def store_words(
    session: Session, kind: EntityType, entities: Iterable[tuple[int, str, Mapping[str, Any]]], *, known: Sequence[int]
) -> None:
    """Store the words of entities - number, identifier and attributes - in place of those of the *known* ones."""
    if known:
        delete_rows(session, "search_words", "entity_id", known)
    rows = (
        (kind.id, int(place), word, number)
        for number, external_id, attributes in entities
        for place, word in words_of_entity(external_id, attributes, kind.fields)
    )
    write_rows(session, "search_words", ("type_id", "place", "word", "entity_id"), rows)


def entities_found(session: Session, wanted: WantedEntities, part: Part) -> Page[FoundRow]:
    """List who is found: by identifier, then by name, then by other words, in their order; or as they were added.

    An erased entity is left out. ConfigError if the part begins behind no key of this list.
    """
    if part.after is not None:
        require_key((literal(0, Integer), SearchWord.word, SearchWord.entity_id), part.after)
    first = union_all(*(select(each.subquery()) for each in _branches(session, wanted, part))).subquery()
    statement = (
        select(first.c.place, Entity, Standing, superseded_by(Entity.id))
        .join(first, first.c.entity_id == Entity.id)
        .outerjoin(Standing, Standing.entity_id == Entity.id)
    )
    return rows_of(session, statement, (first.c.place, first.c.word, Entity.id), part).map(lambda row: FoundRow(*row))


def count_found(session: Session, wanted: WantedEntities) -> int:
    """Count who is found, up to one more than `MOST_COUNTED`."""
    if wanted.words:
        rarest, *others = _rarest_first(session, wanted)
        at_places = _having(wanted, rarest, others).where(SearchWord.place.in_([*map(int, wanted.places)]))
        rows = _standing_as_wanted(at_places, wanted, SearchWord.entity_id).limit(MOST_ROWS_COUNTED)
        counts = select(func.count(), func.count(distinct(rows.subquery().c.entity_id)))
        read, found = session.execute(counts).one()
        if read < MOST_ROWS_COUNTED or found > MOST_COUNTED:
            return min(found, MOST_COUNTED + 1)
    first = union_all(*(select(each.subquery()) for each in _branches(session, wanted, Part(MOST_COUNTED)))).subquery()
    return session.scalar(select(func.count()).select_from(select(first).limit(MOST_COUNTED + 1).subquery())) or 0


def _branches(session: Session, wanted: WantedEntities, part: Part) -> Iterator[Select[*tuple[Any, ...]]]:
    """Select place, word and number of the first entities of each place, in the order of an index."""
    if wanted.words:
        rarest, *others = _rarest_first(session, wanted)
        for place in wanted.places:
            if part.after is None or place >= int(part.after[0]):
                yield _by_word(wanted, place, rarest, others, part)
    else:
        yield _by_fact(wanted, part)


def _rarest_first(session: Session, wanted: WantedEntities) -> list[str]:
    """Put the word first that fewest entities have, as far as is counted."""
    if len(wanted.words) == 1:
        return list(wanted.words)
    parts = [
        select(
            literal(number, Integer),
            func.count().label("found"),
        ).select_from(
            select(SearchWord.entity_id)
            .where(SearchWord.type_id == wanted.type_id, SearchWord.place == int(place), _begins(SearchWord.word, word))
            .limit(MOST_COUNTED)
            .subquery()
        )
        for number, word in enumerate(wanted.words)
        for place in wanted.places
    ]
    counts = [0] * len(wanted.words)
    for number, found in session.execute(union_all(*parts)):
        counts[number] += found
    return [word for _, word in sorted(zip(counts, wanted.words, strict=True), key=lambda pair: pair[0])]


def _having(wanted: WantedEntities, word: str, others: Sequence[str]) -> Select[*tuple[Any, ...]]:
    """Select the rows of one word, of entities that have the others too; an erased entity has no words."""
    other = aliased(SearchWord)
    return select(SearchWord.word, SearchWord.entity_id).where(
        SearchWord.type_id == wanted.type_id,
        _begins(SearchWord.word, word),
        *(exists().where(other.entity_id == SearchWord.entity_id, _stands(other, each, wanted)) for each in others),
        *_facts(wanted, SearchWord.entity_id),
    )


def _by_word(
    wanted: WantedEntities, place: Place, word: str, others: Sequence[str], part: Part
) -> Select[*tuple[Any, ...]]:
    other = aliased(SearchWord)
    before = or_(other.place < SearchWord.place, and_(other.place == SearchWord.place, other.word < SearchWord.word))
    statement: Select[*tuple[Any, ...]] = (
        _having(wanted, word, others)
        .join(Entity, Entity.id == SearchWord.entity_id)
        .with_only_columns(literal(int(place), Integer).label("place"), SearchWord.word, SearchWord.entity_id)
        .where(
            SearchWord.place == int(place),
            ~exists().where(other.entity_id == SearchWord.entity_id, _begins(other.word, word), before),
        )
    )
    if part.after is not None and place == part.after[0]:
        behind = tuple_(literal(part.after[1], SearchWord.word.type), literal(part.after[2], BigInteger()))
        statement = statement.where(tuple_(SearchWord.word, SearchWord.entity_id) > behind)
    return _first_of(_passing(statement, wanted), (SearchWord.word, SearchWord.entity_id), part)


def _by_fact(wanted: WantedEntities, part: Part) -> Select[*tuple[Any, ...]]:
    """Select those who have a tag or an owner: the one of the two is looked up, the other asked of each."""
    number: Any = Tag.entity_id if wanted.tag is not None else Ownership.entity_id
    statement: Select[*tuple[Any, ...]] = (
        select(literal(0, Integer).label("place"), literal("", SearchWord.word.type).label("word"), number)
        .join(Entity, Entity.id == number)
        .where(Entity.type_id == wanted.type_id)
        .group_by(number)
    )
    if wanted.tag is not None:
        statement = statement.where(Tag.organisation_id == wanted.organisation_id, _has_tag(wanted))
        statement = statement.where(*_facts(replace(wanted, tag=None), number))
    else:
        statement = statement.where(_is_owned(wanted))
    if part.after is not None:
        statement = statement.where(number > literal(part.after[2], BigInteger()))
    return _first_of(_passing(statement, wanted), (number,), part)


def _first_of(statement: Select[*tuple[Any, ...]], keys: Sequence[Any], part: Part) -> Select[*tuple[Any, ...]]:
    return statement if part.most is None else statement.order_by(*keys).limit(part.most + 1)


def _passing(statement: Select[*tuple[Any, ...]], wanted: WantedEntities) -> Select[*tuple[Any, ...]]:
    return _standing_as_wanted(statement.where(Entity.erased_us.is_(None)), wanted, Entity.id)


def _standing_as_wanted(
    statement: Select[*tuple[Any, ...]], wanted: WantedEntities, number: Any
) -> Select[*tuple[Any, ...]]:
    if not (wanted.levels or wanted.segments or wanted.statuses):
        return statement
    statement = statement.join(Standing, Standing.entity_id == number)
    for column, values in (
        (Standing.level, wanted.levels),
        (Standing.segment, wanted.segments),
        (Standing.status, wanted.statuses),
    ):
        statement = statement.where(column.in_(values)) if values else statement
    return statement


def _begins(column: Any, word: str) -> ColumnElement[bool]:
    end = end_of(word)
    return column >= word if end is None else and_(column >= word, column < end)


def _stands(words: type[SearchWord], beginning: str, wanted: WantedEntities) -> ColumnElement[bool]:
    begins = _begins(words.word, beginning)
    return begins if len(wanted.places) == len(Place) else and_(words.place.in_([*map(int, wanted.places)]), begins)


def _has_tag(wanted: WantedEntities) -> ColumnElement[bool]:
    lasts = or_(Tag.until_us.is_(None), Tag.until_us > wanted.now_us)
    return and_(Tag.tag == wanted.tag, Tag.from_us <= wanted.now_us, lasts)


def _is_owned(wanted: WantedEntities) -> ColumnElement[bool]:
    begun = or_(Ownership.from_us.is_(None), Ownership.from_us <= wanted.now_us)
    lasts = or_(Ownership.until_us.is_(None), Ownership.until_us > wanted.now_us)
    return and_(Ownership.owner_id == wanted.owner_id, begun, lasts)


def _facts(wanted: WantedEntities, number: Any) -> Iterator[ColumnElement[bool]]:
    if wanted.tag is not None:
        yield exists().where(Tag.entity_id == number, _has_tag(wanted))
    if wanted.owner_id is not None:
        yield exists().where(Ownership.entity_id == number, _is_owned(wanted))
