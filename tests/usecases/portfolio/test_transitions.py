"""Levels reached, of everybody: in order, filtered, page by page, and by which activation."""

import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select, update
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import ConfigError, NotFoundError
from fivefold.domain.paging import Part, every_row
from fivefold.store.tables.entities import Entity, EntityType
from fivefold.store.tables.levels import Transition
from fivefold.store.tables.rulesets import Activation, Family, RulesetVersion
from fivefold.usecases.portfolio.current_levels import DecidedBy
from fivefold.usecases.portfolio.transitions import DIRECTIONS, TransitionFilters, list_transitions
from fivefold.usecases.shared.context import Context
from tests.depth import SHARED_FIXTURES, examples
from tests.store.filling import filled_once
from tests.store.plans import plan_of, statements
from tests.usecases import banks, platforms
from tests.usecases.at_once import order_families, switch_family
from tests.usecases.banks import Bank
from tests.usecases.portfolio.two_banks import entities_of_two, organisations_of_two

LEVELS = (None, *platforms.LEVELS)
RETAIL = DecidedBy(name="retail", version=1)


@pytest.fixture
@filled_once
def context(engine: Engine) -> Context:
    """Two types and two organisations, whose entities moved often and at the same moments."""
    chance = random.Random(5)
    organisations = organisations_of_two(engine)
    with Session(engine) as session, session.begin():
        for entity in entities_of_two(session, organisations, 60, erased_each=10):
            of = {"organisation_id": entity.organisation_id}
            level, at = None, 0
            for place in range(1, 6):
                next_level = chance.choice([one for one in (None, 1, 2, 3) if one != level])
                at += chance.choice([0, 10])
                moved = {"from_level": level, "to_level": next_level, "at_us": at, "source": "rules"}
                session.add(Transition(entity_id=entity.id, number=place, **of, **moved))
                level = next_level
    return Context(engine, platforms.actor(organisations[0]), lambda: platforms.NOW)


def direction(row: Transition) -> str:
    if row.from_level is None:
        return "first"
    return "rise" if (row.to_level or 0) > row.from_level else "fall"


def slowly(context: Context, filters: TransitionFilters) -> list[str]:
    """What the list should be: numbers of assessments, of rows that are read one by one."""
    found: list[Any] = []
    with Session(context.engine) as session:
        entities = {entity.id: entity for entity in session.scalars(select(Entity))}
        kinds = {kind.id: kind for kind in session.scalars(select(EntityType))}
        for row in session.scalars(select(Transition)):
            entity = entities[row.entity_id]
            kind = kinds[entity.type_id]
            if (
                row.organisation_id == context.organisation_id
                and entity.erased_us is None
                and filters.entity_type in {None, kind.name}
                and (not filters.directions or direction(row) in filters.directions)
                and (not filters.levels or LEVELS[row.to_level or 0] in filters.levels)
                and (filters.since_us is None or row.at_us >= filters.since_us)
                and (filters.until_us is None or row.at_us < filters.until_us)
            ):
                rank = ("first", "fall", "rise").index(direction(row))
                found.append((rank, row.at_us, row.entity_id, row.number))
    return [f"{entity}.{number}" for _, _, entity, number in sorted(found, reverse=True)]


some = st.builds(
    TransitionFilters,
    directions=st.lists(st.sampled_from(DIRECTIONS), max_size=2),
    entity_type=st.sampled_from([None, "customer", "company"]),
    levels=st.lists(st.sampled_from(platforms.LEVELS), max_size=2),
    since_us=st.sampled_from([None, 10, 30]),
    until_us=st.sampled_from([None, 30, 40]),
)


@pytest.mark.postgresql
@settings(max_examples=examples(40), suppress_health_check=SHARED_FIXTURES)
@given(filters=some, at_once=st.sampled_from([1, 4, 200]))
def test_the_list_is_what_plain_python_makes_of_the_rows(
    context: Context, filters: TransitionFilters, at_once: int
) -> None:
    listed = list(every_row(lambda part: list_transitions(context, filters, part), at_once))
    assert [line.assessment for line in listed] == slowly(context, filters)
    assert list_transitions(context, filters) == listed


