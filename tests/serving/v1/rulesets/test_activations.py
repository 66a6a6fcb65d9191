"""Who wrote a version never lets it decide, whatever they have: four eyes over HTTP."""

import pytest

from tests.serving.v1.examples import WHY
from tests.serving.v1.places import OURS, Place
from tests.serving.v1.rulesets.bank_rulesets import document

BODY = {"version": 1, "reason": WHY}
NEW = "/v1/rulesets/new"


def written(place: Place, editor: str, committer: str) -> None:
    """A version that one person edited and another committed, with its backtest."""
    place.good("PUT", f"{NEW}/draft", {"document": document("new")}, token=editor)
    place.good("POST", f"{NEW}/commit", {"revision": 1, "accept_warnings": WHY}, token=committer)
    asked = place.good("POST", f"{NEW}/backtests", {"version": 1}, token=editor)
    assert asked["state"] == "queued"
    place.run_backtests()


@pytest.mark.parametrize("maker", ["editor", "committer"])
def test_neither_editor_nor_committer_activates_whichever_token_or_role_they_use(place: Place, maker: str) -> None:
    tokens = {name: place.join(name, "publisher", "admin") for name in ("editor", "committer", "checker")}
    written(place, tokens["editor"][0], tokens["committer"][0])
    for token in tokens[maker]:
        answer = place.ask("POST", f"{NEW}/activate", BODY, token=token)
        assert answer.status_code == 409
        assert "another person activates" in answer.json()[0]["detail"]
    assert place.good("POST", f"{NEW}/activate", BODY, token=tokens["checker"][1]) is None


def test_who_comes_back_is_still_who_wrote_it(place: Place) -> None:
    (editor,) = place.join("editor", "publisher")
    written(place, editor, place.tokens[OURS, "publisher"])
    number = next(line["id"] for line in place.good("GET", "/v1/members", role="admin") if line["name"] == "editor")
    place.good("POST", f"/v1/members/{number}/leave", role="admin")
    (again,) = place.join("editor", "admin")
    assert place.ask("POST", f"{NEW}/activate", BODY, token=again).status_code == 409


def test_without_a_backtest_nobody_activates(place: Place) -> None:
    place.good("PUT", f"{NEW}/draft", {"document": document("new")}, role="publisher")
    place.good("POST", f"{NEW}/commit", {"revision": 1, "accept_warnings": WHY}, role="publisher")
    answer = place.ask("POST", f"{NEW}/activate", BODY, role="admin")
    assert answer.status_code == 409
    assert "no backtest" in answer.json()[0]["detail"]


def test_backtests_and_activations_are_listed_and_read(place: Place) -> None:
    (latest, *_) = place.good("GET", "/v1/rulesets/retail/backtests", role="publisher")
    assert (latest["state"], latest["version"], latest["error"]) == ("done", 2, None)
    report = place.good("GET", f"/v1/backtests/{latest['id']}", role="publisher")
    assert (report["basis"], report["content_hash"]) == ("customers", latest["content_hash"])
    (active,) = place.good("GET", "/v1/rulesets/retail/activations", role="publisher")
    assert (active["kind"], active["version"], active["reason"]) == ("activation", 1, WHY)
    assert active["actor"] == f"member:{place.members[OURS, 'publisher']}"
    made = place.good("POST", "/v1/rulesets/second/rollback", BODY, role="publisher")["proposal"]
    place.run_backtests()
    place.good("POST", f"/v1/proposals/{made['id']}/approve", {"reason": WHY}, role="admin")
    kinds = [line["kind"] for line in place.good("GET", "/v1/rulesets/second/activations", role="publisher")]
    assert kinds == ["rollback", "activation", "activation"]


@pytest.mark.parametrize("seen", [{"expected_active": 1}, {"expected_hash": "0" * 64}])
def test_what_was_not_looked_at_is_not_proposed_to_decide_again(place: Place, seen: dict[str, object]) -> None:
    answer = place.ask("POST", "/v1/rulesets/second/rollback", {**BODY, **seen}, role="publisher")
    assert (answer.status_code, " now" in answer.text) == (409, True)
    content_hash = place.good("GET", "/v1/rulesets/second/versions/1", role="publisher")["content_hash"]
    looked_at = {"expected_active": 2, "expected_hash": content_hash}
    place.good("POST", "/v1/rulesets/second/rollback", {**BODY, **looked_at}, role="publisher")


def test_a_backtest_that_waits_is_cancelled_for_a_reason(place: Place) -> None:
    (line,) = place.good("GET", "/v1/rulesets/drafted/backtests", role="publisher")
    assert (line["state"], line["attempts"], line["part"]) == ("queued", 0, None)
    path = f"/v1/backtests/{line['id']}/cancel"
    assert place.ask("POST", path, {"reason": " "}, role="publisher").status_code == 422
    done = place.good("POST", path, {"reason": "another one"}, role="publisher")
    assert (done["state"], done["error"].partition(" ")[2]) == ("cancelled", "cancelled it: another one")
    assert place.ask("POST", path, {"reason": WHY}, role="publisher").status_code == 409


@pytest.mark.parametrize("body", [{"version": 0, "reason": "x"}, {"version": 1}, {"version": 1, "reason": " "}, {}])
def test_what_is_no_activation_is_422(furnished: Place, body: object) -> None:
    assert furnished.ask("POST", "/v1/rulesets/retail/activate", body, role="publisher").status_code == 422
