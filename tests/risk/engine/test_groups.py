"""Values over those linked: the engine against the slow reference, one entity alone, and the moments of time."""

import json
from dataclasses import replace
from datetime import date
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fivefold.domain.clock import DAY_US, parse_moment
from fivefold.domain.errors import InvalidRulesetError
from fivefold.domain.money import base_only
from fivefold.risk.compiler.analysis import AnalysedRuleset, analyse_text
from fivefold.risk.engine.assess import assess
from fivefold.risk.engine.assessments import Assessments
from fivefold.risk.engine.explain.breakdown import as_json_text, explain, explain_all
from fivefold.risk.engine.next_change import next_changes
from fivefold.risk.facts.groups.links import MOST_LINKED, Links
from fivefold.risk.facts.portfolio import AS_OF, NOT_READ, Portfolio
from fivefold.risk.governance.disclosure import is_disclosable, is_whole
from fivefold.risk.language.expressions import input_key
from tests.depth import examples
from tests.risk.engine.drawn.groups import linked_portfolio, rulesets_with_groups, worlds_of_groups
from tests.risk.engine.drawn.rulesets import read
from tests.risk.engine.drawn.worlds import as_ofs, levels_before, standing
from tests.risk.engine.reference.conditions import World
from tests.risk.engine.test_assess import QUICK, answer_of, expected
from tests.risk.engine.test_time_changes import held, outcome

Data = dict[str, Any]
NOW = parse_moment("2024-06-30", "now")
Drawn = tuple[World, list[Data]]


def run(ruleset: Data, world: World, people: list[Data]) -> Assessments:
    made = read(ruleset)
    portfolio = linked_portfolio(world, people, made)
    overrides = standing(people, "override", ("level", "until"))
    return assess(AnalysedRuleset(made), portfolio, as_ofs(people), levels_before(people), overrides)


@settings(max_examples=examples(60), phases=QUICK)
@given(rulesets_with_groups(), worlds_of_groups())
def test_engine_is_the_reference_over_those_linked(ruleset: Data, drawn: Drawn) -> None:
    world, people = drawn
    found = run(ruleset, world, people)
    for position, entity in enumerate(people):
        assert answer_of(found, position) == expected(ruleset, world, entity), entity["entity_id"]


@settings(max_examples=examples(20), phases=QUICK)
@given(rulesets_with_groups(), worlds_of_groups())
def test_one_entity_alone_is_told_the_same_with_the_same_path(ruleset: Data, drawn: Drawn) -> None:
    world, people = drawn
    together = [as_json_text(one) for one in explain_all(run(ruleset, world, people))]
    for position, entity in enumerate(people):
        alone = run(ruleset, world, [entity])
        assert as_json_text(explain(alone, 0)) == together[position]


@settings(max_examples=examples(40), phases=QUICK, deadline=None)
@given(rulesets_with_groups(), worlds_of_groups(), st.lists(st.floats(0, 1), min_size=3, max_size=3))
def test_nothing_of_those_linked_changes_a_level_before_the_moment_that_is_announced(
    ruleset: Data, drawn: Drawn, parts: list[float]
) -> None:
    (world, people), analysed = drawn, AnalysedRuleset(read(ruleset))
    portfolio = linked_portfolio(world, people, analysed.ruleset)
    overrides = standing(people, "override", ("level", "until"))
    first = assess(analysed, portfolio, as_ofs(people), levels_before(people), overrides, ahead=True)
    announced = next_changes(first, overrides, portfolio.lists)
    now = first.outcomes[AS_OF]
    length = announced["next_us"] - now
    before = held(first)
    again = assess(analysed, portfolio, now, before, overrides)
    for share in (*parts, 1.0):
        later = now + ((length - 1) * share).cast(pl.Int64).clip(0, length - 1)
        then = assess(analysed, portfolio, later, before, overrides)
        assert outcome(then).equals(outcome(again)), (now.to_list(), later.to_list())


