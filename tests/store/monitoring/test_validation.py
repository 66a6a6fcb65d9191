"""Reading back what happened: in parts, of one organisation, and never what came later."""

import polars as pl
import pytest
from sqlalchemy import Engine, update
from sqlalchemy.orm import Session

from fivefold.store.monitoring import validation as validating
from fivefold.store.monitoring.validation import (
    NO_ASSESSMENTS,
    assessment_frames,
    overrides_before,
    records_before,
    transitions_between,
    versions_named,
)
from fivefold.store.tables.entities import Entity, Ownership
from tests.store.filling import filled_once
from tests.usecases.planted import Given, Planted, Step, day, planted


@pytest.fixture
@filled_once
def bank(engine: Engine) -> Planted:
    return planted(engine)


def numbers(bank: Planted, from_us: int, until_us: int) -> list[list[tuple[int, int]]]:
    with Session(bank.engine) as session:
        parts = list(assessment_frames(session, bank.actor.organisation_id, from_us, until_us))
    assert all(part.schema == NO_ASSESSMENTS.schema for part in parts)
    return [part.select("entity", "number").rows() for part in parts]


def steps(bank: Planted, *days: float) -> list[Step]:
    return [Step(day(number), bank.versions[0], 1, 1) for number in days]


def test_what_held_at_first_is_read_and_all_until_the_end(bank: Planted) -> None:
    one, late, early = bank.add_all([steps(bank, -9, -3, 0, 5, 9, 10), steps(bank, 3), steps(bank, -8, -7)])
    assert numbers(bank, day(0), day(9)) == [[(one, 3), (one, 4), (one, 5), (late, 1), (early, 2)]]
    assert numbers(bank, day(0) - 1, day(5)) == [[(one, 2), (one, 3), (one, 4), (late, 1), (early, 2)]]


def test_many_are_read_in_parts(bank: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validating, "ENTITIES_AT_ONCE", 2)
    ids = bank.add_all([steps(bank, -1) for _ in range(5)])
    assert numbers(bank, day(0), day(9)) == [[(ids[0], 1), (ids[1], 1)], [(ids[2], 1), (ids[3], 1)], [(ids[4], 1)]]


def test_who_was_erased_is_left_out(bank: Planted) -> None:
    one, gone = bank.add_all([steps(bank, -1), steps(bank, -1)])
    with Session(bank.engine) as session, session.begin():
        session.execute(update(Entity).where(Entity.id == gone).values(erased_us=1))
    assert numbers(bank, day(0), day(9)) == [[(one, 1)]]


def test_each_organisation_has_its_own(bank: Planted) -> None:
    other = planted(bank.engine, "other")
    for place in (bank, other):
        entity = place.add(*steps(place, -1))
        place.record(Given("case", entity, day(1)))
        place.override(entity, 1, day(1))
    with Session(bank.engine) as session:
        for place, entity in ((bank, 1), (other, 2)):
            of = place.actor.organisation_id
            assert numbers(place, day(0), day(9)) == [[(entity, 1)]]
            assert records_before(session, of, day(9))["entity"].to_list() == [entity]
            assert overrides_before(session, of, day(9))["entity"].to_list() == [entity]
            assert transitions_between(session, of, day(-9), day(9)) == [(None, 1, "rules", 1)]
            assert set(versions_named(session, of)) == set(place.versions)


def test_a_case_stands_where_its_entity_stood_just_before(bank: Planted) -> None:
    one = bank.add(Step(day(1), bank.versions[0], 1, 2), Step(day(2), bank.versions[1], 3, 3))
    moments = [day(1), day(1) + 1, day(2), day(2) + 1]
    bank.record(*[Given("case", one, moment) for moment in moments], Given("alert", one, day(9)))
    with Session(bank.engine) as session:
        found = records_before(session, bank.actor.organisation_id, day(9))
    assert found.select("opened_us", "number", "version_id", "level", "rules_level").rows() == [
        (moments[0], None, None, None, None),
        (moments[1], 1, bank.versions[0], 1, 2),
        (moments[2], 1, bank.versions[0], 1, 2),
        (moments[3], 2, bank.versions[1], 3, 3),
    ]


def test_what_is_owned_counts_for_its_owner_where_no_ruleset_is_for_it(bank: Planted) -> None:
    owner = bank.add(*steps(bank, -1))
    owned = bank.add(*steps(bank, -1))
    account = bank.add_account(owner)
    with Session(bank.engine) as session, session.begin():
        session.add(Ownership(entity_id=owned, owner_id=owner))
    bank.record(Given("alert", account, day(1)), Given("alert", owned, day(1)))
    with Session(bank.engine) as session:
        found = records_before(session, bank.actor.organisation_id, day(9))
    assert found["entity"].to_list() == [owner, owned]


def test_levels_reached_are_counted_by_where_from_and_where_to(bank: Planted) -> None:
    bank.add_all([[Step(day(0), 1, 1, 1), Step(day(3), 1, 2, 2)], [Step(day(-1), 1, 1, 1), Step(day(9), 1, 2, 2)]])
    with Session(bank.engine) as session:
        found = transitions_between(session, bank.actor.organisation_id, day(0), day(9))
    assert found == [(None, 1, "rules", 1), (1, 2, "rules", 1)]


def test_nothing_is_read_as_frames_without_rows(bank: Planted) -> None:
    assert numbers(bank, day(0), day(9)) == []
    with Session(bank.engine) as session:
        for read, schema in ((records_before, validating.RECORDS), (overrides_before, validating.OVERRIDES)):
            found = read(session, bank.actor.organisation_id, day(9))
            assert (len(found), found.schema) == (0, pl.Schema(schema))
