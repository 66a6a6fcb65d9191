"""Queries about one entity; what people read is tested with the use cases."""

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.domain.paging import Part
from fivefold.store.ingest import facts
from fivefold.store.tables.entities import Entity
from tests.usecases.banks import Bank


def test_facts_are_those_of_one_entity(engine: Engine) -> None:
    bank = Bank(engine)
    bank.put("a", country="NO")
    bank.put("a", country="SE")
    bank.put("b", owner=("customer", "a"))
    for number in (1, 2, 3):
        bank.pay(number, transaction_date="2026-11-01" if number < 3 else "2026-11-02")
    bank.pay(4, "b")
    a, b = bank.id_of("a"), bank.id_of("b")
    with Session(engine) as session:
        latest = facts.attributes_of(session, a)
        assert latest is not None
        assert (latest.number, latest.content) == (2, '{"country":"SE"}')
        assert facts.attributes_of(session, 999) is None
        assert facts.entity_name(session, b) == ("customer", "b")
        wanted = facts.counted_transactions(a)
        found = [(one.transaction_id, name) for one, _, name in facts.transactions_of(session, wanted, Part(5))]
        assert found == [("t4", "b"), ("t3", "a"), ("t2", "a"), ("t1", "a")]
        place = facts.transactions_of(session, wanted, Part(3)).next
        below = facts.transactions_of(session, wanted, Part(5, place))
        assert [one.transaction_id for one, _, _ in below] == ["t1"], "at the same moment, but behind it"
        assert below.next is None
        assert facts.tags_of(session, a, Part(5)) == []
        assert facts.screenings_of(session, a, Part(5)) == []
        assert facts.records_of(session, a, "case", Part(5)) == []


def test_entities_are_listed_from_behind_a_number(engine: Engine) -> None:
    bank = Bank(engine)
    for name in "abc":
        bank.put(name)
    other = Bank(engine, "other")
    other.put("x")
    bank.settle()
    with Session(engine) as session:
        kind = session.get_one(Entity, bank.id_of("a")).type_id
        of = (bank.of, kind)
        listed = facts.entities_of_type(session, *of, Part(2, (bank.id_of("a"),)))
        assert [(entity.external_id, standing is not None) for entity, standing in listed] == [("b", True), ("c", True)]
        assert facts.entities_of_type(session, *of, Part(9), level=1) == []
