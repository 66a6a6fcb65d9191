"""The card of a recalibration: trees of an earlier version, and a score curve of later customers."""

from dataclasses import dataclass

import polars as pl

from fivefold.domain.clock import day_text
from fivefold.domain.money import rounded_form, rounded_words
from fivefold.models.value_model import ValueModel
from fivefold.training.config import TrainingConfig
from fivefold.training.data import SourceSummary
from fivefold.training.judging.evaluate import Evaluation
from fivefold.training.judging.gate import GateVerdict
from fivefold.training.report.card import (
    CardSection,
    CardTable,
    ModelCard,
    Sentence,
    TableColumn,
    items,
    paragraph,
    say,
)
from fivefold.training.report.model_card import CAUTION, data_read, exchange_rates, limits, purpose
from fivefold.training.report.quality_card import quality
from fivefold.training.windows import Windows


@dataclass(frozen=True, kw_only=True)
class RecalibrationLineage:
    """What a recalibrated version was made from.

    Attributes:
        parent: the number of the version that was recalibrated.
        trees: the number of the version that its trees were learnt for: *parent*, or one that it goes back to.
        parent_hash: the content hash of the parent.
        parent_as_of: the moment (microseconds) whose customers were the parent's reference.
        source: the name of the data, for people.
        windows: counts of customers and rows of the window that it was judged on.
        config: the definition, checks and gate of the parent.
        code: the program's version.
        warnings: doubts about the data.
        intervals_known_until: the moment (microseconds) when the part of the window ends on which the parent's
            intervals were measured, so that they are not judged; None without such a part.
    """

    parent: int
    trees: int
    parent_hash: str
    parent_as_of: int
    source: str
    summary: SourceSummary
    windows: Windows
    config: TrainingConfig
    code: str
    warnings: tuple[str, ...]
    intervals_known_until: int | None = None


@dataclass(frozen=True)
class EarlierError:
    """How far predicted money was off on the window of an earlier version with the same trees.

    Attributes:
        version: the number of the version.
        as_of: the as-of of its window, microseconds; for a refitted version, that of the model judged in its place.
        refitted: whether its figures are that model's, so that nothing was measured of these trees.
        calibration_error: see `metrics.calibration_error`; None if it was not kept, or is that model's.
    """

    version: int
    as_of: int
    refitted: bool
    calibration_error: float | None

    def sentence(self) -> Sentence:
        """Write the error for people."""
        text = "On the window of version {version}, as of {judged_as_of}, the calibration error "
        text += "was not kept." if self.calibration_error is None else "was {calibration_error_share:.1%}."
        if self.refitted:
            text = (
                "For version {version} the calibration error was not measured before: that version was refitted, and "
                "its figures are of the model judged as of {judged_as_of}."
            )
        return say(
            text,
            version=self.version,
            judged_as_of=day_text(self.as_of),
            calibration_error_share=self.calibration_error,
        )


@dataclass(frozen=True)
class CurveChange:
    """The changes by the new curve, for the customers known at the as-of.

    Attributes:
        segments: one row a segment, lowest first: share of the customers and mean realised value by the parent's curve
            (`share_before`, `value_before`) and by the new one (`share_after`, `value_after`); null where it is empty.
        moved_share: share of the customers whose segment changes.
        predicted_mean, realised_mean: money by customer over the window.
        calibration_error: see `metrics.calibration_error`; on this window.
        errors_before: the errors of the parent on the window that it was judged on, and of the version that the trees
            were learnt for if that is another one: they show the drift of money since then.
    """

    segments: pl.DataFrame
    moved_share: float
    predicted_mean: float
    realised_mean: float
    calibration_error: float
    errors_before: tuple[EarlierError, ...]

    def figures(self) -> dict[str, float]:
        """Return the figures by their names in the registry."""
        rows = self.segments.to_dicts()
        shares = {f"segment_{row['segment']}_{name}": row[name] for row in rows for name in _SHARES}
        return shares | {"recalibration_moved_share": self.moved_share}

    def rows(self, currency: str) -> list[list[str]]:
        """Write the segments for people: shares in per cent, money in *currency*, empty text for an empty segment."""
        return [
            [
                row["segment"],
                *(f"{row[name]:.1%}" for name in _SHARES),
                *("" if row[name] is None else rounded_words(row[name], currency) for name in _VALUES),
            ]
            for row in self.segments.to_dicts()
        ]


_SHARES = ("share_before", "share_after")
_VALUES = ("value_before", "value_after")


