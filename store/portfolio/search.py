"""Search for entities by words, by a tag, by their owner or by an error. Nothing here begins or ends a transaction.

Of several words the rarest is looked up in the index, and the others are checked for each entity that it finds.
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

from fivefold.domain.errors import ConfigError
from fivefold.domain.paging import NO_PLACE, Page, Part
from fivefold.store.levels.levels import is_failing
from fivefold.store.portfolio.values import superseded_by
from fivefold.store.portfolio.words import Beginnings, WordPlace, end_of, words_of_entity
from fivefold.store.sql.keyset import require_key, rows_of
from fivefold.store.sql.statements import delete_rows_of, write_rows
from fivefold.store.tables.entities import Entity, EntityType, Ownership, SearchWord, Tag
from fivefold.store.tables.levels import IS_FAILING, DueMark, Standing

MOST_COUNTED = 10_000
"""The most entities that are counted; beyond, the count is only a lower bound."""
MOST_ROWS_COUNTED = 3 * MOST_COUNTED
"""The most rows of the index that are read to count them: an entity has a row for each word with the same prefix."""


@dataclass(frozen=True, kw_only=True)
class EntityFilter:
    """Which entities are searched for; empty or None sets no condition.

    Words, a tag, an owner or *failing* is required.

    Attributes:
        type_id: the type of the entities.
        words: prefixes of words, as `store.portfolio.words.beginnings_in` returns them; one of each word must match.
        tag: a tag that they have at *now_us*.
        owner_id: their owner at *now_us*.
        levels: numbers of levels.
        segments: segments of the value.
        statuses: statuses of the latest assessment.
        failing: whether the last attempt to assess them failed.
        places: the places in which words are searched for; words elsewhere are neither found nor shown.
    """

    organisation_id: int
    type_id: int
    now_us: int
    words: Sequence[Beginnings] = ()
    tag: str | None = None
    owner_id: int | None = None
    levels: Sequence[int] = ()
    segments: Sequence[str] = ()
    statuses: Sequence[str] = ()
    failing: bool | None = None
    places: Sequence[WordPlace] = tuple(WordPlace)


@dataclass(frozen=True)
class FoundRow:
    """A found entity, the place of its word, and its standing; None if it was never assessed.

    Attributes:
        superseded_by: the serving version of the value model if another one gave the value; None otherwise.
        failing: whether the last attempt to assess it failed.
    """

    place: int
    entity: Entity
    standing: Standing | None
    superseded_by: int | None
    failing: bool


def store_words(
    session: Session,
    kind: EntityType,
    entities: Iterable[tuple[int, str, Mapping[str, Any]]],
    *,
    known_ids: Sequence[int],
) -> None:
    """Store the words of entities - number, identifier and attributes - replacing those that *known_ids* have."""
    if known_ids:
        delete_rows_of(session, "search_words", known_ids)
    rows = (
        (kind.id, int(place), word, number)
        for number, external_id, attributes in entities
        for place, word in words_of_entity(external_id, attributes, kind.fields)
    )
    write_rows(session, "search_words", ("type_id", "place", "word", "entity_id"), rows)


def entities_found(session: Session, entity_filter: EntityFilter, part: Part) -> Page[FoundRow]:
    """List matching entities: by identifier, then by name, then by other words, in their order; or as they were added.

    An erased entity is left out. ConfigError if the part does not begin after a key of this list.
    """
    by = _order_word(session, entity_filter, part)
    behind = Part(part.most, None if part.after is None else part.after[1:])
    branches = [select(each.subquery()) for each in _branches(entity_filter, behind, by)]
    if not branches:
        return Page()
    first = union_all(*branches).subquery()
    statement = (
        select(first.c.place, Entity, Standing, superseded_by(Entity.id), IS_FAILING)
        .join(first, first.c.entity_id == Entity.id)
        .outerjoin(Standing, Standing.entity_id == Entity.id)
        .outerjoin(DueMark, DueMark.entity_id == Entity.id)
    )
    page = rows_of(session, statement, (first.c.place, first.c.word, Entity.id), behind)
    return Page([FoundRow(*row) for row in page], None if page.next is None else (by, *page.next))


def _order_word(session: Session, entity_filter: EntityFilter, part: Part) -> int:
    """Return the place of the word that gives the order: the rarest; later pages keep that of the first page.

    Another word may be the rarest by then, and in its order the page would begin elsewhere. ConfigError if the part
    does not begin after a key of this list.
    """
    if part.after is None:
        return _rarest_word(session, entity_filter)
    require_key((literal(0, Integer), literal(0, Integer), SearchWord.word, SearchWord.entity_id), part.after)
    by = int(part.after[0])
    if not 0 <= by < max(len(entity_filter.words), 1):
        raise ConfigError(NO_PLACE)
    return by


def count_found(session: Session, entity_filter: EntityFilter) -> int:
    """Count matching entities, up to one more than `MOST_COUNTED`."""
    by = _rarest_word(session, entity_filter)
    if entity_filter.words:
        at_places = _having(entity_filter, by, entity_filter.words[by]).where(
            SearchWord.place.in_([*map(int, entity_filter.places)])
        )
        rows = _with_standing(at_places, entity_filter, SearchWord.entity_id).limit(MOST_ROWS_COUNTED)
        counts = select(func.count(), func.count(distinct(rows.subquery().c.entity_id)))
        read, count = session.execute(counts).one()
        if read < MOST_ROWS_COUNTED or count > MOST_COUNTED:
            return min(count, MOST_COUNTED + 1)
    first = union_all(
        *(select(each.subquery()) for each in _branches(entity_filter, Part(MOST_COUNTED), by))
    ).subquery()
    return session.scalar(select(func.count()).select_from(select(first).limit(MOST_COUNTED + 1).subquery())) or 0


def _branches(entity_filter: EntityFilter, part: Part, by: int) -> Iterator[Select[*tuple[Any, ...]]]:
    """Select place, word and number of the first entities of each place and prefix, in the order of an index.

    Of several words the one at the place *by* is looked up.
    """
    if entity_filter.words:
        for place in entity_filter.places:
            if part.after is None or place >= int(part.after[0]):
                yield from (_by_word(entity_filter, place, by, each, part) for each in entity_filter.words[by])
    else:
        yield _by_fact(entity_filter, part)


def _rarest_word(session: Session, entity_filter: EntityFilter) -> int:
    """Return the place of the rarest word, as far as the entities are counted; 0 without words."""
    if len(entity_filter.words) < 2:
        return 0
    parts = [
        select(
            literal(number, Integer),
            func.count().label("found"),
        ).select_from(
            select(SearchWord.entity_id)
            .where(
                SearchWord.type_id == entity_filter.type_id,
                SearchWord.place == int(place),
                _begins(SearchWord.word, (beginning,)),
            )
            .limit(MOST_COUNTED)
            .subquery()
        )
        for number, word in enumerate(entity_filter.words)
        for beginning in word
        for place in entity_filter.places
    ]
    counts = [0] * len(entity_filter.words)
    for number, count in session.execute(union_all(*parts)):
        counts[number] += count
    return counts.index(min(counts))


def _having(entity_filter: EntityFilter, by: int, beginnings: Beginnings) -> Select[*tuple[Any, ...]]:
    """Select the rows of the word at a place, by some of its prefixes, for entities that have the other words too.

    An erased entity has no words.
    """
    other = aliased(SearchWord)
    others = [each for number, each in enumerate(entity_filter.words) if number != by]
    return select(SearchWord.word, SearchWord.entity_id).where(
        SearchWord.type_id == entity_filter.type_id,
        _begins(SearchWord.word, beginnings),
        *(
            exists().where(other.entity_id == SearchWord.entity_id, _stands(other, each, entity_filter))
            for each in others
        ),
        *_facts(entity_filter, SearchWord.entity_id),
    )


def _by_word(
    entity_filter: EntityFilter, place: WordPlace, by: int, beginning: str, part: Part
) -> Select[*tuple[Any, ...]]:
    """Select the first rows of a prefix of a word in a place; an entity is listed only at its first match."""
    other, word = aliased(SearchWord), entity_filter.words[by]
    before = or_(other.place < SearchWord.place, and_(other.place == SearchWord.place, other.word < SearchWord.word))
    statement: Select[*tuple[Any, ...]] = (
        _having(entity_filter, by, (beginning,))
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
    return _first_of(_passing(statement, entity_filter), (SearchWord.word, SearchWord.entity_id), part)


def _by_fact(entity_filter: EntityFilter, part: Part) -> Select[*tuple[Any, ...]]:
    """Select the entities that one fact leads to; the other conditions are checked for each."""
    number, leads_to, others = _fact_of(entity_filter)
    statement: Select[*tuple[Any, ...]] = (
        select(literal(0, Integer).label("place"), literal("", SearchWord.word.type).label("word"), number)
        .join(Entity, Entity.id == number)
        .where(Entity.type_id == entity_filter.type_id, leads_to, *_facts(others, number))
        .group_by(number)
    )
    if part.after is not None:
        statement = statement.where(number > literal(part.after[2], BigInteger()))
    return _first_of(_passing(statement, others), (number,), part)


def _fact_of(entity_filter: EntityFilter) -> tuple[Any, ColumnElement[bool], EntityFilter]:
    """Choose the fact that is looked up: a tag, an owner or an error.

    Returns:
        its column of entities, its condition, and the other conditions.
    """
    of = entity_filter.organisation_id
    if entity_filter.tag is not None:
        has_tag = and_(Tag.organisation_id == of, _has_tag(entity_filter))
        return Tag.entity_id, has_tag, replace(entity_filter, tag=None)
    if entity_filter.owner_id is not None:
        return Ownership.entity_id, _is_owned(entity_filter), replace(entity_filter, owner_id=None)
    return DueMark.entity_id, and_(DueMark.organisation_id == of, IS_FAILING), replace(entity_filter, failing=None)


def _first_of(statement: Select[*tuple[Any, ...]], keys: Sequence[Any], part: Part) -> Select[*tuple[Any, ...]]:
    return statement if part.most is None else statement.order_by(*keys).limit(part.most + 1)


def _passing(statement: Select[*tuple[Any, ...]], entity_filter: EntityFilter) -> Select[*tuple[Any, ...]]:
    return _with_standing(statement.where(Entity.erased_us.is_(None)), entity_filter, Entity.id)


def _with_standing(
    statement: Select[*tuple[Any, ...]], entity_filter: EntityFilter, number: Any
) -> Select[*tuple[Any, ...]]:
    """Add the conditions on the standing and its mark; without any on the standing, standings are not joined."""
    if (failing := entity_filter.failing) is not None:
        statement = statement.where(is_failing(entity_filter.organisation_id, number, failing=failing))
    if not (entity_filter.levels or entity_filter.segments or entity_filter.statuses):
        return statement
    statement = statement.join(Standing, Standing.entity_id == number)
    for column, values in (
        (Standing.level, entity_filter.levels),
        (Standing.segment, entity_filter.segments),
        (Standing.status, entity_filter.statuses),
    ):
        statement = statement.where(column.in_(values)) if values else statement
    return statement


def _begins(column: Any, beginnings: Beginnings) -> ColumnElement[bool]:
    ends = [(each, end_of(each)) for each in beginnings]
    return or_(*(column >= each if end is None else and_(column >= each, column < end) for each, end in ends))


def _stands(words: type[SearchWord], beginnings: Beginnings, entity_filter: EntityFilter) -> ColumnElement[bool]:
    begins = _begins(words.word, beginnings)
    return (
        begins
        if len(entity_filter.places) == len(WordPlace)
        else and_(words.place.in_([*map(int, entity_filter.places)]), begins)
    )


def _has_tag(entity_filter: EntityFilter) -> ColumnElement[bool]:
    lasts = or_(Tag.until_us.is_(None), Tag.until_us > entity_filter.now_us)
    return and_(Tag.tag == entity_filter.tag, Tag.from_us <= entity_filter.now_us, lasts)


def _is_owned(entity_filter: EntityFilter) -> ColumnElement[bool]:
    has_begun = or_(Ownership.from_us.is_(None), Ownership.from_us <= entity_filter.now_us)
    lasts = or_(Ownership.until_us.is_(None), Ownership.until_us > entity_filter.now_us)
    return and_(Ownership.owner_id == entity_filter.owner_id, has_begun, lasts)


def _facts(entity_filter: EntityFilter, number: Any) -> Iterator[ColumnElement[bool]]:
    if entity_filter.tag is not None:
        yield exists().where(Tag.entity_id == number, _has_tag(entity_filter))
    if entity_filter.owner_id is not None:
        yield exists().where(Ownership.entity_id == number, _is_owned(entity_filter))
