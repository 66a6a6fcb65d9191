"""POST /v4/scoring: parse, score, charge, write; in the order that the contract's precedence asks for."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from os import cpu_count
from time import monotonic

from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

from fivefold.domain.clock import CLOCK_SLACK_US, now_microseconds, parse_moment
from fivefold.domain.errors import ConfigError, DataNotValid, Problem
from fivefold.domain.settings import Limits, Settings
from fivefold.serving.access_log import BAD_TOKEN, NO_TOKEN, SIGN_IN, WHO
from fivefold.serving.authentication import Gatekeeper, soon
from fivefold.serving.champion.drift_counter import Counter
from fivefold.serving.champion.loader import ModelHolder, Served
from fivefold.serving.lanes import Lane, Result, Room
from fivefold.serving.quota import Ledger
from fivefold.serving.request_reading import read_body, room_of, secret_of
from fivefold.serving.responses import DATA_NOT_VALID, NO_CREDENTIALS, TOO_MANY_ROWS, USED_UP, USER_TYPE, Refusal
from fivefold.serving.v4.contract import read_rows, written
from fivefold.store.accounts.plans import Plan
from fivefold.store.accounts.tokens import Allowance, Charge
from fivefold.usecases.accounts.tokens import Credential, month_of, seconds_to_next_month, within_allowance
from fivefold.usecases.scoring import CheckedRows, ScoredRows, check_rows, score_checked

ROWS_IN_LOOP = 2_000
"""Larger requests are computed in a thread, so that the others do not wait for them."""
EXPLAINED_IN_LOOP = 100
"""The same with an explanation: each row may be a customer of its own, and each of those takes 2 ms."""
BYTES_IN_LOOP = 600_000
"""Larger bodies are read in a thread too; `ROWS_IN_LOOP` rows are nearly as many bytes."""
LARGE_THREADS = max(3, cpu_count() or 1)
REMEMBERED_SECONDS = 2.0
"""So long it is remembered what a token was refused for its plan: the same, or more, need not be computed for it."""
MOST_REMEMBERED = 10_000
_YES, _NO = ("true", "1", "yes"), ("false", "0", "no", "")
_KNOWN = frozenset({"user_type", "as_of", "explain"})
MOST_SHOWN = 40
"""Characters of an unknown name that are told."""


@dataclass(frozen=True)
class Asked:
    """What the query of a request says."""

    as_of: int | None
    explained: bool


def large_lane() -> Lane:
    """Make the threads of large requests: an organisation never has all of them."""
    return Lane("large", LARGE_THREADS, each=LARGE_THREADS - 1, waiting_each=8, waiting=32)


@dataclass(frozen=True)
class Desk:
    """Everything that answering needs; one in each worker."""

    settings: Settings
    plans: Mapping[str, Plan]
    holder: ModelHolder
    gatekeeper: Gatekeeper
    ledger: Ledger
    counter: Counter
    lane: Lane = field(default_factory=large_lane)
    room: Room = field(default_factory=room_of)
    refused: dict[tuple[int, str], tuple[float, int]] = field(default_factory=dict)
    """By token and month: until when it is remembered that so many users were refused."""

    async def answer(self, request: Request) -> Response:
        """Answer one request; Refusal for everything that is not a 200."""
        secret = secret_of(request)
        request.scope[SIGN_IN] = BAD_TOKEN if secret else NO_TOKEN  # until it is known to be a good one
        credential = await self.gatekeeper.admit(secret)
        del request.scope[SIGN_IN]
        request.scope[WHO] = (credential.organisation_id, credential.actor.name)
        plan = self._plan(credential)
        if request.query_params.get("user_type", "PERSON") != "PERSON":
            raise Refusal(405, USER_TYPE)
        with self.room.held_by(credential.organisation_id) as hold:
            body = await read_body(request, credential.token_id, self.settings.limits.body_bytes, hold)
            return await self._scored(request, body, credential, plan)

    async def _scored(self, request: Request, body: bytes, credential: Credential, plan: Plan) -> Response:
        served = self.holder.current
        if served is None:
            raise Refusal(503, headers={"Retry-After": "10"})
        request.scope["fivefold.model_version"] = served.version
        large = len(body) > BYTES_IN_LOOP

        async def run(function: Callable[[], Result]) -> Result:
            return await self.lane.run(credential.organisation_id, function) if large else function()

        rows = await run(partial(read_rows, body, self._limits(request), served.model.absent))
        asked = read_query(request, now := now_microseconds())
        large = large or len(rows) > (EXPLAINED_IN_LOOP if asked.explained else ROWS_IN_LOOP)
        try:
            checked = await run(partial(check_rows, served.model, rows, as_of=asked.as_of, now=now))
        except DataNotValid as error:
            raise Refusal(400, DATA_NOT_VALID, error.problems) from None
        if len(rows) > plan.rows_per_request:
            raise Refusal(406, TOO_MANY_ROWS)
        cost = _cost(credential, plan, len(checked), now)
        await self._require_allowance(cost, look=large)
        content, answer = await run(partial(_computed, served, checked, asked))
        left = await self._charge(cost)
        if (deadline := request.scope.get("fivefold.deadline")) is not None and not deadline.expired():
            deadline.reschedule(None)  # from here on the request is answered: a charge without an answer is a wrong one
        self.counter.add(served, answer)
        return Response(content, media_type="application/json", headers=left)

    def _limits(self, request: Request) -> Limits:
        """Give the limits of a request: fewer customers where they are to be explained."""
        limits = self.settings.limits
        if request.query_params.get("explain", "").lower() not in _YES:
            return limits
        return replace(limits, users=min(limits.users, limits.explained))

    def _plan(self, credential: Credential) -> Plan:
        plan = self.plans.get(credential.plan)
        if plan is None:  # the operator took it out of the file: nothing is known of what the token may do
            raise Refusal(401, NO_CREDENTIALS)
        return plan

    async def _require_allowance(self, cost: Charge, *, look: bool) -> None:
        """Raise Refusal 429 where the charge at the end would be refused, as far as that is known before the work.

        The database is asked for large requests alone; of small ones it is remembered what was refused just now.
        """
        until, users = self.refused.get((cost.token_id, cost.month), (0.0, 0))
        remembered = monotonic() < until and cost.users >= users
        if remembered or (look and not await soon(partial(within_allowance, self.ledger.engine, cost))):
            raise self._used_up(cost)

    async def _charge(self, cost: Charge) -> dict[str, str]:
        """Charge; give the headers that say what is left."""
        charged = await self.ledger.charge(cost)
        if charged is None:
            raise Refusal(401, NO_CREDENTIALS)
        if not charged:
            raise self._used_up(cost)
        used = self.ledger.used(cost)
        if used is None:
            return {}
        return {
            "X-Quota-Calls-Left": str(max(0, cost.allowance.calls - used.calls)),
            "X-Quota-Users-Left": str(max(0, cost.allowance.users - used.users)),
        }

    def _used_up(self, cost: Charge) -> Refusal:
        if len(self.refused) >= MOST_REMEMBERED:
            self.refused.clear()
        self.refused[cost.token_id, cost.month] = (monotonic() + REMEMBERED_SECONDS, cost.users)
        return Refusal(429, USED_UP, headers={"Retry-After": str(seconds_to_next_month(cost.at_us))})


def _cost(credential: Credential, plan: Plan, users: int, now: int) -> Charge:
    allowance = Allowance(plan.calls_per_month, plan.users_per_month)
    return Charge(credential.token_id, month_of(now), users, allowance, now)


def _computed(served: Served, checked: CheckedRows, asked: Asked) -> tuple[bytes, ScoredRows]:
    answer = score_checked(served.model, checked, explained=asked.explained)
    named = served.named() if asked.explained else {}
    return to_json(written(answer, served.model, named)), answer


def read_query(request: Request, now: int) -> Asked:
    """Read as_of and explain; Refusal 400 where they cannot be read, or anything else is asked."""
    refuse_unknown(request, _KNOWN)
    text, flag = request.query_params.get("as_of"), request.query_params.get("explain", "").lower()
    if flag not in (*_YES, *_NO):
        raise _bad_query("explain", "is not true or false", "true or false")
    try:
        as_of = parse_moment(text, "as_of") if text else None
    except (ConfigError, OverflowError):
        raise _bad_query("as_of", "is not an ISO 8601 time", "a time such as 2024-07-01T12:00:00Z") from None
    if as_of is not None and as_of > now + CLOCK_SLACK_US:
        raise _bad_query("as_of", "is in the future", "a time up to now")
    return Asked(as_of, flag in _YES)


def refuse_unknown(request: Request, known: frozenset[str] = frozenset()) -> None:
    """Raise Refusal 400 where a request has a query parameter that its route does not know."""
    unknown = sorted(set(request.query_params) - known)
    if unknown:
        allowed = ", ".join(sorted(known)) or "none"
        raise _bad_query(unknown[0][:MOST_SHOWN], "is no parameter of this route", allowed)


def _bad_query(field: str, problem: str, allowed: str) -> Refusal:
    return Refusal(400, DATA_NOT_VALID, [Problem(0, field, problem, allowed)])
