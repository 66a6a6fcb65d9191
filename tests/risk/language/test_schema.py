"""The JSON Schema: current, and as strict about words as the reader."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given

from fivefold.domain.errors import InvalidRulesetError
from fivefold.risk.language.documents import Document
from fivefold.risk.language.policy import Policy
from fivefold.risk.language.reading import read_ruleset
from fivefold.risk.language.ruleset import Ruleset
from fivefold.risk.language.schema import schema, schema_json
from tests.risk.language.documents_made import Data, as_json, rulesets
from tests.risk.language.test_policy import WRITTEN
from tests.risk.language.test_reading import TEXT, mistakes

ROOT = Path(__file__).parents[3]
VALIDATOR = jsonschema.Draft202012Validator(schema())

TOLD_BY_THE_READER_ALONE = (
    "compares with nothing",
    "fuzzy needs one of",
    "two decimals",
    "too many digits",
    "out of range",
    "is empty",
    "is not a date",
)
"""What a schema cannot say, or says only of the form."""


def plain(data: Any) -> Any:
    """Numbers as JSON has them."""
    if isinstance(data, dict):
        return {name: plain(below) for name, below in data.items()}
    if isinstance(data, list):
        return [plain(below) for below in data]
    if isinstance(data, Decimal):
        return int(data) if data == data.to_integral_value() else float(data)
    return data


def fits(text: str) -> bool:
    return bool(VALIDATOR.is_valid(plain(Document(text).data)))


@pytest.mark.parametrize("form", [Ruleset, Policy])
def test_it_is_a_schema(form: Any) -> None:
    jsonschema.Draft202012Validator.check_schema(schema(form))


def test_a_policy_fits_its_schema_and_a_word_that_is_none_fits_nowhere() -> None:
    data = plain(Document(WRITTEN).data)
    validator = jsonschema.Draft202012Validator(schema(Policy))
    assert list(validator.iter_errors(data)) == []
    for at in (data, data["rules"][0], data["rules"][0]["when"], data["rules"][0]["when"]["all"][0]):
        at["frobnicate"] = 1
        assert not validator.is_valid(data)
        del at["frobnicate"]
    where = {"level": "in_force", "equals": 1}
    data["rules"][0]["when"]["all"][0] = {"count": "transactions", "where": where, "above": 1}
    assert not validator.is_valid(data), "an aggregate knows fields alone"


def test_a_ruleset_knows_neither_levels_nor_a_pending_transaction() -> None:
    assert not {"level-input-test", "transaction-input-test"} & set(schema()["$defs"])


@given(rulesets)
def test_whatever_the_reader_takes_fits(data: Data) -> None:
    read_ruleset(as_json(data))
    assert list(VALIDATOR.iter_errors(plain(data))) == []


@pytest.mark.parametrize("path", sorted((ROOT / "risk" / "rulesets").glob("*.yaml")), ids=lambda path: str(path.stem))
def test_what_ships_fits(path: Path) -> None:
    assert fits(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(("before", "after", "told"), mistakes(), ids=lambda part: part[:40])
def test_a_mistake_that_a_form_can_tell_does_not_fit(before: str, after: str, told: str) -> None:
    text = TEXT.replace(before, after, 1)
    if "YAML" not in told and not any(words in told for words in TOLD_BY_THE_READER_ALONE):
        assert not fits(text)


@pytest.mark.parametrize(
    "part", ["", "rules.0", "rules.0.cases.0", "rules.0.cases.0.when", "rules.0.input", "score.points"]
)
def test_a_word_that_is_none_of_the_language_fits_nowhere(part: str) -> None:
    data = Document(TEXT).data
    at = data
    for step in filter(None, part.split(".")):
        at = at[int(step) if step.isdigit() else step]
    at["frobnicate"] = 1
    assert not VALIDATOR.is_valid(plain(data))
    with pytest.raises(InvalidRulesetError, match="frobnicate"):
        read_ruleset(as_json(data))


def test_names_are_those_of_the_language() -> None:
    text = schema_json()
    assert '"$ref": "#/$defs/any"' in text
    assert "Any_" not in text
    assert not {"title", "discriminator"} & set(json.loads(text)["$defs"]["rule"])
