"""What the retention policy removes of flows: what runs were made from, replays over history, and moves of groups."""

import json
from random import Random
from typing import Any

import pytest
from sqlalchemy import Engine, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US, day_text
from fivefold.domain.errors import ConflictError
from fivefold.store.flows.history import answers_of
from fivefold.store.flows.runs import QUARANTINED
from fivefold.store.tables.flows import FlowReplay, FlowReplayPerson, FlowRun, StepOutcome
from fivefold.store.tables.groups import GroupMove, NamedGroup
from fivefold.store.tables.operations import RetentionRun
from fivefold.usecases.accounts.settings import SettingsChange
from fivefold.usecases.changes.asks import change_settings
from fivefold.usecases.erasure import retention
from fivefold.usecases.erasure.erase import set_legal_hold
from fivefold.usecases.flows.runs.answering import answer_run, take_back_action
from fivefold.usecases.flows.runs.calling import call_flow
from fivefold.usecases.flows.runs.outcomes import replay_record
from fivefold.usecases.flows.runs.reading import view_run
from fivefold.usecases.ingest.facts import RecordGiven, put_record
from fivefold.usecases.shared.actors import Role
from tests.store.audits import bind_unnamed, findings_in, findings_of, unguarded
from tests.usecases.erasure.removals import keep, line, remove
from tests.usecases.flows.flowing import FlowBank
from tests.usecases.flows.runs.test_calls import WHY, payment, person

DAYS = 1826
LONG = DAYS + 100
QUIET = """
flow: quiet
title: Quiet
entity_type: customer
levels: [low, medium, high]
transaction_fields: {operation: text}
actions:
  - {id: note, title: Note it, tag: large}
  - {id: bound, title: Bound what goes out, limit: daily, amount: 100, between: [0, 500]}
  - {id: look, title: Look at it, review: 2 days}
steps:
  - id: size
    title: Size
    route:
      - {when: {transaction: amount, above: 1000}, to: ask}
      - {when: {transaction: amount, above: 100}, to: bounded}
    otherwise: noted
  - id: ask
    title: A person looks
    person:
      question: Is this payment right?
      role: investigator
      within: 4 hours
      answers: {right: noted, wrong: bounded}
      otherwise: bounded
  - {id: noted, title: Noted, end: [note]}
  - {id: bounded, title: Bounded, end: [bound]}
on_failure: [look]
"""


def made(engine: Engine, customers: str = "ab") -> FlowBank:
    """A bank whose flow is called from now on, long ago."""
    bank = FlowBank(engine, customers)
    bank.add_flow(QUIET)
    bind_unnamed(engine)
    return bank


def call(bank: FlowBank, amount: float, name: str = "a") -> int:
    return call_flow(bank.context, "quiet", "customer", name, payment(amount)).number


def emptied(bank: FlowBank) -> list[int]:
    return [run.id for run in bank.runs() if run.removed_by is not None]


def close(bank: FlowBank, *, is_open: bool = True, name: str = "a") -> None:
    moments: dict[str, Any] = {"opened_us": bank.now - DAY_US, "closed_us": None if is_open else bank.now}
    put_record(bank.context, "customer", name, "case", RecordGiven(external_id=f"case-{name}", **moments))


