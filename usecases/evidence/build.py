"""Evidence of a quarter: an archive of all that decided and who decided it, built without a change, and checked.

It has people and customers by internal numbers alone; values before and after, and reasons of overrides, are left out.
"""

import json
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

from sqlalchemy import Connection
from sqlalchemy.orm import Session

from fivefold.domain.errors import ConflictError
from fivefold.domain.provenance import release
from fivefold.domain.settings import Settings
from fivefold.risk.governance.reports.page import as_html
from fivefold.store.audit.chain_reading import names, snapshot
from fivefold.store.evidence.archive import entries_in, head_of, validations_in
from fivefold.store.tables.events import ValidationRun
from fivefold.usecases.audit.history import Looked, not_noted
from fivefold.usecases.audit.verify import verify_picture
from fivefold.usecases.evidence.archive import (
    ArchiveCheck,
    ArchiveSection,
    File,
    check_archive,
    json_file,
    optional_iso_text,
    text_file,
    write_archive,
)
from fivefold.usecases.evidence.facts import facts_part, levels_part
from fivefold.usecases.evidence.flows import flows_part, run_problems
from fivefold.usecases.evidence.groups import groups_part
from fivefold.usecases.evidence.in_force import in_force_part
from fivefold.usecases.evidence.models import models_part
from fivefold.usecases.evidence.people import people_part
from fivefold.usecases.evidence.purposes import purpose_problems, purposes_part
from fivefold.usecases.evidence.rulesets import rulesets_part
from fivefold.usecases.monitoring.page import validation_sections
from fivefold.usecases.monitoring.peers import AttachedPeer, peers_beside
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.inputs import Quarter

READ_ME = """\
Evidence of {quarter}, from {begins} until {ends}, of {organisation}.

rulesets/           every version that was committed, activated or in force, as it was written; what changed since the
                    version before; versions.json with hashes, editors, tests and when each was in force;
                    activations.json, and which of these were in a ruleset that was off: such a version decides from
                    the switch-on; threshold-reviews.json: the figures of the reviews of thresholds that ended in the
                    quarter, mostly of the quarter before
backtests/          what a version, or a proposed change, would have done, before it decided
validations/        what levels were worth, as JSON and as a page; figures of peers, as they were attached
levels.json         how many were at each level before the quarter and before the end of each of its months, by type of
                    entity, and how many went from which level to which by which cause; erased ones are counted. Each
                    level counts on the day as of which it was assessed, also one that was assessed in hindsight (more
                    than a day later), which validations leave out
records.json        cases and alerts that were opened, changed or closed in the quarter, as they are now, and everybody
                    who wrote each of them, and when
links-ended.json    the same of the links that got an end
overrides.json      levels that people set, by internal numbers; they, proposals, challenges and material changes are as
                    they stood when the quarter ended: what was decided later is still open
proposals.json      what one proposed and another approved or refused: kind, who, when; what would change and why
                    unless it is about one customer
challenges.json     those that were open, and whether each was settled in time: null while it is open and not yet due
approvals.json      what one asked for, or wrote, and another approved, refused, activated or signed off; tokens too
material-changes.json
lists.json          every version of a list that was in force at some moment of the quarter, with its members
rates/              every own table of exchange rates that was in force at some moment of the quarter, as a file that
                    `--rates` takes; tables.json with the base currency, the source and the times. The ECB's rates
                    complete it; these come with the program that manifest.json names
policies/           versions of policies for decisions, as they were written; versions.json with hashes and people
groups/             versions of named groups, as they were written; versions.json with hashes, people and reasons, and
                    when each was in force; moves.json with how many entered and left, sizes.json by day;
                    removed.json: before which moment moves may be left out, as the retention policy removed them, and
                    how many were erased since the quarter began, whose moves are left out
flows/              versions of flows, as they were written; what changed since the version before; versions.json with
                    hashes, editors, tests, and when each acted or ran as a shadow; activations.json with reasons;
                    runs.jsonl: every run that began or ended in the quarter, with the versions of all that it rests on;
                    runs.json: where those that began in it came to, and runs-ended.json those that began before and
                    ended in it; outcomes.json: what was asked outside;
                    answers.jsonl: who answered what; actions.json; taken-back.json; shadows.json: where a shadow came
                    to beside the version that acts
purposes.json       every ruleset, policy, group and flow that decided: what it was for, what it read by which path,
                    and what that was gathered for; `fivefold evidence --check` works it out anew from the documents
settings.json       levels, cap, retention, types and fields, which rulesets are on and their order, as they are now;
                    audit/ has every change
roster.json         members by number, with roles; audit/ has every change
models/             value models that served: cards, training lineage, promotions; promotions-lost.json: those that the
                    audit log has and the registry of models lacks, as where an earlier backup was restored
audit/              entries.jsonl, the audit log of the quarter without values, at_us in microseconds since 1970 UTC;
                    verification.json, of the whole log
manifest.json       SHA-256 of every file; `fivefold evidence --check` compares

The facts from which levels were computed are not here, so no level can be computed again from this archive alone:
`fivefold replay` does it where the database is. People and customers have internal numbers here, and no names. Keep
the SHA-256 of manifest.json elsewhere: a person who can change files can write another manifest.
"""


