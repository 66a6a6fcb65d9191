"""A registry of value models with versions, promotions and a stored comparison, and no model behind any of it."""

from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from fivefold.domain.clock import to_microseconds
from fivefold.domain.settings import Settings
from fivefold.models.comparison import (
    FILE,
    Advantage,
    CalibrationGroup,
    IndicatorEffect,
    RankQuality,
    SegmentGroup,
    SegmentMove,
    VersionComparison,
    VersionSide,
)
from fivefold.models.promotions import PROMOTE, Promotion, apply_promotion
from fivefold.models.registry import Registry
from tests.models.making import AS_OF, add_bare_version, new_registry
from tests.sharing import made_once

CARD = "# fivefold-value\n\n> Weigh it with <b>other</b> checks.\n"
KEPT, ALLOWED = "the champion stays: +0.0001 is not above 0", "normalised Gini 0.9120 beats champion 0.9010"


def side(version: int | None, shift: float) -> VersionSide:
    groups = [CalibrationGroup(decile=n, customers=10, predicted_mean=n + shift, realised_mean=n) for n in range(1, 11)]
    segments = [
        SegmentGroup(segment=name, customers=25, value_mean=value, value_share=0.25)
        for name, value in (("low", 1.0), ("medium", 3.0), ("high", 6.0))
    ]
    return VersionSide(version=version, calibration=groups, calibration_error=abs(shift) / 10, segments=segments)


def comparison(**changes: Any) -> VersionComparison:
    """Version 2 beside version 1: five customers change segment."""
    moves = [("low", "low", 25), ("medium", "medium", 20), ("medium", "high", 5), ("high", "high", 25)]
    parts: dict[str, Any] = {
        "as_of_us": AS_OF,
        "until_us": AS_OF + 90 * 86_400_000_000,
        "customers": 75,
        "explained": 60,
        "currency": "EUR",
        "quality": {
            "model": RankQuality(normalised_gini=0.912, top_decile_capture=0.89, spearman=0.94),
            "champion": RankQuality(normalised_gini=0.901, top_decile_capture=0.88, spearman=None),
            "rfm": RankQuality(normalised_gini=0.64, top_decile_capture=0.6, spearman=0.5),
        },
        "advantages": {
            "champion": Advantage(difference=0.011, low=0.004),
            "rfm": Advantage(difference=0.272, low=0.25),
        },
        "confidence": 0.95,
        "times_judged": 1,
        "lift": {
            name: [min(1.0, place * slope / 100) for place in range(101)]
            for name, slope in (("model", 3), ("champion", 2), ("rfm", 1.2), ("perfect", 5))
        },
        "version": side(None, 0.25),
        "rival": side(1, -0.5),
        "moves": [
            SegmentMove(before=before, after=after, customers=count, predicted_mean=2.5, realised_mean=2.0)
            for before, after, count in moves
        ],
        "effects": [
            IndicatorEffect(name="balance_last", label="Last balance", family="balance", points=0.42, rival=0.31),
            IndicatorEffect(name="gap_mean_90d", label="Days between deposits", family="rhythm", points=0.1, rival=0.2),
        ],
        "promote": True,
        "reasons": [ALLOWED, "mean realised value rises from segment to segment"],
    }
    return VersionComparison(**{**parts, **changes})


def made(folder: Path) -> Registry:
    """Make a registry: version 1 serves, the gate allows 2 with a stored comparison, and neither 3 nor 4."""
    registry = new_registry(folder)
    for against, allowed, why in (
        ("", "true", "first"),
        ("1", "true", ALLOWED),
        ("1", "false", KEPT),
        ("1", "false", KEPT),
    ):
        add_bare_version(
            registry,
            gate_promote=allowed,
            gate_reasons=why,
            gate_champion=against,
            content_hash="ab",
            test_as_of=str(AS_OF),
        )
    run = registry.version(2).run_id
    registry.client.log_text(run, comparison().to_json(), FILE)
    registry.client.log_text(run, CARD, "model_card.md")
    registry.client.log_text(registry.version(4).run_id, "{", FILE)
    registry.client.log_metric(run, "model_normalised_gini", 0.912)
    for day, version, replaced in ((1, 3, None), (2, 4, 3), (3, 1, 4)):
        at = to_microseconds(date(2026, 6, day))
        apply_promotion(
            registry,
            Promotion(
                at_us=at,
                action=PROMOTE,
                version=version,
                replaced=replaced,
                who="ann (501)",
                why=f"reason {day}",
                forced=False,
            ),
        )
    return registry


@cache
def registry() -> Registry:
    """The registry of every place whose test needs none of its own; only to be read."""
    folder = made_once("registry", made)
    return Registry(Settings(var=folder), "value")
