"""The worker's loop: periodic tasks, each in a thread of its own; one polls the registry for the value model.

The failure of one task delays no other.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from threading import Event, Lock, Thread, get_ident
from time import monotonic, sleep
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import Engine

from fivefold.domain.clock import DAY_US, HOUR_US, now_microseconds, second_text
from fivefold.domain.errors import FivefoldError, RegistryError, StoreError
from fivefold.domain.settings import Settings
from fivefold.store.levels import markings
from fivefold.store.levels.champions import (
    begin_champion,
    end_champion,
    is_recorded_as,
    next_marking,
    recorded_champion,
    version_of,
)
from fivefold.store.sql.database import reading, writing
from fivefold.store.sql.reasons import cause_text
from fivefold.store.tables.levels import Champion
from fivefold.usecases.levels.value_scores import EntityScorer
from fivefold.usecases.shared.actors import SYSTEM
from fivefold.usecases.unexpected import UNEXPECTED_ERRORS

if TYPE_CHECKING:
    from fivefold.models.registry import Registry

log = structlog.get_logger("fivefold.worker")

LONGEST_PAUSE_SECONDS = 60.0
LONGEST_PAUSE_OF_DATABASE_SECONDS = 10.0
"""The longest pause after a database failure: readiness reports it until each task has run again, so it is short."""
_WAKE_SECONDS = 0.5
MOST_DOUBLINGS = 30
"""How often a pause doubles after failures in a row: without a bound it would exceed a float after a day of them."""

_NO_CHAMPION = "the registry has no champion any more"
_LOST = "the registry has no champion, and not the version {version} of {name} that served: it may have been lost"
_DISAGREE = "another worker looks at another registry or at another model, or stopped midway"
_AGAIN = "this worker records its champion again"
_LATER = "this worker records its champion again from {moment} on: let all workers of a database look at one model"
_PAUSES_US = (0, HOUR_US, 6 * HOUR_US, DAY_US)
"""How long another champion stays recorded until it is replaced the first, second, third and each later time."""
_LACKS = "the audit log ends with it, and the registry was restored from an earlier backup, or made anew"
_AGREE = "for a day no worker recorded another champion"
_WITHDRAWN = "who has other transactions has no value until there is a champion"


@dataclass(frozen=True)
class PeriodicTask:
    """A task that runs again and again.

    Attributes:
        name: its name in the log.
        run: does one round; returns True if there was work: then it is called again at once.
        idle_seconds: how long to pause if there was no work.
    """

    name: str
    run: Callable[[], bool]
    idle_seconds: float


class LoopHealth:
    """The state of a worker's tasks: the last error of each, and when a round last ended."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        """Begin with nothing wrong."""
        self._clock = clock
        self._errors: dict[tuple[str, int], str | None] = {}
        self._beat = clock()
        self._lock = Lock()

    def beat(self, task: str, error: str | None) -> None:
        """Note that a task ended a round in this thread, with an error or without."""
        with self._lock:
            self._errors[task, get_ident()] = error
            self._beat = self._clock()

    def errors(self) -> dict[str, str | None]:
        """Return the last error of each task; None if its last round succeeded in each of its threads."""
        with self._lock:
            last = dict(self._errors)
        return {task: next(filter(None, (last[key] for key in last if key[0] == task)), None) for task, _ in last}

    def silent_seconds(self) -> float:
        """Return the seconds since any task last ended a round."""
        with self._lock:
            return self._clock() - self._beat


def run_forever(
    tasks: Sequence[PeriodicTask], stop: Event, *alongside: Callable[[Event], None], health: LoopHealth | None = None
) -> None:
    """Run all tasks, each in a thread of its own, until *stop* is set; a round that has begun is finished.

    Functions *alongside* have loops of their own, and end by themselves once *stop* is set. *health* keeps the state of
    each task.
    """
    threads = [Thread(target=_loop, args=(task, stop, health or LoopHealth()), name=task.name) for task in tasks]
    threads += [Thread(target=function, args=(stop,)) for function in alongside]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():  # a signal that came while the process was stopped may wait until this thread wakes
            thread.join(_WAKE_SECONDS)


def drain(tasks: Sequence[PeriodicTask], until: Callable[[], bool] = lambda: True) -> None:
    """Run all tasks in turn until none has work left and *until* is true; errors are raised."""
    while True:
        busy = [task.run() for task in tasks]
        if not any(busy):
            if until():
                return
            sleep(min(task.idle_seconds for task in tasks))


