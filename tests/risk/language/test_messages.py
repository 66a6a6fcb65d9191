"""What the checker found, in the words of the language; whole documents with mistakes are in test_reading.py."""

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from fivefold.domain.text import perhaps
from fivefold.risk.language.messages import problem_of, words_of_the_language
from fivefold.risk.language.operators import Fuzzy, Operators
from fivefold.risk.language.patterns import Velocity
from fivefold.risk.language.ruleset import Coverage, Expectation, Rule, Ruleset
from tests.golden import compare


def problems(form: type[BaseModel], data: Any) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        form.model_validate(data)
    return [problem_of(fault, ["country"]) for fault in caught.value.errors()]


FORMS = {form.__name__: form for form in (Coverage, Expectation, Fuzzy, Operators, Rule, Ruleset, Velocity)}


def test_a_mistake_in_plain_words() -> None:
    compare("language_messages", lambda row: " | ".join(problems(FORMS[row[0]], row[1])))


def test_what_is_not_foreseen_is_told_as_the_checker_has_it() -> None:
    fault = {"type": "something_new", "input": 1, "loc": (), "msg": "Value error, as it is"}
    assert problem_of(fault, ()) == "as it is"


def test_words_are_those_that_files_have() -> None:
    words = words_of_the_language()
    assert {"points", "is", "in", "not", "ruleset", "thresholds", "fuzzy"} <= set(words)
    assert not {"state", "not_among", "negated", "peer_fact"} & set(words)


def test_one_letter_wrong_gets_a_suggestion() -> None:
    compare("suggestions", lambda row: perhaps(*row) or "nothing")
