"""Paths, read part by part: a slash within an identifier is written %2F and stays within its part."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote, unquote_to_bytes

from starlette.requests import Request
from starlette.routing import Match, Route
from starlette.types import Scope

_SLASH = "\udc2f"
"""Stands for a slash within a part while routes are matched: half a surrogate pair, which no path can hold."""


def in_parts(scope: Scope) -> Scope:
    """Replace the slashes within parts of a path by a placeholder."""
    raw: Any = scope.get("raw_path")
    if not raw or b"%2f" not in raw.lower():
        return scope
    path = raw.partition(b"?")[0].decode("ascii", "replace")
    return {**scope, "path": "/".join(unquote(part).replace("/", _SLASH) for part in path.split("/"))}


class PartedPath(Route):
    """A route that is matched part by part."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match a request."""
        return super().matches(in_parts(scope) if scope["type"] == "http" else scope)


def is_readable(scope: Scope) -> bool:
    """Return whether the path is UTF-8; a server decodes all other octets to one character, so names would collide.

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
    """Return the decoded variable parts of a request's path by name."""
    return {name: text.replace(_SLASH, "/") for name, text in request.path_params.items()}


def path_to(path: str, **parts: str) -> str:
    """Write the path of a route with its variable parts.

    >>> path_to("/v1/entities/{type}/{external_id}", type="customer", external_id="a/b ä")
    '/v1/entities/customer/a%2Fb%20%C3%A4'
    """
    return path.format(**{name: quote(part, safe="") for name, part in parts.items()})
