"""Policies as they are kept: versions by name, one of them in force."""

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.domain.errors import NotFoundError
from fivefold.store.decisions.decisions import active_policy, policy_numbered, policy_versions
from tests.usecases.deciding import CASH, WORTH, Desk, opened


@pytest.fixture
def desk(engine: Engine) -> Desk:
    made = opened(engine)
    for rule in (CASH, WORTH):
        made.publish(rule)
    made.publish(CASH, name="another")
    return made


def test_versions_are_listed_by_name_the_newest_first(desk: Desk) -> None:
    with Session(desk.bank.engine) as session:
        found = [(row.name, row.number) for row in policy_versions(session, desk.bank.of)]
        assert found == [("another", 1), ("payments", 2), ("payments", 1)]
        assert [row.number for row in policy_versions(session, desk.bank.of, "payments")] == [2, 1]
        assert not policy_versions(session, desk.bank.of + 1)


def test_one_is_found_by_its_number(desk: Desk) -> None:
    with Session(desk.bank.engine) as session:
        assert policy_numbered(session, desk.bank.of, "payments", 1).state == "retired"
        for of, name, number in ((desk.bank.of, "payments", 3), (desk.bank.of + 1, "payments", 1)):
            with pytest.raises(NotFoundError, match=f"there is no version {number} of a policy 'payments'"):
                policy_numbered(session, of, name, number)


def test_the_one_in_force_is_found(desk: Desk) -> None:
    with Session(desk.bank.engine) as session:
        found = active_policy(session, desk.bank.of, "payments")
        assert found is not None
        assert found.number == 2
        assert active_policy(session, desk.bank.of, "nothing") is None
        assert active_policy(session, desk.bank.of + 1, "payments") is None
