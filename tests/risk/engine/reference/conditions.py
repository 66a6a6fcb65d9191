"""The reference's conditions: three-valued logic by hand, one comparison at a time."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

Data = dict[str, Any]

BAD = object()
"""A value that could not be read."""

IN_ORDER = ("median", "standard_deviation", "percentile", "largest")
AGGREGATES = ("count", "sum", "mean", "min", "max", "distinct", "new", *IN_ORDER, "share", "days_since")
PEERS = ("peer_percentile", "times_peer_median")
INPUTS = (
    "field",
    *AGGREGATES,
    *PEERS,
    "ratio",
    "calculation",
    "indicator",
    "value",
    "tag",
    "screening",
    "linked",
    "pattern",
)
COMPARING = ("equals", "not_equals", "above", "at_least", "below", "at_most")
SOURCES = ("transactions", "cases", "alerts", "tags", "screenings")


@dataclass
class World:
    """Everything beside the entities themselves, as rows; lists by name are versions (since, members).

    `everyone` are the entities that may be linked to one another.
    Each of the peers has a country and one number, which stands for whatever is placed among theirs.
    """

    transactions: list[Data] = field(default_factory=list)
    cases: list[Data] = field(default_factory=list)
    alerts: list[Data] = field(default_factory=list)
    tags: list[Data] = field(default_factory=list)
    screenings: list[Data] = field(default_factory=list)
    lists: dict[str, list[tuple[datetime, list[str]]]] = field(default_factory=dict)
    links: list[Data] = field(default_factory=list)
    everyone: list[Data] = field(default_factory=list)
    peers: list[tuple[str | None, str]] = field(default_factory=list)


def date_of(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def inputs_in(condition: Any, *, own: bool = False) -> Iterator[Any]:
    """Give the inputs that a condition tests; None for the rule's own, where that is asked for."""
    if isinstance(condition, dict) and ("all" in condition or "any" in condition):
        for part in condition.get("all") or condition.get("any") or ():
            yield from inputs_in(part, own=own)
    elif isinstance(condition, dict) and "not" in condition:
        yield from inputs_in(condition["not"], own=own)
    elif isinstance(condition, dict) and subject(condition):
        yield subject(condition)
        yield from _compared(condition)
    elif condition is not None and own:
        yield None
        yield from _compared(condition)


def _compared(test: Any) -> Iterator[Data]:
    """Give the inputs that a test compares its own with."""
    for word, wanted in test.items() if isinstance(test, dict) else ():
        if word in COMPARING and isinstance(wanted, dict):
            yield wanted


def subject(test: Data) -> Data:
    """Take the input out of a test: min and max are operators of no test, so every word but those is one's own."""
    words = (*INPUTS, "where", "over", "ending", "in_currency", "of", "n")
    return {word: value for word, value in test.items() if word in words}


def holds(
    condition: Any,
    look_up: Callable[[Data | None], Any],
    world: World,
    as_of: datetime,
    *,
    own_mark: bool = False,
    own_finding: bool = False,
    unread: bool = False,
) -> bool | None:
    """Tell whether a condition holds; *look_up* finds the value of an input, and of None that of the rule's own.

    What is None is *unread* where it may be any value, and not missing.
    """

    def below(part: Any) -> bool | None:
        return holds(part, look_up, world, as_of, own_mark=own_mark, own_finding=own_finding, unread=unread)

    if isinstance(condition, str):
        return _one("is", condition, look_up(None), world, as_of, mark=own_mark, finding=own_finding)
    if "all" in condition:
        return _all([below(part) for part in condition["all"]])
    if "any" in condition:
        opposite = _all([_not(below(part)) for part in condition["any"]])
        return _not(opposite)
    if "not" in condition:
        return _not(below(condition["not"]))
    made = subject(condition)
    value = look_up(made or None)
    mark = bool({"tag", "screening"} & set(made)) if made else own_mark
    tests = {word: wanted for word, wanted in condition.items() if word not in made}
    if unread and value is None:
        return None
    return _all(
        [
            _one(word, *_sides(wanted, value, look_up), world, as_of, mark=mark, finding=own_finding and not made)
            for word, wanted in tests.items()
        ]
    )


def _sides(wanted: Any, value: Any, look_up: Callable[[Data | None], Any]) -> tuple[Any, Any]:
    """Put the value of another input in its place; unknown if either is."""
    if not isinstance(wanted, dict):
        return wanted, value
    other = look_up(wanted)
    return other, None if other is None else value


def _all(parts: list[bool | None]) -> bool | None:
    if any(part is False for part in parts):
        return False
    return None if any(part is None for part in parts) else True


def _not(part: bool | None) -> bool | None:
    return None if part is None else not part


def _one(
    word: str, wanted: Any, value: Any, world: World, as_of: datetime, *, mark: bool, finding: bool
) -> bool | None:
    """Tell whether one comparison holds of one value."""
    if word == "is" and not mark and not finding:
        return (value is not None) == (wanted == "present")
    if value is None:
        return None
    if word == "is":
        return bool(value) == (wanted == "present")
    if word in {"in_list", "not_in_list"}:
        word, wanted = ("in" if word == "in_list" else "not_in"), members_of(world, wanted, as_of)
    negated = word in {"not_equals", "not_in"}
    held = _PLAIN[word.removeprefix("not_")](value, wanted)
    return held != negated


def _like(value: Any, wanted: Any) -> Any:
    """Bring what is written in a file to the type of the value."""
    if isinstance(value, datetime):
        return wanted if isinstance(wanted, datetime) else date_of(wanted)
    is_written = isinstance(value, Fraction) and not isinstance(wanted, Fraction)
    return Fraction(str(wanted)) if is_written else wanted


_PLAIN: dict[str, Callable[[Any, Any], bool]] = {
    "equals": lambda value, wanted: bool(value == _like(value, wanted)),
    "above": lambda value, wanted: bool(value > _like(value, wanted)),
    "at_least": lambda value, wanted: bool(value >= _like(value, wanted)),
    "below": lambda value, wanted: bool(value < _like(value, wanted)),
    "at_most": lambda value, wanted: bool(value <= _like(value, wanted)),
    "between": lambda value, wanted: bool(_like(value, wanted[0]) <= value <= _like(value, wanted[1])),
    "outside": lambda value, wanted: bool(value < _like(value, wanted[0]) or value > _like(value, wanted[1])),
    "in": lambda value, wanted: (
        any(part in wanted for part in value)
        if isinstance(value, list)
        else value in [_like(value, one) for one in wanted]
    ),
    "starts_with": lambda value, wanted: value.startswith(wanted),
    "ends_with": lambda value, wanted: value.endswith(wanted),
    "contains": lambda value, wanted: wanted in value,
    "contains_any": lambda value, wanted: any(one in value for one in wanted),
}


def members_of(world: World, name: str, as_of: datetime) -> list[str]:
    """Give the members of a list's newest version that was in force."""
    return [members for since, members in world.lists[name] if since <= as_of][-1]
