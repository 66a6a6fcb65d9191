"""When the audit log was last verified, and with what result: a comparison records it for each organisation."""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Annotated

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from fivefold.domain.clock import now_microseconds
from fivefold.domain.errors import StoreError
from fivefold.store.monitoring.operations import proof_of
from fivefold.store.sql.database import writing
from fivefold.store.tables.accounts import Organisation
from fivefold.store.tables.operations import AuditProof
from fivefold.usecases.audit.record import ExportedHeads
from fivefold.usecases.audit.verify import AuditFinding, VerificationResult, verify
from fivefold.usecases.shared.api_fields import Moment, schema, shown_as
from fivefold.usecases.shared.context import Context


@schema("AuditProof")
@dataclass(frozen=True, kw_only=True)
class ProofLine:
    """The result of the last `fivefold audit verify` for an organisation's log.

    Attributes:
        at_us: when it was last run.
        findings: how many there were; none in a log that is whole.
        heads_us: when the exported heads that it was compared with were written; None without heads.
        whole_us: when it last found nothing; None for never.
    """

    at_us: Annotated[Moment, shown_as("at")]
    entries: int
    findings: int
    heads_us: Annotated[Moment | None, shown_as("heads_of")]
    whole_us: Annotated[Moment | None, shown_as("whole_at")]


def prove(
    engine: Engine,
    tell: Callable[[AuditFinding], None],
    *,
    exported: ExportedHeads | None = None,
    elsewhere: Sequence[AuditFinding] = (),
) -> VerificationResult:
    """Verify every chain as `verify` does, and record time and result for each organisation.

    The findings *elsewhere*, of a comparison with the registry of models, are added to those of the chains.
    If the database cannot be written, such as a read-only one, the result is the same.
    """
    at = now_microseconds()
    findings: Counter[int] = Counter()

    def count(finding: AuditFinding) -> None:
        findings[finding.organisation_id] += 1
        tell(finding)

    verified = verify(engine, count, exported=exported)
    for finding in elsewhere:
        count(finding)
    verified = replace(verified, findings=verified.findings + len(elsewhere))
    with suppress(StoreError, SQLAlchemyError), writing(engine) as session:
        for number, entries in sorted(verified.entries_of.items()):
            if (
                session.get(Organisation, number) is None
            ):  # an exported head may be of an organisation that does not exist
                continue
            row = session.get(AuditProof, number) or AuditProof(organisation_id=number)
            row.at_us, row.entries, row.findings = at, entries, findings[number]
            row.heads_us = None if exported is None else exported.exported_us
            if not findings[number]:
                row.whole_us = at
            session.add(row)
    return verified


def read_proof(context: Context) -> ProofLine | None:
    """Show the result of the last comparison; None if there was none."""
    with context.reading() as session:
        row = proof_of(session, context.organisation_id)
        if row is None:
            return None
        return ProofLine(
            at_us=row.at_us, entries=row.entries, findings=row.findings, heads_us=row.heads_us, whole_us=row.whole_us
        )
