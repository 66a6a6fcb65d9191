"""Stored facts as the engine reads them: only what a ruleset reads, and for whom each counts."""

import json
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.domain.clock import from_microseconds
from fivefold.domain.money import ecb_rates
from fivefold.features.stored import stored_histories
from fivefold.risk.compiler.analysis import analyse_text
from fivefold.risk.engine.assess import assess
from fivefold.risk.facts.portfolio import Portfolio
from fivefold.risk.facts.value_inputs import indicator_frame
from fivefold.store.tables.entities import ValueScore
from fivefold.usecases.ingest.facts import RecordGiven, add_screening, put_record, set_tag
from fivefold.usecases.levels.portfolio import (
    _own_fields,
    parts_of,
    read_stored_portfolio,
    read_transactions,
)
from fivefold.usecases.shared.context import Context
from tests.store.filling import filled_once
from tests.usecases import banks
from tests.usecases.banks import Bank

COUNTED = {"input": {"count": "transactions"}, "cases": [{"when": {"at_least": 2}, "points": 40}]}
READS = {
    "country": (banks.COUNTRY, set()),
    "cash": (banks.CASH, {"transactions"}),
    "watch": (banks.WATCH, {"tags"}),
    "screened": (banks.SCREENED, {"screenings"}),
    "confirmed": (banks.CONFIRMED, {"cases"}),
    "fading": (banks.FADING, {"alerts"}),
    "valued": ({"input": {"value": "score"}, "cases": [{"when": {"at_least": 4}, "points": 1}]}, {"values"}),
    "old": ({"input": {"indicator": "account_age"}, "cases": [{"when": {"below": 9}, "points": 1}]}, {"indicators"}),
}
INPUTS = ('{"field":"country"}', '{"value":"score"}', '{"tag":"watch"}')
PARTS = ("transactions", "tags", "screenings", "cases", "alerts", "values", "indicators")


@pytest.fixture
@filled_once
def bank(engine: Engine) -> Bank:
    """A customer with an account, and one fact of each kind about both."""
    made = Bank(engine)
    made.add_type("account", {"country": "country"}, {"operation": "text", "more": "text"})
    made.put("a", country="NO", income=1.5)
    made.put("x", ("customer", "a"), "account", country="KP")
    for number, (name, kind) in enumerate((("a", "customer"), ("x", "account"))):
        made.pay(number, name, kind)
        set_tag(Context(engine, made.actor).at(made.now), kind, name, f"tag of {name}")
        add_screening(Context(engine, made.actor).at(made.now), kind, name, f"screening of {name}", has_match=True)
        for record in ("case", "alert"):
            put_record(
                Context(engine, made.actor).at(made.now),
                kind,
                name,
                record,
                RecordGiven(external_id=name, opened_us=made.now),
            )  # type: ignore[arg-type]  # one of both
    return made


def read(bank: Bank, name: str, *rules: str) -> Portfolio:
    ruleset = analyse_text(banks.document({rule: READS[rule][0] for rule in rules}))
    with Session(bank.engine) as session:
        return read_stored_portfolio(session, bank.of, 1, [bank.id_of(name)], [ruleset], bank.now)


def frame(portfolio: Portfolio, part: str) -> pl.DataFrame:
    found = getattr(portfolio, part)
    assert isinstance(found, pl.DataFrame)
    return found


@pytest.mark.parametrize("rule", READS)
def test_what_a_ruleset_does_not_read_is_not_read(bank: Bank, rule: str) -> None:
    form, reads = READS[rule]
    assert parts_of(analyse_text(banks.document({rule: form}))) == reads
    portfolio = read(bank, "a", rule)
    assert {part for part in PARTS if getattr(portfolio, part) is not None} == reads


def test_facts_about_what_is_owned_count_for_the_owner_and_tags_and_screenings_do_not(bank: Bank) -> None:
    portfolio = read(bank, "a", "cash", "confirmed", "fading", "watch", "screened")
    entity = str(bank.id_of("a"))
    for part, count in (("transactions", 2), ("cases", 2), ("alerts", 2), ("tags", 1), ("screenings", 1)):
        assert frame(portfolio, part)["entity_id"].to_list() == [entity] * count, part
    assert frame(portfolio, "tags")["tag"].to_list() == ["tag of a"]
    assert portfolio.entities.rows(named=True)[0]["country"] == "NO"


