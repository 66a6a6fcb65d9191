"""All of Berka on a platform, year by year, and the flows that ship replayed over what happened there."""

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import yaml
from sqlalchemy import Engine

from benchmarks.imports.data import BANKS, write_lists
from benchmarks.imports.run import RULESET, Step, database_of, govern, run_command
from fivefold.domain.clock import parse_moment
from fivefold.domain.text import percent
from fivefold.usecases.accounts.entity_types import define_type, list_types
from fivefold.usecases.accounts.organisations import actor_in
from fivefold.usecases.flows.activate import activate_flow
from fivefold.usecases.flows.asked_files import flow_text
from fivefold.usecases.flows.commit import commit_flow
from fivefold.usecases.flows.drafts import save_flow_draft
from fivefold.usecases.flows.replays.jobs import ReplayAsked, read_flow_replay, request_flow_replay
from fivefold.usecases.shared.context import Context

BERKA = BANKS[0]
YEARS = tuple(f"{year}-01-01" for year in range(1994, 2000))
WHY = "It is measured."
SOURCE = {
    "title": "Identity documents",
    "url": "https://register.example/",
    "sends": ["number", "country"],
    "gives": {"document": "/document", "is_owner": "/is_owner"},
    "answer": {},
}
"""The register that `onboarding` asks: without it nothing is committed, and a replay never asks it."""


@dataclass(frozen=True)
class ReplayCase:
    """A flow that ships, and over what it is replayed.

    Attributes:
        flow: its name.
        triggers: that are added to it, as YAML; empty where it runs by its own, or by none.
        period: the first day and the one behind the last; None for everybody as of the end.
        over: the same in words.
    """

    flow: str
    triggers: str
    period: tuple[str, str] | None
    over: str


EVER = (YEARS[0], "1999-01-02")
WANTED = (
    ReplayCase("onboarding", "[{on: field, fields: [country]}]", EVER, "each new customer"),
    ReplayCase("escalation", "", EVER, "each level that rose so far"),
    ReplayCase("limits", "[{on: level}, {on: segment}]", EVER, "each change of level or segment"),
    ReplayCase("payment", "[{on: transaction}]", ("1998-12-01", "1999-01-01"), "each transaction of December 1998"),
    ReplayCase("reactivation", "", None, "everybody"),
    ReplayCase("review", "", None, "everybody"),
)


ASKED = "reactivation"
"""The flow that another one asks: it has to act."""


@dataclass(frozen=True)
class Replayed:
    """What a replay came to, and what the worker that made it took."""

    case: ReplayCase
    took: Step
    report: dict[str, Any]

    @property
    def runs(self) -> int:
        """How many there were."""
        return sum(count for *_, count in self.report["ends"])


def replay_on_platform(
    data: Path, folder: Path, kind: str = "SQLite", wanted: Sequence[ReplayCase] = WANTED
) -> tuple[list[Step], list[Replayed]]:
    """Fill a platform and replay flows on it; the value model is trained in *folder* already.

    Args:
        data: the folder that has berka/.
        folder: where the value model is.
        kind: of the database.
        wanted: what is replayed.

    Returns:
        What filling it took, and a worker that has nothing to do; and the replays.
    """
    with tempfile.TemporaryDirectory(dir=folder) as scratch, database_of(kind, Path(scratch)) as engine:
        steps = _filled(engine, data, folder)
        author, publisher = (
            Context(engine, actor_in(engine, "default", f"member:{number}")).at(parse_moment(EVER[1]))
            for number in (1, 2)
        )
        _registered(folder)
        _declared(author)
        replays = []
        for each in wanted:
            replays.append(_replayed(author, folder, each))
            if each.flow == ASKED:
                activate_flow(publisher, ASKED, 1, WHY)
        return steps, replays


def _filled(engine: Engine, data: Path, folder: Path) -> list[Step]:
    """Import year by year what came in it, and assess everybody at its end."""
    if not (folder / "lists").is_dir():
        write_lists(folder / "lists")
    steps = [run_command(engine, folder, "import", "setup", RULESET, "--base", BERKA.base, "--lists", "lists")]
    entities, transactions = BERKA.entities(data), BERKA.transactions(data)
    first = transactions.group_by(entity_id="user_id").agg(came=pl.col("transaction_date").min())
    entities = entities.join(first, on="entity_id")
    since = "1900-01-01"
    for day in YEARS:
        for table, rows, column in (
            ("entities", entities, "came"),
            ("transactions", transactions, "transaction_date"),
        ):
            of_year = rows.filter(pl.col(column).is_between(_day(since), _day(day), closed="left"))
            of_year.drop("came", strict=False).write_parquet(folder / f"{table}-{day}.parquet")
            steps.append(run_command(engine, folder, "import", table, f"{table}-{day}.parquet", "--as-of", day))
        steps += govern(engine, folder, day, BERKA.name) if day == YEARS[0] else [_work(engine, folder, day)]
        since = day
    by_time = _work(engine, folder, EVER[1])  # it assesses those whose level may have moved by then
    return [*steps, by_time, _work(engine, folder, EVER[1])]


