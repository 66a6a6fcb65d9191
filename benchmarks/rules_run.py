"""The order of the rules benchmark: comparison, rounds, page. `rules.py` is its command."""

import argparse
import os
import shlex
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median

import polars as pl
import zen
from polars.testing import assert_frame_equal
from tqdm import tqdm

from benchmarks import rules_peers as peers
from risk.engine.assessments import assess_inputs
from risk.engine.codes import points_column, slot_column
from risk.engine.program import TOTAL, Program

ENTITIES = 1_000_000
ZEN_ENTITIES = 200
ONE_RUNS = 200
HAND_AT_MOST, ZEN_AT_LEAST, ONE_AT_MOST_MS = 1.3, 300, 1.5


def main() -> None:
    """Run the benchmark, print the page, and write it where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="rounds of each")
    parser.add_argument("--write", type=Path, help="the page to write")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    program, decision = peers.compiled(), zen.ZenEngine().create_decision(peers.decision_tables())
    _compare(program, decision)
    times = _measure(program, decision, options.rounds)
    text = _page(times, load)
    print(text)
    if options.write:
        options.write.write_text(text, encoding="utf-8")


def engine_outputs(program: Program, inputs: pl.DataFrame) -> pl.DataFrame:
    """Give what all three give: cases, points and total, from one run of the engine."""
    rules = [rule.column for rule in program.rules]
    plan = program.plan(inputs).select(
        *(slot_column(pl.col(rule)).alias(f"case{number}") for number, rule in enumerate(rules)),
        *(points_column(pl.col(rule)).alias(f"points{number}") for number, rule in enumerate(rules)),
        pl.col(TOTAL).alias("total"),
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
        found = decision.evaluate(row)["result"]
        assert all(found[name] == value for name, value in wanted.items() if name != "total")


def _measure(program: Program, decision: zen.ZenDecision, rounds: int) -> Mapping[str, list[float]]:
    """Take turns, round after round; seconds for one entity of each job."""
    many = peers.entities(ENTITIES)
    inputs, few, one = peers.as_inputs(many), many.head(ZEN_ENTITIES).to_dicts(), peers.as_inputs(many.head(1))
    jobs: dict[str, tuple[Callable[[], object], int]] = {
        "engine": (lambda: engine_outputs(program, inputs), ENTITIES),
        "engine, total and level": (lambda: program.run(inputs), ENTITIES),
        "hand": (lambda: hand_outputs(many), ENTITIES),
        "zen": (lambda: [decision.evaluate(row) for row in few], ZEN_ENTITIES),
        "one, rules": (lambda: [program.run(one) for _ in range(ONE_RUNS)], ONE_RUNS),
        "one, with level over time": (lambda: [assess_inputs(program, one) for _ in range(ONE_RUNS)], ONE_RUNS),
    }
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for number in tqdm(range(rounds + 1), desc="rounds"):
        names = list(jobs)
        for name in names[number % len(names) :] + names[: number % len(names)]:
            job, entities = jobs[name]
            began = time.perf_counter()
            job()
            if number:  # the first round warms up
                times[name].append((time.perf_counter() - began) / entities)
    return times


@dataclass(frozen=True)
class _Line:
    what: str
    figure: str
    aim: str
    met: bool


def _page(times: Mapping[str, list[float]], load: float) -> str:
    middle = {name: median(found) for name, found in times.items()}
    hand, faster = middle["engine"] / middle["hand"], middle["zen"] / middle["engine"]
    one = middle["one, with level over time"] * 1e3
    lines = [
        _Line(
            "the engine's time over that of the expressions written by hand",
            f"{hand:.2f}",
            f"at most {HAND_AT_MOST}",
            hand <= HAND_AT_MOST,
        ),
        _Line(
            "the engine's throughput over zen-engine's",
            f"{faster:,.0f}",
            f"at least {ZEN_AT_LEAST}",
            faster >= ZEN_AT_LEAST,
        ),
        _Line(
            "one entity, inputs in the row, milliseconds",
            f"{one:.2f}",
            f"at most {ONE_AT_MOST_MS}",
            one <= ONE_AT_MOST_MS,
        ),
    ]
    rows = [
        f"| {name} | {median(found) * 1e6:,.3f} | {min(found) * 1e6:,.3f} | {max(found) * 1e6:,.3f} |"
        for name, found in times.items()
    ]
    return _PAGE.format(
        command=shlex.join(["python", *sys.argv]),
        aims="\n".join(
            f"| {line.what} | {line.figure} | {line.aim} | {'met' if line.met else '**missed**'} |" for line in lines
        ),
        rows="\n".join(rows),
        rounds=len(times["hand"]),
        versions=", ".join(f"{name} {version(name)}" for name in ("polars", "zen-engine")),
        processors=os.cpu_count(),
        load=load,
        day=datetime.now(UTC).date(),
        entities=ENTITIES,
        few=ZEN_ENTITIES,
        rules=peers.RULES,
        cases=len(peers.CASES),
    )


_PAGE = """\
# Rules, measured

`{command}`, {day}: {rounds} rounds in turn after one to warm up, medians; {processors} processors, load {load:.1f} at
the beginning; {versions}.

| what | figure | aim | |
|---|---|---|---|
{aims}

| job | microseconds an entity | least | most |
|---|---|---|---|
{rows}

- {rules} rules of {cases} cases, the third of which reads two fields; no value is missing. All give the case of every
  rule, its points and the total, and are compared on 2,000 entities (zen-engine on 50) before they are measured.
- *engine* and *hand* assess {entities:,} entities in one frame. *engine, total and level* stops at what an assessment
  keeps: one number for each rule, total, level, floor. *zen* evaluates {few} entities one after another from Python, as
  thirty decision tables in one decision: its way to be called.
- *one* is a single entity whose inputs stand in its row, in a call of its own; with its level over time: cooldown and
  override as well.
"""
