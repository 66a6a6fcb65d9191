"""Whom an example is linked to: entities given as the example itself is, by the type of link."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

import polars as pl

from fivefold.domain.errors import Finding, InvalidRulesetError
from fivefold.domain.text import nearest, perhaps
from fivefold.risk.facts.groups.links import FROM, TO, TYPE, Links
from fivefold.risk.language.ruleset import GivenExample, LinkType

LINKS: Final = "links"
_SHARED = "a list of entities such as [{income: 100}], empty for nobody"
_DIRECTED = "{to: [...], from: [...]} with a list of entities after each, empty for nobody"


class Linking(Protocol):
    """What has examples and declares types of links: a ruleset or a flow."""

    @property
    def examples(self) -> Sequence[GivenExample]:
        """The examples, in their order."""

    @property
    def links(self) -> Mapping[str, LinkType]:
        """The types of links, by name."""


class Everybody(NamedTuple):
    """The examples and all whom they are linked to, in one row: the examples come first.

    Attributes:
        examples: one for each, with what is given of it.
        links: between them, by their numbers.
    """

    examples: Sequence[GivenExample]
    links: Links


def everybody(ruleset: Linking) -> Everybody:
    """Collect the examples and whom they are linked to; InvalidRulesetError where that is given in another form."""
    there, rows = list(ruleset.examples), list[tuple[Any, ...]]()
    for number, example in enumerate(there):  # which grows meanwhile
        for name, way, members in _linked_entities(example, ruleset.links):
            shared = f"of example {number}"
            others = [str(len(there) + place) for place in range(len(members))]
            there += [example.model_copy(update={"given": each}) for each in members]
            rows += _rows(name, way, str(number), others, shared)
    frame = pl.DataFrame(rows, schema=dict.fromkeys((TYPE, FROM, TO), pl.String), orient="row")
    return Everybody(there, Links(frame))


def _rows(name: str, way: str, own: str, others: Sequence[str], shared: str) -> list[tuple[Any, ...]]:
    if not way:
        return [(name, one, shared) for one in (own, *others)]
    ends = [(own, one) if way == TO else (one, own) for one in others or (None,)]
    return [(name, *end) for end in ends]


def _linked_entities(
    example: GivenExample, declared: Mapping[str, LinkType]
) -> Iterator[tuple[str, str, list[dict[str, Any]]]]:
    """Give the type, the way (empty where it has none) and the entities of each kind of link that an example has."""
    links = example.given.get(LINKS, {})
    if not isinstance(links, dict):
        raise _unreadable(example, "", "entities by the type of link")
    for name, value in links.items():
        if name not in declared:
            continue
        if declared[name].kind == "shared":
            yield name, "", _entities(example, name, value, _SHARED)
            continue
        if not isinstance(value, dict) or not set(value) <= {TO, FROM}:
            raise _unreadable(example, name, _DIRECTED)
        for way, others in value.items():
            yield name, way, _entities(example, name, others, _DIRECTED)


def _entities(example: GivenExample, name: str, value: Any, right: str) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise _unreadable(example, name, right)
    return value


def _unreadable(example: GivenExample, name: str, right: str) -> InvalidRulesetError:
    where = f"example {example.name}, {LINKS}{f', {name}' if name else ''}"
    return InvalidRulesetError([Finding(where, f"must be {right}")], "an example")


def given_below(example: GivenExample) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Give what an example gives, and what it gives of those linked, each with the words for where that stands."""
    waiting: list[tuple[str, Mapping[str, Any]]] = [(f"example {example.name}", example.given)]
    while waiting:
        where, facts = waiting.pop(0)
        yield where, facts
        links = facts.get(LINKS)
        for name, value in links.items() if isinstance(links, dict) else ():
            several = value.values() if isinstance(value, dict) else (value,)
            entities = [one for each in several if isinstance(each, list) for one in each if isinstance(one, dict)]
            waiting += [(f"{where}, {name}", one) for one in entities]


def strange_fields(example: GivenExample, fields: Iterable[str]) -> Iterator[Finding]:
    """Find what an example gives of itself, or of those linked to it, that is not among the *fields*."""
    for place, facts in given_below(example):
        yield from unknown_names(place, facts, fields)


def unknown_names(place: str, keys: Iterable[str], declared: Iterable[str]) -> Iterator[Finding]:
    """Find the names at a place that are not declared: one finding for all of them."""
    there = sorted(set(declared))
    unknown = list(dict.fromkeys(name for name in keys if name not in there))
    if len(unknown) == 1:
        why = f"which is no field; there are {', '.join(there)}{perhaps(unknown[0], there)}"
        yield Finding(place, f"gives {unknown[0]}, {why}")
    elif unknown:
        keys = ", ".join(f"{name} (perhaps {near})" if (near := nearest(name, there)) else name for name in unknown)
        yield Finding(place, f"gives {keys}, which are no fields; there are {', '.join(there)}")


def strange_links(example: GivenExample, ruleset: Linking) -> Iterator[Finding]:
    """Find types of links that the ruleset or the flow does not have."""
    for where, facts in given_below(example):
        links = facts.get(LINKS)
        for name in links if isinstance(links, dict) else ():
            if name not in ruleset.links:
                there = ", ".join(ruleset.links) or "none"
                problem = f"gives links of the type {name}, which is not under links; there are {there}"
                yield Finding(where, f"{problem}{perhaps(name, ruleset.links)}")
