"""Every list is read page by page to its end: each row once, in one order, whatever comes meanwhile."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any, get_origin
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from sqlalchemy import event, update
from sqlalchemy.orm import Session

from fivefold.serving.v1.paging import MOST_ROWS, PageQuery
from fivefold.serving.v1.permissions import ROUTES
from fivefold.serving.v1.route import Route
from fivefold.store.tables.accounts import Token
from fivefold.usecases.accounts.credentials import hash_of
from tests.depth import some
from tests.serving.v1.examples import EXAMPLES
from tests.serving.v1.more_rows import MORE
from tests.serving.v1.places import OURS, THEIRS, Place, copied

BOUNDED = {
    *("count_queue", "list_queue_views", "list_transaction_days"),
    *("list_groups", "list_groups_of_entity", "read_group_sizes", "compare_flow_shadow", "list_peers"),
}
"""A row for each kind, name that was kept, day of a range, group, two ends of a flow, or peer: these have a bound."""
LISTS = [
    route
    for route in ROUTES
    if route.method == "GET" and get_origin(route.gives) is list and route.handler.__name__ not in BOUNDED
]
ROWS = 3
"""Of each list, at least."""
MENDED = {"list_activations", "list_backtests", "list_links", "list_proposals", "read_history"}
"""They took a statement for each row."""
_NUMBERS = count(1)
some_lists = pytest.mark.parametrize("route", some(LISTS, 6), ids=lambda route: route.handler.__name__)


@pytest.fixture(scope="module")
def plenty(furnished: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A place where every list has several rows."""
    with copied(furnished, tmp_path_factory.mktemp("plenty")) as place:
        yield fill(place)


def fill(place: Place) -> Place:
    for more in MORE.values():
        for _ in range(ROWS):
            more(place, next(_NUMBERS))
    return place


def ask(place: Place, route: Route, role: str = "admin", **query: Any) -> httpx.Response:
    example = EXAMPLES[route.handler.__name__]
    filters = {} if route.handler.__name__ == "list_policies" else example.query  # of one policy there are few
    return place.ask("GET", example.path(route), role=role, params={**filters, **query})


def following(answer: httpx.Response) -> str | None:
    """The cursor of the next page; None on the last one."""
    if "next" not in answer.links:
        return None
    return parse_qs(urlsplit(answer.links["next"]["url"]).query)["after"][0]


def walk(place: Place, route: Route, limit: int) -> Iterator[list[Any]]:
    """Follow the links from the first page to the last."""
    answer = ask(place, route, limit=limit)
    while True:
        assert answer.status_code == 200, answer.text
        yield answer.json()
        if "next" not in answer.links:
            return
        answer = place.ask("GET", answer.links["next"]["url"], role="admin")


def walked_whole(place: Place, route: Route) -> None:
    """Walk while rows come, and compare with what was there before."""
    whole = ask(place, route, limit=MOST_ROWS)
    before = whole.json()
    assert following(whole) is None
    assert len(before) >= ROWS, f"tests/serving/v1/more_rows.py adds no rows to {route.handler.__name__}"
    found = []
    for number, rows in enumerate(walk(place, route, 1)):
        assert len(rows) <= 1
        found += rows
        if number < ROWS:
            MORE[route.handler.__name__](place, next(_NUMBERS))
    known = [lasting(row) for row in before]
    assert [row for row in map(lasting, found) if row in known] == known
    assert len({json.dumps(row) for row in found}) == len(found)


def lasting(row: dict[str, Any]) -> dict[str, Any]:
    """Leave out what was computed for this answer: the age of a validation, and that of the quarter before."""
    return {name: value for name, value in row.items() if name not in {"figure", "limit"}}


def test_every_list_has_pages_and_something_to_page_through() -> None:
    assert [route.path for route in LISTS if not (route.is_paged and issubclass(route.takes["query"], PageQuery))] == []
    assert {route.handler.__name__ for route in LISTS} == set(MORE)


@some_lists
def test_a_list_is_read_whole_page_by_page_while_rows_come(plenty: Place, route: Route) -> None:
    walked_whole(plenty, route)


@pytest.mark.full
def test_lists_are_read_whole_on_postgresql_too(on_postgresql: Place) -> None:
    fill(on_postgresql)
    for route in LISTS:
        walked_whole(on_postgresql, route)


@pytest.mark.parametrize(
    "route",
    [route for route in LISTS if route.handler.__name__ in MENDED or route in some(LISTS, 6)],
    ids=lambda route: route.handler.__name__,
)
def test_a_longer_page_takes_no_statement_more_often(plenty: Place, route: Route) -> None:
    """What a page needs beside its rows is read for all of them together."""
    once, often = (statements_of(plenty, route, limit) for limit in (1, MOST_ROWS))
    assert {each: number for each, number in often.items() if number > max(1, once[each])} == {}