def _loop(task: PeriodicTask, stop: Event, health: LoopHealth) -> None:
    failures = 0
    while not stop.is_set():
        try:
            busy = task.run()
        except UNEXPECTED_ERRORS as error:  # only a request ends a worker; the error is logged, and the task runs again
            failures += 1
            longest = LONGEST_PAUSE_OF_DATABASE_SECONDS if isinstance(error, StoreError) else LONGEST_PAUSE_SECONDS
            pause = min(longest, task.idle_seconds * 2 ** min(failures, MOST_DOUBLINGS))
            cause = cause_text(error)
            health.beat(task.name, cause)
            log.warning("task failed", task=task.name, error=cause, again_in_seconds=pause)
            stop.wait(pause)
        else:
            failures = 0
            health.beat(task.name, None)
            if not busy:
                stop.wait(task.idle_seconds)


class _Answer(Enum):
    """The result of a look at the registry for the champion."""

    UNKNOWN = auto()
    """The registry does not answer, its champion cannot be loaded, or there never was one."""
    WITHDRAWN = auto()
    STILL_SERVES = auto()
    LOADED = auto()


class _Disagreement:
    """Decides when to record a worker's champion again, where other workers record another one, or none."""

    def __init__(self, clock: Callable[[], int]) -> None:
        """Begin with all workers in agreement."""
        self._clock = clock
        self._replaced: Counter[tuple[str, int, str | None]] = Counter()
        self._last_record: tuple[object, int] = None, 0
        self._logged_words: tuple[str, str] | None = None
        self._agrees_since_us: int | None = None

    def note_replacement(self, recorded: Champion) -> None:
        """Note that the worker's own champion was recorded in place of another one."""
        self._replaced[version_of(recorded)] += 1

    def records_again(self, champion: EntityScorer, recorded: Champion | None) -> bool:
        """Return whether to record a begun champion again; log if another one, or none, is recorded.

        The same message is not logged twice in a row.
        """
        if recorded is not None and is_recorded_as(
            recorded, champion.name, champion.version, champion.model.content_hash
        ):
            self._end(champion)
            return False
        from_us = 0 if recorded is None else self._replace_from_us(recorded)
        again = from_us <= self._clock()
        effect = _AGAIN if again else _LATER.format(moment=second_text(from_us))
        text = "none" if recorded is None else f"version {recorded.model_version} of {recorded.model}"
        if self._logged_words != (text, effect):
            of = {"name": champion.name, "version": champion.version, "recorded": text}
            log.error("workers disagree", **of, why=_DISAGREE, effect=effect)
        self._logged_words, self._agrees_since_us = (text, effect), None
        return again

    def _end(self, champion: EntityScorer) -> None:
        """Log that workers agree again, once the longest pause of a disagreeing worker has passed."""
        now_us = self._clock()
        if self._logged_words is None:
            return
        if self._agrees_since_us is None:
            self._agrees_since_us = now_us
        elif now_us > self._agrees_since_us + _PAUSES_US[-1]:
            log.info("workers agree", name=champion.name, version=champion.version, why=_AGREE)
            self._logged_words = self._agrees_since_us = None

    def _replace_from_us(self, recorded: Champion) -> int:
        """Return from when to record the champion again in place of another one.

        The pause begins when this worker first saw that record: the clock of the worker that wrote it may be wrong.
        """
        version = version_of(recorded)
        record = version, recorded.since_us
        if self._last_record[0] != record:
            self._last_record = record, self._clock()
        return self._last_record[1] + _PAUSES_US[min(self._replaced[version], len(_PAUSES_US) - 1)]


