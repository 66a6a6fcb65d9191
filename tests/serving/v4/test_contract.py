"""The contract: what a body must be to be read at all, and how a score is written."""

import json
import re
from dataclasses import replace
from math import inf, isnan
from time import process_time
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fivefold.domain.clock import day_text
from fivefold.domain.errors import Problem
from fivefold.domain.segments import DEFAULT_CUT_POINTS, rounded_score, segments_of
from fivefold.domain.settings import Limits
from fivefold.features.reading.request_body import BodyColumns
from fivefold.serving.responses import ApiError
from fivefold.serving.v4.contract import read_rows, response_rows
from fivefold.usecases.scoring import check_rows, score_checked
from tests.models.making import AS_OF, value_model
from tests.serving.inprocess import rows_of
from tests.serving.v4.rows import told

LIMITS = Limits(rows=50, users=10)
REQUIRED_TEXT = ("user_id", "transaction_currency", "user_created", "user_category", "transaction_date")
OPTIONAL_TEXT = ("transaction_state", "transaction_id")
NUMBERS = ("user_balance", "transaction_amount")
NOT_JSON = [Problem(0, "body", "is not JSON", "a JSON array of objects, in UTF-8 and not compressed")]
PLACE = re.compile(r"is not JSON at line \d+, column [1-9]\d*")


def read(rows: Any, limits: Limits = LIMITS) -> list[Any]:
    """Read a body; give its rows, whether it was scanned or not, without what is null."""
    found = read_rows(rows if isinstance(rows, bytes) else json.dumps(rows).encode(), limits)
    return known(told(found) if isinstance(found, BodyColumns) else found)


def known(rows: Any) -> list[dict[str, Any]]:
    return [{field: value for field, value in row.items() if value is not None} for row in rows]


def refusal(rows: Any, limits: Limits = LIMITS) -> ApiError:
    with pytest.raises(ApiError) as caught:
        read(rows, limits)
    return caught.value


def problems(rows: Any, limits: Limits = LIMITS) -> list[Problem]:
    found = refusal(rows, limits)
    assert (found.status, found.text) == (422, "Unprocessable Entity")
    assert found.problems is not None
    return list(found.problems)


def with_literal(field: str, literal: str, rows: int = 1) -> bytes:
    """A body in which a number is written in a way that Python would not write it."""
    return json.dumps(rows_of(*"a" * rows, **{field: 777})).replace("777", literal).encode()


def shown(value: Any) -> str:
    """Write a value in the words of JSON, text in single quotes."""
    return repr(value) if isinstance(value, str) else json.dumps(value)


def test_rows_are_read_as_they_are() -> None:
    rows = rows_of("b", "a", "b", transaction_state=None, transaction_id="7")
    assert read(rows) == known(rows)
    assert read([]) == []
    assert read(json.dumps(rows, indent=3).encode() + b"\n\t ") == known(rows)


@pytest.mark.parametrize("field", OPTIONAL_TEXT)
def test_optional_fields_may_be_missing_or_null(field: str) -> None:
    rows = rows_of("a", transaction_id="7")
    for without in ({**rows[0], field: None}, {name: value for name, value in rows[0].items() if name != field}):
        assert read([without]) == known([without])


def test_unknown_fields_are_ignored_whatever_they_hold() -> None:
    assert read([{**rows_of("a")[0], "user_name": {"first": ["x", 1, None]}, "score": "5"}]) == rows_of("a")


@pytest.mark.parametrize("field", [*REQUIRED_TEXT, *NUMBERS])
def test_a_missing_field_is_named(field: str) -> None:
    rows = rows_of("a", "b")
    del rows[1][field]
    allowed = "a number" if field in NUMBERS else "text"
    assert problems(rows) == [Problem(1, field, "is missing", allowed)]


@pytest.mark.parametrize("field", [*REQUIRED_TEXT, *OPTIONAL_TEXT])
@pytest.mark.parametrize("value", [1, 1.5, True, [], ["a"], {}, {"a": "b"}])
def test_text_must_be_text(field: str, value: Any) -> None:
    assert problems(rows_of("a", **{field: value})) == [Problem(0, field, f"is {shown(value)}", "text")]


@pytest.mark.parametrize("field", REQUIRED_TEXT)
def test_required_text_must_not_be_null(field: str) -> None:
    assert problems(rows_of("a", **{field: None})) == [Problem(0, field, "is null", "text")]