def statements_of(place: Place, route: Route, limit: int) -> Counter[str]:
    """Count the statements of a page, as they are written."""
    counted = Counter[str]()

    def count_it(*call: Any) -> None:
        counted[call[2]] += 1

    event.listen(place.engine, "before_cursor_execute", count_it)
    try:
        assert len(ask(place, route, limit=limit).json()) >= min(limit, ROWS)
    finally:
        event.remove(place.engine, "before_cursor_execute", count_it)
    return counted


@some_lists
def test_what_is_no_page_of_this_list_is_refused(plenty: Place, route: Route) -> None:
    for limit in ("0", "-1", "x", "1.5", "1_0", " 10", "+10", "", str(MOST_ROWS + 1)):
        assert refused_at(ask(plenty, route, limit=limit)) == "query.limit"
    good = following(ask(plenty, route, limit=1))
    assert good is not None
    name, *key = json.loads(urlsafe_b64decode(good + "=="))
    other = next(each for each in LISTS if each is not route)
    foreign = following(ask(plenty, other, limit=1))
    for after in ("", "x", "ä", "%00", good[:-3], "a" * 5_000, written(key), written([name, *key, None]), foreign):
        assert refused_at(ask(plenty, route, after=after)) == "query.after", after


@some_lists
def test_a_cursor_that_was_tampered_with_is_an_error_of_its_sender(on_postgresql: Place, route: Route) -> None:
    """Never one of the database, which compares no text with numbers and holds no number of any size."""
    for _ in range(ROWS):
        MORE[route.handler.__name__](on_postgresql, next(_NUMBERS))
    good = following(ask(on_postgresql, route, limit=1))
    assert good is not None
    name, *key = json.loads(urlsafe_b64decode(good + "=="))
    for wrong in ([], key[1:], [*key, 1], [[part] for part in key], [2**63] * len(key), [True] * len(key)):
        answer = ask(on_postgresql, route, after=written([name, *wrong]))
        assert answer.status_code == 422, (wrong, answer.text)
    swapped = ["x" if isinstance(part, int) else 1 for part in key]
    assert ask(on_postgresql, route, after=written([name, *swapped])).status_code == 422
    for edge in (-(2**31), 2**31 - 1):  # what fits a column of the widest numbers may not fit one of smaller ones
        for number, part in enumerate(key):
            if isinstance(part, int):
                answer = ask(on_postgresql, route, after=written([name, *key[:number], edge, *key[number + 1 :]]))
                assert answer.status_code in {200, 422}, (edge, number, answer.text)


def test_a_cursor_is_of_one_question_of_one_organisation(plenty: Place, tmp_path: Path) -> None:
    path = "/v1/proposals"
    good = following(plenty.ask("GET", f"{path}?state=proposed&limit=1", role="admin"))
    for query, status in (({"state": "proposed"}, 200), ({"state": "proposed", "limit": "2"}, 200), ({}, 422)):
        answer = plenty.ask("GET", path, role="admin", params={**query, "after": good})
        assert answer.status_code == status, query
    theirs = plenty.tokens[THEIRS, "admin"]
    assert plenty.ask("GET", f"{path}?state=proposed&after={good}", token=theirs).status_code == 422
    assert (OURS, "admin") in plenty.tokens


def test_after_the_end_of_a_token_another_one_goes_on_at_the_same_place(place: Place) -> None:
    for number in range(4):
        MORE["list_members"](place, number)
    whole = [row["id"] for row in place.good("GET", "/v1/members", role="admin")]
    first = place.ask("GET", "/v1/members?limit=2", role="admin")
    row = Token.sha256 == hash_of(place.tokens[OURS, "admin"])
    with Session(place.engine) as session, session.begin():
        session.execute(update(Token).where(row).values(expires_us=1))
    onward = first.links["next"]["url"]
    refused = place.ask("GET", onward, role="admin")
    assert (refused.status_code, refused.json()) == (401, [{"detail": "Could not validate credentials"}])
    assert place.watching.sign_ins[-1] == "not valid"
    (another,) = place.join("another@bank.example", "admin")
    rest = place.good("GET", onward.replace("limit=2", "limit=200"), token=another)
    assert [one["id"] for one in first.json() + rest if one["name"] != "another@bank.example"] == whole


def refused_at(answer: httpx.Response) -> str:
    """Where a question is wrong."""
    assert answer.status_code == 422, answer.text
    ((error,),) = [each["errors"] for each in answer.json()]
    return str(error["where"])


def written(content: Any) -> str:
    return urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")
