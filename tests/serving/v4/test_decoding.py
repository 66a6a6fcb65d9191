"""A body decoded into columns means what the ordinary reader of JSON makes of it, or is left to that."""

import json
from math import inf
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from fivefold.features import schema as c
from fivefold.features.numba_cache import compile_loops
from fivefold.serving.v4 import decoding, row_loops
from fivefold.serving.v4.contract import ROWS
from fivefold.serving.v4.decoding import decode_body
from tests.features.oracle.strategies import AS_OFS, Row, ledgers, row
from tests.serving.v4.rows import told

NUMBERS = (c.AMOUNT, c.BALANCE)
MANY = 1000
SPELLED = (
    "0 -0 -0.0 1 -12 1.5 0.1 123456.78 1e3 1E-2 12345678901234567890 1e22 9e-9 0.30000000000000004 9007199254740993 "
    "9007199254740992 -1234567890123.4567 5e-324 1e15 01 +1 1. .5 - 1e NaN Infinity 1e400 --1 1_0 0x1 null true []"
)
spellings = st.sampled_from([*SPELLED.split(" "), '"1"', ""])


def read(body: bytes) -> list[Row] | None:
    """What the ordinary reader makes of a body, optional fields filled in; None where it refuses it."""
    try:
        rows = ROWS.validate_json(body)
    except ValidationError:
        return None
    return [{name: taken.get(name) for name in c.COLUMNS} for taken in rows]


def plain(value: object) -> str:
    """Write a value with its type; the reader turns -0.0 into 0.0."""
    return repr(value + 0.0 if isinstance(value, float) else value)


def means_the_same(body: bytes) -> bool:
    """Tell whether a body was decoded; where it was, assert that it means the same."""
    columns = decode_body(body, MANY)
    if columns is None:
        return False
    wanted, found = read(body), told(columns)
    assert wanted is not None
    for one, other in zip(found, wanted, strict=True):
        for name in c.COLUMNS:
            assert plain(one.get(name)) == plain(other[name]), name
    return True


@given(ledgers(AS_OFS[0]), st.sampled_from([None, 1, "\t"]), st.booleans())
def test_ordinary_bodies_are_decoded(ledger: list[Row], indent: Any, ascii_: bool) -> None:
    rows = [*ledger, row(user_id="Zoë" if not ascii_ else "zoe", note=5, more="x", none=None, yes=True, no=False)]
    assert means_the_same(json.dumps(rows, indent=indent, ensure_ascii=ascii_).encode())


@given(st.lists(spellings, min_size=2, max_size=2), st.booleans())
@example(["9007199254740993", "0.1"], False)
def test_numbers_are_the_nearest_floats(numbers: list[str], after: bool) -> None:
    plain = json.dumps([row(user_balance=777.25, transaction_amount=888.25)])
    body = plain.replace("777.25", numbers[0]).replace("888.25", numbers[1] + (" " if after else ""))
    means_the_same(body.encode())


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_any_float_is_read_as_it_was_written(number: float) -> None:
    body = json.dumps([row(user_balance=number)]).encode()
    columns = decode_body(body, MANY)
    assert columns is not None
    assert columns.columns[c.BALANCE].tobytes() == np.array([number]).tobytes()


@st.composite
def changed_bodies(draw: st.DrawFn) -> bytes:
    """A body with a few bytes changed, added or taken away."""
    body = bytearray(json.dumps([row(transaction_id="7"), row(user_id="bob")]).encode())
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(body)))
        new = draw(st.sampled_from([*b'[]{}",:\\ \n0123456789.eE+-ntfa\x00\x1f\x7f\xc3\xa9\xff', None]))
        body[at : at + draw(st.integers(0, 2))] = b"" if new is None else bytes([new])
    return bytes(body)


@given(changed_bodies())
def test_a_damaged_body_is_decoded_only_where_it_still_means_the_same(body: bytes) -> None:
    means_the_same(body)


