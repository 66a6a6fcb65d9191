"""The reach of a proposed change, as far as it can be counted, and what it replaces; backtests show the rest.

A change overwrites present values. So a proposal keeps those from when it was proposed, which the approver is shown,
and they are compared when the proposal is approved.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US, day_text
from fivefold.domain.errors import ConfigError, ConflictError, NotFoundError, StoreError
from fivefold.risk.facts.portfolio import read_list
from fivefold.store.accounts.lists import list_row_at
from fivefold.store.accounts.organisation import newest_rates
from fivefold.store.changes.proposals import PROPOSED, proposal_numbered
from fivefold.store.decisions import policy_numbered
from fivefold.store.ingest.entities import entity_named, names_of_entities, type_named, types_of_organisation
from fivefold.store.levels.overrides import count_below, count_with_level
from fivefold.store.rulesets.activations import count_of_type
from fivefold.store.rulesets.rulesets import active_number, all_active_versions, families_of, family_named
from fivefold.store.tables.entities import Entity, EntityType, Record
from fivefold.store.tables.events import Decision
from fivefold.store.tables.levels import OverrideRow, Standing
from fivefold.store.tables.rulesets import Family, Proposal
from fivefold.usecases.accounts.rate_tables import differences_in
from fivefold.usecases.accounts.settings import settings_of
from fivefold.usecases.changes import effects
from fivefold.usecases.changes.contents import (
    FACTS,
    Content,
    ListVersionsAdded,
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
    read_content,
)
from fivefold.usecases.ingest.facts import live_tag_in, newest_screening_in, record_in
from fivefold.usecases.levels.lowering import Fall
from fivefold.usecases.levels.overrides import levels_without
from fivefold.usecases.rulesets.deciding import DecidingChange
from fivefold.usecases.shared.context import Context

LOOKED_BACK_DAYS = 90
REHEARSAL_BUSY_SECONDS = 2
"""How long a rehearsal waits for another program's write on SQLite: the page opens without it as well."""
HeldUntil = Mapping[tuple[str, str], int]
"""Until when the cooldown holds levels, by type and identifier of their entities, in microseconds."""


def reach_of(
    session: Session, context: Context, content: Content, rehearsed: dict[int, DecidingChange], now_us: int
) -> dict[str, Any]:
    """Count the entities that a change would reach: plain data, by what is counted."""
    if isinstance(content, PolicyRetirement):
        return _of_policy(session, context, content, now_us)
    if isinstance(content, SettingsChanged):
        return _of_settings(session, context, content, now_us)
    if isinstance(content, OverrideRevoked):
        return dict(vars(levels_without(session, context.actor, content.override)))
    if isinstance(content, RatesReplaced):
        of = context.organisation_id
        differences = differences_in(session, of, content.base, content.source, content.rates, now_us)
        return {**_of_types(session, types_of_organisation(session, of)), "rates": differences}
    return _of_types(session, [session.get_one(EntityType, type_id) for type_id in rehearsed])


def _of_types(session: Session, types: Iterable[EntityType]) -> dict[str, Any]:
    return {"entities": {kind.name: count_of_type(session, kind.id) for kind in types}}


def entity_of(session: Session, content: Content) -> int | None:
    """Return the entity whose fact or override would change; None if the change is about more."""
    if isinstance(content, OverrideRevoked):
        return session.get_one(OverrideRow, content.override).entity_id
    return content.entity if isinstance(content, FACTS) else None


def with_replaced(
    session: Session, context: Context, content: Content, counted: Mapping[str, Any], now_us: int
) -> dict[str, Any]:
    """Add to the counts of a change the values that it replaces and the new ones, each by name as `from` and `to`."""
    replaced = {
        name: {"from": present, "to": wanted, **counted.get(name, {})}
        for name, (present, wanted) in _replaced(session, context, content, now_us).items()
    }
    return {**counted, **replaced}


def held_until(context: Context, reach: Mapping[str, Any]) -> HeldUntil:
    """Return until when the cooldown holds the levels that a proposed change would let fall; *reach*: the proposal's.

    Entities without a hold, whose floors alone would fall, or that no longer have that name are left out.
    """
    until: dict[tuple[str, str], int] = {}
    with context.reading() as session:
        for fall in reach.get("falls", []):
            if fall["before"] and fall["after"] and fall["before"][0] == fall["after"][0]:
                continue
            who = fall["entity_type"], fall["external_id"]
            with suppress(NotFoundError):
                standing = session.get(Standing, entity_named(session, context.organisation_id, *who).id)
                if standing and standing.may_move_down_us and standing.may_move_down_us > context.now():
                    until[who] = standing.may_move_down_us
    return until


