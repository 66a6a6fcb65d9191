"""The examples of /docs: every body and parameter has one, they are of the form that is asked for, and they work."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from serving.v1.examples import BODIES, RULESET, examples_of
from serving.v1.rights import TABLE
from serving.v1.route import Route
from tests.serving.v1.places import Place, settled
from tests.usecases import platforms
from usecases.backtests import run_next_backtest

WITH_BODY = [route for route in TABLE if "body" in route.takes]
NOT_FILLED_IN = {"after", "token", "Idempotency-Key"}
"""Nobody knows a good one before."""


@pytest.fixture(scope="module")
def document(furnished: Place) -> dict[str, Any]:
    return dict(furnished.ask("GET", "/openapi.json").json())


def operation(document: dict[str, Any], route: Route) -> dict[str, Any]:
    return dict(document["paths"][route.path][route.method.lower()])


def test_every_writing_route_has_an_example_of_its_body(document: dict[str, Any]) -> None:
    assert {route.handler.__name__ for route in WITH_BODY} == set(BODIES)
    for route in WITH_BODY:
        content = operation(document, route)["requestBody"]["content"]["application/json"]
        schema = {**content["schema"], "components": document["components"]}
        jsonschema.validate(content["example"], schema)
        assert content["example"] == BODIES[route.handler.__name__]


def test_every_parameter_has_an_example_of_its_form(document: dict[str, Any]) -> None:
    for route in TABLE:
        for parameter in operation(document, route).get("parameters", []):
            if parameter["name"] in NOT_FILLED_IN:
                assert "example" not in parameter
            else:
                assert "example" in parameter, (route.path, parameter["name"])
                shown = parameter["example"]
                whole = parameter["schema"].get("type") == "integer"
                schema = {**parameter["schema"], "components": document["components"]}
                jsonschema.validate(int(shown) if whole else shown, schema)


class Bank:
    """Whoever tries the examples, as several people; `tried` are those that were answered well."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.tried: set[str] = set()

    def tries(self, *names: str, role: str = "admin", **own: str) -> Any:
        """Ask what the examples ask, and nothing else but for numbers that the platform gave."""
        made = None
        for name in names:
            route = next(route for route in TABLE if route.handler.__name__ == name)
            parts = {part: str(examples_of(name)[part]) for part in route.names} | own
            made = self.place.good(route.method, route.path.format(**parts), BODIES[name], role=role)
            self.tried.add(name)
        return made

    def tested(self) -> None:
        """Wait for the backtests."""
        while run_next_backtest(self.place.engine):
            pass


@pytest.fixture
def bank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bank]:
    """A bank of which nothing is known but its people, and the fields of its customers."""
    monkeypatch.setattr(platforms, "FIELDS", BODIES["define_type"]["fields"])
    with settled(tmp_path) as place:
        yield Bank(place)


def test_the_examples_work_one_after_the_other(bank: Bank) -> None:
    """As somebody tries them in /docs who reads from the first day of a bank on; two people where two are needed."""
    bank.tries("choose_levels", "define_type", "change_settings")
    bank.tries("set_roles", member=str(bank.tries("add_member")["id"]))
    bank.tries("put_entity", "put_entities", "post_transactions", "set_tag", "add_screening", "put_case", "put_alert")
    bank.tries("add_rates", "add_list_version", "add_endpoint", "set_enabled", "rotate_secret", "replay_deliveries")
    bank.tries("save_draft", "commit", "request_backtest")
    bank.tested()
    bank.tries("activate", role="publisher")
    bank.tries("cancel_backtest", backtest=str(bank.tries("request_backtest")["id"]))
    a_newer_version_decides(bank)
    bank.tries("refuse_proposal", role="publisher", proposal=str(bank.tries("roll_back")["proposal"]["id"]))
    switch = bank.tries("switch_family")["proposal"]["id"]
    bank.tested()
    bank.tries("order_families")
    bank.tries("check_policy", "propose_policy")
    bank.tries("approve_policy", role="publisher")
    bank.tries("decide", role="app")
    bank.tries("retire_policy")
    for _ in range(2):
        bank.tries("request_override", role="investigator")
    bank.tries("approve_override", "revoke_override", role="approver")
    bank.tries("refuse_override", role="approver", override="2")
    bank.tries("approve_proposal", role="publisher", proposal=str(switch))
    bank.tries("register_change", "validate_levels")
    bank.tries("sign_off", role="approver")
    assert set(BODIES) - bank.tried == set()


def a_newer_version_decides(bank: Bank) -> None:
    """So that there is one to go back from."""
    newer = {"document": RULESET.replace("points: 40", "points: 50"), "revision": 1}
    bank.place.good("PUT", "/v1/rulesets/retail/draft", newer, role="admin")
    again = {**BODIES["commit"], "revision": 2}
    bank.place.good("POST", "/v1/rulesets/retail/commit", again, role="admin")
    bank.place.good("POST", "/v1/rulesets/retail/backtests", {"version": 2}, role="admin")
    bank.tested()
    bank.place.good("POST", "/v1/rulesets/retail/activate", {"version": 2, "reason": "newer"}, role="publisher")
