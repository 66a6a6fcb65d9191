"""All of Berka as a replay of the flows that ship: where runs end, which actions would follow, and what it takes.

`python -m benchmarks.results_flows --data ../shared/data --write docs/results-flows.md` trains the value model, runs
each flow as a user would, by `fivefold flows run` in a process of its own, replays flows on a platform, and writes the
page.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import polars as pl

from benchmarks.flow_platform import YEARS, replay_on_platform, section
from benchmarks.imports.data import BANKS, write_lists
from fivefold.domain.text import percent
from fivefold.flows.analysis import AnalysedFlow
from fivefold.flows.language import PersonStep
from fivefold.flows.steps import Stop
from fivefold.flows.trace import STATUSES
from fivefold.usecases.flows.on_files import load_flow

ROOT = Path(__file__).resolve().parent.parent
BERKA = BANKS[0]
RULESET = "fatf-retail"
MODEL = "models:/berka/1"
UNTOLD = ("declared_turnover", "declared_purposes", "occupation", "funds_verified", "products", "last_review")
"""Fields that the ruleset reads and this bank does not tell: unknown of everybody."""
UNTOLD_OF_TRANSACTIONS = ("purpose", "counterparty_id", "counterparty_country")
EMPTY = {
    "screenings": ("entity_id", "screening", "found", "at"),
    "tags": ("entity_id", "tag", "from", "until"),
    "cases": ("entity_id", "opened", "closed", "outcome"),
    "alerts": ("entity_id", "opened", "closed", "outcome"),
}
"""Tables that the bank does not have: with no rows, as a missing one is refused."""


@dataclass(frozen=True)
class Replay:
    """What one run of a flow over everybody took, and came to.

    Attributes:
        flow: its name.
        as_of: the day; nothing later was seen.
        command: as it was called.
        seconds: by the clock, from the start of the process to its end.
        processor_seconds: of all threads.
        peak_mb: most memory of the process.
        ends: a row for each customer: `entity_id`, `status`, `at`, `actions`, the amounts of limits.
    """

    flow: str
    as_of: str
    command: str
    seconds: float
    processor_seconds: float
    peak_mb: float
    ends: pl.DataFrame


def main() -> None:
    """Replay everything, and write the page where it is asked for."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--data", type=Path, required=True, help="the folder that has berka/")
    arguments.add_argument("--write", type=Path)
    options = arguments.parse_args()
    before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_files(options.data, folder)
        _command(folder, "train", "--data", "transactions.parquet", "--config", _config(), "--name", BERKA.name)
        replays = [replay(folder, flow, BERKA.as_of) for flow in ("limits", "escalation", "reactivation")]
        nobody = [_nobody_came(folder, each) for each in replays if len(waiting(each.ends))]
        years = [replay(folder, "escalation", day, entities=_write_earlier_entities(folder, day)) for day in YEARS]
        platform = section(*replay_on_platform(options.data, folder))
    text = f"{page(replays, nobody, years, before)}\n{platform}"
    sys.stdout.write(text)
    if options.write:
        options.write.write_text(text, encoding="utf-8")


def write_files(data: Path, folder: Path) -> None:
    """Write what the commands read: entities, transactions, lists, and the tables that this bank does not have."""
    BERKA.entities(data).with_columns(_unknown(UNTOLD)).write_parquet(folder / "entities.parquet")
    transactions = BERKA.transactions(data).with_columns(_unknown(UNTOLD_OF_TRANSACTIONS))
    transactions.write_parquet(folder / "transactions.parquet")
    write_lists(folder / "lists")
    for table, columns in EMPTY.items():
        pl.DataFrame(schema=dict.fromkeys(columns, pl.String)).write_parquet(folder / f"{table}.parquet")


def replay(
    folder: Path, flow: str, as_of: str, *, entities: str = "entities.parquet", more: Sequence[str] = ()
) -> Replay:
    """Run a flow for every entity of a file; a flow for commerce without a ruleset, as it may read no level."""
    parts = [part for table in ("transactions", *EMPTY) for part in (f"--{table}", f"{table}.parquet")]
    level = [] if load_flow(flow).flow.purpose == "commercial" else ["--ruleset", RULESET, "--lists", "lists"]
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        output = Path(scratch) / "ends.parquet"
        arguments = ["flows", "run", flow, entities, *parts, *level, "--base", BERKA.base, "--as-of", as_of, *more]
        seconds, processor_seconds, peak_mb = _command(folder, *arguments, "--model", MODEL, "--output", str(output))
        command = f"fivefold {' '.join(arguments)} --model {MODEL}"
        return Replay(flow, as_of, command, seconds, processor_seconds, peak_mb, pl.read_parquet(output))


