"""Describes rulesets in plain words: inputs, conditions and values.

The words of a ruleset are prepared once, and used for any number of entities.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from decimal import Decimal
from functools import cache
from typing import Any

from fivefold.domain.clock import day_text
from fivefold.features.indicator_matrix import catalogue
from fivefold.risk.compiler.value_types import (
    SOURCES,
    InputColumn,
    Vocabulary,
    column_for,
    column_of,
    currency_of,
    linked_source,
)
from fivefold.risk.engine.explain.formulas import FormulaDescription, RatioDescription, number_shown, ratio_words
from fivefold.risk.engine.explain.groups import group_words, path_words
from fivefold.risk.engine.explain.peers import PeerDescription, peer_words
from fivefold.risk.engine.explain.reasons import currency_words, lacking_words, why_unknown
from fivefold.risk.facts.portfolio import NOT_KNOWN, error_of, lacking_of, path_of
from fivefold.risk.language.base import LanguageModel
from fivefold.risk.language.expressions import (
    All,
    Any_,
    CalculationInput,
    Count,
    DaysSince,
    Distinct,
    FieldInput,
    IndicatorInput,
    Largest,
    Least,
    Linked,
    Mean,
    Median,
    Most,
    New,
    Not,
    Percentile,
    Ratio,
    ScreeningInput,
    Share,
    StandardDeviation,
    Sum,
    TagInput,
    ValueInput,
    Window,
    input_key,
    input_of_test,
    inputs_compared,
    tests_in,
)
from fivefold.risk.language.fields import ValueType
from fivefold.risk.language.operators import Fuzzy, Operators
from fivefold.risk.language.peers import PeerPercentile, TimesPeerMedian, peers_of
from fivefold.risk.language.policy import LevelInput, PolicyRatio, StepInput, TransactionInput
from fivefold.risk.language.quantities import json_number
from fivefold.risk.language.ruleset import Rule

_FUNCTIONS: Mapping[type, str] = {
    Sum: "sum of {0}",
    Mean: "mean of {0}",
    Least: "least {0}",
    Most: "greatest {0}",
    Distinct: "different values of {0}",
    New: "new values of {0}",
    Median: "median of {0}",
    StandardDeviation: "standard deviation of {0}",
    Percentile: "percentile {percentile} of {0}",
    Largest: "sum of the {n} largest of {0}",
    Share: "share of {0}",
}
_MOST_DIGITS = 15
"""Numbers with more digits, before or after the point, are written in powers of ten."""
_MOST_WHOLE = 10**_MOST_DIGITS
_PLACES = [tuple(max(digits - whole, 2) for digits in (6, 9, 12)) for whole in range(_MOST_DIGITS + 1)]
"""The decimals to which a number is rounded, coarse to fine, by the number of digits before the point."""
_PLACES_OF_AGES = (0, 1, 2, 4, 6, 9, 12)  # for ages: in whole days the words stay the same for a day
_ZERO = Decimal(0)

_OPERATORS = {
    "is": "is {}",
    "equals": "is {}",
    "not_equals": "is not {}",
    "above": "is above {}",
    "at_least": "is at least {}",
    "below": "is below {}",
    "at_most": "is at most {}",
    "in": "is one of {}",
    "not_in": "is none of {}",
    "in_list": "is in the list {}",
    "not_in_list": "is not in the list {}",
    "starts_with": "starts with {}",
    "ends_with": "ends with {}",
    "contains": "contains {}",
    "contains_any": "contains one of {}",
}


def input_words(rule_input: Any) -> str:
    """Name an input in plain words.

    >>> input_words(FieldInput(field="country_of_residence"))
    'country of residence'
    """
    if isinstance(rule_input, Window):
        return _aggregate_words(rule_input)
    name = _NAMES.get(type(rule_input))
    return str(rule_input.pattern).replace("-", " ") if name is None else name(rule_input)


def _transaction_words(rule_input: TransactionInput) -> str:
    words = f"{rule_input.transaction.replace('_', ' ')} of the transaction"
    return words if rule_input.in_currency is None else f"{words} in {rule_input.in_currency}"


_LEVELS: Mapping[str, str] = {
    "in_force": "level",
    "rules": "level by the rules",
    "status": "status of the level",
    "source": "source of the level",
    "age_days": "age of the level in days",
}


def _indicator_words(rule_input: IndicatorInput) -> str:
    words = rule_input.indicator.replace("_", " ")
    return f"{words} in days" if rule_input.indicator in _in_days() and "days" not in words else words


@cache
def _in_days() -> frozenset[str]:
    return frozenset(each.name for each in catalogue().indicators if each.unit == "days")


_NAMES: Mapping[type, Callable[[Any], str]] = {
    FieldInput: lambda rule_input: rule_input.field.replace("_", " "),
    CalculationInput: lambda rule_input: rule_input.calculation.replace("_", " "),
    PeerPercentile: lambda rule_input: peer_words(rule_input, input_words),
    TimesPeerMedian: lambda rule_input: peer_words(rule_input, input_words),
    Ratio: lambda rule_input: ratio_words(rule_input, input_words),
    PolicyRatio: lambda rule_input: ratio_words(rule_input, input_words),
    LevelInput: lambda rule_input: _LEVELS[rule_input.level],
    TransactionInput: _transaction_words,
    StepInput: lambda rule_input: f"{rule_input.output.replace('_', ' ')} of {rule_input.step}",
    IndicatorInput: _indicator_words,
    ValueInput: lambda rule_input: f"value {rule_input.value.replace('_', ' ')}",
    TagInput: lambda rule_input: f"tag {rule_input.tag}",
    ScreeningInput: lambda rule_input: f"screening for {rule_input.screening}",
    Linked: lambda rule_input: group_words(rule_input.linked, input_words, condition_words),
}


def _aggregate_words(window: Window) -> str:
    if isinstance(window, Count):
        words = f"{window.count}"
    elif isinstance(window, DaysSince):
        source = linked_source(window)
        words = f"days since {f'the latest of {source}' if source in SOURCES else source.replace('_', ' ')}"
    else:
        parameters = {word: getattr(window, word) for word in ("percentile", "n") if hasattr(window, word)}
        field = column_of(window) or linked_source(window)
        words = _FUNCTIONS[type(window)].format(field.replace("_", " "), **parameters)
    if window.where is not None:
        words += f" where {condition_words(window.where)}"
    if window.in_currency is not None:
        words += f" in {window.in_currency}"
    if window.over is not None:
        words += f" in {window.over}"
    return words if window.ending is None else f"{words} until {window.ending} ago"


def condition_words(condition: Any, own: str = "it") -> str:
    """Write a condition in words; *own* stands for the rule's own input."""
    if isinstance(condition, str):
        return f"{own} is {condition}"
    if isinstance(condition, All):
        return " and ".join(_bracketed(part, own) for part in condition.all)
    if isinstance(condition, Any_):
        return " or ".join(_bracketed(part, own) for part in condition.any)
    if isinstance(condition, Not):
        return f"not ({condition_words(condition.negated, own)})"
    subject = input_of_test(condition)
    name = own if subject is None else input_words(subject)
    return " and ".join(f"{name} {words}" for words in _tests_words(condition))


