"""What a word that is not there was probably meant to be."""

from collections.abc import Iterable
from difflib import get_close_matches

from rapidfuzz.distance import OSA

_CUTOFF = 0.75


def perhaps(word: object, names: Iterable[str], cutoff: float = _CUTOFF) -> str:
    """Suggest the name that is one letter away, or the most similar one: `; perhaps above was meant`, or nothing.

    >>> perhaps("abvoe", ["above", "below"]), perhaps("im", ["in", "not_in"]), perhaps("xyz", ["above"])
    ('; perhaps above was meant', '; perhaps in was meant', '')
    """
    if not isinstance(word, str) or not word:
        return ""
    known = [str(name) for name in names]
    one_away = [name for name in known if len(name) > 1 and OSA.distance(word.lower(), name.lower()) <= 1]
    near = one_away or get_close_matches(word, known, n=1, cutoff=cutoff)
    return f"; perhaps {near[0]} was meant" if near and near[0] != word else ""
