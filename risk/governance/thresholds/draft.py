"""A proposal written as a draft: the same text with other numbers, and the reasons above it."""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import yaml

from fivefold.charts.text.numbers import one_line
from fivefold.domain.errors import ConfigError
from fivefold.domain.text import percent
from fivefold.risk.governance.diff import diff
from fivefold.risk.governance.thresholds.propose import ThresholdProposal, present_cuts, whole_points
from fivefold.risk.language.quantities import POINT_UNITS, text_of
from fivefold.risk.language.reading import read_ruleset
from fivefold.risk.language.ruleset import PointsScore, Ruleset, TiersScore

Path = tuple[str | int, ...]

FIRST = "A DRAFT with proposed thresholds. It decides nothing until it is reviewed, tested, committed and activated."
LAST = "End of the reasons."
_EARLIER = re.compile(rf"\A# {re.escape(FIRST)}\n(#.*\n)*?# {re.escape(LAST)}\n")
"""The reasons of a proposal before this one: they are of no more use."""


def draft_text(text: str, ruleset: Ruleset, proposal: ThresholdProposal) -> str:
    """Write the draft.

    Everything that is not a threshold stays as it was written, remarks and order included.

    Args:
        text: the present ruleset as YAML or JSON.
        ruleset: the same, read.
        proposal: for this ruleset.

    Raises:
        ConfigError: the proposal is for another ruleset, or the text cannot be changed without changing more.
    """
    if proposal.content_hash != ruleset.content_hash:
        raise ConfigError("the proposal was made for another ruleset than the one that is to be changed")
    changes = dict(_changes(ruleset, proposal))
    own = _EARLIER.sub("", text.removeprefix("\ufeff"))
    draft = "".join(f"# {one_line(line)}\n" for line in (FIRST, *reasons(proposal), LAST)) + _replaced(own, changes)
    draft_ruleset = read_ruleset(draft, "the draft")
    others = [change for change in diff(ruleset, draft_ruleset).changes if not change.where.startswith("score, ")]
    if others or present_cuts(draft_ruleset).units != tuple(int(value * POINT_UNITS) for value in proposal.values):
        raise ConfigError("the thresholds cannot be changed in this text without changing more; change them by hand")
    return draft


def reasons(proposal: ThresholdProposal) -> list[str]:
    """Give the reasons, line by line, for the top of the file."""
    left_out = ", ".join(f"{count} {what}" for what, count in proposal.left_out.items() if count) or "nobody"
    lines = [
        f"Made from {proposal.ruleset} {proposal.content_hash}, as of {proposal.as_of}.",
        f"{proposal.entities} entities were assessed in full; left out: {left_out}.",
    ]
    lines += [
        f"{level.level}: {percent(level.present)} of them now, {percent(level.proposed)} by the draft, "
        f"target {percent(level.target)}"
        for level in proposal.levels
    ]
    lines += [
        f"{cut.level} begins at {cut.proposed} (now {cut.present}): {percent(cut.reached_below)} are below it, "
        f"{percent(cut.target_below)} were to be; the next shares that can be reached are "
        f"{percent(cut.next_below[0])} and {percent(cut.next_below[1])}"
        for cut in proposal.cuts
    ]
    return [*lines, f"{proposal.moved} entities would be in another level.", *proposal.cautions]


def _changes(ruleset: Ruleset, proposal: ThresholdProposal) -> Iterator[tuple[Path, Decimal]]:
    """Name the places of the numbers that change."""
    if isinstance(ruleset.score, TiersScore):
        order = present_cuts(ruleset).tiers
        size = Decimal(1) if whole_points(ruleset) and _are_whole(proposal) else Decimal(1) / POINT_UNITS
        for number, value in enumerate(proposal.values):
            yield ("score", "tiers", order[number], "max"), value - size
            yield ("score", "tiers", order[number + 1], "min"), value
        return
    form = ("points", "thresholds") if isinstance(ruleset.score, PointsScore) else ("weighted", "bands")
    for number, value in enumerate(proposal.values):
        yield ("score", *form, number), value


def _are_whole(proposal: ThresholdProposal) -> bool:
    return all(value == value.to_integral_value() for value in proposal.values)


def _replaced(text: str, changes: Mapping[Path, Decimal]) -> str:
    """Put other numbers at their places, from the last to the first so that the places stay right."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise ConfigError(f"the text cannot be changed in place: {one_line(str(error))}") from None
    nodes = [(_node(root, path), value) for path, value in changes.items()]
    for node, value in sorted(nodes, key=lambda one: -one[0].start_mark.index):
        number = text_of(int(value * POINT_UNITS), POINT_UNITS)
        text = text[: node.start_mark.index] + number + text[node.end_mark.index :]
    return text


def _node(root: Any, path: Path) -> Any:
    for step in path:
        if isinstance(step, int):
            root = root.value[step]
        else:
            root = next(value for key, value in root.value if key.value == step)
    return root
