"""What a person can change of what a ruleset reads, and which way; everything else stays as it is."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.compiler.locations import Location, tests_at
from fivefold.risk.compiler.value_types import Vocabulary
from fivefold.risk.facts.inputs import parts_of
from fivefold.risk.language.base import LanguageModel
from fivefold.risk.language.expressions import (
    CalculationInput,
    DaysSince,
    FieldInput,
    input_key,
    input_of_test,
    inputs_compared,
)
from fivefold.risk.language.ruleset import Rule, Way


@dataclass(frozen=True)
class Changeable:
    """An input that a person can change.

    Attributes:
        rule_input: the input.
        way: which way; None where rules say up and down of it, so that it stays.
    """

    rule_input: LanguageModel
    way: Way | None


def changeable_inputs(analysed: AnalysedRuleset) -> Mapping[str, Changeable]:
    """Give what a person can change, by the keys of the inputs, in the order of the rules that say so.

    Rules that say nothing of an input do not forbid what another one says of it. What depends on another input of the
    ruleset is left out: they cannot be changed one by one.
    """
    held = linked_inputs(analysed)
    found: dict[str, Changeable] = {}
    for rule in analysed.ruleset.rules:
        if rule.changeable is None or rule.input is None or input_key(rule.input) in held:
            continue
        key = input_key(rule.input)
        found[key] = Changeable(rule.input, _both(found[key].way if key in found else "either", rule.changeable))
    return {key: each for key, each in found.items() if each.way is not None}


def _both(first: Way | None, second: Way) -> Way | None:
    """Give the way that both allow; None where they allow opposite ones."""
    if first == "either":
        return second
    return first if second in {"either", first} else None


def linked_inputs(analysed: AnalysedRuleset) -> frozenset[str]:
    """Give the keys of inputs that cannot be changed alone, as others of the ruleset are computed from them.

    A field from which another input that is read is computed, such as a ratio; and an input all of whose parts are
    read by themselves, such as the days since a date that is read too; a calculation, which its parts decide; and both
    inputs of a comparison with each other.
    """
    read = {input_key(each) for each in analysed.inputs}
    held = {input_key(each) for place in analysed.conditions for each in compared_with_each_other(place)}
    for each in analysed.inputs:
        parts = {input_key(part) for part in _computed_from(each, analysed.names)}
        held |= parts & read
        if parts and parts <= read and not hasattr(each, "pattern"):  # a pattern is of transactions as well
            held.add(input_key(each))
        if isinstance(each, CalculationInput):  # its formula would no longer come to it
            held.add(input_key(each))
    return frozenset(held)


def compared_with_each_other(place: Location) -> Iterator[LanguageModel]:
    """Give the inputs that a condition compares with each other."""
    for _, test in tests_at(place):
        others = [other for _, other in inputs_compared(test)]
        subject = input_of_test(test) or place.own
        if others and subject is not None:
            yield from (subject, *others)


def _computed_from(each: LanguageModel, names: Vocabulary) -> list[LanguageModel]:
    if isinstance(each, DaysSince):
        return [FieldInput(field=each.days_since)]
    return parts_of(each, names)


def is_opposed(rule: Rule, analysed: AnalysedRuleset) -> bool:
    """Tell whether another rule says the opposite of the same input."""
    key = None if rule.input is None else input_key(rule.input)
    ways = {each.changeable for each in analysed.ruleset.rules if each.input and input_key(each.input) == key}
    return {"up", "down"} <= ways
