"""The engine against the slow, obvious reference, over rulesets and data drawn at random; and what is refused."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from fractions import Fraction
from typing import Any
from unittest.mock import patch

import polars as pl
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from fivefold.domain.clock import from_microseconds, parse_moment
from fivefold.domain.errors import FileFormatError, InvalidRulesetError
from fivefold.domain.money import base_only
from fivefold.risk.compiler.analysis import AnalysedRuleset, analyse_canonical, analyse_text
from fivefold.risk.engine.assess import assess
from fivefold.risk.engine.assessments import Assessments
from fivefold.risk.engine.explain.breakdown import as_json_text, explain, explain_all
from fivefold.risk.engine.program import compile_ruleset, compiled_once, program_for
from fivefold.risk.facts.portfolio import Portfolio
from fivefold.risk.facts.reading import entities_from_rows
from fivefold.risk.language import reading
from tests.depth import examples
from tests.risk.conftest import Refusal
from tests.risk.engine.drawn.rulesets import read, rulesets
from tests.risk.engine.drawn.worlds import (
    BAD_FIELDS,
    as_ofs,
    levels_before,
    moment,
    named_list,
    only,
    people_drawn,
    portfolio_of,
    run,
    worlds,
)
from tests.risk.engine.reference.conditions import World
from tests.risk.engine.reference.ruleset import Answer, assess_slowly

Data = dict[str, Any]

QUICK = (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink)
"""All but to explain: that takes minutes for rulesets."""


def answer_of(found: Assessments, position: int) -> Answer:
    """Bring the engine's answer into the form of the reference's."""
    row = found.outcomes.row(position, named=True)
    applies = row["status"] != "not applicable"
    explained = explain(found, position)
    return Answer(
        row["status"],
        {rule.rule: rule.case for rule in explained.rules},
        {rule.rule: Fraction(rule.factor[0] if rule.factor else rule.points) for rule in explained.rules},
        Fraction(row["total"], found.program.total.scale),
        row["total_level"] if row["status"] == "assessed" else None,
        row["floor"] if applies else 0,
        row["hard_floor"],
        set(),
        set(),
        row["held_floor"],
        row["held_hard_floor"],
        lost_of(row["floor_lost"]),
        lost_of(row["hard_floor_lost"]),
        row["computed"],
        row["level"],
        row["rules_level"],
        moment(row["entered"]),
        moment(row["may_move_down_on"]),
        row["withheld"],
        row["overridden"],
        row["override_raised_by_floor"],
    )


def lost_of(moments: list[int | None] | None) -> dict[int, datetime]:
    """Bring the moments since when floors are unknown into the form of the reference's."""
    return {level: from_microseconds(one) for level, one in enumerate(moments or [], 2) if one is not None}


def expected(ruleset: Data, world: World, entity: Data) -> Answer:
    answer = assess_slowly(ruleset, world, entity)
    if answer.status != "assessed":
        answer.score_level = None
    if answer.status == "not applicable":
        answer.floor = answer.hard_floor = 0
    answer.possible, answer.possible_hard = set(), set()  # the engine does not say them
    return answer


@settings(max_examples=examples(60), phases=QUICK)
@given(rulesets(), worlds(), people_drawn)
def test_engine_is_the_reference(ruleset: Data, world: World, people: list[Data]) -> None:
    found = run(ruleset, world, people)
    for position, entity in enumerate(people):
        assert answer_of(found, position) == expected(ruleset, world, entity), entity["entity_id"]


@settings(max_examples=examples(15), phases=QUICK)
@given(rulesets(), worlds(), people_drawn, st.randoms(use_true_random=False))
def test_batch_is_each_entity_alone_in_any_order(ruleset: Data, world: World, people: list[Data], random: Any) -> None:
    together = run(ruleset, world, people)
    shuffled = random.sample(people, len(people))
    rows = random.sample(world.transactions, len(world.transactions))
    mixed = run(ruleset, replace(world, transactions=rows), shuffled)
    for position, entity in enumerate(people):
        alone = run(ruleset, only(world, entity["entity_id"]), [entity])
        wanted = answer_of(together, position)
        assert answer_of(alone, 0) == wanted
        assert answer_of(mixed, shuffled.index(entity)) == wanted


