"""The order of the rules benchmark: comparison, rounds, page. `rules.py` is its command."""

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import polars as pl
import zen
from polars.testing import assert_frame_equal
from tqdm import tqdm

from benchmarks.rules import aggregates, peers
from benchmarks.rules.page import Timed, page
from fivefold.risk.engine.outcomes import assess_inputs
from fivefold.risk.engine.program import TOTAL, Program
from fivefold.risk.engine.single.rules import single_program
from fivefold.risk.engine.totals import points_column, slot_column

ENTITIES = 1_000_000
ZEN_ENTITIES = 200
ONE_RUNS = 200


def main() -> None:
    """Run the benchmark, print the page, and write it where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="rounds of each")
    parser.add_argument("--rows", type=int, default=10_000_000, help="transactions under the aggregates")
    parser.add_argument("--write", type=Path, help="the page to write")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    program, decision = peers.compiled(), zen.ZenEngine().create_decision(peers.decision_tables())
    _compare(program, decision)
    timed = _measure(program, decision, options.rounds)
    text = page(timed, aggregates.figures(options.rows, options.rounds), (load, os.getloadavg()[0]))
    print(text)
    if options.write:
        options.write.write_text(text, encoding="utf-8")


def engine_outputs(program: Program, inputs: pl.DataFrame) -> pl.DataFrame:
    """Give what all three give: cases, points and total, from one run of the engine."""
    codes = {number: pl.col(rule.column) for number, rule in enumerate(program.rules)}
    plan = program.plan(inputs).select(
        *(slot_column(code).alias(f"case{number}") for number, code in codes.items()),
        *(points_column(code).alias(f"points{number}") for number, code in codes.items()),
        TOTAL,
    )
    return program.collect(plan, inputs)


def hand_outputs(frame: pl.DataFrame) -> pl.DataFrame:
    """Give the same from the expressions written by hand."""
    cases, points, total = peers.by_hand()
    plan = frame.lazy().select(*(pl.col(name) for name in frame.columns), *cases).with_columns(points)
    return plan.with_columns(total).drop(frame.columns).collect()


def _compare(program: Program, decision: zen.ZenDecision) -> None:
    frame = peers.entities(2_000, seed=2)
    hand = hand_outputs(frame)
    units = program.total.scale
    engine = engine_outputs(program, peers.as_inputs(frame))
    in_points = [(pl.col(name) // units).alias(name) for name in engine.columns if not name.startswith("case")]
    assert_frame_equal(engine.with_columns(in_points), hand.select(engine.columns), check_dtypes=False)
    for row, wanted in zip(frame.head(50).to_dicts(), hand.head(50).to_dicts(), strict=True):
        result = decision.evaluate(row)["result"]
        assert all(result[name] == value for name, value in wanted.items() if name != "total")


def _measure(program: Program, decision: zen.ZenDecision, rounds: int) -> Timed:
    """Take turns in an order of each round's own; seconds for one entity, by the clock and of the processors."""
    many = peers.entities(ENTITIES)
    inputs, few, one = peers.as_inputs(many), many.head(ZEN_ENTITIES).to_dicts(), peers.as_inputs(many.head(1))
    single, row = single_program(program), one.row(0, named=True)
    jobs: dict[str, tuple[Callable[[], object], int]] = {
        "engine": (lambda: engine_outputs(program, inputs), ENTITIES),
        "engine, what is kept": (lambda: program.run(inputs), ENTITIES),
        "hand": (lambda: hand_outputs(many), ENTITIES),
        "zen": (lambda: [decision.evaluate(row) for row in few], ZEN_ENTITIES),
        "one, total and level": (lambda: [single.run(row) for _ in range(ONE_RUNS)], ONE_RUNS),
        "one, with level over time": (lambda: [assess_inputs(program, one) for _ in range(ONE_RUNS)], ONE_RUNS),
    }
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in jobs}
    order = Random(1)  # by chance: a job finds the memory warm that the one before it gave back
    for number in tqdm(range(rounds + 1), desc="rounds"):
        for name in order.sample(list(jobs), len(jobs)):
            job, entities = jobs[name]
            began, processor_began = time.perf_counter(), time.process_time()
            job()
            seconds = time.perf_counter() - began, time.process_time() - processor_began
            if number:  # the first round warms up
                times[name].append((seconds[0] / entities, seconds[1] / entities))
    return Timed(times, ENTITIES, ZEN_ENTITIES)
