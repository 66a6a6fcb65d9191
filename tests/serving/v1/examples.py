"""A request that is answered well, for every route, in an organisation that has one of everything."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fivefold.domain.clock import DAY_US, day_text, now_microseconds
from fivefold.serving.v1.examples import BODY_EXAMPLES
from fivefold.serving.v1.path_encoding import path_to
from fivefold.serving.v1.route import Route
from fivefold.usecases.shared.actors import Role
from tests.serving.v1.rulesets.bank_rulesets import document
from tests.usecases.decisions.deciding import CASH, cash
from tests.usecases.decisions.deciding import document as policy
from tests.usecases.flows.documents import BY_COUNTRY, TABLE, flow_document
from tests.usecases.groups.grouped import HIGH
from tests.usecases.groups.grouped import document as group
from tests.usecases.platforms import transaction

CUSTOMER, COMPANY = "c/1 ä", "acme"
"""An identifier with everything that paths have a meaning for; and the only one of its type."""
OPENED = "2026-11-01T12:00:00Z"
HALF_YEAR_US = 183 * DAY_US


@dataclass(frozen=True)
class Example:
    """What is asked of a route.

    Attributes:
        parts: of its path.
        body: None for none.
        query: as text.
        own: the parts that name something of our organisation alone: to others it is not there. Empty where a name may
            be anybody's, or where there is none.
        status: of the answer, where it is another than the route's.
        approvers: the parts for approvers, where they see other things.
        publishers: the parts for publishers, where they are asked, or did, other things.
        investigators: the parts for investigators, where they see other things.
    """

    parts: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    query: Mapping[str, str] = field(default_factory=dict)
    own: tuple[str, ...] = ()
    status: int | None = None
    approvers: Mapping[str, str] = field(default_factory=dict)
    publishers: Mapping[str, str] = field(default_factory=dict)
    investigators: Mapping[str, str] = field(default_factory=dict)

    def parts_for(self, role: Role) -> Mapping[str, str]:
        """Give the parts that are other ones for a role."""
        by_role = {
            Role.APPROVER: self.approvers,
            Role.PUBLISHER: self.publishers,
            Role.INVESTIGATOR: self.investigators,
        }
        return by_role.get(role, {})

    def path(self, route: Route, **other: str) -> str:
        """Give the path, with other parts in place of some."""
        return path_to(route.path, **{**self.parts, **other})


_CUSTOMER = {"type": "customer", "external_id": CUSTOMER}
_COMPANY = {"type": "company", "external_id": COMPANY}
_OF_CUSTOMER = ("external_id", "type")
_REVOCATION, _OF_INVESTIGATOR = {"proposal": "4"}, {"proposal": "5"}
_RETAIL, _SECOND, _DRAFTED = {"family": "retail"}, {"family": "second"}, {"family": "drafted"}
TABLED = flow_document("care", [TABLE, BY_COUNTRY])
_CARE, _WRITTEN = {"flow": "care"}, {"flow": "written"}
_FAMILY, _ENDPOINT, _FLOW = ("family",), ("endpoint",), ("flow",)
_KEPT = {"name": "kept"}
_PROPOSED = {"policy": "payments", "number": "2"}
_GROUP, _GROUP_PROPOSED = {"group": "high-ones"}, {"group": "high-ones", "number": "1"}
WHY = "because of the test"
WORDS = "That is not so"
QUARTER = {"begins": "2026-07-01", "ends": "2026-10-01"}


def yesterday() -> str:
    """Give the day before the test, which any ruleset counts that looks back from now."""
    return day_text(now_microseconds() - DAY_US)[:10]


EXAMPLES: Mapping[str, Example] = {
    "list_entities": Example({"type": "company"}, query={"level": "low"}, own=("type",)),
    "put_entities": Example({"type": "company"}, [{"external_id": "a"}, {"external_id": "b"}], own=("type",)),
    "view_entity": Example(_CUSTOMER, own=_OF_CUSTOMER),
    "put_entity": Example(_COMPANY, {"attributes": {"size": 3}}, own=("type",)),
    "read_risk": Example(_CUSTOMER, query={"freshness": "now"}, own=_OF_CUSTOMER),
    "read_history": Example(_CUSTOMER, own=_OF_CUSTOMER),
    "read_reasons": Example({"assessment": "1.1"}, own=("assessment",)),
    "read_sources": Example({"assessment": "1.1"}, own=("assessment",)),
    "give_statement": Example({"assessment": "1.1"}, own=("assessment",)),
    "open_challenge": Example({"assessment": "1.1"}, {"words": WORDS}, own=("assessment",)),
    "list_challenges": Example(query={"state": "open"}),
    "read_challenge": Example({"challenge": "1"}, own=("challenge",)),
    "settle_challenge": Example({"challenge": "1"}, {"outcome": "confirmed", "reason": WHY}, own=("challenge",)),
    "give_reply": Example({"challenge": "2"}, own=("challenge",)),
    "read_what_if": Example(_CUSTOMER, own=_OF_CUSTOMER),
    "read_difference": Example({"assessment": "1.1"}, own=("assessment",), status=404),  # there is none before it
    "list_transaction_days": Example(_CUSTOMER, query={"since": "2026-10-20", "until": "2026-11-20"}, own=_OF_CUSTOMER),
    "list_events": Example(_CUSTOMER, query={"kind": "facts", "clock": "happened"}, own=_OF_CUSTOMER),
    "list_tags": Example(_CUSTOMER, own=_OF_CUSTOMER),
    "set_tag": Example({**_CUSTOMER, "tag": "vip"}, {"until": "2099-01-01"}, own=_OF_CUSTOMER),
    "end_tag": Example({**_CUSTOMER, "tag": "kept"}, own=(*_OF_CUSTOMER, "tag")),
    "list_screenings": Example(_CUSTOMER, own=_OF_CUSTOMER),
    "add_screening": Example(_CUSTOMER, {"screening": "pep", "found": False}, own=_OF_CUSTOMER),
    "list_links": Example(_CUSTOMER, own=_OF_CUSTOMER),
    "put_links": Example(
        {"type": "customer"}, [{"type": "household", "from": CUSTOMER, "to": "H1", "valid_from": OPENED}]
    ),
    "list_cases": Example(_CUSTOMER, own=_OF_CUSTOMER),
    "put_case": Example({**_CUSTOMER, "number": "case 1"}, {"opened_at": OPENED}, own=_OF_CUSTOMER),
    "list_alerts": Example(_CUSTOMER, own=_OF_CUSTOMER),
    "put_alert": Example({**_CUSTOMER, "number": "alert 1"}, {"opened_at": OPENED}, own=_OF_CUSTOMER),
    "list_transactions": Example(_CUSTOMER, own=_OF_CUSTOMER),
    "post_transactions": Example(body=[transaction(2, CUSTOMER)], query={"type": "customer"}),
    "list_overrides_of": Example(_COMPANY, own=("type", "external_id")),
    "request_override": Example(
        _COMPANY, {"level": "high", "reason": WHY, "until": "2099-01-01"}, own=("type", "external_id")
    ),
    "list_overrides": Example(),
    "read_cap": Example(),
    "approve_override": Example({"override": "1"}, {}, own=("override",)),
    "refuse_override": Example({"override": "2"}, {"reason": WHY}, own=("override",)),
    "revoke_override": Example({"override": "3"}, {"reason": WHY}, own=("override",)),
    "decide": Example(body={"policy": "payments", "external_id": CUSTOMER, "transaction": cash(), "decision_key": "k"}),
    "read_decision": Example({"decision": "1"}, own=("decision",)),
    "list_decisions": Example(_CUSTOMER, query={"limit": "2"}, own=_OF_CUSTOMER),
    "list_policies": Example(query={"policy": "payments"}),
    "propose_policy": Example(body={"document": policy([CASH], "transfers"), "reason": WHY, "accept_warnings": WHY}),
    "check_policy": Example(body={"document": policy([CASH], "transfers")}),
    "read_policy": Example(_PROPOSED, own=("policy", "number")),
    "approve_policy": Example(_PROPOSED, {"reason": WHY}, own=("policy", "number")),
    "retire_policy": Example(_PROPOSED, {"reason": WHY}, own=("policy", "number")),
    "list_peers": Example({"validation": "1"}, own=("validation",)),
    "attach_peer": Example({"validation": "1"}, BODY_EXAMPLES["attach_peer"], own=("validation",)),
    "list_flows": Example(query={"type": "customer"}),
    "begin_flow": Example(body={"document": flow_document("another")}),
    "check_flow": Example(body={"document": flow_document("another")}),
    "import_graph": Example(body=BODY_EXAMPLES["import_graph"]),
    "read_flow_draft": Example(_WRITTEN, own=_FLOW),
    "save_flow_draft": Example(_WRITTEN, {"document": flow_document("written", title="More"), "revision": 1}),
    "discard_flow_draft": Example(_WRITTEN, {"revision": 1}, own=_FLOW),
    "review_flow_draft": Example(_WRITTEN, own=_FLOW),
    "write_flow_table": Example(_CARE, {"step": "how-much", "document": TABLED}, own=_FLOW),
    "read_flow_table": Example(
        _CARE,
        {
            "step": "how-much",
            "format": "csv",
            "content": "row,country,give amount\n1,NO,5\notherwise,,1\n",
            "document": TABLED,
        },
        own=_FLOW,
    ),
    "try_flow": Example(_WRITTEN, {"external_id": CUSTOMER, "answers": {}}, own=_FLOW),
    "commit_flow": Example(_WRITTEN, {"revision": 1}, own=_FLOW),
    "list_flow_versions": Example(_CARE, own=_FLOW),
    "read_flow_version": Example({**_CARE, "number": "1"}, own=("flow", "number")),
    "compare_flow_versions": Example({**_CARE, "number": "2"}, query={"before": "1"}, own=("flow", "number")),
    "list_flow_activations": Example(_CARE, own=_FLOW),
    "compare_flow_shadow": Example(_CARE, own=_FLOW),
    "list_shadow_pairs": Example(_CARE, own=_FLOW),
    "activate_flow": Example(_CARE, {"version": 3, "reason": WHY}, own=_FLOW),
    "roll_back_flow": Example(_CARE, {"version": 1, "reason": WHY}, own=_FLOW),
    "switch_flow_off": Example(_CARE, {"reason": WHY}, own=_FLOW),
    "shadow_flow": Example(_CARE, {"version": 1, "reason": WHY}, own=_FLOW),
    "end_flow_shadow": Example(_CARE, {"reason": WHY}, own=_FLOW),
    "list_flow_replays": Example(_CARE, own=_FLOW),
    "request_flow_replay": Example(_CARE, {"version": 1, "as_of": "2026-01-01"}, own=_FLOW),
    "read_flow_replay": Example({"replay": "1"}, own=("replay",)),
    "list_replay_people": Example({"replay": "1"}, query={"stopped_at": "done"}, own=("replay",)),
    "cancel_flow_replay": Example({"replay": "2"}, {"reason": WHY}, own=("replay",)),
    "list_groups": Example(),
    "propose_group": Example(body={"document": group(HIGH, "others"), "reason": WHY, "accept_warnings": WHY}),
    "check_group": Example(body={"document": group(HIGH, "others")}),
    "list_group_versions": Example(_GROUP),
    "read_group": Example(_GROUP_PROPOSED, own=("group", "number")),
    "approve_group": Example(_GROUP_PROPOSED, {"reason": WHY}, own=("group", "number")),
    "retire_group": Example(_GROUP_PROPOSED, {"reason": WHY}, own=("group", "number")),
    "list_group_members": Example(_GROUP, own=("group",)),
    "list_group_moves": Example(_GROUP, own=("group",)),
    "read_group_sizes": Example(_GROUP, own=("group",)),
    "list_groups_of_entity": Example(_CUSTOMER, own=_OF_CUSTOMER),
    "call_flow": Example(_CARE, {"external_id": CUSTOMER, "run_key": "k"}, own=_FLOW),
    "list_flow_runs": Example(query={"flow": "care", "state": "ended"}),
    "read_flow_run": Example({"run": "1"}, own=("run",)),
    "answer_flow_run": Example({"run": "3"}, {"answer": "aye", "reason": WHY}, own=("run",), publishers={"run": "5"}),
    "retry_flow_run": Example({"run": "6"}, own=("run",)),
    "finish_flow_review": Example({"action": "1"}, {"reason": WHY}, own=("action",)),
    "take_back_flow_action": Example({"action": "1"}, {"reason": WHY}, own=("action",), publishers={"action": "2"}),
    "read_flow_actions": Example(_CUSTOMER, own=_OF_CUSTOMER),
    "search_entities": Example(query={"type": "company", "text": "a"}),
    "count_entities": Example(query={"type": "company", "text": "acme"}),
    "read_segments": Example(query={"type": "customer"}),
    "list_values": Example(query={"type": "company", "segment": "top,high"}),
    "search_values": Example(query={"type": "company", "text": "a"}),
    "read_value": Example(_CUSTOMER, own=_OF_CUSTOMER),
    "list_current_levels": Example(query={"type": "company", "order": "risk"}),
    "list_transitions": Example(query={"direction": "first,rise", "since": "2026-01-01"}),
    "list_queue": Example(query={"assigned": "unassigned", "order": "newest"}),
    "count_queue": Example(),
    "list_queue_views": Example(),
    "save_queue_view": Example({"name": "Rose today"}, {"filters": {"kind": "rise"}}),
    "remove_queue_view": Example({"name": "kept"}, own=("name",)),
    "change_queue_item": Example({"item": "override-1-0"}, {"revision": 0, "assigned_to": 1}, own=("item",)),
    "read_matrix": Example(query={"type": "customer"}),
    "read_distribution": Example(query={"type": "customer"}),
    "read_levels_over_time": Example(query={"type": "company", "every": "week", "periods": "4"}),
    "read_migration": Example(query={"type": "company"}),
    "list_migrated": Example(query={"type": "company", "from_level": "none"}),
    "list_failures": Example(),
    "search_failures": Example(query={"since": "2026-01-01"}),
    "list_validations": Example(),
    "validate_levels": Example(body=QUARTER),
    "read_validation": Example({"validation": "1"}, own=("validation",)),
    "list_series": Example(),
    "sign_validation": Example({"validation": "1"}, {"conclusion": WHY}, own=("validation",)),
    "read_revalidation": Example(),
    "read_work": Example(query={"begins": "2026-01-01", "ends": "2026-04-01"}),
    "list_changes": Example(),
    "register_change": Example(body={"kind": "country", "description": "Malta"}),
    "sign_off": Example({"change": "1"}, {"validation": 1, "conclusion": WHY}, own=("change",)),
    "list_models": Example(),
    "read_model": Example({"version": "2"}),
    "list_realised": Example({"version": "2"}),
    "list_promotions": Example(),
    "promote_model": Example(body={"version": 2, "reason": WHY}, status=409),  # another organisation has members too
    "roll_back_model": Example(body={"reason": WHY}, status=409),
    "read_settings": Example(),
    "choose_levels": Example(body={"levels": ["low", "medium", "high", "critical"]}, status=409),
    "change_settings": Example(body={"override_cap_percent": 20, "reason": WHY}),
    "list_types": Example(),
    "define_type": Example({"name": "session"}, {"fields": {"device": "text"}}),
    "order_families": Example({"type": "customer"}, {"families": ["second", "retail", "drafted"], "reason": WHY}),
    "list_families": Example(query={"type": "customer"}),
    "read_draft": Example(_DRAFTED, own=_FAMILY),
    "save_draft": Example(_DRAFTED, {"document": document("drafted", remark="more"), "revision": 1}),
    "discard_draft": Example(_DRAFTED, {"revision": 1}, own=_FAMILY),
    "review_draft": Example(_DRAFTED, own=_FAMILY),
    "check_ruleset": Example(body={"document": document("drafted", remark="more")}),
    "compare_draft": Example(_DRAFTED, own=_FAMILY, status=404),  # there is no version to compare it with
    "write_table": Example(_DRAFTED, {"rule": "country"}, own=_FAMILY),
    "read_table": Example(
        _DRAFTED, {"rule": "country", "format": "csv", "content": "case,country,points\n1,in KP,50\n"}, own=_FAMILY
    ),
    "try_ruleset": Example(_DRAFTED, {"external_id": CUSTOMER}, own=_FAMILY),
    "commit": Example(_DRAFTED, {"revision": 1, "accept_warnings": WHY}, own=_FAMILY),
    "list_versions": Example(_RETAIL, own=_FAMILY),
    "read_version": Example({**_RETAIL, "number": "1"}, own=("family", "number")),
    "compare_versions": Example({**_RETAIL, "number": "2"}, query={"before": "1"}, own=("family", "number")),
    "request_reference": Example(_RETAIL, {"version": 1}, own=_FAMILY, status=422),  # it places nothing among peers
    "list_references": Example(_RETAIL, own=_FAMILY),
    "read_reference_state": Example(_RETAIL, own=_FAMILY),
    "read_reference": Example({"name": "kept"}, status=404),  # it has countries
    "list_threshold_reviews": Example(_RETAIL, own=_FAMILY),
    "request_points": Example(_RETAIL, {"as_of": "2025-01-01"}, own=_FAMILY),
    "list_points": Example(_RETAIL, own=_FAMILY),
    "list_backtests": Example(_RETAIL, own=_FAMILY),
    "request_backtest": Example(_RETAIL, {"version": 1}, own=_FAMILY),
    "read_backtest": Example({"backtest": "1"}, own=("backtest",)),
    "list_movers": Example({"backtest": "1"}, query={"level_before": "low"}, own=("backtest",)),
    "cancel_backtest": Example({"backtest": "5"}, {"reason": WHY}, own=("backtest",)),
    "list_activations": Example(_RETAIL, own=_FAMILY),
    "activate": Example(_RETAIL, {"version": 2, "reason": WHY}, own=_FAMILY),
    "roll_back": Example(_SECOND, {"version": 1, "reason": WHY, "per_second": 7}, own=_FAMILY),
    "switch_family": Example(_SECOND, {"on": False, "reason": WHY}, own=_FAMILY),
    "list_lists": Example(),
    "list_list_states": Example(),
    "list_versions_of_list": Example(_KEPT, own=("name",)),
    "list_list_members": Example(_KEPT, query={"since": "2025-01-01"}, own=("name",)),
    "list_member_changes": Example(_KEPT, query={"since": "2025-01-01"}, own=("name",)),
    "add_list_version": Example(
        {"name": "watched"},
        {"since": "2030-01-01", "members": ["NO"], "title": "Watched", "source": "Ourselves", "reason": WHY},
    ),
    "read_rates": Example(),
    "list_rate_tables": Example(),
    "add_rates": Example(
        body={
            "rates": [{"currency": "AED", "date": "2024-06-28", "rate": 0.25}],
            "source": "Ourselves",
            "reason": WHY,
        }
    ),
    "list_proposals": Example(query={"state": "proposed"}),
    "read_proposal": Example(
        {"proposal": "1"}, own=("proposal",), approvers=_REVOCATION, investigators=_OF_INVESTIGATOR
    ),
    "approve_proposal": Example({"proposal": "1"}, {"reason": WHY}, own=("proposal",), approvers=_REVOCATION),
    "refuse_proposal": Example(
        *({"proposal": "2"}, {"reason": WHY}),
        own=("proposal",),
        approvers=_REVOCATION,
        investigators=_OF_INVESTIGATOR,
    ),
    "request_proposal_backtests": Example({"proposal": "3"}, own=("proposal",)),
    "list_endpoints": Example(),
    "add_endpoint": Example(body={"url": "https://example.com/hook", "kinds": ["level.reached"]}),
    "read_endpoint": Example({"endpoint": "1"}, own=_ENDPOINT),
    "change_kinds": Example({"endpoint": "1"}, {"kinds": ["level.reached"]}, own=_ENDPOINT),
    "list_failing": Example({"endpoint": "1"}, own=_ENDPOINT),
    "remove_endpoint": Example({"endpoint": "1"}, own=_ENDPOINT),
    "set_enabled": Example({"endpoint": "1"}, {"enabled": False}, own=_ENDPOINT),
    "rotate_secret": Example({"endpoint": "1"}, {}, own=_ENDPOINT),
    "drop_old_secrets": Example({"endpoint": "1"}, own=_ENDPOINT),
    "list_dead_letters": Example({"endpoint": "1"}, own=_ENDPOINT),
    "replay_deliveries": Example({"endpoint": "1"}, {}, own=_ENDPOINT),
    "list_members": Example(),
    "add_member": Example(body={"name": "Zoë", "roles": ["publisher"]}),
    "set_roles": Example({"member": "1"}, {"roles": ["approver", "admin"]}, own=("member",)),
    "leave": Example({"member": "2"}, own=("member",)),
    "read_operations": Example(),
    "preview_retention": Example(query={"outbox_days": "90"}),
    "list_imports": Example(),
    "search_entries": Example(query={"since": "2026-01-01"}),
    "search_decisions": Example(query={"policy": "payments"}),
    "search_proposals": Example(query={"kind": "list.versions"}),
    "search_overrides": Example(query={"since": "2026-01-01"}),
    "list_plans": Example(),
    "list_tokens": Example(),
    "revoke_token": Example({"number": "1"}, own=("number",)),
    "list_token_requests": Example(query={"state": "asked"}),
    "ask_for_token": Example(body={"role": "approver", "plan": "standard", "member": 2}),
    "approve_token": Example({"token_request": "1"}, own=("token_request",)),
    "refuse_token": Example({"token_request": "2"}, own=("token_request",)),
    "list_entries": Example(query={"limit": "3"}),
}
"""By the names of handlers."""
