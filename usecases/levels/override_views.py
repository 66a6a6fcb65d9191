"""Overrides as people see them: with the level that the rules say beneath, and how much of them there may be."""

from dataclasses import dataclass

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.domain.clock import now_microseconds
from fivefold.domain.paging import WHOLE, Page, Part
from fivefold.store.ingest.entities import entity_named
from fivefold.store.levels.overrides import (
    Overridden,
    count_below,
    count_with_level,
    override_numbered,
    overrides_with_standings,
)
from fivefold.store.tables.levels import OverrideRow
from fivefold.usecases.accounts.settings import Settings, settings_of
from fivefold.usecases.shared.actors import Actor


@dataclass(frozen=True)
class OverrideLine:
    """An override, with where its entity stands.

    Attributes:
        level: that was asked for.
        rules_level: what the rules say beneath it; None where they say nothing.
        present_level: what holds now, as it was last assessed.
        below_floor: a live floor is higher, and holds instead.
        state: requested, refused, live, expired or revoked.
        until_us: it ends at this very moment; None for never.
    """

    id: int
    entity_type: str
    external_id: str
    level: str
    rules_level: str | None
    present_level: str | None
    below_floor: bool
    reason: str
    until_us: int | None
    state: str
    requested_by: str
    requested_us: int
    decided_by: str | None
    decided_us: int | None
    decision_reason: str | None
    revoked_by: str | None
    revoked_us: int | None
    revocation_reason: str | None


@dataclass(frozen=True)
class OverrideCap:
    """How much of the portfolio is overridden downwards.

    Attributes:
        below: live overrides below what the rules say.
        with_level: entities that have a level.
        percent: so many of them may be below, at most.
    """

    below: int
    with_level: int
    percent: int


def overrides_of(
    engine: Engine,
    actor: Actor,
    type_name: str | None = None,
    external_id: str | None = None,
    now_us: int | None = None,
    part: Part = WHOLE,
) -> Page[OverrideLine]:
    """List the overrides of one entity, or of all where none is named, the newest first.

    NotThere where an entity is named that is not there.
    """
    now = now_microseconds() if now_us is None else now_us
    with Session(engine) as session:
        entity_id = None
        if type_name is not None and external_id is not None:
            entity_id = entity_named(session, actor.organisation_id, type_name, external_id).id
        settings = settings_of(session, actor.organisation_id)
        found = overrides_with_standings(session, actor.organisation_id, entity_id, part=part)
        return found.map(lambda each: _line(each, settings, now))


def read_override(engine: Engine, actor: Actor, number: int, now_us: int | None = None) -> OverrideLine:
    """Show an override; NotThere where there is none of that number."""
    now = now_microseconds() if now_us is None else now_us
    with Session(engine) as session:
        found = override_numbered(session, actor.organisation_id, number)
        return line_of(session, found, settings_of(session, actor.organisation_id), now)


def cap_of(engine: Engine, actor: Actor, now_us: int | None = None) -> OverrideCap:
    """Tell how much of the portfolio is overridden downwards, and how much may be."""
    now = now_microseconds() if now_us is None else now_us
    with Session(engine) as session:
        below = count_below(session, actor.organisation_id, now, without=0)
        percent = settings_of(session, actor.organisation_id).override_cap_percent
        return OverrideCap(below, count_with_level(session, actor.organisation_id), percent)


def line_of(session: Session, override: OverrideRow, settings: Settings, now_us: int) -> OverrideLine:
    """Show one override."""
    (found,) = overrides_with_standings(session, override.organisation_id, number=override.id)
    return _line(found, settings, now_us)


def _line(found: Overridden, settings: Settings, now_us: int) -> OverrideLine:
    override, standing = found.override, found.standing
    return OverrideLine(
        override.id,
        found.type_name,
        found.entity.external_id,
        settings.levels[override.level - 1],
        None if standing is None else _name(settings, standing.rules_level),
        None if standing is None else _name(settings, standing.level),
        standing is not None and override.level < standing.hard_floor,
        override.reason,
        override.until_us,
        state_of(override, now_us),
        override.requested_by,
        override.requested_us,
        override.decided_by,
        override.decided_us,
        override.decision_reason,
        override.revoked_by,
        override.revoked_us,
        override.revocation_reason,
    )


def _name(settings: Settings, level: int | None) -> str | None:
    return None if level is None else settings.levels[level - 1]


def state_of(override: OverrideRow, now_us: int) -> str:
    """Tell what became of an override: requested, refused, live, expired or revoked."""
    if override.state != "approved":
        return override.state
    return "live" if override.until_us is None or override.until_us > now_us else "expired"
