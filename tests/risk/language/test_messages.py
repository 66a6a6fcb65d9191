"""What the checker found, in the words of the language; whole documents with mistakes are in test_reading.py."""

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from fivefold.domain.suggestions import perhaps
from fivefold.risk.language.base import LanguageModel
from fivefold.risk.language.messages import problem_of, words_of_the_language
from fivefold.risk.language.operators import Fuzzy, Operators
from fivefold.risk.language.patterns import Velocity
from fivefold.risk.language.ruleset import Coverage, Expectation, Rule, Ruleset


def problems(form: type[BaseModel], data: Any) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        form.model_validate(data)
    return [problem_of(fault, ["country"]) for fault in caught.value.errors()]


@pytest.mark.parametrize(
    ("form", "data", "told"),
    [
        (Coverage, {"rule": 1}, "is not a word of the language here; perhaps rules was meant"),
        (Coverage, {"xyz": 1}, "is not a word of the language here"),
        (Coverage, {"floor": 1}, "is a word of the language, but has no meaning here"),
        (Coverage, {"country": 1}, "is not a word of the language here; country is a field: write {field: country"),
        (Coverage, {"rules": 101}, "101 is out of range; a weight is 0 to 100 %"),
        (Coverage, {"rules": None}, "is empty; give a value, or leave the word out"),
        (Coverage, 5, "is 5; must be words with values, such as {word: value}"),
        (Operators, {"in": "a"}, "is 'a'; must be a list, such as [a, b]"),
        (Operators, {"is": "presnt"}, "; perhaps present was meant"),
        (Rule, {"id": "a", "title": "a", "input": {"sm": "amount"}, "cases": []}, "; perhaps sum was meant"),
        (Operators, {"in_list": "A b"}, "is 'A b'; names here are lower-case letters, digits and hyphens"),
        (Fuzzy, {"to": "a", "scorer": "raito", "at_least": 90}, "; perhaps ratio was meant"),
        (Fuzzy, {"to": "a", "scorer": "ratio", "at_least": 0}, "is 0; must be at least 1"),
        (Fuzzy, {"to": "a", "scorer": "ratio", "at_least": 90.5}, "is 90.5; must be a whole number"),
        (Velocity, {"pattern": "velocity", "over": "1 day", "more_than": "many"}, "is 'many'; must be a whole number"),
        (Expectation, {"cases": [1]}, "must be words with values, such as {word: value}"),
        (Expectation, {"floor_by": "x" * 81}, "is too long; at most 80 characters"),
    ],
)
def test_a_fault_is_told_in_plain_words(form: type[LanguageModel], data: Any, told: str) -> None:
    assert any(told in problem for problem in problems(form, data))


def test_a_flag_is_true_or_false() -> None:
    rule = {"id": "a", "title": "a", "category": "other", "cases": [{"when": "present"}], "overridable": "perhaps"}
    assert problems(Rule, rule) == ["is 'perhaps'; must be true or false"]


def test_too_many_are_told() -> None:
    assert "has 7; there must be at most 6" in problems(Ruleset, {"levels": list("abcdefg")})


def test_what_is_not_foreseen_is_told_as_the_checker_has_it() -> None:
    fault = {"type": "something_new", "input": 1, "loc": (), "msg": "Value error, as it is"}
    assert problem_of(fault, ()) == "as it is"


def test_words_are_those_that_files_have() -> None:
    words = words_of_the_language()
    assert {"points", "is", "in", "not", "ruleset", "thresholds", "fuzzy"} <= set(words)
    assert not {"state", "among", "negated"} & set(words)


@pytest.mark.parametrize(
    ("word", "names", "said"),
    [
        ("im", ["in", "not_in", "id"], "; perhaps in was meant"),
        ("abvoe", ["above", "below"], "; perhaps above was meant"),
        ("contry", ["country", "county"], "; perhaps country was meant"),
        ("hgih", ["low", "medium", "high"], "; perhaps high was meant"),
        ("country", ["country"], ""),
        ("zzz", ["above"], ""),
        (7, ["above"], ""),
    ],
)
def test_one_letter_wrong_gets_a_suggestion(word: object, names: list[str], said: str) -> None:
    assert perhaps(word, names) == said
