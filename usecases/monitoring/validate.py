"""Validation over time: how well the levels of a period worked, kept as it was found, and when to validate again.

A person requests one, and a worker makes it in the background and reports its progress.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy.orm import Session

from fivefold.domain.clock import SECOND_US, day_text
from fivefold.domain.errors import ConfigError
from fivefold.domain.paging import WHOLE, Page, Part
from fivefold.risk.governance.validate.measures import LEAST_CONFIRMED
from fivefold.risk.governance.validate.ranking import RESAMPLES
from fivefold.store.accounts.organisation import settings_row
from fivefold.store.levels.markings import queue_depth
from fivefold.store.monitoring.revalidation import (
    count_open_changes,
    latest_run,
    reviews_of,
    run_numbered,
    runs_of,
)
from fivefold.store.monitoring.validation import (
    job_numbered,
    open_job,
    open_jobs,
    overrides_before,
    transitions_between,
    versions_named,
)
from fivefold.store.tables.events import ValidationJob, ValidationRun
from fivefold.usecases.accounts.settings import Settings, settings_of
from fivefold.usecases.monitoring.history import (
    CONFIRMED,
    LevelHistory,
    Progress,
    ValidationPeriod,
    no_progress,
    read_level_histories,
)
from fivefold.usecases.monitoring.people import override_figures
from fivefold.usecases.monitoring.revalidation import (
    RevalidationTrigger,
    measured_triggers,
    still_measured,
    triggers_now,
)
from fivefold.usecases.monitoring.version_groups import VersionGroup, version_group
from fivefold.usecases.shared.api_fields import row_as
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.entity_checks import storable
from fivefold.usecases.shared.inputs import checked_moment, checked_reason
from fivefold.usecases.shared.jobs import JobKind, JobLine, Lease, new_job

FORM = 1
"""The version of the report's form; a form that older readers cannot read gets another number."""

MOST_OUTCOMES = 20
MEASURES = "groups that are measured: all rulesets together, and each version"


@dataclass(frozen=True, kw_only=True)
class Validated:
    """A validation that was made.

    Attributes:
        reason: why it was made.
        from_us: the beginning of its period, which ends before `until_us`.
        report: all findings; `docs/validation-over-time.md` explains them.
    """

    id: int
    reason: str
    from_us: int
    until_us: int
    made_us: int
    report: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return dict(vars(self))


def validate_levels(
    context: Context,
    from_us: int,
    until_us: int,
    reason: str = "requested",
    confirmed: Sequence[str] = (CONFIRMED,),
    resamples: int = RESAMPLES,
) -> Validated:
    """Measure how well the levels of a period worked, and store the findings.

    Args:
        context: who requests it.
        from_us: when the period begins, microseconds.
        until_us: when it ends; what happened or became known at that moment does not count.
        reason: why, such as a quarter or a material change.
        confirmed: the outcomes of cases and alerts that mean confirmed.
        resamples: the number of resamples for the intervals around Gini.

    Raises:
        ConfigError: the period is empty or not over; or there is no reason, or no outcome.
        ConflictError: the organisation has not chosen its levels yet.
    """
    now = context.now()
    period, why, words = checked_period(from_us, until_us, now), checked_reason(reason), _checked_words(confirmed)
    report = measured_levels(context, period, now, words, resamples)
    with context.writing() as session:
        return keep_validation(session, context, why, report)


def measured_levels(
    context: Context,
    period: ValidationPeriod,
    now_us: int,
    confirmed: Sequence[str] = (CONFIRMED,),
    resamples: int = RESAMPLES,
    progress: Progress = no_progress,
) -> dict[str, Any]:
    """Measure how well the levels of a period worked, as of now; return the report. *progress* is called meanwhile.

    ConflictError if the organisation has not chosen its levels yet.
    """
    with context.reading() as session:
        return _report(session, context.organisation_id, period, confirmed, now_us, resamples, progress)


