"""Transactions as rules read them: whole minor units, one clock, three states; what cannot be read is named."""

from collections.abc import Mapping
from typing import Final

import polars as pl

from domain.errors import LayoutError
from domain.money import RateTable, minor_units
from features.columns import (
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
from risk.facts.portfolio import AS_OF, ENTITY
from risk.facts.problems import Check, find_problems, suspected
from risk.facts.reading import Read, read_declared, read_number, read_text, read_time, refuse_missing
from risk.facts.source import LINK, MOST_MINOR, TIME, Facts, nothing_wrong, original_of
from risk.language.fields import MONEY_FIELDS, TRANSACTION_FIELDS, FieldType

REQUIRED: Final = (AMOUNT, CURRENCY, DATE)
_TAKEN = frozenset({LINK, AS_OF, *TRANSACTION_FIELDS, *map(original_of, MONEY_FIELDS)})
_NUMBER, _POSITION, _UNITS, _OWN, _BASED = "@number", "@position", "@units", "@own", "@based"
_WORDS = {SETTLED: "settled", PENDING: "pending", FAILED: "failed"}
_STATE_WORDS = [form for word in STATES for form in (word, word.lower(), word.title())]
_STATE_VALUES = pl.Series([_WORDS[code] for code in STATES.values() for _ in range(3)], dtype=pl.String)
"""What each of the words means, each as it is mostly written; other mixtures of case take the slow way."""


def prepare(frame: pl.DataFrame | pl.LazyFrame, rates: RateTable, declared: Mapping[str, FieldType]) -> Facts:
    """Read transactions.

    Money is brought to whole minor units of its own currency, then converted at the table's rate into whole minor
    units of the base, each step rounded half-even. A state that is absent is settled. Rows without amount, currency
    or time that can be read are left out and stand among the problems, whose entities cannot be assessed by them.

    Args:
        frame: the API's columns, with `user_id` or `entity_id`.
        rates: into the base currency.
        declared: the ruleset's own fields of transactions.

    Returns:
        Rows with `entity`, `time`, `amount` (its size), `signed_amount`, `original_amount`, `original_signed_amount`,
        `direction` (null for 0), `currency`, `state`, `transaction_id`, and the declared fields.

    Raises:
        LayoutError: a column that all transactions have is missing.
        RulesetNotValid: a column that the ruleset declares is missing.
    """
    lazy = frame.lazy()
    schema = lazy.collect_schema()
    owner = _owner(schema)
    refuse_missing("transactions", schema, REQUIRED, declared, _TAKEN)
    parts = _Parts(schema, owner, rates)
    fields = {name: read_declared(name, schema[name], form) for name, form in declared.items()}
    checks = parts.checks() + [Check(name, name, read.wrong) for name, read in fields.items() if read.wrong is not None]
    rows, problems = parts.read(lazy), nothing_wrong()
    found = suspected(rows, checks)
    if found:
        problems = find_problems(rows, found)
        rows = rows.filter(
            ~pl.any_horizontal([pl.lit(False), *(check.wrong for check in found if check.field is None)])
        )
    columns = {**{name: read.value for name, read in fields.items()}, **parts.columns(plain_states=not found)}
    return Facts(
        rows.select(**columns),
        {**declared, **TRANSACTION_FIELDS},
        problems,
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
            LINK: read_text(owner, schema[owner]).value,
            TIME: read_time(DATE, schema[DATE]).value,
            _NUMBER: read_number(AMOUNT, schema[AMOUNT]).value,
            _POSITION: position,
        }
        self.units = {_UNITS: _by_currency([float(minor_units(code)) for code in rates.codes])}
        # 0.29 × 100 is 28.999999999999996: what was written is 29.
        self.own = {_OWN: (pl.col(_NUMBER).abs() * pl.col(_UNITS)).round(mode="half_to_even")}
        self.based = {_BASED: self._converted()}

    def read(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        """Add the columns that the others and the checks are made of."""
        for step in (self.raw, self.units, self.own, self.based):
            rows = rows.with_columns(**step)
        return rows

    def columns(self, *, plain_states: bool) -> dict[str, pl.Expr]:
        """Give each by its name, over what `read` added; *plain_states* says that every state was seen to be plain."""
        number = pl.col(_NUMBER)
        has_id = TRANSACTION_ID in self.schema
        size, original = pl.col(_BASED).cast(pl.Int64), pl.col(_OWN).cast(pl.Int64)
        return {
            LINK: pl.col(LINK),
            TIME: pl.col(TIME),
            "amount": size,
            "signed_amount": pl.when(number < 0).then(-size).otherwise(size),
            original_of("amount"): original,
            original_of("signed_amount"): pl.when(number < 0).then(-original).otherwise(original),
            "direction": pl.when(number > 0).then(pl.lit("deposit")).when(number < 0).then(pl.lit("withdrawal")),
            "currency": pl.col(CURRENCY).cast(pl.String),
            "state": _plain_state() if plain_states and self.state.wrong is not None else self.state.value,
            TRANSACTION_ID: read_text(TRANSACTION_ID, self.schema[TRANSACTION_ID]).value
            if has_id
            else pl.lit(None, pl.String),
        }

    def checks(self) -> list[Check]:
        """Tell when a row cannot be used, over what `read` added."""
        too_much = (pl.max_horizontal(_OWN, _BASED) > MOST_MINOR).fill_null(False)
        units = [minor_units(code) for code in self.rates.codes]
        most = max(*units, *(per_unit * minor_units(self.rates.base) for per_unit in self.rates.units)) + 1
        made = [
            Check(self.owner, None, pl.col(LINK).is_null()),
            Check(AMOUNT, None, pl.col(_NUMBER).is_null(), f"a finite number of at most {LARGEST_MAGNITUDE:g}"),
            Check(CURRENCY, None, pl.col(_POSITION).is_null(), f"a currency with a rate into {self.rates.base}"),
            Check(DATE, None, pl.col(TIME).is_null(), "an ISO 8601 date or time"),
            Check(
                AMOUNT,
                None,
                too_much,
                f"at most {MOST_MINOR} minor units",
                maybe=pl.col(_NUMBER).abs() > MOST_MINOR / most,
            ),
        ]
        if self.state.wrong is not None:
            plain = pl.col(STATE).cast(pl.String)
            odd = plain.cast(pl.Enum(_STATE_WORDS), strict=False).is_null() & (plain != "")
            made.append(Check(STATE, None, self.state.wrong, ", ".join(STATES), maybe=odd))
        return made

    def _converted(self) -> pl.Expr:
        """Give whole minor units of the base currency, still as floats, as `_OWN` are of the transaction's own."""
        base = self.rates.positions[self.rates.base]
        per_unit = _by_currency(list(self.rates.units))
        units = float(minor_units(self.rates.base))
        converted = (pl.col(_OWN) / pl.col(_UNITS) * per_unit * units).round(mode="half_to_even")
        return pl.when(pl.col(_POSITION) == base).then(pl.col(_OWN)).otherwise(converted)


def _by_currency(values: list[float]) -> pl.Expr:
    return pl.lit(pl.Series(values, dtype=pl.Float64)).gather(pl.col(_POSITION))


def _state(schema: pl.Schema) -> Read:
    if STATE not in schema or schema[STATE] == pl.Null:
        return Read(pl.lit("settled"))
    raw = pl.col(STATE)
    read = raw.cast(pl.String).map_batches(_states, return_dtype=pl.String, is_elementwise=True)
    return Read(read, read.is_null())


def _plain_state() -> pl.Expr:
    code = pl.col(STATE).cast(pl.String).cast(pl.Enum(_STATE_WORDS), strict=False).to_physical()
    return pl.lit(_STATE_VALUES).gather(code).fill_null("settled")


def _states(words: pl.Series) -> pl.Series:
    """Give what each word means, null where none is known; text is brought to capitals only where there is need."""
    codes = words.cast(pl.Enum(_STATE_WORDS), strict=False)
    if codes.null_count() > words.null_count():
        codes = words.str.to_uppercase().cast(pl.Enum(_STATE_WORDS), strict=False)
    states = _STATE_VALUES.gather(codes.to_physical())
    return states.zip_with(words.is_not_null() & (words != ""), _settled(len(words)))


def _settled(rows: int) -> pl.Series:
    return pl.repeat("settled", rows, dtype=pl.String, eager=True)


def _owner(schema: pl.Schema) -> str:
    for name in (ENTITY, USER_ID):
        if name in schema:
            return name
    raise LayoutError(f"transactions have no {USER_ID} (or {ENTITY}); there are {', '.join(schema.names()) or 'none'}")
