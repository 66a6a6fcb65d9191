"""Resolves everything that a ruleset reads: one row for each entity, one column for each input."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any, Self, get_args

import polars as pl

from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import Finding, InvalidRulesetError
from fivefold.domain.money import minor_units
from fivefold.domain.text import nearest
from fivefold.risk.compiler.analysis import VERSIONS_KEPT, Analysed
from fivefold.risk.compiler.conditions import Lists
from fivefold.risk.compiler.formulas import calculations_in_order, parts_of_calculation
from fivefold.risk.compiler.ratios import ratio_of
from fivefold.risk.compiler.value_types import SOURCES, Vocabulary, linked_source
from fivefold.risk.facts.aggregates import aggregate, quotient
from fivefold.risk.facts.calculated import with_calculations
from fivefold.risk.facts.groups.values import GroupReader, inputs_of_linked
from fivefold.risk.facts.linked import CONVERTED, FACT, FIELD, LINKED_ENTITY, PROBLEM, TIME, UNREADABLE, LinkedFacts
from fivefold.risk.facts.patterns import find
from fivefold.risk.facts.peers import parts_of_peers, reference_in, with_peers
from fivefold.risk.facts.portfolio import (
    AS_OF,
    ENTITY,
    NOT_READ,
    VALUE_CURRENCY,
    VALUE_MONEY,
    Portfolio,
    error_of,
    lacking_of,
    signal_of,
    with_interval_ends,
)
from fivefold.risk.facts.reading import read_field
from fivefold.risk.facts.records import Recorded, prepare_records, prepare_screenings, prepare_tags, screened, tagged
from fivefold.risk.facts.transactions import pending_facts, pending_inputs, prepare, prepare_stored
from fivefold.risk.facts.windows import looked_at, weighs_money
from fivefold.risk.language.base import LanguageModel
from fivefold.risk.language.expressions import (
    CalculationInput,
    DaysSince,
    FieldInput,
    IndicatorInput,
    Linked,
    Ratio,
    ScreeningInput,
    TagInput,
    ValueInput,
    Window,
    distinct,
    input_key,
)
from fivefold.risk.language.fields import CASE_FIELDS, TRANSACTION_FIELDS, FieldType
from fivefold.risk.language.peers import PeerFact, PeerInput
from fivefold.risk.language.policy import LevelInput, TransactionInput
from fivefold.risk.language.ruleset import OptionalTable

OPTIONAL_TABLES: tuple[str, ...] = get_args(OptionalTable)

_FRAMES: Mapping[type, str] = {
    TagInput: "tags",
    ScreeningInput: "screenings",
    IndicatorInput: "indicators",
    ValueInput: "values",
    LevelInput: "levels",
    TransactionInput: "pending",
    Linked: "links",
}
"""The part of a portfolio that an input needs."""


@dataclass(frozen=True, eq=False)  # computed properties are cached by instance
class Needs:
    """The inputs of a ruleset or a policy.

    Attributes:
        inputs: the inputs, each once.
        signals: the inputs whose latest moment is needed as well.
        names: the declared names.
    """

    inputs: Sequence[LanguageModel]
    signals: Sequence[LanguageModel]
    names: Vocabulary

    @classmethod
    def of(cls, analysed: Analysed[Any]) -> Self:
        """Return the needs of an analysis, cached."""
        needs: Self = _needs_of(cls, analysed)  # type: ignore[arg-type]  # a class is hashable
        return needs

    def everything(self) -> list[LanguageModel]:
        """List the inputs, preceded by the parts of ratios, patterns and calculations, each once."""
        return [*self._everything]

    @cached_property
    def of_linked(self) -> list[LanguageModel]:
        """The inputs that are read of linked entities, each once."""
        return inputs_of_linked(self._everything)

    @cached_property
    def facts(self) -> list[LanguageModel]:
        """Everything that reads facts, of the entity and of linked ones, with the parts of ratios."""
        parts = [part for each in self.of_linked for part in parts_of(each, self.names)]
        return distinct((*self._everything, *parts, *self.of_linked))

    @cached_property
    def converts(self) -> bool:
        """Whether amounts of transactions are converted to the base currency, apart from those that indicators read."""
        return any(
            weighs_money(looked_at(each)) if isinstance(each, Window) else hasattr(each, "pattern")
            for each in self.facts
            if part_of(each) == "transactions"
        )

    @cached_property
    def _everything(self) -> list[LanguageModel]:
        below = [part for each in self.inputs for part in parts_of(each, self.names)]
        return distinct((*below, *self.signals, *self.inputs))


@lru_cache(maxsize=VERSIONS_KEPT)
def _needs_of(form: Any, analysed: Analysed[Any]) -> Any:
    return form(analysed.inputs, analysed.signals, analysed.names)


def parts_of(rule_input: Any, names: Vocabulary) -> list[LanguageModel]:
    """Return the inputs that an input is computed from, also indirectly for a calculation; [] for most."""
    if isinstance(rule_input, CalculationInput):
        within = calculations_in_order([rule_input.calculation], names.calculations)
        return [part for name in within for part in parts_of_calculation(names.calculations[name])]
    if isinstance(rule_input, Ratio):
        return list(rule_input.ratio)
    if isinstance(rule_input, PeerInput | PeerFact):
        return [part for each in parts_of_peers(rule_input) for part in (*parts_of(each, names), each)]
    return _fields_of_pattern(rule_input)


def everything_in(
    inputs: Iterable[LanguageModel], parts: Callable[[LanguageModel], Iterable[LanguageModel]]
) -> dict[str, LanguageModel]:
    """Return inputs, and those that they are computed from, by their keys: each once, however often it is used.

    *parts* returns what an input is computed from, directly or not.
    """
    everything: dict[str, LanguageModel] = {}
    waiting = list(inputs)
    while waiting:
        each = waiting.pop()
        key = input_key(each)
        if key not in everything:
            everything[key] = each
            waiting.extend(parts(each))
    return everything


def direct_parts_of(rule_input: Any, names: Vocabulary) -> list[LanguageModel]:
    """Return the inputs that an input is directly computed from; [] for most."""
    if isinstance(rule_input, CalculationInput):
        return parts_of_calculation(names.calculations[rule_input.calculation])
    return parts_of_peers(rule_input) if isinstance(rule_input, PeerInput | PeerFact) else parts_of(rule_input, names)


def _fields_of_pattern(rule_input: Any) -> list[LanguageModel]:
    names = [getattr(rule_input, name, None) for name in ("expected_monthly", "declared")]
    return [FieldInput(field=name) for name in names if name is not None]


def sources_of(needs: Needs, portfolio: Portfolio) -> dict[str, LinkedFacts]:
    """Prepare the linked facts that are read, once for all entities.

    Raises:
        InvalidRulesetError: a required table or column is missing; then no entity is assessed.
    """
    everything = needs.facts
    _require(everything, portfolio)
    parts = {part_of(each) for each in everything}
    counted = {part_of(each) for each in everything if isinstance(each, Window)}
    sources = {}
    read, own = prepare_stored if portfolio.stored else prepare, own_fields(needs.names)
    if "transactions" in parts and portfolio.transactions is not None:
        sources["transactions"] = read(portfolio.transactions, portfolio.rates, own)
    if "pending" in parts and portfolio.pending is not None:
        sources["pending"] = pending_facts(read(portfolio.pending, portfolio.rates, own))
    for source in ("cases", "alerts"):
        frame = getattr(portfolio, source)
        if source in parts and frame is not None:
            own = {name: form for name, form in needs.names.case.items() if name not in CASE_FIELDS}
            sources[source] = prepare_records(frame, own, source)
    for source, prepared in (("tags", prepare_tags), ("screenings", prepare_screenings)):
        frame = getattr(portfolio, source)
        if source in counted and frame is not None:
            sources[source] = prepared(frame)
    if sum(hasattr(rule_input, "pattern") for rule_input in everything) > 1:  # each would read the transactions again
        facts = sources["transactions"]
        rows = facts.rows.collect(engine="streaming")
        sources["transactions"] = replace(facts, rows=rows.lazy(), is_readable=not rows[UNREADABLE].any())
    return sources


def own_fields(names: Vocabulary) -> dict[str, FieldType]:
    """Return the declared fields of transactions, without the built-in ones."""
    return {name: form for name, form in names.transaction.items() if name not in TRANSACTION_FIELDS}


def part_of(rule_input: Any) -> str | None:
    """Name the part of a portfolio that an input needs; None if it needs the entity alone."""
    if isinstance(rule_input, Window):
        return linked_source(rule_input) if linked_source(rule_input) in SOURCES else None
    return "transactions" if hasattr(rule_input, "pattern") else _FRAMES.get(type(rule_input))


def _require(everything: Sequence[LanguageModel], portfolio: Portfolio) -> None:
    problems = []
    needed = {part: rule_input for rule_input in reversed(everything) if (part := part_of(rule_input)) is not None}
    for part, rule_input in needed.items():
        if getattr(portfolio, part) is None:
            problems.append(
                Finding(
                    part,
                    f"are read, as by {in_short(rule_input)}, and none were given; {_without(part)}",
                )
            )
    for name in dict.fromkeys(filter(None, map(_field_name, everything))):
        if name not in portfolio.entities.columns:
            there = ", ".join(portfolio.entities.columns)
            near = nearest(name, portfolio.entities.columns)
            hint = f"; perhaps {near} is meant: --map {near}={name}" if near else ""
            problems.append(Finding(f"field {name}", f"is not a column of the entities; they have {there}{hint}"))
    if problems:
        raise InvalidRulesetError(problems, "the data")


def _field_name(rule_input: LanguageModel) -> str | None:
    """Name the field of the entity that an input is, or counts days since; None for other inputs."""
    if isinstance(rule_input, FieldInput):
        return rule_input.field
    return rule_input.days_since if isinstance(rule_input, DaysSince) and part_of(rule_input) is None else None


def in_short(rule_input: LanguageModel) -> str:
    """Write an input as a ruleset does, without its window and conditions."""
    if isinstance(rule_input, Linked):
        return f"{{linked: {{by: {rule_input.linked.by}, …}}}}"
    written = rule_input.model_dump(mode="json", by_alias=True, exclude_none=True)
    word = next((name for name in written if name not in Window.model_fields), "")
    return f"{{{word}: {written[word]}{', …' if len(written) > 1 else ''}}}"


def _without(part: str) -> str:
    """Write what to do if a part is absent."""
    if part == "links":
        return "an empty table says that nothing is known of them, and `complete` in the ruleset that there are none"
    optional = f", and `optional_tables: [{part}]` in the ruleset makes an absent table an empty one"
    return f"an empty table says that there are none{optional if part in OPTIONAL_TABLES else ''}"


def resolve(
    needs: Needs, portfolio: Portfolio, sources: Mapping[str, LinkedFacts], lists: Lists, entities: pl.DataFrame
) -> pl.DataFrame:
    """Resolve inputs for some entities.

    Args:
        needs: the inputs.
        portfolio: the data.
        sources: the linked facts, prepared.
        lists: the members of the named lists.
        entities: `entity_id` (each once), `as_of` (Int64, microseconds) and the attributes as known then.

    Returns:
        The rows of *entities*: `entity_id`, `as_of`, a column `input_key(input)` for each input, null where unknown;
        `signal_of` it if the input is a signal; `error_of` it if something could not be read.
    """
    everything = needs.everything()
    columns: dict[str, pl.Series] = {}
    groups = _groups(needs, portfolio, sources, lists, entities)
    for rule_input in everything:
        columns |= _of_entity(rule_input, needs.names, portfolio, entities) | groups.get(input_key(rule_input), {})
    deciding_on = [rule_input for rule_input in everything if isinstance(rule_input, TransactionInput)]
    if deciding_on:
        columns |= pending_inputs(sources["pending"], deciding_on, entities)
    linked = [each for each in everything if isinstance(each, Window) and part_of(each) is not None]
    signals = {input_key(each) for each in needs.signals}
    if linked:
        aggregates = aggregate(entities.select(ENTITY, AS_OF), sources, linked, lists, signals)
        columns |= {name: aggregates[name] for name in aggregates.columns if name != ENTITY}
    frame = entities.select(ENTITY, AS_OF).with_columns(**columns)
    units = minor_units(portfolio.rates.base)
    for rule_input in everything:
        if hasattr(rule_input, "pattern"):
            frame = _with_pattern(frame, rule_input, sources["transactions"], units)
        elif isinstance(rule_input, Ratio):
            frame = _with_ratio(frame, rule_input, needs.names, portfolio.rates.base)
    calculated = [rule_input for rule_input in everything if isinstance(rule_input, CalculationInput)]
    if calculated:
        frame = with_calculations(frame, calculated, needs.names, portfolio.rates.base)
    among_peers = [rule_input for rule_input in everything if isinstance(rule_input, PeerInput | PeerFact)]
    if among_peers:
        reference = reference_in(lists, needs.names.reference, portfolio.rates.base)
        frame = with_peers(frame, among_peers, reference, portfolio.peers)
    signal_fields = [_signal_field(rule_input) for rule_input in needs.signals if isinstance(rule_input, FieldInput)]
    return frame.with_columns(*signal_fields) if signal_fields else frame


def _groups(
    needs: Needs, portfolio: Portfolio, sources: Mapping[str, LinkedFacts], lists: Lists, entities: pl.DataFrame
) -> dict[str, dict[str, pl.Series]]:
    """Compute the columns of every group, by its key."""
    linked = [each for each in needs.everything() if isinstance(each, Linked)]
    if not linked:
        return {}

    def resolve_linked(inputs: Sequence[LanguageModel], linked_entities: pl.DataFrame) -> pl.DataFrame:
        return resolve(Needs(inputs, (), needs.names), portfolio, sources, lists, linked_entities)

    reader = GroupReader(names=needs.names, portfolio=portfolio, lists=lists, resolve=resolve_linked)
    return reader.columns(linked, entities)


def _of_entity(
    rule_input: LanguageModel, names: Vocabulary, portfolio: Portfolio, entities: pl.DataFrame
) -> dict[str, pl.Series]:
    """Resolve inputs that read no linked facts: fields, tags, screenings, indicators, the value."""
    key, part = input_key(rule_input), part_of(rule_input)
    if part is None and isinstance(rule_input, FieldInput):
        return _field(rule_input.field, key, names, entities)
    if part is None and isinstance(rule_input, DaysSince):
        return _days_since(rule_input.days_since, key, names, entities)
    look_up = _LOOKUPS.get(type(rule_input))
    if look_up is None:
        return {}
    recorded = look_up(getattr(portfolio, str(part)), rule_input, entities)
    columns = {key: recorded.values}
    if isinstance(rule_input, ValueInput) and rule_input.value in VALUE_MONEY:
        columns = _in_base(key, recorded.values, portfolio, entities)
    return columns if recorded.wrong is None else {**columns, error_of(key): recorded.wrong}


def _in_base(key: str, money: pl.Series, portfolio: Portfolio, entities: pl.DataFrame) -> dict[str, pl.Series]:
    """Make money of the value unknown if it is not in the base currency; a column has the model's currency."""
    values = portfolio.values
    if values is None or VALUE_CURRENCY not in values.columns:
        return {key: money}
    currency = _look_up(values, VALUE_CURRENCY, entities, pl.String).values
    other = currency.set((currency == portfolio.rates.base) | money.is_null(), None)
    if other.null_count() == len(other):
        return {key: money}
    return {key: money.set(other.is_not_null(), None), lacking_of(key): other}


