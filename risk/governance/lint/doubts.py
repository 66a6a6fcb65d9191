"""Finds rules that may not work as their author thinks: gaps, unread inputs, text too short to compare."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Any

from fivefold.domain.clock import DAY_US, day_text, parse_moment
from fivefold.domain.errors import ConfigError
from fivefold.risk.compiler.diagnostics import Diagnostic, Severity, warning
from fivefold.risk.compiler.likeness import folded
from fivefold.risk.compiler.locations import Location, inputs_named, tests_at
from fivefold.risk.engine.explain.describe import input_words
from fivefold.risk.governance.lint.representative_values import can_be_unknown
from fivefold.risk.language.documents import Path
from fivefold.risk.language.expressions import FieldInput, OwnTest, ScreeningInput, input_of_test
from fivefold.risk.language.operators import Fuzzy, Operators
from fivefold.risk.language.ruleset import Coverage, Outcome, Rule, Ruleset

FEWEST_LETTERS = 3
"""Fewest letters of text for a partial likeness: shorter text is a part of nearly everything."""

_ORDERED = frozenset({"above", "at_least", "below", "at_most", "between"})

Span = tuple[Decimal | None, bool, Decimal | None, bool]
"""A range of numbers, or of dates in microseconds: its lower end (None for none), whether that is inside, and the same
for the upper end."""


def doubt_diagnostics(ruleset: Ruleset, members: Mapping[str, Sequence[str]]) -> Iterator[Diagnostic]:
    """Find doubts about single rules, and about the required coverage.

    *members* are the members of the named lists, as far as they exist.
    """
    for position, rule in enumerate(ruleset.rules):
        path: Path = ("rules", position)
        places = [
            Location((*path, "cases", number, "when"), case.when, rule.input) for number, case in enumerate(rule.cases)
        ]
        yield from _unread_input(path, rule, places)
        yield from _screening_floor(rule, places) or _unknown_as_no(path, rule, places)
        yield from _gaps(path, rule)
        for place in places:
            yield from _short_likeness(place, members)
    yield from _coverage(ruleset)


def _unread_input(path: Path, rule: Rule, places: Sequence[Location]) -> Iterator[Diagnostic]:
    """Find an input that no case reads: the author may think that the cases are about it."""
    decays_by_it = rule.decay is not None and rule.decay.signal is None
    if rule.input is None or decays_by_it:
        return
    if not any(input_of_test(test) is None for place in places for _, test in tests_at(place)):
        yield warning((*path, "input"), "is read by no case: each names an input of its own")


def _screening_floor(rule: Rule, places: Sequence[Location]) -> list[Diagnostic]:
    """Find a floor by a screening in a rule without an outcome for entities that were never screened."""
    if rule.on_unknown is not None or rule.otherwise.floor is not None:
        return []
    for place, case in zip(places, rule.cases, strict=True):
        inputs = [each for _, each in inputs_named(place)]
        if any(input_of_test(test) is None for _, test in tests_at(place)) and rule.input is not None:
            inputs.append(rule.input)
        screened = next((each for each in inputs if isinstance(each, ScreeningInput)), None)
        if case.floor is not None and screened is not None:
            problem = (
                f"is a floor by the {input_words(screened)}; without on_unknown who was never screened passes for clean"
            )
            return [warning((*place.path[:4], "floor"), problem)]
    return []


def _unknown_as_no(path: Path, rule: Rule, places: Sequence[Location]) -> Iterator[Diagnostic]:
    """Note a rule that gives less if something is unknown than if a case holds."""
    if rule.on_unknown is not None:
        return
    for number, (place, case) in enumerate(zip(places, rule.cases, strict=True), 1):
        is_worse = (case.points or 0) > (rule.otherwise.points or 0) or (
            case.floor is not None and rule.otherwise.floor is None
        )
        read = [input_of_test(test) or rule.input for _, test in tests_at(place) if _may_be_undecided(test)]
        unknown = next((each for each in read if each is not None and can_be_unknown(each)), None)
        if is_worse and unknown is not None:
            problem = (
                f"has no on_unknown: where {input_words(unknown)} is not known it gives what otherwise gives, "
                f"less than case {number}"
            )
            yield Diagnostic(path, problem, Severity.NOTE)
            return


def _may_be_undecided(test: Operators) -> bool:
    """Check whether a test may be neither true nor false; presence of a field is always known."""
    subject = input_of_test(test)
    asks_presence_alone = {operator for operator, _ in test.comparisons()} == {"is"}
    return not (asks_presence_alone and isinstance(subject, FieldInput))


def _gaps(path: Path, rule: Rule) -> Iterator[Diagnostic]:
    """Find numbers or dates between the ranges of two cases that are in neither."""
    dated = any(_is_dated(case.when) for case in rule.cases)
    spans = []
    for number, case in enumerate(rule.cases):
        span = _span_of(case.when, dated)
        if span is None:
            return
        spans.append((number, span))
    spans.sort(key=lambda pair: (pair[1][0] is not None, pair[1][0] or 0, not pair[1][1]))
    for (_, below), (number, above) in pairwise(_merged(spans)):
        between = _between(below, above, dated)
        if between is not None and (rule.otherwise == Outcome() or _is_narrow(below, above, DAY_US if dated else 1)):
            gets = "gets nothing; add otherwise if such a value should give something"
            gets = gets if rule.otherwise == Outcome() else "gets what otherwise gives"
            yield warning((*path, "cases", number, "when"), f"leaves a gap: {between} is in no case, and {gets}")


def _is_dated(condition: Any) -> bool:
    """Check whether a condition orders the rule's own value by text: dates or levels.

    Text that is only tested for equality is not a date, even if it looks like one.
    """
    return isinstance(condition, OwnTest) and any(
        operator in _ORDERED and any(isinstance(one, str) for one in (value if isinstance(value, tuple) else (value,)))
        for operator, value in condition.comparisons()
    )


def _number_of(value: Any, dated: bool) -> Decimal | None:
    """Return a bound of a case as a number; None if it is neither a number nor a date."""
    if not dated or not isinstance(value, str):
        return value if isinstance(value, Decimal) else None
    try:
        return Decimal(parse_moment(value))
    except (ConfigError, OverflowError):  # a level's name
        return None


def _span_of(condition: Any, dated: bool) -> Span | None:
    """Return the range of a comparison of the rule's own value; None for any other condition."""
    if not isinstance(condition, OwnTest):
        return None
    low, low_in, high, high_in = None, False, None, False
    for operator, bound in condition.comparisons():
        if operator == "between":
            lower, upper = (_number_of(one, dated) for one in bound)
            return None if lower is None or upper is None else (lower, True, upper, True)
        value = _number_of(bound, dated)
        if value is None:
            return None
        if operator == "equals":
            return value, True, value, True
        if operator in {"above", "at_least"}:
            low, low_in = value, operator == "at_least"
        elif operator in {"below", "at_most"}:
            high, high_in = value, operator == "at_most"
        else:
            return None
    return None if low is None and high is None else (low, low_in, high, high_in)


