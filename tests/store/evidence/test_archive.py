"""What evidence is made of: of one organisation and one time, in an order that does not change."""

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.store.evidence.archive import (  # fmt: skip
    activations_before,
    backtests_in,
    entries_in,
    head_of,
    validations_in,
    versions_of_organisation,
)
from fivefold.store.tables.events import ValidationRun
from fivefold.store.tables.rulesets import Activation, Backtest, Family
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import record
from tests.usecases.planted import Planted, planted


@pytest.fixture
def bank(engine: Engine) -> Planted:
    made = planted(engine)
    planted(engine, "other")
    return made


def test_versions_come_by_name_and_number(bank: Planted) -> None:
    with Session(bank.engine) as session:
        found = versions_of_organisation(session, bank.actor.organisation_id)
    assert [(family.name, version.number) for version, family in found] == [("retail", 1), ("retail", 2)]


def test_activations_before_a_moment(bank: Planted) -> None:
    with Session(bank.engine) as session, session.begin():
        for of, family, at_us in ((1, 1, 5), (1, 1, 9), (1, 1, 10), (2, 2, 5)):
            session.add(
                Activation(
                    organisation_id=of, family_id=family, kind="off", reason="r", actor="a", at_us=at_us, per_second=1,
                    reached_id=0, reached_us=0,
                )
            )  # fmt: skip
            session.flush()
    with Session(bank.engine) as session:
        assert [row.at_us for row in activations_before(session, 1, 10)] == [5, 9]


def test_backtests_that_were_asked_for_finished_or_named(bank: Planted) -> None:
    moments = [(5, None), (9, 12), (10, 11), (20, 25), (25, None), (3, 4)]
    with Session(bank.engine) as session, session.begin():
        family, kind = session.query(Family.id, Family.type_id).filter_by(organisation_id=1).one()
        for requested_us, finished_us in moments:
            session.add(
                Backtest(
                    organisation_id=1, family_id=family, type_id=kind, content_hash="h", canonical="{}", state="done",
                    requested_by="a", requested_us=requested_us, finished_us=finished_us, done=0, total=0,
                )
            )  # fmt: skip
            session.flush()
    with Session(bank.engine) as session:
        assert [row.id for row, _, _ in backtests_in(session, 1, 10, 20, [])] == [2, 3]
        assert [row.id for row, name, _ in backtests_in(session, 1, 10, 20, [6]) if name == "retail"] == [2, 3, 6]
        assert backtests_in(session, 2, 10, 20, [6]) == []


def test_validations_that_look_at_a_time_or_were_made_in_it(bank: Planted) -> None:
    with Session(bank.engine) as session, session.begin():
        for from_us, until_us, made_us in (
            (0, 10, 30),
            (0, 11, 30),
            (19, 30, 30),
            (20, 30, 30),
            (0, 5, 10),
            (0, 5, 20),
        ):
            session.add(
                ValidationRun(
                    organisation_id=1, trigger="t", from_us=from_us, until_us=until_us, made_us=made_us, report={}
                )
            )
            session.flush()
    with Session(bank.engine) as session:
        assert [run.id for run in validations_in(session, 1, 10, 20)] == [2, 3, 5]
        assert list(validations_in(session, 2, 10, 20)) == []


def test_entries_of_a_time_in_order(bank: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    with Session(bank.engine) as session:
        assert head_of(session, 1) is None
    for at_us in (5, 10, 19, 20):
        monkeypatch.setattr("fivefold.usecases.shared.context.now_microseconds", lambda at_us=at_us: at_us)
        with Session(bank.engine) as session, session.begin():
            record(session, Actor(1, "x"), "a.b", ("c", 1), after={"secret": "Wolfgang"})
            record(session, Actor(2, "x"), "a.b", ("c", 1))
    with bank.engine.connect() as connection:
        found = list(entries_in(connection, 1, 10, 20))
    assert [(row["number"], row["at_us"]) for row in found] == [(2, 10), (3, 19)]
    assert "Wolfgang" not in str(found)
    with Session(bank.engine) as session:
        head = head_of(session, 1)
    assert head is not None
    assert head[0] == 4
