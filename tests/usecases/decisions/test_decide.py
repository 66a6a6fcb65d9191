"""Decisions: level, value and the transaction at hand in one call, and one record of it."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from fivefold.domain.canonical import canonical_json
from fivefold.domain.clock import DAY_US, from_microseconds
from fivefold.domain.errors import ConfigError, ConflictError, InvalidDataError, InvalidRulesetError, NotFoundError
from fivefold.risk.engine.explain.stored import WORDS
from fivefold.risk.language.policy import read_policy
from fivefold.store.tables.entities import Transaction
from fivefold.usecases.decisions.decide import ENGINE, outcome_and_answer
from fivefold.usecases.decisions.read import read_decision, replay_decision
from fivefold.usecases.ingest.facts import set_tag
from fivefold.usecases.levels.content.inputs import read_inputs
from fivefold.usecases.levels.read import Freshness
from fivefold.usecases.shared import rates
from fivefold.usecases.shared.context import Context
from tests.depth import SHARED_FIXTURES, examples
from tests.risk.engine.policies_small import decision_of, drawn_rules, outcome_of
from tests.store.audits import bind_unnamed, findings_of
from tests.usecases.at_once import put_list_version
from tests.usecases.banks import Bank
from tests.usecases.decisions.deciding import CASH, CASH_OF_HIGH, WORTH, Desk, answer_of, cash, document, opened
from tests.usecases.governed import audited, together


def test_the_threshold_depends_on_the_level(desk: Desk) -> None:
    desk.publish(CASH_OF_HIGH, CASH)
    actions = {
        (name, amount): desk.decide(name, cash(amount)).action
        for name in ("ada", "bo")
        for amount in (-1000.0, -1000.01, -10_000.0, -10_000.01)
    }
    assert [pair for pair, action in actions.items() if action == "block"] == [
        ("ada", -1000.01),
        ("ada", -10_000.0),
        ("ada", -10_000.01),
        ("bo", -10_000.01),
    ]


def test_the_answer_joins_both_sides_with_every_version_involved(desk: Desk) -> None:
    desk.value("ada", 4.5, days_ago=1)
    desk.value("ada", 4.25)
    line = desk.publish({**WORTH, "action": "review"}, CASH_OF_HIGH)
    made = desk.decide(given=cash(-1200.5, transaction_currency="USD"))
    assert made.answer is not None
    assert (made.action, made.repeated, made.policy, made.at_us) == ("review", False, ("payments", 1), desk.bank.now)
    standing = desk.bank.standing("ada")
    level, value = made.answer["level"], made.answer["value"]
    assert (level["level"], level["assessment"]) == ("high", f"{standing.entity_id}.{standing.number}")
    assert level["ruleset"]["name"] == "retail"
    assert level["ruleset"]["version"] == 1
    assert len(level["ruleset"]["content_hash"]) == 64
    assert (value["score"], value["model"], value["model_version"]) == ("4.25", "value", 7)
    assert made.answer["policy"] == {"name": "payments", "version": 1, "content_hash": line.content_hash}
    assert made.answer["rate"]["currency"] == "USD"
    assert made.answer["transaction"]["amount"] == "-1200.5"
    assert [(rule["rule"], rule["outcome"]) for rule in made.answer["rules"]] == [
        ("worth", "held"),
        ("cash-of-high", "held"),
    ]
    assert "value score is 4.25" in made.answer["rules"][0]["sentence"]
    (row,) = desk.rows()
    assert (row.id, row.assessment_number, row.value_as_of_us) == (made.number, standing.number, desk.bank.now)
    assert (row.action, row.actor, row.entity_id) == ("review", "token:1", desk.bank.id_of("ada"))


def test_an_amount_is_compared_in_the_base_currency_at_the_rates_of_the_day(desk: Desk) -> None:
    desk.publish(CASH_OF_HIGH)
    rate = float(answer_of(desk.decide(given=cash(-1.0, transaction_currency="USD")))["rate"]["per_unit"])
    above, below = 1000 / rate + 0.02, 1000 / rate - 0.02
    actions = [desk.decide(given=cash(-round(size, 2), transaction_currency="USD")).action for size in (above, below)]
    assert actions == ["block", "allow"]


def test_stale_rates_are_told_where_money_was_converted(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next day the rates are new again: what was decided says for ever what it was decided with."""
    monkeypatch.setattr(rates, "STALE_AFTER", timedelta(days=-1))
    desk.publish(CASH_OF_HIGH)
    own, foreign = desk.decide(given=cash(-1.0)), desk.decide(given=cash(-1.0, transaction_currency="USD"))
    assert answer_of(own)["stale_rates_days"] is None, "nothing was converted"
    today = from_microseconds(desk.bank.now).date()
    with Session(desk.bank.engine) as session:
        age = (today - rates.rates_for(session, desk.bank.of, "EUR", today).newest).days
    assert answer_of(foreign)["stale_rates_days"] == age
    monkeypatch.setattr(rates, "STALE_AFTER", timedelta(days=age))
    assert answer_of(desk.decide(given=cash(-1.0, transaction_currency="USD")))["stale_rates_days"] is None
    assert replay_decision(desk.bank.context, foreign.number).same