def ruleset_of(group: Data, **parts: Any) -> AnalysedRuleset:
    """Make a ruleset of one rule, which asks something of those linked."""
    kinds = {"household": {"kind": "shared"}, "owns": {"kind": "directed"}}
    rule = {"id": "one", "title": "One", "category": "other", "input": {"linked": group}, **parts.pop("rule", {})}
    when = {"equals": True} if "any" in group else {"at_least": 1}
    whole = {
        "ruleset": "small",
        "entity_type": "customer",
        "fields": {"income": "number"},
        "links": kinds,
        "levels": ["low", "medium", "high"],
        "score": {"points": {"thresholds": [10, 20]}},
        "max_recompute_interval": "1 year",
        "rules": [{**rule, "cases": [{"when": when, "points": 10}]}],
        **parts,
    }
    return analyse_text(json.dumps(whole))


def portfolio(links: list[Data], *names: str, **tables: Any) -> Portfolio:
    everyone = pl.DataFrame({"entity_id": list(names or "ABC"), "income": [1.0] * len(names or "ABC")})
    frame = pl.DataFrame(links, infer_schema_length=None)
    return Portfolio(everyone, base_only("EUR", date(2024, 6, 30)), links=Links(frame), everyone=everyone, **tables)


def refused(group: Data) -> str:
    try:
        return str(ruleset_of({"by": "household", **group}).require_usable())
    except InvalidRulesetError as error:
        return str(error)


def test_what_is_offered_of_those_linked_is_not_refused_then() -> None:
    ratio = {"ratio": [{"sum": "amount"}, {"field": "income"}]}
    offered = "is not a number of each of those linked; it must have one of the words count, sum, mean,"
    assert offered in refused({"mean": ratio})
    assert "indicator" not in refused({"mean": ratio})
    assert refused({"mean": {"value": "score"}}).endswith("of them there are fields and aggregates")
    assert refused({"any": {"value": "score", "above": 1}}).endswith(
        "of them there are tags, screenings, ratios, fields and aggregates"
    )
    assert refused({"any": {**ratio, "above": 1}}) == "None"


def household(name: str | None, thing: str | None = "H1", **more: Any) -> Data:
    return {"type": "household", "from": name, "to": thing, "valid_from": None, "valid_until": None, **more}


def value(analysed: AnalysedRuleset, there: Portfolio, entity: str = "A", at: int = NOW) -> Any:
    only = replace(there, entities=there.entities.filter(pl.col("entity_id") == entity))
    return assess(analysed, only, at).inputs[input_key(analysed.inputs[0])][0]


COUNT = {"by": "household", "count": "entities"}


def test_nobody_on_record_is_unknown_and_nobody_else_is_none() -> None:
    analysed = ruleset_of(COUNT)
    assert value(analysed, portfolio([household("B")])) is None
    assert value(analysed, portfolio([household("A", None)])) == 0
    assert value(analysed, portfolio([household("A"), household("B")])) == 1
    assert value(analysed, portfolio([household("A", valid_until="2024-06-30"), household("B")])) == 0
    assert value(analysed, portfolio([household("A", valid_from="2024-07-01"), household("B")])) is None


def test_links_that_cannot_be_read_make_all_who_may_be_concerned_unknown() -> None:
    broken = [household("A"), household("B", valid_from="soon"), household("C", "H2"), household("D", "H2")]
    there = portfolio(broken, *"ABCD")
    assert [value(ruleset_of(COUNT), there, name) for name in "ABCD"] == [None, None, 1, 1]
    torn = portfolio([{**household("A"), NOT_READ: None}, {**household("A", None), NOT_READ: "too short"}])
    assert value(ruleset_of(COUNT), torn) is None


def test_a_group_that_is_too_large_is_unknown_and_its_breakdown_says_so() -> None:
    names = ["A", *(f"x{number}" for number in range(MOST_LINKED + 1))]
    analysed = ruleset_of(COUNT)
    assert value(analysed, portfolio([household(name) for name in names[:-1]])) == MOST_LINKED
    found = assess(analysed, portfolio([household(name) for name in names]), NOW)
    assert found.inputs[input_key(analysed.inputs[0])][0] is None
    assert f"{MOST_LINKED:,}" in explain(found, 0).rules[0].seen