@pytest.mark.postgresql
def test_what_runs_were_made_from_goes_and_that_they_happened_stays(engine: Engine) -> None:
    bank = made(engine)
    noted, asked = call(bank, 5), call(bank, 5000)
    answer_run(person(bank), Role.INVESTIGATOR, asked, "right", WHY)
    actions = [(each.run_id, each.action, each.content) for each in bank.actions()]
    before = view_run(bank.context, asked)
    bank.wait(LONG)
    late = call(bank, 7)
    keep(bank, flows_days=DAYS)
    assert line(bank, "flows").removable == remove(bank)["flows"] == 2
    assert emptied(bank) == [noted, asked]
    run = view_run(bank.context, asked)
    assert (run.version, run.state, run.at, run.ended_us) == (before.version, "ended", "noted", before.ended_us)
    assert (run.why, run.gone) == (None, "was removed by the retention policy on " + today(bank))
    assert [(each.step, each.actor, each.outcome) for each in run.answered] == [("ask", "member:2", {})]
    assert [(each.run_id, each.action, each.content) for each in bank.actions()][:2] == actions
    stored = bank.runs()[1]
    assert (stored.inputs, stored.answer, "transaction" in stored.about, "asked" in stored.about) == (
        *(None, None),
        *(False, True),
    )
    with pytest.raises(ConflictError, match=f"what run f:{asked} was made from was removed by the retention policy"):
        replay_record(bank.context, f"f:{asked}")
    assert replay_record(bank.context, f"f:{late}").same
    assert findings_of(engine) == []
    assert line(bank, "flows").removable == 0
    assert remove(bank) == {}


def today(bank: FlowBank) -> str:
    with Session(bank.engine) as session:
        run = session.scalars(select(RetentionRun)).one()
    return day_text(run.finished_us or 0)[:10]


def test_a_run_stays_while_what_it_did_stands(engine: Engine) -> None:
    bank = made(engine)
    number = call(bank, 500)
    bank.wait(LONG)
    keep(bank, flows_days=DAYS)
    shown = line(bank, "flows")
    assert (shown.removable, shown.kept) == (0, 1)
    assert remove(bank) == {}
    take_back_action(person(bank), Role.INVESTIGATOR, bank.actions()[0].id, WHY)
    bank.wait(1)
    assert remove(bank) == {"flows": 1}
    assert view_run(bank.context, number).taken[0].taken_back_reason == WHY
    assert findings_of(engine) == []


def test_a_run_that_waits_or_is_quarantined_is_not_over(engine: Engine) -> None:
    bank = made(engine)
    waits, stuck, other = call(bank, 5000), call(bank, 5, "b"), call(bank, 6, "b")
    with unguarded(engine) as connection:
        connection.execute(
            text("UPDATE flow_runs SET state = :state, ended_us = NULL WHERE id = :id"),
            {"state": QUARANTINED, "id": stuck},
        )
        connection.commit()
    bank.wait(LONG)
    keep(bank, flows_days=DAYS)
    assert line(bank, "flows").removable == 0
    remove(bank)
    assert emptied(bank) == []
    assert {waits, stuck, other} == {run.id for run in bank.runs()}


def test_a_run_of_a_customer_about_whom_something_is_open_stays(engine: Engine, tmp_path: Any) -> None:
    bank = made(engine, "abc")
    of = {name: call(bank, 5, name) for name in "abc"}
    bank.wait(LONG)
    close(bank, name="a")
    set_legal_hold(bank.context, "customer", "b", bank.now + 5 * DAY_US, "Court.", tmp_path / "register")
    keep(bank, flows_days=DAYS)
    assert (line(bank, "flows").removable, line(bank, "flows").kept) == (1, 2)
    assert remove(bank) == {"flows": 1}
    assert emptied(bank) == [of["c"]]
    close(bank, is_open=False, name="a")
    bank.wait(10)
    assert remove(bank) == {"flows": 2}
    assert findings_of(engine) == []


def test_a_shadow_that_would_ask_is_over(engine: Engine) -> None:
    bank = made(engine)
    bank.add_flow(QUIET.replace("question: ", "question: Once more, "), shadow=True)  # another one
    call(bank, 5000)
    bank.work()
    acting, shadow = bank.runs()
    assert (shadow.state, shadow.acting) == ("waiting", False)
    answer_run(person(bank), Role.INVESTIGATOR, acting.id, "right", WHY)
    bank.wait(LONG)
    keep(bank, flows_days=DAYS)
    assert line(bank, "flows").removable == remove(bank)["flows"] == 2
    assert view_run(bank.context, shadow.id).state == "waiting"
    assert view_run(bank.context, shadow.id).question is None