def _day(text: str) -> Any:
    return pl.lit(text).str.to_datetime("%Y-%m-%d")


def _work(engine: Engine, folder: Path, day: str) -> Step:
    return run_command(engine, folder, "worker", "--once", "--as-of", day, model=BERKA.name)


def _registered(folder: Path) -> None:
    """Write the operator's file of sources, as commits look it up."""
    allowed = {"default": {"hosts": ["register.example"]}}
    text = yaml.safe_dump({"organisations": allowed, "sources": {"identity-documents": SOURCE}})
    (folder / "sources.yaml").write_text(text, encoding="utf-8")
    os.environ["FIVEFOLD_SOURCES_FILE"] = str(folder / "sources.yaml")


def _declared(context: Context) -> None:
    """Declare what flows read beside the ruleset: a field of `onboarding`, and that commerce may read two tags."""
    (kind,) = list_types(context)
    tags = dict.fromkeys(("no-marketing", "invited"), "commercial")
    fields = {**kind.fields, "document_number": "text"}
    define_type(context, kind.name, fields, kind.transaction_fields, purposes={"tags": tags})


def _replayed(context: Context, folder: Path, case: ReplayCase) -> Replayed:
    added = f"\ntriggers: {case.triggers}\n" if case.triggers else ""
    saved = save_flow_draft(context, flow_text(case.flow) + added)
    committed = commit_flow(context, case.flow, saved.revision, WHY)
    period: dict[str, Any] = {}
    if case.period is not None:
        period = {"from_us": parse_moment(case.period[0]), "until_us": parse_moment(case.period[1])}
    job, _ = request_flow_replay(context, case.flow, ReplayAsked(version=committed.number, alone=True, **period))
    took = _work(context.engine, folder, EVER[1])
    replay = read_flow_replay(context, job.id)
    if replay.report is None:
        raise RuntimeError(f"the replay of {case.flow} is {replay.state}: {replay.error}")
    return Replayed(case, took, replay.report)


def section(steps: Sequence[Step], replays: Sequence[Replayed], kind: str = "SQLite") -> str:
    """Write what was replayed on a platform, what it took, and where the runs came to."""
    idle, filling = steps[-1], steps[:-1]
    took = [
        f"| `{each.case.flow}` | {each.case.over} | {each.runs:,} | {each.took.seconds:.1f} "
        f"| {each.took.processor_seconds:.1f} | {each.runs / each.took.seconds:,.0f} | {each.took.peak_mb:,.0f} |"
        for each in replays
    ]
    filled, of_processors = (sum(getattr(one, name) for one in filling) for name in ("seconds", "processor_seconds"))
    return f"""## Replayed on the platform

The same command puts all of Berka on a platform of its own, on {kind}: at the end of each year customers and
transactions of that year are imported, and a worker assesses everybody by the same ruleset, with the same model for
the value. So levels and segments have a history, of six moments: what moved within a year is seen at its end. The model
learnt also from later years, so its segments show the machinery alone. That takes {filled:,.0f} s
({of_processors:,.0f} of the processors).

Then [a replay over history](flows-replay.md) is asked for of each flow, and `fivefold worker --once`
makes it: it reads every fact as it was at the moment of each cause. A worker with nothing else to do takes
{idle.seconds:.1f} s ({idle.processor_seconds:.1f} of the processors; {idle.peak_mb:,.0f} MB).

| flow | for | runs | seconds | of the processors | runs a second | peak MB |
|---|---|---|---|---|---|---|
{_NEWLINE.join(took)}

What takes the time in a period is how many moments differ: facts are read once for all customers of a part who have a
cause at the same one. Berka has 6,051 moments in six years; `payment` is replayed for a month. `onboarding` stops
before its register is asked, as nobody was screened here; beyond that it could not be replayed either, as a replay
takes kept answers alone and Berka has none. For the same reason a run that waits for a person goes no further.
`reactivation` and `review` have no triggers and suit a schedule for everybody, so they are replayed for everybody,
as of {EVER[1]}.

{_NEWLINE.join(_part(each) for each in replays)}"""


_NEWLINE = "\n"


def _part(replayed: Replayed) -> str:
    case, report = replayed.case, replayed.report
    period = "" if case.period is None else f", from {case.period[0]} until {case.period[1]}"
    with_triggers = (
        f", with `triggers: {case.triggers}`" if case.triggers else ", by its own triggers" if period else ""
    )
    ends = [
        f"| {state} at `{step}` | {count:,} | {percent(count / replayed.runs)} |"
        for state, step, count in sorted(report["ends"], key=lambda row: -row[2])
    ]
    actions = [f"| `{action}` | {count:,} | {percent(count / replayed.runs)} |" for action, count in report["actions"]]
    table = "| action | runs | share |\n|---|---|---|\n"
    done = f"\n\n{table}{_NEWLINE.join(actions)}" if actions else "\n\nNo action would follow."
    return f"""### `{case.flow}` for {case.over}

{replayed.runs:,} runs about {report["entities"]:,} customers{period}{with_triggers}.

| run | runs | share |
|---|---|---|
{_NEWLINE.join(ends)}{done}
"""
