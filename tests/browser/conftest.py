"""A real Chromium before a real server: the console on a place that has one of everything."""

import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.pace import slowness

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.serving.v1.places import Place

NAMES = ("chromium", "chromium-browser", "google-chrome")
INSTALL_SECONDS = 200


def _chromium() -> str | None:
    return next(filter(None, map(shutil.which, NAMES)), None)


def _install() -> None:
    """Install Debian's package where that is possible; what fails is seen by its absence."""
    if os.getuid() == 0 and shutil.which("apt-get"):
        install = "apt-get update -q && apt-get install -qy --no-install-recommends chromium"
        with suppress(subprocess.TimeoutExpired):
            subprocess.run(install, shell=True, check=False, capture_output=True, timeout=INSTALL_SECONDS * slowness())


@pytest.fixture(scope="module")
def browser(furnished: "Place") -> "Iterator[Browser]":
    """Chromium, without a window.

    Playwright runs an event loop in this thread, in which `furnished` cannot be built: it comes first, and the
    browser ends with its module.
    """
    if _chromium() is None:
        _install()
    program = _chromium()
    if program is None:
        pytest.skip("there is no Chromium, and Debian's package cannot be installed here")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@dataclass(frozen=True)
class Served:
    """The console at an address, and the place behind it."""

    address: str
    place: "Place"


@pytest.fixture
def served(furnished: "Place", tmp_path: Path) -> Iterator[Served]:
    """The console on a port of this machine, for this test alone."""
    import uvicorn

    from fivefold.serving.error_middleware import ErrorMiddleware
    from tests.console.visitors import pages
    from tests.serving.v1.places import LIMITS, copied

    app, console = pages()
    with copied(furnished, tmp_path) as place, socket.create_server(("127.0.0.1", 0)) as listener:
        console._engine = place.engine
        edge = ErrorMiddleware(app, place.watching, LIMITS.seconds)  # type: ignore[arg-type]  # stands in
        server = uvicorn.Server(uvicorn.Config(edge, log_level="error", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield Served(f"http://127.0.0.1:{listener.getsockname()[1]}", place)
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="session")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Place]":
    """Two organisations, the first with one of everything; only to be read and copied."""
    from tests.serving.v1.examples import furnish
    from tests.serving.v1.places import settled

    with settled(tmp_path_factory.mktemp("furnished")) as place:
        yield furnish(place)
