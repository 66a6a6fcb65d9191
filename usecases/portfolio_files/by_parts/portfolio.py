"""A portfolio cut into parts by its entities; workers treat each part as a whole portfolio.

This machine reads everything but the transactions, which only the workers read. Each worker follows the links from the
entities of its part, as one process follows them from all; rows of linked entities go to that part too. Rulesets go to
workers as text, since analysed rulesets cannot be pickled.
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
from fivefold.features.histories import AmountChecks
from fivefold.features.partitions import Engine, Result
from fivefold.risk.compiler.analysis import AnalysedRuleset, analyse_text
from fivefold.risk.engine.assess import assess, timed_entities
from fivefold.risk.facts.groups.links import Links
from fivefold.risk.facts.inputs import Needs
from fivefold.risk.facts.portfolio import ENTITY, Portfolio
from fivefold.risk.facts.transactions import amount_checks_of
from fivefold.risk.governance.backtest.compositions import PriorState
from fivefold.risk.governance.backtest.run import Sampled, draw
from fivefold.risk.language.expressions import Linked, LinkedGroup, ValueInput
from fivefold.risk.language.ruleset import LinkType
from fivefold.usecases.portfolio_files.bundled import ruleset_text
from fivefold.usecases.portfolio_files.by_parts.rows import COPY, PART, Piece, RowsFile, cut_rows, read_pieces
from fivefold.usecases.portfolio_files.by_parts.values import (
    SharedModel,
    ValuesOfParts,
    find_empty_columns,
)
from fivefold.usecases.portfolio_files.columns import columns_read
from fivefold.usecases.portfolio_files.governance import Draw
from fivefold.usecases.portfolio_files.portfolio import (
    FACTS,
    PortfolioFiles,
    TransactionRows,
    UnknownRows,
    declared_fields,
    newest_time,
    read_portfolio,
    warn_about_portfolio,
)
from fivefold.usecases.portfolio_files.tables import SHOWN, read_slice, without_repeats
from fivefold.usecases.portfolio_files.values import ROW, Gap, joined_gaps, value_readers


@dataclass(frozen=True)
class RulesetText:
    """A ruleset that can be pickled.

    Attributes:
        text: the text of its file.
        source: the path of the file, or the name of a ruleset that ships.
    """

    text: str
    source: str

    @classmethod
    def read(cls, source: str) -> "RulesetText":
        """Read it; ConfigError if *source* is neither a file nor a ruleset that ships."""
        return cls(ruleset_text(source), source)

    def analysed(self) -> AnalysedRuleset:
        """Return the analysed ruleset, cached in a process; InvalidRulesetError names everything that is wrong."""
        return _analysed(self.text, self.source)


@lru_cache(maxsize=8)
def _analysed(text: str, source: str) -> AnalysedRuleset:
    return analyse_text(text, source)


@dataclass(frozen=True)
class SharedLinks:
    """Links in a file that workers share, and the groups that rulesets make of them; can be pickled.

    Attributes:
        file: the file of all links.
        rulesets: the rulesets that follow them.
        as_of: the moment, microseconds.
    """

    file: Path
    rulesets: Sequence[RulesetText]
    as_of: int

    @classmethod
    def of(cls, links: Links | None, folder: Path, rulesets: Sequence[RulesetText], as_of: int) -> "SharedLinks | None":
        """Write the links to the folder; None if no ruleset follows any."""
        if links is None or not _groups(rulesets):
            return None
        links.frame.write_ipc(folder / "links.arrow", compression="uncompressed")
        return cls(folder / "links.arrow", rulesets, as_of)

    def load(self) -> Links:
        """Return the links, cached in a process."""
        return _links(self.file)

    def members(self, entities: Sequence[str]) -> list[str]:
        """Return the other entities that *entities* are linked to, in alphabetical order."""
        links = self.load()
        members = {
            member
            for group, declared in _groups(self.rulesets)
            for entity in entities
            for member in links.neighbourhood(entity, self.as_of, group, declared).members
        }
        return sorted(members.difference(entities))


@lru_cache(maxsize=1)
def _links(file: Path) -> Links:
    return Links(pl.scan_ipc(file, glob=False).collect())


def _groups(rulesets: Sequence[RulesetText]) -> list[tuple[LinkedGroup, LinkType]]:
    """Return the groups that rulesets read, with the declared types of their links."""
    groups = []
    for analysed in (each.analysed() for each in rulesets):
        linked = [each.linked for each in Needs.of(analysed).everything() if isinstance(each, Linked)]
        groups += [(group, analysed.definition.links[group.by]) for group in linked]
    return groups


def find_members(engine: Engine, links: SharedLinks, names: Sequence[pl.Series]) -> list[pl.Series]:
    """Return for each part the other entities that its entities are linked to, known or not.

    Args:
        engine: the engine whose workers follow the links.
        links: all links.
        names: the names of the entities of each part.
    """
    files = []
    for number, entities in enumerate(names):
        files.append(engine.folder / f"names-{number}.arrow")
        entities.to_frame(ENTITY).write_ipc(files[-1])
    return [
        pl.Series(ENTITY, table[ENTITY], dtype=pl.String) for table, _ in engine.run_each(files, _FindMembers(links))
    ]


@dataclass(frozen=True)
class _FindMembers:
    """Follows the links of a part: work of `features.partitions.Engine.run_each`."""

    links: SharedLinks

    def __call__(self, file: Path) -> Iterator[Result]:
        entities = pl.scan_ipc(file, glob=False).collect()[ENTITY].to_list()
        yield Result(pa.table({ENTITY: pa.array(self.links.members(entities), pa.large_string())}), b"")


ENTITIES_A_PART: Final = 10_000

PartWork = Callable[[Portfolio, PriorState], Iterator[Result]]
"""Work on a part, which has at least one entity unless the whole has none; can be pickled."""


@dataclass(frozen=True)
class LocalPortfolio:
    """A portfolio as this machine has it.

    Attributes:
        files: the files that it was read from.
        rulesets: all rulesets that read it.
        as_of: the moment, microseconds.
        portfolio: the portfolio, with the columns but no rows of the transactions.
        before: the levels until now, what decided, and the levels that people set.
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


