"""Points that workers learn from cases: jobs of a ruleset. Nothing here begins or ends a transaction."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from fivefold.domain.paging import WHOLE, Page, Part
from fivefold.store.sql.jobs import OPEN
from fivefold.store.sql.keyset import rows_of
from fivefold.store.tables.rulesets import Family, PointsJob, RulesetVersion


class PointsOfVersion(NamedTuple):
    """A job, and the number of the version whose points are learnt anew."""

    job: PointsJob
    version: int


def points_jobs_of(session: Session, family_id: int, part: Part = WHOLE) -> Page[PointsOfVersion]:
    """List the jobs of a family, the newest first."""
    statement = select(PointsJob, RulesetVersion.number).join(RulesetVersion, RulesetVersion.id == PointsJob.version_id)
    statement = statement.where(PointsJob.family_id == family_id)
    return rows_of(session, statement, (PointsJob.id,), part, descending=True).map(lambda row: PointsOfVersion(*row))


def latest_points_jobs(
    session: Session, organisation_id: int, most: int, families: Sequence[str] | None
) -> list[tuple[Family, PointsOfVersion]]:
    """List at most so many jobs of the families of some names, or of all, the newest first, each with its family."""
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
    """Find the job of a family that waits or runs."""
    statement = select(PointsJob, RulesetVersion.number).join(RulesetVersion, RulesetVersion.id == PointsJob.version_id)
    row = session.execute(statement.where(PointsJob.family_id == family_id, PointsJob.state.in_(OPEN))).first()
    return None if row is None else PointsOfVersion(*row)
