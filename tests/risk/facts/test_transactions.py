"""Raw transactions become whole minor units, one clock and three states; what cannot be read is named."""

from datetime import UTC, date, datetime
from fractions import Fraction
from math import inf, isfinite, nan

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fivefold.domain.clock import to_microseconds
from fivefold.domain.errors import FileFormatError, InvalidRulesetError
from fivefold.domain.money import Rate, RateTable, minor_units
from fivefold.features.schema import LARGEST_MAGNITUDE, STATES
from fivefold.risk.facts.linked import LinkedFacts
from fivefold.risk.facts.transactions import prepare, whole_minor
from fivefold.risk.language.fields import OneOf
from tests.risk.conftest import Refusal

DAY = date(2024, 7, 1)
RATES = RateTable(
    "EUR", DAY, {code: Rate(rate, DAY) for code, rate in {"USD": 0.95, "JPY": 0.0058, "KWD": 3.01}.items()}, "test"
)
WORDS = {0: "settled", 1: "pending", 2: "failed"}


def frame(**columns: object) -> pl.DataFrame:
    given_columns = {
        "user_id": ["a"],
        "transaction_amount": [1.0],
        "transaction_currency": ["EUR"],
        "transaction_date": [DAY],
        **columns,
    }
    rows = max(len(values) for values in given_columns.values() if hasattr(values, "__len__"))
    return pl.DataFrame(
        {name: values if len(values) == rows else [*values] * rows for name, values in given_columns.items()},
        strict=False,
    )


def read(**columns: object) -> pl.DataFrame:
    facts = prepare(frame(**columns), RATES, {})
    assert facts.problems.is_empty()
    return facts.rows.collect()


def usable(facts: LinkedFacts) -> pl.DataFrame:
    """Take the rows that lie in any window at all."""
    return facts.rows.filter(pl.col("time").is_not_null()).collect()


def problems(**columns: object) -> list[tuple[str | None, int | None, str | None, str]]:
    return prepare(frame(**columns), RATES, {}).problems.rows()


@pytest.mark.parametrize(
    ("amount", "currency", "original", "base"),
    [
        (0.29, "EUR", 29, 29),  # 0.29 × 100 is 28.999999999999996
        (-0.29, "EUR", 29, 29),
        (0.125, "EUR", 12, 12),
        (0.375, "EUR", 38, 38),
        (66.665, "EUR", 6666, 6666),  # 66.665 × 100 is 6666.500000000001
        (33.335, "EUR", 3334, 3334),
        (1.0, "USD", 100, 95),
        (50.50, "USD", 5050, 4798),  # 47.975, though 50.5 × 0.95 × 100 is 4797.499999999999
        (0.005, "USD", 0, 0),
        (0.015, "USD", 2, 1),  # 0.01425: what was written is converted, not what is left of it in its own currency
        (1000, "JPY", 1000, 580),
        (0.5, "JPY", 0, 0),
        (1.2345, "KWD", 1234, 372),
        (90_071_992_547_409.0, "EUR", 9_007_199_254_740_900, 9_007_199_254_740_900),
        (1e15, "EUR", 10**17, 10**17),
        (123_456_789_012_345.67, "EUR", 12_345_678_901_234_567, 12_345_678_901_234_567),  # which no float is
    ],
)
def test_money_becomes_whole_minor_units(amount: float, currency: str, original: int, base: int) -> None:
    row = read(transaction_amount=[amount], transaction_currency=[currency]).row(0, named=True)
    assert (row["original_amount"], row["amount"]) == (original, base)
    sign = -1 if amount < 0 else 1
    assert (row["original_signed_amount"], row["signed_amount"]) == (sign * original, sign * base)


written = st.builds(
    lambda digits, places: float(f"{digits}e-{places}"), st.integers(-(10**15), 10**15), st.integers(0, 9)
)
"""Amounts of few digits, many of which lie on a half once they are converted."""


@given(st.lists(st.tuples(written | st.floats(-1e15, 1e15), st.sampled_from(RATES.codes)), min_size=1, max_size=20))
def test_money_is_the_exact_product_of_what_was_written(rows: list[tuple[float, str]]) -> None:
    made = read(transaction_amount=[amount for amount, _ in rows], transaction_currency=[code for _, code in rows])
    exact = [(Fraction(repr(abs(amount))), code) for amount, code in rows]
    originals = [round(amount * minor_units(code)) for amount, code in exact]
    based = [round(amount * Fraction(repr(RATES.per_unit(code))) * 100) for amount, code in exact]
    assert made["original_amount"].to_list() == originals
    assert made["amount"].to_list() == based
    assert [whole_minor(abs(amount), RATES.per_unit(code), 100.0) for amount, code in rows] == based
    assert made["direction"].to_list() == [
        "deposit" if amount > 0 else "withdrawal" if amount < 0 else None for amount, _ in rows
    ]


