"""Reads transactions for rules: whole minor units, one clock, three states; what cannot be read is reported.

The pending transaction, one for each entity, is read as stored ones are, and never counted with them.
"""

from collections.abc import Mapping, Sequence
from decimal import Context, Decimal
from typing import Final

import numpy as np
import polars as pl

from fivefold.domain.errors import FileFormatError
from fivefold.domain.money import RateTable, minor_units, unusual_minor_units
from fivefold.features.histories import AmountChecks
from fivefold.features.reading.columns import ALLOWED_TIME
from fivefold.features.schema import (
    AMOUNT,
    BALANCE,
    CURRENCY,
    DATE,
    FAILED,
    LARGEST_MAGNITUDE,
    PENDING,
    SETTLED,
    STATE,
    STATES,
    TRANSACTION_ID,
    USER_ID,
)
from fivefold.risk.facts.linked import (
    CONVERTED,
    FIELD,
    LINKED_ENTITY,
    MOST_MINOR,
    PROBLEM,
    TIME,
    UNREADABLE,
    LinkedFacts,
    original_of,
)
from fivefold.risk.facts.portfolio import AS_OF, ENTITY, NOT_READ, error_of
from fivefold.risk.facts.reading import (
    read_declared,
    read_number,
    read_text,
    read_time,
    refuse_link,
    refuse_missing,
)
from fivefold.risk.facts.row_errors import Check, find_problems, with_problems
from fivefold.risk.language.expressions import input_key
from fivefold.risk.language.fields import MONEY_FIELDS, TRANSACTION_FIELDS, FieldType
from fivefold.risk.language.policy import TransactionInput

REQUIRED: Final = (AMOUNT, CURRENCY, DATE)
CONTRADICTS: Final = "@contradicts"
"""An optional column: the columns in which another row of the entity with the same number differs, null for none."""
TAKEN = frozenset({LINKED_ENTITY, AS_OF, *TRANSACTION_FIELDS, *map(original_of, MONEY_FIELDS)})
_NUMBER, _CODE, _ID, _STATE = "@number", "@code", "@id", "@state"
_POSITION, _UNITS, _LIMIT, _OWN, _BASED = "@position", "@units", "@limit", "@own", "@based"
_PER_UNIT, _SIZE = "@per unit", "@size"
_EXACT: Final = Context(prec=50)
"""Enough digits for the product of two floats' shortest decimals, of 17 digits each, and minor units."""
_MOST_ERROR: Final = 2.0**-50
"""The relative error of two decimals times a power of ten in floats: four roundings of 2^-53 are half of it."""
_UNUSUAL = pl.col(_CODE).replace_strict(unusual_minor_units(), default=100, return_dtype=pl.Float64)
"""Minor units of a currency without a rate: its amount is known in its own currency, not in the base."""
_NO_TEXT = pl.lit(None, pl.String)
_WORDS = {SETTLED: "settled", PENDING: "pending", FAILED: "failed"}
WORDS_OF_STATES: dict[str | None, str] = {**{word: _WORDS[code] for word, code in STATES.items()}, None: "settled"}
_STATE_TEXTS: Final = pl.Enum(["", *STATES])
_STATE_WORDS: Final = pl.Series(["settled", *(_WORDS[code] for code in STATES.values())])


