"""A validation is made once, kept as it was found, and says what asks for the next one."""

import json
from datetime import date

import pytest
from sqlalchemy import Engine, func, select, update
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US, to_microseconds
from fivefold.domain.errors import ConfigError, ConflictError, NotFoundError
from fivefold.store.tables.audit import AuditEntry
from fivefold.store.tables.events import ValidationRun
from fivefold.usecases.audit.verify import verify
from fivefold.usecases.ingest.bulk_facts import TagRow, put_tags
from fivefold.usecases.ingest.facts import RecordGiven, put_record
from fivefold.usecases.levels.worker import run_batch
from fivefold.usecases.monitoring.page import validation_sections
from fivefold.usecases.monitoring.revalidation import register_change
from fivefold.usecases.monitoring.validate import (
    Validated,
    list_validations,
    read_validation,
    revalidation,
    validate_levels,
)
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context
from tests.store.filling import filled_once
from tests.usecases import banks, platforms
from tests.usecases.banks import Bank
from tests.usecases.planted import Planted, Step, day, fill, planted

NOW = platforms.NOW
FROM, UNTIL = day(0), day(90)
YEAR_ENDED = to_microseconds(date(2027, 1, 1))
LOW, HIGH = 1, 3


@pytest.fixture
@filled_once
def bank(engine: Engine) -> Planted:
    made = planted(engine)
    fill(made, 3, 60)
    return made


def test_a_validation_is_kept_as_it_was_found(bank: Planted) -> None:
    made = validate_levels(bank.context.at(NOW), FROM, UNTIL, " third quarter ", resamples=50)
    assert (made.reason, made.from_us, made.until_us, made.made_us) == ("third quarter", FROM, UNTIL, NOW)
    report = made.report
    assert [(group["ruleset"], group["version"]) for group in report["groups"]] == [
        (None, None), ("retail", 1), ("retail", 2),
    ]  # fmt: skip
    assert (report["levels"], report["confirmed"], report["least"]) == (["low", "medium", "high"], ["confirmed"], 50)
    assert read_validation(bank.context, made.id) == made
    assert list_validations(bank.context) == [made]
    again = validate_levels(bank.context.at(NOW + 1), FROM, UNTIL, resamples=50)
    assert again.report["groups"] == report["groups"], "the same history is the same figures"
    assert [each.id for each in list_validations(bank.context)] == [again.id, made.id]


def test_it_is_recorded_once(bank: Planted) -> None:
    before = verify(bank.engine, lambda _: None).findings  # rows that no use case wrote
    made = validate_levels(bank.context.at(NOW), FROM, UNTIL, "a quarter", resamples=20)
    with Session(bank.engine) as session:
        (entry,) = session.scalars(select(AuditEntry)).all()
        assert (entry.action, entry.subject_kind, entry.subject_id) == ("levels.validated", "validation", str(made.id))
        assert json.loads(entry.details)["from_us"] == FROM
    assert verify(bank.engine, lambda _: None).findings == before


