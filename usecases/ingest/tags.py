"""Effects of tags: which tags active definitions read, and one run of flows at the planned end of a tag."""

import json
from collections.abc import Collection, Sequence
from functools import lru_cache
from itertools import groupby
from typing import Any, Final

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.store.ingest.tags import EndedTag, take_ended, take_ended_of
from fivefold.store.levels.assessment_queue import NO_FLOW, Origin
from fivefold.store.rulesets.active_definitions import canonical_forms
from fivefold.store.sql.database import writing
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.flow_triggers import ENDED, TriggerEvent, caused_by, note, tag_end_cause

PART: Final = 2_000
"""The most tags that one transaction takes."""


def announce_ended_tags(engine: Engine, now_us: int, most: int = PART) -> int:
    """Begin the runs of flows that listen to planned ends of tags; return how many ends were examined.

    Call it until it returns 0. Taking a tag and beginning its runs is one transaction, so a worker that dies leaves
    both to the next one. A tag has ended only if no other row of the same tag lasts on.
    """
    with writing(engine) as session:
        ended_tags, due_count = take_ended(session, now_us, most)
        _announce(session, ended_tags, now_us)
        return due_count


def announce_ended_before(session: Session, entity_ids: Collection[int], now_us: int) -> None:
    """Begin the same runs for entities whose tags are about to change, so that earlier ends come first.

    The caller has locked them, and ends the transaction. The event names who set the end, also if a flow acts now.
    """
    with caused_by(session, NO_FLOW):
        _announce(session, take_ended_of(session, entity_ids, now_us), now_us)


def _announce(session: Session, ended_tags: Sequence[EndedTag], now_us: int) -> None:
    for (organisation_id, type_id), those in groupby(sorted(ended_tags, key=_owner), _owner):
        events = [
            TriggerEvent(
                each.entity_id,
                tag_end_cause(each.tag_id, each.until_us),
                {"tag": each.tag, "change": ENDED, "by": each.set_by},
                NO_FLOW if each.proposed_by is None else Origin(people=(each.proposed_by,)),
            )
            for each in those
            if each.is_last
        ]
        note(session, organisation_id, type_id, "tag", events, now_us)


def _owner(tag: EndedTag) -> tuple[int, int]:
    return tag.organisation_id, tag.type_id


_ANY = "tags"
"""The source in definitions that count tags, whatever their names."""


def tags_named(context: Context) -> tuple[str, ...]:
    """List the tags that an active ruleset, policy, group or flow names, in alphabetical order."""
    with context.reading() as session:
        definitions = canonical_forms(session, context.organisation_id)
    return tuple(sorted(set().union(*map(_tags_in, definitions)) - {_ANY}))


def is_tag_read(context: Context, tag: str) -> bool:
    """Check whether an active ruleset, policy, group or flow may read a tag: it names the tag, or counts all tags."""
    with context.reading() as session:
        definitions = canonical_forms(session, context.organisation_id)
    return any(not {tag, _ANY}.isdisjoint(_tags_in(each)) for each in definitions)


@lru_cache(maxsize=200)
def _tags_in(canonical: str) -> frozenset[str]:
    """Return the tags that a definition names, and `tags` if it counts them.

    >>> sorted(_tags_in('{"rules": [{"when": {"tag": "vip", "is": "present"}}, {"count": "tags"}], "title": "tag"}'))
    ['tags', 'vip']
    """
    names: set[str] = set()
    left: list[Any] = [json.loads(canonical)]
    while left:
        part = left.pop()
        if isinstance(part, dict):
            names |= {
                value for key, value in part.items() if isinstance(value, str) and (key == "tag" or value == _ANY)
            }
            left += part.values()
        elif isinstance(part, list):
            left += part
    return frozenset(names)
