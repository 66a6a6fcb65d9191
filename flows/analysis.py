"""Analysis of a flow by itself: the outputs of its steps, their inputs, and all faults."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Any, get_args

from fivefold.flows.actions import LimitAction
from fivefold.flows.checks import amount_diagnostics, asked_diagnostics, flow_structure_diagnostics
from fivefold.flows.language import (
    CalculateStep,
    EndStep,
    Flow,
    FlowStep,
    OutsideStep,
    PersonStep,
    PolicyName,
    RouteStep,
    RulesetName,
    RulesStep,
    TableStep,
    ValueStep,
    read_flow,
)
from fivefold.flows.purposes import flow_purpose_diagnostics
from fivefold.risk.compiler.analysis import (
    VERSIONS_KEPT,
    Analysed,
    AnalysedPolicy,
    AnalysedRuleset,
    analyse_canonical,
    analyse_canonical_policy,
)
from fivefold.risk.compiler.diagnostics import Diagnostic
from fivefold.risk.compiler.locations import Location, inputs_named
from fivefold.risk.compiler.purposes import Sources
from fivefold.risk.compiler.units import unit_diagnostics
from fivefold.risk.compiler.value_types import Vocabulary, inputs_of, value_type_of_input, vocabulary
from fivefold.risk.facts.inputs import parts_of
from fivefold.risk.language.base import LanguageModel
from fivefold.risk.language.calculations import inputs_calculated
from fivefold.risk.language.documents import Path
from fivefold.risk.language.expressions import CalculationInput, ValueInput, ValueName, distinct
from fivefold.risk.language.fields import StepOutput, ValueType
from fivefold.risk.language.policy import StepInput
from fivefold.risk.language.reading import read_stored

_KINDS = {"text": ValueType.TEXT, "number": ValueType.NUMBER, "money": ValueType.MONEY, "flag": ValueType.FLAG}


VALUE_INPUTS: Mapping[str, ValueInput] = {name: ValueInput(value=name) for name in get_args(ValueName)}
"""The inputs of a step that asks for the value, by the names of its outputs."""


@dataclass(frozen=True, eq=False)
class AnalysedFlow(Analysed[Flow]):
    """A flow with everything it asks; two are equal if both have the same content.

    Attributes:
        policies: the policies, by name; a flow that asks a missing one cannot be used.
        rulesets: the rulesets, likewise.
        flows: the flows, likewise, each with everything that it asks.
        cycles: for each asked flow that also asks this one, the names on the way from it back to itself.
    """

    policies: Mapping[str, AnalysedPolicy] = field(default_factory=dict)
    rulesets: Mapping[str, AnalysedRuleset] = field(default_factory=dict)
    flows: Mapping[str, "AnalysedFlow"] = field(default_factory=dict)
    cycles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AnalysedFlow) and self.identity == other.identity

    def __hash__(self) -> int:
        return hash(self.identity)

    @cached_property
    def identity(self) -> str:
        """The SHA-256 of the content of the flow and everything it asks, in hexadecimal."""
        parts = [self.flow.content_hash]
        parts += [f"policy {name} {self.policies[name].policy.content_hash}" for name in sorted(self.policies)]
        parts += [f"ruleset {name} {self.rulesets[name].ruleset.content_hash}" for name in sorted(self.rulesets)]
        parts += [f"flow {name} {self.flows[name].identity}" for name in sorted(self.flows)]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    @property
    def flow(self) -> Flow:
        """The flow itself."""
        return self.definition

    @cached_property
    def names(self) -> Vocabulary:
        """The fields, levels, calculations and outputs of steps that conditions may name."""
        outputs = {step.id: step_outputs for step in self.flow.steps if (step_outputs := outputs_of(step, self))}
        return vocabulary(self.flow, outputs)

    @cached_property
    def conditions(self) -> tuple[Location, ...]:
        """The condition of each way and each row, with its path."""
        return tuple(_conditions(self.flow))

    @cached_property
    def inputs(self) -> tuple[LanguageModel, ...]:
        """Every input that conditions, calculations and amounts name, each once."""
        return tuple(distinct(each for _, each in self.inputs_with_paths))

    @cached_property
    def fact_inputs(self) -> tuple[LanguageModel, ...]:
        """The inputs that are read before the first step: all but the outputs and calculations of steps."""
        read = distinct(part for each in self.inputs for part in (each, *parts_of(each, self.names)))
        return tuple(each for each in read if not isinstance(each, StepInput | CalculationInput))

    @cached_property
    def dependencies(self) -> Mapping[str, Analysed[Any]]:
        """Every available policy, ruleset and flow that it asks, by itself or through another flow, by key.

        The key of a policy is its name; of a ruleset or a flow, the word and the name. If another flow asks something,
        its key begins with that flow's key: `flow night/ruleset plain`.
        """
        own: dict[str, Analysed[Any]] = {name: self.policies[name] for name in self._there("policy", self.policies)}
        own |= {f"ruleset {name}": self.rulesets[name] for name in self._there("ruleset", self.rulesets)}
        for name in self._there("flow", self.flows):
            own[key := f"flow {name}"] = self.flows[name]
            own |= {f"{key}/{below}": each for below, each in self.flows[name].dependencies.items()}
        return own

    def _there(self, word: Any, there: Mapping[str, Any]) -> list[str]:
        return [name for name in self.flow.names_asked(word) if name in there]

    @cached_property
    def cycle(self) -> tuple[str, ...]:
        """The first cycle among the flow and the flows it asks, as names; empty if there is none."""
        below = (self.flows[name].cycle for name in self._there("flow", self.flows))
        return next((way for way in (*self.cycles.values(), *below) if way), ())

    @cached_property
    def declared(self) -> Flow:
        """The flow with the fields and links of everything it asks beside its own, as examples can give them."""
        parts = ("fields", "transaction_fields", "case_fields", "links")
        documents = [*(each.definition for each in self.dependencies.values()), self.flow]
        return self.flow.model_copy(
            update={
                part: {name: form for one in documents for name, form in getattr(one, part, {}).items()}
                for part in parts
            }
        )

    @cached_property
    def asks_value(self) -> bool:
        """Whether one of its own steps asks for the value."""
        return any(isinstance(step, ValueStep) for step in self.flow.steps)

    @cached_property
    def inner_count(self) -> int:
        """The number of flows in one run: itself, the flows that it asks, and those that they ask."""
        return 1 + sum(self.flows[name].inner_count for name in self._there("flow", self.flows))

    @cached_property
    def lists_asked(self) -> tuple[str, ...]:
        """The named lists that it, or anything it asks, needs."""
        return tuple(sorted({*self.lists, *(name for each in self.dependencies.values() for name in each.lists)}))

    @cached_property
    def references_asked(self) -> frozenset[str]:
        """The reference portfolios that it, or anything it asks, needs."""
        return self.references.union(*(each.references for each in self.dependencies.values()))

    @cached_property
    def inputs_with_paths(self) -> tuple[tuple[Path, LanguageModel], ...]:
        """Every input wherever it is written, with its path."""
        return tuple(_inputs(self.flow, self.conditions))

    @cached_property
    def structural_diagnostics(self) -> tuple[Diagnostic, ...]:
        """The faults of steps, actions, calculations, and ways between steps."""
        units = unit_diagnostics(self.flow.calculate, self.names)
        diagnostics = [*flow_structure_diagnostics(self.flow, self.inputs_with_paths), *asked_diagnostics(self), *units]
        diagnostics += amount_diagnostics(self.flow, self.names)
        return tuple(replace(each, path=self._in_step(each.path)) for each in diagnostics)

    def purpose_diagnostics(self, sources: Sources) -> Iterator[Diagnostic]:
        """Find what the flow may not read, given the purposes of its actions."""
        return flow_purpose_diagnostics(self, sources)

    def _in_step(self, path: Path) -> Path:
        """Return the path of a calculation within its step."""
        if path[:1] != ("calculate",):
            return path
        position = position_of_calculation(self.flow, str(path[1]))
        return ("steps", position, *path)


def position_of_calculation(flow: Flow, name: str) -> int:
    """Return the position of the step that calculates a number."""
    return next(
        place for place, step in enumerate(flow.steps) if isinstance(step, CalculateStep) and name in step.calculate
    )


def outputs_of(step: Any, analysed: AnalysedFlow) -> dict[str, StepOutput]:
    """Return the outputs of a step by name; empty if what it asks is missing."""
    if isinstance(step, TableStep):
        table = step.table
        outputs_by_row = [*(row.give for row in table.rows), table.otherwise, table.on_unknown or {}]
        texts = {
            name: tuple(dict.fromkeys(str(one[name]) for one in outputs_by_row if name in one)) for name in table.gives
        }
        return {
            name: StepOutput(_KINDS[kind], texts[name] if kind == "text" else ()) for name, kind in table.gives.items()
        }
    if isinstance(step, OutsideStep):
        return outside_outputs(step)
    if isinstance(step, PersonStep):
        return {"answer": StepOutput(ValueType.TEXT, tuple(step.person.answers))}
    return _outputs_of_rules(step.rules, analysed) if isinstance(step, RulesStep) else _outputs_asked(step, analysed)


def outside_outputs(step: OutsideStep) -> dict[str, StepOutput]:
    """Return the outputs of a step that asks the outside, by name."""
    return {
        name: StepOutput(_KINDS[kind]) if isinstance(kind, str) else StepOutput(ValueType.TEXT, kind.one_of)
        for name, kind in step.asks.output_kinds.items()
    }


_NO_NAMES = Vocabulary(entity={}, transaction={}, case={})


def _outputs_asked(step: Any, analysed: AnalysedFlow) -> dict[str, StepOutput]:
    if isinstance(step, ValueStep):
        return {name: StepOutput(value_type_of_input(each, _NO_NAMES)) for name, each in VALUE_INPUTS.items()}
    if isinstance(step, FlowStep) and step.flow in analysed.flows:
        ends = tuple(each.id for each in analysed.flows[step.flow].flow.steps if isinstance(each, EndStep))
        return {"ends": StepOutput(ValueType.TEXT, ends)}
    return {}


def _outputs_of_rules(rules: PolicyName | RulesetName, analysed: AnalysedFlow) -> dict[str, StepOutput]:
    if isinstance(rules, PolicyName) and rules.policy in analysed.policies:
        policy = analysed.policies[rules.policy].policy
        ids = tuple(rule.id for rule in policy.rules)
        return {
            "action": StepOutput(ValueType.TEXT, policy.actions),
            "decided_by": StepOutput(ValueType.TEXT, ids),
        }
    if isinstance(rules, RulesetName) and rules.ruleset in analysed.rulesets:
        ruleset = analysed.rulesets[rules.ruleset].ruleset
        return {"level": StepOutput(ValueType.LEVEL, ruleset.levels), "total": StepOutput(ValueType.NUMBER)}
    return {}


def _conditions(flow: Flow) -> Iterator[Location]:
    for position, step in enumerate(flow.steps):
        if isinstance(step, RouteStep):
            for number, way in enumerate(step.route):
                yield Location(("steps", position, "route", number, "when"), way.when)
        elif isinstance(step, TableStep):
            for number, row in enumerate(step.table.rows):
                yield Location(("steps", position, "table", "rows", number, "when"), row.when)


def _inputs(flow: Flow, conditions: tuple[Location, ...]) -> Iterator[tuple[Path, LanguageModel]]:
    for position, step in enumerate(flow.steps):
        if isinstance(step, CalculateStep):
            for name, calculation in step.calculate.items():
                yield from inputs_calculated(calculation, ("steps", position, "calculate", name))
        yield from _inputs_shown(position, step)
        if isinstance(step, ValueStep):
            yield from ((("steps", position, "value"), each) for each in VALUE_INPUTS.values())
    for place in conditions:
        yield from inputs_named(place)
    for number, action in enumerate(flow.actions):
        if isinstance(action, LimitAction) and isinstance(action.amount, LanguageModel):
            yield ("actions", number, "amount"), action.amount


def _inputs_shown(position: int, step: Any) -> Iterator[tuple[Path, LanguageModel]]:
    """Yield the inputs that a step sends outside, or shows to a person, with their paths."""
    if isinstance(step, OutsideStep):
        for name, fact in step.asks.facts_sent.items():
            yield ("steps", position, step.kind, step.asks.sent_word, name), fact
    elif isinstance(step, PersonStep):
        for number, each in enumerate(step.person.look_at):
            if not isinstance(each, str):
                yield ("steps", position, "person", "look_at", number), each


def inputs_of_step(step: Any) -> list[LanguageModel]:
    """List every input that a step reads, each once."""
    if isinstance(step, CalculateStep):
        return distinct(each for one in step.calculate.values() for _, each in inputs_calculated(one))
    if isinstance(step, OutsideStep):
        return distinct(step.asks.facts_sent.values())
    if isinstance(step, PersonStep):
        return distinct(step.person.inputs_looked_at)
    if isinstance(step, ValueStep):
        return [*VALUE_INPUTS.values()]
    whens = [way.when for way in step.route] if isinstance(step, RouteStep) else []
    whens += [row.when for row in step.table.rows] if isinstance(step, TableStep) else []
    return distinct(each for when in whens for each in inputs_of(when))


def analyse_flow(text: str, source: str = "the flow") -> AnalysedFlow:
    """Read a flow that people wrote, without what it asks.

    InvalidRulesetError, with the lines, names everything that does not fit.

    Args:
        text: YAML or JSON.
        source: the name of its source, for messages.
    """
    return with_asked(read_flow(text, source), {}, {}, {})


def with_asked(
    flow: Flow,
    policies: Mapping[str, AnalysedPolicy],
    rulesets: Mapping[str, AnalysedRuleset],
    flows: Mapping[str, Flow],
) -> AnalysedFlow:
    """Join a flow with everything it asks; the flow that closes a cycle has it in `cycles`."""
    analysed_flows: dict[str, AnalysedFlow] = {}

    def joined(one: Flow, way: tuple[str, ...]) -> AnalysedFlow:
        inner, cycles = dict[str, AnalysedFlow](), dict[str, tuple[str, ...]]()
        for name in one.names_asked("flow"):
            if name in way:
                cycles[name] = (*way[way.index(name) :], name)
            elif name in flows:
                if name not in analysed_flows:
                    analysed_flows[name] = joined(flows[name], (*way, name))
                inner[name] = analysed_flows[name]
        return AnalysedFlow(one, policies, rulesets, inner, cycles)

    return joined(flow, (flow.name,))


@lru_cache(maxsize=VERSIONS_KEPT)
def analyse_canonical_flow(
    canonical: str, policies: tuple[str, ...] = (), rulesets: tuple[str, ...] = (), flows: tuple[str, ...] = ()
) -> AnalysedFlow:
    """Read a stored flow from its canonical form, once for the same content; InvalidRulesetError as above.

    Args:
        canonical: the canonical form of the flow.
        policies: the canonical forms of the policies that it asks.
        rulesets: those of the rulesets.
        flows: those of the flows, and of all flows that these ask.
    """
    inner = [read_stored(Flow, each) for each in flows]
    return with_asked(
        read_stored(Flow, canonical),
        {each.policy.name: each for each in map(analyse_canonical_policy, policies)},
        {each.ruleset.name: each for each in map(analyse_canonical, rulesets)},
        {flow.name: flow for flow in inner},
    )
