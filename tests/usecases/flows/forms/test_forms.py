"""Forms that write triggers, actions and steps into a flow: what they write is what was meant, and all else stays."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from fivefold.domain.errors import ConfigError
from fivefold.flows.actions import ACTION_KINDS, AnyAction, Status, StatusAction
from fivefold.flows.language import STEP_KINDS, AnyStep, Flow, FlowExample, read_flow
from fivefold.flows.triggers import EVENT_KINDS, AnyTrigger
from fivefold.risk.language.documents import Document
from fivefold.usecases.flows.asked_files import bundled_flows, flow_text
from fivefold.usecases.flows.forms.fields import fields_of, summary_of
from fivefold.usecases.flows.forms.forms import PartForm, form_of, in_its_place, new_form, with_form
from fivefold.usecases.flows.forms.places import KINDS, LISTS, outline_of, with_moved, without
from fivefold.usecases.flows.forms.typed import MOST_ROWS_OF_A_FORM, FormRefusedError
from tests.depth import examples, some

LIMITS = flow_text("limits")
SHIPPED = [flow_text(name) for name in bundled_flows()]
MODELS: dict[str, Any] = {"triggers": AnyTrigger, "actions": AnyAction, "steps": AnyStep, "examples": FlowExample}
SMALL = """flow: small
levels: [low, high]
actions:
  - {id: look, title: Look, review: 1 day}  # soon
  - id: freeze
    title: Freeze
    status: blocked
steps:
  # what comes first
  - id: ask
    title: Ask
    person: {question: "So?", within: 2 days, answers: {yes: stopped, no: stopped}, otherwise: stopped}
  - id: stopped
    title: Stopped
    end: [freeze]
