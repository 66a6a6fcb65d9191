"""A proposed change in words, for the person who approves it: what it replaces and by what, and whom it reaches."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fivefold.console.rendering import attribute, moment, words
from fivefold.console.texts import text
from fivefold.usecases.changes.reach import HeldUntil


@dataclass(frozen=True)
class Line:
    """A label, and what stands beside it."""

    label: str
    value: str


_REPLACES: Mapping[str, Sequence[str]] = {
    "order": ("families",),
    "rates": ("source",),
    "tag_ends": ("until_us", "ended"),
    "newest_screening": ("at_us",),
    "opened": ("opened_us",),
    "closed": ("closed_us",),
}
"""What of a content is shown as something that is replaced, where that has another name."""


def change_lines(content: Mapping[str, Any], reach: Mapping[str, Any], labels: Mapping[str, str]) -> list[Line]:
    """Write what a change replaces and by what, and then the rest of its content; *labels*: of settings, by name.

    >>> change_lines({"two": True}, {"two": {"from": False, "to": True}}, {"two": "Two people"})
    [Line(label='Two people', value='from no to yes')]
    """
    replaced = _replaced(reach)
    shown = {each for name in replaced for each in _REPLACES.get(name, (name,))}
    lines = [
        Line(_label(name, labels), _from_to(value["from"], value["to"]))
        for name, value in replaced.items()
        if value["from"] != value["to"]
    ]
    rest = {name: value for name, value in content.items() if name not in shown}
    return [
        *lines,
        *_rate_lines(replaced.get("rates", {})),
        *(Line(_label(name, labels), _value(name, value)) for name, value in rest.items() if value is not None),
    ]


def reach_lines(reach: Mapping[str, Any], labels: Mapping[str, str], held_until: HeldUntil | None = None) -> list[Line]:
    """Write whom a change reaches, as far as they were counted: no line where they were not.

    *held_until*: whose levels a cooldown holds now, and until when.

    >>> reach_lines({"cap": {"from": 10, "to": 5, "overridden_below": 0, "with_level": 281}}, {"cap": "Cap"})
    [Line(label='Cap', value='0 of 281 customers are kept below the rules now')]
    >>> fall = {"entity_type": "customer", "external_id": "a", "before": ["high"] * 3, "after": ["low", "low", "low"]}
    >>> print(reach_lines({"falls": [fall]}, {})[0].value)
    by the rules: level from high to low; floor from high to low; floor that no override goes below from high to low. \
