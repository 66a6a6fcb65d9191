"""Inputs and values for the person whom they are about: plain words, and numbers on their own side of a comparison."""

import json
import re
from decimal import Decimal
from functools import cache
from typing import Any, Final

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from fivefold.risk.compiler.value_types import Vocabulary
from fivefold.risk.engine.explain.personal import PersonalWording, person_name
from fivefold.risk.engine.explain.personal_values import PersonalInput, describe_for_person
from fivefold.risk.language.calculations import Calculation
from fivefold.risk.language.expressions import PLAIN_INPUTS, Input, input_key
from fivefold.risk.language.fields import TRANSACTION_FIELDS
from tests.depth import examples
from tests.golden import FOLDER, compare
from tests.risk.language.documents_made import patterns, plain_inputs

WORDING: Final = PersonalWording("EUR", {"call-for-action": "Call for action"})
OF_THE_LANGUAGE: Final = re.compile(r"_|\bwhere\b|\bover\b|\bin the list\b|[{}\[\]\"]")
"""What a person need not know: signs and words of rulesets."""

_INPUTS: Final[TypeAdapter[Any]] = TypeAdapter(Input)
CASH: Final = {
    "ratio": [
        {"sum": "amount", "where": {"field": "operation", "equals": "cash"}},
        {"sum": "amount"},
    ]
}
FIELDS: Final = {
    "income": "number",
    "declared_turnover": "number",
    "declared_purposes": ["text"],
    "found": "flag",
    "last_review": "date",
}
CALCULATE: Final = {
    name: {"unit": name, "of": {"field": "income", "as": name}} for name in ("money", "count", "ratio", "days")
}


def any_input(data: Any) -> Any:
    return _INPUTS.validate_python(data)


def without_quoted(words: str) -> str:
    return re.sub("'[^']*'", "", words).replace("other side's", "")


def test_names() -> None:
    compare("inputs_for_person", lambda data: person_name(any_input(data), WORDING))


def test_every_kind_of_input_has_words_without_those_of_the_language() -> None:
    lines = (FOLDER / "inputs_for_person.txt").read_text(encoding="utf-8").splitlines()
    kinds = [json.loads(line.partition(" → ")[0]) for line in lines]
    assert {word for data in kinds for word in data} >= {*PLAIN_INPUTS, "pattern"}
    for line in lines:
        assert not OF_THE_LANGUAGE.search(without_quoted(line.partition(" → ")[2])), line


@settings(max_examples=examples(100))
@given(st.one_of(plain_inputs, patterns))
def test_no_input_that_can_be_written_shows_the_language(data: Any) -> None:
    assume("'" not in json.dumps(data, default=str))
    words = person_name(any_input(data), WORDING)
    assert not OF_THE_LANGUAGE.search(without_quoted(words))


@cache
def vocabulary() -> Vocabulary:
    calculations = {name: TypeAdapter(Calculation).validate_python(each) for name, each in CALCULATE.items()}
    transactions = {**TRANSACTION_FIELDS, **dict.fromkeys(("operation", "purpose", "counterparty_id"), "text")}
    return Vocabulary(entity=FIELDS, transaction=transactions, case={}, calculations=calculations, reference="peers")


def prepared(data: Any, *cuts: Decimal) -> PersonalInput:
    rule_input = any_input(data)
    return describe_for_person([rule_input], vocabulary(), WORDING, {input_key(rule_input): cuts}, {})[
        input_key(rule_input)
    ]


