"""Customers whose type has households and owners, and rules that read those who are linked."""

from typing import Any

from sqlalchemy import Engine

from fivefold.usecases.accounts.entity_types import define_type
from fivefold.usecases.ingest.links import LinkRow, put_links
from tests.usecases import banks
from tests.usecases.banks import Bank

HOUSEHOLD = {"input": {"linked": {"by": "household", "itself": True, "sum": {"sum": "amount", "over": "30 days"}}}}
CASH = {**HOUSEHOLD, "cases": [{"when": {"at_least": 3000}, "points": 40}], "on_unknown": {"points": 7}}
FRAUD = {
    "input": {"linked": {"by": "household", "any": {"tag": "fraud", "is": "present"}}},
    "cases": [{"when": {"equals": True}, "points": 65}],
    "on_unknown": {"points": 3},
}
OWNED = {
    "input": {"linked": {"by": "owns", "way": "to", "steps": 3, "count": "entities"}},
    "cases": [{"when": {"at_least": 2}, "points": 35}],
    "on_unknown": {"points": 1},
}
LINKS: dict[str, Any] = {"household": {"kind": "shared"}, "owns": {"kind": "directed", "complete": True}}


def document(**rules: Any) -> str:
    used = {rule["input"]["linked"]["by"] for rule in rules.values()}
    return banks.document(rules, links={name: kind for name, kind in LINKS.items() if name in used})


def linked_bank(engine: Engine) -> Bank:
    """Create a bank with four customers, and nobody linked yet."""
    made = Bank(engine)
    define_type(made.context, "customer", {}, links={name: kind["kind"] for name, kind in LINKS.items()})
    for name in ("a", "b", "c", "d"):
        made.put(name)
    return made


def put(bank: Bank, *rows: tuple[Any, ...]) -> None:
    put_links(bank.context, "customer", [LinkRow(*row) for row in rows])
