"""Changes of a flow by one step: all kinds are made, what examples miss is named, and "no effect" is true."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from fivefold.domain.errors import InvalidRulesetError
from fivefold.flows.analysis import analyse_flow
from fivefold.flows.governance.mutation import changes_of_flow, mutate_flow, telling_of
from fivefold.flows.language import Flow
from fivefold.flows.program import FlowProgram, compile_flow
from fivefold.flows.steps import LAST, STOP, Ending, Stop
from fivefold.risk.governance.lint.ruleset import lint_scope
from fivefold.risk.governance.mutation.changes import plain_data, with_change
from fivefold.risk.governance.mutation.run import MutantVerdict, Mutations
from fivefold.risk.language.documents import Document
from fivefold.risk.language.expressions import input_key
from fivefold.risk.language.reading import read_plain
from fivefold.usecases.flows.on_files import load_flow
from fivefold.usecases.portfolio_files.bundled import bundled_lists
from tests.depth import examples
from tests.flows.flows_drawn import Case, cases
from tests.flows.flows_small import END, HIGH, NOTHING, analysed, document
from tests.flows.governance.test_diff import BASE
from tests.flows.test_program import as_columns, compiled
from tests.golden import compare

NOW = 1_740_787_200_000_000
GOOD = """
  - {name: low, given: {level: low, income: 1}, ends: limited, actions: [set], amounts: {set: 300}}
  - {name: rich, given: {level: low, income: 9001}, ends: failed}
"""


def tried(text: str) -> Mutations:
    return mutate_flow(analyse_flow(text), {}, NOW, Document(text))


def test_every_kind_of_change_is_made() -> None:
    changes = changes_of_flow(analyse_flow(BASE).flow)
    compare("flow_mutants", lambda row: " | ".join(f"{each.before} → {each.after}" for each in _under(row)))
    assert len({(each.node, str(each.value)) for each in changes}) > 30


def _under(path: list[Any]) -> list[Any]:
    return [each for each in changes_of_flow(analyse_flow(BASE).flow) if each.path[: len(path)] == tuple(path)]


def test_a_change_that_no_example_notices_is_named_with_its_line_and_what_would() -> None:
    found = tried(BASE + GOOD)
    unnoticed = {f"{each.where}: {each.before} → {each.after}": each for each in found.of(MutantVerdict.UNNOTICED)}
    bound = unnoticed["step by-risk, way 2, when, above: 9000 → 8999"]
    line = 1 + BASE.splitlines().index("      - {when: {field: income, above: 9000}, to: limited}")
    assert (bound.line, bound.inputs) == (
        line,
        "level = low, income = 9,000: room, and would be limited",
    )
    noticed = {
        f"{each.where}: {each.before} → {each.after}": each.noticed_by for each in found.of(MutantVerdict.NOTICED)
    }
    assert noticed["step room, table, row 2, give, amount: 300 → 299"] == "low"
    assert noticed["step by-risk, way 1, to: ask → limited"] == "high"


def test_what_an_example_expects_besides_the_end_is_what_notices() -> None:
    bare = tried(BASE + GOOD.replace(", amounts: {set: 300}", ""))
    outputs = tried(BASE + GOOD.replace("amounts: {set: 300}", "outputs: {room: {amount: 300}}"))
    where = "step room, table, row 2, give, amount"
    verdicts = [[each.verdict for each in found.changes if each.where == where] for found in (bare, outputs)]
    assert verdicts == [[MutantVerdict.UNNOTICED] * 2, [MutantVerdict.NOTICED] * 2]


def test_what_no_example_can_notice_is_said() -> None:
    found = {f"{each.where}: {each.after}": each.no_effect for each in tried(BASE + GOOD).of(MutantVerdict.NO_EFFECT)}
    assert found["action set, between 2: 501"] == "the same amounts are set, by the bounds"
    seen = BASE.replace("actions:\n", "actions:\n  - {id: seen, title: Seen, tag: seen}\n")
    assert (
        tried(seen).of(MutantVerdict.NO_EFFECT)[-1].where != "on_failure"
    )  # the table has no on_unknown: a run may fail
    sure = seen.replace("above: 9000}, to: limited}", "above: 9000}, to: room}")
    sure = sure.replace("otherwise: {amount: 100}\n", "otherwise: {amount: 100}\n      on_unknown: {amount: 1}\n")
    found = {f"{each.where}: {each.after}": each.no_effect for each in tried(sure).of(MutantVerdict.NO_EFFECT)}
    assert found["on_failure: look, seen"] == "no run fails"


def test_what_a_step_always_gives_is_no_reason_why_a_change_could_be_noticed() -> None:
    asked = """
flow: asked
title: Asked
entity_type: customer
levels: [low, medium, high]
actions: [{id: look, title: Look, review: 1 day}]
steps:
  - id: room
    title: Room
    table:
      gives: {amount: number}
      rows: [{when: {tag: rich, is: present}, give: {amount: 2}}]
      otherwise: {amount: 1}
  - id: way
    title: Way
    route:
      - {when: {step: room, output: amount, equals: 2}, to: end}
      - {when: {tag: old, is: present}, to: end}
    otherwise: none
  - {id: none, title: Nothing, end: []}
  - {id: end, title: End, end: [look]}
on_failure: [look]
examples:
  - {name: rich, given: {tags: [rich]}, ends: end}
  - {name: old, given: {tags: [old]}, ends: end}
  - {name: neither, given: {tags: []}, ends: none}