def prepare(frame: pl.DataFrame | pl.LazyFrame, rates: RateTable, declared: Mapping[str, FieldType]) -> LinkedFacts:
    """Read transactions.

    The money of each transaction is converted to whole minor units of its own currency, and at the table's rate to
    whole minor units of the base: each the exact product, by `whole_minor`. An absent state means settled. Rows without
    a readable amount, currency or time, or with an unknown state, have no time and are among the problems. So is money
    in a currency without a rate, which is unknown in the base: the transaction counts, and its own amount is known.

    Args:
        frame: the API's columns, with `user_id` or `entity_id`.
        rates: the rates into the base currency.
        declared: the ruleset's own fields of transactions.

    Returns:
        Rows with `entity`, `time`, `amount` (its size), `signed_amount`, `original_amount`, `original_signed_amount`,
        `direction` (null for 0), `currency`, `state`, `transaction_id`, and the declared fields.

    Raises:
        FileFormatError: a required column is missing, or owners are not identifiers.
        InvalidRulesetError: a column that the ruleset declares is missing.
    """
    lazy = frame.lazy()
    schema = lazy.collect_schema()
    owner = _owner(schema)
    refuse_link("transactions", owner, schema[owner])
    refuse_missing("transactions", schema, REQUIRED, declared, TAKEN)
    read = {
        LINKED_ENTITY: read_text(owner, schema[owner]).value,
        TIME: read_time(DATE, schema[DATE]).value,
        _NUMBER: read_number(AMOUNT, schema[AMOUNT]).value,
        **_currency(pl.col(CURRENCY).cast(pl.String), rates),
        _ID: read_text(TRANSACTION_ID, schema[TRANSACTION_ID]).value if TRANSACTION_ID in schema else _NO_TEXT,
        _STATE: _state(schema),
    }
    units = pl.coalesce(_by_currency(_minor(rates)), _units_without_rate(rates))
    unread = [Check(NOT_READ, None, pl.col(NOT_READ).is_not_null())] if NOT_READ in schema else []
    first = [
        *unread,
        Check(owner, None, pl.col(LINKED_ENTITY).is_null()),
        Check(AMOUNT, None, pl.col(_NUMBER).is_null(), f"a finite number of at most {LARGEST_MAGNITUDE:g}"),
        Check(CURRENCY, None, pl.col(_UNITS).is_null(), "three capital letters, ISO 4217"),
    ]
    timed = Check(DATE, None, pl.col(TIME).is_null(), ALLOWED_TIME)
    last = []
    if CONTRADICTS in schema:
        allowed = "one row for each transaction, or repeats exactly as written"
        last.append(Check(TRANSACTION_ID, None, pl.col(CONTRADICTS).is_not_null(), allowed, differing=CONTRADICTS))
    if STATE in schema:
        last.append(Check(STATE, None, pl.col(_STATE).is_null(), ", ".join(STATES)))
    unconverted, too_large = _money_checks(rates, CURRENCY, AMOUNT)
    checks = [*first, unconverted, timed, too_large, *last]
    return _facts(lazy.with_columns(**read), units, checks, rates, declared)


def prepare_stored(
    frame: pl.DataFrame | pl.LazyFrame, rates: RateTable, declared: Mapping[str, FieldType]
) -> LinkedFacts:
    """Read stored transactions as `prepare` does; what was checked when they were taken in is not checked again.

    Args:
        frame: `entity_id`, `transaction_id`, `time`, `amount`, `currency`, `state` (null is settled) and the declared
            fields, from `usecases.levels.portfolio`.
        rates: the rates into the base currency.
        declared: the ruleset's own fields of transactions.

    Raises:
        InvalidRulesetError: a column that the ruleset declares is missing.
    """
    lazy = frame.lazy()
    refuse_missing("transactions", lazy.collect_schema(), (), declared, TAKEN)
    read = {
        LINKED_ENTITY: pl.col(ENTITY),
        _NUMBER: pl.col("amount"),
        **_currency(pl.col("currency"), rates),
        _ID: pl.col(TRANSACTION_ID),
        _STATE: pl.col("state").replace_strict(WORDS_OF_STATES, return_dtype=pl.String),
    }
    units = pl.coalesce(_by_currency(_minor(rates)), _UNUSUAL)
    return _facts(lazy.with_columns(**read), units, _money_checks(rates, "currency", "amount"), rates, declared)


def _facts(
    rows: pl.LazyFrame,
    units: pl.Expr,
    checks: Sequence[Check],
    rates: RateTable,
    declared: Mapping[str, FieldType],
) -> LinkedFacts:
    """Convert the money of rows that were read, and add the declared fields.

    The columns are made in steps: Polars recomputes an expression wherever it occurs, so shared parts are columns too.
    """
    schema = rows.collect_schema()
    minor = _minor(rates)
    dearest = [max(units, rate * minor_units(rates.base)) for units, rate in zip(minor, rates.units, strict=True)]
    limit = pl.coalesce(_by_currency([largest_amount(units) for units in dearest]), LARGEST_MAGNITUDE)
    own = _whole_minor(pl.col(_NUMBER).abs(), pl.lit(1.0), pl.col(_UNITS))
    steps = ({_UNITS: units, _LIMIT: limit}, {_OWN: own}, {_BASED: _converted(rates)})
    for step in steps:
        rows = rows.with_columns(**step)
    fields = {name: read_declared(name, schema[name], form) for name, form in declared.items()}
    checks = [*checks, *(Check(name, name, read.wrong) for name, read in fields.items() if read.wrong is not None)]
    own_fields, others = {name: read.value for name, read in fields.items()}, _columns()
    keys = {name: pl.col(name) for name in (LINKED_ENTITY, TIME, UNREADABLE)}
    return LinkedFacts(
        with_problems(rows, checks).select(**own_fields, **keys, **others),
        {**declared, **TRANSACTION_FIELDS},
        lambda: find_problems(rows, checks, own_fields | others),
        base=rates.base,
        usual=pl.col("state") == "settled",
        usual_field="state",
    )


