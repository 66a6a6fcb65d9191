"""Writes a proposal as a draft: the same text with other numbers, and the reasons above it."""

import re
from collections.abc import Iterator
from decimal import Decimal

from fivefold.domain.errors import ConfigError
from fivefold.domain.text import count_text, percent
from fivefold.risk.governance.diff import diff
from fivefold.risk.governance.drafts import (
    NOTHING_IN_FORCE,
    reasons_of,
    with_numbers,
    with_reasons,
    without_reasons,
)
from fivefold.risk.governance.thresholds.cuts import CutProposal, present_cuts, whole_points
from fivefold.risk.governance.thresholds.propose import ThresholdProposal
from fivefold.risk.language.documents import Path
from fivefold.risk.language.quantities import POINT_UNITS, text_of
from fivefold.risk.language.reading import read_ruleset
from fivefold.risk.language.ruleset import PointsScore, Ruleset, TiersScore

FIRST = f"A DRAFT with proposed thresholds. {NOTHING_IN_FORCE}"


def draft_text(text: str, ruleset: Ruleset, proposal: ThresholdProposal) -> str:
    """Write the draft.

    Everything but the thresholds stays as written, including comments and order.

    Args:
        text: the present ruleset as YAML or JSON.
        ruleset: the same ruleset as an object.
        proposal: the proposal for this ruleset.

    Raises:
        ConfigError: the proposal is for another ruleset, or the text cannot be changed without other changes.
    """
    if proposal.content_hash != ruleset.content_hash:
        raise ConfigError("the proposal was made for another ruleset than the one that is to be changed")
    numbers = {path: text_of(int(value * POINT_UNITS), POINT_UNITS) for path, value in _changes(ruleset, proposal)}
    draft = with_reasons(with_numbers(without_reasons(text), numbers), FIRST, reasons(proposal))
    draft_ruleset = read_ruleset(draft, "the draft")
    others = [change for change in diff(ruleset, draft_ruleset).changes if not change.where.startswith("score, ")]
    if others or present_cuts(draft_ruleset).units != tuple(int(value * POINT_UNITS) for value in proposal.values):
        raise ConfigError("the thresholds cannot be changed in this text without changing more; change them by hand")
    return draft


def reasons(proposal: ThresholdProposal) -> list[str]:
    """Return the lines that state the reasons, for the top of the file."""
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
        f"{cut.level} begins at {cut.proposed} (now {cut.present}{_alone_words(cut)}): "
        f"{percent(cut.reached_below)} are below it, "
        f"{percent(cut.target_below)} were to be; the next shares that can be reached are "
        f"{percent(cut.next_below[0])} and {percent(cut.next_below[1])}{_interval_words(cut)}"
        for cut in proposal.cuts
    ]
    lines.append(
        f"{count_text(proposal.moved, 'entity', 'entities')} would be in another level{_moves_words(proposal)}."
    )
    if proposal.capture is not None:
        now, then = (percent(side.captured.estimate) for side in (proposal.capture.present, proposal.capture.proposed))
        top = " and ".join(proposal.capture.present.top)
        confirmed = f"{proposal.capture.confirmed:,} confirmed later"
        lines.append(f"{top} hold {now} of the {confirmed}, and {then} by the draft.")
    return [*lines, *proposal.cautions]


def _interval_words(cut: CutProposal) -> str:
    """Describe how far chance alone moves a threshold."""
    if cut.interval is None:
        return ""
    low, high = cut.interval
    return f"; portfolios drawn again from this one came to {f'{low} as well' if low == high else f'{low} to {high}'}"


def _alone_words(cut: CutProposal) -> str:
    """Describe the threshold of this portfolio alone, if the proposed one is a mean with earlier ones."""
    return "" if cut.alone is None else f"; the mean with earlier ones, {cut.alone} by this portfolio alone"


_WRITTEN = re.compile(
    r"^# .+ begins at (?P<mean>\S+) \(now \S+; the mean with earlier ones, (?P<alone>\S+) by this portfolio alone\): ",
    re.MULTILINE,
)
"""The line that `reasons` writes for a threshold that is a mean; the lines are in the order of the levels."""


def thresholds_alone(text: str) -> list[Decimal]:
    """Read the thresholds of a draft; for one that is a mean, the threshold of its own portfolio alone.

    A mean within a later mean would count the earlier quarters twice. An edited threshold is returned as it is.
    """
    now = [Decimal(units) / POINT_UNITS for units in present_cuts(read_ruleset(text)).units]
    means = [(Decimal(each["mean"]), Decimal(each["alone"])) for each in _WRITTEN.finditer(reasons_of(text))]
    if len(means) != len(now):
        return now
    return [alone if value == mean else value for value, (mean, alone) in zip(now, means, strict=True)]


def _moves_words(proposal: ThresholdProposal) -> str:
    moves = [f"{move.entities} from {move.present} to {move.proposed}" for move in proposal.moves]
    return f": {', '.join(moves)}" if moves else ""


def _changes(ruleset: Ruleset, proposal: ThresholdProposal) -> Iterator[tuple[Path, Decimal]]:
    """Yield the paths of the numbers that change, with the new ones."""
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
