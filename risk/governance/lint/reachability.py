"""Finds cases that can never be reached, by trying the compiled conditions on representative values."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, partial, reduce
from math import prod
from operator import or_
from typing import Any

import numpy as np
import polars as pl

from fivefold.domain.money import minor_units
from fivefold.risk.compiler.checks import type_of, value_type_at
from fivefold.risk.compiler.conditions import Compiler
from fivefold.risk.compiler.diagnostics import Diagnostic, Severity, warning
from fivefold.risk.compiler.formulas import calculations_in_order, float_of
from fivefold.risk.compiler.locations import Location, tests_at
from fivefold.risk.compiler.value_types import (
    SCORES,
    SOURCES,
    InputColumn,
    Vocabulary,
    column_of,
    currency_of,
    linked_source,
)
from fivefold.risk.governance.lint.in_order import Effort, OrderTrial, TriedInOrder, order_trial
from fivefold.risk.governance.lint.representative_values import (
    FRESH,
    ComparedInput,
    Domain,
    Members,
    domain_of,
    letters_compared,
)
from fivefold.risk.language.base import LanguageModel
from fivefold.risk.language.calculations import (
    Absolute,
    Add,
    Clamp,
    Divide,
    GreatestOf,
    LeastOf,
    Multiply,
    Round,
    Subtract,
    input_of_operand,
    operands,
)
from fivefold.risk.language.expressions import (
    CalculationInput,
    Count,
    DaysSince,
    Distinct,
    Largest,
    Least,
    Mean,
    Median,
    Most,
    New,
    Percentile,
    Share,
    StandardDeviation,
    Sum,
    ValueInput,
    input_key,
    input_of_test,
    inputs_compared,
)
from fivefold.risk.language.fields import OneOf, ValueType
from fivefold.risk.language.operators import Operators
from fivefold.risk.language.peers import PeerPercentile
from fivefold.risk.language.policy import LevelInput, TransactionInput

Range = tuple[Fraction | None, Fraction | None]
"""A range with both ends, which may be possible values themselves; None for no bound."""

ANY: Range = (None, None)
_FROM_ZERO: Range = (Fraction(0), None)


MOST_BITS = 1_000
"""Most bits of an end: longer ones count as no bound, as no ruleset compares with such a number."""


def ranges_of(names: Vocabulary) -> dict[str, Range]:
    """Return a range that contains every result of each calculation, by its name; it may be wider than needed."""
    ranges: dict[str, Range] = {}
    for name in calculations_in_order(names.calculations, names.calculations):
        ranges[name] = _short(_range_of(names.calculations[name], ranges))
    return ranges


def _short(ends: Range) -> Range:
    low, high = (
        None if end is None or (end.numerator * end.denominator).bit_length() > MOST_BITS else end for end in ends
    )
    return low, high


def _range_of_input(rule_input: Any, ranges: Mapping[str, Range]) -> Range:  # noqa: PLR0911 (one for each kind)
    """Return the range of a numeric input, with money in its main unit."""
    match rule_input:
        case CalculationInput(calculation=name):
            return ranges.get(name, ANY)
        case ValueInput(value="score"):
            return Fraction(SCORES[0]), Fraction(SCORES[1])
        case (
            Count()
            | Distinct()
            | New()
            | StandardDeviation()
            | TransactionInput(transaction="amount")
            | LevelInput(level="age_days")
        ):
            return _FROM_ZERO
        case Share() if column_of(rule_input) in {None, "amount"}:
            return Fraction(0), Fraction(1)
        case Sum() | Mean() | Least() | Most() | Median() | Percentile() | Largest():
            return _FROM_ZERO if column_of(rule_input) == "amount" else ANY
        case DaysSince():
            return _FROM_ZERO if linked_source(rule_input) in SOURCES else ANY
    return ANY


def _range_of(operand: Any, ranges: Mapping[str, Range]) -> Range:  # noqa: C901, PLR0911 (one for each operation)
    rule_input = input_of_operand(operand)
    if rule_input is not None:
        return _range_of_input(rule_input, ranges)
    steps = operands(operand)
    if not steps:
        return Fraction(operand), Fraction(operand)
    parts = [_range_of(part, ranges) for _, part in steps]
    match operand:
        case Add():
            return _sum([low for low, _ in parts]), _sum([high for _, high in parts])
        case Subtract():
            return _sum([parts[0][0], _minus(parts[1][1])]), _sum([parts[0][1], _minus(parts[1][0])])
        case Multiply():
            return reduce(_product, parts)
        case Divide():
            return _quotient(*parts)
        case LeastOf():
            return _end(min, [low for low, _ in parts], all_known=True), _end(min, [high for _, high in parts])
        case GreatestOf():
            return _end(max, [low for low, _ in parts]), _end(max, [high for _, high in parts], all_known=True)
        case Absolute():
            return _size(parts[0])
        case Clamp():
            return _clamped(operand, parts[0])
        case Round():
            low, high = (None if end is None else Fraction(round(end, operand.decimals)) for end in parts[0])
            return low, high
    return parts[0]


def _sum(ends: Sequence[Fraction | None]) -> Fraction | None:
    bounds = [end for end in ends if end is not None]
    return sum(bounds, Fraction(0)) if len(bounds) == len(ends) else None


def _minus(end: Fraction | None) -> Fraction | None:
    return None if end is None else -end


def _product(first: Range, second: Range) -> Range:
    ends = [*first, *second]
    if all(end is not None for end in ends):
        corners = [one * other for one in first for other in second if one is not None and other is not None]
        return min(corners), max(corners)
    if first[0] is not None and second[0] is not None and first[0] >= 0 and second[0] >= 0:
        return first[0] * second[0], None
    return ANY


def _quotient(over: Range, under: Range) -> Range:
    """Divide ranges; a divisor of 0 makes the result unknown, so it adds no number."""
    if over[0] is None or under[0] is None or over[0] < 0 or under[0] < 0:
        return ANY
    low = Fraction(0) if not under[1] else over[0] / under[1]
    return low, over[1] / under[0] if over[1] is not None and under[0] > 0 else None


def _end(choose: Any, ends: Sequence[Fraction | None], *, all_known: bool = False) -> Fraction | None:
    bounds = [end for end in ends if end is not None]
    if not bounds or (all_known and len(bounds) < len(ends)):
        return None
    end: Fraction = choose(bounds)
    return end


def _size(part: Range) -> Range:
    low, high = part
    if low is not None and low >= 0:
        return part
    most = max(-low, high) if low is not None and high is not None else None
    return (Fraction(0) if high is None or high >= 0 else -high), most


def _clamped(operand: Clamp, part: Range) -> Range:
    least, most = (None if end is None else Fraction(end) for end in (operand.least, operand.most))
    low = least if part[0] is None else part[0] if least is None else max(part[0], least)
    high = most if part[1] is None else part[1] if most is None else min(part[1], most)
    if low is not None and most is not None:
        low = min(low, most)
    if high is not None and least is not None:
        high = max(high, least)
    return low, high


MOST_ROWS = 20_000
"""Most combinations of values that are tried; if more are needed, the result is undecided."""

MOST_COMPARED = 50_000_000
"""Most numbers, or letters of texts, compared in them; they take about a second of processor time."""

ASSUMED_UNITS = minor_units("EUR")
"""The assumed minor units: the base currency is not known here, and almost all have as many."""

HELD = "held"


@dataclass(frozen=True)
class LintScope:
    """The names and lists that conditions may use.

    Attributes:
        names: the fields.
        members: the members of the named lists.
        all_lists: whether these are the lists' true members.
        effort: the comparisons left; None for no limit across trials.
    """

    names: Vocabulary
    members: Members
    all_lists: bool
    effort: Effort | None = None

    @cached_property
    def ranges(self) -> dict[str, Range]:
        """The range of each calculation's results."""
        return ranges_of(self.names)


