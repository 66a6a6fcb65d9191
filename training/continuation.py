"""The parts that an interrupted training continues with: rows by pass, trees by fit, and the version it registered.

Each part is found by the digest of everything it depends on, so that no other part can be taken for it.
"""

import hashlib
import pickle
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final, Generic, NamedTuple, TypeVar

import lightgbm
import numpy as np
import numpy.typing as npt
from pydantic import BaseModel
from tqdm import tqdm

from fivefold.domain.parts import Parts, numbered
from fivefold.features.histories import Histories
from fivefold.features.reading.parquet_stream import START, KeptPosition, StreamPosition
from fivefold.features.reading.sources import StreamPart
from fivefold.models.registry import CHALLENGER, RegisteredVersion, Registry

_DIGITS: Final = 32


def digest_of(*values: object) -> str:
    """Return the digest of settings, arrays and trees, and of dataclasses and collections of these.

    >>> digest_of(1, ("a", None)) == digest_of(1, ("a", None)), digest_of(1) == digest_of(1.0)
    (True, False)
    """
    whole = hashlib.sha256()
    for each in values:
        for content in _contents(each):
            whole.update(content)
    return whole.hexdigest()[:_DIGITS]


def _contents(value: object) -> list[bytes | memoryview]:
    """Return the type and the content of a value; TypeError for a type that is not supported."""
    if isinstance(value, np.ndarray):
        whole = np.ascontiguousarray(value).reshape(-1).view(np.uint8)
        return [f"array {value.dtype} {value.shape};".encode(), whole.data]
    parts: list[object] = []
    if isinstance(value, BaseModel):
        text = value.model_dump_json()
    elif isinstance(value, lightgbm.Booster):
        text = value.model_to_string(num_iteration=-1)
    elif isinstance(value, Mapping):
        text, parts = "", [part for item in sorted(value.items()) for part in item]
    elif is_dataclass(value):
        text, parts = "", [getattr(value, field.name) for field in fields(value)]
    elif isinstance(value, list | tuple):
        text, parts = "", [*value]
    elif value is None or isinstance(value, str | int | float | date | np.generic):
        text = repr(value)
    else:
        raise TypeError(f"a digest of {type(value).__name__} would not say what is in it")
    name, size = type(value).__name__, len(parts) or len(text)
    return [f"{name} {size};{text}".encode(), *(content for part in parts for content in _contents(part))]


ROWS_A_PART = 1 << 22
"""Rows of the source in a part, or a few more. A source with fewer rows is not kept: it is soon read again."""
_PROTOCOL: Final = 5
_CONTINUED: Final = "continued"

Made = TypeVar("Made")
Hashes = npt.NDArray[np.uint64]


class _End(NamedTuple):
    """The place of a stream after a batch, and the hashes of the customers in the batch."""

    place: StreamPosition
    hashes: Hashes


_Piece = tuple[Histories, _End | None]
"""A few customers, and the end of their batch if they are its last ones."""


@dataclass(frozen=True, kw_only=True)
class KeptPass(Generic[Made]):
    """A pass that reads its finished parts, and computes and keeps the others.

    Attributes:
        parts: the parts of the training.
        key: the digest of everything that the results depend on.
        stream: yields the source from a place on; the hashes are of the customers before it.
        split: cuts a batch into pieces.
        work_on: yields the result of each piece and the end of the piece, in order.
        slim: removes from a result what is not needed after all results before it.
        bar: the progress bar, in rows.
    """

    parts: Parts
    key: str
    stream: Callable[[StreamPosition, Sequence[Hashes]], Iterable[StreamPart]]
    split: Callable[[Histories], Iterable[Histories]]
    work_on: Callable[[Iterable[_Piece]], Iterator[tuple[Made, _End | None]]]
    slim: Callable[[Made], Made]
    bar: "tqdm[Any]"

    def results(self) -> Iterator[Made]:
        """Yield the results of all pieces, in order."""
        place, hashes = START, list[Hashes]()
        for file in self.parts.series(self._series):
            end = yield from _read(file)
            self.bar.set_postfix_str(_CONTINUED, refresh=False)
            self.bar.update(end.rows - place.rows)
            place = end.place()
            hashes.append(end.customers())
        first = len(hashes)
        yield from self._store_results(iter(self.work_on(self._pieces(place, hashes))), first, place.rows)

    @property
    def _series(self) -> str:
        return f"rows-{self.key}"

    def _pieces(self, place: StreamPosition, hashes: Sequence[Hashes]) -> Iterator[_Piece]:
        for part in self.stream(place, hashes):
            *others, last = self.split(part.histories)
            end = _End(part.place, part.hashes)
            yield from ((each, None) for each in others)
            yield last, end
            self.bar.update(part.histories.rows)

    def _store_results(self, results: Iterator[tuple[Made, _End | None]], first: int, rows: int) -> Iterator[Made]:
        """Yield results, and write them to parts as they come: no part is in memory as a whole."""
        number, is_first, place, hashes = first, True, START, list[Hashes]()
        for result, end in results:
            slim = self.slim(result)
            name = numbered(self._series, number)
            self.parts.add(name, pickle.dumps(slim, _PROTOCOL), is_first=is_first, is_last=False)
            is_first = False
            yield slim
            if end is None:
                continue
            place = end.place  # the latest alone: a place keeps all rows that were read with it in memory
            hashes.append(end.hashes)
            if place.rows - rows >= ROWS_A_PART:
                self._finish(name, place, hashes)
                number, is_first, rows, hashes = number + 1, True, place.rows, []
        if hashes:
            self._finish(numbered(self._series, number), place, hashes)

    def _finish(self, name: str, place: StreamPosition, hashes: Sequence[Hashes]) -> None:
        last = KeptPosition.of(place, np.concatenate(hashes))
        self.parts.add(name, pickle.dumps(last, _PROTOCOL), is_first=False)


