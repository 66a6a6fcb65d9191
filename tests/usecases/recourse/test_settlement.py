"""The hold of a challenge reaches what its entity owns; settlements rest on what is later than what is contested."""

from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from fivefold.domain.canonical import canonical_json
from fivefold.domain.clock import DAY_US, day_text
from fivefold.domain.errors import ConflictError
from fivefold.store.tables.entities import Entity
from fivefold.usecases.accounts.second_person import allow_sole_operator, require_two_people
from fivefold.usecases.erasure.erase import ErasureResult, erase_entity
from fivefold.usecases.ingest.facts import add_screening, set_tag
from fivefold.usecases.levels.overrides import approve_override, request_override, revoke_override_in
from fivefold.usecases.recourse.challenges import ChallengeLine, open_challenge, read_challenge
from fivefold.usecases.recourse.reply import OVER, give_reply
from fivefold.usecases.recourse.settlement import settle_challenge
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context
from tests.store.filling import filled_once
from tests.usecases import banks
from tests.usecases.banks import Bank
from tests.usecases.recourse.contested import (
    RULES,
    SAID,
    STANDS,
    WHY,
    approved,
    by,
    corrected,
    numbered,
    opened,
    overridden,
    written,
)


@pytest.fixture
@filled_once
def bank(engine: Engine) -> Bank:
    """A customer at medium by their income, and another one, both assessed once; the first owns an account."""
    made = written(engine)
    for name in "ab":
        made.put(name, income=1234.5, country="NO")
        add_screening(made.context, "customer", name, "sanctions", has_match=False, at_us=made.now)
    made.add_type("account", {}, {})
    made.put("x", ("customer", "a"), "account")
    made.pay(7, "x", kind="account", transaction_id="t7")
    made.settle()
    made.wait(days=1)
    return made


def erased(bank: Bank, folder: Path, kind: str = "account", name: str = "x") -> ErasureResult:
    """Erase once retention is over."""
    return erase_entity(bank.context.at(bank.now + 3650 * DAY_US), kind, name, folder / "register")


@pytest.mark.parametrize("owner", ["present", "former"])
def test_an_account_of_a_person_who_contests_is_kept(bank: Bank, tmp_path: Path, owner: str) -> None:
    made = opened(bank)
    if owner == "former":
        bank.wait(days=1)
        bank.put("x", ("customer", "b"), "account")
    with pytest.raises(ConflictError, match=f"challenge {made.id} contests assessment {made.assessment}"):
        erased(bank, tmp_path)
    assert read_challenge(bank.context, made.id).record_unchanged
    settle_challenge(by(bank, 2), made.id, STANDS)
    assert erased(bank, tmp_path).entity_ids


@pytest.mark.postgresql
def test_another_person_is_erased_while_one_contests(bank: Bank, tmp_path: Path) -> None:
    bank.put("x", ("customer", "b"), "account")
    open_challenge(bank.context, numbered(bank), SAID)
    number = bank.id_of("b")
    assert erased(bank, tmp_path, "customer", "b").entity_ids == (number,)


@pytest.mark.postgresql
def test_erasure_waits_for_a_challenge_that_is_being_opened(bank: Bank, tmp_path: Path) -> None:
    if bank.engine.dialect.name == "sqlite":
        pytest.skip("it has one writer")
    with ThreadPoolExecutor(1) as pool:
        with bank.context.writing() as session:
            session.execute(select(Entity.id).where(Entity.external_id == "a").with_for_update(key_share=True))
            erasure = pool.submit(erased, bank, tmp_path)
            with pytest.raises(TimeoutError):
                erasure.result(1)
        assert erasure.result(60).entity_ids


def assessed_later(bank: Bank) -> None:
    """A fact of the very moment of an assessment may be in it or not, so none is."""
    bank.wait(days=1)
    bank.settle()
    bank.wait(days=1)


def different(bank: Bank, **fields: object) -> str:
    """Send fields that differ, and assess; give the number of the new assessment."""
    bank.put("a", **{"income": 5.0, "country": "NO", **fields})
    assessed_later(bank)
    return numbered(bank)


