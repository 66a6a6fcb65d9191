"""A decision that says what was looked at: another change may have the number after a restore."""

import pytest

from tests.serving.v1.places import Place


@pytest.mark.parametrize("decision", ["approve", "refuse"])
def test_a_decision_on_what_was_looked_at_is_on_no_other_change(place: Place, decision: str) -> None:
    proposal = place.good("GET", "/v1/proposals/1", role="admin")
    body = {"reason": "As read.", "expected_proposed_at": "2001-01-01T00:00:00Z"}
    answer = place.ask("POST", f"/v1/proposals/1/{decision}", body, role="admin")
    assert answer.status_code == 409
    assert "proposal 1 is another one now" in answer.json()[0]["detail"]
    seen = {**body, "expected_proposed_at": proposal["proposed_at"]}
    answer = place.ask("POST", f"/v1/proposals/1/{decision}", seen, role="admin")
    assert "another one" not in answer.text
