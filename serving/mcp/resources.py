"""The resources, which are documents for the roles that may read their route of `/v1`, and the prompts."""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote

from fivefold.serving.mcp.caller import BY_NAME, Caller, RefusedCallError
from fivefold.serving.mcp.reading import READING
from fivefold.usecases.shared.actors import Role

FAMILIES, VERSION = "GET /v1/rulesets", "GET /v1/rulesets/{family}/versions/{number}"
MODELS, MODEL = "GET /v1/models", "GET /v1/models/{version}"
INDICATORS: Final = "fivefold://indicators"
RULESET_PATTERN: Final = "fivefold://rulesets/{family}/versions/{number}"
MODEL_PATTERN: Final = "fivefold://models/{version}"
MARKDOWN, YAML = "text/markdown", "application/yaml"
MOST_LISTED: Final = 100


@dataclass(frozen=True)
class Resource:
    """A resource in the list."""

    uri: str
    name: str
    description: str
    kind: str


@dataclass(frozen=True)
class ResourceText:
    """A resource that was read; the audit log records its *pattern*."""

    pattern: str
    kind: str
    text: str


@dataclass(frozen=True)
class Pattern:
    """A kind of resource.

    Attributes:
        uri: the address, with the names of its parts in braces.
        route: the route of `/v1` that gives the resource; its roles may read the resource.
        read: reads a resource by its parts.
    """

    uri: str
    name: str
    description: str
    kind: str
    route: str
    read: Callable[[Caller, tuple[str, ...]], Awaitable[str]]

    def parts_in(self, uri: str) -> tuple[str, ...] | None:
        """Return the parts of an address; None if it is not of this kind."""
        mine, theirs = self.uri.split("/"), uri.split("/")
        if len(mine) != len(theirs):
            return None
        pairs = list(zip(mine, theirs, strict=True))
        if any(part != other for part, other in pairs if not part.startswith("{")):
            return None
        return tuple(unquote(other) for part, other in pairs if part.startswith("{"))


async def _ruleset(caller: Caller, parts: tuple[str, ...]) -> str:
    family, number = parts
    version = (await caller.read(VERSION, {"family": family, "number": number})).content
    return str(version["document"])


async def _model_card(caller: Caller, parts: tuple[str, ...]) -> str:
    model = (await caller.read(MODEL, {"version": parts[0]})).content
    if model["card"] is None:
        raise RefusedCallError(404, f"version {parts[0]} has no model card any more")
    return str(model["card"])


PATTERNS: Final = (
    Pattern(RULESET_PATTERN, "A version of a ruleset", "The rules as they were written.", YAML, VERSION, _ruleset),
    Pattern(MODEL_PATTERN, "The card of a value model", "Data, measures and limits.", MARKDOWN, MODEL, _model_card),
)


def patterns_of(role: Role) -> list[Pattern]:
    """List the kinds of resources that a role may read."""
    return [pattern for pattern in PATTERNS if role in BY_NAME[pattern.route].roles]


async def list_resources(caller: Caller, role: Role) -> list[Resource]:
    """List what a role may read: the indicators, the rulesets that decide, and the versions of the value model."""
    resources = [Resource(INDICATORS, "The indicators", "What each indicator of the value model means.", MARKDOWN)]
    if role in BY_NAME[FAMILIES].roles:
        for family in (await caller.read(FAMILIES, query={"limit": MOST_LISTED})).content:
            number = family["active"] or family["newest"]
            if number is not None:
                uri = RULESET_PATTERN.format(family=quote(family["name"], safe=""), number=number)
                state = "It decides." if family["active"] else "It does not decide."
                resources.append(Resource(uri, f"Ruleset {family['name']}, version {number}", state, YAML))
    if role in BY_NAME[MODELS].roles:
        for model in (await caller.read(MODELS, query={"limit": MOST_LISTED})).content:
            aliases = ", ".join(model["aliases"])
            uri = MODEL_PATTERN.format(version=model["number"])
            resources.append(Resource(uri, f"Value model, version {model['number']}", aliases, MARKDOWN))
    return resources


