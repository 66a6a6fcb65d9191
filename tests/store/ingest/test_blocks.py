"""Blocks give the transactions that the table gives, whole or from a moment on; a block that is no use is not used."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from fivefold.store.ingest import blocks as stored
from fivefold.store.ingest.transactions import add_transactions
from fivefold.store.levels import assessment_queue as due
from fivefold.store.levels import bulk_reads, leases
from fivefold.store.levels.assessment_queue import Reason, Subject
from fivefold.store.levels.leases import LeasedBatch
from fivefold.store.sql.database import writing
from fivefold.store.tables.entities import EntityType
from tests.store import databases
from tests.store.stored import entity_of, type_of

NAMES = count()
FEW = {"FEWEST": 1, "MOST": 3, "OPEN_US": 0}
ROW = st.fixed_dictionaries(
    {
        "at_us": st.integers(-5, 20),
        "amount": st.sampled_from([-0.29, 0.0, 1e11, 5.0]),
        "currency": st.sampled_from(["EUR", "XXX"]),
        "state": st.sampled_from([None, "PENDING"]),
        "balance": st.none() | st.just(0.1),
        "category": st.sampled_from([None, "WEB"]),
        "account_created_us": st.none() | st.just(-3),
        "content": st.sampled_from([None, '{"operation":"Ünü"}']),
    }
)
SCHEMA: dict[str, Any] = {
    "transaction_id": pl.String,
    "entity_id": pl.Int64,
    "at_us": pl.Int64,
    "amount": pl.Float64,
    "currency": pl.String,
    "state": pl.String,
    "balance": pl.Float64,
    "category": pl.String,
    "account_created_us": pl.Int64,
    "content": pl.String,
}


@pytest.fixture(scope="module", params=databases.KINDS)
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with databases.opened(databases.new_url(request.param, tmp_path_factory.mktemp("blocks"))) as engine:
        yield engine


@pytest.fixture(scope="module")
def kind(engine: Engine) -> int:
    with Session(engine) as session, session.begin():
        return type_of(session).id


@pytest.fixture
def subjects(engine: Engine, kind: int) -> list[Subject]:
    return new_subjects(engine, kind)


def new_subjects(engine: Engine, kind_id: int) -> list[Subject]:
    """Three entities without anything; nobody is due."""
    with Session(engine) as session, session.begin():
        session.execute(text("DELETE FROM due_marks"))
        kind = session.get_one(EntityType, kind_id)
        names = [f"entity {next(NAMES)}" for _ in range(3)]
        return [Subject(entity_of(session, kind, name).id, kind.organisation_id, kind.id) for name in names]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let one transaction make a block, and four two of them, of everything up to the present."""
    for name, size in FEW.items():
        monkeypatch.setattr(stored, name, size)


def take(engine: Engine, subject: Subject, rows: list[dict[str, Any]], first: int = 0) -> None:
    named = [
        {**row, "transaction_id": f"{subject.entity_id}-{first + number}", "entity_id": subject.entity_id}
        for number, row in enumerate(rows)
    ]
    with writing(engine) as session:
        add_transactions(session, subject.organisation_id, pl.DataFrame(named, SCHEMA), 100)


def at(*moments: int) -> list[dict[str, Any]]:
    return [{**dict.fromkeys(SCHEMA), "at_us": each, "amount": 1.0, "currency": "EUR"} for each in moments]


def claimed(engine: Engine, subjects: list[Subject]) -> LeasedBatch:
    with Session(engine) as session, session.begin():
        due.mark(session, subjects, Reason.NEW, 1)
    with Session(engine) as session, session.begin():
        batch = leases.claim(session, "mine", 10, 10_000, 10, 3)
    assert batch is not None
    return batch


def make(engine: Engine, subjects: list[Subject], now_us: int, after_us: int | None = None) -> None:
    ids = [subject.entity_id for subject in subjects]
    batch = claimed(engine, subjects)
    with Session(engine) as session:
        read = stored.transactions(session, ids, for_value=False, after_us=after_us)
        made = stored.new_blocks(session, ids, read, now_us)
    with Session(engine) as session, session.begin():
        stored.store_blocks(session, batch, made)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM due_marks"))


def spans(engine: Engine, subject: Subject) -> list[tuple[int, int]]:
    with engine.connect() as connection:
        query = text("SELECT from_us, until_us FROM transaction_blocks WHERE entity_id = :id ORDER BY until_us")
        return [(row.from_us, row.until_us) for row in connection.execute(query, {"id": subject.entity_id})]


def assert_as_stored(engine: Engine, subjects: list[Subject], *, for_value: bool, after_us: int | None) -> None:
    ids = [subject.entity_id for subject in subjects]
    with Session(engine) as session:
        read = stored.transactions(session, ids, for_value=for_value, after_us=after_us)
        assert_frame_equal(read.rows, bulk_reads.transactions(session, ids, for_value=for_value, after_us=after_us))


BEGINS = st.none() | st.integers(-6, 21)


