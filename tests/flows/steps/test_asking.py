"""Steps that ask a ruleset, the value or another flow: what cannot be asked, what is read for whom, and why."""

from datetime import date
from typing import Any

import polars as pl
import pytest

from fivefold.domain.money import base_only
from fivefold.flows.analysis import AnalysedFlow
from fivefold.flows.examples import run_flow_examples
from fivefold.flows.run import Runs, run_flow
from fivefold.flows.trace import explain_run
from fivefold.risk.compiler.purposes import Sources
from fivefold.risk.facts.portfolio import Portfolio
from tests.flows.flows_small import END, HIGH, NOTHING, analysed, document

Data = dict[str, Any]
NOW = 1_700_000_000_000_000
CALM: Data = {"id": "calm", "title": "Calm", "end": []}
ASKS_PLAIN: Data = {"id": "today", "rules": {"ruleset": "plain"}}
ASKS_INNER: Data = {"id": "other", "flow": "inner"}
ASKS_VALUE: Data = {"id": "worth", "value": {}}


def ruleset(**parts: Any) -> Data:
    case = {"when": {"field": "income", "above": 10}, "points": 40, "floor": "medium"}
    rule = {"id": "rich", "title": "Rich", "category": "other", "cases": [case]}
    return {
        "ruleset": "plain",
        "entity_type": "customer",
        "fields": {"income": "number", "size": "number"},
        "levels": ["green", "medium", "red", "black"],
        "score": {"points": {"thresholds": [31, 61, 90]}},
        "max_recompute_interval": "180 days",
        "rules": [rule],
        **parts,
    }


def inner(*steps: Data, name: str = "inner", **parts: Any) -> Data:
    return document(*(steps or (CALM,)), flow=name, **parts)


def problems(made: AnalysedFlow) -> list[str]:
    found = [*made.diagnostics, *made.purpose_diagnostics(Sources())]
    return [f"{'.'.join(map(str, each.path))}: {each.problem}" for each in found]


def ran(made: AnalysedFlow, incomes: list[float | None], **parts: Any) -> Runs:
    entities = pl.DataFrame(
        {"entity_id": [f"e{number}" for number in range(len(incomes))], "income": incomes, "size": incomes}
    ).with_columns(country=pl.lit("NO"), born=pl.lit(None, pl.String), words=pl.lit(None, pl.List(pl.String)))
    return run_flow(made, Portfolio(entities, base_only("EUR", date(2023, 11, 14)), **parts), NOW)


def test_flows_that_ask_each_other_are_refused_with_the_way() -> None:
    first, second = inner({**ASKS_INNER, "flow": "second"}, END), inner(ASKS_INNER, END, name="second")
    made = analysed(document(ASKS_INNER, END), flows=[first, second])
    assert problems(made) == ["steps.0.flow: leads back: inner → second → inner; no flow can ask one that asks it"]
    itself = analysed(document({**ASKS_INNER, "flow": "small"}, END), flows=[document(END)])
    assert problems(itself) == ["steps.0.flow: leads back: small → small; no flow can ask one that asks it"]


PERSON: Data = {"question": "?", "within": "1 day", "answers": {"yes": "done", "no": "done"}, "otherwise": "done"}


DATA: Data = {"source": "register", "send": {"income": {"field": "income"}}, "gives": {"status": "text"}}


@pytest.mark.parametrize(
    ("other", "problem"),
    [
        (inner(name="elsewhere"), "there is no flow inner"),
        (inner({"id": "ask", "person": PERSON}, END), "inner waits at ask; a flow that is asked answers at once"),
        (inner({"id": "far", "data": DATA}, END), "inner waits at far; a flow that is asked answers at once"),
        (inner(levels=["a", "b", "c"]), "inner has the levels a, b, c; the flow has other ones"),
        (inner(entity_type="account"), "inner is about entities of the type account alone"),
        (inner(fields={"income": "text"}), "inner declares income otherwise under fields; both must be the same"),
        (inner({**END, "end": ["gone"]}), "inner cannot be used: step done, end 1: there is no action gone"),
    ],
    ids=["not there", "a person", "the outside", "levels", "type", "fields", "wrong itself"],
)
def test_a_flow_that_cannot_be_asked_is_refused(other: Data, problem: str) -> None:
    [found] = problems(analysed(document(ASKS_INNER, END), flows=[other]))
    assert found.startswith("steps.0.flow: ")
    assert problem in found


