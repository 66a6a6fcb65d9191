"""The champion loader: which model serves when the champion changes, is unusable, or cannot be looked up."""

import re
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import bentoml
import numpy as np
import pytest
from bentoml._internal.configuration.containers import BentoMLContainer
from bentoml._internal.models import ModelStore
from structlog.testing import capture_logs

from fivefold.domain.errors import ModelError
from fivefold.domain.settings import Settings
from fivefold.features.indicator_matrix import catalogue
from fivefold.models.registry import CHAMPION, Registry
from fivefold.models.value_model import ValueModel
from fivefold.serving.champion import loader
from fivefold.serving.champion.loader import ChampionLoader
from tests.mlflow_address import kept_address
from tests.models.making import reference_matrix
from tests.serving.process_registry import (
    BROKEN,
    FIRST,
    MADE_FOR_OTHERS,
    NAME,
    OTHER_FINGERPRINT,
    SECOND,
    Template,
    model,
)


@pytest.fixture(autouse=True)
def trials(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Models are tried in no process of their own here, which takes seconds; those that would be are noted."""
    tried: list[int] = []
    monkeypatch.setattr(loader, "require_sound", lambda *given: tried.append(given[2]))
    return tried


@pytest.fixture(autouse=True)
def store(tmp_path: Path) -> Iterator[ModelStore]:
    """BentoML's models in a folder of the test; MLflow's global address is given back as it was."""
    folder = tmp_path / "bentoml"
    folder.mkdir()
    found = ModelStore(folder)
    BentoMLContainer.model_store.set(found)
    with kept_address():
        yield found
    BentoMLContainer.model_store.reset()


@pytest.fixture
def registry(template: Template, tmp_path: Path) -> Registry:
    """A registry whose champion is the first version."""
    return template.copy_to(tmp_path / "var", FIRST)


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders that models were loaded from."""
    folders: list[Path] = []
    real = ValueModel.load

    def noted(folder: Path) -> ValueModel:
        folders.append(folder)
        return real(folder)

    monkeypatch.setattr(ValueModel, "load", noted)
    return folders


@pytest.fixture
def imported(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The models that were brought from MLflow to BentoML."""
    tags: list[str] = []
    real = bentoml.mlflow.import_model

    def noted(tag: str, uri: str, **more: Any) -> bentoml.Model:
        tags.append(tag)
        return real(tag, uri, **more)

    monkeypatch.setattr(bentoml.mlflow, "import_model", noted)
    return tags


def held(registry: Registry) -> ChampionLoader:
    return ChampionLoader(registry.settings)


def unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    def down(_: Registry) -> None:
        message = "an address with a password"
        raise ConnectionError(message)

    monkeypatch.setattr(Registry, "champion", down)


def version_of(found: ChampionLoader) -> int | None:
    return None if found.current is None else found.current.version


def test_before_the_start_there_is_nothing(registry: Registry, loaded: list[Path]) -> None:
    made = held(registry)
    assert (made.current, made.refused, loaded) == (None, "no model was loaded yet", [])


def test_the_champion_is_pinned_and_serves(registry: Registry, store: ModelStore) -> None:
    made = held(registry)
    with capture_logs() as logs:
        made.refresh()
    assert made.current is not None
    assert (made.current.version, made.refused) == (FIRST, "")
    assert made.current.description() == {
        "name": NAME,
        "version": FIRST,
        "fingerprint": catalogue().fingerprint,
        "rates_date": "2024-06-30",
    }
    scores = made.current.model.scores(reference_matrix()).score
    assert scores.tobytes() == model(FIRST).scores(reference_matrix()).score.tobytes()
    (pinned,) = store.list()
    assert str(pinned.tag) == f"{NAME}:v{FIRST}"
    assert pinned.info.metadata == {
        "mlflow_name": NAME,
        "mlflow_version": FIRST,
        "mlflow_run_id": registry.version(FIRST).run_id,
    }
    assert [(line["event"], line["version"], line["before"]) for line in logs] == [("model serves", FIRST, None)]


def test_a_new_champion_takes_over_and_the_old_one_can_return(
    registry: Registry, loaded: list[Path], imported: list[str]
) -> None:
    made = held(registry)
    made.refresh()
    before = made.current
    made.refresh()
    assert made.current is before, "nothing changed, so nothing is loaded"
    registry.set_alias(CHAMPION, SECOND)
    made.refresh()
    assert made.current is not None
    assert made.current.version == SECOND
    assert before is not None
    assert before.version == FIRST, "a request that began keeps its model"
    both = [one.model.scores(reference_matrix()).score for one in (before, made.current)]
    assert not np.array_equal(*both)
    registry.set_alias(CHAMPION, FIRST)
    made.refresh()
    assert version_of(made) == FIRST
    assert len(loaded) == 3
    assert imported == [f"{NAME}:v{FIRST}", f"{NAME}:v{SECOND}"]


@pytest.mark.parametrize(
    ("number", "why"),
    [
        (OTHER_FINGERPRINT, MADE_FOR_OTHERS[:12]),
        (BROKEN, "is damaged"),
    ],
)
def test_one_that_cannot_serve_is_refused_once_and_the_last_good_one_stays(
    registry: Registry, loaded: list[Path], trials: list[int], number: int, why: str
) -> None:
    made = held(registry)
    made.refresh()
    good = made.current
    registry.set_alias(CHAMPION, number)
    with capture_logs() as logs:
        for _ in range(3):
            made.refresh()
    assert made.current is good
    assert why in made.refused
    assert len(loaded) == 1, "it is never loaded"
    assert trials == [FIRST], "nor tried: a trial says nothing of files that are damaged"
    assert [(line["event"], line["version"]) for line in logs] == [("champion refused", number)]

    registry.set_alias(CHAMPION, FIRST)
    made.refresh()
    assert (made.current, made.refused) == (good, "")
    registry.set_alias(CHAMPION, number)
    made.refresh()
    assert why in made.refused
    assert len(loaded) == 1
    registry.set_alias(CHAMPION, SECOND)
    made.refresh()
    assert (version_of(made), made.refused) == (SECOND, "")


@pytest.mark.parametrize("number", [OTHER_FINGERPRINT, BROKEN])
def test_where_the_first_one_cannot_serve_there_is_none_until_another_can(registry: Registry, number: int) -> None:
    registry.set_alias(CHAMPION, number)
    made = held(registry)
    made.refresh()
    assert made.current is None
    assert made.refused
    registry.set_alias(CHAMPION, SECOND)
    made.refresh()
    assert (version_of(made), made.refused) == (SECOND, "")


def test_whatever_a_model_does_when_it_is_tried_is_a_refusal(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = held(registry)
    made.refresh()
    registry.set_alias(CHAMPION, SECOND)
    monkeypatch.setattr(ValueModel, "scores", lambda *_: 1 / 0)
    made.refresh()
    assert version_of(made) == FIRST
    assert made.refused == f"version {SECOND} cannot be loaded: ZeroDivisionError"


def test_a_model_that_could_not_be_counted_is_refused(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request would be charged, and then fail."""
    made = held(registry)
    real = loader.warm_up_model

    def with_a_shorter_reference(found: ValueModel) -> ValueModel:
        object.__setattr__(found, "reference", type(found.reference)((), np.empty((0, 9)), np.empty((0, 11), np.int64)))
        return real(found)

    monkeypatch.setattr(loader, "warm_up_model", with_a_shorter_reference)
    made.refresh()
    assert made.current is None
    assert "cannot be loaded" in made.refused


def test_without_a_champion_there_is_advice(template: Template, tmp_path: Path) -> None:
    made = held(template.copy_to(tmp_path / "var", None))
    made.refresh()
    assert (made.current, made.refused) == (None, f"{NAME} has no champion: run `fivefold train`")


def test_a_champion_that_is_taken_away_still_serves(registry: Registry) -> None:
    made = held(registry)
    made.refresh()
    registry.client.delete_registered_model_alias(NAME, CHAMPION)
    made.refresh()
    assert version_of(made) == FIRST
    assert "no champion" in made.refused
    assert made.withdrawn, "stored customers are valued by none"
    registry.set_alias(CHAMPION, FIRST)
    made.refresh()
    assert (made.refused, made.withdrawn) == ("", False)
    with pytest.MonkeyPatch.context() as patch:
        unreachable(patch)
        later = held(registry)
        later.refresh()
    assert version_of(later) == FIRST, "it is the champion again"


@pytest.mark.parametrize("number", [OTHER_FINGERPRINT, BROKEN])
def test_one_that_was_withdrawn_stays_so_until_a_champion_serves(registry: Registry, number: int) -> None:
    """The next champion cannot be loaded."""
    made = held(registry)
    made.refresh()
    registry.client.delete_registered_model_alias(NAME, CHAMPION)
    made.refresh()
    registry.set_alias(CHAMPION, number)
    for _ in range(2):
        made.refresh()
        assert (version_of(made), made.withdrawn) == (FIRST, True)
    with pytest.MonkeyPatch.context() as patch:
        unreachable(patch)
        made.refresh()
        assert (version_of(made), made.withdrawn) == (FIRST, True)
    later = held(registry)
    for _ in range(2):
        later.refresh()
        assert version_of(later) is None
        assert later.refused
    registry.set_alias(CHAMPION, SECOND)
    for each in (made, later):
        each.refresh()
        assert (version_of(each), each.refused, each.withdrawn) == (SECOND, "", False)


def test_a_champion_that_was_withdrawn_does_not_serve_at_a_start_without_a_registry(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    held(registry).refresh()
    registry.client.delete_registered_model_alias(NAME, CHAMPION)
    held(registry).refresh()

    def away(_: Registry) -> None:
        raise ConnectionError

    with monkeypatch.context() as patch:
        patch.setattr(Registry, "champion", away)
        made = held(registry)
        made.refresh()
        assert version_of(made) is None
        assert made.refused == "the registry cannot be reached: ConnectionError; its champion was withdrawn before"
    registry.set_alias(CHAMPION, FIRST)
    made.refresh()
    assert version_of(made) == FIRST
    monkeypatch.setattr(Registry, "champion", away)
    made = held(registry)
    made.refresh()
    assert version_of(made) == FIRST, "it is the champion again"


@pytest.mark.parametrize("lost", ["the file", "every version", "trained, not promoted"])
def test_a_registry_that_was_lost_takes_no_model_away_and_none_is_created(
    registry: Registry, template: Template, lost: str
) -> None:
    made = held(registry)
    made.refresh()
    if lost == "the file":
        registry.settings.registry.unlink()
    else:
        registry.client.delete_registered_model(NAME)
    if lost == "trained, not promoted":
        run = registry.client.create_run(registry.experiment(NAME))
        tags = {"content_hash": model(SECOND).content_hash}
        assert registry.add(template.addresses[SECOND], run.info.run_id, None, "a test", tags) == FIRST
    for each in (made, held(registry)):
        each.refresh()
        assert (version_of(each), each.withdrawn) == (FIRST, False)
        assert "no champion" in each.refused
    assert registry.settings.registry.exists() == (lost != "the file")


def test_a_registry_that_cannot_be_reached_changes_nothing(registry: Registry, loaded: list[Path]) -> None:
    made = held(registry)
    made.refresh()
    good = made.current
    with pytest.MonkeyPatch.context() as patch, capture_logs() as logs:
        unreachable(patch)
        for _ in range(3):
            made.refresh()
        assert made.current is good
        assert made.refused == "the registry cannot be reached: ConnectionError"
        assert len(logs) == 1, "said once"
        assert "password" not in repr(logs)
    made.refresh()
    assert (made.current, made.refused, len(loaded)) == (good, "", 1)


def test_at_the_start_the_one_that_was_pinned_last_serves_without_a_registry(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier = held(registry)
    earlier.refresh()
    registry.set_alias(CHAMPION, SECOND)
    earlier.refresh()
    made = held(registry)
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
    earlier = held(registry)
    for number in (FIRST, SECOND, FIRST):
        registry.set_alias(CHAMPION, number)
        earlier.refresh()
    unreachable(monkeypatch)
    made = held(registry)
    made.refresh()
    assert version_of(made) == FIRST
    made._note.write_text("nonsense", encoding="utf-8")
    again = held(registry)
    again.refresh()
    assert version_of(again) == SECOND, "the one that was pinned last"


def damage(number: int) -> Path:
    """Cut a file of a pinned copy in half."""
    trees = loader._folder_of(bentoml.models.get(f"{NAME}:v{number}")) / "booster.txt"
    text = trees.read_text(encoding="utf-8")
    trees.write_text(text[: len(text) // 2], encoding="utf-8")
    return trees


def test_at_a_start_without_a_registry_a_version_from_before_the_damaged_one_serves(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier = held(registry)
    for number in (FIRST, SECOND):
        registry.set_alias(CHAMPION, number)
        earlier.refresh()
    trees = damage(SECOND)
    made = held(registry)
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
        again = held(registry)
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
    earlier = held(registry)
    for number in (FIRST, SECOND, FIRST):
        registry.set_alias(CHAMPION, number)
        earlier.refresh()
    damage(FIRST)
    unreachable(monkeypatch)
    made = held(registry)
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
    earlier = held(registry)
    for number in (FIRST, SECOND):
        registry.set_alias(CHAMPION, number)
        earlier.refresh()
    registry.set_alias(CHAMPION, champion)
    damage(champion)

    def away(*_: Any, **__: Any) -> None:
        raise ConnectionError

    monkeypatch.setattr(loader, "RETRY_SECONDS", 0.0)  # the copy is not new any more
    monkeypatch.setattr(bentoml.mlflow, "import_model", away)
    made = held(registry)
    for _ in range(2):
        made.refresh()
        assert (version_of(made), made.refused) == (serves, f"version {champion} cannot be loaded: ConnectionError")


def test_what_kept_a_model_from_loading_may_pass(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    made, clock = held(registry), [0.0]
    monkeypatch.setattr(loader, "monotonic", lambda: clock[0])
    with monkeypatch.context() as patch:

        def full(*_: object) -> None:
            raise OSError("no space left on device")

        patch.setattr(made, "_pinned", full)
        made.refresh()
    assert (made.current, made.refused) == (None, "version 1 cannot be loaded: OSError")
    clock[0] = loader.RETRY_SECONDS - 1
    made.refresh()
    assert made.current is None, "not at every look"
    clock[0] = loader.RETRY_SECONDS + 1
    made.refresh()
    assert (version_of(made), made.refused) == (FIRST, "")


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
    made = held(registry)
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
    held(registry).refresh()
    under_way.finish()
    made = held(registry)
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
    held(registry).refresh()
    folder = loader._folder_of(bentoml.models.get(f"{NAME}:v{under_way.number}"))
    if damage == "cut":
        (folder / "curve.parquet").write_bytes(b"PAR1")
    elif damage == "gone":
        (folder / "model.json").unlink()
    else:
        model(FIRST).save(folder)
    made = held(registry)
    made.refresh()
    assert made.current is not None
    assert made.current.model.content_hash == model(SECOND).content_hash
    assert imported == [f"{NAME}:v{under_way.number}"] * 2
    assert len(store.list()) == 1


def test_without_a_registry_a_damaged_copy_is_refused_and_stays(
    registry: Registry, under_way: UnderWay, store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing could be imported in its place."""
    held(registry).refresh()
    unreachable(monkeypatch)
    made = held(registry)
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
    held(registry).refresh()
    trees, clock = damage(FIRST), [0.0]
    monkeypatch.setattr(loader, "monotonic", lambda: clock[0])
    unreachable(monkeypatch)
    made = held(registry)
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
    held(registry).refresh()
    damage(FIRST)
    made = held(registry)
    with monkeypatch.context() as patch:
        unreachable(patch)
        made.refresh()
    registry.set_alias(CHAMPION, SECOND)
    held(registry).refresh()
    unreachable(monkeypatch)
    made.refresh()
    assert version_of(made) == SECOND


def test_a_registry_that_is_away_for_a_moment_changes_neither_when_a_champion_is_tried_again_nor_why_it_was_refused(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, away = [0.0], {180.0, 240.0, 480.0}
    monkeypatch.setattr(loader, "monotonic", lambda: clock[0])
    made = held(registry)
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
    made = held(registry)
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
    two = [held(registry), held(registry)]
    real = two[0]._swap_to
    monkeypatch.setattr(two[0], "_swap_to", lambda *given: (tries.append(clock[0]), real(*given)))
    while clock[0] <= 4 * loader.LONGEST_RETRY_SECONDS:
        for each in two:
            each.refresh()
        clock[0] += loader.RETRY_SECONDS
    assert [later - earlier for earlier, later in pairwise(tries)] == [120, 180, 300, 540, 1020, 1980, 3660, 3660]
    assert imported == [f"{NAME}:v{under_way.number}"]


def test_at_the_start_without_a_registry_and_without_a_pinned_one_there_is_none(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        unreachable(patch)
        made = held(registry)
        made.refresh()
        assert (made.current, made.refused) == (None, "the registry cannot be reached: ConnectionError")
    made.refresh()
    assert version_of(made) == FIRST


def test_a_version_is_pinned_once_on_a_machine(registry: Registry, imported: list[str], loaded: list[Path]) -> None:
    """Workers start together; one brings it, the others wait and find it."""
    holders = [held(registry) for _ in range(3)]
    together = threading.Barrier(3)

    def start(one: ChampionLoader) -> None:
        together.wait()
        one.refresh()

    threads = [threading.Thread(target=start, args=[one]) for one in holders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [version_of(one) for one in holders] == [FIRST] * 3
    assert imported == [f"{NAME}:v{FIRST}"]
    assert len(loaded) == 3


def test_a_pinned_one_of_a_registry_that_was_there_before_is_replaced(registry: Registry, imported: list[str]) -> None:
    """Its number is the same, its training is not."""
    held(registry).refresh()
    registry.client.create_model_version(NAME, "file:///nowhere", None)
    with pytest.MonkeyPatch.context() as patch:
        found = registry.version(FIRST)
        object.__setattr__(found, "run_id", "another")
        patch.setattr(Registry, "champion", lambda _: found)
        made = held(registry)
        made.refresh()
        assert version_of(made) == FIRST
        made = held(registry)
        made.refresh()
    assert imported == [f"{NAME}:v{FIRST}"] * 2


def test_a_champion_of_a_registry_that_was_made_anew_takes_over(
    registry: Registry, imported: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the service runs: the number of its champion is the same, its training is not."""
    made = held(registry)
    made.refresh()
    before = made.current
    found = registry.version(FIRST)
    object.__setattr__(found, "run_id", "another")
    monkeypatch.setattr(Registry, "champion", lambda _: found)
    made.refresh()
    after = made.current
    assert after is not None
    assert after is not before
    made.refresh()
    assert made.current is after, "nothing changed since, so nothing is loaded"
    assert imported == [f"{NAME}:v{FIRST}"] * 2


def test_a_refused_number_of_a_registry_that_was_made_anew_is_tried(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.set_alias(CHAMPION, BROKEN)
    made = held(registry)
    made.refresh()
    assert made.current is None
    found = registry.version(BROKEN)
    object.__setattr__(found, "run_id", "another")
    monkeypatch.setattr(Registry, "champion", lambda _: found)
    monkeypatch.setattr(ValueModel, "load", lambda _: model(FIRST))
    monkeypatch.setattr(loader, "require_whole", lambda _: model(FIRST).content_hash)
    made.refresh()
    assert (version_of(made), made.refused) == (BROKEN, "")


def test_the_watch_sees_a_new_champion_and_outlives_any_error(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loader, "POLL_SECONDS", 0.02)
    made, failed, go_on = held(registry), threading.Event(), threading.Event()
    real = made.refresh

    def sometimes() -> None:
        if failed.is_set() and not go_on.is_set():
            raise RuntimeError
        real()

    monkeypatch.setattr(made, "refresh", sometimes)
    made.start()
    assert version_of(made) == FIRST, "the start waits for the first one"
    failed.set()
    _until(lambda: made.refused == "the models cannot be read: RuntimeError")
    assert version_of(made) == FIRST
    registry.set_alias(CHAMPION, SECOND)
    go_on.set()
    _until(lambda: version_of(made) == SECOND)
    made.stop()
    made._thread.join(10)
    assert not made._thread.is_alive()


def _until(true: Any) -> None:
    waiting = threading.Event()
    for _ in range(1_000):
        if true():
            return
        waiting.wait(0.02)
    raise AssertionError


def test_it_keeps_to_its_own_folder(registry: Registry) -> None:
    held(registry).refresh()
    assert (registry.settings.var / "bentoml.lock").exists()
    assert isinstance(registry.settings, Settings)


def test_a_version_is_tried_before_it_is_loaded_and_one_that_fails_is_never_loaded(
    registry: Registry, loaded: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = held(registry)
    made.refresh()
    assert made.current is not None
    before = len(loaded)

    def ends(*given: Any) -> None:
        raise ModelError(f"version {given[2]} is quarantined: to load it ended a process with signal 11")

    monkeypatch.setattr(loader, "require_sound", ends)
    registry.set_alias(CHAMPION, SECOND)
    for _ in range(3):
        made.refresh()
    assert made.current.version == FIRST
    assert "quarantined" in made.refused
    assert len(loaded) == before


def test_at_a_start_with_a_champion_that_is_quarantined_the_last_good_one_serves(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seven workers ended one after the other, and then there was no model."""
    held(registry).refresh()
    registry.set_alias(CHAMPION, SECOND)

    def ends(*given: Any) -> None:
        if given[2] == SECOND:
            raise ModelError("version 2 is quarantined")

    monkeypatch.setattr(loader, "require_sound", ends)
    made = held(registry)
    for _ in range(2):
        made.refresh()
        assert made.current is not None
        assert made.current.version == FIRST
        assert made.refused == "version 2 is quarantined"