def _bracketed(condition: Any, own: str) -> str:
    words = condition_words(condition, own)
    return f"({words})" if isinstance(condition, All | Any_) else words


def _tests_words(test: Operators) -> list[str]:
    return [
        f"is like {value.to or f'one of the list {value.list}'} ({value.scorer} of at least {value.at_least})"
        if isinstance(value, Fuzzy)
        else f"is {operator} {_literal_words(value[0])} and {_literal_words(value[1])}"
        if operator in {"between", "outside"}
        else _OPERATORS[operator].format(_literal_words(value))
        for operator, value in test.comparisons()
    ]


def _literal_words(value: Any) -> str:
    if isinstance(value, LanguageModel):
        return input_words(value)
    if isinstance(value, tuple):
        return ", ".join(map(_literal_words, value))
    if isinstance(value, str | bool):
        return str(value).lower() if isinstance(value, bool) else value
    return f"{json_number(value):,}"


def value_words(value: Any, column: InputColumn, currency: str = "", cuts: Sequence[Decimal] = ()) -> str:
    """Write a value for people; `unknown` for None.

    Numbers are rounded (ages to whole days), but never across one of *cuts*, so that comparisons do not look wrong.

    >>> value_words(1250050, InputColumn("x", ValueType.MONEY, 100), "EUR")
    '12,500.50 EUR'
    >>> value_words(0.79999999, InputColumn("x", ValueType.NUMBER), cuts=(Decimal("0.8"),))
    '0.79999999'
    """
    if value is None:
        return "unknown"
    if column.kind is ValueType.MONEY:
        return f"{_money_words(value, column.units, cuts)} {currency}".rstrip()
    if column.kind is ValueType.NUMBER or column.kind is ValueType.FINDING:
        return _number_words(value, cuts, column)
    if column.kind is ValueType.LEVEL:
        return str(column.levels[value - 1])
    return _VALUES[column.kind](value)


