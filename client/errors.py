"""What can go wrong with a call, in one tree.

ClientError                       anything below
├── NotSentError                  the request could not be written: nothing was sent
├── NoAnswerError                 no answer came; `may_be_done` says whether the service may have acted
├── UnexpectedAnswerError         an answer that is not in the form that this client knows
└── ApiError                      the service refused, with its status, its words and its problems
    ├── RefusedDataError          400, 413, 422: what was sent is not right; `problems` say what
    ├── UnauthorizedError         401: no such token, or it ended
    ├── ForbiddenError            403: not for the role of this token
    ├── NotFoundError             404: nothing of that name in this organisation
    ├── ConflictError             409: a rule of the platform forbids it now
    ├── LimitError                406, 429: more than the plan, or this minute, has room for
    ├── UnavailableError          503: no model, no database, or too much waits
    └── UnknownOutcomeError       504: it took too long, and may have been done
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with what was sent.

    Attributes:
        problem: what is wrong.
        row: of an array of rows, counted from 0; None where it is no row's.
        field: of that row.
        allowed: what would be right in it.
        where: the place in a form or a document, such as `body.attributes`.
        line: of a document.
        fatal: false for a doubt, which hinders nothing.
    """

    problem: str
    row: int | None = None
    field: str | None = None
    allowed: str | None = None
    where: str | None = None
    line: int | None = None
    fatal: bool = True

    def __str__(self) -> str:
        if self.row is not None:
            return f"row {self.row}: {self.field} {self.problem}; allowed: {self.allowed}"
        place = self.where or ""
        return f"{place}{'' if self.line is None else f' (line {self.line})'}: {self.problem}"


class ClientError(Exception):
    """Anything that keeps a call from its answer."""


class NotSentError(ClientError):
    """The request could not be written, as JSON or as a path: nothing was sent."""


class NoAnswerError(ClientError):
    """No answer came, after as many attempts as are safe.

    Attributes:
        may_be_done: whether the service may have acted all the same.
    """

    def __init__(self, message: str, *, may_be_done: bool) -> None:
        """Keep whether the service *may have acted*."""
        super().__init__(message)
        self.may_be_done = may_be_done


class UnexpectedAnswerError(ClientError):
    """An answer that is not in the form that this client knows; what was asked for may have been done."""


class ApiError(ClientError):
    """The service refused.

    Attributes:
        status: of HTTP.
        detail: the service's words.
        problems: what is wrong, one by one, as far as the service lists it (at most 100).
        request_id: names the request in the service's log; empty where it gave none.
        retry_after_seconds: when to come again, where the service says so.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        problems: tuple[Problem, ...] = (),
        request_id: str = "",
        retry_after_seconds: float | None = None,
    ) -> None:
        """Keep what the service said."""
        listed = "".join(f"\n{problem}" for problem in problems)
        super().__init__(f"{status}: {detail}{listed}")
        self.status = status
        self.detail = detail
        self.problems = problems
        self.request_id = request_id
        self.retry_after_seconds = retry_after_seconds


class RefusedDataError(ApiError):
    """What was sent is not right, or is too much; nothing of it was taken."""


class UnauthorizedError(ApiError):
    """There is no such token, or it ended."""


class ForbiddenError(ApiError):
    """The token's role may not do this."""


class NotFoundError(ApiError):
    """The organisation has nothing of that name."""


class ConflictError(ApiError):
    """A rule of the platform forbids it now: four eyes, a cap, a lock, another call that was faster."""


class LimitError(ApiError):
    """More than the plan, or this minute, has room for."""


class UnavailableError(ApiError):
    """No model, no database, or too much waits; nothing was done."""


class UnknownOutcomeError(ApiError):
    """It took too long. What was asked for may have been done."""


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


def error_of(response: httpx.Response) -> ApiError:
    """Make the error that an answer tells of; also of one that another program on the way wrote."""
    kind = _BY_STATUS.get(response.status_code, ApiError)
    said = _object(response)
    detail = said.get("detail")
    listed = said.get("errors")
    problems = tuple(map(_problem, listed)) if isinstance(listed, list) else ()
    return kind(
        response.status_code,
        detail if isinstance(detail, str) else response.reason_phrase,
        tuple(problem for problem in problems if problem is not None),
        response.headers.get("x-request-id", ""),
        retry_after(response),
    )


def retry_after(response: httpx.Response) -> float | None:
    """Read when to come again, in seconds; None where the answer does not say it as a number."""
    text = response.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() else None


def _object(response: httpx.Response) -> Mapping[str, Any]:
    """Read the one object of an error's array; nothing where the body is something else."""
    try:
        body = json.loads(response.content)
    except ValueError:
        return {}
    first = body[0] if isinstance(body, list) and body else body
    return first if isinstance(first, dict) else {}


def _problem(said: object) -> Problem | None:
    if not isinstance(said, dict) or not isinstance(said.get("problem"), str):
        return None
    names = Problem.__dataclass_fields__
    return Problem(**{name: value for name, value in said.items() if name in names})
