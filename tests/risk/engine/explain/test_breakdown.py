"""The breakdown: parts that add up, a form for JSON, and a batch that is each entity alone."""

import json
from decimal import Decimal
from html import escape
from typing import Any

import polars as pl
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from fivefold.domain.canonical import canonical_json
from fivefold.domain.clock import DAY_US, iso_text
from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.engine.assess import assess
from fivefold.risk.engine.explain import breakdown
from fivefold.risk.engine.explain.breakdown import Explanation, as_json_text, explain, explain_all
from fivefold.risk.engine.explain.rules import CaseOutcome, RuleOutcome
from tests.depth import examples
from tests.golden import compare
from tests.risk.engine.drawn.rulesets import rulesets
from tests.risk.engine.drawn.worlds import people_drawn, run, worlds
from tests.risk.engine.reference.conditions import World
from tests.risk.engine.small import DAY, Data, assessed, case, exactly, portfolio, rule, ruleset


def plain(explanation: Explanation) -> Data:
    """An explanation as plain data, each outcome written for itself."""
    may = explanation.may_move_down_on
    moments = {"as_of": iso_text(explanation.as_of), "may_move_down_on": None if may is None else iso_text(may)}
    rules = [outcome.as_json() for outcome in explanation.rules]
    return {**vars(explanation), **moments, "total": str(explanation.total), "rules": rules}


def flagged(name: str, points: float, floor: str | None = None) -> Data:
    return rule(name, case({"field": "flag", "equals": True}, points, floor))


YES: Data = {"flag": True}


points = st.sampled_from([-50, -1, 0, 1, 20, 30, 30.99, 31, 60.99, 61, 1000, None, "bad"])


@settings(max_examples=examples(40))
@given(st.lists(points, min_size=4, max_size=4))
def test_parts_add_up_to_the_total_that_is_shown(values: list[Any]) -> None:
    made = ruleset(*(exactly(number) for number in range(4)))
    found = explain(assessed(made, {f"n{number}": value for number, value in enumerate(values)}), 0)
    assert found.total == sum(outcome.points for outcome in found.rules) == Decimal(found.score)


def test_breakdown_has_the_words_of_every_rule() -> None:
    (outcome,) = explain(assessed(ruleset(flagged("geography", 20)), YES), 0).rules
    assert (outcome.rule, outcome.category, outcome.title) == ("geography", "other", "Geography")
    assert outcome.sentence == "Geography: flag is true. Case 1, flag is true: +20 points"
    assert outcome.seen == "flag is true"


def test_form_for_json() -> None:
    made = ruleset(flagged("geography", 20.5, "medium"), exactly(0), cooldown="30 days")
    found = explain(assessed(made, {**YES, "n0": "x"}, previous=1), 0)
    data = json.loads(as_json_text(found))
    assert data["as_of"] == "2024-07-01T00:00:00+00:00"
    assert data["may_move_down_on"] == "2024-07-31T00:00:00+00:00"
    assert (data["total"], data["score"], data["level"], data["status"]) == ("20.5", "20.5", "medium", "failed")
    assert data["failures"] == ["N0: n0 is 'x', which is no finite number"]
    assert data["content_hash"] == made.content_hash
    assert data["rules"][0]["points"] == "20.5"
    assert data["rules"][0]["sentence"] == found.rules[0].sentence
    assert (data["rules"][0]["factor"], data["rules"][1]["case"]) == (None, "failed")
    assert json.loads(as_json_text(explain(assessed(ruleset(exactly(0)), {"n0": 1}), 0)))["may_move_down_on"] is None


QUICK = (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink)
"""All but to explain: that takes minutes for rulesets."""


@settings(max_examples=examples(40), phases=QUICK)
@given(rulesets(), worlds(), people_drawn, st.lists(st.integers(0, 3), max_size=8))
def test_batch_is_each_entity_alone(made: Data, world: World, people: list[Data], drawn: list[int]) -> None:
    found = run(made, world, people)
    alone = [explain(found, position) for position in range(len(people))]
    assert list(explain_all(found)) == alone
    positions = [position % len(people) for position in drawn]
    assert list(explain_all(found, positions)) == [alone[position] for position in positions]
    assert [as_json_text(one) for one in explain_all(found)] == [canonical_json(plain(one)) for one in alone]


