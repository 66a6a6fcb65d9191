"""A version beside its rival and baselines on the same window, stored with the version for people to read.

Training writes it once; a reader needs neither the models nor the data.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

from fivefold.domain.errors import ModelError

FILE: Final = "comparison.json"
"""The file's name among the artefacts of the training run."""
FORM: Final = 1
"""The number of the file's form; a later form that these readers cannot read has another number."""


@dataclass(frozen=True, kw_only=True)
class CalibrationGroup:
    """A tenth of the customers by prediction: money by customer, predicted and realised."""

    decile: int
    customers: int
    predicted_mean: float
    realised_mean: float


@dataclass(frozen=True, kw_only=True)
class SegmentGroup:
    """The customers of a segment: their mean realised value, and their share of all of it."""

    segment: str
    customers: int
    value_mean: float
    value_share: float


@dataclass(frozen=True, kw_only=True)
class SegmentMove:
    """The customers with one segment by the rival (`before`) and one by the version (`after`).

    Attributes:
        predicted_mean: money by customer, as predicted by the version.
        realised_mean: what they were worth in the window.
    """

    before: str
    after: str
    customers: int
    predicted_mean: float
    realised_mean: float


@dataclass(frozen=True, kw_only=True)
class IndicatorEffect:
    """How much an indicator does: the mean of its points without their sign, over customers of the window.

    Attributes:
        points: the effect in the version, in points of the score.
        rival: the effect in the rival, on the same customers; None without a rival.
    """

    name: str
    label: str
    family: str
    points: float
    rival: float | None


@dataclass(frozen=True, kw_only=True)
class RankQuality:
    """How well a ranking finds the valuable customers; see `training.judging.metrics.Metrics`."""

    normalised_gini: float | None
    top_decile_capture: float | None
    spearman: float | None


@dataclass(frozen=True, kw_only=True)
class Advantage:
    """The normalised Gini of the version less that of another; `low`: it is at least this, at `confidence`."""

    difference: float
    low: float


@dataclass(frozen=True, kw_only=True)
class VersionSide:
    """One version on the window."""

    version: int | None
    calibration: Sequence[CalibrationGroup]
    calibration_error: float | None
    segments: Sequence[SegmentGroup]


@dataclass(frozen=True, kw_only=True)
class VersionComparison:
    """A version on the window that it was judged on, beside the version that it was judged against.

    Attributes:
        as_of_us: the window begins.
        until_us: it ends.
        customers: in the window.
        explained: of these, on whom the indicators' effects were computed.
        currency: of all money.
        quality: by the name of the ranking: model, champion, and the baselines.
        advantages: over each of the others; without one that is undefined, as where all are worth the same.
        confidence: of the lower ends.
        times_judged: how often the window was judged on, this time included.
        lift: by the same names and perfect: the share of all value in the first 0, 1, ... 100 % of the customers.
        version: itself; without a number, which it gets afterwards.
        rival: the version that it was judged against; None where there was none, or none that was comparable.
        moves: from each segment of the rival to each of the version; empty without a rival.
        effects: of the indicators, the largest first.
        promote: the gate allows it.
        reasons: of the gate.
        refitted_until_us: the version was learnt again from everything up to this moment, after another model with its
            settings was judged: every figure here is of that model. None where the version was judged itself.
    """

    as_of_us: int
    until_us: int
    customers: int
    explained: int
    currency: str
    quality: Mapping[str, RankQuality]
    advantages: Mapping[str, Advantage]
    confidence: float
    times_judged: int
    lift: Mapping[str, Sequence[float]]
    version: VersionSide
    rival: VersionSide | None
    moves: Sequence[SegmentMove]
    effects: Sequence[IndicatorEffect]
    promote: bool
    reasons: Sequence[str]
    refitted_until_us: int | None = None

    def to_json(self) -> str:
        """Return the JSON that is stored."""
        return json.dumps({"form": FORM, **asdict(self)}, ensure_ascii=False, allow_nan=False, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read the JSON of `to_json`; ModelError if it has another form, or is damaged."""
        try:
            content = json.loads(text)
            if content.pop("form") != FORM:
                raise ModelError(f"{FILE} is of a form that this program does not know; it knows form {FORM}")
            return cls(
                **content
                | {
                    "quality": {name: RankQuality(**each) for name, each in content["quality"].items()},
                    "advantages": {name: Advantage(**each) for name, each in content["advantages"].items()},
                    "version": _side(content["version"]),
                    "rival": content["rival"] and _side(content["rival"]),
                    "moves": [SegmentMove(**each) for each in content["moves"]],
                    "effects": [IndicatorEffect(**each) for each in content["effects"]],
                }
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelError(f"{FILE} is damaged: {type(error).__name__}: {error}") from None


def _side(content: Mapping[str, Any]) -> VersionSide:
    return VersionSide(
        version=content["version"],
        calibration=[CalibrationGroup(**each) for each in content["calibration"]],
        calibration_error=content["calibration_error"],
        segments=[SegmentGroup(**each) for each in content["segments"]],
    )
