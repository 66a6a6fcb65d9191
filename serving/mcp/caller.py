"""The caller of tools: each call goes through the dispatcher of `/v1`, as if it had come over HTTP.

So the token, the role, the organisation, the rate limit of the plan and the answer are those of `/v1` at each call.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final
from urllib.parse import parse_qs, urlencode, urlsplit

import structlog
from starlette.requests import Request
from starlette.types import Message

from fivefold.domain.errors import LockedError, StoreError
from fivefold.serving.access_log import CAUSE
from fivefold.serving.responses import ApiError
from fivefold.serving.v1.dispatch import Dispatcher
from fivefold.serving.v1.idempotency import ACT, HEADER, HEADER_NAME, REPLAYED
from fivefold.serving.v1.paging import LINK
from fivefold.serving.v1.path_encoding import path_to
from fivefold.serving.v1.permissions import ROUTES
from fivefold.serving.v1.route import Route
from fivefold.usecases.accounts.credentials import Credential
from fivefold.usecases.audit.tool_calls import record_call
from fivefold.usecases.shared.context import Context

log = structlog.get_logger("fivefold.mcp")

BY_NAME: Final[Mapping[str, Route]] = {f"{route.method} {route.path}": route for route in ROUTES}
"""The permission table by method and path."""
KEYS: Final = "mcp:"
"""Prefix of each key of a tool: a request of the same token to `/v1` never has it by chance."""
REASON: Final = "reason"
"""The reason's name in routes; a key does not cover reasons, as a model that asks again puts its own in other words."""
OUT_OF_REACH: Final = "The database is out of reach"


class RefusedCallError(Exception):
    """The refusal of a route, with its status and its message."""

    def __init__(self, status: int, text: str) -> None:
        """Keep the status and the message."""
        super().__init__(text)
        self.status = status


@dataclass(frozen=True)
class RouteAnswer:
    """The answer of a route.

    Attributes:
        content: the body; None if it is empty.
        after: where the next page of a list begins; None on the last.
        repeated: whether it is the answer of an earlier call under the same key.
    """

    content: Any
    after: str | None = None
    repeated: bool = False


@dataclass(frozen=True)
class Caller:
    """The holder of a token, and the dispatcher that answers.

    Attributes:
        dispatcher: the dispatcher of this process.
        secret: the token; it is looked up at every call, so a revocation holds at once.
        reach: the routes that may be called, by method and path; None for all that the role may call.
    """

    dispatcher: Dispatcher
    secret: str
    reach: frozenset[str] | None = None

    def within(self, reach: frozenset[str]) -> "Caller":
        """Return the same caller, who may call no other routes."""
        return replace(self, reach=reach)

    async def credential(self) -> Credential:
        """Look up the token's credential; RefusedCallError 401 if the token is not valid, or no longer."""
        try:
            return await self.dispatcher.identify(self.secret)
        except ApiError as error:
            raise RefusedCallError(error.status, error.text) from None
        except StoreError as error:
            raise _without_database(error) from None

    async def read(
        self, name: str, parts: Mapping[str, str] | None = None, query: Mapping[str, object] | None = None
    ) -> RouteAnswer:
        """Call a route such as `GET /v1/search`; None and empty values of the query are left out.

        RefusedCallError if the route answers with an error.
        """
        return await self._ask(name, parts or {}, query or {})

    async def send(
        self,
        name: str,
        parts: Mapping[str, str],
        body: Mapping[str, object] | None = None,
        *,
        query: Mapping[str, object] | None = None,
        key: str | None = None,
    ) -> RouteAnswer:
        """Call a route that is not a GET; None values of the body are left out. Under *key* it is carried out once.

        RefusedCallError if the route answers with an error.
        """
        return await self._ask(name, parts, query or {}, body, key)

    async def _ask(
        self,
        name: str,
        parts: Mapping[str, str],
        query: Mapping[str, object],
        body: Mapping[str, object] | None = None,
        key: str | None = None,
    ) -> RouteAnswer:
        if self.reach is not None and name not in self.reach:
            raise LookupError(f"{name} is not among the routes of this tool")
        request = _request(BY_NAME[name], parts, query, self.secret, body, key)
        response = await self.dispatcher.answer(BY_NAME[name], request, by_tool=True)
        if cause := request.scope.get(CAUSE):
            _log_cause(cause)
        content = json.loads(bytes(response.body)) if response.body else None
        if response.status_code >= 400:
            words = words_of(content).replace(f"{HEADER} {f'{KEYS}{key}'!r}", f"key {key!r}")
            raise RefusedCallError(response.status_code, words)
        repeated = response.headers.get(REPLAYED) is not None
        return RouteAnswer(content, _after(response.headers.get(LINK, "")), repeated)

    def require_change(self, credential: Credential) -> None:
        """Count a call that changes something; RefusedCallError 429 if the plan allows no more in this minute."""
        try:
            self.dispatcher.require_change(credential)
        except ApiError as error:
            raise RefusedCallError(error.status, error.text) from None

    async def record(
        self,
        credential: Credential,
        action: str,
        details: Mapping[str, Any],
        entity: tuple[str, str] | None = None,
        *,
        arguments: Mapping[str, Any] | None = None,
        why: str | None = None,
    ) -> None:
        """Record a call in the audit log; RefusedCallError 429 or 503 if that is not possible."""
        # An act of a tool is recorded even if its token ended meanwhile.
        context = Context(self.dispatcher.engine, replace(credential.actor, token_id=None))
        entry = partial(
            record_call, context, action, credential.token_id, details, entity, arguments=arguments, why=why
        )
        try:
            await self.dispatcher.run_quickly(credential, entry)
        except ApiError as error:
            raise RefusedCallError(error.status, error.text) from None
        except StoreError as error:
            raise _without_database(error) from None


