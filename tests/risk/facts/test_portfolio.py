"""Named lists: which version is in force, and what cannot be a list."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fivefold.domain.clock import DAY_US, parse_moment
from fivefold.domain.errors import InvalidRulesetError
from fivefold.risk.facts.portfolio import ListVersion, NamedList, members_at, read_list
from tests.risk.conftest import Refusal

GREY = """
list: grey
title: Grey countries
source: us
versions:
  - {since: 2024-01-01, members: [AA]}
  - {since: 2024-06-28, members: [AA, NO], source: a letter}
"""


def test_a_version_holds_from_its_day_until_the_next() -> None:
    grey = read_list(GREY)
    begins = parse_moment("2024-06-28")
    assert grey.in_force(parse_moment("2024-01-01") - 1) is None
    assert grey.in_force(begins - 1) == ListVersion(since=parse_moment("2024-01-01"), members=("AA",))
    newest = grey.in_force(begins)
    assert newest is not None
    assert (newest.members, newest.source) == (("AA", "NO"), "a letter")
    assert grey.in_force(begins + 9_000 * DAY_US) == newest


@given(st.lists(st.integers(0, 50), min_size=1, max_size=6, unique=True).map(sorted), st.integers(-5, 60))
def test_the_latest_version_that_has_begun_is_in_force(starts: list[int], as_of: int) -> None:
    made = NamedList.model_validate(
        {"list": "x", "title": "x", "source": "x", "versions": [{"since": at, "members": [str(at)]} for at in starts]}
    )
    begun = [at for at in starts if at <= as_of]
    found = made.in_force(as_of)
    assert (None if found is None else found.members) == ((str(begun[-1]),) if begun else None)


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        ("2024-06-28", "2024-01-01"),
        ("2024-06-28", "soon"),
        ("members: [AA]", "member: [AA]"),
        ("list: grey", "list: Grey List"),
    ],
)
def test_what_is_no_list_is_refused_with_its_line(was: str, becomes: str, refusal: Refusal) -> None:
    with refusal(InvalidRulesetError):
        read_list(GREY.replace(was, becomes), "grey.yaml")


def test_every_list_that_is_missing_is_named_at_once() -> None:
    lists = {"grey": read_list(GREY)}
    with pytest.raises(InvalidRulesetError) as raised:
        members_at(lists, ["black", "grey", "white"], parse_moment("2023-01-01"))
    text = str(raised.value)
    assert "list black: is missing; there are grey" in text
    assert "list white: is missing" in text
    assert "list grey: has no version before 2024-01-01; as-of is 2023-01-01, and must be 2024-01-01 or later" in text


def test_the_versions_in_force_are_given_by_name() -> None:
    found = members_at({"grey": read_list(GREY)}, ["grey"], parse_moment("2024-03-01"))
    assert {name: version.members for name, version in found.items()} == {"grey": ("AA",)}
