"""One transaction in plain Python: where it is read at all, it is what the columns make of it."""

import json
from typing import Any

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fivefold.domain.clock import DAY_US, iso_text
from fivefold.domain.errors import InvalidDataError
from fivefold.features import schema as c
from fivefold.risk.language.fields import FieldType, OneOf
from fivefold.usecases.levels.portfolio import transaction_types, transactions_frame
from fivefold.usecases.shared.single_transaction import read_single
from fivefold.usecases.shared.transaction_columns import read_columns, transaction_frame
from tests.usecases.platforms import NOW

OWN: dict[str, FieldType] = {
    "operation": "text",
    "fee": "number",
    "seen": "flag",
    "booked": "date",
    "words": ("text",),
    "kind": OneOf(one_of=("a", "b", "é")),
    "land": "country",
}
USUAL: dict[str, Any] = {
    c.TRANSACTION_ID: "t",
    c.USER_ID: "u",
    c.AMOUNT: 1.0,
    c.CURRENCY: "EUR",
    c.DATE: "2026-01-01",
}
NUMBERS = st.one_of(
    st.floats(),
    st.floats(-1e6, 1e6),
    st.integers(-(10**20), 10**20),
    st.sampled_from([0.0, -0.0, 1e15, -1e15, 1e-4, 9.999e-5, 123456789012345.6, 2**53 + 1, 10**400, True, "1"]),
)
TEXTS = st.one_of(
    st.text(max_size=4),
    st.sampled_from(
        ["", " ", "a", "é", "A\u0301", '"\\', "\x7f", "\u200e", "\u00a0", "\ud800", "\0", "x" * 200, "x" * 201]
    ),
)
TIMES = st.one_of(
    st.datetimes().map(lambda moment: moment.isoformat()),
    st.sampled_from(
        [
            iso_text(NOW + DAY_US),
            iso_text(NOW + DAY_US + 1),
            "1900-01-01",
            "1899-12-31T23:59:59",
            "2026-02-30",
            "2026-01-01T24:00:00",
            "2026-01-01T10:00:00Z",
            "2026-01-01T10:00:00+00:00",
            "2026-01-01T10:00:00.123456Z",
            "2026-01-01T10:00:00+02:00",
            "2026-01-01 10:00:00",
            "\uff12026-01-01",
            "",
            7,
        ]
    ),
)
ROWS = st.fixed_dictionaries(
    {},
    optional={
        c.TRANSACTION_ID: TEXTS,
        c.AMOUNT: NUMBERS,
        c.CURRENCY: st.sampled_from(["EUR", "USD", "eur", "EURO", "XXX", "", "EU\n"]),
        c.DATE: TIMES,
        c.STATE: st.sampled_from(["pending", "Completed", "x", "", "\u0131", 5]),
        c.BALANCE: NUMBERS,
        c.CATEGORY: st.sampled_from(["API", "api", "WEB", "", 5]),
        c.CREATED: TIMES,
        "operation": TEXTS | st.just(5),
        "fee": NUMBERS,
        "seen": st.booleans() | st.sampled_from(["true", 1]),
        "booked": TIMES,
        "words": st.lists(TEXTS, max_size=3) | st.sampled_from(["a; b", [None], ["a", 5]]),
        "kind": st.sampled_from(["a", "b", "c", "é", "", " a"]),
        "land": st.sampled_from(["DE", "UK", "XK", "de", ""]),
    },
)


def by_columns(row: dict[str, Any]) -> tuple[dict[str, Any], pl.DataFrame] | None:
    """Read it as many are read; None where it is refused."""
    try:
        read = read_columns(transaction_frame([row], OWN), OWN, NOW, text=False)
    except InvalidDataError:
        return None
    return read.drop("external_id").row(0, named=True), transactions_frame(read.with_columns(entity=7), OWN)


@given(ROWS)
@example({"fee": 1e-4, "operation": "ø € 漢"})
@example({c.AMOUNT: 10**400})
@example({"booked": "2026-01-01T10:00:00.123456Z", "words": ["a", "b"], c.STATE: "completed"})
def test_what_is_read_is_what_columns_read(changed: dict[str, Any]) -> None:
    row = {**USUAL, **changed}
    plain = read_single(row, OWN, NOW)
    if plain is None:
        return
    columns = by_columns(row)
    assert columns is not None  # nothing is taken that columns refuse
    stored, frame = columns
    assert {name: repr(plain[name]) for name in stored} == {name: repr(value) for name, value in stored.items()}
    values = {**plain, "entity_id": "7", "time": plain["at_us"]}
    types = transaction_types(OWN)
    made = pl.DataFrame([[values[name] for name in types]], schema=types, orient="row")
    assert made.equals(frame)
    assert made.schema == frame.schema


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {c.STATE: "completed", c.BALANCE: 5, c.CATEGORY: "WEB", c.CREATED: "2025-01-01"},
        {"operation": "Café 漢", "fee": 12.5, "seen": True, "words": ["a"], "kind": "é", "land": "DE"},
        {"booked": "2026-01-01T10:00:00", c.DATE: "2026-01-01T10:00:00.000001Z"},
    ],
)
def test_what_is_written_as_usual_needs_no_columns(changed: dict[str, Any]) -> None:
    read = read_single({**USUAL, **changed}, OWN, NOW)
    assert read is not None
    kept = {} if read["content"] is None else json.loads(read["content"])
    assert kept == {name: value for name, value in changed.items() if name in OWN}


@pytest.mark.parametrize(
    "changed",
    [
        {c.AMOUNT: float("nan")},
        {c.AMOUNT: 2e15},
        {c.DATE: iso_text(NOW + DAY_US + 1)},
        {c.CURRENCY: "eur"},
        {c.TRANSACTION_ID: "a\u200eb"},
        {"fee": float("inf")},
        {"land": "UK"},
        {"strange": 5},
    ],
)
def test_what_must_be_named_is_left_to_columns(changed: dict[str, Any]) -> None:
    assert read_single({**USUAL, **changed}, OWN, NOW) is None


def test_a_field_that_has_the_name_of_another_is_left_to_columns() -> None:
    assert read_single(USUAL, {c.STATE: "text"}, NOW) is None
