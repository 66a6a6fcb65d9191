"""Explains why a policy gave its action: every rule's outcome and inputs, in plain words."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import polars as pl

from fivefold.risk.compiler.analysis import VERSIONS_KEPT
from fivefold.risk.compiler.plain_conditions import Missing, PlainCompiler
from fivefold.risk.compiler.value_types import inputs_of_policy_rule
from fivefold.risk.engine.explain.describe import (
    InputDescription,
    condition_words,
    describe_inputs,
    numbers_in,
    pairs_in,
)
from fivefold.risk.engine.policy_program import ACTION, DECIDED, PolicyOutcome, PolicyProgram
from fivefold.risk.engine.single.rules import single_policy
from fivefold.risk.engine.totals import rule_column
from fivefold.risk.language.policy import PolicyRule

OUTCOMES: Mapping[PolicyOutcome, str] = {
    PolicyOutcome.NOT_HELD: "not held",
    PolicyOutcome.HELD: "held",
    PolicyOutcome.UNKNOWN: "unknown",
    PolicyOutcome.SUPPRESSED: "suppressed",
}


@dataclass(frozen=True, kw_only=True)
class PolicyRuleExplanation:
    """The outcome of one rule of a policy.

    Attributes:
        rule: the rule's id.
        outcome: held, not held, unknown or suppressed.
        action: the action that it gave; None if it gave none.
        asked: the condition that must hold, in plain words.
        unless: the condition that suppresses it, in plain words; empty if there is none.
        seen: the values of its inputs.
        missing: the inputs that were unknown, if that mattered.
        sentence: the outcome in one sentence.
    """

    rule: str
    title: str
    rationale: str | None
    outcome: str
    action: str | None
    asked: str
    unless: str
    seen: str
    missing: tuple[str, ...]
    sentence: str


@dataclass(frozen=True)
class DecisionExplanation:
    """The decision of a policy.

    Attributes:
        decided_by: the id of the rule whose action was taken; None if no rule gave one.
        rules: the rules' outcomes, in the policy's order.
        line: the decision in one line.
    """

    action: str
    decided_by: str | None
    rules: tuple[PolicyRuleExplanation, ...]
    line: str

    def as_json(self) -> dict[str, Any]:
        """Convert the explanation to plain data for JSON."""
        return {**vars(self), "rules": [{**vars(rule), "missing": list(rule.missing)} for rule in self.rules]}


@dataclass(frozen=True, eq=False, kw_only=True)
class _PolicyRuleExplainer:
    """Explains the outcome of one rule; the rule's own words are prepared once."""

    rule: PolicyRule
    descriptions: Sequence[InputDescription]
    missing_of: Mapping[PolicyOutcome, Missing]
    condition_text: str
    unless: str

    def explain(self, outcome: PolicyOutcome, row: Mapping[str, Any]) -> PolicyRuleExplanation:
        values_text = ", ".join(one.words(row) for one in self.descriptions)
        action = {PolicyOutcome.HELD: self.rule.action, PolicyOutcome.UNKNOWN: self.rule.on_unknown}.get(outcome)
        missing = tuple(self._missing(outcome, row))
        return PolicyRuleExplanation(
            rule=self.rule.id,
            title=self.rule.title,
            rationale=self.rule.rationale,
            outcome=OUTCOMES[outcome],
            action=action,
            asked=self.condition_text,
            unless=self.unless,
            seen=values_text,
            missing=missing,
            sentence=f"{self.rule.title}: {values_text}. {self._verdict(outcome, missing)}: {action or 'no action'}",
        )

    def _missing(self, outcome: PolicyOutcome, row: Mapping[str, Any]) -> Iterator[str]:
        """Name the unknown inputs that leave open whether the rule holds or is suppressed."""
        mattered = self.missing_of[outcome](row) if outcome in self.missing_of else ()
        return (one.name for one in self.descriptions if one.key in mattered)

    def _verdict(self, outcome: PolicyOutcome, missing: Sequence[str]) -> str:
        if outcome is PolicyOutcome.UNKNOWN:
            return f"Not known is {', '.join(missing)}, so whether {self.condition_text}"
        if outcome is PolicyOutcome.NOT_HELD:
            return f"Does not hold, as it asks whether {self.condition_text}"
        suppressed = f", and is suppressed, as {self.unless}" if outcome is PolicyOutcome.SUPPRESSED else ""
        return f"Holds, as {self.condition_text}{suppressed}"


@lru_cache(maxsize=VERSIONS_KEPT)
def _rule_explainers(program: PolicyProgram, base: str) -> tuple[_PolicyRuleExplainer, ...]:
    return tuple(_rule_explainer(rule, program, base) for rule in program.policy.rules)


def _rule_explainer(rule: PolicyRule, program: PolicyProgram, base: str) -> _PolicyRuleExplainer:
    compiler = PlainCompiler.of(program.inputs, program.lists)
    missing_of = {PolicyOutcome.UNKNOWN: compiler.missing(rule.when)}
    if rule.unless is not None:
        missing_of[PolicyOutcome.HELD] = compiler.missing(rule.unless)
    conditions = [rule.when] if rule.unless is None else [rule.when, rule.unless]
    names, inputs = program.analysed.names, inputs_of_policy_rule(rule)
    return _PolicyRuleExplainer(
        rule=rule,
        descriptions=describe_inputs(inputs, names, base, numbers_in(conditions), pairs_in(conditions)),
        missing_of=missing_of,
        condition_text=condition_words(rule.when),
        unless="" if rule.unless is None else condition_words(rule.unless),
    )


def explain_decisions(program: PolicyProgram, inputs: pl.DataFrame, base: str) -> list[DecisionExplanation]:
    """Decide for every row of *inputs*, as `PolicyProgram.run` does, and explain why.

    Args:
        program: the compiled policy.
        inputs: a column for each input that it reads; `error_of` it if something could not be read.
        base: the currency of money.
    """
    explainers = _rule_explainers(program, base)
    rows = inputs.rows(named=True)
    single = single_policy(program) if len(rows) == 1 else None
    outcomes = program.run(inputs).iter_rows(named=True) if single is None else map(single.run, rows)
    return [_explain_decision(program, explainers, *row) for row in zip(rows, outcomes, strict=True)]


def _explain_decision(
    program: PolicyProgram,
    explainers: Sequence[_PolicyRuleExplainer],
    row: Mapping[str, Any],
    outcomes: Mapping[str, Any],
) -> DecisionExplanation:
    policy, number = program.policy, outcomes[DECIDED]
    rules = tuple(
        explainer.explain(PolicyOutcome(outcomes[rule_column(explainer.rule.id)]), row) for explainer in explainers
    )
    action = policy.actions[outcomes[ACTION]]
    return DecisionExplanation(
        action, None if number is None else rules[number].rule, rules, _line(action, number, rules)
    )


def _line(action: str, number: int | None, rules: Sequence[PolicyRuleExplanation]) -> str:
    by = "as no rule gives an action" if number is None else f"by {rules[number].title}"
    parts = [f"{action[:1].upper()}{action[1:]}, {by}"]
    for outcome, words in (("suppressed", "suppressed"), ("unknown", "not known")):
        titles = [rule.title for rule in rules if rule.outcome == outcome]
        if titles:
            parts.append(f"{words}: {', '.join(titles)}")
    return "; ".join(parts)
