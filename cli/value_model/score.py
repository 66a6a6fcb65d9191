"""`fivefold score`: a file of transactions in, one row a customer out."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import polars as pl
import typer
from tqdm import tqdm

from fivefold.charts.text.numbers import one_line, signed_points
from fivefold.cli.terminal import (
    AsOfOption,
    LevelOption,
    MapOption,
    ModelOption,
    NameOption,
    PathArgument,
    echo,
    load_model,
    mapped,
    moment,
    print_absent_columns,
    require_source,
    show_table,
    warn,
)
from fivefold.cli.value_model.engines import (
    EngineName,
    EngineOption,
    FolderOption,
    MasterOption,
    open_engine,
    require_engine,
)
from fivefold.cli.value_model.output import Write, open_output, require_output
from fivefold.cli.value_model.parts import RestartOption, conditions, continued
from fivefold.domain.clock import day_text, iso_text, parse_moment
from fivefold.domain.errors import ConfigError, FileFormatError
from fivefold.domain.money import rounded_words
from fivefold.domain.parts import Parts, Task
from fivefold.domain.segments import SEGMENTS, score_text
from fivefold.domain.text import count_text, percent
from fivefold.features.histories import AmountChecks, Stateless, Ties
from fivefold.models.reach import (
    SimilarNames,
    absences,
    doubts_of_amounts,
    doubts_of_newest,
    doubts_of_units,
    last_balance_text,
    other_currencies_text,
    repeats_text,
    stateless_text,
)
from fivefold.training.config import DEFAULT_NAME

if TYPE_CHECKING:
    from fivefold.features.partitions import Engine
    from fivefold.features.reading.text_files import MappedFile
    from fivefold.models.scoring.histories import ScoredBatch, Scoring
    from fivefold.models.value_model import ValueModel

SHOWN_FALLS = 10
_OF_MOVES = ["user_id", "score_before", "score", "category_before", "category", "move"]


def score(
    path: PathArgument,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File for the scores: .parquet, .csv, .json or .jsonl.")
    ] = None,
    as_of: AsOfOption = None,
    explain: Annotated[bool, typer.Option("--explain", help="Add the base and the points of every indicator.")] = False,
    compare_as_of: Annotated[
        str | None,
        typer.Option("--compare-as-of", help="List falls and moves between segments since this earlier date."),
    ] = None,
    level: LevelOption = None,
    model: ModelOption = None,
    name: NameOption = DEFAULT_NAME,
    names: MapOption = None,
    engine: EngineOption = EngineName.PROCESS,
    spark_master: MasterOption = None,
    spark_folder: FolderOption = None,
    restart: RestartOption = False,
) -> None:
    """Score every customer of a file. It uses the champion, or another model by --model.

    The same command continues an interrupted run, if the scores go to a file and this process reads Parquet.
    """
    when = moment(as_of, "--as-of")
    before = None if compare_as_of is None else parse_moment(compare_as_of, "--compare-as-of")
    if before is not None and before >= when:
        raise ConfigError(f"--compare-as-of is {day_text(before)}; it must be before {day_text(when)}, the as-of")
    if output:
        require_output(output)
    require_source(path)
    require_engine(engine, spark_master, spark_folder, path, output)
    source = mapped(path, names)
    used = load_model(model, name)
    from fivefold.models.scoring.histories import Scoring  # by now no error of the command line can come

    how = Scoring(when, explained=explain, compare_as_of=before, level_percent=level)
    options = {
        "--as-of": iso_text(when),
        "--compare-as-of": None if before is None else iso_text(before),
        "--explain": explain,
        "--level": level,
        "--map": ", ".join(names or []) or None,
        "the model": f"{used.content_hash[:12]} ({model or name})",
        "--engine": engine,
    }
    with (
        _parts_of(output, options, source, "" if as_of else f"--as-of {iso_text(when)}", restart=restart) as parts,
        open_engine(engine, spark_master, spark_folder, output) as on,
    ):
        summary = score_file(used, source, output, how, engine=on, parts=parts)
    summary.warn_of_currency(source, used.currency)
    summary.print_doubts_of_rows(used)
    summary.show(used, when, explicit=as_of is not None)
    if before is not None:
        summary.show_moves(before, when, used.cut_points)
    if output:
        echo(f"Written to {output}: {count_text(summary.customers, 'customer')}")


def _parts_of(
    output: Path | None, options: Mapping[str, object], source: "MappedFile", more: str, *, restart: bool
) -> AbstractContextManager[Parts | None]:
    """Give the parts of an output; None without an output, as nothing is stored then."""
    if output is None:
        return nullcontext()
    return continued(
        Task(command="score", output=output, conditions=conditions(options, source), more=more), restart=restart
    )


class Summary:
    """The summary of a scored file, gathered batch by batch in bounded memory."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.customers = 0
        self.left_out = 0
        self.newest: int | None = None
        self.currencies: set[str] = set()
        self.absent: tuple[str, ...] = ()
        self.rows = 0
        self.ties = Ties()
        self.stateless = Stateless()
        self.amount_checks = AmountChecks()
        self.names = SimilarNames()
        self.outside_units = Counter[str]()
        self._segments: dict[str, list[float]] = {segment: [0.0, 0.0, 0.0] for segment in SEGMENTS}
        self._moves: dict[tuple[str, str], int] = {}
        self._new: dict[str, int] = {}
        self._falls: pl.DataFrame | None = None

    def add(self, batch: "ScoredBatch") -> None:
        """Take in one batch."""
        self.customers += len(batch.table)
        self.left_out += batch.left_out
        self.currencies |= batch.currencies
        self.absent = batch.absent
        self.rows += batch.rows
        self.ties = Ties.joined((self.ties, batch.ties))
        self.stateless = Stateless.joined((self.stateless, batch.stateless))
        self.amount_checks = AmountChecks.joined((self.amount_checks, batch.amount_checks))
        self.names.add(batch.table["user_id"])
        self.outside_units.update(batch.outside_units)
        self.newest = max((moment for moment in (self.newest, batch.newest) if moment is not None), default=None)
        sums = batch.table.group_by("category").agg(pl.len(), pl.sum("score"), pl.sum("expected_value"))
        for category, *figures in sums.iter_rows():
            self._segments[category] = [a + b for a, b in zip(self._segments[category], figures, strict=True)]
        if "move" in batch.table.columns:
            table = batch.table.select(_OF_MOVES)
            self._add_moves(table.filter(pl.col("move").is_not_null()))
            for now, customers in table.filter(pl.col("move").is_null()).group_by("category").len().iter_rows():
                self._new[now] = self._new.get(now, 0) + customers

    def _add_moves(self, table: pl.DataFrame) -> None:
        for before, now, customers in table.group_by("category_before", "category").len().iter_rows():
            self._moves[before, now] = self._moves.get((before, now), 0) + customers
        falls = table.filter(pl.col("move") < 0)
        joined = falls if self._falls is None else pl.concat([self._falls, falls])
        self._falls = joined.sort("move", "user_id").head(SHOWN_FALLS)

    def warn_of_currency(self, source: "MappedFile", base: str) -> None:
        """Warn if no amount of the file is in the base currency."""
        if text := other_currencies_text(self.currencies, base, str(source)):
            warn(text)

    def print_doubts_of_rows(self, model: "ValueModel") -> None:
        """Print what replaces columns that the file lacks; warn of everything else that may make scores wrong."""
        for text in absences(self.absent, model.absent, model.currency):
            echo(f"Absent: {text}")
        for text in doubts_of_amounts(self.amount_checks):
            warn(text)
        if text := stateless_text(self.stateless, self.rows):
            warn(text)
        if text := repeats_text(self.ties.repeated, self.rows):
            warn(f"{text}: if they are repeats, these scores count money twice; remove them, or add transaction_id")
        if text := last_balance_text(self.ties.unordered):
            warn(text)
        if text := self.names.text:
            warn(text)
        for text in doubts_of_units(self.outside_units, self.customers):
            warn(text)

    def show(self, model: "ValueModel", as_of: int, *, explicit: bool) -> None:
        """Print the segments, and warn where the newest row does not fit the as-of."""
        rows = [
            [segment, f"{count:,.0f}", *_means(count, scores, money, model.currency)]
            for segment, (count, scores, money) in reversed(self._segments.items())
        ]
        value = f"mean expected value ({model.currency}, {model.horizon_days} days)"
        show_table(f"Customers as of {day_text(as_of)}", ("segment", "customers", "mean score", value), rows)
        echo(
            f"A score is a customer's place among the {model.curve.customers:,} customers known on "
            f"{day_text(model.test_as_of)}."
        )
        print_absent_columns(model)
        if model.intervals is None:
            echo(
                "There is no interval, because this model has none. `fivefold recalibrate` or a new training adds them."
            )
        self._warn_of_shares(model)
        if self.left_out:
            from fivefold.models.reach import needed_row_text

            needed = needed_row_text(as_of, model.settlement_lag_us)
            echo(f"Left out, because they have no {needed}: {count_text(self.left_out, 'customer')}")
        if self.newest is not None:
            for doubt in doubts_of_newest(self.newest, as_of, is_now=not explicit, option="--as-of {}"):
                warn(doubt)

    def _warn_of_shares(self, model: "ValueModel") -> None:
        """Warn where the segments hold other shares of the customers than of the reference portfolio."""
        from fivefold.models.drift import STABLE, stability_index

        shares = model.segment_shares()
        expected = np.array([round(share * model.curve.customers) for share in shares.values()])
        index = stability_index(expected, np.array([int(self._segments[segment][0]) for segment in shares]))
        if index is not None and index >= STABLE:
            was = ", ".join(f"{segment} {percent(share, 0)}" for segment, share in shares.items())
            warn(
                f"the shares of the segments differ from those of {day_text(model.test_as_of)} ({was}; PSI "
                f"{index:.2f}): "
                "train again or run `fivefold recalibrate` on later data, so that a score is a place among today's "
                "customers"
            )

    def show_moves(self, before: int, as_of: int, cut_points: Sequence[float]) -> None:
        """Print how customers moved between segments, and who fell furthest."""
        rows = [[source, *(f"{self._moves.get((source, target), 0):,}" for target in SEGMENTS)] for source in SEGMENTS]
        if self._new:
            rows.append(["new since", *(f"{self._new.get(target, 0):,}" for target in SEGMENTS)])
        echo()
        title = f"Segments: {day_text(before)} (rows) to {day_text(as_of)} (columns)"
        show_table(title, ("", *SEGMENTS), rows)
        if self._falls is not None and len(self._falls):
            echo()
            falls = [
                [
                    one_line(user_id),
                    score_text(was, cut_points),
                    score_text(now, cut_points),
                    f"{old} → {new}" if old != new else old,
                    signed_points(move),
                ]
                for user_id, was, now, old, new, move in self._falls.iter_rows()
            ]
            show_table("The largest falls", ("customer", "before", "now", "segment", "move"), falls)


