"""Groups in the console: from a text to members, with sizes by day; the commercial role sees what is its own."""

import re

from sqlalchemy import select
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US, now_microseconds
from fivefold.store.tables.entities import Entity
from fivefold.store.tables.groups import GroupMember, GroupSize, NamedGroup
from tests.console.visitors import Visitor, send_text
from tests.serving.v1.examples import COMPANY
from tests.serving.v1.more_rows import MORE
from tests.serving.v1.places import Place
from tests.usecases.groups.grouped import HIGH, WORTH, document

GROUPS = "/console/groups"
GROUP = f"{GROUPS}/high-ones"
MARKUP = "<script>alert('x')</script>"
LOOKED_AT = {"reason": "a new threshold", "accept_warnings": "known"}


def test_a_text_with_a_mistake_is_shown_and_one_without_becomes_a_version_that_another_person_approves(
    place: Place, publisher: Visitor
) -> None:
    publisher.go("/console/new-group")
    send_text(publisher, "check", document({"level": "in_force", "at_least": "huge"}, "mine"))
    assert "Faults: 1." in publisher.text
    send_text(publisher, "propose", document(HIGH, "mine"), reason=MARKUP)
    assert "Nothing was changed" in publisher.text, "there are doubts that nobody accepted"
    assert "mine" not in publisher.go(GROUPS).text
    send_text(publisher.go("/console/new-group"), "propose", document(HIGH, "mine"), **LOOKED_AT)
    assert publisher.page.url.path == f"{GROUPS}/mine/versions/1"
    assert "You wrote it, so another person has to approve it." in publisher.text
    other = Visitor(place).sign_in("admin").go(f"{GROUPS}/mine/versions/1")
    form = next(form for form in other.forms() if form.action.endswith("/approve"))
    other.post(form.action, {**form.fields, "reason": "seen"})
    assert "confirm that you have checked what changes" in other.text
    other.post(form.action, {**form.fields, "reason": "seen", "confirmed": "yes"})
    assert "It has determined the members since" in other.text
    assert "version 1 is in force" in other.go(GROUPS).text
    retire = next(form for form in other.go(f"{GROUPS}/mine/versions/1").forms() if form.action.endswith("/retire"))
    other.post(retire.action, {**retire.fields, "reason": "over"})
    text = other.go(f"{GROUPS}/mine").text
    assert "No version is in force" in text
    assert re.search(r"It was in force from \S+ \S+ UTC to \S+ \S+ UTC ?\. It was ended by the admin: over", text)
    text = other.go(f"{GROUPS}/mine/versions/1").text
    assert re.search(r"It determined them from \S+ \S+ UTC to \S+ \S+ UTC ?\. It was ended by the admin: over", text)


def test_a_version_shows_what_it_changes_and_the_editor_begins_with_it(publisher: Visitor) -> None:
    text = publisher.go(f"{GROUP}/versions/2").text
    assert "What changes from version 1" in text
    assert "Doubts" in text
    assert publisher.go(f"{GROUP}/versions/9").page.status_code == 404
    assert publisher.go(f"{GROUPS}/none").page.status_code == 404
    assert "&#34;group&#34;: &#34;high-ones&#34;" in publisher.go("/console/new-group?group=high-ones&version=2").text


def test_a_proposed_version_does_not_wait_once_a_newer_one_is_in_force(publisher: Visitor) -> None:
    publisher.go(f"{GROUP}/versions/2").submit("/approve", reason="seen", confirmed="yes")
    assert "It has determined the members since" in publisher.text
    publisher.go(f"{GROUP}/versions/1")
    assert "can no longer be approved: version 2 is active and newer" in publisher.text
    assert [form.action.rpartition("/")[2] for form in publisher.forms() if "/versions/" in form.action] == ["retire"]
    assert "is waiting for approval" not in publisher.go(GROUPS).text


def test_a_page_that_is_too_old_approves_nothing(place: Place, publisher: Visitor) -> None:
    first, second = f"{GROUP}/versions/1", f"{GROUP}/versions/2"
    other = Visitor(place).sign_in("admin").go(second)
    assert "What changes from version 1" in other.text, "nothing is in force"
    publisher.go(first).submit("/approve", reason="seen", confirmed="yes")
    other.submit("/approve", reason="seen", confirmed="yes")
    assert other.page.status_code == 409
    assert "the active version of high-ones is 1 now; it was none when this was looked at" in other.text
    other.submit("/approve", reason="seen", confirmed="yes")
    assert "It has determined the members since" in other.text