def _unknown(names: Sequence[str]) -> list[pl.Expr]:
    return [pl.lit(None, dtype=pl.String).alias(name) for name in names]


def waiting(ends: pl.DataFrame) -> pl.DataFrame:
    """Give the runs that wait for a person: `entity_id`, `step`."""
    return ends.filter(pl.col("status") == STATUSES[Stop.WAITS]).select("entity_id", step="at")


def _nobody_came(folder: Path, first: Replay) -> Replay:
    """Replay a flow as if no person had answered in time: Berka has no recorded answers."""
    waiting(first.ends).with_columns(answer=pl.lit("nobody")).write_parquet(folder / f"{first.flow}-answers.parquet")
    return replay(folder, first.flow, first.as_of, more=("--answers", f"{first.flow}-answers.parquet"))


def _write_earlier_entities(folder: Path, day: str) -> str:
    """Write the entities that had a transaction before a day."""
    moved = pl.scan_parquet(folder / "transactions.parquet").filter(
        pl.col("transaction_date").cast(pl.Datetime) < datetime.fromisoformat(day)
    )
    customers = moved.select(entity_id="user_id").unique().collect()
    entities = pl.read_parquet(folder / "entities.parquet").join(customers, on="entity_id", how="semi")
    entities.write_parquet(folder / f"entities-{day}.parquet")
    return f"entities-{day}.parquet"


def _config() -> str:
    return str(ROOT / "training" / "configs" / "berka.yaml")


def _command(folder: Path, *arguments: str) -> tuple[float, float, float]:
    """Run a command of fivefold; its seconds by the clock and of the processors, and its most memory in MB."""
    environment = {**os.environ, "FIVEFOLD_VAR": str(folder / "var"), "PYTHONPATH": str(ROOT)}
    begun = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "fivefold.cli.main", *arguments],
        env=environment,
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    problems = process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stderr.close()
    if process.returncode:
        raise RuntimeError(f"fivefold {' '.join(arguments)} ended with {process.returncode}: {problems}")
    return time.perf_counter() - begun, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def outcome_rows(flow: AnalysedFlow, ends: pl.DataFrame) -> list[str]:
    """Write a row for each step where runs stopped, in the order of the flow: how many, how great a share."""
    titles = {step.id: step.title for step in flow.flow.steps}
    counts = {(status, at): count for status, at, count in ends.group_by("status", "at").len().rows()}
    return [
        f"| {status} at `{step}` | {title} | {counts[status, step]:,} | {percent(counts[status, step] / len(ends))} |"
        for status in STATUSES.values()
        for step, title in titles.items()
        if (status, step) in counts
    ]


def action_rows(flow: AnalysedFlow, ends: pl.DataFrame) -> list[str]:
    """Write a row for each action of the flow, those that nobody would get among them."""
    counts_by_action = dict(ends["actions"].str.split(", ").explode().value_counts().rows())
    counts = {action.id: counts_by_action.get(action.id, 0) for action in flow.flow.actions}
    return [
        f"| `{action.id}` | {action.title} | {counts[action.id]:,} | {percent(counts[action.id] / len(ends))} |"
        for action in flow.flow.actions
    ]


def limit_rows(ends: pl.DataFrame) -> list[str]:
    """Write a row for each amount of a limit that would be set."""
    columns = [name for name in ends.columns if name.endswith("_minor")]
    return [
        f"| {name.removesuffix('_minor')} | {amount / 100:,.0f} {BERKA.base} | {count:,} |"
        for name in columns
        for amount, count in ends[name].drop_nulls().value_counts().sort(name, descending=True).rows()
    ]


_NEWLINE = "\n"
_TABLE = "| {} | | customers | share |\n|---|---|---|---|\n{}"


