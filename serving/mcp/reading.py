"""The tools that read: each calls routes of `/v1`, and is for the roles that may call those of its first answer."""

from collections.abc import Callable
from typing import Literal

from pydantic import Field

from fivefold.serving.mcp import sentences
from fivefold.serving.mcp.caller import BY_NAME, Caller, RefusedCallError, RouteAnswer
from fivefold.serving.mcp.tool import Arguments, OfEntity, Tool, ToolAnswer, TypeArguments
from fivefold.serving.v1.schemas import LARGEST, LARGEST_BIG
from fivefold.usecases.shared.actors import Role

SEARCH, SEARCH_VALUES = "GET /v1/search", "GET /v1/values/search"
_ENTITY = "GET /v1/entities/{type}/{external_id}"
VALUE, RISK, HISTORY = f"{_ENTITY}/value", f"{_ENTITY}/risk", f"{_ENTITY}/history"
WHAT_IF, DECISIONS = f"{_ENTITY}/what-if", f"{_ENTITY}/decisions"
REASONS, DECISION = "GET /v1/assessments/{assessment}", "GET /v1/decisions/{decision}"
DISTRIBUTION, MIGRATION, MOVERS = "GET /v1/distribution", "GET /v1/migration", "GET /v1/migration/movers"
SEGMENTS = "GET /v1/segments"
RUNS, RUN, STANDING = "GET /v1/flow-runs", "GET /v1/flow-runs/{run}", f"{_ENTITY}/flow-actions"
TRY = "POST /v1/flows/{flow}/try"
"""Reads, though it is a POST: nobody is asked, and nothing is done or stored."""


class Paged(TypeArguments):
    """Which part of a list."""

    limit: int = Field(default=20, ge=1, le=100, description="Rows of one answer.")
    after: str | None = Field(default=None, description="Where it goes on: `after` of the answer before.")

    @property
    def page(self) -> dict[str, object]:
        """This part as a query."""
        return {"limit": self.limit, "after": self.after}


class PagedOfEntity(Paged, OfEntity):
    """A list about one."""


class Searched(Paged):
    """Who is looked for."""

    text: str = Field(default="", max_length=200, description="Beginnings of words of an identifier or a name.")
    failing: bool | None = Field(
        default=None,
        description="True for those whose last attempt at an assessment failed, with or without text; false for others."
        " Only for who may see levels.",
    )

    @property
    def about(self) -> str:
        """The words by which a sentence names the customers searched for."""
        state = {None: "", True: "a last attempt that failed", False: "no last attempt that failed"}[self.failing]
        return " and ".join(filter(None, (self.text, state)))


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

    decision: int = Field(ge=1, le=LARGEST_BIG, description="The number of a decision.")

    @property
    def recorded(self) -> dict[str, object]:
        """The number of the decision."""
        return {"decision": self.decision}


class OneRun(Arguments):
    """About one run of a flow."""

    run: int = Field(ge=1, le=LARGEST_BIG, description="The number of a run; a list of runs names them.")

    @property
    def recorded(self) -> dict[str, object]:
        """The number of the run."""
        return {"run": self.run}


class FlowTrialArguments(Arguments):
    """Which flow is tried on whom."""

    flow: str = Field(max_length=200, description="The name of the flow.")
    external_id: str = Field(description="Your own identifier of the customer.")
    version: int | None = Field(
        default=None, ge=1, le=LARGEST, description="A committed version; the saved draft by default."
    )
    transaction: str | None = Field(
        default=None, max_length=200, description="The number of a stored transaction that is looked at."
    )
    answers: dict[str, str] = Field(
        default_factory=dict,
        max_length=100,
        description="By the step that asks a person: what they are supposed to say.",
    )


class Moved(OfEntity):
    """Where a level is to move."""

    direction: Literal["down", "up"] = Field(default="down", description="Where the level is to move.")
    level: str | None = Field(default=None, description="To which level; by default one step.")


class During(TypeArguments):
    """A time, in whole days of UTC; by default the last 30 days."""

    since: str | None = Field(default=None, description="The first day, such as 2026-10-01.")
    until: str | None = Field(default=None, description="The day after the last one.")
    movers: int = Field(default=10, ge=1, le=100, description="How many of those who moved are named.")


async def find_customer(caller: Caller, arguments: Searched) -> ToolAnswer:
    """Find customers by the beginnings of words of their identifiers or names.

    Who may see levels finds them with level and value, and those whose last attempt failed; others by identifier
    alone, with the value.
    """
    role = Role((await caller.credential()).role)
    query = {**arguments.page, "type": arguments.type, "text": arguments.text}
    if role in BY_NAME[SEARCH].roles:
        reply = await caller.read(SEARCH, query={**query, "failing": arguments.failing})
    elif arguments.failing is None:
        reply = await caller.read(SEARCH_VALUES, query=query)
    else:
        raise RefusedCallError(403, "failing: it is only for who may see levels; leave it out")
    return _listed("found", sentences.found_sentence, arguments.about, arguments, reply)


async def read_value(caller: Caller, arguments: OfEntity) -> ToolAnswer:
    """Tell what a customer is worth: score, segment, expected value, and what each indicator adds to the score."""
    value = (await caller.read(VALUE, arguments.parts)).content
    return ToolAnswer(sentences.value_sentence(arguments.external_id, value), {"value": value})


async def read_level(caller: Caller, arguments: OfEntity) -> ToolAnswer:
    """Tell a customer's risk level as it is stored, since when, and why.

    The reasons are the rules that gave points or a floor; authors of rulesets see the whole breakdown.
    """
    level = (await caller.read(RISK, arguments.parts, {"freshness": "stored"})).content
    return ToolAnswer(sentences.level_sentence(level), {"level": level})


