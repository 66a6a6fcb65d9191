"""The reasons for the outcome of a step that asks a policy, a ruleset or for the value, in plain words."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fivefold.domain.clock import second_text
from fivefold.flows.asking.choices import ASKED
from fivefold.flows.asking.steps import STATUS_CODES, AskingPolicy, AskingRuleset, Valuing, outcome_of_row
from fivefold.flows.steps import RowContext, one_row
from fivefold.risk.engine.assessments import VERSIONS, Status
from fivefold.risk.engine.explain.breakdown import explain_columns
from fivefold.risk.engine.explain.policies import OUTCOMES, DecisionExplanation, explain_decisions
from fivefold.risk.engine.explain.reasons import currency_words
from fivefold.risk.engine.policy_program import PolicyOutcome
from fivefold.risk.facts.portfolio import error_of, lacking_of

if TYPE_CHECKING:
    from fivefold.flows.trace import StepTrace


@dataclass(frozen=True)
class StepReason:
    """The reason for the outcome of a step; the other attributes are as in `flows.trace.StepTrace`.

    Attributes:
        is_said: whether `seen` states the outcome already.
    """

    outcome: str = ""
    asked: str = ""
    seen: str = ""
    missing: tuple[str, ...] = ()
    inner: "tuple[StepTrace, ...]" = ()
    is_said: bool = False


def why_of_policy(compiled: AskingPolicy, code: int, base: str, context: RowContext | None) -> StepReason:
    """Return what a policy decided, and what was missing if an unknown rule could change it."""
    outcome = ASKED if code == 0 else "a rule that is unknown could change the action"
    name = compiled.program.policy.name
    if context is None:
        return StepReason(outcome, f"policy {name}")
    [decision] = explain_decisions(compiled.program, one_row(context.inputs[name], compiled.program.inputs), base)
    return StepReason(outcome, f"policy {name}", decision.line, () if code == 0 else _unknown_of(decision))


def _unknown_of(decision: DecisionExplanation) -> tuple[str, ...]:
    """Return the names of the inputs that were missing for the unknown rules of a policy, each once."""
    rules = [rule for rule in decision.rules if rule.outcome == OUTCOMES[PolicyOutcome.UNKNOWN]]
    return tuple(dict.fromkeys(name for rule in rules for name in rule.missing))


_NO_LEVEL: Mapping[Status, str] = {
    Status.ASSESSED: ASKED,
    Status.FAILED: "it failed",
    Status.UNCLASSIFIED: "no tier owns the total",
    Status.UNDETERMINED: "it is not known whether it applies",
    Status.NOT_APPLICABLE: "it does not apply",
}


def why_of_ruleset(compiled: AskingRuleset, code: int, base: str, context: RowContext | None) -> StepReason:
    """Return how the rules add up, or why they give no level."""
    outcome, name = _NO_LEVEL[STATUS_CODES[code]], f"ruleset {compiled.program.ruleset.name}"
    if context is None:
        return StepReason(outcome, name)
    inputs = context.inputs[compiled.key]
    values = {**inputs, **outcome_of_row(compiled.program, inputs), VERSIONS: 0}
    columns = {column: [tuple(value) if isinstance(value, list) else value] for column, value in values.items()}
    [explained] = explain_columns(compiled.program, base, [{}], columns)
    return StepReason(outcome, name, explained.line, explained.failures if code else (), is_said=True)


def why_of_value(compiled: Valuing, code: int, base: str, row: Mapping[str, Any]) -> StepReason:
    """Return the model and version that gave the value, and as of when, if known, and why money is unknown."""
    if code:
        problem = next((row[name] for name in map(error_of, compiled.reads) if row.get(name) is not None), None)
        return StepReason(
            "there is no value" if problem is None else f"there is no value: {problem}", "value", "", ("value",)
        )
    model, version, as_of = (row.get(f"value {name}") for name in ("model", "model_version", "as_of_us"))
    parts = [f"by {model}" if model else "", f"version {version}" if version is not None else ""]
    parts += [f"as of {second_text(as_of)}" if as_of is not None else ""]
    other = row.get(lacking_of(compiled.sources["expected_value"]))
    money = f", money is unknown{currency_words(other, base)}" if other else ""
    return StepReason("", "value", " ".join(part for part in parts if part) + money)
