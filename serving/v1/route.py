"""A route: its roles, its parameters, the type of its response, and its handler."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum, auto
from functools import cached_property
from inspect import getdoc
from typing import Annotated, Any, Self, get_args, get_origin, get_type_hints

from pydantic import FailFast, TypeAdapter
from sqlalchemy import Engine

from fivefold.domain.paging import Page
from fivefold.store.accounts.plans import Plan
from fivefold.usecases.accounts.credentials import Credential
from fivefold.usecases.levels.value_scores import EntityScorer
from fivefold.usecases.models.read import OpenRegistry, no_registry
from fivefold.usecases.shared.actors import Role
from fivefold.usecases.shared.context import Context

_IN_PATH = re.compile(r"{(\w+)}")


@dataclass(frozen=True, kw_only=True)
class RequestContext(Context):
    """The authenticated caller, the database, the clock, and the value model.

    Attributes:
        valuer: the value model that serves, or None.
        plans: the limits of tokens, by the name of the plan.
        registry: opens the registry of value models; returns None if no model was trained yet.
    """

    credential: Credential
    valuer: EntityScorer | None = None
    plans: Mapping[str, Plan] = field(default_factory=dict)
    registry: OpenRegistry = no_registry

    @classmethod
    def of(
        cls,
        engine: Engine,
        credential: Credential,
        valuer: EntityScorer | None = None,
        plans: Mapping[str, Plan] | None = None,
        registry: OpenRegistry = no_registry,
        *,
        by_tool: bool = False,
    ) -> Self:
        """Return the context of a caller."""
        return cls(
            engine,
            credential.actor,
            by_tool=by_tool,
            credential=credential,
            valuer=valuer,
            plans=plans or {},
            registry=registry,
        )

    @property
    def role(self) -> Role:
        """The role of the token."""
        return Role(self.credential.role)


class Work(StrEnum):
    """The amount of work of a request."""

    QUICK = auto()
    """Milliseconds, as nearly all requests."""
    BULK = auto()
    """Thousands of rows."""
    READING = auto()
    """Documents such as rulesets: reading one takes up to seconds of processor time."""


FORM_BYTES, DOCUMENT_BYTES = 1_000_000, 256_000
"""Largest body of a form, and of a form with a document; a ruleset of a hundred rules takes a fifth of the latter."""


@dataclass(frozen=True)
class Route:
    """One route, described by its handler's annotations and these attributes.

    A handler takes `context`; each variable part of the path (with a trailing underscore where Python has the name);
    optionally `query`, a model of the query; optionally `body`, a model of the JSON body. Its return value is the
    answer; None is 204, whatever *status* is.

    Attributes:
        work: decides the lane, and the largest body.
        method: GET, POST, PUT, PATCH or DELETE.
        path: with its variable parts in braces.
        roles: the roles that may call it; all others are refused before the body is read.
        handler: parses nothing, calls one use case, and returns the response model.
        status: the status of a successful response.
        tells_secret: whether the response holds a secret, which is shown once and stored nowhere.
        together: carries out several requests of one organisation at once, each given by its context and its arguments;
            the result None of a request means that the handler is to be called. Absent if each is carried out alone.
    """

    method: str
    path: str
    roles: frozenset[Role]
    handler: Callable[..., Any]
    status: int = 200
    work: Work = Work.QUICK
    tells_secret: bool = False
    together: Callable[[Sequence[tuple[RequestContext, Mapping[str, Any]]]], Sequence[Any]] | None = None

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of the path's variable parts."""
        return tuple(_IN_PATH.findall(self.path))

    @cached_property
    def takes(self) -> Mapping[str, Any]:
        """The type of each part of the path, of the query and of the body, by name."""
        hints = get_type_hints(self.handler, include_extras=True)
        return {name.rstrip("_"): hints[name] for name in hints if name not in {"context", "return"}}

    @cached_property
    def gives(self) -> Any:
        """The type of the answer; a page is answered as the list of its rows."""
        type_ = self._returns
        return list[get_args(type_)[0]] if self.is_paged else type_  # type: ignore[misc]  # known when it runs

    @cached_property
    def is_paged(self) -> bool:
        """Whether the answer is a page of a list."""
        return get_origin(self._returns) is Page

    @cached_property
    def _returns(self) -> Any:
        return get_type_hints(self.handler, include_extras=True)["return"]

    @cached_property
    def may_give_nothing(self) -> bool:
        """Whether a successful response may be empty: 204."""
        return type(None) in {self.gives, *get_args(self.gives)}

    @cached_property
    def readers(self) -> Mapping[str, TypeAdapter[Any]]:
        """The validators of the parts of the path, the query and the body, by name."""
        return {
            name: TypeAdapter(Annotated[type_, FailFast()] if name == "body" and self.row is not None else type_)
            for name, type_ in self.takes.items()
        }

    @cached_property
    def row(self) -> TypeAdapter[Any] | None:
        """The validator of one row; None if the body is not an array of rows."""
        body = self.takes.get("body")
        plain = get_args(body)[0] if get_origin(body) is Annotated else body
        return TypeAdapter(get_args(plain)[0]) if get_origin(plain) is list else None

    def most_bytes(self, limit: int) -> int:
        """Return the size in bytes of the largest body, on a server that takes up to *limit*."""
        own = {Work.QUICK: FORM_BYTES, Work.READING: DOCUMENT_BYTES, Work.BULK: limit}[self.work]
        return min(own, limit)

    @cached_property
    def writer(self) -> TypeAdapter[Any]:
        """The serializer of the answer."""
        return TypeAdapter(self.gives)

    @cached_property
    def summary(self) -> str:
        """The first line of the handler's docstring."""
        return (getdoc(self.handler) or "").partition("\n")[0].rstrip(".")

    @cached_property
    def description(self) -> str:
        """The rest of the handler's docstring, and the roles."""
        more = (getdoc(self.handler) or "").partition("\n")[2].strip()
        return "\n\n".join(filter(None, [more, f"For: {', '.join(role for role in Role if role in self.roles)}."]))

    def call(self, context: RequestContext, arguments: Mapping[str, Any]) -> Any:
        """Call the handler with the values read from a request, by name."""
        own = {name.rstrip("_"): name for name in get_type_hints(self.handler)}
        return self.handler(context, **{own[name]: value for name, value in arguments.items()})
