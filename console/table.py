"""The one table of the console: each page and action, and the right of `/v1` that it needs."""

from collections.abc import Callable
from dataclasses import replace
from types import ModuleType
from typing import Final

from fivefold.console.accounts import lists, members, settings, sign_in
from fivefold.console.audit import log
from fivefold.console.changes import proposal
from fivefold.console.decisions import decisions, policies
from fivefold.console.flows import editor as flow_editor
from fivefold.console.flows import overview as flows
from fivefold.console.flows import replays as flow_replays
from fivefold.console.flows import runs as flow_runs
from fivefold.console.flows import version as flow_version
from fivefold.console.flows.tables import TABLES as FLOW_TABLES
from fivefold.console.groups import groups
from fivefold.console.levels import assessment, customer, migration, portfolio, search, transactions, values
from fivefold.console.models import versions
from fivefold.console.monitoring import validation
from fivefold.console.queue import page as queue
from fivefold.console.queue import records
from fivefold.console.recourse import challenges, statement
from fivefold.console.rulesets import backtest, editor, overview, references
from fivefold.console.rulesets import version as ruleset
from fivefold.console.rulesets.tables import TABLES as RULESET_TABLES
from fivefold.console.rulesets.tables import EditorTables
from fivefold.console.visit import Redirect, Rendered, View, Visit
from fivefold.console.webhooks import endpoints

_ENTITY = "/console/entities/{type}/{external_id}"
_OF = "/v1/entities/{type}/{external_id}"
_RULESET = "/console/rulesets/{family}"
_RULESET_OF = "/v1/rulesets/{family}"
_VERSION = f"{_RULESET}/versions/{{number}}"
_PROPOSAL = "/console/proposals/{proposal}"
_PROPOSAL_OF = "/v1/proposals/{proposal}"
_CHECK = "POST /v1/rulesets/check"
_STATE = "POST /v1/assessments/{assessment}/statement"
_CONTEST = "POST /v1/assessments/{assessment}/challenges"
_CHALLENGE = "/console/challenges/{challenge}"
_CHALLENGE_OF = "/v1/challenges/{challenge}"
_LIST = f"{lists.LISTS}/{{list}}"
_POLICY = f"{policies.POLICIES}/{{policy}}"
_POLICY_VERSION = f"{_POLICY}/versions/{{number}}"
_POLICY_OF = "/v1/policies/{policy}/versions/{number}"
_PROPOSE_POLICY = "POST /v1/policies"
_CHECK_POLICY = "POST /v1/policies/check"
_FLOW = f"{flows.FLOWS}/{{flow}}"
_FLOW_OF = "/v1/flows/{flow}"
_FLOW_VERSION = f"{_FLOW}/versions/{{number}}"
_RUN = f"{flow_runs.RUNS}/{{run}}"
_RUN_OF = "/v1/flow-runs/{run}"
_REPLAY = f"{flow_replays.REPLAYS}/{{replay}}"
_REPLAY_OF = "/v1/flow-replays/{replay}"
_CHECK_FLOW = "POST /v1/flows/check"
_GRAPH = "POST /v1/flows/import"
_NEW_FLOW = "/console/new-flow"
_GROUP = f"{groups.GROUPS}/{{group}}"
_GROUP_VERSION = f"{_GROUP}/versions/{{number}}"
_GROUP_OF = "/v1/groups/{group}"
_PUT_LIST = "POST /v1/lists/{name}/versions"

_HOOK = f"{endpoints.WEBHOOKS}/{{endpoint}}"
_HOOK_OF = "/v1/webhooks/{endpoint}"
_REQUEST = "/v1/token-requests/{token_request}"
_MEMBER = f"{members.MEMBERS}/members/{{member}}"


def _home(visit: Visit) -> Redirect:
    return Redirect("/console/queue" if visit.may(queue.QUEUE) else values.VALUES)


