"""What an investigator sees of an assessment, with the names of those linked."""

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.domain.errors import NotFoundError
from fivefold.serving.v1.permissions import ROUTES
from fivefold.store.tables.entities import Entity
from fivefold.store.tables.levels import Assessment, AssessmentInputs
from fivefold.usecases.accounts.entity_types import define_type
from fivefold.usecases.erasure.erase import erase_entity
from fivefold.usecases.ingest.facts import set_tag
from fivefold.usecases.ingest.links import LinkRow, put_links
from fivefold.usecases.levels.explain import FiredRule, Reasons, ValueSeen, fired_rows, read_reasons
from fivefold.usecases.levels.read import level_history
from fivefold.usecases.levels.replay import replay_assessment
from fivefold.usecases.portfolio.differences import compare_assessments
from fivefold.usecases.rulesets.example_customer import try_text
from fivefold.usecases.shared.context import Context
from tests.store.filling import filled_once
from tests.usecases import banks
from tests.usecases.banks import Bank
from tests.usecases.levels.groups.linking import CASH, FRAUD, document, linked_bank, put

Rules = dict[str, dict[str, Any]]


@pytest.fixture
@filled_once
def bank(engine: Engine) -> Bank:
    return Bank(engine)


def reasons(bank: Bank, rules: Rules, **attributes: Any) -> Reasons:
    """Let rules decide about a customer, and see why."""
    bank.activate(banks.document(rules, applies_to={"not": {"tag": "sekret", "is": "present"}}))
    bank.put("a", **attributes)
    return latest(bank)


def latest(bank: Bank) -> Reasons:
    bank.settle()
    found = read_reasons(bank.context, f"{bank.id_of('a')}.{bank.standing().number}")
    assert found is not None
    return found


def rule(input: dict[str, Any] | None, *cases: dict[str, Any], **more: Any) -> dict[str, Any]:  # noqa: A002 (as rulesets have it)
    return {**({} if input is None else {"input": input}), "cases": list(cases), **more}


def test_the_case_that_held_is_told_with_what_it_looked_at(bank: Bank) -> None:
    found = reasons(bank, {"country": banks.COUNTRY, "income": banks.INCOME}, country="IR", income=1234.5)
    assert found == Reasons(
        "Score 110: Country 70 + Income 40; High",
        "110",
        (
            FiredRule(
                title="Country",
                rationale="Because.",
                case=None,
                values=(ValueSeen("country", "IR"),),
                points="70",
                floor=None,
            ),
            FiredRule(
                title="Income",
                rationale="Because.",
                case=None,
                values=(ValueSeen("income", "1,234.5"),),
                points="40",
                floor=None,
            ),
        ),
    )


def test_the_table_of_a_command_has_points_as_they_are_added() -> None:
    """As `fivefold rules assess --explain` writes them."""
    given = [
        ("a", 1, "12.5", ""),
        ("b", "otherwise", "-5", ""),
        ("c", "unknown", "0", "high"),
        ("d", "otherwise", "0", ""),
    ]
    rules = [
        {"title": name, "case": case, "seen": "", "points": points, "floor": floor}
        for name, case, points, floor in given
    ]
    rows = [(title, points, floor) for title, _, _, points, floor in fired_rows({"rules": rules})]
    assert rows == [("a", "+12.5", ""), ("b", "−5", ""), ("c", "0", "high")]


def test_rules_that_gave_nothing_are_not_told(bank: Bank) -> None:
    found = reasons(bank, {"country": banks.COUNTRY, "income": banks.INCOME}, country="SE", income=1)
    assert found.rules == ()
    assert found.score == "0"


def test_a_case_has_its_own_title_and_another_ones_inputs_are_not_told(bank: Bank) -> None:
    cases = (
        {"when": {"field": "occupation", "equals": "sekret"}, "points": 90},
        {"when": {"all": [{"at_least": 100}, {"field": "pep", "equals": True}]}, "points": 5, "title": "An earner"},
        {"when": {"field": "opened_on", "at_least": "2020-01-01"}, "points": 7},
    )
    attributes = {"income": 100, "pep": True, "occupation": "baker", "opened_on": "2021-01-01"}
    (fired,) = reasons(bank, {"mixed": rule({"field": "income"}, *cases)}, **attributes).rules
    assert (fired.case, fired.points) == ("An earner", "5")
    assert fired.values == (ValueSeen("income", "100"), ValueSeen("pep", "true"))


