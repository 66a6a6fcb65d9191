"""POST /v4/scoring: parse, score, charge, write; in the order that the contract's precedence asks for."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

from domain.clock import now_microseconds, parse_moment
from domain.errors import ConfigError, DataNotValid, Problem
from domain.settings import Settings
from serving.answers import (
    DATA_NOT_VALID,
    NO_CREDENTIALS,
    TOO_MANY_ROWS,
    USED_UP,
    USER_TYPE,
    Refusal,
)
from serving.contract import TOO_LARGE, read_rows, written
from serving.counter import Counter
from serving.gatekeeper import Gatekeeper
from serving.holder import ModelHolder
from serving.ledger import Ledger
from store.accounts import Allowance, Charge
from store.plans import Plan
from usecases.scoring import CLOCK_SLACK_US, Answer, score_rows
from usecases.tokens import Credential, month_of, seconds_to_next_month

ROWS_IN_LOOP = 2_000
"""Larger requests are computed in a thread, so that the others do not wait for them."""
EXPLAINED_IN_LOOP = 100
"""The same with an explanation: each row may be a customer of its own, and each of those takes 2 ms."""
_YES, _NO = ("true", "1", "yes"), ("false", "0", "no", "")


@dataclass(frozen=True)
class Asked:
    """What the query of a request says."""

    as_of: int | None
    explained: bool


@dataclass(frozen=True)
class Desk:
    """Everything that answering needs; one in each worker."""

    settings: Settings
    plans: Mapping[str, Plan]
    holder: ModelHolder
    gatekeeper: Gatekeeper
    ledger: Ledger
    counter: Counter

    async def answer(self, request: Request) -> Response:
        """Answer one request; Refusal for everything that is not a 200."""
        credential = await self.gatekeeper.admit(header_of(request, b"token"))
        plan = self._plan(credential)
        if request.query_params.get("user_type", "PERSON") != "PERSON":
            raise Refusal(405, USER_TYPE)
        body = await read_body(request, self.settings.limits.body_bytes)
        served = self.holder.current
        if served is None:
            raise Refusal(503, headers={"Retry-After": "10"})
        request.scope["fivefold.model_version"] = served.version
        rows = read_rows(body, self.settings.limits)
        asked = read_query(request, now := now_microseconds())

        def score() -> tuple[bytes, Answer]:
            answer = score_rows(served.model, rows, as_of=asked.as_of, now=now, explained=asked.explained)
            named = served.named() if asked.explained else {}
            return to_json(written(answer, served.model, named)), answer

        in_loop = EXPLAINED_IN_LOOP if asked.explained else ROWS_IN_LOOP
        try:
            content, answer = score() if len(rows) <= in_loop else await asyncio.to_thread(score)
        except DataNotValid as error:
            raise Refusal(400, DATA_NOT_VALID, error.problems) from None
        if len(rows) > plan.rows_per_request:
            raise Refusal(406, TOO_MANY_ROWS)
        await self._charge(credential, plan, len(answer.user_ids), now)
        if (deadline := request.scope.get("fivefold.deadline")) is not None and not deadline.expired():
            deadline.reschedule(None)  # from here on the request is answered: a charge without an answer is a wrong one
        self.counter.add(served, answer)
        return Response(content, media_type="application/json")

    def _plan(self, credential: Credential) -> Plan:
        plan = self.plans.get(credential.plan)
        if plan is None:  # the operator took it out of the file: nothing is known of what the token may do
            raise Refusal(401, NO_CREDENTIALS)
        return plan

    async def _charge(self, credential: Credential, plan: Plan, users: int, now: int) -> None:
        allowance = Allowance(plan.calls_per_month, plan.users_per_month)
        charged = await self.ledger.charge(Charge(credential.token_id, month_of(now), users, allowance, now))
        if charged is None:
            raise Refusal(401, NO_CREDENTIALS)
        if not charged:
            raise Refusal(429, USED_UP, headers={"Retry-After": str(seconds_to_next_month(now))})


def header_of(request: Request, name: bytes) -> str | None:
    """Give the first header of a name, in small letters; None where there is none."""
    for found, value in request.scope["headers"]:
        if found == name:
            return str(value.decode("latin-1"))
    return None


async def read_body(request: Request, limit_bytes: int) -> bytes:
    """Read the body; Refusal 413 as soon as it is known to be beyond the limit."""
    announced = header_of(request, b"content-length") or ""
    if announced.isdecimal() and int(announced) > limit_bytes:
        raise _too_many_bytes(limit_bytes)
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > limit_bytes:
            raise _too_many_bytes(limit_bytes)
        parts.append(part)
    return b"".join(parts)


def read_query(request: Request, now: int) -> Asked:
    """Read as_of and explain; Refusal 400 where they cannot be read."""
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


def _too_many_bytes(limit_bytes: int) -> Refusal:
    return Refusal(413, TOO_LARGE, [Problem(0, "body", "is too large", f"{limit_bytes} bytes")])


def _bad_query(field: str, problem: str, allowed: str) -> Refusal:
    return Refusal(400, DATA_NOT_VALID, [Problem(0, field, problem, allowed)])
