"""What a scoring request may ask: its query, and a body that is read whole whatever its parts."""

import asyncio

import pytest
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from fivefold.domain.clock import DAY_US, parse_moment
from fivefold.serving.request_reading import read_body
from fivefold.serving.responses import ApiError
from fivefold.serving.v4.endpoint import ScoringQuery, read_query
from tests.serving.inprocess import run
from tests.serving.v4.test_endpoint import NOW


def request_of(query: str = "", headers: dict[str, str] | None = None, parts: list[Message] | None = None) -> Request:
    waiting = list(parts or [])

    async def receive() -> Message:
        await asyncio.sleep(0)
        return waiting.pop(0)

    raw = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
    return Request({"type": "http", "query_string": query.encode(), "headers": raw}, receive)


@pytest.mark.parametrize(
    ("query", "as_of", "explained"),
    [
        ("", None, False),
        ("explain=", None, False),
        ("as_of=2024-07-01", "2024-07-01T00:00:00Z", False),
        ("as_of=2024-07-01T12:00:00Z&explain=true", "2024-07-01T12:00:00Z", True),
        ("as_of=2024-07-01T12:00:00%2B02:00&explain=YES", "2024-07-01T10:00:00Z", True),
        ("as_of=2024-07-01T12:00:00.123456789Z", "2024-07-01T12:00:00.123456Z", False),
        ("as_of=0001-01-01", "0001-01-01", False),
        ("as_of=2026-11-21T12:00:00Z", "2026-11-21T12:00:00Z", False),
    ],
)
def test_a_query_is_read(query: str, as_of: str | None, explained: bool) -> None:
    expected = ScoringQuery(None if as_of is None else parse_moment(as_of), explained)
    assert read_query(request_of(query), NOW) == expected


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("as_of=", "as_of"),
        ("as_of=&explain=", "as_of"),
        ("as_of=yesterday", "as_of"),
        ("as_of=2024-02-30", "as_of"),
        ("as_of=2024-07-01T12:00:00+02:00", "as_of"),
        ("as_of=1719748800", "as_of"),
        ("as_of=-1", "as_of"),
        ("as_of=%00", "as_of"),
        ("as_of=%F0%9F%98%80", "as_of"),
        ("as_of=0001-01-01T00:00:00%2B23:59", "as_of"),
        ("as_of=9999-12-31T23:59:59-23:59", "as_of"),
        ("as_of=2026-11-21T12:00:00.000001Z", "as_of"),
        ("explain=maybe", "explain"),
        ("explain=2", "explain"),
        ("as_of=2023-01-01&as_of=2024-01-01", "as_of"),
        ("explain=true&explain=true", "explain"),
        ("user_type=PERSON&user_type=PERSON", "user_type"),
    ],
)
def test_a_query_that_cannot_be_read_is_400_and_named(query: str, field: str) -> None:
    with pytest.raises(ApiError) as caught:
        read_query(request_of(query), NOW)
    assert (caught.value.status, caught.value.text) == (400, "Data not valid")
    assert caught.value.problems is not None
    assert [(problem.row, problem.field) for problem in caught.value.problems] == [(0, field)]


def test_how_far_ahead_an_as_of_may_be_is_named() -> None:
    with pytest.raises(ApiError) as caught:
        read_query(request_of("as_of=2026-11-21T12:00:00.000001Z"), NOW)
    (problem,) = caught.value.problems or []
    assert (problem.problem, problem.allowed) == ("is more than 24 hours ahead", "a time up to 24 hours from now")


def parts_of(*bodies: bytes) -> list[Message]:
    last = len(bodies) - 1
    return [{"type": "http.request", "body": body, "more_body": number < last} for number, body in enumerate(bodies)]


def test_a_body_is_read_whole_whatever_its_parts() -> None:
    for parts in ([b""], [b"abc"], [b"a", b"", b"bc"], [b"abcd", b"e"]):
        request = request_of(parts=parts_of(*parts))
        assert run(lambda request=request: read_body(request, 1, 5)) == b"".join(parts)  # type: ignore[misc]  # bound at once


def test_a_body_beyond_the_limit_is_413_before_it_is_all_there() -> None:
    unread = parts_of(b"x" * 3, b"x" * 3, b"x" * 10**6)
    with pytest.raises(ApiError) as caught:
        run(lambda: read_body(request_of(parts=unread), 1, 5))
    assert (caught.value.status, caught.value.text) == (413, "Request Entity Too Large")
    assert caught.value.problems is not None
    assert str(caught.value.problems[0]) == "row 0: body is too large; allowed: 5 bytes"


def test_a_body_that_is_announced_beyond_the_limit_is_not_even_begun() -> None:
    with pytest.raises(ApiError, match="Request Entity Too Large"):
        run(lambda: read_body(request_of(headers={"content-length": "6"}), 1, 5))
    for length in ("5", "0", "many", "-1", "²"):
        request = request_of(headers={"content-length": length}, parts=parts_of(b"abc"))
        assert run(lambda request=request: read_body(request, 1, 5)) == b"abc"  # type: ignore[misc]  # bound at once


def test_a_caller_who_leaves_in_the_middle_is_not_answered() -> None:
    parts: list[Message] = [
        {"type": "http.request", "body": b"[", "more_body": True},
        {"type": "http.disconnect"},
    ]
    with pytest.raises(ClientDisconnect):
        run(lambda: read_body(request_of(parts=parts), 1, 5))


def test_an_as_of_that_was_too_far_ahead_is_read_once_its_time_has_come() -> None:
    """The same query means the same at any time; only how far ahead it is does not."""
    query = "as_of=2026-11-21T12:00:00.000001Z"
    for _ in range(2):
        with pytest.raises(ApiError):
            read_query(request_of(query), NOW)
        assert read_query(request_of(query), NOW + 1).as_of == NOW + DAY_US + 1
