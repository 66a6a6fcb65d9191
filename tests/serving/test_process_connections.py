"""Callers that are slow, leave, or send several requests at once."""

import json
import socket
from time import sleep

import pytest

from tests.serving.process_service import Service, answer_of, head_of, sample_rows

pytestmark = pytest.mark.full

BODY = json.dumps(sample_rows()).encode()


def connect(service: Service) -> socket.socket:
    return socket.create_connection(("127.0.0.1", service.port), timeout=30)


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


def test_a_slow_body_is_waited_for(service: Service) -> None:
    token = service.token()
    with connect(service) as connection:
        connection.sendall(head_of(token, len(BODY)))
        for begin in range(0, len(BODY), 40):
            connection.sendall(BODY[begin : begin + 40])
            sleep(0.05)
        status, _, body = answer_of(connection)
    assert (status, body) == (200, service.post(BODY, token).content)


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


def test_a_caller_may_ask_before_it_sends(on_sqlite: Service) -> None:
    """As curl does with large bodies."""
    with connect(on_sqlite) as connection:
        connection.sendall(head_of(on_sqlite.token(), len(BODY), more="Expect: 100-continue\r\n"))
        assert connection.recv(1000).startswith(b"HTTP/1.1 100 ")
        connection.sendall(BODY)
        assert answer_of(connection)[0] == 200


def test_what_is_no_http_is_refused_and_the_next_caller_is_served(on_sqlite: Service) -> None:
    with connect(on_sqlite) as connection:
        connection.sendall(b"\x16\x03\x01 this is not HTTP\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 400 ")
    assert on_sqlite.ready()
