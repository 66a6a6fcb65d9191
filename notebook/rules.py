"""Rulesets in a notebook: assess a portfolio, explain an entity, and compare a draft with what decides now."""

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias, TypedDict, Unpack

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet

from fivefold.domain.errors import ConfigError, FileFormatError
from fivefold.domain.settings import read_settings
from fivefold.domain.text import html_table, perhaps
from fivefold.features.reading.frames import has_dates_and_times
from fivefold.models.embedded import load_value_model
from fivefold.notebook.transactions import Frame, Moment, column_pairs, frame_html, kind_of, moment_of, require_frame
from fivefold.notebook.words import PARAMETERS, in_words_of_python, parameters_named, whole_number
from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.engine.explain.breakdown import Explanation
from fivefold.risk.facts.portfolio import NamedList
from fivefold.risk.governance.backtest.families import FamiliesBacktest
from fivefold.risk.governance.backtest.run import BacktestResult
from fivefold.risk.governance.beside import Beside
from fivefold.training.config import DEFAULT_NAME
from fivefold.usecases.portfolio_files.assess import AssessedFamilies, assess_files, explain_entity
from fivefold.usecases.portfolio_files.bundled import lists_with, load_ruleset
from fivefold.usecases.portfolio_files.columns import PortfolioColumns
from fivefold.usecases.portfolio_files.families import backtest_beside
from fivefold.usecases.portfolio_files.governance import Draw, StandingLevels
from fivefold.usecases.portfolio_files.portfolio import PortfolioFiles

Part: TypeAlias = Path | str | Frame
"""A part of a portfolio: a file, or a data frame of pandas, Polars or Arrow."""
Sources: TypeAlias = Path | str | Sequence[Path | str]
"""One file or several; for rulesets also names of those that ship."""


class PortfolioParts(TypedDict, total=False):
    """The optional parts of a portfolio beside its entities.

    Attributes:
        transactions: rows as `read_transactions` takes them, and the ruleset's own fields.
        cases, alerts: `entity_id`, `opened`, `closed`, `outcome`.
        tags: `entity_id`, `tag`, optionally `from` and `until`.
        screenings: `entity_id`, `screening`, `found`, optionally `at`.
        links: `type`, `from`, `to`, optionally `valid_from` and `valid_until`.
        lists: a folder of named lists beside those that ship.
        reference: reference portfolios, as `fivefold rules reference` writes them.
        base: the base currency of money; EUR by default.
        rates: a file of your own rates, as the command reads it; the shipped rates of the ECB by default.
        model: the address of the value model, for rulesets that read the value; the champion by default.
        name: the name of the registered model; that of training by default.
        columns: our names of the columns, in every part that has them; for one part alone as `transactions.day`.
    """

    transactions: Part
    cases: Part
    alerts: Part
    tags: Part
    screenings: Part
    links: Part
    lists: Path | str
    reference: Sources
    base: str
    rates: Path | str
    model: str
    name: str
    columns: Mapping[str, str]


@dataclass(frozen=True)
class Levels:
    """The levels of a portfolio, from `assess`; a notebook shows their counts and the first entities.

    Attributes:
        assessed: the result of the engine.
    """

    assessed: AssessedFamilies

    def table(self) -> pd.DataFrame:
        """Return a row for each entity, by `entity_id`: level, status, score, floor, and the ruleset that decided."""
        return self.assessed.table().to_pandas().set_index("entity_id")

    def failures(self) -> pd.DataFrame:
        """Return the entities that could not be assessed in full, with the rule and the reason."""
        return self.assessed.failures().to_pandas()

    def explain(self, entity_id: str | int) -> Explanation:
        """Explain one entity's level; a notebook shows what each rule saw and gave.

        Raises:
            ConfigError: there is no such entity.
        """
        name = str(entity_id)  # frames may have whole numbers, which are read as text
        return explain_entity(self.assessed, name).breakdown

    def __len__(self) -> int:
        """Number of entities."""
        return len(self.assessed.entities)

    def counts(self) -> "pd.Series[int]":
        """Return how many entities have each level, the lowest level first; `no level` comes last, if any have none."""
        counts = self.table()["level"].fillna("no level").value_counts()
        levels = self.assessed.parts[0].program.ruleset.levels
        return counts.reindex([*levels, *(["no level"] if "no level" in counts else [])], fill_value=0)

    def __repr__(self) -> str:
        """Describe how many entities have each level."""
        counts_text = ", ".join(f"{level} {count:,}" for level, count in self.counts().items())
        return f"<{len(self):,} assessed: {counts_text}>"

    def _repr_html_(self) -> str:
        """Show in a notebook how many entities have each level, and the first entities."""
        rows = [[str(level), f"{count:,}"] for level, count in self.counts().items()]
        return html_table(f"{len(self):,} assessed", ["level", "entities"], rows) + frame_html(self.table())


