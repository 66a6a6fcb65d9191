"""Rulesets with words and numbers that only publishers may ever see."""

import json
from typing import Any

from tests.usecases import platforms

SECRETS = ("77001", "90210", "31415", "sekret", "Sekret")
"""Thresholds, what other cases compare with, conditions on what counts and on whom the ruleset applies to."""


def document(name: str = "retail", remark: str = "first", **changed: Any) -> str:
    """A ruleset: from NO on it is medium, from KP on high, and much cash adds to it."""
    rules = [
        {
            "id": "country",
            "title": "Country of residence",
            "category": "geography",
            "rationale": "Where they live.",
            "input": {"field": "country"},
            "changeable": "either",
            "cases": [
                {"when": {"equals": "KP"}, "points": 500, "floor": "high", "title": "A country without relations"},
                {"when": {"in": ["NO", "SE"]}, "points": 340, "title": "A neighbour"},
                {"when": {"in": ["AQ"]}, "points": 90210, "title": "Sekret case"},
            ],
        },
        {
            "id": "cash",
            "title": "Cash in half a year",
            "category": "transaction execution",
            "rationale": "Cash breaks the trail.",
            "input": {
                "sum": "amount",
                "over": "180 days",
                "where": {"field": "operation", "in": ["cash", "sekret operation"]},
            },
            "changeable": "down",
            "cases": [
                {"when": {"at_least": 77001}, "points": 400},
                {"when": {"above": 50}, "points": 20},
            ],
        },
        {
            "id": "income",
            "title": "Income",
            "category": "customer features",
            "rationale": "Sekret reasons of a rule that gave nothing.",
            "input": {"field": "income"},
            "changeable": "either",
            "cases": [{"when": {"at_least": 31415}, "points": 7}],
        },
    ]
    return json.dumps(
        {
            "ruleset": name,
            "entity_type": "customer",
            "fields": platforms.FIELDS,
            "transaction_fields": platforms.TRANSACTION_FIELDS,
            "levels": platforms.LEVELS,
            "applies_to": {"not": {"tag": "sekret-tag", "is": "present"}},
            "score": {"points": {"thresholds": [314.15, 772.01]}},
            "max_recompute_interval": "30 days",
            "cooldown": "10 days",
            "rationale": f"Sekret appetite, {remark}.",
            "coverage": {"rules": 0, "cases": 0},
            "rules": rules,
            "examples": [{"name": "a neighbour", "given": {"country": "NO"}, "expect": {"level": "medium"}}],
            **changed,
        }
    )
