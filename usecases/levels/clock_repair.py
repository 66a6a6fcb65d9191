"""Repair after a clock that was ahead: find what it dated after now, and mend that so that nothing waits for it.

Assessments, transitions, decisions and audit entries are history, and stay as they are. The repair changes what later
work depends on: the standings of entities, since when they hold, and when entities are due; from when facts are known;
values of later moments; and pending activations, deliveries, reviews and runs. Group sizes of later days are deleted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Engine, func, select

from fivefold.domain.clock import day_text, now_microseconds
from fivefold.domain.errors import ConfigError
from fivefold.store.audit.chain import digest_of
from fivefold.store.ingest.entities import subjects
from fivefold.store.ingest.future_moments import future_moments
from fivefold.store.ingest.ownerships import owner_numbers
from fivefold.store.levels import future_rows as ahead
from fivefold.store.levels.assessment_queue import BULK, Reason, Subject
from fivefold.store.levels.future_rows import FutureRows
from fivefold.store.sql.clocks import database_now_us, latest_us
from fivefold.store.sql.database import reading, reading_at_one_moment, writing
from fivefold.store.tables.entities import Entity
from fivefold.usecases.levels.groups.reach import mark_linked, reached_by
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import record

MOST_REASON_CHARACTERS: Final = 500
PART: Final = 2_000
"""How many entities are mended in one transaction."""


@dataclass(frozen=True)
class Clocks:
    """The time by each clock, in microseconds, and what is dated after now.

    Attributes:
        machine_us: by this machine's clock.
        database_us: by the database's clock; on SQLite the machine's own.
        ahead: counts of what is dated after now, by organisation and kind.
    """

    machine_us: int
    database_us: int
    ahead: Sequence[FutureRows]


def read_clocks(engine: Engine) -> Clocks:
    """Compare the clocks, and count what is dated after now."""
    with reading_at_one_moment(engine) as session:  # what is stored while it counts is not after that moment
        there = database_now_us(session)
        return Clocks(now_microseconds(), there, ahead.count_future_rows(session, latest_us(session, there)))


def refuse_future(engine: Engine, at_us: int, what: str) -> None:
    """Raise ConfigError if a moment given as the present is still to come."""
    with reading(engine) as session:
        there = database_now_us(session)
        if at_us > latest_us(session, there):
            raise ConfigError(
                f"{what} is {day_text(at_us)}, and by the database's clock it is {day_text(there)}: what is dated after"
                " now would keep levels from being computed until then; give a moment that is past"
            )


def repair_dates(engine: Engine, actor: str, reason: str) -> Sequence[FutureRows]:
    """Mend what is dated after now, in all organisations, and return the counts of it.

    Each affected entity gets back its standing from before the first assessment dated ahead, as far as that is known,
    and becomes due: until it is assessed, its level is the one that was announced, and its status is failed. Facts
    known from a later moment are known from now on, and values of a later moment are deleted: the model computes them
    again. Workers may go on meanwhile, and a repair that broke off can be started again.

    Args:
        engine: the database.
        actor: who requests the repair.
        reason: why, for the audit log.

    Raises:
        ConfigError: there is no reason.
        StoreError: the database is out of reach, or its clock and this machine's differ.
    """
    if not 1 <= len(reason.strip()) <= MOST_REASON_CHARACTERS:
        raise ConfigError(f"a repair needs a reason of 1 to {MOST_REASON_CHARACTERS} characters")
    counts = sorted([*_mend_waits(engine, actor, reason), *_dated_rows(engine)])
    with reading(engine) as session:
        newest_id = session.scalar(select(func.max(Entity.id))) or 0
    for organisation_id in sorted({each.organisation_id for each in counts}):
        reached_id = 0
        while (reached := _mend_part(engine, organisation_id, (reached_id, newest_id), actor, reason)) is not None:
            reached_id = reached
    return counts


def _mend_waits(engine: Engine, actor: str, reason: str) -> Sequence[FutureRows]:
    """Mend what waits apart from entities; return the counts of that, and of entities due later."""
    with writing(engine) as session:  # which compares the clocks: one that is ahead must not mend
        now = database_now_us(session)
        latest = latest_us(session, now)
        counts = ahead.count_waits(session, latest)
        ahead.end_long_waits(session, latest_us(session, now), now)
        for each in counts:
            if each.kind in ahead.WITHOUT_ENTITY:
                about, counted = ahead.WITHOUT_ENTITY[each.kind]
                details = {"reason": reason, "latest_us": latest, counted: each.entries}
                record(session, Actor(each.organisation_id, actor), "clock.repaired", (about, None), details=details)
        return counts


def _dated_rows(engine: Engine) -> Sequence[FutureRows]:
    with reading_at_one_moment(engine) as session:
        return ahead.count_dated_rows(session, latest_us(session, database_now_us(session)))


def _mend_part(engine: Engine, organisation_id: int, between: tuple[int, int], actor: str, reason: str) -> int | None:
    """Mend the next entities of an organisation in one transaction; return the last number, or None if none is left.

    *between* has the number after which they come, and the number of the newest entity when the repair began: so each
    is mended once, and the walk ends. What workers and callers store meanwhile is right, so it must not look as if it
    were dated after now: the clock is read again before each step that may take long.
    """
    with writing(engine) as session:
        now = database_now_us(session)
        latest = latest_us(session, now)
        all_moments = future_moments(session, latest, organisation_id)
        affected = ahead.affected_entities(session, organisation_id, latest, all_moments, between, PART)
        if not affected:
            return None
        ids = [entity.entity_id for entity in affected]
        part = set(ids)
        marked = [Subject(*entity[:3]) for entity in affected if not entity.erased]
        before = reached_by(session, marked, now)
        of_part = [each for each in all_moments if each.entity_id in part]
        facts, digests = ahead.redate_facts(session, ids, of_part, latest_us(session, now), now)
        others = {each.other_id for each in of_part if each.other_id is not None}
        others |= owner_numbers(session, ids)  # facts about what they own, and the times in which they own it
        mark_linked(session, [*marked, *subjects(session, others - part)], Reason.CLOCK, now, BULK, before)
        standings = ahead.restore_levels(session, ids, latest_us(session, now), now)
        mended = {
            "standings": len(standings.get("stands", ())),
            "facts": facts,
            "values": ahead.delete_value_scores(session, ids, latest_us(session, now)),
        }
        record(
            session,
            Actor(organisation_id, actor),
            "clock.repaired",
            ("entity", None),
            after=standings or None,
            details={"reason": reason, "latest_us": latest, **mended},
            bulk=(len(ids), digest_of(ids)),
            rows=digests,
        )
        return ids[-1]
