"""The explanation of a run: every step that it passed, what the step asked and saw, and the actions that follow."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any

from fivefold.domain.clock import second_text, utc_text
from fivefold.domain.money import minor_units
from fivefold.flows.actions import Action, LimitAction, PersonRole, is_reversible
from fivefold.flows.analysis import inputs_of_step
from fivefold.flows.asking.choices import ANSWERED, CAME_FROM, OTHERWISE, holds_words, unknown_words
from fivefold.flows.asking.steps import AskingFlow, AskingPolicy, AskingRuleset, Valuing
from fivefold.flows.asking.whys import StepReason, why_of_policy, why_of_ruleset, why_of_value
from fivefold.flows.language import (
    NOBODY,
    AskStep,
    CalculateStep,
    EndStep,
    Flow,
    FlowStep,
    OutsideStep,
    PersonStep,
    RouteStep,
    TableStep,
)
from fivefold.flows.outside.outcomes import read_model_asked
from fivefold.flows.outside.step import CAME, CompiledOutsideStep
from fivefold.flows.program import FlowProgram, amounts_of
from fivefold.flows.steps import LAST, STOP, Ending, RowContext, Stop
from fivefold.risk.compiler.analysis import VERSIONS_KEPT
from fivefold.risk.compiler.plain_conditions import Missing, PlainCompiler
from fivefold.risk.compiler.value_types import InputColumn, inputs_of
from fivefold.risk.engine.explain.describe import (
    Cuts,
    InputDescription,
    Pairs,
    condition_words,
    describe_inputs,
    numbers_in,
    pairs_in,
    value_words,
)
from fivefold.risk.engine.explain.failures import Misfit, misfit_words, misfits_of
from fivefold.risk.language.base import LanguageModel
from fivefold.risk.language.expressions import CalculationInput, Condition, input_key
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
        step: the id of the step.
        kind: the word that names its kind.
        outcome: which way or row was taken, what was answered, or that it failed.
        to: the id of the next step; None if the run stopped.
        asked: the condition that decided, in plain words; empty if none did.
        seen: the values of its inputs.
        missing: the inputs that were unknown, if that decided.
        gives: its outputs in words, by name.
        inner: the steps that the run of another flow passed, if the step asked one.
        sentence: all of it in one sentence.
        source: the source of an outcome from outside; empty for all else.
        came_at: when it came, in UTC; empty for all else.
        reasons: the reasons of an agent, each with the facts that it quotes.
        model: the model that answered: name, alias, version, digest, and what each column adds; None for all else.
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
    inner: tuple["StepTrace", ...] = ()
    model: Mapping[str, Any] | None = None

    def as_json(self) -> dict[str, Any]:
        """Return it as plain data for JSON."""
        inner = {"inner": [each.as_json() for each in self.inner]} if self.inner else {}
        model = {} if self.model is None else {"model": dict(self.model)}
        own = {name: value for name, value in vars(self).items() if name not in {"inner", "model"}}
        plain = {"missing": list(self.missing), "gives": dict(self.gives)}
        return {**own, **plain, "reasons": [dict(each) for each in self.reasons], **inner, **model}


@dataclass(frozen=True, kw_only=True)
class ActionTaken:
    """An action that follows from a run.

    Attributes:
        action: the id of the action.
        kind: the word that names its kind.
        subject: what it acts on; of two actions with the same subject only one is taken.
        purpose: what it is for.
        is_reversible: whether a person can take it back.
        sets: what it sets the subject to, in words.
        amount_minor: the amount of a limit, in minor units of the base currency; None for other actions.
        agreed_by: the role in which a person agreed, and the step that asked, such as `publisher at ask`; None if no
            person must.
    """

    action: str
    title: str
    kind: str
    subject: str
    purpose: str
    is_reversible: bool
    sets: str
    amount_minor: int | None
    agreed_by: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return it as plain data for JSON; `agreed_by` is left out if it is None."""
        return {name: value for name, value in vars(self).items() if name != "agreed_by" or value is not None}


