"""From a document to a ruleset: canonical form, hash, and errors that a compliance officer understands."""

import copy
import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from fivefold.domain.errors import InvalidRulesetError
from fivefold.risk.language.reading import MOST_FAULTS, read_ruleset, read_stored
from fivefold.risk.language.ruleset import Ruleset
from tests.risk.conftest import Refusal
from tests.risk.language.documents_made import Data, as_json, as_yaml, rulesets

TEXT = """\
ruleset: small
entity_type: customer
fields:
  country: country
levels: [low, medium, high]
score:
  points: {thresholds: [31, 61]}
max_recompute_interval: 180 days
rules:
  - id: residence
    title: Residence
    category: geography
    input: {field: country}
    cases:
      - {when: {equals: NO}, points: 5}
      - when: {in: [DE, FR]}
        points: 10
        floor: medium
    otherwise: {points: 1}
examples:
  - {name: Norwegian, given: {country: NO}, expect: {level: low}}
"""


def faults(text: str) -> list[str]:
    with pytest.raises(InvalidRulesetError) as refused:
        read_ruleset(text, "small.yaml")
    assert str(refused.value).startswith("small.yaml is not valid:")
    return [str(finding) for finding in refused.value.findings]


def with_change(before: str, after: str) -> str:
    assert before in TEXT
    return TEXT.replace(before, after, 1)


def numbers_spelled(data: Any) -> Any:
    """Every number in another form: 31 as 31.00, 0.5 as 5E-1."""
    if isinstance(data, dict):
        return {name: below if name in KEPT else numbers_spelled(below) for name, below in data.items()}
    if isinstance(data, list):
        return [numbers_spelled(below) for below in data]
    if isinstance(data, int) and not isinstance(data, bool):
        return Decimal(f"{data}.00")
    return data.normalize() if isinstance(data, Decimal) else data


KEPT = ("more_than", "fuzzy", "input", "expect")
"""What counts things is a whole number and written as one."""


@given(rulesets)
def test_the_canonical_form_reads_back_as_the_same_ruleset(data: Data) -> None:
    made = read_ruleset(as_json(data))
    again = read_ruleset(made.canonical)
    assert again == made
    assert again.canonical == made.canonical
    assert made.canonical.isascii()


@given(rulesets)
def test_a_text_and_its_canonical_form_are_one_ruleset_to_the_form_of_numbers(data: Data) -> None:
    """So the engine needs no second reading: what it says of 31.00 is what it says of 31."""
    written = read_ruleset(as_yaml(numbers_spelled(data), backwards=True))
    stored = read_stored(Ruleset, written.canonical)
    assert repr(in_order(written)) == repr(in_order(stored))
    assert repr(stored) == repr(read_ruleset(written.canonical))


def in_order(value: Any) -> Any:
    """Everything that a ruleset says, whatever the order in which it declares names."""
    if isinstance(value, BaseModel):
        return type(value).__name__, [in_order(getattr(value, name)) for name in type(value).model_fields]
    if isinstance(value, dict):
        return {name: in_order(value[name]) for name in sorted(value)}
    return list(map(in_order, value)) if isinstance(value, tuple | list) else value


@pytest.mark.parametrize("stored", ["{", "{}"])
def test_a_canonical_form_that_was_damaged_is_refused_with_what_is_wrong(stored: str, refusal: Refusal) -> None:
    with refusal(InvalidRulesetError):
        read_stored(Ruleset, stored)


@given(rulesets, st.booleans())
def test_json_and_yaml_are_the_same(data: Data, backwards: bool) -> None:
    """Neither the order of words nor comments, blocks or brackets matter."""
    assert read_ruleset(as_yaml(data, backwards=backwards)).content_hash == read_ruleset(as_json(data)).content_hash


@given(rulesets)
def test_the_form_of_numbers_does_not_matter(data: Data) -> None:
    assert read_ruleset(as_json(numbers_spelled(data))).content_hash == read_ruleset(as_json(data)).content_hash


@given(rulesets)
def test_spelled_out_defaults_do_not_matter(data: Data) -> None:
    spelled = copy.deepcopy(data)
    spelled.setdefault("examples", [])
    spelled.setdefault("fields", {})
    spelled.setdefault("coverage", {}).setdefault("cases", 80)
    for made in spelled["rules"]:
        made.setdefault("overridable", False)
        made.setdefault("otherwise", {})
    assert read_ruleset(as_json(spelled)).content_hash == read_ruleset(as_json(data)).content_hash


def changes(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[tuple[Any, ...], Any]]:
    """Every number, flag or text of a document, and another value in its place."""
    if isinstance(data, dict):
        return [found for name, below in data.items() for found in changes(below, (*path, name))]
    if isinstance(data, list):
        return [found for place, below in enumerate(data) for found in changes(below, (*path, place))]
    if isinstance(data, bool):
        return [(path, not data)]
    if isinstance(data, int | Decimal):
        return [(path, data + 1 if data < 90 else data - 1)]
    return [(path, f"{data}a"), (path, data.lower()), (path, None)] if isinstance(data, str) else []


