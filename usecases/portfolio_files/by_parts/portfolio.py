"""A portfolio cut into parts by its entities; workers work on each as on a whole one.

This machine reads everything but the transactions, which only the workers read.
"""

import pickle
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Final

import msgspec
import polars as pl
import pyarrow as pa

from fivefold.domain.errors import ConfigError, InvalidRulesetError
from fivefold.features.partitions import Engine, Result
from fivefold.risk.compiler.analysis import AnalysedRuleset, analyse_text
from fivefold.risk.engine.assess import assess, timed_entities
from fivefold.risk.facts.portfolio import ENTITY, Portfolio
from fivefold.risk.governance.backtest.compositions import PriorState
from fivefold.risk.governance.backtest.run import Sampled, draw
from fivefold.risk.language.expressions import ValueInput
from fivefold.usecases.portfolio_files.bundled import ruleset_text
from fivefold.usecases.portfolio_files.by_parts.rows import PART, PartRows, Piece, cut_rows, read_pieces
from fivefold.usecases.portfolio_files.by_parts.values import (
    SharedModel,
    ValuesOfParts,
    find_empty_columns,
)
from fivefold.usecases.portfolio_files.governance import Draw
from fivefold.usecases.portfolio_files.portfolio import (
    PortfolioFiles,
    UnknownRows,
    read_portfolio,
    warn_about_portfolio,
)
from fivefold.usecases.portfolio_files.tables import SHOWN, read_slice, without_repeats
from fivefold.usecases.portfolio_files.values import ROW, Gap, joined_gaps, value_readers

ENTITIES_A_PART: Final = 10_000
_TABLES: Final = ("entities", "cases", "alerts", "tags", "screenings")

PartWork = Callable[[Portfolio, PriorState], Iterator[Result]]
"""On a part, which has an entity unless the whole has none; it can be pickled."""


@dataclass(frozen=True)
class RulesetText:
    """A ruleset as workers get it: what was analysed cannot be pickled.

    Attributes:
        text: of its file.
        source: a file, or the name of one that ships.
    """

    text: str
    source: str

    @classmethod
    def read(cls, source: str) -> "RulesetText":
        """Read it; InvalidRulesetError where there is none."""
        return cls(ruleset_text(source), source)

    def analysed(self) -> AnalysedRuleset:
        """Analyse it, once in a process; InvalidRulesetError names everything that is wrong with it."""
        return _analysed(self.text, self.source)


@lru_cache(maxsize=8)
def _analysed(text: str, source: str) -> AnalysedRuleset:
    return analyse_text(text, source)


@dataclass(frozen=True)
class LocalPortfolio:
    """A portfolio as this machine has it.

    Attributes:
        files: where it was read.
        rulesets: all that read it.
        as_of: the moment, microseconds.
        portfolio: all of it; of the transactions the columns alone.
        before: the levels until now, and what people set.
    """

    files: PortfolioFiles
    rulesets: Sequence[RulesetText]
    as_of: int
    portfolio: Portfolio
    before: PriorState

    @property
    def analysed(self) -> list[AnalysedRuleset]:
        """The rulesets, analysed."""
        return [each.analysed() for each in self.rulesets]


def refuse_links(files: PortfolioFiles) -> None:
    """Refuse links, by ConfigError: what they lead to cannot be known part by part."""
    if files.links is not None:
        raise ConfigError(
            "--engine spark takes no --links: linked entities may be in another part of the portfolio. Leave it out"
        )


def read_columns_alone(files: PortfolioFiles, rulesets: Sequence[AnalysedRuleset], as_of: int) -> Portfolio:
    """Read everything but the rows of transactions; errors are those of `read_portfolio`."""
    return read_portfolio(files, rulesets, as_of, partial(read_slice, first=0, rows=0))


def refuse_what_is_missing(whole: LocalPortfolio, ruleset: AnalysedRuleset) -> None:
    """Raise what an assessment raises that is about no entity, before workers do; and what is wrong with entities."""
    timed_entities(whole.portfolio, whole.as_of)
    nobody = replace(whole.portfolio, entities=whole.portfolio.entities.clear())
    assess(ruleset, nobody, whole.as_of, whole.before.standing, whole.before.overrides)


def draw_part(whole: LocalPortfolio, drawn: Draw, asked_first: Iterable[AnalysedRuleset]) -> Sampled:
    """Draw who is backtested; ConfigError as of `draw`, and of the rulesets that are surely asked what they lack."""
    sample = draw(whole.portfolio, whole.as_of, drawn.size, drawn.seed)
    for each in asked_first:
        refuse_what_is_missing(replace(whole, portfolio=sample.portfolio), each)
    return sample


