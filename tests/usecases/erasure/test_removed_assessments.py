"""What old assessments were made from goes; levels, what rests on them, and the proof of it all stay."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select, text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import ConflictError
from fivefold.domain.paging import Part
from fivefold.store.erasure import retention as removing
from fivefold.store.erasure.old_rows import RetentionScope
from fivefold.store.tables.audit import AuditEntry
from fivefold.store.tables.entities import OrganisationSettings
from fivefold.store.tables.levels import Assessment, AssessmentInputs, OverrideReading, Standing, Transition
from fivefold.store.tables.operations import RetentionRun
from fivefold.store.tables.recourse import Challenge
from fivefold.usecases.accounts.settings import SettingsChange
from fivefold.usecases.changes.asks import change_settings
from fivefold.usecases.erasure import retention
from fivefold.usecases.erasure.erase import erase_entity, set_legal_hold
from fivefold.usecases.ingest.facts import set_tag
from fivefold.usecases.levels.explain import read_reasons
from fivefold.usecases.levels.read import level_history, read_assessment
from fivefold.usecases.levels.replay import replay_assessment
from fivefold.usecases.portfolio.differences import compare_assessments
from fivefold.usecases.portfolio.timeline import list_events
from fivefold.usecases.recourse import statement as statements
from fivefold.usecases.recourse.challenges import open_challenge
from fivefold.usecases.recourse.statement import Statement, give_statement
from tests.store.audits import findings_of, forged
from tests.store.filling import filled_once
from tests.usecases import banks
from tests.usecases.banks import Bank
from tests.usecases.erasure.erasures import chain_holds
from tests.usecases.erasure.removals import keep, line, remove
from tests.usecases.erasure.test_retention import decide

DAYS = 1826
COUNTRIES = ("KP", "NO", "RU", "SE", "NO")
"""What was said of a customer, a hundred days apart: high, low after the cooldown, medium, low, low with points."""


@pytest.fixture
@filled_once
def bank(engine: Engine) -> Bank:
    """Two customers whose history is older than six years, but for their present levels, of last year."""
    made = Bank(engine)
    made.activate(banks.document({"country": banks.COUNTRY, "watch": banks.WATCH}))
    made.wait(-2600)
    for country in COUNTRIES:
        for name in ("a", "b"):
            made.put(name, country=country)
        made.settle()
        made.wait(50)
        made.settle()
        made.wait(50)
    made.wait(2100 - 365)
    for name in ("a", "b"):
        made.put(name, country="RU")
    made.settle()
    made.wait(365)
    return made


def whole(bank: Bank, name: str = "a") -> list[int]:
    """The assessments whose reasons are there."""
    return [row.number for row in bank.assessments(name) if row.breakdown is not None]


def numbers(bank: Bank, name: str = "a") -> list[int]:
    return [row.number for row in bank.assessments(name)]


def test_what_no_level_rests_on_goes_and_levels_stay(bank: Bank) -> None:
    before, moved, history = numbers(bank), bank.transitions(), _history(bank)
    assert len(before) >= 6
    keep(bank, assessments_days=DAYS)
    shown = line(bank, "assessments")
    removed = remove(bank)["assessments"]
    assert shown.removable == removed > 0
    assert (numbers(bank), bank.transitions()) == (before, moved), "that there was one, and which level it gave"
    assert [line[:-1] for line in _history(bank)] == [line[:-1] for line in history]
    kept = whole(bank)
    assert before[-1] in kept
    assert before[0] in kept, "the first by the version that decides: a roll-back begins there"
    assert len(before) - len(kept) == removed / 2
    chain_holds(bank.engine)
    with Session(bank.engine) as session:
        for row in session.scalars(select(AssessmentInputs).where(AssessmentInputs.removed_by.is_not(None))):
            assert (row.content, row.salt) == (None, None)
            assert row.sha256
    assert bank.level() == 2
    bank.mark("a")
    bank.settle()
    assert bank.level() == 2
    assert bank.run() is None


def _history(bank: Bank) -> list[tuple[object, ...]]:
    page = level_history(bank.context, "customer", "a", Part(100))
    return [(each.assessment, each.level, each.status, each.reached, each.line) for each in page]


def _gone(bank: Bank) -> str:
    """The name of an assessment that was emptied."""
    number = min(set(numbers(bank)) - set(whole(bank)))
    return f"{bank.id_of('a')}.{number}"


def test_the_newest_stays_though_it_is_old_and_its_level_was_entered_by_an_earlier_one(bank: Bank) -> None:
    for country in ("SE", "NO", "SE"):
        bank.put("c", country=country)
        bank.settle()
        bank.wait(50)
    first, _, newest = numbers(bank, "c")
    assert len(bank.transitions("c")) == 1
    bank.wait(DAYS)
    keep(bank, assessments_days=DAYS)
    remove(bank)
    assert whole(bank, "c") == [first, newest]
    assert replay_assessment(bank.context, f"{bank.id_of('c')}.{newest}").same


@pytest.mark.postgresql
def test_the_one_by_which_the_present_level_was_reached_stays_though_the_rules_gave_it_before(engine: Engine) -> None:
    """An override was in force in between: its end is the latest move, and the rules' level was entered earlier."""
    bank = Bank(engine)
    points = {"cases": [{"when": {"tag": "watch", "is": "present"}, "points": 10}]}
    bank.activate(banks.document({"country": banks.COUNTRY, "watch": points}))
    bank.wait(-2600)
    bank.put("a", country="RU")
    bank.settle()
    bank.override("a", 3, until_us=bank.now + 10 * DAY_US)
    bank.settle()
    bank.wait(20)
    bank.settle()
    bank.wait(20)
    set_tag(bank.context, "customer", "a", "watch")
    bank.settle()
    bank.wait(2500)
    keep(bank, assessments_days=DAYS)
    with Session(bank.engine) as session:
        latest = session.scalars(select(Transition.number).order_by(Transition.number.desc())).first()
    assert latest in numbers(bank)[1:-1]
    remove(bank)
    assert latest in whole(bank)


