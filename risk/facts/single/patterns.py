"""Patterns of one entity: functions of its facts in order of time, with the results of `risk.facts.patterns`."""

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from math import isfinite
from typing import Any

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

Found = tuple[float | None, int | None]
"""The number of a pattern, 0 where it was not found and None where it is unknown; and its latest moment."""

PlainPattern = Callable[[SingleFacts, Row], Found]
"""Looks for a pattern in an entity's facts and the values of its fields."""

NOT_FOUND: Found = (0.0, None)
_MOST = (1 << 63) - 1


def plain_pattern(pattern: Any, units: int) -> PlainPattern:
    """Make the function of a pattern; *units* are the base currency's minor units to one.

    Raises:
        NoPlainFormError: it has none, so that columns must be asked.
    """
    known = _FORMS.get(type(pattern))
    if known is None or set(type(pattern).model_fields) - known[0]:
        raise NoPlainFormError(type(pattern).__name__)
    return known[1](pattern, units)


def _settled(facts: SingleFacts, begin: int | None) -> Sequence[Row]:
    return facts.inside(begin, (SETTLED,))


def _structuring(pattern: Structuring, units: int) -> PlainPattern:
    threshold = Fraction(pattern.threshold)
    least, below = (
        least_minor(bound, units) for bound in (threshold * (100 - Fraction(pattern.margin)) / 100, threshold)
    )
    step = None if pattern.round_to is None else (Fraction(pattern.round_to) * units).numerator

    def find(facts: SingleFacts, _: Row) -> Found:
        rows = [
            row
            for row in _settled(facts, pattern.over.moment_before(facts.as_of))
            if row[DIRECTION] == DEPOSIT
            and 0 < row[AMOUNT] < below
            and (row[AMOUNT] >= least or (step is not None and row[AMOUNT] % step == 0))
        ]
        if len(rows) < pattern.at_least or sum(row[AMOUNT] for row in rows) < below:
            return NOT_FOUND
        return float(len(rows)), rows[-1][TIME]

    return find


def _velocity(pattern: Velocity, _units: int) -> PlainPattern:
    limits = (DAY_US, pattern.more_than, pattern.counterparties)

    def find(facts: SingleFacts, _: Row) -> Found:
        rows = _settled(facts, pattern.over.moment_before(facts.as_of))
        if len(rows) <= pattern.more_than:
            return NOT_FOUND
        numbers: dict[Any, int] = {}
        who = [
            -1 if name is None else numbers.setdefault(name, len(numbers))
            for name in (row[pattern.counterparty] for row in rows)
        ]
        offsets = np.array([0, len(rows)], np.int64)
        counters, most, latest, begun = (np.zeros(size, np.int64) for size in (max(len(numbers), 1), 1, 1, 1))
        columns = (_read_only([row[TIME] for row in rows]), _read_only(who))
        compile_loops(loops).busiest(offsets, *columns, *limits, counters, most, latest, begun)
        return (float(most[0]), int(latest[0])) if most[0] > 0 else NOT_FOUND

    return find


def _read_only(numbers: Sequence[int]) -> Any:
    return np.array(numbers, np.int64)


