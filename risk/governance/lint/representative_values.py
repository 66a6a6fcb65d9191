"""Representative values: if none of them makes a condition true, then no value does.

A comparison with 3 distinguishes only values below, at and above 3; a list only its members from everything else. So a
few values of each input decide whether a condition can hold, by its own compiled form.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, combinations, product
from typing import Any

import polars as pl

from fivefold.domain.clock import DAY_US
from fivefold.risk.compiler.checks import is_missing_text
from fivefold.risk.compiler.figures import is_money_in_fractions
from fivefold.risk.compiler.value_types import (
    SCORES,
    SOURCES,
    InputColumn,
    column_of,
    linked_source,
    ordinal,
)
from fivefold.risk.language.expressions import (
    Count,
    DaysSince,
    Distinct,
    FieldInput,
    Largest,
    Least,
    Linked,
    LinkedGroup,
    Mean,
    Median,
    Most,
    New,
    Percentile,
    Share,
    StandardDeviation,
    Sum,
    TagInput,
    ValueInput,
)
from fivefold.risk.language.fields import COUNTRIES, FieldType, OneOf, ValueType
from fivefold.risk.language.operators import Fuzzy
from fivefold.risk.language.policy import LevelInput, TransactionInput

MOST_TEXTS = 4_000
"""Most invented texts that are tried; if more are needed, the result is undecided."""

MOST_LETTERS = 4_000_000
"""Most letters of these texts in all."""

MOST_WORDS_OF_A_LIST = 10
"""Most words of which every subset is tried."""

FRESH = "\N{REFERENCE MARK}"
"""Text that no ruleset contains: it represents all text that the conditions do not name."""

Comparisons = Sequence[tuple[str, Any]]
Members = Mapping[str, Sequence[str]]


@dataclass(frozen=True, kw_only=True)
class ComparedInput:
    """The subject of a test.

    Attributes:
        rule_input: the input.
        column: the column that conditions read.
        declared: the declared type of a field.
        ends: the least and the greatest result of a calculation; None for no bound.
        source: the linked facts whose field it is; None if it is of the entity.
    """

    rule_input: Any
    column: InputColumn
    declared: FieldType | None
    ends: tuple[float | None, float | None] = (None, None)
    source: str | None = None

    def can_be(self, text: str) -> bool:
        """Check whether its value, or a word of it, can be a text."""
        return not is_missing_text(text, self.rule_input, self.declared, self.source)


@dataclass(frozen=True)
class Domain:
    """Values that represent all that an input can have; None is unknown.

    Attributes:
        values: the values, in the form of the column.
        exact: whether they are enough; otherwise a condition that holds for none may hold for others.
    """

    values: pl.Series
    exact: bool


def domain_of(subject: ComparedInput, comparisons: Comparisons, members: Members, *, all_lists: bool) -> Domain:
    """Find values that represent all others under some comparisons.

    Args:
        subject: the subject of the comparisons.
        comparisons: the operators, and what they compare with.
        members: the members of the named lists.
        all_lists: whether these are the lists' true members; otherwise comparisons with lists are undecided.
    """
    kind = subject.column.kind
    exact = all_lists or not any(_list_of(operator, value) for operator, value in comparisons)
    if kind is ValueType.TEXT:
        texts, decided = _texts(subject.declared, comparisons, members)
        values = list(filter(subject.can_be, texts))
    elif kind is ValueType.TEXTS:
        values, decided = _lists_of_texts(subject, comparisons, members)
    elif kind in {ValueType.FLAG, ValueType.MARK}:
        values, decided = [True, False], True
    elif kind is ValueType.LEVEL:
        values, decided = list(range(1, len(subject.column.levels) + 1)), True
    else:
        values, decided = _numbers(subject, comparisons), True
    unknown = [None] if can_be_unknown(subject.rule_input) else []
    return Domain(pl.Series([*values, *unknown], dtype=_dtype(subject), strict=False), exact and decided)


def _dtype(subject: ComparedInput) -> Any:
    kind = subject.column.kind
    if kind in {ValueType.FLAG, ValueType.MARK}:
        return pl.Boolean
    if kind in {ValueType.TEXT, ValueType.TEXTS}:
        return pl.String if kind is ValueType.TEXT else pl.List(pl.String)
    return pl.Int64 if kind in {ValueType.MOMENT, ValueType.LEVEL} or _is_whole_money(subject) else pl.Float64


def _is_whole_money(subject: ComparedInput) -> bool:
    return subject.column.kind is ValueType.MONEY and not is_money_in_fractions(subject.rule_input)


def can_be_unknown(rule_input: Any) -> bool:
    """Check whether an input may be unknown."""
    if isinstance(rule_input, Count | Sum | Distinct | New | Largest | TagInput):
        return isinstance(rule_input, Count) and rule_input.count == "screenings"
    if hasattr(rule_input, "pattern"):
        return any(hasattr(rule_input, word) for word in ("declared", "expected_monthly", "counterparty"))
    return True


def _list_of(operator: str, value: Any) -> str | None:
    if operator in {"in_list", "not_in_list"}:
        return str(value)
    return value.list if isinstance(value, Fuzzy) else None


def letters_compared(values: pl.Series, comparisons: Comparisons, members: Members) -> float:
    """Return the average cost of one value's comparisons: 1 for each number, 1 for each letter of a text."""
    if values.dtype in {pl.String, pl.List(pl.String)}:
        texts = values if values.dtype == pl.String else values.explode(empty_as_null=True)
        letters = max(1.0, float(texts.str.len_bytes().sum()) / max(1, len(values)))
    else:
        letters = 1.0
    return letters * sum(_pieces(operator, value, members) for operator, value in comparisons)


