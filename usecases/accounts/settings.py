"""What an organisation decides once for all of it: its levels, and how much of the portfolio people may override."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from sqlalchemy.orm import Session

from fivefold.domain.errors import ConfigError, ConflictError
from fivefold.store.accounts.organisation import lock_organisation, settings_row
from fivefold.store.audit.bound_rows import Digests, digests
from fivefold.store.tables.entities import OrganisationSettings
from fivefold.usecases.shared.api_fields import Moment, shown_as
from fivefold.usecases.shared.context import Context

FEWEST_LEVELS, MOST_LEVELS = 3, 6
MOST_CHARACTERS_OF_A_LEVEL = 40
"""As rulesets have it."""
MOST_RETENTION_DAYS = 36_525
"""A hundred years."""
CHALLENGE_DAYS, MOST_CHALLENGE_DAYS = 30, 365
"""Within which a challenge is due where nothing else was set, and at most."""
FOR_GOOD = 0
"""In place of days: nothing of this kind is removed. So it is until an organisation says otherwise."""
FEWEST_DAYS = {"outbox_days": 30, "deliveries_days": 7, "reports_days": 92, "assessments_days": 92, "flows_days": 92}
"""For at least so many days is kept what the retention policy removes: docs/retention.md says why."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings; levels and base currency cannot change any more from `locked_at` on.

    `programs_lower_levels`: programs take back what holds a level up without a second person.
    `two_people_promote`: a value model becomes champion once one person proposed it and another approved.
    `sole_operator_since`: since when one person may approve what they proposed; null where two people are needed.
    `outbox_days`, `deliveries_days`, `reports_days`, `assessments_days`, `flows_days`: what is older is removed; 0
    keeps it for good.

    Attributes:
        levels: their names, lowest first.
        locked_us: since when levels and base currency cannot change: the first draft of a ruleset; None before.
        base_currency: every amount is converted into it.
        override_cap_percent: of the entities with a level, so many may stand below what the rules say.
        retention_days: an entity may be erased after this time.
        minimum_coverage_percent: so much of every ruleset's rules and cases must examples reach.
        sole_operator_us: since when one person may approve what they proposed; None where two are needed.
        programs_lower_levels: programs take back what holds a level up without a second person.
        two_people_promote: a value model becomes champion once one person proposed it and another approved.
        challenge_days: within so many days a challenge of an assessment is due.
        outbox_days: after so many days events that were sent are removed, and likewise deliveries that ended, reports,
            what assessments were made from, and what runs of flows were; `FOR_GOOD` for never.
    """

    levels: tuple[str, ...]
    locked_us: Annotated[Moment | None, shown_as("locked_at")]
    base_currency: str
    override_cap_percent: int
    retention_days: int
    minimum_coverage_percent: int
    programs_lower_levels: bool
    two_people_promote: bool
    sole_operator_us: Annotated[Moment | None, shown_as("sole_operator_since")]
    challenge_days: int = CHALLENGE_DAYS
    outbox_days: int = FOR_GOOD
    deliveries_days: int = FOR_GOOD
    reports_days: int = FOR_GOOD
    assessments_days: int = FOR_GOOD
    flows_days: int = FOR_GOOD


def settings_of(session: Session, organisation_id: int) -> Settings:
    """Return the settings; ConflictError where the levels were not chosen yet."""
    return _settings(settings_row(session, organisation_id))


def _settings(row: OrganisationSettings) -> Settings:
    return Settings(
        levels=tuple(row.levels),
        locked_us=row.locked_us,
        base_currency=row.base_currency,
        override_cap_percent=row.override_cap_percent,
        retention_days=row.retention_days,
        minimum_coverage_percent=row.minimum_coverage_percent,
        sole_operator_us=row.sole_operator_us,
        programs_lower_levels=row.programs_lower_levels,
        two_people_promote=row.two_people_promote,
        challenge_days=_challenge_days(row),
        **_removal_days(row),
    )


def _removal_days(row: OrganisationSettings) -> dict[str, int]:
    return {name: getattr(row, name) or FOR_GOOD for name in FEWEST_DAYS}


def _challenge_days(row: OrganisationSettings) -> int:
    return CHALLENGE_DAYS if row.challenge_days is None else row.challenge_days


def read_settings(context: Context) -> Settings:
    """Return the settings of an actor's organisation; ConflictError where the levels were not chosen yet."""
    with context.reading() as session:
        return settings_of(session, context.organisation_id)


