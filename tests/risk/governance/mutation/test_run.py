"""Which changes examples notice, and that those which are said to have no effect have none."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fivefold.domain.errors import InvalidRulesetError
from fivefold.risk.compiler.analysis import AnalysedRuleset, analyse_text
from fivefold.risk.engine.program import compile_ruleset
from fivefold.risk.governance.examples.run import run_examples
from fivefold.risk.governance.lint.reachability import LintScope
from fivefold.risk.governance.mutation.changes import changes_of, plain_data, with_change
from fivefold.risk.governance.mutation.run import ChangeTried, MutantVerdict, Mutations, mutate
from fivefold.risk.governance.mutation.telling_inputs import telling_inputs
from fivefold.risk.language.documents import Document
from fivefold.risk.language.reading import read_plain
from fivefold.risk.language.ruleset import Ruleset
from fivefold.usecases.portfolio_files.bundled import bundled_lists, bundled_text
from tests.depth import examples as depth
from tests.risk.engine.drawn.rulesets import read, rulesets
from tests.risk.engine.drawn.worlds import MOMENTS, World, people_drawn, run, worlds
from tests.risk.governance.making import AS_OF, TEXT, WEIGHTED_TEXT

Data = dict[str, Any]
EXAMPLES = """
examples:
  - {name: at the bound, given: {kind: person, country: ZM, income: 1000}, expect: {level: medium, total: 20}}
  - {name: below it, given: {kind: person, country: ZM, income: 999}, expect: {cases: {income: 2}}}