def read_columns_alone(files: PortfolioFiles, rulesets: Sequence[AnalysedRuleset], as_of: int) -> Portfolio:
    """Read everything but the rows of transactions; errors are those of `read_portfolio`."""
    return read_portfolio(files, rulesets, as_of, partial(read_slice, first=0, rows=0))


def refuse_what_is_missing(whole: LocalPortfolio, ruleset: AnalysedRuleset) -> None:
    """Raise, before workers do, errors of the entities, and errors of an assessment that concern no single entity."""
    timed_entities(whole.portfolio, whole.as_of)
    nobody = replace(whole.portfolio, entities=whole.portfolio.entities.clear())
    assess(ruleset, nobody, whole.as_of, whole.before.standing, whole.before.overrides)


def draw_part(whole: LocalPortfolio, drawn: Draw, asked_first: Iterable[AnalysedRuleset]) -> Sampled:
    """Draw the entities to backtest; errors as `draw`, and those of the rulesets in *asked_first*."""
    sample = draw(whole.portfolio, whole.as_of, drawn.size, drawn.seed)
    for each in asked_first:
        refuse_what_is_missing(replace(whole, portfolio=sample.portfolio), each)
    return sample


@dataclass(frozen=True)
class _Part:
    """The part of a portfolio that a worker reads.

    Attributes:
        tables: tables of its entities and their linked entities, by the attribute of the portfolio.
        before: the levels of its entities.
        pieces: the pieces of its transactions.
        is_worked_on: whether it has an entity, or is the first part of a portfolio without entities.
    """

    tables: Mapping[str, pl.DataFrame | None]
    before: PriorState
    pieces: Sequence[Piece]
    is_worked_on: bool


class _Note(msgspec.Struct, frozen=True):
    """What warnings need of a part's rows: `TransactionRows`, each example with its first row's number, and gaps."""

    rows: int
    unknown: int
    nameless: int
    examples: list[tuple[int, str]]
    newest: int | None
    amount_checks: AmountChecks
    gaps: list[Gap]


