"""What differs between two rulesets, and that nothing that differs goes unsaid."""

import copy
import json
from itertools import combinations
from typing import Any

import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from fivefold.risk.governance.diff import change_words, diff
from fivefold.risk.governance.differences import DocumentChange, Pair, align, exact_words, part_words
from fivefold.risk.language.reading import read_ruleset
from fivefold.risk.language.ruleset import Ruleset
from tests.depth import examples
from tests.golden import compare
from tests.risk.language.documents_made import as_json, rulesets

BASE = """
ruleset: retail
entity_type: customer
fields: {country: country, income: number}
levels: [low, medium, high, critical]
score: {points: {thresholds: [31, 61, 86]}}
max_recompute_interval: 180 days
cooldown: 30 days
rationale: Ours.
rules:
  - id: country
    title: Country
    category: geography
    rationale: Lists.
    input: {field: country}
    cases:
      - {when: {in_list: fatf}, points: 60, floor: high}
      - {when: {in: [ZA, ZW]}, points: 20}
      - {when: {equals: ZM}, points: -5}
    otherwise: {points: 5}
  - id: cash
    title: Cash
    category: transaction execution
    input: {sum: amount, over: 180 days}
    cases: [{when: {at_least: 50000}, points: 20}]
  - id: structuring
    title: Structuring
    category: transaction execution
    input: {pattern: structuring, threshold: 10000, margin: 10%, over: 30 days}
    cases: [{when: present, points: 25}]
"""


def made(text: str = BASE) -> Ruleset:
    return read_ruleset(text)


def lines(old: str, new: str, text: str = BASE) -> list[str]:
    assert old in text
    return diff(made(text), made(text.replace(old, new))).lines()


def test_a_change_is_said_in_words() -> None:
    compare("ruleset_changes", lambda row: " | ".join(lines(*row)))


CALCULATE = """calculate:
  share: {unit: ratio, divide: [{sum: amount, over: 30 days}, {field: income, as: money}]}
rules:
"""


def test_a_calculation_that_comes_goes_or_changes_is_said_as_a_formula() -> None:
    formula = "a ratio, sum of amount in 30 days ÷ income as money"
    assert lines("rules:\n", CALCULATE) == [f"calculation share: added: {formula}"]
    text = BASE.replace("rules:\n", CALCULATE)
    assert lines(CALCULATE, "rules:\n", text) == [f"calculation share: removed: {formula}"]
    changed = formula.replace("30", "60")
    assert lines("over: 30 days}, {field", "over: 60 days}, {field", text) == [
        f"calculation share: {formula} → {changed}"
    ]


def test_a_rule_that_comes_goes_or_is_moved() -> None:
    first, *rules = BASE.split("  - id: ")
    country, cash, structuring = ("  - id: " + rule for rule in rules)
    assert diff(made(), made(first + cash + structuring + country)).lines() == [
        "rule country: moved from place 1 to 3",
    ]
    (gone,) = diff(made(), made(first + country + structuring)).changes
    assert gone == DocumentChange(
        "rule cash",
        "removed",
        "Cash (transaction execution, of sum of amount in 180 days): it is at least 50,000: 20 points",
    )
    (come,) = diff(made(first + country + structuring), made()).changes
    assert (come.where, come.sort, come.after) == ("rule cash", "added", gone.before)


def test_cases_are_known_by_what_they_ask() -> None:
    case = "      - {when: {equals: ZM}, points: -5}\n"
    other = "      - {when: {in_list: fatf}, points: 60, floor: high}\n"
    moved = BASE.replace(case, "").replace(other, case + other)
    assert diff(made(), made(moved)).lines() == ["rule country, case 1: moved from place 3 to 1"]


def test_another_way_to_score_is_said_whole() -> None:
    tiers = "{tiers: [{title: Low, max: 30, level: low}, {title: Rest, min: 31, level: high}]}"
    found = lines("{points: {thresholds: [31, 61, 86]}}", tiers)
    assert len(found) == 3
    assert "score, points: removed: " in found[0]
    assert lines("max: 30", "max: 30.5", BASE.replace("{points: {thresholds: [31, 61, 86]}}", tiers)) == [
        "score, tier Low, max: 30 → 30.5"
    ]


def test_the_same_content_says_so_with_its_hash() -> None:
    same = diff(made(), made(BASE.replace("points: 60", "points: 60.0") + "# a remark\n"))
    assert same.same
    assert same.lines() == [f"The same content: {made().content_hash}"]


