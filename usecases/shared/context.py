"""The context of a use case: on which database, who acts, and what time it is."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, Self

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.domain.clock import now_microseconds
from fivefold.store.audit import log
from fivefold.store.audit.bound_rows import Digests
from fivefold.store.audit.chain import Entry
from fivefold.store.audit.log import Appended
from fivefold.store.sql import database
from fivefold.usecases.shared.actors import Actor

ROWS = "rows"
"""Where among the values after are the digests of the rows that a call wrote."""

Values = Mapping[str, Any] | None


@dataclass(frozen=True)
class Context:
    """What every use case takes first.

    Attributes:
        engine: the database.
        actor: who acts, and within which organisation.
        clock: tells the present, microseconds.
    """

    engine: Engine
    actor: Actor
    clock: Callable[[], int] = now_microseconds

    @property
    def organisation_id(self) -> int:
        """The organisation of the actor: nothing of any other is seen or touched."""
        return self.actor.organisation_id

    def now(self) -> int:
        """Tell the present, microseconds."""
        return self.clock()

    def at(self, now_us: int) -> Self:
        """Give the same context at one moment."""
        return replace(self, clock=lambda: now_us)

    def reading(self) -> AbstractContextManager[Session]:
        """Open the session of a use case that changes nothing, as `store.sql.database.reading`."""
        return database.reading(self.engine)

    def writing(self) -> AbstractContextManager[Session]:
        """Open the transaction of a use case that changes something, as `store.sql.database.writing`."""
        return database.writing(self.engine)

    def record(
        self,
        session: Session,
        action: str,
        subject: tuple[str, str | int | None],
        *,
        before: Values = None,
        after: Values = None,
        details: Mapping[str, Any] | None = None,
        bulk: tuple[int, str] | None = None,
        rows: Digests | None = None,
    ) -> Appended:
        """Record what a use case did, once, as the last thing in its transaction: both happen, or neither.

        Args:
            session: in the use case's transaction.
            action: such as `token.created`.
            subject: kind and internal number of what it was done to; None in place of the number for many.
            before: values before, which can be erased; never a secret, nor its hash.
            after: values after, as above.
            details: what is never erased, so nothing personal.
            bulk: for many: how many, and `store.audit.chain.digest_of` them.
            rows: that it wrote and `audit verify` compares, by `store.audit.bound_rows.digests`; among its values.
        """
        kind, number = subject
        count, digest = bulk or (None, None)
        entry = Entry(
            organisation_id=self.organisation_id,
            at_us=now_microseconds(),
            actor=self.actor.name,
            action=action,
            subject_kind=kind,
            subject_id=None if number is None else str(number),
            details=details or {},
            before=before,
            after={**(after or {}), ROWS: rows} if rows else after,
            bulk_count=count,
            bulk_digest=digest,
        )
        return log.append(session, entry)
