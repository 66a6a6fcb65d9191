"""The transaction at hand, and where the entity stands, as inputs of a policy."""

from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from fivefold.domain.clock import to_microseconds
from fivefold.domain.errors import FileFormatError, InvalidRulesetError
from fivefold.domain.money import Rate, RateTable
from fivefold.risk.compiler.value_types import Vocabulary
from fivefold.risk.facts.inputs import Needs, own_fields, resolve, sources_of
from fivefold.risk.facts.portfolio import AS_OF, ENTITY, Portfolio, error_of
from fivefold.risk.facts.resolution import lazy_sources, resolve_inputs
from fivefold.risk.facts.single.context import EntityContext
from fivefold.risk.facts.single.plans import plan_for
from fivefold.risk.facts.transactions import pending_facts, pending_inputs, prepare
from fivefold.risk.language.expressions import input_key, word_of
from fivefold.risk.language.fields import CASE_FIELDS, TRANSACTION_FIELDS
from fivefold.risk.language.policy import POLICY_INPUTS, PolicyRule, TransactionInput
from tests.risk.conftest import Refusal

assert PolicyRule is not None  # the forms know what a condition is once its module is imported
JULY = datetime(2024, 7, 1, tzinfo=UTC)
RATES = RateTable("EUR", JULY.date(), {"JPY": Rate(0.25, date(2024, 6, 28))}, "test")
OWN: dict[str, Any] = {"operation": "text"}
NAMES = Vocabulary(entity={}, transaction={**OWN, **TRANSACTION_FIELDS}, case=CASE_FIELDS, levels=("low", "high"))
ENTITIES = pl.DataFrame({ENTITY: ["a", "b"], AS_OF: [to_microseconds(JULY)] * 2})
Data = dict[str, Any]


def rows(*facts: Data) -> pl.DataFrame:
    usual = {ENTITY: "a", "transaction_currency": "EUR", "transaction_date": JULY, "operation": "cash"}
    schema = {
        ENTITY: pl.String,
        "transaction_amount": pl.Float64,
        "transaction_currency": pl.String,
        "transaction_date": pl.Datetime("us", "UTC"),
        "transaction_id": pl.String,
        "transaction_state": pl.String,
        "operation": pl.String,
    }
    return pl.DataFrame([{**usual, **fact} for fact in facts], schema=schema)


def resolved(portfolio: Portfolio, *written: Data) -> list[Any]:
    """What each input is to the first entity."""
    wanted = [POLICY_INPUTS[word_of(data, POLICY_INPUTS) or ""].model_validate(data) for data in written]
    needs = Needs(wanted, [], NAMES)
    found = resolve(needs, portfolio, sources_of(needs, portfolio), {}, ENTITIES)
    return [found[input_key(made)][0] for made in wanted]


def deciding(*facts: Data, **parts: Any) -> Portfolio:
    return Portfolio(ENTITIES.drop(AS_OF), RATES, pending=rows(*facts), **parts)


def test_every_field_is_read_as_that_of_a_stored_one() -> None:
    portfolio = deciding({"transaction_amount": -10.5, "transaction_id": "t", "transaction_state": "PENDING"})
    names = [*TRANSACTION_FIELDS, *OWN]
    assert dict(zip(names, resolved(portfolio, *({"transaction": name} for name in names)), strict=True)) == {
        "transaction_id": "t",
        "amount": 1050,
        "signed_amount": -1050,
        "direction": "withdrawal",
        "currency": "EUR",
        "state": "pending",
        "time": to_microseconds(JULY),
        "operation": "cash",
    }


def test_an_amount_is_in_the_base_currency_unless_its_own_is_named() -> None:
    amounts: list[Data] = [
        {"transaction": "amount", **({"in_currency": code} if code else {})} for code in ("", "JPY", "USD")
    ]
    assert resolved(deciding({"transaction_amount": 400.0, "transaction_currency": "JPY"}), *amounts) == [
        10000,
        400,
        None,
    ]


@given(st.lists(st.tuples(st.integers(-(10**9), 10**9), st.sampled_from(["EUR", "JPY"])), min_size=1, max_size=4))
def test_amounts_are_those_of_stored_ones(drawn: list[tuple[int, str]]) -> None:
    frame = rows(
        *(
            {ENTITY: f"e{number}", "transaction_amount": minor / 100, "transaction_currency": code}
            for number, (minor, code) in enumerate(drawn)
        )
    )
    made = TransactionInput(transaction="signed_amount")
    entities = pl.DataFrame({ENTITY: [f"e{number}" for number in range(len(drawn))]})
    found = pending_inputs(pending_facts(prepare(frame, RATES, OWN)), [made], entities)[input_key(made)]
    assert found.to_list() == prepare(frame, RATES, OWN).rows.collect()["signed_amount"].to_list()


def test_it_counts_as_no_stored_one() -> None:
    stored = rows({"transaction_amount": 5.0})
    portfolio = deciding({"transaction_amount": 1000.0}, transactions=stored)
    ratio = {"ratio": [{"transaction": "amount"}, {"mean": "amount"}]}
    assert resolved(portfolio, {"sum": "amount"}, {"count": "transactions"}, ratio) == [500, 1.0, 200.0]


def test_who_has_none_knows_nothing_of_it() -> None:
    portfolio = deciding({ENTITY: "b", "transaction_amount": 1.0})
    assert resolved(portfolio, {"transaction": "amount"}, {"transaction": "operation"}) == [None, None]


def test_an_entity_has_one_at_most() -> None:
    with pytest.raises(pl.exceptions.ComputeError, match="m:1"):
        resolved(deciding({"transaction_amount": 1.0}, {"transaction_amount": 2.0}), {"transaction": "amount"})


