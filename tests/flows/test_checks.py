"""What makes a flow unusable is found before anything is run by it, and said with what would be right."""

import json
from typing import Any

import polars as pl
import pytest

from fivefold.domain.errors import InvalidRulesetError
from fivefold.flows.checks import asked_diagnostics
from fivefold.flows.steps import RowContext, RunContext
from fivefold.flows.trace import explain_run
from fivefold.risk.compiler.analysis import AnalysedPolicy
from fivefold.risk.compiler.purposes import Sources
from tests.flows.flows_small import ACTIONS, END, HIGH, NOTHING, analysed, document, program
from tests.golden import compare
from tests.risk.engine.policies_small import policy

Data = dict[str, Any]
INCOME: Data = {"field": "income"}
POLICY = AnalysedPolicy(policy({"when": HIGH, "action": "block"}))


def told(steps: list[Data], parts: Data) -> str:
    made = analysed(document(*steps, **parts), {"small": POLICY})
    found = [*made.diagnostics, *made.purpose_diagnostics(Sources())]
    return " | ".join(f"{'.'.join(map(str, fault.path))}: {fault.problem}" for fault in found) or "nothing"


def test_of_all_time_zones_the_one_that_was_meant_is_suggested() -> None:
    daily = {"on": "schedule", "every": "day", "at": "09:00", "zone": "Europe/Osol"}
    with pytest.raises(InvalidRulesetError, match="not a time zone of the tz database; perhaps Europe/Oslo was"):
        analysed(document(END, triggers=[daily]))


ENDED = {"id": "over", "title": "Over", "status": "blocked", "relationship": "ended"}


def asking(answers: dict[str, str], otherwise: str = "done") -> Data:
    person = {"question": "Is it over?", "within": "5 days", "answers": answers, "otherwise": otherwise}
    return {"id": "p", "person": person}


def test_an_answer_must_decide_about_a_relationship() -> None:
    over: Data = {"id": "o", "title": "Over", "end": ["over"]}
    route = {"id": "r", "route": [{"when": HIGH, "to": "o"}], "otherwise": "done", "on_unknown": "o"}
    same = document(asking({"aye": "r", "nay": "r"}), route, over, END, actions=[*ACTIONS, ENDED])
    assert "without the answer of a person that decides it" in str(analysed(same).errors[0])
    decides = document(asking({"aye": "o", "nay": "done"}), over, END, actions=[*ACTIONS, ENDED])
    assert not analysed(decides).errors
    nobody = document(asking({"aye": "o", "nay": "done"}, "o"), over, END, actions=[*ACTIONS, ENDED])
    assert analysed(nobody).errors


def test_what_is_wrong_is_found_at_its_place() -> None:
    compare("flow_errors", lambda row: told(row[0], row[1]))


def test_what_is_wrong_of_a_policy_that_is_asked() -> None:
    asks = [{"id": "ask", "rules": {"policy": "small"}}, END]
    rule = {"when": {"value": "score", "above": 1}, "action": "block"}
    other = policy(rule, entity_type="account", levels=["a", "b", "c"])
    made = analysed(document(*asks), {"small": AnalysedPolicy(other)})
    assert [each.problem for each in asked_diagnostics(made)] == [
        "small is about entities of the type account alone",
        "small has the levels a, b, c; the flow has other ones",
    ]
    assert "there is no policy small; there are none" in str(analysed(document(*asks)).errors[0])


def test_a_flow_without_steps_is_refused_when_it_is_read() -> None:
    with pytest.raises(InvalidRulesetError, match="steps: has 0; there must be at least 1"):
        analysed(document())


@pytest.mark.parametrize("amount", [0.005, 1.001])
def test_a_part_of_a_cent_is_refused_when_the_currency_is_known(amount: float) -> None:
    limit = {"id": "l", "title": "L", "limit": "daily", "amount": amount, "between": [0, 5]}
    with pytest.raises(InvalidRulesetError, match="not a whole number"):
        program(document({**END, "end": ["l"]}, actions=[*ACTIONS, limit]))
    table = {"gives": {"m": "money"}, "rows": [{"when": HIGH, "give": {"m": amount}}], "otherwise": {"m": 0}}
    with pytest.raises(InvalidRulesetError, match="not a whole number"):
        program(document({"id": "t", "table": table}, END))


def test_every_part_of_a_cent_is_named() -> None:
    limit = {"id": "l", "title": "L", "limit": "daily", "amount": 1.001, "between": [0.005, 5]}
    rows = [{"when": HIGH, "give": {"m": 2.005, "n": 0.005}}, {"when": HIGH, "give": {"m": 2, "n": 0}}]
    table = {"gives": {"m": "money", "n": "number"}, "rows": rows, "otherwise": {"m": 500.555, "n": 0}}
    with pytest.raises(InvalidRulesetError) as refused:
        program(document({"id": "t", "table": table}, {**END, "end": ["l"]}, actions=[*ACTIONS, limit]))
    assert [(each.where, each.problem.split(",")[0]) for each in refused.value.findings] == [
        ("action l, amount", "is 1.001"),
        ("action l, between", "is 0.005"),
        ("step t, m", "is 2.005"),
        ("step t, m", "is 500.555"),
    ]


