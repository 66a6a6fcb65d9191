"""The champion loader: which model serves when the champion changes, is unusable, or cannot be looked up."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bentoml._internal.models import ModelStore
from structlog.testing import capture_logs

from fivefold.domain.errors import ModelError
from fivefold.domain.settings import Settings
from fivefold.features.indicator_matrix import catalogue
from fivefold.models.registry import CHAMPION, Registry
from fivefold.models.value_model import ValueModel
from fivefold.serving.champion import loader
from fivefold.serving.champion.loader import ChampionLoader
from tests.models.making import reference_matrix
from tests.serving.champion.loading.loaders import loader_of, unreachable, version_of
from tests.serving.processes.registry import (
    BROKEN,
    FIRST,
    MADE_FOR_OTHERS,
    NAME,
    OTHER_FINGERPRINT,
    SECOND,
    Template,
    model,
)


def test_before_the_start_there_is_nothing(registry: Registry, loaded: list[Path]) -> None:
    made = loader_of(registry)
    assert (made.current, made.refused, loaded) == (None, "no model was loaded yet", [])


def test_the_champion_is_pinned_and_serves(registry: Registry, store: ModelStore) -> None:
    made = loader_of(registry)
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
    made = loader_of(registry)
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
    made = loader_of(registry)
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
    made = loader_of(registry)
    made.refresh()
    assert made.current is None
    assert made.refused
    registry.set_alias(CHAMPION, SECOND)
    made.refresh()
    assert (version_of(made), made.refused) == (SECOND, "")


def test_whatever_a_model_does_when_it_is_tried_is_a_refusal(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = loader_of(registry)
    made.refresh()
    registry.set_alias(CHAMPION, SECOND)
    monkeypatch.setattr(ValueModel, "scores", lambda *_: 1 / 0)
    made.refresh()
    assert version_of(made) == FIRST
    assert made.refused == f"version {SECOND} cannot be loaded: ZeroDivisionError"


def test_a_model_that_could_not_be_counted_is_refused(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request would be charged, and then fail."""
    made = loader_of(registry)
    real = loader.warm_up_model

    def with_a_shorter_reference(found: ValueModel) -> ValueModel:
        object.__setattr__(found, "reference", type(found.reference)((), np.empty((0, 9)), np.empty((0, 11), np.int64)))
        return real(found)

    monkeypatch.setattr(loader, "warm_up_model", with_a_shorter_reference)
    made.refresh()
    assert made.current is None
    assert "cannot be loaded" in made.refused


def test_without_a_champion_there_is_advice(template: Template, tmp_path: Path) -> None:
    made = loader_of(template.copy_to(tmp_path / "var", None))
    made.refresh()
    advice = "promote a version (`fivefold models` lists them), or run `fivefold train`"
    assert (made.current, made.refused) == (None, f"{NAME} has no champion: {advice}")


def test_where_the_registry_was_lost_the_advice_is_to_look_for_it_before_training(tmp_path: Path) -> None:
    """A training would begin another registry with version 1."""
    made = ChampionLoader(Settings(var=tmp_path))
    made.refresh()
    assert made.refused == (
        f"{NAME} has no versions in {tmp_path}: if it was trained before, look for its registry, which "
        "FIVEFOLD_VAR or MLFLOW_TRACKING_URI names; if not, run `fivefold train`"
    )


def test_a_champion_that_is_taken_away_still_serves(registry: Registry) -> None:
    made = loader_of(registry)
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
        later = loader_of(registry)
        later.refresh()
    assert version_of(later) == FIRST, "it is the champion again"


@pytest.mark.parametrize("number", [OTHER_FINGERPRINT, BROKEN])
def test_one_that_was_withdrawn_stays_so_until_a_champion_serves(registry: Registry, number: int) -> None:
    """The next champion cannot be loaded."""
    made = loader_of(registry)
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
    later = loader_of(registry)
    for _ in range(2):
        later.refresh()
        assert version_of(later) is None
        assert later.refused
    registry.set_alias(CHAMPION, SECOND)
    for each in (made, later):
        each.refresh()
        assert (version_of(each), each.refused, each.withdrawn) == (SECOND, "", False)


@pytest.mark.parametrize("lost", ["the file", "every version", "trained, not promoted"])
def test_a_registry_that_was_lost_takes_no_model_away_and_none_is_created(
    registry: Registry, template: Template, lost: str
) -> None:
    made = loader_of(registry)
    made.refresh()
    if lost == "the file":
        registry.settings.registry.unlink()
    else:
        registry.client.delete_registered_model(NAME)
    if lost == "trained, not promoted":
        run = registry.client.create_run(registry.experiment(NAME))
        tags = {"content_hash": model(SECOND).content_hash}
        assert registry.add(template.addresses[SECOND], run.info.run_id, None, "a test", tags) == FIRST
    for each in (made, loader_of(registry)):
        each.refresh()
        assert (version_of(each), each.withdrawn) == (FIRST, False)
        made_anew = (
            f"no champion in {registry.settings.registry_shown}, and no version 1 as it served here: restore that"
        )
        assert (made_anew if lost == "trained, not promoted" else "no versions") in each.refused
    assert registry.settings.registry.exists() == (lost != "the file")


def test_a_registry_that_cannot_be_reached_changes_nothing(registry: Registry, loaded: list[Path]) -> None:
    made = loader_of(registry)
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


def test_what_kept_a_model_from_loading_may_pass(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    made, clock = loader_of(registry), [0.0]
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


def test_a_version_is_pinned_once_on_a_machine(registry: Registry, imported: list[str], loaded: list[Path]) -> None:
    """Workers start together; one brings it, the others wait and find it."""
    holders = [loader_of(registry) for _ in range(3)]
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
    loader_of(registry).refresh()
    registry.client.create_model_version(NAME, "file:///nowhere", None)
    with pytest.MonkeyPatch.context() as patch:
        found = registry.version(FIRST)
        object.__setattr__(found, "run_id", "another")
        patch.setattr(Registry, "champion", lambda _: found)
        made = loader_of(registry)
        made.refresh()
        assert version_of(made) == FIRST
        made = loader_of(registry)
        made.refresh()
    assert imported == [f"{NAME}:v{FIRST}"] * 2


def test_a_champion_of_a_registry_that_was_made_anew_takes_over(
    registry: Registry, imported: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the service runs: the number of its champion is the same, its training is not."""
    made = loader_of(registry)
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
    made = loader_of(registry)
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
    made, failed, go_on = loader_of(registry), threading.Event(), threading.Event()
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
    loader_of(registry).refresh()
    assert (registry.settings.var / "bentoml.lock").exists()
    assert isinstance(registry.settings, Settings)


def test_a_version_is_tried_before_it_is_loaded_and_one_that_fails_is_never_loaded(
    registry: Registry, loaded: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = loader_of(registry)
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
