"""The parts of a card on how well a model does: figures, differences and groups, as of one moment or several."""

from collections.abc import Sequence
from math import isfinite

import polars as pl

from fivefold.domain.clock import day_text
from fivefold.domain.money import rounded_form
from fivefold.domain.text import confidence_text, percent
from fivefold.models.value_model import ValueModel
from fivefold.training.judging.evaluate import CHAMPION, MODEL, PERSISTENCE, RFM, Evaluation
from fivefold.training.judging.gate import GateVerdict
from fivefold.training.judging.groups import LEAST_CUSTOMERS, OTHERS
from fivefold.training.origins.judge import JudgedOrigin
from fivefold.training.origins.rolling import CAPTURE, FIGURES, GINI, FigureDifference, Rolling
from fivefold.training.report.card import (
    PERCENT,
    Block,
    CardSection,
    CardTable,
    Paragraph,
    TableColumn,
    frame_table,
    paragraph,
    say,
    text_table,
)


def quality(
    model: ValueModel,
    evaluation: Evaluation,
    verdict: GateVerdict,
    served: ValueModel | None = None,
    *,
    lack: str,
    spacing_days: int,
) -> list[CardSection]:
    """Write what was measured on the test window, and the verdict on it.

    *served* is the registered model, *model* by default. *lack* explains why it has no intervals, if it has none.
    *spacing_days* is the time between the snapshots.
    """
    stability, money = evaluation.stability, rounded_form(model.currency)
    blocks: list[Block] = [
        paragraph(
            "On {customers:,} customers, {window_first} to {window_last}, from which its trees learnt nothing:",
            customers=evaluation.customers,
            window_first=day_text(model.test_as_of),
            window_last=day_text(model.test_window_ends),
        ),
        _metrics(evaluation),
        _definitions(evaluation),
        frame_table(
            evaluation.segments,
            "Customers of the test window by predicted segment",
            forms={"value_mean": money, "value_share": PERCENT},
        ),
        frame_table(
            evaluation.calibration,
            "Customers of the test window by tenth of the predicted money",
            forms={"predicted_mean": money, "realised_mean": money},
        ),
        *_money(evaluation),
        paragraph(
            "Of the customers known {spacing_days} days before the window too, {same_segment_share:percent} had the "
            "same segment then; scores moved by {mean_absolute_move:.2f} on average.",
            spacing_days=spacing_days,
            same_segment_share=stability.same_segment_share,
            mean_absolute_move=stability.mean_absolute_move,
        ),
        paragraph("The gate: {gate_reasons}.", gate_reasons=str(verdict), gate_promote=verdict.promote),
    ]
    return [
        CardSection(name="quality", title="How well it does", blocks=tuple(blocks)),
        interval(served or model, evaluation, lack, refitted=served is not None and served is not model),
        _differences(evaluation),
        *_groups(evaluation, money),
    ]


def _metrics(evaluation: Evaluation) -> CardTable:
    named = {"normalised_gini": "normalised Gini", "top_decile_capture": "top-decile capture", "spearman": "Spearman"}
    return CardTable(
        caption="Ranking of the customers on the test window, by the model and by others",
        columns=(
            TableColumn(name="predictor", label=""),
            *(TableColumn(name=name, label=label, form=".4f") for name, label in named.items()),
        ),
        rows=tuple(
            (name, *(getattr(metrics, figure) for figure in named)) for name, metrics in evaluation.by_name.items()
        ),
    )


_MEANINGS = {
    MODEL: "model: the one that is judged",
    CHAMPION: "champion: the model that served",
    PERSISTENCE: "persistence: a customer is worth what the horizon before brought",
    RFM: "rfm: the fifths, 1 to 5, in which a customer stands by recency, frequency and money of a year, added up",
}


