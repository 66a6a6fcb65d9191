"""A disk that is full while a change is tried out is named, and the change can be asked for again."""

import pytest
from sqlalchemy import Engine

from fivefold.domain.clock import DAY_US
from fivefold.domain.paging import Part
from fivefold.store.tables.rulesets import Proposal
from fivefold.usecases.changes import facts
from fivefold.usecases.ingest.facts import RecordGiven
from fivefold.usecases.levels.entity_profile import list_records
from tests.usecases import banks
from tests.usecases.banks import Bank
from tests.usecases.changes.facts.fact_stories import decided
from tests.usecases.full_disk import little_space_for
from tests.usecases.governed import rows_of

pytestmark = pytest.mark.parametrize("kind", ["sqlite"])


def proposed(engine: Engine) -> list[str]:
    return [row["kind"] for row in rows_of(engine, Proposal)]


def test_of_a_fact_that_may_lower_a_level(engine: Engine) -> None:
    bank = Bank(engine)
    decided(bank, bank.activate(banks.document({"watch": banks.WATCH})))
    bank.put("a")
    facts.request_tag(bank.context, "customer", "a", "watch")
    bank.settle()

    def ask() -> None:
        facts.request_tag_end(bank.context, "customer", "a", "watch", reason="it is over")

    with little_space_for(engine, "UPDATE tags SET"):
        ask()
    assert proposed(engine) == []
    ask()
    assert proposed(engine) == ["fact.tag"]


def test_of_a_case_that_is_dated_back(engine: Engine) -> None:
    bank = Bank(engine)
    lately = {"input": {"count": "cases", "over": "180 days"}, "cases": [{"when": {"at_least": 1}, "floor": "high"}]}
    decided(bank, bank.activate(banks.document({"lately": lately})))
    bank.put("a")
    bank.settle()

    def put(closed_us: int) -> None:
        given = RecordGiven(external_id="7", opened_us=1, closed_us=closed_us, outcome="confirmed")
        facts.request_record(bank.context, "customer", "a", "case", given, reason="it was earlier")

    put(bank.now)
    bank.settle()
    almost_out = bank.now - 180 * DAY_US + 3_600_000_000
    with little_space_for(engine, "UPDATE records SET opened_us"):
        put(almost_out)
    assert proposed(engine) == []
    assert [line.closed_us for line in list_records(bank.context, "customer", "a", "case", Part(9))] == [bank.now]
    put(almost_out)
    assert proposed(engine) == ["fact.record"]
