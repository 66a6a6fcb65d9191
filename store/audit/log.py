"""Writing the audit log, and reading it, whole or page by page. Nothing here begins or ends a transaction."""

import secrets
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, cast

from sqlalchemy import Table, and_, bindparam, insert, select, update
from sqlalchemy.orm import Session

from fivefold.domain.canonical import canonical_json
from fivefold.domain.paging import Page, Part
from fivefold.store.audit.chain import GENESIS, Entry, Side, hash_of_entry, hash_of_value
from fivefold.store.sql.arrays import among
from fivefold.store.sql.keyset import scalars_of, where_given
from fivefold.store.sql.statements import INSERTS
from fivefold.store.tables.accounts import HASH_CHARACTERS, Organisation
from fivefold.store.tables.audit import AuditEntry, AuditHead, AuditValues

_ENTRIES = cast("Table", AuditEntry.__table__)
_VALUES = cast("Table", AuditValues.__table__)
_HEADS = cast("Table", AuditHead.__table__)
_ADD_ENTRIES, _ADD_VALUES = insert(_ENTRIES), insert(_VALUES)
_TAKE_NUMBERS = (
    update(_HEADS)
    .where(_HEADS.c.organisation_id == bindparam("of"))
    .values(number=_HEADS.c.number + bindparam("many"))
    .returning(_HEADS.c.number, _HEADS.c.hash)
)
"""Locks the head until the transaction ends, and returns the last new number and the previous hash."""
_SET_HASH = update(_HEADS).where(_HEADS.c.organisation_id == bindparam("of")).values(hash=bindparam("made"))
_OPEN_CHAIN = {
    dialect: upsert(_HEADS).values(number=0, hash=GENESIS).on_conflict_do_nothing()
    for dialect, upsert in INSERTS.items()
}
"""Creates an organisation's head, unless it exists."""
_WAITING: Final = "fivefold_entries_waiting"
"""A key of the session's `info`: the entries to add at the end of a block."""
REQUIRED: Final = "fivefold_required_as_recorded"
"""A key of the session's `info`: functions that raise if the actor may no longer make the change."""


@dataclass(frozen=True)
class ChainPosition:
    """The position of an entry in its organisation's chain."""

    number: int
    hash: str


def append(session: Session, entry: Entry) -> None:
    """Add an entry to its organisation's chain, at once, or in a block of `appended_at_end` at its end."""
    waiting: list[Entry] | None = session.info.get(_WAITING)
    if waiting is None:
        append_all(session, [entry])
    else:
        session.flush()
        waiting.append(entry)


@contextmanager
def appended_at_end(session: Session) -> Iterator[None]:
    """Add the entries of a block at its end, in their order; all are of one organisation.

    For several changes in one transaction that each record an entry: the second change may wait for a lock whose holder
    waits for the chain.
    """
    waiting: list[Entry] = []
    session.info[_WAITING] = waiting
    try:
        yield
    finally:
        del session.info[_WAITING]
    if waiting:
        append_all(session, waiting)


def append_all(session: Session, entries: Sequence[Entry]) -> list[ChainPosition]:
    """Add entries of one organisation to its chain, in the transaction of the changes that they record.

    It must be the last step of a transaction: from here until its end, each process that appends for that organisation
    waits. A transaction that appends for several organisations does so in the order of their numbers, so that two of
    them cannot deadlock.

    The functions under `REQUIRED` run once the chain is locked: the caller may have waited for the very change that
    revoked its permission.
    """
    session.flush()  # the changes themselves come first, with their waits for locks
    rows = [_with_values(entry) for entry in entries]
    of = entries[0].organisation_id
    last, previous = _take_numbers(session, of, len(rows))
    for require in session.info.get(REQUIRED, ()):
        require(session)
    for number, (columns, values) in enumerate(rows, last - len(rows) + 1):
        columns |= {"number": number, "previous_hash": previous}
        previous = columns["hash"] = hash_of_entry(columns)
        values |= {"organisation_id": of, "number": number}
    session.execute(_ADD_ENTRIES, [columns for columns, _ in rows])
    with_values = [values for _, values in rows if values["before"] is not None or values["after"] is not None]
    if with_values:
        session.execute(_ADD_VALUES, with_values)
    session.execute(_SET_HASH, {"of": of, "made": previous})
    return [ChainPosition(columns["number"], columns["hash"]) for columns, _ in rows]


