"""Lists over HTTP: versions that are added and never changed."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.serving.v1.places import OURS, THEIRS, Place, copied
from tests.usecases.decisions.deciding import CASH
from tests.usecases.decisions.deciding import document as policy
from tests.usecases.flows.documents import BY_COUNTRY, flow_document

PATH = "/v1/lists/watched/versions"
BODY = {
    "since": "2026-01-01",
    "members": ["IR", "KP"],
    "title": "Watched",
    "source": "Ourselves",
    "reason": "why",
    "purpose": "both",
}


def test_a_version_is_added_after_those_that_are_there_by_two_people(place: Place) -> None:
    asked = place.good("POST", PATH, BODY, role="publisher")
    assert (asked["versions"], asked["proposal"]["state"]) == ([], "proposed")
    assert watched(place) == []
    number = asked["proposal"]["id"]
    done = place.good("POST", f"/v1/proposals/{number}/approve", {"reason": "seen"}, role="admin")
    assert [(line["name"], line["members"]) for line in done["result"]["versions"]] == [("watched", 2)]
    assert watched(place) == [
        {
            "name": "watched",
            "title": "Watched",
            "source": "Ourselves",
            "since": "2026-01-01T00:00:00Z",
            "members": 2,
            "purpose": "both",
        }
    ]
    assert place.good("POST", PATH, BODY, role="publisher") == {"versions": [], "touched": 0, "proposal": None}
    other = {**BODY, "members": ["IR"]}
    assert place.ask("POST", PATH, other, role="publisher").status_code == 409
    assert place.ask("POST", PATH, {**BODY, "purpose": "commercial"}, role="publisher").status_code == 409
    assert place.ask("POST", PATH, {**BODY, "purpose": "trade"}, role="publisher").status_code == 422
    assert place.good("GET", "/v1/lists", token=place.tokens[THEIRS, "publisher"]) == []


def watched(place: Place) -> list[dict[str, Any]]:
    """The versions of the list of these tests."""
    return [line for line in place.good("GET", "/v1/lists", role="publisher") if line["name"] == "watched"]


def test_a_list_says_what_is_in_force_who_added_it_and_what_reads_it(place: Place) -> None:
    condition = {"field": "country", "in_list": "kept"}
    text = json.loads(policy([{**CASH, "when": condition}], "listed"))
    body = {"document": json.dumps(text), "reason": "why", "accept_warnings": "why"}
    place.good("POST", "/v1/policies", body, role="publisher")
    (kept,) = place.good("GET", "/v1/lists/overview", role="publisher")
    assert kept["readers"] == [], "it decides once it is approved"
    place.good("POST", "/v1/policies/listed/versions/1/approve", {"reason": "why"}, role="admin")
    (kept,) = place.good("GET", "/v1/lists/overview", role="publisher")
    assert kept["readers"] == [{"kind": "policy", "name": "listed", "version": 1}]
    way = {**BY_COUNTRY, "route": [{"when": condition, "to": "done"}]}
    document = flow_document("listening", [way])
    revision = place.good("POST", "/v1/flows", {"document": document}, role="publisher")["revision"]
    place.good("POST", "/v1/flows/listening/commit", {"revision": revision}, role="publisher")
    given = {"version": 1, "reason": "why"}
    place.good("POST", "/v1/flows/listening/shadow", given, role="publisher")
    (kept,) = place.good("GET", "/v1/lists/overview", role="publisher")
    assert [each["kind"] for each in kept["readers"]] == ["policy"], "a shadow acts on nothing"
    place.good("POST", "/v1/flows/listening/activate", given, role="admin")
    (kept,) = place.good("GET", "/v1/lists/overview", role="publisher")
    assert kept["readers"][1:] == [{"kind": "flow", "name": "listening", "version": 1}]
    assert (kept["since"], kept["members"], kept["versions"]) == ("2025-01-01T00:00:00Z", 5, 2)
    assert kept["put_by"] == f"member:{place.members[OURS, 'publisher']}"


def test_a_version_says_who_proposed_it_and_who_approved_it(place: Place) -> None:
    body = {**BODY, "since": "2199-01-01"}
    number = place.good("POST", "/v1/lists/kept/versions", body, role="publisher")["proposal"]["id"]
    place.good("POST", f"/v1/proposals/{number}/approve", {"reason": "seen"}, role="admin")
    coming, present, past = place.good("GET", "/v1/lists/kept/versions", role="publisher")
    assert (coming["time"], coming["proposal"], coming["reason"]) == ("to_come", number, "why")
    assert coming["proposed_by"] == f"member:{place.members[OURS, 'publisher']}"
    assert coming["put_by"] == f"member:{place.members[OURS, 'admin']}"
    assert (present["time"], present["members"], present["proposal"]) == ("in_force", 5, None)
    assert (past["time"], past["members"], past["put_by"]) == ("past", 4, coming["proposed_by"])
    members = place.good("GET", "/v1/lists/kept/members", role="publisher")
    assert len(members) == 5, "those of the version in force, not of the newest"


@pytest.mark.postgresql
def test_members_and_changes_are_told_on_both_databases(on_postgresql: Place) -> None:
    place = on_postgresql
    assert place.good("GET", "/v1/lists/overview", role="publisher")[0]["members"] == 5
    named = {"text": "zoe l", "since": "2024-01-01"}
    assert place.good("GET", "/v1/lists/kept/members", params=named, role="publisher") == [{"member": "Zoë Ltd"}]
    changes = place.good("GET", "/v1/lists/kept/changes", params={"since": "2025-01-01"}, role="publisher")
    assert [tuple(change.values()) for change in changes] == [
        ("removed", "MM", None),
        ("changed", "kp", "KP"),
        ("added", "BY", None),
        ("added", "SY", None),
    ]
    back = {"since": "2024-01-01", "against": "2025-01-01"}
    told = place.good("GET", "/v1/lists/kept/changes", params=back, role="publisher")
    assert [(change["change"], change["member"]) for change in told] == [
        ("removed", "BY"),
        ("removed", "SY"),
        ("changed", "KP"),
        ("added", "MM"),
    ]
    for path in (
        "nothing/members",
        "nothing/versions",
        "kept/members?since=2024-01-02",
        "kept/changes?since=2023-01-01",
    ):
        assert place.ask("GET", f"/v1/lists/{path}", role="publisher").status_code == 404, path
    for path in ("kpet/members", "kpet/versions"):
        answer = place.ask("GET", f"/v1/lists/{path}", role="publisher")
        assert answer.json() == [{"detail": "there is no list 'kpet'; perhaps kept was meant"}]


def test_before_anything_decides_it_is_added_at_once(furnished: Place, tmp_path: Path) -> None:
    with copied(furnished, tmp_path) as place:
        body = {name: value for name, value in BODY.items() if name != "reason"}
        made = place.good("POST", PATH, body, token=place.tokens[THEIRS, "publisher"])
        assert ([line["members"] for line in made["versions"]], made["proposal"]) == ([2], None)


def test_what_is_no_version_is_422(furnished: Place) -> None:
    for changed in ({"members": "IR"}, {"members": [1]}, {"since": "soon"}, {"title": ""}):
        assert furnished.ask("POST", PATH, {**BODY, **changed}, role="publisher").status_code == 422, changed
