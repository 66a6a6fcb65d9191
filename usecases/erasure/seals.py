"""Seals of batches that lose transactions: what takes long is prepared before anything is locked.

A customer may have transactions in a hundred thousand batches, and what others have in these is read and sealed again.
While an erasure holds its locks nobody can add a transaction, so only what came since is read then.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from fivefold.store.audit import history_reading
from fivefold.store.audit.chain import Entry
from fivefold.usecases.audit.record import entry_of_rows
from fivefold.usecases.shared.actors import Actor


@dataclass(frozen=True)
class Seals:
    """How the batches of some entities are sealed, and will be without these.

    Attributes:
        entity_ids: of whom.
        through: the number of the last entry of the audit log when this was read.
        former: the entries whose seals cover transactions of theirs.
        renewed: by batch, the entry that seals what is left of it.
    """

    entity_ids: tuple[int, ...]
    through: int
    former: tuple[int, ...]
    renewed: Mapping[int, Entry]


def sealing(session: Session, organisation_id: int, batches: Sequence[int], after: int = 0) -> dict[int, int]:
    """Find the entries after a number whose seals cover transactions of batches: the batch of each."""
    batch_set = set(batches)
    entries = history_reading.sealing_entries(session, organisation_id, after) if batches else ()
    named = ((number, json.loads(details).get("batch")) for number, details in entries)
    return {number: batch for number, batch in named if batch in batch_set}


def seals_without(session: Session, actor: Actor, entity_ids: Sequence[int], before: Seals | None = None) -> Seals:
    """Read the seals of the batches of entities, and seal these batches without them; nothing is stored.

    *before*, read in an earlier transaction, saves what no entry has changed since, if it is of the same entities.
    """
    ids, of = tuple(sorted(entity_ids)), actor.organisation_id
    if before is None or before.entity_ids != ids:
        before = Seals(ids, 0, (), {})
    through = history_reading.last_number(session, of)
    batches = history_reading.batches_of(session, ids)
    newer = sealing(session, of, batches, before.through)
    unchanged = set(batches) - set(newer.values())
    renewed = {batch: entry for batch, entry in before.renewed.items() if batch in unchanged}
    missing = [batch for batch in batches if batch not in renewed]
    about = (history_reading.SEALED, "transaction")
    for batch, lines in history_reading.lines_of_batches(session, missing, ids):
        renewed[batch] = entry_of_rows(actor, (*about, batch), lines, {})
    nothing_left = [batch for batch in missing if batch not in renewed]
    renewed |= {batch: entry_of_rows(actor, (*about, batch), (), {}) for batch in nothing_left}
    return Seals(ids, through, (*before.former, *newer), renewed)
