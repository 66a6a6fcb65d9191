"""Tags come to their ends by the clock: flows that listen to that run once, by whichever worker finds it."""

from itertools import groupby
from typing import Final

from sqlalchemy import Engine

from fivefold.domain.clock import resolve_now
from fivefold.store.ingest.tag_ends import TagEnded, take_ended
from fivefold.store.sql.database import writing
from fivefold.usecases.shared.flow_triggers import ENDED, Event, note, tag_end_cause

PART: Final = 2_000
"""Tags that one transaction takes."""


def tell_ended_tags(engine: Engine, now_us: int | None = None, most: int = PART) -> int:
    """Begin the runs of flows that listen to the ends of tags which the clock ended; tell how many tags ended.

    To be called again until it gives 0. That a tag is taken, and that the runs begin, is one transaction: a worker
    that dies leaves both to the next one. A tag ended only where no other row of the same one lasts on.
    """
    now = resolve_now(now_us)
    with writing(engine) as session:
        ended = take_ended(session, now, most)
        for (organisation_id, type_id), those in groupby(sorted(ended, key=_owner), _owner):
            events = [
                Event(each.entity_id, tag_end_cause(each.tag_id), {"tag": each.tag, "change": ENDED})
                for each in those
                if each.is_last
            ]
            note(session, organisation_id, type_id, "tag", events, now)
        return len(ended)


def _owner(ended: TagEnded) -> tuple[int, int]:
    return ended.organisation_id, ended.type_id
