"""What a person concerned may know and contest, in pages: what would change a level, statements, challenges."""

import json
from datetime import datetime

import pytest

from fivefold.console.levels import pdf
from tests.console.visitors import Visitor, levels_stay
from tests.serving.v1.places import Place

CUSTOMER = "/console/entities/customer/contesting"
CHALLENGES = "/console/queue/challenges"
WORDS = "My income is <b>another</b> one."
SHOWN = "My income is &lt;b&gt;another&lt;/b&gt; one."


@pytest.fixture
def assessed(place: Place) -> Place:
    path = CUSTOMER.replace("console", "v1")
    place.good("PUT", path, {"attributes": {"country": "KP"}}, role="app")
    place.good("GET", f"{path}/risk", params={"freshness": "now"}, role="investigator")
    return place


def contest(visitor: Visitor, words: str = WORDS, **typed: str) -> Visitor:
    return visitor.go(CUSTOMER).submit("/challenge", words=words, **typed)


def test_a_person_contests_another_settles_and_the_reply_says_no_more_than_it_may(assessed: Place) -> None:
    investigator = Visitor(assessed).sign_in("investigator")
    contest(investigator)
    path = investigator.page.url.path
    assert path.startswith("/console/challenges/")
    assert "The challenge is recorded" in investigator.text
    assert SHOWN in investigator.text
    assert "is unchanged, byte for byte" in investigator.text
    assert not [form for form in investigator.forms() if form.action.endswith("/settle")]
    approver = Visitor(assessed).sign_in("approver").go(path)
    reason = "The tax return says the same."
    approver.submit("/settle", outcome="confirmed", reason=reason, answer="We looked again.")
    assert "The challenge is settled." in approver.text
    assert "Confirmed by" in approver.text
    assert reason in approver.text
    settled = investigator.go(path)
    assert settled.submit("/reply-pdf").page.content.startswith(b"%PDF")
    reply = json.loads(investigator.go(path).submit("/reply-json").page.content)
    assert (reply["answer"], reason in json.dumps(reply)) == ("We looked again.", False)
    entries = assessed.good("GET", "/v1/audit", role="admin", params={"limit": "1000"})
    answered = [entry for entry in entries if entry["action"] == "challenge.answered"]
    assert [entry["details"]["form"] for entry in answered[:2]] == ["json", "pdf"]


def test_an_export_as_data_has_the_open_challenges_that_the_pdf_names(assessed: Place) -> None:
    investigator = contest(Visitor(assessed).sign_in("investigator"))
    path = investigator.page.url.path
    (contested,) = investigator.go(CUSTOMER).submit("/export-json").page.json()["open_challenges"]
    line = assessed.good("GET", f"/v1/challenges/{contested['id']}", role="investigator")
    assert contested == {name: line[name] for name in contested}
    assert {*contested} >= {"assessment", "words", "received_at", "due_at", "overdue"}
    Visitor(assessed).sign_in("approver").go(path).submit("/settle", outcome="confirmed", reason="So.", answer="So.")
    assert investigator.go(CUSTOMER).submit("/export-json").page.json()["open_challenges"] == []


def test_who_decided_what_is_contested_is_shown_why_they_do_not_settle_it_and_lines_stay(assessed: Place) -> None:
    customer = CUSTOMER.replace("console", "v1")
    body = {"level": "high", "reason": "A court asked.\nIn March."}
    number = assessed.good("POST", f"{customer}/overrides", body, role="investigator")["id"]
    assessed.good("POST", f"/v1/overrides/{number}/approve", {"reason": ""}, role="approver")
    assessed.good("GET", f"{customer}/risk", params={"freshness": "now"}, role="investigator")
    investigator = contest(Visitor(assessed).sign_in("investigator"), "One line.\nAnother.")
    path = investigator.page.url.path
    assert "One line.<br>Another." in investigator.page.text
    assert "A court asked.<br>In March." in investigator.go(CUSTOMER).page.text
    approver = Visitor(assessed).sign_in("approver").go(path)
    assert (
        f"You took part in override {number}, which is contested, so another person has to settle it." in approver.text
    )
    assert not [form for form in approver.forms() if "/settle" in form.action]
    token = approver.go("/console/session").forms()[0].fields["form_token"]
    moment = assessed.good("GET", path.replace("console", "v1"), role="admin")["opened_at"]
    settled = {"outcome": "confirmed", "reason": "So it is", "seen_opened": moment}
    approver.post(f"{path}/settle", {"form_token": token, **settled})
    assert f"the approver took part in override {number}" in approver.text
    admin = Visitor(assessed).sign_in("admin").go(path)
    assert [form for form in admin.forms() if "/settle" in form.action]


