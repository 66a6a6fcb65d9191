"""Forms on a text that people wrote: comments, text in lines, lists, and parts that changed meanwhile stay."""

from dataclasses import replace
from time import process_time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fivefold.domain.errors import ConfigError
from fivefold.usecases.flows.forms.forms import PartForm, form_of, with_form
from fivefold.usecases.flows.forms.places import LISTS, with_added, with_changed, with_moved, without
from tests.depth import examples
from tests.usecases.flows.forms.test_forms import LISTED, SMALL, data, filled, in_json, names, typed

PLACED: dict[str, list[str]] = {
    "triggers": ["on: tag", "tag"],
    "actions": ["id: NAME", "title: T", "case"],
    "steps": ["id: NAME", "end: [look]", "title"],
    "examples": ["name: NAME", "ends: done", "as_of"],
}
"""The words of a part, of which the last has the text in lines."""


@st.composite
def placed(draw: st.DrawFn) -> str:
    """Texts whose parts end with text in lines, with comments and empty lines between them."""
    lines = ["flow: some"]
    styles, gaps = draw(st.sampled_from([(["|", ">", ">-", "plain"], [[], [""]]), (["|", "|+", "plain"], [[]])]))
    for part, words in PLACED.items():
        lines.append(f"{part}:")
        dash = " " * draw(st.sampled_from([0, 2]))
        for number in range(draw(st.integers(1, 3))):
            lines += draw(st.sampled_from([[], [f"{dash}# why {number}"]]))
            style = draw(st.sampled_from(styles))
            for place, word in enumerate(words[:-1]):
                lines.append(f"{dash}{'  ' if place else '- '}{word.replace('NAME', f'{part}-{number}')}")
            if style == "plain":
                lines.append(f"{dash}  {words[-1]}: plain{draw(st.sampled_from(['', '  # soon']))}")
            else:
                text = draw(st.sampled_from([["one"], ["one", "", "two: # 2"], ["one", "  - two"]]))
                lines += [f"{dash}  {words[-1]}: {style}", *(f"{dash}    {line}" if line else "" for line in text)]
            lines += draw(st.sampled_from(gaps))
    lines += draw(st.sampled_from([["on_failure: [look]"], ["# the end", "on_failure: [look]"], []]))
    return "\n".join([*lines, ""])


@settings(max_examples=examples(40), deadline=None)
@given(text=placed(), pick=st.data())
def test_what_is_done_to_a_part_in_the_text_is_done_to_its_data(text: str, pick: st.DataObject) -> None:
    before = data(text)
    part = pick.draw(st.sampled_from(sorted(LISTS)))
    there, called = before[part], names(text, part)
    place = pick.draw(st.integers(0, len(there) - 1))
    name, new = called[place], {"id": "new", "title": "One\n\nTwo"}
    added = with_added(text, part, new, name)
    assert data(added) == {**before, part: [*there[: place + 1], new, *there[place + 1 :]]}
    assert data(with_added(text, part, new, None)) == {**before, part: [new, *there]}
    words = [*there[place]]
    for changed in (
        {**there[place], words[0]: "other"},
        {**there[place], words[-1]: "other"},
        {**there[place], words[-1]: "other\n\nlines"},
        {**there[place], "further": "more"},
        {word: there[place][word] for word in words[:-1]},
        {"further": "one\ntwo", **there[place]},
    ):
        assert data(with_changed(text, part, name, changed)) == {
            **before,
            part: [*there[:place], changed, *there[place + 1 :]],
        }
    if place:
        moved = [*there[: place - 1], there[place], there[place - 1], *there[place + 1 :]]
        assert data(with_moved(text, part, name, -1)) == {**before, part: moved}
        assert data(with_moved(text, part, called[place - 1], 1)) == {**before, part: moved}
    if part != "steps" or len(there) > 1:
        assert data(without(text, part, name)) == {**before, part: [*there[:place], *there[place + 1 :]]}