def test_a_result_that_is_rounded_is_told_as_its_formula_has_it(bank: Bank) -> None:
    half = {"unit": "money", "round": {"multiply": [{"field": "income", "as": "money"}, 0.333]}, "decimals": 3}
    rules: Rules = {"half": rule({"calculation": "half"}, {"when": "present", "points": 3})}
    bank.activate(banks.document(rules, calculate={"half": half}))
    bank.put("a", income=12.5)
    (value,) = latest(bank).rules[0].values
    assert value == ValueSeen("half", "4.1620 EUR", "(income 12.50 EUR × 0.333) rounded to 3 decimals = 4.1620 EUR")


def test_conditions_in_an_input_are_not_told(bank: Bank) -> None:
    bank.put("a", country="NO")
    bank.pay(1)
    ratio = {"ratio": [banks.CASH["input"], {"field": "income"}]}
    rules: Rules = {"cash": banks.CASH, "share": rule(ratio, {"when": {"at_least": 0.5}, "points": 3})}
    found = reasons(bank, rules, income=1000)
    told = [value for fired in found.rules for value in fired.values]
    name = "sum of amount in 180 days, of what the rule counts"
    formula = f"{name} 2,000.00 EUR ÷ income 1,000 = 2"
    assert told == [ValueSeen(name, "2,000.00 EUR"), ValueSeen(f"{name} over income", "2", formula)]
    assert "operation" not in repr(found)


def test_both_sides_of_a_ratio_are_told_apart_without_the_conditions_in_them(bank: Bank) -> None:
    bank.put("a", country="NO")
    bank.pay(1)
    bank.pay(2, operation="transfer", transaction_amount=6000.0)
    paid = {**banks.CASH["input"], "where": {"field": "direction", "equals": "deposit"}}
    share = rule({"ratio": [banks.CASH["input"], paid]}, {"when": {"above": 0.1}, "points": 3})
    (told,) = reasons(bank, {"share": share}).rules[0].values
    sides = "sum of amount in 180 days, of what the rule counts", "the same, of what it is compared with"
    assert told.name == " over ".join(sides)
    assert told.formula == f"{sides[0]} 2,000.00 EUR ÷ {sides[1]} 8,000.00 EUR = 0.25"


def test_a_floor_is_told_and_what_was_unknown_too(bank: Bank) -> None:
    with_floor = rule({"field": "pep"}, {"when": {"equals": True}, "floor": "high"})
    otherwise = rule({"field": "income"}, {"when": {"above": 77001}, "points": 9}, otherwise={"points": 2})
    found = reasons(bank, {"pep": with_floor, "screened": banks.SCREENED, "otherwise": otherwise}, pep=True, income=5)
    assert [(fired.title, fired.points, fired.floor, fired.values) for fired in found.rules] == [
        ("Pep", "0", "high", (ValueSeen("pep", "true"),)),
        ("Screened", "35", None, ()),
        ("Otherwise", "2", None, (ValueSeen("income", "5"),)),
    ]
    assert [fired.title for fired in found.rules if fired.unknown] == ["Screened"]
    assert "Screened (not known) 35 + Otherwise 2" in found.line
    assert "77001" not in repr(found)


def test_points_of_all_that_is_told_add_up_to_the_score(bank: Bank) -> None:
    rules: Rules = {"country": banks.COUNTRY, "screened": banks.SCREENED, "fading": banks.FADING}
    found = reasons(bank, rules, country="NO")
    assert sum(float(fired.points) for fired in found.rules) == float(found.score) == 40


