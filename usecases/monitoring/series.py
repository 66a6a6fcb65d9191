"""Validations as a series: the stored findings of each, in the order of their periods."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from fivefold.domain.errors import ConflictError
from fivefold.domain.paging import WHOLE, Page, Part
from fivefold.risk.governance.validate.measures import Measure, share_measure
from fivefold.store.monitoring.revalidation import locked_run, run_numbered, runs_by_time
from fivefold.store.monitoring.validation import authors_of
from fivefold.store.tables.events import ValidationRun
from fivefold.usecases.accounts.second_person import refuse_same_person
from fivefold.usecases.monitoring.revalidation import REACHED
from fivefold.usecases.shared.api_fields import Moment, schema
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.inputs import checked_reason

Plain = Mapping[str, Any]


@schema("ValidationPoint")
@dataclass(frozen=True, kw_only=True)
class ValidationPoint:
    """What one validation found of all rulesets together; shares are between 0 and 1.

    A measure that would rest on too few has no figure, and says on how many.

    Attributes:
        validation: the number of the validation.
        begins: the beginning of its period, which ends at `ends`.
        gini: of the rules' totals against cases that were confirmed later.
        captured: the share of newly confirmed entities that were in the upper levels.
        possible: the share that the upper levels had room for; None if no entity was confirmed.
        missed: the share of newly confirmed entities that were below the upper levels or without a level.
        drift: the population stability index of the levels; None if there were too few entities.
        drift_verdict: stable, moving, shifted or unknown.
        downward_share: the share of entities with a level that were overridden below the rules; None if none had one.
        cap_percent: the most that may be, in percent.
        conversion: the share of alerts with an outcome that were confirmed.
        reached: the triggers of a revalidation that it found reached.
        signed_by: who signed it off; None, like the next two, while it is not signed off.
        conclusion: what follows from it.
    """

    validation: int
    reason: str
    begins: Moment
    ends: Moment
    made_at: Moment
    gini: Measure
    captured: Measure
    possible: float | None
    missed: Measure
    drift: float | None
    drift_verdict: str
    downward_share: float | None
    cap_percent: int
    conversion: Measure
    reached: list[str]
    signed_by: str | None
    signed_at: Moment | None
    conclusion: str | None


def validation_series(context: Context, part: Part = WHOLE, made_after_us: int | None = None) -> Page[ValidationPoint]:
    """List the findings of validations, the latest period first; nothing is measured again.

    *made_after_us*: only validations made after this moment; None for all.
    """
    with context.reading() as session:
        return runs_by_time(session, context.organisation_id, part, made_after_us).map(_point)


def read_point(context: Context, number: int) -> ValidationPoint:
    """Return the figures of one validation; NotFoundError if none has that number."""
    with context.reading() as session:
        return _point(run_numbered(session, context.organisation_id, number))


def sign_off_validation(context: Context, number: int, conclusion: str) -> ValidationPoint:
    """Sign a validation off with a conclusion, by a person who wrote none of the rulesets that it measures.

    Raises:
        NotFoundError: there is no such validation.
        ConfigError: the conclusion is empty.
        ConflictError: it was signed off already; or the actor wrote a version that it measures, or is not a member.
    """
    now, why = context.now(), checked_reason(conclusion, "conclusion")
    with context.writing() as session:
        run = locked_run(session, context.organisation_id, number)
        if run.signed_us is not None:
            raise ConflictError(f"validation {number} was signed off already, by {run.signed_by}")
        authors = authors_judged_by(session, run)
        what = f"wrote a ruleset that validation {number} looks at: another person signs it off"
        refuse_same_person(session, context.actor, authors, what)
        run.signed_by, run.signed_us, run.conclusion = context.actor.name, now, why
        session.flush()
        context.record(session, "validation.signed_off", ("validation", number), after={"conclusion": why})
        return _point(run)


def authors_judged_by(session: Session, run: ValidationRun) -> set[str]:
    """Return the people who wrote a ruleset version that a validation measures: another person signs it off."""
    versions = {(each["ruleset"], each["version"]) for each in run.report["groups"] if each["version"] is not None}
    return authors_of(session, run.organisation_id, versions)


def _point(run: ValidationRun) -> ValidationPoint:
    report = run.report
    overall, overrides = report["groups"][0], report["overrides"]
    caught, drift = overall["caught"], overall["drift"]
    return ValidationPoint(
        validation=run.id,
        reason=run.trigger,
        begins=run.from_us,
        ends=run.until_us,
        made_at=run.made_us,
        gini=Measure(**overall["ranked"]["gini"]),
        captured=Measure(**caught["captured"]),
        possible=caught["possible"],
        missed=Measure(**caught["missed"]),
        drift=drift["index"],
        drift_verdict=drift["verdict"],
        downward_share=overrides["downward_share"],
        cap_percent=overrides["cap_percent"],
        conversion=_conversion(overall["levels"]),
        reached=sorted({each["name"] for each in report["triggers"] if each["answer"] == REACHED}),
        signed_by=run.signed_by,
        signed_at=run.signed_us,
        conclusion=run.conclusion,
    )


def _conversion(levels: list[Plain]) -> Measure:
    """Return the share of alerts with an outcome that were confirmed, over all levels."""
    confirmed, others = (sum(level[name] for level in levels) for name in ("alerts_confirmed", "not_confirmed"))
    return share_measure(confirmed, confirmed + others)
