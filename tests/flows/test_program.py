"""Runs of flows: as columns, alone and beside others, as plain functions, and by the book."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from typing import Any

import polars as pl
from hypothesis import given

from fivefold.flows.asking.steps import AskingFlow, AskingPolicy, AskingRuleset, Valuing
from fivefold.flows.language import NOBODY
from fivefold.flows.outside.outcomes import OutsideOutcome, failed_outcome
from fivefold.flows.outside.step import CompiledOutsideStep
from fivefold.flows.program import FlowProgram
from fivefold.flows.steps import LAST, STOP, Calculating, Choosing, Ending, RowContext, RunContext, Stop, Waiting
from fivefold.flows.trace import STATUSES
from fivefold.risk.compiler.analysis import AnalysedPolicy
from fivefold.risk.facts.portfolio import error_of
from fivefold.risk.language.expressions import CalculationInput, input_key
from tests.flows.flows_drawn import POLICY_COLUMNS, Case, Row, cases
from tests.flows.flows_small import ACTIONS, END, NOTHING, document, program
from tests.flows.reference import Book, BookRun
from tests.risk.engine.policies_small import policy

KEYS = {
    '{"level":"in_force"}': ("level", pl.Int64),
    '{"value":"score"}': ("score", pl.Float64),
    '{"value":"expected_value"}': ("worth", pl.Float64),
    '{"value":"expected_value_low"}': ("worth_low", pl.Float64),
    '{"value":"expected_value_high"}': ("worth_high", pl.Float64),
    '{"value":"segment"}': ("segment", pl.String),
    '{"sum":"amount"}': ("sum", pl.Int64),
    '{"count":"transactions"}': ("count", pl.Float64),
    '{"mean":"amount"}': ("mean", pl.Float64),
    '{"field":"income"}': ("income", pl.Float64),
    error_of('{"field":"income"}'): ("problem", pl.String),
    '{"field":"country"}': ("country", pl.String),
    '{"tag":"known"}': ("known", pl.Boolean),
}
"""The columns of all facts that drawn flows read."""


def compiled(case: Case) -> FlowProgram:
    return program(case.written, {"small": AnalysedPolicy(policy(*case.rules))}, [case.ruleset], [case.inner])


ASKED = ("ruleset plain", "flow inner", "flow inner/ruleset plain")
"""The keys of what is asked on the same facts; `small` and `flow inner/small` are asked on those of the policy."""


def facts_of(row: Row) -> dict[str, Any]:
    total, count = row.facts["sum"], row.facts["count"]
    known = {**row.facts, "segment": None, "mean": total / count if total is not None and count else None}
    return {key: known[name] for key, (name, _) in KEYS.items()}


def as_columns(made: FlowProgram, rows: list[Row]) -> list[dict[str, Any]]:
    facts = pl.DataFrame([facts_of(row) for row in rows], schema={key: kind for key, (_, kind) in KEYS.items()})
    policies = pl.DataFrame([row.policy for row in rows], schema=POLICY_COLUMNS, orient="row")
    answers = {step: pl.Series(step, [row.answers[step] for row in rows], dtype=pl.String) for step in rows[0].answers}
    named = facts.with_columns(entity_id=pl.lit("e"), as_of=pl.lit(0, pl.Int64))
    asked = {"small": policies, "flow inner/small": policies, **dict.fromkeys(ASKED, named)}
    came = made.outcome_frames({step: [outcome_of(row.outcomes[step]) for row in rows] for step in rows[0].outcomes})
    return made.run(facts, RunContext(asked, answers, came)).rows(named=True)


def outcome_of(came: dict[str, Any] | str | None) -> OutsideOutcome | None:
    """Make the outcome that is drawn: values, that it failed, or nothing yet."""
    if came is None:
        return None
    return (
        failed_outcome("it is down", "a book", 7)
        if came == "failed"
        else OutsideOutcome(values=came, source="a book", at_us=7)
    )


def as_row(made: FlowProgram, row: Row) -> dict[str, Any]:
    return made.run_row(facts_of(row), asked_of(row))


def asked_of(row: Row) -> RowContext:
    policy_row = dict(zip(POLICY_COLUMNS, row.policy, strict=True))
    named = {**facts_of(row), "entity_id": "e", "as_of": 0}
    asked = {"small": policy_row, "flow inner/small": policy_row, **dict.fromkeys(ASKED, named)}
    return RowContext(asked, row.answers, {step: outcome_of(each) for step, each in row.outcomes.items()})


def by_the_book(case: Case, row: Row) -> BookRun:
    others = {"ruleset": case.ruleset, "inner": case.inner}
    book = Book(case.written, row.facts, row.answers, case.rules, row.policy, **others)
    book.outcomes = row.outcomes
    return book.run()


def known(values: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what is null: what could not be read has a column only where there is some."""
    return {name: value for name, value in values.items() if value is not None}