def _money_words(value: float, units: int, cuts: Sequence[Decimal]) -> str:
    digits = len(str(units)) - 1
    if isinstance(value, int):  # whole minor units, as all but a mean are: nothing is rounded
        whole, rest = divmod(abs(value), units)
        size = f"{whole:,}.{rest:0{digits}}" if digits else f"{whole:,}"
        return f"-{size}" if value < 0 else size
    exact = Decimal(str(value)) / units or _ZERO  # which has no sign
    return f"{uncrossed(exact, cuts, (digits, digits + 2, digits + 4, digits + 8)):,f}"


def _number_words(value: float, cuts: Sequence[Decimal], column: InputColumn) -> str:
    if value % 1 == 0 and abs(value) < _MOST_WHOLE:
        return f"{int(value):,}"
    exact = Decimal(str(value))
    size = exact.adjusted()
    if not -_MOST_DIGITS <= size < _MOST_DIGITS:
        return str(value)
    places = _PLACES_OF_AGES if column.is_age else _PLACES[max(size + 1, 0)]
    return f"{uncrossed(exact, cuts, places).normalize():,f}"


def uncrossed(exact: Decimal, cuts: Sequence[Decimal], places: Sequence[int]) -> Decimal:
    """Round to the first of *places* that crosses neither a cut nor zero; not at all if each does."""
    for digits in places:
        rounded = round(exact, digits)
        low, high = (exact, rounded) if exact < rounded else (rounded, exact)
        crossed = [cut for cut in (_ZERO, *cuts) if low <= cut <= high]
        if low == high or not crossed:
            return rounded
    return exact


_VALUES: Mapping[ValueType, Callable[[Any], str]] = {
    ValueType.TEXT: str,
    ValueType.TEXTS: lambda words: ", ".join(words) or "none",
    ValueType.FLAG: lambda flag: str(flag).lower(),
    ValueType.MARK: lambda mark: "present" if mark else "absent",
    ValueType.MOMENT: day_text,
}

_ROUNDED = frozenset({ValueType.NUMBER, ValueType.FINDING, ValueType.MONEY, ValueType.MOMENT})
"""The kinds of values that words may round."""


Cuts = Mapping[str, tuple[Decimal, ...]]
"""The numbers that inputs are compared with, by the inputs' keys."""

Pairs = Mapping[str, tuple[str, ...]]
"""The keys of the inputs that inputs are compared with, by the inputs' keys."""


