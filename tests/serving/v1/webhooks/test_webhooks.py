"""Webhooks over HTTP: a secret is told once, and no address of the inside is taken."""

import pytest

from tests.serving.v1.more_rows import MORE
from tests.serving.v1.places import Place

PATH = "/v1/webhooks"


def test_an_endpoint_is_added_and_its_secret_is_told_once(place: Place) -> None:
    made = place.good("POST", PATH, {"url": "https://example.com/in", "kinds": ["level.reached"]}, role="admin")
    assert made["secret"].startswith("whsec_")
    listed = place.ask("GET", PATH, role="admin")
    assert made["secret"] not in listed.text
    assert listed.json()[-1]["kinds"] == ["level.reached"]
    again = place.good("POST", f"{PATH}/{made['endpoint_id']}/secrets", {"kept_hours": 2}, role="admin")
    assert again["secret"] != made["secret"]
    assert place.good("GET", PATH, role="admin")[-1]["secrets"] == 2
    assert place.good("DELETE", f"{PATH}/{made['endpoint_id']}/secrets", role="admin") == {"count": 1}
    log = place.ask("GET", "/v1/audit?limit=10", role="admin").text
    for secret in (made["secret"], again["secret"]):
        assert secret not in log


@pytest.mark.parametrize("url", ["http://127.0.0.1/x", "http://[::1]/x", "ftp://example.com", "http://10.0.0.1", "x"])
def test_addresses_of_the_inside_are_refused(furnished: Place, url: str) -> None:
    assert furnished.ask("POST", PATH, {"url": url}, role="admin").status_code in {409, 422}
    body = {"url": url, "private_allowed": True}
    assert furnished.ask("POST", PATH, body, role="admin").status_code == 422, "only at the machine"


def test_an_endpoint_is_switched_off_asked_again_and_removed(place: Place) -> None:
    assert place.good("PUT", f"{PATH}/1/enabled", {"enabled": False}, role="admin") is None
    assert place.good("GET", PATH, role="admin")[0]["enabled"] is False
    assert place.good("GET", f"{PATH}/1/dead-letters", role="admin") == []
    assert place.good("POST", f"{PATH}/1/replay", {"first": 1, "last": 9}, role="admin") == {"count": 0}
    assert place.ask("POST", f"{PATH}/1/replay", {"first": 9, "last": 1}, role="admin").status_code == 422
    waiting = place.good("GET", PATH, role="admin")[0]["waiting"]
    assert place.good("DELETE", f"{PATH}/1", role="admin") == {"count": waiting}
    assert place.ask("DELETE", f"{PATH}/1", role="admin").status_code == 404


def test_kinds_are_changed_of_the_revision_that_was_read(place: Place) -> None:
    seen = place.good("GET", f"{PATH}/1", role="admin")
    assert (seen["kinds"], seen["failing"], seen["delivered_at"], seen["next_at"]) == ([], 0, None, None)
    body = {"kinds": ["level.reached"], "revision": seen["revision"]}
    assert place.good("PUT", f"{PATH}/1/kinds", body, role="admin") == {"changed": True}
    assert place.ask("PUT", f"{PATH}/1/kinds", {**body, "kinds": []}, role="admin").status_code == 409
    assert place.good("GET", f"{PATH}/1", role="admin")["kinds"] == ["level.reached"]
    assert place.good("PUT", f"{PATH}/1/kinds", {"kinds": ["level.reached"]}, role="admin") == {"changed": False}
    assert place.ask("PUT", f"{PATH}/1/kinds", {"kinds": ["No"]}, role="admin").status_code == 422


def test_what_fails_is_listed_by_number_with_when_it_is_tried_again(place: Place) -> None:
    for number in (7, 3):
        MORE["list_failing"](place, number)
    MORE["list_dead_letters"](place, 9)
    first, second = place.good("GET", f"{PATH}/1/failing", role="admin")
    assert (first["event_id"], second["event_id"]) == ("waiting 7", "waiting 3")
    assert (first["next_at"], second["next_at"]) == ("1970-01-01T00:00:00.000007Z", "1970-01-01T00:00:00.000003Z")
    assert (first["attempts"], first["most_attempts"], first["error"]) == (3, 14, "it answered 500")
    shown = place.good("GET", f"{PATH}/1", role="admin")
    assert (shown["failing"], shown["waiting"], shown["dead"]) == (2, 2, 1)
    assert shown["next_at"] == "1970-01-01T00:00:00.000003Z"
