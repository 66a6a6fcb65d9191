"""A route is what its handler's annotations say, and identifiers in paths come back as they were meant."""

from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.routing import Match
from starlette.routing import Route as RouteOfPath

from fivefold.serving.v1.path_encoding import in_parts, parts_of, path_to
from fivefold.serving.v1.permissions import ROUTES
from fivefold.serving.v1.route import RequestContext, Route
from fivefold.serving.v1.schemas import RequestModel
from fivefold.usecases.accounts.credentials import Credential
from fivefold.usecases.shared.actors import Role
from tests.serving.v1.places import Place


class Page(RequestModel):
    """Which part."""

    limit: int = 3


def handler(context: RequestContext, type_: str, query: Page) -> list[str]:
    """Do something.

    In more words.
    """
    return [context.actor.name, context.role, type_, str(query.limit)]


ROUTE = Route("GET", "/v1/things/{type}", frozenset({Role.ADMIN, Role.APP}), handler)


def test_a_route_reads_its_handler() -> None:
    assert ROUTE.names == ("type",)
    assert dict(ROUTE.takes) == {"type": str, "query": Page}
    assert ROUTE.gives == list[str]
    assert ROUTE.summary == "Do something"
    assert ROUTE.description == "In more words.\n\nFor: app, admin."


def test_a_handler_is_called_with_what_was_read() -> None:
    context = RequestContext.of(
        None, Credential(token_id=7, role="admin", plan="trial", expires_us=None, organisation_id=1, member_id=3)
    )  # type: ignore[arg-type]  # no database is asked
    assert ROUTE.call(context, {"type": "customer", "query": Page(limit=9)}) == ["member:3", "admin", "customer", "9"]


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: cast("Route", route).handler.__name__)
def test_each_route_takes_what_its_path_names_and_says_what_it_is_for(route: Route) -> None:
    assert set(route.takes) - {"query", "body"} == set(route.names)
    assert route.summary
    assert ("body" in route.takes) <= (route.method in {"POST", "PUT", "PATCH"})
    for made in (route.writer, *route.readers.values()):
        made.json_schema()


PATH = "/v1/entities/{type}/{external_id}/tags/{tag}"
names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=8)


def read(path: str) -> dict[str, str] | None:
    """Read a path as a server and a router do; None where it is no path of that form."""
    from urllib.parse import unquote

    scope = {"type": "http", "method": "GET", "path": unquote(path), "raw_path": path.encode(), "headers": []}
    match, child = RouteOfPath(PATH, lambda _: None).matches(in_parts(scope))  # type: ignore[arg-type, return-value]  # never called
    return dict(parts_of(Request({**scope, **child}))) if match is Match.FULL else None


@given(names.filter(lambda name: name not in {".", ".."}), names, names)
def test_every_identifier_survives(kind: str, external_id: str, tag: str) -> None:
    parts = {"type": kind, "external_id": external_id, "tag": tag}
    assert read(path_to(PATH, **parts)) == parts


@pytest.mark.parametrize("path", ["/v1/entities/a/b/c/tags/d", "/v1/entities/a%2Fb/tags/d", "/v1/entities//b/tags/d"])
def test_slashes_between_parts_are_no_part_of_them(path: str) -> None:
    assert read(path) is None


def test_a_path_without_its_raw_form_is_left_as_it_is() -> None:
    scope = {"type": "http", "path": "/a/b"}
    assert in_parts(scope) is scope


def test_names_in_another_encoding_are_not_taken_for_one_another(place: Place) -> None:
    """A system that writes Latin-1 put Müller and Möller into one customer."""
    for name in ("M%FCller", "M%F6ller", "%ed%a0%80"):
        answer = place.ask("PUT", f"/v1/entities/customer/{name}", {}, role="app")
        assert answer.status_code == 422
        assert answer.json()[0]["errors"][0]["where"] == "path"
    assert place.ask("PUT", "/v1/entities/customer/M%C3%BCller", {}, role="app").json()["new"] == 1
    assert place.ask("PUT", "/v1/entities/customer/M%EF%BF%BDller", {}, role="app").json()["new"] == 1