PARTS, FILES = "parts of the archive that are collected", "files of the archive that are written"


@dataclass(frozen=True)
class Evidence:
    """An archive that was made.

    Attributes:
        archive: where it was written.
        manifest_sha256: the hash of the manifest, to be kept elsewhere.
        counts: how many things of each kind it has.
        findings: of the verification of the audit log; 0 if the log is whole.
    """

    archive: Path | IO[bytes]
    manifest_sha256: str
    counts: Mapping[str, int]
    findings: int


def require_begun(quarter: Quarter, now_us: int) -> None:
    """Raise ConflictError for a quarter that has not begun: today's data do not describe it."""
    if quarter.from_us > now_us:
        raise ConflictError(f"{quarter.name} has not begun, so there is no evidence of it")


def build_evidence(
    context: Context,
    quarter: Quarter,
    target: Path | IO[bytes],
    settings: Settings | None,
    looked: Looked = not_noted,
) -> Evidence:
    """Write the evidence of a quarter of an actor's organisation.

    Once the quarter is over, the same database gives the same bytes. Everything is read in one snapshot of the
    database. *looked* is called with each part, each piece of a file, and during the verification of the audit log.
    ConflictError if the quarter has not begun.
    """
    require_begun(quarter, context.now())
    with snapshot(context.engine) as connection, Session(bind=connection) as session:
        name = names(connection)[context.organisation_id]
        log = _Log(connection, context.organisation_id, name, quarter)
        of = (session, context.organisation_id, quarter)
        sections: list[Callable[[], ArchiveSection]] = [
            lambda: models_part(*of, settings),
            lambda: rulesets_part(*of),
            lambda: people_part(*of, context.now()),
            lambda: facts_part(*of),
            lambda: levels_part(*of, context.now()),
            lambda: validations_part(*of),
            lambda: in_force_part(*of),
            lambda: purposes_part(*of),
            lambda: flows_part(session, connection, context.organisation_id, quarter),
            lambda: groups_part(*of),
        ]
        parts = list[ArchiveSection]()
        for part in sections:
            looked(len(parts), PARTS)
            parts.append(part())
        parts.append(log.part(session, looked))
        counts = {kind: count for part in parts for kind, count in part.counts.items()}

        def manifest_fields() -> dict[str, Any]:
            return {
                "program": release(),
                "organisation": {"number": context.organisation_id, "name": name},
                "quarter": _said_of(quarter),
                "counts": counts | {"audit_entries": log.entries},
            }

        read_me = READ_ME.format(
            quarter=quarter.name,
            begins=optional_iso_text(quarter.from_us),
            ends=optional_iso_text(quarter.until_us),
            organisation=name,
        )
        files = [text_file("read-me.txt", read_me), *(file for part in parts for file in part.files)]
        manifest = write_archive(target, _noted(files, looked), manifest_fields)
        return Evidence(target, manifest, counts | {"audit_entries": log.entries}, log.findings)


