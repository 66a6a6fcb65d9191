"""The examples of /docs are sent in the order of a bank's first days: each is answered well.

Nothing else is sent, but for what the notes beside a step say: another version to come back from, another number.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.domain.clock import now_microseconds
from fivefold.models import promotions
from fivefold.serving.v1.path_encoding import path_to
from fivefold.serving.v1.permissions import ROUTES
from fivefold.serving.v1.route import Route
from fivefold.usecases.accounts.organisations import actor_in_new
from fivefold.usecases.accounts.tokens import create_token
from fivefold.usecases.changes.references import REFERENCE
from fivefold.usecases.flows.replays.jobs import REPLAYS
from fivefold.usecases.rulesets.threshold_reviews import REVIEW, begin_threshold_reviews
from fivefold.usecases.shared.jobs import run_next_job
from tests.serving.v1.examples import HALF_YEAR_US
from tests.serving.v1.furnishing import quarantined
from tests.serving.v1.models.registries import made
from tests.serving.v1.places import PLANS, Place, routes
from tests.store import databases

BANK = "first days"
BY_HANDLER = {route.handler.__name__: route for route in ROUTES}


@dataclass(frozen=True)
class Step:
    """An example that is sent.

    Attributes:
        handler: of the route.
        who: sends it.
        parts: of the path, where the example's number is that of another thing by then.
        first: what has to be there before.
    """

    handler: str
    who: str = "ada"
    parts: Mapping[str, str] = field(default_factory=dict)
    first: Callable[["Bank"], None] | None = None


class Bank:
    """An organisation without anything, and its people: ada and bo do everything, each alone."""

    def __init__(self, engine: Engine, document: Mapping[str, Any]) -> None:
        self.place, self.document = Place(engine), document
        actor = actor_in_new(engine, BANK, "cli:test")
        self.place.organisations[BANK] = actor.organisation_id
        program = create_token(engine, PLANS, plan="unlimited", organisation=BANK)[1]
        self.tokens: dict[tuple[str, str], str] = {("app", "app"): program}
        roles = ("admin", "publisher", "approver", "investigator")
        for name in ("ada", "bo"):
            for role, token in zip(roles, self.place.join(name, *roles, organisation=BANK), strict=True):
                self.tokens[name, role] = token

    def send(self, step: Step) -> None:
        """Send the example of a route; it must be answered as the document says of what is done."""
        if step.first is not None:
            step.first(self)
        route = BY_HANDLER[step.handler]
        said = self.document["paths"][route.path][route.method.lower()]
        shown = [each for each in said.get("parameters", []) if "example" in each]
        query = {each["name"]: each["example"] for each in shown if each["in"] == "query"}
        parts = {each["name"]: str(each["example"]) for each in shown if each["in"] == "path"}
        path, body = path_to(route.path, **{**parts, **step.parts}), self.body(step.handler)
        answer = self.place.ask(route.method, path, body, token=self.token(route, step.who), params=query)
        assert str(answer.status_code) in said["responses"], (step.handler, answer.text)
        assert answer.status_code < 300, (step.handler, answer.status_code, answer.text)

    def body(self, handler: str) -> Any:
        """Give the example of a route's body; None where it takes none."""
        route = BY_HANDLER[handler]
        said = self.document["paths"][route.path][route.method.lower()].get("requestBody")
        return None if said is None else said["content"]["application/json"]["example"]

    def token(self, route: Route, who: str) -> str:
        """Give a token with which somebody may ask; a program where they may not."""
        roles = [role for name, role in self.tokens if name == who and role in route.roles]
        return self.tokens[who, roles[0]] if roles else self.tokens["app", "app"]


def backtested(bank: Bank) -> None:
    """A worker runs what was asked for."""
    bank.place.run_backtests()


def quarter_over(bank: Bank) -> None:
    """A worker looks at the thresholds of the quarter that is over."""
    half_a_year_on = now_microseconds() + HALF_YEAR_US
    begin_threshold_reviews(bank.place.engine, half_a_year_on)
    while run_next_job(bank.place.engine, REVIEW, half_a_year_on):
        pass


