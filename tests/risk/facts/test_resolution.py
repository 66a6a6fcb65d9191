"""What is read of one entity in plain Python, and by queries over columns: the same inputs to the bit."""

from typing import Any
from unittest.mock import patch

import polars as pl
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from fivefold.domain.clock import to_microseconds
from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.compiler.plain_conditions import NoPlainFormError
from fivefold.risk.engine.assess import timed_entities
from fivefold.risk.facts import resolution
from fivefold.risk.facts.inputs import Needs, resolve
from fivefold.risk.facts.linked import LinkedFacts
from fivefold.risk.facts.portfolio import Portfolio, members_at
from fivefold.risk.facts.resolution import lazy_sources, resolve_inputs
from fivefold.risk.facts.single import aggregates
from fivefold.risk.facts.single.aggregates import plain_aggregate
from fivefold.risk.facts.single.context import EntityContext
from fivefold.risk.facts.single.plans import plan_for
from fivefold.risk.facts.single.values import LeftToColumnsError
from fivefold.risk.language.expressions import Ratio, Sum
from fivefold.usecases.portfolio_files.bundled import bundled_ruleset
from tests.depth import examples
from tests.risk.engine.drawn.rulesets import read, rulesets
from tests.risk.engine.drawn.worlds import people_drawn, portfolio_of, worlds
from tests.risk.engine.reference.conditions import World
from tests.risk.engine.small import DAY, case, portfolio, rule, ruleset

Data = dict[str, Any]
QUICK = (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink)
"""All but to explain: that takes minutes for rulesets."""


MANY_OR_FEW = st.sampled_from([-1, resolution.MOST_PLAIN_ROWS])
"""Up to how many transactions of one entity are read by plain functions."""


def both(analysed: AnalysedRuleset, held: Portfolio, as_of: int) -> tuple[pl.DataFrame, pl.DataFrame, bool]:
    """Resolve in both ways; and tell whether plain Python did it alone."""
    needs, entities = Needs.of(analysed), timed_entities(held, as_of)
    lists = {name: version.members for name, version in members_at(held.lists, analysed.lists, as_of).items()}
    sources = lazy_sources(needs, held)
    columns = resolve(needs, held, sources(), lists, entities)
    made = resolve_inputs(needs, held, sources, lists, entities)
    plan = plan_for(needs, tuple(sorted(lists.items())), held.rates.base)
    try:
        plan.resolve(
            EntityContext(plan, held, entities, sources), lambda left: resolve(left, held, sources(), lists, entities)
        )
    except LeftToColumnsError:
        return made, columns, False
    # Where another entity cannot be read there is a column for that, empty here.
    return made, columns[[name for name in columns.columns if name in made.columns]], not plan.batch_only


@settings(max_examples=examples(100), phases=QUICK)
@given(rulesets(), worlds(), people_drawn, MANY_OR_FEW)
def test_one_entity_is_read_as_columns_are(ruleset_data: Data, world: World, people: list[Data], most: int) -> None:
    made = read(ruleset_data)
    analysed = AnalysedRuleset(made)
    for person in people:
        held = portfolio_of(world, [person], made)
        with patch.object(resolution, "MOST_PLAIN_ROWS", most):
            plain, columns, _ = both(analysed, held, to_microseconds(person["as_of"]))
        assert_frame_equal(plain, columns, check_column_order=False)  # what could not be read may stand behind


@pytest.mark.parametrize("name", ["fatf-retail", "eu-bank-weighted", "transaction-monitoring"])
def test_rulesets_that_ship_have_a_plain_form_throughout(name: str) -> None:
    analysed = AnalysedRuleset(bundled_ruleset(name))
    members = tuple((each, ()) for each in sorted(analysed.lists))
    assert plan_for(Needs.of(analysed), members, "EUR").batch_only == ()


ROWS = {
    "entity_id": ["e0", "e0", "e1"],
    "transaction_amount": [10.0, -30.0, 5.0],
    "transaction_currency": ["EUR"] * 3,
    "transaction_date": ["2024-06-01", "2024-06-02", "2024-06-03"],
}
SUM, COUNT = {"sum": "amount", "over": "90 days"}, {"count": "transactions"}
RULES = (
    rule("sum", case({"at_least": 40}, 10), input=SUM, decay={"half_life": "30 days", "signal": COUNT}),
    rule("share", case({"at_least": 0.5}, 10), input={"ratio": [SUM, COUNT]}),
    rule("found", case("present", 10), input={"field": "income"}),
)
ASKING = ruleset(*RULES)


def test_what_has_no_plain_form_is_asked_of_the_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sum, and the ratio and the signal that rest on it, fall back alone, and are named."""
    held = portfolio([{"income": 1}], transactions=pl.DataFrame(ROWS))
    with monkeypatch.context() as patched:
        patched.delitem(aggregates.PLAIN_FORMS, Sum)
        analysed = AnalysedRuleset(ruleset(*RULES, ruleset="falls-back"))  # plans are kept: no other test has this one
        plain, columns, is_all_plain = both(analysed, held, DAY)
        plan = plan_for(Needs.of(analysed), (), "EUR")
    assert not is_all_plain
    assert [type(each) for each in plan.batch_only] == [Sum, Ratio]
    assert_frame_equal(plain, columns)


@pytest.mark.parametrize(("most", "plainly"), [(3, True), (2, False)])
def test_very_many_transactions_are_asked_of_the_columns(
    monkeypatch: pytest.MonkeyPatch, most: int, plainly: bool
) -> None:
    """There queries are faster, and say the same; what reads no transactions is not asked of them."""
    held = portfolio([{"income": 1}], transactions=pl.DataFrame(ROWS))
    asked = list[str]()

    def noted(needs: Needs, *given: Any) -> pl.DataFrame:
        asked.extend(type(each).__name__ for each in needs.inputs)
        return resolve(needs, *given)

    with monkeypatch.context() as patched:
        patched.setattr(resolution, "MOST_PLAIN_ROWS", most)
        patched.setattr(resolution, "resolve", noted)
        made, columns, _ = both(AnalysedRuleset(ASKING), held, DAY)
    assert asked == ([] if plainly else ["Sum", "Count", "Ratio"])
    assert_frame_equal(made, columns)


@pytest.mark.parametrize("entity", [{"income": 1}, {"income": "ten"}, {}], ids=str)
@pytest.mark.parametrize("wrong", [{}, {"transaction_amount": [None, 1.0, 2.0]}], ids=str)
def test_what_cannot_be_read_is_asked_of_the_columns(entity: Data, wrong: Data) -> None:
    held = portfolio([entity], transactions=pl.DataFrame({**ROWS, **wrong}))
    plain, columns, is_all_plain = both(AnalysedRuleset(ASKING), held, DAY)
    assert is_all_plain is (not wrong and entity.get("income") != "ten")
    assert_frame_equal(plain, columns)


def test_a_window_that_says_something_new_is_asked_of_the_columns() -> None:
    """What an aggregate may say one day, and its plain form does not know, is never left out."""
    facts = LinkedFacts(pl.LazyFrame(), {"amount": "number"}, base="EUR")
    with patch.object(aggregates, "_COMMON", frozenset({"where", "over", "ending"})):
        assert plain_aggregate(Sum(sum="amount"), facts, {})
        with pytest.raises(NoPlainFormError):
            plain_aggregate(Sum(sum="amount", in_currency="USD"), facts, {})
