"""Rows of a list that a form adds, changes or takes out: the comments of all others stay with them."""

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fivefold.usecases.flows.forms.forms import form_of, with_form
from fivefold.usecases.flows.forms.places import with_changed
from tests.depth import examples
from tests.usecases.flows.forms.test_forms import data

WAYS = """flow: some
steps:
  - id: by-risk  # first of all
    title: Risk
    route:
      # the worst first
      - {when: {level: in_force, at_least: high}, to: ask}  # the law says so
      # and then
      - when: {level: in_force, at_least: medium}
        # by the committee
        to: look
      - {when: {value: score, above: 10}, to: enough}  # rare
    otherwise: room  # the rest
  - {id: room, title: Room, end: []}
"""
HIGH, MEDIUM, RARE = data(WAYS)["steps"][0]["route"]
NEW = {"when": {"value": "score", "above": 99}, "to": "ask"}


def with_rows(*rows: Any, text: str = WAYS) -> str:
    step = {**data(text)["steps"][0], "route": list(rows)}
    written = with_changed(text, "steps", "by-risk", step)
    assert data(written)["steps"][0] == step
    return written


def comments(text: str) -> list[str]:
    return re.findall(r"#.*", text)


ALL = comments(WAYS)


@pytest.mark.parametrize(
    ("rows", "lost"),
    [
        ((HIGH, MEDIUM, RARE, NEW), ()),
        ((NEW, HIGH, MEDIUM, RARE), ()),
        ((HIGH, NEW, MEDIUM, RARE), ()),
        ((NEW, HIGH, NEW, MEDIUM, NEW, RARE, NEW), ()),
        ((HIGH, {**MEDIUM, "to": "ask"}, RARE, NEW), ()),
        ((HIGH, MEDIUM), ("# rare",)),
        ((MEDIUM, RARE), ("# the law says so",)),
        ((HIGH, RARE), ("# by the committee",)),
        ((MEDIUM, RARE, NEW), ("# the law says so",)),
    ],
)
def test_a_row_comes_or_goes_and_the_comments_of_the_others_stay(rows: Any, lost: tuple[str, ...]) -> None:
    assert comments(with_rows(*rows)) == [each for each in ALL if each not in lost]


def test_a_comment_stays_behind_its_row() -> None:
    written = with_rows(NEW, MEDIUM, RARE, HIGH)
    for line in written.split("\n"):
        assert ("# rare" in line) is ("to: enough" in line)
    assert "to: enough}  # rare\n      - {when: {level: in_force, at_least: high}, to: ask}\n    otherwise" in written


def test_a_text_without_a_last_line_end_gains_a_row() -> None:
    text = "flow: some\nsteps:\n  - id: by-risk\n    route:\n      - {to: ask}  # one"
    assert with_rows({"to": "ask"}, {"to": "look"}, text=text) == f"{text}\n      - {{to: look}}"


def test_a_list_that_stands_where_no_line_can_be_added_is_written_anew() -> None:
    for route in ("[{to: ask}]", "[\n      {to: ask}]", "\n    - {to: ask}"):
        text = f"flow: some\nsteps:\n  - id: by-risk\n    route: {route}\n    otherwise: room\n"
        with_rows({"to": "ask"}, {"to": "look"}, text=text)
    with_rows(text=WAYS)


def pairs(text: str) -> dict[str, str]:
    """Give the comment behind each row that is written in one line, by the row."""
    return dict(re.findall(r"- (\{.*\})  (# .*)", text))


def route(*lines: str) -> str:
    rows = "".join(f"      {line}\n" for line in lines)
    return f"flow: some\nsteps:\n  - id: by-risk\n    route:\n{rows}    otherwise: room\n"


LAW = "- {when: {level: in_force}, to: ask}  # law"
TRIAL = "- {when: {value: score, above: 10}, to: look}  # trial"
LAW_ROW, TRIAL_ROW = data(route(LAW, TRIAL))["steps"][0]["route"]
CHANGED = {"when": {"value": "score", "above": 20}, "to": "look"}


@pytest.mark.parametrize("rows", [(CHANGED,), (CHANGED, {"to": "other"})])
def test_a_row_that_changed_keeps_its_comment_where_the_one_before_it_goes(rows: Any) -> None:
    written = with_rows(*rows, text=route(LAW, TRIAL))
    assert pairs(written) == {"{when: {value: score, above: 20}, to: look}": "# trial"}


def test_where_no_pair_is_clear_no_row_takes_a_comment() -> None:
    assert comments(with_rows({"to": "other"}, text=route(LAW, TRIAL))) == []


