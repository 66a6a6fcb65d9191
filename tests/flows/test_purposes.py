"""Purposes of flows: what a flow reads is told once for each way to it, with what the flow is for."""

from typing import Any

import pytest

from fivefold.flows.purposes import flow_purpose_diagnostics, flow_readings
from fivefold.risk.compiler.analysis import AnalysedPolicy
from fivefold.risk.compiler.purposes import Sources
from fivefold.risk.language.purposes import PolicyPurposes
from tests.flows.flows_small import ACTIONS, END, NOTHING, analysed, document
from tests.flows.steps.test_asking import ASKS_PLAIN, inner, ruleset
from tests.risk.engine.policies_small import policy

Data = dict[str, Any]
RICH: Data = {"when": {"field": "income", "at_least": 9}, "to": "done"}
POOR: Data = {"when": {"field": "income", "at_most": 1}, "to": "nothing"}
BOTH_ENDS: Data = {"id": "r", "route": [RICH, POOR], "otherwise": "again"}
AGAIN: Data = {"id": "again", "route": [RICH], "otherwise": "nothing"}
FLAG, OFFER = ACTIONS[0], {"id": "offer", "title": "Offer", "status": "approved", "purpose": "commercial"}
TAG: Data = {"id": "tag", "title": "Tag", "tag": "watched"}


def reading(*steps: Data, sources: Sources = Sources(), **parts: Any) -> tuple[list[str], list[tuple[str, ...]]]:  # noqa: B008 (it cannot be changed)
    """Give the problems, and for each reading its way, what it serves and its hint."""
    flow = analysed(document(*steps, END, NOTHING, **{"actions": [FLAG], **parts}))
    readings = [(*each.steps, each.serves, each.hint) for each in flow_readings(flow, sources)]
    return [each.problem for each in flow_purpose_diagnostics(flow, sources)], readings


def test_what_two_conditions_of_a_step_read_is_one_reading_and_one_problem() -> None:
    problems, readings = reading(BOTH_ENDS, AGAIN, purpose="commercial")
    hint = "purposes, fields says nothing of it"
    assert readings == [("flow small", f"step {step}", "field income", "commercial", hint) for step in ("r", "again")]
    assert problems == [
        f"reads field income, which is for aml alone ({hint}), and the flow is for commerce: "
        f"flow small → step {step} → field income"
        for step in ("r", "again")
    ]


GIVES: Data = {"id": "tag", "title": "Tag", "tag": "watched"}
JOINS: Data = {"id": "join", "title": "Join", "tag": "group:dear"}


@pytest.mark.parametrize(
    ("parts", "sources", "serves", "words"),
    [
        ({}, Sources(), "aml", None),
        ({"purpose": "commercial"}, Sources(), "commercial", "the flow is for commerce"),
        ({"purpose": "both", "actions": [FLAG, OFFER]}, Sources(), "both", "the flow is for aml and commerce"),
        ({"actions": [FLAG, OFFER]}, Sources(), "commercial", "the action offer is for commerce"),
        ({"actions": [FLAG, GIVES]}, Sources(), "aml", None),
        (
            {"actions": [FLAG, GIVES], "purposes": {"tags": {"watched": "both"}}},
            Sources(),
            "both",
            "the tag watched, which the action tag gives, is for aml and commerce",
        ),
        (
            {"actions": [FLAG, GIVES]},
            Sources(declared=PolicyPurposes(tags={"watched": "commercial"})),
            "commercial",
            "the tag watched, which the action tag gives, is for commerce",
        ),
        (
            {"actions": [FLAG, JOINS]},
            Sources(groups={"dear": "commercial"}),
            "commercial",
            "the group dear, into which the action join puts, is for commerce",
        ),
        ({"actions": [FLAG, JOINS]}, Sources(groups={"other": "commercial"}), "aml", None),
    ],
)
def test_a_flow_is_for_what_its_actions_and_tags_are_for(
    parts: Data, sources: Sources, serves: str, words: str | None
) -> None:
    problems, [found] = reading(AGAIN, sources=sources, **parts)
    assert found[3] == serves
    assert [each.partition(" alone")[2].partition(", and ")[2].partition(":")[0] for each in problems] == (
        [words] if words else []
    )


