"""The effect of each kind of change once it is approved; and a rehearsal that shows what would decide after it."""

import json
from dataclasses import asdict, replace
from typing import Protocol

from sqlalchemy.orm import Session

from fivefold.domain.errors import ConfigError, ConflictError, NotFoundError
from fivefold.risk.facts.portfolio import read_list
from fivefold.store.ingest.entities import entity_named
from fivefold.store.sql.database import await_other_system
from fivefold.store.tables.entities import Entity, EntityType
from fivefold.usecases.accounts.lists import ListPut, missing_versions, put_list_in
from fivefold.usecases.accounts.purposes import refuse_feeding_commerce
from fivefold.usecases.accounts.rate_tables import RateTableLine, put_rates_in, rates_in_force
from fivefold.usecases.accounts.settings import Settings, SettingsChange, change_settings_in, settings_of
from fivefold.usecases.changes.contents import (
    Content,
    Fact,
    ListVersionsAdded,
    ModelPromoted,
    OverrideRevoked,
    PolicyRetirement,
    RatesReplaced,
    RecordChanged,
    RulesetRolledBack,
    RulesetsOrdered,
    RulesetSwitched,
    ScreeningCleared,
    SettingsChanged,
    TagChanged,
)
from fivefold.usecases.changes.reference_fit import refuse_misfit
from fivefold.usecases.decisions.policies import PolicyLine, retire_policy_in
from fivefold.usecases.ingest import facts
from fivefold.usecases.levels.lowering import Fall, WouldLowerError
from fivefold.usecases.levels.overrides import revoke_override_in
from fivefold.usecases.rulesets.activate import roll_back_in
from fivefold.usecases.rulesets.deciding import Deciding, DecidingChange, deciding
from fivefold.usecases.rulesets.drafts import order_families_in, switch_family_in
from fivefold.usecases.shared.context import Context

Result = ListPut | RateTableLine | PolicyLine | Settings | tuple[str, ...] | None
"""The result of a change: the names of ordered families; None for a switch, a roll-back or a revocation."""


class Champions(Protocol):
    """Makes a version of a model champion: `usecases.changes.promotions`, which has the registry."""

    def check(self, content: ModelPromoted, why: str) -> object:
        """Raise PromotionRefusedError if the version may not become champion now; nothing is changed."""
        ...

    def promote(self, session: Session, context: Context, content: ModelPromoted, why: str) -> None:
        """Record the promotion and carry it out."""
        ...


def apply_content(  # noqa: C901, PLR0911 (one for each kind)
    session: Session,
    context: Context,
    content: Content,
    why: str,
    now_us: int,
    *,
    marks: bool = True,
    champions: Champions | None = None,
) -> Result:
    """Carry out a change, in a transaction that the caller ends; return its result.

    Without *marks* no entity becomes due. The errors are those of each kind of change.
    """
    match content:
        case ModelPromoted():
            _of_registry(session, champions).promote(session, context, content, why)
            return None
        case RulesetsOrdered():
            activation = (content.entity_type, content.families, why, content.per_second, now_us)
            return order_families_in(session, context, *activation)
        case RulesetSwitched():
            switch_family_in(session, context, content.family, content.on, why, content.per_second, now_us)
            return None
        case RulesetRolledBack():
            roll_back_in(session, context, content.family, content.version, why, content.per_second, now_us)
            return None
        case ListVersionsAdded():
            named_list = read_list(content.list)
            refuse_misfit(session, context.organisation_id, named_list)
            list_put = put_list_in(session, context, named_list, now_us, marks=marks)
            refuse_feeding_commerce(session, context.organisation_id)
            return list_put
        case RatesReplaced():
            return put_rates_in(session, context, content.base, content.source, content.rates, now_us, marks=marks)
        case PolicyRetirement():
            return retire_policy_in(session, context, content.policy, content.number, why)
        case SettingsChanged():
            return change_settings_in(session, context, SettingsChange(**asdict(content)))
        case OverrideRevoked():
            revoke_override_in(session, context, content.override, why, now_us, marks=marks)
            return None  # the override itself has the rest; a copy of it here would outlast an erasure
        case TagChanged() | ScreeningCleared() | RecordChanged():
            _apply_fact(session, context, content, why, now_us)
            return None


def falls_by(session: Session, context: Context, content: Fact, why: str, now_us: int) -> list[Fall]:
    """Store a fact as one person alone would, see whose levels fall, and roll it back; errors are those of the fact."""
    watched = replace(context, by_tool=True)  # so falls are found whatever the organisation lets one person do
    nested = session.begin_nested()
    try:
        _apply_fact(session, watched, content, why, now_us, alone=True)
    except WouldLowerError as error:
        return error.falls
    finally:
        nested.rollback()
        session.expire_all()
    return []


