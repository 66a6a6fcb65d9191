"""Values computed from others, such as ratios and groups: when they turn, by how their parts move."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from fivefold.risk.compiler.value_types import inputs_of_group
from fivefold.risk.facts.aggregates import ROW
from fivefold.risk.facts.groups.links import Links
from fivefold.risk.facts.groups.values import Moment, entities_at, in_group
from fivefold.risk.facts.moments.courses import Course, Passing, ReadAs
from fivefold.risk.facts.moments.cuts import Cuts
from fivefold.risk.facts.moments.elapsed import crossing
from fivefold.risk.facts.moments.steps import AT, VALUE, first_turn
from fivefold.risk.facts.moments.wholes import Number, itself
from fivefold.risk.facts.portfolio import AS_OF, ENTITY, Portfolio, error_of
from fivefold.risk.language.base import LanguageModel
from fivefold.risk.language.expressions import DaysSince, Linked, input_key
from fivefold.risk.language.ruleset import LinkType

_PLACE, _NUMBER = "@place", "@number"

Courses = Mapping[int, Course]
"""The courses of a number that changes all the time, by the row of the entity."""


@dataclass(frozen=True)
class Movement:
    """How an input moves by time alone, for each entity.

    Attributes:
        steps: `@row`, `@at` and `@value`: its later values as facts leave; None if it has none.
        elapsed: for days that grow, the microseconds so far, over the columns of inputs; None for anything else.
        courses: its courses, if it changes all the time in another way; otherwise None.
        moments: `@row` and `@at` of other changes, whose new value is not known.
    """

    steps: pl.LazyFrame | None = None
    elapsed: pl.Expr | None = None
    courses: Courses | None = None
    moments: list[pl.LazyFrame] = field(default_factory=list)

    @property
    def is_steady(self) -> bool:
        """Whether the input changes all the time."""
        return self.elapsed is not None or self.courses is not None

    def turns(self, inputs: pl.DataFrame, each: LanguageModel, cuts: Cuts) -> list[pl.LazyFrame]:
        """Return `@row` and `@at` of the moments at which the input may move to another place among its cuts.

        Args:
            inputs: `@row`, `as_of`, and the current values.
            each: the input.
            cuts: the cuts of its comparisons.
        """
        frames, key = [*self.moments], input_key(each)
        if self.steps is not None:
            frames.append(first_turn(self.steps, inputs[key], cuts))
        if self.elapsed is not None:
            frames.append(inputs.lazy().select(ROW, crossing(pl.col(key), self.elapsed, cuts).alias(AT)).drop_nulls())
        if self.courses is not None:
            reading = ReadAs.COMPARED if isinstance(each, Linked) else ReadAs.FLOAT
            frames.append(_searched(itself(each, cuts, reading), inputs, {key: self.courses}))
        return frames

    def courses_in(self, inputs: pl.DataFrame, each: LanguageModel) -> Courses:
        """Return the input's course in each row, if it changes all the time."""
        if self.elapsed is None:
            return self.courses or {}
        elapsed = inputs.select(self.elapsed.cast(pl.Int64)).to_series().to_list()
        counts_exactly = isinstance(each, DaysSince)
        return {row: Passing(one, counts_exactly) for row, one in enumerate(elapsed) if one is not None}


Value = Callable[[pl.DataFrame], pl.Series]
"""Computes the values of a whole from a frame with a column for each of its parts."""


@dataclass(frozen=True, kw_only=True)
class Whole:
    """A value computed from others.

    Attributes:
        parts: the inputs that it is computed from, and how each moves.
        value: computes it from the columns of the parts.
        number: computes it for one entity.
        most_steps: how many steps are tried, None for all; if the value turns at none of them, the last one counts.
    """

    parts: list[tuple[LanguageModel, Movement]]
    value: Value
    number: Number
    most_steps: int | None = None

    @property
    def stepping(self) -> dict[str, pl.LazyFrame]:
        """The steps of the parts that have some."""
        return {input_key(each): part.steps for each, part in self.parts if part.steps is not None}


def composite(whole: Whole, inputs: pl.DataFrame, key: str, cuts: Cuts) -> list[pl.LazyFrame]:
    """Return `@row` and `@at` of the moments at which a computed value may move to another place among its cuts.

    The steps of all parts are merged, so the result is exact if parts move in steps alone. If one changes all the time,
    the first moment is found from enclosures of the value; any other change is a moment to look again.

    Args:
        whole: the value.
        inputs: `@row`, `as_of`, and the current values of the parts and of *key*.
        key: the column of the whole.
        cuts: the cuts of its comparisons.
    """
    frames = [moments for _, part in whole.parts for moments in part.moments]
    steady = {input_key(each): part.courses_in(inputs, each) for each, part in whole.parts if part.is_steady}
    if steady:
        frames += [steps.select(ROW, AT) for steps in whole.stepping.values()]
        frames.append(_searched(whole.number, inputs, steady))
    elif whole.stepping:
        frames.append(_first_step(whole, inputs, key, cuts))
    return frames


