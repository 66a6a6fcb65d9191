"""Requests for tokens under /v1: decided only where they are what was looked at."""

import pytest

from tests.serving.v1.places import Place


@pytest.mark.parametrize("act", ["approve", "refuse"])
def test_an_act_on_the_request_that_was_looked_at_is_on_no_other_one(place: Place, act: str) -> None:
    asked = place.good("POST", "/v1/token-requests", {"role": "app", "plan": "trial"}, role="admin")["request"]
    (another,) = place.join("another admin", "admin")
    path = f"/v1/token-requests/{asked['id']}/{act}"
    answer = place.ask("POST", path, params={"expected_asked_at": "2001-01-01T00:00:00Z"}, token=another)
    assert answer.status_code == 409
    assert f"request {asked['id']} is another one now" in answer.json()[0]["detail"]
    assert place.good("POST", path, params={"expected_asked_at": asked["asked_at"]}, token=another)
