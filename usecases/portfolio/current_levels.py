"""Current levels of many entities: the riskiest first, the latest reached, or by expected value."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fivefold.domain.paging import WHOLE, Page, Part
from fivefold.domain.segments import SEGMENTS
from fivefold.risk.engine.assessments import Status
from fivefold.store.accounts.organisation import levels_of
from fivefold.store.ingest.entities import type_named
from fivefold.store.portfolio.current_levels import CurrentLevelRow, LevelFilter, Order, current_levels_of
from fivefold.store.rulesets.rulesets import family_named
from fivefold.usecases.accounts.settings import NO_LEVEL, means_no_level
from fivefold.usecases.levels.records import NO_RULESET
from fivefold.usecases.shared.api_fields import Moment, shown_as
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.inputs import require_known

STATUSES = (*(status.value for status in Status), NO_RULESET)
"""The possible results of an assessment."""


@dataclass(frozen=True, kw_only=True)
class LevelFilters:
    """Which current levels are listed; empty or None sets no condition.

    Attributes:
        levels: names of levels; `NO_LEVEL` for entities without one.
        segments: names of segments.
        statuses: statuses of the latest assessment, from `STATUSES`.
        ruleset: the name of the ruleset that decided, in any version.
        since_us: the earliest moment at which the level was reached.
        failing: whether the last attempt to compute the level failed.
    """

    levels: Sequence[str] = ()
    segments: Sequence[str] = ()
    statuses: Sequence[str] = ()
    ruleset: str | None = None
    since_us: int | None = None
    failing: bool | None = None


ALL = LevelFilters()


@dataclass(frozen=True, kw_only=True)
class DecidedBy:
    """A version of a ruleset, which decided on an assessment."""

    name: str
    version: int


@dataclass(frozen=True, kw_only=True)
class CurrentLevel:
    """An entity's level and score, its value, since when it has the level, and when it is computed again.

    `score`: the points of the rules; null if no ruleset decided. `value_score`, `segment`, `expected_value` and
    `currency`: null if the value model knows no value.

    Attributes:
        level: the level in force; None for no level.
        rules_level: the level by the rules, also under an override.
        overridden: whether an override is in force.
        status: the result of the latest assessment.
        failing: whether the last attempt to compute the level failed.
        score: the total of the points; None if no ruleset decided.
        value_score: from 1 to 5; None, like the three after it, if the value model gives no value.
        segment: the segment of the value score.
        expected_value: in `currency`.
        superseded_by: the serving version of the value model if another one gave the value; otherwise None.
        since_us: when the level was reached; None if there was never one.
        assessed_us: when it was last computed.
        due_us: when it is to be computed again; None if nothing is planned.
        assessment: the number of the latest assessment, such as 12.3.
        source: the source of the level in force, as in `usecases.levels.read.LevelView`.
        decided_by: the version of the ruleset that decided.
    """

    external_id: str
    level: str | None
    rules_level: str | None
    overridden: bool
    status: str
    failing: bool
    score: float | None
    value_score: float | None
    segment: str | None
    expected_value: float | None
    currency: str | None
    superseded_by: int | None
    since_us: Annotated[Moment | None, shown_as("since")]
    assessed_us: Annotated[Moment, shown_as("assessed_at")]
    due_us: Annotated[Moment | None, shown_as("due_at")]
    assessment: str
    source: str
    decided_by: DecidedBy | None


def list_current_levels(
    context: Context, type_name: str, filters: LevelFilters = ALL, order: Order = Order.RISK, part: Part = WHOLE
) -> Page[CurrentLevel]:
    """List the stored levels of the entities of a type, without assessing any.

    NotFoundError if there is no such type or ruleset; ConfigError if there is no such level, segment or status.
    """
    with context.reading() as session:
        of = context.organisation_id
        names = levels_of(session, of)
        require_known("segment", filters.segments, SEGMENTS)
        require_known("status", filters.statuses, STATUSES)
        level_filter = LevelFilter(
            organisation_id=of,
            type_id=type_named(session, of, type_name).id,
            levels=level_places(filters.levels, names) or [*range(len(names), 0, -1), None],
            segments=sorted(set(filters.segments)),
            statuses=sorted(set(filters.statuses)),
            family_id=None if filters.ruleset is None else family_named(session, of, filters.ruleset).id,
            since_us=filters.since_us,
            failing=filters.failing,
        )
        rows = current_levels_of(session, level_filter, order, part)
        return rows.map(lambda row: _current_level(row, (None, *names)))


def level_numbers(level_names: Sequence[str], names: Sequence[str]) -> list[int]:
    """Return the numbers of levels, the highest first; ConfigError if there is no such level."""
    require_known("level", level_names, names)
    return sorted({names.index(name) + 1 for name in level_names}, reverse=True)


def level_places(level_names: Sequence[str], names: Sequence[str]) -> list[int | None]:
    """Return the numbers of levels, the highest first, then None for `NO_LEVEL`; ConfigError as above."""
    require_known("level", level_names, list(dict.fromkeys((*names, NO_LEVEL))))
    numbers = level_numbers([name for name in level_names if not means_no_level(name, names)], names)
    return [*numbers, None] if any(means_no_level(name, names) for name in level_names) else [*numbers]


def _current_level(row: CurrentLevelRow, names: Sequence[str | None]) -> CurrentLevel:
    """Return the current level of an entity as it is listed."""
    standing = row.standing
    return CurrentLevel(
        external_id=row.external_id,
        level=names[standing.level or 0],
        rules_level=names[standing.rules_level or 0],
        overridden=standing.override_id is not None,
        status=standing.status,
        failing=row.failing,
        score=None if standing.version_id is None else standing.score,
        value_score=standing.value_score,
        segment=standing.segment,
        expected_value=standing.expected_value,
        currency=None if standing.value_score is None else standing.value_currency,
        superseded_by=row.superseded_by,
        since_us=standing.level_since_us if standing.level_since_us > 0 else None,
        assessed_us=standing.assessed_us,
        due_us=row.due_us,
        assessment=f"{standing.entity_id}.{standing.number}",
        source=standing.level_source,
        decided_by=(
            None if row.ruleset is None or row.version is None else DecidedBy(name=row.ruleset, version=row.version)
        ),
    )