def _pieces(operator: str, value: Any, members: Members) -> float:
    """Return the cost for each letter; a likeness compares with several letters of the other text at once."""
    if isinstance(value, Fuzzy):
        targets = members[value.list] if value.list is not None else (value.to or "",)
        return 1 + sum(map(len, targets)) / 4
    return float(len(value)) if operator == "contains_any" else 1.0


# Numbers, money and moments: below, at and above every bound.


def _numbers(subject: ComparedInput, comparisons: Comparisons) -> list[float]:
    kind, units = subject.column.kind, subject.column.units
    bounds = [ordinal(kind, one) for _, value in comparisons for one in _several(value) if not isinstance(one, str)]
    if kind is ValueType.MOMENT:
        bounds = [ordinal(kind, one) for operator, value in comparisons if operator != "is" for one in _several(value)]
        return sorted({int(bound) + step for bound in bounds for step in (-1, 0, 1)} | {0, DAY_US})
    around: Callable[[Any], Iterable[float]] = _whole_around if _is_whole(subject) else _around
    tried = {number for bound in bounds for number in around(bound * units)} | {0.0, 1.0}
    low, high = subject.ends
    if (low, high) != (None, None):
        inside = [end for end in subject.ends if end is not None]
        tried |= set(inside)
        return sorted(one for one in tried if (low is None or one >= low) and (high is None or one <= high))
    possible = _possible(subject)
    least = _least_of_pattern(subject.rule_input) if hasattr(subject.rule_input, "pattern") else 1.0
    return sorted(number for number in tried | set(around(least)) if possible(number))


def _several(value: Any) -> Sequence[Any]:
    return value if isinstance(value, tuple) else (value,)


def _whole_around(bound: Any) -> Iterable[float]:
    return (math.floor(bound) - 1, math.floor(bound), math.ceil(bound), math.ceil(bound) + 1)


def _around(bound: Any) -> Iterable[float]:
    at = float(bound)
    return (math.nextafter(at, -math.inf), at, math.nextafter(at, math.inf))


def _is_whole(subject: ComparedInput) -> bool:
    rule_input = subject.rule_input
    is_count = hasattr(rule_input, "pattern") and not (hasattr(rule_input, "factor") or hasattr(rule_input, "declared"))
    is_count |= isinstance(rule_input, Linked) and _counts(rule_input.linked)
    return _is_whole_money(subject) or isinstance(rule_input, Count | Distinct | New) or is_count


def _counts(group: LinkedGroup) -> bool:
    """Check whether a group's value is a whole number."""
    is_counted = isinstance(group.part, Count | Distinct | New)
    return group.count is not None or (is_counted and group.word != "mean")


_OF_SIZES = (Sum, Mean, Least, Most, Median, Percentile, Largest)
"""Aggregates that are at least 0 if all values are."""


def _least_of_pattern(rule_input: Any) -> float:
    """Return the least number of a pattern that is found."""
    if hasattr(rule_input, "more_than"):
        return float(rule_input.more_than + 1)
    return float(
        next(getattr(rule_input, word) for word in ("at_least", "factor", "share") if hasattr(rule_input, word))
    )


