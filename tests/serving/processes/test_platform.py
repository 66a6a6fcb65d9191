"""The platform as an organisation meets it: `fivefold serve`, `fivefold worker`, and four people with tokens."""

from typing import Any

import httpx
import pytest
from sqlalchemy import text

from fivefold.serving.v1.permissions import ROUTES
from fivefold.store.accounts.plans import read_plans
from fivefold.usecases.accounts.organisations import actor_in_new, add_member
from fivefold.usecases.accounts.tokens import create_token
from fivefold.usecases.shared.context import Context
from tests.cli.running import run
from tests.mlflow_address import kept_address
from tests.serving.processes.service import SOON_SECONDS, Service, sample_rows
from tests.serving.v1.rulesets.bank_rulesets import document

PEOPLE = {"ada": "admin", "max": "publisher", "eve": "publisher", "ivo": "investigator", "ann": "approver"}
RETAIL = "/v1/rulesets/retail"
CUSTOMER = "/v1/entities/customer/c%2F1"
WHY = {"reason": "because of the test"}
SECRET = "Zq9Wm2Xk"
"""What no log may hold."""


class Bank:
    """An organisation whose people ask a running service."""

    def __init__(self, service: Service, name: str) -> None:
        self.service = service
        plans = read_plans(service.plans_file)
        actor = actor_in_new(service.engine, name, "cli:test")
        self.tokens = {"app": create_token(service.engine, plans, plan="unlimited", organisation=name)[1]}
        for member, role in PEOPLE.items():
            add_member(Context(service.engine, actor), member, [role])
            of = {"plan": "unlimited", "organisation": name, "member": member, "role": role}
            self.tokens[member] = create_token(service.engine, plans, **of)[1]

    def ask(self, who: str, method: str, path: str, body: Any = None, **more: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.tokens[who]}"}
        with self.service.client() as client:
            return client.request(method, path, json=body, headers=headers, **more)

    def good(self, who: str, method: str, path: str, body: Any = None, **more: Any) -> Any:
        answer = self.ask(who, method, path, body, **more)
        assert answer.status_code < 300, (method, path, answer.status_code, answer.text)
        return answer.json() if answer.content else None

    def work(self) -> None:
        """Let a worker do all there is to do, in this process: a start of its own takes longer than the work."""
        with pytest.MonkeyPatch.context() as patch, kept_address():
            if self.service.database_url:
                patch.setenv("FIVEFOLD_DATABASE_URL", self.service.database_url)
            done = run(self.service.var, "worker", "--once")
        assert done.code == 0, done


@pytest.mark.full
def test_a_ruleset_is_written_by_one_person_and_decides_by_another(service: Service) -> None:
    bank = Bank(service, f"bank of {service.port}")
    bank.good("ada", "PUT", "/v1/settings/levels", {"levels": ["low", "medium", "high"]})
    with service.engine.begin() as connection:  # as two people had set it: the examples of this ruleset reach few cases
        connection.execute(text("UPDATE organisation_settings SET minimum_coverage_percent = 0"))
    fields = {"country": "country", "occupation": "text", "income": "number", "opened_on": "date", "pep": "flag"}
    kinds = {"fields": fields, "transaction_fields": {"operation": "text"}}
    bank.good("ada", "PUT", "/v1/entity-types/customer", kinds)
    assert bank.good("app", "PUT", CUSTOMER, {"attributes": {"country": "KP"}})["new"] == 1

    bank.good("max", "PUT", f"{RETAIL}/draft", {"document": document()})
    bank.good("max", "POST", f"{RETAIL}/commit", {"revision": 1, "accept_warnings": "a test"})
    assert bank.ask("eve", "POST", f"{RETAIL}/activate", {"version": 1, **WHY}).status_code == 409, "no backtest yet"
    bank.good("max", "POST", f"{RETAIL}/backtests", {"version": 1})
    bank.work()
    (backtest,) = bank.good("eve", "GET", f"{RETAIL}/backtests")
    assert (backtest["state"], backtest["done"]) == ("done", 1)
    assert bank.ask("max", "POST", f"{RETAIL}/activate", {"version": 1, **WHY}).status_code == 409, "he wrote it"
    bank.good("eve", "POST", f"{RETAIL}/activate", {"version": 1, **WHY})

    told = bank.good("app", "GET", f"{CUSTOMER}/risk", params={"freshness": "now"})
    assert (told["level"], told["status"]) == ("high", "assessed")
    fields = {"type", "external_id", "level", "status", "since", "may_move_down_on", "stale_rates_days", "refreshing"}
    assert set(told) == {*fields, "failing"}
    profile = bank.good("ivo", "GET", CUSTOMER)
    assert [rule["case"] for rule in profile["risk"]["reasons"]["rules"]] == ["A country without relations"]
    asked = bank.good("ivo", "POST", f"{CUSTOMER}/overrides", {"level": "high", **WHY})
    assert bank.ask("ivo", "POST", f"/v1/overrides/{asked['id']}/approve", {}).status_code == 403
    assert bank.good("ann", "POST", f"/v1/overrides/{asked['id']}/approve", {})["state"] == "live"
    held = bank.good("ivo", "GET", f"{CUSTOMER}/risk", params={"freshness": "now"})
    assert held["override"]["id"] == asked["id"]
    done = [entry["action"] for entry in bank.good("ada", "GET", "/v1/audit")]
    assert {"ruleset.committed", "ruleset.activated", "override.approved", "assessments.made"} <= set(done)

    other = Bank(service, f"other of {service.port}")
    assert other.ask("ada", "GET", CUSTOMER).status_code == 404


