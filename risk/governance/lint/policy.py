"""Lint of policies: finds faults, doubts and rules that never decide, without data."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from operator import or_

import polars as pl

from fivefold.domain.errors import Finding, InvalidRulesetError
from fivefold.risk.compiler.analysis import AnalysedPolicy
from fivefold.risk.compiler.checks import actions_at
from fivefold.risk.compiler.diagnostics import Diagnostic, by_check, checked_findings, findings, warning
from fivefold.risk.compiler.locations import Location
from fivefold.risk.compiler.purposes import purpose_diagnostics
from fivefold.risk.compiler.value_types import inputs_of_policy_rule
from fivefold.risk.governance.lint.in_order import OrderTrial, TriedInOrder, order_trial
from fivefold.risk.governance.lint.reachability import LintScope, try_conditions
from fivefold.risk.governance.lint.ruleset import (
    Lists,
    lint_scope,
    list_diagnostics,
    purpose_sources,
    unread,
    unused_calculations,
    unused_links,
)
from fivefold.risk.governance.lint.texts import text_diagnostics
from fivefold.risk.language.documents import Document, Path
from fivefold.risk.language.expressions import input_key
from fivefold.risk.language.policy import Policy, PolicyRule
from fivefold.risk.language.purposes import PolicyPurposes
from fivefold.risk.language.reading import read_document


def lint_policy(
    analysed: AnalysedPolicy,
    lists: Lists | None,
    document: Document | None,
    declared: PolicyPurposes | None = None,
) -> list[Finding]:
    """Find all faults and doubts of a policy.

    Args:
        analysed: the policy.
        lists: the named lists; without them, what depends on them is reported as undecided.
        document: the policy's document; without it the findings have no lines.
        declared: the purposes of the entity type's data and its level, besides those in the policy.
    """
    return findings(_diagnostics(analysed, lists, declared), analysed.policy, document)


def lint_policy_document(document: Document, lists: Lists | None, *, notes: bool) -> list[tuple[Diagnostic, Finding]]:
    """Find the faults and doubts of a document, each beside its diagnostic, which names the check."""
    try:
        analysed = AnalysedPolicy(read_document(Policy, document, "the policy"))
    except InvalidRulesetError as error:
        return unread(error)
    return checked_findings(_diagnostics(analysed, lists, None, notes=notes), analysed.policy, document)


def _diagnostics(
    analysed: AnalysedPolicy, lists: Lists | None, declared: PolicyPurposes | None, *, notes: bool = True
) -> list[Diagnostic]:
    policy, fatal = analysed.policy, analysed.draft_diagnostics
    faults_by_check: dict[str, Iterable[Diagnostic]] = {
        "names-and-types": fatal,
        "lists": list_diagnostics(analysed, lists),
        "reasons": (*_style_diagnostics(policy), *unused_calculations(analysed), *unused_links(analysed)),
        "doubts": text_diagnostics(policy),
        "purposes": purpose_diagnostics(policy, purpose_sources(lists, declared)),
        "reach": () if fatal else _reach_diagnostics(policy, lint_scope(analysed, lists)),
    }
    return by_check(faults_by_check, notes=notes)


def _style_diagnostics(policy: Policy) -> Iterator[Diagnostic]:
    if policy.rationale is None:
        yield warning(("policy",), "has no written rationale")
    for position, rule in enumerate(policy.rules):
        if rule.rationale is None:
            yield warning(("rules", position), "has no written rationale")
    possible = {action for _, action in actions_at(policy)}
    for number, action in enumerate(policy.actions):
        if action not in possible:
            yield warning(("actions", number), f"{action} is never given")


@dataclass(frozen=True)
class _Arm:
    """One way for a rule to give an action: because it holds, or because that is unknown.

    Attributes:
        position: the position of the rule.
        word: action, or on_unknown.
        severity: the position of the action.
    """

    position: int
    word: str
    severity: int


def _arms(policy: Policy) -> list[_Arm]:
    """List the arms of a policy in order of precedence."""
    arms = [
        _Arm(position, word, policy.actions.index(action))
        for position, rule in enumerate(policy.rules)
        for word, action in (("action", rule.action), ("on_unknown", rule.on_unknown))
        if action is not None
    ]
    return arms if policy.wins == "first" else sorted(arms, key=lambda arm: (-arm.severity, arm.position))


def _reach_diagnostics(policy: Policy, scope: LintScope) -> Iterator[Diagnostic]:
    arms, keys = _arms(policy), [_keys(rule) for rule in policy.rules]
    tried = TriedInOrder([keys[arm.position] for arm in arms], partial(_together, policy, arms, scope))
    for number in range(len(arms)):
        yield from _arm_diagnostics(policy, arms, number, tried)
    for position, rule in enumerate(policy.rules):
        yield from _unless_diagnostics(position, rule, scope)
    truths = _tried(policy, arms, scope)
    if truths is not None and truths.select(pl.any_horizontal(pl.all())).to_series().all():
        yield warning(("otherwise",), "is never given: some rule always gives an action")


def _arm_diagnostics(policy: Policy, arms: Sequence[_Arm], number: int, tried: TriedInOrder) -> Iterator[Diagnostic]:
    """Check whether one arm never gives its action, or never decides."""
    trial, arm = tried.trial_of(number), arms[number]
    if trial is None or not trial.exact:
        return
    path: Path = ("rules", arm.position) if arm.word == "action" else ("rules", arm.position, arm.word)
    own, before = trial.holds[number], tried.before(number)
    if not own:
        yield warning(path, "never gives its action, whatever the values" if arm.word == "action" else "is never given")
        return
    for earlier in before:
        if not own & ~trial.holds[earlier]:
            rule = policy.rules[arms[earlier].position].id
            yield warning(path, f"never decides: rule {rule} {_comes_first(policy)}")
            return
    if not own & ~reduce(or_, (trial.holds[earlier] for earlier in before), 0):
        yield warning(path, f"never decides: the rules before it, taken together, {_comes_first(policy, several=True)}")


def _together(policy: Policy, arms: Sequence[_Arm], scope: LintScope, positions: Sequence[int]) -> OrderTrial | None:
    truths = _tried(policy, [arms[position] for position in positions], scope)
    return None if truths is None else order_trial(positions, truths, exact=True)


def _comes_first(policy: Policy, *, several: bool = False) -> str:
    if policy.wins == "first":
        return f"{'come' if several else 'comes'} first whenever it gives an action"
    return f"{'give' if several else 'gives'} an action as severe, or more so, whenever it gives one"


def _unless_diagnostics(position: int, rule: PolicyRule, scope: LintScope) -> Iterator[Diagnostic]:
    if rule.unless is None:
        return
    trial = try_conditions([Location(("when",), rule.when), Location(("unless",), rule.unless)], scope)
    if trial is None or not trial.exact:
        return
    when, unless = (truths.fill_null(value=False) for truths in trial.truths.get_columns())
    if rule.on_unknown is not None:
        when |= trial.truths.to_series(0).is_null()
    if not (when & unless).any():
        yield warning(("rules", position, "unless"), "has no effect: it never holds where the rule gives an action")


def _tried(policy: Policy, arms: Sequence[_Arm], scope: LintScope) -> pl.DataFrame | None:
    """Find for every combination of values which arms give an action; None if that cannot be decided."""
    places, columns = list[Location](), list[pl.Expr]()
    for number, arm in enumerate(arms):
        rule = policy.rules[arm.position]
        truth = pl.col(str(len(places)))
        places.append(Location(("when",), rule.when))
        gives = truth.is_null() if arm.word == "on_unknown" else truth.fill_null(value=False)
        if rule.unless is not None:
            gives &= ~pl.col(str(len(places))).fill_null(value=False)
            places.append(Location(("unless",), rule.unless))
        columns.append(gives.alias(f"arm {number}"))
    trial = try_conditions(places, scope)
    return None if trial is None or not trial.exact else trial.truths.select(columns)


def _keys(rule: PolicyRule) -> frozenset[str]:
    return frozenset(map(input_key, inputs_of_policy_rule(rule)))
