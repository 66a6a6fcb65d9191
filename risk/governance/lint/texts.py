"""Finds texts of definitions that are not what they look like, as texts are compared exactly."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fivefold.domain.likeness import alike_among
from fivefold.domain.text import hidden_in, one_line, unseen_numbered
from fivefold.risk.compiler.diagnostics import Diagnostic, warning
from fivefold.risk.language.documents import Path
from fivefold.risk.language.fields import Definition

_COMPARED = frozenset({"equals", "not_equals", "in", "not_in", "one_of"})
"""Words whose texts are compared with values for equality."""
_NAMES = {"levels": "level", "title": "title", "in_list": "list", "not_in_list": "list", "list": "list"}
"""Other texts that are searched for look-alikes: their kind, by the word above them."""
_VALUE = "value"


def text_diagnostics(definition: Definition) -> Iterator[Diagnostic]:
    """Find texts that look alike, have invisible characters, or are compared with blanks around them."""
    firsts: dict[str, dict[str, Path]] = {}
    for path, text in _texts(definition.model_dump(mode="json", by_alias=True, exclude_none=True), ()):
        kind = _kind_of(path)
        if (numbered := unseen_numbered(text)) != text:
            yield warning(path, f"has characters that are not seen: {one_line(numbered, 80)}; write it without them")
        elif kind in {_VALUE, "level"} and text.strip() and (reason := hidden_in(text)):
            yield warning(path, f"has {reason}, and texts are compared exactly: write it without that")
        elif kind:
            firsts.setdefault(kind, {}).setdefault(text, path)
    for kind, places in firsts.items():
        for group in alike_among(places):
            first, *others = sorted(group, key=list(places).index)
            for other in others:
                problem = f"is the {kind} {_letters(other, first)}, which looks like {first} and is another one"
                yield warning(places[other], f"{problem}: write {first} if that is meant")


def _texts(part: Any, path: Path) -> Iterator[tuple[Path, str]]:
    """Yield every text of a document except those of its examples, which may test look-alikes."""
    if isinstance(part, str):
        yield path, part
    elif isinstance(part, Mapping):
        for word, below in part.items():
            if path or word != "examples":
                yield from _texts(below, (*path, word))
    elif isinstance(part, Sequence):
        for number, below in enumerate(part):
            yield from _texts(below, (*path, number))


def _kind_of(path: Path) -> str:
    """Name the kind of a text that is compared with others of its kind; empty for any other text."""
    word = next((step for step in reversed(path) if isinstance(step, str)), "")
    return _VALUE if word in _COMPARED else _NAMES.get(word, "")


def _letters(text: str, other: str) -> str:
    """Write a text with the Unicode numbers of its letters that another one lacks."""
    return "".join(sign if sign in other else f"{sign} (U+{ord(sign):04X})" for sign in text)