@pytest.mark.parametrize("field", NUMBERS)
@pytest.mark.parametrize("value", ["1", "", True, False, None, [], [1], {}])
def test_a_number_must_be_a_number(field: str, value: Any) -> None:
    assert problems(rows_of("a", **{field: value})) == [Problem(0, field, f"is {shown(value)}", "a number")]


@pytest.mark.parametrize("field", NUMBERS)
@pytest.mark.parametrize(
    ("literal", "number"),
    [
        ("0", 0.0),
        ("-0", 0.0),
        ("12", 12.0),
        ("-12.25", -12.25),
        ("1E5", 1e5),
        ("1e-400", 0.0),
        ("9007199254740993", 2.0**53),
        ("-9223372036854775809", -(2.0**63)),
        ("1" + "0" * 400, inf),
        ("1e400", inf),
        ("-1e400", -inf),
        ("Infinity", inf),
        ("-Infinity", -inf),
    ],
)
def test_any_number_can_be_read_and_validation_decides(field: str, literal: str, number: float) -> None:
    (row,) = read(with_literal(field, literal))
    assert row[field] == number
    assert type(row[field]) is float


def test_nan_can_be_read_and_validation_decides() -> None:
    assert isnan(read(with_literal("user_balance", "NaN"))[0]["user_balance"])


WORDS = ["01", "1.", ".5", "+1", "0x1", "-NaN", "nan", "1_000", "1,5", "'1'", "--1", "1e", "\N{FULLWIDTH DIGIT ONE}"]


@pytest.mark.parametrize("literal", WORDS)
def test_a_number_in_other_words_is_no_json(literal: str) -> None:
    assert PLACE.fullmatch(problems(with_literal("user_balance", literal))[0].problem)


def test_numbers_that_pass_are_not_named_beside_those_that_do_not() -> None:
    for literal in ("NaN", "Infinity", "1e400", "1" + "0" * 400):
        rows = with_literal("user_balance", literal).decode()[1:-1]
        body = f"[{rows}, {json.dumps(rows_of('b', user_balance=None)[0])}]".encode()
        assert problems(body) == [Problem(1, "user_balance", "is null", "a number")]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" \n",
        b"[",
        b"]",
        b"[{}",
        b"[}",
        b"{]",
        b"[{},]",
        b"[] []",
        b"[]x",
        b"hello",
        b"user_id=1&score=2",
        b"<rows/>",
        b"\x00",
        b"[\xff]",
        b'["\xed\xa0\x80"]',
        b'[{"user_id": "\\ud800"}]',
        b'[{"user_id": "\\udc00\\ud800"}]',
        b'[{"other": "\\ud83d"}]',
        b'[{"user_id": "a\nb"}]',
        b'[{user_id: "a"}]',
        b"[{'user_id': 'a'}]",
    ],
)
def test_what_is_no_json_is_told_as_that(body: bytes) -> None:
    (problem,) = problems(body)
    assert PLACE.fullmatch(problem.problem) if body.strip() else problem.problem == "is not JSON"
    assert replace(problem, problem="is not JSON") == NOT_JSON[0]


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (b'[{"user_id": }]', "line 1, column 14"),
        (b'[\n{"user_id": "a"},\r\n{user_id: "b"}]', "line 3, column 2"),
        ('["\u00e4\u00e4\u00e4" x]'.encode(), "line 1, column 8"),
        (b'["a\nb"]', "line 1, column 4"),
        (b"[{", "line 1, column 2"),
        (b"[\n\n1, 2,\n\nx]", "line 5, column 1"),
    ],
)
def test_where_a_body_is_no_json_is_told_by_line_and_column(body: bytes, place: str) -> None:
    assert problems(body) == [replace(NOT_JSON[0], problem=f"is not JSON at {place}")]


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b'\xef\xbb\xbf[{"user_id": "a"}]', "begins with a byte order mark"),
        *(("[]".encode(f"utf-{form}"), "is in UTF-16 or UTF-32") for form in ("16", "16-le", "16-be", "32", "32-be")),
    ],
)
def test_a_body_in_another_encoding_is_told_which_by_its_first_bytes(body: bytes, problem: str) -> None:
    assert problems(body) == [replace(NOT_JSON[0], problem=problem)]


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'[{"a":' * 5_000 + b"1" + b"}]" * 5_000,
        b'[{"a":' + b"[" * 2_000 + b"]" * 2_000 + b"}]",
    ],
)
def test_what_is_nested_too_deeply_is_named_as_that(body: bytes) -> None:
    assert problems(body) == [replace(NOT_JSON[0], problem="is nested too deeply")]


