"""Each thing that may change a level marks whom it concerns, in its own transaction; the worker does the rest."""

from collections.abc import Callable

import pytest
from sqlalchemy import Engine

from fivefold.domain.clock import DAY_US
from fivefold.store.levels.assessment_queue import Reason
from fivefold.usecases.ingest.facts import RecordGiven, add_screening, end_tag, put_record, set_tag
from fivefold.usecases.levels.read import Freshness, read_level, read_level_of_profile
from fivefold.usecases.shared.context import Context
from tests.store.filling import filled_once
from tests.usecases import banks
from tests.usecases.at_once import put_list_version
from tests.usecases.banks import Bank

HOUR_US = DAY_US // 24
ALL = {
    "country": banks.COUNTRY,
    "cash": banks.CASH,
    "watch": banks.WATCH,
    "screened": {"cases": [{"when": {"screening": "sanctions", "is": "present"}, "points": 1, "floor": "high"}]},
    "confirmed": banks.CONFIRMED,
    "alerts": banks.ALERTS,
}


@pytest.fixture
@filled_once
def bank(engine: Engine) -> Bank:
    """A bank with one customer, who is at the lowest level, and nothing to do."""
    made = Bank(engine)
    made.activate(banks.document(ALL))
    made.put("a", country="NO")
    assert made.settle() == 1
    assert made.level() == 1
    made.wait(microseconds=1)
    return made


def test_a_new_entity_is_assessed_behind_the_answer(engine: Engine) -> None:
    bank = Bank(engine)
    bank.activate(banks.document(ALL))
    bank.put("a", country="KP")
    assert bank.assessments() == []
    assert Reason(bank.mark_of().reasons) == Reason.NEW
    assert bank.settle() == 1
    assert bank.level() == 3


FACTS: dict[str, tuple[Callable[[Bank], object], Reason, int]] = {
    "an attribute": (lambda bank: bank.put("a", country="RU"), Reason.ATTRIBUTE, 2),
    "a transaction": (lambda bank: bank.pay(1), Reason.TRANSACTION, 2),
    "a tag": (lambda bank: set_tag(bank.context, "customer", "a", "watch"), Reason.TAG, 3),
    "a screening": (
        lambda bank: add_screening(bank.context, "customer", "a", "sanctions", has_match=True),
        Reason.SCREENING,
        3,
    ),
    "an alert": (
        lambda bank: put_record(
            bank.context, "customer", "a", "alert", RecordGiven(external_id="1", opened_us=bank.now)
        ),
        Reason.RECORD,
        2,
    ),
    "a case with its outcome": (
        lambda bank: put_record(
            bank.context,
            "customer",
            "a",
            "case",
            RecordGiven(external_id="1", opened_us=bank.now - 9, closed_us=bank.now, outcome="confirmed"),
        ),
        Reason.RECORD,
        2,
    ),
    "an override": (lambda bank: bank.override("a", 3), Reason.OVERRIDE, 3),
}


@pytest.mark.parametrize("fact", FACTS)
def test_a_fact_makes_its_entity_due_at_once(bank: Bank, fact: str) -> None:
    happens, reason, level = FACTS[fact]
    happens(bank)
    mark = bank.mark_of()
    assert mark.due_us == bank.now
    assert reason in Reason(mark.reasons)
    assert bank.settle() == 1
    assert bank.level() == level
    assert bank.transitions() == [(None, 1), (1, level)]


def test_the_end_of_a_tag_that_is_taken_off_makes_due(bank: Bank) -> None:
    # Who was never screened may be on a list: that would hold the floor of the tag for another cooldown.
    add_screening(bank.context, "customer", "a", "sanctions", has_match=False)
    bank.settle()
    set_tag(bank.context, "customer", "a", "watch")
    bank.settle()
    bank.wait(days=10)
    end_tag(bank.context, "customer", "a", "watch")
    assert bank.settle() == 1
    assert bank.transitions() == [(None, 1), (1, 3), (3, 1)]


def test_a_clean_screening_counts(engine: Engine) -> None:
    """Never screened is unknown; screened with nothing found is not."""
    bank = Bank(engine)
    bank.activate(banks.document({"screened": banks.SCREENED}))
    bank.put("a")
    bank.settle()
    assert bank.level() == 2
    bank.wait(days=10)
    add_screening(Context(engine, bank.actor).at(bank.now), "customer", "a", "sanctions", has_match=False)
    bank.settle()
    assert bank.level() == 1


def test_a_case_counts_when_it_is_closed_and_not_when_it_is_opened(bank: Bank) -> None:
    given = RecordGiven(external_id="1", opened_us=bank.now)
    put_record(bank.context, "customer", "a", "case", given)
    assert bank.settle() == 1
    assert bank.level() == 1
    bank.wait(days=1)
    given = RecordGiven(external_id="1", opened_us=given.opened_us, closed_us=bank.now, outcome="confirmed")
    put_record(bank.context, "customer", "a", "case", given)
    assert bank.settle() == 1
    assert bank.level() == 2


