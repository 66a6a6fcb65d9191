"""Lint of flows: every doubt is told at its place, and a flow without one is told nothing."""

from itertools import combinations
from typing import Any

import pytest
from hypothesis import given

from fivefold.flows.analysis import AnalysedFlow, analyse_flow
from fivefold.flows.doubts import flow_diagnostics, lint_flow, lint_flow_document
from fivefold.risk.compiler.diagnostics import CHECKS, Severity
from fivefold.risk.language.documents import Document
from tests.flows.flows_drawn import Case, cases
from tests.flows.flows_small import ACTIONS, END, HIGH, NOTHING, analysed, document, text_of
from tests.flows.test_program import as_columns, compiled, words_of
from tests.golden import compare

Data = dict[str, Any]
ROUTE: Data = {"id": "r", "route": [{"when": HIGH, "to": "done"}], "otherwise": "nothing", "on_unknown": "nothing"}
EXAMPLE: Data = {"name": "One", "given": {}, "ends": "failed"}
CALM: Data = {"actions": ACTIONS[:1], "examples": [EXAMPLE]}
PERSON: Data = {
    "id": "p",
    "person": {
        "question": "Well?",
        "within": "5 days",
        "answers": {"yes": "done", "no": "nothing"},
        "otherwise": "nothing",
    },
}


def told(*steps: Data, notes: bool = False, **parts: Any) -> list[str]:
    """Give all doubts, each with its path."""
    made = analysed(document(*steps, **{**CALM, **parts}))
    assert not made.errors
    severities = {Severity.WARNING, Severity.NOTE} if notes else {Severity.WARNING}
    found = [each for each in flow_diagnostics(made) if each.severity in severities]
    return [f"{'.'.join(map(str, each.path))}: {each.problem}" for each in found]


def table(*rows: tuple[Data, Any], **parts: Any) -> Data:
    given = [{"when": when, "give": {"n": give}} for when, give in rows]
    made = {"gives": {"n": "number"}, "rows": given, "otherwise": {"n": 0}, "on_unknown": {"n": 0}, **parts}
    return {"id": "t", "table": made}


READS_TABLE: Data = {"id": "r", "route": [{"when": {"step": "t", "output": "n", "above": 1}, "to": "done"}]}
READS: Data = {**READS_TABLE, "otherwise": "nothing", "on_unknown": "nothing"}


def test_of_a_good_flow_nothing_is_told() -> None:
    assert told(ROUTE, END, NOTHING) == []
    assert told(table((HIGH, 2)), READS, END, NOTHING) == []
    assert told(PERSON, END, NOTHING) == []


def test_reasons_and_examples_that_are_missing_are_told() -> None:
    bare = document(ROUTE, END, NOTHING, actions=ACTIONS[:1])
    del bare["rationale"]
    for step in bare["steps"]:
        del step["rationale"]
    found = [".".join(map(str, each.path)) for each in flow_diagnostics(analysed(bare))]
    assert found == ["flow", "flow", "steps.0"]


@pytest.mark.parametrize(
    ("steps", "parts", "path"),
    [
        ([{**END, "id": "first"}, END], {}, "steps.1"),
        ([ROUTE, END, NOTHING], {"actions": ACTIONS[:2]}, "actions.1"),
        (
            [{"id": "c", "calculate": {"x": {"of": {"field": "income"}, "unit": "ratio"}}}, END],
            {},
            "steps.0.calculate.x",
        ),
        ([table((HIGH, 2)), END], {}, "steps.0.table.gives.n"),
        (
            [{**PERSON, "person": {**PERSON["person"], "answers": {"yes": "done", "no": "done"}}}, END, NOTHING],
            {},
            "steps.0.person.answers",
        ),
    ],
    ids=["a step", "an action", "a calculation", "an output", "answers"],
)
def test_what_serves_nothing_is_told(steps: list[Data], parts: Data, path: str) -> None:
    assert [line.partition(":")[0] for line in told(*steps, **parts)] == [path]


