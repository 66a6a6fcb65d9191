"""Groups of a portfolio that is worked on part by part: those linked may be in another part, or in none."""

import json
from typing import Any

import numpy as np
import polars as pl
import pytest

from fivefold.domain.errors import FivefoldError
from fivefold.usecases.portfolio_files.assess import Assessed, assess_files
from fivefold.usecases.portfolio_files.bundled import load_ruleset
from fivefold.usecases.portfolio_files.by_parts import rows as by_rows
from fivefold.usecases.portfolio_files.by_parts.assess import AssessmentOutputs
from fivefold.usecases.portfolio_files.governance import Draw
from tests.depth import some
from tests.features.spark.split_engine import SplitEngine
from tests.usecases.portfolio_files.by_parts import test_backtest
from tests.usecases.portfolio_files.by_parts.conftest import AS_OF, World
from tests.usecases.portfolio_files.by_parts.test_assess import assert_explained, assert_same, split_of

GROUPS = """
ruleset: people
entity_type: customer
fields: {kind: {one_of: [person, company]}, country: country, age: number}
transaction_fields: {operation: text}
links: {household: {kind: shared}, owns: {kind: directed, complete: true}}
levels: [low, medium, high]
score: {points: {thresholds: [10, 50]}}
max_recompute_interval: 180 days
rules:
  - id: cash
    title: Cash of the household
    category: transaction execution
    input:
      linked:
        by: household
        itself: true
        sum: {sum: amount, where: {field: operation, equals: cash}, over: 365 days}
    cases: [{when: {at_least: 3000}, points: 20}, {when: {at_least: 300.25}, points: 10.5}]
    on_unknown: {points: 1}
  - id: abroad
    title: Owners of owners abroad
    category: geography
    input: {linked: {by: owns, way: both, steps: 2, any: {field: country, in_list: fatf-call-for-action}}}
    cases: [{when: {equals: true}, points: 40}]
    on_unknown: {points: 2}
  - id: alerts
    title: Alerts of owners
    category: customer features
    input: {linked: {by: owns, way: to, count: entities, where: {count: alerts, over: 10 years, at_least: 1}}}
    cases: [{when: {at_least: 1}, points: 7}]
    on_unknown: {points: 3}
  - id: own
    title: Own turnover
    category: transaction execution
    input: {sum: amount, over: 365 days}
    cases: [{when: {at_least: 3000}, points: 6}]
  - id: vip
    title: Vip at home
    category: other
    input: {linked: {by: household, any: {tag: vip, is: present}}}
    cases: [{when: {equals: true}, points: 4}]
"""
OWN = """
  - id: since
    title: Since
    category: other
    input: {indicator: account_age}
    cases: [{when: {at_least: 100}, points: 5}]
"""


@pytest.fixture
def linked(world: World) -> World:
    """Households of up to a few, owners in chains and circles, and links to entities that were not read."""
    names = pl.read_parquet(world.folder / "entities.parquet")["entity_id"].to_list()
    draw = np.random.default_rng(8)
    rows: list[dict[str, Any]] = []
    for name in names[:-3]:
        home = f"H{draw.integers(0, 15)}" if draw.random() < 0.8 else None
        rows.append({"type": "household", "from": name, "to": home})
        if draw.random() < 0.2:
            rows.append({"type": "household", "from": name, "to": "H1", "valid_until": "2024-11-01"})
        if draw.random() < 0.1:
            rows.append({"type": "household", "from": name, "to": "H2", "valid_from": "2024-12-20"})
    for _ in range(30):
        start, end = draw.choice(names, 2)
        rows.append({"type": "owns", "from": str(start), "to": str(end)})
    rows.append({"type": "owns", "from": names[4], "to": "nobody"})
    rows.append({"type": "owns", "from": names[6], "to": names[7], "valid_from": "some day"})
    schema = dict.fromkeys(("type", "from", "to", "valid_from", "valid_until"), pl.String)
    pl.DataFrame(rows, schema=schema).write_parquet(world.folder / "links.parquet")
    (world.folder / "people.yaml").write_text(GROUPS)
    world.options["links"] = world.folder / "links.parquet"
    return world


