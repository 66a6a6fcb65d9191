"""Pages for browsers, which load nothing from other hosts; every undocumented path is 404."""

import asyncio
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Final

import bentoml
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from fivefold.serving.authentication import run_in_short_pool
from fivefold.serving.responses import error_response

OURS: Final = Path(__file__).parent / "static"
EXPLORER: Final = Path(bentoml.__file__).parent / "_internal" / "server" / "static_content"
"""Swagger UI (Apache 2.0) as BentoML ships it; a test fails if it no longer does."""

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
"""With these headers a browser loads nothing from other hosts, and sends nothing there."""

PAGE_SECONDS: Final = 5.0
"""Time limit of a computed page: most take milliseconds, the OpenAPI document a second at the first time."""
PASSED_ON: Final = ("/v4/", "/v1/", "/console/")
PASSED_ON_EXACTLY: Final = frozenset({"/livez", "/healthz", "/console", "/mcp"})
"""The framework's other routes answer without a token, and are unused or too costly."""


class Pages:
    """Serves pages, passes documented routes on, and answers 404 to everything else."""

    def __init__(self, app: ASGIApp, computed: Mapping[str, Callable[[], Response]]) -> None:
        """Wrap *app*; *computed* has the functions, by path, of pages that are made for each request."""
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
            is_known = path.startswith(PASSED_ON) or path in PASSED_ON_EXACTLY
            await (self._app if is_known else error_response(404))(scope, receive, send)
        elif scope["method"] not in {"GET", "HEAD"}:
            await error_response(405, headers={"Allow": "GET, HEAD"})(scope, receive, send)
        elif page is None:
            await file_at(path)(scope, receive, send)
        else:
            await (await self._page(path, page))(scope, receive, send)

    async def _page(self, path: str, page: Callable[[], Response]) -> Response:
        """Compute a page in a thread, once for concurrent requests; 503 if it hangs, as the database may."""
        running = self._running.get(path)
        if running is None:
            running = self._running[path] = asyncio.ensure_future(run_in_short_pool(page))
            running.add_done_callback(lambda _: self._running.pop(path))
        try:
            async with asyncio.timeout(PAGE_SECONDS):
                return await asyncio.shield(running)
        except TimeoutError:
            return error_response(503, "the database does not answer")


def file_at(path: str) -> Response:
    """Respond with a static file; 404 if it is missing."""
    file, kind = FILES[path]
    content = _content(file)
    return error_response(404) if content is None else Response(content, media_type=kind, headers=dict(SAFE))


@cache
def _content(file: Path) -> bytes | None:
    try:
        return file.read_bytes()
    except OSError:
        return None