def _definitions(evaluation: Evaluation) -> Paragraph:
    """Write what the figures of the ranking mean, and what its rows are."""
    return paragraph(
        "Normalised Gini: the Gini of the realised value with the customers in the order of the prediction, over that "
        "in the order of the value itself; chance gives 0. Top-decile capture: what the tenth of the customers with "
        "the highest prediction came to be worth, over what the tenth that came to be worth most did. Spearman: the "
        "correlation of the ranks by prediction and by value. Of each of them 1 is the best. "
        "The rows are {predictors}.",
        predictors="; ".join(_MEANINGS[name] for name in evaluation.by_name),
    )


def _money(evaluation: Evaluation) -> list[Paragraph]:
    """Write how far predicted money is off, and the lower bound; nothing if no customer is worth anything."""
    error, compared = evaluation.calibration_error, evaluation.comparisons
    if not (isfinite(error) and isfinite(compared.calibration)):
        return []
    return [
        paragraph(
            "Predicted money is off by {calibration_error_share:percent} of the realised, the tenths taken together, "
            "and by at least {calibration_error_least_share:percent} with {confidence} confidence. "
            "Chance alone adds to the first of these figures, also where the model is right; from the second it is "
            "taken away.",
            calibration_error_share=error,
            calibration_error_least_share=compared.calibration,
            confidence=confidence_text(compared.money_confidence),
        )
    ]


def interval(model: ValueModel, evaluation: Evaluation, lack: str, *, refitted: bool) -> CardSection:
    """Write where the intervals come from, and how many values of the window were in them.

    Args:
        model: the model that gives the intervals.
        evaluation: the evaluation of this model, or of the judged one.
        lack: why the model has no intervals, if it has none.
        refitted: whether the model is a refit of the judged one.
    """
    table, judged = model.intervals, evaluation.coverage
    unseen = paragraph("How many values they hold on later customers was not yet seen.")
    if table is None:
        blocks: list[Block] = [paragraph("There is none: {reason}.", reason=lack)]
    else:
        measured = paragraph(
            "An expected value comes with the ends between which {level_percent} of a hundred such values are to "
            "lie. They follow from {predictions:,} predictions as of {measured_as_of:and}: how far off these were, by "
            "trees that learnt nothing of what came, in {groups} groups of similar {alike}. Low ends are never "
            "below 0; the interval of the score is that of the money on the score curve.",
            level_percent=table.level_percent,
            predictions=sum(table.customers),
            measured_as_of=tuple(map(day_text, table.as_ofs)),
            groups=len(table.customers),
            alike="predictions and consistency" if any(map(len, table.parts)) else "predictions",
        )
        blocks = [measured, *([unseen] if refitted or judged is None else [])]
    return CardSection(
        name="interval", title="Interval", blocks=(*blocks, *_interval_lines(model, evaluation, refitted=refitted))
    )


def _interval_lines(model: ValueModel, evaluation: Evaluation, *, refitted: bool) -> list[Block]:
    """Write how many values of the window were in the intervals of the judged model; nothing if it had none."""
    table, judged = model.intervals, evaluation.coverage
    if judged is None:
        return []
    whose, money = " of the judged model" if refitted else "", rounded_form(model.currency)
    earlier = (
        f", as measured by the predictions{whose} as of {{judged_as_of:and}}"
        if refitted or table is None or judged.as_ofs != table.as_ofs
        else ""
    )
    intro = paragraph(
        "Of the {customers:,} values of the window above, {covered_share:percent} lay in intervals "
        f"of {{judged_level_percent}} %{earlier}, which are {{width_mean:{money}}} {{currency}} wide on average. "
        "Of the customers that they were measured on they held {expected_share:percent}: where more than "
        "{judged_level_percent} % are worth nothing, an interval that holds 0 holds more than it was asked for.",
        customers=evaluation.customers,
        covered_share=judged.covered_share,
        expected_share=judged.expected_share,
        judged_level_percent=judged.level_percent,
        judged_as_of=tuple(map(day_text, judged.as_ofs)),
        width_mean=judged.width_mean,
        currency=model.currency,
    )
    return [
        intro,
        *([paragraph("In this window they held a share {doubt}.", doubt=judged.doubt)] if judged.doubt else []),
        _covered(judged.segments, "predicted segment", money),
        _covered(judged.tenths, "predicted tenth", money),
        _covered(judged.fifths, "fifth of those whose consistency is known, least consistent first", money),
    ]


