"""Stored named lists: a row for each version. Nothing here begins or ends a transaction."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import JSON, Select, Text, and_, cast, func, select, type_coerce
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from fivefold.domain.errors import NotFoundError
from fivefold.domain.paging import WHOLE, Page, Part
from fivefold.store.changes.proposals import APPROVED, PROPOSED
from fivefold.store.sql.keyset import rows_of, scalars_of
from fivefold.store.tables.audit import AuditEntry
from fivefold.store.tables.entities import ListVersionRow
from fivefold.store.tables.rulesets import Proposal


def list_rows(session: Session, organisation_id: int, *names: str, part: Part = WHOLE) -> Page[ListVersionRow]:
    """Read the versions of all lists of an organisation, or of some: by name, the oldest version first."""
    statement = select(ListVersionRow).where(ListVersionRow.organisation_id == organisation_id)
    if names:
        statement = statement.where(ListVersionRow.name.in_(names))
    return scalars_of(session, statement, (ListVersionRow.name, ListVersionRow.since_us), part)


def list_titles(session: Session, organisation_id: int, moments: Mapping[str, int]) -> dict[str, str]:
    """Read the titles of versions of lists, by the names of the lists; *moments* says since when each is in force."""
    of = ListVersionRow
    statement = select(of.name, of.since_us, of.title).where(of.organisation_id == organisation_id)
    rows = session.execute(statement.where(of.name.in_(moments)))
    return {name: title for name, since_us, title in rows if moments[name] == since_us}


def list_purposes(session: Session, organisation_id: int) -> dict[str, list[str | None]]:
    """Read the purposes of each list's versions, by the name of the list."""
    statement = select(ListVersionRow.name, ListVersionRow.purpose)
    purposes: dict[str, list[str | None]] = {}
    for name, purpose in session.execute(statement.where(ListVersionRow.organisation_id == organisation_id)):
        purposes.setdefault(name, []).append(purpose)
    return purposes


class ListRow(NamedTuple):
    """The state of a list; `since_us` and `members` are of the version in force, None before the first."""

    name: str
    title: str
    source: str
    versions: int
    newest_us: int
    since_us: int | None
    members: int | None


def list_states(
    session: Session, organisation_id: int, now_us: int, part: Part = WHOLE, name: str | None = None
) -> Page[ListRow]:
    """Read the state of each list, or of one, by name; title and source are those of its newest version."""
    of = ListVersionRow
    spans = (
        select(
            of.name,
            func.count().label("versions"),
            func.max(of.since_us).label("newest_us"),
            func.max(of.since_us).filter(of.since_us <= now_us).label("since_us"),
        )
        .where(of.organisation_id == organisation_id, *(() if name is None else (of.name == name,)))
        .group_by(of.name)
        .subquery()
    )
    newest, in_force = aliased(ListVersionRow), aliased(ListVersionRow)
    columns = (spans.c.name, newest.title, newest.source, spans.c.versions, spans.c.newest_us, spans.c.since_us)
    statement: Select[*tuple[Any, ...]] = select(*columns, _length(session, in_force.members)).select_from(spans)
    for row, since in ((newest, spans.c.newest_us), (in_force, spans.c.since_us)):
        same = and_(row.organisation_id == organisation_id, row.name == spans.c.name, row.since_us == since)
        statement = statement.outerjoin(row, same)
    return rows_of(session, statement, (spans.c.name,), part).map(lambda row: ListRow(*row))


def _length(session: Session, members: InstrumentedAttribute[list[str]]) -> Any:
    """Count the members of a version in the database, without transferring them."""
    text = type_coerce(members, Text)
    return func.json_array_length(text if session.get_bind().dialect.name == "sqlite" else cast(text, JSON))


class ListVersionLine(NamedTuple):
    """A version of a list, with its number of members."""

    since_us: int
    title: str
    source: str
    members: int
    created_us: int


