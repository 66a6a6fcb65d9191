"""How a level lives: what time does to it, and what it never does. Traps are mistakes that were found elsewhere."""

from typing import Any

import pytest
from sqlalchemy import Engine

from fivefold.domain.clock import DAY_US
from fivefold.store.levels.assessment_queue import Reason
from fivefold.usecases.ingest.facts import RecordGiven, put_record, set_tag
from fivefold.usecases.levels.read import Freshness, LevelView, level_history, read_level, read_level_of_profile
from fivefold.usecases.levels.records import NEVER_ASSESSED
from fivefold.usecases.shared.context import Context
from tests.store.filling import filled_once
from tests.usecases import banks
from tests.usecases.at_once import put_list_version
from tests.usecases.banks import Bank


@pytest.fixture
@filled_once
def bank(engine: Engine) -> Bank:
    """A bank with one customer at the lowest level: medium from Russia on, high from Iran on, high while watched."""
    made = Bank(engine)
    made.activate(banks.document({"country": banks.COUNTRY, "watch": banks.WATCH}))
    made.put("a", country="NO")
    made.settle()
    made.wait(microseconds=1)
    return made


def move(bank: Bank, country: str, days: float = 0) -> None:
    """Let the customer move to another country, after some days."""
    bank.wait(days=days)
    bank.put("a", country=country)
    bank.settle()


def view(bank: Bank) -> LevelView:
    return read_level_of_profile(Context(bank.engine, bank.actor, lambda: bank.now), "customer", "a")


def read(bank: Bank, freshness: Freshness) -> LevelView:
    return read_level(Context(bank.engine, bank.actor, lambda: bank.now), "customer", "a", freshness)


def alert(bank: Bank) -> None:
    put_record(bank.context, "customer", "a", "alert", RecordGiven(external_id="1", opened_us=bank.now))


def test_up_at_once_and_down_when_the_cooldown_ends_without_anybody_looking(bank: Bank) -> None:
    move(bank, "IR")
    entered = bank.now
    assert bank.standing().may_move_down_us == entered + 10 * DAY_US
    move(bank, "NO", days=4)
    assert bank.level() == 3
    assert bank.next_us() == entered + 10 * DAY_US
    bank.now = entered + 10 * DAY_US - 1
    assert bank.settle() == 0
    bank.wait(microseconds=1)
    assert bank.settle() == 1
    assert bank.transitions() == [(None, 1), (1, 3), (3, 1)]
    assert [event["to"] for event in bank.events()] == ["low", "high", "low"]


def test_trap_the_same_level_computed_again_does_not_restart_the_cooldown(bank: Bank) -> None:
    move(bank, "IR")
    entered = bank.now
    for country in ("KP", "IR", "KP"):
        move(bank, country, days=2)
        assert (bank.level(), bank.standing().entered_us) == (3, entered)
    move(bank, "NO", days=4)
    assert bank.level() == 1


def test_trap_a_level_withheld_is_nowhere_given_for_the_one_that_holds(bank: Bank) -> None:
    """Neither to who looks at once, nor behind; and the history says that it was withheld."""
    move(bank, "IR")
    bank.wait(days=1)
    bank.put("a", country="NO")
    shown = view(bank)
    assert (shown.level, shown.rules_level) == ("high", "high")
    assert read(bank, Freshness.NOW).level == "high"
    assert read(bank, Freshness.STORED).level == "high"
    assert [line.level for line in level_history(bank.context, "customer", "a")] == ["high"] * 2 + ["low"]
    assert "held" in level_history(bank.context, "customer", "a")[0].line


def test_trap_a_level_is_announced_when_it_is_reached_and_never_else(bank: Bank) -> None:
    """By whatever made it: the worker, a view or an override; and not when the cooldown withholds one."""
    bank.put("a", country="RU")
    view(bank)  # low to medium, at once
    move(bank, "IR", days=1)  # medium to high, behind
    move(bank, "NO", days=1)  # withheld
    view(bank)
    bank.override("a", 3)  # what holds anyway
    bank.settle()
    bank.override("a", 2)
    bank.settle()
    reached = [(event["from"], event["to"]) for event in bank.events()]
    assert reached == [(None, "low"), ("low", "medium"), ("medium", "high"), ("high", "medium")]
    assert [event["source"] for event in bank.events()] == ["rules", "rules", "rules", "override"]
    assert bank.transitions() == [(None, 1), (1, 2), (2, 3), (3, 2)]
    assert len({event["assessment"] for event in bank.events()}) == 4


