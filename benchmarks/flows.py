"""One run of a flow, and a replay of many, beside the same graph in zen-engine; both are timed in turns.

    python -m benchmarks.flows

The graph is one decision table of 31 rows and a choice after it. zen-engine 2.1 evaluates it from its JDM content, kept
by a loader so that it is compiled once. Ends are compared before anything is timed.
"""

import argparse
import json
import random
import statistics
import time
from collections.abc import Callable
from typing import Any

import polars as pl
import zen

from fivefold.flows.analysis import analyse_flow
from fivefold.flows.program import FlowProgram, compile_flow
from fivefold.flows.steps import LAST, RowContext, RunContext
from fivefold.flows.trace import explain_run
from fivefold.risk.language.expressions import input_key

ROWS = 31
KINDS = 5
WIDTH = 100
"""Amounts from one row of the table to the next."""
LIMIT = 10
"""Points above which a run comes to the first end."""
RUNS = 1_000
REPLAYED = 100_000


def written_flow() -> str:
    """Write the graph as a flow."""
    rows = "\n".join(
        f"        - {{when: {{all: [{{field: amount, at_least: {place * WIDTH}}}, {{field: amount, below: "
        f"{(place + 1) * WIDTH}}}, {{field: kind, equals: k{place % KINDS}}}]}}, give: {{points: {place}}}}}"
        for place in range(ROWS)
    )
    return f"""
flow: graph
title: A table and a choice
entity_type: customer
levels: [low, medium, high]
fields: {{amount: number, kind: text}}
steps:
  - id: points
    title: Points
    table:
      gives: {{points: number}}
      rows:
{rows}
      otherwise: {{points: -1}}
  - id: choice
    title: The choice
    route: [{{when: {{step: points, output: points, above: {LIMIT}}}, to: many}}]
    otherwise: few
  - {{id: many, title: Many, end: []}}
  - {{id: few, title: Few, end: []}}
"""


def zen_content() -> dict[str, Any]:
    """Give the same graph as JDM: the choice is a function of the table's output, in an expression node."""
    inputs = [{"id": "a", "name": "amount", "field": "amount"}, {"id": "k", "name": "kind", "field": "kind"}]
    rules = [
        {
            "_id": str(place),
            "a": f"[{place * WIDTH}..{(place + 1) * WIDTH})",
            "k": f'"k{place % KINDS}"',
            "p": str(place),
        }
        for place in range(ROWS)
    ]
    table = {
        "hitPolicy": "first",
        "inputs": inputs,
        "outputs": [{"id": "p", "name": "points", "field": "points"}],
        "rules": [*rules, {"_id": "rest", "a": "", "k": "", "p": "-1"}],
    }
    choice = {"expressions": [{"id": "e", "key": "end", "value": f"points > {LIMIT} ? 'many' : 'few'"}]}
    nodes = [
        {"id": "in", "type": "inputNode", "name": "in"},
        {"id": "t", "type": "decisionTableNode", "name": "table", "content": table},
        {"id": "c", "type": "expressionNode", "name": "choice", "content": choice},
        {"id": "out", "type": "outputNode", "name": "out"},
    ]
    ways = [("in", "t"), ("t", "c"), ("c", "out")]
    edges = [{"id": f"{one}{two}", "type": "edge", "sourceId": one, "targetId": two} for one, two in ways]
    return {"nodes": nodes, "edges": edges}


def contexts(count: int) -> list[dict[str, Any]]:
    """Draw what is decided on."""
    drawn = random.Random(1)
    return [
        {"amount": float(drawn.randrange(ROWS * WIDTH)), "kind": f"k{drawn.randrange(KINDS)}"} for _ in range(count)
    ]


def timed(work: Callable[[], object]) -> float:
    """Give the processor seconds that some work takes."""
    began = time.process_time()
    work()
    return time.process_time() - began


def main() -> None:
    """Time both, and print the medians and their ratios."""
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--rounds", type=int, default=11)
    rounds: int = arguments.parse_args().rounds
    program = compile_flow(analyse_flow(written_flow()), {}, "EUR")
    content = zen.ZenDecisionContent(json.dumps(zen_content()))
    engine = zen.ZenEngine({"loader": lambda _: content})
    few = contexts(RUNS)
    amount, kind = (input_key(each) for each in program.analysed.fact_inputs)
    rows = [{amount: each["amount"], kind: each["kind"]} for each in few]
    context = RowContext({}, {})
    ends = [program.flow.steps[program.run_row(row, context)[LAST]].id for row in rows]
    theirs = [engine.evaluate("graph", each)["result"]["end"] for each in few]
    assert ends == theirs, "the two do not come to the same ends"
    many = contexts(REPLAYED)
    frame = pl.DataFrame({amount: [each["amount"] for each in many], kind: [each["kind"] for each in many]})
    works: dict[str, Callable[[], object]] = {
        "one run": lambda: [program.run_row(row, context) for row in rows],
        "one run with its why": lambda: [_explained(program, row, context) for row in rows],
        "zen, one evaluation": lambda: [engine.evaluate("graph", each) for each in few],
        "replay": lambda: program.run(frame, RunContext({}, {})),
        "zen, one after another": lambda: [engine.evaluate("graph", each) for each in many],
    }
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            seconds[name].append(timed(work))
    medians = {name: statistics.median(each) for name, each in seconds.items()}
    for name in ("one run", "one run with its why", "zen, one evaluation"):
        print(f"{name}: {medians[name] / RUNS * 1e6:.1f} µs of the processor")
    print(f"one run / zen: {medians['one run'] / medians['zen, one evaluation']:.2f}")
    for name in ("replay", "zen, one after another"):
        print(f"{name}: {REPLAYED / medians[name]:,.0f} rows a second of the processor")
    print(f"replay / zen: {medians['zen, one after another'] / medians['replay']:.1f} times as many rows")


def _explained(program: FlowProgram, row: dict[str, Any], context: RowContext) -> object:
    return explain_run(program, program.run_row(row, context))


if __name__ == "__main__":
    main()
