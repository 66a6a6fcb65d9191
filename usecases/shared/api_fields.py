"""How results of use cases, which are the API's response models, appear in the API.

Inside, a result has moments in microseconds and names of its own. The API shows a moment as ISO 8601 in UTC, and a
field or a class under the name that is declared with it.
"""

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from pydantic import ConfigDict, Field, PlainSerializer, WithJsonSchema, with_config

from fivefold.domain.clock import utc_text

Result = TypeVar("Result", bound=type)

Moment = Annotated[
    int, PlainSerializer(utc_text, return_type=str), WithJsonSchema({"type": "string", "format": "date-time"})
]
"""A moment: microseconds inside, ISO 8601 in UTC in the API."""

INTERNAL: Any = Field(exclude=True)
"""Leaves a field out of the API: `Annotated[int, INTERNAL]`."""


def shown_as(name: str) -> Any:
    """Name a field differently in the API.

    A moment `created_us`, for example, has the type `Annotated[Moment, shown_as("created_at")]`.
    """
    return Field(serialization_alias=name)


def schema(name: str) -> Callable[[Result], Result]:
    """Name a class in the API's document; a class that inherits from it needs a name of its own."""
    return with_config(ConfigDict(title=name))
