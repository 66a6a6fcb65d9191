"""A route is what its handler's annotations say."""

from typing import cast

import pytest

from fivefold.serving.v1.permissions import ROUTES
from fivefold.serving.v1.route import RequestContext, Route
from fivefold.serving.v1.schemas import RequestModel
from fivefold.usecases.accounts.credentials import Credential
from fivefold.usecases.shared.actors import Role


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
