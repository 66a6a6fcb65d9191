"""A policy compiled for one set of list versions: the outcome of each rule, and the action that follows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import polars as pl

from fivefold.risk.compiler.analysis import AnalysedPolicy
from fivefold.risk.compiler.conditions import Compiler
from fivefold.risk.compiler.value_types import InputColumn, column_for
from fivefold.risk.engine.program import compiled_once
from fivefold.risk.engine.totals import rule_column
from fivefold.risk.language.base import LanguageModel
from fivefold.risk.language.expressions import input_key
from fivefold.risk.language.policy import Policy, PolicyRule

ACTION, DECIDED = "action", "decided"
"""Further columns: the position of the action, and of the rule that gave it; null for none."""


class PolicyOutcome(IntEnum):
    """The outcome of a rule.

    SUPPRESSED: it would have given an action, but its `unless` holds. UNKNOWN: the facts do not decide it.
    """

    NOT_HELD = 0
    HELD = 1
    UNKNOWN = 2
    SUPPRESSED = 3


@dataclass(
    frozen=True, eq=False, kw_only=True
)  # expressions have no equality; things prepared for a program are cached by it
class PolicyProgram:
    """A compiled policy.

    Attributes:
        analysed: the policy.
        lists: the members of every list that it names.
        inputs: the column of every input that it reads, by its key.
        outcomes: the outcomes of the rules in order, each under the name of its column.
        rule_actions: the position of the action that each rule gives; null if it gives none.
        decision: the rule that decides and its action, from the rules' actions.
    """

    analysed: AnalysedPolicy
    lists: Mapping[str, Sequence[str]]
    inputs: Mapping[str, InputColumn]
    outcomes: tuple[pl.Expr, ...]
    rule_actions: tuple[pl.Expr, ...]
    decision: tuple[pl.Expr, pl.Expr]

    @property
    def policy(self) -> Policy:
        """The policy that is compiled."""
        return self.analysed.policy

    def run(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Decide for every row.

        Args:
            frame: a column for each of `inputs`, null where unknown or unreadable.

        Returns:
            `rule_column` of each rule, a `PolicyOutcome` (Int8); `decided`, the position of the rule whose action was
            taken, null if none gave one (Int32); `action`, its position among the policy's actions (Int32).
        """
        outcomes = frame.select(*self.outcomes, *self.rule_actions).with_columns(*self.decision)
        return outcomes[[*(rule_column(rule.id) for rule in self.policy.rules), DECIDED, ACTION]]


def compile_policy(analysed: AnalysedPolicy, lists: Mapping[str, Sequence[str]], base: str) -> PolicyProgram:
    """Compile a policy; raises InvalidRulesetError, which lists all its faults.

    Args:
        analysed: the policy.
        lists: the members of every list that it names.
        base: the currency of money.
    """
    analysed.require_usable()
    policy = analysed.policy
    inputs = {input_key(each): column_for(each, analysed.names, base) for each in analysed.inputs}

    def resolve(rule_input: LanguageModel) -> InputColumn:
        return inputs[input_key(rule_input)]

    compiler = Compiler(resolve, lists)
    outcomes, actions = [], []
    for position, rule in enumerate(policy.rules):
        outcome, action = _rule(rule, policy, compiler)
        outcomes.append(outcome.alias(rule_column(rule.id)))
        actions.append(action.alias(_action_column(position)))
    return PolicyProgram(
        analysed=analysed,
        lists=lists,
        inputs=inputs,
        outcomes=tuple(outcomes),
        rule_actions=tuple(actions),
        decision=_decision(policy),
    )


def _action_column(position: int) -> str:
    return f"given {position}"


def _rule(rule: PolicyRule, policy: Policy, compiler: Compiler) -> tuple[pl.Expr, pl.Expr]:
    """Return the outcome of a rule, and the position of the action that it gives."""
    when = compiler.condition(rule.when)
    action = pl.lit(policy.actions.index(rule.action), pl.Int32)
    gives: Any = pl.when(when).then(action)
    if rule.on_unknown is not None:
        gives = gives.when(when.is_null()).then(pl.lit(policy.actions.index(rule.on_unknown), pl.Int32))
    suppressed = pl.lit(False)
    if rule.unless is not None:
        suppressed = compiler.condition(rule.unless).fill_null(value=False)
        if rule.on_unknown is None:
            suppressed &= when.is_not_null()  # there is nothing to suppress
    outcome = (
        pl.when(when == pl.lit(False))
        .then(_outcome(PolicyOutcome.NOT_HELD))
        .when(suppressed)
        .then(_outcome(PolicyOutcome.SUPPRESSED))
        .when(when)
        .then(_outcome(PolicyOutcome.HELD))
        .otherwise(_outcome(PolicyOutcome.UNKNOWN))
    )
    return outcome, pl.when(~suppressed).then(gives)


def _outcome(outcome: PolicyOutcome) -> pl.Expr:
    return pl.lit(int(outcome), pl.Int8)


def _decision(policy: Policy) -> tuple[pl.Expr, pl.Expr]:
    """Return the rule that decides and its action: the first that gives any, or the first of the most severe."""
    count = len(policy.rules)
    actions = [pl.col(_action_column(position)) for position in range(count)]
    if policy.wins == "first":
        decided = pl.coalesce(
            [pl.when(gives.is_not_null()).then(pl.lit(number, pl.Int32)) for number, gives in enumerate(actions)]
        )
        action = pl.coalesce(actions)
    else:
        # One number encodes both: larger if more severe, and among equally severe ones if earlier.
        best = pl.max_horizontal([gives * count + (count - 1 - number) for number, gives in enumerate(actions)])
        decided, action = (count - 1 - best % count).cast(pl.Int32), best // count
    otherwise = pl.lit(policy.actions.index(policy.otherwise), pl.Int32)
    return decided.alias(DECIDED), action.fill_null(otherwise).cast(pl.Int32).alias(ACTION)


policy_program_for = compiled_once(compile_policy)
