"""Replay of a version over history: what it would have done, beside the version that acts, as a worker makes it."""

from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from fivefold.domain.canonical import canonical_json
from fivefold.domain.clock import DAY_US, parse_moment
from fivefold.domain.errors import ConfigError, ConflictError, NotFoundError
from fivefold.domain.paging import Part
from fivefold.flows.outside.outcomes import OutsideOutcome, failed_outcome
from fivefold.store.tables.entities import ValueScore
from fivefold.store.tables.flows import FlowVersion
from fivefold.usecases.erasure.erase import erase_entity
from fivefold.usecases.flows.replays import tally
from fivefold.usecases.flows.replays.jobs import (
    REPLAYS,
    FlowReplayLine,
    ReplayAsked,
    list_flow_replays,
    list_replay_people,
    read_flow_replay,
    request_flow_replay,
)
from fivefold.usecases.flows.runs import asking
from fivefold.usecases.flows.runs.answering import answer_run
from fivefold.usecases.ingest.facts import set_tag
from fivefold.usecases.ingest.transactions import add_transactions
from fivefold.usecases.shared.actors import Role
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.jobs import run_next_job
from tests.usecases import banks
from tests.usecases.flows.documents import ASKS_SOURCE
from tests.usecases.flows.flowing import HOUR_US, LARGE, FlowBank
from tests.usecases.platforms import actor, transaction

STRICTER = LARGE.replace("above: 100}", "above: 10}").replace("title: Large payments", "title: Payments")
PERIOD = ReplayAsked(from_us=parse_moment("2026-10-01", "from"), until_us=parse_moment("2026-11-10", "until"))

MANY = """
flow: many
title: Many payments
entity_type: customer
levels: [low, medium, high]
fields: {country: country, income: number}
transaction_fields: {operation: text}
triggers: [{on: level, direction: up}, {on: tag, tag: watch}, {on: segment, to: [top]}, {on: import}]
actions:
  - {id: flagged, title: Flag, status: flagged}
  - {id: bound, title: Bound, limit: daily, amount: 12.5, between: [0, 500]}
steps:
  - id: much
    title: Much
    route:
      - {when: {sum: amount, over: 30 days, above: 100}, to: ask}
      - {when: {level: in_force, equals: high}, to: flag}
      - {when: {value: segment, equals: top}, to: flag}
    otherwise: nothing
    on_unknown: nothing
  - id: ask
    title: A person looks
    person:
      question: Is this right?
      role: investigator
      within: 4 hours
      answers: {right: nothing, wrong: flag}
      otherwise: flag
  - {id: nothing, title: Nothing, end: []}
  - {id: flag, title: Flagged, end: [flagged, bound]}
on_failure: [flagged]
"""


def made(bank: FlowBank, flow: str, asked: ReplayAsked = ReplayAsked()) -> FlowReplayLine:  # noqa: B008 (frozen)
    line, is_new = request_flow_replay(bank.context, flow, asked)
    assert is_new
    assert run_next_job(bank.engine, REPLAYS, bank.now)
    found = read_flow_replay(bank.context, line.id)
    assert (found.state, found.error) == ("done", None)
    return found


def report(line: FlowReplayLine) -> dict[str, Any]:
    assert line.report is not None
    return line.report


def people(bank: FlowBank, line: FlowReplayLine, *of: str | None) -> list[tuple[str, ...]]:
    found = list_replay_people(bank.context, line.id, *of)
    return [
        (each.external_id, each.cause, each.before_at, each.before_actions, each.stopped_at, each.actions)
        for each in found
    ]


