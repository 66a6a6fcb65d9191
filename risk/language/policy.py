"""A policy: what is done with a transaction, by the level, the value, the entity and the transaction itself."""

from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import Field, StringConstraints

from fivefold.domain.errors import Finding, InvalidRulesetError
from fivefold.risk.language.base import ContentHashed, Identifier, LanguageModel, Name, Words
from fivefold.risk.language.documents.reader import Document
from fivefold.risk.language.expressions import TESTS, All, Any_, Not, any_of, test_of
from fivefold.risk.language.fields import FieldType
from fivefold.risk.language.policy_inputs import POLICY_INPUTS, PolicyNumber, PolicyRatio
from fivefold.risk.language.reading import read_canonical, validate_document


class PolicyAll(All):
    """True if all hold, false if one fails, otherwise unknown."""

    all: Annotated[tuple["PolicyCondition", ...], Field(min_length=1)]


class PolicyAny(Any_):
    """True if one holds, false if all fail, otherwise unknown."""

    any: Annotated[tuple["PolicyCondition", ...], Field(min_length=1)]


class PolicyNot(Not):
    """True if it fails, false if it holds, unknown if it is unknown."""

    negated: "PolicyCondition" = Field(alias="not")


_OWN = {word: test_of(form) for word, form in POLICY_INPUTS.items() if word not in TESTS or form is PolicyRatio}
_JOINS: dict[str, type[LanguageModel]] = {"all": PolicyAll, "any": PolicyAny, "not": PolicyNot}
if TYPE_CHECKING:
    PolicyCondition: TypeAlias = Any
else:
    PolicyCondition = any_of(_JOINS, {**TESTS, **_OWN})
"""Any condition of a policy."""

_RECURSIVE: tuple[type[LanguageModel], ...] = (PolicyRatio, *_OWN.values(), *_JOINS.values())
for _form in _RECURSIVE:
    _form.model_rebuild(_types_namespace={"PolicyCondition": PolicyCondition, "PolicyNumber": PolicyNumber})


class PolicyRule(LanguageModel):
    """One reason for an action.

    Attributes:
        id: how answers name it.
        when: what must hold.
        unless: where this holds too, the rule gives no action, and is still listed as holding.
        action: what it gives.
        on_unknown: given where it is unknown whether the rule holds; nothing where it is not written.
    """

    id: Identifier
    title: Words
    rationale: Words | None = None
    when: PolicyCondition
    unless: PolicyCondition | None = None
    action: Identifier
    on_unknown: Identifier | None = None


class Policy(ContentHashed):
    """Everything that decides on the transactions of one type of entity.

    Attributes:
        name: of all its versions.
        fields: of the entity, typed; conditions may name these alone.
        transaction_fields: what transactions have beside the fields that all have.
        case_fields: what cases and alerts have beside the fields that all have.
        levels: names, lowest first.
        actions: that can be taken, the mildest first.
        wins: of the rules that give an action, the first one or the one with the most severe action.
        otherwise: the action where no rule gives one.
    """

    name: Identifier = Field(alias="policy")
    entity_type: Identifier
    fields: dict[Name, FieldType] = Field(default_factory=dict)
    transaction_fields: dict[Name, FieldType] = Field(default_factory=dict)
    case_fields: dict[Name, FieldType] = Field(default_factory=dict)
    levels: Annotated[
        tuple[Annotated[str, StringConstraints(min_length=1, max_length=40)], ...], Field(min_length=3, max_length=6)
    ]
    actions: Annotated[tuple[Identifier, ...], Field(min_length=2, max_length=20)]
    wins: Literal["first", "most severe"]
    rationale: Words | None = None
    rules: Annotated[tuple[PolicyRule, ...], Field(min_length=1, max_length=1000)]
    otherwise: Identifier


def read_policy(text: str, source: str = "the policy") -> Policy:
    """Read a policy from YAML or JSON; InvalidRulesetError, with the lines, names everything that does not fit."""
    return policy_of(Document(text, source), source)


def read_canonical_policy(canonical: str, source: str = "the policy") -> Policy:
    """Read a policy from its canonical form, as `read_policy` does; InvalidRulesetError as above."""
    return read_canonical(Policy, canonical) or read_policy(canonical, source)


def policy_of(document: Document, source: str = "the policy") -> Policy:
    """Make a policy of a document that was read; InvalidRulesetError as above."""
    if not isinstance(document.data, dict):
        raise InvalidRulesetError([Finding("the policy", "must be a mapping that begins with `policy: NAME`")], source)
    return validate_document(Policy, document, source)
