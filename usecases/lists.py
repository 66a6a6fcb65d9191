"""Named lists of an organisation: versions that are added, never changed, each in force from a moment on."""

import json
from itertools import groupby

from sqlalchemy.orm import Session

from risk.facts.lists import ListVersion, NamedList
from store.lists import list_rows


def named_lists(session: Session, organisation_id: int) -> dict[str, NamedList]:
    """Give all lists of an organisation by name, each with all its versions, as rulesets are assessed with them.

    What a version was entitled to when it was put stays with it; the list has title and source of its newest one.
    """
    found = {}
    for name, group in groupby(list_rows(session, organisation_id), key=lambda row: row.name):
        rows = list(group)
        versions = tuple(
            ListVersion(since=row.since_us, members=tuple(json.loads(row.members)), source=row.source) for row in rows
        )
        found[name] = NamedList(name=name, title=rows[-1].title, source=rows[-1].source, versions=versions)
    return found
