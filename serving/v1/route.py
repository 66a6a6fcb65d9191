"""What a route is: who may ask it, what it takes and gives, and the function that answers."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from inspect import getdoc
from typing import Any, get_type_hints

from pydantic import TypeAdapter
from sqlalchemy import Engine

from usecases.actors import Actor
from usecases.roles import Role
from usecases.tokens import Credential
from usecases.valuing import Valuer

_IN_PATH = re.compile(r"{(\w+)}")


@dataclass(frozen=True)
class Asked:
    """Who asks, once admitted, and what answers.

    Attributes:
        valuer: the value model that serves; None where none does.
    """

    engine: Engine
    credential: Credential
    valuer: Valuer | None = None

    @property
    def actor(self) -> Actor:
        """As use cases name whoever asks."""
        return self.credential.actor

    @property
    def role(self) -> Role:
        """What the token is for."""
        return Role(self.credential.role)


@dataclass(frozen=True)
class Route:
    """One route, which is all that its handler's annotations and these say.

    A handler takes `asked`; each name of the path (one that Python has already with an underscore behind it); perhaps
    `query`, a form whose fields are the query's; perhaps `body`, a form of the JSON that was sent. What it returns is
    the answer, and nothing is 204.

    Attributes:
        method: GET, POST, PUT, PATCH or DELETE.
        path: with the names of its variable parts in braces.
        roles: who may ask; all others are refused before anything is looked at.
        handler: parses nothing, calls one use case, and gives the form of the answer.
        status: of a good answer.
    """

    method: str
    path: str
    roles: frozenset[Role]
    handler: Callable[..., Any]
    status: int = 200

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Give the names of the path's variable parts."""
        return tuple(_IN_PATH.findall(self.path))

    @cached_property
    def takes(self) -> Mapping[str, Any]:
        """Give the type of each name of the path, and of the query and the body where there are such."""
        hints = get_type_hints(self.handler, include_extras=True)
        return {name.rstrip("_"): hints[name] for name in hints if name not in {"asked", "return"}}

    @cached_property
    def gives(self) -> Any:
        """Give the type of the answer."""
        return get_type_hints(self.handler, include_extras=True)["return"]

    @cached_property
    def readers(self) -> Mapping[str, TypeAdapter[Any]]:
        """Give what reads each name of the path, the query and the body."""
        return {name: TypeAdapter(made) for name, made in self.takes.items()}

    @cached_property
    def writer(self) -> TypeAdapter[Any]:
        """Give what writes the answer."""
        return TypeAdapter(self.gives)

    @cached_property
    def summary(self) -> str:
        """Say what it is for, in the handler's own words."""
        return (getdoc(self.handler) or "").partition("\n")[0].rstrip(".")

    @cached_property
    def description(self) -> str:
        """Say more, as far as the handler does, and who may ask."""
        more = (getdoc(self.handler) or "").partition("\n")[2].strip()
        return "\n\n".join(filter(None, [more, f"For: {', '.join(role for role in Role if role in self.roles)}."]))

    def called(self, asked: Asked, given: Mapping[str, Any]) -> Any:
        """Call the handler with what was read of a request."""
        own = {name.rstrip("_"): name for name in get_type_hints(self.handler)}
        return self.handler(asked, **{own[name]: value for name, value in given.items()})
