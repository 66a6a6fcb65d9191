"""Replays of a flow in the console: requested by a form, read with the people, and cancelled."""

import re

import pytest

from fivefold.usecases.flows.replays.jobs import REPLAYS
from fivefold.usecases.shared.jobs import run_next_job
from tests.console.flows.test_flows import MINE, WHY, committed
from tests.console.visitors import Visitor
from tests.serving.v1.places import THEIRS, Place
from tests.usecases.flows.documents import BY_COUNTRY, flow_document
from tests.usecases.groups.grouped import HIGH
from tests.usecases.groups.grouped import document as group

VERSION = f"{MINE}/versions/1"
REASON = {"reason": "it is a test"}
NOT_KNOWN = {name: value for name, value in BY_COUNTRY.items() if name != "on_unknown"}


@pytest.fixture
def publisher(place: Place) -> Visitor:
    """A publisher of the bank, signed in, who committed a version and stays on its page."""
    return committed(Visitor(place).sign_in("publisher"), flow_document("mine"))


def worked(place: Place) -> None:
    while run_next_job(place.engine, REPLAYS):
        pass


def test_a_replay_of_everybody_is_asked_for_and_its_people_are_read(place: Place, publisher: Visitor) -> None:
    assert "It has not been replayed over history." in publisher.text
    publisher.submit("/replay", kind="everybody", beside="alone")
    assert "The replay is requested." in publisher.text
    assert "It is waiting for a worker." in publisher.text
    result = publisher.page.url.path
    assert "Queued" in publisher.go(VERSION).text.partition("Replays of this version")[2]
    publisher.submit("/replay", kind="everybody", beside="alone")
    assert "is already waiting or running" in publisher.text
    assert publisher.page.url.path == result
    worked(place)
    publisher.go(result)
    assert "Checked: 1. Runs that would do something" in publisher.text
    assert "Nothing is done 1 show" in publisher.text
    assert "No run failed." in publisher.text
    assert "No run continued with a stored answer." in publisher.text
    text = publisher.go(VERSION).text
    assert "Checked: 1. Runs that would do something" in text.partition("Over history")[2]
    assert result in publisher.links()


def test_two_versions_are_compared_and_the_customer_is_led_to(place: Place, publisher: Visitor) -> None:
    Visitor(place).sign_in("admin").go(VERSION).submit("/activate", **WHY, confirmed="yes")
    everybody = [{"when": {"field": "country", "in": ["IR", "NO", "SE"]}, "to": "done"}]
    looks = flow_document("mine", [{**BY_COUNTRY, "route": everybody}], examples=[])
    committed(publisher, looks)
    publisher.submit("/replay", kind="everybody", beside="")
    worked(place)
    publisher.go(publisher.page.url.path)
    assert "Checked: 1. Runs with another outcome than by version 1: 1, customers: 1." in publisher.text
    assert "Review tomorrow look 0 1" in publisher.text
    customer = [link for link in publisher.links() if link.startswith("/console/entities/customer/")]
    assert len(customer) == 1
    people = next(link for link in publisher.links() if link.endswith("before=nothing&stopped=done#people"))
    assert customer[0] in publisher.go(people).links()
    assert "Nothing is done → Done · all customers" in publisher.text
    assert "None." in publisher.go(people.replace("stopped=done", "stopped=nothing")).text
    assert Visitor(place).sign_in("admin").go(customer[0]).page.status_code == 200
    other = Visitor(place).sign_in("publisher", THEIRS)
    assert other.go(publisher.page.url.path).page.status_code == 404


def test_a_page_that_is_too_old_lets_nothing_act_and_a_fresh_one_says_what_its_replay_was_beside(
    place: Place, publisher: Visitor
) -> None:
    other = Visitor(place).sign_in("admin").go(VERSION).submit("/activate", **WHY, confirmed="yes")
    committed(publisher, flow_document("mine", title="Two"))
    other.go(f"{MINE}/versions/2").submit("/activate", **WHY, confirmed="yes")
    committed(publisher, flow_document("mine", title="Three"))
    publisher.submit("/replay", kind="everybody", beside="")
    worked(place)
    third = f"{MINE}/versions/3"
    assert "is stored with the activation." in other.go(third).text
    Visitor(place).sign_in("admin").go(MINE).submit("/roll-back", **WHY, version="1")
    other.submit("/activate", **WHY, confirmed="yes")
    assert other.page.status_code == 409
    assert "the version of the flow mine that acts is 1 now; it was 2 when this was looked at" in other.text
    assert "It compares with version 2, which does not act now." in other.text
    assert "No replay of it compared with version 1, which acts, is done" in other.text
    other.submit("/activate", **WHY, confirmed="yes")
    assert "The version acts from now on." in other.text
    assert "activated without a replay over history" in other.go(MINE).text
    form = next(form for form in other.go(MINE).forms() if form.action.endswith("/roll-back"))
    Visitor(place).sign_in("admin").go(MINE).submit("/roll-back", **WHY, version="1")
    assert re.search(r"2: committed \d+ \w+ \d+ by the \w+, last activated \d+ \w+ \d+ by the \w+", other.text)
    other.post(form.action, {**form.fields, **WHY, "version": "2", "seen_content_2": "0" * 64})
    assert (other.page.status_code, "version 2 of the flow mine says something else now" in other.text) == (409, True)
    other.post(form.action, {**form.fields, **WHY, "version": "2"})
    assert (other.page.status_code, "that acts is 1 now; it was 3" in other.text) == (409, True)


