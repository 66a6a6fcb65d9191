"""The catalogue as a page: docs/indicators.md is generated from the declarations; a test keeps it current."""

from collections.abc import Iterable
from itertools import groupby
from math import isnan

from fivefold.features.catalogue.indicator import Indicator
from fivefold.features.catalogue.own import OwnIndicators
from fivefold.features.consistency import MEANING
from fivefold.features.indicators import CATALOGUE

_HEAD = """\
# The indicators

Generated from the declarations (`fivefold indicators --markdown > docs/indicators.md`); do not edit.

{count} columns, in the order of the matrix. Everything is as known at as-of: an event at exactly as-of counts, and a
window of w days is (as-of − w, as-of]. Money is in the base currency: in a score by the rates that travel with the
model, in rules by those of the as-of, in `fivefold.indicators` by today's where no `rates=` are given. So one sum of
several currencies may be a little different in each. "Label" is what pictures say in place of the meaning. "Empty" is
the value for a customer without a single row; undefined values are NaN. Weekdays, nights and calendar days are UTC.
"""


def empty_text(indicator: Indicator) -> str:
    """Write the empty value for people."""
    return "undefined" if isnan(indicator.empty) else f"{indicator.empty:g}"


def catalogue_markdown(own: OwnIndicators | None = None) -> str:
    """Write the whole catalogue in Markdown, family by family; after it an operator's *own* indicators."""
    lines = [_HEAD.format(count=len(CATALOGUE.indicators))]
    for family, members in groupby(CATALOGUE.indicators, key=lambda each: each.family):
        lines += [f"## {family}", "", *_table(members)]
    if own is not None:
        lines += [f"## Own, of {own.name}", "", *_table(own.catalogue.indicators)]
    lines += ["## Consistency", "", MEANING]
    return "\n".join(lines)


def _table(members: Iterable[Indicator]) -> list[str]:
    return [
        "| indicator | label | unit | empty | meaning |",
        "|---|---|---|---|---|",
        *(f"| `{each.name}` | {each.label} | {each.unit} | {empty_text(each)} | {each.meaning} |" for each in members),
        "",
    ]
