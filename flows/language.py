"""A flow as a document: steps in their order, each with an id, that end in actions."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from fivefold.flows.actions import Action, Actions, PersonRole
from fivefold.flows.outside.language import (
    MOST_OUTPUTS,
    AgentQuestion,
    Asking,
    DataQuestion,
    Fact,
    InOrder,
    ModelQuestion,
    OutputKind,
)
from fivefold.flows.triggers import Triggers
from fivefold.risk.language.base import Identifier, LanguageModel, Name, NameOf, Words
from fivefold.risk.language.calculations import MOST_CALCULATIONS
from fivefold.risk.language.documents import Path
from fivefold.risk.language.expressions import word_of
from fivefold.risk.language.fields import Definition, LevelNames
from fivefold.risk.language.operators import Scalar
from fivefold.risk.language.policy import PolicyCalculation, PolicyCondition
from fivefold.risk.language.purposes import DecisionPurposes
from fivefold.risk.language.quantities import DurationText, Number
from fivefold.risk.language.reading import read_text
from fivefold.risk.language.ruleset import MOST_LINK_TYPES, GivenExample, LinkType

MOST_STEPS = 100
MOST_ROWS = 1_000

StepName = Annotated[Identifier, NameOf("steps")]
"""The id of a step to which another one leads."""

ActionName = Annotated[Identifier, NameOf("actions")]
"""The id of an action that is taken."""


class Step(LanguageModel):
    """What all steps have.

    Attributes:
        id: how other steps, records and inputs name it.
        title: in plain words.
        rationale: why it is there.
    """

    id: Identifier
    title: Words
    rationale: Words | None = None

    @property
    def kind(self) -> str:
        """The word that says what it does."""
        return str(word_of(self, STEP_KINDS))


class ContinuingStep(Step):
    """A step after which one other comes.

    Attributes:
        then: the id of that step, one of those below; the next one where nothing is said.
    """

    then: StepName | None = None


class CalculateStep(ContinuingStep):
    """Calculates named numbers, which conditions and calculations of later steps read by their names.

    Attributes:
        calculate: how each is calculated, such as {divide: [{sum: amount, over: 90 days}, 90], unit: money}.
    """

    calculate: Annotated[dict[Name, PolicyCalculation], Field(min_length=1, max_length=MOST_CALCULATIONS), InOrder]


class RouteBranch(LanguageModel):
    """One way to go.

    Attributes:
        when: what must hold, such as {level: in_force, equals: high}.
        to: the id of the step to which it leads, one of those below.
    """

    when: PolicyCondition
    to: StepName


class RouteStep(Step):
    """Goes the first way whose condition holds, where it is known that none before it does.

    Attributes:
        route: the ways, in the order in which they are tried.
        otherwise: the step where no condition holds.
        on_unknown: the step where the facts do not decide which way is the first; where it is not written, the run
            fails then. What is unknown is never taken for a condition that does not hold.
    """

    route: Annotated[tuple[RouteBranch, ...], Field(min_length=1, max_length=MOST_ROWS)]
    otherwise: StepName
    on_unknown: StepName | None = None


Given = dict[Name, Scalar]
"""What a table gives, by the names of its outputs."""


class TableRow(LanguageModel):
    """A row of a table.

    Attributes:
        when: what must hold, such as {level: in_force, equals: high}.
        give: what it gives then, such as {amount: 100}.
    """

    when: PolicyCondition
    give: Given


class Table(LanguageModel):
    """A decision table: the first row whose condition holds, where it is known that none before it does.

    Attributes:
        gives: its outputs and what each is; money is in the base currency.
        rows: in the order in which they are tried.
        otherwise: what is given where no row holds.
        on_unknown: what is given where the facts do not decide which row is the first; where it is not written, the
            run fails then.
    """

    gives: Annotated[dict[Name, OutputKind], Field(min_length=1, max_length=MOST_OUTPUTS), InOrder]
    rows: Annotated[tuple[TableRow, ...], Field(min_length=1, max_length=MOST_ROWS)]
    otherwise: Given
    on_unknown: Given | None = None


class TableStep(ContinuingStep):
    """Looks up what a decision table gives."""

    table: Table


class PolicyName(LanguageModel):
    """A policy that is asked, in the version that decides.

    Attributes:
        policy: its name.
        as_decided: the action is the one that a decision answers, in any case: a rule that is unknown, and has no
            `on_unknown` of its own, gives none there. Otherwise the step is not decided where such a rule could
            change the action.
    """

    policy: Annotated[Identifier, NameOf("policies")]
    as_decided: bool = False


class RulesetName(LanguageModel):
    """A ruleset that is asked, in the version that is active.

    Attributes:
        ruleset: its name.
    """

    ruleset: Annotated[Identifier, NameOf("rulesets")]


_RULES: dict[str, type[LanguageModel]] = {"policy": PolicyName, "ruleset": RulesetName}
RulesName = Annotated[
    Annotated[PolicyName, Tag("policy")] | Annotated[RulesetName, Tag("ruleset")],
    Discriminator(
        lambda value: word_of(value, _RULES),
        custom_error_type="rules",
        custom_error_message="names neither a policy nor a ruleset: {policy: name} or {ruleset: name}",
    ),
]
"""What a step asks of rules."""


class AskStep(ContinuingStep):
    """A step that asks what may not be known.

    Attributes:
        on_unknown: the step where it is not known; where it is not written, the run fails then.
    """

    on_unknown: StepName | None = None


class RulesStep(AskStep):
    """Asks a policy or a ruleset, of what is known of the entity.

    Of a policy it gives `action`, and `decided_by`, the rule whose action it is, unknown where none gave one. Of a
    ruleset it gives `level`, what the rules alone say now, and `total`, the points.

    Attributes:
        rules: the policy or the ruleset.
        on_unknown: the step where a rule of the policy that is unknown could change the action, or where the ruleset
            gives no level: it failed, no tier owns the total, or it does not apply, or nobody knows whether it does.
            Where it is not written, the run fails then. A rule of the policy that has an `on_unknown` of its own gives
            that, and decides. A policy that is asked `as_decided` decides always.
    """

    rules: RulesName

    @model_validator(mode="after")
    def _decides(self) -> Self:
        if self.on_unknown is not None and isinstance(self.rules, PolicyName) and self.rules.as_decided:
            raise ValueError("as_decided decides in any case, so on_unknown is never followed; leave one of them out")
        return self


class ValueAsked(LanguageModel):
    """Asks for the value as it is known when the run begins; there is nothing to choose."""


class ValueStep(AskStep):
    """Asks what the entity is worth. It gives `score`, `segment` and `expected_value`.

    Money is in the base currency, and unknown where the value model has another one.

    Between `expected_value_low` and `expected_value_high` the value will lie; both are unknown where the model keeps no
    interval, which does not make the value unknown.

    Attributes:
        value: written as {}.
        on_unknown: the step where the entity has no value; where it is not written, the run fails then.
    """

    value: ValueAsked


class FlowStep(AskStep):
    """Asks another flow, which is run on the same facts in the same moment. It gives `ends`, the id of its end.

    What its ends would do is not done: the flow that asks decides by its own actions.

    Attributes:
        flow: its name; it asks no person and nothing outside, and no flow that asks this one.
        on_unknown: the step where its run fails; where it is not written, this run fails then.
    """

    flow: Annotated[Identifier, NameOf("flows")]


MOST_LOOKED_AT = 20

LookAt = Annotated[
    Annotated[Words, Tag("text")] | Annotated[Fact, Tag("input")],
    Discriminator(lambda value: "text" if isinstance(value, str) else "input"),
]
"""What a person is to look at: plain words, or an input, whose value is shown."""


class Question(LanguageModel):
    """What a person is asked.

    Attributes:
        question: in plain words.
        look_at: what to look at before answering: words, and inputs such as {field: country}, whose values are shown.
        role: who may answer.
        within: how long they have.
        answers: the step that follows each answer; two at least.
        otherwise: the step that follows where nobody answers in time.
    """

    question: Words
    look_at: Annotated[tuple[LookAt, ...], Field(max_length=MOST_LOOKED_AT)] = ()
    role: PersonRole = "investigator"
    within: DurationText
    answers: Annotated[dict[Identifier, StepName], Field(min_length=2, max_length=10), InOrder]
    otherwise: StepName

    @property
    def words_looked_at(self) -> tuple[str, ...]:
        """The parts of `look_at` that are words."""
        return tuple(each for each in self.look_at if isinstance(each, str))

    @property
    def inputs_looked_at(self) -> tuple[LanguageModel, ...]:
        """The parts of `look_at` that are inputs."""
        return tuple(each for each in self.look_at if not isinstance(each, str))


class PersonStep(Step):
    """Waits for the answer of a person. It gives `answer`: one of the answers, unknown where nobody answered."""

    person: Question


class OutsideStep(ContinuingStep):
    """A step whose outcome comes from outside; as long as it is not there, the run stops and asks for it.

    Attributes:
        on_unknown: the step where it failed, as nothing came back that can be used; where it is not written, the run
            fails then.
    """

    on_unknown: StepName | None = None

    @property
    def asks(self) -> Asking:
        """What it asks."""
        question = getattr(self, self.kind)
        assert isinstance(question, Asking)
        return question


class DataStep(OutsideStep):
    """Asks a registered source of data. It gives what the source gives."""

    data: DataQuestion


class ModelStep(OutsideStep):
    """Asks a registered model. It gives what `gives` takes of it."""

    model: ModelQuestion


class AgentStep(OutsideStep):
    """Asks the operator's agent. It gives `answer`, one of those that are declared."""

    agent: AgentQuestion


