"""What the tests of the champion loader share: a loader, a registry that is away, a damaged copy."""

from pathlib import Path

import bentoml
import pytest

from fivefold.models.registry import Registry
from fivefold.serving.champion import loader
from fivefold.serving.champion.loader import ChampionLoader
from tests.serving.processes.registry import (
    NAME,
)


def loader_of(registry: Registry) -> ChampionLoader:
    return ChampionLoader(registry.settings)


def unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    def down(_: Registry) -> None:
        message = "an address with a password"
        raise ConnectionError(message)

    monkeypatch.setattr(Registry, "champion", down)


def version_of(champion_loader: ChampionLoader) -> int | None:
    return None if champion_loader.current is None else champion_loader.current.version


def damage(number: int) -> Path:
    """Cut a file of a pinned copy in half."""
    trees = loader._folder_of(bentoml.models.get(f"{NAME}:v{number}")) / "booster.txt"
    text = trees.read_text(encoding="utf-8")
    trees.write_text(text[: len(text) // 2], encoding="utf-8")
    return trees