_FIRST, _REST = b'"user_id": "ann", ', json.dumps(row(user_id=...))[1:].encode()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"[ ]",
        b"{}",
        b"null",
        b"[{}]",
        b"[5]",
        b"[{" + _FIRST + _REST,
        b"[{" + _FIRST + _REST + b",]",
        b"[{" + _FIRST + _REST + b"] 5",
        b"[{" + _FIRST + _REST + b"]]",
        b"\xef\xbb\xbf[{" + _FIRST + _REST + b"]",
        b"[{" + _REST + b"]",
        b'[{"user_id": null, ' + _REST + b"]",
        b'[{"user_id": 5, ' + _REST + b"]",
        b'[{"user_id": "a\nb", ' + _REST + b"]",
        b'[{"user_id": "\xff", ' + _REST + b"]",
        b'[{"more": {"a": 1}, ' + _FIRST + _REST + b"]",
        b'[{"more": [1], ' + _FIRST + _REST + b"]",
        b'[{"more": nul, ' + _FIRST + _REST + b"]",
        b'[{"more": 01, ' + _FIRST + _REST + b"]",
        b'[{"more", ' + _FIRST + _REST + b"]",
        b"[{" + _FIRST + b"," + _REST + b"]",
        b"[{" + _FIRST + _FIRST + _REST + b"]",
        b'[{"user_i\\u0064": "ann", ' + _REST + b"]",
        b"[{" + _FIRST + _REST + b"]\0",
    ],
)
def test_what_is_not_plain_is_left_to_the_ordinary_reader(body: bytes) -> None:
    assert decode_body(body, MANY) is None


@pytest.mark.parametrize("text", ["a\\u0062", '\\u00e9\\n\\"\\\\\\/', "{", "[", "a}", "\\u0000", "\\u20AC\\ud7ff"])
def test_escapes_and_braces_in_a_text_mean_what_the_ordinary_reader_makes_of_them(text: str) -> None:
    """Also in a field that is not read."""
    other = json.dumps(row(user_id=text, note="é"))
    assert means_the_same(f'[{{"user_id": "{text}", "more": "{text}", {_REST.decode()}, {other}]'.encode())


@pytest.mark.parametrize("text", ["\\ud83d\\ude00", "\\udc00", "\\x", "\\u12g4", "\\u12", "\\"])
def test_half_a_pair_and_a_wrong_escape_are_left_to_the_ordinary_reader(text: str) -> None:
    for field in ("user_id", "more"):
        body = b'[{"%b": "%b", ' % (field.encode(), text.encode()) + _FIRST * (field == "more") + _REST + b"]"
        assert decode_body(body, MANY) is None


@given(changed_bodies())
def test_the_loop_reads_nothing_behind_a_body(body: bytes) -> None:
    """Interpreted it would end with an IndexError; and it reads what it reads compiled."""
    both = []
    for loops in (row_loops, compile_loops(row_loops)):
        begins, ends, numbers = np.full((9, 2), -1), np.zeros((9, 2), dtype=np.int64), np.zeros((2, 2))
        data = np.frombuffer(body + b"\0", np.uint8)
        rows, is_read = loops.scan_rows(data, decoding._NAMES, 7, begins, ends, numbers)
        both.append((int(rows), bool(is_read), begins.tolist(), ends.tolist(), numbers.tobytes()))
    assert both[0] == both[1]


def test_spaces_fields_in_any_order_and_absent_ones_are_plain() -> None:
    fields = list(row(transaction_state=None, transaction_id=None).items())
    turned = [dict(fields), dict(fields[::-1]), row(transaction_state=...), row(transaction_id="")]
    body = b"\r\n\t " + json.dumps(turned, separators=(" ,\n", " : ")).encode() + b" \n"
    assert means_the_same(body)
    columns = decode_body(body, MANY)
    assert columns is not None
    assert columns.columns[c.TRANSACTION_ID].arrow().to_pylist() == [None, None, None, ""]  # type: ignore[union-attr]  # texts


def test_an_optional_field_that_is_nowhere_is_no_column() -> None:
    columns = decode_body(json.dumps([row(transaction_state=..., transaction_id=None)]).encode(), MANY)
    assert columns is not None
    assert set(columns.columns) == set(c.REQUIRED)


def test_more_rows_than_asked_for_are_left_alone() -> None:
    body = json.dumps([row()] * 5).encode()
    assert (decode_body(body, 4), len(decode_body(body, 5) or [])) == (None, 5)


@pytest.mark.parametrize(
    ("number", "value"), [("1e400", inf), ("-1e400", -inf), ("1" * 5_000, inf), (f"{10**300}", 1e300)]
)
def test_numbers_beyond_floats_are_infinite(number: str, value: float) -> None:
    """Of thousands of digits too, which Python's own reader of JSON refuses."""
    columns = decode_body(json.dumps([row(), row(user_balance=777)]).replace("777", number).encode(), MANY)
    assert columns is not None
    assert columns.columns[c.BALANCE].tolist() == [120.5, value]  # type: ignore[union-attr]  # numbers
