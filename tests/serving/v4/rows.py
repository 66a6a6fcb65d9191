"""Rows of a body in columns, for tests that look at what a request said."""

from typing import Any

from fivefold.features.reading.fast_columns import as_arrow
from fivefold.features.reading.request_body import BodyColumns


def told(columns: BodyColumns) -> list[dict[str, Any]]:
    """Give the rows, as the ordinary reader of JSON would."""
    lists = {name: as_arrow(column).to_pylist() for name, column in columns.columns.items()}
    return [{name: values[place] for name, values in lists.items()} for place in range(len(columns))]
