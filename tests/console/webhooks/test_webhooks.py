"""Webhooks in the console: added, changed, paused, removed; a secret is shown once; who came second is told so."""

import re

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from fivefold.store.tables.audit import AuditEntry
from fivefold.store.tables.events import Delivery, Endpoint
from fivefold.usecases.shared.context import Context
from fivefold.usecases.webhooks import endpoints
from fivefold.usecases.webhooks.plan import number_from_now
from tests.console.test_queries import count
from tests.console.visitors import Visitor
from tests.serving.v1.more_rows import MORE
from tests.serving.v1.places import OURS, THEIRS, Place

WEBHOOKS = "/console/operations/webhooks"
HOOK = f"{WEBHOOKS}/1"


def secret(visitor: Visitor) -> str:
    """The secret that the page shows."""
    found = re.search(r'id="secret"[^>]* value="(whsec_[^"]+)"', visitor.page.text)
    assert found, visitor.text
    return found[1]


def actions(place: Place) -> list[str]:
    """What the audit log says was done to endpoints since the place was made."""
    with Session(place.engine) as session:
        statement = select(AuditEntry.action).where(AuditEntry.subject_kind == "endpoint").order_by(AuditEntry.number)
        return [action.removeprefix("webhook.") for action in session.scalars(statement)][1:]


def test_an_endpoint_is_added_once_and_its_secret_shown_once(place: Place, admin: Visitor) -> None:
    form = next(form for form in admin.go(WEBHOOKS).forms() if form.action.endswith("/add"))
    typed = {**form.fields, "url": "https://example.com/in?<b>", "kinds": "level.reached, group.entered"}
    made = secret(admin.post(form.action, typed))
    assert admin.page.headers["cache-control"] == "no-store"
    assert made not in str(admin.page.url)
    assert admin.go(f"{WEBHOOKS}/2").page.text.count(made) == 0
    assert "group.entered, level.reached" in admin.text
    assert "none in 30 days" in admin.text
    assert "<b>" not in admin.page.text
    assert admin.post(form.action, typed).page.status_code == 409
    assert "this form was already sent" in admin.text
    assert admin.go(WEBHOOKS).text.count("https://example.com/in") == 1
    assert actions(place) == ["added"]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://10.0.0.1/", "which is private"),
        ("https://169.254.169.254/", "which is link-local"),
        ("http://example.com/", "it must be https://"),
        ("ftp://example.com", "it must be https://"),
        ("", "Address is empty"),
    ],
)
def test_addresses_are_refused_as_v1_refuses_them(place: Place, url: str, said: str) -> None:
    admin = Visitor(place).sign_in("admin").go(WEBHOOKS).submit("/add", url=url, kinds="a")
    assert admin.page.status_code == 422
    assert said in admin.text
    assert f'value="{url}"' in admin.page.text
    assert actions(place) == []


def test_what_was_changed_meanwhile_is_not_overwritten(place: Place, admin: Visitor) -> None:
    admin.go(HOOK)
    stale = {form.action.rpartition("/")[2]: form for form in admin.forms()}
    endpoints.change_kinds(Context(place.engine, place.actor("admin")), 1, ["group.entered"])
    for action in ("change-kinds", "rotate", "remove"):
        form = stale[action]
        admin.post(form.action, {**form.fields, "kinds": "level.reached", "kept_hours": "24", "confirmed": "1"})
        assert admin.page.status_code == 409, action
        assert "endpoint 1 was changed meanwhile" in admin.text
    assert actions(place) == ["kinds_changed"]
    assert "group.entered" in admin.go(HOOK).text
    admin.submit("/change-kinds", kinds="level.reached")
    assert "The endpoint receives these events from now on." in admin.text
    admin.submit("/change-kinds", kinds="level.reached")
    assert "It was so already." in admin.text
    admin.submit("/change-kinds", kinds="No Kind!")
    assert admin.page.status_code == 422
    assert 'value="No Kind!"' in admin.page.text


