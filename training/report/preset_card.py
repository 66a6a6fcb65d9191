"""The choice among presets, for people and for MLflow: what was tried, where, and how it did."""

from collections.abc import Sequence

from fivefold.domain.clock import day_text
from fivefold.domain.text import percent
from fivefold.training.presets.choose import Choice
from fivefold.training.presets.named import preset

CRITERION = "the mean of normalised Gini and top-decile capture"


def choice_columns(choice: Choice) -> list[str]:
    """Give the head of the table of a choice."""
    return ["preset", *(f"from {day_text(origin)}" for origin in choice.origins), "mean", "what it sets"]


def choice_rows(choice: Choice) -> list[list[str]]:
    """Give a line for each preset: Gini and capture in each window, and the mean mark; the one in use has a `*`."""
    return [
        [
            f"{each.name} *" if each.name == choice.preset else each.name,
            *(_figures(trial.normalised_gini, trial.top_decile_capture) for trial in choice.of(each.name)),
            f"{choice.mark(each.name):.4f}",
            each.about,
        ]
        for each in choice.presets
    ]


def sampled_text(choice: Choice) -> str:
    """Say on what share of the customers presets were tried; nothing where it was all of them."""
    return "" if choice.share >= 1 else f", a sample of {percent(choice.share)} of all"


def preset_lines(name: str, choice: Choice | None, *, tuned: bool = False) -> list[str]:
    """Write, for a model card, which preset was used and why; nothing where the settings are a person's own.

    Args:
        name: of the preset; empty where there was none.
        choice: among presets; None where there was none.
        tuned: the trees were searched for afterwards.
    """
    if not name:
        return []
    head = ["## Its settings", ""]
    if tuned:
        head += [
            (
                f"{name}, then tuned: the search began at the preset and set the trees anew; what was used stands "
                'under "What it was learnt from".'
            ),
            "",
        ]
    if choice is None:
        return [*head, f"The preset {name} ({preset(name).about}), which was asked for by name.", ""]
    if not choice.trials:
        return [*head, f"The preset {name} ({preset(name).about}): {choice.reason}.", ""]
    return [
        *head,
        (
            f"The preset {choice.reason}. Each preset learnt and predicted as of the moments below, as a run does; "
            f"every window ends before the test window begins. The criterion is {CRITERION}."
        ),
        "",
        *table_lines(choice_columns(choice), choice_rows(choice)),
        "",
        (
            f"Normalised Gini / top-decile capture, of {_counts([trial.customers for trial in choice.trials])} "
            f"customers in each window{sampled_text(choice)}."
        ),
        "",
    ]


def _figures(gini: float, capture: float) -> str:
    return f"{gini:.4f} / {capture:.4f}"


def _counts(counts: Sequence[int]) -> str:
    low, high = min(counts), max(counts)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def table_lines(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Write a table of texts in Markdown."""
    return [_line(columns), "|---" * len(columns) + "|", *map(_line, rows)]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