def _text_views(
    editing: str, of: str, check: str, editor: ModuleType, tables: EditorTables, page: Callable[[Visit], Rendered]
) -> tuple[View, ...]:
    """Return the views of an editor's page that store nothing: checks, forms, and decision tables as files.

    *of*: the path in `/v1` of what is edited; *check*: the route that checks a text.
    """
    out, into = f"POST {of}/tables/export", f"POST {of}/tables/import"
    return (
        View("POST", f"{editing}/check", check, editor.check, page, reads_document=True),
        View("POST", f"{editing}/mutate", check, editor.check, page, reads_document=True),
        View("POST", f"{editing}/write", check, editor.write, page, reads_document=True),
        View("POST", f"{editing}/table-csv", out, tables.csv, page, reads_document=True),
        View("POST", f"{editing}/table-xlsx", out, tables.xlsx, page, reads_document=True),
        View("POST", f"{editing}/table-import", into, editor.take_table, page, reads_document=True, takes_file="table"),
    )


def _flow_views(editing: str, page: Callable[[Visit], Rendered]) -> tuple[View, ...]:
    """Return the views of a flow's editor that store nothing."""
    take_graph = flow_editor.take_graph
    return (
        *_text_views(editing, _FLOW_OF, _CHECK_FLOW, flow_editor, FLOW_TABLES, page),
        View("POST", f"{editing}/form", _CHECK_FLOW, flow_editor.check_fields, page, reads_document=True),
        View("POST", f"{editing}/graph-import", _GRAPH, take_graph, page, reads_document=True, takes_file="graph"),
    )


def _draft_views(editing: str, of: str, editor: ModuleType) -> tuple[View, ...]:
    """Return the views that store what is edited, as the draft or as a version, or remove the draft."""
    page = editor.show_editor
    return (
        View("POST", f"{editing}/save", f"PUT {of}/draft", editor.save, page, reads_document=True),
        View("POST", f"{editing}/commit", f"POST {of}/commit", editor.commit_draft, page, reads_document=True),
        View("POST", f"{editing}/discard", f"POST {of}/draft/discard", editor.discard, page, reads_document=True),
    )