def test_a_transaction_of_what_it_owns_makes_an_owner_due(bank: Bank) -> None:
    bank.add_type("account", {}, {"operation": "text"})
    bank.put("account", ("customer", "a"), "account")
    bank.settle()
    bank.wait(microseconds=1)
    bank.pay(1, "account", "account")
    assert Reason(bank.mark_of("a").reasons) & Reason.TRANSACTION
    assert bank.mark_of("a").due_us == bank.now
    bank.settle()
    assert bank.level("a") == 2


@pytest.mark.parametrize("fact", ["an alert", "a tag"])
def test_what_happens_to_what_it_owns_makes_an_owner_due(bank: Bank, fact: str) -> None:
    bank.add_type("account", {}, {})
    bank.put("account", ("customer", "a"), "account")
    bank.settle()
    bank.wait(microseconds=1)
    if fact == "a tag":
        set_tag(bank.context, "account", "account", "frozen")
    else:
        given = RecordGiven(external_id="1", opened_us=bank.now)
        put_record(bank.context, "account", "account", "alert", given)
    assert bank.mark_of("a").due_us == bank.now
    assert bank.settle() == 2
    assert bank.level("a") == (2 if fact == "an alert" else 1)


def test_a_new_owner_and_the_one_before_become_due(bank: Bank) -> None:
    bank.add_type("account", {}, {"operation": "text"})
    bank.put("b", country="NO")
    bank.put("account", ("customer", "a"), "account")
    bank.pay(1, "account", "account")
    bank.settle()
    assert (bank.level("a"), bank.level("b")) == (2, 1)
    bank.wait(days=10)
    bank.put("account", ("customer", "b"), "account")
    assert bank.settle() == 3
    assert (bank.level("a"), bank.level("b")) == (2, 2), "who left keeps what happened until then"


def test_the_interval_makes_due(bank: Bank) -> None:
    """Thirty days after the last assessment, though nothing happened; and again thirty days later."""
    bank.wait(days=30, microseconds=-2)
    assert bank.settle() == 0
    bank.wait(microseconds=1)
    assert bank.settle() == 1
    bank.wait(days=30)
    assert bank.settle() == 1


def test_money_that_leaves_a_window_is_seen_at_the_interval(engine: Engine) -> None:
    bank = Bank(engine)
    rule = {**banks.CASH, "input": {**banks.CASH["input"], "over": "20 days"}}  # type: ignore[dict-item]  # a mapping
    bank.activate(banks.document({"cash": rule}))
    bank.put("a")
    bank.pay(1)
    bank.settle()
    assert bank.level() == 2
    bank.wait(days=30)
    bank.settle()
    assert bank.level() == 1


def test_a_view_computes_what_is_older_than_an_hour(bank: Bank) -> None:
    begun = bank.standing().assessed_us
    bank.wait(microseconds=HOUR_US - 1)
    viewed = read_level_of_profile(Context(bank.engine, bank.actor, lambda: bank.now), "customer", "a")
    assert viewed.assessed_us == begun
    bank.wait(microseconds=1)
    viewed = read_level_of_profile(Context(bank.engine, bank.actor, lambda: bank.now), "customer", "a")
    assert (viewed.assessed_us, viewed.assessment) == (bank.now, "1.1"), "looked at again, and the same"


def test_a_view_computes_what_changed_since(bank: Bank) -> None:
    bank.put("a", country="KP")
    shown = read_level_of_profile(Context(bank.engine, bank.actor, lambda: bank.now), "customer", "a")
    assert (shown.level, shown.assessment, shown.refreshing) == ("high", "1.2", False)
    assert bank.settle() == 0


def test_a_system_that_reads_gets_the_stored_level_and_a_refresh_behind_it(bank: Bank) -> None:
    read = read_level(Context(bank.engine, bank.actor, lambda: bank.now), "customer", "a", Freshness.REFRESH)
    assert (read.level, read.assessment, read.refreshing) == ("low", "1.1", False)
    assert Reason(bank.mark_of().reasons) & Reason.VIEW
    assert bank.settle() == 1


def test_a_list_that_an_active_ruleset_reads_makes_due_when_it_begins(engine: Engine) -> None:
    bank = Bank(engine)
    put_list_version(Context(engine, bank.actor).at(bank.now), "hot", 0, ["KP"], "Hot", "ours")
    put_list_version(Context(engine, bank.actor).at(bank.now), "other", 0, ["KP"], "Other", "ours")
    bank.activate(banks.document({"listed": banks.LISTED}))
    bank.put("a", country="NO")
    bank.settle()
    bank.wait(microseconds=1)
    begins = bank.now + 5 * DAY_US
    put_list_version(Context(engine, bank.actor).at(bank.now), "other", begins, ["KP", "NO"], "Other", "ours")
    assert bank.next_us() == bank.now - 1 + 30 * DAY_US
    put_list_version(Context(engine, bank.actor).at(bank.now), "hot", begins, ["KP", "NO"], "Hot", "ours")
    assert bank.next_us() == begins
    bank.mark("a")  # what happens until then does not let the list be forgotten
    bank.settle()
    assert bank.level() == 1
    bank.wait(days=5)
    assert bank.settle() == 1
    assert bank.level() == 2
