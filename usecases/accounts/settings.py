"""The settings of an organisation: its levels, and how much of the portfolio people may override."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final

from sqlalchemy.orm import Session

from fivefold.domain.errors import ConfigError, ConflictError
from fivefold.domain.money import is_currency_code
from fivefold.store.accounts.organisation import levels_of, lock_organisation, settings_row
from fivefold.store.audit.bound_rows import Digests, digests
from fivefold.store.tables.entities import OrganisationSettings
from fivefold.usecases.shared.api_fields import Moment, shown_as
from fivefold.usecases.shared.context import Context

FEWEST_LEVELS, MOST_LEVELS = 3, 6
MOST_CHARACTERS_OF_A_LEVEL = 40
"""The limit of rulesets."""
NO_LEVEL: Final = "none"
"""Replaces the name of a level in filters and metrics; if an organisation has a level of that name, it means that."""
MOST_RETENTION_DAYS = 36_525
"""A hundred years."""
CHALLENGE_DAYS, MOST_CHALLENGE_DAYS = 30, 365
"""The default and the largest number of days after which a challenge is due."""
LOWEST_ALERT_PERCENT = 25
"""The largest modest share of alerts at the lowest level if the organisation sets none; the number is ours."""
FOR_GOOD = 0
"""In place of days: nothing of this kind is removed. This is the default."""
FEWEST_DAYS = {"outbox_days": 30, "deliveries_days": 7, "reports_days": 92, "assessments_days": 92, "flows_days": 92}
"""The fewest days for which each kind is kept before the retention policy removes it; docs/retention.md says why."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings; levels and base currency cannot change any more from `locked_at` on.

    `lowest_alert_percent`: a larger share of the alerts at the lowest level asks for a revalidation.
    `programs_lower_levels`: programs may undo what holds a level up without a second person. `two_people_promote`: a
    value model becomes champion once one person proposed it and another approved. `sole_operator_since`: since when one
    person may approve what they proposed; null if two people are needed. `outbox_days`, `deliveries_days`,
    `reports_days`, `assessments_days`, `flows_days`: older rows are removed; 0 keeps them for good.

    Attributes:
        levels: their names, lowest first.
        locked_us: since when levels and base currency cannot change: the first draft of a ruleset; None before.
        base_currency: every amount is converted into it.
        override_cap_percent: the share of the entities with a level that may be overridden below the rules' level.
        retention_days: an entity may be erased after this time.
        minimum_coverage_percent: the share of every ruleset's rules and cases that examples must reach.
        sole_operator_us: since when one person may approve what they proposed; None if two are needed.
        programs_lower_levels: programs may undo what holds a level up without a second person.
        two_people_promote: a value model becomes champion once one person proposed it and another approved.
        challenge_days: after this many days a challenge of an assessment is due.
        lowest_alert_percent: the share of alerts at the lowest level above which a revalidation is asked for.
        outbox_days: after this many days sent events are removed, and likewise ended deliveries, reports, inputs of
            assessments, and inputs of runs of flows; `FOR_GOOD` for never.
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
    lowest_alert_percent: int = LOWEST_ALERT_PERCENT


def read_levels(context: Context) -> tuple[str, ...]:
    """Return the levels of an actor's organisation, lowest first; empty if they are not defined yet."""
    with context.reading() as session:
        return levels_of(session, context.organisation_id)


def settings_of(session: Session, organisation_id: int) -> Settings:
    """Return the settings; ConflictError if the levels were not defined yet."""
    return _settings(settings_row(session, organisation_id))


def _settings(row: OrganisationSettings) -> Settings:
    """The settings of a row."""
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
        lowest_alert_percent=_lowest_alert_percent(row),
        **_removal_days(row),
    )


def _removal_days(row: OrganisationSettings) -> dict[str, int]:
    return {name: getattr(row, name) or FOR_GOOD for name in FEWEST_DAYS}


def _lowest_alert_percent(row: OrganisationSettings) -> int:
    return LOWEST_ALERT_PERCENT if row.lowest_alert_percent is None else row.lowest_alert_percent


def _challenge_days(row: OrganisationSettings) -> int:
    return CHALLENGE_DAYS if row.challenge_days is None else row.challenge_days


def read_settings(context: Context) -> Settings:
    """Return the settings of an actor's organisation; ConflictError if the levels were not defined yet."""
    with context.reading() as session:
        return settings_of(session, context.organisation_id)


def means_no_level(level_name: str | None, names: Sequence[str]) -> bool:
    """Return whether a word is `NO_LEVEL`, and no level has that name."""
    return level_name == NO_LEVEL and level_name not in names


