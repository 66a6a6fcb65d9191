"""The model card: what a version predicts, its data, its quality, and its limits."""

from dataclasses import dataclass
from math import isfinite

import polars as pl

from fivefold.domain.clock import day_text
from fivefold.domain.text import percent
from fivefold.features.schema import BALANCE, CATEGORY, CREATED, CURRENCY
from fivefold.models.explain import gain_shares
from fivefold.models.value_model import ValueModel
from fivefold.training.config import GateSettings, TrainingConfig, TreeSettings, ValueSettings
from fivefold.training.data import SourceSummary, TrainingRows
from fivefold.training.dates import Dates
from fivefold.training.judging.evaluate import Evaluation
from fivefold.training.judging.gate import GateVerdict
from fivefold.training.judging.groups import LEAST_CUSTOMERS, OTHERS
from fivefold.training.judging.metrics import calibration_error
from fivefold.training.origins.rolling import Rolling
from fivefold.training.presets.choose import Choice
from fivefold.training.refit import Refit
from fivefold.training.report.origin_card import origin_lines
from fivefold.training.report.preset_card import preset_lines
from fivefold.training.tune import TuningTrial

INDICATORS_SHOWN = 10
CAUTION = "This score is an analytical prediction, to be weighed with other checks before a decision is made."


@dataclass(frozen=True)
class Lineage:
    """What a version was made from.

    Attributes:
        source: the data, as the operator named them.
        trees: the tree parameters that were used, the number of rounds included.
        code: the program's version.
        warnings: what was doubtful about the data.
        assumptions: what stands in for columns that the data lack.
        preset: the name of the one that was used; empty where the settings are a person's own.
        choice: what it was chosen by; None where nothing was to be chosen.
        refit: the model that serves in place of the judged one; None where that serves itself.
        rolling: the figures of several origins; None where there is one alone.
        trials: of tuning, which began at the settings and the preset; empty where there was none.
    """

    source: str
    summary: SourceSummary
    dates: Dates
    rows: TrainingRows
    config: TrainingConfig
    trees: TreeSettings
    code: str
    warnings: tuple[str, ...] = ()
    assumptions: tuple[str, ...] = ()
    preset: str = ""
    choice: Choice | None = None
    refit: Refit | None = None
    rolling: Rolling | None = None
    trials: tuple[TuningTrial, ...] = ()

    @property
    def tuned(self) -> bool:
        """Whether the trees were searched for."""
        return bool(self.trials)

    @property
    def settings_name(self) -> str:
        """The name of the preset, and whether tuning went on from it; empty without a preset."""
        return f"{self.preset}, then tuned" if self.preset and self.tuned else self.preset

    def served(self, judged: ValueModel) -> ValueModel:
        """Give the model that is registered: the refitted one where there is one, or that which was judged."""
        return judged if self.refit is None else self.refit.model


def model_card(model: ValueModel, evaluation: Evaluation, lineage: Lineage, verdict: GateVerdict) -> str:
    """Write the card in Markdown."""
    return "\n".join(
        [
            f"# {lineage.config.name}",
            "",
            f"> {CAUTION}",
            "",
            *purpose(lineage.served(model), lineage.config.value),
            *refit_lines(lineage.refit, lineage.config.gate),
            *_data(model, lineage),
            *preset_lines(lineage.preset, lineage.choice, tuned=lineage.tuned),
            *quality(model, evaluation, verdict, lineage.served(model)),
            *origin_lines(lineage.rolling, refitted=lineage.refit is not None),
            *looks(lineage.served(model)),
            *exchange_rates(model),
            *limits(model, evaluation),
        ]
    )


def refit_lines(refit: Refit | None, gate: GateSettings) -> list[str]:
    """Write which figures of a card are of the judged model and which of the refitted one; nothing without a refit."""
    if refit is None:
        return []
    judged, served = refit.judged_hash[:12], refit.model.content_hash[:12]
    return [
        "## Refit",
        "",
        (
            "This version is not the model that was judged. "
            f"Model `{judged}` learnt nothing after {day_text(refit.judged_as_of)}, was judged and passed the gate. "
            f"Model `{served}` was then learnt with the same settings from {refit.rows:,} rows at "
            f"{len(refit.dates.training)} dates up to {day_text(refit.dates.validation)}: it is this version."
        ),
        "",
        (
            f'- Of the judged model `{judged}`: everything under "What it was learnt from", "How well it does", '
            '"By groups of customers" and "Limits", and the values of the window under "Interval".'
        ),
        (
            f"- Of this version's model `{served}`: the score curve, which is of the {refit.model.curve.customers:,} "
            f"customers known on {day_text(refit.dates.test)}, and the intervals that it gives. What came after is not "
            "known yet."
        ),
        (
            f"- By the score curves that both give these customers, {percent(refit.moved_share)} of them are in "
            f"different segments; {percent(gate.most_moved_share, 0)} may be. The percentile of an amount differs by "
            f"{percent(refit.curve_distance)} at the most between these curves, and by "
            f"{percent(refit.reference_distance)} from the judged model's own, of earlier customers."
        ),
        "",
    ]