@dataclass(frozen=True)
class ReachabilityTrial:
    """Conditions, tried on representative values.

    Attributes:
        truths: a column of truths for each condition, by its position, null where unknown.
        exact: whether an outcome that no combination gave is impossible.
        values: the values that were tried: a column for each input, by its key.
        subjects: the inputs, by their keys.
        compiled: the conditions, each named by its position.
    """

    truths: pl.DataFrame
    exact: bool
    values: pl.DataFrame
    subjects: Mapping[str, ComparedInput]
    compiled: Sequence[pl.Expr] = ()

    def truths_of(self, values: Mapping[str, Any]) -> tuple[bool | None, ...]:
        """Try the conditions on other values, by the keys of inputs."""
        columns = [pl.Series(key, [value], self.values.schema[key], strict=False) for key, value in values.items()]
        return pl.DataFrame(columns).select(self.compiled).row(0)


def subjects_of(place: Location, scope: LintScope) -> dict[str, ComparedInput]:
    """Find the compared inputs of a condition, by their keys."""
    subjects: dict[str, ComparedInput] = {}
    for subject in _inputs_tested(place):
        key = input_key(subject)
        kind = value_type_at(subject, place, scope.names)
        currency = place.currency or currency_of(subject, scope.names)
        units = (minor_units(currency) if currency else ASSUMED_UNITS) if kind is ValueType.MONEY else 1
        column = InputColumn(key, kind, units, scope.names.levels if kind is ValueType.LEVEL else ())
        compared = ComparedInput(
            rule_input=subject,
            column=column,
            declared=type_of(subject, place, scope.names),
            ends=_ends(subject, scope, units),
            source=place.source,
        )
        subjects.setdefault(key, compared)
    return subjects


