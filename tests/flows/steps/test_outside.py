"""Steps that ask the outside: what they send and give, what is said of them, and what becomes of one that fails."""

from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fivefold.flows.examples import run_flow_examples
from fivefold.flows.outside.outcomes import AgentReason, OutsideOutcome, failed_outcome, fitted, read_outcome
from fivefold.flows.steps import STOP, RowContext, RunContext, Stop
from fivefold.flows.trace import explain_run
from fivefold.risk.compiler.purposes import Sources
from tests.flows.flows_small import ACTIONS, END, NOTHING, analysed, document, program

Data = dict[str, Any]
DATA: Data = {
    "id": "registry",
    "data": {
        "source": "companies",
        "send": {"country": {"field": "country"}, "spent": {"sum": "amount"}},
        "gives": {
            "status": {"one_of": ["active", "dissolved"]},
            "employees": "number",
            "capital": "money",
            "listed": "flag",
            "town": "text",
        },
    },
}
ACTIVE: Data = {"step": "registry", "output": "status", "equals": "active"}
ROUTE: Data = {"id": "r", "route": [{"when": ACTIVE, "to": "done"}], "otherwise": "nothing", "on_unknown": "nothing"}
COUNTRY = '{"field":"country"}'
FACTS = {COUNTRY: "DE", '{"sum":"amount"}': 12_345}
VALUES: Data = {
    "status": "active",
    "employees": Decimal(3),
    "capital": Decimal("10.50"),
    "listed": False,
    "town": "Köln",
}
CAME = OutsideOutcome(values=VALUES, source="a book", at_us=1_700_000_000_000_000)
FLOW = document({**DATA, "on_unknown": "nothing"}, ROUTE, END, NOTHING)


def run(outcome: OutsideOutcome | None, written: Data = FLOW) -> Data:
    """Run as one row and as columns, which must be the same."""
    made = program(written)
    row = made.run_row(FACTS, RowContext({}, {}, {"registry": outcome}))
    frames = made.outcome_frames({"registry": [outcome]})
    schema = {COUNTRY: pl.String, '{"sum":"amount"}': pl.Int64}
    columns = made.run(pl.DataFrame([FACTS], schema=schema), RunContext({}, {}, frames)).row(0, named=True)
    assert columns == row
    return row


def test_a_run_asks_until_something_came() -> None:
    row = run(None)
    assert row[STOP] == Stop.ASKS
    said = explain_run(program(FLOW), row)
    assert (said.status, said.at, said.actions, said.line) == ("asks", "registry", (), "Asks: Step 0")
    assert said.steps[0].sentence == ("Step 0: country is DE, sum of amount is 123.45 EUR. Asks the source companies")
    assert (said.steps[0].source, said.steps[0].came_at) == ("", "")


def test_what_came_is_given_and_said_with_its_source_and_time() -> None:
    row = run(CAME)
    assert row[STOP] == Stop.ENDED
    step = explain_run(program(FLOW), row).steps[0]
    assert (step.source, step.came_at, step.asked) == ("a book", "2023-11-14T22:13:20Z", "the source companies")
    assert step.gives == {
        "capital": "10.50 EUR",
        "employees": "3",
        "listed": "false",
        "status": "active",
        "town": "Köln",
    }
    assert "Came from a book at 2023-11-14T22:13:20Z; gives capital 10.50 EUR, employees 3" in step.sentence


def test_what_failed_goes_to_on_unknown_or_fails_the_run_and_says_why() -> None:
    outcome = failed_outcome("no answer within 5 s", "a book", 0)
    step = explain_run(program(FLOW), run(outcome)).steps[0]
    assert (step.to, step.gives["status"]) == ("nothing", "unknown")
    assert "nothing that can be used came from a book at 1970-01-01: no answer within 5 s" in step.outcome
    bare = document(DATA, ROUTE, END, NOTHING)
    row = run(outcome, bare)
    assert row[STOP] == Stop.FAILED
    assert [each.action for each in explain_run(program(bare), row).actions] == ["flag"]


