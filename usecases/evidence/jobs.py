"""Evidence in the background: a person requests it, a worker collects it, and people download it while it is kept."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import ConfigError, ConflictError
from fivefold.domain.files import disk_error
from fivefold.domain.settings import Settings
from fivefold.store.accounts.organisation import settings_row
from fivefold.store.evidence.archive import forget_archives, head_of, job_numbered, jobs_since, open_job
from fivefold.store.sql.database import writing
from fivefold.store.tables.events import EvidenceJob
from fivefold.usecases.audit.verify import ENTRIES
from fivefold.usecases.evidence.build import FILES, build_evidence, require_begun
from fivefold.usecases.shared.api_fields import row_as
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.inputs import Quarter, read_quarter
from fivefold.usecases.shared.jobs import JobKind, JobLine, Lease, new_job

MOST_BYTES = 100_000_000
"""The largest archive that is kept for download."""
KEPT_DAYS = 7
"""How long an archive can be downloaded."""
MOST_LISTED = 20


@dataclass(frozen=True, kw_only=True)
class EvidenceJobLine(JobLine):
    """The evidence of a quarter that a worker collects.

    Attributes:
        is_kept: the archive can be taken away.
        manifest_sha256: of the archive, as `size_bytes`; None until it is done, as `findings`.
        findings: of the verification of the audit log; 0 where it is whole.
    """

    quarter: str
    is_kept: bool
    manifest_sha256: str | None
    size_bytes: int | None
    findings: int | None


def request_evidence(context: Context, quarter: Quarter) -> tuple[EvidenceJobLine, bool]:
    """Request the evidence of a quarter; return it, and whether it is new: a quarter has one at a time.

    ConflictError if the quarter has not begun.
    """
    now = context.now()
    require_begun(quarter, now)
    with context.writing() as session:
        settings_row(session, context.organisation_id, locked=True)
        present = open_job(session, context.organisation_id, quarter.name)
        if present is not None:
            return _line(present, now), False
        job = EvidenceJob(**new_job(context, now), quarter=quarter.name)
        session.add(job)
        session.flush()
        return _line(job, now), True


def read_evidence_job(context: Context, number: int) -> EvidenceJobLine:
    """Show the progress of the evidence of a quarter; NotFoundError if no request has that number."""
    with context.reading() as session:
        return _line(job_numbered(session, context.organisation_id, number), context.now())


def list_evidence(context: Context) -> list[EvidenceJobLine]:
    """List the evidence that waits, is collected, or was requested while archives are kept, the newest first."""
    now = context.now()
    with context.reading() as session:
        rows = jobs_since(session, context.organisation_id, now - KEPT_DAYS * DAY_US, MOST_LISTED)
        return [_line(row, now) for row in rows]


@dataclass(frozen=True)
class EvidenceTaken:
    """An archive to download, and its quarter."""

    quarter: str
    content: bytes


def take_evidence(context: Context, number: int) -> EvidenceTaken:
    """Return an archive for download; the audit log records who took it, and the hash of its manifest.

    Raises:
        NotFoundError: the organisation has no request of that number.
        ConflictError: it is not collected yet, or no longer kept.
    """
    with context.writing() as session:
        job = job_numbered(session, context.organisation_id, number)
        if not _is_kept(job, context.now()) or job.content is None:
            raise ConflictError(
                f"there is no archive {number} of {job.quarter} to be taken away: it is {job.state}, and one that is"
                f" done is kept for {KEPT_DAYS} days, or until an erasure; ask for it again"
            )
        details = {"quarter": job.quarter, "manifest_sha256": job.manifest_sha256, "findings": job.findings}
        archive = EvidenceTaken(job.quarter, job.content)
        context.record(session, "evidence.exported", ("organisation", context.organisation_id), details=details)
        return archive


def evidence_jobs(settings: Settings | None) -> JobKind:
    """Return the kind of job that collects evidence; *settings* are those of the value models."""

    def begin(job: EvidenceJob) -> Callable[[Lease], None]:
        quarter = read_quarter(job.quarter)
        return lambda lease: _collect(lease, quarter, settings)

    return JobKind(name="evidence", rows=EvidenceJob, begin=begin)


def prune_archives(engine: Engine, *, clock: Callable[[], int]) -> int:
    """Delete the archives that are no longer kept; return how many."""
    with writing(engine) as session:
        return forget_archives(session, clock() - KEPT_DAYS * DAY_US)


def _collect(lease: Lease, quarter: Quarter, settings: Settings | None) -> None:
    with lease.who.reading() as session:
        head = head_of(session, lease.who.organisation_id)
    entries = 0 if head is None else head[0]

    def looked(done: int, part: str) -> None:
        report = lease.hold if part == FILES else lease.progress  # a file has thousands of pieces
        report(done, entries if part == ENTRIES else 0, part)

    with _unnamed_file() as unfinished:
        evidence = build_evidence(lease.who, quarter, unfinished, settings, looked)
        size = unfinished.tell()
        if size > MOST_BYTES:
            raise ConflictError(
                f"the evidence of {quarter.name} has {size:,} bytes, more than {MOST_BYTES:,}: make it at the machine,"
                f" with fivefold evidence --quarter {quarter.name}"
            )
        unfinished.seek(0)
        content = unfinished.read()

    def write(_: Session) -> dict[str, Any]:
        values = {"content": content, "manifest_sha256": evidence.manifest_sha256}
        return {**values, "size_bytes": size, "findings": evidence.findings}

    lease.keep(write)


@contextmanager
def _unnamed_file() -> Iterator[IO[bytes]]:
    """Yield a temporary file without a name, of which a killed worker leaves nothing; ConfigError says why not."""
    try:
        file = tempfile.TemporaryFile()  # noqa: SIM115 (closed below; a file that the work misses is another fault)
    except OSError as error:
        raise _unwritable(error) from error
    try:
        with file:
            yield file
    except OSError as error:
        if disk_error(error) is None:
            raise
        raise _unwritable(error) from error


def _unwritable(error: OSError) -> ConfigError:
    place = f" in {tempfile.tempdir}" if tempfile.tempdir else ""
    return ConfigError(
        f"its archive cannot be written to a temporary file{place} on the worker's machine: {error.strerror}; "
        "ask for it again once that is mended"
    )


def _is_kept(job: EvidenceJob, now_us: int) -> bool:
    if job.state != "done" or job.finished_us is None or job.size_bytes is None:  # an erasure removes the size too
        return False
    return now_us < job.finished_us + KEPT_DAYS * DAY_US


def _line(row: EvidenceJob, now_us: int) -> EvidenceJobLine:
    return row_as(EvidenceJobLine, row, is_kept=_is_kept(row, now_us))
