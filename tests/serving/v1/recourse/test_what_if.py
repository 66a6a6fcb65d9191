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
    above = place.good("GET", f"{PATH}?direction=up&level=high", role="publisher")["what_if"]
    assert {answer["level"] for answer in above["answers"]} == {"high"}


def test_what_cannot_be_asked(place: Place) -> None:
    assert place.ask("GET", f"{PATH}?direction=sideways", role="publisher").status_code == 422
    assert place.ask("GET", PATH, role="app").status_code == 403
    assert place.ask("GET", "/v1/entities/customer/nobody/what-if", role="publisher").status_code == 404
    place.good("PUT", "/v1/entities/customer/new", {"attributes": {"country": "KP"}}, role="app")
    assert place.good("GET", "/v1/entities/customer/new/what-if", role="publisher") == {"what_if": None}
    place.good("GET", RISK, params={"freshness": "now"}, role="app")
    assert place.ask("GET", f"{PATH}?level=lowest", role="publisher").status_code == 422