def test_whom_nothing_applies_to_learns_nothing_of_the_predicate(bank: Bank) -> None:
    reasons(bank, {"country": banks.COUNTRY}, country="NO")
    applies = {"field": "occupation", "equals": "sekret"}
    bank.activate(banks.document({"country": banks.COUNTRY}, applies_to=applies))
    bank.mark("a")
    bank.settle()
    assert "occupation" in bank.breakdown(), "the engine's words would tell"
    found = latest(bank)
    assert found.line.endswith("it is unknown whether the ruleset applies: nothing lowers the level, so Low stays")
    assert "occupation" not in str(found)
    bank.put("a", occupation="clerk")
    bank.settle()
    assert latest(bank) == Reasons("No ruleset applies, so there is no level", "", ())
    bank.override("a", 3)
    bank.settle()
    line = "No ruleset applies; High by an override, no level without it"
    assert latest(bank) == Reasons(line, "", ()), "the level that there is has its reason"


def test_without_a_ruleset_that_is_said(bank: Bank) -> None:
    bank.put("a")
    assert latest(bank) == Reasons("No ruleset is active for this type, so there is no level", "", ())


def test_what_was_erased_is_not_told(bank: Bank) -> None:
    reasons(bank, {"country": banks.COUNTRY}, country="IR")
    key = (bank.id_of("a"), 1)
    with Session(bank.engine) as session, session.begin():
        session.get_one(Entity, key[0]).erased_us = bank.now  # the guards of history ask for it
        session.flush()
        inputs = session.get_one(AssessmentInputs, key)
        inputs.content = inputs.salt = None
        session.get_one(Assessment, key).breakdown = None
    assert read_reasons(bank.context, f"{key[0]}.1") is None


def test_a_past_assessment_has_the_reasons_of_then(bank: Bank) -> None:
    reasons(bank, {"country": banks.COUNTRY}, country="NO")
    bank.activate(banks.document({"country": rule({"field": "country"}, {"when": "present", "points": 1})}))
    bank.put("a", country="RU")
    bank.settle()
    told = [
        [(fired.points, fired.values[0].value) for fired in found.rules]
        for line in level_history(bank.context, "customer", "a")
        if (found := read_reasons(bank.context, line.assessment))
    ]
    assert told == [[("1", "RU")], [("5", "NO")]]


def test_another_organisations_assessments_are_not_there(bank: Bank) -> None:
    reasons(bank, {"country": banks.COUNTRY}, country="NO")
    other = Bank(bank.engine, "other")
    for name in (f"{bank.id_of('a')}.1", "999.1"):
        with pytest.raises(NotFoundError, match=f"^there is no assessment '{name}'$"):
            read_reasons(Context(bank.engine, other.actor), name)


def test_moments_tags_and_counts_are_told_in_words(bank: Bank) -> None:
    bank.put("a", opened_on="2020-02-03", occupation="baker")
    bank.mark("a")
    rules: Rules = {
        "opened": rule({"field": "opened_on"}, {"when": {"below": "2021-01-01"}, "points": 1}),
        "tagged": rule(None, {"when": {"not": {"tag": "vip", "is": "present"}}, "points": 1}),
        "alerts": rule({"count": "alerts"}, {"when": {"at_most": 3}, "points": 1}),
        "words": rule({"field": "occupation"}, {"when": {"in": ["baker", "sekret"]}, "points": 1}),
    }
    found = reasons(bank, rules)
    assert [value for fired in found.rules for value in fired.values] == [
        ValueSeen("opened on", "2020-02-03"),
        ValueSeen("tag vip", "absent"),
        ValueSeen("alerts", "0"),
        ValueSeen("occupation", "baker"),
    ]
    assert "sekret" not in json.dumps([fired.points for fired in found.rules])


HOUSEHOLD = {
    "input": {"linked": {"by": "household", "count": "entities"}},
    "cases": [{"when": {"at_least": 1}, "points": 35}],
}


