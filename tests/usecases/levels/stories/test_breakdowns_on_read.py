"""A breakdown is written when it is read: its bytes are those that were written at the time."""

import json
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select, text
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US
from fivefold.risk.engine.assessments import Assessments
from fivefold.risk.engine.explain.breakdown import as_json_text, explain_all
from fivefold.risk.engine.explain.stored import outcome_texts
from fivefold.risk.facts.portfolio import lacking_of
from fivefold.risk.language.expressions import input_key
from fivefold.risk.language.patterns import Fan
from fivefold.store.tables.levels import Assessment, AssessmentInputs, InputLayout
from fivefold.usecases.erasure.erase import erase_entity
from fivefold.usecases.ingest.facts import set_tag
from fivefold.usecases.levels import records
from fivefold.usecases.levels.content.breakdowns import breakdown_text, inputs_of, lines_of
from fivefold.usecases.levels.explain import read_reasons
from fivefold.usecases.levels.read import Freshness, level_history, read_level
from fivefold.usecases.levels.replay import replay_assessment
from fivefold.usecases.portfolio.timeline import list_events
from fivefold.usecases.portfolio.transitions import list_transitions
from fivefold.usecases.shared.context import Context
from tests.store.audits import forged
from tests.usecases import banks
from tests.usecases.at_once import put_list_version
from tests.usecases.banks import Bank
from tests.usecases.levels.stories.test_calculated_inputs import CALCULATE
from tests.usecases.levels.stories.test_calculated_inputs import RULES as CALCULATED

Written = dict[tuple[int, int, str], str]
"""Breakdowns as the engine wrote them with the assessment, by entity, moment and codes."""
RULES = {
    "country": banks.COUNTRY,
    "listed": banks.LISTED,
    "cash": banks.CASH,
    "watch": banks.WATCH,
    "fading": banks.FADING,
    "income": banks.INCOME,
    "opened": {"input": {"days_since": "opened_on"}, "cases": [{"when": {"below": 100}, "points": 5}]},
    **CALCULATED,
}
NAMES = ("a", "b", "c")


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Written:
    texts: Written = {}

    def kept(found: Assessments) -> list[str]:
        codes = outcome_texts(found)
        for one, code in zip(explain_all(found), codes, strict=True):
            texts[int(one.entity), one.as_of, f"{one.content_hash} {code}"] = as_json_text(one)
        return codes

    monkeypatch.setattr(records, "outcome_texts", kept)
    return texts


@pytest.fixture
def bank(engine: Engine, written: Written) -> Bank:
    """Customers with a history: lists, decay, a calculation, a floor, a cooldown, an override, missing facts."""
    made = Bank(engine)
    now = Context(engine, made.actor).at(made.now)
    put_list_version(now, "hot", 0, ["DE"], "Hot", "ours")
    made.put("c")
    made.settle()
    made.activate(banks.document(RULES, calculate=CALCULATE))
    made.put("a", country="NO", income=0.1 + 0.2, occupation='"ø\\ \n')
    made.put("b", country="KP")
    made.settle()
    made.wait(1)
    set_tag(Context(engine, made.actor).at(made.now), "customer", "a", "watch", until_us=made.now + 10 * DAY_US)
    made.pay(1)
    made.settle()
    made.override("b", 3, made.now + 3 * DAY_US)
    made.settle()
    made.put("b", country=None, income=1_000)
    made.pay(2, "c", transaction_currency="AED")  # which has no rate, so that the cash fails
    made.settle()
    put_list_version(Context(engine, made.actor).at(made.now), "hot", made.now + DAY_US, ["NO"], "Hot", "ours")
    for days in (5, 20, 200):
        made.wait(days)
        made.settle()
    made.activate(banks.document({"country": banks.COUNTRY}, applies_to={"field": "country", "is": "present"}))
    for name in NAMES:
        made.mark(name)
    made.settle()
    return made


def texts_read(bank: Bank) -> dict[str, dict[int, str | None]]:
    with Session(bank.engine) as session:
        return {name: {row.number: breakdown_text(session, row) for row in bank.assessments(name)} for name in NAMES}


@pytest.mark.postgresql
def test_what_is_read_is_what_was_written(bank: Bank, written: Written) -> None:
    count = 0
    for name in NAMES:
        for row in bank.assessments(name):
            if row.breakdown is not None and row.breakdown.startswith("["):
                count += 1
                shown = bank.breakdown(name, row.number - 1)
                codes = f"{json.loads(shown)['content_hash']} {row.breakdown}"
                assert shown == written[row.entity_id, row.as_of_us, codes]
                assert replay_assessment(bank.context, f"{row.entity_id}.{row.number}").same
    assert count > 15
    with Session(bank.engine) as session:
        layouts = session.scalar(select(func.count()).select_from(InputLayout)) or 0
        stored = session.scalar(select(func.avg(func.length(AssessmentInputs.content)))) or 0
    assert layouts < 8
    assert stored < 700  # with the keys, there were over a thousand


