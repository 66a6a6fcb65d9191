"""Examples of every body and every parameter, which `/docs` fills in."""

from collections.abc import Mapping
from typing import Any, Final

from fivefold.serving.v1.permissions import ROUTES

WHY: Final = "Agreed on 20 November"
_LEVELS: Final = ["low", "medium", "high"]
_FIELDS: Final = {"country": "country", "occupation": "text"}
_TRANSACTION_FIELDS: Final = {"operation": "text"}

RULESET: Final = """\
ruleset: retail
entity_type: customer
fields: {country: country, occupation: text}
transaction_fields: {operation: text}
levels: [low, medium, high]
score: {points: {thresholds: [30, 60]}}
max_recompute_interval: 30 days
cooldown: 30 days
rationale: Where customers live, and how much cash they bring.
rules:
  - id: country
    title: Country of residence
    category: geography
    rationale: Payments of these countries are followed with difficulty.
    input: {field: country}
    on_unknown: {points: 30}
    cases:
      - when: {in: [IR, KP]}
        points: 100
        floor: high
        title: A country without relations
  - id: cash
    title: Cash in half a year
    category: transaction execution
    rationale: Cash breaks the trail.
    input: {sum: amount, over: 180 days, where: {field: operation, equals: cash}}
    cases:
      - when: {at_least: 10000}
        points: 40
examples:
  - name: a country without relations
    given: {country: KP, transactions: []}
    expect: {level: high}
  - name: much cash
    given:
      country: SE
      transactions: [{time: 2026-11-01, amount: 20000, operation: cash}]
    as_of: 2026-11-20
    expect: {total: 40, level: medium}
"""
TABLE: Final = (
    'case,country,points,floor,title\n1,"in IR, KP, SY",100,high,A country without relations\non_unknown,,30,,\n'
)
POLICY: Final = """\
policy: payments
entity_type: customer
fields: {country: country}
transaction_fields: {operation: text}
levels: [low, medium, high]
actions: [allow, review, block]
wins: first
rationale: Nobody of a high level moves much cash unseen.
rules:
  - id: cash-of-high
    title: Much cash at a high level
    rationale: Cash breaks the trail.
    when:
      all:
        - {level: in_force, at_least: high}
        - {transaction: operation, equals: cash}
        - {transaction: amount, above: 1000}
    action: review
otherwise: allow
"""
FLOW: Final = """\
flow: care
title: Care for those at a high level
entity_type: customer
levels: [low, medium, high]
rationale: Who reaches a high level is looked at within a day.
actions:
  - {id: look, title: Review tomorrow, review: 1 day}
steps:
  - id: by-level
    title: By the level
    rationale: At a high level a person looks.
    route:
      - {when: {level: in_force, at_least: high}, to: ask}
    otherwise: nothing
    on_unknown: ask
  - id: ask
    title: Is all in order?
    rationale: Before anything is done about it.
    person:
      question: Is all in order with this customer?
      role: investigator
      within: 1 day
      answers: {in-order: nothing, strange: looked-at}
      otherwise: looked-at
  - {id: looked-at, title: Looked at tomorrow, end: [look]}
  - {id: nothing, title: Nothing is done, end: []}
on_failure: [look]
examples:
  - {name: High, given: {level: high}, answers: {ask: strange}, ends: looked-at, actions: [look]}
  - {name: In order, given: {level: high}, answers: {ask: in-order}, ends: nothing}
  - {name: Low, given: {level: low}, ends: nothing}
  - {name: Never assessed, given: {}, answers: {ask: nobody}, ends: looked-at}
"""
FLOW_WITH_TABLE: Final = FLOW.replace(
    "steps:\n",
    """\
steps:
  - id: how-much
    title: How much they may spend
    rationale: The level says it.
    table:
      gives: {amount: number}
      rows:
        - {when: {level: in_force, at_least: high}, give: {amount: 5}}
      otherwise: {amount: 10}
""",
)
FLOW_TABLE: Final = "row,level: in_force,give amount\n1,>= high,4\notherwise,,10\n"
GRAPH: Final = """\
{"nodes": [
  {"id": "in", "type": "inputNode", "name": "Request"},
  {"id": "amount", "type": "decisionTableNode", "name": "How much", "content": {
    "hitPolicy": "first",
    "inputs": [{"id": "i", "name": "Country", "field": "customer.country"}],
    "outputs": [{"id": "o", "name": "Amount", "field": "amount"}],
    "rules": [{"_id": "1", "i": "'IR', 'KP'", "o": "0"}, {"_id": "2", "i": "", "o": "500"}]}},
  {"id": "out", "type": "outputNode", "name": "Response"}],
 "edges": [
  {"id": "1", "type": "edge", "sourceId": "in", "targetId": "amount"},
  {"id": "2", "type": "edge", "sourceId": "amount", "targetId": "out"}]}
"""
GROUP: Final = """\
group: high-and-busy
title: High risk that moves much
entity_type: customer
rationale: These are looked at every week.
levels: [low, medium, high]
when:
  all:
    - {level: in_force, at_least: high}
    - {sum: amount, over: 30 days, above: 20000}
on_unknown: in
examples:
  - name: High, and moves much
    as_of: 2026-06-01
    given: {level: high, transactions: [{amount: 25000, time: 2026-05-20}]}
    member: true
"""
_TRANSACTION: Final = {
    "transaction_id": "payment-1",
    "user_id": "customer-17",
    "transaction_amount": 250.0,
    "transaction_currency": "EUR",
    "transaction_date": "2026-11-20T09:30:00",
    "transaction_state": "SUCCEEDED",
    "operation": "cash",
}