def test_rows_are_taken_out_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    made = ruleset(exactly(0), applies_to={"field": "kind", "equals": "person"})
    kinds = ["person", None, "company"]
    rows = [{"n0": "x" if number == 4 else number % 2, "kind": kinds[number % 3]} for number in range(7)]
    found = assessed(made, *rows)
    together = list(explain_all(found))
    monkeypatch.setattr(breakdown, "_AT_ONCE", 3)
    assert list(explain_all(found)) == together
    assert [one.entity for one in together] == [f"e{number}" for number in range(7)]
    assert [one.line for one in explain_all(found, [4, 5, 6, 1])] == [together[place].line for place in (4, 5, 6, 1)]


def test_row_that_is_not_there_is_refused() -> None:
    found = assessed(ruleset(exactly(0)), {"n0": 1})
    assert list(explain_all(found, [])) == list(explain_all(assessed(ruleset(exactly(0))))) == []
    for positions in ([1], [0, 1]):
        with pytest.raises(pl.exceptions.OutOfBoundsError):
            list(explain_all(found, positions))


def test_what_failed_is_told_where_the_ruleset_does_not_apply_too() -> None:
    made = ruleset(exactly(0), applies_to={"field": "kind", "equals": "person"})
    found = explain(assessed(made, {"n0": "x", "kind": "company"}), 0)
    assert found.status == "not applicable"
    assert found.failures == ("N0: n0 is 'x', which is no finite number",)


words = st.text(max_size=5) | st.sampled_from(['"', "\\", "\x00\x1f", "\x7f", "\u2028", "−", "é😀", "</script>"])
exact = st.decimals(allow_nan=False, allow_infinity=False)
cases = st.builds(
    CaseOutcome,
    **dict.fromkeys(("rule", "title", "category", "asked", "floor"), words),
    case=st.integers(1, 200) | words,
    points=exact,
    factor=st.none() | st.tuples(exact, exact),
)
outcomes = st.builds(RuleOutcome, cases, words, *[st.lists(words, max_size=2).map(tuple)] * 2)
moments = st.integers(0, 2**51)
texts = (
    "entity",
    "ruleset",
    "content_hash",
    "status",
    "score",
    "score_level",
    "floor",
    "level",
    "rules_level",
    "withheld",
)
explanations = st.builds(
    Explanation,
    **dict.fromkeys((*texts, "line"), words),
    as_of=moments,
    rules=st.lists(outcomes, max_size=2).map(tuple),
    total=exact,
    may_move_down_on=st.none() | moments,
    lists=st.dictionaries(words, words, max_size=3),
    failures=st.lists(words, max_size=2).map(tuple),
)


@settings(max_examples=examples(100))
@given(explanations)
def test_text_is_the_canonical_form_of_whatever_is_told(explanation: Explanation) -> None:
    assert as_json_text(explanation) == canonical_json(plain(explanation))


def test_arithmetic_in_one_line() -> None:
    compare("summaries", lambda rules: explain(assessed(ruleset(*(flagged(*one) for one in rules)), YES), 0).line)


def held(level: int, days: int) -> pl.DataFrame:
    return pl.DataFrame({"entity_id": ["e0"], "level": [level], "entered": [DAY - days * DAY_US]})


def overridden(level: int) -> pl.DataFrame:
    return pl.DataFrame({"entity_id": ["e0"], "level": [level], "until": [None]}, schema_overrides={"until": pl.Int64})


