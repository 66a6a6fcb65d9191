"""The release, where fivefold is installed and where it runs from its sources."""

import importlib.metadata
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from fivefold.domain import provenance as module
from fivefold.domain.provenance import release, sources_hash


def test_the_release_is_that_of_the_package() -> None:
    assert release() == importlib.metadata.version("fivefold")


def test_sources_without_an_installed_package_know_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = release()

    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(module, "version", missing)
    assert release() == installed


def test_the_hash_of_the_sources_changes_with_a_module_of_any_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "room").mkdir()
    (tmp_path / "room" / "module.py").write_text("a = 1")
    package = tmp_path / "fivefold"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "room").symlink_to(tmp_path / "room")
    monkeypatch.setattr(module, "import_module", lambda _: SimpleNamespace(__file__=str(package / "__init__.py")))
    before = sources_hash()
    (tmp_path / "room" / "notes.md").write_text("b")
    assert sources_hash() == before
    (tmp_path / "room" / "module.py").write_text("a = 2")
    assert sources_hash() != before


NOT_OURS = ["", "not toml [", '[project]\nname = "other"\nversion = "9"', '[project]\nname = "a"']


@pytest.mark.parametrize("text", NOT_OURS)
def test_another_project_s_file_is_not_taken_for_ours(text: str, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    assert module._of_sources(tmp_path / "pyproject.toml") == "unknown"
    assert module._of_sources(tmp_path / "none.toml") == "unknown"


def test_no_module_asks_for_the_installed_package_otherwise() -> None:
    """Where it is not installed, as in a container, that ends in an error."""
    root = Path(module.__file__).parent.parent
    asks = re.compile(r"""(version|installed|distribution|metadata)\(["']fivefold""")
    rooms = ["charts", "cli", "console", "features", "models", "risk", "serving", "store", "training", "usecases"]
    found = [
        str(file.relative_to(root))
        for folder in rooms
        for file in (root / folder).rglob("*.py")
        if asks.search(file.read_text(encoding="utf-8"))
    ]
    assert found == []
