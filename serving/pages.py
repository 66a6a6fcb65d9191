"""Pages: what a browser is shown, all of it from this machine; and the end of every path that is not documented."""

import asyncio
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Final

import bentoml
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from fivefold.serving.authentication import soon
from fivefold.serving.responses import refused

OURS: Final = Path(__file__).parent / "static"
EXPLORER: Final = Path(bentoml.__file__).parent / "_internal" / "server" / "static_content"
"""Swagger UI (Apache 2.0), of which BentoML brings a copy; a test says when it does not any more."""

FILES: Final[Mapping[str, tuple[Path, str]]] = {
    "/": (OURS / "home.html", "text/html; charset=utf-8"),
    "/docs": (OURS / "docs.html", "text/html; charset=utf-8"),
    "/docs/start.js": (OURS / "start.js", "text/javascript; charset=utf-8"),
    "/docs/fivefold.css": (OURS / "fivefold.css", "text/css; charset=utf-8"),
    "/docs/swagger-ui.css": (EXPLORER / "swagger-ui.css", "text/css; charset=utf-8"),
    "/docs/swagger-ui-bundle.js": (EXPLORER / "swagger-ui-bundle.js", "text/javascript; charset=utf-8"),
}
SAFE: Final[Mapping[str, str]] = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "public, max-age=300",
}
"""A browser loads nothing from elsewhere, and sends nothing there, whatever a page may say."""

PAGE_SECONDS: Final = 5.0
"""So long a page is waited for that is computed: most take some milliseconds, and the contract a second once."""
PASSED_ON: Final = ("/v4/", "/v1/")
PASSED_ON_EXACTLY: Final = frozenset({"/livez", "/healthz"})
"""Everything else of the framework's own answers without a token, and is needed by nobody, or costs too much."""


class Pages:
    """Answers pages; passes documented routes on; everything else is 404."""

    def __init__(self, app: ASGIApp, computed: Mapping[str, Callable[[], Response]]) -> None:
        """Stand before *app*, with the pages that are computed when they are asked for."""
        self._app = app
        self._computed = computed
        self._running: dict[str, asyncio.Future[Response]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"]
        page = self._computed.get(path)
        if page is None and path not in FILES:
            known = path.startswith(PASSED_ON) or path in PASSED_ON_EXACTLY
            await (self._app if known else refused(404))(scope, receive, send)
        elif scope["method"] not in {"GET", "HEAD"}:
            await refused(405, headers={"Allow": "GET, HEAD"})(scope, receive, send)
        elif page is None:
            await file_at(path)(scope, receive, send)
        else:
            await (await self._page(path, page))(scope, receive, send)

    async def _page(self, path: str, page: Callable[[], Response]) -> Response:
        """Compute a page in a thread, once for all who ask meanwhile; 503 where it hangs, as the database may."""
        running = self._running.get(path)
        if running is None:
            running = self._running[path] = asyncio.ensure_future(soon(page))
            running.add_done_callback(lambda _: self._running.pop(path))
        try:
            async with asyncio.timeout(PAGE_SECONDS):
                return await asyncio.shield(running)
        except TimeoutError:
            return refused(503, "the database does not answer")


def file_at(path: str) -> Response:
    """Give a page or a part of one; 404 where its file is not there."""
    file, kind = FILES[path]
    content = _content(file)
    return refused(404) if content is None else Response(content, media_type=kind, headers=dict(SAFE))


@cache
def _content(file: Path) -> bytes | None:
    try:
        return file.read_bytes()
    except OSError:
        return None
