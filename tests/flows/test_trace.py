"""Why a run came to its end: said of the run alone, and of nothing but what was passed."""

import copy
from typing import Any

from hypothesis import given

from fivefold.flows.asking.choices import CHOICES, step_without_conditions, way_taken
from fivefold.flows.language import ways_from
from fivefold.flows.steps import STOP, RowContext, Stop
from fivefold.flows.trace import explain_run
from fivefold.risk.facts.portfolio import error_of
from fivefold.risk.language.expressions import FieldInput, input_key
from tests.flows.flows_drawn import Case, cases
from tests.flows.flows_small import ACTIONS, END, NOTHING, document, program
from tests.flows.test_program import as_columns, as_row, asked_of, by_the_book, compiled


@given(case=cases())
def test_what_is_said_of_a_run_is_what_it_passed_and_what_follows(case: Case) -> None:
    made = compiled(case)
    for row in case.rows:
        values, book = as_row(made, row), by_the_book(case, row)
        said = explain_run(made, values)
        assert [each.step for each in said.steps] == [step for step, _ in book.passed]
        assert [each.to for each in said.steps] == [*(step for step, _ in book.passed[1:]), None]
        assert (said.status, said.at) == (book.status, book.passed[-1][0])
        assert [each.action for each in said.actions] == book.actions
        fixed = {"fixed": 2000}  # its amount is beyond its bounds
        amounts = book.amounts if values[STOP] == Stop.ENDED else fixed
        for action in said.actions:
            assert action.amount_minor == amounts.get(action.action)


@given(case=cases())
def test_where_a_choice_is_undecided_what_was_missing_is_named(case: Case) -> None:
    made = compiled(case)
    for row in case.rows:
        said, book = explain_run(made, as_row(made, row)), by_the_book(case, row)
        for step, (_, word) in zip(said.steps, book.passed, strict=True):
            is_missing = (word.startswith("unknown ") and word != "unknown amount") or word == "no value"
            assert bool(step.missing) == is_missing


@given(case=cases())
def test_the_record_says_which_way_was_taken_and_does_so_without_its_conditions_too(case: Case) -> None:
    made = compiled(case)
    for row in case.rows:
        values = as_row(made, row)
        for step in explain_run(made, values, asked_of(row)).as_json()["steps"]:
            hidden, position = step_without_conditions(step), made.flow.positions[step["step"]]
            path = way_taken(made.flow, step)
            assert path == way_taken(made.flow, hidden)
            if step["to"] is not None:
                following = made.flow.steps[position + 1].id
                ways = {path: to or following for path, to in ways_from(made.flow, position)}
                assert path is not None
                assert ways[path] == step["to"]
            if step["kind"] in CHOICES and step["outcome"] != "otherwise":
                assert step["asked"] not in f"{hidden['outcome']} {hidden['asked']}"
                assert step["sentence"].count(step["asked"]) > hidden["sentence"].count(step["asked"])
            assert hidden["seen"] == step["seen"] or "inner" in step


@given(case=cases())
def test_saying_why_changes_nothing_and_says_the_same_again(case: Case) -> None:
    made = compiled(case)
    for row, columns in zip(case.rows, as_columns(made, case.rows), strict=True):
        values = as_row(made, row)
        before = copy.deepcopy(values)
        said = explain_run(made, values, asked_of(row)).as_json()
        assert values == before
        assert explain_run(compiled(case), values, asked_of(row)).as_json() == said
        assert explain_run(made, columns, asked_of(row)).as_json() == said


def test_two_inputs_compared_by_several_ways_are_not_shown_as_one_number() -> None:
    income, most = {"field": "income"}, {"field": "most"}
    ways = [{"when": {**most, "below": other}, "to": "done"} for other in (income, {"field": "least"})]
    route = {"id": "way", "route": ways, "otherwise": "nothing"}
    fields = {"income": "number", "most": "number", "least": "number"}
    made = program(document(route, END, NOTHING, fields=fields))
    row = {
        input_key(FieldInput(field=name)): value
        for name, value in zip(fields, (1.0, 12345.679, 12345.678), strict=True)
    }
    said = explain_run(made, made.run_row(row, RowContext({}, {})))
    assert said.steps[0].seen == "most is 12,345.68, income is 1, least is 12,345.678"


def test_where_a_calculation_fails_the_part_that_could_not_be_read_is_named() -> None:
    share = {"divide": [{"field": "income"}, 2], "unit": "ratio"}
    route = {
        "id": "way",
        "route": [{"when": {"calculation": "share", "above": 1}, "to": "done"}],
        "otherwise": "nothing",
    }
    made = program(document({"id": "calc", "calculate": {"share": share}}, route, END, NOTHING))
    key = input_key(FieldInput(field="income"))
    said = explain_run(made, made.run_row({key: None, error_of(key): "bad"}, RowContext({}, {})))
    problem = "share cannot be calculated, because income is bad, which is no finite number"
    assert [each.seen for each in said.steps] == [problem, problem]


def test_a_written_amount_beyond_its_bounds_is_said_to_be_held() -> None:
    limit = {"id": "l", "title": "L", "limit": "daily", "amount": 30, "between": [10, 20]}
    made = program(document({**END, "end": ["l"]}, actions=[*ACTIONS, limit]))
    [action] = explain_run(made, made.run_row({}, RowContext({}, {}))).actions
    assert (action.amount_minor, action.sets) == (
        2_000,
        "daily 20.00 EUR, the greatest that may be set, in place of 30.00 EUR",
    )


def test_missing_names_the_inputs_of_the_parts_that_are_unknown_alone() -> None:
    """What is known to be false or true decided nothing, whatever else was missing there."""
    income, least, most = ({"field": name} for name in ("income", "least", "most"))
    conditions: list[tuple[Any, tuple[str, ...]]] = [
        ({"any": [{"all": [{**least, "below": 1}, {**income, "above": 100}]}, {**most, "above": 1}]}, ("most",)),
        ({"all": [{**least, "is": "absent"}, {**most, "above": 1}]}, ("most",)),
        ({"all": [{**least, "above": 1}, {"not": {**most, "below": income}}]}, ("least", "most")),
        ({"tag": "vip", "is": "present"}, ("tag vip",)),
    ]
    for condition, names in conditions:
        route = {"id": "way", "route": [{"when": condition, "to": "done"}], "otherwise": "nothing"}
        made = program(document(route, END, NOTHING, fields=dict.fromkeys(("income", "most", "least"), "number")))
        row = dict.fromkeys(made.inputs) | {input_key(FieldInput(field="income")): 6.0}
        said = explain_run(made, made.run_row(row, RowContext({}, {})))
        assert said.steps[0].missing == names


def test_what_could_not_be_read_of_a_transaction_is_said_whole() -> None:
    total = {"sum": "amount", "over": "30 days"}
    route = {"id": "way", "route": [{"when": {**total, "above": 1}, "to": "done"}], "otherwise": "nothing"}
    made = program(document(route, END, NOTHING))
    (key,) = made.inputs
    row = {key: None, error_of(key): "transaction_date is missing; allowed: an ISO 8601 date"}
    said = explain_run(made, made.run_row(row, RowContext({}, {})))
    problem = "sum of amount in 30 days cannot be read: transaction_date is missing; allowed: an ISO 8601 date"
    assert said.steps[0].seen == problem
