"""What has no date says nothing about what was known at as-of: it is left out of a validation, and said."""

from dataclasses import replace

import polars as pl

from fivefold.risk.facts.portfolio import Portfolio

KNOWN_AT = "known_at"
_DATES = {"tags": "from", "screenings": "at"}


def dated_only(portfolio: Portfolio, *, undated_known: bool = False) -> tuple[Portfolio, tuple[str, ...]]:
    """Leave undated tags and screenings out, and say how many; also say where attributes have no date.

    A tag that was set when a case was confirmed, and has no date, would tell the label. Attributes cannot be left out
    without leaving out the entities, so that of them is said alone.

    Args:
        portfolio: as it was read.
        undated_known: the caller says that undated rows were known at as-of; they are kept, with a caution.
    """
    cautions = []
    for name, column in _DATES.items():
        table: pl.DataFrame | None = getattr(portfolio, name)
        if table is None or not len(table):
            continue
        dated = table[column].is_not_null() if column in table.columns else pl.Series([False] * len(table))
        undated = int((~dated).sum())
        if not undated:
            continue
        rows = f"{undated:,} of {len(table):,} {name} have no date ({column})"
        if undated_known:
            cautions.append(
                f"{rows} and were taken as known at as-of, as was asked; one that was set later tells the label"
            )
        else:
            cautions.append(f"{rows} and were left out: nothing shows that they were known at as-of")
            rest = table.filter(dated)
            portfolio = replace(portfolio, tags=rest) if name == "tags" else replace(portfolio, screenings=rest)
    entities = portfolio.entities
    undated = len(entities) if KNOWN_AT not in entities.columns else entities[KNOWN_AT].null_count()
    if undated:
        cautions.append(
            f"the attributes of {undated:,} of {len(entities):,} entities have no date (known_at) and were taken as "
            "known at as-of: an attribute that was set when a case was confirmed would tell the label"
        )
    return portfolio, tuple(cautions)
