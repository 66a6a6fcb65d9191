"""Limits of agents: none names an action, or is the only reason for an end that is bad for a customer.

An end is adverse if it flags, escalates or blocks, sets a limit, or starts, refuses or ends a relationship. It is also
adverse if it gives a tag, puts into a group, opens a case or calls a webhook. Others act on these: a flow that listens,
a rule that raises the level, a program. A flow's document does not say who will read them, so none counts as harmless.
A flow that another one asks has no agent in it. A run that passed an agent may reach an adverse end only past something
else that could have kept it away:

- a person's answer, if another answer to the same question leads away from that end;
- a way of a route whose condition also reads something else, if a later way or `otherwise` leads away from it; or the
  ways before it, if one reads nothing from the agent and leads away.

A missing answer of a person is not an answer, and `on_unknown` is not a rule. A value that a table, a calculation or a
source of data makes of an agent's answer counts as the agent's. The output of a step counts as the agent's, too, if it
depends on the agent's answer whether a run passes that step.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import BaseModel

from fivefold.flows.actions import (
    Action,
    CaseAction,
    GivesTag,
    LimitAction,
    ReviewAction,
    StatusAction,
    WebhookAction,
)
from fivefold.flows.language import (
    AgentStep,
    CalculateStep,
    EndStep,
    Flow,
    PersonStep,
    RouteStep,
    RulesStep,
    TableStep,
)
from fivefold.flows.paths import Passed, next_positions, passed_before, undecided_by_person
from fivefold.risk.compiler.diagnostics import Diagnostic
from fivefold.risk.compiler.value_types import inputs_of
from fivefold.risk.language.base import LanguageModel
from fivefold.risk.language.documents import Path
from fivefold.risk.language.expressions import All, Any_, CalculationInput
from fivefold.risk.language.policy import StepInput

_ACTED_ON = (GivesTag, CaseAction, WebhookAction)
"""The actions that others act on: flows that listen, rules, programs."""


def is_adverse(action: Action) -> bool:
    """Check whether an action is bad for a customer, or may become so: all but a review and an approval.

    A review is for a person alone, and nothing listens to it. An approval takes nothing away, unless it decides on a
    relationship: every action that does is adverse.
    """
    if action.relationship is not None:
        return True
    return not (isinstance(action, ReviewAction) or (isinstance(action, StatusAction) and action.status == "approved"))


def agent_diagnostics(flow: Flow, inputs: Sequence[tuple[Path, LanguageModel]]) -> Iterator[Diagnostic]:
    """Find places where an agent decides more than it may; *inputs* are the inputs of the flow, with their paths."""
    agents = [position for position, step in enumerate(flow.steps) if isinstance(step, AgentStep)]
    if not agents:
        return
    names = {action.id for action in flow.actions}
    for position in agents:
        step = flow.steps[position]
        assert isinstance(step, AgentStep)
        for number, answer in enumerate(step.agent.answers):
            path: Path = ("steps", position, "agent", "answers", number)
            if answer in names:
                yield Diagnostic(path, f"{answer} is an action; an agent names none, choose another word")
            if answer in step.agent.answers[:number]:
                yield Diagnostic(path, f"{answer} is there already; each answer is another one")
    reader = _Reader(flow, inputs, agents)
    yield from _ends(flow, reader)
    yield from _amounts(flow, reader)
    yield from _failures(flow, reader)


class _Reader:
    """Finds the values that come from an agent, wherever a flow reads them."""

    def __init__(self, flow: Flow, inputs: Sequence[tuple[Path, LanguageModel]], agents: Sequence[int]) -> None:
        self._flow, self._agents = flow, frozenset(agents)
        self._before: list[Passed] = passed_before(flow)
        self._by_step: dict[int, list[LanguageModel]] = {}
        for path, each in inputs:
            if path[0] == "steps":
                self._by_step.setdefault(int(path[1]), []).append(each)
        self._from_agent: set[int] = set(agents)
        for position, step in enumerate(flow.steps):  # a step reads what earlier ones give
            if not isinstance(step, PersonStep | RulesStep) and self.reads_agent(
                self._by_step.get(position, ()), position
            ):
                self._from_agent.add(position)

    def passed_agent(self, position: int) -> bool:
        """Check whether a run may have passed an agent before a step."""
        return bool(self._before[position].possibly & self._agents)

    def step_reads_agent(self, position: int) -> bool:
        """Check whether anything that a step reads comes from an agent."""
        return self.reads_agent(self._by_step.get(position, ()), position)

    def reads_agent(self, inputs: Sequence[LanguageModel], position: int) -> bool:
        """Check whether one of *inputs*, read at a step, comes from an agent."""
        return any(self._comes_from_agent(source, position) for each in inputs for source in self._sources(each))

    def _comes_from_agent(self, source: int, position: int) -> bool:
        if source in self._from_agent:
            return True
        is_sure = source in self._before[position].surely or source == position
        return not is_sure and self.passed_agent(source)  # passing it may reveal the agent's answer

    def _sources(self, part: Any) -> Iterator[int]:
        """Yield the positions of the steps that give an input."""
        if isinstance(part, StepInput):
            yield from self._places(part.step)
        elif isinstance(part, CalculationInput):
            for position, step in enumerate(self._flow.steps):
                if isinstance(step, CalculateStep) and part.calculation in step.calculate:
                    yield position
        elif isinstance(part, BaseModel):
            for name in type(part).model_fields:
                yield from self._sources(getattr(part, name))
        elif isinstance(part, list | tuple):
            for each in part:
                yield from self._sources(each)

    def _places(self, step: str) -> Iterator[int]:
        if step in self._flow.positions:
            yield self._flow.positions[step]

    def stands_alone(self, condition: Any, position: int) -> bool:
        """Check whether a condition has inputs, none of which comes from an agent."""
        inputs = list(inputs_of(condition))
        return bool(inputs) and not self.reads_agent(inputs, position)

    def asks_else(self, condition: Any, position: int) -> bool:
        """Check whether a condition requires something that does not come from an agent."""
        if isinstance(condition, All):
            return any(self.asks_else(part, position) for part in condition.all)
        if isinstance(condition, Any_):
            return all(self.asks_else(part, position) for part in condition.any)
        return self.stands_alone(condition, position)


def _ends(flow: Flow, reader: _Reader) -> Iterator[Diagnostic]:
    """Find adverse ends for which an agent could be the only reason."""
    for position, step in enumerate(flow.steps):
        if not isinstance(step, EndStep) or not reader.passed_agent(position):
            continue
        adverse = [number for number, name in enumerate(step.end) if is_adverse(flow.action(name))]
        way = _by_agent_alone(flow, position, reader) if adverse else None
        if way is not None:
            passed = " → ".join(flow.steps[each].id for each in way)
            action = flow.action(step.end[adverse[0]])
            others = f" (others act on a {action.kind})" if isinstance(action, _ACTED_ON) else ""
            yield Diagnostic(
                ("steps", position, "end", adverse[0]),
                f"{action.id}: an agent could be the only reason, by {passed}; a person's answer, or a way "
                f"of a route that asks something else, must be able to keep a run from here{others}",
            )


def _by_agent_alone(flow: Flow, end: int, reader: _Reader) -> tuple[int, ...] | None:
    """Find a way past an agent to an end that nothing else could have prevented; None if there is none."""
    leading = {end}
    for position in range(end, -1, -1):
        if any(to in leading for to in next_positions(flow, position)):
            leading.add(position)
    ways: dict[tuple[int, bool], tuple[int, ...]] = {(0, False): (0,)}
    for position in range(end):
        for passed in (False, True):
            way = ways.get((position, passed))
            if way is None:
                continue
            after = passed or isinstance(flow.steps[position], AgentStep)
            for to in _undecided(flow, position, leading, reader):
                ways.setdefault((to, after), (*way, to))
    return ways.get((end, True))


def _undecided(flow: Flow, position: int, leading: set[int], reader: _Reader) -> Iterator[int]:
    """Yield the next steps of a run that nothing but an agent could have kept from *leading*."""
    step = flow.steps[position]
    if not isinstance(step, RouteStep):
        yield from undecided_by_person(flow, position, leading)
        return
    to = [flow.positions[way.to] for way in step.route]
    otherwise = flow.positions[step.otherwise]
    for number, way in enumerate(step.route):
        leads_away = any(each not in leading for each in (*to[number + 1 :], otherwise))
        is_asked = reader.asks_else(way.when, position) and leads_away
        if not is_asked and not _kept_before(step, to[:number], position, leading, reader):
            yield to[number]
    if not _kept_before(step, to, position, leading, reader):
        yield otherwise
    if step.on_unknown is not None:
        yield flow.positions[step.on_unknown]


def _kept_before(step: RouteStep, to: Sequence[int], position: int, leading: set[int], reader: _Reader) -> bool:
    """Check whether one of the ways to *to* leads away from *leading*, and reads nothing from an agent."""
    whens = [way.when for way in step.route]
    return any(
        place not in leading and reader.stands_alone(when, position) for when, place in zip(whens, to, strict=False)
    )


def _amounts(flow: Flow, reader: _Reader) -> Iterator[Diagnostic]:
    """Find limits whose amount comes from an agent."""
    for number, action in enumerate(flow.actions):
        if not isinstance(action, LimitAction) or not isinstance(action.amount, LanguageModel):
            continue
        ends = [place for place, step in enumerate(flow.steps) if isinstance(step, EndStep) and action.id in step.end]
        if any(reader.reads_agent([action.amount], place) for place in ends):
            yield Diagnostic(("actions", number, "amount"), "is made of what an agent answered; an agent sets no limit")


def _failures(flow: Flow, reader: _Reader) -> Iterator[Diagnostic]:
    """Find steps at which an agent without an answer fails the run, and so causes an adverse action of `on_failure`."""
    adverse = [name for name in flow.on_failure if is_adverse(flow.action(name))]
    if not adverse:
        return
    for position, step in enumerate(flow.steps):
        if isinstance(step, RouteStep | TableStep):
            path: Path = ("steps", position) if isinstance(step, RouteStep) else ("steps", position, "table")
            bare = (step.on_unknown if isinstance(step, RouteStep) else step.table.on_unknown) is None
            is_agent = bare and reader.step_reads_agent(position)
        else:
            path, is_agent = ("steps", position), isinstance(step, AgentStep) and step.on_unknown is None
        if is_agent:
            yield Diagnostic(
                path, f"has no on_unknown: an agent without an answer would be the only reason for {adverse[0]}"
            )