def purpose(model: ValueModel, value: ValueSettings) -> list[str]:
    """Write what a model predicts, and what its score means."""
    cuts = ", ".join(f"{cut:g}" for cut in model.cut_points)
    return [
        "## What it says",
        "",
        (
            f"The value of a customer over the next {model.horizon_days} days in {model.currency}: "
            f"{value.deposit_fee:g} × settled deposits + {value.withdrawal_fee:g} × settled withdrawals by size + "
            f"{value.yearly_margin:g} a year × mean positive balance, weighted by how long it was held."
        ),
        "",
        (
            f"The score from 1 to 5 is that prediction's place among the {model.curve.customers:,} customers known on "
            f"{day_text(model.test_as_of)}: 1 + 4 × percentile. Segments (low, medium, high, top) are cut at {cuts}."
        ),
        "",
    ]


def _data(model: ValueModel, lineage: Lineage) -> list[str]:
    summary, dates = lineage.summary, lineage.dates
    sampled = "" if lineage.rows.share >= 1 else f", {percent(lineage.rows.share)} of the customers"
    return [
        "## What it was learnt from",
        "",
        (
            f"- Data: {lineage.source}, {summary.rows:,} rows of {summary.customers:,} customers, "
            f"{day_text(summary.period.first)} to {day_text(summary.period.last)}, digest `{summary.digest}`."
        ),
        (
            f"- {len(lineage.rows.values):,} rows at {len(dates.training)} dates, "
            f"{day_text(int(dates.training[0]))} to {day_text(int(dates.training[-1]))}{sampled}; "
            "no value window reaches into the test window."
        ),
        *_windows(lineage),
        f"- {len(model.indicators)} indicators, catalogue `{model.fingerprint[:12]}`.",
        *_own(model),
        *(f"- Absent: {assumption}." for assumption in lineage.assumptions),
        (
            f"- Trees: {', '.join(f'{name} {value}' for name, value in lineage.trees.model_dump().items())}; "
            f"seed {lineage.config.seed}; fivefold {lineage.code}."
        ),
        "",
    ]


def _own(model: ValueModel) -> list[str]:
    """Name the indicators of the operator's own, with what they mean."""
    if model.own is None:
        return []
    ours = model.catalogue.indicators[len(model.catalogue.indicators) - model.catalogue.own :]
    return [
        f"- Of these {len(ours)} of the operator's own, from {model.own.name}, SHA-256 `{model.own.digest}`:",
        *(f"    - `{each.name}` ({each.unit}): {each.meaning}" for each in ours),
    ]


def _windows(lineage: Lineage) -> list[str]:
    windows = lineage.rows.windows
    lag = lineage.dates.lag_days
    lines = [
        (
            f"- Test window {windows.days_text(-1)}: {windows.known[-1]:,} customers known before it, "
            f"{windows.active[-1]:,} active in it, {windows.rows[-1]:,} rows; training windows have "
            f"{min(windows.rows[:-1]):,} to {max(windows.rows[:-1]):,} rows."
        )
    ]
    if lag:
        lines.append(f"- Settlement lag: indicators see nothing of the {lag} days before their as-of.")
    return lines + [f"- Doubtful: {warning}." for warning in lineage.warnings]


