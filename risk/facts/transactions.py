"""Transactions as rules read them: whole minor units, one clock, three states; what cannot be read is named."""

from collections.abc import Mapping
from typing import Final

import polars as pl

from fivefold.domain.errors import FileFormatError
from fivefold.domain.money import RateTable, minor_units, unusual_minor_units
from fivefold.features.schema import (
    AMOUNT,
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
from fivefold.risk.facts.linked import CONVERTED, LINKED_ENTITY, MOST_MINOR, TIME, UNREADABLE, LinkedFacts, original_of
from fivefold.risk.facts.portfolio import AS_OF, ENTITY, NOT_READ
from fivefold.risk.facts.reading import (
    Read,
    read_declared,
    read_number,
    read_text,
    read_time,
    refuse_link,
    refuse_missing,
)
from fivefold.risk.facts.row_errors import Check, find_problems, with_problems
from fivefold.risk.language.fields import MONEY_FIELDS, TRANSACTION_FIELDS, FieldType

REQUIRED: Final = (AMOUNT, CURRENCY, DATE)
CONTRADICTS: Final = "@contradicts"
"""A column that may stand beside: true where another row of the entity has the same number and other content."""
_TAKEN = frozenset({LINKED_ENTITY, AS_OF, *TRANSACTION_FIELDS, *map(original_of, MONEY_FIELDS)})
_NUMBER, _POSITION, _UNITS, _LIMIT, _OWN, _BASED = "@number", "@position", "@units", "@limit", "@own", "@based"
_WORDS = {SETTLED: "settled", PENDING: "pending", FAILED: "failed"}
_STATE_WORDS = [form for word in STATES for form in (word, word.lower(), word.title())]
_STATE_VALUES = pl.Series([_WORDS[code] for code in STATES.values() for _ in range(3)], dtype=pl.String)
"""What each of the words means, each as it is mostly written; other mixtures of case take the slow way."""


def prepare(frame: pl.DataFrame | pl.LazyFrame, rates: RateTable, declared: Mapping[str, FieldType]) -> LinkedFacts:
    """Read transactions.

    Money is brought to whole minor units of its own currency, then converted at the table's rate into whole minor
    units of the base, each step rounded half-even. A state that is absent is settled. Rows without amount, currency
    or time that can be read, or with a state that is none, have no time and stand among the problems. So does the money
    of a currency without a rate, which is unknown in the base: the transaction counts, and its own amount is known.

    Args:
        frame: the API's columns, with `user_id` or `entity_id`.
        rates: into the base currency.
        declared: the ruleset's own fields of transactions.

    Returns:
        Rows with `entity`, `time`, `amount` (its size), `signed_amount`, `original_amount`, `original_signed_amount`,
        `direction` (null for 0), `currency`, `state`, `transaction_id`, and the declared fields.

    Raises:
        FileFormatError: a column that all transactions have is missing, or owners are no identifiers.
        InvalidRulesetError: a column that the ruleset declares is missing.
    """
    lazy = frame.lazy()
    schema = lazy.collect_schema()
    owner = _owner(schema)
    refuse_link("transactions", owner, schema[owner])
    refuse_missing("transactions", schema, REQUIRED, declared, _TAKEN)
    parts = _Parts(schema, owner, rates)
    fields = {name: read_declared(name, schema[name], form) for name, form in declared.items()}
    checks = parts.checks() + [Check(name, name, read.wrong) for name, read in fields.items() if read.wrong is not None]
    columns = {**{name: read.value for name, read in fields.items()}, **parts.columns()}
    read = parts.read(lazy)
    fact = {name: value for name, value in columns.items() if name not in {LINKED_ENTITY, TIME, UNREADABLE}}
    return LinkedFacts(
        with_problems(read, checks).select(**columns),
        {**declared, **TRANSACTION_FIELDS},
        lambda: find_problems(read, checks, fact),
        base=rates.base,
        usual=pl.col("state") == "settled",
        usual_field="state",
    )


class _Parts:
    """The columns that every transaction has, in steps: each step's expressions read the columns of those before.

    Polars computes an expression again wherever it is written, so what several columns need is a column as well.
    """

    def __init__(self, schema: pl.Schema, owner: str, rates: RateTable) -> None:
        self.rates = rates
        self.schema = schema
        self.owner = owner
        self.state = _state(schema)
        position = pl.col(CURRENCY).cast(pl.String).cast(pl.Enum(rates.codes), strict=False).to_physical()
        self.raw = {
            LINKED_ENTITY: read_text(owner, schema[owner]).value,
            TIME: read_time(DATE, schema[DATE]).value,
            _NUMBER: read_number(AMOUNT, schema[AMOUNT]).value,
            _POSITION: position,
        }
        minor = [float(minor_units(code)) for code in rates.codes]
        dearest = [max(units, rate * minor_units(rates.base)) for units, rate in zip(minor, rates.units, strict=True)]
        # Of a currency without a rate the amount is known in its own units, and in the base's it is not.
        code = pl.col(CURRENCY).cast(pl.String)
        own = code.replace_strict(unusual_minor_units(), default=100, return_dtype=pl.Float64)
        units = pl.coalesce(_by_currency(minor), pl.when(_is_code()).then(own))
        limit = pl.coalesce(_by_currency([_limit(units) for units in dearest]), LARGEST_MAGNITUDE)
        self.units = {_UNITS: units, _LIMIT: limit}
        # 0.29 × 100 is 28.999999999999996: what was written is 29.
        self.own = {_OWN: (pl.col(_NUMBER).abs() * pl.col(_UNITS)).round(mode="half_to_even")}
        self.based = {_BASED: self._converted()}

    def read(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        """Add the columns that the others and the checks are made of."""
        for step in (self.raw, self.units, self.own, self.based):
            rows = rows.with_columns(**step)
        return rows

    def columns(self) -> dict[str, pl.Expr]:
        """Give each by its name, over what `read` added."""
        number = pl.col(_NUMBER)
        has_id = TRANSACTION_ID in self.schema
        size, original = (pl.col(name).cast(pl.Int64, strict=False) for name in (_BASED, _OWN))
        return {
            LINKED_ENTITY: pl.col(LINKED_ENTITY),
            TIME: pl.col(TIME),
            UNREADABLE: pl.col(UNREADABLE),
            "amount": size,
            "signed_amount": pl.when(number < 0).then(-size).otherwise(size),
            original_of("amount"): original,
            original_of("signed_amount"): pl.when(number < 0).then(-original).otherwise(original),
            "direction": pl.when(number > 0).then(pl.lit("deposit")).when(number < 0).then(pl.lit("withdrawal")),
            "currency": pl.col(CURRENCY).cast(pl.String),
            "state": self.state.value,
            TRANSACTION_ID: read_text(TRANSACTION_ID, self.schema[TRANSACTION_ID]).value
            if has_id
            else pl.lit(None, pl.String),
        }

    def checks(self) -> list[Check]:
        """Tell when a row cannot be used, over what `read` added."""
        number, limit = pl.col(_NUMBER), pl.col(_LIMIT)
        unread = [Check(NOT_READ, None, pl.col(NOT_READ).is_not_null())] if NOT_READ in self.schema else []
        made = [
            *unread,
            Check(self.owner, None, pl.col(LINKED_ENTITY).is_null()),
            Check(AMOUNT, None, number.is_null(), f"a finite number of at most {LARGEST_MAGNITUDE:g}"),
            Check(CURRENCY, None, pl.col(_UNITS).is_null(), "three capital letters, ISO 4217"),
            Check(
                CURRENCY,
                CONVERTED,
                pl.col(_POSITION).is_null() & pl.col(_UNITS).is_not_null(),
                f"a currency with a rate into {self.rates.base}",
            ),
            Check(DATE, None, pl.col(TIME).is_null(), "an ISO 8601 date or time"),
            Check(AMOUNT, None, (number.abs() > limit).fill_null(False), f"at most {MOST_MINOR:.0f} minor units"),
        ]
        if CONTRADICTS in self.schema:
            allowed = "one row for each transaction, or exact repeats"
            made.append(Check(TRANSACTION_ID, None, pl.col(CONTRADICTS), allowed))
        if self.state.wrong is not None:
            made.append(Check(STATE, None, self.state.wrong, ", ".join(STATES)))
        return made

    def _converted(self) -> pl.Expr:
        """Give whole minor units of the base currency, still as floats, as `_OWN` are of the transaction's own."""
        base = self.rates.positions[self.rates.base]
        per_unit = _by_currency(list(self.rates.units))
        units = float(minor_units(self.rates.base))
        converted = (pl.col(_OWN) / pl.col(_UNITS) * per_unit * units).round(mode="half_to_even")
        return pl.when(pl.col(_POSITION) == base).then(pl.col(_OWN)).otherwise(converted)


def _is_code() -> pl.Expr:
    return pl.col(CURRENCY).cast(pl.String).str.contains("^[A-Z]{3}$")


def _limit(units: float) -> float:
    """Tell the largest amount whose minor units a 64-bit integer holds, a little below for the sake of rounding."""
    return min(LARGEST_MAGNITUDE, MOST_MINOR / units * (1 - 1e-12))


def _by_currency(values: list[float]) -> pl.Expr:
    return pl.lit(pl.Series(values, dtype=pl.Float64)).gather(pl.col(_POSITION))


def _state(schema: pl.Schema) -> Read:
    if STATE not in schema or schema[STATE] == pl.Null:
        return Read(pl.lit("settled"))
    raw = pl.col(STATE)
    read = raw.cast(pl.String).map_batches(_states, return_dtype=pl.String, is_elementwise=True)
    return Read(read, read.is_null())


def _states(words: pl.Series) -> pl.Series:
    """Give what each word means, null where none is known; text is brought to capitals only where there is need."""
    codes = words.cast(pl.Enum(_STATE_WORDS), strict=False)
    if codes.null_count() > words.null_count():
        codes = words.str.to_uppercase().cast(pl.Enum(_STATE_WORDS), strict=False)
    states = _STATE_VALUES.gather(codes.to_physical())
    if not codes.null_count():
        return states
    return states.zip_with(words.is_not_null() & (words != ""), pl.Series(["settled"], dtype=pl.String))


def _owner(schema: pl.Schema) -> str:
    for name in (ENTITY, USER_ID):
        if name in schema:
            return name
    raise FileFormatError(
        f"transactions have no {USER_ID} (or {ENTITY}); there are {', '.join(schema.names()) or 'none'}"
    )
