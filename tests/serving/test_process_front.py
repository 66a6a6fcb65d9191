"""The front of a real service: its pages, what is not there, its access log, and connections that say nothing."""

import contextlib
import re
import socket

import pytest

from tests.serving.process_service import SOON_SECONDS, Service, sample_rows
from tests.serving.test_pages import FOREIGN


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
