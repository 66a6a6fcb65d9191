"""`fivefold worker`: assesses, delivers webhooks, backtests, validates and collects evidence until it is stopped."""

import logging
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from threading import Event
from time import monotonic_ns, sleep
from typing import TYPE_CHECKING, Annotated

import typer
from filelock import Timeout

from fivefold.cli.signals import not_ignored
from fivefold.cli.terminal import checked_settings, echo, moment, open_current_database
from fivefold.domain.clock import second_text
from fivefold.domain.errors import ConfigError, StoreError
from fivefold.domain.settings import Settings, read_settings
from fivefold.domain.text import count_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine

    from fivefold.serving.metrics.worker import WorkerPages
    from fivefold.usecases.levels.worker import WorkerTally
    from fivefold.usecases.levels.worker_loop import PeriodicTask
    from fivefold.usecases.shared.jobs import JobKind

AGAIN_SECONDS = 2.0
"""How long a worker that cannot begin waits until it tries again."""


def worker(
    once: Annotated[bool, typer.Option("--once", help="End when nothing is left to do; log as with --quiet.")] = False,
    as_of: Annotated[
        str | None, typer.Option("--as-of", help="With --once: the moment to treat as now, for histories of the past.")
    ] = None,
    batch: Annotated[
        int | None, typer.Option("--batch", min=1, max=10_000, help="Entities assessed together; 2,500 by default.")
    ] = None,
    health_port: Annotated[
        int | None,
        typer.Option(
            "--health-port", min=0, max=65_535, help="Port of /livez, /readyz and /metrics; 0: any free port."
        ),
    ] = None,
    health_host: Annotated[
        str,
        typer.Option("--health-host", help="Address where they are served; 0.0.0.0: on every address of this machine."),
    ] = "127.0.0.1",
    quiet: Annotated[bool, typer.Option("--quiet", help="Log only warnings and errors.")] = False,
) -> None:
    """Assess due entities, and deliver webhooks. Any number may run on PostgreSQL, one on SQLite."""
    from fivefold.serving.logs import configure_logs
    from fivefold.store.sql.clocks import clock_of
    from fivefold.usecases.flows.registrations import refuse_unregistered
    from fivefold.usecases.levels.clock_repair import refuse_future

    if as_of is not None and not once:
        raise ConfigError("--as-of needs --once: a continuous worker uses the current time")
    settings = checked_settings()
    configure_logs(logging.WARNING if quiet or once else logging.INFO)
    at = None if as_of is None else moment(as_of, "--as-of")
    engine = open_current_database()
    if at is not None:
        refuse_future(engine, at, "--as-of")
    refuse_unregistered(engine, settings)
    with _only_worker(settings) if engine.dialect.name == "sqlite" else nullcontext():
        try:
            if at is None:
                clock = clock_of(engine).now_us
            else:
                _wait_for_others(engine, at)
                clock = _clock_from(at)
            _work(engine, clock, batch, (health_host, health_port), once=once)
        finally:
            engine.dispose()


def _work(
    engine: "Engine", clock: "Callable[[], int]", batch: int | None, health: tuple[str, int | None], *, once: bool
) -> None:
    """Run the tasks until nothing is left, or until a signal stops the worker."""
    from fivefold.serving.metrics.worker import WorkerPages, serving
    from fivefold.usecases.levels.worker import WorkerTally
    from fivefold.usecases.levels.worker_loop import LoopHealth
    from fivefold.usecases.webhooks.plan import failing_count, number_from_now

    tally = WorkerTally()
    stop = Event()
    pages = WorkerPages(engine, LoopHealth())
    if once:
        number_from_now(engine)
        _drain(engine, clock, _tasks(engine, clock, batch, tally, stop, pages))
        echo(f"{_summary(tally)}; nothing is left to do.")
        if tally.assessed > tally.with_level:
            echo("`fivefold level` says why some have no level.")
        if failing := failing_count(engine):
            echo(f"{count_text(failing, 'webhook')} failed and will be tried again: `fivefold webhooks failing`.")
        return
    for number in (signal.SIGTERM, signal.SIGINT, *not_ignored(signal.SIGHUP)):
        signal.signal(number, lambda *_: stop.set())
    host, health_port = health
    with serving(pages, health_port, host) as port:
        where = "" if port is None else f" Its health: http://{host}:{port}/livez, /readyz and /metrics."
        if _begin(engine, stop, pages):
            _run(engine, _tasks(engine, clock, batch, tally, stop, pages), stop, pages, where)
    echo(f"The worker has ended: {_summary(tally)}.")


