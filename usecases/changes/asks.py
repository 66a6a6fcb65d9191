"""Requests for changes, each by its name: done at once while nothing decides yet, and proposed from then on."""

from collections.abc import Callable, Mapping, Sequence

from sqlalchemy.orm import Session

from fivefold.domain.clock import day_text
from fivefold.domain.errors import ConflictError
from fivefold.domain.rate_files import DatedRates
from fivefold.risk.facts.portfolio import NamedList, read_list
from fivefold.risk.language.base import canonical_form
from fivefold.store.accounts.lists import list_row_at
from fivefold.store.ingest.entities import type_named
from fivefold.store.levels.overrides import override_numbered
from fivefold.store.rulesets.activations import PER_SECOND
from fivefold.store.rulesets.rulesets import families_of, family_named, version_numbered
from fivefold.usecases.accounts.lists import ListPut, list_version, missing_versions
from fivefold.usecases.accounts.rate_tables import checked_rates, rates_content
from fivefold.usecases.accounts.settings import SettingsChange, check_values, refuse_short_retention, settings_of
from fivefold.usecases.changes.contents import (
    ListVersionsAdded,
    OverrideRevoked,
    PolicyRetirement,
    RatesReplaced,
    RulesetRolledBack,
    RulesetsOrdered,
    RulesetSwitched,
    SettingsChanged,
)
from fivefold.usecases.changes.proposals import ChangeOutcome, request_change
from fivefold.usecases.rulesets.activate import refuse_unseen_active, refuse_unseen_versions
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.inputs import checked_per_second, checked_reason, refuse_unseen_moment


def order_families(
    context: Context,
    type_name: str,
    names: Sequence[str],
    reason: str,
    per_second: int = PER_SECOND,
    expected_order: Sequence[str] | None = None,
) -> ChangeOutcome:
    """Put the families of a type in another order: the first one that applies assesses.

    *expected_order*: the order while this was decided; None for no check.

    Raises:
        ConfigError: the reason is empty, or the names are not those of all families of the type, each once.
        NotFoundError: there is no such type.
        ConflictError: the order is not the expected one; or the actor is not a member.
    """

    def refuse_unseen(session: Session) -> None:
        kind = type_named(session, context.organisation_id, type_name)
        present = [family.name for family in families_of(session, context.organisation_id, kind.id)]
        if expected_order is not None and present != list(expected_order):
            raise ConflictError(f"another person changed the order: it is {', '.join(present)} now")

    content = RulesetsOrdered(type_name, tuple(names), checked_per_second(per_second))
    return request_change(context, content, checked_reason(reason), require=refuse_unseen)


def switch_family(
    context: Context,
    family: str,
    on: bool,
    reason: str,
    per_second: int = PER_SECOND,
    *,
    expected_active: int | None = None,
) -> ChangeOutcome:
    """Switch a family on or off: while it is off, others assess its entities.

    *expected_active* is that of `rulesets.activate`.

    Raises:
        ConfigError: the reason is empty.
        NotFoundError: there is no such family.
        ConflictError: it is already switched so; or the actor is not a member; or another version decides than was
            expected.
    """

    def refuse_another(session: Session) -> None:
        refuse_unseen_active(session, family_named(session, context.organisation_id, family), expected_active)

    content = RulesetSwitched(family, on, checked_per_second(per_second))
    return request_change(context, content, checked_reason(reason), require=refuse_another)


def roll_back(
    context: Context,
    family: str,
    version: int,
    reason: str,
    per_second: int = PER_SECOND,
    *,
    release: bool = False,
    expected_active: int | None = None,
    expected_hash: str | None = None,
) -> ChangeOutcome:
    """Let a version that was active before decide again; *release* levels that only the present one raised.

    *expected_active* and *expected_hash* are those of `rulesets.activate`: what was looked at.

    Raises:
        ConfigError: the reason is empty, or the rate is invalid.
        NotFoundError: there is no such family or version.
        ConflictError: it is active, or never was; or the actor is not a member; or another version decides, or the
            version has another content, than was expected.
    """

    def refuse_others(session: Session) -> None:
        family_row = family_named(session, context.organisation_id, family)
        version_row = version_numbered(session, family_row, version)
        refuse_unseen_versions(session, family_row, version_row, expected_active, expected_hash)

    content = RulesetRolledBack(family, version, checked_per_second(per_second), release)
    return request_change(context, content, checked_reason(reason), require=refuse_others)