@given(st.integers(-(10**14), 10**14))
def test_cents_as_written_are_those_cents(cents: int) -> None:
    assert read(transaction_amount=[cents / 100])["signed_amount"].to_list() == [cents]


def test_amounts_may_be_whole_numbers_text_or_decimals() -> None:
    for values in (pl.Series([12]), pl.Series([" 12.00 "]), pl.Series(["12.00"]).cast(pl.Decimal(10, 2))):
        assert read(transaction_amount=values)["amount"].to_list() == [1200]


MOMENT = datetime(2024, 6, 30, 12, 0, 0, 123_456, tzinfo=UTC)
NAIVE = pl.Series([MOMENT.replace(tzinfo=None)])


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (NAIVE, MOMENT),
        (NAIVE.cast(pl.Datetime("ns")), MOMENT),
        (NAIVE.cast(pl.Datetime("ms")), MOMENT.replace(microsecond=123_000)),
        (NAIVE.dt.replace_time_zone("Europe/Prague"), datetime(2024, 6, 30, 10, 0, 0, 123_456, tzinfo=UTC)),
        (pl.Series([date(2024, 6, 30)]), datetime(2024, 6, 30, tzinfo=UTC)),
        (pl.Series(["2024-06-30"]), datetime(2024, 6, 30, tzinfo=UTC)),
        (pl.Series(["2024-06-30T12:00:00.123456"]), MOMENT),
        (pl.Series(["2024-06-30T12:00:00+02:00"]), datetime(2024, 6, 30, 10, tzinfo=UTC)),
        (pl.Series(["2024-06-30T12:00:00Z"]), datetime(2024, 6, 30, 12, tzinfo=UTC)),
    ],
)
def test_times_of_every_kind_are_microseconds_utc(column: pl.Series, expected: datetime) -> None:
    assert read(transaction_date=column)["time"].to_list() == [to_microseconds(expected)]


def test_states_are_three_words_whatever_the_case() -> None:
    words = [
        form
        for word in STATES
        for form in (word, word.lower(), word.title(), word.swapcase(), f"{word[:3]}{word[3:].lower()}")
    ]
    made = read(transaction_state=[*words, None, ""])
    assert made["state"].to_list() == [WORDS[STATES[word.upper()]] for word in words] + ["settled", "settled"]


def test_plain_states_take_the_short_way_to_the_same() -> None:
    made = read(transaction_state=["SUCCEEDED", "pending", "Expired", None])
    assert made["state"].to_list() == ["settled", "pending", "failed", "settled"]


def test_without_a_state_all_are_settled() -> None:
    assert read()["state"].to_list() == ["settled"]


@pytest.mark.parametrize("name", ["entity_id", "user_id"])
def test_the_owner_may_have_two_names_and_be_a_number(name: str) -> None:
    made = prepare(frame().drop("user_id").with_columns(pl.lit(7).alias(name)), RATES, {}).rows.collect()
    assert made["entity"].to_list() == ["7"]


BAD = {
    "transaction_amount": {None: "missing", nan: "NaN", inf: "inf", -inf: "-inf", 2 * LARGEST_MAGNITUDE: "2"},
    "transaction_currency": {None: "missing", "EURO": "EURO", "eur": "eur", "": ""},
    "transaction_date": {None: "missing", "yesterday": "yesterday", "2024-13-01": "2024-13-01"},
    "transaction_state": {"DONE": "DONE", "?": "?"},
}
GOOD = {"transaction_date": "2024-07-01", "transaction_amount": 1.0, "transaction_currency": "EUR"}


@pytest.mark.parametrize(
    ("column", "value", "shown"), [(column, *pair) for column, values in BAD.items() for pair in values.items()]
)
def test_what_cannot_be_read_is_a_problem_of_its_entity_alone(column: str, value: object, shown: str) -> None:
    values = {"user_id": ["good", "bad"], column: pl.Series([GOOD.get(column), value], strict=False)}
    facts = prepare(frame(**values), RATES, {})
    assert usable(facts)["entity"].to_list() == ["good"]
    assert facts.rows.select("entity", "@spoilt").collect().rows() == [("good", False), ("bad", True)]
    ((entity, time, field, problem),) = facts.problems.rows()
    assert (entity, field) == ("bad", None)
    assert (time is None) == (column == "transaction_date")
    assert problem.startswith(f"{column} is {shown}")
    assert "; allowed: " in problem


def test_rows_of_one_transaction_that_differ_name_the_columns_in_which_they_do() -> None:
    facts = prepare(frame(transaction_id=["t1"], **{"@contradicts": ["transaction_amount"]}), RATES, {})
    differs = "transaction_id is t1 in rows that differ in transaction_amount"
    allowed = "one row for each transaction, or repeats exactly as written"
    assert facts.problems["problem"].to_list() == [f"{differs}; allowed: {allowed}"]
    assert prepare(frame(transaction_id=["t1"], **{"@contradicts": [None]}), RATES, {}).problems.is_empty()


