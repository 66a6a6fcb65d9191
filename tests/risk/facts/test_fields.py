"""Fields, read leniently: what fits, what is unknown, and what cannot be read, alone among its neighbours."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fivefold.domain.clock import to_microseconds
from fivefold.domain.errors import FileFormatError
from fivefold.risk.facts.reading import entities_from_rows, read_field, read_moments
from fivefold.risk.language.fields import OneOf
from tests.risk.conftest import Refusal

JULY = to_microseconds(date(2024, 7, 1))
KIND = OneOf(one_of=("person", "company"))
nan, inf = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("column", "declared", "values", "wrong"),
    [
        (pl.Series([1, None]), "number", [1.0, None], None),
        (pl.Series([1.5, nan, inf, -inf]), "number", [1.5, None, None, None], [None, None, "inf", "-inf"]),
        (pl.Series([" 1.5 ", "", "ten", "nan"]), "number", [1.5, None, None, None], [None, None, "ten", "nan"]),
        (pl.Series([Decimal("1.50")]), "number", [1.5], None),
        (pl.Series([True]), "number", [None], ["True"]),
        (pl.Series([date(2024, 7, 1)]), "number", [None], ["2024-07-01"]),
        (pl.Series(["a", "", None]), "text", ["a", None, None], None),
        (pl.Series([12]), "text", ["12"], None),
        (pl.Series([1.5]), "text", [None], ["1.5"]),
        (pl.Series(["a", "", None], dtype=pl.Categorical), "text", ["a", None, None], None),
        (pl.Series(["a"], dtype=pl.Enum(["a"])), "text", ["a"], None),
        (pl.Series(["1", "x"], dtype=pl.Categorical), "number", [1.0, None], [None, "x"]),
        (pl.Series(["NO", "no", "NOR", None]), "country", ["NO", None, None, None], [None, "no", "NOR", None]),
        (pl.Series(["person", "robot"]), KIND, ["person", None], [None, "robot"]),
        (pl.Series([True, None]), "flag", [True, None], None),
        (pl.Series(["TRUE", "false", "0", "yes"]), "flag", [True, False, False, None], [None, None, None, "yes"]),
        (pl.Series([1, 2]), "flag", [True, None], [None, "2"]),
        (pl.Series([1.0]), "flag", [None], ["1.0"]),
        (pl.Series(["2024-07-01", "", "soon"]), "date", [JULY, None, None], [None, None, "soon"]),
        (pl.Series([date(2024, 7, 1)]), "date", [JULY], None),
        (pl.Series([datetime(2024, 7, 1, tzinfo=UTC)]), "date", [JULY], None),
        (pl.Series([20240701]), "date", [None], ["20240701"]),
        (pl.Series(["a; b", "", "c"]), ("text",), [["a", "b"], None, ["c"]], None),
        (pl.Series([["a", None], [], None]), ("text",), [["a"], [], None], None),
        (pl.Series([[1]]), ("text",), [None], None),
        (pl.Series([None, None]), "flag", [None, None], None),
    ],
)
def test_reading(column: pl.Series, declared: Any, values: list[Any], wrong: list[Any] | None) -> None:
    read, bad = read_field(column.alias("f"), declared)
    assert read.to_list() == values
    if column.dtype == pl.List(pl.Int64):
        assert bad is not None
        return
    assert (None if bad is None else bad.to_list()) == wrong
    assert bad is None or bad.name == "f!"


@given(st.lists(st.none() | st.floats(), min_size=1), st.floats(allow_nan=False, allow_infinity=False))
def test_value_is_read_alike_whoever_is_beside_it(others: list[float | None], value: float) -> None:
    both = read_field(pl.Series("f", [*others, value], dtype=pl.Float64), "number")
    alone = read_field(pl.Series("f", [value], dtype=pl.Float64), "number")
    assert both[0].to_list()[-1] == alone[0].item() == value
    assert both[1] is None or both[1].to_list()[-1] is None


def test_moments_are_microseconds_in_utc() -> None:
    texts = pl.Series(["2024-07-01", "2024-07-01T02:00:00+02:00", "2024-07-01T00:00:00Z", None, "31.12.2024"])
    assert read_moments(texts).to_list() == [JULY, JULY, JULY, None, None]
    oslo = pl.Series([JULY]).cast(pl.Datetime("us", "UTC")).dt.convert_time_zone("Europe/Oslo")
    assert read_moments(oslo).to_list() == [JULY]
    assert read_moments(oslo.cast(pl.Datetime("ms", "Europe/Oslo"))).to_list() == [JULY]
    assert read_moments(pl.Series([1.5])).to_list() == [None]


ROWS: list[dict[str, Any]] = [
    {"entity_id": "a", "size": 1, "sure": True, "on": date(2024, 7, 1), "words": ["x"], "other": object()},
    {"entity_id": 2, "size": Decimal("1.5"), "sure": 1, "on": datetime(2024, 7, 1, tzinfo=UTC), "words": ("x", 1)},
    {"entity_id": "c", "size": True, "sure": None, "on": "2024-07-01", "words": "x"},
    {"entity_id": "d", "size": 10**400, "sure": "true", "on": 1.5},
    {"entity_id": "e", "size": nan},
]


def test_rows_of_any_types() -> None:
    frame = entities_from_rows(ROWS, {"size": "number", "sure": "flag", "on": "date", "words": ("text",)})
    assert frame["entity_id"].to_list() == ["a", "2", "c", "d", "e"]
    assert frame["size"].to_list()[:4] == [1.0, 1.5, None, None]
    assert frame["size!"].to_list() == [None, None, "True", repr(10**400), None]
    assert frame["sure"].to_list() == [True, None, None, None, None]
    assert frame["sure!"].to_list() == [None, "1", None, "'true'", None]
    assert read_field(frame["on"], "date")[0].to_list() == [JULY, JULY, JULY, None, None]
    assert frame["words"].to_list() == [["x"], None, None, None, None]
    assert frame["words!"].to_list() == [None, "('x', 1)", "'x'", None, None]
    assert "other" not in frame.columns


@pytest.mark.parametrize("row", [{}, {"entity_id": None}, {"entity_id": 1.5}, {"entity_id": True}])
def test_row_without_entity_is_refused(row: dict[str, Any], refusal: Refusal) -> None:
    with refusal(FileFormatError):
        entities_from_rows([{"entity_id": "a"}, row], {})


def test_no_rows() -> None:
    assert entities_from_rows([], {"size": "number"}).schema == {"entity_id": pl.String, "size": pl.Float64}


def test_a_list_where_a_number_should_be_is_shown_as_a_list() -> None:
    values, wrong = read_field(pl.Series("n", [[1, 2], None]), "number")
    assert values.to_list() == [None, None]
    assert wrong is not None
    assert wrong.to_list() == ["[1, 2]", None]
