"""Whether two rows of a table can hold for one entity: tried at every value that their cells tell apart."""

from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import pairwise
from typing import Any

from pydantic import TypeAdapter

from fivefold.risk.governance.tables.foreign.unary import Condition
from fivefold.risk.language.fields import ValueType
from fivefold.risk.language.quantities import MomentText

_MOMENT: TypeAdapter[int] = TypeAdapter(MomentText)
_OTHER_TEXT = "\0 a text that no cell names"
_MISSING = None


def can_meet(one: Condition | None, other: Condition | None, kind: ValueType) -> bool:
    """Tell whether one value of a kind, or a missing one, meets both conditions; None is met by every value.

    Between two neighbouring numbers that cells name, one stands for all, so the answer is exact.

    >>> can_meet({"above": Decimal(5)}, {"at_most": Decimal(5)}, ValueType.NUMBER)
    False
    >>> can_meet({"in": ["a", "b"]}, {"not_equals": "a"}, ValueType.TEXT)
    True
    """
    if one is None or other is None:
        return True
    if kind is ValueType.MOMENT:
        one, other = _in_microseconds(one), _in_microseconds(other)
    return any(_holds(one, value) and _holds(other, value) for value in _values(one, other))


def values_named(condition: Condition | None) -> int:
    """Count the values that a condition names."""
    return sum(1 for _ in _named(condition)) if condition is not None else 0


def _values(*conditions: Condition) -> Iterator[Any]:
    named = {value for condition in conditions for value in _named(condition)}
    numbers = sorted(value for value in named if isinstance(value, Decimal))
    yield from (_MISSING, _OTHER_TEXT, True, False)
    yield from (value for value in named if isinstance(value, str))
    if not numbers:
        yield Decimal(0)
        return
    yield from numbers
    yield from ((low + high) / 2 for low, high in pairwise(numbers))
    yield from (numbers[0] - 1, numbers[-1] + 1)


def _named(condition: Any) -> Iterator[Any]:
    if isinstance(condition, dict):
        for word, value in condition.items():
            if word != "is":
                yield from _named(value)
    elif isinstance(condition, list):
        for value in condition:
            yield from _named(value)
    elif not isinstance(condition, bool):
        yield condition


def _in_microseconds(condition: Any) -> Any:
    """Put microseconds in the place of dates, which orders them."""
    if isinstance(condition, dict):
        return {word: value if word == "is" else _in_microseconds(value) for word, value in condition.items()}
    if isinstance(condition, list):
        return [_in_microseconds(each) for each in condition]
    try:
        return Decimal(_MOMENT.validate_python(condition, context={"written": True}))
    except ValueError:
        return condition


def _holds(condition: Condition, value: Any) -> bool:
    """Tell what other systems say: of a missing value only that it is none, or not something, holds."""
    return all(_part_holds(word, compared, value) for word, compared in condition.items())


def _part_holds(word: str, compared: Any, value: Any) -> bool:
    joins: dict[str, Callable[[], bool]] = {
        "any": lambda: any(_holds(part, value) for part in compared),
        "all": lambda: all(_holds(part, value) for part in compared),
        "not": lambda: not _holds(compared, value),
        "is": lambda: (value is _MISSING) == (compared == "absent"),
        "not_equals": lambda: _differs(value, compared),
        "not_in": lambda: all(_differs(value, each) for each in compared),
    }
    if word in joins:
        return joins[word]()
    if word == "in":
        return not all(_differs(value, each) for each in compared)
    if word == "equals":
        return not _differs(value, compared)
    if not isinstance(value, Decimal):
        return False
    low, high = compared if word == "between" else [compared] * 2
    if not isinstance(low, Decimal) or not isinstance(high, Decimal):
        return False
    orders = {
        "above": value > low,
        "at_least": value >= low,
        "below": value < high,
        "at_most": value <= high,
        "between": low <= value <= high,
    }
    return orders[word]


def _differs(value: Any, compared: Any) -> bool:
    return type(value) is not type(compared) or bool(value != compared)
