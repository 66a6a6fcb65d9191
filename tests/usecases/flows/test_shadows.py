"""A shadow beside the version that acts: where both came to for the same causes, and for whom they differ."""

import pytest
from sqlalchemy import Engine

from fivefold.domain.errors import NotFoundError
from fivefold.domain.paging import Part
from fivefold.usecases.flows.runs.shadows import compare_shadow, list_shadow_pairs
from tests.usecases.flows.flowing import LARGE, FlowBank

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
