"""A shadow beside the version that acts: where both came to, for whom they differ, and that nothing is asked twice."""

import pytest
from sqlalchemy import Engine, event, text

from fivefold.domain.errors import ConflictError, NotFoundError
from fivefold.domain.paging import Part
from fivefold.usecases.flows.runs.answering import answer_run
from fivefold.usecases.flows.runs.execute import run_flows
from fivefold.usecases.flows.runs.outcomes import replay_record
from fivefold.usecases.flows.runs.shadows import compare_shadow, list_shadow_pairs
from fivefold.usecases.shared.actors import Actor, Role
from fivefold.usecases.shared.context import Context
from tests.store.audits import bind_unnamed, findings_in
from tests.usecases.flows.conftest import Register
from tests.usecases.flows.documents import ASKS_SOURCE
from tests.usecases.flows.flowing import HOUR_US, LARGE, FlowBank

pytestmark = pytest.mark.postgresql

STRICTER = LARGE.replace("above: 100}", "above: 10}").replace("title: Large payments", "title: Payments")


def test_causes_of_both_are_counted_by_their_ends_and_those_that_differ_are_listed(engine: Engine) -> None:
    bank = FlowBank(engine)
    bank.add_flow(LARGE)
    bank.post(1, 500)
    bank.add_flow(STRICTER, shadow=True)
    assert compare_shadow(bank.context, "large") == ()
    for number, amount, user in ((2, 5, "a"), (3, 50, "a"), (4, 50, "b"), (5, 500, "b"), (6, 5000, "a")):
        bank.post(number, amount, user)
    bank.work()
    ends = compare_shadow(bank.context, "large")
    found = {(each.acting_at, each.shadow_at): (each.runs, each.same) for each in ends}
    assert found == {
        ("nothing", "flag"): (2, False),
        ("nothing", "nothing"): (1, True),
        ("flag", "flag"): (1, True),
        ("ask", "ask"): (1, True),
    }
    assert ends[0].runs == 2
    people = list_shadow_pairs(bank.context, "large")
    assert [(pair.external_id, pair.cause, pair.acting_at, pair.shadow_at) for pair in people] == [
        ("b", "transaction:t4", "nothing", "flag"),
        ("a", "transaction:t3", "nothing", "flag"),
    ]
    runs = {run.id: run for run in bank.runs()}
    assert all(runs[pair.acting_run].acting and not runs[pair.shadow_run].acting for pair in people)
    first = list_shadow_pairs(bank.context, "large", part=Part(1))
    assert [pair.external_id for pair in first] == ["b"]
    assert [pair.external_id for pair in list_shadow_pairs(bank.context, "large", part=Part(1, first.next))] == ["a"]
    assert list(list_shadow_pairs(bank.context, "large", "flag")) == []
    assert len(list_shadow_pairs(bank.context, "large", "nothing", "flag")) == 2
    assert list(list_shadow_pairs(bank.context, "large", shadow_at="ask")) == []


def test_of_all_pairs_only_those_of_a_page_are_read_with_their_facts(engine: Engine) -> None:
    bank = FlowBank(engine)
    bank.add_flow(LARGE)
    bank.add_flow(STRICTER, shadow=True)
    for number in (1, 2, 3):
        bank.post(number, 50)
    bank.work()
    statements: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *call: statements.append(call[2]))
    assert len(list_shadow_pairs(bank.context, "large", part=Part(2))) == 2
    (listed,) = [each for each in statements if "shadow_run" in each]
    assert listed.count("LIMIT") == 2, "the page is not cut before what is long is read"
    assert "inputs" not in listed[listed.index("FROM") : listed.index("LIMIT")]


def test_who_answers_a_shadow_learns_that_it_asks_nobody(engine: Engine) -> None:
    bank = FlowBank(engine)
    bank.add_flow(LARGE)
    bank.add_flow(STRICTER, shadow=True)
    bank.post(1, 5000)
    bank.work()
    shadow = next(run.id for run in bank.runs() if not run.acting)
    who = Context(engine, Actor(bank.of, "member:2")).at(bank.now)
    with pytest.raises(ConflictError, match=f"run f:{shadow} is of a version that ran as a shadow: it asks nobody"):
        answer_run(who, Role.INVESTIGATOR, shadow, "wrong", "Looked at.")


def test_there_is_nothing_to_compare_without_a_shadow_and_no_flow_is_not_found(engine: Engine) -> None:
    bank = FlowBank(engine)
    bank.add_flow(LARGE)
    bank.post(1, 500)
    bank.work()
    assert compare_shadow(bank.context, "large") == ()
    with pytest.raises(NotFoundError):
        compare_shadow(bank.context, "none")
    with pytest.raises(NotFoundError):
        list_shadow_pairs(bank.context, "none")


OTHER_QUESTION = LARGE.replace("Is this payment right?", "Does this payment fit the income?")
ASKS_MORE = LARGE.replace("above: 1000}", "above: 200}")


def beside(engine: Engine, acts: str, shadow: str) -> FlowBank:
    bank = FlowBank(engine)
    bank.add_flow(acts)
    bank.add_flow(shadow, shadow=True)
    bind_unnamed(engine)
    return bank


def answer(bank: FlowBank, number: int, given: str) -> None:
    who = Context(bank.engine, Actor(bank.of, "member:2"), lambda: bank.now)
    answer_run(who, Role.INVESTIGATOR, number, given, "Looked at.")


