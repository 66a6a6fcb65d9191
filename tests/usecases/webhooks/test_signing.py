"""Signatures and secrets: what anybody can compute, and which secrets sign when."""

import hashlib
import hmac

from hypothesis import given
from hypothesis import strategies as st

from fivefold.usecases.webhooks.signing import Secret, live, read_secrets, rotated, signature, written_secrets

texts = st.text(st.characters(codec="utf-8"), min_size=1)
moments = st.integers(0, 2**50)
several = st.lists(texts, min_size=1, max_size=4, unique=True)


@given(several, st.integers(0, 2**40), st.binary())
def test_a_signature_is_the_hmac_of_moment_and_body_with_each_secret(
    secrets: list[str], timestamp_s: int, body: bytes
) -> None:
    signed = f"{timestamp_s}.".encode() + body
    expected = [f"v1={hmac.digest(secret.encode(), signed, hashlib.sha256).hex()}" for secret in secrets]
    assert signature([Secret(secret) for secret in secrets], timestamp_s, body).split(",") == expected


@given(texts, st.integers(0, 2**40), st.integers(0, 2**40), st.binary(), st.binary())
def test_another_moment_or_body_has_another_signature(
    secret: str, one_s: int, other_s: int, one: bytes, other: bytes
) -> None:
    same = (one_s, one) == (other_s, other)
    assert (signature([Secret(secret)], one_s, one) == signature([Secret(secret)], other_s, other)) is same


@given(several, moments, st.integers(0, 10**12))
def test_rotation_puts_the_new_one_first_and_ends_the_others_together_at_the_latest(
    made: list[str], now_us: int, kept_us: int
) -> None:
    secrets: tuple[Secret, ...] = (Secret(made[0]),)
    for number, text in enumerate(made[1:]):
        secrets = rotated(secrets, text, now_us + number, now_us + number + kept_us)
    assert secrets[0] == Secret(made[-1])
    untils = [secret.until_us or 0 for secret in secrets[1:]]
    assert untils == sorted(untils, reverse=True), "each ends when it was first to, not later for a newer rotation"
    last_us = now_us + len(made) - 2 + kept_us
    assert live(secrets, max(last_us, now_us)) == secrets[:1]
    if kept_us and len(made) > 1:
        assert [secret.text for secret in live(secrets, now_us + len(made) - 2)][:2] == made[:-3:-1]


def test_a_secret_ends_at_its_moment() -> None:
    secrets = rotated([Secret("old")], "new", 10, 20)
    assert [secret.text for secret in live(secrets, 19)] == ["new", "old"]
    assert [secret.text for secret in live(secrets, 20)] == ["new"]
    assert rotated([Secret("old")], "new", 10, 10) == (Secret("new"),)


@given(several)
def test_secrets_are_read_as_they_were_written(made: list[str]) -> None:
    secrets = tuple(Secret(text, number or None) for number, text in enumerate(made))
    assert read_secrets(written_secrets(secrets)) == secrets


def test_a_secret_is_not_in_what_is_printed() -> None:
    assert "whsec" not in repr(Secret("whsec_a", 3))
