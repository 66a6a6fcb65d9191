"""Pages of lists: each goes on behind the key of the last row, so that rows that come meanwhile move nothing."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from fivefold.domain.errors import ConfigError

T = TypeVar("T")
U = TypeVar("U")

Key = tuple[int | str, ...]
"""The place of a row in the order of its list; no two rows of a list have the same."""

ROWS_AT_A_TIME = 1_000
NO_PLACE = "after must be what the page before of this very list named as the next one"


@dataclass(frozen=True)
class Part:
    """Which part of a list.

    Attributes:
        most: so many rows at most; None for all.
        after: the key of the row behind which it begins; None for the first row.
    """

    most: int | None = None
    after: Key | None = None


WHOLE = Part()


class Page(list[T]):
    """Some rows of a list, in its order.

    Attributes:
        next: the key behind which the next page begins; None where this is the last one.
    """

    def __init__(self, rows: Sequence[T] = (), following: Key | None = None) -> None:
        """Hold *rows*, with the key behind which the next page begins."""
        super().__init__(rows)
        self.next = following

    def map(self, function: Callable[[T], U]) -> "Page[U]":
        """Give the page of what *function* makes of each row.

        >>> page = Page([1, 2], (2,)).map(str)
        >>> page, page.next
        (['1', '2'], (2,))
        """
        return Page([function(row) for row in self], self.next)


def page_among(rows: Sequence[T], key: Callable[[T], Key], part: Part) -> Page[T]:
    """Give a part of rows that are all at hand, in the ascending order of their keys.

    ConfigError where the part begins behind what is no key of theirs.

    >>> page = page_among("abc", lambda row: (row,), Part(1, ("a",)))
    >>> page, page.next
    (['b'], ('b',))
    """
    after = part.after
    if after is not None and any([type(each) for each in key(row)] != [type(each) for each in after] for row in rows):
        raise ConfigError(NO_PLACE)
    behind = [row for row in rows if after is None or key(row) > after]
    return cut(behind, key, part.most)


def cut(rows: Sequence[T], key: Callable[[T], Key], most: int | None) -> Page[T]:
    """Make a page of the first *most* of some rows; there is a next one where there are more."""
    if most is None or len(rows) <= most:
        return Page(rows)
    return Page(rows[:most], key(rows[most - 1]))


def every_row(ask: Callable[[Part], Page[T]], rows_at_a_time: int = ROWS_AT_A_TIME) -> Iterator[T]:
    """Give all rows of a list, asking for page after page.

    >>> list(every_row(lambda part: page_among([1, 2, 3], lambda row: (row,), part), 2))
    [1, 2, 3]
    """
    part: Part | None = Part(rows_at_a_time)
    while part is not None:
        page = ask(part)
        yield from page
        part = None if page.next is None else Part(rows_at_a_time, page.next)