BODY_EXAMPLES: Final[Mapping[str, Any]] = {
    "choose_levels": {"levels": _LEVELS},
    "define_type": {"fields": _FIELDS, "transaction_fields": _TRANSACTION_FIELDS, "links": {"household": "shared"}},
    "change_settings": {"override_cap_percent": 10, "retention_days": 1826, "reason": WHY},
    "add_member": {"name": "Ada Lovelace", "roles": ["publisher"]},
    "set_roles": {"roles": ["publisher", "approver"]},
    "ask_for_token": {"role": "publisher", "plan": "standard", "member": 1, "label": "Ada's notebook"},
    "put_entity": {"attributes": {"country": "SE", "occupation": "teacher"}},
    "put_links": [
        {"type": "household", "from": "customer-17", "to": "H1", "valid_from": "2026-01-05"},
        {"type": "household", "from": "customer-18"},
    ],
    "put_entities": [
        {"external_id": "customer-18", "attributes": {"country": "NO"}},
        {"external_id": "customer-19", "attributes": {"country": "KP"}},
    ],
    "post_transactions": [_TRANSACTION],
    "set_tag": {"until": "2030-01-01"},
    "add_screening": {"screening": "sanctions", "found": False, "at": "2026-11-20T09:00:00Z"},
    "put_case": {"opened_at": "2026-11-20", "status": "open"},
    "put_alert": {"opened_at": "2026-11-20", "closed_at": "2026-11-21", "outcome": "false"},
    "add_rates": {
        "rates": [{"currency": "AED", "date": "2026-11-20", "rate": 0.25}],
        "source": "Central bank",
        "reason": WHY,
    },
    "add_list_version": {
        "since": "2026-11-20",
        "members": ["IR", "KP"],
        "title": "Countries that are watched",
        "source": "Decision of the board",
        "reason": WHY,
    },
    "add_endpoint": {"url": "https://example.com/hook", "kinds": ["level.reached"]},
    "set_enabled": {"enabled": False},
    "change_kinds": {"kinds": ["level.reached"]},
    "rotate_secret": {"kept_hours": 24},
    "replay_deliveries": {"first": 1, "last": 100},
    "save_draft": {"document": RULESET, "revision": 0},
    "discard_draft": {"revision": 2},
    "check_ruleset": {"document": RULESET},
    "write_table": {"rule": "country", "format": "csv", "document": RULESET},
    "read_table": {"rule": "country", "format": "csv", "content": TABLE, "document": RULESET},
    "try_ruleset": {"external_id": "customer-17", "document": RULESET},
    "commit": {"revision": 1, "accept_warnings": "Looked at, and taken as they are"},
    "request_reference": {"version": 1},
    "request_points": {"as_of": "2026-01-01", "learn_as_of": "2025-07-01"},
    "request_backtest": {"version": 1},
    "cancel_backtest": {"reason": "Another version is to come"},
    "activate": {"version": 1, "reason": WHY},
    "roll_back": {"version": 1, "reason": "The newer version raised too many", "release": True},
    "switch_family": {"on": False, "reason": WHY},
    "order_families": {"families": ["retail"], "reason": WHY},
    "approve_proposal": {"reason": WHY},
    "refuse_proposal": {"reason": "Not before the next quarter"},
    "check_policy": {"document": POLICY},
    "propose_policy": {"document": POLICY, "reason": WHY, "accept_warnings": "Looked at, and taken as they are"},
    "approve_policy": {"reason": WHY},
    "check_group": {"document": GROUP},
    "propose_group": {"document": GROUP, "reason": WHY, "accept_warnings": "Looked at, and taken as they are"},
    "approve_group": {"reason": WHY},
    "retire_group": {"reason": WHY},
    "decide": {
        "policy": "payments",
        "external_id": "customer-17",
        "transaction": {
            "transaction_amount": -1500.0,
            "transaction_currency": "EUR",
            "operation": "cash",
        },
        "decision_key": "payment-2",
    },
    "retire_policy": {"reason": WHY},
    "begin_flow": {"document": FLOW},
    "check_flow": {"document": FLOW},
    "import_graph": {
        "flow": "daily-amount",
        "entity_type": "customer",
        "content": GRAPH,
        "names": {"customer.country": "country"},
    },
    "save_flow_draft": {"document": FLOW, "revision": 0},
    "discard_flow_draft": {"revision": 1},
    "write_flow_table": {"step": "how-much", "format": "csv", "document": FLOW_WITH_TABLE},
    "read_flow_table": {"step": "how-much", "format": "csv", "content": FLOW_TABLE, "document": FLOW_WITH_TABLE},
    "try_flow": {"external_id": "customer-17", "document": FLOW},
    "commit_flow": {"revision": 2},
    "activate_flow": {"version": 1, "reason": WHY},
    "roll_back_flow": {"version": 1, "reason": "The newer version looks at too many"},
    "switch_flow_off": {"reason": "It looks at the wrong ones"},
    "shadow_flow": {"version": 1, "reason": "To see whom it would look at"},
    "end_flow_shadow": {"reason": "It was seen"},
    "request_flow_replay": {"version": 1, "as_of": "2026-07-01"},
    "cancel_flow_replay": {"reason": "Another version is to come"},
    "call_flow": {
        "external_id": "customer-17",
        "transaction": {"transaction_amount": -1500.0, "transaction_currency": "EUR", "operation": "cash"},
        "run_key": "payment-3",
    },
    "answer_flow_run": {"answer": "strange", "reason": "The customer knows nothing of it"},
    "finish_flow_review": {"reason": "Spoken to; nothing new"},
    "take_back_flow_action": {"reason": "It was another person of the same name"},
    "request_override": {"level": "high", "reason": "Known from an earlier bank", "until": "2030-01-01"},
    "open_challenge": {"words": "The income that you have of me is of another year"},
    "settle_challenge": {
        "outcome": "confirmed",
        "reason": "The income is that of the tax return of this year",
        "answer": "We looked at your tax return of this year",
    },
    "save_queue_view": {"filters": {"kind": "rise", "days": "1", "order": "newest"}, "shared": True},
    "change_queue_item": {"revision": 0, "assigned_to": 1},
    "approve_override": {"reason": WHY},
    "refuse_override": {"reason": "The reason is not known enough"},
    "revoke_override": {"reason": "It was another person of the same name"},
    "register_change": {"kind": "product", "description": "Loans for companies"},
    "validate_levels": {"begins": "2026-07-01", "ends": "2026-10-01", "reason": "The third quarter"},
    "attach_peer": {
        "file": "north-bank.json",
        "content": '{"name": "North Bank", "gini": {"estimate": 0.6, "low": 0.55, "high": 0.65}}',
    },
    "promote_model": {"version": 2, "reason": "Better on the customers of autumn"},
    "roll_back_model": {"reason": "Complaints about the segment top"},
    "sign_validation": {"conclusion": "Fit for another quarter"},
    "sign_off": {"validation": 1, "conclusion": "The levels rank as before"},
}
"""Bodies by handler name."""

