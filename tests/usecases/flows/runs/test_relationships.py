"""Stories of a relationship that was refused, and decided on again: what stands afterwards."""

import json
from typing import Any

import pytest
from sqlalchemy import Engine, text

from fivefold.usecases.flows.runs.answering import answer_run, take_back_action
from fivefold.usecases.flows.runs.calling import call_flow
from fivefold.usecases.flows.runs.outcomes import replay_record
from fivefold.usecases.flows.runs.reading import entity_actions
from fivefold.usecases.shared.actors import Role
from tests.store.audits import bind_unnamed, findings_in
from tests.usecases.flows.flowing import HOUR_US, FlowBank
from tests.usecases.flows.runs.test_calls import WHY, payment, person

OPENING = """
flow: opening
title: Whether a relationship starts
entity_type: customer
levels: [low, medium, high]
transaction_fields: {operation: text}
actions:
  - {id: start, title: Start, status: approved, relationship: starts}
  - {id: refuse, title: Refuse, status: blocked, relationship: refused}
  - {id: hold, title: Hold, status: flagged}
  - {id: clear, title: Clear, status: approved}
steps:
  - id: which
    title: Which
    route:
      - {when: {transaction: amount, above: 1000}, to: cleared}
      - {when: {transaction: amount, above: 100}, to: held}
    otherwise: listed
  - id: listed
    title: A person looks at the hit
    person:
      question: Is it the same person?
      within: 1 hour
      answers: {same: rejected, another: decide}
      otherwise: held
  - id: decide
    title: A person decides
    person:
      question: Does the relationship start?
      within: 1 hour
      answers: {start: started, refuse: refused, wait: held}
      otherwise: held
  - {id: started, title: Started, end: [start]}
  - {id: refused, title: Refused, end: [refuse]}
  - {id: rejected, title: Refused for the hit, end: [refuse]}
  - {id: held, title: Held, end: [hold]}
  - {id: cleared, title: Cleared, end: [clear]}
on_failure: [hold]
"""
ASKED, HELD, CLEARED = payment(5), payment(500), payment(5000)


class Opening:
    """A bank that opens relationships, with customer a."""

    def __init__(self, engine: Engine) -> None:
        self.bank = FlowBank(engine, "a")
        self.bank.add_flow(OPENING)
        bind_unnamed(engine)
        self.calls = 0

    def apply(self, *answers: str, by: str = "member:2", sent: dict[str, object] = ASKED) -> int:
        """Call the flow under another key, and let a person answer what it asks; give the number of the run."""
        self.calls += 1
        self.bank.now += 1
        run = call_flow(self.bank.context, "opening", "customer", "a", sent, f"application-{self.calls}")
        for answer in answers:
            answer_run(person(self.bank, by), Role.INVESTIGATOR, run.number, answer, WHY)
        return run.number

    def nobody_comes(self) -> None:
        """Let the time of every question pass."""
        self.bank.now += HOUR_US
        self.bank.work()

    @property
    def status(self) -> str | None:
        """What stands."""
        return entity_actions(self.bank.context, "customer", "a").status

    def reported(self) -> list[tuple[str, str | None]]:
        """The status that each event of an action gave, and the one that stood after it."""
        with self.bank.engine.connect() as connection:
            rows = connection.execute(text("SELECT body FROM outbox WHERE kind LIKE 'flow.%' ORDER BY id")).scalars()
            bodies: list[dict[str, Any]] = [json.loads(each) for each in rows]
        return [(each["content"]["status"], (each["stands"] or {}).get("status")) for each in bodies]


@pytest.mark.postgresql
def test_who_was_refused_and_is_started_by_another_person_later_is_approved(engine: Engine) -> None:
    opening = Opening(engine)
    first = opening.apply("another", "refuse")
    assert opening.status == "blocked"
    second = opening.apply("another", "start", by="member:4")
    assert opening.status == "approved"
    assert opening.reported() == [("blocked", "blocked"), ("approved", "approved")]
    with engine.connect() as connection:
        entries = text("SELECT actor FROM audit_entries WHERE action = 'flow.answered' ORDER BY number")
        assert list(connection.execute(entries).scalars()) == ["member:2"] * 2 + ["member:4"] * 2
        assert findings_in(connection) == []
    assert [replay_record(opening.bank.context, f"f:{run}").same for run in (first, second)] == [True, True]
    started = opening.bank.actions()[-1]
    take_back_action(person(opening.bank), Role.INVESTIGATOR, started.id, WHY)
    assert opening.status == "blocked", "what it took the place of counts again"
    assert opening.reported()[-1] == ("approved", "blocked")


def test_a_decision_may_be_reversed_as_often_as_a_person_decides(engine: Engine) -> None:
    opening = Opening(engine)
    for answer, status in (("start", "approved"), ("refuse", "blocked"), ("refuse", "blocked"), ("start", "approved")):
        opening.apply("another", answer)
        assert opening.status == status


@pytest.mark.postgresql
def test_nothing_automatic_takes_the_place_of_a_refusal(engine: Engine) -> None:
    opening = Opening(engine)
    opening.apply("same")
    opening.apply(sent=CLEARED)
    assert opening.status == "blocked"
    opening.apply(sent=HELD)
    assert opening.status == "blocked"
    opening.apply()
    opening.nobody_comes()
    assert opening.status == "blocked"
    opening.apply("another")  # one person answered, and then nobody came
    opening.nobody_comes()
    assert [each.content["status"] for each in opening.bank.actions()] == ["blocked", "approved", *["flagged"] * 3]
    assert opening.status == "blocked"
    assert {stands for _, stands in opening.reported()} == {"blocked"}


def test_an_answer_that_decides_on_no_relationship_leaves_a_refusal(engine: Engine) -> None:
    opening = Opening(engine)
    opening.apply("another", "refuse")
    opening.apply("another", "wait", by="member:4")
    assert opening.status == "blocked"
    opening.apply("another", "start", by="member:4")
    assert opening.status == "approved", "neither the refusal nor what waited stands any more"


def test_a_start_counts_beside_what_is_more_severe_until_a_person_decides_again(engine: Engine) -> None:
    opening = Opening(engine)
    opening.apply("another", "start")
    opening.apply(sent=HELD)
    assert opening.status == "flagged"
    opening.apply("another", "start", by="member:4")
    assert opening.status == "approved"


def test_a_run_that_was_asked_before_and_is_answered_after_a_refusal_decides_last(engine: Engine) -> None:
    """Two applications wait at once; who answers last decides, whichever was called first."""
    opening = Opening(engine)
    older, newer = opening.apply(), opening.apply()
    for run, answer in ((newer, "same"), (older, "another")):
        answer_run(person(opening.bank), Role.INVESTIGATOR, run, answer, WHY)
    assert opening.status == "blocked"
    answer_run(person(opening.bank, "member:4"), Role.INVESTIGATOR, older, "start", WHY)
    assert opening.status == "approved"


def test_what_is_not_reversible_stays_whatever_a_person_decides_later(engine: Engine) -> None:
    opening = Opening(engine)
    opening.bank.add_flow(OPENING.replace("relationship: refused}", "relationship: refused, reversible: false}"))
    opening.apply("same")
    opening.apply("another", "start")
    assert opening.status == "blocked"
