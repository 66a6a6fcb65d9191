"""Rulesets in a notebook: assess a portfolio, explain an entity, and compare a draft with what decides now."""

import re
import warnings
from collections.abc import Iterator, Mapping
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

from fivefold.domain.errors import FileFormatError, InvalidDataError
from fivefold.domain.settings import read_settings
from fivefold.domain.text import html_table, perhaps
from fivefold.models.embedded import load_value_model
from fivefold.notebook.transactions import Frame, Moment, column_pairs, frame_html, moment_of, require_frame
from fivefold.risk.engine.explain.breakdown import Explanation
from fivefold.risk.governance.backtest.run import BacktestResult
from fivefold.training.config import DEFAULT_NAME
from fivefold.usecases.portfolio_files.assess import AssessedFamilies, assess_files, explain_entity
from fivefold.usecases.portfolio_files.bundled import lists_with, load_ruleset
from fivefold.usecases.portfolio_files.columns import PortfolioColumns
from fivefold.usecases.portfolio_files.governance import Draw, StandingLevels, backtest_files
from fivefold.usecases.portfolio_files.portfolio import PortfolioFiles

Part: TypeAlias = Path | str | Frame
"""A part of a portfolio: a file, or a data frame of pandas, Polars or Arrow."""


class PortfolioParts(TypedDict, total=False):
    """What may stand beside the entities of a portfolio.

    Attributes:
        transactions: rows as `read_transactions` takes them, and the ruleset's own fields.
        cases, alerts: `entity_id`, `opened`, `closed`, `outcome`.
        tags: `entity_id`, `tag`, perhaps `from` and `until`.
        screenings: `entity_id`, `screening`, `found`, perhaps `at`.
        links: `type`, `from`, `to`, perhaps `valid_from` and `valid_until`.
        lists: a folder of named lists beside those that ship.
        base: the currency that money is in; EUR by default.
        model: the address of the value model, for rulesets that read the value; the champion by default.
        columns: our names of the columns, in every part that has them; of one part alone as `transactions.day`.
    """

    transactions: Part
    cases: Part
    alerts: Part
    tags: Part
    screenings: Part
    links: Part
    lists: Path | str
    base: str
    model: str
    columns: Mapping[str, str]


@dataclass(frozen=True)
class Levels:
    """The levels of a portfolio, from `assess`; a notebook shows the shares and the first of them.

    Attributes:
        assessed: what the engine gave.
    """

    assessed: AssessedFamilies

    def table(self) -> pd.DataFrame:
        """Give a row for each entity, by `entity_id`: level, status, score, floor, and the ruleset that decided."""
        return self.assessed.table().to_pandas().set_index("entity_id")

    def failures(self) -> pd.DataFrame:
        """Give who could not be assessed in full, by which rule, and why."""
        return self.assessed.failures().to_pandas()

    def explain(self, entity_id: str) -> Explanation:
        """Explain one entity's level; a notebook shows what each rule saw and gave.

        Raises:
            ConfigError: there is no such entity.
        """
        return explain_entity(self.assessed, entity_id)

    def __len__(self) -> int:
        """Number of entities."""
        return len(self.assessed.entities)

    def counts(self) -> "pd.Series[int]":
        """Give how many have each level, the most frequent first; `no level` where there is none."""
        return self.table()["level"].fillna("no level").value_counts()

    def __repr__(self) -> str:
        """Say how many have each level."""
        counts_text = ", ".join(f"{level} {count:,}" for level, count in self.counts().items())
        return f"<{len(self):,} assessed: {counts_text}>"

    def _repr_html_(self) -> str:
        """Show in a notebook how many have each level, and the first entities."""
        rows = [[str(level), f"{count:,}"] for level, count in self.counts().items()]
        return html_table(f"{len(self):,} assessed", ["level", "entities"], rows) + frame_html(self.table())


def assess(ruleset: str | Path, entities: Part, *, as_of: Moment = None, **parts: Unpack[PortfolioParts]) -> Levels:
    """Assess every entity of a portfolio, as `fivefold rules assess` does.

    Args:
        ruleset: a file, or the name of one that ships, such as `fatf-retail`.
        entities: `entity_id` and the ruleset's fields.
        as_of: nothing later is seen.
        parts: what stands beside the entities; see `Parts`. An empty table says that there are none.

    Raises:
        InvalidRulesetError: the ruleset is none, with every fault by its line; or a part that it reads is not given.
        ConfigError, FileFormatError: a part cannot be used.
    """
    analysed = load_ruleset(str(ruleset))
    with _files(entities, parts) as files:
        return Levels(assess_files([analysed], files, moment_of(as_of)))


def backtest(
    draft: str | Path,
    entities: Part,
    *,
    present: str | Path | None = None,
    as_of: Moment = None,
    sample: int | None = None,
    seed: int = 0,
    **parts: Unpack[PortfolioParts],
) -> "DraftTrial":
    """Compare a draft with the ruleset that decides now, as `fivefold rules backtest` does; nothing is changed.

    Args:
        draft: a file, or the name of a ruleset that ships.
        entities: `entity_id` and the rulesets' fields.
        present: what decides now, likewise; None where nothing does yet.
        as_of: nothing later is seen.
        sample: so many entities, drawn with *seed*; all by default.
        seed: of the sample.
        parts: as in `assess`.

    Raises:
        InvalidRulesetError: a ruleset is none; every fault is named with its line.
        ConfigError, FileFormatError: a part cannot be used, or the two rulesets have other levels.
    """
    rulesets = load_ruleset(str(draft)), None if present is None else load_ruleset(str(present))
    with _files(entities, parts) as files:
        return DraftTrial(backtest_files(*rulesets, files, moment_of(as_of), StandingLevels(), Draw(sample, seed)))