def test_a_breakdown_names_what_is_shared_and_with_whom_but_not_what_others_share() -> None:
    there = portfolio([household("A"), household("B"), household("B", "H2"), household("C", "H2")])
    found = assess(ruleset_of({**COUNT, "steps": 2}), there, NOW)
    assert "household H1: B, C" in explain(found, 0).rules[0].seen
    assert "H2" not in explain(found, 0).rules[0].seen


def test_a_breakdown_names_of_whom_on_the_way_nothing_is_known() -> None:
    knows = {"knows": {"kind": "directed"}}
    group = {"by": "knows", "way": "to", "steps": 2, "count": "entities"}
    there = portfolio([{**household("A", "B"), "type": "knows"}])
    found = assess(ruleset_of(group, links=knows), there, NOW)
    seen = [explain(found, place).rules[0].seen.partition(" is ")[2] for place in (0, 1)]
    assert seen == [f"unknown, as nothing is known of links by knows{whose}" for whose in (" of B", "")]


@pytest.mark.parametrize(
    ("incomes", "value", "words"),
    [
        ([1.0, 1.0, 1.0], "unknown", "B, C; none of them counts"),
        ([1.0, 9.0, 1.0], "9", "B, C; those who count: B"),
        ([1.0, None, 9.0], "unknown", "B, C; not known of B"),
    ],
)
def test_a_breakdown_names_those_linked_who_count(incomes: list[float | None], value: str, words: str) -> None:
    group = {"by": "owns", "way": "to", "min": {"field": "income"}, "where": {"field": "income", "at_least": 5}}
    there = portfolio([owned("A", "B"), owned("A", "C")])
    people = pl.DataFrame({"entity_id": ["A", "B", "C"], "income": incomes})
    found = assess(ruleset_of(group), replace(there, entities=people, everyone=people), NOW)
    assert explain(found, 0).rules[0].seen.partition(" of income is ")[2] == f"{value}, through owns: {words}"


@pytest.mark.parametrize(
    ("incomes", "words"),
    [
        ([9.0] * 6, "B, C, D, E, F and 1 more; those who count: B, C, D, E, F and 1 more"),
        ([None] * 6, "B, C, D, E, F and 1 more; not known of B, C, D, E, F and 1 more"),
        ([9.0] * 5, "B, C, D, E, F; those who count: B, C, D, E, F"),
    ],
)
def test_a_breakdown_names_five_of_those_linked_and_counts_the_others(incomes: list[float | None], words: str) -> None:
    group = {"by": "owns", "way": "to", "min": {"field": "income"}, "where": {"field": "income", "at_least": 5}}
    names = "BCDEFG"[: len(incomes)]
    people = pl.DataFrame({"entity_id": ["A", *names], "income": [1.0, *incomes]})
    there = portfolio([owned("A", name) for name in names])
    found = assess(ruleset_of(group), replace(there, entities=people, everyone=people), NOW)
    assert explain(found, 0).rules[0].seen.endswith(f", through owns: {words}")


RICH = {"any": {"field": "income", "at_least": 1}}


def owned(name: str, by: str | None) -> Data:
    return {**household(name, by), "type": "owns"}


