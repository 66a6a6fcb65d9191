"""The model card: what a version predicts, its data, its quality, and its limits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import polars as pl

from fivefold.domain.clock import day_text
from fivefold.features.schema import BALANCE, CATEGORY, CREATED, CURRENCY
from fivefold.models.explain import gain_shares
from fivefold.models.value_model import ValueModel
from fivefold.training.config import GateSettings, TrainingConfig, TreeSettings, ValueSettings
from fivefold.training.data import SourceSummary, TrainingRows
from fivefold.training.dates import Dates, lack_of_intervals
from fivefold.training.judging.evaluate import Evaluation
from fivefold.training.judging.gate import GateVerdict
from fivefold.training.origins.rolling import Rolling
from fivefold.training.presets.choose import PresetChoice
from fivefold.training.refit import Refit
from fivefold.training.report.card import (
    PERCENT,
    CardSection,
    Item,
    ModelCard,
    Paragraph,
    Sentence,
    frame_table,
    items,
    listed,
    paragraph,
    say,
)
from fivefold.training.report.datasets import LoggedDataset
from fivefold.training.report.preset_card import preset_sections
from fivefold.training.report.quality_card import origin_sections, quality
from fivefold.training.tune import Tuning
from fivefold.training.windows import Quality

INDICATORS_SHOWN = 10
_Of = Literal["judged", "served", "both", "parted"]
SECTION_OF: Final[Mapping[str, _Of]] = {
    "purpose": "served",
    "data": "judged",
    "settings": "both",
    "quality": "judged",
    "interval": "parted",
    "differences": "judged",
    "groups": "judged",
    "origins": "judged",
    "indicators": "served",
    "exchange_rates": "both",
    "limits": "judged",
}
"""The model that each section of a card is about after a refit, by name; a parted section says so itself."""
CAUTION = "This score is an analytical prediction, to be weighed with other checks before a decision is made."


@dataclass(frozen=True)
class Lineage:
    """What a version was made from.

    Attributes:
        source: the data, as the operator named them.
        rows: the rows learnt from, without the matrix.
        learnt: the data of the windows that were learnt from and validated with, by window.
        trees: the tree parameters used, including the number of rounds.
        code: the program's version.
        warnings: doubts about the data.
        assumptions: what replaces columns that the data lack.
        preset: the name of the preset used; empty if the settings are a person's own.
        choice: the choice of the preset; None if nothing was chosen.
        refit: the model that serves in place of the judged one; None if the judged one serves.
        rolling: the figures of several origins; None for a single origin.
        tuning: the tuning of the trees, which began at the settings and the preset; None without one.
    """

    source: str
    summary: SourceSummary
    dates: Dates
    rows: TrainingRows
    learnt: Mapping[str, LoggedDataset]
    config: TrainingConfig
    trees: TreeSettings
    code: str
    warnings: tuple[str, ...] = ()
    assumptions: tuple[str, ...] = ()
    preset: str = ""
    choice: PresetChoice | None = None
    refit: Refit | None = None
    rolling: Rolling | None = None
    tuning: Tuning | None = None

    @property
    def settings_name(self) -> str:
        """The name of the preset, and whether tuning went on from it; empty without a preset."""
        return f"{self.preset}, then tuned" if self.preset and self.tuning else self.preset

    def served(self, judged: ValueModel) -> ValueModel:
        """Return the registered model: the refitted one if there is one, or else the judged one."""
        return judged if self.refit is None else self.refit.model

    @property
    def lack_judged(self) -> str:
        """Why the judged model has no intervals, if it has none."""
        return lack_of_intervals(self.config, self.summary.period.first, self.dates)

    @property
    def lack_served(self) -> str:
        """Why the registered model has no intervals, if it has none."""
        if self.refit is None:
            return self.lack_judged
        return lack_of_intervals(self.config, self.summary.period.first, self.refit.dates)


def model_card(model: ValueModel, evaluation: Evaluation, lineage: Lineage, verdict: GateVerdict) -> ModelCard:
    """Write the card of a version that was trained."""
    served = lineage.served(model)
    parts = (
        _data(model, lineage),
        *preset_sections(lineage.preset, lineage.choice, lineage.config, lineage.tuning),
        *quality(
            model,
            evaluation,
            verdict,
            served,
            lack=lineage.lack_served,
            spacing_days=lineage.config.snapshots.spacing_days,
        ),
        *origin_sections(lineage.rolling, refitted=lineage.refit is not None),
        looks(served),
        exchange_rates(model, lineage.summary.quality),
        limits(model, evaluation),
    )
    first = purpose(served, lineage.config.value)
    return ModelCard(
        name=lineage.config.name,
        kind="trained",
        content_hash=served.content_hash,
        title=lineage.config.name,
        caution=CAUTION,
        sections=(first, *refit_sections(lineage.refit, lineage.config.gate, (first, *parts)), *parts),
    )


def _titles(sections: Sequence[CardSection], of: _Of) -> str:
    """List the titles of the sections of a card that are about a model.

    >>> sections = [CardSection(name=name, title=name.title(), blocks=()) for name in SECTION_OF]
    >>> _titles(sections, "served"), _titles(sections[:3], "both")
    ('"Purpose" and "Indicators"', '"Settings"')
    """
    return listed([f'"{section.title}"' for section in sections if SECTION_OF[section.name] == of and section.title])


def refit_sections(refit: Refit | None, gate: GateSettings, sections: Sequence[CardSection]) -> list[CardSection]:
    """Write which *sections* are about the judged model and which about the refitted one; nothing without a refit.

    Each section is in `SECTION_OF`.
    """
    if refit is None:
        return []
    judged, served = refit.judged_hash[:12], refit.model.content_hash[:12]
    about = paragraph(
        "This version is not the model that was judged. "
        "Model `{judged_hash}` learnt nothing after {judged_as_of}, was judged and passed the gate. "
        "Model `{served_hash}` was then learnt with the same settings from {rows:,} rows at "
        "{training_dates} dates up to {learnt_to}: it is this version.",
        judged_hash=judged,
        judged_as_of=day_text(refit.judged_as_of),
        served_hash=served,
        rows=refit.rows,
        training_dates=len(refit.dates.training),
        learnt_to=day_text(refit.dates.validation),
    )
    of_judged = say(
        "Of the judged model `{judged_hash}`: everything under {judged_sections}, and the values of the window under "
        '"Interval".',
        judged_hash=judged,
        judged_sections=_titles(sections, "judged"),
    )
    of_served = say(
        "Of this version's model `{served_hash}`: the score curve, which is of the {curve_customers:,} "
        "customers known on {curve_as_of}, everything under {served_sections}, and the intervals that it gives. What "
        "came after is not known yet.",
        served_sections=_titles(sections, "served"),
        served_hash=served,
        curve_customers=refit.model.curve.customers,
        curve_as_of=day_text(refit.dates.test),
    )
    of_both = say("Of both alike: everything under {shared_sections}.", shared_sections=_titles(sections, "both"))
    moved = say(
        "By the score curves that both give these customers, {moved_share:percent} of them are in "
        "different segments; {most_moved_share:whole_percent} may be. The percentile of an amount differs by "
        "{curve_distance:percent} at the most between these curves, and by "
        "{reference_distance:percent} from the judged model's own, of earlier customers.",
        moved_share=refit.moved_share,
        most_moved_share=gate.most_moved_share,
        curve_distance=refit.curve_distance,
        reference_distance=refit.reference_distance,
    )
    return [CardSection(name="refit", title="Refit", blocks=(about, items(of_judged, of_served, of_both, moved)))]


def purpose(model: ValueModel, value: ValueSettings) -> CardSection:
    """Write what a model predicts, and what its score means."""
    predicted = paragraph(
        "The value of a customer over the next {horizon_days} days in {currency}: "
        "{deposit_fee:g} × settled deposits + {withdrawal_fee:g} × settled withdrawals by size + "
        "{yearly_margin:g} a year × mean positive balance, weighted by how long it was held.",
        horizon_days=model.horizon_days,
        currency=model.currency,
        deposit_fee=value.deposit_fee,
        withdrawal_fee=value.withdrawal_fee,
        yearly_margin=value.yearly_margin,
    )
    score = paragraph(
        "The score from 1 to 5 is that prediction's place among the {reference_customers:,} customers known on "
        "{reference_as_of}: 1 + 4 × percentile. Segments (low, medium, high, top) are cut at {cut_points:g}.",
        reference_customers=model.curve.customers,
        reference_as_of=day_text(model.test_as_of),
        cut_points=model.cut_points,
    )
    return CardSection(name="purpose", title="What it says", blocks=(predicted, score))


def data_read(source: str, summary: SourceSummary) -> Sentence:
    """Write which transactions a run read."""
    is_path = Path(source).is_absolute()
    return say(
        "Data: {source}, {rows:,} rows of {customers:,} customers, {first_day} to {last_day}, digest `{digest}`.",
        source=Path(source).name if is_path else source,  # readers of the card need no folders of a machine
        rows=summary.rows,
        customers=summary.customers,
        first_day=day_text(summary.period.first),
        last_day=day_text(summary.period.last),
        digest=summary.digest,
    )


def _data(model: ValueModel, lineage: Lineage) -> CardSection:
    summary, dates = lineage.summary, lineage.dates
    sampled = "" if lineage.rows.share >= 1 else ", {customers_share:percent} of the customers"
    data = data_read(lineage.source, summary)
    learnt = say(
        "{training_rows:,} rows at {training_dates} dates, {first_training_day} to {last_training_day}"
        f"{sampled}; no value window reaches into the test window.",
        training_rows=len(lineage.rows.values),
        training_dates=len(dates.training),
        first_training_day=day_text(int(dates.training[0])),
        last_training_day=day_text(int(dates.training[-1])),
        customers_share=lineage.rows.share,
    )
    catalogue = say(
        "{indicators} indicators, catalogue `{fingerprint}`.",
        indicators=len(model.indicators),
        fingerprint=model.fingerprint[:12],
    )
    absent = [say("Absent: {absent}.", absent=assumption) for assumption in lineage.assumptions]
    removed = summary.quality.removed
    repeats = [
        say("Left out: {removed_rows:,} exact repeats of rows with the same transaction_id.", removed_rows=removed)
    ]
    return CardSection(
        name="data",
        title="What it was learnt from",
        blocks=(
            items(
                data,
                *(repeats if removed else []),
                learnt,
                *_windows(lineage),
                catalogue,
                *_own(model),
                *absent,
                _trees(lineage),
            ),
        ),
    )


def _trees(lineage: Lineage) -> Sentence:
    """Write the settings of the trees, one fact each; settings that are not figures are written as text."""
    settings = {
        name: value if isinstance(value, str | int | float | None) else str(value)
        for name, value in lineage.trees.model_dump().items()
    }
    named = ", ".join(f"{name} {{{name}}}" for name in settings)
    return say(
        f"Trees: {named}; seed {{seed}}; fivefold {{code_version}}.",
        **settings,
        seed=lineage.config.seed,
        code_version=lineage.code,
    )


def _own(model: ValueModel) -> list[Item]:
    """List the operator's own indicators with their meanings."""
    if model.own is None:
        return []
    ours = model.catalogue.indicators[len(model.catalogue.indicators) - model.catalogue.own :]
    counted = say(
        "Of these {own_indicators} of the operator's own, from {own_name}, SHA-256 `{own_digest}`:",
        own_indicators=len(ours),
        own_name=model.own.name,
        own_digest=model.own.digest,
    )
    each = (say("`{name}` ({unit}): {meaning}", name=one.name, unit=one.unit, meaning=one.meaning) for one in ours)
    return [Item(sentence=counted, under=tuple(each))]


