"""Groups in words: how a value is computed, and from which entities."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from fivefold.risk.facts.groups.links import MOST_LINKED, NOTHING_KNOWN, TOO_MANY, UNREADABLE
from fivefold.risk.language.expressions import LinkedGroup

_MADE: Mapping[str, str] = {"sum": "sum", "mean": "mean", "min": "least", "max": "greatest"}

_WHY: Mapping[str, str] = {
    NOTHING_KNOWN: "nothing is known of links by {0}{1}",
    TOO_MANY: f"more than {MOST_LINKED:,} are linked by {{0}}",
    UNREADABLE: "a link by {0} cannot be read",
}

Words = Callable[[Any], str]


def group_words(group: LinkedGroup, named: Words, condition_words: Words) -> str:
    """Name the value of a group.

    Args:
        group: the group.
        named: names an input.
        condition_words: writes a condition.
    """
    whom = _whom(group)
    if group.where is not None:
        whom += f" where {condition_words(group.where)}"
    if group.any is not None:
        return f"whether of one of {whom} {condition_words(group.any)}"
    if group.count is not None:
        return f"number of {whom}"
    return f"{_MADE[group.word]} over {whom} of {named(group.part)}"


def _whom(group: LinkedGroup) -> str:
    by = group.by.replace("_", " ")
    whom = {"to": f"those to whom {by} leads", "from": f"those from whom {by} leads"}.get(
        str(group.way), f"those linked by {by}"
    )
    if group.steps > 1:
        whom += f" in up to {group.steps} steps"
    return f"{whom} and itself" if group.itself else whom


def path_words(path: str | None, by: str) -> str:
    """Name the entities that a value comes from, or explain why it is unknown.

    Args:
        path: the text that `risk.facts.groups.values` writes.
        by: the type of the links.

    >>> path_words('{"by":["H1"],"of":7,"who":["B","C","D","E","F"]}', "household")
    'through household H1: B, C, D, E, F and 2 more'
    >>> path_words('{"by":[],"counted":["B"],"counts":1,"of":2,"who":["B","C"]}', "owns")
    'through owns: B, C; those who count: B'
    >>> path_words('{"by":[],"counted":[],"counts":0,"of":2,"who":["B","C"]}', "owns")
    'through owns: B, C; none of them counts'
    >>> path_words('{"why":"nothing known"}', "household")
    'as nothing is known of links by household'
    >>> path_words('{"why":"nothing known","not":["E"]}', "owns")
    'as nothing is known of links by owns of E'
    >>> path_words('{"by":[],"met":["B"],"mets":1,"not":["E"],"of":2,"who":["B","E"],"why":"nothing known"}', "owns")
    'through owns: B, E; it holds of B; nothing is known of links by owns of E'
    """
    if path is None:
        return ""
    content, by = json.loads(path), by.replace("_", " ")
    why = ""
    if "why" in content:
        whose = "".join(f" of {one}" for one in content.get("not", []))
        why = _WHY[content["why"]].format(by, whose)
    if "of" not in content:
        return f"as {why}"
    through = f"through {' '.join([by, ', '.join(content['by'])]).strip()}"
    whom = _several(content["who"], content["of"]) if content["of"] else "nobody else"
    words = [f"{through}: {whom}"]
    if "met" in content:
        words.append(f"it holds of {_several(content['met'], content['mets'])}")
    if content.get("counts"):
        words.append(f"those who count: {_several(content['counted'], content['counts'])}")
    elif "counts" in content and content["of"]:
        words.append("none of them counts")
    if "nots" in content:
        words.append(f"not known of {_several(content['not'], content['nots'])}")
    return "; ".join([*words, *filter(None, [why])])


def _several(names: list[str], count: int) -> str:
    more = count - len(names)
    return ", ".join(names) + (f" and {more:,} more" if more else "")