def _without_database(error: StoreError) -> RefusedCallError:
    """Refuse a call that needed the database; as in `/v1`, the reason is shown only for a lock."""
    _log_cause(str(error))
    return RefusedCallError(503, str(error) if isinstance(error, LockedError) else OUT_OF_REACH)


def _log_cause(cause: str) -> None:
    """Log how the database failed: the access log has a request to `/mcp` as successful, without a cause."""
    log.error("a tool did not reach the database", cause=cause)


def words_of(content: Any) -> str:
    """Write an error of `/v1` as text: its message, and each problem with its place in the request, or its row.

    >>> words_of([{"detail": "Unprocessable", "errors": [{"where": "body.until", "problem": "is over"}]}])
    'Unprocessable: body.until: is over'
    >>> words_of([{"detail": "1 problem", "errors": [{"row": 3, "field": "price", "problem": "is 'x'"}]}])
    "1 problem: row 3: price: is 'x'"
    """
    lines = []
    for error in content:
        problems = "; ".join(f"{_place_of(each)}: {each['problem']}" for each in error.get("errors", ()))
        lines.append(f"{error['detail']}: {problems}" if problems else error["detail"])
    return "\n".join(lines)


def _place_of(problem: Mapping[str, Any]) -> str:
    return problem["where"] if "where" in problem else f"row {problem['row']}: {problem['field']}"


def _request(
    route: Route,
    parts: Mapping[str, str],
    query: Mapping[str, object],
    secret: str,
    body: Mapping[str, object] | None,
    key: str | None,
) -> Request:
    path = path_to(route.path, **parts)
    search = {name: str(value) for name, value in query.items() if value not in {None, ""}}
    headers = [(b"token", secret.encode("latin-1", "replace"))]
    if key is not None:
        headers.append((HEADER_NAME, f"{KEYS}{key}".encode("ascii")))
    fields = None if body is None else {name: value for name, value in body.items() if value is not None}
    named = [route.method, path, _without_reason(search), _without_reason(fields or {})]
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": route.method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode("ascii"),
        "path_params": dict(parts),
        "query_string": urlencode(search).encode("ascii"),
        "headers": headers,
        ACT: json.dumps(named, sort_keys=True).encode(),
    }
    return Request(scope, partial(_whole, b"" if fields is None else json.dumps(fields).encode()))


def _without_reason(values: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in values.items() if name != REASON}


async def _whole(body: bytes) -> Message:
    return {"type": "http.request", "body": body, "more_body": False}


def _after(link: str) -> str | None:
    """Read where the next page begins from a Link header.

    >>> _after('</v1/search?type=customer&after=abc>; rel="next"'), _after("")
    ('abc', None)
    """
    places = parse_qs(urlsplit(link.partition(">")[0].lstrip("<")).query).get("after")
    return places[0] if places else None