def _covered(table: pl.DataFrame, of: str, money: str) -> CardTable:
    """Tabulate the values in the interval, by segments, tenths or fifths; *money* is the format of sums."""
    named = {"covered_share": "in the interval", "expected_share": "to be expected", "zero_share": "worth nothing",
             "low_mean": "mean low end", "high_mean": "mean high end"}  # fmt: skip
    return frame_table(
        table.select(table.columns[0], "customers", *named),
        f"Values in the interval, by {of}",
        named,
        {name: PERCENT if name.endswith("_share") else money for name in named},
    )


def _groups(evaluation: Evaluation, money: str) -> list[CardSection]:
    """Write the figures of groups of customers, sums in the format *money*; nothing if all customers are alike."""
    groups = evaluation.groups
    if groups.is_empty():
        return []
    figures = groups.columns[3:]
    columns = [
        TableColumn(
            name=name,
            label=name.replace("_percent", ", %").replace("_", " "),
            form="" if name not in figures else ".1f" if name.endswith("_percent") else money,
        )
        for name in groups.columns
    ]
    rows = [
        tuple(
            "too few"
            if name in figures and row["customers"] < LEAST_CUSTOMERS
            else "nothing realised"
            if name == "off_by_percent" and value is None
            else value
            for name, value in row.items()
        )
        for row in groups.iter_rows(named=True)
    ]
    about = paragraph(
        "Money predicted and realised in the window, and the shares of the segments, by one trait of the customers "
        "at a time: how long they have been customers, the channel of their latest row and the currency of most of "
        "their rows, as far as the data have them. Off by more than 0 is predicted too high, in % of the realised "
        "money. Chance alone moves small groups. Groups of fewer than {least_customers} customers stand together as "
        "{others}; of these only the number is given where they are fewer than {least_customers} together.",
        least_customers=LEAST_CUSTOMERS,
        others=OTHERS,
    )
    caption = "Money and segments, by group of customers"
    table = CardTable(caption=caption, columns=tuple(columns), rows=tuple(rows))
    return [CardSection(name="groups", title="By groups of customers", blocks=(about, table))]


def _differences(evaluation: Evaluation) -> CardSection:
    compared = evaluation.comparisons
    sure = confidence_text(compared.confidence)
    table = CardTable(
        caption="The model's normalised Gini less that of others",
        columns=(
            TableColumn(name="other", label="normalised Gini less that of"),
            TableColumn(name="difference", label="difference", form="+.4f"),
            TableColumn(name="difference_least", label=f"at least, with {sure} confidence", form="+.4f"),
        ),
        rows=tuple((name, one.difference, one.low) for name, one in compared.gini.items()),
    )
    times = "once" if compared.times_judged == 1 else "{times_judged} times"
    tries = say(
        "By paired bootstrap of the customers. Under this name this window, or a part of it, was judged on "
        f"{times}, this run included; the best of several tries looks better than it is.",
        times_judged=compared.times_judged,
        confidence_percent=100 * compared.confidence,
    )
    return CardSection(name="differences", title="", blocks=(table, Paragraph(lines=(tries,))))


NONE = "-"
"""The text for a figure that is not defined, or a champion that is not judged."""
_WORDS = {GINI: "normalised Gini", CAPTURE: "top-decile capture"}


def origin_columns(rolling: Rolling) -> list[str]:
    """Return the header of the table of origins."""
    return ["window from", "customers", "learnt from", "judged", *rolling.names, "calibration error"]


