"""Settings, types and members over HTTP."""

from pathlib import Path

from tests.serving.v1.places import OURS, THEIRS, Place, settled


def test_settings_change_and_stay_within_the_organisation(tmp_path: Path) -> None:
    with settled(tmp_path) as place:
        theirs = place.good("GET", "/v1/settings", token=place.tokens[THEIRS, "admin"])
        chosen = place.good("PUT", "/v1/settings/levels", {"levels": ["a", "b", "c", "d"]}, role="admin")
        assert (chosen["levels"], chosen["locked_at"]) == (["a", "b", "c", "d"], None)
        changed = place.good("PATCH", "/v1/settings", {"base_currency": "SEK", "retention_days": 10}, role="admin")
        assert changed == {**chosen, "base_currency": "SEK", "retention_days": 10, "proposal": None}
        assert {**place.good("GET", "/v1/settings", role="investigator"), "proposal": None} == changed
        assert place.good("GET", "/v1/settings", token=place.tokens[THEIRS, "admin"]) == theirs


def test_once_a_ruleset_decides_settings_are_changed_by_two_admins(place: Place) -> None:
    body = {"override_cap_percent": 99, "minimum_coverage_percent": 50}
    assert place.ask("PATCH", "/v1/settings", body, role="admin").status_code == 422, "no reason is given"
    asked = place.good("PATCH", "/v1/settings", {**body, "reason": "the board"}, role="admin")
    assert (asked["override_cap_percent"], asked["proposal"]["state"]) == (10, "proposed")
    path = f"/v1/proposals/{asked['proposal']['id']}/approve"
    for role in ("admin", "publisher"):
        assert place.ask("POST", path, {"reason": "yes"}, role=role).status_code == 409
    (other,) = place.join("another admin", "admin")
    place.good("POST", path, {"reason": "yes"}, token=other)
    found = place.good("GET", "/v1/settings", role="admin")
    assert (found["override_cap_percent"], found["minimum_coverage_percent"]) == (99, 50)


def test_types_gain_fields_and_lose_none(place: Place) -> None:
    path = "/v1/entity-types/session"
    place.good("PUT", path, {"fields": {"device": "text"}}, role="admin")
    made = place.good(
        "PUT",
        path,
        {
            "fields": {"kind": {"one_of": ["a", "b"]}},
            "case_fields": {"x": "flag"},
            "purposes": {"fields": {"kind": "both"}},
        },
        role="admin",
    )
    assert made == {
        "name": "session",
        "fields": {"device": "text", "kind": {"one_of": ["a", "b"]}},
        "transaction_fields": {},
        "case_fields": {"x": "flag"},
        "purposes": {"fields": {"kind": "both"}},
        "links": {},
    }
    assert made in place.good("GET", "/v1/entity-types", role="publisher")
    other = place.ask("PUT", path, {"fields": {"device": "number"}}, role="admin")
    assert other.status_code == 409
    assert place.ask("PUT", path, {"fields": {"x": "colour"}}, role="admin").status_code == 422


def test_a_member_comes_changes_and_leaves(place: Place) -> None:
    made = place.good("POST", "/v1/members", {"name": "Zoë", "roles": ["publisher", "approver"]}, role="admin")
    assert (made["name"], made["roles"], made["left_at"]) == ("Zoë", ["approver", "publisher"], None)
    path = f"/v1/members/{made['id']}"
    changed = place.good("PUT", f"{path}/roles", {"roles": ["admin"]}, role="admin")
    assert changed == {**made, "roles": ["admin"]}
    gone = place.good("POST", f"{path}/leave", role="admin")
    assert gone["left_at"]
    assert place.good("GET", "/v1/members", role="admin")[-1] == gone
    again = place.ask("POST", f"{path}/leave", role="admin")
    assert again.status_code == 409
    assert place.good("POST", "/v1/members", {"name": "Zoë", "roles": ["admin"]}, role="admin")["id"] == made["id"]


def test_who_leaves_is_out_with_all_their_tokens(place: Place) -> None:
    assert place.ask("GET", "/v1/settings", role="approver").status_code == 200
    place.good("POST", f"/v1/members/{place.members[OURS, 'approver']}/leave", role="admin")
    assert place.ask("GET", "/v1/settings", role="approver").status_code == 401


def test_an_app_is_no_member(place: Place) -> None:
    for body in ({"name": "a", "roles": ["app"]}, {"name": "a", "roles": []}, {"name": "", "roles": ["admin"]}):
        assert place.ask("POST", "/v1/members", body, role="admin").status_code == 422
    assert place.ask("POST", "/v1/members", {"name": " a", "roles": ["admin"]}, role="admin").status_code == 422