@pytest.mark.parametrize(
    ("data", "value", "words"),
    [
        ({"field": "found"}, True, "yes"),
        ({"field": "found"}, None, "not known"),
        ({"field": "income"}, 1234.5, "1,234.5"),
        ({"field": "declared_purposes"}, [], "none"),
        ({"field": "last_review"}, 1_700_000_000_000_000, "2023-11-14 22:13:20 UTC"),
        ({"field": "last_review"}, 1_699_920_000_000_000, "2023-11-14"),
        ({"count": "transactions"}, 0, "none"),
        ({"count": "transactions"}, 1234, "1,234"),
        ({"sum": "amount"}, 0, "0.00 EUR"),
        ({"sum": "amount", "in_currency": "USD"}, 408_727, "4,087.27 USD"),
        ({"mean": "amount"}, 408_727.123, "4,087.27 EUR"),
        (CASH, 0.212932, "21.3 %"),
        (CASH, 0.0, "0 %"),
        ({"share": "amount", "where": {"field": "amount", "above": 5}}, 1.0, "100 %"),
        ({"ratio": [{"sum": "amount"}, {"field": "income"}]}, 0.212932, "0.21"),
        ({"indicator": "account_age"}, 1695.3, "1,695 days"),
        ({"indicator": "deposit_recency"}, 12.2, "12"),
        ({"indicator": "regularity_365d"}, 0.489553, "0.49"),
        ({"indicator": "active_day_share_all"}, 0.489553, "49 %"),
        ({"indicator": "deposit_sum_365d"}, 1234.5, "1,234.50 EUR"),
        ({"days_since": "last_review"}, 805.2, "805"),
        ({"calculation": "money"}, 1_234_550, "12,345.50 EUR"),
        ({"calculation": "days"}, 12.0, "12"),
        ({"calculation": "ratio"}, 0.489553, "0.49"),
        ({"value": "expected_value"}, 1234.5, "1,234.50 EUR"),
        ({"value": "segment"}, "top", "top"),
        ({"tag": "watch"}, True, "given"),
        ({"screening": "pep"}, False, "nothing found"),
        ({"peer_percentile": {"of": {"field": "income"}, "among": "everyone"}}, 93.25, "93.2 %"),
        ({"times_peer_median": {"of": {"field": "income"}, "among": "everyone"}}, 2.5, "2.5 times"),
        (
            {"pattern": "volume-deviation", "expected_monthly": "declared_turnover", "factor": 3, "over": "30 days"},
            0.0,
            "below 3 times",
        ),
        (
            {"pattern": "volume-deviation", "expected_monthly": "declared_turnover", "factor": 3, "over": "30 days"},
            4.256,
            "4.26 times",
        ),
        ({"pattern": "fan-in", "at_least": 3}, 0.0, "none"),
    ],
)
def test_known(data: Any, value: Any, words: str) -> None:
    one = prepared(data)
    assert one.known_words({one.description.key: value}) == words


NUMBERS: Final = [
    CASH,
    {"share": "amount", "where": {"field": "amount", "above": 5}},
    {"ratio": [{"sum": "amount"}, {"field": "income"}]},
    {"indicator": "active_day_share_all"},
    {"indicator": "regularity_365d"},
    {"indicator": "deposit_sum_365d"},
    {"indicator": "account_age"},
    {"days_since": "last_review"},
    {"calculation": "ratio"},
    {"calculation": "days"},
    {"peer_percentile": {"of": {"field": "income"}, "among": "everyone"}},
    {"times_peer_median": {"of": {"field": "income"}, "among": "everyone"}},
]


def number_in(words: str, one: PersonalInput) -> Decimal:
    number = Decimal(words.partition(" ")[0].replace(",", ""))
    in_percent = words.endswith(" %") and "peer_percentile" not in one.description.key
    return number / 100 if in_percent else number


@settings(max_examples=examples(200))
@given(
    st.sampled_from(NUMBERS),
    st.sampled_from(["0.2", "0.005", "0.7", "1", "31", "1825"]).map(Decimal),
    st.floats(-0.01, 0.01, allow_subnormal=False),
)
def test_a_number_reads_on_its_own_side_of_what_it_is_compared_with(data: Any, cut: Decimal, beside: float) -> None:
    one = prepared(data, cut)
    for value in (float(cut) + beside, float(cut), beside):
        shown = number_in(one.known_words({one.description.key: value}), one)
        assert shown.compare(cut) == Decimal(str(value)).compare(cut)
        assert shown.compare(Decimal(0)) == Decimal(str(value)).compare(Decimal(0))


@settings(max_examples=examples(100))
@given(st.floats(0, 2), st.floats(-1e-6, 1e-6), st.sampled_from(NUMBERS))
def test_two_that_are_compared_read_in_their_order(one: float, more: float, data: Any) -> None:
    first, second = any_input(data), any_input({"ratio": [{"field": "income"}, {"sum": "amount"}]})
    keys = input_key(first), input_key(second)
    described = describe_for_person([first, second], vocabulary(), WORDING, {}, {keys[0]: keys[1:], keys[1]: keys[:1]})
    row = dict(zip(keys, (one, one + more), strict=True))
    shown = [number_in(described[key].known_words(row), described[key]) for key in keys]
    assert shown[0].compare(shown[1]) == Decimal(str(one)).compare(Decimal(str(one + more)))
