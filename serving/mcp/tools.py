"""The tools: each asks routes of `/v1` that read, and is there for the roles that may ask the first of them."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from inspect import getdoc
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

from fivefold.serving.mcp import sentences
from fivefold.serving.mcp.caller import BY_NAME, Caller, Reply
from fivefold.usecases.shared.actors import Role

SEARCH, SEARCH_VALUES = "GET /v1/search", "GET /v1/values/search"
_ENTITY = "GET /v1/entities/{type}/{external_id}"
VALUE, RISK, HISTORY = f"{_ENTITY}/value", f"{_ENTITY}/risk", f"{_ENTITY}/history"
WHAT_IF, DECISIONS = f"{_ENTITY}/what-if", f"{_ENTITY}/decisions"
REASONS, DECISION = "GET /v1/assessments/{assessment}", "GET /v1/decisions/{decision}"
DISTRIBUTION, MIGRATION, MOVERS = "GET /v1/distribution", "GET /v1/migration", "GET /v1/migration/movers"
SEGMENTS = "GET /v1/segments"
RUNS, RUN, STANDING = "GET /v1/flow-runs", "GET /v1/flow-runs/{run}", f"{_ENTITY}/flow-actions"


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


class OfType(Arguments):
    """About everybody of a type."""

    type: str = Field(default="customer", description="The type of entity.")


class Paged(OfType):
    """Which part of a list."""

    limit: int = Field(default=20, ge=1, le=100, description="Rows of one answer.")
    after: str | None = Field(default=None, description="Where it goes on: `after` of the answer before.")

    @property
    def page(self) -> dict[str, object]:
        """The same as a query."""
        return {"limit": self.limit, "after": self.after}


class OfEntity(OfType):
    """About one."""

    external_id: str = Field(description="Your own identifier of the customer.")

    @property
    def entity(self) -> tuple[str, str] | None:
        """Type and identifier."""
        return self.type, self.external_id

    @property
    def parts(self) -> dict[str, str]:
        """The same as the parts of a path."""
        return {"type": self.type, "external_id": self.external_id}


class PagedOfEntity(Paged, OfEntity):
    """A list about one."""


class Searched(Paged):
    """Who is looked for."""

    text: str = Field(min_length=1, max_length=200, description="Beginnings of words of an identifier or a name.")


class OneAssessment(Arguments):
    """About one assessment."""

    assessment: str = Field(
        description="The number of an assessment, such as 12.3; a history names them.", pattern=r"^\d{1,18}\.\d{1,18}$"
    )

    @property
    def recorded(self) -> dict[str, object]:
        """The number of the assessment."""
        return {"assessment": self.assessment}


class OneDecision(Arguments):
    """About one decision."""

    decision: int = Field(ge=1, description="The number of a decision.")

    @property
    def recorded(self) -> dict[str, object]:
        """The number of the decision."""
        return {"decision": self.decision}


class OneRun(Arguments):
    """About one run of a flow."""

    run: int = Field(ge=1, description="The number of a run; a list of runs names them.")

    @property
    def recorded(self) -> dict[str, object]:
        """The number of the run."""
        return {"run": self.run}


class Moved(OfEntity):
    """Where a level is to move."""

    direction: Literal["down", "up"] = Field(default="down", description="Where the level is to move.")
    level: str | None = Field(default=None, description="To which level; by default one step.")


class During(OfType):
    """A time, in whole days of UTC; by default the last 30 days."""

    since: str | None = Field(default=None, description="The first day, such as 2026-10-01.")
    until: str | None = Field(default=None, description="The day after the last one.")
    movers: int = Field(default=10, ge=1, le=100, description="How many of those who moved are named.")


@dataclass(frozen=True)
class Answer:
    """The sentence that comes first, then the structure, by the names that the tool declares."""

    sentence: str
    structure: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Tool:
    """One tool.

    Attributes:
        title: for people.
        given: the model of its arguments.
        answer: asks the routes; its docstring is the description, its name the tool's.
        gives: what follows the sentence: by name the routes whose answer it may be.
        is_list: there may be more, from `after` on.
    """

    title: str
    given: type[Arguments]
    answer: Callable[[Caller, Any], Awaitable[Answer]]
    gives: Mapping[str, tuple[str, ...]]
    is_list: bool = field(default=False, kw_only=True)

    @property
    def name(self) -> str:
        """The name by which it is called."""
        return self.answer.__name__

    @property
    def description(self) -> str:
        """What it answers, for the model that chooses."""
        return " ".join((getdoc(self.answer) or "").split())

    @cached_property
    def roles(self) -> frozenset[Role]:
        """Who may call it: who may ask any of the routes that its first answer may be of."""
        first = next(iter(self.gives.values()))
        return frozenset().union(*(BY_NAME[name].roles for name in first))

    @cached_property
    def input_schema(self) -> dict[str, Any]:
        """The JSON Schema of its arguments."""
        written: dict[str, Any] = _short(self.given.model_json_schema())
        return written

    @cached_property
    def output_schema(self) -> dict[str, Any]:
        """The JSON Schema of its structure, of the types that the routes give."""
        fields: dict[str, Any] = {"sentence": (str, ...)}
        for name, routes in self.gives.items():
            given = BY_NAME[routes[0]].gives
            for route in routes[1:]:
                given |= BY_NAME[route].gives
            fields[name] = (given | None, ...)
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
    kept = {name: _short(value) for name, value in schema.items() if not (name == "title" and isinstance(value, str))}
    if isinstance(words := kept.get("description"), str):
        kept["description"] = words.partition("\n\nAttributes:")[0]
    return kept


async def find_customer(caller: Caller, asked: Searched) -> Answer:
    """Find customers by the beginnings of words of their identifiers or names.

    Who may see levels finds them with level and value; others by identifier alone, with the value.
    """
    role = Role((await caller.credential()).role)
    route = SEARCH if role in BY_NAME[SEARCH].roles else SEARCH_VALUES
    reply = await caller.read(route, query={**asked.page, "type": asked.type, "text": asked.text})
    return _listed("found", sentences.found_sentence(asked.text, reply.content, reply.after), reply)


async def read_value(caller: Caller, asked: OfEntity) -> Answer:
    """Tell what a customer is worth: score, segment, expected value, and what each indicator adds to the score."""
    value = (await caller.read(VALUE, asked.parts)).content
    return Answer(sentences.value_sentence(asked.external_id, value), {"value": value})


async def read_level(caller: Caller, asked: OfEntity) -> Answer:
    """Tell a customer's risk level as it is stored, since when, and why.

    The reasons are the rules that gave points or a floor; authors of rulesets see the whole breakdown.
    """
    level = (await caller.read(RISK, asked.parts, {"freshness": "stored"})).content
    return Answer(sentences.level_sentence(level), {"level": level})


async def read_level_history(caller: Caller, asked: PagedOfEntity) -> Answer:
    """List the assessments of a customer, the latest first; `reached` marks those that changed the level."""
    reply = await caller.read(HISTORY, asked.parts, asked.page)
    return _listed("history", sentences.history_sentence(asked.external_id, reply.content, reply.after), reply)


async def read_assessment(caller: Caller, asked: OneAssessment) -> Answer:
    """Tell the reasons of an earlier assessment, by the number that a history names."""
    found = (await caller.read(REASONS, {"assessment": asked.assessment})).content
    return Answer(sentences.reasons_sentence(found), {"assessment": found})


async def what_would_change_level(caller: Caller, asked: Moved) -> Answer:
    """Find the smallest changes of one factor, or of two, that would move a customer's level.

    From the last assessment. Thresholds are shown to authors of rulesets alone. It says what the rules would say, and
    is no advice to give a customer.
    """
    found = (await caller.read(WHAT_IF, asked.parts, {"direction": asked.direction, "level": asked.level})).content
    return Answer(sentences.what_if_sentence(asked.external_id, found), {"answer": found})


async def list_decisions(caller: Caller, asked: PagedOfEntity) -> Answer:
    """List the decisions on a customer's transactions, the latest first."""
    reply = await caller.read(DECISIONS, asked.parts, asked.page)
    return _listed("decisions", sentences.decisions_sentence(asked.external_id, reply.content, reply.after), reply)


