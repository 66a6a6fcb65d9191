"""What `fivefold train` prints before anything is fitted: data, dates and rows, and the choice of a preset."""

from typing import TYPE_CHECKING

from fivefold.cli.terminal import echo, show_table, warn
from fivefold.domain.clock import day_text
from fivefold.domain.text import count_text, percent

if TYPE_CHECKING:
    from fivefold.training.plan import TrainingPlan
    from fivefold.training.presets.choose import PresetChoice


def show_plan(plan: "TrainingPlan", warned: tuple[str, ...] | None = None) -> None:
    """Print the data, dates and rows of a run, and its warnings.

    *warned* are the warnings of the plan that was shown before: nothing is said again. None where there was none.
    """
    if warned is None:
        _show_data(plan)
    _show_dates(plan)
    for text in plan.warnings:  # a refusal ends the run with an error of its own
        if text not in (warned or ()):
            warn(text)


def _show_data(plan: "TrainingPlan") -> None:
    """Print what the data hold."""
    summary, quality = plan.summary, plan.summary.quality
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in quality.kinds.most_common())
    currencies = ", ".join(
        f"{code} {percent(count / quality.rows, 0)}" for code, count in quality.currencies.most_common(5)
    )
    echo(
        f"Data: {plan.source}, {count_text(summary.rows, 'row')} of {count_text(summary.customers, 'customer')}, "
        f"{day_text(summary.period.first)[:10]} to {day_text(summary.period.last)[:10]}"
    )
    removed = f"; {count_text(quality.removed, 'repeat')} of a transaction_id left out" if quality.removed else ""
    echo(f"Rows: {kinds}; {currencies}{removed}")
    for text in plan.assumptions:
        echo(f"Absent: {text}")


def _show_dates(plan: "TrainingPlan") -> None:
    """Print the dates of training and judging, and the counts of each window."""
    dates, windows = plan.dates, plan.rows.windows
    echo(
        f"Trains as of {len(dates.training)} dates, {day_text(int(dates.training[0]))} to "
        f"{day_text(dates.validation)}, "
        f"{len(plan.rows.values):,} rows ({percent(plan.rows.share, 0)} of the customers)"
    )
    if len(plan.origins) > 1:
        echo(f"Judged as of {len(plan.origins)} origins: {', '.join(map(day_text, plan.origins))}")
    last = len(windows.as_of) - 1
    named_windows = {
        0: "first training",
        int(windows.rows[:last].argmin()): "thinnest training",
        last - 1: "last training",
    }
    counts_by_column = (windows.known_customers, windows.active, windows.rows)
    rows = [
        [name, windows.days_text(number), *(f"{counts[number]:,}" for counts in counts_by_column)]
        for number, name in sorted((named_windows | {last: "test"}).items())
    ]
    columns = ("window", "days", "customers known before", "active in it", "rows in it")
    show_table("Data of each window", columns, rows, left=2)


def show_choice(choice: "PresetChoice") -> None:
    """Print which preset was chosen, why, and how each did on earlier windows."""
    from fivefold.training.report.preset_card import choice_columns, choice_rows, sampled_text

    if choice.trials:
        title = f"Presets on earlier windows: normalised Gini / top-decile capture{sampled_text(choice)}"
        show_table(title, choice_columns(choice), choice_rows(choice), left=len(choice_columns(choice)))
    echo(f"Preset {choice.reason}." if choice.trials else f"Preset {choice.preset}: {choice.reason}.")
