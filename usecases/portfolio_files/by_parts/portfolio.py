"""A portfolio cut into parts by its entities; workers work on each as on a whole one.

This machine reads everything but the transactions, which only the workers read.
"""

import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from fivefold.risk.language.expressions import IndicatorInput, ValueInput
from fivefold.usecases.portfolio_files.bundled import ruleset_text
from fivefold.usecases.portfolio_files.by_parts.rows import PART, PartRows, Piece, cut_rows, read_pieces
from fivefold.usecases.portfolio_files.portfolio import PortfolioFiles, UnknownRows, read_portfolio
from fivefold.usecases.portfolio_files.tables import SHOWN, read_slice, without_repeats

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
        portfolio: all of it; of the transactions the columns alone.
        before: the levels until now, and what people set.
    """

    files: PortfolioFiles
    portfolio: Portfolio
    before: PriorState


def refuse_what_needs_all(files: PortfolioFiles, rulesets: Sequence[AnalysedRuleset]) -> None:
    """Refuse what cannot be known part by part, by ConfigError: links, and what the value side computes."""
    if files.links is not None:
        raise ConfigError(
            "--engine spark takes no --links: linked entities may be in another part of the portfolio. Leave it out"
        )
    for each in rulesets:
        if any(isinstance(input_, IndicatorInput | ValueInput) for input_ in each.simple_inputs):
            raise ConfigError(
                f"{each.definition.word} {each.definition.name} reads indicators or the value, which --engine spark "
                "does not compute here. Leave it out"
            )


def read_columns_alone(files: PortfolioFiles, rulesets: Sequence[AnalysedRuleset], as_of: int) -> Portfolio:
    """Read everything but the rows of transactions; errors are those of `read_portfolio`."""
    return read_portfolio(files, rulesets, as_of, partial(read_slice, first=0, rows=0))


def refuse_what_is_missing(whole: LocalPortfolio, ruleset: AnalysedRuleset, as_of: int) -> None:
    """Raise what an assessment raises that is about no entity, before workers do; and what is wrong with entities."""
    timed_entities(whole.portfolio, as_of)
    nobody = replace(whole.portfolio, entities=whole.portfolio.entities.clear())
    assess(ruleset, nobody, as_of, whole.before.standing, whole.before.overrides)


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


class _Unknown(msgspec.Struct, frozen=True):
    """`UnknownRows` of a part: each example with the number of its first row."""

    rows: int
    unknown: int
    nameless: int
    examples: list[tuple[int, str]]


@dataclass(frozen=True)
class _WorkOnPart:
    """Does the work on a part: work of `features.partitions.Engine.run_each`.

    The first result has the unknown rows as its note, and all others are those of the work.
    """

    shell: Portfolio
    work: PartWork

    def __call__(self, file: Path) -> Iterator[Result]:
        part: _Part = pickle.loads(file.read_bytes())  # noqa: S301 (the driver wrote it, where this account alone may)
        assert self.shell.transactions is not None
        read = read_pieces(part.pieces, self.shell.transactions.lazy().collect())
        known_column = "@known"
        rows = without_repeats(read.rows.with_columns(read.is_known.alias(known_column)))
        yield Result(pa.table({}), msgspec.msgpack.encode(_unknown(read, rows, rows[known_column])))
        entities = part.tables["entities"]
        if entities is None or not part.is_worked_on:
            return
        own = rows.drop(known_column).filter(
            rows[ENTITY].is_in(entities[ENTITY].unique().implode()).fill_null(value=False)
        )
        tables: dict[str, Any] = {**part.tables}
        portfolio = replace(self.shell, **tables, transactions=own, everyone=entities)
        try:
            yield from self.work(portfolio, part.before)
        except InvalidRulesetError as error:  # it is more than a text, and only texts come back
            raise ConfigError(str(error)) from error


def _unknown(read: PartRows, rows: pl.DataFrame, is_known: pl.Series) -> _Unknown:
    count = UnknownRows.of(rows, is_known)
    first = pl.DataFrame({ENTITY: read.rows[ENTITY], "number": read.numbers}).filter(~read.is_known)
    examples = first.drop_nulls(ENTITY).unique(ENTITY, keep="first", maintain_order=True).head(SHOWN)
    named = [(number, name) for name, number in examples.iter_rows()]
    return _Unknown(count.rows, count.unknown, count.nameless, named)


def work_by_parts(
    engine: Engine, whole: LocalPortfolio, drawn: pl.DataFrame, work: PartWork, entities_a_part: int = ENTITIES_A_PART
) -> tuple[list[pa.Table], UnknownRows]:
    """Do the work on every part of the entities, and give the tables of its results in their order.

    Args:
        engine: whose workers do it.
        whole: the portfolio.
        drawn: its entities, or those of them who are worked on.
        work: what is done.
        entities_a_part: so many are worked on at once.

    Returns:
        The tables, and which rows of the transactions are of no entity of the whole.
    """
    assert whole.files.transactions is not None
    names = drawn[ENTITY].unique(maintain_order=True)
    places = pl.DataFrame([names, pl.int_range(len(names), dtype=pl.Int32, eager=True).alias(PART) // entities_a_part])
    parts = max(1, -(-len(names) // entities_a_part))
    others = whole.portfolio.entities.select(pl.col(ENTITY).unique()).join(places, on=ENTITY, how="anti")
    every = pl.concat([places, others.with_columns(pl.lit(-1, pl.Int32).alias(PART))])
    pieces = cut_rows(engine, whole.files.transactions, whole.files.names, every, parts)
    files = _write_parts(engine.folder, replace(whole.portfolio, entities=drawn), whole.before, places, pieces)
    absent: dict[str, Any] = dict.fromkeys((*_TABLES[1:], "everyone"))
    shell = replace(whole.portfolio, entities=drawn.clear(), **absent)
    tables, unknown = [], []
    for table, note in engine.run_each(files, _WorkOnPart(shell, work)):
        if note:
            unknown.append(msgspec.msgpack.decode(note, type=_Unknown))
        else:
            tables.append(table)
    first = sorted(example for each in unknown for example in each.examples)[:SHOWN]
    return tables, UnknownRows(
        rows=sum(each.rows for each in unknown),
        unknown=sum(each.unknown for each in unknown),
        nameless=sum(each.nameless for each in unknown),
        examples=tuple(name for _, name in first),
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
