"""One entity by plain functions, and by queries over columns: the same outcome to the bit, whatever is drawn."""

from dataclasses import replace
from itertools import product
from typing import Any
from unittest.mock import patch

import polars as pl
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from fivefold.domain.clock import DAY_US
from fivefold.risk.compiler import plain_conditions
from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.engine.assess import assess
from fivefold.risk.engine.assessments import Assessments
from fivefold.risk.engine.outcomes import assess_columns, assess_inputs
from fivefold.risk.engine.program import Program, compile_ruleset
from fivefold.risk.engine.single.rules import single_program
from fivefold.risk.engine.time_changes import NEVER, next_by_time, next_of_columns
from fivefold.risk.facts.moments import ANYTHING
from fivefold.risk.facts.portfolio import ENTITY, error_of
from tests.depth import examples
from tests.risk.engine.drawn.rulesets import read, rulesets
from tests.risk.engine.drawn.worlds import as_ofs, levels_before, people_drawn, portfolio_of, run, standing, worlds
from tests.risk.engine.reference.conditions import World
from tests.risk.engine.small import DAY, assessed, case, exactly, portfolio, rule, ruleset

Data = dict[str, Any]
QUICK = (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink)
"""All but to explain: that takes minutes for rulesets."""


@settings(max_examples=examples(100), phases=QUICK)
@given(rulesets(), worlds(), people_drawn)
def test_one_entity_is_assessed_as_columns_are(ruleset: Data, world: World, people: list[Data]) -> None:
    found = run(ruleset, world, people)
    held = levels_before(people), standing(people, "override", ("level", "until"))
    for position, before in enumerate([held, held, (None, None)][: len(found)]):
        program = program_of(found, position)
        row = found.inputs[position : position + 1]
        assert single_program(program).batch_only == ()
        assert_frame_equal(assess_inputs(program, row, *before), assess_columns(program, row, *before))


@settings(max_examples=examples(40), phases=QUICK)
@given(rulesets(), worlds(), people_drawn, st.sampled_from([1, 400]))
def test_time_moves_one_entity_as_columns_say(ruleset: Data, world: World, people: list[Data], days: int) -> None:
    """With each input moved in turn, and with a limit: the same moment from plain functions and from columns."""
    made = read(ruleset)
    found = assess(AnalysedRuleset(made), portfolio_of(world, people[:1], made), as_ofs(people[:1]), ahead=True)
    assert found.moments is not None
    as_of = found.inputs["as_of"][0]
    limit = pl.Series([as_of + days * DAY_US])
    inputs = [*found.program.inputs, *found.program.signals.values(), ANYTHING]
    drawn = [{name: as_of + 1 + place % 3 for place, name in enumerate(inputs[first:])} for first in range(len(inputs))]
    for known in ({}, *drawn, None):
        moments = found.moments
        if known is not None:
            columns = {name: pl.Series([known.get(name)], dtype=pl.Int64) for name in inputs}
            moments = found.moments.select(ENTITY).with_columns(**columns)
        asked = replace(found, moments=moments)
        assert next_by_time(asked, limit).to_list() == next_of_columns(asked, moments, limit).to_list()


@pytest.mark.parametrize("part", ["rule", "applies_to"])
@pytest.mark.parametrize("form", ["row", "columns"])
def test_what_cannot_be_read_and_moves_matters_whatever_it_would_be(part: str, form: str) -> None:
    """A rule that fails, or a ruleset, may not do so once the input is another."""
    when = {"any": [{"field": "flag", "equals": True}, {"field": "income", "above": 100}]}
    made = ruleset(rule("one", case(when, 40))) if part == "rule" else ruleset(exactly(0), applies_to=when)
    found = assess(AnalysedRuleset(made), portfolio([{"flag": True, "income": 1, "n0": 1}]), DAY, ahead=True)
    assert found.moments is not None
    limit, moment = pl.Series([DAY + 2 * DAY_US]), DAY + DAY_US
    (income,) = (name for name in found.program.inputs if "income" in name)
    moments = found.moments.select(ENTITY).with_columns(pl.lit(moment).alias(income))
    for error, expected in ((None, NEVER), ("is no number", moment)):
        inputs = found.inputs.with_columns(pl.lit(error, pl.String).alias(error_of(income)))
        asked = replace(found, inputs=inputs, moments=moments)
        announced = next_by_time(asked, limit) if form == "row" else next_of_columns(asked, moments, limit)
        assert announced.to_list() == [expected]


def program_of(found: Assessments, position: int) -> Program:
    """Compile with the versions of the lists that were in force for a row."""
    versions = found.versions[found.outcomes["list_versions"][position]]
    lists = {name: version.members for name, version in versions.items()}
    return compile_ruleset(found.program.analysed, lists, found.base)


CASES = [
    case({"field": "country", "in": ["NO", "SE"]}, 10, "medium"),
    case({"any": [{"field": "income", "above": 100}, {"field": "flag", "equals": True}]}, 40, "high"),
]
WEIGHTED = {
    "weighted": {
        "bands": [31, 61],
        "weights": {"rich": {"one": 100}, "other": {"one": 100}},
        "weights_by": [{"when": {"field": "income", "at_least": 50}, "use": "rich"}, {"use": "other"}],
    }
}


