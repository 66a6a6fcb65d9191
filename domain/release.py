"""The release of fivefold, also where it runs from its sources without installation, as in a container."""

import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def release() -> str:
    """Give the release; `unknown` where neither the installed package nor pyproject.toml has it."""
    try:
        return version("fivefold")
    except PackageNotFoundError:
        return _of_sources(Path(__file__).resolve().parents[1] / "pyproject.toml")


def _of_sources(file: Path) -> str:
    try:
        project = tomllib.loads(file.read_text(encoding="utf-8"))["project"]
        return str(project["version"]) if project["name"] == "fivefold" else "unknown"
    except (OSError, KeyError, tomllib.TOMLDecodeError):
        return "unknown"
