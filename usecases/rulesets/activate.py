"""Activation and rollback of versions: a person activates who neither wrote nor committed the version.

No entity is assessed at once: all entities of the type become due at a rate per second, in the order of their numbers.
An entity with a new fact in between is assessed by the new version then. The progress is stored in rows that workers
advance (`advance_backfills`), so that it goes on where it stopped. Switching a family on or off, and another order of
families, work the same way. A newer change of the type starts again with all entities and ends an older one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from math import ceil
from time import sleep
from typing import Annotated

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.domain.clock import SECOND_US
from fivefold.domain.errors import ConflictError
from fivefold.domain.paging import WHOLE, Page, Part
from fivefold.store.accounts.organisation import settings_row
from fivefold.store.audit.bound_rows import digests, merge_digests
from fivefold.store.audit.chain import digest_of
from fivefold.store.levels import assessment_queue as due
from fivefold.store.levels import markings
from fivefold.store.levels.assessment_queue import BULK, Reason
from fivefold.store.rulesets.activations import (
    AT_ONCE,
    PER_SECOND,
    ActivationChange,
    Backfill,
    activations_of,
    begin,
    begin_again,
    count_of_type,
    entities_after,
    lock_backfill,
    open_backfills,
    was_active,
)
from fivefold.store.rulesets.backtests import newest_done
from fivefold.store.rulesets.rulesets import active_number, family_named, rulesets_of_versions, version_numbered
from fivefold.store.sql.clocks import clock_of, latest_us
from fivefold.store.sql.database import reading, writing
from fivefold.store.tables.rulesets import Activation, Backtest, Family, RulesetVersion
from fivefold.usecases.accounts.flows_in_force import refuse_unusable_flows
from fivefold.usecases.accounts.purposes import refuse_feeding_commerce
from fivefold.usecases.rulesets.deciding import reached_by
from fivefold.usecases.rulesets.life_cycle import about_version, objections, refuse_author
from fivefold.usecases.rulesets.peers import refuse_peers_of_another
from fivefold.usecases.rulesets.run_backtest import refuse_outdated
from fivefold.usecases.shared.actors import SYSTEM, Actor
from fivefold.usecases.shared.api_fields import Moment, shown_as
from fivefold.usecases.shared.context import Context, record
from fivefold.usecases.shared.inputs import checked_per_second, checked_reason, refuse_unseen, refuse_unseen_content
from fivefold.usecases.unexpected import do_each

MOST_SECONDS = 10
"""A worker that was away catches up on at most this much at once, so that the rate is kept."""


@dataclass(frozen=True, kw_only=True)
class ActivationLine:
    """A change of what decides; `reached` of `total` entities are due so far, null once all were.

    Attributes:
        kind: activation, rollback or off; one whose version is its previous one is another order of families.
        version: its number; None where nothing of the family decides from then on.
        previous: the number of the version before.
        finished_us: when everyone was due, or a newer change took them in; None while it is under way.
        reached: entities that are due so far; of one that is finished None.
        of: how many there are; of one that is finished None.
    """

    kind: str
    version: int | None
    previous: int | None
    reason: str
    actor: str
    at_us: Annotated[Moment, shown_as("at")]
    per_second: int
    finished_us: Annotated[Moment | None, shown_as("finished_at")]
    reached: int | None
    of: Annotated[int | None, shown_as("total")]


def activate(
    context: Context,
    family: str,
    version: int,
    reason: str,
    per_second: int = PER_SECOND,
    expected_active: int | None = None,
    expected_backtest: int | None = None,
    expected_hash: str | None = None,
) -> None:
    """Let a version decide from now on, and make every entity of its type due, at a rate per second.

    Args:
        context: the actor, who activates it.
        family: the name of the ruleset.
        version: the number of the version.
        reason: why.
        per_second: how many entities become due in a second.
        expected_active: the number of the version that decided when the actor looked, 0 for none; None for no check.
        expected_backtest: the number of the backtest that the actor looked at, 0 for none; None for no check.
        expected_hash: the content hash of the version that the actor looked at; None for no check.

    Raises:
        ConfigError: the reason is empty, or the rate is invalid.
        NotFoundError: there is no such family or version.
        ConflictError: the version is active; the actor edited or committed it; no backtest of its content is done and
            valid (`usecases.rulesets.run_backtest`); another version decides, or another backtest is the newest,
            than was expected; something that decides for commerce would read `aml` data; a flow that asks the ruleset
            could no longer run; or its reference is missing, or built for another ruleset.
    """
    now = context.now()
    why, rate = checked_reason(reason), checked_per_second(per_second)
    with context.writing() as session:
        family_row, version_row = _locked_version(session, context, family, version)
        refuse_unseen_versions(session, family_row, version_row, expected_active, expected_hash)
        refuse_author(session, context, version_row, family_row.name)
        backtest = _backtest(session, family_row, version_row, now)
        refuse_unseen(f"the newest backtest of version {version} of {family}", expected_backtest, backtest.id)
        change = ActivationChange(
            kind="activation",
            version_id=version_row.id,
            previous_version_id=family_row.active_version_id,
            reason=why,
            actor=context.actor.name,
            per_second=rate,
            now_us=now,
            backtest_id=backtest.id,
        )
        _switch(session, context, family_row, version_row, change)


def refuse_unseen_versions(
    session: Session, family: Family, version: RulesetVersion, expected_active: int | None, expected_hash: str | None
) -> None:
    """Raise ConflictError if *version*, or the version that decides, differs from the one that the actor looked at.

    *expected_active* is a number, 0 for none, and *expected_hash* the content hash of *version*; None for no check.
    """
    refuse_unseen_content(f"version {version.number} of {family.name}", expected_hash, version.content_hash)
    refuse_unseen_active(session, family, expected_active)


def refuse_unseen_active(session: Session, family: Family, expected_active: int | None) -> None:
    """Raise ConflictError if another version of a family decides than was expected; see `refuse_unseen_versions`."""
    refuse_unseen(f"the version of {family.name} that decides", expected_active, active_number(session, family))


def what_stands_against(context: Context, family: str, version: int) -> tuple[str, ...]:
    """Return why `activate` would refuse a version that is not active; empty if it would not.

    NotFoundError if there is no such family or version.
    """
    now = context.now()
    with context.reading() as session:
        family_row = family_named(session, context.organisation_id, family)
        version_row = version_numbered(session, family_row, version)
        return objections(
            partial(refuse_author, session, context, version_row, family),
            partial(_backtest, session, family_row, version_row, now),
            partial(refuse_feeding_commerce, session, context.organisation_id, version_row),
            partial(refuse_peers_of_another, session, version_row),
        )


def backtest_of_activation(context: Context, family: str, version: int) -> int | None:
    """Return the number of the newest finished backtest of a version's content, which `activate` checks; None if none.

    NotFoundError if the organisation has no such version.
    """
    with context.reading() as session:
        family_row = family_named(session, context.organisation_id, family)
        backtest = newest_done(session, family_row.id, version_numbered(session, family_row, version).content_hash)
        return None if backtest is None else backtest.id


def roll_back_in(
    session: Session, context: Context, family: str, version: int, why: str, per_second: int, now_us: int
) -> Activation:
    """Let a version that was active before decide again, in the transaction that approves the rollback.

    Raises:
        NotFoundError: there is no such family or version.
        ConflictError: the version is active, or never was; something that decides for commerce would read `aml` data;
            or its reference is built for another ruleset.
    """
    family_row, version_row = _locked_version(session, context, family, version)
    if not was_active(session, version_row):
        raise ConflictError(f"version {version} of {family} was never active; it needs to be activated")
    change = ActivationChange(
        kind="rollback",
        version_id=version_row.id,
        previous_version_id=family_row.active_version_id,
        reason=why,
        actor=context.actor.name,
        per_second=per_second,
        now_us=now_us,
    )
    return _switch(session, context, family_row, version_row, change)


def _locked_version(session: Session, context: Context, family: str, version: int) -> tuple[Family, RulesetVersion]:
    """Find a family and a version that is not active, and lock the settings: other changes of what decides wait."""
    settings_row(session, context.organisation_id, locked=True)
    family_row = family_named(session, context.organisation_id, family)
    version_row = version_numbered(session, family_row, version)
    if family_row.active_version_id == version_row.id:
        raise ConflictError(f"version {version} of {family} is active already")
    return family_row, version_row


def _backtest(session: Session, family: Family, version: RulesetVersion, now_us: int) -> Backtest:
    backtest = newest_done(session, family.id, version.content_hash)
    called = f"version {version.number} of {family.name}"
    if backtest is None:
        raise ConflictError(f"{called} has no backtest that is done; request one of it, and look at it first")
    refuse_outdated(session, backtest, reached_by(session, family, version.canonical), called, now_us)
    return backtest


def _switch(
    session: Session, context: Context, family: Family, version: RulesetVersion, change: ActivationChange
) -> Activation:
    refuse_peers_of_another(session, version)
    before = family.active_version_id
    family.active_version_id = version.id
    activation = begin(session, family, change)
    refuse_feeding_commerce(session, context.organisation_id)
    refuse_unusable_flows(session, context.organisation_id)
    context.record(
        session,
        "ruleset.rolled_back" if change.kind == "rollback" else "ruleset.activated",
        ("ruleset", family.id),
        before={"version_id": before},
        after={"version_id": version.id, "reason": change.reason},
        details=about_version("ruleset", family.name, version),
        rows=merge_digests(
            digests(session, "ruleset_families", [family.id]),
            digests(session, "activations", [activation.id]),
        ),
    )
    return activation


def advance_backfills(engine: Engine, now_us: int) -> int:
    """Mark entities of every change under way due, as many as the time since the last call allows; return the count.

    Workers call it every second or so, and share the rate. A change that was advanced by a clock ahead begins again
    now, as the entities it marked became due by that clock.
    """
    with reading(engine) as session:
        waiting = open_backfills(session)
        ahead = [each for each in waiting if each.reached_us > latest_us(session, now_us, each.reached_us)]
    if ahead:
        with writing(engine) as session:
            begin_again(session, [each.activation_id for each in ahead], now_us)
    return sum(do_each(waiting, lambda backfill: _advance(engine, backfill, now_us)))


def _advance(engine: Engine, backfill: Backfill, now_us: int) -> int:
    """Mark as many entities as the rate allows, in short transactions, so that no other writer waits for long."""
    marked, following = 0, _mark_part(engine, backfill, now_us)
    while following is not None:
        part, backfill = following
        marked += part
        following = _mark_part(engine, backfill, now_us)
    return marked


def _mark_part(engine: Engine, backfill: Backfill, now_us: int) -> tuple[int, Backfill] | None:
    elapsed = min(now_us - backfill.reached_us, MOST_SECONDS * SECOND_US)
    allowed = min(elapsed * backfill.per_second // SECOND_US, AT_ONCE)
    if allowed < 1:
        return None
    with writing(engine) as session:
        row = lock_backfill(session, backfill)
        if row is None:
            return None
        part = entities_after(session, backfill.type_id, row.reached_id, allowed)
        due.mark(session, part, Reason.ACTIVATION, now_us, BULK)
        row.reached_id = part[-1].entity_id if part else row.reached_id
        # The unused part of the last entity's time counts for the next call.
        row.reached_us = now_us - elapsed + ceil(allowed * SECOND_US / backfill.per_second)
        row.finished_us = now_us if len(part) < allowed else None
        _record_part(session, row, [subject.entity_id for subject in part])
        return len(part), replace(backfill, reached_id=row.reached_id, reached_us=row.reached_us)


def _record_part(session: Session, row: Activation, marked: list[int]) -> None:
    record(
        session,
        Actor(row.organisation_id, SYSTEM),
        "ruleset.backfilled",
        ("activation", row.id),
        details={"finished": row.finished_us is not None},
        bulk=(len(marked), digest_of(marked)),
    )


def list_activations(context: Context, family: str, part: Part = WHOLE) -> Page[ActivationLine]:
    """List activations, rollbacks and switches of a family, the newest first; NotFoundError if it does not exist."""
    with context.reading() as session:
        family_row = family_named(session, context.organisation_id, family)
        page = activations_of(session, family_row.id, part)
        versions = {version for row in page for version in (row.version_id, row.previous_version_id) if version}
        rulesets = rulesets_of_versions(session, sorted(versions))
        numbers = {version: number for version, (_, number) in rulesets.items()}
        return page.map(lambda row: _line(session, family_row, row, numbers))


def _line(session: Session, family: Family, row: Activation, numbers: Mapping[int, int]) -> ActivationLine:
    open_still = row.finished_us is None
    return ActivationLine(
        kind=row.kind,
        version=None if row.version_id is None else numbers[row.version_id],
        previous=None if row.previous_version_id is None else numbers[row.previous_version_id],
        reason=row.reason,
        actor=row.actor,
        at_us=row.at_us,
        per_second=row.per_second,
        finished_us=row.finished_us,
        reached=count_of_type(session, family.type_id, row.reached_id) if open_still else None,
        of=count_of_type(session, family.type_id) if open_still else None,
    )


def has_waiting_backfills(engine: Engine, now_us: int) -> bool:
    """Check whether a change under way, which began by now, has entities yet to mark due."""
    latest = now_us + clock_of(engine).tolerance_us
    with reading(engine) as session:
        return any(backfill.reached_us <= latest for backfill in open_backfills(session))


def advance_markings(engine: Engine, now_us: int) -> int:
    """Mark the next entities of every open marking due, each part in a transaction of its own; return the count.

    Call it again until it returns 0. Several workers may call it: one at a time works on a marking.
    """
    with reading(engine) as session:
        numbers = markings.open_markings(session)
    return sum(do_each(numbers, lambda number: _advance_marking(engine, number, now_us)))


def _advance_marking(engine: Engine, number: int, now_us: int) -> int:
    with writing(engine) as session:
        marking = markings.lock_marking(session, number)
        marked = 0
        if marking is not None and markings.may_begin(session, marking):
            if marking.reached_id == 0 and marking.from_us <= now_us:
                markings.join_waiting(session, marking, now_us)
            marked = markings.mark_part(session, marking, now_us)
    sleep(markings.PAUSE_SECONDS)
    return marked


def has_open_markings(engine: Engine) -> bool:
    """Check whether a past change has entities yet to mark."""
    with reading(engine) as session:
        return bool(markings.open_markings(session))