@pytest.mark.postgresql
def test_as_of_a_moment_that_is_over_nothing_counts_that_became_known_after_it(bank: Bank) -> None:
    """A customer moved to Iran, got another value and a tag; a second one came; and nothing was there before."""
    score = {"currency": "EUR", "model": "m", "model_version": 1, "fingerprint": "f", "segment": "low"}

    def valued(score_of: float) -> None:
        with Session(bank.engine) as session, session.begin():
            session.add(ValueScore(entity_id=bank.id_of("a"), as_of_us=bank.now, score=score_of, **score))

    began = bank.now
    valued(2.0)
    bank.wait(10)
    then = bank.now
    bank.wait(10)
    bank.put("a", country="IR")
    bank.put("late", country="IR")
    set_tag(bank.context, "customer", "a", "watch")
    valued(4.5)

    def read_at(at_us: int, *, known_then: bool = True) -> list[Any]:
        ruleset = analyse_text(banks.document({rule: READS[rule][0] for rule in READS}))
        with Session(bank.engine) as session:
            of = (session, bank.of, 1, [bank.id_of("a"), bank.id_of("late")], [ruleset], at_us)
            portfolio = read_stored_portfolio(*of, known_then=known_then)
        return assess(ruleset, portfolio, at_us).inputs.select(*INPUTS).rows()

    assert read_at(then) == [("NO", 2.0, False)]
    assert read_at(bank.now) == [("IR", 4.5, True), ("IR", None, False)]
    assert read_at(then, known_then=False) == [("IR", 4.5, False), ("IR", None, False)], "as where it is the present"
    assert read_at(began - 1) == []


def test_a_screening_that_was_recorded_after_a_moment_was_not_known_then(bank: Bank) -> None:
    """Though it happened before it: as where the sources of an assessment are read."""
    bank.wait(10)
    then = bank.now
    bank.wait(10)
    add_screening(bank.context, "customer", "a", "later", has_match=True, at_us=then - 1)
    ruleset = analyse_text(banks.document({"screened": banks.SCREENED}))

    def names(at_us: int, *, known_then: bool) -> list[str]:
        with Session(bank.engine) as session:
            of = (session, bank.of, 1, [bank.id_of("a")], [ruleset], at_us)
            return frame(read_stored_portfolio(*of, known_then=known_then), "screenings")["screening"].to_list()

    assert names(then, known_then=True) == ["screening of a"]
    assert names(bank.now, known_then=True) == names(then, known_then=False) == ["screening of a", "later"]


def test_what_an_owner_has_does_not_count_for_what_it_owns(bank: Bank) -> None:
    ruleset = analyse_text(banks.document({"cash": banks.CASH}))
    with Session(bank.engine) as session:
        portfolio = read_stored_portfolio(session, bank.of, 2, [bank.id_of("x")], [ruleset], bank.now)
    assert frame(portfolio, "transactions")["transaction_id"].to_list() == ["t1"]


def test_two_who_are_read_together_keep_their_own(bank: Bank) -> None:
    """One of whom owns the other."""
    ruleset = analyse_text(banks.document({"cash": banks.CASH}))
    ids = [bank.id_of("a"), bank.id_of("x")]
    with Session(bank.engine) as session:
        portfolio = read_stored_portfolio(session, bank.of, 1, ids, [ruleset], bank.now)
    found = sorted(frame(portfolio, "transactions").select("entity_id", "transaction_id").rows())
    assert found == [(str(ids[0]), "t0"), (str(ids[0]), "t1"), (str(ids[1]), "t1")]


def test_a_field_that_what_is_owned_means_otherwise_is_left_out(engine: Engine) -> None:
    """It fails nobody: neither the owner, nor whom it is read together with."""
    bank = Bank(engine)
    bank.add_type("account", {}, {"operation": ["text"]})
    bank.activate(banks.document({"counted": COUNTED, "cash": banks.CASH}))
    bank.put("a")
    bank.put("b")
    bank.put("x", ("customer", "a"), "account")
    bank.pay(1, "x", "account", operation=["cash", "card"])
    bank.pay(2, "a")
    bank.pay(3, "b")
    bank.settle()
    assert bank.assessments("a")[-1].score == "80"  # two of them, and the cash of one
    assert bank.assessments("b")[-1].score == "40"


