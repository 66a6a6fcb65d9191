"""The one table of the platform's routes and their roles, shown in docs/security.md and tested cell by cell."""

from fivefold.serving.v1.accounts import lists, members, settings
from fivefold.serving.v1.audit import log as audit
from fivefold.serving.v1.changes import proposals
from fivefold.serving.v1.decisions import decisions, policies
from fivefold.serving.v1.erasure import retention
from fivefold.serving.v1.flows import flows
from fivefold.serving.v1.flows import replays as flow_replays
from fivefold.serving.v1.flows import runs as flow_runs
from fivefold.serving.v1.flows import tables as flow_tables
from fivefold.serving.v1.groups import groups
from fivefold.serving.v1.ingest import entities
from fivefold.serving.v1.levels import entity_profile as facts
from fivefold.serving.v1.levels import levels, overrides
from fivefold.serving.v1.models import models
from fivefold.serving.v1.monitoring import operations, validations
from fivefold.serving.v1.portfolio import distribution, entity_lists, values
from fivefold.serving.v1.queue import queue
from fivefold.serving.v1.recourse import challenges
from fivefold.serving.v1.route import Route, Work
from fivefold.serving.v1.rulesets import activations, references, rulesets, tables
from fivefold.serving.v1.webhooks import webhooks
from fivefold.usecases.shared.actors import OF_APPROVAL, OF_MEMBERS, OF_RISK, OF_VERSIONS, Role

ADMINS = frozenset({Role.ADMIN})
PUBLISHERS = OF_VERSIONS
"""Authors of rulesets, who see drafts and thresholds too."""
FEEDERS = frozenset({Role.APP, Role.ADMIN})
"""Programs that send facts."""
TAGGERS = frozenset({Role.APP, Role.INVESTIGATOR, Role.ADMIN})
DECIDERS = TAGGERS
"""Programs that check a transaction, and people who investigate one."""
INVESTIGATORS = frozenset({Role.INVESTIGATOR, Role.ADMIN})
APPROVERS = OF_APPROVAL
RECEIVERS = INVESTIGATORS | PUBLISHERS
"""People who take what a customer says, and answer."""
ANSWERERS = INVESTIGATORS | PUBLISHERS
"""People whom flows may ask; each question says whom."""
REVIEWERS = frozenset({Role.APPROVER, Role.PUBLISHER, Role.ADMIN})
"""The roles that validate levels."""
PROPOSERS = REVIEWERS | INVESTIGATORS
"""People who propose changes, or decide on them; an investigator sees their own alone."""
READERS = OF_RISK
"""All people who see levels."""
VALUE_READERS = OF_MEMBERS
"""All people: what they read says nothing of risk."""
GROUP_READERS = VALUE_READERS | {Role.APP}
"""All: a role that may not know a level sees no group that was made against money laundering."""
EVERYBODY = READERS | {Role.APP}
"""Who may know a level, or an action that rests on it."""

_ENTITY = "/v1/entities/{type}/{external_id}"
_OVERRIDE = "/v1/overrides/{override}"
_FAMILY = "/v1/rulesets/{family}"
_CHALLENGE = "/v1/challenges/{challenge}"
_POLICY = "/v1/policies/{policy}/versions/{number}"
_FLOW = "/v1/flows/{flow}"
_GROUP = "/v1/groups/{group}"
_PROPOSAL = "/v1/proposals/{proposal}"
_ENDPOINT = "/v1/webhooks/{endpoint}"
_TOKEN_REQUEST = "/v1/token-requests/{token_request}"  # noqa: S105 (a path)