def test_one_that_cannot_be_read_is_refused(refusal: Refusal) -> None:
    with refusal(FileFormatError):
        resolved(deciding({"transaction_amount": 1.0, "transaction_currency": "EURO"}), {"transaction": "amount"})


def test_money_without_a_rate_is_unknown_in_the_base_and_known_in_its_own_currency() -> None:
    asked: list[Data] = [{"transaction": "amount"}, {"transaction": "amount", "in_currency": "AED"}]
    portfolio = deciding({"transaction_amount": 1.5, "transaction_currency": "AED"})
    assert resolved(portfolio, *asked) == [None, 150]
    wanted = [TransactionInput.model_validate(one) for one in asked]
    needs = Needs(wanted, [], NAMES)
    found = resolve(needs, portfolio, sources_of(needs, portfolio), {}, ENTITIES)
    wrong = found[error_of(input_key(wanted[0]))].to_list()
    assert wrong == ["transaction_currency is AED; allowed: a currency with a rate into EUR", None]
    assert error_of(input_key(wanted[1])) not in found.columns


@pytest.mark.parametrize("data", [{"transaction": "amount"}, {"level": "in_force"}])
def test_without_what_is_read_nobody_is_decided_on(data: Data, refusal: Refusal) -> None:
    with refusal(InvalidRulesetError):
        resolved(Portfolio(ENTITIES.drop(AS_OF), RATES), data)


def test_where_an_entity_stands_is_looked_up() -> None:
    levels = pl.DataFrame(
        {
            ENTITY: ["b", "a"],
            "in_force": [1, 2],
            "rules": [1, None],
            "status": ["x", "y"],
            "source": ["p", "q"],
            "age_days": [1, 2.5],
        },
        strict=False,
    )
    words = ("in_force", "rules", "status", "source", "age_days")
    found = resolved(Portfolio(ENTITIES.drop(AS_OF), RATES, levels=levels), *({"level": word} for word in words))
    assert found == [2, None, "y", "q", 2.5]


def test_own_fields_are_those_that_not_all_have() -> None:
    assert own_fields(NAMES) == OWN


STORED: dict[str, Any] = {
    ENTITY: pl.String,
    "time": pl.Int64,
    "amount": pl.Float64,
    "currency": pl.String,
    "state": pl.String,
    "transaction_id": pl.String,
    "operation": pl.String,
}
ASKED: list[Data] = [
    {"value": "score"},
    *({"level": word} for word in ("in_force", "rules", "status", "source", "age_days")),
    *({"transaction": name} for name in (*TRANSACTION_FIELDS, *OWN)),
    {"transaction": "signed_amount", "in_currency": "JPY"},
    {"mean": "amount", "over": "90 days"},
    {"ratio": [{"transaction": "amount"}, {"mean": "amount", "over": "90 days"}]},
]
moments = st.integers(-(10**7), 10**6).map(lambda seconds: to_microseconds(JULY) + seconds * 1_000_000)
stored_ones = st.tuples(
    moments,
    st.integers(-(10**7), 10**7).map(lambda minor: minor / 100),
    st.sampled_from(["EUR", "JPY", "AED"]),
    st.sampled_from([None, "PENDING", "FAILED"]),
    st.sampled_from(["t1", "t2", None]),
    st.sampled_from(["cash", None]),
)
standings = st.tuples(
    st.sampled_from([1, 2, None]),
    st.sampled_from([1, 2, None]),
    st.sampled_from(["assessed", "failed", None]),
    st.sampled_from(["rules", None]),
    st.sampled_from([0.1 + 0.2, None]),
    st.sampled_from([3.5, float("nan"), None]),
)


@given(pending=stored_ones, standing=standings, history=st.lists(stored_ones, max_size=4), has_one=st.booleans())
def test_one_entity_is_decided_on_from_the_same_as_many(
    pending: tuple[Any, ...], standing: tuple[Any, ...], history: list[tuple[Any, ...]], *, has_one: bool
) -> None:
    """Plain Python reads the pending transaction, the level and the value as the columns do, to the bit."""
    entities = ENTITIES.head(1)
    *level, score = standing
    words = ("in_force", "rules", "status", "source", "age_days")
    types = (pl.Int64, pl.Int64, pl.String, pl.String, pl.Float64)
    held = Portfolio(
        entities.drop(AS_OF),
        RATES,
        stored=True,
        pending=pl.DataFrame([("a", *pending)] if has_one else [], schema=STORED, orient="row"),
        transactions=pl.DataFrame([("a", *one) for one in history], schema=STORED, orient="row"),
        levels=pl.DataFrame(
            [("a", *level)], schema={ENTITY: pl.String, **dict(zip(words, types, strict=True))}, orient="row"
        ),
        values=pl.DataFrame([("a", score)], schema={ENTITY: pl.String, "score": pl.Float64}, orient="row"),
    )
    wanted = [POLICY_INPUTS[word_of(data, POLICY_INPUTS) or ""].model_validate(data) for data in ASKED]
    needs = Needs(wanted, [], NAMES)
    sources = lazy_sources(needs, held)
    columns = resolve(needs, held, sources(), {}, entities)
    assert_frame_equal(resolve_inputs(needs, held, sources, {}, entities), columns)
    plan = plan_for(needs, (), "EUR")
    assert plan.batch_only == ()
    context = EntityContext(plan, held, entities, sources)
    if "AED" in {one[2] for one in [*([pending] if has_one else []), *history]}:
        return  # money without a rate is for columns to name
    assert_frame_equal(plan.resolve(context, lambda _: columns), columns)