def test_a_row_of_nobody_is_a_problem_without_an_entity() -> None:
    ((entity, *_, problem),) = problems(user_id=[None])
    assert entity is None
    assert problem.startswith("user_id is missing")


def test_an_amount_that_no_64_bits_hold_is_a_problem() -> None:
    dear = RateTable("EUR", DAY, {"BTC": Rate(60_000.0, DAY)}, "test")
    rows = frame(transaction_amount=[1e14, 1e12], transaction_currency=["BTC"], user_id=["too much", "fits"])
    facts = prepare(rows, dear, {})
    assert usable(facts)["amount"].to_list() == [6_000_000_000_000_000_000]
    assert facts.problems["entity"].to_list() == ["too much"]


@example("BTC", 1.53e12)
@example("BTC", 1.54e12)  # from 2^63 ÷ 6,000,000 on
@given(st.sampled_from(["EUR", "BTC"]), st.floats(0, LARGEST_MAGNITUDE))
def test_whatever_is_taken_fits(currency: str, amount: float) -> None:
    dear = RateTable("EUR", DAY, {"BTC": Rate(60_000.0, DAY)}, "test")
    row = prepare(frame(transaction_amount=[amount], transaction_currency=[currency]), dear, {}).rows.collect()
    exact = amount * (1 if currency == "EUR" else 60_000) * 100
    assert (row["time"].item() is None) == (exact > 2**63 * (1 - 1e-12))
    assert row["time"].item() is None or row["amount"].item() is not None


def test_every_problem_of_a_row_is_named() -> None:
    found = problems(transaction_amount=[nan], transaction_currency=["EURO"])
    assert [problem.split(" is ")[0] for *_, problem in found] == ["transaction_amount", "transaction_currency"]


@pytest.mark.parametrize("missing", ["user_id", "transaction_amount", "transaction_currency", "transaction_date"])
def test_a_missing_column_refuses_everything(missing: str, refusal: Refusal) -> None:
    with refusal(FileFormatError):
        prepare(frame().drop(missing), RATES, {})


@pytest.mark.parametrize("name", ["operation", "amount"])
def test_a_declared_column_that_is_missing_or_taken_refuses_everything(name: str, refusal: Refusal) -> None:
    with refusal(InvalidRulesetError):
        prepare(frame(), RATES, {name: "text"})


DECLARED = {"word": "text", "size": "number", "sure": "flag", "on": "date", "where": "country", "words": ("text",)}


def declared(**columns: object) -> LinkedFacts:
    return prepare(frame(**columns), RATES, {**DECLARED, "how": OneOf(one_of=("cash", "card"))})


def test_declared_fields_are_read_as_their_types() -> None:
    facts = declared(
        word=["x", ""],
        size=pl.Series([1.5, nan]),
        sure=["true", None],
        on=["2024-07-01", None],
        where=["DE", ""],
        words=["a; b", None],
        how=["cash", None],
    )
    assert facts.problems.is_empty()
    first, second = facts.rows.select(*DECLARED, "how").collect().rows()
    assert first == ("x", 1.5, True, to_microseconds(DAY), "DE", ["a", "b"], "cash")
    assert second == (None,) * 7


def test_a_declared_value_that_cannot_be_read_spoils_its_field_alone() -> None:
    facts = declared(
        word=["x"], size=["many"], sure=["maybe"], on=["soon"], where=["Germany"], words=[["a"]], how=["barter"]
    )
    row = facts.rows.collect().row(0, named=True)
    assert [row[name] for name in ("word", "size", "sure", "on", "where", "words", "how")] == [
        "x", None, None, None, None, ["a"], None,
    ]  # fmt: skip
    assert row["@spoilt"] is True
    found = {(field, problem) for _, _, field, problem in facts.problems.rows()}
    wrong = {"size": "many", "sure": "maybe", "on": "soon", "where": "Germany", "how": "barter"}
    assert found == {(field, f"{field} is {value}") for field, value in wrong.items()}


@pytest.mark.parametrize("size", [inf, -inf, 2e15])
def test_a_declared_number_without_bounds_is_a_problem(size: float) -> None:
    facts = prepare(frame(size=[size]), RATES, {"size": "number"})
    assert not isfinite(size) or size > LARGEST_MAGNITUDE
    assert facts.rows.collect()["size"].to_list() == [None]
    assert facts.problems["field"].to_list() == ["size"]


def test_an_empty_frame_has_no_rows_and_no_problems() -> None:
    facts = prepare(frame().clear(), RATES, {})
    assert facts.rows.collect().is_empty()
    assert facts.problems.is_empty()


def test_a_lazy_frame_is_read_like_an_eager_one() -> None:
    eager, lazy = prepare(frame(), RATES, {}), prepare(frame().lazy(), RATES, {})
    assert eager.rows.collect().equals(lazy.rows.collect())


def test_owners_with_decimals_are_refused_instead_of_losing_all_rows(refusal: Refusal) -> None:
    with refusal(FileFormatError):
        prepare(frame(user_id=[1.0]), RATES, {})
