"""The page of what was measured of the platform."""

from datetime import UTC, datetime
from statistics import median
from typing import Any

import numpy as np

from fivefold.usecases.levels.worker import BATCH_SIZE, PARALLEL_BATCHES

INGEST_AIM, BACKFILL_AIM, LAG_AIM_SECONDS = 0.3, 0.6, 2.0


def page(command: str, sizes: Any, results: dict[str, Any], load: tuple[float, float]) -> str:
    """Write everything: the ratios first, then what they come from."""
    ingest, backfill, same, lag = results["ingest"], results["backfill"], results["unchanged"], results["lag"]
    ratios, busy = (
        [peer[kind] / own[kind] for own, peer in zip(ingest["taken"], ingest["copied"], strict=True)] for kind in (0, 1)
    )
    rows = _rows(ratios, backfill, same, lag)
    views = [
        f"| {name} | {np.quantile(seconds, 0.5) * 1e3:.1f} | {np.quantile(seconds, 0.99) * 1e3:.1f} |"
        for name, seconds in results["views"].items()
    ]
    return f"""# The platform, measured

`{command}`, {datetime.now(UTC):%Y-%m-%d}: {sizes.rounds} rounds in turn,
medians; 2 processors shared with other work, load {load[0]:.1f} before and {load[1]:.1f} after. PostgreSQL with its
usual settings on the same machine. Trust the ratios.

| what | median | least to most | aim | |
|---|---|---|---|---|
{_NEWLINE.join(rows)}

## Ingest

- {ingest["rows"]:,} transactions in calls of 5,000 for {sizes.customers:,} customers. Each call checks them, finds
  their customers, adds those that are new, marks everybody concerned and their owners due, and records one audit
  entry, in one transaction.
- The peer is COPY of the same rows, as CSV made beforehand, into a twin of the table with the same indexes, in as many
  transactions.
- {_rate(ingest["rows"], ingest["taken"])} transactions a second, COPY {_rate(ingest["rows"], ingest["copied"])}.
- In processor time, of the program and of the database together, which other work on the machine changes little:
  {median(busy):.2f} ({min(busy):.2f} to {max(busy):.2f}).

## Backfill

- Everybody ({backfill["entities"]:,} customers, 9 rules, {_share(ingest, sizes):.0f} transactions each) becomes due
  and is assessed by one worker, {PARALLEL_BATCHES} batches of {BATCH_SIZE:,} side by side: claimed, read, assessed,
  stored.
- The floor is what no backfill can do without, on the same customers: the engine over frames that were read before,
  what came out as codes, and COPY of the very rows that were stored, into twins of their tables.
- Every assessment is made to be stored (`standings.digest` is emptied before). What comes to the same as the last one
  is not stored; then the floor has nearly nothing to copy, so that its ratio is lower while the backfill is quicker.
- {_speed_text(backfill)}
- Where nothing comes to something else: {_speed_text(same)}

## From a transaction to its level

- {lag["sent"]:,} transactions in calls of ten, at {lag["per_second"]:.0f} a second (asked: {sizes.per_second}), from
  one process with two threads, and one `fivefold worker` beside.
- From before the call to when a poller (every 20 ms) first sees that nothing is left to do for the customer: p50
  {lag["p50"]:.2f} s, p99 {lag["p99"]:.2f} s, largest {lag["largest"]:.2f} s; never seen: {lag["left"]}.

## Views of a profile

| | p50 ms | p99 ms |
|---|---|---|
{_NEWLINE.join(views)}

In process, one after another; *something new* is assessed for the view.
"""


_NEWLINE = "\n"


def _rows(ratios: list[float], backfill: dict[str, Any], same: dict[str, Any], lag: dict[str, Any]) -> list[str]:
    """Write the rows of the first table."""
    met = _met(lag["p99"] < LAG_AIM_SECONDS)
    return [
        _line("transactions with due marks and audit, speed over COPY's", ratios, INGEST_AIM),
        _line("backfill, speed over engine + codes + COPY", _shares(backfill), BACKFILL_AIM),
        _line("the same where nothing comes to something else", _shares(same), None),
        f"| event to level, p99 in seconds | {lag['p99']:.2f} |  | under {LAG_AIM_SECONDS:g} | {met} |",
    ]


def _shares(backfill: dict[str, Any], kind: int = 0) -> list[float]:
    """Hold the floor of each round against what the worker took: by the clock, or in processor time (1)."""
    floors = (sum(part[kind] for part in one.values()) for one in backfill["floor"])
    return [floor / own[kind] for own, floor in zip(backfill["worker"], floors, strict=True)]


def _line(what: str, ratios: list[float], aim: float | None) -> str:
    middle = median(ratios)
    if aim is None:
        return f"| {what} | {middle:.2f} | {min(ratios):.2f} to {max(ratios):.2f} |  | |"
    return f"| {what} | {middle:.2f} | {min(ratios):.2f} to {max(ratios):.2f} | {aim:g} | {_met(middle >= aim)} |"


def _met(met: bool) -> str:
    return "met" if met else "**missed**"


def _rate(count: int, rounds: list[tuple[float, float]]) -> str:
    return f"{count / median(clock for clock, _ in rounds):,.0f}"


def _share(ingest: dict[str, Any], sizes: Any) -> float:
    return float(ingest["rows"] * (sizes.rounds + 1) / sizes.customers)


def _speed_text(backfill: dict[str, Any]) -> str:
    return (
        f"{_rate(backfill['entities'], backfill['worker'])} customers a second: {_each(backfill):.2f} ms each, and the"
        f" floor's\n  parts {_parts(backfill)}. In processor time {_each(backfill, 1):.2f} ms\n  each, and the ratio"
        f" {median(_shares(backfill, 1)):.2f}."
    )


def _parts(backfill: dict[str, Any]) -> str:
    names = backfill["floor"][0]
    count = backfill["entities"]
    return ", ".join(f"{name} {median(one[name][0] for one in backfill['floor']) / count * 1e3:.3f}" for name in names)


def _each(backfill: dict[str, Any], kind: int = 0) -> float:
    return median(own[kind] for own in backfill["worker"]) / backfill["entities"] * 1e3