def assess(
    ruleset: str | Path,
    entities: Part,
    *,
    then: Sources | None = None,
    previous: Part | None = None,
    overrides: Part | None = None,
    as_of: Moment = None,
    **parts: Unpack[PortfolioParts],
) -> Levels:
    """Assess every entity of a portfolio, as `fivefold rules assess` does.

    Args:
        ruleset: a file, or the name of one that ships, such as `fatf-retail`.
        entities: `entity_id` and the ruleset's fields.
        then: further rulesets, in order, each for entities to which no earlier one applies.
        previous: the levels until now, such as the `table()` of an earlier assessment: `entity_id`, `rules_level`,
            `entered`. Without them no cooldown keeps a level.
        overrides: levels that people set: `entity_id`, `level`, `until` (empty: no end).
        as_of: the moment; nothing later is seen.
        parts: the parts beside the entities; see `PortfolioParts`. An empty table means that such rows do not exist.

    Raises:
        InvalidRulesetError: a ruleset has faults, which are named by line; or a part that it reads is not given.
        ConfigError, FileFormatError: a part cannot be used, or the rulesets cannot decide side by side.
    """
    rulesets = [_one_ruleset(ruleset, "ruleset"), *_rulesets(then, "then")]
    with _folder() as folder:
        files = _files(entities, parts, folder)
        before, by_hand = _path(previous, "previous", folder), _path(overrides, "overrides", folder)
        return Levels(assess_files(rulesets, files, moment_of(as_of), previous=before, overrides=by_hand))


def backtest(
    draft: str | Path,
    entities: Part,
    *,
    present: str | Path | None = None,
    first: Sources | None = None,
    then: Sources | None = None,
    previous: Part | None = None,
    entered: Moment = None,
    as_of: Moment = None,
    sample: int | None = None,
    seed: int = 0,
    **parts: Unpack[PortfolioParts],
) -> "DraftTrial":
    """Compare a draft with the ruleset that decides now, as `fivefold rules backtest` does; nothing is changed.

    Args:
        draft: a file, or the name of a ruleset that ships.
        entities: `entity_id` and the rulesets' fields.
        present: the ruleset that decides now, given like *draft*; None without one.
        first: rulesets that are tried before both.
        then: further rulesets, in order, each for entities to which no earlier one applies.
        previous: the levels that entities hold, as in `assess`.
        entered: instead of *previous*, the moment since which the levels of *present* count as held.
        as_of: the moment; nothing later is seen.
        sample: how many entities to draw; all by default.
        seed: the seed of the sample.
        parts: as in `assess`.

    Raises:
        InvalidRulesetError: a ruleset has faults; each is named with its line.
        ConfigError, FileFormatError: a part cannot be used, the rulesets have different levels, or a number is invalid.
    """
    drawn = Draw(None if sample is None else whole_number(sample, "sample", 1), whole_number(seed, "seed", 0))
    draft_ruleset = _one_ruleset(draft, "draft")
    in_force = None if present is None else _one_ruleset(present, "present")
    beside = Beside(tuple(_rulesets(first, "first")), tuple(_rulesets(then, "then")))
    at, since = moment_of(as_of), None if entered is None else moment_of(entered, "entered")
    with _folder() as folder:
        files = _files(entities, parts, folder)
        standing = StandingLevels(_path(previous, "previous", folder), since)
        standing.check(at, has_present=in_force is not None)
        return DraftTrial(backtest_beside(draft_ruleset, in_force, beside, files, at, standing, drawn))


def _rulesets(sources: Sources | None, parameter: str) -> list[AnalysedRuleset]:
    return [load_ruleset(str(source)) for source in _several(sources, parameter)]


def _one_ruleset(source: Path | str, parameter: str) -> AnalysedRuleset:
    rulesets = _rulesets(source, parameter)
    if len(rulesets) != 1:
        raise ConfigError(f"{parameter} must be one ruleset, a path or the name of one that ships; this is {source!r}")
    return rulesets[0]


def _several(sources: Sources | None, parameter: str) -> list[Path | str]:
    """Return the paths or names of a parameter as a list; ConfigError if one is neither."""
    several = sources if isinstance(sources, list | tuple) else [] if sources is None else [sources]
    for source in several:
        if not isinstance(source, str | Path):
            raise ConfigError(f"{parameter} must be a path or a name, as text or as a Path; this is {kind_of(source)}")
    return [*several]


