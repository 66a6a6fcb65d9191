"""Calculations drawn at random, of units that fit: every operation, over fields, aggregates and each other."""

from decimal import Decimal
from functools import cache
from typing import Any

from hypothesis import strategies as st

Data = dict[str, Any]
Draw = Any

NAMES = {"spent": "money", "share": "ratio", "often": "count", "waited": "days", "again": "ratio"}
"""The calculations of a drawn ruleset: each may be made of those before it."""
CALCULATED = [(name, "money" if unit == "money" else "number") for name, unit in NAMES.items()]

_OVERS = st.sampled_from([{}, {"over": "30 days"}, {"over": "1 year"}, {"over": "24 hours"}])
_WHERES = st.sampled_from([{}, {"where": {"field": "direction", "equals": "deposit"}}])
_WINDOWS = st.tuples(_OVERS, _WHERES).map(lambda pair: {**pair[0], **pair[1]})
_WHOLE = st.sampled_from([-5, 0, 1, 2, 100])
_NUMBERS = st.sampled_from([-5, 0, Decimal("0.1"), Decimal("0.3"), 1, 2, 3, 10, Decimal("29.99"), 100])


def _of(*inputs: Data) -> st.SearchStrategy[Data]:
    return st.tuples(st.sampled_from(inputs), _WINDOWS).map(lambda pair: {**pair[0], **pair[1]})


_INCOME = {"field": "income"}
_SHARES = [{"share": "amount", "where": {"field": "direction", "equals": "deposit"}, "over": "30 days"}]
_AMOUNTS: list[Data] = [{word: "amount"} for word in ("sum", "mean", "min", "median")]
_LEAVES: dict[str, st.SearchStrategy[Data]] = {
    "money": _of(*_AMOUNTS, {"sum": "signed_amount"}) | st.just({**_INCOME, "as": "money"}),
    "count": _of({"count": "transactions"}, {"distinct": "operation"}) | st.just({**_INCOME, "as": "count"}),
    "days": _of({"days_since": "transactions"})
    | st.sampled_from([{"days_since": "opened_on"}, {**_INCOME, "as": "days"}]),
    "ratio": st.sampled_from([_INCOME, {"indicator": "account_age"}, {"value": "score"}, *_SHARES]),
}


@cache
def operand(unit: str, known: int, depth: int) -> st.SearchStrategy[Any]:
    """Draw a part of a calculation of a unit, made of the first *known* calculations and of others so deep."""
    names = [name for name in list(NAMES)[:known] if NAMES[name] == unit]
    leaf = _LEAVES[unit]
    if names:
        leaf |= st.sampled_from([{"calculation": name} for name in names])
    return leaf if not depth else leaf | operation(unit, known, depth)


@cache
def operation(unit: str, known: int, depth: int) -> st.SearchStrategy[Any]:
    """Draw an operation that comes to a unit."""

    def of(part: str) -> st.SearchStrategy[Any]:
        return operand(part, known, depth - 1)

    def listed(word: str, *parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        return st.tuples(*parts).map(lambda drawn: {word: list(drawn)})

    own, other = of(unit), of(unit) | _NUMBERS
    forms = [listed(word, own, other) for word in ("add", "subtract", "least_of", "greatest_of")]
    forms += [listed("add", _NUMBERS, own, own)]
    forms += [listed("multiply", own, of("count") | _WHOLE if unit == "count" else of("ratio") | _NUMBERS)]
    forms += [own.map(lambda drawn: {"absolute": drawn})]
    forms += [st.tuples(own, st.integers(0, 3)).map(lambda pair: {"round": pair[0], "decimals": pair[1]})]
    forms += [st.tuples(own, _ENDS).map(lambda pair: {"clamp": pair[0], **pair[1]})]
    if unit != "count":  # half a count is none
        forms += [listed("divide", own, of("ratio") | _NUMBERS.filter(bool))]
    if unit == "ratio":
        forms += [listed("multiply", of("count"), own), listed("divide", of("count"), own)]
        forms += [listed("divide", of(each), of(each)) for each in _LEAVES]
    if unit in {"money", "days"}:
        forms += [listed("divide", own, of("count")), listed("multiply", of("count"), own)]
    return st.one_of(forms)


_ENDS = st.sampled_from([{"from": 0}, {"to": Decimal("29.99")}, {"from": Decimal("0.1"), "to": 10}])


@st.composite
def calculations(draw: Draw) -> Data:
    """Draw one calculation for each of `NAMES`."""
    drawn = {}
    for known, (name, unit) in enumerate(NAMES.items()):
        formula = draw(operation(unit, known, 2) | operand(unit, known, 0).map(lambda part: {"of": part}))
        drawn[name] = {"unit": unit, **formula}
    return drawn