def test_a_condition_may_be_nested_and_words_may_be_any() -> None:
    when: Data = {"field": "city", "equals": "Zürich"}
    for _ in range(40):
        when = {"not": when}
    step = {"id": "r", "title": "Größe → 日本", "route": [{"when": when, "to": "done"}], "otherwise": "nothing"}
    made = program(document(step, END, NOTHING, fields={"city": "text"}))
    row = made.run_row({'{"field":"city"}': "Zürich"}, RowContext({}, {}))
    assert row["step r"] == 0
    assert explain_run(made, row).steps[0].sentence.startswith("Größe → 日本: city is Zürich")


def test_a_table_of_a_thousand_rows_gives_the_first_that_holds() -> None:
    rows = [{"when": {**INCOME, "equals": number}, "give": {"n": number}} for number in range(1_000)]
    table = {"gives": {"n": "number"}, "rows": rows, "otherwise": {"n": -1}, "on_unknown": {"n": -2}}
    made = program(document({"id": "t", "table": table}, END))
    incomes = [0.0, 999.0, 1_000.0, None]
    found = made.run(pl.DataFrame({json.dumps(INCOME, separators=(",", ":")): incomes}), RunContext({}, {}))
    output = made.steps[0].outputs["n"].name
    assert found[output].to_list() == [0.0, 999.0, -1.0, -2.0]
    alone = [made.run_row({'{"field":"income"}': income}, RowContext({}, {}))[output] for income in incomes]
    assert alone == [0.0, 999.0, -1.0, -2.0]
    assert explain_run(made, found.row(3, named=True)).steps[0].missing == ("income",)


def agreed(*answers: tuple[str, str], on_failure: str = "flag") -> Data:
    """A flow whose end takes what a publisher must agree to, past persons of some roles with what `no` leads to."""
    asks: list[Data] = []
    for number, (role, no) in enumerate(answers):
        to = f"p{number + 1}" if number + 1 < len(answers) else "open"
        person = {"question": "May it be?", "role": role, "within": "1 day", "answers": {"aye": to, "no": no}}
        asks.append({"id": f"p{number}", "person": {**person, "otherwise": "nothing"}})
    raised = {"id": "raise", "title": "Raise", "status": "approved", "agreed_by": "publisher"}
    opened: Data = {"id": "open", "title": "Open", "end": ["raise"]}
    return document(*asks, opened, NOTHING, actions=[*ACTIONS, raised], on_failure=[on_failure])


@pytest.mark.parametrize(
    ("answers", "problem"),
    [
        ([("publisher", "nothing")], ""),
        ([("investigator", "nothing"), ("publisher", "nothing")], ""),
        ([("investigator", "nothing")], "by p0 → open"),
        ([("publisher", "open")], "by p0 → open"),
        ([("publisher", "p1"), ("investigator", "nothing")], "by p0 → p1 → open"),
        ([], "by open"),
    ],
)
def test_who_must_agree_is_asked_on_every_way(answers: list[tuple[str, str]], problem: str) -> None:
    found = [str(each) for each in analysed(agreed(*answers)).errors]
    assert len(found) == bool(problem)
    assert all("raise: taken without the answer of a publisher that decides it, " + problem in one for one in found)


def test_nobody_agrees_to_what_follows_a_failure() -> None:
    found = analysed(agreed(("publisher", "nothing"), on_failure="raise")).errors
    assert "raise: taken after a failure without the answer of a publisher" in str(found[0])


def test_a_run_says_in_which_role_somebody_agreed_and_where() -> None:
    both = program(agreed(("investigator", "nothing"), ("publisher", "nothing")))
    facts = pl.DataFrame({"entity_id": ["a"]})
    answers = {f"p{number}": pl.Series(f"p{number}", ["aye"], dtype=pl.String) for number in range(2)}
    run = explain_run(both, both.run(facts, RunContext({}, answers)).row(0, named=True), RowContext({}, {}))
    assert [(each.action, each.agreed_by) for each in run.actions] == [("raise", "publisher at p1")]
    assert run.as_json()["actions"][0]["agreed_by"] == "publisher at p1"
    assert "agreed_by" not in explain_run(program(document(END)), _ended()).as_json()["actions"][0]


def _ended() -> dict[str, Any]:
    plain = program(document(END))
    return plain.run(pl.DataFrame({"entity_id": ["a"]}), RunContext({}, {})).row(0, named=True)
