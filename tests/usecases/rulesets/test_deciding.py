"""What decides on each type, and how much is read for it."""

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.usecases.accounts.entity_types import define_type
from fivefold.usecases.rulesets.deciding import deciding
from tests.console.test_queries import statements
from tests.usecases import banks, platforms
from tests.usecases.at_once import put_list_version
from tests.usecases.banks import Bank


def test_lists_are_read_once_for_all_types_and_each_type_has_those_that_it_reads(engine: Engine) -> None:
    bank = Bank(engine)
    for name in ("hot", "cold"):
        put_list_version(bank.context, name, 0, ["KP"], name, "ours")
    for name in ("company", "agent"):
        define_type(bank.context, name, platforms.FIELDS, platforms.TRANSACTION_FIELDS)
    bank.activate(banks.document({"listed": banks.LISTED}))
    bank.activate(banks.document({"listed": banks.LISTED}, "firms", entity_type="company"))
    bank.activate(banks.document({"watch": banks.WATCH}, "agents", entity_type="agent"))
    with Session(engine) as session, statements(engine) as sent:
        decides = deciding(session, bank.of)
    assert [sorted(each.lists) for _, each in sorted(decides.items())] == [["hot"], ["hot"], []]
    assert len([each for each in sent if "list_versions.members" in each]) == 1
