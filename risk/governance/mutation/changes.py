"""Generates every change of a ruleset by one step: a threshold, window, weight, points, floor or operator."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from fivefold.risk.language.base import ContentHashed
from fivefold.risk.language.calculations import OPERATIONS
from fivefold.risk.language.documents import Path
from fivefold.risk.language.operators import OPERATOR_KINDS
from fivefold.risk.language.quantities import exact, parse_duration
from fivefold.risk.language.ruleset import Ruleset

OTHER_OPERATOR: Mapping[str, str] = {
    "above": "at_least",
    "at_least": "above",
    "below": "at_most",
    "at_most": "below",
    "equals": "not_equals",
    "not_equals": "equals",
    "in": "not_in",
    "not_in": "in",
    "in_list": "not_in_list",
    "not_in_list": "in_list",
    "starts_with": "contains",
    "ends_with": "contains",
}
"""The nearest operator to each operator; operators without one are not changed."""

_WINDOWS = ("over", "active", "dormant", "within")
_NUMBERS = (
    "threshold",
    "margin",
    "round_to",
    "at_least",
    "more_than",
    "counterparties",
    "share",
    "minimum",
    "factor",
)
"""Parameters of patterns that are numbers, or shares in percent."""

_AGO = " ago"
_RANKS = ("percentile", "n")
"""Parameters of aggregates that are numbers."""

_JOINS = {"all": "any", "any": "all"}
_WORDS = {"present": "absent", "absent": "present"}


@dataclass(frozen=True)
class StepChange:
    """A change of a ruleset or a flow by one step.

    Attributes:
        path: the path of the changed part, in the words of the file.
        before: the present text there.
        after: the text that replaces it.
        node: the path of the part that is replaced; mostly the same as *path*.
        value: the new part, as plain data.
    """

    path: Path
    before: str
    after: str
    node: Path
    value: Any


_PLACES = ("peer_percentile", "times_peer_median")
"""The words that place a number among peers."""


def plain_data(ruleset: ContentHashed) -> dict[str, Any]:
    """Return the canonical form as plain data, with exact numbers."""
    data: dict[str, Any] = json.loads(ruleset.canonical, parse_float=Decimal)
    return data


def changes_of(ruleset: Ruleset) -> Iterator[StepChange]:
    """Yield every change by one step, in the order of score, predicate, rules; some results may be invalid.

    Numbers move by one in their last written digit: 31 to 30 and 32, 0.5 to 0.4 and 0.6. Durations move by one of their
    unit, dates by a day, floors by a level, weights by one percent from each factor to the next. Numbers placed among
    peers stay, and so do calculations read there alone: examples give the place itself.
    """
    data = plain_data(ruleset)
    yield from _of_score(data["score"])
    if "cooldown" in data:
        yield from _of_duration(("cooldown",), data["cooldown"])
    if "applies_to" in data:
        yield from changes_of_condition(("applies_to",), data["applies_to"])
    among_peers = _placed_alone(data)
    for name, calculation in data.get("calculate", {}).items():
        if name not in among_peers:
            yield from changes_of_calculation(("calculate", name), calculation)
    for position, rule in enumerate(data["rules"]):
        yield from _of_rule(("rules", position), rule, ruleset)


def _placed_alone(data: Mapping[str, Any]) -> set[str]:
    """Name the calculations that are placed among peers, perhaps as parts of others, and read nowhere else."""
    bodies = data.get("calculate", {})
    reading = {word: below for word, below in data.items() if word not in ("calculate", "examples")}
    elsewhere = _with_parts(_calculations_in(reading, among_peers=False), bodies)
    return _with_parts(_calculations_in(reading, among_peers=True), bodies) - elsewhere


def _calculations_in(node: Any, *, among_peers: bool) -> set[str]:
    """Name the calculations that a part of a ruleset reads, with or without those that it places among peers."""
    if isinstance(node, list):
        return {name for each in node for name in _calculations_in(each, among_peers=among_peers)}
    if not isinstance(node, dict):
        return set()
    names = {node["calculation"]} if isinstance(node.get("calculation"), str) else set()
    for word, below in node.items():
        if among_peers or word not in _PLACES:
            names |= _calculations_in(below, among_peers=among_peers)
    return names


def _with_parts(names: set[str], bodies: Mapping[str, Any]) -> set[str]:
    """Add the calculations that these contain."""
    everything: set[str] = set()
    while names - everything:
        everything |= names
        names = {
            part for name in everything if name in bodies for part in _calculations_in(bodies[name], among_peers=True)
        }
    return everything


def with_change(data: Any, path: Path, value: Any) -> Any:
    """Copy plain data with another value at a path.

    >>> with_change({"rules": [{"id": "a"}, {"id": "b"}]}, ("rules", 1, "id"), "c")
    {'rules': [{'id': 'a'}, {'id': 'c'}]}
    """
    if not path:
        return value
    copied = data.copy()
    copied[path[0]] = with_change(data[path[0]], path[1:], value)
    return copied


def other_value(path: Path, before: Any, after: Any) -> StepChange:
    """Make the change that replaces one value by another."""
    return StepChange(path, _text(before), _text(after), path, after)


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    if isinstance(value, dict):  # an input on the other side of a comparison
        return f"{{{', '.join(f'{word}: {_text(below)}' for word, below in value.items())}}}"
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def _renamed(path: Path, node: Mapping[str, Any], word: str, other: str) -> StepChange:
    """Make the change that replaces a word of a mapping; its value stays."""
    value = {other if name == word else name: below for name, below in node.items()}
    shown = "" if word in _JOINS else f" {_text(node[word])}"
    return StepChange((*path, word), f"{word}{shown}", f"{other}{shown}", path, value)


def steps_around(number: int | Decimal) -> tuple[int | Decimal, int | Decimal]:
    """Return the numbers one step below and above: one in the last written digit.

    >>> steps_around(31), steps_around(Decimal("0.5"))
    ((30, 32), (Decimal('0.4'), Decimal('0.6')))
    """
    if isinstance(number, int):
        return number - 1, number + 1
    step = Decimal(1).scaleb(min(0, int(number.as_tuple().exponent)))
    return number - step, number + step


def changes_of_number(path: Path, number: Any) -> Iterator[StepChange]:
    """Move a number by one step down and up."""
    for other in steps_around(number):
        yield other_value(path, number, other)


def _of_duration(path: Path, text: str) -> Iterator[StepChange]:
    length = parse_duration(text)
    for count in (length.count - 1, length.count + 1):
        if count:
            yield other_value(path, text, f"{count} {length.unit}{'' if count == 1 else 's'}")


def _of_share(path: Path, text: str) -> Iterator[StepChange]:
    for other in steps_around(exact(Decimal(text.removesuffix("%")))):
        yield other_value(path, text, f"{other:f}%")


# The score: cuts, tiers and weights.


def _of_score(score: Mapping[str, Any]) -> Iterator[StepChange]:
    if "points" in score:
        yield from _of_cuts(("score", "points", "thresholds"), score["points"]["thresholds"])
    for number, tier in enumerate(score.get("tiers", ())):
        for end in ("min", "max"):
            if end in tier:
                yield from changes_of_number(("score", "tiers", number, end), tier[end])
    if "weighted" in score:
        weighted, at = score["weighted"], ("score", "weighted")
        yield from _of_cuts((*at, "bands"), weighted["bands"])
        for column, weights in weighted["weights"].items():
            yield from _of_weights((*at, "weights", column), weights)
        for number, choice in enumerate(weighted["weights_by"]):
            if "when" in choice:
                yield from changes_of_condition((*at, "weights_by", number, "when"), choice["when"])


def _of_cuts(path: Path, cuts: Sequence[Any]) -> Iterator[StepChange]:
    for number, cut in enumerate(cuts):
        yield from changes_of_number((*path, number), cut)


def _of_weights(path: Path, weights: Mapping[str, Any]) -> Iterator[StepChange]:
    """Move one percent from each factor to the one after it, and from the last to the first."""
    names = list(weights)
    for giver, taker in zip(names, [*names[1:], *names[:1]], strict=True):
        if giver != taker:
            value = {**weights, giver: weights[giver] - 1, taker: weights[taker] + 1}
            before, after = (f"{giver} {side[giver]}, {taker} {side[taker]}" for side in (weights, value))
            yield StepChange((*path, giver), before, after, path, value)


def changes_of_calculation(path: Path, node: Any) -> Iterator[StepChange]:
    """Change the numbers of a calculation, the ends of a range, the decimals, and its inputs."""
    if not isinstance(node, dict):
        yield from changes_of_number(path, node)
        return
    for word in ("from", "to", "decimals"):
        if word in node:
            yield from changes_of_number((*path, word), node[word])
    for word, below in node.items():
        if word in OPERATIONS or (word == "of" and "percentile" not in node):
            for number, part in enumerate(below) if isinstance(below, list) else ():
                yield from changes_of_calculation((*path, word, number), part)
            if not isinstance(below, list):
                yield from changes_of_calculation((*path, word), below)
    yield from _of_input(path, node)


# Rules: their inputs, their cases and the cases' outcomes.


def _of_rule(path: Path, rule: Mapping[str, Any], ruleset: Ruleset) -> Iterator[StepChange]:
    if "input" in rule:
        yield from _of_input((*path, "input"), rule["input"])
    for number, case in enumerate(rule["cases"]):
        yield from changes_of_condition((*path, "cases", number, "when"), case["when"])
        yield from _of_outcome((*path, "cases", number), case, ruleset)
    for rest in ("otherwise", "on_unknown"):
        if rest in rule:
            yield from _of_outcome((*path, rest), rule[rest], ruleset)
    decay = rule.get("decay", {})
    if decay:
        yield from _of_duration((*path, "decay", "half_life"), decay["half_life"])
    if "signal" in decay:
        yield from _of_input((*path, "decay", "signal"), decay["signal"])


def _of_outcome(path: Path, outcome: Mapping[str, Any], ruleset: Ruleset) -> Iterator[StepChange]:
    if "points" in outcome:
        yield from changes_of_number((*path, "points"), outcome["points"])
    if "floor" in outcome:
        floor = ruleset.level_number(outcome["floor"])
        for other in (floor - 1, floor + 1):
            if 1 <= other <= len(ruleset.levels):
                yield other_value((*path, "floor"), ruleset.levels[floor - 1], ruleset.levels[other - 1])


def _of_input(path: Path, node: Mapping[str, Any]) -> Iterator[StepChange]:
    for word in _WINDOWS:
        if word in node:
            yield from _of_duration((*path, word), node[word])
    yield from _of_aggregate(path, node)
    if "where" in node:
        yield from changes_of_condition((*path, "where"), node["where"])
    for number, side in enumerate(node.get("ratio", ())):
        yield from _of_input((*path, "ratio", number), side)
    if "linked" in node:
        yield from _of_group((*path, "linked"), node["linked"])
    for word in _NUMBERS if "pattern" in node else ():
        if word in node:
            change = _of_share if isinstance(node[word], str) else changes_of_number
            yield from change((*path, word), node[word])


def _of_group(path: Path, group: Mapping[str, Any]) -> Iterator[StepChange]:
    """Change the number of steps over links, and the conditions and inputs of linked entities."""
    if "steps" in group:
        yield from changes_of_number((*path, "steps"), group["steps"])
    for word in ("where", "any"):
        if word in group:
            yield from changes_of_condition((*path, word), group[word])
    for word in ("sum", "mean", "min", "max"):
        if word in group:
            yield from _of_input((*path, word), group[word])


def _of_aggregate(path: Path, node: Mapping[str, Any]) -> Iterator[StepChange]:
    """Move the end of a window, the percentile, and the number of largest values."""
    if "ending" in node:
        for moved in _of_duration((*path, "ending"), node["ending"].removesuffix(_AGO)):
            yield other_value(moved.path, node["ending"], f"{moved.value}{_AGO}")
    for word in _RANKS:
        if word in node:
            yield from changes_of_number((*path, word), node[word])


def changes_of_condition(path: Path, node: Any) -> Iterator[StepChange]:
    """Change the operators, bounds, joins and inputs of a condition."""
    if isinstance(node, str):
        yield other_value(path, node, _WORDS[node])
        return
    for word, other in _JOINS.items():
        if word in node:
            if len(node[word]) > 1:
                yield _renamed(path, node, word, other)
            for number, part in enumerate(node[word]):
                yield from changes_of_condition((*path, word, number), part)
            return
    if "not" in node:
        yield StepChange((*path, "not"), "not", "without not", path, node["not"])
        yield from changes_of_condition((*path, "not"), node["not"])
        return
    for word in OPERATOR_KINDS:
        if word in node:
            yield from _of_comparison(path, node, word)
    yield from _of_input(path, node)


def _of_comparison(path: Path, node: Mapping[str, Any], word: str) -> Iterator[StepChange]:
    at, value = (*path, word), node[word]
    if word == "is":
        yield other_value(at, value, _WORDS[value])
    elif word in {"between", "outside"}:
        yield from _of_bound(at, value)
    elif word == "fuzzy":
        yield from changes_of_number((*at, "at_least"), value["at_least"])
    elif word in OTHER_OPERATOR:
        if OTHER_OPERATOR[word] not in node:
            yield _renamed(path, node, word, OTHER_OPERATOR[word])
        listed = value if word in {"in", "not_in"} else ()  # a step to another one of these only removes one
        yield from (change for change in _of_bound(at, value) if change.value not in listed)


def _of_bound(path: Path, bound: Any) -> Iterator[StepChange]:
    """Move a number or a date, each of several, or parts of another input; text and flags have no neighbours."""
    if isinstance(bound, dict):
        yield from _of_input(path, bound)
        return
    if isinstance(bound, list):
        for number, one in enumerate(bound):
            yield from _of_bound((*path, number), one)
        return
    if isinstance(bound, int | Decimal) and not isinstance(bound, bool):
        yield from changes_of_number(path, bound)
    elif isinstance(bound, str):
        try:
            moment = datetime.fromisoformat(bound)
        except ValueError:
            return
        for days in (-1, 1):
            other = (moment + timedelta(days=days)).isoformat()
            yield other_value(path, bound, other[: len("2024-07-01")] if len(bound) == len("2024-07-01") else other)
