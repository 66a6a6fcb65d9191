"""Transactions mean the same read from a file and read from the store, to the value model and to rules."""

from collections.abc import Iterator
from itertools import count
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from fivefold.domain.clock import from_microseconds
from fivefold.domain.money import ecb_rates
from fivefold.features import schema as c
from fivefold.features.histories import Histories
from fivefold.features.reading.sources import read_histories
from fivefold.features.stored import stored_histories
from fivefold.risk.facts.linked import LinkedFacts
from fivefold.risk.facts.look_back import FEWEST
from fivefold.risk.facts.transactions import prepare, prepare_stored
from fivefold.risk.facts.value_inputs import indicator_frame
from fivefold.usecases.ingest.transactions import add_transactions
from fivefold.usecases.levels.portfolio import read_transactions, transactions_frame
from tests.features.oracle.equality import same
from tests.store import databases
from tests.usecases import platforms
from tests.usecases.banks import Bank

RATES = ecb_rates("EUR", from_microseconds(platforms.NOW).date())
OWN: dict[str, Any] = platforms.TRANSACTION_FIELDS
DATES = [
    "2026-06-01",
    "2026-06-01T12:00:00",
    "2026-06-01T14:00:00+02:00",
    "2026-06-01T12:00:00.000000001",
    "2026-06-01T12:00:00.123456",
    "1999-12-31T23:59:59.999999999Z",
]
CENTS = st.integers(-(10**9), 10**9).map(lambda cents: cents / 100)
CHANGES: dict[str, st.SearchStrategy[Any]] = {
    c.AMOUNT: st.sampled_from([0.0, -0.0, 0.29, -0.29, 1e15])
    | st.integers(-(10**9), 10**9).map(lambda cents: cents / 100),
    c.CURRENCY: st.sampled_from(["EUR", "EUR", "USD", "JPY", "XXX", "KWD"]),
    c.DATE: st.sampled_from(DATES),
    c.STATE: st.sampled_from(["SUCCEEDED", "completed", "Failed", "REVERSED"]),
    c.BALANCE: CENTS,
    c.CATEGORY: st.sampled_from(["API", "WEB"]),
    c.CREATED: st.sampled_from(DATES),
    "operation": st.sampled_from(["cash", "wire"]),
}
NEEDED = (c.AMOUNT, c.CURRENCY, c.DATE)
ROW = st.fixed_dictionaries(
    {"user_id": st.sampled_from("ab"), **{name: CHANGES[name] for name in NEEDED}},
    optional={name: CHANGES[name] for name in CHANGES if name not in NEEDED},
)
FACTS = st.lists(st.tuples(st.integers(0, 5), st.none() | st.sampled_from([*CHANGES])), max_size=6)
"""The place of a transaction, and what of it is wrong; None where it is reversed."""
EXAMPLES = count()


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bank]:
    with databases.opened(databases.new_url("sqlite", tmp_path_factory.mktemp("stored"))) as engine:
        yield Bank(engine)


@given(st.lists(ROW, min_size=1, max_size=6), FACTS, st.data())
def test_a_stored_transaction_is_what_the_same_one_of_a_file_is(
    bank: Bank, rows: list[dict[str, Any]], facts: list[tuple[int, str | None]], data: st.DataObject
) -> None:
    example = next(EXAMPLES)
    users = {name: f"{name}{example}" for name in "ab"}
    for name in users.values():
        bank.put(name)
    sent = [{**row, "transaction_id": f"{example}-{5 * place}"} for place, row in enumerate(rows)]
    right, corrections = corrected(sent, facts, data)
    by_number = {letter: str(bank.id_of(name)) for letter, name in users.items()}
    all_rows = [{**row, "user_id": users[row["user_id"]]} for row in sent] + corrections
    add_transactions(bank.context, all_rows)
    entities = [int(number) for number in by_number.values()]
    with Session(bank.engine) as session:
        whose = pl.DataFrame({"fact_of": entities, "entity": entities})
        stored = read_transactions(session, whose, bank.now, for_value=True)
    in_order = sorted(right, key=lambda row: entities.index(int(by_number[row["user_id"]])))
    of_file = [{**row, "user_id": by_number[row["user_id"]]} for row in in_order]
    assert_same_histories(stored_histories(stored, RATES), from_file(of_file), bank.now)
    facts_of_file = prepare(pl.DataFrame(of_file, schema=SCHEMA), RATES, OWN)
    assert_same_facts(prepare_stored(transactions_frame(stored, OWN), RATES, OWN), facts_of_file)


