"""Runs of flows in the console: a person answers, an action is taken back, and a shadow differs."""

import re
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy.orm import Session

from fivefold.console.flows import runs
from fivefold.domain.clock import DAY_US, from_microseconds, now_microseconds
from fivefold.serving.v1.path_encoding import path_to
from fivefold.store.tables.accounts import Token
from fivefold.store.tables.flows import FlowRun
from fivefold.usecases.accounts.credentials import find_credential
from fivefold.usecases.flows.activate import activate_flow, shadow_flow, switch_flow_off
from fivefold.usecases.flows.commit import commit_flow
from fivefold.usecases.flows.drafts import save_flow_draft
from fivefold.usecases.flows.runs.calling import call_flow
from fivefold.usecases.flows.runs.execute import run_flows, run_one
from fivefold.usecases.flows.runs.reading import view_run
from fivefold.usecases.ingest.entities import put_entities
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.entity_checks import EntityRow
from tests.console.visitors import Visitor
from tests.serving.v1.examples import CUSTOMER, WHY
from tests.serving.v1.furnishing import quarantined
from tests.serving.v1.places import OURS, THEIRS, Place
from tests.usecases.flows.documents import BY_COUNTRY, flow_document

RUNS = "/console/flow-runs"
PAGE = path_to("/console/entities/{t}/{e}", t="customer", e=CUSTOMER)
ACTIONS = [
    {"id": "look", "title": "Review tomorrow", "review": "1 day"},
    {"id": "flag", "title": "Flag them", "status": "flagged"},
    {"id": "room", "title": "Little room", "limit": "daily", "amount": 100, "between": [0, 500]},
]
ASK: dict[str, Any] = {
    "id": "ask",
    "title": "A person looks",
    "rationale": "Somebody has to.",
    "person": {
        "question": "Is it in order?",
        "role": "investigator",
        "within": "2 days",
        "answers": {"yes": "nothing", "no": "flagged"},
        "otherwise": "flagged",
    },
}
ROUTE = {**BY_COUNTRY, "route": [{"when": {"field": "country", "equals": "NO"}, "to": "ask"}], "on_unknown": "ask"}
FLAGGED = {"id": "flagged", "title": "Flagged", "end": ["flag", "room", "look"]}
EXAMPLES = [{"name": "home", "given": {"country": "NO"}, "ends": "ask"}]


def asking(title: str, *first: dict[str, Any]) -> str:
    """A flow that asks a person about whoever lives in Norway; *first* stands in place of that."""
    steps = [*(first or (ROUTE,)), ASK, FLAGGED]
    examples = [] if first else EXAMPLES
    return flow_document("asked", steps, title=title, actions=ACTIONS, examples=examples).replace(
        '"to": "done"', '"to": "flagged"'
    )


def made(place: Place, document: str) -> int:
    """The publisher commits a version."""
    author = Context(place.engine, place.actor("publisher"))
    draft = save_flow_draft(author, document)
    return commit_flow(author, draft.flow, draft.revision, WHY).number


@pytest.fixture
def run(place: Place) -> int:
    """A run that waits for an investigator; called by the publisher."""
    activate_flow(Context(place.engine, place.actor("admin")), "asked", made(place, asking("Asked")), WHY)
    return call_flow(Context(place.engine, place.actor("publisher")), "asked", "customer", CUSTOMER).number


def test_a_person_answers_with_a_reason_and_what_follows_is_taken_back(place: Place, run: int) -> None:
    investigator = Visitor(place).sign_in("investigator").go(f"{RUNS}?state=waiting")
    assert f"{RUNS}/{run}" in investigator.links()
    investigator.go(f"{RUNS}/{run}")
    assert "Is it in order?" in investigator.text
    assert "A member with the role investigator has to answer until" in investigator.text
    assert 'class="box person lit stopped"' in investigator.page.text
    investigator.submit("/answer", answer="no", reason="")
    assert (investigator.page.status_code, "Reason is empty" in investigator.text) == (422, True)
    assert "What you wrote" not in investigator.submit("/answer", answer="perhaps", reason="It is not sure.").text
    investigator.submit("/answer", answer="no", reason="It is not.")
    assert "The answer is stored, and the run continues." in investigator.text
    assert "It is not." in investigator.text
    assert "Is it in order?" not in investigator.text.partition("Each step")[0]
    assert 'class="box end lit stopped"' in investigator.page.text
    assert "status flagged" in investigator.text
    customer = investigator.go(PAGE).text
    assert "What flows did" in customer
    assert "Status Flagged" in customer
    assert "daily 100.00" in customer
    publisher = Visitor(place).sign_in("publisher").go(f"{RUNS}/{run}")
    assert "You cannot take it back: it follows from the answer to &#39;A person looks&#39;: a" in publisher.text
    assert "/take-back" not in publisher.page.text
    investigator.go(f"{RUNS}/{run}").submit("/take-back", reason="A mistake.")
    assert "It is taken back." in investigator.text
    assert "Taken back by the investigator" in investigator.text
    assert "Status Flagged" not in investigator.go(PAGE).text