def test_what_went_is_said_to_have_gone_by_the_policy(bank: Bank) -> None:
    keep(bank, assessments_days=DAYS)
    remove(bank)
    name = _gone(bank)
    says = r"was removed by the retention policy on 2026-\d\d-\d\d"
    with pytest.raises(ConflictError, match=f"assessment {name} {says}: what it was made from is gone"):
        replay_assessment(bank.context, name)
    with pytest.raises(ConflictError, match=says):
        give_statement(bank.context, name, "json")
    with pytest.raises(ConflictError, match=says):
        open_challenge(bank.context, name, "That was never true.")
    assert read_reasons(bank.context, name) is None
    shown = read_assessment(bank.context, name)
    assert (shown.gone or "").startswith("was removed by the retention policy on ")
    gone = sorted(set(numbers(bank)) - set(whole(bank)), reverse=True)
    with_reasons = [(each[0], each[-1]) for each in _history(bank) if not str(each[-1]).startswith("What it")]
    assert [int(str(each).partition(".")[2]) for each, _ in with_reasons] == sorted(whole(bank), reverse=True)
    said = {each[0]: each[-1] for each in _history(bank)}
    assert {said[f"{bank.id_of('a')}.{number}"] for number in gone} == {f"What it was made from {shown.gone}"}
    levels = list_events(bank.context, "customer", "a", Part(100), kinds=["level"])
    assert f"What it was made from {shown.gone}" in {event.reason for event in levels}
    newest = f"{bank.id_of('a')}.{numbers(bank)[-1]}"
    assert compare_assessments(bank.context, newest, name).points is None
    assert replay_assessment(bank.context, newest).same
    assert read_assessment(bank.context, newest).gone is None