def test_an_assessment_of_before_the_correction_settles_nothing(bank: Bank) -> None:
    first = numbered(bank)
    second = different(bank)
    bank.pay(9, "a", transaction_id="t9")
    bank.wait(days=1)
    made = open_challenge(bank.context, first, SAID)
    with pytest.raises(ConflictError, match=f"has the same result as assessment {second}, which is older"):
        settle_challenge(by(bank, 2), made.id, corrected("transaction t9"))
    with pytest.raises(ConflictError, match="has the same result"):
        settle_challenge(by(bank, 2), made.id, corrected("field income", "transaction t9"))
    assert settle_challenge(by(bank, 2), made.id, corrected("field income")).new_assessment == second


def test_the_first_assessment_since_the_last_change_is_linked(bank: Bank) -> None:
    first = numbered(bank)
    different(bank, country="RU")
    third = different(bank, country="KP")
    assert different(bank, country="KP", income=1234.5) != third
    made = open_challenge(bank.context, first, SAID)
    assert settle_challenge(by(bank, 2), made.id, corrected("field country")).new_assessment == third


def test_the_same_result_screened_again_is_no_later_change(bank: Bank) -> None:
    made = opened(bank)
    numbers = []
    for found in (True, False, False):
        add_screening(bank.context, "customer", "a", "sanctions", has_match=found, at_us=bank.now)
        bank.wait(days=1)
        assessed_later(bank)
        numbers.append(numbered(bank))
    assert len({made.assessment, *numbers[:2]}) == 3
    assert settle_challenge(by(bank, 2), made.id, corrected("screening sanctions")).new_assessment == numbers[1]


def test_a_tag_that_was_set_after_an_assessment_is_not_in_it(bank: Bank) -> None:
    bank.put("a", income=5.0, country="NO")
    made = opened(bank)
    assessed_later(bank)
    set_tag(bank.context, "customer", "a", "unread")
    with pytest.raises(ConflictError, match="has the same result"):
        settle_challenge(by(bank, 2), made.id, corrected("tag unread"))
    bank.wait(days=1)
    set_tag(bank.context, "customer", "a", "watch")
    assessed_later(bank)
    third = numbered(bank)
    bank.wait(days=1)
    set_tag(bank.context, "customer", "a", "other")
    bank.wait(days=1)
    assert settle_challenge(by(bank, 2), made.id, corrected("tag watch")).new_assessment == third


def test_what_no_rule_reads_settles_nothing_though_something_else_made_a_difference(bank: Bank) -> None:
    made = opened(bank)
    bank.put("a", occupation="teacher")
    assessed_later(bank)
    different(bank, country="KP")
    with pytest.raises(ConflictError, match="the rules read none of field occupation"):
        settle_challenge(by(bank, 2), made.id, corrected("field occupation"))


AGE = {"input": {"days_since": "opened_on"}, "cases": [{"when": {"at_least": 30}, "points": 70}]}
"""Points that come by time alone."""


def day(bank: Bank, days: int) -> str:
    """A day so many days from now."""
    return day_text(bank.now + days * DAY_US)[:10]


@pytest.fixture
def ageing(bank: Bank) -> Bank:
    """A customer at low, who moves to high some days later by age."""
    bank.activate(banks.document({**RULES, "age": AGE, "cash": banks.CASH}))
    bank.put("a", income=50.0, country="NO", opened_on=day(bank, -14))
    for days in (11, 1):  # it falls once the cooldown is over
        bank.settle()
        bank.wait(days=days)
    assert bank.level() == 1
    return bank


