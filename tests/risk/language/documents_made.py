"""Rulesets as people might write them, made at random: plain data in the words of the language."""

import json
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

Data = dict[str, Any]
OPERATIONS = {"add", "subtract", "multiply", "divide", "least_of", "greatest_of", "absolute", "clamp", "round"}

words = st.sampled_from(
    ["a", "NO", "off", "12:30", "é", "1_000", "x: y", "# z", "'", '"', "\u2028", "😀", " b ", "\x7f"]
)
numbers = st.one_of(
    st.integers(-(10**6), 10**6),
    st.decimals(-(10**6), 10**6, places=2).map(lambda number: Decimal(str(number))),
    st.sampled_from([Decimal("0.000000000000001"), 999_999_999_999_999, Decimal("1E+5"), Decimal("31.0")]),
)
points = st.one_of(st.integers(-100, 100), st.decimals(-100, 100, places=2))
durations = st.sampled_from(["1 day", "30 days", "24 hours", "6 months", "1 year"])
days = st.sampled_from(["1 day", "90 days", "36 hours"])
levels = ["low", "medium", "high", "3"]
level = st.sampled_from([*levels, 1, 4])
names = st.sampled_from(["country", "income", "opened_on"])


def optional(**parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Data]:
    return st.fixed_dictionaries({}, optional=parts)


def both(first: st.SearchStrategy[Data], second: st.SearchStrategy[Data]) -> st.SearchStrategy[Data]:
    return st.tuples(first, second).map(lambda pair: {**pair[0], **pair[1]})


def one(word: str, value: st.SearchStrategy[Any]) -> st.SearchStrategy[Data]:
    return st.fixed_dictionaries({word: value})


scalars = st.one_of(words, numbers, st.booleans())
fuzzies = both(
    st.one_of(one("to", words), one("list", st.just("some-list"))),
    st.fixed_dictionaries(
        {
            "scorer": st.sampled_from(["ratio", "token_set", "partial", "jaro_winkler"]),
            "at_least": st.integers(1, 100),
        }
    ),
)
others = st.one_of(
    one("field", names), one("calculation", names), both(one("sum", st.just("amount")), optional(over=durations))
)
comparisons = st.one_of(
    one("is", st.sampled_from(["present", "absent"])),
    *[one(word, scalars | others) for word in ("equals", "not_equals", "above", "at_least", "below", "at_most")],
    *[one(word, st.lists(scalars, min_size=2, max_size=2)) for word in ("between", "outside")],
    *[one(word, st.lists(scalars, min_size=1, max_size=3)) for word in ("in", "not_in")],
    *[one(word, st.just("some-list")) for word in ("in_list", "not_in_list")],
    *[one(word, words) for word in ("starts_with", "ends_with", "contains")],
    one("contains_any", st.lists(words, min_size=1, max_size=3)),
    one("fuzzy", fuzzies),
)
several = st.lists(comparisons, min_size=1, max_size=2).map(
    lambda parts: {word: v for part in parts for word, v in part.items()}
)
where = st.deferred(lambda: conditions)
agos = st.sampled_from(["1 day ago", "2 weeks ago", "6 months ago"])
windows = optional(where=where, over=durations, ending=agos, in_currency=st.just("EUR"))
_numeric_forms = st.one_of(
    one("field", names),
    both(one("count", st.sampled_from(["transactions", "cases", "alerts"])), windows),
    *[both(one(word, st.just("amount")), windows) for word in ("sum", "mean", "min", "max", "distinct", "share")],
    *[both(one(word, st.just("amount")), windows) for word in ("new", "median", "standard_deviation")],
    both(st.just({"percentile": 95, "of": "amount"}), windows),
    both(st.just({"largest": "amount", "n": 3}), windows),
    both(one("days_since", st.sampled_from(["transactions", "opened_on"])), optional(over=durations)),
    one("indicator", names),
    one("value", st.sampled_from(["score", "segment", "expected_value", "expected_value_low", "expected_value_high"])),
)


@st.composite
def _numeric(draw: Any) -> Data:
    """Draw an input that is a number; of one short name, as strategies of strategies are long to write out."""
    made: Data = draw(_numeric_forms)
    return made


numeric = _numeric()


@st.composite
def _groups(draw: Any) -> Data:
    """Draw a group, likewise."""
    ways = st.sampled_from(["to", "from", "both"])
    made: Data = {"by": draw(names), **draw(optional(way=ways, steps=st.integers(1, 5), itself=st.booleans()))}
    word = draw(st.sampled_from(["count", "any", "sum", "mean", "min", "max"]))
    if draw(st.booleans()):
        made["where"] = draw(where)
    return {**made, word: "entities" if word == "count" else draw(where if word == "any" else numeric)}


