"""What is stored is what the engine says of the same facts, put together by hand."""

import random
from datetime import date
from typing import Any

import polars as pl
import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US, from_microseconds
from fivefold.domain.money import ecb_rates
from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.engine.assess import assess
from fivefold.risk.engine.explain.breakdown import as_json_text, explain
from fivefold.risk.facts.portfolio import ListVersion, NamedList, Portfolio
from fivefold.risk.language.reading import read_ruleset
from fivefold.usecases.ingest.entities import put_entities
from fivefold.usecases.ingest.facts import RecordGiven, add_screening, put_record, set_tag
from fivefold.usecases.ingest.transactions import add_transactions
from fivefold.usecases.levels.assess import assess_entities
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.entity_checks import EntityRow
from tests.usecases import banks
from tests.usecases.at_once import put_list_version
from tests.usecases.banks import Bank

EVERYTHING = {
    "country": banks.COUNTRY,
    "listed": banks.LISTED,
    "income": banks.INCOME,
    "opened": {"input": {"days_since": "opened_on"}, "cases": [{"when": {"below": 90}, "points": 3}]},
    "exposed": {"cases": [{"when": {"field": "pep", "equals": True}, "points": 30, "floor": "medium"}]},
    "cash": banks.CASH,
    "card": {
        "input": {"count": "transactions", "where": {"field": "operation", "equals": "card"}},
        "cases": [{"when": {"at_least": 2}, "points": -4}],
        "otherwise": {"points": 1},
    },
    "dollars": {
        "input": {"mean": "amount", "in_currency": "USD"},
        "cases": [{"when": {"above": 100}, "points": 7}],
        "on_unknown": {"points": 2},
    },
    "watch": banks.WATCH,
    "screened": banks.SCREENED,
    "confirmed": banks.CONFIRMED,
    "fading": banks.FADING,
}
PEOPLE = 40


class Facts:
    """Facts made up at random, told to the bank and kept as frames, the two ways independent of each other."""

    def __init__(self, bank: Bank, seed: int) -> None:
        self.bank = bank
        self.chance = random.Random(seed)
        self.names = [f"n{number}" for number in range(PEOPLE)]
        self.frames: dict[str, list[dict[str, Any]]] = {
            name: [] for name in ("entities", "transactions", "tags", "screenings", "cases", "alerts")
        }

    def moment(self, before_days: int = 400) -> int:
        return self.bank.now - self.chance.randrange(before_days * DAY_US)

    def make(self) -> None:
        for name in self.names:
            given = {
                "country": self.chance.choice(["NO", "KP", "RU", "SE", None]),
                "income": self.chance.choice([None, 99.99, 100, 5]),
                "opened_on": self.chance.choice([None, "2026-11-01", "2020-02-29"]),
                "pep": self.chance.choice([None, True, False, False]),
            }
            self.frames["entities"].append({"entity_id": name, **given})
        rows = [
            EntityRow(one["entity_id"], {k: v for k, v in one.items() if k != "entity_id"})
            for one in self.frames["entities"]
        ]
        put_entities(self.bank.context, "customer", rows)
        self._transactions()
        for number, name in enumerate(self.chance.choices(self.names, k=30)):
            self._fact(number, name)

    def _transactions(self) -> None:
        for number, name in enumerate(self.chance.choices(self.names, k=300)):
            amount = self.chance.choice([10.5, -400.0, 700.25, 0.0])
            self.frames["transactions"].append(
                {
                    "transaction_id": f"t{number}",
                    "user_id": name,
                    "transaction_amount": amount,
                    "transaction_currency": self.chance.choice(["EUR", "EUR", "USD", "PLN"]),
                    "transaction_date": from_microseconds(self.moment()).replace(tzinfo=None).isoformat(),
                    "transaction_state": self.chance.choice([None, "SUCCEEDED", "PENDING", "FAILED"]),
                    "operation": self.chance.choice(["cash", "cash", "card", None]),
                }
            )
        add_transactions(self.bank.context, self.frames["transactions"])

    def _fact(self, number: int, name: str) -> None:
        of = (self.bank.context, "customer", name)
        opened = self.moment()
        closed = self.chance.choice([None, opened + DAY_US if opened + DAY_US <= self.bank.now else None])
        outcome = None if closed is None else self.chance.choice(["confirmed", "dismissed"])
        for kind in ("case", "alert"):
            put_record(
                *of, kind, RecordGiven(external_id=str(number), opened_us=opened, closed_us=closed, outcome=outcome)
            )  # type: ignore[arg-type]  # one of both
            self.frames[f"{kind}s"].append({"entity_id": name, "opened": opened, "closed": closed, "outcome": outcome})
        found, at = self.chance.random() < 0.5, self.moment()
        add_screening(*of, "sanctions", has_match=found, at_us=at)
        self.frames["screenings"].append({"entity_id": name, "screening": "sanctions", "found": found, "at": at})
        begins, lasts = self.moment(30), self.chance.choice([None, 40 * DAY_US, 2 * DAY_US])
        until = None if lasts is None else begins + lasts
        if name not in {one["entity_id"] for one in self.frames["tags"]}:  # to set it again ends what was set before
            set_tag(self.bank.context.at(begins), "customer", name, "watch", until_us=until)
            self.frames["tags"].append({"entity_id": name, "tag": "watch", "from": begins, "until": until})

    def portfolio(self) -> Portfolio:
        hot = NamedList(list="hot", title="Hot", source="ours", versions=(ListVersion(since=0, members=("SE", "RU")),))
        rates = ecb_rates("EUR", date(2026, 11, 20))
        made = {name: pl.DataFrame(rows, infer_schema_length=None) for name, rows in self.frames.items()}
        for name, columns in (
            ("tags", ("from", "until")),
            ("screenings", ("at",)),
            ("cases", ("opened", "closed")),
            ("alerts", ("opened", "closed")),
        ):
            made[name] = made[name].with_columns(pl.col(column).cast(pl.Datetime("us")) for column in columns)
        return Portfolio(**made, rates=rates, lists={"hot": hot})