@dataclass(frozen=True)
class _Part:
    """What a worker reads of a part.

    Attributes:
        tables: of its entities, by the attribute of the portfolio.
        before: the levels of its entities.
        pieces: of its transactions.
        is_worked_on: it has an entity, or it is the first of a portfolio that has none.
    """

    tables: Mapping[str, pl.DataFrame | None]
    before: PriorState
    pieces: Sequence[Piece]
    is_worked_on: bool


class _Note(msgspec.Struct, frozen=True):
    """To be said of the rows of a part: `UnknownRows`, each example with the number of its first row, and gaps."""

    rows: int
    unknown: int
    nameless: int
    examples: list[tuple[int, str]]
    gaps: list[Gap]


@dataclass(frozen=True)
class _WorkOnPart:
    """Does the work on a part: work of `features.partitions.Engine.run_each`.

    The first result has a `_Note`, and all others are those of the work.
    """

    shell: Portfolio
    work: PartWork
    rulesets: Sequence[RulesetText]
    values: ValuesOfParts | None

    def __call__(self, file: Path) -> Iterator[Result]:
        part, read, rows = _read_part(file, self.shell)
        gaps: list[Gap] = []
        tables: dict[str, Any] = {**part.tables}
        if self.values is not None:
            analysed = [each.analysed() for each in self.rulesets]
            tables["indicators"], tables["values"] = self.values.frames(analysed, rows, gaps.append)
        yield Result(pa.table({}), msgspec.msgpack.encode(_note_of(read, rows, gaps)))
        entities = part.tables["entities"]
        if entities is None or not part.is_worked_on:
            return
        own = rows.drop(_KNOWN, ROW).filter(
            rows[ENTITY].is_in(entities[ENTITY].unique().implode()).fill_null(value=False)
        )
        portfolio = replace(self.shell, **tables, transactions=own, everyone=entities)
        try:
            yield from self.work(portfolio, part.before)
        except InvalidRulesetError as error:  # it is more than a text, and only texts come back
            raise ConfigError(str(error)) from error


_PICKLED: Final = "pickled"


def pickled_result(value: object, **columns: pa.Array) -> Result:
    """Make the result of a part of a value, and of *columns* of one row beside it."""
    content = pa.array([pickle.dumps(value, pickle.HIGHEST_PROTOCOL)], pa.large_binary())
    return Result(pa.table({_PICKLED: content, **columns}), b"")


def unpickled(table: pa.Table) -> Any:
    """Give the value of a result of `pickled_result`."""
    return pickle.loads(table[_PICKLED][0].as_buffer())  # noqa: S301 (a worker wrote it, where this account alone may)


_KNOWN: Final = "@known"


def _read_part(file: Path, shell: Portfolio) -> tuple[_Part, PartRows, pl.DataFrame]:
    """Read a part, its rows as they are, and those that count, with their `ROW` and whether their entity is known."""
    part: _Part = pickle.loads(file.read_bytes())  # noqa: S301 (the driver wrote it, where this account alone may)
    assert shell.transactions is not None
    read = read_pieces(part.pieces, shell.transactions.lazy().collect())
    rows = without_repeats(read.rows.with_columns(read.is_known.alias(_KNOWN), read.numbers.alias(ROW)), ROW)
    return part, read, rows


def _rows_of_part(file: Path, shell: Portfolio) -> pl.DataFrame:
    *_, rows = _read_part(file, shell)
    return rows


def _note_of(read: PartRows, rows: pl.DataFrame, gaps: list[Gap]) -> _Note:
    count = UnknownRows.of(rows, rows[_KNOWN])
    first = pl.DataFrame({ENTITY: read.rows[ENTITY], "number": read.numbers}).filter(~read.is_known)
    examples = first.drop_nulls(ENTITY).unique(ENTITY, keep="first", maintain_order=True).head(SHOWN)
    named = [(number, name) for name, number in examples.iter_rows()]
    return _Note(count.rows, count.unknown, count.nameless, named, gaps)


@dataclass(frozen=True)
class WorkedParts:
    """What became of all parts.

    Attributes:
        tables: of the results, in the order of the parts.
        unknown: which rows of the transactions are of no entity of the whole.
        gaps: what rows lack that the value side reads.
    """

    tables: Sequence[pa.Table]
    unknown: UnknownRows
    gaps: Sequence[Gap]

    def warn(self, whole: LocalPortfolio) -> None:
        """Warn of the portfolio as one process does."""
        for gap in self.gaps:
            whole.files.note(gap)
        warn_about_portfolio(whole.files, whole.portfolio, whole.analysed, self.unknown)


