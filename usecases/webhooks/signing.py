"""The signature of a webhook and the secrets that make it. `docs/webhooks.md` says how a receiver checks it."""

import hmac
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256

from fivefold.domain.canonical import canonical_json
from fivefold.usecases.webhooks.keys import decrypted, encrypted

SCHEME = "v1"
"""Of the signature: another one where what is signed, or how, changes."""


@dataclass(frozen=True)
class Secret:
    """What an endpoint and fivefold both know, and nobody else.

    Attributes:
        text: as it was shown when it was made; its bytes in UTF-8 are the key.
        until_us: it signs no more from then on; None for the newest.
    """

    text: str = field(repr=False)
    until_us: int | None = None


def rotated(secrets: Sequence[Secret], made: str, now_us: int, until_us: int) -> tuple[Secret, ...]:
    """Put a new secret first; those before it sign until *until_us*, or until they end anyway."""
    kept = live(secrets, now_us) if until_us > now_us else ()
    before = (replace(secret, until_us=min(secret.until_us or until_us, until_us)) for secret in kept)
    return (Secret(made), *before)


def live(secrets: Sequence[Secret], now_us: int) -> tuple[Secret, ...]:
    """Keep the secrets that sign at a moment, in their order: the newest first."""
    return tuple(secret for secret in secrets if secret.until_us is None or secret.until_us > now_us)


def read_secrets(written: str) -> tuple[Secret, ...]:
    """Read secrets as the database keeps them: encrypted, or plainly where they are from before that."""
    plain = written if written.startswith("[") else decrypted(written)
    return tuple(Secret(**secret) for secret in json.loads(plain))


def written_secrets(secrets: Sequence[Secret]) -> str:
    """Write secrets as the database keeps them: encrypted with the newest key."""
    return encrypted(canonical_json([vars(secret) for secret in secrets]))


def signature(secrets: Sequence[Secret], timestamp_s: int, body: bytes) -> str:
    """Sign a moment and a body with each secret: HMAC-SHA256, in hexadecimal, by commas.

    >>> signature([Secret("a"), Secret("b")], 1_800_000_000, b"{}").split(",")[0]
    'v1=a36e6ba6b74072c6c8438b9048d55b8020c527afda2812d9fae8235223c28f05'
    """
    signed = str(timestamp_s).encode() + b"." + body
    return ",".join(f"{SCHEME}={hmac.new(secret.text.encode(), signed, sha256).hexdigest()}" for secret in secrets)
