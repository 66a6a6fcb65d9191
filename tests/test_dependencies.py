"""What is imported is declared, in the extra that needs it; who only scores files installs no more than that takes."""

import ast
import importlib.metadata
import json
import os
import re
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest

from fivefold.domain.provenance import EXTRAS, release
from tests.cli.running import AS_OF, CONFIG
from tests.extras import needs_of

ROOT = Path(__file__).parent.parent
ROOMS = (
    "domain",
    "charts",
    "features",
    "models",
    "risk",
    "flows",
    "store",
    "training",
    "usecases",
    "console",
    "serving",
    "cli",
    "client",
    "notebook",
)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
NOT_IMPORTED = {"httptools", "tzdata", "uvloop"}
"""uvicorn takes two of them where they are, and zoneinfo the third."""
OWN = "fivefold"


def plain(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9._-]", requirement)[0].lower().replace("_", "-")


def declared(extra: str | None = None) -> set[str]:
    lines = PROJECT["dependencies"] if extra is None else PROJECT["optional-dependencies"][extra]
    return {plain(line) for line in lines} - {OWN}


@cache
def imported() -> dict[str, set[str]]:
    """List the modules of others that each module of ours imports."""
    found = {}
    for room in ROOMS:
        for file in (ROOT / room).rglob("*.py"):
            names: set[str] = set()
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import):
                    names |= {name.name for name in node.names}
                elif isinstance(node, ast.ImportFrom) and node.level == 0:
                    names.add(str(node.module))
            tops = {name.partition(".")[0] for name in names}
            found[str(file.relative_to(ROOT))] = tops - {OWN} - set(sys.stdlib_module_names)
    return found


@cache
def of_modules() -> dict[str, set[str]]:
    return {
        module: {name.lower().replace("_", "-") for name in names}
        for module, names in importlib.metadata.packages_distributions().items()
    }


def packages(module: str) -> set[str]:
    """Name the packages that have a module; one that is not installed here is taken to be named as its module."""
    return of_modules().get(module, {module})


def test_everything_that_is_imported_is_declared() -> None:
    everything = declared().union(*(declared(extra) for extra in EXTRAS))
    undeclared = {
        (file, module)
        for file, modules in imported().items()
        for module in modules
        if not packages(module) & everything
    }
    assert undeclared == set()


def test_everything_that_is_declared_is_imported() -> None:
    needed = set().union(*(packages(module) for module in set().union(*imported().values())))
    everything = declared().union(*(declared(extra) for extra in EXTRAS))
    assert everything - needed == NOT_IMPORTED


@pytest.mark.parametrize("extra", sorted(EXTRAS))
def test_the_modules_of_an_extra_are_named_for_the_message(extra: str) -> None:
    found = set().union(*(packages(module) & declared(extra) for module in EXTRAS[extra]))
    others = {"pandas", "mlflow", "shap"} if extra == "train" else set()  # the platform, which it includes, has them
    assert found == declared(extra) - others
    assert release() == PROJECT["version"]


def test_no_extra_is_named_for_a_module_that_is_always_there() -> None:
    assert {module for found in EXTRAS.values() for module in found if packages(module) & declared()} == set()


BARE = """
import importlib.metadata, io, json, sys
class Nothing:
    names = set(json.loads(sys.argv[1]))
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Nothing())
known = importlib.metadata.distribution
def distribution(name):
    if name in Nothing.names:
        raise importlib.metadata.PackageNotFoundError(name)
    return known(name)
importlib.metadata.distribution = distribution
from fivefold.cli import terminal
from fivefold.cli.main import main
said = []
for arguments in json.loads(sys.argv[2]):
    sys.argv = ["fivefold", *arguments]
    terminal.errors.file, terminal.console.file, sys.stdout = io.StringIO(), io.StringIO(), io.StringIO()
    try:
        main()
    except SystemExit as end:
        said.append([end.code, terminal.errors.file.getvalue()])
print(json.dumps(said), file=sys.__stdout__)
"""