def _inputs_tested(place: Location) -> Iterator[LanguageModel]:
    for _, test in tests_at(place):
        subject = input_of_test(test) or place.own
        assert subject is not None  # lint checks types first
        yield subject
        yield from (other for _, other in inputs_compared(test))


def _ends(subject: LanguageModel, scope: LintScope, units: int) -> tuple[float | None, float | None]:
    if isinstance(subject, PeerPercentile):
        return 0.0, 100.0
    if not isinstance(subject, CalculationInput):
        return None, None
    low, high = scope.ranges.get(subject.calculation, ANY)
    return None if low is None else float_of(low * units), None if high is None else float_of(high * units)


def try_conditions(places: Sequence[Location], scope: LintScope) -> ReachabilityTrial | None:
    """Try conditions together, on every combination of values; None if there are too many to compare."""
    if scope.effort is not None and not scope.effort.begins(len(places)):
        return None
    subjects: dict[str, ComparedInput] = {}
    for place in places:
        subjects |= subjects_of(place, scope)
    domains = _domains(subjects, places, scope)
    if domains is None:
        return None
    frame = combined(domains)
    compiled = [_compiled(place, subjects, scope).alias(str(number)) for number, place in enumerate(places)]
    exact = all(domain.exact for domain in domains.values())
    return ReachabilityTrial(frame.select(compiled), exact, frame, subjects, compiled)


def _domains(
    subjects: Mapping[str, ComparedInput], places: Sequence[Location], scope: LintScope
) -> dict[str, Domain] | None:
    """Find the values of each input; None if they have too many combinations, or too much to compare in each."""
    constants, compared = _comparisons(places)
    domains: dict[str, Domain] = {}
    rows, work = 1, 0.0
    for key, subject in subjects.items():
        domains[key] = domain = _domain(subject, constants[key], scope, with_inputs=key in compared)
        rows *= len(domain.values)
        work += letters_compared(domain.values, constants[key], scope.members)
        if rows > MOST_ROWS or rows * work > MOST_COMPARED:
            return None
    if scope.effort is not None and not scope.effort.compares(rows, len(subjects), len(places), work):
        return None
    return domains


def _comparisons(places: Iterable[Location]) -> tuple[dict[str, list[tuple[str, Any]]], set[str]]:
    """Return the comparisons of each input, by its key, and the keys of inputs that are compared with others."""
    constants: dict[str, list[tuple[str, Any]]] = defaultdict(list)
    compared: set[str] = set()
    for place in places:
        for _, test in tests_at(place):
            key = input_key(input_of_test(test) or place.own)  # type: ignore[arg-type]  # one of them is not None
            others = list(inputs_compared(test))
            constants[key] += [pair for pair in test.comparisons() if pair not in others]
            compared |= {key, *(input_key(other) for _, other in others)} if others else set()
    return constants, compared


def _domain(
    subject: ComparedInput, comparisons: Sequence[tuple[str, Any]], scope: LintScope, *, with_inputs: bool
) -> Domain:
    """Find representative values of an input; if it is compared with another one, they are not exact."""
    domain = domain_of(subject, comparisons, scope.members, all_lists=scope.all_lists)
    if not with_inputs:
        return domain
    values = domain.values
    if subject.column.kind is ValueType.TEXT and not isinstance(subject.declared, OneOf):
        values = pl.concat([pl.Series([FRESH * 2]), values])  # so that two texts can differ
    return Domain(values, exact=False)


