"""Answering a route: who asks, may they, what do they ask, and what comes of it; in that order."""

import asyncio
import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import cast

from sqlalchemy import Engine
from starlette.requests import Request
from starlette.responses import Response

from fivefold.domain.clock import now_microseconds
from fivefold.domain.errors import FivefoldError, OutcomeUnknown, StoreError
from fivefold.domain.paging import Page
from fivefold.domain.settings import Limits
from fivefold.serving.access_log import BAD_TOKEN, NO_TOKEN, NOT_ALLOWED, RECORD, SIGN_IN, WHO, digest_of_record
from fivefold.serving.lanes import Lane
from fivefold.serving.metrics.service import ROUTE
from fivefold.serving.rate_limits import Rates
from fivefold.serving.request_reading import read_body, room_of, secret_of
from fivefold.serving.responses import NO_CREDENTIALS, Refusal
from fivefold.serving.v1.errors import LATER, answer_of, misplaced
from fivefold.serving.v1.idempotency import answered_once
from fivefold.serving.v1.ingest.taken_rows import IN_PART, TakenRows
from fivefold.serving.v1.paging import LINK, link_to, list_name
from fivefold.serving.v1.path_encoding import is_readable, parts_of
from fivefold.serving.v1.reading import is_refused, read_form, read_part, read_query
from fivefold.serving.v1.route import Asked, Route, Work
from fivefold.store.accounts.idempotency import RequestAttempt, attempting
from fivefold.store.accounts.plans import Plan
from fivefold.store.sql.database import reachable
from fivefold.usecases.accounts.tokens import Credential, find_credential, note_use
from fivefold.usecases.levels.value_scores import EntityScorer
from fivefold.usecases.shared.actors import OF_MEMBERS, Role

LANES: Mapping[Work, Lane] = {
    Work.QUICK: Lane("v1", 8, each=6, waiting_each=64, waiting=512),
    Work.BULK: Lane("v1-bulk", 2, each=1, waiting_each=4, waiting=32),
    Work.READING: Lane("v1-reading", 1, each=1, waiting_each=4, waiting=32),
}
"""Of their own, so that scoring never waits behind them; their connections and scoring's are what the pool holds."""

_NUMBER = re.compile(r"[0-9]{1,19}(\.[0-9]{1,19})?")
_ADMISSIONS = ThreadPoolExecutor(3, thread_name_prefix="v1-admission")
"""Who asks is looked up in threads that nobody's work has; only then is it known whose turn it takes."""
_CHALLENGE = {"WWW-Authenticate": "Bearer"}


class PlatformDesk:
    """Answers the routes of the table; one in each worker."""

    def __init__(
        self,
        engine: Engine,
        limits: Limits,
        valuer: Callable[[], EntityScorer | None],
        plans: Mapping[str, Plan] | None = None,
    ) -> None:
        """Answer from a database, within the limits of one request, with the value model that *valuer* gives.

        A token whose plan is not among *plans* has no limits of its own.
        """
        self._engine = engine
        self._limits = limits
        self._valuer = valuer
        self._plans = plans or {}
        self._rates = Rates()
        self._room = room_of()

    async def answer(self, route: Route, request: Request) -> Response:
        """Answer one request, whether well or with an error."""
        request.scope[ROUTE] = route.path
        if record := record_of(request):
            request.scope[RECORD] = record
        answer = await self._answered(route, request)
        answer.headers["Cache-Control"] = "no-store"  # it is about people, and somebody else may ask next
        return answer

    async def _answered(self, route: Route, request: Request) -> Response:
        try:
            secret = secret_of(request)
            request.scope[SIGN_IN] = BAD_TOKEN if secret else NO_TOKEN  # until it is known to be a good one
            credential = await _soon(partial(admit, self._engine, secret))
            request.scope[WHO] = (credential.organisation_id, credential.actor.name)
            request.scope[SIGN_IN] = NOT_ALLOWED
            require_role(route, credential)
            del request.scope[SIGN_IN]
            plan = self._plans.get(credential.plan)
            self._rates.require(credential.token_id, None if plan is None else plan.requests_per_minute)
            with self._room.held_by(credential.organisation_id) as hold:
                most_bytes = route.most_bytes(self._limits.body_bytes)
                body = await read_body(request, credential.token_id, most_bytes, hold)
                asked = Asked(self._engine, credential, self._valuer())
                work = partial(answered_by, route, asked, request, body, self._most_rows(plan))
                answer = partial(answered_once, route, asked, request, body, work)
                return await LANES[route.work].run(credential.organisation_id, answer)
        except Refusal as refusal:
            return refusal.response()
        except OutcomeUnknown as error:
            return Refusal(504, str(error)).response()
        except StoreError:
            return Refusal(503, headers=LATER).response()

    def _most_rows(self, plan: Plan | None) -> int:
        return self._limits.rows if plan is None else min(self._limits.rows, plan.rows_per_request)