@given(rulesets, st.data())
def test_any_change_changes_the_hash(data: Data, draw: st.DataObject) -> None:
    """Whatever value is changed in the file: it is refused, or the hash is another."""
    path, value = draw.draw(st.sampled_from(changes(data)))
    changed = copy.deepcopy(data)
    at: Any = changed
    for step in path[:-1]:
        at = at[step]
    before, at[path[-1]] = at[path[-1]], value
    try:
        made = read_ruleset(as_json(changed))
    except InvalidRulesetError:
        return
    is_same = value == before or (isinstance(value, str) and value.strip() == before.strip())
    assert (made.content_hash == read_ruleset(as_json(data)).content_hash) == is_same


def test_the_hash_is_that_of_the_canonical_form() -> None:
    """Written out once, so that it cannot change unseen: hashes are kept with every assessment."""
    made = read_ruleset(TEXT)
    assert json.loads(made.canonical) == {
        "ruleset": "small",
        "entity_type": "customer",
        "fields": {"country": "country"},
        "levels": ["low", "medium", "high"],
        "score": {"points": {"thresholds": [31, 61]}},
        "max_recompute_interval": "180 days",
        "rules": [
            {
                "id": "residence",
                "title": "Residence",
                "category": "geography",
                "input": {"field": "country"},
                "cases": [
                    {"when": {"equals": "NO"}, "points": 5},
                    {"when": {"in": ["DE", "FR"]}, "points": 10, "floor": "medium"},
                ],
                "otherwise": {"points": 1},
            }
        ],
        "examples": [{"name": "Norwegian", "given": {"country": "NO"}, "expect": {"level": "low"}}],
    }
    assert made.content_hash == "c57d185a1c670cbf1722af082969d11edc575b1dfdfe098bb22ab79d3f3c62f8"


def mistakes() -> list[tuple[str, str, str]]:
    """The blocks of mistakes.txt: what is taken out, what is put in, what is told."""
    text = Path(__file__).with_name("mistakes.txt").read_text(encoding="utf-8")
    found = re.findall(r"^- (.*)\n\+ ?(.*)\n= (.*)$", text, re.MULTILINE)
    return [(before.replace("\\n", "\n"), after.replace("\\n", "\n"), told) for before, after, told in found]


def test_mistakes_are_read() -> None:
    assert len(mistakes()) >= 50


@pytest.mark.parametrize(("before", "after", "told"), mistakes(), ids=lambda part: part[:40])
def test_a_mistake_is_told_with_its_rule_case_and_line(before: str, after: str, told: str) -> None:
    assert faults(with_change(before, after)) == [told]


def test_two_mistakes_are_told_in_the_order_of_the_file() -> None:
    text = with_change("points: 5}", "point: 5}").replace("180 days", "180")
    assert [fault.split(":")[0] for fault in faults(text)] == ["line 8", "line 15"]


def test_a_word_is_written_as_files_write_it() -> None:
    """The names that the program has for words which Python keeps for itself are none of the language."""
    assert any("state" in fault for fault in faults(with_change("{equals: NO}", "{state: present}")))
    assert any("name: is" in fault for fault in faults(with_change("ruleset: small", "name: small")))


def test_an_empty_field_of_an_example_is_unknown() -> None:
    made = read_ruleset(with_change("given: {country: NO}", "given: {country: }"))
    assert made.examples[0].given == {"country": None}


@pytest.mark.parametrize("text", ["", "hello", "- a", "12"])
def test_what_is_no_mapping_is_no_ruleset(text: str) -> None:
    assert faults(text) == ["the ruleset: must be a mapping that begins with `ruleset: NAME`"]


def test_a_deep_condition_with_a_mistake_is_found_at_once() -> None:
    """Places are found without trying every way through words that repeat themselves."""
    deep = "{all: [" * 20 + "{equal: NO}" + "]}" * 20
    found = faults(with_change("{equals: NO}", deep))
    where = f"line 15: rule residence, case 1, when, {'all 1, ' * 20}equal"
    assert found == [f"{where}: is not a word of the language here; perhaps equals was meant"]
    turned = "{not: " * 40 + "{equal: NO}" + "}" * 40
    assert len(faults(with_change("{equals: NO}", turned))) == 1


def test_of_many_faults_the_first_are_written_and_the_others_counted() -> None:
    words = "".join(f"k{number}: 1\n" for number in range(3 * MOST_FAULTS))
    with pytest.raises(InvalidRulesetError) as refused:
        read_ruleset(words)
    *written, last = refused.value.findings
    absent = sum(finding.problem == "is missing" for finding in written)
    assert len(written) == MOST_FAULTS
    assert last.problem == f"has {2 * MOST_FAULTS + absent:,} more faults than those listed here"
