"""The answer is made of what is kept, in one canonical form."""

import json
from typing import Any

from fivefold.domain.canonical import canonical_json
from fivefold.risk.language.policy import read_policy
from fivefold.usecases.decisions.answers import ENGINE, answered
from fivefold.usecases.levels.replay_inputs import read_inputs
from tests.usecases.deciding import CASH_OF_HIGH, document

KEPT: dict[str, Any] = {
    "inputs": {'{"level":"in_force"}': 3, '{"transaction":"amount"}': 120_000, '{"transaction":"operation"}': "cash"},
    "types": "iis",
    "base": "EUR",
    "lists": {},
    "said": {"level": {"level": "high"}, "value": None, "transaction": {}, "rate": {}},
    "at_us": 1,
    "entity": {"type": "customer", "external_id": "ada"},
    "policy": {"name": "payments", "version": 1, "content_hash": "0"},
}


def made(**changed: Any) -> tuple[Any, str]:
    inputs, kept = read_inputs(json.dumps({**KEPT, **changed}), 1, "7")
    return answered(read_policy(document([CASH_OF_HIGH])).canonical, {}, inputs, kept)


def test_the_answer_says_everything_that_is_kept_and_what_follows() -> None:
    said, text = made()
    answer = json.loads(text)
    assert canonical_json(answer) == text
    assert (said.action, answer["action"], answer["decided_by"]) == ("block", "block", "cash-of-high")
    assert {name: answer[name] for name in ("entity", "policy", "level", "value")} == {
        "entity": KEPT["entity"],
        "policy": KEPT["policy"],
        "level": {"level": "high"},
        "value": None,
    }
    assert (answer["engine"], answer["at"]) == (ENGINE, "1970-01-01T00:00:00.000001+00:00")


def test_the_same_is_made_of_the_same_alone() -> None:
    assert made() == made()
    assert made()[1] != made(at_us=2)[1]
    assert made(inputs={**KEPT["inputs"], '{"level":"in_force"}': 1})[0].action == "allow"
