"""Everyone of a type, part by part, in the order of their numbers; nobody twice, nobody who was erased."""

from sqlalchemy import Engine, update
from sqlalchemy.orm import Session

from fivefold.store.accounts import tokens as accounts
from fivefold.store.rulesets.activations import count_of_type, entities_after
from fivefold.store.tables.entities import Entity, EntityType


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


def test_they_are_counted_up_to_a_number(engine: Engine) -> None:
    with Session(engine) as session, session.begin():
        kind = people(session, 5)
        session.execute(update(Entity).where(Entity.id == 2).values(erased_us=1))
        assert (count_of_type(session, kind), count_of_type(session, kind, 3), count_of_type(session, 99)) == (4, 2, 0)
