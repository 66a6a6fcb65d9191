"""Facts of which something cannot be read: they spoil what they may count for, and nothing else."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.facts.aggregates import aggregate
from fivefold.risk.facts.portfolio import ENTITY, error_of
from fivefold.risk.facts.records import prepare_records, prepare_screenings, prepare_tags
from fivefold.risk.facts.transactions import prepare
from fivefold.risk.language.expressions import input_key
from fivefold.risk.language.reading import read_ruleset
from tests.depth import examples
from tests.risk.engine.drawn.rulesets import wheres
from tests.risk.facts.aggregates.test_aggregates import FORMS, RATES, entities_of, moment, spoilt
from tests.risk.facts.moments.test_moments import announced, portfolio_of, ruleset_of

Data = dict[str, Any]

_LARGE = {"field": "amount", "at_least": 1000}
_LARGE_OF_FIVE = {"all": [_LARGE, {"field": "size", "above": 5}]}
_UNREAD = [{"transaction_currency": ("EUR", "AED")}, {"transaction_amount": ("1", "many")}]
_LEFT_OUT: list[tuple[Data, Data]] = [
    ({"transaction_state": ("COMPLETED", "FAILED")}, _LARGE),
    ({"transaction_state": ("COMPLETED", "pending")}, _LARGE),
    ({"size": ("1", "2")}, _LARGE_OF_FIVE),
]


@pytest.mark.parametrize("bad", _UNREAD)
@pytest.mark.parametrize(("more", "where"), _LEFT_OUT)
@pytest.mark.parametrize(
    "made",
    [
        {"count": "transactions"},
        {"distinct": "size"},
        {"new": "size", "over": "30 days"},
        {"sum": "amount"},
        {"median": "amount"},
        {"days_since": "transactions"},
    ],
)
def test_an_amount_that_cannot_be_read_and_makes_no_difference_spoils_nothing(
    made: Data, more: Data, where: Data, bad: Data
) -> None:
    _, errors = spoilt({**made, "where": where}, **more, **bad)
    assert errors == [None, None]


@pytest.mark.parametrize("bad", _UNREAD)
@pytest.mark.parametrize("more", [more for more, where in _LEFT_OUT if where is _LARGE])
@pytest.mark.parametrize("share", ["transactions", "amount"])
def test_a_share_is_not_spoilt_by_what_is_not_settled(share: str, more: Data, bad: Data) -> None:
    assert spoilt({"share": share, "where": _LARGE}, **more, **bad) == ([0.0, 0.0], [None, None])


@pytest.mark.parametrize("bad", _UNREAD)
@pytest.mark.parametrize("more", [{}, {"size": ("1", "9")}, {"size": ("1", None)}])
def test_an_amount_that_cannot_be_read_and_may_make_a_difference_spoils_the_value(more: Data, bad: Data) -> None:
    values, errors = spoilt({"count": "transactions", "where": {"any": [_LARGE, _LARGE_OF_FIVE]}}, **more, **bad)
    assert values == [0, None]
    assert errors[1] is not None


MONTH = {"over": "30 days"}
CLEARED = {"field": "outcome", "equals": "cleared"}
SIZED = {"field": "size", "at_least": 1}


@pytest.mark.parametrize(
    ("changed", "made", "value"),
    [
        ({"size": "many"}, {"count": "cases", **MONTH}, 1),
        ({"size": "many"}, {"count": "cases", **MONTH, "where": SIZED}, None),
        ({"size": "many"}, {"count": "cases", "over": "9 days", "where": SIZED}, 0),
        ({"size": "many"}, {"count": "cases", "where": {"all": [CLEARED, SIZED]}}, 0),
        ({"size": "many", "closed": "2024-07-03"}, {"count": "cases", **MONTH, "where": SIZED}, 0),
        ({"size": "many", "closed": "2024-07-03"}, {"count": "cases", "where": SIZED}, None),
        ({"closed": "soon"}, {"count": "cases", **MONTH}, None),
        ({"closed": "soon"}, {"days_since": "cases"}, None),
        ({"closed": "soon"}, {"count": "cases", "where": {"field": "size", "above": 5}}, 0),
        ({"closed": "soon", "opened": "2024-07-03"}, {"count": "cases", **MONTH}, 0),
        ({"closed": None}, {"count": "cases", **MONTH, "where": CLEARED}, None),  # its outcome is from some time since
    ],
)
@pytest.mark.parametrize("source", ["cases", "alerts"])
def test_a_case_that_cannot_be_read_spoils_the_windows_that_it_may_be_in(
    changed: Data, made: Data, value: float | None, source: str
) -> None:
    """It was opened two years ago, and closed as confirmed eleven days ago."""
    case = {ENTITY: "a", "opened": "2022-07-01", "closed": "2024-06-20", "outcome": "confirmed", "size": "1"}
    facts = prepare_records(pl.DataFrame([{**case, **changed}]), {"size": "number"}, source)
    form = FORMS.validate_python({word: source if of == "cases" else of for word, of in made.items()})
    found, key = aggregate(entities_of([("a", moment(2024, 7, 1))]), {source: facts}, [form], {}), input_key(form)
    assert found[key].item() == value
    assert (error_of(key) in found.columns and found[error_of(key)].item() is not None) == (value is None)


@pytest.mark.parametrize("made", [{"count": "tags"}, {"days_since": "tags"}, {"days_since": "screenings"}])
def test_a_mark_whose_moment_cannot_be_read_spoils_every_window(made: Data) -> None:
    tags = prepare_tags(pl.DataFrame({ENTITY: ["a"], "tag": ["watch"], "from": ["soon"]}))
    screenings = prepare_screenings(
        pl.DataFrame({ENTITY: ["a"], "screening": ["pep"], "found": [True], "at": ["soon"]})
    )
    form, entities = FORMS.validate_python({**made, **MONTH}), entities_of([("a", moment(2024, 7, 1))])
    found = aggregate(entities, {"tags": tags, "screenings": screenings}, [form], {})
    assert found[input_key(form)].item() is None
    assert "soon" in found[error_of(input_key(form))].item()


def test_what_a_case_spoils_is_looked_at_again_when_the_case_leaves_the_window() -> None:
    asked = {"count": "cases", **MONTH, "where": SIZED}
    written = json.loads(ruleset_of(asked, [1.0]).ruleset.canonical) | {"case_fields": {"size": "number"}}
    cases = pl.DataFrame({ENTITY: ["e"], "opened": ["2022-07-01"], "closed": ["2024-03-20"], "size": ["many"]})
    portfolio = replace(portfolio_of([], {"income": None, "words": None, "opened": None}), cases=cases)
    assert announced(AnalysedRuleset(read_ruleset(json.dumps(written))), portfolio) == moment(2024, 4, 19)


_LISTS = {"watched": ("NO", "cash"), "small": ("DE",)}


def alone(written: Data, facts: Sequence[Mapping[str, str | None]]) -> list[tuple[Any, bool]]:
    """Compute an aggregate over each transaction by itself; and tell whether that spoils it."""
    rows = [{"user_id": str(number), "transaction_date": "2024-06-01", **fact} for number, fact in enumerate(facts)]
    frame = pl.DataFrame(rows, schema=dict.fromkeys(rows[0], pl.String))
    form, sources = FORMS.validate_python(written), {"transactions": prepare(frame, RATES, {"operation": "text"})}
    entities = entities_of([(row["user_id"], moment(2024, 7, 1)) for row in rows])
    made, error = aggregate(entities, sources, [form], _LISTS), error_of(input_key(form))
    errors = made[error].to_list() if error in made.columns else [None] * len(rows)
    return list(zip(made[input_key(form)].to_list(), [each is not None for each in errors], strict=True))


@settings(max_examples=examples(300), deadline=None)
@given(
    st.sampled_from([{"count": "transactions"}, {"sum": "amount"}, {"distinct": "operation"}, {"share": "amount"}]),
    wheres,
    st.sampled_from([None, "SUCCEEDED", "PENDING", "FAILED"]),
    st.sampled_from([None, "cash", "x"]),
    st.sampled_from([-20, 3, 10]),
)
def test_an_amount_that_cannot_be_read_spoils_what_it_may_change_and_nothing_that_is_not_settled(
    made: Data, where: Data, state: str | None, operation: str | None, amount: int
) -> None:
    """What it may be is tried: any amount where it is none, and any rate where there is none."""
    common = {"transaction_state": state, "operation": operation}
    many, aed = (-amount, 0, amount, 1000 * amount), (amount / 100, amount, 1000 * amount)
    paid = [("many", "EUR"), (amount, "AED"), *((number, "EUR") for number in (*many, *aed))]
    facts = [{**common, "transaction_amount": str(size), "transaction_currency": code} for size, code in paid]
    of_many, of_aed, *values = alone({**made, "where": where}, facts)
    for (value, is_spoilt), readable in ((of_many, values[: len(many)]), (of_aed, values[len(many) :])):
        assert value is None or not is_spoilt
        assert is_spoilt or len(set(readable)) == 1
        if state in {"PENDING", "FAILED"} and "'state'" not in str(where):
            assert not is_spoilt
