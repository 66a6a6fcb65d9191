"""A policy: what is done with a transaction, by the level, the value, the entity and the transaction itself."""

from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import Discriminator, Field, Tag
from typing_extensions import TypeAliasType

from fivefold.risk.language.base import Identifier, LanguageModel, Name, Words
from fivefold.risk.language.calculations import (
    MOST_CALCULATIONS,
    MOST_OPERANDS,
    Absolute,
    Add,
    Clamp,
    Divide,
    GreatestOf,
    LeastOf,
    Multiply,
    Of,
    Round,
    Subtract,
    calculation_of,
    operand_of,
)
from fivefold.risk.language.expressions import (
    COMPARED_WORDS,
    NUMERIC_WORDS,
    PLAIN_INPUTS,
    TESTS,
    All,
    Any_,
    Condition,  # noqa: F401 (inputs refer to it by its name)
    Currency,
    LinkedNumber,  # noqa: F401 (inputs refer to it by its name)
    Not,
    NumberInput,  # noqa: F401 (inputs refer to it by its name)
    Ratio,
    any_of,
    test_of,
    word_of,
)
from fivefold.risk.language.fields import Definition, LevelNames
from fivefold.risk.language.operators import Operators, compared_with
from fivefold.risk.language.purposes import PolicyPurposes
from fivefold.risk.language.reading import read_text
from fivefold.risk.language.ruleset import MOST_LINK_TYPES, LinkType

STATUSES = ("assessed", "failed", "unclassified", "undetermined", "not applicable", "no ruleset")
"""The possible statuses of an entity's latest assessment."""

SOURCES_OF_LEVELS = ("rules", "override", "decay", "expiry", "time")
"""The possible sources of a level."""


class LevelInput(LanguageModel):
    """Where the entity stands; unknown where it was never assessed.

    Attributes:
        level: `in_force`, which an override may have set; `rules`, the level by the rules beneath an override, unknown
            if there is none; `status` of the latest assessment; `source`, the origin of the level; `age_days` since it
            was computed, with fractions.
    """

    level: Literal["in_force", "rules", "status", "source", "age_days"]


class TransactionInput(LanguageModel):
    """A field of the pending transaction.

    Attributes:
        transaction: the name of the field.
        in_currency: the amount as written, if the transaction is in this currency, and otherwise unknown; by default
            the amount is in the base currency.
    """

    transaction: Name
    in_currency: Currency | None = None


class StepInput(LanguageModel):
    """What a step of a flow came to; unknown where the step was not passed, or came to nothing known.

    Attributes:
        step: the id of an earlier step.
        output: the name of one of its outputs.
    """

    step: Identifier
    output: Name


class PolicyRatio(Ratio):
    """The first number over the second; unknown where the second is 0 or one of them unknown."""

    ratio: tuple["PolicyNumber", "PolicyNumber"]


POLICY_INPUTS: dict[str, type[LanguageModel]] = {
    **PLAIN_INPUTS,
    "ratio": PolicyRatio,
    "level": LevelInput,
    "transaction": TransactionInput,
    "step": StepInput,
}
"""The word that names each input of a policy or a flow, and its form; only a flow has steps."""

_NUMERIC = (*NUMERIC_WORDS, "level", "transaction")
if TYPE_CHECKING:
    PolicyNumber: TypeAlias = Any
else:
    PolicyNumber = Annotated[
        reduce(or_, [Annotated[POLICY_INPUTS[word], Tag(word)] for word in _NUMERIC]),
        Discriminator(
            lambda value: word_of(value, _NUMERIC),
            custom_error_type="input",
            custom_error_message=f"is not a number; it must have one of the words {', '.join(_NUMERIC)}",
        ),
    ]
"""An input that can be a number."""


_Several = Annotated[tuple["PolicyOperand", ...], Field(min_length=2, max_length=MOST_OPERANDS)]


class PolicyAdd(Add):
    """The sum of numbers of one unit."""

    add: _Several


class PolicySubtract(Subtract):
    """The first number less the second, of one unit."""

    subtract: tuple["PolicyOperand", "PolicyOperand"]


class PolicyMultiply(Multiply):
    """The product of numbers."""

    multiply: _Several


class PolicyDivide(Divide):
    """The first number over the second; unknown where the second is 0."""

    divide: tuple["PolicyOperand", "PolicyOperand"]


class PolicyLeastOf(LeastOf):
    """The least of numbers of one unit."""

    least_of: _Several


class PolicyGreatestOf(GreatestOf):
    """The greatest of numbers of one unit."""

    greatest_of: _Several


class PolicyAbsolute(Absolute):
    """The size of a number, without its sign."""

    absolute: "PolicyOperand"


class PolicyClamp(Clamp):
    """A number, or the nearer end of a range where it is outside."""

    clamp: "PolicyOperand"


class PolicyRound(Round):
    """A number rounded to so many decimals, half to even; money counts in its main unit."""

    round: "PolicyOperand"


class PolicyOf(Of):
    """A number under a name of its own."""

    of: "PolicyOperand"


