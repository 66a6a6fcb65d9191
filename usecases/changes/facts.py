"""Facts as people and programs send them: stored at once, or proposed if they would lower a level.

The worker closes what time alone overtook: proposals about tags or overrides that ended, requests past their end.
"""

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Literal

import structlog
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.domain.errors import ConfigError, ConflictError, LockedError, NotFoundError, StoreError
from fivefold.store.accounts.organisation import lock_deciding
from fivefold.store.changes.proposals import PROPOSED, WITHDRAWN, open_behind, proposal_numbered
from fivefold.store.ingest.entities import entity_named
from fivefold.store.levels.overrides import undecided_past_end
from fivefold.store.sql.database import reading
from fivefold.store.tables.rulesets import Proposal
from fivefold.usecases.accounts.second_person import is_member
from fivefold.usecases.changes.beside import (
    close_proposal,
    is_overtaken,
    open_beside,
    why_overtaken,
    withdraw_overtaken,
)
from fivefold.usecases.changes.contents import (
    Fact,
    ModelPromoted,
    RecordChanged,
    ScreeningCleared,
    TagChanged,
    read_content,
)
from fivefold.usecases.changes.proposals import ChangeOutcome, request_change
from fivefold.usecases.changes.reach import reach_of_falls
from fivefold.usecases.ingest import facts as ingest_facts
from fivefold.usecases.ingest.facts import RecordGiven
from fivefold.usecases.levels.lowering import WouldLowerError
from fivefold.usecases.levels.overrides import refuse_past_end
from fivefold.usecases.shared.actors import SYSTEM, Actor
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.inputs import reason_if_any
from fivefold.usecases.unexpected import UNEXPECTED_ERRORS

log = structlog.get_logger("fivefold.facts")

MOST_AT_ONCE = 100
"""The most overtaken items of a kind that one round of the worker closes."""


class ReasonMissingError(ConfigError):
    """A level would fall, so the change is proposed, and that takes a reason."""


def request_tag(
    context: Context, type_name: str, external_id: str, tag: str, *, until_us: int | None = None, reason: str = ""
) -> ChangeOutcome:
    """Set a tag, as `ingest_facts.set_tag` does; if it would lower a level, it is proposed.

    Raises:
        WouldLower: a level would fall, and the actor is not a member.
        ConfigError: a level would fall, and the reason is empty; or as in `ingest_facts`.
    """
    of = (context.at(context.now()), type_name, external_id)

    def store(why: str) -> bool:
        return ingest_facts.set_tag(*of, tag, until_us=until_us, reason=why)

    return _store_or_propose(of, store, lambda entity, _: TagChanged(entity, tag, until_us, False), reason)


def request_tag_end(
    context: Context,
    type_name: str,
    external_id: str,
    tag: str,
    *,
    reason: str = "",
    expected_from_us: int | None = None,
) -> ChangeOutcome:
    """End a tag, as `ingest_facts.end_tag` does; if that would lower a level, it is proposed.

    Errors are those of `request_tag`.
    """
    of = (context.at(context.now()), type_name, external_id)

    def store(why: str) -> bool:
        ingest_facts.end_tag(*of, tag, reason=why, expected_from_us=expected_from_us)
        return True

    return _store_or_propose(of, store, lambda entity, _: TagChanged(entity, tag, None, True), reason)


def request_screening(
    context: Context,
    type_name: str,
    external_id: str,
    screening: str,
    *,
    has_match: bool,
    at_us: int | None = None,
    reason: str = "",
) -> ChangeOutcome:
    """Record a screening; a clean one that would lower a level is proposed. Errors are those of `request_tag`."""
    of = (context.at(context.now()), type_name, external_id)

    def store(_: str) -> bool:
        ingest_facts.add_screening(*of, screening, has_match=has_match, at_us=at_us)
        return True

    def content(entity: int, now: int) -> Fact:
        return ScreeningCleared(entity, screening, now if at_us is None else at_us)

    return _store_or_propose(of, store, content, reason)


def request_record(
    context: Context,
    type_name: str,
    external_id: str,
    kind: Literal["case", "alert"],
    record: RecordGiven,
    *,
    reason: str = "",
    only_new: bool = False,
) -> ChangeOutcome:
    """Open, change or close a case or an alert; a change that would lower a level is proposed.

    With *only_new* a taken number is refused with ConflictError. Other errors are those of `request_tag`.
    """
    of = (context.at(context.now()), type_name, external_id)

    def store(_: str) -> bool:
        ingest_facts.put_record(*of, kind, record, only_new=only_new)
        return True

    def content(entity: int, _: int) -> Fact:
        fields: dict[str, Any] = asdict(record) | {"fields": json.dumps(dict(record.fields), ensure_ascii=False)}
        return RecordChanged(entity=entity, of=kind, only_new=only_new, **fields)

    return _store_or_propose(of, store, content, reason)


