"""Assesses a portfolio: resolves what the ruleset reads, evaluates its rules, and updates the levels."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import polars as pl

from fivefold.domain.errors import FileFormatError
from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.engine.assessments import VERSIONS, Assessments
from fivefold.risk.engine.outcomes import assess_inputs
from fivefold.risk.engine.program import program_for
from fivefold.risk.facts.inputs import Needs
from fivefold.risk.facts.portfolio import AS_OF, ENTITY, ListVersion, NamedList, Portfolio, members_at
from fivefold.risk.facts.records import known_entities
from fivefold.risk.facts.resolution import lazy_sources, moments_ahead, resolve_inputs


def validate_held_levels(what: str, frame: pl.DataFrame, levels: int, moment: str, *, needed: bool = False) -> None:
    """Refuse held levels that cannot be used.

    Args:
        what: their name in errors.
        frame: `entity_id`, `level` (number), and a moment (microseconds).
        levels: the number of levels.
        moment: the column of the moment.
        needed: whether to refuse a level without a moment: without a beginning of the cooldown, the level would be
            lost at once.

    Raises:
        FileFormatError: a column is missing or of another type, an entity occurs twice, the ruleset lacks a level or a
            floor, or a moment is missing.
    """
    _refuse_columns(what, frame, moment)
    _refuse_floors(what, frame, levels)
    level = frame["level"]
    if frame[ENTITY].n_unique() < len(frame):
        twice = frame.filter(frame[ENTITY].is_duplicated())
        raise FileFormatError(f"{what} have entity {twice[ENTITY][0]!r} {_times(twice)}; each may have one level")
    if _is_outside(level, 1, levels):
        one = frame.filter(~pl.col("level").is_between(1, levels)).row(0, named=True)
        raise FileFormatError(f"{what}: entity {one[ENTITY]!r} has level {one['level']}; there are 1 to {levels}")
    if needed and frame[moment].null_count():
        timeless = frame.filter(level.is_not_null() & frame[moment].is_null())[ENTITY]
        if len(timeless):
            raise FileFormatError(
                f"{what}: entity {timeless[0]!r} has a level without {moment}, the moment since when it is held"
            )


def _refuse_columns(what: str, frame: pl.DataFrame, moment: str) -> None:
    """Refuse missing columns and wrong types: a date read as microseconds would be in 1970, its cooldown long over."""
    missing = [name for name in (ENTITY, "level", moment) if name not in frame.columns]
    if missing:
        raise FileFormatError(f"{what} have no {', '.join(missing)}; there are {', '.join(frame.columns) or 'none'}")
    whole = "whole numbers"
    rights = {ENTITY: "text", "level": whole, moment: f"{whole}, microseconds UTC", "floor": whole, "hard_floor": whole}
    for name, right in rights.items():
        dtype = frame.schema.get(name, pl.Null())
        if not (dtype == pl.Null or (dtype == pl.String if name == ENTITY else dtype.is_integer())):
            raise FileFormatError(f"{what}: {name} is {dtype}; it must be {right}")


def _refuse_floors(what: str, frame: pl.DataFrame, levels: int) -> None:
    for name in ("floor", "hard_floor"):
        if name in frame.columns and _is_outside(frame[name], 0, levels):
            one = frame.filter(~pl.col(name).is_between(0, levels)).row(0, named=True)
            raise FileFormatError(
                f"{what}: entity {one[ENTITY]!r} has {name} {one[name]}; there are 1 to {levels}, 0 for none"
            )


def _is_outside(values: pl.Series, least: int, most: int) -> bool:
    lowest: Any = values.min()  # None without values, also in a column without a type
    highest: Any = values.max()
    return lowest is not None and not least <= lowest <= highest <= most


def _times(twice: pl.DataFrame) -> str:
    count = int((twice[ENTITY] == twice[ENTITY][0]).sum())
    return "twice" if count == 2 else f"{count} times"


def assess(
    analysed: AnalysedRuleset,
    portfolio: Portfolio,
    as_of: int | pl.Series,
    previous: pl.DataFrame | None = None,
    overrides: pl.DataFrame | None = None,
    *,
    ahead: bool = False,
) -> Assessments:
    """Assess every entity of a portfolio; one entity is a batch of one.

    Args:
        analysed: the ruleset.
        portfolio: the data.
        as_of: one moment for all (microseconds), or one for each row of the portfolio's entities.
        previous: `entity_id`, `level` (number), `entered` (microseconds): the rules levels held until now.
        overrides: `entity_id`, `level` (number), `until` (microseconds; null for no end).
        ahead: whether to find when time alone may next change each input, as `next_changes` needs it.

    Raises:
        InvalidRulesetError: the ruleset, or something that it needs (a list, a frame, a column), is missing or wrong;
            then no entity is assessed.
        FileFormatError: the rows of the entities are wrong, or one has no moment. Or in *previous* or *overrides* a
            column is missing or of another type, or an entity occurs twice, has a level that the ruleset lacks, or has
            a level without the moment at which it was entered.
    """
    analysed.require_usable()
    ruleset = analysed.ruleset
    if previous is not None:
        validate_held_levels("levels held until now", previous, len(ruleset.levels), "entered", needed=True)
    if overrides is not None:
        validate_held_levels("overrides", overrides, len(ruleset.levels), "until")
    entities = timed_entities(portfolio, as_of)
    parts = list(resolved_parts(analysed, Needs.of(analysed), portfolio, entities))
    outcomes = []
    for number, part in enumerate(parts):
        program = program_for(analysed, part.versions, portfolio.rates.base)
        frame = assess_inputs(program, part.inputs, previous, overrides)
        outcomes.append(frame.hstack([pl.Series(VERSIONS, [number], pl.Int32).new_from_index(0, len(frame))]))
    return Assessments(
        program=program_for(analysed, parts[0].versions, portfolio.rates.base),
        inputs=_joined(entities, [part.inputs for part in parts]),
        outcomes=_joined(entities, outcomes),
        versions=tuple(part.versions for part in parts),
        base=portfolio.rates.base,
        moments=_joined(entities, [part.moments() for part in parts]) if ahead else None,
    )


def timed_entities(portfolio: Portfolio, as_of: int | pl.Series) -> pl.DataFrame:
    """Return the entities as known at their moments; raises FileFormatError if rows are wrong, or one has no moment."""
    entities = known_entities(portfolio.entities, as_of)
    if entities[AS_OF].null_count():
        timeless = entities.filter(pl.col(AS_OF).is_null())[ENTITY][0]
        raise FileFormatError(f"entity {timeless!r} has no moment of assessment; every row needs one")
    return entities


@dataclass(frozen=True)
class ResolvedPart:
    """Entities for which the same versions of all lists are in force, with their inputs.

    Attributes:
        versions: the versions of the lists.
        inputs: a frame in the form of `risk.facts.inputs.resolve`.
        moments: computes when time alone may change each input, by `risk.facts.resolution.moments_ahead`.
    """

    versions: Mapping[str, ListVersion]
    inputs: pl.DataFrame
    moments: Callable[[], pl.DataFrame]


def resolved_parts(
    analysed: AnalysedRuleset, needs: Needs, portfolio: Portfolio, entities: pl.DataFrame
) -> Iterator[ResolvedPart]:
    """Resolve the inputs of every entity, in parts for which the same versions of all lists are in force.

    Args:
        analysed: the ruleset, with its lists and optional tables.
        needs: the inputs: mostly those of the ruleset.
        portfolio: the data.
        entities: the result of `timed_entities`.

    Raises:
        InvalidRulesetError: something needed (a list, a frame, a column) is missing.
    """
    portfolio = portfolio.with_optional_parts(analysed.ruleset)
    parts = list(_parts(entities, portfolio.lists, analysed))
    sources = lazy_sources(needs, portfolio)
    for part, versions in parts:
        members = {name: version.members for name, version in versions.items()}
        inputs = resolve_inputs(needs, portfolio, sources, members, part)
        moments = partial(moments_ahead, analysed, portfolio, sources, members, part, inputs)
        yield ResolvedPart(versions, inputs, moments)


def _joined(entities: pl.DataFrame, parts: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Join parts in the order of the entities."""
    if len(parts) == 1:
        return parts[0]
    together = pl.concat(parts, how="diagonal")
    return entities.select(ENTITY).join(together, on=ENTITY, how="left", maintain_order="left")


def _parts(
    entities: pl.DataFrame, lists: Mapping[str, NamedList], analysed: AnalysedRuleset
) -> Iterator[tuple[pl.DataFrame, Mapping[str, ListVersion]]]:
    """Split the entities into parts for which the same versions of all lists are in force; mostly there is one."""
    begins = {version.since for name in analysed.lists if name in lists for version in lists[name].versions}
    moments = entities[AS_OF]
    newest = max(begins, default=0)  # without entities the lists need only exist
    first = int(moments.min() if len(moments) else newest)  # type: ignore[arg-type]  # moments are whole numbers
    last = int(moments.max() if len(moments) else newest)  # type: ignore[arg-type]  # as above
    cuts = [first, *sorted(begin for begin in begins if first < begin <= last)]
    for cut, following in zip(cuts, [*cuts[1:], None], strict=True):
        inside = moments >= cut if following is None else (moments >= cut) & (moments < following)
        part = entities if len(cuts) == 1 else entities.filter(inside)
        if len(part) or len(cuts) == 1:
            yield part, members_at(lists, analysed.lists, cut, analysed.references)
