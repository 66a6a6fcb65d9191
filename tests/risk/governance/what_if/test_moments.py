"""Points that fade: an answer is one whatever moment a change leaves, unless the value gives the moment."""

import json
from collections.abc import Iterator, Sequence
from datetime import date
from itertools import combinations
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fivefold.domain.clock import DAY_US
from fivefold.domain.money import base_only
from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.engine.assess import assess
from fivefold.risk.facts.portfolio import Portfolio
from fivefold.risk.governance.what_if.answers import WhatIf, what_if
from fivefold.risk.governance.what_if.moments import ValueShift
from fivefold.risk.governance.what_if.options import Option
from fivefold.risk.governance.what_if.search import ChangedAssessment, WantedDirection, Wish, level_said, search
from fivefold.risk.language.expressions import input_key
from fivefold.risk.language.reading import read_ruleset
from tests.depth import examples
from tests.risk.governance.making import AS_OF

Data = dict[str, Any]
Facts = tuple[tuple[float, float], ...]
"""Of each transaction: its amount, with a sign, and how many days ago it was."""
HALF_LIFE_DAYS = 30
AMOUNTS = [-60.0, -10.0, 5.0, 20.0, 50.0]
GROWING, SHRINKING = {"count", "sum", "max"}, {"min"}
INPUTS: dict[str, tuple[Data, list[float]]] = {
    "count": ({"count": "transactions"}, [1, 2, 3]),
    "sum": ({"sum": "amount"}, [5, 50, 75]),
    "max": ({"max": "amount"}, [10, 20, 50]),
    "min": ({"min": "amount"}, [10, 20, 50]),
    "mean": ({"mean": "amount"}, [10, 20, 50]),
    "signed": ({"sum": "signed_amount"}, [-50, 0, 20]),
    "declared": ({"max": "fee"}, [-10, 0, 20]),
    "days": ({"days_since": "transactions"}, [10, 50, 100]),
    "last": ({"field": "last"}, []),
}


def document(name: str, cases: Sequence[Data], **more: Any) -> Data:
    rule = {
        "id": name,
        "title": name,
        "category": "other",
        "input": INPUTS[name][0],
        "changeable": "either",
        "decay": {"half_life": f"{HALF_LIFE_DAYS} days"},
        "cases": list(cases),
        "otherwise": {"points": 8},
        **more,
    }
    return {
        "ruleset": "ours",
        "entity_type": "customer",
        "fields": {"last": "date"},
        "transaction_fields": {"fee": "number"},
        "levels": ["low", "medium", "high"],
        "score": {"points": {"thresholds": [10, 30]}},
        "max_recompute_interval": "180 days",
        "rules": [rule],
    }


class World:
    """People with transactions, or with a date, all assessed by one ruleset."""

    def __init__(self, made: Data, people: Sequence[Facts], dates: Sequence[int | None] = ()) -> None:
        analysed = AnalysedRuleset(read_ruleset(json.dumps(made)))
        names = [str(number) for number in range(len(people))]
        last = pl.Series("last", [*dates, *([None] * (len(people) - len(dates)))], dtype=pl.Int64)
        entities = pl.DataFrame({"entity_id": names, "last": last.cast(pl.Datetime("us", "UTC"))})
        rows = [
            (name, amount, AS_OF - days * DAY_US)
            for name, facts in zip(names, people, strict=True)
            for amount, days in facts
        ]
        paid = {
            "entity_id": [name for name, _, _ in rows],
            "transaction_amount": [amount for _, amount, _ in rows],
            "fee": [amount for _, amount, _ in rows],
            "transaction_currency": ["EUR"] * len(rows),
            "transaction_date": pl.Series([int(at) for _, _, at in rows], dtype=pl.Int64).cast(
                pl.Datetime("us", "UTC")
            ),
        }
        types = {
            "entity_id": pl.String,
            "transaction_amount": pl.Float64,
            "fee": pl.Float64,
            "transaction_currency": pl.String,
        }
        frame = pl.DataFrame(paid, schema_overrides=types)
        self.assessments = assess(analysed, Portfolio(entities, base_only("EUR", date(2024, 7, 1)), frame), AS_OF)
        self.levels = level_said(self.assessments.outcomes)
        self.key = input_key(analysed.ruleset.rules[0].input)  # type: ignore[arg-type]  # it has one
        self.values = self.assessments.inputs[self.key].to_list()

    def found(self, direction: WantedDirection) -> tuple[Wish | None, list[Option]]:
        """What is found of the first one, of whom there is a level beyond the present one."""
        present = self.levels[0]
        assert present is not None
        wished = present + (1 if direction is WantedDirection.UP else -1)
        if not 1 <= wished <= 3:
            return None, []
        wish = Wish(direction, wished)
        return wish, [change[0][1] for change in search(ChangedAssessment.of(self.assessments, 0), wish).changes]

    def asked(self, direction: WantedDirection) -> WhatIf:
        return what_if(ChangedAssessment.of(self.assessments, 0), direction)


