"""The tools that change something: each calls one route of `/v1`, with a reason; all but one with a key to happen once.

They make changes that another call undoes, or request those that another person decides. None answers for a person,
approves, activates, erases or makes tokens: `tests/serving/mcp/test_changing.py` walks their routes.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from fivefold.serving.mcp import sentences
from fivefold.serving.mcp.caller import Caller, RouteAnswer
from fivefold.serving.mcp.reading import RISK
from fivefold.serving.mcp.tool import Arguments, Effect, OfEntity, Tool, ToolAnswer
from fivefold.serving.v1.schemas import Text

_ENTITY = "/v1/entities/{type}/{external_id}"
SET_TAG, END_TAG = f"PUT {_ENTITY}/tags/{{tag}}", f"DELETE {_ENTITY}/tags/{{tag}}"
RECORDS = {"case": f"PUT {_ENTITY}/cases/{{number}}", "alert": f"PUT {_ENTITY}/alerts/{{number}}"}
OVERRIDE = f"POST {_ENTITY}/overrides"
RUN_FLOW = "POST /v1/flows/{flow}/run"

MOST_WHY = 500
"""Most characters of a reason: `_reason` adds the tool that was called, and a route takes up to 2,000."""
REPEATED = "Done before under this key, and not again. The answer then, which may no longer hold:"
Reason = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=10, max_length=MOST_WHY, pattern=r"^[^\x00]+$")
]
Until = Annotated[str | None, Field(max_length=40, description="When it ends, as ISO 8601; without an end by default.")]


class ChangeArguments(Arguments):
    """What is to be changed, and why."""

    why: Reason = Field(description="Why, in your words for the people who read it later.")

    @property
    def reason(self) -> str | None:
        """The reason for the change."""
        return self.why


class Once(ChangeArguments):
    """A change that happens once."""

    key: str = Field(
        pattern=r"^[A-Za-z0-9._-]{8,64}$",
        description="Your own name of this change, such as a UUID: the same call again under it changes nothing twice.",
    )

    @property
    def recorded(self) -> dict[str, object]:
        """The key, by which the change can be found."""
        return {"key": self.key}


class LevelArguments(OfEntity, ChangeArguments):
    """Whose level is computed."""


class Tagged(OfEntity, Once):
    """Which tag."""

    tag: Text = Field(min_length=1, max_length=100, description="The tag, as the organisation calls it.")


class TagArguments(Tagged):
    """Which tag, and until when."""

    until: Until = None


class RecordOpened(OfEntity, Once):
    """A case or an alert that is opened."""

    kind: Literal["case", "alert"] = Field(default="case", description="What is opened.")
    opened_at: str = Field(max_length=40, description="Since when, as ISO 8601, such as 2026-10-01T12:00:00Z.")

    @property
    def recorded(self) -> dict[str, object]:
        """The key, and what is opened."""
        return {**super().recorded, "kind": self.kind}


class LevelAsked(OfEntity, Once):
    """Which level is asked for."""

    level: Text = Field(max_length=100, description="The level that is asked for.")
    until: Until = None


class FlowRunArguments(OfEntity, Once):
    """Which flow is run for whom."""

    flow: Text = Field(max_length=200, description="The name of the flow.")


async def reassess(caller: Caller, arguments: LevelArguments) -> ToolAnswer:
    """Compute a customer's risk level now, from everything that is known, instead of when it is next due.

    The rules decide; nothing can be given to them here.
    """
    level = (await caller.read(RISK, arguments.parts, {"freshness": "now"})).content
    return ToolAnswer(sentences.level_sentence(level), {"level": level})


async def set_tag(caller: Caller, arguments: TagArguments) -> ToolAnswer:
    """Set a tag on a customer, or give it another end: without until it has none any more. end_tag takes it off.

    Where a level would fall by it, it is proposed instead, and a person decides; a program is refused.
    """
    body = {"until": arguments.until, "reason": _reason(arguments, "set_tag")}
    reply = await caller.send(SET_TAG, {**arguments.parts, "tag": arguments.tag}, body, key=arguments.key)
    return _proposed(reply, f"{arguments.external_id} has the tag {arguments.tag}")


async def end_tag(caller: Caller, arguments: Tagged) -> ToolAnswer:
    """Take a tag off a customer; set_tag gives it again.

    Where a level would fall by it, it is proposed instead, and a person decides; a program is refused.
    """
    query = {"reason": _reason(arguments, "end_tag")}
    reply = await caller.send(END_TAG, {**arguments.parts, "tag": arguments.tag}, query=query, key=arguments.key)
    return _proposed(reply, f"{arguments.external_id} has the tag {arguments.tag} no longer")


async def open_record(caller: Caller, arguments: RecordOpened) -> ToolAnswer:
    """Open a case or an alert about a customer, for people to work on; its number begins with agent-.

    It changes none that is there, and closes none: where the number is taken, it is refused.
    """
    number = f"agent-{arguments.key}"
    body = {"opened_at": arguments.opened_at, "reason": _reason(arguments, "open_record"), "only_new": True}
    reply = await caller.send(RECORDS[arguments.kind], {**arguments.parts, "number": number}, body, key=arguments.key)
    return _proposed(reply, f"The {arguments.kind} {number} about {arguments.external_id} is open")


async def request_override(caller: Caller, arguments: LevelAsked) -> ToolAnswer:
    """Ask for another level of a customer than the rules say; nothing changes until another person approves it."""
    body = {"level": arguments.level, "until": arguments.until, "reason": _reason(arguments, "request_override")}
    reply = await caller.send(OVERRIDE, arguments.parts, body, key=arguments.key)
    override = reply.content
    sentence = sentences.override_sentence(override)
    return ToolAnswer(_once(reply, sentence), {"override": override}, {"override": override["id"]})


async def run_flow(caller: Caller, arguments: FlowRunArguments) -> ToolAnswer:
    """Run the active version of a decision flow for a customer, on what is known of them; it does what it comes to.

    No transaction can be given. Where the flow asks a person, it waits for one: no tool answers it, and who holds this
    token may not.
    """
    token = (await caller.credential()).token_id  # another token's agent may choose the same key
    body = {"type": arguments.type, "external_id": arguments.external_id, "run_key": f"agent:{token}:{arguments.key}"}
    reply = await caller.send(RUN_FLOW, {"flow": arguments.flow}, body, key=arguments.key)
    run = reply.content
    return ToolAnswer(_once(reply, sentences.flow_run_sentence(run)), {"run": run}, {"run": run["run"]})


def _reason(arguments: ChangeArguments, tool: str) -> str:
    """Write the reason for the people who decide or look later, who thus see that an agent asked."""
    return f"{arguments.why} (asked by an agent, by the tool {tool})"


def _proposed(reply: RouteAnswer, done: str) -> ToolAnswer:
    """Make the answer about a change that a route made at once, or proposed."""
    proposal: Mapping[str, Any] | None = reply.content
    if proposal is None:
        return ToolAnswer(_once(reply, f"{done}."), {"proposal": None})
    sentence = sentences.proposal_sentence(proposal)
    return ToolAnswer(_once(reply, sentence), {"proposal": proposal}, {"proposal": proposal["id"]})


def _once(reply: RouteAnswer, sentence: str) -> str:
    """Mark the answer of an earlier call: its sentence, in the present tense, may no longer be true."""
    return f"{REPEATED} {sentence}" if reply.repeated else sentence


CHANGING: tuple[Tool, ...] = (
    Tool(
        "Compute a level now",
        LevelArguments,
        reassess,
        {"level": (RISK,)},
        effect=Effect.ADDS,
        repeats=True,
        reaches_out=True,
    ),
    Tool("Set a tag", TagArguments, set_tag, {"proposal": (SET_TAG,)}, effect=Effect.REPLACES, reaches_out=True),
    Tool("Take a tag off", Tagged, end_tag, {"proposal": (END_TAG,)}, effect=Effect.REPLACES, reaches_out=True),
    Tool(
        "Open a case or an alert",
        RecordOpened,
        open_record,
        {"proposal": (*RECORDS.values(),)},
        effect=Effect.ADDS,
        reaches_out=True,
    ),
    Tool("Ask for an override", LevelAsked, request_override, {"override": (OVERRIDE,)}, effect=Effect.ADDS),
    Tool("Run a flow", FlowRunArguments, run_flow, {"run": (RUN_FLOW,)}, effect=Effect.REPLACES, reaches_out=True),
)
