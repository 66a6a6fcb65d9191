"""Queries about one entity; what people read is tested with the use cases."""

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from store import facts
from store.entity_tables import Entity
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
        assert facts.name_of(session, b) == ("customer", "b")
        wanted = facts.counted_transactions(a)
        found = [(one.transaction_id, name) for one, _, name in facts.transactions_before(session, wanted, 5, None)]
        assert found == [("t4", "b"), ("t3", "a"), ("t2", "a"), ("t1", "a")]
        last = facts.transaction_of(session, a, "t2")
        assert last is not None
        below = facts.transactions_before(session, wanted, 5, (last.at_us, last.transaction_id))
        assert [one.transaction_id for one, _, _ in below] == ["t1"], "at the same moment, but behind it"
        assert facts.transaction_of(session, b, "t3") is None
        assert list(facts.tags_of(session, a, 5)) == []
        assert list(facts.screenings_of(session, a, 5)) == []
        assert list(facts.records_of(session, a, "case", 5)) == []


def test_entities_are_listed_from_behind_a_number(engine: Engine) -> None:
    bank = Bank(engine)
    for name in "abc":
        bank.put(name)
    other = Bank(engine, "other")
    other.put("x")
    bank.settle()
    with Session(engine) as session:
        kind = session.get_one(Entity, bank.id_of("a")).type_id
        listed = facts.entities_of_type(session, kind, 2, bank.id_of("a"))
        assert [(entity.external_id, standing is not None) for entity, standing in listed] == [("b", True), ("c", True)]
        assert facts.entities_of_type(session, kind, 9, 0, level=1) == []
