"""What a tool is: its arguments, its answer, the routes that it asks, and what its call does."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import cached_property
from inspect import getdoc
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, create_model

from fivefold.serving.mcp.caller import BY_NAME, Caller
from fivefold.usecases.accounts.credentials import Credential
from fivefold.usecases.shared.actors import Role


class Arguments(BaseModel):
    """The arguments of a tool: these and no others."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @property
    def entity(self) -> tuple[str, str] | None:
        """Type and identifier of the one that is asked about; None where it is not about one."""
        return None

    @property
    def recorded(self) -> dict[str, object]:
        """What the audit log has of it beside the entity: numbers of records, nothing personal."""
        return {}

    @property
    def parameters(self) -> dict[str, object]:
        """What was given besides: not about whom, why, or what `recorded` has."""
        elsewhere = {"type", "external_id", "why", "after", *self.recorded}
        return self.model_dump(mode="json", exclude=elsewhere, exclude_unset=True)

    @property
    def reason(self) -> str | None:
        """Why something is to be changed; None where nothing is."""
        return None


class TypeArguments(Arguments):
    """About everybody of a type."""

    type: str = Field(default="customer", description="The type of entity.")


class OfEntity(TypeArguments):
    """About one."""

    external_id: str = Field(pattern=r"^[^\x00]+$", description="Your own identifier of the customer.")

    @property
    def entity(self) -> tuple[str, str] | None:
        """Type and identifier."""
        return self.type, self.external_id

    @property
    def parts(self) -> dict[str, str]:
        """The same as the parts of a path."""
        return {"type": self.type, "external_id": self.external_id}


@dataclass(frozen=True)
class ToolAnswer:
    """The sentence that comes first, then the structure, by the names that the tool declares.

    Attributes:
        recorded: what the audit log has of it: numbers of records, nothing personal.
        entity: type and identifier of whom it was about, where the arguments do not say it.
    """

    sentence: str
    structure: Mapping[str, Any]
    recorded: Mapping[str, object] = field(default_factory=dict)
    entity: tuple[str, str] | None = None


class Effect(Enum):
    """What a call of a tool does to what is stored."""

    READS = auto()
    """Nothing."""
    ADDS = auto()
    """Something is added, and what is there stays."""
    REPLACES = auto()
    """What is there may be another thing then, or have an end."""


@dataclass(frozen=True, eq=False)
class Tool:
    """One tool.

    Attributes:
        title: for people.
        arguments: the model that reads them.
        answer: asks the routes; its docstring is the description, its name the tool's.
        gives: what follows the sentence: by name the routes whose answer it may be.
        is_list: there may be more, from `after` on.
        effect: of a call. Tools that do more than read are there only for tokens that say so.
        repeats: the same call again may do something again.
        reaches_out: a call may reach programs elsewhere.
    """

    title: str
    arguments: type[Arguments]
    answer: Callable[[Caller, Any], Awaitable[ToolAnswer]]
    gives: Mapping[str, tuple[str, ...]]
    is_list: bool = field(default=False, kw_only=True)
    effect: Effect = field(default=Effect.READS, kw_only=True)
    repeats: bool = field(default=False, kw_only=True)
    reaches_out: bool = field(default=False, kw_only=True)

    @property
    def name(self) -> str:
        """The name by which it is called."""
        return self.answer.__name__

    @property
    def description(self) -> str:
        """What it answers, for the model that chooses."""
        return " ".join((getdoc(self.answer) or "").split())

    @property
    def changes(self) -> bool:
        """Whether a call does more than read."""
        return self.effect is not Effect.READS

    @cached_property
    def routes(self) -> frozenset[str]:
        """All routes that it may ask; a caller lets it ask no other."""
        return frozenset(name for names in self.gives.values() for name in names)

    def is_for(self, credential: Credential) -> bool:
        """Tell whether it is there for who holds a token."""
        return credential.role in self.roles and (credential.mcp_changes or not self.changes)

    @cached_property
    def roles(self) -> frozenset[Role]:
        """Who may call it: who may ask any of the routes that its first answer may be of."""
        first = next(iter(self.gives.values()))
        return frozenset().union(*(BY_NAME[name].roles for name in first))

    @cached_property
    def input_schema(self) -> dict[str, Any]:
        """The JSON Schema of its arguments."""
        written: dict[str, Any] = _short(self.arguments.model_json_schema())
        return written

    @cached_property
    def output_schema(self) -> dict[str, Any]:
        """The JSON Schema of its structure, of the types that the routes give."""
        fields: dict[str, Any] = {"sentence": (str, ...)}
        for name, routes in self.gives.items():
            answers = BY_NAME[routes[0]].gives
            for route in routes[1:]:
                answers |= BY_NAME[route].gives
            fields[name] = (answers | None, ...)
        if self.is_list:
            fields["after"] = (str | None, ...)
        model: Any = create_model(self.name, **fields)
        written: dict[str, Any] = _short(model.model_json_schema(mode="serialization"))
        return written


def _short(schema: Any) -> Any:
    """Leave out of a schema what repeats its names, and what its classes tell readers of code: models pay for words."""
    if isinstance(schema, list):
        return [_short(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    fields = {name: _short(value) for name, value in schema.items() if not (name == "title" and isinstance(value, str))}
    if isinstance(words := fields.get("description"), str):
        fields["description"] = words.partition("\n\nAttributes:")[0]
    return fields
