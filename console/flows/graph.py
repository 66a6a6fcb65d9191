"""The drawn graph of a flow: its steps in layers, its ways, and the highlighted path of one run."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fivefold.charts.graphs import Box, Edge, EdgePath, GraphPlot, Label, Node, layered_graph
from fivefold.console.texts import text
from fivefold.domain.errors import InvalidRulesetError
from fivefold.flows.asking.choices import way_taken
from fivefold.flows.language import EndStep, Flow, RouteStep, read_flow, ways_from
from fivefold.flows.policies import flow_of_policy
from fivefold.risk.engine.explain.describe import condition_words
from fivefold.risk.language.documents import Path
from fivefold.risk.language.policy import read_policy


@dataclass(frozen=True, kw_only=True)
class StepLine:
    """A step in the table beside the graph.

    Attributes:
        leads: the label of each way, and the title of the step to which it leads.
        lit: the place of the way that a run took; None if it took none, or if no run is shown.
    """

    id: str
    title: str
    kind: str
    rationale: str
    leads: tuple[tuple[str, str], ...]
    actions: tuple[str, ...]
    lit: int | None = None

    @property
    def what(self) -> str:
        """What it does, in words."""
        return kind_words(self.kind)


@dataclass(frozen=True, kw_only=True)
class FlowPicture:
    """A drawn flow.

    Attributes:
        passed: the steps that a run passed; None if no run is shown.
        ways_taken: the ways that it took.
        stopped: the step at which it stopped; empty if no run is shown.
    """

    plot: GraphPlot
    steps: tuple[StepLine, ...]
    passed: frozenset[str] | None = None
    ways_taken: frozenset[Edge] = field(default_factory=frozenset)
    stopped: str = ""

    def look_of_box(self, box: Box) -> str:
        """Return the class of a step's box."""
        if self.passed is None:
            return ""
        return "lit stopped" if box.id == self.stopped else "lit" if box.id in self.passed else "dim"

    def look_of_line(self, line: EdgePath) -> str:
        """Return the class of a part of a line."""
        return self._look(any((way.source, way.target) in line.of for way in self.ways_taken))

    def looks_of_label(self, label: Label) -> tuple[str, ...]:
        """Return the class of each line of a label: of several ways between two steps, a run took one."""
        labels_lit = {way.label for way in self.ways_taken if (way.source, way.target) == label.of}
        return tuple(self._look(bool(labels_lit & labels)) for labels in label.labels)

    def look_of_arrow(self, box: Box) -> str:
        """Return the class of the arrow that enters a box."""
        return self._look(any(way.target == box.id for way in self.ways_taken))

    def _look(self, is_lit: bool) -> str:
        if self.passed is None:
            return ""
        return "lit" if is_lit else "dim"


def kind_words(kind: str) -> str:
    """Say what a step does."""
    kinds = {
        "calculate": text("calculation"),
        "route": text("choice"),
        "table": text("decision table"),
        "rules": text("policy or ruleset"),
        "person": text("a person answers"),
        "data": text("data from outside"),
        "agent": text("an agent's answer"),
        "flow": text("another flow"),
        "value": text("value"),
        "model": text("model"),
        "end": text("end"),
    }
    return kinds.get(kind, kind)


def picture_of_text(document: str) -> FlowPicture | None:
    """Draw a text; None if it cannot be read."""
    try:
        return picture_of(read_flow(document))
    except InvalidRulesetError:
        return None


def picture_of_policy(document: str) -> FlowPicture | None:
    """Draw a policy as a flow of one step; None if it cannot be read."""
    try:
        return picture_of(flow_of_policy(read_policy(document)))
    except InvalidRulesetError:
        return None


def picture_of(
    flow: Flow, run: Sequence[Mapping[str, Any]] | None = None, *, with_conditions: bool = True
) -> FlowPicture:
    """Draw a flow.

    Args:
        flow: the flow.
        run: the steps of a run, in order, as in its record: its path is highlighted; None for no run.
        with_conditions: ways show their conditions; people who may not see versions of flows see numbers instead.
    """
    paths = {} if run is None else {str(each["step"]): way_taken(flow, each) for each in run}
    ways = {
        step.id: [way for way in _leads(flow, place, with_conditions=with_conditions) if way.to is not None]
        for place, step in enumerate(flow.steps)
    }
    steps = tuple(_steps(flow, ways, paths))
    edges = {way.path: Edge(step, str(way.to), way.label) for step, led in ways.items() for way in led}
    plot = layered_graph(_nodes(steps), tuple(edges.values()))
    if run is None:
        return FlowPicture(plot=plot, steps=steps)
    return FlowPicture(
        plot=plot,
        steps=steps,
        passed=frozenset(paths),
        ways_taken=frozenset(edges[path] for path in paths.values() if path is not None),
        stopped=str(run[-1]["step"]) if run else "",
    )


def _nodes(steps: Sequence[StepLine]) -> tuple[Node, ...]:
    return tuple(
        Node(id=step.id, title=step.title, kind=step.kind, heading=step.what, notes=step.actions) for step in steps
    )


def _steps(flow: Flow, ways: Mapping[str, Sequence["_Way"]], paths: Mapping[str, Path | None]) -> Iterator[StepLine]:
    titles = {step.id: step.title for step in flow.steps}
    actions = {action.id: action.title for action in flow.actions}
    for step in flow.steps:
        ends = step.end if isinstance(step, EndStep) else ()
        own_paths = [way.path for way in ways[step.id]]
        yield StepLine(
            id=step.id,
            title=step.title,
            kind=step.kind,
            rationale=step.rationale or "",
            leads=tuple((way.label, titles.get(str(way.to), str(way.to))) for way in ways[step.id]),
            actions=tuple(actions.get(name, name) for name in ends),
            lit=next((place for place, path in enumerate(own_paths) if path == paths.get(step.id)), None),
        )


@dataclass(frozen=True)
class _Way:
    """A way from a step: its place in the text, its label, and the step to which it leads; None after the last one."""

    path: Path
    label: str
    to: str | None


def _leads(flow: Flow, position: int, *, with_conditions: bool) -> Iterator[_Way]:
    following = flow.steps[position + 1].id if position + 1 < len(flow.steps) else None
    for path, to in ways_from(flow, position):
        is_hidden = path[2] == "route" and not with_conditions
        label = text("way {number}", number=int(path[3]) + 1) if is_hidden else _label(flow, path)
        yield _Way(path, label, following if to is None else to)


def _label(flow: Flow, path: Path) -> str:
    step, word = flow.steps[int(path[1])], str(path[-1])
    if isinstance(step, RouteStep) and len(path) > 3:
        return condition_words(step.route[int(path[3])].when)
    if path[2:4] == ("person", "answers"):
        return word
    if path[2:] == ("person", "otherwise"):
        return text("no answer in time")
    words = {"then": "", "otherwise": text("otherwise"), "on_unknown": text("not known")}
    return words.get(word, word.replace("_", " "))
