"""Aggregates against a slow, obvious reference: windows, conditions, states, currencies, many moments at once."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from math import isclose, nan
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from fivefold.domain.clock import DAY_US, to_microseconds
from fivefold.domain.errors import InvalidRulesetError
from fivefold.domain.money import Rate, RateTable
from fivefold.risk.facts import aggregates
from fivefold.risk.facts.aggregates import aggregate
from fivefold.risk.facts.linked import LinkedFacts
from fivefold.risk.facts.portfolio import AS_OF, ENTITY, error_of, signal_of
from fivefold.risk.facts.records import prepare_records
from fivefold.risk.facts.single.aggregates import PLAIN_FORMS, plain_aggregate
from fivefold.risk.facts.single.facts import of_columns
from fivefold.risk.facts.transactions import prepare
from fivefold.risk.language.expressions import Condition, Input, Window, input_key
from tests.depth import examples
from tests.risk.conftest import Refusal
from tests.risk.facts.aggregates.slow import WORDS, Wanted, before, read_transaction, slow

FORMS: TypeAdapter[Window] = TypeAdapter(Input)
assert Condition is not None  # the forms know what a condition is once its module is imported
DAY = date(2024, 7, 1)
RATES = RateTable("EUR", DAY, {"USD": Rate(0.93, DAY), "JPY": Rate(0.0058, DAY)}, "test")
DECLARED = {"word": "text", "size": "number", "sure": "flag", "on": "date", "words": ("text",)}


def moment(*parts: int) -> int:
    return to_microseconds(datetime(*parts, tzinfo=UTC))  # type: ignore[arg-type,misc]  # the parts of a date in order


MOMENTS = (moment(2024, 8, 31), moment(2024, 2, 29, 12), moment(2023, 3, 1), moment(2024, 12, 31, 23, 59, 59))
OVERS = ("1 day", "24 hours", "30 days", "1 month", "6 months", "1 year")
EDGES = sorted(
    {
        edge + shift
        for as_of in MOMENTS
        for edge in (as_of, *(before(as_of, over) for over in OVERS), before(before(as_of, "30 days"), "1 month"))
        for shift in (-1, 0, 1)
    }
)


def known(test: Any, *values: Any) -> bool | None:
    return None if any(value is None for value in values) else bool(test(*values))


def kleene_all(*parts: bool | None) -> bool | None:
    return False if False in parts else None if None in parts else True


def kleene_any(*parts: bool | None) -> bool | None:
    return True if True in parts else None if None in parts else False


def negation(part: bool | None) -> bool | None:
    return None if part is None else not part


CONDITIONS: Sequence[tuple[Mapping[str, Any], Any]] = (
    (
        {"field": "direction", "equals": "withdrawal"},
        lambda fact: known(lambda word: word == "withdrawal", fact["direction"]),
    ),
    ({"field": "word", "not_equals": "cash"}, lambda fact: known(lambda word: word != "cash", fact["word"])),
    (
        {"not": {"field": "word", "in": ["cash", "card"]}},
        lambda fact: known(lambda word: word not in {"cash", "card"}, fact["word"]),
    ),
    ({"field": "amount", "at_least": 0.93}, lambda fact: fact["amount"] >= 93),
    ({"field": "signed_amount", "below": 0.005}, lambda fact: fact["signed_amount"] < 0.5),
    ({"field": "sure", "equals": True}, lambda fact: fact["sure"]),
    ({"field": "state", "equals": "failed"}, lambda fact: fact["state"] == "failed"),
    ({"field": "state", "is": "present"}, lambda _: True),
    ({"field": "on", "above": "2024-01-01"}, lambda fact: known(lambda on: on > moment(2024, 1, 1), fact["on"])),
    ({"field": "words", "contains": "a"}, lambda fact: known(lambda words: "a" in words, fact["words"])),
    ({"field": "word", "in_list": "listed"}, lambda fact: known(lambda word: word == "cash", fact["word"])),
    (
        {"all": [{"field": "sure", "equals": False}, {"field": "size", "above": 0.2}]},
        lambda fact: kleene_all(negation(fact["sure"]), known(lambda size: size > 0.2, fact["size"])),
    ),
    (
        {"any": [{"field": "sure", "equals": True}, {"not": {"field": "size", "above": 0.2}}]},
        lambda fact: kleene_any(fact["sure"], known(lambda size: size <= 0.2, fact["size"])),
    ),
)
LISTS = {"listed": ("cash",)}

sizes = st.sampled_from([None, 0.1, 0.2, 0.3, 1.0, -2.5, nan])
transactions = st.lists(
    st.fixed_dictionaries(
        {
            "user_id": st.sampled_from(["a", "b", "c", "nobody"]),
            "transaction_amount": st.sampled_from([0.0, 0.1, 0.2, 0.29, -0.3, -1000.0, 12.5]) | st.floats(-1e6, 1e6),
            "transaction_currency": st.sampled_from(RATES.codes),
            "time": st.sampled_from(EDGES) | st.integers(EDGES[0], EDGES[-1]),
            "transaction_state": st.sampled_from(["SUCCEEDED", None, "PENDING", "FAILED"]),
            "word": st.sampled_from([None, "cash", "card", "wire"]),
            "size": sizes,
            "sure": st.sampled_from([None, True, False]),
            "on": st.sampled_from([None, moment(2024, 1, 1), moment(2024, 1, 1) + 1]),
            "words": st.sampled_from([None, [], ["a", "b"], ["c"]]),
        }
    ),
    max_size=40,
)
SCHEMA = {
    "user_id": pl.String,
    "transaction_amount": pl.Float64,
    "transaction_currency": pl.String,
    "time": pl.Int64,
    "transaction_state": pl.String,
    "word": pl.String,
    "size": pl.Float64,
    "sure": pl.Boolean,
    "on": pl.Int64,
    "words": pl.List(pl.String),
}


@st.composite
def wanted(draw: st.DrawFn) -> Wanted:
    word = draw(st.sampled_from(WORDS))
    fields = {"count": ["transactions"], "days_since": ["transactions"], "share": ["amount", "transactions", "size"]}
    fields["distinct"] = fields["new"] = ["word", "amount", "currency", "sure", "on", "size", "transaction_id"]
    field = draw(st.sampled_from(fields.get(word, ["amount", "signed_amount", "size"])))
    written: dict[str, Any] = {word: field, **({"n": draw(st.integers(1, 3))} if word == "largest" else {})}
    if word == "percentile":
        written = {word: draw(st.sampled_from([0.5, 25, 50, 66.67, 95, 100])), "of": field}
    over = draw((st.nothing() if word == "new" else st.none()) | st.sampled_from(OVERS))
    if draw(st.integers(0, 2)) == 0:
        written["ending"] = f"{draw(st.sampled_from(OVERS))} ago"
    currency = draw(st.none() | st.sampled_from(["USD", "JPY", "EUR"]))
    condition = draw((st.nothing() if word == "share" else st.none()) | st.sampled_from(CONDITIONS))
    if over is not None:
        written["over"] = over
    if currency is not None and (condition is None or "amount" not in repr(condition[0])):
        written["in_currency"] = currency
    if condition is None:
        return Wanted(written)
    return Wanted({**written, "where": condition[0]}, condition[1])


asked = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c", "silent"]), st.sampled_from(MOMENTS)), max_size=6, unique=True
)


def facts_of(rows: Sequence[Mapping[str, Any]]) -> LinkedFacts:
    frame = pl.DataFrame(rows, schema=SCHEMA, orient="row")
    dated = frame.with_columns(
        transaction_date=pl.col("time").cast(pl.Datetime("us")), on=pl.col("on").cast(pl.Datetime("us"))
    )
    return prepare(dated.drop("time"), RATES, DECLARED)


def entities_of(rows: Sequence[tuple[str, int]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={ENTITY: pl.String, AS_OF: pl.Int64}, orient="row")


def same(found: Any, expected: Any) -> bool:
    if isinstance(expected, float) and isinstance(found, float):
        return isclose(found, expected, rel_tol=1e-15, abs_tol=0)
    return bool(found == expected)


def check(rows: Sequence[Mapping[str, Any]], entities: Sequence[tuple[str, int]], wants: Sequence[Wanted]) -> None:
    aggregates = [FORMS.validate_python(want.written) for want in wants]
    keys = {input_key(made) for made in aggregates}
    made = aggregate(entities_of(entities), {"transactions": facts_of(rows)}, aggregates, LISTS, keys)
    facts = [{**read_transaction(row, RATES), "transaction_id": None} for row in rows]
    facts = [{**fact, "size": None if fact["size"] != fact["size"] else fact["size"]} for fact in facts]
    assert made[ENTITY].to_list() == [entity for entity, _ in entities]
    for want, form in zip(wants, aggregates, strict=True):
        expected = [slow(facts, want, *one) for one in entities]
        values, latest = made[input_key(form)].to_list(), made[signal_of(input_key(form))].to_list()
        assert all(map(same, values, [value for value, _ in expected])), (want.written, values, expected)
        assert latest == [moment for _, moment in expected], want.written
        assert error_of(input_key(form)) not in made.columns
        if type(form) in PLAIN_FORMS:  # others are asked of the columns
            plain = plain_aggregate(form, facts_of(rows), LISTS)
            alone = [plain(of_columns(facts_of(rows), *one)) for one in entities]
            assert alone == list(zip(values, latest, strict=True)), want.written


@settings(max_examples=examples(75), deadline=None)
@given(transactions, asked, st.lists(wanted(), min_size=1, max_size=6))
def test_equal_to_the_slow_reference(rows: Any, entities: Any, wants: Any) -> None:
    check(rows, entities, wants)


@settings(max_examples=examples(60), deadline=None)
@given(transactions, st.sampled_from(MOMENTS), st.lists(wanted(), min_size=1, max_size=4))
def test_one_moment_for_all_takes_a_shorter_way_to_the_same(rows: Any, as_of: int, wants: Any) -> None:
    entities = [("c", as_of), ("silent", as_of), ("a", as_of)]
    check(rows, entities, wants)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(aggregates, "FEW_ENTITIES", 0)
        check(rows, entities, wants)


def row(**given_values: Any) -> dict[str, Any]:
    return {
        **dict.fromkeys(SCHEMA),
        "user_id": "a",
        "transaction_amount": 1.0,
        "transaction_currency": "EUR",
        "time": MOMENTS[0],
        **given_values,
    }


def one(rows: Sequence[Mapping[str, Any]], written: Mapping[str, Any], as_of: int = MOMENTS[0]) -> Any:
    form = FORMS.validate_python(written)
    return aggregate(entities_of([("a", as_of)]), {"transactions": facts_of(rows)}, [form], {})[input_key(form)].item()


@pytest.mark.parametrize(
    ("as_of", "over", "opening"),
    [
        (moment(2024, 8, 31), "6 months", moment(2024, 2, 29)),
        (moment(2023, 8, 31), "6 months", moment(2023, 2, 28)),
        (moment(2024, 2, 29), "1 year", moment(2023, 2, 28)),
        (moment(2024, 3, 31, 1), "1 day", moment(2024, 3, 30, 1)),
        (moment(2024, 8, 31), "30 days", moment(2024, 8, 1)),
    ],
)
def test_the_window_opens_after_its_first_moment_and_closes_at_as_of(as_of: int, over: str, opening: int) -> None:
    forms = [
        FORMS.validate_python({"count": "transactions", "over": over}),
        FORMS.validate_python({"count": "transactions"}),
    ]
    for time, inside in {opening: (0, 1), opening + 1: (1, 1), as_of: (1, 1), as_of + 1: (0, 0)}.items():
        facts = {"transactions": facts_of([row(time=time)])}
        for entities in ([("a", as_of)], [("a", as_of), ("b", as_of - 1)]):
            made = aggregate(entities_of(entities), facts, forms, {})
            assert tuple(made[input_key(form)][0] for form in forms) == inside


def test_amounts_add_up_as_on_paper() -> None:
    rows = [row(transaction_amount=amount, size=amount) for amount in (0.1, 0.2)]
    assert one(rows, {"sum": "amount"}) == 30
    assert one(rows, {"sum": "size"}) == 0.3  # floats give 0.30000000000000004
    assert one(rows * 5, {"mean": "size"}) == 0.15
    assert one([row(size=size) for size in (9e14, 0.1, -9e14)], {"sum": "size"}) == 0.1  # floats give 0.125


def test_days_are_divided_exactly_for_one_entity_and_for_many() -> None:
    times = [MOMENTS[0] - 31_415_926_535 * number for number in range(1, 200)]
    rows = [row(user_id=str(number), time=time) for number, time in enumerate(times)]
    form = FORMS.validate_python({"days_since": "transactions"})
    facts = {"transactions": facts_of(rows)}
    expected = [(MOMENTS[0] - time) / DAY_US for time in times]
    entities = [(str(number), MOMENTS[0]) for number in range(len(times))]
    assert aggregate(entities_of(entities), facts, [form], {})[input_key(form)].to_list() == expected
    assert aggregate(entities_of(entities[6:7]), facts, [form], {})[input_key(form)].to_list() == expected[6:7]


def test_a_sum_that_does_not_fit_is_an_error_of_its_entity_alone() -> None:
    rows = [row(user_id=owner, transaction_amount=1e15) for owner in ["a"] * 92 + ["b"] * 93]
    form = FORMS.validate_python({"sum": "amount"})
    mean = FORMS.validate_python({"mean": "amount"})
    entities = entities_of([("a", MOMENTS[0]), ("b", MOMENTS[0])])
    made = aggregate(entities, {"transactions": facts_of(rows)}, [form, mean], {})
    assert made[input_key(form)].to_list() == [92 * 10**17, None]
    assert made[error_of(input_key(form))].to_list() == [
        None,
        "the sum is 9300000000000000000 minor units, more than can be kept",
    ]
    assert made[input_key(mean)].to_list() == [1e17, 1e17]


def test_columns_are_of_the_types_that_conditions_expect() -> None:
    wants = {
        "count": "transactions",
        "sum": "amount",
        "mean": "amount",
        "min": "amount",
        "max": "size",
        "distinct": "word",
    }
    forms = [
        FORMS.validate_python(dict([pair]))
        for pair in (*wants.items(), ("days_since", "transactions"), ("sum", "size"))
    ]
    made = aggregate(entities_of([("a", 0)]), {"transactions": facts_of([])}, forms, {})
    assert [made.schema[input_key(form)] for form in forms] == [
        pl.Float64, pl.Int64, pl.Float64, pl.Int64, pl.Float64, pl.Float64, pl.Float64, pl.Float64,
    ]  # fmt: skip
    assert [made[input_key(form)].item() for form in forms] == [0, 0, None, None, None, 0, None, 0]


def test_without_entities_there_are_no_rows() -> None:
    form = FORMS.validate_python({"sum": "amount", "over": "30 days"})
    made = aggregate(entities_of([]), {"transactions": facts_of([row()])}, [form], {})
    assert made.schema == {ENTITY: pl.String, input_key(form): pl.Int64}
    assert made.is_empty()


def test_a_source_that_was_not_given_refuses_everything(refusal: Refusal) -> None:
    form = FORMS.validate_python({"count": "cases"})
    with refusal(InvalidRulesetError):
        aggregate(entities_of([("a", 0)]), {"transactions": facts_of([])}, [form], {})


def spoilt(written: Mapping[str, Any], **bad: Any) -> tuple[list[Any], list[Any]]:
    """Compute for two entities of which the second has one transaction that cannot be read."""
    frame = pl.DataFrame(
        {
            "user_id": ["good", "bad", "bad"],
            "transaction_amount": ["1", "1", "1"],
            "transaction_currency": ["EUR"] * 3,
            "transaction_date": ["2024-06-01"] * 3,
            "size": ["1", "1", "1"],
            **{name: [good, good, value] for name, (good, value) in bad.items()},
        }
    )
    facts = prepare(frame, RATES, {"size": "number"})
    form = FORMS.validate_python(written)
    entities = entities_of([("good", moment(2024, 7, 1)), ("bad", moment(2024, 7, 1))])
    made = aggregate(entities, {"transactions": facts}, [form], {})
    errors = made[error_of(input_key(form))].to_list() if error_of(input_key(form)) in made.columns else [None, None]
    return made[input_key(form)].to_list(), errors


def test_a_transaction_that_cannot_be_read_spoils_the_value_of_its_entity() -> None:
    values, errors = spoilt({"count": "transactions"}, transaction_amount=("1", "many"))
    assert values == [1, None]
    assert errors[0] is None
    assert errors[1].startswith("transaction_amount is many; allowed: ")


def test_a_declared_field_spoils_only_what_reads_it() -> None:
    size = ("1", "many")
    assert spoilt({"count": "transactions"}, size=size) == ([1, 2], [None, None])
    assert spoilt({"sum": "size"}, size=size) == ([1, None], [None, "size is many"])
    assert spoilt({"count": "transactions", "where": {"field": "size", "above": 0}}, size=size)[0] == [1, None]


def test_what_lies_outside_the_window_spoils_nothing() -> None:
    bad = {"transaction_amount": ("1", "many")}
    for when in ("2024-05-01", "2024-07-02"):
        values, errors = spoilt(
            {"count": "transactions", "over": "1 month"}, **bad, transaction_date=("2024-06-15", when)
        )
        assert (values, errors) == ([1, 1], [None, None])
    values, errors = spoilt({"count": "transactions"}, **bad, transaction_date=("2024-06-15", "2024-07-02"))
    assert (values, errors) == ([1, 1], [None, None])
    values, _ = spoilt({"count": "transactions", "over": "1 month"}, transaction_date=("2024-06-15", "one day"))
    assert values == [1, None]


CASES = pl.DataFrame(
    {
        ENTITY: ["a", "a", "b"],
        "opened": [date(2024, 1, 1), date(2024, 3, 1), date(2024, 3, 1)],
        "closed": [date(2024, 2, 1), None, date(2024, 6, 1)],
        "outcome": ["confirmed", None, "confirmed"],
    }
)


@pytest.mark.parametrize(
    ("as_of", "confirmed", "open_cases", "days"),
    [
        (moment(2024, 1, 31, 23, 59, 59), [0, 0], [1, 0], [31 - 1 / 86_400, None]),
        (moment(2024, 2, 1), [1, 0], [0, 0], [0.0, None]),
        (moment(2024, 3, 1), [1, 0], [1, 1], [0.0, 0.0]),
        (moment(2024, 6, 1), [1, 1], [1, 0], [92.0, 0.0]),
    ],
)
def test_cases_count_as_they_were_known_then(as_of: int, confirmed: Any, open_cases: Any, days: Any) -> None:
    forms = [
        FORMS.validate_python(
            {"count": "cases", "where": {"field": "outcome", "equals": "confirmed"}, "over": "730 days"}
        ),
        FORMS.validate_python({"count": "cases", "where": {"field": "status", "equals": "open"}}),
        FORMS.validate_python({"days_since": "cases"}),
    ]
    made = aggregate(
        entities_of([("a", as_of), ("b", as_of)]), {"cases": prepare_records(CASES, {}, "cases")}, forms, {}
    )
    assert [made[input_key(form)].to_list() for form in forms] == [confirmed, open_cases, days]


def test_a_confirmation_counts_from_its_own_day_however_long_the_case_was_open() -> None:
    form = FORMS.validate_python(
        {"count": "cases", "where": {"field": "outcome", "equals": "confirmed"}, "over": "30 days"}
    )
    entities = entities_of([("b", moment(2024, 6, 30, 23)), ("b", moment(2024, 7, 1))])
    made = aggregate(entities, {"cases": prepare_records(CASES, {}, "cases")}, [form], {}, {input_key(form)})
    assert made[input_key(form)].to_list() == [1, 0]
    assert made[signal_of(input_key(form))].to_list() == [moment(2024, 6, 1), None]


def test_each_entity_sees_cases_as_of_its_own_moment() -> None:
    form = FORMS.validate_python({"count": "cases", "where": {"field": "outcome", "equals": "confirmed"}})
    entities = entities_of([("a", moment(2024, 1, 15)), ("a", moment(2024, 2, 15)), ("b", moment(2024, 7, 1))])
    made = aggregate(entities, {"cases": prepare_records(CASES, {}, "cases")}, [form], {})
    assert made[input_key(form)].to_list() == [0, 1, 1]


@pytest.mark.parametrize(
    ("written", "more", "spoils"),
    [
        ({"count": "transactions"}, {"transaction_state": ("COMPLETED", "FAILED")}, False),
        ({"count": "transactions"}, {"transaction_state": ("COMPLETED", "pending")}, False),
        ({"count": "transactions"}, {"transaction_state": ("COMPLETED", "perhaps")}, True),
        ({"count": "transactions", "where": {"field": "state", "equals": "failed"}}, {}, False),
        (
            {"count": "transactions", "where": {"field": "state", "equals": "failed"}},
            {"transaction_state": ("COMPLETED", "FAILED")},
            True,
        ),
        ({"count": "transactions", "where": {"field": "size", "above": 5}}, {"size": ("1", "2")}, False),
        ({"count": "transactions", "where": {"field": "size", "above": 5}}, {"size": ("1", "9")}, True),
        ({"count": "transactions", "where": {"field": "size", "above": 5}}, {"size": ("1", "many")}, True),
        ({"count": "transactions", "where": {"field": "size", "is": "absent"}}, {"size": ("1", "many")}, True),
        ({"count": "transactions", "where": {"field": "size", "is": "present"}}, {"size": ("1", "many")}, True),
        ({"sum": "amount", "in_currency": "USD"}, {}, False),
        ({"sum": "amount", "in_currency": "EUR"}, {}, True),
    ],
)
@pytest.mark.parametrize(
    "bad", [{"transaction_amount": ("1", "many")}, {"transaction_date": ("2024-06-01", "one day")}]
)
def test_a_transaction_that_is_known_not_to_count_spoils_nothing(
    written: Mapping[str, Any], more: Mapping[str, Any], spoils: bool, bad: Mapping[str, Any]
) -> None:
    values, errors = spoilt(written, **more, **bad)
    assert (values[1] is None) == spoils
    assert (errors[1] is not None) == spoils


def test_money_without_a_rate_is_unknown_and_its_transaction_counts() -> None:
    aed = {"transaction_currency": ("EUR", "AED")}
    assert spoilt({"count": "transactions"}, **aed) == ([1, 2], [None, None])
    assert spoilt({"sum": "amount", "in_currency": "AED"}, **aed) == ([0, 100], [None, None])
    assert spoilt({"sum": "amount", "in_currency": "EUR"}, **aed) == ([100, 100], [None, None])
    values, errors = spoilt({"sum": "amount"}, **aed)
    assert (values, errors) == (
        [100, None],
        [None, "transaction_currency is AED; allowed: a currency with a rate into EUR"],
    )
    assert spoilt({"sum": "size", "where": {"field": "amount", "above": 5}}, **aed)[0] == [0, None]
    assert spoilt({"sum": "amount"}, **aed, transaction_state=("COMPLETED", "FAILED")) == ([100, 100], [None, None])
