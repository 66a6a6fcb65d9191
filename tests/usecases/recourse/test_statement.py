"""A statement: which data, the effect of each, and nothing that a person could subtract what is hidden from."""

import json
from dataclasses import asdict, replace
from itertools import product
from typing import Any

import pytest
from sqlalchemy import Engine, select, update
from sqlalchemy.orm import Session

from fivefold.console.recourse import pdf
from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import ConflictError, NotFoundError
from fivefold.store.tables.audit import AuditEntry
from fivefold.store.tables.levels import AssessmentInputs
from fivefold.usecases.ingest.facts import add_screening, set_tag
from fivefold.usecases.recourse.statement import Statement, give_statement
from fivefold.usecases.shared.context import Context
from tests.store.audits import forged
from tests.store.filling import filled_once
from tests.usecases import banks
from tests.usecases.at_once import put_list_version
from tests.usecases.banks import Bank
from tests.usecases.changes.facts.fact_stories import decided

INCOME = {**banks.INCOME, "changeable": "down"}
SECRET = {
    "input": {"field": "country"},
    "disclosable": False,
    "cases": [{"when": {"equals": "AQ"}, "points": 33}, {"when": {"equals": "NO"}, "points": 29, "floor": "high"}],
}


@pytest.fixture
@filled_once
def bank(engine: Engine) -> Bank:
    return Bank(engine)


def stated(bank: Bank, name: str = "a") -> Statement:
    return give_statement(bank.context, f"{bank.id_of(name)}.{bank.standing(name).number}", "json")


def factors(statement: Statement) -> dict[str, tuple[Any, ...]]:
    return {one.title: (one.effect, one.points, one.at_least) for one in statement.factors}


def test_where_everything_may_be_shown_the_effects_add_up(bank: Bank) -> None:
    bank.activate(banks.document({"country": banks.COUNTRY, "income": INCOME, "cash": banks.CASH}))
    bank.put("a", country="NO", income=1234.5)
    bank.settle()
    found = stated(bank)
    assert (found.level, found.total) == ("medium", "45")
    assert factors(found) == {
        "Country": ("raises the risk", "5", None),
        "Income": ("raises the risk", "40", None),
        "Cash": ("has no effect", "0", None),
    }
    income = found.factors[1]
    assert [(one.name, one.value) for one in income.data] == [("income", "1,234.5")]
    (variation,) = income.variations
    assert (variation.value, variation.effect, variation.points, variation.level) == (
        "below 100",
        "has no effect",
        "0",
        "low",
    )
    bank.put("a", country="NO", income=99)  # what was said of another value is so
    bank.settle()
    assert stated(bank).total == "5"


FLOORED = {"input": {"field": "country"}, "cases": [{"when": {"equals": "KP"}, "points": 10, "floor": "high"}]}


CASH_IN = {"sum": "amount", "over": "180 days", "where": {"field": "direction", "equals": "deposit"}}
CASH_SHARE = {
    "input": {
        "ratio": [
            {**CASH_IN, "where": {"all": [CASH_IN["where"], {"field": "operation", "equals": "cash"}]}},
            CASH_IN,
        ]
    },
    "cases": [{"when": {"at_least": 0.2}, "points": 40}],
}
HOT_PAYMENTS = {"count": "transactions", "where": {"field": "operation", "in_list": "hot"}}
HOT = {"cases": [{"when": {**HOT_PAYMENTS, "at_least": 1}, "points": 20}]}


def test_a_person_reads_names_and_values_in_words_and_what_would_have_changed_the_effect(bank: Bank) -> None:
    """The list goes by the title of the version that was used, so that the same record gives the same bytes."""
    put_list_version(bank.context, "hot", 0, ["wire"], "Operations to watch", "ours")
    bank.activate(banks.document({"share": CASH_SHARE, "income": INCOME, "hot": HOT}))
    bank.put("a")
    bank.pay(3)
    bank.settle()
    found = stated(bank)
    share, income, hot = found.factors
    assert [(one.name, one.value) for one in share.data] == [
        ("cash among what you paid in, in the last 180 days", "100 %")
    ]
    assert [(one.name, one.value, one.effect) for one in share.variations] == [
        ("cash among what you paid in, in the last 180 days", "below 20 %", "has no effect")
    ]
    assert [(one.name, one.value) for one in income.data] == [("income", "not known")]
    assert [(one.name, one.value) for one in hot.data] == [
        ("your payments with operation on the list 'Operations to watch'", "none")
    ]
    assert pdf._variation(share.variations[0]) == (
        "If it had been below 20 %, this would have no effect (0 points); together Low."
    )
    put_list_version(bank.context, "hot", bank.now + DAY_US, ["wire"], "Another title", "ours")
    assert replace(stated(bank), assessment="") == replace(found, assessment="")


