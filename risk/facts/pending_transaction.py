"""The pending transaction: one of each entity, read as stored ones are, and counted with none of them."""

from collections.abc import Sequence

import polars as pl

from fivefold.domain.errors import FileFormatError
from fivefold.risk.facts.linked import CONVERTED, FIELD, LINKED_ENTITY, PROBLEM, UNREADABLE, LinkedFacts
from fivefold.risk.facts.portfolio import ENTITY, error_of
from fivefold.risk.language.expressions import input_key
from fivefold.risk.language.fields import MONEY_FIELDS
from fivefold.risk.language.policy import TransactionInput

_EAGERLY = pl.QueryOptFlags._eager()  # noqa: SLF001 (as eager frames do: these are so few rows that plans cost more)


def pending_facts(facts: LinkedFacts) -> LinkedFacts:
    """Compute the pending transactions, of which `risk.facts.transactions` read *facts*.

    Raises:
        FileFormatError: one cannot be read; callers validate it before.
    """
    rows = facts.rows.collect(optimizations=_EAGERLY)
    pending = LinkedFacts(rows.lazy(), facts.fields, facts.find_problems, base=facts.base)
    if rows[UNREADABLE].any():
        unread = pending.problems.filter(pl.col(FIELD).ne_missing(CONVERTED))
        if len(unread):
            raise FileFormatError(f"a pending transaction cannot be read: {unread[PROBLEM][0]}")
    return pending


def pending_inputs(
    facts: LinkedFacts, inputs: Sequence[TransactionInput], entities: pl.DataFrame
) -> dict[str, pl.Series]:
    """Give fields of each entity's pending transaction, in the order of *entities*; null where it has none.

    Money in a currency without a rate is an error, in the column that `error_of` names.
    """
    expressions = [_column(facts, each).alias(input_key(each)) for each in inputs]
    columns = _look_up(facts, expressions, entities)
    if not facts.rows.select(pl.col(UNREADABLE).any()).collect(optimizations=_EAGERLY).item():
        return columns
    unknown = facts.problems.select(pl.col(LINKED_ENTITY).alias(ENTITY), PROBLEM)
    problem = entities.select(ENTITY).join(unknown, on=ENTITY, how="left", maintain_order="left")[PROBLEM]
    money = [input_key(each) for each in inputs if each.transaction in MONEY_FIELDS and each.in_currency is None]
    return columns | {error_of(key): problem for key in money}


def _look_up(facts: LinkedFacts, columns: Sequence[pl.Expr], entities: pl.DataFrame) -> dict[str, pl.Series]:
    names = [column.meta.output_name() for column in columns]
    rows = facts.rows.select(pl.col(LINKED_ENTITY).alias(ENTITY), *columns).collect(optimizations=_EAGERLY)
    if rows[ENTITY].equals(entities[ENTITY]):  # as for one entity: what is beside each other need not be searched
        return {name: rows[name] for name in names}
    joined = entities.select(ENTITY).join(rows, on=ENTITY, how="left", validate="m:1", maintain_order="left")
    return {name: joined[name] for name in names}


def _column(facts: LinkedFacts, rule_input: TransactionInput) -> pl.Expr:
    value = facts.column(rule_input.transaction, rule_input.in_currency).expr
    return (
        value if rule_input.in_currency is None else pl.when(pl.col("currency") == rule_input.in_currency).then(value)
    )