def test_a_calculation_that_only_an_unread_one_reads_is_not_read() -> None:
    first = {"x": {"of": {"field": "income"}, "unit": "ratio"}, "y": {"of": {"calculation": "x"}, "unit": "ratio"}}
    read = {**ROUTE, "route": [{"when": {"calculation": "y", "above": 1}, "to": "done"}]}
    assert len(told({"id": "c", "calculate": first}, END)) == 2
    assert told({"id": "c", "calculate": first}, read, END, NOTHING) == []


def test_answers_that_a_later_step_reads_decide_something() -> None:
    asked = {**PERSON, "person": {**PERSON["person"], "answers": {"yes": "r", "no": "r"}, "otherwise": "r"}}
    when = {"step": "p", "output": "answer", "equals": "yes"}
    assert told(asked, {**ROUTE, "route": [{"when": when, "to": "done"}]}, END, NOTHING) == []


def test_an_output_that_some_ways_do_not_give_is_told_at_its_reader() -> None:
    first = {**ROUTE, "id": "first", "route": [{"when": HIGH, "to": "r"}], "otherwise": "t"}
    found = told(first, table((HIGH, 2)), READS, END, NOTHING)
    assert found == ["steps.2.route.0.when: reads t, which some ways to r do not pass: it is unknown there"]


STORED: Data = {"on": "transaction"}


def test_a_flow_that_adds_up_settled_transactions_and_does_not_hear_that_one_settles_is_told() -> None:
    settling = {"on": "transaction", "change": "settled"}
    window = {"sum": "amount", "over": "1 day"}
    pending = {"sum": "amount", "where": {"field": "state", "in": ["pending", "settled"]}}
    for triggers, read, is_told in (
        ([STORED], window, True),
        ([STORED], {"ratio": [{"count": "transactions"}, {"field": "income"}]}, True),
        ([STORED, settling], window, False),
        ([STORED], pending, False),
        ([STORED], {"count": "cases"}, False),
        ([{"on": "case"}], window, False),
    ):
        route = {**ROUTE, "route": [{"when": {**read, "above": 1}, "to": "done"}]}
        found = told(route, END, NOTHING, triggers=triggers)
        assert [each.partition(":")[0] for each in found] == (["triggers.0"] if is_told else []), (triggers, read)


def test_a_trigger_for_stored_transactions_is_written_as_it_was() -> None:
    plain, settling = (
        analysed(document(END, **{**CALM, "triggers": [each]})).flow.canonical
        for each in (STORED, {**STORED, "change": "settled"})
    )
    assert '"triggers":[{"on":"transaction"}]' in plain
    assert '"triggers":[{"change":"settled","on":"transaction"}]' in settling


def test_a_part_of_a_cent_is_found_at_its_place() -> None:
    rows = [{"when": HIGH, "give": {"m": 5000.005}}, {"when": {"field": "income", "above": 1}, "give": {"m": 1.5}}]
    table = {"gives": {"m": "money"}, "rows": rows, "otherwise": {"m": 500.555}}
    limit = {"id": "l", "title": "L", "limit": "daily", "amount": {"step": "t", "output": "m"}, "between": [0, 10.001]}
    found = told({"id": "t", "table": table, "then": "done"}, {**END, "end": ["l"]}, actions=[ACTIONS[0], limit])
    part = "a part of a cent: run, test and mutate refuse the flow where the base currency has cents; round it"
    assert found == [
        f"actions.1.between.1: is 10.001, {part}",
        f"steps.0.table.rows.0.give.m: is 5000.005, {part}",
        f"steps.0.table.otherwise.m: is 500.555, {part}",
    ]


def test_an_amount_that_is_never_set_as_it_is_written_is_told() -> None:
    limit = {"id": "l", "title": "L", "limit": "daily", "between": [10, 20]}
    end = {"id": "done", "end": ["l"]}
    for amount, bound in ((5, "10"), (30, "20")):
        found = told(end, actions=[ACTIONS[0], {**limit, "amount": amount}])
        assert found == [f"actions.1.amount: is {amount}, and {bound} is set: see between"]
    assert told(end, actions=[ACTIONS[0], {**limit, "amount": 15}]) == []


