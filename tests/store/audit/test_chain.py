"""The bytes that are hashed, exactly as the documentation describes them."""

from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from fivefold.store.audit.chain import GENESIS, HASHED, digest_of, hash_of_entry, hash_of_value

COLUMNS: dict[str, Any] = {
    "organisation_id": 1,
    "number": 2,
    "at_us": 1_795_176_000_000_000,
    "actor": "cli:ana",
    "action": "token.created",
    "subject_kind": "token",
    "subject_id": "7",
    "details": '{"plan":"trial"}',
    "bulk_count": None,
    "bulk_digest": None,
    "before_hash": None,
    "after_hash": "ab",
    "previous_hash": GENESIS,
}
BYTES = (
    '{"action":"token.created","actor":"cli:ana","after_hash":"ab","at_us":1795176000000000,"before_hash":null,'
    '"bulk_count":null,"bulk_digest":null,"details":"{\\"plan\\":\\"trial\\"}","format":1,"number":2,'
    f'"organisation_id":1,"previous_hash":"{"0" * 64}","subject_id":"7","subject_kind":"token"}}'
)


def test_an_entry_is_hashed_as_documented() -> None:
    """A change here makes every log that was ever written a broken one: it needs another format, beside this one."""
    assert hash_of_entry(COLUMNS) == sha256(BYTES.encode()).hexdigest()
    assert hash_of_entry(COLUMNS) == "f8c0edff84dd9fdc56e5aac19e63c3c28ef70a168c8f78f7e27590a63376e736"
    assert hash_of_entry({**COLUMNS, "hash": "other", "values_number": 3}) == hash_of_entry(COLUMNS)


@pytest.mark.parametrize("column", HASHED)
def test_every_column_counts(column: str) -> None:
    for other in ("x", 3, None):
        if COLUMNS[column] != other:
            assert hash_of_entry({**COLUMNS, column: other}) != hash_of_entry(COLUMNS)


def test_the_documented_example_is_this_one() -> None:
    page = (Path(__file__).parents[3] / "docs" / "audit.md").read_text(encoding="utf-8")
    assert BYTES in page.splitlines()
    assert f"has the hash `{hash_of_entry(COLUMNS)}`" in page


def test_a_value_is_hashed_as_documented_and_neither_salt_nor_side_is_without_effect() -> None:
    made = hash_of_value("5a17", "after", '{"label":"Zoë"}')
    assert made == sha256('5a17\nafter\n{"label":"Zoë"}'.encode()).hexdigest()
    others = [("5a18", "after", '{"label":"Zoë"}'), ("5a17", "before", '{"label":"Zoë"}'), ("5a17", "after", "{}")]
    assert made not in {hash_of_value(*other) for other in others}  # type: ignore[arg-type]  # sides are plain text here


def test_many_are_told_by_a_digest_of_their_order_and_content() -> None:
    assert digest_of([]) == sha256(b"").hexdigest()
    assert digest_of(iter([{"b": 1, "a": "é"}, "x"])) == sha256('{"a":"é","b":1}\n"x"\n'.encode()).hexdigest()
    assert len({digest_of(rows) for rows in ([1, 2], [2, 1], [12], [[1, 2]], ["1", "2"])}) == 5