"""
LISTED = 'triggers:\n  - {on: schedule, every: day, at: "06:00", zone: Europe/Oslo}\n'


def data(text: str) -> Any:
    return json.loads(json.dumps(Document(text).data, default=str))


def in_json(text: str) -> str:
    return json.dumps(json.loads(json.dumps(Document(text).data, default=float)))


def names(text: str, part: str) -> list[str]:
    return [each.name for each in outline_of(text).parts[part]]


def typed(form: PartForm, **values: str) -> PartForm:
    """Type into fields, whose names are those of the form with `__` for its hyphens."""
    fields = {f"field-{name.replace('__', '-')}": value for name, value in values.items()}
    return replace(form, typed={**form.typed, **fields})


TEXTS = pytest.mark.parametrize(
    "text", [*some(SHIPPED, 2), in_json(SHIPPED[0])], ids=[*some(bundled_flows(), 2), "json"]
)


@TEXTS
def test_a_form_that_is_not_changed_changes_no_letter(text: str) -> None:
    for part in KINDS:
        for name in names(text, part):
            assert with_form(text, form_of(text, part, name)) == text, (part, name)


@TEXTS
def test_one_word_that_changes_is_all_that_changes(text: str) -> None:
    for part in ("actions", "steps"):
        for place, name in [*enumerate(names(text, part))][:3]:
            written = with_form(text, typed(form_of(text, part, name), title="Another: title"))
            before, after = data(text), data(written)
            before[part][place]["title"] = "Another: title"
            assert after == before
            lines = zip(text.splitlines(), written.splitlines(), strict=False)
            if len(text.splitlines()) > 1 and len(text.splitlines()) == len(written.splitlines()):
                assert sum(one != other for one, other in lines) == 1


@TEXTS
def test_parts_change_places_and_back_and_are_taken_out_alone(text: str) -> None:
    for part in ("actions", "steps"):
        there = names(text, part)
        for place, name in [*enumerate(there[:-1])][-3:]:
            moved = with_moved(text, part, name, 1)
            assert names(moved, part) == [*there[:place], there[place + 1], name, *there[place + 2 :]]
            assert with_moved(moved, part, name, -1) == text
        for place, name in [*enumerate(there)][-3:]:
            before, after = data(text), data(without(text, part, name))
            assert after == {**before, part: [*before[part][:place], *before[part][place + 1 :]]}


WRITTEN: dict[str, dict[str, tuple[dict[str, str], dict[str, Any]]]] = {
    "triggers": {
        "transaction": ({}, {}),
        "level": ({"direction": "up", "to__high": "yes"}, {"direction": "up", "to": ["high"]}),
        "segment": ({"to__top": "yes", "to__low": "yes"}, {"to": ["top", "low"]}),
        "tag": ({"tag": "123", "change": "ended"}, {"tag": "123", "change": "ended"}),
        "case": ({}, {}),
        "alert": ({}, {}),
        "screening": ({"screening": "sanctions", "found": "true"}, {"screening": "sanctions", "found": True}),
        "field": ({"fields": "country, income"}, {"fields": ["country", "income"]}),
        "group": ({"group": "steady", "change": "left"}, {"group": "steady", "change": "left"}),
        "import": ({}, {}),
        "schedule": (
            {"every": "1, last", "at": "09:00, 17:30", "zone": "Europe/Oslo", "group": "steady"},
            {"every": [1, "last"], "at": ["09:00", "17:30"], "zone": "Europe/Oslo", "group": "steady"},
        ),
    },
    "actions": {
        "status": (
            {"status": "blocked", "of": "transaction", "agreed_by": "publisher", "relationship": "ended"},
            {"agreed_by": "publisher", "relationship": "ended", "status": "blocked", "of": "transaction"},
        ),
        "limit": (
            {"limit": "daily", "amount": "{step: limit, output: daily}", "between": "0, 25000.50"},
            {"limit": "daily", "amount": {"step": "limit", "output": "daily"}, "between": [0, "25000.50"]},
        ),
        "review": ({"review": "30 days", "purpose": "aml"}, {"purpose": "aml", "review": "30 days"}),
        "tag": ({"tag": "yes", "lasts": "1 year"}, {"lasts": "1 year", "tag": "yes"}),
        "group": ({"group": "steady"}, {"group": "steady"}),
        "case": ({"case": "What: is it?"}, {"case": "What: is it?"}),
        "webhook": ({"webhook": "told", "reversible": "true"}, {"reversible": True, "webhook": "told"}),
    },
    "steps": {
        "calculate": (
            {
                "calculate__0__name": "twice",
                "calculate__0__value": "{multiply: [{sum: amount, over: 9 days}, 2], unit: money}",
            },
            {"calculate": {"twice": {"multiply": [{"sum": "amount", "over": "9 days"}, 2], "unit": "money"}}},
        ),
        "route": (
            {"route__1__when": "{level: in_force, equals: 'no'}", "route__1__to": "ask", "otherwise": "ask"},
            {"route": [{"when": {"level": "in_force", "equals": "no"}, "to": "ask"}], "otherwise": "ask"},
        ),
        "table": (
            {
                "table__gives__0__name": "daily",
                "table__gives__0__value": "money",
                "table__rows__0__when": "{value: score, above: 4}",
                "table__rows__0__give": "{daily: 9}",
                "table__otherwise__0__name": "daily",
                "table__otherwise__0__value": "0.50",
                "then": "ask",
            },
            {
                "table": {
                    "gives": {"daily": "money"},
                    "rows": [{"when": {"value": "score", "above": 4}, "give": {"daily": 9}}],
                    "otherwise": {"daily": "0.50"},
                },
                "then": "ask",
            },
        ),
        "rules": (
            {"rules__policy": "cash", "rules__as_decided": "true"},
            {"rules": {"policy": "cash", "as_decided": True}},
        ),
        "value": ({"on_unknown": "ask"}, {"value": {}, "on_unknown": "ask"}),
        "flow": ({"flow": "reactivation", "then": "ask"}, {"flow": "reactivation", "then": "ask"}),
        "person": (
            {
                "person__question": "Is it so: or not?",
                "person__look_at__0": "Name, and date of birth.",
                "person__look_at__1": "{field: country}",
                "person__role": "publisher",
                "person__within": "2 days",
                "person__answers__0__name": "yes",
                "person__answers__0__value": "ask",
                "person__answers__3__name": "no",
                "person__answers__3__value": "stopped",
                "person__otherwise": "ask",
            },
            {
                "person": {
                    "question": "Is it so: or not?",
                    "look_at": ["Name, and date of birth.", {"field": "country"}],
                    "role": "publisher",
                    "within": "2 days",
                    "answers": {"yes": "ask", "no": "stopped"},
                    "otherwise": "ask",
                }
            },
        ),
        "data": (
            {
                "data__source": "companies",
                "data__send__0__name": "number",
                "data__send__0__value": "{field: registration_number}",
                "data__gives__0__name": "state",
                "data__gives__0__value": "{one_of: [on, off]}",
                "data__no_older_than": "1 day",
            },
            {
                "data": {
                    "source": "companies",
                    "send": {"number": {"field": "registration_number"}},
                    "gives": {"state": {"one_of": ["on", "off"]}},
                    "no_older_than": "1 day",
                }
            },
        ),
        "model": (
            {
                "model__name": "churn",
                "model__alias": "champion",
                "model__send__0__name": "Days since",
                "model__send__0__value": "{days_since: transactions}",
                "model__gives__0__name": "risk",
                "model__gives__0__value": "number",
                "model__outputs__0__name": "risk",
                "model__outputs__0__value": "1",
                "model__purpose": "commercial",
            },
            {
                "model": {
                    "name": "churn",
                    "alias": "champion",
                    "send": {"Days since": {"days_since": "transactions"}},
                    "gives": {"risk": "number"},
                    "outputs": {"risk": 1},
                    "purpose": "commercial",
                }
            },
        ),
        "agent": (
            {
                "agent__question": "Is it so?",
                "agent__facts__0__name": "country",
                "agent__facts__0__value": "{field: country}",
                "agent__answers": "so, not-so",
                "on_unknown": "ask",
            },
            {
                "agent": {
                    "question": "Is it so?",
                    "facts": {"country": {"field": "country"}},
                    "answers": ["so", "not-so"],
                },
                "on_unknown": "ask",
            },
        ),
        "end": ({"end__look": "yes", "end__freeze": "yes"}, {"end": ["look", "freeze"]}),
    },
    "examples": {
        "example": (
            {
                "name": "N",
                "given__0__name": "country",
                "given__0__value": "NO",
                "given__1__name": "value",
                "given__1__value": "{score: 4}",
                "as_of": "2025-01-31",
                "ends": "stopped",
                "answers__0__name": "ask",
                "answers__0__value": "nobody",
                "outcomes__0__name": "registry",
                "outcomes__0__value": "failed",
                "actions__freeze": "yes",
                "outputs__0__name": "limit",
                "outputs__0__value": "{daily: 5000}",
                "amounts__0__name": "set-limit",
                "amounts__0__value": "5000.50",
            },
            {
                "name": "N",
                "given": {"country": "NO", "value": {"score": 4}},
                "ends": "stopped",
                "as_of": "2025-01-31",
                "answers": {"ask": "nobody"},
                "outcomes": {"registry": "failed"},
                "actions": ["freeze"],
                "outputs": {"limit": {"daily": 5000}},
                "amounts": {"set-limit": "5000.50"},
            },
        ),
    },
}
"""By part and kind: what is typed, and what it is in the text."""
CASES = [(part, kind) for part, kinds in LISTS.items() for kind in kinds]


def filled(part: str, kind: str, after: str) -> tuple[PartForm, dict[str, Any]]:
    """The form of a kind with all that it needs, and what it writes."""
    values, written = WRITTEN[part][kind]
    form = typed(new_form(part, kind, after), **values)
    if part in {"triggers", "examples"}:
        return form, {**({"on": kind} if part == "triggers" else {}), **written}
    return typed(form, id="new", title="N"), {"id": "new", "title": "N", **written}


@pytest.mark.parametrize(("part", "kind"), some(CASES, 3))
@pytest.mark.parametrize("text", some([in_json(SMALL), SMALL, in_json(LISTED + SMALL), LISTED + SMALL.rstrip("\n")], 3))
def test_one_of_each_kind_is_added_in_every_place(text: str, part: str, kind: str) -> None:
    for place, after in enumerate(["", *names(text, part)]):
        form, written = filled(part, kind, after)
        added = with_form(text, form)
        before = data(text)
        there = before.get(part, [])
        assert data(added) == {**before, part: [*there[:place], written, *there[place:]]}
        TypeAdapter(MODELS[part]).validate_python(Document(added).data[part][place])
        again = in_its_place(added, form)
        assert again.kind == kind
        assert with_form(added, again) == added


def test_every_kind_and_every_word_of_the_language_has_a_field() -> None:
    assert [*LISTS.values()] == [EVENT_KINDS, ACTION_KINDS, STEP_KINDS, {"example": FlowExample}]
    assert {"flow": {"flow": Flow}, **LISTS} == KINDS
    assert {str(each.path[0]) for each in PartForm(part="flow", kind="flow").fields} == {
        field.alias or name for name, field in Flow.model_fields.items()
    } - {*LISTS}
    for kinds in KINDS.values():
        for kind, form in kinds.items():
            words = {field.alias or name for name, field in form.model_fields.items()} - {"on"}
            if kind == "value":
                words -= {"value"}
            assert words == {str(field.path[0]) for field in fields_of(form)}, kind
            assert summary_of(form)


def test_every_word_that_a_form_has_is_explained() -> None:
    without_help = {
        (kind, *field.path)
        for kinds in KINDS.values()
        for kind, form in kinds.items()
        for field in fields_of(form)
        if not field.help
    }
    assert without_help == set()


def test_a_new_word_of_the_language_is_in_the_form_by_that_alone() -> None:
    class Louder(StatusAction):
        """Gives a status loudly.

        Attributes:
            volume: how loud,
                in two lines.
            then_as: a status to follow.
        """

        volume: int = 3
        then_as: Status | None = None

    fields = {field.label: field for field in fields_of(Louder)}
    assert (fields["Volume"].shape, fields["Volume"].help) == ("value", "how loud, in two lines.")
    assert fields["Then as"].choices == ("approved", "flagged", "escalated", "blocked")
    assert fields["Agreed by"].choices == ("investigator", "publisher")


def test_what_a_form_does_not_have_stays_and_comments_stay() -> None:
    text = LIMITS.replace("within: 2 days", "within: 2 days  # enough\n      looks_at: [value]")
    text = text.replace("  - id: by-risk", "  # why so\n  - id: by-risk")
    changed = with_form(text, typed(form_of(text, "steps", "ask"), person__question="Other?", person__role="publisher"))
    step = next(each for each in data(changed)["steps"] if each["id"] == "ask")
    assert (step["person"]["looks_at"], step["person"]["role"]) == (["value"], "publisher")
    assert step["person"]["question"] == "Other?"
    for comment in ("# why so", "# enough"):
        assert comment in changed
    assert "# why so" in without(text, "steps", "limit")


def test_what_is_emptied_is_taken_out() -> None:
    text = flow_text("onboarding")
    changed = with_form(text, typed(form_of(text, "actions", "refuse"), relationship=""))
    assert "relationship" not in next(each for each in data(changed)["actions"] if each["id"] == "refuse")
    changed = with_form(text, typed(form_of(text, "steps", "by-hand"), rationale="", person__look_at__1=""))
    step = next(each for each in data(changed)["steps"] if each["id"] == "by-hand")
    assert "rationale" not in step
    assert len(step["person"]["look_at"]) == 2


ROUTE = {"otherwise": "ask", "id": "new", "title": "N"}


@pytest.mark.parametrize(
    ("part", "kind", "values", "at"),
    [
        ("steps", "end", {"id": "stopped", "title": "Twice"}, "field-id"),
        ("steps", "end", {"title": "No name"}, "field-id"),
        ("steps", "end", {"id": "new"}, "field-title"),
        ("steps", "route", ROUTE, "field-route-0-when"),
        ("steps", "route", {**ROUTE, "route__1__when": "{a", "route__1__to": "ask"}, "field-route-1-when"),
        ("steps", "route", {**ROUTE, "route__1__when": "a], [b", "route__1__to": "ask"}, "field-route-1-when"),
        ("steps", "route", {**ROUTE, "route__1__to": "ask"}, "field-route-1-when"),
        ("steps", "route", {**ROUTE, "route__1__when": "{value: score}"}, "field-route-1-to"),
        ("steps", "rules", {"id": "new", "title": "N"}, "field-rules-ruleset"),
        (
            "steps",
            "rules",
            {"id": "new", "title": "N", "rules__policy": "a", "rules__ruleset": "b"},
            "field-rules-ruleset",
        ),
        ("actions", "status", {"id": "new", "title": "N", "status": "loud"}, "field-status"),
        (
            "actions",
            "limit",
            {"id": "new", "title": "N", "limit": "a", "amount": "{", "between": "1,2"},
            "field-amount",
        ),
        ("triggers", "schedule", {"every": "day", "zone": "Europe/Oslo"}, "field-at"),
        (
            "steps",
            "calculate",
            {
                "id": "new",
                "title": "N",
                "calculate__0__name": "a",
                "calculate__0__value": "1",
                "calculate__1__name": "a",
                "calculate__1__value": "2",
            },
            "field-calculate-1-name",
        ),
    ],
)
def test_what_cannot_be_written_is_refused_at_its_field(part: str, kind: str, values: dict[str, str], at: str) -> None:
    after = "" if part == "triggers" else names(SMALL, part)[0]
    with pytest.raises(FormRefusedError) as refused:
        with_form(SMALL, typed(new_form(part, kind, after), **values))
    assert [fault.name for fault in refused.value.faults] == [at]
    assert refused.value.faults[0].label in str(refused.value)


def test_what_is_not_there_is_refused() -> None:
    for wrong in (("steps", "none"), ("rooms", "usual"), ("triggers", "1")):
        with pytest.raises(ConfigError):
            form_of(SMALL, *wrong)
    for wrong in (("steps", "other"), ("rooms", "end"), ("actions", "end")):
        with pytest.raises(ConfigError):
            new_form(*wrong, "usual")
    with pytest.raises(ConfigError):
        with_form(SMALL, filled("steps", "end", "none")[0])
    with pytest.raises(ConfigError, match="first"):
        with_moved(SMALL, "steps", "ask", -1)
    with pytest.raises(ConfigError, match="last"):
        with_moved(SMALL, "steps", "stopped", 1)
    only = "steps:\n  - {id: only, title: Only, unheard: 1}\n"
    with pytest.raises(ConfigError, match="the only step"):
        without(only, "steps", "only")
    with pytest.raises(ConfigError, match="no kind"):
        form_of(only, "steps", "only")
    assert outline_of("a: [").parts["steps"] == ()


def test_a_list_is_emptied_and_begun_again() -> None:
    text = LISTED + LIMITS
    emptied = without(text, "triggers", "1")
    assert data(emptied)["triggers"] == []
    form, written = filled("triggers", "level", "")
    assert data(with_form(emptied, form))["triggers"] == [written]
    assert read_flow(emptied).content_hash == read_flow(LIMITS).content_hash


def test_a_list_of_more_rows_than_a_form_has_stays_to_the_text() -> None:
    rows = ", ".join("{when: {level: in_force, equals: high}, to: a}" for _ in range(MOST_ROWS_OF_A_FORM + 1))
    text = f"steps:\n  - {{id: long, title: Long, route: [{rows}], otherwise: a}}\n"
    with pytest.raises(ConfigError, match="41 rows"):
        form_of(text, "steps", "long")


WORDS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1, max_size=40).map(
    lambda each: " ".join(each.split())
)


@settings(max_examples=examples(30), deadline=None)
@given(title=WORDS.filter(bool), case=WORDS.filter(bool), rationale=WORDS)
def test_any_words_are_written_as_they_are_typed(title: str, case: str, rationale: str) -> None:
    form = typed(new_form("actions", "case", "look"), id="new", title=title, case=case)
    added = with_form(SMALL, form)
    found = next(each for each in data(added)["actions"] if each["id"] == "new")
    assert found == {"id": "new", "title": title, "case": case}
    changed = with_form(added, typed(form_of(added, "steps", "ask"), rationale=rationale, person__question=title))
    step = next(each for each in data(changed)["steps"] if each["id"] == "ask")
    assert (step.get("rationale", ""), step["person"]["question"]) == (rationale, title)
    assert [each for each in data(changed)["steps"] if each["id"] != "ask"] == [
        each for each in data(SMALL)["steps"] if each["id"] != "ask"
    ]


def test_an_example_says_that_no_action_is_taken() -> None:
    text = flow_text("reactivation")
    place = next(str(number) for number, each in enumerate(data(text)["examples"], 1) if each.get("actions") == [])
    form = form_of(text, "examples", place)
    assert form.typed["field-actions"] == "yes"
    assert with_form(text, form) == text
    silent = with_form(text, replace(form, typed={**form.typed, "field-actions": ""}))
    assert "actions" not in data(silent)["examples"][int(place) - 1]
    again = form_of(silent, "examples", place)
    assert again.typed.get("field-actions", "") == ""
    again = replace(again, typed={**again.typed, "field-actions": "yes"})
    assert data(with_form(silent, again))["examples"][int(place) - 1]["actions"] == []
    action = data(text)["actions"][0]["id"]
    with pytest.raises(FormRefusedError, match="tick one or the other"):
        with_form(silent, replace(again, typed={**again.typed, f"field-actions-{action}": "yes"}))
