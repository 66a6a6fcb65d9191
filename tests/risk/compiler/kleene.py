"""Conditions by the book: one value at a time, None is unknown; slow, and easy to believe."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from rapidfuzz import distance, fuzz

from fivefold.domain.clock import to_microseconds
from fivefold.risk.compiler.likeness import folded
from fivefold.risk.language.expressions import All, Any_, Not
from fivefold.risk.language.fields import ValueType
from fivefold.risk.language.operators import Fuzzy

Truth = bool | None
LEVELS = ("low", "2", "1", "high")
"""Two of them are numbers in text: as names they come first."""


def likeness(first: str, second: str, scorer: str) -> float:
    """Give how alike two texts are, 0 to 100; a text without a letter or digit is like no other."""
    measures = {"ratio": fuzz.ratio, "token_set": fuzz.token_set_ratio, "partial": fuzz.partial_ratio}
    one, other = folded(first), folded(second)
    if not (one and other):
        return 0.0
    if scorer == "jaro_winkler":
        return 100 * distance.JaroWinkler.similarity(one, other)
    return measures[scorer](one, other)


def conjunction(parts: Sequence[Truth]) -> Truth:
    return False if False in parts else None if None in parts else True


def disjunction(parts: Sequence[Truth]) -> Truth:
    return True if True in parts else None if None in parts else False


def negation(part: Truth) -> Truth:
    return None if part is None else not part


def holds(condition: Any, kind: ValueType, value: Any, lists: Mapping[str, Sequence[str]], units: int = 1) -> Truth:
    """Evaluate a condition on one own value."""
    if isinstance(condition, All):
        return conjunction([holds(part, kind, value, lists, units) for part in condition.all])
    if isinstance(condition, Any_):
        return disjunction([holds(part, kind, value, lists, units) for part in condition.any])
    if isinstance(condition, Not):
        return negation(holds(condition.negated, kind, value, lists, units))
    if isinstance(condition, str):
        return compared("is", condition, kind, value, lists, units)
    return conjunction([compared(word, made, kind, value, lists, units) for word, made in condition.comparisons()])


def compared(
    word: str, made: Any, kind: ValueType, value: Any, lists: Mapping[str, Sequence[str]], units: int = 1
) -> Truth:
    """Evaluate one operator on one value."""
    if word == "is" and kind not in {ValueType.MARK, ValueType.FINDING}:
        return (value is not None) is (str(made) == "present")
    if value is None:
        return None
    if word in OPPOSITES:
        return negation(compared(OPPOSITES[word], made, kind, value, lists, units))
    truth: bool = known(word, made, kind, value, lists, units)
    return truth


OPPOSITES = {"not_equals": "equals", "not_in": "in", "not_in_list": "in_list"}


def known(word: str, made: Any, kind: ValueType, value: Any, lists: Mapping[str, Sequence[str]], units: int) -> Any:
    def at(bound: Any) -> Any:
        if kind is ValueType.MONEY:
            return Decimal(bound) * units
        if kind is ValueType.MOMENT:
            return to_microseconds(datetime.fromisoformat(bound))
        if kind is ValueType.LEVEL:
            return LEVELS.index(bound) + 1 if isinstance(bound, str) else int(bound)
        return float(bound) if kind in {ValueType.NUMBER, ValueType.FINDING} else bound

    meanings: dict[str, Callable[[], Any]] = {
        "is": lambda: (value > 0 if kind is ValueType.FINDING else value) == (made == "present"),
        "equals": lambda: value == at(made),
        "above": lambda: value > at(made),
        "at_least": lambda: value >= at(made),
        "below": lambda: value < at(made),
        "at_most": lambda: value <= at(made),
        "between": lambda: at(made[0]) <= value <= at(made[1]),
        "outside": lambda: value < at(made[0]) or value > at(made[1]),
        "in": lambda: any(value == at(one) for one in made),
        "in_list": lambda: any(item in lists[made] for item in texts_of(value)),
        "starts_with": lambda: value.startswith(made),
        "ends_with": lambda: value.endswith(made),
        "contains": lambda: made in value,
        "contains_any": lambda: any(part in value for part in made),
        "fuzzy": lambda: is_near(made, value, lists),
    }
    return meanings[word]()


def texts_of(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else [item for item in value if item is not None]


def is_near(made: Fuzzy, value: Any, lists: Mapping[str, Sequence[str]]) -> bool:
    targets = [made.to] if made.to is not None else lists[made.list or ""]
    return any(
        likeness(text, str(target), made.scorer) >= made.at_least - 1e-6
        for text in texts_of(value)
        for target in targets
    )
