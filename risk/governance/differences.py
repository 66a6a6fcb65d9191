"""Compares two documents: every difference, in words; rulesets and flows each supply their `Wording`."""

import json
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, asdict, dataclass
from typing import Any, Literal


def part_words(part: Any) -> str:
    """Write plain data in short form: lists without brackets, everything else as JSON."""
    if isinstance(part, str):
        return part or "''"
    if isinstance(part, list) and all(isinstance(item, str | int | float) for item in part):
        return ", ".join(map(str, part))
    return exact_words(part)


def exact_words(part: Any) -> str:
    """Write plain data so that different data never look alike."""
    return json.dumps(part, ensure_ascii=False, sort_keys=True)


@dataclass(frozen=True)
class Pair:
    """An item of two lists.

    Attributes:
        before: its position in the first list, from 0; None if it was added.
        after: its position in the second; None if it was removed.
        moved: whether its order relative to others changed.
    """

    before: int | None
    after: int | None
    moved: bool = False


def align(before: Sequence[str], after: Sequence[str], *, by_place: bool = False) -> list[Pair]:
    """Pair the items of two lists that have the same name; as few as possible count as moved.

    Args:
        before: the names of the first list; of repeated names the first is paired with the first.
        after: the names of the second.
        by_place: whether to pair items without a partner as well if they are between the same neighbours: the new
            item was made from the old one.

    Returns:
        A pair for each item, in the order of the second list; removed items come last.

    >>> [(pair.before, pair.after, pair.moved) for pair in align(["a", "b", "c"], ["c", "a", "d"])]
    [(2, 0, True), (0, 1, False), (None, 2, False), (1, None, False)]
    """
    places = {name: place for place, name in enumerate(_numbered(before))}
    partners = {place: places[name] for place, name in enumerate(_numbered(after)) if name in places}
    staying = _longest_rising(list(partners.values()))
    in_order = {place: partner for place, partner in partners.items() if partner in staying}
    if by_place:
        partners |= _between(in_order, len(before), len(after), partners)
    pairs = [
        Pair(
            partners.get(place),
            place,
            place in partners and place not in in_order and (before[partners[place]] == after[place]),
        )
        for place in range(len(after))
    ]
    gone = set(range(len(before))) - set(partners.values())
    return pairs + [Pair(place, None) for place in sorted(gone)]


def _numbered(names: Iterable[str]) -> list[tuple[str, int]]:
    counts: Counter[str] = Counter()
    numbered = []
    for name in names:
        numbered.append((name, counts[name]))
        counts[name] += 1
    return numbered


def _longest_rising(numbers: Sequence[int]) -> set[int]:
    """Find a longest rising subsequence of distinct numbers, in n log n steps (patience sorting)."""
    tails: list[int] = []
    before: dict[int, int | None] = {}
    for number in numbers:
        place = bisect_left(tails, number)
        before[number] = tails[place - 1] if place else None
        tails[place : place + 1] = [number]
    rising, number_or_none = set(), tails[-1] if tails else None
    while number_or_none is not None:
        rising.add(number_or_none)
        number_or_none = before[number_or_none]
    return rising


def _between(in_order: dict[int, int], before: int, after: int, partners: dict[int, int]) -> dict[int, int]:
    """Pair items without a partner that follow the same neighbour, in order."""
    neighbours = {partner: place for place, partner in in_order.items()}
    gaps: dict[int | None, list[int]] = defaultdict(list)
    last = None
    paired = set(partners.values())
    for place in range(before):
        last = neighbours.get(place, last)
        if place not in paired:
            gaps[last].append(place)
    pairs, last = {}, None
    for place in range(after):
        last = place if place in in_order else last
        if place not in partners and gaps[last]:
            pairs[place] = gaps[last].pop(0)
    return pairs


Plain = Mapping[str, Any]
Sort = Literal["added", "removed", "moved", "changed"]


@dataclass(frozen=True)
class DocumentChange:
    """One difference.

    Attributes:
        where: the part of the document, such as a rule and its case, in words.
        sort: added, removed, moved or changed.
        before: the old content, in words; empty if it was added.
        after: the new content, in words; empty if it was removed.

    >>> print(DocumentChange("thresholds", "changed", "31, 61", "30, 61"))
    thresholds: 31, 61 → 30, 61
    """

    where: str
    sort: Sort
    before: str = ""
    after: str = ""

    def __str__(self) -> str:
        texts = {
            "added": f"added: {self.after}",
            "removed": f"removed: {self.before}",
            "moved": f"moved from place {self.before} to {self.after}",
            "changed": f"{self.before} → {self.after}",
        }
        return f"{self.where}: {texts[self.sort]}"


@dataclass(frozen=True)
class DocumentDifference:
    """All differences of two rulesets, or of two flows.

    Attributes:
        before: the name of the first.
        after: the name of the second.
        before_hash: the content hash of the first.
        after_hash: the content hash of the second.
        changes: the changes of the document itself, then of its parts, then of its examples; empty if the content
            is equal.
    """

    before: str
    after: str
    _: KW_ONLY
    before_hash: str
    after_hash: str
    changes: tuple[DocumentChange, ...]

    @property
    def same(self) -> bool:
        """Whether both have the same content."""
        return self.before_hash == self.after_hash

    def lines(self) -> list[str]:
        """Write the differences for people, one line for each change."""
        return [f"The same content: {self.after_hash}"] if self.same else [str(change) for change in self.changes]

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {**asdict(self), "same": self.same, "changes": [asdict(change) for change in self.changes]}