def _wait_for_others(engine: "Engine", at_us: int) -> None:
    """Wait until the work that others hold now is free; then it is free by a clock that starts at a past moment, too.

    In the past such a lease is as void as one of a clock that was ahead, or it would hold for longer than it does now.
    """
    from fivefold.store.sql.clocks import clock_of
    from fivefold.store.sql.leases import end_leases, last_lease_end

    present = clock_of(engine).now_us
    until_us = last_lease_end(engine, present())
    if until_us is not None:
        echo(_held_text(until_us))
        while last_lease_end(engine, present(), until_us) is not None:
            sleep(0.5)
    end_leases(engine, at_us, present())


def _held_text(until_us: int) -> str:
    return f"Another worker holds work, or held it when it was killed; this one waits until {second_text(until_us)}."


def _drain(engine: "Engine", clock: "Callable[[], int]", tasks: "list[PeriodicTask]") -> None:
    """Run the tasks until nothing is left, nor is held by the lease of a worker that was killed."""
    from fivefold.store.sql.leases import last_lease_end
    from fivefold.usecases.collector import spare_what_stays
    from fivefold.usecases.levels.worker_loop import PeriodicTask, drain
    from fivefold.usecases.rulesets.activate import has_open_markings, has_waiting_backfills
    from fivefold.usecases.webhooks.dispatcher import deliver_due

    held_until_us = last_lease_end(engine, clock())  # a later one is that of a worker that is alive
    if held_until_us is not None:
        echo(_held_text(held_until_us))

    def is_done() -> bool:
        nonlocal held_until_us
        if held_until_us is not None:
            held_until_us = last_lease_end(engine, clock(), held_until_us)
            return False  # one more round, for what is free by now
        return not (has_waiting_backfills(engine, clock()) or has_open_markings(engine))

    spare_what_stays()  # not warm as well: where nothing is due, that would be most of the work
    drain([*tasks, PeriodicTask("webhooks", lambda: deliver_due(engine) > 0, 0.5)], until=is_done)


def _begin(engine: "Engine", stop: Event, pages: "WorkerPages") -> bool:
    """Continue the numbers of events before anything is stored or sent; False if the worker is stopped before.

    It waits while nothing can be stored, for example because a machine that has just booted has a wrong clock.
    """
    from structlog import get_logger

    from fivefold.usecases.webhooks.plan import number_from_now

    while not stop.is_set():
        try:
            number_from_now(engine)
        except StoreError as error:
            pages.health.beat("start", str(error))
            get_logger("fivefold.worker").warning(
                "worker waits to begin", error=str(error), again_in_seconds=AGAIN_SECONDS
            )
            stop.wait(AGAIN_SECONDS)
        else:
            pages.health.beat("start", None)
            return True
    return False


def _run(engine: "Engine", tasks: "list[PeriodicTask]", stop: Event, pages: "WorkerPages", where: str) -> None:
    """Run the tasks until a signal stops the worker."""
    from fivefold.usecases.collector import spare_what_stays
    from fivefold.usecases.levels.worker import PARALLEL_BATCHES, warm
    from fivefold.usecases.levels.worker_loop import run_forever
    from fivefold.usecases.monitoring.operations import noted
    from fivefold.usecases.webhooks.dispatcher import keep_delivering

    def webhooks(stop: Event) -> None:
        keep_delivering(engine, stop, lambda fault: pages.health.beat("webhooks", fault))

    model = "without a value model" if pages.model is None else f"with version {pages.model} of the value model"
    does = ", ".join(dict.fromkeys(task.name for task in tasks))
    echo(f"On {engine.dialect.name}, {model}: {does}, webhooks.{where}")
    echo("The worker runs; Ctrl-C ends it.")
    sys.stdout.flush()
    warm()
    spare_what_stays()
    several = PARALLEL_BATCHES - 1 if engine.dialect.name == "postgresql" else 0
    with noted(engine) as keep_noting:
        run_forever([*tasks, *[tasks[0]] * several], stop, webhooks, keep_noting, health=pages.health)


def _summary(tally: "WorkerTally") -> str:
    return f"{tally.assessed:,} assessed ({tally.with_level:,} with a level), {tally.failed:,} failed"


