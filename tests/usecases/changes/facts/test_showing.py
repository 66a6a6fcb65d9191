"""A change is shown with its levels, to those who may see it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, select
from sqlalchemy.orm import Session

from fivefold.domain.errors import ConflictError, NotFoundError
from fivefold.domain.paging import Part
from fivefold.store.tables.rulesets import Proposal
from fivefold.usecases.changes import facts
from fivefold.usecases.changes.proposals import (
    approve_proposal,
    list_proposals,
    read_proposal,
    refuse_proposal,
    waiting_beside,
)
from fivefold.usecases.changes.reach import change_now, hash_of_levels
from fivefold.usecases.changes.search import ProposalFilters, search_proposals, waiting_about
from fivefold.usecases.erasure.erase import erase_entity
from fivefold.usecases.ingest import facts as ingest_facts
from fivefold.usecases.ingest.facts import RecordGiven
from fivefold.usecases.levels.entity_profile import list_tags
from fivefold.usecases.queue.items import QueueFilters, list_items
from fivefold.usecases.shared.actors import Actor, Role
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.entity_checks import OwnerGiven
from tests.usecases import banks
from tests.usecases.at_once import put_list_version
from tests.usecases.banks import Bank
from tests.usecases.changes.facts.fact_stories import HIGH, RULES, WHY, case, decided, proposed_end, tag, untag
from tests.usecases.governed import audited


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
    why = "it was proposed anew: it leads to other levels by now"
    assert read_proposal(bank.context, number).decision_reason == why, "it is kept, so it names no customer"
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


def test_an_erased_owner_is_in_no_proposal_about_what_is_kept(bank: Bank, tmp_path: Path) -> None:
    bank.add_type("account", {}, {})
    bank.put("acc", None, "account", [OwnerGiven("customer", "a"), OwnerGiven("customer", "b")])
    of = (bank.context, "account", "acc")
    given = RecordGiven(external_id="9", opened_us=bank.now, closed_us=bank.now, outcome="confirmed")
    facts.request_record(*of, "case", given)
    bank.settle()
    asked = facts.request_record(*of, "case", replace(given, outcome="no harm"), reason=WHY).proposal
    assert asked is not None
    named = [(fall["external_id"], fall["through"]) for fall in asked.reach["falls"]]
    assert named == [("a", ["acc"]), ("b", ["acc"])]
    statements: list[str] = []
    event.listen(bank.engine, "before_cursor_execute", lambda *of: statements.append(of[2]))
    (listed,) = list_proposals(bank.context)
    assert (listed, sum("FROM entities" in each for each in statements)) == (read_proposal(bank.context, asked.id), 1)
    bank.wait(days=4000)
    numbers = erase_entity(bank.context, "customer", "a", tmp_path / "register").entity_ids
    with Session(bank.engine) as session:
        stored = session.scalars(select(Proposal)).one().reach["falls"]
    assert [set(fall) & {"external_id"} for fall in stored] == [set(), set()]
    shown = read_proposal(bank.context, asked.id).reach["falls"]
    assert [fall["external_id"] for fall in shown] == [f"erased-{numbers[0]}", "b"]
