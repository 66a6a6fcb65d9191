"""A flow, and what follows from it alone: what its steps give, what they read, and everything that is wrong."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Any

from fivefold.flows.actions import LimitAction
from fivefold.flows.checks import amount_diagnostics, flow_structure_diagnostics
from fivefold.flows.language import (
    CalculateStep,
    Flow,
    OutsideStep,
    PersonStep,
    RouteStep,
    RulesStep,
    TableStep,
    read_flow,
)
from fivefold.flows.purposes import flow_purpose_diagnostics
from fivefold.risk.compiler.analysis import VERSIONS_KEPT, Analysed, AnalysedPolicy, analyse_canonical_policy
from fivefold.risk.compiler.diagnostics import Diagnostic
from fivefold.risk.compiler.locations import Location, inputs_named
from fivefold.risk.compiler.purposes import Sources
from fivefold.risk.compiler.units import unit_diagnostics
from fivefold.risk.compiler.value_types import Vocabulary, inputs_of, vocabulary
from fivefold.risk.facts.inputs import parts_of
from fivefold.risk.language.base import LanguageModel
from fivefold.risk.language.calculations import inputs_calculated
from fivefold.risk.language.documents import Path
from fivefold.risk.language.expressions import CalculationInput, distinct
from fivefold.risk.language.fields import StepOutput, ValueType
from fivefold.risk.language.policy import StepInput
from fivefold.risk.language.reading import read_stored

_KINDS = {"text": ValueType.TEXT, "number": ValueType.NUMBER, "money": ValueType.MONEY, "flag": ValueType.FLAG}


@dataclass(frozen=True, eq=False)
class AnalysedFlow(Analysed[Flow]):
    """A flow with the policies that it asks; two are equal where both have the same content.

    Attributes:
        policies: by name; a flow that asks one which is not there cannot be used.
    """

    policies: Mapping[str, AnalysedPolicy] = field(default_factory=dict)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AnalysedFlow) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    @cached_property
    def _identity(self) -> tuple[tuple[str, str], ...]:
        asked = ((name, self.policies[name].policy.content_hash) for name in sorted(self.policies))
        return (("", self.flow.content_hash), *asked)

    @property
    def flow(self) -> Flow:
        """The flow itself."""
        return self.definition

    @cached_property
    def names(self) -> Vocabulary:
        """The fields, levels, calculations and outputs of steps that conditions may name."""
        outputs = {step.id: given for step in self.flow.steps if (given := outputs_of(step, self.policies))}
        return vocabulary(self.flow, outputs)

    @cached_property
    def conditions(self) -> tuple[Location, ...]:
        """What must hold for each way and each row, with its path."""
        return tuple(_conditions(self.flow))

    @cached_property
    def inputs(self) -> tuple[LanguageModel, ...]:
        """Every input that conditions, calculations and amounts name, each once."""
        return tuple(distinct(each for _, each in self.inputs_with_paths))

    @cached_property
    def fact_inputs(self) -> tuple[LanguageModel, ...]:
        """The inputs that are read before the first step: neither what steps give nor what they calculate."""
        read = distinct(part for each in self.inputs for part in (each, *parts_of(each, self.names)))
        return tuple(each for each in read if not isinstance(each, StepInput | CalculationInput))

    @cached_property
    def policies_asked(self) -> tuple[str, ...]:
        """The names of the policies that it asks, each once."""
        return tuple(dict.fromkeys(step.rules.policy for step in self.flow.steps if isinstance(step, RulesStep)))

    @cached_property
    def lists_asked(self) -> tuple[str, ...]:
        """The named lists that it needs, or a policy that it asks."""
        asked = (self.policies[name].lists for name in self.policies_asked)
        return tuple(sorted({*self.lists, *(name for names in asked for name in names)}))

    @cached_property
    def inputs_with_paths(self) -> tuple[tuple[Path, LanguageModel], ...]:
        """Every input wherever it is written, with its path."""
        return tuple(_inputs(self.flow, self.conditions))

    @cached_property
    def structural_diagnostics(self) -> tuple[Diagnostic, ...]:
        """What is wrong with steps, actions, and what leads where."""
        units = unit_diagnostics(self.flow.calculate, self.names)
        found = [*flow_structure_diagnostics(self.flow, self.policies, self.inputs_with_paths), *units]
        found += amount_diagnostics(self.flow, self.names)
        return tuple(replace(each, path=self._in_step(each.path)) for each in found)

    def purpose_diagnostics(self, sources: Sources) -> Iterator[Diagnostic]:
        """Find what the flow may not read, for one of its actions."""
        return flow_purpose_diagnostics(self.flow, self.policies, self.inputs_with_paths, self.conditions, sources)

    def _in_step(self, path: Path) -> Path:
        """Lead to a calculation in the step that has it."""
        if path[:1] != ("calculate",):
            return path
        position = position_of_calculation(self.flow, str(path[1]))
        return ("steps", position, *path)


def position_of_calculation(flow: Flow, name: str) -> int:
    """Give the position of the step that calculates a number."""
    return next(
        place for place, step in enumerate(flow.steps) if isinstance(step, CalculateStep) and name in step.calculate
    )


def outputs_of(step: Any, policies: Mapping[str, AnalysedPolicy]) -> dict[str, StepOutput]:
    """Give what a step gives under names of its own; nothing for a policy that is not there."""
    if isinstance(step, TableStep):
        table = step.table
        given = [*(row.give for row in table.rows), table.otherwise, table.on_unknown or {}]
        texts = {name: tuple(dict.fromkeys(str(one[name]) for one in given if name in one)) for name in table.gives}
        return {
            name: StepOutput(_KINDS[kind], texts[name] if kind == "text" else ()) for name, kind in table.gives.items()
        }
    if isinstance(step, OutsideStep):
        return {
            name: StepOutput(_KINDS[kind]) if isinstance(kind, str) else StepOutput(ValueType.TEXT, kind.one_of)
            for name, kind in step.asks.outputs.items()
        }
    if isinstance(step, PersonStep):
        return {"answer": StepOutput(ValueType.TEXT, tuple(step.person.answers))}
    if isinstance(step, RulesStep) and step.rules.policy in policies:
        policy = policies[step.rules.policy].policy
        rules = tuple(rule.id for rule in policy.rules)
        return {
            "action": StepOutput(ValueType.TEXT, policy.actions),
            "decided_by": StepOutput(ValueType.TEXT, rules),
        }
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
        elif isinstance(step, OutsideStep):
            for name, fact in step.asks.facts.items():
                yield ("steps", position, step.kind, step.asks.facts_word, name), fact
    for place in conditions:
        yield from inputs_named(place)
    for number, action in enumerate(flow.actions):
        if isinstance(action, LimitAction) and isinstance(action.amount, LanguageModel):
            yield ("actions", number, "amount"), action.amount


def inputs_of_step(step: Any) -> list[LanguageModel]:
    """List every input that a step reads, each once."""
    if isinstance(step, CalculateStep):
        return distinct(each for one in step.calculate.values() for _, each in inputs_calculated(one))
    if isinstance(step, OutsideStep):
        return distinct(step.asks.facts.values())
    whens = [way.when for way in step.route] if isinstance(step, RouteStep) else []
    whens += [row.when for row in step.table.rows] if isinstance(step, TableStep) else []
    return distinct(each for when in whens for each in inputs_of(when))


def analyse_flow(
    text: str, source: str = "the flow", policies: Mapping[str, AnalysedPolicy] | None = None
) -> AnalysedFlow:
    """Read a flow that people wrote; InvalidRulesetError, with the lines, names everything that does not fit."""
    return AnalysedFlow(read_flow(text, source), policies or {})


@lru_cache(maxsize=VERSIONS_KEPT)
def analyse_canonical_flow(canonical: str, policies: tuple[str, ...] = ()) -> AnalysedFlow:
    """Read a stored flow from its canonical form, once for the same content; InvalidRulesetError as above.

    Args:
        canonical: of the flow.
        policies: the canonical forms of the policies that it asks.
    """
    asked = [analyse_canonical_policy(each) for each in policies]
    return AnalysedFlow(read_stored(Flow, canonical), {each.policy.name: each for each in asked})
