"""What a route is: who may ask it, what it takes and gives, and the function that answers."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum, auto
from functools import cached_property
from inspect import getdoc
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from pydantic import FailFast, TypeAdapter
from sqlalchemy import Engine

from fivefold.domain.paging import Page
from fivefold.usecases.accounts.tokens import Credential
from fivefold.usecases.levels.value_scores import EntityScorer
from fivefold.usecases.shared.actors import Actor, Role

_IN_PATH = re.compile(r"{(\w+)}")


@dataclass(frozen=True)
class Asked:
    """Who asks, once admitted, and what answers.

    Attributes:
        valuer: the value model that serves; None where none does.
    """

    engine: Engine
    credential: Credential
    valuer: EntityScorer | None = None

    @property
    def actor(self) -> Actor:
        """As use cases name whoever asks."""
        return self.credential.actor

    @property
    def role(self) -> Role:
        """What the token is for."""
        return Role(self.credential.role)


class Work(StrEnum):
    """How much there is to do for a request."""

    QUICK = auto()
    """Milliseconds: nearly all."""
    BULK = auto()
    """Rows by the thousand."""
    READING = auto()
    """Documents that people write, such as rulesets: to read one takes up to seconds of a processor."""


FORM_BYTES, DOCUMENT_BYTES = 1_000_000, 256_000
"""Largest body of a form, and of one with a document in it; a ruleset of a hundred rules has a fifth of that."""


@dataclass(frozen=True)
class Route:
    """One route, which is all that its handler's annotations and these say.

    A handler takes `asked`; each name of the path (one that Python has already with an underscore behind it); perhaps
    `query`, a form whose fields are the query's; perhaps `body`, a form of the JSON that was sent. What it returns is
    the answer, and nothing is 204, whatever the status of an answer is.

    Attributes:
        work: how much there is to do for it; it decides where it waits, and how large a body may be.
        method: GET, POST, PUT, PATCH or DELETE.
        path: with the names of its variable parts in braces.
        roles: who may ask; all others are refused before anything is looked at.
        handler: parses nothing, calls one use case, and gives the form of the answer.
        status: of a good answer.
        tells_secret: the answer has a secret, which is told once and kept nowhere.
    """

    method: str
    path: str
    roles: frozenset[Role]
    handler: Callable[..., Any]
    status: int = 200
    work: Work = Work.QUICK
    tells_secret: bool = False

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
        """Give the type of the answer; a page is answered as the list of its rows."""
        made = self._returns
        return list[get_args(made)[0]] if self.is_paged else made  # type: ignore[misc]  # known when it runs

    @cached_property
    def is_paged(self) -> bool:
        """Tell whether the answer is a page of a list."""
        return get_origin(self._returns) is Page

    @cached_property
    def _returns(self) -> Any:
        return get_type_hints(self.handler, include_extras=True)["return"]

    @cached_property
    def may_give_nothing(self) -> bool:
        """Tell whether there are good answers without a body: 204."""
        return type(None) in {self.gives, *get_args(self.gives)}

    @cached_property
    def readers(self) -> Mapping[str, TypeAdapter[Any]]:
        """Give what reads each name of the path, the query and the body."""
        return {
            name: TypeAdapter(Annotated[made, FailFast()] if name == "body" and self.row is not None else made)
            for name, made in self.takes.items()
        }

    @cached_property
    def row(self) -> TypeAdapter[Any] | None:
        """Give what reads one row of the body; None where the body is no array of rows."""
        made = self.takes.get("body")
        plain = get_args(made)[0] if get_origin(made) is Annotated else made
        return TypeAdapter(get_args(plain)[0]) if get_origin(plain) is list else None

    def most_bytes(self, limit: int) -> int:
        """Give how large a body may be, where the server takes up to *limit*."""
        own = {Work.QUICK: FORM_BYTES, Work.READING: DOCUMENT_BYTES, Work.BULK: limit}[self.work]
        return min(own, limit)

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
