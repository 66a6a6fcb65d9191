"""The page that tells what the rules benchmark found, written by the benchmark itself."""

import os
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from statistics import median

from benchmarks.rules import peers
from benchmarks.rules.aggregates import AGGREGATES, JOBS, Figures

HAND_AT_MOST, ZEN_AT_LEAST, ONE_AT_MOST_MS, SQL_AT_LEAST = 1.3, 300, 1.5, 1.0
"""The aims: against expressions written by hand, against zen-engine, for one entity, against DuckDB."""

ENGINE, HAND, ZEN, ONE = "engine", "hand", "zen", "one, total and level"
KEPT, ONE_OVER_TIME = "engine, what is kept", "one, with level over time"


@dataclass(frozen=True)
class Timed:
    """What was measured in this process.

    Attributes:
        runs: of every job, seconds an entity by the clock and of the processors.
        entities: in the large frame.
        few: that zen-engine evaluated.
    """

    runs: Mapping[str, list[tuple[float, float]]]
    entities: int
    few: int

    def seconds(self, job: str) -> float:
        """Give the median time by the clock."""
        return median(wall for wall, _ in self.runs[job])

    def processor_seconds(self, job: str) -> float:
        """Give the median time of the processors."""
        return median(processor for _, processor in self.runs[job])


def page(timed: Timed, sums: Figures, load: tuple[float, float]) -> str:
    """Write the page."""
    engine_sql = next(name for name in JOBS if name != "DuckDB")
    hand = timed.seconds(ENGINE) / timed.seconds(HAND), timed.processor_seconds(ENGINE) / timed.processor_seconds(HAND)
    faster = timed.seconds(ZEN) / timed.seconds(ENGINE), timed.processor_seconds(ZEN) / timed.processor_seconds(ENGINE)
    one = timed.seconds(ONE) * 1e3, timed.processor_seconds(ONE) * 1e3
    over_hand = timed.seconds(KEPT) / timed.seconds(HAND), timed.processor_seconds(KEPT) / timed.processor_seconds(HAND)
    later = timed.seconds(ONE_OVER_TIME) * 1e3, timed.processor_seconds(ONE_OVER_TIME) * 1e3
    sql = (
        sums.seconds("DuckDB") / sums.seconds(engine_sql),
        sums.processor_seconds("DuckDB") / sums.processor_seconds(engine_sql),
    )
    aims = [
        _line("engine over the same written by hand", hand, f"at most {HAND_AT_MOST}", met=hand[0] <= HAND_AT_MOST),
        _line("the same, of what an assessment keeps", over_hand, "", met=None),
        _line("throughput over zen-engine's", faster, f"at least {ZEN_AT_LEAST}", met=faster[0] >= ZEN_AT_LEAST),
        _line("one entity, milliseconds", one, f"at most {ONE_AT_MOST_MS}", met=one[0] <= ONE_AT_MOST_MS),
        _line("the same, with cooldown and override", later, "", met=None),
        _line("aggregates, speed over DuckDB's", sql, "above 1", met=sql[0] > SQL_AT_LEAST),
    ]
    return _PAGE.format(
        command=shlex.join(["python", "-m", "benchmarks.rules", *sys.argv[1:]]),
        aims="\n".join(aims),
        rows="\n".join(_job(name, timed) for name in timed.runs),
        sums="\n".join(_sum(name, sums) for name in JOBS),
        rounds=len(timed.runs[HAND]),
        versions=", ".join(f"{name} {version(name)}" for name in ("polars", "duckdb", "zen-engine")),
        processors=os.cpu_count(),
        before=load[0],
        after=load[1],
        day=datetime.now(UTC).date(),
        timed=timed,
        rules=peers.RULES,
        cases=len(peers.CASES),
        aggregates=len(AGGREGATES),
        rows_of_sums=sums.rows,
        entities_of_sums=sums.entities,
    )


def _line(what: str, figure: tuple[float, float], aim: str, *, met: bool | None) -> str:
    wall, processor = (f"{value:,.0f}" if value > 100 else f"{value:.2f}" for value in figure)
    return f"| {what} | {wall} | {processor} | {aim} | {_MET[met]} |"


_MET = {True: "met", False: "**missed**", None: ""}


def _job(name: str, timed: Timed) -> str:
    walls = [wall * 1e6 for wall, _ in timed.runs[name]]
    processor = timed.processor_seconds(name) * 1e6
    return f"| {name} | {median(walls):,.3f} | {min(walls):,.3f} | {max(walls):,.3f} | {processor:,.3f} |"


def _sum(name: str, sums: Figures) -> str:
    runs = [run.seconds for run in sums.runs[name]]
    peak = sums.peak_bytes(name) / 1e6
    return f"| {name} | {median(runs):.2f} | {min(runs):.2f} | {sums.processor_seconds(name):.2f} | {peak:,.0f} |"


_PAGE = """\
# Rules, measured

`{command}`, {day}: {rounds} rounds in turn, medians; {processors} processors shared with other work, load {before:.1f}
before and {after:.1f} after; {versions}. Trust the ratios. The clock suffers from other work, processor time less.

| what | by the clock | of the processors | aim | |
|---|---|---|---|---|
{aims}

## Rules

| job | microseconds an entity | least | most | of the processors |
|---|---|---|---|---|
{rows}

- {rules} rules of {cases} cases, the third of which reads two fields; no value is missing. All give the case of every
  rule, its points and the total, and are compared on 2,000 entities (zen-engine on 50) before they are measured.
- *engine* and *hand* assess {timed.entities:,} entities in one frame. *engine, what is kept* stops at what an
  assessment keeps: one number for each rule that holds its case and points, total, level, floor. *zen* evaluates
  {timed.few} entities one after another from Python, as thirty decision tables in one decision: its way to be called.
- *one* is a single entity whose inputs stand in its row, in a call of its own: rules, total, level and floor; with its
  level over time, cooldown and override as well.

## Aggregates

{aggregates} aggregates over {rows_of_sums:,} transactions of {entities_of_sums:,} entities, from Parquet to the result;
each run a process of its own; outputs equal to the bit.

| job | seconds | least | of the processors | peak MB |
|---|---|---|---|---|
{sums}
"""
