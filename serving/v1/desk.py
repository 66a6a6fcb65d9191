"""Answering a route: who asks, may they, what do they ask, and what comes of it; in that order."""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from pydantic import ValidationError
from sqlalchemy import Engine
from starlette.requests import Request
from starlette.responses import Response

from domain.clock import now_microseconds
from domain.errors import FivefoldError, Problem, StoreError
from domain.settings import Limits
from serving.answers import NO_CREDENTIALS, Refusal
from serving.bodies import read_body, secret_of
from serving.contract import TOO_LARGE
from serving.metrics import ROUTE
from serving.v1.errors import LATER, answer_of, misplaced, not_as_asked
from serving.v1.paths import parts_of
from serving.v1.route import Asked, Route
from store.database import reachable
from usecases.roles import OF_MEMBERS, Role
from usecases.tokens import Credential, find_credential, note_use
from usecases.valuing import Valuer

THREADS = 8
"""Of their own, so that scoring never waits behind them; their connections and scoring's are what the pool holds."""

_THREADS = ThreadPoolExecutor(THREADS, thread_name_prefix="v1")
_CHALLENGE = {"WWW-Authenticate": "Bearer"}
Result = TypeVar("Result")


class PlatformDesk:
    """Answers the routes of the table; one in each worker."""

    def __init__(self, engine: Engine, limits: Limits, valuer: Callable[[], Valuer | None]) -> None:
        """Answer from a database, within the limits of one request, with the value model that *valuer* gives."""
        self._engine = engine
        self._limits = limits
        self._valuer = valuer

    async def answer(self, route: Route, request: Request) -> Response:
        """Answer one request, whether well or with an error."""
        request.scope[ROUTE] = route.path
        answer = await self._answered(route, request)
        answer.headers["Cache-Control"] = "no-store"  # it is about people, and somebody else may ask next
        return answer

    async def _answered(self, route: Route, request: Request) -> Response:
        try:
            credential = await _threaded(partial(admit, self._engine, secret_of(request)))
            require_role(route, credential)
            body = await read_body(request, self._limits.body_bytes)
            asked = Asked(self._engine, credential, self._valuer())
            return await _threaded(partial(answered_by, route, asked, request, body, self._limits.rows))
        except Refusal as refusal:
            return refusal.response()
        except StoreError:
            return Refusal(503, headers=LATER).response()


async def _threaded(function: Callable[[], Result]) -> Result:
    return await asyncio.get_running_loop().run_in_executor(_THREADS, function)


def admit(engine: Engine, secret: str) -> Credential:
    """Find out who asks, anew at every call: a right that was taken is gone at once. Refusal 401 where nobody knows."""
    found = find_credential(engine, secret) if secret else None
    if found is None:
        raise Refusal(401, NO_CREDENTIALS, headers=_CHALLENGE)
    with suppress(StoreError):  # it is for people to look at; a locked database is no reason to refuse
        note_use(engine, found.token_id, now_microseconds())
    return found


def require_role(route: Route, credential: Credential) -> None:
    """Raise Refusal 403 unless the route is for whoever asks."""
    if credential.role not in route.roles:
        wanted = ", ".join(role for role in Role if role in route.roles)
        raise Refusal(403, f"Not for the role {credential.role}; for: {wanted}")
    if credential.role in OF_MEMBERS and credential.member_id is None:
        raise Refusal(403, "This token belongs to no member; nobody can tell who asks with it")


def answered_by(route: Route, asked: Asked, request: Request, body: bytes, most_rows: int) -> Response:
    """Read what is asked, let the route's handler do it, and write what came of it."""
    given = {name: _part(route, name, text) for name, text in parts_of(request).items()}
    for name, read in (("query", partial(_query, route, request)), ("body", partial(_body, route, body, most_rows))):
        if name in route.takes:
            found = read()
            if isinstance(found, Response):
                return found
            given[name] = found
    try:
        with reachable():
            made = route.called(asked, given)
    except FivefoldError as error:
        told = answer_of(error)
        if told is None:
            raise
        return told
    if route.gives is type(None):
        return Response(status_code=204)
    return Response(route.writer.dump_json(made), route.status, media_type="application/json")


def _part(route: Route, name: str, text: str) -> Any:
    """Read a part of the path; what can be nothing's name names nothing."""
    try:
        return route.readers[name].validate_strings(text)
    except ValidationError:
        raise Refusal(404) from None


def _query(route: Route, request: Request) -> Any:
    pairs = request.query_params.multi_items()
    given: Mapping[str, str] = dict(pairs)
    if len(given) < len(pairs):
        return misplaced("query", "says the same thing twice")
    try:
        return route.readers["query"].validate_strings(given)
    except ValidationError as error:
        return not_as_asked("query", error)


def _body(route: Route, body: bytes, most_rows: int) -> Any:
    try:
        found = route.readers["body"].validate_json(body)
    except ValidationError as error:
        return not_as_asked("body", error)
    if isinstance(found, list) and len(found) > most_rows:
        raise Refusal(413, TOO_LARGE, [Problem(most_rows, "body", f"has {len(found)} rows", f"{most_rows} rows")])
    return found