@pytest.mark.parametrize("parts", [{}, {"score": WEIGHTED}], ids=["points", "weighted"])
@pytest.mark.parametrize(
    "row", [{"country": "NO", "income": 200}, {"country": "DE"}, {"flag": False, "income": 10}, {}]
)
def test_what_has_no_plain_form_is_asked_of_the_columns_and_named(row: Data, parts: Data) -> None:
    made = ruleset(
        rule("one", *CASES, otherwise={"points": 5}),
        applies_to={"not": {"field": "kind", "equals": "company"}},
        **parts,
    )
    found = assessed(made, row)
    program = program_of(found, 0)
    with patch.object(plain_conditions, "_BUILDERS", {}):
        single = single_program(program)
    assert single.batch_only == ("one", "applies_to", "weights_by")[: 3 if parts else 2]
    assert_frame_equal(assess_inputs(program, found.inputs), assess_columns(program, found.inputs))


def test_a_float_that_is_no_number_is_asked_of_the_columns() -> None:
    """Columns hold it greater than everything, which plain comparisons do not."""
    found = assessed(ruleset(rule("one", case({"field": "income", "above": 100}, 40))), {"income": 1})
    (key,) = found.program.inputs
    row = found.inputs.with_columns(pl.lit(float("nan")).alias(key))
    made = assess_inputs(found.program, row)
    assert_frame_equal(made, assess_columns(found.program, row))
    assert made["total"].item() == 4000


def test_levels_of_others_are_not_this_ones() -> None:
    found = assessed(
        ruleset(rule("one", case({"field": "income", "above": 100}, 40)), cooldown="30 days"), {"income": 1}
    )
    others = pl.DataFrame(
        {"entity_id": ["other", "e0"], "level": [3, 2], "entered": [found.inputs["as_of"][0] - 1] * 2}
    )
    for previous in (others, others[:1], others[1:], others[:0]):
        made = assess_inputs(found.program, found.inputs, previous)
        assert_frame_equal(made, assess_columns(found.program, found.inputs, previous))
    with pytest.raises(pl.exceptions.ComputeError):
        assess_inputs(found.program, found.inputs, pl.concat([others, others]))


FLOORS = [
    rule("hard", case({"field": "country", "in": ["NO"]}, floor="high"), overridable=False),
    rule("soft", case({"field": "flag", "equals": True}, 10, "medium")),
    rule("read", case({"field": "income", "above": 100}, 40)),
]
ASKED = [
    {"kind": kind, "country": country, "flag": flag, "income": income}
    for kind, country, flag, income in product(
        ("person", None, "company"), ("NO", "DE", None), (True, False, None), (1, "unreadable")
    )
]
HELD: Data = {
    "level": [1, 3, 3, 3, 3, 2, 3, None],
    "floor": [0, 3, 3, 3, 3, 2, 3, None],
    "hard_floor": [0, 3, 3, 0, 2, 0, 3, None],
    "entered": [-100, -100, -1, -100, -40, -100, -29, None],
    "floor_lost": [[None, None], [None, None], [-3, -29], [-30, -29], [-31, -2], [-5, None], [-30, -30], None],
    "hard_floor_lost": [[None, None], [-9, -9], [None, -29], None, [-29, None], None, [-1, -30], None],
}
"""Of each: the level and the floors that held, since when (days), and since when floors rest on what is unknown."""


@pytest.mark.parametrize("cooldown", [{}, {"cooldown": "30 days"}], ids=["at once", "30 days"])
def test_the_floors_one_entity_held_go_on_as_in_columns(cooldown: Data) -> None:
    """Triggered, gone, unknown, failed, undetermined: each with all that held, and overrides that live and ended."""
    made = ruleset(*FLOORS, applies_to={"field": "kind", "equals": "person"}, **cooldown)
    found = assessed(made, *(row for row in ASKED for _ in HELD["level"]))
    names, as_of = found.inputs[ENTITY], found.inputs["as_of"][0]

    def moments(days: list[int | None] | None) -> list[int | None] | None:
        return days and [None if day is None else as_of + day * DAY_US for day in days]

    held = {name: values * len(ASKED) for name, values in HELD.items()}
    held["entered"] = moments(held["entered"]) or []
    for name in ("floor_lost", "hard_floor_lost"):
        held[name] = pl.Series([moments(days) for days in held[name]], dtype=pl.List(pl.Int64))
    previous = pl.DataFrame({"entity_id": names, **held})
    ends = pl.Series([None, as_of, as_of + 1], dtype=pl.Int64)
    overrides = pl.DataFrame(
        {"entity_id": names, "level": [1 + place % 3 for place in range(len(names))]}
    ).with_columns(until=ends.gather([place // 3 % 3 for place in range(len(names))]))
    columns = assess_columns(found.program, found.inputs, previous, overrides)
    assert columns["status"].n_unique() == 4
    assert columns["floor_held_until"].is_null().all() is (not cooldown)
    alone = [
        assess_inputs(found.program, *(frame[place : place + 1] for frame in (found.inputs, previous, overrides)))
        for place in range(len(names))
    ]
    assert_frame_equal(pl.concat(alone), columns)