def test_a_floor_that_holds_from_before_is_in_the_level_and_said(bank: Bank) -> None:
    """The country is unknown now: the level still has its floor, and so has what another income would have given."""
    decided(bank, bank.activate(banks.document({"country": FLOORED, "income": INCOME})))
    bank.put("a", country="KP", income=5.0)
    bank.settle()
    assert (stated(bank).level, stated(bank).held_floor) == ("high", None)
    bank.put("a", country=None)
    bank.settle()
    found = stated(bank)
    assert (bank.standing("a").rules_level, found.level, found.total, found.held_floor) == (3, "high", "0", "high")
    assert [one.level for one in found.factors[1].variations] == ["high"]
    assert list(pdf._together(found)) == [
        "Together: 0 points, High.",
        "At least High: earlier data about you required it, and it is not known whether they still do.",
    ]
    bank.wait(days=11)
    bank.mark("a")
    bank.settle()
    assert (stated(bank).level, stated(bank).held_floor) == ("low", None)


def tagged_or_not(bank: Bank, income: float) -> None:
    """Assess two people who differ in a tag alone: its rule gives *a* a high floor, and no statement shows it."""
    for name in "ab":
        bank.put(name, income=income)
    set_tag(Context(bank.engine, bank.actor).at(bank.now), "customer", "a", "watch")
    bank.settle()
    assert (bank.level("a"), bank.level("b")) == (3, 1)


def shared(bank: Bank) -> Statement:
    """Give the statement of both: the floor that holds for one of them shows in no byte."""
    assert (bank.level("a"), bank.level("b")) == (3, 1)
    one, other = (replace(stated(bank, name), assessment="", external_id="") for name in "ab")
    assert json.dumps(asdict(one)) == json.dumps(asdict(other))
    return one


def test_a_floor_of_a_hidden_rule_that_the_version_does_not_have_any_more_changes_no_byte(bank: Bank) -> None:
    decided(bank, bank.activate(banks.document({"country": FLOORED, "income": INCOME, "watch": banks.WATCH})))
    tagged_or_not(bank, 5.0)
    decided(bank, bank.activate(banks.document({"country": FLOORED, "income": INCOME})))
    for name in "ab":
        bank.mark(name)
    bank.settle()
    found = shared(bank)
    assert (found.level, found.total, found.held_floor) == (None, "0", None)
    assert [one.level for one in found.factors[1].variations] == [None]
    assert [one.level for one in found.factors[0].variations] == ["low"], "a country that is known leaves no room"
    for name in "ab":  # everything is known: no floor can hold from before
        bank.put(name, country="SE")
    bank.wait(days=11)
    bank.settle()
    found = stated(bank, "a")
    assert (found.level, found.held_floor) == ("low", None)
    assert [one.level for one in found.factors[1].variations] == ["medium"]


def test_a_floor_of_a_hidden_rule_of_another_ruleset_changes_no_byte(bank: Bank) -> None:
    special = {"name": "special", "applies_to": {"field": "income", "at_least": 100}}
    decided(bank, bank.activate(banks.document({"watch": banks.WATCH, "country": FLOORED}, **special), 1))
    decided(bank, bank.activate(banks.document({"country": FLOORED}), 2))
    tagged_or_not(bank, 500.0)
    for name in "ab":
        bank.put(name, income=5.0)
    bank.settle()
    assert (shared(bank).level, shared(bank).held_floor) == (None, None)


def test_what_is_hidden_changes_no_byte(bank: Bank) -> None:
    """A person who compares, adds or subtracts finds nothing: of all that was found of people, nothing shows."""
    rules = {"income": INCOME, "watch": banks.WATCH, "screened": banks.SCREENED, "secret": SECRET}
    bank.activate(banks.document(rules))
    people = list(product(("AQ", "NO", "SE", None), (False, True), (None, False, True)))
    for number, (country, tagged, hit) in enumerate(people):
        name = f"p{number}"
        bank.put(name, country=country, income=1234.5)
        if tagged:
            set_tag(Context(bank.engine, bank.actor).at(bank.now), "customer", name, "watch")
        if hit is not None:
            add_screening(
                Context(bank.engine, bank.actor).at(bank.now),
                "customer",
                name,
                "sanctions",
                has_match=hit,
                at_us=bank.now,
            )
    bank.settle()
    levels = {bank.standing(f"p{number}").level for number in range(len(people))}
    assert len(levels) > 1
    same = {
        json.dumps(asdict(replace(stated(bank, f"p{number}"), assessment="", external_id="")))
        for number in range(len(people))
    }
    assert len(same) == 1
    (text,) = same
    assert not any(
        word in text for word in ("AQ", "33", "29", "high", "watch", "Watch", "sanctions", "Secret", "Screened")
    )
    found = stated(bank, "p0")
    assert (found.level, found.total) == (None, None)
    assert factors(found) == {"Income": ("raises the risk", None, None)}
    assert [(one.value, one.points, one.level) for one in found.factors[0].variations] == [("below 100", None, None)]


