"""A client of a fivefold service."""

from typing import Self

import httpx

from fivefold.client.connection import Connection
from fivefold.client.parts.entities import Entities
from fivefold.client.parts.flows import Flows
from fivefold.client.parts.levels import Groups, Levels, Values
from fivefold.client.parts.scoring import Scoring
from fivefold.client.parts.work import Decisions, Queue, Rulesets


class Client:
    """Calls a service with a token; the token's role limits what it may do.

    It may be shared by threads. Answers are typed and immutable; failures are raised as the errors of
    `fivefold.client.errors`. Calls are repeated only if that is safe: reads always; writes by an `Idempotency-Key`, so
    they are carried out once; scoring only if it was certainly not carried out.

    Attributes:
        scoring: scores of rows that are sent.
        entities: entities, their transactions, tags, screenings and cases.
        levels: levels, reasons, history, and the changes that would move a level.
        values: values of stored customers.
        decisions: decisions on transactions.
        flows: decision flows and their runs.
        groups: named groups and their members.
        queue: items that wait for a person.
        rulesets: the rulesets that decide.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        timeout_seconds: float = 35.0,
        attempts: int = 4,
        longest_wait_seconds: float = 30.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """Create the client; no connection is opened yet.

        Args:
            url: the address of the service, such as https://scores.example.com.
            token: the token as `fivefold tokens create` printed it.
            timeout_seconds: limit of each part of an attempt (connect, send, wait, read); by default a little longer
                than the service's own limit.
            attempts: the most times a call is sent; 1 for no repeats.
            longest_wait_seconds: if the service asks for a longer wait, its error is raised at once.
            transport: replaces the network.
        """
        self._connection = Connection(
            url,
            token,
            timeout_seconds=timeout_seconds,
            attempts=attempts,
            longest_wait_seconds=longest_wait_seconds,
            transport=transport,
        )
        self.scoring = Scoring(self._connection)
        self.entities = Entities(self._connection)
        self.levels = Levels(self._connection)
        self.values = Values(self._connection)
        self.decisions = Decisions(self._connection)
        self.flows = Flows(self._connection)
        self.groups = Groups(self._connection)
        self.queue = Queue(self._connection)
        self.rulesets = Rulesets(self._connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        """Name the service, never the token."""
        return f"Client over {self._connection!r}"

    def close(self) -> None:
        """Close all open connections."""
        self._connection.close()
