"""A request that is answered well, for every route, in an organisation that has one of everything."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US, now_microseconds
from fivefold.serving.v1.examples import BODY_EXAMPLES
from fivefold.serving.v1.path_encoding import path_to
from fivefold.serving.v1.permissions import READERS
from fivefold.serving.v1.route import Route
from fivefold.store.tables.events import EvidenceJob, ValidationJob, ValidationRun
from fivefold.store.tables.flows import FlowRun
from fivefold.usecases.changes.backtests import run_next_backtest
from fivefold.usecases.flows.replays.jobs import run_next_replay
from fivefold.usecases.ingest.import_progress import note_import
from fivefold.usecases.levels.worker import MAX_ATTEMPTS
from fivefold.usecases.rulesets.threshold_reviews import begin_threshold_reviews
from fivefold.usecases.shared.context import Context
from tests.serving.v1.bank_rulesets import document
from tests.serving.v1.places import Place, keep, kept, settled
from tests.serving.v1.registries import registry
from tests.sharing import made_once
from tests.usecases.deciding import CASH, WORTH, cash
from tests.usecases.deciding import document as policy
from tests.usecases.flow_documents import BY_COUNTRY, INQUIRED, INQUIRY, TABLE, flow_document
from tests.usecases.grouped import HIGH
from tests.usecases.grouped import WORTH as WORTH_MUCH
from tests.usecases.grouped import document as group
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
        publishers: the parts for publishers, where they are asked other things.
    """

    parts: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    query: Mapping[str, str] = field(default_factory=dict)
    own: tuple[str, ...] = ()
    status: int | None = None
    approvers: Mapping[str, str] = field(default_factory=dict)
    publishers: Mapping[str, str] = field(default_factory=dict)

    def path(self, route: Route, **other: str) -> str:
        """Give the path, with other parts in place of some."""
        return path_to(route.path, **{**self.parts, **other})


_CUSTOMER = {"type": "customer", "external_id": CUSTOMER}
_COMPANY = {"type": "company", "external_id": COMPANY}
_OF_CUSTOMER = ("external_id", "type")
_REVOCATION = {"proposal": "4"}
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
    "list_overrides_of": Example(_COMPANY, own=_OF_CUSTOMER),
    "request_override": Example(_COMPANY, {"level": "high", "reason": WHY, "until": "2099-01-01"}, own=_OF_CUSTOMER),
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
    "take_back_flow_action": Example({"action": "1"}, {"reason": WHY}, own=("action",)),
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
    "read_proposal": Example({"proposal": "1"}, own=("proposal",), approvers=_REVOCATION),
    "approve_proposal": Example({"proposal": "1"}, {"reason": WHY}, own=("proposal",), approvers=_REVOCATION),
    "refuse_proposal": Example({"proposal": "2"}, {"reason": WHY}, own=("proposal",), approvers=_REVOCATION),
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


def furnish(place: Place) -> Place:
    """Give our organisation one of everything that the examples name."""
    registry()  # takes seconds to be made: the first request that reads it would run into its time limit
    customer = path_to("/v1/entities/{t}/{e}", t="customer", e=CUSTOMER)
    (maker,) = place.join("maker", "publisher")
    place.good("PUT", "/v1/entity-types/company", {"fields": {"size": "number"}}, role="admin")
    place.good("PUT", customer, {"attributes": {"country": "NO"}}, role="app")
    place.good("PUT", path_to("/v1/entities/{t}/{e}", t="company", e=COMPANY), {}, role="app")
    place.good("PUT", f"{customer}/tags/kept", {}, role="app")
    place.good("PUT", "/v1/entity-types/customer", {"links": {"household": "shared"}}, role="admin")
    place.good("POST", "/v1/links/customer", [{"type": "household", "from": CUSTOMER, "to": "H0"}], role="app")
    place.good("POST", "/v1/transactions", [transaction(1, CUSTOMER)], role="app")
    listed(place)
    rates = [{"currency": "AED", "date": "2024-06-28", "rate": 0.25}]
    place.good("POST", "/v1/rates/tables", {"rates": rates, "source": "Ourselves"}, role="publisher")
    for name, remark, version in (("retail", "a", 1), ("second", "c", 1), ("second", "d", 2)):
        publish(place, maker, name, remark)
        activate(place, name, version)
    begin_threshold_reviews(place.engine, now_microseconds() + HALF_YEAR_US)
    publish(place, maker, "retail", "b")
    save(place, maker, "drafted", "d")
    place.good("POST", "/v1/rulesets/drafted/backtests", {}, token=maker)
    place.good("GET", f"{customer}/risk?freshness=now", role="app")
    challenged(place)
    override(place)
    proposed(place, maker)
    revocation(place)
    filters = {"kind": "rise", "days": "7"}
    for role in READERS:
        place.good("PUT", "/v1/queue/views/kept", {"filters": filters}, role=role)
    place.good("POST", "/v1/webhooks", {"url": "https://example.com/hook"}, role="admin")
    validated(place)
    decided(place, maker)
    flowing(place, maker)
    for when in ({"value": "score", "at_least": 3.5}, WORTH_MUCH):
        body = {"document": group(when, "high-ones", purpose="both"), "reason": WHY, "accept_warnings": WHY}
        place.good("POST", "/v1/groups", body, token=maker)
    token_asked_for(place)
    imported(place)
    return place