def _merged(spans: Sequence[tuple[int, Span]]) -> Iterator[tuple[int, Span]]:
    """Join ranges that overlap or touch, in the order of their lower ends."""
    joined: tuple[int, Span] | None = None
    for number, span in spans:
        if joined is None:
            joined = number, span
            continue
        if _between(joined[1], span) is None:
            low, low_in, high, high_in = joined[1]
            if high is not None and (span[2] is None or (span[2], span[3]) > (high, high_in)):
                joined = joined[0], (low, low_in, span[2], span[3])
        else:
            yield joined
            joined = number, span
    if joined is not None:
        yield joined


def _between(below: Span, above: Span, dated: bool = False) -> str | None:
    """Write what lies between two ranges; None if nothing does."""
    high, low = below[2], above[0]
    if high is None or low is None or low < high:
        return None
    if low == high:
        return None if below[3] or above[1] else f"exactly {_bound_text(low, dated)}"
    ends = f"{_bound_text(high, dated)} and {_bound_text(low, dated)}"
    return f"a {'date' if dated else 'number'} between {ends}, such as {_bound_text((high + low) / 2, dated)},"


def _bound_text(value: Decimal, dated: bool) -> str:
    return day_text(int(value)) if dated else f"{value:,f}"


def _is_narrow(below: Span, above: Span, unit: int) -> bool:
    """Check whether whole numbers or days were probably meant: 0 to 30, and 31 to 70."""
    high, low = below[2], above[0]
    return high is not None and low is not None and low - high <= unit and below[3] and above[1]


def _short_likeness(place: Location, members: Mapping[str, Sequence[str]]) -> Iterator[Diagnostic]:
    for path, test in tests_at(place):
        fuzzy = next((value for _, value in test.comparisons() if isinstance(value, Fuzzy)), None)
        if fuzzy is None or fuzzy.scorer != "partial":
            continue
        words = [fuzzy.to] if fuzzy.to is not None else members.get(str(fuzzy.list), ())
        short = next((word for word in words if word is not None and len(folded(word)) < FEWEST_LETTERS), None)
        if short is not None:
            problem = (
                f"looks for {short!r} as a part of other text, and nearly every text has such a part; take token_set"
            )
            yield warning((*path, "fuzzy"), problem)


def _coverage(ruleset: Ruleset) -> Iterator[Diagnostic]:
    usual = Coverage()
    for what in ("rules", "cases"):
        share, normally = getattr(ruleset.coverage, what), getattr(usual, what)
        if share < normally:
            problem = f"asks that examples cover {share} % of {what}, less than the usual {normally} %"
            yield warning(("coverage", what), f"{problem}; an organisation's own minimum holds all the same")
    for number, example in enumerate(ruleset.examples):
        if not example.expect.model_dump(exclude_defaults=True):
            yield warning(("examples", number, "expect"), "is empty, so the example tests nothing and fails")