def quality(
    model: ValueModel, evaluation: Evaluation, verdict: GateVerdict, served: ValueModel | None = None
) -> list[str]:
    """Write what was measured on the test window, and the verdict on it.

    *served* is the model that is registered; *model* itself by default.
    """
    rows = [
        f"| {name} | {metrics.normalised_gini:.4f} | {metrics.top_decile_capture:.4f} | {metrics.spearman:.4f} |"
        for name, metrics in evaluation.by_name.items()
    ]
    stability = evaluation.stability
    return [
        "## How well it does",
        "",
        (
            f"On {evaluation.customers:,} customers, {day_text(model.test_as_of)} to "
            f"{day_text(model.test_window_ends)}, which it never saw:"
        ),
        "",
        "| | normalised Gini | top-decile capture | Spearman |",
        "|---|---|---|---|",
        *rows,
        "",
        *markdown_table(evaluation.segments),
        "",
        *markdown_table(evaluation.calibration),
        "",
        *_money(evaluation),
        (
            f"From one snapshot to the next {percent(stability.same_segment_share)} of the customers stay in their "
            f"segment; scores move by {stability.mean_absolute_move:.2f} on average."
        ),
        "",
        f"The gate: {verdict}.",
        "",
        *interval_lines(served or model, evaluation, refitted=served is not None and served is not model),
        *_differences(evaluation),
        *_groups(evaluation),
    ]


def _money(evaluation: Evaluation) -> list[str]:
    """Write how far predicted money is off, and at least is; nothing where nobody is worth anything."""
    seen, compared = calibration_error(evaluation.calibration), evaluation.comparisons
    if not (isfinite(seen) and isfinite(compared.calibration)):
        return []
    sentence = (
        f"Predicted money is off by {percent(seen)} of the realised, the tenths taken together, and by at least "
        f"{percent(compared.calibration)} with {100 * compared.confidence:.3g} % confidence. Chance alone adds to the "
        "first of these figures, also where the model is right; from the second it is taken away."
    )
    return [sentence, ""]


def interval_lines(model: ValueModel, evaluation: Evaluation, *, refitted: bool = False) -> list[str]:
    """Write where the intervals come from, and how many values of the window were in them.

    Args:
        model: that gives the intervals.
        evaluation: of it, or of the judged model.
        refitted: it was learnt again after that one.
    """
    table, judged = model.intervals, evaluation.coverage
    if table is None:
        reason = "the history is too short for a date to measure them on, with a horizon before it to learn from"
        return ["## Interval", "", f"There is none: {reason}.", "", *_seen(model, evaluation, refitted=refitted)]
    days = " and ".join(map(day_text, table.as_ofs))
    measured = (
        f"An expected value comes with the ends between which {table.level_percent} of a hundred such values are to "
        f"lie. They follow from {sum(table.customers):,} predictions as of {days}: how far off these were, by trees "
        f"that learnt nothing of what came, in {len(table.customers)} groups of similar predictions. Low ends are "
        "never below 0; the interval of the score is that of the money on the score curve."
    )
    unseen = "How many values they hold on later customers was not yet seen."
    if judged is None:
        return ["## Interval", "", measured, "", unseen, ""]
    return [
        "## Interval",
        "",
        measured,
        "",
        *([unseen, ""] if refitted else []),
        *_seen(model, evaluation, refitted=refitted),
    ]


def _seen(model: ValueModel, evaluation: Evaluation, *, refitted: bool) -> list[str]:
    """Write how many values of the window were in the intervals of the judged model; nothing where it had none."""
    table, judged = model.intervals, evaluation.coverage
    if judged is None:
        return []
    days = " and ".join(map(day_text, judged.as_ofs))
    whose = " of the judged model" if refitted else ""
    earlier = (
        f", as measured by the predictions{whose} as of {days}"
        if refitted or table is None or judged.as_ofs != table.as_ofs
        else ""
    )
    seen = (
        f"Of the {evaluation.customers:,} values of the window above, {percent(judged.covered_share)} lay in intervals "
        f"of {judged.level_percent} %{earlier}, which are {judged.width_mean:,.2f} {model.currency} wide on average. "
        f"Where more than {judged.level_percent} % of the customers are worth nothing, an interval that holds 0 holds "
        "more than it was asked for."
    )
    return [seen, "", *_covered(judged.segments), "", *_covered(judged.tenths), ""]


def _covered(table: pl.DataFrame) -> list[str]:
    """Write who was in the interval, of segments or tenths."""
    first = table.columns[0]
    shares = [pl.col(name).map_elements(percent, return_dtype=pl.String) for name in ("covered_share", "zero_share")]
    named = {"covered_share": "in the interval", "zero_share": "worth nothing", "low_mean": "mean low end",
             "high_mean": "mean high end"}  # fmt: skip
    return markdown_table(table.with_columns(shares).rename(named).select(first, "customers", *named.values()))