def test_a_refusal_that_comes_too_late_retires_no_version_in_force(place: Place, publisher: Visitor) -> None:
    second = f"{GROUP}/versions/2"
    other = Visitor(place).sign_in("admin").go(second)
    Visitor(place).sign_in("admin").go(second).submit("/approve", reason="seen", confirmed="yes")
    other.submit("/retire", reason="Nobody checks it")
    assert other.page.status_code == 409
    assert "version 2 of high-ones is active now; it was proposed when this was looked at" in other.text
    assert "Nobody checks it" in other.text, "what was written is kept"
    assert "version 2 is in force" in other.go(GROUPS).text
    stale = {"reason": "Nobody checks it", "expected_state": "proposed"}
    assert place.ask("POST", "/v1/groups/high-ones/versions/2/retire", stale, role="publisher").status_code == 409
    other.go(second).submit("/retire", reason="Nobody checks it")
    assert "No version is in force" in other.go(GROUP).text


def test_two_who_write_a_version_at_once_see_each_other(place: Place, publisher: Visitor) -> None:
    edit = "/console/new-group?group=high-ones&version=2"
    other = Visitor(place).sign_in("admin").go(edit)
    publisher.go(edit)
    send_text(other, "propose", document(WORTH, "high-ones", purpose="both", title="Theirs"), **LOOKED_AT)
    theirs = other.page.url.path
    mine = document(WORTH, "high-ones", purpose="both", title="Mine")
    send_text(publisher, "check", mine)
    for _ in range(2):
        send_text(publisher, "propose", mine, **LOOKED_AT)
        assert publisher.page.status_code == 409, "looking at it is not agreeing to it"
    assert "the admin proposed version 3 now" in publisher.text
    assert theirs in publisher.links()
    assert "&#34;title&#34;: &#34;Mine&#34;" in publisher.text
    send_text(publisher, "propose", mine, over="3", **LOOKED_AT)
    assert publisher.page.url.path == f"{GROUP}/versions/4"
    send_text(publisher.go(edit), "propose", document(HIGH, "copied"), **LOOKED_AT)
    assert publisher.page.url.path == f"{GROUPS}/copied/versions/1", "another name makes another group"
    send_text(publisher.go("/console/new-group"), "propose", document(HIGH, "copied", title="Again"), **LOOKED_AT)
    assert (publisher.page.status_code, "newest version of copied is 1 now" in publisher.text) == (409, True)


def test_members_moves_and_sizes_are_shown_and_a_day_without_a_count_is_a_gap(place: Place, publisher: Visitor) -> None:
    assert "There is no count yet" in publisher.go(GROUP).text
    MORE["list_group_members"](place, 1)
    today = now_microseconds() // DAY_US
    with Session(place.engine) as session, session.begin():
        group = session.scalars(select(NamedGroup.id).where(NamedGroup.name == "high-ones")).first()
        for day, members in ((today - 3, 4), (today - 2, 5), (today, 7)):
            session.add(GroupSize(group_id=group, day=day, at_us=day * DAY_US, members=members, unknown=1))
    text = publisher.go(GROUP).text
    assert "assessed 1" in text
    assert "entered" in text
    assert "From 4 to 7" in text
    path = publisher.page.text.partition('class="spark"')[2].partition('<path d="')[2].partition('"')[0]
    assert path.count("M") == 2, "the line does not cross the day that was not counted"


def test_the_commercial_role_sees_groups_of_its_own_alone_and_no_threshold(place: Place, publisher: Visitor) -> None:
    send_text(publisher.go("/console/new-group"), "propose", document(HIGH, "watched"), **LOOKED_AT)
    send_text(
        publisher.go("/console/new-group"), "propose", document(WORTH, "calls", purpose="commercial"), **LOOKED_AT
    )
    seller = Visitor(place).sign_in("commercial")
    text = seller.go(GROUPS).text
    assert "calls" in text
    assert "watched" not in text
    assert seller.go(f"{GROUPS}/watched").page.status_code == 404
    assert "Its versions" not in seller.go(f"{GROUPS}/calls").text
    assert seller.go(f"{GROUPS}/calls/versions/1").page.status_code == 403


def test_a_customer_shows_its_groups(place: Place, publisher: Visitor) -> None:
    path = f"/console/entities/company/{COMPANY}"
    assert GROUP not in publisher.go(path).links()
    with Session(place.engine) as session, session.begin():
        group = session.scalars(select(NamedGroup.id).where(NamedGroup.name == "high-ones")).one()
        entity = session.scalars(select(Entity.id).where(Entity.external_id == COMPANY)).first()
        of = {"is_member": True, "is_unknown": False, "since_us": 1, "moves": 1}
        session.add(GroupMember(group_id=group, entity_id=entity, **of))
    assert GROUP in publisher.go(path).links()
