"""Values that change in steps: the value after each fact leaves, and the first step that passes a cut."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import cast

import polars as pl

from fivefold.risk.compiler.conditions import Lists
from fivefold.risk.facts.aggregates import FEW_ENTITIES, ROW
from fivefold.risk.facts.linked import LINKED_ENTITY, TIME, UNREADABLE, LinkedFacts, nothing_wrong
from fivefold.risk.facts.moments.cuts import Cuts
from fivefold.risk.facts.moments.leaving import is_on_the_calendar, leaves, returns
from fivefold.risk.facts.portfolio import AS_OF, ENTITY
from fivefold.risk.facts.row_errors import known_problems
from fivefold.risk.facts.windows import Masks, closes, looked_at, opens, value_column
from fivefold.risk.language.expressions import Window
from fivefold.risk.language.quantities import Duration

AT, VALUE = "@at", "@value"
"""Columns of steps: the row of the entity, the moment, and the value from then on (null where it is unknown)."""

_ENTERS, _BASE = "@enters", "@base"
_SLACK = Duration(4, "day")
"""Extra length to read: a fact on the last day of a month may re-enter a window up to three days after it left."""


@dataclass(frozen=True)
class FactsAhead:
    """The facts of one source that time alone may bring or take.

    Attributes:
        rows: the facts up to as-of in the longest window, as known at as-of, newest first for each entity. They have
            `@row`, `as_of`, `time`, the fields that values are computed from, and a column for each condition of an
            aggregate.
        enters: for each row of the entities the first moment after as-of at which a fact appears or changes.
        masks: the masks of the aggregates.
        unreadable: the moments of unreadable facts, `@row`, `as_of` and `time`; they spoil the values to which they may
            belong.
    """

    rows: pl.DataFrame
    enters: pl.DataFrame
    masks: Masks
    unreadable: pl.DataFrame

    def inside(self, over: Duration, *where: pl.Expr) -> pl.LazyFrame:
        """Return the facts of a window for which *where* is true, with `@at`, the moment at which each leaves it."""
        is_inside = pl.col(TIME) > over.before(pl.col(AS_OF))
        return self.rows.lazy().filter(is_inside, *where).with_columns(leaves(pl.col(TIME), over).alias(AT))

    def counted(self, window: Window, *where: pl.Expr) -> pl.LazyFrame:
        """Return the facts that an aggregate with a window counts."""
        assert window.over is not None
        return self.inside(window.over, *(pl.col(name) for name, _ in self.masks.conditions(window)), *where)

    def disturbances(self, lengths: Sequence[Duration]) -> list[pl.LazyFrame]:
        """Return `@row` and `@at` of what may change any input: facts that come (back), and unreadable ones that go."""
        frames = [self.enters.lazy()]
        later = self.unreadable.lazy().filter(pl.col(TIME) > pl.col(AS_OF))
        frames.append(later.select(ROW, pl.col(TIME).alias(AT)))
        for over in lengths:
            wrong = self.unreadable.lazy().filter(pl.col(TIME) <= pl.col(AS_OF))
            inside = wrong.filter(pl.col(TIME) > over.before(pl.col(AS_OF)))
            frames.append(inside.select(ROW, leaves(pl.col(TIME), over).alias(AT)))
            if is_on_the_calendar(over):
                back = returns(pl.col(TIME), over).alias(AT)
                frames += [each.select(ROW, back).drop_nulls() for each in (self.rows.lazy(), wrong)]
        return frames


def read_ahead(
    entities: pl.DataFrame,
    facts: LinkedFacts,
    windows: Sequence[Window],
    others: Mapping[Duration, Collection[str]],
    lists: Lists,
) -> FactsAhead:
    """Read the facts that time may bring or take.

    Args:
        entities: `entity_id` and `as_of`.
        facts: the facts of one source.
        windows: the aggregates over them.
        others: the lengths of further windows over them, and the fields that are read in these.
        lists: members of the named lists.
    """
    numbered = entities.select(
        pl.int_range(pl.len(), dtype=pl.UInt32).alias(ROW), pl.col(ENTITY).alias(LINKED_ENTITY), AS_OF
    )
    masks = Masks(facts, lists)
    conditions = dict(chain.from_iterable(masks.conditions(each) for each in (*map(looked_at, windows), *windows)))
    columns = (value_column(each, facts) for each in windows)
    fields = {column.name for column in columns if column is not None}.union(*others.values()) - {TIME}
    read = _read_near(numbered, facts, _begin(numbered, windows, others))
    enters = read.group_by(ROW).agg(pl.col(_ENTERS).min().alias(AT)).drop_nulls()
    past = read.lazy().filter(pl.col(TIME) <= pl.col(AS_OF)).with_columns(*facts.as_known)
    rows = past.select(ROW, AS_OF, TIME, *sorted(fields), **conditions).collect()
    if len(numbered) == 1 and rows[TIME].is_sorted():  # as stored facts are
        newest_first = rows.reverse()
    else:
        newest_first = rows.sort(ROW, TIME, descending=[False, True])
    unread = facts if read[UNREADABLE].any() else replace(facts, find_problems=nothing_wrong)
    unreadable = known_problems(unread, numbered).select(ROW, AS_OF, TIME).drop_nulls().unique()
    return FactsAhead(newest_first, enters, masks, unreadable)


def _begin(numbered: pl.DataFrame, windows: Sequence[Window], others: Mapping[Duration, Collection[str]]) -> int | None:
    """Return the moment after which facts matter to a window; None without entities or windows."""
    begins = pl.col(AS_OF).min()
    openings = [over.before(begins) for over in others]
    openings += [opens(each, begins) for each in windows if each.over is not None]
    openings += [closes(each, begins) for each in windows if each.ending is not None]
    if not openings or numbered.is_empty():
        return None
    return cast("int", numbered.select(pl.min_horizontal(map(_SLACK.before, openings))).item())


def _read_near(numbered: pl.DataFrame, facts: LinkedFacts, begin: int | None) -> pl.DataFrame:
    """Read the facts that count after *begin* or have yet to change, with their entity's row and `@enters`."""
    rows = facts.rows
    if len(numbered) <= FEW_ENTITIES:
        rows = rows.filter(pl.col(LINKED_ENTITY).is_in(numbered[LINKED_ENTITY].implode()))
    earliest = pl.lit(numbered[AS_OF].min(), pl.Int64)  # null without entities
    moves = pl.any_horizontal([pl.col(name) > earliest for name in facts.moves]) | pl.col(TIME).is_null()
    # The times as known at as-of may differ, so none is left out here.
    recent = pl.lit(value=begin is not None) if begin is None or facts.as_known else pl.col(TIME) > begin
    near = rows.filter(recent | moves)
    is_one = len(numbered) == 1
    if is_one:  # a join reads the name of every fact, which takes most of the time
        placed = near.with_columns(
            pl.lit(numbered[name][0], numbered.schema[name]).alias(name) for name in (ROW, AS_OF)
        )
    else:
        placed = near.join(numbered.lazy(), on=LINKED_ENTITY, how="inner")
    later = [pl.when(pl.col(name) > pl.col(AS_OF)).then(pl.col(name)) for name in facts.moves]
    enters = pl.min_horizontal(later).alias(_ENTERS)
    return placed.with_columns(enters).collect(engine="in-memory" if is_one else "streaming")


