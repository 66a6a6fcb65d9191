"""Changes of what decides as they happen once they are approved, for tests that are not about who approves them."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Engine

from fivefold.domain.clock import now_microseconds
from fivefold.risk.facts.portfolio import NamedList, read_list
from fivefold.store.accounts.settings import settings_row
from fivefold.store.rulesets.activations import PER_SECOND
from fivefold.store.sql.database import writing
from fivefold.usecases.accounts import lists, settings
from fivefold.usecases.decisions import policies
from fivefold.usecases.levels.overrides import OverrideLine, revoke_override_in
from fivefold.usecases.rulesets import drafts as rulesets
from fivefold.usecases.rulesets.activate import roll_back_in
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.inputs import checked_per_second, checked_reason


def _now(now_us: int | None) -> int:
    return now_microseconds() if now_us is None else now_us


def order_families(
    engine: Engine,
    actor: Actor,
    type_name: str,
    names: Sequence[str],
    reason: str,
    per_second: int = PER_SECOND,
    now_us: int | None = None,
) -> tuple[str, ...]:
    why, rate = checked_reason(reason), checked_per_second(per_second)
    with writing(engine) as session:
        return rulesets.order_families_in(session, actor, type_name, names, why, rate, _now(now_us))


def switch_family(
    engine: Engine,
    actor: Actor,
    family: str,
    on: bool,
    reason: str,
    per_second: int = PER_SECOND,
    now_us: int | None = None,
) -> None:
    why, rate = checked_reason(reason), checked_per_second(per_second)
    with writing(engine) as session:
        settings_row(session, actor.organisation_id, locked=True)
        rulesets.switch_family_in(session, actor, family, on, why, rate, _now(now_us))


def roll_back(
    engine: Engine,
    actor: Actor,
    family: str,
    version: int,
    reason: str,
    per_second: int = PER_SECOND,
    now_us: int | None = None,
) -> None:
    why, rate = checked_reason(reason), checked_per_second(per_second)
    with writing(engine) as session:
        settings_row(session, actor.organisation_id, locked=True)
        roll_back_in(session, actor, family, version, why, rate, _now(now_us))


def put_list_version(
    engine: Engine,
    actor: Actor,
    name: str,
    since_us: int,
    members: Sequence[str],
    title: str,
    source: str,
    now_us: int | None = None,
) -> lists.ListPut:
    return _put(engine, actor, lists.list_version(name, since_us, members, title, source), now_us)


def put_list(engine: Engine, actor: Actor, document: str, now_us: int | None = None) -> lists.ListPut:
    given = read_list(document)
    with writing(engine) as session:
        missing = lists.missing_versions(session, actor.organisation_id, given)
    return lists.ListPut((), 0) if missing is None else _put(engine, actor, missing, now_us)


def _put(engine: Engine, actor: Actor, given: NamedList, now_us: int | None) -> lists.ListPut:
    with writing(engine) as session:
        return lists.put_list_in(session, actor, given, _now(now_us))


def retire_policy(engine: Engine, actor: Actor, name: str, number: int, reason: str) -> policies.PolicyLine:
    why = checked_reason(reason)
    with writing(engine) as session:
        return policies.retire_policy_in(session, actor, name, number, why)


def revoke_override(
    engine: Engine, actor: Actor, override_id: int, reason: str, now_us: int | None = None
) -> OverrideLine:
    why = checked_reason(reason)
    with writing(engine) as session:
        return revoke_override_in(session, actor, override_id, why, _now(now_us))


def change_settings(engine: Engine, actor: Actor, **given: Any) -> settings.Settings:
    with writing(engine) as session:
        return settings.change_settings_in(session, actor, settings.SettingsChange(**given))