@dataclass(frozen=True, kw_only=True)
class RunExplanation:
    """A run of a flow.

    Attributes:
        status: ended, failed, waits for a person, or asks the outside.
        at: the id of the step where it stopped.
        actions: the actions that follow; after a failure those of `on_failure`.
        steps: the steps that were passed, in their order.
        line: the run in one line.
    """

    status: str
    at: str
    actions: tuple[ActionTaken, ...]
    steps: tuple[StepTrace, ...]
    line: str

    def as_json(self) -> dict[str, Any]:
        """Return it as plain data for JSON."""
        steps = [step.as_json() for step in self.steps]
        return {**vars(self), "actions": [each.as_json() for each in self.actions], "steps": steps}


def explain_run(program: FlowProgram, row: Mapping[str, Any], context: RowContext | None = None) -> RunExplanation:
    """Explain a run.

    Args:
        program: the program of the run.
        row: the run's row from `FlowProgram.run` or `run_row`.
        context: the context of the run; without it, the outcomes of what it asked are not explained.
    """
    explainer = _explainer(program)
    passed = [position for position, step in enumerate(program.steps) if row[step.column] is not None]
    steps = tuple(explainer.step(position, row, context) for position in passed)
    stop, last = Stop(row[STOP]), program.flow.steps[row[LAST]]
    actions = tuple(explainer.actions(stop, row))
    return RunExplanation(
        status=STATUSES[stop], at=last.id, actions=actions, steps=steps, line=_line(stop, last.title, steps, actions)
    )


def _line(stop: Stop, title: str, steps: tuple[StepTrace, ...], actions: tuple[ActionTaken, ...]) -> str:
    actions_text = ", ".join(each.title for each in actions) or "no action"
    if stop is Stop.WAITS or stop is Stop.ASKS:
        return f"{STATUSES[stop].capitalize()}: {title}"
    if stop is Stop.FAILED:
        return f"Failed at {title}, as {steps[-1].outcome}: {actions_text}"
    return f"{title}: {actions_text}"


@dataclass(frozen=True, kw_only=True)
class _Shown:
    """The parts of a choice that are shown: the inputs that it read, and the condition that decided.

    Attributes:
        missing: returns the missing inputs of a row that make that condition unknown.
    """

    descriptions: tuple[InputDescription, ...]
    condition: str
    missing: Missing


def _nothing(_row: Mapping[str, Any]) -> tuple[str, ...]:
    return ()


@dataclass(frozen=True, kw_only=True)
class _Condition:
    """A condition of a choice, with its inputs by their keys, and the numbers and inputs that it compares with."""

    when: Condition
    inputs: Mapping[str, LanguageModel]
    cuts: Cuts
    pairs: Pairs


def _joined(parts: Iterable[Mapping[str, tuple[Any, ...]]]) -> dict[str, tuple[Any, ...]]:
    """Join the values that several mappings have under each key."""
    joined: dict[str, tuple[Any, ...]] = {}
    for key, values in (item for part in parts for item in part.items()):
        joined[key] = (*joined.get(key, ()), *values)
    return joined


@lru_cache(maxsize=VERSIONS_KEPT)
def _explainer(program: FlowProgram) -> "_Explainer":
    return _Explainer(program)