def record_of(request: Request) -> str | None:
    """Name the record that a request is about, as the log may: an entity by a digest, others by their numbers."""
    parts = parts_of(request)
    if "external_id" in parts:
        return digest_of_record(parts["type"], parts["external_id"])
    numbers = [f"{name}:{text}" for name, text in parts.items() if _NUMBER.fullmatch(text)]
    return " ".join(numbers) or None


async def _soon(function: Callable[[], Credential]) -> Credential:
    return await asyncio.get_running_loop().run_in_executor(_ADMISSIONS, function)


def admit(engine: Engine, secret: str) -> Credential:
    """Find out who asks, anew at every call: a right that was taken is gone at once. Refusal 401 where nobody knows."""
    found = find_credential(engine, secret) if secret else None
    if found is None:
        raise Refusal(401, NO_CREDENTIALS, headers=_CHALLENGE)
    return found


def require_role(route: Route, credential: Credential) -> None:
    """Raise Refusal 403 unless the route is for whoever asks."""
    if credential.role not in route.roles:
        wanted = ", ".join(role for role in Role if role in route.roles)
        raise Refusal(403, f"Not for the role {credential.role}; for: {wanted}")
    if credential.role in OF_MEMBERS and credential.member_id is None:
        raise Refusal(403, "This token belongs to no member; nobody can tell who asks with it")


def answered_by(
    route: Route, asked: Asked, request: Request, body: bytes, most_rows: int, attempt: RequestAttempt | None
) -> Response:
    """Read what is asked, let the route's handler do it, and write what came of it; *attempt* is what stores it."""
    with suppress(StoreError):  # it is for people to look at; a locked database is no reason to refuse
        note_use(asked.engine, asked.credential.token_id, now_microseconds())
    if not is_readable(request.scope):
        return misplaced("path", "is not UTF-8, in which an identifier is written before it is percent-encoded")
    parts = parts_of(request)
    given = {name: read_part(route, name, text) for name, text in parts.items()}
    list_ = list_name(asked, route, parts, request.query_params)
    for name, read in (
        ("query", partial(read_query, route, request, list_)),
        ("body", partial(read_form, route, body, most_rows)),
    ):
        if name in route.takes or name == "query":  # where there is none, nothing may be said in it
            found = read()
            if is_refused(found):
                return cast("Response", found)
            if name in route.takes:
                given[name] = found
    try:
        with reachable(), attempting(attempt):
            made = route.called(asked, given)
    except FivefoldError as error:
        told = answer_of(error)
        if told is None:
            raise
        return told
    if made is None:
        return Response(status_code=204)
    status = IN_PART if isinstance(made, TakenRows) and made.refused else route.status
    response = Response(route.writer.dump_json(made), status, media_type="application/json")
    if isinstance(made, Page) and made.next is not None:
        response.headers[LINK] = link_to(list_, route, parts, request.query_params, made.next)
    return response