async def read_decision(caller: Caller, asked: OneDecision) -> Answer:
    """Tell a decision on a transaction as it was made, and its reasons."""
    found = (await caller.read(DECISION, {"decision": str(asked.decision)})).content
    return Answer(sentences.decision_sentence(found), {"decision": found})


async def list_flow_runs(caller: Caller, asked: PagedOfEntity) -> Answer:
    """List the runs of decision flows for a customer, the latest first: where each ended, failed or waits.

    Runs that are not `acting` are of shadows: nothing of what they came to was done.
    """
    reply = await caller.read(RUNS, query={**asked.parts, **asked.page})
    return _listed("runs", sentences.flow_runs_sentence(asked.external_id, reply.content, reply.after), reply)


async def read_flow_run(caller: Caller, asked: OneRun) -> Answer:
    """Tell where a run of a decision flow came to, what it did, and why: each step with what it saw."""
    found = (await caller.read(RUN, {"run": str(asked.run)})).content
    return Answer(sentences.flow_run_sentence(found), {"run": found})


async def read_flow_actions(caller: Caller, asked: OfEntity) -> Answer:
    """Tell what stands about a customer because of decision flows: the status, the limits, the reviews."""
    found = (await caller.read(STANDING, asked.parts)).content
    return Answer(sentences.standing_sentence(asked.external_id, found), {"standing": found})


