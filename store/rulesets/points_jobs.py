"""Points that workers learn from cases: jobs of a ruleset. Nothing here begins or ends a transaction."""

from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from fivefold.domain.paging import WHOLE, Page, Part
from fivefold.store.sql.jobs import OPEN
from fivefold.store.sql.keyset import rows_of
from fivefold.store.tables.rulesets import PointsJob, RulesetVersion


class PointsOfVersion(NamedTuple):
    """A job, and the number of the version whose points are learnt again."""

    job: PointsJob
    version: int


def points_jobs_of(session: Session, family_id: int, part: Part = WHOLE) -> Page[PointsOfVersion]:
    """List the jobs of a family, the newest first."""
    statement = select(PointsJob, RulesetVersion.number).join(RulesetVersion, RulesetVersion.id == PointsJob.version_id)
    statement = statement.where(PointsJob.family_id == family_id)
    return rows_of(session, statement, (PointsJob.id,), part, descending=True).map(lambda row: PointsOfVersion(*row))


def open_points_job(session: Session, family_id: int) -> PointsOfVersion | None:
    """Find the waiting or running job of a family."""
    statement = select(PointsJob, RulesetVersion.number).join(RulesetVersion, RulesetVersion.id == PointsJob.version_id)
    row = session.execute(statement.where(PointsJob.family_id == family_id, PointsJob.state.in_(OPEN))).first()
    return None if row is None else PointsOfVersion(*row)
