"""Suggestions for a misspelt word."""

import re
from collections.abc import Iterable
from difflib import get_close_matches

_CUTOFF = 0.75


def nearest(word: str, names: Iterable[str], cutoff: float = _CUTOFF) -> str | None:
    """Find the name that differs in case, blanks and signs alone, or in one letter, or else the most similar one.

    None where none is near; *cutoff* is how similar it must be, from 0 to 1.

    >>> names = ["user_id", "transaction_date"]
    >>> nearest("Transaction Date", names), nearest("user_idd", names), nearest("amount", names)
    ('transaction_date', 'user_id', None)
    """
    letters = {_letters(name): name for name in reversed([str(name) for name in names])}
    word_letters = _letters(word)
    if word_letters in letters:
        return letters[word_letters]
    one_away = [other for other in reversed(letters) if len(other) > 1 and _is_one_away(word_letters, other)]
    near = one_away or get_close_matches(word_letters, letters, n=1, cutoff=cutoff)
    return letters[near[0]] if near else None


def perhaps(word: object, names: Iterable[str], cutoff: float = _CUTOFF) -> str:
    """Suggest the nearest name, as the end of a sentence: `; perhaps above was meant`, or nothing.

    >>> perhaps("abvoe", ["above", "below"]), perhaps("im", ["in", "not_in"]), perhaps("xyz", ["above"])
    ('; perhaps above was meant', '; perhaps in was meant', '')
    """
    near = nearest(word, names, cutoff) if isinstance(word, str) and word else None
    return f"; perhaps {near} was meant" if near is not None and near != word else ""


def _is_one_away(word: str, other: str) -> bool:
    """Tell whether one letter is another, too many, missing, or has changed places with the next."""
    same = next((place for place, pair in enumerate(zip(word, other, strict=False)) if pair[0] != pair[1]), None)
    if same is None:
        return abs(len(word) - len(other)) <= 1
    rest, other_rest = word[same:], other[same:]
    swapped = rest[1:2] + rest[:1] + rest[2:]
    return rest[1:] == other_rest[1:] or rest[1:] == other_rest or rest == other_rest[1:] or swapped == other_rest


def _letters(name: str) -> str:
    return re.sub(r"[\W_]", "", name.casefold())
