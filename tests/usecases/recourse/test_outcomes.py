"""How a challenge ends: confirmed, corrected or overridden, by a person who has not decided what is contested."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Engine, text, update
from sqlalchemy.orm import Session

from fivefold.domain.errors import ConfigError, ConflictError, NotFoundError
from fivefold.store.audit.history_reading import ADDED
from fivefold.store.tables.audit import AuditEntry
from fivefold.store.tables.recourse import Challenge
from fivefold.usecases.accounts.second_person import allow_sole_operator
from fivefold.usecases.ingest.entities import put_entities
from fivefold.usecases.ingest.facts import RecordGiven, add_screening, end_tag, put_record, set_tag
from fivefold.usecases.levels.overrides import approve_override, request_override
from fivefold.usecases.recourse.challenges import (
    open_challenge,
    read_challenge,
)
from fivefold.usecases.recourse.reply import SENTENCES, give_reply
from fivefold.usecases.recourse.settlement import Outcome, Settlement, settle_challenge
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.entity_checks import EntityRow
from tests.store.audits import forged
from tests.usecases import banks
from tests.usecases.banks import Bank
from tests.usecases.governed import audited
from tests.usecases.recourse.contested import (
    RULES,
    SAID,
    STANDS,
    WHY,
    approved,
    by,
    corrected,
    findings,
    numbered,
    opened,
    overridden,
    written,
)


def test_confirmed_and_answered(bank: Bank) -> None:
    made = opened(bank)
    with pytest.raises(ConflictError, match="is open: there is no reply"):
        give_reply(bank.context, made.id, "json")
    done = settle_challenge(by(bank, 2), made.id, replace(STANDS, answer="We read your letter."))
    assert (done.state, done.settled_by, done.settled_us, done.reason) == ("confirmed", "member:2", bank.now, WHY)
    assert (done.new_assessment, done.facts, done.override, bank.standing().number) == (None, (), None, 1)
    with pytest.raises(ConflictError, match="was settled already: confirmed by member:2"):
        settle_challenge(by(bank, 3), made.id, STANDS)
    reply = give_reply(bank.context, made.id, "json")
    assert (reply.outcome, reply.answer, reply.new_assessment) == (
        SENTENCES["confirmed"],
        "We read your letter.",
        None,
    )
    actions = [(action, who) for who, action, *_ in audited(bank.engine)][-3:]
    assert actions == [
        ("challenge.opened", "member:1"),
        ("challenge.confirmed", "member:2"),
        ("challenge.answered", "member:1"),
    ]
    assert json.loads(json.dumps(audited(bank.engine)[-1][3]))["sha256"] == reply.sha256
    assert findings(bank) == []


Correct = Callable[[Bank], object]


CORRECTIONS: dict[str, Correct] = {
    "field income": lambda bank: put_entities(
        bank.context, "customer", [EntityRow("a", {"income": 5.0, "country": "NO"})]
    ),
    "screening sanctions": lambda bank: add_screening(
        bank.context, "customer", "a", "sanctions", has_match=True, at_us=bank.now
    ),
    "tag watch": lambda bank: set_tag(bank.context, "customer", "a", "watch"),
}


@pytest.mark.parametrize("fact", CORRECTIONS)
def test_corrected_facts_give_a_new_assessment(bank: Bank, fact: str) -> None:
    made = opened(bank)
    with pytest.raises(ConflictError, match="was added, changed or ended since assessment"):
        settle_challenge(by(bank, 2), made.id, corrected(fact))
    assert bank.standing().number == 1, "what is refused assesses nobody"
    CORRECTIONS[fact](bank)
    bank.wait(microseconds=1)
    done = settle_challenge(by(bank, 2), made.id, corrected(fact))
    assert (done.state, done.facts, done.new_assessment) == ("corrected", (fact,), numbered(bank))
    assert (bank.standing().number, done.is_newest) == (2, False)
    assert findings(bank) == []


def test_a_corrected_transaction_counts_for_its_owner(bank: Bank) -> None:
    bank.add_type("account", {}, {})
    bank.put("x", ("customer", "a"), "account")
    made = opened(bank)
    with pytest.raises(ConflictError, match="no transaction 't7' was added, changed or ended"):
        settle_challenge(by(bank, 2), made.id, corrected("transaction t7"))
    bank.pay(7, "x", kind="account", transaction_id="t7")
    with pytest.raises(ConflictError, match="has the same result"):
        settle_challenge(by(bank, 2), made.id, corrected("transaction t7"))
    assert read_challenge(bank.context, made.id).state == "open"


def test_a_transaction_that_was_settled_is_a_fact_that_changed(bank: Bank) -> None:
    bank.activate(banks.document({**RULES, "cash": banks.CASH}))
    payment = {"transaction_id": "t9", "transaction_date": bank.day}
    bank.pay(9, transaction_state="PENDING", **payment)
    bank.wait(days=1)
    bank.settle()
    made = opened(bank)
    bank.wait(days=1)
    with pytest.raises(ConflictError, match="no transaction 't9' was added, changed or ended"):
        settle_challenge(by(bank, 2), made.id, corrected("transaction t9"))
    assert bank.pay(9, transaction_state="COMPLETED", **payment).changed == 1
    with forged(bank.engine) as connection:  # the log has the machine's time, which is not the bank's
        connection.execute(update(AuditEntry).where(AuditEntry.action == ADDED).values(at_us=bank.now))
    bank.wait(microseconds=1)
    done = settle_challenge(by(bank, 2), made.id, corrected("transaction t9"))
    assert done.new_assessment == numbered(bank) != made.assessment


def test_a_case_that_came_is_a_fact_that_changed(bank: Bank) -> None:
    bank.activate(banks.document({**RULES, "alerts": banks.ALERTS}))
    made = opened(bank)
    put_record(bank.context, "customer", "a", "alert", RecordGiven(external_id="n 1", opened_us=bank.now))
    with pytest.raises(ConflictError, match="no case 'n 1' was added, changed or ended"):
        settle_challenge(by(bank, 2), made.id, corrected("case n 1"))
    assert settle_challenge(by(bank, 2), made.id, corrected("alert n 1")).new_assessment == numbered(bank)


def test_a_correction_that_the_rules_do_not_see_settles_nothing(bank: Bank) -> None:
    made = opened(bank)
    bank.put("a", income=1234.5, country="NO", occupation="teacher")
    with pytest.raises(ConflictError, match="has the same result as assessment"):
        settle_challenge(by(bank, 2), made.id, corrected("field occupation"))
    settle_challenge(by(bank, 2), made.id, STANDS)


def test_an_assessment_that_is_not_the_newest_is_contested(bank: Bank) -> None:
    first = numbered(bank)
    bank.put("a", income=1234.5, country="RU")
    bank.settle()
    made = open_challenge(bank.context, first, SAID)
    assert (made.is_newest, numbered(bank) != first) == (False, True)
    done = settle_challenge(by(bank, 2), made.id, corrected("field country"))
    assert done.new_assessment == numbered(bank), "it was corrected since, and assessed again"


def test_a_person_decides_instead_of_the_rules(bank: Bank) -> None:
    before = approved(bank, name="b")
    made = opened(bank)
    asked = request_override(by(bank, 3), "customer", "a", "high", "We know them.")
    refusals = ((asked.id, "is requested"), (before, "about another entity"))
    for number, said in refusals:
        with pytest.raises(ConflictError, match=said):
            settle_challenge(by(bank, 2), made.id, overridden(number))
    with pytest.raises(NotFoundError, match="there is no override"):
        settle_challenge(by(bank, 2), made.id, overridden(99))
    approve_override(by(bank, 4), asked.id)
    done = settle_challenge(by(bank, 4), made.id, overridden(asked.id))
    assert (done.state, done.override, done.new_assessment) == ("overridden", asked.id, numbered(bank))
    assert bank.level() == 3
    assert findings(bank) == []


def test_who_decided_what_is_contested_does_not_settle(bank: Bank) -> None:
    number = approved(bank)
    bank.settle()
    made = opened(bank)
    for member in (3, 4):
        with pytest.raises(ConflictError, match=f"member:{member} took part in override {number}"):
            settle_challenge(by(bank, member), made.id, STANDS)
    with pytest.raises(ConflictError, match="is the contested one"):
        settle_challenge(by(bank, 2), made.id, overridden(number))
    bank.wait(microseconds=1)
    bank.revoke("a", number)
    with Session(bank.engine) as session, session.begin():
        session.execute(text(f"UPDATE overrides SET revoked_us = {bank.now}, revoked_by = 'member:3'"))
    done = settle_challenge(by(bank, 2), made.id, overridden(number))
    assert (done.state, bank.level()) == ("overridden", 2)


def test_an_override_from_before_is_no_answer(bank: Bank) -> None:
    made = opened(bank)
    number = approved(bank)
    with forged(bank.engine) as connection:
        connection.execute(update(Challenge).values(opened_us=bank.now + 1))
    with pytest.raises(ConflictError, match="approved since challenge"):
        settle_challenge(by(bank, 2), made.id, overridden(number))


@pytest.mark.parametrize("actor", ["cli:ana", "token:3"])
def test_nobody_in_particular_settles_nothing(bank: Bank, actor: str) -> None:
    made = opened(bank)
    who = Context(bank.engine, Actor(bank.of, actor)).at(bank.now)
    with pytest.raises(ConflictError, match="is not a member"):
        settle_challenge(who, made.id, STANDS)


def test_a_sole_operator_settles(engine: Engine) -> None:
    bank = written(engine)
    allow_sole_operator(bank.context, "A company of one.")
    bank.put("a", income=1.0)
    number = approved(bank)
    bank.settle()
    made = opened(bank)
    who = Context(bank.engine, Actor(bank.of, "member:4")).at(bank.now)
    assert (number, settle_challenge(who, made.id, STANDS).state) == (1, "confirmed")


@pytest.mark.parametrize(
    ("outcome", "changes"),
    [
        ("confirmed", {"reason": " "}),
        ("confirmed", {"facts": ["field income"]}),
        ("confirmed", {"override": 1}),
        ("corrected", {}),
        ("corrected", {"facts": ["income"]}),
        ("corrected", {"facts": ["mood bad"]}),
        ("corrected", {"facts": ["field income"], "override": 1}),
        ("corrected", {"facts": ["field income"] * 101}),
        ("overridden", {}),
        ("refused", {}),
    ],
)
def test_settlements_that_are_none(bank: Bank, outcome: Outcome, changes: dict[str, Any]) -> None:
    made = opened(bank)
    with pytest.raises(ConfigError):
        settle_challenge(by(bank, 2), made.id, Settlement(**{"outcome": outcome, "reason": WHY, **changes}))
    assert read_challenge(bank.context, made.id).state == "open"


def test_an_end_of_a_tag_is_a_fact_that_changed(bank: Bank) -> None:
    set_tag(bank.context, "customer", "a", "watch")
    bank.settle()
    made = opened(bank)
    bank.wait(days=20)
    end_tag(bank.context, "customer", "a", "watch")
    bank.wait(microseconds=1)
    assert settle_challenge(by(bank, 2), made.id, corrected("tag watch")).new_assessment == numbered(bank)
