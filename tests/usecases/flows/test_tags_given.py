"""What flows give: nothing that was found against money laundering reaches commerce by a tag."""

from typing import Any

import pytest

from fivefold.domain.errors import ConflictError, InvalidRulesetError
from fivefold.usecases.accounts.entity_types import define_type
from fivefold.usecases.flows.activate import switch_flow_off
from tests.usecases.decisions.deciding import WORTH, Desk
from tests.usecases.flows.documents import WHY, Data, acting, as_, asking, committed, flow_document

GIVES = [{"id": "look", "title": "Give the tag", "tag": "quiet"}]
COMMERCIAL = {"tags": {"quiet": "commercial"}}
BY_LEVEL: Data = {"id": "by-level", "when": {"level": "in_force", "at_least": "high"}, "action": "note"}
ASKS_INNER: Data = {"id": "asks", "title": "Asks", "rationale": "It knows.", "flow": "inner", "on_unknown": "done"}
BY_END: Data = {
    "id": "by-end",
    "title": "By its end",
    "rationale": "Who is looked at is tagged.",
    "route": [{"when": {"step": "asks", "output": "ends", "equals": "done"}, "to": "done"}],
    "otherwise": "nothing",
    "on_unknown": "done",
}
BY_VALUE: Data = {
    "id": "by-value",
    "title": "By the value",
    "rationale": "It is known.",
    "route": [{"when": {"value": "score", "at_least": 4}, "to": "done"}],
    "otherwise": "nothing",
    "on_unknown": "done",
}


def routed(name: str, when: Data, given: Data, other: Data, **parts: Any) -> str:
    """A flow of one choice: who is given *given* comes to `done`, who is given *other* to `nothing`."""
    step = {
        "id": "choice",
        "title": "Choice",
        "rationale": "By one thing.",
        "route": [{"when": when, "to": "done"}],
        "otherwise": "nothing",
        "on_unknown": "done",
    }
    examples = [
        {"name": "done", "given": given, "ends": "done"},
        {"name": "nothing", "given": other, "ends": "nothing"},
        {"name": "unknown", "given": {}, "ends": "done"},
    ]
    return flow_document(
        name, [step], examples=[each for each in examples if each["given"] or "level" in when], **parts
    )


def risky(**parts: Any) -> str:
    """Against money laundering: who has a high level is given a tag."""
    return routed("risky", {"level": "in_force", "equals": "high"}, {"level": "high"}, {"level": "low"}, **parts)


def say(desk: Desk, purposes: Data) -> None:
    define_type(as_(desk, desk.ana), "customer", {}, purposes=purposes)


@pytest.mark.postgresql
def test_a_tag_that_commerce_reads_is_not_given_because_of_a_level(desk: Desk) -> None:
    say(desk, COMMERCIAL)
    tagged: Data = {"tag": "quiet", "is": "absent"}
    offer = routed(
        "offer", tagged, {"tags": []}, {"tags": ["quiet"]}, fields={}, purpose="commercial", purposes=COMMERCIAL
    )
    acting(desk, offer)
    with pytest.raises(InvalidRulesetError, match="flow risky → step choice → level in_force"):
        acting(desk, risky(actions=GIVES))


def test_a_tag_that_is_given_because_of_a_level_does_not_become_one_for_commerce(desk: Desk) -> None:
    acting(desk, risky(actions=GIVES))
    with pytest.raises(ConflictError, match="flow risky would feed commerce"):
        say(desk, COMMERCIAL)


def test_a_tag_that_commerce_reads_is_given_by_what_may_be_read_for_it(desk: Desk) -> None:
    say(desk, {**COMMERCIAL, "fields": {"country": "both"}})
    acting(desk, flow_document("care", actions=GIVES, purposes={"fields": {"country": "both"}}, examples=None))


def test_a_tag_outlasts_the_flow_that_gave_it_because_of_a_level(desk: Desk) -> None:
    """The flow is switched off first, or gives another tag since: who has the tag was still chosen by the level."""
    acting(desk, risky(actions=GIVES))
    switch_flow_off(as_(desk, desk.ana), "risky", WHY)
    with pytest.raises(ConflictError, match=r"version 1 of the flow risky gave a tag that would feed commerce.*level"):
        say(desk, COMMERCIAL)
    other = [{"id": "look", "title": "Give another tag", "tag": "other"}]
    acting(desk, risky(actions=other))
    with pytest.raises(ConflictError, match="version 1 of the flow risky gave a tag"):
        say(desk, COMMERCIAL)
    say(desk, {"tags": {"quiet": "aml", "third": "commercial"}})


def later(desk: Desk) -> None:
    desk.bank.now += 60_000_000


@pytest.mark.postgresql
def test_a_tag_outlasts_the_policy_by_which_a_flow_gave_it_because_of_a_level(desk: Desk) -> None:
    """The policy that the flow asks read the level for a minute alone: not at first, and not now."""
    desk.publish(WORTH)
    acting(desk, asking(actions=GIVES))
    later(desk)
    desk.publish(BY_LEVEL, WORTH)
    later(desk)
    desk.publish(WORTH)
    with pytest.raises(ConflictError, match=r"gave a tag that would feed commerce.*policy payments.*level in_force"):
        say(desk, COMMERCIAL)
    switch_flow_off(as_(desk, desk.ana), "care", WHY)
    with pytest.raises(ConflictError, match="version 1 of the flow care gave a tag"):
        say(desk, COMMERCIAL)


def test_a_tag_outlasts_what_a_flow_asked_through_another_flow(desk: Desk) -> None:
    desk.publish(WORTH)
    acting(desk, asking("inner"))
    later(desk)
    acting(desk, flow_document("outer", [ASKS_INNER, BY_END], actions=GIVES, examples=None))
    later(desk)
    desk.publish(BY_LEVEL, WORTH)
    later(desk)
    acting(desk, flow_document("inner", [BY_VALUE], examples=None))
    later(desk)
    desk.publish(WORTH)
    with pytest.raises(ConflictError, match=r"gave a tag.*flow inner.*policy payments.*level in_force"):
        say(desk, COMMERCIAL)


def test_what_a_policy_read_while_no_flow_asked_it_takes_no_tag_from_commerce(desk: Desk) -> None:
    desk.publish(BY_LEVEL, WORTH)
    later(desk)
    desk.publish(WORTH)
    later(desk)
    acting(desk, asking(actions=GIVES))
    later(desk)
    switch_flow_off(as_(desk, desk.ana), "care", WHY)
    later(desk)
    desk.publish(BY_LEVEL, WORTH)
    later(desk)
    desk.publish(WORTH)
    say(desk, COMMERCIAL)


def test_a_flow_that_never_acted_gave_no_tag(desk: Desk) -> None:
    committed(desk, risky(actions=GIVES))
    say(desk, COMMERCIAL)


def test_what_is_tightened_later_takes_no_tag_from_commerce(desk: Desk) -> None:
    """It was lawful when it was given; and what a tag is for can be said to be stricter at any time."""
    say(desk, {**COMMERCIAL, "fields": {"country": "both"}})
    acting(desk, flow_document("care", actions=GIVES, purposes={"fields": {"country": "both"}}, examples=None))
    switch_flow_off(as_(desk, desk.ana), "care", WHY)
    say(desk, {"fields": {"country": "aml"}})
    say(desk, {"tags": {"quiet": "aml"}})
