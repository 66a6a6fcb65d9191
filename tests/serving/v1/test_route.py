"""A route is what its handler's annotations say."""

from typing import cast

import pytest

from fivefold.serving.v1.permissions import TABLE
from fivefold.serving.v1.route import Asked, Route
from fivefold.serving.v1.schemas import Given
from fivefold.usecases.accounts.tokens import Credential
from fivefold.usecases.shared.actors import Role


class Page(Given):
    """Which part."""

    limit: int = 3


def handler(asked: Asked, type_: str, query: Page) -> list[str]:
    """Do something.

    In more words.
    """
    return [asked.actor.name, asked.role, type_, str(query.limit)]


ROUTE = Route("GET", "/v1/things/{type}", frozenset({Role.ADMIN, Role.APP}), handler)


def test_a_route_reads_its_handler() -> None:
    assert ROUTE.names == ("type",)
    assert dict(ROUTE.takes) == {"type": str, "query": Page}
    assert ROUTE.gives == list[str]
    assert ROUTE.summary == "Do something"
    assert ROUTE.description == "In more words.\n\nFor: app, admin."


def test_a_handler_is_called_with_what_was_read() -> None:
    asked = Asked(None, Credential(7, "admin", "trial", None, 1, 3))  # type: ignore[arg-type]  # no database is asked
    assert ROUTE.called(asked, {"type": "customer", "query": Page(limit=9)}) == ["member:3", "admin", "customer", "9"]


@pytest.mark.parametrize("route", TABLE, ids=lambda route: cast("Route", route).handler.__name__)
def test_each_route_takes_what_its_path_names_and_says_what_it_is_for(route: Route) -> None:
    assert set(route.takes) - {"query", "body"} == set(route.names)
    assert route.summary
    assert ("body" in route.takes) <= (route.method in {"POST", "PUT", "PATCH"})
    for made in (route.writer, *route.readers.values()):
        made.json_schema()
