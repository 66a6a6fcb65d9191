"""A ruleset: what it finds of itself."""

from decimal import Decimal
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from fivefold.risk.language.reading import read_ruleset
from fivefold.risk.language.ruleset import LevelName, Ruleset, Weighted
from tests.risk.conftest import Refusal
from tests.risk.language.documents_made import Data


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


def test_no_cooldown_is_said_by_leaving_the_word_out() -> None:
    with pytest.raises(ValidationError, match="'0 days' is not a cooldown; leave the word out"):
        small(cooldown="0 days")
    assert small().cooldown is None


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


@pytest.mark.parametrize(("value", "read"), [("high", "high"), ("3", "3"), (3, 3), (Decimal("3.0"), 3)])
def test_a_level_is_a_name_or_a_number(value: Any, read: Any) -> None:
    found = TypeAdapter[Any](LevelName).validate_python(value)
    assert (found, type(found)) == (read, type(read))


@pytest.mark.parametrize("value", [True, 2.5, Decimal("2.5"), None, ["high"]])
def test_what_is_no_level_is_refused(value: Any, refusal: Refusal) -> None:
    with refusal(ValidationError):
        TypeAdapter[Any](LevelName).validate_python(value)


@pytest.mark.parametrize(
    ("weights", "fits"),
    [
        ({"a": Decimal("33.33"), "b": Decimal("33.33"), "c": Decimal("33.34")}, True),
        ({"a": 99}, False),
        ({"a": 50, "b": Decimal("50.01")}, False),
    ],
)
def test_a_column_of_weights_totals_a_hundred(weights: Data, fits: bool, refusal: Refusal) -> None:
    data = {"bands": [31, 61], "weights": {"retail": weights}, "weights_by": [{"use": "retail"}]}
    if fits:
        assert Weighted.model_validate(data).weights["retail"] == weights
    else:
        with refusal(ValidationError):
            Weighted.model_validate(data)