def test_so_many_flows_at_most_are_run_where_one_is() -> None:
    """Each asks the next one and the one after it, so that their number grows as Fibonacci's."""
    names = [f"f{number}" for number in range(10)]
    asks = [[names[below] for below in (number + 1, number + 2) if below < len(names)] for number in range(len(names))]
    flows = [
        inner(*({"id": f"ask-{each}", "flow": each} for each in asked), END, name=name)
        for name, asked in zip(names, asks, strict=True)
    ]
    made = analysed(document({**ASKS_INNER, "flow": "f0"}, END), flows=flows)
    assert made.inner_count == 144
    assert any("runs 144 flows" in each for each in problems(made))
    fewer = analysed(document({**ASKS_INNER, "flow": "f4"}, END), flows=flows)
    assert (fewer.inner_count, problems(fewer)) == (21, [])


def test_a_ruleset_that_is_not_there_or_is_of_another_type_is_refused() -> None:
    flow = document(ASKS_PLAIN, END)
    assert problems(analysed(flow)) == ["steps.0.rules.ruleset: there is no ruleset plain; there are none"]
    [found] = problems(analysed(flow, rulesets=[ruleset(entity_type="account")]))
    assert found == "steps.0.rules.ruleset: plain is about entities of the type account alone"


def commercial(*steps: Data, **parts: Any) -> Data:
    return document(*steps, purpose="commercial", purposes={"fields": {"income": "both"}}, **parts)


def test_commerce_reaches_no_level_by_a_ruleset_or_through_another_flow() -> None:
    for_both = ruleset(purpose="both", purposes={"fields": {"income": "both"}})
    assert problems(analysed(commercial(ASKS_PLAIN, END), rulesets=[for_both])) == []
    [level] = problems(analysed(commercial(ASKS_PLAIN, END), rulesets=[for_both | {"purpose": "aml"}]))
    assert level.endswith("flow small → step today → ruleset plain → the level by plain")
    said = {"fields": {"income": "aml"}}
    [field] = problems(analysed(commercial(ASKS_PLAIN, END), rulesets=[ruleset(purpose="both", purposes=said)]))[:1]
    assert field.startswith("steps.0.rules.ruleset: reads field income")
    route = {"id": "r", "route": [{"when": HIGH, "to": "done"}], "otherwise": "nothing"}
    [through] = problems(analysed(commercial(ASKS_INNER, END), flows=[inner(route, END, NOTHING)]))
    assert through.endswith("flow small → step other → flow inner → step r → level in_force")
    below = inner(ASKS_PLAIN, END)
    [deep] = problems(analysed(commercial(ASKS_INNER, END), rulesets=[for_both | {"purpose": "aml"}], flows=[below]))
    assert deep.endswith("flow small → step other → flow inner → step today → ruleset plain → the level by plain")
    assert problems(analysed(commercial(ASKS_VALUE, END))) == []


def test_what_a_flow_that_asks_says_of_its_data_holds_for_the_one_that_is_asked() -> None:
    """The stricter word counts, on whichever side it is said."""
    reads = {"id": "r", "route": [{"when": {"field": "income", "above": 1}, "to": "done"}], "otherwise": "nothing"}
    other = inner(reads, END, NOTHING, purposes={"fields": {"income": "both"}})
    assert problems(analysed(commercial(ASKS_INNER, END), flows=[other])) == []
    strict = commercial(ASKS_INNER, END) | {"purposes": {"fields": {"income": "aml"}}}
    [found] = problems(analysed(strict, flows=[other]))
    assert found.endswith("flow inner → step r → field income")


