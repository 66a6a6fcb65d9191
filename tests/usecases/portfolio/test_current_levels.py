"""Lists of current levels: in order, filtered, page by page, as plain Python sorts and filters the same rows."""

import random
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select, update
from sqlalchemy.orm import Session

from fivefold.domain.errors import ConfigError, NotFoundError
from fivefold.domain.paging import Part, every_row
from fivefold.domain.segments import SEGMENTS
from fivefold.store.portfolio.current_levels import Order
from fivefold.store.tables.entities import Entity, EntityType
from fivefold.store.tables.levels import DueMark, Standing
from fivefold.usecases.portfolio.current_levels import (
    STATUSES,
    CurrentLevel,
    DecidedBy,
    LevelFilters,
    list_current_levels,
)
from fivefold.usecases.shared.context import Context
from tests.depth import SHARED_FIXTURES, examples, some
from tests.store.filling import filled_once
from tests.store.plans import plan_of, statements
from tests.store.stored import family_of
from tests.usecases import platforms

LEVELS = (None, *platforms.LEVELS)


@pytest.fixture
@filled_once
def context(engine: Engine) -> Context:
    """Two types and two organisations with sixty entities each, whose scores and moments are often the same."""
    chance = random.Random(11)
    organisations = [platforms.organisation(engine, name) for name in ("bank", "other")]
    with Session(engine) as session, session.begin():
        kinds = list(session.scalars(select(EntityType).order_by(EntityType.id)))
        kinds.append(
            EntityType(
                organisation_id=organisations[0],
                name="company",
                fields={},
                transaction_fields={},
                case_fields={},
                created_us=1,
            )
        )
        session.add(kinds[2])
        session.flush()
        families = [family_of(session, kinds[0], name, place, versions=2) for place, name in enumerate(("a", "b"), 1)]
        versions = [family.active_version_id for family in families]
        for number in range(180):
            _add(session, kinds[number % 3], number, chance, versions)
    return Context(engine, platforms.actor(organisations[0]), lambda: platforms.NOW)


def _add(session: Session, kind: EntityType, number: int, chance: random.Random, versions: list[int | None]) -> None:
    entity = Entity(
        organisation_id=kind.organisation_id,
        type_id=kind.id,
        external_id=f"c{number}",
        created_us=1,
        erased_us=5 if chance.random() < 0.1 else None,
    )
    session.add(entity)
    session.flush()
    of = {"entity_id": entity.id, "organisation_id": kind.organisation_id, "type_id": kind.id}
    value = chance.choice([None, None, 1.5, 2.5, 4.5])
    error = chance.choice([None, None, "it broke"])
    state = {"attempts": 0, "quarantined": False, "error": error}
    session.add(DueMark(**of, revision=1, due_us=number or None, priority=0, reasons=1, **state))
    session.add(
        Standing(
            **of,
            number=chance.randint(1, 3),
            assessed_us=9,
            version_id=chance.choice([None, *versions]),
            status=chance.choice(STATUSES),
            source="rules",
            level=chance.choice([None, 1, 2, 3]),
            rules_level=chance.choice([None, 1, 2, 3]),
            hard_floor=0,
            override_id=chance.choice([None, 7]),
            score=chance.choice([-5.0, 0.0, 12.25, 60.0]),
            level_since_us=chance.choice([0, 10, 20]),
            value_score=value,
            segment=None if value is None else SEGMENTS[int(value) - 1],
            expected_value=None if value is None else chance.choice([0.0, 0.1, 7e9]),
            value_currency=None if value is None else "EUR",
        )
    )


def slowly(context: Context, filters: LevelFilters, order: Order) -> list[str]:
    """What the list should be: identifiers, of rows that are read one by one."""
    found = []
    with Session(context.engine) as session:
        entities = {entity.id: entity for entity in session.scalars(select(Entity))}
        kinds = {kind.id: kind for kind in session.scalars(select(EntityType))}
        for standing in session.scalars(select(Standing)):
            entity = entities[standing.entity_id]
            kind = kinds[entity.type_id]
            ruleset = {None: None, 2: "a", 4: "b"}[standing.version_id]
            if (
                (kind.name, kind.organisation_id) == ("customer", context.organisation_id)
                and entity.erased_us is None
                and (not filters.levels or LEVELS[standing.level or 0] in filters.levels)
                and (not filters.segments or standing.segment in filters.segments)
                and (not filters.statuses or standing.status in filters.statuses)
                and (filters.ruleset is None or ruleset == filters.ruleset)
                and filters.failing in {None, session.get_one(DueMark, standing.entity_id).error is not None}
                and (filters.since_us is None or standing.level_since_us >= filters.since_us)
                and (order is not Order.VALUE or standing.expected_value is not None)
            ):
                key: tuple[Any, ...] = {
                    Order.RISK: (standing.level or 0, standing.score),
                    Order.LATEST: (standing.level_since_us,),
                    Order.VALUE: (standing.expected_value,),
                }[order]
                found.append(((*key, standing.entity_id), entity.external_id))
    return [name for _, name in sorted(found, reverse=True)]


filters_drawn = st.builds(
    LevelFilters,
    levels=st.lists(st.sampled_from(platforms.LEVELS), max_size=2),
    segments=st.lists(st.sampled_from(SEGMENTS), max_size=2),
    statuses=st.lists(st.sampled_from(STATUSES), max_size=3),
    ruleset=st.sampled_from([None, None, "a", "b"]),
    since_us=st.sampled_from([None, 5, 20, 21]),
    failing=st.sampled_from([None, None, True, False]),
)


