"""Forms that write the words of a flow beside its lists, and examples, which may hold nothing."""

import pytest

from fivefold.domain.errors import ConfigError
from fivefold.usecases.flows.forms.forms import PartForm, form_of, in_its_place, new_form, with_form
from fivefold.usecases.flows.forms.places import FLOW, with_added, with_moved, without
from tests.usecases.flows.forms.test_forms import SMALL, data, in_json, typed


def test_the_words_of_a_flow_are_written_and_all_else_stays() -> None:
    small = SMALL.replace("levels: [low, high]", "title: Small\nentity_type: customer\nlevels: [low, high]")
    for text in (small, in_json(small), f"{small}examples:\n  - {{name: One, given: {{}}, ends: ask}}  # so\n"):
        form = typed(form_of(text, FLOW, FLOW), on_failure__look="yes", title="Small: one", purposes__level="both")
        changed = with_form(text, form)
        words = {"on_failure": ["look"], "title": "Small: one", "purposes": {"level": "both"}}
        assert data(changed) == {**data(text), **words}
        lines = changed.splitlines()
        there = [line for line in text.splitlines() if not line.startswith("title: ")]
        assert text.startswith("{") or [line for line in lines if line in there] == there
        assert with_form(changed, in_its_place(changed, form)) == changed
    empty = "flow:\ntitle:\nentity_type:\nlevels:\n"
    begun = typed(form_of(empty, FLOW, FLOW), flow="mine", title="M", entity_type="customer", levels="low, high, top")
    assert with_form(empty, begun) == "flow: mine\ntitle: M\nentity_type: customer\nlevels: [low, high, top]\n"


def test_there_is_one_flow_in_a_text() -> None:
    for change in (
        lambda: new_form(FLOW, FLOW, ""),
        lambda: with_form(SMALL, PartForm(part=FLOW, kind=FLOW)),
        lambda: with_added(SMALL, FLOW, {"flow": "other"}, None),
        lambda: with_moved(SMALL, FLOW, FLOW, 1),
        lambda: without(SMALL, FLOW, FLOW),
    ):
        with pytest.raises(ConfigError):
            change()


def test_an_example_keeps_that_nothing_is_known_and_that_no_action_is_taken() -> None:
    text = f"{SMALL}examples:\n  - {{name: One, given: {{}}, ends: ask, actions: []}}\n"
    changed = with_form(text, typed(form_of(text, "examples", "1"), name="Two"))
    assert data(changed)["examples"] == [{"name": "Two", "given": {}, "ends": "ask", "actions": []}]
    new = with_form(text, typed(new_form("examples", "example", "1"), name="Three", ends="ask"))
    assert data(new)["examples"][1] == {"name": "Three", "given": {}, "ends": "ask"}