def _with_values(entry: Entry) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the columns of an entry, without its place in the chain, and those of its values."""
    salt = secrets.token_hex(HASH_CHARACTERS // 2)
    before, after = _text(entry.before), _text(entry.after)
    columns = _columns(entry) | {
        "before_hash": _value_hash(salt, "before", before),
        "after_hash": _value_hash(salt, "after", after),
    }
    return columns, {"salt": salt, "before": before, "after": after}


def _columns(entry: Entry) -> dict[str, Any]:
    """Return the columns of an entry, without its values and its place in the chain."""
    return {
        "organisation_id": entry.organisation_id,
        "at_us": entry.at_us,
        "actor": entry.actor,
        "action": entry.action,
        "subject_kind": entry.subject_kind,
        "subject_id": entry.subject_id,
        "details": canonical_json(dict(entry.details)),
        "bulk_count": entry.bulk_count,
        "bulk_digest": entry.bulk_digest,
    }


def _text(values: Mapping[str, Any] | None) -> str | None:
    return None if values is None else canonical_json(dict(values))


def _value_hash(salt: str, side: Side, text: str | None) -> str | None:
    return None if text is None else hash_of_value(salt, side, text)


def _take_numbers(session: Session, organisation_id: int, count: int) -> tuple[int, str]:
    """Reserve *count* numbers; return the last of them, and the hash of the entry before the first."""
    parameters = {"of": organisation_id, "many": count}
    head = session.execute(_TAKE_NUMBERS, parameters).one_or_none()
    if head is None:
        session.execute(_OPEN_CHAIN[session.get_bind().dialect.name], {"organisation_id": organisation_id})
        head = session.execute(_TAKE_NUMBERS, parameters).one()
    return head.number, head.hash


def erase_values(session: Session, organisation_id: int, numbers: Iterable[int], now_us: int) -> int:
    """Remove the values and the salts of entries for good; return how many there were.

    The chain stays valid: an entry has only hashes, and without their salt these reveal nothing of the values.
    """
    condition = (
        _VALUES.c.organisation_id == organisation_id,
        among(session, _VALUES.c.number, list(numbers)),
        _VALUES.c.erased_us.is_(None),
    )
    emptied = {"salt": None, "before": None, "after": None, "erased_us": now_us}
    result: Any = session.execute(update(_VALUES).where(*condition).values(**emptied))
    return int(result.rowcount)


def entries(session: Session, organisation_id: int, first: int = 1, last: int | None = None) -> Sequence[AuditEntry]:
    """Read an organisation's entries by their numbers, both ends included, in order."""
    query = select(AuditEntry).where(AuditEntry.organisation_id == organisation_id, AuditEntry.number >= first)
    if last is not None:
        query = query.where(AuditEntry.number <= last)
    return session.scalars(query.order_by(AuditEntry.number)).all()


def latest(session: Session, count: int, organisation: str | None) -> Sequence[tuple[AuditEntry, str]]:
    """Read the last entries, of one organisation or of all, with the organisations' names; the oldest first."""
    query = select(AuditEntry, Organisation.name).join(Organisation, Organisation.id == AuditEntry.organisation_id)
    if organisation is None:
        query = query.order_by(AuditEntry.at_us.desc(), AuditEntry.organisation_id.desc())
    else:
        query = query.where(Organisation.name == organisation)
    rows = session.execute(query.order_by(AuditEntry.number.desc()).limit(count))
    return [(entry, name) for entry, name in rows][::-1]


@dataclass(frozen=True, kw_only=True)
class EntryFilters:
    """Which entries of an organisation are listed; None sets no condition.

    Attributes:
        actor: as in the log, such as member:3 or cli:root; from people also the name of a member.
        action: such as member.added.
        subject_kind: such as member.
        subject_id: the number of the subject, with its kind.
        since_us: written at that moment or later.
        until_us: written before.
    """

    actor: str | None = None
    action: str | None = None
    subject_kind: str | None = None
    subject_id: str | None = None
    since_us: int | None = None
    until_us: int | None = None


def latest_entries(session: Session, organisation_id: int, part: Part) -> Page[AuditEntry]:
    """Read entries, the newest first."""
    query = select(AuditEntry).where(AuditEntry.organisation_id == organisation_id)
    return scalars_of(session, query, (AuditEntry.number,), part, descending=True)


def entries_about_member(session: Session, organisation_id: int, member_id: int) -> Sequence[AuditEntry]:
    """Read the entries about a member, the last one written first: by number, as a clock may have been ahead."""
    subject = (AuditEntry.subject_kind == "member", AuditEntry.subject_id == str(member_id))
    query = select(AuditEntry).where(AuditEntry.organisation_id == organisation_id, *subject)
    return session.scalars(query.order_by(AuditEntry.number.desc())).all()


def entries_with_values(
    session: Session, organisation_id: int, subject_kind: str, subject_ids: Iterable[str], actions: Collection[str]
) -> list[tuple[AuditEntry, str | None]]:
    """Read the entries of some actions about subjects of a kind, in their order, each with its values after."""
    of_entry = and_(AuditValues.organisation_id == AuditEntry.organisation_id, AuditValues.number == AuditEntry.number)
    condition = (
        AuditEntry.organisation_id == organisation_id,
        AuditEntry.subject_kind == subject_kind,
        among(session, AuditEntry.subject_id, list(subject_ids)),
        AuditEntry.action.in_(actions),
    )
    query = select(AuditEntry, AuditValues.after).outerjoin(AuditValues, of_entry).where(*condition)
    return [(entry, after) for entry, after in session.execute(query.order_by(AuditEntry.number))]


def entries_among(session: Session, organisation_id: int, filters: EntryFilters, part: Part) -> Page[AuditEntry]:
    """Read the entries that match a filter, by moment, the latest first; that may not be the last one written."""
    query = select(AuditEntry).where(AuditEntry.organisation_id == organisation_id)
    query = where_given(
        query,
        (AuditEntry.actor, filters.actor),
        (AuditEntry.action, filters.action),
        (AuditEntry.subject_kind, filters.subject_kind),
        (AuditEntry.subject_id, filters.subject_id),
        moment=AuditEntry.at_us,
        since_us=filters.since_us,
        until_us=filters.until_us,
    )
    return scalars_of(session, query, (AuditEntry.at_us, AuditEntry.number), part, descending=True)