def second_version(bank: Bank) -> None:
    """The same ruleset with another rationale is committed, backtested and decides."""
    text = bank.body("save_draft")["document"].replace("Where customers live", "Where they live")
    why = bank.body("activate")["reason"]
    ada, bo = bank.tokens["ada", "publisher"], bank.tokens["bo", "publisher"]
    good, at = bank.place.good, "/v1/rulesets/retail"
    revision = good("PUT", f"{at}/draft", {"document": text}, token=ada)["revision"]
    good("POST", f"{at}/commit", {"revision": revision, "accept_warnings": why}, token=ada)
    good("POST", f"{at}/backtests", {"version": 2}, token=ada)
    backtested(bank)
    good("POST", f"{at}/activate", {"version": 2, "reason": why}, token=bo)


_PEERS = {"family": "peers"}


_PLACING = """\
ruleset: peers
entity_type: merchant
fields: {size: number}
reference: our-peers
levels: [low, medium, high]
score: {points: {thresholds: [30, 60]}}
max_recompute_interval: 30 days
cooldown: 30 days
rationale: Who stands out among merchants.
rules:
  - id: size
    title: Size among peers
    category: customer features
    rationale: Few are so large.
    input: {peer_percentile: {of: {field: size}, among: everyone}}
    cases:
      - when: {at_least: 97}
        points: 40
examples:
  - {name: large, given: {size: 9, peers: {size: 98}}, expect: {level: medium}}
"""


def peers_committed(bank: Bank) -> None:
    """Merchants are placed among peers by a ruleset of their own."""
    ada, admin, app = bank.tokens["ada", "publisher"], bank.tokens["ada", "admin"], bank.tokens["app", "app"]
    good, at = bank.place.good, "/v1/rulesets/peers"
    good("PUT", "/v1/entity-types/merchant", {"fields": {"size": "number"}}, token=admin)
    good("PUT", "/v1/entities/merchant/m1", {"attributes": {"size": 1}}, token=app)
    good("PUT", f"{at}/draft", {"document": _PLACING}, token=ada)
    good("POST", f"{at}/commit", {"revision": 1, "accept_warnings": bank.body("activate")["reason"]}, token=ada)


def reference_approved(bank: Bank) -> None:
    """A worker builds what was asked for, and another person approves it."""
    while run_next_job(bank.place.engine, REFERENCE):
        pass
    list_approved(bank)


def another_draft(bank: Bank) -> None:
    """A draft stands beside the versions."""
    text = bank.body("save_draft")["document"].replace("Where customers live", "Where they stay")
    bank.place.good("PUT", "/v1/rulesets/retail/draft", {"document": text}, token=bank.tokens["ada", "publisher"])


def another_flow(bank: Bank) -> None:
    """A second version of the flow is committed."""
    ada, at = bank.tokens["ada", "publisher"], "/v1/flows/care"
    text = bank.body("begin_flow")["document"].replace("within a day", "soon")
    revision = bank.place.good("PUT", f"{at}/draft", {"document": text, "revision": 0}, token=ada)["revision"]
    bank.place.good("POST", f"{at}/commit", {"revision": revision}, token=ada)


def strange_again(bank: Bank) -> None:
    """The flow is called again, and what it asks is answered, so that it asks for another review."""
    good = bank.place.good
    called = {**bank.body("call_flow"), "run_key": "payment-4"}
    run = good("POST", "/v1/flows/care/run", called, token=bank.tokens["app", "app"])["run"]
    good("POST", f"/v1/flow-runs/{run}/answer", bank.body("answer_flow_run"), token=bank.tokens["bo", "investigator"])


def run_quarantined(bank: Bank) -> None:
    """The flow is called again, and that run stands in quarantine."""
    called = {**bank.body("call_flow"), "run_key": "payment-5"}
    run = bank.place.good("POST", "/v1/flows/care/run", called, token=bank.tokens["app", "app"])["run"]
    with Session(bank.place.engine) as session, session.begin():
        quarantined(session, run)


def replayed(bank: Bank) -> None:
    """A worker makes the replay that was asked for."""
    assert run_next_job(bank.place.engine, REPLAYS)


def replay_asked(bank: Bank) -> None:
    """Another replay waits."""
    bank.place.good(
        "POST", "/v1/flows/care/replays", bank.body("request_flow_replay"), token=bank.tokens["ada", "publisher"]
    )


def list_approved(bank: Bank) -> None:
    """Another person approves the version of a list that waits."""
    found = bank.place.good("GET", "/v1/proposals?state=proposed", token=bank.tokens["bo", "publisher"])
    (number,) = [each["id"] for each in found if each["kind"] == "list.versions"]
    why = bank.body("approve_proposal")
    bank.place.good("POST", f"/v1/proposals/{number}/approve", why, token=bank.tokens["bo", "publisher"])