def reach_of_falls(falls: Sequence[Fall]) -> dict[str, Any]:
    """Return whose levels a change of facts would let fall, as plain data, with the numbers of entities.

    A proposal keeps it when one of these is erased, so it has no names: `named_reach` adds them.
    """
    plain = [{**asdict(fall), "through": sorted(fall.through)} for fall in falls]
    return {"falls": [{name: value for name, value in fall.items() if name != "external_id"} for fall in plain]}


def named_reach(session: Session, organisation_id: int, reach: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a reach with the present identifiers of entities in place of their numbers; an old one has them."""
    numbers = entities_in(reach)
    return with_names(reach, names_of_entities(session, organisation_id, numbers)) if numbers else reach


def entities_in(reach: Mapping[str, Any]) -> set[int]:
    """Return the numbers of entities that a reach has in place of names."""
    falls = [fall for fall in reach.get("falls", ()) if "entity" in fall]
    return {number for fall in falls for number in (fall["entity"], *fall["through"])}


def with_names(reach: Mapping[str, Any], entities: Mapping[int, tuple[str, str]]) -> Mapping[str, Any]:
    """Return a reach with identifiers in place of numbers; *entities*: type and identifier of each of `entities_in`."""
    if not entities_in(reach):
        return reach
    names = {number: name for number, (_, name) in entities.items()}
    return {**reach, "falls": [_named_fall(fall, names) for fall in reach["falls"]]}


def _named_fall(fall: Mapping[str, Any], names: Mapping[int, str]) -> dict[str, Any]:
    if "entity" not in fall:
        return dict(fall)
    who = {"entity_type": fall["entity_type"], "external_id": names[fall["entity"]]}
    rest = {key: value for key, value in fall.items() if key not in ("entity_type", "entity")}
    return {**who, **rest, "through": sorted(names[number] for number in fall["through"])}


def reach_of_one(session: Session, context: Context, content: Content, why: str, now_us: int) -> dict[str, Any]:
    """Return the levels that a change about one entity leads to now, without names; empty for another change.

    The errors are those of the change.
    """
    if isinstance(content, FACTS):
        return reach_of_falls(effects.falls_by(session, context, content, why, now_us))
    if isinstance(content, OverrideRevoked):
        return reach_of(session, context, content, {}, now_us)
    return {}


def hash_of_levels(reach: Mapping[str, Any]) -> str:
    """Return one text for all levels and floors of a reach with names, whatever their order: equal for equal ones.

    >>> hash_of_levels({"level": "low", "rules_level": "high"}) == hash_of_levels({"level": "low", "rules_level": None})
    False
    >>> a, b = (dict.fromkeys(("entity_type", "external_id", "before", "after"), name) for name in "ab")
    >>> hash_of_levels({"falls": [a, b]}) == hash_of_levels({"falls": [b, a]})
    True
    """
    falls = sorted([[fall[name] for name in _OF_FALL] for fall in reach.get("falls", ())], key=json.dumps)
    return sha256(json.dumps([falls, reach.get("level"), reach.get("rules_level")]).encode()).hexdigest()


_OF_FALL = ("entity_type", "external_id", "before", "after")


def levels_moved(present: Mapping[str, Any], of_proposal: Mapping[str, Any]) -> str:
    """Describe the levels that a change about one entity leads to now, if its proposal keeps others; empty if not.

    Both are reaches with names, *present* as of now. An earlier release kept no levels.

    >>> levels_moved({"level": "low", "rules_level": None}, {"level": "low", "rules_level": "high"})
    'the levels that it leads to are now: from low to none'
    """
    if not present.keys() & of_proposal.keys() or hash_of_levels(present) == hash_of_levels(of_proposal):
        return ""
    return f"the levels that it leads to are now: {_levels(present)}"


def _levels(reach: Mapping[str, Any]) -> str:
    if "level" in reach:
        return f"from {reach['level']} to {reach['rules_level'] or 'none'}"
    falls = [
        f"{fall['external_id']} from {_names(fall['before'])} to {_names(fall['after'])}"
        for fall in reach.get("falls", ())
    ]
    return "; ".join(falls) or "none falls"


def refuse_moved(
    session: Session, context: Context, row: Proposal, content: Content, expected_hash: str | None, now_us: int
) -> None:
    """Raise ConflictError if what a change overwrites moved, or one about one entity leads to other levels by now.

    *expected_hash*: `hash_of_levels` of the levels that the caller saw; None for those that the proposal keeps.
    """
    anew = f"; refuse proposal {row.id}, and propose the change again"
    if moved := moved_since(session, context, content, row.reach, now_us):
        raise ConflictError(f"{moved}{anew}")
    of = context.organisation_id
    present = named_reach(session, of, reach_of_one(session, context, content, row.reason, now_us))
    if expected_hash is None:
        if why := levels_moved(present, named_reach(session, of, row.reach)):
            raise ConflictError(f"{why}{anew}")
    elif expected_hash != hash_of_levels(present):
        raise ConflictError(
            f"the levels that proposal {row.id} leads to are not those that were looked at;"
            f" they are now: {_levels(present)}"
        )


def _names(levels: Sequence[str] | None) -> str:
    if levels is None:
        return "what is not known"
    level, floor, hard_floor = (each or "none" for each in levels)
    return f"{level} (floor {floor}, hard floor {hard_floor})"


@dataclass(frozen=True)
class ChangeNow:
    """An open change about one entity as of now.

    Attributes:
        reach: the levels that it leads to; empty if it cannot be done any more, or this is not known.
        problem: why it cannot be done any more; empty if it can.
        unknown: why this could not be computed; empty if it was.
    """

    reach: Mapping[str, Any]
    problem: str = ""
    unknown: str = ""


def change_now(context: Context, number: int) -> ChangeNow | None:
    """Compute what an open change about one entity leads to as of now, by doing it and rolling it back.

    None for a change about more, and for a decided one. If nothing can be written, this is unknown. NotFoundError if
    no proposal has that number.
    """
    with context.reading() as session:
        row = proposal_numbered(session, context.organisation_id, number)
        if row.state != PROPOSED or row.entity_id is None:
            return None
    try:
        return _rehearsed_now(context, number)
    except StoreError as error:
        return ChangeNow({}, unknown=str(error))


def _rehearsed_now(context: Context, number: int) -> ChangeNow | None:
    now = context.now()
    with context.writing(REHEARSAL_BUSY_SECONDS) as session:
        row = proposal_numbered(session, context.organisation_id, number)
        if row.state != PROPOSED:
            return None
        content = read_content(row.kind, row.content)
        try:
            if problem := moved_since(session, context, content, row.reach, now):
                return ChangeNow({}, problem)
            reach = reach_of_one(session, context, content, row.reason, now)
            return ChangeNow(named_reach(session, context.organisation_id, reach))
        except (ConfigError, ConflictError, NotFoundError) as error:
            return ChangeNow({}, str(error))


def moved_since(session: Session, context: Context, content: Content, reach: Mapping[str, Any], now_us: int) -> str:
    """Describe what a proposal would overwrite that has changed since it was proposed; empty if nothing has.

    *reach*: the proposal's. Values that it does not name are not compared: an earlier release proposed it.
    """
    moved = {
        name: (reach[name]["from"], present)
        for name, (present, _) in _replaced(session, context, content, now_us).items()
        if name in reach and reach[name]["from"] != present
    }
    if "tag_ends" in moved and moved["tag_ends"][1] is None:
        return "the tag has ended since this was proposed"
    return "; ".join(
        f"{_words(name)} was {_text(before)} when this was proposed, and is {_text(present)} now"
        for name, (before, present) in moved.items()
    )


_WORDS = {
    "order": "the order of the rulesets",
    "active": "the version that decides",
    "rates": "the table of exchange rates",
    "newest_since": "the beginning of the newest version of the list",
    "tag_ends": "the end of the tag",
    "tag_begins": "the beginning of the tag",
    "newest_screening": "the newest screening",
    "opened": "the opening",
    "closed": "the closing",
    "outcome": "the outcome",
    "status": "the status",
    "fields": "what the fields have",
}
"""Names in words for the values that a change would overwrite; all others are settings."""


def _words(name: str) -> str:
    return _WORDS.get(name) or f"the setting {name.replace('_', ' ')}"


def _text(value: object) -> str:
    return "nothing" if value is None else ", ".join(value) if isinstance(value, list) else str(value)


def _replaced(  # noqa: PLR0911 (one for each kind)
    session: Session, context: Context, content: Content, now_us: int
) -> dict[str, tuple[Any, Any]]:
    """Return, by name, each value that a change would overwrite, as it is now, and the new one; plain data.

    The other kinds overwrite nothing that may have moved: they are refused once they are done, or keep it themselves.
    """
    of = context.organisation_id
    match content:
        case SettingsChanged():
            present = settings_of(session, of)
            return {name: (getattr(present, name), to) for name, to in vars(content).items() if to is not None}
        case RulesetsOrdered():
            kind = type_named(session, of, content.entity_type)
            return {"order": ([each.name for each in families_of(session, of, kind.id)], list(content.families))}
        case RulesetSwitched():
            active = active_number(session, family_named(session, of, content.family))
            return {"active": (active, active)}
        case RulesetRolledBack():
            return {"active": (active_number(session, family_named(session, of, content.family)), content.version)}
        case RatesReplaced():
            table = newest_rates(session, of)
            return {"rates": (None if table is None else f"table {table.number} of {table.source}", content.source)}
        case ListVersionsAdded():
            newest = list_row_at(session, of, content.name)
            since_us = read_list(content.list).versions[-1].since
            return {"newest_since": (None if newest is None else day_text(newest.since_us), day_text(since_us))}
        case TagChanged():
            live = live_tag_in(session, session.get_one(Entity, content.entity), content.tag, now_us)
            ends, begins = (None, None) if live is None else (_end(live.until_us), day_text(live.from_us))
            return {
                "tag_ends": (ends, "now" if content.ended else _end(content.until_us)),
                "tag_begins": (begins, begins),
            }
        case ScreeningCleared():
            screening = newest_screening_in(session, content.entity, content.screening)
            present_result = None if screening is None else _result(screening.found, screening.at_us)
            return {"newest_screening": (present_result, _result(False, content.at_us))}
        case RecordChanged() if not content.only_new:
            return _record_replaced(session, content)
        case _:
            return {}


def _end(until_us: int | None) -> str:
    return "never" if until_us is None else day_text(until_us)


def _result(has_match: bool, at_us: int) -> str:
    return f"{'with' if has_match else 'without'} a match, of {day_text(at_us)}"


def _record_replaced(session: Session, content: RecordChanged) -> dict[str, tuple[Any, Any]]:
    """Return each part of a case or an alert that a change would overwrite, as it is now, and the new one."""
    record = record_in(session, session.get_one(Entity, content.entity), content.of, content.external_id)
    present = {} if record is None else _parts(record, json.loads(record.content or "{}"))
    return {name: (present.get(name), part) for name, part in _parts(content, json.loads(content.fields)).items()}


def _parts(record: Record | RecordChanged, fields: Mapping[str, Any]) -> dict[str, str | None]:
    return {
        "opened": day_text(record.opened_us),
        "closed": None if record.closed_us is None else day_text(record.closed_us),
        "outcome": record.outcome,
        "status": record.status,
        "fields": json.dumps(fields, sort_keys=True, ensure_ascii=False) if fields else None,
    }


def _of_policy(session: Session, context: Context, content: PolicyRetirement, now_us: int) -> dict[str, Any]:
    """Count the version's recent decisions: they would have been without a decision."""
    row = policy_numbered(session, context.organisation_id, content.policy, content.number)
    types_query = (
        select(Decision.action, func.count())
        .where(Decision.policy_id == row.id, Decision.at_us > now_us - LOOKED_BACK_DAYS * DAY_US)
        .group_by(Decision.action)
        .order_by(Decision.action)
    )
    counts = dict(session.execute(types_query).all())
    return {"days": LOOKED_BACK_DAYS, "decisions": counts}


def _of_settings(session: Session, context: Context, content: SettingsChanged, now_us: int) -> dict[str, Any]:
    """Count the entities that new limits concern, by the setting."""
    present = settings_of(session, context.organisation_id)
    counts: dict[str, Any] = {}
    if content.override_cap_percent is not None:
        counts["override_cap_percent"] = {
            "overridden_below": count_below(session, context.organisation_id, now_us, without=0),
            "with_level": count_with_level(session, context.organisation_id),
        }
    if content.retention_days is not None:
        days = {"older_before": present.retention_days, "older_after": content.retention_days}
        counts["retention_days"] = {
            name: _added_before(session, context, now_us - count * DAY_US) for name, count in days.items()
        }
    if content.minimum_coverage_percent is not None:
        below = _covered_below(session, context, content.minimum_coverage_percent)
        counts["minimum_coverage_percent"] = {"active_below": below}
    return counts


def _added_before(session: Session, context: Context, at_us: int) -> int:
    of = (Entity.organisation_id == context.organisation_id, Entity.erased_us.is_(None), Entity.created_us <= at_us)
    return session.scalar(select(func.count()).where(*of)) or 0


def _covered_below(session: Session, context: Context, percent: int) -> list[str]:
    """Name active versions whose examples reach less: they still decide, but could not be committed again."""
    types = []
    for _, version in all_active_versions(session, context.organisation_id):
        if min(float(version.tests.get(name, 0)) for name in ("rules_percent", "cases_percent")) < percent:
            types.append(f"{session.get_one(Family, version.family_id).name} {version.number}")
    return types
