"""Verification of the audit log, and of history by it: every change, gap, reordering and missing value is found.

It also finds promotions in the registry of models that the log lacks, and stores when it last ran, with its result.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache, partial
from itertools import groupby
from operator import itemgetter
from time import sleep
from typing import TYPE_CHECKING, Annotated, Any

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from fivefold.domain.clock import now_microseconds, second_text
from fivefold.domain.errors import ConfigError, RegistryError, StoreError
from fivefold.domain.settings import Settings
from fivefold.store.audit.chain import GENESIS, Side, hash_of_entry, hash_of_value
from fivefold.store.audit.chain_reading import Head, chains, heads, names, snapshot, stray_values
from fivefold.store.audit.expectations import Expectations
from fivefold.store.audit.promotions import logged_promotions
from fivefold.store.audit.value_kinds import wrong_values
from fivefold.store.monitoring.operations import proof_of
from fivefold.store.sql.database import reading, writing
from fivefold.store.tables.accounts import Organisation
from fivefold.store.tables.operations import AuditProof
from fivefold.usecases.audit.history import HistoryCheck, Looked, not_noted
from fivefold.usecases.audit.record import ExportedHead, ExportedHeads
from fivefold.usecases.shared.api_fields import Moment, row_as, schema, shown_as
from fivefold.usecases.shared.context import Context

if TYPE_CHECKING:
    from fivefold.models.registry import Registry

    RegistryOf = Callable[[str], Registry]

ENTRIES = "entries of the audit log that are proved"
ENTRIES_AT_ONCE = 1_000
_SIDES: tuple[Side, ...] = ("before", "after")

Row = Mapping[str, Any]
Problem = tuple[int, str]
"""The number of an entry, and the problem."""


@dataclass(frozen=True)
class AuditFinding:
    """One problem of a chain.

    >>> print(AuditFinding(1, "acme", 7, "is missing"))
    organisation acme (1), entry 7: is missing

    Attributes:
        number: of the entry; 0 for rows without an entry.
    """

    organisation_id: int
    organisation: str
    number: int
    problem: str

    def __str__(self) -> str:
        entry = f", entry {self.number}" if self.number else ""
        return f"organisation {self.organisation} ({self.organisation_id}){entry}: {self.problem}"


@dataclass(frozen=True)
class VerificationResult:
    """The scope of a verification, and its result.

    Attributes:
        chains: organisations that have or had a chain.
        entries: of all of them.
        erased: entries whose values were erased.
        findings: how many there are; none in a log that is whole.
        entries_of: entries by organisation.
    """

    chains: int
    entries: int
    erased: int
    findings: int
    entries_of: Mapping[int, int] = field(default_factory=dict, compare=False)


def verify(
    engine: Engine, tell: Callable[[AuditFinding], None], *, exported: ExportedHeads | None = None
) -> VerificationResult:
    """Verify every chain, and pass each finding to *tell* at once.

    History is compared with the entries about it. Exported heads also reveal a tail that was cut off, and a chain that
    was rewritten. Everything is streamed, so memory does not grow.
    """
    with snapshot(engine) as connection:
        return verify_picture(connection, tell, exported=exported)


def verify_picture(
    connection: Connection,
    tell: Callable[[AuditFinding], None],
    *,
    organisation: str | None = None,
    exported: ExportedHeads | None = None,
    looked: Looked = not_noted,
) -> VerificationResult:
    """Verify the chains in one consistent snapshot of the database, or one organisation's; otherwise as `verify`.

    ConfigError if there is no such organisation.
    """
    stored_heads = {head.organisation_id: head for head in heads(connection)}
    exported_heads = {} if exported is None else {head.organisation_id: head for head in exported.heads}
    organisations = {number: head.organisation for number, head in exported_heads.items()} | names(connection)
    only = None if organisation is None else _organisation_id(organisation, organisations)
    log = _Log(organisations, tell)
    with Expectations() as expected:
        history = HistoryCheck(expected, log.report)
        for number, rows in groupby(chains(connection, only), key=itemgetter("organisation_id")):
            log.look_through(
                number,
                _collect(rows, history, looked),
                stored_heads.pop(number, None),
                exported_heads.pop(number, None),
            )
        for number in sorted({*stored_heads, *exported_heads}):  # also chains without an entry
            if only in {None, number}:
                log.look_through(number, iter(()), stored_heads.get(number), exported_heads.get(number))
        log.compare(history, connection, only, looked)
    for row in stray_values(connection, only):
        log.report(row["organisation_id"], row["number"], "is missing, but its values are stored")
    return VerificationResult(log.chains, log.entries, log.erased, log.findings, log.entries_of)


def _collect(rows: Iterator[Row], history: HistoryCheck, looked: Looked) -> Iterator[Row]:
    for number, row in enumerate(rows):
        if number % ENTRIES_AT_ONCE == 0:
            looked(number, ENTRIES)
        history.entry(row)
        yield row


def _organisation_id(name: str, names: Mapping[int, str]) -> int:
    numbers = [number for number, other in names.items() if other == name]
    if not numbers:
        raise ConfigError(f"there is no organisation {name!r}")
    return numbers[0]


class _Log:
    """Checks chain after chain, counts entries, and reports findings."""

    def __init__(self, organisations: Mapping[int, str], tell: Callable[[AuditFinding], None]) -> None:
        self.chains = self.entries = self.erased = self.findings = 0
        self.entries_of: dict[int, int] = {}
        self._organisations = organisations
        self._tell = tell

    def report(self, organisation_id: int, number: int, problem: str) -> None:
        """Report a problem."""
        self.findings += 1
        self._tell(
            AuditFinding(organisation_id, self._organisations.get(organisation_id, "without a name"), number, problem)
        )

    def look_through(self, number: int, rows: Iterator[Row], head: Head | None, exported: ExportedHead | None) -> None:
        """Check one organisation's chain."""
        self.chains += 1
        self.entries_of[number] = 0
        last = (0, GENESIS)
        for row in rows:
            self.entries += 1
            self.entries_of[number] += 1
            self.erased += row["erased_us"] is not None
            for place, problem in _problems(row, last, exported):
                self.report(number, place, problem)
            last = (_whole(row["number"]), row["hash"])
        for place, problem in _problems_of_end(last, head, exported):
            self.report(number, place, problem)

    def compare(self, history: HistoryCheck, connection: Connection, only: int | None, looked: Looked) -> None:
        """Compare history with the entries about it, as far as its values can be read."""
        wrong = list(wrong_values(connection, only))
        for each in wrong:
            problem = f"{each.row} has a value of the kind {each.kind} in {each.column}; it must be {each.right_kind}"
            self.report(each.organisation_id, 0, problem)
        try:
            history.compare(connection, only, looked)
        except Exception as error:  # what a value of a wrong kind makes its readers raise is not bounded
            if not wrong:
                raise
            problem = f"history is compared no further, as such a value cannot be read: {type(error).__name__}"
            self.report(wrong[0].organisation_id, 0, problem)


