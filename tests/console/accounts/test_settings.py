"""Settings with the values that a person saw, and plans with what was used up of them."""

import re
from typing import Any

import pytest
from sqlalchemy.orm import Session

from fivefold.store.tables.accounts import Usage
from fivefold.store.tables.entities import OrganisationSettings
from fivefold.usecases.accounts.credentials import month_of
from fivefold.usecases.accounts.settings import read_settings
from fivefold.usecases.shared.actors import Role
from fivefold.usecases.shared.context import Context
from tests.console.test_queries import count
from tests.console.visitors import Visitor
from tests.serving.v1.more_rows import MORE
from tests.serving.v1.places import OURS, THEIRS, Place

SETTINGS, USAGE = "/console/administration/settings", "/console/administration/usage"


def present(place: Place, organisation: str = THEIRS) -> Any:
    return read_settings(Context(place.engine, place.actor("admin", organisation)))


@pytest.fixture
def theirs(place: Place) -> Visitor:
    """An administrator of an organisation in which nothing decides yet."""
    return Visitor(place).sign_in("admin", THEIRS).go(SETTINGS)


def test_what_differs_is_changed_and_nothing_else(place: Place, theirs: Visitor) -> None:
    before = present(place)
    theirs.submit("/change", override_cap_percent="17", two_people_promote="1")
    assert "The settings are changed." in theirs.text
    after = present(place)
    assert (after.override_cap_percent, after.two_people_promote) == (17, True)
    assert (after.retention_days, after.programs_lower_levels) == (before.retention_days, before.programs_lower_levels)


def test_the_days_of_challenges_are_set_within_their_bounds(place: Place, theirs: Visitor) -> None:
    theirs.submit("/change", challenge_days="366", two_people_promote="1")
    assert 'name="two_people_promote" value="1" checked' in theirs.page.text
    assert "It is off now." in theirs.text
    assert 'name="programs_lower_levels" value="1" checked' not in theirs.page.text
    assert "challenge_days is 366; it must be a whole number from 1 to 365" in theirs.text
    assert present(place).challenge_days == 30
    theirs.submit("/change", challenge_days="14")
    assert "The settings are changed." in theirs.text
    assert present(place).challenge_days == 14


def test_a_change_is_proposed_once_anything_decides(place: Place) -> None:
    admin = Visitor(place).sign_in("admin").go(SETTINGS)
    before = present(place, OURS)
    admin.submit("/change", retention_days="3000")
    assert admin.page.status_code == 422
    assert "reason" in admin.text
    assert 'value="3000"' in admin.page.text
    admin.submit("/change", retention_days="3000", reason="The supervisor asks for it.")
    assert "is proposed. Another administrator has to approve it." in admin.text
    assert re.search(r"change \d+ ?\(retention days, the admin\)", admin.text)
    newest = place.good("GET", "/v1/proposals", role="admin")[0]["id"]
    assert f"/console/proposals/{newest}" in admin.links()
    assert present(place, OURS) == before


def proposed(visitor: Visitor, **values: str) -> Visitor:
    """The page of a change of settings that the visitor proposes."""
    visitor.go(SETTINGS).submit("/change", reason="As agreed.", **values)
    newest = visitor.place.good("GET", "/v1/proposals", role="admin")[0]["id"]
    return visitor.go(f"/console/proposals/{newest}")


def test_an_approver_is_shown_from_what_to_what_and_what_else_waits_and_overwrites_nothing(place: Place) -> None:
    place.tokens[OURS, "second admin"] = place.join("the second admin", Role.ADMIN)[0]
    one, two = (Visitor(place).sign_in(role) for role in ("admin", "second admin"))
    first = proposed(one, challenge_days="14").page.url.path
    assert proposed(one, challenge_days="14").page.url.path == first, "once is enough"
    assert "Other changes" not in one.text
    second = proposed(two, challenge_days="20", override_cap_percent="5").page.url.path
    assert second != first
    assert first in two.links()
    shown = one.go(second).text
    assert "Days within which a challenge of an assessment has to be settled from 30 to 20" in shown
    assert "customers below the rules" in shown
    assert "{" not in shown
    two.go(first).submit("/approve", reason="Yes.")
    assert "The change is approved and carried out." in two.text
    one.submit("/approve", reason="From the page of before.")
    assert one.page.status_code == 409
    assert "the setting challenge days was 30 when this was proposed, and is 14 now" in one.text
    assert "It was withdrawn by the second admin" in one.go(second).text
    assert (present(place, OURS).challenge_days, present(place, OURS).override_cap_percent) == (14, 10)


def test_what_another_person_changed_meanwhile_is_not_overwritten(place: Place, theirs: Visitor) -> None:
    with Session(place.engine) as session, session.begin():
        session.get_one(OrganisationSettings, place.organisations[THEIRS]).override_cap_percent = 5
    theirs.submit("/change", override_cap_percent="17")
    assert theirs.page.status_code == 409
    assert "another person changed the settings: override_cap_percent is 5 now" in theirs.text
    assert "It is 5 now." in theirs.text
    assert present(place).override_cap_percent == 5
    theirs.submit("/change", override_cap_percent="17")
    assert present(place).override_cap_percent == 17


def test_another_setting_than_mine_may_change_meanwhile(place: Place, theirs: Visitor) -> None:
    with Session(place.engine) as session, session.begin():
        session.get_one(OrganisationSettings, place.organisations[THEIRS]).retention_days = 77
    theirs.submit("/change", override_cap_percent="17")
    assert (present(place).override_cap_percent, present(place).retention_days) == (17, 77)


@pytest.mark.parametrize("wrong", ["101", "x", "-1", "", "9" * 30, "1.5"])
def test_a_value_that_cannot_be_is_refused(place: Place, theirs: Visitor, wrong: str) -> None:
    theirs.submit("/change", override_cap_percent=wrong)
    assert theirs.page.status_code == 422
    assert present(place).override_cap_percent != wrong


def test_nothing_to_change_is_said(theirs: Visitor) -> None:
    theirs.submit("/change")
    assert theirs.page.status_code == 422
    assert "no setting was changed" in theirs.text


def test_who_may_read_settings_sees_them_without_a_form(place: Place) -> None:
    visitor = Visitor(place).sign_in("investigator").go(SETTINGS)
    assert visitor.page.status_code == 200
    assert "Days after which a customer may be erased" in visitor.text
    assert [form.action for form in visitor.forms() if "settings" in form.action] == []
    assert "Tokens" not in visitor.text


def test_an_organisation_without_levels_is_told_what_comes_first(place: Place, theirs: Visitor) -> None:
    with Session(place.engine) as session, session.begin():
        session.delete(session.get_one(OrganisationSettings, place.organisations[THEIRS]))
    assert "The levels are not chosen yet." in theirs.go(SETTINGS).text


def test_usage_is_shown_beside_the_limits_of_the_plan(place: Place) -> None:
    admin = Visitor(place).sign_in("admin")
    few = count(admin, USAGE)
    for number in range(9):
        MORE["list_tokens"](place, number)
    with Session(place.engine) as session, session.begin():
        month = month_of(Context(place.engine, place.actor("admin")).now())
        session.add(Usage(token_id=1, month=month, calls=1_234, users=5_678))
    assert count(admin, USAGE) == few
    assert "1,234 of 1,000,000,000" in admin.text
    assert "5,678 of 1,000,000,000" in admin.text
    assert "standard 6,000 30 100,000 500,000 10,000 never" in admin.text
