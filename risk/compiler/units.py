"""The units of calculations: the unit of each result, and refused combinations, such as money plus days."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from fivefold.risk.compiler.diagnostics import Diagnostic
from fivefold.risk.compiler.value_types import (
    UnknownNameError,
    Vocabulary,
    currency_of,
    value_type_of_input,
    value_type_phrase,
)
from fivefold.risk.language.calculations import (
    Add,
    Clamp,
    Divide,
    GreatestOf,
    LeastOf,
    Measured,
    Subtract,
    input_of_operand,
    inputs_calculated,
    operands,
)
from fivefold.risk.language.documents import Path
from fivefold.risk.language.expressions import (
    CalculationInput,
    Count,
    DaysSince,
    Distinct,
    Linked,
    LinkedGroup,
    Mean,
    Median,
    New,
    Ratio,
    Share,
    StandardDeviation,
)
from fivefold.risk.language.fields import ValueType
from fivefold.risk.language.policy import LevelInput


@dataclass(frozen=True)
class Unit:
    """The unit of a number.

    Attributes:
        money: the power of money in it; 0 for none.
        days: the power of days in it; 0 for none.
        counted: whether it counts things, and has neither money nor days.
        currency: the currency of the money; None for the base.
    """

    money: int = 0
    days: int = 0
    counted: bool = False
    currency: str | None = None

    def __str__(self) -> str:
        if not (self.money or self.days):
            return "a count" if self.counted else "a ratio"
        money = "money" if self.currency is None else f"money in {self.currency}"
        over = [words for words in (_power(money, self.money), _power("days", self.days)) if words]
        under = [words for words in (_power(money, -self.money), _power("days", -self.days)) if words]
        return " × ".join(over or ["1"]) + (f" ÷ {' ÷ '.join(under)}" if under else "")


def _power(words: str, power: int) -> str:
    return " × ".join([words] * max(power, 0))


RATIO, COUNT, DAYS = Unit(), Unit(counted=True), Unit(days=1)


def unit_named(name: str, currency: str | None = None) -> Unit:
    """Return the unit of a name in files."""
    return {"money": Unit(money=1, currency=currency), "count": COUNT, "ratio": RATIO, "days": DAYS}[name]


class UnitError(Exception):
    """A fault of a calculation: units that do not fit, or a wrong range.

    Attributes:
        path: the path to it from the calculation.
        problem: what is wrong, and what would be right.
    """

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(problem)
        self.path = path
        self.problem = problem


def unit_of_input(rule_input: Any, names: Vocabulary) -> Unit:
    """Return the unit of an input that is a number.

    Raises:
        UnknownNameError: it names something unknown, or is not a number.
    """
    kind = value_type_of_input(rule_input, names)
    if kind not in {ValueType.NUMBER, ValueType.MONEY}:
        raise UnknownNameError(f"calculates with {value_type_phrase(kind)}, which is not a number")
    if isinstance(rule_input, CalculationInput):
        calculation = names.calculations[rule_input.calculation]
        return unit_named(calculation.unit, calculation.in_currency)
    if isinstance(rule_input, Linked) and kind is not ValueType.MONEY:
        return _unit_of_group(rule_input.linked, names)
    if kind is ValueType.MONEY:
        return Unit(money=1, currency=currency_of(rule_input, names))
    if isinstance(rule_input, Count | Distinct | New):
        return COUNT
    is_days = isinstance(rule_input, DaysSince) or (isinstance(rule_input, LevelInput) and kind is ValueType.NUMBER)
    return DAYS if is_days else RATIO


def _unit_of_group(group: LinkedGroup, names: Vocabulary) -> Unit:
    """Return the unit of a number over linked entities: the unit of theirs, but a mean of counts is a ratio."""
    if group.part is None:
        return COUNT
    unit = unit_of_input(group.part, names)
    return RATIO if group.word == "mean" and unit == COUNT else unit


def unit_of(operand: Any, names: Vocabulary, path: Path = ()) -> Unit | None:
    """Return the unit of an operand or a calculation's operation; None for a constant, which fits any unit.

    Raises:
        UnitError: parts that do not fit each other.
        UnknownNameError: an input names something unknown, or is not a number.
    """
    rule_input = input_of_operand(operand)
    if rule_input is not None:
        return _measured(operand, unit_of_input(rule_input, names), path)
    steps = operands(operand)
    if not steps:
        return None
    units = [((*path, *step), unit_of(part, names, (*path, *step)), _is_plain(part)) for step, part in steps]
    verb = next((verb for form, verb in _VERBS.items() if isinstance(operand, form)), None)
    if verb is not None:
        return _same(units, verb)
    if isinstance(operand, Clamp):
        _refuse_range(operand, path)
    factors = [
        (at, _number_unit(part) if unit is None else unit)
        for (at, unit, _), (_, part) in zip(units, steps, strict=True)
    ]
    return (
        None
        if all(unit is None for _, unit, _ in units)
        else _product(factors, -1 if isinstance(operand, Divide) else 1)
    )


def _refuse_range(operand: Clamp, path: Path) -> None:
    if operand.least is None and operand.most is None:
        raise UnitError(path, "has no range: give from, to or both")
    if operand.least is not None and operand.most is not None and operand.least > operand.most:
        raise UnitError((*path, "from"), f"is {operand.least}, above the {operand.most} of to")


_VERBS: Mapping[type, str] = {
    Add: "adds",
    Subtract: "subtracts",
    LeastOf: "takes the least of",
    GreatestOf: "takes the greatest of",
}


def _measured(operand: Any, unit: Unit, path: Path) -> Unit:
    """Return the unit that `as` gives a plain number."""
    named = getattr(operand, "unit", None)
    if named is None:
        return unit
    if unit != RATIO:
        raise UnitError((*path, "as"), f"is declared as {_named(named)}, but it is {unit} by itself; leave out `as`")
    return unit_named(named)


def _named(name: str) -> str:
    return str(unit_named(name))


Units = Sequence[tuple[Path, Unit | None, bool]]
"""Each operand's path, its unit, and whether it is an input to which `as` may give another unit."""


