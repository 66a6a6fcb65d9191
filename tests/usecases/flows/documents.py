"""Flows of a bank's desk, and how they come to act, for tests."""

import json
from collections.abc import Sequence
from typing import Any

from fivefold.usecases.flows.activate import activate_flow, shadow_flow
from fivefold.usecases.flows.commit import FlowCommitted, commit_flow
from fivefold.usecases.flows.drafts import FlowDraftSaved, save_flow_draft
from fivefold.usecases.rulesets.life_cycle import NO_DRAFT
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context
from tests.usecases import platforms
from tests.usecases.decisions.deciding import Desk

Data = dict[str, Any]
WHY = "Because of the test."

LOOK: Data = {"id": "look", "title": "Review tomorrow", "review": "1 day"}
END: Data = {"id": "done", "title": "Done", "end": ["look"]}
NOTHING: Data = {"id": "nothing", "title": "Nothing is done", "end": []}
BY_COUNTRY: Data = {
    "id": "home",
    "title": "Where they live",
    "rationale": "Some are looked at.",
    "route": [{"when": {"field": "country", "equals": "IR"}, "to": "done"}],
    "otherwise": "nothing",
    "on_unknown": "done",
}
TABLE: Data = {
    "id": "how-much",
    "title": "How much they may spend",
    "rationale": "It depends on where they live.",
    "table": {
        "gives": {"amount": "number"},
        "rows": [
            {"when": {"field": "country", "equals": "IR"}, "give": {"amount": 0}},
            {"when": {"field": "country", "in": ["NO", "SE"]}, "give": {"amount": 10}},
        ],
        "otherwise": {"amount": 5},
    },
}
EXAMPLES: list[Data] = [
    {"name": "watched", "given": {"country": "IR"}, "ends": "done", "actions": ["look"]},
    {"name": "home", "given": {"country": "NO"}, "ends": "nothing", "actions": []},
    {"name": "nobody knows where", "given": {}, "ends": "done"},
]
ASKS: Data = {
    "id": "asks",
    "title": "What payments say",
    "rationale": "They know.",
    "rules": {"policy": "payments"},
    "on_unknown": "done",
}
BY_ACTION: Data = {
    "id": "by-action",
    "title": "By their action",
    "rationale": "Who is noted is looked at.",
    "route": [{"when": {"step": "asks", "output": "action", "equals": "note"}, "to": "done"}],
    "otherwise": "nothing",
    "on_unknown": "done",
}

INQUIRY: Data = {
    "id": "inquiry",
    "title": "A person looks",
    "rationale": "They know.",
    "person": {
        "question": "Is all in order?",
        "within": "1 day",
        "answers": {"aye": "nothing", "nay": "done"},
        "otherwise": "done",
    },
}
INQUIRED: list[Data] = [
    {"name": "aye", "given": {}, "answers": {"inquiry": "aye"}, "ends": "nothing"},
    {"name": "nay", "given": {}, "answers": {"inquiry": "nay"}, "ends": "done", "actions": ["look"]},
    {"name": "nobody", "given": {}, "answers": {"inquiry": "nobody"}, "ends": "done"},
]


def flow_document(name: str = "care", steps: Sequence[Data] = (BY_COUNTRY,), **parts: Any) -> str:
    """A flow that has those looked at tomorrow whom its steps send to `done`; the other end is `nothing`."""
    whole: Data = {
        "flow": name,
        "title": "Care",
        "entity_type": "customer",
        "rationale": "Some need care.",
        "fields": {"country": "country"},
        "transaction_fields": platforms.TRANSACTION_FIELDS,
        "levels": platforms.LEVELS,
        "actions": [LOOK],
        "steps": [*steps, END, NOTHING],
        "on_failure": ["look"],
        "examples": EXAMPLES,
        **parts,
    }
    return json.dumps({name: part for name, part in whole.items() if part is not None}, indent=1)


def asking(name: str = "care", **parts: Any) -> str:
    """One that asks the policy `payments`, which notes who is worth 4."""
    examples = [
        {"name": "worth", "given": {"value": {"score": 4}}, "ends": "done"},
        {"name": "not worth", "given": {"value": {"score": 1}}, "ends": "nothing"},
    ]
    return flow_document(name, [ASKS, BY_ACTION], **{"examples": examples, **parts})


def as_(desk: Desk, actor: Actor) -> Context:
    return Context(desk.bank.engine, actor).at(desk.bank.now)


def saved(desk: Desk, document: str, revision: int = NO_DRAFT) -> FlowDraftSaved:
    """Ana writes it."""
    return save_flow_draft(as_(desk, desk.ana), document, revision)


def committed(desk: Desk, document: str) -> FlowCommitted:
    """Ana writes and commits it."""
    draft = saved(desk, document)
    return commit_flow(as_(desk, desk.ana), draft.flow, draft.revision, WHY)


def acting(desk: Desk, document: str) -> FlowCommitted:
    """Ben lets it act."""
    made = committed(desk, document)
    activate_flow(as_(desk, desk.ben), made.flow, made.number, WHY)
    return made


def shadowing(desk: Desk, document: str) -> FlowCommitted:
    """Ana lets it run as a shadow."""
    made = committed(desk, document)
    shadow_flow(as_(desk, desk.ana), made.flow, made.number, WHY)
    return made


ASKS_SOURCE = """
flow: asks
title: Asks
entity_type: customer
levels: [low, medium, high]
triggers: [{on: transaction}]
actions: [{id: look, title: Look, review: 2 days}]
steps:
  - id: register
    title: The register
    data: {source: register, send: {amount: {transaction: amount}}, gives: {live: flag}}
    on_unknown: unknown
  - {id: known, title: Known, end: []}
  - {id: unknown, title: Unknown, end: [look]}
on_failure: [look]
"""
"""A flow that asks a source; what that does not say ends in a review."""
