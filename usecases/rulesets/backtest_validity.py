"""Which backtest counts: one of those who are there now, at what decides on them now, and not long ago.

Activations and proposals ask the same: a change is approved by what its backtest said of those whom it reaches.
"""

import json
from collections.abc import Iterator
from typing import Any

from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US, from_microseconds
from fivefold.domain.errors import ActionRefused
from fivefold.risk.facts.lists import ListVersion
from fivefold.store.rulesets.backfills import count_of_type
from fivefold.store.tables.entities import EntityType
from fivefold.store.tables.rulesets import Backtest
from fivefold.usecases.accounts.lists import named_lists
from fivefold.usecases.rulesets.deciding import Reached

MOST_DAYS = 30
"""A backtest counts for so long: what is known about customers changes every day."""
LEAST_PERCENT = 90
"""A backtest counts while it looked at so many of those who are there: a portfolio grows by some every day."""


def validity(reached: Reached, until_id: int) -> dict[str, Any]:
    """Give what the report of a backtest keeps for `refuse_outdated`: what decided, and the last entity there was."""
    return {"fingerprint": reached.fingerprint, "until_id": until_id}


def refuse_outdated(session: Session, backtest: Backtest, reached: Reached, called: str, now_us: int) -> None:
    """Raise ActionRefused where a backtest that is done says too little about a change as it would be now.

    *reached*: what decides before and after the change, as it is now. *called*: of what the backtest is, for people.
    A type without entities needs none.
    """
    there = count_of_type(session, backtest.type_id)
    why = _why_outdated(session, backtest, reached, f"the backtest of {called}", now_us, there) if there else None
    if why is not None:
        raise ActionRefused(f"{why}; request another one")


def _why_outdated(
    session: Session, backtest: Backtest, reached: Reached, named: str, now_us: int, there: int
) -> str | None:
    report, type_name = json.loads(backtest.report or "{}"), session.get_one(EntityType, backtest.type_id).name
    kept = report.get("validity")  # there is none in a report that an older version wrote
    if kept is None or kept["fingerprint"] != reached.fingerprint:
        return f"what decides on {type_name} has changed since {named}"
    as_of_us = report["as_of_us"]
    for list_name, version in _lists_of(session, backtest.organisation_id, reached):
        if as_of_us < version.since <= now_us:
            return f"a version of the list {list_name} came into force since {named}"
    if abs(now_us - as_of_us) > MOST_DAYS * DAY_US:  # a clock that was ahead makes no backtest younger
        return f"{named} is as of {from_microseconds(as_of_us).date()}, and a backtest counts for {MOST_DAYS} days"
    # Some were erased since; and rows that were on their way may have come with numbers below the last one.
    tested = min(report["customers"], count_of_type(session, backtest.type_id, kept["until_id"]))
    if tested * 100 < there * LEAST_PERCENT:
        return (
            f"{named} looked at {tested:,} of the {there:,} entities of type {type_name} that there are now,"
            f" and at least {LEAST_PERCENT} % are needed"
        )
    return None


def _lists_of(session: Session, organisation_id: int, reached: Reached) -> Iterator[tuple[str, ListVersion]]:
    """Go through the versions, as they are now, of every list that is read before or after a change."""
    lists = named_lists(session, organisation_id)
    for name in sorted({*reached.before.lists, *reached.after.lists} & {*lists}):
        yield from ((name, version) for version in lists[name].versions)