def _columns() -> dict[str, pl.Expr]:
    """Return the fields that every transaction has, over the columns of `_facts`."""
    number = pl.col(_NUMBER)
    size, original = pl.col(_BASED), pl.col(_OWN)
    return {
        "amount": size,
        "signed_amount": pl.when(number < 0).then(-size).otherwise(size),
        original_of("amount"): original,
        original_of("signed_amount"): pl.when(number < 0).then(-original).otherwise(original),
        "direction": pl.when(number > 0).then(pl.lit("deposit")).when(number < 0).then(pl.lit("withdrawal")),
        "currency": pl.col(_CODE),
        "state": pl.col(_STATE),
        TRANSACTION_ID: pl.col(_ID),
    }


def _money_checks(rates: RateTable, currency: str, amount: str) -> list[Check]:
    """Make the checks for money without a rate, or too large; *currency* and *amount* name the columns shown."""
    without_rate = pl.col(_POSITION).is_null() & pl.col(_UNITS).is_not_null()
    too_large = (pl.col(_NUMBER).abs() > pl.col(_LIMIT)).fill_null(False)
    return [
        Check(CURRENCY, CONVERTED, without_rate, f"a currency with a rate into {rates.base}", currency),
        Check(AMOUNT, None, too_large, f"at most {MOST_MINOR:.0f} minor units", amount),
    ]


def _currency(code: pl.Expr, rates: RateTable) -> dict[str, pl.Expr]:
    return {_CODE: code, _POSITION: code.cast(pl.Enum(rates.codes), strict=False).to_physical()}


def _units_without_rate(rates: RateTable) -> pl.Expr:
    """Return the minor units of currencies without a rate; null for currencies with one, and for other texts.

    Hardly any batch has one, and checking each text of a large file took a fifth of the time of its aggregates.
    """
    with_rate = pl.Enum(rates.codes)

    def units(codes: pl.Series) -> pl.Series:
        if codes.cast(with_rate, strict=False).null_count() == codes.null_count():
            return pl.repeat(None, len(codes), dtype=pl.Float64, eager=True)
        unusual = pl.when(pl.col(_CODE).str.contains("^[A-Z]{3}$")).then(_UNUSUAL)
        return codes.to_frame(_CODE).select(unusual).to_series()

    return pl.col(_CODE).map_batches(units, return_dtype=pl.Float64, is_elementwise=True)


def _minor(rates: RateTable) -> list[float]:
    return [float(minor_units(code)) for code in rates.codes]


def _converted(rates: RateTable) -> pl.Expr:
    """Return amounts in whole minor units of the base currency, as `_OWN` is in the transaction's own."""
    is_base = pl.col(_POSITION) == rates.positions[rates.base]
    others = pl.when(~is_base).then(pl.col(_NUMBER).abs())
    units = pl.lit(float(minor_units(rates.base)))
    converted = _whole_minor(others, _by_currency(list(rates.units)), units)
    return pl.when(is_base).then(pl.col(_OWN)).otherwise(converted)


def whole_minor(size: float, per_unit: float, units: float) -> int:
    """Convert an amount to whole minor units: the product of the decimals as written, rounded half to even once.

    Floats decide if their product is further from a half than its error. Otherwise the decimals do: each is the
    shortest that gives its float, which is what was written if that has at most 15 digits.

    Args:
        size: the absolute amount.
        per_unit: the worth of one unit of its currency.
        units: the minor units of the result's currency.

    >>> whole_minor(0.29, 1.0, 100.0), whole_minor(50.50, 0.95, 100.0), whole_minor(66.665, 1.0, 100.0)
    (29, 4798, 6666)
    """
    product = size * per_unit * units
    if abs(product % 1 - 0.5) > product * _MOST_ERROR:
        return round(product)
    return round(_EXACT.multiply(_EXACT.multiply(Decimal(repr(size)), Decimal(repr(per_unit))), Decimal(units)))


def _whole_minor(size: pl.Expr, per_unit: pl.Expr, units: pl.Expr) -> pl.Expr:
    """Compute `whole_minor` for columns: few products are near a half, and each distinct one is decided once."""
    return pl.struct(size.alias(_SIZE), per_unit.alias(_PER_UNIT), units.alias(_UNITS)).map_batches(
        _decided, return_dtype=pl.Int64, is_elementwise=True
    )


