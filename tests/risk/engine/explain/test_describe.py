"""Inputs, conditions and values in plain words, as they are seen: never rounded across what they are compared with."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.compiler.value_types import InputColumn, Vocabulary, inputs_of_rule
from fivefold.risk.engine.explain.describe import (
    condition_words,
    describe_inputs,
    input_words,
    numbers_compared,
    value_words,
)
from fivefold.risk.facts.portfolio import lacking_of
from fivefold.risk.language.expressions import Condition, Input, input_key, word_of
from fivefold.risk.language.fields import TRANSACTION_FIELDS, ValueType
from fivefold.risk.language.peers import PeerFact
from fivefold.risk.language.policy import POLICY_INPUTS
from tests.depth import examples
from tests.golden import compare
from tests.risk.engine.small import Data, case, rule, ruleset


def any_input(data: dict[str, Any]) -> Any:
    form = POLICY_INPUTS.get(word_of(data, POLICY_INPUTS) or "", TypeAdapter(Input))
    return form.validate_python(data) if isinstance(form, TypeAdapter) else form.model_validate(data)


def test_input() -> None:
    compare("inputs", lambda data: input_words(any_input(data)))


def test_a_level_goes_by_its_name() -> None:
    assert value_words(2, InputColumn("it", ValueType.LEVEL, levels=("low", "high"))) == "high"


def test_condition() -> None:
    compare("conditions", lambda when: condition_words(TypeAdapter(Condition).validate_python(when)))


MONEY, YEN, NUMBER = (
    InputColumn("m", ValueType.MONEY, 100),
    InputColumn("y", ValueType.MONEY),
    InputColumn("n", ValueType.NUMBER),
)
AGE = InputColumn("d", ValueType.NUMBER, is_age=True)


def test_value() -> None:
    compare("values", lambda row: value_words(of_json(row[0]), InputColumn("it", ValueType(row[1]), row[2]), "EUR"))


def of_json(value: Any) -> Any:
    return float(value) if isinstance(value, Decimal) else value


near = st.floats(-0.01, 0.01, allow_subnormal=False)


@given(st.sampled_from([0, 1, 31, 100, 10000]), near, st.sampled_from([MONEY, NUMBER, AGE]))
def test_value_is_shown_on_its_own_side_of_a_cut(cut: int, beside: float, column: InputColumn) -> None:
    value = (cut + beside) * column.units
    shown = value_words(value, column, cuts=(Decimal(cut),)).replace(",", "")
    exact = Decimal(str(value)) / column.units
    assert Decimal(shown).compare(Decimal(cut)) == exact.compare(Decimal(cut))


def words_slowly(value: float, column: InputColumn, cuts: list[Decimal]) -> str:
    """Write a number as it reads: rounded, more finely as long as that would put it elsewhere beside a cut."""
    exact = Decimal(str(value)) / column.units
    money, size = column.kind is ValueType.MONEY, exact.adjusted()
    if not money and exact and not -15 <= size < 15:
        return str(value)
    minor = len(str(column.units)) - 1
    places = [0, 1, 2, 4, 6, 9, 12] if column.is_age else [max(n - max(size + 1, 0), 2) for n in (6, 9, 12)]
    places = [minor + more for more in (0, 2, 4, 8)] if money else places
    sides = [exact.compare(cut) for cut in (*cuts, Decimal(0))]
    fit = (one for one in (round(exact, at) for at in places) if [one.compare(cut) for cut in (*cuts, 0)] == sides)
    shown = next(fit, exact)
    return f"{shown if money else shown.normalize():,f}"


@pytest.mark.parametrize(
    ("days", "shown"),
    [
        (2177.69, "2,178"),
        (30.6, "31"),
        (30.4, "30.4"),
        (29.94, "29.9"),
        (29.999, "29.999"),
        (30.0, "30"),
        (0.04, "0.04"),
    ],
)
def test_days_that_pass_are_whole_but_beside_a_cut(days: float, shown: str) -> None:
    assert value_words(days, AGE, cuts=(Decimal(30),)) == shown


all_cuts = st.lists(st.decimals(-1000, 1000, places=4), max_size=3)
numbers = st.one_of(st.floats(-1e17, 1e17), st.floats(-2, 2), st.integers(-(10**17), 10**17), st.integers(-1000, 1000))
COLUMNS = [MONEY, YEN, InputColumn("l", ValueType.MONEY, 10_000), NUMBER, InputColumn("f", ValueType.FINDING), AGE]


@settings(max_examples=examples(250))
@given(numbers, all_cuts, st.sampled_from(COLUMNS), st.sampled_from([0, 1e-9, -1e-6, 0.004, -0.5]), st.booleans())
def test_number_is_what_it_reads_as(
    value: float, cuts: list[Decimal], column: InputColumn, beside: float, near: bool
) -> None:
    if near and cuts:
        value = (float(cuts[0]) + beside) * column.units
    assert value_words(value or 0, column, cuts=cuts) == words_slowly(value or 0, column, cuts)


def rule_of(*cases: Data, **parts: Any) -> Any:
    return ruleset(rule("asks", *cases, **parts)).rules[0]


def test_cuts_are_the_numbers_that_each_input_is_compared_with() -> None:
    made = rule_of(
        case({"at_least": 10, "below": 20.5}),
        case({"any": [{"between": [1, 2]}, {"field": "n0", "in": [3, 4]}, {"field": "kind", "equals": "person"}]}),
        case({"not": {"field": "n0", "above": 5}}),
        input={"field": "income"},
    )
    assert numbers_compared(made) == {
        '{"field":"income"}': (Decimal(10), Decimal("20.5"), Decimal(1), Decimal(2)),
        '{"field":"n0"}': (Decimal(3), Decimal(4), Decimal(5)),
    }


def test_each_input_is_seen_once_in_its_own_currency() -> None:
    sums: list[Data] = [{"sum": "amount"}, {"sum": "amount", "in_currency": "USD"}]
    made = rule_of(case({"all": [{**one, "above": 5} for one in sums]}), case({**sums[0], "above": 7}))
    keys = [input_key(part) for part in inputs_of_rule(made)]
    names = Vocabulary(entity={}, transaction=TRANSACTION_FIELDS, case={})
    own, foreign = describe_inputs(inputs_of_rule(made), names, "EUR", numbers_compared(made))
    assert own.words({own.key: 499}) == "sum of amount is 4.99 EUR"
    assert own.words({own.key: 699.99999}) == "sum of amount is 6.9999999000 EUR"
    assert foreign.words({foreign.key: 699.99999}) == "sum of amount in USD is 7.00 USD"
    assert foreign.words({foreign.key: None, foreign.error: "inf"}) == "sum of amount in USD cannot be read: inf"
    assert (own.key, own.error) == (keys[0], f"{keys[0]}!")


def test_a_ratio_is_seen_with_both_sides_as_finely_as_they_come_to_it() -> None:
    ratio: Data = {"ratio": [{"sum": "amount"}, {"field": "n0"}]}
    made = rule_of(case({"at_least": 1}), input=ratio)
    names = Vocabulary(entity={"n0": "number"}, transaction=TRANSACTION_FIELDS, case={})
    (described,) = describe_inputs(inputs_of_rule(made), names, "EUR", numbers_compared(made))
    over, under, key = described.keys
    assert described.words({over: 3820000, under: 39232.02, key: 0.973694446526}) == (
        "sum of amount 38,200.00 EUR ÷ n0 39,232.02 = 0.973694"
    )
    fine = described.words({over: 1234500, under: 0.1234567, key: 12345 / 0.1234567})
    assert fine == "sum of amount 12,345.00 EUR ÷ n0 0.1234567 = 99,994.57"
    told = "sum of amount over n0 is unknown, as {}: sum of amount 5.00 EUR ÷ n0 {}"
    assert described.words({over: 500, under: 0.0, key: None}) == told.format("n0 is 0", "0")
    assert described.words({over: 500, under: None, key: None}) == told.format("n0 is unknown", "unknown")
    assert described.words({key: 2.0}) == "sum of amount over n0 is 2", "it was given without its sides"


def seen_of(rule_input: Data, row: dict[str, Any], **parts: Any) -> str:
    """Describe an input of one entity, by the columns that are there."""
    made = ruleset(rule("one", case({"at_least": 1}, 1), input=rule_input), **parts)
    (described,) = describe_inputs([made.rules[0].input], AnalysedRuleset(made).names, "EUR")
    return described.words({**dict.fromkeys(described.keys), **row})


def test_a_deviation_that_is_unknown_names_the_field_that_declares() -> None:
    volume = {"pattern": "volume-deviation", "expected_monthly": "income", "factor": 2, "over": "90 days"}
    purpose = {"pattern": "purpose-deviation", "transaction_field": "use", "declared": "products", "share": "50%"}
    fields = {"transaction_fields": {"use": "text"}}
    assert seen_of(volume, {}) == "volume deviation is unknown, as income is unknown or not above 0"
    assert seen_of({**purpose, "over": "90 days"}, {}, **fields) == (
        "purpose deviation is unknown, as products is unknown or empty"
    )
    assert seen_of(volume, {input_key(any_input(volume)): 3.0}) == "volume deviation is 3"


def test_a_value_that_is_unknown_says_where_the_reason_is() -> None:
    assert seen_of({"value": "score"}, {}) == "value score is unknown (the value itself says why)"


def test_money_of_the_value_in_another_currency_names_both() -> None:
    key = input_key(any_input({"value": "expected_value"}))
    assert seen_of({"value": "expected_value"}, {lacking_of(key): "USD"}) == (
        "value expected value is unknown, as the value model gives it in USD, and rules read money in EUR"
    )


def test_among_peers_a_calculation_that_is_unknown_says_why_as_by_itself() -> None:
    """Columns of its parts that an assessment does not have leave the words as they were."""
    parts = {"calculate": {"c1": {"multiply": [{"field": "income"}, 2], "unit": "ratio"}}, "reference": "crowd"}
    placed = {"peer_percentile": {"of": {"calculation": "c1"}, "among": "everyone"}}
    rule_input = any_input(placed)
    facts = {input_key(PeerFact(peer_fact="as_of", peers=rule_input.peer_percentile)): 0}
    short = "percentile of c1 among peers is unknown, as c1 is unknown"
    assert seen_of(placed, facts, **parts) == short
    parts_known = {**facts, input_key(any_input({"field": "income"})): None}
    assert seen_of(placed, parts_known, **parts) == f"{short}, as income is unknown"


def test_among_peers_a_calculation_shows_its_formula_with_its_numbers() -> None:
    calculated = {"subtract": [{"max": "amount", "over": "30 days"}, {"median": "amount", "over": "30 days"}]}
    parts = {"calculate": {"largest_less_median": {**calculated, "unit": "money"}}, "reference": "crowd"}
    placed = {"peer_percentile": {"of": {"calculation": "largest_less_median"}, "among": "everyone"}}
    peers = any_input(placed).peer_percentile
    known = {
        input_key(any_input(placed)): 92.5,
        input_key(any_input({"calculation": "largest_less_median"})): 346936.0,
        input_key(PeerFact(peer_fact="as_of", peers=peers)): 0,
        input_key(PeerFact(peer_fact="count", peers=peers)): 600,
    }
    whom = "higher than 92.5 % of 600 peers (reference 1970-01-01)"
    named = "percentile of largest less median among peers is 92.5"
    assert seen_of(placed, known, **parts) == f"{named}: 3,469.36 EUR, {whom}", "its parts were not kept"
    kept = dict(zip(map(input_key, map(any_input, calculated["subtract"])), (350000.0, 3064.0), strict=True))
    largest, middle = "greatest amount in 30 days 3,500.00 EUR", "median of amount in 30 days 30.64 EUR"
    assert seen_of(placed, {**known, **kept}, **parts) == f"{named}: {largest} − {middle} = 3,469.36 EUR, {whom}"