def _searched(number: Number, inputs: pl.DataFrame, steady: Mapping[str, Courses]) -> pl.LazyFrame:
    """Find the first moment at which a number turns, entity by entity."""
    rows = pl.Series(sorted({row for courses in steady.values() for row in courses}), dtype=pl.UInt32)
    turns = []
    for row, values in zip(rows, inputs.filter(pl.col(ROW).is_in(rows.implode())).iter_rows(named=True), strict=True):
        courses = {key: courses[row] for key, courses in steady.items() if row in courses}
        ahead = number.turns(_readable(values), courses)
        if ahead is not None:
            turns.append((row, values[AS_OF] + ahead))
    return pl.LazyFrame(turns, schema={ROW: pl.UInt32, AT: pl.Int64}, orient="row")


def _readable(values: dict[str, Any]) -> dict[str, Any]:
    """Make unreadable values unknown, as calculations do."""
    wrong = error_of("")
    return {
        name: None if values.get(error_of(name)) is not None else value
        for name, value in values.items()
        if not name.endswith(wrong)
    }


def _first_step(whole: Whole, inputs: pl.DataFrame, key: str, cuts: Cuts) -> pl.LazyFrame:
    """Find the first step of any part that moves the value to another place."""
    names = [input_key(each) for each, _ in whole.parts]
    steps_by_name = {name: steps.select(ROW, AT, VALUE).collect().lazy() for name, steps in whole.stepping.items()}
    moving = [steps.rename({VALUE: name}).with_columns(_set(name)) for name, steps in steps_by_name.items()]
    touched = pl.concat([each.select(ROW) for each in moving]).unique()
    now = inputs.lazy().select(ROW, pl.col(AS_OF).alias(AT), *names, *map(_set, names))
    events = pl.concat([now.join(touched, on=ROW, how="semi"), *moving], how="diagonal_relaxed")
    events = events.sort(AT) if len(inputs) == 1 else events.sort(ROW, AT)  # by one column: a fifth of the time
    # A part has the value that it was set to last, which may be null.
    last_set = (pl.when(f"@set {name}").then(pl.int_range(pl.len())).forward_fill() for name in names)
    is_last_of_moment = pl.any_horizontal(pl.col(name) != pl.col(name).shift(-1) for name in (ROW, AT))
    filled = events.with_columns(
        pl.col(name).gather(place) for name, place in zip(names, last_set, strict=True)
    ).filter(is_last_of_moment.fill_null(value=True))
    number = pl.int_range(pl.len()).over(ROW)
    most = pl.len() if whole.most_steps is None else pl.lit(whole.most_steps)
    steps = filled.with_columns(number.alias(_NUMBER)).filter(pl.col(_NUMBER) <= most).collect()
    places = inputs.lazy().select(ROW, cuts.place(pl.col(key)).alias(_PLACE))
    valued = steps.with_columns(whole.value(steps).alias(VALUE)).lazy().join(places, on=ROW, how="left")
    turned = (cuts.place(pl.col(VALUE)) != pl.col(_PLACE)) & (pl.col(_NUMBER) > 0)
    last = pl.lit(value=False) if whole.most_steps is None else pl.col(_NUMBER) == whole.most_steps
    return valued.filter(turned | last).group_by(ROW).agg(pl.col(AT).min())


def _set(name: str) -> pl.Expr:
    return pl.lit(value=True).alias(f"@set {name}")


Firsts = Callable[[pl.DataFrame], pl.DataFrame]
"""Finds for some entities, as `entity_id` and `@at`, the first moment at which something that a group reads moves."""


def group_moments(
    each: Linked, entities: pl.DataFrame, portfolio: Portfolio, declared: LinkType, firsts: Firsts
) -> pl.LazyFrame:
    """Return `@row` and `@at` of the moments at which a group's value may change; perhaps early, and never late.

    The steady growth of members' days is not such a moment.

    Args:
        each: the input.
        entities: `entity_id` and `as_of`.
        portfolio: the data, with the links.
        declared: how the links are read.
        firsts: finds when the data of linked entities move.
    """
    links, group = portfolio.links, each.linked
    assert isinstance(links, Links)  # a missing table was refused before
    moments: list[Moment] = list(zip(entities[ENTITY].to_list(), entities[AS_OF].to_list(), strict=True))
    members = [
        in_group(group, entity, links.neighbourhood(entity, as_of, group, declared)) for entity, as_of in moments
    ]
    needed = list({(one, as_of): None for (_, as_of), there in zip(moments, members, strict=True) for one in there})
    moved: dict[Moment, int] = {}
    for frame in entities_at(portfolio, needed) if any(inputs_of_group(group)) else ():
        as_ofs = dict(frame.select(ENTITY, AS_OF).iter_rows())
        moved |= {(one, as_ofs[one]): at for one, at in firsts(frame).iter_rows()}
    rows = []
    for row, ((entity, as_of), there) in enumerate(zip(moments, members, strict=True)):
        later = [at for one in there if (at := moved.get((one, as_of))) is not None]
        link = links.next_change(entity, as_of, group, declared)
        later += [] if link is None else [link]
        if later:
            rows.append((row, min(later)))
    return pl.DataFrame(rows, schema={ROW: pl.UInt32, AT: pl.Int64}, orient="row").lazy()
