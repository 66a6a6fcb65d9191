"""Where everything generated is kept."""

import re
from pathlib import Path

import pytest

from fivefold.domain.errors import ConfigError
from fivefold.domain.settings import read_settings, unknown_settings


def test_everything_is_kept_under_one_folder(tmp_path: Path) -> None:
    settings = read_settings({"FIVEFOLD_VAR": str(tmp_path)})
    assert settings.var == tmp_path
    assert settings.tracking_uri == f"sqlite:///{tmp_path}/mlflow.db"
    assert settings.artifacts.parent == settings.kernels.parent == tmp_path


def test_a_folder_that_cannot_be_made_is_named_with_its_variable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name, reason in (("file", "File exists"), ("file/var", "Not a directory")):
        said = rf"/{name} cannot be made \({reason}\); FIVEFOLD_VAR must name a folder that can be written"
        with pytest.raises(ConfigError, match=said):
            read_settings({"FIVEFOLD_VAR": str(tmp_path / name)}).protect_var()


def test_a_lock_that_cannot_be_written_is_named_with_the_variable(tmp_path: Path) -> None:
    (tmp_path / "its.lock").mkdir()
    lock = read_settings({"FIVEFOLD_VAR": str(tmp_path)}).lock(tmp_path / "its.lock", wait=False)
    with pytest.raises(ConfigError, match=r"its.lock cannot be made \(.*\); FIVEFOLD_VAR must name a folder"), lock:
        pass


@pytest.mark.parametrize("environment", [{}, {"FIVEFOLD_VAR": ""}])
def test_by_default_that_is_var_where_the_program_was_started(environment: dict[str, str]) -> None:
    assert read_settings(environment).var == Path.cwd() / "var"


def test_the_folder_is_absolute_so_that_changing_directory_moves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/ann")
    assert read_settings({"FIVEFOLD_VAR": "kept"}).var == tmp_path / "kept"
    assert read_settings({"FIVEFOLD_VAR": "~/kept"}).var == Path("/home/ann/kept")


def test_the_process_environment_is_read_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIVEFOLD_VAR", str(tmp_path))
    assert read_settings().var == tmp_path


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("FIVEFOLD_LIMIT_ROW", "FIVEFOLD_LIMIT_ROWS"),
        ("FIVEFOLD_WEBHOOK_KEY", "FIVEFOLD_WEBHOOK_KEYS"),
        ("FIVEFOLD_SOURCES", "FIVEFOLD_SOURCES_FILE"),
    ],
)
def test_a_setting_that_there_is_not_is_named_with_the_nearest(name: str, nearest: str) -> None:
    assert unknown_settings({name: "1", "PATH": "/bin"}) == [(name, nearest)]


def test_what_others_set_is_taken_for_no_setting() -> None:
    """Kubernetes sets the last ones where a Service is named fivefold."""
    others = "SECRET_companies HOST TESTS TOKEN SERVICE_HOST SERVICE_PORT_HTTP PORT PORT_3000_TCP_ADDR WORKER_PORT"
    assert unknown_settings({f"FIVEFOLD_{name}": "1" for name in others.split()}) == []


def test_every_variable_that_is_read_is_a_setting() -> None:
    page = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    names = re.findall(r"`(FIVEFOLD_[A-Z_]*[A-Z])`", page)
    assert names
    assert unknown_settings(dict.fromkeys(names, "1")) == []


def test_no_proxy_is_trusted_unless_it_is_named() -> None:
    assert read_settings({}).trusted_proxies == ()
    named = read_settings({"FIVEFOLD_TRUSTED_PROXIES": "10.0.0.5, 172.18.0.0/16,::1"})
    assert named.trusted_proxies == ("10.0.0.5", "172.18.0.0/16", "::1")


@pytest.mark.parametrize("wrong", ["*", "proxy.internal", "10.0.0.5/8", "10.0.0.5;10.0.0.6"])
def test_a_proxy_that_is_no_address_is_refused(wrong: str) -> None:
    with pytest.raises(ConfigError, match=r"FIVEFOLD_TRUSTED_PROXIES has .*; it must be addresses or networks"):
        read_settings({"FIVEFOLD_TRUSTED_PROXIES": f"10.0.0.1,{wrong}"})


def test_the_home_of_bentoml_counts_unless_it_is_that_of_an_image() -> None:
    theirs = {"FIVEFOLD_VAR": "/data", "BENTOML_HOME": "/home/bentoml"}
    assert read_settings(theirs).bentoml_home == Path("/home/bentoml")
    assert read_settings({**theirs, "BENTOML_CONTAINERIZED": "true"}).bentoml_home == Path("/data/bentoml")


@pytest.mark.parametrize("name", ["FIVEFOLD_VAR", "FIVEFOLD_PLANS_FILE", "FIVEFOLD_SOURCES_FILE", "BENTOML_HOME"])
def test_a_home_that_is_not_known_is_refused_by_the_variable(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} is '~no-such-account/kept', and that home is not known here"):
        read_settings({name: "~no-such-account/kept"})


@pytest.mark.parametrize(
    ("name", "most"),
    [("LIMIT_ROWS", 10**12), ("LIMIT_SECONDS", 10**6), ("CLOCK_TOLERANCE_SECONDS", 10**6)],
)
def test_a_number_that_no_database_holds_is_refused(name: str, most: int) -> None:
    read_settings({f"FIVEFOLD_{name}": str(most)})
    with pytest.raises(ConfigError, match=f"FIVEFOLD_{name} is {most + 1}; it must be at most {most}$"):
        read_settings({f"FIVEFOLD_{name}": str(most + 1)})


def test_a_number_of_more_digits_than_python_reads_is_refused_by_its_variable() -> None:
    for text in ("9" * 5000, "0" * 5000):
        with pytest.raises(ConfigError, match=r"^FIVEFOLD_LIMIT_ROWS has 5,000 characters; it must be a whole number"):
            read_settings({"FIVEFOLD_LIMIT_ROWS": text})


_NO_HOSTS = ["https://scores.example", "scores.example/mcp", "*", "scores.example:x", "::1", "..", "a..b", ".a"]


@pytest.mark.parametrize("wrong", [*_NO_HOSTS, "scores.example:99999", "scores.example:0", "bücher.example"])
def test_a_host_that_no_request_would_name_is_refused(wrong: str) -> None:
    with pytest.raises(ConfigError, match=r"FIVEFOLD_MCP_HOSTS has .*; it must be names of hosts"):
        read_settings({"FIVEFOLD_MCP_HOSTS": f"scores.example,{wrong}"})
    right = "scores.example", "10.0.0.5:8443", "[::1]:8443", "localhost:*"
    assert read_settings({"FIVEFOLD_MCP_HOSTS": ", ".join(right)}).mcp_hosts == right
    upper = ", ".join(right).upper()
    assert read_settings({"FIVEFOLD_MCP_HOSTS": upper}).mcp_hosts == right, "as clients send them"
