"""The audit log of the organisation, by actor, subject, action and time."""

import pytest

from tests.console.test_queries import count
from tests.console.visitors import Visitor
from tests.serving.v1.more_rows import MORE
from tests.serving.v1.places import THEIRS, Place

LOG = "/console/operations/audit"


@pytest.fixture
def admin(place: Place) -> Visitor:
    """An administrator of the bank, signed in."""
    return Visitor(place).sign_in("admin")


def test_entries_are_found_by_who_did_what_to_what(place: Place, admin: Visitor) -> None:
    made = place.good("POST", "/v1/members", {"name": "<i>Zoë</i>", "roles": ["admin"]}, role="admin")
    for query in (
        f"actor=the+admin&action=member.added&subject_kind=member&subject_id={made['id']}",
        f"actor=member%3A{place.members['bank', 'admin']}&subject_kind=member&subject_id={made['id']}",
    ):
        text = admin.go(f"{LOG}?{query}").text
        assert "Member &lt;i&gt;Zoë&lt;/i&gt;" in text
        assert "the admin" in text
        assert "<i>" not in admin.page.text
    assert "Nothing was done that these filters ask for." in admin.go(f"{LOG}?until=2020-01-01").text
    assert "Nothing was done" not in admin.go(f"{LOG}?since=2020-01-01").text
    assert "Nothing was done" in admin.go(f"{LOG}?actor=nobody").text


def test_an_entity_is_named_and_linked(admin: Visitor) -> None:
    admin.go(f"{LOG}?subject_kind=entity")
    assert "/console/entities/company/acme" in admin.links()
    assert "Company acme" in admin.text
    assert "Entity 1" not in admin.text


def test_a_date_that_is_none_is_refused_in_words(admin: Visitor) -> None:
    assert admin.go(f"{LOG}?since=yesterday").page.status_code == 422
    assert "From" in admin.text


def test_pages_go_on_with_the_filters_and_ask_as_often(place: Place, admin: Visitor) -> None:
    few = count(admin, LOG)
    for number in range(60):
        MORE["search_entries"](place, number)
    assert count(admin, f"{LOG}?action=member.added") == few
    (following,) = [link for link in admin.links() if "after=" in link]
    assert "action=member.added" in following
    assert "member.added" in admin.go(following).text
    assert admin.page.status_code == 200


def test_another_organisation_has_its_own_log(place: Place) -> None:
    text = Visitor(place).sign_in("admin", THEIRS).go(f"{LOG}?action=ruleset.committed").text
    assert "Nothing was done" in text
