"""Addresses of transactions that are more than a file: folders, patterns, tables, object stores."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fivefold.domain.errors import ConfigError

ICEBERG_FILE: Final = ".metadata.json"
_ICEBERG: Final = "iceberg"
_FILE: Final = "file"
_SCHEME: Final = re.compile(r"([a-z][a-z0-9+.-]+):/+(.*)", re.DOTALL)
_VERSION: Final = re.compile(r"(.+)@(\d+)")
_SIGNS: Final = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class Address:
    """The address of transactions.

    Attributes:
        scheme: the scheme of the object store, or `iceberg` for a catalog; empty on this machine.
        place: the path there.
        version: the version of a table; None for the present one.
        is_pattern: whether its wildcards match several files; in an existing path they are part of the name.
    """

    scheme: str
    place: str
    version: int | None = None
    is_pattern: bool = False

    def __str__(self) -> str:
        """Write the address as it is typed, without the version."""
        return f"{self.scheme}://{self.place}" if self.scheme else self.place

    @property
    def base(self) -> str:
        """The place, or the folder that a pattern begins with."""
        sign = _SIGNS.search(self.place) if self.is_pattern else None
        return self.place[: sign.start()].rpartition("/")[0] if sign else self.place

    @property
    def pattern(self) -> str:
        """The part of a pattern below its base; empty if it is not a pattern."""
        return self.place.removeprefix(self.base).lstrip("/")

    @property
    def is_catalog(self) -> bool:
        """Whether this is a table of an Iceberg catalog."""
        return self.scheme == _ICEBERG

    @property
    def is_iceberg(self) -> bool:
        """Whether this is a table of Iceberg, by its catalog or its metadata file."""
        return self.is_catalog or self.place.endswith(ICEBERG_FILE)


def address_of(path: Path) -> Address | None:
    """Read an address; None for a path of this machine that exists, or that does not look like an address.

    `Path` turns two slashes into one, which is accepted, so that an address can be given as a path.

    >>> address_of(Path("s3://bank/rows/year=2024"))
    Address(scheme='s3', place='bank/rows/year=2024', version=None, is_pattern=False)
    >>> address_of(Path("rows.csv"))

    Raises:
        ConfigError: it has a password, which error messages would show.
    """
    text = str(path)
    if path.exists():
        return None if not text.endswith(ICEBERG_FILE) else Address("", text)
    version = None
    if versioned := _VERSION.fullmatch(text):
        text, version = versioned[1], int(versioned[2])
    if match := _SCHEME.fullmatch(text):
        scheme, place = match[1], match[2]
        if ":" in place.split("/")[0].rpartition("@")[0]:
            raise ConfigError(f"an address of {scheme} must not have a password; {scheme} has its own settings for it")
        if scheme == _FILE:
            return Address("", f"/{place}", version, is_pattern=_has_signs(place) and not Path(f"/{place}").exists())
        return Address(scheme, place, version, is_pattern=_has_signs(place))
    if version is not None and Path(text).exists():
        return Address("", text, version)
    return Address("", str(path), is_pattern=True) if _has_signs(str(path)) else None


def _has_signs(place: str) -> bool:
    return bool(_SIGNS.search(place))
