"""Forms that write steps into the text of a flow: what they write is what was meant, and all else stays."""

import json
from typing import Any

import pytest

from fivefold.domain.errors import ConfigError
from fivefold.flows.language import read_flow
from fivefold.risk.language.documents import Document
from fivefold.usecases.flows.asked_files import bundled_flows, flow_text
from fivefold.usecases.flows.text_forms import (
    FORMS,
    StepForm,
    form_of,
    steps_of,
    with_changed_step,
    with_moved_step,
    with_step,
    without_step,
)

LIMITS = flow_text("limits")
SHIPPED = [flow_text(name) for name in bundled_flows()]


def data(text: str) -> Any:
    return json.loads(json.dumps(Document(text).data, default=str))


def in_json(text: str) -> str:
    return json.dumps(json.loads(json.dumps(Document(text).data, default=float)))


def ids(text: str) -> list[str]:
    return [step[0] for step in steps_of(text).steps]


@pytest.mark.parametrize("text", [*SHIPPED, in_json(SHIPPED[0])], ids=[*bundled_flows(), "json"])
def test_a_form_that_is_not_changed_changes_nothing_of_what_the_flow_means(text: str) -> None:
    for step, kind, _ in steps_of(text).steps:
        assert kind in FORMS
        written = with_changed_step(text, form_of(text, step))
        assert read_flow(written).content_hash == read_flow(text).content_hash, step


@pytest.mark.parametrize("text", [*SHIPPED, in_json(SHIPPED[0])], ids=[*bundled_flows(), "json"])
def test_a_step_changes_places_and_back_and_is_taken_out_alone(text: str) -> None:
    names = ids(text)
    for place, step in enumerate(names[:-1]):
        moved = with_moved_step(text, step, 1)
        assert ids(moved) == [*names[:place], names[place + 1], step, *names[place + 2 :]]
        assert with_moved_step(moved, step, -1) == text
    for place, step in enumerate(names):
        before, after = data(text), data(without_step(text, step))
        assert after == {**before, "steps": [*before["steps"][:place], *before["steps"][place + 1 :]]}


FORMS_OF_EACH_KIND = {
    "calculate": (
        StepForm(kind="calculate", id="new", title="N", rows=(("twice", "{times: [{sum: amount, over: 9 days}, 2]}"),)),
        {"calculate": {"twice": {"times": [{"sum": "amount", "over": "9 days"}, 2]}}},
    ),
    "route": (
        StepForm(
            kind="route",
            id="new",
            title="N",
            values={"otherwise": "ask", "on_unknown": ""},
            rows=(("{level: in_force, equals: 'no'}", "ask"), ("", "")),
        ),
        {"route": [{"when": {"level": "in_force", "equals": "no"}, "to": "ask"}], "otherwise": "ask"},
    ),
    "table": (
        StepForm(
            kind="table",
            id="new",
            title="N",
            values={"gives": "{daily: money}", "otherwise": "{daily: 0.50}", "then": "ask"},
            rows=(("{value: score, above: 4}", "{daily: 9}"),),
        ),
        {
            "table": {
                "rows": [{"when": {"value": "score", "above": 4}, "give": {"daily": 9}}],
                "gives": {"daily": "money"},
                "otherwise": {"daily": "0.50"},
            },
            "then": "ask",
        },
    ),
    "rules": (
        StepForm(kind="rules", id="new", title="N", values={"policy": "cash", "on_unknown": "ask"}),
        {"rules": {"policy": "cash"}, "on_unknown": "ask"},
    ),
    "value": (
        StepForm(kind="value", id="new", title="N", values={"on_unknown": "ask"}),
        {"value": {}, "on_unknown": "ask"},
    ),
    "flow": (
        StepForm(kind="flow", id="new", title="N", values={"flow": "reactivation", "then": "ask"}),
        {"flow": "reactivation", "then": "ask"},
    ),
    "data": (
        StepForm(
            kind="data",
            id="new",
            title="N",
            values={"source": "companies", "gives": "{state: {one_of: [on, off]}}", "no_older_than": "1 day"},
            rows=(("number", "{field: registration_number}"),),
        ),
        {
            "data": {
                "send": {"number": {"field": "registration_number"}},
                "source": "companies",
                "gives": {"state": {"one_of": ["on", "off"]}},
                "no_older_than": "1 day",
            }
        },
    ),
    "agent": (
        StepForm(
            kind="agent",
            id="new",
            title="N",
            values={"question": "Is it so?", "answers": "[so, not-so]", "on_unknown": "ask"},
            rows=(("country", "{field: country}"),),
        ),
        {
            "agent": {
                "facts": {"country": {"field": "country"}},
                "question": "Is it so?",
                "answers": ["so", "not-so"],
            },
            "on_unknown": "ask",
        },
    ),
    "person": (
        StepForm(
            kind="person",
            id="new",
            title="N",
            values={"question": "Is it so: or not?", "within": "2 days", "otherwise": "ask", "role": "publisher"},
            rows=(("yes", "ask"), ("no", "stopped")),
        ),
        {
            "person": {
                "answers": {"yes": "ask", "no": "stopped"},
                "question": "Is it so: or not?",
                "role": "publisher",
                "within": "2 days",
                "otherwise": "ask",
            }
        },
    ),
    "end": (StepForm(kind="end", id="new", title="N", values={"end": "look, freeze"}), {"end": ["look", "freeze"]}),
}


