"""Fields of transactions that may be absent: read by a rule, and unknown there rather than none."""

from collections.abc import Iterator
from typing import Any

from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.compiler.diagnostics import Diagnostic, warning
from fivefold.risk.compiler.value_types import column_of, inputs_of_rule
from fivefold.risk.facts.inputs import part_of
from fivefold.risk.language.expressions import (
    Count,
    Distinct,
    FieldInput,
    Largest,
    New,
    Ratio,
    Sum,
    Window,
    input_of_test,
    inputs_compared,
    tests_in,
)

_ZERO_FOR_NONE = (Count, Sum, Distinct, New, Largest)
"""Facts of which `where` is unknown do not count, so these come to 0 where a field is absent."""


def optional_field_diagnostics(analysed: AnalysedRuleset) -> Iterator[Diagnostic]:
    """Find fields that may be absent and that no rule reads, and rules that take their absence for none."""
    ruleset = analysed.ruleset
    if not ruleset.optional_transaction_fields:
        return
    every_read = {name for each in analysed.simple_inputs for name in _fields_read(each)}
    for number, name in enumerate(ruleset.optional_transaction_fields):
        if name in ruleset.transaction_fields and name not in every_read:
            yield warning(("optional_transaction_fields", number), f"names {name}, which no rule reads")
    optional = set(ruleset.optional_transaction_fields)
    for position, rule in enumerate(ruleset.rules):
        inputs = list(inputs_of_rule(rule))
        zeros = [each for each in inputs if isinstance(each, _ZERO_FOR_NONE) and _fields_read(each) & optional]
        if zeros and not any(_is_unknown_without(each, optional) for each in inputs):
            names = ", ".join(sorted(set().union(*map(_fields_read, zeros)) & optional))
            problem = (
                f"takes transactions of which {names} is unknown for none: where the column is absent the rule "
                "says no, and not that it is unknown. Let a case read a share or a ratio of those that say it"
            )
            yield warning(("rules", position), problem)


def _fields_read(rule_input: Any) -> set[str]:
    """Name the fields of transactions that an aggregate reads."""
    if isinstance(rule_input, Ratio):
        return set().union(*map(_fields_read, rule_input.ratio))
    if not isinstance(rule_input, Window) or part_of(rule_input) != "transactions":
        return set()
    tests = list(tests_in(rule_input.where))
    read = [*map(input_of_test, tests), *(other for test in tests for _, other in inputs_compared(test))]
    own = column_of(rule_input)
    return {each.field for each in read if isinstance(each, FieldInput)} | ({own} if own else set())


def _is_unknown_without(rule_input: Any, optional: set[str]) -> bool:
    """Tell whether an input is unknown where no transaction says an optional field that it reads."""
    if isinstance(rule_input, Ratio):
        return bool(_fields_read(rule_input.ratio[1]) & optional)
    return bool(_fields_read(rule_input) & optional) and not isinstance(rule_input, _ZERO_FOR_NONE)
