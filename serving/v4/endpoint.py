"""POST /v4/scoring: authenticate, read, score, charge, respond; the contract fixes which error comes first."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from os import cpu_count
from time import monotonic
from typing import NamedTuple

import structlog
from pydantic_core import to_json
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from fivefold.domain.clock import CLOCK_SLACK_US, parse_moment
from fivefold.domain.errors import ConfigError, InvalidDataError, OwnIndicatorError, Problem
from fivefold.domain.settings import Limits, Settings
from fivefold.serving.access_log import BAD_TOKEN, MODEL_VERSION, NO_TOKEN, NOT_ALLOWED, SIGN_IN, WHO
from fivefold.serving.authentication import Authenticator, require_scoring, run_in_short_pool
from fivefold.serving.champion.drift_counter import DriftCounter
from fivefold.serving.champion.loader import ChampionLoader, ServedModel
from fivefold.serving.lanes import BodyMemory, Lane, Result
from fivefold.serving.quota import QuotaCharger
from fivefold.serving.request_reading import body_memory, hint_of_plus, read_body, repeated_parameter, secret_of
from fivefold.serving.responses import (
    DATA_NOT_VALID,
    NO_CREDENTIALS,
    NOT_COMPUTED,
    TOO_MANY_ROWS,
    USED_UP,
    USER_TYPE,
    ApiError,
)
from fivefold.serving.v4.contract import read_rows, response_rows
from fivefold.store.accounts.plans import Plan
from fivefold.store.accounts.tokens import Allowance, Charge
from fivefold.store.sql.clocks import clock_of
from fivefold.usecases.accounts.credentials import Credential, left_of_allowance, month_of, seconds_to_next_month
from fivefold.usecases.scoring import RequestRows, ScoredRows, check_rows, not_computed, score_checked

log = structlog.get_logger("fivefold.request")

ROWS_IN_LOOP = 2_000
"""Most rows of a request that the event loop computes; a thread computes larger ones, so that others do not wait."""
EXPLAINED_IN_LOOP = 100
"""The same with explanations: each row may be another customer, who takes 2 ms."""
BYTES_IN_LOOP = 600_000
"""Larger bodies are read in a thread too; `ROWS_IN_LOOP` rows have nearly as many bytes."""
LARGE_THREADS = max(3, cpu_count() or 1)
REMEMBERED_SECONDS = 2.0
"""How long a token's used-up plan is cached: a request of the same size or more is refused before its work."""
MOST_REMEMBERED = 10_000
_YES, _NO = ("true", "1", "yes"), ("false", "0", "no", "")
_KNOWN = frozenset({"user_type", "as_of", "explain"})
MOST_SHOWN = 40
"""Characters of an unknown name that an error repeats."""


class ScoringQuery(NamedTuple):
    """The query of a scoring request."""

    as_of: int | None
    explained: bool


def large_lane() -> Lane:
    """Make the lane of large requests; one organisation never occupies all of its threads."""
    return Lane("large", LARGE_THREADS, each=LARGE_THREADS - 1, waiting_each=8, waiting=32)


