"""When time alone may change an input of one entity: `risk.facts.moments` in plain Python, with the same moments.

Inputs without a plain form are named in `MomentPlan.left`, and left to the columns.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from fivefold.domain.clock import DAY_US
from fivefold.domain.money import minor_units
from fivefold.risk.compiler.analysis import VERSIONS_KEPT, Analysed
from fivefold.risk.compiler.figures import AGES
from fivefold.risk.compiler.plain_conditions import NoPlainFormError, Row
from fivefold.risk.compiler.value_types import SOURCES
from fivefold.risk.facts.inputs import Needs, part_of
from fivefold.risk.facts.linked import TIME
from fivefold.risk.facts.moments import ANYTHING, MOST_STEPS, made_of
from fivefold.risk.facts.moments.anew import is_made_anew
from fivefold.risk.facts.moments.courses import Course, Passing, ReadAs
from fivefold.risk.facts.moments.cuts import ANY, Cuts, compared_pairs, cuts_of
from fivefold.risk.facts.moments.elapsed import crossing_at, elapsed_at
from fivefold.risk.facts.moments.indicators import Going, require_histories, steps_of, way_of
from fivefold.risk.facts.moments.leaving import is_on_the_calendar, returns_at
from fivefold.risk.facts.moments.wholes import (
    Number,
    itself,
    of_calculation,
    of_peers,
    of_ratio,
    of_sides,
    placed_number,
)
from fivefold.risk.facts.peers import peers_in, reference_in
from fivefold.risk.facts.portfolio import signal_of
from fivefold.risk.facts.records import next_known
from fivefold.risk.facts.single.context import EntityContext
from fivefold.risk.facts.single.plans import fields_of
from fivefold.risk.facts.single.steps import Movement, last_leaves, plain_pattern_movement, plain_window
from fivefold.risk.language.base import LanguageModel
from fivefold.risk.language.expressions import (
    CalculationInput,
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
from fivefold.risk.language.patterns import DormantThenActive
from fivefold.risk.language.peers import PeerPercentile, TimesPeerMedian
from fivefold.risk.language.quantities import Duration

_DAYS_AROUND_US: Final = 4 * DAY_US
"""Extra length to read: a fact may re-enter a window on the calendar up to three days after it left."""

Mover = Callable[[EntityContext, Row], Movement]
"""Returns how an input moves, from what is known of the entity and the values of its inputs."""


def _turns(movement: Movement, number: Number, cuts: Cuts, context: EntityContext, values: Row) -> Iterator[int]:
    """Yield the moments at which an input may move to another place among its cuts; *number* is the input itself."""
    yield from movement.moments
    now = number.value(values)
    if movement.steps:
        place = cuts.place_of(now)
        yield from (at for at, value in movement.steps if cuts.place_of(value) != place)
    course = movement.course
    if isinstance(course, Passing):
        crossed = crossing_at(now, course.elapsed, context.as_of, cuts)
        yield from () if crossed is None else (crossed,)
    elif course is not None:
        yield from _first_turn(number, context, values, {number.key: course})


def _first_turn(number: Number, context: EntityContext, values: Row, courses: Mapping[str, Course]) -> list[int]:
    ahead = number.turns(values, courses)
    return [] if ahead is None else [context.as_of + ahead]


@dataclass(frozen=True, kw_only=True)
class _Whole:
    """A value computed from others, as `risk.facts.moments.composites.Whole`.

    Attributes:
        parts: how the inputs that it is computed from move, by their keys.
        number: computes it from the values of the inputs.
        most_steps: how many steps are tried; None for all.
    """

    parts: Mapping[str, Mover]
    number: Number
    most_steps: int | None = None

    def moments(self, context: EntityContext, values: Row) -> list[int]:
        """Return the moments at which it may move to another place."""
        moved = {key: mover(context, values) for key, mover in self.parts.items()}
        moments = [moment for each in moved.values() for moment in each.moments]
        if any(each.is_steady for each in moved.values()):
            moments += [at for each in moved.values() for at, _ in each.steps or ()]
            courses = {key: each.course for key, each in moved.items() if each.course is not None}
            moments += _first_turn(self.number, context, values, courses) if courses else []
        else:
            moments += self._first_step(values, moved)
        return moments

    def _first_step(self, values: Row, moved: Mapping[str, Movement]) -> list[int]:
        """Find the first step of any part that moves the value to another place."""
        later: dict[int, dict[str, Any]] = {}
        for key, each in moved.items():
            for at, value in each.steps or ():
                later.setdefault(at, {})[key] = value
        number, then = self.number, dict(values)
        place = number.place(number.value(values))
        for count, at in enumerate(sorted(later), 1):
            then |= later[at]
            if count == self.most_steps or number.place(number.value(then)) != place:
                return [at]
        return []


@dataclass(frozen=True)
class MomentPlan:
    """How the moments of a ruleset's inputs are found for one entity.

    Attributes:
        moments: the functions of each input's moments, by its key, and by `signal_of` it for its latest moment.
        left: the columns that have no plain form.
        sources: the sources of linked facts that are read.
        lengths: the lengths of windows on the calendar, by source.
        by_columns: the sources whose moments columns compute.
    """

    moments: Mapping[str, Callable[[EntityContext, Row], Iterator[int]]]
    left: frozenset[str]
    sources: Sequence[str]
    lengths: Mapping[str, Sequence[Duration]]
    by_columns: frozenset[str]

    def next_moments(self, context: EntityContext, values: Row) -> dict[str, int]:
        """Return the first moment of each column that has a plain form; columns without a moment are left out.

        Raises:
            LeftToColumnsError: plain reading met something unexpected.
            ValueError: a moment lies beyond the years of Python's calendar.
        """
        firsts = {name: min(moments_of(context, values), default=None) for name, moments_of in self.moments.items()}
        firsts[ANYTHING] = min(self._disturbances(context), default=None)
        return {name: first for name, first in firsts.items() if first is not None}

    def _disturbances(self, context: EntityContext) -> Iterator[int]:
        """Yield moments at which any input may change: a fact becomes known, or enters a window of the calendar."""
        yield from next_known(context.portfolio.entities, context.entities)["at"]
        for source in self.sources:
            entering = context.enters(source)
            if entering is not None:
                yield entering
            for over in self.lengths.get(source, ()):
                begin = over.moment_before(context.as_of) - _DAYS_AROUND_US
                for row in context.facts(source).inside(begin, ()):
                    back = returns_at(row[TIME], over, context.as_of)
                    if back is not None:
                        yield back


@lru_cache(maxsize=VERSIONS_KEPT)
def moment_plan_for(
    analysed: Analysed[Any],
    members: tuple[tuple[str, tuple[str, ...]], ...],
    base: str,
    by_columns: frozenset[str] = frozenset(),
) -> MomentPlan:
    """Make the plan, cached by members of lists and base currency; inputs of the sources *by_columns* are left."""
    maker = _Maker(analysed, dict(members), base, by_columns)
    moments: dict[str, list[Callable[[EntityContext, Row], Iterator[int]]]] = {}
    left = set()
    for each in analysed.inputs:
        key = input_key(each)
        try:
            moments[key] = [maker.turns_of(each)]
        except NoPlainFormError:
            left.add(key)
    for subject, other in compared_pairs(analysed, base):
        try:
            moments.setdefault(input_key(subject), []).append(maker.compared(subject, other))
        except NoPlainFormError:
            left.add(input_key(subject))
    for each in analysed.signals:
        if isinstance(each, Window):
            try:
                moments[signal_of(input_key(each))] = [maker.signal(each)]
            except NoPlainFormError:
                left.add(signal_of(input_key(each)))
    moments_by_column = {name: _together(functions) for name, functions in moments.items() if name not in left}
    left |= {ANYTHING} if maker.by_columns else set()
    return MomentPlan(moments_by_column, frozenset(left), maker.sources, maker.lengths, maker.by_columns)


def _together(
    functions: Sequence[Callable[[EntityContext, Row], Iterator[int]]],
) -> Callable[[EntityContext, Row], Iterator[int]]:
    return lambda context, values: (moment for each in functions for moment in each(context, values))


class _Maker:
    """Makes the functions of inputs; raises NoPlainFormError if one has no plain form."""

    def __init__(
        self, analysed: Analysed[Any], lists: Mapping[str, Sequence[str]], base: str, by_columns: frozenset[str]
    ) -> None:
        self.needs, self.names = Needs.of(analysed), analysed.names
        self.lists, self.base = lists, base
        self.cuts = cuts_of(analysed, base)
        self.units = minor_units(base)
        windows = [each for each in self.needs.everything() if isinstance(each, Window) and part_of(each) in SOURCES]
        patterns = [each for each in self.needs.everything() if hasattr(each, "pattern")]
        read = {str(part_of(each)) for each in windows} | ({"transactions"} if patterns else set())
        self.by_columns = by_columns & read
        self.sources = [source for source in SOURCES if source in read - by_columns]
        lengths = [(str(part_of(each)), each.over) for each in windows if not is_made_anew(each)]
        lengths += [("transactions", _length(each)) for each in patterns]
        months = {(source, over) for source, over in lengths if over is not None and is_on_the_calendar(over)}
        self.lengths = {
            source: sorted((over for of, over in months if of == source), key=str) for source in self.sources
        }

    def turns_of(self, each: LanguageModel) -> Callable[[EntityContext, Row], Iterator[int]]:
        """Make the function that finds when an input turns."""
        key, move = input_key(each), self.mover(each)
        cuts = self.cuts.get(key, ANY)
        number = itself(each, cuts, ReadAs.FLOAT)
        return lambda context, values: _turns(move(context, values), number, cuts, context, values)

    def compared(self, subject: LanguageModel, other: LanguageModel) -> Callable[[EntityContext, Row], Iterator[int]]:
        """Make the function that finds when an input that is compared with another one may cross it."""
        whole = _Whole(parts=self._parts([subject, other]), number=of_sides(subject, other))
        return lambda context, values: iter(whole.moments(context, values))

    def signal(self, window: Window) -> Callable[[EntityContext, Row], Iterator[int]]:
        """Make the function that finds when the latest fact that counts leaves."""
        if is_made_anew(window) or part_of(window) in self.by_columns:
            raise NoPlainFormError(input_key(window))
        source, over = str(part_of(window)), window.over
        if over is None:
            return lambda _context, _values: iter(())
        counted, _ = plain_window(window, fields_of(source, self.names, self.base), self.lists)

        def tell(context: EntityContext, _: Row) -> Iterator[int]:
            end = last_leaves(counted(context.facts(source)), over, context.as_of)
            yield from () if end is None else (end,)

        return tell

    def mover(self, each: Any) -> Mover:
        """Make the function that returns how an input moves."""
        if part_of(each) in self.by_columns:
            raise NoPlainFormError(input_key(each))
        if isinstance(each, Window) and part_of(each) is not None:
            return self._window(each)
        if hasattr(each, "pattern"):
            key, movement_of = input_key(each), plain_pattern_movement(each, self.units)
            return lambda context, values: movement_of(context.facts("transactions"), values, values[key])
        if type(each) not in _MOVERS:
            raise NoPlainFormError(type(each).__name__)
        return _MOVERS[type(each)](self, each)

    def _window(self, window: Window) -> Mover:
        key, source = input_key(window), str(part_of(window))
        is_days = isinstance(window, DaysSince)
        if is_made_anew(window):
            raise NoPlainFormError(key)
        steps_of = None
        if window.over is not None:
            _, steps_of = plain_window(window, fields_of(source, self.names, self.base), self.lists)

        def move(context: EntityContext, values: Row) -> Movement:
            steps = None if steps_of is None else steps_of(context.facts(source), values, values[key])
            return Movement(steps, is_days, _passing(values[key], counts_exactly=True) if is_days else None)

        return move

    def whole(self, parts: Sequence[LanguageModel], number: Number, most_steps: int | None = None) -> Mover:
        """Make the function that returns how a number computed from *parts* moves."""
        whole = _Whole(parts=self._parts(parts), number=number, most_steps=most_steps)
        return lambda context, values: Movement(moments=whole.moments(context, values))

    def _parts(self, parts: Sequence[LanguageModel]) -> dict[str, Mover]:
        """Return the movers of parts. On the calendar two facts may leave at once in either order: left to columns."""
        if any(_is_by_months(_length(each)) for each in parts):
            raise NoPlainFormError("months")
        return {input_key(each): self.mover(each) for each in parts}


def _length(each: Any) -> Duration | None:
    return each.active if isinstance(each, DormantThenActive) else getattr(each, "over", None)


def _is_by_months(over: Duration | None) -> bool:
    return over is not None and is_on_the_calendar(over)


def _still(_maker: _Maker, _each: Any) -> Mover:
    still = Movement()
    return lambda _context, _values: still


def _passing(days: float | None, *, counts_exactly: bool) -> Passing | None:
    elapsed = elapsed_at(days)
    return None if elapsed is None else Passing(elapsed, counts_exactly)


def _days_since(_: _Maker, each: DaysSince) -> Mover:
    key = input_key(each)
    return lambda _context, values: Movement(is_steady=True, course=_passing(values[key], counts_exactly=True))


def _indicator(_: _Maker, each: IndicatorInput) -> Mover:
    key, name = input_key(each), each.indicator

    def age(context: EntityContext, values: Row) -> Movement:
        course = None if context.history.waits(name) else _passing(values[key], counts_exactly=False)
        return Movement(is_steady=True, course=course, moments=context.history.restarts(name))

    def going(context: EntityContext, _: Row) -> Movement:
        require_histories(context.portfolio, name)
        return Movement(is_steady=True, course=Going(context.history, name))

    def jumping(context: EntityContext, _: Row) -> Movement:
        require_histories(context.portfolio, name)
        steps, later = steps_of(context.history, name)
        return Movement(steps, moments=[] if later is None else [later])

    if name in AGES:
        return age
    return going if way_of(name).moves else jumping


def _recorded(part: str, word: str) -> Mover:
    def move(context: EntityContext, _: Row) -> Movement:
        rows = getattr(context, part)
        later = (at for label, *ats in rows if label == word for at in ats if type(at) is int and at > context.as_of)
        return Movement(moments=sorted(later)[:1])

    return move


def _ratio(maker: _Maker, ratio: Ratio) -> Mover:
    return maker.whole(ratio.ratio, of_ratio(ratio, maker.names, maker.base, maker.cuts[input_key(ratio)]))


def _calculation(maker: _Maker, calculated: CalculationInput) -> Mover:
    number = of_calculation(calculated, maker.names, maker.base, maker.cuts[input_key(calculated)])
    return maker.whole(made_of(calculated, maker.names), number, MOST_STEPS)


def _peers(maker: _Maker, each: Any) -> Mover:
    placed, group, key = peers_in(each).of, peers_in(each).group, input_key(each)
    reference = reference_in(maker.lists, maker.names.reference, maker.base)
    number = of_peers(each, placed_number(placed, maker.names, maker.base), reference, maker.cuts[key])
    parts = [*made_of(placed, maker.names), *([] if group is None else [group])]
    return maker.whole(parts, number, MOST_STEPS if isinstance(placed, CalculationInput) else None)


_MOVERS: Mapping[type[LanguageModel], Callable[[_Maker, Any], Mover]] = {
    FieldInput: _still,
    ValueInput: _still,
    DaysSince: _days_since,
    IndicatorInput: _indicator,
    TagInput: lambda _, each: _recorded("tags", each.tag),
    ScreeningInput: lambda _, each: _recorded("screenings", each.screening),
    Ratio: _ratio,
    CalculationInput: _calculation,
    PeerPercentile: _peers,
    TimesPeerMedian: _peers,
}
