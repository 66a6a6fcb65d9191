"""Workers' jobs for rulesets: points learnt from cases, reference portfolios, reviews of thresholds.

Nothing here begins or ends a transaction.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from sqlalchemy import ColumnElement, and_, exists, or_, select
from sqlalchemy.orm import Session

from fivefold.domain.paging import Page, Part
from fivefold.store.sql.jobs import OPEN
from fivefold.store.sql.keyset import rows_of, scalars_of
from fivefold.store.sql.statements import INSERTS
from fivefold.store.tables.rulesets import Family, PointsJob, ReferenceJob, RulesetVersion, ThresholdReview


class PointsOfVersion(NamedTuple):
    """A job, and the number of the version whose points it learns."""

    job: PointsJob
    version: int


def points_jobs_of(session: Session, family_id: int, part: Part) -> Page[PointsOfVersion]:
    """List the jobs of a family, the newest first."""
    statement = select(PointsJob, RulesetVersion.number).join(RulesetVersion, RulesetVersion.id == PointsJob.version_id)
    statement = statement.where(PointsJob.family_id == family_id)
    return rows_of(session, statement, (PointsJob.id,), part, descending=True).map(lambda row: PointsOfVersion(*row))


def latest_points_jobs(
    session: Session, organisation_id: int, most: int, families: Sequence[str] | None
) -> list[tuple[Family, PointsOfVersion]]:
    """List up to *most* jobs of the named families, or of all, the newest first, each with its family."""
    statement = (
        select(Family, PointsJob, RulesetVersion.number)
        .join(Family, Family.id == PointsJob.family_id)
        .join(RulesetVersion, RulesetVersion.id == PointsJob.version_id)
        .where(Family.organisation_id == organisation_id)
    )
    if families is not None:
        statement = statement.where(Family.name.in_(families))
    newest = statement.order_by(PointsJob.id.desc()).limit(most)
    return [(row[0], PointsOfVersion(row[1], row[2])) for row in session.execute(newest)]


def open_points_job(session: Session, family_id: int) -> PointsOfVersion | None:
    """Find the waiting or running job of a family."""
    statement = select(PointsJob, RulesetVersion.number).join(RulesetVersion, RulesetVersion.id == PointsJob.version_id)
    row = session.execute(statement.where(PointsJob.family_id == family_id, PointsJob.state.in_(OPEN))).first()
    return None if row is None else PointsOfVersion(*row)


class JobOfVersion(NamedTuple):
    """A job, and the number of its version."""

    job: ReferenceJob
    version: int


def jobs_of(session: Session, family_id: int, part: Part) -> Page[JobOfVersion]:
    """List the jobs of a family, the newest first."""
    statement = select(ReferenceJob, RulesetVersion.number).join(
        RulesetVersion, RulesetVersion.id == ReferenceJob.version_id
    )
    statement = statement.where(ReferenceJob.family_id == family_id)
    return rows_of(session, statement, (ReferenceJob.id,), part, descending=True).map(lambda row: JobOfVersion(*row))


def open_job(session: Session, version_id: int) -> ReferenceJob | None:
    """Find the waiting or running job of a version."""
    statement = select(ReferenceJob).where(ReferenceJob.version_id == version_id, ReferenceJob.state.in_(OPEN))
    return session.scalar(statement)


EARLIER_REVIEWS: Final = 3
"""The most earlier reviews that smooth the next one: a year's with it, so that no season moves thresholds."""


def unreviewed(
    session: Session, quarter: str, until_us: int, failures: "OldFailures"
) -> list[tuple[Family, RulesetVersion]]:
    """List the families that decide, by a version committed before *until_us*, and have no review of a quarter.

    The old *failures* do not count as reviews.
    """
    of = (ThresholdReview.family_id == Family.id, ThresholdReview.quarter == quarter)
    reviewed = exists().where(*of, ~failures.condition)
    statement = (
        select(Family, RulesetVersion)
        .join(RulesetVersion, RulesetVersion.id == Family.active_version_id)
        .where(Family.enabled, RulesetVersion.committed_us < until_us, ~reviewed)
        .order_by(Family.id)
    )
    return [(row[0], row[1]) for row in session.execute(statement)]


class OldFailures(NamedTuple):
    """The failed reviews from before a moment, or dated after another one by a clock that was ahead."""

    before_us: int
    ahead_after_us: int

    @property
    def condition(self) -> ColumnElement[bool]:
        """The condition in SQL."""
        finished = ThresholdReview.finished_us
        is_old = or_(finished < self.before_us, finished > self.ahead_after_us)
        return and_(ThresholdReview.state == "failed", is_old)


def add_review(session: Session, values: dict[str, object], failures: OldFailures) -> None:
    """Add a review, or begin one of the old *failures* again, unless another worker has done so."""
    insert = INSERTS[session.get_bind().dialect.name](ThresholdReview).values(**values)
    anew = {**values, "part": None, "finished_us": None, "error": None}
    failed = failures.condition
    session.execute(insert.on_conflict_do_update(index_elements=["family_id", "quarter"], set_=anew, where=failed))


def earlier_thresholds(
    session: Session, family_id: int, rules_hash: str, since_quarter: str, quarter: str
) -> list[Sequence[str]]:
    """Return the thresholds by the same rules of quarters since *since_quarter*, before *quarter*; the latest first."""
    statement = select(ThresholdReview.thresholds).where(
        ThresholdReview.family_id == family_id,
        ThresholdReview.rules_hash == rules_hash,
        ThresholdReview.quarter >= since_quarter,
        ThresholdReview.quarter < quarter,
        ThresholdReview.thresholds.is_not(None),
    )
    latest = session.scalars(statement.order_by(ThresholdReview.quarter.desc()))
    return [thresholds for thresholds in latest if thresholds is not None]


def reviews_of(session: Session, family_id: int, part: Part) -> Page[ThresholdReview]:
    """List the reviews of a family, the newest first."""
    statement = select(ThresholdReview).where(ThresholdReview.family_id == family_id)
    return scalars_of(session, statement, (ThresholdReview.quarter,), part, descending=True)


def latest_reviews(
    session: Session, organisation_id: int, most: int, families: Sequence[str] | None
) -> list[tuple[str, ThresholdReview]]:
    """List up to *most* reviews of the named families, or of all, the newest first, each with the family's name."""
    statement = select(Family.name, ThresholdReview).join(Family, Family.id == ThresholdReview.family_id)
    statement = statement.where(Family.organisation_id == organisation_id)
    if families is not None:
        statement = statement.where(Family.name.in_(families))
    newest = statement.order_by(ThresholdReview.quarter.desc(), ThresholdReview.id.desc()).limit(most)
    return [(row[0], row[1]) for row in session.execute(newest)]
