"""What flows ask of people stands in the queue: questions of runs and reviews, for whom they are, and until when."""

from typing import Any

import pytest
from sqlalchemy import Engine, text

from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import ConfigError, ConflictError, NotFoundError
from fivefold.store.erasure.holds import held_entities
from fivefold.store.queue.items import QueueOrder
from fivefold.store.sql.database import reading
from fivefold.usecases.accounts.organisations import add_member
from fivefold.usecases.flows.runs.answering import answer_run, take_back_action
from fivefold.usecases.flows.runs.calling import call_flow
from fivefold.usecases.flows.runs.reading import entity_actions, view_run
from fivefold.usecases.flows.runs.reviews import finish_review
from fivefold.usecases.queue.items import (
    QueueFilters,
    QueueItem,
    change_item,
    count_items,
    list_items,
    next_item,
    read_item,
)
from fivefold.usecases.shared.actors import Actor, Role
from fivefold.usecases.shared.context import Context
from tests.store.filling import filled_once
from tests.usecases.flows.flowing import HOUR_US, LARGE, FlowBank
from tests.usecases.flows.runs.test_calls import WHY, payment, person
from tests.usecases.platforms import NOW

ASKED = QueueFilters(kinds=("question",))
REVIEWS = QueueFilters(kinds=("flow_review",))
REVIEWED = """
flow: looked-at
title: A review
entity_type: customer
levels: [low, medium, high]
actions:
  - {id: soon, title: Look within two days, review: 2 days}
  - {id: later, title: Look within a month, review: 30 days}
steps:
  - id: size
    title: Size
    route:
      - {when: {transaction: amount, above: 100}, to: large}
    otherwise: small
    on_unknown: large
  - {id: large, title: Large, end: [soon]}
  - {id: small, title: Small, end: [later]}
on_failure: [soon]
"""


def waiting(bank: FlowBank, document: str = LARGE) -> FlowBank:
    bank.add_flow(document)
    call_flow(bank.context, "large", "customer", "a", payment(5000))
    return bank


def items(bank: FlowBank, filters: QueueFilters, role: Role = Role.INVESTIGATOR) -> list[QueueItem]:
    return list(list_items(bank.context, role, filters))


def as_member(bank: FlowBank, number: int) -> Context:
    return Context(bank.engine, Actor(bank.of, f"member:{number}"), lambda: bank.now)


@pytest.mark.postgresql
def test_a_run_that_waits_is_an_item_until_it_is_answered(engine: Engine) -> None:
    bank = waiting(FlowBank(engine))
    (item,) = items(bank, ASKED)
    assert (item.reason, item.about, item.asks, item.run) == ("Is this payment right?", "large", "investigator", 1)
    assert (item.since_us, item.due_us, item.external_id) == (NOW, NOW + 4 * HOUR_US, "a")
    assert items(bank, QueueFilters(kinds=("question",), order=QueueOrder.NEWEST)) == [item]
    counts = {count.kind: count.total for count in count_items(bank.context, Role.INVESTIGATOR, ASKED)}
    assert counts == {"question": 1}
    assert next_item(bank.context, Role.INVESTIGATOR, ASKED, None) is not None
    answer_run(person(bank), Role.INVESTIGATOR, 1, "right", WHY)
    assert items(bank, ASKED) == []
    assert read_item(bank.context, Role.INVESTIGATOR, item.item) is None