@dataclass(frozen=True, kw_only=True)
class InputDescription:
    """An input, ready to be described.

    Attributes:
        key: the column of its values.
        error: the column of values that could not be read; it exists only if there are some.
        name: the input in plain words.
        column: the column, with the kind of its values.
        currency: the currency of money.
        cuts: the numbers that it is compared with: no value is shown rounded across one.
        formula: the description of a calculation, a ratio or a place among peers; None for other inputs.
        linked_by: the type of a group's links; None for other inputs.
        counterparty: the field that a pattern of counterparties reads; None for other inputs.
        field: the field whose unreadable value a problem is; None for inputs of other facts, whose problems are whole
            sentences.
        why_unknown: words that follow an unknown value; empty if the value or other words explain it.
        others: the inputs that a number is compared with, each with its cuts: no two are shown in a wrong order.
    """

    key: str
    error: str
    name: str
    _: KW_ONLY
    column: InputColumn
    currency: str
    cuts: tuple[Decimal, ...]
    formula: FormulaDescription | PeerDescription | RatioDescription | None = None
    linked_by: str | None = None
    counterparty: str | None = None
    field: str | None = None
    why_unknown: str = ""
    others: tuple[tuple[str, tuple[Decimal, ...]], ...] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        """The columns that the words need."""
        if self.linked_by is not None:
            return (self.key, path_of(self.key))
        others = tuple(key for key, _ in self.others)
        return (self.key, *others) if self.formula is None else (*self.formula.keys, *others)

    @property
    def later_keys(self) -> tuple[str, ...]:
        """Further columns for the words, if they exist: data that older programs stored lack them."""
        if isinstance(self.formula, PeerDescription):
            return self.formula.later_keys
        return (lacking_of(self.key),) if self.counterparty is not None or self.why_unknown else ()

    def words(self, row: Mapping[str, Any]) -> str:
        """Write the input's value, or the raw value if it could not be read; *row* has one entity's columns."""
        problem = row.get(self.error)
        if problem and self.formula is not None:
            return f"{self.name} cannot be calculated"
        if problem:
            is_value = self.field is not None or problem.startswith(NOT_KNOWN)
            return f"{self.name} {'is' if is_value else 'cannot be read:'} {problem}"
        shown = self.value_words(row)
        if self.linked_by is not None:
            return f"{self.name} is {shown}, {path_words(row[path_of(self.key)], self.linked_by)}"
        if self.counterparty is not None:
            return f"{self.name} is {shown}{lacking_words(row.get(lacking_of(self.key)), self.counterparty)}"
        if self.why_unknown and row[self.key] is None:
            why = currency_words(row.get(lacking_of(self.key)), self.currency) or self.why_unknown
            return f"{self.name} is {shown}{why}"
        words = shown if self.formula is None else self.formula.words(row, shown)
        names_itself = isinstance(self.formula, RatioDescription) and words != shown and row[self.key] is not None
        return words if names_itself else f"{self.name} is {words}"

    def value_words(self, row: Mapping[str, Any]) -> str:
        """Write the input's value alone, as finely as its comparisons need; *row* has one entity's columns."""
        value, between = row[self.key], [self._between(row, key, cuts) for key, cuts in self.others]
        if self.formula is not None:
            between.append(self.formula.own_cuts(row))
        return value_words(value, self.column, self.currency, (*self.cuts, *(cut for each in between for cut in each)))

    def _between(self, row: Mapping[str, Any], key: str, cuts: Sequence[Decimal]) -> tuple[Decimal, ...]:
        """Return the middle between the value and another one if the words would show them in a wrong order."""
        value, other = row[self.key], row[key]
        if value is None or other is None:
            return ()
        shown, beside = (
            number_shown(value_words(each, self.column, "", of)) for each, of in ((value, self.cuts), (other, cuts))
        )
        if shown is None or beside is None or _order(shown, beside) == _order(value, other):
            return ()
        return ((Decimal(str(value)) + Decimal(str(other))) / 2,)

    def shown(self, columns: Mapping[str, Sequence[Any]]) -> Sequence[Any]:
        """Return the values of some entities: as words if these add something, or round; otherwise unchanged."""
        more = (self.formula, self.linked_by, self.counterparty)
        if self.others or any(part is not None for part in more):
            keys = [*self.keys, *(key for key in self.later_keys if key in columns)]
            rows = zip(*[columns[key] for key in keys], strict=True)
            return [self.words(dict(zip(keys, row, strict=True))) for row in rows]
        if self.column.kind not in _ROUNDED:
            return columns[self.key]
        exact: Any = () if self.column.kind is ValueType.MOMENT else int
        words = {
            value: value_words(value, self.column, self.currency, self.cuts)
            for value in set(columns[self.key])
            if not (value is None or isinstance(value, exact))
        }
        return [words.get(value, value) for value in columns[self.key]]


