"""Challenges: opened once, kept as they were, settled by another person, and gone with the entity alone."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import ConfigError, ConflictError, NotFoundError
from fivefold.domain.paging import Part
from fivefold.store.tables.levels import Assessment
from fivefold.store.tables.recourse import Challenge
from fivefold.usecases.accounts.organisations import add_member
from fivefold.usecases.accounts.settings import SettingsChange, change_settings_in
from fivefold.usecases.erasure.erase import erase_entity
from fivefold.usecases.ingest.facts import set_tag
from fivefold.usecases.portfolio.timeline import list_events
from fivefold.usecases.queue.items import QueueFilters, change_item, list_items, read_item
from fivefold.usecases.recourse.challenges import (
    ChallengeFilters,
    ChallengeLine,
    list_challenges,
    open_challenge,
    read_challenge,
)
from fivefold.usecases.recourse.reply import give_reply
from fivefold.usecases.recourse.settlement import settle_challenge
from fivefold.usecases.shared.actors import Role
from fivefold.usecases.shared.context import Context
from tests.store.audits import forged
from tests.usecases import banks
from tests.usecases.banks import Bank
from tests.usecases.governed import audited, together
from tests.usecases.recourse.contested import (
    RULES,
    SAID,
    STANDS,
    WHY,
    as_of_today,
    by,
    corrected,
    findings,
    numbered,
    of_timeline,
    opened,
)


@pytest.mark.postgresql
def test_a_challenge_waits_in_the_queue_until_its_own_day_and_all_of_it_stands_in_the_timeline(bank: Bank) -> None:
    assert of_timeline(bank) == []
    made = opened(bank)
    (item,) = list_items(bank.context, Role.APPROVER, QueueFilters(kinds=("challenge",)))
    name = f"challenge-{made.id}-0"
    assert (item.item, item.external_id, item.reason, item.due_us) == (name, "a", SAID, made.due_us)
    assert (item.level, item.asked_by) == ("medium", made.opened_by)
    ana = add_member(bank.context, "ana", ["approver"]).id
    changed = change_item(bank.context, Role.APPROVER, name, 0, assigned_to=ana)
    assert changed is not None
    assert changed.assigned_name == "ana"
    with pytest.raises(ConfigError, match="leaves the queue only when it is dealt with"):
        change_item(bank.context, Role.APPROVER, name, 1, assigned_to=ana, done=True)
    bank.wait(days=1)
    settle_challenge(by(bank, 4), made.id, STANDS)
    assert read_item(bank.context, Role.APPROVER, name) is None
    with pytest.raises(NotFoundError):
        read_item(bank.context, Role.APPROVER, f"challenge-{made.id + 1}-0")
    bank.wait(days=1)
    give_reply(by(bank, 5), made.id, "json")
    number = str(made.id)
    after = [("challenge_settled", number, "confirmed", WHY), ("challenge_opened", number, None, SAID)]
    assert of_timeline(bank) == [("challenge_answered", number, None, ""), *after]
    assert of_timeline(bank, ("people",))[:1] == [("challenge_answered", number, None, "")]
    assert [event.by for event in list_events(as_of_today(bank), "customer", "a", kinds=("challenge_answered",))] == [
        "member:5"
    ]
    assert list(list_events(bank.context, "customer", "b", kinds=("challenges",))) == []


def test_a_challenge_is_due_after_the_days_that_were_set(bank: Bank) -> None:
    made = opened(bank)
    assert (made.state, made.assessment, made.is_newest, made.words) == ("open", numbered(bank), True, SAID)
    assert (made.received_us, made.due_us) == (bank.now, bank.now + 30 * DAY_US)
    assert read_challenge(bank.context.at(made.due_us - 1), made.id).overdue is False
    assert read_challenge(bank.context.at(made.due_us), made.id).overdue is True
    with Session(bank.engine) as session, session.begin():
        change_settings_in(session, bank.context, SettingsChange(challenge_days=14))
    received = bank.now - DAY_US // 2
    other = open_challenge(bank.context, numbered(bank, "b"), SAID, received)
    assert (other.received_us, other.due_us) == (received, received + 14 * DAY_US)
    assert read_challenge(bank.context, made.id).due_us == made.due_us, "one that is open keeps its date"


def test_the_same_challenge_sent_again_is_the_same_one(bank: Bank) -> None:
    first = open_challenge(bank.context, numbered(bank), SAID, bank.now)
    entries = len(audited(bank.engine))
    bank.wait(days=1)
    assert open_challenge(bank.context, first.assessment, f" {SAID} ", first.received_us) == first
    assert open_challenge(by(bank, 2), first.assessment, SAID).id == first.id, "of no other moment"
    with pytest.raises(ConflictError, match=f"challenge {first.id} of assessment {first.assessment} is open"):
        open_challenge(bank.context, first.assessment, "And besides.")
    settle_challenge(by(bank, 2), first.id, STANDS)
    assert open_challenge(bank.context, first.assessment, SAID, first.received_us).state == "confirmed"
    assert len(audited(bank.engine)) == entries + 1, "the settlement"
    again = open_challenge(bank.context, first.assessment, "Look at this letter.")
    assert (again.state, again.id != first.id) == ("open", True), "what is new can be heard"


@pytest.mark.postgresql
def test_two_at_once_open_one(kind: str, tmp_path: Path) -> None:
    def prepared(engine: Engine) -> Bank:
        made = Bank(engine)
        made.activate(banks.document(RULES))
        made.put("a", income=1234.5)
        made.settle()
        return made

    def ask(engine: Engine, made: Bank) -> ChallengeLine:
        return open_challenge(Context(engine, made.actor).at(made.now), "1.1", SAID)

    made = together(kind, tmp_path, prepared, ask, ask)
    assert [each.id for each in made] == [1, 1]


@pytest.mark.parametrize("words", ["", "  ", "x" * 2001, "nul\0"])
def test_words_that_are_none(bank: Bank, words: str) -> None:
    with pytest.raises(ConfigError, match="the words of the challenge"):
        opened(bank, words=words)


def test_what_cannot_be_contested(bank: Bank) -> None:
    theirs = Bank(bank.engine, "other")
    for context, name in ((bank.context, "9.9"), (theirs.context, numbered(bank)), (bank.context, "a")):
        with pytest.raises(NotFoundError, match="there is no assessment"):
            open_challenge(context, name, SAID)
    with pytest.raises(ConfigError, match="is in the future"):
        open_challenge(bank.context, numbered(bank), SAID, bank.now + 36_500 * DAY_US)
    with pytest.raises(ConflictError, match="it contests an earlier one"):
        open_challenge(bank.context, numbered(bank), SAID, bank.now - 3 * DAY_US)
    made = opened(bank)
    for ask in (
        lambda: read_challenge(theirs.context, made.id),
        lambda: settle_challenge(theirs.context, made.id, STANDS),
        lambda: read_challenge(bank.context, 99),
    ):
        with pytest.raises(NotFoundError, match="there is no challenge"):
            ask()
    assert list_challenges(theirs.context) == []


def test_lists_by_due_date(bank: Bank) -> None:
    late = open_challenge(bank.context, numbered(bank, "b"), SAID, bank.now)
    early = open_challenge(bank.context, numbered(bank, "a"), SAID, bank.now - DAY_US)
    found = list_challenges(bank.context, part=Part(1))
    assert [each.id for each in found] == [early.id]
    assert [each.id for each in list_challenges(bank.context, part=Part(1, found.next))] == [late.id]
    settle_challenge(by(bank, 2), early.id, STANDS)

    def ids(**filters: Any) -> list[int]:
        return [each.id for each in list_challenges(bank.context, ChallengeFilters(**filters))]

    assert (ids(state="open"), ids(state="confirmed"), ids(state="corrected")) == ([late.id], [early.id], [])
    assert ids(entity=("customer", "b")) == [late.id]
    bank.add_type("account", {}, {})
    assert (ids(type_name="customer"), ids(type_name="account")) == ([early.id, late.id], [])
    assert ids(due_before_us=late.due_us) == [early.id]
    assert ids() == [early.id, late.id]
    with pytest.raises(ConfigError, match="there is no state 'closed'"):
        ids(state="closed")
    with pytest.raises(NotFoundError):
        ids(entity=("customer", "nobody"))
    with pytest.raises(NotFoundError, match="there is no entity type 'zzz'"):
        ids(type_name="zzz")


def test_the_record_is_kept_as_it_was(bank: Bank, tmp_path: Path) -> None:
    made = opened(bank)
    bank.put("a", income=5.0, country="KP")
    bank.wait(days=1)
    bank.settle()
    now = read_challenge(bank.context, made.id)
    assert (now.record_sha256, now.record_unchanged, now.is_newest) == (made.record_sha256, True, False)
    later = bank.context.at(bank.now + 3650 * DAY_US)
    with pytest.raises(ConflictError, match=f"challenge {made.id} contests assessment {made.assessment}"):
        erase_entity(later, "customer", "a", tmp_path / "e")
    with forged(bank.engine) as connection:
        connection.execute(update(Assessment).where(Assessment.number == 1).values(score="7"))
    assert read_challenge(bank.context, made.id).record_unchanged is False
    with pytest.raises(ConflictError, match="has changed since it was opened"):
        settle_challenge(by(bank, 2), made.id, STANDS)


def test_the_records_of_a_page_are_compared_together(bank: Bank) -> None:
    made = opened(bank)
    bank.put("b", income=5.0, country="KP")
    bank.settle()
    another = open_challenge(bank.context, numbered(bank, "b"), SAID)
    statements: list[str] = []
    event.listen(bank.engine, "before_cursor_execute", lambda *call: statements.append(call[2]))
    listed = list_challenges(bank.context)
    assert list(listed) == [made, another]
    assert len([each for each in statements if "FROM assessments" in each or "FROM assessment_inputs" in each]) == 1
    with forged(bank.engine) as connection:
        connection.execute(text("UPDATE assessment_inputs SET content = '{}' WHERE entity_id = 1"))
    assert [line.record_unchanged for line in list_challenges(bank.context)] == [False, True]


def test_what_an_account_that_is_owned_rests_on_is_kept_too(bank: Bank, tmp_path: Path) -> None:
    bank.add_type("account", {}, {})
    bank.put("x", ("customer", "a"), "account")
    made = opened(bank)
    later = bank.context.at(bank.now + 3650 * DAY_US)
    with pytest.raises(ConflictError, match=f"challenge {made.id} "):
        erase_entity(later, "customer", "a", tmp_path / "e")


def test_once_it_is_settled_the_person_is_erased_with_their_words(bank: Bank, tmp_path: Path) -> None:
    made = opened(bank, words="zanzibar")
    settle_challenge(by(bank, 2), made.id, replace(STANDS, reason="zanzibar"))
    assert findings(bank) == []
    later = bank.context.at(bank.now + 3650 * DAY_US)
    erase_entity(later, "customer", "a", tmp_path / "e")
    assert list_challenges(bank.context) == []
    with pytest.raises(NotFoundError):
        read_challenge(bank.context, made.id)
    with pytest.raises(NotFoundError):
        open_challenge(bank.context, made.assessment, SAID)
    assert "zanzibar" not in str(audited(bank.engine))
    assert findings(bank) == []


def test_a_reply_has_nothing_of_what_the_bank_knows(bank: Bank) -> None:
    replies = set()
    for name, secret in (("a", "watch"), ("b", None)):
        made = opened(bank, name)
        if secret:
            set_tag(bank.context, "customer", name, secret)
        bank.put(name, income=5.0, country="NO")
        bank.wait(microseconds=1)
        facts = ("field income", *(("tag watch",) if secret else ()))
        settle_challenge(by(bank, 2), made.id, replace(corrected(*facts), reason=f"secret {secret}"))
        reply = replace(
            give_reply(bank.context, made.id, "pdf"),
            challenge=0, assessment="", external_id="", new_assessment="", settled_us=0, received_us=0,
        )  # fmt: skip
        replies.add(reply)
    assert len(replies) == 1
    assert "watch" not in str(replies)


@pytest.mark.postgresql
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE challenges SET words = 'other'",
        "UPDATE challenges SET due_us = due_us + 1",
        "UPDATE challenges SET state = 'confirmed'",
        "DELETE FROM challenges",
    ],
)
def test_the_database_refuses_to_change_them(bank: Bank, statement: str) -> None:
    opened(bank)
    with pytest.raises(DBAPIError, match="is refused"), bank.engine.begin() as connection:
        connection.execute(text(statement))


def test_a_forged_challenge_is_found(bank: Bank) -> None:
    made = opened(bank)
    with forged(bank.engine) as connection:
        connection.execute(update(Challenge).values(due_us=made.due_us + DAY_US))
    assert len(findings(bank)) == 1
