"""The few transactions that stand for all of an entity's up to a moment, where only ends and extremes matter.

They are transactions as they are, and not made of several, so whatever reads them reads them as it reads all others.
Nothing that is a number of transactions, or is added up over them, may be asked of them.
"""

from typing import Final

import polars as pl

_ENTITY, _AT = "entity", "at_us"
LARGEST_AMOUNT: Final = 1e11
"""Larger ones may not fit once they are converted, and the first of those is named: who has one has no summary."""
FEWEST: Final = 500
"""Fewer transactions than these are read as fast as a summary is looked up."""
_LACKING: Final = ("balance", "category", "account_created_us")
"""Where one transaction lacks one of these, indicators that read it are undefined."""
SUMMARY_READS: Final = frozenset({"state", "currency", "amount", *_LACKING})
"""The columns that a summary is made by, beside those that every transaction has."""


def summary_of(rows: pl.DataFrame, until_us: int) -> pl.DataFrame:
    """Choose the transactions that stand for all up to a moment.

    Of each state, direction and currency they are the first and the last, that with the least and the greatest amount,
    and that with the earliest creation of the account; and of each entity the first that lacks what indicators read.
    The summary of some, with what happened since, has the summary of all: so one is made of another and of new rows.

    Args:
        rows: transactions of entities in the order of time, `store.levels.bulk_reads.transactions` with what the value
            model needs; of those who have a summary, those that it is of, and all later ones.
        until_us: the moment, itself inside.

    Returns:
        `entity` and `transaction_id`, each once. Entities with an amount that is too large are left out.
    """
    early, _ = _cut(rows, until_us)
    large = early.filter(~(pl.col("amount").abs() <= LARGEST_AMOUNT))["entity"].unique()
    early = early.filter(~pl.col(_ENTITY).is_in(large.implode())) if len(large) else early
    size, name = pl.col("amount").abs(), pl.col("transaction_id")
    groups = early.group_by(_ENTITY, "state", "currency", pl.col("amount").sign().alias("direction"))
    ends = groups.agg(
        first=name.first(),
        last=name.last(),
        least=name.get(size.arg_min()),
        most=name.reverse().get(size.reverse().arg_max()),
        created=name.get(pl.col("account_created_us").arg_min()),
    )
    lacking = [
        early.filter(pl.col(column).is_null()).unique(_ENTITY, keep="first", maintain_order=True) for column in _LACKING
    ]
    choices = [ends.select(_ENTITY, pl.col(end).alias("transaction_id")) for end in ends.columns[4:]]
    choices += [each.select(_ENTITY, "transaction_id") for each in lacking]
    return pl.concat(choices).drop_nulls().unique().sort(_ENTITY, "transaction_id")


def _cut(rows: pl.DataFrame, until_us: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Give what came up to a moment, and what came later; rows in the order of time are not copied."""
    at = rows[_AT]
    if at.is_sorted():
        place = at.search_sorted(until_us, side="right")
        return rows.head(place), rows.slice(place)
    return rows.filter(at <= until_us), rows.filter(at > until_us)


def with_summary(rows: pl.DataFrame, until_us: int, *, needed: bool) -> pl.DataFrame:
    """Let a summary stand for what came up to a moment, in the order of time; nothing where none is *needed*.

    Of an entity that has no summary all rows stay.

    Args:
        rows: as `summary_of` takes them.
        until_us: the moment.
        needed: anything looks at what came before.
    """
    if len(rows) < FEWEST:
        return rows
    early, later = _cut(rows, until_us)
    if len(early) < FEWEST:
        return rows
    if not needed:
        return later
    chosen = summary_of(early, until_us)
    if rows[_ENTITY][0] == rows[_ENTITY][-1]:  # rows of one entity are in order as they come
        is_chosen = early["transaction_id"].is_in(chosen["transaction_id"].implode())
        return pl.concat([early.filter(is_chosen) if len(chosen) else early, later])
    summary = early.join(chosen, on=[_ENTITY, "transaction_id"], how="semi", maintain_order="left")
    whole = early.filter(~pl.col(_ENTITY).is_in(chosen[_ENTITY].unique().implode()))
    return pl.concat([summary, whole, later]).sort(_ENTITY, _AT, "transaction_id")
