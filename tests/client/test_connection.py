"""How a call goes there and back: attempts, keys, waits, errors, pages; against a service that does as it is told."""

import os
from pathlib import Path
from typing import Any

import httpx
import pytest

from fivefold.client import (
    ApiError,
    Client,
    ClientError,
    ConflictError,
    ForbiddenError,
    LimitError,
    NoAnswerError,
    NotFoundError,
    NotSentError,
    Problem,
    RefusedDataError,
    UnauthorizedError,
    UnavailableError,
    UnexpectedAnswerError,
    UnknownOutcomeError,
)
from fivefold.client import connection as connecting
from tests.client.fake_service import TAKEN, TOKEN, Reply, Service, answer, client, put, read, refused, score
from tests.usecases.webhooks.certificates import certified
from tests.usecases.webhooks.receivers import receiving


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    found: list[float] = []
    monkeypatch.setattr(connecting.time, "sleep", found.append)
    return found


def test_the_token_is_sent_and_never_shown() -> None:
    service = Service(answer(200, TAKEN), refused(401))
    with client(service) as asking:
        assert put(asking).new == 1
        with pytest.raises(UnauthorizedError) as error:
            read(asking)
    assert {request.headers["Authorization"] for request in service.asked} == {f"Bearer {TOKEN}"}
    assert TOKEN not in repr(asking) + str(error.value) + repr(vars(error.value))


@pytest.mark.parametrize(
    "fault", [refused(503), refused(504), answer(502), httpx.ReadTimeout("late"), httpx.ConnectError("refused")]
)
def test_what_changes_something_is_sent_again_by_one_key(fault: Reply, waits: list[float]) -> None:
    service = Service(fault, answer(200, TAKEN), answer(200, TAKEN))
    assert put(client(service)).new == 1
    (key,) = service.keys
    assert key is not None
    assert len(waits) == 1
    put(client(service))
    assert len(service.keys) == 2  # another call has another one