def test_values_of_the_model_that_serves_are_computed_with_the_level(service: Service) -> None:
    from sqlalchemy import select
    from sqlalchemy.orm import Session

    from fivefold.store.tables.entities import Entity, ValueScore

    bank = Bank(service, f"valued by {service.port}")
    bank.good("ada", "PUT", "/v1/settings/levels", {"levels": ["low", "medium", "high"]})
    bank.good("ada", "PUT", "/v1/entity-types/customer", {"fields": {"country": "country"}})
    bank.good("app", "PUT", "/v1/entities/customer/valued", {})
    rows = [{**row, "user_id": "valued", "transaction_id": f"v{n}"} for n, row in enumerate(sample_rows())]
    bank.good("app", "POST", "/v1/transactions", rows)
    bank.good("app", "GET", "/v1/entities/customer/valued/risk", params={"freshness": "now"})
    with Session(service.engine) as session:
        of = select(Entity.id).where(Entity.external_id == "valued")
        scores = session.scalars(select(ValueScore).where(ValueScore.entity_id.in_(of))).all()
    assert scores  # more than one where the worker looked at it too
    for score in scores:
        assert (score.model, score.model_version) == (service.settings.model_name, service.version)
        assert 1 <= score.score <= 5


@pytest.mark.parametrize("limit", [3_000_000])
def test_bodies_beyond_the_limit_are_413(on_sqlite: Service, limit: int) -> None:
    bank = Bank(on_sqlite, "large")
    rows = [{"external_id": "x" * limit}]
    answer = bank.ask("app", "POST", "/v1/entities/customer", rows)
    assert (answer.status_code, answer.json()[0]["detail"]) == (413, "Request Entity Too Large")


def test_requests_are_counted_by_patterns_and_logged_without_a_word(on_sqlite: Service) -> None:
    bank = Bank(on_sqlite, SECRET)
    for path in (f"/v1/entities/{SECRET}/{SECRET}", f"/v1/entities/{SECRET}%2F{SECRET}/{SECRET}", f"/v1/{SECRET}"):
        assert bank.ask("ivo", "GET", path).status_code == 404
        assert bank.ask("ivo", "PATCH", path, {SECRET: SECRET}).status_code in {404, 405}
    assert bank.ask("ada", "PUT", f"/v1/entity-types/{SECRET}", {SECRET: 1}).status_code == 422
    counted = 'fivefold_requests_total{route="/v1/entities/{type}/{external_id}",status="404"}'
    on_sqlite.wait_for(lambda: on_sqlite.metrics().get(counted, 0) >= 2, SOON_SECONDS)
    assert SECRET not in on_sqlite.get("/metrics").text
    assert SECRET not in on_sqlite.said()


def test_every_answer_names_its_request_and_errors_are_arrays(on_sqlite: Service) -> None:
    for route in ROUTES:
        path = route.path.replace("{", "").replace("}", "")
        with on_sqlite.client() as client:
            answer = client.request(route.method, path)
        assert (answer.status_code, answer.json()) == (401, [{"detail": "Could not validate credentials"}]), path
        assert len(answer.headers["x-request-id"]) == 16
        assert answer.headers["www-authenticate"] == "Bearer"
    with on_sqlite.client() as client:
        answer = client.request("DELETE", "/v1/audit")
    assert (answer.status_code, answer.json(), answer.headers["allow"]) == (
        405,
        [{"detail": "Method Not Allowed"}],
        "GET",
    )