def _problems(row: Row, last: tuple[int, str], exported: ExportedHead | None) -> Iterator[Problem]:
    """List the problems of an entry whose predecessor is *last*: its number and hash."""
    number = _whole(row["number"])
    if number != last[0] + 1:
        yield last[0] + 1, "is missing" + (f", and all up to entry {number - 1}" if number > last[0] + 2 else "")
    elif row["previous_hash"] != last[1]:
        yield number, "does not follow the entry before it: that one has another hash now"
    if not _holds(row):
        yield number, "was changed: its hash is not that of its content"
    if exported is not None and number == exported.number and row["hash"] != exported.hash:
        yield number, f"is not the entry that was exported as the head: that one had the hash {exported.hash}"
    for problem in _problems_of_values(row):
        yield number, problem


def _problems_of_values(row: Row) -> Iterator[str]:
    """Describe the problems of an entry's values: missing, left over, or changed."""
    hashes = {side: row[f"{side}_hash"] for side in _SIDES}
    if row["values_number"] is None:
        if any(hashes.values()):
            yield "its values are missing, and were not erased"
    elif row["erased_us"] is not None:
        if any(row[column] is not None for column in ("salt", *_SIDES)):
            yield "its values are marked as erased, and are still there"
    elif not any(hashes.values()):
        yield "has values, but was written without any"
    else:
        for side, digest in hashes.items():
            if (row[side] is None) != (digest is None):
                yield f"its value {side} the change is {'missing' if row[side] is None else 'there, and was not'}"
            elif digest is not None and not _value_holds(row, side):
                yield f"its value {side} the change was changed: its hash is another"


def _problems_of_end(last: tuple[int, str], head: Head | None, exported: ExportedHead | None) -> Iterator[Problem]:
    """Describe how the end of a chain differs from its head, and from the exported head."""
    number = last[0]
    if head is None:
        if number:
            yield number, "is the last one, but its chain has no head"
    elif _whole(head.number) > number:
        yield number + 1, f"is missing: the head names entry {head.number} as the last one"
    elif _whole(head.number) < number:
        yield _whole(head.number) + 1, f"comes after the head, which names entry {head.number} as the last one"
    elif head.hash != last[1]:
        yield number, "is not the entry that the head names: that one has another hash"
    if exported is not None and exported.number > number:
        yield number + 1, f"is missing: entry {exported.number} was there when the heads were exported"


