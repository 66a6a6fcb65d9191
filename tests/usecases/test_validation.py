"""A validation is made once, kept as it was found, and says what asks for the next one."""

import json

import pytest
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from domain.clock import DAY_US
from domain.errors import ActionRefused, ConfigError, NotThere
from store.audit_tables import AuditEntry
from store.event_tables import ValidationRun
from tests.store.filling import filled_once
from tests.usecases import banks, platforms
from tests.usecases.banks import Bank
from tests.usecases.planted import Planted, Step, day, fill, planted
from usecases.actors import Actor
from usecases.audit_verify import verify
from usecases.ingest_bulk import TagRow, put_tags
from usecases.ingest_facts import RecordGiven, put_record
from usecases.material_changes import register_change
from usecases.validation import list_validations, read_validation, revalidation, validate_levels
from usecases.validation_page import validation_page

NOW = platforms.NOW
FROM, UNTIL = day(0), day(90)


@pytest.fixture
@filled_once
def bank(engine: Engine) -> Planted:
    made = planted(engine)
    fill(made, 3, 60)
    return made


def test_a_validation_is_kept_as_it_was_found(bank: Planted) -> None:
    made = validate_levels(bank.engine, bank.actor, FROM, UNTIL, " third quarter ", now_us=NOW, resamples=50)
    assert (made.reason, made.from_us, made.until_us, made.made_us) == ("third quarter", FROM, UNTIL, NOW)
    report = made.report
    assert [(group["ruleset"], group["version"]) for group in report["groups"]] == [
        (None, None), ("retail", 1), ("retail", 2),
    ]  # fmt: skip
    assert (report["levels"], report["confirmed"], report["least"]) == (["low", "medium", "high"], ["confirmed"], 50)
    assert read_validation(bank.engine, bank.actor, made.id) == made
    assert list_validations(bank.engine, bank.actor) == [made]
    again = validate_levels(bank.engine, bank.actor, FROM, UNTIL, now_us=NOW + 1, resamples=50)
    assert again.report["groups"] == report["groups"], "the same history is the same figures"
    assert [each.id for each in list_validations(bank.engine, bank.actor)] == [again.id, made.id]


def test_it_is_recorded_once(bank: Planted) -> None:
    made = validate_levels(bank.engine, bank.actor, FROM, UNTIL, "a quarter", now_us=NOW, resamples=20)
    with Session(bank.engine) as session:
        (entry,) = session.scalars(select(AuditEntry)).all()
        assert (entry.action, entry.subject_kind, entry.subject_id) == ("levels.validated", "validation", str(made.id))
        assert json.loads(entry.details)["from_us"] == FROM
    assert verify(bank.engine, print).findings == 0


def test_transitions_and_what_waits_are_told(engine: Engine) -> None:
    """With a bank as it lives: the worker assesses, an alert comes, a case is confirmed."""
    bank = Bank(engine)
    bank.activate(banks.document({"country": banks.COUNTRY, "alerts": banks.ALERTS}))
    begins = bank.now
    for name, country in (("a", "NO"), ("b", "KP"), ("c", "RU")):
        bank.put(name, country=country)
    assert bank.settle() == 3
    bank.wait(1)
    put_record(engine, bank.actor, "customer", "a", "alert", RecordGiven("1", bank.now), now_us=bank.now)
    bank.wait(microseconds=1)
    assert bank.settle() == 1
    assert bank.transitions("a") == [(None, 1), (1, 2)]
    bank.wait(1)
    closed = RecordGiven("1", bank.now - DAY_US, bank.now, "confirmed")
    put_record(engine, bank.actor, "customer", "a", "case", closed, now_us=bank.now)
    bank.wait(microseconds=1)
    made = validate_levels(engine, bank.actor, begins, bank.now, now_us=bank.now, resamples=20)
    moved = {(each["from"], each["to"]): each["entities"] for each in made.report["transitions"]}
    assert moved == {(None, "low"): 1, (None, "medium"): 1, (None, "high"): 1, ("low", "medium"): 1}
    assert made.report["now"] == {"due": 1, "oldest_due_seconds": 0, "quarantined": 0}
    overall = made.report["groups"][0]
    assert [level["confirmed"] for level in overall["levels"]] == [1, 0, 0, 0, 0], "where they were before the alert"
    assert [level["held"] for level in overall["levels"]] == [0, 2, 1, 0, 0]
    assert overall["statuses"] == {"assessed": 3}


def test_a_leak_of_hindsight_is_warned_of(engine: Engine) -> None:
    """Today's confirmed cases were tagged with a date of long ago, and everybody was assessed as of that date."""
    bank = Bank(engine)
    bank.activate(banks.document({"watch": banks.WATCH}, optional_tables=["tags"]))
    bank.now = NOW - 300 * DAY_US
    names = [f"c{number}" for number in range(200)]
    begins = bank.now
    for name in names:
        bank.put(name)
    put_tags(engine, bank.actor, "customer", [TagRow(name, "watch", begins - 1) for name in names[:60]], NOW)
    bank.settle()
    for name in names[:60]:
        given = RecordGiven(name, begins + 30 * DAY_US, begins + 60 * DAY_US, "confirmed")
        put_record(engine, bank.actor, "customer", name, "case", given, now_us=NOW)
    bank.wait(days=100)
    made = validate_levels(engine, bank.actor, begins + DAY_US, bank.now, now_us=NOW, resamples=20)
    assert made.report["groups"][0]["ranked"]["gini"]["estimate"] == 1.0, "it looks like clairvoyance"
    assert made.report["assessed_late"] == {"assessments": 200, "of": 200}
    first = validation_page(made.id, made.reason, made.report).cautions[0]
    assert "200 of 200 assessments were made more than a day after their moment" in first
    assert "may be hindsight" in first