def _is_plain(operand: Any) -> bool:
    return isinstance(operand, Measured) and operand.unit is None


_SAY = "; a plain number says what it is with as: {field: ..., as: money}"


def _same(units: Units, verb: str) -> Unit | None:
    certain = [each for each in units if each[1] is not None]
    for path, unit, is_plain in certain[1:]:
        _, first, first_is_plain = certain[0]
        if unit != first:
            hint = _SAY if (is_plain and unit == RATIO) or (first_is_plain and first == RATIO) else ""
            raise UnitError(path, f"{verb} {first} and {unit}, which have different units{hint}")
    return certain[0][1] if certain else None


def _number_unit(number: Any) -> Unit:
    """Return the unit of a constant in a product: a whole one is a count, so that twice a count is a count."""
    return COUNT if isinstance(number, Decimal) and number == number.to_integral_value() else RATIO


def _product(factors: Sequence[tuple[Path, Unit]], power: int) -> Unit:
    """Multiply units, or divide the first by the second."""
    result = factors[0][1]
    for path, unit in factors[1:]:
        result = _times(result, unit, power, path)
    return result


def _times(first: Unit, second: Unit, power: int, path: Path) -> Unit:
    if first.money and second.money and first.currency != second.currency:
        raise UnitError(path, f"combines {first} and {second}, which have different currencies")
    money, days = first.money + power * second.money, first.days + power * second.days
    counted = power > 0 and first.counted and second.counted  # half a count, or a count of each, is not a count
    currency = (first.currency or second.currency) if money else None
    return Unit(money, days, counted and not (money or days), currency)


def unit_diagnostics(calculations: Mapping[str, Any], names: Vocabulary) -> Iterator[Diagnostic]:
    """Find calculations whose parts do not fit each other, or whose unit is not the declared one, and cycles."""
    for name, calculation in calculations.items():
        path: Path = ("calculate", name)
        try:
            yield from _result(path, calculation, unit_of(calculation, names), names)
        except UnitError as wrong:
            yield Diagnostic((*path, *wrong.path), wrong.problem)
        except UnknownNameError as wrong:
            yield from _no_number(path, calculation, names, str(wrong))
        if calculation.in_currency is not None and calculation.unit != "money":
            yield Diagnostic((*path, "in_currency"), f"has no meaning: {calculation.unit} has no currency")
    for cycle in _cycles(calculations):
        yield Diagnostic(("calculate", cycle[0]), f"depends on itself: {' → '.join((*cycle, cycle[0]))}")


