"""Fields of facts are read as those of entities are; what is wrong is marked in passing, then named where asked for."""

from datetime import UTC, date, datetime
from math import inf, nan
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fivefold.domain.errors import ConfigError, FileFormatError
from fivefold.domain.money import ecb_rates
from fivefold.features.reading import fast_columns
from fivefold.risk.facts.linked import LINKED_ENTITY, TIME, UNREADABLE
from fivefold.risk.facts.reading import read_declared, read_field, read_time, refuse_link
from fivefold.risk.facts.row_errors import LONGEST_SHOWN, Check, find_problems, with_problems
from fivefold.risk.facts.transactions import prepare
from fivefold.risk.language.fields import FieldType, OneOf
from tests.depth import examples
from tests.risk.conftest import Refusal

FORMS: tuple[FieldType, ...] = ("text", "number", "flag", "date", "country", ("text",), OneOf(one_of=("cash", "card")))
COLUMNS = (
    st.lists(
        st.none()
        | st.sampled_from(
            ["", "x", "cash", "DE", "de", "1.5", " 2 ", "nan", "true", "0", "2024-07-01", "a;b", ";", " ; "]
        )
    ),
    st.lists(st.none() | st.floats(-1e14, 1e14) | st.sampled_from([nan, inf, -inf])),
    st.lists(st.none() | st.integers(-5, 5)),
    st.lists(st.none() | st.booleans()),
    st.lists(st.none() | st.dates(date(1900, 1, 1))),
    st.lists(st.none() | st.datetimes(datetime(1900, 1, 1), timezones=st.just(UTC))),  # noqa: DTZ001 (Hypothesis wants it so)
    st.lists(st.none() | st.lists(st.none() | st.sampled_from(["a", "b", "", " "]))),
)


@settings(deadline=None, max_examples=examples(150))
@given(st.one_of(COLUMNS), st.sampled_from(FORMS))
def test_facts_and_entities_are_read_alike(values: list[Any], declared: FieldType) -> None:
    column = pl.Series("field", values, strict=False)
    expected, wrong = read_field(column, declared)
    read = read_declared("field", column.dtype, declared)
    made = column.to_frame().lazy().select(value=read.value, wrong=pl.lit(False) if read.wrong is None else read.wrong)
    found = made.collect(engine="streaming")
    assert found["value"].to_list() == expected.to_list()
    assert found["value"].dtype == expected.dtype
    complaints = [False] * len(values) if wrong is None else wrong.is_not_null().to_list()
    assert found["wrong"].fill_null(False).to_list() == complaints


CELLS = st.none() | st.sampled_from(
    ["x", "", "1.5", "true", "2024-07-01", "a; b", 5, 0, 901.0, 1e20, -0.0, True, 2**70, ["a"], [], [1], {"a": 1}]
)


@settings(deadline=None, max_examples=examples(150))
@given(st.lists(CELLS, max_size=6), st.sampled_from(FORMS))
def test_a_cell_of_a_mixed_column_is_read_as_it_is_alone(cells: list[Any], declared: FieldType) -> None:
    def read(*values: Any) -> tuple[list[Any], list[Any]]:
        column, wrong = read_field(pl.Series("a", values, dtype=pl.Object), declared)
        return column.to_list(), [None] * len(values) if wrong is None else wrong.to_list()

    alone = [read(cell) for cell in cells]
    assert read(*cells) == ([value for (value,), _ in alone], [wrong for _, (wrong,) in alone])


def test_a_mixed_column_keeps_every_digit() -> None:
    column, wrong = read_field(pl.Series("a", ["y", 9007199254740995, 170.0, None], dtype=pl.Object), "text")
    assert column.to_list() == ["y", "9007199254740995", None, None]
    assert wrong is not None
    assert wrong.to_list() == [None, None, "170.0", None]


@pytest.mark.parametrize("number", [2e15, -2e15])
def test_numbers_of_facts_have_a_limit(number: float) -> None:
    read = read_declared("field", pl.Float64(), "number")
    assert read.wrong is not None
    made = pl.DataFrame({"field": [number]}).select(value=read.value, wrong=read.wrong)
    assert made.row(0) == (None, True)


@pytest.mark.parametrize("dtype", [pl.Float64(), pl.Boolean(), pl.List(pl.String())])
def test_what_identifies_nobody_is_refused(dtype: pl.DataType, refusal: Refusal) -> None:
    with refusal(FileFormatError):
        refuse_link("transactions", "user_id", dtype)


