"""The catalogue as a page: docs/indicators.md is generated from the declarations, and tested to be current."""

from itertools import groupby
from math import isnan

from fivefold.features.catalogue.indicator import Indicator
from fivefold.features.indicators import CATALOGUE

_HEAD = """\
# The indicators

Generated from the declarations (`fivefold indicators --markdown > docs/indicators.md`); do not edit.

{count} columns, in the order of the matrix. Everything is as known at as-of: an event at exactly as-of counts, and a
window of w days is (as-of − w, as-of]. Money is in the base currency. "Label" is what pictures say in place of the
meaning. "Empty" is the value for a customer without a single row; undefined values are NaN. Weekdays, nights and
calendar days are UTC.
"""


def empty_text(made: Indicator) -> str:
    """Write the empty value for people."""
    return "undefined" if isnan(made.empty) else f"{made.empty:g}"


def catalogue_markdown() -> str:
    """Write the whole catalogue in Markdown, family by family."""
    lines = [_HEAD.format(count=len(CATALOGUE.indicators))]
    for family, members in groupby(CATALOGUE.indicators, key=lambda made: made.family):
        lines += [f"## {family}", "", "| indicator | label | unit | empty | meaning |", "|---|---|---|---|---|"]
        lines += [
            f"| `{made.name}` | {made.label} | {made.unit} | {empty_text(made)} | {made.meaning} |" for made in members
        ]
        lines.append("")
    return "\n".join(lines)