def work_by_parts(
    engine: Engine, whole: LocalPortfolio, drawn: pl.DataFrame, work: PartWork, entities_a_part: int = ENTITIES_A_PART
) -> WorkedParts:
    """Do the work on every part of the entities.

    Args:
        engine: whose workers do it.
        whole: the portfolio.
        drawn: its entities, or those of them who are worked on.
        work: what is done.
        entities_a_part: so many are worked on at once.
    """
    assert whole.files.transactions is not None
    names = drawn[ENTITY].unique(maintain_order=True)
    places = pl.DataFrame([names, pl.int_range(len(names), dtype=pl.Int32, eager=True).alias(PART) // entities_a_part])
    parts = max(1, -(-len(names) // entities_a_part))
    others = whole.portfolio.entities.select(pl.col(ENTITY).unique()).join(places, on=ENTITY, how="anti")
    every = pl.concat([places, others.with_columns(pl.lit(-1, pl.Int32).alias(PART))])
    pieces = cut_rows(engine, whole.files.transactions, whole.files.names, every, parts)
    files = _write_parts(engine.folder, replace(whole.portfolio, entities=drawn), whole.before, places, pieces)
    absent: dict[str, Any] = dict.fromkeys((*_TABLES[1:], "everyone", "indicators", "values"))
    shell = replace(whole.portfolio, entities=drawn.clear(), **absent)
    values = _values_of_parts(engine, whole, files, shell)
    tables, notes = [], []
    for table, note in engine.run_each(files, _WorkOnPart(shell, work, whole.rulesets, values)):
        if note:
            notes.append(msgspec.msgpack.decode(note, type=_Note))
        else:
            tables.append(table)
    first = sorted(example for each in notes for example in each.examples)[:SHOWN]
    unknown = UnknownRows(
        rows=sum(each.rows for each in notes),
        unknown=sum(each.unknown for each in notes),
        nameless=sum(each.nameless for each in notes),
        examples=tuple(name for _, name in first),
    )
    return WorkedParts(tables, unknown, joined_gaps(gap for each in notes for gap in each.gaps))


def _values_of_parts(
    engine: Engine, whole: LocalPortfolio, files: Sequence[Path], shell: Portfolio
) -> ValuesOfParts | None:
    """Prepare what workers compute of the value side; None where no ruleset reads it."""
    readers = value_readers(whole.analysed)
    if not readers:
        return None
    assert whole.files.transactions is not None
    model = SharedModel.of(whole.files.load_model(), engine.folder / "model") if ValueInput in readers else None
    empty = find_empty_columns(engine, files, partial(_rows_of_part, shell=shell), whole.as_of)
    return ValuesOfParts(
        rates=shell.rates, as_of=whole.as_of, source=whole.files.transactions, model=model, empty=empty
    )


def _write_parts(
    folder: Path, portfolio: Portfolio, before: PriorState, places: pl.DataFrame, pieces: Sequence[Sequence[Piece]]
) -> list[Path]:
    """Write a file for each part, which its worker reads."""
    tables = {name: _split(getattr(portfolio, name), places, len(pieces)) for name in _TABLES}
    standing, overrides = (_split(frame, places, len(pieces)) for frame in (before.standing, before.overrides))
    names = _split(places.select(ENTITY), places, len(pieces))
    files = []
    for number, own in enumerate(pieces):
        of_part: Any = names[number]
        families = {name: before.families[name] for name in of_part[ENTITY] if name in before.families}
        part = _Part(
            {name: split[number] for name, split in tables.items()},
            PriorState(standing[number], families, overrides[number]),
            own,
            is_worked_on=number == 0 or len(of_part) > 0,
        )
        files.append(folder / f"part-{number}.pickle")
        files[-1].write_bytes(pickle.dumps(part, pickle.HIGHEST_PROTOCOL))
    return files


def _split(frame: pl.DataFrame | None, places: pl.DataFrame, parts: int) -> Sequence[pl.DataFrame | None]:
    """Split a table by the parts of its entities, in its order; rows of others are left out."""
    if frame is None:
        return [None] * parts
    placed = frame.join(places, on=ENTITY, how="inner", maintain_order="left")
    split = placed.partition_by(PART, as_dict=True, include_key=False, maintain_order=True)
    return [split.get((number,), frame.clear()) for number in range(parts)]
