"""Finds the conditions and inputs of a ruleset or a policy, each with its path."""

from collections.abc import Iterable, Iterator
from dataclasses import KW_ONLY, dataclass
from typing import Any

from fivefold.risk.compiler.value_types import SOURCES, linked_source
from fivefold.risk.language.base import LanguageModel
from fivefold.risk.language.calculations import inputs_calculated
from fivefold.risk.language.documents import Path
from fivefold.risk.language.expressions import (
    All,
    Any_,
    Linked,
    LinkedGroup,
    Not,
    OwnTest,
    Ratio,
    Window,
    input_of_test,
    inputs_compared,
    word_of,
)
from fivefold.risk.language.operators import Fuzzy, Operators
from fivefold.risk.language.peers import PEER_WORDS, peers_of
from fivefold.risk.language.policy import POLICY_INPUTS, Policy
from fivefold.risk.language.ruleset import Ruleset, WeightedScore


@dataclass(frozen=True)
class Location:
    """A condition, its place, and the names that it may use.

    Attributes:
        path: the path to it.
        condition: as it was written.
        own: the input of comparisons that name none; None if there is none.
        source: inside a `where`, the linked facts whose fields it tests; None where it is about the entity.
        currency: inside a `where`, the currency that its amounts are in; None for the base.
    """

    path: Path
    condition: Any
    own: LanguageModel | None = None
    _: KW_ONLY
    source: str | None = None
    currency: str | None = None


def conditions_of(ruleset: Ruleset) -> Iterator[Location]:
    """Yield every condition about the entity: the predicate, the choices of weights, and the cases."""
    if ruleset.applies_to is not None:
        yield Location(("applies_to",), ruleset.applies_to)
    if isinstance(ruleset.score, WeightedScore):
        for number, choice in enumerate(ruleset.score.weighted.weights_by):
            if choice.when is not None:
                yield Location(("score", "weighted", "weights_by", number, "when"), choice.when)
    for position, rule in enumerate(ruleset.rules):
        for number, case in enumerate(rule.cases):
            yield Location(("rules", position, "cases", number, "when"), case.when, rule.input)


def conditions_of_policy(policy: Policy) -> Iterator[Location]:
    """Yield every condition of a policy."""
    for position, rule in enumerate(policy.rules):
        yield Location(("rules", position, "when"), rule.when)
        if rule.unless is not None:
            yield Location(("rules", position, "unless"), rule.unless)


def inputs_at(ruleset: Ruleset, conditions: Iterable[Location]) -> Iterator[tuple[Path, LanguageModel]]:
    """Yield every input of rules, of decay, and of the tests in *conditions*."""
    for position, rule in enumerate(ruleset.rules):
        if rule.input is not None:
            yield ("rules", position, "input"), rule.input
        if rule.decay is not None and rule.decay.signal is not None:
            yield ("rules", position, "decay", "signal"), rule.decay.signal
    for place in conditions:
        yield from inputs_named(place)


def inputs_of_calculations(definition: Any) -> Iterator[tuple[Path, LanguageModel]]:
    """Yield every input that calculations of a ruleset, a policy or a group are made of, used or not."""
    for name, calculation in definition.calculate.items():
        yield from inputs_calculated(calculation, ("calculate", name))


def inputs_named(place: Location) -> Iterator[tuple[Path, LanguageModel]]:
    """Yield every input that the tests of a condition name."""
    for path, test in tests_at(place):
        subject = input_of_test(test)
        if subject is not None:
            yield path, subject
        for operator, other in inputs_compared(test):
            yield (*path, operator), other


def lists_named(place: Location) -> Iterator[tuple[Path, str]]:
    """Yield every named list that the tests of a condition read."""
    for path, test in tests_at(place):
        for operator, value in test.comparisons():
            if operator in {"in_list", "not_in_list"}:
                yield (*path, operator), value
            elif isinstance(value, Fuzzy) and value.list is not None:
                yield (*path, operator, "list"), value.list


def wheres_in(path: Path, rule_input: Any) -> Iterator[Location]:
    """Yield the `where` of an input and of its parts, and the conditions on linked entities."""
    if isinstance(rule_input, Linked):
        yield from _conditions_on_linked((*path, "linked"), rule_input.linked)
    elif isinstance(rule_input, Ratio):
        for number, side in enumerate(rule_input.ratio):
            yield from wheres_in((*path, "ratio", number), side)
    elif (peers := peers_of(rule_input)) is not None:
        yield from wheres_in((*path, str(word_of(rule_input, PEER_WORDS)), "of"), peers.of)
    elif isinstance(rule_input, Window) and rule_input.where is not None and linked_source(rule_input) in SOURCES:
        yield Location(
            (*path, "where"), rule_input.where, None, source=linked_source(rule_input), currency=rule_input.in_currency
        )


def _conditions_on_linked(path: Path, group: LinkedGroup) -> Iterator[Location]:
    """Yield the conditions on linked entities, and those on their facts."""
    for at, each in inputs_with_paths_of_group(path, group):
        yield from wheres_in(at, each)
    for word, condition in (("where", group.where), ("any", group.any)):
        if condition is not None:
            yield Location((*path, word), condition)


def inputs_with_paths_of_group(path: Path, group: LinkedGroup) -> Iterator[tuple[Path, LanguageModel]]:
    """Yield every input that is read of linked entities, with its path; *path* leads to the group."""
    if group.part is not None:
        yield (*path, group.word), group.part
    for word, condition in (("where", group.where), ("any", group.any)):
        if condition is not None:
            yield from inputs_named(Location((*path, word), condition))


def with_linked_inputs(inputs: Iterable[tuple[Path, LanguageModel]]) -> Iterator[tuple[Path, LanguageModel]]:
    """Yield each input with its path, and after it the inputs of the entities that it links to."""
    for path, rule_input in inputs:
        yield path, rule_input
        if isinstance(rule_input, Linked):
            yield from with_linked_inputs(inputs_with_paths_of_group((*path, "linked"), rule_input.linked))


def places_in(path: Path, rule_input: LanguageModel) -> Iterator[Location]:
    """Yield the conditions in an input, without those in the inputs of the entities that it links to."""
    for place in wheres_in(path, rule_input):
        if place.source is None or not isinstance(rule_input, Linked):
            yield place


def tests_at(place: Location) -> Iterator[tuple[Path, Operators]]:
    """Yield every test of a condition, with its own path."""
    yield from _tests(place.path, place.condition)


def _tests(path: Path, condition: Any) -> Iterator[tuple[Path, Operators]]:
    if isinstance(condition, str):
        yield path, OwnTest.model_validate({"is": condition})
    elif isinstance(condition, Not):
        yield from _tests((*path, "not"), condition.negated)
    elif isinstance(condition, All | Any_):
        word = "all" if isinstance(condition, All) else "any"
        for number, part in enumerate(getattr(condition, word)):
            yield from _tests((*path, word, number), part)
    else:
        yield path, condition


def word_at(path: Path, rule_input: LanguageModel) -> Path:
    """Return the path of the word that names an input, such as `field` in {field: country}."""
    word = word_of(rule_input, POLICY_INPUTS)
    return path if word is None or hasattr(rule_input, "pattern") else (*path, word)
