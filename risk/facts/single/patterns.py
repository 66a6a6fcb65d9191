"""Patterns of one entity: functions of its facts in order of time, with the results of `risk.facts.patterns`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import isfinite
from typing import Any, Final, NamedTuple

import numpy as np

from fivefold.domain.clock import DAY_US
from fivefold.features.numba_cache import compile_loops
from fivefold.risk.compiler.plain_conditions import NoPlainFormError, Row
from fivefold.risk.facts.linked import TIME
from fivefold.risk.facts.patterns import loops
from fivefold.risk.facts.patterns.deviation import months_of
from fivefold.risk.facts.patterns.rows import AMOUNT, DEPOSIT, DIRECTION, WITHDRAWAL, least_minor
from fivefold.risk.facts.single.facts import SETTLED, SingleFacts
from fivefold.risk.language.base import LanguageModel
from fivefold.risk.language.expressions import FieldInput, input_key
from fivefold.risk.language.patterns import (
    DormantThenActive,
    Fan,
    PassThrough,
    PurposeDeviation,
    Structuring,
    Velocity,
    VolumeDeviation,
)


class PatternResult(NamedTuple):
    """The result of a pattern.

    Attributes:
        number: 0 if it was not found, None if unknown.
        latest: the moment of the latest transaction that belongs to it.
        lacking: the number of transactions without a known counterparty, if it is unknown for that reason.
    """

    number: float | None = 0.0
    latest: int | None = None
    lacking: int | None = None


PlainPattern = Callable[[SingleFacts, Row], PatternResult]
"""Finds a pattern in an entity's facts and the values of its fields."""

NOT_FOUND: Final = PatternResult()
NOTHING_DECLARED: Final = PatternResult(None)
_MOST = (1 << 63) - 1


def plain_pattern(pattern: Any, units: int) -> PlainPattern:
    """Make the function of a pattern; *units* are the minor units in one unit of the base currency.

    Raises:
        NoPlainFormError: it has no plain form, so that columns must be used.
    """
    form = _FORMS.get(type(pattern))
    if form is None or set(type(pattern).model_fields) - form[0]:
        raise NoPlainFormError(type(pattern).__name__)
    return form[1](pattern, units)


def _settled(facts: SingleFacts, begin: int | None) -> Sequence[Row]:
    return facts.inside(begin, (SETTLED,))


Chosen = Callable[[SingleFacts], Sequence[Row]]
"""Selects the facts that a pattern counts, in order of time."""


def suspect_deposits(pattern: Structuring, units: int) -> tuple[Chosen, Callable[[int, int], float]]:
    """Make the functions for the suspect deposits, and for the pattern's number by their count and total."""
    threshold = Fraction(pattern.threshold)
    least, below = (
        least_minor(bound, units) for bound in (threshold * (100 - Fraction(pattern.margin)) / 100, threshold)
    )
    step = None if pattern.round_to is None else (Fraction(pattern.round_to) * units).numerator

    def chosen(facts: SingleFacts) -> Sequence[Row]:
        return [
            row
            for row in _settled(facts, pattern.over.moment_before(facts.as_of))
            if row[DIRECTION] == DEPOSIT
            and 0 < row[AMOUNT] < below
            and (row[AMOUNT] >= least or (step is not None and row[AMOUNT] % step == 0))
        ]

    return chosen, lambda count, total: float(count) if count >= pattern.at_least and total >= below else 0.0


def _structuring(pattern: Structuring, units: int) -> PlainPattern:
    chosen, number_of = suspect_deposits(pattern, units)

    def find(facts: SingleFacts, _: Row) -> PatternResult:
        rows = chosen(facts)
        number = number_of(len(rows), sum(row[AMOUNT] for row in rows))
        return PatternResult(number, rows[-1][TIME]) if number else NOT_FOUND

    return find


def busiest(pattern: Velocity) -> Callable[[SingleFacts], tuple[int, int, int, int]]:
    """Make the function that finds the largest count in 24 hours, 0 for none.

    It also returns when the last matching 24 hours ended; when the first transaction of the last ones with that count
    was; and how many counterparties are unknown, if the pattern is unknown for that alone.
    """
    limits = (DAY_US, pattern.more_than, pattern.counterparties)

    def find(facts: SingleFacts) -> tuple[int, int, int, int]:
        rows = _settled(facts, pattern.over.moment_before(facts.as_of))
        if len(rows) <= pattern.more_than:
            return 0, 0, 0, 0
        numbers: dict[Any, int] = {}
        who = [
            -1 if name is None else numbers.setdefault(name, len(numbers))
            for name in (row[pattern.counterparty] for row in rows)
        ]
        offsets = np.array([0, len(rows)], np.int64)
        counters, *results = (np.zeros(size, np.int64) for size in (max(len(numbers), 1), 1, 1, 1, 1))
        columns = (_read_only([row[TIME] for row in rows]), _read_only(who))
        compile_loops(loops).busiest(offsets, *columns, *limits, counters, *results)
        most, latest, begun, lacking = (int(each[0]) for each in results)
        return most, latest, begun, lacking

    return find


