"""What a ruleset or a policy reads: its inputs, the moments that decay counts from, and its lists."""

from collections.abc import Iterator
from typing import Any

from fivefold.risk.compiler.policy_checks import inputs_of_policy
from fivefold.risk.compiler.value_types import inputs_of, inputs_of_rule
from fivefold.risk.language.base import Part
from fivefold.risk.language.expressions import tests_in
from fivefold.risk.language.inputs import Ratio, Window, key_of
from fivefold.risk.language.operators import Fuzzy
from fivefold.risk.language.policy import Policy
from fivefold.risk.language.ruleset import Rule, Ruleset
from fivefold.risk.language.scoring import WeightedScore


def inputs_of_ruleset(ruleset: Ruleset) -> list[Part]:
    """List every input that a ruleset reads, each once."""
    found = [made for rule in ruleset.rules for made in inputs_of_rule(rule)]
    for condition in _entity_conditions(ruleset):
        found += inputs_of(condition)
    return list({key_of(made): made for made in found}.values())


def simple_inputs_of(ruleset: Ruleset) -> list[Part]:
    """List the same with both sides of a ratio in its place."""
    return [
        side for made in inputs_of_ruleset(ruleset) for side in (made.ratio if isinstance(made, Ratio) else (made,))
    ]


def signal_of_rule(rule: Rule) -> Part:
    """Give the input whose latest moment a rule's decay counts from."""
    assert rule.decay is not None
    made = rule.decay.signal or rule.input
    assert isinstance(made, Part)  # a decaying rule without a signal is refused before
    return made


def signals_of_ruleset(ruleset: Ruleset) -> list[Part]:
    """List the inputs whose latest moments decay counts from, each once."""
    found = [signal_of_rule(rule) for rule in ruleset.rules if rule.decay is not None]
    return list({key_of(made): made for made in found}.values())


def lists_of_ruleset(ruleset: Ruleset) -> list[str]:
    """List the named lists that a ruleset needs, in alphabetical order."""
    conditions = [case.when for rule in ruleset.rules for case in rule.cases] + _entity_conditions(ruleset)
    return _lists_read(conditions, simple_inputs_of(ruleset))


def lists_of_policy(policy: Policy) -> list[str]:
    """List the named lists that a policy needs, in alphabetical order."""
    conditions = [rule.when for rule in policy.rules]
    conditions += [rule.unless for rule in policy.rules if rule.unless is not None]
    parts = [side for made in inputs_of_policy(policy) for side in (made.ratio if isinstance(made, Ratio) else (made,))]
    return _lists_read(conditions, parts)


def _lists_read(conditions: list[Any], parts: list[Part]) -> list[str]:
    wheres = [part.where for part in parts if isinstance(part, Window) and part.where is not None]
    return sorted({name for condition in [*conditions, *wheres] for name in _lists_in(condition)})


def _entity_conditions(ruleset: Ruleset) -> list[Any]:
    found = [] if ruleset.applies_to is None else [ruleset.applies_to]
    if isinstance(ruleset.score, WeightedScore):
        found += [choice.when for choice in ruleset.score.weighted.weights_by if choice.when is not None]
    return found


def _lists_in(condition: Any) -> Iterator[str]:
    for test in tests_in(condition):
        for operator, value in test.comparisons():
            if operator in {"in_list", "not_in_list"}:
                yield value
            elif isinstance(value, Fuzzy) and value.list is not None:
                yield value.list
