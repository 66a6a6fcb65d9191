"""A peer's figures beside one's own: the same measures, found on other customers.

A peer is another bank, another portfolio or another year. Its figures come as plain data: what `fivefold rules validate
--json` wrote, or a few figures written by hand.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import hypot
from typing import Any, Final

from fivefold.domain.errors import ConfigError
from fivefold.domain.text import nearest, why_unreadable
from fivefold.risk.governance.validate.measures import Capture, LevelRow
from fivefold.risk.governance.validate.ranking import ConfidenceInterval, Ranking, share

FIGURES = ("gini", "level_gini", "captured", "missed")
"""The compared figures: Gini of the total and the level, and shares of the confirmed in and below the top levels."""
BY_LEVEL = ("shares", "conversion")
"""The compared figures of each level: its share of the entities, and the confirmed share of its decided alerts."""
_NAMES = ("name", "ruleset", "kind")
"""The keys that a file may have beside figures."""

MOST_CUSTOMERS: Final = 10**12
"""A number larger than any portfolio; also the largest number that a figure may have."""
_FORMS = "an estimate with low and high, an estimate alone, or hits and of"


@dataclass(frozen=True)
class PeerFigures:
    """The figures of a peer for its own ruleset.

    Attributes:
        name: the name of the peer.
        figures: by the names of `FIGURES`, and by `name_at` of `BY_LEVEL` and a level; if both ends of an interval
            equal the estimate, the peer did not state an interval.
    """

    name: str
    figures: Mapping[str, ConfidenceInterval]


@dataclass(frozen=True)
class PeerLine:
    """One figure beside a peer's.

    Attributes:
        figure: its name, as in `PeerFigures`.
        own: the figure measured here.
        peer: the figure of the peer.
        difference: own − peer, with its interval; None if the peer states no interval.
    """

    figure: str
    own: ConfidenceInterval
    peer: ConfidenceInterval
    difference: ConfidenceInterval | None


@dataclass(frozen=True)
class PeerGap:
    """A figure of a peer that has nothing beside it.

    Attributes:
        figure: its name, as in `PeerFigures`.
        peer: the figure of the peer.
        why: the reason why there is no figure to compare it with.
    """

    figure: str
    peer: ConfidenceInterval
    why: str


@dataclass(frozen=True)
class PeerComparison:
    """A peer's name, a line for each figure that both have, and the peer's other figures."""

    name: str
    lines: tuple[PeerLine, ...]
    gaps: tuple[PeerGap, ...] = ()


def name_at(figure: str, level: str) -> str:
    """Return the name of a figure of `BY_LEVEL` for one level.

    >>> name_at("shares", "high")
    'shares.high'
    """
    return f"{figure}.{level}"


def read_peer_text(text: str, source: str, *, lenient: bool = False) -> PeerFigures:
    """Read a peer's figures from the text of a file, as `read_peer` does; raise ConfigError also if it is not JSON."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as problem:
        raise ConfigError(f"{source} cannot be read as JSON: {why_unreadable(problem)}") from None
    return read_peer(data, source, lenient=lenient)


def read_peer(data: Any, source: str, *, lenient: bool = False) -> PeerFigures:
    """Read a peer's figures from plain data.

    The data is either the JSON of a validation, of one ruleset or of several rulesets (without a Gini of the total), or
    `{"name": "...", "gini": {"estimate": 0.7, "low": 0.65, "high": 0.75}, "captured": {"hits": 40, "of": 50}, "shares":
    {"high": {"hits": 90, "of": 3000}}}` with any of `FIGURES`, and of `BY_LEVEL` by level.

    Args:
        data: the data as parsed from JSON.
        source: the file's name, for errors.
        lenient: leave out unknown names and unreadable figures, for files stored before these were refused.

    Raises:
        ConfigError: the data is neither, or has an unknown name; or a figure is not a number, out of range or outside
            its interval.
    """
    if not isinstance(data, dict):
        raise ConfigError(f"{source} holds no figures; it must be a mapping with any of {_ALL}")
    if data.get("kind") in _VALIDATIONS:
        values = _of_validation(data)
    else:
        if not lenient:
            _refuse_unknown(data, source)
        values = _written(data, source, lenient=lenient)
    name = data.get("name") or data.get("ruleset") or _families_named(data) or source
    figures = dict[str, ConfidenceInterval]()
    for figure, value in values.items():
        try:
            figures[figure] = _interval(value, f"{source}: {figure}", figure)
        except ConfigError:
            if not lenient:
                raise
    if not figures and not lenient:
        raise ConfigError(f"{source} has no figure to compare with; it must have any of {_ALL}")
    return PeerFigures(str(name), figures)


_VALIDATIONS = ("validation", "families-validation")
"""The kinds of files that `--json` of a validation writes: of one ruleset, or of several by level."""


def _families_named(data: Mapping[str, Any]) -> str:
    """Return the names of the rulesets of a validation of several, in the order in which they are tried."""
    families = data.get("families")
    rows = families if isinstance(families, list | tuple) else []
    return ", then ".join(str(row["family"]) for row in rows if isinstance(row, dict) and row.get("family"))


_ALL = ", ".join((*FIGURES, *BY_LEVEL))


