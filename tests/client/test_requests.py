"""What a call sends, and what it refuses to send: addresses, tokens, identifiers, rows, numbers."""

import json
import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any
from uuid import UUID

import httpx
import numpy as np
import pandas as pd
import polars as pl
import pytest

from fivefold.client import (
    ApiError,
    Client,
    NotFoundError,
    NotSentError,
)
from tests.client.fake_service import TAKEN, TOKEN, Service, answer, client, put, refused


@pytest.mark.parametrize("key", [5, b"import-7", True])
def test_a_key_that_is_no_text_is_not_sent(key: Any) -> None:
    with pytest.raises(NotSentError, match="allowed: 1 to 200 visible ASCII characters"):
        put(client(Service()), key=key)


@pytest.mark.parametrize("rows", [None, 5])
def test_what_is_no_list_of_rows_is_not_sent(rows: Any) -> None:
    for send in (lambda api: api.scoring.score(rows), lambda api: api.entities.add_transactions(rows)):
        with pytest.raises(NotSentError, match=r"rows are '.*'.* allowed: a dict for each row"):
            send(client(Service()))


@pytest.mark.parametrize("table", [pd.DataFrame, pl.DataFrame])
@pytest.mark.parametrize(
    "send",
    [
        lambda asking, rows: asking.scoring.score(rows),
        lambda asking, rows: asking.scoring.explain(rows),
        lambda asking, rows: asking.entities.put_many("customer", rows),
        lambda asking, rows: asking.entities.add_transactions(rows),
    ],
)
def test_a_table_in_place_of_rows_is_not_sent_and_what_to_send_is_named(table: Any, send: Any) -> None:
    service = Service()
    with pytest.raises(NotSentError, match=r'allowed: a dict for each row, such as df\.to_dict\("records"\)'):
        send(client(service), table({"user_id": ["a"]}))
    assert service.asked == []


def test_numbers_of_numpy_are_sent_as_numbers() -> None:
    service = Service(answer(200, []))
    numbers = {"whole": np.int64(3), "double": np.float64(0.1), "single": np.float32(0.5), "flag": np.bool_(True)}
    assert client(service).scoring.score([numbers]) == []
    assert json.loads(service.asked[0].content) == [{"whole": 3, "double": 0.1, "single": 0.5, "flag": True}]
    for value in (Fraction(1, 3), np.array([True]), np.datetime64("2026-01-01")):
        with pytest.raises(NotSentError, match="this cannot be sent"):
            client(Service()).scoring.score([{"amount": value}])


@pytest.mark.parametrize("value", [float("nan"), np.float32("nan"), np.float32("inf"), pd.NaT])
def test_a_missing_value_of_a_table_is_refused_with_its_row_and_what_to_send(value: object) -> None:
    """Pandas has NaN and NaT for what is missing."""
    for send in (lambda api, rows: api.scoring.score(rows), lambda api, rows: api.entities.add_transactions(rows)):
        with pytest.raises(NotSentError, match=r"amount of row 1 is .*a missing value is None"):
            send(client(Service()), [{"amount": 1}, {"amount": value}])


@pytest.mark.parametrize(
    "value", [10**400, -(10**400), 10**5000, Fraction(10**400, 3)], ids=["large", "negative", "largest", "fraction"]
)
def test_a_number_that_no_float_can_hold_is_not_sent(value: Any) -> None:
    service = Service()
    for send in (lambda api, rows: api.scoring.score(rows), lambda api, rows: api.entities.add_transactions(rows)):
        with pytest.raises(NotSentError, match=r"amount of row 1 is larger than any number .* up to 1\.8e\+308"):
            send(client(service), [{"amount": 1}, {"amount": value}])
    with pytest.raises(NotSentError, match="this cannot be sent"):
        client(service).decisions.decide("payments", "a", {"transaction_amount": Fraction(10**400, 3)})
    assert service.asked == []


@pytest.mark.parametrize("identifier", ["a/b", "..", ".", "ä ?#%2F", "a%2Fb", "é\u0301", "x" * 200])
def test_any_identifier_stays_one_part_of_the_path(identifier: str) -> None:
    from urllib.parse import unquote

    service = Service(refused(404))
    with pytest.raises(NotFoundError):
        client(service).levels.get("customer", identifier)
    raw = service.asked[0].url.raw_path.partition(b"?")[0].decode("ascii")
    assert [unquote(part) for part in raw.split("/")] == ["", "v1", "entities", "customer", identifier, "risk"]


@pytest.mark.parametrize("identifier", [None, math.nan, pd.NaT, pd.NA, 901.0, True, b"c1", ["c1"]])
def test_what_is_no_identifier_names_no_customer(identifier: Any) -> None:
    service = Service()
    with pytest.raises(NotSentError, match=r"external_id is .* of the type .*; allowed: text, or a whole number"):
        client(service).entities.put("customer", identifier, {"country": "NO"})
    assert service.asked == []


