"""What holds a level up is not taken back by one person alone: tags, cases, screenings, and files of them."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal
from unittest.mock import Mock

import pytest
from sqlalchemy import Engine, event, select
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import ConfigError, ConflictError, InvalidDataError, NotFoundError, StoreError
from fivefold.domain.paging import Part
from fivefold.store.ingest.entities import entity_named
from fivefold.store.ingest.tags import open_about_ended_tags
from fivefold.store.tables.entities import OrganisationSettings, Tag
from fivefold.store.tables.rulesets import Activation, Proposal, RulesetVersion
from fivefold.usecases.audit.verify import verify
from fivefold.usecases.changes import facts
from fivefold.usecases.changes.proposals import (
    ChangeOutcome,
    approve_proposal,
    list_proposals,
    read_proposal,
    refuse_proposal,
    waiting_beside,
)
from fivefold.usecases.changes.reach import change_now, hash_of_levels, held_until
from fivefold.usecases.changes.search import ProposalFilters, search_proposals, waiting_about
from fivefold.usecases.erasure.erase import erase_entity
from fivefold.usecases.ingest import facts as ingest_facts
from fivefold.usecases.ingest.bulk_facts import RecordRow, ScreeningRow, TagRow, add_screenings, put_records, put_tags
from fivefold.usecases.ingest.facts import RecordGiven, put_record_in
from fivefold.usecases.levels import lowering
from fivefold.usecases.levels.entity_profile import list_records, list_tags
from fivefold.usecases.levels.lowering import WouldLowerError
from fivefold.usecases.levels.overrides import PAST_END, read_override, request_override
from fivefold.usecases.portfolio.timeline import TimelineEvent, list_events
from fivefold.usecases.queue.items import QueueFilters, list_items
from fivefold.usecases.shared.actors import Actor, Role
from fivefold.usecases.shared.context import Context
from tests.store.filling import filled_once
from tests.usecases import banks
from tests.usecases.at_once import put_list_version
from tests.usecases.banks import Bank
from tests.usecases.governed import audited, rows_of

LOW, MEDIUM, HIGH = 1, 2, 3
CONFIRMED = {
    "input": {"count": "cases", "where": {"field": "outcome", "equals": "confirmed"}},
    "cases": [{"when": {"at_least": 1}, "points": 0, "floor": "high"}],
}
RULES = {"watch": banks.WATCH, "sanctions": banks.SCREENED, "cases": CONFIRMED}
WHY = "it is not the same person"


@pytest.fixture
@filled_once
def bank(engine: Engine) -> Bank:
    """A customer at low; something decides, and screenings were clean."""
    bank = Bank(engine)
    version = bank.activate(banks.document(RULES, optional_tables=["cases"]))
    decided(bank, version)
    for name in "ab":
        bank.put(name)
        screen(bank, False, name=name)
    bank.settle()
    bank.wait(days=1)
    return bank


def decided(bank: Bank, version: int) -> None:
    """Let two people have decided on it."""
    with Session(bank.engine) as session, session.begin():
        family = session.get_one(RulesetVersion, version).family_id
        made = Activation(
            organisation_id=bank.of,
            family_id=family,
            version_id=version,
            kind="activation",
            reason=WHY,
            actor="member:2",
            at_us=bank.now,
            per_second=100,
            reached_id=0,
            reached_us=bank.now,
            finished_us=bank.now,
        )
        session.add(made)


def tag(bank: Bank, who: Actor | None = None, **changed: Any) -> ChangeOutcome:
    return facts.request_tag(Context(bank.engine, who or bank.actor).at(bank.now), "customer", "a", "watch", **changed)


def untag(bank: Bank, who: Actor | None = None, reason: str = WHY) -> ChangeOutcome:
    return facts.request_tag_end(
        Context(bank.engine, who or bank.actor).at(bank.now), "customer", "a", "watch", reason=reason
    )


def screen(bank: Bank, found: bool, who: Actor | None = None, name: str = "a") -> ChangeOutcome:
    whose = (Context(bank.engine, who or bank.actor).at(bank.now), "customer", name)
    return facts.request_screening(*whose, "sanctions", has_match=found, reason=WHY)


def case(bank: Bank, outcome: str, who: Actor | None = None) -> ChangeOutcome:
    given = RecordGiven(external_id="7", opened_us=bank.now - 3 * DAY_US, closed_us=bank.now, outcome=outcome)
    whose = (Context(bank.engine, who or bank.actor).at(bank.now), "customer", "a")
    return facts.request_record(*whose, "case", given, reason=WHY)


Way = tuple[Callable[..., ChangeOutcome], Callable[..., ChangeOutcome], str]
WAYS: dict[str, Way] = {
    "a tag": (tag, untag, "fact.tag"),
    "an earlier end": (tag, lambda bank, who=None: tag(bank, who, until_us=bank.now + 1, reason=WHY), "fact.tag"),
    "a screening": (lambda bank: screen(bank, True), lambda bank, who=None: screen(bank, False, who), "fact.screening"),
    "a case": (lambda bank: case(bank, "confirmed"), lambda bank, who=None: case(bank, "no harm", who), "fact.record"),
}  # fmt: skip
ways = pytest.mark.parametrize(("raise_", "lower", "kind"), WAYS.values(), ids=WAYS)


@ways
def test_one_person_raises_a_level_and_two_lower_it(
    bank: Bank, raise_: Callable[..., ChangeOutcome], lower: Callable[..., ChangeOutcome], kind: str
) -> None:
    assert raise_(bank).proposal is None, "to raise a level one person is enough"
    bank.settle()
    assert bank.level() == HIGH
    bank.wait(days=20)
    proposal = lower(bank).proposal
    assert proposal is not None
    assert (proposal.kind, proposal.state, proposal.backtests) == (kind, "proposed", ())
    (fall,) = proposal.reach["falls"]
    assert (fall["external_id"], fall["before"][0], fall["after"][0]) == ("a", "high", "low")
    assert (fall["through"], proposal.content["entity"]) == (["a"], "a"), "not the numbers by which they are stored"
    bank.wait(days=1)
    bank.settle()
    assert bank.level() == HIGH, "nothing changes as long as one person asked"
    with pytest.raises(ConflictError, match="another person approves it"):
        approve_proposal(bank.context, proposal.id, "I agree", Role.APPROVER)
    other = Actor(bank.of, "member:2")
    assert (
        approve_proposal(Context(bank.engine, other).at(bank.now), proposal.id, "seen", Role.APPROVER).state
        == "approved"
    )
    bank.wait(microseconds=2)
    bank.settle()
    assert bank.level() == LOW
    assert verify(bank.engine, print).entries == len(audited(bank.engine))


def test_a_fall_says_until_when_the_cooldown_holds_the_level(bank: Bank) -> None:
    """A cooldown of ten days begins when the level is reached."""
    tag(bank)
    bank.settle()
    reached_us = bank.now
    bank.wait(days=4)
    proposal = untag(bank).proposal
    assert proposal is not None
    at = Context(bank.engine, bank.actor).at
    assert held_until(at(bank.now), proposal.reach) == {("customer", "a"): reached_us + 10 * DAY_US}
    assert held_until(at(reached_us + 10 * DAY_US), proposal.reach) == {}
    (fall,) = proposal.reach["falls"]
    assert held_until(at(bank.now), {"falls": [{**fall, "external_id": "gone"}]}) == {}


@ways
def test_the_same_fact_of_the_same_person_waits_once(
    bank: Bank, raise_: Callable[..., ChangeOutcome], lower: Callable[..., ChangeOutcome], kind: str
) -> None:
    raise_(bank)
    bank.settle()
    bank.wait(days=20)
    first = lower(bank).proposal
    assert first is not None
    assert lower(bank).proposal == first


def test_a_clean_screening_without_a_moment_waits_once_until_another_match(bank: Bank) -> None:
    """Each is of the moment at which it was sent."""
    screen(bank, True)
    bank.settle()
    bank.wait(days=20)
    first = screen(bank, False).proposal
    assert first is not None
    bank.wait(days=1)
    assert screen(bank, False).proposal == first
    of = (bank.context, "customer", "a", "sanctions")
    dated = facts.request_screening(*of, has_match=False, at_us=bank.now - 5, reason=WHY).proposal
    assert dated not in (None, first), "another moment is another screening"
    bank.wait(days=1)
    screen(bank, True)
    anew = screen(bank, False).proposal
    assert anew not in (None, first)
    earlier = read_proposal(bank.context, first.id)
    assert earlier.state == "withdrawn", "it would clear nothing any more"
    assert "the newest screening was with a match, of " in str(earlier.decision_reason)


@ways
def test_a_program_does_not_lower_a_level_unless_two_people_let_it(
    bank: Bank, raise_: Callable[..., ChangeOutcome], lower: Callable[..., ChangeOutcome], kind: str
) -> None:
    raise_(bank)
    bank.settle()
    bank.wait(days=20)
    program = Actor(bank.of, "token:9")
    with pytest.raises(
        WouldLowerError, match=r"level of customer 'a' would fall from high to low; .* with their own token"
    ):
        lower(bank, Actor(bank.of, "cli:ana"))
    with pytest.raises(WouldLowerError, match=r"^a level, or what holds one up, would fall; .* with their own token"):
        lower(bank, program)
    assert rows_of(bank.engine, Proposal) == []
    with Session(bank.engine) as session, session.begin():
        session.get_one(OrganisationSettings, bank.of).programs_lower_levels = True
    assert lower(bank, program).proposal is None


def test_a_member_is_asked_for_a_reason_and_it_is_stored_nowhere_without(bank: Bank) -> None:
    tag(bank)
    with pytest.raises(ConfigError, match="would fall from high to low, so another person has to approve it; say why"):
        untag(bank, reason="")
    assert rows_of(bank.engine, Proposal) == []


def test_what_lowers_nothing_needs_one_person(bank: Bank) -> None:
    """A tag that no rule reads, one of two things that hold the level, and a clean screening after a clean one."""
    of = (bank.context, "customer", "a")
    facts.request_tag(*of, "vip")
    assert facts.request_tag_end(*of, "vip").proposal is None
    assert screen(bank, False).proposal is None
    tag(bank)
    case(bank, "confirmed")
    assert untag(bank).proposal is None, "the case holds the level as well"
    assert case(bank, "no harm").proposal is not None, "and is what is left"


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


def test_two_steps_by_one_person_do_not_lower_it_either(bank: Bank) -> None:
    """The tag is to end in an hour while the screening holds; then the screening is cleared while the tag does."""
    tag(bank)
    screen(bank, True)
    assert tag(bank, until_us=bank.now + 3_600_000_000).proposal is None
    bank.wait(microseconds=5)
    assert screen(bank, False).proposal is not None


def test_who_cannot_be_computed_does_not_lose_a_tag_to_one_person(bank: Bank) -> None:
    """The list that a rule reads is gone: nobody is assessed, and so nobody sees what the tag holds up."""
    tag(bank)
    bank.settle()
    bank.activate(banks.document({**RULES, "listed": banks.LISTED}, optional_tables=["cases"]))
    found = untag(bank).proposal
    assert found is not None
    assert (found.reach["falls"][0]["before"], found.reach["falls"][0]["after"]) == (None, None)
    facts.request_tag(bank.context, "customer", "a", "another")


def test_a_proposal_can_be_refused_and_nothing_happened(bank: Bank) -> None:
    tag(bank)
    asked = untag(bank).proposal
    assert asked is not None
    other = Actor(bank.of, "member:2")
    assert (
        refuse_proposal(Context(bank.engine, other).at(bank.now), asked.id, "they are", Role.APPROVER).state
        == "refused"
    )
    assert [line.until_us for line in list_tags(bank.context, "customer", "a", Part(10))] == [None]
    again = (Context(bank.engine, other).at(bank.now + 1), asked.id)
    assert refuse_proposal(*again, "they are", Role.APPROVER).state == "refused", "the first answer may have been lost"
    for reason, proposed_us in (("for another reason", None), ("they are", asked.proposed_us + 1)):
        with pytest.raises(ConflictError, match="was refused already"):
            refuse_proposal(*again, reason, Role.APPROVER, expected_proposed_us=proposed_us)


def test_a_file_lowers_nobody_and_the_other_rows_are_taken(bank: Bank) -> None:
    tag(bank)
    case(bank, "confirmed")
    screen(bank, True)
    bank.settle()
    bank.wait(days=20)
    machine = Actor(bank.of, "cli:ana")
    begins = list_tags(bank.context, "customer", "a", Part(1))[0].from_us
    (opened,) = [line.opened_us for line in list_records(bank.context, "customer", "a", "case", Part(1))]
    done = RecordGiven(external_id="7", opened_us=opened, closed_us=bank.now - 1, outcome="no harm")
    new = RecordGiven(external_id="8", opened_us=opened)
    both = [TagRow("a", "watch", begins, bank.now + 5), TagRow("b", "watch", bank.now)]
    assert put_tags(Context(bank.engine, machine).at(bank.now), "customer", both).changed == 1, (
        "case and screening hold it too"
    )
    put_records(Context(bank.engine, machine).at(bank.now), "customer", [RecordRow("a", done)], "case")
    rows = [ScreeningRow("a", "sanctions", False, bank.now), ScreeningRow("b", "sanctions", False, bank.now)]
    with pytest.raises(InvalidDataError, match="the level of customer 'a' would fall from high to low") as told:
        add_screenings(Context(bank.engine, machine).at(bank.now), "customer", rows)
    assert [problem.row for problem in told.value.problems] == [0]
    assert add_screenings(Context(bank.engine, machine).at(bank.now), "customer", rows[1:]).new == 1
    assert put_records(Context(bank.engine, machine).at(bank.now), "customer", [RecordRow("a", new)], "case").new == 1


def test_the_last_row_of_a_file_that_holds_a_level_is_refused(bank: Bank) -> None:
    machine = Actor(bank.of, "cli:ana")
    put_tags(Context(bank.engine, machine).at(bank.now), "customer", [TagRow("a", "watch", bank.now - 5)])
    bank.settle()
    with pytest.raises(InvalidDataError, match="two people take back what holds a level up"):
        put_tags(
            Context(bank.engine, machine).at(bank.now), "customer", [TagRow("a", "watch", bank.now - 5, bank.now + 9)]
        )
    given = RecordGiven(external_id="7", opened_us=bank.now - 9, closed_us=bank.now, outcome="confirmed")
    put_records(Context(bank.engine, machine).at(bank.now), "customer", [RecordRow("b", given)], "case")
    bank.settle()
    done = RecordGiven(external_id="7", opened_us=bank.now - 9, closed_us=bank.now, outcome="no harm")
    with pytest.raises(InvalidDataError, match="customer 'b' would fall from high to low"):
        put_records(Context(bank.engine, machine).at(bank.now), "customer", [RecordRow("b", done)], "case")


def test_a_later_row_about_an_entity_hides_no_other_one(bank: Bank) -> None:
    """At the end of the other tag the first would be over as well, with the change and without it."""
    begins, days_100 = bank.now, bank.now + 100 * DAY_US
    both = [TagRow("a", "watch", begins, days_100), TagRow("a", "other", begins, begins + 200 * DAY_US)]
    put_tags(bank.context, "customer", both)
    bank.settle()
    bank.wait(days=11)
    shorter = TagRow("a", "watch", begins, bank.now)
    longer = TagRow("a", "other", begins, begins + 3000 * DAY_US)
    for rows in ([shorter], [shorter, longer], [longer, shorter]):
        with pytest.raises(InvalidDataError, match="customer 'a' would fall from high to low"):
            put_tags(bank.context, "customer", rows)
    assert put_tags(bank.context, "customer", [longer]).changed == 1


def test_who_falls_once_another_new_tag_ends_is_found(engine: Engine) -> None:
    """For an hour one new tag makes up for the other one, which takes points away and stays."""
    bank = Bank(engine)
    points = {"watch": 65, "bad": 65, "good": -65}
    rules = {
        name: {"cases": [{"when": {"tag": name, "is": "present"}, "points": each}]} for name, each in points.items()
    }
    decided(bank, bank.activate(banks.document(rules)))
    bank.put("a")
    tag(bank)
    bank.settle()
    bank.wait(days=11)
    rows = [TagRow("a", "bad", bank.now, bank.now + 3_600_000_000), TagRow("a", "good", bank.now)]
    with pytest.raises(InvalidDataError, match="customer 'a' would fall from high to low"):
        put_tags(bank.context, "customer", rows)


def test_more_moments_than_are_looked_at_need_two_people(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lowering, "MOST_MOMENTS", 3)
    rows = [TagRow("a", f"tag {days}", bank.now, bank.now + days * DAY_US) for days in (1, 2, 3)]
    with pytest.raises(InvalidDataError, match="more than 3 moments to look at"):
        put_tags(bank.context, "customer", rows)
    assert put_tags(bank.context, "customer", rows[:2]).new == 2
    assert put_tags(bank.context, "customer", [replace(rows[2], external_id="b")]).new == 1


@pytest.mark.parametrize("kind", ["case", "alert"])
def test_one_person_does_not_date_back_what_holds_a_level_up(engine: Engine, kind: Literal["case", "alert"]) -> None:
    """It would lie in the window for an hour more, and then let the customer fall without another word."""
    bank = Bank(engine)
    part = "alerts" if kind == "alert" else "cases"
    lately = {"input": {"count": part, "over": "180 days"}, "cases": [{"when": {"at_least": 1}, "floor": "high"}]}
    decided(bank, bank.activate(banks.document({"lately": lately})))
    for name in "ab":
        bank.put(name)
    bank.settle()
    long_ago, almost_out = bank.now - 300 * DAY_US, bank.now - 180 * DAY_US + 3_600_000_000
    of = (bank.context, "customer", "a", kind)
    there, back = (
        RecordGiven(external_id="7", opened_us=long_ago, closed_us=bank.now, outcome="confirmed"),
        RecordGiven(external_id="7", opened_us=long_ago, closed_us=almost_out, outcome="confirmed"),
    )
    assert facts.request_record(*of, there).proposal is None
    other = RecordGiven(external_id="8", opened_us=long_ago, closed_us=bank.now, outcome="confirmed")
    facts.request_record(bank.context, "customer", "b", kind, other)
    bank.settle()
    asked = facts.request_record(*of, back, reason=WHY).proposal
    assert asked is not None
    assert asked.reach["falls"][0]["after"] == ["low", "", ""]
    machine, row = Actor(bank.of, "cli:ana"), RecordRow("a", back)
    with pytest.raises(InvalidDataError, match="customer 'a' would fall from high to low"):
        put_records(Context(bank.engine, machine).at(bank.now), "customer", [row], kind)
    lines = list_records(bank.context, "customer", "a", kind, Part(9))
    assert [line.closed_us for line in lines] == [bank.now], "nothing was moved by looking"
    later = RecordGiven(external_id="7", opened_us=bank.now - DAY_US, closed_us=bank.now, outcome="confirmed")
    assert facts.request_record(*of, later).proposal is None, "it counts from its end, as before"
    facts.request_record(*of, RecordGiven(external_id="9", opened_us=bank.now))
    assert facts.request_record(*of, back).proposal is None, "another one holds it"


def test_a_case_that_is_to_be_new_stays_so_until_another_person_agrees(engine: Engine) -> None:
    """A level falls by it, so it is proposed; another one takes its number before that is approved, and stays."""
    bank = Bank(engine)
    unseen = {"input": {"count": "cases", "over": "180 days"}, "cases": [{"when": {"at_most": 0}, "floor": "high"}]}
    decided(bank, bank.activate(banks.document({"unseen": unseen})))
    bank.put("a")
    bank.settle()
    of = (bank.context, "customer", "a", "case")
    given = RecordGiven(external_id="7", opened_us=bank.now)
    asked = facts.request_record(*of, given, reason=WHY, only_new=True).proposal
    assert asked is not None
    assert asked.content["only_new"] is True
    taken = RecordGiven(external_id="7", opened_us=bank.now - DAY_US, outcome="confirmed", closed_us=bank.now)
    put_record_alone(bank, taken)
    second = Context(bank.engine, Actor(bank.of, "member:2")).at(bank.now)
    with pytest.raises(ConflictError, match="case '7' exists already, and was not changed"):
        approve_proposal(second, asked.id, "seen", Role.APPROVER)
    (line,) = list_records(bank.context, "customer", "a", "case", Part(9))
    assert line.outcome == "confirmed"


def put_record_alone(bank: Bank, given: RecordGiven) -> None:
    """Put a case as two people decided it."""
    with bank.context.writing() as session:
        entity = entity_named(session, bank.of, "customer", "a", stays=True)
        put_record_in(session, bank.context, entity, "case", given, bank.now)


def test_a_case_is_not_approved_over_what_was_written_of_it_since(bank: Bank) -> None:
    case(bank, "confirmed")
    bank.settle()
    asked = case(bank, "no harm").proposal
    assert asked is not None
    assert asked.reach["outcome"] == {"from": "confirmed", "to": "no harm"}
    again = case(bank, "no harm").proposal
    assert again is not None
    assert again.id == asked.id
    facts_now = RecordGiven(external_id="7", opened_us=bank.now - 3 * DAY_US, closed_us=bank.now, outcome="appealed")
    put_record_alone(bank, facts_now)
    second = Context(bank.engine, Actor(bank.of, "member:2")).at(bank.now)
    with pytest.raises(ConflictError, match="the outcome was confirmed when this was proposed, and is appealed now"):
        approve_proposal(second, asked.id, "seen", Role.APPROVER)
    (line,) = list_records(bank.context, "customer", "a", "case", Part(9))
    assert line.outcome == "appealed"


def test_two_ends_of_a_tag_are_not_both_approved(bank: Bank) -> None:
    tag(bank)
    bank.settle()
    second, third = (Actor(bank.of, f"member:{number}") for number in (2, 3))
    ended, shortened = untag(bank).proposal, tag(bank, second, until_us=bank.now + DAY_US, reason=WHY).proposal
    assert ended is not None
    assert shortened is not None
    context = Context(bank.engine, third).at(bank.now)
    approve_proposal(context, ended.id, "seen", Role.APPROVER)
    expected = f"proposal {ended.id} was approved: the tag has ended since this was proposed"
    assert read_proposal(context, shortened.id).decision_reason == expected
    assert list_tags(bank.context, "customer", "a", part=Part(9))[0].until_us == bank.now


def raise_beside(bank: Bank) -> Context:
    """Let a match hold the customer up beside the tag, so that one person ends the tag; returns their context."""
    screen(bank, True)
    bank.settle()
    return Context(bank.engine, Actor(bank.of, "member:3")).at(bank.now)


def proposed_end(bank: Bank) -> int:
    tag(bank, reason="first")
    bank.settle()
    bank.wait(days=1)
    asked = untag(bank).proposal
    assert asked is not None
    return asked.id


@pytest.mark.postgresql
def test_the_end_of_a_tag_is_withdrawn_once_the_tag_ended_otherwise(bank: Bank) -> None:
    number = proposed_end(bank)
    of = (raise_beside(bank), "customer", "a", "watch")
    facts.request_tag_end(*of, reason="over")
    withdrawn = read_proposal(bank.context, number)
    assert (withdrawn.state, withdrawn.decided_by) == ("withdrawn", "member:3")
    assert withdrawn.decision_reason == "it was changed: the tag has ended since this was proposed"
    assert verify(bank.engine, print).entries == len(audited(bank.engine))


@pytest.mark.postgresql
def test_what_time_overtook_is_closed(bank: Bank) -> None:
    tag(bank, until_us=bank.now + 2 * DAY_US)
    bank.settle()
    asked = untag(bank).proposal
    assert asked is not None
    until_us = bank.now + DAY_US
    with Session(bank.engine) as session, session.begin():
        session.get_one(OrganisationSettings, bank.of).locked_us = bank.now
    made = request_override(bank.context, "customer", "a", "high", WHY, until_us)
    assert facts.close_outdated(bank.engine, until_us - 1) == 0
    bank.wait(days=2)
    assert facts.close_outdated(bank.engine, bank.now) == 2
    withdrawn, refused = read_proposal(bank.context, asked.id), read_override(bank.context, made.id)
    assert (withdrawn.state, withdrawn.decided_by) == ("withdrawn", "system")
    assert withdrawn.decision_reason == "it came too late: the tag has ended since this was proposed"
    assert (refused.state, refused.decided_by, refused.decision_reason) == ("refused", "system", PAST_END)
    assert facts.close_outdated(bank.engine, bank.now) == 0
    assert verify(bank.engine, print).entries == len(audited(bank.engine))


@pytest.mark.postgresql
def test_only_ends_of_tags_that_are_over_are_too_late_and_a_failure_holds_up_no_other(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = []
    for name, days in (("a", 2), ("b", 3)):
        bank.put(name)
        facts.request_tag(bank.context, "customer", name, "watch", until_us=bank.now + days * DAY_US)
        bank.settle()
        asked = facts.request_tag_end(bank.context, "customer", name, "watch", reason="over").proposal
        assert asked is not None
        numbers.append(asked.id)
    with Session(bank.engine) as session, session.begin():  # as if a call had moved the end, and left the proposal open
        session.get_one(Tag, 2).until_us = bank.now + 9 * DAY_US
    bank.wait(days=4)
    assert [row.id for row in _about_ended(bank)] == numbers[:1]
    with Session(bank.engine) as session, session.begin():
        session.get_one(Tag, 2).until_us = bank.now
    close = facts.close_proposal

    def fails_at_first(session: Session, context: Context, row: Any, *of: Any) -> None:
        if row.id == numbers[0]:
            raise RuntimeError("torn")
        close(session, context, row, *of)

    monkeypatch.setattr(facts, "close_proposal", fails_at_first)
    assert facts.close_outdated(bank.engine, bank.now) == 1
    assert [read_proposal(bank.context, number).state for number in numbers] == ["proposed", "withdrawn"]


def _about_ended(bank: Bank) -> Sequence[Proposal]:
    with Session(bank.engine) as session:
        return open_about_ended_tags(session, "fact.tag", bank.now, 9)


def test_a_stored_fact_is_answered_also_where_the_withdrawal_fails_and_the_next_call_withdraws(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    tag(bank)
    bank.settle()
    bank.wait(days=1)
    asked = tag(bank, until_us=bank.now + 9 * DAY_US, reason=WHY).proposal
    assert asked is not None
    third = raise_beside(bank)
    earlier = (third, "customer", "a", "watch")
    monkeypatch.setattr(facts, "withdraw_overtaken", Mock(side_effect=StoreError("the database is locked")))
    until_us = bank.now + 8 * DAY_US
    assert facts.request_tag(*earlier, until_us=until_us).changes
    assert read_proposal(bank.context, asked.id).state == "proposed"
    monkeypatch.undo()
    assert not facts.request_tag(*earlier, until_us=until_us).changes
    assert read_proposal(bank.context, asked.id).state == "withdrawn"


def test_an_approval_ends_no_other_tag_than_the_one_that_was_proposed(bank: Bank) -> None:
    """A flow or a file may have ended the tag, and set it anew."""
    number = proposed_end(bank)
    third = raise_beside(bank)
    ingest_facts.end_tag(third, "customer", "a", "watch")
    ingest_facts.set_tag(third.at(bank.now + 1), "customer", "a", "watch", reason="NEW: court order 17")
    second = Context(bank.engine, Actor(bank.of, "member:2")).at(bank.now + 2)
    with pytest.raises(ConflictError, match=r"the beginning of the tag was .* when this was proposed, and is .* now"):
        approve_proposal(second, number, "seen", Role.APPROVER)
    assert list_tags(bank.context, "customer", "a", Part(1))[0].until_us is None


def held_by_a_case(bank: Bank) -> int:
    """Propose the end of a tag, and then let a case hold the level too."""
    number = proposed_end(bank)
    case(bank, "confirmed")
    bank.settle()
    return number


def test_a_change_is_shown_with_the_levels_that_it_leads_to_now(bank: Bank) -> None:
    number = proposed_end(bank)
    at = Context(bank.engine, Actor(bank.of, "member:2")).at
    before = change_now(at(bank.now), number)
    assert before is not None
    assert hash_of_levels(before.reach) == hash_of_levels(read_proposal(bank.context, number).reach)
    case(bank, "confirmed")
    bank.settle()
    after = change_now(at(bank.now), number)
    assert after is not None
    assert (after.reach, after.problem) == ({"falls": []}, "")
    entries = len(audited(bank.engine))
    assert change_now(at(bank.now), number) == after
    assert len(audited(bank.engine)) == entries, "it is rolled back"
    ingest_facts.end_tag(at(bank.now), "customer", "a", "watch")
    gone = change_now(at(bank.now), number)
    assert gone is not None
    assert gone.problem == "the tag has ended since this was proposed"


@pytest.mark.postgresql
def test_an_approval_leads_to_no_other_levels_than_were_looked_at(bank: Bank) -> None:
    number = held_by_a_case(bank)
    second = Context(bank.engine, Actor(bank.of, "member:2")).at(bank.now)
    with pytest.raises(ConflictError, match=f"are now: none falls; refuse proposal {number}, and propose the change"):
        approve_proposal(second, number, "seen", Role.APPROVER)
    with pytest.raises(ConflictError, match="are not those that were looked at; they are now: none falls"):
        approve_proposal(second, number, "seen", Role.APPROVER, expected_levels="0" * 64)
    shown = change_now(second, number)
    assert shown is not None
    seen = hash_of_levels(shown.reach)
    assert approve_proposal(second, number, "seen", Role.APPROVER, expected_levels=seen).state == "approved"


def test_a_change_whose_levels_moved_is_proposed_anew_by_the_same_person(engine: Engine) -> None:
    """Another tag came, which holds the customer at a lower level than the one that is to end."""
    bank = Bank(engine)
    medium = {"input": {"tag": "vip"}, "cases": [{"when": {"equals": True}, "points": 0, "floor": "medium"}]}
    decided(bank, bank.activate(banks.document({"watch": banks.WATCH, "vip": medium})))
    bank.put("a")
    bank.settle()
    number = proposed_end(bank)
    facts.request_tag(bank.context, "customer", "a", "vip")
    bank.settle()
    second = Context(bank.engine, Actor(bank.of, "member:2")).at(bank.now)
    moved = r"the levels that it leads to are now: a from high .* to medium \(floor medium, hard floor medium\)"
    with pytest.raises(ConflictError, match=f"^{moved}; refuse proposal {number}, and propose the change again$"):
        approve_proposal(second, number, "seen", Role.APPROVER)
    anew = untag(bank)
    assert anew.proposal is not None
    assert anew.replaces
    assert "it was proposed anew: the levels" in str(read_proposal(bank.context, number).decision_reason)
    assert untag(bank).proposal == anew.proposal
    assert approve_proposal(second, anew.proposal.id, "seen", Role.APPROVER).state == "approved"


def test_a_tag_that_was_set_anew_is_not_ended_by_who_saw_the_one_before(bank: Bank) -> None:
    of = (bank.context, "customer", "a", "vip")
    facts.request_tag(*of, reason="first")
    seen_us = list_tags(*of[:3], Part(1))[0].from_us
    facts.request_tag_end(*of, expected_from_us=seen_us)
    facts.request_tag(bank.context.at(bank.now + 1), *of[1:], reason="second")
    later = (bank.context.at(bank.now + 2), *of[1:])
    with pytest.raises(ConflictError, match="the tag 'vip' is another one now, of "):
        facts.request_tag_end(*later, expected_from_us=seen_us)
    assert list_tags(*of[:3], Part(1))[0].until_us is None
    facts.request_tag_end(*later, expected_from_us=bank.now + 1)
    assert list_tags(*of[:3], Part(1))[0].until_us is not None


def test_a_tag_that_is_there_already_is_not_set_again(bank: Bank) -> None:
    of = (bank.context, "customer", "a", "vip")
    assert facts.request_tag(*of, reason="first").changes
    assert not facts.request_tag(*of, reason="second").changes
    assert [line.set_reason for line in list_tags(*of[:3], Part(9))] == ["first"]


def test_what_holds_up_the_owner_is_protected_too(bank: Bank) -> None:
    bank.add_type("account", {}, {})
    bank.put("acc", ("customer", "a"), "account")
    of = (bank.context, "account", "acc")
    given = RecordGiven(external_id="9", opened_us=bank.now, closed_us=bank.now, outcome="confirmed")
    facts.request_record(*of, "case", given)
    bank.settle()
    assert bank.level() == HIGH
    changed = RecordGiven(external_id="9", opened_us=bank.now, closed_us=bank.now, outcome="no harm")
    asked = facts.request_record(*of, "case", changed, reason=WHY).proposal
    assert asked is not None
    assert asked.reach["falls"][0]["external_id"] == "a"


def test_a_change_names_its_entity_by_the_identifier_wherever_it_is_shown(bank: Bank) -> None:
    tag(bank)
    asked = untag(bank).proposal
    assert asked is not None
    (listed,) = list_proposals(bank.context)
    (short,) = search_proposals(bank.context)
    for shown in (asked, read_proposal(bank.context, asked.id), listed, short):
        assert (shown.subject, shown.entity_type, shown.external_id) == ("end of tag 'watch' of a", "customer", "a")
    (waiting,) = waiting_about(bank.context, "customer", "a")
    assert waiting.subject == "end of tag 'watch' of a"
    (item,) = list_items(bank.context, Role.ADMIN, QueueFilters(kinds=("change",)))
    assert item.about == "fact.tag: end of tag 'watch' of a"


def test_an_investigator_sees_their_own_changes_alone_and_withdraws_them(bank: Bank) -> None:
    tag(bank)
    other = Context(bank.engine, Actor(bank.of, "member:2")).at(bank.now)
    first, second = untag(bank), untag(bank, reason="For another reason.")
    theirs = untag(bank, other.actor).proposal
    assert (first.replaces, second.replaces) == (False, True)
    assert first.proposal is not None
    assert second.proposal is not None
    assert theirs is not None
    own = {first.proposal.id, second.proposal.id}
    assert {each.id for each in list_proposals(bank.context, role=Role.INVESTIGATOR)} == own
    assert {each.id for each in search_proposals(bank.context, role=Role.INVESTIGATOR)} == own
    of_other = ProposalFilters(proposed_by="member:2")
    assert search_proposals(bank.context, of_other, role=Role.INVESTIGATOR) == []
    (waits,) = waiting_about(bank.context, "customer", "a", Role.INVESTIGATOR)
    assert waits.id == second.proposal.id
    assert waiting_beside(bank.context, waits.id, Role.INVESTIGATOR) == ()
    assert waiting_beside(bank.context, waits.id, Role.APPROVER) == (theirs.id,)
    with pytest.raises(NotFoundError, match=f"there is no proposal {theirs.id}"):
        read_proposal(bank.context, theirs.id, Role.INVESTIGATOR)
    with pytest.raises(NotFoundError, match=f"there is no proposal {theirs.id}"):
        refuse_proposal(bank.context, theirs.id, WHY, Role.INVESTIGATOR)
    assert refuse_proposal(bank.context, waits.id, "I erred", Role.INVESTIGATOR).state == "withdrawn"
    refuse_proposal(bank.context, theirs.id, "they are", Role.APPROVER)
    (shown,) = search_proposals(other, role=Role.INVESTIGATOR)
    assert (shown.state, shown.decision_reason) == ("refused", "they are")


def test_a_change_reads_the_lists_that_rulesets_name_once_and_no_others(bank: Bank) -> None:
    for name in ("hot", "cold"):
        put_list_version(bank.context, name, 0, ["KP"], name, "ours")
    tag(bank)
    read: list[Any] = []

    def listen(*call: Any) -> None:
        if "list_versions.members" in call[2]:
            read.append(call[3].values() if isinstance(call[3], dict) else call[3])  # the drivers differ

    event.listen(bank.engine, "before_cursor_execute", listen)
    assert untag(bank).proposal is not None
    assert read == [], "no ruleset names a list"
    decided(bank, bank.activate(banks.document({"sanctions": banks.SCREENED, "listed": banks.LISTED})))
    assert untag(bank).proposal is None
    assert read == [], "a list is named, but no ruleset reads tags"
    decided(bank, bank.activate(banks.document({**RULES, "listed": banks.LISTED}, optional_tables=["cases"])))
    bank.wait(days=1)
    assert facts.request_tag(bank.context, "customer", "b", "watch").proposal is None
    assert [("hot" in values, "cold" in values) for values in read] == [(True, False)], "before and after it alike"


def test_an_erased_customer_is_in_no_proposal(bank: Bank, tmp_path: Path) -> None:
    tag(bank)
    asked = untag(bank).proposal
    assert asked is not None
    bank.wait(days=4000)
    erase_entity(bank.context, "customer", "a", tmp_path / "register")
    with Session(bank.engine) as session:
        row = session.scalars(select(Proposal)).one()
        assert (row.content, row.reach, row.reason, row.subject) == ({}, {}, "erased", "erased")
        assert row.state == "withdrawn"
