"""Decisions by those whom a customer is linked to: what is unknown of them is never good news, and nothing is lost."""

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from fivefold.domain.errors import InvalidRulesetError
from fivefold.usecases.accounts.entity_types import define_type
from fivefold.usecases.decisions.policies import check_policy, propose_policy
from fivefold.usecases.decisions.read import replay_decision, view_decision, whole_answer
from fivefold.usecases.erasure.erase import erase_entity
from fivefold.usecases.ingest.facts import set_tag
from fivefold.usecases.ingest.links import LinkRow, put_links
from fivefold.usecases.shared.context import Context
from tests.usecases import platforms
from tests.usecases.decisions.deciding import Data, Desk, cash, document, opened

LINKS: Data = {"household": {"kind": "shared"}}
FRAUD: Data = {
    "id": "fraud",
    "when": {"linked": {"by": "household", "any": {"tag": "fraud", "is": "present"}}, "equals": True},
    "action": "block",
    "on_unknown": "review",
}
DAY: Data = {"linked": {"by": "household", "itself": True, "sum": {"sum": "amount", "over": "30 days"}}}
TOGETHER: Data = {
    "id": "together",
    "when": {"calculation": "with_this_one", "above": 5000},
    "action": "note",
}
CALCULATE: Data = {"with_this_one": {"unit": "money", "add": [DAY, {"transaction": "amount"}]}}


@pytest.fixture
def desk(engine: Engine) -> Desk:
    """`ada` and `bo` live together, `cy` with nobody, and of `di` nothing is on record."""
    made = opened(engine)
    define_type(made.bank.context, "customer", {"full_name": "text"}, links={"household": "shared"})
    made.bank.put("di", country="NO")
    made.bank.put("bo", country="NO", full_name="Bo Holm")
    link(made, ("ada", "household", "H1"), ("bo", "household", "H1"), ("cy", "household"))
    made.bank.settle()
    return made


def link(desk: Desk, *rows: tuple[Any, ...]) -> None:
    put_links(desk.bank.context, "customer", [LinkRow(*row) for row in rows])


def actions(desk: Desk) -> dict[str, str]:
    return {name: desk.decide(name).action for name in ("ada", "bo", "cy", "di")}


@pytest.mark.postgresql
def test_what_is_known_of_others_decides_and_what_is_not_known_is_never_let_through(desk: Desk) -> None:
    desk.publish(FRAUD, links=LINKS)
    assert actions(desk) == {"ada": "allow", "bo": "allow", "cy": "allow", "di": "review"}
    set_tag(desk.bank.context, "customer", "bo", "fraud")
    assert actions(desk) == {"ada": "block", "bo": "allow", "cy": "allow", "di": "review"}
    desk.bank.wait(1)
    link(desk, ("bo", "household", "H1", None, desk.bank.now))
    assert actions(desk)["ada"] == "allow", "nobody waits for a worker"


def test_payments_of_the_household_count_and_the_one_at_hand_is_added_once(desk: Desk) -> None:
    desk.publish(TOGETHER, links=LINKS, calculate=CALCULATE)
    desk.bank.pay(1, "bo")
    desk.bank.pay(2, "ada")
    small, large = cash(-1000.0), cash(-3000.0)
    assert [desk.decide("ada", given).action for given in (small, large)] == ["allow", "note"]
    assert desk.decide("cy", large).action == "allow"
    seen = view_decision(desk.bank.context, desk.decide("ada", large).number)
    assert seen is not None
    assert "7,000.00 EUR" in seen.rules[0].values[0].value


@pytest.mark.postgresql
@pytest.mark.parametrize("kind", ["customer", "account"])
def test_a_transaction_that_is_stored_already_is_added_once_too(desk: Desk, kind: str) -> None:
    """An app may store a payment before it asks, as one of the customer or of an account of the customer."""
    desk.publish(TOGETHER, links=LINKS, calculate=CALCULATE)
    desk.bank.pay(2, "ada")
    if kind == "account":
        desk.bank.add_type("account", {}, platforms.TRANSACTION_FIELDS)
        desk.bank.put("A1", ("customer", "ada"), "account")
    desk.bank.pay(3, "A1" if kind == "account" else "ada", kind, transaction_amount=-3000.0)
    actions = [desk.decide("ada", cash(-3000.0, transaction_id=number)).action for number in ("t3", "t4")]
    assert actions == ["allow", "note"], "of the household 2,000 of before, and 3,000 that are stored as t3"
    assert desk.decide("bo", cash(-3000.0, transaction_id="t3"), decision_key="bo").action == "note", "not of bo"