def choose_levels(context: Context, levels: Sequence[str]) -> Settings:
    """Choose the levels by their names, lowest first. They may be chosen anew until the first ruleset is written.

    Raises:
        ConfigError: there are not 3 to 6 different names.
        ConflictError: a ruleset was written: what it says of levels would mean something else.
    """
    names = _checked_levels(levels)
    with context.writing() as session:
        lock_organisation(session, context.organisation_id)
        row = session.get(OrganisationSettings, context.organisation_id, with_for_update=True)
        before = None if row is None else _audit_fields(row)
        if row is not None and row.levels == list(names):
            return _settings(row)
        if row is None:
            row = OrganisationSettings(organisation_id=context.organisation_id)
            session.add(row)
        elif row.locked_us is not None:
            raise ConflictError(f"the levels are {', '.join(row.levels)} for good: a ruleset was written for them")
        row.levels = list(names)
        session.flush()
        _record(session, context, "levels.chosen", row, before)
        return _settings(row)


def _checked_levels(levels: Sequence[str]) -> tuple[str, ...]:
    names = tuple(levels)
    if isinstance(levels, str) or not all(isinstance(name, str) for name in names):
        raise ConfigError("levels must be a list of names, the lowest first")
    if not FEWEST_LEVELS <= len(names) <= MOST_LEVELS:
        raise ConfigError(f"there are {len(names)} levels; {FEWEST_LEVELS} to {MOST_LEVELS} can be chosen")
    for name in names:
        if not 1 <= len(name) <= MOST_CHARACTERS_OF_A_LEVEL or name != name.strip() or not name.isprintable():
            raise ConfigError(
                f"the level {name!r} cannot be kept; a name has 1 to {MOST_CHARACTERS_OF_A_LEVEL} characters, in one"
                " line and without spaces around them"
            )
        if names.count(name) > 1:
            raise ConfigError(f"there are {names.count(name)} levels {name!r}; each has a name of its own")
    return names


@dataclass(frozen=True, kw_only=True)
class SettingsChange:
    """What is to change; None for what stays as it is."""

    base_currency: str | None = None
    override_cap_percent: int | None = None
    retention_days: int | None = None
    minimum_coverage_percent: int | None = None
    programs_lower_levels: bool | None = None
    two_people_promote: bool | None = None
    challenge_days: int | None = None
    outbox_days: int | None = None
    deliveries_days: int | None = None
    reports_days: int | None = None
    assessments_days: int | None = None
    flows_days: int | None = None


def change_settings_in(session: Session, context: Context, change: SettingsChange) -> Settings:
    """Change the values that are set, and leave the rest. Called once the change is approved, in its transaction.

    Raises:
        ConfigError: a value is invalid.
        ConflictError: the levels were not chosen yet; or the base currency is to change although a ruleset was
            written: the sums of money in it would mean something else; or assessments or runs would be kept too short.
    """
    check_values(change)
    row = settings_row(session, context.organisation_id, locked=True)
    before = _audit_fields(row)
    if change.base_currency not in {None, row.base_currency} and row.locked_us is not None:
        raise ConflictError(f"the base currency is {row.base_currency} for good: a ruleset was written in it")
    refuse_short_retention(_settings(row), change)
    for name, value in vars(change).items():
        if value is not None:
            setattr(row, name, value)
    session.flush()
    if _audit_fields(row) != before:
        _record(session, context, "settings.changed", row, before)
    return _settings(row)