class ChampionWatcher:
    """Polls the registry for the champion.

    The last good one stays where a newer one cannot be loaded, and where the registry does not answer. If the registry
    answers that no version is the champion, it was withdrawn, and from then on there is none. A registry that lacks the
    version that served counts as not answering: it was lost, and made anew.
    """

    def __init__(self, engine: Engine, settings: Settings, clock: Callable[[], int] = now_microseconds) -> None:
        """Begin without a champion; nothing is read yet."""
        self._engine = engine
        self._clock = clock
        self._settings = settings
        self._lock = Lock()
        self._valuer: EntityScorer | None = None
        self._run_id = ""
        self._registry: Registry | None = None
        self._begun: EntityScorer | None = None
        self._disagreement = _Disagreement(clock)

    @property
    def valuer(self) -> EntityScorer | None:
        """The loaded champion, if any."""
        with self._lock:
            return self._valuer

    def look(self) -> bool:
        """Load a new champion, if there is one, and mark due, part by part, the entities whose value it may change.

        Each call does one step, and returns whether there may be another. A champion is loaded before the first entity
        is marked for it, so that none is assessed by the one before. Each worker begins the marking anew when it first
        sees a version: until then it may have assessed, by the older one, entities that another worker had marked. It
        also begins anew where another worker recorded another champion than the registry has, or none. The same other
        champion is replaced again only after a growing pause: so two workers with two registries do not value every
        entity again and again, and a worker that is left alone corrects the record. If a step fails, the next call
        repeats it.

        Raises:
            StoreError: the database is out of reach.
        """
        if self._mark_next():
            return True
        with reading(self._engine) as session:  # before the registry is read, so that a later promotion stays
            recorded = recorded_champion(session)
        named = recorded if recorded is not None and recorded.model == self._settings.model_name else None
        answer = self.load(named)
        if answer is _Answer.WITHDRAWN and named is not None:
            self._end(named)
        champion = self.valuer
        is_begun, still_serves = champion is self._begun, answer is _Answer.STILL_SERVES
        if champion is None or (
            is_begun and not (still_serves and self._disagreement.records_again(champion, recorded))
        ):
            return False
        with writing(self._engine) as session:
            begin_champion(session, champion.name, champion.version, self._clock(), champion.model.content_hash)
        self._begun = champion
        if is_begun and recorded is not None:
            self._disagreement.note_replacement(recorded)
        self._log_promotions()
        return True

    def _log_promotions(self) -> None:
        """Record the promotions that the audit log lacks, after waiting for one that may be in progress.

        Promotions that the registry lacks are logged: another version serves than the audit log has.
        """
        from fivefold.usecases.models.promotion_log import lost_promotions, record_missing  # noqa: PLC0415 (imports MLflow)

        if self._registry is None:
            return
        try:
            record_missing(self._engine, self._registry, SYSTEM)
            with reading(self._engine) as session:
                lost = lost_promotions(session, self._registry)
            for version in sorted({each.version for each in lost if each.is_last}):
                log.warning("promotion not in the registry", name=self._registry.name, version=version, why=_LACKS)
        except FivefoldError as error:
            log.warning("promotions not compared with the audit log", error=str(error))

    def _mark_next(self) -> bool:
        """Mark the next entities for the loaded champion; return False if none are left, or it is not begun."""
        champion = self.valuer
        if champion is None or champion is not self._begun:
            return False
        with writing(self._engine) as session:
            marking = next_marking(session, champion.name, champion.version, champion.model.content_hash)
            if marking is None:
                return False
            markings.mark_part(session, marking, self._clock())
        sleep(markings.PAUSE_SECONDS)
        return True

    def _end(self, recorded: Champion) -> None:
        """Record that a withdrawn version no longer serves."""
        with writing(self._engine) as session:
            ended = end_champion(session, recorded.model, recorded.model_version, recorded.since_us)
        if ended:
            version = recorded.model_version
            log.warning("value model withdrawn", name=recorded.model, version=version, effect=_WITHDRAWN)

    def load(self, recorded: Champion | None = None) -> _Answer:
        """Load the champion if it is another one than before; log if it cannot be loaded.

        A registry without a champion that also lacks the loaded version, or else the *recorded* one, was lost.
        """
        if not self._settings.has_registry:
            return _Answer.UNKNOWN  # at once: MLflow takes seconds to import
        from fivefold.models.registry import Registry  # noqa: PLC0415 (imports MLflow)

        present = self.valuer
        try:
            registry = Registry(self._settings, self._settings.model_name)
            version = registry.champion()
            if version is None:
                return self._withdraw(registry, recorded)
            # A number alone does not identify a version: a registry made anew starts at 1 again, with other runs.
            if present and (present.version, self._run_id) == (version.number, version.run_id):
                return _Answer.STILL_SERVES
            loaded = EntityScorer(registry.load(version.number), self._settings.model_name, version.number)
        except FivefoldError as error:
            log.warning("value model not loaded", error=str(error))
            return _Answer.UNKNOWN
        self._run_id, self._registry = version.run_id, registry
        with self._lock:
            self._valuer = loaded
        log.info("value model", name=loaded.name, version=loaded.version)
        return _Answer.LOADED

    def _withdraw(self, registry: "Registry", recorded: Champion | None) -> _Answer:
        """Unload the version that served if the registry still has it; RegistryError if it was lost."""
        served: tuple[int, str | None]
        if present := self.valuer:
            served = present.version, present.model.content_hash
        elif recorded:
            served = recorded.model_version, recorded.content_hash
        else:
            return _Answer.UNKNOWN
        if not registry.has_version(*served):
            raise RegistryError(_LOST.format(name=self._settings.model_name, version=served[0]))
        with self._lock:
            self._valuer = None
        if present:
            log.warning("value model unloaded", name=present.name, version=present.version, why=_NO_CHAMPION)
        return _Answer.WITHDRAWN
