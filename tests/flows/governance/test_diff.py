"""What differs between two flows, which ends that concerns, and that nothing that differs goes unsaid."""

import json
from typing import Any

from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from fivefold.flows.governance.diff import diff_flows
from fivefold.flows.language import Flow, read_flow
from tests.depth import examples
from tests.flows.flows_drawn import flows
from tests.flows.flows_small import text_of
from tests.golden import compare
from tests.risk.governance.test_diff import everything, spoilt

BASE = """
flow: night
title: Night
entity_type: customer
levels: [low, medium, high]
fields: {income: number}
actions:
  - {id: set, title: Set it, limit: nightly, amount: {step: room, output: amount}, between: [0, 500]}
  - {id: look, title: Look, review: 1 day}
  - {id: over, title: End it, status: blocked, relationship: ended}
steps:
  - id: usual
    title: Usual
    calculate:
      daily: {divide: [{sum: amount, over: 90 days}, 90], unit: money}
  - id: by-risk
    title: Risk
    route:
      - {when: {level: in_force, equals: high}, to: ask}
      - {when: {field: income, above: 9000}, to: limited}
    otherwise: room
    on_unknown: ask
  - id: room
    title: Room
    table:
      gives: {amount: money}
      rows:
        - {when: {calculation: daily, above: 50}, give: {amount: 500}}
        - {when: {level: in_force, equals: low}, give: {amount: 300}}
      otherwise: {amount: 100}
    then: limited
  - id: ask
    title: Ask
    person: {question: In order, within: 8 hours, answers: {allow: nothing, stop: stopped}, otherwise: looked-at}
  - {id: nothing, title: Nothing, end: []}
  - {id: looked-at, title: Looked at, end: [look]}
  - {id: stopped, title: Stopped, end: [over]}
  - {id: limited, title: Limited, end: [set]}
on_failure: [look]
examples:
  - {name: high, given: {level: high}, answers: {ask: allow}, ends: nothing, actions: []}
"""


def lines(old: str, new: str) -> list[str]:
    assert old in BASE
    return diff_flows(read_flow(BASE), read_flow(BASE.replace(old, new))).lines()


def test_a_change_is_said_in_words_with_the_ends_that_it_concerns() -> None:
    compare("flow_changes", lambda row: " | ".join(lines(*row)))


def test_an_end_that_is_reached_no_more_is_said_once() -> None:
    found = lines("answers: {allow: nothing, stop: stopped}", "answers: {allow: nothing, stop: looked-at}")
    assert found[1:] == [
        "end stopped: some way leads there → no way leads there",
        "action over: taken at some end, or after a failure → never taken",
    ]


def test_an_end_to_which_no_person_is_needed_any_more_is_said() -> None:
    assert lines("equals: high}, to: ask}", "equals: high}, to: nothing}")[1:] == [
        "end nothing: a person decides before it → some way leads there without a person"
    ]


def test_the_same_content_says_so_with_its_hash() -> None:
    flow = read_flow(BASE)
    assert diff_flows(flow, read_flow(f"{BASE}# a remark\n")).lines() == [f"The same content: {flow.content_hash}"]


@settings(
    max_examples=examples(60),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
@given(st.data())
def test_every_change_of_content_gives_a_line_and_nothing_else_does(data: st.DataObject) -> None:
    before = read_flow(text_of(data.draw(flows())))
    assert diff_flows(before, before).changes == ()
    plain: dict[str, Any] = json.loads(before.canonical)
    path = data.draw(st.sampled_from(everything(plain)))
    how = data.draw(st.sampled_from(["drop", "again", "turn", "s1", 7, True, "1 day", {"equals": 3}]))
    try:
        after = Flow.model_validate(spoilt(plain, path, how))
    except ValueError:
        reject()
    found = diff_flows(before, after)
    assert bool(found.changes) == (not found.same)
    assert all(change.before != change.after for change in found.changes)