def _windows(lineage: Lineage) -> list[Sentence]:
    windows = lineage.rows.windows
    lag = lineage.dates.lag_days
    sentences = [
        say(
            "Test window {window_days}: {window_known_customers:,} customers known before it, "
            "{window_active_customers:,} of them with a settled row in it, {window_rows:,} rows; training windows have "
            "{training_window_rows_least:,} to {training_window_rows_most:,} rows.",
            window_days=windows.days_text(-1),
            window_known_customers=windows.known_customers[-1],
            window_active_customers=windows.active[-1],
            window_rows=windows.rows[-1],
            training_window_rows_least=min(windows.rows[:-1]),
            training_window_rows_most=max(windows.rows[:-1]),
        )
    ]
    if lag:
        text = "Settlement lag: indicators see nothing of the {settlement_lag_days} days before their as-of."
        sentences.append(say(text, settlement_lag_days=lag))
    return sentences + [say("Doubtful: {warning}.", warning=warning) for warning in lineage.warnings]


def exchange_rates(model: ValueModel, counts: Quality) -> CardSection:
    """Write the rates that money was converted at; of stale ones those of the data come first."""
    rates, stale = model.rates, tuple(dict.fromkeys([*counts.stale(model.rates), *model.rates.stale()]))
    lines = [
        say(
            "Constant currency: {base} at each currency's last known rate on {known_on}, source: "
            "{rates_source}; {currencies} currencies.",
            base=rates.base,
            known_on=str(rates.as_known_on),
            rates_source=rates.source,
            currencies=len(rates.codes),
        )
    ]
    if stale:
        lines.append(say("**Stale** (last known more than a year before): {stale}.", stale=stale))
    return CardSection(name="exchange_rates", title="Exchange rates", blocks=(Paragraph(lines=tuple(lines)),))


