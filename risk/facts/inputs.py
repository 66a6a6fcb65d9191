"""Everything that a ruleset reads, resolved: one row for each entity, one column for each input."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

import polars as pl

from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import Finding, InvalidRulesetError
from fivefold.domain.money import minor_units
from fivefold.risk.compiler.operators import Lists
from fivefold.risk.compiler.value_types import SOURCES, Vocabulary, linked_source, value_type_of_input
from fivefold.risk.facts.aggregates import aggregate
from fivefold.risk.facts.fields import read_field
from fivefold.risk.facts.linked import CONVERTED, FACT, FIELD, LINKED_ENTITY, PROBLEM, TIME, LinkedFacts
from fivefold.risk.facts.patterns import find
from fivefold.risk.facts.pending_transaction import at_hand, prepare_at_hand
from fivefold.risk.facts.portfolio import AS_OF, ENTITY, NOT_READ, Portfolio, error_of, signal_of
from fivefold.risk.facts.records import Recorded, prepare_records, screened, tagged
from fivefold.risk.facts.running_aggregates import quotient
from fivefold.risk.facts.transactions import prepare
from fivefold.risk.language.base import LanguageModel
from fivefold.risk.language.fields import CASE_FIELDS, TRANSACTION_FIELDS, FieldType, ValueType
from fivefold.risk.language.inputs import (
    DaysSince,
    FieldInput,
    IndicatorInput,
    Ratio,
    ScreeningInput,
    TagInput,
    ValueInput,
    Window,
    input_key,
)
from fivefold.risk.language.policy_inputs import LevelInput, TransactionInput
from fivefold.risk.language.ruleset import OptionalTable

OPTIONAL_TABLES: tuple[str, ...] = get_args(OptionalTable)

_FRAMES: Mapping[type, str] = {
    TagInput: "tags",
    ScreeningInput: "screenings",
    IndicatorInput: "indicators",
    ValueInput: "values",
    LevelInput: "levels",
    TransactionInput: "at_hand",
}
"""The part of a portfolio that an input needs."""


@dataclass(frozen=True)
class Needs:
    """What a ruleset reads.

    Attributes:
        inputs: each once.
        signals: those whose latest moment is asked for as well.
        names: the fields that are declared.
    """

    inputs: Sequence[LanguageModel]
    signals: Sequence[LanguageModel]
    names: Vocabulary

    def everything(self) -> list[LanguageModel]:
        """List the inputs, and those that other inputs are made of before them, each once."""
        below = [part for made in self.inputs for part in _made_of(made)]
        return list({input_key(made): made for made in (*below, *self.signals, *self.inputs)}.values())


def _made_of(made: Any) -> list[LanguageModel]:
    if isinstance(made, Ratio):
        return list(made.ratio)
    names = [getattr(made, name, None) for name in ("expected_monthly", "declared")]
    return [FieldInput(field=name) for name in names if name is not None]


def sources_of(needs: Needs, portfolio: Portfolio) -> dict[str, LinkedFacts]:
    """Prepare the linked facts that are read, once for all entities.

    Raises:
        InvalidRulesetError: something that is read was not given at all; nobody is assessed without it.
    """
    everything = needs.everything()
    _require(everything, portfolio)
    wanted = {part_of(made) for made in everything}
    sources = {}
    if "transactions" in wanted and portfolio.transactions is not None:
        sources["transactions"] = prepare(portfolio.transactions, portfolio.rates, own_fields(needs.names))
    if "at_hand" in wanted and portfolio.at_hand is not None:
        sources["at_hand"] = prepare_at_hand(portfolio.at_hand, portfolio.rates, own_fields(needs.names))
    for source in ("cases", "alerts"):
        frame = getattr(portfolio, source)
        if source in wanted and frame is not None:
            own = {name: form for name, form in needs.names.case.items() if name not in CASE_FIELDS}
            sources[source] = prepare_records(frame, own)
    if sum(hasattr(made, "pattern") for made in everything) > 1:  # each would read the transactions again
        facts = sources["transactions"]
        sources["transactions"] = replace(facts, rows=facts.rows.collect(engine="streaming").lazy())
    return sources


def own_fields(names: Vocabulary) -> dict[str, FieldType]:
    """Give the declared fields of transactions, beside those that all have."""
    return {name: form for name, form in names.transaction.items() if name not in TRANSACTION_FIELDS}


def part_of(made: Any) -> str | None:
    """Name the part of a portfolio that an input needs; None where it needs the entity alone."""
    if isinstance(made, Window):
        return linked_source(made) if linked_source(made) in SOURCES else None
    return "transactions" if hasattr(made, "pattern") else _FRAMES.get(type(made))


def _require(everything: Sequence[LanguageModel], portfolio: Portfolio) -> None:
    problems = []
    needed = {part: made for made in reversed(everything) if (part := part_of(made)) is not None}
    for part, made in needed.items():
        if getattr(portfolio, part) is None:
            problems.append(
                Finding(
                    part,
                    f"are read, as by {input_key(made)}, and none were given; {_without(part)}",
                )
            )
    for made in everything:
        if isinstance(made, FieldInput) and made.field not in portfolio.entities.columns:
            there = ", ".join(portfolio.entities.columns)
            problems.append(Finding(f"field {made.field}", f"is no column of the entities; they have {there}"))
    if problems:
        raise InvalidRulesetError(problems, "what the ruleset needs")


def _without(part: str) -> str:
    """Say how to go on where a part is absent."""
    optional = f", and `optional_tables: [{part}]` in the ruleset makes an absent table an empty one"
    return f"an empty table says that there are none{optional if part in OPTIONAL_TABLES else ''}"


def resolve(
    needs: Needs, portfolio: Portfolio, sources: Mapping[str, LinkedFacts], lists: Lists, entities: pl.DataFrame
) -> pl.DataFrame:
    """Resolve inputs for some entities.

    Args:
        needs: what is read.
        portfolio: where it is.
        sources: the linked facts, prepared.
        lists: the members of the named lists.
        entities: `entity_id` (no two alike), `as_of` (Int64, microseconds) and the attributes as known then.

    Returns:
        The rows of *entities*: `entity_id`, `as_of`, a column `key_of(input)` for each input, null where unknown;
        `signal_of` it where that was asked for; `error_of` it where something could not be read.
    """
    everything = needs.everything()
    columns: dict[str, pl.Series] = {}
    for made in everything:
        columns |= _of_entity(made, needs.names, portfolio, entities)
    deciding_on = [made for made in everything if isinstance(made, TransactionInput)]
    if deciding_on:
        columns |= at_hand(sources["at_hand"], deciding_on, entities)
    linked = [made for made in everything if isinstance(made, Window) and part_of(made) is not None]
    signals = {input_key(made) for made in needs.signals}
    if linked:
        found = aggregate(entities.select(ENTITY, AS_OF), sources, linked, lists, signals)
        columns |= {name: found[name] for name in found.columns if name != ENTITY}
    frame = entities.select(ENTITY, AS_OF).with_columns(**columns)
    units = minor_units(portfolio.rates.base)
    for made in everything:
        if hasattr(made, "pattern"):
            frame = _with_pattern(frame, made, sources["transactions"], units)
        elif isinstance(made, Ratio):
            frame = _with_ratio(frame, made, needs.names, portfolio.rates.base)
    signal_fields = [_signal_field(made) for made in needs.signals if isinstance(made, FieldInput)]
    return frame.with_columns(*signal_fields) if signal_fields else frame


def _of_entity(
    made: LanguageModel, names: Vocabulary, portfolio: Portfolio, entities: pl.DataFrame
) -> dict[str, pl.Series]:
    """Resolve what is not linked: fields, tags, screenings, indicators, the value."""
    key, part = input_key(made), part_of(made)
    if part is None and isinstance(made, FieldInput):
        return _field(made.field, key, names, entities)
    if part is None and isinstance(made, DaysSince):
        return _days_since(made.days_since, key, names, entities)
    read = _LOOKUPS.get(type(made))
    if read is None:
        return {}
    found = read(getattr(portfolio, str(part)), made, entities)
    return {key: found.values} if found.wrong is None else {key: found.values, error_of(key): found.wrong}


_LOOKUPS: Mapping[type, Callable[[pl.DataFrame, Any, pl.DataFrame], Recorded]] = {
    TagInput: lambda tags, made, entities: tagged(tags, made.tag, entities),
    ScreeningInput: lambda screenings, made, entities: screened(screenings, made.screening, entities),
    IndicatorInput: lambda indicators, made, entities: _looked_up(indicators, made.indicator, entities, pl.Float64),
    ValueInput: lambda values, made, entities: _looked_up(
        values, made.value, entities, pl.String if made.value == "segment" else pl.Float64
    ),
    LevelInput: lambda levels, made, entities: _looked_up(levels, made.level, entities, _LEVEL_TYPES[made.level]),
}
_LEVEL_TYPES: Mapping[str, Any] = {
    "in_force": pl.Int64,
    "rules": pl.Int64,
    "status": pl.String,
    "source": pl.String,
    "age_days": pl.Float64,
}


def _field(name: str, key: str, names: Vocabulary, entities: pl.DataFrame) -> dict[str, pl.Series]:
    values, wrong = read_field(entities[name], names.entity[name])
    if error_of(name) in entities.columns:  # found when the rows were read
        before = entities[error_of(name)]
        wrong = before if wrong is None else before.zip_with(before.is_not_null(), wrong)
    return {key: values} if wrong is None else {key: values, error_of(key): wrong}


def _days_since(name: str, key: str, names: Vocabulary, entities: pl.DataFrame) -> dict[str, pl.Series]:
    made = _field(name, key, names, entities)
    elapsed = (entities[AS_OF] - made[key]).cast(pl.Float64)
    return {**made, key: elapsed.to_frame().select(quotient(pl.first(), DAY_US)).to_series()}


def _looked_up(frame: pl.DataFrame, column: str, entities: pl.DataFrame, kind: Any) -> Recorded:
    if column not in frame.columns:
        raise InvalidRulesetError(
            [Finding(column, f"is no column; there are {', '.join(frame.columns)}")], "the inputs"
        )
    if frame[ENTITY].equals(entities[ENTITY]):  # as for one entity: what is beside each other need not be searched
        joined = frame
    else:
        wanted = frame.select(ENTITY, column, *([NOT_READ] if NOT_READ in frame.columns else []))
        joined = entities.select(ENTITY).join(wanted, on=ENTITY, how="left", validate="m:1", maintain_order="left")
    found = joined[column].cast(kind)
    wrong = joined[NOT_READ] if NOT_READ in joined.columns else None
    return Recorded(found.fill_nan(None) if kind == pl.Float64 else found, wrong)


def _with_pattern(frame: pl.DataFrame, made: Any, facts: LinkedFacts, units: int) -> pl.DataFrame:
    found = find(frame, facts.rows, made, units).drop(ENTITY)
    key = input_key(made)
    frame = frame.with_columns(*found)
    # A pattern looks at settled transactions alone; what is known to be another one spoils nothing.
    settled = (pl.col(FACT).struct.field("state") == "settled").fill_null(True)
    bad = facts.found_problems.filter(settled).select(pl.col(LINKED_ENTITY).alias(ENTITY), TIME, FIELD, PROBLEM)
    met = bad.join(frame.select(ENTITY, AS_OF), on=ENTITY, maintain_order="left")
    first = met.filter(_concerns(made)).group_by(ENTITY).agg(pl.col(PROBLEM).first())
    problems = [frame.select(ENTITY).join(first, on=ENTITY, how="left", maintain_order="left")[PROBLEM]]
    problems += [
        frame.select(pl.format("{} is {}", pl.lit(part.field), pl.col(error_of(input_key(part))))).to_series()
        for part in _made_of(made)
        if isinstance(part, FieldInput) and error_of(input_key(part)) in frame.columns
    ]
    wrong = frame.select(pl.coalesce(problems)).to_series()
    if wrong.null_count() == len(wrong):
        return frame
    return frame.with_columns(pl.when(wrong.is_null()).then(pl.col(key)).alias(key), wrong.alias(error_of(key)))


def _concerns(made: Any) -> pl.Expr:
    """Tell which problems spoil a pattern: of what it reads, where their moment may be in its window.

    What was before the window matters to a pattern that asks whether anything was.
    """
    read = [name for name in (getattr(made, word, None) for word in ("counterparty", "transaction_field")) if name]
    read.append(CONVERTED)  # every pattern weighs amounts in the base currency
    inside = pl.col(TIME) <= pl.col(AS_OF)
    if hasattr(made, "over"):
        inside &= pl.col(TIME) > made.over.before(pl.col(AS_OF))
    return inside.fill_null(True) & (pl.col(FIELD).is_null() | pl.col(FIELD).is_in(read))


def _with_ratio(frame: pl.DataFrame, made: Ratio, names: Vocabulary, base: str) -> pl.DataFrame:
    """Divide once: each side over its own units first would put 3 of 30 cents below 0.1."""

    def units(part: Any) -> int:
        money = value_type_of_input(part, names) is ValueType.MONEY
        return minor_units(getattr(part, "in_currency", None) or base) if money else 1

    sides = [pl.col(input_key(part)).cast(pl.Float64) for part in made.ratio]
    least = min(map(units, made.ratio))  # powers of ten
    over, under = (side * (units(other) // least) for side, other in zip(sides, reversed(made.ratio), strict=True))
    wrong = [error_of(input_key(part)) for part in made.ratio if error_of(input_key(part)) in frame.columns]
    ratio = pl.when(under != 0).then(over / under).alias(input_key(made))
    return frame.with_columns(ratio, *([pl.coalesce(wrong).alias(error_of(input_key(made)))] if wrong else []))


def _signal_field(made: FieldInput) -> pl.Expr:
    return pl.col(input_key(made)).alias(signal_of(input_key(made)))
