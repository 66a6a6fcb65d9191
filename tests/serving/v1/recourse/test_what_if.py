"""What would move a level, over HTTP: whole for publishers, without thresholds for investigators."""

from fivefold.serving.v1.path_encoding import path_to
from tests.serving.v1.examples import CUSTOMER
from tests.serving.v1.places import Place

PATH = path_to("/v1/entities/{t}/{e}/what-if", t="customer", e=CUSTOMER)
RISK = path_to("/v1/entities/{t}/{e}/risk", t="customer", e=CUSTOMER)


def test_each_role_sees_as_much_as_of_the_reasons(place: Place) -> None:
    place.good("GET", RISK, params={"freshness": "now"}, role="app")
    whole = place.good("GET", PATH, role="publisher")["what_if"]
    assert (whole["level"], whole["wished"], whole["direction"]) == ("medium", "low", "down")
    answers = [[(change["name"], change["then"]) for change in answer["changes"]] for answer in whole["answers"]]
    assert answers
    assert all(answer["score"] and answer["cases"] for answer in whole["answers"])
    shown = place.good("GET", PATH, role="investigator")["what_if"]
    assert (shown["level"], shown["wished"]) == ("medium", "low")
    assert shown["answers"]
    for answer in shown["answers"]:
        assert (answer["score"], answer["cases"]) == (None, None)
        assert [change["then"] for change in answer["changes"]] == [None] * len(answer["changes"])
    assert {one["why"] for one in shown["without"]} <= {"not changeable", "only with another", "not shown"}
    above = place.good("GET", f"{PATH}?direction=up&level=high", role="publisher")["what_if"]
    assert {answer["level"] for answer in above["answers"]} == {"high"}
    told = place.good("GET", f"{PATH}?direction=up&level=high", role="investigator")["what_if"]
    reasons = place.good("GET", RISK, role="investigator")["reasons"]
    fired = {rule["title"] for rule in reasons["rules"]}
    of = {factor for answer in told["answers"] for change in answer["changes"] for factor in change["factors"]}
    assert of | {one["factor"] for one in told["without"]} <= fired
    assert (above["pairs_left_out"], told["pairs_left_out"]) == (0, None)


def test_of_factors_that_gave_nothing_an_investigator_is_told_their_number_alone(place: Place) -> None:
    place.good("PUT", "/v1/entities/customer/new", {"attributes": {"country": "AD", "income": 1}}, role="app")
    place.good("GET", "/v1/entities/customer/new/risk", params={"freshness": "now"}, role="app")
    path = "/v1/entities/customer/new/what-if?direction=up"
    whole = place.good("GET", path, role="publisher")["what_if"]
    told = place.good("GET", path, role="investigator")["what_if"]
    assert whole["answers"]
    assert (told["answers"], told["without"], told["answers_not_shown"]) == ([], [], len(whole["answers"]))


def test_what_cannot_be_asked(place: Place) -> None:
    assert place.ask("GET", f"{PATH}?direction=sideways", role="publisher").status_code == 422
    assert place.ask("GET", PATH, role="app").status_code == 403
    assert place.ask("GET", "/v1/entities/customer/nobody/what-if", role="publisher").status_code == 404
    place.good("PUT", "/v1/entities/customer/new", {"attributes": {"country": "KP"}}, role="app")
    assert place.good("GET", "/v1/entities/customer/new/what-if", role="publisher") == {"what_if": None}
    place.good("GET", RISK, params={"freshness": "now"}, role="app")
    assert place.ask("GET", f"{PATH}?level=lowest", role="publisher").status_code == 422