def test_trap_an_override_ends_by_itself_at_its_very_moment(bank: Bank) -> None:
    """The worker ends it, without a visit; long before the interval ends, and with no cooldown of its own."""
    until = bank.now + 3 * DAY_US
    number = bank.override("a", 3, until)
    bank.settle()
    standing = bank.standing()
    assert (standing.level, standing.rules_level, standing.override_id) == (3, 1, number)
    assert (bank.next_us(), Reason(bank.mark_of().reasons)) == (until, Reason.EXPIRY)
    bank.now = until - 1
    assert bank.settle() == 0
    bank.wait(microseconds=1)
    assert bank.settle() == 1
    assert (bank.level(), bank.standing().override_id) == (1, None)
    assert [one.source for one in bank.assessments()] == ["rules", "override", "expiry"]
    assert bank.settle() == 0


def test_the_rules_level_keeps_its_own_cooldown_beneath_an_override(bank: Bank) -> None:
    move(bank, "IR")
    entered = bank.now
    bank.wait(days=1)
    bank.override("a", 1, bank.now + 2 * DAY_US)
    bank.put("a", country="NO")
    bank.settle()
    assert (bank.level(), bank.standing().rules_level, bank.standing().entered_us) == (1, 3, entered)
    bank.wait(days=2)
    bank.settle()
    assert bank.level() == 3  # the override ended, and the rules level is withheld still
    bank.now = entered + 10 * DAY_US
    bank.settle()
    assert bank.level() == 1


def test_an_override_that_is_revoked_ends_at_once(bank: Bank) -> None:
    number = bank.override("a", 3)
    bank.settle()
    bank.wait(days=1)
    bank.revoke("a", number)
    bank.settle()
    assert bank.level() == 1
    assert [one.source for one in bank.assessments()] == ["rules", "override", "override"]


def test_a_floor_that_comes_later_beats_an_override_below_it(bank: Bank) -> None:
    number = bank.override("a", 2)
    bank.settle()
    bank.wait(days=1)
    set_tag(bank.context, "customer", "a", "watch", until_us=bank.now + DAY_US)
    bank.settle()
    assert (bank.level(), bank.standing().override_id) == (3, number)
    bank.wait(days=1)
    bank.settle()
    assert (bank.level(), bank.standing().rules_level) == (2, 3)  # the override again; the rules level cools down
    assert bank.transitions() == [(None, 1), (1, 2), (2, 3), (3, 2)]


def test_an_override_ends_where_no_ruleset_is_active_too(engine: Engine) -> None:
    bank = Bank(engine)
    bank.put("a")
    until = bank.now + DAY_US
    bank.override("a", 2, until)
    bank.settle()
    assert (bank.level(), bank.standing().rules_level, bank.next_us()) == (2, None, until)
    bank.now = until
    bank.settle()
    assert (bank.level(), bank.standing().status, bank.next_us()) == (None, "no ruleset", None)
    assert bank.transitions() == [(None, 2), (2, None)]


def test_trap_nobody_is_taken_again_and_again(bank: Bank) -> None:
    """Those withheld, overridden and expired are done with for now: the worker comes to an end each time."""
    move(bank, "IR")
    bank.put("a", country="NO")
    bank.override("a", 2, bank.now + DAY_US)
    assert bank.settle() == 1
    bank.wait(days=1)
    assert bank.settle() == 1
    assert bank.settle() == 0


def test_trap_who_was_never_assessed_has_no_level_rather_than_the_lowest(engine: Engine) -> None:
    bank = Bank(engine)
    bank.activate(banks.document({"country": banks.COUNTRY}))
    bank.put("a", country="KP")
    stored = read(bank, Freshness.STORED)
    assert (stored.level, stored.rules_level, stored.status, stored.refreshing) == (None, None, NEVER_ASSESSED, True)
    assert read(bank, Freshness.REFRESH).level == "high"


def test_trap_a_second_event_within_the_hour_is_not_dropped(bank: Bank) -> None:
    bank.put("a", country="RU")
    bank.settle()
    bank.wait(microseconds=5)
    bank.put("a", country="IR")
    assert bank.settle() == 1
    assert bank.transitions() == [(None, 1), (1, 2), (2, 3)]


