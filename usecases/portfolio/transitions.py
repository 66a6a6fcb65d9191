"""Level changes of entities: from which level to which, when, why, and by which activation of a ruleset."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from sqlalchemy.orm import Session

from fivefold.domain.paging import WHOLE, Page, Part
from fivefold.store.accounts.organisation import levels_of
from fivefold.store.ingest.entities import type_named
from fivefold.store.portfolio.moves import (
    Direction,
    RulesetActivation,
    TransitionFilter,
    TransitionRow,
    changes_of_types,
    transitions_among,
)
from fivefold.store.rulesets.rulesets import rulesets_of_versions
from fivefold.usecases.levels.content.breakdowns import Name, lines_of
from fivefold.usecases.levels.explain import shown_line
from fivefold.usecases.portfolio.current_levels import DecidedBy, level_numbers
from fivefold.usecases.shared.api_fields import Moment, shown_as
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.inputs import require_known

DIRECTIONS = tuple(direction.name.lower() for direction in reversed(Direction))
"""rise, fall, and first, where there was no level before."""


@dataclass(frozen=True, kw_only=True)
class TransitionFilters:
    """Which reached levels are listed; empty or None sets no condition.

    Attributes:
        directions: directions, from `DIRECTIONS`.
        entity_type: the name of the type.
        levels: the names of the reached levels.
        since_us: the earliest moment at which a level was reached.
        until_us: the moment before which it was reached.
    """

    directions: Sequence[str] = ()
    entity_type: str | None = None
    levels: Sequence[str] = ()
    since_us: int | None = None
    until_us: int | None = None


EVERY = TransitionFilters()


@dataclass(frozen=True, kw_only=True)
class ActivationBehind:
    """The change of a ruleset that can be why another version decided: its number, when, and by whom.

    Attributes:
        kind: activation, rollback or off, or order: another order of the rulesets.
        name: the name of the ruleset.
        version: the number of the version that decides since; None if the ruleset was switched off.
    """

    id: int
    kind: str
    name: str
    version: int | None
    at_us: Annotated[Moment, shown_as("at")]
    actor: str


@dataclass(frozen=True, kw_only=True)
class LevelReached:
    """A level that an entity reached, its assessment, and why.

    `activation`: the last change of one of the two rulesets, or of their order, since the previous assessment, if
    another version decided on that one; null if there was none: an event of the entity was the reason. Clocks of
    machines differ, so that it may be a little later than the level, where the version was not in force before.

    Attributes:
        direction: one of `DIRECTIONS`.
        from_level: the level before; None for no level, as in `to_level`.
        source: the source of the assessment: rules, override, decay, expiry or time.
        assessment: the number of the assessment, such as 12.3.
        line: the arithmetic of that assessment in one line; empty once it was erased.
        decided_by: the version of the ruleset that decided.
        decided_before_by: the version that decided at the previous assessment.
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
    """List reached levels: rises, then falls, then first levels; the latest first within each.

    Levels of erased entities are left out; `portfolio.migration` counts them.

    NotFoundError if there is no such type; ConfigError if there is no such level or direction.
    """
    with context.reading() as session:
        of = context.organisation_id
        names = levels_of(session, of)
        require_known("direction", filters.directions, DIRECTIONS)
        transition_filter = TransitionFilter(
            organisation_id=of,
            directions=[Direction[name.upper()] for name in filters.directions or DIRECTIONS],
            type_id=None if filters.entity_type is None else type_named(session, of, filters.entity_type).id,
            levels=level_numbers(filters.levels, names),
            since_us=filters.since_us,
            until_us=filters.until_us,
        )
        page = transitions_among(session, transition_filter, part)
        show = shower_of(session, of, page, names)
        return page.map(show)


def shower_of(
    session: Session, organisation_id: int, rows: Sequence[TransitionRow], names: Sequence[str]
) -> Callable[[TransitionRow], LevelReached]:
    """Read the versions, activations and reasons of reached levels; return a function that describes one of them.

    *names* are the organisation's levels, the lowest first.
    """
    versions = {number for row in rows for number in (_version(row), row.version_before) if number is not None}
    rulesets = rulesets_of_versions(session, sorted(versions))
    changes = changes_of_types(session, sorted({row.type_id for row in rows}))
    lines = lines_of(session, organisation_id, [(row.transition.entity_id, row.transition.number) for row in rows])
    return lambda row: _level_reached(row, (None, *names), rulesets, changes, lines)