@pytest.mark.parametrize(
    ("values", "part"),
    [
        ({"status": "closed"}, "status is 'closed'; it must be one of active, dissolved"),
        ({"employees": "3"}, "employees '3' is not a number"),
        ({"employees": Decimal("1e400")}, "employees"),
        ({"capital": Decimal("0.001")}, "capital is 0.001"),
        ({"listed": Decimal(1)}, "listed is 1; it must be true or false"),
        ({"town": "a\x00b"}, "town is 'a\\x00b'"),
        ({"town": "x" * 2_001}, "town has 2,001 characters"),
        ({"mayor": "x"}, "mayor came back, which the step does not give"),
    ],
)
def test_a_value_of_another_kind_is_a_failure_and_not_a_value(values: Data, part: str) -> None:
    row = run(OutsideOutcome(values={"listed": True, **values}, source="a book", at_us=0))
    assert part in row["step registry failed"]
    assert row['{"output":"listed","step":"registry"}'] is None
    assert row["step r"] is None


def test_what_does_not_come_back_is_unknown() -> None:
    row = run(OutsideOutcome(values={"employees": Decimal(3)}, source="a book", at_us=0))
    assert row["step registry"] == 0
    assert explain_run(program(FLOW), row).steps[1].missing == ("status of registry",)


@given(
    st.dictionaries(st.sampled_from(sorted(VALUES)), st.none(), max_size=5),
    st.sampled_from([None, "it is down"]),
    st.lists(st.text(st.characters(codec="utf-8"), max_size=5), max_size=2),
)
def test_an_outcome_is_read_back_from_its_canonical_form(lacking: Data, failed: str | None, reasons: list[str]) -> None:
    columns = program(FLOW).steps[0].outputs
    values = {} if failed else {name: value for name, value in VALUES.items() if name not in lacking}
    told = tuple(AgentReason(text=text, evidence=("country",)) for text in reasons)
    outcome = OutsideOutcome(values=values, failed=failed, source="s", at_us=5, reasons=told, digest="00")
    assert read_outcome(outcome.as_json(), columns) == outcome
    assert fitted(outcome, columns, {}) == outcome


@pytest.mark.parametrize(
    "content",
    [
        {"values": [], "source": "s", "at_us": 0},
        {"values": {}, "at_us": 0},
        {"values": {}, "source": "s", "at_us": "now"},
        {"failed": 3, "source": "s", "at_us": 0},
        {"values": {"employees": "three"}, "source": "s", "at_us": 0},
        {"values": {"mayor": "x"}, "source": "s", "at_us": 0},
    ],
)
def test_what_is_no_outcome_is_refused(content: Data) -> None:
    with pytest.raises(ValueError, match=r"outcome|three|mayor"):
        read_outcome(content, program(FLOW).steps[0].outputs)


def example(outcomes: Data, ends: str) -> Data:
    return {"name": f"To {ends}", "given": {"country": "DE"}, "outcomes": outcomes, "ends": ends}


def test_examples_say_what_comes_back_and_count_both_ways() -> None:
    came = example({"registry": {"status": "active"}}, "done")
    failed, asks = example({"registry": "failed"}, "nothing"), example({}, "registry")
    gone = example({"registry": {"status": "dissolved"}}, "nothing")
    for examples, missing in (([came, gone], 2), ([came, gone, failed, asks], 1)):
        results = run_flow_examples(analysed({**FLOW, "examples": examples}), {}, 0)
        assert not results.failed
        assert len(results.missing()) == missing  # the route's on_unknown is never taken here
    assert results.missing() == ["step r, on_unknown"]


def test_an_answer_gathered_against_money_laundering_reaches_no_commerce() -> None:
    def told(purpose: str | None) -> list[str]:
        data = {**DATA["data"], "send": {"x": {"field": "income"}}, **({"purpose": purpose} if purpose else {})}
        fields = {"fields": {"income": "both"}}
        made = analysed(
            document({**DATA, "data": data}, END, actions=ACTIONS[:3], purpose="commercial", purposes=fields)
        )
        return [each.problem for each in made.purpose_diagnostics(Sources())]

    assert told("both") == []
    assert told("commercial") == []
    assert told(None) == told("aml")
    assert "flow small → step registry → the source companies" in told(None)[0]
    sends = document(DATA, END, purpose="commercial")
    assert "country" in str([each.problem for each in analysed(sends).purpose_diagnostics(Sources())])