def result_in_force(session: Session, context: Context, content: Content) -> Result:
    """Return the result of a change that is in force already; None if it would change something, or is refused.

    So a repeated call adds no row, makes no entity due, and needs no second person.
    """
    match content:
        case SettingsChanged():
            present = settings_of(session, context.organisation_id)
            fields = {name: value for name, value in asdict(content).items() if value is not None}
            return present if replace(present, **fields) == present else None
        case ListVersionsAdded():
            missing = missing_versions(session, context.organisation_id, read_list(content.list))
            return ListPut((), 0) if missing is None else None
        case RatesReplaced():
            return rates_in_force(session, context.actor, content.base, content.source, content.rates)
        case _:
            return None


def _of_registry(session: Session, champions: Champions | None) -> Champions:
    """Return *champions*, whose registry may take minutes to load a model; ConflictError if there is none."""
    if champions is None:
        raise ConflictError(
            "promote a model at the machine that has the model registry: fivefold proposals approve NUMBER"
        )
    await_other_system(session)
    return champions


def _apply_fact(
    session: Session, context: Context, content: Fact, why: str, now_us: int, *, alone: bool = False
) -> None:
    """Store a fact that would lower a level, without another check of rights; *alone*: WouldLower if it does.

    NotFoundError for an erased entity.
    """
    entity_row = session.get_one(Entity, content.entity)
    kind = session.get_one(EntityType, entity_row.type_id).name
    entity = entity_named(session, context.organisation_id, kind, entity_row.external_id, alone=True)
    match content:
        case TagChanged() if content.ended or (content.until_us is not None and content.until_us <= now_us):
            end = facts.end_tag_alone_in if alone else facts.end_tag_in
            end(session, context, entity, content.tag, why, now_us)
        case TagChanged():
            give = facts.set_tag_alone_in if alone else facts.set_tag_in
            give(session, context, entity, content.tag, content.until_us, why, now_us)
        case ScreeningCleared():
            add = facts.add_screening_alone_in if alone else facts.add_screening_in
            add(session, context, entity, content.screening, has_match=False, at=content.at_us, now=now_us)
        case RecordChanged():
            record = facts.RecordGiven(
                external_id=content.external_id,
                opened_us=content.opened_us,
                closed_us=content.closed_us,
                outcome=content.outcome,
                status=content.status,
                fields=json.loads(content.fields),
            )
            put = facts.put_record_alone_in if alone else facts.put_record_in
            put(session, context, entity, content.of, record, now_us, only_new=content.only_new)


def rehearse(
    session: Session, context: Context, content: Content, why: str, now_us: int, champions: Champions | None = None
) -> dict[int, DecidingChange]:
    """Carry out a change, read what decides then, and roll it back.

    Returns the types for which something else decides afterwards. Errors are those of the change. The registry of
    models cannot be rolled back, so a promotion is only checked; it concerns no type.
    """
    if isinstance(content, ModelPromoted):
        _of_registry(session, champions).check(content, why)
        return {}
    before = deciding(session, context.organisation_id)
    nested = session.begin_nested()
    try:
        apply_content(session, context, content, why, now_us, marks=False)
        after = deciding(session, context.organisation_id)
    finally:
        nested.rollback()
        session.expire_all()
    pairs = {
        type_id: DecidingChange(before.get(type_id, Deciding()), after.get(type_id, Deciding()))
        for type_id in {*before, *after}
    }
    return {
        type_id: replace(pair, releases=_withdrawn_version(content, pair))
        for type_id, pair in sorted(pairs.items())
        if pair.before.digest != pair.after.digest
    }


def why_impossible(session: Session, context: Context, content: Content, why: str, now_us: int) -> str:
    """Say why a change that another one may have overtaken cannot be carried out; empty if it can."""
    try:
        if result_in_force(session, context, content) is not None:
            return "it is so already"
        rehearse(session, context, content, why, now_us)
    except (ConfigError, ConflictError, NotFoundError) as error:
        return str(error)
    return ""


def _withdrawn_version(content: Content, pair: DecidingChange) -> int | None:
    """Return the version whose raises a roll-back releases."""
    if not isinstance(content, RulesetRolledBack) or not content.release:
        return None
    return next((version.version_id for version in pair.before.versions if version.family == content.family), None)