class _Explainer:
    """Explains the runs of one program; what belongs to its steps is prepared once."""

    def __init__(self, program: FlowProgram) -> None:
        self._program = program
        self._names = program.analysed.names
        self._choices: dict[tuple[str, int | None], _Shown] = {}
        self._conditions: dict[str, list[_Condition]] = {}
        self._inputs: dict[str, tuple[InputDescription, ...]] = {}
        self._misfits: dict[str, tuple[Misfit, ...]] = {}

    def step(self, position: int, row: Mapping[str, Any], context: RowContext | None) -> StepTrace:
        """Explain one step that was passed."""
        step, compiled = self._program.flow.steps[position], self._program.steps[position]
        code: int = row[compiled.column]
        leads = compiled.leads[code]
        gives = {name: self._value(row[column.name], column) for name, column in compiled.outputs.items()}
        why, outside = StepReason(), dict[str, Any]()
        if isinstance(step, RouteStep | TableStep):
            why = self._choice(step, code, row)
        elif isinstance(step, CalculateStep):
            why = StepReason(seen=self._inputs_text(self._described(step), row))
        elif isinstance(step, AskStep):
            why = self._asking(step, compiled, code, row, context)
        elif isinstance(step, PersonStep):
            answers = (*step.person.answers, NOBODY)
            outcome = f"{ANSWERED} {answers[code]}" if code < len(step.person.answers) else _UNANSWERED[leads < 0]
            why = StepReason(outcome, step.person.question, self._inputs_text(self._described(step), row))
        elif isinstance(step, OutsideStep):
            assert isinstance(compiled, CompiledOutsideStep)
            outside = _outside_parts(compiled, row)
            inputs_text = self._inputs_text(self._described(step), row)
            why = StepReason(_came(step, compiled, row), step.asks.whom, inputs_text)
        else:
            assert isinstance(step, EndStep)
            why = StepReason("ended" if leads == Stop.ENDED else "the amount of a limit is unknown")
        to = self._program.flow.steps[leads].id if leads >= 0 else None
        outputs_text = ", ".join(f"{name.replace('_', ' ')} {words}" for name, words in gives.items())
        return StepTrace(
            step=step.id,
            title=step.title,
            kind=step.kind,
            outcome=why.outcome,
            to=to,
            asked=why.asked,
            seen=why.seen,
            missing=why.missing,
            gives=gives,
            sentence=_sentence(step, why, outputs_text if _says_outputs(step, code) else "", to),
            inner=why.inner,
            **outside,
        )

    def _asking(
        self, step: AskStep, compiled: Any, code: int, row: Mapping[str, Any], context: RowContext | None
    ) -> "StepReason":
        """Return the reason for the outcome of asking a policy, a ruleset, for the value or another flow."""
        base = self._program.base
        if isinstance(compiled, Valuing):
            return why_of_value(compiled, code, base, row)
        if isinstance(compiled, AskingRuleset):
            return why_of_ruleset(compiled, code, base, context)
        if isinstance(compiled, AskingPolicy):
            return why_of_policy(compiled, code, base, context)
        assert isinstance(compiled, AskingFlow)
        assert isinstance(step, FlowStep)
        if context is None:
            return StepReason("" if code == 0 else "its run failed", f"flow {step.flow}")
        inner, within = self._program.programs[compiled.key], compiled.within(context)
        assert isinstance(inner, FlowProgram)
        run = explain_run(inner, inner.run_row(context.inputs[compiled.key], within), within)
        missing = run.steps[-1].missing if code else ()
        return StepReason("" if code == 0 else "its run failed", f"flow {step.flow}", run.line, missing, run.steps)

    def _choice(self, step: RouteStep | TableStep, code: int, row: Mapping[str, Any]) -> "StepReason":
        """Return the condition that decided, the values that were seen for it, and the missing inputs."""
        count = len(step.route) if isinstance(step, RouteStep) else len(step.table.rows)
        decided = code if code < count else code - count - 1 if code > count else None
        shown = self._shown(step, decided)
        inputs_text = self._inputs_text(shown.descriptions, row)
        if decided is None:
            return StepReason(OTHERWISE, f"none of {count} holds", inputs_text)
        word = "way" if isinstance(step, RouteStep) else "row"
        if code < count:
            return StepReason(holds_words(word, decided + 1, shown.condition), shown.condition, inputs_text)
        keys = shown.missing(row)
        missing = tuple(each.name for each in shown.descriptions if each.key in keys)
        return StepReason(unknown_words(word, decided + 1, shown.condition), shown.condition, inputs_text, missing)

    def _shown(self, step: RouteStep | TableStep, decided: int | None) -> "_Shown":
        """Return what is shown of a choice that one condition, or none, decided; prepared once."""
        if (step.id, decided) not in self._choices:
            conditions = self._conditions_of(step)
            tried = conditions if decided is None else conditions[: decided + 1]
            inputs = {key: each for condition in tried for key, each in condition.inputs.items()}
            cuts, pairs = _joined(each.cuts for each in tried), _joined(each.pairs for each in tried)
            compiler = PlainCompiler.of(self._program.inputs, self._program.lists)
            self._choices[step.id, decided] = _Shown(
                descriptions=self._describe(inputs.values(), cuts, pairs),
                condition="" if decided is None else condition_words(conditions[decided].when),
                missing=_nothing if decided is None else compiler.missing(conditions[decided].when),
            )
        return self._choices[step.id, decided]

    def _conditions_of(self, step: RouteStep | TableStep) -> "list[_Condition]":
        """Return the conditions of a choice, prepared once: a table has many, and each row shows those before it."""
        if step.id not in self._conditions:
            ways = step.route if isinstance(step, RouteStep) else step.table.rows
            self._conditions[step.id] = [
                _Condition(
                    when=way.when,
                    inputs={input_key(each): each for each in inputs_of(way.when)},
                    cuts=numbers_in([way.when]),
                    pairs=pairs_in([way.when]),
                )
                for way in ways
            ]
        return self._conditions[step.id]

    def _described(self, step: CalculateStep | OutsideStep | PersonStep) -> tuple[InputDescription, ...]:
        """Return what a step calculates, sends, or shows to a person; prepared once."""
        if step.id not in self._inputs:
            inputs: list[LanguageModel] = (
                [CalculationInput(calculation=name) for name in step.calculate]
                if isinstance(step, CalculateStep)
                else inputs_of_step(step)
            )
            self._inputs[step.id] = self._describe(inputs)
        return self._inputs[step.id]

    def _describe(self, inputs: Iterable[LanguageModel], *compared: Any) -> tuple[InputDescription, ...]:
        """Describe inputs; for those made of others, prepare the words for a part that could not be read."""
        described = describe_inputs(inputs, self._names, self._program.base, *compared)
        inputs_by_key = {input_key(each): each for each in inputs}
        self._misfits |= {
            one.key: misfits_of([inputs_by_key[one.key]], self._names) for one in described if one.formula is not None
        }
        return described

    def _inputs_text(self, descriptions: Iterable[InputDescription], row: Mapping[str, Any]) -> str:
        """Return the values of a step's inputs in words; if one cannot be calculated, also the parts that are why."""
        texts = []
        for one in descriptions:
            unread = misfit_words(self._misfits[one.key], row) if one.formula is not None and row.get(one.error) else ()
            texts.append(one.words(row) + (f", because {' and '.join(unread)}" if unread else ""))
        return ", ".join(texts)

    def _value(self, value: Any, column: InputColumn) -> str:
        return value_words(value, column, self._program.base if column.kind is ValueType.MONEY else "")

    def actions(self, stop: Stop, row: Mapping[str, Any]) -> list[ActionTaken]:
        """Return the actions that follow from a run; none while it waits or asks."""
        program = self._program
        if stop is Stop.WAITS or stop is Stop.ASKS:
            return []
        if stop is Stop.FAILED:
            return actions_after_failure(program.flow, program.base)
        last = program.steps[row[LAST]]
        assert isinstance(last, Ending)
        amounts = {each.action: row[each.column] for each in last.amounts}
        return [self._action(program.flow.action(name), amounts.get(name), row) for name in last.actions]

    def _action(self, action: Action, amount: int | None, row: Mapping[str, Any]) -> ActionTaken:
        program, wished = self._program, None
        if isinstance(action, LimitAction) and isinstance(action.amount, LanguageModel):
            wished = row[input_key(action.amount)]
        agreed = None if action.agreed_by is None else self._agreed(action.agreed_by, row)
        return _action_text(program.flow, program.base, action, amount, wished, agreed)

    def _agreed(self, role: PersonRole, row: Mapping[str, Any]) -> str:
        """Return the role, and the last step at which a person in it answered; checks of flows ensure that one did."""
        answered = [
            step.id
            for step, compiled in zip(self._program.flow.steps, self._program.steps, strict=True)
            if isinstance(step, PersonStep) and step.person.role == role
            if row[compiled.column] is not None and row[compiled.column] < len(step.person.answers)
        ]
        return f"{role} at {answered[-1]}"