def test_what_cannot_be_written_among_comments_is_refused_rather_than_lost() -> None:
    first = "steps:\n  - id: one\n    end: []\n        # far in\n"
    text = f"{first}  - id: two\n    title: |\n      Two\nflow: some\n"
    with pytest.raises(ConfigError, match="change it in the text"):
        with_moved(text, "steps", "two", -1)


@pytest.mark.parametrize(
    "text",
    [
        "flow: some\ntitle: One\n",
        "flow: some",
        "flow: some\nrationale: |\n  Why.\n",
        "flow: some\nactions: []\nsteps: []\n",
        '{"flow": "some"}',
        '{"flow": "some", "steps": []}\n',
    ],
)
def test_a_flow_without_any_part_takes_its_first_ones(text: str) -> None:
    new = {"id": "new", "title": "One"}
    written = text
    for part in LISTS:
        written = with_added(written, part, new, None)
    assert data(written) == {**data(text), **{part: [new] for part in LISTS}}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no words yet"),
        ("# soon\n", "no words yet"),
        ("- a\n", "no words yet"),
        ("flow: some\nsteps: later\n", "not a list"),
        ("flow: some\nsteps: {a: 1}\n", "not a list"),
    ],
)
def test_what_is_no_list_of_a_flow_is_refused_rather_than_lost(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        with_added(text, "steps", {"id": "new"}, None)


def test_a_last_step_that_ends_with_text_in_lines_is_taken_out_alone() -> None:
    for style in ("|", ">", ">-"):
        step = f"  - id: last\n    end: [freeze]\n    title: Last\n    rationale: {style}\n      One.\n      Two.\n"
        text = f"{SMALL}{step}on_failure: [freeze]\n"
        assert without(text, "steps", "last") == f"{SMALL}on_failure: [freeze]\n"


@pytest.mark.parametrize("made", [lambda text: text, in_json])
def test_a_form_is_refused_where_its_part_is_another_one_meanwhile(made: Any) -> None:
    two = f"{LISTED}  - {{on: tag, tag: vip}}\n{SMALL}"
    form = typed(form_of(made(two), "triggers", "2"), tag="other")
    assert data(with_form(made(two), form))["triggers"][1] == {"on": "tag", "tag": "other"}
    above = with_moved(made(two), "triggers", "2", -1)
    with pytest.raises(ConfigError, match=r"the trigger 2 was changed .* open a form anew"):
        with_form(above, form)
    with pytest.raises(ConfigError, match="there is no trigger 2 in the text any more"):
        with_form(without(made(two), "triggers", "1"), form)
    with pytest.raises(ConfigError, match="was changed"):
        with_form(made(two), replace(form, opened=""))
    opened = typed(form_of(made(SMALL), "actions", "freeze"), title="Freeze it")
    with pytest.raises(ConfigError, match=r"there is no action freeze .* renamed"):
        with_form(made(SMALL.replace("id: freeze", "id: cool")), opened)
    with pytest.raises(ConfigError, match="the action freeze was changed"):
        with_form(made(SMALL.replace("status: blocked", "status: flagged")), opened)
    with pytest.raises(ConfigError, match="there is no action look"):
        with_form(made(SMALL.replace("id: look", "id: peer")), filled("actions", "case", "look")[0])
    commented = SMALL.replace("    title: Freeze\n", "    title: Freeze  # as agreed\n")
    assert data(with_form(commented, opened))["actions"][1]["title"] == "Freeze it"


SAID = """flow: said
steps:
  - id: ask
    title: >
      Ask
      somebody
    # who asks
    person:
      question: Is it so?
      look_at:
        - Name  # first
        - |
          Date of
          birth
      within: 2 days
      answers: {yes: way, no: stopped}
      otherwise: stopped
    rationale: |
      First, why.

      Second, who.
  - id: way
    title: Way
    route:
      # the high ones first
      - {when: {level: in_force, equals: high}, to: stopped}
      - when: {level: in_force, equals: low}  # then the low ones
        to: stopped
    otherwise: stopped
  - id: stopped
    title: Stopped
    end: []
"""


def as_a_page_sends(form: PartForm, **values: str) -> PartForm:
    """Give the form as it comes back: lines and space around are kept by fields of several lines alone."""
    prose = {each.name for each in form.fields if each.is_prose}
    sent = {name: value if name in prose else value.replace("\n", "") for name, value in form.typed.items()}
    return typed(replace(form, typed={name: value.strip() for name, value in sent.items()}), **values)


def changed_lines(before: str, after: str) -> list[tuple[str, str]]:
    assert len(before.splitlines()) == len(after.splitlines())
    lines = zip(before.splitlines(), after.splitlines(), strict=True)
    return [(one, other) for one, other in lines if one != other]


def test_text_in_lines_that_nobody_changed_stays_as_it_is_written() -> None:
    form = form_of(SAID, "steps", "ask")
    assert with_form(SAID, as_a_page_sends(form)) == SAID
    changed = with_form(SAID, as_a_page_sends(form, person__question="Other"))
    assert changed_lines(SAID, changed) == [("      question: Is it so?", "      question: Other")]


def test_prose_keeps_its_lines() -> None:
    form = as_a_page_sends(form_of(SAID, "steps", "ask"), rationale="First.\n\nSecond: # so.\nThird.")
    changed = with_form(SAID, form)
    lines = "    rationale: |-\n      First.\n\n      Second: # so.\n      Third.\n  - id: way\n"
    assert lines in changed
    assert data(changed)["steps"][0]["rationale"] == "First.\n\nSecond: # so.\nThird."
    assert data(changed)["steps"][1:] == data(SAID)["steps"][1:]
    one = typed(form_of(SAID, "steps", "ask"), rationale="First, why. Second, who.")
    assert data(with_form(SAID, one))["steps"][0]["rationale"] == "First, why. Second, who."


def test_prose_with_a_line_of_spaces_is_written_at_once() -> None:
    """Each way to part its lines was tried: of six lines that took hours, in which nothing else was answered."""
    prose = "\n".join(["x" * 60] * 5 + [" ", "So it is."])
    form = as_a_page_sends(form_of(SAID, "steps", "ask"), rationale=prose)
    began = process_time()
    changed = with_form(SAID, form)
    assert process_time() - began < 2
    assert data(changed)["steps"][0]["rationale"] == prose


def test_a_long_list_that_changes_at_both_ends_is_written_soon() -> None:
    """Each row was compared with each, and what equal ones there are was kept for each pair."""
    names = [f"c{number}" for number in range(5_000)]
    text = (
        "flow: said\nsteps:\n  - id: way\n    title: Way\n    route:\n"
        f"      - when: {{field: country, in: [{', '.join(names)}]}}\n        to: stopped\n"
        "    otherwise: stopped\n  - id: stopped\n    title: Stopped\n    end: []\n"
    )
    for others in (["x", *names[1:-1], "y"], [f"z{name}" for name in names]):
        way = data(text)["steps"][0]
        way["route"][0]["when"]["in"] = others
        began = process_time()
        changed = with_changed(text, "steps", "way", way)
        assert process_time() - began < 6
        assert data(changed)["steps"][0]["route"][0]["when"]["in"] == others


def test_a_cell_that_changes_is_all_that_changes_of_its_list() -> None:
    form = as_a_page_sends(form_of(SAID, "steps", "way"), route__1__when="{level: in_force, equals: none}")
    assert changed_lines(SAID, with_form(SAID, form)) == [
        (
            "      - when: {level: in_force, equals: low}  # then the low ones",
            "      - when: {level: in_force, equals: none}  # then the low ones",
        )
    ]
    form = as_a_page_sends(form_of(SAID, "steps", "way"), route__0__to="ask")
    assert [other for _, other in changed_lines(SAID, with_form(SAID, form))] == [
        "      - {when: {level: in_force, equals: high}, to: ask}"
    ]
    form = as_a_page_sends(form_of(SAID, "steps", "ask"), person__look_at__0="Both names")
    assert [other for _, other in changed_lines(SAID, with_form(SAID, form))] == ["        - Both names  # first"]