def _tasks(
    engine: "Engine",
    clock: "Callable[[], int]",
    batch: int | None,
    tally: "WorkerTally",
    stop: Event,
    pages: "WorkerPages",
) -> "list[PeriodicTask]":
    """The worker's periodic tasks, each with its pause in seconds."""
    from fivefold.usecases.changes.facts import close_outdated
    from fivefold.usecases.erasure.retention import remove_next_parts
    from fivefold.usecases.evidence.jobs import prune_archives
    from fivefold.usecases.flows.runs.execute import run_flows
    from fivefold.usecases.flows.runs.schedules import begin_scheduled
    from fivefold.usecases.groups.members import count_sizes
    from fivefold.usecases.ingest.tags import announce_ended_tags
    from fivefold.usecases.levels.worker import BATCH_SIZE, Turns, run_batch
    from fivefold.usecases.levels.worker_loop import ChampionWatcher, PeriodicTask
    from fivefold.usecases.monitoring.realised.judge import judge_next
    from fivefold.usecases.monitoring.realised.keep import keep_predictions
    from fivefold.usecases.rulesets.activate import advance_backfills, advance_markings
    from fivefold.usecases.shared.idempotency import prune_keys

    settings = read_settings()
    champion = ChampionWatcher(engine, settings, clock)
    champion.look()
    pages.model = None if champion.valuer is None else champion.valuer.version
    turns = Turns()

    def assess() -> bool:
        pages.model = None if champion.valuer is None else champion.valuer.version
        start = monotonic_ns()
        result = run_batch(engine, clock=clock, most=batch or BATCH_SIZE, valuer=champion.valuer, turns=turns)
        if result is not None:
            tally.add(result)
            pages.count_batch(result, (monotonic_ns() - start) / 1e9)
        return result is not None

    return [
        PeriodicTask("assess", assess, 0.1),
        PeriodicTask("flows", lambda: bool(run_flows(engine, clock=clock)), 0.2),
        PeriodicTask("schedules", lambda: begin_scheduled(engine, clock()) > 0, 5.0),
        PeriodicTask("ends of tags", lambda: announce_ended_tags(engine, clock()) > 0, 5.0),
        PeriodicTask("overtaken proposals", lambda: close_outdated(engine, clock()) > 0, 60.0),
        PeriodicTask("backfills", lambda: advance_backfills(engine, clock()) > 0, 1.0),
        PeriodicTask("markings", lambda: advance_markings(engine, clock()) > 0, 0.5),
        *_jobs(engine, settings, clock, stop),
        PeriodicTask("sizes of groups", lambda: count_sizes(engine, clock()) > 0, 60.0),
        PeriodicTask("quarterly thresholds", lambda: _review_thresholds(engine, clock, stop), 60.0),
        PeriodicTask("old evidence", lambda: prune_archives(engine, clock=clock) > 0, 600.0),
        PeriodicTask("retention", lambda: remove_next_parts(engine, clock(), pages.count_removed), 60.0),
        PeriodicTask("idempotency keys", lambda: prune_keys(engine, clock=clock) > 0, 600.0),
        PeriodicTask("value model", champion.look, 30.0),
        PeriodicTask("predictions", lambda: keep_predictions(engine, champion.valuer, clock()), 600.0),
        PeriodicTask("predicted and realised", lambda: judge_next(engine, settings, clock()), 600.0),
    ]


def _review_thresholds(engine: "Engine", clock: "Callable[[], int]", stop: Event) -> bool:
    from fivefold.usecases.rulesets.threshold_reviews import REVIEW, begin_threshold_reviews
    from fivefold.usecases.shared.jobs import run_next_job

    started = begin_threshold_reviews(engine, clock())
    return run_next_job(engine, REVIEW, clock(), stopping=stop.is_set) or started


def _jobs(engine: "Engine", settings: Settings, clock: "Callable[[], int]", stop: Event) -> "list[PeriodicTask]":
    """Return the tasks that do what people request."""
    from fivefold.usecases.changes.backtests import BACKTESTS
    from fivefold.usecases.changes.references import REFERENCE
    from fivefold.usecases.evidence.jobs import evidence_jobs
    from fivefold.usecases.flows.replays.jobs import REPLAYS
    from fivefold.usecases.levels.worker_loop import PeriodicTask
    from fivefold.usecases.monitoring.validate import VALIDATION
    from fivefold.usecases.rulesets.points_jobs import POINTS
    from fivefold.usecases.shared.jobs import run_next_job

    kinds = {
        "backtests": BACKTESTS,
        "replays": REPLAYS,
        "references": REFERENCE,
        "points": POINTS,
        "validations": VALIDATION,
        "evidence": evidence_jobs(settings),
    }

    def task(name: str, kind: "JobKind") -> PeriodicTask:
        return PeriodicTask(name, lambda: run_next_job(engine, kind, clock(), stopping=stop.is_set), 1.0)

    return [task(name, kind) for name, kind in kinds.items()]


def _clock_from(at_us: int) -> "Callable[[], int]":
    """Return a clock that starts at a moment and runs."""
    start = monotonic_ns()
    return lambda: at_us + (monotonic_ns() - start) // 1000


@contextmanager
def _only_worker(settings: Settings) -> Iterator[None]:
    """Hold the lock of the only worker: SQLite has one writer, and two workers would only wait for each other."""
    settings.protect_var()
    with ExitStack() as stack:
        try:
            stack.enter_context(settings.lock(settings.var / "worker.lock", wait=False))
        except Timeout:
            raise ConfigError(
                "another worker runs already; SQLite allows one. For several, set FIVEFOLD_DATABASE_URL to a PostgreSQL"
            ) from None
        yield