def actions_after_failure(flow: Flow, base: str) -> list[ActionTaken]:
    """Return the actions of `on_failure`: they follow from the flow alone, not from what a run read or was answered."""
    amounts = {each.action: each.within(each.number) for each in amounts_of(flow, base, flow.on_failure)}
    return [_action_text(flow, base, flow.action(name), amounts.get(name)) for name in flow.on_failure]


def _action_text(
    flow: Flow,
    base: str,
    action: Action,
    amount: int | None,
    wished: Any = None,
    agreed_by: str | None = None,
) -> ActionTaken:
    """Describe an action: *amount* is what its limit is set to, and *wished* the amount that a step found for it."""
    sets = str(getattr(action, action.kind))
    if isinstance(action, LimitAction):
        column = InputColumn("", ValueType.MONEY, minor_units(base))
        sets = f"{action.limit} {value_words(amount, column, base)}"
        wished = action.amount * column.units if isinstance(action.amount, Decimal) else wished
        if wished is not None and amount is not None and round(wished) != amount:
            bound = "greatest" if wished > amount else "least"
            sets += f", the {bound} that may be set, in place of {value_words(round(wished), column, base)}"
    return ActionTaken(
        action=action.id,
        title=action.title,
        kind=action.kind,
        subject=action.subject,
        purpose=action.purpose or flow.purpose,
        is_reversible=is_reversible(action),
        sets=sets,
        amount_minor=amount,
        agreed_by=agreed_by,
    )