def fewer(facts: Facts) -> Iterator[Facts]:
    for size in range(len(facts)):
        yield from combinations(facts, size)


def more(facts: Facts) -> Iterator[Facts]:
    """Give the same with one fact of the day, or two."""
    for size in (1, 2):
        for amounts in combinations(AMOUNTS, size):
            yield (*facts, *((amount, 0.0) for amount in amounts))


def reached(name: str, side: ValueShift, facts: Facts) -> list[Facts]:
    """Give what there may be instead, where the input goes to a side."""
    if name in GROWING | SHRINKING | {"declared"}:
        grows = (side is ValueShift.HIGHER) == (name not in SHRINKING)
        return list(more(facts) if grows or side is ValueShift.KNOWN else fewer(facts))
    return [*fewer(facts), *more(facts), *(each for part in fewer(facts) for each in more(part))]


def side_of(value: float | None, present: float | None) -> ValueShift | None:
    if value is None or value == present:
        return None
    return ValueShift.KNOWN if present is None else ValueShift.LOWER if value < present else ValueShift.HIGHER


names = st.sampled_from([name for name in INPUTS if name not in {"days", "last"}])
points = st.sampled_from([-20, 0, 15, 40])
facts = st.lists(st.tuples(st.sampled_from(AMOUNTS), st.sampled_from([1.0, 31.0, 95.0])), min_size=1, max_size=3).map(
    tuple
)


@st.composite
def cases(draw: Any, name: str) -> list[Data]:
    bounds = draw(st.lists(st.sampled_from(INPUTS[name][1]), min_size=2, max_size=2, unique=True))
    return [{"when": {"at_least": bound}, "points": draw(points)} for bound in sorted(bounds, reverse=True)]


@given(st.data(), names, facts, st.sampled_from(WantedDirection))
@settings(max_examples=examples(60))
def test_an_answer_is_one_whichever_facts_bring_it_about(
    data: st.DataObject, name: str, facts: Facts, direction: WantedDirection
) -> None:
    made = document(name, data.draw(cases(name)), on_unknown={"points": data.draw(points)})
    reachable = {side: reached(name, side, facts) for side in (ValueShift.LOWER, ValueShift.HIGHER, ValueShift.KNOWN)}
    people = [facts, *(each for several in reachable.values() for each in several)]
    world = World(made, people)
    wish, options = world.found(direction)
    units = world.assessments.program.inputs[world.key].units
    bounds = [case["when"]["at_least"] * units for case in made["rules"][0]["cases"]]

    def kind(value: float) -> tuple[bool, ...]:
        return (value == 0, *(value >= bound for bound in bounds))

    sides = [side for side, several in reachable.items() for _ in several]
    for option in options:
        assert wish is not None
        for side, value, level in zip(sides, world.values[1:], world.levels[1:], strict=True):
            if side is option.side is side_of(value, world.values[0]) and kind(value) == kind(option.value):
                assert level is not None
                assert wish.granted(level)