def ends(bank: FlowBank, flow: str = "large") -> list[tuple[str, str, bool, bool, int]]:
    """Where both came to: the steps, whether that can be compared, whether it is the same, and how many."""
    found = compare_shadow(bank.context, flow)
    return [(each.acting_at, each.shadow_at, each.comparable, each.same, each.runs) for each in found]


def acting_and_shadow(bank: FlowBank) -> tuple[int, int]:
    acting, shadow = sorted(bank.runs(), key=lambda run: not run.acting)
    return acting.id, shadow.id


def whole(bank: FlowBank) -> bool:
    """The audit log holds, and every run is made again to the byte."""
    with bank.engine.connect() as connection:
        assert findings_in(connection) == []
    return all(replay_record(bank.context, f"f:{run.id}").same for run in bank.runs())


@pytest.mark.postgresql
def test_the_same_text_comes_to_the_same_once_a_person_answers(engine: Engine) -> None:
    bank = beside(engine, LARGE, LARGE)
    bank.post(1, 5000)
    bank.work()
    assert ends(bank) == [("ask", "ask", True, True, 1)]
    acting, shadow = acting_and_shadow(bank)
    answer(bank, acting, "wrong")
    assert bank.work() == 1
    assert ends(bank) == [("stop", "stop", True, True, 1)]
    assert list(list_shadow_pairs(bank.context, "large")) == []
    assert [(each.run_id, each.action) for each in bank.actions()] == [(acting, "blocked")]
    assert bank.count(f"flow_steps WHERE run_id = {shadow} AND actor = 'member:2'") == 1
    assert whole(bank)


def test_the_same_text_comes_to_the_same_where_nobody_comes(engine: Engine) -> None:
    bank = beside(engine, LARGE, LARGE)
    bank.post(1, 5000)
    bank.work()
    bank.now += 4 * HOUR_US
    assert bank.work() == 2
    assert ends(bank) == [("flag", "flag", True, True, 1)]
    assert {each.run_id for each in bank.actions()} == {acting_and_shadow(bank)[0]}
    assert whole(bank)


def test_a_shadow_that_comes_to_the_step_after_the_answer_goes_on_by_it(engine: Engine) -> None:
    bank = beside(engine, LARGE, LARGE)
    bank.post(1, 5000)
    assert run_flows(engine, clock=lambda: bank.now, most=1) == 1
    acting, shadow = acting_and_shadow(bank)
    assert {run.id: run.state for run in bank.runs()} == {acting: "waiting", shadow: "queued"}
    answer(bank, acting, "right")
    assert bank.work() == 2
    assert ends(bank) == [("nothing", "nothing", True, True, 1)]
    assert whole(bank)


def test_a_source_is_asked_once_and_the_shadow_goes_on_by_its_answer(engine: Engine, register: Register) -> None:
    bank = beside(engine, ASKS_SOURCE, ASKS_SOURCE)
    server = register(method="GET")
    bank.post(1, 500)
    bank.work()
    assert [got.path for got in server.got] == ["/?amount=500"]
    assert ends(bank, "asks") == [("known", "known", True, True, 1)]
    assert whole(bank)


def test_a_shadow_that_asks_something_else_cannot_be_compared_once_there_is_an_answer(engine: Engine) -> None:
    bank = beside(engine, LARGE, OTHER_QUESTION)
    for number, user in ((1, "a"), (2, "b")):
        bank.post(number, 5000, user)
    bank.work()
    acting = min(run.id for run in bank.runs() if run.acting)
    answer(bank, acting, "right")
    assert bank.work() == 0
    assert ends(bank) == [("ask", "ask", True, True, 1), ("nothing", "ask", False, False, 1)]
    assert list(list_shadow_pairs(bank.context, "large")) == []
    assert whole(bank)


def test_a_shadow_that_asks_where_the_version_that_acts_does_not_differs(engine: Engine) -> None:
    bank = beside(engine, LARGE, ASKS_MORE)
    bank.post(1, 500)
    bank.work()
    assert ends(bank) == [("flag", "ask", True, False, 1)]
    assert [pair.shadow_at for pair in list_shadow_pairs(bank.context, "large")] == ["ask"]


def test_another_amount_or_action_at_the_same_end_differs(engine: Engine) -> None:
    bank = beside(engine, LARGE, LARGE.replace("amount: 100, between", "amount: 250.5, between"))
    bank.post(1, 500)
    bank.post(2, 5)
    bank.work()
    assert ends(bank) == [("flag", "flag", True, False, 1), ("nothing", "nothing", True, True, 1)]
    (pair,) = list_shadow_pairs(bank.context, "large", "flag", "flag")
    assert pair.acting_actions == "flagged, note, open, tell, bound 100 EUR"
    assert pair.shadow_actions == "flagged, note, open, tell, bound 250.50 EUR"
    assert list(list_shadow_pairs(bank.context, "large", "nothing", "nothing")) == []
    with bank.engine.begin() as connection:
        connection.execute(text("UPDATE flow_runs SET does = NULL WHERE acting"))
    assert [each.same for each in compare_shadow(bank.context, "large")] == [True, True], "of before nothing is known"


def test_what_came_to_a_run_of_an_earlier_version_is_not_passed_on(engine: Engine) -> None:
    bank = beside(engine, LARGE, LARGE)
    bank.post(1, 5000)
    bank.work()
    acting, shadow = acting_and_shadow(bank)
    bank.add_flow(LARGE, shadow=True)
    answer(bank, acting, "right")
    assert bank.work() == 0
    assert {run.id: run.state for run in bank.runs()} == {acting: "ended", shadow: "waiting"}
