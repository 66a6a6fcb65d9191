"""A portfolio over time: counters, matrix and people are what plain Python makes of the transitions."""

import random
import re
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US, from_microseconds, to_microseconds
from fivefold.domain.errors import ConfigError, NotFoundError
from fivefold.domain.paging import Part, every_row
from fivefold.store.tables.entities import Entity, EntityType
from fivefold.store.tables.levels import LevelMoveCount, Standing, Transition
from fivefold.usecases.portfolio import migration
from fivefold.usecases.portfolio.migration import Every, levels_over_time, list_movers, read_migration
from fivefold.usecases.shared.context import Context
from tests.depth import SHARED_FIXTURES, examples
from tests.store.filling import filled_once
from tests.store.plans import plan_of, statements
from tests.usecases import platforms
from tests.usecases.portfolio.two_banks import entities_of_two, organisations_of_two

NAMES = (None, *platforms.LEVELS)
NOW = to_microseconds(datetime(2026, 11, 22, 9, tzinfo=UTC))
TODAY = NOW // DAY_US
DAYS = st.none() | st.integers(TODAY - 100, TODAY + 1)


@pytest.fixture
@filled_once
def context(engine: Engine) -> Context:
    """Two types and two organisations, whose entities moved on many days, some of them several times on one."""
    chance = random.Random(7)
    organisations = organisations_of_two(engine)
    with Session(engine) as session, session.begin():
        for entity in entities_of_two(session, organisations, 90, erased_each=15):
            of = {"organisation_id": entity.organisation_id}
            level, at = None, NOW - chance.randint(0, 95) * DAY_US
            for place in range(1, chance.randint(1, 6)):
                next_level = chance.choice([one for one in (None, 1, 2, 3) if one != level])
                moved = {"from_level": level, "to_level": next_level, "at_us": at, "source": "rules"}
                session.add(Transition(entity_id=entity.id, number=place, **of, **moved))
                level, at = next_level, min(at + chance.choice([0, 1, 20]) * DAY_US, NOW)
            place = {"number": 9, "assessed_us": NOW, "level_since_us": at, "hard_floor": 0}
            place |= {"status": "assessed", "source": "rules"}
            session.add(
                Standing(entity_id=entity.id, **of, type_id=entity.type_id, level=level, rules_level=level, **place)
            )
    return Context(engine, platforms.actor(organisations[0]), lambda: NOW)


Path = list[tuple[int, int, int]]


