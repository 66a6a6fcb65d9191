"""A flow run for many entities: the table of ends, and the amounts that are set."""

from datetime import date

import polars as pl

from fivefold.domain.money import base_only
from fivefold.flows.examples import run_flow_examples
from fivefold.flows.run import run_flow
from fivefold.risk.facts.portfolio import Portfolio
from tests.flows.flows_small import analysed, document

RATES = base_only("EUR", date(2023, 11, 14))
STEPS = (
    {
        "id": "choice",
        "route": [{"when": {"field": "income", "above": 10}, "to": "rich"}],
        "otherwise": "poor",
    },
    {"id": "rich", "end": ["high"]},
    {"id": "poor", "end": []},
)
LIMITS = [
    {"id": "high", "title": "High", "limit": "daily", "amount": 500, "between": [0, 1000]},
    {"id": "none", "title": "None", "limit": "daily", "amount": 0, "between": [0, 0]},
]


def test_a_run_that_fails_sets_the_limit_of_on_failure() -> None:
    flow = analysed(document(*STEPS, actions=LIMITS, on_failure=["none"]))
    entities = pl.DataFrame(
        {"entity_id": ["a", "b", "c"], "income": [20.0, 5.0, None]} | dict.fromkeys(("country", "born"), [None] * 3)
    )
    runs = run_flow(flow, Portfolio(entities.with_columns(words=None), RATES), 1_700_000_000_000_000)
    table = runs.table
    assert table["status"].to_list() == ["ended", "ended", "failed"]
    assert table["actions"].to_list() == ["high", "", "none"]
    assert table["high_minor"].to_list() == [50_000, None, None]
    assert table["none_minor"].to_list() == [None, None, 0]
    assert runs.action_counts() == {"high": 1, "none": 1}
    assert runs.counts() == {"ended": {"rich": 1, "poor": 1}, "failed": {"choice": 1}, "waits": {}, "asks": {}}
    assert [action.amount_minor for action in runs.explain(2).actions] == [0]


def test_without_entities_there_are_no_runs() -> None:
    flow = analysed(document(*STEPS, actions=LIMITS, on_failure=["none"]))
    entities = pl.DataFrame(schema={"entity_id": pl.String, "income": pl.Float64})
    runs = run_flow(flow, Portfolio(entities, RATES), 1_700_000_000_000_000)
    assert len(runs.table) == 0
    assert runs.action_counts() == {"high": 0, "none": 0}


def test_two_limits_may_be_of_one_amount() -> None:
    amount = {"step": "room", "output": "amount"}
    limits = [
        {"id": name, "title": name, "limit": name, "amount": amount, "between": [0, 1000]} for name in ("day", "night")
    ]
    room = {"gives": {"amount": "money"}, "rows": [], "otherwise": {"amount": 5}}
    rows = [{"when": {"field": "income", "above": 10}, "give": {"amount": 50}}]
    choice = {**STEPS[0], "otherwise": "poor"}
    steps = ({"id": "room", "table": room | {"rows": rows}}, choice, {"id": "rich", "end": ["day", "night"]}, STEPS[2])
    flow = analysed(document(*steps, actions=[*limits, LIMITS[1]], on_failure=["none"]))
    entities = pl.DataFrame({"entity_id": ["a", "b"], "income": [20.0, 5.0]})
    table = run_flow(flow, Portfolio(entities, RATES), 1_700_000_000_000_000).table
    assert table["day_minor"].to_list() == table["night_minor"].to_list() == [5_000, None]


def test_the_order_of_names_makes_no_difference() -> None:
    answers = {"yes": "rich", "no": "poor"}
    steps = [
        {"id": "ask", "person": {"question": "?", "within": "1 day", "answers": each, "otherwise": "poor"}}
        for each in (answers, dict(reversed(answers.items())))
    ]
    one, other = (analysed(document(step, STEPS[1], STEPS[2], actions=LIMITS, on_failure=["none"])) for step in steps)
    assert one.flow == other.flow
    assert one.flow.content_hash == other.flow.content_hash
    assert list(one.flow.steps[0].person.answers) == ["no", "yes"]


def test_the_transaction_of_an_example_happens_at_its_moment_unless_it_says_otherwise() -> None:
    days = [{"when": {"transaction": "time", "at_least": "2026-11-01"}, "to": "rich"}]
    choice = {"id": "choice", "route": days, "otherwise": "poor"}
    examples = [
        {"name": "now", "as_of": "2026-11-02", "given": {"transaction": {"amount": 1}}, "ends": "rich"},
        {"name": "before", "as_of": "2026-10-31", "given": {"transaction": {"amount": 1}}, "ends": "poor"},
        {"name": "said", "given": {"transaction": {"amount": 1, "time": "2026-11-02"}}, "ends": "rich"},
    ]
    flow = analysed(document(choice, *STEPS[1:], actions=LIMITS, on_failure=["none"], examples=examples))
    assert run_flow_examples(flow, {}, 1_700_000_000_000_000).failed == 0
