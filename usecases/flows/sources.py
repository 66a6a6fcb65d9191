"""Sources of data outside: what the operator registers, and which organisation may ask which.

They are in a file of the operator's, not in documents: the author of a flow names a source and its facts, and never an
address or a secret.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path as FilePath
from typing import Annotated, Any, Literal, Self, get_args
from urllib.parse import quote, urlencode

import httpx
import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails
from referencing import Registry

from fivefold.domain.errors import ConfigError
from fivefold.domain.text import perhaps, unknown_name, why_unreadable
from fivefold.flows.language import AgentStep, DataStep, Flow
from fivefold.flows.outside.language import RegisteredName
from fivefold.risk.compiler.diagnostics import Diagnostic
from fivefold.risk.language.base import Identifier, Name
from fivefold.risk.language.documents import Path
from fivefold.risk.language.purposes import Purpose, strictest
from fivefold.usecases.flows.models.permitted import ModelRegistration
from fivefold.usecases.shared.addresses import checked_url

MOST_BYTES = 1_000_000
MOST_SECONDS = 30
MOST_TRIES = 5
_HOLE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_POINTER = r"^(/([^~/]|~[01])*)+$"
_OURS = frozenset({"host", "content-length", "content-type", "transfer-encoding", "connection", "accept-encoding"})


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SourceSecret(_Part):
    """A header with a secret.

    Attributes:
        header: its name.
        name: of the secret: it is in `FIVEFOLD_SECRET_<name>`.
        form: how the header is written.
    """

    header: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]+$")]
    name: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")]
    form: str = "Bearer {secret}"


class DataSource(_Part):
    """A source of data.

    Attributes:
        title: in plain words.
        url: of https; `{name}` stands for a fact. Facts without a place in it are parameters of a GET, and the body of
            a POST has all of them.
        method: GET, or POST with the facts as JSON.
        sends: the names of the facts that it takes, all of them.
        gives: of each output, the JSON pointer (RFC 6901) to where it is in the answer.
        answer: the JSON Schema (2020-12) of the answer.
        purpose: what its data were gathered for; aml where nothing is said.
        repeatable: asking again changes nothing there, so that it is tried again where it did not answer; a GET always.
            No other one is asked twice for a step of a run.
        tries: how often it is tried then.
        seconds: the limit of one try.
        most_bytes: of the answer.
        secret: a header with a secret.
        private: it is in the operator's own network; its address may be private.
    """

    title: str
    url: str
    method: Literal["GET", "POST"] = "GET"
    sends: Annotated[tuple[Name, ...], Field(min_length=1)]
    gives: Annotated[dict[Name, Annotated[str, Field(pattern=_POINTER)]], Field(min_length=1)]
    answer: dict[str, Any]
    purpose: Purpose = "aml"
    repeatable: bool = False
    tries: Annotated[int, Field(ge=1, le=MOST_TRIES)] = 2
    seconds: Annotated[int, Field(ge=1, le=MOST_SECONDS)] = 5
    most_bytes: Annotated[int, Field(ge=1, le=MOST_BYTES)] = 65_536
    secret: SourceSecret | None = None
    private: bool = False

    @field_validator("answer")
    @classmethod
    def _is_schema(cls, schema: dict[str, Any]) -> dict[str, Any]:
        try:
            Draft202012Validator.check_schema(schema)
        except SchemaError as error:
            raise ValueError(f"is not a JSON Schema: {error.message}") from None
        if any(not reference.startswith("#") for reference in _references(schema)):
            raise ValueError("refers to another document; a schema refers to itself alone, as in #/$defs/name")
        return schema

    @cached_property
    def host(self) -> str:
        """The name of the host."""
        return httpx.URL(_HOLE.sub("x", self.url)).host

    @cached_property
    def validator(self) -> Draft202012Validator:
        """What tells whether an answer fits; it looks up no other document."""
        return Draft202012Validator(self.answer, registry=Registry())

    @property
    def digest(self) -> str:
        """The SHA-256 of the registration, in hexadecimal: any change of the registration changes it."""
        return hashlib.sha256(json.dumps(self.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()

    @property
    def may_repeat(self) -> bool:
        """Whether asking again changes nothing there."""
        return self.repeatable or self.method == "GET"

    @property
    def most_tries(self) -> int:
        """How often it is tried."""
        return self.tries if self.may_repeat else 1

    def address(self, values: Mapping[str, str]) -> httpx.URL:
        """Put facts, as text, into the URL; ValueError if one would change the path, as `..` would."""
        placed = set(_HOLE.findall(self.url))
        for name in placed:
            if not values[name].strip(". "):
                raise ValueError(f"{name} is empty, or dots alone, and has a place in the address")
        url = _HOLE.sub(lambda hole: quote(values[hole[1]], safe=""), self.url)
        rest = {name: value for name, value in sorted(values.items()) if name not in placed}
        if self.method == "GET" and rest:
            url += ("&" if "?" in url else "?") + urlencode(rest)
        return httpx.URL(url)


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        for word, below in schema.items():
            if word in {"$ref", "$dynamicRef"} and isinstance(below, str):
                yield below
            yield from _references(below)
    elif isinstance(schema, list):
        for below in schema:
            yield from _references(below)


class Allowed(_Part):
    """What an organisation may ask: sources on some hosts, and some models, by name."""

    hosts: tuple[str, ...] = ()
    models: tuple[str, ...] = ()


class DataSources(_Part):
    """The operator's file.

    Attributes:
        organisations: by name, the hosts whose sources each may ask, and the models.
        sources: by name.
        models: by the name under which each is registered.
    """

    organisations: dict[str, Allowed] = Field(default_factory=dict)
    sources: dict[Identifier, DataSource] = Field(default_factory=dict)
    models: dict[RegisteredName, ModelRegistration] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _has_models_allowed(self) -> Self:
        for organisation, allowed in self.organisations.items():
            for name in allowed.models:
                if name not in self.models:
                    there = f"there are {', '.join(self.models) or 'none'}{perhaps(name, self.models)}"
                    raise ValueError(f"{organisation} may ask the model {name}, which is not under models; {there}")
        return self

    def allowed_models(self, organisation: str) -> dict[str, ModelRegistration]:
        """Return the models that an organisation may ask, by name."""
        there = self.organisations.get(organisation)
        return {} if there is None else {name: self.models[name] for name in there.models}

    def allowed(self, organisation: str) -> dict[str, DataSource]:
        """Return the sources that an organisation may ask, by name."""
        there = self.organisations.get(organisation)
        hosts = {host.lower() for host in there.hosts} if there is not None else set()
        return {name: source for name, source in self.sources.items() if source.host.lower() in hosts}


def read_sources(path: FilePath | None, secrets: Mapping[str, str]) -> DataSources:
    """Read the operator's file of sources; without a file there are none.

    Args:
        path: the file (YAML).
        secrets: by name; those that sources name must be there.

    Raises:
        ConfigError: what is wrong, and where.
    """
    if path is None:
        return DataSources()
    try:
        content = yaml.safe_load(path.read_text("utf-8")) or {}
        read = DataSources.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "all of it"
        raise ConfigError(f"{path}, the file of sources: {where}: {_problem_text(first)}") from None
    except (OSError, yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: not UTF-8, too many digits
        why = why_unreadable(error)
        raise ConfigError(f"{path}, the file of sources, cannot be read: {why} (FIVEFOLD_SOURCES_FILE)") from None
    for name, source in read.sources.items():
        for problem in _problems(source, secrets):
            raise ConfigError(f"{path}, the file of sources: {name}: {problem}")
    return read


def _problem_text(detail: ErrorDetails) -> str:
    """Describe what is wrong at a place of the file; for an unknown key, list the keys there."""
    if detail["type"] != "extra_forbidden":
        return detail["msg"]
    form: Any = DataSources
    for name in detail["loc"][:-1]:
        annotation = form.model_fields[name].annotation if hasattr(form, "model_fields") else get_args(form)[1]
        form = SourceSecret if SourceSecret in get_args(annotation) else annotation
    return unknown_name(detail["loc"][-1], "key", form.model_fields)


def _problems(source: DataSource, secrets: Mapping[str, str]) -> Iterator[str]:
    """Find faults of a source that its form allows."""
    start, _, rest = source.url.partition("://")
    if start != "https":
        yield "the URL must begin with https://"
    if _HOLE.search(re.split(r"[/?#]", rest, maxsplit=1)[0]):
        yield "the URL has a fact in the name of the host; the operator alone says which host is asked"
    try:
        or_else = ", or the source must have `private: true`"
        url = _HOLE.sub("x", source.url)
        checked_url(url, private_allowed=source.private, http_allowed=True, what="the URL", or_else=or_else)
    except ConfigError as error:
        yield str(error)
    strange = [name for name in _HOLE.findall(source.url) if name not in source.sends]
    if strange:
        yield f"the URL has a place for {', '.join(strange)}, which sends does not name"
    secret = source.secret
    if secret is not None:
        value = secrets.get(secret.name, "")
        if secret.header.lower() in _OURS:
            yield f"the header {secret.header} is written by fivefold itself"
        if "{secret}" not in secret.form:
            yield "the form of the secret's header must have {secret} in it"
        if not value or not (value.isascii() and value.isprintable()) or value != value.strip():
            yield f"FIVEFOLD_SECRET_{secret.name} must be set, to text that a header can have"


def source_diagnostics(flow: Flow, sources: Mapping[str, DataSource], *, has_agent: bool) -> Iterator[Diagnostic]:
    """Find what a flow asks outside that it cannot ask.

    Args:
        flow: the flow.
        sources: those that its organisation may ask, by name.
        has_agent: whether an agent is set up.
    """
    for position, step in enumerate(flow.steps):
        path: Path = ("steps", position, step.kind)
        if isinstance(step, DataStep):
            yield from (Diagnostic(path, problem) for problem in problems_of_step(step, sources))
        elif isinstance(step, AgentStep) and not has_agent:
            yield Diagnostic(path, "asks an agent, and none is set up (FIVEFOLD_AGENT_URL)")


def problems_of_step(step: DataStep, sources: Mapping[str, DataSource]) -> Iterator[str]:
    """Find why the sources that may be asked cannot answer a step, as they are registered now."""
    question = step.data
    source = sources.get(question.source)
    if source is None:
        there = ", ".join(sources) or "none"
        instead = perhaps(question.source, sources)
        yield f"there is no source {question.source} that may be asked; there are {there}{instead}"
        return
    if set(question.send) != set(source.sends):
        yield f"sends {', '.join(question.send)}; the source {question.source} takes {', '.join(source.sends)}"
    for name in question.gives:
        if name not in source.gives:
            there = ", ".join(source.gives)
            yield f"takes {name} of the source {question.source}, which gives {there}{perhaps(name, source.gives)}"
    if strictest([source.purpose, question.purpose]) != question.purpose:
        registered = f"the source {question.source} is registered for {source.purpose}"
        yield f"says that its data are for {question.purpose}; {registered}"