@pytest.mark.postgresql
@pytest.mark.parametrize("wanted", DIRECTIONS)
def test_each_direction_is_read_from_its_own_index(context: Context, wanted: str) -> None:
    index = f"ix_transitions_{wanted}s"
    filters = TransitionFilters(directions=[wanted], since_us=1)
    first = list_transitions(context, filters, Part(2))
    with statements(context.engine) as asked:
        list_transitions(context, filters, Part(2, first.next))
    assert len(asked) == 5
    plan = plan_of(context.engine, asked[1], "transitions", "entities")
    assert index in plan, plan
    assert "SCAN transitions" not in plan, plan
    assert "Seq Scan on transitions" not in plan, plan


def test_what_is_not_there_is_refused(context: Context) -> None:
    with pytest.raises(ConfigError, match="there is no direction 'up'; there are rise, fall, first"):
        list_transitions(context, TransitionFilters(directions=["up"]))
    with pytest.raises(ConfigError, match="there is no level 'severe'"):
        list_transitions(context, TransitionFilters(levels=["severe"]))
    with pytest.raises(NotFoundError):
        list_transitions(context, TransitionFilters(entity_type="trust"))
    with pytest.raises(ConfigError):
        list_transitions(context, part=Part(2, (2, 1, 1)))


def activated(bank: Bank, document: str, kind: str = "activation", previous: int | None = None) -> int:
    """Let a version decide, with the record of its activation; of a ruleset that is off where there is a *previous*."""
    version = bank.activate(document, enabled=previous is None)
    with Session(bank.engine) as session, session.begin():
        made = Activation(
            organisation_id=bank.of,
            family_id=session.get_one(RulesetVersion, version).family_id,
            version_id=version,
            previous_version_id=previous,
            kind=kind,
            reason="because",
            actor="member:2",
            at_us=bank.now,
            per_second=100,
            reached_id=0,
            reached_us=0,
        )
        session.add(made)
        session.flush()
        return made.id


def test_a_move_says_why_and_by_which_activation(engine: Engine) -> None:
    bank = Bank(engine)
    activated(bank, banks.document({"country": banks.COUNTRY}))
    bank.put("a", country="SE")
    bank.put("b", country="RU")
    bank.settle()
    bank.wait(days=1)
    bank.put("a", country="RU")
    bank.settle()
    bank.wait(days=1)
    second = activated(bank, banks.document({"country": banks.COUNTRY}, score={"points": {"thresholds": [31, 40]}}))
    bank.mark("b")
    bank.settle()
    rises = list_transitions(bank.context, TransitionFilters(directions=["rise"]))
    assert [(line.external_id, line.from_level, line.to_level) for line in rises] == [
        ("b", "medium", "high"),
        ("a", "low", "medium"),
    ]
    by_ruleset, by_fact = rises
    assert by_ruleset.activation is not None
    assert (by_ruleset.activation.id, by_ruleset.activation.at_us) == (second, bank.now)
    assert (by_ruleset.decided_before_by, by_ruleset.decided_by) == (RETAIL, replace(RETAIL, version=2))
    assert (by_fact.activation, by_fact.decided_by, by_fact.at_us) == (None, RETAIL, bank.now - DAY_US)
    assert by_fact.line == "Score 40: Country 40; Medium"
    firsts = list_transitions(bank.context, TransitionFilters(directions=["first"]))
    assert [(line.external_id, line.decided_before_by, line.activation) for line in firsts] == [
        ("b", None, None),
        ("a", None, None),
    ]


@pytest.mark.parametrize("behind_us", [0, 30_000_000], ids=["one clock", "the worker's clock is behind"])
def test_another_version_is_by_the_change_that_put_it_in_force(engine: Engine, behind_us: int) -> None:
    """The service's machine activates the third version; the worker's has a clock of its own, within the tolerance."""
    bank = Bank(engine)
    thresholds = [[31, 61], [30, 50], [20, 40]]
    documents = [
        banks.document({"country": banks.COUNTRY}, score={"points": {"thresholds": each}}) for each in thresholds
    ]
    activated(bank, documents[0])
    bank.wait(days=1)
    activated(bank, documents[1])
    bank.put("a", country="RU")
    bank.settle()
    bank.wait(days=1)
    third = activated(bank, documents[2])
    order_families(bank.context, "customer", ["retail"], "as it was")
    bank.wait(microseconds=-behind_us)
    bank.mark("a")
    bank.settle()
    (rise,) = list_transitions(bank.context, TransitionFilters(directions=["rise"]))
    assert rise.decided_by == replace(RETAIL, version=3)
    assert rise.activation is not None
    assert (rise.activation.id, rise.activation.kind, rise.activation.version) == (third, "activation", 3)


