"""The audit log over HTTP: page by page, of one organisation, without values."""

from tests.serving.v1.places import OURS, THEIRS, Place


def test_the_log_is_paged_from_its_end(place: Place) -> None:
    place.good("POST", "/v1/members", {"name": "Zoë", "roles": ["publisher"]}, role="admin")
    newest, *older = place.good("GET", "/v1/audit", role="admin")
    assert (newest["actor"], newest["action"], newest["subject_kind"]) == (
        f"member:{place.members[OURS, 'admin']}",
        "member.added",
        "member",
    )
    assert newest["details"]["roles"] == ["publisher"]
    assert "Zoë" not in str(newest)
    numbers = [newest["number"], *(entry["number"] for entry in older)]
    assert numbers == [numbers[0] - behind for behind in range(len(numbers))]
    following = place.ask("GET", "/v1/audit?limit=1", role="admin").links["next"]["url"]
    assert place.good("GET", following, role="admin") == older[:1]
    theirs = place.good("GET", "/v1/audit", token=place.tokens[THEIRS, "admin"])
    assert {entry["hash"] for entry in theirs}.isdisjoint(entry["hash"] for entry in [newest, *older])


def test_programs_are_recorded_as_their_tokens(place: Place) -> None:
    place.good("PUT", "/v1/entities/customer/new", {"attributes": {"country": "NO"}}, role="app")
    (entry,) = place.good("GET", "/v1/audit?limit=1", role="admin")
    assert entry["action"] == "entities.put"
    assert entry["actor"].startswith("token:")
