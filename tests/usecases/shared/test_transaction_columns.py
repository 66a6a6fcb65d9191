"""Columns of transactions: what is stored of a row depends on that row alone."""

import json
from collections.abc import Callable
from datetime import date, datetime
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fivefold.domain.errors import InvalidDataError
from fivefold.domain.money import base_only
from fivefold.risk.language.fields import FieldType, OneOf
from fivefold.usecases.shared.transaction_columns import KNOWN, read_columns, transaction_frame
from tests.usecases.platforms import NOW

OWN: dict[str, FieldType] = {
    "operation": "text",
    "fee": "number",
    "seen": "flag",
    "booked": "date",
    "words": ("text",),
    "kind": OneOf(one_of=("a", "b")),
}
RATES = base_only("EUR", date(2026, 1, 1))


def row(**changed: Any) -> dict[str, Any]:
    return {
        "transaction_id": "t",
        "user_id": "u",
        "transaction_amount": 1.0,
        "transaction_currency": "EUR",
        "transaction_date": "2026-01-01",
        **changed,
    }


def read(*rows: dict[str, Any], text: bool = False) -> pl.DataFrame:
    return read_columns(transaction_frame(rows, OWN), OWN, NOW, text=text)


IDENTIFIERS = st.integers(-(2**62), 2**62) | st.sampled_from(["a", "70", "70.0", "1e3"])
ROWS = st.builds(
    row,
    transaction_id=IDENTIFIERS,
    user_id=IDENTIFIERS,
    operation=st.none()
    | st.integers(0, 9)
    | st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=5),
    fee=st.none() | st.floats(-1e6, 1e6),
    seen=st.none() | st.booleans(),
    booked=st.none() | st.just("2026-02-01T10:00:00"),
    kind=st.none() | st.sampled_from("ab"),
    user_balance=st.none() | st.floats(-1e9, 1e9),
    transaction_state=st.sampled_from([None, "", "pending", "COMPLETED"]),
    user_category=st.sampled_from([None, "API", "WEB"]),
    user_created=st.none() | st.just("2025-01-01"),
)


@given(st.lists(ROWS, min_size=1, max_size=5))
def test_a_row_is_read_as_it_is_alone(rows: list[dict[str, Any]]) -> None:
    together = read(*rows)
    alone = pl.concat([read(one) for one in rows])
    assert together.equals(alone)


@given(ROWS)
def test_what_was_said_is_what_is_kept(given_row: dict[str, Any]) -> None:
    (found,) = read(given_row).iter_rows(named=True)
    own = {name: given_row[name] for name in OWN if given_row.get(name) not in (None, "")}
    own |= {"operation": str(own["operation"])} if "operation" in own else {}
    assert (found["transaction_id"], found["external_id"]) == (
        str(given_row["transaction_id"]),
        str(given_row["user_id"]),
    )
    assert (json.loads(found["content"]) if found["content"] else {}) == own
    assert found["balance"] == given_row["user_balance"]
    assert found["state"] == (given_row["transaction_state"].upper() if given_row["transaction_state"] else None)
    assert found["category"] == given_row["user_category"]


@pytest.mark.parametrize("name", ["transaction_id", "user_id", "operation"])
@pytest.mark.parametrize("beside", [["x"], [901], ["x", 902], [1.5], []])
@pytest.mark.parametrize("wrong", [901.0, 1e20, -0.0, 913.5, float("inf")])
def test_a_number_with_a_decimal_point_is_no_identifier_and_no_text_whatever_stands_beside_it(
    name: str, beside: list[Any], wrong: float
) -> None:
    with pytest.raises(InvalidDataError) as refused:
        read(row(**{name: wrong}), *[row(**{name: other}) for other in beside])
    first, *others = refused.value.every
    assert (first.row, first.field, first.problem) == (0, name, f"is {wrong!r}")
    assert first.allowed.startswith("text")
    assert [one.problem for one in others] == ["is 1.5"] * beside.count(1.5)


def test_nan_is_a_missing_value_and_no_text() -> None:
    nan = float("nan")
    for name in ("transaction_id", "user_id", "transaction_currency", "transaction_date"):
        with pytest.raises(InvalidDataError, match=f"row 1: {name} is missing"):
            read(row(), row(**{name: nan}), row())
    unset = dict.fromkeys(("operation", "fee", "seen", "booked", "words", "kind", "transaction_state"), nan)
    assert read(row(**unset), row(operation="a", fee=1.0)).head(1).equals(read(row()))


