"""docs/decisions-api.md says what is so: its policy can be proposed, and decides as its table says."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from fivefold.usecases.decisions.policies import approve_policy, propose_policy
from fivefold.usecases.ingest.facts import set_tag
from fivefold.usecases.shared.context import Context
from tests.usecases.decisions.deciding import Desk, cash, opened

PAGE = (Path(__file__).parents[3] / "docs" / "decisions-api.md").read_text(encoding="utf-8")
POLICY, *_ = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
REQUEST, ANSWER = (json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL))


@pytest.fixture
def desk(engine: Engine) -> Desk:
    made = opened(engine)
    propose_policy(Context(engine, made.ana).at(made.bank.now), POLICY, "As the page says.")
    approve_policy(Context(engine, made.ben).at(made.bank.now), "cash", 1, "As the page says.")
    for number in range(3):
        made.bank.pay(number, "bo", transaction_amount=5_000.0)
    return made


def test_the_policy_decides_as_the_table_says(desk: Desk) -> None:
    lines = re.findall(r"^\| ([\d,.]+) \| (\w+) \| (\w+) \|$", PAGE, re.MULTILINE)
    assert len(lines) == 4
    for amount, low, high in lines:
        given = cash(-float(amount.replace(",", "")))
        assert desk.decide("bo", given, "cash").action == low, amount
        assert desk.decide("ada", given, "cash").action == high, amount


def test_the_other_rules_do_what_they_are_for(desk: Desk) -> None:
    assert desk.decide("cy", cash(-1.0), "cash").action == "review", "nothing is known"
    transfer = cash(-50_000.0, operation="wire")
    assert desk.decide("bo", transfer, "cash").action == "review", "unusual, and of no known worth"
    desk.value("bo", 4.5)
    assert desk.decide("bo", transfer, "cash").action == "allow"
    set_tag(Context(desk.bank.engine, desk.ana).at(desk.bank.now), "customer", "ada", "cash-agreed")
    agreed = desk.decide("ada", cash(-5_000.0), "cash")
    assert (agreed.action, agreed.answer and agreed.answer["rules"][0]["outcome"]) == ("allow", "suppressed")


def test_the_answer_is_of_the_form_that_is_shown(desk: Desk) -> None:
    from fivefold.serving.v1.routes.decisions import DecisionAsked, DecisionForApps

    DecisionAsked.model_validate_json(json.dumps(REQUEST))
    assert set(ANSWER) == set(DecisionForApps.model_fields)
    made = desk.decide("ada", REQUEST["transaction"], "cash")
    assert made.answer is not None
    assert made.action == ANSWER["action"]
    assert made.answer["decided_by"] == ANSWER["decided_by"]["rule"]
    unknown = [rule["rule"] for rule in made.answer["rules"] if rule["outcome"] == "unknown"]
    assert unknown == [rule["rule"] for rule in ANSWER["unknown"]]


def test_every_part_of_the_record_is_told(desk: Desk) -> None:
    section = PAGE.partition("## The record")[2].partition("\n## ")[0]
    answer: Any = desk.decide("ada", cash(), "cash").answer
    told = set(re.findall(r"`(\w+)`", section))
    assert set(answer) - {"rules", "entity"} <= told
    assert {"outcome", "asked", "seen", "missing", "sentence"} <= set(answer["rules"][0]) & told