@pytest.mark.parametrize(
    ("quantity", "is_converted"),
    [
        ({"count": "transactions", "over": "1 day"}, False),
        ({"sum": "amount", "over": "1 day"}, True),
        ({"count": "transactions", "where": {"field": "amount", "above": 1}}, True),
        ({"sum": "amount", "over": "1 day", "in_currency": "USD"}, False),
        ({"indicator": "account_age"}, True),
    ],
)
def test_stored_money_is_converted_where_it_is_foreign_and_its_amount_is_read(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, quantity: dict[str, Any], is_converted: bool
) -> None:
    monkeypatch.setattr(rates, "STALE_AFTER", timedelta(days=-1))
    desk.publish({"when": {**quantity, "above": 1_000_000}, "action": "note"})
    desk.bank.pay(1, "ada", transaction_amount=10.0)
    assert answer_of(desk.decide(given=cash(-1.0)))["stale_rates_days"] is None, "all of it is in the base currency"
    desk.bank.pay(2, "ada", transaction_amount=10.0, transaction_currency="USD")
    assert (answer_of(desk.decide(given=cash(-1.0)))["stale_rates_days"] is not None) is is_converted


def test_it_is_written_down_once_and_recorded_and_the_transaction_is_not_stored(desk: Desk) -> None:
    desk.publish(CASH)
    before = len(audited(desk.bank.engine))
    made = desk.decide(given=cash(transaction_id="t-1"))
    told = audited(desk.bank.engine)[before:]
    (row,) = desk.rows()
    columns = ("action", "policy_id", "entity_id", "assessment_number", "value_as_of_us", "at_us")
    details = {"policy": "payments", "version": 1, **{column: getattr(row, column) for column in columns}}
    assert told == [("token:1", "decision.made", str(made.number), details)]
    with Session(desk.bank.engine) as session:
        assert session.scalar(select(func.count()).select_from(Transaction)) == 0
    bind_unnamed(desk.bank.engine)
    assert findings_of(desk.bank.engine) == []
    assert len(desk.rows()) == 1


def test_asked_again_under_the_same_key_it_gives_what_was_decided(desk: Desk) -> None:
    desk.publish(CASH_OF_HIGH)
    first = desk.decide(given=cash(transaction_id="t-1"))
    desk.publish(CASH)
    desk.bank.wait(3)
    again = desk.decide(given=cash(transaction_id="t-1"), freshness=Freshness.NOW)
    assert again.repeated
    assert (again.number, again.action, again.answer) == (first.number, "block", first.answer)
    anew = desk.decide(given=cash(transaction_id="t-1"), decision_key="second look")
    assert (anew.repeated, anew.action) == (False, "allow")
    assert desk.decide(given=cash(transaction_id="t-1"), decision_key="second look").number == anew.number
    assert len(desk.rows()) == 2
    assert len({desk.decide().number for _ in range(2)}) == 2, "without a key each call is another decision"


def test_a_key_stands_for_one_question(desk: Desk) -> None:
    desk.publish(CASH)
    desk.publish(CASH, name="transfers")
    first = desk.decide(given=cash(transaction_id="t-1"))
    for name, other in (("bo", cash(transaction_id="t-1")), ("ada", cash(-5.0, transaction_id="t-1"))):
        with pytest.raises(ConflictError, match="payments decided on something else under 't-1'"):
            desk.decide(name, other)
    assert desk.decide(given=cash(transaction_id="t-1"), policy="transfers").number != first.number


SPELT: list[dict[str, Any]] = [
    {"transaction_amount": -5e1},
    {"operation": None},
    {"user_id": "ada"},
    {"entity_id": "ada", "transaction_state": "pending"},
]


