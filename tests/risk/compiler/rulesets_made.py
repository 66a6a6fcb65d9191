"""Small rulesets for checks: one rule, and whatever a test puts beside it."""

from typing import Any

from fivefold.risk.language.ruleset import Ruleset

Data = dict[str, Any]


def made(rule: Data | None = None, *, rules: list[Data] | None = None, **more: Any) -> Ruleset:
    """Give a ruleset of one rule (or several), whose parts are those given or plain ones."""
    one: Data = {"title": "R", "category": "other", "cases": [{"when": "present", "points": 5}]}
    several = rules if rules is not None else [{"id": "one", "input": {"tag": "x"}, **(rule or {})}]
    head: Data = {
        "ruleset": "made",
        "entity_type": "customer",
        "levels": ["low", "medium", "high"],
        "score": {"points": {"thresholds": [31, 61]}},
        "max_recompute_interval": "1 day",
    }
    return Ruleset.model_validate({**head, **more, "rules": [{**one, **part} for part in several]})
