"""What makes a policy unusable, found before anything is decided by it: wrong names, types, levels and actions."""

from collections.abc import Iterator

from fivefold.domain.errors import Finding
from fivefold.risk.compiler.checks import taken_names, twice, type_diagnostics
from fivefold.risk.compiler.diagnostics import Diagnostic, findings
from fivefold.risk.compiler.locations import conditions_of_policy, inputs_named
from fivefold.risk.compiler.value_types import inputs_of, vocabulary
from fivefold.risk.language.base import LanguageModel
from fivefold.risk.language.documents import Path
from fivefold.risk.language.expressions import distinct
from fivefold.risk.language.policy import Policy, PolicyRule


def policy_errors(policy: Policy) -> list[Finding]:
    """Find what makes a policy unusable; nothing where it can be compiled and run."""
    return findings(policy_diagnostics(policy), policy)


def policy_diagnostics(policy: Policy) -> list[Diagnostic]:
    """Find the same, each with its path."""
    return [*_structure_diagnostics(policy), *_type_diagnostics(policy)]


def _structure_diagnostics(policy: Policy) -> Iterator[Diagnostic]:
    yield from taken_names(policy)
    yield from twice(("rules",), [rule.id for rule in policy.rules], "rule")
    yield from twice(("levels",), policy.levels, "level")
    yield from twice(("actions",), policy.actions, "action")
    for path, action in actions_at(policy):
        if action not in policy.actions:
            yield Diagnostic(path, f"there is no action {action}; there are {', '.join(policy.actions)}")


def actions_at(policy: Policy) -> Iterator[tuple[Path, str]]:
    """Give every action of a policy, and where it is written."""
    for position, rule in enumerate(policy.rules):
        yield ("rules", position, "action"), rule.action
        if rule.on_unknown is not None:
            yield ("rules", position, "on_unknown"), rule.on_unknown
    yield ("otherwise",), policy.otherwise


def _type_diagnostics(policy: Policy) -> Iterator[Diagnostic]:
    places = list(conditions_of_policy(policy))
    inputs = [at for place in places for at in inputs_named(place)]
    yield from type_diagnostics(inputs, places, vocabulary(policy))


def inputs_of_policy(policy: Policy) -> list[LanguageModel]:
    """List every input that a policy reads, each once."""
    return distinct(each for rule in policy.rules for each in inputs_of_policy_rule(rule))


def inputs_of_policy_rule(rule: PolicyRule) -> list[LanguageModel]:
    """List every input that a rule of a policy reads, each once."""
    return distinct([*inputs_of(rule.when), *inputs_of(rule.unless)])
