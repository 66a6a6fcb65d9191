"""The figures of a validation, as they are kept and shown: of one version of a ruleset, or of all."""

from collections.abc import Mapping
from dataclasses import dataclass

from fivefold.risk.governance.validate.verdicts import Floors

LEAST = Floors().confirmed
"""Of confirmed entities, or of alerts that were decided: a figure that rests on fewer is not given."""

MEASURED, TOO_FEW = "measured", "too few"
UNASSESSED = "(never assessed)"


@dataclass(frozen=True)
class Measure:
    """A figure with its 95 % interval; without either where it would rest on too few.

    Attributes:
        of: how many it rests on.
        answer: measured, or too few.
    """

    of: int
    answer: str
    estimate: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Ranked:
    """How well the rules' totals, at the beginning or at an entity's first assessment, told who would be confirmed.

    Attributes:
        entities: that were ranked: assessed in full, and not left aside.
        confirmed: of these, by a case that was opened after that and confirmed in time.
        known: left aside: confirmed before.
        under_way: left aside: the case was open already, and may have been counted in the total.
    """

    entities: int
    confirmed: int
    known: int
    under_way: int
    gini: Measure


@dataclass(frozen=True)
class Caught:
    """Where those stood who were confirmed in the time, just before their first case was opened.

    Attributes:
        top: the names of the upper levels.
        confirmed: how many, everybody counted once.
        captured: in the upper levels, as a share of these.
        missed: below them, or without a level.
        possible: what arithmetic allows: the upper levels hold no more than they have room for; None without anybody.
        missed_by_override: missed, and in the upper levels by the rules.
        unassessed: confirmed and never assessed in time before; they count nowhere else.
        known: confirmed before the time already; they count nowhere else.
    """

    top: tuple[str, ...]
    confirmed: int
    captured: Measure
    missed: Measure
    possible: float | None
    missed_by_override: int
    unassessed: int
    known: int


@dataclass(frozen=True)
class LevelFigures:
    """One level, or what entities without one are called.

    Attributes:
        began: who was there by the rules when the time began; overrides apart.
        ended: the same when it ended.
        held: who was there when it ended, overrides too.
        confirmed: of those confirmed in the time, who stood there just before.
        opened: alerts that were opened in the time about somebody who stood there.
        open: of all alerts, those that were open at the end.
        decided: alerts whose outcome became known in the time; the next ones are of these.
        alerts_confirmed: confirmed.
        not_confirmed: false positives.
        without_outcome: closed without a word, and so in no share.
        conversion: confirmed, as a share of those with an outcome.
        false_positives: not confirmed, as a share of the same.
    """

    level: str
    began: int
    ended: int
    held: int
    confirmed: int
    opened: int
    open: int
    decided: int
    alerts_confirmed: int
    not_confirmed: int
    without_outcome: int
    conversion: Measure
    false_positives: Measure


@dataclass(frozen=True)
class Drift:
    """How far the rules' levels moved from the beginning to the end: population stability index."""

    index: float | None
    verdict: str
    began: int
    ended: int


@dataclass(frozen=True)
class Group:
    """All figures of one version of a ruleset; or of all, and then `ruleset` and `version` are None.

    Attributes:
        statuses: what became of the assessments that held at the end.
    """

    ruleset: str | None
    version: int | None
    ranked: Ranked
    caught: Caught
    levels: tuple[LevelFigures, ...]
    drift: Drift
    statuses: Mapping[str, int]
