"""Answers a route in this order: authentication, permission, reading of the request, handler, response."""

import asyncio
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar, cast

import structlog
from sqlalchemy import Engine
from starlette.requests import Request
from starlette.responses import Response

from fivefold.domain.errors import FivefoldError, StoreError
from fivefold.domain.paging import Page
from fivefold.domain.settings import Limits
from fivefold.serving.access_log import (
    BAD_TOKEN,
    NO_TOKEN,
    NOT_ALLOWED,
    RECORD,
    SIGN_IN,
    WHO,
    digest_of_record,
)
from fivefold.serving.authentication import CHANGES_TOO_OFTEN, RateLimiter, not_for_role
from fivefold.serving.lanes import Lane
from fivefold.serving.metrics.service import ROUTE
from fivefold.serving.request_reading import body_memory, header_of, read_body, secret_of
from fivefold.serving.responses import NO_CREDENTIALS, ApiError
from fivefold.serving.together import SharedLane
from fivefold.serving.v1.errors import IN_PART, TakenRows, invalid_part, refuse
from fivefold.serving.v1.idempotency import HEADER_NAME, respond_once
from fivefold.serving.v1.paging import LINK, link_to, list_name
from fivefold.serving.v1.path_encoding import is_readable, parts_of
from fivefold.serving.v1.reading import is_error, read_form, read_part, read_query, refused_body
from fivefold.serving.v1.route import RequestContext, Route, Work
from fivefold.store.accounts.idempotency import RequestAttempt, attempting
from fivefold.store.accounts.plans import CHANGES_PER_MINUTE, Plan
from fivefold.store.sql.database import reachable
from fivefold.usecases.accounts.credentials import Credential, find_credential, note_use
from fivefold.usecases.levels.value_scores import EntityScorer
from fivefold.usecases.models.read import OpenRegistry, no_registry
from fivefold.usecases.shared.actors import OF_MEMBERS, Role
from fivefold.usecases.unexpected import UNEXPECTED_ERRORS

LANES: Mapping[Work, Lane] = {
    Work.QUICK: Lane("v1", 8, each=6, waiting_each=64, waiting=512),
    Work.BULK: Lane("v1-bulk", 2, each=1, waiting_each=4, waiting=32),
    Work.READING: Lane("v1-reading", 2, each=1, waiting_each=4, waiting=32),
}
"""Lanes apart from scoring, which never waits behind them; the connection pool has room for both.

A document takes up to seconds to read, so two threads read: another organisation's never waits behind one alone.
"""

SHARED_BYTES = 16_000
"""Largest body of a request that is carried out together with others: many of these may wait at once."""
Result = TypeVar("Result")

log = structlog.get_logger("fivefold.service")

_NUMBER = re.compile(r"[0-9]{1,19}(\.[0-9]{1,19})?")
_OF_BODIES = frozenset({"content-length", "transfer-encoding"})
"""Headers: a request with a body has one of them."""
_AUTHENTICATION_POOL = ThreadPoolExecutor(3, thread_name_prefix="v1-admission")
"""Threads that look up tokens: the organisation, and so its lane, is known only afterwards."""


