"""Time to decide and rework are what plain Python makes of the stored moments; override volume is counted."""

import math
import random
from collections import defaultdict
from typing import Any

import polars as pl
import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US, HOUR_US
from fivefold.domain.errors import ConfigError
from fivefold.store.monitoring.validation import overrides_before
from fivefold.store.tables.entities import Entity, EntityType, Record
from fivefold.store.tables.levels import OverrideRow, Transition
from fivefold.store.tables.queue import QueueWork
from fivefold.store.tables.rulesets import Proposal
from fivefold.usecases.monitoring.history import CONFIRMED, ValidationPeriod, read_level_histories
from fivefold.usecases.monitoring.people import (
    BACK_DAYS,
    KINDS,
    OverrideFigures,
    WorkFigure,
    override_figures,
    read_work_figures,
)
from fivefold.usecases.shared.context import Context
from tests.usecases import platforms
from tests.usecases.planted import Planted, Step, day, planted

BACK_US = BACK_DAYS * DAY_US
PERIOD = ValidationPeriod(day(0), day(90))
_SCHEMA = {
    "entity": pl.Int64,
    "level": pl.Int64,
    "state": pl.String,
    "until_us": pl.Int64,
    "requested_us": pl.Int64,
    "decided_by": pl.String,
    "decided_us": pl.Int64,
    "revoked_us": pl.Int64,
}


@pytest.fixture
def context(engine: Engine) -> Context:
    """Two organisations in which much was asked for and decided within a hundred days."""
    chance = random.Random(11)
    organisations = [platforms.organisation(engine, name) for name in ("bank", "other")]

    def moment() -> int:
        return chance.randrange(100) * DAY_US + chance.randrange(24) * HOUR_US + 1

    with Session(engine) as session, session.begin():
        for number, kind in enumerate(session.scalars(select(EntityType).order_by(EntityType.id)).all() * 20):
            of = {"organisation_id": kind.organisation_id}
            entity = Entity(**of, type_id=kind.id, external_id=f"c{number}", created_us=1)
            session.add(entity)
            session.flush()
            for _ in range(4):
                asked, state = moment(), chance.choice(["requested", "approved", "refused", "revoked"])
                decided = None if state == "requested" else asked + chance.randrange(200) * HOUR_US
                ended = (decided or 0) + chance.choice([1, 40]) * DAY_US if state == "revoked" else None
                words = {"reason": "because", "requested_by": "member:1", "level": 1, "requested_us": asked}
                row = OverrideRow(**of, entity_id=entity.id, state=state, decided_us=decided, revoked_us=ended, **words)
                session.add(row)
            for step in (1, 2):
                reached = moment()
                moved = {"from_level": 1, "to_level": 2, "at_us": reached, "source": "rules"}
                session.add(Transition(entity_id=entity.id, number=step, **of, **moved))
                done = reached + chance.randrange(90) * HOUR_US if step == 1 else None
                written = {"entity_id": entity.id, "revision": 1, "changed_us": 1, "changed_by": "member:1"}
                session.add(QueueWork(**of, kind="rise", number=entity.id, step=step, done_us=done, **written))
            opened, closed = moment(), chance.choice([None, 30 * HOUR_US])
            ends = {"opened_us": opened, "closed_us": closed and opened + closed}
            session.add(Record(**of, kind="alert", external_id=f"a{number}", entity_id=entity.id, **ends))
        for number in range(40):
            asked, state = moment(), chance.choice(["proposed", "approved", "refused", "withdrawn"])
            decided = None if state == "proposed" else asked + chance.randrange(90) * HOUR_US
            words = {"kind": "ruleset.switch", "content": {}, "reach": {}, "reason": "because"}
            of = {"organisation_id": organisations[number % 2], "subject": f"s{number % 4}"}
            who = {"proposed_by": "member:1", "proposed_us": asked, "state": state, "decided_us": decided}
            session.add(Proposal(**of, **words, **who))
    return Context(engine, platforms.actor(organisations[0]), lambda: platforms.NOW)


def slowly(context: Context, begins: int, ends: int) -> list[WorkFigure]:
    """The figures, of rows that are read one by one."""
    took: dict[str, list[int]] = defaultdict(list)
    back = {"override": 0, "change": 0}
    with Session(context.engine) as session:

        def rows(table: Any) -> list[Any]:
            return list(session.scalars(select(table).where(table.organisation_id == context.organisation_id)))

        for row in rows(OverrideRow):
            if row.decided_us is not None and begins <= row.decided_us < ends:
                took["override"].append(row.decided_us - row.requested_us)
                later = [each.requested_us for each in rows(OverrideRow) if each.entity_id == row.entity_id]
                again = any(row.decided_us <= at < row.decided_us + BACK_US for at in later)
                is_ended = row.revoked_us is not None and row.revoked_us < row.decided_us + BACK_US
                back["override"] += is_ended or (row.state == "refused" and again)
        for row in rows(Proposal):
            if row.state in {"approved", "refused"} and begins <= row.decided_us < ends:
                took["change"].append(row.decided_us - row.proposed_us)
                later = [each.proposed_us for each in rows(Proposal) if each.subject == row.subject]
                again = any(row.decided_us <= at < row.decided_us + BACK_US for at in later)
                back["change"] += row.state == "refused" and again
        for row in rows(QueueWork):
            if row.done_us is not None and begins <= row.done_us < ends:
                took["rise"].append(row.done_us - session.get_one(Transition, (row.number, row.step)).at_us)
        for row in rows(Record):
            if row.closed_us is not None and begins <= row.closed_us < ends:
                took[row.kind].append(row.closed_us - row.opened_us)
    return [_figure(kind, sorted(took[kind]), back.get(kind)) for kind in KINDS]