@settings(max_examples=examples(15), phases=QUICK)
@given(rulesets(), worlds(), people_drawn, BAD_FIELDS)
def test_bad_entity_changes_no_other(ruleset: Data, world: World, people: list[Data], wrong: Data) -> None:
    before = run(ruleset, world, people)
    bad = {**people[0], "entity_id": "bad", **wrong}
    rows = [{**row, "entity_id": "bad", "transaction_currency": "XXX"} for row in world.transactions[:1]]
    after = run(ruleset, replace(world, transactions=[*rows, *world.transactions]), [bad, *people])
    for position in range(len(people)):
        assert answer_of(after, position + 1) == answer_of(before, position)


def ruleset_with(*rules: Data, **parts: Any) -> Data:
    """Write a small ruleset of points."""
    return {
        "ruleset": "small",
        "entity_type": "customer",
        "fields": {"kind": "text", "income": "number", "opened_on": "date", "country": "country"},
        "levels": ["low", "medium", "high"],
        "score": {"points": {"thresholds": [31, 61]}},
        "max_recompute_interval": "180 days",
        "rules": rules,
        **parts,
    }


def rule(name: str, when: Any, points: float = 10, **parts: Any) -> Data:
    return {
        "id": name,
        "title": name.capitalize(),
        "category": "other",
        "cases": [{"when": when, "points": points}],
        **parts,
    }


LISTED = rule("listed", {"field": "country", "in_list": "watched"}, 40)
DAY = parse_moment("2024-07-01")


def portfolio(rows: list[Data], **parts: Any) -> Portfolio:
    fields = read(ruleset_with(LISTED)).fields
    return Portfolio(entities_from_rows(rows, fields), base_only("EUR", date(2024, 7, 1)), **parts)


def test_no_list_nobody_is_assessed(refusal: Refusal) -> None:
    with refusal(InvalidRulesetError):
        assess(AnalysedRuleset(read(ruleset_with(LISTED))), portfolio([{"entity_id": "a", "country": "NO"}]), DAY)
    with refusal(InvalidRulesetError):
        assess(AnalysedRuleset(read(ruleset_with(LISTED))), portfolio([]), DAY)


@pytest.mark.parametrize(
    "made",
    [
        {"count": "transactions"},
        {"count": "cases"},
        {"days_since": "alerts"},
        {"tag": "watch"},
        {"screening": "pep"},
        {"indicator": "account_age"},
        {"value": "score"},
        {"field": "absent"},
    ],
)
def test_no_frame_nobody_is_assessed(made: Data, refusal: Refusal) -> None:
    asking = read(ruleset_with(rule("asks", "present", input=made)))
    with refusal(InvalidRulesetError):
        assess(AnalysedRuleset(asking), portfolio([{"entity_id": "a"}]), DAY)


def test_no_column_nobody_is_assessed(refusal: Refusal) -> None:
    bare = Portfolio(pl.DataFrame({"entity_id": ["a"]}), base_only("EUR", date(2024, 7, 1)))
    with refusal(InvalidRulesetError):
        assess(AnalysedRuleset(read(ruleset_with(rule("kind", {"field": "kind", "equals": "x"})))), bare, DAY)


def test_no_column_of_a_date_nobody_is_assessed(refusal: Refusal) -> None:
    bare = Portfolio(pl.DataFrame({"entity_id": ["a"]}), base_only("EUR", date(2024, 7, 1)))
    since = rule("review", {"days_since": "opened_on", "at_least": 730})
    with refusal(InvalidRulesetError):
        assess(AnalysedRuleset(read(ruleset_with(since))), bare, DAY)


def test_list_is_that_of_each_rows_moment() -> None:
    held = named_list(
        "watched", [(datetime(2024, 1, 1, tzinfo=UTC), ["NO"]), (datetime(2024, 7, 1, tzinfo=UTC), ["SE"])]
    )
    rows = [{"entity_id": f"e{number}", "country": country} for number, country in enumerate(["NO", "NO", "SE", "SE"])]
    moments = pl.Series([DAY - 1, DAY, DAY - 1, DAY])
    found = assess(AnalysedRuleset(read(ruleset_with(LISTED))), portfolio(rows, lists={"watched": held}), moments)
    assert found.outcomes["entity_id"].to_list() == found.inputs["entity_id"].to_list() == ["e0", "e1", "e2", "e3"]
    assert found.table()["level"].to_list() == ["medium", "low", "low", "medium"]
    assert [explain(found, row).lists["watched"] for row in range(4)] == ["2024-01-01", "2024-07-01"] * 2