@given(st.data(), st.sampled_from(["days", "last"]), st.integers(0, 130), st.sampled_from(WantedDirection))
@settings(max_examples=examples(60))
def test_of_dates_and_days_the_nearest_are_found(
    data: st.DataObject, name: str, days: int, direction: WantedDirection
) -> None:
    if name == "days":
        chosen = data.draw(cases(name))
    else:
        bounds = sorted(data.draw(st.sets(st.sampled_from(["2024-03-01", "2024-05-20", "2024-06-20"]), min_size=1)))
        chosen = [{"when": {"at_least": bound}, "points": data.draw(points)} for bound in reversed(bounds)]
        chosen.append({"when": "present", "points": data.draw(points)})
    made = document(name, chosen, on_unknown={"points": data.draw(points)})
    every = [days, *range(260)]
    # Each day is somebody's, once as that of a transaction and once as a date.
    world = World(made, [((20.0, float(day)),) for day in every], [AS_OF - day * DAY_US for day in every])
    wish, options = world.found(direction)
    if wish is None:
        return
    for value, level in zip(world.values[1:], world.levels[1:], strict=True):
        side = side_of(value, world.values[0])
        if side is not None and level is not None and wish.granted(level):
            nearer = [one for one in options if one.side is side]
            assert any(abs(one.value - world.values[0]) <= abs(value - world.values[0]) for one in nearer)
    moments = [int(one.value) if name == "last" else option_moment(one) for one in options]
    true = World(made, [((20.0, (AS_OF - at) / DAY_US),) for at in moments] or [()], moments)
    assert all(level is not None and wish.granted(level) for level in true.levels[: len(moments)])


def option_moment(option: Option) -> int:
    (moment,) = option.moments
    assert moment is not None
    return moment


@pytest.mark.parametrize("direction", WantedDirection)
@pytest.mark.parametrize("name", [name for name in INPUTS if name not in {"days", "last"}])
def test_where_the_value_does_not_give_the_moment_it_is_not_decided(name: str, direction: WantedDirection) -> None:
    made = document(name, [{"when": {"at_least": INPUTS[name][1][0]}, "points": 12}, {"when": "present", "points": 12}])
    found = World(made, [((20.0, 1.0),)]).asked(direction)
    assert {one.why for one in found.without} <= {"not decided"}
    assert found.without or found.answers


def test_a_sum_of_what_may_be_negative_does_not_say_of_when_it_is() -> None:
    made = document("signed", [{"when": {"at_least": -5}, "points": 15}])
    found = World(made, [((-10.0, 95.0),)]).asked(
        WantedDirection.UP
    )  # a deposit of today would do, less withdrawn would not
    assert (found.answers, found.without[0].why) == ((), "not decided")


def test_a_sum_of_zero_may_be_of_nothing() -> None:
    made = document("sum", [{"when": {"at_most": 0}, "points": -5}], on_unknown={"points": 40})
    made["rules"][0]["otherwise"]["points"] = 15
    world = World(made, [((20.0, 1.0),), ()])
    assert world.levels == [2, 3]
    assert world.asked(WantedDirection.DOWN).answers == ()


def test_no_transactions_at_all_are_a_value_of_their_own() -> None:
    made = document("count", [{"when": {"at_most": 2}, "points": 16}], on_unknown={"points": 11})
    made["rules"][0]["otherwise"]["points"] = 3
    world = World(made, [tuple((5.0, float(day)) for day in (60, 70, 80, 90)), ((5.0, 60.0),), ()])
    _, (option,) = world.found(WantedDirection.UP)
    assert world.levels == [1, 1, 2]
    assert (option.value, option.moments) == (0, (None,))