def test_a_secret_is_rotated_and_the_older_one_ended(place: Place, admin: Visitor) -> None:
    admin.go(HOOK)
    assert not [form for form in admin.forms() if form.action.endswith("/drop-old")]
    first = secret(admin.submit("/rotate", kept_hours="24"))
    assert first not in admin.go(HOOK).page.text
    assert "Signing secrets 2" in admin.text
    admin.submit("/drop-old")
    assert "Only the newest secret signs from now on." in admin.text
    assert secret(admin.submit("/rotate", kept_hours="0")) != first
    assert "Signing secrets 1" in admin.go(HOOK).text
    assert admin.submit("/rotate", kept_hours="99").page.status_code == 422
    assert actions(place) == ["secret_rotated", "old_secrets_dropped", "secret_rotated"]


def test_an_endpoint_is_paused_goes_on_and_is_removed(place: Place, admin: Visitor) -> None:
    admin.go(HOOK).submit("/switch")
    assert "The endpoint is paused. New events wait meanwhile." in admin.text
    assert "paused: events wait" in admin.go(WEBHOOKS).text
    admin.go(HOOK).submit("/switch")
    assert "The endpoint receives events again." in admin.text
    fields = next(form for form in admin.forms() if form.action.endswith("/remove")).fields
    fields.pop("confirmed", None)
    assert "tick the box first" in admin.post(f"{HOOK}/remove", fields).text
    admin.submit("/remove", confirmed="1")
    assert "The endpoint is removed." in admin.text
    assert "There are no endpoints." in admin.text
    assert admin.go(HOOK).page.status_code == 404
    assert actions(place) == ["disabled", "enabled", "removed"]


def test_how_an_endpoint_gets_on_is_told(place: Place, admin: Visitor) -> None:
    assert "No endpoint is failing, and no event was given up." in admin.go(WEBHOOKS).text
    for number in range(3):
        MORE["list_failing"](place, number)
    with Session(place.engine) as session, session.begin():
        arrived, *_, failing = session.scalars(select(Delivery).order_by(Delivery.event_number))
        arrived.state, arrived.delivered_us = "delivered", 1_800_000_000_000_000
        failing.error = "<i>answered 500</i>"
    admin.go(WEBHOOKS)
    assert "Endpoints that are failing: 1." in admin.text
    assert "2027-01-15 08:00 UTC" in admin.text
    admin.go(HOOK)
    assert "2 failed and will be tried again, the first" in admin.text
    assert "3 of 14" in admin.text
    assert "&lt;i&gt;answered 500" in admin.page.text


def test_one_dead_letter_with_a_number_of_today_is_sent_again(place: Place, admin: Visitor) -> None:
    number_from_now(place.engine)
    for number in range(2):
        MORE["list_dead_letters"](place, number)
    replays = [form for form in admin.go(HOOK).forms() if form.action.endswith("/replay") and "sequence" in form.fields]
    assert min(int(form.fields["sequence"]) for form in replays[-2:]) > 10**15
    admin.post(replays[-1].action, replays[-1].fields)
    assert admin.page.status_code == 200, admin.text
    assert len([form for form in admin.forms() if "sequence" in form.fields]) == len(replays) - 1


def test_pages_of_more_rows_ask_as_often(place: Place, admin: Visitor) -> None:
    addresses = (WEBHOOKS, HOOK)
    few = [count(admin, address) for address in addresses]
    for number in range(60):
        for name in ("list_dead_letters", "list_failing", "list_endpoints"):
            MORE[name](place, number)
    assert [count(admin, address) for address in addresses] == few
    assert max(few) <= 12
    (following,) = [link for link in admin.go(WEBHOOKS).links() if "after=" in link]
    assert admin.go(following).text.count("https://example.com/hook") == 11


def test_an_organisation_without_endpoints_is_told_so(place: Place) -> None:
    visitor = Visitor(place).sign_in("admin", THEIRS).go(WEBHOOKS)
    assert "No system receives events yet." in visitor.text
    with Session(place.engine) as session:
        ours = session.scalars(select(Endpoint.organisation_id)).all()
    assert set(ours) == {place.organisations[OURS]}
