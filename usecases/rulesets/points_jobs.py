"""Points on the platform: a person requests them, a worker learns them from cases and leaves at most a draft.

The worker learns from half of the customers and judges on the others. It activates nothing: the draft states its
verdict, and people commit, backtest and activate it like any other. A draft that a person edits stays as it is.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

from sqlalchemy.orm import Session

from fivefold.domain.clock import day_text
from fivefold.domain.errors import ConfigError, ConflictError
from fivefold.domain.paging import WHOLE, Page, Part
from fivefold.risk.compiler.analysis import analyse_canonical
from fivefold.risk.governance.points.draft import draft_text
from fivefold.risk.governance.points.propose import PointsProposal, propose_points, require_learnable
from fivefold.risk.governance.validate.run import ValidationOptions
from fivefold.risk.language.ruleset import Ruleset
from fivefold.store.accounts.organisation import settings_row
from fivefold.store.rulesets.jobs import PointsOfVersion, latest_points_jobs, open_points_job, points_jobs_of
from fivefold.store.rulesets.rulesets import family_named, newest_version
from fivefold.store.sql.json_text import stored_report
from fivefold.store.tables.rulesets import Draft, Family, PointsJob, RulesetVersion
from fivefold.usecases.rulesets.assessing import assessed_together, labels_from_cases, later_cautions
from fivefold.usecases.rulesets.drafts import save_draft_in
from fivefold.usecases.rulesets.life_cycle import NO_DRAFT
from fivefold.usecases.rulesets.run_backtest import LeftOut, setting_of
from fivefold.usecases.shared.api_fields import Moment, row_as, shown_as
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.inputs import checked_moment
from fivefold.usecases.shared.jobs import JobKind, JobLine, Lease, new_job


@dataclass(frozen=True, kw_only=True)
class PointsWanted:
    """The moments between which points are learnt.

    Attributes:
        as_of_us: points are judged on customers as known at this moment, by cases that ended later.
        learn_as_of_us: points are learnt from customers as known at this earlier moment, by cases that ended between
            the two; None for the same moment.
        until_us: cases that ended at this moment or later do not count; None for now.
    """

    as_of_us: int
    learn_as_of_us: int | None = None
    until_us: int | None = None


@dataclass(frozen=True, kw_only=True)
class PointsJobLine(JobLine):
    """Points that a worker learns from confirmed cases for a version of a ruleset.

    Attributes:
        outcome: draft, where `draft_revision` is left; same, where no outcome would give other points; beside a draft,
            where a person edited one by then; changed since, where another version was committed by then; None until it
            is done, as what follows.
        learnt_from: customers who were learnt from, `learnt_confirmed` of them confirmed.
        verdict: on the other customers: Gini of total and level by the draft and by the ruleset as it is, with the
            interval of the difference; what the top levels hold; whether it is recommended for review, and why.
        changes: each outcome that gives other points: its rule, the points before and after, from what they follow, how
            many got it and were confirmed, and what it adds to the capture.
        cuts: by level above the lowest where it begins now and would begin.
        cautions: what the numbers do not say.
    """

    ruleset: str
    version: int
    as_of_us: Annotated[Moment, shown_as("as_of")]
    learn_as_of_us: Annotated[Moment | None, shown_as("learn_as_of")]
    until_us: Annotated[Moment, shown_as("until")]
    outcome: str | None
    draft_revision: int | None
    learnt_from: int | None
    learnt_confirmed: int | None
    verdict: dict[str, Any] | None
    changes: list[dict[str, Any]]
    cuts: list[dict[str, Any]]
    cautions: list[str]


def request_points(context: Context, ruleset: str, wanted: PointsWanted) -> tuple[PointsJobLine, bool]:
    """Request points of the newest version of a ruleset, learnt from cases; return the job, and whether it is new.

    If a job waits or runs for the ruleset, that one is returned.

    Raises:
        NotFoundError: there is no such ruleset.
        ConfigError: the moments are out of order or still to come, or the score is not a sum of points.
        ConflictError: no version is committed, or there is a draft.
        InvalidRulesetError: rules read cases or alerts, from which the labels come; or the ruleset is for commerce.
    """
    now = context.now()
    checked = _checked(wanted, now)
    with context.writing() as session:
        settings_row(session, context.organisation_id, locked=True)  # every save or commit of a draft takes this lock
        family = family_named(session, context.organisation_id, ruleset)
        present = open_points_job(session, family.id)
        if present is not None:
            return _line(family, present), False
        newest = newest_version(session, family.id)
        if newest is None:
            raise ConflictError(f"no version of {ruleset} is committed; points are learnt for the newest one")
        if session.get(Draft, family.id) is not None:
            raise ConflictError(
                f"{ruleset} has a draft, and learnt points are left as a draft; commit or discard that one first"
            )
        require_learnable(analyse_canonical(newest.canonical))
        job = PointsJob(**new_job(context, now), family_id=family.id, version_id=newest.id, **checked)
        session.add(job)
        session.flush()
        details = {"ruleset": ruleset, "version": newest.number, **checked}
        context.record(session, "points.requested", ("ruleset", family.id), details=details)
        return _line(family, PointsOfVersion(job, newest.number)), True


def _checked(wanted: PointsWanted, now_us: int) -> dict[str, int | None]:
    """Check the order of the moments; return the columns of a job."""
    as_of, until = checked_moment(wanted.as_of_us, "as_of"), now_us
    if wanted.until_us is not None:
        until = checked_moment(wanted.until_us, "until")
    if until > now_us:
        raise ConfigError(f"cases until {day_text(until)} are asked for, which is still to come")
    if as_of >= until:
        raise ConfigError(
            f"as of {day_text(as_of)} nothing is known that came until {day_text(until)}; give an earlier as_of: by the"
            " cases that ended after it points are learnt and judged"
        )
    learn = None if wanted.learn_as_of_us is None else checked_moment(wanted.learn_as_of_us, "learn_as_of")
    if learn is not None and learn >= as_of:
        raise ConfigError(
            f"learn_as_of, {day_text(learn)}, must be before as_of, {day_text(as_of)}: what became known between the"
            " two is learnt from"
        )
    return {"as_of_us": as_of, "learn_as_of_us": learn, "until_us": until}


def list_points_jobs(context: Context, ruleset: str, part: Part = WHOLE) -> Page[PointsJobLine]:
    """List the jobs for points of a ruleset, the newest first; NotFoundError if it does not exist."""
    with context.reading() as session:
        family = family_named(session, context.organisation_id, ruleset)
        return points_jobs_of(session, family.id, part).map(lambda row: _line(family, row))


def list_recent_points(context: Context, most: int, rulesets: Sequence[str] | None) -> list[PointsJobLine]:
    """List at most *most* jobs for points of *rulesets*, of all if None, the newest first."""
    with context.reading() as session:
        jobs = latest_points_jobs(session, context.organisation_id, most, rulesets)
        return [_line(family, job) for family, job in jobs]


def _line(family: Family, row: PointsOfVersion) -> PointsJobLine:
    job = row.job
    report: dict[str, Any] = {} if job.report is None else json.loads(job.report)
    return row_as(
        PointsJobLine,
        job,
        ruleset=family.name,
        version=row.version,
        outcome=report.get("outcome"),
        learnt_from=report.get("learnt_from"),
        learnt_confirmed=report.get("learnt_confirmed"),
        verdict=report.get("verdict"),
        changes=report.get("changes", []),
        cuts=report.get("cuts", []),
        cautions=report.get("cautions", []),
    )


def _begin(job: PointsJob) -> Callable[[Lease], None]:
    family_id, version_id, attempt = job.family_id, job.version_id, job.attempts
    as_of_us, learn_as_of_us, until_us = job.as_of_us, job.learn_as_of_us, job.until_us

    def make(lease: Lease) -> None:
        with lease.who.reading() as session:
            family, version = session.get_one(Family, family_id), session.get_one(RulesetVersion, version_id)
            document = version.document
            setting = setting_of(session, family, version.canonical, as_of_us, attempt, known_then=True)
            labels = labels_from_cases(session, lease.who.organisation_id, until_us)
        left_out = LeftOut.none_of(setting)
        judging, learning = assessed_together(lease, setting, left_out), None
        cautions = later_cautions(left_out, setting)
        if learn_as_of_us is not None:
            earlier, left_out = replace(setting, as_of_us=learn_as_of_us), LeftOut.none_of(setting)
            learning = assessed_together(lease, earlier, left_out)
            cautions += later_cautions(left_out, earlier)
        lease.progress(setting.customers, setting.customers, "points, and what they are worth")
        proposal, learnt_ruleset = propose_points(judging, labels, ValidationOptions(until=until_us), learning)
        proposal = replace(proposal, cautions=(*proposal.cautions, *cautions))
        text = draft_text(document, judging.program, learnt_ruleset, proposal)

        def write(session: Session) -> dict[str, Any]:
            return _keep(
                session,
                lease,
                job_of=(family_id, version_id),
                text=text,
                proposal=proposal,
                learnt_ruleset=learnt_ruleset,
            )

        lease.keep(write)

    return make


def _keep(
    session: Session,
    lease: Lease,
    *,
    job_of: tuple[int, int],
    text: str,
    proposal: PointsProposal,
    learnt_ruleset: Ruleset,
) -> dict[str, Any]:
    """Leave the draft, unless a person was faster; return the columns of the job."""
    family_id, version_id = job_of
    settings_row(session, lease.who.organisation_id, locked=True)
    same = learnt_ruleset.content_hash == proposal.content_hash
    revision, outcome = None, _outcome(session, family_id, version_id, same=same)
    if outcome == "draft":
        revision = save_draft_in(session, lease.who, text, NO_DRAFT, lease.began_us).revision
    details = {"outcome": outcome, "recommended": proposal.verdict.recommended}
    lease.who.record(session, "points.proposed", ("ruleset", family_id), details=details)
    return {"report": stored_report({**proposal.to_dict(), "outcome": outcome}), "draft_revision": revision}


def _outcome(session: Session, family_id: int, version_id: int, *, same: bool) -> str:
    if same:
        return "same"
    session.expire_all()
    newest = newest_version(session, family_id)
    if newest is None or newest.id != version_id:
        return "changed since"
    return "draft" if session.get(Draft, family_id) is None else "beside a draft"


POINTS = JobKind(name="points", rows=PointsJob, begin=_begin)