def _version(row: TransitionRow) -> int | None:
    return None if row.assessment is None else row.assessment.version_id


def _level_reached(
    row: TransitionRow,
    names: Sequence[str | None],
    rulesets: Mapping[int, tuple[str, int]],
    changes: Sequence[RulesetActivation],
    lines: Mapping[Name, str],
) -> LevelReached:
    """Describe a reached level."""
    transition = row.transition
    after, before = (_decided_by(rulesets, version) for version in (_version(row), row.version_before))
    return LevelReached(
        entity_type=row.entity_type,
        external_id=row.external_id,
        direction=Direction(row.direction).name.lower(),
        from_level=names[transition.from_level or 0],
        to_level=names[transition.to_level or 0],
        at_us=transition.at_us,
        source=transition.source,
        assessment=f"{transition.entity_id}.{transition.number}",
        line=_line(row, lines),
        decided_by=after,
        decided_before_by=before,
        activation=None if row.before_us is None or after == before else _behind(row, after, before, changes),
    )


def _behind(
    row: TransitionRow, after: DecidedBy | None, before: DecidedBy | None, changes: Sequence[RulesetActivation]
) -> ActivationBehind | None:
    """Return the change of rulesets by which another version decides on an entity than at its previous assessment.

    There may be none where another ruleset decides than before, by a version that was already in force.
    """
    of_type = [change for change in changes if change.type_id == row.type_id]
    is_of_one_ruleset = after is not None and before is not None and after.name == before.name
    if after is not None and (is_of_one_ruleset or not _was_in_force(after, of_type, row.transition.at_us)):
        return _shown(_by_which_it_decides(row, after, of_type))
    names = {each.name for each in (after, before) if each is not None}
    between = [
        change
        for change in of_type
        if (row.before_us or 0) < change.activation.at_us <= row.transition.at_us
        and (_is_order(change) or change.name in names)
    ]
    return _shown(between[-1] if between else None)


def _was_in_force(version: DecidedBy, changes: Sequence[RulesetActivation], at_us: int) -> bool:
    """Check whether a version was in force at a moment, by the clocks of the machines that changed rulesets."""
    of_ruleset = [each for each in changes if each.name == version.name and each.activation.at_us <= at_us]
    return bool(of_ruleset) and of_ruleset[-1].number == version.version


def _by_which_it_decides(
    row: TransitionRow, after: DecidedBy, changes: Sequence[RulesetActivation]
) -> RulesetActivation | None:
    """Return the change that put the version in force: the last one between the two assessments.

    A version that did not decide before cannot decide without such a change. Clocks of machines differ, so that it may
    lie beyond either assessment: then the nearest one is returned.
    """
    begun = [change for change in changes if (change.name, change.number) == (after.name, after.version)]

    def beyond_us(change: RulesetActivation) -> int:
        at_us = change.activation.at_us
        return max((row.before_us or 0) - at_us, at_us - row.transition.at_us, 0)

    return min((change for change in reversed(begun) if not _is_order(change)), key=beyond_us, default=None)


def _is_order(change: RulesetActivation) -> bool:
    return change.activation.version_id == change.activation.previous_version_id


def _shown(change: RulesetActivation | None) -> ActivationBehind | None:
    if change is None:
        return None
    return ActivationBehind(
        id=change.activation.id,
        kind="order" if _is_order(change) else change.activation.kind,
        name=change.name,
        version=change.number,
        at_us=change.activation.at_us,
        actor=change.activation.actor,
    )


def _decided_by(rulesets: Mapping[int, tuple[str, int]], version: int | None) -> DecidedBy | None:
    name, number = rulesets.get(version or 0, ("", 0))
    return DecidedBy(name=name, version=number) if name else None


def _line(row: TransitionRow, lines: Mapping[Name, str]) -> str:
    line = lines.get((row.transition.entity_id, row.transition.number))
    return "" if row.assessment is None or line is None else shown_line(row.assessment.status, line)
