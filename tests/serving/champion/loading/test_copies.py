"""The champion loader and its copies: one that is half there, damaged later, or another model."""

import shutil
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import bentoml
import pytest
from bentoml._internal.models import ModelStore
from structlog.testing import capture_logs

from fivefold.models.registry import CHAMPION, Registry
from fivefold.serving.champion import loader
from fivefold.serving.champion.loader import ChampionLoader
from tests.serving.champion.loading.loaders import damage, loader_of, unreachable, version_of
from tests.serving.processes.registry import (
    BROKEN,
    FIRST,
    NAME,
    SECOND,
    Template,
    model,
)


@dataclass(frozen=True)
class UnderWay:
    """A version whose trees are half there; `finish` writes the *whole* text."""

    number: int
    trees: Path
    whole: str

    def finish(self) -> None:
        self.trees.write_text(self.whole, encoding="utf-8")


@pytest.fixture
def under_way(registry: Registry, template: Template, tmp_path: Path) -> UnderWay:
    folder = tmp_path / "under_way"
    shutil.copytree(Path(template.addresses[SECOND].removeprefix("file://")), folder)
    tags = {"content_hash": model(SECOND).content_hash}
    number = registry.add(folder.as_uri(), registry.version(FIRST).run_id, None, "a test", tags)
    trees = folder / "artifacts" / "value_model" / "booster.txt"
    whole = trees.read_text(encoding="utf-8")
    trees.write_text(whole[: len(whole) // 2], encoding="utf-8")
    registry.set_alias(CHAMPION, number)
    return UnderWay(number, trees, whole)


def test_a_version_that_was_pinned_while_it_was_copied_serves_once_it_is_whole(
    registry: Registry, under_way: UnderWay, imported: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The alias does not move."""
    clock = [0.0]
    monkeypatch.setattr(loader, "monotonic", lambda: clock[0])
    made = loader_of(registry)
    made.refresh()
    assert made.current is None
    assert "is damaged" in made.refused
    under_way.finish()
    clock[0] = loader.RETRY_SECONDS - 1
    made.refresh()
    assert made.current is None, "not at every look"
    clock[0] = loader.RETRY_SECONDS + 1
    made.refresh()
    assert (version_of(made), made.refused) == (under_way.number, "")
    assert imported == [f"{NAME}:v{under_way.number}"] * 2


def test_at_a_start_a_damaged_copy_is_imported_again(registry: Registry, under_way: UnderWay) -> None:
    loader_of(registry).refresh()
    under_way.finish()
    made = loader_of(registry)
    made.refresh()
    assert (version_of(made), made.refused) == (under_way.number, "")


@pytest.mark.parametrize("damage", ["cut", "gone", "another model"])
def test_a_copy_that_is_damaged_later_is_imported_again(
    registry: Registry,
    under_way: UnderWay,
    store: ModelStore,
    imported: list[str],
    monkeypatch: pytest.MonkeyPatch,
    damage: str,
) -> None:
    monkeypatch.setattr(loader, "RETRY_SECONDS", 0.0)  # the copy is not new any more
    under_way.finish()
    loader_of(registry).refresh()
    folder = loader._folder_of(bentoml.models.get(f"{NAME}:v{under_way.number}"))
    if damage == "cut":
        (folder / "curve.parquet").write_bytes(b"PAR1")
    elif damage == "gone":
        (folder / "model.json").unlink()
    else:
        model(FIRST).save(folder)
    made = loader_of(registry)
    made.refresh()
    assert made.current is not None
    assert made.current.model.content_hash == model(SECOND).content_hash
    assert imported == [f"{NAME}:v{under_way.number}"] * 2
    assert len(store.list()) == 1


def test_without_a_registry_a_damaged_copy_is_refused_and_stays(
    registry: Registry, under_way: UnderWay, store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing could be imported in its place."""
    loader_of(registry).refresh()
    unreachable(monkeypatch)
    made = loader_of(registry)
    made.refresh()
    assert made.current is None
    assert "is damaged" in made.refused
    assert [str(each.tag) for each in store.list()] == [f"{NAME}:v{under_way.number}"]


def tried_every_minute(made: ChampionLoader, clock: list[float], until: float) -> list[float]:
    """Look every minute; give when a version was tried."""
    tries, real = list[float](), made._serve
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(made, "_serve", lambda *given: (tries.append(clock[0]), real(*given))[1])
        while clock[0] <= until:
            made.refresh()
            clock[0] += loader.RETRY_SECONDS
    return tries


def test_without_a_registry_a_damaged_copy_is_tried_again_ever_later_until_it_serves(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    loader_of(registry).refresh()
    trees, clock = damage(FIRST), [0.0]
    monkeypatch.setattr(loader, "monotonic", lambda: clock[0])
    unreachable(monkeypatch)
    made = loader_of(registry)
    with capture_logs() as logs:
        assert tried_every_minute(made, clock, 900.0) == [0, 120, 300, 600]
    assert [line["event"] for line in logs] == ["champion refused"], "said once"
    trees.write_text((model(FIRST).booster.model_to_string()), encoding="utf-8")
    made.refresh()
    assert made.current is None, "not at every look"
    assert tried_every_minute(made, clock, 2_400.0) == [1_140]
    assert (version_of(made), made.refused) == (FIRST, "the registry cannot be reached: ConnectionError")


def test_without_a_registry_a_copy_that_came_since_is_tried_at_once(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another worker could reach the registry."""
    loader_of(registry).refresh()
    damage(FIRST)
    made = loader_of(registry)
    with monkeypatch.context() as patch:
        unreachable(patch)
        made.refresh()
    registry.set_alias(CHAMPION, SECOND)
    loader_of(registry).refresh()
    unreachable(monkeypatch)
    made.refresh()
    assert version_of(made) == SECOND


def test_a_registry_that_is_away_for_a_moment_changes_neither_when_a_champion_is_tried_again_nor_why_it_was_refused(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, away = [0.0], {180.0, 240.0, 480.0}
    monkeypatch.setattr(loader, "monotonic", lambda: clock[0])
    made = loader_of(registry)
    made.refresh()
    registry.set_alias(CHAMPION, BROKEN)
    real = Registry.champion

    def sometimes(self: Registry) -> Any:
        if clock[0] in away:
            raise ConnectionError
        return real(self)

    monkeypatch.setattr(Registry, "champion", sometimes)
    assert tried_every_minute(made, clock, 480.0) == [0, 120, 300]
    assert made.refused == "the registry cannot be reached: ConnectionError"
    assert tried_every_minute(made, clock, 540.0) == []
    assert "is damaged" in made.refused


def test_files_that_are_not_the_registered_model_are_refused(registry: Registry, under_way: UnderWay) -> None:
    model(FIRST).save(under_way.trees.parent)
    made = loader_of(registry)
    made.refresh()
    assert made.current is None
    assert made.refused == (
        f"version {under_way.number} is not the model that was registered: its files were changed since"
    )


def test_files_that_stay_another_model_are_imported_once_for_all_workers_and_tried_again_ever_later(
    registry: Registry, under_way: UnderWay, imported: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model(FIRST).save(under_way.trees.parent)
    clock, tries = [0.0], list[float]()
    monkeypatch.setattr(loader, "monotonic", lambda: clock[0])
    two = [loader_of(registry), loader_of(registry)]
    real = two[0]._swap_to
    monkeypatch.setattr(two[0], "_swap_to", lambda *given: (tries.append(clock[0]), real(*given)))
    while clock[0] <= 4 * loader.LONGEST_RETRY_SECONDS:
        for each in two:
            each.refresh()
        clock[0] += loader.RETRY_SECONDS
    assert [later - earlier for earlier, later in pairwise(tries)] == [120, 180, 300, 540, 1020, 1980, 3660, 3660]
    assert imported == [f"{NAME}:v{under_way.number}"]
