"""Signatures and secrets: what anybody can compute, and which secrets sign when."""

import hashlib
import hmac
import stat
from base64 import b64encode, urlsafe_b64encode
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from fivefold.domain.errors import ConfigError, ConflictError
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context
from fivefold.usecases.webhooks import signing
from fivefold.usecases.webhooks.endpoints import (
    MOST_SECRETS,
    add_endpoint,
    drop_old_secrets,
    encrypt_secrets,
    list_endpoints,
    rotate_secret,
)
from fivefold.usecases.webhooks.progress import read_endpoint
from fivefold.usecases.webhooks.signing import (
    Secret,
    earlier_signature,
    live_secrets,
    new_key,
    new_secret,
    read_secrets,
    rotate,
    secrets_json,
    standard_secret,
    webhook_signature,
)
from tests.usecases import platforms

texts = st.text(st.characters(codec="utf-8"), min_size=1)
moments = st.integers(0, 2**50)
several = st.lists(texts, min_size=1, max_size=4, unique=True)


@given(several, st.integers(0, 2**40), st.binary())
def test_an_earlier_signature_is_the_hmac_of_moment_and_body_with_each_secret(
    secrets: list[str], timestamp_s: int, body: bytes
) -> None:
    signed = f"{timestamp_s}.".encode() + body
    expected = [f"v1={hmac.digest(secret.encode(), signed, hashlib.sha256).hex()}" for secret in secrets]
    assert earlier_signature([Secret(secret) for secret in secrets], timestamp_s, body).split(",") == expected


keys = st.binary(min_size=1, max_size=40)


@given(st.lists(st.tuples(keys, st.booleans()), min_size=1, max_size=3), texts, st.integers(0, 2**37), texts)
def test_a_signature_is_that_of_standard_webhooks_with_each_secret_in_either_alphabet(
    made: list[tuple[bytes, bool]], event_id: str, timestamp_s: int, body: str
) -> None:
    written = [(urlsafe_b64encode(key).rstrip(b"=") if early else b64encode(key)).decode() for key, early in made]
    signed = f"{event_id}.{timestamp_s}.{body}".encode()
    expected = ["v1," + b64encode(hmac.digest(key, signed, "sha256")).decode() for key, _ in made]
    secrets = [Secret(f"whsec_{text}") for text in written]
    assert webhook_signature(secrets, event_id, timestamp_s, body.encode()).split(" ") == expected


@given(st.data(), keys, texts, st.integers(0, 2**37), texts)
def test_another_event_moment_or_body_has_another_signature(
    data: st.DataObject, key: bytes, event_id: str, timestamp_s: int, body: str
) -> None:
    secrets = [Secret("whsec_" + b64encode(key).decode())]
    one, two = webhook_signature(secrets, event_id, timestamp_s, body.encode()), data.draw(st.integers(0, 2))
    others = [event_id + "x", timestamp_s, body] if two == 0 else [event_id, timestamp_s + 1, body]
    others = [event_id, timestamp_s, body + " "] if two == 2 else others
    assert one != webhook_signature(secrets, str(others[0]), int(others[1]), str(others[2]).encode())


def test_a_secret_in_the_usual_alphabet_stays_as_it_is() -> None:
    made = new_secret()
    assert standard_secret(made) == made
    assert new_secret() != made


@given(several, moments, st.integers(0, 10**12))
def test_rotation_puts_the_new_one_first_and_ends_the_others_together_at_the_latest(
    made: list[str], now_us: int, kept_us: int
) -> None:
    secrets: tuple[Secret, ...] = (Secret(made[0]),)
    for number, secret in enumerate(made[1:]):
        secrets = rotate(secrets, secret, now_us + number, now_us + number + kept_us)
    assert secrets[0] == Secret(made[-1])
    untils = [secret.until_us or 0 for secret in secrets[1:]]
    assert untils == sorted(untils, reverse=True), "each ends when it was first to, not later for a newer rotation"
    last_us = now_us + len(made) - 2 + kept_us
    assert live_secrets(secrets, max(last_us, now_us)) == secrets[:1]
    if kept_us and len(made) > 1:
        assert [secret.text for secret in live_secrets(secrets, now_us + len(made) - 2)][:2] == made[:-3:-1]


def test_a_secret_ends_at_its_moment() -> None:
    secrets = rotate([Secret("old")], "new", 10, 20)
    assert [secret.text for secret in live_secrets(secrets, 19)] == ["new", "old"]
    assert [secret.text for secret in live_secrets(secrets, 20)] == ["new"]
    assert rotate([Secret("old")], "new", 10, 10) == (Secret("new"),)


@given(several)
def test_secrets_are_read_as_they_were_written(made: list[str]) -> None:
    secrets = tuple(Secret(text, number or None) for number, text in enumerate(made))
    assert read_secrets(secrets_json(secrets)) == secrets


def test_a_secret_is_not_in_what_is_printed() -> None:
    assert "whsec" not in repr(Secret("whsec_a", 3))


URL = "https://example.com/hooks"


@pytest.fixture
def actor(engine: Engine) -> Actor:
    return platforms.actor(platforms.organisation(engine), "cli:ana")


def kept(engine: Engine) -> str:
    with engine.connect() as connection:
        return str(connection.scalar(text("SELECT secrets FROM endpoints")))