@pytest.mark.parametrize("value", [5, 5.0, True])
@pytest.mark.parametrize("name", ["transaction_date", "user_created", "booked"])
@pytest.mark.parametrize("beside", [True, False])
def test_a_number_is_no_moment_whatever_stands_beside_it(name: str, value: Any, beside: bool) -> None:
    with pytest.raises(InvalidDataError, match=f"row 0: {name} is {value}; allowed: .*ISO 8601"):
        read(*[row(**{name: value}), row(**{name: "2026-01-01"})][: 1 + beside])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
)


@given(st.dictionaries(st.sampled_from([*OWN, *KNOWN]), JSON, max_size=3), JSON, st.booleans())
def test_any_json_is_read_or_refused_in_words(changed: dict[str, Any], other: Any, beside: bool) -> None:
    rows = [row(**changed), *[row(), row()][: 1 + beside]]
    alone = tried(lambda: read(*rows))
    ignored = tried(lambda: read(*[{**given_row, "nobody knows it": other} for given_row in rows]))
    assert alone.equals(ignored) if isinstance(alone, pl.DataFrame) else alone == ignored


def tried(read_them: Callable[[], pl.DataFrame]) -> pl.DataFrame | str:
    try:
        return read_them()
    except InvalidDataError as error:
        return str(error)


@pytest.mark.parametrize("value", [2**63, -(2**64), 10**400, {"a": 1}, {"\0": 1}, [["a"]], [1], ["\ud800"], "\udfff"])
@pytest.mark.parametrize("name", ["transaction_amount", "operation", "transaction_state"])
def test_what_no_column_holds_is_refused(name: str, value: Any) -> None:
    with pytest.raises(InvalidDataError, match=rf"row 0: {name} is "):
        read(row(**{name: value}))


def test_words_beside_lists_stay_words() -> None:
    found = read(row(words=["a", "b;c"]), row(words="b; c"), row(words="d"), row(words=None))
    assert [text and json.loads(text)["words"] for text in found["content"]] == [["a", "b;c"], ["b", "c"], ["d"], None]


@pytest.mark.parametrize("name", ["transaction_amount", "user_balance", "fee", "operation", "transaction_id", "words"])
@pytest.mark.parametrize("beside", [True, False])
def test_a_truth_is_no_number_and_no_text_whatever_stands_beside_it(name: str, beside: bool) -> None:
    allowed = "a finite number" if name in {"transaction_amount", "user_balance", "fee"} else "text|a list of texts"
    with pytest.raises(InvalidDataError, match=rf"row 0: {name} is True; allowed: ({allowed})"):
        read(*[row(**{name: True}), row()][: 1 + beside])


def test_csv_and_parquet_say_the_same() -> None:
    typed = transaction_frame([row(fee=1.5, seen=True, booked=datetime(2026, 2, 1), user_balance=2)], OWN)  # noqa: DTZ001 (as files have them)
    texts = transaction_frame(
        [row(transaction_amount="1.0", fee="1.5", seen="true", booked="2026-02-01", user_balance="2")], OWN
    )
    first, second = (read_columns(one, OWN, NOW, text=True) for one in (typed, texts))
    assert first.drop("content").equals(second.drop("content"))
    contents = [json.loads(found["content"][0]) for found in (first, second)]
    assert [(one["fee"], one["seen"], one["booked"][:10]) for one in contents] == [(1.5, True, "2026-02-01")] * 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"fee": "much"}, "fee is 'much'; allowed: a finite number"),
        ({"seen": "perhaps"}, "seen is 'perhaps'; allowed: true or false"),
        ({"booked": "soon"}, "booked is 'soon'; allowed: an ISO 8601"),
        ({"kind": "c"}, "kind is 'c'; allowed: one of a, b"),
        ({"user_balance": "x"}, "user_balance is 'x'"),
        ({"user_created": "2030-01-01"}, "user_created is in the future"),
    ],
)
def test_a_field_that_is_not_as_declared_is_named(change: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidDataError, match=f"row 1: {words}"):
        read(row(), row(**change))
