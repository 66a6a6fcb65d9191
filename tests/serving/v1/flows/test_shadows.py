"""A shadow beside what acts, over /v1: how many came to which ends, and for whom they differ."""

from tests.serving.v1.examples import CUSTOMER
from tests.serving.v1.more_rows import MORE
from tests.serving.v1.places import Place

SHADOW = "/v1/flows/care/shadow"


def test_a_shadow_is_compared_with_what_acts(place: Place) -> None:
    before = sum(each["runs"] for each in place.good("GET", SHADOW, role="publisher"))
    for number in (1, 2):
        MORE["list_shadow_pairs"](place, number)
    ends = {
        "acting_at": "done",
        "acting_state": "ended",
        "shadow_at": "nothing",
        "shadow_state": "ended",
        "comparable": True,
        "same_actions": True,
        "runs": 2,
    }
    counted = place.good("GET", SHADOW, role="publisher")
    assert ends in counted
    assert sum(each["runs"] for each in counted) == before + 2
    pairs = place.good("GET", f"{SHADOW}/pairs", role="publisher", params={"acting_at": "done", "shadow_at": "nothing"})
    assert [each["cause"] for each in pairs] == ["call:pair 2", "call:pair 1"]
    assert {(each["type"], each["external_id"]) for each in pairs} == {("customer", CUSTOMER)}
    assert place.good("GET", f"{SHADOW}/pairs", role="publisher", params={"shadow_at": "done"}) == []


def test_publishers_alone_see_it_and_a_flow_that_is_not_there_has_none(place: Place) -> None:
    assert place.ask("GET", SHADOW, role="investigator").status_code == 403
    assert place.ask("GET", "/v1/flows/none/shadow/pairs", role="publisher").status_code == 404
