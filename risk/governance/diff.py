"""Two versions of a ruleset side by side: everything that differs, in words."""

import json
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, asdict, dataclass
from typing import Any, Literal

from pydantic import TypeAdapter

from fivefold.risk.engine.explain.describe import condition_words, input_words
from fivefold.risk.engine.explain.formulas import operation_words
from fivefold.risk.language.calculations import Calculation, input_of_operand
from fivefold.risk.language.expressions import Condition, Input
from fivefold.risk.language.ruleset import Ruleset

_CONDITION: TypeAdapter[Any] = TypeAdapter(Condition)
_INPUT: TypeAdapter[Any] = TypeAdapter(Input)
_CALCULATION: TypeAdapter[Any] = TypeAdapter(Calculation)


def change_words(word: str, part: Any) -> str:
    """Write the value of a *word* of the language.

    >>> change_words("otherwise", {"points": 5, "floor": "high"}), change_words("when", {"at_least": 3})
    ('5 points, at least high', 'it is at least 3')
    """
    if part is None:
        return "nothing"
    make = _WORDS.get(word)
    return part_words(part) if make is None else make(part)


def part_words(part: Any) -> str:
    """Write plain data as short as it can be read: lists without brackets, everything else as JSON."""
    if isinstance(part, str):
        return part or "''"
    if isinstance(part, list) and all(isinstance(item, str | int | float) for item in part):
        return ", ".join(map(str, part))
    return exact_words(part)


def exact_words(part: Any) -> str:
    """Write plain data so that different data never look alike."""
    return json.dumps(part, ensure_ascii=False, sort_keys=True)


def outcome_words(part: Mapping[str, Any]) -> str:
    """Write the points and the floor of an outcome."""
    effects = [f"{part['points']} {'point' if part['points'] == 1 else 'points'}"] if "points" in part else []
    effects += [f"at least {part['floor']}"] if "floor" in part else []
    return ", ".join(effects) or "no points"


def case_words(part: Mapping[str, Any]) -> str:
    """Write a case: its condition and its outcome."""
    condition = condition_words(_CONDITION.validate_python(part["when"]))
    return f"{condition}: {outcome_words(part)}"


def rule_words(part: Mapping[str, Any]) -> str:
    """Write a rule: its title, its input and its cases."""
    own_input = f", of {change_words('input', part['input'])}" if "input" in part else ""
    return f"{part['title']} ({part['category']}{own_input}): " + "; ".join(map(case_words, part["cases"]))


def calculation_words(part: Mapping[str, Any]) -> str:
    """Write a calculation: its unit and its formula.

    >>> calculation_words({"unit": "ratio", "divide": [{"sum": "amount"}, {"field": "income", "as": "money"}]})
    'a ratio, sum of amount ÷ income as money'
    """
    calculation = _CALCULATION.validate_python(part)
    unit = f"{part['unit']} in {part['in_currency']}" if "in_currency" in part else f"{part['unit']}"
    article = "" if unit.startswith(("money", "days")) else "a "
    return f"{article}{unit}, {operation_words(calculation, _operand_words)}"


def _operand_words(operand: Any) -> str:
    words = input_words(input_of_operand(operand))
    unit = getattr(operand, "unit", None)
    return words if unit is None else f"{words} as {unit}"


_WORDS: Mapping[str, Callable[[Any], str]] = {
    "when": lambda part: condition_words(_CONDITION.validate_python(part)),
    "applies_to": lambda part: condition_words(_CONDITION.validate_python(part), "the entity"),
    "input": lambda part: input_words(_INPUT.validate_python(part)),
    "signal": lambda part: input_words(_INPUT.validate_python(part)),
    "otherwise": outcome_words,
    "on_unknown": outcome_words,
    "rule": rule_words,
    "case": case_words,
    "calculation": calculation_words,
}


@dataclass(frozen=True)
class Pair:
    """An item of two lists.

    Attributes:
        before: its position in the first list, from 0; None where it was added.
        after: its position in the second; None where it was removed.
        moved: others have changed sides with it.
    """

    before: int | None
    after: int | None
    moved: bool = False


def align(before: Sequence[str], after: Sequence[str], *, by_place: bool = False) -> list[Pair]:
    """Pair the items of two lists that have the same name; as few as possible count as moved.

    Args:
        before: the names of the first list; where one comes twice, the first goes with the first.
        after: the names of the second.
        by_place: items without a partner are paired as well where they stand between the same neighbours: what is
            there now was made of what was there before.

    Returns:
        A pair for each item, in the order of the second list; those that were removed come last.

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
            place in partners and place not in in_order and _same_name(before, after, partners, place),
        )
        for place in range(len(after))
    ]
    gone = set(range(len(before))) - set(partners.values())
    return pairs + [Pair(place, None) for place in sorted(gone)]


def _same_name(before: Sequence[str], after: Sequence[str], partners: dict[int, int], place: int) -> bool:
    return before[partners[place]] == after[place]


def _numbered(names: Iterable[str]) -> list[tuple[str, int]]:
    counts: Counter[str] = Counter()
    numbered = []
    for name in names:
        numbered.append((name, counts[name]))
        counts[name] += 1
    return numbered


def _longest_rising(numbers: Sequence[int]) -> set[int]:
    """Find a longest rising part of a sequence of different numbers, in n log n steps (patience sorting)."""
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
    """Pair items without a partner that stand after the same neighbour, in their order."""
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
    _: KW_ONLY
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
    return RulesetDifference(
        before.name,
        after.name,
        before_hash=before.content_hash,
        after_hash=after.content_hash,
        changes=tuple(_ruleset(*sides)),
    )


def _ruleset(before: dict[str, Any], after: dict[str, Any]) -> Iterator[RulesetChange]:
    own = [
        {word: part for word, part in side.items() if word not in {*_LISTS, "calculate"}} for side in (before, after)
    ]
    yield from _mapping("", *own)
    calculations = [side.get("calculate", {}) for side in (before, after)]
    for name in dict.fromkeys((*calculations[0], *calculations[1])):
        yield from _part(f"calculation {name}", "calculation", *(side.get(name) for side in calculations))
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
    """Give the change of one part: in words, or piece by piece where the words do not show it."""
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
    """True where there are words for a mapping, and they show the difference."""
    return word in _WORDED and change_words(word, before) != change_words(word, after)


_WORDED = frozenset({"when", "applies_to", "input", "signal", "otherwise", "on_unknown", "calculation"})


def _listed(
    one: str, name: str, before: Sequence[Plain], after: Sequence[Plain], where: str = ""
) -> Iterator[RulesetChange]:
    """Compare lists of rules, cases, tiers or examples; a case is named by its condition."""
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