def looks(model: ValueModel) -> CardSection:
    """Write which indicators gained most in training."""
    shares = sorted(zip(gain_shares(model), model.catalogue.indicators, strict=True), key=lambda pair: -pair[0])
    table = pl.DataFrame(
        {
            "indicator": [each.label or each.name for _, each in shares[:INDICATORS_SHOWN]],
            "gain_share": [float(share) for share, _ in shares[:INDICATORS_SHOWN]],
        }
    )
    intro = paragraph(
        "The share of what all splits of the trees gained in training, by indicator: the first {shown_indicators} of "
        "{indicators}. What an indicator does to the scores of given customers, and in which direction, is another "
        "question: `ValueModel.importance` answers it in a notebook.",
        shown_indicators=len(table),
        indicators=len(shares),
    )
    labels, forms = {"gain_share": "share of the gain"}, {"gain_share": PERCENT}
    shown = frame_table(table, "Indicators by their share of the gain", labels, forms)
    return CardSection(name="indicators", title="What it looks at", blocks=(intro, shown))


def limits(model: ValueModel, evaluation: Evaluation) -> CardSection:
    """Write what a model must not be used for."""
    word_by_column = {BALANCE: "balances", CURRENCY: "currencies", CATEGORY: "channel", CREATED: "account age"}
    read = ["deposits", "withdrawals", *(word for name, word in word_by_column.items() if name not in model.absent)]
    floored = "Values below 0 count as 0: {floored_share:percent} of the customers in the test window."
    sentences = [
        say(floored, floored_share=evaluation.floored_share),
        say("It knows nothing but {known} and {known_last}.", known=tuple(read[:-1]), known_last=read[-1]),
        say("A customer unlike any in the reference portfolio is placed at its edge."),
        say("It says what a customer may be worth, not how risky the customer is."),
    ]
    return CardSection(name="limits", title="Limits", blocks=(items(*sentences),))