def test_a_hidden_rule_about_the_same_data_names_nothing_of_it(bank: Bank) -> None:
    shown = {"input": {"field": "country"}, "cases": [{"when": {"equals": "NO"}, "points": 20}]}
    bank.activate(banks.document({"shown": shown, "secret": SECRET}))
    bank.put("a", country="NO")
    bank.settle()
    assert "AQ" not in json.dumps(asdict(stated(bank)))


def test_of_values_that_are_compared_with_each_other_no_other_is_stated(bank: Bank) -> None:
    turned = {"sum": "amount", "over": "180 days"}
    compared = {"input": turned, "cases": [{"when": {"at_least": {"max": "amount", "over": "180 days"}}, "points": 40}]}
    bank.activate(banks.document({"turnover": compared}))
    bank.put("a", income=10.0)
    bank.pay(1)
    bank.settle()
    (factor,) = stated(bank).factors
    assert (factor.effect, len(factor.data), factor.variations) == ("raises the risk", 2, ())


def activate_weighted(bank: Bank, **weights: int) -> None:
    """Let a ruleset decide that weighs the country and the income by these percentages."""
    rules = {
        "country": {**banks.COUNTRY, "cases": [{"when": {"equals": "NO"}, "points": 50}], "otherwise": {"points": 1}},
        "income": {**banks.INCOME, "cases": [{"when": {"at_least": 100}, "points": 40}], "otherwise": {"points": 1}},
    }
    score = {"weighted": {"bands": [31, 61], "weights": {"all": weights}, "weights_by": [{"use": "all"}]}}
    bank.activate(banks.document(rules, score=score))


def test_of_a_weighted_score_more_than_the_least_raises(bank: Bank) -> None:
    activate_weighted(bank, country=40, income=60)
    bank.put("a", country="SE", income=1234.5)
    bank.settle()
    assert factors(stated(bank)) == {
        "Country": ("has no effect", "0.4", None),
        "Income": ("raises the risk", "24", None),
    }


def test_a_factor_without_a_weight_has_no_effect_and_no_other_value_gives_it_one(bank: Bank) -> None:
    activate_weighted(bank, country=100, income=0)
    bank.put("a", country="NO", income=1234.5)
    bank.settle()
    statement = stated(bank)
    assert factors(statement) == {
        "Country": ("raises the risk", "50", None),
        "Income": ("has no effect", "0", None),
    }
    assert statement.factors[1].variations == ()


def test_where_the_weights_could_not_be_chosen_the_effect_of_each_factor_is_not_known(bank: Bank) -> None:
    rules = {
        "country": {**banks.COUNTRY, "cases": [{"when": {"equals": "NO"}, "points": 50}], "otherwise": {"points": 1}}
    }
    chosen = [{"when": {"field": "income", "at_least": 100}, "use": "all"}]
    score = {"weighted": {"bands": [31, 61], "weights": {"all": {"country": 100}}, "weights_by": chosen}}
    bank.activate(banks.document(rules, score=score))
    bank.put("a", country="NO", income=10.0)
    bank.settle()
    statement = stated(bank)
    assert (statement.level, statement.total) == (None, None)
    assert factors(statement) == {"Country": ("not known", "0", None)}
    assert statement.factors[0].variations == ()


def test_what_could_not_be_computed_is_not_known_to_the_person(bank: Bank) -> None:
    bank.activate(banks.document({"cash": banks.CASH}))
    bank.put("a")
    bank.pay(1, transaction_currency="KWD")
    bank.settle()
    (factor,) = stated(bank).factors
    assert factor.effect == "not known"
    assert {one.value for one in factor.data} == {"not known"}


def test_that_it_was_given_is_recorded_with_its_hash(bank: Bank) -> None:
    bank.activate(banks.document({"income": INCOME}))
    bank.put("a")
    bank.settle()
    found = stated(bank)
    assert factors(found) == {"Income": ("not known", "0", None)}
    with Session(bank.engine) as session:
        entry = session.scalars(select(AuditEntry).order_by(AuditEntry.number.desc()).limit(1)).one()
        assert (entry.action, entry.actor) == ("statement.given", bank.actor.name)
        details = entry.details if isinstance(entry.details, dict) else json.loads(entry.details)
        assert details == {"assessment": found.assessment, "form": "json", "sha256": found.sha256}
    assert replace(found, total="1").sha256 != found.sha256


def test_nothing_is_stated_of_what_is_gone_or_was_never_there(bank: Bank) -> None:
    bank.put("a", income=1.0)
    bank.settle()
    with pytest.raises(ConflictError):
        stated(bank)  # no ruleset took part
    with pytest.raises(NotFoundError):
        give_statement(bank.context, "9.9", "json")
    bank.activate(banks.document({"income": INCOME}))
    bank.mark("a")
    bank.settle()
    with forged(bank.engine) as connection:
        connection.execute(update(AssessmentInputs).values(content=None))
    with pytest.raises(ConflictError):
        stated(bank)
