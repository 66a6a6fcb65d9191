"""Rulesets drawn at random: every input, operator and score, with numbers that data often hit exactly."""

import json
from decimal import Decimal
from functools import cache
from typing import Any

from hypothesis import strategies as st

from fivefold.risk.language.reading import read_ruleset
from fivefold.risk.language.ruleset import Ruleset
from tests.risk.engine.drawn.calculations import CALCULATED, calculations
from tests.risk.engine.reference.conditions import COMPARING, PEERS

Data = dict[str, Any]
Draw = Any

FIELDS: Data = {
    "country": "country",
    "kind": {"one_of": ["person", "company"]},
    "occupation": "text",
    "income": "number",
    "resident": "flag",
    "opened_on": "date",
    "products": ["text"],
}
LEVELS = ["low", "medium", "high", "critical"]
NUMBERS = [-5, 0, Decimal("0.1"), Decimal("0.3"), Decimal("0.5"), 1, 2, 3, 10, Decimal("29.99"), 90, 100, 10000]
COUNTRIES, WORDS = ["NO", "DE", "IR"], ["cash", "cash desk", "wire", "x"]
DATES = ["2024-01-31", "2024-03-01", "2024-06-30", "2024-06-30T12:00:00Z"]
KINDS = {
    "number": NUMBERS,
    "text": WORDS,
    "country": COUNTRIES,
    "kind": ["person", "company"],
    "date": DATES,
    "money": NUMBERS,
}
OVERS = ["24 hours", "1 day", "4 weeks", "30 days", "1 month", "90 days", "6 months", "1 year"]

points = st.one_of(st.integers(-20, 60), st.decimals(-10, 40, places=2))
factors = st.one_of(st.integers(1, 100), st.decimals(1, 100, places=2))


def optional(**parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Data]:
    return st.fixed_dictionaries({}, optional=parts)


@cache  # a strategy is built far slower than it is drawn from
def comparisons(kind: str) -> st.SearchStrategy[Any]:
    """Draw one or two comparisons for values of a kind."""
    state = st.fixed_dictionaries({"is": st.sampled_from(["present", "absent"])})
    if kind in {"mark", "finding"}:
        extra = {"equals": st.booleans()} if kind == "mark" else {"at_least": st.sampled_from([1, 2, 3])}
        return state | st.fixed_dictionaries(extra)
    if kind == "flag":
        return state | optional(equals=st.booleans(), not_equals=st.booleans()).filter(bool)
    if kind == "texts":
        some = st.lists(st.sampled_from(WORDS), min_size=1, max_size=2)
        lists = {word: st.sampled_from(["watched", "small"]) for word in ("in_list", "not_in_list")}
        return state | optional(contains=st.sampled_from(WORDS), contains_any=some, **lists).filter(bool)
    value = st.sampled_from(KINDS[kind])
    if kind in {"number", "date", "money", "place"}:
        ends = st.lists(st.integers(0, len(KINDS[kind]) - 1), min_size=2, max_size=2)
        ordered = dict.fromkeys(("equals", "not_equals", "above", "at_least", "below", "at_most"), value)
        ordered["between"] = ends.map(lambda two: [KINDS[kind][position] for position in sorted(two)])
        ordered["outside"] = ordered["between"]
        among = {"in": st.lists(value, min_size=1, max_size=3)} if kind == "number" else {}
        return state | optional(**ordered, **among).filter(bool).map(_one_or_two)
    several = st.lists(value, min_size=1, max_size=2)
    lists = {word: st.sampled_from(["watched", "small"]) for word in ("in_list", "not_in_list")}
    parts = dict.fromkeys(("starts_with", "ends_with", "contains"), st.sampled_from(["c", "cash", "O", "on"]))
    words = optional(equals=value, not_equals=value, **{"in": several}, not_in=several, **lists, **parts)
    return state | words.filter(bool).map(_one_or_two)


def _one_or_two(test: Data) -> Data:
    return dict(list(test.items())[:2])


def _compared_by(drawn: tuple[tuple[Data, Data], str]) -> Data:
    """Write a comparison of two inputs; text is only equal or not."""
    (first, second), operator = drawn
    return {**first, ("equals" if first == {"field": "country"} else operator): second}


