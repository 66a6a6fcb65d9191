"""A page asks the database as often for many rows as for a few."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, event

from tests.console.visitors import Visitor
from tests.serving.v1.places import Place

MANY = 12


@contextmanager
def statements(engine: Engine) -> Iterator[list[str]]:
    """The statements that are sent meanwhile."""
    sent: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        sent.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    yield sent
    event.remove(engine, "before_cursor_execute", note)


def count(visitor: Visitor, address: str) -> int:
    """The number of statements of a page; the first time, things are read that stay."""
    visitor.go(address)
    with statements(visitor.place.engine) as sent:
        visitor.go(address)
    assert visitor.page.status_code == 200
    return len(sent)


MOST = {
    "/console/queue": 30,
    "/console/portfolio?type=company": 11,
    "/console/portfolio/over-time?type=company&from=none": 16,
    "/console/entities/company/acme": 45,  # one for each change that waits
    "/console/entities/company/acme/history": 6,
    "/console/search?text=none": 14,  # two for each type in which no entity has just that name
}
"""Statements of each page."""


def test_more_rows_take_no_more_statements(place: Place) -> None:
    visitor = Visitor(place).sign_in("admin")
    visitor.go("/console/entities/company/acme")  # computes the level
    few = {address: count(visitor, address) for address in MOST}
    for number in range(MANY):
        name = f"c{number}"
        place.good("PUT", f"/v1/entities/company/{name}", {"attributes": {"size": number}}, role="app")
        place.good("GET", f"/v1/entities/company/{name}/risk", params={"freshness": "now"}, role="investigator")
        for company in (name, "acme"):
            place.good("PUT", f"/v1/entities/company/{company}/tags/t{number}", {}, role="investigator")
            body = {"level": "high", "reason": "because"}
            place.good("POST", f"/v1/entities/company/{company}/overrides", body, role="investigator")
    assert {address: more for address in MOST if (more := count(visitor, address)) > few[address]} == {}
    assert {address: few[address] for address in MOST if few[address] > MOST[address]} == {}
