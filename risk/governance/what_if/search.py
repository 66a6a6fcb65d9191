"""Searches the smallest changes that move a level: single ones, then pairs, each tried on the compiled ruleset."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import combinations, product
from math import prod
from typing import Any

import polars as pl

from fivefold.risk.engine.assessments import COMPUTED, STATUS, VERSIONS, Assessments, Status
from fivefold.risk.engine.levels import (
    ENTERED,
    FLOOR_LOST,
    HARD_FLOOR_LOST,
    HELD_FLOOR,
    HELD_HARD_FLOOR,
    MOMENTS,
    RULES_LEVEL,
)
from fivefold.risk.engine.outcomes import assess_inputs
from fivefold.risk.engine.program import Program, program_for
from fivefold.risk.facts.portfolio import ENTITY, ListVersion, error_of, signal_of
from fivefold.risk.governance.beside import ALONE, Beside
from fivefold.risk.governance.what_if.changeable import changeable_inputs, read_by_predicates
from fivefold.risk.governance.what_if.moments import Moments
from fivefold.risk.governance.what_if.options import ChangeOptions, Option, options_of

MOST_PAIRS = 100_000
"""Most pairs of changes that are tried, each for every possible moment; the others are counted."""

_AT_ONCE = 10_000
"""How many changed rows are assessed together."""


class WantedDirection(StrEnum):
    """Where a level is to move."""

    DOWN = "down"
    UP = "up"


Change = tuple[tuple[str, Option], ...]
"""One or two inputs by their keys, each with its new value."""


@dataclass(frozen=True)
class Wish:
    """The levels that are good enough.

    Attributes:
        direction: the direction in which the level is to move.
        level: the number, from 1, of the first level that is good enough; those beyond it are too.
    """

    direction: WantedDirection
    level: int

    def granted(self, level: int) -> bool:
        """Check whether a level is good enough."""
        return level <= self.level if self.direction is WantedDirection.DOWN else level >= self.level


@dataclass(frozen=True, kw_only=True)
class SearchResult:
    """The result of a search.

    Attributes:
        options: the possible changes, by the keys of the inputs.
        changes: the smallest changes that move the level: no part of one does, and no nearer value.
        by_absence: the keys of inputs that would move it if they had no value.
        pairs_left_out: the number of pairs that were not tried.
    """

    options: Mapping[str, ChangeOptions]
    changes: tuple[Change, ...]
    by_absence: frozenset[str]
    pairs_left_out: int


@dataclass(frozen=True)
class ChangedAssessment:
    """One assessment whose inputs are changed.

    Attributes:
        program: the compiled ruleset, with the versions of lists that were in force.
        versions: these versions, by the names of the lists.
        base: the currency of money.
        inputs: one row, as `Assessments.inputs`.
        previous: the level held until then, in the form of `assess_inputs`; None if there was none.
        overrides: the override, likewise.
        beside: the rulesets that are tried before this one, and after it. They are not evaluated.
    """

    program: Program
    versions: Mapping[str, ListVersion]
    base: str
    inputs: pl.DataFrame
    previous: pl.DataFrame | None
    overrides: pl.DataFrame | None
    beside: Beside = ALONE

    @classmethod
    def of(
        cls,
        assessments: Assessments,
        position: int,
        previous: pl.DataFrame | None = None,
        overrides: pl.DataFrame | None = None,
        beside: Beside = ALONE,
    ) -> "ChangedAssessment":
        """Make it from one row of assessments."""
        versions = assessments.versions[assessments.outcomes[VERSIONS][position]]
        program = program_for(assessments.program.analysed, versions, assessments.base)
        return cls(program, versions, assessments.base, assessments.inputs[[position]], previous, overrides, beside)

    def going_on(self, outcomes: pl.DataFrame) -> "ChangedAssessment":
        """Return the assessment continued from its own resulting level: a change comes later, so the cooldown runs."""
        previous = outcomes.select(
            ENTITY,
            pl.col(RULES_LEVEL).alias("level"),
            ENTERED,
            pl.col(HELD_FLOOR).alias("floor"),
            pl.col(HELD_HARD_FLOOR).alias("hard_floor"),
            FLOOR_LOST,
            HARD_FLOOR_LOST,
        )
        return replace(self, previous=previous)

    def with_any_floor(self) -> "ChangedAssessment":
        """Return the assessment with the highest floor held before, so that every floor that may hold does."""
        highest = len(self.program.ruleset.levels)
        values = {"level": None, "entered": None, "floor": highest, "hard_floor": highest}
        columns = [pl.lit(value, pl.Int64).alias(name) for name, value in values.items()]
        lost = [pl.lit(None, MOMENTS).alias(name) for name in (FLOOR_LOST, HARD_FLOOR_LOST)]
        return replace(self, previous=self.inputs.select(ENTITY, *columns, *lost))

    @property
    def members(self) -> Mapping[str, Sequence[str]]:
        """The members of the named lists."""
        return {name: version.members for name, version in self.versions.items()}

    def changed(self, changes: Sequence[Change]) -> pl.DataFrame:
        """Make a row of inputs for each change."""
        frame = self.inputs[[0] * len(changes)]
        touched = dict.fromkeys(key for change in changes for key, _ in change)
        columns: list[pl.Series] = []
        for key in touched:
            options = [dict(change).get(key) for change in changes]
            columns += self._columns(key, options)
        return frame.with_columns(columns)

    def _columns(self, key: str, options: Sequence[Option | None]) -> Iterator[pl.Series]:
        """Yield the columns of a changed input: its values, its errors, and its latest moment."""
        present = self.inputs[key]
        values = [present[0] if option is None else option.value for option in options]
        yield pl.Series(key, values, dtype=present.dtype)
        if error_of(key) in self.inputs.columns:
            wrong = self.inputs[error_of(key)]
            problems = [wrong[0] if option is None else None for option in options]
            yield pl.Series(wrong.name, problems, dtype=wrong.dtype)
        if signal_of(key) in self.inputs.columns:
            moment = self.inputs[signal_of(key)]
            moments = [option.moments[0] if option is not None and option.moments else moment[0] for option in options]
            yield pl.Series(moment.name, moments, dtype=moment.dtype)

    def moments_of(self, rule_input: Any, *, are_distinguished: bool = True) -> Moments | None:
        """Return the moments of an input's latest fact, by `Moments.of`."""
        return Moments.of(rule_input, self.program, self.inputs, are_distinguished=are_distinguished)

    def assessed(self, changes: Sequence[Change]) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Assess the changed rows; return their inputs, and outcomes in the form of `Assessments.outcomes`."""
        inputs = self.changed(changes)
        return inputs, assess_inputs(self.program, inputs, self.previous, self.overrides)

    def levels(self, changes: Sequence[Change]) -> list[int | None]:
        """Return the level by the rules for each changed row; None if there is none in full."""
        levels: list[int | None] = []
        for first in range(0, len(changes), _AT_ONCE):
            levels += level_said(self.assessed(changes[first : first + _AT_ONCE])[1])
        return levels


def level_said(outcomes: pl.DataFrame) -> list[int | None]:
    """Return the level by the rules and the floors that hold, beneath cooldown and override."""
    return _where_in_full(outcomes, pl.max_horizontal(COMPUTED, pl.when(pl.col(HELD_FLOOR) > 0).then(HELD_FLOOR)))


def level_of_any_floor(outcomes: pl.DataFrame) -> list[int | None]:
    """Return the level that results with any floors from before; None if one may raise it.

    The outcomes are of `ChangedAssessment.with_any_floor`.
    """
    return _where_in_full(outcomes, pl.when(pl.col(HELD_FLOOR) <= pl.col(COMPUTED)).then(COMPUTED))


def floor_from_before(outcomes: pl.DataFrame) -> list[int | None]:
    """Return the floor that holds from an earlier assessment, if it is above the level by the rules now."""
    return _where_in_full(outcomes, pl.when(pl.col(HELD_FLOOR) > pl.col(COMPUTED)).then(HELD_FLOOR))


def _where_in_full(outcomes: pl.DataFrame, level: pl.Expr) -> list[int | None]:
    """Return a level for each row; None if it was not assessed in full."""
    return outcomes.select(pl.when(pl.col(STATUS) == Status.ASSESSED.value).then(level)).to_series().to_list()


def search(subject: ChangedAssessment, wish: Wish) -> SearchResult:
    """Find the smallest changes that a person can make and that give a wanted level."""
    options = dict(_options(subject))
    singles: list[Change] = [((key, option),) for key, each in options.items() for option in each.options]
    alone = _smallest(_granted(subject, wish, singles))
    pairs, left_out = _as_many_as_allowed(_pairs(options, alone))
    together = _smallest(_granted(subject, wish, pairs))
    none = [one for key, each in options.items() if each.absent is not None for one in variants(((key, each.absent),))]
    return SearchResult(
        options=options,
        changes=(*alone, *together),
        by_absence=frozenset(key for ((key, _),) in _granted(subject, wish, none)),
        pairs_left_out=left_out,
    )


def _options(subject: ChangedAssessment) -> Iterator[tuple[str, ChangeOptions]]:
    """Yield the values that each input may be changed to: none if another ruleset may decide then."""
    analysed, beside = subject.program.analysed, subject.beside
    taken_over = read_by_predicates(analysed, beside.first)
    leaves = read_by_predicates(analysed, [analysed] if beside.then else [])
    for key, each in changeable_inputs(analysed).items():
        moments = subject.moments_of(each.rule_input)
        options = options_of(each, subject.program, subject.members, subject.inputs[key], moments=moments)
        if key in taken_over:
            options = replace(options, options=(), absent=None)
        yield key, replace(options, exact=options.exact and key not in taken_over | leaves)


def variants(change: Change) -> Iterator[Change]:
    """Yield a change once for every possible moment of its inputs' latest facts."""
    each_way = [
        [(key, replace(option, moments=(moment,))) for moment in option.moments] or [(key, option)]
        for key, option in change
    ]
    yield from product(*each_way)


