"""Reading what is asked: the parts of a path, the query, the body; what is wrong is named up to a bound."""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, cast

from pydantic import ValidationError
from pydantic_core import ErrorDetails, from_json, to_json
from starlette.requests import Request
from starlette.responses import Response

from fivefold.domain.errors import PROBLEMS_LISTED
from fivefold.serving.responses import Refusal
from fivefold.serving.v1.errors import misplaced, not_as_asked, rows_not_as_asked
from fivefold.serving.v1.route import Route, Work
from fivefold.serving.v4.contract import require_shape

ROWS_WORTH = 100_000
"""A body may have as many values as so many rows with twice the usual fields: each value may be a problem to name."""


def read_part(route: Route, name: str, text: str) -> Any:
    """Read a part of the path; what can be nothing's name names nothing."""
    try:
        return route.readers[name].validate_strings(text)
    except ValidationError:
        raise Refusal(404) from None


def read_query(route: Route, request: Request, list_: str) -> Any:
    """Read the query; a Response where it is not as asked, which every name is that the route does not know.

    *list_* names the list that a page is asked of: cursors of others are refused.
    """
    pairs = request.query_params.multi_items()
    given: Mapping[str, str] = dict(pairs)
    if len(given) < len(pairs):
        return misplaced("query", "says the same thing twice")
    if "query" not in route.takes:
        return misplaced(f"query.{pairs[0][0]}", "is no parameter: this route has none") if pairs else None
    try:
        return route.readers["query"].validate_strings(given, context=list_)
    except ValidationError as error:
        return not_as_asked("query", error)


def read_form(route: Route, body: bytes, most_rows: int) -> Any:
    """Read the body; a Response where it is not as asked, Refusal 413 where there is more than is read."""
    row = route.row
    if row is not None:
        require_shape(body, most_rows, min(most_rows, ROWS_WORTH))
    else:
        require_shape(body, None, most_rows if route.work is Work.BULK else None)
    try:
        return route.readers["body"].validate_json(body)
    except ValidationError as error:
        found = [] if row is None else list(islice(_problems(route, body), PROBLEMS_LISTED + 1))
        return rows_not_as_asked(found) if found else not_as_asked("body", error)


def _problems(route: Route, body: bytes) -> Iterator[ErrorDetails]:
    """Name what is wrong with rows one after the other: the reader of all of them ends at the first bad one."""
    try:
        rows = from_json(body)
    except ValueError:
        return
    if not isinstance(rows, list) or route.row is None:
        return
    for number, given in enumerate(rows):
        try:
            route.row.validate_json(to_json(given))
        except ValidationError as error:
            for found in error.errors(include_url=False, include_context=False, include_input=False):
                yield cast("ErrorDetails", {**found, "loc": (number, *found["loc"])})


def is_refused(found: Any) -> bool:
    """Tell whether what was read is an answer that says why it could not be."""
    return isinstance(found, Response)
