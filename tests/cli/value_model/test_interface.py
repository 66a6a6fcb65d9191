"""MLflow's interface is started on our registry, with everything that calls home switched off."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import typer

from fivefold.cli import terminal
from fivefold.cli.value_model import registry
from fivefold.domain.errors import ConfigError, ModelNotFoundError
from fivefold.domain.provenance import missing_extra
from tests.pace import slowness


def test_it_is_started_on_this_registry_without_telemetry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[str]] = []
    monkeypatch.setenv("FIVEFOLD_VAR", str(tmp_path))
    for name in registry.QUIET:
        monkeypatch.setenv(name, "")
    monkeypatch.setattr(registry, "_serve_until_ended", lambda words: started.append(words) or 3)
    (tmp_path / "mlflow.db").write_bytes(b"a registry")
    with pytest.raises(typer.Exit) as ended:
        registry.show_interface(0)  # any port that is free
    assert ended.value.exit_code == 3
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
    monkeypatch.setattr(
        registry, "_serve_until_ended", lambda _: pytest.fail("MLflow would say so among other lines, and end with 0")
    )
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
    monkeypatch.setattr(registry, "_serve_until_ended", lambda _: pytest.fail("MLflow would make a registry"))
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
    monkeypatch.setattr(
        registry, "_serve_until_ended", lambda _: pytest.fail("a program was started that is not there")
    )
    monkeypatch.setattr(terminal, "find_spec", lambda _: None)
    with pytest.raises(ModuleNotFoundError) as refused:
        registry.show_interface()
    assert missing_extra(refused.value).endswith("pip install 'fivefold[platform]'")


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_a_signal_to_the_command_ends_all_that_the_interface_started(number: signal.Signals) -> None:
    """Processes that MLflow had started stayed where its first one alone was ended, and the port with them."""
    server = "import os, time; os.fork(); os.write(1, b'begun\\n'); time.sleep(300)"
    command = f"""
        import signal, sys
        signal.signal({int(number)}, signal.SIG_DFL)  # what starts tests may ignore it, as nohup does
        from fivefold.cli.signals import ends_on_signals
        from fivefold.cli.value_model.registry import _serve_until_ended
        with ends_on_signals():
            _serve_until_ended([sys.executable, "-c", {server!r}])
    """
    words = [sys.executable, "-c", textwrap.dedent(command)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in range(2)] == ["begun\n"] * 2
        process.send_signal(number)
        process.communicate(timeout=30 * slowness())  # its end comes once the last process has closed it
    assert process.returncode == 128 + number
