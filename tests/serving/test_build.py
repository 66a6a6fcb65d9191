"""`bentoml build` makes a Bento of the service, without Docker, from what is under version control."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

import httpx
import psutil
import pytest
import yaml
from sqlalchemy import text

from fivefold.store.sql.database import open_database, require_current
from tests.pace import slowness
from tests.serving.processes.service import ROOT, START_SECONDS, STOP_SECONDS, free_port

pytestmark = pytest.mark.full

ROOMS = ("charts", "cli", "console", "domain", "features", "models", "serving", "store", "training", "usecases")
NO_CODE = (".git", ".venv", "var", "node_modules")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what a fresh clone holds, and of changes that are not committed yet."""
    folder = tmp_path_factory.mktemp("build") / "checkout"
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("this is no git checkout")
    for name in filter(None, listed.stdout.split("\0")):
        if os.path.lexists(ROOT / name):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name, follow_symlinks=False)
    return folder


def environment_of(checkout: Path) -> dict[str, str]:
    """Give the environment of BentoML's commands, without a setting of the machine's own."""
    foreign = ("BENTOML_", "FIVEFOLD_", "MLFLOW_TRACKING", "PROMETHEUS_", "FORWARDED_")
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(foreign)},
        "BENTOML_HOME": str(checkout.parent / "home"),
        "FIVEFOLD_VAR": str(checkout.parent / "var"),
        "BENTOML_DO_NOT_TRACK": "True",
        "PATH": str(checkout.parent / "nothing"),
    }


