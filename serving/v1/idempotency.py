"""`Idempotency-Key`: a request that changes something may be sent again, and is carried out once."""

import re
from collections.abc import Callable
from hashlib import sha256
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from fivefold.domain.errors import FivefoldError
from fivefold.serving.v1.errors import answer_of, misplaced
from fivefold.serving.v1.route import Asked, Route
from fivefold.store.accounts.idempotency import RequestAttempt
from fivefold.usecases.shared import idempotency
from fivefold.usecases.shared.idempotency import StoredAnswer

HEADER: Final = "Idempotency-Key"
REPLAYED: Final = "Idempotency-Replayed"
_KEY = re.compile(r"[\x21-\x7e]{1,200}")
JSON: Final = "application/json"
UNKNOWN: Final = 504

Work = Callable[[RequestAttempt | None], Response]


def answered_once(route: Route, asked: Asked, request: Request, body: bytes, work: Work) -> Response:
    """Answer a request by *work*; one that has a key once, and every other time with the same answer."""
    key = request.headers.get(HEADER)
    if key is None or route.method == "GET":
        return work(None)
    if not _KEY.fullmatch(key):
        return misplaced(f"header.{HEADER}", "must be 1 to 200 visible ASCII characters")
    of = (asked.actor.organisation_id, asked.credential.token_id, key)
    made: list[Response] = []

    def attempt(name: RequestAttempt) -> StoredAnswer:
        response = work(name)
        made.append(response)
        kept = None if route.tells_secret else bytes(response.body).decode()
        return StoredAnswer(response.status_code, kept, unknown=response.status_code == UNKNOWN)

    try:
        answer = idempotency.answer_once(
            asked.engine, idempotency.IdempotentRequest(*of, _digest(request, body)), attempt
        )
    except FivefoldError as error:
        told = answer_of(error)
        if told is None:
            raise
        return told
    if made:
        return made[0]
    return Response(answer.body, answer.status, {REPLAYED: "true"}, JSON if answer.body else None)


def _digest(request: Request, body: bytes) -> str:
    path = request.scope.get("raw_path") or request.url.path.encode()
    asked = b"\n".join([request.method.encode(), path, request.url.query.encode(), body])
    return sha256(asked).hexdigest()