def _no_number(path: Path, calculation: Any, names: Vocabulary, problem: str) -> Iterator[Diagnostic]:
    """Find the inputs that are not numbers; `type_diagnostics` finds those that name something unknown."""
    for at, rule_input in inputs_calculated(calculation, path):
        try:
            value_type_of_input(rule_input, names)
            unit_of_input(rule_input, names)
        except UnknownNameError as wrong:
            if str(wrong) == problem and problem.startswith("calculates with"):
                yield Diagnostic(at, problem)


def _result(path: Path, calculation: Any, unit: Unit | None, names: Vocabulary) -> Iterator[Diagnostic]:
    if not any(True for _ in inputs_calculated(calculation)):
        yield Diagnostic(
            path, "reads no input: it is the same number for every customer; write the number where it is compared"
        )
        return
    declared = unit_named(calculation.unit, calculation.in_currency if calculation.unit == "money" else None)
    if unit is not None and unit != declared:
        hint = _hint(unit, declared, has_plain=_has_plain(calculation, names))
        yield Diagnostic((*path, "unit"), f"says {declared}, but it comes to {unit}{hint}")


def _has_plain(operand: Any, names: Vocabulary) -> bool:
    if input_of_operand(operand) is not None:
        return _is_plain(operand) and unit_of_input(input_of_operand(operand), names) == RATIO
    return any(_has_plain(part, names) for _, part in operands(operand))


def _hint(unit: Unit, declared: Unit, *, has_plain: bool) -> str:
    if unit.money == 1 and declared.money and not unit.days and unit.currency:
        return f"; write in_currency: {unit.currency}"
    if has_plain:
        return _SAY
    is_named = replace(unit, currency=None) in (Unit(money=1), DAYS, COUNT, RATIO)
    return "" if is_named else "; a calculation comes to money, count, ratio or days"


_FRACTIONS = (Ratio, Mean, Median, StandardDeviation, Share, CalculationInput)
_WHOLE_KINDS = frozenset({ValueType.TEXT, ValueType.FLAG, ValueType.MOMENT, ValueType.LEVEL})
_CALCULATE = "; subtract one from the other under calculate, which is exact, and compare that with 0"


def comparison_problem(
    subject: Any, other: Any, kinds: tuple[ValueType, ValueType], names: Vocabulary, *, linked: bool
) -> str | None:
    """Explain why an input cannot be compared with another one; None if it can.

    Args:
        subject: the input.
        other: what it is compared with.
        kinds: the kinds of both.
        names: what is declared.
        linked: both are fields of one fact, whose amounts are in one currency.
    """
    kind, other_kind = kinds
    if kind not in {*_WHOLE_KINDS, ValueType.NUMBER, ValueType.MONEY}:
        return f"cannot compare {value_type_phrase(kind)} with another input; write a value"
    if {kind, other_kind} == {ValueType.NUMBER, ValueType.MONEY} and not linked:
        return f"compares {value_type_phrase(kind)} with {value_type_phrase(other_kind)}{_CALCULATE}"
    if kind is not other_kind:
        return f"compares {value_type_phrase(kind)} with {value_type_phrase(other_kind)}; both must be of one kind"
    if kind in _WHOLE_KINDS or linked:
        return None
    if any(isinstance(each, _FRACTIONS) or _is_mean_of_group(each) for each in (subject, other)):
        return f"compares a rounded number that may be a fraction{_CALCULATE}"
    units = unit_of_input(subject, names), unit_of_input(other, names)
    return None if units[0] == units[1] or RATIO in units else f"compares {units[0]} with {units[1]}"


def _is_mean_of_group(rule_input: Any) -> bool:
    return isinstance(rule_input, Linked) and rule_input.linked.word == "mean"


def _cycles(calculations: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Yield each cycle of calculations once, beginning with the one reached first."""
    below = {
        name: list(
            dict.fromkeys(
                each.calculation
                for _, each in inputs_calculated(calculation)
                if isinstance(each, CalculationInput) and each.calculation in calculations
            )
        )
        for name, calculation in calculations.items()
    }
    cycles: set[frozenset[str]] = set()
    done: set[str] = set()
    for begin in calculations:
        trail: list[str] = []
        stack = [iter([begin])]
        while stack:
            name = next(stack[-1], None)
            if name is None:
                stack.pop()
                done.update(trail[-1:])
                trail[-1:] = []
            elif name in trail:
                cycle = tuple(trail[trail.index(name) :])
                if frozenset(cycle) not in cycles:
                    cycles.add(frozenset(cycle))
                    yield cycle
            elif name not in done:
                trail.append(name)
                stack.append(iter(below[name]))
