"""A column of JSON: values in the program, text in the database."""

import json
from collections.abc import Callable
from typing import Any

from sqlalchemy import Dialect, Text, TypeDecorator

from fivefold.domain.canonical import canonical_json


class JSONText(TypeDecorator[Any]):
    """JSON as text; NULL is None, and null is never stored.

    Digests are of the text, so each column keeps its own spelling. A value that was just assigned stays as it is in the
    session until the row is read again; then it has lists for tuples, and its keys in their order. Changes inside a
    value are not tracked: assign a new one.

    Content that is hashed, joined, cached or read in bulk as text stays `Text`.
    """

    impl = Text
    cache_ok = True

    def __init__(self, write: Callable[[Any], str] = canonical_json) -> None:
        """Store the text that *write* returns."""
        super().__init__()
        self.write = write

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """Write a value."""
        return None if value is None else self.write(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        """Read a text; ValueError if it is not JSON."""
        return None if value is None else json.loads(value)


def stored_report(report: Any) -> str:
    """Write a report, which may have floats: keys sorted, a space after commas and colons.

    >>> stored_report({"é": (1, 0.5), "a": None})
    '{"a": null, "é": [1, 0.5]}'
    """
    return json.dumps(report, ensure_ascii=False, allow_nan=False, sort_keys=True)