@pytest.mark.postgresql
def test_an_answer_takes_the_item_away_in_its_own_transaction_also_by_a_clock_that_is_ahead(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank = waiting(FlowBank(engine))
    bank.now += HOUR_US  # the answering program's clock; the worker that would carry the run on is dead
    monkeypatch.setattr("fivefold.usecases.flows.runs.answering.carried_on", lambda *_: None)
    answer_run(person(bank), Role.INVESTIGATOR, 1, "right", WHY)
    bank.now = NOW
    assert bank.runs()[0].state == "running"
    assert items(bank, ASKED) == []


@pytest.mark.postgresql
@pytest.mark.parametrize("how", ["late", "off", "erased"])
def test_what_nobody_can_answer_any_more_is_no_item(engine: Engine, how: str) -> None:
    bank = waiting(FlowBank(engine))
    if how == "late":
        bank.now += 4 * HOUR_US  # no worker looked at it yet
    else:
        change = "flows SET active_version_id = NULL" if how == "off" else "entities SET erased_us = 1"
        with engine.begin() as connection:
            connection.execute(text(f"UPDATE {change}"))
    assert items(bank, ASKED) == []
    assert sum(count.total for count in count_items(bank.context, Role.INVESTIGATOR, ASKED)) == 0


def test_a_shadow_asks_nobody(engine: Engine) -> None:
    bank = FlowBank(engine)
    bank.add_flow(LARGE.replace("above: 1000}", "above: 100000}"))
    bank.add_flow(LARGE, shadow=True)
    call_flow(bank.context, "large", "customer", "a", payment(5000))
    bank.work()
    assert [run.state for run in bank.runs()] == ["ended", "waiting"]
    assert items(bank, ASKED) == []


def test_a_question_is_for_those_who_may_answer_it(engine: Engine) -> None:
    bank = waiting(FlowBank(engine), LARGE.replace("role: investigator", "role: publisher"))
    assert items(bank, ASKED) == []
    (item,) = items(bank, ASKED, Role.PUBLISHER)
    assert items(bank, ASKED, Role.ADMIN) == [item]
    with pytest.raises(NotFoundError, match="there is no item"):
        read_item(bank.context, Role.INVESTIGATOR, item.item)
    with pytest.raises(ConfigError, match="there is no kind 'question' in the queue of approvers"):
        items(bank, ASKED, Role.APPROVER)
    ana = add_member(bank.context, "ana", ["investigator"]).id
    with pytest.raises(ConfigError, match="does not see questions to a member of the role publisher"):
        change_item(bank.context, Role.PUBLISHER, item.item, 0, assigned_to=ana)
    with pytest.raises(NotFoundError, match="there is no item"):
        change_item(bank.context, Role.INVESTIGATOR, item.item, 0, assigned_to=ana)


def test_who_called_a_run_does_not_take_its_question(engine: Engine) -> None:
    bank = FlowBank(engine)
    bank.add_flow(LARGE)
    ana, ben = (add_member(bank.context, name, ["investigator"]).id for name in ("ana", "ben"))
    call_flow(as_member(bank, ana), "large", "customer", "a", payment(5000))
    (item,) = items(bank, ASKED)
    assert item.asked_by == f"member:{ana}"
    with pytest.raises(ConflictError, match="ana called or caused run f:1; another person must answer it"):
        change_item(as_member(bank, ana), Role.INVESTIGATOR, item.item, 0, assigned_to=ana)
    taken = change_item(as_member(bank, ben), Role.INVESTIGATOR, item.item, 0, assigned_to=ben)
    assert taken is not None
    assert taken.assigned_name == "ben"
    with pytest.raises(ConfigError, match="leaves the queue only when it is dealt with"):
        change_item(as_member(bank, ben), Role.INVESTIGATOR, item.item, 1, assigned_to=ben, done=True)
    mine = list_items(as_member(bank, ben), Role.INVESTIGATOR, QueueFilters(assigned="mine"))
    assert [each.item for each in mine] == [item.item]


def test_the_second_question_of_a_run_is_another_item(engine: Engine) -> None:
    again = """  - id: again
    title: Another looks
    person:
      question: Really?
      role: publisher
      within: 1 hour
      answers: {yes: nothing, no: stop}
      otherwise: flag
  - {id: nothing,"""
    bank = FlowBank(engine)
    waiting(bank, LARGE.replace("{right: nothing,", "{right: again,").replace("  - {id: nothing,", again))
    (first,) = items(bank, ASKED, Role.ADMIN)
    number = [add_member(bank.context, name, ["admin"]).id for name in ("caller", "ana")][1]  # who called was number 1
    change_item(bank.context, Role.ADMIN, first.item, 0, assigned_to=number)
    bank.now += HOUR_US
    assert answer_run(as_member(bank, number), Role.INVESTIGATOR, 1, "right", WHY).at == "again"
    (second,) = items(bank, ASKED, Role.ADMIN)
    assert second.item != first.item
    assert (second.reason, second.assigned_to, second.due_us) == ("Really?", None, bank.now + HOUR_US)
    with pytest.raises(ConflictError, match="ana answered 'A person looks' of run f:1, which asks a mem"):
        change_item(bank.context, Role.ADMIN, second.item, 0, assigned_to=number)


@pytest.fixture
@filled_once
def reviewing(engine: Engine) -> FlowBank:
    bank = FlowBank(engine)
    bank.add_flow(REVIEWED)
    for amount in (500, 5):
        call_flow(bank.context, "looked-at", "customer", "a", payment(amount), f"of {amount}")
    return bank


@pytest.mark.postgresql
def test_a_review_waits_from_a_week_before_it_is_due_until_a_person_did_it(reviewing: FlowBank) -> None:
    bank = reviewing
    (soon,) = items(bank, REVIEWS)
    assert (soon.reason, soon.about, soon.run, soon.due_us) == (
        "Look within two days",
        "looked-at",
        1,
        NOW + 2 * DAY_US,
    )
    ana = add_member(bank.context, "ana", ["investigator"]).id
    with pytest.raises(ConfigError, match="reason must say why"):
        change_item(as_member(bank, ana), Role.INVESTIGATOR, soon.item, 0, assigned_to=ana, done=True)
    with pytest.raises(ConfigError, match="give a reason only to complete an item"):
        change_item(as_member(bank, ana), Role.INVESTIGATOR, soon.item, 0, assigned_to=ana, reason=WHY)
    assert change_item(
        as_member(bank, ana), Role.INVESTIGATOR, soon.item, 0, assigned_to=ana, done=True, reason=WHY
    ) is (None)
    assert items(bank, REVIEWS) == []
    done = view_run(bank.context, 1).taken[0]
    assert (done.done_by, done.done_reason, done.done_us) == (f"member:{ana}", WHY, NOW)
    assert bank.count("outbox WHERE kind = 'flow.reviewed'") == 1
    assert bank.count("audit_entries WHERE action = 'flow.reviewed'") == 1
    assert entity_actions(bank.context, "customer", "a").reviews == (NOW + 30 * DAY_US,)
    bank.now = NOW + 23 * DAY_US - 1
    assert items(bank, REVIEWS) == []
    bank.now += 1
    (later,) = items(bank, REVIEWS)
    assert (later.since_us, later.due_us) == (NOW + 23 * DAY_US, NOW + 30 * DAY_US)


def taken_back(context: Context, number: int, reason: str) -> None:
    take_back_action(context, Role.INVESTIGATOR, number, reason)


@pytest.mark.postgresql
def test_a_review_is_done_or_taken_back_once(reviewing: FlowBank) -> None:
    bank, own = reviewing, person(reviewing)
    soon, later = (view_run(bank.context, run).taken[0].number for run in (1, 2))
    finish_review(own, later, WHY)  # long before it is due
    for again in (finish_review, taken_back):
        with pytest.raises(ConflictError, match="was done already"):
            again(own, later, WHY)
    take_back_action(own, Role.INVESTIGATOR, soon, WHY)
    with pytest.raises(ConflictError, match="was taken back already"):
        finish_review(own, soon, WHY)
    with pytest.raises(NotFoundError):
        finish_review(own, 99, WHY)
    assert items(bank, REVIEWS) == []
    bank.now += 60 * DAY_US
    assert items(bank, REVIEWS) == []
    bank.add_flow(LARGE)
    flagged = call_flow(bank.context, "large", "customer", "b", payment(500)).taken[0].number
    with pytest.raises(ConflictError, match="is a status, and no review"):
        finish_review(own, flagged, WHY)


def test_two_people_who_do_the_same_review_do_it_once(reviewing: FlowBank) -> None:
    bank = reviewing
    ana, ben = (add_member(bank.context, name, ["investigator"]).id for name in ("ana", "ben"))
    (soon, *_) = items(bank, REVIEWS)
    change_item(as_member(bank, ana), Role.INVESTIGATOR, soon.item, 0, assigned_to=ana, done=True, reason=WHY)
    with pytest.raises(ConflictError, match="has left the queue"):
        change_item(as_member(bank, ben), Role.INVESTIGATOR, soon.item, 0, assigned_to=ben, done=True, reason=WHY)
    assert bank.count("outbox WHERE kind = 'flow.reviewed'") == 1


def held(bank: FlowBank) -> set[int]:
    with reading(bank.engine) as session:
        return held_entities(session, [bank.id_of("a")], bank.now)


@pytest.mark.postgresql
def test_a_question_that_was_taken_and_answered_holds_up_no_retention(engine: Engine) -> None:
    bank = waiting(FlowBank(engine))
    ana = [add_member(bank.context, name, ["investigator"]).id for name in ("caller", "ana")][1]
    (item,) = items(bank, ASKED)
    change_item(as_member(bank, ana), Role.INVESTIGATOR, item.item, 0, assigned_to=ana)
    assert held(bank)
    answer_run(as_member(bank, ana), Role.INVESTIGATOR, 1, "right", WHY)
    assert not held(bank)


@pytest.mark.postgresql
@pytest.mark.parametrize("how", [finish_review, taken_back])
def test_a_review_that_was_taken_holds_until_it_is_dealt_with(reviewing: FlowBank, how: Any) -> None:
    bank = reviewing
    ana = add_member(bank.context, "ana", ["investigator"]).id
    (item,) = items(bank, REVIEWS)
    assert not held(bank)
    change_item(as_member(bank, ana), Role.INVESTIGATOR, item.item, 0, assigned_to=ana)
    assert held(bank)
    how(as_member(bank, ana), 1, WHY)
    assert not held(bank)
