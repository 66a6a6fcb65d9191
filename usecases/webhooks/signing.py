"""Signatures of webhooks, the secrets that make them, and the keys that encrypt these secrets in the database.

Signatures follow Standard Webhooks (https://www.standardwebhooks.com); the former ones are sent too for one release. A
copy of the database alone is not enough to sign. `docs/webhooks.md` explains how a receiver checks a signature.
"""

import datetime as dt
import hmac
import json
import secrets as random_bytes
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from hashlib import sha256
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from filelock import FileLock
from standardwebhooks import Webhook

from fivefold.domain.canonical import canonical_json
from fivefold.domain.errors import ConfigError
from fivefold.domain.files import make_private_folder, replacing
from fivefold.domain.settings import read_settings

_MODE = 0o600


class UnreadableSecretsError(ConfigError):
    """No key of this host reads the secrets of an endpoint."""


def encrypt(text: str) -> str:
    """Encrypt a text with the newest key: a Fernet token (AES-128-CBC with HMAC-SHA256), in ASCII."""
    return _box(*_where()).encrypt(text.encode()).decode("ascii")


def decrypt(token: str) -> str:
    """Decrypt a token with whichever key made it; UnreadableSecretsError if none of them did."""
    keys, file = _where()
    try:
        if not keys and not file.exists():
            raise InvalidToken  # noqa: TRY301 (there is no key at all)
        return _box(keys, file).decrypt(token.encode("ascii")).decode()
    except (InvalidToken, ValueError):
        raise UnreadableSecretsError(
            "the secrets of webhooks are encrypted with another key: FIVEFOLD_WEBHOOK_KEYS, or else the file"
            f" {file}, must have the key that they were encrypted with, on every host. If that key is lost, give each"
            " endpoint a new secret in place of the others: fivefold webhooks rotate --at-once, or kept_hours 0"
        ) from None


def require_keys(keys: tuple[str, ...]) -> None:
    """Raise ConfigError unless each key of `FIVEFOLD_WEBHOOK_KEYS` is one."""
    if keys:
        _box(keys, Path())


def _where() -> tuple[tuple[str, ...], Path]:
    settings = read_settings()
    return settings.webhook_keys, settings.webhook_key_file


@cache
def _box(keys: tuple[str, ...], file: Path) -> MultiFernet:
    try:
        return MultiFernet([Fernet(key) for key in keys or [_key_in(file)]])
    except ValueError:
        where = "FIVEFOLD_WEBHOOK_KEYS" if keys else str(file)
        raise ConfigError(
            f"{where} has an invalid key; a key is 32 bytes in URL-safe base64, as `fivefold webhooks new-key` prints"
        ) from None


def _key_in(file: Path) -> str:
    """Read the key of this machine, made at its first use; readable only for its owner."""
    if not file.exists():
        make_private_folder(file.parent)
        # One process at a time, and the key has its name only once it is whole.
        with FileLock(file.with_suffix(".lock")):
            if not file.exists():
                with replacing(file) as unfinished:
                    unfinished.touch(_MODE)
                    unfinished.write_text(new_key(), encoding="ascii")
    return file.read_text(encoding="ascii").strip()


def new_key() -> str:
    """Make a key."""
    return Fernet.generate_key().decode("ascii")


SCHEME = "v1"
"""The version of the signature in the former headers."""
WRITTEN_FIRST = "whsec_"
"""The prefix of a secret, so that it is recognised if it turns up by mistake."""
SECRET_BYTES = 32
_STANDARD = str.maketrans("-_", "+/")


@dataclass(frozen=True)
class Secret:
    """A secret that an endpoint and fivefold share.

    Attributes:
        text: as it was shown when it was made, `whsec_` and base64. The key is the decoded base64; for the former
            headers it is the text's bytes in UTF-8.
        until_us: it signs until then; None for the newest.
    """

    text: str = field(repr=False)
    until_us: int | None = None


def new_secret() -> str:
    """Make a secret, as Standard Webhooks writes them."""
    return WRITTEN_FIRST + b64encode(random_bytes.token_bytes(SECRET_BYTES)).decode("ascii")


def standard_secret(text: str) -> str:
    """Write a secret as Standard Webhooks does; those from before 22 November 2026 were in the alphabet for URLs.

    >>> standard_secret("whsec_-_8"), standard_secret("whsec_+/8=")
    ('whsec_+/8=', 'whsec_+/8=')
    """
    digits = text.removeprefix(WRITTEN_FIRST).translate(_STANDARD).rstrip("=")
    return WRITTEN_FIRST + digits + "=" * (-len(digits) % 4)


def rotate(secrets: Sequence[Secret], new_secret: str, now_us: int, until_us: int) -> tuple[Secret, ...]:
    """Put a new secret first; earlier ones sign until *until_us*, or until their own end if that is sooner."""
    older = live_secrets(secrets, now_us) if until_us > now_us else ()
    before = (replace(secret, until_us=min(secret.until_us or until_us, until_us)) for secret in older)
    return (Secret(new_secret), *before)


def live_secrets(secrets: Sequence[Secret], now_us: int) -> tuple[Secret, ...]:
    """Keep the secrets that sign at a moment, in their order: the newest first."""
    return tuple(secret for secret in secrets if secret.until_us is None or secret.until_us > now_us)


def count_signing(text: str, now_us: int) -> int:
    """Count the secrets of the database that sign at a moment: 0 if no key of this host reads them."""
    try:
        return len(live_secrets(read_secrets(text), now_us))
    except UnreadableSecretsError:
        return 0


def read_secrets(text: str) -> tuple[Secret, ...]:
    """Read secrets from the database: encrypted, or plain if they are older than the encryption."""
    plain = text if text.startswith("[") else decrypt(text)
    return tuple(Secret(**secret) for secret in json.loads(plain))


def secrets_json(secrets: Sequence[Secret]) -> str:
    """Write secrets for the database: encrypted with the newest key."""
    return encrypt(canonical_json([vars(secret) for secret in secrets]))


def webhook_signature(secrets: Sequence[Secret], event_id: str, timestamp_s: int, body: bytes) -> str:
    """Sign an event, a moment and a body with each secret as Standard Webhooks does: base64, by spaces.

    >>> webhook_signature([Secret("whsec_YQ=="), Secret("whsec_Yg==")], "e1", 1_800_000_000, b"{}").split(" ")[0]
    'v1,b2/Vp7UyGqPeLjQ0fTk2LAp8x7Hs2QdcDghmNyB1YGU='
    """
    moment, text = dt.datetime.fromtimestamp(timestamp_s, tz=dt.UTC), body.decode()
    return " ".join(Webhook(standard_secret(secret.text)).sign(event_id, moment, text) for secret in secrets)


def earlier_signature(secrets: Sequence[Secret], timestamp_s: int, body: bytes) -> str:
    """Sign a moment and a body with each secret in the former way: HMAC-SHA256, in hexadecimal, by commas.

    >>> earlier_signature([Secret("a"), Secret("b")], 1_800_000_000, b"{}").split(",")[0]
    'v1=a36e6ba6b74072c6c8438b9048d55b8020c527afda2812d9fae8235223c28f05'
    """
    message = str(timestamp_s).encode() + b"." + body
    return ",".join(f"{SCHEME}={hmac.new(secret.text.encode(), message, sha256).hexdigest()}" for secret in secrets)
