"""What a decision is made from, and how it is kept: read back, it is the same to the bit."""

import json
from collections.abc import Callable
from datetime import date
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from fivefold.domain.errors import InvalidDataError
from fivefold.domain.money import Rate, RateTable
from fivefold.features import schema as c
from fivefold.risk.facts.portfolio import AS_OF, ENTITY
from fivefold.risk.language.policy import read_policy
from fivefold.store.decisions import entity_state, subjects_of
from fivefold.usecases.decisions.inputs import (
    DecisionInputs,
    PendingTransaction,
    load_decision_inputs,
    rate_answer,
    read_pending_transaction,
)
from fivefold.usecases.levels.content.inputs import read_inputs
from fivefold.usecases.levels.portfolio import transactions_frame
from fivefold.usecases.levels.records import NEVER_ASSESSED
from fivefold.usecases.shared.transaction_columns import read_columns, transaction_frame
from tests.usecases import banks
from tests.usecases.decisions.deciding import Desk, cash, document
from tests.usecases.platforms import NOW


def gathered(desk: Desk, *conditions: Any, name: str = "ada") -> DecisionInputs:
    rules = [{"when": condition, "action": "note"} for condition in conditions]
    with Session(desk.bank.engine) as session:
        parties = subjects_of(session, desk.bank.of, "customer", name, "")
        point = entity_state(session, parties.entity.id, NOW)
        return load_decision_inputs(
            session, read_policy(document(rules)).canonical, parties, point, cash(), desk.bank.now
        )


def test_what_is_kept_is_read_back_to_the_bit(desk: Desk) -> None:
    desk.value("ada", 0.1 + 0.2)
    desk.bank.wait(1 / 3)
    found = gathered(
        desk,
        {"value": "score", "above": 0},
        {"level": "age_days", "above": 0},
        {"level": "in_force", "above": 0},
        {"transaction": "time", "above": "2026-01-01"},
        {"transaction": "operation", "equals": '"ø\\ \n'},
        {"tag": "x", "is": "present"},
        {"screening": "pep", "is": "present"},
    )
    text = json.dumps({**found.to_stored(), "at_us": desk.bank.now}, sort_keys=True)
    read, kept = read_inputs(text, desk.bank.now, str(desk.bank.id_of("ada")))
    names = sorted(name for name in found.inputs.columns if name not in {ENTITY, AS_OF})
    assert read.select(names).equals(found.inputs.select(names))
    assert read.select(names).schema == found.inputs.select(names).schema
    assert (kept["base"], kept["lists"]) == ("EUR", {})
    assert found.inputs['{"value":"score"}'][0] == 0.1 + 0.2
    assert found.value_as_of_us == desk.bank.now - 28_800_000_000


def test_of_whom_nothing_was_ever_assessed_nothing_is_known(desk: Desk) -> None:
    found = gathered(desk, {"level": "in_force", "above": 0}, {"value": "score", "above": 1}, name="cy")
    assert found.inputs.select(pl.exclude(ENTITY, AS_OF)).row(0) == (None, None)
    assert (found.answer_parts["level"]["status"], found.answer_parts["value"], found.value_as_of_us) == (
        NEVER_ASSESSED,
        None,
        None,
    )


def test_without_a_ruleset_there_is_no_level(desk: Desk) -> None:
    desk.bank.activate(banks.document({"country": banks.COUNTRY}), enabled=False)
    desk.bank.mark("bo")
    desk.bank.settle()
    found = gathered(desk, {"level": "in_force", "is": "absent"}, {"level": "status", "is": "present"}, name="bo")
    assert found.inputs['{"level":"in_force"}'][0] is None
    assert found.inputs['{"level":"status"}'][0] == "no ruleset"
    assert (found.answer_parts["level"]["level"], found.answer_parts["level"]["ruleset"]) == (None, None)


def test_the_latest_value_counts(desk: Desk) -> None:
    desk.value("ada", 2.0, days_ago=2)
    desk.value("ada", 3.0, days_ago=1, segment="medium")
    found = gathered(desk, {"value": "segment", "equals": "medium"}, {"value": "expected_value", "above": 1})
    assert found.inputs.select(pl.exclude(ENTITY, AS_OF)).row(0) == ("medium", 30.0)
    assert (found.answer_parts["value"]["segment"], found.answer_parts["value"]["score"]) == ("medium", "3.0")