def as_known(text: str, names: dict[str, str]) -> str:
    """Name an entity as the store does: by its number."""
    for name, number in names.items():
        text = text.replace(f'"entity":"{name}"', f'"entity":"{number}"')
    return text


@pytest.mark.parametrize("seed", range(2))
def test_what_is_stored_is_what_the_engine_says_of_the_same_facts(engine: Engine, seed: int) -> None:
    bank = Bank(engine)
    document = banks.document(EVERYTHING, score={"points": {"thresholds": [40, 90]}})
    bank.activate(document)
    put_list_version(Context(engine, bank.actor).at(bank.now), "hot", 0, ["SE", "RU"], "Hot", "ours")
    facts = Facts(bank, seed)
    facts.make()
    bank.settle()
    found = assess(AnalysedRuleset(read_ruleset(document)), facts.portfolio(), bank.now)
    names = {name: str(bank.id_of(name)) for name in facts.names}
    for position, row in enumerate(found.outcomes.iter_rows(named=True)):
        standing = bank.standing(row["entity_id"])
        (stored,) = bank.assessments(row["entity_id"])
        stands = (standing.level, standing.rules_level, standing.status, standing.entered_us)
        assert stands == (row["level"], row["rules_level"], row["status"], row["entered"])
        assert standing.may_move_down_us == row["may_move_down_on"]
        assert (stored.floor, standing.hard_floor) == (row["floor"], row["hard_floor"])
        assert bank.breakdown(row["entity_id"]) == as_known(as_json_text(explain(found, position)), names)
    assert {bank.level(name) for name in facts.names} == {1, 2, 3}


def test_nothing_is_stored_by_assessing(engine: Engine) -> None:
    bank = Bank(engine)
    bank.activate(banks.document({"country": banks.COUNTRY}))
    bank.put("a", country="KP")
    with Session(engine) as session:
        result = assess_entities(session, bank.of, 1, {bank.id_of("a"): 1}, bank.now)
        assert not session.new
    assert [(made.level, made.number) for made in result.records] == [(3, 1)]
    assert bank.assessments() == []


def test_another_organisations_rulesets_and_facts_are_not_seen(engine: Engine) -> None:
    """Of the same names; and their lists neither."""
    mine, theirs = Bank(engine), Bank(engine, "theirs")
    put_list_version(Context(engine, mine.actor).at(mine.now), "hot", 0, ["KP"], "Hot", "ours")
    put_list_version(Context(engine, theirs.actor).at(mine.now), "hot", 0, ["NO"], "Hot", "theirs")
    mine.activate(banks.document({"listed": banks.LISTED, "cash": banks.CASH}))
    theirs.activate(banks.document({"country": banks.COUNTRY}))
    mine.put("a", country="NO")
    theirs.put("b", country="NO")
    theirs.pay(1, "b")
    mine.settle()  # a worker works for all
    assert (mine.level("a"), theirs.level("b")) == (1, 1)
    assert [event["to"] for event in mine.events("a")] == ["low"]
