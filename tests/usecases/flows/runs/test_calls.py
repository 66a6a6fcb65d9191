"""Calls run flows in the request; people answer what runs ask, and take back what they did."""

import json
from typing import Any

import pytest
from sqlalchemy import Engine, text

from fivefold.domain.clock import second_text
from fivefold.domain.errors import ConfigError, ConflictError, InvalidDataError, NotFoundError
from fivefold.store.flows.actions import OF_TRANSACTION
from fivefold.store.sql.database import writing
from fivefold.store.tables.flows import FlowRow
from fivefold.usecases.flows.activate import switch_flow_off
from fivefold.usecases.flows.runs import actions, calling
from fivefold.usecases.flows.runs.answering import answer_run, take_back_action
from fivefold.usecases.flows.runs.calling import call_flow
from fivefold.usecases.flows.runs.outcomes import replay_record
from fivefold.usecases.flows.runs.reading import RunFilters, entity_actions, search_runs, view_run
from fivefold.usecases.ingest.facts import end_tag
from fivefold.usecases.shared.actors import Role
from fivefold.usecases.shared.context import Context
from tests.usecases.flows.flowing import HOUR_US, LARGE, FlowBank
from tests.usecases.platforms import actor

WHY = "Known by telephone."
STATUSES = """
flow: statuses
title: Statuses
entity_type: customer
levels: [low, medium, high]
transaction_fields: {operation: text}
actions:
  - {id: blocked, title: Block, status: blocked}
  - {id: flagged, title: Flag, status: flagged}
  - {id: fifty, title: Fifty, limit: daily, amount: 50, between: [0, 500]}
  - {id: hundred, title: Hundred, limit: daily, amount: 100, between: [0, 500]}
  - {id: weekly, title: A week, limit: weekly, amount: 300, between: [0, 500]}
  - {id: watch, title: Watch, tag: watch}
  - {id: tell, title: Tell, webhook: told}
steps:
  - id: which
    title: Which
    route:
      - {when: {transaction: amount, above: 1000}, to: severe}
      - {when: {transaction: amount, above: 100}, to: mild}
    otherwise: watched
  - {id: severe, title: Severe, end: [blocked, fifty]}
  - {id: mild, title: Mild, end: [flagged, hundred]}
  - {id: watched, title: Watched, end: [watch, weekly, tell]}
on_failure: [watch]
"""


def payment(amount: float, **changed: object) -> dict[str, object]:
    return {"transaction_amount": amount, "transaction_currency": "EUR", **changed}


DAY = """
flow: day
title: What a day allows
entity_type: customer
levels: [low, medium, high]
transaction_fields: {operation: text}
triggers: [{on: import}]
actions: [{id: blocked, title: Block, status: blocked}]
steps:
  - id: numbers
    title: The day with this one
    calculate:
      with_this: {unit: money, add: [{sum: amount, over: 1 day}, {transaction: amount}]}
    then: size
  - id: size
    title: Size
    route: [{when: {calculation: with_this, above: 1000}, to: stop}]
    otherwise: fine
  - {id: fine, title: Fine, end: []}
  - {id: stop, title: Stopped, end: [blocked]}
on_failure: [blocked]
"""


def person(bank: FlowBank, name: str = "member:2") -> Context:
    return Context(bank.engine, actor(bank.of, name), lambda: bank.now)


@pytest.mark.postgresql
def test_a_transaction_that_is_stored_already_counts_once_in_a_call(engine: Engine) -> None:
    bank = FlowBank(engine)
    bank.add_flow(DAY)
    bank.post(1, 600, transaction_date=bank.day)
    stored, other = (
        call_flow(bank.context, "day", "customer", "a", payment(600, transaction_id=number)) for number in ("t1", "t2")
    )
    assert (stored.state, stored.at, other.at) == ("ended", "fine", "stop")


@pytest.mark.postgresql
def test_a_number_that_is_not_text_names_the_same_transaction(engine: Engine) -> None:
    """As in the transactions that are stored: 901 is their number "901"."""
    bank = FlowBank(engine)
    bank.add_flow(DAY)
    bank.post(901, 600, transaction_date=bank.day, transaction_id=901)
    runs = [
        call_flow(bank.context, "day", "customer", "a", payment(600, transaction_id=number), run_key=key)
        for number in (901, "901")
        for key in (None, f"of {number!r}")
    ]
    assert [(run.at, run.cause) for run in runs] == [
        ("fine", "call:901"),
        ("fine", "call:of 901"),
        ("fine", "call:901"),
        ("fine", "call:of '901'"),
    ]
    assert runs[0].number == runs[2].number


