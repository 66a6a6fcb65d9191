"""Who moved: from which level to which, when, why, and by which activation of a ruleset."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from sqlalchemy.orm import Session

from fivefold.domain.errors import ConfigError
from fivefold.domain.paging import WHOLE, Page, Part
from fivefold.store.accounts.organisation import levels_of
from fivefold.store.ingest.entities import type_named
from fivefold.store.portfolio.transitions import (
    Direction,
    TransitionFilter,
    TransitionRow,
    activations_of_versions,
    transitions_among,
)
from fivefold.store.rulesets.rulesets import rulesets_of_versions
from fivefold.store.tables.rulesets import Activation
from fivefold.usecases.levels.content.breakdowns import Name, lines_of
from fivefold.usecases.levels.explain import shown_line
from fivefold.usecases.portfolio.current_levels import DecidedBy, level_numbers
from fivefold.usecases.shared.api_fields import Moment, shown_as
from fivefold.usecases.shared.context import Context

DIRECTIONS = tuple(direction.name.lower() for direction in reversed(Direction))
"""rise, fall, and first: there was no level before."""


@dataclass(frozen=True, kw_only=True)
class TransitionFilters:
    """Which levels reached are listed; empty or None is no condition.

    Attributes:
        directions: of `DIRECTIONS`.
        entity_type: its name.
        levels: the names of the levels that were reached.
        since_us: they were reached then or later.
        until_us: they were reached before.
    """

    directions: Sequence[str] = ()
    entity_type: str | None = None
    levels: Sequence[str] = ()
    since_us: int | None = None
    until_us: int | None = None


EVERY = TransitionFilters()


@dataclass(frozen=True, kw_only=True)
class ActivationBehind:
    """The activation, or roll-back, by which a version came to decide: its number, when, and by whom."""

    id: int
    kind: str
    at_us: Annotated[Moment, shown_as("at")]
    actor: str


@dataclass(frozen=True, kw_only=True)
class LevelReached:
    """A level that an entity reached, by which assessment, and why.

    `activation`: by which the version came to decide, where the assessment before was by another one; null where
    something happened to the entity.

    Attributes:
        direction: of `DIRECTIONS`.
        from_level: None for no level, as `to_level`.
        source: what made it: rules, override, decay or expiry.
        assessment: its number, such as 12.3.
        line: the arithmetic of that assessment in one line; empty once it was erased.
        decided_by: the version of the ruleset that decided.
        decided_before_by: that of the assessment before.
    """

    entity_type: Annotated[str, shown_as("type")]
    external_id: str
    direction: str
    from_level: str | None
    to_level: str | None
    at_us: Annotated[Moment, shown_as("at")]
    source: str
    assessment: str
    line: str
    decided_by: DecidedBy | None
    decided_before_by: DecidedBy | None
    activation: ActivationBehind | None


def list_transitions(context: Context, filters: TransitionFilters = EVERY, part: Part = WHOLE) -> Page[LevelReached]:
    """List levels reached: rises first, then falls, then first levels; of each the latest first.

    NotFoundError where there is no such type; ConfigError where there is no such level or direction.
    """
    with context.reading() as session:
        of = context.organisation_id
        names = levels_of(session, of)
        for name in filters.directions:
            if name not in DIRECTIONS:
                raise ConfigError(f"there is no direction {name!r}; there are {', '.join(DIRECTIONS)}")
        wanted = TransitionFilter(
            organisation_id=of,
            directions=[Direction[name.upper()] for name in filters.directions or DIRECTIONS],
            type_id=None if filters.entity_type is None else type_named(session, of, filters.entity_type).id,
            levels=level_numbers(filters.levels, names),
            since_us=filters.since_us,
            until_us=filters.until_us,
        )
        page = transitions_among(session, wanted, part)
        show = shower_of(session, of, page, names)
        return page.map(show)


def shower_of(
    session: Session, organisation_id: int, rows: Sequence[TransitionRow], names: Sequence[str]
) -> Callable[[TransitionRow], LevelReached]:
    """Read by which versions and activations some levels were reached, and why; give what shows one of them.

    *names*: of the organisation's levels, the lowest first.
    """
    versions = {number for row in rows for number in _versions(row) if number is not None}
    rulesets = rulesets_of_versions(session, sorted(versions))
    activations = activations_of_versions(session, sorted(versions))
    lines = lines_of(session, organisation_id, [(row.transition.entity_id, row.transition.number) for row in rows])
    return lambda row: _shown(row, (None, *names), rulesets, activations, lines)


def _versions(row: TransitionRow) -> tuple[int | None, int | None]:
    return None if row.assessment is None else row.assessment.version_id, row.version_before


def _shown(
    row: TransitionRow,
    names: Sequence[str | None],
    rulesets: Mapping[int, tuple[str, int]],
    activations: Sequence[Activation],
    lines: Mapping[Name, str],
) -> LevelReached:
    reached, (version, before) = row.transition, _versions(row)
    changed = reached.number > 1 and version is not None and version != before
    behind = [each for each in activations if changed and each.version_id == version and each.at_us <= reached.at_us]
    return LevelReached(
        entity_type=row.entity_type,
        external_id=row.external_id,
        direction=Direction(row.direction).name.lower(),
        from_level=names[reached.from_level or 0],
        to_level=names[reached.to_level or 0],
        at_us=reached.at_us,
        source=reached.source,
        assessment=f"{reached.entity_id}.{reached.number}",
        line=_line(row, lines),
        decided_by=_decided_by(rulesets, version),
        decided_before_by=_decided_by(rulesets, before),
        activation=_activation(behind[-1]) if behind else None,
    )


def _decided_by(rulesets: Mapping[int, tuple[str, int]], version: int | None) -> DecidedBy | None:
    name, number = rulesets.get(version or 0, ("", 0))
    return DecidedBy(name=name, version=number) if name else None


def _line(row: TransitionRow, lines: Mapping[Name, str]) -> str:
    line = lines.get((row.transition.entity_id, row.transition.number))
    return "" if row.assessment is None or line is None else shown_line(row.assessment.status, line)


def _activation(row: Activation) -> ActivationBehind:
    return ActivationBehind(id=row.id, kind=row.kind, at_us=row.at_us, actor=row.actor)
