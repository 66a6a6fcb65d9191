"""The bytes that history is bound by: written of many rows at once, they are those that are written of one."""

from hashlib import sha256
from typing import Any
from zlib import crc32

import polars as pl
import pytest

from fivefold.store.audit.history import (
    TRANSACTION,
    assessment_lines,
    line_of,
    new_salts,
    seal,
    table_lines,
    transaction_lines,
)

SCHEMA = {"id": pl.Int64, "word": pl.String, "found": pl.Boolean, "amount": pl.Float64, "nothing": pl.String}
ROWS: list[tuple[Any, ...]] = [
    (1, "plain", True, 1.5, None),
    (2, None, False, -0.0, None),
    (3, "", None, 0.0, None),
    (4, '{"a":"{}","b":null}', None, None, None),
    (-(2**62), "Ærø = 名, 🙂", True, -1e300, None),
]


def bits(amount: float | None) -> int | None:
    return (
        None
        if amount is None
        else int.from_bytes(pl.Series([amount + 0.0]).to_numpy().tobytes(), "little", signed=True)
    )


@pytest.mark.parametrize("rows", [ROWS, ROWS[:1], ROWS[3:4], []])
def test_lines_of_many_are_those_of_each(rows: list[tuple[Any, ...]]) -> None:
    one_by_one = [
        line_of((number, word, None if found is None else int(found), bits(amount), nothing))
        for number, word, found, amount, nothing in rows
    ]
    assert table_lines(pl.DataFrame(rows, schema=SCHEMA, orient="row")) == one_by_one


def test_a_table_that_says_nothing_has_lines_all_the_same() -> None:
    assert table_lines(pl.DataFrame({"a": [None, None], "b": [None, None]})) == ["\0", "\0"]


def test_the_bytes_of_a_transaction_are_those_that_the_page_describes() -> None:
    values = ("t2", 7, 1_600_000_000_000_000, 0.5, "EUR", None, None, "CARD", None, '{"operation":"cash"}')
    rows = pl.DataFrame([values, ("t1", *values[1:])], schema=dict(TRANSACTION), orient="row")
    rest = '\0=7\0=1600000000000000\0=4602678819172646912\0=EUR\0\0\0=CARD\0\0={"operation":"cash"}'
    lines = ["=t1" + rest, "=t2" + rest]
    assert transaction_lines(rows) == lines
    sealed = seal(lines, "00ff")
    assert sealed.digest == sha256(b"00ff\n" + "\0".join(lines).encode()).hexdigest()
    assert sealed.marks == "".join(f"{crc32(line.encode()):08x}" for line in lines)


def test_the_bytes_of_an_assessment_are_those_that_the_page_describes() -> None:
    first = {"entity_id": 9, "number": 2, "as_of_us": 5, "version_id": None, "source": "rules", "status": "assessed"}
    first |= {"level": 2, "rules_level": 2, "floor": 0, "score": "31", "engine": "2", "content_sha256": "ab"}
    rows = pl.DataFrame([first | {"moved_from": 0, "moved_to": 2}, first | {"entity_id": 8, "score": ""}])
    assert assessment_lines(rows) == [
        "=8\0=2\0=5\0\0=rules\0=assessed\0=2\0=2\0=0\0=\0=2\0=ab\0\0",
        "=9\0=2\0=5\0\0=rules\0=assessed\0=2\0=2\0=0\0=31\0=2\0=ab\0=0\0=2",
    ]


def test_salts_that_are_drawn_together_are_as_long_as_one_and_differ() -> None:
    salts = new_salts(100)
    assert {len(salt) for salt in salts} == {32}
    assert len(set(salts)) == 100
    assert new_salts(0) == []