def score_file(
    model: "ValueModel",
    path: "Path | MappedFile",
    output: Path | None,
    how: "Scoring",
    *,
    engine: "Engine | None" = None,
    parts: Parts | None = None,
) -> Summary:
    """Stream a file through the model into another, which appears once it is whole; FileFormatError without rows.

    An *engine* reads Parquet in place of this process. What is finished in *parts* is not scored again.
    """
    from fivefold.features.reading.text_files import MappedFile, is_parquet
    from fivefold.models.scoring.histories import with_origin
    from fivefold.models.scoring.sources import score_in_parts, score_on_engine, score_source

    summary = Summary()
    file = MappedFile.of(path)
    rows = file.parquet.rows if is_parquet(file.path) else None  # text is counted by reading it
    hidden = None if engine is None else True  # its results come when it has shown all of its own progress
    progress = tqdm(desc="scoring", unit=" rows", unit_scale=True, total=rows, disable=hidden, leave=False)
    with progress, open_output(output, parts) if output else _nowhere() as write:
        if engine is not None:
            batches = score_on_engine(engine, model, file, how)
        elif parts is not None:
            batches = score_in_parts(model, file, how, parts)
        else:
            batches = score_source(model, file, how)
        for batch in batches:
            write(with_origin(batch.table, model, how.as_of))
            summary.add(batch)
            progress.update(batch.rows)
        if summary.newest is None:
            raise FileFormatError(f"{path} has no rows")
    return summary


def _means(count: float, scores: float, money: float, currency: str) -> tuple[str, str]:
    """Write the means of summed scores and money; nothing without customers."""
    return (f"{scores / count:,.2f}", rounded_words(money / count, currency)) if count else ("", "")


@contextmanager
def _nowhere() -> Iterator[Write]:
    yield lambda _: None