@pytest.mark.parametrize(
    ("identifier", "text"), [(901, "901"), (np.int64(901), "901"), (UUID(int=1), str(UUID(int=1)))]
)
def test_a_number_or_a_uuid_is_an_identifier(identifier: Any, text: str) -> None:
    service = Service(answer(200, TAKEN))
    client(service).entities.put("customer", identifier, {"country": "NO"})
    assert service.asked[0].url.path.endswith(f"/{text}")


@pytest.mark.parametrize(
    "ask",
    [
        lambda asking: asking.levels.get("customer", ""),
        lambda asking: asking.levels.get("customer", "\udcff"),
        lambda asking: asking.scoring.score([{"transaction_amount": float("nan")}]),
        lambda asking: asking.scoring.score([{"transaction_amount": object()}]),
        lambda asking: asking.levels.get("customer", "c" * 70_000),
        lambda asking: asking.entities.search("customer", text="\ud800").page(),
        lambda asking: put(asking, key=""),
        lambda asking: put(asking, key="first\n"),
        lambda asking: put(asking, key="clé"),
        lambda asking: put(asking, key="k" * 201),
    ],
)
def test_what_cannot_be_written_is_not_sent(ask: Callable[[Client], object]) -> None:
    service = Service()
    with pytest.raises(NotSentError):
        ask(client(service))
    assert service.asked == []


@pytest.mark.parametrize("token", ["", f"{TOKEN}\n", f" {TOKEN}", f"{TOKEN}\u20ac"])
def test_what_is_no_token_is_refused_and_never_shown(token: str) -> None:
    with pytest.raises(NotSentError, match="tokens create") as error:
        Client("http://service.test", token)
    assert TOKEN not in str(error.value)


@pytest.mark.parametrize("url", ["http://u:secret@service.test", "https://u@service.test"])
def test_an_address_with_a_password_is_refused_and_never_shown(url: str) -> None:
    with pytest.raises(NotSentError, match="before the host, which would be sent in place of the token") as error:
        Client(url, TOKEN)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    "url",
    [
        *("", "localhost:3000", "ftp://service.test", "http://", "http://host:port", "http://a\n", None),
        *(httpx.URL("http://service.test"), b"http://service.test"),
    ],
)
def test_what_is_no_address_is_refused_by_name(url: Any) -> None:
    with pytest.raises(NotSentError, match=r"url is .*; allowed: the address of a service"):
        Client(url, TOKEN)


@pytest.mark.parametrize("url", ["http://service.test?x=1", "http://service.test/#a", "http://service.test?"])
def test_an_address_that_would_take_in_the_path_of_a_call_is_refused(url: str) -> None:
    with pytest.raises(NotSentError, match="would take in the path of every call; allowed: the address alone"):
        Client(url, TOKEN)


@pytest.mark.parametrize(
    "setting",
    [
        *({"attempts": value} for value in (0, "4", 2.5)),
        *({"timeout_seconds": value} for value in (0, -1.0, "10", math.inf, 1e12)),
        *({"longest_wait_seconds": value} for value in (-1, "30")),
    ],
)
def test_a_client_makes_one_attempt_at_least_and_gives_it_time(setting: dict[str, Any]) -> None:
    (name,) = setting
    with pytest.raises(NotSentError, match=f"{name} is {setting[name]!r}; allowed: "):
        Client("http://service.test", TOKEN, **setting)


def test_an_empty_moment_is_not_now() -> None:
    service = Service(refused(400), answer(200, []), answer(200, {"items": [], "next": None}))
    with pytest.raises(ApiError):
        client(service).scoring.score([], as_of="")
    client(service).scoring.score([])
    assert [request.url.query for request in service.asked] == [b"as_of=", b""]


@pytest.mark.parametrize(
    ("ask", "name"),
    [
        (lambda api: api.levels.transitions(direction="rise"), "direction"),
        (lambda api: api.levels.transitions(to="rise"), "to"),
        (lambda api: api.levels.current("customer", status="rise"), "status"),
        (lambda api: api.entities.search("customer", level="rise"), "level"),
        (lambda api: api.values.list("customer", segment="rise"), "segment"),  # noqa: PD011 (no frame)
        (lambda api: api.queue.list(kind="rise"), "kind"),
    ],
)
def test_a_text_in_place_of_a_list_is_one_value(ask: Any, name: str) -> None:
    service = Service(answer(200, []))
    ask(client(service)).page()
    assert service.asked[0].url.params[name] == "rise"


def test_amounts_lose_no_digit() -> None:
    from decimal import Decimal

    service = Service(answer(200, []))
    client(service).scoring.score([{"transaction_amount": Decimal("12.10")}])
    assert json.loads(service.asked[0].content) == [{"transaction_amount": 12.1}]
    with pytest.raises(NotSentError):
        client(service).scoring.score([{"transaction_amount": Decimal("0.1234567890123456789")}])