_UNANSWERED: Mapping[bool, str] = {True: "waits for an answer", False: "nobody answered in time"}


def _outside_parts(compiled: CompiledOutsideStep, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the source and the time of an outcome, an agent's reasons, and the model; empty until there is one."""
    if row[compiled.at_column] is None:
        return {}
    reasons = json.loads(row[compiled.reasons_column] or "[]")
    return {
        "source": row[compiled.source_column],
        "came_at": utc_text(row[compiled.at_column]),
        "reasons": tuple(reasons),
        "model": json.loads(row[compiled.model_column] or "null"),
    }


def _came(step: OutsideStep, compiled: CompiledOutsideStep, row: Mapping[str, Any]) -> str:
    """Return words for the values that came back, their source and the time."""
    at = row[compiled.at_column]
    if at is None:
        return f"asks {step.asks.whom}"
    came = f"{row[compiled.source_column]} at {second_text(at)}"
    failed = row[compiled.failed_column]
    if failed is not None:
        return f"nothing that can be used came from {came}: {failed}"
    reasons = json.loads(row[compiled.reasons_column] or "[]")
    explanation = " ".join(f"{each['text']} ({', '.join(each['evidence'])})" for each in reasons)
    model = json.loads(row[compiled.model_column] or "null")
    if model is not None:
        explanation = read_model_asked(model).words
    return f"{CAME_FROM} {came}" + (f", as: {explanation}" if explanation else "")


def _says_outputs(step: Any, code: int) -> bool:
    """Check whether the sentence of a step states its outputs."""
    return isinstance(step, TableStep) or (isinstance(step, AskStep | OutsideStep) and code == CAME)


def _sentence(step: Any, why: StepReason, outputs_text: str, to: str | None) -> str:
    inputs_text, outcome = why.seen, "" if why.is_said else why.outcome
    begins = f"{inputs_text}. {outcome[:1].upper()}{outcome[1:]}" if inputs_text and outcome else inputs_text or outcome
    parts = [f"{step.title}: {begins}" if begins else step.title]
    if outputs_text:
        parts.append(f"gives {outputs_text}")
    if to is not None and (
        isinstance(step, RouteStep | PersonStep) or (isinstance(step, OutsideStep) and not outputs_text)
    ):
        parts.append(f"goes to {to}")
    return "; ".join(parts)