ROUTES: tuple[Route, ...] = (
    Route("GET", "/v1/entities/{type}", READERS, facts.list_entities),
    Route("POST", "/v1/entities/{type}", FEEDERS, entities.put_entities, work=Work.BULK),
    Route("GET", _ENTITY, READERS, facts.view_entity),
    Route("PUT", _ENTITY, FEEDERS, entities.put_entity),
    Route("GET", f"{_ENTITY}/risk", EVERYBODY, levels.read_risk),
    Route("GET", f"{_ENTITY}/history", READERS, levels.read_history),
    Route("GET", f"{_ENTITY}/what-if", READERS, challenges.read_what_if, work=Work.READING),
    Route("GET", "/v1/assessments/{assessment}", READERS, levels.read_reasons),
    Route("GET", "/v1/assessments/{assessment}/sources", READERS, levels.read_sources),
    Route("GET", "/v1/assessments/{assessment}/difference", READERS, levels.read_difference),
    Route("POST", "/v1/assessments/{assessment}/statement", PUBLISHERS, challenges.give_statement, work=Work.READING),
    Route("POST", "/v1/assessments/{assessment}/challenges", RECEIVERS, challenges.open_challenge, 201),
    Route("GET", "/v1/challenges", READERS, challenges.list_challenges),
    Route("GET", _CHALLENGE, READERS, challenges.read_challenge),
    Route("POST", f"{_CHALLENGE}/settle", APPROVERS, challenges.settle_challenge, work=Work.READING),
    Route("POST", f"{_CHALLENGE}/reply", RECEIVERS, challenges.give_reply),
    Route("GET", f"{_ENTITY}/timeline", READERS, facts.list_events),
    Route("GET", f"{_ENTITY}/tags", READERS, facts.list_tags),
    Route("PUT", f"{_ENTITY}/tags/{{tag}}", TAGGERS, entities.set_tag, 202),
    Route("DELETE", f"{_ENTITY}/tags/{{tag}}", TAGGERS, entities.end_tag, 202),
    Route("GET", f"{_ENTITY}/screenings", READERS, facts.list_screenings),
    Route("POST", f"{_ENTITY}/screenings", FEEDERS, entities.add_screening, 202),
    Route("GET", f"{_ENTITY}/links", READERS, facts.list_links),
    Route("POST", "/v1/links/{type}", FEEDERS, entities.put_links, work=Work.BULK),
    Route("GET", f"{_ENTITY}/cases", READERS, facts.list_cases),
    Route("PUT", f"{_ENTITY}/cases/{{number}}", FEEDERS, entities.put_case, 202),
    Route("GET", f"{_ENTITY}/alerts", READERS, facts.list_alerts),
    Route("PUT", f"{_ENTITY}/alerts/{{number}}", FEEDERS, entities.put_alert, 202),
    Route("GET", f"{_ENTITY}/transactions", READERS, facts.list_transactions),
    Route("GET", f"{_ENTITY}/transactions/days", READERS, facts.list_transaction_days),
    Route(
        *("POST", "/v1/transactions", FEEDERS, entities.post_transactions),
        work=Work.BULK,
        together=entities.post_transactions_together,
    ),
    Route("GET", f"{_ENTITY}/overrides", READERS, overrides.list_overrides_of),
    Route("POST", f"{_ENTITY}/overrides", INVESTIGATORS, overrides.request_override, 201),
    Route("GET", "/v1/overrides", READERS, overrides.list_overrides),
    Route("GET", "/v1/overrides/search", READERS, overrides.search_overrides),
    Route("GET", "/v1/overrides/cap", READERS, overrides.read_cap),
    Route("POST", f"{_OVERRIDE}/approve", APPROVERS, overrides.approve_override),
    Route("POST", f"{_OVERRIDE}/refuse", APPROVERS, overrides.refuse_override),
    Route("POST", f"{_OVERRIDE}/revoke", APPROVERS, overrides.revoke_override),
    Route("POST", "/v1/decisions", DECIDERS, decisions.decide),
    Route("GET", "/v1/decisions/search", READERS, decisions.search_decisions),
    Route("GET", "/v1/decisions/{decision}", EVERYBODY, decisions.read_decision),
    Route("GET", f"{_ENTITY}/decisions", READERS, decisions.list_decisions),
    Route("GET", "/v1/policies", PUBLISHERS, policies.list_policies),
    Route("POST", "/v1/policies", PUBLISHERS, policies.propose_policy, 201, work=Work.READING),
    Route("POST", "/v1/policies/check", PUBLISHERS, policies.check_policy, work=Work.READING),
    Route("GET", _POLICY, PUBLISHERS, policies.read_policy),
    Route("POST", f"{_POLICY}/approve", PUBLISHERS, policies.approve_policy),
    Route("POST", f"{_POLICY}/retire", PUBLISHERS, policies.retire_policy),
    Route("GET", "/v1/flows", PUBLISHERS, flows.list_flows),
    Route("POST", "/v1/flows", PUBLISHERS, flows.begin_flow, 201, work=Work.READING),
    Route("POST", "/v1/flows/check", PUBLISHERS, flows.check_flow, work=Work.READING),
    Route("POST", "/v1/flows/import", PUBLISHERS, flow_tables.import_graph, work=Work.READING),
    Route("GET", f"{_FLOW}/draft", PUBLISHERS, flows.read_flow_draft),
    Route("PUT", f"{_FLOW}/draft", PUBLISHERS, flows.save_flow_draft, work=Work.READING),
    Route("POST", f"{_FLOW}/draft/discard", PUBLISHERS, flows.discard_flow_draft),
    Route("GET", f"{_FLOW}/draft/review", PUBLISHERS, flows.review_flow_draft, work=Work.READING),
    Route("POST", f"{_FLOW}/tables/export", PUBLISHERS, flow_tables.write_flow_table, work=Work.READING),
    Route("POST", f"{_FLOW}/tables/import", PUBLISHERS, flow_tables.read_flow_table, work=Work.READING),
    Route("POST", f"{_FLOW}/try", PUBLISHERS, flows.try_flow, work=Work.READING),
    Route("POST", f"{_FLOW}/commit", PUBLISHERS, flows.commit_flow, 201, work=Work.READING),
    Route("GET", f"{_FLOW}/versions", PUBLISHERS, flows.list_flow_versions),
    Route("GET", f"{_FLOW}/versions/{{number}}", PUBLISHERS, flows.read_flow_version),
    Route("GET", f"{_FLOW}/versions/{{number}}/diff", PUBLISHERS, flows.compare_flow_versions, work=Work.READING),
    Route("GET", f"{_FLOW}/activations", PUBLISHERS, flows.list_flow_activations),
    Route("POST", f"{_FLOW}/activate", PUBLISHERS, flows.activate_flow),
    Route("POST", f"{_FLOW}/rollback", PUBLISHERS, flows.roll_back_flow),
    Route("POST", f"{_FLOW}/off", PUBLISHERS, flows.switch_flow_off),
    Route("POST", f"{_FLOW}/shadow", PUBLISHERS, flows.shadow_flow),
    Route("POST", f"{_FLOW}/shadow/end", PUBLISHERS, flows.end_flow_shadow),
    Route("GET", f"{_FLOW}/shadow", PUBLISHERS, flow_runs.compare_flow_shadow),
    Route("GET", f"{_FLOW}/shadow/pairs", PUBLISHERS, flow_runs.list_shadow_pairs),
    Route("GET", f"{_FLOW}/replays", PUBLISHERS, flow_replays.list_flow_replays),
    Route("POST", f"{_FLOW}/replays", PUBLISHERS, flow_replays.request_flow_replay, 202),
    Route("GET", "/v1/flow-replays/{replay}", PUBLISHERS, flow_replays.read_flow_replay),
    Route("GET", "/v1/flow-replays/{replay}/people", PUBLISHERS, flow_replays.list_replay_people),
    Route("POST", "/v1/flow-replays/{replay}/cancel", PUBLISHERS, flow_replays.cancel_flow_replay),
    Route("GET", "/v1/groups", GROUP_READERS, groups.list_groups),
    Route("POST", "/v1/groups", PUBLISHERS, groups.propose_group, 201, work=Work.READING),
    Route("POST", "/v1/groups/check", PUBLISHERS, groups.check_group, work=Work.READING),
    Route("GET", f"{_GROUP}/versions", PUBLISHERS, groups.list_group_versions),
    Route("GET", f"{_GROUP}/versions/{{number}}", PUBLISHERS, groups.read_group),
    Route("POST", f"{_GROUP}/versions/{{number}}/approve", PUBLISHERS, groups.approve_group),
    Route("POST", f"{_GROUP}/versions/{{number}}/retire", PUBLISHERS, groups.retire_group),
    Route("GET", f"{_GROUP}/members", GROUP_READERS, groups.list_group_members),
    Route("GET", f"{_GROUP}/moves", GROUP_READERS, groups.list_group_moves),
    Route("GET", f"{_GROUP}/sizes", GROUP_READERS, groups.read_group_sizes),
    Route("GET", f"{_ENTITY}/groups", GROUP_READERS, groups.list_groups_of_entity),
    Route("POST", "/v1/flows/{flow}/run", DECIDERS, flow_runs.call_flow),
    Route("GET", "/v1/flow-runs", READERS, flow_runs.list_flow_runs),
    Route("GET", "/v1/flow-runs/{run}", EVERYBODY, flow_runs.read_flow_run),
    Route("POST", "/v1/flow-runs/{run}/answer", ANSWERERS, flow_runs.answer_flow_run),
    Route("POST", "/v1/flow-runs/{run}/retry", ANSWERERS, flow_runs.retry_flow_run),
    Route("POST", "/v1/flow-actions/{action}/take-back", ANSWERERS, flow_runs.take_back_flow_action),
    Route("POST", "/v1/flow-actions/{action}/reviewed", INVESTIGATORS, flow_runs.finish_flow_review),
    Route("GET", f"{_ENTITY}/flow-actions", EVERYBODY, flow_runs.read_flow_actions),
    Route("GET", "/v1/search", READERS, entity_lists.search_entities),
    Route("GET", "/v1/search/count", READERS, entity_lists.count_entities),
    Route("GET", "/v1/levels", READERS, entity_lists.list_current_levels),
    Route("GET", "/v1/segments", VALUE_READERS, values.read_segments),
    Route("GET", "/v1/values", VALUE_READERS, values.list_values),
    Route("GET", "/v1/values/search", VALUE_READERS, values.search_values),
    Route("GET", f"{_ENTITY}/value", VALUE_READERS, values.read_value),
    Route("GET", "/v1/transitions", READERS, entity_lists.list_transitions),
    Route("GET", "/v1/queue", READERS, queue.list_queue),
    Route("GET", "/v1/queue/count", READERS, queue.count_queue),
    Route("PUT", "/v1/queue/{item}", READERS, queue.change_queue_item),
    Route("GET", "/v1/queue/views", READERS, queue.list_queue_views),
    Route("PUT", "/v1/queue/views/{name}", READERS, queue.save_queue_view),
    Route("DELETE", "/v1/queue/views/{name}", READERS, queue.remove_queue_view),
    Route("GET", "/v1/matrix", READERS, distribution.read_matrix),
    Route("GET", "/v1/distribution", READERS, distribution.read_distribution),
    Route("GET", "/v1/distribution/over-time", READERS, distribution.read_levels_over_time),
    Route("GET", "/v1/migration", READERS, distribution.read_migration),
    Route("GET", "/v1/migration/movers", READERS, distribution.list_migrated),
    Route("GET", "/v1/failures", PUBLISHERS, entity_lists.list_failures),
    Route("GET", "/v1/failures/search", PUBLISHERS, entity_lists.search_failures),
    Route("GET", "/v1/validations", REVIEWERS, validations.list_validations),
    Route("POST", "/v1/validations", REVIEWERS, validations.validate_levels, 201, work=Work.BULK),
    Route("GET", "/v1/validations/{validation}", REVIEWERS, validations.read_validation),
    Route("POST", "/v1/validations/{validation}/sign-off", REVIEWERS, validations.sign_validation),
    Route("GET", "/v1/validations/{validation}/peers", REVIEWERS, validations.list_peers),
    Route("POST", "/v1/validations/{validation}/peers", REVIEWERS, validations.attach_peer, 201, work=Work.READING),
    Route("GET", "/v1/validation-series", REVIEWERS, validations.list_series),
    Route("GET", "/v1/work-figures", REVIEWERS, validations.read_work),
    Route("GET", "/v1/revalidation", REVIEWERS, validations.read_revalidation),
    Route("GET", "/v1/material-changes", REVIEWERS, validations.list_changes),
    Route("POST", "/v1/material-changes", REVIEWERS, validations.register_change, 201),
    Route("POST", "/v1/material-changes/{change}/sign-off", REVIEWERS, validations.sign_off),
    Route("GET", "/v1/models", PUBLISHERS, models.list_models),
    Route("GET", "/v1/models/{version}", PUBLISHERS, models.read_model),
    Route("GET", "/v1/models/{version}/realised", PUBLISHERS, models.list_realised),
    Route("GET", "/v1/model-promotions", PUBLISHERS, models.list_promotions),
    Route("POST", "/v1/model-promotions", ADMINS, models.promote_model, 201, work=Work.READING),
    Route("POST", "/v1/model-promotions/rollback", ADMINS, models.roll_back_model, 201, work=Work.READING),
    Route("GET", "/v1/settings", READERS, settings.read_settings),
    Route("PUT", "/v1/settings/levels", ADMINS, settings.choose_levels),
    Route("PATCH", "/v1/settings", ADMINS, settings.change_settings),
    Route("GET", "/v1/entity-types", READERS, settings.list_types),
    Route("PUT", "/v1/entity-types/{name}", ADMINS, settings.define_type),
    Route("PUT", "/v1/entity-types/{type}/rulesets", PUBLISHERS, rulesets.order_families, 202),
    Route("GET", "/v1/rulesets", PUBLISHERS, rulesets.list_families),
    Route("GET", f"{_FAMILY}/draft", PUBLISHERS, rulesets.read_draft),
    Route("PUT", f"{_FAMILY}/draft", PUBLISHERS, rulesets.save_draft, work=Work.READING),
    Route("POST", f"{_FAMILY}/draft/discard", PUBLISHERS, rulesets.discard_draft),
    Route("POST", "/v1/rulesets/check", PUBLISHERS, rulesets.check_ruleset, work=Work.READING),
    Route("POST", f"{_FAMILY}/tables/export", PUBLISHERS, tables.write_table, work=Work.READING),
    Route("POST", f"{_FAMILY}/tables/import", PUBLISHERS, tables.read_table, work=Work.READING),
    Route("GET", f"{_FAMILY}/draft/diff", PUBLISHERS, rulesets.compare_draft, work=Work.READING),
    Route("POST", f"{_FAMILY}/try", PUBLISHERS, rulesets.try_ruleset, work=Work.READING),
    Route("GET", f"{_FAMILY}/draft/review", PUBLISHERS, rulesets.review_draft, work=Work.READING),
    Route("POST", f"{_FAMILY}/commit", PUBLISHERS, rulesets.commit, 201, work=Work.READING),
    Route("GET", f"{_FAMILY}/versions", PUBLISHERS, rulesets.list_versions),
    Route("GET", f"{_FAMILY}/versions/{{number}}", PUBLISHERS, rulesets.read_version),
    Route("GET", f"{_FAMILY}/versions/{{number}}/diff", PUBLISHERS, rulesets.compare_versions, work=Work.READING),
    Route("GET", f"{_FAMILY}/backtests", PUBLISHERS, activations.list_backtests),
    Route("POST", f"{_FAMILY}/backtests", PUBLISHERS, activations.request_backtest, 202),
    Route("POST", f"{_FAMILY}/references", PUBLISHERS, references.request_reference, 202),
    Route("GET", f"{_FAMILY}/references", PUBLISHERS, references.list_references),
    Route("GET", f"{_FAMILY}/reference", PUBLISHERS, references.read_reference_state),
    Route("POST", f"{_FAMILY}/points", PUBLISHERS, references.request_points, 202),
    Route("GET", f"{_FAMILY}/points", PUBLISHERS, references.list_points),
    Route("GET", f"{_FAMILY}/threshold-reviews", PUBLISHERS, activations.list_threshold_reviews),
    Route("GET", "/v1/backtests/{backtest}", PUBLISHERS, activations.read_backtest),
    Route("GET", "/v1/backtests/{backtest}/movers", PUBLISHERS, activations.list_movers),
    Route("POST", "/v1/backtests/{backtest}/cancel", PUBLISHERS, activations.cancel_backtest),
    Route("GET", f"{_FAMILY}/activations", PUBLISHERS, activations.list_activations),
    Route("POST", f"{_FAMILY}/activate", PUBLISHERS, activations.activate),
    Route("POST", f"{_FAMILY}/rollback", PUBLISHERS, activations.roll_back, 202),
    Route("POST", f"{_FAMILY}/switch", PUBLISHERS, rulesets.switch_family, 202),
    Route("GET", "/v1/proposals", PROPOSERS, proposals.list_proposals),
    Route("GET", "/v1/proposals/search", PROPOSERS, proposals.search_proposals),
    Route("GET", _PROPOSAL, PROPOSERS, proposals.read_proposal),
    Route("POST", f"{_PROPOSAL}/approve", REVIEWERS, proposals.approve_proposal),
    Route("POST", f"{_PROPOSAL}/refuse", PROPOSERS, proposals.refuse_proposal),
    Route("POST", f"{_PROPOSAL}/backtests", PUBLISHERS, proposals.request_proposal_backtests, 202),
    Route("GET", "/v1/lists", PUBLISHERS, lists.list_lists),
    Route("GET", "/v1/lists/overview", PUBLISHERS, lists.list_list_states),
    Route("GET", "/v1/lists/{name}/versions", PUBLISHERS, lists.list_versions_of_list),
    Route("GET", "/v1/lists/{name}/members", PUBLISHERS, lists.list_list_members),
    Route("GET", "/v1/lists/{name}/reference", PUBLISHERS, references.read_reference),
    Route("GET", "/v1/lists/{name}/changes", PUBLISHERS, lists.list_member_changes),
    Route("POST", "/v1/lists/{name}/versions", PUBLISHERS, lists.add_list_version, 201, work=Work.BULK),
    Route("GET", "/v1/rates", READERS, settings.read_rates),
    Route("GET", "/v1/rates/tables", READERS, settings.list_rate_tables),
    Route("POST", "/v1/rates/tables", PUBLISHERS, settings.add_rates, 201),
    Route("GET", "/v1/webhooks", ADMINS, webhooks.list_endpoints),
    Route("POST", "/v1/webhooks", ADMINS, webhooks.add_endpoint, 201, tells_secret=True),
    Route("GET", _ENDPOINT, ADMINS, webhooks.read_endpoint),
    Route("DELETE", _ENDPOINT, ADMINS, webhooks.remove_endpoint),
    Route("PUT", f"{_ENDPOINT}/kinds", ADMINS, webhooks.change_kinds),
    Route("PUT", f"{_ENDPOINT}/enabled", ADMINS, webhooks.set_enabled),
    Route("POST", f"{_ENDPOINT}/secrets", ADMINS, webhooks.rotate_secret, 201, tells_secret=True),
    Route("DELETE", f"{_ENDPOINT}/secrets", ADMINS, webhooks.drop_old_secrets),
    Route("GET", f"{_ENDPOINT}/failing", ADMINS, webhooks.list_failing),
    Route("GET", f"{_ENDPOINT}/dead-letters", ADMINS, webhooks.list_dead_letters),
    Route("POST", f"{_ENDPOINT}/replay", ADMINS, webhooks.replay_deliveries, 202),
    Route("GET", "/v1/operations", ADMINS, operations.read_operations),
    Route("GET", "/v1/retention", ADMINS, retention.preview_retention),
    Route("GET", "/v1/imports", ADMINS, operations.list_imports),
    Route("GET", "/v1/members", ADMINS, members.list_members),
    Route("POST", "/v1/members", ADMINS, members.add_member, 201),
    Route("PUT", "/v1/members/{member}/roles", ADMINS, members.set_roles),
    Route("POST", "/v1/members/{member}/leave", ADMINS, members.leave),
    Route("GET", "/v1/plans", ADMINS, members.list_plans),
    Route("GET", "/v1/tokens", ADMINS, members.list_tokens),
    Route("POST", "/v1/tokens/{number}/revoke", ADMINS, members.revoke_token),
    Route("GET", "/v1/token-requests", ADMINS, members.list_token_requests),
    Route("POST", "/v1/token-requests", ADMINS, members.ask_for_token, 201, tells_secret=True),
    Route("POST", f"{_TOKEN_REQUEST}/approve", ADMINS, members.approve_token, tells_secret=True),
    Route("POST", f"{_TOKEN_REQUEST}/refuse", ADMINS, members.refuse_token),
    Route("GET", "/v1/audit", ADMINS, audit.list_entries),
    Route("GET", "/v1/audit/search", ADMINS, audit.search_entries),
)