def test_an_answer_that_cannot_be_taken_back_says_so_and_is_the_last(place: Place) -> None:
    actions = [{**each, "reversible": each["id"] != "flag"} for each in ACTIONS]
    way = {"id": "way", "title": "A way", "route": [{"when": {"field": "country", "equals": "SE"}, "to": "flagged"}]}
    answers = {"again": "second", "no": "way", "yes": "nothing"}
    person = {**ASK["person"], "answers": answers}
    second = {**ASK, "id": "second", "title": "Another looks"}
    steps = [ROUTE, {**ASK, "person": person}, second, {**way, "otherwise": "nothing"}, FLAGGED]
    document = flow_document("asked", steps, actions=actions, examples=EXAMPLES)
    version = made(place, document.replace('"to": "done"', '"to": "flagged"'))
    activate_flow(Context(place.engine, place.actor("admin")), "asked", version, WHY)
    number = call_flow(Context(place.engine, place.actor("publisher")), "asked", "customer", CUSTOMER).number
    question = place.good("GET", f"/v1/flow-runs/{number}", role="investigator")["question"]
    assert question["irreversible"] == {"no": ["Flag them"]}
    page = Visitor(place).sign_in("investigator").go(f"{RUNS}/{number}").page.text
    said = re.findall(r'<button name="answer" value="(\w+)">\w+<small> → ([^<]*)<', page)
    assert said == [
        ("again", "Another looks"),
        ("yes", "Nothing is done"),
        ("no", "A way; cannot be taken back: Flag them"),
    ]


HIGH = {"sum": "amount", "over": "90 days", "where": {"field": "operation", "equals": "CASH"}}


def test_conditions_are_read_by_those_alone_who_see_versions(place: Place) -> None:
    ways = [
        {"when": {"field": "country", "equals": "IR"}, "to": "ask"},
        {"when": {**HIGH, "below": 777.125}, "to": "ask"},
    ]
    document = asking("Asked", {**ROUTE, "route": ways})
    activate_flow(Context(place.engine, place.actor("admin")), "asked", made(place, document), WHY)
    number = call_flow(Context(place.engine, place.actor("publisher")), "asked", "customer", CUSTOMER).number
    for role, sees in (("investigator", False), ("approver", False), ("publisher", True)):
        run = place.good("GET", f"/v1/flow-runs/{number}", role=role)
        step, page = run["why"]["steps"][0], Visitor(place).sign_in(role).go(f"{RUNS}/{number}").text
        assert ("777.125" in str(run), "777.125" in page, "CASH" in str(run), "CASH" in page) == (sees,) * 4
        assert ("country is" in step["seen"], step["to"]) == (True, "ask")
        if not sees:
            assert (step["outcome"], step["asked"]) == ("way 2 holds", "")
            assert "Way 2 holds; goes to ask" in step["sentence"]
            assert "of what the rule counts" in step["seen"]
            assert "way 2: A person looks taken" in page


def test_who_answers_second_reads_what_they_wrote(place: Place, run: int) -> None:
    first, second = (Visitor(place).sign_in("investigator").go(f"{RUNS}/{run}") for _ in range(2))
    first.submit("/answer", answer="yes", reason="Their passport is new.")
    second.submit("/answer", answer="no", reason="I called them & nobody answers:\r\n<twice>.")
    assert second.page.status_code == 409
    question = f"the question &#39;A person looks&#39; of run f:{run}"
    said = f"Nothing was changed: {question} was answered already, by the investigator at "
    assert re.search(re.escape(said) + r"[0-9-]{10} [0-9:]{5} UTC\.", second.text), "a moment is written as on pages"
    assert "Your text: copy it" in second.text
    assert "I called them &amp; nobody answers:\n&lt;twice&gt;.</textarea>" in second.page.text
    assert "What you wrote" not in second.go(f"{RUNS}/{run}").text


@pytest.mark.parametrize(
    ("cause", "shown"),
    [
        ("level:1.1", '<a href="/console/assessments/1.1">assessment 1.1</a>'),
        ("tag-end:7.1764000000000000", "a tag ended"),
        ("transaction:T-1", "a transaction, T-1"),
        ("transaction-settled:T&1", "a settled transaction, T&amp;1"),
        ("transaction:sha256-0c1d", "a transaction"),
        ("segment:1764000000000000", "the value segment changed"),
        ("call:f9d7ba5f0c3e4b21a6d8e7f90123abcd", "a call"),
        ("call:visit-7", "a call, key visit-7"),
        ("group:4.12", "a group was entered or left"),
        ("schedule:2026-11-28T06:00:00Z", "the schedule of 2026-11-28 06:00 UTC"),
    ],
)
def test_what_a_run_was_begun_for_is_said_in_words(
    furnished: Place, monkeypatch: pytest.MonkeyPatch, cause: str, shown: str
) -> None:
    monkeypatch.setattr(runs, "view_run", lambda *of: replace(view_run(*of), cause=cause))
    page = Visitor(furnished).sign_in("investigator").go(f"{RUNS}/1").page.text
    (words,) = re.findall('(?s)<span class="cause">(.*?)</span>', page)
    assert words.strip() == shown