def _read(path: Path) -> Generator[Any, None, KeptPosition]:
    """Yield the results of a part; return the place after them."""
    with path.open("rb") as file:
        while True:
            content = pickle.load(file)  # noqa: S301 (a file of this account: `Parts.find`)
            if isinstance(content, KeptPosition):
                return content
            yield content


@dataclass(frozen=True)
class FitParts:
    """The fits on some rows: those that an interrupted run finished are read, and new ones are kept.

    Attributes:
        parts: the parts of the training; None if nothing is kept.
        rows: the digest of the rows.
    """

    parts: Parts | None = None
    rows: str = ""

    def among(self, *which: object) -> "FitParts":
        """Return the fits on some of the rows; *which* identifies these by values that have a digest."""
        return self if self.parts is None else FitParts(self.parts, digest_of(self.rows, *which))

    def trees(self, settings: object, fit: Callable[[], lightgbm.Booster]) -> lightgbm.Booster:
        """Return the trees fitted by some settings; kept trees have the same text and predictions."""
        if self.parts is None:
            return fit()
        name = f"trees-{digest_of(self.rows, settings)}"
        if (file := self.parts.find(name)) is not None:
            return lightgbm.Booster(model_str=file.read_text(encoding="utf-8"))
        booster = fit()
        self.parts.add(name, booster.model_to_string(num_iteration=-1).encode())
        return booster

    def rounds(self, settings: object, find: Callable[[], int]) -> int:
        """Return the number of rounds found for some settings."""
        if self.parts is None:
            return find()
        name = f"rounds-{digest_of(self.rows, settings)}"
        if (file := self.parts.find(name)) is not None:
            return int(file.read_text())
        rounds = find()
        self.parts.add(name, str(rounds).encode())
        return rounds


TRAINING_TAG: Final = "training"
"""Tag of a version: the mark of the training that registered it. A run that continues finds the version by it."""
_NAME: Final = "registration"


def mark_of(parts: Parts | None) -> dict[str, str]:
    """Return the tag that marks the version of a training; empty if nothing is kept.

    A part records that there may be a version from now on. With it, the manifest that has the mark stays if the
    training is interrupted or ends with any error.
    """
    if parts is None:
        return {}
    parts.stays = True
    if parts.find(_NAME) is None:
        with parts.writing(_NAME) as path:
            path.write_text(parts.mark)
    return mark_of_run(parts)


def mark_of_run(parts: Parts | None) -> dict[str, str]:
    """Return the tag that marks a run of a training; the run that continues finds a killed one by it."""
    return {} if parts is None else {TRAINING_TAG: parts.mark}


def mark_in(tags: Mapping[str, str]) -> dict[str, str]:
    """Return the mark among the tags of a version; empty if it has none."""
    return {name: value for name, value in tags.items() if name == TRAINING_TAG}


def registered_before(registry: Registry, parts: Parts) -> RegisteredVersion | None:
    """Return the version that the interrupted training registered; None if there is none.

    This records what the killed process could not: the alias of the version, the end of its run, and that runs without
    a version were killed.
    """
    mark = parts.mark
    if not mark:
        return None
    version = registry.tagged(TRAINING_TAG, mark)
    if version is not None:
        parts.stays = True
        registry.client.set_terminated(version.run_id)
    registry.end_killed(TRAINING_TAG, mark)
    if version is None:
        return None
    name_newest(registry, version)
    return registry.version(version.number)


def name_newest(registry: Registry, version: RegisteredVersion) -> None:
    """Make a version the challenger if it is the newest and its run died between registering and naming it."""
    if version.number == registry.numbers()[0] and not version.aliases:
        registry.set_alias(CHALLENGER, version.number)