@pytest.mark.postgresql
def test_the_database_empties_no_run_by_hand_and_changes_none_that_is_empty(engine: Engine) -> None:
    bank = made(engine)
    old = call(bank, 5)
    bank.wait(LONG)
    young = call(bank, 5)
    keep(bank, flows_days=DAYS)
    assert remove(bank) == {"flows": 1}
    by_hand = "UPDATE flow_runs SET inputs = NULL, answer = NULL, error = NULL, removed_by = 1 WHERE id = "
    for statement in (
        f"{by_hand}{young}",
        f"UPDATE flow_runs SET inputs = '{{}}' WHERE id = {old}",
        f"UPDATE flow_runs SET removed_by = NULL WHERE id = {old}",
        f"UPDATE flow_runs SET state = 'queued' WHERE id = {old}",
    ):
        with pytest.raises(DBAPIError, match="is refused"), engine.begin() as connection:
            connection.execute(text(statement))
    with unguarded(engine) as connection:
        connection.execute(text(f"{by_hand}{young}"))
        found = findings_in(connection)
    assert [f"row of flow_runs {bank.id_of('a')}.{young} was changed since" in each for each in found] == [True]


def test_an_answer_that_was_removed_is_no_answer(engine: Engine) -> None:
    bank = made(engine)
    asked = call(bank, 5000)
    answer_run(person(bank), Role.INVESTIGATOR, asked, "right", WHY)
    bank.wait(LONG)
    keep(bank, flows_days=DAYS)
    remove(bank)
    with Session(engine) as session:
        assert list(answers_of(session, bank.runs()[0].flow_id, [bank.id_of("a")])) == []
        assert session.scalars(select(StepOutcome.outcome)).all() == ["{}"]


def test_a_dry_run_counts_what_the_run_does_whatever_there_is(engine: Engine) -> None:
    """Customers of every sort at every age: who is emptied is who has nothing that stands, waits or is open."""
    draw = Random(7)
    names = "abcdefghijklmnopqrstuvwxyz"
    bank = made(engine, names)
    expected: set[int] = set()
    with_case: set[str] = set()
    for _ in range(60):
        name, amount = draw.choice(names), draw.choice([5, 500, 5000])
        young = draw.random() < 0.3
        start = bank.now
        bank.now += LONG * DAY_US if young else 0
        number = call(bank, amount, name)
        stands = amount == 500
        if amount == 5000 and draw.random() < 0.8:
            answer = draw.choice(["right", "wrong"])
            answer_run(person(bank), Role.INVESTIGATOR, number, answer, WHY)
            stands = answer == "wrong"
        elif amount == 5000:
            with_case.add(name)  # it waits, so nothing about this customer goes
        if stands and draw.random() < 0.5:
            take_back_action(person(bank), Role.INVESTIGATOR, bank.actions()[-1].id, WHY)
            stands = False
        bank.now = start
        if not young and not stands:
            expected.add(number)
    whose = {run.id: run.entity_id for run in bank.runs()}
    held = {bank.id_of(name) for name in with_case}
    expected = {number for number in expected if whose[number] not in held}
    bank.wait(LONG + 1)
    keep(bank, flows_days=DAYS)
    shown = line(bank, "flows")
    assert shown.removable == remove(bank)["flows"] == len(expected) > 5
    assert set(emptied(bank)) == expected
    assert findings_of(engine) == []


def _moves(bank: FlowBank) -> list[tuple[int, int]]:
    with Session(bank.engine) as session:
        return [(each.entity_id, each.number) for each in session.scalars(select(GroupMove).order_by(GroupMove.number))]


