"""Who set and ended a tag, and why, stands with the tag."""

import pytest

from fivefold.domain.paging import Part
from fivefold.usecases.changes import facts
from fivefold.usecases.changes.proposals import approve_proposal
from fivefold.usecases.levels.entity_profile import list_tags
from fivefold.usecases.portfolio.timeline import TimelineEvent, list_events
from fivefold.usecases.shared.actors import Actor, Role
from fivefold.usecases.shared.context import Context
from tests.usecases.banks import Bank
from tests.usecases.changes.facts.fact_stories import WHY, tag, untag


def end_of(bank: Bank, name: str) -> TimelineEvent:
    (event,) = list_events(bank.context, "customer", "a", kinds=("tag_ended",))
    assert list_events(bank.context, "customer", "a", kinds=("people",))[0] == event
    line = next(each for each in list_tags(bank.context, "customer", "a", Part(10)) if each.tag == name)
    shown = (line.ended_by, line.end_reason, line.end_proposed_by)
    assert shown == (event.by, event.reason or None, event.proposed_by)
    return event


@pytest.mark.postgresql
def test_who_ended_a_tag_and_why_stands_with_the_tag(bank: Bank) -> None:
    facts.request_tag(bank.context, "customer", "a", "vip")
    facts.request_tag_end(bank.context, "customer", "a", "vip", reason=f" {WHY} ")
    event = end_of(bank, "vip")
    assert (event.by, event.reason, event.proposed_by) == (bank.actor.name, WHY, None)


def begin_of(bank: Bank, kind: str) -> TimelineEvent:
    (event,) = list_events(bank.context, "customer", "a", kinds=(kind,))
    line = list_tags(bank.context, "customer", "a", Part(1))[0]
    shown = (line.set_by, line.set_reason, line.set_proposed_by)
    assert shown == (event.by, event.reason or None, event.proposed_by)
    return event


@pytest.mark.postgresql
def test_why_a_tag_was_set_stands_with_the_tag(bank: Bank) -> None:
    facts.request_tag(bank.context, "customer", "a", "vip", reason=f" {WHY} ")
    assert begin_of(bank, "tag_set").reason == WHY
    facts.request_tag(bank.context, "customer", "a", "vip", until_us=bank.now + 9)
    assert begin_of(bank, "tag_end_moved").reason == ""
    tag(bank)
    assert [line.tag for line in list_tags(bank.context, "customer", "a", Part(1), "vip")] == ["vip"], "an older one"


@pytest.mark.postgresql
def test_why_an_earlier_end_was_proposed_stands_with_the_tag_and_who_approved_it(bank: Bank) -> None:
    tag(bank)
    asked = tag(bank, until_us=bank.now + 9_000_000, reason=WHY).proposal
    assert asked is not None
    approve_proposal(Context(bank.engine, Actor(bank.of, "member:2")).at(bank.now), asked.id, "seen", Role.APPROVER)
    event = begin_of(bank, "tag_end_moved")
    assert (event.by, event.reason, event.proposed_by) == ("member:2", WHY, bank.actor.name)


@pytest.mark.postgresql
def test_who_proposed_the_end_of_a_tag_stands_beside_who_approved_it(bank: Bank) -> None:
    tag(bank)
    asked = untag(bank).proposal
    assert asked is not None
    approve_proposal(Context(bank.engine, Actor(bank.of, "member:2")).at(bank.now), asked.id, "seen", Role.APPROVER)
    event = end_of(bank, "watch")
    assert (event.by, event.reason, event.proposed_by) == ("member:2", WHY, bank.actor.name)