def _decided(bank: Bank, number: int, _: Path) -> None:
    decide(bank, "a", assessment_number=number, at_us=bank.now - 2500 * DAY_US)
    with Session(bank.engine) as session, session.begin():
        session.execute(text("UPDATE decisions SET inputs = NULL WHERE FALSE"))


def _stated(bank: Bank, number: int, _: Path) -> None:
    give_statement(bank.context, f"{bank.id_of('a')}.{number}", "json")


def _contested(bank: Bank, number: int, _: Path) -> None:
    """One that was settled long ago: the answer that was given rests on the assessment."""
    _settle(bank, number, state="confirmed")


def _settled(bank: Bank, number: int, _: Path) -> None:
    """One whose facts were corrected: the answer that was given rests on the assessment after that."""
    _settle(bank, numbers(bank)[-1], state="corrected", settled_number=number)


def _settle(bank: Bank, contested: int, **outcome: Any) -> None:
    open_challenge(bank.context, f"{bank.id_of('a')}.{contested}", "Not so.")
    outcome |= {"settled_by": "member:2", "settled_us": bank.now, "reason": "It was so."}
    with Session(bank.engine) as session, session.begin():
        session.execute(update(Challenge).values(**outcome))


def _overridden(bank: Bank, number: int, _: Path) -> None:
    made = bank.override("a", 2, until_us=bank.now - DAY_US)
    with Session(bank.engine) as session, session.begin():
        session.add(OverrideReading(override_id=made, act="requested", actor="member:1", number=number))


def _opened(bank: Bank, number: int, _: Path) -> None:
    made = bank.override("a", 2, until_us=bank.now - DAY_US)
    newest = numbers(bank)[-1]
    with Session(bank.engine) as session, session.begin():
        row = OverrideReading(
            override_id=made, act="requested", actor="member:1", number=newest, opened_number=number, seconds=3
        )
        session.add(row)


RESTS: dict[str, Callable[[Bank, int, Path], None]] = {
    "a decision": _decided,
    "a statement": _stated,
    "a challenge that was settled": _contested,
    "the settlement of a challenge": _settled,
    "what was read before an override": _overridden,
    "what was opened before an override": _opened,
}


@pytest.mark.parametrize("what", RESTS)
def test_the_one_that_something_rests_on_stays(bank: Bank, tmp_path: Path, what: str) -> None:
    keep(bank, assessments_days=DAYS)
    number = next(one for one in numbers(bank)[1:] if _is_removable(bank, one))
    RESTS[what](bank, number, tmp_path)
    assert not _is_removable(bank, number)
    remove(bank)
    assert number in whole(bank)
    assert number not in whole(bank, "b")


def _is_removable(bank: Bank, number: int) -> bool:
    scope = RetentionScope(bank.of, bank.now - DAYS * DAY_US, bank.now)
    with Session(bank.engine) as session:
        part = removing.REMOVALS["assessments"].look(session, scope, None, 1_000)
    return (bank.id_of("a"), number) in {row.key for row in part.removable}