@pytest.mark.parametrize(
    ("group", "links", "words"),
    [
        ({"way": "to", "steps": 3}, [owned("A", "B"), owned("A", "C"), owned("B", None)], "B, C; it holds of B; C"),
        ({"way": "to", "steps": 3}, [owned("A", "C"), owned("A", "D"), owned("D", "B")], "B, C, D; it holds of B; C"),
        ({"way": "to", "itself": True}, [owned("B", "A")], "nobody else; it holds of A; "),
        ({"way": "both"}, [owned("A", "B")], "B; it holds of B; "),
        ({"way": "to"}, [owned("A", "B"), {**owned("A", "C"), "valid_from": "soon"}], "B; it holds of B; unreadable"),
    ],
)
def test_one_who_is_known_is_enough_for_any_though_of_another_no_link_is_on_record(
    group: Data, links: list[Data], words: str
) -> None:
    analysed = ruleset_of({"by": "owns", **group, **RICH})
    there = portfolio([*links, household("A", None)], *"AB")
    found = assess(analysed, there, NOW, ahead=True)
    shown, _, whose = words.rpartition("; ")
    lacks = f"nothing is known of links by owns{f' of {whose}' if whose else ''}"
    why = "a link by owns cannot be read" if whose == "unreadable" else lacks
    assert found.inputs[input_key(analysed.inputs[0])][0] is True
    assert explain(found, 0).rules[0].seen.endswith(f" is true, through owns: {shown}; {why}")
    poor = {**RICH["any"], "at_least": 2}
    assert value(ruleset_of({"by": "owns", **group, "any": poor}), there) is None, "false needs everybody"
    assert value(ruleset_of({"by": "owns", **group, "count": "entities", "where": RICH["any"]}), there) is None


def test_of_too_many_those_are_known_to_whom_fewer_links_lead() -> None:
    many = [owned("D", f"x{number}") for number in range(MOST_LINKED + 1)]
    there = portfolio([owned("A", "B"), owned("A", "D"), owned("B", "C"), owned("C", None), *many], *"ABCD")
    for name, expected_value in (("A", True), ("D", None)):
        assert value(ruleset_of({"by": "owns", "way": "to", "steps": 3, **RICH}), there, name) is expected_value
    assert value(ruleset_of({"by": "owns", "way": "to", "steps": 2, "count": "entities"}), there) is None


def test_time_moves_a_group_of_whom_not_everybody_is_known() -> None:
    asked = {"any": {"count": "transactions", "over": "30 days", "at_least": 1}}
    analysed = ruleset_of({"by": "owns", "way": "to", "steps": 2, **asked})
    rows = {"transaction_amount": 5.0, "transaction_currency": "EUR", "transaction_date": "2024-06-10"}
    there = portfolio(
        [owned("A", "B"), owned("A", "C"), owned("B", None)], transactions=pl.DataFrame([{"entity_id": "B", **rows}])
    )
    first = assess(analysed, there, NOW, ahead=True)
    assert first.moments is not None
    assert first.moments[input_key(analysed.inputs[0])][0] == NOW + 10 * DAY_US
    assert [value(analysed, there, at=NOW + days * DAY_US) for days in (9, 10)] == [True, None]


def test_what_cannot_be_read_of_one_entity_fails_that_one_and_is_unknown_for_others() -> None:
    analysed = ruleset_of({"by": "household", "sum": {"field": "income"}, "itself": True})
    there = portfolio([household("A"), household("B")], "A", "B")
    everyone = pl.DataFrame({"entity_id": ["A", "B"], "income": ["5", "ten"]})
    found = assess(analysed, replace(there, entities=everyone, everyone=everyone), NOW)
    assert found.outcomes["status"].to_list() == ["assessed", "failed"]
    assert "not known of B" in explain(found, 0).rules[0].seen


@pytest.mark.parametrize(
    ("links", "transaction", "days"),
    [
        ([household("A"), household("B", valid_until="2024-07-05")], None, 5),
        ([household("A"), household("B"), household("C", valid_from="2024-07-03")], None, 3),
        ([household("A"), household("B")], "2024-06-10", 10),
        ([household("A"), household("B")], "2024-07-02", 2),
    ],
)
def test_time_moves_what_those_linked_make(links: list[Data], transaction: str | None, days: int) -> None:
    analysed = ruleset_of({"by": "household", "sum": {"sum": "amount", "over": "30 days"}})
    columns = ("entity_id", "transaction_amount", "transaction_currency", "transaction_date")
    rows = [] if transaction is None else [("B", 5.0, "EUR", transaction)]
    kinds = dict(zip(columns, (pl.String, pl.Float64, pl.String, pl.String), strict=True))
    there = portfolio(links, transactions=pl.DataFrame(rows, schema=kinds, orient="row"))
    moments = assess(analysed, there, NOW, ahead=True).moments
    assert moments is not None
    assert moments[input_key(analysed.inputs[0])][0] == NOW + days * DAY_US


