"""Secrets at rest: encrypted, under keys that can be changed; who has the database alone cannot sign."""

import stat
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from fivefold.domain.errors import ActionRefused, ConfigError
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.webhooks.endpoints import add_endpoint, encrypt_secrets, list_endpoints
from fivefold.usecases.webhooks.keys import new_key
from fivefold.usecases.webhooks.signing import Secret, read_secrets, written_secrets
from tests.usecases import platforms

URL = "https://example.com/hooks"


@pytest.fixture
def actor(engine: Engine) -> Actor:
    return platforms.actor(platforms.organisation(engine), "cli:ana")


def kept(engine: Engine) -> str:
    with engine.connect() as connection:
        return str(connection.scalar(text("SELECT secrets FROM endpoints")))


def test_the_database_does_not_have_the_secret(engine: Engine, actor: Actor) -> None:
    made = add_endpoint(engine, actor, URL)
    assert made.secret not in kept(engine)
    assert "whsec" not in kept(engine)
    assert read_secrets(kept(engine)) == (Secret(made.secret),)


def test_keys_are_changed_without_losing_a_secret(
    engine: Engine, actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = new_key(), new_key()
    monkeypatch.setenv("FIVEFOLD_WEBHOOK_KEYS", old)
    made = add_endpoint(engine, actor, URL)
    monkeypatch.setenv("FIVEFOLD_WEBHOOK_KEYS", f"{new}, {old}")
    assert encrypt_secrets(engine, "cli:ana") == 1
    monkeypatch.setenv("FIVEFOLD_WEBHOOK_KEYS", new)
    assert read_secrets(kept(engine)) == (Secret(made.secret),)
    monkeypatch.setenv("FIVEFOLD_WEBHOOK_KEYS", old)
    with pytest.raises(ConfigError, match="encrypted with another key: FIVEFOLD_WEBHOOK_KEYS"):
        list_endpoints(engine, actor)


def test_secrets_of_before_are_read_and_then_encrypted(engine: Engine, actor: Actor) -> None:
    add_endpoint(engine, actor, URL)
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
    written = written_secrets([Secret("a")])
    file = tmp_path / "var" / "webhook.key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert read_secrets(written) == (Secret("a"),)
    monkeypatch.setenv("FIVEFOLD_VAR", str(tmp_path / "other"))
    with pytest.raises(ConfigError, match="encrypted with another key"):
        read_secrets(written)
    assert not (tmp_path / "other").exists(), "a key that cannot have been the right one is not made"


def test_a_key_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIVEFOLD_WEBHOOK_KEYS", "short")
    with pytest.raises(ConfigError, match="FIVEFOLD_WEBHOOK_KEYS has a key that is none"):
        written_secrets([Secret("a")])


def test_plain_http_is_for_an_operator_at_the_machine(engine: Engine, actor: Actor) -> None:
    with pytest.raises(ActionRefused, match="at the machine only"):
        add_endpoint(engine, Actor(actor.organisation_id, "token:1"), "http://example.com/", http_allowed=True)
    with pytest.raises(ConfigError, match="others on the way can read"):
        add_endpoint(engine, actor, "http://example.com/")
    add_endpoint(engine, actor, "http://example.com/", http_allowed=True)