def test_a_challenge_is_an_item_of_the_queue_and_an_event_of_the_timeline(assessed: Place) -> None:
    timeline = f"{CUSTOMER}/timeline?group=challenges"
    investigator = Visitor(assessed).sign_in("investigator").go(timeline)
    assert "Nothing happened yet." in investigator.text
    path = contest(investigator).page.url.path
    approver = Visitor(assessed).sign_in("approver").go("/console/queue?kind=challenge")
    assert "Challenge to settle" in approver.text
    assert "in 30 days" in approver.text
    (link,) = [link for link in approver.links() if link.startswith(path)]
    approver.go(link).submit("/assign")
    assert approver.page.url.path == path, "the way on through the queue is kept"
    assert "assigned to" in approver.text
    approver.submit("/settle", outcome="confirmed", reason="The same.")
    assert "The challenge is settled." in approver.text
    assert "This item has left the queue" in approver.text
    investigator.go(path).submit("/reply-json")
    investigator.go(timeline)
    assert "Nothing happened yet." not in investigator.text
    for event in ("Challenge opened", "Challenge settled", "Reply given"):
        assert event in investigator.text
    assert SHOWN in investigator.text
    assert investigator.links().count(path) == 3


def test_an_open_challenge_stands_beside_the_level_and_the_assessment_that_it_contests(assessed: Place) -> None:
    investigator = Visitor(assessed).sign_in("investigator").go(CUSTOMER)
    assert "the person contests" not in investigator.text
    challenge = contest(investigator).page.url.path
    (contested,) = {link for link in investigator.links() if link.startswith("/console/assessments/")}
    said = f"Challenge {challenge.rpartition('/')[2]} is open: the person contests assessment {contested[21:]} . Due"
    for path in (CUSTOMER, contested):
        page = Visitor(assessed).sign_in("approver").go(path)
        assert said in page.text
        assert "in 30 days" in page.text
        assert challenge in page.links()
    path = CUSTOMER.replace("console", "v1")
    assessed.good("PUT", path, {"attributes": {"country": "NO"}}, role="app")
    newest = assessed.good("GET", f"{path}/risk", params={"freshness": "now"}, role="investigator")["assessment"]
    assert said not in investigator.go(f"/console/assessments/{newest}").text
    Visitor(assessed).sign_in("approver").go(challenge).submit("/settle", outcome="confirmed", reason="The same.")
    assert "the person contests assessment" not in investigator.go(CUSTOMER).text


