"""A typed client of a fivefold service: `Client`, its errors, and its answer types.

It needs only httpx and pydantic, and none of the other rooms: `pip install 'fivefold[client]'`.
"""

try:
    from fivefold.client.client import Client
except ModuleNotFoundError as error:
    if error.name != "httpx":
        raise
    needed = "this needs httpx, which is not installed here: pip install 'fivefold[client]'"
    raise ModuleNotFoundError(f"fivefold.client: {needed}", name=error.name) from error
from fivefold.client.connection import Pages
from fivefold.client.errors import (
    ApiError,
    ClientError,
    ConflictError,
    ForbiddenError,
    LimitError,
    NoAnswerError,
    NotFoundError,
    NotSentError,
    Problem,
    RefusedDataError,
    UnauthorizedError,
    UnavailableError,
    UnexpectedAnswerError,
    UnknownOutcomeError,
)

__all__ = [
    "ApiError",
    "Client",
    "ClientError",
    "ConflictError",
    "ForbiddenError",
    "LimitError",
    "NoAnswerError",
    "NotFoundError",
    "NotSentError",
    "Pages",
    "Problem",
    "RefusedDataError",
    "UnauthorizedError",
    "UnavailableError",
    "UnexpectedAnswerError",
    "UnknownOutcomeError",
]