def test_the_first_row_comes_above_the_comments_of_the_next() -> None:
    written = with_rows(NEW, LAW_ROW, text=route("# why", LAW))
    assert f"above: 99}}, to: ask}}\n      # why\n      {LAW}\n" in written


def test_a_comment_at_the_end_of_a_row_stays_in_it_and_goes_with_it() -> None:
    text = route("- when: {level: in_force}", "  to: ask", "  # why", TRIAL)
    assert "  to: ask\n        # why\n      - {when: {value: score, above: 99}" in with_rows(
        LAW_ROW, NEW, TRIAL_ROW, text=text
    )
    assert comments(with_rows(TRIAL_ROW, text=text)) == ["# trial"]


def test_a_row_whose_dash_has_a_line_of_its_own_comes_and_goes() -> None:
    text = route("- # strict", "  when: {level: in_force}", "  to: ask", TRIAL)
    assert with_rows(TRIAL_ROW, text=text) == route(TRIAL)
    assert with_rows(NEW, LAW_ROW, TRIAL_ROW, text=text).endswith(text.partition("route:\n")[2])


def test_a_list_written_anew_has_a_line_for_each_row() -> None:
    text = "flow: some\nsteps:\n  - id: by-risk\n    route: [\n      {to: ask},\n      {to: look}]  # all\n"
    text += "    otherwise: a\n"
    written = with_rows({"to": "ask"}, {"to": "look"}, {"to": "new"}, text=text)
    assert "route:  # all\n      - {to: ask}\n      - {to: look}\n      - {to: new}\n    otherwise" in written


def test_true_in_the_place_of_one_is_written() -> None:
    text = route("- {when: {attribute: pep, equals: 1}, to: ask}  # pep")
    form = form_of(text, "steps", "by-risk")
    typed = {**form.typed, "field-title": "T", "field-route-0-when": "{attribute: pep, equals: true}"}
    assert pairs(with_form(text, replace(form, typed=typed))) == {
        "{when: {attribute: pep, equals: true}, to: ask}": "# pep"
    }
    row = {"when": {"attribute": "pep", "equals": True}, "to": "ask"}
    assert "equals: true" in with_rows(row, text=text)
    assert "equals: true" in with_rows(row, NEW, text=text)


def test_rows_end_as_their_neighbours() -> None:
    text = route(LAW, TRIAL).replace("\n", "\r\n")
    written = with_rows(NEW, LAW_ROW, NEW, CHANGED, NEW, text=text)
    assert written.count("\n") == written.count("\r\n") == text.count("\n") + 3
    assert set(pairs(written.replace("\r", "")).values()) == {"# law", "# trial"}


BOARD = """flow: some
steps:
  - id: by-risk
    title: Risk
    route:  # by the board
      # by article 20
      - {when: {level: in_force, at_least: high}, to: ask}  # law
      - {when: {value: score, above: 10}, to: look}  # trial
  - {id: room, title: Room, end: []}
"""


def changed(text: str, **words: Any) -> str:
    """Change words of the step; None takes one out."""
    step = {word: each for word, each in {**data(text)["steps"][0], **words}.items() if each is not None}
    written = with_changed(text, "steps", "by-risk", step)
    assert data(written)["steps"][0] == step
    return written


def test_a_row_and_another_word_come_at_once() -> None:
    rows = data(BOARD)["steps"][0]["route"]
    added = "      - {to: new}\n    otherwise: room\n  - {id: room"
    assert changed(BOARD, route=[*rows, {"to": "new"}], otherwise="room") == BOARD.replace("  - {id: room", added)


def test_a_row_comes_last_where_the_word_behind_the_list_goes() -> None:
    rows = data(BOARD)["steps"][0]["route"]
    text = BOARD.replace("  - {id: room", "    otherwise: room\n  - {id: room")
    added = BOARD.replace("  - {id: room", "      - {to: new}\n  - {id: room")
    assert changed(text, route=[*rows, {"to": "new"}], otherwise=None) == added


def test_words_and_rows_come_at_once_below_each_other() -> None:
    text = """flow: some
steps:
  - id: by-risk
    table:
      # what they are
      rows:  # the board's
        - when: {a: 1}  # one
          # till May
        - when: {a: 2}  # two
          # till June
  - {id: room, title: Room, end: []}
"""
    one, two = data(text)["steps"][0]["table"]["rows"]
    rows = [one, {**two, "give": 2}, {"when": {"a": 3}}]
    written = changed(text, table={"rows": rows, "otherwise": {"b": 1}}, title="T")
    assert comments(written) == comments(text)
    assert (
        "give: 2\n          # till June\n        - {when: {a: 3}}\n      otherwise: {b: 1}\n    title: T\n" in written
    )