def listed(place: Place) -> None:
    """Add two versions of a list, before anything decides."""
    versions = (("2024-01-01", ["IR", "KP", "MM", "Zoë Ltd"]), ("2025-01-01", ["BY", "IR", "SY", "Zoë Ltd", "kp"]))
    for since, members in versions:
        body = {"since": since, "members": members, "title": "Countries that we watch", "source": "Ourselves"}
        place.good("POST", "/v1/lists/kept/versions", body, role="publisher")


@contextmanager
def furnished_once(folder: Path, kind: str = "sqlite") -> Iterator[Place]:
    """Open a copy of a furnished place, which one process makes for all: that takes seconds."""

    def make(made: Path) -> None:
        with settled(made, kind) as place:
            keep(furnish(place), made)

    registry()  # a place's requests read it, each within its time limit
    with kept(made_once(f"furnished-{kind}", make), folder) as place:
        yield place


def imported(place: Place) -> None:
    """Note an import of a file as it is noted while it goes on."""
    about = {"content": "tags", "entity_type": "customer", "file": "tags.csv"}
    counts = {"rows": 3, "new": 2, "changed": 0, "same": 0, "refused": 1, "finished": 0}
    note_import(Context(place.engine, place.actor("admin")), "import-0", about, counts)


def token_asked_for(place: Place) -> None:
    """Ask for two tokens of programs, by somebody else than the admin who decides on them."""
    (second,) = place.join("second admin", "admin")
    for label in ("till", "web shop"):
        body = {"role": "app", "plan": "standard", "label": label}
        place.good("POST", "/v1/token-requests", body, token=second)


def decided(place: Place, maker: str) -> None:
    """Let a policy decide on a transaction, and propose its next version."""
    for number, rules in enumerate(([CASH], [CASH, WORTH]), start=1):
        body = {"document": policy(rules), "reason": WHY, "accept_warnings": WHY}
        place.good("POST", "/v1/policies", body, token=maker)
        if number == 1:
            place.good("POST", "/v1/policies/payments/versions/1/approve", {"reason": WHY}, role="publisher")
    asked = {"policy": "payments", "external_id": CUSTOMER, "transaction": cash()}
    place.good("POST", "/v1/decisions", asked, role="app")


def quarantined(session: Session, number: int) -> None:
    """Let a run stand as it does after as many errors as it is tried."""
    run = session.get_one(FlowRun, number)
    run.state, run.error, run.due_us, run.asks, run.asked_us = "quarantined", "RuntimeError", None, None, None
    run.attempts = MAX_ATTEMPTS


def flowing(place: Place, maker: str) -> None:
    """Let two versions of a flow act in turn, and a third one run as a shadow; another flow has a draft."""
    for number in (1, 2, 3):
        body = {"document": flow_document("care", title=f"Care {number}")}
        revision = place.good("PUT", "/v1/flows/care/draft", body, token=maker)["revision"]
        place.good("POST", "/v1/flows/care/commit", {"revision": revision}, token=maker)
        given = {"version": number, "reason": WHY}
        place.good("POST", f"/v1/flows/care/{'activate' if number < 3 else 'shadow'}", given, role="publisher")
    place.good("POST", "/v1/flows", {"document": flow_document("written")}, token=maker)
    of_publishers = {**INQUIRY, "person": {**INQUIRY["person"], "role": "publisher"}}
    for name, step in (("inquiry", INQUIRY), ("release", of_publishers)):
        place.good("POST", "/v1/flows", {"document": flow_document(name, [step], examples=INQUIRED)}, token=maker)
        place.good("POST", f"/v1/flows/{name}/commit", {"revision": 1, "accept_warnings": WHY}, token=maker)
        place.good("POST", f"/v1/flows/{name}/activate", {"version": 1, "reason": WHY}, role="publisher")
    for name in ("care", "inquiry", "inquiry", "release", "inquiry"):
        place.good("POST", f"/v1/flows/{name}/run", {"type": "customer", "external_id": CUSTOMER}, role="app")
    with Session(place.engine) as session, session.begin():
        quarantined(session, 6)
    place.good("POST", "/v1/flow-runs/4/answer", {"answer": "nay", "reason": WHY}, role="investigator")
    place.good("POST", "/v1/flows/care/replays", {"version": 3}, role="publisher")
    assert run_next_replay(place.engine)
    place.good("POST", "/v1/flows/care/replays", {"version": 1, "as_of": "2026-01-01"}, role="publisher")


