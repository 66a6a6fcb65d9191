"""Rows of a list that a form adds, changes or takes out: the comments of all others stay with them."""

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fivefold.usecases.flows.forms.places import with_changed
from tests.depth import examples
from tests.usecases.flows.test_forms import data

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


ROWS = st.sampled_from([HIGH, MEDIUM, RARE, NEW, {"to": "look"}, {"to": "other"}])


@settings(max_examples=examples(60))
@given(before=st.lists(ROWS, min_size=1, max_size=5), after=st.lists(ROWS, min_size=1, max_size=5))
def test_whatever_rows_come_and_go_those_that_stay_in_order_keep_their_comments(
    before: list[Any], after: list[Any]
) -> None:
    text = with_rows(*before)
    lines = text.split("\n")
    begin, end = lines.index("    route:") + 1, next(n for n, line in enumerate(lines) if "otherwise" in line)
    shown = [f"{line}  # {n}" if line.endswith("}") else line for n, line in enumerate(lines[begin:end])]
    noted = "\n".join([*lines[:begin], *shown, *lines[end:]])
    written = with_rows(*after, text=noted)
    if after[: len(before)] == before:
        assert set(comments(noted)) <= set(comments(written))
    if after == before:
        assert written == noted