"""


def tried(text: str) -> Mutations:
    return mutate(analyse_text(text), {}, AS_OF, Document(text))


def of(mutations: Mutations, where: str, after: str) -> ChangeTried:
    return next(change for change in mutations.changes if change.where == where and change.after == after)


def test_a_change_is_noticed_by_an_example_that_comes_out_otherwise() -> None:
    found = tried(TEXT + EXAMPLES)
    assert of(found, "rule income, case 1, when", "above 1000").noticed_by == "at the bound"
    assert of(found, "rule income, case 1, when, at_least", "999").noticed_by == "below it"
    assert of(found, "score, points, threshold 1", "21").noticed_by == "at the bound"


def test_a_change_that_none_notices_has_its_line_and_an_example_that_would() -> None:
    found = of(tried(TEXT + EXAMPLES), "rule income, case 2, when", "above 100")
    assert (found.verdict, found.before) == (MutantVerdict.UNNOTICED, "at_least 100")
    assert found.line == 1 + (TEXT + EXAMPLES).splitlines().index("      - {when: {at_least: 100}, points: 10.5}")
    assert found.example == {"given": {"income": 100}, "expect": {"cases": {"income": 2}}}


def test_a_change_in_a_calculation_is_noticed_though_its_name_stays() -> None:
    half = "calculate:\n  part: {unit: ratio, multiply: [{clamp: {field: income}, from: 0, to: 5000}, 0.5]}\nrules:"
    text = TEXT.replace("rules:", half, 1).replace("input: {field: income}", "input: {calculation: part}")
    asked = EXAMPLES.replace("income: 1000", "income: 2000").replace("income: 999", "income: 1998")
    found = tried(text + asked)
    assert of(found, "calculate, part, multiply 2", "0.4").noticed_by == "at the bound"
    assert of(found, "calculate, part, multiply 1, to", "5001").verdict is MutantVerdict.UNNOTICED


def test_a_threshold_between_the_totals_that_there_can_be_is_never_noticed() -> None:
    even = TEXT.replace("points: 10.5", "points: 10").replace("thresholds: [20, 40, 60]", "thresholds: [22, 40, 60]")
    found = tried(even + EXAMPLES.replace("level: medium, ", ""))
    assert of(found, "score, points, threshold 1", "21").verdict is MutantVerdict.NO_EFFECT
    assert of(found, "score, points, threshold 2", "41").verdict is MutantVerdict.UNNOTICED


def test_points_of_a_case_that_is_never_reached_are_never_noticed() -> None:
    text = TEXT.replace("{when: {at_least: 100}, points: 10.5}", "{when: {at_least: 2000}, points: 10.5}")
    found = tried(text + EXAMPLES.replace("income: 2", "income: otherwise"))
    assert of(found, "rule income, case 2, points", "10.6").verdict is MutantVerdict.NO_EFFECT


def test_a_column_of_weights_that_nobody_uses_is_never_noticed() -> None:
    spare = WEIGHTED_TEXT.replace("weights: {all:", "weights: {spare: {country: 50, income: 50}, all:")
    found = tried(spare + EXAMPLES.replace("level: medium, total: 20", "cases: {income: 1}"))
    other = [change for change in found.changes if change.where == "score, weighted, weights, spare"]
    assert [change.verdict for change in other] == [MutantVerdict.NO_EFFECT] * 2


def test_points_of_the_unknown_are_given_where_a_decaying_case_has_no_signal() -> None:
    signal = "    decay: {half_life: 90 days, signal: {field: born}}\n    on_unknown: {points: 7}\n"
    text = TEXT.replace("income: number}", "income: number, born: date}").replace(
        "    otherwise: {points: -5}\n", signal
    )
    text = text.replace("input: {field: income}", "input: {count: cases}").replace("income: 999", "income: 5")
    examples = "examples:\n  - {name: one, given: {kind: person, country: ZM}, expect: {cases: {income: otherwise}}}\n"
    found = tried(text.replace("rules:", "optional_tables: [cases]\nrules:", 1) + examples)
    assert of(found, "rule income, on_unknown, points", "8").verdict is MutantVerdict.UNNOTICED


def test_what_is_over_is_not_tried() -> None:
    analysed = analyse_text(TEXT + EXAMPLES)
    found = mutate(analysed, {}, AS_OF, is_over=lambda: True)
    assert found.counts["not tried"] == len(found.changes) > 0


@pytest.mark.parametrize("text", [TEXT, TEXT + EXAMPLES.replace("total: 20", "total: 21")], ids=["none", "one fails"])
def test_without_examples_that_pass_nothing_is_tried(text: str) -> None:
    with pytest.raises(InvalidRulesetError):
        tried(text)


def test_a_change_is_noticed_where_running_the_examples_on_it_fails() -> None:
    analysed, lists = analyse_text(bundled_text("session-verification")), bundled_lists()
    found = mutate(analysed, lists, AS_OF)
    data = plain_data(analysed.ruleset)
    changes = {(change.before, change.after, change.node): change for change in changes_of(analysed.ruleset)}
    assert len(changes) == len(found.changes)
    for change, outcome in list(zip(changes.values(), found.changes, strict=True))[::6]:
        changed = read_plain(Ruleset, with_change(data, change.node, change.value))
        assert changed is not None
        results = run_examples(AnalysedRuleset(changed), lists, AS_OF).results
        assert outcome.noticed_by in ([each.name for each in results if each.differences] or [""])


@pytest.mark.full
def test_each_derived_example_passes_as_it_is_and_fails_on_its_change() -> None:
    analysed, lists = analyse_text(bundled_text("session-verification")), bundled_lists()
    bare = plain_data(analysed.ruleset.model_copy(update={"examples": analysed.ruleset.examples[:1]}))
    alone = read_plain(Ruleset, bare)
    assert alone is not None
    found = mutate(AnalysedRuleset(alone), lists, AS_OF)
    derived = [change for change in found.changes if change.example is not None]
    assert len(derived) > 15
    for place, change in enumerate(derived):
        example = {"name": f"derived {place}", **(change.example or {})}
        more = read_plain(Ruleset, {**bare, "examples": [*bare["examples"], example]})
        assert more is not None
        again = mutate(AnalysedRuleset(more), lists, AS_OF) if place % 5 == 0 else None
        if again is not None:
            same = of(again, change.where, change.after)
            assert same.noticed_by == example["name"]


@pytest.mark.full
@settings(max_examples=depth(60))
@given(rulesets(), worlds(), people_drawn, st.randoms(use_true_random=False))
def test_a_change_without_effect_has_none_on_anybody(
    drawn: Data, world: World, people: list[Data], random: Any
) -> None:
    lists = {name: versions[-1][1] for name, versions in world.lists.items()}
    world.lists.update({name: [(MOMENTS[0].replace(year=2020), members)] for name, members in lists.items()})
    ruleset = AnalysedRuleset(read(drawn))
    before = compile_ruleset(ruleset, lists, "EUR")
    data, scope = plain_data(ruleset.ruleset), LintScope(ruleset.names, lists, all_lists=True)
    changes = list(changes_of(ruleset.ruleset))
    for change in random.sample(changes, min(8, len(changes))):
        plain = with_change(data, change.node, change.value)
        changed = read_plain(Ruleset, plain)
        if changed is None or AnalysedRuleset(changed).diagnostics:
            continue
        after = compile_ruleset(AnalysedRuleset(changed), lists, "EUR")
        if telling_inputs(change, before, after, scope).no_effect:
            assert run(plain, world, people).table().equals(run(drawn, world, people).table())