def test_trap_a_rule_that_fails_hides_neither_the_level_nor_the_failure(engine: Engine) -> None:
    """What one rule cannot read lowers nothing, and floors of others still raise."""
    bank = Bank(engine)
    fields: dict[str, Any] = {"rank": {"one_of": ["gold", "iron"]}}
    bank.add_type("member", {"rank": "text"}, {})
    rules = {
        "rank": {"input": {"field": "rank"}, "cases": [{"when": {"equals": "iron"}, "points": 40}]},
        "watch": banks.WATCH,
    }
    bank.activate(banks.document(rules, entity_type="member", fields=fields, transaction_fields={}))
    bank.put("a", kind="member", rank="iron")
    bank.settle()
    bank.wait(days=11)
    bank.put("a", kind="member", rank="tin")
    bank.settle()
    assert (bank.level(), bank.standing().status) == (2, "failed")
    bank.wait(days=1)
    set_tag(bank.context, "member", "a", "watch")
    bank.settle()
    assert (bank.level(), bank.standing().status) == (3, "failed")


def test_trap_a_total_at_a_threshold_is_in_the_upper_level(engine: Engine) -> None:
    bank = Bank(engine)
    bank.activate(banks.document({"country": banks.COUNTRY}, score={"points": {"thresholds": [5, 70]}}))
    for name, country, level in (("a", "NO", 2), ("b", "KP", 3), ("c", "SE", 1)):
        bank.put(name, country=country)
        bank.settle()
        assert bank.level(name) == level


def test_a_tag_ends_by_itself(bank: Bank) -> None:
    until = bank.now + 12 * DAY_US
    set_tag(bank.context, "customer", "a", "watch", until_us=until)
    bank.settle()
    assert (bank.level(), bank.next_us(), Reason(bank.mark_of().reasons)) == (3, until, Reason.DATED)
    bank.now = until
    bank.settle()
    assert bank.transitions() == [(None, 1), (1, 3), (3, 1)]


def test_a_transaction_dated_ahead_counts_from_its_moment(engine: Engine) -> None:
    bank = Bank(engine)
    bank.activate(banks.document({"cash": banks.CASH}))
    bank.put("a")
    bank.settle()
    ahead = bank.now + DAY_US // 2
    bank.pay(1, transaction_date="2026-11-20T12:00:00")
    bank.settle()
    assert (bank.level(), bank.next_us()) == (1, ahead)
    bank.now = ahead
    bank.settle()
    assert bank.level() == 2


def test_a_transaction_dated_ahead_is_awaited_where_indicators_alone_are_read(engine: Engine) -> None:
    bank = Bank(engine)
    deposits = {"input": {"indicator": "deposit_count_90d"}, "cases": [{"when": {"at_least": 1}, "points": 40}]}
    bank.activate(banks.document({"deposits": deposits}))
    bank.put("a")
    whole = {"user_balance": 5.0, "user_created": "2025-01-01", "user_category": "WEB"}
    bank.pay(1, transaction_date="2026-11-20T12:00:00", **whole)
    bank.settle()
    ahead = bank.now + DAY_US // 2
    assert (bank.level(), bank.next_us()) == (1, ahead)
    bank.now = ahead
    bank.settle()
    assert bank.level() == 2


def test_a_pending_transaction_counts_when_it_is_settled(engine: Engine) -> None:
    bank = Bank(engine)
    bank.activate(banks.document({"cash": banks.CASH}))
    bank.put("a")
    bank.pay(1, transaction_state="PENDING")
    bank.settle()
    assert bank.level() == 1
    bank.wait(days=1)
    first = "2026-11-20T00:00:00"
    assert bank.pay(1, transaction_state="SUCCEEDED", transaction_date=first).changed == 1
    assert bank.settle() == 1
    assert bank.level() == 2
    bank.wait(days=1)
    assert bank.pay(1, transaction_state="SUCCEEDED", transaction_date=first).repeated == 1
    assert bank.settle() == 0  # what was known already makes nobody due


def test_a_decay_step_is_taken_at_its_moment_and_is_told_as_one(engine: Engine) -> None:
    bank = Bank(engine)
    bank.activate(banks.document({"fading": banks.FADING}, max_recompute_interval="400 days"))
    bank.put("a")
    alert(bank)
    begins = bank.now
    bank.settle()
    assert bank.level() == 3
    for step, level in ((1, 2), (2, 1), (3, 1)):
        assert (bank.next_us(), Reason(bank.mark_of().reasons)) == (begins + step * 90 * DAY_US, Reason.DECAY)
        bank.now = begins + step * 90 * DAY_US
        assert bank.settle() == 1
        assert bank.level() == level
    assert [one.source for one in bank.assessments()] == ["rules", "decay", "decay", "decay"]
    assert [one.score for one in bank.assessments()] == ["64", "32", "16", "8"]


