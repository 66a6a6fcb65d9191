"""A policy as a flow: one step decides, and each of the policy's actions is an end.

The step asks the policy itself, so its rules are evaluated in one place only.
"""

import json
from typing import Any

from fivefold.flows.analysis import AnalysedFlow, with_asked
from fivefold.flows.language import Flow
from fivefold.risk.compiler.analysis import AnalysedPolicy
from fivefold.risk.language.documents import Document
from fivefold.risk.language.policy import Policy
from fivefold.risk.language.reading import read_document

_SHARED = (
    *("entity_type", "purpose", "fields", "transaction_fields", "case_fields", "links", "reference", "levels"),
    "rationale",
)
"""The parts that policies and flows share."""


def flow_of_policy(policy: Policy) -> Flow:
    """Return a policy as a flow with the policy's name.

    A run ends at the action that `POST /v1/decisions` answers, even if something is unknown. Its ends have the names of
    the actions, and take no action.
    """
    written = json.loads(policy.canonical)
    decides, leads = _free("decides", policy.actions), _free("by-action", policy.actions)
    ways = [
        {"when": {"step": decides, "output": "action", "equals": action}, "to": action}
        for action in policy.actions
        if action != policy.otherwise
    ]
    document: dict[str, Any] = {
        "flow": policy.name,
        "title": f"Policy {policy.name}",
        **{name: written[name] for name in _SHARED if name in written},
        "steps": [
            {
                "id": decides,
                "title": f"What {policy.name} decides",
                "rules": {"policy": policy.name, "as_decided": True},
            },
            {"id": leads, "title": "By the action", "route": ways, "otherwise": policy.otherwise},
            *({"id": action, "title": action, "end": []} for action in policy.actions),
        ],
    }
    purposes = {name: of for name, of in written.get("purposes", {}).items() if name != "actions"}
    if purposes:
        document["purposes"] = purposes
    source = f"the flow of the policy {policy.name}"
    return read_document(Flow, Document(json.dumps(document), source), source)


def _free(word: str, names: tuple[str, ...]) -> str:
    """Return *word*, lengthened until it is not in *names*."""
    while word in names:
        word = f"{word}-step"
    return word


def analysed_policy_flow(analysed: AnalysedPolicy) -> AnalysedFlow:
    """Return a policy as a flow, joined with the policy that it asks."""
    policy = analysed.policy
    return with_asked(flow_of_policy(policy), {policy.name: analysed}, {}, {})