@pytest.fixture
@filled_once
def household(engine: Engine) -> Bank:
    """A household of four: one with a whole name, one with its parts, one with a name that is no text, one without."""
    made = Bank(engine)
    fields = {"full_name": "text", "first_name": "text", "last_name": "text", "name_days": "number"}
    define_type(made.context, "customer", fields, links={"household": "shared"})
    made.put("a", full_name="Anna Berg")
    made.put("b", first_name="Bo", last_name=" Holm ")
    made.put("c", name_days=3)
    made.put("d")
    put_links(made.context, "customer", [LinkRow(name, "household", "H1") for name in "abcd"])
    made.activate(banks.document({"home": HOUSEHOLD}, links={"household": {"kind": "shared"}}))
    made.settle()
    return made


def seen(household: Bank, name: str, number: int = 1) -> str:
    reasons = read_reasons(household.context, f"{household.id_of(name)}.{number}")
    assert reasons is not None
    return reasons.rules[0].values[0].value


@pytest.mark.postgresql
def test_reasons_name_those_linked_and_what_is_stored_has_their_numbers(household: Bank) -> None:
    assert seen(household, "a") == "3, through household H1: Bo Holm (b), c, d"
    assert seen(household, "d") == "3, through household H1: Anna Berg (a), Bo Holm (b), c"
    numbers = ", ".join(str(household.id_of(name)) for name in "bcd")
    assert f"through household H1: {numbers}" in household.breakdown("a")
    assert replay_assessment(household.context, f"{household.id_of('a')}.1").same


def test_reasons_name_those_linked_who_count(household: Bank) -> None:
    group = {"by": "household", "count": "entities", "where": {"tag": "fraud", "is": "present"}}
    fraud = {"input": {"linked": group}, "cases": [{"when": {"at_least": 1}, "points": 35}]}
    household.activate(banks.document({"fraud": fraud}, links={"household": {"kind": "shared"}}))
    set_tag(household.context, "customer", "b", "fraud")
    household.settle()
    assert seen(household, "a", 2) == "1, through household H1: Bo Holm (b), c, d; those who count: Bo Holm (b)"


def test_a_name_that_changed_is_no_difference_between_two_assessments(household: Bank) -> None:
    household.wait(1)
    put_links(household.context, "customer", [LinkRow("d", "household", "H1", None, household.now)])
    household.settle()
    household.put("b", first_name="Bodil", last_name="Holm")
    assert seen(household, "a", 2) == "2, through household H1: Bodil Holm (b), c"
    found = compare_assessments(household.context, f"{household.id_of('a')}.2")
    assert found.factors is not None
    (change,) = found.factors
    assert [each.values[0].value.partition(": ")[2] for each in (change.earlier, change.later) if each] == [
        "Bodil Holm (b), c, d",
        "Bodil Holm (b), c",
    ]


def test_who_was_erased_has_a_number_alone(household: Bank, tmp_path: Path) -> None:
    number = household.id_of("b")
    household.wait(2000)
    erase_entity(household.context, "customer", "b", tmp_path / "register")
    assert seen(household, "a") == f"3, through household H1: {number}, c, d"


def test_whoever_reads_reasons_reads_the_entities_too() -> None:
    allowed = {(route.method, route.path): route.roles for route in ROUTES}
    of_entity = allowed["GET", "/v1/entities/{type}/{external_id}"]
    for path in ("/v1/assessments/{assessment}", "/v1/assessments/{assessment}/difference"):
        assert allowed["GET", path] <= of_entity


def test_a_ruleset_that_is_tried_names_those_linked(engine: Engine) -> None:
    bank = linked_bank(engine)
    define_type(bank.context, "customer", {"full_name": "text"})
    bank.put("b", full_name="Bo Holm")
    put(bank, ("a", "household", "H1"), ("b", "household", "H1"))
    set_tag(bank.context, "customer", "b", "fraud")
    bank.activate(document(fraud=FRAUD))
    tried = try_text(bank.context, "retail", "a", document(fraud=FRAUD, cash=CASH))
    sentences = [side.sentence for factor in tried.factors for side in (factor.active, factor.tried) if side]
    assert len(sentences) == 2
    assert all("through household H1: Bo Holm (b)" in each for each in sentences)