def test_who_is_linked_and_was_not_read_has_nothing_that_moves() -> None:
    """Nobody who is linked is known, so there is no moment as of which anything of them is looked at."""
    asked = {"all": [{"field": "income", "at_least": 1}, {"sum": "amount", "over": "30 days", "at_least": 1}]}
    analysed = ruleset_of({"by": "owns", "way": "to", "count": "entities", "where": asked})
    rows = {"transaction_amount": 5.0, "transaction_currency": "EUR", "transaction_date": "2024-06-10"}
    transactions = pl.DataFrame([{"entity_id": "A", **rows}])
    there = portfolio([{**household("A", "Z"), "type": "owns"}], "A", transactions=transactions)
    first = assess(analysed, there, NOW, ahead=True)
    assert first.moments is not None
    assert first.moments[input_key(analysed.inputs[0])].to_list() == [None]
    assert first.inputs[input_key(analysed.inputs[0])].to_list() == [None]
    own = there.entities.with_columns(known_at=pl.lit(date(2020, 1, 1)))
    other = own.with_columns(entity_id=pl.lit("Z"), known_at=pl.lit(date(2025, 1, 1)))
    second = assess(analysed, replace(there, everyone=pl.concat([own, other])), NOW, ahead=True)
    assert second.moments is not None
    assert second.moments[input_key(analysed.inputs[0])].to_list() == [parse_moment("2025-01-01", "known")]


def test_no_statement_shows_data_of_others_whatever_a_rule_says() -> None:
    said = ruleset_of({"by": "household", "sum": {"field": "income"}}, rule={"disclosable": True})
    assert not is_disclosable(said.ruleset.rules[0], said)
    assert not is_whole(said)
    calculated = {"share": {"unit": "ratio", "of": {"linked": {"by": "household", "sum": {"field": "income"}}}}}
    below = ruleset_of(COUNT, calculate=calculated, rule={"input": {"calculation": "share"}, "disclosable": True})
    assert not is_disclosable(below.ruleset.rules[0], below)


def test_commerce_reads_through_a_link_only_what_it_may_read_directly() -> None:
    group = {"by": "household", "sum": {"field": "income"}}
    commerce: Data = {"purpose": "commercial"}
    assert ruleset_of(group, **commerce, purposes={"fields": {"income": "both"}}).errors  # the links are aml
    assert ruleset_of(group, **commerce, purposes={"links": {"household": "both"}}).errors
    both: Data = {"fields": {"income": "both"}, "links": {"household": "both"}}
    assert not ruleset_of(group, **commerce, purposes=both).errors
    screened = {**COUNT, "where": {"screening": "pep", "is": "present"}}
    assert ruleset_of(screened, **commerce, purposes=both).errors


@pytest.mark.parametrize(
    "group",
    [
        {"by": "houshold", "count": "entities"},
        {"by": "household", "way": "to", "count": "entities"},
        {"by": "owns", "count": "entities"},
        {"by": "household", "sum": {"value": "score"}},
        {"by": "household", "any": {"linked": COUNT, "above": 1}},
        {"by": "household", "max": {"field": "missing"}},
        {"by": "household", "max": {"mean": "amount"}},
        {"by": "household", "any": {"field": "income", "equals": "ten"}},
        {"by": "household", "where": {"above": 1}, "count": "entities"},
    ],
)
def test_groups_that_have_no_meaning_are_refused(group: Data) -> None:
    assert ruleset_of(group).errors


def test_a_calculation_takes_the_part_of_a_household() -> None:
    own, whole = {"field": "income"}, {"linked": {"by": "household", "itself": True, "sum": {"field": "income"}}}
    part = {"part": {"unit": "ratio", "divide": [own, whole]}}
    analysed = ruleset_of(COUNT, calculate=part, rule={"input": {"calculation": "part"}})
    assert not analysed.errors
    assert value(analysed, portfolio([household("A"), household("B")])) == 0.5