def _decided(factors: pl.Series) -> pl.Series:
    frame = factors.struct.unnest()
    product = frame[_SIZE] * frame[_PER_UNIT] * frame[_UNITS]
    whole = product.round(mode="half_to_even").cast(pl.Int64, strict=False)
    near = ((product - product.floor() - 0.5).abs() <= product * _MOST_ERROR) & (product < MOST_MINOR)
    if not near.any():
        return whole
    undecided = frame.filter(near).unique()
    exact = pl.Series([min(whole_minor(*row), MOST_MINOR) for row in undecided.rows()], dtype=pl.Int64)
    answers = undecided.with_columns(exact.alias(_BASED))
    return frame.join(answers, on=frame.columns, how="left", maintain_order="left")[_BASED].fill_null(whole)


def largest_amount(units: float) -> float:
    """Return the largest amount whose minor units a 64-bit integer holds, reduced slightly for rounding."""
    return min(LARGEST_MAGNITUDE, MOST_MINOR / units * (1 - 1e-12))


def _by_currency(values: list[float]) -> pl.Expr:
    return pl.lit(pl.Series(values, dtype=pl.Float64)).gather(pl.col(_POSITION))


def _state(schema: pl.Schema) -> pl.Expr:
    """Build the expression of a state's meaning; null for an unknown state."""
    if STATE not in schema or schema[STATE] == pl.Null:
        return pl.lit("settled")
    return pl.col(STATE).cast(pl.String).map_batches(_states, return_dtype=pl.String, is_elementwise=True)


def _states(texts: pl.Series) -> pl.Series:
    """Return the meaning of each text. Texts are put in capitals only if needed, as that takes time and memory."""
    codes = texts.cast(_STATE_TEXTS, strict=False)
    if codes.null_count() > texts.null_count():
        codes = texts.str.to_uppercase().cast(_STATE_TEXTS, strict=False)
    words = _STATE_WORDS.gather(codes.to_physical())
    return words.zip_with(texts.is_not_null(), pl.Series(["settled"])) if texts.null_count() else words


def _owner(schema: pl.Schema) -> str:
    for name in (ENTITY, USER_ID):
        if name in schema:
            return name
    raise FileFormatError(
        f"transactions have no {USER_ID} (or {ENTITY}); there are {', '.join(schema.names()) or 'none'}"
    )


def amount_checks_of(frame: pl.DataFrame, entity: str = ENTITY) -> AmountChecks:
    """Check the amounts of rows as written; an unreadable one, or one without an entity, is left out.

    *entity* names the column of the entity.
    """
    readers = {AMOUNT: read_number, BALANCE: read_number, DATE: read_time}
    schema = {name: dtype for name, dtype in frame.schema.items() if dtype != pl.Object}
    if entity not in schema or AMOUNT not in schema:
        return AmountChecks()
    values = [read(name, schema[name]).value.alias(name) for name, read in readers.items() if name in schema]
    rows = frame.select(pl.col(entity).cast(pl.String), *values).drop_nulls([entity, AMOUNT])
    if rows.is_empty():
        return AmountChecks()
    rows = rows.with_row_index(_NUMBER).with_columns(pl.first(_NUMBER).over(entity))
    if DATE in schema and BALANCE in schema:
        rows = rows.sort(_NUMBER, DATE, nulls_last=True, maintain_order=True)
    else:  # without balances there are no moves
        rows = rows.sort(_NUMBER).with_columns(pl.lit(None, pl.Float64).alias(BALANCE), pl.lit(0).alias(DATE))
    number = rows[_NUMBER].to_numpy()
    return AmountChecks.of(
        np.concatenate([[0], np.flatnonzero(np.diff(number)) + 1, [len(number)]]),
        rows[DATE].fill_null(0).to_numpy(),
        rows[AMOUNT].to_numpy(),
        rows[BALANCE].fill_null(np.nan).to_numpy(),
        rows[entity][-1],
    )


_EAGERLY = pl.QueryOptFlags._eager()  # noqa: SLF001 (as eager frames do: these are so few rows that plans cost more)


def pending_facts(facts: LinkedFacts) -> LinkedFacts:
    """Collect the pending transactions, read as *facts*.

    Raises:
        FileFormatError: a transaction cannot be read; callers validate it before.
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
    """Return fields of each entity's pending transaction, in the order of *entities*; null if it has none.

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
    if rows[ENTITY].equals(entities[ENTITY]):  # as for one entity: rows in the same order need no join
        return {name: rows[name] for name in names}
    joined = entities.select(ENTITY).join(rows, on=ENTITY, how="left", validate="m:1", maintain_order="left")
    return {name: joined[name] for name in names}


def _column(facts: LinkedFacts, rule_input: TransactionInput) -> pl.Expr:
    value = facts.column(rule_input.transaction, rule_input.in_currency).expr
    return (
        value if rule_input.in_currency is None else pl.when(pl.col("currency") == rule_input.in_currency).then(value)
    )
