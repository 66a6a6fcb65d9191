"""Tags come to their ends by the clock: flows that listen to that run once, by whichever worker finds it."""

from collections.abc import Collection, Sequence
from itertools import groupby
from typing import Final

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.domain.clock import resolve_now
from fivefold.store.ingest.tag_ends import EndedTag, take_ended, take_ended_of
from fivefold.store.levels.assessment_queue import NO_FLOW
from fivefold.store.sql.database import writing
from fivefold.usecases.shared.flow_triggers import ENDED, Event, caused_by, note, tag_end_cause

PART: Final = 2_000
"""Tags that one transaction takes."""


def tell_ended_tags(engine: Engine, now_us: int | None = None, most: int = PART) -> int:
    """Begin the runs of flows that listen to the ends of tags which the clock ended; tell how many were looked at.

    To be called again until it gives 0. That a tag is taken, and that the runs begin, is one transaction: a worker
    that dies leaves both to the next one. A tag ended only where no other row of the same one lasts on.
    """
    now = resolve_now(now_us)
    with writing(engine) as session:
        ended, due = take_ended(session, now, most)
        _tell(session, ended, now)
        return due


def tell_ended_before(session: Session, entity_ids: Collection[int], now_us: int) -> None:
    """Begin the same runs of entities whose tags are about to change: for what ended before that, they come first.

    The caller holds them, and ends the transaction. Time is nobody's doing, also where a flow acts in the session.
    """
    with caused_by(session, NO_FLOW):
        _tell(session, take_ended_of(session, entity_ids, now_us), now_us)


def _tell(session: Session, ended: Sequence[EndedTag], now_us: int) -> None:
    for (organisation_id, type_id), those in groupby(sorted(ended, key=_owner), _owner):
        events = [
            Event(each.entity_id, tag_end_cause(each.tag_id, each.until_us), {"tag": each.tag, "change": ENDED})
            for each in those
            if each.is_last
        ]
        note(session, organisation_id, type_id, "tag", events, now_us)


def _owner(ended: EndedTag) -> tuple[int, int]:
    return ended.organisation_id, ended.type_id
