"""MLflow's interface is started on our registry, with everything that calls home switched off."""

import os
import socket
import sys
from pathlib import Path

import pytest

from fivefold.cli import terminal
from fivefold.cli.value_model import registry
from fivefold.domain.errors import ConfigError, ModelNotFoundError
from fivefold.domain.provenance import missing_extra


def test_it_is_started_on_this_registry_without_telemetry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[str]] = []
    monkeypatch.setenv("FIVEFOLD_VAR", str(tmp_path))
    for name in registry.QUIET:
        monkeypatch.setenv(name, "")
    monkeypatch.setattr(os, "execv", lambda _, words: started.append(words))
    (tmp_path / "mlflow.db").write_bytes(b"a registry")
    registry.show_interface(0)  # any port that is free
    (words,) = started
    assert words[:5] == [sys.executable, "-P", "-m", "mlflow", "server"]
    assert f"sqlite:///{tmp_path / 'mlflow.db'}" in words
    assert words[words.index("--host") + 1] == "127.0.0.1"
    assert words[words.index("--port") + 1] == "0"
    assert {name: os.environ[name] for name in registry.QUIET} == dict(registry.QUIET)


def test_a_server_has_an_interface_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://ana:secret@mlflow.internal")
    with pytest.raises(ConfigError, match="a server") as refused:
        registry.show_interface()
    assert "secret" not in str(refused.value)


def test_a_port_in_use_is_refused_before_anything_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIVEFOLD_VAR", str(tmp_path))
    (tmp_path / "mlflow.db").write_bytes(b"a registry")
    monkeypatch.setattr(os, "execv", lambda *_: pytest.fail("MLflow would say so among other lines, and end with 0"))
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        with pytest.raises(ConfigError, match="is in use; choose another one with --port"):
            registry.show_interface(busy.getsockname()[1])


def test_without_a_registry_nothing_is_started_that_would_begin_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    var = tmp_path / "var"
    monkeypatch.setenv("FIVEFOLD_VAR", str(var))
    monkeypatch.setattr(os, "execv", lambda *_: pytest.fail("MLflow would make a registry"))
    with pytest.raises(ModelNotFoundError, match=f"has no versions in {var}: if it was trained before"):
        registry.show_interface(0)
    assert not var.exists()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'typo.db'}")
    with pytest.raises(ModelNotFoundError, match=r"has no versions in sqlite:///.*typo\.db: if it was trained before"):
        registry.show_interface(0)
    assert not list(tmp_path.iterdir())


def test_where_mlflow_is_not_installed_one_line_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIVEFOLD_VAR", str(tmp_path))
    monkeypatch.setattr(os, "execv", lambda *_: pytest.fail("a program was started that is not there"))
    monkeypatch.setattr(terminal, "find_spec", lambda _: None)
    with pytest.raises(ModuleNotFoundError) as refused:
        registry.show_interface()
    assert missing_extra(refused.value).endswith("pip install 'fivefold[platform]'")