def test_the_pdf_of_a_customer_says_at_its_top_that_a_challenge_is_open(
    assessed: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    said, paragraph = list[str](), pdf.paragraph
    monkeypatch.setattr(
        pdf, "paragraph", lambda written, style="plain": said.append(written) or paragraph(written, style)
    )
    investigator = Visitor(assessed).sign_in("investigator")
    investigator.go(CUSTOMER).submit("/export-pdf")
    assert "contests" not in " ".join(said)
    number = contest(investigator).page.url.path.rpartition("/")[2]
    said.clear()
    investigator.go(CUSTOMER).submit("/export-pdf")
    assert said[1].startswith(f"Challenge {number} is open: the person contests assessment ")
    assert "It is due 20" in said[1]


def test_what_is_wrong_is_said_where_it_was_typed_and_nothing_is_settled(assessed: Place) -> None:
    path = contest(Visitor(assessed).sign_in("investigator")).page.url.path
    approver = Visitor(assessed).sign_in("approver").go(path)
    approver.submit("/settle", outcome="corrected", reason="Mended.", facts="", answer="Kept words")
    assert 'id="facts-fault">Name what was corrected' in approver.page.text
    assert "Kept words" in approver.page.text
    approver.submit("/settle", outcome="corrected", reason="Mended.", facts="field income\n\n", answer="")
    assert approver.page.status_code == 409
    approver.submit("/settle", outcome="confirmed", reason="Other.", override_number="7")
    assert 'id="override_number-fault">Give the number of the override' in approver.page.text
    approver.submit("/settle", outcome="overridden", reason="Other.", override_number="x")
    assert "it must be a whole number" in approver.text
    approver.submit("/settle", outcome="overridden", reason="Other.", override_number="99", answer="Kept words")
    assert approver.page.status_code == 404
    assert "Nothing was changed: there is no override 99" in approver.text
    assert "Kept words</textarea>" in approver.page.text
    assert assessed.good("GET", path.replace("console", "v1"), role="admin")["state"] == "open"


def test_a_challenge_that_the_page_did_not_show_is_not_settled(assessed: Place) -> None:
    """After a restore another challenge may have its number."""
    path = contest(Visitor(assessed).sign_in("investigator")).page.url.path
    approver = Visitor(assessed).sign_in("approver").go(path)
    approver.submit("/settle", outcome="confirmed", reason="Seen.", seen_opened="2026-01-01T00:00:00.000001Z")
    assert approver.page.status_code == 409
    assert "is another one now" in approver.text
    assert "The challenge is settled." in approver.go(path).submit("/settle", outcome="confirmed", reason="Seen.").text


def test_a_challenge_is_open_once_and_is_not_of_a_day_to_come(assessed: Place) -> None:
    investigator = Visitor(assessed).sign_in("investigator")
    contest(investigator, received="2199-01-01")
    assert "which is in the future" in investigator.text
    assert SHOWN in investigator.page.text, "what was typed is kept"
    first = contest(investigator).page.url.path
    assert contest(investigator).page.url.path == first, "the same words are the same challenge"
    contest(investigator, "Something else")
    assert "is open, and due on" in investigator.text


def test_challenges_are_listed_by_what_is_due_and_found_by_customer_and_state(assessed: Place) -> None:
    investigator = Visitor(assessed).sign_in("investigator").go(f"{CHALLENGES}?state=corrected")
    assert "No challenge matches these filters." in investigator.text
    contest(investigator, received="")
    (link,) = [link for link in investigator.go(CUSTOMER).links() if link.startswith(f"{CHALLENGES}?")]
    assert SHOWN in investigator.go(link.replace("&amp;", "&")).text
    assert SHOWN in investigator.go(f"{CHALLENGES}?state=open").text
    assert SHOWN not in investigator.go(f"{CHALLENGES}?state=confirmed").text
    assert SHOWN not in investigator.go(f"{CHALLENGES}?due_before=2001-01-01").text
    assert SHOWN in investigator.go(f"{CHALLENGES}?due_before=2199-01-01").text
    assert investigator.go(f"{CHALLENGES}?external_id=nobody").page.status_code == 404
    assert investigator.go(f"{CHALLENGES}?state=lost").page.status_code == 422
    assert investigator.go("/console/challenges/99").page.status_code == 404
    assert investigator.go("/console/challenges/x").page.status_code == 404


ODDLY_NAMED = "/console/entities/customer/c%2F1%20%C3%A4"


def test_a_publisher_takes_a_statement_along(
    place: Place, investigator: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.good("GET", f"{ODDLY_NAMED.replace('console', 'v1')}/risk", params={"freshness": "now"}, role="investigator")
    assert "statement" not in investigator.go(ODDLY_NAMED).page.text
    publisher = Visitor(place).sign_in("publisher").go(ODDLY_NAMED)
    assert publisher.submit("/statement-pdf").page.content.startswith(b"%PDF")
    shown = json.loads(publisher.go(ODDLY_NAMED).submit("/statement-json").page.content)
    assert (shown["external_id"], shown["total"]) == ("c/1 ä", None), "whom it applies to asks for a tag"
    assert [factor["title"] for factor in shown["factors"]] == ["Country of residence", "Cash in half a year", "Income"]
    entries = place.good("GET", "/v1/audit", role="admin", params={"limit": "1000"})
    given = [entry["details"] for entry in entries if entry["action"] == "statement.given"]
    assert sorted(details["form"] for details in given) == ["json", "pdf"]
    assert len({details["sha256"] for details in given}) == 1
    place.good("PUT", "/v1/entities/customer/new", {"attributes": {"country": "KP"}}, role="app")
    levels_stay(monkeypatch)
    assert "statement" not in publisher.go("/console/entities/customer/new").page.text


@pytest.mark.parametrize("ending", ["json", "pdf"])
def test_a_statement_is_of_the_assessment_that_its_page_shows(assessed: Place, ending: str) -> None:
    publisher = Visitor(assessed).sign_in("publisher").go(CUSTOMER)
    path = CUSTOMER.replace("console", "v1")
    shown = assessed.good("GET", f"{path}/risk", role="investigator")["assessment"]
    assessed.good("PUT", path, {"attributes": {"country": "NO"}}, role="app")
    assert assessed.good("GET", f"{path}/risk", params={"freshness": "now"}, role="investigator")["assessment"] != shown
    publisher.submit(f"/statement-{ending}")
    assert f"statement-{shown}.{ending}" in publisher.page.headers["content-disposition"]


def test_the_customers_page_leads_to_what_would_change_the_level(place: Place, investigator: Visitor) -> None:
    place.good("GET", f"{ODDLY_NAMED.replace('console', 'v1')}/risk", params={"freshness": "now"}, role="investigator")
    assert f'href="{ODDLY_NAMED}/what-if"' in investigator.go(ODDLY_NAMED).page.text
    shown = investigator.go(f"{ODDLY_NAMED}/what-if").text
    whole = Visitor(place).sign_in("publisher").go(f"{ODDLY_NAMED}/what-if").text
    why = "More would reveal thresholds, so there may be changes that are not shown."
    assert why in shown
    assert why not in whole
    for told in (shown, whole):
        assert "Country of residence" in told
    assert "another value" in shown
    assert "points" in whole
    assert "points" not in shown
    assert not any(word in shown for word in ("whatever it were", "not all of its values", "computed from it"))
    assert "90210" in Visitor(place).sign_in("publisher").go(f"{ODDLY_NAMED}/what-if?direction=up").text


def test_the_page_of_what_would_change_a_level_says_what_holds_it(place: Place, investigator: Visitor) -> None:
    for country in ("KP", "AD"):
        place.good("PUT", "/v1/entities/customer/new", {"attributes": {"country": country, "income": 1}}, role="app")
        place.good("GET", "/v1/entities/customer/new/risk", params={"freshness": "now"}, role="app")
    page = "/console/entities/customer/new/what-if"
    found = place.good("GET", page.replace("console", "v1"), role="investigator")["what_if"]
    assert (found["level"], found["level_in_force"], found["held_by"]) == ("low", "high", "cooldown")
    day = f"{datetime.fromisoformat(found['held_until']):%-d %B %Y}"
    shown = investigator.go(page).text
    assert f"The cooldown holds: High until {day} . The rules say Low ; there is no lower level." in shown
    assert f"May move to a lower level from {day} on." in investigator.go(page.removesuffix("/what-if")).text
    export = investigator.submit("/export-json").page.json()
    assert (export["may_move_down_on"], export["failing"]) == (found["held_until"], False)


def test_of_factors_that_gave_nothing_an_investigator_reads_their_number_alone(
    place: Place, investigator: Visitor
) -> None:
    place.good("PUT", "/v1/entities/customer/new", {"attributes": {"country": "AD", "income": 1}}, role="app")
    place.good("GET", "/v1/entities/customer/new/risk", params={"freshness": "now"}, role="app")
    path = "/console/entities/customer/new/what-if?direction=up"
    shown, whole = investigator.go(path).text, Visitor(place).sign_in("publisher").go(path).text
    assert ["without an effect, not shown: 3" in page for page in (shown, whole)] == [True, False]
    assert ["Country of residence" in page for page in (shown, whole)] == [False, True]


def test_who_was_never_assessed(place: Place, investigator: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    levels_stay(monkeypatch)
    place.good("PUT", "/v1/entities/customer/new", {"attributes": {"country": "KP"}}, role="app")
    assert "/what-if" not in investigator.go("/console/entities/customer/new").page.text
    assert "There is no assessment" in investigator.go("/console/entities/customer/new/what-if").text
    assert investigator.go(f"{ODDLY_NAMED}/what-if?direction=sideways").page.status_code == 422