"""
    turned = "way 1 → tried after way 2"
    verdicts = {
        f"{each.before} → {each.after}": each for each in tried(asked).changes if each.where == "step way, way 1"
    }
    assert verdicts[turned].no_effect == "it comes to the same, whatever the values"
    known = "{step: room, output: amount, equals: 2}"
    failing = tried(
        asked.replace(known, "{value: score, equals: 2}")
        .replace("rich, given: {tags: [rich]}, ends: end", "rich, given: {tags: [rich]}, ends: failed")
        .replace("given: {tags: [old]}", "given: {tags: [old], value: {score: 1}}")
        .replace("given: {tags: []}", "given: {tags: [], value: {score: 1}}")
    )
    verdicts = {f"{each.before} → {each.after}": each for each in failing.changes if each.where == "step way, way 1"}
    assert not verdicts[turned].no_effect  # the score may be unknown, and then the run fails before way 2


def test_a_flow_whose_examples_fail_or_are_missing_is_refused() -> None:
    for text in (BASE.split("examples:", maxsplit=1)[0], BASE.replace("ends: nothing", "ends: ask")):
        with pytest.raises(InvalidRulesetError):
            tried(text)


def test_time_that_is_over_leaves_changes_untried() -> None:
    found = mutate_flow(analyse_flow(BASE), {}, NOW, is_over=lambda: True)
    assert found.counts["not tried"] == len(found.changes) > 30
    assert found.to_dict()["flow"] == "night"


@pytest.mark.full
@pytest.mark.parametrize("name", ["escalation", "limits", "onboarding", "payment", "reactivation", "review"])
def test_examples_of_flows_that_ship_notice_every_change_that_can_be(name: str) -> None:
    found = mutate_flow(load_flow(name), bundled_lists(), NOW)
    assert [f"{each.where}: {each.after}" for each in found.of(MutantVerdict.UNNOTICED)] == []
    assert len(found.of(MutantVerdict.NOTICED)) >= 20


@pytest.mark.parametrize(("no_answer", "no_effect"), [("by-hand", True), ("today", False)])
def test_a_step_without_an_answer_may_lead_to_a_route_that_leads_to_the_same_then(
    no_answer: str, no_effect: bool
) -> None:
    """What the register does not say is unknown at the next step, which leads to the same person."""
    before = load_flow("onboarding")
    number = before.flow.positions["identity"]
    data = with_change(plain_data(before.flow), ("steps", number, "on_unknown"), no_answer)
    flow = read_plain(Flow, data)
    assert flow is not None
    changed = [
        each
        for each in changes_of_flow(flow)
        if each.path == ("steps", flow.positions["register"], "on_unknown") and each.value == "identity"
    ]
    (change,) = changed
    after = read_plain(Flow, with_change(plain_data(flow), change.node, change.value))
    assert after is not None
    sides = (replace(before, definition=flow), replace(before, definition=after))
    assert bool(telling_of(change, *sides, lint_scope(before, bundled_lists())).no_effect) is no_effect


@pytest.mark.parametrize("written", [{"then": "done"}, {}])
def test_a_table_that_leads_elsewhere_does_not_come_to_the_same(written: dict[str, str]) -> None:
    table = {"gives": {"a": "text"}, "rows": [{"when": HIGH, "give": {"a": "x"}}], "otherwise": {"a": "x"}}
    before = analysed(document({"id": "t", "table": table, **written}, NOTHING, END))
    (change,) = [each for each in changes_of_flow(before.flow) if isinstance(each.value, dict) and "then" in each.value]
    changed = read_plain(Flow, with_change(plain_data(before.flow), change.node, change.value))
    assert changed is not None
    assert not telling_of(change, before, replace(before, definition=changed), lint_scope(before, {})).no_effect


MOST_CHANGES = 12


@settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(case=cases())
def test_what_is_said_to_have_no_effect_has_none(case: Case) -> None:
    before = compiled(case)
    flow = before.flow
    data, scope = plain_data(flow), lint_scope(before.analysed, {})
    known = {input_key(each) for each in before.analysed.fact_inputs}
    mutants = []
    for change in changes_of_flow(flow):
        changed = read_plain(Flow, with_change(data, change.node, change.value))
        after = None if changed is None else replace(before.analysed, definition=changed)
        if after is None or after.diagnostics or not {input_key(each) for each in after.fact_inputs} <= known:
            continue
        if telling_of(change, before.analysed, after, scope).no_effect:
            mutants.append(after)
    rows = [replace(row, facts={**row.facts, "sum": row.facts["sum"] or 0}) for row in case.rows]  # of none it is 0
    now = [outcome(before, row) for row in as_columns(before, rows)]
    for after in mutants[:MOST_CHANGES]:
        made = compile_flow(after, {}, before.base)
        assert [outcome(made, row) for row in as_columns(made, rows)] == now


def outcome(made: FlowProgram, row: Mapping[str, Any]) -> list[Any]:
    """Give all of a run that an example can expect."""
    outputs = [row[column.name] for step in made.steps for column in step.outputs.values()]
    last = made.steps[row[LAST]]
    amounts = [row[each.column] for each in last.amounts] if isinstance(last, Ending) else []
    failed = row[STOP] == Stop.FAILED
    taken = [each.within(each.number) for each in made.failure_amounts] if failed else []
    return [row[LAST], row[STOP], outputs, amounts, made.flow.on_failure if failed else (), taken]
