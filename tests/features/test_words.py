"""Single columns: what is read as a word of a list or an identifier, and what is noted as wrong."""

from collections.abc import Callable
from datetime import date

import pyarrow as pa
import pytest

from fivefold.features.reading.columns import ErrorCollector, read_identifiers, read_words
from tests.features.reading.test_columns import problems_of


def words(column: pa.Array, **options: object) -> tuple[list[int], list[str]]:
    errors = ErrorCollector()
    found = read_words(column, "word", errors, {"YES": 4, "NO": 7}, **options)
    return found.tolist(), [f"{problem.row} {problem.problem}" for problem in problems_of(errors)]


@pytest.mark.parametrize("make", [lambda column: column, lambda column: column.dictionary_encode()])
@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_words_become_codes(make: Callable[[pa.Array], pa.Array], kind: pa.DataType) -> None:
    column = make(pa.array(["NO", "YES", None, "no", ""], kind))
    assert words(column) == ([7, 4, 0, 0, 0], ["2 is missing", "3 is 'no'", "4 is ''"])
    assert words(column, any_case=True, absent=9) == ([7, 4, 9, 7, 9], [])


@pytest.mark.parametrize("column", [[5], [1.5], [True], [b"YES"], [["YES"]], [{"is": "YES"}], [date(2024, 6, 30)]])
def test_another_type_is_no_word(column: list[object]) -> None:
    found, bad = words(pa.array([None, *column]), absent=9)
    assert len(bad) == 1
    assert bad[0].startswith("1 is ")
    assert found[0] == 9


def test_words_that_are_not_there_at_all() -> None:
    assert words(pa.nulls(2)) == ([0, 0], ["0 is missing", "1 is missing"])
    assert words(pa.nulls(2), absent=9) == ([9, 9], [])


def identifiers(column: pa.Array, *, required: bool = True) -> tuple[list[str | None], list[str]]:
    errors = ErrorCollector()
    found = read_identifiers(column, "user_id", errors, required=required)
    return found.to_pylist(), [f"{problem.row} {problem.problem}" for problem in problems_of(errors)]


def test_identifiers_are_text_or_whole_numbers_in_a_column_of_that_type() -> None:
    assert identifiers(pa.array(["a", " a", "A", "ä", "7"])) == (["a", " a", "A", "ä", "7"], [])
    assert identifiers(pa.array([7, -1, 2**63 - 1])) == (["7", "-1", str(2**63 - 1)], [])
    assert identifiers(pa.array([2**64 - 1], pa.uint64())) == ([str(2**64 - 1)], [])


@pytest.mark.parametrize("make", [lambda column: column, lambda column: column.dictionary_encode()])
def test_empty_or_missing_identifiers(make: Callable[[pa.Array], pa.Array]) -> None:
    column = make(pa.array(["a", "", None]))
    assert identifiers(column)[1] == ["1 is empty", "2 is missing"]
    assert identifiers(pa.array(["a", "", None]), required=False) == (["a", None, None], [])


@pytest.mark.parametrize("column", [[1.5], [True], [b"a"], [["a"]], [date(2024, 6, 30)]])
@pytest.mark.parametrize("required", [True, False])
def test_another_type_is_no_identifier(column: list[object], required: bool) -> None:
    found, bad = identifiers(pa.array(column), required=required)
    assert found == [None]
    assert len(bad) == 1