A cooldown or an override may hold the level longer.
    >>> reach_lines({"falls": [fall]}, {}, {("customer", "a"): 1_782_907_200_000_000})[1].label
    'The cooldown holds the level of a until'
    >>> reach_lines({"falls": [fall | {"after": ["high", "low", "high"]}]}, {})[0].value
    'by the rules: floor from high to low. The level stays high.'
    """
    replaced = _replaced(reach)
    counts = [Line(_label(name, labels), counted) for name, value in replaced.items() for counted in _counts(value)]
    others = {name: value for name, value in reach.items() if name not in replaced}
    return [
        *counts,
        *(line for name, value in others.items() for line in _reached(name, value, reach, held_until or {})),
    ]


def _replaced(reach: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {name: value for name, value in reach.items() if isinstance(value, Mapping) and {"from", "to"} <= {*value}}


def _label(name: str, labels: Mapping[str, str]) -> str:
    if name == "newest_since":
        return text("Newest version of the list, since")
    if name == "on":
        return text("Decides")
    if name == "per_second":
        return text("Customers that are assessed again in a second")
    return text(labels[name]) if name in labels else words(name.removesuffix("_us"))


def _from_to(before: Any, after: Any) -> str:
    return text("from {before} to {after}", before=_or_nothing(before), after=_or_nothing(after))


def _or_nothing(value: Any) -> str:
    return text("nothing") if value in (None, [], "") else attribute(value)


def _value(name: str, value: Any) -> str:
    if name.endswith("_us"):
        return moment(value)
    if name == "rates":
        rates = json.loads(value)
        currencies = ", ".join(sorted({currency for currency, _, _ in rates}))
        return text("{count} rates of {currencies}", count=attribute(len(rates)), currencies=currencies)
    return attribute(value)


def _rate_lines(value: Mapping[str, Any]) -> Iterator[Line]:
    """Write which rates a table changes, those that are lost first; an earlier release did not keep it."""
    for each in value.get("currencies", ()):
        before = _rate(each["from"])
        if each["to"] is not None:
            change = text("from {before} to {after}", before=before, after=_rate(each["to"]))
        else:
            count = attribute(each["transactions"])
            change = text("from {before} to none; {count} stored transactions have it", before=before, count=count)
        yield Line(each["currency"], change)
    if value.get("others"):
        yield Line(text("Other currencies"), text("the rates of {count} more differ", count=attribute(value["others"])))
    if value.get("earlier"):
        yield Line(text("Rates of other days"), text("{count} differ", count=attribute(value["earlier"])))


def _rate(rate: Mapping[str, str] | None) -> str:
    if rate is None:
        return text("none")
    return text("{rate} of {day}", rate=f"{float(rate['rate']):.10g}", day=attribute(rate["day"]))


def _counts(value: Mapping[str, Any]) -> Iterator[str]:
    """Write what was counted of a setting."""
    counted = {name: attribute(each) for name, each in value.items()}
    if "with_level" in value:
        yield text("{overridden_below} of {with_level} customers are kept below the rules now", **counted)
    if "older_after" in value:
        yield text(
            "{older_before} customers were added longer ago than the days of now, {older_after} than the new ones",
            **counted,
        )
    if "active_below" in value:
        yield text(
            "active versions that reach less: {versions}", versions=attribute(value["active_below"]) or text("none")
        )


def _reached(  # noqa: C901, PLR0912 (one for each name)
    name: str, value: Any, reach: Mapping[str, Any], held_until: HeldUntil
) -> Iterator[Line]:
    match name, value:
        case "entities", Mapping():
            if not value:
                # A table of rates reaches everybody; an earlier release did not count them.
                yield Line(text("Assessed again"), text("everybody") if "rates" in reach else text("nobody"))
            for kind, count in value.items():
                yield Line(
                    text("Assessed again"), text("{count} of the type {type}", count=attribute(count), type=kind)
                )
        case "decisions", Mapping():
            label = text("Its decisions in the last {days} days", days=reach["days"])
            yield Line(
                label, ", ".join(f"{words(each)}: {attribute(count)}" for each, count in value.items()) or text("none")
            )
        case "days", _:
            return
        case "falls", []:
            yield Line(text("Levels"), text("none falls by it"))
        case "falls", list():
            for fall in value:
                who = fall["entity_type"], fall["external_id"]
                yield Line(f"{words(who[0])} {who[1]}", _fall(fall))
                if (until_us := held_until.get(who)) is not None:
                    yield Line(text("The cooldown holds the level of {name} until", name=who[1]), moment(until_us))
        case ("level", _):
            yield Line(text("Level by the override"), words(value))
        case ("rules_level", _):
            yield Line(text("Level without the override"), text("none") if value is None else words(value))
        case ("gate", _):
            yield Line(text("The gate says"), value or text("nothing"))
        case "money", list():
            for warning in value:
                yield Line(text("Money"), warning)
        case _:
            yield Line(words(name), attribute(value))


def _fall(fall: Mapping[str, Any]) -> str:
    """Write how far a level or a floor would fall by the rules; what else may hold the level stands beside."""
    if fall["before"] is None or fall["after"] is None:
        return text("it cannot be computed to what it would fall") + (f": {fall['why']}" if fall["why"] else "")
    names = (text("level"), text("floor"), text("floor that no override goes below"))
    parts = zip(names, fall["before"], fall["after"], strict=True)
    falls = "; ".join(f"{what} {_from_to(before, after)}" for what, before, after in parts if before != after)
    if fall["before"][0] == fall["after"][0]:
        return text("by the rules: {falls}. The level stays {level}.", falls=falls, level=_or_nothing(fall["after"][0]))
    return text("by the rules: {falls}. A cooldown or an override may hold the level longer.", falls=falls)
