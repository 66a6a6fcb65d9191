"""What patterns share: linking, exact bounds, and the form of the answer."""

from fractions import Fraction

import polars as pl
import pytest

from fivefold.domain.clock import DAY_US
from fivefold.risk.facts.patterns import rows
from fivefold.risk.language.quantities import Duration
from tests.risk.facts.patterns.making import NOW, fact, people, prepared

DAY = Duration(1, "day")
ALL = pl.lit(value=True)


def test_each_row_has_its_own_window() -> None:
    facts = [fact(1, days, entity=name) for days in (0, 0.5, 1, 1.5, 2) for name in "ab"]
    twice = people([("b", NOW), ("b", NOW - DAY_US), ("nobody", NOW)])
    found = rows.linked(twice, prepared(facts), ALL, DAY).collect().sort("row", "time")
    assert found.select("row", "time").rows() == [
        (0, NOW - DAY_US // 2),
        (0, NOW),
        (1, NOW - DAY_US * 3 // 2),
        (1, NOW - DAY_US),
    ]


def test_what_came_earlier_is_there_where_it_is_asked_for() -> None:
    facts = [fact(1, days) for days in (-1, 0, 5)]
    found = rows.linked(people([("a", NOW)]), prepared(facts), ALL, DAY, earlier=True).collect().sort("time")
    assert found.select("time", "begin").rows() == [(NOW - 5 * DAY_US, NOW - DAY_US), (NOW, NOW - DAY_US)]


def test_a_field_may_have_any_name() -> None:
    """Even one that a pattern uses for itself."""
    facts = prepared([fact(1, 0, purpose="p")]).rename({"purpose": "begin"})
    found = rows.linked(people([("a", NOW)]), facts, ALL, DAY, word="begin").collect()
    assert found["word"].to_list() == ["p"]


def test_an_unknown_condition_is_no() -> None:
    facts = prepared([fact(1, 0, amount=None), fact(1, 0)])
    assert len(rows.linked(people([("a", NOW)]), facts, pl.col("amount") > 0, DAY).collect()) == 1


@pytest.mark.parametrize(
    ("bound", "units", "minor"),
    [("9000", 100, 900_000), ("0.005", 100, 1), ("0.015", 100, 2), ("12.5", 1, 13), ("-1", 100, -100)],
)
def test_the_least_minor_unit(bound: str, units: int, minor: int) -> None:
    assert rows.least_minor(Fraction(bound), units) == minor


def test_a_bound_beyond_every_amount_still_compares() -> None:
    assert rows.least_minor(Fraction(10**15), 10**4) == 2**63 - 1


def test_sums_and_products_are_wider_than_64_bits() -> None:
    frame = pl.DataFrame({"amount": [2**62, 2**62, 2**62]})
    assert frame.select(rows.total("amount")).item() == 3 * 2**62
    assert frame.select(rows.wide("amount", 2**62)).item(0, 0) == 2**124


def test_answers_keep_the_order() -> None:
    found = pl.LazyFrame({"row": [2, 0], "number": [4, 3], "latest": [8, 9]}, schema_overrides={"row": pl.UInt32})
    entities = people([("c", 1), ("a", 2), ("b", 3)])
    known = pl.col("entity_id") != "b"
    assert rows.by_row(entities, found).rows() == [("c", 3.0, 9), ("a", 0.0, None), ("b", 4.0, 8)]
    assert rows.by_row(entities, found, known).rows() == [("c", 3.0, 9), ("a", 0.0, None), ("b", None, None)]


def test_offsets() -> None:
    places, offsets = rows.offsets_of(pl.DataFrame({"row": [3, 3, 5]}))
    assert (places.to_list(), offsets.tolist()) == ([3, 5], [0, 2, 3])
    assert rows.offsets_of(pl.DataFrame({"row": []}, schema={"row": pl.UInt32}))[1].tolist() == [0]