def test_a_client_is_closed_where_its_block_ends_and_sends_nothing_then() -> None:
    service = Service(answer(200, TAKEN))
    with client(service) as asking:
        put(asking)
    with pytest.raises(NotSentError, match="the client is closed"):
        put(asking)
    assert len(service.asked) == 1


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        (refused(503), NotSentError, "the client is closed"),
        (httpx.ReadTimeout("late"), NoAnswerError, "had no answer, and the client is closed"),
    ],
)
def test_a_client_that_another_thread_closes_between_attempts_says_whether_it_may_be_done(
    fault: Reply, kind: type[ClientError], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = Service(fault)
    asking = client(service)
    monkeypatch.setattr(connecting.time, "sleep", lambda _: asking.close())
    with pytest.raises(kind, match=words) as error:
        put(asking)
    assert getattr(error.value, "may_be_done", False) == (kind is NoAnswerError)
    assert len(service.asked) == 1


def test_a_client_that_is_closed_as_it_sends_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another thread may close it behind the last look."""
    asking, process = client(Service()), os.getpid()

    def closing() -> int:
        asking.close()
        return process

    monkeypatch.setattr(connecting.os, "getpid", closing)
    with pytest.raises(NotSentError, match="the client is closed"):
        put(asking)


def test_a_key_of_the_callers_own_is_sent() -> None:
    service = Service(answer(200, TAKEN))
    put(client(service), key="import-7")
    assert service.keys == {"import-7"}


def test_an_attempt_that_is_still_under_way_is_waited_for(waits: list[float]) -> None:
    service = Service(httpx.ReadTimeout("late"), refused(409, "is under way", Retry_After="1"), answer(200, TAKEN))
    assert put(client(service)).new == 1
    for before in ([], [httpx.ReadTimeout("late")]):  # a final refusal is none to wait for, whatever came before it
        with pytest.raises(ConflictError, match="four eyes"):
            put(client(Service(*before, refused(409, "four eyes"), answer(200, TAKEN))))
    of_another_process = Service(refused(409, "is under way", Retry_After="2"), answer(200, TAKEN))
    assert put(client(of_another_process), key="import-7").new == 1
    assert waits[3:] == [2.0]
    with pytest.raises(ConflictError):
        put(client(Service(refused(409, "is under way", Retry_After="3600"))), key="import-7")


def test_scoring_is_sent_again_where_nothing_was_done_alone(waits: list[float]) -> None:
    scored = [{"user_id": "a", "score": 2.5, "category": "medium"}]
    (found,) = score(client(Service(httpx.ConnectError("refused"), refused(503, Retry_After="3"), answer(200, scored))))
    assert (found.user_id, found.score, found.category) == ("a", 2.5, "medium")
    assert waits[1] == 3.0
    service = Service(httpx.ReadTimeout("late"))
    with pytest.raises(NoAnswerError) as error:
        score(client(service))
    assert error.value.may_be_done
    assert service.keys == {None}
    with pytest.raises(UnknownOutcomeError):
        score(client(Service(refused(504))))


def test_the_last_attempt_says_what_was_wrong(waits: list[float]) -> None:
    with pytest.raises(UnavailableError):
        read(client(Service(refused(503), refused(503)), attempts=2))
    with pytest.raises(NoAnswerError, match=r"had no answer from http://service.test.*: refused") as error:
        read(client(Service(httpx.ConnectError("refused")), attempts=1))
    assert not error.value.may_be_done
    assert len(waits) == 1


def test_the_wait_doubles_before_each_attempt_and_is_not_the_same_for_all_clients(waits: list[float]) -> None:
    for _ in range(20):
        with pytest.raises(UnavailableError):
            read(client(Service(*[refused(503)] * 4), attempts=4))
    for number, least in enumerate((0.25, 0.5, 1.0)):
        waited = waits[number::3]
        assert least <= min(waited) < max(waited) < 1.5 * least


def test_a_service_that_asks_for_the_longest_wait_is_waited_for_and_for_no_longer_one(waits: list[float]) -> None:
    assert put(client(Service(refused(429, Retry_After="30"), answer(200, TAKEN)), longest_wait_seconds=30)).new == 1
    with pytest.raises(LimitError):
        put(client(Service(refused(429, Retry_After="31")), longest_wait_seconds=30))
    assert waits == [30.0]


@pytest.mark.parametrize("first", [httpx.ReadTimeout("late"), answer(502), refused(504)])
@pytest.mark.parametrize("last", [httpx.ConnectError("refused"), refused(503), refused(409, "is under way")])
def test_what_an_attempt_before_may_have_done_is_not_forgotten(first: Reply, last: Reply, waits: list[float]) -> None:
    with pytest.raises((NoAnswerError, ApiError)) as error:
        put(client(Service(first, last), attempts=2))
    assert error.value.may_be_done
    with pytest.raises((NoAnswerError, ApiError)) as error:
        read(client(Service(first, httpx.ConnectError("refused")), attempts=2))
    assert not error.value.may_be_done, "to read does nothing"
    with pytest.raises((NoAnswerError, ApiError)) as error:
        put(client(Service(refused(503), httpx.ConnectError("refused")), attempts=2))
    assert not error.value.may_be_done


def test_nobody_waits_for_the_end_of_the_month(waits: list[float]) -> None:
    with pytest.raises(LimitError) as error:
        score(client(Service(refused(429, Retry_After="900000"))))
    assert error.value.retry_after_seconds == 900_000
    with pytest.raises(LimitError):
        score(client(Service(refused(429))))
    assert waits == []


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, RefusedDataError),
        (401, UnauthorizedError),
        (403, ForbiddenError),
        (404, NotFoundError),
        (405, ApiError),
        (406, LimitError),
        (409, ConflictError),
        (413, RefusedDataError),
        (422, RefusedDataError),
        (500, ApiError),
    ],
)
def test_errors_are_told_apart_by_their_status(status: int, kind: type[ApiError], waits: list[float]) -> None:
    with pytest.raises(ClientError) as error:
        read(client(Service(refused(status, "the words", X_Request_Id="r-1"))))
    assert type(error.value) is kind
    assert isinstance(error.value, ApiError)
    assert (error.value.status, error.value.detail, error.value.request_id) == (status, "the words", "r-1")
    assert waits == []


def test_problems_are_carried_by_row_and_by_place() -> None:
    listed = [
        {"row": 3, "field": "user_balance", "problem": "is 'x'", "allowed": "a number"},
        {"where": "body.attributes", "problem": "is missing", "line": 4, "fatal": False},
        "nonsense",
    ]
    with pytest.raises(RefusedDataError) as error:
        score(client(Service(answer(422, [{"detail": "not valid", "errors": listed}]))))
    assert error.value.problems == (
        Problem("is 'x'", row=3, field="user_balance", allowed="a number"),
        Problem("is missing", where="body.attributes", line=4, fatal=False),
    )


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (
            Problem("is 'x'", row=0, field="user_balance", allowed="a number"),
            "row 0: user_balance is 'x'; allowed: a number",
        ),
        (Problem("is not JSON", row=0, field="body", allowed="an array"), "body is not JSON; allowed: an array"),
        (Problem("is early", row=0, field="as_of", allowed="a time"), "as_of is early; allowed: a time"),
        (Problem("is 2", row=0, field="explain", allowed="true or false"), "explain is 2; allowed: true or false"),
    ],
)
def test_a_problem_of_the_whole_request_names_no_row(problem: Problem, text: str) -> None:
    assert str(problem) == text


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"[3]", b"{}", b'{"detail": 3}', b"\xff"])
def test_an_error_of_a_program_on_the_way_is_an_error(body: bytes) -> None:
    with pytest.raises(ApiError) as error:
        read(client(Service(httpx.Response(418, content=body)), attempts=1))
    assert (error.value.status, error.value.problems) == (418, ())


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"new": 1}', b'{"new": "many", "changed": 0, "same": 0}'])
def test_an_answer_in_another_form_is_no_answer(body: bytes) -> None:
    with pytest.raises(UnexpectedAnswerError):
        put(client(Service(httpx.Response(200, content=body))))


def test_fields_that_are_new_break_nothing_and_nothing_is_read_as_none() -> None:
    service = Service(answer(200, {**TAKEN, "later": 7}), httpx.Response(204))
    asking = client(service)
    assert put(asking).new == 1
    assert asking.entities.end_tag("customer", "c1", "vip") is None


def line(name: str) -> dict[str, Any]:
    return {"id": 1, "external_id": name, "level": None, "status": None}


def test_pages_are_followed_by_their_mark_and_never_to_another_host() -> None:
    elsewhere = '<https://elsewhere.test/v1/entities/customer?after=m%2F1&limit=2>; rel="next"'
    service = Service(
        answer(200, [line("a"), line("b")], Link=elsewhere),
        answer(200, [], Link='</v1/entities/customer?after=m2>; rel="next"'),
        answer(200, [line("c")]),
    )
    rows = client(service).entities.list("customer", level="high", limit=2)
    assert service.asked == []
    assert [each.external_id for each in rows] == ["a", "b", "c"]
    assert rows.more is False
    assert [dict(request.url.params) for request in service.asked] == [
        {"level": "high", "limit": "2"},
        {"level": "high", "limit": "2", "after": "m/1"},
        {"level": "high", "limit": "2", "after": "m2"},
    ]
    assert {request.url.host for request in service.asked} == {"service.test"}


def test_a_link_without_its_mark_is_an_unexpected_answer() -> None:
    rows = client(Service(answer(200, [line("a")], Link='</v1/x>; rel="next"'))).entities.list("customer")
    with pytest.raises(UnexpectedAnswerError, match="a link to a next page, without the parameter after"):
        list(rows)


def test_a_page_at_a_time_and_more() -> None:
    service = Service(answer(200, [line("a"), line("b")], Link='</v1/x?after=m>; rel="next"'), answer(200, [line("c")]))
    rows = client(service).entities.list("customer")
    assert next(rows).external_id == "a"
    assert (len(rows.page()), rows.more) == (1, True)
    two = client(Service(answer(200, [line("a"), line("b")]))).entities.list("customer")
    assert [(next(two).external_id, two.more) for _ in range(2)] == [("a", True), ("b", False)]
    assert ([each.external_id for each in rows.page()], rows.more, rows.page()) == (["c"], False, [])


def test_an_answer_that_cannot_be_decompressed_is_unexpected() -> None:
    class Torn(httpx.BaseTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            headers = {"Content-Encoding": "gzip"}
            return httpx.Response(200, headers=headers, stream=httpx.ByteStream(b"abc"))

    with pytest.raises(UnexpectedAnswerError, match="unreadable"):
        read(Client("http://service.test", TOKEN, transport=Torn()))


def test_an_unused_connection_is_given_up_before_the_service_closes_it() -> None:
    """A call that meets the closing has no answer, and one that charges is not sent again."""
    transport = Client("http://service.test", TOKEN)._connection._http._transport
    assert transport._pool._keepalive_expiry < 5  # type: ignore[attr-defined]  # httpx shows it nowhere


@pytest.mark.parametrize(
    ("name", "common", "error"), [("localhost", "tests", ApiError), ("", "localhost", NoAnswerError)]
)
def test_a_certificate_proves_a_host_by_its_alternative_names_alone(
    name: str, common: str, error: type[ClientError], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The receiver knows no GET, and says so once it is trusted."""
    with (
        certified(name, tmp_path, monkeypatch, common=common) as context,
        receiving(tls=context) as receiver,
        Client(f"https://localhost:{receiver.port}", TOKEN, attempts=1) as client,
        pytest.raises(error),
    ):
        client.entities.get("customer", "c1")
