"""The choice among presets, for people and for MLflow: what was tried, where, and how it did."""

from fivefold.domain.clock import day_text
from fivefold.domain.text import percent
from fivefold.training.config import TrainingConfig
from fivefold.training.presets.choose import PresetChoice
from fivefold.training.presets.named import preset
from fivefold.training.report.card import Block, CardSection, paragraph, text_table

CRITERION = "the mean of normalised Gini and top-decile capture"


def choice_columns(choice: PresetChoice) -> list[str]:
    """Give the head of the table of a choice."""
    return ["preset", *(f"from {day_text(origin)}" for origin in choice.origins), "mean", "what it sets"]


def choice_rows(choice: PresetChoice) -> list[list[str]]:
    """Give a line for each preset: Gini and capture in each window, and the mean mark; the one in use has a `*`."""
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
    """Say on what share of the customers presets were tried; nothing where it was all of them."""
    return "" if choice.share >= 1 else f", a sample of {percent(choice.share)} of all"


def preset_sections(
    name: str, choice: PresetChoice | None, config: TrainingConfig, *, tuned: bool = False
) -> list[CardSection]:
    """Write, for a model card, which preset was used and why; nothing where the settings are a person's own.

    Args:
        name: of the preset; empty where there was none.
        choice: among presets; None where there was none.
        config: the settings of the run.
        tuned: the trees were searched for afterwards.
    """
    if not name:
        return []
    blocks: list[Block] = []
    if tuned:
        searched = (
            "{preset}, then tuned: the search began at the preset and set the trees anew; what was used stands "
            'under "What it was learnt from".'
        )
        blocks.append(paragraph(searched, preset=name))
    about = preset(name).about_over(config if choice is None else choice.settings)
    if choice is None:
        text = "The preset {preset} ({about}), which was asked for by name."
        blocks.append(paragraph(text, preset=name, about=about))
    elif not choice.trials:
        blocks.append(
            paragraph("The preset {preset} ({about}): {reason}.", preset=name, about=about, reason=choice.reason)
        )
    else:
        blocks += _chosen(choice)
    return [CardSection(name="settings", title="Its settings", blocks=tuple(blocks))]


def _chosen(choice: PresetChoice) -> list[Block]:
    """Write what the presets that were tried did."""
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