def bare(var: Path, folder: Path, commands: list[list[str]], extra: str = "") -> list[tuple[int, str]]:
    """Run commands in one process, to which one of the extras is installed, or none."""
    modules = [module for found in EXTRAS.values() for module in found]
    # Without an extra pydantic brings two.
    installed = needs_of(extra) if extra else {"typing-extensions", "pydantic-core"}
    given = [json.dumps([name for name in modules if not packages(name) & installed]), json.dumps(commands)]
    environment = {**os.environ, "FIVEFOLD_VAR": str(var)}
    done = subprocess.run(
        [sys.executable, "-P", "-c", BARE, *given],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [(code, text) for code, text in json.loads(done.stdout)]


@pytest.mark.full
def test_files_are_scored_and_rulesets_tried_without_any_extra(tmp_path: Path) -> None:
    from fivefold.domain.settings import read_settings
    from fivefold.features.indicator_matrix import warm
    from fivefold.features.numba_cache import COMPILING
    from fivefold.training.simulation.simulator import Simulation, write_simulation
    from tests.mlflow_address import kept_address
    from tests.models.making import add_version, new_registry, value_model

    with kept_address():
        registry = new_registry(tmp_path / "var", "fivefold-value")
        registry.set_alias("champion", add_version(registry, value_model(), tmp_path / "saved"))
    warm()
    (tmp_path / "var" / "kernels").symlink_to(read_settings().kernels)
    write_simulation(Simulation(customers=20), tmp_path / "rows.parquet")
    user = ["--user", "user_000002", "--as-of", AS_OF]
    commands = [
        ["score", "rows.parquet", "--as-of", AS_OF, "--explain", "-o", "scores.csv"],
        ["explain", "rows.parquet", *user],
        ["explain", "rows.parquet", *user, "--json"],
        ["sort", "rows.parquet", "-o", "sorted.parquet"],
        ["simulate", "-o", "more.parquet", "--customers", "5"],
        ["indicators"],
        ["rules", "lint", "fatf-retail"],
        ["rules", "test", "fatf-retail"],
        ["flows", "lint", "limits"],
        ["flows", "test", "limits"],
    ]
    said = bare(tmp_path / "var", tmp_path, commands)
    assert [(code, text.replace(f"{COMPILING}\n", "")) for code, text in said] == [(0, "")] * len(commands)


def test_a_missing_extra_is_one_line_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(CONFIG)
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "mlflow.db").touch()  # without a registry a promotion is refused at once
    (tmp_path / "a.parquet").touch()
    commands = {
        ("train",): "train",
        ("demo",): "all",
        ("models",): "platform",
        ("promote", "1"): "platform",
        ("recalibrate", "--data", "a.parquet"): "train",
        ("realised", "a.parquet", "--data", "a.parquet"): "train",
        ("tokens", "list"): "platform",
        ("worker", "--once"): "platform",
        ("level", "a"): "platform",
        ("serve",): "serve",
        ("mcp",): "serve",
        ("rules", "table", "export", "session-verification", "verdict", "--to", "a.xlsx"): "tables",
    }
    said = bare(tmp_path / "var", tmp_path, [list(arguments) for arguments in commands])
    for (code, text), extra in zip(said, commands.values(), strict=True):
        assert code == 2
        words = rf"fivefold: this needs \w+, which is not installed here: pip install 'fivefold\[{extra}\]'\n"
        assert re.fullmatch(words, text)
    assert not (tmp_path / "var" / "demo").exists()


@pytest.mark.full
@pytest.mark.parametrize(
    ("extra", "commands"),
    [
        (
            "train",
            [
                ["train", "--data", "rows.parquet", "--config", "tiny.yaml"],
                ["promote", "1", "--force", "--reason", "So few customers do not show that it is surely better."],
                ["models"],
                ["explain", "rows.parquet", "--user", "user_000002", "--as-of", AS_OF, "--png", "why.png"],
            ],
        ),
        ("platform", [["tokens", "list"], ["worker", "--once"], ["models"]]),
        ("tables", [["rules", "table", "export", "session-verification", "verdict", "--to", "a.xlsx"]]),
    ],
)
def test_the_extra_that_is_named_for_a_command_is_all_that_it_takes(
    extra: str, commands: list[list[str]], tmp_path: Path
) -> None:
    from fivefold.domain.settings import read_settings
    from fivefold.features.indicator_matrix import warm
    from fivefold.training.simulation.simulator import Simulation, write_simulation

    warm()
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "kernels").symlink_to(read_settings().kernels)
    (tmp_path / "tiny.yaml").write_text(CONFIG)
    write_simulation(Simulation(customers=400), tmp_path / "rows.parquet")
    said = bare(tmp_path / "var", tmp_path, commands, extra)
    assert [code for code, _ in said] == [0] * len(commands), said


@pytest.mark.parametrize(
    ("module", "asked", "extra"),
    [
        ("pandas", "fivefold.read_transactions", "platform"),
        ("pandas", "fivefold.train", "train"),
        ("optuna", "fivefold.train", "train"),
        ("httpx", "fivefold.client", "client"),
    ],
)
def test_a_program_without_an_extra_reads_which_one_has_all_that_it_needs(module: str, asked: str, extra: str) -> None:
    program = f"import sys; sys.modules[{module!r}] = None; import fivefold; from fivefold import {asked[9:]}"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    needed = f"this needs {module}, which is not installed here: pip install 'fivefold[{extra}]'"
    assert ended.stderr.splitlines()[-1] == f"ModuleNotFoundError: {asked}: {needed}"


@pytest.mark.parametrize(("locale", "set_to"), [("C", "C.UTF-8"), ("POSIX", "C.UTF-8"), ("de_DE.UTF-8", "de_DE.UTF-8")])
def test_make_reads_paths_with_umlauts_in_every_locale(locale: str, set_to: str, tmp_path: Path) -> None:
    file = tmp_path / "Makefile"
    file.write_text("include Makefile\nlocale:\n\t@echo $$LC_ALL\n", encoding="utf-8")
    command = ["make", "--silent", f"--file={file}", "locale"]
    for arguments, environment in ((command, {"LC_ALL": locale}), ([*command, f"LC_ALL={locale}"], {})):
        ended = subprocess.run(
            arguments, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, check=True
        )
        assert ended.stdout.strip() == set_to
