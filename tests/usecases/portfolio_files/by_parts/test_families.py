"""Families backtested part by part: the evidence and the warnings of one process."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import polars as pl
import pytest

from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import ConfigError, FivefoldError, InvalidRulesetError
from fivefold.risk.facts.portfolio import NamedList
from fivefold.risk.governance.backtest import moves
from fivefold.usecases.portfolio_files.assess import assess_files
from fivefold.usecases.portfolio_files.bundled import load_ruleset
from fivefold.usecases.portfolio_files.by_parts import rows as by_rows
from fivefold.usecases.portfolio_files.by_parts.assess import AssessmentByParts
from fivefold.usecases.portfolio_files.by_parts.backtest import FamiliesByParts, FamilyTexts
from fivefold.usecases.portfolio_files.by_parts.portfolio import RulesetText
from fivefold.usecases.portfolio_files.families import backtest_families_of_files
from fivefold.usecases.portfolio_files.governance import Draw, StandingLevels
from tests.depth import some
from tests.features.spark.split_engine import SplitEngine
from tests.usecases.portfolio_files.by_parts.conftest import AS_OF, PEOPLE, World
from tests.usecases.portfolio_files.by_parts.test_backtest import DRAFT

NEW = DRAFT.replace("ruleset: people", "ruleset: others").replace(
    "applies_to: {field: kind, equals: person}", "applies_to: {field: age, at_least: 30}"
)


@pytest.fixture
def drafted(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    for name, text in (("draft", DRAFT), ("others", NEW)):
        (world.folder / f"{name}.yaml").write_text(text)
    monkeypatch.setattr(by_rows, "ROWS_A_SLICE", 400)
    return world


def assert_same(
    world: World, size: int, names: dict[str, Any], *, standing: Any = None, drawn: Any = None, **files: Any
) -> Any:
    """Backtest in one process and by parts, and compare all of it."""
    world.warnings.clear()
    path = {name: str(world.folder / f"{name}.yaml") for name in ("people", "companies", "draft", "others")}
    draft, present = path[names["draft"]], names.get("present")
    first, then = ([path[each] for each in names.get(side, ())] for side in ("first", "then"))
    before, sample = standing or StandingLevels(), drawn or Draw()
    in_force = None if present is None else load_ruleset(path[present])
    beside = [load_ruleset(each) for each in first], [load_ruleset(each) for each in then]
    alone = backtest_families_of_files(
        load_ruleset(draft), in_force, *beside, world.files(**files), AS_OF, before, sample
    )
    warned, world.warnings[:] = list(world.warnings), []
    texts = FamilyTexts(
        draft=RulesetText.read(draft),
        present=None if present is None else RulesetText.read(path[present]),
        first=[RulesetText.read(each) for each in first],
        then=[RulesetText.read(each) for each in then],
    )
    split = FamiliesByParts.read(texts, world.files(**files), AS_OF, before, sample)
    by_parts = split.on(SplitEngine(world.folder / "shared"), size)
    assert world.warnings == warned
    assert by_parts == alone
    assert repr(by_parts) == repr(alone)  # the order within dicts is seen in evidence
    return alone


@pytest.mark.parametrize("size", some([7, 1, 1000], 3))
@pytest.mark.parametrize(
    "names",
    [
        {"draft": "draft", "present": "people", "then": ["companies"]},
        {"draft": "draft", "present": "people", "first": ["companies"]},
        {"draft": "others", "first": ["people"], "then": ["companies"]},
    ],
)
def test_the_evidence_is_that_of_one_process(names: dict[str, Any], size: int, drafted: World) -> None:
    alone = assert_same(drafted, size, names, standing=StandingLevels(entered=AS_OF - 10 * DAY_US))
    assert alone.draft_side.failures
    assert alone.later
    assert alone.movers


def test_the_levels_and_families_that_stand_go_with_their_entities(drafted: World) -> None:
    levels = drafted.folder / "levels.parquet"
    rulesets = [load_ruleset(str(drafted.folder / f"{name}.yaml")) for name in ("people", "companies")]
    before = assess_files(rulesets, drafted.files(), AS_OF - 10 * DAY_US).table()
    before.with_columns(rules_level=pl.col("rules_level").replace("low", "high")).write_parquet(levels)
    names = {"draft": "draft", "present": "people", "then": ["companies"]}
    alone = assert_same(drafted, 3, names, standing=StandingLevels(levels))
    assert alone.standing == "the levels that were given"
    assert_same(drafted, 1000, {"draft": "others", "first": ["companies"]}, standing=StandingLevels(levels))


@pytest.mark.parametrize("size", some([1, 1000], 2))
def test_a_draft_that_reaches_nobody_is_said_once(size: int, drafted: World) -> None:
    text = DRAFT.replace("applies_to: {field: kind, equals: person}", "applies_to: {field: age, at_least: 300}")
    (drafted.folder / "draft.yaml").write_text(text)
    alone = assert_same(drafted, size, {"draft": "draft", "present": "people", "then": ["companies"]})
    assert sum("decides on none" in each for each in alone.cautions) == 1


def test_a_sample_is_that_of_one_process(drafted: World) -> None:
    names = {"draft": "draft", "present": "people", "then": ["companies"]}
    alone = assert_same(drafted, 4, names, drawn=Draw(11, seed=4))
    assert (alone.drawn, alone.entities) == (11, 42)


@pytest.mark.parametrize("most", some([5, 1, 30], 3))
def test_more_failures_than_are_named_are_those_of_the_first_family(
    most: int, drafted: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some parts have more of a later family than are named at all."""
    monkeypatch.setattr(moves, "PROBLEMS_LISTED", most)
    drafted.change("entities", lambda rows: rows.with_columns(country=pl.lit("Germany")))
    alone = assert_same(drafted, 5, {"draft": "draft", "present": "people", "then": ["companies"]})
    named = {failure.entity for failure in alone.present_side.failures}
    assert alone.present_side.failed > len(named) == most


