"""Defines tools: their arguments, their answers, the routes that they call, and the effect of a call."""

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
        """Type and identifier of the entity that the call is about; None if it is not about one."""
        return None

    @property
    def recorded(self) -> dict[str, object]:
        """What the audit log records of them beside the entity: numbers of records, nothing personal."""
        return {}

    @property
    def parameters(self) -> dict[str, object]:
        """The other arguments that were given: without entity, reason, place in a list, and those in `recorded`."""
        elsewhere = {"type", "external_id", "why", "after", *self.recorded}
        return self.model_dump(mode="json", exclude=elsewhere, exclude_unset=True)

    @property
    def reason(self) -> str | None:
        """The reason for a change; None if nothing is changed."""
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
        """Type and identifier as the parts of a path."""
        return {"type": self.type, "external_id": self.external_id}


@dataclass(frozen=True)
class ToolAnswer:
    """A sentence, and the structure that follows it, by the names that the tool declares.

    Attributes:
        recorded: what the audit log records of it: numbers of records, nothing personal.
        entity: type and identifier of the entity that it is about, if the arguments do not name it.
    """

    sentence: str
    structure: Mapping[str, Any]
    recorded: Mapping[str, object] = field(default_factory=dict)
    entity: tuple[str, str] | None = None


class Effect(Enum):
    """The effect of a tool's call on stored data."""

    READS = auto()
    """Nothing changes."""
    ADDS = auto()
    """Something is added, and existing data stays."""
    REPLACES = auto()
    """Existing data may change, or end."""


@dataclass(frozen=True, eq=False)
class Tool:
    """One tool.

    Attributes:
        title: the name for people.
        arguments: the model that reads the arguments.
        answer: calls the routes; its docstring is the description, its name the tool's.
        gives: the parts that follow the sentence, by name, each with the routes whose answer it may be.
        is_list: whether more rows may follow, from `after` on.
        effect: the effect of a call. Tools that do more than read are only for tokens that allow changes.
        repeats: whether the same call may take effect again.
        reaches_out: whether a call may reach programs elsewhere.
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
        """The name by which the tool is called."""
        return self.answer.__name__

    @property
    def description(self) -> str:
        """The description, for the model that chooses a tool."""
        return " ".join((getdoc(self.answer) or "").split())

    @property
    def changes(self) -> bool:
        """Whether a call does more than read."""
        return self.effect is not Effect.READS

    @cached_property
    def routes(self) -> frozenset[str]:
        """All routes that the tool may call; a caller lets it call no other."""
        return frozenset(name for names in self.gives.values() for name in names)

    def is_for(self, credential: Credential) -> bool:
        """Return whether the holder of a token may call the tool."""
        return credential.role in self.roles and (credential.mcp_changes or not self.changes)

    @cached_property
    def roles(self) -> frozenset[Role]:
        """The roles that may call the tool: those that may call any of the routes of its first part."""
        first = next(iter(self.gives.values()))
        return frozenset().union(*(BY_NAME[name].roles for name in first))

    @cached_property
    def input_schema(self) -> dict[str, Any]:
        """The JSON Schema of the arguments."""
        written: dict[str, Any] = _short(self.arguments.model_json_schema())
        return written

    @cached_property
    def output_schema(self) -> dict[str, Any]:
        """The JSON Schema of the answer, made of the types that the routes return."""
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
    """Remove titles, which repeat names, and attributes of docstrings from a schema: models pay for each word."""
    if isinstance(schema, list):
        return [_short(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    fields = {name: _short(value) for name, value in schema.items() if not (name == "title" and isinstance(value, str))}
    if isinstance(words := fields.get("description"), str):
        fields["description"] = words.partition("\n\nAttributes:")[0]
    return fields