DAY = date(2026, 11, 20)
RATES = RateTable("EUR", DAY, {"USD": Rate(0.9, DAY)}, "test")
OWN: dict[str, Any] = {"operation": "text", "fee": "number"}


def read(**changed: Any) -> PendingTransaction:
    return read_pending_transaction(cash(**changed), OWN, (7, "ada"), NOW)


def test_what_is_missing_is_now_and_pending() -> None:
    found = read()
    row = found.frame.row(0, named=True)
    assert (row[ENTITY], row["transaction_id"], row["state"], row["time"]) == ("7", None, "PENDING", NOW)
    assert found.transaction_id is None
    assert found.answer_fields == {
        "transaction_id": None,
        "at_us": NOW,
        "amount": "-1200.0",
        "currency": "EUR",
        "state": "PENDING",
        "content": '{"operation":"cash"}',
    }


@given(
    st.fixed_dictionaries(
        {"transaction_amount": st.floats(-1e9, 1e9).map(lambda amount: round(amount, 2))},
        optional={
            "transaction_currency": st.sampled_from(["EUR", "USD", "XXX"]),
            "transaction_state": st.sampled_from(["completed", "PENDING", "x"]),
            "transaction_date": st.sampled_from(["2026-11-01", "2026-11-20T10:00:00", "2027-01-01", "x"]),
            "operation": st.sampled_from(["cash", ""]),
            "fee": st.sampled_from([0.1, 5]),
        },
    )
)
def test_it_is_read_and_refused_as_a_stored_one_would_be(changed: Any) -> None:
    row = {**cash(**changed), "transaction_id": "t", "user_id": "ada"}
    row = {"transaction_state": "PENDING", "transaction_date": "2026-11-20", **row}
    stored = tried(
        lambda: transactions_frame(_with_entity(read_columns(transaction_frame([row], OWN), OWN, NOW, text=False)), OWN)
    )
    pending = tried(lambda: read_pending_transaction(row, OWN, (7, "ada"), NOW).frame)
    assert pending.equals(stored) if isinstance(stored, pl.DataFrame) else pending == stored


def tried(read: Callable[[], pl.DataFrame]) -> Any:
    """Give what was read, or what was said against it."""
    try:
        return read()
    except InvalidDataError as refused:
        return str(refused)


def _with_entity(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.lit(7, pl.Int64).alias("entity"))


def test_nothing_is_no_value() -> None:
    assert (
        read_pending_transaction({**cash(), "transaction_id": None, "fee": None}, OWN, (7, "ada"), NOW).answer_fields
        == read().answer_fields
    )


@pytest.mark.parametrize("name", ["amount", "Transaction_amount", "", "entity"])
def test_a_field_that_nobody_knows_is_refused(name: str) -> None:
    with pytest.raises(InvalidDataError, match=f"{name} is not a field of it; allowed: transaction_id.*operation, fee"):
        read_pending_transaction({**cash(), name: 5}, OWN, (7, "ada"), NOW)


NESTED = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
    lambda below: st.one_of(st.lists(below, max_size=3), st.dictionaries(st.text(max_size=3), below, max_size=2)),
    max_leaves=4,
)
WHATEVER = {**OWN, "flag": "flag", "when": "date", "words": ("text",), "land": "country"}
NAMES = [c.TRANSACTION_ID, c.AMOUNT, c.CURRENCY, c.DATE, c.STATE, c.BALANCE, c.CATEGORY, c.CREATED, *WHATEVER]


@given(st.dictionaries(st.sampled_from(NAMES), NESTED, max_size=4))
def test_whatever_is_sent_is_taken_or_refused(changed: Any) -> None:
    """JSON of any form; nothing of it is a fault of the program."""
    found = tried(lambda: read_pending_transaction({**cash(), **changed}, WHATEVER, (7, "ada"), NOW).frame)
    assert isinstance(found, str) or len(found) == 1


def test_everything_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(InvalidDataError) as told:
        read_pending_transaction({"amount": 5, "user_id": "bo"}, OWN, (7, "ada"), NOW)
    assert sorted(problem.field for problem in told.value.problems) == [
        "amount",
        "transaction_amount",
        "transaction_currency",
        "user_id",
    ]


def test_the_rate_is_told() -> None:
    assert rate_answer(RATES, "USD") == {"base": "EUR", "currency": "USD", "day": "2026-11-20", "per_unit": "0.9"}
    assert rate_answer(RATES, "EUR")["per_unit"] == "1.0"
