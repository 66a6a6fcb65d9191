"""A whole portfolio at a glance: where everyone stands, and who could not be assessed."""

from fivefold.domain.paging import Page
from fivefold.serving.v1.paging import PageAsked
from fivefold.serving.v1.route import Asked
from fivefold.serving.v1.schemas import Given, Shown, Text
from fivefold.usecases.levels import distribution
from fivefold.usecases.levels import read as levels


class WhichType(Given):
    """Which type of entity."""

    type: Text


class AtVersion(Shown):
    """Those whom one version assessed, and who are not overridden; `active`: it decides now."""

    ruleset: str
    version: int
    active: bool
    levels: dict[str, int]
    failed: int
    unclassified: int
    undetermined: int


class Overridden(Shown):
    """Those at a level that people set, and where they would stand by the rules; null for no level."""

    level: str | None
    rules_level: str | None
    entities: int


class Distribution(Shown):
    """Everyone of a type: each is in `versions`, `overridden`, `no_level` or `not_assessed`, in one of them alone.

    `quarantined`: so many of all of these failed so often that they are not tried again by themselves.
    """

    entity_type: str
    entities: int
    versions: list[AtVersion]
    overridden: list[Overridden]
    no_level: int
    not_assessed: int
    quarantined: int


class Failure(Shown):
    """An entity that could not be assessed in full, and why: its status, or quarantined with its error.

    The status is failed, unclassified (no tier owns its total) or undetermined (the ruleset may not apply).
    """

    entity_type: str
    external_id: str
    problem: str


def read_distribution(asked: Asked, query: WhichType) -> Distribution:
    """Tell how the present levels of a type are distributed, by version, overrides apart."""
    return Distribution.of(distribution.distribution(asked.engine, asked.actor, query.type))


def list_failures(asked: Asked, query: PageAsked) -> Page[Failure]:
    """List who could not be assessed in full, and why."""
    found = levels.list_failed(asked.engine, asked.actor, query.part)
    return found.map(lambda line: Failure(entity_type=line[0], external_id=line[1], problem=line[2]))