@pytest.mark.postgresql
def test_a_call_looks_at_the_transaction_that_came_with_it_and_stores_none(engine: Engine) -> None:
    bank = FlowBank(engine)
    bank.add_flow(LARGE)
    run = call_flow(bank.context, "large", "customer", "a", payment(500, transaction_id="p1"))
    assert (run.state, run.at, run.cause, len(run.taken)) == ("ended", "flag", "call:p1", 5)
    again = call_flow(bank.context, "large", "customer", "a", payment(500, transaction_id="p1"))
    assert (again.number, len(bank.actions())) == (run.number, 5)
    assert replay_record(bank.context, f"f:{run.number}").same
    assert bank.count("transactions") == 0
    with pytest.raises(ConflictError):
        call_flow(bank.context, "large", "customer", "a", payment(5, transaction_id="p1"))
    without = call_flow(bank.context, "large", "customer", "a")
    assert (without.state, without.at) == ("failed", "size")
    assert [each.number for each in search_runs(bank.context, RunFilters(state="failed"))] == [without.number]


def test_a_call_is_refused_before_anything_is_stored(engine: Engine) -> None:
    bank = FlowBank(engine)
    bank.add_flow(LARGE)
    with pytest.raises(NotFoundError):
        call_flow(bank.context, "small", "customer", "a")
    with pytest.raises(NotFoundError):
        call_flow(bank.context, "large", "customer", "z")
    with pytest.raises(InvalidDataError):
        call_flow(bank.context, "large", "customer", "a", {"amount": 5})
    with pytest.raises(ConfigError):
        call_flow(bank.context, "large", "customer", "a", run_key="")
    assert bank.runs() == []


def test_a_call_during_which_another_version_becomes_active_is_one_run(engine: Engine) -> None:
    bank = FlowBank(engine)
    bank.add_flow(LARGE)
    first = call_flow(bank.context, "large", "customer", "a", payment(500), "k")
    bank.add_flow(LARGE.replace("above: 100}", "above: 400}"))
    assert call_flow(bank.context, "large", "customer", "a", payment(500), "k").number == first.number


def test_a_person_answers_and_the_run_goes_on(engine: Engine) -> None:
    bank = FlowBank(engine)
    bank.add_flow(LARGE)
    run = call_flow(bank.context, "large", "customer", "a", payment(5000))
    assert run.question is not None
    assert (run.state, run.question.answers) == ("waiting", ("right", "wrong"))
    for refused, error in (
        ((bank.context, Role.INVESTIGATOR, run.number, "wrong", WHY), ConflictError),
        ((person(bank), Role.PUBLISHER, run.number, "wrong", WHY), ConfigError),
        ((person(bank), Role.INVESTIGATOR, run.number, "perhaps", WHY), ConfigError),
        ((person(bank), Role.INVESTIGATOR, run.number, "wrong", " "), ConfigError),
        ((person(bank), Role.INVESTIGATOR, 99, "wrong", WHY), NotFoundError),
    ):
        with pytest.raises(error):
            answer_run(*refused)
    done = answer_run(person(bank), Role.INVESTIGATOR, run.number, "wrong", WHY)
    assert (done.state, done.at, [each.action for each in done.taken]) == ("ended", "stop", ["blocked"])
    assert [(each.step, each.outcome["reason"], each.actor) for each in done.answered] == [("ask", WHY, "member:2")]
    assert replay_record(bank.context, f"f:{run.number}").same
    with pytest.raises(ConflictError):
        answer_run(person(bank), Role.INVESTIGATOR, run.number, "right", WHY)


