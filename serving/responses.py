"""Responses: every body is JSON, and every error is an array with a `detail`."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from http import HTTPStatus
from typing import Any

from pydantic_core import to_json
from starlette.responses import Response

from fivefold.domain.errors import Problem

ARRAY = "x-fivefold-array"
"""Marks an error that is an array already; the error middleware removes it and rewrites errors without it."""

DATA_NOT_VALID = "Data not valid"
NO_CREDENTIALS = "Could not validate credentials"
USER_TYPE = "User type not allowed"
TOO_MANY_ROWS = "the number of observations in the payload exceed the available quote"
UNPROCESSABLE = "Unprocessable Entity"
NOT_COMPUTED = "An indicator of the model cannot be computed for a customer, and sending the same again changes nothing"
USED_UP = "The maximum monthly number of calls or predictions for your account has been exceeded"


class ApiError(Exception):
    """Ends a request with an error response."""

    def __init__(
        self,
        status: int,
        text: str = "",
        problems: Sequence[Problem] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Answer *status* with *text*; *problems* become the key `errors`."""
        super().__init__(text)
        self.status = status
        self.text = text
        self.problems = problems
        self.headers = dict(headers or {})

    def response(self) -> Response:
        """Build the response."""
        return error_response(self.status, self.text, self.problems, self.headers)


def json_response(content: Any) -> Response:
    """Answer 200 with JSON."""
    return Response(to_json(content), media_type="application/json")


def error_response(
    status: int, text: str = "", problems: Sequence[Problem] | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    """Answer with an error: an array of one object with `detail`, and with `errors` if *problems* are given.

    401 names the way to sign in, as RFC 9110 asks (15.5.2).
    """
    body: dict[str, Any] = {"detail": _encodable(text) or HTTPStatus(status).phrase}
    if problems is not None:
        body["errors"] = [
            {name: _encodable(value) if isinstance(value, str) else value for name, value in asdict(problem).items()}
            for problem in problems
        ]
    challenge = {"WWW-Authenticate": "Bearer"} if status == HTTPStatus.UNAUTHORIZED else {}
    marked = {**challenge, **(headers or {}), ARRAY: "1"}
    return Response(to_json([body]), status, media_type="application/json", headers=marked)


def _encodable(text: str) -> str:
    """Escape characters that UTF-8 cannot encode: a message may quote half a surrogate pair of a request."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
