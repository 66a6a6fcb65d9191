"""The register of erasures and legal holds: a file outside the database, with numbers alone.

A database that is restored from a backup has again what was erased since, and no longer has the holds that were put
since. The register says both. An entity stands there with the moment when it was added, since a number may belong to
another entity after a restore.
"""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fivefold.domain.errors import ConfigError
from fivefold.domain.files import make_private_folder

Numbered = tuple[int, int]
"""An entity: its number, and when it was added, microseconds."""


@dataclass(frozen=True)
class ErasureLine:
    """Entities that were erased together.

    Attributes:
        number: of the line in the file, from 1.
        at_us: when they were erased.
    """

    number: int
    organisation: str
    entities: tuple[Numbered, ...]
    at_us: int


@dataclass(frozen=True)
class HoldLine:
    """A legal hold that was put on an entity, or released where `until_us` is not after `at_us`."""

    number: int
    organisation: str
    entity: Numbered
    until_us: int
    at_us: int


def add_erasure(register: Path, organisation: str, entities: Iterable[Numbered], at_us: int) -> None:
    """Note an erasure, safe on the disk when this returns."""
    _add(register, {"organisation": organisation, "entities": [list(entity) for entity in entities], "at_us": at_us})


def add_hold(register: Path, organisation: str, entity: Numbered, until_us: int, at_us: int) -> None:
    """Note a hold or its release, safe on the disk when this returns."""
    _add(register, {"organisation": organisation, "hold": list(entity), "until_us": until_us, "at_us": at_us})


def _add(register: Path, line: Mapping[str, Any]) -> None:
    make_private_folder(register.parent)
    with register.open("a", encoding="utf-8") as kept:
        kept.write(json.dumps(line) + "\n")
        kept.flush()
        os.fsync(kept.fileno())


def read_register(register: Path) -> list[ErasureLine | HoldLine]:
    """Read all lines, in their order; ConfigError names the one that cannot be read."""
    found: list[ErasureLine | HoldLine] = []
    for number, text in enumerate(register.read_text(encoding="utf-8").splitlines(), 1):
        try:
            found.append(_line(number, json.loads(text)))
        except (ValueError, KeyError, TypeError):
            raise ConfigError(f"{register}, line {number}, is no line of a register of erasures") from None
    return found


def _line(number: int, said: Mapping[str, Any]) -> ErasureLine | HoldLine:
    organisation, at_us = str(said["organisation"]), int(said["at_us"])
    if "hold" in said:
        entity, created_us = said["hold"]
        return HoldLine(number, organisation, (int(entity), int(created_us)), int(said["until_us"]), at_us)
    entities = tuple((int(entity), int(created_us)) for entity, created_us in said["entities"])
    return ErasureLine(number, organisation, entities, at_us)