def assessed_again(bank: Bank) -> None:
    """The customer moves, and is assessed a second time."""
    at, token = "/v1/entities/customer/customer-17", bank.tokens["app", "app"]
    bank.place.good("PUT", at, {"attributes": {"country": "KP"}}, token=token)
    bank.place.good("GET", f"{at}/risk?freshness=now", token=token)


def more_overrides(bank: Bank) -> None:
    """Two more are requested, for other reasons: one is approved, one refused, one revoked."""
    path = path_to(BY_HANDLER["request_override"].path, type="customer", external_id="customer-17")
    for reason in ("Its owner is known", "Its income is proven"):
        body = {**bank.body("request_override"), "reason": reason}
        bank.place.good("POST", path, body, token=bank.tokens["ada", "investigator"])


FIRST_DAYS = (
    Step("choose_levels"),
    Step("read_settings"),
    Step("define_type"),
    Step("list_types"),
    Step("add_member"),
    Step("list_members"),
    Step("put_entity"),
    Step("put_entities"),
    Step("list_entities"),
    Step("post_transactions"),
    Step("list_transactions"),
    Step("set_tag"),
    Step("list_tags"),
    Step("end_tag"),
    Step("add_screening"),
    Step("list_screenings"),
    Step("put_case"),
    Step("list_cases"),
    Step("put_alert"),
    Step("list_alerts"),
    Step("put_links"),
    Step("list_links"),
    Step("add_endpoint"),
    Step("save_draft"),
    Step("read_draft"),
    Step("review_draft"),
    Step("check_ruleset"),
    Step("write_table"),
    Step("read_table"),
    Step("try_ruleset"),
    Step("commit"),
    Step("list_families"),
    Step("save_draft"),
    Step("discard_draft"),
    Step("list_versions"),
    Step("read_version"),
    Step("request_backtest"),
    Step("read_backtest", first=backtested),
    Step("list_backtests"),
    Step("list_threshold_reviews", first=quarter_over),
    Step("request_points"),
    Step("list_points"),
    Step("list_movers"),
    Step("activate", "bo"),
    Step("list_activations"),
    Step("view_entity"),
    Step("read_risk"),
    Step("read_history"),
    Step("list_events"),
    Step("list_transaction_days"),
    Step("read_reasons"),
    Step("read_sources"),
    Step("read_what_if"),
    Step("give_statement"),
    Step("open_challenge"),
    Step("list_challenges"),
    Step("read_challenge"),
    Step("settle_challenge", "bo"),
    Step("give_reply"),
    Step("read_difference", first=assessed_again),
    Step("search_entities"),
    Step("count_entities"),
    Step("list_current_levels"),
    Step("read_segments"),
    Step("list_values"),
    Step("search_values"),
    Step("read_value"),
    Step("list_transitions"),
    Step("read_matrix"),
    Step("read_distribution"),
    Step("read_levels_over_time"),
    Step("read_migration"),
    Step("list_migrated"),
    Step("list_failures"),
    Step("search_failures"),
    Step("check_policy"),
    Step("propose_policy"),
    Step("read_policy"),
    Step("approve_policy", "bo"),
    Step("list_policies"),
    Step("check_group"),
    Step("propose_group"),
    Step("read_group"),
    Step("approve_group", "bo"),
    Step("list_groups"),
    Step("list_group_versions"),
    Step("list_group_members"),
    Step("list_group_moves"),
    Step("read_group_sizes"),
    Step("list_groups_of_entity"),
    Step("decide"),
    Step("read_decision"),
    Step("list_decisions"),
    Step("check_flow"),
    Step("begin_flow"),
    Step("read_flow_draft"),
    Step("review_flow_draft"),
    Step("discard_flow_draft"),
    Step("save_flow_draft"),
    Step("write_flow_table"),
    Step("read_flow_table"),
    Step("import_graph"),
    Step("try_flow"),
    Step("commit_flow"),
    Step("list_flows"),
    Step("list_flow_versions"),
    Step("read_flow_version"),
    Step("shadow_flow"),
    Step("end_flow_shadow"),
    Step("activate_flow", "bo"),
    Step("list_flow_activations"),
    Step("compare_flow_shadow"),
    Step("list_shadow_pairs"),
    Step("switch_flow_off"),
    Step("roll_back_flow", "bo"),
    Step("compare_flow_versions", first=another_flow),
    Step("request_flow_replay"),
    Step("list_flow_replays"),
    Step("read_flow_replay"),
    Step("list_replay_people", first=replayed),
    Step("cancel_flow_replay", first=replay_asked, parts={"replay": "2"}),
    Step("call_flow", "app"),
    Step("list_flow_runs"),
    Step("read_flow_run"),
    Step("answer_flow_run", "bo"),
    Step("retry_flow_run", parts={"run": "2"}, first=run_quarantined),
    Step("read_flow_actions"),
    Step("take_back_flow_action"),
    Step("finish_flow_review", parts={"action": "2"}, first=strange_again),
    Step("request_override"),
    Step("list_queue"),
    Step("count_queue"),
    Step("change_queue_item"),
    Step("save_queue_view"),
    Step("list_queue_views"),
    Step("remove_queue_view"),
    Step("approve_override", "bo", first=more_overrides),
    Step("refuse_override", "bo", {"override": "2"}),
    Step("list_overrides_of"),
    Step("list_overrides"),
    Step("read_cap"),
    Step("register_change"),
    Step("list_changes"),
    Step("validate_levels"),
    Step("list_validations"),
    Step("read_validation"),
    Step("attach_peer"),
    Step("list_peers"),
    Step("list_series"),
    Step("sign_validation", "bo"),
    Step("read_work"),
    Step("read_revalidation"),
    Step("sign_off", "bo"),
    Step("list_models"),
    Step("read_model"),
    Step("list_realised"),
    Step("list_promotions"),
    Step("promote_model"),
    Step("roll_back_model"),
    Step("compare_versions", first=second_version),
    Step("compare_draft", first=another_draft),
    Step("roll_back"),
    Step("read_proposal"),
    Step("request_proposal_backtests"),
    Step("approve_proposal", "bo", first=backtested),
    Step("order_families"),
    Step("list_proposals"),
    Step("refuse_proposal", "bo", {"proposal": "2"}),
    Step("switch_family"),
    Step("change_settings"),
    Step("add_list_version"),
    Step("list_lists", first=list_approved),
    Step("list_list_states"),
    Step("list_versions_of_list"),
    Step("list_list_members"),
    Step("list_member_changes"),
    Step("add_rates"),
    Step("read_rates"),
    Step("list_rate_tables"),
    Step("retire_policy"),
    Step("retire_group"),
    Step("request_reference", parts=_PEERS, first=peers_committed),
    Step("list_references", parts=_PEERS),
    Step("read_reference_state", parts=_PEERS),
    Step("read_reference", parts={"name": "our-peers"}, first=reference_approved),
    Step("request_backtest"),
    Step("cancel_backtest", parts={"backtest": "4"}),
    Step("revoke_override"),
    Step("list_endpoints"),
    Step("read_endpoint"),
    Step("change_kinds"),
    Step("set_enabled"),
    Step("rotate_secret"),
    Step("drop_old_secrets"),
    Step("list_failing"),
    Step("list_dead_letters"),
    Step("replay_deliveries"),
    Step("remove_endpoint"),
    Step("search_entries"),
    Step("search_decisions"),
    Step("search_overrides"),
    Step("search_proposals"),
    Step("read_operations"),
    Step("preview_retention"),
    Step("list_imports"),
    Step("ask_for_token"),
    Step("list_token_requests"),
    Step("approve_token", "bo"),
    Step("refuse_token", "bo", {"token_request": "2"}, first=lambda bank: bank.send(Step("ask_for_token"))),
    Step("list_plans"),
    Step("list_tokens"),
    Step("revoke_token", "bo"),
    Step("list_entries"),
    Step("set_roles", "bo"),
    Step("leave", "bo"),
)


def test_every_example_works(furnished: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = made(tmp_path / "registry")
    monkeypatch.setattr(promotions, "_require_loads", lambda *_: None)  # these versions have no model behind them
    monkeypatch.setattr(routes()[1], "_registry", lambda: registry)
    assert {step.handler for step in FIRST_DAYS} == set(BY_HANDLER), "of every route"
    document = furnished.ask("GET", "/openapi.json").json()
    with databases.opened(databases.new_url("sqlite", tmp_path)) as engine:
        bank = Bank(engine, document)
        failed = []
        for step in FIRST_DAYS:
            try:
                bank.send(step)
            except AssertionError as error:
                failed.append(str(error)[:400])
        assert failed == []