def run(checkout: Path, *command: str) -> str:
    """Run a command in a checkout."""
    environment = {**environment_of(checkout), "PATH": os.environ["PATH"]}
    done = subprocess.run(
        command, cwd=checkout, env=environment, capture_output=True, text=True, timeout=120 * slowness(), check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(checkout: Path) -> Path:
    run(checkout, "make", "bento", f"VENV={Path(sys.executable).parents[1]}", "READY=")
    (bento,) = json.loads(run(checkout, sys.executable, "-m", "bentoml", "list", "--output", "json"))
    name, _, version = bento["tag"].partition(":")
    return checkout.parent / "home" / "bentos" / name / version


def test_the_bento_is_of_the_service(built: Path) -> None:
    told = yaml.safe_load((built / "bento.yaml").read_text(encoding="utf-8"))
    assert told["name"] == "fivefold"
    assert told["service"] == "fivefold.serving.service:Fivefold"
    assert [service["name"] for service in told["services"]] == ["fivefold"]


def test_the_bento_holds_all_code_and_nothing_that_was_generated(built: Path) -> None:
    sources = built / "src"
    for room in ROOMS:
        expected = {Path("fivefold", path.relative_to(ROOT)) for path in (ROOT / room).rglob("*.py")}
        assert expected <= {path.relative_to(sources) for path in sources.rglob("*.py")}, room
    assert (sources / "fivefold" / "store" / "accounts" / "plans.yaml").is_file()
    names = {part for path in sources.rglob("*") for part in path.relative_to(sources).parts}
    assert not names & {"__pycache__", *NO_CODE}
    assert not [path for path in sources.rglob("*") if path.suffix in {".db", ".parquet", ".log"}]


def test_the_bento_names_what_it_needs(built: Path) -> None:
    python = "\n".join(path.read_text(encoding="utf-8") for path in (built / "env" / "python").rglob("*.txt"))
    for package in ("lightgbm", "fastapi", "sqlalchemy", "numba"):
        assert package in python.lower()


def test_the_bento_installs_no_development_package(built: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [name for name in project["optional-dependencies"]["dev"] if not name.startswith("fivefold")]
    development = {re.split(r"[\[<>=;]", name)[0].lower() for name in wanted}
    python = "\n".join(path.read_text(encoding="utf-8") for path in (built / "env" / "python").rglob("*.txt"))
    installed = set(re.findall(r"^([A-Za-z0-9._-]+)==", python, re.MULTILINE))
    assert "pytest" in development
    assert "bentoml" in installed
    assert not installed & development


@dataclass
class Started:
    """A Bento that was started from an empty folder, with nothing that was made before."""

    process: psutil.Popen
    url: str
    var: Path
    output: Path

    def get(self, path: str, **headers: str) -> httpx.Response:
        return httpx.get(self.url + path, headers=headers, timeout=30, trust_env=False)

    def wait_until_ready(self) -> None:
        begun = monotonic()
        while True:
            said = self.output.read_text(encoding="utf-8", errors="replace")
            assert self.process.poll() is None, said
            assert monotonic() - begun < START_SECONDS, said
            try:
                answer = self.get("/readyz/v1")
            except httpx.TransportError:
                sleep(0.2)
                continue
            assert answer.status_code == 200, answer.text + said
            return


@pytest.fixture(scope="module")
def started(checkout: Path, built: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    """The first answer of /readyz/v1 is awaited; nothing but BentoML's own command was run before."""
    folder = tmp_path_factory.mktemp("started")
    (folder / "stand").mkdir()
    port = free_port()
    environment = environment_of(checkout) | {
        "FIVEFOLD_VAR": str(folder / "var"),
        "FIVEFOLD_TRUSTED_PROXIES": "127.0.0.1",
    }
    command = [sys.executable, "-P", "-m", "bentoml", "serve", "fivefold:latest", "--port", str(port)]
    output = folder / "output.log"
    with output.open("wb") as log:
        process = psutil.Popen(command, cwd=folder / "stand", env=environment, stdout=log, stderr=log)
    one = Started(process, f"http://127.0.0.1:{port}", folder / "var", output)
    try:
        one.wait_until_ready()
        yield one
    finally:
        children = process.children(recursive=True) if process.is_running() else []
        process.terminate()
        process.wait(STOP_SECONDS)
        for child in children:
            if child.is_running():
                child.kill()


def test_a_bento_from_nothing_has_its_database_before_it_is_ready(started: Started, built: Path) -> None:
    engine = open_database(f"sqlite:///{started.var / 'fivefold.db'}")
    try:
        require_current(engine)
    finally:
        engine.dispose()
    assert started.var.stat().st_mode & 0o077 == 0
    assert list((started.output.parent / "stand").iterdir()) == []
    workers = [child for child in started.process.children(recursive=True) if "_bentoml_impl" in str(child.cmdline())]
    assert {Path(worker.cwd()) for worker in workers} == {built / "src"}


@pytest.mark.parametrize(
    ("number", "why"),
    [
        ("0000", "the database has schema 0000, and this program needs 0001: run `fivefold"),
        ("0015", "the database has schema 0015 of a program from before the first release, "),
    ],
)
def test_a_database_of_another_schema_is_said_with_what_to_do(started: Started, number: str, why: str) -> None:
    engine = open_database(f"sqlite:///{started.var / 'fivefold.db'}")
    try:
        with engine.begin() as connection:
            newest = connection.scalar(text("SELECT version_num FROM alembic_version"))
            connection.execute(text("UPDATE alembic_version SET version_num = :number"), {"number": number})
        answer = started.get("/readyz/v1")
        with engine.begin() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = :newest"), {"newest": newest})
    finally:
        engine.dispose()
    assert answer.status_code == 503
    (said,) = answer.json()
    assert said["detail"].startswith(why)
    assert started.get("/readyz/v1").status_code == 200


def test_a_bento_is_reached_from_its_own_machine_alone(started: Started) -> None:
    processes = [started.process, *started.process.children(recursive=True)]
    listening = {
        connection.laddr.ip
        for process in processes
        for connection in process.net_connections(kind="tcp")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {"127.0.0.1"}


def test_the_log_names_the_caller_of_a_proxy_that_is_trusted(started: Started) -> None:
    assert started.get("/v1/rulesets", **{"X-Forwarded-For": "203.0.113.9", "token": "unknown"}).status_code == 401
    begun = monotonic()
    while "203.0.113.9" not in started.output.read_text(encoding="utf-8", errors="replace"):
        assert monotonic() - begun < 10
        sleep(0.1)


def test_the_image_has_the_library_that_lightgbm_needs(built: Path) -> None:
    told = yaml.safe_load((built / "bento.yaml").read_text(encoding="utf-8"))
    assert any("apt-get install" in command and "libgomp1" in command for command in told["image"]["commands"])