_LOOKUPS: Mapping[type, Callable[[pl.DataFrame, Any, pl.DataFrame], Recorded]] = {
    TagInput: lambda tags, each, entities: tagged(tags, each.tag, entities),
    ScreeningInput: lambda screenings, each, entities: screened(screenings, each.screening, entities),
    IndicatorInput: lambda indicators, each, entities: _look_up(indicators, each.indicator, entities, pl.Float64),
    ValueInput: lambda values, each, entities: _look_up(
        with_interval_ends(values), each.value, entities, pl.String if each.value == "segment" else pl.Float64
    ),
    LevelInput: lambda levels, each, entities: _look_up(levels, each.level, entities, LEVEL_TYPES[each.level]),
}
LEVEL_TYPES: Mapping[str, Any] = {
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
    columns = _field(name, key, names, entities)
    elapsed = (entities[AS_OF] - columns[key]).cast(pl.Float64)
    return {**columns, key: elapsed.to_frame().select(quotient(pl.first(), DAY_US)).to_series()}


def _look_up(frame: pl.DataFrame, column: str, entities: pl.DataFrame, kind: Any) -> Recorded:
    if column not in frame.columns:
        raise InvalidRulesetError(
            [Finding(column, f"is not a column; there are {', '.join(frame.columns)}")], "the inputs"
        )
    if frame[ENTITY].equals(entities[ENTITY]):  # as for one entity: rows in the same order need no join
        joined = frame
    else:
        rows = frame.select(ENTITY, column, *([NOT_READ] if NOT_READ in frame.columns else []))
        joined = entities.select(ENTITY).join(rows, on=ENTITY, how="left", validate="m:1", maintain_order="left")
    values = joined[column].cast(kind)
    wrong = joined[NOT_READ] if NOT_READ in joined.columns else None
    return Recorded(values.fill_nan(None) if kind == pl.Float64 else values, wrong)


def _with_pattern(frame: pl.DataFrame, pattern: Any, facts: LinkedFacts, units: int) -> pl.DataFrame:
    numbers = find(frame, facts.rows, pattern, units).drop(ENTITY)
    key = input_key(pattern)
    frame = frame.with_columns(*numbers)
    problems = [] if facts.is_readable else [_problems_of(frame, pattern, facts)]
    problems += [
        frame.select(pl.format("{} is {}", pl.lit(part.field), pl.col(error_of(input_key(part))))).to_series()
        for part in _fields_of_pattern(pattern)
        if isinstance(part, FieldInput) and error_of(input_key(part)) in frame.columns
    ]
    if not problems:
        return frame
    wrong = frame.select(pl.coalesce(problems)).to_series()
    if wrong.null_count() == len(wrong):
        return frame
    return frame.with_columns(pl.when(wrong.is_null()).then(pl.col(key)).alias(key), wrong.alias(error_of(key)))


def _problems_of(frame: pl.DataFrame, pattern: Any, facts: LinkedFacts) -> pl.Series:
    """Find for each entity the first transaction that cannot be read and spoils a pattern.

    A pattern reads settled transactions alone; a transaction known to have another state spoils nothing.
    """
    settled = (pl.col(FACT).struct.field("state") == "settled").fill_null(True)
    bad = facts.found_problems.filter(settled).select(pl.col(LINKED_ENTITY).alias(ENTITY), TIME, FIELD, PROBLEM)
    concerned = bad.join(frame.select(ENTITY, AS_OF), on=ENTITY, maintain_order="left")
    first = concerned.filter(_concerns(pattern)).group_by(ENTITY).agg(pl.col(PROBLEM).first())
    return frame.select(ENTITY).join(first, on=ENTITY, how="left", maintain_order="left")[PROBLEM]


def _concerns(pattern: Any) -> pl.Expr:
    """True for the problems that spoil a pattern: in a field that it reads, and perhaps in its window.

    Problems before the window matter to a pattern that also reads what came before.
    """
    fields = [name for name in (getattr(pattern, word, None) for word in ("counterparty", "transaction_field")) if name]
    fields.append(CONVERTED)  # every pattern weighs amounts in the base currency
    inside = pl.col(TIME) <= pl.col(AS_OF)
    if hasattr(pattern, "over"):
        inside &= pl.col(TIME) > pattern.over.before(pl.col(AS_OF))
    return inside.fill_null(True) & (pl.col(FIELD).is_null() | pl.col(FIELD).is_in(fields))


def _with_ratio(frame: pl.DataFrame, ratio: Ratio, names: Vocabulary, base: str) -> pl.DataFrame:
    wrong = [error_of(input_key(part)) for part in ratio.ratio if error_of(input_key(part)) in frame.columns]
    value = ratio_of(ratio, names, base).alias(input_key(ratio))
    return frame.with_columns(value, *([pl.coalesce(wrong).alias(error_of(input_key(ratio)))] if wrong else []))


def _signal_field(rule_input: FieldInput) -> pl.Expr:
    return pl.col(input_key(rule_input)).alias(signal_of(input_key(rule_input)))
