"""A peer's figures beside one's own: the same measures, found on other customers.

A peer is another bank, another portfolio or another year. Its figures come as plain data: what `fivefold rules validate
--json` wrote, or a few figures written by hand.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import hypot
from typing import Any, Final

from fivefold.domain.errors import ConfigError
from fivefold.risk.governance.validate.measures import Capture
from fivefold.risk.governance.validate.ranking import ConfidenceInterval, Ranking, share

FIGURES = ("gini", "level_gini", "captured", "missed")
"""What is compared: Gini of the total and of the level, and the shares of the confirmed in and below the top levels."""

MOST_CUSTOMERS: Final = 10**12
"""More than any portfolio has; also the greatest number that a figure may be read as."""
_FORMS = "an estimate with low and high, an estimate alone, or hits and of"


@dataclass(frozen=True)
class PeerFigures:
    """What a peer says of its own ruleset.

    Attributes:
        name: of the peer.
        figures: by the names of `FIGURES`; an interval whose ends are the estimate is one that was not given.
    """

    name: str
    figures: Mapping[str, ConfidenceInterval]


@dataclass(frozen=True)
class PeerLine:
    """One figure beside a peer's.

    Attributes:
        figure: one of `FIGURES`.
        own: what was measured here.
        peer: what the peer says.
        difference: own − peer, with its interval; None where the peer gives no interval.
    """

    figure: str
    own: ConfidenceInterval
    peer: ConfidenceInterval
    difference: ConfidenceInterval | None


@dataclass(frozen=True)
class PeerComparison:
    """A peer's name, and a line for each figure that both have."""

    name: str
    lines: tuple[PeerLine, ...]


def read_peer_text(text: str, source: str) -> PeerFigures:
    """Read a peer's figures from the text of a file, as `read_peer` does; ConfigError also where it is not JSON."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as problem:
        raise ConfigError(f"{source} cannot be read as JSON: {problem}") from None
    return read_peer(data, source)


def read_peer(data: Any, source: str) -> PeerFigures:
    """Read a peer's figures from plain data.

    Either the JSON of a validation, or `{"name": "...", "gini": {"estimate": 0.7, "low": 0.65, "high": 0.75},
    "captured": {"hits": 40, "of": 50}}` with any of `FIGURES`.

    Args:
        data: as JSON gives it.
        source: the file's name, for errors.

    Raises:
        ConfigError: it is neither, or a figure is not a number, out of range or outside its interval.
    """
    if not isinstance(data, dict):
        raise ConfigError(f"{source} holds no figures; it must be a mapping with any of {', '.join(FIGURES)}")
    if data.get("kind") == "validation":
        values = _of_validation(data)
    else:
        values = {name: data[name] for name in FIGURES if data.get(name) is not None}
    name = data.get("name") or data.get("ruleset") or source
    figures = {figure: _interval(value, f"{source}: {figure}", figure) for figure, value in values.items()}
    if not figures:
        raise ConfigError(f"{source} has no figure to compare with; it must have any of {', '.join(FIGURES)}")
    return PeerFigures(str(name), figures)


def _of_validation(data: Mapping[str, Any]) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for name, part, figure in (
        ("gini", "ranking", "gini"),
        ("level_gini", "level_ranking", "gini"),
        ("captured", "capture", "captured"),
        ("missed", "capture", "missed"),
    ):
        within = data.get(part)
        if isinstance(within, dict) and within.get(figure) is not None:
            figures[name] = within[figure]
    return figures


def _interval(value: Any, where: str, figure: str) -> ConfidenceInterval:
    least = -1.0 if "gini" in figure else 0.0
    if isinstance(value, dict) and {"hits", "of"} <= value.keys() and least == 0:
        hits, of = value["hits"], value["of"]
        whole = all(isinstance(each, int) and not isinstance(each, bool) for each in (hits, of))
        measured = share(hits, of) if whole and 0 <= hits <= of <= MOST_CUSTOMERS else None
        if measured is None:
            raise ConfigError(
                f"{where} has hits and of that are not counts; both must be whole numbers, 0 <= hits <= of, and of from"
                f" 1 to {MOST_CUSTOMERS:,}"
            )
        return measured
    estimate = value.get("estimate") if isinstance(value, dict) else value
    ends = [value.get(end, estimate) if isinstance(value, dict) else value for end in ("low", "high")]
    numbers = [
        float(each)
        for each in (ends[0], estimate, ends[1])
        if isinstance(each, int | float) and not isinstance(each, bool) and not abs(each) > MOST_CUSTOMERS
    ]
    if len(numbers) != 3:
        raise ConfigError(f"{where} is no figure; it must be {_FORMS}")
    low, middle, high = numbers
    if not least <= low <= middle <= high <= 1:
        raise ConfigError(
            f"{where} is {middle:g} ({low:g} to {high:g}); it must lie in its interval, from {least:g} to 1"
        )
    return ConfidenceInterval(middle, low, high)


def compare_with_peer(
    peer: PeerFigures | None, ranking: Ranking | None, level_ranking: Ranking | None, capture: Capture | None
) -> PeerComparison | None:
    """Put each figure that both have beside the peer's, in the order of `FIGURES`; None without a peer."""
    if peer is None:
        return None
    own = {
        "gini": None if ranking is None else ranking.gini,
        "level_gini": None if level_ranking is None else level_ranking.gini,
        "captured": None if capture is None else capture.captured,
        "missed": None if capture is None else capture.missed,
    }
    return figures_beside(peer, own)


def figures_beside(peer: PeerFigures, own: Mapping[str, ConfidenceInterval | None]) -> PeerComparison:
    """Put each figure that both have beside the peer's; *own* has them by the names of `FIGURES`."""
    lines = []
    for figure in FIGURES:
        mine, theirs = own.get(figure), peer.figures.get(figure)
        if mine is not None and theirs is not None:
            has_interval = theirs.low < theirs.high
            lines.append(PeerLine(figure, mine, theirs, independent_difference(mine, theirs) if has_interval else None))
    return PeerComparison(peer.name, tuple(lines))


def independent_difference(first: ConfidenceInterval, second: ConfidenceInterval) -> ConfidenceInterval:
    """Give the difference of two figures that were found on different customers, with its interval.

    The ends are recovered from those of both intervals (MOVER). Source: Newcombe, "Interval estimation for the
    difference between independent proportions" (1998), method 10; Zou and Donner, "Construction of confidence limits
    about effect measures" (2008), for figures of any kind.

    >>> independent_difference(ConfidenceInterval(0.7, 0.67, 0.74), ConfidenceInterval(0.6, 0.57, 0.64)).low
    0.05
    """
    difference = first.estimate - second.estimate
    below = hypot(first.estimate - first.low, second.high - second.estimate)
    above = hypot(first.high - first.estimate, second.estimate - second.low)
    return ConfidenceInterval(round(difference, 12), round(difference - below, 12), round(difference + above, 12))