def newer(value: pl.Expr) -> pl.Expr:
    """Return a running value, newest fact first, without this fact and all older ones; null for the newest.

    The facts of each row are adjacent, so a comparison with the previous one shows where they begin: grouping them
    takes four times as long.
    """
    return pl.when(pl.col(ROW) == pl.col(ROW).shift(1)).then(value.shift(1))


def stepwise(facts: pl.LazyFrame, value: pl.Expr) -> pl.LazyFrame:
    """Return `@row`, `@at` and `@value`: *value*, built with `newer`, once each moment's facts are gone."""
    is_newest_of_its_moment = (pl.col(TIME) != newer(pl.col(TIME))).fill_null(value=True)
    return facts.with_columns(value.alias(VALUE)).filter(is_newest_of_its_moment).select(ROW, AT, VALUE)


def first_turn(steps: pl.LazyFrame, base: pl.Series, cuts: Cuts) -> pl.LazyFrame:
    """Return `@row` and `@at` of the first step whose value lies in another place than the current one.

    Args:
        steps: the result of `stepwise`, for some rows.
        base: the value of every row at its as-of.
        cuts: the cuts between places.
    """
    now = pl.LazyFrame({ROW: pl.int_range(len(base), dtype=pl.UInt32, eager=True), _BASE: base})
    turned = cuts.place(pl.col(VALUE)) != cuts.place(pl.col(_BASE))
    return steps.join(now, on=ROW, how="inner").filter(turned).group_by(ROW).agg(pl.col(AT).min())