PLAIN: Data = {"id": "x", "title": "X"}
ROUTED: Data = {**ROUTE, "otherwise": "nothing"}
BY_ROUTE = "without the answer of a person, by r → done; where that"


@pytest.mark.parametrize(
    ("action", "said"),
    [
        (
            {"status": "blocked"},
            "refuses or ends the relationship, write relationship: refused, or ended, and a person",
        ),
        ({"status": "approved"}, "starts the relationship, write relationship: starts, and a person"),
        ({"status": "flagged"}, None),
        ({"status": "escalated"}, None),
        ({"limit": "daily", "amount": 0, "between": [0, 0]}, None),
    ],
)
def test_a_status_that_may_decide_on_the_relationship_with_nobody_deciding_is_told(action: Data, said: str) -> None:
    end = {**END, "end": ["x"]}
    actions = [*ACTIONS[:1], {**PLAIN, **action}]
    found = told(ROUTED, end, NOTHING, actions=actions)
    if said is None:
        assert found == []
        return
    [problem] = found
    assert problem.startswith(f"actions.1.status: gives the status {action['status']} {BY_ROUTE} {said}")
    assert problem.endswith("must decide first (Regulation (EU) 2024/1624, article 76(5))")


def test_a_status_that_a_person_decides_on_or_that_is_of_a_payment_is_not_told() -> None:
    blocks = [*ACTIONS[:1], {**PLAIN, "status": "blocked"}]
    end = {**END, "end": ["x"]}
    assert told(PERSON, end, NOTHING, actions=blocks) == []
    late = {**PERSON, "person": {**PERSON["person"], "otherwise": "done"}}
    assert ["by p → done" in line for line in told(late, end, NOTHING, actions=blocks)] == [True]
    marked = [*ACTIONS[:1], {**PLAIN, "status": "blocked", "relationship": "ended"}]
    assert told(PERSON, end, NOTHING, actions=marked) == []
    looks = {**ROUTED, "route": [{"when": {"transaction": "amount", "above": 5}, "to": "done"}]}
    of_payment = [*ACTIONS[:1], {**PLAIN, "status": "blocked", "of": "transaction"}]
    assert told(looks, end, NOTHING, actions=of_payment) == []
    [failing] = told(PERSON, NOTHING, END, actions=blocks, on_failure=["x"])
    assert failing.startswith("actions.1.status: gives the status blocked without the answer of a person, where a step")


INCOME: Data = {"field": "income"}


@pytest.mark.parametrize(
    ("conditions", "told_of"),
    [
        ([{**INCOME, "above": 5}, {**INCOME, "above": 9}], "1: is never reached: row 1 holds whenever it does"),
        ([{"all": [{**INCOME, "above": 5}, {**INCOME, "below": 3}]}], "0: never holds, whatever the values"),
        (
            [{**INCOME, "above": 5}, {**INCOME, "at_most": 5}, {**INCOME, "between": [4, 6]}],
            "2: is never reached: those before it hold whenever it does",
        ),
        ([{**INCOME, "above": 5}, {**INCOME, "is": "absent"}], "1: is never reached: where it holds, a row before it"),
        ([{**INCOME, "is": "absent"}, {**INCOME, "above": 5}], None),
        ([{**INCOME, "above": 9}, {**INCOME, "above": 5}], None),
    ],
    ids=["covered", "never", "covered by two", "unknown before", "absent first", "in order"],
)
def test_a_row_that_is_never_the_first_is_told(conditions: list[Data], told_of: str | None) -> None:
    found = told(table(*((when, number) for number, when in enumerate(conditions))), READS, END, NOTHING)
    found = [line.removeprefix("steps.0.table.rows.") for line in found if "otherwise" not in line]
    assert [line[: len(told_of or "")] for line in found] == ([] if told_of is None else [told_of])


def test_otherwise_that_is_never_needed_is_told() -> None:
    found = told(table(({**INCOME, "above": 5}, 1), ({**INCOME, "at_most": 5}, 2)), READS, END, NOTHING)
    assert found == ["steps.0.table.otherwise: is never needed: some row always holds, or is unknown"]


