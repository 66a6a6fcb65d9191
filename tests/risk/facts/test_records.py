"""What people recorded, as it was known at as-of, and what its fields are to a condition."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fivefold.domain.clock import DAY_US, parse_moment, to_microseconds
from fivefold.domain.errors import FileFormatError, InvalidRulesetError
from fivefold.features.reading.columns import ALLOWED_TIME
from fivefold.risk.compiler.value_types import InputColumn
from fivefold.risk.facts.linked import PROBLEM_SCHEMA, LinkedFacts, nothing_wrong
from fivefold.risk.facts.portfolio import AS_OF, ENTITY, error_of
from fivefold.risk.facts.records import known_entities, prepare_records, screened, tagged
from fivefold.risk.language.fields import TRANSACTION_FIELDS, ValueType
from tests.risk.conftest import Refusal

names = st.sampled_from(["a", "b", "c"])
moments = st.integers(0, 6)
perhaps = st.none() | moments
asked = st.lists(st.tuples(names, moments), max_size=5)


def frame(rows: Sequence[Any], **schema: Any) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=schema, orient="row")


def entities_of(rows: Sequence[tuple[str, int]]) -> pl.DataFrame:
    return frame(rows, entity_id=pl.String, as_of=pl.Int64)


def latest(rows: Sequence[tuple[int | None, Any]], as_of: int) -> Any:
    """Find what the latest row by as-of says; a later row wins over an equal one, no moment is before all."""
    best: tuple[int, Any] = (-2, None)
    for known, value in rows:
        moment = -1 if known is None else known
        if best[0] <= moment <= as_of:
            best = (moment, value)
    return best[1]


@settings(deadline=None)
@given(st.lists(st.tuples(names, st.sampled_from(["vip", "other"]), perhaps, perhaps), max_size=12), asked)
def test_a_tag_holds_from_its_first_moment_until_its_last(rows: Any, entities: Any) -> None:
    times = {name: pl.Datetime("us") for name in ("from", "until")}
    made = tagged(frame(rows, entity_id=pl.String, tag=pl.String, **times), "vip", entities_of(entities)).values
    assert made.dtype == pl.Boolean
    assert made.to_list() == [
        any(
            owner == entity and tag == "vip" and (begin is None or begin <= as_of) and (end is None or as_of < end)
            for owner, tag, begin, end in rows
        )
        for entity, as_of in entities
    ]


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(names, st.sampled_from(["pep", "other"]), st.sampled_from([True, False, None]), perhaps), max_size=12
    ),
    asked,
)
def test_the_latest_screening_decides(rows: Any, entities: Any) -> None:
    screenings = frame(rows, entity_id=pl.String, screening=pl.String, found=pl.Boolean, at=pl.Datetime("us"))
    made = screened(screenings, "pep", entities_of(entities)).values
    assert made.dtype == pl.Boolean
    assert made.to_list() == [
        latest(
            [(at, found) for owner, word, found, at in rows if (owner, word) == (entity, "pep") and found is not None],
            as_of,
        )
        for entity, as_of in entities
    ]


@settings(deadline=None)
@given(st.lists(st.tuples(names, st.integers(0, 99), perhaps), max_size=12), moments)
def test_the_latest_attributes_hold(rows: Any, as_of: int) -> None:
    made = known_entities(frame(rows, entity_id=pl.String, size=pl.Int64, known_at=pl.Datetime("us")), as_of)
    order = list(dict.fromkeys(owner for owner, *_ in rows))
    assert made.columns == [ENTITY, AS_OF, "size"]
    assert made.rows() == [
        (entity, as_of, latest([(known, size) for owner, size, known in rows if owner == entity], as_of))
        for entity in order
    ]


def test_tags_and_screenings_without_moments_hold_always() -> None:
    entities = entities_of([("a", 0), ("b", 0)])
    assert tagged(pl.DataFrame({ENTITY: ["a"], "tag": ["vip"]}), "vip", entities).values.to_list() == [True, False]
    screenings = pl.DataFrame({ENTITY: ["a"], "screening": ["pep"], "found": ["true"]})
    assert screened(screenings, "pep", entities).values.to_list() == [True, None]


def test_moments_may_be_text() -> None:
    as_of = to_microseconds(date(2024, 7, 1))
    tags = pl.DataFrame(
        {ENTITY: ["a", "b"], "tag": ["vip", "vip"], "from": ["2024-07-01", "2024-07-01T00:00:00.000001"]}
    )
    assert tagged(tags, "vip", entities_of([("a", as_of), ("b", as_of)])).values.to_list() == [True, False]


def test_identifiers_may_be_numbers() -> None:
    tags = pl.DataFrame({ENTITY: [7], "tag": ["vip"]})
    assert tagged(tags, "vip", entities_of([("7", 0)])).values.to_list() == [True]


def test_each_row_may_have_its_own_moment() -> None:
    rows = frame(
        [("a", 1, 0), ("a", 2, 5), ("b", 3, 5)], entity_id=pl.String, size=pl.Int64, known_at=pl.Datetime("us")
    )
    made = known_entities(rows, pl.Series([4, 4, 5]))
    assert made.rows() == [("a", 4, 1), ("b", 5, 3)]


def test_without_known_at_rows_are_taken_as_they_are() -> None:
    made = known_entities(pl.DataFrame({"size": [1, 2], ENTITY: ["b", "a"]}), 3)
    assert made.rows(named=True) == [{ENTITY: "b", AS_OF: 3, "size": 1}, {ENTITY: "a", AS_OF: 3, "size": 2}]


@pytest.mark.parametrize(
    ("rows", "as_of"),
    [
        ({"size": [1]}, 0),
        ({ENTITY: ["a", None]}, 0),
        ({ENTITY: ["a", "a"]}, 0),
        ({ENTITY: ["a", "a"], "known_at": [None, None]}, pl.Series([0, 1])),
    ],
)
def test_entities_that_cannot_be_told_apart_are_refused(rows: Any, as_of: Any, refusal: Refusal) -> None:
    with refusal(FileFormatError):
        known_entities(pl.DataFrame(rows), as_of)


def test_screenings_without_what_was_found_are_refused(refusal: Refusal) -> None:
    with refusal(FileFormatError):
        screened(pl.DataFrame({ENTITY: ["a"], "screening": ["pep"]}), "pep", entities_of([("a", 0)]))


NOT_A_MOMENT = f"is soon; it must be {ALLOWED_TIME}"


@pytest.mark.parametrize(
    ("rows", "values", "wrong"),
    [
        ([("a", "1970-01-02", "soon")], [None, False], [f"until {NOT_A_MOMENT}", None]),
        ([("a", "soon", None)], [None, False], [f"from {NOT_A_MOMENT}", None]),
        ([("a", "soon", "1970-01-02")], [False, False], None),  # however it began, it ended before
        ([("a", "1971-01-01", "soon")], [False, False], None),  # however it ends, it has not begun
        ([("a", "soon", None), ("a", None, None)], [True, False], None),  # it has it anyway
        ([("b", "soon", None), ("a", None, None)], [True, None], [None, f"from {NOT_A_MOMENT}"]),
    ],
)
def test_a_tag_whose_moments_cannot_be_read_fails_its_own_entity(rows: Any, values: Any, wrong: Any) -> None:
    tags = pl.DataFrame(rows, schema=[ENTITY, "from", "until"], orient="row").with_columns(tag=pl.lit("vip"))
    found = tagged(tags, "vip", entities_of([("a", 40 * DAY_US), ("b", 40 * DAY_US)]))
    assert found.values.to_list() == values
    assert (None if found.wrong is None else found.wrong.to_list()) == wrong


@pytest.mark.parametrize(
    ("rows", "value", "wrong"),
    [
        ([("perhaps", "1970-01-02")], None, "found is perhaps; it must be true or false"),
        ([("perhaps", "1970-01-02"), ("true", "1970-01-03")], True, None),  # a later one says it
        ([("perhaps", "1971-01-02"), ("true", "1970-01-03")], True, None),  # it is still to come
        ([("true", "1970-01-03"), ("false", "soon")], None, f"at {NOT_A_MOMENT}"),  # it may be the latest
    ],
)
def test_a_screening_that_cannot_be_read_fails_its_own_entity(rows: Any, value: Any, wrong: Any) -> None:
    screenings = pl.DataFrame([("a", *row) for row in rows], schema=[ENTITY, "found", "at"], orient="row")
    others = pl.DataFrame({ENTITY: ["b"], "found": ["true"], "at": ["1970-01-02"]})
    asked = pl.concat([screenings, others]).with_columns(screening=pl.lit("pep"))
    found = screened(asked, "pep", entities_of([("a", 40 * DAY_US), ("b", 40 * DAY_US)]))
    assert found.values.to_list() == [value, True]
    assert (None if found.wrong is None else found.wrong.to_list()) == (None if wrong is None else [wrong, None])


def test_attributes_are_unknown_where_the_moment_they_were_known_at_cannot_be_read() -> None:
    rows = pl.DataFrame({ENTITY: ["a", "a", "b"], "size": [1, 2, 3], "known_at": ["1970-01-02", "soon", "1970-01-02"]})
    made = known_entities(rows, 40 * DAY_US)
    assert made["size"].to_list() == [None, 3]
    assert made[error_of("size")].to_list() == [f"not known, since known_at {NOT_A_MOMENT}", None]


def test_tags_without_the_column_of_words_are_refused(refusal: Refusal) -> None:
    with refusal(FileFormatError):
        tagged(pl.DataFrame({ENTITY: ["a"]}), "vip", entities_of([("a", 0)]))


CASE = {
    ENTITY: ["a"],
    "opened": ["2024-01-01"],
    "closed": ["2024-02-01"],
    "outcome": ["confirmed"],
    "status": ["archived"],
}


def seen(columns: Any, *moment: int) -> dict[str, Any]:
    """See one case as of a moment."""
    as_of = to_microseconds(datetime(*moment, tzinfo=UTC))  # type: ignore[arg-type,misc]  # the parts of a date in order
    facts = prepare_records(pl.DataFrame(columns), {}, "cases")
    rows = facts.rows.with_columns(pl.lit(as_of).alias(AS_OF)).with_columns(*facts.as_known)
    return rows.select("time", "closed", "outcome", "status").collect().row(0, named=True)


def test_what_became_of_a_case_is_hidden_until_it_was_closed() -> None:
    opened, closed = to_microseconds(date(2024, 1, 1)), to_microseconds(date(2024, 2, 1))
    hidden = {"time": opened, "closed": None, "outcome": None, "status": "open"}
    assert seen(CASE, 2024, 1, 31, 23, 59, 59, 999_999) == hidden
    assert seen(CASE, 2024, 2, 1) == {"time": closed, "closed": closed, "outcome": "confirmed", "status": "archived"}


def test_a_closed_case_without_a_status_is_closed() -> None:
    assert seen({**CASE, "status": [None]}, 2024, 3, 1)["status"] == "closed"
    bare = {name: CASE[name] for name in (ENTITY, "opened")}
    assert seen(bare, 2024, 3, 1) == {
        "time": to_microseconds(date(2024, 1, 1)),
        "closed": None,
        "outcome": None,
        "status": "open",
    }


@pytest.mark.parametrize(
    ("changed", "fields", "problem"),
    [
        ({"opened": ["soon"]}, [None], "opened is soon"),
        ({"opened": [None]}, [None], "opened is missing"),
        ({ENTITY: [None]}, [None], "entity_id is missing"),
        ({"closed": ["soon"]}, [None], "closed is soon"),
        ({"closed": [None]}, ["outcome"], "outcome is confirmed; allowed: with closed"),
    ],
)
def test_a_case_that_cannot_be_read_is_a_problem(changed: Any, fields: Any, problem: str) -> None:
    facts = prepare_records(pl.DataFrame({**CASE, **changed}), {}, "cases")
    assert facts.problems["field"].to_list() == fields
    assert all(text.startswith(problem) for text in facts.problems["problem"])
    row = facts.rows.collect().row(0, named=True)
    assert row["@spoilt"] is True
    assert (row["time"] is None) == (fields == [None])


def test_an_outcome_without_a_column_of_closing_is_a_problem() -> None:
    facts = prepare_records(pl.DataFrame({name: CASE[name] for name in (ENTITY, "opened", "outcome")}), {}, "cases")
    assert facts.problems["field"].to_list() == ["outcome"]


def test_declared_fields_of_cases_are_read() -> None:
    facts = prepare_records(
        pl.DataFrame({**CASE, "severity": ["high"], "score": [None]}),
        {"severity": "text", "score": "number"},
        "cases",
    )
    assert facts.rows.select("severity", "score").collect().row(0) == ("high", None)


@pytest.mark.parametrize(
    ("columns", "declared", "error"),
    [
        ({ENTITY: ["a"]}, {}, FileFormatError),
        (CASE, {"severity": "text"}, InvalidRulesetError),
        (CASE, {"outcome": "text"}, InvalidRulesetError),
    ],
)
def test_missing_columns_refuse_everything(
    columns: Any, declared: Any, error: type[Exception], refusal: Refusal
) -> None:
    with refusal(error):
        prepare_records(pl.DataFrame(columns), declared, "alerts")


def test_identifiers_with_decimals_are_refused_instead_of_being_nobody_s(refusal: Refusal) -> None:
    entities = pl.DataFrame({ENTITY: ["1"], AS_OF: [0]})
    with refusal(FileFormatError):
        prepare_records(pl.DataFrame({ENTITY: [1.0], "opened": ["2024-01-01"]}), {}, "alerts")
    with refusal(FileFormatError):
        tagged(pl.DataFrame({ENTITY: [1.0], "tag": ["vip"]}), "vip", entities)
    with refusal(FileFormatError):
        screened(pl.DataFrame({ENTITY: [1.0], "screening": ["pep"], "found": [True]}), "pep", entities)


@pytest.mark.parametrize("moments", [pl.Series([0, 0]), pl.Series([date(2024, 7, 1)]), pl.Series([0.5])])
def test_moments_of_assessment_are_microseconds_one_for_each_row(moments: pl.Series, refusal: Refusal) -> None:
    with refusal(FileFormatError):
        known_entities(pl.DataFrame({ENTITY: ["a"]}), moments)


def test_a_later_screening_without_a_result_changes_nothing() -> None:
    """A hit stays a hit, and a clean one clean; who never had a result is unknown."""
    rows = [
        {"entity_id": "hit", "screening": "pep", "found": True, "at": datetime(2024, 1, 1, tzinfo=UTC)},
        {"entity_id": "hit", "screening": "pep", "found": None, "at": datetime(2024, 2, 1, tzinfo=UTC)},
        {"entity_id": "clean", "screening": "pep", "found": False, "at": datetime(2024, 1, 1, tzinfo=UTC)},
        {"entity_id": "clean", "screening": "pep", "found": None, "at": datetime(2024, 2, 1, tzinfo=UTC)},
        {"entity_id": "open", "screening": "pep", "found": None, "at": datetime(2024, 2, 1, tzinfo=UTC)},
        {"entity_id": "again", "screening": "pep", "found": True, "at": datetime(2024, 1, 1, tzinfo=UTC)},
        {"entity_id": "again", "screening": "pep", "found": None, "at": datetime(2024, 2, 1, tzinfo=UTC)},
        {"entity_id": "again", "screening": "pep", "found": False, "at": datetime(2024, 3, 1, tzinfo=UTC)},
    ]
    screenings = pl.DataFrame(rows, schema_overrides={"found": pl.Boolean, "at": pl.Datetime("us", "UTC")})
    asked = entities_of([(name, parse_moment("2024-06-01")) for name in ("hit", "clean", "open", "again")])
    assert screened(screenings, "pep", asked).values.to_list() == [True, False, None, False]
    texts = screenings.with_columns(pl.col("found").cast(pl.String).fill_null(""))
    assert screened(texts, "pep", asked).values.to_list() == [True, False, None, False]


def test_a_nanosecond_after_as_of_is_after_it() -> None:
    at = parse_moment("2024-06-01")
    asked = entities_of([("a", at)])
    finest = pl.Series([at * 1000, at * 1000 + 1, at * 1000 - 999]).cast(pl.Datetime("ns"))
    for times in (finest, finest.dt.to_string("iso:strict")):
        rows = pl.DataFrame({"entity_id": ["a"] * 3, "tag": ["at", "after", "before"], "from": times})
        held = [tagged(rows, tag, asked).values.item() for tag in ("at", "after", "before")]
        assert held == [True, False, True], times.dtype


@pytest.mark.parametrize(
    ("name", "currency", "column"),
    [
        ("amount", None, InputColumn("amount", ValueType.MONEY, 100)),
        ("signed_amount", "JPY", InputColumn("original_signed_amount", ValueType.MONEY, 1)),
        ("amount", "EUR", InputColumn("original_amount", ValueType.MONEY, 100)),
        ("word", "JPY", InputColumn("word", ValueType.TEXT)),
        ("time", None, InputColumn("time", ValueType.MOMENT)),
    ],
)
def test_money_is_of_the_base_or_of_its_own_currency(name: str, currency: str | None, column: InputColumn) -> None:
    facts = LinkedFacts(pl.LazyFrame(), {"word": "text", **TRANSACTION_FIELDS}, base="EUR")
    assert facts.column(name, currency) == column


def test_without_a_base_an_amount_is_a_number() -> None:
    assert LinkedFacts(pl.LazyFrame(), {"amount": "number"}).column("amount") == InputColumn("amount", ValueType.NUMBER)


def test_no_problem_has_the_columns_of_problems() -> None:
    assert dict(nothing_wrong().schema) == dict(PROBLEM_SCHEMA)
