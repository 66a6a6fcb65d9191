"""Actions: the effects of a flow. Each is declared with its kind, its purpose, and whether it can be undone."""

from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from fivefold.flows.groups.language import tag_of_group
from fivefold.risk.language.base import Identifier, Label, LanguageModel, NameOf, Words
from fivefold.risk.language.expressions import CalculationInput, word_of
from fivefold.risk.language.policy import StepInput
from fivefold.risk.language.purposes import Purpose
from fivefold.risk.language.quantities import DurationText, Number

Status = Literal["approved", "flagged", "escalated", "blocked"]
PersonRole = Literal["investigator", "publisher"]
"""The roles in which a step may ask a person; administrators answer in both."""
PERSON_DECIDES = "Regulation (EU) 2024/1624, article 76(5)"
"""The law that requires a person's decision before a relationship starts, is refused, or ends."""


class Action(LanguageModel):
    """The parts that all actions have.

    Attributes:
        id: the name of the action in steps and records.
        title: the title, in plain words.
        purpose: what the action is for; by default the purpose of the flow.
        reversible: whether a person can take it back; the default depends on its kind.
        relationship: how it decides on the relationship with the customer: it starts, refuses or ends it. A person must
            decide before such an action (Regulation (EU) 2024/1624, article 76(5)).
        agreed_by: the role of the person who must agree: each run that takes the action gets there by the answer of a
            person whom a step asked in this role. By default no one needs to agree.
    """

    id: Identifier
    title: Words
    purpose: Purpose | None = None
    reversible: bool | None = None
    relationship: Literal["starts", "refused", "ended"] | None = None
    agreed_by: PersonRole | None = None

    @property
    def kind(self) -> str:
        """The word for its kind."""
        return str(word_of(self, ACTION_KINDS))

    @property
    def subject(self) -> str:
        """What it acts on: of two actions with the same subject only one can be taken."""
        return self.kind


class StatusAction(Action):
    """Gives the entity a status, or the transaction that the flow looks at.

    Attributes:
        status: the status that it gives.
        of: whose status it sets. The status of a transaction is only reported; the entity's status stays as it was.
    """

    status: Status
    of: Literal["entity", "transaction"] = "entity"

    @property
    def subject(self) -> str:
        """Whose status it gives."""
        return "status" if self.of == "entity" else "status of the transaction"


class LimitAction(Action):
    """Sets a limit to an amount that the flow found, held within bounds.

    Attributes:
        limit: the name of the limit.
        amount: a number, an output of a step as {step: amounts, output: daily}, or a calculation as
            {calculation: name}; in the base currency.
        between: the least and the greatest amount that may be set, such as 0, 25000.
    """

    limit: Identifier
    amount: "Amount"
    between: tuple[Number, Number]

    @property
    def subject(self) -> str:
        """The limit that it sets."""
        return f"limit {self.limit}"

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if not 0 <= self.between[0] <= self.between[1]:
            raise ValueError("between must be two amounts from 0 on, the smaller one first")
        return self


class ReviewAction(Action):
    """Has the customer reviewed by a person.

    Attributes:
        review: the longest time from the run to the review.
    """

    review: DurationText


class GivesTag(Action):
    """Gives the customer a tag.

    Attributes:
        lasts: how long the customer has the tag; by default until a person takes it off.
    """

    lasts: DurationText | None = None

    @property
    def given_tag(self) -> str:
        """The tag that is given."""
        raise NotImplementedError

    @property
    def subject(self) -> str:
        """The tag: an action that puts into a group, and one that gives the group's tag, do the same."""
        return f"tag {self.given_tag}"


class TagAction(GivesTag):
    """Gives the customer the tag that it names.

    Attributes:
        tag: the tag that it gives.
    """

    tag: Label

    @property
    def given_tag(self) -> str:
        """The tag itself."""
        return self.tag


class GroupAction(GivesTag):
    """Puts the customer into a named group that flows keep: who has the group's tag is a member.

    Attributes:
        group: the name of the group.
    """

    group: Annotated[Identifier, NameOf("groups")]

    @property
    def given_tag(self) -> str:
        """The tag of the group."""
        return tag_of_group(self.group)


class CaseAction(Action):
    """Opens a case.

    Attributes:
        case: the text of the case.
    """

    case: Words

    @property
    def subject(self) -> str:
        """The case: each action opens its own."""
        return f"case {self.id}"


class WebhookAction(Action):
    """Sends an event to the organisation's endpoints.

    Attributes:
        webhook: the name of the event that is sent.
    """

    webhook: Identifier

    @property
    def subject(self) -> str:
        """The event."""
        return f"webhook {self.webhook}"


ACTION_KINDS: dict[str, type[Action]] = {
    "status": StatusAction,
    "limit": LimitAction,
    "review": ReviewAction,
    "tag": TagAction,
    "group": GroupAction,
    "case": CaseAction,
    "webhook": WebhookAction,
}
"""The word that names each kind of action, and its form."""


def _amount_form(value: Any) -> str:
    return word_of(value, ("step", "calculation")) or "number"


Amount = Annotated[
    Annotated[StepInput, Tag("step")]
    | Annotated[CalculationInput, Tag("calculation")]
    | Annotated[Number, Tag("number")],
    Discriminator(_amount_form),
]
"""Money in the base currency."""

LimitAction.model_rebuild()

AnyAction = Annotated[
    Annotated[StatusAction, Tag("status")]
    | Annotated[LimitAction, Tag("limit")]
    | Annotated[ReviewAction, Tag("review")]
    | Annotated[TagAction, Tag("tag")]
    | Annotated[GroupAction, Tag("group")]
    | Annotated[CaseAction, Tag("case")]
    | Annotated[WebhookAction, Tag("webhook")],
    Discriminator(
        lambda value: word_of(value, ACTION_KINDS),
        custom_error_type="action",
        custom_error_message=f"is not an action; it must have one of the words {', '.join(ACTION_KINDS)}",
    ),
]
"""Any action."""

MOST_ACTIONS = 100
Actions = Annotated[tuple[AnyAction, ...], Field(max_length=MOST_ACTIONS)]

REVERSIBLE: dict[str, bool] = {
    "status": True,
    "limit": True,
    "review": True,
    "tag": True,
    "group": True,
    "case": True,
    "webhook": False,
}
"""Whether a person can take an action back, by its kind; an action's own `reversible` replaces this."""


def is_reversible(action: Action) -> bool:
    """Check whether a person can take an action back."""
    return REVERSIBLE[action.kind] if action.reversible is None else action.reversible
