"""What is stored with an assessment: all of it in one transaction, for whom the lease is held, once."""

import json
from collections import Counter

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from fivefold.domain.clock import utc_text
from fivefold.store.levels import leases as claims
from fivefold.store.levels.leases import LeasedBatch
from fivefold.store.sql.database import writing
from fivefold.usecases.levels import persist as storing
from fivefold.usecases.levels.assess import AssessmentResult, assess_entities
from fivefold.usecases.levels.persist import store_result
from fivefold.usecases.levels.worker import LEASE_US, MAX_ABANDONED_LEASES
from tests.usecases import banks
from tests.usecases.banks import Bank


@pytest.fixture
def bank(engine: Engine) -> Bank:
    made = Bank(engine)
    made.activate(banks.document({"country": banks.COUNTRY}))
    for name, country in (("a", "NO"), ("b", "RU"), ("c", "KP")):
        made.put(name, country=country)
    return made


def computed(bank: Bank) -> tuple[LeasedBatch, AssessmentResult]:
    with writing(bank.engine) as session:
        batch = claims.claim(session, "lease", bank.now, bank.now + LEASE_US, 100, MAX_ABANDONED_LEASES)
    assert batch is not None
    reasons = {claim.entity_id: claim.reasons for claim in batch.claims}
    with Session(bank.engine) as session:
        return batch, assess_entities(session, bank.of, batch.type_id, reasons, bank.now)


def store(bank: Bank, batch: LeasedBatch, result: AssessmentResult) -> int:
    with writing(bank.engine) as session:
        return len(store_result(session, batch, result, "system").levels)


def rows(bank: Bank) -> dict[str, int]:
    tables = ("assessments", "assessment_inputs", "standings", "transitions", "outbox", "audit_entries")
    with bank.engine.connect() as connection:
        return {table: connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one() for table in tables}


@pytest.mark.postgresql
def test_it_is_stored_once(bank: Bank) -> None:
    batch, result = computed(bank)
    assert store(bank, batch, result) == 3
    stored = rows(bank)
    assert stored == {**dict.fromkeys(stored, 3), "audit_entries": stored["audit_entries"]}
    assert store(bank, batch, result) == 0
    assert rows(bank) == stored


def test_a_standing_that_goes_on_is_written_over_in_its_place(bank: Bank) -> None:
    assert store(bank, *computed(bank)) == 3
    with bank.engine.begin() as connection:
        # A row that another one refers to cannot be deleted.
        connection.execute(text("CREATE TABLE resting (entity_id BIGINT REFERENCES standings (entity_id))"))
        connection.execute(text("INSERT INTO resting SELECT entity_id FROM standings"))
        connection.execute(text("UPDATE due_marks SET due_us = 0"))
        before = connection.execute(text("SELECT entity_id, number, level FROM standings ORDER BY 1")).all()
    bank.put("a", country="KP")
    assert store(bank, *computed(bank)) == 3
    with bank.engine.connect() as connection:
        after = connection.execute(text("SELECT entity_id, number, level FROM standings ORDER BY 1")).all()
        counted = connection.execute(text("SELECT level, sum(entities) FROM portfolio_counts GROUP BY 1")).all()
    assert after == [(before[0].entity_id, 2, before[2].level), *before[1:]]
    assert {row[0]: row[1] for row in counted if row[1]} == Counter(row.level for row in after)


def test_all_of_it_or_nothing(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever fails last: nothing of the rest is there, and the lease is held still."""
    batch, result = computed(bank)
    before = rows(bank)

    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("the audit log is full")

    monkeypatch.setattr(storing.audit, "record_rows", fails)
    with pytest.raises(RuntimeError):
        store(bank, batch, result)
    monkeypatch.undo()
    assert rows(bank) == before
    assert bank.mark_of("a").lease == "lease"
    assert store(bank, batch, result) == 3


@pytest.mark.postgresql
def test_of_a_batch_only_those_are_stored_whose_lease_is_held(bank: Bank) -> None:
    batch, result = computed(bank)
    with writing(bank.engine) as session:
        session.execute(text("UPDATE due_marks SET lease = 'other' WHERE entity_id = :of"), {"of": bank.id_of("b")})
    assert store(bank, batch, result) == 2
    assert [len(bank.assessments(name)) for name in "abc"] == [1, 0, 1]
    assert [len(bank.events(name)) for name in "abc"] == [1, 0, 1]
    assert bank.mark_of("b").lease == "other"


def test_an_event_says_what_the_transition_is(bank: Bank) -> None:
    store(bank, *computed(bank))
    assert bank.events("c") == [
        {
            "entity_type": "customer",
            "external_id": "c",
            "from": None,
            "to": "high",
            "at": utc_text(bank.now),
            "source": "rules",
            "assessment": f"{bank.id_of('c')}.1",
            "ruleset": "retail",
            "version": 1,
        }
    ]


@pytest.mark.postgresql
def test_what_does_not_move_is_in_the_history_and_told_to_nobody(bank: Bank) -> None:
    store(bank, *computed(bank))
    bank.put("a", country="SE")  # another reason for the same level
    store(bank, *computed(bank))
    assert len(bank.assessments("a")) == 2
    assert bank.transitions("a") == [(None, 1)]
    assert len(bank.events("a")) == 1
    with bank.engine.connect() as connection:
        said = connection.execute(text("SELECT details FROM audit_entries ORDER BY number DESC LIMIT 1")).scalar_one()
    assert json.loads(said).items() >= {"assessed": 1, "moved": 0}.items()