def _noted(files: Iterable[File], looked: Looked) -> Iterator[File]:
    """Call *looked* with each piece of each file as it is written, in the order of their names."""

    def pieces(number: int, file: File) -> Iterator[bytes]:
        for piece in file.content():
            looked(number, FILES)
            yield piece

    for number, file in enumerate(sorted(files, key=lambda file: file.name)):
        yield File(file.name, partial(pieces, number, file))


def _said_of(quarter: Quarter) -> dict[str, Any]:
    return {**vars(quarter), "from": optional_iso_text(quarter.from_us), "until": optional_iso_text(quarter.until_us)}


def validations_part(session: Session, organisation_id: int, quarter: Quarter) -> ArchiveSection:
    """Collect the validations whose period overlaps a quarter, or that were made in it."""
    runs = validations_in(session, organisation_id, quarter.from_us, quarter.until_us)
    files = [file for run in runs for file in _files_of(run, peers_beside(session, run))]
    return ArchiveSection(files, {"validations": len(runs)})


def _files_of(run: ValidationRun, peers: Sequence[AttachedPeer]) -> list[File]:
    report, place = run.report, f"validations/{run.id:06}"
    counts = {
        "validation": run.id,
        "reason": run.trigger,
        "from": optional_iso_text(run.from_us),
        "until": optional_iso_text(run.until_us),
        "made": optional_iso_text(run.made_us),
        "report": report,
    }
    if run.signed_us is not None:
        signed = {"by": run.signed_by, "at": optional_iso_text(run.signed_us), "conclusion": run.conclusion}
        counts |= {"signed_off": signed}
    if peers:
        counts |= {"peers": [_peer_of(peer) for peer in peers]}
    page = validation_sections(run.id, run.trigger, report, [peer.comparison for peer in peers])
    as_sent = [text_file(f"{place}.peer-{peer.id}.json", peer.content) for peer in peers]
    return [json_file(f"{place}.json", counts), text_file(f"{place}.html", as_html(page)), *as_sent]


def _peer_of(peer: AttachedPeer) -> dict[str, Any]:
    return {
        "id": peer.id,
        "peer": peer.peer,
        "file": peer.file,
        "sha256": peer.content_hash,
        "attached_by": peer.attached_by,
        "attached": optional_iso_text(peer.attached_us),
        "figures": [asdict(line) for line in peer.figures],
    }


class _Log:
    """The audit log of a quarter, while it is written; and the verification of the whole log.

    Attributes:
        entries: how many were written.
        findings: of the verification.
    """

    def __init__(self, connection: Connection, organisation_id: int, name: str, quarter: Quarter) -> None:
        self.entries = self.findings = 0
        self._connection, self._of, self._name, self._quarter = connection, organisation_id, name, quarter

    def part(self, session: Session, looked: Looked) -> ArchiveSection:
        findings: list[str] = []
        verified = verify_picture(
            self._connection, lambda finding: findings.append(str(finding)), organisation=self._name, looked=looked
        )
        self.findings = verified.findings
        head = head_of(session, self._of)
        proof = {
            "whole": not verified.findings,
            "entries": verified.entries,
            "values_erased": verified.erased,
            "findings": findings,
            "head": None if head is None else {"number": head[0], "hash": head[1]},
        }
        return ArchiveSection(
            [json_file("audit/verification.json", proof), File("audit/entries.jsonl", self._lines)], {}
        )

    def _lines(self) -> Iterator[bytes]:
        for row in entries_in(self._connection, self._of, self._quarter.from_us, self._quarter.until_us):
            self.entries += 1
            yield (json.dumps(dict(row), ensure_ascii=False, sort_keys=True) + "\n").encode("utf-8", "surrogateescape")


def check_evidence(path: Path) -> ArchiveCheck:
    """Compare an archive with its manifest, its purposes with its documents, and its runs with its counts.

    ConfigError if it cannot be checked.
    """
    return check_archive(path, _problems)


def _problems(archive: zipfile.ZipFile) -> Iterator[str]:
    yield from purpose_problems(archive)
    yield from run_problems(archive)