@dataclass(frozen=True)
class DraftTrial:
    """What a draft would change, from `backtest`.

    Attributes:
        result: all of it.
    """

    result: BacktestResult

    def moves(self) -> pd.DataFrame:
        """Give from which level (rows) to which (columns) how many would move, by the rules alone."""
        cells = pd.DataFrame([vars(cell) for cell in self.result.alone])
        if cells.empty:
            return cells
        table = cells.pivot_table(index="before", columns="after", values="entities", fill_value=0, aggfunc="sum")
        order = list(self.result.draft.alone)
        before, after = ([name for name in order if name in side] for side in (table.index, table.columns))
        return table.reindex(index=before, columns=after).astype(int)

    def movers(self) -> pd.DataFrame:
        """Give who changes most."""
        return pd.DataFrame([vars(mover) for mover in self.result.movers])

    def levels(self) -> pd.DataFrame:
        """Give how many entities the draft, and what decides now, put where."""
        sides = {"draft": self.result.draft.alone}
        if self.result.present is not None:
            sides = {"present": self.result.present.alone, **sides}
        return pd.DataFrame(sides).fillna(0).astype(int)

    def __repr__(self) -> str:
        """Say how many the draft puts where."""
        counts_text = ", ".join(f"{level} {count:,}" for level, count in self.result.draft.alone.items() if count)
        return f"<a draft would come to: {counts_text}>"

    def _repr_html_(self) -> str:
        """Show in a notebook the levels, the moves, and what the numbers do not say."""
        cautions = html_table("What the numbers do not say", [""], [[text] for text in self.result.cautions])
        return frame_html(self.levels()) + frame_html(self.moves()) + cautions


_NOT_FILES = frozenset({"lists", "base", "model", "columns"})


@contextmanager
def _files(entities: Part, parts: PortfolioParts) -> Iterator[PortfolioFiles]:
    """Give a portfolio as files: a data frame is written as Parquet meanwhile, so that both are read by one reader."""
    options: dict[str, Any] = dict(parts)
    for part in options:
        if part not in PortfolioParts.__annotations__:
            hint = perhaps(part, PortfolioParts.__annotations__)
            raise TypeError(
                f"{part} does not name a part of a portfolio{hint}; {', '.join(PortfolioParts.__annotations__)} do"
            )
    columns = [f"{theirs}={ours}" for theirs, ours in column_pairs(options.get("columns")).items()]
    lists = options.get("lists")
    with TemporaryDirectory(prefix="fivefold-") as folder, _tables_named(Path(folder)):
        paths = {
            part: _path(content, part, Path(folder))
            for part, content in {"entities": entities, **options}.items()
            if part not in _NOT_FILES and content is not None
        }
        yield PortfolioFiles(
            entities=paths.pop("entities"),
            **paths,
            lists=lists_with(None if lists is None else Path(lists)),
            base=options.get("base", "EUR"),
            names=PortfolioColumns(columns),
            load_model=partial(load_value_model, read_settings(), options.get("model"), DEFAULT_NAME),
            warn=lambda text: warnings.warn(_named(text, Path(folder)), stacklevel=2),
        )


@contextmanager
def _tables_named(folder: Path) -> Iterator[None]:
    """Name a table in an error by its part, and not by the file that it was written to."""
    try:
        yield
    except FileFormatError as error:
        raise FileFormatError(_named(str(error), folder)) from None
    except InvalidDataError as error:
        source = error.source.removeprefix(f"{folder}/")
        raise InvalidDataError(list(error.every), error.count, source, error.beyond) from None


def _named(text: str, folder: Path) -> str:
    return re.sub(rf"{re.escape(str(folder))}/(\w+)\.parquet", r"the table of \1", text)


def _path(content: Part, part: str, folder: Path) -> Path:
    if isinstance(content, str | Path):
        return Path(content)
    require_frame(content, f"the table of {part}")
    path = folder / f"{part}.parquet"
    if isinstance(content, pd.DataFrame):
        content = content.reset_index() if content.index.name is not None else content
        twice = [str(name) for name in content.columns[content.columns.duplicated()]]
        if twice:
            raise FileFormatError(f"the table of {part} has more than one column {twice[0]}")
    if (reason := _why_not_written(content, path)) is None:
        return path
    faults = ((name, _why_not_written(column, path)) for name, column in _columns_of(content))
    where = next((f"column {name} cannot be read: {fault}" for name, fault in faults if fault is not None), None)
    raise FileFormatError(f"the table of {part}: {where or f'it cannot be read: {reason}'}")


def _why_not_written(content: Any, path: Path) -> str | None:
    """Write a table as Parquet; give why where Parquet has no such values, such as text among numbers."""
    try:
        if isinstance(content, pd.DataFrame):
            pl.from_pandas(content, nan_to_null=True).write_parquet(path)
        elif isinstance(content, pa.Table):
            pyarrow.parquet.write_table(content, path)
        else:
            (content if isinstance(content, pl.DataFrame) else pl.DataFrame(content)).write_parquet(path)
    except (pa.ArrowException, pl.exceptions.PolarsError, TypeError, ValueError) as error:
        return str(error).partition("\n")[0].strip()
    return None


def _columns_of(content: Any) -> Iterator[tuple[str, Any]]:
    """Give each column of a data frame as a frame of its own, with its name; of a list of rows none."""
    if isinstance(content, pd.DataFrame):
        yield from ((str(name), content.iloc[:, [place]]) for place, name in enumerate(content.columns))
    elif isinstance(content, pa.Table):
        yield from ((name, content.select([place])) for place, name in enumerate(content.column_names))
    elif isinstance(content, pl.DataFrame):
        yield from ((name, content.select(name)) for name in content.columns)
