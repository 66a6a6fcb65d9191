"""Why a run came to its end: every step that it passed, what that asked and saw, and the actions that follow."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from fivefold.domain.clock import second_text, utc_text
from fivefold.domain.money import minor_units
from fivefold.flows.actions import Action, LimitAction, is_reversible
from fivefold.flows.analysis import inputs_of_step
from fivefold.flows.language import (
    NOBODY,
    CalculateStep,
    EndStep,
    OutsideStep,
    PersonStep,
    RouteStep,
    RulesStep,
    TableStep,
)
from fivefold.flows.outside.step import CAME, Outside
from fivefold.flows.program import LAST, STOP, FlowProgram
from fivefold.flows.steps import Ending, Stop
from fivefold.risk.compiler.analysis import VERSIONS_KEPT
from fivefold.risk.compiler.value_types import Column, inputs_of
from fivefold.risk.engine.explain.describe import (
    InputDescription,
    condition_words,
    describe_inputs,
    numbers_in,
    value_words,
)
from fivefold.risk.engine.explain.policies import OUTCOMES, DecisionExplanation
from fivefold.risk.engine.policy_program import PolicyOutcome
from fivefold.risk.language.base import LanguageModel
from fivefold.risk.language.expressions import CalculationInput, distinct, input_key
from fivefold.risk.language.fields import ValueType

STATUSES: Mapping[Stop, str] = {
    Stop.ENDED: "ended",
    Stop.FAILED: "failed",
    Stop.WAITS: "waits",
    Stop.ASKS: "asks",
}


@dataclass(frozen=True, kw_only=True)
class StepTrace:
    """A step that was passed.

    Attributes:
        step: its id.
        kind: the word that says what it does.
        outcome: which way or row, what was answered, or that it failed.
        to: the id of the next step; None where the run stopped.
        asked: the condition that decided, in plain words; empty where none did.
        seen: what its inputs were.
        missing: those that were unknown, where that decided.
        gives: its outputs in words, by name.
        sentence: all of it in one sentence.
        source: of what came from outside, from where; empty for all else.
        came_at: when that came, in UTC; empty for all else.
        reasons: of an agent, each with the facts that it quotes.
    """

    step: str
    title: str
    kind: str
    outcome: str
    to: str | None
    asked: str
    seen: str
    missing: tuple[str, ...]
    gives: Mapping[str, str]
    sentence: str
    source: str = ""
    came_at: str = ""
    reasons: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, kw_only=True)
class ActionTaken:
    """An action that follows from a run.

    Attributes:
        action: its id.
        kind: the word that says what it does.
        subject: what it does that to; of two actions with one subject only one is taken.
        purpose: what it is for.
        is_reversible: a person can take it back.
        sets: what it sets that to, in words.
        amount_minor: of a limit, in the smallest unit of the base currency; None for others.
    """

    action: str
    title: str
    kind: str
    subject: str
    purpose: str
    is_reversible: bool
    sets: str
    amount_minor: int | None


@dataclass(frozen=True, kw_only=True)
class RunExplanation:
    """A run of a flow.

    Attributes:
        status: ended, failed, waits for a person, or asks the outside.
        at: the id of the step where it stopped.
        actions: that follow; after a failure those of `on_failure`.
        steps: that were passed, in their order.
        line: the run in one line.
    """

    status: str
    at: str
    actions: tuple[ActionTaken, ...]
    steps: tuple[StepTrace, ...]
    line: str

    def as_json(self) -> dict[str, Any]:
        """Give it as plain data for JSON."""
        steps = [
            {
                **vars(step),
                "missing": list(step.missing),
                "gives": dict(step.gives),
                "reasons": [dict(each) for each in step.reasons],
            }
            for step in self.steps
        ]
        return {**vars(self), "actions": [dict(vars(each)) for each in self.actions], "steps": steps}


def explain_run(
    program: FlowProgram, row: Mapping[str, Any], decisions: Mapping[str, DecisionExplanation] | None = None
) -> RunExplanation:
    """Say why a run came to its end.

    Args:
        program: that was run.
        row: what `FlowProgram.run` or `run_row` gave for it.
        decisions: why the policies that it asked decided so, by their names, as far as it is to be said.
    """
    explainer = _explainer(program)
    passed = [position for position, step in enumerate(program.steps) if row[step.column] is not None]
    steps = tuple(explainer.step(position, row, decisions or {}) for position in passed)
    stop, last = Stop(row[STOP]), program.flow.steps[row[LAST]]
    actions = tuple(explainer.actions(stop, row))
    return RunExplanation(
        status=STATUSES[stop], at=last.id, actions=actions, steps=steps, line=_line(stop, last.title, steps, actions)
    )


def _line(stop: Stop, title: str, steps: tuple[StepTrace, ...], actions: tuple[ActionTaken, ...]) -> str:
    taken = ", ".join(each.title for each in actions) or "no action"
    if stop is Stop.WAITS or stop is Stop.ASKS:
        return f"{STATUSES[stop].capitalize()}: {title}"
    if stop is Stop.FAILED:
        return f"Failed at {title}, as {steps[-1].outcome}: {taken}"
    return f"{title}: {taken}"


@dataclass(frozen=True, kw_only=True)
class _Shown:
    """What is shown of a choice: the inputs that were looked at, and the condition that decided with its own inputs."""

    descriptions: tuple[InputDescription, ...]
    asked: str
    keys: frozenset[str]


@lru_cache(maxsize=VERSIONS_KEPT)
def _explainer(program: FlowProgram) -> "_Explainer":
    return _Explainer(program)


class _Explainer:
    """Explains the runs of one program; what belongs to its steps is prepared once."""

    def __init__(self, program: FlowProgram) -> None:
        self._program = program
        self._names = program.analysed.names
        self._choices: dict[tuple[str, int | None], _Shown] = {}
        self._inputs: dict[str, tuple[InputDescription, ...]] = {}

    def step(self, position: int, row: Mapping[str, Any], decisions: Mapping[str, DecisionExplanation]) -> StepTrace:
        """Explain one step that was passed."""
        step, compiled = self._program.flow.steps[position], self._program.steps[position]
        code: int = row[compiled.column]
        leads = compiled.leads[code]
        gives = {name: self._value(row[column.name], column) for name, column in compiled.outputs.items()}
        asked, seen, missing, told = "", "", tuple[str, ...](), dict[str, Any]()
        if isinstance(step, RouteStep | TableStep):
            asked, seen, missing, outcome = self._choice(step, code, row)
        elif isinstance(step, CalculateStep):
            outcome = ""
            seen = ", ".join(each.words(row) for each in self._described(step))
        elif isinstance(step, RulesStep):
            outcome = "asked" if code == 0 else "a rule that is unknown could change the action"
            decision = decisions.get(step.rules.policy)
            asked, seen = f"policy {step.rules.policy}", "" if decision is None else decision.line
            missing = () if code == 0 or decision is None else _unknown_of(decision)
        elif isinstance(step, PersonStep):
            answers = (*step.person.answers, NOBODY)
            outcome = f"answered {answers[code]}" if code < len(step.person.answers) else _UNANSWERED[leads < 0]
            asked = step.person.question
        elif isinstance(step, OutsideStep):
            assert isinstance(compiled, Outside)
            told = _told(compiled, row)
            asked, seen = step.asks.whom, ", ".join(each.words(row) for each in self._described(step))
            outcome = _came(step, compiled, row)
        else:
            assert isinstance(step, EndStep)
            outcome = "ended" if leads == Stop.ENDED else "the amount of a limit is unknown"
        to = self._program.flow.steps[leads].id if leads >= 0 else None
        said = ", ".join(f"{name.replace('_', ' ')} {words}" for name, words in gives.items())
        return StepTrace(
            step=step.id,
            title=step.title,
            kind=step.kind,
            outcome=outcome,
            to=to,
            asked=asked,
            seen=seen,
            missing=missing,
            gives=gives,
            sentence=_sentence(step, outcome, seen, said if _says_outputs(step, code) else "", to),
            **told,
        )

    def _choice(
        self, step: RouteStep | TableStep, code: int, row: Mapping[str, Any]
    ) -> tuple[str, str, tuple[str, ...], str]:
        """Say which condition decided, what was seen for it, and what was missing."""
        count = len(step.route) if isinstance(step, RouteStep) else len(step.table.rows)
        decided = code if code < count else code - count - 1 if code > count else None
        shown = self._shown(step, decided)
        seen = ", ".join(each.words(row) for each in shown.descriptions)
        if decided is None:
            return f"none of {count} holds", seen, (), "otherwise"
        word = "way" if isinstance(step, RouteStep) else "row"
        if code < count:
            return shown.asked, seen, (), f"{word} {decided + 1} holds, as {shown.asked}"
        missing = tuple(each.name for each in shown.descriptions if each.key in shown.keys and row[each.key] is None)
        return shown.asked, seen, missing, f"it is not known whether {shown.asked} ({word} {decided + 1})"

    def _shown(self, step: RouteStep | TableStep, decided: int | None) -> "_Shown":
        """Prepare what is shown of a choice that one condition decided, or none, once."""
        if (step.id, decided) not in self._choices:
            whens = [way.when for way in step.route] if isinstance(step, RouteStep) else []
            whens += [each.when for each in step.table.rows] if isinstance(step, TableStep) else []
            tried = whens if decided is None else whens[: decided + 1]
            inputs = distinct(each for when in tried for each in inputs_of(when))
            self._choices[step.id, decided] = _Shown(
                descriptions=describe_inputs(inputs, self._names, self._program.base, numbers_in(tried)),
                asked="" if decided is None else condition_words(whens[decided]),
                keys=frozenset() if decided is None else frozenset(map(input_key, inputs_of(whens[decided]))),
            )
        return self._choices[step.id, decided]

    def _described(self, step: CalculateStep | OutsideStep) -> tuple[InputDescription, ...]:
        """Prepare what a step calculated, or what it sends, once."""
        if step.id not in self._inputs:
            inputs: list[LanguageModel] = (
                [CalculationInput(calculation=name) for name in step.calculate]
                if isinstance(step, CalculateStep)
                else inputs_of_step(step)
            )
            self._inputs[step.id] = describe_inputs(inputs, self._names, self._program.base)
        return self._inputs[step.id]

    def _value(self, value: Any, column: Column) -> str:
        return value_words(value, column, self._program.base if column.kind is ValueType.MONEY else "")

    def actions(self, stop: Stop, row: Mapping[str, Any]) -> list[ActionTaken]:
        """Give the actions that follow from a run; none while it waits or asks."""
        program = self._program
        if stop is Stop.WAITS or stop is Stop.ASKS:
            return []
        last = program.steps[row[LAST]]
        if stop is Stop.ENDED:
            assert isinstance(last, Ending)
            amounts = {each.action: row[each.column] for each in last.amounts}
            taken = last.actions
        else:
            amounts = {each.action: each.within(each.number) for each in program.failure_amounts}
            taken = program.flow.on_failure
        return [self._action(program.flow.action(name), amounts.get(name), row) for name in taken]

    def _action(self, action: Action, amount: int | None, row: Mapping[str, Any]) -> ActionTaken:
        sets = str(getattr(action, action.kind))
        if isinstance(action, LimitAction):
            column = Column("", ValueType.MONEY, minor_units(self._program.base))
            sets = f"{action.limit} {self._value(amount, column)}"
            asked = (
                row[input_key(action.amount)]
                if isinstance(action.amount, LanguageModel)
                else action.amount * column.units
            )
            if asked is not None and amount is not None and round(asked) != amount:
                bound = "greatest" if asked > amount else "least"
                sets += f", the {bound} that may be set, in place of {self._value(round(asked), column)}"
        return ActionTaken(
            action=action.id,
            title=action.title,
            kind=action.kind,
            subject=action.subject,
            purpose=action.purpose or self._program.flow.purpose,
            is_reversible=is_reversible(action),
            sets=sets,
            amount_minor=amount,
        )


def _unknown_of(decision: DecisionExplanation) -> tuple[str, ...]:
    """Name what was unknown to the rules of a policy that are unknown, each once."""
    rules = [rule for rule in decision.rules if rule.outcome == OUTCOMES[PolicyOutcome.UNKNOWN]]
    return tuple(dict.fromkeys(name for rule in rules for name in rule.missing))


_UNANSWERED: Mapping[bool, str] = {True: "waits for an answer", False: "nobody answered in time"}


def _told(compiled: Outside, row: Mapping[str, Any]) -> dict[str, Any]:
    """Give from where and when an outcome came, and an agent's reasons; nothing as long as there is none."""
    if row[compiled.at_column] is None:
        return {}
    reasons = json.loads(row[compiled.reasons_column] or "[]")
    return {
        "source": row[compiled.source_column],
        "came_at": utc_text(row[compiled.at_column]),
        "reasons": tuple(reasons),
    }


