"""Replay: every stored assessment comes out again to the byte, and one that was changed does not."""

import json

import pytest
from sqlalchemy import Engine, select, text, update
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import ConflictError, NotFoundError
from fivefold.store.tables.entities import ListVersionRow
from fivefold.store.tables.levels import Assessment
from fivefold.usecases.ingest.facts import RecordGiven, put_record, set_tag
from fivefold.usecases.levels.content.breakdowns import lines_of
from fivefold.usecases.levels.replay import replay_assessment
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context
from tests.store.audits import forged
from tests.store.filling import filled_once
from tests.usecases import banks
from tests.usecases.banks import Bank

RULES = {
    "country": banks.COUNTRY,
    "listed": banks.LISTED,
    "cash": banks.CASH,
    "watch": banks.WATCH,
    "fading": banks.FADING,
    "income": banks.INCOME,
}


@pytest.fixture
@filled_once
def bank(engine: Engine) -> Bank:
    """A customer with a history: rules, a list, decay, a cooldown, an override and a ruleset that came later."""
    made = Bank(engine)
    with Session(engine) as session, session.begin():
        for since, members in ((1, '["DE"]'), (made.now + 1, '["DE","NO"]')):
            session.add(
                ListVersionRow(
                    organisation_id=made.of,
                    name="hot",
                    since_us=since,
                    title="Hot",
                    source="us",
                    members=members,
                    created_us=1,
                )
            )
    made.put("a", country="NO", income=0.1 + 0.2, occupation='"ø\\ \n')
    made.put("b")
    made.settle()
    made.activate(banks.document(RULES))
    made.mark("a")
    made.mark("b")
    made.settle()
    made.wait(1)
    set_tag(Context(engine, made.actor).at(made.now), "customer", "a", "watch", until_us=made.now + 10**12)
    made.pay(1)
    made.settle()
    put_record(
        Context(engine, made.actor).at(made.now),
        "customer",
        "b",
        "alert",
        RecordGiven(external_id="x", opened_us=made.now - 1),
    )
    made.override("b", 3, made.now + 3 * DAY_US)
    made.settle()
    made.activate(banks.document({"country": banks.COUNTRY}, applies_to={"field": "country", "is": "present"}))
    made.mark("a")
    made.mark("b")
    made.settle()
    made.wait(200)
    made.settle()
    return made


def numbers(bank: Bank) -> list[str]:
    with Session(bank.engine) as session:
        key = Assessment.entity_id, Assessment.number
        found = session.execute(select(*key).order_by(*key))
        return [f"{entity}.{number}" for entity, number in found]


def test_every_assessment_comes_out_again_to_the_byte(bank: Bank) -> None:
    without = 0
    for name in numbers(bank):
        try:
            found = replay_assessment(bank.context, name)
        except ConflictError as refused:
            assert "no ruleset was active" in str(refused)  # noqa: PT017 (two kinds of assessments are in one history)
            without += 1
        else:
            assert found.same, (found.stored, found.breakdown_now)
            assert found.engine == found.engine_now
    assert without == 2
    assert len(numbers(bank)) > 10


def test_one_that_was_changed_does_not(bank: Bank) -> None:
    name = numbers(bank)[-1]
    entity, number = (int(part) for part in name.split("."))
    with forged(bank.engine) as connection, Session(bind=connection) as session:
        found = session.get_one(Assessment, (entity, number))
        assert found.breakdown is not None
        words, total, *rest = json.loads(found.breakdown)
        found.breakdown = json.dumps([words, total + 100, *rest])
        session.flush()
    replayed = replay_assessment(bank.context, name)
    assert not replayed.same
    assert replayed.stored != replayed.breakdown_now


@pytest.mark.parametrize("codes", ["[1]", "[1, 500, 99, 0, 99, 99]", "[", '[1, "x"]'], ids=str)
def test_codes_that_no_assessment_has_are_named_and_hide_no_other(bank: Bank, codes: str) -> None:
    entity, number = (int(part) for part in numbers(bank)[-1].split("."))
    with forged(bank.engine) as connection, Session(bind=connection) as session:
        session.get_one(Assessment, (entity, number)).breakdown = codes
        session.flush()
    with pytest.raises(
        ConflictError, match=rf"assessment {entity}\.{number} cannot be explained.*fivefold audit verify"
    ):
        replay_assessment(bank.context, f"{entity}.{number}")
    with Session(bank.engine) as session:
        lines = lines_of(session, bank.of, [(entity, number - 1), (entity, number)])
    assert "cannot be explained" in lines[entity, number]
    assert "cannot be explained" not in lines.get((entity, number - 1), "")


def test_an_erased_one_says_so(bank: Bank) -> None:
    with forged(bank.engine) as connection:
        connection.execute(text("UPDATE assessment_inputs SET content = NULL"))
        connection.execute(update(Assessment).values(breakdown=None))
    with pytest.raises(ConflictError, match=r"assessment 1\.2 was erased"):
        replay_assessment(bank.context, "1.2")


@pytest.mark.parametrize("name", ["1.99", "9.1", "1", "1.x", "", "-1.1", "1.1.1", "99999999999999999999.1"])
def test_what_is_not_there_is_not_there(bank: Bank, name: str) -> None:
    with pytest.raises(NotFoundError, match="there is no assessment"):
        replay_assessment(bank.context, name)


def test_nor_is_that_of_another_organisation(bank: Bank) -> None:
    other = Bank(bank.engine, "other")
    with pytest.raises(NotFoundError):
        replay_assessment(Context(bank.engine, Actor(other.of, "member:9")), "1.2")