KINDS: dict[str, Any] = {"said": "text", "much": "number", "yes": "flag", "at": "date", "many": ("text",)}
SAID = st.fixed_dictionaries(
    {},
    optional={
        "said": st.none() | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=5),
        "much": st.none() | st.floats(allow_nan=False, allow_infinity=False),
        "yes": st.none() | st.booleans(),
        "at": st.none() | st.sampled_from(["2026-01-01", "2026-01-01T10:00:00Z"]),
        "many": st.none() | st.lists(st.sampled_from(["a", 'b"', ""]), max_size=3),
        "other": st.integers(),
    },
)


@given(st.lists(SAID, min_size=1, max_size=5), st.booleans())
def test_own_fields_are_read_as_they_were_said(rows: list[dict[str, Any]], mixed: bool) -> None:
    """All at once, and one by one, where some of them may say something that is not of its kind."""
    content = [None if not row else json.dumps(row) for row in rows]
    strange = [
        {"many": "one", "said": 5, "much": True, "yes": 1},
        {"said": ["x"], "much": "1", "yes": "x", "at": 5},
    ]
    texts = content + [json.dumps(one) for one in strange * mixed]
    found = _own_fields(pl.Series("content", texts, pl.String), KINDS, mixed=mixed)
    assert [column.name for column in found] == list(KINDS)
    for column in found:
        assert column.to_list()[: len(rows)] == [row.get(column.name) for row in rows]
        assert column.to_list()[len(rows) :] == [None, None] * mixed


def test_what_somebody_else_owns_changes_nothing_about_who_is_assessed_with_them(bank: Bank) -> None:
    """A name that means three things for three types: together they come to what each comes to alone."""
    for kind, form in (("number-account", "number"), ("list-account", ["text"])):
        bank.add_type(kind, {}, {"operation": form})
    for number, (name, kind, said) in enumerate(
        (("e", "number-account", 5), ("f", "list-account", ["5"]), ("g", "number-account", 5), ("h", "customer", "5"))
    ):
        bank.put(name)
        bank.put(f"{name}-x", ("customer", name), kind)
        bank.pay(100 + number, f"{name}-x", kind, operation=said)
    equals = {"input": {"count": "transactions", "where": {"field": "operation", "equals": "5"}}}
    bank.activate(banks.document({"said": {**equals, "cases": [{"when": {"at_least": 1}, "points": 70}]}}))
    bank.settle()
    together = {name: bank.level(name) for name in "efgh"}
    for name in "efgh":
        bank.mark(name)
        bank.settle()
    assert {name: bank.level(name) for name in "efgh"} == together == {"e": 1, "f": 1, "g": 1, "h": 3}


def test_a_transaction_without_a_balance_hides_what_reads_balances_and_nothing_else(bank: Bank) -> None:
    whole = {"user_balance": 5.0, "user_created": "2025-01-01", "user_category": "WEB"}
    bank.put("b")
    bank.pay(7, "b", **whole)
    bank.pay(8, "b", transaction_state="PENDING", **whole)
    ids = [bank.id_of("a"), bank.id_of("b")]
    with Session(bank.engine) as session:
        whose = pl.DataFrame({"fact_of": ids, "entity": ids})
        histories = stored_histories(
            read_transactions(session, whose, bank.now, for_value=True),
            ecb_rates("EUR", from_microseconds(bank.now).date()),
        )
    assert sorted(histories.user_ids.to_pylist()) == sorted(map(str, ids))
    told = indicator_frame(histories, bank.now).sort("entity_id", descending=bank.id_of("a") > bank.id_of("b"))
    assert told["deposit_count_90d"].null_count() == 0
    assert told["balance_last"].to_list() == [None, 5.0]
    assert told["account_age"].is_null().to_list() == told["channel_web"].is_null().to_list() == [True, False]