def test_a_decision_is_made_again_from_its_record_whatever_became_of_the_others(desk: Desk, tmp_path: Path) -> None:
    desk.publish(FRAUD, links=LINKS)
    set_tag(desk.bank.context, "customer", "bo", "fraud")
    made = desk.decide("ada")
    path = f"through household H1: {desk.bank.id_of('bo')}"
    assert path in json.dumps(made.answer)
    seen = view_decision(desk.bank.context, made.number)
    assert seen is not None
    assert seen.rules[0].values[0].value == "true, through household H1: Bo Holm (bo); it holds of Bo Holm (bo)"
    whole = json.dumps(whole_answer(desk.bank.context, made.number))
    assert "through household H1: Bo Holm (bo); it holds of Bo Holm (bo)" in whole
    assert path not in whole
    desk.bank.wait(2000)
    erase_entity(desk.bank.context, "customer", "bo", tmp_path / "register")
    again = replay_decision(desk.bank.context, made.number)
    assert again.same
    assert path in again.stored
    seen = view_decision(desk.bank.context, made.number)
    assert seen is not None
    assert "bo" not in seen.rules[0].values[0].value
    assert desk.decide("ada").action == "allow"
    desk.bank.wait(2000)
    erase_entity(desk.bank.context, "customer", "ada", tmp_path / "register")
    assert view_decision(desk.bank.context, made.number) is None


MISFITS: dict[str, tuple[Data, str]] = {
    "a link that the type does not declare": (
        {"links": {"device": {"kind": "shared"}}, "by": "device"},
        "is not a link of the type customer",
    ),
    "a link of another kind": ({"links": {"household": {"kind": "directed"}}, "way": "to"}, "it is shared"),
    "a link that the policy does not declare": ({"links": {}}, "which is not under links"),
    "a way through what is shared": ({"way": "to"}, "leave way out"),
    "a level of others": ({"any": {"level": "in_force", "equals": "high"}}, "level: is a word of the language"),
    "the transaction of others": ({"any": {"transaction": "amount", "above": 1}}, "transaction: is a word"),
    "a link that no rule follows": ({"links": {**LINKS, "device": {"kind": "shared"}}}, "is followed by no rule"),
    "for commerce": ({"purpose": "commercial"}, "action block → rule fraud → link household"),
    "for commerce by a link that it may follow": (
        {"purpose": "commercial", "purposes": {"links": {"household": "both"}}},
        "action block → rule fraud → tag fraud",
    ),
}


@pytest.mark.parametrize(("changes", "told"), MISFITS.values(), ids=MISFITS.keys())
def test_what_does_not_fit_is_refused_when_it_is_proposed(desk: Desk, changes: Data, told: str) -> None:
    define_type(desk.bank.context, "customer", {}, purposes={"links": {"household": "both"}})
    parts = {name: changes[name] for name in ("links", "purpose", "purposes") if name in changes}
    group = {**FRAUD["when"]["linked"], **{name: changes[name] for name in ("by", "way", "any") if name in changes}}
    text = document([{**FRAUD, "when": {**FRAUD["when"], "linked": group}}], **{"links": LINKS, **parts})
    context = Context(desk.bank.engine, desk.ana).at(desk.bank.now)
    with pytest.raises(InvalidRulesetError) as refused:
        propose_policy(context, text, "Why not.")
    assert told in str(refused.value)


def test_what_fits_has_nothing_to_doubt(desk: Desk) -> None:
    text = document([FRAUD, TOGETHER], links=LINKS, calculate=CALCULATE)
    context = Context(desk.bank.engine, desk.ana).at(desk.bank.now)
    assert [str(each) for each in check_policy(context, text) if "on_unknown" in str(each) or each.fatal] == []