def _refuse_unknown(data: Mapping[str, Any], source: str) -> None:
    allowed = (*_NAMES, *FIGURES, *BY_LEVEL)
    unknown = [name for name in data if name not in allowed]
    if unknown:
        near = {name: nearest(name, allowed) for name in unknown}
        names = ", ".join(f"{name!r}" + (f" (perhaps {near[name]} is meant)" if near[name] else "") for name in unknown)
        raise ConfigError(f"{source} has {names}; beside name it may have {_ALL}")


def _written(data: Mapping[str, Any], source: str, *, lenient: bool) -> dict[str, Any]:
    values = {name: data[name] for name in FIGURES if data.get(name) is not None}
    for figure in BY_LEVEL:
        by_level = data.get(figure)
        if isinstance(by_level, dict):
            values |= {name_at(figure, level): value for level, value in by_level.items() if value is not None}
        elif by_level is not None and not lenient:
            raise ConfigError(
                f'{source}: {figure} must be a mapping of levels, such as {{"high": {{"hits": 9, "of": 90}}}}'
            )
    return values


def _of_validation(data: Mapping[str, Any]) -> dict[str, Any]:
    levels = data.get("levels")
    rows = [row for row in levels if isinstance(row, dict)] if isinstance(levels, list | tuple) else []
    counts = [row.get("entities") for row in rows]
    of = sum(count for count in counts if isinstance(count, int))
    figures: dict[str, Any] = {
        name_at("shares", str(row.get("level"))): {"hits": count, "of": of}
        for row, count in zip(rows, counts, strict=True)
        if of
    }
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


def is_share(figure: str) -> bool:
    """Check whether a figure is a share, from 0 to 1; all others are Ginis."""
    return figure not in {"gini", "level_gini"}


def _interval(value: Any, where: str, figure: str) -> ConfidenceInterval:
    least = 0.0 if is_share(figure) else -1.0
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
        raise ConfigError(f"{where} is not a figure; it must be {_FORMS}")
    low, middle, high = numbers
    if not least <= low <= middle <= high <= 1:
        raise ConfigError(
            f"{where} is {middle:g} ({low:g} to {high:g}); it must lie in its interval, from {least:g} to 1"
        )
    return ConfidenceInterval(middle, low, high)


OwnFigures = Mapping[str, ConfidenceInterval | str]
"""Own figures by their names, as in `PeerFigures`; a text states why there is none."""

SEVERAL: Final = "the totals of several rulesets are different numbers"
_NOBODY: Final = "nobody who was judged is confirmed, or everybody is"


def compare_with_peer(
    peer: PeerFigures | None,
    ranking: Ranking | None,
    level_ranking: Ranking | None,
    capture: Capture | None,
    levels: Sequence[LevelRow] = (),
) -> PeerComparison | None:
    """Compare each figure that both have with the peer's; None without a peer. *levels* are those of the entities."""
    if peer is None:
        return None
    no_total = _NOBODY if level_ranking is None else SEVERAL
    of = sum(row.entities for row in levels)
    shares = {name_at("shares", row.level): share(row.entities, of) for row in levels}
    own: dict[str, ConfidenceInterval | str] = {
        "gini": no_total if ranking is None else ranking.gini,
        "level_gini": _NOBODY if level_ranking is None else level_ranking.gini,
        "captured": _NOBODY if capture is None else capture.captured,
        "missed": _NOBODY if capture is None else capture.missed,
        "conversion": "a validation of files counts no alerts",
    }
    return figures_beside(peer, own | {name: each for name, each in shares.items() if each is not None})


def figures_beside(peer: PeerFigures, own: OwnFigures) -> PeerComparison:
    """Compare each figure that both have with the peer's, in the order of `FIGURES` and then by level.

    If a figure by level is not in *own*, the reason is the one that *own* has for the figure without a level.
    """
    lines, gaps = list[PeerLine](), list[PeerGap]()
    for figure in sorted(peer.figures, key=lambda name: FIGURES.index(name) if name in FIGURES else len(FIGURES)):
        theirs, (kind, _, level) = peer.figures[figure], figure.partition(".")
        mine = own.get(figure, own.get(kind, f"no level has the name {level} here"))
        if isinstance(mine, str):
            gaps.append(PeerGap(figure, theirs, mine))
            continue
        has_interval = theirs.low < theirs.high
        lines.append(PeerLine(figure, mine, theirs, independent_difference(mine, theirs) if has_interval else None))
    return PeerComparison(peer.name, tuple(lines), tuple(gaps))


def independent_difference(first: ConfidenceInterval, second: ConfidenceInterval) -> ConfidenceInterval:
    """Return the difference of two figures of different customers, with its interval.

    The ends are recovered from those of both intervals (MOVER). Sources: Newcombe, "Interval estimation for the
    difference between independent proportions" (1998), method 10; Zou and Donner, "Construction of confidence limits
    about effect measures" (2008), for figures of any kind.

    >>> independent_difference(ConfidenceInterval(0.7, 0.67, 0.74), ConfidenceInterval(0.6, 0.57, 0.64)).low
    0.05
    """
    difference = first.estimate - second.estimate
    below = hypot(first.estimate - first.low, second.high - second.estimate)
    above = hypot(first.high - first.estimate, second.estimate - second.low)
    return ConfidenceInterval(round(difference, 12), round(difference - below, 12), round(difference + above, 12))
