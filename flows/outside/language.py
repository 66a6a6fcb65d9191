"""The questions that steps ask the outside: named facts are sent, and declared values come back."""

from abc import abstractmethod
from collections.abc import Mapping
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, Discriminator, Field, Tag

from fivefold.risk.language.base import Identifier, LanguageModel, Name, NameOf, Words
from fivefold.risk.language.expressions import word_of
from fivefold.risk.language.fields import OneOf
from fivefold.risk.language.policy import POLICY_INPUTS
from fivefold.risk.language.purposes import Purpose
from fivefold.risk.language.quantities import DurationText


def _in_order(named: dict[str, Any]) -> dict[str, Any]:
    return dict(sorted(named.items()))


InOrder = AfterValidator(_in_order)
"""Names in alphabetical order: the meaning and the hash of a document do not depend on the order of its names."""

OutputKind = Literal["text", "number", "money", "flag"]
"""The kinds of values that a step can give; money is in the base currency."""

Gives = Annotated[
    Annotated[OutputKind, Tag("word")] | Annotated[OneOf, Tag("one_of")],
    Discriminator(lambda value: "word" if isinstance(value, str) else "one_of"),
]
"""The kind of a value that comes back: one of the plain kinds, or text limited to some words."""

MOST_FACTS = 40
MOST_OUTPUTS = 20

if TYPE_CHECKING:
    Fact: TypeAlias = Any
else:
    Fact = Annotated[
        reduce(or_, [Annotated[form, Tag(word)] for word, form in POLICY_INPUTS.items()]),
        Discriminator(
            lambda value: word_of(value, POLICY_INPUTS),
            custom_error_type="input",
            custom_error_message=f"is not an input; it must have one of the words {', '.join(POLICY_INPUTS)}",
        ),
    ]
"""A fact that is sent: any input that conditions may read."""

ModelGives = Annotated[
    Annotated[Literal["text", "number", "flag"], Tag("word")] | Annotated[OneOf, Tag("one_of")],
    Discriminator(lambda value: "word" if isinstance(value, str) else "one_of"),
]
"""The kind of an output of a model. A model knows no currency, so it gives no money."""

MOST_COLUMNS = 200
RegisteredName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$")]
"""The name of a model or an alias, as registries have it."""
ColumnName = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]{1,100}$")]
"""The name of a column of a model: any words in one line."""

Facts = Annotated[dict[Name, Fact], Field(min_length=1, max_length=MOST_FACTS), InOrder]
"""Facts, by the names under which they are sent."""


class Asking(LanguageModel):
    """A question to the outside."""

    @property
    @abstractmethod
    def whom(self) -> str:
        """Who is asked, in words."""

    @property
    @abstractmethod
    def facts_sent(self) -> Mapping[str, LanguageModel]:
        """The facts that are sent, by name."""

    @property
    @abstractmethod
    def output_kinds(self) -> Mapping[str, OutputKind | OneOf]:
        """The kinds of the values that come back, by name."""

    @property
    @abstractmethod
    def sent_word(self) -> str:
        """The word under which the facts are written."""


class SendingQuestion(Asking):
    """A question that sends the facts under `send`, and declares under `gives` the values that come back."""

    if TYPE_CHECKING:  # each form declares their types and their order

        @property
        def send(self) -> Mapping[str, LanguageModel]:
            """The facts, by name."""

        @property
        def gives(self) -> Mapping[str, OutputKind | OneOf]:
            """The kinds of the values that come back, by name."""

    @property
    def facts_sent(self) -> Mapping[str, LanguageModel]:
        """The facts under `send`."""
        return self.send

    @property
    def output_kinds(self) -> Mapping[str, OutputKind | OneOf]:
        """The kinds under `gives`."""
        return self.gives

    @property
    def sent_word(self) -> str:
        """The word under which the facts are written."""
        return "send"


class DataQuestion(SendingQuestion):
    """What is asked of a source of data that the operator has registered.

    Attributes:
        source: the name of the source.
        send: the facts that the source is given, such as {field: country}, by the names under which it takes them.
        gives: the values that come back, each with its kind: text, number, money, flag, or {one_of: [a, b]}. A value
            that is declared here and does not come back is unknown.
        no_older_than: the greatest age at which an earlier answer to the same facts is used; by default the source is
            always asked again.
        purpose: what the data were gathered for; a stricter purpose in the source's registration counts instead.
    """

    source: Annotated[Identifier, NameOf("sources")]
    send: Facts
    gives: Annotated[dict[Name, Gives], Field(min_length=1, max_length=MOST_OUTPUTS), InOrder]
    no_older_than: DurationText | None = None
    purpose: Purpose = "aml"

    @property
    def whom(self) -> str:
        """The source."""
        return f"the source {self.source}"


class ModelQuestion(SendingQuestion):
    """What is asked of a model of the operator's registry, which the operator lets flows ask.

    Attributes:
        name: the name under which the model is registered.
        alias: the alias of the version that answers: the one to which it points when a run asks.
        send: the facts that the model is given, such as {field: country}, by the columns of its signature.
        gives: its outputs, each with its kind: text, number, flag, or {one_of: [a, b]}. A calculation can make money of
            a number.
        outputs: for outputs that have another name here, the name of the model's column, or its number from 0.
        purpose: what the model was learnt from; a stricter purpose in the operator's registration counts instead.
    """

    name: Annotated[RegisteredName, NameOf("models")]
    alias: RegisteredName
    send: Annotated[dict[ColumnName, Fact], Field(min_length=1, max_length=MOST_COLUMNS), InOrder]
    gives: Annotated[dict[Name, ModelGives], Field(min_length=1, max_length=MOST_OUTPUTS), InOrder]
    outputs: Annotated[dict[Name, ColumnName | Annotated[int, Field(ge=0)]], InOrder] = Field(default_factory=dict)
    purpose: Purpose = "aml"

    @property
    def whom(self) -> str:
        """The model."""
        return f"the model {self.name}"


class AgentQuestion(Asking):
    """What is asked of the operator's agent. It gives `answer`, one of those that are declared, and nothing else.

    Attributes:
        question: the question, in plain words.
        facts: the facts that are sent, such as {field: country}, by the names under which the agent can quote them; the
            reasons why the run reached this step are sent too.
        answers: the possible answers; at least two. None may have the name of an action.
    """

    question: Words
    facts: Facts
    answers: Annotated[tuple[Identifier, ...], Field(min_length=2, max_length=10)]

    @property
    def whom(self) -> str:
        """The agent."""
        return "the agent"

    @property
    def facts_sent(self) -> Mapping[str, LanguageModel]:
        """The facts."""
        return self.facts

    @property
    def output_kinds(self) -> Mapping[str, OutputKind | OneOf]:
        """The answer."""
        return {"answer": OneOf(one_of=self.answers)}

    @property
    def sent_word(self) -> str:
        """The word under which the facts are written."""
        return "facts"
