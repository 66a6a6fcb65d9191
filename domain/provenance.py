"""Provenance for records: the program's release, the account that it ran under, and models by their content."""

import hashlib
import os
import pwd
import tomllib
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def release() -> str:
    """Return the release; `unknown` if neither the installed package nor pyproject.toml has it."""
    try:
        return version("fivefold")
    except PackageNotFoundError:
        return _of_sources(Path(__file__).resolve().parents[1] / "pyproject.toml")


def sources_hash() -> str:
    """Return a short hash of the program's own modules: sources under development change within a release.

    >>> len(sources_hash())
    8
    """
    package = Path(import_module(__name__.partition(".")[0]).__file__ or "").parent
    walked = os.walk(package, followlinks=True)  # the rooms are links where the program runs from its sources
    modules = sorted(Path(folder, name) for folder, _, names in walked for name in names if name.endswith(".py"))
    whole = hashlib.sha256()
    for module in modules:
        whole.update(f"{module.relative_to(package)}\0".encode())
        whole.update(hashlib.sha256(module.read_bytes()).digest())
    return whole.hexdigest()[:8]


def hash_text(content_hash: str) -> str:
    """Write a model's hash for a file of scores; the prefix keeps CSV readers from taking it for a number.

    >>> hash_text("0123456789abcdef0123456789abcdef")
    'sha256:0123456789abcdef'
    """
    return f"sha256:{content_hash[:16]}"


def may_be_same_model(one: str | None, other: str | None) -> bool:
    """Return whether two models of one name and number may be the same, by their content hashes.

    A new registry gives the same number to another model. If a hash is not recorded, the name and the number decide.
    For stored values only the serving version's hash may be missing: a value without a hash is computed again once
    (`store.portfolio.values`).

    >>> may_be_same_model("ab", "ab"), may_be_same_model("ab", "cd"), may_be_same_model(None, "ab")
    (True, False, True)
    """
    return one is None or other is None or one == other


def _of_sources(file: Path) -> str:
    try:
        project = tomllib.loads(file.read_text(encoding="utf-8"))["project"]
        return str(project["version"]) if project["name"] == "fivefold" else "unknown"
    except (OSError, KeyError, tomllib.TOMLDecodeError):
        return "unknown"


def account_name() -> str:
    """Return the account's name, looked up by its number, so that `LOGNAME` cannot forge it.

    An account without a name, such as a container's user, is named by its number.
    """
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


EXTRAS = {
    "charts": ("altair", "vl_convert"),
    "train": ("matplotlib", "optuna", "requests", "sklearn"),
    "platform": (
        "alembic",
        "cryptography",
        "httpx",
        "jsonschema",
        "mlflow",
        "pandas",
        "prometheus_client",
        "psycopg",
        "referencing",
        "shap",
        "sqlalchemy",
        "standardwebhooks",
        "structlog",
    ),
    "serve": (
        "authlib",
        "bentoml",
        "fastapi",
        "httptools",
        "joserfc",
        "mcp",
        "pydantic_core",
        "reportlab",
        "starlette",
        "tzdata",
        "uvicorn",
        "uvloop",
    ),
    "spark": ("pyspark", "py4j"),
    "delta": ("deltalake",),
    "iceberg": ("pyiceberg",),
    "stores": ("fsspec",),
    "tables": ("defusedxml", "openpyxl"),
}
"""The modules of each extra of pyproject.toml, each under the smallest extra that has it; a test compares them."""


def missing_extra(error: ModuleNotFoundError) -> str:
    """Return one line that names the extra of a missing module; empty if no extra has it.

    >>> missing_extra(ModuleNotFoundError(name="altair.vegalite"))
    "this needs altair, which is not installed here: pip install 'fivefold[charts]'"
    """
    module = (error.name or "").partition(".")[0]
    for extra, modules in EXTRAS.items():
        if module in modules:
            return needs_extra(module, extra)
    return ""


def needs_extra(module: str, extra: str) -> str:
    """Return the message that names a missing module and an extra that has it."""
    return f"this needs {module}, which is not installed here: pip install 'fivefold[{extra}]'"
