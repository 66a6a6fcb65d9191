"""Whose turn it is: organisations, and what is urgent and what is not, share a worker by weight.

Each queue, of one organisation and priority, has a virtual time that moves on with what is done for it, the slower the
greater its weight; the queue that is behind is next. One that was idle begins where the others are: it is next, and
saves nothing up. (Start-time fair queueing; P. Goyal, H. Vin, H. Cheng, SIGCOMM 1996.)

Each worker remembers its own turns: where each is fair, all of them together are.
"""

from collections.abc import Sequence
from threading import Lock
from typing import Final

from fivefold.store.levels.assessment_queue import BULK, EVENT
from fivefold.store.levels.leases import Batch, Queue

WEIGHTS: Final = {EVENT: 4.0, BULK: 1.0}
"""What is urgent gets four fifths where both wait, and nobody else's urgency holds up a portfolio for ever."""
BATCH_COST: Final = 100
"""What a batch costs whatever is in it, in entities: about a tenth of a second."""


class Turns:
    """The turns of one worker; its threads share them."""

    def __init__(self) -> None:
        """Begin with everybody equal."""
        self._now = 0.0
        self._ends: dict[tuple[int, int], float] = {}
        self._lock = Lock()

    def order(self, queues: Sequence[Queue]) -> list[Queue]:
        """Put queues in the order in which they are to be tried."""
        with self._lock:
            return sorted(queues, key=lambda queue: (self._begins(queue.organisation_id, queue.priority), queue))

    def charge(self, batch: Batch) -> None:
        """Charge the queues of an organisation with what was claimed of them."""
        if batch.queue is None:
            return
        organisation_id, priority = batch.organisation_id, batch.queue.priority
        other = BULK if priority == EVENT else EVENT
        with self._lock:
            self._now = max(self._now, self._begins(organisation_id, priority))
            self._add(organisation_id, priority, batch.of_queue + BATCH_COST)
            self._add(organisation_id, other, len(batch.claims) - batch.of_queue)
            self._ends = {key: ends for key, ends in self._ends.items() if ends > self._now}

    def _begins(self, organisation_id: int, priority: int) -> float:
        return max(self._ends.get((organisation_id, priority), 0.0), self._now)

    def _add(self, organisation_id: int, priority: int, cost: int) -> None:
        self._ends[organisation_id, priority] = self._begins(organisation_id, priority) + cost / WEIGHTS[priority]
