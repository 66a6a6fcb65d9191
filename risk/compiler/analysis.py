"""A ruleset and what follows from it alone: read once, and looked through once."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from fivefold.domain.errors import Finding, InvalidRulesetError
from fivefold.risk.compiler.checks import structure_diagnostics, type_diagnostics, weight_diagnostics
from fivefold.risk.compiler.diagnostics import Diagnostic, findings
from fivefold.risk.compiler.locations import Location, conditions_of, inputs_at, wheres_in
from fivefold.risk.compiler.policy_checks import inputs_of_policy
from fivefold.risk.compiler.value_types import Vocabulary, inputs_of, inputs_of_rule, vocabulary
from fivefold.risk.language.base import LanguageModel
from fivefold.risk.language.documents import Path
from fivefold.risk.language.expressions import Ratio, Window, distinct, tests_in
from fivefold.risk.language.operators import Fuzzy
from fivefold.risk.language.policy import Policy
from fivefold.risk.language.reading import read_canonical_ruleset, read_ruleset
from fivefold.risk.language.ruleset import Rule, Ruleset, WeightedScore

VERSIONS_KEPT = 64
"""So many stored versions are kept with their analysis, and as many compiled programs."""


@dataclass(frozen=True, eq=False)
class AnalysedRuleset:
    """A ruleset, and what follows from it alone; each part is computed once, when it is first needed.

    Two of them are equal where their rulesets have the same content.
    """

    ruleset: Ruleset

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AnalysedRuleset) and self.ruleset.content_hash == other.ruleset.content_hash

    def __hash__(self) -> int:
        return hash(self.ruleset.content_hash)

    @cached_property
    def names(self) -> Vocabulary:
        """The fields and levels that conditions may name."""
        return vocabulary(self.ruleset)

    @cached_property
    def inputs(self) -> tuple[LanguageModel, ...]:
        """Every input that the ruleset reads, each once."""
        inputs = [each for rule in self.ruleset.rules for each in inputs_of_rule(rule)]
        for condition in self._entity_conditions:
            inputs += inputs_of(condition)
        return tuple(distinct(inputs))

    @cached_property
    def simple_inputs(self) -> tuple[LanguageModel, ...]:
        """The same, with both sides of a ratio in its place."""
        return _without_ratios(self.inputs)

    @cached_property
    def signals(self) -> tuple[LanguageModel, ...]:
        """The inputs whose latest moments decay counts from, each once."""
        return tuple(distinct(signal_of_rule(rule) for rule in self.ruleset.rules if rule.decay is not None))

    @cached_property
    def lists(self) -> tuple[str, ...]:
        """The named lists that the ruleset needs, in alphabetical order."""
        cases = [case.when for rule in self.ruleset.rules for case in rule.cases]
        return _lists_read([*cases, *self._entity_conditions], self.simple_inputs)

    @cached_property
    def conditions(self) -> tuple[Location, ...]:
        """The conditions about the entity, each with its path: the predicate, the choices of weights, and the cases."""
        return tuple(conditions_of(self.ruleset))

    @cached_property
    def inputs_with_paths(self) -> tuple[tuple[Path, LanguageModel], ...]:
        """Every input wherever it is written, with its path."""
        return tuple(inputs_at(self.ruleset, self.conditions))

    @cached_property
    def wheres(self) -> tuple[Location, ...]:
        """The conditions about linked facts, each with its path."""
        return tuple(place for path, each in self.inputs_with_paths for place in wheres_in(path, each))

    @cached_property
    def structural_diagnostics(self) -> tuple[Diagnostic, ...]:
        """What is wrong with names, levels, cuts, decay and weights."""
        return (*structure_diagnostics(self.ruleset, self.names), *weight_diagnostics(self.ruleset))

    @cached_property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """Everything that makes the ruleset unusable; nothing where it can be compiled and run."""
        return (*self.structural_diagnostics, *type_diagnostics(self.inputs_with_paths, self.conditions, self.names))

    @cached_property
    def errors(self) -> tuple[Finding, ...]:
        """The diagnostics as people read them, without lines."""
        return tuple(findings(self.diagnostics, self.ruleset))

    def require_usable(self) -> None:
        """Raise InvalidRulesetError, which names all errors, where there are any."""
        if self.errors:
            raise InvalidRulesetError(list(self.errors), f"ruleset {self.ruleset.name}")

    @property
    def _entity_conditions(self) -> list[Any]:
        conditions = [] if self.ruleset.applies_to is None else [self.ruleset.applies_to]
        if isinstance(self.ruleset.score, WeightedScore):
            conditions += [choice.when for choice in self.ruleset.score.weighted.weights_by if choice.when is not None]
        return conditions


def analyse_text(text: str, source: str = "the ruleset") -> AnalysedRuleset:
    """Read a ruleset that people wrote; InvalidRulesetError, with the lines, names everything that does not fit."""
    return AnalysedRuleset(read_ruleset(text, source))


@lru_cache(maxsize=VERSIONS_KEPT)
def analyse_canonical(canonical: str) -> AnalysedRuleset:
    """Read a stored ruleset from its canonical form, once for the same content; InvalidRulesetError as above."""
    return AnalysedRuleset(read_canonical_ruleset(canonical))


def signal_of_rule(rule: Rule) -> LanguageModel:
    """Give the input whose latest moment a rule's decay counts from."""
    assert rule.decay is not None
    signal = rule.decay.signal or rule.input
    assert isinstance(signal, LanguageModel)  # a decaying rule without a signal is refused before
    return signal


def lists_of_policy(policy: Policy) -> tuple[str, ...]:
    """List the named lists that a policy needs, in alphabetical order."""
    conditions = [rule.when for rule in policy.rules]
    conditions += [rule.unless for rule in policy.rules if rule.unless is not None]
    return _lists_read(conditions, _without_ratios(inputs_of_policy(policy)))


def _without_ratios(inputs: Iterable[Any]) -> tuple[LanguageModel, ...]:
    return tuple(side for each in inputs for side in (each.ratio if isinstance(each, Ratio) else (each,)))


def _lists_read(conditions: Sequence[Any], inputs: Sequence[LanguageModel]) -> tuple[str, ...]:
    wheres = [each.where for each in inputs if isinstance(each, Window) and each.where is not None]
    return tuple(sorted({name for condition in [*conditions, *wheres] for name in _lists_in(condition)}))


def _lists_in(condition: Any) -> Iterator[str]:
    for test in tests_in(condition):
        for operator, value in test.comparisons():
            if operator in {"in_list", "not_in_list"}:
                yield value
            elif isinstance(value, Fuzzy) and value.list is not None:
                yield value.list
