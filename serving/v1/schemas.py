"""Base models and field types of requests and responses."""

import re
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, PydanticCustomError

from fivefold.domain.clock import DAY_US, parse_moment
from fivefold.domain.errors import ConfigError
from fivefold.serving.request_reading import hint_of_plus
from fivefold.usecases.shared.inputs import EARLIEST_US, LATEST_US, MAX_REASON_CHARACTERS

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


class InDocument:
    """Documents a constraint in OpenAPI that is checked elsewhere, by a validator or by a use case."""

    def __init__(self, **keywords: Any) -> None:
        self._keywords = keywords

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Return the field's schema with the constraint."""
        return {**handler(core), **self._keywords}


def _moment(text: Any) -> int:
    if not isinstance(text, str):
        raise ValueError("must be text in the form of ISO 8601, such as 2024-07-01T12:00:00Z")  # noqa: TRY004 (pydantic takes a ValueError as a finding)
    try:
        moment = parse_moment(text, "it") + bool(_FINER.search(text))  # 500 ns after as-of is after it
    except ConfigError:
        allowed = f"2024-07-01 or 2024-07-01T12:00:00Z{hint_of_plus(text)}"
        raise ValueError(f"must be an ISO 8601 date or time such as {allowed}") from None
    if not EARLIEST_US <= moment < LATEST_US:
        raise ValueError("must be an ISO 8601 date or time from 1900 on and before 9000")
    return moment


def _day(text: Any) -> int:
    moment = _moment(text)
    if moment % DAY_US:
        raise ValueError("must be a whole day in UTC such as 2024-07-01, and is a time within one")
    return moment


NOT_STORABLE: Final = "not_storable"
"""Type of the error for text that no database can store."""


def _storable(text: str) -> str:
    if "\0" in text:
        raise PydanticCustomError(NOT_STORABLE, "Must not have the character NUL, which no database keeps")
    return text


def _plain(text: Any) -> int:
    """Read plain digits: 01, 1.0 and 1_0, which Python reads as 10, are refused."""
    if not isinstance(text, str) or not re.fullmatch("0|[1-9][0-9]{0,18}", text):
        raise ValueError("must be a whole number in plain digits, such as 10")
    return int(text)


def _whole(number: object) -> object:
    """Convert 3.0 to 3: to JSON they are the same number."""
    return int(number) if isinstance(number, float) and number.is_integer() else number


def _names(text: object) -> object:
    return tuple(filter(None, text.split(","))) if isinstance(text, str) else text


_GIVEN_SCHEMA = {
    "type": "string",
    "anyOf": [{"format": "date"}, {"format": "date-time"}],
    "description": "ISO 8601 date or time, from 1900 to 9000; without a zone it is UTC",
}

MomentGiven = Annotated[int, BeforeValidator(_moment), WithJsonSchema(_GIVEN_SCHEMA)]
"""A moment in a request: ISO 8601 outside, microseconds inside."""
_DAY_SCHEMA = {
    "type": "string",
    "format": "date",
    "description": "ISO 8601 date, from 1900 to 9000; also as the time at which it begins in UTC",
}
DayGiven = Annotated[int, BeforeValidator(_day), WithJsonSchema(_DAY_SCHEMA)]
"""A whole day in a request, as the moment at which it begins in UTC; a time within a day is refused, not rounded."""
Text = Annotated[str, AfterValidator(_storable), InDocument(pattern=r"^[^\x00]*$")]
"""Text that every database can store."""
_SAID = r"[^\x00]*[^\s\x00][^\x00]*"
Reason = Annotated[Text, InDocument(minLength=1, maxLength=MAX_REASON_CHARACTERS, pattern=f"^{_SAID}$")]
"""A reason, which must not be empty; the use case checks it."""
ReasonIfAny = Annotated[Text, InDocument(maxLength=MAX_REASON_CHARACTERS, pattern=f"^({_SAID})?$")]
"""A reason that may be empty, unless the use case requires one."""
EntityName = Annotated[Text, InDocument(minLength=1, maxLength=200)]
"""The organisation's own identifier of an entity; the use case checks it."""
Label = Annotated[Text, InDocument(minLength=1, maxLength=100)]
"""The name of a tag or of a screening; the use case checks it."""
WHOLE: Final = BeforeValidator(_whole)
"""Stands after the bounds of a whole number in a body; accepts any JSON form of it."""
Seen = Annotated[int, Field(ge=0, le=LARGEST, description="0 for none; 409 where it is another one by now"), WHOLE]
"""In a body, the number of what a person looked at before deciding, such as a version; 0 for none."""
_OF_SEEN = "of the version that was looked at: after a restore another may have its number, which gives 409"
SeenHash = Annotated[str, Field(pattern="^[0-9a-f]{64}$", description=f"`content_hash` {_OF_SEEN}")]
"""The content hash of the version that a person looked at before approving or running it."""
SeenState = Annotated[
    Literal["proposed", "active"],
    Field(description="`state` of the version that was looked at; 409 where it is in another one by now"),
]
"""The state of the version that a person looked at before refusing or retiring it."""
PLAIN: Final = BeforeValidator(_plain)
"""Stands after the bounds of a whole number in a path or a query; accepts one form only."""
Number = Annotated[int, Field(ge=1, le=LARGEST), PLAIN]
"""The number of a row of a small table, in a path or a query."""
BigNumber = Annotated[int, Field(ge=1, le=LARGEST_BIG), PLAIN]
"""The number of a row of a large table: entities, overrides, events, entries."""
Names = Annotated[
    tuple[Text, ...],
    BeforeValidator(_names),
    WithJsonSchema({"type": "string", "description": "One or several, with commas between them"}),
]
"""Names in a query, with commas between them."""


class RetirementReason(RequestModel):
    """Why a version is refused or retired, and which one was looked at; what is not given is not checked."""

    reason: Reason
    expected_state: SeenState | None = None
    expected_hash: SeenHash | None = None