class Dispatcher:
    """Answers the routes of the table; one in each worker."""

    def __init__(
        self,
        engine: Engine,
        limits: Limits,
        valuer: Callable[[], EntityScorer | None],
        plans: Mapping[str, Plan] | None = None,
        registry: OpenRegistry = no_registry,
    ) -> None:
        """Keep what requests are answered with.

        Args:
            engine: the database.
            limits: bounds of one request.
            valuer: returns the value model that serves, or None.
            plans: plans by name; a token of any other plan has no limits of its own.
            registry: opens the registry of the value model's versions.
        """
        self._engine = engine
        self._limits = limits
        self._valuer = valuer
        self._plans = plans or {}
        self._registry = registry
        self._rate_limiter = RateLimiter()
        self._change_limiter = RateLimiter(refusal=CHANGES_TOO_OFTEN)
        self._body_memory = body_memory()

    @property
    def engine(self) -> Engine:
        """The database."""
        return self._engine

    async def identify(self, secret: str) -> Credential:
        """Look up the credential of a token; ApiError 401 if there is none."""
        return await _run_in_authentication_pool(partial(authenticate, self._engine, secret))

    def require_rate(self, credential: Credential) -> None:
        """Count a request of a token; ApiError 429 if its plan allows no more in this minute."""
        plan = self._plans.get(credential.plan)
        self._rate_limiter.require(credential.token_id, None if plan is None else plan.requests_per_minute)

    def require_change(self, credential: Credential) -> None:
        """Count a change by a tool of `/mcp`; ApiError 429 if the token's plan allows no more in this minute."""
        plan = self._plans.get(credential.plan)
        self._change_limiter.require(
            credential.token_id, CHANGES_PER_MINUTE if plan is None else plan.changes_per_minute
        )

    async def run_quickly(self, credential: Credential, work: Callable[[], Result]) -> Result:
        """Run *work* in the lane of quick requests, in the turn of the token's organisation."""
        return await LANES[Work.QUICK].run(credential.organisation_id, work)

    async def answer(self, route: Route, request: Request, *, by_tool: bool = False) -> Response:
        """Answer one request, errors included; *by_tool* if an agent sent it by a tool of `/mcp`."""
        request.scope[ROUTE] = route.path
        if record := record_of(request):
            request.scope[RECORD] = record
        response = await self._response(route, request, by_tool)
        response.headers["Cache-Control"] = "no-store"  # it is about people; a shared cache must not keep it
        return response

    async def _response(self, route: Route, request: Request, by_tool: bool) -> Response:
        try:
            secret = secret_of(request)
            request.scope[SIGN_IN] = BAD_TOKEN if secret else NO_TOKEN  # until it proves valid
            credential = await self.identify(secret)
            request.scope[WHO] = (credential.organisation_id, credential.actor.name)
            request.scope[SIGN_IN] = NOT_ALLOWED
            require_role(route, credential)
            del request.scope[SIGN_IN]
            self.require_rate(credential)
            plan = self._plans.get(credential.plan)
            with self._body_memory.reserving_for(credential.organisation_id) as reserve:
                most_bytes = route.most_bytes(self._limits.body_bytes)
                body = await read_body(request, credential.token_id, most_bytes, reserve)
                context = RequestContext.of(
                    self._engine, credential, self._valuer(), self._plans, self._registry, by_tool=by_tool
                )
                if may_be_shared(route, request, body):
                    shared = SharedRequest(route, context, request, body, self._most_rows(plan))
                    return await SHARED.run(credential.organisation_id, shared)
                answer = partial(respond_in_turn, route, context, request, body, self._most_rows(plan))
                return await LANES[route.work].run(credential.organisation_id, answer)
        except ApiError as refusal:
            return refusal.response()
        except StoreError as error:
            return refuse(request.scope, error)

    def _most_rows(self, plan: Plan | None) -> int:
        return self._limits.rows if plan is None else min(self._limits.rows, plan.rows_per_request)


def record_of(request: Request) -> str | None:
    """Return the record that a request is about, for the log: an entity's digest, or numbers; None without either."""
    parts = parts_of(request)
    if "external_id" in parts:
        return digest_of_record(parts["type"], parts["external_id"])
    numbers = [f"{name}:{text}" for name, text in parts.items() if _NUMBER.fullmatch(text)]
    return " ".join(numbers) or None


async def _run_in_authentication_pool(function: Callable[[], Credential]) -> Credential:
    return await asyncio.get_running_loop().run_in_executor(_AUTHENTICATION_POOL, function)


def authenticate(engine: Engine, secret: str) -> Credential:
    """Look up the credential of a token, without a cache: a revocation holds at once. ApiError 401 if unknown."""
    credential = find_credential(engine, secret) if secret else None
    if credential is None:
        raise ApiError(401, NO_CREDENTIALS)
    return credential


def require_role(route: Route, credential: Credential) -> None:
    """Raise ApiError 403 unless the route is for the role of the credential."""
    if credential.role not in route.roles:
        raise not_for_role(credential.role, (role for role in Role if role in route.roles))
    if credential.role in OF_MEMBERS and credential.member_id is None:
        raise ApiError(403, "This token belongs to no member, so the person behind it is unknown")


def may_have_waited(route: Route, request: Request) -> bool:
    """Return whether much may have happened since the token was looked up: for all but reads without a body."""
    return route.method != "GET" or not _OF_BODIES.isdisjoint(request.headers.keys())


def respond_in_turn(route: Route, context: RequestContext, request: Request, body: bytes, most_rows: int) -> Response:
    """Answer a request in its turn; ApiError 401 if its token ended meanwhile, unless it is a read without a body."""
    if may_have_waited(route, request) and (refusal := _refusal_of(context.engine, secret_of(request), [request])):
        raise refusal
    return respond_once(route, context, request, body, partial(respond, route, context, request, body, most_rows))


def respond(
    route: Route, context: RequestContext, request: Request, body: bytes, most_rows: int, attempt: RequestAttempt | None
) -> Response:
    """Read a request, call the route's handler and write its result; *attempt* stores it under its idempotency key."""
    with suppress(StoreError):  # the last use is only displayed; a locked database must not refuse a request
        note_use(context.engine, context.credential.token_id, context.now())
    arguments = read_arguments(route, context, request, body, most_rows)
    if isinstance(arguments, Response):
        return arguments
    try:
        with reachable(context.engine), attempting(attempt):
            result = route.call(context, arguments)
    except FivefoldError as error:
        return refuse(request.scope, error)
    response = write_result(route, result)
    if isinstance(result, Page) and result.next is not None:
        parts, query = parts_of(request), request.query_params
        response.headers[LINK] = link_to(list_name(context, route, parts, query), route, parts, query, result.next)
    return response