def _granted(subject: ChangedAssessment, wish: Wish, changes: Sequence[Change]) -> list[Change]:
    """Keep the changes that give a wanted level for every possible moment from which points fade."""
    rows = [(number, variant) for number, change in enumerate(changes) for variant in variants(change)]
    levels = subject.levels([variant for _, variant in rows])
    failing = {
        number for (number, _), level in zip(rows, levels, strict=True) if level is None or not wish.granted(level)
    }
    return [change for number, change in enumerate(changes) if number not in failing]


def _as_many_as_allowed(pairs: Iterable[Change]) -> tuple[list[Change], int]:
    """Return the pairs to try, and the number of others."""
    tried: list[Change] = []
    rows = left_out = 0
    for pair in pairs:
        rows += prod(len(option.moments) or 1 for _, option in pair)
        if rows <= MOST_PAIRS:
            tried.append(pair)
        else:
            left_out += 1
    return tried, left_out


def _pairs(options: Mapping[str, ChangeOptions], alone: Sequence[Change]) -> Iterator[Change]:
    """Yield the pairs of changes neither of which is enough alone."""
    enough: dict[str, list[Option]] = {key: [] for key in options}
    for ((key, option),) in alone:
        enough[key].append(option)
    short = {
        key: [option for option in each.options if not any(one.within(option) for one in enough[key])]
        for key, each in options.items()
    }
    for first, second in combinations(options, 2):
        for one, other in product(short[first], short[second]):
            yield ((first, one), (second, other))


def _smallest(changes: Iterable[Change]) -> list[Change]:
    """Drop the changes for which there is a smaller one of the same inputs."""
    by_inputs: dict[tuple[str, ...], list[Change]] = {}
    for change in sorted(changes, key=lambda change: sum(option.rank for _, option in change)):
        smallest = by_inputs.setdefault(tuple(key for key, _ in change), [])
        if not any(_within(smaller, change) for smaller in smallest):
            smallest.append(change)
    return [change for smallest in by_inputs.values() for change in smallest]


def _within(smaller: Change, change: Change) -> bool:
    return all(one.within(other) for (_, one), (_, other) in zip(smaller, change, strict=True))
