"""Lists that are read page by page."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

Row = TypeVar("Row")
ReadPage = Callable[[str | None], tuple[Sequence[Row], str | None]]
"""Takes the start of a page (None for the first); returns its rows and the start of the next (None on the last page).
"""


class Pages(Iterator[Row], Generic[Row]):
    """The rows of a list, one after another; a page is requested when its first row is needed.

    An iteration returns every row that existed at its start once, in one order, whatever is added meanwhile.

    >>> rows = Pages(lambda after: ([1, 2], "2") if after is None else ([3], None))
    >>> rows.page(), rows.more, list(rows), rows.more
    ([1, 2], True, [3], False)
    """

    def __init__(self, read: ReadPage[Row]) -> None:
        """Create the list over *read*; nothing is requested yet."""
        self._read = read
        self._rows: deque[Row] = deque()
        self._after: str | None = None
        self._ended = False

    def __next__(self) -> Row:
        """Return the next row; an empty page may be followed by others."""
        while not self._rows and not self._ended:
            self._read_next()
        if not self._rows:
            raise StopIteration
        return self._rows.popleft()

    @property
    def more(self) -> bool:
        """Whether rows may remain; true until a page without a next one was read."""
        return bool(self._rows) or not self._ended

    def page(self) -> list[Row]:
        """Return the rest of the current page, or the next page; empty at the end of the list."""
        if not self._rows and not self._ended:
            self._read_next()
        rows = list(self._rows)
        self._rows.clear()
        return rows

    def _read_next(self) -> None:
        rows, self._after = self._read(self._after)
        self._rows.extend(rows)
        self._ended = self._after is None