def test_the_level_by_a_ruleset_that_is_asked_is_for_what_the_ruleset_is_for() -> None:
    way = ("flow small", "step today", "ruleset plain")
    for purpose in ("aml", "commercial"):
        purposes = {"fields": {"income": "both"}}
        flow = analysed(
            document(ASKS_PLAIN, END, NOTHING, actions=[OFFER], on_failure=[], purposes=purposes),
            rulesets=[ruleset(purpose=purpose, purposes=purposes)],
        )
        readings = {each.steps: each.is_allowed for each in flow_readings(flow, Sources())}
        assert readings[*way, "the level by plain"] == (purpose == "commercial")
        assert readings[*way, "rule rich", "field income"]


@pytest.mark.parametrize("strict", ["neither", "policy", "flow"])
def test_data_are_for_no_more_than_both_the_flow_and_the_policy_that_it_asks_say(strict: str) -> None:
    purposes = {"fields": {"country": "both"}, "level": "both"}
    said_by = {"policy": purposes, "flow": purposes, strict: {"fields": {"country": "aml"}}}
    tests = [{"field": "country", "equals": "NO"}, {"level": "in_force", "at_least": "high"}]
    asked = AnalysedPolicy(policy({"when": {"all": tests}, "action": "note"}, purposes=said_by["policy"]))
    step = {"id": "asks", "rules": {"policy": "small"}}
    flow = analysed(document(step, END, actions=[OFFER], on_failure=[], purposes=said_by["flow"]), {"small": asked})
    found = {each.source: each.purpose for each in flow_readings(flow, Sources()) if "policy small" in each.steps}
    assert found == dict.fromkeys(("field country", "level in_force"), "both" if strict == "neither" else "aml")


@pytest.mark.parametrize(
    ("trigger", "told"),
    [
        ({"on": "transaction"}, None),
        ({"on": "segment"}, None),
        ({"on": "case"}, "cases"),
        ({"on": "alert"}, "alerts"),
        ({"on": "import"}, "files, which may be of cases and screenings"),
        ({"on": "level"}, "level in_force"),
        ({"on": "tag", "tag": "watched"}, "tag watched"),
        ({"on": "tag", "tag": "open"}, None),
        ({"on": "screening", "screening": "sanctions"}, "screening sanctions"),
        ({"on": "field", "fields": ["born", "income"]}, "field income"),
        ({"on": "group", "group": "watched"}, "the group watched"),
        ({"on": "group", "group": "dear"}, None),
    ],
)
def test_a_flow_for_commerce_does_not_learn_by_an_event_what_it_may_not_read(trigger: Data, told: str | None) -> None:
    purposes = {"fields": {"born": "both"}, "tags": {"open": "both"}}
    sources = Sources(groups={"dear": "both"})
    problems, readings = reading(
        sources=sources, triggers=[{"on": "transaction"}, trigger], purpose="commercial", purposes=purposes
    )
    way = f"flow small → trigger {trigger['on']} → {told}"
    assert [each.rpartition(": ")[2] for each in problems] == ([way] if told else [])
    assert {" → ".join(each[:3]) for each in readings} >= ({way} if told else set())


def test_an_inner_flow_is_read_with_the_steps_that_lead_there() -> None:
    amount = {"id": "cap", "title": "Cap", "limit": "daily", "amount": {"calculation": "earned"}, "between": [0, 9]}
    earned = {"id": "earn", "calculate": {"earned": {"of": {"field": "income"}, "unit": "money"}}}
    listed = {"id": "again", "route": [{"when": {"field": "country", "in_list": "watched"}, "to": "calm"}]}
    other = inner(
        earned, {**listed, "otherwise": "calm"}, {"id": "calm", "title": "Calm", "end": ["cap"]}, actions=[amount, FLAG]
    )
    flow = analysed(document({"id": "other", "flow": "inner"}, END, NOTHING), flows=[other])
    readings = list(flow_readings(flow, Sources(lists={})))
    assert {each.path for each in readings} == {("steps", 0, "flow")}
    assert [each.steps[3:] for each in readings if each.steps[:3] == ("flow small", "step other", "flow inner")] == [
        ("step earn", "field income"),
        ("step again", "field country"),
        ("action cap", "calculation earned", "field income"),
        ("step again", "list watched"),
    ]
