"""Identity tokens: what is accepted, and that anything else is refused."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc import jws
from joserfc.jwk import ECKey, OctKey, RSAKey

from fivefold.domain.errors import ConfigError, IdentityError, IdentityProviderError
from fivefold.domain.settings import OpenIdSettings, read_settings
from fivefold.usecases.accounts import openid
from fivefold.usecases.accounts.openid import Identity, IdentityProvider

ISSUER = "https://login.bank.example"
RETURN = "https://bank.example/console/sign-in/identity/return"
SETTINGS = OpenIdSettings(ISSUER, "fivefold", "secret", "bank")
KEY = RSAKey.generate_key(2048, parameters={"kid": "1"})
OTHER_KEY = RSAKey.generate_key(2048, parameters={"kid": "1"})
METADATA = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/authorize",
    "token_endpoint": f"{ISSUER}/token",
    "jwks_uri": f"{ISSUER}/keys",
}


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> IdentityProvider:
    """A provider whose addresses and keys are known here."""
    answers = {METADATA["jwks_uri"]: {"keys": [KEY.as_dict(private=False)]}}
    monkeypatch.setattr(openid, "_fetch", lambda address: answers.get(address, METADATA))
    return IdentityProvider(SETTINGS)


@pytest.fixture
def come_back(provider: IdentityProvider, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Identity]:
    """Go to the provider and come back with an identity token that has these claims."""

    def come(key: Any = KEY, alg: str = "RS256", state: str = "", kid: str = "1", **changes: Any) -> Identity:
        address, kept = provider.begin(RETURN)
        asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "aud": "fivefold",
            "sub": "7",
            "exp": now + 300,
            "iat": now,
            "nonce": asked["nonce"],
            "email": "ida@bank.example",
            "email_verified": True,
        } | changes
        claims = {name: value for name, value in claims.items() if value is not None}
        token = jws.serialize_compact({"alg": alg, "kid": kid}, json.dumps(claims), key, algorithms=[alg])
        monkeypatch.setattr(provider, "_exchange", lambda *_: {"id_token": token})
        return provider.identify(RETURN, {"code": "c", "state": state or asked["state"]}, kept)

    return come


def test_the_way_to_the_provider_asks_for_a_code_with_pkce(provider: IdentityProvider) -> None:
    address, kept = provider.begin(RETURN)
    asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
    assert address.startswith(METADATA["authorization_endpoint"])
    assert (asked["response_type"], asked["code_challenge_method"]) == ("code", "S256")
    assert (asked["client_id"], asked["redirect_uri"]) == ("fivefold", RETURN)
    state, nonce, verifier = kept.split(".")
    assert (asked["state"], asked["nonce"]) == (state, nonce)
    assert verifier not in address
    assert kept != provider.begin(RETURN)[1]


def test_the_claim_of_the_settings_names_the_member(come_back: Callable[..., Identity]) -> None:
    assert come_back() == Identity("7", "ida@bank.example")
    assert come_back(aud=["fivefold"], azp="fivefold") == Identity("7", "ida@bank.example")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"iss": "https://evil.example"}, "wrong issuer"),
        ({"aud": "another"}, "wrong audience"),
        ({"aud": ["fivefold", "another"]}, "wrong audience"),
        ({"aud": ["fivefold", "another"], "azp": "fivefold"}, "wrong audience"),
        ({"azp": "another"}, "wrong audience"),
        ({"aud": []}, "wrong audience"),
        ({"exp": int(time.time()) - 120}, "expired"),
        ({"exp": None}, "claim missing"),
        ({"iat": int(time.time()) + 9_000}, "issued in the future"),
        ({"nbf": int(time.time()) + 9_000}, "issued in the future"),
        ({"iat": "yesterday"}, "identity token not valid"),
        ({"nbf": [1]}, "identity token not valid"),
        ({"nonce": "another"}, "wrong nonce"),
        ({"nonce": None}, "claim missing"),
        ({"sub": None}, "claim missing"),
        ({"sub": 7}, "identity token not valid"),
        ({"sub": "\ud800"}, "name not valid"),
        ({"sub": "7\0"}, "name not valid"),
        ({"email": "\ud800@bank.example"}, "name not valid"),
        ({"email": None}, "claim missing"),
        ({"email": ""}, "claim missing"),
        ({"email": ["ida@bank.example"]}, "claim missing"),
        ({"email_verified": False}, "unverified address"),
        ({"email_verified": None}, "unverified address"),
        ({"email_verified": "true"}, "unverified address"),
        ({"state": "another"}, "another attempt"),
        ({"key": OTHER_KEY}, "wrong signature"),
        ({"key": OctKey.import_key(b"x" * 64), "alg": "HS256"}, "identity token not valid"),
    ],
)
def test_what_does_not_show_who_it_is_is_refused(
    come_back: Callable[..., Identity], changes: dict[str, Any], why: str
) -> None:
    with pytest.raises(IdentityError) as refused:
        come_back(**changes)
    assert refused.value.why == why


@pytest.mark.parametrize("token", [None, "", "x", "eyJhbGciOiJub25lIn0.eyJzdWIiOiI3In0."])
def test_what_is_no_signed_token_is_refused(
    provider: IdentityProvider, monkeypatch: pytest.MonkeyPatch, token: str | None
) -> None:
    kept = provider.begin(RETURN)[1]
    monkeypatch.setattr(provider, "_exchange", lambda *_: {"id_token": token})
    with pytest.raises(IdentityError):
        provider.identify(RETURN, {"code": "c", "state": kept.split(".")[0]}, kept)


def test_the_code_is_exchanged_with_the_verifier(provider: IdentityProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = provider.begin(RETURN)[1]
    sent: list[Any] = []

    def ask(*what: str, **more: Any) -> tuple[int, dict[str, Any]]:
        sent.extend([*what, more])
        return 200, {}

    monkeypatch.setattr(openid, "_ask", ask)
    with pytest.raises(IdentityError):
        provider.identify(RETURN, {"code": "c", "state": kept.split(".")[0]}, kept)
    form = {
        "grant_type": "authorization_code",
        "code": "c",
        "redirect_uri": RETURN,
        "code_verifier": kept.split(".")[2],
    }
    assert sent == ["POST", METADATA["token_endpoint"], {"data": form, "auth": ("fivefold", "secret")}]


@pytest.mark.parametrize("kept", ["", "a", "a.b", "a.b.c.d"])
def test_a_browser_that_kept_nothing_is_sent_back(provider: IdentityProvider, kept: str) -> None:
    with pytest.raises(IdentityError, match="another browser") as refused:
        provider.identify(RETURN, {"code": "c", "state": "a"}, kept)
    assert refused.value.why == "no such attempt"


def test_a_refusal_of_the_provider_is_passed_on(provider: IdentityProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = provider.begin(RETURN)[1]
    state = kept.split(".")[0]
    with pytest.raises(IdentityError, match="access_denied") as refused:
        provider.identify(RETURN, {"error": "access_denied", "state": state}, kept)
    assert refused.value.why == "refused by the provider"
    for error, shown in (("invalid_grant", "invalid_grant"), ("\ud800", r"\?"), ({"a": 1}, r"\{'a': 1\}")):
        monkeypatch.setattr(openid, "_ask", lambda *_, error=error, **__: (400, {"error": error}))
        with pytest.raises(IdentityError, match=f"refused: {shown}"):
            provider.identify(RETURN, {"code": "c", "state": state}, kept)
    monkeypatch.setattr(openid, "_ask", lambda *_, **__: (502, {}))
    with pytest.raises(IdentityProviderError, match="it answered 502"):
        provider.identify(RETURN, {"code": "c", "state": state}, kept)


@pytest.mark.parametrize(
    ("part", "content"),
    [
        ("openid-configuration", {**METADATA, "issuer": "https://another.example"}),
        ("openid-configuration", {"issuer": ISSUER}),
        ("openid-configuration", {**METADATA, "token_endpoint": 5}),
        ("keys", {"keys": [{"kty": "none"}]}),
        ("keys", {"keys": [{"kty": "RSA"}, {"kid": "2"}]}),
        ("keys", {"keys": []}),
        ("keys", {"keys": 5}),
        ("keys", {}),
    ],
)
def test_a_provider_that_is_not_as_the_standard_says_is_refused(
    monkeypatch: pytest.MonkeyPatch, part: str, content: dict[str, Any]
) -> None:
    good = {"openid-configuration": METADATA, "keys": {"keys": [KEY.as_dict(private=False)]}}
    monkeypatch.setattr(openid, "_fetch", lambda address: {**good, part: content}[address.rpartition("/")[2]])
    with pytest.raises(IdentityProviderError):
        IdentityProvider(SETTINGS).begin(RETURN)


@pytest.mark.parametrize(
    "unreadable",
    [
        {"kty": "EC", "crv": "brainpoolP256r1", "kid": "2", "x": "AA", "y": "AA"},
        {"kty": "RSA", "kid": "2", "e": "AQAB"},
        {**KEY.as_dict(private=False), "kid": "2", "use": "tls"},
        {"kid": "2"},
    ],
)
def test_a_key_that_cannot_be_read_keeps_out_none_whom_another_key_lets_in(
    come_back: Callable[..., Identity], monkeypatch: pytest.MonkeyPatch, unreadable: dict[str, Any]
) -> None:
    keys = {"keys": [unreadable, KEY.as_dict(private=False)]}
    monkeypatch.setattr(openid, "_fetch", lambda address: keys if address == METADATA["jwks_uri"] else METADATA)
    assert come_back().subject == "7"


@pytest.mark.parametrize(("key", "is_let_in"), [(KEY, True), (OTHER_KEY, False)])
def test_a_key_without_a_kid_is_tried_where_no_key_has_that_of_the_token(
    key: RSAKey, is_let_in: bool, come_back: Callable[..., Identity], monkeypatch: pytest.MonkeyPatch
) -> None:
    nameless = {name: value for name, value in KEY.as_dict(private=False).items() if name != "kid"}
    keys = {"keys": [{**OTHER_KEY.as_dict(private=False), "kid": "2"}, nameless]}
    monkeypatch.setattr(openid, "_fetch", lambda address: keys if address == METADATA["jwks_uri"] else METADATA)
    if is_let_in:
        assert come_back(key=key).subject == "7"
    else:
        with pytest.raises(IdentityError) as refused:
            come_back(key=key)
        assert refused.value.why == "wrong signature"


def test_a_provider_that_is_away_is_said_and_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [5.0]
    provider = IdentityProvider(SETTINGS, lambda: now[0])

    def away(*_: Any, **__: Any) -> None:
        raise httpx.ConnectError("refused")

    with monkeypatch.context() as patched:
        patched.setattr(openid, "_answer_of", away)
        with pytest.raises(IdentityProviderError, match="cannot be read"):
            provider.begin(RETURN)
    answers = {METADATA["jwks_uri"]: {"keys": [KEY.as_dict(private=False)]}}
    monkeypatch.setattr(openid, "_fetch", lambda address: answers.get(address, METADATA))
    with pytest.raises(IdentityProviderError, match="cannot be read"):  # it is not asked at once again
        provider.begin(RETURN)
    now[0] += openid.AWAY_SECONDS
    assert provider.begin(RETURN)


def test_keys_are_fetched_again_after_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    fetched: list[str] = []
    answers = {METADATA["jwks_uri"]: {"keys": [KEY.as_dict(private=False)]}}

    def fetch(address: str) -> dict[str, Any]:
        fetched.append(address)
        return answers.get(address, METADATA)

    monkeypatch.setattr(openid, "_fetch", fetch)
    now = [1.0]
    provider = IdentityProvider(SETTINGS, lambda: now[0])
    for _ in range(2):
        provider.begin(RETURN)
    assert len(fetched) == 2
    now[0] = 4_000.0
    provider.begin(RETURN)
    assert len(fetched) == 4
    now[0] = 8_000.0
    with provider._fetching:  # another thread fetches them
        provider.begin(RETURN)
    assert len(fetched) == 4


def test_keys_that_the_provider_changed_are_fetched_at_once(
    provider: IdentityProvider, come_back: Callable[..., Identity], monkeypatch: pytest.MonkeyPatch
) -> None:
    now, fetched, published = [100.0], [0], list[Any]([KEY])
    monkeypatch.setattr(provider, "clock", lambda: now[0])

    def fetch(address: str) -> dict[str, Any]:
        fetched[0] += 1
        return METADATA if address != METADATA["jwks_uri"] else {"keys": [published[0].as_dict(private=False)]}

    monkeypatch.setattr(openid, "_fetch", fetch)
    assert come_back().subject == "7"
    renamed = RSAKey.generate_key(2048, parameters={"kid": "2"})
    of_another_kind = ECKey.generate_key("P-256", parameters={"kid": "1"})
    for key, alg in ((OTHER_KEY, "RS256"), (of_another_kind, "ES256"), (renamed, "RS256")):  # two keep the name
        published[0] = key
        now[0] += openid.AGAIN_SECONDS
        assert come_back(key, alg, kid=str(key.kid)).subject == "7"
    assert fetched == [8]
    with pytest.raises(IdentityError, match="invalid_key_id"):  # no newer ones so soon
        come_back()
    now[0] += openid.AGAIN_SECONDS
    with pytest.raises(IdentityError, match="invalid_key_id"):
        come_back()
    assert fetched == [10]
    now[0] += openid.AGAIN_SECONDS
    with pytest.raises(IdentityError, match="nonce"):
        come_back(renamed, kid="2", nonce="another")
    assert fetched == [10]  # what is wrong with the claims is not wrong with the keys


@contextmanager
def answering(begin: bytes, part: bytes) -> Iterator[str]:
    """Run a server that begins its answer and then sends a part again and again, a tenth of a second apart."""
    ended = threading.Event()

    def serve(listener: socket.socket) -> None:
        with suppress(OSError):
            connection = listener.accept()[0]
            with connection:
                connection.sendall(begin)
                while not ended.wait(0.1):
                    connection.sendall(part)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            ended.set()
            thread.join()


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    ("begin", "part", "problem"),
    [
        pytest.param(HEAD + b"\r\n", b" ", "no whole answer within 0.5 s", id="slow body"),
        pytest.param(HEAD + b"X-Long: ", b"x", "no whole answer within 0.5 s", id="slow head"),
        pytest.param(b"", b"", "no whole answer within 0.5 s", id="silent"),
        pytest.param(HEAD + b"\r\n", b" " * 600_000, "has more than 1,000,000 bytes", id="long"),
        pytest.param(HEAD + b"Content-Encoding: gzip\r\n\r\n", b"x", "is compressed", id="compressed"),
        pytest.param(
            HEAD + b"Content-Length: 200000\r\n\r\n" + b"[" * 200_000,
            b"",
            "cannot be read: it is nested too deeply",
            id="deep",
        ),
        pytest.param(HEAD + b"Content-Length: 2\r\n\r\n[]", b"", "is not a JSON object", id="list"),
        pytest.param(b"HTTP/1.1 302 X\r\nLocation: /\r\nContent-Length: 2\r\n\r\n{}", b"", "302", id="elsewhere"),
        pytest.param(b"HTTP/1.1 500 X\r\nContent-Length: 2\r\n\r\n{}", b"", "it answered 500", id="fault"),
    ],
)
def test_an_answer_comes_soon_and_is_short(
    monkeypatch: pytest.MonkeyPatch, begin: bytes, part: bytes, problem: str
) -> None:
    monkeypatch.setattr(openid, "SECONDS", 0.5)
    with answering(begin, part) as issuer, pytest.raises(IdentityProviderError, match=problem):
        IdentityProvider(OpenIdSettings(issuer, "fivefold", "secret", "bank")).begin(RETURN)


def test_a_name_server_that_hangs_is_waited_for_no_longer_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The few threads that ask the provider are not held up by it."""
    went_on = threading.Event()
    monkeypatch.setattr(openid, "SECONDS", 0.1)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: went_on.wait(20))
    begun = time.monotonic()
    with pytest.raises(IdentityProviderError, match=r"no whole answer within 0\.1 s$"):
        IdentityProvider(SETTINGS).begin(RETURN)
    assert time.monotonic() - begun < 15
    went_on.set()


GIVEN = {
    "FIVEFOLD_OPENID_ISSUER": ISSUER,
    "FIVEFOLD_OPENID_CLIENT_ID": "fivefold",
    "FIVEFOLD_OPENID_CLIENT_SECRET": "secret",
    "FIVEFOLD_OPENID_ORGANISATION": "bank",
}


def test_settings_are_all_or_none() -> None:
    assert read_settings({}).openid is None
    assert read_settings(GIVEN).openid == SETTINGS
    assert "secret" not in repr(read_settings({**GIVEN, "FIVEFOLD_OPENID_CLIENT_SECRET": "a secret"}).openid)
    for name in GIVEN:
        with pytest.raises(ConfigError, match=name):
            read_settings({**GIVEN, name: ""})
    with pytest.raises(ConfigError, match="https://"):
        read_settings({**GIVEN, "FIVEFOLD_OPENID_ISSUER": "http://login.bank.example"})