def test_what_failed_is_said_with_the_fact_that_was_missing(place: Place, publisher: Visitor) -> None:
    route = [{"when": {"value": "score", "at_least": 4}, "to": "done"}]
    committed(publisher, flow_document("mine", [{**NOT_KNOWN, "route": route}], examples=[]))
    publisher.submit("/replay", kind="everybody", beside="alone")
    worked(place)
    publisher.go(publisher.page.url.path)
    failed = publisher.text.partition("What failed, and why")[2]
    assert "Where they live 1 it is not known whether" in failed
    assert "unknown (1)" in failed


def test_a_flow_for_the_members_of_a_group_is_replayed_for_them_and_the_page_says_so(
    place: Place, publisher: Visitor
) -> None:
    place.good("POST", "/v1/groups", {"document": group(HIGH), **REASON, "accept_warnings": "known"}, role="publisher")
    place.good("POST", "/v1/groups/watched/versions/1/approve", REASON, role="admin")
    daily = {"on": "schedule", "every": "day", "at": "09:00", "zone": "UTC", "group": "watched"}
    committed(publisher, flow_document("mine", triggers=[daily]))
    publisher.submit("/replay", kind="everybody", beside="alone", as_of="2020-01-01")
    worked(place)
    text = publisher.go(publisher.page.url.path).text
    assert "It replays members of watched, as of" in text
    assert "The group watched came into force on" in text
    assert "before that it had no members." in text
    assert "Nothing ran." in text
    assert "before that it had no members." in publisher.go(VERSION.replace("1", "2")).text.partition("Over history")[2]


@pytest.mark.parametrize(
    ("typed", "field", "said"),
    [
        ({"kind": "everybody", "as_of": "2999-01-01"}, "as_of", "still to come"),
        ({"kind": "everybody", "as_of": "soon"}, "as_of", "must be an ISO 8601 date"),
        ({"kind": "period"}, "from", "is empty"),
        ({"kind": "period", "from": "2026-01-01"}, "until", "is empty"),
        ({"kind": "period", "from": "2026-02-01", "until": "2026-01-01"}, "until", "must be before"),
        ({"kind": "period", "from": "2026-01-01", "until": "2026-02-01"}, "kind", "replay it for everybody"),
        ({"kind": "period", "from": "2026-01-01", "until": "2999-02-01"}, "until", "still to come"),
        ({"kind": "nothing"}, "kind", "choose what is replayed"),
        ({"kind": "everybody", "beside": "1"}, "beside", "cannot be compared with itself"),
    ],
)
def test_what_cannot_be_replayed_is_said_beside_the_field_and_what_was_typed_stays(
    publisher: Visitor, typed: dict[str, str], field: str, said: str
) -> None:
    publisher.submit("/replay", **{"beside": "alone", **typed})
    assert publisher.page.status_code == 422
    assert said in publisher.page.text.partition(f'id="{field}-fault">')[2].partition("</p>")[0]
    assert publisher.page.text.count('<p class="fault"') == 1
    assert f'aria-describedby="{field}-fault' in publisher.page.text
    for name in ("as_of", "from", "until"):
        assert f'name="{name}" type="date" value="{typed.get(name, "")}"' in publisher.page.text


def test_one_that_waits_is_cancelled_with_a_reason(place: Place, publisher: Visitor) -> None:
    publisher.submit("/replay", kind="everybody", beside="alone")
    publisher.submit("/cancel", reason=" ")
    assert 'id="reason-fault">Reason is empty' in publisher.page.text
    publisher.submit("/cancel", reason="another one is to come")
    assert "The replay is cancelled." in publisher.text
    assert "cancelled it: another one is to come" in publisher.text
    assert "member:" not in publisher.text
    worked(place)
    assert "It was cancelled, so it has no results." in publisher.go(publisher.page.url.path).text
