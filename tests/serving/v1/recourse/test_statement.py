"""Statements over HTTP: for those who may see thresholds, with the hash that the audit log keeps."""

from fivefold.serving.v1.path_encoding import path_to
from tests.serving.v1.examples import CUSTOMER
from tests.serving.v1.places import Place

RISK = path_to("/v1/entities/{t}/{e}/risk", t="customer", e=CUSTOMER)


def test_a_statement_is_given_and_recorded(place: Place) -> None:
    level = place.good("GET", RISK, params={"freshness": "now"}, role="publisher")
    path = f"/v1/assessments/{level['assessment']}/statement"
    given = place.good("POST", path, role="publisher")
    assert given["statement"]["assessment"] == level["assessment"]
    assert {factor["effect"] for factor in given["statement"]["factors"]} >= {"raises the risk"}
    latest = place.good("GET", "/v1/audit", role="admin")[0]
    assert (latest["action"], latest["details"]["sha256"]) == ("statement.given", given["sha256"])
    for role in ("investigator", "approver", "app"):
        assert place.ask("POST", path, role=role).status_code == 403
    assert place.ask("POST", "/v1/assessments/9.9/statement", role="publisher").status_code == 404
