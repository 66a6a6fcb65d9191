"""A registered model brings the code that it needs: it loads where fivefold is not installed, beside foreign code."""

import ast
import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import fivefold
from fivefold.models.registry import Registry
from fivefold.training.register import LEFT_OUT, REQUIREMENTS, SHIPPED
from tests.models.making import reference_matrix, value_model

LOAD = """
import json, sys
sys.path[:] = [path for path in sys.path if path != sys.argv[1]]
sys.meta_path[:] = [finder for finder in sys.meta_path if "editable" not in type(finder).__module__]
import mlflow, pandas
{before}
model = mlflow.pyfunc.load_model(sys.argv[2])
import fivefold
frame = pandas.DataFrame(json.loads(sys.stdin.read()), columns=model.metadata.get_input_schema().input_names())
print(json.dumps([fivefold.__file__, model.predict(frame)["score"].tolist()]))
"""
"""Loads a model with neither the sources nor the installed package on the path."""
PACKAGE = Path(fivefold.__file__).parent


def load(registry: Registry, cwd: Path, before: str = "", *path: Path) -> subprocess.CompletedProcess[str]:
    registry.use()
    folder = next(registry.settings.artifacts.rglob("MLmodel")).parent
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"PYTHONPATH": os.pathsep.join(map(str, path))} if path else {}
    environment["PYTHONDONTWRITEBYTECODE"] = "1"  # tests share the model's folder, and look at what is in it
    rows = reference_matrix()[:3]
    return subprocess.run(
        [sys.executable, "-c", LOAD.format(before=before), str(PACKAGE.parent), str(folder)],
        cwd=cwd,
        env=environment,
        input=json.dumps(rows.tolist()),
        capture_output=True,
        text=True,
        check=False,
    )


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
    done = load(filled, other(tmp_path / "project", *SHIPPED))
    assert done.returncode == 0, done.stderr
    where, scores = json.loads(done.stdout.splitlines()[-1])
    assert Path(where).is_relative_to(filled.settings.artifacts)
    assert scores == value_model().scores(reference_matrix()[:3]).score.tolist()


@pytest.mark.full
def test_another_package_of_our_name_that_was_imported_before_is_named(filled: Registry, tmp_path: Path) -> None:
    project = other(tmp_path / "project", "fivefold")
    done = load(filled, tmp_path, "import fivefold", project)
    assert done.returncode != 0
    assert f"{project / 'fivefold' / '__init__.py'} is another module named 'fivefold'" in done.stderr


def test_the_requirements_are_all_that_the_code_imports() -> None:
    needed = set()
    for room in SHIPPED:
        for file in (PACKAGE / room).rglob("*.py"):
            if set(file.relative_to(PACKAGE).parts) & set(LEFT_OUT):
                continue
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                names = [name.name for name in node.names] if isinstance(node, ast.Import) else []
                names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
                needed |= {name.partition(".")[0] for name in names}
    installed = importlib.metadata.packages_distributions()
    modules = needed - {"fivefold"} - set(sys.stdlib_module_names)
    assert modules
    assert not [module for module in modules if not {name.lower() for name in installed[module]} & set(REQUIREMENTS)]
    assert len(modules) == len(REQUIREMENTS)


@pytest.mark.parametrize("name", SHIPPED)
def test_the_code_travels_with_the_model(filled: Registry, name: str) -> None:
    (code,) = {path.parent.parent for path in filled.settings.artifacts.rglob(f"code/fivefold/{name}/__init__.py")}
    assert not list(code.rglob("__pycache__"))
