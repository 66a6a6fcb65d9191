"""`Idempotency-Key`: a request that changes something may be sent again, and is carried out once."""

import re
from collections.abc import Callable
from hashlib import sha256
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from fivefold.domain.errors import FivefoldError
from fivefold.serving.request_reading import header_of
from fivefold.serving.v1.errors import invalid_part, refuse
from fivefold.serving.v1.route import RequestContext, Route
from fivefold.store.accounts.idempotency import RequestAttempt
from fivefold.usecases.shared import idempotency
from fivefold.usecases.shared.idempotency import StoredAnswer

HEADER: Final = "Idempotency-Key"
HEADER_NAME: Final = HEADER.lower().encode()
REPLAYED: Final = "Idempotency-Replayed"
KEY: Final = "^[!-~]{1,200}$"
"""Pattern of a key: visible ASCII characters."""
ACT: Final = "fivefold.act"
"""Key of a scope, for a request that the service makes itself: the bytes that repetitions have in common."""
JSON: Final = "application/json"
UNKNOWN: Final = 504

Work = Callable[[RequestAttempt | None], Response]


def respond_once(route: Route, context: RequestContext, request: Request, body: bytes, work: Work) -> Response:
    """Answer a request by *work*; a request with a key runs once, and a repetition gets the same answer.

    ApiError 422 if it has more than one key.
    """
    key = None if route.method == "GET" else header_of(request, HEADER_NAME)
    if key is None:
        return work(None)
    if not re.fullmatch(KEY, key):
        return invalid_part(f"header.{HEADER}", "must be 1 to 200 visible ASCII characters")
    scope = (context.actor.organisation_id, context.credential.token_id, key)
    responses: list[Response] = []

    def attempt(name: RequestAttempt) -> StoredAnswer:
        response = work(name)
        responses.append(response)
        stored = None if route.tells_secret else bytes(response.body).decode()
        return StoredAnswer(response.status_code, stored, unknown=response.status_code == UNKNOWN)

    try:
        answer = idempotency.answer_once(
            context.engine, idempotency.IdempotentRequest(*scope, _digest(request, body)), attempt
        )
    except FivefoldError as error:
        return refuse(request.scope, error)
    if responses:
        return responses[0]
    return Response(answer.body, answer.status, {REPLAYED: "true"}, JSON if answer.body else None)


def _digest(request: Request, body: bytes) -> str:
    if ACT in request.scope:
        return sha256(request.scope[ACT]).hexdigest()
    path = request.scope.get("raw_path") or request.url.path.encode()
    parts = b"\n".join([request.method.encode(), path, request.url.query.encode(), body])
    return sha256(parts).hexdigest()