def choose_levels(context: Context, levels: Sequence[str]) -> Settings:
    """Define the levels by their names, lowest first. They may be redefined until the first ruleset is written.

    Raises:
        ConfigError: there are not 3 to 6 different names.
        ConflictError: a ruleset was written: its levels would mean something else.
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
            raise ConflictError(
                f"the levels are {', '.join(row.levels)} and cannot change: a ruleset was written for them"
            )
        row.levels = list(names)
        session.flush()
        _record(session, context, "levels.chosen", row, before)
        return _settings(row)


def _checked_levels(levels: Sequence[str]) -> tuple[str, ...]:
    """Return the names of levels; ConfigError if they are too few, too many, invalid or repeated."""
    names = tuple(levels)
    if isinstance(levels, str) or not all(isinstance(name, str) for name in names):
        raise ConfigError("levels must be a list of names, the lowest first")
    if not FEWEST_LEVELS <= len(names) <= MOST_LEVELS:
        raise ConfigError(f"there are {len(names)} levels; {FEWEST_LEVELS} to {MOST_LEVELS} are allowed")
    for name in names:
        if not 1 <= len(name) <= MOST_CHARACTERS_OF_A_LEVEL or name != name.strip() or not name.isprintable():
            raise ConfigError(
                f"the level {name!r} cannot be stored; a name has 1 to {MOST_CHARACTERS_OF_A_LEVEL} characters, in one"
                " line and without spaces around them"
            )
        if names.count(name) > 1:
            raise ConfigError(f"there are {names.count(name)} levels {name!r}; each has a name of its own")
    return names


@dataclass(frozen=True, kw_only=True)
class SettingsChange:
    """The values to change; None for those that stay."""

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
    lowest_alert_percent: int | None = None


def change_settings_in(session: Session, context: Context, change: SettingsChange) -> Settings:
    """Change the values that are set, and leave the rest. Called once the change is approved, in its transaction.

    Raises:
        ConfigError: a value is invalid.
        ConflictError: the levels were not defined yet; or the base currency is to change although a ruleset was
            written, whose sums of money would mean something else; or assessments or runs would be kept for too short a
            time.
    """
    check_values(change)
    row = settings_row(session, context.organisation_id, locked=True)
    before = _audit_fields(row)
    if change.base_currency not in {None, row.base_currency} and row.locked_us is not None:
        raise ConflictError(f"the base currency is {row.base_currency} and cannot change: a ruleset was written in it")
    refuse_short_retention(_settings(row), change)
    for name, value in vars(change).items():
        if value is not None:
            setattr(row, name, value)
    session.flush()
    if _audit_fields(row) != before:
        _record(session, context, "settings.changed", row, before)
    return _settings(row)


def check_values(change: SettingsChange) -> None:
    """Raise ConfigError if a value is invalid."""
    if change.base_currency is not None and not is_currency_code(change.base_currency):
        raise ConfigError(f"base_currency is {change.base_currency!r}; it must be three capital letters such as EUR")
    for name, least, most in (
        ("override_cap_percent", 0, 100),
        ("retention_days", 0, MOST_RETENTION_DAYS),
        ("minimum_coverage_percent", 0, 100),
        ("challenge_days", 1, MOST_CHALLENGE_DAYS),
        ("lowest_alert_percent", 0, 100),
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
    """Raise ConflictError if assessments or runs would be kept for fewer days than other records of a customer."""
    records = present.retention_days if change.retention_days is None else change.retention_days
    for name, thing, inputs in (
        ("assessments_days", "assessments", "a level was made from"),
        ("flows_days", "runs of flows", "a run was made from"),
    ):
        days = getattr(present, name) if getattr(change, name) is None else getattr(change, name)
        if days != FOR_GOOD and days < records:
            raise ConflictError(
                f"{thing} would be kept for {days:,} days, and other records of a customer are kept for {records:,}"
                f" after the last activity (retention_days): what {inputs} is a record too; make {name} at least"
                f" {records:,}, or {FOR_GOOD} to keep them for good"
            )


def check_removal_days(name: str, days: object) -> None:
    """Raise ConfigError if a retention policy cannot have this number of days; None is allowed."""
    least = FEWEST_DAYS[name]
    if days is not None and (type(days) is not int or (days != FOR_GOOD and not least <= days <= MOST_RETENTION_DAYS)):
        raise ConfigError(
            f"{name} is {days!r}; it must be {FOR_GOOD}, which keeps everything for good, or a whole number from"
            f" {least} to {MOST_RETENTION_DAYS}"
        )


def set_sole_operator_in(session: Session, context: Context, since_us: int | None, why: str) -> Settings:
    """Let one person approve what they proposed from a moment on, or require two again."""
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
    """Return the settings, and make others that lock them wait until the transaction ends."""
    return _settings(settings_row(session, organisation_id, locked=True))


def lock_settings(session: Session, organisation_id: int, now_us: int) -> Digests:
    """Lock the settings, and let levels and base currency never change from now on.

    Returns what the entry of the calling use case has to bind: empty if they were locked before.
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
    """Record a change of settings; they are not personal, so the details repeat them."""
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
    """Return the settings as the audit log has them."""
    return {
        "levels": row.levels,
        "base_currency": row.base_currency,
        "override_cap_percent": row.override_cap_percent,
        "retention_days": row.retention_days,
        "minimum_coverage_percent": row.minimum_coverage_percent,
        "programs_lower_levels": row.programs_lower_levels,
        "two_people_promote": row.two_people_promote,
        "challenge_days": _challenge_days(row),
        "lowest_alert_percent": _lowest_alert_percent(row),
        **_removal_days(row),
    }