def test_a_time_that_is_none_is_refused(bank: Planted) -> None:
    for begins, ends, told in (
        (UNTIL, UNTIL, "is none; it must be longer"),
        (UNTIL, FROM, "is none; it must be longer"),
        (FROM, NOW + 1, "which is still to come; it must be over"),
        ("2026", NOW, "from_us is '2026'; it must be a moment"),
    ):
        with pytest.raises(ConfigError, match=told):
            validate_levels(bank.engine, bank.actor, begins, ends, now_us=NOW)  # type: ignore[arg-type]  # a wrong one
    assert list_validations(bank.engine, bank.actor) == []


def test_a_reason_and_outcomes_are_needed(bank: Planted) -> None:
    with pytest.raises(ConfigError, match="reason must say why"):
        validate_levels(bank.engine, bank.actor, FROM, UNTIL, " ", now_us=NOW)
    for words in ([], "confirmed", [""], ["a\x00"], [f"{n}" for n in range(21)]):
        with pytest.raises(ConfigError, match="confirmed must be 1 to 20 outcomes"):
            validate_levels(bank.engine, bank.actor, FROM, UNTIL, confirmed=words, now_us=NOW)


def test_without_levels_there_is_nothing_to_validate(engine: Engine) -> None:
    with pytest.raises(ActionRefused, match="has not chosen its levels yet"):
        validate_levels(engine, Actor(99, "member:1"), FROM, UNTIL, now_us=NOW)


def test_others_validations_and_histories_are_not_there(bank: Planted) -> None:
    mine = validate_levels(bank.engine, bank.actor, FROM, UNTIL, now_us=NOW, resamples=20)
    other = planted(bank.engine, "other")
    fill(other, 5, 60)
    again = validate_levels(bank.engine, bank.actor, FROM, UNTIL, now_us=NOW, resamples=20)
    assert again.report["groups"] == mine.report["groups"]
    assert again.report["transitions"] == mine.report["transitions"]
    for number in (mine.id, 99):
        with pytest.raises(NotThere, match=f"there is no validation {number}"):
            read_validation(bank.engine, other.actor, number)
    assert list_validations(bank.engine, other.actor) == []
    assert {trigger.name for trigger in revalidation(bank.engine, other.actor, NOW)} == {"age", "material change"}


def test_who_was_erased_is_left_out(bank: Planted) -> None:
    from sqlalchemy import update

    from store.entity_tables import Entity

    before = validate_levels(bank.engine, bank.actor, FROM, UNTIL, now_us=NOW, resamples=20).report["groups"][0]
    gone = max(entity for entity, steps in bank.steps.items() if steps and steps[0].as_of_us < FROM)
    with Session(bank.engine) as session, session.begin():
        session.execute(update(Entity).where(Entity.id == gone).values(erased_us=NOW))
    after = validate_levels(bank.engine, bank.actor, FROM, UNTIL, now_us=NOW, resamples=20).report["groups"][0]
    assert after["drift"]["ended"] == before["drift"]["ended"] - (bank.steps[gone][-1].version is not None)


def test_what_asks_for_a_revalidation_now(bank: Planted) -> None:
    def answers(now_us: int) -> dict[str, str]:
        return {trigger.name: trigger.answer for trigger in revalidation(bank.engine, bank.actor, now_us)}

    assert answers(NOW) == {"age": "reached", "material change": "not reached"}
    bank.override(1, 1, day(50))
    bank.add_all([[Step(day(1), bank.versions[0], 3, 3)]] * 3)
    validate_levels(bank.engine, bank.actor, FROM, UNTIL, now_us=NOW, resamples=20)
    assert answers(NOW + 365 * DAY_US)["age"] == "not reached"
    assert answers(NOW + 365 * DAY_US + 1)["age"] == "reached"
    assert answers(NOW)["gini"] == "unknown"
    register_change(bank.engine, bank.actor, "country", "We open in Malta.", NOW + 1)
    assert answers(NOW)["material change"] == "reached"
    made = validate_levels(bank.engine, bank.actor, FROM, UNTIL, now_us=NOW + 2, resamples=20)
    last = {each["name"]: each["answer"] for each in made.report["triggers"]}
    assert (last["age"], last["material change"]) == ("not reached", "reached")


def test_the_validation_that_looks_furthest_is_the_latest(bank: Planted) -> None:
    validate_levels(bank.engine, bank.actor, FROM, UNTIL, now_us=NOW, resamples=20)
    validate_levels(bank.engine, bank.actor, day(-90), FROM, "an old quarter", now_us=NOW + DAY_US, resamples=20)
    (age,) = [trigger for trigger in revalidation(bank.engine, bank.actor, NOW + 2 * DAY_US) if trigger.name == "age"]
    assert age.figure == 2


def test_a_validation_that_fails_leaves_nothing(bank: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError

    monkeypatch.setattr("usecases.validation.audit.record", broken)
    with pytest.raises(RuntimeError):
        validate_levels(bank.engine, bank.actor, FROM, UNTIL, now_us=NOW, resamples=20)
    with Session(bank.engine) as session:
        assert session.scalar(select(func.count()).select_from(ValidationRun)) == 0