wheres = st.recursive(
    st.one_of(
        st.fixed_dictionaries({"field": st.just("operation")}).flatmap(
            lambda made: comparisons("text").map(lambda test: {**made, **test})
        ),
        st.fixed_dictionaries({"field": st.just("direction"), "equals": st.sampled_from(["deposit", "withdrawal"])}),
        st.fixed_dictionaries({"field": st.just("state"), "equals": st.sampled_from(["settled", "pending"])}),
        st.fixed_dictionaries({"field": st.just("signed_amount"), "above": st.sampled_from(NUMBERS)}),
        st.fixed_dictionaries({"field": st.just("amount"), "at_least": st.sampled_from(NUMBERS)}),
        st.just({"field": "amount", "above": {"field": "signed_amount"}}),
        st.just({"field": "operation", "not_equals": {"field": "direction"}}),
    ),
    lambda below: st.one_of(
        st.fixed_dictionaries({"any": st.lists(below, min_size=1, max_size=2)}),
        st.fixed_dictionaries({"all": st.lists(below, min_size=1, max_size=2)}),
        st.fixed_dictionaries({"not": below}),
    ),
    max_leaves=2,
)
_PARTS = {"over": st.sampled_from(OVERS), "in_currency": st.sampled_from(["USD", "JPY"])}
_ENDINGS = st.sampled_from([f"{length} ago" for length in OVERS])
windows = st.one_of(optional(where=wheres, **_PARTS), optional(where=wheres, ending=_ENDINGS, **_PARTS))
_bounded = st.tuples(windows, _PARTS["over"]).map(lambda pair: {**pair[0], "over": pair[1]})
_divided = st.tuples(windows, wheres).map(lambda pair: {**pair[0], "where": pair[1]})
case_wheres = st.fixed_dictionaries({"field": st.just("outcome"), "equals": st.sampled_from(["confirmed", "cleared"])})
case_windows = optional(where=case_wheres, over=_PARTS["over"]) | optional(where=case_wheres, ending=_ENDINGS)
mark_windows = optional(over=_PARTS["over"], ending=_ENDINGS)
_WATCHED = {"where": {"field": "tag", "equals": "watch"}}
_FOUND = {"all": [{"field": "screening", "equals": "pep"}, {"field": "found", "equals": True}]}
_MARKS = st.sampled_from(
    [
        {"count": "tags"},
        {"count": "tags", **_WATCHED},
        {"days_since": "tags", **_WATCHED},
        {"count": "screenings"},
        {"count": "screenings", "where": _FOUND},
        {"count": "screenings", "where": {"field": "found", "is": "present"}},
        {"count": "screenings", "where": {"field": "screening", "equals": "other"}},
        {"days_since": "screenings"},
        {"days_since": "screenings", "where": {"field": "screening", "equals": "pep"}},
    ]
)
_AGGREGATES = st.one_of(
    windows.map(lambda window: {"count": "transactions", **window}),
    *[windows.map(lambda window, word=word: {word: "amount", **window}) for word in ("sum", "mean", "min", "max")],
    windows.map(lambda window: {"sum": "signed_amount", **window}),
    windows.map(lambda window: {"distinct": "operation", **window}),
    windows.map(lambda window: {"days_since": "transactions", **window}),
    *[windows.map(lambda window, word=word: {word: "amount", **window}) for word in ("median", "standard_deviation")],
    windows.map(lambda window: {"percentile": 75, "of": "signed_amount", **window}),
    windows.map(lambda window: {"largest": "amount", "n": 2, **window}),
    _bounded.map(lambda window: {"new": "operation", **window}),
    *[_divided.map(lambda window, word=word: {"share": word, **window}) for word in ("amount", "transactions")],
    st.tuples(case_wheres, case_windows).map(lambda pair: {"share": "cases", **pair[1], "where": pair[0]}),
    st.tuples(st.sampled_from(["cases", "alerts"]), case_windows).map(lambda pair: {"count": pair[0], **pair[1]}),
    case_windows.map(lambda window: {"days_since": "cases", **window}),
    st.tuples(_MARKS, mark_windows).map(lambda pair: {**pair[0], **pair[1]}),
)


@st.composite
def _aggregates(draw: Draw) -> Data:
    """Draw an aggregate; a strategy of one short name, as strategies of strategies are long to write out."""
    made: Data = draw(_AGGREGATES)
    return made


