"""Membership: three-valued, the same for one entity as for many, and never changed by time before it is said to be."""

import json
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fivefold.domain.clock import DAY_US, to_microseconds
from fivefold.domain.errors import InvalidRulesetError
from fivefold.domain.money import base_only
from fivefold.flows.groups.analysis import AnalysedGroup, analyse_canonical_group, lint_group
from fivefold.flows.groups.language import read_group
from fivefold.flows.groups.membership import HOLDS, NEXT, look_at_members, run_group_examples
from fivefold.risk.compiler.purposes import Sources
from fivefold.risk.facts.inputs import LEVEL_TYPES
from fivefold.risk.facts.portfolio import ENTITY, Portfolio
from fivefold.risk.language.documents import Document
from fivefold.usecases.portfolio_files.bundled import bundled_groups, group_text

AS_OF = to_microseconds(datetime(2026, 6, 1, tzinfo=UTC))
Data = dict[str, Any]

TESTS: list[Data] = [
    {"level": "in_force", "at_least": "medium"},
    {"value": "score", "above": 3},
    {"tag": "vip", "is": "present"},
    {"sum": "amount", "over": "30 days", "at_least": 100},
    {"count": "transactions", "over": "10 days", "below": 2},
]
"""What conditions are made of; `_truth` says by itself what each comes to."""


def text_of(when: Data, **parts: Any) -> str:
    whole = {"group": "drawn", "title": "D", "entity_type": "customer", "levels": ["low", "medium", "high"]}
    return json.dumps({**whole, "when": when, **parts})


def analysed(when: Data, **parts: Any) -> AnalysedGroup:
    return AnalysedGroup(read_group(text_of(when, **parts)))


Person = tuple[int | None, float | None, bool, list[tuple[int, int]]]
"""The level, the score, whether there is a tag, and transactions: how many days ago, and the amount."""

CONDITIONS = st.recursive(
    st.sampled_from(TESTS),
    lambda below: (
        st.builds(lambda parts: {"all": parts}, st.lists(below, min_size=1, max_size=3))
        | st.builds(lambda parts: {"any": parts}, st.lists(below, min_size=1, max_size=3))
        | st.builds(lambda part: {"not": part}, below)
    ),
    max_leaves=5,
)
PEOPLE = st.lists(
    st.tuples(
        st.none() | st.integers(1, 3),
        st.none() | st.sampled_from([2.0, 3.0, 4.0]),
        st.booleans(),
        st.lists(st.tuples(st.integers(0, 40), st.sampled_from([50, 100])), max_size=4),
    ),
    min_size=1,
    max_size=4,
)


def portfolio(people: list[Person]) -> Portfolio:
    names = [str(number) for number in range(len(people))]
    levels = [(name, level, level, "assessed", "rules", 0.0) for name, (level, *_) in zip(names, people, strict=True)]
    moves = [
        (name, datetime.fromtimestamp((AS_OF - days * DAY_US) / 1e6, UTC).replace(tzinfo=None), float(amount), "EUR")
        for name, (*_, rows) in zip(names, people, strict=True)
        for days, amount in rows
    ]
    kinds = [pl.String, pl.Datetime("us"), pl.Float64, pl.String]
    columns = [ENTITY, "transaction_date", "transaction_amount", "transaction_currency"]
    return Portfolio(
        pl.DataFrame({ENTITY: names}),
        base_only("EUR", datetime.fromtimestamp(AS_OF / 1e6, UTC).date()),
        pl.DataFrame(moves, schema=dict(zip(columns, kinds, strict=True)), orient="row"),
        tags=pl.DataFrame(
            [(name, "vip") for name, (_, _, tagged, _) in zip(names, people, strict=True) if tagged],
            schema={ENTITY: pl.String, "tag": pl.String},
            orient="row",
        ),
        values=pl.DataFrame(
            [(name, score, "high", 1.0) for name, (_, score, *_) in zip(names, people, strict=True)],
            schema={ENTITY: pl.String, "score": pl.Float64, "segment": pl.String, "expected_value": pl.Float64},
            orient="row",
        ),
        levels=pl.DataFrame(levels, schema={ENTITY: pl.String, **LEVEL_TYPES}, orient="row"),
    )


def _truth(when: Data, person: Person, days_later: float = 0) -> bool | None:
    """What a condition comes to by Kleene's tables, written once more and plainly."""
    if "not" in when:
        below = _truth(when["not"], person, days_later)
        return None if below is None else not below
    for word, decides in (("all", False), ("any", True)):
        if word in when:
            parts = [_truth(part, person, days_later) for part in when[word]]
            return decides if decides in parts else None if None in parts else not decides
    level, score, tagged, rows = person
    within = lambda days: [amount for ago, amount in rows if ago + days_later < days]  # noqa: E731 (a word for it)
    return [
        None if level is None else level >= 2,
        None if score is None else score > 3,
        tagged,
        sum(within(30)) >= 100,
        len(within(10)) < 2,
    ][TESTS.index(when)]


@given(CONDITIONS, PEOPLE)
@settings(deadline=None)
def test_it_holds_as_kleene_says_for_one_as_for_many_and_time_changes_nothing_before_it_is_said_to(
    when: Data, people: list[Person]
) -> None:
    group, whole = analysed(when), portfolio(people)
    found = look_at_members(group, whole, AS_OF, ahead=True)
    assert found[HOLDS].to_list() == [_truth(when, person) for person in people]
    for number, person in enumerate(people):
        own = Portfolio(**{**vars(whole), "entities": whole.entities[number : number + 1]})
        (alone,) = look_at_members(group, own, AS_OF, ahead=True).rows()
        assert alone[:2] == found.row(number)[:2]
        for moment in (found[NEXT][number], alone[2]):
            days = 60 if moment is None else (moment - 1 - AS_OF) / DAY_US
            steps = {days, *(float(ago) for ago in range(41) if ago <= days)}
            assert {_truth(when, person, later) for later in steps} == {_truth(when, person)}


