"""How the levels of a type are distributed now: each entity counts once, and each version has its own numbers."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from sqlalchemy.orm import Session

from fivefold.risk.engine.assessments import Status
from fivefold.store.accounts.organisation import levels_of
from fivefold.store.ingest.entities import type_named
from fivefold.store.levels.levels import LevelGroup, count_failing, level_groups
from fivefold.store.rulesets.activations import count_of_type
from fivefold.store.rulesets.rulesets import families_of, rulesets_of_versions
from fivefold.store.tables.rulesets import Family
from fivefold.usecases.levels.records import NO_RULESET
from fivefold.usecases.shared.api_fields import INTERNAL
from fivefold.usecases.shared.context import Context


@dataclass(frozen=True, kw_only=True)
class AtVersion:
    """Entities that one version assessed; `active`: the version decides now.

    Each that no override changes is in `levels` or in `without_level`, whatever became of its last assessment. The
    other three numbers tell how many were not assessed in full the last time, also of those that an override changes:
    such an entity keeps the level that it had, if it had one.

    Attributes:
        active: whether the version decides now.
        levels: how many entities are at each level in force, by name, the lowest first.
        without_level: how many have no level.
        failed: how many failed, as a rule met a value that it could not read.
        unclassified: how many have a total that is in no tier.
        undetermined: for how many it is unknown whether the ruleset applies.
    """

    ruleset: str
    version: int
    active: bool
    levels: Mapping[str, int]
    without_level: int
    failed: int
    unclassified: int
    undetermined: int


@dataclass(frozen=True)
class Overridden:
    """Entities at an overridden level, and their level by the rules; null for no level."""

    level: str | None
    rules_level: str | None
    entities: int


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """Everyone of a type: each is in `versions`, `overridden`, `no_level` or `not_assessed`, in one of them alone.

    `failing`: so many of all of these could not be assessed the last time that was tried, whatever came of the times
    before; `quarantined`: so many of them failed so often that they are not tried again by themselves.

    Attributes:
        levels: the organisation's, the lowest first; empty where it has none yet.
        deciding: whether any ruleset of the type is active; without one there are no levels.
        by_level: how many are at each level in force, the highest first: by any version, by an override, or kept since
            the last assessment was not made in full. All others of `entities` have no level.
        no_level: how many had no ruleset that applied when they were last assessed.
        not_by_present: how many of `no_level` were last assessed when no ruleset was active, though one is now.
        not_assessed: how many are still to be assessed for the first time.
    """

    entity_type: str
    levels: Annotated[tuple[str, ...], INTERNAL]
    deciding: Annotated[bool, INTERNAL]
    entities: int
    by_level: Mapping[str, int]
    versions: tuple[AtVersion, ...]
    overridden: tuple[Overridden, ...]
    no_level: int
    not_by_present: Annotated[int, INTERNAL]
    not_assessed: int
    failing: int
    quarantined: int

    def without_level(self) -> dict[str, int]:
        """Count the entities without a level by the reason in words; with `by_level` they add up to `entities`."""
        return {
            "not assessed in full": sum(version.without_level for version in self.versions),
            "no level by an override": sum(each.entities for each in self.overridden if each.level is None),
            "no ruleset applies" if self.deciding else "no ruleset decides yet": self.no_level - self.not_by_present,
            "not assessed by the present rulesets yet": self.not_by_present,
            "not assessed yet": self.not_assessed,
        }

    def not_in_full(self) -> dict[str, int]:
        """Count the entities whose last assessment was not made in full by its status, with or without a level."""
        return {
            "failed": sum(version.failed for version in self.versions),
            "unclassified": sum(version.unclassified for version in self.versions),
            "undetermined": sum(version.undetermined for version in self.versions),
        }


def distribution(context: Context, type_name: str) -> Distribution:
    """Count the entities of a type by their last assessment; NotFoundError if the type does not exist."""
    with context.at_one_moment() as then, then.reading() as session:  # a new entity is in both counts, or in neither
        kind = type_named(session, context.organisation_id, type_name)
        names = levels_of(session, context.organisation_id)
        everyone = count_of_type(session, kind.id)
        groups = level_groups(session, context.organisation_id, kind.id)
        failing = count_failing(session, context.organisation_id, kind.id)
        families = families_of(session, context.organisation_id, kind.id)
        active_ids = {family.active_version_id for family in families if family.enabled and family.active_version_id}
        deciding = bool(active_ids)
        by_none = [group for group in groups if group.version_id is None and not group.overridden]
        return Distribution(
            entity_type=type_name,
            levels=names,
            deciding=deciding,
            entities=everyone,
            by_level=dict(reversed(_by_level(groups, names).items())),
            versions=tuple(_versions(session, families, active_ids, groups, names)),
            overridden=_overridden([group for group in groups if group.overridden], names),
            no_level=_count(by_none),
            not_by_present=_count(group for group in by_none if deciding and group.status == NO_RULESET),
            not_assessed=everyone - _count(groups),
            failing=failing.entities,
            quarantined=failing.quarantined,
        )


def _count(groups: Iterable[LevelGroup]) -> int:
    return sum(group.entities for group in groups)


def _by_level(groups: list[LevelGroup], names: tuple[str, ...]) -> dict[str, int]:
    """Count the entities at each level in force, whatever the status of their last assessment; the lowest first."""
    return {name: _count(group for group in groups if group.level == level) for level, name in enumerate(names, 1)}


def _versions(
    session: Session,
    families: Sequence[Family],
    active_ids: set[int],
    groups: list[LevelGroup],
    names: tuple[str, ...],
) -> Iterable[AtVersion]:
    """Yield the active versions and those that assessed an entity last, by family, the newest first."""
    ids = active_ids | {group.version_id for group in groups if group.version_id is not None}
    rulesets = rulesets_of_versions(session, sorted(ids))
    for family in families:
        version_ids = {number: version_id for version_id, (name, number) in rulesets.items() if name == family.name}
        for number, version_id in sorted(version_ids.items(), reverse=True):
            mine = [group for group in groups if group.version_id == version_id]
            yield _at_version(family.name, number, version_id in active_ids, mine, names)


def _at_version(ruleset: str, number: int, active: bool, mine: list[LevelGroup], names: tuple[str, ...]) -> AtVersion:
    failed, unclassified, undetermined = (
        _count(group for group in mine if group.status == status.value)
        for status in (Status.FAILED, Status.UNCLASSIFIED, Status.UNDETERMINED)
    )
    by_rules = [group for group in mine if not group.overridden]
    return AtVersion(
        ruleset=ruleset,
        version=number,
        active=active,
        levels=_by_level(by_rules, names),
        without_level=_count(group for group in by_rules if group.level is None),
        failed=failed,
        unclassified=unclassified,
        undetermined=undetermined,
    )


def _overridden(groups: list[LevelGroup], names: tuple[str, ...]) -> tuple[Overridden, ...]:
    counts: dict[tuple[int | None, int | None], int] = {}
    for group in groups:
        key = (group.level, group.rules_level)
        counts[key] = counts.get(key, 0) + group.entities
    return tuple(
        Overridden(_name(level, names), _name(rules_level, names), entities)
        for (level, rules_level), entities in sorted(
            counts.items(), key=lambda item: (item[0][0] or 0, item[0][1] or 0)
        )
    )


def _name(level: int | None, names: tuple[str, ...]) -> str | None:
    return None if level is None else names[level - 1]
