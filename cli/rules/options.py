"""Options that several `fivefold rules` commands share: ruleset, lists, portfolio."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fivefold.cli.terminal import ModelOption, NameOption, load_model, warn
from fivefold.cli.value_model.engines import (
    EngineName,
    EngineOption,
    FolderOption,
    MasterOption,
    open_engine,
    require_engine,
)
from fivefold.domain.clock import parse_moment
from fivefold.domain.errors import ConfigError
from fivefold.training.config import DEFAULT_NAME

if TYPE_CHECKING:
    from fivefold.features.partitions import Engine
    from fivefold.risk.governance.beside import Beside
    from fivefold.risk.governance.validate.run import ValidationOptions
    from fivefold.usecases.portfolio_files.portfolio import PortfolioFiles

RulesetArgument = Annotated[
    str, typer.Argument(metavar="RULESET", help="A ruleset's file, or the name of one that ships.")
]
EntitiesArgument = Annotated[Path, typer.Argument(help="Entities: Parquet, CSV, JSON or JSON lines, one row each.")]
ThenOption = Annotated[
    list[str] | None,
    typer.Option(
        "--then", help="A ruleset for entities to which no earlier one applies: a file or a name; repeatable."
    ),
]
FirstOption = Annotated[
    list[str] | None,
    typer.Option("--first", help="A ruleset that is tried before this one: a file or a name; repeatable."),
]
ListsOption = Annotated[
    Path | None, typer.Option("--lists", help="A folder of named lists; they take precedence over those that ship.")
]


@dataclass(frozen=True, kw_only=True)
class PartOptions:
    """The files beside the entities, and our names of their columns."""

    transactions: Annotated[Path | None, typer.Option("--transactions", help="Transactions, in the API's columns.")] = (
        None
    )
    cases: Annotated[Path | None, typer.Option("--cases", help="Cases: entity_id, opened, closed, outcome.")] = None
    alerts: Annotated[Path | None, typer.Option("--alerts", help="Alerts: entity_id, opened, closed, outcome.")] = None
    tags: Annotated[Path | None, typer.Option("--tags", help="Tags: entity_id, tag, from, until.")] = None
    screenings: Annotated[
        Path | None,
        typer.Option("--screenings", help="Screenings, including clean ones: entity_id, screening, found, at."),
    ] = None
    links: Annotated[Path | None, typer.Option("--links", help="Links: type, from, to, valid_from, valid_until.")] = (
        None
    )
    lists: ListsOption = None
    references: Annotated[
        list[Path] | None,
        typer.Option("--reference", help="A reference portfolio, as `fivefold rules reference` writes it; repeatable."),
    ] = None
    names: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            help="A file's name of a column and ours, such as customer_id=entity_id, for every file that has it; "
            "for one file: transactions.day=transaction_date. Repeatable.",
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class BesideOptions:
    """The rulesets that decide beside the one in question."""

    first: FirstOption = None
    then: ThenOption = None

    def load(self) -> "Beside":
        """Read them."""
        from fivefold.risk.governance.beside import Beside
        from fivefold.usecases.portfolio_files.bundled import load_ruleset

        first, then = (tuple(load_ruleset(source) for source in sources or ()) for sources in (self.first, self.then))
        return Beside(first, then)


@dataclass(frozen=True, kw_only=True)
class ValueOptions:
    """What money and the value are computed with."""

    base: Annotated[str, typer.Option("--base", help="The base currency, into which money is converted.")] = "EUR"
    rates: Annotated[
        Path | None,
        typer.Option(
            "--rates",
            help="Your own rates: CSV with currency, date, rate (1 of the currency = rate of --base), or the ECB's "
            "file eurofxref-hist.csv. By default, the shipped rates of the ECB.",
        ),
    ] = None
    model: ModelOption = None
    name: NameOption = DEFAULT_NAME


@dataclass(frozen=True, kw_only=True)
class EngineOptions:
    """Where the transactions are read and entities are assessed."""

    engine: EngineOption = EngineName.PROCESS
    spark_master: MasterOption = None
    spark_folder: FolderOption = None

    @property
    def is_spark(self) -> bool:
        """Whether workers of Spark do it."""
        return self.engine is EngineName.SPARK

    def require(self, transactions: Path | None, output: Path | None) -> None:
        """Check the options before anything is read; errors are those of `require_engine`.

        ConfigError also where workers have no transactions to read.
        """
        if self.is_spark and transactions is None:
            raise ConfigError("--engine spark takes --transactions: its workers read nothing else. Leave it out")
        path = transactions or Path()
        require_engine(self.engine, self.spark_master, self.spark_folder, path, output, writes=output is not None)

    @contextmanager
    def opened(self, output: Path | None) -> "Iterator[Engine]":
        """Give Spark, with a folder of its own, which is removed at the end."""
        with open_engine(self.engine, self.spark_master, self.spark_folder, output) as engine:
            assert engine is not None
            yield engine


LEAST_RESAMPLES = 100
LabelsOption = Annotated[Path, typer.Option("--labels", help="entity_id, confirmed, and at: when it became known.")]
ResamplesOption = Annotated[
    int, typer.Option("--resamples", min=LEAST_RESAMPLES, help="Number of resamples for each interval.")
]


@dataclass(frozen=True, kw_only=True)
class LabelOptions:
    """Which labels count, and what the ruleset may not read beside them."""

    until: Annotated[str | None, typer.Option("--until", help="Ignore labels after this ISO date or time.")] = None
    undated: Annotated[
        bool, typer.Option("--undated-later", help="Assume that undated labels became known after --as-of.")
    ] = False
    undated_known: Annotated[
        bool, typer.Option("--undated-known", help="Assume that undated tags and screenings were known at --as-of.")
    ] = False
    banned: Annotated[list[str] | None, typer.Option("--banned", help="A name that no input may have; repeatable.")] = (
        None
    )
    elsewhere: Annotated[
        bool,
        typer.Option(
            "--labels-from-elsewhere", help="State that the labels do not come from the given cases and alerts."
        ),
    ] = False


def validation_options(labels: LabelOptions, as_of: int, seed: int, resamples: int) -> "ValidationOptions":
    """Give the options of a validation; ConfigError where the horizon is not after as-of."""
    from fivefold.risk.governance.validate.labels import LABELS_ARE
    from fivefold.risk.governance.validate.run import ValidationOptions

    return ValidationOptions(
        banned=tuple(labels.banned or ()),
        made_of=() if labels.elsewhere else LABELS_ARE,
        until=None if labels.until is None else _after(labels.until, as_of),
        undated_are_later=labels.undated,
        seed=seed,
        resamples=resamples,
    )


def _after(until: str, at: int) -> int:
    last = parse_moment(until, "--until")
    if last <= at:
        raise ConfigError("--until must be after --as-of: labels count that became known between the two")
    return last


def portfolio_files(entities: Path, parts: PartOptions, value: ValueOptions) -> "PortfolioFiles":
    """Give the files that the options name; warnings about them are printed."""
    from fivefold.usecases.portfolio_files.bundled import lists_with
    from fivefold.usecases.portfolio_files.columns import PortfolioColumns
    from fivefold.usecases.portfolio_files.portfolio import PortfolioFiles

    return PortfolioFiles(
        entities=entities,
        transactions=parts.transactions,
        cases=parts.cases,
        alerts=parts.alerts,
        tags=parts.tags,
        screenings=parts.screenings,
        links=parts.links,
        lists=lists_with(parts.lists, parts.references or ()),
        base=value.base,
        rates=value.rates,
        names=PortfolioColumns(parts.names or []),
        load_model=cache(partial(load_model, value.model, value.name)),  # two steps of one command may ask for it
        warn=warn,
    )
