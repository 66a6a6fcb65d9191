"""Validations and material changes, found by number and listed."""

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.domain.errors import NotFoundError
from fivefold.domain.paging import Part
from fivefold.store.monitoring.revalidation import (  # fmt: skip
    change_numbered,
    changes_of,
    count_open_changes,
    latest_run,
    run_numbered,
    runs_of,
)
from fivefold.store.tables.events import MaterialChange, ValidationRun
from tests.usecases.planted import Planted, planted


@pytest.fixture
def bank(engine: Engine) -> Planted:
    return planted(engine)


def run(of: int, until_us: int) -> ValidationRun:
    return ValidationRun(organisation_id=of, trigger="", from_us=0, until_us=until_us, made_us=1, report={})


def test_validations_are_found(bank: Planted) -> None:
    of, other = bank.actor.organisation_id, planted(bank.engine, "other").actor.organisation_id
    with Session(bank.engine) as session, session.begin():
        for each in (run(of, 5), run(of, 9), run(of, 9), run(of, 7), run(other, 99)):
            session.add(each)
            session.flush()
    with Session(bank.engine) as session:
        latest = latest_run(session, of)
        assert latest is not None
        assert latest.id == 3
        assert [each.id for each in runs_of(session, of, Part(3))] == [4, 3, 2]
        assert run_numbered(session, of, 4).until_us == 7
        for number in (5, 6):
            with pytest.raises(NotFoundError, match=f"there is no validation {number}"):
                run_numbered(session, of, number)
        assert latest_run(session, 99) is None


def test_changes_are_found(bank: Planted) -> None:
    of = bank.actor.organisation_id
    with Session(bank.engine) as session, session.begin():
        for signed_us in (None, 5, None):
            session.add(
                MaterialChange(
                    organisation_id=of, kind="product", description="d", registered_by="a", registered_us=1,
                    signed_us=signed_us,
                )
            )  # fmt: skip
            session.flush()
        assert count_open_changes(session, of) == 2
        assert [each.id for each in changes_of(session, of)] == [3, 2, 1]
        assert change_numbered(session, of, 2).signed_us == 5
        with pytest.raises(NotFoundError, match="there is no material change 1"):
            change_numbered(session, 99, 1)
        assert (count_open_changes(session, 99), list(changes_of(session, 99))) == (0, [])
