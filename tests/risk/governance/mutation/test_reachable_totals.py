"""The totals that there can be: all that happen are among them."""

from itertools import product
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.engine.program import TOTAL, compile_ruleset
from fivefold.risk.governance.mutation.telling_inputs import reachable_totals, sums_of
from tests.depth import examples
from tests.risk.engine.drawn.rulesets import read, rulesets
from tests.risk.engine.drawn.worlds import World, people_drawn, run, worlds
from tests.risk.governance.making import analysed

choices = st.lists(st.lists(st.integers(-300, 300), min_size=1, max_size=4), min_size=1, max_size=4)


@given(choices)
def test_sums_are_those_of_every_combination(drawn: list[list[int]]) -> None:
    assert sums_of(drawn) == sorted({sum(combination) for combination in product(*drawn)})


def test_too_many_sums_are_not_decided() -> None:
    assert sums_of([[0, 1], [0, 10**9]]) is None


def test_totals_of_a_small_ruleset_are_known() -> None:
    program = compile_ruleset(analysed(), {}, "EUR")
    found = reachable_totals(program)
    assert found is not None
    countries, incomes = (0, 1000, 2500, 4500), (-500, 0, 1050, 2000)  # a rule that fails gives 0
    assert found.to_list() == sorted({country + income for country in countries for income in incomes})


@settings(max_examples=examples(60))
@given(rulesets(), worlds(), people_drawn)
def test_every_total_that_happens_can_be_reached(drawn: dict[str, Any], world: World, people: list[Any]) -> None:
    members = {name: versions[-1][1] for name, versions in world.lists.items()}
    found = reachable_totals(compile_ruleset(AnalysedRuleset(read(drawn)), members, "EUR"))
    assert found is None or set(run(drawn, world, people).outcomes[TOTAL]) <= set(found)
