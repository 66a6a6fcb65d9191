"""A page offers a decision to whom the use case would let decide, and says to others who may."""

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from fivefold.store.tables.entities import OrganisationSettings
from tests.console.visitors import Visitor, send_text
from tests.serving.v1.places import OURS, Place
from tests.usecases.groups.grouped import HIGH, document

ACME = "/console/entities/company/acme"
FACT = "/console/proposals/5"
"""The end of a tag, which the investigator proposed."""


@pytest.fixture
def alone(place: Place) -> Visitor:
    """The administrator of an organisation of one person."""
    with Session(place.engine) as session, session.begin():
        ours = OrganisationSettings.organisation_id == place.organisations[OURS]
        session.execute(update(OrganisationSettings).where(ours).values(sole_operator_us=1))
    return Visitor(place).sign_in("admin")


def offered(visitor: Visitor) -> set[str]:
    """What the forms of a page do, by the last part of their addresses."""
    return {form.action.partition("?")[0].rpartition("/")[2] for form in visitor.forms()}


def test_a_sole_operator_approves_on_each_page_what_they_asked_for(place: Place, alone: Visitor) -> None:
    alone.go(ACME).submit("/override", level="high", reason="mine")
    assert "You requested it" not in alone.text
    alone.submit("/approve-override", reason="")
    assert "The override is approved" in alone.text

    alone.go("/console/administration/settings").submit("/change", challenge_days="14", reason="As agreed.")
    newest = place.good("GET", "/v1/proposals", role="admin")[0]["id"]
    alone.go(f"/console/proposals/{newest}")
    assert "It is waiting for a decision." in alone.text
    assert "so another person has to approve it" not in alone.text
    alone.submit("/approve", reason="Yes.")
    assert "The change is approved and carried out." in alone.text

    send_text(alone.go("/console/new-group"), "propose", document(HIGH, "mine"), reason="mine", accept_warnings="mine")
    alone.submit("/approve", reason="Yes.", confirmed="yes")
    assert "It has determined the members since" in alone.text

    alone.go("/console/validation").submit("/change", kind="channel", description="An app")
    assert "Open. You registered it" not in alone.text, alone.text


def test_who_does_not_decide_on_a_kind_of_change_is_told_who_does(place: Place) -> None:
    publisher = Visitor(place).sign_in("publisher").go(FACT)
    assert "Who may decide: Approver, Admin." in publisher.text
    assert offered(publisher).isdisjoint({"approve", "refuse"})
    assert {"approve", "refuse"} <= offered(Visitor(place).sign_in("admin").go(FACT))
    assert "approve" not in offered(Visitor(place).sign_in("investigator").go(FACT))
    assert "refuse" in offered(Visitor(place).sign_in("investigator").go(FACT)), "it is theirs"
    admin = Visitor(place).sign_in("admin").go("/console/administration/settings")
    admin.submit("/change", challenge_days="14", reason="As agreed.")
    newest = place.good("GET", "/v1/proposals", role="admin")[0]["id"]
    publisher.go(f"/console/proposals/{newest}")
    assert "Who may decide: Admin." in publisher.text
    assert "approve" not in offered(publisher)
    publisher.submit("/refuse", reason="No.")
    assert "The change will not be carried out." in publisher.text