LEVEL_ROUTE: Data = {
    "id": "r",
    "route": [{"when": {"step": "today", "output": "level", "at_least": "red"}, "to": "done"}],
    "otherwise": "nothing",
}


def test_a_ruleset_gives_its_own_levels_and_their_order() -> None:
    made = analysed(document(ASKS_PLAIN, LEVEL_ROUTE, END, NOTHING), rulesets=[ruleset(score=_tiers())])
    runs = ran(made, [5.0, 50.0, None])
    output = runs.program.steps[0].outputs["total"].name
    assert runs.outcomes[output].to_list() == [0.0, 40.0, 0.0]
    assert runs.table["at"].to_list() == ["nothing", "done", "nothing"]
    why = runs.explain(1).steps[0]
    assert why.gives == {"level": "red", "total": "40"}
    assert (why.asked, why.seen, why.missing) == ("ruleset plain", "Score 40: Rich 40; Red", ())
    assert why.sentence == "Step 0: Score 40: Rich 40; Red; gives level red, total 40"


def _tiers() -> Data:
    return {"points": {"thresholds": [31, 40, 90]}}


def test_a_ruleset_that_gives_no_level_leads_to_on_unknown_or_fails() -> None:
    applies = {"applies_to": {"field": "size", "above": 3}}
    steps = [ASKS_PLAIN, END, NOTHING]
    runs = ran(analysed(document(*steps), rulesets=[ruleset(**applies)]), [1.0, None, 5.0])
    assert runs.table["status"].to_list() == ["failed", "failed", "ended"]
    assert [runs.explain(number).steps[0].outcome for number in range(3)] == [
        "it does not apply",
        "it is not known whether it applies",
        "asked",
    ]
    assert "size" in " ".join(runs.explain(1).steps[0].missing)
    rows = runs.outcomes.iter_rows(named=True)
    without_inputs = [explain_run(runs.program, row).steps[0] for row in rows]
    assert [(step.outcome, step.asked) for step in without_inputs] == [
        ("it does not apply", "ruleset plain"),
        ("it is not known whether it applies", "ruleset plain"),
        ("asked", "ruleset plain"),
    ]
    steps = [{**ASKS_PLAIN, "on_unknown": "nothing"}, END, NOTHING]
    runs = ran(analysed(document(*steps), rulesets=[ruleset(**applies)]), [1.0, None, 5.0])
    assert runs.table["at"].to_list() == ["nothing", "nothing", "done"]


def test_the_value_says_by_which_model_and_when() -> None:
    values = pl.DataFrame(
        {
            "entity_id": ["e0", "e1"],
            "score": [4.0, None],
            "segment": ["high", None],
            "expected_value": [120.5, None],
            "model": ["value", "value"],
            "model_version": [7, 7],
            "as_of_us": [NOW, NOW],
        }
    )
    runs = ran(analysed(document(ASKS_VALUE, END)), [1.0, 2.0, 3.0], values=values)
    assert runs.table["status"].to_list() == ["ended", "failed", "failed"]
    [told, *_] = runs.explain(0).steps
    assert told.seen == "by value version 7 as of 2023-11-14T22:13:20Z"
    ends = dict.fromkeys(("expected_value_low", "expected_value_high"), "unknown")
    assert told.gives == {"score": "4", "segment": "high", "expected_value": "120.5", **ends}
    assert runs.explain(1).steps[0].outcome == "there is no value"
    without_version = ran(analysed(document(ASKS_VALUE, END)), [1.0], values=values.drop("model_version", "as_of_us"))
    assert without_version.explain(0).steps[0].seen == "by value"