def check_values(change: SettingsChange) -> None:
    """Raise ConfigError where a value is invalid."""
    if change.base_currency is not None and not re.fullmatch("[A-Z]{3}", change.base_currency):
        raise ConfigError(f"base_currency is {change.base_currency!r}; it must be three capital letters such as EUR")
    for name, least, most in (
        ("override_cap_percent", 0, 100),
        ("retention_days", 0, MOST_RETENTION_DAYS),
        ("minimum_coverage_percent", 0, 100),
        ("challenge_days", 1, MOST_CHALLENGE_DAYS),
    ):
        value = getattr(change, name)
        if value is not None and (type(value) is not int or not least <= value <= most):
            raise ConfigError(f"{name} is {value!r}; it must be a whole number from {least} to {most}")
    for name in FEWEST_DAYS:
        check_removal_days(name, getattr(change, name))
    for name in ("programs_lower_levels", "two_people_promote"):
        switch = getattr(change, name)
        if switch is not None and type(switch) is not bool:
            raise ConfigError(f"{name} is {switch!r}; it must be true or false")


def refuse_short_retention(present: Settings, change: SettingsChange) -> None:
    """Raise ConflictError where assessments or runs would be kept for fewer days than other records of a customer."""
    records = present.retention_days if change.retention_days is None else change.retention_days
    for name, kept, made in (
        ("assessments_days", "assessments", "a level was made from"),
        ("flows_days", "runs of flows", "a run was made from"),
    ):
        days = getattr(present, name) if getattr(change, name) is None else getattr(change, name)
        if days != FOR_GOOD and days < records:
            raise ConflictError(
                f"{kept} would be kept for {days:,} days, and other records of a customer are kept for {records:,}"
                f" after the last activity (retention_days): what {made} is a record too; make {name} at least"
                f" {records:,}, or {FOR_GOOD} to keep them for good"
            )


def check_removal_days(name: str, days: object) -> None:
    """Raise ConfigError where no retention policy can have so many days; None is none."""
    least = FEWEST_DAYS[name]
    if days is not None and (type(days) is not int or (days != FOR_GOOD and not least <= days <= MOST_RETENTION_DAYS)):
        raise ConfigError(
            f"{name} is {days!r}; it must be {FOR_GOOD}, which keeps everything for good, or a whole number from"
            f" {least} to {MOST_RETENTION_DAYS}"
        )


def set_sole_operator_in(session: Session, context: Context, since_us: int | None, why: str) -> Settings:
    """Let one person approve what they proposed from a moment on, or need two again."""
    row = settings_row(session, context.organisation_id, locked=True)
    before = {"sole_operator_us": row.sole_operator_us}
    row.sole_operator_us = since_us
    session.flush()
    context.record(
        session,
        "organisation.sole_operator" if since_us is not None else "organisation.two_people",
        ("organisation", context.organisation_id),
        before=before,
        after={"sole_operator_us": since_us, "reason": why},
        details={"sole_operator_us": since_us},
        rows=_digest_of(session, row),
    )
    return _settings(row)


def locked_settings(session: Session, organisation_id: int) -> Settings:
    """Return the settings, and keep others that hold them waiting until the transaction ends."""
    return _settings(settings_row(session, organisation_id, locked=True))


def lock_settings(session: Session, organisation_id: int, now_us: int) -> Digests:
    """Hold the settings, and let levels and base currency never change from now on.

    Gives what the entry of the call that asks for it has to bind: nothing where they were locked before.
    """
    row = settings_row(session, organisation_id, locked=True)
    if row.locked_us is not None:
        return {}
    row.locked_us = now_us
    return _digest_of(session, row)


def _digest_of(session: Session, row: OrganisationSettings) -> Digests:
    return digests(session, "organisation_settings", [row.organisation_id])


def _record(
    session: Session, context: Context, action: str, row: OrganisationSettings, before: dict[str, object] | None
) -> None:
    after = _audit_fields(row)
    context.record(
        session,
        action,
        ("organisation", context.organisation_id),
        before=before,
        after=after,
        details=after,
        rows=_digest_of(session, row),
    )


def _audit_fields(row: OrganisationSettings) -> dict[str, object]:
    return {
        "levels": row.levels,
        "base_currency": row.base_currency,
        "override_cap_percent": row.override_cap_percent,
        "retention_days": row.retention_days,
        "minimum_coverage_percent": row.minimum_coverage_percent,
        "programs_lower_levels": row.programs_lower_levels,
        "two_people_promote": row.two_people_promote,
        "challenge_days": _challenge_days(row),
        **_removal_days(row),
    }