def test_the_open_page_of_a_question_that_nobody_answered_in_time_answers_no_other(place: Place) -> None:
    again = {**ASK, "id": "again", "person": {**ASK["person"], "question": "Did they call?"}}
    ask = {**ASK, "person": {**ASK["person"], "otherwise": "again"}}
    document = flow_document("asked", [ROUTE, ask, again, FLAGGED], actions=ACTIONS, examples=EXAMPLES)
    version = made(place, document.replace('"to": "done"', '"to": "flagged"'))
    activate_flow(Context(place.engine, place.actor("admin")), "asked", version, WHY)
    number = call_flow(Context(place.engine, place.actor("publisher")), "asked", "customer", CUSTOMER).number
    investigator = Visitor(place).sign_in("investigator").go(f"{RUNS}/{number}")
    with Session(place.engine) as session, session.begin():
        session.get_one(FlowRun, number).due_us = now_microseconds()
    while run_flows(place.engine) is not None:
        pass
    investigator.submit("/answer", answer="no", reason="Not in order.")
    assert investigator.page.status_code == 409
    assert f"the question of run f:{number} is another one now" in investigator.text
    assert "Your text: copy it" in investigator.text
    form = next(form for form in investigator.forms() if form.action.endswith("/answer"))
    assert form.fields.get("reason", "") == "", "what was written of the first question is no answer to the second"
    investigator.go(f"{RUNS}/{number}")
    assert "Did they call?" in investigator.text
    investigator.submit("/answer", answer="no", reason="They did not.")
    assert "The answer is stored, and the run continues." in investigator.text


def test_a_program_that_called_is_named_by_the_label_of_its_token(place: Place, run: int) -> None:
    credential = find_credential(place.engine, place.tokens[OURS, "app"])
    assert credential is not None
    app = credential.actor
    number = call_flow(Context(place.engine, app), "asked", "customer", CUSTOMER).number
    with Session(place.engine) as session, session.begin():
        session.get_one(Token, credential.token_id).label = "the case system"
    investigator = Visitor(place).sign_in("investigator").go(f"{RUNS}/{number}")
    assert f"called by the case system ({app.name})" in investigator.text
    assert run != number


DAYS = 3


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["second", CUSTOMER]),
        ("at=ask", [CUSTOMER]),
        ("at=nothing", ["second"]),
        ("at=flagged", []),
        ("since={between}", ["second"]),
        ("until={between}", [CUSTOMER]),
        ("since={between}&until={between}", []),
        ("external_id=second", ["second"]),
        ("external_id=second&at=ask", []),
    ],
)
def test_runs_are_found_by_step_time_and_customer(place: Place, run: int, query: str, found: list[str]) -> None:
    later = now_microseconds() + DAYS * DAY_US
    publisher = place.actor("publisher")
    put_entities(Context(place.engine, publisher), "customer", [EntityRow("second", {"country": "SE"})])
    other = call_flow(Context(place.engine, publisher, lambda: later), "asked", "customer", "second")
    assert (other.state, other.at) == ("ended", "nothing")
    between = from_microseconds(later - DAY_US).date().isoformat()
    listed = Visitor(place).sign_in("investigator").go(f"{RUNS}?flow=asked&{query.format(between=between)}")
    assert listed.page.status_code == 200
    assert [link for link in listed.links() if link.startswith(f"{RUNS}/")] == [
        f"{RUNS}/{run if name == CUSTOMER else other.number}" for name in found
    ]
    assert ("No run matches these filters." in listed.text) == (not found)


def test_another_role_and_who_called_see_why_they_cannot_answer(place: Place, run: int) -> None:
    publisher = Visitor(place).sign_in("publisher").go(f"{RUNS}/{run}")
    assert "A member with the role investigator has to answer." in publisher.text
    assert not [form for form in publisher.forms() if form.action.endswith("/answer")]
    assert "country is NO" in publisher.text
    auditor = Visitor(place).sign_in("investigator").go(f"{RUNS}/{run}")
    assert "country is NO" not in auditor.page.text.partition("passed")[0], "who sees no versions sees no conditions"
    mine = call_flow(Context(place.engine, place.actor("investigator")), "asked", "customer", CUSTOMER).number
    assert f"You called or caused run f:{mine}, so another person has to answer." in auditor.go(f"{RUNS}/{mine}").text