PARAMETERS: Final[Mapping[str, Any]] = {
    "outbox_days": 90,
    "deliveries_days": 30,
    "reports_days": 365,
    "assessments_days": 2557,
    "flows_days": 2557,
    "type": "customer",
    "external_id": "customer-17",
    "failing": True,
    "assessment": "1.1",
    "tag": "vip",
    "number": 1,
    "override": 1,
    "challenge": 1,
    "item": "override-1-0",
    "decision": 1,
    "run": 1,
    "action": 1,
    "policy": "payments",
    "group": "high-and-busy",
    "validation": 1,
    "version": 1,
    "change": 1,
    "name": "customer",
    "family": "retail",
    "flow": "care",
    "backtest": 1,
    "replay": 1,
    "proposal": 1,
    "endpoint": 1,
    "member": 1,
    "token_request": 1,
    "limit": 100,
    "level": "high",
    "state": "proposed",
    "freshness": "now",
    "before": 1,
    "reason": WHY,
    "atomic": False,
    "since": "2026-07-01",
    "until": "2026-10-01",
}
"""Parameters of paths and queries, by name; `after` comes from a page, so it has no example."""

_SEARCH: Final = {
    "text": "customer 17",
    "tag": "vip",
    "owner": "customer-17",
    "owner_type": "customer",
    "segment": "top",
    "status": "assessed",
}
_QUEUE: Final = {"kind": "override,rise", "assigned": "unassigned", "order": "due"}
_OWN: Final[Mapping[str, Mapping[str, Any]]] = {
    "put_case": {"number": "case-1"},
    "put_alert": {"number": "alert-1"},
    "add_list_version": {"name": "watched"},
    "list_versions_of_list": {"name": "watched"},
    "list_list_members": {"name": "watched", "since": "2026-11-20", "text": "IR"},
    "list_member_changes": {"name": "watched", "since": "2026-11-20", "against": "2026-11-20"},
    "compare_versions": {"number": 2},
    "compare_flow_versions": {"number": 2},
    "list_replay_people": {"before_at": "nothing", "stopped_at": "look"},
    "list_movers": {"level_before": "medium", "level_after": "high"},
    "search_entities": _SEARCH,
    "count_entities": _SEARCH,
    "list_tokens": {"member": 1},
    "list_token_requests": {"state": "asked"},
    "search_entries": {"actor": "Ada Lovelace", "action": "member.added", "kind": "member", "subject": "1"},
    "search_decisions": {"action": "review", "actor": "token:1", "policy": "payments"},
    "search_proposals": {"state": "proposed", "kind": "ruleset.switch", "proposed_by": "Ada Lovelace"},
    "list_challenges": {"state": "open", "due_before": "2026-12-01"},
    "search_overrides": {"state": "requested", "requested_by": "Ada Lovelace"},
    "read_what_if": {"direction": "down", "level": "low"},
    "read_reference": {"at": "2030-01-01"},
    "read_difference": {"assessment": "1.2", "earlier": "1.1"},
    "list_transitions": {"direction": "rise,fall", "to": "high"},
    "read_levels_over_time": {"every": "month", "periods": 13},
    "read_work": {"begins": "2026-07-01", "ends": "2026-10-01"},
    "list_migrated": {"from_level": "medium", "to_level": "high"},
    "save_queue_view": {"name": "Rose today"},
    "remove_queue_view": {"name": "Rose today", "shared": True},
    "list_events": {"kind": "facts,levels", "clock": "known"},
    "list_queue": _QUEUE,
    "count_queue": _QUEUE,
    "list_values": {"segment": "top,high"},
    "list_flow_runs": {"state": "waiting", "at": "ask", "acting": True},
    "list_shadow_pairs": {"acting_at": "ask", "shadow_at": "done"},
    "search_values": {"text": "customer 17"},
    "list_current_levels": {
        "order": "risk",
        "level": "high,medium",
        "segment": "top",
        "status": "assessed",
        "ruleset": "retail",
    },
}
"""Examples of one route that differ from PARAMETERS."""


def examples_of(handler: str) -> Mapping[str, Any]:
    """Return the examples of a handler's parameters by name."""
    return {**PARAMETERS, **_OWN.get(handler, {})}


def add_examples(document: dict[str, Any]) -> None:
    """Add the examples to an OpenAPI document."""
    for route in ROUTES:
        name = route.handler.__name__
        operation = document["paths"][route.path][route.method.lower()]
        examples = examples_of(name)
        for parameter in operation.get("parameters", []):
            if parameter["in"] != "header" and parameter["name"] in examples:
                parameter["example"] = examples[parameter["name"]]
        if name in BODY_EXAMPLES:
            operation["requestBody"]["content"]["application/json"]["example"] = BODY_EXAMPLES[name]
