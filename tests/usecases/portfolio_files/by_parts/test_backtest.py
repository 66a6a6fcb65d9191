"""A portfolio backtested part by part: the evidence and the warnings of one process."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import FivefoldError
from fivefold.usecases.portfolio_files.assess import assess_files
from fivefold.usecases.portfolio_files.bundled import load_ruleset
from fivefold.usecases.portfolio_files.by_parts import rows as by_rows
from fivefold.usecases.portfolio_files.by_parts.backtest import BacktestByParts
from fivefold.usecases.portfolio_files.by_parts.portfolio import RulesetText
from fivefold.usecases.portfolio_files.governance import Draw, StandingLevels, backtest_files
from tests.depth import some
from tests.features.spark.split_engine import SplitEngine
from tests.usecases.portfolio_files.by_parts.conftest import AS_OF, PEOPLE, World

DRAFT = (
    PEOPLE.replace("[10, 50]", "[30.5, 80.05]")
    .replace("points: 20", "points: 20.1")
    .replace("points: 15", "points: 5.3")
)


@pytest.fixture
def drafted(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    (world.folder / "draft.yaml").write_text(DRAFT)
    monkeypatch.setattr(by_rows, "ROWS_A_SLICE", 400)
    return world


def assert_same(world: World, size: int, *, alone: bool = False, standing: Any = None, drawn: Any = None) -> Any:
    """Backtest in one process and by parts, and compare all of it."""
    world.warnings.clear()
    draft, now = (str(world.folder / f"{name}.yaml") for name in ("draft", "people"))
    present = None if alone else now
    before, sample = standing or StandingLevels(), drawn or Draw()
    in_force = None if present is None else load_ruleset(present)
    expected = backtest_files(load_ruleset(draft), in_force, world.files(), AS_OF, before, sample)
    warned, world.warnings[:] = list(world.warnings), []
    texts = RulesetText.read(draft), None if present is None else RulesetText.read(present)
    split = BacktestByParts.read(*texts, world.files(), AS_OF, before, sample)
    found = split.on(SplitEngine(world.folder / "shared"), size)
    assert world.warnings == warned
    assert found == expected
    assert repr(found) == repr(expected)  # the order within dicts is seen in evidence
    return found


@pytest.mark.parametrize("size", some([7, 1, 1000], 3))
def test_the_evidence_is_that_of_one_process(size: int, drafted: World) -> None:
    found = assert_same(drafted, size, standing=StandingLevels(entered=AS_OF - 10 * DAY_US))
    assert found.draft.failed
    assert found.draft.withheld
    assert found.movers


def test_a_draft_may_stand_alone(drafted: World) -> None:
    assert assert_same(drafted, 7, alone=True).present is None


def test_the_levels_that_stand_go_with_their_entities(drafted: World) -> None:
    levels = drafted.folder / "levels.parquet"
    now = load_ruleset(str(drafted.folder / "people.yaml"))
    before = assess_files([now], drafted.files(), AS_OF - 10 * DAY_US).table()
    before.with_columns(rules_level=pl.col("rules_level").replace("low", "high")).write_parquet(levels)
    assert assert_same(drafted, 7, standing=StandingLevels(levels)).draft.withheld
    assert_same(drafted, 7, alone=True, standing=StandingLevels(levels))


@pytest.mark.parametrize(("size", "rows"), some([(7, 1 << 22), (1, 1 << 22), (1000, 100)], 2))
def test_a_sample_is_that_of_one_process(size: int, rows: int, drafted: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of those who are not drawn are of known entities, and there may be far more of them than of the drawn."""
    monkeypatch.setattr(by_rows, "ROWS_A_PART", rows)
    found = assert_same(drafted, size, drawn=Draw(11, seed=4))
    assert (found.drawn, found.entities) == (11, 42)


def test_nobody_is_refused_as_in_one_process(drafted: World) -> None:
    drafted.change("entities", lambda rows: rows.clear())
    with pytest.raises(FivefoldError, match="the portfolio has no entities"):
        BacktestByParts.read(text_of(drafted.folder), None, drafted.files(), AS_OF, StandingLevels(), Draw())


def test_levels_that_a_ruleset_lacks_are_refused_before_workers_start(drafted: World) -> None:
    levels = drafted.folder / "levels.csv"
    levels.write_text("entity_id,rules_level,entered\na,extreme,2024-01-01\n")
    with pytest.raises(FivefoldError, match="has the level extreme; there are low, medium, high"):
        BacktestByParts.read(text_of(drafted.folder), None, drafted.files(), AS_OF, StandingLevels(levels), Draw())


def text_of(folder: Path) -> RulesetText:
    return RulesetText.read(str(folder / "draft.yaml"))
