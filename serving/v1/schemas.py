"""What forms of requests and answers are made of."""

import re
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema

from fivefold.domain.clock import from_microseconds, parse_moment, to_microseconds, utc_text
from fivefold.domain.errors import ConfigError

LARGEST, LARGEST_BIG = 2**31 - 1, 2**63 - 1
"""Of the numbers that databases give to what there is little of, and to what there is much of."""

_FINER = re.compile(r"\.\d{6}0*[1-9]")


class Given(BaseModel):
    """What somebody sends: these fields and no others, of exactly these types."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Shown(BaseModel):
    """What somebody is told: these fields and no others, whatever else the use case knows."""

    model_config = ConfigDict(from_attributes=True, frozen=True)

    @classmethod
    def of(cls, made: object) -> Self:
        """Take the fields that are shown from what a use case gave."""
        return cls.model_validate(made)


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
    """Take digits alone: 01 and 1.0 are no other names of 1."""
    if not isinstance(text, str) or not re.fullmatch("[1-9][0-9]{0,18}", text):
        raise ValueError("must be a whole number from 1 on, in plain digits")
    return int(text)


_MOMENT_SCHEMA = {"type": "string", "format": "date-time"}
_GIVEN_SCHEMA = {"type": "string", "description": "ISO 8601 date or time; without a zone it is UTC"}

Moment = Annotated[int, PlainSerializer(utc_text, return_type=str), WithJsonSchema(_MOMENT_SCHEMA)]
"""A moment that is told: microseconds inside, ISO 8601 in UTC outside."""
MomentGiven = Annotated[int, BeforeValidator(_moment), WithJsonSchema(_GIVEN_SCHEMA)]
"""A moment that is sent: ISO 8601 outside, microseconds inside."""
Text = Annotated[str, AfterValidator(_storable)]
"""Text that every database keeps."""
Number = Annotated[int, BeforeValidator(_plain), Field(ge=1, le=LARGEST)]
"""The number of something, as the database gave it, in a path or a query."""
BigNumber = Annotated[int, BeforeValidator(_plain), Field(ge=1, le=LARGEST_BIG)]
"""The same of something that there may be much of: entities, overrides, events, entries."""
