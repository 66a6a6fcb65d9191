"""Read a portfolio from files: entities and everything linked to them, as rulesets read it."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import polars as pl

from fivefold.domain.clock import DAY_US, day_text, from_microseconds
from fivefold.domain.errors import ConfigError, InvalidRulesetError
from fivefold.domain.money import RateTable, ecb_rates, is_currency_code
from fivefold.domain.rate_files import read_rates
from fivefold.domain.text import perhaps
from fivefold.features.histories import AmountChecks
from fivefold.features.schema import DATE, TRANSACTION_ID, USER_ID
from fivefold.models.reach import STALE_DAYS, doubts_of_amounts
from fivefold.risk.compiler.analysis import Analysed
from fivefold.risk.compiler.diagnostics import findings
from fivefold.risk.compiler.purposes import Sources
from fivefold.risk.engine.explain.describe import input_words
from fivefold.risk.facts.groups.links import FROM, TO, TYPE, Links
from fivefold.risk.facts.peers import other_peers, peers_in, read_reference
from fivefold.risk.facts.portfolio import ENTITY, NamedList, Portfolio
from fivefold.risk.facts.reading import read_time
from fivefold.risk.facts.transactions import amount_checks_of
from fivefold.risk.language.expressions import ScreeningInput, TagInput
from fivefold.risk.language.purposes import Purpose
from fivefold.usecases.portfolio_files.columns import PortfolioColumns, columns_read, refuse_misspelt
from fivefold.usecases.portfolio_files.tables import (
    SHOWN,
    TableFile,
    Warn,
    read_entities,
    read_linked,
    read_links,
    without_repeats,
)
from fivefold.usecases.portfolio_files.values import ROW, Gap, ValueSide, value_readers

if TYPE_CHECKING:
    from fivefold.models.value_model import ValueModel

FACTS: Final = ("cases", "alerts", "tags", "screenings")
"""Parts with facts beside transactions; each row of these is linked to an entity."""
_LINKED: Final = ("transactions", *FACTS)
FEWEST_ROWS: Final = 1_000
"""With fewer transactions, a week without one is usual."""
_NAMED: Mapping[Any, str] = {TagInput: "tag", ScreeningInput: "screening"}


@dataclass(frozen=True, kw_only=True)
class PortfolioFiles:
    """The files of a portfolio; None for a part without one.

    Attributes:
        entities: `entity_id` (or `user_id`) and the ruleset's fields.
        transactions: rows as the API names them, and the ruleset's own fields.
        cases: `entity_id`, `opened`, `closed`, `outcome`.
        alerts: the same for alerts.
        tags: `entity_id`, `tag`, perhaps `from` and `until`.
        screenings: `entity_id`, `screening`, `found`, perhaps `at`.
        links: `type`, `from`, `to`, perhaps `valid_from` and `valid_until`.
        lists: the named lists that rulesets read.
        base: the base currency of money.
        rates: the operator's own table of rates; None for the ECB's.
        names: our names of the files' columns.
        load_model: loads the value model; called if a ruleset reads the value.
        warn: called with each warning as it arises.
    """

    entities: Path
    transactions: Path | None = None
    cases: Path | None = None
    alerts: Path | None = None
    tags: Path | None = None
    screenings: Path | None = None
    links: Path | None = None
    lists: Mapping[str, NamedList]
    base: str = "EUR"
    rates: Path | None = None
    names: PortfolioColumns = field(default_factory=PortfolioColumns)
    load_model: "Callable[[], ValueModel]"
    warn: Warn

    def note(self, gap: Gap) -> None:
        """Warn of what rows lack."""
        self.warn(str(gap))

    def table(self, part: str, path: Path, declared: Collection[str] = ()) -> TableFile:
        """Return the file of a part, its columns by our names; *declared* are the fields that rulesets declare.

        Reading it raises FileFormatError if a column has nearly the name of an absent optional one.
        """

        def rename(frame: pl.DataFrame) -> pl.DataFrame:
            ours = self.names.rename(part, frame, str(path))
            refuse_misspelt(part, ours.columns, str(path), declared)
            return ours

        return TableFile(path, self.warn, rename, columns_read(part, declared))


def read_portfolio(
    files: PortfolioFiles,
    rulesets: Sequence[Analysed[Any]],
    as_of: int,
    read_transactions: Callable[[TableFile], pl.DataFrame] = read_linked,
) -> Portfolio:
    """Read everything that any of the rulesets reads; indicators and the value are computed from the transactions.

    Args:
        files: the portfolio.
        rulesets: all rulesets that read it.
        as_of: the moment, microseconds.
        read_transactions: reads the table of transactions.

    Raises:
        InvalidRulesetError: a ruleset for commerce reads a list that is for aml alone.
        ConfigError: a file, or the currency, cannot be used; or a reference portfolio has the peers of another ruleset.
    """
    _refuse_lists_for_aml(rulesets, files.lists)
    _refuse_other_peers(rulesets, files.lists)
    rates = _rates(files, as_of)
    paths: dict[str, Path | None] = {part: getattr(files, part) for part in _LINKED}
    read = dict.fromkeys(_LINKED, read_linked) | {"transactions": read_transactions}
    own = declared_fields(rulesets)
    parts: dict[str, Any] = {part: path and read[part](files.table(part, path, own)) for part, path in paths.items()}
    entities = read_entities(files.table("entities", files.entities, own), *rulesets)
    links = None if files.links is None else Links(read_links(files.table("links", files.links)))
    files.names.refuse_unused()
    rows = parts["transactions"]
    if rows is not None:
        rows = without_repeats(rows.with_row_index(ROW) if value_readers(rulesets) else rows, ROW)
        parts["transactions"] = rows.drop(ROW, strict=False)
    value_side = ValueSide(rulesets=rulesets, rates=rates, as_of=as_of, load_model=files.load_model, note=files.note)
    indicators, values = value_side.frames(files.transactions, rows)
    parts |= {"indicators": indicators, "values": values, "links": links, "everyone": entities}
    return Portfolio(entities, rates, **parts, lists=files.lists)


def declared_fields(rulesets: Sequence[Analysed[Any]]) -> frozenset[str]:
    """Return the fields that any of the rulesets declares."""
    definitions = [each.definition for each in rulesets]
    fields = [field for each in definitions for field in (each.fields, each.transaction_fields, each.case_fields)]
    return frozenset(name for each in fields for name in each)


def _refuse_lists_for_aml(rulesets: Sequence[Analysed[Any]], lists: Mapping[str, NamedList]) -> None:
    """Raise InvalidRulesetError if a ruleset for commerce reads a list for aml; its other inputs were checked before.

    A missing list is refused later, by its name.
    """
    purposes = {name: list_.purpose or "aml" for name, list_ in lists.items()}
    for ruleset in rulesets:
        absent: dict[str, Purpose] = dict.fromkeys(set(ruleset.lists) - set(purposes), "both")
        definition = ruleset.definition
        problems = findings(ruleset.purpose_diagnostics(Sources(lists=purposes | absent)), definition)
        if problems:
            raise InvalidRulesetError(problems, f"{definition.word} {definition.name}")


def _refuse_other_peers(rulesets: Sequence[Analysed[Any]], lists: Mapping[str, NamedList]) -> None:
    """Raise ConfigError if a reference portfolio is built for another ruleset than the one that reads it."""
    for ruleset in rulesets:
        for name in ruleset.references & lists.keys():
            versions = lists[name].versions
            wrong = next(filter(None, (other_peers(each.members, ruleset.definition) for each in versions)), None)
            if wrong is not None:
                raise ConfigError(
                    f"the reference portfolio {name} does not fit the {_called(ruleset)}: {wrong}. fivefold rules "
                    "reference writes those of a ruleset, each in a list of its own"
                )


def read_with_warnings(files: PortfolioFiles, rulesets: Sequence[Analysed[Any]], as_of: int) -> Portfolio:
    """Read a portfolio as `read_portfolio` does, and warn as `warn_about_portfolio` does."""
    portfolio = read_portfolio(files, rulesets, as_of)
    warn_about_portfolio(files, portfolio, rulesets, as_of)
    return portfolio


def _rates(files: PortfolioFiles, as_of: int) -> RateTable:
    if not is_currency_code(files.base):
        raise ConfigError(f"--base is {files.base!r}; it must be three capital letters, ISO 4217, such as EUR")
    day = from_microseconds(as_of).date()
    return read_rates(files.rates, files.base, day) if files.rates else ecb_rates(files.base, day)


def warn_about_portfolio(
    files: PortfolioFiles,
    portfolio: Portfolio,
    rulesets: Sequence[Analysed[Any]],
    as_of: int,
    transactions: "TransactionRows | None" = None,
) -> None:
    """Warn of rows without a known entity, and of tags, screenings and links that a ruleset spells differently.

    Also of transactions that end long before *as_of*. *transactions* has their counts, if the portfolio has not all.
    """
    if not len(portfolio.entities):
        files.warn(f"{files.entities} has no row below its header, or names nobody: there is no one to assess")
    transaction_frame: Any = portfolio.transactions
    if transaction_frame is not None and files.transactions is not None:
        counts = transactions or TransactionRows.counted(transaction_frame, portfolio.entities)
        may_repeat = TRANSACTION_ID in transaction_frame.columns  # as `without_repeats` asks
        counts.unknown.warn(files.transactions, portfolio.entities, files.warn, without_repeats=may_repeat)
        counts.warn_of_newest(files.transactions, as_of, files.warn)
        counts.warn_of_amounts(files.transactions, files.warn)
        if USER_ID in transaction_frame.columns:
            files.warn(f"{files.transactions} has {ENTITY} and {USER_ID}: a row is of the entity that {ENTITY} names")
    for part in FACTS:
        rows, path = getattr(portfolio, part), getattr(files, part)
        if rows is not None and path is not None:
            warn_of_unknown_entities(path, rows, portfolio.entities, files.warn)
    if portfolio.links is not None and files.links is not None:
        rows = portfolio.links.frame.rename({FROM: ENTITY})
        warn_of_unknown_entities(files.links, rows.filter(pl.col(ENTITY).is_not_null()), portfolio.entities, files.warn)
        doubts = (doubt for ruleset in rulesets for doubt in _absent_links(files.links, rows, ruleset))
        idle = _idle_links(files.links, rows, portfolio.entities, rulesets)
        for doubt in dict.fromkeys((*doubts, *idle, *_undated_links(files.links, portfolio.links))):
            files.warn(doubt)
    for find in (_other_spellings, _absent_peers):
        for doubt in dict.fromkeys(doubt for ruleset in rulesets for doubt in find(portfolio, ruleset)):
            files.warn(doubt)


def warn_of_unknown_entities(path: Path, rows: pl.DataFrame, entities: pl.DataFrame, warn: Warn) -> None:
    """Warn of rows whose entity was not read, or is missing: they count for no entity."""
    if len(rows) and len(entities):
        UnknownRows.of(rows, rows[ENTITY].is_in(entities[ENTITY].implode())).warn(path, entities, warn)


class TransactionRows(NamedTuple):
    """What warnings need to know about the rows of transactions.

    Attributes:
        unknown: the rows that count for no entity.
        newest: the time of the newest row, microseconds; None if none can be read.
        amount_checks: the checks of their amounts.
    """

    unknown: "UnknownRows"
    newest: int | None
    amount_checks: AmountChecks

    @classmethod
    def counted(cls, rows: pl.DataFrame, entities: pl.DataFrame) -> "TransactionRows":
        """Compute this from the transactions and entities of a portfolio."""
        return cls(
            UnknownRows.of(rows, rows[ENTITY].is_in(entities[ENTITY].implode())),
            newest_time(rows),
            amount_checks_of(rows),
        )

    def warn_of_amounts(self, path: Path, warn: Warn) -> None:
        """Warn of amounts that possibly mean something else."""
        for text in doubts_of_amounts(self.amount_checks):
            warn(f"{path}: {text}")

    def warn_of_newest(self, path: Path, as_of: int, warn: Warn) -> None:
        """Warn if the transactions end long before the as-of."""
        if self.newest is None or self.unknown.rows < FEWEST_ROWS:
            return
        if self.newest < as_of - STALE_DAYS * DAY_US:
            warn(
                f"the newest row of {path} is {(as_of - self.newest) // DAY_US:,} days older than the as-of, "
                f"{day_text(as_of)}: if the file is not whole, entities only seem to have paused"
            )


def newest_time(transactions: pl.DataFrame) -> int | None:
    """Return the time of the newest row, microseconds; None if none can be read."""
    if DATE not in transactions.columns:
        return None
    newest: Any = transactions.select(read_time(DATE, transactions.schema[DATE]).value.max()).item()
    return None if newest is None else int(newest)


@dataclass(frozen=True)
class UnknownRows:
    """The rows of a file that count for no entity.

    Attributes:
        rows: how many rows the file has.
        unknown: how many are of an entity that was not read.
        nameless: how many have no entity.
        examples: the first of the unknown entities.
    """

    rows: int
    unknown: int
    nameless: int
    examples: tuple[str, ...]

    @classmethod
    def of(cls, rows: pl.DataFrame, is_known: pl.Series) -> "UnknownRows":
        """Count such rows; *is_known* has for each row whether its entity was read."""
        unknown = rows.filter(~is_known & rows[ENTITY].is_not_null())[ENTITY]
        examples = unknown.unique(maintain_order=True).head(SHOWN)
        return cls(len(rows), len(unknown), rows[ENTITY].null_count(), tuple(examples))

    def warn(self, path: Path, entities: pl.DataFrame, warn: Warn, *, without_repeats: bool = False) -> None:
        """Warn of such rows; *entities* are those that were read, *without_repeats* if repeated rows were left out."""
        if not self.rows or not len(entities):
            return
        of_all = f"of the {self.rows:,} rows of {path}" + " (exact repeats counted once)" * without_repeats
        if self.unknown and self.unknown + self.nameless == self.rows:
            warn(
                f"none {of_all} is of an entity that was read; "
                f"it has {self.examples[0]!r}, where entities are called {entities[ENTITY][0]!r}"
            )
        elif self.unknown:
            named = ", ".join(map(repr, self.examples))
            warn(f"{self.unknown:,} {of_all} are of no entity that was read, such as {named}")
        if self.nameless:
            warn(f"{self.nameless:,} {of_all} have no {ENTITY}, and count for no entity")


def _absent_links(path: Path, rows: pl.DataFrame, analysed: Analysed[Any]) -> Iterator[str]:
    """Describe link types of a ruleset that the file lacks: misspelt, they leave all entities without a group."""
    there = rows[TYPE].cast(pl.String).drop_nulls().unique().sort().to_list()
    for name in analysed.names.links:
        if name not in there:
            types = f"{', '.join(there) or 'none'}{perhaps(name, there)}"
            yield f"{path} has no links of the type {name} of {_called(analysed)}; there are {types}"


def _called(analysed: Analysed[Any]) -> str:
    return f"{analysed.definition.word} {analysed.definition.name}"


def _idle_links(
    path: Path, rows: pl.DataFrame, entities: pl.DataFrame, rulesets: Sequence[Analysed[Any]]
) -> Iterator[str]:
    """Describe links without effect: of types that no ruleset declares, or to entities that were not read."""
    declared = {name: kind for ruleset in rulesets for name, kind in ruleset.names.links.items()}
    types = rows[TYPE].cast(pl.String)
    for name in types.drop_nulls().unique().sort():
        if declared and name not in declared:
            yield f"{path} has links of the type {name}, which no ruleset here declares{perhaps(name, declared)}"
    directed = [name for name, kind in declared.items() if kind.kind == "directed"]
    ends = rows.filter(types.is_in(directed))[TO].cast(pl.String).drop_nulls()
    unknown = ends.filter(~ends.is_in(entities[ENTITY].cast(pl.String).implode()))
    if len(unknown) and len(entities):
        examples = ", ".join(map(repr, unknown.unique(maintain_order=True).head(SHOWN)))
        count = f"{len(unknown):,} of the {len(ends):,} directed links of {path}"
        yield f"{count} lead to no entity that was read, such as {examples}"


def _undated_links(path: Path, links: Links) -> Iterator[str]:
    """Describe the first links with a moment that cannot be read."""
    unreadable = list(links.unreadable_moments())
    for kind, start, end, column, text in unreadable[:SHOWN]:
        yield (
            f"{path}: the link {kind} from {start!r} to {end!r} has {text!r} in {column}, which is not an ISO date or "
            "time: whom these are linked to is unknown"
        )
    if len(unreadable) > SHOWN:
        yield f"{path} has {len(unreadable) - SHOWN:,} more links with a moment that cannot be read"


def _absent_peers(portfolio: Portfolio, analysed: Analysed[Any]) -> Iterator[str]:
    """Describe numbers that a reference portfolio lacks, so that every place among peers is unknown for them."""
    name = analysed.definition.reference
    named = None if name is None else portfolio.lists.get(name)
    reference = None if named is None else read_reference(named.versions[-1].members)
    if reference is None or not analysed.peer_inputs:
        return
    remedy = "make another one: fivefold rules reference"
    if reference.base != portfolio.rates.base:
        yield (
            f"the reference portfolio {name} is in {reference.base}, and this one in {portfolio.rates.base}: "
            f"all places among peers are unknown; {remedy}"
        )
        return
    absent = {input_words(peers_in(each).of) for each in analysed.peer_inputs if not reference.has(peers_in(each))}
    if absent:
        yield (
            f"the reference portfolio {name} has no numbers for {', '.join(sorted(absent))}: "
            f"their places among peers are unknown; {remedy}"
        )


def _other_spellings(portfolio: Portfolio, analysed: Analysed[Any]) -> Iterator[str]:
    """Describe tags and screenings whose names differ from the ruleset's in case or punctuation alone."""
    for input_ in analysed.inputs:
        column = _NAMED.get(type(input_))
        frame = None if column is None else getattr(portfolio, f"{column}s")
        if column is not None and frame is not None and column in frame.columns:
            expected = getattr(input_, column)
            words = frame[column].cast(pl.String).unique().drop_nulls().sort()
            for word in words.filter(words != expected):
                if _plain(word) == _plain(expected):
                    yield (f"there are {column}s called {word!r}; {_called(analysed)} asks for {expected!r} alone")


def _plain(word: str) -> str:
    return "".join(sign for sign in word.casefold() if sign.isalnum())