@pytest.mark.postgresql
def test_a_period_comes_to_the_ends_of_the_runs_that_there_were(engine: Engine) -> None:
    bank = FlowBank(engine, "abc")
    bank.add_flow(LARGE)
    for number, amount, user in ((1, 5, "a"), (2, 50, "a"), (3, 50, "b"), (4, 500, "b"), (5, 5000, "a"), (6, 5, "b")):
        bank.post(number, amount, user)
    bank.post(7, 500, transaction_date="2026-11-10T00:00:00")  # behind the last moment
    bank.work()
    bank.add_flow(STRICTER, acting=False)
    line = made(bank, "large", PERIOD)
    found = report(line)
    assert (line.version, line.base_version, found["entities"], found["causes"]) == (2, 1, 3, [["transaction", 6]])
    assert found["base_ends"] == [["ended", "flag", 1], ["ended", "nothing", 4], ["waits", "ask", 1]]
    lived = [(state, step) for cause, state, step in bank.states() if cause != "transaction:t7"]
    assert sorted(lived) == [("ended", "flag")] + [("ended", "nothing")] * 4 + [("waiting", "ask")]
    assert found["moves"] == [
        ["ended", "flag", "ended", "flag", 1],
        ["ended", "nothing", "ended", "flag", 2],
        ["ended", "nothing", "ended", "nothing", 2],
        ["waits", "ask", "waits", "ask", 1],
    ]
    assert found["actions"] == [[name, 3] for name in ("bound", "flagged", "note", "open", "tell")]
    assert (found["different"], found["people"], found["answered"]) == (2, 2, [])
    done = "flagged, note, open, tell, bound 100 EUR"
    assert people(bank, line) == [
        ("a", "transaction:t2", "nothing", "", "flag", done),
        ("b", "transaction:t3", "nothing", "", "flag", done),
    ]
    assert line.report_hash == sha256(canonical_json(found).encode()).hexdigest()
    assert len(bank.actions()) == 10, "a replay acts on nothing"
    first = list_replay_people(bank.context, line.id, part=Part(1))
    assert [each.external_id for each in list_replay_people(bank.context, line.id, part=Part(1, first.next))] == ["b"]
    assert people(bank, line, "nothing", "flag") == people(bank, line)
    assert people(bank, line, "flag") == people(bank, line, None, "ask") == []


def test_a_person_who_answered_then_answers_in_the_replay_and_others_would_be_asked(engine: Engine) -> None:
    bank = FlowBank(engine)
    bank.add_flow(LARGE)
    for number, user in ((1, "a"), (2, "b")):
        bank.post(number, 5000, user)
    bank.work()
    first = next(run.id for run in bank.runs() if run.cause == "transaction:t1")
    answer_run(
        Context(engine, actor(bank.of, "member:2"), lambda: bank.now), Role.INVESTIGATOR, first, "wrong", "I know."
    )
    bank.work()
    bank.add_flow(STRICTER, acting=False)
    found = report(made(bank, "large", PERIOD))
    assert found["ends"] == [["ended", "stop", 1], ["waits", "ask", 1]]
    assert found["answered"] == [["ask", 1]]
    bank.add_flow(STRICTER.replace("Is this payment right?", "May this payment pass?"), acting=False)
    asked_anew = report(made(bank, "large", PERIOD))
    assert (asked_anew["ends"], asked_anew["answered"]) == ([["waits", "ask", 2]], []), "another question was answered"


def test_history_of_a_file_is_replayed_though_it_began_no_run(engine: Engine) -> None:
    bank = FlowBank(engine)
    bank.add_flow(LARGE)
    bank.post(1, 500)
    add_transactions(bank.context, [transaction(2, "b", transaction_amount=500.0)], from_file=True)
    bank.work()
    assert [cause for cause, *_ in bank.states()] == ["transaction:t1"]
    bank.add_flow(STRICTER, acting=False)
    found = report(made(bank, "large", PERIOD))
    assert (found["causes"], found["base_ends"]) == ([["transaction", 2]], [["ended", "flag", 2]])


OUTSIDE = {
    "data": "data: {source: register, send: {amount: {transaction: amount}}, gives: {live: flag}}",
    "model": "model: {name: churn, alias: champion, send: {amount: {sum: amount}}, gives: {live: flag}}",
    "agent": 'agent: {question: "Is it live?", facts: {amount: {sum: amount}}, answers: [live, gone]}',
}
OTHERWISE_ASKED = {
    "data": ("{transaction: amount}", "{sum: amount}"),
    "model": ("alias: champion", "alias: challenger"),
    "agent": ("Is it live?", "Is it dead?"),
}