def test_a_question_is_the_same_however_it_is_spelt(desk: Desk) -> None:
    desk.publish(CASH)
    given = {"transaction_id": "t-1", "transaction_amount": -50, "transaction_currency": "EUR"}
    dated = {**given, "transaction_id": "t-2"}
    first = desk.decide(given=given)
    second = desk.decide(given={**dated, "transaction_date": "2026-11-19T12:00:00"})
    desk.bank.wait(3)
    assert [desk.decide(given={**given, **spelt}).number for spelt in SPELT] == [first.number] * len(SPELT)
    for written in ("2026-11-19T12:00:00Z", "2026-11-19T13:00:00+01:00"):
        assert desk.decide(given={**dated, "transaction_date": written}).number == second.number
    for other in ({"transaction_amount": -50.01}, {"operation": "card"}, {"transaction_date": "2026-11-19T12:00:00"}):
        with pytest.raises(ConflictError, match="decided on something else"):
            desk.decide(given={**given, **other})


def test_another_organisation_has_keys_of_its_own(desk: Desk, engine: Engine) -> None:
    other = opened(engine, "other")
    for one in (desk, other):
        one.publish(CASH)
    mine, theirs = (one.decide(given=cash(transaction_id="t-1")) for one in (desk, other))
    assert not theirs.repeated
    with pytest.raises(NotFoundError, match=f"there is no decision {mine.number}"):
        read_decision(Context(engine, other.ana), mine.number)
    desk.bank.put("only ours", country="NO")
    with pytest.raises(NotFoundError, match="there is no customer 'only ours'"):
        other.decide("only ours")


@pytest.mark.parametrize("key", ["x", "x" * 200])
def test_a_key_of_up_to_200_characters_is_kept(desk: Desk, key: str) -> None:
    desk.publish(CASH)
    first = desk.decide(decision_key=key)
    again = desk.decide(decision_key=key)
    assert (again.number, again.repeated) == (first.number, True)


@pytest.mark.parametrize("key", ["", "x" * 201, "a\0b", 5.0])
def test_a_key_that_cannot_be_kept_is_refused(desk: Desk, key: Any) -> None:
    desk.publish(CASH)
    with pytest.raises(ConfigError, match="decision_key must be text of 1 to 200 characters"):
        desk.decide(decision_key=key)
    with pytest.raises((ConfigError, InvalidDataError), match="transaction_id"):
        desk.decide(given=cash(transaction_id=key))


def test_a_number_that_is_not_text_names_the_same_transaction(desk: Desk) -> None:
    """As in the transactions that are stored: 901 is their number "901", and the stored one counts in nothing."""
    desk.publish({"id": "day", "when": {"sum": "amount", "over": "1 day", "above": 500}, "action": "block"})
    desk.bank.pay(0, "ada", transaction_id=901, transaction_amount=600.0)
    first, again = (desk.decide(given=cash(600, transaction_id=number)) for number in (901, "901"))
    assert (again.number, again.repeated) == (first.number, True)
    keyed = desk.decide(given=cash(600, transaction_id=901), decision_key="k")
    assert (first.action, keyed.action) == ("allow", "allow")
    assert desk.decide(given=cash(600, transaction_id=902)).action == "block"


def test_every_kind_of_input_is_read(desk: Desk) -> None:
    """Attributes, tags, screenings, stored transactions, indicators, lists, status and source."""
    bank = desk.bank
    put_list_version(bank.context, "hot", 0, ["IR"], "Hot", "us")
    set_tag(bank.context, "customer", "ada", "watch")
    for number in range(3):
        bank.pay(number, "ada", transaction_amount=100.0)
    conditions: list[Any] = [
        {"field": "country", "in_list": "hot"},
        {"tag": "watch", "is": "present"},
        {"screening": "pep", "is": "absent"},
        {"sum": "amount", "over": "1 day", "equals": 300},
        {"count": "transactions", "where": {"field": "operation", "equals": "cash"}, "equals": 3},
        {"ratio": [{"transaction": "amount"}, {"mean": "amount"}], "equals": 12},
        {"indicator": "account_age", "above": 0},
        {"level": "status", "equals": "assessed"},
        {"level": "source", "equals": "rules"},
        {"level": "rules", "equals": "high"},
        {"transaction": "direction", "equals": "withdrawal"},
        {"transaction": "state", "equals": "pending"},
        {"transaction": "amount", "in_currency": "EUR", "equals": 1200},
        {"transaction": "amount", "in_currency": "USD", "equals": 1200},
        {"transaction": "time", "at_most": "2027-01-01"},
        {"count": "cases", "equals": 0},
        {"count": "alerts", "equals": 0},
    ]
    rules = [{"when": condition, "action": "note"} for condition in conditions]
    desk.publish(*rules)
    made = desk.decide()
    found = [rule["outcome"] for rule in answer_of(made)["rules"]]
    unknown = {2, 6, 13}
    assert found == ["unknown" if at in unknown else "held" for at in range(len(rules))]
    assert answer_of(made)["lists"] == {"hot": "1970-01-01T00:00:00+00:00"}
    assert replay_decision(bank.context, made.number).same


