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
    """The parts that all steps have.

    Attributes:
        id: the name of the step in other steps, inputs and records.
        title: the title, in plain words.
        rationale: the reason for the step.
    """

    id: Identifier
    title: Words
    rationale: Words | None = None

    @property
    def kind(self) -> str:
        """The word for its kind."""
        return str(word_of(self, STEP_KINDS))


class ContinuingStep(Step):
    """A step that leads to one other step.

    Attributes:
        then: the id of the step that follows, one of those below; by default the next one.
    """

    then: StepName | None = None


class CalculateStep(ContinuingStep):
    """Calculates named numbers, which conditions and calculations of later steps read by their names.

    Attributes:
        calculate: the calculation of each, such as {divide: [{sum: amount, over: 90 days}, 90], unit: money}.
    """

    calculate: Annotated[dict[Name, PolicyCalculation], Field(min_length=1, max_length=MOST_CALCULATIONS), InOrder]


class RouteBranch(LanguageModel):
    """One way to go.

    Attributes:
        when: the condition that must hold, such as {level: in_force, equals: high}.
        to: the id of the step to which the way leads, one of those below.
    """

    when: PolicyCondition
    to: StepName


class RouteStep(Step):
    """Goes the first way whose condition holds, where it is known that none before it does.

    Attributes:
        route: the ways, in the order in which they are tried.
        otherwise: the step if no condition holds.
        on_unknown: the step if the facts do not decide which way is the first; without it, the run then fails. An
            unknown condition never counts as one that does not hold.
    """

    route: Annotated[tuple[RouteBranch, ...], Field(min_length=1, max_length=MOST_ROWS)]
    otherwise: StepName
    on_unknown: StepName | None = None


Given = dict[Name, Scalar]
"""The outputs that a table gives, by name."""


class TableRow(LanguageModel):
    """A row of a table.

    Attributes:
        when: the condition that must hold, such as {level: in_force, equals: high}.
        give: the outputs of the row, such as {amount: 100}.
    """

    when: PolicyCondition
    give: Given


class Table(LanguageModel):
    """A decision table: the first row whose condition holds, where it is known that none before it does.

    Attributes:
        gives: its outputs, each with its kind; money is in the base currency.
        rows: the rows, in the order in which they are tried.
        otherwise: the outputs if no row holds.
        on_unknown: the outputs if the facts do not decide which row is the first; without them, the run then fails.
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
        policy: the name of the policy.
        as_decided: whether the action is always the one that a decision answers, for which an unknown rule without an
            `on_unknown` of its own gives no action. Otherwise the step is undecided if such a rule could change the
            action.
    """

    policy: Annotated[Identifier, NameOf("policies")]
    as_decided: bool = False


class RulesetName(LanguageModel):
    """A ruleset that is asked, in the version that is active.

    Attributes:
        ruleset: the name of the ruleset.
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
"""The policy or the ruleset that a step asks."""


class AskStep(ContinuingStep):
    """A step that asks for something that may be unknown.

    Attributes:
        on_unknown: the step if the answer is unknown; without it, the run then fails.
    """

    on_unknown: StepName | None = None


class RulesStep(AskStep):
    """Asks a policy or a ruleset, of what is known of the entity.

    Of a policy it gives `action`, and `decided_by`, the rule that gave the action, which is unknown if no rule gave
    one. Of a ruleset it gives `level`, the level by the rules alone now, and `total`, the points.

    Attributes:
        rules: the policy or the ruleset.
        on_unknown: the step if an unknown rule of the policy could change the action, or if the ruleset gives no level:
            because it failed, no tier contains the total, it does not apply, or it is unknown whether it applies.
            Without this step, the run then fails. A rule of the policy with an `on_unknown` of its own gives that
            action, and decides. A policy that is asked `as_decided` always decides.
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

    Money is in the base currency, and unknown if the value model has another one.

    The value is expected to lie between `expected_value_low` and `expected_value_high`. Both are unknown if the model
    keeps no interval; that does not make the value unknown.

    Attributes:
        value: written as {}.
        on_unknown: the step if the entity has no value; without it, the run then fails.
    """

    value: ValueAsked


class FlowStep(AskStep):
    """Asks another flow, which is run on the same facts in the same moment. It gives `ends`, the id of its end.

    The actions of its ends are not taken: the flow that asks decides by its own actions.

    Attributes:
        flow: the name of the other flow; it asks no person and nothing outside, and no flow that asks this one.
        on_unknown: the step if the run of the other flow fails; without it, this run then fails.
    """

    flow: Annotated[Identifier, NameOf("flows")]


MOST_LOOKED_AT = 20

LookAt = Annotated[
    Annotated[Words, Tag("text")] | Annotated[Fact, Tag("input")],
    Discriminator(lambda value: "text" if isinstance(value, str) else "input"),
]
"""Something for a person to look at: plain words, or an input, whose value is shown."""


class Question(LanguageModel):
    """What a person is asked.

    Attributes:
        question: the question, in plain words.
        look_at: what to look at before answering: words, and inputs such as {field: country}, whose values are shown.
        role: the role of the persons who may answer.
        within: the time that they have to answer.
        answers: the step that follows each answer; at least two answers.
        otherwise: the step that follows if nobody answers in time.
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
    """A step whose outcome comes from outside; until there is one, the run stops and asks for it.

    Attributes:
        on_unknown: the step if asking failed, because nothing usable came back; without it, the run then fails.
    """

    on_unknown: StepName | None = None

    @property
    def asks(self) -> Asking:
        """The question that it asks."""
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
        end: the actions that are taken; an end may have none.
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
"""The form of each kind of step, by the word that names the kind."""

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
"""The values that came back, by output; a missing output is unknown. `failed` if nothing usable came back."""


class FlowExample(GivenExample):
    """An invented entity, and the end to which the flow must come with it.

    Attributes:
        given: the facts of the entity, by name: its fields; `level`, a name, or `in_force`, `rules`, `status`, `source`
            and `age_days` by name; `value` and `indicators`, numbers by name, such as {score: 4}; `transactions`,
            `cases` and `alerts`, rows; `tags`, words; `screening`, what screenings found; `transaction`, the one that
            the flow looks at.
        answers: the answers of persons, by step; `nobody` for no answer in time.
        outcomes: the outcomes from outside, by step: values by name, or `failed`.
        ends: the id of the end, or of the step at which the run waits or asks; `failed` if a step fails.
        actions: the actions that are taken; compared only if they are written.
        outputs: the outputs of steps, by step and name; money in the main unit of the base currency.
        amounts: the amounts that limits are set to, by action, in the main unit of the base currency.
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
        name: the name of all its versions, such as daily-limit.
        title: the title, in plain words.
        rationale: the reason for the flow.
        purpose: what the flow and its actions are for.
        levels: the levels of the organisation, lowest first.
        links: the types of links between entities that inputs may follow.
        purposes: what the data that it reads were gathered for.
        triggers: the events of the platform, and the schedules, for which it runs by itself.
        actions: the actions that it can take; an end takes at most one of those with the same subject.
        steps: the steps; a run begins at the first one, and a step leads only to later ones, so that every run ends.
        on_failure: the actions that are taken if a step fails.
        examples: the expected results of the flow, checked by `fivefold flows test`.
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
        """Find an action by its id; KeyError if there is none."""
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