def origin_rows(rolling: Rolling) -> list[list[str]]:
    """Return a row for each origin, the earliest first, then the mean and the spread (standard deviation)."""
    names = rolling.names
    rows = [
        [
            day_text(each.moment),
            f"{each.customers:,}",
            f"{each.rows:,} rows",
            "once" if each.times_judged == 1 else f"{each.times_judged} times",
            *(_at(each, name) for name in names),
            percent(each.calibration_error),
        ]
        for each in rolling.origins
    ]
    errors = sum(each.calibration_error for each in rolling.origins) / len(rolling.origins)
    means = [_pair([rolling.mean(name, figure) for figure in FIGURES]) for name in names]
    spreads = [_pair([rolling.spread(name, figure) for figure in FIGURES]) for name in names]
    return [*rows, ["mean", "", "", "", *means, percent(errors)], ["spread", "", "", "", *spreads, ""]]


def difference_columns(rolling: Rolling) -> list[str]:
    """Return the header of the table of differences."""
    return ["less", "figure", *(day_text(each.moment) for each in rolling.origins), "mean"]


def difference_rows(rolling: Rolling) -> list[list[str]]:
    """Return a row for each rival and figure: the difference at each origin and its mean, with their intervals."""
    moments: Sequence[int | None] = [*(each.moment for each in rolling.origins), None]
    return [
        [name, _WORDS[figure], *(_interval(rolling.difference(name, figure, moment)) for moment in moments)]
        for name in rolling.names[1:]
        for figure in FIGURES
    ]


def left_out_lines(rolling: Rolling) -> list[str]:
    """List the origins at which the champion was not judged, why, and what its mean covers; empty if it was at all."""
    lines = [
        f"At {day_text(each.moment)} the champion does not count: {each.champion_left_out}."
        for each in rolling.origins
        if each.champion_left_out
    ]
    if lines and CHAMPION in rolling.names:
        lines.append("The champion's mean is of the other origins alone: compare it by the differences.")
    return lines


def origin_sections(rolling: Rolling | None, *, refitted: bool) -> list[CardSection]:
    """Write, for a model card, how the settings did at every origin; nothing for a single origin."""
    if rolling is None:
        return []
    model = "the judged model" if refitted else "this version's model"
    about = paragraph(
        "The same settings learnt and were judged as of {origins} moments, one horizon after the other. Each time "
        "they knew only what was known then, and every value that they learnt from was complete by then. "
        f"The latest is {model}; the models of the others were not kept.",
        origins=len(rolling.origins),
    )
    intervals = paragraph(
        "The model less each rival, with intervals of {confidence:whole_percent} by paired bootstrap: a "
        "customer who is drawn twice is so in every window. These intervals do not grow with the number of times "
        "that a window was judged on.",
        confidence=rolling.confidence,
    )
    at_each = "The model and others at each origin: normalised Gini / top-decile capture"
    blocks = (
        about,
        text_table(origin_columns(rolling), origin_rows(rolling), at_each),
        paragraph("Normalised Gini / top-decile capture. The spread is the standard deviation over the origins."),
        text_table(difference_columns(rolling), difference_rows(rolling), "The model less others, at each origin"),
        intervals,
        *(paragraph("{left_out}", left_out=line) for line in left_out_lines(rolling)),
    )
    return [CardSection(name="origins", title="At other origins", blocks=blocks)]


def _at(origin: JudgedOrigin, name: str) -> str:
    if name not in origin.by_name:
        return NONE
    return _pair([float(getattr(origin.by_name[name], figure)) for figure in FIGURES])


def _pair(values: Sequence[float]) -> str:
    return " / ".join(f"{value:.4f}" if isfinite(value) else NONE for value in values)


def _interval(difference: FigureDifference | None) -> str:
    if difference is None:
        return NONE
    if not isfinite(difference.low):
        return f"{difference.estimate:+z.4f}"
    return f"{difference.estimate:+z.4f} ({difference.low:+z.4f} to {difference.high:+z.4f})"
