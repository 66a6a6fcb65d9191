"""Whether a calculation only rises or only falls while days pass in it: then one moment can be found by halving."""

from collections.abc import Collection, Iterator
from typing import Any

from fivefold.risk.compiler.value_types import Vocabulary
from fivefold.risk.language.calculations import Absolute, Divide, input_of_operand, operands
from fivefold.risk.language.expressions import CalculationInput, input_key


def only_rises_or_falls(calculated: CalculationInput, names: Vocabulary, passing: Collection[str]) -> bool:
    """Tell whether what passes stands in a calculation once, under no size and in no divisor that may go through 0.

    Sums, differences, products, quotients, least and greatest, ranges and roundings of one thing that rises, and of
    others that stand still, only rise or only fall.

    Args:
        calculated: the calculation.
        names: the calculations that it may name.
        passing: the keys of the inputs that are days which pass.
    """
    turns = list(_turns(names.calculations[calculated.calculation], names, passing, may_turn=False))
    return len(turns) < 2 and not any(turns)


def _turns(operation: Any, names: Vocabulary, passing: Collection[str], *, may_turn: bool) -> Iterator[bool]:
    """Give for each place of what passes whether an operation above it may turn it round."""
    for number, (_, operand) in enumerate(operands(operation)):
        rule_input = input_of_operand(operand)
        is_divisor = isinstance(operation, Divide) and number == 1
        below = may_turn or isinstance(operation, Absolute)
        if isinstance(rule_input, CalculationInput):
            within = names.calculations[rule_input.calculation]
            yield from _turns(within, names, passing, may_turn=below or is_divisor)
        elif rule_input is not None:
            if input_key(rule_input) in passing:
                yield below
        else:
            yield from _turns(operand, names, passing, may_turn=below or is_divisor)
