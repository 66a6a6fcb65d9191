"""The loop over a JSON body: compiled it does what it does interpreted."""

import numpy as np
import pytest
from hypothesis import given

from fivefold.features.numba_cache import compile_loops
from fivefold.features.request_body import body as scanned
from fivefold.features.request_body import body_loops
from tests.features.request_body.test_body import changed_bodies


def both(body: bytes, capacity: int = 3) -> tuple[int, int, int]:
    """Scan interpreted and compiled, and give what both return."""
    found = []
    for loops in (body_loops, compile_loops(body_loops)):
        outs = (np.full((9, capacity), -1), np.zeros((9, capacity), dtype=np.int64), np.zeros((2, capacity)))
        names = (scanned._NAMES, scanned._FIRSTS, scanned._STOPS, scanned._KINDS)
        returned = [int(number) for number in loops.scan_rows(np.frombuffer(body, np.uint8), *names, *outs)]
        found.append((returned, [out.tolist() for out in outs]))
    assert repr(found[0]) == repr(found[1])
    rows, unread, fields = found[0][0]
    return rows, unread, fields


@given(changed_bodies())
def test_damaged_bodies(body: bytes) -> None:
    both(body)


ROW = (
    '{"user_id":"a","transaction_currency":"EUR","user_balance":1.5e2,"transaction_amount":-0.30000000000000004,'
    '"user_created":"2024-01-01","user_category":"WEB","transaction_date":"2024-01-01","transaction_state":null,'
    '"a":null,"b":true,"c":false,"d":-1.5E+3,"e":"x"}'
)


def test_fields_are_told_by_bits_and_numbers_that_take_more_than_a_division_are_counted() -> None:
    assert both(f"[{ROW}]".encode()) == (1, 2, 0b1111111)
    whole = ROW.replace("null,", '"FAILED",', 1).replace("1.5e2", "150").replace("0.30000000000000004", "0.3")
    assert both(f"[{whole}, {ROW}]".encode()) == (2, 2, 0b11111111 if scanned._FIELDS[7] == "transaction_state" else 0)


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_a_body_that_ends_anywhere_is_not_plain(rows: int) -> None:
    body = ("[" + ",".join([ROW] * rows) + "]").encode()
    assert both(body)[0] == rows
    for end in range(len(body) - len(ROW) if rows > 1 else 0, len(body)):
        assert both(body[:end] or b" ")[0] == body_loops.NOT_PLAIN


def test_more_rows_than_there_is_room_for_are_not_plain() -> None:
    assert both(("[" + ",".join([ROW] * 4) + "]").encode())[0] == body_loops.NOT_PLAIN