def _holds_parts(side: Any) -> bool:
    """Check whether a list, if any, has parts that can be paired; lists of names are compared as one text."""
    return side is None or (isinstance(side, list) and all(isinstance(item, dict) for item in side))


@dataclass(frozen=True, kw_only=True)
class Wording:
    """How the parts of one kind of document are compared.

    Attributes:
        words: writes the value of a word of the language, or one item of a list.
        lists: lists whose items are paired: the name of one item, and the word that identifies it; empty if its
            condition does.
        whole: words whose value, a mapping, is written whole if the writing shows the difference.
        named: mappings of parts that people named: the name of one part.
    """

    words: Mapping[str, Callable[[Any], str]]
    lists: Mapping[str, tuple[str, str]]
    whole: frozenset[str]
    named: Mapping[str, str]

    def part(self, word: str, part: Any) -> str:
        """Write the value of a *word* of the language."""
        if part is None:
            return "nothing"
        make = self.words.get(word)
        return part_words(part) if make is None else make(part)

    def of_documents(self, before: Plain, after: Plain, *, last: Sequence[str]) -> Iterator[DocumentChange]:
        """Compare two documents: their other words first, then those of *last*."""
        own = [{word: part for word, part in side.items() if word not in last} for side in (before, after)]
        parts = [{word: side[word] for word in last if word in side} for side in (before, after)]
        yield from self.of_mapping("", *own)
        yield from self.of_mapping("", *parts)

    def of_mapping(self, where: str, before: Plain, after: Plain) -> Iterator[DocumentChange]:
        """Compare two mappings, word by word."""
        for word in dict.fromkeys((*before, *after)):
            place = f"{where}, {word}" if where else word
            sides = before.get(word), after.get(word)
            if word in self.lists and all(map(_holds_parts, sides)):
                yield from self.of_list(word, sides[0] or [], sides[1] or [], where)
            elif word in self.named and all(isinstance(side, dict | None) for side in sides):
                yield from self.of_named(word, sides[0] or {}, sides[1] or {}, where)
            else:
                yield from self._of_part(place, word, *sides)

    def of_named(self, word: str, before: Plain, after: Plain, where: str = "") -> Iterator[DocumentChange]:
        """Compare parts that people named, each by its name."""
        one = self.named[word]
        for name in dict.fromkeys((*before, *after)):
            place = f"{where}, {one} {name}" if where else f"{one} {name}"
            yield from self._of_part(place, one, before.get(name), after.get(name))

    def _of_part(self, where: str, word: str, before: Any, after: Any) -> Iterator[DocumentChange]:
        """Yield the change of one part: in words, or piece by piece if the words do not show it."""
        if before == after:
            return
        if before is None:
            yield DocumentChange(where, "added", after=self.part(word, after))
        elif after is None:
            yield DocumentChange(where, "removed", before=self.part(word, before))
        elif isinstance(before, dict) and isinstance(after, dict) and not self._is_shown(word, before, after):
            yield from self.of_mapping(where, before, after)
        else:
            texts = self.part(word, before), self.part(word, after)
            yield DocumentChange(
                where, "changed", *(texts if texts[0] != texts[1] else (exact_words(before), exact_words(after)))
            )

    def _is_shown(self, word: str, before: Plain, after: Plain) -> bool:
        """Check whether there are words for a mapping, and they show the difference."""
        return word in self.whole and self.part(word, before) != self.part(word, after)

    def of_list(
        self, word: str, before: Sequence[Plain], after: Sequence[Plain], where: str = ""
    ) -> Iterator[DocumentChange]:
        """Compare lists of rules, cases, steps or examples; an item without a name is named by its condition."""
        name = self.lists[word][1]
        keys = [[item[name] if name else exact_words(item["when"]) for item in side] for side in (before, after)]
        for pair in align(*keys, by_place=not name):
            yield from self._of_item(pair, word, before, after, where)

    def _of_item(
        self, pair: Pair, word: str, before: Sequence[Plain], after: Sequence[Plain], where: str
    ) -> Iterator[DocumentChange]:
        one, name = self.lists[word]
        old = None if pair.before is None else before[pair.before]
        new = None if pair.after is None else after[pair.after]
        item, place = (new, pair.after) if new is not None else (old, pair.before)
        assert item is not None
        assert place is not None
        name_of_item = f"{one} {item[name] if name else place + 1}"
        at = f"{where}, {name_of_item}" if where else name_of_item
        if old is None:
            yield DocumentChange(at, "added", after=self.part(one, new))
        elif new is None:
            yield DocumentChange(at, "removed", before=self.part(one, old))
        else:
            if pair.moved and pair.before != pair.after:
                yield DocumentChange(at, "moved", str((pair.before or 0) + 1), str(place + 1))
            yield from self.of_mapping(at, old, new)
