"""Pages of lists: each begins after the key of the previous page's last row, so new rows do not shift the pages."""

import json
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import TypeVar

from fivefold.domain.errors import ConfigError

T = TypeVar("T")
U = TypeVar("U")

Key = tuple[int | float | str, ...]
"""The position of a row in the order of its list; unique in the list."""

ROWS_AT_A_TIME = 1_000
NO_PLACE = "after must be the cursor that the previous page of this list gave as next"


@dataclass(frozen=True)
class Part:
    """A part of a list.

    Attributes:
        most: largest number of rows; None for all.
        after: the key of the row before the part; None to begin with the first row.
    """

    most: int | None = None
    after: Key | None = None


WHOLE = Part()


class Page(list[T]):
    """Some rows of a list, in its order.

    Attributes:
        next: the key after which the next page begins; None on the last page.
    """

    def __init__(self, rows: Sequence[T] = (), following: Key | None = None) -> None:
        """Create the page of *rows*; the next page begins after the key *following*."""
        super().__init__(rows)
        self.next = following

    def map(self, function: Callable[[T], U]) -> "Page[U]":
        """Return the page with *function* applied to each row.

        >>> page = Page([1, 2], (2,)).map(str)
        >>> page, page.next
        (['1', '2'], (2,))
        """
        return Page([function(row) for row in self], self.next)


def page_among(rows: Sequence[T], key: Callable[[T], Key], part: Part) -> Page[T]:
    """Return one page of rows in memory, in the ascending order of their keys.

    ConfigError if the page begins after a key of another form.

    >>> page = page_among("abc", lambda row: (row,), Part(1, ("a",)))
    >>> page, page.next
    (['b'], ('b',))
    """
    after = part.after
    if after is not None and any([type(each) for each in key(row)] != [type(each) for each in after] for row in rows):
        raise ConfigError(NO_PLACE)
    behind = [row for row in rows if after is None or key(row) > after]
    return first_page(behind, key, part.most)


def first_page(rows: Sequence[T], key: Callable[[T], Key], most: int | None) -> Page[T]:
    """Make a page of the first *most* rows; it has a next page if there are more rows."""
    if most is None or len(rows) <= most:
        return Page(rows)
    return Page(rows[:most], key(rows[most - 1]))


def every_row(ask: Callable[[Part], Page[T]], rows_at_a_time: int = ROWS_AT_A_TIME) -> Iterator[T]:
    """Yield all rows of a list, reading page after page.

    >>> list(every_row(lambda part: page_among([1, 2, 3], lambda row: (row,), part), 2))
    [1, 2, 3]
    """
    part: Part | None = Part(rows_at_a_time)
    while part is not None:
        page = ask(part)
        yield from page
        part = None if page.next is None else Part(rows_at_a_time, page.next)


def cursor_of(list_name: str, key: Key) -> str:
    """Write a key as an opaque cursor, valid only for the list of that name."""
    content = json.dumps([list_name, *key], ensure_ascii=False, separators=(",", ":"))
    return urlsafe_b64encode(content.encode()).decode().rstrip("=")


def key_of(list_name: str, cursor: str) -> Key:
    """Read a key from a cursor; ConfigError if the cursor is not one of that list.

    >>> key_of("names", cursor_of("names", (7, "ä")))
    (7, 'ä')
    """
    try:
        content = json.loads(b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True))
        name, *key = content
    except (ValueError, TypeError, RecursionError):
        raise ConfigError(NO_PLACE) from None
    if name != list_name or not all(map(_can_be_asked_for, key)):
        raise ConfigError(NO_PLACE)
    return tuple(key)


def _can_be_asked_for(value: object) -> bool:
    """Return whether a database accepts the value: a finite number of 64 bits, or text that can be stored."""
    if isinstance(value, str):
        return "\0" not in value and not any("\ud800" <= character <= "\udfff" for character in value)
    return isfinite(value) if type(value) is float else type(value) is int and -(2**63) <= value < 2**63
