"""A flow is built from nothing by forms alone: its words, actions, steps, what follows a failure, and examples."""

import re

from fivefold.risk.language.documents import Document
from fivefold.usecases.flows.asked_files import flow_text
from tests.console.flows.test_flows import NEW, found_at, shown_document, written
from tests.console.visitors import Visitor, send_text


def put(visitor: Visitor, **typed: str) -> Visitor:
    """Write the open form into the text, whose fields are named with `__` for the hyphens of the form."""
    return written(visitor, "put", **{f"field-{name.replace('__', '-')}": value for name, value in typed.items()})


def add(visitor: Visitor, part: str, kind: str, after: str = "", **typed: str) -> Visitor:
    """Add a part by its form, behind another one."""
    written(visitor, f"begin:{part}", **{f"new_kind_{part}": kind, f"new_after_{part}": after})
    return put(visitor, **typed)


FLOW = {"flow": "onboard", "title": "Onboard", "rationale": "By value and risk.", "entity_type": "customer"}
FIELDS = {
    "fields__0__name": "country",
    "fields__0__value": "country",
    "transaction_fields__0__name": "operation",
    "transaction_fields__0__value": "text",
}
WORTH = {
    "name": "Valuable",
    "given__0__name": "value",
    "given__0__value": "{score: 5}",
    "given__1__name": "level",
    "given__1__value": "low",
    "given__2__name": "transaction",
    "given__2__value": "{amount: -50, operation: VKLAD}",
    "given__3__name": "country",
    "given__3__value": "NO",
}


STEPS = {
    ("end", ""): {"id": "welcome", "title": "Welcome", "end__tell": "yes"},
    ("end", "welcome"): {"id": "kept", "title": "Kept back", "end__look": "yes"},
    ("person", ""): {
        "id": "ask",
        "title": "Ask",
        "person__question": "May they come?",
        "person__within": "2 days",
        "person__answers__0__name": "yes",
        "person__answers__0__value": "welcome",
        "person__answers__1__name": "no",
        "person__answers__1__value": "kept",
        "person__otherwise": "kept",
    },
    ("route", ""): {
        "id": "way",
        "title": "Way",
        "route__0__when": "{step: room, output: care, equals: little}",
        "route__0__to": "welcome",
        "otherwise": "ask",
        "on_unknown": "ask",
    },
    ("table", ""): {
        "id": "room",
        "title": "Care",
        "table__gives__0__name": "care",
        "table__gives__0__value": "text",
        "table__rows__0__when": "{all: [{value: score, at_least: 4}, {level: in_force, equals: low}]}",
        "table__rows__0__give": "{care: little}",
        "table__otherwise__0__name": "care",
        "table__otherwise__0__value": "much",
        "table__on_unknown__0__name": "care",
        "table__on_unknown__0__value": "much",
    },
    ("rules", ""): {"id": "policy", "title": "Policy", "rules__policy": "payments", "on_unknown": "ask"},
}


def test_a_flow_is_built_from_nothing_by_forms_alone(publisher: Visitor) -> None:
    assert Document(shown_document(publisher.go(NEW))).data["levels"] == ["low", "medium", "high"]
    written(publisher, "open:flow:flow")
    assert "The flow itself" in publisher.text
    put(publisher, **FLOW, levels="low, high")
    assert "has 2; there must be at least 3" in found_at(publisher.page.text, "field-levels")
    put(publisher, **FLOW, **FIELDS, levels="low, medium, high")
    assert "flow is changed in the text" in publisher.text
    assert 'id="part-form"' not in publisher.page.text, "that there is no step yet is no fault of the words"
    add(publisher, "actions", "webhook", id="tell", title="Tell the core", webhook="customer-onboarded")
    add(publisher, "actions", "case", "tell", id="look", title="Look", case="Look at it")
    for (kind, after), typed in STEPS.items():
        add(publisher, "steps", kind, after, **typed, rationale="So that it is known.")
    written(publisher, "open:flow:flow")
    assert "names no action, and the flow takes some" in found_at(publisher.page.text, "field-on_failure")
    put(publisher, **FLOW, **FIELDS, on_failure__look="yes")
    add(publisher, "examples", "example", **WORTH, ends="kept")
    assert "it comes to welcome, not kept" in found_at(publisher.page.text, "field-ends")
    put(publisher, **WORTH, ends="welcome")
    assert 'id="part-form"' not in publisher.page.text
    assert "1 example, as expected" in publisher.text
    document = shown_document(publisher)
    assert Document(document).data["on_failure"] == ["look"]
    send_text(publisher, "save", document)
    send_text(publisher, "commit", document, accept_warnings="known")
    assert "The version is committed." in publisher.text


def test_a_form_offers_the_names_of_the_organisation(publisher: Visitor) -> None:
    send_text(publisher.go(NEW), "check", flow_text("onboarding"))
    written(publisher, "begin:steps", new_kind_steps="rules", new_after_steps="")
    offered = {
        name: re.findall(
            'value="([^"]+)"', publisher.page.text.partition(f'id="{name}-among"')[2].partition("</datalist>")[0]
        )
        for name in ("field-rules-policy", "field-rules-ruleset")
    }
    assert offered == {"field-rules-policy": ["payments"], "field-rules-ruleset": ["drafted", "retail", "second"]}


def test_a_form_of_an_example_offers_what_the_text_has(publisher: Visitor) -> None:
    send_text(publisher.go(NEW), "check", flow_text("onboarding"))
    written(publisher, "begin:examples", new_kind_examples="example", new_after_examples="1")
    ends = publisher.page.text.partition('<select id="field-ends"')[2].partition("</select>")[0]
    assert 'value="failed"' in ends
    assert 'value="by-hand"' in ends, "a run waits there"
    assert 'value="screened"' not in ends
    answers = publisher.page.text.partition('id="field-answers-0-value-among"')[2].partition("</datalist>")[0]
    assert 'value="nobody"' in answers
    asked = publisher.page.text.partition('<select id="field-answers-0-name"')[2].partition("</select>")[0]
    assert 'value="by-hand"' in asked
    assert 'value="registry"' not in asked
    put(publisher, name="Odd", ends="by-hand", answers__0__name="by-hand", answers__0__value="perhaps")
    assert "answers perhaps at by-hand" in publisher.text