@dataclass(frozen=True, kw_only=True)
class ScoringEndpoint:
    """Answers POST /v4/scoring; one in each worker."""

    settings: Settings
    plans: Mapping[str, Plan]
    loader: ChampionLoader
    authenticator: Authenticator
    charger: QuotaCharger
    counter: DriftCounter
    lane: Lane = field(default_factory=large_lane)
    body_memory: BodyMemory = field(default_factory=body_memory)
    used_up: dict[tuple[int, str], tuple[float, int, Allowance]] = field(default_factory=dict)
    """By token and month: until when a refusal is cached, how many users it was for, and what was left."""

    async def answer(self, request: Request) -> Response:
        """Answer one request; ApiError for every status but 200."""
        secret = secret_of(request)
        request.scope[SIGN_IN] = BAD_TOKEN if secret else NO_TOKEN  # until it proves valid
        credential = await self.authenticator.authenticate(secret)
        request.scope[WHO] = (credential.organisation_id, credential.actor.name)
        request.scope[SIGN_IN] = NOT_ALLOWED
        require_scoring(credential)
        del request.scope[SIGN_IN]
        plan = self._plan(credential)
        if _parse_query(request.scope["query_string"]).user_type != "PERSON":
            raise ApiError(405, USER_TYPE)
        with self.body_memory.reserving_for(credential.organisation_id) as reserve:
            body = await read_body(request, credential.token_id, self.settings.limits.body_bytes, reserve)
            return await self._score(request, body, credential, plan)

    async def _score(self, request: Request, body: bytes, credential: Credential, plan: Plan) -> Response:
        served = self.loader.current
        if served is None:
            raise ApiError(503, headers={"Retry-After": "10"})
        request.scope[MODEL_VERSION] = served.version
        large, accepted = len(body) > BYTES_IN_LOOP, False

        async def run(function: "Callable[[], Result]") -> Result:  # in quotes: it would be evaluated at each request
            nonlocal accepted
            if not large:
                return function()
            result = await self.lane.run(credential.organisation_id, function, accepted=accepted)
            accepted = True
            return result

        rows = await run(partial(read_rows, body, self._limits(request), served.model.absent))
        query = read_query(request, now := clock_of(self.charger.engine).now_us())
        large = large or len(rows) > (EXPLAINED_IN_LOOP if query.explained else ROWS_IN_LOOP)
        try:
            checked = await run(partial(check_rows, served.model, rows, as_of=query.as_of, now=now))
        except InvalidDataError as error:
            raise ApiError(400, DATA_NOT_VALID, error.problems) from None
        if len(rows) > plan.rows_per_request:
            raise ApiError(406, TOO_MANY_ROWS)
        cost = _cost(credential, plan, len(checked), now)
        await self._require_allowance(cost, look=large)
        try:
            content, answer = await run(partial(_compute, served, checked, query))
        except OwnIndicatorError as error:
            log.warning("own indicator failed", request_id=request.scope["fivefold.request_id"], why=error.fault)
            raise ApiError(422, NOT_COMPUTED, await run(partial(not_computed, served.model, rows, checked))) from None
        quota_headers = await self._charge(cost)
        if (deadline := request.scope.get("fivefold.deadline")) is not None and not deadline.expired():
            deadline.reschedule(None)  # no time limit from here on: a charge needs its answer
        self.counter.add(served, answer, credential.organisation_id)
        return Response(content, media_type="application/json", headers=quota_headers)

    def _limits(self, request: Request) -> Limits:
        """Return the limits of a request: fewer customers with explanations."""
        limits = self.settings.limits
        if not _parse_query(request.scope["query_string"]).explained:
            return limits
        return replace(limits, users=min(limits.users, limits.explained))

    def _plan(self, credential: Credential) -> Plan:
        plan = self.plans.get(credential.plan)
        if plan is None:  # the operator removed it from the file, so the rights of the token are unknown
            raise ApiError(
                403, f"There is no plan {credential.plan} any more, which this token has: get one of another"
            )
        return plan

    async def _require_allowance(self, cost: Charge, *, look: bool) -> None:
        """Raise ApiError 429 if the charge at the end would be refused, as far as that is known before the work.

        Large requests look in the database, small ones only in the cache of recent refusals.
        """
        until, users, left = self.used_up.get((cost.token_id, cost.month), (0.0, 0, cost.allowance))
        if monotonic() < until and cost.users >= users:
            raise self._used_up(cost, left)
        if look:
            left = await self._left(cost)
            if cost.calls > left.calls or cost.users > left.users:
                raise self._used_up(cost, left)

    async def _left(self, cost: Charge) -> Allowance:
        return await run_in_short_pool(partial(left_of_allowance, self.charger.engine, cost))

    async def _charge(self, cost: Charge) -> dict[str, str]:
        """Charge; return the headers with the remaining quota."""
        charged = await self.charger.charge(cost)
        if charged is None:
            raise ApiError(401, NO_CREDENTIALS)
        if not charged:
            raise self._used_up(cost, await self._left(cost))
        used = self.charger.used(cost)
        return {} if used is None else _quota_headers(cost.allowance.after(used))

    def _used_up(self, cost: Charge, left: Allowance) -> ApiError:
        if len(self.used_up) >= MOST_REMEMBERED:
            self.used_up.clear()
        self.used_up[cost.token_id, cost.month] = (monotonic() + REMEMBERED_SECONDS, cost.users, left)
        return _over_quota(cost, left)