def test_an_answer_that_comes_too_late_is_refused(engine: Engine) -> None:
    bank = FlowBank(engine)
    bank.add_flow(LARGE)
    run = call_flow(bank.context, "large", "customer", "a", payment(5000))
    bank.now += 4 * HOUR_US
    since = rf"^the time for an answer to run f:{run.number} was over at {second_text(bank.now)}$"
    bank.now += 1
    with pytest.raises(ConflictError, match=since):
        answer_run(person(bank), Role.INVESTIGATOR, run.number, "right", WHY)
    bank.work()
    assert view_run(bank.context, run.number).at == "flag"
    gone_on = rf"^the time for an answer to run f:{run.number} was over by {second_text(bank.now)}: nobody gave one$"
    bank.now += HOUR_US
    with pytest.raises(ConflictError, match=gone_on):
        answer_run(person(bank), Role.INVESTIGATOR, run.number, "right", WHY)


AGAIN = """  - id: again
    title: Another looks
    person:
      question: Is this customer right?
      role: investigator
      within: 4 hours
      answers: {right: nothing, wrong: stop}
      otherwise: flag
  - {id: nothing,"""
ASKS_AGAIN = LARGE.replace("otherwise: flag", "otherwise: again").replace("  - {id: nothing,", AGAIN)
"""Where nobody answers in time it asks something else, which takes the same answers."""


def test_a_late_answer_to_one_question_is_not_taken_for_the_next(engine: Engine) -> None:
    bank = FlowBank(engine)
    bank.add_flow(ASKS_AGAIN)
    first = call_flow(bank.context, "large", "customer", "a", payment(5000)).question
    bank.now += 4 * HOUR_US
    bank.work()
    second = view_run(bank.context, 1).question
    assert first is not None
    assert second is not None
    assert (first.answers, first.asked_us) == (second.answers, bank.now - 4 * HOUR_US)
    assert (second.step, second.asked_us) == ("again", bank.now)
    given = (person(bank), Role.INVESTIGATOR, 1, "wrong", WHY)
    with pytest.raises(ConflictError, match=r"^the question of run f:1 is another one now, of "):
        answer_run(*given, expected_asked_us=first.asked_us)
    assert view_run(bank.context, 1).question == second
    assert answer_run(*given, expected_asked_us=second.asked_us).at == "stop"


def test_a_call_that_is_made_again_finds_its_run_where_the_flow_was_switched_off_since(engine: Engine) -> None:
    bank = FlowBank(engine)
    bank.add_flow(LARGE)
    first = call_flow(bank.context, "large", "customer", "a", payment(5000), "k1")
    done = call_flow(bank.context, "large", "customer", "a", payment(500), "k2")
    switch_flow_off(bank.context, "large", WHY)
    assert call_flow(bank.context, "large", "customer", "a", payment(5000), "k1") == first
    assert call_flow(bank.context, "large", "customer", "a", payment(500), "k2") == done
    with pytest.raises(ConflictError, match="called for something else"):
        call_flow(bank.context, "large", "customer", "a", payment(5), "k1")
    with pytest.raises(NotFoundError, match="no version of the flow large is active"):
        call_flow(bank.context, "large", "customer", "a", payment(5000), "k3")
    with pytest.raises(NotFoundError, match="there is no flow"):
        call_flow(bank.context, "small", "customer", "a", payment(5000), "k1")


@pytest.mark.parametrize(
    "spelt",
    [{"transaction_amount": 5e2}, {"operation": None}, {"user_id": "a", "transaction_state": "PENDING"}],
    ids=["an exponent", "null", "the customer and the usual state"],
)
def test_a_call_is_the_same_however_its_transaction_is_spelt(engine: Engine, spelt: dict[str, object]) -> None:
    bank = FlowBank(engine)
    bank.add_flow(LARGE)
    first = call_flow(bank.context, "large", "customer", "a", payment(500), "k1")
    bank.now += 1
    assert call_flow(bank.context, "large", "customer", "a", payment(500, **spelt), "k1").number == first.number
    dated = payment(500, transaction_date="2026-11-19T12:00:00")
    with pytest.raises(ConflictError, match="called for something else"):
        call_flow(bank.context, "large", "customer", "a", dated, "k1")
    other = call_flow(bank.context, "large", "customer", "a", dated, "k2")
    utc = {**dated, "transaction_date": "2026-11-19T12:00:00Z"}
    assert call_flow(bank.context, "large", "customer", "a", utc, "k2").number == other.number


