"""Identity tokens: what is accepted, and that anything else is refused."""

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from authlib.integrations.base_client import OAuthError
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

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

    def come(key: Any = KEY, alg: str = "RS256", state: str = "", **changes: Any) -> Identity:
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
        token = jwt.encode({"alg": alg, "kid": "1"}, claims, key, algorithms=[alg])
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


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://evil.example"},
        {"aud": "another"},
        {"exp": int(time.time()) - 120},
        {"exp": None},
        {"nonce": "another"},
        {"nonce": None},
        {"sub": None},
        {"email": None},
        {"email": ""},
        {"email": ["ida@bank.example"]},
        {"email_verified": False},
        {"email_verified": None},
        {"email_verified": "true"},
        {"state": "another"},
        {"key": OTHER_KEY},
        {"key": OctKey.import_key(b"x" * 64), "alg": "HS256"},
    ],
)
def test_what_does_not_show_who_it_is_is_refused(come_back: Callable[..., Identity], changes: dict[str, Any]) -> None:
    with pytest.raises(IdentityError):
        come_back(**changes)


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
    sent: dict[str, Any] = {}

    def fetch_token(_: Any, endpoint: str, **more: Any) -> dict[str, Any]:
        sent.update(more, endpoint=endpoint)
        return {}

    monkeypatch.setattr(openid.OAuth2Session, "fetch_token", fetch_token)
    with pytest.raises(IdentityError):
        provider.identify(RETURN, {"code": "c", "state": kept.split(".")[0]}, kept)
    assert sent == {"endpoint": METADATA["token_endpoint"], "code": "c", "code_verifier": kept.split(".")[2]}


@pytest.mark.parametrize("kept", ["", "a", "a.b", "a.b.c.d"])
def test_a_browser_that_kept_nothing_is_sent_back(provider: IdentityProvider, kept: str) -> None:
    with pytest.raises(IdentityError, match="another browser"):
        provider.identify(RETURN, {"code": "c", "state": "a"}, kept)


def test_a_refusal_of_the_provider_is_passed_on(provider: IdentityProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = provider.begin(RETURN)[1]
    state = kept.split(".")[0]
    with pytest.raises(IdentityError, match="access_denied"):
        provider.identify(RETURN, {"error": "access_denied", "state": state}, kept)

    def refuse(*_: Any, **__: Any) -> None:
        raise OAuthError("invalid_grant")

    monkeypatch.setattr(openid.OAuth2Session, "fetch_token", refuse)
    with pytest.raises(IdentityError, match="invalid_grant"):
        provider.identify(RETURN, {"code": "c", "state": state}, kept)


@pytest.mark.parametrize(
    ("part", "content"),
    [
        ("openid-configuration", {**METADATA, "issuer": "https://another.example"}),
        ("openid-configuration", {"issuer": ISSUER}),
        ("keys", {"keys": [{"kty": "none"}]}),
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


def test_a_provider_that_is_away_is_said_and_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [5.0]
    provider = IdentityProvider(SETTINGS, lambda: now[0])

    def away(*_: Any, **__: Any) -> None:
        raise requests.ConnectionError("refused")

    with monkeypatch.context() as patched:
        patched.setattr(requests, "get", away)
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
    times = iter([1.0, 2.0, 4_000.0, 4_001.0])
    provider = IdentityProvider(SETTINGS, lambda: next(times, 4_002.0))
    for _ in range(2):
        provider.begin(RETURN)
    assert len(fetched) == 2
    provider.begin(RETURN)
    assert len(fetched) == 4


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
