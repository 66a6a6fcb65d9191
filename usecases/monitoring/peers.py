"""Figures of peers beside a validation: a file that a person attaches, kept as it is with its hash.

A peer is another bank, another portfolio or another year. Once a validation is signed off, its peers no longer change.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import PurePath
from typing import Annotated, Any, Final

from sqlalchemy.orm import Session

from fivefold.domain.errors import ConfigError, ConflictError
from fivefold.risk.governance.validate.measures import LEAST_CONFIRMED, Measure, share_measure
from fivefold.risk.governance.validate.peers import (
    SEVERAL,
    OwnFigures,
    PeerComparison,
    PeerGap,
    PeerLine,
    figures_beside,
    name_at,
    read_peer_text,
)
from fivefold.risk.governance.validate.ranking import ConfidenceInterval
from fivefold.store.monitoring.revalidation import locked_run, run_numbered
from fivefold.store.monitoring.validation import peer_files_of
from fivefold.store.tables.events import PeerFile, ValidationRun
from fivefold.usecases.shared.api_fields import INTERNAL, Moment, schema, shown_as
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.entity_checks import storable

Plain = Mapping[str, Any]

MOST_BYTES: Final = 256_000
"""The most bytes of a file: the JSON of a validation on files has far fewer."""
MOST_PEERS: Final = 20
"""The most peers of one validation."""
MOST_CHARACTERS: Final = 200
"""The most characters in the name of a file or a peer."""


@schema("PeerOfValidation")
@dataclass(frozen=True, kw_only=True)
class AttachedPeer:
    """A peer's figures beside those of a validation.

    Attributes:
        peer: the name of the peer.
        content: the content of the file as it was attached.
        content_hash: SHA-256 of the content in UTF-8, in hexadecimal.
        figures: the figures that both have; empty if they have none in common.
        not_compared: the peer's other figures, each with the reason.
    """

    id: int
    validation: int
    peer: str
    file: str
    content: Annotated[str, INTERNAL]
    content_hash: Annotated[str, shown_as("sha256")]
    attached_by: str
    attached_us: Annotated[Moment, shown_as("attached_at")]
    figures: tuple[PeerLine, ...]
    not_compared: tuple[PeerGap, ...]

    @property
    def comparison(self) -> PeerComparison:
        """The figures in the form of reports."""
        return PeerComparison(self.peer, self.figures, self.not_compared)


def attach_peer(context: Context, validation: int, file: str, content: str) -> tuple[AttachedPeer, bool]:
    """Store a peer's figures beside a validation; return them, and whether they are new: the same file is kept once.

    Args:
        context: who attaches them.
        validation: its number.
        file: the name of the file.
        content: its text, JSON as `fivefold rules validate --json` writes it, or a few figures written by hand.

    Raises:
        NotFoundError: there is no such validation.
        ConfigError: the file is too large, or has no readable figures.
        ConflictError: the validation was signed off, or already has the most peers allowed.
    """
    now, name = context.now(), _checked_name(file)
    peer, content_hash = _checked_figures(content, name), sha256(content.encode()).hexdigest()
    with context.writing() as session:
        run = locked_run(session, context.organisation_id, validation)
        present = peer_files_of(session, run.id)
        same = next((row for row in present if row.content_hash == content_hash), None)
        if same is not None:
            return _attached(run, same), False
        if run.signed_us is not None:
            raise ConflictError(f"validation {validation} was signed off: no peer is put beside it any more")
        if len(present) >= MOST_PEERS:
            raise ConflictError(f"validation {validation} has {len(present)} peers, and {MOST_PEERS} at most")
        row = PeerFile(
            organisation_id=context.organisation_id,
            validation_id=run.id,
            file=name,
            content=content,
            content_hash=content_hash,
            attached_by=context.actor.name,
            attached_us=now,
        )
        session.add(row)
        session.flush()
        details = {"peer": peer, "file": name, "sha256": content_hash}
        context.record(session, "validation.peer_attached", ("validation", run.id), details=details)
        return _attached(run, row), True


def _checked_name(file: str) -> str:
    name = PurePath(file.replace("\\", "/")).name
    if not 1 <= len(name) <= MOST_CHARACTERS or not storable(name):
        raise ConfigError(f"the file must have a name of 1 to {MOST_CHARACTERS} characters")
    return name


def _checked_figures(content: str, file: str) -> str:
    """Return the name of the peer whose figures a file has; ConfigError if they cannot be stored or read."""
    if len(content.encode()) > MOST_BYTES:
        raise ConfigError(f"{file} has more than {MOST_BYTES:,} bytes; leave all but the figures out")
    if not storable(content):
        raise ConfigError(f"{file} has characters that no database keeps")
    name = read_peer_text(content, file).name
    if not 1 <= len(name) <= MOST_CHARACTERS or not storable(name):
        raise ConfigError(f"the name of the peer in {file} must have 1 to {MOST_CHARACTERS} characters")
    return name


def list_peers(context: Context, validation: int) -> list[AttachedPeer]:
    """List the peers beside a validation, the first attached first; NotFoundError if there is no such validation."""
    with context.reading() as session:
        return peers_beside(session, run_numbered(session, context.organisation_id, validation))


def peers_beside(session: Session, run: ValidationRun) -> list[AttachedPeer]:
    """List the peers beside a validation, the first attached first."""
    return [_attached(run, row) for row in peer_files_of(session, run.id)]


def _attached(run: ValidationRun, row: PeerFile) -> AttachedPeer:
    peer = read_peer_text(row.content, row.file, lenient=True)
    beside = figures_beside(peer, own_figures(run.report["groups"]))
    return AttachedPeer(
        id=row.id,
        validation=run.id,
        peer=peer.name,
        file=row.file,
        content=row.content,
        content_hash=row.content_hash,
        attached_by=row.attached_by,
        attached_us=row.attached_us,
        figures=beside.lines,
        not_compared=beside.gaps,
    )


def own_figures(groups: Sequence[Plain]) -> OwnFigures:
    """Return the measures of all rulesets together by the names of a peer's figures; or why one was not measured.

    Totals of different rulesets cannot be compared, so there is no Gini of the total for several rulesets. A level's
    share is of all entities at the end, by the rules.
    """
    overall = groups[0]
    ranked, caught = overall["ranked"], overall["caught"]
    rulesets = {group["ruleset"] for group in groups[1:]}
    ended = sum(level["ended"] for level in overall["levels"])
    figures: dict[str, ConfidenceInterval | str] = {
        "gini": SEVERAL if len(rulesets) > 1 else _measured(ranked["gini"]),
        "level_gini": _measured(ranked["level_gini"]) if "level_gini" in ranked else "it was not measured then",
        "captured": _measured(caught["captured"]),
        "missed": _measured(caught["missed"]),
    }
    for level in overall["levels"]:
        figures[name_at("shares", level["level"])] = _measured(vars(share_measure(level["ended"], ended)))
        figures[name_at("conversion", level["level"])] = _measured(level["conversion"])
    return figures


def _measured(plain: Plain) -> ConfidenceInterval | str:
    measure = Measure(**plain)
    return measure.interval or f"too few here: {measure.of}, where {LEAST_CONFIRMED} are needed"