async def read_level_history(caller: Caller, arguments: PagedOfEntity) -> ToolAnswer:
    """List the assessments of a customer, the latest first; `reached` marks those that changed the level."""
    reply = await caller.read(HISTORY, arguments.parts, arguments.page)
    return _listed("history", sentences.history_sentence, arguments.external_id, arguments, reply)


async def read_assessment(caller: Caller, arguments: OneAssessment) -> ToolAnswer:
    """Tell the reasons of an earlier assessment, by the number that a history names."""
    assessment = (await caller.read(REASONS, {"assessment": arguments.assessment})).content
    return ToolAnswer(sentences.reasons_sentence(assessment), {"assessment": assessment})


async def what_would_change_level(caller: Caller, arguments: Moved) -> ToolAnswer:
    """Find the smallest changes of one factor, or of two, that would move a customer's level.

    From the last assessment. Thresholds are shown to authors of rulesets alone. It says what the rules would say, and
    is not advice to give a customer.
    """
    answer = (
        await caller.read(WHAT_IF, arguments.parts, {"direction": arguments.direction, "level": arguments.level})
    ).content
    return ToolAnswer(sentences.what_if_sentence(arguments.external_id, answer), {"answer": answer})


async def list_decisions(caller: Caller, arguments: PagedOfEntity) -> ToolAnswer:
    """List the decisions on a customer's transactions, the latest first."""
    reply = await caller.read(DECISIONS, arguments.parts, arguments.page)
    return _listed("decisions", sentences.decisions_sentence, arguments.external_id, arguments, reply)


async def read_decision(caller: Caller, arguments: OneDecision) -> ToolAnswer:
    """Tell a decision on a transaction as it was made, and its reasons."""
    decision = (await caller.read(DECISION, {"decision": str(arguments.decision)})).content
    return ToolAnswer(sentences.decision_sentence(decision), {"decision": decision})


async def list_flow_runs(caller: Caller, arguments: PagedOfEntity) -> ToolAnswer:
    """List the runs of decision flows for a customer, the latest first: where each ended, failed or waits.

    Runs that are not `acting` are of shadows: nothing of what they came to was done.
    """
    reply = await caller.read(RUNS, query={**arguments.parts, **arguments.page})
    return _listed("runs", sentences.flow_runs_sentence, arguments.external_id, arguments, reply)


async def read_flow_run(caller: Caller, arguments: OneRun) -> ToolAnswer:
    """Tell where a run of a decision flow came to, what it did, and why: each step with what it saw."""
    run = (await caller.read(RUN, {"run": str(arguments.run)})).content
    return ToolAnswer(sentences.flow_run_sentence(run), {"run": run})


async def read_flow_actions(caller: Caller, arguments: OfEntity) -> ToolAnswer:
    """Tell what stands about a customer because of decision flows: the status, the limits, the reviews."""
    standing = (await caller.read(STANDING, arguments.parts)).content
    return ToolAnswer(sentences.standing_sentence(arguments.external_id, standing), {"standing": standing})


async def try_flow(caller: Caller, arguments: FlowTrialArguments) -> ToolAnswer:
    """Run a customer through a version or the draft of a decision flow, with every step's why.

    Nobody is asked, and nothing is done or stored.
    """
    tried = (await caller.send(TRY, {"flow": arguments.flow}, arguments.model_dump(exclude={"flow"}))).content
    about = tried["entity_type"], tried["external_id"]
    return ToolAnswer(sentences.tried_sentence(tried), {"tried": tried}, entity=about)


async def portfolio_levels(caller: Caller, arguments: TypeArguments) -> ToolAnswer:
    """Count the customers at each level now, by version of the ruleset, overrides apart."""
    distribution = (await caller.read(DISTRIBUTION, query={"type": arguments.type})).content
    return ToolAnswer(sentences.levels_sentence(distribution), {"distribution": distribution})


async def portfolio_changes(caller: Caller, arguments: During) -> ToolAnswer:
    """Tell who moved between levels in a time: how many from where to where, and the last of them with why."""
    of: dict[str, object] = {"type": arguments.type, "since": arguments.since, "until": arguments.until}
    migration = (await caller.read(MIGRATION, query=of)).content
    movers = (await caller.read(MOVERS, query={**of, "limit": arguments.movers})).content
    return ToolAnswer(sentences.changes_sentence(arguments.type, migration), {"migration": migration, "movers": movers})


async def portfolio_value(caller: Caller, arguments: TypeArguments) -> ToolAnswer:
    """Count the customers of each value segment, and add up what they are expected to bring."""
    segments = (await caller.read(SEGMENTS, query={"type": arguments.type})).content
    return ToolAnswer(sentences.worth_sentence(segments), {"segments": segments})


def _listed(
    name: str, sentence: Callable[[str, sentences.ListPart], str], about: str, arguments: Paged, reply: RouteAnswer
) -> ToolAnswer:
    part = sentences.ListPart(reply.content, goes_on=bool(arguments.after), is_followed=reply.after is not None)
    return ToolAnswer(sentence(about, part), {name: reply.content, "after": reply.after})


READING: tuple[Tool, ...] = (
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
    Tool("Try a flow", FlowTrialArguments, try_flow, {"tried": (TRY,)}),
    Tool("Levels of the portfolio", TypeArguments, portfolio_levels, {"distribution": (DISTRIBUTION,)}),
    Tool("Changes in the portfolio", During, portfolio_changes, {"migration": (MIGRATION,), "movers": (MOVERS,)}),
    Tool("Value of the portfolio", TypeArguments, portfolio_value, {"segments": (SEGMENTS,)}),
)
