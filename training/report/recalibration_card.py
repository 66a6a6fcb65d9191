"""The card of a recalibration: trees of an earlier version, and a score curve of later customers."""

from dataclasses import dataclass

import polars as pl

from fivefold.domain.clock import day_text
from fivefold.models.value_model import ValueModel
from fivefold.training.config import TrainingConfig
from fivefold.training.data import SourceSummary
from fivefold.training.judging.evaluate import Evaluation
from fivefold.training.judging.gate import GateVerdict
from fivefold.training.report.model_card import CAUTION, exchange_rates, limits, purpose, quality
from fivefold.training.windows import Windows


@dataclass(frozen=True)
class RecalibrationLineage:
    """What a recalibrated version was made from.

    Attributes:
        parent: the number of the version whose trees it has.
        parent_hash: of that version's content.
        parent_as_of: the moment (microseconds) whose customers were that version's reference.
        source: the name of the data, for people.
        windows: counts of customers and rows of the window that it was judged on.
        config: the definition, checks and gate of the parent.
        code: the program's version.
        warnings: doubts about the data.
        parent_judged_as_of: where that version was refitted, the test as-of (microseconds) of the model that was judged
            in its place; None where it was judged itself.
    """

    parent: int
    parent_hash: str
    parent_as_of: int
    source: str
    summary: SourceSummary
    windows: Windows
    config: TrainingConfig
    code: str
    warnings: tuple[str, ...]
    parent_judged_as_of: int | None = None


@dataclass(frozen=True)
class CurveChange:
    """The changes by the new curve, for the customers known at the as-of.

    Attributes:
        segments: one row a segment, lowest first: share of the customers and mean realised value by the parent's curve
            (`share_before`, `value_before`) and by the new one (`share_after`, `value_after`); null where it is empty.
        moved_share: share of the customers whose segment changes.
        predicted_mean, realised_mean: money by customer over the window.
        calibration_error: see `metrics.calibration_error`; on this window.
        calibration_error_before: of the parent on the window that it was judged on; None where it was not recorded, or
            was judged by another model's predictions, as of a refitted version.
    """

    segments: pl.DataFrame
    moved_share: float
    predicted_mean: float
    realised_mean: float
    calibration_error: float
    calibration_error_before: float | None

    def figures(self) -> dict[str, float]:
        """Give the figures under the names that the registry keeps."""
        rows = self.segments.to_dicts()
        shares = {f"segment_{row['segment']}_{name}": row[name] for row in rows for name in _SHARES}
        return shares | {"recalibration_moved_share": self.moved_share}

    def rows(self) -> list[list[str]]:
        """Write the segments for people: shares in per cent, money to cents, nothing where a segment is empty."""
        return [
            [
                row["segment"],
                *(f"{row[name]:.1%}" for name in _SHARES),
                *("" if row[name] is None else f"{row[name]:,.2f}" for name in ("value_before", "value_after")),
            ]
            for row in self.segments.to_dicts()
        ]


_SHARES = ("share_before", "share_after")


def recalibration_card(
    model: ValueModel, evaluation: Evaluation, lineage: RecalibrationLineage, change: CurveChange, verdict: GateVerdict
) -> str:
    """Write the card in Markdown."""
    return "\n".join(
        [
            f"# {lineage.config.name}, recalibrated",
            "",
            f"> {CAUTION}",
            "",
            *_what_it_is(model, lineage),
            *purpose(model, lineage.config.value),
            *_change(lineage, change),
            *quality(model, evaluation, verdict),
            *exchange_rates(model),
            *limits(model, evaluation),
        ]
    )


def _what_it_is(model: ValueModel, lineage: RecalibrationLineage) -> list[str]:
    summary, windows = lineage.summary, lineage.windows
    return [
        "## A recalibration",
        "",
        (
            f"This is version {lineage.parent} (`{lineage.parent_hash[:12]}`) with a new score curve and a new drift "
            f"reference: of the customers known on {day_text(model.test_as_of)} instead of "
            f"{day_text(lineage.parent_as_of)}. Nothing was learnt: trees, cut points, exchange rates, horizon and "
            f"catalogue are those of version {lineage.parent}, whose card says what they were learnt from. "
            "Its intervals are measured on these customers too."
        ),
        "",
        (
            f"- Data: {lineage.source}, {summary.rows:,} rows of {summary.customers:,} customers, "
            f"{day_text(summary.period.first)} to {day_text(summary.period.last)}, digest `{summary.digest}`."
        ),
        (
            f"- Window {windows.days_text(-1)}: {windows.known[-1]:,} customers known before it, "
            f"{windows.active[-1]:,} active in it, {windows.rows[-1]:,} rows."
        ),
        f"- Catalogue `{model.fingerprint[:12]}`; fivefold {lineage.code}.",
        *(f"- Doubtful: {warning}." for warning in lineage.warnings),
        "",
    ]


def _change(lineage: RecalibrationLineage, change: CurveChange) -> list[str]:
    return [
        "## What changes",
        "",
        *(f"- {sentence}" for sentence in change_sentences(lineage, change)),
        "",
        "| segment | share before | share after | mean value before | mean value after |",
        "|---|---|---|---|---|",
        *(f"| {' | '.join(row)} |" for row in change.rows()),
        "",
    ]


def change_sentences(lineage: RecalibrationLineage, change: CurveChange) -> list[str]:
    """Write what the new curve changes and what it cannot change, for the card and the terminal."""
    currency, before = lineage.config.base_currency, change.calibration_error_before
    earlier = (
        f"On the window of version {lineage.parent}, as of {day_text(lineage.parent_as_of)}, it "
        f"{'was not kept' if before is None else f'was {before:.1%}'}."
    )
    if lineage.parent_judged_as_of is not None:
        earlier = (
            f"For version {lineage.parent} it was not measured before: that version was refitted, and its figures are "
            f"of the model judged as of {day_text(lineage.parent_judged_as_of)}."
        )
    return [
        (
            f"Ranking: that of version {lineage.parent} by construction. The trees are the same, so customers stand in "
            "the same order."
        ),
        (
            f"Segments: {change.moved_share:.1%} of these customers are in another segment than by the curve of "
            f"version {lineage.parent}."
        ),
        (
            f"Expected value: the same money as version {lineage.parent} predicts. On this window the mean is "
            f"{change.predicted_mean:,.2f} {currency} predicted and {change.realised_mean:,.2f} {currency} realised; "
            f"the calibration error is {change.calibration_error:.1%} of the realised money. {earlier}"
        ),
    ]