def paths(context: Context, type_name: str = "customer") -> Mapping[str, tuple[bool, Path]]:
    """Whether each entity was erased, and the day, the level before and the level after of each of its moves."""
    with Session(context.engine) as session:
        kind = select(EntityType.id).where(
            EntityType.name == type_name, EntityType.organisation_id == context.organisation_id
        )
        found: dict[str, tuple[bool, Path]] = {}
        for entity in session.scalars(select(Entity).where(Entity.type_id.in_(kind))):
            rows = session.scalars(
                select(Transition).where(Transition.entity_id == entity.id).order_by(Transition.number)
            )
            moves = [(row.at_us // DAY_US, row.from_level or 0, row.to_level or 0) for row in rows]
            found[entity.external_id] = (entity.erased_us is not None, moves)
        return found


def level_before(path: Path, day: int) -> int:
    """The level that held before a day."""
    return next((after for at, _, after in reversed(path) if at < day), 0)


@pytest.mark.postgresql
@settings(max_examples=examples(30), suppress_health_check=SHARED_FIXTURES)
@given(since=DAYS, until=DAYS, ends=st.tuples(*[st.sampled_from([None, "none", *platforms.LEVELS])] * 2))
def test_who_moved_is_what_plain_python_finds(
    context: Context, since: int | None, until: int | None, ends: tuple[str | None, str | None]
) -> None:
    first, last = migration.days_of(NOW, None, None)
    first, last = first if since is None else since, last if until is None else until
    if since is None:
        first = last - migration.USUAL_DAYS
    given_us = [None if each is None else each * DAY_US + 5 for each in (since, until)]
    if first >= last:
        with pytest.raises(ConfigError, match=r"the time ends before its first day, .*; it must have 1 to 3,660 "):
            read_migration(context, "customer", *given_us)
        return
    people = paths(context)
    cells = Counter((level_before(path, first), level_before(path, last)) for _, path in people.values())
    del cells[0, 0]
    found = read_migration(context, "customer", *given_us)
    assert {(cell.from_level, cell.to_level): cell.entities for cell in found.cells or ()} == {
        (NAMES[before], NAMES[after]): count for (before, after), count in cells.items()
    }
    assert found.moves == sum(
        1 for _, path in people.values() for day, before, _ in path if before and first <= day < last
    )
    wanted = [0 if each == "none" else None if each is None else NAMES.index(each) for each in ends]
    listed = set()
    for name, (is_erased, path) in people.items():
        before, after = level_before(path, first), level_before(path, last)
        fits = (before if wanted[0] is None else before == wanted[0]) and wanted[1] in {None, after}
        if fits and before != after and not is_erased:
            listed.add((name, NAMES[before], NAMES[after], sum(first <= day < last for day, _, _ in path)))
    asked = {"from_level": ends[0], "to_level": ends[1]}
    movers = list(every_row(lambda part: list_movers(context, "customer", *given_us, **asked, part=part), 2))
    assert {(each.external_id, each.from_level, each.to_level, each.moves) for each in movers} == listed
    assert len(movers) == len(listed)
    assert list_movers(context, "customer", *given_us, **asked) == movers
    left = [each.left_us for each in movers]
    assert left == sorted(left, reverse=True)


@pytest.mark.parametrize("every", list(Every))
@pytest.mark.parametrize("type_name", ["customer", "company"])
def test_a_series_has_who_stood_where_at_each_end(context: Context, every: Every, type_name: str) -> None:
    people = paths(context, type_name).values()
    series = levels_over_time(context, type_name, every, 14).moments
    assert series[-1].since_us <= NOW < series[-1].until_us
    for line in series:
        since, until = line.since_us // DAY_US, line.until_us // DAY_US
        there = Counter(level_before(path, until) for _, path in people)
        assert [each.entities for each in line.levels] == [there[number] for number in (1, 2, 3)]
        assert line.entities == sum(there.values()) - there[0]
        inside = [move for _, path in people for move in path if since <= move[0] < until and move[1]]
        assert line.rises == sum(after > before for _, before, after in inside)
        assert line.falls == sum(0 < after < before for _, before, after in inside)
        assert line.lost == sum(not after for _, _, after in inside)
    assert all(early.until_us == late.since_us for early, late in pairwise(series))
    first = from_microseconds(series[0].since_us)
    assert first.day == 1 or every is not Every.MONTH
    assert first.weekday() == 0 or every is not Every.WEEK


@pytest.mark.postgresql
def test_counters_are_the_transitions_by_day(context: Context) -> None:
    with Session(context.engine) as session:
        counted: Counter[tuple[int, ...]] = Counter()
        for row in session.scalars(select(LevelMoveCount)):
            counted[row.type_id, row.day, row.from_level, row.to_level] += row.entities
        moves = select(Transition, Entity.type_id).join(Entity, Entity.id == Transition.entity_id)
        assert counted == Counter(
            (type_id, row.at_us // DAY_US, row.from_level or 0, row.to_level or 0)
            for row, type_id in session.execute(moves)
        )


@pytest.mark.postgresql
def test_nothing_reads_all_transitions(context: Context) -> None:
    with statements(context.engine) as asked:
        levels_over_time(context, "customer")
        read_migration(context, "customer")
        list_movers(context, "customer", part=Part(50))
    about = [each for each in asked if "transitions" in each[0]]
    (listed,) = (each[0] for each in about if "min(" in each[0])
    assert not re.search(r"entity_id = transitions\.entity_id AND transitions_\d+\.(number|at_us)", listed), (
        "type first"
    )
    plans = [plan_of(context.engine, each, "transitions", "entities") for each in about]
    by_direction = [plan for plan in plans if "ix_transitions_rises" in plan and "ix_transitions_falls" in plan]
    assert (len(by_direction), len(plans)) == (2, 3), plans
    for plan in plans:
        assert "SCAN transitions" not in plan, plan
        assert "Seq Scan on transitions" not in plan, plan


def test_where_too_many_moved_it_is_not_counted_who_was_where(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migration, "MOST_MOVES", 0)
    found = read_migration(context, "customer", NOW - 99 * DAY_US)
    assert found.moves > 0
    assert found.cells is None
    assert read_migration(context, "customer", NOW - 1000 * DAY_US, NOW - 900 * DAY_US).cells == ()


def test_what_is_not_there_is_refused(context: Context) -> None:
    with pytest.raises(NotFoundError):
        read_migration(context, "trust")
    with pytest.raises(NotFoundError):
        levels_over_time(context, "trust")
    with pytest.raises(ConfigError, match="there is no level 'severe'"):
        list_movers(context, "customer", to_level="severe")
    with pytest.raises(ConfigError, match="there are 61 periods"):
        levels_over_time(context, "customer", Every.DAY, 61)
    with pytest.raises(ConfigError):
        list_movers(context, "customer", part=Part(2, ("x",)))
