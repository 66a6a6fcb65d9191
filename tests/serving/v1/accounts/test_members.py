"""Members over HTTP: what an admin does is felt at the next call."""

from tests.serving.v1.places import OURS, Place


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