def test_the_database_does_not_have_the_secret(engine: Engine, actor: Actor) -> None:
    made = add_endpoint(Context(engine, actor), URL)
    assert made.secret not in kept(engine)
    assert "whsec" not in kept(engine)
    assert read_secrets(kept(engine)) == (Secret(made.secret),)


def test_keys_are_changed_without_losing_a_secret(
    engine: Engine, actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = new_key(), new_key()
    monkeypatch.setenv("FIVEFOLD_WEBHOOK_KEYS", old)
    made = add_endpoint(Context(engine, actor), URL)
    monkeypatch.setenv("FIVEFOLD_WEBHOOK_KEYS", f"{new}, {old}")
    assert encrypt_secrets(engine, "cli:ana") == 1
    monkeypatch.setenv("FIVEFOLD_WEBHOOK_KEYS", new)
    assert read_secrets(kept(engine)) == (Secret(made.secret),)
    assert list_endpoints(Context(engine, actor))[0].secrets == 1


def test_where_the_key_is_lost_an_endpoint_gets_a_new_secret(
    engine: Engine, actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And it can be looked at, which it must be before."""
    context = Context(engine, actor)
    number = add_endpoint(context, URL).endpoint_id
    monkeypatch.setenv("FIVEFOLD_WEBHOOK_KEYS", new_key())
    assert (list_endpoints(context)[0].secrets, read_endpoint(context, number).secrets) == (0, 0)
    for ask in (rotate_secret, drop_old_secrets):
        with pytest.raises(ConfigError, match=r"encrypted with another key: FIVEFOLD_WEBHOOK_KEYS.*or kept_hours 0"):
            ask(context, number)
    made = rotate_secret(context, number, kept_hours=0)
    assert read_secrets(kept(engine)) == (Secret(made.secret),)
    assert read_endpoint(context, number).secrets == 1


def test_so_many_secrets_sign_at_once_and_no_more(engine: Engine, actor: Actor) -> None:
    """Each is another signature in a header, whose length receivers limit."""
    context = Context(engine, actor)
    number = add_endpoint(context, URL).endpoint_id
    for _ in range(MOST_SECRETS - 1):
        rotate_secret(context, number)
    with pytest.raises(
        ConflictError, match=rf"endpoint {number} has {MOST_SECRETS} secrets that sign, .* kept_hours 0"
    ):
        rotate_secret(context, number)
    assert len(read_secrets(kept(engine))) == MOST_SECRETS
    rotate_secret(context, number, kept_hours=0)
    assert len(read_secrets(kept(engine))) == 1


def test_secrets_of_before_are_read_and_then_encrypted(engine: Engine, actor: Actor) -> None:
    add_endpoint(Context(engine, actor), URL)
    with engine.begin() as connection:
        plain = '[{"text":"whsec_old","until_us":null}]'
        connection.execute(text("UPDATE endpoints SET secrets = :plain"), {"plain": plain})
    assert read_secrets(kept(engine)) == (Secret("whsec_old"),)
    encrypt_secrets(engine, "cli:ana")
    assert "whsec_old" not in kept(engine)
    assert read_secrets(kept(engine)) == (Secret("whsec_old"),)


def test_without_a_setting_a_machine_makes_its_own_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FIVEFOLD_WEBHOOK_KEYS")
    monkeypatch.setenv("FIVEFOLD_VAR", str(tmp_path / "var"))
    written = secrets_json([Secret("a")])
    file = tmp_path / "var" / "webhook.key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert read_secrets(written) == (Secret("a"),)
    signing._box.cache_clear()  # as in the next process
    assert read_secrets(written) == (Secret("a"),)
    signing._box.cache_clear()
    assert read_secrets(secrets_json([Secret("b")])) == (Secret("b"),)
    assert read_secrets(written) == (Secret("a"),), "the first key is still the one that encrypts"
    monkeypatch.setenv("FIVEFOLD_VAR", str(tmp_path / "other"))
    with pytest.raises(ConfigError, match="encrypted with another key"):
        read_secrets(written)
    assert not (tmp_path / "other").exists(), "a key that cannot have been the right one is not made"


def test_a_key_that_was_being_made_when_the_process_ended_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise an empty file would be taken for the key, by this process and by all later ones."""
    monkeypatch.delenv("FIVEFOLD_WEBHOOK_KEYS")
    monkeypatch.setenv("FIVEFOLD_VAR", str(tmp_path / "var"))
    with monkeypatch.context() as patch:
        patch.setattr(signing, "new_key", _ends)
        with pytest.raises(KeyboardInterrupt):
            secrets_json([Secret("a")])
    assert not (tmp_path / "var" / "webhook.key").exists()
    assert read_secrets(secrets_json([Secret("a")])) == (Secret("a"),)


def _ends() -> str:
    raise KeyboardInterrupt


def test_a_key_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIVEFOLD_WEBHOOK_KEYS", "short")
    with pytest.raises(ConfigError, match="FIVEFOLD_WEBHOOK_KEYS has an invalid key"):
        secrets_json([Secret("a")])


def test_plain_http_is_for_an_operator_at_the_machine(engine: Engine, actor: Actor) -> None:
    with pytest.raises(ConflictError, match="at the machine only"):
        add_endpoint(Context(engine, Actor(actor.organisation_id, "token:1")), "http://example.com/", http_allowed=True)
    with pytest.raises(ConfigError, match="can be read in transit"):
        add_endpoint(Context(engine, actor), "http://example.com/")
    add_endpoint(Context(engine, actor), "http://example.com/", http_allowed=True)
