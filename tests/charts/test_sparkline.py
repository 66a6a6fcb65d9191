"""A small line: every known value lies in the picture at its place, and no line crosses a gap."""

import re

from hypothesis import given
from hypothesis import strategies as st

from fivefold.charts.series import SPARK_HEIGHT, SPARK_WIDTH, sparkline

VALUES = st.lists(st.none() | st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=15)


@given(VALUES)
def test_each_known_value_is_a_place_in_the_picture(values: list[float | None]) -> None:
    line = sparkline(range(len(values)), values)
    known = [value for value in values if value is not None]
    if line is None:
        assert not known
        return
    places = [(float(x), float(y)) for x, y in re.findall(r"[ML](\S+) (\S+)", line.path)]
    assert len(places) == len(known)
    assert all(0 <= x <= SPARK_WIDTH and 0 <= y <= SPARK_HEIGHT for x, y in places)
    assert [x for x, _ in places] == sorted(x for x, _ in places)
    assert places[-1] == line.end
    assert (line.lowest, line.highest) == (min(known), max(known))
    by_value = sorted(zip(known, (y for _, y in places), strict=True))
    assert [y for _, y in by_value] == sorted((y for _, y in places), reverse=True)


@given(VALUES)
def test_a_part_begins_after_each_gap(values: list[float | None]) -> None:
    line = sparkline(range(len(values)), values)
    runs = "".join("-" if value is None else "v" for value in values).replace("-", " ").split()
    assert ("" if line is None else line.path).count("M") == len(runs)
    assert ("" if line is None else line.path).count("h0") == sum(len(run) == 1 for run in runs)


def test_one_value_is_a_point_and_equal_ones_lie_halfway() -> None:
    line = sparkline((0, 10, 20), (None, 4.0, None))
    assert line is not None
    assert (line.path, line.end) == ("M60.0 12.0 h0", (60.0, 12.0))
    flat = sparkline((0, 10), (2.0, 2.0))
    assert flat is not None
    assert flat.path == "M0.0 12.0 L120.0 12.0"


def test_a_value_lies_at_its_moment() -> None:
    line = sparkline((100, 175, 200), (1.0, 2.0, 1.0))
    assert line is not None
    assert line.path == "M0.0 24.0 L90.0 0.0 L120.0 24.0"
