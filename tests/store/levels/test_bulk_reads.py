"""What is known, read as frames: every value as it was stored, to the last bit, on both databases."""

from collections.abc import Iterator, Mapping
from typing import Any
from unittest.mock import patch

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from fivefold.store.levels import bulk_reads as loading
from fivefold.store.sql.statements import write_rows
from fivefold.store.tables.entities import Attributes, Entity, EntityType, Ownership, Record, Screening, Tag, ValueScore
from fivefold.store.tables.levels import OverrideRow, Standing
from tests.store import databases
from tests.usecases import platforms

COLUMNS: Mapping[str, Any] = {"entity": pl.Int64, "big": pl.Int64, "exact": pl.Float64, "said": pl.String}
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
VALUES = st.tuples(
    st.none() | st.integers(-(2**63), 2**63 - 1),
    st.none() | st.floats(allow_nan=False, allow_infinity=False),
    st.none() | TEXTS | st.sampled_from(["", '""', ",", "\\N", "\n", "\r\n", 'a"b', "NULL", "'", " x ", "𝄞\u2028"]),
)


@pytest.fixture(scope="module", params=databases.KINDS)
def table(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    url = databases.new_url(request.param, tmp_path_factory.mktemp("loading"), migrated=False)
    with databases.opened(url) as engine:
        with engine.begin() as connection:
            connection.execute(text("CREATE TABLE facts (id BIGINT, big BIGINT, exact DOUBLE PRECISION, said TEXT)"))
        yield engine


@pytest.mark.parametrize(("many", "at_once"), [(loading.MANY, loading.ROWS_AT_ONCE), (3, 5)])
@given(values=st.lists(VALUES, max_size=30))
def test_rows_are_read_as_they_were_stored(
    table: Engine, many: int, at_once: int, values: list[tuple[Any, ...]]
) -> None:
    rows = [(number, *value) for number, value in enumerate(values)]
    with Session(table) as session, patch.multiple(loading, MANY=many, ROWS_AT_ONCE=at_once):
        write_rows(session, "facts", ("id", "big", "exact", "said"), rows)
        ids = [row[0] for row in rows]
        found = loading.read_rows(session, "SELECT * FROM facts WHERE id IN :ids ORDER BY id", ids, COLUMNS)
        assert dict(found.schema) == COLUMNS
        assert found.rows() == rows
        some = loading.read_rows(session, "SELECT * FROM facts WHERE id IN :ids ORDER BY id", ids[1:2], COLUMNS)
        assert some.rows() == rows[1:2]
        session.rollback()


def test_many_rows_are_read_whole(table: Engine) -> None:
    """More than one thread reads them, and line ends within texts are no ends of rows."""
    rows = [(number, number, number / 7, f'line "{number}"\nand, more') for number in range(20_000)]
    with Session(table) as session:
        write_rows(session, "facts", ("id", "big", "exact", "said"), rows)
        ids = list(range(20_000))
        found = loading.read_rows(session, "SELECT * FROM facts WHERE id IN :ids ORDER BY id", ids, COLUMNS)
        assert found.rows() == rows
        session.rollback()


@pytest.fixture
def filled(engine: Engine) -> Engine:
    """Three entities of which 1 owns 2, each with facts; nobody asks for 3."""
    of = platforms.organisation(engine)
    both: dict[str, Any] = {"organisation_id": of}
    with Session(engine) as session, session.begin():
        kind = session.query(EntityType).one().id
        session.add_all(
            Entity(
                id=number,
                type_id=kind,
                external_id=f"e{number}",
                created_us=1,
                **both,
            )
            for number in (1, 2, 3)
        )
        session.flush()
        session.add(Ownership(entity_id=2, owner_id=1))
        for number in (1, 2, 3):
            session.add_all(
                [
                    Attributes(entity_id=number, number=1, known_us=1, content='{"a":1}'),
                    Attributes(entity_id=number, number=2, known_us=2, content=f'{{"a":{number}}}'),
                    Tag(entity_id=number, tag="vip", from_us=5, until_us=None, set_by="x", **both),
                    Tag(entity_id=number, tag="old", from_us=1, until_us=4, set_by="x", **both),
                    Screening(entity_id=number, screening="pep", found=True, at_us=9, recorded_us=9, **both),
                    Screening(entity_id=number, screening="pep", found=False, at_us=8, recorded_us=9, **both),
                    Record(entity_id=number, kind="case", external_id=f"c{number}", opened_us=3, status="open", **both),
                    Record(
                        entity_id=number,
                        kind="alert",
                        external_id=f"a{number}",
                        opened_us=3,
                        closed_us=4,
                        outcome="confirmed",
                        content='{"x":1}',
                        **both,
                    ),
                ]
            )
            for as_of, score in ((10, 2.5), (20, 3.5)):
                session.add(
                    ValueScore(
                        entity_id=number,
                        as_of_us=as_of,
                        score=score,
                        segment="high",
                        expected_value=0.1,
                        expected_value_low=0.0,
                        expected_value_high=0.4,
                        currency="EUR",
                        model="m",
                        model_version=7,
                        fingerprint="f",
                        model_hash="h",
                    )
                )
    return engine


def test_facts_of_some_are_read_and_of_nobody_else(filled: Engine) -> None:
    with Session(filled) as session:
        ids = [1, 2]
        assert loading.entities(session, ids).rows() == [(1, "e1", '{"a":1}'), (2, "e2", '{"a":2}')]
        kind = session.query(EntityType).one().id
        assert sorted(loading.fact_owners(session, ids).rows()) == [
            (1, 1, None, None, None),
            (2, 1, kind, None, None),
            (2, 2, None, None, None),
        ]
        assert sorted(loading.fact_owners(session, [3]).rows()) == [(3, 3, None, None, None)]
        tags = [(number, *tag) for number in ids for tag in (("vip", 5, None), ("old", 1, 4))]
        assert loading.tags(session, ids).rows() == tags
        screenings = [(number, "pep", found, at) for number in ids for found, at in ((0, 8), (1, 9))]
        assert loading.screenings(session, ids).rows() == screenings
        assert loading.records(session, "case", ids).rows() == [(number, 3, None, None, "open", None) for number in ids]
        assert loading.records(session, "alert", ids).rows() == [
            (number, 3, 4, "confirmed", None, '{"x":1}') for number in ids
        ]
        assert loading.value_scores(session, ids).rows() == [
            (number, 20, 3.5, "high", 0.1, 0.0, 0.4, "EUR", "m", 7, "f", "h", None) for number in ids
        ]
        for read in (loading.entities, loading.tags, loading.screenings, loading.value_scores, loading.current_levels):
            assert len(read(session, [])) == 0


def test_a_value_that_ended_is_read_as_none(filled: Engine) -> None:
    with Session(filled) as session:
        of = {"currency": "EUR", "model": "m", "model_version": 8, "fingerprint": "f", "failure": "bank.py fails"}
        session.add(ValueScore(entity_id=1, as_of_us=30, **of))
        session.flush()
        assert sorted(loading.value_scores(session, [1, 2]).rows()) == [
            (1, 30, None, None, None, None, None, "EUR", "m", 8, "f", None, "bank.py fails"),
            (2, 20, 3.5, "high", 0.1, 0.0, 0.4, "EUR", "m", 7, "f", "h", None),
        ]


def test_standings_are_of_those_assessed_alone(filled: Engine) -> None:
    with Session(filled) as session:
        entity = session.get_one(Entity, 2)
        session.add(
            Standing(
                entity_id=2,
                organisation_id=entity.organisation_id,
                type_id=entity.type_id,
                number=4,
                assessed_us=9,
                status="assessed",
                source="rules",
                level=3,
                rules_level=2,
                floor=2,
                hard_floor=1,
                entered_us=7,
                override_id=5,
                digest="d",
                level_since_us=6,
                value_score=3.5,
                segment="high",
                expected_value=0.1,
                value_currency="EUR",
            )
        )
        session.flush()
        assert loading.current_levels(session, [1, 2, 3]).rows(named=True) == [
            {
                "entity": 2,
                "number": 4,
                "assessed_us": 9,
                "version_id": None,
                "level": 3,
                "rules_level": 2,
                "entered_us": 7,
                "floor": 2,
                "hard_floor": 1,
                "floors_lost": None,
                "override_id": 5,
                "kept_by": None,
                "source": "rules",
                "digest": "d",
                "level_since_us": 6,
                "value_score": 3.5,
                "segment": "high",
                "expected_value": 0.1,
                "value_currency": "EUR",
                "moved_by": None,
            }
        ]


def test_the_override_that_was_approved_last_counts(filled: Engine) -> None:
    with Session(filled) as session:
        of = session.get_one(Entity, 1).organisation_id
        states = [("approved", 5, 2), ("approved", 7, 3), ("revoked", 9, 1), ("requested", None, 1), ("refused", 8, 1)]
        for state, decided, level in states:
            session.add(
                OverrideRow(
                    organisation_id=of,
                    entity_id=1,
                    level=level,
                    reason="x",
                    until_us=6 if level == 3 else None,
                    state=state,
                    requested_by="a",
                    requested_us=1,
                    decided_us=decided,
                )
            )
        session.flush()
        assert [(row["level"], row["until_us"]) for row in loading.overrides(session, [1, 2]).rows(named=True)] == [
            (3, 6)
        ]
