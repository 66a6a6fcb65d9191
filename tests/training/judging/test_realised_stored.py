"""Predicted and realised value of a platform and of files: the same figures, of the same customers and registry."""

from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest

from fivefold.domain.clock import DAY_US
from fivefold.models.registry import Registry
from fivefold.training.judging.past_scores import read_scores
from fivefold.training.judging.past_versions import judge_versions
from fivefold.usecases.ingest.entities import put_entities
from fivefold.usecases.ingest.transactions import add_transactions
from fivefold.usecases.levels.value_scores import EntityScorer
from fivefold.usecases.monitoring.realised.judge import figures_of, judge_next
from fivefold.usecases.monitoring.realised.keep import keep_predictions
from fivefold.usecases.monitoring.realised.read import list_realised
from fivefold.usecases.shared.entity_checks import EntityRow
from tests.store import databases
from tests.training.conftest import Runs
from tests.training.judging.test_past_versions import scored
from tests.usecases.banks import Bank

CUSTOMERS = 60


def test_the_figures_of_a_platform_are_those_of_files(runs: Runs, rows: pa.Table, tmp_path: Path) -> None:
    registry: Registry = runs.registry
    model, version = runs.first.model, registry.version(1)
    table = pl.DataFrame(pl.from_arrow(rows))
    names = table["user_id"].unique(maintain_order=True)[:CUSTOMERS]
    table = table.filter(pl.col("user_id").is_in(names.implode()))
    ends = model.test_window_ends + DAY_US
    (judged,), _ = judge_versions(
        read_scores([scored(model, table.to_arrow(), model.test_as_of, tmp_path / "scores.parquet")]),
        table.to_arrow(), registry, now=ends,
    )  # fmt: skip
    with databases.opened(databases.new_url("sqlite", tmp_path)) as engine:
        bank = Bank(engine)
        bank.now, bank.valuer = ends, EntityScorer(model, registry.name, version.number)
        put_entities(bank.context, "customer", [EntityRow(name, {}, None, None) for name in names])
        moments = ("transaction_date", "user_created")
        written = table.with_columns(pl.col(name).dt.to_string("%Y-%m-%dT%H:%M:%S%.6f") for name in moments)
        given = [{**row, "transaction_id": f"t{number}"} for number, row in enumerate(written.iter_rows(named=True))]
        for first in range(0, len(given), 1_000):
            add_transactions(bank.context, given[first : first + 1_000], "customer")
        bank.settle()
        assert keep_predictions(engine, bank.valuer, model.test_as_of)
        assert judge_next(engine, registry.settings, ends)
        (day,) = list_realised(bank.context, lambda: registry, version.number)
    expected = figures_of(judged.realised.days[0], len(names))
    assert day.figures is not None
    assert day.figures.customers == expected["customers"] > 30
    assert day.figures.normalised_gini == pytest.approx(expected["normalised_gini"], rel=1e-12)
    assert day.figures.spearman == pytest.approx(expected["spearman"], rel=1e-12)
    assert day.reasons == judged.verdict.reasons
    for stored, of_files in zip(day.figures.groups, expected["groups"], strict=True):
        said = vars(stored)
        assert {name for name, value in said.items() if value is None} == {
            name for name, value in of_files.items() if value is None
        }
        for name, value in of_files.items():
            assert said[name] == (pytest.approx(value, rel=1e-9) if isinstance(value, float) else value), (said, name)
