"""The program that wrote a record, as records name it: its release, and the account that it ran under."""

import os
import pwd
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def release() -> str:
    """Return the release; `unknown` if neither the installed package nor pyproject.toml has it."""
    try:
        return version("fivefold")
    except PackageNotFoundError:
        return _of_sources(Path(__file__).resolve().parents[1] / "pyproject.toml")


def hash_text(content_hash: str) -> str:
    """Write a model's hash for a file of scores; the prefix keeps CSV readers from taking it for a number.

    >>> hash_text("0123456789abcdef0123456789abcdef")
    'sha256:0123456789abcdef'
    """
    return f"sha256:{content_hash[:16]}"


def _of_sources(file: Path) -> str:
    try:
        project = tomllib.loads(file.read_text(encoding="utf-8"))["project"]
        return str(project["version"]) if project["name"] == "fivefold" else "unknown"
    except (OSError, KeyError, tomllib.TOMLDecodeError):
        return "unknown"


def account_name() -> str:
    """Look up the account's name by its number, so that `LOGNAME` cannot forge it.

    An account without a name, such as a container's user, is named by its number.
    """
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