_VIEWS: Final[tuple[View, ...]] = (
    View("GET", "/console", None, _home),
    View("GET", "/console/session", None, sign_in.show_session),
    View("POST", "/console/session/choose-zone", None, sign_in.choose_zone, sign_in.show_session),
    View("POST", "/console/session/take-role", None, sign_in.take_role, sign_in.show_session),
    View("POST", "/console/sign-out", None, sign_in.sign_out),
    View("POST", "/console/sign-out-everywhere", None, sign_in.sign_out_everywhere),
    View("GET", "/console/queue", queue.QUEUE, queue.show_queue),
    View("POST", "/console/queue/assign-many", queue.WORK, queue.assign_many, queue.show_queue),
    View("POST", "/console/queue/tag-many", queue.TAG, queue.tag_many, queue.show_queue),
    View("POST", "/console/queue/compute-many", queue.COMPUTE, queue.compute_many, queue.show_queue),
    View("POST", "/console/queue/save-filter", queue.VIEW, queue.save_filter, queue.show_queue),
    View("POST", "/console/queue/remove-filter", queue.VIEW_END, queue.remove_filter, queue.show_queue),
    View("GET", records.OVERRIDES, "GET /v1/overrides/search", records.show_overrides),
    View("GET", records.CHANGES, "GET /v1/proposals/search", records.show_changes),
    View("GET", challenges.CHALLENGES, "GET /v1/challenges", challenges.show_challenges),
    View("GET", "/console/queue/next", queue.QUEUE, queue.show_next),
    View("GET", "/console/queue/items/{item}", queue.QUEUE, queue.show_item),
    View("POST", "/console/queue/items/{item}/assign", queue.WORK, queue.assign, queue.show_item),
    View("POST", "/console/queue/items/{item}/put-away", queue.WORK, queue.put_away, queue.show_item),
    View("GET", "/console/search", "GET /v1/search", search.search),
    View("GET", "/console/portfolio", "GET /v1/distribution", portfolio.show_portfolio),
    View("GET", migration.OVER_TIME, "GET /v1/migration", migration.show_over_time),
    View("GET", values.VALUES, "GET /v1/values", values.show_values),
    View("GET", values.SEARCH, "GET /v1/values/search", values.search_by_identifier),
    View("GET", f"{values.VALUES}/{{type}}/{{external_id}}", f"GET {_OF}/value", values.show_customer_value),
    View("GET", _ENTITY, f"GET {_OF}", customer.show_customer, before=customer.refresh_level),
    View("POST", f"{_ENTITY}/assess", f"GET {_OF}/risk", customer.recompute, customer.show_customer),
    View("POST", f"{_ENTITY}/override", f"POST {_OF}/overrides", customer.request_override, customer.show_customer),
    View(
        "POST",
        f"{_ENTITY}/approve-override",
        "POST /v1/overrides/{override}/approve",
        customer.approve_override,
        customer.show_customer,
    ),
    View(
        "POST",
        f"{_ENTITY}/refuse-override",
        "POST /v1/overrides/{override}/refuse",
        customer.refuse_override,
        customer.show_customer,
    ),
    View(
        "POST",
        f"{_ENTITY}/revoke-override",
        "POST /v1/overrides/{override}/revoke",
        customer.revoke_override,
        customer.show_customer,
    ),
    View("POST", f"{_ENTITY}/tag", f"PUT {_OF}/tags/{{tag}}", customer.set_tag, customer.show_customer),
    View("POST", f"{_ENTITY}/end-tag", f"DELETE {_OF}/tags/{{tag}}", customer.end_tag, customer.show_customer),
    View("POST", f"{_ENTITY}/export-json", f"GET {_OF}", customer.export_json, customer.show_customer),
    View("POST", f"{_ENTITY}/export-pdf", f"GET {_OF}", customer.export_pdf, customer.show_customer),
    View("POST", f"{_ENTITY}/statement-json", _STATE, statement.statement_json, customer.show_customer),
    View("POST", f"{_ENTITY}/statement-pdf", _STATE, statement.statement_pdf, customer.show_customer),
    View("POST", f"{_ENTITY}/challenge", _CONTEST, challenges.open_challenge, customer.show_customer),
    View("GET", f"{_ENTITY}/timeline", f"GET {_OF}/timeline", customer.show_timeline),
    View("GET", f"{_ENTITY}/transactions", f"GET {_OF}/transactions/days", transactions.show_transactions),
    View("GET", f"{_ENTITY}/value", f"GET {_OF}", values.show_value_year),
    View("GET", f"{_ENTITY}/what-if", f"GET {_OF}/what-if", statement.show_what_if),
    View("GET", f"{_ENTITY}/history", f"GET {_OF}/history", assessment.show_history),
    View("GET", "/console/assessments/{assessment}", "GET /v1/assessments/{assessment}", assessment.show_assessment),
    View("GET", _CHALLENGE, f"GET {_CHALLENGE_OF}", challenges.show_challenge),
    View("POST", f"{_CHALLENGE}/settle", f"POST {_CHALLENGE_OF}/settle", challenges.settle, challenges.show_challenge),
    View(
        "POST",
        f"{_CHALLENGE}/reply-json",
        f"POST {_CHALLENGE_OF}/reply",
        challenges.reply_json,
        challenges.show_challenge,
    ),
    View(
        "POST",
        f"{_CHALLENGE}/reply-pdf",
        f"POST {_CHALLENGE_OF}/reply",
        challenges.reply_pdf,
        challenges.show_challenge,
    ),
    View("GET", "/console/validation", "GET /v1/validation-series", validation.show_validation),
    View(
        "POST",
        "/console/validation/change",
        "POST /v1/material-changes",
        validation.register_change,
        validation.show_validation,
    ),
    View(
        "POST",
        "/console/validation/sign-off-change",
        "POST /v1/material-changes/{change}/sign-off",
        validation.sign_off_change,
        validation.show_validation,
    ),
    View(
        "POST",
        "/console/validation/validate",
        "POST /v1/validations",
        validation.validate,
        validation.show_validation,
    ),
    View(
        "POST", "/console/validation/evidence", "GET /v1/audit", validation.ask_for_evidence, validation.show_validation
    ),
    View("GET", "/console/validation/evidence/{archive}", "GET /v1/audit", validation.show_evidence),
    View(
        "POST",
        "/console/validation/evidence/{archive}/take",
        "GET /v1/audit",
        validation.take_evidence,
        validation.show_evidence,
    ),
    View("GET", "/console/validation/jobs/{job}", "GET /v1/validations/{validation}", validation.show_job),
    View("GET", "/console/validation/{validation}", "GET /v1/validations/{validation}", validation.show_found),
    View(
        "POST",
        "/console/validation/{validation}/sign-off",
        "POST /v1/validations/{validation}/sign-off",
        validation.sign_off,
        validation.show_found,
    ),
    View(
        "POST",
        "/console/validation/{validation}/attach-peer",
        "POST /v1/validations/{validation}/peers",
        validation.take_peer,
        validation.show_found,
        reads_document=True,
        takes_file="figures",
    ),
    View("GET", validation.OPERATIONS, "GET /v1/operations", validation.show_operations, at_one_moment=False),
    View("GET", log.LOG, "GET /v1/audit/search", log.show_log),
    View("GET", validation.FAILURES, "GET /v1/failures/search", validation.show_failures),
    View("POST", f"{validation.FAILURES}/retry", f"GET {_OF}/risk", validation.retry, validation.show_failures),
    View("GET", endpoints.WEBHOOKS, "GET /v1/webhooks", endpoints.show_endpoints),
    View("POST", f"{endpoints.WEBHOOKS}/add", "POST /v1/webhooks", endpoints.add, endpoints.show_endpoints),
    View("GET", _HOOK, f"GET {_HOOK_OF}", endpoints.show_endpoint),
    View("POST", f"{_HOOK}/replay", f"POST {_HOOK_OF}/replay", endpoints.replay, endpoints.show_endpoint),
    View("POST", f"{_HOOK}/change-kinds", f"PUT {_HOOK_OF}/kinds", endpoints.change_kinds, endpoints.show_endpoint),
    View("POST", f"{_HOOK}/rotate", f"POST {_HOOK_OF}/secrets", endpoints.rotate, endpoints.show_endpoint),
    View("POST", f"{_HOOK}/drop-old", f"DELETE {_HOOK_OF}/secrets", endpoints.drop_old, endpoints.show_endpoint),
    View("POST", f"{_HOOK}/switch", f"PUT {_HOOK_OF}/enabled", endpoints.switch, endpoints.show_endpoint),
    View("POST", f"{_HOOK}/remove", f"DELETE {_HOOK_OF}", endpoints.remove, endpoints.show_endpoint),
    View("GET", members.MEMBERS, "GET /v1/members", members.show_members),
    View("POST", f"{members.MEMBERS}/add-member", "POST /v1/members", members.add_member, members.show_members),
    View("GET", _MEMBER, "GET /v1/members", members.show_member),
    View("POST", f"{_MEMBER}/set-roles", "PUT /v1/members/{member}/roles", members.set_roles, members.show_member),
    View("POST", f"{_MEMBER}/leave", "POST /v1/members/{member}/leave", members.leave, members.show_member),
    View("GET", f"{members.MEMBERS}/usage", "GET /v1/plans", members.show_usage),
    View("GET", settings.SETTINGS, "GET /v1/settings", settings.show_settings),
    View("POST", f"{settings.SETTINGS}/change", "PATCH /v1/settings", settings.change, settings.show_settings),
    View("GET", members.TOKENS, "GET /v1/tokens", members.show_tokens),
    View("POST", f"{members.TOKENS}/ask", "POST /v1/token-requests", members.ask, members.show_tokens),
    View("POST", f"{members.TOKENS}/approve", f"POST {_REQUEST}/approve", members.approve, members.show_tokens),
    View("POST", f"{members.TOKENS}/refuse", f"POST {_REQUEST}/refuse", members.refuse, members.show_tokens),
    View("POST", f"{members.TOKENS}/revoke", "POST /v1/tokens/{number}/revoke", members.revoke, members.show_tokens),
    View("GET", "/console/models", "GET /v1/models", versions.show_versions),
    View(
        "POST",
        "/console/models/rollback",
        "POST /v1/model-promotions/rollback",
        versions.roll_back,
        versions.show_versions,
    ),
    View("GET", "/console/models/{version}", "GET /v1/models/{version}", versions.show_version),
    View("GET", "/console/models/{version}/realised", "GET /v1/models/{version}/realised", versions.show_realised),
    View(
        "POST",
        "/console/models/{version}/promote",
        "POST /v1/model-promotions",
        versions.promote,
        versions.show_version,
    ),
    View("GET", "/console/rulesets", "GET /v1/rulesets", overview.show_rulesets),
    View(
        "POST",
        "/console/rulesets/order",
        "PUT /v1/entity-types/{type}/rulesets",
        overview.change_order,
        overview.show_rulesets,
    ),
    View("GET", "/console/new-ruleset", _CHECK, editor.show_new),
    *_text_views("/console/new-ruleset", _RULESET_OF, _CHECK, editor, RULESET_TABLES, editor.show_new),
    View(
        "POST",
        "/console/new-ruleset/save",
        f"PUT {_RULESET_OF}/draft",
        editor.save_new,
        editor.show_new,
        reads_document=True,
    ),
    View("GET", _RULESET, f"GET {_RULESET_OF}/versions", overview.show_ruleset),
    View(
        "POST",
        f"{_RULESET}/build-reference",
        f"POST {_RULESET_OF}/references",
        references.build_reference,
        overview.show_ruleset,
    ),
    View("GET", f"{_RULESET}/points", f"GET {_RULESET_OF}/points", references.show_points),
    View(
        "POST",
        f"{_RULESET}/points/ask",
        f"POST {_RULESET_OF}/points",
        references.ask_for_points,
        references.show_points,
    ),
    View("POST", f"{_RULESET}/switch", f"POST {_RULESET_OF}/switch", overview.switch, overview.show_ruleset),
    View("POST", f"{_RULESET}/roll-back", f"POST {_RULESET_OF}/rollback", overview.roll_back, overview.show_ruleset),
    View("GET", f"{_RULESET}/edit", f"GET {_RULESET_OF}/draft", editor.show_editor),
    *_text_views(f"{_RULESET}/edit", _RULESET_OF, _CHECK, editor, RULESET_TABLES, editor.show_editor),
    *_draft_views(f"{_RULESET}/edit", _RULESET_OF, editor),
    View("GET", _VERSION, f"GET {_RULESET_OF}/versions/{{number}}", ruleset.show_version),
    View(
        "POST",
        f"{_VERSION}/backtest",
        f"POST {_RULESET_OF}/backtests",
        ruleset.ask_for_backtest,
        ruleset.show_version,
    ),
    View(
        "POST",
        f"{_VERSION}/activate",
        f"POST {_RULESET_OF}/activate",
        ruleset.activate_version,
        ruleset.show_version,
    ),
    View("GET", lists.LISTS, "GET /v1/lists/overview", lists.show_lists),
    View("GET", "/console/new-list", _PUT_LIST, lists.show_form),
    View("POST", "/console/new-list/check", _PUT_LIST, lists.check, lists.show_form, reads_document=True),
    View("POST", "/console/new-list/add", _PUT_LIST, lists.add, lists.show_form, reads_document=True),
    View("GET", _LIST, "GET /v1/lists/{name}/versions", lists.show_list),
    View("GET", f"{_LIST}/peers", "GET /v1/lists/{name}/reference", references.show_reference),
    View("GET", f"{_LIST}/versions/{{since}}", "GET /v1/lists/{name}/members", lists.show_version),
    View("GET", f"{_LIST}/new-version", _PUT_LIST, lists.show_form),
    View("POST", f"{_LIST}/new-version/check", _PUT_LIST, lists.check, lists.show_form, reads_document=True),
    View("POST", f"{_LIST}/new-version/add", _PUT_LIST, lists.add, lists.show_form, reads_document=True),
    View("GET", policies.POLICIES, "GET /v1/policies", policies.show_policies),
    View("GET", "/console/new-policy", _PROPOSE_POLICY, policies.show_editor),
    View("POST", "/console/new-policy/check", _CHECK_POLICY, policies.check, policies.show_editor, reads_document=True),
    View(
        "POST",
        "/console/new-policy/propose",
        _PROPOSE_POLICY,
        policies.propose,
        policies.show_editor,
        reads_document=True,
    ),
    View("GET", f"{_POLICY}/edit", _PROPOSE_POLICY, policies.show_editor),
    View("POST", f"{_POLICY}/edit/check", _CHECK_POLICY, policies.check, policies.show_editor, reads_document=True),
    View(
        "POST", f"{_POLICY}/edit/propose", _PROPOSE_POLICY, policies.propose, policies.show_editor, reads_document=True
    ),
    View("GET", _POLICY_VERSION, f"GET {_POLICY_OF}", policies.show_version),
    View("POST", f"{_POLICY_VERSION}/approve", f"POST {_POLICY_OF}/approve", policies.approve, policies.show_version),
    View("POST", f"{_POLICY_VERSION}/retire", f"POST {_POLICY_OF}/retire", policies.retire, policies.show_version),
    View("GET", flows.FLOWS, "GET /v1/flows", flows.show_flows),
    View("GET", _NEW_FLOW, _CHECK_FLOW, flow_editor.show_new),
    *_flow_views(_NEW_FLOW, flow_editor.show_new),
    View(
        "POST",
        f"{_NEW_FLOW}/save",
        "POST /v1/flows",
        flow_editor.save_new,
        flow_editor.show_new,
        reads_document=True,
    ),
    View("GET", _FLOW, f"GET {_FLOW_OF}/versions", flows.show_flow),
    View("POST", f"{_FLOW}/roll-back", f"POST {_FLOW_OF}/rollback", flows.roll_back, flows.show_flow),
    View("POST", f"{_FLOW}/off", f"POST {_FLOW_OF}/off", flows.switch_off, flows.show_flow),
    View("POST", f"{_FLOW}/end-shadow", f"POST {_FLOW_OF}/shadow/end", flows.end_shadow, flows.show_flow),
    View("GET", f"{_FLOW}/edit", f"GET {_FLOW_OF}/draft", flow_editor.show_editor),
    *_flow_views(f"{_FLOW}/edit", flow_editor.show_editor),
    *_draft_views(f"{_FLOW}/edit", _FLOW_OF, flow_editor),
    View("GET", _FLOW_VERSION, f"GET {_FLOW_OF}/versions/{{number}}", flow_version.show_version),
    View(
        "POST",
        f"{_FLOW_VERSION}/activate",
        f"POST {_FLOW_OF}/activate",
        flow_version.activate,
        flow_version.show_version,
    ),
    View(
        "POST",
        f"{_FLOW_VERSION}/replay",
        f"POST {_FLOW_OF}/replays",
        flow_replays.ask_for_replay,
        flow_version.show_version,
    ),
    View("GET", _REPLAY, f"GET {_REPLAY_OF}", flow_replays.show_replay),
    View("POST", f"{_REPLAY}/cancel", f"POST {_REPLAY_OF}/cancel", flow_replays.cancel, flow_replays.show_replay),
    View("POST", f"{_FLOW_VERSION}/shadow", f"POST {_FLOW_OF}/shadow", flow_version.shadow, flow_version.show_version),
    View("GET", groups.GROUPS, "GET /v1/groups", groups.show_groups),
    View("GET", "/console/new-group", "POST /v1/groups", groups.show_editor),
    View(
        "POST",
        "/console/new-group/check",
        "POST /v1/groups/check",
        groups.check,
        groups.show_editor,
        reads_document=True,
    ),
    View(
        "POST", "/console/new-group/propose", "POST /v1/groups", groups.propose, groups.show_editor, reads_document=True
    ),
    View("GET", _GROUP, f"GET {_GROUP_OF}/members", groups.show_group),
    View("GET", _GROUP_VERSION, f"GET {_GROUP_OF}/versions/{{number}}", groups.show_version),
    View(
        "POST",
        f"{_GROUP_VERSION}/approve",
        f"POST {_GROUP_OF}/versions/{{number}}/approve",
        groups.approve,
        groups.show_version,
    ),
    View(
        "POST",
        f"{_GROUP_VERSION}/retire",
        f"POST {_GROUP_OF}/versions/{{number}}/retire",
        groups.retire,
        groups.show_version,
    ),
    View("GET", f"{_FLOW}/shadow", f"GET {_FLOW_OF}/versions", flow_version.show_shadow),
    View("GET", flow_runs.RUNS, "GET /v1/flow-runs", flow_runs.show_runs),
    View("GET", _RUN, f"GET {_RUN_OF}", flow_runs.show_run),
    View("POST", f"{_RUN}/answer", f"POST {_RUN_OF}/answer", flow_runs.answer, flow_runs.show_run),
    View("POST", f"{_RUN}/retry", f"POST {_RUN_OF}/retry", flow_runs.retry, flow_runs.show_run),
    View(
        "POST", f"{_RUN}/take-back", "POST /v1/flow-actions/{action}/take-back", flow_runs.take_back, flow_runs.show_run
    ),
    View("POST", f"{_RUN}/reviewed", "POST /v1/flow-actions/{action}/reviewed", flow_runs.reviewed, flow_runs.show_run),
    View("GET", decisions.DECISIONS, "GET /v1/decisions/search", decisions.show_decisions),
    View("GET", f"{decisions.DECISIONS}/{{decision}}", "GET /v1/decisions/{decision}", decisions.show_decision),
    View("GET", "/console/backtests/{backtest}", "GET /v1/backtests/{backtest}", backtest.show_backtest),
    View(
        "POST",
        "/console/backtests/{backtest}/cancel",
        "POST /v1/backtests/{backtest}/cancel",
        backtest.cancel,
        backtest.show_backtest,
    ),
    View("GET", _PROPOSAL, f"GET {_PROPOSAL_OF}", proposal.show_proposal),
    View("POST", f"{_PROPOSAL}/approve", f"POST {_PROPOSAL_OF}/approve", proposal.approve, proposal.show_proposal),
    View("POST", f"{_PROPOSAL}/refuse", f"POST {_PROPOSAL_OF}/refuse", proposal.refuse, proposal.show_proposal),
    View(
        "POST",
        f"{_PROPOSAL}/backtests",
        f"POST {_PROPOSAL_OF}/backtests",
        proposal.ask_for_backtests,
        proposal.show_proposal,
    ),
)

_PAGES: Final = {view.handler: view.right for view in _VIEWS if view.method == "GET"}
VIEWS: Final = tuple(view if view.page is None else replace(view, page_right=_PAGES[view.page]) for view in _VIEWS)
"""A refused action shows its page again, so it needs the right of that page too."""