@pytest.mark.postgresql
def test_moves_go_but_the_newest_of_each_customer(engine: Engine) -> None:
    bank = made(engine)
    a, b = bank.id_of("a"), bank.id_of("b")
    with Session(engine) as session, session.begin():
        kind = session.scalar(select(FlowRun.id)) or 0
        assert kind == 0
        type_id = session.scalar(text("SELECT id FROM entity_types"))
        group = NamedGroup(organisation_id=bank.of, type_id=type_id, name="g", purpose="any", created_us=bank.now)
        session.add(group)
        session.flush()
        for entity, number, days in ((a, 1, 0), (a, 2, 10), (a, 3, LONG), (b, 1, 0), (b, 2, 10)):
            at_us, entered = bank.now + days * DAY_US, number % 2 == 1
            of = {"group_id": group.id, "entity_id": entity, "number": number, "version_id": None}
            session.add(GroupMove(**of, at_us=at_us, entered=entered, is_unknown=False))
    bank.wait(LONG)
    with pytest.raises(DBAPIError, match="is refused"), engine.begin() as connection:
        connection.execute(text("DELETE FROM group_moves WHERE number = 1"))
    keep(bank, flows_days=DAYS)
    shown = line(bank, "flows")
    assert (shown.removable, shown.kept) == (3, 1)
    assert remove(bank) == {"flows": 3}
    assert _moves(bank) == [(b, 2), (a, 3)]


def test_replays_go_with_who_is_in_them_but_those_of_what_acts(engine: Engine, tmp_path: Any) -> None:
    bank = FlowBank(engine, "abc")
    old = bank.add_flow(QUIET)
    acts = bank.add_flow(QUIET.replace("title: Quiet", "title: Quiet again"))
    with Session(engine) as session, session.begin():
        for version in (old, old, acts):
            replay = FlowReplay(
                organisation_id=bank.of, state="done", attempts=1, requested_by="member:2", requested_us=bank.now,
                done=3, total=3, finished_us=bank.now, flow_id=1, version_id=version, as_of_us=bank.now, until_id=9,
                report="{}",
            )  # fmt: skip
            session.add(replay)
            session.flush()
            for name in "ab" if replay.id == 1 else "bc":
                session.add(
                    FlowReplayPerson(
                        replay_id=replay.id,
                        entity_id=bank.id_of(name),
                        number=0,
                        cause="",
                        at_us=bank.now,
                        before_state="",
                        before_at="",
                        before_actions="",
                        state="ended",
                        stopped_at="noted",
                        actions="note",
                    )
                )
    bank.wait(LONG)
    set_legal_hold(bank.context, "customer", "a", bank.now + 5 * DAY_US, "Court.", tmp_path / "register")
    keep(bank, flows_days=DAYS)
    assert line(bank, "flows").removable == remove(bank)["flows"] == 4

    def left() -> list[tuple[int, int]]:
        with Session(engine) as session:
            columns = select(FlowReplayPerson.replay_id, FlowReplayPerson.entity_id).order_by(
                FlowReplayPerson.replay_id, FlowReplayPerson.entity_id
            )
            return [(row[0], row[1]) for row in session.execute(columns)]

    assert left() == [(1, bank.id_of("a")), (3, bank.id_of("b")), (3, bank.id_of("c"))]
    assert bank.count("flow_replays") == 2
    bank.wait(10)
    assert remove(bank) == {"flows": 2}, "once the hold is over"
    assert bank.count("flow_replays") == 1


def test_runs_are_kept_for_as_long_as_other_records(engine: Engine) -> None:
    bank = made(engine)
    with pytest.raises(ConflictError, match="runs of flows would be kept for 400 days"):
        change_settings(bank.context, SettingsChange(flows_days=400), "Why not.")


def test_two_parts_leave_an_entry_each(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "PART_ROWS", 2)
    bank = made(engine)
    for _ in range(5):
        call(bank, 5)
        bank.now += 1
    bank.wait(LONG)
    keep(bank, flows_days=DAYS)
    assert remove(bank) == {"flows": 5}
    with engine.connect() as connection:
        details = connection.execute(
            text("SELECT details FROM audit_entries WHERE action = 'retention.emptied' ORDER BY number")
        ).scalars()
        assert [json.loads(each)["rows"] for each in details] == [2, 2, 1]
    assert findings_of(engine) == []
