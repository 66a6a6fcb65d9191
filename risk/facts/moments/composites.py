"""Values made of others, such as ratios: when they turn, from how each of their parts moves."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from fivefold.domain.clock import DAY_US
from fivefold.risk.facts.aggregates import ROW, quotient
from fivefold.risk.facts.moments.cuts import Cuts
from fivefold.risk.facts.moments.elapsed import crossing
from fivefold.risk.facts.moments.steps import AT, VALUE, first_turn
from fivefold.risk.facts.portfolio import AS_OF

HORIZON_US: Final = 36_525 * DAY_US
"""Nothing is looked for later than in a hundred years; every ruleset looks again sooner."""

_AHEAD, _LOW, _HIGH, _PLACE, _NUMBER = "@ahead", "@low", "@high", "@place", "@number"


@dataclass(frozen=True)
class Movement:
    """How an input moves by time alone, for each entity.

    Attributes:
        steps: `@row`, `@at` and `@value`: its later values, as far as facts leave; None where it has none.
        elapsed: of days that pass, the microseconds so far, over the columns of inputs; None where it is no such thing.
        moments: `@row` and `@at` of what else may change it, where it is not known to what.
    """

    steps: pl.LazyFrame | None = None
    elapsed: pl.Expr | None = None
    moments: list[pl.LazyFrame] = field(default_factory=list)

    def turns(self, inputs: pl.DataFrame, key: str, cuts: Cuts) -> list[pl.LazyFrame]:
        """Give `@row` and `@at` of when the input may come to another place among its cuts.

        Args:
            inputs: `@row`, `as_of`, and the values of now.
            key: its column.
            cuts: of its comparisons.
        """
        frames = [*self.moments]
        if self.steps is not None:
            frames.append(first_turn(self.steps, inputs[key], cuts))
        if self.elapsed is not None:
            frames.append(inputs.lazy().select(ROW, crossing(pl.col(key), self.elapsed, cuts).alias(AT)).drop_nulls())
        return frames


Value = Callable[[pl.DataFrame], pl.Series]
"""Makes the values of a whole from a frame with a column for each of its parts."""


@dataclass(frozen=True, kw_only=True)
class Whole:
    """A value made of others.

    Attributes:
        parts: how each moves, by the columns that *value* reads.
        value: makes it of the columns of the parts.
        is_monotone: while days pass and nothing else happens, it only rises or only falls.
        most_steps: so many steps are looked at, all of them where it is None; where none of them is elsewhere, the last
            one counts.
    """

    parts: Mapping[str, Movement]
    value: Value
    is_monotone: bool = True
    most_steps: int | None = None

    @property
    def stepping(self) -> dict[str, pl.LazyFrame]:
        """The steps of the parts that have some."""
        return {name: part.steps for name, part in self.parts.items() if part.steps is not None}

    @property
    def passing(self) -> dict[str, pl.Expr]:
        """The microseconds so far of the parts that are days which pass."""
        return {name: part.elapsed for name, part in self.parts.items() if part.elapsed is not None}


def composite(whole: Whole, inputs: pl.DataFrame, key: str, cuts: Cuts) -> list[pl.LazyFrame]:
    """Give `@row` and `@at` of when a value made of others may come to another place among its cuts.

    Steps of all parts are laid together, so that it is exact where they alone move. Where days pass in it, the first
    moment is found by halving; as soon as anything else happens, it is looked at again. Where the value may turn back
    as days pass, it is looked at each midnight, UTC.

    Args:
        whole: what it is made of, and how.
        inputs: `@row`, `as_of`, the values of now, of the parts and of *key*.
        key: the column of the whole.
        cuts: of its comparisons.
    """
    frames = [moments for part in whole.parts.values() for moments in part.moments]
    if whole.passing:
        frames += [steps.select(ROW, AT) for steps in whole.stepping.values()]
        frames.append(
            _halved(whole, inputs, key, cuts) if whole.is_monotone else each_midnight(inputs, key, whole.parts)
        )
    elif whole.stepping:
        frames.append(_first_step(whole, inputs, key, cuts))
    return frames


def each_midnight(inputs: pl.DataFrame, key: str, parts: Iterable[str] = ()) -> pl.LazyFrame:
    """Give `@row` and `@at`, the next midnight, of those whose value is known, or all of whose parts are.

    With its parts known, a value is unknown by a divisor that is 0 now, and as days pass it is not 0 for long.
    """
    midnight = (pl.col(AS_OF) // DAY_US + 1) * DAY_US
    parts_known = [pl.col(name).is_not_null() for name in parts]
    known = pl.col(key).is_not_null() | (pl.all_horizontal(parts_known) if parts_known else False)
    return inputs.lazy().filter(known).select(ROW, midnight.alias(AT))


def _first_step(whole: Whole, inputs: pl.DataFrame, key: str, cuts: Cuts) -> pl.LazyFrame:
    """Find the first step of any part that takes the value elsewhere."""
    names = [*whole.parts]
    moving = [steps.select(ROW, AT, pl.col(VALUE).alias(name), _set(name)) for name, steps in whole.stepping.items()]
    touched = pl.concat([each.select(ROW) for each in moving]).unique()
    now = inputs.lazy().select(ROW, pl.col(AS_OF).alias(AT), *names, *map(_set, names))
    events = pl.concat([now.join(touched, on=ROW, how="semi"), *moving], how="diagonal_relaxed").sort(ROW, AT)
    # A part is what it was set to last, which may be unknown.
    last_set = (pl.when(f"@set {name}").then(pl.int_range(pl.len())).forward_fill() for name in names)
    filled = events.with_columns(
        pl.col(name).gather(place) for name, place in zip(names, last_set, strict=True)
    ).unique([ROW, AT], keep="last", maintain_order=True)
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


def _halved(whole: Whole, inputs: pl.DataFrame, key: str, cuts: Cuts) -> pl.LazyFrame:
    """Find the first moment at which the value is elsewhere than now, by halving the time until the horizon.

    A moment that is still to come ends the search: there the value goes through nothing, and may turn its sign.
    """
    elapsed = {f"@elapsed {name}": each for name, each in whole.passing.items()}
    frame = inputs.with_columns(**elapsed).with_columns(cuts.place(pl.col(key)).alias(_PLACE))
    begins = [pl.when(pl.col(name) < 0).then(-pl.col(name)) for name in elapsed]
    horizon = pl.min_horizontal(*begins, pl.lit(HORIZON_US, pl.Int64))
    frame = frame.with_columns(pl.lit(1, pl.Int64).alias(_LOW), horizon.alias(_HIGH))
    is_cut_short = frame[_HIGH] < HORIZON_US

    def is_elsewhere(ahead: pl.Expr) -> pl.Series:
        moved = {name: quotient(pl.col(f"@elapsed {name}") + pl.col(_AHEAD), DAY_US) for name in whole.passing}
        then = frame.with_columns(ahead.alias(_AHEAD)).with_columns(**moved)
        valued = then.with_columns(whole.value(then).alias(VALUE))
        return valued.select(cuts.place(pl.col(VALUE)) != pl.col(_PLACE)).to_series()

    for _ in range(HORIZON_US.bit_length()):
        middle = (pl.col(_LOW) + pl.col(_HIGH)) // 2
        there = is_elsewhere(middle)
        frame = frame.with_columns(
            pl.when(there).then(pl.col(_LOW)).otherwise(pl.min_horizontal(middle + 1, _HIGH)).alias(_LOW),
            pl.when(there).then(middle).otherwise(pl.col(_HIGH)).alias(_HIGH),
        )
    turned = frame.filter(is_elsewhere(pl.col(_HIGH)) | is_cut_short)
    return turned.lazy().select(ROW, (pl.col(AS_OF) + pl.col(_HIGH)).alias(AT))
