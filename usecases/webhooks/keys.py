"""The keys that encrypt what signs webhooks, so that who reads the database, or a backup of it, cannot sign."""

import os
from functools import cache
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from fivefold.domain.errors import ConfigError
from fivefold.domain.files import make_private_folder
from fivefold.domain.settings import read_settings

_MODE = 0o600


def encrypted(text: str) -> str:
    """Encrypt a text with the newest key: a Fernet token (AES-128-CBC with HMAC-SHA256), in ASCII."""
    return _box(*_where(), may_make=True).encrypt(text.encode()).decode("ascii")


def decrypted(token: str) -> str:
    """Decrypt a token, whichever of the keys made it; ConfigError where none of them did."""
    keys, file = _where()
    try:
        if not keys and not file.exists():
            raise InvalidToken  # noqa: TRY301 (there is no key at all)
        return _box(keys, file, may_make=False).decrypt(token.encode("ascii")).decode()
    except (InvalidToken, ValueError):
        raise ConfigError(
            "the secrets of webhooks are encrypted with another key: FIVEFOLD_WEBHOOK_KEYS, or else the file"
            f" {file}, must have the key that they were encrypted with, on every host"
        ) from None


def _where() -> tuple[tuple[str, ...], Path]:
    settings = read_settings()
    return settings.webhook_keys, settings.webhook_key_file


@cache
def _box(keys: tuple[str, ...], file: Path, *, may_make: bool) -> MultiFernet:
    try:
        return MultiFernet([Fernet(key) for key in keys or [_key_in(file, may_make=may_make)]])
    except ValueError:
        where = "FIVEFOLD_WEBHOOK_KEYS" if keys else str(file)
        raise ConfigError(
            f"{where} has a key that is none: 32 bytes in URL-safe base64; `fivefold webhooks new-key` prints one"
        ) from None


def _key_in(file: Path, *, may_make: bool) -> str:
    """Read the key of this machine, made at its first use; readable for its owner alone."""
    if may_make and not file.exists():
        make_private_folder(file.parent)
        try:
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE)
        except FileExistsError:  # another process made it at this moment
            pass
        else:
            with os.fdopen(descriptor, "w", encoding="ascii") as kept:
                kept.write(new_key())
    return file.read_text(encoding="ascii").strip() if file.exists() else ""


def new_key() -> str:
    """Make a key."""
    return Fernet.generate_key().decode("ascii")
