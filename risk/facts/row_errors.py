"""Values of linked facts that could not be read, and the aggregates that they spoil."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from fivefold.risk.compiler.value_types import column_of
from fivefold.risk.facts.linked import (
    CONVERTED,
    FACT,
    FIELD,
    LINKED_ENTITY,
    PROBLEM,
    TIME,
    UNREADABLE,
    LinkedFacts,
    nothing_wrong,
)
from fivefold.risk.facts.portfolio import AS_OF, NOT_READ, error_of
from fivefold.risk.facts.windows import Masks, end_of, fields_in, looked_at, start_of, weighs_money
from fivefold.risk.language.expressions import Window

LONGEST_SHOWN = 40
"""Most characters of a value that are shown."""


@dataclass(frozen=True)
class Check:
    """One possible error of a row.

    Attributes:
        column: the name of the raw column in messages.
        field: the field that it spoils; None if the whole row cannot be used.
        wrong: true where the row is wrong, never null.
        allowed: the allowed values, in words.
        read: the column whose value is shown, if it has another name.
        differing: the column of the names of columns in which rows with this value differ.
    """

    column: str
    field: str | None
    wrong: pl.Expr
    allowed: str = ""
    read: str = ""
    differing: str = ""


def with_problems(rows: pl.LazyFrame, checks: Sequence[Check]) -> pl.LazyFrame:
    """Remove the time of rows that cannot be used, and add `@spoilt`, true where any check finds something.

    So one pass over the facts counts them and finds whether any problem must be reported; mostly none must.
    """
    whole = pl.any_horizontal([pl.lit(False), *(check.wrong for check in checks if check.field is None)])
    parts = pl.any_horizontal([pl.lit(False), *(check.wrong for check in checks if check.field is not None)])
    timed = rows.with_columns(pl.when(~whole).then(pl.col(TIME)).alias(TIME))
    return timed.with_columns((pl.col(TIME).is_null() | parts.fill_null(False)).alias(UNREADABLE))


def find_problems(
    rows: pl.LazyFrame, checks: Sequence[Check], fields: Mapping[str, pl.Expr] | None = None
) -> pl.DataFrame:
    """Find all problems, in the order of the checks.

    Args:
        rows: the facts.
        checks: the checks.
        fields: the fields of a fact to include beside its problem, as one struct.
    """
    wrong_rows = rows.filter(pl.any_horizontal([check.wrong for check in checks])).collect(engine="streaming")
    bad = wrong_rows.rechunk()  # Polars 2.1 panics where it streams `format` over a filter of many chunks
    beside = [pl.struct([value.alias(name) for name, value in fields.items()]).alias(FACT)] if fields else []
    problems = [
        bad.lazy()
        .filter(check.wrong)
        .select(
            LINKED_ENTITY,
            TIME,
            pl.lit(check.field, pl.String).alias(FIELD),
            _in_words(check).alias(PROBLEM),
            *beside,
        )
        for check in checks
    ]
    return pl.concat([nothing_wrong(), *pl.collect_all(problems)], how="diagonal")


def _in_words(check: Check) -> pl.Expr:
    if check.column == NOT_READ:
        return pl.col(NOT_READ)
    text = pl.col(check.read or check.column).cast(pl.String, strict=False)
    value_text = pl.format("{} is {}", pl.lit(check.column), text.str.slice(0, LONGEST_SHOWN))
    if check.differing:
        value_text = pl.format("{} in rows that differ in {}", value_text, pl.col(check.differing))
    missing = pl.lit(f"{check.column} is missing")
    allowed = f"; allowed: {check.allowed}" if check.allowed else ""
    return pl.coalesce(value_text, missing) + pl.lit(allowed)


def without_unreadable(
    values: pl.DataFrame, entities: pl.DataFrame, masks: Masks, windows: Mapping[str, Window]
) -> pl.DataFrame:
    """Remove every value that an unreadable fact may belong to, and report the first such problem.

    A problem concerns an aggregate that reads its field, if its moment is in the window or unknown, and if what could
    be read of the fact does not exclude it: a transaction known to have failed is not counted anyway.

    Args:
        values: a column for each of *windows*, in the order of *entities*.
        entities: `entity`, `as_of` and the openings of the windows.
        masks: the masks of the facts with problems.
        windows: the aggregates by the names of their columns.
    """
    numbered = entities.with_row_index("@number")
    problems = known_problems(masks.facts, numbered)
    legible = FACT in masks.facts.found_problems.columns
    for key, window in windows.items():
        whole = looked_at(window)
        may_count = masks.may_count(whole) if legible else []
        concerned = problems.filter(pl.all_horizontal(_concerns(whole), *may_count))
        first = concerned.group_by("@number").agg(pl.col(_PROBLEM).first())
        if len(first):
            problem = numbered.join(first, on="@number", how="left", maintain_order="left")[_PROBLEM]
            own = values[error_of(key)] if error_of(key) in values.columns else pl.lit(None, pl.String)
            values = values.with_columns(
                pl.when(problem.is_null()).then(pl.col(key)).alias(key), pl.coalesce(problem, own).alias(error_of(key))
            )
    return values


_FIELD, _PROBLEM = "@field", "@problem"
"""Names of the field and of the problem beside the fields of facts, which may have any name without @."""


def known_problems(facts: LinkedFacts, entities: pl.DataFrame) -> pl.DataFrame:
    """Join the problems with their entities, each with its fact as known at `as_of`.

    Fields that change over time are unknown if the whole fact cannot be used, or the time of change cannot be read.
    """
    prefixed = {FIELD: _FIELD, PROBLEM: _PROBLEM}
    joined = facts.found_problems.join(entities, on=LINKED_ENTITY, how="inner", maintain_order="left").rename(prefixed)
    if FACT not in joined.columns:
        return joined
    changing = [each.meta.output_name() for each in facts.as_known]
    has_come = (pl.col(TIME) <= pl.col(AS_OF)).fill_null(True)
    is_known = ~pl.col(_FIELD).is_in(changing)  # null where the whole fact cannot be used
    values_then = [
        pl.when(~has_come).then(pl.col(name)).when(is_known).then(each)
        for name, each in zip(changing, facts.as_known, strict=True)
    ]
    return joined.unnest(FACT).with_columns(values_then)


def _concerns(window: Window) -> pl.Expr:
    fields = {*fields_in(window), column_of(window)} - {None}
    if weighs_money(window):
        fields.add(CONVERTED)
    inside = pl.col(TIME) <= pl.col(AS_OF)
    if window.over is not None:
        inside &= pl.col(TIME) > pl.col(start_of(window))
    if window.ending is not None:
        inside &= pl.col(TIME) <= pl.col(end_of(window))
    return inside.fill_null(True) & (pl.col(_FIELD).is_null() | pl.col(_FIELD).is_in(sorted(map(str, fields))))
