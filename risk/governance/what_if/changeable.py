"""The inputs of a ruleset that a person can change, and in which direction; all others stay unchanged."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.compiler.locations import Location, tests_at
from fivefold.risk.compiler.value_types import SOURCES, Vocabulary, inputs_of, inputs_of_group, linked_source
from fivefold.risk.facts.inputs import direct_parts_of, everything_in
from fivefold.risk.language.base import LanguageModel
from fivefold.risk.language.expressions import (
    CalculationInput,
    DaysSince,
    FieldInput,
    Linked,
    input_key,
    input_of_test,
    inputs_compared,
)
from fivefold.risk.language.peers import PeerInput
from fivefold.risk.language.ruleset import Way


@dataclass(frozen=True)
class Changeable:
    """An input that a person can change.

    Attributes:
        rule_input: the input.
        way: the direction; None if rules declare both up and down, so that it stays.
    """

    rule_input: LanguageModel
    way: Way | None


def changeable_inputs(analysed: AnalysedRuleset) -> Mapping[str, Changeable]:
    """Return the inputs that a person can change, by their keys, in the order of the rules that declare it.

    A rule without a declaration does not forbid another rule's declaration. Inputs that depend on another input of the
    ruleset are left out: they cannot be changed one by one.
    """
    linked_keys = linked_inputs(analysed)
    changeable_by_key: dict[str, Changeable] = {}
    for rule in analysed.ruleset.rules:
        if rule.changeable is None or rule.input is None or input_key(rule.input) in linked_keys:
            continue
        key = input_key(rule.input)
        changeable_by_key[key] = Changeable(
            rule.input, _both(changeable_by_key[key].way if key in changeable_by_key else "either", rule.changeable)
        )
    return {key: each for key, each in changeable_by_key.items() if each.way is not None}


def _both(first: Way | None, second: Way) -> Way | None:
    """Return the direction that both allow; None if they allow opposite ones."""
    if first == "either":
        return second
    return first if second in {"either", first} else None


def linked_inputs(analysed: AnalysedRuleset) -> frozenset[str]:
    """Return the keys of inputs that cannot be changed alone, as they depend on other inputs of the ruleset.

    They are: an input from which another one is computed, directly or not, such as a field beside a ratio, or beside a
    calculation of the days since it; an input all of whose parts are also parts of others, such as the days since a
    date that is read as well; a calculation, which its parts determine, and a place among peers; and both inputs of a
    comparison with each other.
    """
    keys = {input_key(each) for place in analysed.conditions for each in compared_with_each_other(place)}
    everything = {input_key(each): _made_of(each, analysed.names) for each in analysed.inputs}
    uses = Counter(part for parts in everything.values() for part in parts)
    for each in analysed.inputs:
        key = input_key(each)
        others = {part for part in everything[key] if uses[part] > 1}
        if _changes(key, everything[key], others) or isinstance(each, CalculationInput | PeerInput):
            keys.add(key)
    return frozenset(keys)


def _changes(key: str, made_of: Mapping[str, bool], others: Collection[str]) -> bool:
    """Check whether a change of an input changes other inputs too, which are computed from *others*."""
    return key in others or {part for part, is_source in made_of.items() if is_source} <= set(others)


def read_by_predicates(analysed: AnalysedRuleset, rulesets: Iterable[AnalysedRuleset]) -> frozenset[str]:
    """Return the keys of a ruleset's inputs whose change may change whether one of some rulesets applies."""
    predicate_parts = {
        part
        for other in rulesets
        for each in inputs_of(other.ruleset.applies_to)
        for part in _made_of(each, other.names)
    }
    made_of = {input_key(each): _made_of(each, analysed.names) for each in analysed.inputs}
    return frozenset(key for key, parts in made_of.items() if _changes(key, parts, predicate_parts))


def compared_with_each_other(place: Location) -> Iterator[LanguageModel]:
    """Yield the inputs that a condition compares with each other."""
    for _, test in tests_at(place):
        others = [other for _, other in inputs_compared(test)]
        subject = input_of_test(test) or place.own
        if others and subject is not None:
            yield from (subject, *others)


def _made_of(rule_input: LanguageModel, names: Vocabulary) -> dict[str, bool]:
    """Return the keys of an input and of all its direct and indirect parts; true for parts that are read directly."""
    everything = everything_in([rule_input], lambda each: _parts(each, names))
    # a pattern also reads transactions
    return {key: hasattr(each, "pattern") or not _parts(each, names) for key, each in everything.items()}


def _parts(each: LanguageModel, names: Vocabulary) -> list[LanguageModel]:
    if isinstance(each, DaysSince) and linked_source(each) not in SOURCES:
        return [FieldInput(field=linked_source(each))]
    if isinstance(each, Linked) and each.linked.itself:  # a change of its own would change the group as well
        return list(inputs_of_group(each.linked))
    return direct_parts_of(each, names)


def opposed_inputs(analysed: AnalysedRuleset) -> frozenset[str]:
    """Return the keys of inputs that one rule declares changeable up and another down."""
    ways: dict[str, set[Way | None]] = {}
    for rule in analysed.ruleset.rules:
        if rule.input is not None:
            ways.setdefault(input_key(rule.input), set()).add(rule.changeable)
    return frozenset(key for key, both in ways.items() if {"up", "down"} <= both)