def test_who_answers_a_moment_later_reads_that_it_was_answered(engine: Engine) -> None:
    bank = FlowBank(engine)
    bank.add_flow(LARGE)
    asked, over = (call_flow(bank.context, "large", "customer", "a", payment(5000), key) for key in ("k1", "k2"))
    answer_run(person(bank), Role.INVESTIGATOR, asked.number, "right", WHY)
    with pytest.raises(ConflictError, match=f"of run f:{asked.number} was answered already, by member:2 at 20"):
        answer_run(person(bank, "member:3"), Role.INVESTIGATOR, asked.number, "wrong", WHY)
    bank.now += 5 * HOUR_US
    bank.work()
    with pytest.raises(ConflictError, match="the time for an answer to run f:2 was over by"):
        answer_run(person(bank, "member:3"), Role.INVESTIGATOR, over.number, "wrong", WHY)


def test_the_shadow_of_a_called_flow_runs_beside_it_and_nobody_answers_it(engine: Engine) -> None:
    bank = FlowBank(engine)
    bank.add_flow(LARGE)
    bank.add_flow(LARGE, shadow=True)
    call_flow(bank.context, "large", "customer", "a", payment(5000))
    bank.work()
    shadow = search_runs(bank.context, RunFilters(acting=False))[0]
    assert shadow.state == "waiting"
    with pytest.raises(ConflictError):
        answer_run(person(bank), Role.INVESTIGATOR, shadow.number, "right", WHY)


def stands(bank: FlowBank, name: str = "a") -> tuple[str | None, dict[str, int]]:
    standing = entity_actions(bank.context, "customer", name)
    return standing.status, {each.limit: each.amount_minor for each in standing.limits}


def events_of(bank: FlowBank) -> list[dict[str, Any]]:
    with bank.engine.connect() as connection:
        bodies = connection.execute(text("SELECT body FROM outbox WHERE kind LIKE 'flow.%' ORDER BY id")).scalars()
        return [json.loads(each) for each in bodies]


def test_what_a_flow_sets_later_takes_the_place_of_what_it_set_before(engine: Engine) -> None:
    bank = FlowBank(engine)
    bank.add_flow(STATUSES)
    call_flow(bank.context, "statuses", "customer", "a", payment(2000), "k1")
    assert stands(bank) == ("blocked", {"daily": 5_000})
    call_flow(bank.context, "statuses", "customer", "a", payment(200), "k2")
    assert stands(bank) == ("flagged", {"daily": 10_000})
    call_flow(bank.context, "statuses", "customer", "a", payment(5), "k3")  # it sets another limit, and no status
    assert stands(bank) == ("flagged", {"daily": 10_000, "weekly": 30_000})
    standing = entity_actions(bank.context, "customer", "a")
    assert standing.status_action is not None
    take_back_action(
        person(bank), Role.INVESTIGATOR, standing.status_action, WHY
    )  # what it took the place of counts again
    assert stands(bank)[0] == "blocked"
    assert events_of(bank)[-1]["stands"] == {"status": "blocked", "action": min(each.id for each in bank.actions())}


def test_a_milder_status_of_one_flow_does_not_hide_a_severe_one_of_another(engine: Engine) -> None:
    bank = FlowBank(engine)
    bank.add_flow(STATUSES)
    bank.add_flow(STATUSES.replace("flow: statuses", "flow: others"))
    call_flow(bank.context, "others", "customer", "a", payment(2000), "k1")
    call_flow(bank.context, "statuses", "customer", "a", payment(200), "k2")
    assert stands(bank) == ("blocked", {"daily": 5_000})
    flagged, hundred = [each for each in events_of(bank) if each["flow"] == "statuses"]
    assert (flagged["content"]["status"], flagged["stands"]["status"]) == ("flagged", "blocked")
    assert (hundred["content"]["amount_minor"], hundred["stands"]["amount_minor"]) == (10_000, 5_000)


def test_what_a_person_decided_stays_until_a_person_decides_again(engine: Engine) -> None:
    bank = FlowBank(engine)
    decided = LARGE.replace("title: Flag, status: flagged", "title: Flag, status: approved")
    assert decided != LARGE
    bank.add_flow(decided.replace("{right: nothing", "{right: flag"))
    runs = [call_flow(bank.context, "large", "customer", "a", payment(5000), f"k{number}").number for number in (1, 2)]
    answer_run(person(bank), Role.INVESTIGATOR, runs[0], "wrong", WHY)
    assert stands(bank)[0] == "blocked"
    call_flow(bank.context, "large", "customer", "a", payment(500), "k3")
    assert [each.content.get("status") for each in bank.actions() if each.kind == "status"] == ["blocked", "approved"]
    assert stands(bank)[0] == "blocked"  # nobody was asked about the second payment
    answer_run(person(bank), Role.INVESTIGATOR, runs[1], "right", WHY)
    assert stands(bank)[0] == "approved"


