"""A policy is a flow of one step: its decision is the end of that flow, for drawn policies and facts."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fivefold.console.flows.graph import picture_of_policy
from fivefold.domain.errors import InvalidRulesetError
from fivefold.flows.analysis import with_asked
from fivefold.flows.language import EndStep, read_flow
from fivefold.flows.policies import analysed_policy_flow, flow_of_policy
from fivefold.flows.program import FlowProgram, flow_program_for
from fivefold.flows.steps import LAST, STOP, RowContext, RunContext, Stop
from fivefold.flows.trace import explain_run
from fivefold.risk.compiler.analysis import analyse_canonical_policy
from fivefold.risk.engine.policy_program import ACTION
from fivefold.usecases.flows.on_files import load_flow
from tests.risk.engine.policies_small import COLUMNS, drawn_rules, policy, program, rows

UNKNOWN = {"when": {"level": "in_force", "equals": "high"}, "action": "block"}
REVIEW = {"when": {"transaction": "amount", "above": 1000}, "action": "review"}


def compiled(made: Any) -> FlowProgram:
    return flow_program_for(analysed_policy_flow(analyse_canonical_policy(made.canonical)), {}, "EUR")


@given(drawn_rules, st.sampled_from(["first", "most severe"]), rows)
def test_the_decision_of_a_policy_is_the_end_of_its_flow(
    rules: list[dict[str, Any]], wins: str, facts: list[tuple[Any, ...]]
) -> None:
    made = policy(*rules, wins=wins)
    frame = pl.DataFrame(facts, schema=COLUMNS, orient="row")
    decided = [made.actions[place] for place in program(made).run(frame)[ACTION]]
    flow = compiled(made)
    ids = [step.id for step in flow.flow.steps]
    outcomes = flow.run(
        pl.DataFrame({"entity_id": [str(place) for place in range(len(facts))]}), RunContext({"small": frame}, {})
    )
    assert [ids[place] for place in outcomes[LAST]] == decided
    assert set(outcomes[STOP]) == {int(Stop.ENDED)}
    for row, action in zip(frame.rows(named=True), decided, strict=True):
        asked = RowContext({"small": row}, {})
        single = flow.run_row({}, asked)
        assert (ids[single[LAST]], single[STOP]) == (action, Stop.ENDED)
        explanation = explain_run(flow, single, asked)
        assert (explanation.status, explanation.at, explanation.actions) == ("ended", action, ())


def test_what_the_policy_says_of_data_stands_in_its_flow() -> None:
    made = policy(
        UNKNOWN,
        purpose="commercial",
        purposes={"level": "both", "actions": {"note": "both"}},
        calculate={"x": {"of": 1, "unit": "count"}},
    )
    flow = flow_of_policy(made)
    assert (flow.name, flow.purpose, flow.levels, flow.entity_type) == ("small", "commercial", made.levels, "customer")
    assert (flow.purposes.level, flow.fields, flow.transaction_fields) == (
        "both",
        made.fields,
        made.transaction_fields,
    )
    assert [step.id for step in flow.steps if isinstance(step, EndStep)] == list(made.actions)
    assert read_flow(flow.canonical).canonical == flow.canonical, "its form is one of the language"


def test_a_file_of_a_policy_is_read_as_its_flow(tmp_path: Path) -> None:
    made = policy(UNKNOWN)
    path = tmp_path / "small.json"
    path.write_text(made.canonical, encoding="utf-8")
    read = load_flow(str(path))
    assert read.flow == flow_of_policy(made)
    assert read.policies["small"].policy == made
    path.write_text(made.canonical.replace('"block"', '"bloc"', 1), encoding="utf-8")
    with pytest.raises(InvalidRulesetError):
        flow_program_for(load_flow(str(path)), {}, "EUR")


def test_a_policy_is_drawn_as_its_flow() -> None:
    picture = picture_of_policy(policy(UNKNOWN, REVIEW).canonical)
    assert picture is not None
    assert [step.id for step in picture.steps] == ["decides", "by-action", "allow", "note", "review", "block"]
    assert picture_of_policy("policy: small") is None


def test_steps_are_never_named_as_actions() -> None:
    made = policy(
        {"when": {"transaction": "amount", "above": 1}, "action": "decides"},
        actions=["by-action", "decides", "decides-step"],
        otherwise="by-action",
    )
    assert [step.id for step in flow_of_policy(made).steps] == [
        *("decides-step-step", "by-action-step"),
        *("by-action", "decides", "decides-step"),
    ]
    compiled(made)


def test_a_flow_that_asks_a_policy_otherwise_still_stops_where_a_rule_is_unknown() -> None:
    made = policy(UNKNOWN, REVIEW)
    text = flow_of_policy(made).canonical
    assert '"as_decided":true' in text
    unsure = text.replace('"as_decided":true,', "").replace(',"as_decided":true', "")
    analysed = with_asked(read_flow(unsure), {"small": analyse_canonical_policy(made.canonical)}, {}, {})
    row = dict.fromkeys(COLUMNS)
    flow = flow_program_for(analysed, {}, "EUR")
    single = flow.run_row({}, RowContext({"small": row}, {}))
    assert single[STOP] == Stop.FAILED
    [step] = explain_run(flow, single, RowContext({"small": row}, {})).steps
    assert (step.outcome, step.asked) == ("a rule that is unknown could change the action", "policy small")
    assert step.seen == "Allow, as no rule gives an action; not known: R0, R1"
    assert step.missing == ("level", "amount of the transaction")
    assert compiled(made).run_row({}, RowContext({"small": row}, {}))[STOP] == Stop.ENDED


def test_what_a_policy_decided_is_said_with_what_it_saw_and_nothing_is_missing_then() -> None:
    flow = compiled(policy(REVIEW, UNKNOWN))
    asked = RowContext({"small": {**dict.fromkeys(COLUMNS), '{"transaction":"amount"}': 100_001}}, {})
    single = flow.run_row({}, asked)
    told, without_inputs = (explain_run(flow, single, context).steps[0] for context in (asked, None))
    assert (told.outcome, told.asked, told.missing) == ("asked", "policy small", ())
    assert told.seen == "Review, by R0; not known: R1"
    assert (without_inputs.outcome, without_inputs.asked, without_inputs.seen) == ("asked", "policy small", "")


def test_where_the_policy_decides_in_any_case_nothing_is_said_of_what_is_unknown() -> None:
    text = flow_of_policy(policy(UNKNOWN)).canonical
    with pytest.raises(InvalidRulesetError, match="as_decided"):
        read_flow(text.replace('"rules":', '"on_unknown":"allow","rules":', 1))