def test_of_a_flow_that_is_off_nobody_is_asked(place: Place, run: int) -> None:
    investigator = Visitor(place).sign_in("investigator").go(f"{RUNS}/{run}")
    switch_flow_off(Context(place.engine, place.actor("publisher")), "asked", WHY)
    investigator.submit("/answer", answer="no", reason="It is not.")
    assert "asks nobody while its flow is switched off" in investigator.text
    investigator.go(f"{RUNS}/{run}")
    assert "The flow is switched off, so no person is asked." in investigator.text
    assert "has to answer until" not in investigator.text, "no end is said of what nobody is asked"
    assert not [mark for mark in ("?.", "!.", "..") if mark in investigator.text]
    assert not [form for form in investigator.forms() if form.action.endswith("/answer")]


def test_a_run_whose_time_was_over_while_the_flow_was_off_is_not_said_to_have_acted(place: Place, run: int) -> None:
    switch_flow_off(Context(place.engine, place.actor("publisher")), "asked", WHY)
    assert run_one(place.engine, run, "a lease", clock=lambda: now_microseconds() + 3 * DAY_US)
    page = Visitor(place).sign_in("investigator").go(f"{RUNS}/{run}").text
    assert "The flow was switched off before this run came to its end: it does nothing any more." in page
    assert "Flag them" not in page.partition("Its way through the flow")[0], "nothing was done"


def test_why_a_run_failed_is_said_once(place: Place) -> None:
    route = {name: value for name, value in BY_COUNTRY.items() if name != "on_unknown"}
    number = made(place, asking("Fails", route))
    activate_flow(Context(place.engine, place.actor("admin")), "asked", number, WHY)
    put_entities(Context(place.engine, place.actor("publisher")), "customer", [EntityRow("second", {})])
    failed = call_flow(Context(place.engine, place.actor("publisher")), "asked", "customer", "second")
    assert failed.error is not None
    short = failed.error.replace("country is IR (way 1)", "way 1 holds")
    for role, words in (("publisher", failed.error), ("investigator", short)):
        page = Visitor(place).sign_in(role).go(f"{RUNS}/{failed.number}").text
        assert page.count(words) == 1


def test_a_shadow_that_comes_to_other_ends_is_shown_with_the_people(place: Place, run: int) -> None:
    passing = {**BY_COUNTRY, "route": [{"when": {"field": "country", "equals": "NO"}, "to": "nothing"}]}
    number = made(place, asking("More", {**passing, "otherwise": "ask", "on_unknown": "ask"}))
    shadow_flow(Context(place.engine, place.actor("publisher")), "asked", number, WHY)
    publisher = Visitor(place).sign_in("publisher").go("/console/flows/asked/shadow")
    assert "Since then, no cause has started both." in publisher.text
    call_flow(
        Context(place.engine, place.actor("publisher")),
        "asked",
        "customer",
        CUSTOMER,
    )
    while run_flows(place.engine) is not None:
        pass
    publisher.go("/console/flows/asked/shadow")
    assert "Both ran for 1 causes; 1 led to different ends, actions or amounts." in publisher.text
    assert "ask waiting nothing 1" in publisher.text
    assert PAGE in publisher.links()
    assert "None." in publisher.go("/console/flows/asked/shadow?acting=none").text
    shadow = publisher.go(f"{RUNS}?acting=shadow&flow=asked").links()
    publisher.go(next(link for link in shadow if link.startswith(f"{RUNS}/")))
    assert "It ran as a shadow, and took no actions" in publisher.text


def test_filters_that_find_nothing_and_runs_that_are_not_there(place: Place) -> None:
    visitor = Visitor(place).sign_in("investigator")
    assert "No run matches these filters." in visitor.go(f"{RUNS}?flow=none").text
    assert "there is no" in visitor.go(f"{RUNS}?external_id=none").text
    assert visitor.go(f"{RUNS}?state=gone").page.status_code == 422
    for number in ("0", "999999", "x", "9" * 40):
        assert visitor.go(f"{RUNS}/{number}").page.status_code == 404
    assert "No flow has run yet." in Visitor(place).sign_in("investigator", THEIRS).go(RUNS).text


def test_a_quarantined_run_is_tried_again_by_a_person(place: Place, run: int) -> None:
    with Session(place.engine) as session, session.begin():
        quarantined(session, run)
    investigator = Visitor(place).sign_in("investigator").go(f"{RUNS}?state=quarantined")
    assert f"{RUNS}/{run}" in investigator.links()
    investigator.go(f"{RUNS}/{run}").submit("/retry")
    assert "A worker will try the run again." in investigator.text
    assert not [form for form in investigator.forms() if form.action.endswith("/retry")]
