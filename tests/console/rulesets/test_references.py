"""What workers compute for a ruleset, in pages: references for peers, and points learnt from cases."""

import json
import re
from dataclasses import replace

import pytest

from fivefold.console.rulesets import overview
from fivefold.usecases.changes.references import REFERENCE
from fivefold.usecases.rulesets.points_jobs import POINTS
from fivefold.usecases.shared.jobs import run_next_job
from tests.console.visitors import Visitor
from tests.serving.v1.places import Place
from tests.serving.v1.rulesets.bank_rulesets import document

RULESET, PEERS = "/console/rulesets/placed", "/console/lists/our-peers/peers"
SIZE = {"peer_percentile": {"of": {"field": "size"}, "among": "everyone"}}


def placing() -> str:
    """A ruleset that places the sizes of companies among those of all."""
    ruleset = json.loads(document("placed"))
    rule = {**ruleset["rules"][2], "input": SIZE, "cases": [{"when": {"at_least": 90}, "points": 7}]}
    rule.pop("changeable")
    own = {"entity_type": "company", "fields": {"size": "number"}, "transaction_fields": {}, "rules": [rule]}
    small = {"name": "small", "given": {"size": 1, "peers": {"income": 50}}, "expect": {"level": "low"}}
    ruleset.pop("applies_to", None)
    return json.dumps({**ruleset, **own, "reference": "our-peers", "examples": [small]})


@pytest.fixture
def author(place: Place) -> Visitor:
    for size in range(3):
        place.good("PUT", f"/v1/entities/company/sized{size}", {"attributes": {"size": size}}, role="app")
    at = "/v1/rulesets/placed"
    place.good("PUT", f"{at}/draft", {"document": placing()}, role="publisher")
    place.good("POST", f"{at}/commit", {"revision": 1, "accept_warnings": "as it is"}, role="publisher")
    return Visitor(place).sign_in("publisher").go(RULESET)


def test_a_reference_is_asked_for_built_approved_and_shown(place: Place, author: Visitor) -> None:
    assert "reads peers from the list our-peers, which has no version in force" in author.text
    author.submit("/build-reference", version="1")
    assert "The reference is requested." in author.text
    assert "queued" in author.text
    author.submit("/build-reference", version="1")
    assert "is already being built" in author.text
    assert run_next_job(place.engine, REFERENCE)
    author.go(RULESET)
    (change,) = {link for link in author.links() if link.startswith("/console/proposals/")}
    other = Visitor(place).sign_in("admin").go(change)
    assert "size all customers 3 too few 1" in other.text, "in numbers, not as it is stored"
    other.submit("/approve", reason="Agreed", confirmed="yes")
    author.go(RULESET)
    assert "reads peers from our-peers , with numbers as of" in author.text
    assert "Too few peers" in author.text
    assert PEERS in author.links()
    author.go(PEERS)
    assert "Numbers as of" in author.text
    assert "Peers are those on whom the ruleset placed decides." in author.text
    assert "too few" in author.text
    assert "size all customers 3 too few 1" in author.text
    assert PEERS in author.go("/console/lists/our-peers").links()


def test_a_ruleset_without_peers_and_a_list_without_numbers_say_so(place: Place, author: Visitor) -> None:
    assert "Reference for peers" not in author.go("/console/rulesets/retail").text
    author.go("/console/lists/kept/peers")
    assert "This list is not a reference for peers." in author.text
    for address in ("/console/lists/none/peers", "/console/lists/kept/peers?since=2025-01-01", f"{PEERS}?since=x"):
        assert author.go(address).page.status_code == 404
    assert "/console/lists/kept/peers" not in author.go("/console/lists/kept").links()


def test_the_version_that_decides_is_counted_by_where_many_newer_ones_wait(
    place: Place, author: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = overview.read_reference_state
    monkeypatch.setattr(overview, "read_reference_state", lambda *of: replace(state(*of), version=1))
    monkeypatch.setattr(overview, "LONG_LIST", 1)
    of = {"document": placing().replace('"points": 7', '"points": 8')}
    revision = place.good("PUT", "/v1/rulesets/placed/draft", of, role="publisher")["revision"]
    commit = {"revision": revision, "accept_warnings": "as it is"}
    place.good("POST", "/v1/rulesets/placed/commit", commit, role="publisher")
    choices = author.go(RULESET).page.text.partition('id="reference_version"')[2].partition("</select>")[0]
    assert re.findall(r'value="(\d)"( selected)?', choices) == [("2", ""), ("1", " selected")]


def test_what_is_no_version_is_refused_with_the_reason(author: Visitor) -> None:
    for version, status in (("2", 404), ("", 422), ("x", 404)):
        author.go(RULESET).submit("/build-reference", version=version)
        assert author.page.status_code == status
    assert "queued" not in author.go(RULESET).text


PAGE = "/console/rulesets/retail/points"


def test_points_are_asked_for_and_what_became_of_them_is_shown(place: Place) -> None:
    author = Visitor(place).sign_in("publisher").go("/console/rulesets/retail")
    assert PAGE in author.links()
    author.go(PAGE)
    assert "None so far." in author.text
    author.submit("/points/ask", as_of="2999-01-01")
    assert author.page.status_code == 422
    assert "give an earlier as_of" in author.text
    author.go(PAGE).submit("/points/ask", as_of="2025-01-01", learn_as_of="2024-01-01")
    assert "The points are requested." in author.text
    assert "Queued" in author.text
    author.submit("/points/ask", as_of="2025-01-01")
    assert "already being learnt" in author.text
    assert run_next_job(place.engine, POINTS)
    author.go(PAGE)
    assert "Failed : " in author.text