@pytest.mark.parametrize("dtype", [pl.String(), pl.Int32(), pl.UInt64(), pl.Categorical(), pl.Null()])
def test_text_and_whole_numbers_identify(dtype: pl.DataType) -> None:
    refuse_link("transactions", "user_id", dtype)


@pytest.mark.parametrize("cell", ["a, b", "a|b", "a\tb", '["a", 1]', '["a"', "[a, b]"])
def test_a_list_of_which_it_is_unclear_what_parts_it_fails_its_entity_and_no_other(cell: str) -> None:
    values, wrong = read_field(pl.Series("products", ["a; b", cell, None, '["a", "b"]', "a, b;"]), ("text",))
    assert values.to_list() == [["a", "b"], None, None, ["a", "b"], ["a, b"]]
    assert wrong is not None
    assert wrong.to_list() == [None, cell, None, None, None]


@pytest.mark.parametrize(
    "values", [[";", " ; ", ";;", '[""]', '[" "]', "[]"], [[""], [" "], [None], [None, ""], [], ["\u00a0"]]]
)
def test_a_list_of_nothing_but_empty_texts_is_empty(values: list[Any]) -> None:
    read, wrong = read_field(pl.Series("purposes", [*values, None, values[0]], strict=False), ("text",))
    assert read.to_list() == [*([] for _ in values), None, []]
    assert wrong is None


def test_empty_parts_of_a_list_are_left_out() -> None:
    assert read_field(pl.Series("purposes", ["a;; b;", '["", "a"]']), ("text",))[0].to_list() == [["a", "b"], ["a"]]
    assert read_field(pl.Series("purposes", [["a", "", "b"]]), ("text",))[0].to_list() == [["a", "b"]]


ROWS = pl.LazyFrame({LINKED_ENTITY: ["a", "b"], TIME: [1, 2], "size": ["x" * 60, None]})
LONG = Check("size", "size", pl.col("size").str.len_chars() > 40, "short text")
MISSING = Check("size", None, pl.col("size").is_null())


@pytest.mark.parametrize(
    ("checks", "times", "spoilt"),
    [
        ([], [1, 2], [False, False]),
        ([LONG], [1, 2], [True, False]),
        ([MISSING], [1, None], [False, True]),
        ([LONG, MISSING], [1, None], [True, True]),
    ],
)
def test_a_row_that_cannot_be_used_loses_its_time(checks: list[Check], times: list[int], spoilt: list[bool]) -> None:
    made = with_problems(ROWS, checks).collect()
    assert made[TIME].to_list() == times
    assert made[UNREADABLE].to_list() == spoilt


def test_problems_are_named_with_the_value_and_what_is_allowed() -> None:
    assert find_problems(ROWS, [LONG, MISSING]).rows() == [
        ("a", 1, "size", f"size is {'x' * LONGEST_SHOWN}; allowed: short text"),
        ("b", 2, None, "size is missing"),
    ]


def test_no_rows_have_no_problems() -> None:
    assert find_problems(ROWS.clear(), [LONG, MISSING]).is_empty()


def test_rows_in_many_chunks_have_the_problems_of_one() -> None:
    """As Parquet of many row groups is read: Polars 2.1 panicked."""
    rows = pl.DataFrame(
        {
            "entity_id": [f"customer-with-a-long-name-{number % 50}" for number in range(1_000)],
            "transaction_id": [f"transaction-{number}" for number in range(1_000)],
            "transaction_amount": [float(number) for number in range(1_000)],
            "transaction_currency": ["EUR" if number % 37 else "NOT A CURRENCY AT ALL" for number in range(1_000)],
            "transaction_date": ["2024-11-05" if number % 41 else "some day, long ago" for number in range(1_000)],
        }
    )
    chunks = pl.concat([rows[first : first + 10] for first in range(0, len(rows), 10)], rechunk=False)
    rates = ecb_rates("EUR", date(2024, 12, 1))
    whole, split = (prepare(each, rates, {}).find_problems() for each in (rows, chunks))
    assert len(whole) > 40
    assert split.equals(whole)


def test_a_folder_that_cannot_be_written_is_named_without_words_of_polars(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiled loops are kept there: in a folder that can only be read, `rules test` named an expression as well."""

    def refuse(_: object) -> None:
        raise ConfigError("var cannot be made")

    monkeypatch.setattr(fast_columns, "compile_loops", refuse)
    with pytest.raises(ConfigError, match=r"^var cannot be made$"):
        pl.select(at=pl.lit("2024-07-01")).select(read_time("at", pl.String()).value)