@dataclass(frozen=True)
class _WorkOnPart:
    """Does the work on a part, in `features.partitions.Engine.run_each`.

    The first result has a `_Note`; all others are results of the work.
    """

    shell: Portfolio
    work: PartWork
    rulesets: Sequence[RulesetText]
    values: ValuesOfParts | None
    links: SharedLinks | None

    def __call__(self, file: Path) -> Iterator[Result]:
        part, rows, copies = _read_part(file, self.shell)
        gaps: list[Gap] = []
        tables: dict[str, Any] = {**part.tables, "links": self.links and self.links.load()}
        if self.values is not None:  # groups never read indicators or values of linked entities
            analysed = [each.analysed() for each in self.rulesets]
            tables["indicators"], tables["values"] = self.values.frames(analysed, rows.drop(_KNOWN), gaps.append)
        yield Result(pa.table({}), msgspec.msgpack.encode(_note_of(rows, gaps)))
        entities = part.tables["entities"]
        if entities is None or not part.is_worked_on:
            return
        own = rows.filter(rows[ENTITY].is_in(entities[ENTITY].unique().implode()).fill_null(value=False))
        transactions = _in_order(own, copies).drop(_KNOWN, ROW)
        portfolio = replace(self.shell, **tables, transactions=transactions)
        try:
            yield from self.work(portfolio, part.before)
        except InvalidRulesetError as error:  # has more than a text, and workers return only texts
            raise ConfigError(str(error)) from error


_PICKLED: Final = "pickled"


def pickled_result(value: object, **columns: pa.Array) -> Result:
    """Return the result of a part that holds a value, and beside it *columns* of one row."""
    content = pa.array([pickle.dumps(value, pickle.HIGHEST_PROTOCOL)], pa.large_binary())
    return Result(pa.table({_PICKLED: content, **columns}), b"")


def unpickled(table: pa.Table) -> Any:
    """Return the value of a result of `pickled_result`."""
    return pickle.loads(table[_PICKLED][0].as_buffer())  # noqa: S301 (a worker wrote it, where this account alone may)


_KNOWN: Final = "@known"


def _read_part(file: Path, shell: Portfolio) -> tuple[_Part, pl.DataFrame, pl.DataFrame]:
    """Read a part, its rows, and copies of rows of linked entities.

    Both have `ROW` and whether their entity is known, and leave out repeats.
    """
    part: _Part = pickle.loads(file.read_bytes())  # noqa: S301 (the driver wrote it, where this account alone may)
    assert shell.transactions is not None
    read = read_pieces(part.pieces, shell.transactions.lazy().collect())
    rows = read.rows.with_columns(read.is_known.alias(_KNOWN), read.numbers.alias(ROW))
    return part, without_repeats(rows.filter(~read.is_copy), ROW), without_repeats(rows.filter(read.is_copy), ROW)


def _in_order(rows: pl.DataFrame, copies: pl.DataFrame) -> pl.DataFrame:
    """Join rows and copies in the order of their source; either may lack the column of contradictions."""
    if copies.is_empty():
        return rows
    return pl.concat([rows, copies], how="diagonal").sort(ROW)


def _rows_of_part(file: Path, shell: Portfolio) -> pl.DataFrame:
    _, rows, _ = _read_part(file, shell)
    return rows


def _note_of(rows: pl.DataFrame, gaps: list[Gap]) -> _Note:
    count = UnknownRows.of(rows, rows[_KNOWN])
    first = rows.filter(~pl.col(_KNOWN)).select(ENTITY, ROW).drop_nulls(ENTITY)
    examples = first.unique(ENTITY, keep="first", maintain_order=True).head(SHOWN)
    named = [(number, name) for name, number in examples.iter_rows()]
    return _Note(count.rows, count.unknown, count.nameless, named, newest_time(rows), amount_checks_of(rows), gaps)


@dataclass(frozen=True)
class WorkedParts:
    """The results of all parts.

    Attributes:
        tables: the tables of the results, in the order of the parts.
        transactions: what warnings need to know about the rows of transactions.
        gaps: columns that rows lack for indicators or the value.
    """

    tables: Sequence[pa.Table]
    transactions: TransactionRows
    gaps: Sequence[Gap]

    def warn(self, whole: LocalPortfolio) -> None:
        """Warn about the portfolio as one process does."""
        for gap in self.gaps:
            whole.files.note(gap)
        warn_about_portfolio(whole.files, whole.portfolio, whole.analysed, whole.as_of, self.transactions)


