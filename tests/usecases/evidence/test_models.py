"""Evidence of the value model: what served, who promoted it, its card, and what it was learnt from."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.domain.clock import iso_text
from fivefold.domain.settings import Settings
from fivefold.models import promotions
from fivefold.models.promotions import promote
from fivefold.models.registry import Registry
from fivefold.usecases.accounts.organisations import actor_in_new
from fivefold.usecases.changes.promotions import promote_model
from fivefold.usecases.evidence.models import models_part
from fivefold.usecases.shared.inputs import Quarter, read_quarter
from tests.mlflow_address import kept_address
from tests.models import making

CARD = "# value\n\nTrained on simulated customers.\n"


def quarter_of_now() -> Quarter:
    now = datetime.now(UTC)
    return read_quarter(f"{now.year}Q{(now.month + 2) // 3}")


@pytest.fixture(autouse=True)
def keep_mlflow_address() -> Iterator[None]:
    """Give MLflow's global address back as it was."""
    with kept_address():
        yield


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """Versions 1 and 2 were promoted, one after the other, and version 3 never."""
    made = making.new_registry(tmp_path_factory.mktemp("registry"), Settings(Path()).model_name)
    for number in (1, 2, 3):
        added = making.add_version(made, making.value_model(), tmp_path_factory.mktemp("model"), data_digest="d1")
        assert added == number
        version = made.version(number)
        made.client.log_param(version.run_id, "seed", 7)
        if number != 2:
            made.client.log_text(version.run_id, CARD, "model_card.md")
        if number < 3:
            promote(made, number, force=True, reason=f"reason {number}")
    return made


def read(engine: Engine, settings: Settings, quarter: Quarter | None = None) -> tuple[dict[str, bytes], dict[str, int]]:
    """Collect the part of the database's organisation with the number 1, which need not be there."""
    with Session(engine) as session:
        part = models_part(session, 1, quarter or quarter_of_now(), settings)
    return {file.name: b"".join(file.content()) for file in part.files}, dict(part.counts)


def test_every_version_that_served_has_its_card_and_lineage(engine: Engine, registry: Registry) -> None:
    files, counts = read(engine, registry.settings)
    assert counts == {"models": 2, "promotions": 2, "promotions_lost": 0}
    name = registry.name
    assert sorted(files) == [
        f"models/{name}-0001-card.md", f"models/{name}-0001-lineage.json",
        f"models/{name}-0002-card.md", f"models/{name}-0002-lineage.json", "models/promotions.json",
    ]  # fmt: skip
    assert files[f"models/{name}-0001-card.md"].decode() == CARD
    assert b"has no model_card.md any more" in files[f"models/{name}-0002-card.md"], "it is told"
    lineage: dict[str, Any] = json.loads(files[f"models/{name}-0001-lineage.json"])
    assert (lineage["version"], lineage["parameters"]["seed"]) == (1, "7")
    assert lineage["metrics"] == {"model_normalised_gini": 0.5}
    assert lineage["version_tags"]["data_digest"] == "d1"
    assert not [tag for tag in lineage["run_tags"] if tag.startswith("mlflow.")]


def test_promotions_say_who_and_why(engine: Engine, registry: Registry) -> None:
    found = json.loads(read(engine, registry.settings)[0]["models/promotions.json"])
    assert [(each["version"], each["replaced"], each["why"], each["forced"]) for each in found] == [
        (1, None, "reason 1", True),
        (2, 1, "reason 2", True),
    ]
    assert all(each["who"] and each["at"].startswith(str(datetime.now(UTC).year)) for each in found)


def test_what_serves_on_is_there_in_the_next_quarter(engine: Engine, registry: Registry) -> None:
    year = datetime.now(UTC).year + 1
    files, counts = read(engine, registry.settings, read_quarter(f"{year}Q4"))
    assert counts == {"models": 1, "promotions": 1, "promotions_lost": 0}
    assert json.loads(files["models/promotions.json"])[0]["version"] == 2
    assert read(engine, registry.settings, read_quarter("2020Q1"))[1] == {
        "models": 0,
        "promotions": 0,
        "promotions_lost": 0,
    }