def _quota_headers(left: Allowance) -> dict[str, str]:
    return {"X-Quota-Calls-Left": str(left.calls), "X-Quota-Users-Left": str(left.users)}


def _over_quota(cost: Charge, left: Allowance) -> ApiError:
    """Write the refusal of a charge: when it fits again, or that it never does, and what fits now."""
    whole, of_plan = f"The request is for {cost.users:,} customers", f"{cost.allowance.users:,} a month of your plan"
    headers = _quota_headers(left)
    if cost.users > cost.allowance.users:
        return ApiError(429, f"{whole}, more than the {of_plan}, so it never fits: send fewer", headers=headers)
    headers["Retry-After"] = str(seconds_to_next_month(cost.at_us))
    if not left.calls or not left.users or cost.users <= left.users:
        return ApiError(429, USED_UP, headers=headers)
    rest = f"and {left.users:,} are left of the {of_plan}: send fewer, or wait for the next month"
    return ApiError(429, f"{whole}, {rest}", headers=headers)


def _cost(credential: Credential, plan: Plan, users: int, now: int) -> Charge:
    allowance = Allowance(plan.calls_per_month, plan.users_per_month)
    return Charge(token_id=credential.token_id, month=month_of(now), users=users, allowance=allowance, at_us=now)


def _compute(served: ServedModel, checked: RequestRows, query: ScoringQuery) -> tuple[bytes, ScoredRows]:
    answer = score_checked(served.model, checked, explained=query.explained)
    description = served.description() if query.explained else {}
    return to_json(response_rows(answer, served.model, description)), answer


class _QueryParts(NamedTuple):
    """A parsed query; its parts are checked at different times, as the contract fixes which error comes first."""

    user_type: str
    explained: bool
    as_of: int | None
    problem: Problem | None


@lru_cache(maxsize=1_000)
def _parse_query(query_string: bytes) -> _QueryParts:
    """Parse a query, with a cache: nearly every request of a caller has the same."""
    parameters = QueryParams(query_string)
    text, flag = parameters.get("as_of"), parameters.get("explain", "").lower()
    as_of, problem = None, _problem_of_names(parameters, _KNOWN)
    if problem is None and flag not in (*_YES, *_NO):
        problem = Problem(0, "explain", "is not true or false", "true or false")
    if problem is None and text is not None:
        try:
            as_of = parse_moment(text, "as_of")
        except (ConfigError, OverflowError):
            allowed = f"a time such as 2024-07-01T12:00:00Z{hint_of_plus(text)}"
            problem = Problem(0, "as_of", "is not an ISO 8601 time", allowed)
    return _QueryParts(parameters.get("user_type", "PERSON"), flag in _YES, as_of, problem)


def read_query(request: Request, now: int) -> ScoringQuery:
    """Read as_of and explain; ApiError 400 for an invalid, an unknown or a repeated parameter."""
    query = _parse_query(request.scope["query_string"])
    problem = query.problem
    if query.as_of is not None and query.as_of > now + CLOCK_SLACK_US:
        problem = Problem(0, "as_of", "is more than 24 hours ahead", "a time up to 24 hours from now")
    if problem is not None:
        raise ApiError(400, DATA_NOT_VALID, [problem])
    return ScoringQuery(query.as_of, query.explained)


def refuse_any_parameter(request: Request) -> None:
    """Raise ApiError 400 if a request has a query parameter; for routes that take none."""
    problem = _problem_of_names(request.query_params, frozenset())
    if problem is not None:
        raise ApiError(400, DATA_NOT_VALID, [problem])


def _problem_of_names(parameters: QueryParams, names: frozenset[str]) -> Problem | None:
    """Return the problem of a parameter that is unknown or repeated, or None."""
    unknown = sorted(set(parameters) - names)
    if unknown:
        allowed = ", ".join(sorted(names)) or "none"
        return Problem(0, unknown[0][:MOST_SHOWN], "is not a parameter of this route", allowed)
    repeated = repeated_parameter(parameters)
    return None if repeated is None else Problem(0, repeated, "is given more than once", "one value")
