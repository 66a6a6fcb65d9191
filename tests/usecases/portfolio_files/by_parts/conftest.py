"""A portfolio in files, of which some entities have no transactions and some rows no entity."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from fivefold.domain.clock import parse_moment
from fivefold.training.simulation.simulator import Simulation, simulate
from fivefold.usecases.portfolio_files.bundled import lists_with
from fivefold.usecases.portfolio_files.portfolio import PortfolioFiles

AS_OF = parse_moment("2024-12-01", "as-of")
PEOPLE = """
ruleset: people
entity_type: customer
fields: {kind: {one_of: [person, company]}, country: country, age: number}
transaction_fields: {operation: text}
optional_tables: [alerts]
applies_to: {field: kind, equals: person}
levels: [low, medium, high]
score: {points: {thresholds: [10, 50]}}
max_recompute_interval: 180 days
cooldown: 30 days
rules:
  - id: country
    title: Country
    category: geography
    input: {field: country}
    cases: [{when: {in_list: fatf-call-for-action}, points: 60, floor: high}]
  - id: cash
    title: Cash
    category: transaction execution
    input: {sum: amount, where: {field: operation, equals: cash}, over: 90 days}
    cases: [{when: {at_least: 400}, points: 20}, {when: {at_least: 100.30}, points: 10.5}]
  - id: often
    title: Often
    category: transaction execution
    input: {count: transactions, over: 60 days}
    cases: [{when: {at_least: 5}, points: 15}]
  - id: alerts
    title: Alerts
    category: customer features
    input: {count: alerts, over: 365 days}
    cases: [{when: {at_least: 1}, points: 25}]
"""
LINKED = ("transactions", "alerts", "cases", "screenings", "tags")
COMPANIES = PEOPLE.replace("ruleset: people", "ruleset: companies").replace("equals: person", "equals: company")


@dataclass
class World:
    """A portfolio in files, its further options, and what was warned of it."""

    folder: Path
    options: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def files(self, **more: Any) -> PortfolioFiles:
        paths = {name: self.folder / f"{name}.parquet" for name in ("entities", *LINKED)}
        options = {
            "lists": lists_with(None, []),
            "load_model": _no_model,
            "warn": self.warnings.append,
            **paths,
            **self.options,
            **more,
        }
        return PortfolioFiles(**options)

    def change(self, name: str, change: Any) -> None:
        path = self.folder / f"{name}.parquet"
        change(pl.read_parquet(path)).write_parquet(path)


def _no_model() -> Any:
    raise AssertionError("nothing here reads the value")


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Customers of the simulator, some without transactions, and rows of customers who are none."""
    rows = pl.concat([pl.from_arrow(table) for table in simulate(Simulation(customers=40, seed=3))])
    draw = np.random.default_rng(5)
    operation = pl.Series("operation", draw.choice(["cash", "card", "transfer"], len(rows)))
    others = pl.Series("counterparty_id", draw.choice(["a", "b", "c"], len(rows)))
    rows = rows.with_columns(operation, others)[draw.permutation(len(rows))]
    names = rows["user_id"].unique().sort().to_list()
    known = [*names[5:], *(f"quiet-{number}" for number in range(7))]
    draw.shuffle(known)
    entities = pl.DataFrame(
        {
            "entity_id": known,
            "kind": draw.choice(["person", "person", "company", None], len(known)),
            "country": draw.choice(["DE", "IR", "NO", "Germany"], len(known), p=[0.5, 0.2, 0.2, 0.1]),
            "age": draw.integers(18, 90, len(known)),
            "resident": draw.choice([True, False], len(known)),
            "industry": draw.choice(["casino", "bakery"], len(known)),
            "ownership_layers": draw.integers(0, 4, len(known)),
            "nominee_shareholders": draw.choice([True, False], len(known)),
            "onboarding": draw.choice(["video", "branch", "remote"], len(known)),
            "products": draw.choice(["cash", "crypto; cards"], len(known)),
            "expected_turnover": draw.integers(100, 5000, len(known)),
        },
        schema_overrides={"kind": pl.String},
    )
    entities.write_parquet(tmp_path / "entities.parquet")
    rows.write_parquet(tmp_path / "transactions.parquet")
    opened = ["2024-10-01", "2024-11-05", "2020-01-01", "soon"]
    alerts = {"entity_id": [known[3], known[9], known[1], known[20]], "opened": opened}
    for name in ("alerts", "cases"):
        pl.DataFrame(alerts | {"closed": [None] * 4, "outcome": [None] * 4}).write_parquet(tmp_path / f"{name}.parquet")
    found = {"entity_id": known, "screening": "pep", "found": draw.choice([True, False], len(known))}
    pl.DataFrame(found).write_parquet(tmp_path / "screenings.parquet")
    tags = {"entity_id": [known[0], "nobody"], "tag": ["vip", "vip"]}
    pl.DataFrame(tags).write_parquet(tmp_path / "tags.parquet")
    for name, text in (("people", PEOPLE), ("companies", COMPANIES)):
        (tmp_path / f"{name}.yaml").write_text(text)
    (tmp_path / "shared").mkdir()
    return World(tmp_path)