def test_it_is_plain_data_too() -> None:
    found = diff(made(), made(BASE.replace("50000", "60000")))
    assert json.loads(json.dumps(found.to_dict())) == {
        "before": "retail",
        "after": "retail",
        "before_hash": found.before_hash,
        "after_hash": found.after_hash,
        "same": False,
        "changes": [
            {
                "where": "rule cash, case 1, when",
                "sort": "changed",
                "before": "it is at least 50,000",
                "after": "it is at least 60,000",
            }
        ],
    }


def everything(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every part of plain data."""
    below = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [path] * bool(path) + [found for step, part in below for found in everything(part, (*path, step))]


def spoilt(data: Any, path: tuple[Any, ...], how: Any) -> Any:
    changed = copy.deepcopy(data)
    at = changed
    for step in path[:-1]:
        at = at[step]
    if how == "drop":
        del at[path[-1]]
    elif how == "again" and isinstance(at, list):
        at.append(copy.deepcopy(at[path[-1]]))
    elif how == "turn" and isinstance(at, list):
        at.reverse()
    else:
        at[path[-1]] = how
    return changed


@settings(
    max_examples=examples(80),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
@given(st.data())
def test_every_change_of_content_gives_a_line_and_nothing_else_does(data: st.DataObject) -> None:
    ruleset = data.draw(rulesets)
    before = read_ruleset(as_json(ruleset))
    assert diff(before, before).changes == ()
    plain = json.loads(before.canonical)
    path = data.draw(st.sampled_from(everything(plain)))
    how = data.draw(st.sampled_from(["drop", "again", "turn", "other", 7, 31.5, True, "1 day", {"equals": 3}]))
    try:
        after = Ruleset.model_validate(spoilt(plain, path, how))
    except ValueError:
        reject()
    found = diff(before, after)
    assert bool(found.changes) == (not found.same)
    assert all(change.before != change.after for change in found.changes)


names = st.lists(st.sampled_from("abcdef"), max_size=7)


@given(names, names, st.booleans())
def test_every_item_is_in_one_pair(before: list[str], after: list[str], by_place: bool) -> None:
    pairs = align(before, after, by_place=by_place)
    assert [pair.after for pair in pairs if pair.after is not None] == list(range(len(after)))
    assert sorted(pair.before for pair in pairs if pair.before is not None) == list(range(len(before)))
    assert all(pair.before is not None and pair.after is not None for pair in pairs if pair.moved)


@given(st.permutations("abcdef"), st.sets(st.sampled_from("abcdef")), st.sets(st.sampled_from("abcdef")))
def test_as_few_as_possible_have_moved(order: list[str], left: set[str], right: set[str]) -> None:
    before, after = [name for name in "abcdef" if name in left], [name for name in order if name in right]
    common = [before.index(name) for name in after if name in left]
    rising = max(
        len(part)
        for size in range(len(common) + 1)
        for part in combinations(common, size)
        if list(part) == sorted(part)
    )
    moved = sum(pair.moved for pair in align(before, after))
    assert moved == len(common) - rising


def test_what_stands_between_the_same_neighbours_is_the_same_item() -> None:
    pairs = align(["a", "x", "b"], ["a", "y", "z", "b"], by_place=True)
    assert pairs == [Pair(0, 0), Pair(1, 1), Pair(None, 2), Pair(2, 3)]
    assert align(["x", "a"], ["a", "y"], by_place=True) == [Pair(1, 0), Pair(None, 1), Pair(0, None)]


@pytest.mark.parametrize(
    ("word", "part", "said"),
    [
        ("cooldown", None, "nothing"),
        ("rationale", "", "''"),
        ("levels", ["low", "high"], "low, high"),
        ("fields", {"kind": "text"}, '{"kind": "text"}'),
        ("overridable", True, "true"),
        ("otherwise", {}, "no points"),
        ("on_unknown", {"floor": 3}, "at least 3"),
        ("otherwise", {"points": 1}, "1 point"),
        ("applies_to", {"field": "kind", "equals": "person"}, "kind is person"),
        ("signal", {"field": "opened_on"}, "opened on"),
        ("case", {"when": "present", "points": 2.5, "floor": "high"}, "it is present: 2.5 points, at least high"),
    ],
)
def test_a_part_is_said_in_words(word: str, part: object, said: str) -> None:
    assert change_words(word, part) == said


def test_what_differs_never_looks_alike_where_it_is_written_out() -> None:
    assert part_words(["1"]) == part_words([1])
    assert exact_words(["1"]) != exact_words([1])