def test_texts_that_are_not_what_they_look_like_are_told() -> None:
    found = told(ROUTE, {**END, "title": "Watch"}, {**NOTHING, "title": "Wat\u0441h"})
    problem = (
        "is the title Wat\u0441 (U+0441)h, which looks like Watch and is another one: write Watch if that is meant"
    )
    assert found == [f"steps.2.title: {problem}"]


def test_that_a_run_fails_where_facts_do_not_decide_is_a_note() -> None:
    bare = {word: part for word, part in ROUTE.items() if word != "on_unknown"}
    assert told(bare, END, NOTHING) == []
    assert ["has no on_unknown" in line for line in told(bare, END, NOTHING, notes=True)] == [True]
    made = analysed(document(bare, END, NOTHING, **CALM))
    assert lint_flow(made) == []
    known = {**bare, "route": [{"when": {"level": "in_force", "is": "present"}, "to": "done"}]}
    assert told(known, END, NOTHING, notes=True) == []


def test_what_is_wrong_is_told_with_its_line_and_without_doubts_of_the_same() -> None:
    written = text_of(document({**ROUTE, "otherwise": "nowhere"}, END, NOTHING, **CALM))
    lines = written.replace('"steps"', '\n"steps"')
    found = lint_flow(analyse_flow(lines), document=Document(lines, "the flow"))
    assert [(each.fatal, each.line) for each in found] == [(True, 2)]
    assert "there is no step nowhere" in found[0].problem


WRITTEN = "flow: small\ntitle: Small\nentity_type: customer\nrationale: So.\nlevels: [low, medium, high]\n"


def errors_and_doubts(parts: list[str]) -> str:
    found = lint_flow_document(Document("\n".join([WRITTEN, *parts])), AnalysedFlow, {})
    wrong = [(fault, one) for fault, one in found if fault.check in {"language", "names-and-types", "examples"}]
    return " | ".join(f"{fault.check}: {one.where}: {one.problem}" for fault, one in wrong) or "nothing"


def test_a_word_or_a_name_that_is_misspelt_gets_a_suggestion() -> None:
    compare("flow_words", errors_and_doubts)


def test_every_finding_names_one_of_the_checks() -> None:
    bare = {word: part for word, part in ROUTE.items() if word not in {"on_unknown", "rationale"}}
    wrong: Data = {"name": "Two", "given": {}, "ends": "nowhere"}
    made = analysed(document(bare, {**END, "id": "first"}, END, NOTHING, **{**CALM, "examples": [wrong]}))
    found = {each.check for each in flow_diagnostics(made)}
    assert found == {"examples", "reach", "failures"}
    assert found <= set(CHECKS)


@given(case=cases())
def test_what_is_told_never_to_happen_never_does(case: Case) -> None:
    made = compiled(case)
    never = {
        each.path for each in flow_diagnostics(made.analysed) if "never" in each.problem and each.path[0] == "steps"
    }
    unneeded = [path for path in never if path[-1] == "otherwise"]
    rows = [row for row in case.rows if row.facts["sum"] is not None]  # lint knows that a sum is never unknown
    for values in as_columns(made, rows) if rows else ():
        for step, word in words_of(made, values):
            position = made.flow.positions[step]
            assert ("steps", position) not in never
            for part in ("route", "rows"):
                at = ("steps", position, *(("table",) if part == "rows" else ()), part)
                assert not any((*at, number) in never and word == f"holds {number}" for number in range(3))
            assert word != "otherwise" or not any(path[1] == position for path in unneeded)


def test_many_rows_that_earlier_ones_cover_together_are_each_named() -> None:
    singles = [({"field": "income", "equals": each}, each) for each in range(25)]
    pairs = [({"field": "income", "in": list(pair)}, 1) for pair in combinations(range(25), 2)]
    lines = told(table(*singles, *pairs), READS, END, NOTHING)
    together = [line for line in lines if line.endswith("those before it hold whenever it does")]
    assert len(together) == len(pairs)