@pytest.mark.postgresql
def test_a_hold_that_comes_between_looking_and_removing_keeps_everything(
    bank: Bank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both happen in one transaction; on PostgreSQL others write meanwhile."""
    keep(bank, assessments_days=DAYS)
    of = removing.REMOVALS["assessments"]
    if bank.engine.dialect.name == "sqlite":
        set_legal_hold(bank.context, "customer", "a", bank.now + DAY_US, "Court.", tmp_path / "register")

    def look(session: Session, scope: RetentionScope, reached: object, most: int) -> object:
        part = of.look(session, scope, reached, most)  # type: ignore[arg-type]  # as it was given
        if bank.engine.dialect.name == "postgresql" and part.removable:
            set_legal_hold(bank.context, "customer", "a", bank.now + DAY_US, "Court.", tmp_path / "register")
        return part

    monkeypatch.setitem(removing.REMOVALS, "assessments", of._replace(look=look))  # type: ignore[arg-type]  # as above
    assert remove(bank)["assessments"] > 0
    assert whole(bank) == numbers(bank)
    assert whole(bank, "b") != numbers(bank, "b")
    chain_holds(bank.engine)


@pytest.mark.postgresql
@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("floor", 2),
        ("hard_floor", 2),
        ("floors_lost", "2020-01-01"),
        ("override_id", 1),
        ("may_move_down_us", 10**17),
    ],
)
def test_a_level_that_a_floor_an_override_or_a_cooldown_holds_up_rests_on_all_since_it_was_entered(
    bank: Bank, column: str, value: int | str
) -> None:
    keep(bank, assessments_days=DAYS)
    with Session(bank.engine) as session, session.begin():
        entered = {"entered_us": min(row.as_of_us for row in bank.assessments()), "floor": 0, "hard_floor": 0}
        session.execute(update(Standing).values(**{**entered, column: value}))
    assert line(bank, "assessments").removable == 0
    assert remove(bank) == {}


def test_a_cooldown_that_ends_at_this_moment_holds_nothing_up(bank: Bank) -> None:
    keep(bank, assessments_days=DAYS)
    for ahead, are_kept in ((1, True), (0, False)):
        with Session(bank.engine) as session, session.begin():
            entered = {"entered_us": min(row.as_of_us for row in bank.assessments()), "floor": 0, "hard_floor": 0}
            session.execute(update(Standing).values(**entered, may_move_down_us=bank.now + ahead))
        assert (line(bank, "assessments").removable == 0) is are_kept


def test_who_was_never_assessed_since_keeps_the_only_reasons_that_there_are(bank: Bank) -> None:
    keep(bank, assessments_days=DAYS)
    bank.wait(10 * 365)
    remove(bank)
    for name in ("a", "b"):
        assert numbers(bank, name)[-1] in whole(bank, name)
        assert replay_assessment(bank.context, f"{bank.id_of(name)}.{numbers(bank, name)[-1]}").same


def test_an_erasure_after_a_removal_and_a_removal_after_an_erasure(bank: Bank, tmp_path: Path) -> None:
    keep(bank, assessments_days=DAYS)
    remove(bank)
    bank.wait(DAYS + 1)
    erase_entity(bank.context, "customer", "a", tmp_path / "register")
    chain_holds(bank.engine)
    bank.wait(1)
    remove(bank)
    chain_holds(bank.engine)


def test_a_run_that_is_under_way_is_proven_too(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "PART_ROWS", 3)
    keep(bank, assessments_days=DAYS)
    while remove(bank, most_parts=1) == {}:
        pass
    chain_holds(bank.engine)
    with Session(bank.engine) as session:
        actions = list(session.scalars(select(AuditEntry.action).where(AuditEntry.action.startswith("retention."))))
    assert actions == ["retention.begun"]
    keep(bank, assessments_days=3 * DAYS)
    assert remove(bank) == {}
    chain_holds(bank.engine)
    keep(bank, assessments_days=DAYS)
    bank.wait(1)
    assert remove(bank)["assessments"] > 0
    chain_holds(bank.engine)


FORGED: dict[str, str] = {
    "a run that no entry speaks of": "UPDATE assessment_inputs SET removed_by = 77 WHERE removed_by IS NOT NULL",
    "one more": (
        "UPDATE assessment_inputs SET removed_by = (SELECT max(removed_by) FROM assessment_inputs), content = NULL,"
        " salt = NULL WHERE number = 1"
    ),
    "one less": "UPDATE assessment_inputs SET removed_by = NULL WHERE removed_by IS NOT NULL",
    "another hash": "UPDATE assessment_inputs SET sha256 = 'ab' WHERE removed_by IS NOT NULL",
    "reasons that are there again": "UPDATE assessments SET breakdown = '[]' WHERE breakdown IS NULL",
}


@pytest.mark.postgresql
@pytest.mark.parametrize("what", FORGED)
def test_what_no_run_removed_is_found(bank: Bank, what: str) -> None:
    keep(bank, assessments_days=DAYS)
    remove(bank)
    with forged(bank.engine) as connection:
        connection.execute(text(FORGED[what]))
    assert findings_of(bank.engine)


REFUSED: dict[str, str] = {
    "inputs go without a run": "UPDATE assessment_inputs SET content = NULL, salt = NULL",
    "inputs go by a run that is over": "UPDATE assessment_inputs SET content = NULL, salt = NULL, removed_by = 1",
    "a breakdown goes before its inputs": "UPDATE assessments SET breakdown = NULL",
    "the run is another one": "UPDATE assessment_inputs SET removed_by = 2 WHERE removed_by IS NOT NULL",
    "inputs are put back": "UPDATE assessment_inputs SET content = '{}', salt = '' WHERE removed_by IS NOT NULL",
    "facts change": "UPDATE assessments SET level = 3, breakdown = NULL",
}


@pytest.mark.postgresql
@pytest.mark.parametrize("what", REFUSED)
def test_the_database_refuses_what_no_run_does(bank: Bank, what: str) -> None:
    keep(bank, assessments_days=DAYS)
    remove(bank)
    with pytest.raises(DBAPIError, match="is refused"), bank.engine.begin() as connection:
        connection.execute(text(REFUSED[what]))


@pytest.mark.postgresql
def test_the_database_lets_a_run_empty_nothing_that_is_not_old_enough(bank: Bank) -> None:
    with Session(bank.engine) as session, session.begin():
        run = RetentionRun(
            organisation_id=bank.of, kind="assessments", days=DAYS, before_us=bank.now - DAYS * DAY_US,
            started_us=bank.now, removed=0,
        )  # fmt: skip
        session.add(run)
        session.flush()
        newest = session.scalars(select(Assessment).order_by(Assessment.as_of_us.desc())).first()
        assert newest is not None
        emptied = text(
            "UPDATE assessment_inputs SET content = NULL, salt = NULL, removed_by = :run"
            " WHERE entity_id = :entity AND number = :number"
        )
        row = {"run": run.id, "entity": newest.entity_id, "number": newest.number}
        with pytest.raises(DBAPIError, match="is refused"), session.begin_nested():
            session.execute(emptied, row)


def test_assessments_are_kept_for_as_long_as_other_records(bank: Bank) -> None:
    with pytest.raises(ConflictError, match="what a level was made from is a record too"):
        change_settings(bank.context, SettingsChange(assessments_days=400), "Why not.")
    change_settings(bank.context, SettingsChange(assessments_days=DAYS), "As long as the rest.")
    with Session(bank.engine) as session:
        assert session.get_one(OrganisationSettings, bank.of).assessments_days in {DAYS, None}


def test_what_is_removed_takes_less_room(bank: Bank) -> None:
    """The facts of an assessment, and the hash of what it was made from, are all that is left of it."""
    keep(bank, assessments_days=DAYS)

    def characters() -> int:
        with Session(bank.engine) as session:
            return session.scalar(text("SELECT sum(coalesce(length(breakdown), 0)) FROM assessments")) + session.scalar(
                text("SELECT sum(coalesce(length(content), 0)) FROM assessment_inputs")
            )

    before = characters()
    remove(bank)
    assert characters() < before


@pytest.mark.postgresql
def test_no_statement_is_given_of_what_was_removed_while_it_was_made(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a given statement names is kept whole, so none may be recorded of what is gone by then."""
    keep(bank, assessments_days=DAYS)
    name, made = f"{bank.id_of('a')}.2", statements._statement

    def slowly(*args: Any) -> Statement:
        remove(bank)
        return made(*args)

    monkeypatch.setattr(statements, "_statement", slowly)
    with pytest.raises(ConflictError, match=f"no statement of assessment {name}: it was removed by the retention"):
        give_statement(bank.context, name, "json")
    with Session(bank.engine) as session:
        assert session.scalars(select(AuditEntry).where(AuditEntry.action == "statement.given")).all() == []