def _store_or_propose(
    of: tuple[Context, str, str],
    store: Callable[[str], bool],
    content: Callable[[int, int], Fact],
    reason: str,
) -> ChangeOutcome:
    """Store a fact with the checked reason, or propose it if a level would fall and the actor is a member.

    *store* returns whether it changes anything.
    """
    context, type_name, external_id = of
    why = reason_if_any(reason)
    try:
        is_stored = store(why)
    except WouldLowerError as error:
        if not is_member(context.actor.name):
            raise
        if not why:
            what = f"{error.falls[0]}, so another person has to approve it; say why in `reason`"
            raise ReasonMissingError(what) from error
        with context.reading() as session:
            number = entity_named(session, context.organisation_id, type_name, external_id).id
        return request_change(context, content(number, context.now()), why, reach_of_falls(error.falls))
    try:
        _withdraw_overtaken(of, content)
    except StoreError as error:  # the fact is stored, and that is the answer; the approval compares too
        log.warning("overtaken proposals stay open", error=str(error), organisation=context.organisation_id)
    return ChangeOutcome(None, None, changes=is_stored)


def _withdraw_overtaken(of: tuple[Context, str, str], content: Callable[[int, int], Fact]) -> None:
    """Withdraw the open proposals that a stored fact made impossible.

    This is a transaction of its own, as an approval locks its proposal before the entity. Without it nothing wrong is
    approved: the approval compares too. It also runs if the fact existed already: an earlier call may have failed in
    between.
    """
    context, type_name, external_id = of
    now = context.now()
    with context.reading() as session:
        number = entity_named(session, context.organisation_id, type_name, external_id).id
        if not open_beside(session, context, content(number, now)):
            return
    with context.writing() as session:
        lock_deciding(session, context.organisation_id)
        withdraw_overtaken(session, context, content(number, now), "it was changed", now)


def close_outdated(engine: Engine, now_us: int) -> int:
    """Withdraw proposals whose subject ended or changed, refuse overrides past their end; return how many.

    Neither can be approved any more, so nobody should have to look at them. Each is closed apart; one that cannot be
    closed is logged, and holds up no other. If an organisation is locked, its others wait for the next round. If there
    are many, the oldest come first.
    """
    return _close_each(engine, now_us, _overtaken, _withdraw_late) + _close_each(
        engine, now_us, undecided_past_end, _refuse_late
    )


def _overtaken(session: Session, now_us: int, most: int, after: int) -> list[tuple[int, int]]:
    """List the open proposals behind a number that are overtaken, each as its organisation and number.

    All are read and none is locked: most of them wait for a person, and reading does not change that.
    """
    late: list[tuple[int, int]] = []
    while len(late) < most and (rows := open_behind(session, after, most, ModelPromoted.kind)):
        late += [(row.organisation_id, row.id) for row, _ in rows if _looks_overtaken(session, row, now_us)]
        after = rows[-1][0].id
        session.expunge_all()
    return late[:most]


def _looks_overtaken(session: Session, row: Proposal, now_us: int) -> bool:
    """Return whether a proposal is overtaken; true if it cannot be read, so that it is closed, or logged, apart."""
    try:
        context = _of_system(session.get_bind().engine, row.organisation_id, now_us)
        return is_overtaken(session, context, row, read_content(row.kind, row.content), now_us)
    except UNEXPECTED_ERRORS:  # it is raised again when the proposal is closed
        return True


def _of_system(engine: Engine, organisation_id: int, now_us: int) -> Context:
    return Context(engine, Actor(organisation_id, SYSTEM), lambda: now_us)


def _close_each(
    engine: Engine,
    now_us: int,
    listed: Callable[..., list[tuple[int, int]]],
    close: Callable[[Context, int], bool],
) -> int:
    """Close items of one kind, at most `MOST_AT_ONCE`, beside those that cannot be closed."""
    count, after, page, locked = 0, 0, MOST_AT_ONCE, set[int]()
    while count < MOST_AT_ONCE <= page:
        with reading(engine) as session:
            late = listed(session, now_us=now_us, most=MOST_AT_ONCE, after=after)
        for organisation_id, number in late:
            if organisation_id in locked:
                continue
            try:
                count += close(_of_system(engine, organisation_id, now_us), number)
            except UNEXPECTED_ERRORS as error:  # any must be logged, and must not hold up the others
                log.exception("not closed", error=str(error), organisation=organisation_id, number=number)
                if isinstance(error, LockedError):
                    locked.add(organisation_id)
        page, after = len(late), late[-1][1] if late else after
    return count


def _withdraw_late(context: Context, number: int) -> bool:
    with context.writing() as session:
        lock_deciding(session, context.organisation_id)
        row = proposal_numbered(session, context.organisation_id, number, locked=True)
        if row.state != PROPOSED:  # it was decided meanwhile
            return False
        now = context.now()
        if not (why := why_overtaken(session, context, row, read_content(row.kind, row.content), now)):
            return False
        close_proposal(session, context, row, WITHDRAWN, f"it came too late: {why}", now)
        return True


def _refuse_late(context: Context, number: int) -> bool:
    try:
        refuse_past_end(context, number)
    except (ConflictError, NotFoundError):  # it was decided, or its entity erased, meanwhile
        return False
    return True
