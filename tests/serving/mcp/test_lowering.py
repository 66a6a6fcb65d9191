"""Tools that would lower a level: another person decides, whatever the organisation chose for its programs."""

from typing import Any

import pytest
from sqlalchemy.orm import Session

from fivefold.domain.clock import now_microseconds
from fivefold.store.tables.entities import OrganisationSettings
from fivefold.usecases.changes.backtests import BACKTESTS
from fivefold.usecases.shared.jobs import run_next_job
from tests.serving.mcp.asking import WHY, called, changing_token, of_one, structure_of
from tests.serving.v1.furnishing import activate
from tests.serving.v1.places import OURS, Place
from tests.serving.v1.rulesets.bank_rulesets import document

TAG = "sekret-tag"
"""By it another ruleset applies to a customer."""
WATCHED = "/v1/entities/customer/held-1"
HELD = {
    "id": "held",
    "title": "Held by a tag",
    "category": "customer features",
    "rationale": "People watch them.",
    "cases": [{"when": {"tag": TAG, "is": "present"}, "points": 10, "floor": "high"}],
}


def held(place: Place) -> None:
    """Let a tag hold the level of a new customer up."""
    place.good("PUT", WATCHED, {}, role="app")
    place.good("PUT", f"{WATCHED}/tags/{TAG}", {}, role="app")
    (maker,) = place.join("the holder", "publisher")
    written = document("held", applies_to={"tag": TAG, "is": "present"}, rules=[HELD], examples=[])
    revision = place.good("PUT", "/v1/rulesets/held/draft", {"document": written}, token=maker)["revision"]
    given = {"revision": revision, "accept_warnings": WHY}
    version = place.good("POST", "/v1/rulesets/held/commit", given, token=maker)["number"]
    place.good("POST", "/v1/rulesets/held/backtests", {"version": version}, token=maker)
    while run_next_job(place.engine, BACKTESTS):  # another one waited before
        pass
    activate(place, "held", version)
    assert level_of(place) == "high"


def level_of(place: Place) -> str:
    """Compute the customer's level."""
    return str(place.good("GET", f"{WATCHED}/risk?freshness=now", role="app")["level"])


def tags_of(place: Place) -> set[str]:
    """List the tags that stand without an end."""
    found = place.good("GET", f"{WATCHED}/tags", role="investigator")
    return {each["tag"] for each in found if each["until"] is None}


def chosen(place: Place, **settings: Any) -> None:
    """Let the organisation have chosen who may lower levels."""
    with Session(place.engine) as session, session.begin():
        row = session.get_one(OrganisationSettings, place.organisations[OURS])
        for name, value in settings.items():
            setattr(row, name, value)


def test_a_level_that_would_fall_is_proposed_and_another_person_agrees(place: Place) -> None:
    held(place)
    token, plain = changing_token(place, "investigator")
    soon = "2100-01-01T12:00:00Z"
    shortened, ended = called(
        place,
        token,
        ("set_tag", of_one(external_id="held-1", tag=TAG, until=soon, key="to-be-shorter")),
        ("end_tag", of_one(external_id="held-1", tag=TAG)),
    )
    for result in (shortened, ended):
        proposal = structure_of(result)["proposal"]
        assert (proposal["kind"], proposal["state"], proposal["reason"][: len(WHY)]) == ("fact.tag", "proposed", WHY)
        assert "waits for a person to approve it" in result.content[0].text
    assert (TAG in tags_of(place), level_of(place)) == (True, "high")
    (admin,) = place.join("another admin", "admin")
    path = f"/v1/proposals/{proposal['id']}/approve"
    for own in (token, plain):
        assert place.ask("POST", path, {"reason": WHY}, token=own).status_code in {403, 409}
    assert place.good("POST", path, {"reason": WHY}, token=admin)["state"] == "approved"
    assert TAG not in tags_of(place)


def test_an_agents_person_does_not_approve_the_fall_of_a_level_whatever_their_role(place: Place) -> None:
    held(place)
    token, plain = changing_token(place, "admin")
    (ended,) = called(place, token, ("end_tag", of_one(external_id="held-1", tag=TAG)))
    path = f"/v1/proposals/{structure_of(ended)['proposal']['id']}/approve"
    for own in (token, plain):
        assert place.ask("POST", path, {"reason": WHY}, token=own).status_code == 409
    assert TAG in tags_of(place)


@pytest.mark.parametrize("lowering", [False, True])
def test_a_program_lowers_no_level_by_a_tool_whatever_the_organisation_chose(place: Place, lowering: bool) -> None:
    held(place)
    chosen(place, programs_lower_levels=lowering)
    token, plain = changing_token(place, "app")
    (refusal,) = called(place, token, ("end_tag", of_one(external_id="held-1", tag=TAG)))
    assert refusal.is_error
    assert "a level, or what holds one up, would fall; two people" in refusal.content[0].text
    assert "another member approves it" in refusal.content[0].text
    assert (TAG in tags_of(place), level_of(place)) == (True, "high")
    assert place.ask("DELETE", f"{WATCHED}/tags/{TAG}", token=plain).status_code == (204 if lowering else 409)


def test_of_a_sole_operator_a_fall_by_a_tool_waits_for_them(place: Place) -> None:
    """Nobody else is there who could approve it; so they do, where they see what it is."""
    held(place)
    chosen(place, sole_operator_us=now_microseconds())
    token, plain = changing_token(place, "admin")
    (ended,) = called(place, token, ("end_tag", of_one(external_id="held-1", tag=TAG)))
    proposal = structure_of(ended)["proposal"]
    assert proposal["state"] == "proposed"
    assert (TAG in tags_of(place), level_of(place)) == (True, "high")
    assert (
        place.good("POST", f"/v1/proposals/{proposal['id']}/approve", {"reason": WHY}, token=plain)["state"]
        == "approved"
    )
    assert TAG not in tags_of(place)