def test_a_run_that_nobody_answered_in_time_takes_the_place_of_no_newer_one(engine: Engine) -> None:
    bank = FlowBank(engine)
    milder = LARGE.replace("status: flagged", "status: approved").replace("to: flag}", "to: stop}")
    assert milder != LARGE
    bank.add_flow(milder)
    call_flow(bank.context, "large", "customer", "a", payment(5000), "k1")  # a person is asked
    call_flow(bank.context, "large", "customer", "a", payment(500), "k2")
    assert stands(bank)[0] == "blocked"
    bank.now += 5 * HOUR_US
    bank.work()  # nobody came
    assert [each.content["status"] for each in bank.actions() if each.kind == "status"] == ["blocked", "approved"]
    assert stands(bank)[0] == "blocked"
    call_flow(bank.context, "large", "customer", "a", payment(5000), "k3")
    bank.now += 5 * HOUR_US
    bank.work()  # this one began last
    assert stands(bank)[0] == "approved"


@pytest.mark.parametrize("words", ["reversible: false", "relationship: ended"])
def test_what_cannot_be_undone_is_not_undone_by_a_later_run(engine: Engine, words: str) -> None:
    bank = FlowBank(engine)
    lasting = STATUSES.replace("status: blocked}", f"status: blocked, {words}}}")
    if words.startswith("relationship"):
        lasting = LARGE.replace("status: blocked}", f"status: blocked, {words}}}")
    name = lasting.split()[1]
    bank.add_flow(lasting)
    run = call_flow(bank.context, name, "customer", "a", payment(5000), "k1")
    if run.question is not None:
        answer_run(person(bank), Role.INVESTIGATOR, run.number, "wrong", WHY)
    call_flow(bank.context, name, "customer", "a", payment(500), "k2")
    assert len([each for each in bank.actions() if each.kind == "status"]) == 2
    assert stands(bank)[0] == "blocked"


def test_the_status_of_a_transaction_says_nothing_about_the_customer(engine: Engine) -> None:
    bank = FlowBank(engine)
    bank.add_flow(STATUSES.replace("status: blocked}", "status: blocked, of: transaction}"))
    call_flow(bank.context, "statuses", "customer", "a", payment(2000, transaction_id="T-1"))
    call_flow(bank.context, "statuses", "customer", "a", payment(2000), "k2")
    contents = [each.content for each in bank.actions() if each.kind == "status"]
    assert {each.subject for each in bank.actions() if each.kind == "status"} == {OF_TRANSACTION}
    said = {"status": "blocked", "of": "transaction"}
    assert contents == [{**said, "transaction_id": "T-1"}, {**said, "transaction_id": None}]
    assert stands(bank) == (None, {"daily": 5_000})
    assert "stands" not in next(each for each in events_of(bank) if each["kind"] == "status")


def test_the_severest_status_and_the_lowest_limit_stand_until_they_are_taken_back(engine: Engine) -> None:
    bank = FlowBank(engine)
    bank.add_flow(STATUSES)
    bank.add_flow(STATUSES.replace("flow: statuses", "flow: others"))
    for number, (flow, amount) in enumerate((("statuses", 200), ("others", 2000), ("statuses", 300), ("statuses", 5))):
        call_flow(bank.context, flow, "customer", "a", payment(amount), f"k{number}")
    standing = entity_actions(bank.context, "customer", "a")
    assert standing.status == "blocked"
    assert [(each.limit, each.amount_minor) for each in standing.limits] == [("daily", 5_000), ("weekly", 30_000)]
    assert standing.status_action is not None
    taken = take_back_action(person(bank), Role.INVESTIGATOR, standing.status_action, WHY)
    assert taken.taken_back_by == "member:2"
    take_back_action(person(bank), Role.INVESTIGATOR, standing.limits[0].action, WHY)
    after = entity_actions(bank.context, "customer", "a")
    assert (after.status, after.limits[0].amount_minor) == ("flagged", 10_000)
    assert bank.count("outbox WHERE kind = 'flow.taken_back'") == 2
    with pytest.raises(ConflictError):
        take_back_action(person(bank), Role.INVESTIGATOR, standing.status_action, WHY)
    (told,) = [each.id for each in bank.actions() if each.action == "tell"]
    with pytest.raises(ConflictError):
        take_back_action(person(bank), Role.INVESTIGATOR, told, WHY)
    assert entity_actions(bank.context, "customer", "b").status is None


