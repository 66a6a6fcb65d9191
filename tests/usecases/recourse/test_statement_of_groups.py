"""A statement of an assessment that reads others: nothing of them leaks to the person, whatever is known of them."""

import json
from dataclasses import asdict, replace
from typing import Any

import pytest
from sqlalchemy import Engine

from fivefold.usecases.accounts.entity_types import define_type
from fivefold.usecases.ingest.facts import set_tag
from fivefold.usecases.ingest.links import LinkRow, put_links
from fivefold.usecases.levels.explain import read_reasons
from fivefold.usecases.recourse.statement import Statement, give_statement
from tests.store.filling import filled_once
from tests.usecases import banks
from tests.usecases.banks import Bank

SHOWN = {"disclosable": True}
TOGETHER = {
    **SHOWN,
    "input": {"linked": {"by": "household", "itself": True, "sum": {"field": "income"}}},
    "cases": [{"when": {"at_least": 5000}, "points": 17}],
    "on_unknown": {"points": 3},
}
FRAUD = {
    **SHOWN,
    "input": {"linked": {"by": "household", "any": {"tag": "fraud", "is": "present"}}},
    "cases": [{"when": {"equals": True}, "points": 66, "floor": "high"}],
}
SHARE = {**SHOWN, "cases": [{"when": {"calculation": "share", "below": 0.5}, "points": 9}]}
CALCULATE = {"share": {"unit": "ratio", "divide": [{"field": "income"}, TOGETHER["input"]]}}
INCOME = {**banks.INCOME, **SHOWN, "changeable": "down"}

HOMES: dict[str, list[tuple[str, float | None, bool]]] = {
    "alone": [],
    "with a rich one": [("Zebediah", 98_765.0, False)],
    "with one of whom nothing is known": [("Zebediah", None, False)],
    "with a fraudster": [("Quentin", 12.0, True), ("Zebediah", 98_765.0, False)],
}
"""Who else lives there: the name, the income, and whether they are known for fraud."""


@pytest.fixture
@filled_once
def bank(engine: Engine) -> Bank:
    """The same person in four homes; of the others, each is known by a name."""
    made = Bank(engine)
    define_type(made.context, "customer", {"full_name": "text"}, links={"household": "shared"})
    rules = {"together": TOGETHER, "fraud": FRAUD, "share": SHARE, "income": INCOME}
    links = {"household": {"kind": "shared"}}
    made.activate(banks.document(rules, links=links, calculate=CALCULATE))
    for number, others in enumerate(HOMES.values()):
        made.put(f"a{number}", income=150.0, full_name="Ada")
        put_links(made.context, "customer", [LinkRow(f"a{number}", "household", f"Villa{number}")])
        for name, income, tagged in others:
            external_id = f"{name}-{number}"
            known: dict[str, Any] = {"full_name": name} | ({} if income is None else {"income": income})
            made.put(external_id, **known)
            put_links(made.context, "customer", [LinkRow(external_id, "household", f"Villa{number}")])
            if tagged:
                set_tag(made.context, "customer", external_id, "fraud")
    made.settle()
    return made


def stated(bank: Bank, name: str) -> Statement:
    return give_statement(bank.context, f"{bank.id_of(name)}.{bank.standing(name).number}", "json")


def test_others_change_the_level_and_no_byte_of_the_statement(bank: Bank) -> None:
    names = [f"a{number}" for number in range(len(HOMES))]
    assert len({bank.standing(name).score for name in names}) > 2
    same = {
        json.dumps(asdict(replace(stated(bank, name), assessment="", external_id="")), default=str) for name in names
    }
    assert len(same) == 1


@pytest.mark.postgresql
def test_no_name_no_value_and_no_sum_of_others_is_stated(bank: Bank) -> None:
    text = json.dumps(asdict(stated(bank, "a3")), default=str)
    reasons = read_reasons(bank.context, f"{bank.id_of('a3')}.{bank.standing('a3').number}")
    assert reasons is not None
    people_see = json.dumps(asdict(reasons))
    for hidden in ("Quentin", "Zebediah", "Villa3", "98,927", "Fraud", "Together", "Share"):
        assert hidden not in text
    for seen in ("Quentin", "Zebediah", "Villa3", "98,927", "Fraud", "Together"):
        assert seen in people_see, "what is hidden is there to be hidden"
    assert [one.title for one in stated(bank, "a3").factors] == ["Income"]


def test_neither_level_nor_points_are_stated_where_others_count(bank: Bank) -> None:
    """A person who knows what their own data give would find by subtracting what those of others do."""
    found = stated(bank, "a0")
    assert (found.level, found.total) == (None, None)
    (income,) = found.factors
    assert (income.points, income.at_least, [each.level for each in income.variations]) == (None, None, [None])
