"""Bounded reads lead to their rows by an index, and a summary goes when something of its time is another now."""

from typing import Any

import polars as pl
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from fivefold.store.levels import assessment_queue as due
from fivefold.store.levels import bulk_reads, leases
from fivefold.store.levels import summaries as stored
from fivefold.store.levels.assessment_queue import Reason, Subject
from fivefold.store.levels.leases import LeasedBatch
from tests.store.stored import entity_of, type_of

MANY = {
    "sqlite": "WITH RECURSIVE g(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM g WHERE n < 30000)",
    "postgresql": "WITH g AS (SELECT generate_series(1, 30000) AS n)",
}
ROWS = """INSERT INTO transactions (organisation_id, transaction_id, entity_id, at_us, recorded_us, amount, currency)
    {} SELECT 1, 't' || n, n % 3 + 1, n, n, 1.0, 'EUR' FROM g"""


@pytest.fixture
def subjects(engine: Engine) -> list[Subject]:
    """Three entities that are due."""
    with Session(engine) as session, session.begin():
        kind = type_of(session)
        made = [Subject(entity_of(session, kind, name).id, kind.organisation_id, kind.id) for name in "abc"]
        due.mark(session, made, Reason.NEW, 1)
    return made


def claimed(engine: Engine) -> LeasedBatch:
    with Session(engine) as session, session.begin():
        batch = leases.claim(session, "mine", 10, 10_000, 10, 3)
    assert batch is not None
    return batch


def chosen(subjects: list[Subject], until_us: int = 100) -> pl.DataFrame:
    ids = [subject.entity_id for subject in subjects]
    return pl.DataFrame(
        {"entity": ids, "transaction_id": [f"t{one}" for one in ids], "until_us": [until_us] * len(ids)}
    )


def test_indexes_lead_to_what_is_later_and_to_what_stands_for_the_rest(
    engine: Engine, subjects: list[Subject], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many rows came before: neither the table is scanned, nor the whole of an entity."""
    plans: list[str] = []
    real = bulk_reads.read_rows

    def explained(session: Session, query: str, ids: Any, schema: Any, *order: Any) -> pl.DataFrame:
        is_postgresql = engine.dialect.name == "postgresql"
        shape = {"plan": pl.String} if is_postgresql else dict.fromkeys(("a", "b", "c", "plan"), pl.String)
        how = "EXPLAIN" if is_postgresql else "EXPLAIN QUERY PLAN"
        plans.append("\n".join(real(session, f"{how} {query}", ids, shape)["plan"]))
        return real(session, query, ids, schema, *order)

    ids = [subject.entity_id for subject in subjects]
    with engine.begin() as connection:
        connection.execute(text(ROWS.format(MANY[engine.dialect.name])))
    with Session(engine) as session, session.begin():
        stored.store_summaries(session, claimed(engine), chosen(subjects))
    with engine.begin() as connection:
        connection.execute(text("ANALYZE"))
    monkeypatch.setattr(bulk_reads, "read_rows", explained)
    monkeypatch.setattr(stored, "read_rows", explained)
    with Session(engine) as session:
        later = bulk_reads.transactions(session, ids, for_value=True, after_us=29_900)
        corrected = bulk_reads.corrected_transactions(session, ids, for_value=True)
        before = stored.summary_transactions(session, ids, for_value=True)
    assert (len(later), len(corrected)) == (100, 0)
    assert sorted(before["transaction_id"]) == ["t1", "t2", "t3"]
    by_time, *by_name = plans
    assert "ix_transactions_entity_id_at_us" in by_time
    assert "at_us" in by_time.split("ix_transactions_entity_id_at_us", 1)[1], "the moment bounds what is looked at"
    for plan in by_name:
        assert "Seq Scan on transactions" not in plan
        assert not any(line.startswith("SCAN t") for line in plan.splitlines()), plan


def test_a_summary_is_of_those_alone_to_whom_nothing_happened_since(engine: Engine, subjects: list[Subject]) -> None:
    batch = claimed(engine)
    first, second, third = (subject.entity_id for subject in subjects)
    with Session(engine) as session, session.begin():
        due.mark(session, [subjects[1]], Reason.TRANSACTION, 20)
    with Session(engine) as session, session.begin():
        stored.store_summaries(session, batch, chosen(subjects))
    with Session(engine) as session:
        assert sorted(stored.summaries(session, [first, second, third]).rows()) == [(first, 100), (third, 100)]


def test_a_newer_summary_stands_in_place_of_the_one_before(engine: Engine, subjects: list[Subject]) -> None:
    batch = claimed(engine)
    newer = chosen(subjects[:1], 200).with_columns(transaction_id=pl.lit("t9"))
    with Session(engine) as session, session.begin():
        stored.store_summaries(session, batch, chosen(subjects))
        stored.store_summaries(session, batch, newer)
    with Session(engine) as session:
        rows = session.execute(text("SELECT entity_id, transaction_id, until_us FROM summary_transactions"))
        first = subjects[0].entity_id
        assert [row for row in rows.all() if row.entity_id == first] == [(first, "t9", 200)]


@pytest.mark.parametrize(("at_us", "stays"), [(101, True), (100, False), (1, False)])
def test_a_fact_of_its_time_ends_a_summary(engine: Engine, subjects: list[Subject], at_us: int, stays: bool) -> None:
    first, second, third = (subject.entity_id for subject in subjects)
    with Session(engine) as session, session.begin():
        stored.store_summaries(session, claimed(engine), chosen(subjects))
    with Session(engine) as session, session.begin():
        stored.forget_summaries(session, {first: at_us, third: 100_000})
        stored.forget_summaries(session, {})
    with Session(engine) as session:
        there = set(stored.summaries(session, [first, second, third])["entity"])
    assert there == ({first, second, third} if stays else {second, third})


def test_a_correction_may_be_of_any_time(engine: Engine, subjects: list[Subject]) -> None:
    with Session(engine) as session, session.begin():
        stored.store_summaries(session, claimed(engine), chosen(subjects))
        stored.forget_summaries(
            session,
            {subjects[0].entity_id},
        )
    with Session(engine) as session:
        there = stored.summaries(session, [subject.entity_id for subject in subjects])["entity"]
    assert sorted(there) == sorted(subject.entity_id for subject in subjects[1:])
