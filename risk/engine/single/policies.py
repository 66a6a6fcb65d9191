"""A policy for one entity: the outcome of each rule and the action, as plain functions of its row.

It is made of the same checked conditions as `risk.engine.policy_program`, and gives the same numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from fivefold.risk.compiler.analysis import VERSIONS_KEPT
from fivefold.risk.compiler.plain_conditions import NoPlainFormError, PlainCompiler, PlainTest, Row
from fivefold.risk.engine.policy_program import ACTION, DECIDED, PolicyOutcome, PolicyProgram
from fivefold.risk.engine.totals import rule_column


@dataclass(frozen=True, eq=False, kw_only=True)
class PlainPolicyRule:
    """A rule of a policy as plain functions.

    Attributes:
        column: the name of its outcome.
        when: what it asks.
        unless: what suppresses it; None for nothing.
        action: the position of the action that it gives where it holds.
        on_unknown: the position of the one that it gives where it is unknown whether it holds; None for none.
    """

    column: str
    when: PlainTest
    unless: PlainTest | None
    action: int
    on_unknown: int | None

    def outcome(self, row: Row) -> tuple[PolicyOutcome, int | None]:
        """Give the outcome, and the position of the action that the rule gives; None for none."""
        holds = self.when(row)
        if holds is False:
            return PolicyOutcome.NOT_HELD, None
        gives = self.action if holds else self.on_unknown
        if gives is not None and self.unless is not None and self.unless(row):
            return PolicyOutcome.SUPPRESSED, None
        return (PolicyOutcome.HELD if holds else PolicyOutcome.UNKNOWN), gives


@dataclass(frozen=True, eq=False, kw_only=True)
class SinglePolicy:
    """A compiled policy for one entity.

    Attributes:
        rules: in their order.
        otherwise: the position of the action where no rule gives one.
        is_first: the first rule that gives an action decides; otherwise the most severe action, and of rules that
            give it the first.
    """

    rules: Sequence[PlainPolicyRule]
    otherwise: int
    is_first: bool

    def run(self, row: Row) -> dict[str, Any]:
        """Decide, as `PolicyProgram.run` does for every row; the values by the names of its columns."""
        outcomes: dict[str, Any] = {}
        decided, action = None, None
        for place, rule in enumerate(self.rules):
            outcomes[rule.column], gives = rule.outcome(row)
            if gives is not None and (action is None or (gives > action and not self.is_first)):
                decided, action = place, gives
        return {**outcomes, DECIDED: decided, ACTION: self.otherwise if action is None else action}


@lru_cache(maxsize=VERSIONS_KEPT)
def single_policy(program: PolicyProgram) -> SinglePolicy | None:
    """Compile a policy for one entity, once for each program; None where a condition has no plain form."""
    policy, compiler = program.policy, PlainCompiler.of(program.inputs, program.lists)
    try:
        rules = [
            PlainPolicyRule(
                column=rule_column(rule.id),
                when=compiler.condition(rule.when),
                unless=None if rule.unless is None else compiler.condition(rule.unless),
                action=policy.actions.index(rule.action),
                on_unknown=None if rule.on_unknown is None else policy.actions.index(rule.on_unknown),
            )
            for rule in policy.rules
        ]
    except NoPlainFormError:
        return None
    return SinglePolicy(rules=rules, otherwise=policy.actions.index(policy.otherwise), is_first=policy.wins == "first")
