"""`fivefold realised`: what customers were worth, beside what earlier scores predicted."""

from collections.abc import Collection
from contextlib import nullcontext
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import polars as pl
import typer

from fivefold.cli.terminal import (
    MapOption,
    ModelOption,
    NameOption,
    echo,
    load_model,
    mapped,
    open_registry,
    require_module,
    require_scores,
    require_source,
    show_table,
    warn,
)
from fivefold.cli.value_model.engines import OpenWorkers, read_by
from fivefold.cli.value_model.output import open_output, require_output
from fivefold.domain.clock import day_text, parse_moment
from fivefold.domain.errors import FileFormatError
from fivefold.domain.money import rounded_words
from fivefold.domain.provenance import hash_text
from fivefold.domain.settings import require_model_name
from fivefold.domain.text import apart_from, count_text, percent
from fivefold.training.config import DEFAULT_NAME, DueSettings, read_config

if TYPE_CHECKING:
    from fivefold.features.reading.text_files import MappedFile
    from fivefold.training.judging.past_versions import JudgedVersion
    from fivefold.training.judging.realised import RealisedDay


def realised(
    scores: Annotated[list[Path], typer.Argument(help="Files that `fivefold score` wrote.")],
    data: Annotated[Path, typer.Option("--data", help="Transactions up to one horizon after the scores.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File for all figures: .parquet, .csv, .json or .jsonl.")
    ] = None,
    as_of: Annotated[
        str | None, typer.Option("--as-of", help="ISO date or time of scores without the column as_of.")
    ] = None,
    model: ModelOption = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", help="YAML file with the bounds (`due`); by default those of each version."),
    ] = None,
    name: NameOption = DEFAULT_NAME,
    names: MapOption = None,
) -> None:
    """Compare earlier scores with realised values. It says if a version is due for training, and changes nothing."""
    moment = None if as_of is None else parse_moment(as_of, "--as-of")
    require_model_name(name)
    require_source(data)
    require_scores(scores)
    if output:
        require_output(output)
    require_module("optuna")  # its extra has all that this takes; a smaller one has the first module that is imported
    due = None if config is None else read_config(config).due
    model_hash = None if model is None else hash_text(load_model(model, name).content_hash)
    judged, left_out = judge(scores, mapped(data, names), name, due, as_of=moment, model_hash=model_hash)
    print_doubts(judged, left_out)
    for version in judged:
        show_version(version, name)
    if output:
        from fivefold.training.judging.past_versions import realised_table

        table = realised_table(judged)
        with open_output(output) as write:
            write(table)
        echo(f"Written to {output}: {len(table):,} rows")


def judge(
    scores: list[Path],
    source: "MappedFile",
    name: str,
    due: DueSettings | None,
    *,
    as_of: int | None = None,
    model_hash: str | None = None,
    only: Collection[int] | None = None,
    open_workers: OpenWorkers = nullcontext,
) -> "tuple[list[JudgedVersion], list[str]]":
    """Judge the versions that made the scores; give them, and what was left out.

    Workers read the transactions, where *open_workers* gives some.
    """
    from fivefold.training.judging.past_scores import read_scores
    from fivefold.training.judging.past_versions import judge_versions

    table = read_scores(scores, as_of, model_hash)
    if table.is_empty():
        raise FileFormatError(f"{', '.join(map(str, scores))}: there are no rows, so nothing can be compared")
    path = source if source.names.ours else source.path
    with open_workers() as engine:
        return judge_versions(table, read_by(engine, path), open_registry(name), due, only=only)


def print_doubts(judged: "list[JudgedVersion]", left_out: list[str]) -> None:
    """Print what replaces columns of the transactions; warn of what else is wrong with them, and of what was left out.

    What is the same for several versions is said once.
    """
    for text in dict.fromkeys(text for version in judged for text in version.absences):
        echo(f"Absent: {text}")
    for text in dict.fromkeys((*left_out, *(text for version in judged for text in version.warnings))):
        warn(text)


def show_version(version: "JudgedVersion", name: str) -> None:
    """Print the days of a version, the segments and tenths of the latest, and the verdict."""
    champion = ", the champion" if version.is_champion else ""
    days = version.realised.days
    if days:
        money = f"({version.currency})"
        columns = ("predicted on", "customers", f"predicted {money}", f"realised {money}", "ratio", "in interval")
        title = f"{name} version {version.number}{champion}: predicted and realised mean value"
        show_table(title, (*columns, "Gini", "Spearman"), [_day_cells(day, version.currency) for day in days])
        echo()
        latest = days[-1]
        for by, heading in (("segment", "segment"), ("decile", "tenth by prediction")):
            rows = latest.figures.filter(pl.col("by") == by).to_dicts()
            if not rows:  # too few customers have no groups
                continue
            title = f"Predictions of {day_text(latest.day_us)} by {heading}"
            show_table(
                title, (heading, *columns[1:]), [[row["group"], *figure_cells(row, version.currency)] for row in rows]
            )
            echo()
        if latest.gone:
            gone = count_text(latest.gone, "customer")
            echo(f"In no figure, because the data no longer have them by {day_text(latest.day_us)}: {gone}")
    if version.realised.waiting:
        echo(f"Predictions whose horizon has not passed yet: {version.realised.waiting:,}")
    if version.realised.uncovered:
        echo(f"Predictions whose horizon has passed, but the data end before it does: {version.realised.uncovered:,}")
    verdict = str(version.verdict)
    echo(f"Version {version.number}{champion}: {verdict}{'' if verdict.endswith('?') else '.'}")


def _day_cells(day: "RealisedDay", currency: str) -> list[str]:
    gini, spearman = day.metrics.normalised_gini, day.metrics.spearman
    ranking = ["" if isnan(figure) else f"{figure:.4f}" for figure in (gini, spearman)]
    return [day_text(day.day_us), *figure_cells(day.whole, currency), *ranking]


def figure_cells(row: dict[str, float | None], currency: str) -> list[str]:
    """Write the figures of a group: customers, means of money, the ratio with its interval, the share covered."""
    ends = [apart_from(end, 1, 2) for end in (row["ratio_low"], row["ratio_high"]) if end is not None]
    between = f" ({' to '.join(ends)})" if ends else ""
    ratio = "" if row["ratio"] is None else f"{row['ratio']:.2f}{between}"
    sums = (row["predicted_mean"], row["realised_mean"])
    means = ("" if mean is None else rounded_words(mean, currency) for mean in sums)
    covered = "" if row["covered_share"] is None else percent(row["covered_share"])
    return [f"{row['customers']:,}", *means, ratio, covered]