async def portfolio_levels(caller: Caller, asked: OfType) -> Answer:
    """Count the customers at each level now, by version of the ruleset, overrides apart."""
    found = (await caller.read(DISTRIBUTION, query={"type": asked.type})).content
    return Answer(sentences.levels_sentence(found), {"distribution": found})


async def portfolio_changes(caller: Caller, asked: During) -> Answer:
    """Tell who moved between levels in a time: how many from where to where, and the last of them with why."""
    of: dict[str, object] = {"type": asked.type, "since": asked.since, "until": asked.until}
    found = (await caller.read(MIGRATION, query=of)).content
    movers = (await caller.read(MOVERS, query={**of, "limit": asked.movers})).content
    return Answer(sentences.changes_sentence(asked.type, found), {"migration": found, "movers": movers})


async def portfolio_value(caller: Caller, asked: OfType) -> Answer:
    """Count the customers of each value segment, and add up what they are expected to bring."""
    found = (await caller.read(SEGMENTS, query={"type": asked.type})).content
    return Answer(sentences.worth_sentence(found), {"segments": found})


def _listed(name: str, sentence: str, reply: Reply) -> Answer:
    return Answer(sentence, {name: reply.content, "after": reply.after})


TOOLS: tuple[Tool, ...] = (
    Tool("Find a customer", Searched, find_customer, {"found": (SEARCH, SEARCH_VALUES)}, is_list=True),
    Tool("Value of a customer", OfEntity, read_value, {"value": (VALUE,)}),
    Tool("Risk level of a customer", OfEntity, read_level, {"level": (RISK,)}),
    Tool("History of a level", PagedOfEntity, read_level_history, {"history": (HISTORY,)}, is_list=True),
    Tool("Reasons of an assessment", OneAssessment, read_assessment, {"assessment": (REASONS,)}),
    Tool("What would change a level", Moved, what_would_change_level, {"answer": (WHAT_IF,)}),
    Tool("Decisions on a customer", PagedOfEntity, list_decisions, {"decisions": (DECISIONS,)}, is_list=True),
    Tool("Reasons of a decision", OneDecision, read_decision, {"decision": (DECISION,)}),
    Tool("Runs of flows for a customer", PagedOfEntity, list_flow_runs, {"runs": (RUNS,)}, is_list=True),
    Tool("Why a flow came to its end", OneRun, read_flow_run, {"run": (RUN,)}),
    Tool("What stands because of flows", OfEntity, read_flow_actions, {"standing": (STANDING,)}),
    Tool("Levels of the portfolio", OfType, portfolio_levels, {"distribution": (DISTRIBUTION,)}),
    Tool("Changes in the portfolio", During, portfolio_changes, {"migration": (MIGRATION,), "movers": (MOVERS,)}),
    Tool("Value of the portfolio", OfType, portfolio_value, {"segments": (SEGMENTS,)}),
)
"""All of them, in the order in which they are listed."""


def tools_of(role: Role) -> list[Tool]:
    """List the tools of a role."""
    return [tool for tool in TOOLS if role in tool.roles]