class EndStep(Step):
    """Ends the run with actions.

    Attributes:
        end: those that are taken; none is one way to end, too.
    """

    end: tuple[ActionName, ...]


STEP_KINDS: dict[str, type[Step]] = {
    "calculate": CalculateStep,
    "route": RouteStep,
    "table": TableStep,
    "rules": RulesStep,
    "value": ValueStep,
    "flow": FlowStep,
    "person": PersonStep,
    "data": DataStep,
    "model": ModelStep,
    "agent": AgentStep,
    "end": EndStep,
}
"""The word that names each kind of step, and its form."""

AnyStep = Annotated[
    Annotated[CalculateStep, Tag("calculate")]
    | Annotated[RouteStep, Tag("route")]
    | Annotated[TableStep, Tag("table")]
    | Annotated[RulesStep, Tag("rules")]
    | Annotated[ValueStep, Tag("value")]
    | Annotated[FlowStep, Tag("flow")]
    | Annotated[PersonStep, Tag("person")]
    | Annotated[DataStep, Tag("data")]
    | Annotated[ModelStep, Tag("model")]
    | Annotated[AgentStep, Tag("agent")]
    | Annotated[EndStep, Tag("end")],
    Discriminator(
        lambda value: word_of(value, STEP_KINDS),
        custom_error_type="step",
        custom_error_message=f"is not a step; it must have one of the words {', '.join(STEP_KINDS)}",
    ),
]
"""Any step."""


