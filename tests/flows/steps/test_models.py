"""Steps that ask a model, as documents: what is refused, what is doubted, and what a change changes."""

from typing import Any

import pytest

from fivefold.domain.errors import InvalidRulesetError
from fivefold.flows.doubts import lint_flow
from fivefold.flows.governance.diff import diff_flows
from fivefold.flows.governance.mutation import changes_of_flow
from tests.flows.flows_small import ACTIONS, END, NOTHING, analysed, document

Data = dict[str, Any]
MODEL: Data = {
    "name": "churn",
    "alias": "champion",
    "send": {"Annual income": {"field": "income"}},
    "gives": {"probability": "number", "likely": "flag"},
    "outputs": {"probability": "p", "likely": 1},
    "purpose": "commercial",
}
STEP: Data = {"id": "m", "model": MODEL, "on_unknown": "nothing"}
HALF: Data = {"when": {"step": "m", "output": "probability", "at_least": 0.5}, "to": "nothing"}
ROUTE: Data = {"id": "r", "route": [HALF], "otherwise": "nothing"}


def step(**parts: Any) -> Data:
    return {**STEP, "model": {**MODEL, **parts}}


def test_what_a_step_means_does_not_depend_on_the_order_of_its_names() -> None:
    turned = step(gives={"likely": "flag", "probability": "number"}, outputs={"likely": 1, "probability": "p"})
    first, second = (analysed(document(each, END, NOTHING)).flow for each in (STEP, turned))
    assert first.content_hash == second.content_hash
    assert not diff_flows(first, second).changes
    moved = analysed(document(step(alias="challenger"), END, NOTHING)).flow
    [change] = diff_flows(first, moved).changes
    assert "champion" in str(change)
    assert "challenger" in str(change)


@pytest.mark.parametrize(
    ("parts", "problem"),
    [
        ({"gives": {"loss": "money"}}, "must be one of text, number, flag"),
        ({"name": "../churn"}, "model, name"),
        ({"alias": "a/b"}, "model, alias"),
        ({"send": {}}, "model, send"),
        ({"send": {"a\nb": {"field": "income"}}}, "model, send"),
        ({"outputs": {"likely": -1}}, "model, outputs, likely"),
    ],
)
def test_what_no_model_can_be_asked_is_refused(parts: Data, problem: str) -> None:
    with pytest.raises(InvalidRulesetError) as refused:
        analysed(document(step(**parts), END, NOTHING))
    assert problem in str(refused.value)


def test_an_output_that_the_step_does_not_give_is_named_with_the_one_that_was_meant() -> None:
    found = analysed(document(step(outputs={"likly": 1}), END, NOTHING)).errors
    assert [each.problem for each in found] == [
        "likly is nothing that the step gives; it gives likely, probability; perhaps likely was meant"
    ]


def test_what_is_never_read_is_doubted() -> None:
    found = [str(each) for each in lint_flow(analysed(document(STEP, ROUTE, END, NOTHING)))]
    assert any("model, gives, likely" in each and "is never read" in each for each in found)
    assert not any("model, gives, probability" in each for each in found)


def test_a_flow_for_commerce_asks_no_model_that_learnt_against_money_laundering() -> None:
    fields = {"fields": {"income": "commercial", "country": "commercial"}}
    parts = {"actions": ACTIONS[:3], "purpose": "commercial", "purposes": fields}
    for purpose in ("aml", None):
        asked = {name: value for name, value in MODEL.items() if name != "purpose"}
        own = {**STEP, "model": {**asked, **({"purpose": purpose} if purpose else {})}}
        found = [each.problem for each in analysed(document(own, END, NOTHING, **parts)).errors]
        [found] = [each for each in found if "the model churn" in each]
        assert "which is for aml alone (purpose of the step's model)" in found
    assert not [each for each in analysed(document(STEP, END, NOTHING, **parts)).errors if "model" in each.problem]


def test_changes_lead_elsewhere_where_nothing_came() -> None:
    flow = analysed(document({**STEP, "on_unknown": "done", "then": "nothing"}, END, NOTHING)).flow
    at = [change for change in changes_of_flow(flow) if change.path[-1] == "on_unknown"]
    assert [(change.before, change.after) for change in at] == [("done", "nothing"), ("done", "nothing said")]