def _velocity(pattern: Velocity, _units: int) -> PlainPattern:
    look = busiest(pattern)

    def find(facts: SingleFacts, _: Row) -> PatternResult:
        most, latest, _begun, lacking = look(facts)
        if lacking > 0:
            return PatternResult(None, lacking=lacking)
        return PatternResult(float(most), latest) if most > 0 else NOT_FOUND

    return find


def _read_only(numbers: Sequence[int]) -> Any:
    return np.array(numbers, np.int64)


@dataclass(frozen=True)
class Laid:
    """A deposit, or a withdrawal, which needs 0; the amount withdrawn of a deposit, and the last time of that."""

    time: int
    needed: int
    passed: int
    latest: int


def laid_out(pattern: PassThrough, units: int) -> Callable[[SingleFacts], list[Laid]]:
    """Make the function that allocates withdrawals to deposits in order of time; [] if deposits are too few."""
    least = max(least_minor(Fraction(pattern.minimum), units), 1)
    share = Fraction(pattern.share) / 100

    def needed(row: Row) -> int:
        enough = row[AMOUNT] * share.numerator + (share.denominator - 1)
        return int(enough // share.denominator) if row[DIRECTION] == DEPOSIT else 0

    def lay_out(facts: SingleFacts) -> list[Laid]:
        laid = [
            (row[TIME], need == 0, row[AMOUNT], need, pattern.within.moment_after(row[TIME]))
            for row in _settled(facts, pattern.over.moment_before(facts.as_of))
            if (row[DIRECTION] == DEPOSIT and row[AMOUNT] >= least)
            or (row[DIRECTION] == WITHDRAWAL and row[AMOUNT] > 0)
            for need in (needed(row),)
        ]
        if sum(not is_out for _, is_out, *_ in laid) < pattern.at_least:
            return []
        times, _, amounts, needs, deadlines = zip(*sorted(laid), strict=True)
        passed, latest = np.zeros(len(laid), np.int64), np.zeros(len(laid), np.int64)
        offsets = np.array([0, len(laid)], np.int64)
        arrays = map(_read_only, (times, amounts, needs, deadlines))
        compile_loops(loops).pass_on(offsets, *arrays, passed, latest)
        return [Laid(*each) for each in zip(times, needs, passed.tolist(), latest.tolist(), strict=True)]

    return lay_out


def _pass_through(pattern: PassThrough, units: int) -> PlainPattern:
    lay_out = laid_out(pattern, units)

    def find(facts: SingleFacts, _entity: Row) -> PatternResult:
        followed = [each.latest for each in lay_out(facts) if 0 < each.needed <= each.passed]
        return PatternResult(float(len(followed)), max(followed)) if len(followed) >= pattern.at_least else NOT_FOUND

    return find


def turnover_beside_declared(
    pattern: VolumeDeviation, units: int
) -> tuple[Chosen, Callable[[Row], int | None], Callable[[int, int], float]]:
    """Make the functions for the turnover's facts, for what an entity declared, and for the pattern's number."""
    key, months = input_key(FieldInput(field=pattern.expected_monthly)), months_of(pattern.over)
    bound = Fraction(pattern.factor) * months

    def chosen(facts: SingleFacts) -> Sequence[Row]:
        return [row for row in _settled(facts, pattern.over.moment_before(facts.as_of)) if row[AMOUNT] > 0]

    def declared_by(entity: Row) -> int | None:
        value = entity[key]
        declared = 0 if value is None or not isfinite(value * units) else round(value * units)
        return declared if 0 < declared <= _MOST else None

    def number_of(turnover: int, declared: int) -> float:
        if turnover * bound.denominator < declared * bound.numerator:
            return 0.0
        return float(turnover * months.denominator) / float(declared * months.numerator)

    return chosen, declared_by, number_of


def _volume_deviation(pattern: VolumeDeviation, units: int) -> PlainPattern:
    chosen, declared_by, number_of = turnover_beside_declared(pattern, units)

    def find(facts: SingleFacts, entity: Row) -> PatternResult:
        declared = declared_by(entity)
        if declared is None:
            return NOTHING_DECLARED
        rows = chosen(facts)
        number = number_of(sum(row[AMOUNT] for row in rows), declared)
        return PatternResult(number, rows[-1][TIME]) if rows and number else NOT_FOUND

    return find


def with_purpose(
    pattern: PurposeDeviation,
) -> tuple[Chosen, Callable[[Row], set[str]], Callable[[int, int], float]]:
    """Make the functions for facts with a purpose, for an entity's declared purposes, and for the pattern's number.

    The number is computed from the sums outside and of all; with nothing outside it is 0.
    """
    key, bound = input_key(FieldInput(field=pattern.declared)), Fraction(pattern.share)

    def chosen(facts: SingleFacts) -> Sequence[Row]:
        return [
            row
            for row in _settled(facts, pattern.over.moment_before(facts.as_of))
            if row[AMOUNT] > 0 and row[pattern.transaction_field] is not None
        ]

    def words_of(entity: Row) -> set[str]:
        value = entity[key]
        return {value} if isinstance(value, str) else set(value or ()) - {None}

    def number_of(outside: int, whole: int) -> float:
        is_less = outside * 100 * bound.denominator < whole * bound.numerator
        return 0.0 if whole == 0 or is_less else float(outside * 100) / float(whole)

    return chosen, words_of, number_of


def _purpose_deviation(pattern: PurposeDeviation, _units: int) -> PlainPattern:
    chosen, words_of, number_of = with_purpose(pattern)

    def find(facts: SingleFacts, entity: Row) -> PatternResult:
        words = words_of(entity)
        if not words:
            return NOTHING_DECLARED
        rows = chosen(facts)
        others = [row for row in rows if row[pattern.transaction_field] not in words]
        outside, whole = (sum(row[AMOUNT] for row in some) for some in (others, rows))
        number = number_of(outside, whole)
        return PatternResult(number, others[-1][TIME]) if others and number else NOT_FOUND

    return find


def active_rows(pattern: DormantThenActive) -> tuple[Chosen, Callable[[int, int, int], float]]:
    """Make the functions for the facts of the active window, and for the number by count, first fact, last before."""

    def number_of(count: int, first: int, before: int) -> float:
        has_slept = count >= pattern.at_least and before <= pattern.dormant.moment_before(first)
        return float(count) if has_slept else 0.0

    return lambda facts: _settled(facts, pattern.active.moment_before(facts.as_of)), number_of


def _dormancy(pattern: DormantThenActive, _units: int) -> PlainPattern:
    chosen, number_of = active_rows(pattern)

    def find(facts: SingleFacts, _: Row) -> PatternResult:
        rows, active = _settled(facts, None), chosen(facts)
        before = len(rows) - len(active)
        if not active or before == 0:
            return NOT_FOUND
        number = number_of(len(active), active[0][TIME], rows[before - 1][TIME])
        return PatternResult(number, active[-1][TIME]) if number else NOT_FOUND

    return find


def fanned(pattern: Fan) -> Chosen:
    """Make the function that selects the transactions that the pattern reads."""
    way = DEPOSIT if pattern.pattern == "fan-in" else WITHDRAWAL
    return lambda facts: [
        row for row in _settled(facts, pattern.over.moment_before(facts.as_of)) if row[DIRECTION] == way
    ]


def fan_number(pattern: Fan, different: int, lacking: int) -> float | None:
    """Compute the number from distinct counterparties and transactions with unknown ones; None if unknown."""
    if different >= pattern.at_least:
        return float(different)
    return None if different + lacking >= pattern.at_least else 0.0


def _fan(pattern: Fan, _units: int) -> PlainPattern:
    chosen = fanned(pattern)

    def find(facts: SingleFacts, _: Row) -> PatternResult:
        rows = chosen(facts)
        known_rows = [row for row in rows if row[pattern.counterparty] is not None]
        different, lacking = len({row[pattern.counterparty] for row in known_rows}), len(rows) - len(known_rows)
        number = fan_number(pattern, different, lacking)
        if number is None:
            return PatternResult(None, lacking=lacking)
        return PatternResult(number, known_rows[-1][TIME]) if number else NOT_FOUND

    return find


_FORMS: Mapping[type[LanguageModel], tuple[frozenset[str], Callable[[Any, int], PlainPattern]]] = {
    Structuring: (frozenset({"pattern", "threshold", "margin", "round_to", "at_least", "over"}), _structuring),
    Velocity: (frozenset({"pattern", "more_than", "counterparties", "counterparty", "over"}), _velocity),
    PassThrough: (frozenset({"pattern", "within", "share", "minimum", "at_least", "over"}), _pass_through),
    VolumeDeviation: (frozenset({"pattern", "expected_monthly", "factor", "over"}), _volume_deviation),
    PurposeDeviation: (frozenset({"pattern", "transaction_field", "declared", "share", "over"}), _purpose_deviation),
    DormantThenActive: (frozenset({"pattern", "dormant", "active", "at_least"}), _dormancy),
    Fan: (frozenset({"pattern", "at_least", "counterparty", "over"}), _fan),
}
"""The plain form of each pattern, with its parameters; a pattern with further parameters has none."""