GivenOutcome = Literal["failed"] | Given
"""What came back, by the names of outputs; what is not there is unknown. `failed` where nothing could be used."""


class FlowExample(GivenExample):
    """An invented entity, and the end to which the flow must come with it.

    Attributes:
        given: what is known of it, by name: its fields; `level`, a name, or `in_force`, `rules`, `status`, `source`
            and `age_days` by name; `value` and `indicators`, numbers by name, such as {score: 4}; `transactions`,
            `cases` and `alerts`, rows; `tags`, words; `screening`, what screenings found; `transaction`, the one that
            the flow looks at.
        answers: what persons answer, by the step; `nobody` for no answer in time.
        outcomes: what comes back from outside, by the step: values by name, or `failed`.
        ends: the id of the end, or of the step at which the run waits or asks; `failed` where a step fails.
        actions: that are taken; they are compared where they are written.
        outputs: what steps give, by the step and the name of the output; money in the main unit of the base currency.
        amounts: that limits are set to, by the action, in the main unit of the base currency.
    """

    answers: dict[Annotated[Identifier, NameOf("persons")], Annotated[Identifier, NameOf("answers")]] = Field(
        default_factory=dict
    )
    outcomes: dict[Annotated[Identifier, NameOf("outside")], GivenOutcome] = Field(default_factory=dict)
    ends: Annotated[Identifier, NameOf("stops")]
    actions: tuple[ActionName, ...] | None = None
    outputs: Annotated[dict[StepName, Given], Field(default_factory=dict), InOrder]
    amounts: Annotated[dict[ActionName, Number], Field(default_factory=dict), InOrder]


