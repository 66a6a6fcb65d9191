"""Everyone of a type, part by part, in the order of their numbers; nobody twice, nobody who was erased."""

from sqlalchemy import Engine, update
from sqlalchemy.orm import Session

from fivefold.store.accounts import tokens as accounts
from fivefold.store.rulesets.activations import count_of_type, entities_after, last_after
from fivefold.store.tables.entities import Entity, EntityType
from tests.store.plans import plan_of, statements


def people(session: Session, count: int, type_name: str = "customer") -> int:
    """Make a type and entities of it; give the type's number."""
    number = accounts.organisation_named(session, "acme", 1).id
    kind = EntityType(
        organisation_id=number, name=type_name, fields={}, transaction_fields={}, case_fields={}, created_us=1
    )
    session.add(kind)
    session.flush()
    session.add_all(
        Entity(organisation_id=number, type_id=kind.id, external_id=f"{type_name}{each}", created_us=1)
        for each in range(count)
    )
    session.flush()
    return kind.id


def test_entities_come_in_the_order_of_their_numbers(engine: Engine) -> None:
    with Session(engine) as session, session.begin():
        kind = people(session, 5)
        assert [subject.entity_id for subject in entities_after(session, kind, 2, 2)] == [3, 4]
        assert entities_after(session, kind, 5, 2) == []


def test_the_last_of_a_part_is_that_of_the_list(engine: Engine) -> None:
    with Session(engine) as session, session.begin():
        kind = people(session, 5)
        session.execute(update(Entity).where(Entity.id == 4).values(erased_us=1))
        assert last_after(session, kind, 2, 2) == (5, 2)
        assert last_after(session, kind, 3, 2) == (5, 1)
        assert last_after(session, kind, 5, 2) == (0, 0)


def test_a_part_reads_an_index_that_has_their_order(engine: Engine) -> None:
    """Each part read all entities of the type and sorted them, while others waited for it."""
    with Session(engine) as session, session.begin():
        kind = people(session, 5)
    with Session(engine) as session, statements(engine) as asked:
        entities_after(session, kind, 2, 2)
        last_after(session, kind, 2, 2)
    for statement in asked:
        plan = plan_of(engine, statement)
        assert engine.dialect.name != "sqlite" or "ix_entities_type " in plan, "of five rows PostgreSQL may take any"
        assert "TEMP B-TREE" not in plan
        assert "Sort" not in plan


def test_they_are_counted_up_to_a_number(engine: Engine) -> None:
    with Session(engine) as session, session.begin():
        kind = people(session, 5)
        session.execute(update(Entity).where(Entity.id == 2).values(erased_us=1))
        assert (count_of_type(session, kind), count_of_type(session, kind, 3), count_of_type(session, 99)) == (4, 2, 0)
