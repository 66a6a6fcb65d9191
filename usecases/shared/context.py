"""The context of a use case: the database, the actor and the time; and its entries in the audit log."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Self, TypedDict, Unpack

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.domain.clock import now_microseconds
from fivefold.domain.errors import ConflictError
from fivefold.store.accounts.tokens import is_live
from fivefold.store.audit import log
from fivefold.store.audit.bound_rows import Digests
from fivefold.store.audit.chain import Entry
from fivefold.store.sql import database
from fivefold.store.sql.clocks import clock_of
from fivefold.usecases.shared.actors import Actor

ROWS = "rows"
"""The key of the digests of written rows in an entry's values after."""


class EntryValues(TypedDict, total=False):
    """The optional parts of an audit entry.

    Attributes:
        before: values before, which can be erased; never a secret or its hash.
        after: values after, likewise.
        details: values that are never erased, and so never personal.
        bulk: for many subjects, their number and their `store.audit.chain.digest_of`.
        rows: digests of the written rows, from `store.audit.bound_rows.digests`, which `audit verify` compares; stored
            among the values after.
    """

    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    details: Mapping[str, Any] | None
    bulk: tuple[int, str] | None
    rows: Digests | None


def refuse_ended(session: Session, actor: Actor) -> None:
    """Refuse a change by a member whose token ended since it was looked up, with a ConflictError.

    The token is checked now, and again when the audit log records the change.
    """
    if actor.token_id is not None:
        _require_live(actor.name, actor.token_id, session)
        session.info.setdefault(log.REQUIRED, []).append(partial(_require_live, actor.name, actor.token_id))


def _require_live(name: str, token_id: int, session: Session) -> None:
    if not is_live(session, token_id, clock_of(session.get_bind().engine).now_us()):
        raise ConflictError(f"the token by which {name} acts has ended, so nothing was changed; act by another one")


def record(
    session: Session, actor: Actor, action: str, subject: tuple[str, str | int | None], **values: Unpack[EntryValues]
) -> None:
    """Record what a use case did, once, as the last step of its transaction: both happen, or neither.

    Args:
        session: in the use case's transaction.
        actor: who acted; the entry belongs to the chain of their organisation.
        action: the action, such as `token.created`.
        subject: kind and internal number of the subject; None instead of the number for many.
        values: the rest of the entry.
    """
    log.append(session, entry_of(session, actor, action, subject, **values))


def entry_of(
    session: Session, actor: Actor, action: str, subject: tuple[str, str | int | None], **values: Unpack[EntryValues]
) -> Entry:
    """Return the entry that `record` adds."""
    kind, number = subject
    count, digest = values.get("bulk") or (None, None)
    after, rows = values.get("after"), values.get("rows")
    return Entry(
        organisation_id=actor.organisation_id,
        at_us=now_microseconds() - clock_of(session.get_bind().engine).ahead_us,
        actor=actor.name,
        action=action,
        subject_kind=kind,
        subject_id=None if number is None else str(number),
        details=values.get("details") or {},
        before=values.get("before"),
        after={**(after or {}), ROWS: rows} if rows else after,
        bulk_count=count,
        bulk_digest=digest,
    )


@dataclass(frozen=True)
class Context:
    """The first argument of a use case.

    Attributes:
        engine: the database.
        actor: who acts, and within which organisation.
        clock: returns the current time, microseconds; None for the database's clock.
        snapshot: the session of all reads; None if each use case reads the state at its beginning.
        by_tool: whether an agent acts for the actor by a tool, possibly unseen by the actor.
        transaction: the session of all writes, which its opener commits; None if each use case has its own.
    """

    engine: Engine
    actor: Actor
    clock: Callable[[], int] | None = None
    snapshot: Session | None = None
    by_tool: bool = False
    transaction: Session | None = None

    @property
    def organisation_id(self) -> int:
        """The organisation of the actor, the only one that is read or changed."""
        return self.actor.organisation_id

    def now(self) -> int:
        """Return the current time, microseconds."""
        return clock_of(self.engine).now_us() if self.clock is None else self.clock()

    def at(self, now_us: int) -> Self:
        """Return the same context at one moment."""
        return replace(self, clock=lambda: now_us)

    def reading(self) -> AbstractContextManager[Session]:
        """Open the session of a use case that changes nothing: `store.sql.database.reading`, or the snapshot."""
        return database.reading(self.engine) if self.snapshot is None else nullcontext(self.snapshot)

    @contextmanager
    def at_one_moment(self) -> Iterator[Self]:
        """Yield a context whose use cases all read as of one moment: that of this context's snapshot, or now."""
        if self.snapshot is not None:
            yield self
            return
        with database.reading_at_one_moment(self.engine) as session:
            yield replace(self, snapshot=session)

    def writing(self, busy_seconds: float | None = None) -> AbstractContextManager[Session]:
        """Open the transaction of a use case that changes something: `store.sql.database.writing`, or the given one.

        ConflictError if a member's token ended since it was looked up: the member may have taken long to decide, or
        waited for other writers. The audit log checks this again when the change is recorded.
        """
        return self._transaction(busy_seconds) if self.transaction is None else nullcontext(self.transaction)

    @contextmanager
    def _transaction(self, busy_seconds: float | None) -> Iterator[Session]:
        with database.writing(self.engine, busy_seconds) as session:
            refuse_ended(session, self.actor)
            yield session

    def record(
        self, session: Session, action: str, subject: tuple[str, str | int | None], **values: Unpack[EntryValues]
    ) -> None:
        """Record what the actor did, by `record`."""
        record(session, self.actor, action, subject, **values)
