"""The front of a real service: its pages, its access log, and callers that are silent, slow, leave, or send at once."""

import contextlib
import json
import re
import socket
from time import sleep

import pytest

from tests.serving.processes.service import SOON_SECONDS, Service, answer_of, head_of, sample_rows
from tests.serving.test_pages import FOREIGN

BODY = json.dumps(sample_rows()).encode()


def test_pages_are_ours_and_the_frameworks_are_not_there(on_sqlite: Service) -> None:
    for path in ("/", "/docs", "/docs/start.js", "/openapi.json"):
        answer = on_sqlite.get(path)
        assert answer.status_code == 200
        assert not FOREIGN.search(answer.text), path
    for path in ("/docs.json", "/schema.json", "/static_content/swagger-ui.css", "/assets/index.js", "/tasks"):
        assert on_sqlite.get(path).json() == [{"detail": "Not Found"}]


@pytest.mark.parametrize("character", ["%0A", "%0D", "%09", "%00", "%20"])
def test_a_path_is_ours_whatever_character_an_identifier_has(on_sqlite: Service, character: str) -> None:
    for name in (f"a{character}b", f"a{character}"):
        assert on_sqlite.get(f"/v1/entities/customer/{name}/risk").status_code == 401, "it asks for a token"


def test_each_request_is_a_line_without_a_word_of_it(on_sqlite: Service) -> None:
    token, name = on_sqlite.token(), "MARKED-in-a-line"
    answer = on_sqlite.post(sample_rows(name), token)
    request_id = answer.headers["x-request-id"]
    on_sqlite.wait_for(lambda: any(line["request_id"] == request_id for line in on_sqlite.requests()), SOON_SECONDS)
    (line,) = (line for line in on_sqlite.requests() if line["request_id"] == request_id)
    assert (line["route"], line["status"], line["method"]) == ("/v4/scoring", 200, "POST")
    assert re.fullmatch(r"token:\d+", line["actor"])
    assert name not in on_sqlite.said()
    assert token not in on_sqlite.said()


def test_silent_connections_keep_nobody_out(on_sqlite: Service) -> None:
    """More than the workers take together: the oldest make room."""
    with contextlib.ExitStack() as stack:
        for _ in range(900):
            connection = stack.enter_context(
                socket.create_connection(("127.0.0.1", on_sqlite.port), timeout=SOON_SECONDS)
            )
            connection.sendall(b"GET / HT")
        assert on_sqlite.post(sample_rows(), on_sqlite.token()).status_code == 200


def test_a_head_of_megabytes_is_refused_at_once(on_sqlite: Service) -> None:
    with socket.create_connection(("127.0.0.1", on_sqlite.port), timeout=SOON_SECONDS) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(b"GET / HTTP/1.1\r\nX: " + b"a" * 5_000_000)
        with contextlib.suppress(ConnectionError):
            assert connection.recv(1000).startswith(b"HTTP/1.1 431 ")
    assert on_sqlite.ready()


@pytest.mark.parametrize("path", ["/v4/indicators/", "/v4/scoring/", "/v1/entities/customer/", "/livez/", "/docs/"])
def test_no_answer_leads_to_a_host_that_a_stranger_claims(on_sqlite: Service, path: str) -> None:
    """A path with a slash too many was redirected to `http://evil.example/`, before any token was looked at."""
    answer = on_sqlite.get(path, headers={"X-Forwarded-Proto": "https", "Host": "evil.example"})
    assert (answer.status_code, answer.json()) == (404, [{"detail": "Not Found"}])
    assert "evil.example" not in str(answer.headers)


def test_the_log_names_who_connected_and_not_whom_they_claim_to_be(on_sqlite: Service) -> None:
    answer = on_sqlite.get("/v1/rulesets", headers={"X-Forwarded-For": "203.0.113.9", "token": "unknown"})
    request_id = answer.headers["x-request-id"]
    on_sqlite.wait_for(lambda: any(line["request_id"] == request_id for line in on_sqlite.requests()), SOON_SECONDS)
    (line,) = (line for line in on_sqlite.requests() if line["request_id"] == request_id)
    assert (line["status"], line["client"]) == (401, "127.0.0.1")


def connect(service: Service) -> socket.socket:
    return socket.create_connection(("127.0.0.1", service.port), timeout=30)


@pytest.mark.full
def test_callers_that_leave_harm_nobody_and_pay_nothing(on_sqlite: Service) -> None:
    token = on_sqlite.token()
    failed = len(on_sqlite.events())
    errors = on_sqlite.metrics().get('fivefold_requests_total{route="/v4/scoring",status="500"}', 0)
    for sent in [BODY[:100], BODY[:-1], b""] * 5:
        with connect(on_sqlite) as connection:
            connection.sendall(head_of(token, len(BODY)) + sent)
            sleep(0.02)
    assert on_sqlite.post(sample_rows(), token).status_code == 200
    assert on_sqlite.usage_of(token) == (1, 1)
    sleep(0.5)
    assert on_sqlite.events()[failed:] == []
    after = on_sqlite.metrics()
    assert after.get('fivefold_requests_total{route="/v4/scoring",status="500"}', 0) == errors
    assert after['fivefold_requests_total{route="/v4/scoring",status="499"}'] >= 15


@pytest.mark.full
def test_a_slow_body_is_waited_for(service: Service) -> None:
    token = service.token()
    with connect(service) as connection:
        connection.sendall(head_of(token, len(BODY)))
        for begin in range(0, len(BODY), 40):
            connection.sendall(BODY[begin : begin + 40])
            sleep(0.05)
        status, _, body = answer_of(connection)
    assert (status, body) == (200, service.post(BODY, token).content)


@pytest.mark.full
def test_requests_in_one_go_are_answered_in_their_order(service: Service) -> None:
    token = service.token()
    bodies = [json.dumps(sample_rows(f"user {number}")).encode() for number in range(5)]
    with connect(service) as connection:
        connection.sendall(b"".join(head_of(token, len(body)) + body for body in bodies))
        file = connection.makefile("rb")
        found = []
        for _ in bodies:
            assert file.readline().startswith(b"HTTP/1.1 200 ")
            size = 0
            while line := file.readline().strip():
                size = int(line.split()[1]) if line.lower().startswith(b"content-length") else size
            found.append(json.loads(file.read(size))[0]["user_id"])
    assert found == [f"user {number}" for number in range(5)]


@pytest.mark.full
def test_a_caller_may_ask_before_it_sends(on_sqlite: Service) -> None:
    """As curl does with large bodies."""
    with connect(on_sqlite) as connection:
        connection.sendall(head_of(on_sqlite.token(), len(BODY), more="Expect: 100-continue\r\n"))
        assert connection.recv(1000).startswith(b"HTTP/1.1 100 ")
        connection.sendall(BODY)
        assert answer_of(connection)[0] == 200


@pytest.mark.full
def test_what_is_no_http_is_refused_and_the_next_caller_is_served(on_sqlite: Service) -> None:
    with connect(on_sqlite) as connection:
        connection.sendall(b"\x16\x03\x01 this is not HTTP\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 400 ")
    assert on_sqlite.ready()
