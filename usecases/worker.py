"""The worker: takes who is due, assesses them together, stores what came of it. Any number may run, and any may die."""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import structlog
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from domain.clock import now_microseconds
from domain.errors import ModelError, RulesetNotValid, StoreError
from store import due
from store.database import reachable, writing
from store.due import Batch, Subject
from usecases.assessing import Result, assess_entities
from usecases.storing import failures_of, store_result
from usecases.valuing import Valuer

log = structlog.get_logger("fivefold.worker")

SECOND_US: Final = 1_000_000
LEASE_US: Final = 60 * SECOND_US
"""How long a batch may take before somebody else takes it over; a batch takes seconds."""
MOST_ATTEMPTS: Final = 6
FIRST_BACK_OFF_US: Final = 5 * SECOND_US
"""After the first failure; each later one waits four times as long: about half an hour until the last."""
BATCH = 1000


@dataclass(frozen=True)
class Done:
    """What became of one batch: how many were assessed, how many failed."""

    assessed: int
    failed: int


def back_off_us(attempts: int) -> int:
    """Tell how long to wait after that many failures.

    >>> [back_off_us(attempts) // SECOND_US for attempts in (1, 2, 5)]
    [5, 20, 1280]
    """
    return FIRST_BACK_OFF_US << 2 * (attempts - 1)


def run_batch(
    engine: Engine,
    *,
    clock: Callable[[], int] = now_microseconds,
    most: int = BATCH,
    valuer: Valuer | None = None,
    actor: str = "system",
) -> Done | None:
    """Assess up to *most* entities that are due; None where nobody is."""
    now = clock()
    with writing(engine) as session:
        batch = due.claim(session, new_lease(), now, now + LEASE_US, most)
    return None if batch is None else work_on(engine, batch, clock=clock, valuer=valuer, actor=actor)


def new_lease() -> str:
    """Make the name of a lease that nobody else has."""
    return secrets.token_hex(16)


def assess_now(
    engine: Engine,
    subject: Subject,
    *,
    clock: Callable[[], int] = now_microseconds,
    valuer: Valuer | None = None,
    actor: str = "system",
) -> Done | None:
    """Assess one entity at once, whether it is due or not; None where somebody else is at it."""
    now = clock()
    with writing(engine) as session:
        batch = due.claim_one(session, subject, new_lease(), now, now + LEASE_US)
    return None if batch is None else work_on(engine, batch, clock=clock, valuer=valuer, actor=actor)


def work_on(
    engine: Engine,
    batch: Batch,
    *,
    clock: Callable[[], int] = now_microseconds,
    valuer: Valuer | None = None,
    actor: str = "system",
) -> Done:
    """Assess a batch that was claimed; one that cannot be assessed does not hold up the others."""
    reasons = {claim.entity_id: claim.reasons for claim in batch.claims}
    results, errors = _assess(engine, batch, reasons, clock(), valuer)
    assessed = 0
    for result in results:
        with writing(engine) as session:
            assessed += store_result(session, batch, result, actor)
    if errors:
        _put_off(engine, batch, errors, clock())
    return Done(assessed, len(errors))


def _assess(
    engine: Engine, batch: Batch, reasons: Mapping[int, int], now: int, valuer: Valuer | None
) -> tuple[list[Result], dict[int, str]]:
    """Assess entities together; where that fails by one of them, each half alone, down to the one."""
    try:
        with reachable(), Session(engine) as session:
            return [assess_entities(session, batch.organisation_id, batch.type_id, reasons, now, valuer)], {}
    except (RulesetNotValid, ModelError, StoreError) as error:  # the same for each of them
        return [], dict.fromkeys(reasons, failures_of(error))
    except Exception as error:  # noqa: BLE001 (whatever it is, it must not hold up the others; it is kept and shown)
        if len(reasons) == 1:
            log.warning("entity not assessed", error=type(error).__name__)
            return [], dict.fromkeys(reasons, failures_of(error))
    ids = sorted(reasons)
    results: list[Result] = []
    errors: dict[int, str] = {}
    for half in (ids[: len(ids) // 2], ids[len(ids) // 2 :]):
        made, failed = _assess(engine, batch, {entity: reasons[entity] for entity in half}, now, valuer)
        results += made
        errors |= failed
    return results, errors


def _put_off(engine: Engine, batch: Batch, errors: Mapping[int, str], now: int) -> None:
    attempts = {claim.entity_id: claim.attempts + 1 for claim in batch.claims}
    later = {entity: now + back_off_us(attempts[entity]) for entity in errors}
    with writing(engine) as session:
        due.fail(session, batch, errors, later, MOST_ATTEMPTS)