def test_every_list_shows_the_same_line(bank: Bank) -> None:
    lines = {
        f"{bank.id_of(name)}.{number}": json.loads(shown or "{}").get("line", "")
        for name, of_name in texts_read(bank).items()
        for number, shown in of_name.items()
    }
    hidden = {"The ruleset does not apply, so it gives no level"}
    for name in NAMES:
        assert [line.line for line in level_history(bank.context, "customer", name)] == [
            lines[f"{row.entity_id}.{row.number}"] for row in reversed(bank.assessments(name))
        ]
        for event in list_events(bank.context, "customer", name):
            if event.assessment is not None and lines[event.assessment] not in hidden:
                assert event.reason == lines[event.assessment]
    reached = list_transitions(bank.context)
    assert len(reached) > 5
    assert all(one.line == lines[one.assessment] for one in reached if lines[one.assessment] not in hidden)


def test_what_an_older_program_stored_is_read_as_it_stands(bank: Bank) -> None:
    """The text itself, and the inputs with their keys: reading, replay and reasons are as before."""
    before = texts_read(bank)
    names = [f"{row.entity_id}.{row.number}" for name in NAMES for row in bank.assessments(name)]
    reasons = [read_reasons(bank.context, name) for name in names]
    with forged(bank.engine) as connection, Session(bind=connection) as session:
        for name in NAMES:
            for number, shown in before[name].items():
                key = (bank.id_of(name), number)
                kept = inputs_of(session, session.get_one(Assessment, key)) or {}
                old = {word: value for word, value in kept.items() if word not in {"layout", "ruleset"}}
                of = {"entity_id": key[0], "number": number}
                where = " WHERE entity_id = :entity_id AND number = :number"
                session.execute(text(f"UPDATE assessments SET breakdown = :text{where}"), {**of, "text": shown})
                content = {**of, "text": json.dumps(old)}
                session.execute(text(f"UPDATE assessment_inputs SET content = :text{where}"), content)
        session.execute(text("DELETE FROM input_layouts"))
        session.flush()
    assert texts_read(bank) == before
    assert [read_reasons(bank.context, name) for name in names] == reasons
    with Session(bank.engine) as session:
        key = (bank.id_of("b"), 2)
        assert lines_of(session, bank.of, [key])[key] == json.loads(before["b"][2] or "")["line"]
    replayed = [name for name in names if "content_hash" in (whole(before, name_of(bank, name), name))]
    assert all(replay_assessment(bank.context, name).same for name in replayed)
    assert len(replayed) > 10


FAN_IN = {"pattern": "fan-in", "at_least": 3, "over": "30 days", "counterparty": "operation"}


def test_what_an_older_program_stored_of_a_pattern_is_read_in_the_words_of_now(engine: Engine) -> None:
    """It did not store of how many transactions the counterparty is not known."""
    made = Bank(engine)
    made.activate(banks.document({"fan": {"input": FAN_IN, "cases": [{"when": "present", "points": 40}]}}))
    made.put("a")
    for number, operation in enumerate(["cash", "wire", "card"]):
        made.pay(number, operation=operation)
    made.settle()
    name, shown, reasons = f"{made.id_of('a')}.1", made.breakdown(), read_reasons(made.context, f"{made.id_of('a')}.1")
    assert "fan in is 3. Case 1" in shown
    with forged(engine) as connection, Session(bind=connection) as session:
        row, stored = session.get_one(Assessment, (made.id_of("a"), 1)), made.inputs()[0]
        kept = inputs_of(session, row) or {}
        types = dict(zip(kept["inputs"], kept["types"], strict=True))
        lacking = lacking_of(input_key(Fan.model_validate(FAN_IN)))
        old = {word: value for word, value in kept.items() if word != "layout"}
        old["inputs"] = {key: value for key, value in kept["inputs"].items() if key != lacking}
        old["types"] = "".join(types[key] for key in old["inputs"])
        assert len(old["inputs"]) == len(kept["inputs"]) - 1
        session.merge(stored).content = json.dumps(old)
        row.breakdown = json.dumps([3, *json.loads(row.breakdown or "")[1:]])
        session.flush()
    assert made.breakdown() == shown
    assert read_level(made.context, "customer", "a", Freshness.STORED).breakdown == json.loads(shown)
    assert read_reasons(made.context, name) == reasons
    replayed = replay_assessment(made.context, name)
    assert (replayed.same, replayed.in_other_words) == (True, True)


def whole(texts: dict[str, dict[int, str | None]], customer: str, assessment: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(texts[customer][int(assessment.split(".")[1])] or "{}")
    return found


def name_of(bank: Bank, assessment: str) -> str:
    return next(name for name in NAMES if bank.id_of(name) == int(assessment.split(".", maxsplit=1)[0]))


def test_of_an_erased_customer_nothing_is_left_to_write(bank: Bank, tmp_path: Path) -> None:
    of = bank.id_of("a")
    bank.wait(days=4000)  # records are kept for five years
    erase_entity(Context(bank.engine, bank.actor, lambda: bank.now), "customer", "a", tmp_path / "register")
    with Session(bank.engine) as session:
        rows = session.scalars(select(Assessment).where(Assessment.entity_id == of)).all()
        assert rows
        assert [breakdown_text(session, row) for row in rows] == [None] * len(rows)
        assert lines_of(session, bank.of, [(of, row.number) for row in rows]) == {}
        layouts = "".join(session.scalars(select(InputLayout.content)))
    assert "ø" not in layouts