async def read_resource(caller: Caller, role: Role, uri: str) -> ResourceText:
    """Read a resource; RefusedCallError 404 if this role has none at *uri*."""
    if uri == INDICATORS:
        from fivefold.features.catalogue_page import catalogue_markdown  # noqa: PLC0415 (rarely needed)

        return ResourceText(INDICATORS, MARKDOWN, catalogue_markdown())
    for pattern in patterns_of(role):
        parts = pattern.parts_in(uri)
        if parts is not None:
            return ResourceText(pattern.uri, pattern.kind, await pattern.read(caller, parts))
    raise RefusedCallError(404, f"there is no resource {json.dumps(uri)}")


_BY_NAME = {tool.name: tool for tool in READING}
_CARE = (
    "Use only what the tools answer, and name the number of the assessment. Say what is not known. Do not write"
    " anything for the customer: what is known of risk is not for them."
)
_DEFAULTS = {"type": "customer", "days": "30"}


@dataclass(frozen=True)
class Prompt:
    """A question for an agent.

    Attributes:
        arguments: the meaning of each, by name; those in `required` must be given.
        tools: the tools that answer it; it is for the roles that may call all of them.
        text: the question, with the names of its arguments in braces.
    """

    name: str
    title: str
    description: str
    arguments: Mapping[str, str]
    required: frozenset[str]
    tools: tuple[str, ...]
    text: str

    def filled(self, arguments: Mapping[str, str]) -> str:
        """Write the question; KeyError if a required argument is missing."""
        values = {name: arguments.get(name) or _DEFAULTS.get(name) for name in self.arguments}
        missing = sorted(name for name in self.required if not values[name])
        if missing:
            raise KeyError(", ".join(missing))
        return self.text.format(**values)

    def entity(self, arguments: Mapping[str, str]) -> tuple[str, str] | None:
        """Return the type and the identifier of the entity in the question; None if it is not about one."""
        if "external_id" not in self.arguments:
            return None
        return arguments.get("type") or _DEFAULTS["type"], arguments["external_id"]


_OF_ONE = {"external_id": "Your own identifier of the customer.", "type": "The type of entity; customer by default."}

PROMPTS = (
    Prompt(
        "why_this_level",
        "Why does this customer have this level?",
        "Explain a level by its reasons and its history.",
        _OF_ONE,
        frozenset({"external_id"}),
        ("read_level", "read_level_history"),
        "Why does the {type} {external_id} have its risk level? Call read_level, then read_level_history. Begin with"
        " one sentence: level, since when, the arithmetic. Then the reasons, the one with most points first, and what"
        " changed when the level was reached. " + _CARE,
    ),
    Prompt(
        "what_would_change_it",
        "What would change this level?",
        "Find the smallest changes that would move a level.",
        _OF_ONE,
        frozenset({"external_id"}),
        ("read_level", "what_would_change_level"),
        "What would change the risk level of the {type} {external_id}? Call read_level, then what_would_change_level"
        " with direction down, and with direction up. Begin with one sentence. Then list the changes, those of one"
        " factor first, and from when each would hold. " + _CARE,
    ),
    Prompt(
        "what_changed_in_the_portfolio",
        "What changed in the portfolio?",
        "Summarise moves between levels, and name those who moved last.",
        {"days": "How many days to look back; 30 by default.", "type": "The type of entity; customer by default."},
        frozenset(),
        ("portfolio_changes", "portfolio_levels"),
        "What changed among all of type {type} in the last {days} days? Call portfolio_changes for that time, then"
        " portfolio_levels. Begin with one sentence: how many rose and fell. Then who rose to the highest level, each"
        " with the reason that the tool gives. " + _CARE,
    ),
)


def prompts_of(role: Role) -> list[Prompt]:
    """List the questions of a role; their tools all read."""
    return [prompt for prompt in PROMPTS if all(role in _BY_NAME[name].roles for name in prompt.tools)]