@dataclass(frozen=True)
class DraftTrial:
    """What a draft would change, from `backtest`.

    Attributes:
        result: the whole result; a `FamiliesBacktest` if other rulesets decide beside the draft.
    """

    result: BacktestResult | FamiliesBacktest

    def _sides(self) -> dict[str, dict[str, int]]:
        """Return counts by level, for the draft and what decides now (if anything), and for each after the cooldown."""
        result = self.result
        if isinstance(result, FamiliesBacktest):
            has_cooldown = result.later is not None
            both = (("present", result.present_side), ("draft", result.draft_side))
            sides = [(name, side.alone, side.later if has_cooldown else None) for name, side in both]
        else:
            of_each = (("present", result.present), ("draft", result.draft))
            sides = [(name, side.alone, side.later) for name, side in of_each if side is not None]
        later = {f"{name} after cooldown": counts for name, _, counts in sides if counts is not None}
        return {name: alone for name, alone, _ in sides} | later

    def moves(self, *, after_cooldown: bool = False) -> pd.DataFrame:
        """Return how many entities would move from each level (rows) to each level (columns), by the rules alone.

        Args:
            after_cooldown: return the moves after the cooldown instead.

        Raises:
            ConfigError: *after_cooldown* without `previous` or `entered`, so that the held levels are unknown.
        """
        counted = self.result.later if after_cooldown else self.result.alone
        if counted is None:
            raise ConfigError("after_cooldown needs the levels that stand: give backtest previous or entered")
        cells = pd.DataFrame([vars(cell) for cell in counted])
        if cells.empty:
            return cells
        table = cells.pivot_table(index="before", columns="after", values="entities", fill_value=0, aggfunc="sum")
        sides = zip(self.result.orders, (table.index, table.columns), strict=True)
        before, after = ([name for name in order if name in side] for order, side in sides)
        return table.reindex(index=before, columns=after).astype(int)

    def movers(self) -> pd.DataFrame:
        """Return the entities that change most; `after` is by the rules alone, `later` after the cooldown."""
        return pd.DataFrame([vars(mover) for mover in self.result.movers])

    def levels(self) -> pd.DataFrame:
        """Return how many entities have each level by the draft, and by what decides now.

        The columns `present` and `draft` are by the rules alone. If `previous` or `entered` gave the held levels, there
        are further columns `… after cooldown`.
        """
        counts = pd.DataFrame(self._sides()).fillna(0).astype(int)
        before, after = self.result.orders
        return counts.reindex([name for name in dict.fromkeys((*before, *after)) if name in counts.index])

    def __repr__(self) -> str:
        """Describe how many entities have each level by the draft, alone and after the cooldown."""
        counts = self.levels()
        alone, *later = (
            ", ".join(f"{level} {count:,}" for level, count in counts[name].items() if count)
            for name in counts.columns
            if name.startswith("draft")
        )
        return f"<a draft would come to: {alone}{''.join(f'; after the cooldown: {text}' for text in later)}>"

    def _repr_html_(self) -> str:
        """Show in a notebook the levels, the moves, and what the numbers do not say."""
        moves = _moves_html("by the rules alone", self.moves())
        if self.result.later is not None:
            moves += _moves_html("after the cooldown", self.moves(after_cooldown=True))
        cautions = html_table("What the numbers do not say", [""], [[text] for text in self.result.cautions])
        return frame_html(self.levels()) + moves + cautions


def _moves_html(by: str, moves: pd.DataFrame) -> str:
    """Return a table of moves as HTML; empty if there is nothing to compare with."""
    if moves.empty:
        return ""
    rows = [[str(before), *(f"{count:,}" for count in counts)] for before, *counts in moves.itertuples()]
    return html_table(f"From where to where, {by}", ["before \\ after", *moves.columns], rows)


_PARAMETERS: Mapping[str, str] = {
    **PARAMETERS,
    **{name: name for name in (*PortfolioParts.__annotations__, "previous", "entered", "overrides")},
}
"""The names of parameters by the options of the commands."""
_NOT_FILES = frozenset({"lists", "reference", "base", "rates", "model", "name", "columns"})


@contextmanager
def _folder() -> Iterator[Path]:
    """Yield a folder in which data frames are written as Parquet, so that the reader of files reads them too."""
    with (
        TemporaryDirectory(prefix="fivefold-") as name,
        in_words_of_python(lambda text: _named(text, Path(name)), folder=name),
    ):
        yield Path(name)


def _files(entities: Part, parts: PortfolioParts, folder: Path) -> PortfolioFiles:
    """Return a portfolio as files; TypeError for an unknown part."""
    options: dict[str, Any] = dict(parts)
    for part in options:
        if part not in PortfolioParts.__annotations__:
            hint = perhaps(part, PortfolioParts.__annotations__)
            raise TypeError(
                f"{part} does not name a part of a portfolio{hint}; {', '.join(PortfolioParts.__annotations__)} do"
            )
    columns = [f"{theirs}={ours}" for theirs, ours in column_pairs(options.get("columns")).items()]
    lists, rates = (_one_path(options.get(each), each) for each in ("lists", "rates"))
    paths = {part: _path(content, part, folder) for part, content in options.items() if part not in _NOT_FILES}
    return PortfolioFiles(
        entities=_file(entities, "entities", folder),
        **paths,
        lists=_lists(lists, options.get("reference")),
        base=options.get("base", "EUR"),
        rates=rates,
        names=PortfolioColumns(columns),
        load_model=partial(load_value_model, read_settings(), options.get("model"), options.get("name", DEFAULT_NAME)),
        warn=lambda text: warnings.warn(_named(text, folder), stacklevel=2),
    )


