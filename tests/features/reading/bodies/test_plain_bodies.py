"""Rows of a body take one pass, and mean what they mean to the general readers; anything else is left to these."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import InvalidDataError
from fivefold.features import schema as c
from fivefold.features.histories import Histories
from fivefold.features.reading.columns import ErrorCollector
from fivefold.features.reading.request_body import BodyColumns
from fivefold.features.reading.validate import TransactionReader
from fivefold.serving.v4.decoding import decode_body
from tests.features.oracle.equality import same
from tests.features.oracle.strategies import AS_OFS, RATES, Row, ledgers, row

BAD: list[tuple[str, Any]] = [
    (c.USER_ID, ""),
    (c.STATE, "DONE"),
    (c.CURRENCY, "XXX"),
    (c.CURRENCY, "eur"),
    (c.CATEGORY, ""),
    (c.AMOUNT, 1.1e15),
    (c.BALANCE, -1.1e15),
    (c.DATE, "1899-12-31T23:59:59"),
    (c.DATE, "2024-06-31"),
    (c.DATE, "2024-09-01"),
    (c.CREATED, "2024-06-03"),
    (c.CREATED, "2024-09-01"),
]
READER = TransactionReader(RATES, latest=AS_OFS[0] + DAY_US, created_slack_us=DAY_US, absent=())


def body_of(rows: list[Row]) -> BodyColumns:
    body = decode_body(json.dumps(rows).encode(), 1000)
    assert body is not None
    return body


def outcome(body: BodyColumns, reader: TransactionReader, *, general: bool = False) -> Histories | str:
    errors = ErrorCollector()
    try:
        return reader.read(body.columns, errors) if general else reader.read_body(body, errors)
    except InvalidDataError as error:
        return f"{error}{error.every}{error.count}"


def agreed(rows: list[Row], reader: TransactionReader = READER) -> Histories | str:
    """Give what a reader makes of the rows of a body, which is the same in one pass and by the general readers."""
    body = body_of(rows)
    one_pass, general = outcome(body, reader), outcome(body, reader, general=True)
    if isinstance(one_pass, str) or isinstance(general, str):
        assert one_pass == general
    else:
        assert same(one_pass, general)
        assert (one_pass.absent, one_pass.repeats, one_pass.stateless) == (
            general.absent,
            general.repeats,
            general.stateless,
        )
    return one_pass


@given(ledgers(AS_OFS[0]), st.booleans(), st.sampled_from([READER, TransactionReader(RATES, absent=())]))
def test_rows_of_a_body_mean_the_same_in_one_pass(
    ledger: list[Row], has_states: bool, reader: TransactionReader
) -> None:
    agreed([one if has_states else {**one, c.STATE: None} for one in ledger] or [row()], reader)


@pytest.mark.parametrize(("field", "value"), BAD)
def test_what_is_wrong_is_named_as_ever(field: str, value: object) -> None:
    rows = [row(), row(user_id="bob", transaction_date="2024-05-01"), row(**{field: value}), row(user_id="cid")]
    assert field in str(agreed(rows))


def test_plain_rows_take_one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [row(user_id=user, transaction_date=f"2024-05-{day:02d}") for day in (3, 1, 2) for user in ("bob", "ann")]
    rows += [row(transaction_state=...), row(transaction_state="", transaction_date="2024-05-09")]
    expected = agreed(rows)
    monkeypatch.setattr(TransactionReader, "read", lambda *_: "the general readers")
    assert isinstance(expected, Histories)
    assert same(READER.read_body(body_of(rows), ErrorCollector()), expected)


def test_a_repeated_transaction_is_left_out_and_one_that_differs_is_named() -> None:
    twice = [row(transaction_id="t1"), row(transaction_id="t1"), row(transaction_id=None)]
    histories = agreed(twice)
    assert isinstance(histories, Histories)
    assert (histories.rows, histories.repeats) == (2, 1)
    assert c.TRANSACTION_ID in str(agreed([*twice, row(transaction_id="t1", transaction_amount=1.0)]))