def test_what_does_not_concern_the_entity_is_not_counted(desk: Desk) -> None:
    desk.publish({"when": {"count": "transactions", "above": 0}, "action": "block"})
    desk.bank.pay(1, "bo")
    assert desk.decide("ada").action == "allow"
    assert desk.decide("bo").action == "block"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"transaction_amount": None}, "transaction_amount is missing"),
        ({"transaction_currency": None}, "transaction_currency is missing"),
        ({"transaction_currency": "EURO"}, "transaction_currency"),
        ({"transaction_amount": "12"}, "transaction_amount"),
        ({"transaction_amount": [1]}, "transaction_amount"),
        ({"transaction_amount": float("inf")}, "transaction_amount"),
        ({"transaction_date": "2026-12-01"}, "transaction_date is in the future"),
        ({"transaction_date": "soon"}, "transaction_date"),
        ({"transaction_state": "maybe"}, "transaction_state"),
        ({"operation": 5.5}, "operation"),
        ({"amount": 5}, "amount is not a field of it; allowed: transaction_id, transaction_amount"),
        ({"user_id": "bo"}, "user_id is 'bo'; allowed: ada, whom it is decided on"),
        ({"user_id": ["ada"]}, "user_id is "),
    ],
)
def test_a_transaction_that_cannot_be_read_is_refused(desk: Desk, given: Any, told: str) -> None:
    desk.publish(CASH)
    with pytest.raises(InvalidDataError) as refused:
        desk.decide(given={**cash(), **given})
    assert told in str(refused.value)
    assert desk.rows() == []


def test_a_transaction_may_say_as_much_as_a_stored_one(desk: Desk) -> None:
    desk.publish({"when": {"transaction": "time", "below": "2026-11-19"}, "action": "note"})
    full = cash(
        transaction_id="t-1",
        user_id="ada",
        transaction_date="2026-11-18T10:00:00",
        transaction_state="completed",
        user_balance=10.0,
        user_category="API",
        user_created="2020-01-01",
    )
    made = desk.decide(given=full)
    assert made.action == "note"
    assert answer_of(made)["transaction"] == {
        "transaction_id": "t-1",
        "amount": "-1200.0",
        "currency": "EUR",
        "state": "COMPLETED",
        "time": "2026-11-18T10:00:00+00:00",
        "fields": {"operation": "cash"},
    }


def test_the_policy_is_for_the_type_of_the_entity(desk: Desk) -> None:
    desk.bank.add_type("account", {"country": "country"}, {"operation": "text"})
    desk.bank.put("acc", kind="account", country="NO")
    desk.publish(CASH, name="of-accounts", entity_type="account")
    with pytest.raises(ConfigError, match="the policy of-accounts decides on entities of the type account alone"):
        desk.decide(policy="of-accounts")
    with pytest.raises(NotFoundError, match="there is no customer 'nobody'"):
        desk.decide("nobody", policy="of-accounts")


def test_a_list_without_a_version_yet_is_told(desk: Desk) -> None:
    put_list_version(desk.bank.context, "late", desk.bank.now + 1, ["IR"], "Late", "us")
    desk.publish({"when": {"field": "country", "in_list": "late"}, "action": "block"})
    with pytest.raises(InvalidRulesetError, match="has no version before"):
        desk.decide()
    desk.bank.wait(microseconds=1)
    assert desk.decide().action == "block"