def tests_about(key: str, places: Iterable[Location]) -> Iterator[Operators]:
    """Yield every test of one input, by its key, in conditions that fit their inputs."""
    for place in places:
        for _, test in tests_at(place):
            if input_key(input_of_test(test) or place.own) == key:  # type: ignore[arg-type]  # one of them is not None
                yield test


def combined(domains: Mapping[str, Domain]) -> pl.DataFrame:
    """Return every combination of values, with the last input varying fastest."""
    each = prod(len(domain.values) for domain in domains.values())
    rows, columns = np.arange(each), list[pl.Series]()
    for key, domain in domains.items():
        each //= len(domain.values)
        columns.append(domain.values.gather(rows // each % len(domain.values)).alias(key))
    return pl.DataFrame(columns)


def _compiled(place: Location, subjects: Mapping[str, ComparedInput], scope: LintScope) -> pl.Expr:
    def resolve(rule_input: LanguageModel) -> InputColumn:
        return subjects[input_key(rule_input)].column

    own = None if place.own is None or input_key(place.own) not in subjects else resolve(place.own)
    return Compiler(resolve, scope.members, own).condition(place.condition)


def order_diagnostics(places: Sequence[Location], scope: LintScope, what: str) -> Iterator[Diagnostic]:
    """Find, among conditions tried in order, those that never hold or are always preceded by others.

    Args:
        places: the conditions, in order.
        scope: the names and lists that they may use.
        what: the name of one of them, such as case.
    """
    always: int | None = None
    tried = TriedInOrder([frozenset(subjects_of(place, scope)) for place in places], partial(_together, places, scope))
    for number, place in enumerate(places):
        path = place.path[:-1]
        if always is not None:
            yield warning(path, f"is never reached: {what} {always + 1} always holds")
            continue
        trial = tried.trial_of(number)
        if trial is None:
            yield _cannot_tell(path)
            continue
        problem = _problem(trial, number, tried.before(number), what)
        if problem is not None:
            yield warning(path, problem) if trial.exact else _cannot_tell(path)
        elif trial.exact and trial.holds[number] == trial.everywhere:
            always = number


def _together(places: Sequence[Location], scope: LintScope, positions: Sequence[int]) -> OrderTrial | None:
    trial = try_conditions([places[position] for position in positions], scope)
    return None if trial is None else order_trial(positions, trial.truths, exact=trial.exact)


def _problem(trial: OrderTrial, number: int, before: Sequence[int], what: str) -> str | None:
    own = trial.holds[number]
    if not own:
        return "never holds, whatever the values"
    covering = next((earlier for earlier in before if not own & ~trial.holds[earlier]), None)
    if covering is not None:
        return f"is never reached: {what} {covering + 1} holds whenever it does"
    free = own & ~reduce(or_, (trial.holds[earlier] for earlier in before), 0)
    return None if free else "is never reached: those before it hold whenever it does"


def rest_diagnostics(
    places: Sequence[Location], rests: Iterable[str], path: tuple[str | int, ...], scope: LintScope
) -> Iterator[Diagnostic]:
    """Find an `otherwise` or `on_unknown` that is written but can never be given."""
    words = list(rests)
    trial = try_conditions(places, scope) if words else None
    if trial is None or not trial.exact:
        return
    truths = trial.truths.select(
        held=pl.any_horizontal(pl.all().fill_null(value=False)), unknown=pl.any_horizontal(pl.all().is_null())
    )
    unheld = truths.filter(~pl.col(HELD))["unknown"]
    if "on_unknown" in words and not unheld.any():
        yield warning((*path, "on_unknown"), "is never given: where no case holds, none is unknown")
    if "otherwise" in words and (unheld.is_empty() or ("on_unknown" in words and unheld.all())):
        yield warning((*path, "otherwise"), "is never given: some case always holds, or is unknown")


def _cannot_tell(path: tuple[str | int, ...]) -> Diagnostic:
    return Diagnostic(path, "may be reachable or not: there are too many combinations to try", Severity.NOTE)
