"""What people had read before they decided on a customer is kept with the decision."""

import re
from time import monotonic

from fivefold.store.sql.database import BUSY_SECONDS, open_database
from tests.console.customers import CUSTOMER, ENTITY, assess_now
from tests.console.visitors import Visitor
from tests.serving.v1.places import Place

NOT_KNOWN = "There is no record of whether the investigator had opened the reasons when it was requested."


def test_what_people_read_before_they_decide_is_kept_with_the_decision(place: Place, investigator: Visitor) -> None:
    assess_now(place)
    assert "Nothing else that you read is stored." in investigator.go(CUSTOMER).text
    investigator.submit("/override", level="high", reason="A court asked for it.")
    assert "When it was requested, the investigator had opened the reasons" in investigator.text
    approver = Visitor(place).sign_in("approver").go(CUSTOMER)
    form = next(form for form in approver.forms() if form.action.endswith("/approve-override"))
    with place.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE openings SET opened_us = opened_us - 41000000")
    approver.post(form.action, form.fields)
    said = r"When it was approved, the approver had opened the reasons \( 1\.\d \) 4\d seconds before"
    assert re.search(said, approver.text)
    entries = place.good("GET", "/v1/audit", role="admin", params={"limit": "1000"})
    approvals = [entry["details"] for entry in entries if entry["action"] == "override.approved"]
    (kept,) = [details["read"] for details in approvals if "read" in details]
    assert kept["seconds"] in range(41, 60)


def test_of_who_decides_on_no_page_of_the_reasons_it_is_not_known_that_they_opened_them(place: Place) -> None:
    assess_now(place)
    visitor = Visitor(place).sign_in("investigator")
    form_token = visitor.go("/console/session").forms()[0].fields["form_token"]
    visitor.post(f"{CUSTOMER}/override", {"form_token": form_token, "level": "high", "reason": "unseen"})
    assert NOT_KNOWN in visitor.text


def test_reasons_are_read_while_another_program_writes_and_what_was_read_is_not_known_then(place: Place) -> None:
    assess_now(place)
    visitor = Visitor(place).sign_in("investigator")
    with open_database(place.engine.url.render_as_string(hide_password=False)).connect() as other:
        writes = "BEGIN IMMEDIATE" if other.dialect.name == "sqlite" else "LOCK TABLE openings IN SHARE MODE"
        other.exec_driver_sql(writes)
        began = monotonic()
        assert "How risky, and why" in visitor.go(CUSTOMER).text
        assert monotonic() - began < BUSY_SECONDS / 3
        other.rollback()
    visitor.submit("/override", level="high", reason="A court asked for it.")
    assert NOT_KNOWN in visitor.text


def reassessed(place: Place, country: str) -> str:
    """Change a fact, and give the assessment that holds then."""
    place.good("PUT", ENTITY, {"attributes": {"country": country}}, role="app")
    return str(assess_now(place)["assessment"])


def _opened(who: str, opened: str, held: str) -> str:
    return rf"When it was {who} had opened the reasons \( {opened} \) \d+ seconds? before; {held} held by then\."


def test_who_acts_on_a_page_of_an_earlier_assessment_had_opened_that_one(place: Place, investigator: Visitor) -> None:
    opened, asked_for = str(assess_now(place)["assessment"]), investigator.go(CUSTOMER)
    held = reassessed(place, "SE")
    asked_for.submit("/override", level="high", reason="A court asked for it.")
    assert re.search(_opened("requested, the investigator", opened, held), investigator.text)
    approver = Visitor(place).sign_in("approver").go(CUSTOMER)
    newest = reassessed(place, "NO")
    approver.submit("/approve-override")
    assert re.search(_opened("approved, the approver", held, newest), approver.text)
    entries = place.good("GET", "/v1/audit", role="admin", params={"limit": "1000"})
    read = [entry["details"]["read"] for entry in entries if "read" in entry["details"]]
    assert [(each["assessment"], each["opened"]) for each in read[:2]] == [(newest, held), (held, opened)]


def test_an_override_is_not_approved_on_a_page_whose_reasons_hold_no_more(place: Place, investigator: Visitor) -> None:
    assess_now(place)
    investigator.go(CUSTOMER).submit("/override", level="high", reason="A hint.")
    approver = Visitor(place).sign_in("approver").go(CUSTOMER)
    shown = next(form for form in approver.forms() if form.action.endswith("/approve-override"))
    reassessed(place, "KP")
    approver.submit("/approve-override", reason="I see it too.")
    assert approver.page.status_code == 409
    assert (
        f"is high now; it was medium in the assessment {shown.fields['seen_assessment']} that was looked at"
        in approver.text
    )
    assert "The page shows the present state." in approver.text
    again = next(form for form in approver.forms() if form.action.endswith("/approve-override"))
    assert again.fields["reason"] == "I see it too."
    assert again.fields["seen_assessment"] != shown.fields["seen_assessment"]
    approver.post(again.action, again.fields)
    assert "The override is approved. It takes effect when the level is computed again." in approver.text


def test_of_those_who_cannot_decide_nothing_is_noted(place: Place) -> None:
    assess_now(place)
    count = "SELECT count(*) FROM openings"
    with place.engine.connect() as connection:
        before = connection.exec_driver_sql(count).scalar_one()
    Visitor(place).sign_in("publisher").go(CUSTOMER)
    with place.engine.connect() as connection:
        assert connection.exec_driver_sql(count).scalar_one() == before