def corrected(
    sent: list[dict[str, Any]], facts: list[tuple[int, str | None]], data: st.DataObject
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Give the rows as they are right, and the corrections that say so."""
    right, reversed_rows, corrections = [dict(row) for row in sent], set[int](), []
    for number, (place, field) in enumerate(facts):
        if place >= len(sent) or (field is None and place in reversed_rows):
            continue
        about = {"transaction_id": f"{sent[place]['transaction_id']}-{number}", "correction_reason": "It was wrong."}
        if field is None:
            reversed_rows.add(place)
            corrections.append({**about, "reverses": sent[place]["transaction_id"]})
            continue
        value = data.draw(CHANGES[field])
        reversed_rows.discard(place)
        right[place][field] = value
        corrections.append({**about, "corrects": sent[place]["transaction_id"], field: value})
    return [row for place, row in enumerate(right) if place not in reversed_rows], corrections


SCHEMA = dict.fromkeys(("user_id", "transaction_id", *CHANGES), pl.String) | {
    c.AMOUNT: pl.Float64,
    c.BALANCE: pl.Float64,
}


def from_file(rows: list[dict[str, Any]]) -> Histories:
    """Read the rows of those whose money has a rate, as a file's are read."""
    strange = {row["user_id"] for row in rows if row[c.CURRENCY] not in RATES.codes}
    frame = pl.DataFrame([row for row in rows if row["user_id"] not in strange], schema=SCHEMA).drop("operation")
    return read_histories(frame.to_arrow(compat_level=pl.CompatLevel.oldest()), RATES, nullable=True)


def assert_same_histories(stored: Histories, of_file: Histories, as_of: int) -> None:
    assert same(stored, of_file)
    if of_file.unknown_from is not None:  # as where there are no rows at all
        assert np.array_equal(np.asarray(stored.unknown_from), of_file.unknown_from)
    assert indicator_frame(stored, as_of).equals(indicator_frame(of_file, as_of))


def assert_same_facts(stored: LinkedFacts, of_file: LinkedFacts) -> None:
    """The same rows, in whatever order ties come, and the same words for what has no rate or is too large."""
    keys = ("entity", "time", "transaction_id")
    assert stored.rows.collect().sort(keys).equals(of_file.rows.collect().sort(keys))
    keys = ("entity", "time", "problem")
    assert stored.problems.sort(keys).equals(of_file.problems.sort(keys))


KINDS: dict[str, Any] = {"operation": "text", "urgent": "flag", "rate": "number", "parties": ("text",)}


@pytest.mark.parametrize("different", [3, 400])
def test_fields_of_many_are_those_of_each(different: int) -> None:
    """What many say alike is read once: it stands where it was said, whether few say the same or most."""
    said = [
        None,
        *(f'{{"operation": "o{number}", "rate": {number}.5, "urgent": false}}' for number in range(different)),
        '{"parties": ["a", "b"]}',
        "{}",
    ]
    contents = [said[number * number % len(said)] for number in range(FEWEST + 100)]
    stored = pl.DataFrame(
        {"content": contents},
        schema={"content": pl.String},
    ).with_columns(entity=1, transaction_id=pl.lit("t"), at_us=0, amount=1.0, currency=pl.lit("EUR"), state=pl.lit(""))
    one_by_one = [transactions_frame(part, KINDS) for part in stored.iter_slices(1)]
    assert transactions_frame(stored, KINDS).equals(pl.concat(one_by_one))
