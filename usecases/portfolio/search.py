"""Search for entities by prefixes of words of any text, by a tag, an owner or an error."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from sqlalchemy.orm import Session

from fivefold.domain.errors import ConfigError
from fivefold.domain.paging import WHOLE, Page, Part
from fivefold.domain.segments import SEGMENTS
from fivefold.store.accounts.organisation import levels_of
from fivefold.store.ingest.entities import entity_named, type_named
from fivefold.store.portfolio.search import MOST_COUNTED, EntityFilter, FoundRow, count_found, entities_found
from fivefold.store.portfolio.words import WordPlace, beginnings_in, is_name
from fivefold.usecases.ingest.entities import latest_attributes
from fivefold.usecases.portfolio.current_levels import STATUSES, level_numbers
from fivefold.usecases.shared.api_fields import Moment, shown_as
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.inputs import require_known

MOST_WORDS = 6
"""The most words in one search."""


@dataclass(frozen=True, kw_only=True)
class Search:
    """The search: words, a tag, an owner or `failing`, and further conditions; empty or None means no condition.

    Attributes:
        text: prefixes of words, in any order; all must match.
        tag: a tag that the entities have now.
        owner: the type and identifier of their present owner.
        levels: names of levels.
        segments: names of segments.
        statuses: statuses of the latest assessment.
        failing: whether the last attempt to assess them failed.
    """

    text: str = ""
    tag: str | None = None
    owner: tuple[str, str] | None = None
    levels: Sequence[str] = ()
    segments: Sequence[str] = ()
    statuses: Sequence[str] = ()
    failing: bool | None = None


@dataclass(frozen=True, kw_only=True)
class EntityFound:
    """A found entity with its level and value.

    `found_in`: identifier, name or other; null without words to search for. `name`: the text of fields whose own names
    say that they hold names. `failing`: the level could not be computed the last time that was tried. The other fields
    from `level` on are null if it was never assessed, or has none. `superseded_by`: the serving version of the value
    model, if another one gave the value.
    """

    external_id: str
    name: str
    found_in: str | None
    level: str | None
    status: str | None
    failing: bool
    score: float | None
    value_score: float | None
    segment: str | None
    expected_value: float | None
    currency: str | None
    superseded_by: int | None
    since_us: Annotated[Moment | None, shown_as("since")]
    assessment: str | None


@dataclass(frozen=True, kw_only=True)
class EntitiesCounted:
    """The number of matches; `more`: there are more than are counted."""

    count: int
    more: bool


def search_entities(context: Context, type_name: str, search: Search, part: Part = WHOLE) -> Page[EntityFound]:
    """List matching entities: by identifier first, then by name, then by other text, in the order of the words.

    Without words, they are in the order of their creation.

    NotFoundError if there is no such type or owner; ConfigError without any of words, a tag, an owner or `failing`, or
    if there is no such level, segment or status.
    """
    with context.reading() as session:
        entity_filter, names, fields = _entity_filter(session, context, type_name, search)
        page = entities_found(session, entity_filter, part)
        attributes = latest_attributes(session, [row.entity.id for row in page])
        return page.map(
            lambda row: _entity_found(
                row, (None, *names), _name(attributes.get(row.entity.id, (0, {}))[1], fields), entity_filter
            )
        )


def count_entities(context: Context, type_name: str, search: Search) -> EntitiesCounted:
    """Count matching entities, up to `MOST_COUNTED`; errors as of `search_entities`."""
    with context.reading() as session:
        count = count_found(session, _entity_filter(session, context, type_name, search)[0])
        return EntitiesCounted(count=min(count, MOST_COUNTED), more=count > MOST_COUNTED)


def _entity_filter(
    session: Session, context: Context, type_name: str, search: Search
) -> tuple[EntityFilter, tuple[str, ...], Mapping[str, Any]]:
    """Return the filter, the names of levels, and the declared kinds of attributes."""
    of = context.organisation_id
    kind, names = type_named(session, of, type_name), levels_of(session, of)
    words = beginnings_in(search.text)
    if search.text and not words:
        raise ConfigError("the search text has no letter or digit")
    if len(words) > MOST_WORDS:
        raise ConfigError(f"the search text has {len(words)} words; at most {MOST_WORDS} are allowed")
    if not words and search.tag is None and search.owner is None and not search.failing:
        raise ConfigError("give words, a tag, an owner or failing=true to search for")
    require_known("segment", search.segments, SEGMENTS)
    require_known("status", search.statuses, STATUSES)
    entity_filter = EntityFilter(
        organisation_id=of,
        type_id=kind.id,
        now_us=context.now(),
        words=words,
        tag=search.tag,
        owner_id=None if search.owner is None else entity_named(session, of, *search.owner).id,
        levels=level_numbers(search.levels, names),
        segments=sorted(set(search.segments)),
        statuses=sorted(set(search.statuses)),
        failing=search.failing,
    )
    return entity_filter, names, kind.fields


def _name(attributes: Mapping[str, Any], fields: Mapping[str, Any]) -> str:
    return " ".join(
        value
        for field, value in sorted(attributes.items())
        if fields.get(field) == "text" and isinstance(value, str) and is_name(field)
    )


def _entity_found(row: FoundRow, names: Sequence[str | None], name: str, entity_filter: EntityFilter) -> EntityFound:
    """Describe a found entity with its standing."""
    standing = row.standing
    named: dict[str, Any] = {
        "external_id": row.entity.external_id,
        "name": name,
        "found_in": WordPlace(row.place).name.lower() if entity_filter.words else None,
        "failing": row.failing,
    }
    if standing is None:
        nothing: dict[str, Any] = dict.fromkeys(EntityFound.__dataclass_fields__.keys() - named)
        return EntityFound(**named, **nothing)
    return EntityFound(
        **named,
        level=names[standing.level or 0],
        status=standing.status,
        score=None if standing.version_id is None else standing.score,
        value_score=standing.value_score,
        segment=standing.segment,
        expected_value=standing.expected_value,
        currency=None if standing.value_score is None else standing.value_currency,
        superseded_by=row.superseded_by,
        since_us=standing.level_since_us if standing.level_since_us > 0 else None,
        assessment=f"{standing.entity_id}.{standing.number}",
    )