def _part(replayed: Replay, nobody: Replay | None) -> str:
    flow = load_flow(replayed.flow)
    rows = limit_rows(replayed.ends)
    limits = f"\n\n| limit | amount | customers |\n|---|---|---|\n{_NEWLINE.join(rows)}" if rows else ""
    persons = [step.person.within for step in flow.flow.steps if isinstance(step, PersonStep)]
    late = (
        ""
        if nobody is None
        else f"""

If no person answers in time ({persons[0]}), everybody who waits goes on:

{_TABLE.format("run", _NEWLINE.join(outcome_rows(flow, nobody.ends)))}

{_TABLE.format("action", _NEWLINE.join(action_rows(flow, nobody.ends)))}"""
    )
    return f"""## {flow.flow.title}

    {replayed.command}

{_TABLE.format("run", _NEWLINE.join(outcome_rows(flow, replayed.ends)))}

{_TABLE.format("action", _NEWLINE.join(action_rows(flow, replayed.ends)))}{limits}{late}
"""


def page(replays: Sequence[Replay], nobody: Sequence[Replay], years: Sequence[Replay], before: float) -> str:
    """Write the page: what was replayed, what it took, and where everybody ended."""
    took = [
        f"| `{each.flow}` | {len(each.ends):,} | {each.seconds:.1f} | {each.processor_seconds:.1f} "
        f"| {each.peak_mb:,.0f} |"
        for each in replays
    ]
    untold = ", ".join(f"`{name}`" for name in (*UNTOLD, *UNTOLD_OF_TRANSACTIONS))
    late = {each.flow: each for each in nobody}
    parts = [_part(each, late.get(each.flow)) for each in replays]
    return f"""# Flows on a real bank

`python -m benchmarks.results_flows {" ".join(sys.argv[1:])}`, {datetime.now(UTC):%Y-%m-%d};
2 processors shared with other work, load {before:.1f} before and {os.getloadavg()[0]:.1f} after.

All of Berka, 1,056,320 transactions of 4,500 accounts of a Czech bank, as of {BERKA.as_of}, the day after the last
transaction. `fivefold flows run` runs the [flows that ship](flows.md#flows-that-ship) as they are; nothing is done to
anyone. The ruleset that ships for private customers gives the level, with lists whose first version always held. The
value is that of a model trained by `training/configs/berka.yaml` ([its results](results.md)). Data are not in this
repository.

What this shows is the machinery, not how good the flows are: their amounts are written for euros and taken here as
{BERKA.base}, and this bank does not tell most of what the ruleset asks, so that much is unknown and nobody is low. It
has no screenings, tags and cases, and of customers and transactions no
{untold}.
The flows `payment`, `onboarding` and `review` are [on the platform](#replayed-on-the-platform) alone: the first decides
on a payment, the second asks a register for each application.

| flow | customers | seconds | of the processors | peak MB |
|---|---|---|---|---|
{_NEWLINE.join(took)}

Each is a process of its own, from its start to the written file. Reading the transactions, the levels and the value are
nearly all of it: what the flows themselves take is [measured apart](benchmarks-flows.md). The peak counts at
least the script that starts the process, some 400 MB.

{_NEWLINE.join(parts)}
## Escalation year by year

The same flow as of each New Year, for those who had moved anything before: whom it would have had looked at, and when.
It reads no value, so no model that learnt from later years has a part in it.

{_years(years)}
The last two columns: of those who were there a year before, how many stop at another step now, and for how many of
these nothing followed then.
"""


def _years(years: Sequence[Replay]) -> str:
    steps = [step.id for step in load_flow("escalation").flow.steps]
    steps_passed = [step for step in steps if any(step in each.ends["at"] for each in years)]
    names = [
        "as of",
        "customers",
        *(f"`{step}`" for step in steps_passed),
        "elsewhere a year before",
        "of these nothing then",
    ]
    lines = [f"| {' | '.join(names)} |", "|---" * len(names) + "|"]
    moved = [("", ""), *(_moved(one, other) for one, other in pairwise(years))]
    for each, change in zip(years, moved, strict=True):
        counts = dict(each.ends["at"].value_counts().rows())
        cells = [each.as_of, f"{len(each.ends):,}", *(f"{counts.get(step, 0):,}" for step in steps_passed), *change]
        lines.append(f"| {' | '.join(cells)} |")
    return f"{_NEWLINE.join(lines)}\n"


def _moved(one: Replay, other: Replay) -> tuple[str, str]:
    """Count those who stop at another step than in the replay before, and those of them for whom nothing followed."""
    both = one.ends.select("entity_id", before="at").join(other.ends.select("entity_id", "at"), on="entity_id")
    elsewhere = both.filter(pl.col("before") != pl.col("at"))
    return f"{len(elsewhere):,}", f"{elsewhere.filter(pl.col('before') == 'nothing').height:,}"


if __name__ == "__main__":
    main()
