"""Moments of schedules, beside a reference that looks at every minute of the clock."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fivefold.domain.clock import from_microseconds, to_microseconds
from fivefold.domain.schedules import LAST, LocalSchedule, latest_moment, moments_between, next_moment
from tests.depth import examples

MINUTE = timedelta(minutes=1)
ZONES = ["Europe/Oslo", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC", "Africa/Casablanca"]
TURNS = [
    datetime(2026, 3, 28, tzinfo=UTC),
    datetime(2026, 10, 24, tzinfo=UTC),
    datetime(2026, 3, 7, 12, tzinfo=UTC),
    datetime(2026, 10, 31, 12, tzinfo=UTC),
    datetime(2026, 4, 4, tzinfo=UTC),
    datetime(2026, 10, 3, tzinfo=UTC),
    datetime(2026, 2, 27, tzinfo=UTC),
]
"""Days on which clocks of these zones are changed, and the end of a short month."""


def is_due(schedule: LocalSchedule, moment: datetime) -> bool:
    """The reference: whether the clock comes to a time of the schedule at this minute, or jumps over one."""
    zone = ZoneInfo(schedule.zone)
    now, before = (each.astimezone(zone) for each in (moment, moment - MINUTE))
    local, passed = now.replace(tzinfo=None, fold=0), before.replace(tzinfo=None, fold=0) + MINUTE
    shown = [local] if now.fold == 0 else []
    while passed < local:
        shown.append(passed)
        passed += MINUTE
    return any(schedule.has_day(each.date()) and each.time() in schedule.times for each in shown)


times = st.builds(time, st.integers(0, 23), st.sampled_from([0, 15, 30, 59]))
days = st.one_of(
    st.just((frozenset[int](), frozenset[int]())),
    st.frozensets(st.integers(0, 6), min_size=1, max_size=3).map(lambda some: (some, frozenset[int]())),
    st.frozensets(st.sampled_from([1, 4, 7, 8, 25, 28, 29, 31, LAST]), min_size=1, max_size=4).map(
        lambda some: (frozenset[int](), some)
    ),
)


@settings(max_examples=examples(60), deadline=None)
@given(
    st.sampled_from(ZONES),
    st.lists(times, min_size=1, max_size=3, unique=True),
    days,
    st.sampled_from(TURNS),
    st.data(),
)
def test_moments_are_those_of_the_clock(
    zone: str,
    at: list[time],
    chosen: tuple[frozenset[int], frozenset[int]],
    turn: datetime,
    data: st.DataObject,
) -> None:
    schedule = LocalSchedule(zone, tuple(at), *chosen)
    begin = turn + MINUTE * data.draw(st.integers(0, 1440))
    minutes = [begin + MINUTE * number for number in range(1, 2 * 1440)]
    due = [to_microseconds(each) for each in minutes if is_due(schedule, each)]
    found, moment = [], to_microseconds(begin)
    while (moment := next_moment(schedule, moment)) <= to_microseconds(minutes[-1]):
        found.append(moment)
        assert latest_moment(schedule, moment) == moment
        assert latest_moment(schedule, next_moment(schedule, moment) - 1) == moment
    assert found == due
    assert list(moments_between(schedule, to_microseconds(begin) + 1, to_microseconds(minutes[-1]) + 1)) == due
    if due:
        assert list(moments_between(schedule, due[0], due[-1])) == due[:-1], "the last moment is not in it"


def test_a_period_from_the_first_day_that_there_is_has_moments_too() -> None:
    first = to_microseconds(datetime.min.replace(tzinfo=UTC))
    apia = LocalSchedule("Pacific/Apia", (time(0),))
    assert next(iter(moments_between(apia, first, to_microseconds(datetime(3, 1, 1, tzinfo=UTC))))) > first


def at_nine(zone: str = "Europe/Oslo", **days: frozenset[int]) -> LocalSchedule:
    return LocalSchedule(zone, (time(9),), **days)


def following(schedule: LocalSchedule, begin: datetime, count: int) -> list[str]:
    moment, found = to_microseconds(begin), []
    for _ in range(count):
        moment = next_moment(schedule, moment)
        found.append(from_microseconds(moment).astimezone(ZoneInfo(schedule.zone)).isoformat())
    return found


def test_nine_o_clock_stays_nine_o_clock_when_summer_begins() -> None:
    found = following(at_nine(), datetime(2026, 3, 28, tzinfo=UTC), 2)
    assert found == ["2026-03-28T09:00:00+01:00", "2026-03-29T09:00:00+02:00"]


def test_a_time_that_the_clock_jumps_over_is_the_jump_and_one_that_comes_twice_is_the_first() -> None:
    night = LocalSchedule("Europe/Oslo", (time(2, 30),))
    assert following(night, datetime(2026, 3, 28, 12, tzinfo=UTC), 2) == [
        "2026-03-29T03:00:00+02:00",
        "2026-03-30T02:30:00+02:00",
    ]
    assert following(night, datetime(2026, 10, 24, 12, tzinfo=UTC), 2) == [
        "2026-10-25T02:30:00+02:00",
        "2026-10-26T02:30:00+01:00",
    ]
    samoa = LocalSchedule("Pacific/Apia", (time(9),))
    assert following(samoa, datetime(2011, 12, 29, 20, tzinfo=UTC), 2) == [
        "2011-12-31T00:00:00+14:00",
        "2011-12-31T09:00:00+14:00",
    ], "a day that the clock jumped over as a whole"


def test_a_month_without_the_day_is_left_out_and_the_last_day_is_in_every_month() -> None:
    begin = datetime(2027, 1, 30, 12, tzinfo=UTC)
    assert [each[:10] for each in following(at_nine(month_days=frozenset({31})), begin, 3)] == [
        "2027-01-31",
        "2027-03-31",
        "2027-05-31",
    ]
    assert [each[:10] for each in following(at_nine(month_days=frozenset({LAST, 1})), begin, 4)] == [
        "2027-01-31",
        "2027-02-01",
        "2027-02-28",
        "2027-03-01",
    ]


@pytest.mark.parametrize("day", [date(2026, 11, 23), date(2026, 11, 24)])
def test_weekdays_are_those_of_the_zone(day: date) -> None:
    mondays = LocalSchedule("Pacific/Kiritimati", (time(0, 30),), weekdays=frozenset({0}))
    assert mondays.has_day(day) == (day.day == 23)
    assert following(mondays, datetime(2026, 11, 22, 10, tzinfo=UTC), 1) == ["2026-11-23T00:30:00+14:00"]