def test_a_view_before_a_decay_step_tells_of_no_decay(engine: Engine) -> None:
    bank = Bank(engine)
    bank.activate(banks.document({"fading": banks.FADING}, max_recompute_interval="400 days"))
    bank.put("a")
    alert(bank)
    bank.settle()
    bank.wait(days=89)
    assert view(bank).source == "rules"


def families(bank: Bank) -> None:
    """Those of a hot country are assessed by the first ruleset, rich ones by the second, nobody else."""
    hot = {"field": "country", "in_list": "hot"}
    rich = {"field": "income", "at_least": 100}
    put_list_version(bank.context, "hot", 0, ["KP"], "Hot", "ours")
    bank.activate(banks.document({"watch": banks.WATCH}, "first", applies_to=hot), 1)
    bank.activate(banks.document({"income": banks.INCOME}, "second", applies_to=rich), 2)


def test_the_first_ruleset_that_applies_decides(engine: Engine) -> None:
    bank = Bank(engine)
    families(bank)
    for name, country, income, level in (
        ("a", "KP", 500, 1),
        ("b", "NO", 500, 2),
        ("c", "NO", 5, None),
        ("d", None, None, None),
    ):
        bank.put(name, country=country, income=income)
        bank.settle()
        assert (name, bank.level(name)) == (name, level)
    decided = [bank.standing(name).version_id for name in "abcd"]
    assert decided == [1, 2, None, 1]  # of the last one it is unknown whether the first applies
    assert [bank.standing(name).status for name in "abcd"] == [
        "assessed",
        "assessed",
        "not applicable",
        "undetermined",
    ]
    assert bank.events("c") == []


def test_who_comes_under_another_ruleset_is_assessed_by_it_and_may_lose_the_level(engine: Engine) -> None:
    bank = Bank(engine)
    families(bank)
    bank.put("a", country="NO", income=500)
    bank.settle()
    bank.wait(days=1)
    bank.put("a", income=5)
    bank.settle()
    assert bank.level() is None
    assert [(event["from"], event["to"], event["ruleset"]) for event in bank.events()] == [
        (None, "medium", "second"),
        ("medium", None, None),
    ]


def test_a_family_that_is_off_assesses_nobody(engine: Engine) -> None:
    bank = Bank(engine)
    bank.activate(banks.document({"country": banks.COUNTRY}), enabled=False)
    bank.put("a", country="KP")
    bank.settle()
    assert (bank.level(), bank.standing().status) == (None, "no ruleset")


@pytest.mark.parametrize("income", [500, 5])
def test_a_list_that_begins_later_may_bring_somebody_under_an_earlier_ruleset(engine: Engine, income: int) -> None:
    """Whatever is assessed until then, by the second ruleset or by none."""
    bank = Bank(engine)
    families(bank)
    bank.put("a", country="NO", income=income)
    bank.settle()
    begins = bank.now + 5 * DAY_US
    put_list_version(Context(engine, bank.actor).at(bank.now), "hot", begins, ["KP", "NO"], "Hot", "ours")
    bank.wait(days=1)
    bank.mark("a")
    bank.settle()
    bank.now = begins
    assert bank.settle() == 1
    assert bank.standing().version_id == 1


def test_a_clock_that_goes_backwards_takes_no_level_back_and_takes_nobody_along(bank: Bank) -> None:
    """One assessed a little ahead of time goes on from there; those assessed with it live in the present."""
    bank.put("b", country="NO")
    bank.settle()
    before = bank.now
    move(bank, "RU", days=30 / 86_400)
    ahead = bank.now
    bank.now = before
    bank.put("a", country="IR")
    bank.put("b", country="IR")
    assert bank.settle() == 2
    assert (bank.standing("a").assessed_us, bank.standing("b").assessed_us) == (ahead, before)
    assert [one.as_of_us for one in bank.assessments("a")] == sorted(one.as_of_us for one in bank.assessments("a"))
    assert bank.transitions("a") == [(None, 1), (1, 2), (2, 3)]


def test_what_a_clock_that_is_ahead_recorded_counts_when_that_moment_is_reached(engine: Engine) -> None:
    """The machine that stores an alert may be ahead of the one where somebody looks at the profile."""
    bank = Bank(engine)
    bank.activate(banks.document({"alerts": banks.ALERTS}))
    bank.put("a")
    bank.settle()
    bank.wait(microseconds=900)
    alert(bank)
    bank.wait(microseconds=-800)
    assert read(bank, Freshness.NOW).level == "low"
    bank.wait(microseconds=800)
    bank.settle()
    assert bank.level() == 2
