"""A ruleset or a policy, and what follows from it alone: each is read and analysed once."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import chain
from typing import Any, Generic, TypeVar

from fivefold.domain.errors import Finding, InvalidRulesetError
from fivefold.risk.compiler.checks import (
    missing_text_diagnostics,
    policy_structure_diagnostics,
    structure_diagnostics,
    type_diagnostics,
    weight_diagnostics,
)
from fivefold.risk.compiler.diagnostics import Diagnostic, findings
from fivefold.risk.compiler.formulas import simple_parts
from fivefold.risk.compiler.locations import (
    Location,
    conditions_of,
    conditions_of_policy,
    inputs_at,
    inputs_named,
    inputs_of_calculations,
    tests_at,
    wheres_in,
)
from fivefold.risk.compiler.purposes import Sources, purpose_diagnostics
from fivefold.risk.compiler.units import unit_diagnostics
from fivefold.risk.compiler.value_types import Vocabulary, inputs_of, inputs_of_rule, vocabulary
from fivefold.risk.language.base import LanguageModel
from fivefold.risk.language.documents import Path
from fivefold.risk.language.expressions import distinct, tests_in
from fivefold.risk.language.fields import Definition
from fivefold.risk.language.operators import MOST_FUZZY_LETTERS, Fuzzy
from fivefold.risk.language.peers import peers_of
from fivefold.risk.language.policy import Policy
from fivefold.risk.language.reading import read_stored, read_text
from fivefold.risk.language.ruleset import Rule, Ruleset

VERSIONS_KEPT = 64
"""The number of cached analysed stored versions; as many compiled programs and explainers are cached."""

AnyDefinition = TypeVar("AnyDefinition", bound=Definition)


@dataclass(frozen=True, eq=False)
class Analysed(ABC, Generic[AnyDefinition]):
    """A ruleset, a policy or a flow, and what follows from it alone; each part is computed once, when needed.

    Two analyses are equal if their definitions have the same content.
    """

    definition: AnyDefinition

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Analysed) and self.definition.content_hash == other.definition.content_hash

    def __hash__(self) -> int:
        return hash(self.definition.content_hash)

    @cached_property
    def names(self) -> Vocabulary:
        """The fields and levels that conditions may name."""
        return vocabulary(self.definition)

    @cached_property
    @abstractmethod
    def conditions(self) -> tuple[Location, ...]:
        """The conditions about the entity, each with its path."""

    @cached_property
    @abstractmethod
    def inputs(self) -> tuple[LanguageModel, ...]:
        """Every input that the definition reads, each once."""

    @cached_property
    def simple_inputs(self) -> tuple[LanguageModel, ...]:
        """The inputs, with ratios, calculations and peer inputs replaced by their parts."""
        return tuple(distinct(part for each in self.inputs for part in simple_parts(each, self.names)))

    @cached_property
    def signals(self) -> tuple[LanguageModel, ...]:
        """The inputs whose latest moments decay counts from, each once; a policy has none."""
        return ()

    @cached_property
    def lists(self) -> tuple[str, ...]:
        """The named lists that the definition needs, in alphabetical order."""
        conditions: list[Any] = [place.condition for place in self.conditions]
        conditions += [place.condition for place in self.wheres]
        return tuple(sorted({name for condition in conditions for name in lists_in(condition)} | self.references))

    @cached_property
    def peer_inputs(self) -> tuple[LanguageModel, ...]:
        """Every input that is read from the reference portfolio, each once."""
        return tuple(each for each in self.inputs if peers_of(each) is not None)

    @property
    def references(self) -> frozenset[str]:
        """The name of the reference portfolio, a list like others, if anything is read from it."""
        name = self.definition.reference
        return frozenset() if name is None or not self.peer_inputs else frozenset({name})

    @cached_property
    @abstractmethod
    def inputs_with_paths(self) -> tuple[tuple[Path, LanguageModel], ...]:
        """Every occurrence of an input, with its path."""

    @cached_property
    def wheres(self) -> tuple[Location, ...]:
        """The conditions about linked facts, each with its path."""
        return tuple(place for path, each in self.inputs_with_paths for place in wheres_in(path, each))

    @cached_property
    @abstractmethod
    def structural_diagnostics(self) -> tuple[Diagnostic, ...]:
        """The faults of the definition's parts and of the names in them."""

    @cached_property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """Every fault that keeps the definition from being compiled and run; empty if there are none."""
        return (*self.structural_diagnostics, *type_diagnostics(self.inputs_with_paths, self.conditions, self.names))

    @cached_property
    def draft_diagnostics(self) -> tuple[Diagnostic, ...]:
        """Every fault for which a draft is refused: also those that stored versions may keep."""
        missing_texts = missing_text_diagnostics(self.inputs_with_paths, self.conditions, self.names)
        return (*self.diagnostics, *missing_texts, *_long_names((*self.conditions, *self.wheres)))

    @cached_property
    def errors(self) -> tuple[Finding, ...]:
        """The faults that make the definition unusable, also by its purposes, as findings without lines."""
        return tuple(findings((*self.diagnostics, *self.purpose_diagnostics(Sources())), self.definition))

    @abstractmethod
    def purpose_diagnostics(self, sources: Sources) -> Iterable[Diagnostic]:
        """Find commercial uses of data that were gathered against money laundering."""

    def require_usable(self) -> None:
        """Raise InvalidRulesetError, which names all errors, if there are any."""
        if self.errors:
            raise InvalidRulesetError(list(self.errors), f"{self.definition.word} {self.definition.name}")


