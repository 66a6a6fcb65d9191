"""The words by which an entity is found: those of its identifier, names and other text.

Words are compared without case and accents. Nothing here touches a database.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from enum import IntEnum
from itertools import islice
from typing import Any, Final

from anyascii import anyascii

from fivefold.store.tables.entities import MOST_WORD

MOST_WORDS: Final = 64
"""The most words of an entity that are stored, those of its identifier and names first."""
Beginnings = tuple[str, ...]
"""Prefixes of a word, or spellings of a text, one of which must match; none of them begins another."""
_BETWEEN = re.compile(r"[\W_]+")
_UMLAUTS: Final = {"a\u0308": "ae", "o\u0308": "oe", "u\u0308": "ue", "\u00f8": "oe"}
"""Caseless, decomposed letters, and how German and Norwegian spell them without the mark."""
_LETTER_AND_E: Final = re.compile("([ao]|(?<![aeq])u)e(?=.)")
"""Two letters that may spell one with a mark; not at the end of a typed word, as the next letters are unknown.

After a, e and q, as in Bauer, Neuer and Quelle, ue is two letters: au, eu, äu and qu belong together.
"""
_LAST: Final = 0x10FFFF
_SURROGATES: Final = range(0xD800, 0xE000)
"""Code points that are not characters."""


class WordPlace(IntEnum):
    """The place of a word; matches in a smaller place are listed first."""

    IDENTIFIER = 0
    NAME = 1
    OTHER = 2


def unaccented(text: str) -> str:
    """Return a text without case and accents, by which words are compared.

    Unicode decomposes é, but not ł and ø: such Latin letters are transliterated. Letters of other scripts stay.

    >>> unaccented("Zoë STRASSE Straße"), unaccented("Łódź, Øresund, Þór"), unaccented("Ольга")
    ('zoe strasse strasse', 'lodz, oresund, thor', 'ольга')
    """
    if text.isascii():
        return text.casefold()
    return _caseless(text).translate(_PLAIN_LETTERS)


def _caseless(text: str) -> str:
    return unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())


class _PlainLetters(dict[int, str]):
    """Plain letters by code point, each computed at its first use."""

    def __missing__(self, code: int) -> str:
        letter = chr(code)
        if unicodedata.combining(letter):
            plain = ""
        else:
            is_latin = code > 127 and unicodedata.name(letter, "").startswith("LATIN ")
            plain = anyascii(letter).casefold() if is_latin else letter
        return self.setdefault(code, plain)


_PLAIN_LETTERS = _PlainLetters()


def words_in(text: str) -> list[str]:
    """Return the words of a text, without case and accents, in their order.

    >>> words_in("Zoë O-Brien Straße Łódź"), words_in("customer_17"), words_in("--")
    (['zoe', 'o', 'brien', 'strasse', 'lodz'], ['customer', '17'], [])
    """
    return [word[:MOST_WORD] for word in _BETWEEN.split(unaccented(text)) if word]


def beginnings_in(text: str) -> list[Beginnings]:
    """Return the possible prefixes of each word to search for, each word once: ü is u or ue, and ue may be ü.

    >>> beginnings_in("Müller mueller Muller"), beginnings_in("mü"), beginnings_in("Joe joel")
    ([('muller', 'mueller'), ('mueller', 'muller'), ('muller',)], [('mu',)], [('joe',), ('joel', 'jol')])
    """
    words = zip(words_in(text), words_in(_spelled_out(text)), strict=True)
    return list(dict.fromkeys(_beginnings(word, other) for word, other in words))


def spellings_of(text: str) -> Beginnings:
    """Return the possible spellings, without case and accents, of a text to search for, as in `beginnings_in`.

    >>> spellings_of("Müller & Co"), spellings_of("mueller"), spellings_of("")
    (('muller & co', 'mueller & co'), ('mueller', 'muller'), ('',))
    """
    return _beginnings(unaccented(text), unaccented(_spelled_out(text)))


def _spelled_out(text: str) -> str:
    spelled_out = _caseless(text)
    for letter, letters in _UMLAUTS.items():
        spelled_out = spelled_out.replace(letter, letters)
    return spelled_out


def _beginnings(word: str, spelled_out: str) -> Beginnings:
    forms = dict.fromkeys((word, spelled_out, _LETTER_AND_E.sub(r"\1", word)))
    return tuple(form for form in forms if not any(form != each and form.startswith(each) for each in forms))


def is_name(field: str) -> bool:
    """Return whether a field holds a name, judging by the field's own name.

    >>> is_name("full_name"), is_name("street")
    (True, False)
    """
    return "name" in field.casefold()


def words_of_entity(
    external_id: str, attributes: Mapping[str, Any], fields: Mapping[str, Any]
) -> list[tuple[WordPlace, str]]:
    """Return the words of an entity with their places, each once in a place.

    Args:
        external_id: its identifier.
        attributes: their values.
        fields: the declared kinds of the attributes; only text has words.
    """
    words = dict.fromkeys(_words(external_id, attributes, fields))
    return list(islice(words, MOST_WORDS))


def _words(
    external_id: str, attributes: Mapping[str, Any], fields: Mapping[str, Any]
) -> Iterator[tuple[WordPlace, str]]:
    yield from ((WordPlace.IDENTIFIER, word) for word in words_in(external_id))
    texts = {name: value for name, value in attributes.items() if fields.get(name) == "text" and isinstance(value, str)}
    for place in (WordPlace.NAME, WordPlace.OTHER):
        for name, value in sorted(texts.items()):
            if is_name(name) == (place is WordPlace.NAME):
                yield from ((place, word) for word in words_in(value))


def end_of(beginning: str) -> str | None:
    r"""Return the first text after all texts with a prefix, in the order of code points; None without one.

    >>> end_of("ab"), end_of("a\U0010ffff"), end_of("\ud7ff") == "\ue000", end_of("\U0010ffff")
    ('ac', 'b', True, None)
    """
    stem = beginning.rstrip(chr(_LAST))
    if not stem:
        return None
    following = ord(stem[-1]) + 1
    return stem[:-1] + chr(_SURROGATES.stop if following in _SURROGATES else following)
