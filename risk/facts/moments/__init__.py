"""When time alone may change an input's value: the next such moment after as-of, for each kind of input."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, Final

import polars as pl

from fivefold.domain.money import minor_units
from fivefold.risk.compiler.analysis import Analysed
from fivefold.risk.compiler.conditions import Lists
from fivefold.risk.compiler.figures import AGES
from fivefold.risk.compiler.locations import Location
from fivefold.risk.compiler.ratios import ratio_of
from fivefold.risk.compiler.value_types import Vocabulary, inputs_of
from fivefold.risk.facts.aggregates import ROW
from fivefold.risk.facts.calculated import with_calculations
from fivefold.risk.facts.groups.values import GroupReader, inputs_of_linked
from fivefold.risk.facts.inputs import Needs, part_of, parts_of, resolve
from fivefold.risk.facts.linked import LINKED_ENTITY, LinkedFacts
from fivefold.risk.facts.moments.anew import (
    SIGNAL,
    Anew,
    aggregate_steps,
    is_made_anew,
    last_leaves,
    made_anew,
    turns_of,
)
from fivefold.risk.facts.moments.composites import Movement, Whole, composite, group_moments
from fivefold.risk.facts.moments.courses import DaysOfLinked
from fivefold.risk.facts.moments.cuts import ANY, SIDES, Cuts, compared_pairs, cuts_at, cuts_of, pairs_at
from fivefold.risk.facts.moments.elapsed import elapsed_of
from fivefold.risk.facts.moments.indicators import (
    Going,
    IndicatorHistory,
    histories_of,
    require_histories,
    steps_of,
    way_of,
)
from fivefold.risk.facts.moments.patterns import Looked, fields_of_pattern, pattern_movement
from fivefold.risk.facts.moments.steps import AT, VALUE, FactsAhead, read_ahead
from fivefold.risk.facts.moments.wholes import of_calculation, of_peers, of_ratio, of_sides, placed_number
from fivefold.risk.facts.peers import peers_in, reference_in, with_peers
from fivefold.risk.facts.portfolio import AS_OF, ENTITY, Portfolio, signal_of
from fivefold.risk.facts.reading import read_field
from fivefold.risk.facts.records import next_dates, next_known
from fivefold.risk.language.base import LanguageModel
from fivefold.risk.language.expressions import (
    CalculationInput,
    Count,
    DaysSince,
    Distinct,
    FieldInput,
    IndicatorInput,
    Largest,
    Least,
    Linked,
    Mean,
    Median,
    Most,
    New,
    Percentile,
    Ratio,
    ScreeningInput,
    Share,
    StandardDeviation,
    Sum,
    TagInput,
    ValueInput,
    Window,
    distinct,
    input_key,
)
from fivefold.risk.language.patterns import (
    DormantThenActive,
    Fan,
    PassThrough,
    PurposeDeviation,
    Structuring,
    Velocity,
    VolumeDeviation,
)
from fivefold.risk.language.peers import PeerPercentile, TimesPeerMedian
from fivefold.risk.language.policy import LevelInput, PolicyRatio, TransactionInput
from fivefold.risk.language.quantities import Duration

ANYTHING: Final = "@anything"
"""The column of the moment at which any input may change: a fact appears, or an unreadable one disappears."""

MOST_STEPS: Final = 8
"""Steps of its parts for which a calculation is computed ahead; the result may be early, and is never late."""


@dataclass(frozen=True, kw_only=True)
class Ahead:
    """What is known of some entities, to find what time will change.

    Attributes:
        needs: the inputs.
        portfolio: the data.
        sources: the linked facts, prepared.
        lists: members of the named lists.
        entities: `entity_id`, `as_of` and the attributes.
        inputs: the inputs' values as of now, with `@row`, in the order of *entities*.
        cuts: the cuts of the numeric inputs, by their keys.
    """

    needs: Needs
    portfolio: Portfolio
    sources: Mapping[str, LinkedFacts]
    lists: Lists
    entities: pl.DataFrame
    inputs: pl.DataFrame
    cuts: Mapping[str, Cuts]
    _anew: dict[str, Anew] = field(default_factory=dict)
    _facts: dict[str, FactsAhead] = field(default_factory=dict)

    def facts(self, source: str) -> FactsAhead:
        """Return the linked facts of a source that time may bring or take; read once."""
        if source not in self._facts:
            moments, windows = self.entities.select(ENTITY, AS_OF), self._windows(source)
            read = read_ahead(moments, self.sources[source], windows, self._patterns(source), self.lists)
            self._facts[source] = read
        return self._facts[source]

    @cached_property
    def histories(self) -> list[IndicatorHistory]:
        """What the indicators of each entity are computed from."""
        return histories_of(self.portfolio, self.entities)

    @cached_property
    def read(self) -> dict[str, LinkedFacts]:
        """The linked facts, each source read once; for values computed anew at several moments."""
        entity_ids = self.entities[ENTITY].implode()
        return {
            source: replace(facts, rows=facts.rows.filter(pl.col(LINKED_ENTITY).is_in(entity_ids)).collect().lazy())
            for source, facts in self.sources.items()
        }

    def anew(self, window: Window) -> Anew:
        """Compute an aggregate anew at the next moments at which the facts that it counts change; cached."""
        key = input_key(window)
        if key not in self._anew:
            source = str(part_of(window))
            moments = self.entities.select(ENTITY, AS_OF)
            self._anew[key] = made_anew(self.facts(source), window, (source, self.read[source]), moments)
        return self._anew[key]

    def _windows(self, source: str) -> list[Window]:
        everything = self.needs.everything()
        return [each for each in everything if isinstance(each, Window) and part_of(each) == source]

    def _patterns(self, source: str) -> dict[Duration, set[str]]:
        """Return the windows of patterns, and the fields of facts that are read in them."""
        lengths: dict[Duration, set[str]] = {}
        for each in self.needs.everything():
            if hasattr(each, "pattern") and source == "transactions":
                lengths.setdefault(_length(each), set()).update(fields_of_pattern(each))
        return lengths

    def disturbances(self, sources: Collection[str]) -> list[pl.LazyFrame]:
        """Return `@row` and `@at` of what may change any input: attributes, and facts of some sources."""
        attribute_changes = _by_row(next_known(self.portfolio.entities, self.entities))
        frames = [attribute_changes]
        for source in sources:
            facts, windows = self.facts(source), self._windows(source)
            lengths = {each.over for each in windows if each.over is not None and not is_made_anew(each)}
            frames += facts.disturbances(sorted({*lengths, *self._patterns(source)}, key=str))
            frames += [turns_of(facts.unreadable.lazy(), each) for each in windows if is_made_anew(each)]
        return frames


def _length(pattern: Any) -> Duration:
    length = pattern.active if isinstance(pattern, DormantThenActive) else pattern.over
    assert isinstance(length, Duration)
    return length


def _by_row(rows: pl.DataFrame) -> pl.LazyFrame:
    return rows.lazy().select(pl.col("number").cast(pl.UInt32).alias(ROW), pl.col("at").alias(AT))


def _rows_at(moments: Sequence[tuple[int, int]]) -> pl.LazyFrame:
    return pl.LazyFrame(moments, schema={ROW: pl.UInt32, AT: pl.Int64}, orient="row")


def _still(_ahead: Ahead, _each: Any) -> Movement:
    """Return the movement of an input that time alone does not change: only storing does, and makes the entity due."""
    return Movement()


def _window(ahead: Ahead, window: Window) -> Movement:
    """Return the movement of an aggregate: facts leave a window, and enter one that ends in the past."""
    if is_made_anew(window):
        anew = ahead.anew(window)
        return Movement(anew.steps.select(ROW, AT, VALUE), moments=[anew.later])
    if window.over is None:
        return Movement()
    return Movement(aggregate_steps(ahead.facts(str(part_of(window))), window))


def _days_since(ahead: Ahead, each: DaysSince) -> Movement:
    if part_of(each) is not None:
        return replace(_window(ahead, each), elapsed=elapsed_of(pl.col(input_key(each))))
    moments = read_field(ahead.entities[each.days_since], "date")[0]
    return Movement(elapsed=pl.lit(ahead.entities[AS_OF] - moments))


def _indicator(ahead: Ahead, each: IndicatorInput) -> Movement:
    """Return the movement of an indicator: ages grow; others jump as an event leaves a window, some move in between."""
    key, name = input_key(each), each.indicator
    if name in AGES:
        waits = pl.Series([one.waits(name) for one in ahead.histories], dtype=pl.Boolean)
        restarts = [(row, at) for row, one in enumerate(ahead.histories) for at in one.restarts(name)]
        return Movement(elapsed=pl.when(~pl.lit(waits)).then(elapsed_of(pl.col(key))), moments=[_rows_at(restarts)])
    require_histories(ahead.portfolio, name)
    if way_of(name).moves:
        return Movement(courses={row: Going(one, name) for row, one in enumerate(ahead.histories)})
    changes = [(row, *steps_of(one, name)) for row, one in enumerate(ahead.histories)]
    steps = [(row, at, value) for row, of_row, _ in changes for at, value in of_row]
    later = [(row, at) for row, _, at in changes if at is not None]
    schema = {ROW: pl.UInt32, AT: pl.Int64, VALUE: pl.Float64}
    return Movement(pl.LazyFrame(steps, schema=schema, orient="row"), moments=[_rows_at(later)])


def _tag(ahead: Ahead, each: TagInput) -> Movement:
    assert ahead.portfolio.tags is not None
    dates = next_dates(ahead.portfolio.tags, "tag", each.tag, ahead.entities, "from", "until")
    return Movement(moments=[_by_row(dates)])


def _screening(ahead: Ahead, each: ScreeningInput) -> Movement:
    assert ahead.portfolio.screenings is not None
    dates = next_dates(ahead.portfolio.screenings, "screening", each.screening, ahead.entities, "at")
    return Movement(moments=[_by_row(dates)])


def _pattern(ahead: Ahead, pattern: Any) -> Movement:
    units = minor_units(ahead.portfolio.rates.base)
    looked = Looked(ahead.inputs, ahead.inputs[input_key(pattern)], units)
    return pattern_movement(ahead.facts("transactions"), pattern, looked)


def _parts(ahead: Ahead, inputs: Sequence[LanguageModel]) -> list[tuple[LanguageModel, Movement]]:
    return [(each, movement_of(ahead, each)) for each in distinct(inputs)]


def _ratio(ahead: Ahead, ratio: Any) -> Movement:
    key, names, base = input_key(ratio), ahead.needs.names, ahead.portfolio.rates.base
    value, cuts = ratio_of(ratio, names, base), ahead.cuts[key]
    whole = Whole(
        parts=_parts(ahead, ratio.ratio),
        value=lambda frame: frame.select(value).to_series(),
        number=of_ratio(ratio, names, base, cuts),
    )
    return Movement(moments=composite(whole, ahead.inputs, key, cuts))


def _compared(ahead: Ahead, subject: LanguageModel, other: LanguageModel) -> list[pl.LazyFrame]:
    """Find when an input that is compared with another one may cross it."""
    one, two = pl.col(input_key(subject)), pl.col(input_key(other))
    side = (one > two).cast(pl.Float64) - (one < two).cast(pl.Float64)
    whole = Whole(
        parts=_parts(ahead, [subject, other]),
        value=lambda frame: frame.select(side).to_series(),
        number=of_sides(subject, other),
    )
    name = SIDES.column.name
    return composite(whole, ahead.inputs.with_columns(side.alias(name)), name, SIDES)


def _calculation(ahead: Ahead, calculated: CalculationInput) -> Movement:
    """Return the movement of a calculation: it is computed row by row, so only for the next few steps of its parts."""
    key, names, base = input_key(calculated), ahead.needs.names, ahead.portfolio.rates.base
    whole = Whole(
        parts=_parts(ahead, made_of(calculated, names)),
        value=lambda frame: with_calculations(frame.drop(key, strict=False), [calculated], names, base)[key],
        number=of_calculation(calculated, names, base, ahead.cuts[key]),
        most_steps=MOST_STEPS,
    )
    return Movement(moments=composite(whole, ahead.inputs, key, ahead.cuts[key]))


def made_of(rule_input: LanguageModel, names: Vocabulary) -> list[LanguageModel]:
    """List the elementary parts of an input; the input itself if it has none."""
    return [each for each in parts_of(rule_input, names) if not isinstance(each, CalculationInput)] or [rule_input]


def _linked(ahead: Ahead, each: Linked) -> Movement:
    """Return the movement of a group: it may move when an answer of a member does; days of all members grow alike."""
    declared = ahead.needs.names.links[each.linked.by]
    moments = group_moments(each, ahead.entities, ahead.portfolio, declared, partial(_first_moves, ahead, each))
    if not isinstance(each.linked.part, DaysSince):
        return Movement(moments=[moments])

    def resolve_linked(inputs: Sequence[LanguageModel], linked_entities: pl.DataFrame) -> pl.DataFrame:
        return resolve(
            Needs(inputs, (), ahead.needs.names), ahead.portfolio, ahead.sources, ahead.lists, linked_entities
        )

    reader = GroupReader(names=ahead.needs.names, portfolio=ahead.portfolio, lists=ahead.lists, resolve=resolve_linked)
    days = enumerate(reader.numbers(each, ahead.entities))
    return Movement(moments=[moments], courses={row: DaysOfLinked(each.linked.word, of) for row, of in days if of})


def _first_moves(ahead: Ahead, each: Linked, entities: pl.DataFrame) -> pl.DataFrame:
    """Find for each linked entity, as `entity_id` and `@at`, when an answer about it, or its number, may change."""
    names, base = ahead.needs.names, ahead.portfolio.rates.base
    group, inputs = each.linked, inputs_of_linked([each])
    places = [Location((), condition) for condition in (group.where, group.any) if condition is not None]
    needs, whole = Needs(inputs, (), names), ahead.portfolio
    everyone = replace(whole, entities=whole.entities if whole.everyone is None else whole.everyone)
    resolved = resolve(needs, whole, ahead.sources, ahead.lists, entities)
    numbered = resolved.with_columns(pl.int_range(pl.len(), dtype=pl.UInt32).alias(ROW))
    cuts = cuts_at(places, inputs, names, base)
    of_linked = Ahead(
        needs=needs,
        portfolio=everyone,
        sources=ahead.sources,
        lists=ahead.lists,
        entities=entities,
        inputs=numbered,
        cuts=cuts,
    )
    frames = of_linked.disturbances(ahead.sources)
    for rule_input in distinct(one for place in places for one in inputs_of(place.condition)):
        frames += movement_of(of_linked, rule_input).turns(numbered, rule_input, cuts.get(input_key(rule_input), ANY))
    for subject, other in pairs_at(places, names, base):
        frames += _compared(of_linked, subject, other)
    if group.part is not None:
        movement = movement_of(of_linked, group.part)
        frames += movement.moments if movement.steps is None else [*movement.moments, movement.steps.select(ROW, AT)]
    moments = (
        pl.concat([frame.select(ROW, pl.col(AT).cast(pl.Int64)) for frame in frames]).group_by(ROW).agg(pl.min(AT))
    )
    named = numbered.lazy().select(ROW, ENTITY).join(moments, on=ROW, how="inner")
    return named.select(ENTITY, AT).drop_nulls().collect()


def _peers(ahead: Ahead, each: Any) -> Movement:
    """Return the movement of a place among peers: the number moves; group and reference change only by storing."""
    key, names, base = input_key(each), ahead.needs.names, ahead.portfolio.rates.base
    reference = reference_in(ahead.lists, names.reference, base)
    placed, group = peers_in(each).of, peers_in(each).group

    def value(frame: pl.DataFrame) -> pl.Series:
        if isinstance(placed, Ratio):
            frame = frame.with_columns(ratio_of(placed, names, base).alias(input_key(placed)))
        elif isinstance(placed, CalculationInput):
            frame = with_calculations(frame.drop(input_key(placed), strict=False), [placed], names, base)
        return with_peers(frame.drop(key, strict=False), [each], reference)[key]

    whole = Whole(
        parts=_parts(ahead, [*made_of(placed, names), *([] if group is None else [group])]),
        value=value,
        number=of_peers(each, placed_number(placed, names, base), reference, ahead.cuts[key]),
        most_steps=MOST_STEPS if isinstance(placed, CalculationInput) else None,
    )
    return Movement(moments=composite(whole, ahead.inputs, key, ahead.cuts[key]))


MOVEMENTS: Mapping[type[LanguageModel], Callable[[Ahead, Any], Movement]] = {
    FieldInput: _still,
    ValueInput: _still,  # a model's value holds until it is computed again
    **dict.fromkeys((Count, Sum, Mean, Least, Most, Distinct, New), _window),
    **dict.fromkeys((Median, StandardDeviation, Percentile, Largest, Share), _window),
    DaysSince: _days_since,
    Ratio: _ratio,
    CalculationInput: _calculation,
    PeerPercentile: _peers,
    TimesPeerMedian: _peers,
    PolicyRatio: _ratio,
    IndicatorInput: _indicator,
    TagInput: _tag,
    ScreeningInput: _screening,
    Linked: _linked,
    **dict.fromkeys(
        (Structuring, Velocity, PassThrough, VolumeDeviation, PurposeDeviation, DormantThenActive, Fan), _pattern
    ),
    LevelInput: _still,  # these two are of policies, which are evaluated at each decision: nothing falls due
    TransactionInput: _still,
}
"""How each kind of input moves. A missing kind fails: inputs that are composed of others use `composite`."""


def movement_of(ahead: Ahead, rule_input: LanguageModel) -> Movement:
    """Return how an input moves by time alone; raises KeyError for a kind that `MOVEMENTS` lacks."""
    return MOVEMENTS[type(rule_input)](ahead, rule_input)


def next_moments(
    analysed: Analysed[Any],
    portfolio: Portfolio,
    sources: Callable[[], Mapping[str, LinkedFacts]],
    lists: Lists,
    entities: pl.DataFrame,
    inputs: pl.DataFrame,
    only: Collection[str] | None = None,
    disturbing: Collection[str] | None = None,
) -> pl.DataFrame:
    """Find when time alone may next change each input's value.

    Args:
        analysed: the definition that reads the inputs, and compares them.
        portfolio: the data.
        sources: prepares the linked facts, once.
        lists: the members of the named lists.
        entities: `entity_id`, `as_of` and the attributes.
        inputs: the result of `risk.facts.inputs.resolve` for these.
        only: the columns to compute; None for all.
        disturbing: the sources whose facts `ANYTHING` covers; None for all.

    Returns:
        The rows of *entities*: `entity_id`; a column for each input that may change, by its key, and `signal_of` it
        for the moment from which its decay counts; `ANYTHING`. Microseconds after as-of; null if nothing comes.
    """
    numbered = inputs.with_columns(pl.int_range(pl.len(), dtype=pl.UInt32).alias(ROW))
    cuts = cuts_of(analysed, portfolio.rates.base)
    ahead = Ahead(
        needs=Needs.of(analysed),
        portfolio=portfolio,
        sources=sources(),
        lists=lists,
        entities=entities,
        inputs=numbered,
        cuts=cuts,
    )
    frames_by_column: dict[str, list[pl.LazyFrame]] = {}

    def is_asked(name: str) -> bool:
        return only is None or name in only

    for each in analysed.inputs:
        key = input_key(each)
        if is_asked(key):
            frames_by_column[key] = movement_of(ahead, each).turns(numbered, each, cuts.get(key, ANY))
    for subject, other in compared_pairs(analysed, portfolio.rates.base):
        if is_asked(input_key(subject)):
            frames_by_column[input_key(subject)] += _compared(ahead, subject, other)
    for each in analysed.signals:
        if isinstance(each, Window) and is_asked(signal_of(input_key(each))):
            frames_by_column[signal_of(input_key(each))] = _signal_turns(ahead, each)
    if is_asked(ANYTHING):
        frames_by_column[ANYTHING] = ahead.disturbances(ahead.sources if disturbing is None else disturbing)
    return _columns(entities, frames_by_column)


def _signal_turns(ahead: Ahead, window: Window) -> list[pl.LazyFrame]:
    """Find when the latest fact that counts leaves, or is replaced by another."""
    if is_made_anew(window):
        anew, now = ahead.anew(window), ahead.inputs.lazy().select(ROW, signal_of(input_key(window)))
        turned = pl.col(SIGNAL).ne_missing(pl.col(signal_of(input_key(window))))
        return [anew.steps.join(now, on=ROW).filter(turned).select(ROW, AT), anew.later]
    return [] if window.over is None else [last_leaves(ahead.facts(str(part_of(window))), window)]


_FEW_ROWS = 100


def _columns(entities: pl.DataFrame, frames_by_column: Mapping[str, list[pl.LazyFrame]]) -> pl.DataFrame:
    """Reduce the moments of each column to the first of every row."""
    names = [name for name, frames in frames_by_column.items() if frames]
    plans = [
        pl.concat([frame.select(ROW, pl.col(AT).cast(pl.Int64)) for frame in frames_by_column[name]]) for name in names
    ]
    is_few = len(entities) <= _FEW_ROWS  # optimising the plans costs more there than it saves
    flags = pl.QueryOptFlags._eager() if is_few else pl.QueryOptFlags()  # noqa: SLF001 (as eager frames do)
    firsts = pl.collect_all([plan.group_by(ROW).agg(pl.col(AT).min()) for plan in plans], optimizations=flags)
    columns = {}
    for name, first in zip(names, firsts, strict=True):
        moments = pl.Series(name, [None], pl.Int64).new_from_index(0, len(entities))
        columns[name] = moments.scatter(first[ROW], first[AT]) if len(first) else moments
    return entities.select(ENTITY).with_columns(**columns)
