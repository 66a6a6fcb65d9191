"""Policies and decisions as they are kept: versions by name, and one decision under each key, the latest first."""

from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.domain.errors import NotFoundError
from fivefold.domain.paging import Part
from fivefold.store.decisions import (
    active_policy,
    add_decision,
    decision_keyed,
    decision_numbered,
    decisions_of,
    entity_state,
    policy_numbered,
    policy_versions,
    subjects_of,
)
from fivefold.store.tables.events import Policy
from tests.store.filling import filled_once
from tests.usecases.decisions.deciding import CASH, WORTH, Desk, opened
from tests.usecases.platforms import NOW


@pytest.fixture
@filled_once
def desk(engine: Engine) -> Desk:
    made = opened(engine)
    made.publish(CASH)
    return made


def row(desk: Desk, key: str | None = None, **changed: Any) -> dict[str, Any]:
    with Session(desk.bank.engine) as session:
        policy = session.query(Policy).one()
    usual = {"organisation_id": desk.bank.of, "policy_id": policy.id, "entity_id": 1, "at_us": 1, "actor": "token:1"}
    return {**usual, "action": "allow", "decision_key": key, "inputs": "{}", "answer": "{}", **changed}


def test_there_is_one_under_each_key(desk: Desk) -> None:
    other = opened(desk.bank.engine, "other")
    with Session(desk.bank.engine) as session, session.begin():
        first = add_decision(session, row(desk, "payments/1"))
        assert first is not None
        assert add_decision(session, row(desk, "payments/1", action="block")) is None
        assert (add_decision(session, row(desk, "payments/2")) or 0) > first
        assert add_decision(session, row(desk)) != add_decision(session, row(desk))
        assert add_decision(session, row(desk, "payments/1", organisation_id=other.bank.of)) is not None
        found = decision_keyed(session, desk.bank.of, "payments/1")
        assert found is not None
        assert (found.id, found.action) == (first, "allow")
        assert decision_keyed(session, desk.bank.of, "payments/3") is None


def test_they_are_listed_the_latest_first(desk: Desk) -> None:
    with Session(desk.bank.engine) as session, session.begin():
        numbers = [add_decision(session, row(desk, entity_id=entity)) for entity in (1, 2, 1, 1)]
        found = [made.id for made, policy in decisions_of(session, 1, Part(2)) if policy.name == "payments"]
        assert found == [numbers[3], numbers[2]]
        assert [made.id for made, _ in decisions_of(session, 1, Part(9, (numbers[2],)))] == [numbers[0]]


def test_one_of_another_organisation_is_not_there(desk: Desk) -> None:
    with Session(desk.bank.engine) as session, session.begin():
        number = add_decision(session, row(desk))
        assert number is not None
        assert decision_numbered(session, desk.bank.of, number).action == "allow"
        with pytest.raises(NotFoundError, match=f"there is no decision {number}"):
            decision_numbered(session, desk.bank.of + 1, number)


def test_where_an_entity_stands_is_told_with_its_ruleset(desk: Desk) -> None:
    with Session(desk.bank.engine) as session:
        found = entity_state(session, desk.bank.id_of("ada"), NOW)
        assert found.standing is not None
        assert (found.standing.level, found.ruleset, found.version) == (3, "retail", 1)
        assert found.mark is not None
        never = entity_state(session, desk.bank.id_of("cy"), NOW)
        assert (never.standing, never.ruleset, never.content_hash) == (None, None, None)


def test_whose_transaction_it_is_is_found_with_what_decides(desk: Desk) -> None:
    with Session(desk.bank.engine) as session:
        found = subjects_of(session, desk.bank.of, "customer", "ada", "payments")
        assert (found.entity.id, found.kind.name) == (desk.bank.id_of("ada"), "customer")
        assert found.settings is not None
        assert found.policy is not None
        assert (found.policy.name, found.policy.number) == ("payments", 1)
        assert subjects_of(session, desk.bank.of, "customer", "ada", "nothing").policy is None
        for of, kind, name in ((desk.bank.of + 1, "customer", "ada"), (desk.bank.of, "company", "ada")):
            with pytest.raises(NotFoundError, match=f"there is no entity type '{kind}'"):
                subjects_of(session, of, kind, name, "payments")


def test_the_latest_value_is_found(desk: Desk) -> None:
    with Session(desk.bank.engine) as session:
        assert entity_state(session, desk.bank.id_of("ada"), NOW).value is None
    for days_ago, score in ((2, 1.0), (0, 3.0), (1, 2.0)):
        desk.value("ada", score, days_ago=days_ago)
    with Session(desk.bank.engine) as session:
        found = entity_state(session, desk.bank.id_of("ada"), NOW).value
        assert found is not None
        assert found.score == 3.0


def test_a_value_that_ended_is_none_and_not_the_one_before_it(desk: Desk) -> None:
    desk.value("ada", 3.0, days_ago=2)
    desk.value("ada", None, days_ago=1)
    with Session(desk.bank.engine) as session:
        assert entity_state(session, desk.bank.id_of("ada"), NOW).value is None
    desk.value("ada", 2.0)
    with Session(desk.bank.engine) as session:
        found = entity_state(session, desk.bank.id_of("ada"), NOW).value
        assert found is not None
        assert found.score == 2.0


@pytest.fixture
def policy_desk(engine: Engine) -> Desk:
    made = opened(engine)
    for rule in (CASH, WORTH):
        made.publish(rule)
    made.publish(CASH, name="another")
    return made


def test_versions_are_listed_by_name_the_newest_first(policy_desk: Desk) -> None:
    with Session(policy_desk.bank.engine) as session:
        found = [(row.name, row.number) for row in policy_versions(session, policy_desk.bank.of)]
        assert found == [("another", 1), ("payments", 2), ("payments", 1)]
        assert [row.number for row in policy_versions(session, policy_desk.bank.of, "payments")] == [2, 1]
        assert not policy_versions(session, policy_desk.bank.of + 1)


def test_one_is_found_by_its_number(policy_desk: Desk) -> None:
    with Session(policy_desk.bank.engine) as session:
        assert policy_numbered(session, policy_desk.bank.of, "payments", 1).state == "retired"
        for of, name, number in ((policy_desk.bank.of, "payments", 3), (policy_desk.bank.of + 1, "payments", 1)):
            with pytest.raises(NotFoundError, match=f"there is no version {number} of a policy 'payments'"):
                policy_numbered(session, of, name, number)
        for of, rest in ((policy_desk.bank.of, "; perhaps payments was meant"), (policy_desk.bank.of + 1, "")):
            with pytest.raises(NotFoundError, match=f"there is no version 1 of a policy 'paymets'{rest}$"):
                policy_numbered(session, of, "paymets", 1)


def test_the_one_in_force_is_found(policy_desk: Desk) -> None:
    with Session(policy_desk.bank.engine) as session:
        found = active_policy(session, policy_desk.bank.of, "payments")
        assert found is not None
        assert found.number == 2
        assert active_policy(session, policy_desk.bank.of, "nothing") is None
        assert active_policy(session, policy_desk.bank.of + 1, "payments") is None
