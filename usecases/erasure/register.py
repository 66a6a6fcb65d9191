"""The register of erasures and legal holds: a file outside the database, a line for each, with numbers only.

A line that was cut off while it was written, by a full disk or a power failure, never held: its act was not done. The
next line replaces it, and a reader of the register gets it by its number.
"""

import errno
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import SEEK_END
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from filelock import FileLock, Timeout

from fivefold.domain.clock import day_text
from fivefold.domain.errors import ConfigError, ConflictError, LockedError, StoreError, UnknownOutcomeError
from fivefold.domain.files import make_private_folder
from fivefold.store.sql.database import BUSY_SECONDS


class Numbered(NamedTuple):
    """An entity, as the register names it.

    After a restore another entity may get its number, and even its moment if that was given (`--as-of`).

    Attributes:
        number: the number of the entity.
        created_us: when it was added.
        salt_digest: a digest of its salt, which was drawn when it was added, so another entity has another digest; None
            in lines of earlier versions.
    """

    number: int
    created_us: int
    salt_digest: str | None = None


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


@dataclass(frozen=True, kw_only=True)
class HoldLine:
    """A legal hold that was put on an entity, or its release if `until_us` is not after `at_us`.

    Attributes:
        in_place_of: the entity of a lost hold that a person replaced by this one; otherwise None.
    """

    number: int
    organisation: str
    entity: Numbered
    until_us: int
    at_us: int
    in_place_of: Numbered | None = None


@dataclass(frozen=True)
class CutLine:
    """The last line if it was cut off, as it was written or when the file was copied."""

    number: int


class RegisterLine:
    """The line of the register about the act of one transaction, from `line_of_transaction`.

    From its writing to the transaction's end it is the last line: others that would add one wait.
    """

    def __init__(self, register: Path) -> None:
        """Write nothing yet."""
        self._register = register
        self._lock = FileLock(f"{register}.lock", timeout=BUSY_SECONDS)
        self._begin: int | None = None

    def add_erasure(self, organisation: str, entities: Iterable[Numbered], at_us: int) -> None:
        """Record an erasure; it is safely on disk when this returns. StoreError if it cannot be written."""
        numbered = [list(entity) for entity in entities]
        self._add({"organisation": organisation, "entities": numbered, "at_us": at_us})

    def add_hold(
        self, organisation: str, entity: Numbered, until_us: int, at_us: int, in_place_of: Numbered | None = None
    ) -> None:
        """Record a hold or its release; it is safely on disk when this returns. StoreError if it cannot be written."""
        line: dict[str, Any] = {"organisation": organisation, "hold": list(entity), "until_us": until_us}
        line |= {} if in_place_of is None else {"in_place_of": list(in_place_of)}
        self._add({**line, "at_us": at_us})

    def _add(self, line: Mapping[str, Any]) -> None:
        text = json.dumps(line).encode() + b"\n"
        make_private_folder(self._register.parent)
        try:
            self._lock.acquire()
            with self._register.open("ab+", buffering=0) as file:
                begin = _begin_line(file)
                try:
                    _write(file, text)
                except OSError:
                    file.truncate(begin)
                    raise
        except Timeout:
            raise LockedError(
                f"another program has written to the register {self._register} and not ended for {BUSY_SECONDS} s; let"
                " it go on, or end it"
            ) from None
        except OSError as error:
            raise StoreError(f"the register {self._register} cannot be written: {error.strerror}") from None
        self._begin = begin

    @property
    def is_written(self) -> bool:
        """Whether the register has the line."""
        return self._begin is not None

    def take_back(self) -> None:
        """Remove the line, as its act was not done. StoreError if the register cannot be written."""
        if self._begin is None:
            return
        try:
            with self._register.open("rb+", buffering=0) as file:
                file.truncate(self._begin)
                os.fsync(file.fileno())
        except OSError as error:
            raise StoreError(
                f"the register {self._register} cannot be written: {error.strerror}; its last line is about what was"
                " not done: take it away, or `fivefold erase-again` carries it out"
            ) from None

    def close(self) -> None:
        """Let others add lines."""
        self._lock.release()


@contextmanager
def line_of_transaction(register: Path) -> Iterator[RegisterLine]:
    """Yield a line that is removed again if the transaction in the block certainly did nothing.

    It is written before the transaction ends, so that the register lacks no act that was done. If the outcome is
    unknown, the line stays: UnknownOutcomeError says so.
    """
    line = RegisterLine(register)
    try:
        yield line
    except UnknownOutcomeError as error:
        if not line.is_written:
            raise
        raise UnknownOutcomeError(
            f"{error}; the register {register} has it, so `fivefold erase-again` carries it out if it was not done"
        ) from error
    except Exception:
        line.take_back()
        raise
    finally:
        line.close()


def add_erasure(register: Path, organisation: str, entities: Iterable[Numbered], at_us: int) -> None:
    """Record an erasure that is done already, as `RegisterLine.add_erasure` does."""
    with line_of_transaction(register) as line:
        line.add_erasure(organisation, entities, at_us)


def add_hold(register: Path, organisation: str, entity: Numbered, until_us: int, at_us: int) -> None:
    """Record a hold or release that is done already, as `RegisterLine.add_hold` does."""
    with line_of_transaction(register) as line:
        line.add_hold(organisation, entity, until_us, at_us)