def test_who_is_erased_meanwhile_leaves_nothing(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fivefold.usecases.decisions import decide as decisions
    from fivefold.usecases.erasure.erase import erase_entity

    desk.publish(CASH)
    made = decisions.outcome_and_answer

    def erased_meanwhile(*given: Any) -> Any:
        found = made(*given)
        later = desk.bank.now + 4000 * DAY_US
        erase_entity(Context(desk.bank.engine, desk.ana).at(later), "customer", "ada", tmp_path / "erased")
        desk.bank.put("ada", country="NO")
        return found

    monkeypatch.setattr(decisions, "outcome_and_answer", erased_meanwhile)
    with pytest.raises(NotFoundError, match="there is no customer 'ada'"):
        desk.decide()
    assert desk.rows() == []


@pytest.mark.parametrize("key", [None, "k"])
def test_of_several_who_ask_the_same_at_once_all_get_one_decision(kind: str, tmp_path: Path, key: str | None) -> None:
    def prepare(engine: Engine) -> Bank:
        made = opened(engine)
        made.publish(CASH_OF_HIGH)
        return made.bank

    def asking(engine: Engine, bank: Bank) -> Any:
        bank.engine = engine
        return Desk(bank).decide(given=cash(transaction_id="t-1"), decision_key=key)

    made = together(kind, tmp_path, prepare, asking, asking, asking)
    assert len({each.number for each in made}) == 1, made
    assert [each.repeated for each in made].count(False) == 1
    assert {each.action for each in made} == {"block"}


class _Names:
    """Names that no other example has."""

    def __init__(self) -> None:
        self.count = 0

    def another(self) -> str:
        self.count += 1
        return f"drawn-{self.count}"


_NAMES = _Names()


@given(
    rules=drawn_rules,
    wins=st.sampled_from(["first", "most severe"]),
    name=st.sampled_from(["ada", "bo", "cy"]),
    amount=st.sampled_from([-1000.0, 999.99, 1000.0, 1000.01, 0.0]),
)
@settings(
    max_examples=examples(25),
    suppress_health_check=SHARED_FIXTURES,
    deadline=None,
)
def test_it_decides_as_the_book_does_and_again_to_the_byte(
    desk: Desk, rules: list[Any], wins: str, name: str, amount: float
) -> None:
    if not desk.rows():
        desk.value("bo", 2.5)
    policy = _NAMES.another()
    line = desk.publish(*rules, name=policy, wins=wins)
    assert line.state == "active"
    made = desk.decide(name, cash(amount), policy)
    direction = "deposit" if amount > 0 else "withdrawal" if amount < 0 else None
    row = ({"ada": 3, "bo": 1}.get(name), {"bo": 2.5}.get(name), round(abs(amount) * 100), direction, False)
    action, decided = decision_of(rules, wins, row)
    assert (made.action, answer_of(made)["decided_by"]) == (action, None if decided is None else f"r{decided}")
    assert [(rule["outcome"], rule["action"]) for rule in answer_of(made)["rules"]] == [
        outcome_of(rule, row) for rule in rules
    ]
    assert replay_decision(Context(desk.bank.engine, desk.ana), made.number).same


KEPT: dict[str, Any] = {
    "inputs": {'{"level":"in_force"}': 3, '{"transaction":"amount"}': 120_000, '{"transaction":"operation"}': "cash"},
    "types": "iis",
    "base": "EUR",
    "lists": {},
    "said": {"level": {"level": "high"}, "value": None, "transaction": {}, "rate": {}},
    "at_us": 1,
    "entity": {"type": "customer", "external_id": "ada"},
    "policy": {"name": "payments", "version": 1, "content_hash": "0"},
}


def made(**changed: Any) -> tuple[Any, str]:
    inputs, kept = read_inputs(json.dumps({**KEPT, **changed}), 1, "7")
    return outcome_and_answer(read_policy(document([CASH_OF_HIGH])).canonical, {}, inputs, kept)


def test_the_answer_says_everything_that_is_kept_and_what_follows() -> None:
    said, text = made()
    answer = json.loads(text)
    assert canonical_json(answer) == text
    assert (said.action, answer["action"], answer["decided_by"]) == ("block", "block", "cash-of-high")
    assert {name: answer[name] for name in ("entity", "policy", "level", "value")} == {
        "entity": KEPT["entity"],
        "policy": KEPT["policy"],
        "level": {"level": "high"},
        "value": None,
    }
    assert (answer["engine"], answer["words"], answer["at"]) == (ENGINE, WORDS, "1970-01-01T00:00:00.000001+00:00")


def test_the_same_is_made_of_the_same_alone() -> None:
    assert made() == made()
    assert made()[1] != made(at_us=2)[1]
    assert made(inputs={**KEPT["inputs"], '{"level":"in_force"}': 1})[0].action == "allow"
