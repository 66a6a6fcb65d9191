"""A portfolio: the entities of one type, and everything linked to them, as frames."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import polars as pl

from fivefold.domain.money import RateTable
from fivefold.risk.facts.lists import NamedList

ENTITY = "entity_id"
AS_OF = "as_of"

NOT_READ = "@not_read"
"""A column that may stand in a table of facts, of indicators or of values: in words, why nothing of a row but its
entity could be read; null where it could."""

NOT_KNOWN = "not known, since "
"""How an error begins that is about the whole row of an entity, and not about the value of one field."""


@dataclass(frozen=True)
class Portfolio:
    """What is known of n entities. Times are Datetime or Date (UTC), or ISO text; nothing after as-of is read.

    Attributes:
        entities: `entity_id`, the ruleset's fields, and perhaps `known_at`: of several rows of an entity the latest
            one known by as-of holds.
        rates: into the base currency, for every amount.
        transactions: as the API names the columns, with `user_id` (or `entity_id`) the entity, and the ruleset's
            `transaction_fields`. Only transaction_amount, transaction_currency and transaction_date are required.
        cases: `entity_id`, `opened`, and perhaps `closed`, `outcome` and the ruleset's `case_fields`; an outcome is
            seen from the moment it was closed.
        alerts: the same for alerts.
        tags: `entity_id`, `tag`, and perhaps `from` and `until` (not included).
        screenings: `entity_id`, `screening` (what was looked for), `found` (true or false), and perhaps `at`: the
            latest one by as-of holds.
        indicators: `entity_id` and the catalogue's columns, as of the assessment.
        values: `entity_id`, `score`, `segment` and `expected_value`, as of the assessment.
        lists: the named lists.
        levels: for policies: `entity_id`, `in_force` and `rules` (numbers from 1), `status`, `source`, `age_days`.
        at_hand: for policies: the one transaction of each entity that is decided on, in the form of *transactions*;
            what must not count as one of them stands here alone.
    """

    entities: pl.DataFrame
    rates: RateTable
    transactions: pl.DataFrame | pl.LazyFrame | None = None
    cases: pl.DataFrame | None = None
    alerts: pl.DataFrame | None = None
    tags: pl.DataFrame | None = None
    screenings: pl.DataFrame | None = None
    indicators: pl.DataFrame | None = None
    values: pl.DataFrame | None = None
    lists: Mapping[str, NamedList] = field(default_factory=dict)
    levels: pl.DataFrame | None = None
    at_hand: pl.DataFrame | None = None

    def with_empty_tables(self, tables: Iterable[str], case_fields: Iterable[str]) -> "Portfolio":
        """Give the portfolio with an empty table in place of each of *tables* (cases, alerts, tags) that is absent."""
        record = (ENTITY, "opened", *case_fields)
        columns = {"cases": record, "alerts": record, "tags": (ENTITY, "tag")}
        absent = {name: columns[name] for name in tables if getattr(self, name) is None}
        empty: dict[str, Any] = {
            name: pl.DataFrame(schema=dict.fromkeys(names, pl.String)) for name, names in absent.items()
        }
        return replace(self, **empty) if empty else self


def error_of(column: str) -> str:
    """Name the column that holds what could not be read as the input wants it; it is there only where there is some."""
    return f"{column}!"


def signal_of(column: str) -> str:
    """Name the column that holds the moment (microseconds) of the latest fact that an input counted."""
    return f"{column}@"
