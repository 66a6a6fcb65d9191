"""Rulesets over HTTP: drafts that nobody overwrites unseen, and versions as they were written."""

import json

import pytest
from sqlalchemy import text

from fivefold.domain.errors import ConflictError
from fivefold.usecases.changes.proposals import approve_proposal
from fivefold.usecases.shared.context import Context
from tests.serving.v1.examples import WHY
from tests.serving.v1.places import OURS, THEIRS, Place
from tests.serving.v1.rulesets.bank_rulesets import document

NEW = "/v1/rulesets/new"


def test_a_draft_is_saved_read_reviewed_and_committed(place: Place) -> None:
    written = document("new")
    saved = place.good("PUT", f"{NEW}/draft", {"document": written}, role="publisher")
    assert (saved["revision"], saved["editors"]) == (1, [f"member:{place.members[OURS, 'publisher']}"])
    shown = place.good("GET", f"{NEW}/draft", role="admin")
    assert (shown["document"], shown["revision"]) == (written, 1)
    review = place.good("GET", f"{NEW}/draft/review", role="publisher")
    assert (review["errors"], [each["name"] for each in review["examples"]]) == ([], ["a neighbour"])
    made = place.good("POST", f"{NEW}/commit", {"revision": 1, "accept_warnings": WHY}, role="publisher")
    assert (made["number"], made["content_hash"]) == (1, review["content_hash"])
    version = place.good("GET", f"{NEW}/versions/1", role="publisher")
    assert (version["document"], version["active"]) == (written, False)
    assert version["tests"]["examples"] == [{"line": review["examples"][0]["line"], "name": "a neighbour"}]
    assert place.ask("GET", f"{NEW}/draft", role="publisher").status_code == 404
    listed = {line["name"]: line for line in place.good("GET", "/v1/rulesets", role="publisher")}
    assert (listed["new"]["newest"], listed["new"]["active"], listed["new"]["position"]) == (1, None, 4)
    assert (listed["retail"]["active"], listed["retail"]["newest"]) == (1, 2)
    assert place.good("GET", "/v1/rulesets", token=place.tokens[THEIRS, "publisher"]) == []


def test_what_is_wrong_with_a_draft_is_listed(place: Place) -> None:
    wrong = json.loads(document("new"))
    wrong["rules"][0]["cases"][0]["points"] = "many"
    place.good("PUT", f"{NEW}/draft", {"document": json.dumps(wrong, indent=1)}, role="publisher")
    answer = place.ask("POST", f"{NEW}/commit", {"revision": 1}, role="publisher")
    assert answer.status_code == 422
    (error,) = answer.json()
    assert "new" in error["detail"]
    finding = next(found for found in error["errors"] if "country" in found["where"])
    assert (finding["line"], finding["fatal"]) == (wrong_line(wrong), True)


def wrong_line(wrong: object) -> int:
    lines = json.dumps(wrong, indent=1).splitlines()
    return next(number for number, line in enumerate(lines, start=1) if '"many"' in line)


def test_a_draft_is_of_the_ruleset_that_is_asked_about(place: Place) -> None:
    answer = place.ask("PUT", "/v1/rulesets/other/draft", {"document": document("new")}, role="publisher")
    assert answer.status_code == 422
    assert answer.json()[0]["errors"][0]["problem"] == "is new; here it must be other"
    assert place.ask("PUT", f"{NEW}/draft", {"document": "]"}, role="publisher").status_code == 422


def test_a_draft_that_somebody_else_saved_meanwhile_is_not_overwritten(place: Place) -> None:
    body = {"document": document("new")}
    place.good("PUT", f"{NEW}/draft", body, role="publisher")
    assert place.ask("PUT", f"{NEW}/draft", body, role="admin").status_code == 409
    assert place.good("PUT", f"{NEW}/draft", {**body, "revision": 1}, role="admin")["revision"] == 2


def test_two_versions_are_compared(place: Place) -> None:
    found = place.good("GET", "/v1/rulesets/retail/versions/2/diff?before=1", role="publisher")
    (change,) = found["changes"]
    assert (change["where"], change["sort"]) == ("rationale", "changed")
    assert (change["before"], change["after"]) == ("Sekret appetite, a.", "Sekret appetite, b.")
    assert place.ask("GET", "/v1/rulesets/retail/versions/2/diff?before=9", role="publisher").status_code == 404


def test_rulesets_are_put_in_order_and_switched_by_two_people(place: Place) -> None:
    path = "/v1/entity-types/customer/rulesets"
    order = ["drafted", "second", "retail"]
    made = place.good("PUT", path, {"families": order, "reason": WHY}, role="publisher")["proposal"]
    assert (made["kind"], made["content"]["families"]) == ("rulesets.order", order)
    replaced = {"from": ["retail", "second", "drafted"], "to": order}
    assert made["reach"] == {"entities": {"customer": 1}, "order": replaced}
    listed = [line["name"] for line in place.good("GET", "/v1/rulesets?type=customer", role="publisher")]
    assert listed == ["retail", "second", "drafted"], "nothing is changed yet"
    place.run_backtests()
    approve = f"/v1/proposals/{made['id']}/approve"
    assert place.ask("POST", approve, {"reason": WHY}, role="publisher").status_code == 409
    done = place.good("POST", approve, {"reason": WHY}, role="admin")
    assert (done["state"], done["result"], done["backtests"][0]["state"]) == ("approved", {"families": order}, "done")
    listed = [line["name"] for line in place.good("GET", "/v1/rulesets?type=customer", role="publisher")]
    assert listed == order
    assert place.ask("PUT", path, {"families": order[1:], "reason": WHY}, role="publisher").status_code == 422
    assert place.ask("PUT", path, {"families": order, "reason": " "}, role="publisher").status_code == 422
    stale = {"on": False, "reason": WHY, "expected_active": 9}
    refused = place.ask("POST", "/v1/rulesets/retail/switch", stale, role="publisher")
    assert refused.status_code == 409
    assert "the version of retail that decides is 1 now; it was 9 when this was looked at" in refused.text
    switched = place.good("POST", "/v1/rulesets/retail/switch", {"on": False, "reason": WHY}, role="publisher")
    of_change = f"/v1/proposals/{switched['proposal']['id']}"
    with place.engine.begin() as connection:
        select_active = text("SELECT active_version_id FROM ruleset_families WHERE name = 'retail'")
        was = connection.execute(select_active).scalar()
        set_active = text("UPDATE ruleset_families SET active_version_id = :version WHERE name = 'retail'")
        connection.execute(set_active, {"version": None})
    moved = place.ask("POST", f"{of_change}/approve", {"reason": WHY}, role="admin").text
    assert "the version that decides was 1 when this was proposed, and is nothing now; refuse proposal" in moved
    with place.engine.begin() as connection:
        connection.execute(set_active, {"version": was})
    admin = Context(place.engine, place.actor("admin"))
    with pytest.raises(ConflictError, match="are not those that were looked at"):
        approve_proposal(admin, switched["proposal"]["id"], WHY, expected_levels="of one customer")
    refuse = f"{of_change}/refuse"
    assert place.good("POST", refuse, {"reason": WHY}, role="publisher")["state"] == "withdrawn"
    assert place.ask("POST", "/v1/rulesets/retail/switch", {"on": True, "reason": WHY}, role="admin").status_code == 409