def _pass_through(pattern: PassThrough, units: int) -> PlainPattern:
    least = max(least_minor(Fraction(pattern.minimum), units), 1)
    share = Fraction(pattern.share) / 100

    def needed(row: Row) -> int:
        enough = row[AMOUNT] * share.numerator + (share.denominator - 1)
        return int(enough // share.denominator) if row[DIRECTION] == DEPOSIT else 0

    def find(facts: SingleFacts, _entity: Row) -> Found:
        laid = [
            (row[TIME], need == 0, row[AMOUNT], need, pattern.within.moment_after(row[TIME]))
            for row in _settled(facts, pattern.over.moment_before(facts.as_of))
            if (row[DIRECTION] == DEPOSIT and row[AMOUNT] >= least)
            or (row[DIRECTION] == WITHDRAWAL and row[AMOUNT] > 0)
            for need in (needed(row),)
        ]
        if sum(not is_out for _, is_out, *_ in laid) < pattern.at_least:
            return NOT_FOUND
        times, _, amounts, needs, deadlines = zip(*sorted(laid), strict=True)
        passed, latest = np.zeros(len(laid), np.int64), np.zeros(len(laid), np.int64)
        offsets = np.array([0, len(laid)], np.int64)
        arrays = map(_read_only, (times, amounts, needs, deadlines))
        compile_loops(loops).pass_on(offsets, *arrays, passed, latest)
        followed = [
            moment
            for need, part, moment in zip(needs, passed.tolist(), latest.tolist(), strict=True)
            if need > 0 and part >= need
        ]
        return (float(len(followed)), max(followed)) if len(followed) >= pattern.at_least else NOT_FOUND

    return find


def _volume_deviation(pattern: VolumeDeviation, units: int) -> PlainPattern:
    key, months = input_key(FieldInput(field=pattern.expected_monthly)), months_of(pattern.over)
    bound = Fraction(pattern.factor) * months

    def find(facts: SingleFacts, entity: Row) -> Found:
        value = entity[key]
        declared = 0 if value is None or not isfinite(value * units) else round(value * units)
        if not 0 < declared <= _MOST:
            return None, None
        rows = [row for row in _settled(facts, pattern.over.moment_before(facts.as_of)) if row[AMOUNT] > 0]
        turnover = sum(row[AMOUNT] for row in rows)
        if not rows or turnover * bound.denominator < declared * bound.numerator:
            return NOT_FOUND
        number = float(turnover * months.denominator) / float(declared * months.numerator)
        return number, rows[-1][TIME]

    return find


def _purpose_deviation(pattern: PurposeDeviation, _units: int) -> PlainPattern:
    key, bound = input_key(FieldInput(field=pattern.declared)), Fraction(pattern.share)

    def find(facts: SingleFacts, entity: Row) -> Found:
        value = entity[key]
        words = {value} if isinstance(value, str) else set(value or ()) - {None}
        if not words:
            return None, None
        rows = [
            row
            for row in _settled(facts, pattern.over.moment_before(facts.as_of))
            if row[AMOUNT] > 0 and row[pattern.transaction_field] is not None
        ]
        others = [row for row in rows if row[pattern.transaction_field] not in words]
        whole, outside = (sum(row[AMOUNT] for row in some) for some in (rows, others))
        if not others or outside * 100 * bound.denominator < whole * bound.numerator:
            return NOT_FOUND
        return float(outside * 100) / float(whole), others[-1][TIME]

    return find


def _dormancy(pattern: DormantThenActive, _units: int) -> PlainPattern:
    def find(facts: SingleFacts, _: Row) -> Found:
        rows, active = _settled(facts, None), _settled(facts, pattern.active.moment_before(facts.as_of))
        before = len(rows) - len(active)
        if len(active) < pattern.at_least or before == 0:
            return NOT_FOUND
        has_slept = rows[before - 1][TIME] <= pattern.dormant.moment_before(active[0][TIME])
        return (float(len(active)), active[-1][TIME]) if has_slept else NOT_FOUND

    return find


def _fan(pattern: Fan, _units: int) -> PlainPattern:
    way = DEPOSIT if pattern.pattern == "fan-in" else WITHDRAWAL

    def find(facts: SingleFacts, _: Row) -> Found:
        rows = [
            row
            for row in _settled(facts, pattern.over.moment_before(facts.as_of))
            if row[DIRECTION] == way and row[pattern.counterparty] is not None
        ]
        count = len({row[pattern.counterparty] for row in rows})
        return (float(count), rows[-1][TIME]) if count >= pattern.at_least else NOT_FOUND

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
"""Each with its parameters: of one with others than these, nothing is known here."""
