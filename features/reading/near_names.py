"""Which name a word was probably meant to be."""

import re
from collections.abc import Iterable
from difflib import get_close_matches


def nearest(name: str, names: Iterable[str], cutoff: float = 0.8) -> str | None:
    """Find the name that differs in case, blanks and signs alone, or else in a few letters; None where none is near.

    >>> names = ["user_id", "transaction_date"]
    >>> nearest("Transaction Date", names), nearest("user_idd", names), nearest("amount", names)
    ('transaction_date', 'user_id', None)
    """
    letters = {_letters(known): known for known in reversed(list(names))}
    near = get_close_matches(_letters(name), letters, n=1, cutoff=cutoff)
    return letters[near[0]] if near else None


def _letters(name: str) -> str:
    return re.sub(r"[\W_]", "", name.casefold())