def test_a_number_of_thousands_of_digits_is_named_as_that() -> None:
    assert problems(b'[{"other": %b}]' % (b"1" * 5_000)) == [
        replace(NOT_JSON[0], problem="has a number of more than 4300 digits")
    ]


def test_a_pair_of_surrogates_is_a_character() -> None:
    assert read(json.dumps(rows_of("😀")).encode())[0]["user_id"] == "😀"


def test_every_other_character_is_an_identifier() -> None:
    for user_id in ("", "\x00", "a\x00b", "\u2028", "é", "a" * 10_000, "[]", '"'):
        assert read(rows_of(user_id))[0]["user_id"] == user_id


@pytest.mark.parametrize("value", [None, True, 1, 1.5, "rows", {}, {"rows": []}, rows_of("a")[0]])
def test_anything_but_an_array_is_named(value: Any) -> None:
    (problem,) = problems(value)
    assert (problem.row, problem.field, problem.allowed) == (0, "body", "a JSON array of objects")
    assert problem.problem.startswith(f"is {shown(value)}"[:20])


@pytest.mark.parametrize("value", [None, True, 1, 1.5, "row", [], [{}]])
def test_a_row_that_is_no_object_is_named(value: Any) -> None:
    assert problems([rows_of("a")[0], value]) == [
        Problem(1, "row", f"is {shown(value)}", "an object with the fields of a transaction")
    ]


def test_everything_wrong_is_named_in_order_of_rows() -> None:
    rows = rows_of("a", "b", "c", "d")
    rows[1] |= {"user_balance": "1", "user_category": 3}
    rows[3] = {"user_id": 9}
    found = problems(rows)
    assert [(problem.row, problem.field) for problem in found[:2]] == [(1, "user_balance"), (1, "user_category")]
    assert {problem.row for problem in found[2:]} == {3}
    assert {problem.field for problem in found[2:]} == {*REQUIRED_TEXT, *NUMBERS}
    assert all(problem.problem == "is missing" for problem in found[3:])


def test_a_hundred_problems_are_named_and_no_more() -> None:
    found = problems([*rows_of("a"), *[{}] * 40])
    assert len(found) == 100
    assert [found[0].row, found[-1].row] == [1, 15], "seven fields are missing in each"
    assert len(problems([1] * 50)) == 50


def test_what_is_long_is_shown_short() -> None:
    (problem,) = problems(rows_of("a", user_balance="x" * 10_000))
    assert len(problem.problem) < 60


def test_a_large_body_of_bad_rows_is_refused_at_once() -> None:
    """Listing millions of errors took the validator ten seconds, and everyone else waited."""
    body = b"[" + b",".join([b"{}"] * 200_000) + b"]"
    begun = process_time()
    assert len(problems(body, Limits())) == 100
    assert process_time() - begun < 4


@pytest.mark.parametrize("rows", [rows_of(*"a" * 51), [{}] * 51, [1] * 51])
def test_too_many_rows_are_413_even_where_they_are_422(rows: list[Any]) -> None:
    found = refusal(rows)
    assert (found.status, found.text) == (413, "Request Entity Too Large")
    assert found.problems == [Problem(50, "body", "has 51 rows", "50 rows")]


@pytest.mark.parametrize("changes", [{}, {"user_balance": "1"}])
def test_too_many_users_are_413_even_where_they_are_422(changes: dict[str, Any]) -> None:
    found = refusal(rows_of(*map(str, range(11)), **changes))
    assert (found.status, found.text) == (413, "Request Entity Too Large")
    assert found.problems == [Problem(0, "body", "has 11 users", "10 users")]


def test_as_many_as_the_limits_say_are_taken() -> None:
    assert len(read(rows_of(*[str(number % 10) for number in range(50)]))) == 50


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
nearly_rows = st.lists(
    st.one_of(
        json_values,
        st.builds(
            lambda field, value: {**rows_of("a")[0], field: value},
            st.sampled_from([*REQUIRED_TEXT, *OPTIONAL_TEXT, *NUMBERS, "another"]),
            json_values,
        ),
    ),
    max_size=4,
)


@given(nearly_rows | json_values)
def test_whatever_json_comes_is_read_or_refused_with_a_reason(rows: Any) -> None:
    if isinstance(rows, list) and all(map(_is_row, rows)):
        read(rows)
    else:
        assert problems(rows)


