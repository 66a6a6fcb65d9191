"""Pages over HTTP: `limit` and an opaque `after`; a `Link` header leads to the next page."""

from collections.abc import Mapping
from hashlib import sha256
from typing import Annotated, Any, Final
from urllib.parse import urlencode

from pydantic import Field, PlainValidator, ValidationInfo, WithJsonSchema
from pydantic_core import to_json

from fivefold.domain.errors import ConfigError
from fivefold.domain.paging import Key, Part, cursor_of, key_of
from fivefold.serving.v1.path_encoding import path_to
from fivefold.serving.v1.route import RequestContext, Route
from fivefold.serving.v1.schemas import PLAIN, RequestModel

LINK: Final = "Link"
ROWS, MOST_ROWS = 100, 1_000
"""Rows of a page: by default, and at most."""
_PAGE: Final = frozenset({"after", "limit"})
_SCHEMA = {"type": "string", "description": "Where the page begins: as the `Link` of the page before says it"}


def _read(text: str, info: ValidationInfo) -> Key:
    """Read a cursor; ValueError if it belongs to another list than the context names."""
    try:
        return key_of(info.context or "", text)
    except ConfigError as error:
        raise ValueError(str(error)) from None


Cursor = Annotated[Any, PlainValidator(_read), WithJsonSchema(_SCHEMA)]
"""The place where a page begins: opaque outside, the key of a row inside. Valid for one list only."""


class PageQuery(RequestModel):
    """Which page of a list: without `after` the first one."""

    after: Cursor | None = None
    limit: Annotated[int, PLAIN] = Field(default=ROWS, ge=1, le=MOST_ROWS)

    @property
    def part(self) -> Part:
        """This page as use cases take it."""
        return Part(self.limit, self.after)


def list_name(context: RequestContext, route: Route, parts: Mapping[str, Any], query: Mapping[str, str]) -> str:
    """Identify a list by organisation, route, variable parts and filters."""
    filters = sorted((name, text) for name, text in query.items() if name not in _PAGE)
    about = [context.actor.organisation_id, route.path, sorted(parts.items()), filters]
    return sha256(to_json(about)).hexdigest()[:16]


def link_to(name: str, route: Route, parts: Mapping[str, str], query: Mapping[str, str], key: Key) -> str:
    """Write the Link header of the page after a key, with the same query otherwise."""
    following = urlencode({**query, "after": cursor_of(name, key)})
    return f'<{path_to(route.path, **parts)}?{following}>; rel="next"'