def test_the_value_says_why_its_money_is_unknown() -> None:
    row = {"entity_id": "e0", "score": 4.0, "segment": "high", "expected_value": 120.5, "currency": "USD"}
    values = pl.DataFrame([{**row, "model": "value", "model_version": 7, "as_of_us": NOW}])
    runs = ran(analysed(document({**ASKS_VALUE, "on_unknown": "nothing"}, END, NOTHING)), [1.0], values=values)
    assert runs.table["at"].to_list() == ["done"], "the score is known"
    [told, *_] = runs.explain(0).steps
    assert told.gives["expected_value"] == "unknown"
    assert told.seen == (
        "by value version 7 as of 2023-11-14T22:13:20Z, money is unknown, as the value model gives it in USD, and rules"
        " read money in EUR"
    )


def test_the_value_comes_with_the_ends_between_which_it_will_lie() -> None:
    """A high end that is not known is not 0, and does not make the value unknown."""
    values = pl.DataFrame(
        {
            "entity_id": ["e0", "e1", "e2"],
            "score": [4.0, 4.0, 4.0],
            "segment": ["high", "high", "high"],
            "expected_value": [120.5, 20.0, 8.0],
            "expected_value_low": [0.0, 0.0, None],
            "expected_value_high": [310.0, None, None],
        }
    )
    runs = ran(analysed(document(ASKS_VALUE, END)), [1.0, 2.0, 3.0], values=values)
    assert runs.table["status"].to_list() == ["ended"] * 3
    gives = [runs.explain(number).steps[0].gives for number in range(3)]
    assert (gives[0]["expected_value_low"], gives[0]["expected_value_high"]) == ("0", "310")
    assert gives[1]["expected_value_low"] == "0"
    assert [one["expected_value_high"] for one in gives[1:]] == ["unknown", "unknown"]


def test_what_an_asked_flow_would_do_is_not_done() -> None:
    income = {"id": "r", "route": [{"when": {"field": "income", "above": 10}, "to": "done"}], "otherwise": "nothing"}
    route = {
        "id": "way",
        "route": [{"when": {"step": "other", "output": "ends", "equals": "done"}, "to": "block"}],
        "otherwise": "nothing",
    }
    block = {"id": "block", "end": ["block"]}
    made = analysed(document(ASKS_INNER, route, block, NOTHING), flows=[inner(income, END, NOTHING)])
    runs = ran(made, [50.0, 1.0, None])
    assert runs.table["actions"].to_list() == ["block", "", "flag"]
    assert [step.step for step in runs.explain(0).steps[0].inner] == ["r", "done"]
    failed = runs.explain(2)
    assert (failed.status, failed.steps[0].outcome, failed.steps[0].missing) == (
        "failed",
        "its run failed",
        ("income",),
    )
    assert failed.as_json()["steps"][0]["inner"][0]["step"] == "r"


def test_examples_give_the_fields_of_what_is_asked() -> None:
    cases = [{"when": {"field": "size", "above": 1}, "points": 70}]
    rules = [{"id": "large", "title": "Large", "category": "other", "cases": cases}]
    examples = [
        {"name": "large", "given": {"size": 5, "income": 3}, "ends": "done"},
        {"name": "small", "given": {"size": 0}, "ends": "nothing"},
    ]
    flow = document(ASKS_PLAIN, LEVEL_ROUTE, END, NOTHING, fields={}, examples=examples)
    found = run_flow_examples(analysed(flow, rulesets=[ruleset(rules=rules)]), {}, NOW)
    assert found.failed == 0
    assert found.missing() == []


def test_documents_without_these_steps_keep_their_hash() -> None:
    """The hash of a document that was stored before these steps were there."""
    policy = {"id": "p", "rules": {"policy": "small"}, "on_unknown": "done"}
    made = analysed(document(policy, END)).flow
    assert '"rules":{"policy":"small"}' in made.canonical
    value = analysed(document(ASKS_VALUE, END)).flow
    assert '"value":{}' in value.canonical
