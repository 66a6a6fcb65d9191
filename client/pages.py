"""Lists that are read page by page."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

Row = TypeVar("Row")
ReadPage = Callable[[str | None], tuple[Sequence[Row], str | None]]
"""Takes where a page begins (None for the first), and gives its rows and where the next begins (None for no more)."""


class Pages(Iterator[Row], Generic[Row]):
    """The rows of a list, one after another; each page is asked for when its first row is.

    Who iterates gets every row that was there at the start once, in one order, whatever is added meanwhile.

    >>> rows = Pages(lambda after: ([1, 2], "2") if after is None else ([3], None))
    >>> rows.page(), rows.more, list(rows), rows.more
    ([1, 2], True, [3], False)
    """

    def __init__(self, read: ReadPage[Row]) -> None:
        """Read pages by *read*; nothing is asked for yet."""
        self._read = read
        self._rows: deque[Row] = deque()
        self._after: str | None = None
        self._ended = False

    def __next__(self) -> Row:
        """Return the next row; a page may be empty and lead on."""
        while not self._rows and not self._ended:
            self._read_next()
        if not self._rows:
            raise StopIteration
        return self._rows.popleft()

    @property
    def more(self) -> bool:
        """Whether there may be rows beyond those that were given; true until a page was read that leads no further."""
        return bool(self._rows) or not self._ended

    def page(self) -> list[Row]:
        """Return the rest of the page that was begun, or the next one; no rows where the list has ended."""
        if not self._rows and not self._ended:
            self._read_next()
        rows = list(self._rows)
        self._rows.clear()
        return rows

    def _read_next(self) -> None:
        rows, self._after = self._read(self._after)
        self._rows.extend(rows)
        self._ended = self._after is None
