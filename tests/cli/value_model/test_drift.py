"""`fivefold drift`: what was scored lately against what the model learnt from."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import mlflow
import numpy as np
import pytest

from fivefold.domain.settings import Settings
from fivefold.models.registry import Registry
from fivefold.store.sql.database import open_database
from fivefold.usecases.monitoring.drift import drift_key, keep_counts
from tests.cli.running import Home, cells, refuse, succeed
from tests.store.databases import upgrade_by_copy


def title(version: int, out: str) -> str:
    first = out.splitlines()[0]
    assert first.startswith(f"fivefold-value version {version}: drift since 20")
    return first


def test_where_nothing_was_scored_nothing_is_known(registry: Path) -> None:
    out = succeed(registry, "drift", "--all")
    rows = cells(out, title(1, out))
    assert {tuple(row[1:]) for row in rows if len(row) == 3} == {("unknown", "0")}


@pytest.mark.parametrize(("bucket", "verdict"), [(None, "stable"), (0, "shifted")])
def test_scored_customers_are_compared_with_the_reference(bucket: int | None, verdict: str, registry: Path) -> None:
    """As the reference they are stable; all in one bucket they are not."""
    settings = Settings(var=registry)
    model = Registry(settings, "fivefold-value").load(2)
    reference = model.reference
    counts = np.array(reference.counts) * 10
    if bucket is not None:
        one = np.zeros_like(counts)
        one[:, bucket] = counts.sum(axis=1)
        counts = one
    engine = open_database(settings.database)
    upgrade_by_copy(engine)
    keep_counts(engine, "worker", drift_key("fivefold-value", model), 2, f"{datetime.now(UTC):%Y-%m-%d}", counts)
    engine.dispose()
    out = succeed(registry, "drift", "--version", 2, "--days", 2)
    furthest = cells(out, title(2, out))[0]
    assert furthest[2] == verdict
    assert furthest[3] == f"{counts[0].sum():,}"


def test_without_a_champion_there_is_nothing_to_compare(home: Home, tmp_path: Path) -> None:
    shutil.copy(home.var / "mlflow.db", tmp_path)
    there = "Registered are fivefold-value: a command takes one by --name"
    said = refuse(tmp_path, "drift", "--name", "other")
    assert said.startswith("other has no champion in ")
    assert said.endswith(f": run `fivefold train`, or promote a version (`fivefold models` lists them). {there}")
    assert mlflow.active_run() is None
