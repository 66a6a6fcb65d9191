"""What records name of the program that wrote them: its release, and the account that it ran under."""

import os
import pwd
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def release() -> str:
    """Return the release; `unknown` where neither the installed package nor pyproject.toml has it."""
    try:
        return version("fivefold")
    except PackageNotFoundError:
        return _of_sources(Path(__file__).resolve().parents[1] / "pyproject.toml")


def hash_text(content_hash: str) -> str:
    """Name a model in a file of scores by its hash; no reader of CSV takes it for a number.

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
    """Return the name of the account by its number, so that `LOGNAME` cannot forge it.

    An account without a name, such as a container's user, is named by its number.
    """
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