def _order(one: Any, other: Any) -> int:
    return int(one > other) - int(one < other)


def describe_inputs(
    inputs: Iterable[LanguageModel],
    names: Vocabulary,
    base: str,
    cuts: Cuts | None = None,
    pairs: Pairs | None = None,
) -> tuple[InputDescription, ...]:
    """Prepare descriptions of inputs, each once.

    Args:
        inputs: the inputs.
        names: the declared names.
        base: the currency of money if an input names none.
        cuts: the numbers that they are compared with, if any.
        pairs: the inputs that they are compared with, if any.
    """
    inputs_by_key = {input_key(each): each for each in inputs}
    columns = {key: column_for(each, names, base) for key, each in inputs_by_key.items()}
    cuts, pairs = cuts or {}, pairs or {}
    return tuple(
        InputDescription(
            key=key,
            error=error_of(key),
            name=input_words(each),
            column=columns[key],
            currency=currency_of(each, names) or base,
            cuts=cuts.get(key, ()),
            formula=formula_of(each, names, base),
            linked_by=each.linked.by if isinstance(each, Linked) else None,
            counterparty=getattr(each, "counterparty", None),
            field=field_of(each),
            why_unknown=why_unknown(each),
            others=tuple(
                (other, cuts.get(other, ()))
                for other in pairs.get(key, ())
                if other in columns and columns[key].kind is ValueType.NUMBER
            ),
        )
        for key, each in inputs_by_key.items()
    )


def field_of(rule_input: LanguageModel) -> str | None:
    """Name the field that an input is, or counts days since; None for other inputs."""
    if isinstance(rule_input, FieldInput):
        return rule_input.field
    return rule_input.days_since if isinstance(rule_input, DaysSince) and rule_input.days_since not in SOURCES else None


def formula_of(
    rule_input: Any, names: Vocabulary, base: str, named: Callable[[Any], str] = input_words
) -> FormulaDescription | PeerDescription | RatioDescription | None:
    """Describe a calculation, a ratio or a place among peers, whose inputs *named* writes; None for other inputs."""
    if peers_of(rule_input) is not None:
        return PeerDescription(rule_input, vocabulary=names, base=base, named=named, valued=value_words)
    if isinstance(rule_input, Ratio):
        return RatioDescription(rule_input, vocabulary=names, base=base, named=named, valued=value_words)
    if not isinstance(rule_input, CalculationInput):
        return None
    return FormulaDescription(rule_input, vocabulary=names, base=base, named=named, valued=value_words)


def numbers_compared(rule: Rule) -> Cuts:
    """Collect the numbers that a rule compares each of its inputs with."""
    return numbers_in([case.when for case in rule.cases], rule.input)


def pairs_compared(rule: Rule) -> Pairs:
    """Collect the pairs of inputs that a rule compares."""
    return pairs_in([case.when for case in rule.cases], rule.input)


def numbers_in(conditions: Iterable[Any], own: LanguageModel | None = None) -> Cuts:
    """Collect the numbers that conditions compare each input with; *own* is the input of comparisons that name none."""
    cuts: dict[str, tuple[Decimal, ...]] = {}
    for test in (test for condition in conditions for test in tests_in(condition)):
        subject = input_of_test(test) or own
        for _, value in test.comparisons():
            numbers = [one for one in (value if isinstance(value, tuple) else (value,)) if isinstance(one, Decimal)]
            if subject is not None and numbers:
                cuts[input_key(subject)] = (*cuts.get(input_key(subject), ()), *numbers)
    return cuts


def pairs_in(conditions: Iterable[Any], own: LanguageModel | None = None) -> Pairs:
    """Collect the pairs of inputs that conditions compare, both ways; *own* is as in `numbers_in`."""
    pairs: dict[str, tuple[str, ...]] = {}
    for test in (test for condition in conditions for test in tests_in(condition)):
        subject = input_of_test(test) or own
        if subject is None:
            continue
        for _, other in inputs_compared(test):
            keys = input_key(subject), input_key(other)
            for one, beside in (keys, reversed(keys)):
                pairs[one] = tuple(dict.fromkeys((*pairs.get(one, ()), beside)))
    return pairs