def test_what_cannot_decide_side_by_side_is_refused_as_in_one_process(drafted: World) -> None:
    draft, people = (RulesetText.read(str(drafted.folder / f"{name}.yaml")) for name in ("draft", "people"))
    twice = FamilyTexts(draft=draft, present=people, first=[people], then=[])
    with pytest.raises(ConfigError, match="two of the rulesets have the name people"):
        FamiliesByParts.read(twice, drafted.files(), AS_OF, StandingLevels(), Draw())
    drafted.change("entities", lambda rows: rows.clear())
    nobody = FamilyTexts(draft=draft, present=people, first=[], then=[])
    with pytest.raises(FivefoldError, match="the portfolio has no entities"):
        FamiliesByParts.read(nobody, drafted.files(), AS_OF, StandingLevels(), Draw())


@pytest.mark.parametrize("purpose", ["both", None])
def test_a_list_for_aml_leaves_nobody_to_a_ruleset_for_commerce_however_they_are_assessed(
    purpose: str | None, drafted: World
) -> None:
    """The list stands in applies_to of the ruleset that is tried before."""
    fields = "{kind: {one_of: [person, company]}, country: country, age: number}"
    watch = PEOPLE.replace("{field: kind, equals: person}", "{field: country, in_list: neighbours}")
    good = """
ruleset: good
entity_type: customer
purpose: commercial
fields: {age: number}
purposes: {fields: {age: both}}
levels: [low, medium, high]
score: {points: {thresholds: [10, 50]}}
max_recompute_interval: 180 days
rules: [{id: age, title: Age, category: other, input: {field: age}, cases: [{when: {at_least: 30}, points: 20}]}]
"""
    said = f"fields: {fields}\npurposes: {{fields: {{country: both}}}}"
    paths = {name: str(drafted.folder / f"{name}.yaml") for name in ("people", "good")}
    (drafted.folder / "people.yaml").write_text(watch.replace(f"fields: {fields}", said))
    (drafted.folder / "good.yaml").write_text(good)
    versions = [{"since": 0, "members": ["NO"]}]
    neighbours = {"list": "neighbours", "title": "N", "source": "S", "purpose": purpose, "versions": versions}
    files = drafted.files()
    files = replace(files, lists={**files.lists, "neighbours": NamedList.model_validate(neighbours)})
    texts = [RulesetText.read(path) for path in paths.values()]
    people, commerce = map(load_ruleset, paths.values())
    family_texts = FamilyTexts(draft=texts[1], present=None, first=texts[:1], then=[])
    ways: list[Callable[[], Any]] = [
        lambda: AssessmentByParts.read(texts, files, AS_OF),
        lambda: FamiliesByParts.read(family_texts, files, AS_OF, StandingLevels(), Draw()).on(
            SplitEngine(drafted.folder / "shared"), 1000
        ),
        lambda: assess_files([people, commerce], files, AS_OF),
        lambda: backtest_families_of_files(commerce, None, [people], [], files, AS_OF, StandingLevels(), Draw()),
    ]
    for way in ways:
        if purpose == "both":
            assert way()
            continue
        with pytest.raises(InvalidRulesetError, match="applies_to → list neighbours"):
            way()