WORDS: dict[type, tuple[str, ...]] = {
    Calculating: ("calculated",),
    AskingPolicy: ("asked", "undecided"),
    AskingRuleset: ("a level", "failed", "unclassified", "undetermined", "not applicable"),
    Valuing: ("worth", "no value"),
    AskingFlow: ("came", "failed"),
    CompiledOutsideStep: ("came", "nothing came", "asks"),
}


def words_of(made: FlowProgram, values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Say in words what each step that was passed came to."""
    found = []
    for step in made.steps:
        code = values[step.column]
        if code is None:
            continue
        word = WORDS.get(type(step), ("",) * (code + 1))[code]
        if isinstance(step, Choosing):
            count = len(step.conditions)
            word = f"holds {code}" if code < count else f"unknown {code - count - 1}" if code > count else "otherwise"
        elif isinstance(step, Waiting):
            word = (*step.answers, NOBODY, "waits")[code]
        elif isinstance(step, Ending):
            word = ("ended", "unknown amount")[code]
        found.append((step.identifier, word))
    return found


def assert_same(found: Sequence[Mapping[str, Any]], expected: Sequence[Mapping[str, Any]]) -> None:
    """Compare rows value by value: of whole rows a difference takes minutes to write out."""
    assert len(found) == len(expected)
    for one, other in zip(map(known, found), map(known, expected), strict=True):
        assert not [(name, one.get(name), other.get(name)) for name in one | other if one.get(name) != other.get(name)]


@given(case=cases())
def test_a_row_comes_to_the_same_whatever_is_beside_it(case: Case) -> None:
    made = compiled(case)
    together = as_columns(made, case.rows)
    assert_same([each for row in case.rows for each in as_columns(made, [row])], together)
    shuffled = [*reversed(case.rows), *case.rows[:1]]
    assert_same(as_columns(made, shuffled), [*reversed(together), *together[:1]])


@given(case=cases())
def test_one_entity_runs_as_columns_do(case: Case) -> None:
    made = compiled(case)
    assert made.has_plain_form
    assert_same([as_row(made, row) for row in case.rows], as_columns(made, case.rows))


@given(case=cases())
def test_one_entity_runs_the_same_where_a_condition_has_no_plain_form(case: Case) -> None:
    made = compiled(case)
    steps = tuple(replace(step, tests=None) if isinstance(step, Choosing) else step for step in made.steps)
    without = replace(made, steps=steps)
    assert_same([as_row(without, row) for row in case.rows], as_columns(made, case.rows))


@given(case=cases())
def test_a_run_comes_to_what_the_book_says(case: Case) -> None:
    made = compiled(case)
    for row, values in zip(case.rows, as_columns(made, case.rows), strict=True):
        book = by_the_book(case, row)
        assert words_of(made, values) == book.passed
        assert STATUSES[Stop(values[STOP])] == book.status
        assert made.flow.steps[values[LAST]].id == book.passed[-1][0]
        for step in made.steps:
            for name, column in step.outputs.items():
                if '"calculation"' not in column.name:
                    exact = book.outputs.get((step.identifier, name))
                    assert values[column.name] == (None if exact is None else _in_column(exact, column))
        for name in made.flow.calculate:
            key = input_key(CalculationInput(calculation=name))
            assert_near(values[key], book.calculated.get(name), 100 if made.flow.calculate[name].unit == "money" else 1)
            assert (values.get(error_of(key)) is not None) == (name in book.unreadable)
        amounts = {name.removeprefix("amount "): each for name, each in values.items() if name.startswith("amount ")}
        assert known(amounts) == known(book.amounts)


def _in_column(exact: Any, column: Any) -> Any:
    return (
        float(exact) * column.units
        if isinstance(exact, Fraction) and column.units == 1
        else (int(exact * column.units) if isinstance(exact, Fraction) else exact)
    )


def assert_near(value: float | None, exact: Fraction | None, units: int) -> None:
    """An exact result is kept as the float nearest to it, or the next one."""
    assert (value is None) == (exact is None)
    if value is not None and exact is not None:
        assert abs(Fraction(value) - exact * units) <= abs(exact * units) / 2**51


def leads_of(step: dict[str, Any], position: int, steps: list[dict[str, Any]]) -> set[int]:
    """Give the positions of the steps to which one leads, from the document."""
    places = {each["id"]: number for number, each in enumerate(steps)}
    if "route" in step:
        to = [
            *(way["to"] for way in step["route"]),
            step["otherwise"],
            *([step["on_unknown"]] if "on_unknown" in step else []),
        ]
    elif "person" in step:
        to = [*step["person"]["answers"].values(), step["person"]["otherwise"]]
    elif "end" in step:
        return set()
    else:
        unknown = {places[step["on_unknown"]]} if "on_unknown" in step else set()
        return {places[step["then"]] if "then" in step else position + 1, *unknown}
    return {places[each] for each in to}


@given(case=cases())
def test_a_run_stops_and_passes_only_what_the_step_before_leads_to(case: Case) -> None:
    made, steps = compiled(case), case.written["steps"]
    for values in as_columns(made, case.rows):
        passed = [place for place, step in enumerate(made.steps) if values[step.column] is not None]
        assert passed[0] == 0
        for before, after in pairwise(passed):
            assert after in leads_of(steps[before], before, steps)
        last = steps[values[LAST]]
        assert passed[-1] == values[LAST]
        fail = {"route", "table", "end", "rules", "value", "flow", "data", "model"}
        kinds = {Stop.ENDED: {"end"}, Stop.WAITS: {"person"}, Stop.FAILED: fail, Stop.ASKS: {"data", "model"}}
        assert kinds[Stop(values[STOP])] & set(last)


@given(case=cases(people=True))
def test_a_run_that_stopped_goes_on_from_where_it_was(case: Case) -> None:
    made = compiled(case)
    stops = {Stop.WAITS, Stop.ASKS}
    for row in case.rows:
        stopped = Row(row.facts, row.policy, dict.fromkeys(row.answers), dict.fromkeys(row.outcomes))
        for _ in case.written["steps"]:
            before = as_row(made, stopped)
            if before[STOP] not in stops:
                break
            at = made.steps[before[LAST]]
            came = {at.identifier: {}} if before[STOP] == Stop.ASKS else {}
            answered = {} if came else {at.identifier: "yes"}
            stopped = Row(row.facts, row.policy, {**stopped.answers, **answered}, {**stopped.outcomes, **came})
            after = as_row(made, stopped)
            first = words_of(made, before)[:-1]
            assert words_of(made, after)[: len(first)] == first
            assert words_of(made, after)[len(first)] == (at.identifier, "came" if came else "yes")
            same = {name: value for name, value in known(before).items() if not _of_step(name, at)}
            assert same.items() <= {**after, STOP: before[STOP], LAST: before[LAST]}.items()
        assert before[STOP] not in stops


def _of_step(name: str, step: Any) -> bool:
    return name == step.column or name in {column.name for column in step.outputs.values()}


THIRDS: list[dict[str, Any]] = [
    {"id": "first", "calculate": {"third": {"divide": [{"field": "income"}, 3], "unit": "ratio"}}},
    {"id": "second", "calculate": {"whole": {"multiply": [{"calculation": "third"}, 3], "unit": "ratio"}}},
    {"id": "same", "route": [{"when": {"calculation": "whole", "equals": 1}, "to": "done"}], "otherwise": "nothing"},
]


def test_a_calculation_of_an_earlier_one_is_exact_for_one_entity_too() -> None:
    made = program(document(*THIRDS, END, NOTHING))
    row = Row({**dict.fromkeys(name for name, _ in KEYS.values()), "income": 1.0}, (), {})
    facts = facts_of(Row({**row.facts, "count": 0.0}, (), {}))
    assert made.run_row(facts, RowContext({}, {}))["step same"] == 0
    frame = pl.DataFrame([facts], schema={key: kind for key, (_, kind) in KEYS.items()})
    assert made.run(frame, RunContext({}, {}))["step same"].to_list() == [0]


def test_where_one_amount_is_unknown_no_limit_is_set() -> None:
    between = {"title": "L", "between": [0, 100]}
    limits = [{**between, "id": "known", "limit": "a", "amount": 5}]
    limits += [{**between, "id": "unknown", "limit": "b", "amount": {"calculation": "spent"}}]
    calculate = {"id": "c", "calculate": {"spent": {"of": {"sum": "amount"}, "unit": "money"}}}
    made = program(document(calculate, {**END, "end": ["known", "unknown"]}, actions=[*ACTIONS, *limits]))
    for total, amounts in ((None, (None, None)), (200, (500, 200))):
        facts = {'{"sum":"amount"}': total}
        columns = made.run(pl.DataFrame([facts], schema={'{"sum":"amount"}': pl.Int64}), RunContext({}, {})).row(
            0, named=True
        )
        for values in (columns, made.run_row(facts, RowContext({}, {}))):
            assert (values["amount known"], values["amount unknown"]) == amounts
            assert values[STOP] == (Stop.FAILED if total is None else Stop.ENDED)
