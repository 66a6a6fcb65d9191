"""A registered model brings the code that it needs: it loads where fivefold is not installed, beside foreign code."""

import ast
import importlib.metadata
import json
import os
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

import mlflow
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import settings

import fivefold
from fivefold.domain.settings import read_settings
from fivefold.models.registry import Registry
from fivefold.models.scoring.histories import Scoring
from fivefold.models.scoring.sources import score_source
from fivefold.training.logged import LEFT_OUT, REQUIREMENTS, SHIPPED
from fivefold.training.simulation.simulator import Simulation, simulate
from tests.models.making import AS_OF, DAY, value_model

LOAD = """
import json, sys
sys.path[:] = [path for path in sys.path if path != sys.argv[1]]
sys.meta_path[:] = [finder for finder in sys.meta_path if "editable" not in type(finder).__module__]
import mlflow, pandas
{before}
model = mlflow.pyfunc.load_model(sys.argv[2])
import fivefold
found = model.predict(pandas.read_parquet(sys.argv[3]), params={{"as_of": sys.argv[4]}})
print(json.dumps([fivefold.__file__, found["score"].tolist()]))
"""
"""Loads a model with neither the sources nor the installed package on the path."""
CUSTOMERS = Simulation(customers=30, seed=5)
PACKAGE = Path(fivefold.__file__).parent


def load(
    registry: Registry, cwd: Path, before: str = "", *path: Path, python: str = sys.executable, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Score simulated customers with the registered model in another interpreter."""
    registry.use()
    folder = mlflow.artifacts.download_artifacts("models:/value@champion")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"PYTHONPATH": os.pathsep.join(map(str, path))} if path else {}
    environment["PYTHONDONTWRITEBYTECODE"] = "1"  # tests share the model's folder, and look at what is in it
    pq.write_table(pa.concat_tables(simulate(CUSTOMERS)), cwd / "rows.parquet")
    return subprocess.run(
        [python, "-c", LOAD.format(before=before), str(PACKAGE.parent), folder, "rows.parquet", DAY.isoformat()],
        cwd=cwd,
        env=environment | variables,
        capture_output=True,
        text=True,
        check=False,
    )


def scores_here(folder: Path) -> list[float]:
    """Score the same customers in this process, as a file."""
    return [
        score
        for batch in score_source(value_model(), folder / "rows.parquet", Scoring(AS_OF))
        for score in batch.table["score"]
    ]


def other(folder: Path, *names: str) -> Path:
    """Make packages of others in a folder, by names of ours."""
    for name in names:
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text("mine = True\n")
    return folder


@pytest.mark.full
def test_it_loads_where_only_its_own_code_is_and_beside_folders_of_the_same_names(
    filled: Registry, tmp_path: Path
) -> None:
    project = other(tmp_path / "project", *SHIPPED)
    done = load(filled, project, FIVEFOLD_VAR=str(read_settings().var))  # its kernels are compiled already
    assert done.returncode == 0, done.stderr
    where, scores = json.loads(done.stdout.splitlines()[-1])
    assert Path(where).is_relative_to(filled.settings.artifacts)
    assert scores == scores_here(project)


@pytest.mark.skipif(settings.get_current_profile_name() != "soak", reason="downloads 200 MB, takes five minutes")
def test_it_scores_on_a_machine_that_has_only_what_its_own_requirements_name(filled: Registry, tmp_path: Path) -> None:
    filled.use()
    folder = Path(mlflow.artifacts.download_artifacts("models:/value@champion"))
    venv.create(tmp_path / "clean", with_pip=True)
    python = str(tmp_path / "clean" / "bin" / "python")
    for arguments in (["install", "--quiet", "--requirement", str(folder / "requirements.txt")], ["check"]):
        done = subprocess.run([python, "-m", "pip", *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    listed = subprocess.run([python, "-m", "pip", "list"], capture_output=True, text=True, check=True).stdout
    assert "fivefold" not in listed
    done = load(filled, tmp_path, python=python, FIVEFOLD_VAR=str(tmp_path / "var"))
    assert done.returncode == 0, done.stderr
    where, scores = json.loads(done.stdout.splitlines()[-1])
    assert Path(where).is_relative_to(filled.settings.artifacts)
    assert scores == scores_here(tmp_path)


@pytest.mark.full
def test_another_package_of_our_name_that_was_imported_before_is_named(filled: Registry, tmp_path: Path) -> None:
    project = other(tmp_path / "project", "fivefold")
    done = load(filled, tmp_path, "import fivefold", project)
    assert done.returncode != 0
    assert f"{project / 'fivefold' / '__init__.py'} is another module named 'fivefold'" in done.stderr


@pytest.mark.full
def test_code_of_an_older_model_that_was_loaded_before_is_named(filled: Registry, tmp_path: Path) -> None:
    project = other(tmp_path / "project", "fivefold")
    (project / "fivefold" / "models").mkdir()
    (project / "fivefold" / "models" / "value_model.py").touch()
    done = load(filled, tmp_path, "import fivefold", project)
    assert done.returncode != 0
    assert f"{project / 'fivefold'} is of an older model, whose code reads no transactions" in done.stderr


def shipped_files() -> list[Path]:
    """List the modules that go with a registered model, by their places in the package."""
    files = (file.relative_to(PACKAGE) for room in SHIPPED for file in (PACKAGE / room).rglob("*.py"))
    return [file for file in files if not set(file.parts) & set(LEFT_OUT)]


def parsed(file: Path) -> ast.Module:
    return ast.parse((PACKAGE / file).read_text(encoding="utf-8"))


def imported(nodes: Sequence[ast.AST]) -> set[str]:
    """Give the names of the modules that some of these nodes import."""
    names = {name.name for node in nodes if isinstance(node, ast.Import) for name in node.names}
    return names | {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}


def test_no_module_that_goes_with_a_model_imports_one_that_is_left_out() -> None:
    """Those that are imported within a function are asked for what a registered model does not do."""
    files = shipped_files()
    there = {".".join(("fivefold", *file.with_suffix("").parts)).removesuffix(".__init__") for file in files}
    for file in files:
        ours = {name for name in imported(parsed(file).body) if name.startswith("fivefold.")}
        assert ours <= there, file


def test_the_requirements_are_all_that_the_code_imports() -> None:
    names = {name for file in shipped_files() for name in imported(list(ast.walk(parsed(file))))}
    needed = {name.partition(".")[0] for name in names}
    installed = importlib.metadata.packages_distributions()
    modules = needed - {"fivefold"} - set(sys.stdlib_module_names)
    assert modules
    assert not [module for module in modules if not {name.lower() for name in installed[module]} & set(REQUIREMENTS)]
    assert len(modules) == len(REQUIREMENTS)


@pytest.mark.parametrize("name", SHIPPED)
def test_the_code_travels_with_the_model(filled: Registry, name: str) -> None:
    codes = {path.parent.parent for path in filled.settings.artifacts.rglob(f"code/fivefold/{name}/__init__.py")}
    assert len(codes) == 2  # of the model of transactions, and of that of indicators
    assert not [found for code in codes for found in code.rglob("__pycache__")]
