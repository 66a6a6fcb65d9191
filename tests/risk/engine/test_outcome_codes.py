"""Codes: points and slot in one whole number, apart again whatever the sign and the sum."""

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from fivefold.risk.engine.outcome_codes import SLOTS, code, points_column, points_of, rule_column, slot_column, slot_of
from fivefold.risk.language.quantities import MOST_POINTS, POINT_UNITS

MOST_UNITS = MOST_POINTS * POINT_UNITS
MOST_SLOT = 202
"""Two hundred cases, otherwise, unknown and failed."""
units = st.integers(-MOST_UNITS, MOST_UNITS)
slots = st.integers(0, MOST_SLOT)


@given(st.lists(st.tuples(units, slots), min_size=1, max_size=20))
def test_parts_come_apart_again(pairs: list[tuple[int, int]]) -> None:
    codes = [code(points, slot) for points, slot in pairs]
    assert [(points_of(one), slot_of(one)) for one in codes] == pairs
    frame = pl.DataFrame({"code": codes}, schema={"code": pl.Int64})
    made = frame.select(points=points_column(pl.col("code")), slot=slot_column(pl.col("code")))
    assert made.rows() == pairs


@given(st.lists(st.tuples(units, slots), min_size=1, max_size=50))
def test_points_of_a_sum_are_the_sum_of_points(pairs: list[tuple[int, int]]) -> None:
    total = sum(code(points, slot) for points, slot in pairs)
    assert points_of(total) == sum(points for points, _ in pairs)


def test_thousand_rules_of_two_hundred_cases_fit() -> None:
    assert 1000 * MOST_SLOT < SLOTS
    for sign in (1, -1):
        worst = pl.DataFrame({f"c{number}": [code(sign * MOST_UNITS, MOST_SLOT)] for number in range(1000)})
        total = worst.select(points_column(pl.sum_horizontal(pl.all()))).item()
        assert total == sign * 1000 * MOST_UNITS


def test_no_rule_has_the_column_of_another() -> None:
    assert len({rule_column(name) for name in ("a", "a-b", "total")}) == 3
    assert " " in rule_column("total")  # which no id, and so no other column of the engine, has in that place