def _holds(row: Row) -> bool:
    try:
        return bool(hash_of_entry(row) == row["hash"])
    except (
        TypeError,
        ValueError,
    ):  # SQLite may hold a value that no entry can have: a float, or bytes that are not text
        return False


def _value_holds(row: Row, side: Side) -> bool:
    try:
        return bool(hash_of_value(row["salt"], side, row[side]) == row[f"{side}_hash"])
    except ValueError:  # as above
        return False


def _whole(number: Any) -> int:
    """Return a number; one below all others if SQLite holds something else."""
    return number if isinstance(number, int) else -1


_SETTLES_SECONDS = 3.0
"""How soon after its model serves the entry of a promotion under way is written."""


def unlogged_promotions(engine: Engine, settings: Settings) -> list[AuditFinding]:
    """List promotions that an organisation's log lacks, or the registry of models does.

    Promotions missing from the log are of the model that serves here, or of models that the log names: a registry may
    have the models of others too. The registry may lack logged promotions of the model that serves here, or have
    another content hash for a version that became champion.
    RegistryError if the registry cannot be read, or is missing though a log has promotions; ConfigError if its lock
    cannot be taken.
    """
    if not settings.has_registry:
        _require_none_logged(engine, settings)
        return []
    from fivefold.models.registry import Registry  # noqa: PLC0415 (MLflow takes seconds to import)

    registry_of = cache(partial(Registry, settings))
    findings = _differences(engine, settings.model_name, registry_of)
    if findings:
        sleep(_SETTLES_SECONDS)
        findings = _differences(engine, settings.model_name, registry_of)
    return findings


def _require_none_logged(engine: Engine, settings: Settings) -> None:
    with reading(engine) as session:
        if logged_promotions(session):
            raise RegistryError(f"there is no registry of value models in {settings.registry_shown}, so none was read")


def _differences(engine: Engine, serving: str, registry_of: "RegistryOf") -> list[AuditFinding]:
    with snapshot(engine) as connection:
        organisation_names = names(connection)
    with reading(engine) as session:
        lacks = [*_lacks_of_log(session, serving, registry_of), *_lacks_of_registry(session, registry_of(serving))]
    return [AuditFinding(of, organisation_names[of], entry, problem) for of, entry, problem in lacks]


def _lacks_of_log(session: Session, serving: str, registry_of: "RegistryOf") -> Iterator[tuple[int, int, str]]:
    from fivefold.usecases.models.promotion_log import missing_promotions  # noqa: PLC0415 (as above)

    for model in sorted({serving, *(each.model for each in logged_promotions(session))}):
        adds = "a worker that starts, or the next promotion," if model == serving else "its next promotion"
        for promotion, organisations in missing_promotions(session, registry_of(model)):
            problem = (
                f"version {promotion.version} of {model} became champion at {second_text(promotion.at_us)}, as"
                f" the registry of models says, and no entry says so; {adds} adds it"
            )
            yield from ((number, 0, problem) for number in organisations)


def _lacks_of_registry(session: Session, registry: "Registry") -> Iterator[tuple[int, int, str]]:
    from fivefold.usecases.models.promotion_log import changed_promotions, lost_promotions  # noqa: PLC0415 (as above)

    for lost in lost_promotions(session, registry):
        problem = (
            f"version {lost.version} of {registry.name} became champion at {second_text(lost.at_us or 0)}, and the"
            f" registry of models in {registry.settings.registry_shown} does not say so: it was restored from an"
            " earlier backup, or made anew; a registry that says so ends this finding, and so does"
            f" `fivefold audit acknowledge {lost.entry} --reason WHY` for this organisation"
        )
        yield lost.organisation_id, lost.entry, problem
    for changed in changed_promotions(session, registry):
        problem = (
            f"version {changed.version} of {registry.name} became champion at {second_text(changed.at_us or 0)} with"
            f" the content hash {changed.details['content_hash'][:12]}, and the registry of models in"
            f" {registry.settings.registry_shown} has another one: it was changed since; restore it from a backup"
        )
        yield changed.organisation_id, changed.entry, problem


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
    If the database cannot be written, such as a read-only one, the result is returned all the same.
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
        return row_as(ProofLine, row)