groups = _groups()
plain_inputs = st.one_of(
    numeric,
    one("linked", groups),
    one("ratio", st.tuples(numeric, numeric).map(list)),
    one("tag", words),
    one("screening", words),
    one("calculation", names),
)
units = st.sampled_from(["money", "count", "ratio", "days"])
operands: st.SearchStrategy[Any] = st.recursive(
    st.one_of(numbers, both(numeric, optional(**{"as": units})), one("calculation", names)),
    lambda below: st.one_of(
        *[
            one(word, st.lists(below, min_size=2, max_size=3))
            for word in ("add", "multiply", "least_of", "greatest_of")
        ],
        *[one(word, st.lists(below, min_size=2, max_size=2)) for word in ("subtract", "divide")],
        one("absolute", below),
        both(one("clamp", below), optional(**{"from": numbers, "to": numbers})),
        both(one("round", below), one("decimals", st.integers(0, 6))),
    ),
    max_leaves=4,
)
calculations = both(
    st.one_of(
        one("of", operands),
        operands.filter(lambda made: isinstance(made, dict) and bool(OPERATIONS & set(made))),
    ),
    both(one("unit", units), optional(in_currency=st.just("USD"), rationale=st.just("Why"))),
)
patterns = st.one_of(
    both(
        st.just({"pattern": "structuring", "threshold": 10000, "margin": "10%", "over": "30 days"}),
        optional(at_least=st.integers(1, 9), round_to=st.sampled_from([500, Decimal("1000.0")])),
    ),
    both(st.just({"pattern": "velocity", "over": "7 days"}), optional(more_than=st.integers(1, 99))),
)
own_tests = st.one_of(st.sampled_from(["present", "absent"]), several)
conditions: st.SearchStrategy[Any] = st.recursive(
    st.one_of(own_tests, both(plain_inputs, several)),
    lambda below: st.one_of(
        one("all", st.lists(below, min_size=1, max_size=2)),
        one("any", st.lists(below, min_size=1, max_size=2)),
        one("not", below),
    ),
    max_leaves=3,
)
outcomes = optional(points=points, floor=level)
cases = both(st.fixed_dictionaries({"when": conditions}), optional(points=points, floor=level, title=st.just("A case")))


def rule(identifier: str) -> st.SearchStrategy[Data]:
    fixed = st.fixed_dictionaries(
        {
            "id": st.just(identifier),
            "title": st.just("A rule"),
            "category": st.sampled_from(["geography", "other"]),
            "cases": st.lists(cases, min_size=1, max_size=2),
        }
    )
    more = optional(
        rationale=st.just("Why: because"),
        input=st.one_of(plain_inputs, patterns),
        otherwise=outcomes,
        on_unknown=outcomes,
        decay=st.fixed_dictionaries({"half_life": days}, optional={"signal": st.just({"count": "cases"})}),
        overridable=st.booleans(),
        changeable=st.sampled_from(["up", "down", "either"]),
        disclosable=st.booleans(),
    )
    return both(fixed, more)


tiers = st.lists(
    both(st.fixed_dictionaries({"title": st.just("A tier"), "level": level}), optional(min=points, max=points)),
    min_size=1,
    max_size=3,
)
rising = st.sampled_from([[31, 61, 86], [1, 2], [Decimal("0.5"), Decimal("31.0")]])
weighted = st.fixed_dictionaries(
    {
        "bands": rising,
        "weights": st.sampled_from([{"retail": {"first": 40, "second": 60}}, {"one": {"first": Decimal("100.00")}}]),
        "weights_by": st.lists(both(st.just({"use": "retail"}), optional(when=conditions)), min_size=1, max_size=2),
    }
)
scores = st.one_of(
    one("points", st.fixed_dictionaries({"thresholds": rising})), one("tiers", tiers), one("weighted", weighted)
)
examples = both(
    st.fixed_dictionaries(
        {
            "name": st.just("An example"),
            "given": st.dictionaries(names, st.one_of(scalars, st.none(), st.lists(words)), max_size=2),
            "expect": optional(level=level, total=points, cases=st.just({"first": 1})),
        }
    ),
    optional(as_of=st.just("2024-01-01")),
)
types = st.sampled_from(["text", "number", "flag", "date", "country", ["text"], {"one_of": ["a", "NO"]}])
rulesets: st.SearchStrategy[Data] = both(
    st.fixed_dictionaries(
        {
            "ruleset": st.just("made"),
            "entity_type": st.just("customer"),
            "levels": st.just(levels),
            "score": scores,
            "max_recompute_interval": durations,
            "rules": st.tuples(rule("first"), rule("second")).map(list),
        }
    ),
    optional(
        fields=st.dictionaries(names, types, max_size=3),
        transaction_fields=st.dictionaries(names, types, max_size=2),
        undisclosed=optional(lists=st.just(["hot"]), inputs=st.just([{"field": "income"}])),
        optional_tables=st.lists(st.sampled_from(["cases", "alerts", "tags"]), max_size=2, unique=True),
        optional_transaction_fields=st.lists(names, max_size=2),
        links=st.dictionaries(
            names,
            both(one("kind", st.sampled_from(["shared", "directed"])), optional(complete=st.booleans())),
            max_size=2,
        ),
        calculate=st.dictionaries(names, calculations, max_size=2),
        applies_to=conditions,
        cooldown=durations,
        rationale=words.filter(lambda word: word.strip() != ""),
        coverage=optional(rules=st.just(50), cases=st.just(Decimal("80.0"))),
        examples=st.lists(examples, max_size=2),
    ),
)
"""Documents that the language takes; lint may find much in them."""


def as_json(data: Any) -> str:
    """Write data as JSON with numbers as they are."""
    if isinstance(data, dict):
        return "{" + ", ".join(f"{json.dumps(name)}: {as_json(below)}" for name, below in data.items()) + "}"
    if isinstance(data, list):
        return "[" + ", ".join(map(as_json, data)) + "]"
    return str(data) if isinstance(data, Decimal) else json.dumps(data)


def as_yaml(data: Any, indent: int = 0, *, backwards: bool = False) -> str:
    """Write data as YAML in blocks, with comments, and its words in the other order if that is asked for."""
    if not data or not isinstance(data, dict | list):
        return as_json(data)
    space = "\n" + " " * indent
    if isinstance(data, list):
        return "".join(f"{space}- {as_yaml(below, indent + 2, backwards=backwards)}" for below in data)
    items = list(data.items())[:: -1 if backwards else 1]
    return "".join(f"{space}{name}:  {as_yaml(below, indent + 2, backwards=backwards)}  # why" for name, below in items)