class Flow(Definition):
    """What is done about the entities of one type, by value, risk and behaviour.

    Attributes:
        name: of all its versions, such as daily-limit.
        title: in plain words.
        rationale: why it is there.
        purpose: what it and its actions are for.
        levels: those of the organisation, lowest first.
        links: the types of links between entities that inputs may follow.
        purposes: what the data that it reads were gathered for.
        triggers: for which events of the platform it runs by itself.
        actions: that it can take; an end takes one at most of those with one subject.
        steps: the first one is where a run begins; a step leads to later ones only, so that every run ends.
        on_failure: the actions that are taken where a step fails.
        examples: what the flow must do, run by `fivefold flows test`.
    """

    word = "flow"
    name: Identifier = Field(alias="flow")
    title: Words
    rationale: Words | None = None
    levels: LevelNames
    links: Annotated[dict[Name, LinkType], Field(default_factory=dict, max_length=MOST_LINK_TYPES)]
    purposes: DecisionPurposes = DecisionPurposes()
    triggers: Triggers = ()
    actions: Actions = ()
    steps: Annotated[tuple[AnyStep, ...], Field(min_length=1, max_length=MOST_STEPS)]
    on_failure: tuple[ActionName, ...] = ()
    examples: tuple[FlowExample, ...] = ()

    @cached_property
    def calculate(self) -> Mapping[str, Any]:
        """The calculations of all steps, by name."""
        steps = (step for step in self.steps if isinstance(step, CalculateStep))
        return {name: each for step in steps for name, each in step.calculate.items()}

    @property
    def named_parts(self) -> dict[str, list[dict[str, str]]]:
        """The names of steps, actions and examples."""
        return {
            "steps": [{"id": step.id} for step in self.steps],
            "actions": [{"id": action.id} for action in self.actions],
            "examples": [{"name": example.name} for example in self.examples],
        }

    @cached_property
    def positions(self) -> Mapping[str, int]:
        """The position of each step, by its id."""
        return {step.id: position for position, step in enumerate(self.steps)}

    def names_asked(self, word: Literal["policy", "ruleset", "flow"]) -> tuple[str, ...]:
        """The names of the policies, the rulesets or the flows that it asks by itself, each once."""
        names = [
            getattr(step.rules if isinstance(step, RulesStep) else step, word, None)
            for step in self.steps
            if isinstance(step, FlowStep if word == "flow" else RulesStep)
        ]
        return tuple(dict.fromkeys(name for name in names if name is not None))

    def action(self, identifier: str) -> Action:
        """Find an action by its id; KeyError where there is none."""
        for action in self.actions:
            if action.id == identifier:
                return action
        raise KeyError(identifier)


NOBODY = "nobody"
"""The answer used when no person answers in time."""


def ways_from(flow: Flow, position: int) -> Iterator[tuple[Path, str | None]]:
    """Yield the ids of the steps that a step leads to, with their paths; None is the next step."""
    step, at = flow.steps[position], ("steps", position)
    if isinstance(step, RouteStep):
        for number, way in enumerate(step.route):
            yield (*at, "route", number, "to"), way.to
        yield (*at, "otherwise"), step.otherwise
        if step.on_unknown is not None:
            yield (*at, "on_unknown"), step.on_unknown
    elif isinstance(step, PersonStep):
        for answer, to in step.person.answers.items():
            yield (*at, "person", "answers", answer), to
        yield (*at, "person", "otherwise"), step.person.otherwise
    elif isinstance(step, ContinuingStep):
        yield (*at, "then"), step.then
        if isinstance(step, AskStep | OutsideStep) and step.on_unknown is not None:
            yield (*at, "on_unknown"), step.on_unknown


def read_flow(text: str, source: str = "the flow") -> Flow:
    """Read a flow from YAML or JSON; InvalidRulesetError, with the lines, names everything that does not fit."""
    return read_text(Flow, text, source)