@pytest.mark.parametrize("kind", OUTSIDE)
def test_what_came_from_outside_then_comes_in_the_replay_and_nothing_is_asked(
    engine: Engine, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank = FlowBank(engine)
    data, changed = OUTSIDE["data"], OTHERWISE_ASKED[kind]
    bank.add_flow(ASKS_SOURCE.replace(data, OUTSIDE[kind]))
    values: dict[str, Any] = {"answer": "gone"} if kind == "agent" else {"live": True}
    asked = list[int]()

    def answer(questions: Any, clock: Any) -> list[OutsideOutcome]:
        """Answer about a, and be out of reach for b."""
        asked.extend(question.run_id for question in questions)
        at_us = clock()
        return [
            OutsideOutcome(values=values, source="outside", at_us=at_us)
            if question.entity_id == bank.id_of("a")
            else failed_outcome("no answer within 5 s", "outside", at_us)
            for question in questions
        ]

    monkeypatch.setattr(asking, "ask_of_all", answer)
    bank.post(1, 500)
    bank.post(2, 50, "b")
    bank.work()
    lived = [["ended", "known", 1], ["ended", "unknown", 1]]
    assert [[state, step, 1] for _, state, step in bank.states()] == lived
    assert len(asked) == 2
    known = ASKS_SOURCE.replace(data, OUTSIDE[kind]).replace("title: Known", "title: Known better")
    bank.add_flow(known, acting=False)
    found = report(made(bank, "asks", PERIOD))
    assert (found["base_ends"], found["ends"], found["answered"]) == (lived, lived, [["register", 2]])
    assert found["different"] == 0
    bank.add_flow(known.replace(*changed), acting=False)
    anew = report(made(bank, "asks", PERIOD))
    assert (anew["ends"], anew["answered"]) == ([["asks", "register", 2]], []), "another question was answered"
    assert len(asked) == 2


def test_everybody_is_replayed_on_the_facts_of_a_moment(engine: Engine) -> None:
    bank = FlowBank(engine, "abc")
    bank.add_flow(MANY)
    bank.post(1, 500, "a")  # on 1 November
    bank.post(2, 50, "b", transaction_date="2026-11-15T00:00:00")
    bank.post(3, 70, "b", transaction_date="2026-11-15T00:00:00")
    now = made(bank, "many")
    assert (now.base_version, report(now)["ends"]) == (None, [["ended", "nothing", 1], ["waits", "ask", 2]])
    assert people(bank, now) == [("a", "", "", "", "ask", ""), ("b", "", "", "", "ask", "")]
    earlier = made(bank, "many", ReplayAsked(as_of_us=parse_moment("2026-11-10", "as_of")))
    assert report(earlier)["ends"] == [["ended", "nothing", 2], ["waits", "ask", 1]]
    assert [each.id for each in list_flow_replays(bank.context, "many")] == [earlier.id, now.id]
    assert [each.id for each in list_flow_replays(bank.context, "many", version=1)] == [earlier.id, now.id]
    with pytest.raises(NotFoundError):
        list_flow_replays(bank.context, "many", version=2)


def test_fields_are_those_that_were_known_at_the_moment(engine: Engine) -> None:
    bank = FlowBank(engine)
    bank.put("a", country="NO")
    known = bank.now
    bank.wait(10)
    bank.put("a", country="IR")
    bank.put("late", country="IR")
    bank.wait(10)
    route = MANY.replace("{sum: amount, over: 30 days, above: 100}", "{field: country, equals: IR}")
    bank.add_flow(route.replace("to: ask}", "to: flag}", 1))

    def flagged(at_us: int) -> list[str]:
        return [name for name, _, _, _, stopped, _ in people(bank, made(bank, "many", ReplayAsked(as_of_us=at_us)))]

    assert flagged(bank.now) == ["a", "late"]
    assert flagged(known + DAY_US) == [], "and of who was not there yet nothing was known"


def test_levels_and_values_are_those_of_the_moment(engine: Engine) -> None:
    bank = FlowBank(engine)
    bank.activate(banks.document({"country": banks.COUNTRY}))
    bank.put("a", country="IR")
    bank.settle()
    began = bank.now
    bank.wait(30)
    bank.put("a", country="NO")
    bank.settle()
    bank.wait(40)
    bank.settle()
    with Session(engine) as session, session.begin():
        value = {"score": 4.5, "expected_value": 9.0, "currency": "EUR", "model": "m", "model_version": 1}
        for days, segment in ((20, "low"), (35, "top")):
            at = began + days * DAY_US
            of = {"entity_id": bank.id_of("b"), "as_of_us": at, "segment": segment, "fingerprint": "f"}
            session.add(ValueScore(**of, **value))
    bank.add_flow(MANY)

    def ends(at_us: int) -> list[tuple[str, ...]]:
        line = made(bank, "many", ReplayAsked(as_of_us=at_us))
        return [(name, stopped) for name, _, _, _, stopped, _ in people(bank, line)]

    assert ends(began + DAY_US) == [("a", "flag")], "high by then, and the value was not known yet"
    assert ends(began + 36 * DAY_US) == [("b", "flag")]
    assert ends(bank.now) == [("b", "flag")]
    assert ends(began - DAY_US) == []


def test_the_interval_of_the_value_is_replayed_as_it_was(engine: Engine) -> None:
    bank = FlowBank(engine)
    with Session(engine) as session, session.begin():
        value = {"score": 4.5, "segment": "top", "expected_value": 9.0, "currency": "EUR", "fingerprint": "f"}
        for days, high in ((20, 8.0), (10, 80.0)):
            of = {"entity_id": bank.id_of("b"), "as_of_us": bank.now - days * DAY_US, "model": "m", "model_version": 1}
            ends = {"expected_value_low": 5.0, "expected_value_high": high, "interval_level_percent": 80}
            session.add(ValueScore(**of, **value, **ends))
    of_level = "      - {when: {level: in_force, equals: high}, to: flag}\n"
    high = MANY.replace("{value: segment, equals: top}", "{value: expected_value_high, above: 50}")
    bank.add_flow(high.replace(of_level, ""))

    def flagged(at_us: int) -> list[str]:
        return [name for name, *_ in people(bank, made(bank, "many", ReplayAsked(as_of_us=at_us)))]

    assert flagged(bank.now) == ["b"]
    assert flagged(bank.now - 15 * DAY_US) == []


def test_what_happened_is_replayed_for_what_each_version_listens_to(engine: Engine) -> None:
    bank = FlowBank(engine)
    bank.activate(banks.document({"country": banks.COUNTRY}))
    bank.put("a", country="IR")
    bank.settle()
    bank.wait(1)
    set_tag(bank.context, "customer", "b", "watch")
    set_tag(bank.context, "customer", "b", "other")
    bank.wait(1)
    bank.add_flow(MANY)
    bank.add_flow(MANY.replace("{on: tag, tag: watch}", "{on: tag, tag: other}").replace("Many", "More"), acting=False)
    period = ReplayAsked(from_us=bank.now - 30 * DAY_US, until_us=bank.now)
    line = made(bank, "many", period)
    found = report(line)
    assert (found["causes"], found["not_replayed"]) == ([["level", 2], ["tag", 2]], ["import"])
    assert found["moves"] == [
        ["", "", "ended", "nothing", 1],
        ["ended", "flag", "ended", "flag", 1],
        ["ended", "nothing", "", "", 1],
        ["ended", "nothing", "ended", "nothing", 1],
    ]
    assert [(name, before, after) for name, _, before, _, after, _ in people(bank, line)] == [
        ("b", "nothing", ""),
        ("b", "", "nothing"),
    ]
    assert list_replay_people(bank.context, line.id, part=Part(1)).next is not None, "two rows are about one customer"


def test_why_runs_failed_is_counted_for_the_first_of_each_step(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    bank = FlowBank(engine, "abcd")
    of_value = "      - {when: {value: segment, equals: top}, to: flag}\n"
    unsaid = MANY.replace("    on_unknown: nothing\n", "")
    bank.add_flow(unsaid)
    bank.post(1, 500, "a")
    found = report(made(bank, "many"))
    assert found["ends"] == [["failed", "much", 3], ["waits", "ask", 1]]
    ((step, why, runs),) = found["failures"]
    assert (step, runs) == ("much", 3)
    assert why == "it is not known whether level is high (way 2): level unknown"
    monkeypatch.setattr(tally, "MOST_EXPLAINED", 2)
    assert report(made(bank, "many"))["failures"] == [["much", why, 2]]
    bank.add_flow(unsaid.replace(of_value, ""), acting=False)
    assert report(made(bank, "many", ReplayAsked(alone=True)))["failures"] == [["much", why, 2]]


def test_a_version_is_replayed_alone_though_another_acts(engine: Engine) -> None:
    bank = FlowBank(engine)
    bank.add_flow(MANY)
    bank.add_flow(MANY.replace("Many", "More"), acting=False)
    assert made(bank, "many", ReplayAsked(alone=True)).base_version is None
    assert made(bank, "many").base_version == 1
    with pytest.raises(ConfigError, match="one of the two"):
        request_flow_replay(bank.context, "many", ReplayAsked(alone=True, base_version=1))


@pytest.mark.postgresql
def test_who_is_erased_is_on_no_list_any_more(engine: Engine, tmp_path: Path) -> None:
    bank = FlowBank(engine)
    bank.add_flow(LARGE)
    bank.post(1, 500)
    bank.post(2, 500, "b")
    line = made(bank, "large", PERIOD)
    assert [row[0] for row in people(bank, line)] == ["a", "b"]
    bank.wait(6 * 365)
    erase_entity(bank.context, "customer", "a", tmp_path / "register")
    assert [row[0] for row in people(bank, line)] == ["b"]
    assert report(read_flow_replay(bank.context, line.id)) == report(line), "numbers alone stay"


def test_what_cannot_be_replayed_is_refused_in_words(engine: Engine) -> None:
    bank = FlowBank(engine)
    bank.add_flow(LARGE)
    context, hour = bank.context, HOUR_US
    for asked, words in (
        (ReplayAsked(), "looks at the transaction"),
        (ReplayAsked(from_us=1), "give both"),
        (ReplayAsked(from_us=2, until_us=2), "must be before"),
        (ReplayAsked(from_us=2, until_us=bank.now + hour), "still to come"),
        (ReplayAsked(as_of_us=bank.now + hour), "still to come"),
        (ReplayAsked(as_of_us=1, from_us=2, until_us=3), "not both"),
        (ReplayAsked(version=1, base_version=1, from_us=2, until_us=3), "with itself"),
    ):
        with pytest.raises(ConfigError, match=words):
            request_flow_replay(context, "large", asked)
    with pytest.raises(NotFoundError):
        request_flow_replay(context, "large", ReplayAsked(version=9))
    with pytest.raises(NotFoundError):
        request_flow_replay(context, "none", ReplayAsked())
    bank.add_flow(MANY.replace("flow: many", "flow: deaf").split("triggers:")[0] + MANY[MANY.index("actions:") :])
    with pytest.raises(ConfigError, match="no event that is kept"):
        request_flow_replay(context, "deaf", PERIOD)


def test_a_version_that_cannot_run_now_is_refused_and_one_that_breaks_later_fails_with_the_reason(
    engine: Engine,
) -> None:
    bank = FlowBank(engine)
    asks = MANY.replace(
        "  - id: much", "  - {id: ask-it, title: Ask, rules: {policy: cash}, on_unknown: much}\n  - id: much"
    )
    bank.add_flow(asks)
    with pytest.raises(ConflictError, match="cannot run now"):
        request_flow_replay(bank.context, "many", ReplayAsked())
    listed = MANY.replace("{level: in_force, equals: high}", "{field: country, in_list: gone}")
    bank.add_flow(listed.replace("flow: many", "flow: listed"))
    line, _ = request_flow_replay(bank.context, "listed", ReplayAsked())
    assert run_next_job(engine, REPLAYS, bank.now)
    failed = read_flow_replay(bank.context, line.id)
    assert failed.state == "failed"
    assert "list gone" in (failed.error or "")
    with Session(engine) as session:
        assert session.scalars(select(FlowVersion.id)).all()