def keep_validation(session: Session, context: Context, reason: str, report: dict[str, Any]) -> Validated:
    """Store the findings, and record that, in the caller's transaction and as the last thing in it."""
    run = ValidationRun(
        organisation_id=context.organisation_id,
        trigger=reason,
        from_us=report["from_us"],
        until_us=report["until_us"],
        made_us=report["made_us"],
        report=report,
    )
    session.add(run)
    session.flush()
    session.refresh(run)  # with its keys in their order
    reached = sorted({each["name"] for each in report["triggers"] if each["answer"] == "reached"})
    details = {"from_us": run.from_us, "until_us": run.until_us, "reached": reached}
    validation = _validated(run)
    context.record(
        session, "levels.validated", ("validation", run.id),
        after={"reason": reason}, details=details,
    )  # fmt: skip
    return validation


def checked_period(from_us: int, until_us: int, now_us: int) -> ValidationPeriod:
    """Return the period of a validation; ConfigError if it is empty or not over."""
    period = ValidationPeriod(checked_moment(from_us, "from_us"), checked_moment(until_us, "until_us"))
    if period.from_us >= period.until_us:
        raise ConfigError(
            f"the time from {day_text(from_us)} until {day_text(until_us)} is empty; it must end after it begins"
        )
    if period.until_us > now_us:
        raise ConfigError(f"the time ends on {day_text(until_us)}, which is still to come; it must be over")
    return period


def _checked_words(confirmed: Sequence[str]) -> list[str]:
    words = [] if isinstance(confirmed, str) else sorted(set(confirmed))
    if not 1 <= len(words) <= MOST_OUTCOMES or not all(word and storable(word) for word in words):
        raise ConfigError(f"confirmed must be 1 to {MOST_OUTCOMES} outcomes that mean confirmed, such as {CONFIRMED!r}")
    return words


def _report(
    session: Session,
    organisation_id: int,
    period: ValidationPeriod,
    confirmed: Sequence[str],
    now_us: int,
    resamples: int,
    progress: Progress,
) -> dict[str, Any]:
    settings = settings_of(session, organisation_id)
    history = read_level_histories(session, organisation_id, period, confirmed, progress)
    groups = _groups(session, organisation_id, history, settings, resamples, progress)
    overrides = override_figures(
        overrides_before(session, organisation_id, period.until_us),
        history.ended,
        period,
        settings.override_cap_percent,
    )
    triggers = [
        *measured_triggers(groups, overrides, settings.lowest_alert_percent),
        *_triggers_now(session, organisation_id, now_us),
    ]
    return {
        "form": FORM,
        **asdict(period),
        "made_us": now_us,
        "levels": settings.levels,
        "confirmed": confirmed,
        "least": LEAST_CONFIRMED,
        "resamples": resamples,
        "groups": [asdict(group) for group in groups],
        "transitions": _transitions(session, organisation_id, history, settings),
        "overrides": asdict(overrides),
        "assessed_late": {name: getattr(history.late, name) for name in ("assessments", "of", "entities")},
        "now": _now(session, organisation_id, now_us),
        "triggers": [asdict(trigger) for trigger in triggers],
    }


def _groups(
    session: Session,
    organisation_id: int,
    history: LevelHistory,
    settings: Settings,
    resamples: int,
    progress: Progress,
) -> list[VersionGroup]:
    """Measure all versions together, then each version that took part, in the order of rulesets and versions."""
    names = versions_named(session, organisation_id)
    version_ids = {*history.first["version_id"], *history.ended["version_id"]}
    version_ids |= {*history.alerts["version_id"], *history.cases["version_id"]}
    versions = sorted((*names[number], number) for number in version_ids if number is not None)
    wanted = [None, *((row, name, number) for name, number, row in versions)]
    groups = []
    for done, version in enumerate(wanted):
        progress(done, len(wanted), MEASURES)
        groups.append(version_group(history, settings.levels, version, resamples))
    return groups