def _groups(evaluation: Evaluation) -> list[str]:
    """Write the figures of groups of customers; nothing where all customers are alike."""
    if evaluation.groups.is_empty():
        return []
    named = {name: name.replace("_percent", ", %").replace("_", " ") for name in evaluation.groups.columns}
    few = pl.col("customers") < LEAST_CUSTOMERS
    figures = [
        pl.when(few).then(pl.lit("too few")).otherwise(_figure(name)).alias(name)
        for name in evaluation.groups.columns[3:]
    ]
    shown = evaluation.groups.with_columns(figures).rename(named)
    return [
        "## By groups of customers",
        "",
        (
            "Money predicted and realised in the window, and the shares of the segments, by one trait of the customers "
            f"at a time. Groups of fewer than {LEAST_CUSTOMERS} customers stand together as {OTHERS}; of these only "
            f"the number is given where they are fewer than {LEAST_CUSTOMERS} together."
        ),
        "",
        *markdown_table(shown),
        "",
    ]


def _figure(name: str) -> pl.Expr:
    """Write a figure of a group of customers, money to cents."""
    if name == "off_by_percent":
        return pl.col(name).round(1).cast(pl.String).fill_null("nothing realised")
    return pl.col(name).map_elements(lambda figure: f"{figure:,.2f}", return_dtype=pl.String)


def _differences(evaluation: Evaluation) -> list[str]:
    compared = evaluation.comparisons
    times = "once" if compared.times_judged == 1 else f"{compared.times_judged} times"
    return [
        f"| normalised Gini less that of | difference | at least, with {100 * compared.confidence:.3g} % confidence |",
        "|---|---|---|",
        *(f"| {name} | {one.difference:+.4f} | {one.low:+.4f} |" for name, one in compared.gini.items()),
        "",
        (
            f"By paired bootstrap of the customers. Under this name this window, or a part of it, was judged on "
            f"{times}, this run included; the best of several tries looks better than it is."
        ),
        "",
    ]


def exchange_rates(model: ValueModel) -> list[str]:
    """Write at which rates money was converted."""
    rates, stale = model.rates, model.rates.stale()
    lines = [
        "## Exchange rates",
        "",
        (
            f"Constant currency: {rates.base} at each currency's last known rate on {rates.as_known_on}, source: "
            f"{rates.source}; {len(rates.codes)} currencies."
        ),
    ]
    if stale:
        lines.append(f"**Stale** (last known more than a year before): {', '.join(stale)}.")
    return [*lines, ""]


def looks(model: ValueModel) -> list[str]:
    """Write which indicators gained most in training."""
    shares = sorted(zip(gain_shares(model), model.catalogue.indicators, strict=True), key=lambda pair: -pair[0])
    table = pl.DataFrame(
        {
            "indicator": [each.label or each.name for _, each in shares[:INDICATORS_SHOWN]],
            "share of the gain": [percent(share) for share, _ in shares[:INDICATORS_SHOWN]],
        }
    )
    said = (
        f"The share of what all splits of the trees gained in training, by indicator: the first {len(table)} of "
        f"{len(shares)}. What an indicator does to the scores of given customers, and in which direction, is another "
        "question: `ValueModel.importance` answers it in a notebook."
    )
    return ["## What it looks at", "", said, "", *markdown_table(table), ""]


def limits(model: ValueModel, evaluation: Evaluation) -> list[str]:
    """Write what a model must not be used for."""
    known = {BALANCE: "balances", CURRENCY: "currencies", CATEGORY: "channel", CREATED: "account age"}
    read = ["deposits", "withdrawals", *(word for name, word in known.items() if name not in model.absent)]
    return [
        "## Limits",
        "",
        f"- Values below 0 count as 0: {percent(evaluation.floored_share)} of the customers in the test window.",
        f"- It knows nothing but {', '.join(read[:-1])} and {read[-1]}.",
        "- A customer unlike any in the reference portfolio is placed at its edge.",
        "- It says what a customer may be worth, not how risky the customer is.",
        "",
    ]


def markdown_table(table: pl.DataFrame) -> list[str]:
    """Write a small table in Markdown, money to cents.

    >>> markdown_table(pl.DataFrame({"segment": ["low"], "value_mean": [1.234]}))
    ['| segment | value_mean |', '|---|---|', '| low | 1.23 |']
    """
    head = f"| {' | '.join(table.columns)} |"
    rows = [
        f"| {' | '.join(f'{cell:,.2f}' if isinstance(cell, float) else str(cell) for cell in row)} |"
        for row in table.iter_rows()
    ]
    return [head, "|" + "---|" * table.width, *rows]