def test_line_tells_what_withholds_and_what_overrides() -> None:
    cooled = ruleset(exactly(0), flagged("floored", 0, "medium"), cooldown="30 days")
    found = explain(assess(AnalysedRuleset(cooled), portfolio([{"n0": 1}]), DAY, held(3, 10)), 0)
    assert found.line == "Score 1: N0 1; Low; held at High until 2024-07-21 by the cooldown"
    assert (found.level, found.withheld, found.score_level) == ("high", "low", "low")
    found = explain(assess(AnalysedRuleset(cooled), portfolio([{"n0": 61}]), DAY, None, overridden(1)), 0)
    assert found.line == "Score 61: N0 61; High; Low by an override, High without it"
    found = explain(assess(AnalysedRuleset(cooled), portfolio([{"n0": 61, **YES}]), DAY, None, overridden(1)), 0)
    assert found.line.endswith("; Medium by an override, which a floor raised, High without it")


def test_line_where_the_ruleset_does_not_apply() -> None:
    made = ruleset(exactly(0), applies_to={"field": "kind", "equals": "person"})
    found = explain(
        assess(AnalysedRuleset(made), portfolio([{"n0": 61, "kind": "company"}]), DAY, held(3, 10), overridden(2)), 0
    )
    wanted = "so it gives no level; Medium by an override, no level without it"
    assert found.line == f"The ruleset does not apply, {wanted}"
    assert (found.score_level, found.floor, found.rules_level) == ("", "", "")


def test_line_where_it_is_unknown_whether_the_ruleset_applies() -> None:
    made = ruleset(exactly(0), flagged("floored", 0, "high"), applies_to={"field": "kind", "equals": "person"})
    begin = "Score 1: N0 1; it is unknown whether the ruleset applies: "
    people = portfolio([{"n0": 1}])
    held_high = explain(assess(AnalysedRuleset(made), people, DAY, held(3, 10)), 0)
    assert held_high.line == f"{begin}nothing lowers the level, so High stays"
    found = explain(assess(AnalysedRuleset(made), people, DAY, held(3, 10), overridden(2)), 0)
    assert found.line == f"{begin}nothing lowers the level without the override; Medium by an override, High without it"
    assert (found.score_level, found.status) == ("", "undetermined")
    assert found.failures == ("whom the ruleset applies to: kind is unknown",)
    assert explain(assess(AnalysedRuleset(made), people, DAY), 0).line == f"{begin}there is no level yet"
    floored = explain(assess(AnalysedRuleset(made), portfolio([{"n0": 1, **YES}]), DAY), 0)
    assert floored.line == f"{begin}High by the floor of Floored"


def test_failures_name_what_is_unknown_of_the_predicate_alone() -> None:
    both = {"any": [{"field": "kind", "equals": "person"}, {"field": "flag", "equals": True}]}
    found = assessed(ruleset(exactly(0), applies_to=both), {"flag": False}, {"kind": "company"}, {})
    unknown = ["kind is unknown", "flag is unknown", "kind is unknown, flag is unknown"]
    assert [one.failures for one in explain_all(found)] == [(f"whom the ruleset applies to: {one}",) for one in unknown]


NO_TIER = {"tiers": [{"title": "Low", "max": 9, "level": "low"}]}


def test_line_where_the_rules_gave_no_level() -> None:
    made = ruleset(exactly(0), flagged("raised", 5, "high"), score=NO_TIER)
    compare("summaries_without_level", lambda row: explain(assessed(made, row[0], previous=row[1]), 0).line)


def test_a_notebook_shows_a_breakdown_and_how_many_stand_where() -> None:
    made = assessed(ruleset(exactly(0), flagged("f", 5)), {"n0": 31, **YES}, {"n0": 0, **YES}, {"n0": "bad", **YES})
    shown = made._repr_html_()
    assert "<td>medium</td><td>1</td>" in shown
    assert "<td>none</td><td>1</td>" in shown
    assert "e2" in shown
    one = explain(made, 0)
    assert one.line in one._repr_html_()
    assert "<td>F</td><td>" in one._repr_html_()
    assert "Not assessed in full" not in one._repr_html_()
    failed = explain(made, 2)
    assert failed.failures
    for text in (f" by {failed.ruleset}, ", *failed.failures):
        assert escape(text) in failed._repr_html_()
    (broken,) = (rule for rule in failed.rules if rule.case == "failed")
    assert f"<td>{escape(broken.reason)}</td>" in failed._repr_html_(), "no row says that no case holds"
