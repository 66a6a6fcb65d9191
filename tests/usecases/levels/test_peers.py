"""Peers on the platform: a reference portfolio is a list with versions, which assessments record and replay reads."""

import json

import polars as pl
from sqlalchemy import Engine

from fivefold.risk.facts.peers import made_reference
from fivefold.risk.language.expressions import input_key
from fivefold.risk.language.peers import Peers
from fivefold.usecases.levels.replay import replay_assessment
from tests.usecases import banks
from tests.usecases.at_once import put_list_version
from tests.usecases.banks import Bank

PEERS = {"of": {"field": "income"}, "among": "everyone"}
PLACED = {
    "input": {"peer_percentile": PEERS},
    "cases": [{"when": {"at_least": 90}, "points": 70}],
    "on_unknown": {"points": 1},
}


def put_peers(bank: Bank, incomes: range) -> None:
    """Put the reference portfolio of some incomes in force now."""
    peers = Peers.model_validate(PEERS)
    lines = made_reference([peers], pl.DataFrame({input_key(peers.of): incomes}), bank.now, "EUR").lines()
    put_list_version(bank.context, "our-peers", bank.now, lines, "Peers", "incomes")


def seen(bank: Bank, name: str) -> str:
    found: str = json.loads(bank.breakdown(name))["rules"][0]["seen"]
    return found


def test_a_new_reference_moves_levels_and_both_are_replayed(engine: Engine) -> None:
    bank = Bank(engine)
    put_peers(bank, range(100))
    bank.activate(banks.document({"placed": PLACED}, reference="our-peers"))
    bank.put("a", income=95)
    bank.put("b")
    bank.settle()
    assert bank.level("a") == 3
    assert "higher than 95 % of 100 peers" in seen(bank, "a")
    assert "unknown, as income is unknown" in seen(bank, "b")
    bank.wait(40)
    put_peers(bank, range(1000))
    bank.settle()
    assert bank.level("a") == 1
    assert "higher than 9.5 % of 1,000 peers" in seen(bank, "a")
    for name in ("a", "b"):
        for each in bank.assessments(name):
            assert replay_assessment(bank.context, f"{each.entity_id}.{each.number}").same
