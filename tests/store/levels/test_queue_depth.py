"""How many entities of an organisation are due."""

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.store.levels import assessment_queue as due
from fivefold.store.levels.assessment_queue import Reason, Subject
from fivefold.store.levels.queue_depth import QueueDepth, queue_depth
from fivefold.store.tables.levels import DueMark
from tests.usecases.planted import Planted, planted


@pytest.fixture
def bank(engine: Engine) -> Planted:
    return planted(engine)


def test_what_waits_is_counted_for_one_organisation(bank: Planted) -> None:
    of, other = bank.actor.organisation_id, planted(bank.engine, "other")
    ids = bank.add_all([[] for _ in range(4)])
    theirs = other.add()
    with Session(bank.engine) as session, session.begin():
        for number, moment in zip(ids, (5, 9, 10, 3), strict=True):
            due.mark(session, [Subject(number, of, bank.type_id)], Reason.NEW, moment)
        due.mark(session, [Subject(theirs, other.actor.organisation_id, other.type_id)], Reason.NEW, 1)
        session.get_one(DueMark, ids[3]).quarantined = True
    with Session(bank.engine) as session:
        assert queue_depth(session, of, 9) == QueueDepth(2, 5, 1)
        assert queue_depth(session, of, 4) == QueueDepth(0, None, 1)
        assert queue_depth(session, 99, 9) == QueueDepth(0, None, 0)
