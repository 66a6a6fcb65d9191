"""`fivefold serve` and `fivefold tokens`."""

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import fivefold
from fivefold.cli.serve import claim_address, require_free
from fivefold.domain.clock import DAY_US, now_microseconds
from fivefold.domain.errors import ConfigError
from fivefold.store.accounts import plans as plans_module
from fivefold.store.sql import clocks
from tests.cli.running import last_number, refuse, run, succeed
from tests.store import databases


@pytest.fixture(scope="module")
def var(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("accounts")


def test_a_token_is_printed_once_alone(var: Path) -> None:
    done = run(var, "tokens", "create", "--label", "[mobile]", "--expires-days", 30)
    assert done.code == 0
    secret = done.out.removesuffix("\n")
    assert re.fullmatch(r"\S{20,}", secret)
    assert re.fullmatch(r"warning: this is token \d+; copy it now: only a hash of it is stored\n", done.err)
    number = re.findall(r"\d+", done.err)[0]
    listed = succeed(var, "tokens", "list", columns=160)
    assert re.search(rf"^{number} +default +\[mobile\] +app +trial +live", listed, re.MULTILINE)
    assert secret not in listed
    assert re.search(rf"^{number} +\[mobile\] +trial +0 ", succeed(var, "tokens", "usage"), re.MULTILINE)

    assert re.search(rf"^{number} .* reads *$", listed, re.MULTILINE)

    assert succeed(var, "tokens", "revoke", number) == f"Token {number} is revoked.\n"
    assert re.search(rf"^{number} .* revoked", succeed(var, "tokens", "list", columns=160), re.MULTILINE)


def test_a_token_for_an_agent_that_may_change_things_is_listed_as_such(var: Path) -> None:
    done = run(var, "tokens", "create", "--label", "agent", "--mcp-changes")
    number = re.findall(r"\d+", done.err)[0]
    assert re.search(rf"^{number} .* changes *$", succeed(var, "tokens", "list", columns=160), re.MULTILINE)


def test_usage_is_of_the_month_of_the_clock_by_which_the_service_charges(
    var: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(var, "tokens", "create")
    monkeypatch.setattr(clocks.DatabaseClock, "now_us", lambda _: 0)
    assert "Usage in 1970-01" in succeed(var, "tokens", "usage")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["create", "--plan", "gold"], "gold"),
        (["create", "--role", "king"], "king"),
        (["revoke", "99"], "99"),
        (["usage", "--month", "June"], "--month is 'June'; it must be a month such as 2026-11"),
        (["usage", "--month", "2026-13"], "--month is '2026-13'; it must be a month such as 2026-11"),
    ],
)
def test_what_tokens_refuses(arguments: list[str], words: str, var: Path) -> None:
    assert words in refuse(var, "tokens", *arguments)


def test_serving_hands_over_to_bentoml(var: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def execv(program: str, arguments: list[str]) -> None:
        assert program == sys.executable
        assert os.environ["FIVEFOLD_VAR"] == str(var)
        assert os.environ["BENTOML_HOME"] == str(var / "bentoml")
        assert json.loads(os.environ["BENTOML_CONFIG_OVERRIDES"]) == {"services": {"fivefold": {"workers": 2}}}
        asked.append(arguments)

    for name in ("BENTOML_HOME", "BENTOML_CONFIG_OVERRIDES", "PYTHONSAFEPATH"):
        monkeypatch.setenv(name, "")
    monkeypatch.setattr(os, "execv", execv)
    before = now_microseconds()
    succeed(var, "serve", "--port", 3456, "--workers", 2)
    assert last_number(var) > before
    service = ["fivefold.serving.service:Fivefold", "--working-dir", str(Path(fivefold.__file__).resolve().parents[1])]
    address = ["--host", "127.0.0.1", "--port", "3456"]
    assert asked == [[sys.executable, "-P", "-m", "bentoml", "serve", *service, *address]]
    assert (var / "fivefold.db").exists()


def test_a_library_that_the_system_lacks_is_one_line_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "execv", lambda *_: pytest.fail("it started"))
    words = "libgomp.so.1: cannot open shared object file: No such file or directory"
    (tmp_path / "lightgbm.py").write_text(f"raise OSError({words!r})", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "lightgbm", raising=False)
    assert refuse(tmp_path / "var", "serve", "--port", 3456).startswith(f"{words}. It is a library of this system;")
    assert not (tmp_path / "var").exists()


