"""Two versions of a ruleset side by side: everything that differs, in words."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from fivefold.risk.governance.diff.alignment import Pair, align
from fivefold.risk.governance.diff.text import change_words, exact_words
from fivefold.risk.language.ruleset import Ruleset

Plain = Mapping[str, Any]
Sort = Literal["added", "removed", "moved", "changed"]


@dataclass(frozen=True)
class RulesetChange:
    """One thing that differs.

    Attributes:
        where: the rule and case, or the part of the ruleset, as people look for it.
        sort: added, removed, moved or changed.
        before: what was there, in words; empty where it was added.
        after: what is there now, in words; empty where it was removed.

    >>> print(RulesetChange("thresholds", "changed", "31, 61", "30, 61"))
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
class RulesetDifference:
    """Everything in which two rulesets differ.

    Attributes:
        before: the name of the first.
        after: the name of the second.
        before_hash: the content hash of the first.
        after_hash: the content hash of the second.
        changes: of the ruleset itself, then of its rules, then of its examples; empty where the content is the same.
    """

    before: str
    after: str
    before_hash: str
    after_hash: str
    changes: tuple[RulesetChange, ...]

    @property
    def same(self) -> bool:
        """Tell whether both have the same content."""
        return self.before_hash == self.after_hash

    def lines(self) -> list[str]:
        """Write it for people, one line a change."""
        return [f"The same content: {self.after_hash}"] if self.same else [str(change) for change in self.changes]

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain data."""
        return {**asdict(self), "same": self.same, "changes": [asdict(change) for change in self.changes]}


def diff(before: Ruleset, after: Ruleset) -> RulesetDifference:
    """Compare two rulesets; what makes no difference to the content hash is no change."""
    sides: list[dict[str, Any]] = [json.loads(side.canonical) for side in (before, after)]
    return RulesetDifference(before.name, after.name, before.content_hash, after.content_hash, tuple(_ruleset(*sides)))


def _ruleset(before: dict[str, Any], after: dict[str, Any]) -> Iterator[RulesetChange]:
    own = [{word: part for word, part in side.items() if word not in _LISTS} for side in (before, after)]
    yield from _mapping("", *own)
    yield from _listed("rule", "id", before.get("rules", []), after.get("rules", []))
    yield from _listed("example", "name", before.get("examples", []), after.get("examples", []))


_LISTS = {"rules": ("rule", "id"), "examples": ("example", "name"), "cases": ("case", ""), "tiers": ("tier", "title")}
"""Lists whose items are paired: what one of them is called, and the word that names it."""


def _mapping(where: str, before: Plain, after: Plain) -> Iterator[RulesetChange]:
    for word in dict.fromkeys((*before, *after)):
        place = f"{where}, {word}" if where else word
        if word in _LISTS and isinstance(before.get(word, []), list) and isinstance(after.get(word, []), list):
            one, name = _LISTS[word]
            yield from _listed(one, name, before.get(word, []), after.get(word, []), where)
        else:
            yield from _part(place, word, before.get(word), after.get(word))


def _part(where: str, word: str, before: Any, after: Any) -> Iterator[RulesetChange]:
    """Tell how one part changed: in words, or piece by piece where the words do not show it."""
    if before == after:
        return
    if before is None:
        yield RulesetChange(where, "added", after=change_words(word, after))
    elif after is None:
        yield RulesetChange(where, "removed", before=change_words(word, before))
    elif isinstance(before, dict) and isinstance(after, dict) and not _words_show_it(word, before, after):
        yield from _mapping(where, before, after)
    else:
        texts = change_words(word, before), change_words(word, after)
        yield RulesetChange(
            where, "changed", *(texts if texts[0] != texts[1] else (exact_words(before), exact_words(after)))
        )


def _words_show_it(word: str, before: Plain, after: Plain) -> bool:
    """Tell whether there are words for a mapping, and they show the difference."""
    return word in _WORDED and change_words(word, before) != change_words(word, after)


_WORDED = frozenset({"when", "applies_to", "input", "signal", "otherwise", "on_unknown"})


def _listed(
    one: str, name: str, before: Sequence[Plain], after: Sequence[Plain], where: str = ""
) -> Iterator[RulesetChange]:
    """Compare lists of rules, cases, tiers or examples; cases have no name but what they ask."""
    keys = [[item[name] if name else exact_words(item["when"]) for item in side] for side in (before, after)]
    for pair in align(*keys, by_place=not name):
        yield from _item(pair, one, name, before, after, where)


def _item(
    pair: Pair, one: str, name: str, before: Sequence[Plain], after: Sequence[Plain], where: str
) -> Iterator[RulesetChange]:
    old = None if pair.before is None else before[pair.before]
    new = None if pair.after is None else after[pair.after]
    item, place = (new, pair.after) if new is not None else (old, pair.before)
    assert item is not None
    assert place is not None
    name_of_item = f"{one} {item[name] if name else place + 1}"
    at = f"{where}, {name_of_item}" if where else name_of_item
    if old is None:
        yield RulesetChange(at, "added", after=change_words(one, new))
    elif new is None:
        yield RulesetChange(at, "removed", before=change_words(one, old))
    else:
        if pair.moved:
            yield RulesetChange(at, "moved", str((pair.before or 0) + 1), str(place + 1))
        yield from _mapping(at, old, new)