def read_arguments(
    route: Route, context: RequestContext, request: Request, body: bytes, most_rows: int
) -> dict[str, Any] | Response:
    """Read the parts of the path, the query and the body; an error Response if one of them is invalid."""
    if not is_readable(request.scope):
        return invalid_part("path", "is not UTF-8, in which an identifier is written before it is percent-encoded")
    parts = parts_of(request)
    arguments = {name: read_part(route, name, text) for name, text in parts.items()}
    if refused := next(filter(is_error, arguments.values()), None):
        return cast("Response", refused)
    list_ = list_name(context, route, parts, request.query_params)
    for name, read in (
        ("query", partial(read_query, route, request, list_)),
        ("body", partial(read_form, route, body, most_rows)),
    ):
        if name in route.takes or name == "query":  # a route without a query takes no parameters
            value = read()
            if is_error(value):
                return cast("Response", value)
            if name in route.takes:
                arguments[name] = value
    if "body" not in route.takes and (refused := refused_body(route, body)) is not None:
        return refused
    return arguments


def write_result(route: Route, result: Any) -> Response:
    """Write the response with a handler's result; 204 for None."""
    if result is None:
        return Response(status_code=204)
    status = IN_PART if isinstance(result, TakenRows) and result.refused else route.status
    return Response(route.writer.dump_json(result, by_alias=True), status, media_type="application/json")


@dataclass(frozen=True)
class SharedRequest:
    """A request that may be carried out together with others."""

    route: Route
    context: RequestContext
    request: Request
    body: bytes
    most_rows: int

    @property
    def secret(self) -> str:
        """The token of the request."""
        return secret_of(self.request)

    def arguments(self) -> dict[str, Any] | Response | BaseException:
        """Return the arguments of the request; an error Response or an ApiError if it is invalid."""
        try:
            return read_arguments(self.route, self.context, self.request, self.body, self.most_rows)
        except ApiError as error:
            return error

    def alone(self) -> Response | BaseException:
        """Carry the request out by itself."""
        try:
            return respond(self.route, self.context, self.request, self.body, self.most_rows, None)
        except UNEXPECTED_ERRORS as error:  # for its own caller alone
            return error


def may_be_shared(route: Route, request: Request, body: bytes) -> bool:
    """Return whether a request may be carried out together with others: a small one without an Idempotency-Key."""
    return route.together is not None and len(body) <= SHARED_BYTES and header_of(request, HEADER_NAME) is None


def respond_together(requests: Sequence[SharedRequest]) -> Iterator[tuple[int, Response | BaseException]]:
    """Answer requests of one route and organisation together; the rest one by one afterwards."""
    route, engine = requests[0].route, requests[0].context.engine
    of_tokens: dict[str, list[SharedRequest]] = {}
    for request in requests:
        of_tokens.setdefault(request.secret, []).append(request)
    refusals: dict[str, ApiError | None] = {}
    for secret, of_token in of_tokens.items():
        refusals[secret] = _refusal_of(engine, secret, [each.request for each in of_token])
        if refusals[secret] is None:
            with suppress(StoreError):  # as in `respond`
                note_use(engine, of_token[0].context.credential.token_id, of_token[0].context.now())
    left: dict[int, dict[str, Any]] = {}
    for number, request in enumerate(requests):
        arguments = refusals[request.secret] or request.arguments()
        if isinstance(arguments, dict):
            left[number] = arguments
        else:
            yield number, arguments
    if route.together is not None and len(left) > 1:
        calls = [(requests[number].context, arguments) for number, arguments in left.items()]
        for number, result in zip(list(left), _results_together(route.together, calls), strict=True):
            if result is not None:
                del left[number]
                yield number, write_result(route, result)
    for number in left:
        yield number, requests[number].alone()


def _refusal_of(engine: Engine, secret: str, requests: Iterable[Request]) -> ApiError | None:
    """Return the refusal of requests whose token has ended, and note it for their log lines; None if it is valid."""
    try:
        authenticate(engine, secret)
    except ApiError as refusal:
        for request in requests:
            request.scope[SIGN_IN] = BAD_TOKEN
        return refusal
    return None


def _results_together(
    together: Callable[[Sequence[tuple[RequestContext, Mapping[str, Any]]]], Sequence[Any]],
    requests: Sequence[tuple[RequestContext, Mapping[str, Any]]],
) -> Sequence[Any]:
    """Carry out requests together; return the result of each, None for one to be carried out by itself.

    An unexpected error ends and undoes all of them, and each is carried out by itself: so only the request whose
    content the database refuses gets the error. If the database is out of reach, none is tried again.
    """
    try:
        return together(requests)
    except StoreError:
        raise
    except UNEXPECTED_ERRORS as error:  # the request at fault gets it, once it is carried out alone
        log.warning("not carried out together", requests=len(requests), error=type(error).__name__)
        return [None] * len(requests)


SHARED: SharedLane[SharedRequest, Response] = SharedLane(
    "v1-shared", 2, respond_together, most=128, waiting_each=512, waiting=2_048
)
"""Serves one route alone, as `respond_together` takes requests of one route."""
