"""Reads the parts of a path, the query and the body; problems are listed up to a bound."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final, cast

from pydantic import ValidationError
from pydantic_core import ErrorDetails, from_json, to_json
from starlette.requests import Request
from starlette.responses import Response

from fivefold.domain.errors import PROBLEMS_LISTED
from fivefold.features.reading.columns import short_text
from fivefold.features.reading.json_lines import TwiceError, once
from fivefold.serving.request_reading import repeated_parameter
from fivefold.serving.responses import ApiError
from fivefold.serving.v1.errors import invalid_part, invalid_request, invalid_rows
from fivefold.serving.v1.route import Route, Work
from fivefold.serving.v1.schemas import NOT_STORABLE
from fivefold.serving.v4.contract import require_shape

_SAYS_NOTHING = re.compile(rb"(\{\s*\}|null)?")
"""Bodies, without the white space around them, that a route without a body accepts."""
ROWS_WORTH = 100_000
"""Most rows whose number of values a body may have: each value may be a problem to list."""


def read_part(route: Route, name: str, text: str) -> Any:
    """Read a part of the path; an error Response if it is text that cannot be stored.

    ApiError 404 if it cannot be an identifier.
    """
    try:
        return route.readers[name].validate_strings(text)
    except ValidationError as error:
        plain = name.rstrip("_")
        if error.errors()[0]["type"] == NOT_STORABLE:
            return invalid_request(f"path.{plain}", error)
        raise ApiError(404, f"there is no {_thing(route, plain)} {short_text(text)}") from None


def _thing(route: Route, name: str) -> str:
    """Name the thing that a part of a path identifies; for a bare number, from the plural before it."""
    return name if name != "number" else route.path.partition("/{number}")[0].rpartition("/")[2].removesuffix("s")


def read_query(route: Route, request: Request, list_: str) -> Any:
    """Read the query; an error Response if it is invalid or has an unknown parameter.

    *list_* identifies the list: cursors of others are refused.
    """
    repeated = repeated_parameter(request.query_params)
    if repeated is not None:
        return invalid_part(f"query.{repeated}", "is given more than once")
    parameters: Mapping[str, str] = dict(request.query_params)
    if "query" not in route.takes:
        first = next(iter(parameters), None)
        return None if first is None else invalid_part(f"query.{first}", "is not a parameter: this route has none")
    try:
        return route.readers["query"].validate_strings(parameters, context=list_)
    except ValidationError as error:
        return invalid_request("query", error, route.takes["query"])


def refused_body(route: Route, body: bytes) -> Response | None:
    """Return the refusal of a body of a route that takes none; None if the body is empty, `{}` or `null`."""
    if _SAYS_NOTHING.fullmatch(body.strip()):
        return None
    named = ", ".join(getattr(route.takes.get("query"), "model_fields", ()))
    where = f"; the query takes {named}" if named else ""
    return invalid_part("body", f"is not read: this route takes none{where}")


def read_form(route: Route, body: bytes, most_rows: int) -> Any:
    """Read the body; an error Response if it is invalid or has a name twice, ApiError 413 if it is too large."""
    row = route.row
    if row is not None:
        require_shape(body, most_rows, min(most_rows, ROWS_WORTH))
    else:
        require_shape(body, None, most_rows if route.work is Work.BULK else None)
    try:
        content = route.readers["body"].validate_json(body)
    except ValidationError as error:
        problems = [] if row is None else list(islice(_problems(route, body), PROBLEMS_LISTED + 1))
        form = route.takes["body"]
        return invalid_rows(problems, form) if problems else invalid_request("body", error, form)
    try:
        _ONCE.decode(body.decode())
    except TwiceError:
        return invalid_part(".".join(["body", *map(str, _repeated_name(body))]), "is given more than once")
    return content


def _require_once(pairs: list[tuple[str, Any]]) -> None:
    """Raise TwiceError if an object has a name twice; the object is not kept, as a body may be large."""
    once(pairs)


_ONCE: Final = json.JSONDecoder(object_pairs_hook=_require_once)
_PAIRS: Final = json.JSONDecoder(object_pairs_hook=tuple)


def _repeated_name(body: bytes) -> list[str | int]:
    """Find the first name that an object of a body has twice, with its place."""
    return next(_repeated_names(_PAIRS.decode(body.decode()), []))


def _repeated_names(content: Any, place: list[str | int]) -> Iterator[list[str | int]]:
    """Find repeated names in arrays, which are lists, and in objects, which are tuples of pairs."""
    if isinstance(content, tuple) and len(dict(content)) < len(content):
        counts = Counter(name for name, _ in content)
        yield from ([*place, name] for name, count in counts.items() if count > 1)
    elif isinstance(content, (list, tuple)):
        for name, value in enumerate(content) if isinstance(content, list) else content:
            yield from _repeated_names(value, [*place, name])


def _problems(route: Route, body: bytes) -> Iterator[ErrorDetails]:
    """Find the problems of rows one by one: the reader of the whole list ends at the first invalid row."""
    try:
        rows = from_json(body)
    except ValueError:
        return
    if not isinstance(rows, list) or route.row is None:
        return
    for number, content in enumerate(rows):
        try:
            route.row.validate_json(to_json(content))
        except ValidationError as error:
            for details in error.errors(include_url=False, include_context=False, include_input=False):
                yield cast("ErrorDetails", {**details, "loc": (number, *details["loc"])})


def is_error(value: Any) -> bool:
    """Return whether reading resulted in an error response instead of a value."""
    return isinstance(value, Response)
