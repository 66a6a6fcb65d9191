"""Quotas are exact with many callers at once, on two workers and both databases."""

from collections import Counter
from itertools import count
from typing import Any

import httpx

from tests.serving.processes.service import Service, sample_rows, together

CALLERS = 64
URL = "/v4/scoring?as_of=2024-07-01"


def test_calls_are_never_more_than_the_plan_has(service: Service) -> None:
    """However the calls fall on the workers; the kernel may give all of them to one, so until both had some."""
    answered_by: set[int] = set()
    for _ in range(10):
        before = service.answered_by_worker()
        _use_up_calls(service)
        after = service.answered_by_worker()
        answered_by = {worker for worker, answered in after.items() if answered > before.get(worker, 0)}
        if len(answered_by) == service.workers:
            return
    raise AssertionError(f"ten times only {answered_by} answered")


def _use_up_calls(service: Service) -> None:
    token, rows = service.token("hundred_calls"), sample_rows()

    def call(client: httpx.Client) -> list[int]:
        return [client.post(URL, json=rows, headers={"token": token}).status_code for _ in range(3)]

    found = Counter(status for statuses in together(CALLERS, call, service) for status in statuses)
    assert found == {200: 100, 429: 3 * CALLERS - 100}
    assert service.usage_of(token) == (100, 100)


def test_users_are_never_more_than_the_plan_has(service: Service) -> None:
    token = service.token("hundred_users")
    numbers = count()

    def call(client: httpx.Client) -> list[tuple[int, int]]:
        found = []
        for users in (3, 2, 1):
            rows: list[Any] = [sample_rows(f"user {next(numbers)}")[0] for _ in range(users)]
            found.append((client.post(URL, json=rows, headers={"token": token}).status_code, users))
        return found

    answers = [answer for caller in together(CALLERS, call, service) for answer in caller]
    assert {status for status, _ in answers} == {200, 429}
    assert sum(users for status, users in answers if status == 200) == 100
    assert service.usage_of(token) == (sum(status == 200 for status, _ in answers), 100)


def test_two_tokens_do_not_share_a_plan(service: Service) -> None:
    one, other = service.token("one_call"), service.token("one_call")
    found = [service.post(sample_rows(), token).status_code for token in (one, other, one, other)]
    assert found == [200, 200, 429, 429]


def test_a_revoked_token_ends_at_once_even_where_it_is_remembered(service: Service) -> None:
    from fivefold.usecases.accounts.credentials import find_credential
    from fivefold.usecases.accounts.tokens import revoke_token

    token = service.token()
    credential = find_credential(service.engine, token)
    assert credential is not None
    with service.client(token) as client:
        assert client.post(URL, json=sample_rows()).status_code == 200
        revoke_token(service.engine, credential.token_id)
        assert client.post(URL, json=sample_rows()).status_code == 401
    assert service.usage_of(token) == (1, 1)