def _transitions(
    session: Session, organisation_id: int, history: LevelHistory, settings: Settings
) -> list[dict[str, Any]]:
    names, period = (None, *settings.levels), history.period
    rows = transitions_between(session, organisation_id, period.from_us, period.until_us, history.late.batches)
    return [
        {"from": names[before or 0], "to": names[after or 0], "source": source, "entities": count}
        for before, after, source, count in rows
    ]


def _now(session: Session, organisation_id: int, now_us: int) -> dict[str, Any]:
    """Return the present queue depth: its history is not stored."""
    waiting = queue_depth(session, organisation_id, now_us)
    age = None if waiting.oldest_us is None else (now_us - waiting.oldest_us) // SECOND_US
    return {"due": waiting.due, "oldest_due_seconds": age, "quarantined": waiting.quarantined}


def list_validations(context: Context, part: Part = WHOLE) -> Page[Validated]:
    """List validations, the newest first."""
    with context.reading() as session:
        return runs_of(session, context.organisation_id, part).map(_validated)


def read_validation(context: Context, number: int) -> Validated:
    """Return a validation; NotFoundError if none has that number."""
    with context.reading() as session:
        return _validated(run_numbered(session, context.organisation_id, number))


def _validated(row: ValidationRun) -> Validated:
    return row_as(Validated, row, reason=row.trigger)


def revalidation(context: Context) -> list[RevalidationTrigger]:
    """Return the present triggers of a revalidation: those measured last, the review, and material changes."""
    now = context.now()
    with context.reading() as session:
        last = latest_run(session, context.organisation_id)
        measured = [] if last is None else still_measured(last.report)
        return [*measured, *_triggers_now(session, context.organisation_id, now)]


def _triggers_now(session: Session, organisation_id: int, now_us: int) -> list[RevalidationTrigger]:
    reviews = reviews_of(session, organisation_id)
    return triggers_now(reviews, count_open_changes(session, organisation_id), now_us)


@dataclass(frozen=True, kw_only=True)
class ValidationJobLine(JobLine):
    """A validation that a worker makes; `validation` is the number of the finished one, None until then."""

    from_us: int
    until_us: int
    reason: str
    validation: int | None


def request_validation(context: Context, from_us: int, until_us: int, reason: str) -> tuple[ValidationJobLine, bool]:
    """Request a validation of a period; return it, and whether it is new: each period has one request at a time.

    Raises:
        ConfigError: the period is empty or not over, or there is no reason.
        ConflictError: the organisation has not chosen its levels yet.
    """
    now = context.now()
    period, why = checked_period(from_us, until_us, now), checked_reason(reason)
    with context.writing() as session:
        settings_row(session, context.organisation_id, locked=True)
        present = open_job(session, context.organisation_id, period.from_us, period.until_us)
        if present is not None:
            return _line(present), False
        wanted = {"from_us": period.from_us, "until_us": period.until_us, "reason": why}
        job = ValidationJob(**new_job(context, now), **wanted)
        session.add(job)
        session.flush()
        return _line(job), True


def read_validation_job(context: Context, number: int) -> ValidationJobLine:
    """Return the progress of a validation; NotFoundError if no request has that number."""
    with context.reading() as session:
        return _line(job_numbered(session, context.organisation_id, number))


def list_open_validations(context: Context) -> list[ValidationJobLine]:
    """List the validations that wait or run."""
    with context.reading() as session:
        return [_line(row) for row in open_jobs(session, context.organisation_id)]


def _line(row: ValidationJob) -> ValidationJobLine:
    return row_as(ValidationJobLine, row, validation=row.validation_id)


def _begin(job: ValidationJob) -> Callable[[Lease], None]:
    period, reason = ValidationPeriod(job.from_us, job.until_us), job.reason

    def make(lease: Lease) -> None:
        report = measured_levels(lease.who, period, lease.began_us, progress=lease.progress)

        def write(session: Session) -> dict[str, Any]:
            return {"validation_id": keep_validation(session, lease.who, reason, report).id}

        lease.keep(write)

    return make


VALIDATION = JobKind(name="validation", rows=ValidationJob, begin=_begin)