@pytest.mark.parametrize("kind", FORMS)
@pytest.mark.parametrize("text", [LIMITS, in_json(LIMITS), LIMITS.rstrip("\n")], ids=["yaml", "json", "without an end"])
def test_a_step_of_each_kind_is_added_behind_another_one(text: str, kind: str) -> None:
    form, written = FORMS_OF_EACH_KIND[kind]
    for after in ("by-risk", "limited-closely"):
        before, added = data(text), data(with_step(text, form, after))
        place = ids(text).index(after) + 1
        assert added["steps"][place] == {"id": "new", "title": "N", **written}
        assert added == {**before, "steps": [*before["steps"][:place], added["steps"][place], *before["steps"][place:]]}
        assert form_of(with_step(text, form, after), "new").kind == kind


def test_what_a_form_does_not_have_stays_in_the_step() -> None:
    text = LIMITS.replace("within: 2 days", "within: 2 days\n      looks_at: [value]")
    form = form_of(text, "ask")
    changed = data(with_changed_step(text, StepForm(**{**vars(form), "title": "Other"})))["steps"]
    step = next(each for each in changed if each["id"] == "ask")
    assert step["person"]["looks_at"] == ["value"]
    assert step["title"] == "Other"


def test_comments_of_other_steps_stay() -> None:
    text = LIMITS.replace("  - id: by-risk", "  # why so\n  - id: by-risk")
    assert "# why so" in with_changed_step(text, form_of(text, "usual"))
    assert "# why so" in without_step(text, "limit")


@pytest.mark.parametrize(
    ("form", "after"),
    [
        (StepForm(kind="end", id="usual", title="Twice"), "by-risk"),
        (StepForm(kind="end", id="new", title="Behind nothing"), "none"),
        (StepForm(kind="end", id="", title="No name"), "usual"),
        (StepForm(kind="end", id="new", title=""), "usual"),
        (StepForm(kind="other", id="new", title="No kind"), "usual"),
        (StepForm(kind="route", id="new", title="No rows", values={"otherwise": "ask"}), "usual"),
        (StepForm(kind="route", id="new", title="N", values={"otherwise": "ask"}, rows=(("{a", "ask"),)), "usual"),
        (StepForm(kind="route", id="new", title="N", values={"otherwise": "ask"}, rows=(("a], [b", "ask"),)), "usual"),
        (StepForm(kind="route", id="new", title="N", values={"otherwise": "ask"}, rows=(("", "ask"),)), "usual"),
        (StepForm(kind="route", id="new", title="N", rows=(("{value: score}", "ask"),)), "usual"),
    ],
)
def test_what_cannot_be_written_is_refused(form: StepForm, after: str) -> None:
    with pytest.raises(ConfigError):
        with_step(LIMITS, form, after)


def test_the_last_step_stays_and_the_first_has_none_before_it() -> None:
    with pytest.raises(ConfigError):
        with_moved_step(LIMITS, "usual", -1)
    with pytest.raises(ConfigError):
        with_moved_step(LIMITS, "limited-closely", 1)
    with pytest.raises(ConfigError):
        without_step("steps:\n  - {id: only, title: Only, end: []}\n", "only")
    with pytest.raises(ConfigError):
        form_of("steps:\n  - {id: only, title: Only, unheard: 1}\n", "only")
    assert steps_of("a: [").steps == ()


@pytest.mark.parametrize("values", [{}, {"policy": "cash", "ruleset": "fatf-retail"}])
def test_a_step_asks_one_policy_or_one_ruleset(values: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="write the name of one of them"):
        with_step(LIMITS, StepForm(kind="rules", id="new", title="N", values=values), "by-risk")
    ruleset = with_step(
        LIMITS, StepForm(kind="rules", id="new", title="N", values={"ruleset": "fatf-retail"}), "by-risk"
    )
    assert form_of(ruleset, "new").values["ruleset"] == "fatf-retail"
    policy = StepForm(kind="rules", id="new", title="N", values={"policy": "cash"})
    assert data(with_changed_step(ruleset, policy))["steps"][ids(ruleset).index("new")]["rules"] == {"policy": "cash"}