@pytest.mark.postgresql
@settings(max_examples=examples(40), suppress_health_check=SHARED_FIXTURES)
@given(filters=filters_drawn, order=st.sampled_from(Order), at_once=st.sampled_from([1, 3, 100]))
def test_the_list_is_what_plain_python_makes_of_the_rows(
    context: Context, filters: LevelFilters, order: Order, at_once: int
) -> None:
    listed = list(every_row(lambda part: list_current_levels(context, "customer", filters, order, part), at_once))
    assert [line.external_id for line in listed] == slowly(context, filters, order)
    assert list_current_levels(context, "customer", filters, order) == listed


@pytest.mark.postgresql
def test_a_line_says_where_an_entity_stands(context: Context) -> None:
    with Session(context.engine) as session, session.begin():
        entity = session.scalars(select(Entity).where(Entity.external_id == "c3")).one()
        changes = {"level": 3, "rules_level": 2, "override_id": 7, "version_id": 4, "status": "assessed", "number": 2}
        changes |= {"score": 99.5, "level_since_us": 10, "value_score": 4.5, "segment": "top", "expected_value": 0.1}
        changes["value_currency"] = "EUR"
        session.execute(update(Standing).where(Standing.entity_id == entity.id).values(**changes))
        session.execute(update(Entity).where(Entity.id == entity.id).values(noted_us=1))
        number = entity.id
    first = list_current_levels(context, "customer", part=Part(1))[0]
    assert asdict(first) == asdict(
        CurrentLevel(
            external_id="c3",
            level="high",
            rules_level="medium",
            overridden=True,
            status="assessed",
            failing=False,
            score=99.5,
            value_score=4.5,
            segment="top",
            expected_value=0.1,
            currency="EUR",
            superseded_by=None,
            since_us=10,
            assessed_us=9,
            due_us=3,
            assessment=f"{number}.2",
            source="override",
            decided_by=DecidedBy(name="b", version=2),
        )
    )


def test_who_was_never_added_up_has_no_score(context: Context) -> None:
    listed = list_current_levels(context, "customer")
    assert {line.decided_by is None for line in listed} == {True, False}
    assert all((line.score is None) == (line.decided_by is None) for line in listed)
    assert all((line.value_score is None) == (line.currency is None) for line in listed)


@pytest.mark.parametrize("order", Order)
def test_who_has_no_level_is_listed_alone_and_beside_others(context: Context, order: Order) -> None:
    everybody = list_current_levels(context, "customer", order=order)
    for levels, wanted in ((["none"], {None}), (["none", "high"], {None, "high"})):
        listed = list_current_levels(context, "customer", LevelFilters(levels=levels), order)
        assert listed == [line for line in everybody if line.level in wanted]


@pytest.mark.parametrize(
    ("filters", "problem"),
    [
        (LevelFilters(levels=["severe"]), "there is no level 'severe'; there are low, medium, high, none"),
        (LevelFilters(segments=["huge"]), "there is no segment 'huge'; there are low, medium, high, top"),
        (LevelFilters(statuses=["fine"]), "there is no status 'fine'; there are assessed, "),
    ],
)
def test_a_word_that_means_nothing_is_refused(context: Context, filters: LevelFilters, problem: str) -> None:
    with pytest.raises(ConfigError) as refused:
        list_current_levels(context, "customer", filters)
    assert str(refused.value).startswith(problem)


def test_what_is_not_there_or_belongs_to_others_is_not_found(context: Context) -> None:
    with pytest.raises(NotFoundError):
        list_current_levels(context, "trust")
    with pytest.raises(NotFoundError):
        list_current_levels(context, "customer", LevelFilters(ruleset="c"))
    other = Context(context.engine, platforms.actor(context.organisation_id + 1), context.clock)
    with pytest.raises(NotFoundError):
        list_current_levels(other, "company")
    with pytest.raises(NotFoundError):
        list_current_levels(other, "customer", LevelFilters(ruleset="a"))


@pytest.mark.parametrize("order", Order)
@pytest.mark.parametrize(
    "after", [(1,), (1, 2, 3, 4), ("x", "y", "z"), (True, 1.0, 1), (1, float("nan"), 1), (1, 1, 2**70)]
)
def test_a_place_of_another_list_is_refused(context: Context, order: Order, after: Any) -> None:
    with pytest.raises(ConfigError):
        list_current_levels(context, "customer", order=order, part=Part(2, after))


INDEXES = {Order.RISK: "ix_standings_score", Order.LATEST: "ix_standings_since", Order.VALUE: "ix_standings_value"}


@pytest.mark.postgresql
@pytest.mark.parametrize("order", Order)
@pytest.mark.parametrize("segments", [(), ("top", "low")])
@pytest.mark.parametrize("levels", some([("high", "low"), ("high",), ()], 3))
def test_a_page_is_read_from_an_index_by_as_many_statements_as_any_other(
    context: Context, order: Order, segments: tuple[str, ...], levels: tuple[str, ...]
) -> None:
    filters = LevelFilters(levels=levels, segments=segments)
    first = list_current_levels(context, "customer", filters, order, Part(2))
    with statements(context.engine) as asked:
        list_current_levels(context, "customer", filters, order, Part(2, first.next))
    assert len(asked) == 3
    plan = plan_of(context.engine, asked[-1])
    by_segment = bool(segments) and order is Order.RISK
    expected = "ix_standings_segment" if by_segment else INDEXES[order]
    # Few rows have several plans that cost PostgreSQL the same; that none reads the whole table holds for all of them.
    assert expected in plan or (by_segment and context.engine.dialect.name == "postgresql"), plan
    assert "SCAN standings" not in plan, plan
    assert "Seq Scan on standings" not in plan, plan