def test_a_tag_ends_where_it_is_taken_back_and_one_that_ended_is_only_marked(engine: Engine) -> None:
    bank = FlowBank(engine)
    bank.add_flow(STATUSES)
    for name in "ab":
        call_flow(bank.context, "statuses", "customer", name, payment(5))
    bank.wait(1)
    first, second = (each for each in bank.actions() if each.kind == "tag")
    end_tag(bank.context, "customer", "b", "watch")
    for each in (first, second):
        assert take_back_action(person(bank), Role.INVESTIGATOR, each.id, WHY).taken_back_reason == WHY
    assert bank.count("tags WHERE until_us IS NULL") == 0


def test_a_flow_that_is_off_is_not_called(engine: Engine) -> None:
    bank = FlowBank(engine)
    bank.add_flow(LARGE)
    with writing(engine) as session:
        session.get_one(FlowRow, 1).active_version_id = None
    with pytest.raises(NotFoundError):
        call_flow(bank.context, "large", "customer", "a")


def broken(*_: Any) -> None:
    raise RuntimeError("a fault")


@pytest.mark.postgresql
@pytest.mark.parametrize("amount", [5, 500, 5000, None])
def test_a_run_at_once_is_stored_as_one_that_a_worker_carries_on(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, amount: float | None
) -> None:
    """Of two customers who are alike one is called at once, the other by lease: their rows differ by cause alone."""
    bank = FlowBank(engine)
    bank.add_flow(LARGE)
    sent = None if amount is None else payment(amount)
    at_once = call_flow(bank.context, "large", "customer", "a", sent, "once")
    with monkeypatch.context() as patched:
        patched.setattr(calling, "begin_of", broken)
        by_lease = call_flow(bank.context, "large", "customer", "b", sent, "leased")
    lacking = {"number", "external_id", "cause", "why", "taken"}
    first, second = ({**vars(each), **dict.fromkeys(lacking)} for each in (at_once, by_lease))
    assert first == second
    assert len(at_once.taken) == len(by_lease.taken)
    stored = [{**vars(run)} for run in bank.runs()]
    for row in stored:
        for name in ("_sa_instance_state", "id", "entity_id", "cause", "about", "salt", "inputs", "answer"):
            del row[name]
    assert stored[0] == stored[1]
    answers = [{**json.loads(run.answer or ""), "cause": None} for run in bank.runs()]
    assert answers[0] == answers[1]
    for view in (at_once, by_lease):
        assert replay_record(bank.context, f"f:{view.number}").same


@pytest.mark.postgresql
def test_a_fault_at_once_leaves_a_run_that_keeps_it(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a fault undid was stored as a whole or not at all: the worker does all of it, once."""
    bank = FlowBank(engine)
    bank.add_flow(LARGE)
    with monkeypatch.context() as patched:
        patched.setattr(actions, "set_tag_in", broken)
        run = call_flow(bank.context, "large", "customer", "a", payment(500), "k")
    assert (run.state, run.taken, bank.actions()) == ("queued", (), [])
    assert run.error == "RuntimeError in usecases.flows.runs.actions._affect"
    bank.now += HOUR_US
    bank.work()
    assert bank.states() == [("call:k", "ended", "flag")]
    assert len(bank.actions()) == 5


def test_a_flow_that_is_switched_off_while_its_facts_are_read_does_nothing(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank = FlowBank(engine)
    bank.add_flow(LARGE)
    real = calling.begin_of

    def switched_off(*given: Any) -> Any:
        with writing(engine) as session:
            session.get_one(FlowRow, 1).active_version_id = None
        return real(*given)

    monkeypatch.setattr(calling, "begin_of", switched_off)
    with pytest.raises(NotFoundError):
        call_flow(bank.context, "large", "customer", "a", payment(500))
    assert (bank.runs(), bank.actions()) == ([], [])