def _one_path(source: Path | str | None, parameter: str) -> Path | None:
    paths = [Path(each) for each in _several(source, parameter)]
    if len(paths) > 1:
        raise ConfigError(f"{parameter} must be one path; there are {len(paths)}")
    return paths[0] if paths else None


def _lists(folder: Path | None, reference: Sources | None) -> Mapping[str, NamedList]:
    try:
        return lists_with(folder, [Path(each) for each in _several(reference, "reference")])
    except OSError as error:
        raise ConfigError(f"{error.filename} cannot be read: {error.strerror}") from None


def _named(text: str, folder: Path) -> str:
    """Replace the file of a table by its part, and a command's option by the name of the parameter."""
    text = re.sub(rf"{re.escape(str(folder))}/(\w+)\.parquet", r"the table of \1", text)
    return parameters_named(text, _PARAMETERS)


def _path(content: Part | None, part: str, folder: Path) -> Path | None:
    return None if content is None else _file(content, part, folder)


def _file(content: Part, part: str, folder: Path) -> Path:
    if isinstance(content, str | Path):
        return Path(content)
    require_frame(content, f"the table of {part}")
    path = folder / f"{part}.parquet"
    if isinstance(content, list):
        content = _frame_of_rows(content, part)
    if isinstance(content, pd.DataFrame):
        content = content.reset_index() if content.index.name is not None else content
        twice = [str(name) for name in content.columns[content.columns.duplicated()]]
        if twice:
            raise FileFormatError(f"the table of {part} has more than one column {twice[0]}")
        content = _in_utc(content)
    if not len(content):
        # pandas has numbers in a column without rows, whatever the column is for.
        content = pl.DataFrame(schema=dict.fromkeys((name for name, _ in _columns_of(content)), pl.String))
    if (reason := _why_not_written(content, path)) is None:
        return path
    faults = ((name, _why_not_written(column, path)) for name, column in _columns_of(content))
    where = next((f"column {name} cannot be read: {fault}" for name, fault in faults if fault is not None), None)
    raise FileFormatError(f"the table of {part}: {where or f'it cannot be read: {reason}'}")


def _frame_of_rows(rows: list[Any], part: str) -> pd.DataFrame:
    """Return rows as a data frame with a column for every name in any row, values unchanged; a missing one is None.

    Polars would infer names and types from the first rows alone, and so lose later ones, and NaN would be text.
    """
    for number, row in enumerate(rows):
        if not isinstance(row, dict):
            raise ConfigError(f"row {number} of the table of {part} must be a dict; this is {kind_of(row)}")
    names = dict.fromkeys(name for row in rows for name in row)
    return pd.DataFrame({str(name): pd.Series([row.get(name) for row in rows], dtype=object) for name in names})


def _in_utc(frame: pd.DataFrame) -> pd.DataFrame:
    """Convert moments to UTC without a zone, which means the same: pandas warns when Arrow reads a zone."""
    frame = frame.copy(deep=False)
    for name in frame.select_dtypes("datetimetz").columns:
        frame[name] = frame[name].dt.tz_convert(None)
    return frame


def _why_not_written(content: Any, path: Path) -> str | None:
    """Write a table as Parquet; return why not if Parquet cannot hold its values, such as text among numbers."""
    try:
        if isinstance(content, pd.DataFrame):
            if any(has_dates_and_times(column) for _, column in content.items()):
                return "it has both dates and times; give times alone"
            pl.from_pandas(content, nan_to_null=True).write_parquet(path)
        elif isinstance(content, pa.Table):
            pyarrow.parquet.write_table(content, path)
        else:
            content.write_parquet(path)
    except (pa.ArrowException, pl.exceptions.PolarsError, TypeError, ValueError, OverflowError) as error:
        return str(error).partition("\n")[0].strip()
    return None


def _columns_of(content: Any) -> Iterator[tuple[str, Any]]:
    """Yield the name of each column of a data frame, and the column as a frame of its own."""
    if isinstance(content, pd.DataFrame):
        yield from ((str(name), content.iloc[:, [place]]) for place, name in enumerate(content.columns))
    elif isinstance(content, pa.Table):
        yield from ((name, content.select([place])) for place, name in enumerate(content.column_names))
    else:
        yield from ((name, content.select(name)) for name in content.columns)