def test_with_a_wrong_clock_it_warns_and_serves(var: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BENTOML_HOME", "BENTOML_CONFIG_OVERRIDES", "PYTHONSAFEPATH"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("FIVEFOLD_DATABASE_URL", databases.new_url("postgresql", tmp_path))
    monkeypatch.setattr(clocks, "now_microseconds", lambda: now_microseconds() + DAY_US)
    started: list[object] = []
    monkeypatch.setattr(os, "execv", lambda *arguments: started.append(arguments))
    done = run(var, "serve")
    assert (done.code, len(started)) == (0, 1)
    assert done.err.startswith("warning: this machine's clock is 86,400 s ahead of the database's")


def test_the_service_finds_what_was_named_from_this_folder(
    var: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    plans = (Path(plans_module.__file__).parent / "plans.yaml").read_bytes()
    (tmp_path / "mine.yaml").write_bytes(plans)
    monkeypatch.chdir(tmp_path)
    for name in ("BENTOML_HOME", "BENTOML_CONFIG_OVERRIDES", "PYTHONSAFEPATH"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("FIVEFOLD_PLANS_FILE", "mine.yaml")
    monkeypatch.setenv("FIVEFOLD_DATABASE_URL", "sqlite:///accounts.db")
    found: dict[str, str] = {}
    monkeypatch.setattr(os, "execv", lambda *_: found.update(os.environ))
    succeed(var, "serve")
    assert found["FIVEFOLD_PLANS_FILE"] == str(tmp_path / "mine.yaml")
    assert found["FIVEFOLD_DATABASE_URL"] == f"sqlite:///{tmp_path}/accounts.db"
    assert found["PYTHONSAFEPATH"] == "1"


def test_a_port_that_is_in_use_is_one_line(var: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "execv", lambda *_: pytest.fail("it started"))
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        assert refuse(var, "serve", "--port", port) == (
            f"port {port} of 127.0.0.1 is in use; choose another one with --port"
        )


def test_a_port_is_in_use_also_where_nobody_can_read_who_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "var").touch()
    monkeypatch.setenv("FIVEFOLD_VAR", str(tmp_path / "var"))
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        with pytest.raises(ConfigError, match="is in use; choose another one with --port"):
            require_free(*busy.getsockname())


def test_two_that_start_at_once_do_not_both_take_the_port(var: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first one does not listen yet when the second one looks whether the port is free."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    refused: list[str] = []
    for name in ("BENTOML_HOME", "BENTOML_CONFIG_OVERRIDES", "PYTHONSAFEPATH"):
        monkeypatch.setenv(name, "")
    monkeypatch.setattr(os, "execv", lambda *_: refused.append(refuse(var, "serve", "--port", port)))
    succeed(var, "serve", "--port", port)
    by = f"process {os.getpid()}, the service of {var}"
    assert refused == [f"port {port} of 127.0.0.1 is in use by {by}; choose another one with --port"]
    monkeypatch.setattr(os, "execv", lambda *_: refused.clear())
    succeed(var, "serve", "--port", port)
    assert refused == []


def test_the_claim_of_an_address_ends_with_what_took_this_process_s_place(tmp_path: Path) -> None:
    """An exec keeps it, and the end of the program lets it go."""
    code = (
        "import os, sys, pathlib; from fivefold.cli.serve import claim_address;"
        "claim_address('::1', 3456, pathlib.Path(sys.argv[1]));"
        "os.execv('/bin/cat', ['cat'])"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        other.stdin.write(b"is cat\n")
        other.stdin.flush()
        assert other.stdout.readline() == b"is cat\n"
        with pytest.raises(ConfigError, match="port 3456 of ::1 is in use"):
            claim_address("::1", 3456, tmp_path)
        other.stdin.close()
        other.wait()
    os.close(claim_address("::1", 3456, tmp_path))


@pytest.mark.parametrize(
    ("host", "words"),
    [("192.0.2.1", "nothing can listen on port 3456 of 192.0.2.1"), ("no such", "--host is 'no such'")],
)
def test_an_address_of_another_machine_is_one_line(host: str, words: str, var: Path) -> None:
    said = refuse(var, "serve", "--port", 3456, "--host", host)
    assert said.startswith(words)
    assert "\n" not in said


def test_plans_that_cannot_be_read_are_told_before_anything_starts(var: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers would start, and fail, over and over."""
    monkeypatch.setattr(os, "execv", lambda *_: pytest.fail("it started"))
    plans = var / "plans.yaml"
    plans.write_text("mine: {rows_per_request: none}", encoding="utf-8")
    monkeypatch.setenv("FIVEFOLD_PLANS_FILE", str(plans))
    assert "mine.rows_per_request: Input should be a valid integer" in refuse(var, "serve")


@pytest.mark.parametrize("command", ["serve", "worker"])
@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("FIVEFOLD_MODEL", "a/b", "FIVEFOLD_MODEL is 'a/b'; it may hold letters"),
        ("FIVEFOLD_PLANS_FILE", "/nope.yaml", "/nope.yaml, as FIVEFOLD_PLANS_FILE says: No such file"),
        ("FIVEFOLD_SOURCES_FILE", "/nope.yaml", "/nope.yaml, the file of sources, cannot be read"),
        ("FIVEFOLD_AGENT_URL", "llm.internal", "FIVEFOLD_AGENT_URL begins with ''; it must be https://"),
        ("FIVEFOLD_WEBHOOK_KEYS", "abc", "FIVEFOLD_WEBHOOK_KEYS has an invalid key"),
        ("FIVEFOLD_OPENID_PLAN", "gold", "FIVEFOLD_OPENID_PLAN is 'gold'; it must be one of"),
    ],
)
def test_what_a_setting_names_is_read_before_anything_starts(
    command: str, name: str, value: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "execv", lambda *_: pytest.fail("it started"))
    monkeypatch.setenv("FIVEFOLD_AGENT_MODEL", "small" if name == "FIVEFOLD_AGENT_URL" else "")
    if name == "FIVEFOLD_OPENID_PLAN":
        monkeypatch.setenv("FIVEFOLD_OPENID_ISSUER", "https://id.example")
        for required in ("CLIENT_ID", "CLIENT_SECRET", "ORGANISATION"):
            monkeypatch.setenv(f"FIVEFOLD_OPENID_{required}", "default")
    monkeypatch.setenv(name, value)
    assert words in refuse(tmp_path / "var", command)
    assert not (tmp_path / "var").exists()


@pytest.mark.parametrize("command", [["serve"], ["tokens", "list"], ["tokens", "create"]])
@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("postgresql://user:a-secret@127.0.0.1:1/name", "the database cannot be reached: connection failed"),
        ("postgresql://user:a-secret@host:port/name", "FIVEFOLD_DATABASE_URL cannot be read"),
        ("postgresql://user:one@a-secret@127.0.0.1:1/name", "FIVEFOLD_DATABASE_URL has several @"),
        ("postgresql://user:one@a/secret@127.0.0.1:1/name", "FIVEFOLD_DATABASE_URL has several @"),
        ("postgresql://user:one@a:secret@127.0.0.1:1/name", "FIVEFOLD_DATABASE_URL has several @"),
        ("postgresql://user:one@a?secret@127.0.0.1:1/name", "FIVEFOLD_DATABASE_URL has several @"),
        ("postgresql://user:one@a=b/secret@127.0.0.1:1/name", "FIVEFOLD_DATABASE_URL has several @"),
        ("postgresql://user:a-secret@127.0.0.1:1/na@me", "the database cannot be reached: connection failed"),
        (
            "postgresql://user:a-secret@127.0.0.1:1/name?application_name=x@y/z",
            "the database cannot be reached: connection failed",
        ),
        ("mysql://user:a-secret@host/name", "FIVEFOLD_DATABASE_URL names 'mysql'"),
    ],
)
def test_a_database_that_cannot_be_used_is_told_in_plain_words(
    command: list[str], address: str, words: str, var: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "execv", lambda *_: pytest.fail("it started"))
    monkeypatch.setenv("FIVEFOLD_DATABASE_URL", address)
    said = refuse(var, *command)
    assert said.startswith(words)
    assert "a-secret" not in said
