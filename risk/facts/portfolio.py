"""A portfolio: the entities of one type, everything linked to them, as frames, and the named lists."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any

import polars as pl
from pydantic import Field, model_validator

from fivefold.domain.clock import day_text
from fivefold.domain.errors import Finding, InvalidRulesetError
from fivefold.domain.money import RateTable
from fivefold.domain.text import nearest
from fivefold.risk.language.base import Identifier, LanguageModel, Words
from fivefold.risk.language.documents import Document
from fivefold.risk.language.purposes import Purpose
from fivefold.risk.language.quantities import MomentText
from fivefold.risk.language.reading import validate_document

if TYPE_CHECKING:
    from fivefold.features.histories import Histories
    from fivefold.risk.facts.groups.links import Links
    from fivefold.risk.language.ruleset import Ruleset

_MISSPELT = 0.9
"""The least similarity, from 0 to 1, of a column's name to an optional column's name that counts as a misspelling."""


class ListVersion(LanguageModel):
    """The members from one moment on.

    Attributes:
        since: the moment from which it is in force, until the next version.
        members: all members, not only the changes.
        source: the place where they were published.
    """

    since: MomentText
    members: tuple[str, ...]
    source: Words | None = None


class NamedList(LanguageModel):
    """A list and all its versions, oldest first.

    Attributes:
        purpose: what it was made for; `aml` by default.
    """

    name: Identifier = Field(alias="list")
    title: Words
    source: Words
    purpose: Purpose | None = None
    versions: Annotated[tuple[ListVersion, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _rising(self) -> "NamedList":
        if any(later.since <= earlier.since for earlier, later in pairwise(self.versions)):
            raise ValueError("its versions must stand in order of their dates, each later than the one before")
        return self

    def in_force(self, as_of: int) -> ListVersion | None:
        """Find the version in force at a moment (microseconds); None before the first."""
        begun = [version for version in self.versions if version.since <= as_of]
        return begun[-1] if begun else None


REFERENCE_COMES_FROM = "a reference portfolio is made by fivefold rules reference, and given by --reference"
"""The remedy for a reference portfolio that is missing among files."""

_OR_REQUESTED = "; on the platform it is requested on the page of the ruleset"


def read_list(text: str, source: str = "the list") -> NamedList:
    """Read a list from YAML or JSON; raises InvalidRulesetError, with the line, if the text is not a list."""
    return validate_document(NamedList, Document(text, source), source)


def members_at(
    lists: Mapping[str, NamedList], names: Sequence[str], as_of: int, references: Collection[str] = ()
) -> dict[str, ListVersion]:
    """Find the versions in force of all required lists; *references* are those in which peers are looked up.

    Raises:
        InvalidRulesetError: a list is missing, or has no version yet; then no entity is assessed.
    """
    versions: dict[str, ListVersion] = {}
    problems = []
    for name in names:
        version = lists[name].in_force(as_of) if name in lists else None
        if version is not None:
            versions[name] = version
        elif name in lists:
            begins = day_text(lists[name].versions[0].since)
            problem = f"has no version before {begins}; as-of is {day_text(as_of)}, and must be {begins} or later"
            problems.append(Finding(f"list {name}", problem))
        else:
            remedy = f"; {REFERENCE_COMES_FROM}{_OR_REQUESTED}" if name in references else ""
            problem = f"is missing; there are {', '.join(sorted(lists)) or 'none'}{remedy}"
            problems.append(Finding(f"list {name}", problem))
    if problems:
        raise InvalidRulesetError(problems, "the data")
    return versions


ENTITY = "entity_id"
AS_OF = "as_of"

INTERVAL_ENDS = ("expected_value_low", "expected_value_high")
VALUE_MONEY = ("expected_value", *INTERVAL_ENDS)
"""The members of `risk.language.expressions.VALUES` that are money, in the currency of the model."""

VALUE_CURRENCY = "currency"
"""The column of values that names the currency of their money."""

NOT_READ = "@not_read"
"""An optional column of a table of facts, of indicators or of values: why nothing of a row but its entity could be
read, in words; null for readable rows."""

NOT_KNOWN = "not known, since "
"""The beginning of an error about the whole row of an entity, not about the value of one field."""


@dataclass(frozen=True)
class Portfolio:
    """What is known of n entities. Times are Datetime or Date (UTC), or ISO text; nothing after as-of is read.

    Attributes:
        entities: `entity_id`, the ruleset's fields, and perhaps `known_at`: of several rows of an entity the latest
            known by as-of holds.
        rates: into the base currency, for every amount.
        transactions: as the API names the columns, with `user_id` (or `entity_id`) the entity, and the ruleset's
            `transaction_fields`. Only transaction_amount, transaction_currency and transaction_date are required.
        cases: `entity_id`, `opened`, and perhaps `closed`, `outcome` and the ruleset's `case_fields`; an outcome is
            known from the moment of closing.
        alerts: the same for alerts.
        tags: `entity_id`, `tag`, and perhaps `from` and `until` (not included).
        screenings: `entity_id`, `screening` (what was searched for), `found` (true or false), and perhaps `at`: the
            latest one by as-of holds.
        indicators: `entity_id` and the catalogue's columns, as of the assessment.
        histories: the transactions that *indicators* were computed from, also later ones, by the names of the
            entities; needed to find when time alone changes an indicator that is not an age.
        values: `entity_id` and `VALUES` of the language, as of the assessment; `INTERVAL_ENDS` may be absent, and are
            unknown then. Money is in `VALUE_CURRENCY`, or in the base currency if that is absent.
        lists: the named lists.
        levels: for policies: `entity_id`, `in_force` and `rules` (numbers from 1), `status`, `source`, `age_days`.
        pending: for policies: the one transaction of each entity that is decided on, in the form of *transactions*;
            it is not among these and does not count as one.
        links: the links between entities, including rows that could not be read.
        everyone: rows in the form of *entities*, for all entities that may be linked to one of these; None if
            *entities* has them all.
        peers: `entity_id` and given values by the keys of inputs that are read from a reference portfolio; None if
            they are looked up.
        stored: whether *transactions* and *pending* were checked when they were taken in, and have the columns that
            `risk.facts.transactions.prepare_stored` reads.
    """

    entities: pl.DataFrame
    rates: RateTable
    transactions: pl.DataFrame | pl.LazyFrame | None = None
    _: KW_ONLY
    cases: pl.DataFrame | None = None
    alerts: pl.DataFrame | None = None
    tags: pl.DataFrame | None = None
    screenings: pl.DataFrame | None = None
    indicators: pl.DataFrame | None = None
    histories: "Histories | None" = None
    values: pl.DataFrame | None = None
    lists: Mapping[str, NamedList] = field(default_factory=dict)
    levels: pl.DataFrame | None = None
    pending: pl.DataFrame | None = None
    links: "Links | None" = None
    everyone: pl.DataFrame | None = None
    peers: pl.DataFrame | None = None
    stored: bool = False

    def with_optional_parts(self, ruleset: "Ruleset") -> "Portfolio":
        """Return the portfolio with absent optional parts added: tables without rows, columns without values.

        If a column's name is similar to an absent one, it is not added: the check of columns reports the misspelling.
        """
        portfolio = self.with_empty_tables(ruleset.optional_tables, ruleset.case_fields)
        if portfolio.transactions is None or not ruleset.optional_transaction_fields:
            return portfolio
        there = portfolio.transactions.lazy().collect_schema()
        others = [column for column in there if column not in ruleset.transaction_fields]
        absent = [
            name
            for name in ruleset.optional_transaction_fields
            if name not in there and nearest(name, others, _MISSPELT) is None
        ]
        unknown = [pl.lit(None, pl.String).alias(name) for name in absent]
        return replace(portfolio, transactions=portfolio.transactions.with_columns(unknown)) if absent else portfolio

    def with_empty_tables(self, tables: Iterable[str], case_fields: Iterable[str]) -> "Portfolio":
        """Return the portfolio with an empty table for each of *tables* (cases, alerts, tags) that is absent."""
        record = (ENTITY, "opened", *case_fields)
        columns = {"cases": record, "alerts": record, "tags": (ENTITY, "tag")}
        absent = {name: columns[name] for name in tables if getattr(self, name) is None}
        empty: dict[str, Any] = {
            name: pl.DataFrame(schema=dict.fromkeys(names, pl.String)) for name, names in absent.items()
        }
        return replace(self, **empty) if empty else self


def error_of(column: str) -> str:
    """Name the column of an input's values that could not be read; it exists only if there are some."""
    return f"{column}!"


def signal_of(column: str) -> str:
    """Name the column of the moment (microseconds) of the latest fact that an input counted."""
    return f"{column}@"


def path_of(column: str) -> str:
    """Name the column of the entities that a group's value comes from."""
    return f"{column}~"


def lacking_of(column: str) -> str:
    """Name the column of the reason why an input is unknown.

    For a pattern it has the number of transactions whose counterparty is not known, for money of the value the model's
    currency, if that is not the base.
    """
    return f"{column}-"


def with_interval_ends(values: pl.DataFrame) -> pl.DataFrame:
    """Add the ends of intervals, as unknown, to values that lack them."""
    absent = [name for name in INTERVAL_ENDS if name not in values.columns]
    return values.with_columns(pl.lit(None, pl.Float64).alias(name) for name in absent)