def work_by_parts(
    engine: Engine, whole: LocalPortfolio, drawn: pl.DataFrame, work: PartWork, entities_a_part: int = ENTITIES_A_PART
) -> WorkedParts:
    """Do the work on every part of the entities.

    Args:
        engine: the engine whose workers do it.
        whole: the portfolio.
        drawn: the entities to work on, all or a sample.
        work: the work on a part.
        entities_a_part: how many entities a part has.
    """
    assert whole.files.transactions is not None
    names = drawn[ENTITY].unique(maintain_order=True)
    places = pl.DataFrame([names, pl.int_range(len(names), dtype=pl.Int32, eager=True).alias(PART) // entities_a_part])
    parts = max(1, -(-len(names) // entities_a_part))
    others = whole.portfolio.entities.select(pl.col(ENTITY).unique()).join(places, on=ENTITY, how="anti")
    links = SharedLinks.of(whole.portfolio.links, engine.folder, whole.rulesets, whole.as_of)
    copies = _copies(engine, links, whole.portfolio, places, parts)
    every = pl.concat([places, others.with_columns(pl.lit(-1, pl.Int32).alias(PART))])
    owners = pl.concat([every.with_columns(pl.lit(False).alias(COPY)), copies.with_columns(pl.lit(True).alias(COPY))])
    reads = columns_read("transactions", declared_fields(whole.analysed))
    source = RowsFile(whole.files.transactions, whole.files.names, reads)
    pieces = cut_rows(engine, source, owners, parts)
    portfolio = replace(whole.portfolio, entities=drawn)
    files = _write_parts(engine.folder, portfolio, whole.before, places, copies, pieces)
    absent: dict[str, Any] = dict.fromkeys((*FACTS, "everyone", "links", "indicators", "values"))
    shell = replace(portfolio, entities=drawn.clear(), **absent)
    values = _values_of_parts(engine, whole, files, shell)
    tables, notes = [], []
    for table, note in engine.run_each(files, _WorkOnPart(shell, work, whole.rulesets, values, links)):
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
    newest = max((each.newest for each in notes if each.newest is not None), default=None)
    transactions = TransactionRows(unknown, newest, AmountChecks.joined(each.amount_checks for each in notes))
    return WorkedParts(tables, transactions, joined_gaps(gap for each in notes for gap in each.gaps))


def _values_of_parts(
    engine: Engine, whole: LocalPortfolio, files: Sequence[Path], shell: Portfolio
) -> ValuesOfParts | None:
    """Prepare the computation of indicators and values by workers; None if no ruleset reads them."""
    readers = value_readers(whole.analysed)
    if not readers:
        return None
    assert whole.files.transactions is not None
    model = SharedModel.of(whole.files.load_model(), engine.folder / "model") if ValueInput in readers else None
    empty = find_empty_columns(engine, files, partial(_rows_of_part, shell=shell), whole.as_of)
    return ValuesOfParts(
        rates=shell.rates, as_of=whole.as_of, source=whole.files.transactions, model=model, empty=empty
    )


def _copies(
    engine: Engine, links: SharedLinks | None, portfolio: Portfolio, places: pl.DataFrame, parts: int
) -> pl.DataFrame:
    """Return the entities that entities of a part are linked to, and that are outside the part, with its `PART`."""
    if links is None:
        return places.clear()
    names = [places.filter(pl.col(PART) == number)[ENTITY] for number in range(parts)]
    members = [
        others.to_frame().with_columns(pl.lit(number, pl.Int32).alias(PART))
        for number, others in enumerate(find_members(engine, links, names))
    ]
    return pl.concat(members).join(portfolio.entities.select(pl.col(ENTITY).unique()), on=ENTITY, how="semi")


def _write_parts(
    folder: Path,
    portfolio: Portfolio,
    before: PriorState,
    places: pl.DataFrame,
    copies: pl.DataFrame,
    pieces: Sequence[Sequence[Piece]],
) -> list[Path]:
    """Write a file for each part, for its worker to read."""
    count = len(pieces)
    with_copies = pl.concat([places, copies])
    tables = {name: _split(getattr(portfolio, name), with_copies, count) for name in ("everyone", *FACTS)}
    tables["entities"] = _split(portfolio.entities, places, count)
    standing, overrides = (_split(frame, places, count) for frame in (before.standing, before.overrides))
    names = _split(places.select(ENTITY), places, count)
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
    """Split a table by the parts of its entities, in its order; rows of other entities are left out."""
    if frame is None:
        return [None] * parts
    placed = frame.join(places, on=ENTITY, how="inner", maintain_order="left")
    split = placed.partition_by(PART, as_dict=True, include_key=False, maintain_order=True)
    return [split.get((number,), frame.clear()) for number in range(parts)]
