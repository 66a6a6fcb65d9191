"""What holds a level up is not taken back by one person alone: tags, cases, screenings, and files of them."""

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import ConfigError, ConflictError, InvalidDataError
from fivefold.domain.paging import Part
from fivefold.store.tables.entities import OrganisationSettings
from fivefold.store.tables.rulesets import Proposal
from fivefold.usecases.audit.verify import verify
from fivefold.usecases.changes import facts
from fivefold.usecases.changes.proposals import ChangeOutcome, approve_proposal, read_proposal, refuse_proposal
from fivefold.usecases.changes.reach import held_until
from fivefold.usecases.ingest.bulk_facts import RecordRow, ScreeningRow, TagRow, add_screenings, put_records, put_tags
from fivefold.usecases.ingest.facts import RecordGiven
from fivefold.usecases.levels import lowering
from fivefold.usecases.levels.entity_profile import list_records, list_tags
from fivefold.usecases.levels.lowering import WouldLowerError
from fivefold.usecases.shared.actors import Actor, Role
from fivefold.usecases.shared.context import Context
from tests.usecases import banks
from tests.usecases.banks import Bank
from tests.usecases.changes.facts.fact_stories import HIGH, LOW, RULES, WHY, case, decided, screen, tag, untag
from tests.usecases.governed import audited, rows_of

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
    assert lower(bank).proposal is not None, "a person needs another one all the same"
    assert lower(bank, program).proposal is None


def test_a_sole_operator_lowers_a_level_alone(bank: Bank) -> None:
    tag(bank)
    bank.settle()
    with Session(bank.engine) as session, session.begin():
        session.get_one(OrganisationSettings, bank.of).sole_operator_us = bank.now
    assert untag(bank).proposal is None
    bank.wait(days=20)
    bank.settle()
    assert bank.level() == LOW


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