def list_version_lines(session: Session, organisation_id: int, name: str, part: Part) -> Page[ListVersionLine]:
    """Read the versions of a list, the newest first, without their members."""
    row = ListVersionRow
    statement = select(row.since_us, row.title, row.source, _length(session, row.members), row.created_us)
    statement = statement.where(row.organisation_id == organisation_id, row.name == name)
    page = rows_of(session, statement, (row.since_us,), part, descending=True)
    return page.map(lambda line: ListVersionLine(*line))


def list_row_at(
    session: Session, organisation_id: int, name: str, at_us: int | None = None, *, first: bool = False
) -> ListVersionRow | None:
    """Find the version of a list in force at a moment; without a moment the newest. *first*: the oldest."""
    row = ListVersionRow
    statement = select(row).where(row.organisation_id == organisation_id, row.name == name)
    if at_us is not None:
        statement = statement.where(row.since_us <= at_us)
    return session.scalar(statement.order_by(row.since_us if first else row.since_us.desc()).limit(1))


def count_list_versions(session: Session, organisation_id: int, name: str) -> int:
    """Count the versions of a list, including future ones; none is ever removed."""
    row = ListVersionRow
    of = (row.organisation_id == organisation_id, row.name == name)
    return session.scalar(select(func.count()).select_from(row).where(*of)) or 0


def list_row_since(session: Session, organisation_id: int, name: str, since_us: int) -> ListVersionRow:
    """Find the version of a list that begins at a moment; NotFoundError if none does."""
    row = session.get(ListVersionRow, (organisation_id, name, since_us))
    if row is None:
        raise NotFoundError(f"the list {name!r} has no version that begins then")
    return row


_BEGINNING: Final = r'["{\"reference\":'
"""The beginning of a reference portfolio's members: its first line identifies it."""


def begins_like_reference(session: Session, organisation_id: int, name: str) -> bool:
    """Return whether the newest version of a list begins like a reference portfolio, without reading it."""
    row = ListVersionRow
    begins = func.substr(type_coerce(row.members, Text), 1, len(_BEGINNING))
    statement = select(begins).where(row.organisation_id == organisation_id, row.name == name)
    return session.scalar(statement.order_by(row.since_us.desc()).limit(1)) == _BEGINNING


class ListProposal(NamedTuple):
    """A change of a list that waits, or was approved; `result` names the versions that it added."""

    id: int
    state: str
    reason: str
    proposed_by: str
    proposed_us: int
    decided_by: str | None
    decided_us: int | None
    result: Any


def list_proposals(session: Session, organisation_id: int, kind: str, subject: str) -> list[ListProposal]:
    """Read the waiting and approved proposals of a kind about a list, the newest first, without the list."""
    row = Proposal
    columns = (row.id, row.state, row.reason, row.proposed_by, row.proposed_us, row.decided_by, row.decided_us)
    which = (row.organisation_id == organisation_id, row.kind == kind, row.subject == subject)
    statement = select(*columns, row.result).where(*which, row.state.in_((PROPOSED, APPROVED)))
    return [ListProposal(*each) for each in session.execute(statement.order_by(row.id.desc()))]


def list_entries(session: Session, organisation_id: int, names: Sequence[str]) -> dict[str, AuditEntry]:
    """Read the last audit entry about each of some lists, by name: it names who added the newest version."""
    row = AuditEntry
    which = (row.organisation_id == organisation_id, row.subject_kind == "list", row.action == "list.put")
    last = select(func.max(row.number)).where(*which, row.subject_id.in_(names)).group_by(row.subject_id)
    statement = select(row).where(row.organisation_id == organisation_id, row.number.in_(last))
    return {str(entry.subject_id): entry for entry in session.scalars(statement)} if names else {}


def entries_of_list(session: Session, organisation_id: int, name: str, since_us: int) -> Sequence[AuditEntry]:
    """Read the entries about a list that were written at a moment or later, the newest first."""
    row = AuditEntry
    which = (row.organisation_id == organisation_id, row.subject_kind == "list", row.subject_id == name)
    statement = select(row).where(*which, row.action == "list.put", row.at_us >= since_us)
    return session.scalars(statement.order_by(row.number.desc())).all()