def put_list_version(
    context: Context,
    name: str,
    since_us: int,
    members: Sequence[str],
    title: str,
    source: str,
    reason: str = "",
    expected_since_us: tuple[int, ...] | None = None,
    purpose: str | None = None,
) -> ChangeOutcome:
    """Add a version of a list, the first one or one later than all others; its result is a `ListPut`.

    *expected_since_us*: when the newest version began while this one was written, or nothing; None for no check.
    *purpose*: of the list; None to declare none.

    Raises:
        ConfigError: the name, a member, a text or the purpose is invalid; or it is proposed without a reason.
        ConflictError: an existing version is as late, or later; another one than expected is the newest; the actor
            is not a member; or something that decides for commerce reads the list, which would become `aml`.
    """

    def refuse_unseen(session: Session) -> None:
        newest = list_row_at(session, context.organisation_id, name)
        if expected_since_us is not None and newest is not None and newest.since_us not in expected_since_us:
            raise ConflictError(
                f"another person added a version of the list {name}, in force from {day_text(newest.since_us)}"
            )

    version = list_version(name, since_us, members, title, source, purpose)
    return _request_list(context, version, reason, require=refuse_unseen)


def put_list(context: Context, document: str, reason: str) -> ChangeOutcome:
    """Add the versions of a list in YAML or JSON that do not exist yet; its result is a `ListPut`.

    Raises:
        InvalidRulesetError: it is not a list.
        ConfigError: a member cannot be stored; or it is proposed without a reason.
        ConflictError: an existing version differs, or a new one would lie between others; or the actor is not a member.
    """
    named_list = read_list(document)
    with context.reading() as session:
        missing = missing_versions(session, context.organisation_id, named_list)
    return ChangeOutcome(ListPut((), 0), None) if missing is None else _request_list(context, missing, reason)


def _request_list(
    context: Context, named_list: NamedList, reason: str, require: Callable[[Session], None] | None = None
) -> ChangeOutcome:
    content = ListVersionsAdded(named_list.name, canonical_form(named_list))
    return request_change(context, content, reason, require=require)


def put_rates(context: Context, rates: DatedRates, reason: str = "") -> ChangeOutcome:
    """Put own dated exchange rates in force from now on, before those that ship; its result is a `RateTableLine`.

    Raises:
        ConfigError: there is no rate, one is of a future day, or the table has the wrong direction; or it is proposed
            without a reason.
        ConflictError: the base currency was not defined yet; or the actor is not a member.
    """
    converted = checked_rates(context, rates)
    content = RatesReplaced(str(converted.base), converted.source, rates_content(converted))
    return request_change(context, content, reason)


def retire_policy(context: Context, name: str, number: int, reason: str) -> ChangeOutcome:
    """Retire an active version of a policy; its result is a `PolicyLine`.

    Raises:
        ConfigError: there is no reason.
        NotFoundError: there is no such version.
        ConflictError: it is not active; or the actor is not a member.
    """
    return request_change(context, PolicyRetirement(name, number), checked_reason(reason))


def change_settings(
    context: Context, change: SettingsChange, reason: str = "", expected_settings: Mapping[str, object] | None = None
) -> ChangeOutcome:
    """Change the given settings; its result are all `Settings`.

    Args:
        context: who asks.
        change: the new values.
        reason: why; required if it is proposed.
        expected_settings: settings as they were when this was decided, by name; None for no check.

    Raises:
        ConfigError: a value is invalid; or it is proposed without a reason.
        ConflictError: the levels were not defined yet; the base currency is to change although a ruleset was written;
            the actor is not a member; a setting is not the expected one; or assessments would be kept for fewer
            days than other records.
    """
    check_values(change)

    def refuse_changed(session: Session) -> None:
        settings = settings_of(session, context.organisation_id)
        refuse_short_retention(settings, change)
        present = vars(settings)
        for name, value in (expected_settings or {}).items():
            if present[name] != value:
                raise ConflictError(f"another person changed the settings: {name} is {present[name]} now")

    return request_change(context, SettingsChanged(**vars(change)), reason, require=refuse_changed)


def revoke_override(
    context: Context, override_id: int, reason: str, expected_requested_us: int | None = None
) -> ChangeOutcome:
    """End an override in force: at once if it lies below the rules' level, otherwise by a proposal.

    *expected_requested_us*: when the override that the caller saw was requested; None for no check.

    Raises:
        ConfigError: the reason is empty.
        NotFoundError: there is no such override.
        ConflictError: it is not in force; it is another one than the caller saw; or it is proposed, and the actor is
            not a member.
    """

    def refuse_another(session: Session) -> None:
        override = override_numbered(session, context.organisation_id, override_id)
        refuse_unseen_moment(f"override {override_id}", expected_requested_us, override.requested_us)

    return request_change(context, OverrideRevoked(override_id), checked_reason(reason), require=refuse_another)