def _came(step: OutsideStep, compiled: Outside, row: Mapping[str, Any]) -> str:
    """Say what came back, from where and when."""
    at = row[compiled.at_column]
    if at is None:
        return f"asks {step.asks.whom}"
    came = f"{row[compiled.source_column]} at {second_text(at)}"
    failed = row[compiled.failed_column]
    if failed is not None:
        return f"nothing that can be used came from {came}: {failed}"
    reasons = json.loads(row[compiled.reasons_column] or "[]")
    said = " ".join(f"{each['text']} ({', '.join(each['evidence'])})" for each in reasons)
    return f"came from {came}" + (f", as: {said}" if said else "")


def _says_outputs(step: Any, code: int) -> bool:
    """Tell whether the sentence of a step says what it gives."""
    return isinstance(step, TableStep | RulesStep) or (isinstance(step, OutsideStep) and code == CAME)


def _sentence(step: Any, outcome: str, seen: str, said: str, to: str | None) -> str:
    begins = f"{seen}. {outcome[:1].upper()}{outcome[1:]}" if seen and outcome else seen or outcome
    parts = [f"{step.title}: {begins}"]
    if said:
        parts.append(f"gives {said}")
    if to is not None and (isinstance(step, RouteStep | PersonStep) or (isinstance(step, OutsideStep) and not said)):
        parts.append(f"goes to {to}")
    return "; ".join(parts)