@pytest.mark.parametrize(
    ("fact", "why"),
    [
        ("field occupation", "the rules read none of field occupation"),
        ("tag other", "the rules read none of tag other"),
        ("field income", "comes to the same without the correction of field income"),
        ("transaction t9", "comes to the same without the correction of transaction t9"),
    ],
)
def test_what_moved_nothing_before_time_moved_the_level_settles_nothing(ageing: Bank, fact: str, why: str) -> None:
    made = opened(ageing)
    ageing.wait(microseconds=1)
    if fact.startswith("field"):
        of_kind = {"occupation": "teacher"} if fact.endswith("occupation") else {"income": 60.0}
        ageing.put("a", **{"income": 50.0, "country": "NO", "opened_on": day(ageing, -26), **of_kind})
    elif fact.startswith("tag"):
        set_tag(ageing.context, "customer", "a", "other")
    else:
        ageing.pay(9, "a", transaction_id="t9", operation="card")
    ageing.wait(microseconds=1)
    ageing.settle()
    assert ageing.level() == 1, "no case moved"
    with pytest.raises(ConflictError, match=why):
        settle_challenge(by(ageing, 2), made.id, corrected(fact))
    ageing.wait(days=5)
    with pytest.raises(ConflictError, match=why):
        settle_challenge(by(ageing, 2), made.id, corrected(fact))
    assert ageing.level() == 3


def test_what_moved_a_case_settles_though_time_moved_the_level_as_well(ageing: Bank) -> None:
    made = opened(ageing)
    ageing.wait(days=5)
    ageing.put("a", income=200.0, country="NO", opened_on=day(ageing, -32))
    ageing.wait(microseconds=1)
    assert settle_challenge(by(ageing, 2), made.id, corrected("field income")).new_assessment == numbered(ageing)


def test_an_override_without_effect_is_linked_to_no_earlier_assessment(bank: Bank) -> None:
    first = numbered(bank)
    bank.put("a", income=5.0, country="KP")
    assessed_later(bank)
    made = open_challenge(bank.context, first, SAID)
    bank.wait(days=1)
    number = approved(bank, "high")
    second = numbered(bank)
    done = settle_challenge(by(bank, 2), made.id, overridden(number))
    assert done.new_assessment == numbered(bank) != second


def decided(bank: Bank, people: tuple[int, int], level: str, until_us: int | None = None) -> int:
    made = request_override(by(bank, people[0]), "customer", "a", level, "We know them.", until_us)
    number = approve_override(by(bank, people[1]), made.id).id
    bank.wait(microseconds=1)
    bank.settle()
    bank.wait(days=1)
    return number


def contested_override(bank: Bank, until_us: int | None = None) -> tuple[int, ChallengeLine]:
    """An override that members 3 and 4 decided on, and a challenge of the assessment under it."""
    return decided(bank, (3, 4), "high", until_us), opened(bank)


@pytest.mark.parametrize("people", [(3, 5), (5, 3), (4, 5), (5, 4), (4, 3)])
def test_who_decided_what_is_contested_decides_nothing_else(bank: Bank, people: tuple[int, int]) -> None:
    contested, made = contested_override(bank)
    number = decided(bank, people, "medium")
    with pytest.raises(ConflictError, match=f"took part in override {contested}, which is contested, and in override"):
        settle_challenge(by(bank, 2), made.id, overridden(number))
    with pytest.raises(ConflictError, match=f"override {number} is in force since override {contested} ended"):
        settle_challenge(by(bank, 2), made.id, overridden(contested))


def test_the_same_level_until_the_same_end_is_no_other_decision(bank: Bank) -> None:
    contested, made = contested_override(bank)
    same = decided(bank, (5, 6), "high")
    with pytest.raises(ConflictError, match=f"has the level and the end of override {contested}"):
        settle_challenge(by(bank, 2), made.id, overridden(same))
    other = decided(bank, (5, 6), "high", bank.now + 90 * DAY_US)
    assert settle_challenge(by(bank, 2), made.id, overridden(other)).new_assessment == numbered(bank)