class AnalysedRuleset(Analysed[Ruleset]):
    """A ruleset, and what follows from it."""

    @property
    def ruleset(self) -> Ruleset:
        """The ruleset itself."""
        return self.definition

    @cached_property
    def conditions(self) -> tuple[Location, ...]:
        """The predicate, the choices of weights, and the cases, each with its path."""
        return tuple(conditions_of(self.ruleset))

    @cached_property
    def inputs(self) -> tuple[LanguageModel, ...]:
        """Every input that the ruleset reads, each once."""
        inputs = [each for rule in self.ruleset.rules for each in inputs_of_rule(rule)]
        return tuple(distinct([*inputs, *(each for place in self.conditions for each in inputs_of(place.condition))]))

    def purpose_diagnostics(self, sources: Sources) -> Iterable[Diagnostic]:
        """Find reads that the ruleset's purpose forbids."""
        return purpose_diagnostics(self.ruleset, sources)

    @cached_property
    def signals(self) -> tuple[LanguageModel, ...]:
        """The inputs whose latest moments decay counts from, each once."""
        return tuple(distinct(signal_of_rule(rule) for rule in self.ruleset.rules if rule.decay is not None))

    @cached_property
    def inputs_with_paths(self) -> tuple[tuple[Path, LanguageModel], ...]:
        """Every occurrence of an input, with its path."""
        return (*inputs_of_calculations(self.ruleset), *inputs_at(self.ruleset, self.conditions))

    @cached_property
    def structural_diagnostics(self) -> tuple[Diagnostic, ...]:
        """The faults of names, levels, cuts, decay and weights."""
        units = unit_diagnostics(self.ruleset.calculate, self.names)
        return (*structure_diagnostics(self.ruleset, self.names), *weight_diagnostics(self.ruleset), *units)


def _long_names(places: Iterable[Location]) -> Iterator[Diagnostic]:
    """Find texts that are too long to be compared fuzzily; stored versions of earlier releases may keep theirs."""
    for path, test in chain.from_iterable(map(tests_at, places)):
        letters = 0 if test.fuzzy is None or test.fuzzy.to is None else len(test.fuzzy.to)
        if letters > MOST_FUZZY_LETTERS:
            most = f"a text that is compared fuzzily has at most {MOST_FUZZY_LETTERS}"
            yield Diagnostic((*path, "fuzzy", "to"), f"has {letters:,} letters; {most}")


class AnalysedPolicy(Analysed[Policy]):
    """A policy, and what follows from it."""

    @property
    def policy(self) -> Policy:
        """The policy itself."""
        return self.definition

    def purpose_diagnostics(self, sources: Sources) -> Iterable[Diagnostic]:
        """Find reads that the purpose of one of the policy's actions forbids."""
        return purpose_diagnostics(self.policy, sources)

    @cached_property
    def conditions(self) -> tuple[Location, ...]:
        """Each rule's `when` and `unless`, with its path."""
        return tuple(conditions_of_policy(self.policy))

    @cached_property
    def inputs(self) -> tuple[LanguageModel, ...]:
        """Every input that the policy reads, each once."""
        return tuple(distinct(each for place in self.conditions for each in inputs_of(place.condition)))

    @cached_property
    def inputs_with_paths(self) -> tuple[tuple[Path, LanguageModel], ...]:
        """Every occurrence of an input, with its path."""
        named = (at for place in self.conditions for at in inputs_named(place))
        return (*inputs_of_calculations(self.policy), *named)

    @cached_property
    def structural_diagnostics(self) -> tuple[Diagnostic, ...]:
        """The faults of names, levels, actions and units."""
        units = unit_diagnostics(self.policy.calculate, self.names)
        return (*policy_structure_diagnostics(self.policy), *units)


def analyse_text(text: str, source: str = "the ruleset") -> AnalysedRuleset:
    """Read a ruleset that people wrote; raises InvalidRulesetError, which lists every misfit with its line."""
    return AnalysedRuleset(read_text(Ruleset, text, source))


@lru_cache(maxsize=VERSIONS_KEPT)
def analyse_canonical(canonical: str) -> AnalysedRuleset:
    """Read a stored ruleset from its canonical form, cached by content; raises InvalidRulesetError as above."""
    return AnalysedRuleset(read_stored(Ruleset, canonical))


@lru_cache(maxsize=VERSIONS_KEPT)
def analyse_canonical_policy(canonical: str) -> AnalysedPolicy:
    """Read a stored policy from its canonical form, cached by content; raises InvalidRulesetError as above."""
    return AnalysedPolicy(read_stored(Policy, canonical))


def signal_of_rule(rule: Rule) -> LanguageModel:
    """Return the input whose latest moment a rule's decay counts from."""
    assert rule.decay is not None
    signal = rule.decay.signal or rule.input
    assert isinstance(signal, LanguageModel)  # a decaying rule without a signal is refused before
    return signal


def lists_in(condition: Any) -> Iterator[str]:
    """Yield the named lists that a condition reads."""
    for test in tests_in(condition):
        for operator, value in test.comparisons():
            if operator in {"in_list", "not_in_list"}:
                yield value
            elif isinstance(value, Fuzzy) and value.list is not None:
                yield value.list
