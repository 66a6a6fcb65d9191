"""A client of a fivefold service."""

from typing import Self

import httpx

from fivefold.client.connection import Connection
from fivefold.client.parts.entities import Entities
from fivefold.client.parts.flows import Flows
from fivefold.client.parts.groups import Groups
from fivefold.client.parts.levels import Levels, Values
from fivefold.client.parts.scoring import Scoring
from fivefold.client.parts.work import Decisions, Queue, Rulesets


class Client:
    """Asks a service on behalf of a token; its role says what it may.

    Safe to be used by several threads. Answers are typed and cannot be changed; what is wrong is raised as one of
    `fivefold.client.errors`. Calls are sent again where that is safe: reads always; what changes something by an
    `Idempotency-Key`, so that it is carried out once; scoring only where it is certain that nothing was done.

    Attributes:
        scoring: scores of rows that are sent.
        entities: entities, their transactions, tags, screenings and cases.
        levels: levels, reasons, history, and what would move a level.
        values: what stored customers are worth.
        decisions: decisions on transactions.
        flows: decision flows that are run, and their runs.
        groups: named groups, and who is in them.
        queue: what waits for a person.
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
        """Open nothing yet.

        Args:
            url: of the service, such as https://scores.example.com.
            token: as `fivefold tokens create` printed it.
            timeout_seconds: for each part of an attempt (connect, send, wait, read); a little more than the service
                gives itself by default.
            attempts: how often a call is sent at most; 1 for never again.
            longest_wait_seconds: where the service says to come back later than that, its error is raised at once.
            transport: takes the place of the network.
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
        """Say which service, never the token."""
        return f"Client over {self._connection!r}"

    def close(self) -> None:
        """Close the connections that are open."""
        self._connection.close()