def recalibration_card(
    model: ValueModel, evaluation: Evaluation, lineage: RecalibrationLineage, change: CurveChange, verdict: GateVerdict
) -> ModelCard:
    """Write the card of a version that was recalibrated."""
    return ModelCard(
        name=lineage.config.name,
        kind="recalibrated",
        content_hash=model.content_hash,
        title=f"{lineage.config.name}, recalibrated",
        caution=CAUTION,
        sections=(
            _what_it_is(model, lineage),
            purpose(model, lineage.config.value),
            _change(lineage, change),
            *quality(
                model,
                evaluation,
                verdict,
                lack="no customer of that date has a prediction above 0",
                spacing_days=lineage.config.snapshots.spacing_days,
            ),
            exchange_rates(model, lineage.summary.quality),
            limits(model, evaluation),
        ),
    )


def _what_it_is(model: ValueModel, lineage: RecalibrationLineage) -> CardSection:
    windows = lineage.windows
    about = paragraph(
        "This is version {parent} (`{parent_hash}`) with a new score curve and a new drift "
        "reference: of the customers known on {reference_as_of} instead of "
        "{parent_as_of}. Nothing was learnt: trees, cut points, exchange rates, horizon and "
        "catalogue are those of version {trees}, whose card says what they were learnt from. "
        "Its intervals are measured on these customers too.",
        parent=lineage.parent,
        trees=lineage.trees,
        parent_hash=lineage.parent_hash[:12],
        reference_as_of=day_text(model.test_as_of),
        parent_as_of=day_text(lineage.parent_as_of),
    )
    data = data_read(lineage.source, lineage.summary)
    window = say(
        "Window {window_days}: {window_known_customers:,} customers known before it, "
        "{window_active_customers:,} of them with a settled row in it, {window_rows:,} rows.",
        window_days=windows.days_text(-1),
        window_known_customers=windows.known_customers[-1],
        window_active_customers=windows.active[-1],
        window_rows=windows.rows[-1],
    )
    code = "Catalogue `{fingerprint}`; fivefold {code_version}."
    software = say(code, fingerprint=model.fingerprint[:12], code_version=lineage.code)
    doubts = [say("Doubtful: {warning}.", warning=warning) for warning in lineage.warnings]
    return CardSection(
        name="recalibration", title="A recalibration", blocks=(about, items(data, window, software, *doubts))
    )


def _change(lineage: RecalibrationLineage, change: CurveChange) -> CardSection:
    shares = [TableColumn(name=name, label=name.replace("_", " "), form=".1%") for name in _SHARES]
    money = rounded_form(lineage.config.base_currency)
    values = [TableColumn(name=name, label=f"mean {name.replace('_', ' ')}", form=money) for name in _VALUES]
    table = CardTable(
        caption="Segments by the earlier curve and by the new one",
        columns=(TableColumn(name="segment", label="segment"), *shares, *values),
        rows=tuple(
            (
                row["segment"],
                *(row[name] for name in _SHARES),
                *("" if row[name] is None else row[name] for name in _VALUES),
            )
            for row in change.segments.to_dicts()
        ),
    )
    return CardSection(name="changes", title="What changes", blocks=(items(*_changes(lineage, change)), table))


def change_sentences(lineage: RecalibrationLineage, change: CurveChange) -> list[str]:
    """Write what the new curve changes and what it cannot change, for the terminal."""
    return list(map(str, _changes(lineage, change)))


def _changes(lineage: RecalibrationLineage, change: CurveChange) -> list[Sentence]:
    money = rounded_form(lineage.config.base_currency)
    known_until = lineage.intervals_known_until
    sentences = [
        say(
            "Ranking: that of version {parent} by construction. The trees are the same, so customers stand in "
            "the same order.",
            parent=lineage.parent,
        ),
        say(
            "Segments: {moved_share:.1%} of these customers are in another segment than by the curve of "
            "version {parent}.",
            moved_share=change.moved_share,
            parent=lineage.parent,
        ),
        say(
            "Expected value: the same money as version {parent} predicts. On this window the mean is "
            f"{{predicted_mean:{money}}} {{currency}} predicted and {{realised_mean:{money}}} {{currency}} realised; "
            "the calibration error is {calibration_error_share:.1%} of the realised money.",
            parent=lineage.parent,
            predicted_mean=change.predicted_mean,
            realised_mean=change.realised_mean,
            currency=lineage.config.base_currency,
            calibration_error_share=change.calibration_error,
        ),
        *(error.sentence() for error in change.errors_before),
    ]
    if known_until is not None:
        sentences.append(
            say(
                "Intervals: those of version {parent} are not judged. They were measured on what came until "
                "{known_until}, which is a part of this window, so they hold it by construction.",
                parent=lineage.parent,
                known_until=day_text(known_until),
            )
        )
    return sentences