def test_list_that_had_no_version_yet_is_refused(refusal: Refusal) -> None:
    held = {"watched": named_list("watched", [(datetime(2024, 7, 1, tzinfo=UTC), ["NO"])])}
    with refusal(InvalidRulesetError):
        assess(AnalysedRuleset(read(ruleset_with(LISTED))), portfolio([{"entity_id": "a"}], lists=held), DAY - 1)


def test_nobody_is_a_portfolio_too() -> None:
    held = {"watched": named_list("watched", [(datetime(2024, 7, 1, tzinfo=UTC), ["NO"])])}
    found = assess(AnalysedRuleset(read(ruleset_with(LISTED))), portfolio([], lists=held), DAY)
    assert len(found) == 0
    assert found.table().is_empty()


def test_every_row_needs_its_moment(refusal: Refusal) -> None:
    with refusal(FileFormatError):
        assess(
            AnalysedRuleset(read(ruleset_with(rule("kind", {"field": "kind", "equals": "x"})))),
            portfolio([{"entity_id": "a"}, {"entity_id": "b"}]),
            pl.Series([DAY, None], dtype=pl.Int64),
        )


def test_faulty_ruleset_is_refused(refusal: Refusal) -> None:
    with refusal(InvalidRulesetError):
        assess(
            AnalysedRuleset(read(ruleset_with(rule("kind", {"field": "kind", "equals": "x"}, otherwise={"floor": 9})))),
            portfolio([]),
            DAY,
        )


def backwards(data: Any) -> Any:
    """The same document, every mapping in the opposite order."""
    if isinstance(data, dict):
        return {name: backwards(data[name]) for name in reversed(data)}
    return list(map(backwards, data)) if isinstance(data, list) else data


@settings(max_examples=examples(20))
@given(rulesets(), worlds(), people_drawn)
def test_a_text_and_its_stored_form_give_the_same_breakdowns(ruleset: Data, world: World, people: list[Data]) -> None:
    """A ruleset is read from text once: the engine runs on it as it was written, in any order of names."""
    written = AnalysedRuleset(read(backwards(ruleset)))
    stored = analyse_canonical(written.ruleset.canonical)
    of = portfolio_of(world, people, stored.ruleset), as_ofs(people), levels_before(people)
    made = [compile_anew(analysed, *of) for analysed in (written, stored)]
    assert made[0] == made[1]


def compile_anew(analysed: AnalysedRuleset, *of: Any) -> list[str]:
    """Breakdowns by a program of this ruleset's own, not by one that is kept of an equal ruleset."""
    with patch("fivefold.risk.engine.assess.program_for", compiled_once(compile_ruleset)):
        return [as_json_text(explanation) for explanation in explain_all(assess(analysed, *of))]


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often documents are read that people wrote, and canonical forms."""
    counted: Counter[str] = Counter()

    def counting(name: str, reader: Callable[..., Any]) -> Callable[..., Any]:
        def count(*given: Any, **named: Any) -> Any:
            counted[name] += 1
            return reader(*given, **named)

        return count

    monkeypatch.setattr(reading, "Document", counting("document", reading.Document))
    monkeypatch.setattr(reading, "read_canonical", counting("canonical", reading.read_canonical))
    return counted


def test_a_text_is_read_once_on_its_way_to_a_level(readings: Counter[str]) -> None:
    text, people = json.dumps(ruleset_with(rule("read-once", {"field": "kind", "equals": "x"}))), two_people()
    readings.clear()
    analysed = analyse_text(text)
    assert len(list(explain_all(assess(analysed, people, DAY)))) == 2
    assert readings == {"document": 1}


def test_a_stored_version_is_read_once_and_never_as_a_document(readings: Counter[str]) -> None:
    canonical = read(ruleset_with(rule("stored-once", {"field": "kind", "equals": "x"}))).canonical
    people = two_people()
    readings.clear()
    for _ in range(3):
        assert len(list(explain_all(assess(analyse_canonical(canonical), people, DAY)))) == 2
    assert readings == {"canonical": 1}


def two_people() -> Portfolio:
    return portfolio([{"entity_id": "a", "kind": "x"}, {"entity_id": "b", "kind": "y"}])


def test_program_is_compiled_once_for_the_same_lists() -> None:
    made = read(ruleset_with(LISTED))
    versions = {"watched": named_list("watched", [(datetime(2024, 1, 1, tzinfo=UTC), ["NO"])]).versions[0]}
    assert program_for(AnalysedRuleset(made), versions, "EUR") is program_for(
        AnalysedRuleset(read(ruleset_with(LISTED))), versions, "EUR"
    )
