"""A pass over streamed Parquet whose results are kept some rows at a time, so that it goes on where it stopped."""

import pickle
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from typing import Any, Final, Generic, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from fivefold.domain.parts import Parts, numbered
from fivefold.features.histories import Histories
from fivefold.features.reading.parquet_stream import START, KeptPosition, StreamPosition
from fivefold.features.reading.sources import StreamPart

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
        yield from self._kept(iter(self.work_on(self._pieces(place, hashes))), first, place.rows)

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

    def _kept(self, results: Iterator[tuple[Made, _End | None]], first: int, rows: int) -> Iterator[Made]:
        """Give results, and write them to parts as they come: no part is in memory as a whole."""
        for number in count(first):
            begin = next(results, None)
            if begin is None:
                return
            name, ends, is_first = numbered(self._series, number), list[_End](), True
            for result, end in chain([begin], results):
                slim = self.slim(result)
                self.parts.add(name, pickle.dumps(slim, _PROTOCOL), is_first=is_first, is_last=False)
                is_first = False
                yield slim
                if end is not None:
                    ends.append(end)
                    if end.place.rows - rows >= ROWS_A_PART:
                        break
            place = ends[-1].place
            last = KeptPosition.of(place, np.concatenate([each.hashes for each in ends]))
            self.parts.add(name, pickle.dumps(last, _PROTOCOL), is_first=False)
            rows = place.rows


def _read(path: Path) -> Generator[Any, None, KeptPosition]:
    """Give the results of a part; return the place after them."""
    with path.open("rb") as file:
        while True:
            content = pickle.load(file)  # noqa: S301 (a file of this account: `Parts.find`)
            if isinstance(content, KeptPosition):
                return content
            yield content