_OPERATIONS: dict[str, type[LanguageModel]] = {
    "add": PolicyAdd,
    "subtract": PolicySubtract,
    "multiply": PolicyMultiply,
    "divide": PolicyDivide,
    "least_of": PolicyLeastOf,
    "greatest_of": PolicyGreatestOf,
    "absolute": PolicyAbsolute,
    "clamp": PolicyClamp,
    "round": PolicyRound,
}
if TYPE_CHECKING:
    PolicyOperand: TypeAlias = Any
    PolicyCalculation: TypeAlias = Any
else:
    PolicyOperand = operand_of(
        {word: POLICY_INPUTS[word] for word in (*_NUMERIC, "linked", "step")}, _OPERATIONS, __name__
    )
    PolicyCalculation = calculation_of({**_OPERATIONS, "of": PolicyOf}, __name__, "Policy")


class PolicyAll(All):
    """True if all hold, false if one fails, otherwise unknown."""

    all: Annotated[tuple["PolicyCondition", ...], Field(min_length=1)]


class PolicyAny(Any_):
    """True if one holds, false if all fail, otherwise unknown."""

    any: Annotated[tuple["PolicyCondition", ...], Field(min_length=1)]


class PolicyNot(Not):
    """True if it fails, false if it holds, unknown if it is unknown."""

    negated: "PolicyCondition" = Field(alias="not")


_COMPARED = (*COMPARED_WORDS, "level", "transaction", "step")
if TYPE_CHECKING:
    PolicyCompared: TypeAlias = Any
else:
    PolicyCompared = compared_with({word: POLICY_INPUTS[word] for word in _COMPARED})


class PolicyOperators(Operators):
    """Comparisons of one value; where several are given, all of them must hold."""

    equals: "PolicyCompared | None" = None
    not_equals: "PolicyCompared | None" = None
    above: "PolicyCompared | None" = None
    at_least: "PolicyCompared | None" = None
    below: "PolicyCompared | None" = None
    at_most: "PolicyCompared | None" = None


_OWN = {
    word: test_of(form, PolicyOperators, "Policy" if TESTS.get(word) and form is PLAIN_INPUTS[word] else "", __name__)
    for word, form in POLICY_INPUTS.items()
}
_JOINS: dict[str, type[LanguageModel]] = {"all": PolicyAll, "any": PolicyAny, "not": PolicyNot}
if TYPE_CHECKING:
    PolicyCondition: TypeAlias = Any
else:
    PolicyCondition = TypeAliasType("PolicyCondition", any_of(_JOINS, _OWN))
"""Any condition of a policy."""


class PolicyRule(LanguageModel):
    """One reason for an action.

    Attributes:
        id: the name of the rule in answers.
        when: the condition that must hold.
        unless: a condition; if it holds too, the rule gives no action, and is still listed as holding.
        action: the action that the rule gives.
        on_unknown: the action that it gives if it is unknown whether the rule holds; by default none.
    """

    id: Identifier
    title: Words
    rationale: Words | None = None
    when: PolicyCondition
    unless: PolicyCondition | None = None
    action: Identifier
    on_unknown: Identifier | None = None


class Policy(Definition):
    """Everything that decides on the transactions of one type of entity.

    Attributes:
        name: the name of all its versions.
        purpose: what the policy and its actions are for; an action for anything but `aml` may not depend on `aml` data.
        fields: the fields of the entity, with their types; conditions may name only these.
        transaction_fields: further fields of transactions, beside those that all transactions have.
        case_fields: further fields of cases and alerts, beside those that all have.
        links: the types of links between entities that inputs may follow; inputs read no level and no pending
            transaction of linked entities.
        reference: the name of the reference portfolio, a list, in which peers are looked up.
        levels: the names of levels, lowest first.
        calculate: named numbers, calculated from the data of the entity, its level and the transaction.
        purposes: what the data that it reads were gathered for, and actions with another purpose.
        actions: the possible actions, the mildest first.
        wins: which rule decides: the first that gives an action, or the one that gives the most severe action.
        otherwise: the action if no rule gives one.
    """

    word = "policy"
    name: Identifier = Field(alias="policy")
    links: Annotated[dict[Name, LinkType], Field(default_factory=dict, max_length=MOST_LINK_TYPES)]
    calculate: Annotated[dict[Name, PolicyCalculation], Field(default_factory=dict, max_length=MOST_CALCULATIONS)]
    levels: LevelNames
    purposes: PolicyPurposes = PolicyPurposes()
    actions: Annotated[tuple[Identifier, ...], Field(min_length=2, max_length=20)]
    wins: Literal["first", "most severe"]
    rationale: Words | None = None
    rules: Annotated[tuple[PolicyRule, ...], Field(min_length=1, max_length=1000)]
    otherwise: Identifier

    @property
    def named_parts(self) -> dict[str, list[dict[str, str]]]:
        """The names of rules."""
        return {"rules": [{"id": rule.id} for rule in self.rules]}


def read_policy(text: str) -> Policy:
    """Read a policy from YAML or JSON; raises InvalidRulesetError, which lists every misfit with its line."""
    return read_text(Policy, text, "the policy")
