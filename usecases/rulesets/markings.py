"""Changes that reach everybody of a type, such as another version of a list: workers mark the rest of them due."""

from time import sleep

from sqlalchemy import Engine

from fivefold.domain.clock import resolve_now
from fivefold.store.levels import markings
from fivefold.store.sql.database import reading, writing


def advance_markings(engine: Engine, now_us: int | None = None) -> int:
    """Mark the next entities of every open marking due, each part in a transaction of its own; count them.

    To be called again until it gives 0. Several workers may call it: each marking is one's at a time.
    """
    now = resolve_now(now_us)
    with reading(engine) as session:
        numbers = markings.open_markings(session)
    return sum(_advance(engine, number, now) for number in numbers)


def _advance(engine: Engine, number: int, now_us: int) -> int:
    with writing(engine) as session:
        marking = markings.lock_marking(session, number)
        marked = 0
        if marking is not None and markings.may_begin(session, marking):
            if marking.reached_id == 0 and marking.from_us <= now_us:
                markings.join_waiting(session, marking, now_us)
            marked = markings.mark_part(session, marking, now_us)
    sleep(markings.PAUSE_SECONDS)
    return marked


def has_open_markings(engine: Engine) -> bool:
    """Tell whether entities are yet to be marked by a change that was made."""
    with reading(engine) as session:
        return bool(markings.open_markings(session))
