"""Changes of owners by rows: new ones, ended ones, and corrected times. Nothing here begins a transaction.

Without `from` an ownership counts from the first fact on; that of a former owner, from now on. A row about a present
owner corrects the times of that ownership: an entity has each owner at most once at a moment.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from sqlalchemy.orm import Session

from fivefold.domain.clock import day_text
from fivefold.domain.errors import InvalidDataError, Problem
from fivefold.features.reading.columns import short_text
from fivefold.store.ingest.entities import entities_named, type_named
from fivefold.store.ingest.facts import entity_name
from fivefold.store.ingest.future_moments import owned_before
from fivefold.store.ingest.ownerships import OwnershipSpan, spans_of, write_spans
from fivefold.usecases.ingest.owners import NewOwner, refuse_cycles
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.entity_checks import EntityRow, OwnerGiven

Named = tuple[str, str]
"""Type and external id."""


class OwnershipScope(Enum):
    """The effect of a row's owners on the present owners that it does not name.

    ONE: a single present owner ends now; of several, the row must name one, and nothing changes. ALL: they end now.
    SOME: no effect.
    """

    ONE = 1
    ALL = 2
    SOME = 3


@dataclass(frozen=True)
class OwnersRow:
    """The owners of an entity in a row; `row` is its place."""

    row: int
    external_id: str
    owners: tuple[OwnerGiven, ...]
    scope: OwnershipScope = OwnershipScope.SOME


@dataclass(frozen=True, kw_only=True)
class OwnerChanges:
    """The result of rows about owners.

    Attributes:
        new: how many rows began an ownership.
        changed: how many rows changed the times of one, or ended others.
        spans: all ownerships after the call, by entity whose owners changed.
        before: the same before the call.
        written: the numbers of the new and changed rows.
        ended_us: when ownerships that the rows leave out ended, which is now; None if none ended.
    """

    new: int
    changed: int
    spans: Mapping[int, Sequence[OwnershipSpan]]
    before: Mapping[int, Sequence[OwnershipSpan]]
    written: Sequence[int]
    ended_us: int | None = None

    @property
    def owners(self) -> set[int]:
        """Return the owners whose ownerships changed, so that other facts count for them."""
        return {
            span.owner_id
            for entity, spans in self.spans.items()
            for span in set(spans).symmetric_difference(self.before.get(entity, ()))
        }


def rows_with_owners(rows: Sequence[EntityRow]) -> list[OwnersRow]:
    """Return the owners that entities in a request name; entities without any are left out.

    Raises:
        InvalidDataError: an entity names them in both forms.
    """
    both = [number for number, row in enumerate(rows) if row.owner is not None and row.owners is not None]
    if both:
        raise InvalidDataError([Problem(row, "owner", "is given beside owners", "one of them") for row in both])
    rows_found = []
    for number, row in enumerate(rows):
        if row.owner is not None:
            rows_found.append(OwnersRow(number, row.external_id, (OwnerGiven(*row.owner),), OwnershipScope.ONE))
        elif row.owners is not None:
            rows_found.append(OwnersRow(number, row.external_id, tuple(row.owners), OwnershipScope.ALL))
    return rows_found


def find_owners(
    session: Session, actor: Actor, own_type: str, rows: Sequence[OwnersRow], field: str, now_us: int
) -> dict[Named, int]:
    """Find the numbers of owners.

    Raises:
        NotFoundError: there is no type of that name.
        InvalidDataError: an owner does not exist, is the entity itself, or begins later than now; each is named.
    """
    names_by_type: dict[str, set[str]] = {}
    for row in rows:
        for owner in row.owners:
            names_by_type.setdefault(owner.type_name, set()).add(owner.external_id)
    numbers: dict[Named, int] = {}
    for type_name, names in names_by_type.items():
        kind = type_named(session, actor.organisation_id, type_name)
        numbers |= {(type_name, name): entity.id for name, entity in entities_named(session, kind.id, names).items()}
    problems = []
    for row in rows:
        for owner in row.owners:
            key = (owner.type_name, owner.external_id)
            if key not in numbers:
                problem = f"{owner.type_name} {short_text(owner.external_id)} does not exist"
                problems.append(Problem(row.row, field, problem, "an existing entity"))
            elif key == (own_type, row.external_id):  # it would count everything about itself twice
                problems.append(Problem(row.row, field, "is the entity itself", "another entity, or none"))
            if owner.from_us is not None and owner.from_us > now_us:
                problems.append(Problem(row.row, "from", "is in the future", "a moment that is not after now"))
    if problems:
        raise InvalidDataError(problems)
    return numbers


def change_owners(
    session: Session,
    numbers: Mapping[str, int],
    rows: Sequence[OwnersRow],
    owners: Mapping[Named, int],
    field: str,
    now_us: int,
) -> OwnerChanges:
    """Begin and end ownerships. The caller holds the organisation's lock, and marks the entities concerned.

    Args:
        session: in the use case's transaction.
        numbers: the numbers of the entities, by name.
        rows: their owners.
        owners: the numbers of the owners, from `find_owners`.
        field: the field in which the rows name owners.
        now_us: the current time.

    Raises:
        InvalidDataError: a row is invalid, or an entity would own itself.
    """
    spans = _Spans(session, spans_of(session, {numbers[row.external_id] for row in rows}), now_us)
    new = changed_count = 0
    problems = []
    for row in rows:
        spans_given = [
            OwnershipSpan(owners[one.type_name, one.external_id], one.from_us, one.until_us) for one in row.owners
        ]
        try:
            did = spans.take(numbers[row.external_id], spans_given, row)
        except _RefusedError as refused:
            problems.append(Problem(row.row, refused.field or field, refused.problem, refused.allowed))
        else:
            new += did is _Did.NEW
            changed_count += did is _Did.CHANGED
    if problems:
        raise InvalidDataError(problems)
    after = spans.changed_spans()
    refuse_cycles(session, {entity: spans.present(entity) for entity in after}, spans.new_owners(), field, now_us)
    digests_written = write_spans(session, after, spans.before)
    before = {entity: spans.before.get(entity, ()) for entity in after}
    return OwnerChanges(
        new=new,
        changed=changed_count,
        spans=after,
        before=before,
        written=digests_written,
        ended_us=now_us if spans.has_ended else None,
    )


class _Did(Enum):
    SAME = 0
    CHANGED = 1
    NEW = 2


class _RefusedError(Exception):
    """Why a row is invalid; it becomes a problem of that row."""

    def __init__(self, problem: str, right: str, field: str | None = None) -> None:
        self.problem, self.allowed, self.field = problem, right, field


def _dated_back(span: OwnershipSpan, now_us: int, *, is_over: bool) -> OwnershipSpan:
    """Return a stored span with a beginning not after now; it ends now if *is_over*."""
    if span.from_us is not None and span.from_us > now_us:
        span = replace(span, from_us=now_us)
    return replace(span, until_us=now_us) if is_over else span


class _Spans:
    """The ownerships of some entities, while rows change them."""

    def __init__(self, session: Session, present: Mapping[int, Sequence[OwnershipSpan]], now_us: int) -> None:
        self._session, self.before, self._now, self.has_ended = session, present, now_us, False
        ended = owned_before(session, present, now_us)
        self._spans = {
            entity: [_dated_back(span, now_us, is_over=span.number in ended) for span in spans]
            for entity, spans in present.items()
        }
        self._row_by_span: dict[tuple[int, int], int] = {}  # the row by an entity and a place among its spans

    def take(self, entity: int, wanted_spans: Sequence[OwnershipSpan], row: OwnersRow) -> _Did:
        spans = self._spans.setdefault(entity, [])
        if row.scope is OwnershipScope.ONE:
            present = self.present(entity)
            if wanted_spans[0].owner_id in present:
                return _Did.SAME
            if len(present) > 1:
                names = " and ".join(f"{kind} {short_text(name)}" for kind, name in self._names(present))
                raise _RefusedError(f"is not one of the owners {names}", "one of them, or owners, which names all")
        did = [self._apply(entity, span, row.row) for span in wanted_spans]
        if row.scope is not OwnershipScope.SOME:
            for place, span in enumerate(spans):
                if span.is_live(self._now) and (entity, place) not in self._row_by_span:
                    spans[place] = replace(span, until_us=self._now)
                    self.has_ended = True
                    did.append(_Did.CHANGED)
        return max(did, key=lambda one: one.value, default=_Did.SAME)

    def _apply(self, entity: int, span: OwnershipSpan, row: int) -> _Did:
        """Apply one ownership of a row: a new one, a known one, or new times of one."""
        spans = self._spans[entity]
        place, from_us = self._match(spans, span)
        new_span = replace(span, from_us=from_us, number=None if place is None else spans[place].number)
        if from_us is not None and new_span.until_us is not None and new_span.until_us < from_us:
            raise _RefusedError(f"is before it began, on {day_text(from_us)}", "that moment or a later one", "until")
        if place is None:
            self._row_by_span[entity, len(spans)] = row
            spans.append(new_span)
            return _Did.NEW
        if spans[place] == new_span:
            self._row_by_span.setdefault((entity, place), row)
            return _Did.SAME
        if (entity, place) in self._row_by_span:
            raise _RefusedError("is repeated with other moments", "each time of an owner once")
        self._row_by_span[entity, place] = row
        spans[place] = new_span
        return _Did.CHANGED

    def _match(self, spans: Sequence[OwnershipSpan], wanted_span: OwnershipSpan) -> tuple[int | None, int | None]:
        """Find the ownership that a row is about; return its place, None for a new one, and its beginning."""
        mine = [place for place, span in enumerate(spans) if span.owner_id == wanted_span.owner_id]
        if wanted_span.from_us is not None:
            overlapping = [place for place in mine if spans[place].overlaps(wanted_span)]
            if len(overlapping) > 1:
                raise _RefusedError(
                    "overlaps several known times of this owner", "one of them, or a time apart", "from"
                )
            return (overlapping[0] if overlapping else None), wanted_span.from_us
        if not mine:
            return None, None
        latest = max(mine, key=lambda place: (spans[place].from_us is not None, spans[place].from_us))
        if spans[latest].is_live(self._now) or not wanted_span.is_live(self._now):
            return latest, spans[latest].from_us
        return None, self._now

    def _names(self, numbers: Iterable[int]) -> list[Named]:
        return [entity_name(self._session, number) for number in sorted(numbers)]

    def present(self, entity: int) -> set[int]:
        """Return the present owners of an entity."""
        return self._present(self._spans.get(entity, ()))

    def _present(self, spans: Sequence[OwnershipSpan]) -> set[int]:
        return {span.owner_id for span in spans if span.is_live(self._now)}

    def changed_spans(self) -> dict[int, list[OwnershipSpan]]:
        """Return the ownerships of the entities whose ownerships changed."""
        return {entity: spans for entity, spans in self._spans.items() if spans != list(self.before.get(entity, ()))}

    def new_owners(self) -> list[NewOwner]:
        """Return the present owners of entities that are new."""
        added_spans = []
        for (entity, place), row in self._row_by_span.items():
            span = self._spans[entity][place]
            if span.is_live(self._now) and span.owner_id not in self._present(self.before.get(entity, ())):
                added_spans.append(NewOwner(entity, span.owner_id, row))
        return added_spans
