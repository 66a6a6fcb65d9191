"""What a browser is shown comes from this service alone; what is not documented is not there."""

import asyncio
import json
import re
from threading import Event

import pytest
from starlette.responses import PlainTextResponse, Response
from starlette.types import Message

from fivefold.serving import pages as serving_pages
from fivefold.serving.error_middleware import ErrorMiddleware
from fivefold.serving.pages import EXPLORER, FILES, OURS, Pages
from fivefold.serving.responses import json_response
from fivefold.serving.v4.app import build_app
from tests.serving.inprocess import Holding, Watching, exchange

# example.com is nobody's (RFC 2606): examples of webhooks name it, and no page loads anything from it.
FOREIGN = re.compile(r"(?:https?:)?//(?![*/]|example\.com\b)[\w-]+\.[\w.-]+")
BENTOML = PlainTextResponse("BentoML's own page")


def ask(path: str, method: str = "GET") -> list[Message]:
    pages = Pages(BENTOML, dict.fromkeys(("/readyz", "/metrics", "/openapi.json"), lambda: json_response([])))
    return asyncio.run(exchange(ErrorMiddleware(pages, Watching(Holding(None)), 5), path=path, method=method))  # type: ignore[arg-type]  # stands in


@pytest.mark.parametrize("path", FILES)
def test_every_page_and_its_parts_are_there(path: str) -> None:
    start, body = ask(path)
    assert start["status"] == 200
    assert body["body"]
    headers = {name.decode(): value.decode() for name, value in start["headers"]}
    assert "default-src 'none'" in headers["content-security-policy"]
    assert not FOREIGN.search(headers["content-security-policy"])


@pytest.mark.parametrize("path", [path for path, (file, _) in FILES.items() if file.is_relative_to(OURS)])
def test_no_page_names_another_host(path: str) -> None:
    text = ask(path)[1]["body"].decode()
    assert not FOREIGN.search(text)
    for loaded in re.findall(r"""(?:src|href|url)[=:]\s*["']([^"']+)""", text):
        assert loaded.startswith("/"), loaded
        assert ask(loaded)[0]["status"] == 200, loaded


def test_the_explorer_loads_nothing_from_elsewhere() -> None:
    """Its script names hosts in comments and namespaces; the browser is forbidden to ask any of them."""
    style = ask("/docs/swagger-ui.css")[1]["body"].decode()
    assert not [found for found in re.findall(r"url\(([^)]{0,60})", style) if not found.startswith(("data:", '"data:'))]
    assert "@import" not in style
    assert b"validatorUrl: null" in ask("/docs/start.js")[1]["body"]


def test_the_explorer_can_read_our_document() -> None:
    """That is OpenAPI 3.1, which its fifth version was the first to read."""
    text = (EXPLORER / "swagger-ui-bundle.js").read_text(encoding="utf-8")
    found = re.search(r'PACKAGE_VERSION:"(\d+)\.', text)
    assert found is not None
    assert int(found[1]) >= 5


def test_the_document_names_no_other_host_and_says_how_to_sign_in() -> None:
    document = build_app(None).openapi()  # type: ignore[arg-type]  # nobody scores here
    assert not FOREIGN.search(repr(document))
    assert set(document["components"]["securitySchemes"]) == {"token", "bearer"}
    assert document["security"] == [{"token": []}, {"bearer": []}]


@pytest.mark.parametrize(
    "path", ["/docs.json", "/schema.json", "/static_content/index.css", "/assets/x", "/docs/", "//", "/v1", "/tasks"]
)
def test_what_the_framework_answers_besides_is_not_there(path: str) -> None:
    assert ask(path)[0]["status"] == 404


def test_the_document_is_written_once() -> None:
    """The framework wrote it at each request: two callers without a token left scoring a tenth of its throughput."""
    app = build_app(None)  # type: ignore[arg-type]  # nobody scores here
    assert app.document_bytes is app.document_bytes
    assert json.loads(app.document_bytes) == app.openapi()
    assert ask("/openapi.json")[1]["body"] != BENTOML.body


@pytest.mark.parametrize("path", ["/v4/scoring", "/v1/settings", "/livez", "/healthz", "/mcp"])
def test_what_is_documented_is_passed_on(path: str) -> None:
    assert ask(path)[1]["body"] == BENTOML.body


def test_pages_are_only_read() -> None:
    for path in ("/", "/docs", "/readyz"):
        assert ask(path, "HEAD")[0]["status"] == 200
        start = ask(path, "POST")[0]
        assert start["status"] == 405
        assert dict(start["headers"])[b"allow"] == b"GET, HEAD"


def test_probes_of_a_database_that_hangs_are_503_in_time_and_take_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """They were 504 after the limit of a request, and held the threads in which tokens are looked up."""
    monkeypatch.setattr(serving_pages, "PAGE_SECONDS", 0.1)
    go_on, begun = Event(), []

    def hangs() -> Response:
        begun.append(1)
        assert go_on.wait(60)
        return json_response([{"detail": "ready"}])

    pages = Pages(BENTOML, {"/readyz": hangs})
    edge = ErrorMiddleware(pages, Watching(Holding(None)), 60)  # type: ignore[arg-type]  # stands in

    async def story() -> tuple[list[int], list[int]]:
        asked = [exchange(edge, path="/readyz") for _ in range(6)]
        while_it_hangs = [messages[0]["status"] for messages in await asyncio.gather(*asked)]
        go_on.set()
        await asyncio.wait(pages._running.values())
        monkeypatch.setattr(serving_pages, "PAGE_SECONDS", 60)
        return while_it_hangs, [(await exchange(edge, path="/readyz"))[0]["status"]]

    assert asyncio.run(story()) == ([503] * 6, [200])
    assert len(begun) == 2


@pytest.mark.parametrize("path", ["/readyz", "/metrics", "/", "/docs"])
def test_a_probe_may_add_a_parameter_against_caches(path: str) -> None:
    pages = Pages(BENTOML, dict.fromkeys(("/readyz", "/metrics"), lambda: json_response([])))
    asked = exchange(ErrorMiddleware(pages, Watching(Holding(None)), 5), path=path, query="_=1732190000")  # type: ignore[arg-type]  # stands in
    assert asyncio.run(asked)[0]["status"] == 200