def _is_row(row: Any) -> bool:
    """The contract again, in Python's own words."""
    if not isinstance(row, dict):
        return False
    texts = all(isinstance(row.get(field), str) for field in REQUIRED_TEXT)
    optional = all(isinstance(row.get(field), str | None) for field in OPTIONAL_TEXT)
    numbers = all(isinstance(row.get(field), int | float) and not isinstance(row[field], bool) for field in NUMBERS)
    return texts and optional and numbers


@given(st.binary(max_size=200).filter(lambda body: b"[" not in body or b"]" not in body))
def test_whatever_bytes_come_are_refused_with_a_reason(body: bytes) -> None:
    assert problems(body)


cut_points = st.lists(st.integers(102, 498), min_size=3, max_size=3, unique=True).map(
    lambda cuts: tuple(cut / 100 for cut in sorted(cuts))
)
finer_cut_points = st.tuples(*[st.floats(0.01, 0.99)] * 3).map(
    lambda parts: tuple(number + part for number, part in zip((1, 2, 4), parts, strict=True))
)


@given(score=st.floats(1, 5), cuts=st.just(DEFAULT_CUT_POINTS) | cut_points | finer_cut_points, near=st.integers(-3, 3))
def test_rounding_never_crosses_a_cut(score: float, cuts: tuple[float, float, float], near: int) -> None:
    for exact in (score, *(cut + near * 2e-3 for cut in cuts), *(np.nextafter(cut, near) for cut in cuts)):
        assume(1 <= exact <= 5)
        category = str(segments_of(np.array([exact]), cuts)[0])
        shown = rounded_score(exact, category, cuts)
        assert segments_of(np.array([shown]), cuts)[0] == category
        assert abs(shown - exact) <= 0.01 + 1e-12
        assert shown == round(shown, 2)
        assert 1 <= shown <= 5


@given(st.floats(1, 5))
def test_away_from_a_cut_it_is_plain_rounding(score: float) -> None:
    assume(all(abs(score - cut) > 0.006 for cut in DEFAULT_CUT_POINTS))
    category = str(segments_of(np.array([score]), DEFAULT_CUT_POINTS)[0])
    assert rounded_score(score, category, DEFAULT_CUT_POINTS) == round(score, 2)


def test_scores_are_written_with_these_keys_in_this_order() -> None:
    model = value_model()
    answer = score_checked(model, check_rows(model, rows_of("b", "a"), as_of=AS_OF, now=AS_OF), explained=False)
    elements = response_rows(answer, model, {})
    assert [list(element) for element in elements] == [["user_id", "score", "category"]] * 2
    assert [element["user_id"] for element in elements] == ["b", "a"]
    assert all(element["score"] == round(element["score"], 2) for element in elements)


def test_an_explanation_is_written_with_everything_behind_the_score() -> None:
    model = value_model()
    answer = score_checked(model, check_rows(model, rows_of("a"), as_of=AS_OF, now=AS_OF), explained=True)
    (element,) = response_rows(answer, model, {"name": "value"})
    assert list(element) == [
        "user_id",
        "score",
        "category",
        "expected_value",
        "interval",
        "consistency",
        "currency",
        "horizon_days",
        "percentile",
        "reference_date",
        "base",
        "contributions",
        "families",
        "history",
        "model",
    ]
    assert element["reference_date"] == day_text(model.test_as_of)
    assert set(element["history"]) == {"from", "user_created", "days", "days_before_it", "short"}
    parts = element["contributions"]
    keys = ["indicator", "family", "value", "unit", "points", "sentence"]
    assert all(list(part) == keys for part in parts)
    assert {part["indicator"] for part in parts} == set(model.indicators)
    sizes = [abs(part["points"]) for part in parts]
    assert sizes == sorted(sizes, reverse=True)
    assert element["base"] + sum(part["points"] for part in parts) == pytest.approx(answer.scores.score[0], abs=1e-9)
    for family, points in element["families"].items():
        own = sum(part["points"] for part in parts if part["family"] == family)
        assert points == pytest.approx(own, abs=1e-12)
    assert element["percentile"] == pytest.approx((answer.scores.score[0] - 1) / 4)
    assert (element["currency"], element["horizon_days"], element["model"]) == ("EUR", 90, {"name": "value"})
    assert "NaN" not in json.dumps(element)
