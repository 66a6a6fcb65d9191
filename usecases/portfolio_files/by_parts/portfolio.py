"""A portfolio cut into parts by its entities; workers work on each as on a whole one.

This machine reads everything but the transactions, which only the workers read. Workers follow the links, each from
the entities of its part, as one process follows them from all; rows of whom they are linked to go to that part too.
Rulesets go to workers as text, since what was analysed cannot be pickled.
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
class SharedLinks:
    """Links in a file that workers share, and the groups that rulesets make of them; it can be pickled.

    Attributes:
        file: of all links.
        rulesets: that follow them.
        as_of: the moment, microseconds.
    """

    file: Path
    rulesets: Sequence[RulesetText]
    as_of: int

    @classmethod
    def of(cls, links: Links | None, folder: Path, rulesets: Sequence[RulesetText], as_of: int) -> "SharedLinks | None":
        """Write the links to the folder; None where no ruleset follows any."""
        if links is None or not _groups(rulesets):
            return None
        links.frame.write_ipc(folder / "links.arrow", compression="uncompressed")
        return cls(folder / "links.arrow", rulesets, as_of)

    def load(self) -> Links:
        """Read them, once in a process."""
        return _links(self.file)

    def members(self, entities: Sequence[str]) -> list[str]:
        """List the others to whom entities are linked, in alphabetical order."""
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
    """List the groups that rulesets read, with how their links are declared."""
    groups = []
    for analysed in (each.analysed() for each in rulesets):
        linked = [each.linked for each in Needs.of(analysed).everything() if isinstance(each, Linked)]
        groups += [(group, analysed.definition.links[group.by]) for group in linked]
    return groups


def find_members(engine: Engine, links: SharedLinks, names: Sequence[pl.Series]) -> list[pl.Series]:
    """Give for each part the others to whom its entities are linked, known or not.

    Args:
        engine: whose workers follow the links.
        links: all of them.
        names: of the entities of each part.
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
"""On a part, which has an entity unless the whole has none; it can be pickled."""


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
        tables: of its entities, and of those to whom they are linked, by the attribute of the portfolio.
        before: the levels of its entities.
        pieces: of its transactions.
        is_worked_on: it has an entity, or it is the first of a portfolio that has none.
    """

    tables: Mapping[str, pl.DataFrame | None]
    before: PriorState
    pieces: Sequence[Piece]
    is_worked_on: bool


class _Note(msgspec.Struct, frozen=True):
    """To be said of the rows of a part: `TransactionRows`, each example with the number of its first row, and gaps."""

    rows: int
    unknown: int
    nameless: int
    examples: list[tuple[int, str]]
    newest: int | None
    amount_checks: AmountChecks
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
    links: SharedLinks | None

    def __call__(self, file: Path) -> Iterator[Result]:
        part, rows, copies = _read_part(file, self.shell)
        gaps: list[Gap] = []
        tables: dict[str, Any] = {**part.tables, "links": self.links and self.links.load()}
        if self.values is not None:  # no group reads indicators or the value of those linked
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


def _read_part(file: Path, shell: Portfolio) -> tuple[_Part, pl.DataFrame, pl.DataFrame]:
    """Read a part, its rows, and the copies of rows of those linked; rows with `ROW` and whether their entity is known.

    Repeats are left out of both.
    """
    part: _Part = pickle.loads(file.read_bytes())  # noqa: S301 (the driver wrote it, where this account alone may)
    assert shell.transactions is not None
    read = read_pieces(part.pieces, shell.transactions.lazy().collect())
    rows = read.rows.with_columns(read.is_known.alias(_KNOWN), read.numbers.alias(ROW))
    return part, without_repeats(rows.filter(~read.is_copy), ROW), without_repeats(rows.filter(read.is_copy), ROW)


def _in_order(rows: pl.DataFrame, copies: pl.DataFrame) -> pl.DataFrame:
    """Put rows and copies in the order of their source; one of both may have no column of contradictions."""
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
    """What became of all parts.

    Attributes:
        tables: of the results, in the order of the parts.
        transactions: what is to be said of their rows.
        gaps: what rows lack that the value side reads.
    """

    tables: Sequence[pa.Table]
    transactions: TransactionRows
    gaps: Sequence[Gap]

    def warn(self, whole: LocalPortfolio) -> None:
        """Warn of the portfolio as one process does."""
        for gap in self.gaps:
            whole.files.note(gap)
        warn_about_portfolio(whole.files, whole.portfolio, whole.analysed, whole.as_of, self.transactions)


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


def _copies(
    engine: Engine, links: SharedLinks | None, portfolio: Portfolio, places: pl.DataFrame, parts: int
) -> pl.DataFrame:
    """Give the entities, with their `PART`, to whom those of a part are linked, and who are not of the part."""
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
    """Write a file for each part, which its worker reads."""
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
    """Split a table by the parts of its entities, in its order; rows of others are left out."""
    if frame is None:
        return [None] * parts
    placed = frame.join(places, on=ENTITY, how="inner", maintain_order="left")
    split = placed.partition_by(PART, as_dict=True, include_key=False, maintain_order=True)
    return [split.get((number,), frame.clear()) for number in range(parts)]
