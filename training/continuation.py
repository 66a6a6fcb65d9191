"""What a training that was interrupted continues with: rows by pass, trees by fit, and the version it registered.

Each part is taken by the digest of what it depends on, so that nothing else can take its place.
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
    """Give the digest of settings, arrays and trees, and of dataclasses and collections of such.

    >>> digest_of(1, ("a", None)) == digest_of(1, ("a", None)), digest_of(1) == digest_of(1.0)
    (True, False)
    """
    whole = hashlib.sha256()
    for each in values:
        for content in _contents(each):
            whole.update(content)
    return whole.hexdigest()[:_DIGITS]


def _contents(value: object) -> list[bytes | memoryview]:
    """Give the type and the content; TypeError for what has no content that is known here."""
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
"""Rows of the source in a part, or a few more. Of fewer rows nothing is kept: they are soon read again."""
_PROTOCOL: Final = 5
_CONTINUED: Final = "continued"

Made = TypeVar("Made")
Hashes = npt.NDArray[np.uint64]


class _End(NamedTuple):
    """Where a stream stands after a batch, and the hashes of the customers in it."""

    place: StreamPosition
    hashes: Hashes


_Piece = tuple[Histories, _End | None]
"""A few customers, and where the stream stands where they are the last ones of a batch."""


@dataclass(frozen=True, kw_only=True)
class KeptPass(Generic[Made]):
    """A pass whose finished parts are read; what comes after them is worked out and kept.

    Attributes:
        parts: of the training.
        key: of all that the results depend on.
        stream: gives the source from a place on, after customers of some hashes.
        split: cuts a batch into pieces.
        work_on: gives what the work makes of each piece, and the end of the piece, in their order.
        slim: leaves out of a result what nobody needs who has taken all results before it.
        bar: shows the rows.
    """

    parts: Parts
    key: str
    stream: Callable[[StreamPosition, Sequence[Hashes]], Iterable[StreamPart]]
    split: Callable[[Histories], Iterable[Histories]]
    work_on: Callable[[Iterable[_Piece]], Iterator[tuple[Made, _End | None]]]
    slim: Callable[[Made], Made]
    bar: "tqdm[Any]"

    def results(self) -> Iterator[Made]:
        """Give the results of all pieces, in their order."""
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
        """Give results, and write them to parts as they come: no part is in memory as a whole."""
        number, is_first, place, hashes = first, True, START, list[Hashes]()
        for result, end in results:
            slim = self.slim(result)
            name = numbered(self._series, number)
            self.parts.add(name, pickle.dumps(slim, _PROTOCOL), is_first=is_first, is_last=False)
            is_first = False
            yield slim
            if end is None:
                continue
            place = end.place  # the latest alone: what a place carries keeps all rows that were read with it
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
    """Give the results of a part; return the place after them."""
    with path.open("rb") as file:
        while True:
            content = pickle.load(file)  # noqa: S301 (a file of this account: `Parts.find`)
            if isinstance(content, KeptPosition):
                return content
            yield content


@dataclass(frozen=True)
class FitParts:
    """The fits on some rows that an interrupted run finished, and the place of those that are finished now.

    Attributes:
        parts: of the training; None where nothing is kept.
        rows: the digest of the rows.
    """

    parts: Parts | None = None
    rows: str = ""

    def among(self, *which: object) -> "FitParts":
        """Give the fits on some of the rows; *which* of them is said by anything that has a digest."""
        return self if self.parts is None else FitParts(self.parts, digest_of(self.rows, *which))

    def trees(self, settings: object, fit: Callable[[], lightgbm.Booster]) -> lightgbm.Booster:
        """Give the trees that are fitted by some settings; those that are kept have the same text and predictions."""
        if self.parts is None:
            return fit()
        name = f"trees-{digest_of(self.rows, settings)}"
        if (file := self.parts.find(name)) is not None:
            return lightgbm.Booster(model_str=file.read_text(encoding="utf-8"))
        booster = fit()
        self.parts.add(name, booster.model_to_string(num_iteration=-1).encode())
        return booster

    def rounds(self, settings: object, find: Callable[[], int]) -> int:
        """Give the number of rounds that is found for some settings."""
        if self.parts is None:
            return find()
        name = f"rounds-{digest_of(self.rows, settings)}"
        if (file := self.parts.find(name)) is not None:
            return int(file.read_text())
        rounds = find()
        self.parts.add(name, str(rounds).encode())
        return rounds


TRAINING_TAG: Final = "training"
"""Tag of a version: the mark of the training that registered it, by which a run that continues finds it again."""
_NAME: Final = "registration"


def mark_of(parts: Parts | None) -> dict[str, str]:
    """Give the tag that marks the version of a training.

    A part says that there may be one from now on. So there is a part, and the manifest that the mark is of stays where
    the training is interrupted, or ends with any error.
    """
    if parts is None:
        return {}
    parts.stays = True
    if parts.find(_NAME) is None:
        with parts.writing(_NAME) as path:
            path.write_text(parts.mark)
    return mark_of_run(parts)


def mark_of_run(parts: Parts | None) -> dict[str, str]:
    """Give the tag that marks a run of a training, by which the run that continues finds it where it was killed."""
    return {} if parts is None else {TRAINING_TAG: parts.mark}


def mark_in(tags: Mapping[str, str]) -> dict[str, str]:
    """Give the mark among the tags of a version; nothing where it has none."""
    return {name: value for name, value in tags.items() if name == TRAINING_TAG}


def registered_before(registry: Registry, parts: Parts) -> RegisteredVersion | None:
    """Give the version that the interrupted training registered; None where it came to none.

    What its process could not say any more is said now: its alias, that its run is finished, and that runs which came
    to no version were killed.
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
    """Make the newest version the challenger where its run died between registering and naming it."""
    if version.number == registry.numbers()[0] and not version.aliases:
        registry.set_alias(CHALLENGER, version.number)