def test_a_form_that_adds_a_row_and_fills_in_another_field_keeps_the_comments() -> None:
    form = form_of(BOARD, "steps", "by-risk")
    row = {"field-route-2-when": "{value: score, above: 99}", "field-route-2-to": "room"}
    written = with_form(BOARD, replace(form, typed={**form.typed, **row, "field-otherwise": "room"}))
    assert comments(written) == comments(BOARD)
    assert "# trial\n      - {when: {value: score, above: 99}, to: room}\n    otherwise: room\n" in written


def test_a_word_of_the_last_row_comes_where_the_word_behind_the_list_goes() -> None:
    text = route("- to: a", "  why: |", "    one", "    two")
    written = changed(text, route=[{"to": "a", "why": "one\ntwo\n", "more": 1}], otherwise=None)
    assert written == text.replace("    otherwise: room\n", "        more: 1\n")


def test_a_new_word_comes_behind_the_comments_under_the_last_row() -> None:
    text = BOARD.replace("  - {id: room", "        # until May\n  - {id: room")
    assert changed(text, otherwise="room") == text.replace("  - {id: room", "    otherwise: room\n  - {id: room")


def test_a_list_of_lines_that_is_written_anew_keeps_the_comment_behind_its_word() -> None:
    assert "    route: []  # by the board\n  - {id: room" in changed(BOARD, route=[])


@pytest.mark.parametrize(
    ("before", "after", "kept"),
    [("abca", "ba", "13"), ("abab", "b", "3"), ("aab", "ab", "02"), ("abcab", "cab", "234"), ("aba", "aa", "02")],
)
def test_of_rows_that_say_the_same_the_most_stay(before: str, after: str, kept: str) -> None:
    text = route(*(f"- {{to: {each}}}  # {number}" for number, each in enumerate(before)))
    written = with_rows(*({"to": each} for each in after), text=text)
    assert comments(written) == [f"# {each}" for each in kept]


KINDS = ("- {{to: a{0}, why: x}}  # behind {0}", "- to: a{0}  # behind {0}\n        # within {0}\n        why: x")
CHUNKS = st.tuples(st.sampled_from(KINDS), st.booleans(), st.booleans())
OTHERS = st.fixed_dictionaries(
    {}, optional={"title": st.just("T"), "otherwise": st.none(), "rationale": st.just("by law")}
)


def chunk(number: int, kind: str, is_over: bool, is_under: bool) -> str:
    """Write a row with the comments over it, behind it, and under it, which are indented deeper."""
    over, under = f"      # over {number}\n" * is_over, f"        # under {number}\n" * is_under
    return f"{over}      {kind.format(number)}\n{under}"


@settings(max_examples=examples(100))
@given(drawn=st.data(), others=OTHERS, has_otherwise=st.booleans())
def test_whatever_rows_and_words_come_and_go_the_lines_of_those_that_stay_are_there_in_order(
    drawn: st.DataObject, others: dict[str, Any], has_otherwise: bool
) -> None:
    chunks = [chunk(number, *each) for number, each in enumerate(drawn.draw(st.lists(CHUNKS, min_size=1, max_size=5)))]
    rest = "    otherwise: room  # rest\n" * has_otherwise
    text = f"flow: some\nsteps:\n  - id: by-risk\n    title: X\n    route:  # all\n{''.join(chunks)}{rest}"
    text += "  - {id: room, end: []}  # end\n"
    before = data(text)["steps"][0]["route"]
    stay = drawn.draw(st.lists(st.sampled_from(range(len(before))), min_size=1, unique=True).map(sorted))
    edited = drawn.draw(st.sets(st.sampled_from(range(len(before)))))
    after: list[Any] = [
        row if number in stay else {**row, "to": "another"}
        for number, row in enumerate(before)
        if number in stay or number in edited
    ]
    for number in range(drawn.draw(st.integers(0, 3))):
        after.insert(drawn.draw(st.integers(0, len(after))), {"to": f"new {number}"})
    written = changed(text, route=after, **others)
    assert set(re.findall(r"# over .*", text)) <= set(comments(written))
    place = written.index("    route:  # all\n")
    for number in stay:
        place = written.index(chunks[number], place) + len(chunks[number])
    assert written.count("# rest") == (has_otherwise and "otherwise" not in others)
    assert written.endswith("  - {id: room, end: []}  # end\n")
    if after == before and not others:
        assert written == text
