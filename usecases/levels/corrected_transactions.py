"""Transactions as they are known: each with what its corrections say, and without those that were reversed."""

import json
from collections.abc import Sequence

import polars as pl

_KEYS = ("entity", "transaction_id")


def corrected(stored: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """Let what is known of transactions hold; they stay in the order of time.

    A correction changes what it says and leaves all else, what an earlier correction said among it. Whether a
    transaction counts at all is what the last fact says: one that was reversed counts again once it is corrected.

    Args:
        stored: `store.levels.bulk_reads.transactions`.
        known: `store.levels.bulk_reads.corrections` of the same columns, known by now, in their order.
    """
    if not len(known):
        return stored
    values = [name for name in stored.columns if name not in {*_KEYS, "content"}]
    said = known.group_by(_KEYS).agg(
        *(pl.col(name).drop_nulls().last().alias(f"said_{name}") for name in values),
        said_content=pl.col("content").drop_nulls(),
        reversed=pl.col("kind").last() == "reversal",
    )
    beside = stored.join(said, on=_KEYS, how="left", maintain_order="left")
    left = beside.filter(~pl.col("reversed").fill_null(False))
    found = left.with_columns(pl.coalesce(f"said_{name}", name).alias(name) for name in values)
    return _with_contents(found).select(stored.columns).sort("entity", "at_us", "transaction_id")


def _with_contents(found: pl.DataFrame) -> pl.DataFrame:
    """Let the fields of a type's own say what corrections say of them, field by field."""
    places = (found["said_content"].list.len() > 0).fill_null(False).arg_true()
    if not len(places):
        return found
    merged = [_merged(first, more) for first, more in found[places].select("content", "said_content").iter_rows()]
    return found.with_columns(found["content"].scatter(places, merged))


def _merged(first: str | None, more: Sequence[str]) -> str:
    fields = {} if first is None else json.loads(first)
    for content in more:
        fields |= json.loads(content)
    return json.dumps(fields, ensure_ascii=False)