def test_the_canonical_form_reads_back_and_does_not_depend_on_what_is_left_out() -> None:
    group = analysed(TESTS[0], on_unknown="keep").group
    assert analyse_canonical_group(group.canonical).group == group
    assert group.content_hash == analysed(TESTS[0]).group.content_hash
    assert group.content_hash != analysed(TESTS[0], on_unknown="in").group.content_hash


@pytest.mark.parametrize(
    ("when", "problem"),
    [
        ({"any": [TESTS[0], {"not": TESTS[0]}]}, None),
        ({"all": [{"level": "in_force", "equals": "low"}, {"level": "in_force", "equals": "high"}]}, "never holds"),
        ({"tag": "vip", "is": "present"}, None),
    ],
)
def test_a_condition_that_never_holds_is_doubted(when: Data, problem: str | None) -> None:
    group = analysed(when, rationale="So.", examples=[{"name": "A", "given": {}, "member": "unknown"}])
    found = [finding.problem for finding in lint_group(group, {})]
    assert len(found) == (problem is not None)
    assert all(problem is not None and problem in each for each in found)


def test_a_value_with_blanks_around_it_is_doubted() -> None:
    problems = [each.problem for each in lint_group(analysed({"field": "country", "equals": "NO "}), {})]
    assert "has white space around it, and texts are compared exactly: write it without that" in problems


def test_a_group_that_cannot_be_used_is_refused_before_anybody_is_looked_at() -> None:
    group = analysed({"transaction": "amount", "above": 3})
    with pytest.raises(InvalidRulesetError):
        look_at_members(group, portfolio([(1, 2.0, False, [])]), AS_OF)
    with pytest.raises(InvalidRulesetError):
        run_group_examples(group, {}, AS_OF)


@pytest.mark.parametrize("name", bundled_groups())
def test_those_that_ship_have_no_doubts_and_their_examples_pass(name: str) -> None:
    document = Document(group_text(name), name)
    group = AnalysedGroup(read_group(group_text(name)))
    assert lint_group(group, {}, document) == []
    results = run_group_examples(group, {}, AS_OF)
    assert {each.actual for each in results} >= {"a member", "no member"}
    assert all(each.passed for each in results)


@pytest.mark.parametrize(
    ("parts", "problem"),
    [
        ({}, "must have one of the two: when, what holds of a member; or kept_by: flows"),
        ({"when": TESTS[0], "kept_by": "flows"}, "must have one of the two"),
        ({"kept_by": "flows", "on_unknown": "in", "calculate": {}}, "reads nothing; leave out calculate, on_unknown"),
        ({"kept_by": "people"}, "flows"),
        ({"kept_by": "flows", "group": "a" * 75}, "its name has 74 letters at most"),
    ],
)
def test_a_group_has_a_condition_or_is_kept_by_flows(parts: Data, problem: str) -> None:
    whole = {"group": "drawn", "title": "D", "entity_type": "customer", "levels": ["low", "medium", "high"], **parts}
    with pytest.raises(InvalidRulesetError, match=problem):
        read_group(json.dumps(whole))


def test_of_a_group_that_flows_keep_who_has_its_tag_is_a_member_and_nothing_is_doubted() -> None:
    whole = {
        "group": "vip",
        "title": "D",
        "entity_type": "customer",
        "levels": ["low", "medium", "high"],
        "rationale": "So.",
    }
    group = AnalysedGroup(read_group(json.dumps({**whole, "kept_by": "flows", "purpose": "commercial"})))
    assert lint_group(group, {}) == []
    assert analyse_canonical_group(group.group.canonical).group == group.group
    assert [*group.readings(Sources())] == []
    everybody = portfolio([(1, None, True, []), (None, None, False, [])])
    tagged = Portfolio(**{**vars(everybody), "tags": everybody.tags.with_columns(tag=pl.lit("group:vip"))})
    assert look_at_members(group, tagged, AS_OF)[HOLDS].to_list() == [True, False]
    assert look_at_members(group, everybody, AS_OF)[HOLDS].to_list() == [False, False]


def test_examples_say_whom_an_entity_is_linked_to() -> None:
    household = {"linked": {"by": "household", "itself": True, "sum": {"field": "income"}}, "above": 100}
    examples = [
        {"name": "Rich together", "given": {"income": 60, "links": {"household": [{"income": 41}]}}, "member": True},
        {"name": "Not rich", "given": {"income": 60, "links": {"household": [{"income": 40}]}}, "member": False},
        {"name": "Not known", "given": {"income": 60, "links": {"household": [{}]}}, "member": "unknown"},
        {"name": "Alone", "given": {"income": 101, "links": {"household": []}}, "member": True},
    ]
    parts: Data = {"fields": {"income": "number"}, "links": {"household": {"kind": "shared"}}}
    results = run_group_examples(analysed(household, examples=examples, **parts), {}, AS_OF)
    assert [(each.name, each.passed) for each in results] == [(each["name"], True) for each in examples]
    for strange, problem in (
        ({"links": {"houshold": []}}, "household"),
        ({"links": {"household": [{"incom": 1}]}}, "incom, which is not a field"),
    ):
        wrong = [{"name": "Wrong", "given": strange, "member": False}]
        with pytest.raises(InvalidRulesetError, match=problem):
            run_group_examples(analysed(household, examples=wrong, **parts), {}, AS_OF)