def _figure(kind: str, took: list[int], back: int | None) -> WorkFigure:
    decided = len(took)
    return WorkFigure(
        kind=kind,
        decided=decided,
        median_hours=took[math.ceil(decided / 2) - 1] / HOUR_US if took else None,
        nine_of_ten_hours=took[math.ceil(decided * 9 / 10) - 1] / HOUR_US if took else None,
        came_back=back if took else None,
        came_back_share=back / decided if took and back is not None else None,
    )


@pytest.mark.postgresql
def test_figures_are_what_plain_python_makes_of_the_rows(context: Context) -> None:
    for begins, ends in ((0, 200), (20, 60), (60, 61), (150, 300)):
        found = read_work_figures(context, begins * DAY_US, ends * DAY_US)
        assert list(found.figures) == slowly(context, begins * DAY_US, ends * DAY_US)
    whole = {each.kind: each for each in read_work_figures(context, 0, 200 * DAY_US).figures}
    assert (whole["override"].came_back or 0) > 0
    assert whole["case"] == WorkFigure(
        kind="case", decided=0, median_hours=None, nine_of_ten_hours=None, came_back=None, came_back_share=None
    )


def test_what_nobody_decided_until_its_end_is_no_decision(bank: Planted) -> None:
    late = {"until_us": day(20), "state": "refused", "decided_by": "system", "decided_us": day(20)}
    bank.override(1, 1, day(1), **late)
    bank.override(1, 1, day(21), decided_us=day(22))  # asked for again: nothing came back that was decided before
    override = read_work_figures(bank.context, day(0), day(90)).figures[0]
    assert (override.decided, override.median_hours, override.came_back) == (1, 24.0, 0)


def test_an_empty_time_is_refused(context: Context) -> None:
    with pytest.raises(ConfigError, match="is empty; it must end after it begins"):
        read_work_figures(context, DAY_US, DAY_US)


@pytest.fixture
def bank(engine: Engine) -> Planted:
    """Ten customers at high by the rules."""
    made = planted(engine)
    made.add_all([[Step(day(-9), made.versions[0], 3, 3)] for _ in range(10)])
    return made


def figures(bank: Planted, cap: int = 10) -> OverrideFigures:
    with Session(bank.engine) as session:
        ended = read_level_histories(session, bank.actor.organisation_id, PERIOD, [CONFIRMED]).ended
        asked = overrides_before(session, bank.actor.organisation_id, PERIOD.until_us)
    return override_figures(asked, ended, PERIOD, cap)


def test_overrides_are_counted_by_when_something_was_decided(bank: Planted) -> None:
    bank.override(1, 1, day(-5))  # live all the time
    bank.override(2, 1, day(10), until_us=day(20))  # over by itself
    bank.override(3, 1, day(10), until_us=day(95))  # still live at the end
    bank.override(4, 1, day(-5), state="revoked", revoked_by="member:3", revoked_us=day(30))
    bank.override(5, 1, day(10), state="revoked", revoked_by="member:3", revoked_us=day(95))  # live at the end
    bank.override(6, 1, day(10), state="refused")
    bank.override(7, 1, day(10), state="requested", decided_by=None, decided_us=None)
    bank.override(8, 3, day(80))  # not below what the rules say
    bank.override(9, 1, day(10), decided_us=day(95))  # approved after the end
    bank.override(10, 1, day(95))
    bank.override(1, 1, day(10), state="refused", until_us=day(20), decided_by="system", decided_us=day(20))
    found = figures(bank)
    assert (found.requested, found.approved, found.refused, found.lapsed) == (8, 4, 1, 1)
    assert (found.revoked, found.expired) == (1, 1)
    assert (found.live, found.downward, found.with_level) == (4, 3, 10)
    assert (found.live_share, found.downward_share, found.cap_percent) == (0.4, 0.3, 10)
    assert found.mean_age_days == pytest.approx((95 + 80 + 80 + 10) / 4)


def test_one_that_was_revoked_before_its_end_did_not_end_by_itself(bank: Planted) -> None:
    bank.override(1, 1, day(1), until_us=day(20), state="revoked", revoked_by="member:3", revoked_us=day(10))
    found = figures(bank)
    assert (found.expired, found.revoked, found.live) == (0, 1, 0)


def test_it_is_over_at_its_instant(bank: Planted) -> None:
    bank.override(1, 1, day(1), until_us=PERIOD.until_us)
    bank.override(2, 1, day(1), until_us=PERIOD.until_us + 1)
    assert figures(bank).live == 1


def test_without_a_portfolio_there_is_no_share(engine: Engine) -> None:
    found = figures(planted(engine))
    assert (found.live, found.live_share, found.downward_share, found.mean_age_days) == (0, None, None, None)


def test_nobody_without_a_level_is_in_the_portfolio(bank: Planted) -> None:
    bank.add(Step(day(-9), None, None, None))
    with Session(bank.engine) as session:
        history = read_level_histories(session, bank.actor.organisation_id, PERIOD, [CONFIRMED])
    assert override_figures(pl.DataFrame(schema=_SCHEMA), history.ended, PERIOD, 10).with_level == 10
