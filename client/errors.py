"""The errors of calls, in one tree.

ClientError                       any error below
├── NotSentError                  the request could not be written: nothing was sent
├── NoAnswerError                 no answer arrived; `may_be_done` says whether the call may have been carried out
├── UnexpectedAnswerError         an answer in a form that this client does not know
└── ApiError                      the service refused, with its status, message and problems
    ├── RefusedDataError          400, 413, 422: the request is invalid; `problems` say why
    ├── UnauthorizedError         401: no such token, or it expired
    ├── ForbiddenError            403: the token's role may not do this
    ├── NotFoundError             404: this organisation has nothing of that name
    ├── ConflictError             409: a rule of the platform forbids it now
    ├── LimitError                406, 429: over the plan's or the minute's limit
    ├── UnavailableError          503: no model, no database, or too many requests wait
    └── UnknownOutcomeError       504: it took too long, and may have been done
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

_OF_REQUEST = frozenset({"body", "as_of", "explain", "user_type"})
"""Fields of the whole request: `/v4` gives their problems the row 0, as each of its problems has a row."""


@dataclass(frozen=True)
class Problem:
    """One problem of a request.

    Attributes:
        problem: what is wrong.
        row: the place in an array of rows, counted from 0; None if it is not about a row.
        field: the field of that row.
        allowed: the values that the field may have.
        where: the place in a form or a document, such as `body.attributes`.
        line: the line of a document.
        fatal: false for a warning.
    """

    problem: str
    row: int | None = None
    field: str | None = None
    allowed: str | None = None
    where: str | None = None
    line: int | None = None
    fatal: bool = True

    def __str__(self) -> str:
        if self.row == 0 and self.field in _OF_REQUEST:
            return f"{self.field} {self.problem}; allowed: {self.allowed}"
        if self.row is not None:
            return f"row {self.row}: {self.field} {self.problem}; allowed: {self.allowed}"
        place = self.where or ""
        return f"{place}{'' if self.line is None else f' (line {self.line})'}: {self.problem}"


class ClientError(Exception):
    """An error that keeps a call from its answer. It can be pickled, as process pools do with errors."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Restore the attributes without the constructor, which takes other arguments than the message."""
        return _without_constructor, (type(self), self.args), self.__dict__


def _without_constructor(kind: type[ClientError], arguments: tuple[Any, ...]) -> ClientError:
    return kind.__new__(kind, *arguments)


class NotSentError(ClientError):
    """The request could not be written: its address, its headers, its path or its JSON. Nothing was sent."""


class NoAnswerError(ClientError):
    """No answer arrived, after as many attempts as are safe.

    Attributes:
        may_be_done: whether the call may have been carried out all the same, by any of the attempts.
    """

    def __init__(self, message: str, *, may_be_done: bool) -> None:
        """Store whether the call *may be done*."""
        super().__init__(message)
        self.may_be_done = may_be_done


class UnexpectedAnswerError(ClientError):
    """An answer in a form that this client does not know; the call may have been carried out."""


class ApiError(ClientError):
    """The service refused.

    Attributes:
        status: the HTTP status.
        detail: the service's message.
        problems: the problems that the service lists (at most 100).
        request_id: names the request in the service's log; empty if the answer had none.
        retry_after_seconds: when to try again, if the service says so.
        may_be_done: whether the call may have been carried out all the same, by this attempt or an earlier one.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        problems: tuple[Problem, ...] = (),
        request_id: str = "",
        retry_after_seconds: float | None = None,
        *,
        may_be_done: bool = False,
    ) -> None:
        """Store the service's answer."""
        lines = "".join(f"\n{problem}" for problem in problems)
        super().__init__(f"{status}: {detail}{lines}")
        self.status = status
        self.detail = detail
        self.problems = problems
        self.request_id = request_id
        self.retry_after_seconds = retry_after_seconds
        self.may_be_done = may_be_done


class RefusedDataError(ApiError):
    """The request is invalid or too large; nothing was stored."""


class UnauthorizedError(ApiError):
    """There is no such token, or it expired."""


class ForbiddenError(ApiError):
    """The token's role may not do this."""


class NotFoundError(ApiError):
    """The organisation has nothing of that name."""


class ConflictError(ApiError):
    """A rule of the platform forbids it now: four eyes, a cap, a lock, a competing call."""


class LimitError(ApiError):
    """Over the plan's or the minute's limit."""


class UnavailableError(ApiError):
    """No model, no database, or too many requests wait; this attempt did nothing."""


class UnknownOutcomeError(ApiError):
    """It took too long; it may have been done."""


_BY_STATUS: Mapping[int, type[ApiError]] = {
    400: RefusedDataError,
    401: UnauthorizedError,
    403: ForbiddenError,
    404: NotFoundError,
    406: LimitError,
    409: ConflictError,
    413: RefusedDataError,
    422: RefusedDataError,
    429: LimitError,
    503: UnavailableError,
    504: UnknownOutcomeError,
}


def error_of(response: httpx.Response, *, may_be_done: bool) -> ApiError:
    """Make the error for an answer, even for one that a proxy wrote."""
    kind = _BY_STATUS.get(response.status_code, ApiError)
    body = _object(response)
    detail = body.get("detail")
    rows = body.get("errors")
    problems = tuple(map(_problem, rows)) if isinstance(rows, list) else ()
    return kind(
        response.status_code,
        detail if isinstance(detail, str) else response.reason_phrase,
        tuple(problem for problem in problems if problem is not None),
        response.headers.get("x-request-id", ""),
        retry_after(response),
        may_be_done=may_be_done,
    )


def retry_after(response: httpx.Response) -> float | None:
    """Read when to try again, in seconds; None if the answer does not give a number."""
    text = response.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() else None


def _object(response: httpx.Response) -> Mapping[str, Any]:
    """Read the one object in an error's array; empty if the body is something else."""
    try:
        body = json.loads(response.content)
    except ValueError:
        return {}
    first = body[0] if isinstance(body, list) and body else body
    return first if isinstance(first, dict) else {}


def _problem(row: object) -> Problem | None:
    if not isinstance(row, dict) or not isinstance(row.get("problem"), str):
        return None
    names = Problem.__dataclass_fields__
    return Problem(**{name: value for name, value in row.items() if name in names})
