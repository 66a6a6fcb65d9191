"""What flows ask, through the console's queue: answered, reviewed, and on to the next item."""

import pytest

from fivefold.usecases.flows.activate import activate_flow
from fivefold.usecases.flows.runs.calling import call_flow
from fivefold.usecases.shared.context import Context
from tests.console.flows.test_flow_runs import asking, made
from tests.console.queue.test_queue import onwards, start
from tests.console.visitors import Visitor
from tests.serving.v1.examples import CUSTOMER, WHY
from tests.serving.v1.places import Place


@pytest.fixture
def runs(place: Place) -> list[int]:
    """Two runs that wait for an investigator, and nothing else of flows; called by the publisher."""
    place.good("POST", "/v1/flow-runs/3/answer", {"answer": "aye", "reason": WHY}, role="investigator")
    for item in place.good("GET", "/v1/queue", role="admin", params={"kind": "flow_review"}):
        body = {"revision": item["revision"], "done": True, "reason": WHY}
        assert place.good("PUT", f"/v1/queue/{item['item']}", body, role="investigator") is None
    author = Context(place.engine, place.actor("publisher"))
    activate_flow(Context(place.engine, place.actor("admin")), "asked", made(place, asking("Asked")), WHY)
    return [call_flow(author, "asked", "customer", CUSTOMER, run_key=key).number for key in ("one", "two")]


def test_an_investigator_answers_what_the_queue_leads_to_and_goes_on(place: Place, runs: list[int]) -> None:
    visitor = Visitor(place).sign_in("investigator").go("/console/queue?kind=question")
    assert "2 in the queue: 0 overdue, 0 due within a day, 2 later." in visitor.text
    assert "Question of a flow asked" in visitor.text
    assert "Is it in order?" in visitor.text
    start(visitor, "?kind=question")
    assert visitor.page.url.path == f"/console/flow-runs/{runs[0]}"
    visitor.submit("/assign")
    assert "assigned to the investigator" in visitor.text
    visitor.go(f"/console/flow-runs/{runs[0]}?{visitor.page.url.query.decode()}")
    visitor.submit("/answer", answer="no", reason="It is not.")
    assert "The answer is stored, and the run continues." in visitor.text
    assert "This item has left the queue" in visitor.text
    onwards(visitor)
    assert visitor.page.url.path == f"/console/flow-runs/{runs[1]}"
    visitor.submit("/answer", answer="yes", reason="It is.")
    onwards(visitor)
    assert "That was the last item." in visitor.text
    assert "Nothing is waiting here." in visitor.text


def test_an_address_of_the_queue_says_nothing_of_it_to_a_role_that_has_no_such_items(
    place: Place, runs: list[int]
) -> None:
    investigator = start(Visitor(place).sign_in("investigator"), "?kind=question")
    copied = f"/console/flow-runs/{runs[0]}?{investigator.page.url.query.decode()}"
    for role, in_queue in (("approver", False), ("publisher", False), ("admin", True)):
        reader = Visitor(place).sign_in(role).go(copied)
        assert "has left the queue" not in reader.text
        assert ("Next in queue" in reader.text) == in_queue


def test_a_review_is_done_from_the_queue_with_what_it_came_to(place: Place, runs: list[int]) -> None:
    visitor = start(Visitor(place).sign_in("investigator"), "?kind=question")
    visitor.submit("/answer", answer="no", reason="It is not.")
    start(visitor, "?kind=flow_review")
    assert "Review of the customer asked" in visitor.text
    assert "Review tomorrow" in visitor.text
    visitor.submit("/put-away", reason=" ")
    assert visitor.page.status_code == 422
    assert "reason must say why" in visitor.text
    visitor.submit("/put-away", reason="Spoken to.")
    assert "That was the last item." in visitor.text
    run = visitor.go(f"/console/flow-runs/{runs[0]}")
    assert "Reviewed by the investigator" in run.text
    assert "Spoken to." in run.text


def test_a_review_is_done_on_the_page_of_its_run(place: Place, runs: list[int]) -> None:
    visitor = Visitor(place).sign_in("investigator").go(f"/console/flow-runs/{runs[0]}")
    visitor.submit("/answer", answer="no", reason="It is not.").submit("/reviewed", reason="Spoken to.")
    assert "The review is recorded as done." in visitor.text
    assert not [form for form in visitor.forms() if form.action.endswith("/reviewed")]
    assert "Nothing is waiting here." in visitor.go("/console/queue?kind=flow_review").text


def test_who_called_a_run_sees_its_question_and_cannot_take_it(place: Place, runs: list[int]) -> None:
    mine = call_flow(Context(place.engine, place.actor("investigator")), "asked", "customer", CUSTOMER).number
    visitor = start(Visitor(place).sign_in("investigator"), "?kind=question&order=newest")
    assert visitor.page.url.path == f"/console/flow-runs/{mine}"
    assert f"You called or caused run f:{mine}, so another person has to answer." in visitor.text
    visitor.submit("/assign")
    assert visitor.page.status_code == 409
    assert "another person must answer it" in visitor.text


def test_the_queue_is_looked_through_by_the_flow_that_asks_and_keeps_that_on_the_way(
    place: Place, runs: list[int]
) -> None:
    visitor = Visitor(place).sign_in("investigator").go("/console/queue")
    assert 'name="flow"' in visitor.page.text
    everything = visitor.text
    visitor.go("/console/queue?flow=asked")
    assert "2 in the queue: 0 overdue, 0 due within a day, 2 later." in visitor.text
    assert "2 in the queue: 0 overdue, 0 due within a day, 2 later." not in everything
    assert "kind=&amp;assigned=mine&amp;type=&amp;level=&amp;flow=asked" in visitor.page.text
    start(visitor, "?flow=asked")
    visitor.submit("/answer", answer="yes", reason="It is.")
    onwards(visitor)
    assert visitor.page.url.path == f"/console/flow-runs/{runs[1]}"
    assert Visitor(place).sign_in("investigator").go("/console/queue?flow=nothing").page.status_code == 404


def test_a_filter_by_flow_is_kept_under_a_name_and_asked_over_v1(place: Place, runs: list[int]) -> None:
    saved = {"filters": {"flow": "asked", "order": "newest"}}
    place.good("PUT", "/v1/queue/views/asked", saved, role="investigator")
    (view,) = [each for each in place.good("GET", "/v1/queue/views", role="investigator") if each["name"] == "asked"]
    assert view["filters"] == saved["filters"]
    found = place.good("GET", "/v1/queue?flow=asked", role="investigator")
    assert {each["run"] for each in found} == set(runs)
    counts = place.good("GET", "/v1/queue/count?flow=asked", role="investigator")
    assert sum(each["later"] for each in counts) == 2
    assert place.good("GET", "/v1/queue?flow=asked&kind=rise", role="investigator") == []
    assert place.ask("GET", "/v1/queue?flow=nothing", role="investigator").status_code == 404