def test_a_contested_override_that_is_over_settles_with_its_own_sentence(bank: Bank) -> None:
    contested, made = contested_override(bank, bank.now + 5 * DAY_US)
    with pytest.raises(ConflictError, match="must be revoked or have ended"):
        settle_challenge(by(bank, 2), made.id, overridden(contested))
    bank.wait(days=6)
    done = settle_challenge(by(bank, 2), made.id, overridden(contested))
    assert (done.new_assessment, bank.standing().override_id) == (numbered(bank), None)
    assert give_reply(bank.context, made.id, "json").outcome == OVER


def test_a_contested_override_that_was_revoked_before_the_challenge_settles_nothing(bank: Bank) -> None:
    contested = decided(bank, (3, 4), "high")
    under_it = numbered(bank)
    with (member := by(bank, 7)).writing() as session:
        revoke_override_in(session, member, contested, WHY, bank.now)
    assessed_later(bank)
    made = open_challenge(bank.context, under_it, SAID)
    with pytest.raises(ConflictError, match=f"was revoked before challenge {made.id} was opened; another one must be"):
        settle_challenge(by(bank, 2), made.id, overridden(contested))
    anew = decided(bank, (5, 6), "medium")
    assert settle_challenge(by(bank, 2), made.id, overridden(anew)).new_assessment == numbered(bank)


def test_what_replaced_a_contested_override_and_is_over_too_is_linked_to_nothing(bank: Bank) -> None:
    contested, made = contested_override(bank)
    replacing = decided(bank, (5, 6), "medium")
    under_the_second = numbered(bank)
    with (member := by(bank, 7)).writing() as session:
        revoke_override_in(session, member, replacing, WHY, bank.now)
    assessed_later(bank)
    done = settle_challenge(by(bank, 2), made.id, overridden(contested))
    assert (done.new_assessment, bank.standing().override_id) == (numbered(bank), None)
    assert done.new_assessment != under_the_second
    assert give_reply(bank.context, made.id, "json").outcome == OVER, "nobody's decision stands"


def test_what_a_sole_operator_decided_two_members_decide_anew(engine: Engine) -> None:
    bank = written(engine)
    ana = Actor(bank.of, "cli:ana")
    allow_sole_operator(Context(engine, ana).at(bank.now), WHY)
    bank.put("a", income=1234.5, country="NO")
    add_screening(bank.context, "customer", "a", "sanctions", has_match=False, at_us=bank.now)
    asked = request_override(Context(engine, ana).at(bank.now), "customer", "a", "high", "We know them.")
    approve_override(Context(engine, ana).at(bank.now), asked.id)
    bank.wait(microseconds=1)
    bank.settle()
    made = opened(bank)
    bank.wait(days=1)
    alone = decided(bank, (5, 5), "medium")
    require_two_people(Context(engine, ana).at(bank.now), WHY)
    bank.put("a", income=5.0, country="NO")
    for settlement in (STANDS, corrected("field income")):
        with pytest.raises(ConflictError, match="cli:ana took part in override 1, which is contested, and"):
            settle_challenge(by(bank, 2), made.id, settlement)
    with pytest.raises(ConflictError, match="was not decided by two members"):
        settle_challenge(by(bank, 2), made.id, overridden(alone))
    number = decided(bank, (5, 6), "high")
    assert settle_challenge(by(bank, 2), made.id, overridden(number)).new_assessment == numbered(bank)


@pytest.mark.postgresql
def test_what_is_absent_changes_no_hash_of_a_record(bank: Bank) -> None:
    made = opened(bank, "x")  # no ruleset is for it
    (row,), (inputs,) = bank.assessments("x"), bank.inputs("x")
    assert (row.version_id, row.level, row.rules_level) == (None, None, None)
    there = {
        "entity_id": row.entity_id, "number": 1, "organisation_id": bank.of, "as_of_us": row.as_of_us,
        "source": row.source, "status": row.status, "floor": row.floor, "score": row.score, "engine": row.engine,
        "breakdown": row.breakdown, "batch": row.batch, "inputs": inputs.content,
    }  # fmt: skip
    present = canonical_json({name: value for name, value in there.items() if value is not None})
    assert made.record_sha256 == sha256(present.encode()).hexdigest()
