"""A real Chromium before a real server: the console on a place that has one of everything."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.chromium import CHROMIUM, NONE_HERE
from tests.sharing import open_in_folder

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.serving.v1.places import Place


@pytest.fixture(scope="module")
def browser(furnished: "Place", request: pytest.FixtureRequest) -> "Browser":
    """Chromium, without a window: one for all tests of this folder.

    Playwright runs an event loop in this thread, in which `furnished` cannot be built, nor most tests of other folders
    run: the place comes first, and the browser ends with this folder.
    """
    if CHROMIUM is None:
        pytest.skip(NONE_HERE)
    return open_in_folder(request, "browser", _chromium)


@contextmanager
def _chromium() -> "Iterator[Browser]":
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


def look_of(scheme: str, width: int, *, scripts: bool) -> dict[str, Any]:
    """What a page of the browser is opened with."""
    return {
        "color_scheme": scheme,
        "viewport": {"width": width, "height": 800},
        "java_script_enabled": scripts,
    }


def in_looks(*quick: tuple[str, bool]) -> pytest.MarkDecorator:
    """Try a journey light on a wide screen and dark on a narrow one, each with scripts and without.

    *quick*: the looks, as the scheme and whether scripts run, that `make test` tries; CI tries all four.
    """
    return pytest.mark.parametrize(
        "look",
        [
            pytest.param(
                look_of(scheme, width, scripts=scripts),
                id=f"{scheme}-{width}-{'with' if scripts else 'without'}_scripts",
                marks=() if (scheme, scripts) in quick else pytest.mark.full,
            )
            for scheme, width in (("light", 1280), ("dark", 360))
            for scripts in (True, False)
        ],
    )


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
    from tests.serving.v1.furnishing import furnished_once

    with furnished_once(tmp_path_factory.mktemp("furnished")) as place:
        yield place