@pytest.mark.parametrize("rules", [GROUPS, GROUPS + OWN])
@pytest.mark.parametrize("size", some([7, 1, 1000], 3))
def test_groups_are_those_of_one_process(size: int, rules: str, linked: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(by_rows, "ROWS_A_SLICE", 333)
    (linked.folder / "people.yaml").write_text(rules)
    found = assert_same(linked, ["people"], size)
    points = _points(found)
    assert {rule: len(those) > 1 for rule, those in points.items()} == dict.fromkeys(points, True)
    assert any("links.parquet" in each for each in linked.warnings)


def test_one_entity_is_explained_with_those_to_whom_it_is_linked(linked: World) -> None:
    assert_explained(linked, ["people"])


@pytest.mark.parametrize("size", some([4, 1, 1000], 3))
def test_bad_and_repeated_rows_of_those_linked_count_once(
    size: int, linked: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row goes to each part whose entities are linked to its own, and is warned of as one row."""
    monkeypatch.setattr(by_rows, "ROWS_A_SLICE", 100)

    def spoil(rows: pl.DataFrame) -> pl.DataFrame:
        recent = pl.col("transaction_date").is_between(pl.date(2024, 11, 1), pl.date(2024, 11, 30))
        other = rows.filter(recent).head(3).with_columns(transaction_amount=7.5)
        bad = rows.filter(recent).tail(2).with_columns(transaction_currency=pl.lit("???"), transaction_id=pl.lit(None))
        nameless = rows.head(4).with_columns(user_id=pl.lit(None, pl.String))
        return pl.concat([rows, rows.head(20), other, bad, nameless])

    linked.change("transactions", spoil)
    found = assert_same(linked, ["people"], size)
    assert found.failures().filter(pl.col("problem").str.contains("transaction_id")).height
    assert found.failures().filter(pl.col("problem").str.contains("transaction_currency")).height
    assert any("have no entity_id" in each for each in linked.warnings)


@pytest.mark.parametrize("size", some([3, 1, 1000], 3))
def test_those_linked_to_a_sample_need_not_be_drawn(size: int, linked: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(by_rows, "ROWS_A_PART", 100)
    (linked.folder / "draft.yaml").write_text(
        GROUPS.replace("points: 10.5", "points: 30").replace("[10, 50]", "[9, 40]")
    )
    found = test_backtest.assert_same(linked, size, drawn=Draw(13, seed=4))
    assert (found.drawn, found.entities) == (13, 42)
    assert found.movers


def test_links_without_a_column_are_refused_as_in_one_process(linked: World) -> None:
    linked.change("links", lambda rows: rows.drop("to"))
    with pytest.raises(FivefoldError) as alone:
        assess_files([load_ruleset(str(linked.folder / "people.yaml"))], linked.files(), AS_OF)
    with pytest.raises(FivefoldError) as split:
        split_of(linked, ["people"], linked.files()).on(
            SplitEngine(linked.folder / "shared"), AssessmentOutputs(breakdowns=False, failures=None), 7
        )
    assert str(split.value) == str(alone.value)


def test_links_that_no_ruleset_follows_change_nothing_but_the_warnings(linked: World) -> None:
    (linked.folder / "people.yaml").write_text(GROUPS[: GROUPS.index("rules:")] + "rules:" + OWN)
    assert_same(linked, ["people"], 7)
    assert any("links" in each for each in linked.warnings)


def _points(found: Assessed) -> dict[str, set[str]]:
    """Give the points that each rule gave, of all entities."""
    points: dict[str, set[str]] = {}
    for line in found.breakdown_lines():
        for each in json.loads(line)["rules"]:
            points.setdefault(each["rule"], set()).add(each["points"])
    return points