def test_transitions_and_what_waits_are_told(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a bank as it lives: the worker assesses, an alert comes, a case is confirmed."""
    bank = Bank(engine)
    monkeypatch.setattr("fivefold.usecases.shared.context.now_microseconds", lambda: bank.now)
    bank.activate(banks.document({"country": banks.COUNTRY, "alerts": banks.ALERTS}))
    begins = bank.now
    for name, country in (("a", "NO"), ("b", "KP"), ("c", "RU")):
        bank.put(name, country=country)
    assert bank.settle() == 3
    bank.wait(1)
    put_record(
        Context(engine, bank.actor).at(bank.now),
        "customer",
        "a",
        "alert",
        RecordGiven(external_id="1", opened_us=bank.now),
    )
    bank.wait(microseconds=1)
    assert bank.settle() == 1
    assert bank.transitions("a") == [(None, 1), (1, 2)]
    bank.wait(1)
    closed = RecordGiven(external_id="1", opened_us=bank.now - DAY_US, closed_us=bank.now, outcome="confirmed")
    put_record(Context(engine, bank.actor).at(bank.now), "customer", "a", "case", closed)
    bank.wait(microseconds=1)
    made = validate_levels(Context(engine, bank.actor).at(bank.now), begins, bank.now, resamples=20)
    moved = {(each["from"], each["to"]): each["entities"] for each in made.report["transitions"]}
    assert moved == {(None, "low"): 1, (None, "medium"): 1, (None, "high"): 1, ("low", "medium"): 1}
    assert made.report["now"] == {"due": 1, "oldest_due_seconds": 0, "quarantined": 0}
    overall = made.report["groups"][0]
    assert [level["confirmed"] for level in overall["levels"]] == [1, 0, 0, 0, 0], "where they were before the alert"
    assert [level["held"] for level in overall["levels"]] == [0, 2, 1, 0, 0]
    assert overall["statuses"] == {"assessed": 3}


class Hindsight:
    """Customers who were all assessed when they came; months later some are confirmed, and only then tagged.

    The audit log is written at the bank's own moment, as it would have been.
    """

    def __init__(self, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bank = Bank(engine)
        self.bank.activate(banks.document({"watch": banks.WATCH}, optional_tables=["tags"]))
        self.begins = self.bank.now = NOW - 300 * DAY_US
        monkeypatch.setattr("fivefold.usecases.shared.context.now_microseconds", lambda: self.bank.now)

    def come(self, names: list[str]) -> None:
        for name in names:
            self.bank.put(name)
        self.bank.settle()

    def confirm_and_tag(self, names: list[str], opened_us: int) -> None:
        bank = self.bank
        for name in names:
            given = RecordGiven(external_id=name, opened_us=opened_us, closed_us=bank.now, outcome="confirmed")
            put_record(bank.context, "customer", name, "case", given)
        put_tags(bank.context, "customer", [TagRow(n, "watch", self.begins - 1) for n in names])

    def assess_as_of(self, as_of_us: int) -> None:
        while run_batch(self.bank.engine, clock=lambda: as_of_us) is not None:
            pass

    def validate(self, from_us: int, until_us: int) -> Validated:
        bank = self.bank
        return validate_levels(bank.context, from_us, until_us, resamples=20)


@pytest.fixture
def hindsight(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Hindsight:
    return Hindsight(engine, monkeypatch)


def test_a_leak_of_hindsight_is_not_in_the_figures(hindsight: Hindsight) -> None:
    """Everybody is assessed again as of a day before the cases, with tags that were recorded after them."""
    names = [f"c{number}" for number in range(200)]
    begins, bank = hindsight.begins, hindsight.bank
    hindsight.come(names)
    bank.wait(days=90)
    hindsight.confirm_and_tag(names[:60], begins + 60 * DAY_US)
    bank.wait(days=1)
    honest = hindsight.validate(begins + 36 * DAY_US, bank.now)
    hindsight.assess_as_of(begins + 35 * DAY_US)
    leaked = hindsight.validate(begins + 36 * DAY_US, bank.now)
    assert [each.level for each in bank.assessments("c0")] == [LOW, HIGH], "the leak is there"
    assert leaked.report["groups"] == honest.report["groups"]
    assert leaked.report["transitions"] == honest.report["transitions"]
    overall = leaked.report["groups"][0]
    assert overall["ranked"]["confirmed"] == overall["caught"]["confirmed"] == 60
    assert overall["ranked"]["gini"]["estimate"] == 0, "what was known by then told nobody apart"
    assert overall["caught"]["captured"]["estimate"] == 0
    assert leaked.report["assessed_late"] == {"assessments": 60, "of": 260, "entities": 0}
    first = validation_sections(leaked.id, leaked.reason, leaked.report).cautions[0]
    assert "60 of 260 assessments were made more than a day after their moment" in first
    assert "left out of every figure; 0 entities have no other assessment" in first


def test_where_all_is_hindsight_nobody_is_left(hindsight: Hindsight) -> None:
    """They were first assessed a year late, as of the beginning: what seems clairvoyance is no figure at all."""
    names = [f"c{number}" for number in range(120)]
    begins, bank = hindsight.begins, hindsight.bank
    for name in names:
        bank.put(name)
    bank.wait(days=100)
    hindsight.confirm_and_tag(names[:60], begins + 30 * DAY_US)
    bank.wait(days=1)
    hindsight.assess_as_of(begins + 1)
    made = hindsight.validate(begins + DAY_US, bank.now)
    overall = made.report["groups"][0]
    assert (overall["ranked"]["entities"], overall["ranked"]["gini"]["answer"]) == (0, "too few")
    assert (overall["caught"]["confirmed"], overall["caught"]["unassessed"]) == (0, 60)
    assert made.report["transitions"] == []
    assert made.report["assessed_late"] == {"assessments": 120, "of": 120, "entities": 120}
    cautions = validation_sections(made.id, made.reason, made.report).cautions
    assert "120 entities have no other assessment" in cautions[0]
    assert cautions[1].startswith("Nobody is left: no assessment was made in time")
    assert all(
        each["answer"] != "not reached" for each in made.report["triggers"] if each["name"] in ("gini", "misses")
    )


def test_a_worker_that_was_off_for_hours_is_no_hindsight(hindsight: Hindsight) -> None:
    hindsight.bank.put("a")
    hindsight.bank.wait(days=1)
    hindsight.assess_as_of(hindsight.begins)
    made = hindsight.validate(hindsight.begins, hindsight.bank.now)
    assert made.report["assessed_late"] == {"assessments": 0, "of": 1, "entities": 0}
    assert "hindsight" not in validation_sections(made.id, made.reason, made.report).cautions[0]


def test_the_page_of_a_validation_from_before_they_were_left_out(hindsight: Hindsight) -> None:
    """It was kept with hindsight in its figures, and still says so."""
    report = dict(hindsight.validate(hindsight.begins - DAY_US, hindsight.begins).report)
    report["assessed_late"] = {"assessments": 3, "of": 9}
    cautions = validation_sections(1, "why", report).cautions
    assert "3 of 9 assessments" in cautions[0]
    assert cautions[0].endswith("what these levels seem to have foreseen may be hindsight.")


def test_a_time_that_is_none_is_refused(bank: Planted) -> None:
    for begins, ends, told in (
        (UNTIL, UNTIL, "is empty; it must end after it begins"),
        (UNTIL, FROM, "is empty; it must end after it begins"),
        (FROM, NOW + 1, "which is still to come; it must be over"),
        ("2026", NOW, "from_us is '2026'; it must be a moment"),
    ):
        with pytest.raises(ConfigError, match=told):
            validate_levels(bank.context.at(NOW), begins, ends)  # type: ignore[arg-type]  # a wrong one
    assert list_validations(bank.context) == []


def test_a_reason_and_outcomes_are_needed(bank: Planted) -> None:
    with pytest.raises(ConfigError, match="reason must say why"):
        validate_levels(bank.context.at(NOW), FROM, UNTIL, " ")
    for words in ([], "confirmed", [""], ["a\x00"], [f"{n}" for n in range(21)]):
        with pytest.raises(ConfigError, match="confirmed must be 1 to 20 outcomes"):
            validate_levels(bank.context.at(NOW), FROM, UNTIL, confirmed=words)


def test_without_levels_there_is_nothing_to_validate(engine: Engine) -> None:
    with pytest.raises(ConflictError, match="has not defined its levels yet"):
        validate_levels(Context(engine, Actor(99, "member:1")).at(NOW), FROM, UNTIL)


def test_others_validations_and_histories_are_not_there(bank: Planted) -> None:
    mine = validate_levels(bank.context.at(NOW), FROM, UNTIL, resamples=20)
    other = planted(bank.engine, "other")
    fill(other, 5, 60)
    again = validate_levels(bank.context.at(NOW), FROM, UNTIL, resamples=20)
    assert again.report["groups"] == mine.report["groups"]
    assert again.report["transitions"] == mine.report["transitions"]
    for number in (mine.id, 99):
        with pytest.raises(NotFoundError, match=f"there is no validation {number}"):
            read_validation(Context(bank.engine, other.actor), number)
    assert list_validations(Context(bank.engine, other.actor)) == []
    assert {trigger.name for trigger in revalidation(Context(bank.engine, other.actor).at(NOW))} == {
        "review",
        "material change",
    }


def test_who_was_erased_is_left_out(bank: Planted) -> None:
    from sqlalchemy import update

    from fivefold.store.tables.entities import Entity

    before = validate_levels(bank.context.at(NOW), FROM, UNTIL, resamples=20).report["groups"][0]
    gone = max(entity for entity, steps in bank.steps.items() if steps and steps[0].as_of_us < FROM)
    with Session(bank.engine) as session, session.begin():
        session.execute(update(Entity).where(Entity.id == gone).values(erased_us=NOW))
    after = validate_levels(bank.context.at(NOW), FROM, UNTIL, resamples=20).report["groups"][0]
    assert after["drift"]["ended"] == before["drift"]["ended"] - (bank.steps[gone][-1].version is not None)


def sign_all(bank: Planted) -> None:
    with Session(bank.engine) as session, session.begin():
        session.execute(update(ValidationRun).values(signed_us=NOW))


def test_what_asks_for_a_revalidation_now(bank: Planted) -> None:
    def answers(now_us: int) -> dict[str, str]:
        return {trigger.name: trigger.answer for trigger in revalidation(bank.context.at(now_us))}

    assert answers(NOW) == {"review": "not reached", "material change": "not reached"}
    assert answers(YEAR_ENDED)["review"] == "reached"
    bank.override(1, 1, day(50))
    bank.add_all([[Step(day(1), bank.versions[0], 3, 3)]] * 3)
    validate_levels(bank.context.at(NOW), FROM, UNTIL, resamples=20)
    assert answers(YEAR_ENDED)["review"] == "reached"
    validate_levels(bank.context.at(YEAR_ENDED), UNTIL, YEAR_ENDED, resamples=20)
    assert answers(YEAR_ENDED)["review"] == "reached"
    sign_all(bank)
    assert answers(YEAR_ENDED + 89 * DAY_US)["review"] == "not reached"
    assert answers(YEAR_ENDED + 90 * DAY_US)["review"] == "reached"
    assert answers(NOW)["gini"] == "unknown"
    register_change(bank.context.at(NOW + 1), "country", "We open in Malta.")
    assert answers(NOW)["material change"] == "reached"
    made = validate_levels(bank.context.at(NOW + 2), FROM, UNTIL, resamples=20)
    last = {each["name"]: each["answer"] for each in made.report["triggers"]}
    assert (last["review"], last["material change"]) == ("not reached", "reached")


def test_the_validation_that_looks_furthest_is_the_latest(bank: Planted) -> None:
    validate_levels(bank.context.at(NOW), FROM, UNTIL, resamples=20)
    validate_levels(bank.context.at(NOW + DAY_US), day(-90), FROM, "an old quarter", resamples=20)
    sign_all(bank)
    (review,) = [trigger for trigger in revalidation(bank.context.at(UNTIL + 2 * DAY_US)) if trigger.name == "review"]
    assert review.figure == 2


def test_a_validation_that_fails_leaves_nothing(bank: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError

    monkeypatch.setattr("fivefold.usecases.monitoring.validate.Context.record", broken)
    with pytest.raises(RuntimeError):
        validate_levels(bank.context.at(NOW), FROM, UNTIL, resamples=20)
    with Session(bank.engine) as session:
        assert session.scalar(select(func.count()).select_from(ValidationRun)) == 0
