"""Reference portfolios that workers build: jobs of a ruleset. Nothing here begins or ends a transaction."""

from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from fivefold.domain.paging import WHOLE, Page, Part
from fivefold.store.sql.jobs import OPEN
from fivefold.store.sql.keyset import rows_of
from fivefold.store.tables.rulesets import ReferenceJob, RulesetVersion


class JobOfVersion(NamedTuple):
    """A job, and the number of its version."""

    job: ReferenceJob
    version: int


def jobs_of(session: Session, family_id: int, part: Part = WHOLE) -> Page[JobOfVersion]:
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