def _possible(subject: ComparedInput) -> Callable[[float], bool]:
    """Return a function that checks whether a number is possible for an input."""
    rule_input = subject.rule_input
    if hasattr(rule_input, "pattern"):
        least = _least_of_pattern(rule_input)
        return lambda number: number == 0 or number >= least
    if isinstance(rule_input, ValueInput) and rule_input.value == "score":
        return lambda number: SCORES[0] <= number <= SCORES[1]
    if isinstance(rule_input, Linked):
        counts = _counts(rule_input.linked)
        return lambda number: not counts or number >= 0
    if isinstance(rule_input, Share) and column_of(rule_input) in {None, "amount"}:
        return lambda number: 0 <= number <= 1
    if isinstance(rule_input, Count | Distinct | New | StandardDeviation) or (
        isinstance(rule_input, DaysSince) and linked_source(rule_input) in SOURCES
    ):
        return lambda number: number >= 0
    is_size = isinstance(rule_input, _OF_SIZES) and column_of(rule_input) == "amount"
    is_amount = isinstance(rule_input, FieldInput) and rule_input.field == "amount"
    is_size = is_size or (is_amount and subject.column.kind is ValueType.MONEY)  # a field may have that name too
    is_size = is_size or (isinstance(rule_input, TransactionInput) and rule_input.transaction == "amount")
    is_size = is_size or (isinstance(rule_input, LevelInput) and rule_input.level == "age_days")
    return (lambda number: number >= 0) if is_size else (lambda _: True)


# Text: every word that is named, pieces put together, and a word that is not named.


def _texts(declared: FieldType | None, comparisons: Comparisons, members: Members) -> tuple[list[Any], bool]:
    if isinstance(declared, OneOf):
        return list(declared.one_of), True
    words = _words_compared(comparisons, members)
    if declared == "country":
        return list(dict.fromkeys([*COUNTRIES, *words])), True
    fuzzy = any(operator == "fuzzy" for operator, _ in comparisons)
    pieces = {word: _words(comparisons, word) for word in ("starts_with", "ends_with", "contains", "contains_any")}
    inner = list(dict.fromkeys([*pieces["contains"], *pieces["contains_any"]]))
    starts, ends = [FRESH, *pieces["starts_with"]], [FRESH, *pieces["ends_with"]]
    letters = sum(map(len, inner)) + max(map(len, starts)) + max(map(len, ends))

    def too_many(count: int) -> bool:
        return count > MOST_TEXTS or count * letters > MOST_LETTERS

    sides = len(starts) * len(ends)
    many = too_many(2 ** len(inner) * sides)
    chosen = [*([], *([one] for one in inner))] if many else list(_subsets(inner))
    choices: Iterable[tuple[str, list[str], str]] = product(starts, chosen, ends)
    if many and too_many(len(chosen) * sides):  # each piece by itself
        choices = [(FRESH, one, FRESH) for one in chosen]
        choices += [*((first, [], FRESH) for first in starts), *((FRESH, [], last) for last in ends)]
    joined = [FRESH.join([first, *middle, last]) for first, middle, last in choices]
    return list(dict.fromkeys([*words, *joined])), not (many or fuzzy)


def _words_compared(comparisons: Comparisons, members: Members) -> list[str]:
    words = [*_words(comparisons, "equals"), *_words(comparisons, "not_equals")]
    words += [*_words(comparisons, "in"), *_words(comparisons, "not_in")]
    for operator, value in comparisons:
        name = _list_of(operator, value)
        words += members[name] if name is not None else ()
        words += [value.to] if isinstance(value, Fuzzy) and value.to is not None else ()
    return list(dict.fromkeys(words))


def _words(comparisons: Comparisons, word: str) -> list[str]:
    values = [one for operator, value in comparisons if operator == word for one in _several(value)]
    return list(dict.fromkeys(values))


def _subsets(words: Sequence[str]) -> Iterable[list[str]]:
    return map(list, chain.from_iterable(combinations(words, size) for size in range(len(words) + 1)))


def _lists_of_texts(subject: ComparedInput, comparisons: Comparisons, members: Members) -> tuple[list[Any], bool]:
    """Return lists of the named words; one word is enough of those in the same named lists."""
    direct = list(dict.fromkeys([*_words(comparisons, "contains"), *_words(comparisons, "contains_any")]))
    lists = [frozenset(members[name]) for operator, value in comparisons if (name := _list_of(operator, value))]
    named = frozenset(direct)
    alike: dict[tuple[Any, ...], str] = {}
    for word in filter(subject.can_be, [*direct, *_words_compared(comparisons, members)]):
        alike.setdefault((word if word in named else None, *(word in those for those in lists)), word)
    words = list(alike.values())
    fuzzy = any(operator == "fuzzy" for operator, _ in comparisons)
    many = len(words) > MOST_WORDS_OF_A_LIST
    chosen = [[], *([word] for word in words), words] if many else list(_subsets(words))
    return [*chosen, [FRESH]], not (many or fuzzy)
