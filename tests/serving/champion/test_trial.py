"""A model that ends a process ends the one that tries it, and never the service."""

import json
import signal
import subprocess
from pathlib import Path

import pytest

from fivefold.domain.errors import ModelError
from fivefold.serving.champion import trial
from fivefold.serving.champion.trial import require_sound
from tests.models.making import value_model


def test_what_ends_a_process_is_quarantined_and_not_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, notes = tmp_path / "model", tmp_path / "trials"
    monkeypatch.setattr(trial, "_PROGRAM", "import ctypes; ctypes.string_at(0)")
    with pytest.raises(ModelError, match=r"version 7 is quarantined: to load it ended a process with signal \d+"):
        require_sound(folder, notes, 7, "run")
    monkeypatch.setattr(subprocess, "run", None)
    with pytest.raises(ModelError, match=r"remove .*7-run\.json to try it again"):
        require_sound(folder, notes, 7, "run")


def test_a_sound_model_is_tried_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    value_model().save(tmp_path / "model")
    require_sound(tmp_path / "model", tmp_path / "trials", 7, "run")
    monkeypatch.setattr(subprocess, "run", None)
    require_sound(tmp_path / "model", tmp_path / "trials", 7, "run")


@pytest.mark.full
def test_what_a_model_refuses_in_words_is_left_to_the_load(tmp_path: Path) -> None:
    require_sound(tmp_path / "no such folder", tmp_path / "trials", 7, None)


@pytest.mark.parametrize("killed", [signal.SIGKILL, signal.SIGTERM])
def test_a_trial_that_is_killed_from_outside_says_nothing_of_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed: signal.Signals
) -> None:
    program = f"import os; os.kill(os.getpid(), {int(killed)})"
    monkeypatch.setattr(trial, "_PROGRAM", program)
    with pytest.raises(OSError, match="killed"):
        require_sound(tmp_path, tmp_path / "trials", 7, "run")
    assert not (tmp_path / "trials").exists()


def test_a_trial_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "_PROGRAM", "import time; time.sleep(60)")
    monkeypatch.setattr(trial, "TRIAL_SECONDS", 0.5)
    with pytest.raises(ModelError, match="took more than 0 seconds"):
        require_sound(tmp_path, tmp_path / "trials", 7, "run")


def test_a_note_that_cannot_be_read_or_written_is_no_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "_PROGRAM", "pass")
    notes = tmp_path / "trials"
    notes.mkdir()
    (notes / "7-run.json").write_text("[", encoding="utf-8")
    require_sound(tmp_path, notes, 7, "run")
    assert json.loads((notes / "7-run.json").read_text(encoding="utf-8")) == {"outcome": ""}
    (tmp_path / "file").touch()
    require_sound(tmp_path, tmp_path / "file", 7, "run")
