"""Which tags the rules and flows name that decide now: a tag that none names changes nothing by itself."""

import json
from functools import lru_cache
from typing import Any

from fivefold.store.ingest.readers import active_definitions
from fivefold.usecases.shared.context import Context

_ANY = "tags"
"""The source of those that count tags, whatever their names."""


def tags_named(context: Context) -> tuple[str, ...]:
    """List the tags that an active ruleset, policy, group or flow names, in alphabetical order."""
    with context.reading() as session:
        definitions = active_definitions(session, context.organisation_id)
    return tuple(sorted(set().union(*map(_tags_in, definitions)) - {_ANY}))


def is_tag_read(context: Context, tag: str) -> bool:
    """Tell whether an active ruleset, policy, group or flow may read a tag: it names it, or counts all tags."""
    with context.reading() as session:
        definitions = active_definitions(session, context.organisation_id)
    return any(not {tag, _ANY}.isdisjoint(_tags_in(each)) for each in definitions)


@lru_cache(maxsize=200)
def _tags_in(canonical: str) -> frozenset[str]:
    """Find the tags that a definition names, and `tags` where it counts them.

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