def newest_holds(lines: Sequence[ErasureLine | HoldLine | CutLine]) -> list[HoldLine]:
    """Return the last line about the hold on each entity: it supersedes earlier ones."""
    holds = [line for line in lines if isinstance(line, HoldLine)]
    newest = _newest((line.organisation, line.entity, line.number) for line in holds)
    return [line for line in holds if newest[line.organisation, line.entity] == line.number]


def holds_on(register: Path, organisation: str, named: Iterable[Numbered]) -> list[HoldLine]:
    """Return the last line about the hold on each of some entities that the register knows, even if it is over."""
    lines = newest_holds(read_register(register)) if register.is_file() else []
    last = {(line.organisation, line.entity): line for line in lines}
    pairs = [
        [last.get((organisation, each)), last.get((organisation, each._replace(salt_digest=None)))] for each in named
    ]
    each_last = (max(filter(None, both), key=lambda line: line.number, default=None) for both in pairs)
    return [line for line in each_last if line is not None]


def refuse_registered_hold(register: Path, organisation: str, named: Iterable[Numbered], now_us: int) -> None:
    """Raise ConflictError for a hold that the database lacks: because of a restore, or as its command was cut short."""
    for line in holds_on(register, organisation, named):
        if line.until_us > now_us:
            raise ConflictError(
                f"line {line.number} of {register} is a legal hold on it until {day_text(line.until_us)}, which the"
                " database lacks: put it again with `fivefold hold`, or release it by a past moment; nothing was erased"
            )


def is_replaced(line: HoldLine, lines: Sequence[ErasureLine | HoldLine | CutLine]) -> bool:
    """Return whether a later line is about a hold that replaces this one, and lasts as long.

    If a later hold there ends sooner, or was released, this one is missing again: its replacement may be a mistake.
    """
    later = (each for each in lines if isinstance(each, HoldLine) and each.number > line.number)
    others = {
        each.entity for each in later if (each.organisation, each.in_place_of) == (line.organisation, line.entity)
    }
    newest = (each for each in newest_holds(lines) if each.organisation == line.organisation)
    return any(each.entity in others and each.until_us >= line.until_us for each in newest)


def newest_erasures(lines: Sequence[ErasureLine | HoldLine | CutLine]) -> list[ErasureLine]:
    """Return the lines of erasures, each with the entities that no later line erases again, if there are any."""
    erasures = [line for line in lines if isinstance(line, ErasureLine)]
    newest = _newest((line.organisation, entity, line.number) for line in erasures for entity in line.entities)
    left = [
        replace(line, entities=tuple(each for each in line.entities if newest[line.organisation, each] == line.number))
        for line in erasures
    ]
    return [line for line in left if line.entities]


def _newest(named: Iterable[tuple[str, Numbered, int]]) -> dict[tuple[str, Numbered], int]:
    """Return the last line about each entity; one without a digest is followed by any of its number and moment."""
    newest = {}
    for organisation, entity, line in named:
        newest[organisation, entity] = newest[organisation, entity._replace(salt_digest=None)] = line
    return newest


def _write(file: BinaryIO, text: bytes) -> None:
    """Write and wait for the disk; OSError if less than all was written: a nearly full disk takes a part."""
    if file.write(text) != len(text):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    os.fsync(file.fileno())


def _begin_line(file: BinaryIO) -> int:
    """Make the file end with a whole line, return its end; a line that was cut off is removed, as it never held."""
    end = file.seek(0, SEEK_END)
    file.seek(max(0, end - 1))
    if file.read() in {b"", b"\n"}:
        return end
    file.seek(0)
    last = file.read().rpartition(b"\n")[2]
    if _is_line(last):  # an editor removed its end
        return end + file.write(b"\n")
    file.truncate(end - len(last))
    return end - len(last)


def read_register(register: Path) -> list[ErasureLine | HoldLine | CutLine]:
    """Read all lines in order; ConfigError names one that cannot be read, unless it is the last and was cut off."""
    lines: list[ErasureLine | HoldLine | CutLine] = []
    content = register.read_bytes()
    for number, text in enumerate(content.splitlines(keepends=True), 1):
        if not text.endswith(b"\n") and not _is_line(text):
            lines.append(CutLine(number))
            continue
        try:
            lines.append(_line(number, json.loads(text)))
        except (ValueError, KeyError, TypeError):
            raise ConfigError(f"{register}, line {number}, is not a line of a register of erasures") from None
    return lines


def _is_line(text: bytes) -> bool:
    try:
        _line(0, json.loads(text))
    except (ValueError, KeyError, TypeError):
        return False
    return True


def _line(number: int, entry: Mapping[str, Any]) -> ErasureLine | HoldLine:
    """Read one line: a hold or an erasure."""
    organisation, at_us = str(entry["organisation"]), int(entry["at_us"])
    if "hold" in entry:
        return HoldLine(
            number=number,
            organisation=organisation,
            entity=_numbered(*entry["hold"]),
            until_us=int(entry["until_us"]),
            at_us=at_us,
            in_place_of=_numbered(*entry["in_place_of"]) if "in_place_of" in entry else None,
        )
    entities = tuple(_numbered(*entity) for entity in entry["entities"])
    return ErasureLine(number, organisation, entities, at_us)


def _numbered(number: Any, created_us: Any, salt_digest: Any = None) -> Numbered:
    return Numbered(int(number), int(created_us), None if salt_digest is None else str(salt_digest))