@pytest.mark.usefixtures("small")
@given(
    st.lists(st.lists(ROW, max_size=8), min_size=3, max_size=3),
    st.lists(st.tuples(st.integers(-6, 25), BEGINS), min_size=1, max_size=3),
    st.lists(ROW, max_size=3),
    st.booleans(),
    BEGINS,
)
def test_blocks_give_what_is_stored(
    engine: Engine,
    kind: int,
    rows: list[list[dict[str, Any]]],
    moments: list[tuple[int, int | None]],
    late: list[dict[str, Any]],
    for_value: bool,
    after_us: int | None,
) -> None:
    subjects = new_subjects(engine, kind)
    for subject, own in zip(subjects, rows, strict=True):
        take(engine, subject, own)
    for now_us, begin in moments:
        make(engine, subjects[:2], now_us, begin)
        assert_as_stored(engine, subjects, for_value=for_value, after_us=after_us)
    take(engine, subjects[0], late, first=100)
    with writing(engine) as session:
        earliest = {subjects[0].entity_id: min(row["at_us"] for row in late)} if late else {}
        stored.forget_blocks(session, earliest)
    assert_as_stored(engine, subjects, for_value=for_value, after_us=after_us)


@pytest.mark.usefixtures("small")
def test_blocks_of_one_follow_each_other(engine: Engine, subjects: list[Subject]) -> None:
    take(engine, subjects[0], at(1, 2, 3, 4, 5))
    make(engine, subjects[:1], 9)
    first = spans(engine, subjects[0])
    assert [until for _, until in first] == [2, 9]
    take(engine, subjects[0], at(10, 11, 30), first=50)
    make(engine, subjects[:1], 20)
    assert spans(engine, subjects[0]) == [*first, (9, 20)]
    make(engine, subjects[:1], 25)
    assert spans(engine, subjects[0]) == [*first, (9, 20)], "nothing came in between"


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    "wrong",
    [
        "UPDATE transaction_blocks SET content = :other WHERE from_us > 0",
        "UPDATE transaction_blocks SET content = :other",
        "DELETE FROM transaction_blocks WHERE from_us < 0",
        "UPDATE transaction_blocks SET from_us = from_us + 1 WHERE from_us > 0",
    ],
)
@pytest.mark.parametrize("content", ["no parquet", "without a column"])
def test_a_block_that_is_of_no_use_is_read_past_and_made_again(
    engine: Engine, subjects: list[Subject], wrong: str, content: str, tmp_path: Path
) -> None:
    """It cannot be read, a later program gave it other columns, or what came before it is in no block."""
    take(engine, subjects[0], at(1, 2, 3, 4, 5, 6, 7))
    make(engine, subjects[:1], 9)
    pl.DataFrame({"at_us": [1]}).write_parquet(tmp_path / "one")
    other = b"no parquet" if content == "no parquet" else (tmp_path / "one").read_bytes()
    with engine.begin() as connection:
        connection.execute(text(wrong), {"other": other} if ":other" in wrong else {})
    assert_as_stored(engine, subjects, for_value=True, after_us=None)
    make(engine, subjects[:1], 9)
    begins, untils = zip(*spans(engine, subjects[0]), strict=True)
    assert begins[1:] == untils[:-1]
    assert_as_stored(engine, subjects, for_value=True, after_us=None)


@pytest.mark.usefixtures("small")
def test_blocks_are_of_those_alone_to_whom_nothing_happened_since(engine: Engine, subjects: list[Subject]) -> None:
    for subject in subjects:
        take(engine, subject, at(1, 2))
    batch = claimed(engine, subjects)
    ids = [subject.entity_id for subject in subjects]
    with Session(engine) as session, session.begin():
        made = stored.new_blocks(session, ids, stored.transactions(session, ids, for_value=True), 9)
        due.mark(session, subjects[1:2], Reason.TRANSACTION, 20)
    with Session(engine) as session, session.begin():
        stored.store_blocks(session, batch, made)
    assert [bool(spans(engine, subject)) for subject in subjects] == [True, False, True]


def test_few_transactions_and_those_of_the_last_days_are_in_no_block(engine: Engine, subjects: list[Subject]) -> None:
    take(engine, subjects[0], at(*range(stored.FEWEST - 1)))
    take(engine, subjects[1], at(*range(stored.FEWEST)))
    now_us = stored.OPEN_US + stored.FEWEST - 2
    make(engine, subjects, now_us)
    assert [len(spans(engine, subject)) for subject in subjects] == [0, 0, 0]
    make(engine, subjects, now_us + 1)
    assert [len(spans(engine, subject)) for subject in subjects] == [0, 1, 0]


def test_an_index_leads_to_blocks(engine: Engine, subjects: list[Subject], monkeypatch: pytest.MonkeyPatch) -> None:
    plans: list[str] = []
    real = bulk_reads.read_rows

    def explained(session: Session, query: str, ids: Any, schema: Any) -> pl.DataFrame:
        is_postgresql = engine.dialect.name == "postgresql"
        shape = {"plan": pl.String} if is_postgresql else dict.fromkeys(("a", "b", "c", "plan"), pl.String)
        how = "EXPLAIN" if is_postgresql else "EXPLAIN QUERY PLAN"
        plans.append("\n".join(real(session, f"{how} {query}", ids, shape)["plan"]))
        return real(session, query, ids, schema)

    monkeypatch.setattr(stored, "read_rows", explained)
    with Session(engine) as session:
        session.execute(text("SET enable_seqscan = off")) if engine.dialect.name == "postgresql" else None
        stored.transactions(session, [subject.entity_id for subject in subjects], for_value=False, after_us=3)
    (plan,) = plans
    assert "transaction_blocks" in plan
    assert "Seq Scan" not in plan
    assert not any(line.startswith("SCAN transaction_blocks") for line in plan.splitlines()), plan
