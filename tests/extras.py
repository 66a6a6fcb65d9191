"""The packages that an extra of pyproject.toml installs, its own and those that they need."""

import importlib.metadata
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def needs_of(extra: str) -> set[str]:
    """Name them as on the oldest Python, as pyproject.toml and the installed packages say."""
    pyproject = Path(__file__).parents[1] / "pyproject.toml"
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    oldest = {"python_version": "3.11", "python_full_version": "3.11.0"}
    found: set[str] = set()
    waiting = [Requirement(f"fivefold[{extra}]")]
    followed: set[tuple[str, str]] = set()
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        for asked in ("", *wanted.extras):
            if (name, asked) in followed:
                continue
            followed.add((name, asked))
            if name == "fivefold":
                needs = project["optional-dependencies"][asked] if asked else project["dependencies"]
            else:
                found.add(name)
                needs = importlib.metadata.distribution(name).requires or []
            each = [Requirement(need) for need in needs]
            waiting += [one for one in each if not one.marker or one.marker.evaluate({**oldest, "extra": asked})]
    return found