def validated(place: Place) -> None:
    """Register a change, by somebody who has no other part in this, and validate after it."""
    (registrar,) = place.join("registrar", "approver")
    body = {"kind": "product", "description": "Loans"}
    place.good("POST", "/v1/material-changes", body, token=registrar)
    place.good("POST", "/v1/validations", QUARTER, role="publisher")
    with Session(place.engine) as session, session.begin():
        made = session.scalars(select(ValidationRun)).one()
        of = {"organisation_id": made.organisation_id, "from_us": made.from_us, "until_us": made.until_us}
        asked = {"reason": made.trigger, "requested_by": "member:2", "requested_us": made.made_us, "validation_id": 1}
        counts = {"attempts": 1, "done": 1, "total": 1, "finished_us": made.made_us}
        session.add(ValidationJob(state="done", **of, **asked, **counts))
        asked = {"organisation_id": made.organisation_id, "quarter": "2026Q3", "requested_us": made.made_us}
        counts |= {"content": b"PK", "manifest_sha256": "0f" * 32, "size_bytes": 2, "findings": 0}
        session.add(EvidenceJob(state="done", **asked, **counts, requested_by="member:1"))


def proposed(place: Place, maker: str) -> None:
    """Propose three versions of a list that no ruleset reads."""
    for year in (2031, 2032, 2033):
        body = {"since": f"{year}-01-01", "members": ["NO"], "title": "Spare", "source": "Ourselves", "reason": WHY}
        place.good("POST", "/v1/lists/spare/versions", body, token=maker)


def challenged(place: Place) -> None:
    """Contest the first assessment, which waits, and another one, which was settled."""
    place.good("POST", "/v1/assessments/1.1/challenges", {"words": WORDS}, role="investigator")
    of_company = place.good("GET", path_to("/v1/entities/{t}/{e}/risk", t="company", e=COMPANY), role="admin")
    made = place.good(
        "POST", f"/v1/assessments/{of_company['assessment']}/challenges", {"words": WORDS}, role="investigator"
    )
    settled_as = {"outcome": "confirmed", "reason": WHY}
    place.good("POST", f"/v1/challenges/{made['id']}/settle", settled_as, role="approver")


def override(place: Place) -> None:
    """Ask for three levels; the last one holds."""
    path = path_to("/v1/entities/{t}/{e}/overrides", t="company", e=COMPANY)
    for _ in range(3):
        made = place.good("POST", path, {"level": "high", "reason": WHY}, role="investigator")
    place.good("POST", f"/v1/overrides/{made['id']}/approve", {}, role="approver")


def revocation(place: Place) -> None:
    """Propose to end the override that holds: the fourth proposal."""
    place.good("POST", "/v1/overrides/3/revoke", {"reason": WHY}, token=place.join("revoker", "approver")[0])


def save(place: Place, maker: str, name: str, remark: str) -> int:
    """Save a draft; give its revision."""
    body = {"document": document(name, remark=remark)}
    return int(place.good("PUT", f"/v1/rulesets/{name}/draft", body, token=maker)["revision"])


def publish(place: Place, maker: str, name: str, remark: str) -> None:
    """Save and commit a ruleset, and backtest it."""
    revision = save(place, maker, name, remark)
    body = {"revision": revision, "accept_warnings": WHY}
    number = place.good("POST", f"/v1/rulesets/{name}/commit", body, token=maker)["number"]
    place.good("POST", f"/v1/rulesets/{name}/backtests", {"version": number}, token=maker)
    assert run_next_backtest(place.engine)


def activate(place: Place, name: str, version: int) -> None:
    """Let a version decide, by somebody who did not write it."""
    place.good("POST", f"/v1/rulesets/{name}/activate", {"version": version, "reason": WHY}, role="publisher")
