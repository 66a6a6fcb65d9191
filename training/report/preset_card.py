"""The choice among presets, for people and for MLflow: what was tried, on which windows, and how it did."""

from fivefold.domain.clock import day_text
from fivefold.domain.text import percent
from fivefold.training.config import TrainingConfig
from fivefold.training.presets.choose import PresetChoice
from fivefold.training.presets.named import preset
from fivefold.training.report.card import Block, CardSection, Paragraph, Sentence, paragraph, say, text_table
from fivefold.training.tune import Tuning

CRITERION = "the mean of normalised Gini and top-decile capture"


def choice_columns(choice: PresetChoice) -> list[str]:
    """Return the header of the table of a choice."""
    return ["preset", *(f"from {day_text(origin)}" for origin in choice.origins), "mean", "what it sets"]


def choice_rows(choice: PresetChoice) -> list[list[str]]:
    """Return a row for each preset: Gini and capture in each window, and the mean mark; the one in use has a `*`."""
    return [
        [
            f"{each.name} *" if each.name == choice.preset else each.name,
            *(_figures(trial.normalised_gini, trial.top_decile_capture) for trial in choice.of(each.name)),
            f"{choice.mark(each.name):.4f}",
            each.about_over(choice.settings),
        ]
        for each in choice.presets
    ]


def sampled_text(choice: PresetChoice) -> str:
    """Describe the share of the customers that presets were tried on; empty for all of them."""
    return "" if choice.share >= 1 else f", a sample of {percent(choice.share)} of all"


def preset_sections(
    name: str, choice: PresetChoice | None, config: TrainingConfig, tuning: Tuning | None = None
) -> list[CardSection]:
    """Write, for a model card, which preset was used and why, and what tuning tried.

    Nothing if the settings are a person's own, and were not tuned.

    Args:
        name: the name of the preset; empty without one.
        choice: the choice among presets; None without one.
        config: the settings of the run.
        tuning: the tuning of the trees after that; None without one.
    """
    blocks: list[Block] = []
    if tuning is not None:
        began = (
            "{preset}, then tuned: the search began at the preset"
            if name
            else "Tuned: the search began at the given settings"
        )
        began += ' and set the trees anew; what was used stands under "What it was learnt from".'
        searched = say(began, **({"preset": name} if name else {}))
        blocks.append(Paragraph(lines=(searched, tuning_sentence(tuning))))
    if name:
        blocks += _of_preset(name, choice, config)
    return [CardSection(name="settings", title="Its settings", blocks=tuple(blocks))] if blocks else []


def tuning_sentence(tuning: Tuning) -> Sentence:
    """Describe how many configurations were tried, when, and how the best and the first of them did."""
    tried = "configurations were" if len(tuning.trials) > 1 else "configuration was"
    return say(
        f"{{tuning_trials:,}} {tried} tried on the last training date ({{tuned_on}}): normalised Gini of the best "
        "{tuning_best_gini:.4f}, of the settings it began at {tuning_first_gini:.4f}.",
        tuning_trials=len(tuning.trials),
        tuned_on=day_text(tuning.as_of),
        tuning_best_gini=tuning.best.gini,
        tuning_first_gini=tuning.trials[0].gini,
    )


def _of_preset(name: str, choice: PresetChoice | None, config: TrainingConfig) -> list[Block]:
    """Write which preset was used, and why."""
    about = preset(name).about_over(config if choice is None else choice.settings)
    if choice is None:
        text = "The preset {preset} ({about}), which was asked for by name."
        return [paragraph(text, preset=name, about=about)]
    if not choice.trials:
        return [paragraph("The preset {preset} ({about}): {reason}.", preset=name, about=about, reason=choice.reason)]
    return _chosen(choice)


def _chosen(choice: PresetChoice) -> list[Block]:
    """Write the results of the presets that were tried."""
    counts = [trial.customers for trial in choice.trials]
    low, high = min(counts), max(counts)
    customers = "{customers_least:,}" if low == high else "{customers_least:,} to {customers_most:,}"
    return [
        paragraph(
            "The preset {reason}. Each preset learnt and predicted as of the moments below, as a run does; "
            "every window ends before the test window begins. The criterion is {criterion}.",
            preset=choice.preset,
            reason=choice.reason,
            criterion=CRITERION,
        ),
        text_table(choice_columns(choice), choice_rows(choice), "Presets on earlier windows"),
        paragraph(
            f"Normalised Gini / top-decile capture, of {customers} customers in each window{{sampled}}.",
            customers_least=low,
            customers_most=high,
            customers_share=choice.share,
            sampled=sampled_text(choice),
        ),
    ]


def _figures(gini: float, capture: float) -> str:
    return f"{gini:.4f} / {capture:.4f}"
