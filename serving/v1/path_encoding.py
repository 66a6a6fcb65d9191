"""Paths, read part by part: an identifier may hold a slash, which is written %2F and stays within its part."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote, unquote_to_bytes

from starlette.requests import Request
from starlette.types import Scope

_SLASH = "\udc2f"
"""Stands for a slash within a part while routes are compared: half a character, which no path can have."""


def in_parts(scope: Scope) -> Scope:
    """Give a request whose path has other slashes only between its parts."""
    raw: Any = scope.get("raw_path")
    if not raw or b"%2f" not in raw.lower():
        return scope
    path = raw.partition(b"?")[0].decode("ascii", "replace")
    return {**scope, "path": "/".join(unquote(part).replace("/", _SLASH) for part in path.split("/"))}


def is_readable(scope: Scope) -> bool:
    """Tell whether the path is UTF-8. Of other octets servers make one sign, so that many names would be the same one.

    >>> [is_readable({"path": "/a\ufffd", "raw_path": raw}) for raw in (b"/a%EF%BF%BD", b"/a%FC")]
    [True, False]
    """
    if "\ufffd" not in scope["path"]:
        return True
    try:
        unquote_to_bytes(scope.get("raw_path") or b"").decode()
    except UnicodeDecodeError:
        return False
    return True


def parts_of(request: Request) -> Mapping[str, str]:
    """Give the variable parts of a request's path by their names, as they were meant."""
    return {name: text.replace(_SLASH, "/") for name, text in request.path_params.items()}


def path_to(path: str, **parts: str) -> str:
    """Write the path of a route with its variable parts.

    >>> path_to("/v1/entities/{type}/{external_id}", type="customer", external_id="a/b ä")
    '/v1/entities/customer/a%2Fb%20%C3%A4'
    """
    return path.format(**{name: quote(part, safe="") for name, part in parts.items()})