aggregates = _aggregates()
_MONEY = {"sum", "mean", "min", "max", "median", "standard_deviation", "percentile", "largest"}
structuring = st.fixed_dictionaries(
    {
        "pattern": st.just("structuring"),
        "threshold": st.sampled_from([100, 10000]),
        "margin": st.sampled_from(["10%", "50%"]),
        "at_least": st.integers(1, 2),
        "over": st.sampled_from(OVERS),
    }
)
FIELD_KINDS = ["country", "kind", "text", "number", "flag", "date", "texts"]
fields = st.sampled_from([({"field": name}, kind) for name, kind in zip(FIELDS, FIELD_KINDS, strict=True)])
numbers = st.one_of(aggregates, st.just({"field": "income"}))
_PLACED = st.one_of(
    numbers,
    st.tuples(numbers, numbers).map(lambda pair: {"ratio": list(pair)}),
    st.sampled_from([*({"calculation": name} for name, _ in CALCULATED), {"days_since": "opened_on"}]),
)
_AMONG = st.sampled_from(["everyone", {"field": "country"}])
plain_inputs = st.one_of(
    fields,
    aggregates.map(lambda made: (made, "money" if _MONEY & set(made) else "number")),
    st.tuples(numbers, numbers).map(lambda pair: ({"ratio": list(pair)}, "number")),
    st.just(({"days_since": "opened_on"}, "number")),
    st.sampled_from([({"indicator": "account_age"}, "number"), ({"value": "score"}, "number")]),
    st.just(({"value": "segment"}, "segment")),
    st.sampled_from([({"tag": "watch"}, "mark"), ({"screening": "pep"}, "mark")]),
    st.sampled_from(CALCULATED).map(lambda pair: ({"calculation": pair[0]}, pair[1])),
    st.tuples(st.sampled_from(PEERS), _PLACED, _AMONG).map(
        lambda drawn: ({drawn[0]: {"of": drawn[1], "among": drawn[2]}}, "place")
    ),
)
KINDS["place"] = [0, Decimal("0.5"), 1, 2, Decimal("33.3"), 50, Decimal("66.6"), 95, 100]
KINDS["segment"] = ["low", "high", "top"]
rule_inputs = st.one_of(plain_inputs, structuring.map(lambda made: (made, "finding")))


_AMOUNTS = st.tuples(st.sampled_from(["sum", "min", "max"]), windows).map(lambda pair: {pair[0]: "amount", **pair[1]})
_OWN_MONEY = _AMOUNTS.filter(lambda made: "in_currency" not in made)
_COUNTS = st.sampled_from([{"count": "transactions"}, {"field": "income"}, {"count": "cases"}, {"value": "score"}])
_PAIRS = st.one_of(
    st.tuples(_OWN_MONEY, _OWN_MONEY),
    st.tuples(_COUNTS, _COUNTS),
    st.tuples(st.just({"days_since": "opened_on"}), st.sampled_from([{"days_since": "cases"}, {"field": "income"}])),
    st.just(({"field": "country"}, {"field": "occupation"})),
    st.just(({"field": "opened_on"}, {"field": "opened_on"})),
)
compared = st.tuples(_PAIRS, st.sampled_from(COMPARING)).map(_compared_by)


@cache
def conditions(own: str | None) -> st.SearchStrategy[Any]:
    """Draw a condition; *own* is the kind of the rule's own input."""
    named = plain_inputs.flatmap(lambda made: comparisons(made[1]).map(lambda test: {**made[0], **test}))
    named |= compared
    tests = named
    if own is not None:
        tests = st.one_of(comparisons(own), comparisons(own), named, st.sampled_from(["present", "absent"]))
    return st.recursive(
        tests,
        lambda below: st.one_of(
            st.fixed_dictionaries({"all": st.lists(below, min_size=1, max_size=3)}),
            st.fixed_dictionaries({"any": st.lists(below, min_size=1, max_size=3)}),
            st.fixed_dictionaries({"not": below}),
        ),
        max_leaves=3,
    )


_FLOORS = st.sampled_from([*LEVELS, 2, 3])
_OUTCOMES = {
    "factor": st.fixed_dictionaries({"points": factors}, optional={"floor": _FLOORS}),
    "points": st.fixed_dictionaries({}, optional={"points": points, "floor": _FLOORS}),
    "floor": st.fixed_dictionaries({}, optional={"floor": _FLOORS}),
}
_EXTRAS = {kind: optional(overridable=st.booleans(), on_unknown=outcome) for kind, outcome in _OUTCOMES.items()}
_FLIP, _FEW, _OWN = st.booleans(), st.integers(1, 3), st.none() | rule_inputs
_SIGNALS = st.one_of(aggregates.filter(lambda one: "days_since" not in one), st.just({"field": "opened_on"}))
_LENGTHS = st.sampled_from(["1 day", "7 hours", "90 days"])
_ENDS = st.sampled_from([None, -10, 0, 20, Decimal("20.01"), 30, Decimal("30.5"), 31, 60])
_RANGES = st.tuples(_ENDS, _ENDS)
_CUTS = st.lists(st.integers(-2000, 8000), min_size=3, max_size=3, unique=True).map(sorted)


