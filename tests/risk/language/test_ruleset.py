"""A ruleset: what it finds of itself."""

from decimal import Decimal
from typing import Any

import pytest

from fivefold.risk.language.reading import read_ruleset
from fivefold.risk.language.ruleset import Ruleset


def small(**more: Any) -> Ruleset:
    rule = {"id": "a", "title": "A", "category": "other", "input": {"tag": "x"}, "cases": [{"when": "present"}]}
    data = {
        "ruleset": "small",
        "entity_type": "customer",
        "levels": ["low", "2", "high"],
        "score": {"points": {"thresholds": [31, 61]}},
        "max_recompute_interval": "1 day",
        "rules": [rule],
    }
    return Ruleset.model_validate({**data, **more})


def test_levels_are_found_by_name_first_then_by_number() -> None:
    assert [small().level_number(level) for level in ("low", "2", "high", 1, 2, 3)] == [1, 2, 3, 1, 2, 3]
    assert small(levels=["3", "2", "1"]).level_number("3") == 1
    for unknown in ("nothing", 0, 4, "3"):
        with pytest.raises(KeyError):
            small().level_number(unknown)


def test_a_rule_is_found_by_its_id() -> None:
    assert small().rule("a").title == "A"
    with pytest.raises(KeyError):
        small().rule("b")


def test_values_of_an_example_are_exact() -> None:
    given_values = {"a": 1.10, "b": [True, None, {"c": 2}], "d": "x"}
    made = small(examples=[{"name": "E", "given": given_values, "expect": {}}])
    assert made.examples[0].given == {"a": Decimal("1.1"), "b": [True, None, {"c": Decimal(2)}], "d": "x"}
    assert made.model_dump(mode="json")["examples"][0]["given"] == {"a": 1.1, "b": [True, None, {"c": 2}], "d": "x"}


def test_a_changed_copy_has_a_hash_of_its_own() -> None:
    made = small()
    before = made.content_hash
    changed = made.model_copy(update={"rationale": "Another reason."})
    assert changed.content_hash != before
    assert read_ruleset(changed.canonical) == changed
    assert made.model_copy().content_hash == before