IN_RUSSIA = {"applies_to": {"field": "country", "equals": "RU"}}


def put_retail_last(engine: Engine) -> None:
    with Session(engine) as session, session.begin():
        session.execute(update(Family).where(Family.name == "retail").values(position=2))


def bank_with_a_strict_ruleset_for_russia(engine: Engine) -> Bank:
    """Give a bank whose customer, in Sweden, has a level by its ruleset for all others."""
    bank = Bank(engine)
    activated(bank, banks.document({"country": banks.COUNTRY}, "strict", **IN_RUSSIA))
    activated(bank, banks.document({"income": banks.INCOME}))
    put_retail_last(engine)
    bank.put("a", country="SE")
    bank.settle()
    return bank


def test_another_ruleset_by_an_event_has_no_activation_behind_it_and_by_a_switch_or_an_order_has(
    engine: Engine,
) -> None:
    bank = bank_with_a_strict_ruleset_for_russia(engine)

    def last() -> tuple[str | None, str | None, tuple[str, str, int | None] | None]:
        (line, *_) = sorted(
            list_transitions(bank.context, TransitionFilters(directions=["rise", "fall"])),
            key=lambda line: -line.at_us,
        )
        behind = line.activation
        names = [None if each is None else each.name for each in (line.decided_before_by, line.decided_by)]
        return *names, None if behind is None else (behind.kind, behind.name, behind.version)

    bank.wait(days=20)
    bank.put("a", country="RU")
    bank.settle()
    assert last() == ("retail", "strict", None)
    bank.wait(days=20)
    switch_family(bank.context, "strict", False, "a pause")
    second = banks.document(
        {"country": banks.COUNTRY}, "strict", score={"points": {"thresholds": [31, 40]}}, **IN_RUSSIA
    )
    activated(bank, second, previous=1)
    bank.mark("a")
    bank.settle()
    assert last() == ("strict", "retail", ("off", "strict", None))
    bank.wait(days=20)
    switch_family(bank.context, "strict", True, "again")
    bank.mark("a")
    bank.settle()
    assert last() == ("retail", "strict", ("activation", "strict", 2))
    bank.wait(days=20)
    order_families(bank.context, "customer", ["retail", "strict"], "the usual first")
    bank.mark("a")
    bank.settle()
    assert last() == ("strict", "retail", ("order", "retail", 1))


def test_a_ruleset_that_a_worker_whose_clock_is_behind_has_before_its_activation_is_by_that(engine: Engine) -> None:
    bank = Bank(engine)
    activated(bank, banks.document({"country": banks.COUNTRY}))
    put_retail_last(engine)
    bank.put("a", country="RU")
    bank.settle()
    bank.wait(days=40)
    activated(bank, banks.document({"country": banks.COUNTRY}, "strict", score={"points": {"thresholds": [31, 40]}}))
    at_us = bank.now
    bank.wait(microseconds=-30_000_000)
    bank.mark("a")
    bank.settle()
    (move,) = list_transitions(bank.context, TransitionFilters(directions=["rise", "fall"]))
    assert move.decided_before_by != move.decided_by
    assert move.activation is not None
    assert (move.activation.kind, move.activation.name, move.activation.at_us) == ("activation", "strict", at_us)
    assert move.at_us < at_us


def test_another_ruleset_by_an_event_is_not_by_what_was_switched_seconds_after_it(engine: Engine) -> None:
    bank = bank_with_a_strict_ruleset_for_russia(engine)
    bank.wait(days=20)
    bank.put("a", country="RU")
    bank.settle()
    bank.wait(microseconds=30_000_000)
    switch_family(bank.context, "retail", False, "a pause")
    (move,) = list_transitions(bank.context, TransitionFilters(directions=["rise", "fall"]))
    assert (move.decided_before_by, move.decided_by) == (RETAIL, replace(RETAIL, name="strict"))
    assert move.activation is None
