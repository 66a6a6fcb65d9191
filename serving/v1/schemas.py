"""Base models and field types of requests and responses."""

import re
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from fivefold.domain.clock import from_microseconds, parse_moment, to_microseconds
from fivefold.domain.errors import ConfigError

LARGEST, LARGEST_BIG = 2**31 - 1, 2**63 - 1
"""Largest number of a row in small tables, and in large ones."""

_FINER = re.compile(r"\.\d{6}0*[1-9]")


class RequestModel(BaseModel):
    """A request: these fields and no others, of exactly these types."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class ResponseModel(BaseModel):
    """A response: these fields and no others of a use case's result."""

    model_config = ConfigDict(from_attributes=True, frozen=True)

    @classmethod
    def of(cls, result: object) -> Self:
        """Take these fields from a use case's result."""
        return cls.model_validate(result)


def _moment(text: Any) -> int:
    if not isinstance(text, str):
        raise ValueError("must be text in the form of ISO 8601, such as 2024-07-01T12:00:00Z")  # noqa: TRY004 (pydantic takes a ValueError as a finding)
    try:
        moment = parse_moment(text, "it") + bool(_FINER.search(text))  # 500 ns after as-of is after it
        return to_microseconds(from_microseconds(moment))  # the first and last hours have no UTC
    except (ConfigError, OverflowError):
        raise ValueError("must be an ISO 8601 date or time such as 2024-07-01 or 2024-07-01T12:00:00Z") from None


def _storable(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not have the character NUL, which no database keeps")
    return text


def _plain(text: Any) -> int:
    """Read plain digits: 01 and 1.0 are refused."""
    if not isinstance(text, str) or not re.fullmatch("[1-9][0-9]{0,18}", text):
        raise ValueError("must be a whole number from 1 on, in plain digits")
    return int(text)


def _names(text: object) -> object:
    return tuple(filter(None, text.split(","))) if isinstance(text, str) else text


_GIVEN_SCHEMA = {"type": "string", "description": "ISO 8601 date or time; without a zone it is UTC"}

MomentGiven = Annotated[int, BeforeValidator(_moment), WithJsonSchema(_GIVEN_SCHEMA)]
"""A moment in a request: ISO 8601 outside, microseconds inside."""
Text = Annotated[str, AfterValidator(_storable)]
"""Text that every database can store."""
Number = Annotated[int, BeforeValidator(_plain), Field(ge=1, le=LARGEST)]
"""The number of a row of a small table, in a path or a query."""
BigNumber = Annotated[int, BeforeValidator(_plain), Field(ge=1, le=LARGEST_BIG)]
"""The number of a row of a large table: entities, overrides, events, entries."""
Names = Annotated[
    tuple[Text, ...],
    BeforeValidator(_names),
    WithJsonSchema({"type": "string", "description": "One or several, with commas between them"}),
]
"""Names in a query, with commas between them."""