@st.composite
def rules(draw: Draw, number: int, kind: str) -> Data:
    """Draw a rule: of points, a factor, or a floor alone."""
    made = draw(_OWN)
    outcome, extras = _OUTCOMES[kind], _EXTRAS[kind]
    case = conditions(None if made is None else made[1])
    rule: Data = {
        "id": ["total", "floor", "level", "status"][number],
        "title": f"Rule {number}",
        "category": "other",
        "cases": [{"when": draw(case), **draw(outcome)} for _ in range(draw(_FEW))],
        **draw(extras),
    }
    if made is not None:
        rule["input"] = made[0]
    if kind == "factor" or draw(_FLIP):
        rule["otherwise"] = draw(outcome)
    if draw(_FLIP):
        length = draw(_LENGTHS)
        signal = draw(
            st.one_of(aggregates.filter(lambda one: "days_since" not in one), st.just({"field": "opened_on"}))
        )
        own = made is not None and (made[1] == "finding" or "count" in made[0]) and draw(_FLIP)
        rule["decay"] = {"half_life": length} if own else {"half_life": length, "signal": signal}
    return rule


@st.composite
def scores(draw: Draw, factors_of: list[str]) -> Data:
    """Draw how totals become levels; weighted where there are factors."""
    if factors_of:
        columns = {name: draw(_column(factors_of)) for name in ("retail", "other")}
        when = conditions(None)
        choices = [
            {"when": draw(when), "use": draw(st.sampled_from([*columns]))} for _ in range(draw(st.integers(1, 2)))
        ]
        last = [{"use": "other"}] if draw(_FLIP) else []
        return {"weighted": {"bands": [31, 61, 86], "weights": columns, "weights_by": [*choices, *last]}}
    if draw(_FLIP):
        return {"points": {"thresholds": [Decimal(cut) / 100 for cut in draw(_CUTS)]}}
    pairs = [sorted(draw(_RANGES), key=lambda end: -100 if end is None else end) for _ in range(3)]
    tiers = []
    for number, (low, high) in enumerate(pairs):
        ranged = {word: end for word, end in (("min", low), ("max", high)) if end is not None}
        tiers.append({"title": f"Tier {number}", **ranged, "level": draw(st.sampled_from(LEVELS))})
    return {"tiers": tiers}


def _column(names: list[str]) -> st.SearchStrategy[Data]:
    """Draw weights that total 100 %, with two decimals at most."""
    cuts = st.lists(st.integers(0, 10_000), min_size=len(names) - 1, max_size=len(names) - 1).map(sorted)
    return cuts.map(
        lambda inner: {
            name: Decimal(upper - lower) / 100
            for name, lower, upper in zip(names, [0, *inner], [*inner, 10_000], strict=True)
        }
    )


@st.composite
def rulesets(draw: Draw) -> Data:
    """Draw a ruleset that can be used, as data that a file could hold."""
    count = draw(st.integers(1, 4))
    weighted = draw(_FLIP)
    factor_count = draw(st.integers(1, count)) if weighted else 0
    kinds = ["factor"] * factor_count + (["floor"] if weighted else ["points"]) * (count - factor_count)
    made = [draw(rules(number, kind)) for number, kind in enumerate(kinds)]
    ruleset: Data = {
        "ruleset": "drawn",
        "entity_type": "customer",
        "fields": FIELDS,
        "transaction_fields": {"operation": "text"},
        "calculate": draw(calculations()),
        "reference": "peers",
        "levels": LEVELS,
        "score": draw(scores([rule["id"] for rule, kind in zip(made, kinds, strict=True) if kind == "factor"])),
        "max_recompute_interval": "180 days",
        "rules": made,
        **draw(optional(cooldown=st.sampled_from(["30 days", "1 month"]))),
    }
    if draw(_FLIP):
        ruleset["applies_to"] = draw(conditions(None))
    return ruleset


def read(ruleset: Data) -> Ruleset:
    """Read a drawn ruleset as a file would be."""
    return read_ruleset(json.dumps(ruleset, default=float))
