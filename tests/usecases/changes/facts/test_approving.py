"""A change is approved over nothing that was written or ended since it was proposed."""

from concurrent.futures import ThreadPoolExecutor
from time import sleep
from typing import Any
from unittest.mock import Mock

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import ConflictError, StoreError
from fivefold.domain.paging import Part
from fivefold.store.erasure.erase import with_owned
from fivefold.store.ingest.entities import entity_named
from fivefold.store.tables.entities import Entity, OrganisationSettings
from fivefold.store.tables.flows import FLOW_ACTOR
from fivefold.store.tables.rulesets import Proposal
from fivefold.usecases.audit.verify import verify
from fivefold.usecases.changes import facts
from fivefold.usecases.changes.proposals import approve_proposal, read_proposal
from fivefold.usecases.ingest import facts as ingest_facts
from fivefold.usecases.ingest.facts import RecordGiven, put_record_in, set_tag_in
from fivefold.usecases.levels.entity_profile import list_records, list_tags
from fivefold.usecases.levels.overrides import PAST_END, read_override, request_override
from fivefold.usecases.levels.worker_loop import PeriodicTask, drain
from fivefold.usecases.shared.actors import Actor, Role
from fivefold.usecases.shared.context import Context
from tests.store.databases import waits_for_a_lock
from tests.usecases import banks
from tests.usecases.banks import Bank
from tests.usecases.changes.facts.fact_stories import WHY, case, decided, proposed_end, raise_beside, tag, untag
from tests.usecases.governed import audited


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
def test_the_end_of_a_tag_that_a_flow_sets_anew_is_withdrawn(bank: Bank) -> None:
    """No call of a person is there to withdraw it: the flow gives the tag in the transaction that ends its run."""
    number = proposed_end(bank)
    assert facts.close_outdated(bank.engine, bank.now) == 0
    bank.wait(days=1)
    flow = Context(bank.engine, Actor(bank.of, f"{FLOW_ACTOR}limits")).at(bank.now)
    with flow.writing() as session:
        entity = entity_named(session, bank.of, "customer", "a", stays=True)
        set_tag_in(session, flow, entity, "watch", bank.now + 9 * DAY_US, "", bank.now)
    assert facts.close_outdated(bank.engine, bank.now) == 1
    withdrawn = read_proposal(bank.context, number)
    assert (withdrawn.state, withdrawn.decided_by) == ("withdrawn", "system")
    assert "the beginning of the tag was" in withdrawn.decision_reason
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
    for name, days in (("a", 2), ("b", 9)):
        bank.put(name)
        facts.request_tag(bank.context, "customer", name, "watch", until_us=bank.now + days * DAY_US)
        bank.settle()
        asked = facts.request_tag_end(bank.context, "customer", name, "watch", reason="over").proposal
        assert asked is not None
        numbers.append(asked.id)
    bank.wait(days=4)
    assert _overtaken_of(bank) == [(bank.of, numbers[0])]
    bank.wait(days=6)
    close = facts.close_proposal

    def fails_at_first(session: Session, context: Context, row: Any, *of: Any) -> None:
        if row.id == numbers[0]:
            raise RuntimeError("torn")
        close(session, context, row, *of)

    monkeypatch.setattr(facts, "close_proposal", fails_at_first)
    monkeypatch.setattr(facts, "MOST_AT_ONCE", 1)
    assert facts.close_outdated(bank.engine, bank.now) == 1
    assert [read_proposal(bank.context, number).state for number in numbers] == ["proposed", "withdrawn"]


def test_a_worker_that_ends_once_nothing_is_left_closes_also_those_beyond_a_round(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(facts, "MOST_AT_ONCE", 1)
    for name in "abc":
        bank.put(name)
        facts.request_tag(bank.context, "customer", name, "watch", until_us=bank.now + DAY_US)
    bank.settle()
    for name in "abc":
        facts.request_tag_end(bank.context, "customer", name, "watch", reason="over")
    bank.wait(days=2)
    drain([PeriodicTask("overtaken proposals", lambda: facts.close_outdated(bank.engine, bank.now) > 0, 0)])
    assert _overtaken_of(bank) == []


def _overtaken_of(bank: Bank) -> list[tuple[int, int]]:
    with Session(bank.engine) as session:
        return facts._overtaken(session, bank.now, 9, 0)


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


@pytest.mark.parametrize("kind", ["postgresql"])
def test_an_approval_waits_for_an_erasure_without_a_deadlock(bank: Bank) -> None:
    """The erasure has locked the entity, and withdraws its proposals next."""
    number = proposed_end(bank)
    second = Context(bank.engine, Actor(bank.of, "member:2")).at(bank.now)
    with ThreadPoolExecutor(1) as pool, Session(bank.engine) as session, session.begin():
        with_owned(session, session.get_one(Entity, bank.id_of("a")), bank.now)
        approving = pool.submit(approve_proposal, second, number, "seen", Role.APPROVER)
        while not waits_for_a_lock(bank.engine) and not approving.done():
            sleep(0.002)
        assert session.get(Proposal, number, with_for_update={"nowait": True}) is not None
        session.commit()
    assert approving.result().state == "approved"
