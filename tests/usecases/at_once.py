"""Changes of what decides as they happen once they are approved, for tests that are not about who approves them."""

from collections.abc import Sequence
from typing import Any

from fivefold.risk.facts.portfolio import NamedList, read_list
from fivefold.store.accounts.organisation import settings_row
from fivefold.store.rulesets.activations import PER_SECOND
from fivefold.usecases.accounts import lists, rate_tables, settings
from fivefold.usecases.decisions import policies
from fivefold.usecases.levels.overrides import OverrideLine, revoke_override_in
from fivefold.usecases.rulesets import drafts as rulesets
from fivefold.usecases.rulesets.activate import roll_back_in
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.inputs import checked_per_second, checked_reason


def order_families(
    context: Context, type_name: str, names: Sequence[str], reason: str, per_second: int = PER_SECOND
) -> tuple[str, ...]:
    why, rate = checked_reason(reason), checked_per_second(per_second)
    with context.writing() as session:
        return rulesets.order_families_in(session, context, type_name, names, why, rate, context.now())


def switch_family(context: Context, family: str, on: bool, reason: str, per_second: int = PER_SECOND) -> None:
    why, rate = checked_reason(reason), checked_per_second(per_second)
    with context.writing() as session:
        settings_row(session, context.organisation_id, locked=True)
        rulesets.switch_family_in(session, context, family, on, why, rate, context.now())


def roll_back(context: Context, family: str, version: int, reason: str, per_second: int = PER_SECOND) -> None:
    why, rate = checked_reason(reason), checked_per_second(per_second)
    with context.writing() as session:
        settings_row(session, context.organisation_id, locked=True)
        roll_back_in(session, context, family, version, why, rate, context.now())


def put_list_version(
    context: Context, name: str, since_us: int, members: Sequence[str], title: str, source: str
) -> lists.ListPut:
    return _put(context, lists.list_version(name, since_us, members, title, source))


def put_list(context: Context, document: str) -> lists.ListPut:
    given = read_list(document)
    with context.writing() as session:
        missing = lists.missing_versions(session, context.organisation_id, given)
    return lists.ListPut((), 0) if missing is None else _put(context, missing)


def _put(context: Context, given: NamedList) -> lists.ListPut:
    with context.writing() as session:
        return lists.put_list_in(session, context, given, context.now())


def put_rates(context: Context, *rows: dict[str, Any]) -> rate_tables.RateTableLine:
    rates = rate_tables.checked_rates(context, rate_tables.rates_from_rows(rows, "our treasury"))
    with context.writing() as session:
        content = rate_tables.rates_content(rates)
        return rate_tables.put_rates_in(session, context, str(rates.base), rates.source, content, context.now())


def retire_policy(context: Context, name: str, number: int, reason: str) -> policies.PolicyLine:
    why = checked_reason(reason)
    with context.writing() as session:
        return policies.retire_policy_in(session, context, name, number, why)


def revoke_override(context: Context, override_id: int, reason: str) -> OverrideLine:
    why = checked_reason(reason)
    with context.writing() as session:
        return revoke_override_in(session, context, override_id, why, context.now())


def change_settings(context: Context, **given: Any) -> settings.Settings:
    with context.writing() as session:
        return settings.change_settings_in(session, context, settings.SettingsChange(**given))