@pytest.mark.parametrize("anew", [False, True])
def test_a_version_that_was_deleted_keeps_its_promotion_and_what_its_run_has(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, anew: bool
) -> None:
    monkeypatch.setattr(promotions, "_require_loads", lambda *_: None)  # it has no model
    deleted = making.new_registry(tmp_path, Settings(Path()).model_name)
    making.add_bare_version(deleted, gate_promote="true", data_digest="old")
    run = deleted.version(1).run_id
    deleted.client.log_param(run, "seed", 7)
    promote(deleted, 1, force=True, reason="first")
    if anew:
        deleted.client.delete_registered_model(deleted.name)
        making.add_bare_version(deleted, gate_promote="true", data_digest="new")
    else:
        deleted.client.delete_model_version(deleted.name, "1")
    files, counts = read(engine, deleted.settings)
    assert counts == {"models": 1, "promotions": 1, "promotions_lost": 0}
    place = f"models/{deleted.name}-0001-deleted-{run[:8]}"
    assert sorted(files) == [f"{place}-card.md", f"{place}-lineage.json", "models/promotions.json"]
    lineage: dict[str, Any] = json.loads(files[f"{place}-lineage.json"])
    assert (lineage["run"], lineage["registered"], lineage["version_tags"]) == (run, None, {})
    assert lineage["parameters"] == {"seed": "7"}


def test_the_same_registry_gives_the_same_bytes(engine: Engine, registry: Registry) -> None:
    assert read(engine, registry.settings) == read(engine, registry.settings)


def test_without_a_registry_that_is_told_and_none_is_made(engine: Engine, tmp_path: Path) -> None:
    var = tmp_path / "another"
    files, counts = read(engine, Settings(var=var))
    assert (list(files), counts) == (["models/none.txt"], {"models": 0, "promotions": 0, "promotions_lost": 0})
    assert not var.exists()


def test_what_the_audit_log_has_and_the_registry_lacks_is_there(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The registry was restored to before the promotion of version 2, and version 3 was promoted since."""
    monkeypatch.setattr(promotions, "_require_loads", lambda *_: None)  # these versions have no model
    assert actor_in_new(engine, "bank", "ana").organisation_id == 1
    actor_in_new(engine, "shop", "ben")
    registry = making.new_registry(tmp_path, Settings(Path()).model_name)
    for _ in range(3):
        making.add_bare_version(registry, content_hash="ab")
    promote_model(engine, registry, 1, "cli:ann", force=True, reason="first")
    before = registry.settings.registry.read_bytes()
    lost = promote_model(engine, registry, 2, "cli:ann", force=True, reason="second")
    assert "models/promotions-lost.json" not in read(engine, registry.settings)[0]
    registry.settings.registry.write_bytes(before)
    promote_model(engine, registry, 3, "cli:ann", force=True, reason="third")
    files, counts = read(engine, registry.settings)
    assert counts == {"models": 2, "promotions": 2, "promotions_lost": 1}
    assert json.loads(files["models/promotions-lost.json"]) == [
        {
            "action": "model.promoted", "at": iso_text(lost.at_us), "content_hash": "ab", "entry": 2, "forced": True,
            "model": registry.name, "replaced": 1, "version": 2,
        }
    ]  # fmt: skip
    assert read(engine, registry.settings, read_quarter("2020Q1"))[1]["promotions_lost"] == 0
    next_year = read_quarter(f"{datetime.now(UTC).year + 1}Q4")
    assert read(engine, registry.settings, next_year)[1]["promotions_lost"] == 0, "the third is in force then"
    files, counts = read(engine, Settings(var=tmp_path / "another"))
    assert counts == {"models": 0, "promotions": 0, "promotions_lost": 0}, "no registry was read"
    assert sorted(files) == ["models/none.txt"]
