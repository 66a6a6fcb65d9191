"""The champion loader at a start: which model serves where the registry or the last copy is not there."""

import re
from pathlib import Path
from typing import Any

import bentoml
import pytest
from bentoml._internal.models import ModelStore
from structlog.testing import capture_logs

from fivefold.domain.errors import ModelError
from fivefold.domain.settings import Settings
from fivefold.models.registry import CHAMPION, Registry
from fivefold.serving.champion import loader
from fivefold.serving.champion.loader import ChampionLoader
from tests.serving.champion.loading.loaders import damage, loader_of, unreachable, version_of
from tests.serving.processes.registry import (
    FIRST,
    NAME,
    SECOND,
    model,
)


def test_a_champion_that_was_withdrawn_does_not_serve_at_a_start_without_a_registry(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    loader_of(registry).refresh()
    registry.client.delete_registered_model_alias(NAME, CHAMPION)
    loader_of(registry).refresh()

    def away(_: Registry) -> None:
        raise ConnectionError

    with monkeypatch.context() as patch:
        patch.setattr(Registry, "champion", away)
        made = loader_of(registry)
        made.refresh()
        assert version_of(made) is None
        assert made.refused == "the registry cannot be reached: ConnectionError; its champion was withdrawn before"
    registry.set_alias(CHAMPION, FIRST)
    made.refresh()
    assert version_of(made) == FIRST
    monkeypatch.setattr(Registry, "champion", away)
    made = loader_of(registry)
    made.refresh()
    assert version_of(made) == FIRST, "it is the champion again"


def test_at_the_start_the_one_that_was_pinned_last_serves_without_a_registry(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier = loader_of(registry)
    earlier.refresh()
    registry.set_alias(CHAMPION, SECOND)
    earlier.refresh()
    made = loader_of(registry)
    with monkeypatch.context() as patch:
        unreachable(patch)
        for _ in range(2):
            made.refresh()
            assert version_of(made) == SECOND
            assert made.refused == "the registry cannot be reached: ConnectionError"
    registry.set_alias(CHAMPION, FIRST)
    made.refresh()
    assert (version_of(made), made.refused) == (FIRST, "")


def test_at_the_start_without_a_registry_the_one_that_served_last_serves_after_a_rollback(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier = loader_of(registry)
    for number in (FIRST, SECOND, FIRST):
        registry.set_alias(CHAMPION, number)
        earlier.refresh()
    unreachable(monkeypatch)
    made = loader_of(registry)
    made.refresh()
    assert version_of(made) == FIRST
    made._note.path.write_text("nonsense", encoding="utf-8")
    again = loader_of(registry)
    again.refresh()
    assert version_of(again) == SECOND, "the one that was pinned last"


def test_at_a_start_without_a_registry_a_version_from_before_the_damaged_one_serves(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier = loader_of(registry)
    for number in (FIRST, SECOND):
        registry.set_alias(CHAMPION, number)
        earlier.refresh()
    trees = damage(SECOND)
    made = loader_of(registry)
    with monkeypatch.context() as patch, capture_logs() as logs:
        unreachable(patch)
        for _ in range(3):
            made.refresh()
            assert version_of(made) == FIRST
            assert re.fullmatch(
                f"the registry cannot be reached: ConnectionError; .*v{SECOND}/.* is damaged.*", made.refused
            )
        assert [line["event"] for line in logs] == ["model serves", "champion refused"], "said once"
        trees.write_text((model(SECOND).booster.model_to_string()), encoding="utf-8")
        again = loader_of(registry)
        again.refresh()
        assert version_of(again) == SECOND, "the next start tries it again"
    made.refresh()
    assert (version_of(made), made.refused) == (SECOND, "")
    unreachable(monkeypatch)
    made.refresh()
    assert made.refused == "the registry cannot be reached: ConnectionError", "nothing is left out any more"


def test_at_a_start_without_a_registry_no_version_serves_that_was_rolled_back(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier = loader_of(registry)
    for number in (FIRST, SECOND, FIRST):
        registry.set_alias(CHAMPION, number)
        earlier.refresh()
    damage(FIRST)
    unreachable(monkeypatch)
    made = loader_of(registry)
    with capture_logs() as logs:
        for _ in range(3):
            made.refresh()
            assert made.current is None
            assert "is damaged" in made.refused
    assert [line["event"] for line in logs] == ["champion refused"], "said once"


@pytest.mark.parametrize(("champion", "serves"), [(SECOND, FIRST), (FIRST, None)])
def test_at_a_start_a_version_from_before_the_champion_alone_serves_where_that_is_damaged_and_cannot_be_imported_again(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, champion: int, serves: int | None
) -> None:
    """The registry answers, and the store of its files does not. The service was down when the champion changed."""
    earlier = loader_of(registry)
    for number in (FIRST, SECOND):
        registry.set_alias(CHAMPION, number)
        earlier.refresh()
    registry.set_alias(CHAMPION, champion)
    damage(champion)

    def away(*_: Any, **__: Any) -> None:
        raise ConnectionError

    monkeypatch.setattr(loader, "RETRY_SECONDS", 0.0)  # the copy is not new any more
    monkeypatch.setattr(bentoml.mlflow, "import_model", away)
    made = loader_of(registry)
    for _ in range(2):
        made.refresh()
        assert (version_of(made), made.refused) == (serves, f"version {champion} cannot be loaded: ConnectionError")


def test_at_a_start_without_a_registry_a_copy_that_is_not_the_model_that_served_is_refused_and_made_anew_with_one(
    registry: Registry, imported: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two installations may share a store of models."""
    monkeypatch.setattr(loader, "RETRY_SECONDS", 0.0)  # the copy is not new any more
    loader_of(registry).refresh()
    model(SECOND).save(loader._folder_of(bentoml.models.get(f"{NAME}:v{FIRST}")))
    made = loader_of(registry)
    with monkeypatch.context() as patch:
        unreachable(patch)
        made.refresh()
        assert made.current is None
        assert made.refused.endswith(
            f"the copy of version {FIRST} in {registry.settings.bentoml_home / 'models'} is not the model that served "
            "here; a start with the registry imports it again"
        )
    registry.client.set_model_version_tag(NAME, str(FIRST), "content_hash", model(FIRST).content_hash)
    made.refresh()
    assert made.current is not None
    assert made.current.model.content_hash == model(FIRST).content_hash
    assert imported == [f"{NAME}:v{FIRST}"] * 2


def test_at_a_start_without_a_registry_a_note_of_numbers_alone_is_still_read(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier = loader_of(registry)
    for number in (FIRST, SECOND):
        registry.set_alias(CHAMPION, number)
        earlier.refresh()
    earlier._note.path.write_text(str(FIRST), encoding="utf-8")
    unreachable(monkeypatch)
    made = loader_of(registry)
    made.refresh()
    assert version_of(made) == FIRST


def test_at_a_start_without_a_registry_a_copy_that_is_missing_is_said(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    loader_of(registry).refresh()
    bentoml.models.delete(f"{NAME}:v{FIRST}")
    unreachable(monkeypatch)
    made = loader_of(registry)
    made.refresh()
    assert made.current is None
    assert made.refused == (
        f"the registry cannot be reached: ConnectionError; version {FIRST} served here, and its copy is not in "
        f"{registry.settings.bentoml_home / 'models'}; a start with the registry imports it again"
    )


def test_a_version_whose_number_begins_that_of_a_pinned_one_is_imported(
    registry: Registry, store: ModelStore, imported: list[str]
) -> None:
    """BentoML's own look-up of v1 gives v10."""
    loader_of(registry).refresh()
    folder = Path(store.get(f"{NAME}:v{FIRST}").path)
    folder.rename(folder.with_name(f"v{FIRST}0"))
    made = loader_of(registry)
    made.refresh()
    assert version_of(made) == FIRST
    assert imported == [f"{NAME}:v{FIRST}"] * 2


def test_what_another_installation_pinned_serves_nobody_where_nothing_served_yet(
    registry: Registry, tmp_path: Path
) -> None:
    loader_of(registry).refresh()
    made = ChampionLoader(Settings(var=tmp_path / "other", pinned_models=tmp_path / "bentoml"))
    made.refresh()
    assert made.current is None
    assert made.refused.startswith(f"{NAME} has no versions in {tmp_path / 'other'}: ")


def test_the_models_of_an_installation_are_pinned_in_its_own_folder(
    registry: Registry, store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """BentoML starts a Bento with the store of the account."""
    monkeypatch.setattr(loader, "POLL_SECONDS", 0.01)
    made = loader_of(registry)
    made.start()
    made.stop()
    assert version_of(made) == FIRST
    assert (registry.settings.var / "bentoml" / "models" / NAME / f"v{FIRST}").is_dir()
    assert store.list() == []


def test_at_the_start_without_a_registry_and_without_a_pinned_one_there_is_none(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        unreachable(patch)
        made = loader_of(registry)
        made.refresh()
        assert (made.current, made.refused) == (None, "the registry cannot be reached: ConnectionError")
    made.refresh()
    assert version_of(made) == FIRST


def test_at_a_start_with_a_champion_that_is_quarantined_the_last_good_one_serves(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seven workers ended one after the other, and then there was no model."""
    loader_of(registry).refresh()
    registry.set_alias(CHAMPION, SECOND)

    def ends(*given: Any) -> None:
        if given[2] == SECOND:
            raise ModelError("version 2 is quarantined")

    monkeypatch.setattr(loader, "require_sound", ends)
    made = loader_of(registry)
    for _ in range(2):
        made.refresh()
        assert made.current is not None
        assert made.current.version == FIRST
        assert made.refused == "version 2 is quarantined"
