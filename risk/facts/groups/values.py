"""Values over linked entities: a number or an answer for each group, and the entities that it comes from."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

import polars as pl

from fivefold.risk.compiler.conditions import Compiler, Lists
from fivefold.risk.compiler.figures import is_money_in_fractions
from fivefold.risk.compiler.formulas import TooLargeError, exact_value, float_of
from fivefold.risk.compiler.value_types import (
    InputColumn,
    Vocabulary,
    column_for,
    inputs_of_group,
)
from fivefold.risk.facts.groups.links import Neighbourhood
from fivefold.risk.facts.portfolio import AS_OF, ENTITY, Portfolio, error_of, path_of
from fivefold.risk.facts.records import known_entities
from fivefold.risk.language.base import LanguageModel
from fivefold.risk.language.expressions import Linked, LinkedGroup, distinct, input_key
from fivefold.risk.language.fields import ValueType

SHOWN: Final = 5
"""Most linked entities, and most things that they share, that a breakdown names."""

_LARGEST: Final = 2**63 - 1
_WAVE: Final = "@wave"

Resolve = Callable[[Sequence[LanguageModel], pl.DataFrame], pl.DataFrame]
"""Resolves inputs for distinct entities: a column for each input, as `risk.facts.inputs.resolve` does."""

Moment = tuple[str, int]
"""An entity, and the moment as of which it is read."""


def entities_at(portfolio: Portfolio, moments: Sequence[Moment]) -> list[pl.DataFrame]:
    """Return known entities as of their moments, in frames in which each entity is once.

    An entity that is read as of several moments is in as many frames; no frame is empty.
    """
    entities = portfolio.entities if portfolio.everyone is None else portfolio.everyone
    entities = entities.with_columns(pl.col(ENTITY).cast(pl.String)).drop(AS_OF, strict=False)
    requests = pl.DataFrame(moments, schema={ENTITY: pl.String, AS_OF: pl.Int64}, orient="row")
    frames = []
    for wave in requests.with_columns(pl.int_range(pl.len()).over(ENTITY).alias(_WAVE)).partition_by(_WAVE):
        rows = entities.join(wave.select(ENTITY, AS_OF), on=ENTITY, how="inner", maintain_order="left")
        frame = known_entities(rows.drop(AS_OF), rows[AS_OF])
        frames += [frame] if len(frame) else []
    return frames


def inputs_of_linked(inputs: Iterable[LanguageModel]) -> list[LanguageModel]:
    """List the inputs that are read of linked entities, each once."""
    return distinct(each for one in inputs if isinstance(one, Linked) for each in inputs_of_group(one.linked))


@dataclass(frozen=True, kw_only=True)
class GroupReader:
    """Computes the values of groups.

    Attributes:
        names: the declared names.
        portfolio: the data.
        lists: members of the named lists.
        resolve: resolves the inputs of linked entities.
    """

    names: Vocabulary
    portfolio: Portfolio
    lists: Lists
    resolve: Resolve

    def columns(self, linked: Sequence[Linked], entities: pl.DataFrame) -> dict[str, dict[str, pl.Series]]:
        """Compute the columns of each input, by its key.

        Args:
            linked: the inputs.
            entities: `entity_id` (each once) and `as_of`.

        Returns:
            For each input the value by its key: Float64, for money Int64 of minor units (a mean Float64 of them),
            Boolean for `any`; null where unknown. `path_of` the key names the entities that it comes from, as
            `path_words` reads it; `error_of` the key what of the entity itself could not be read, if that is why the
            value is missing.
        """
        moments, neighbourhoods, rows, place = self._read(linked, entities)
        return {
            input_key(each): self._of(each, moments, neighbourhoods[input_key(each)], rows, place) for each in linked
        }

    def numbers(self, each: Linked, entities: pl.DataFrame) -> list[list[Fraction] | None]:
        """Return for each entity the exact numbers of the group's members that count; None where unknown."""
        moments, neighbourhoods, rows, place = self._read([each], entities)
        member = self._member(each.linked, rows)
        return [
            None if there.unknown else counted_numbers(_answers(each.linked, one, there, member, place))[0]
            for one, there in zip(moments, neighbourhoods[input_key(each)], strict=True)
        ]

    def _read(
        self, linked: Sequence[Linked], entities: pl.DataFrame
    ) -> tuple[list[Moment], dict[str, list[Neighbourhood]], pl.DataFrame, dict[Moment, int]]:
        """Find the entities linked to each entity, by each input, and resolve what is read of them."""
        moments: list[Moment] = list(zip(entities[ENTITY].to_list(), entities[AS_OF].to_list(), strict=True))
        neighbourhoods = {
            input_key(each): [self._neighbourhood(one, each.linked) for one in moments] for each in linked
        }
        needed = {
            (member, as_of): None
            for each in linked
            for (entity, as_of), there in zip(moments, neighbourhoods[input_key(each)], strict=True)
            for member in in_group(each.linked, entity, there)
        }
        inputs = inputs_of_linked(linked)
        rows, place = self._rows(inputs, list(needed)) if inputs else (pl.DataFrame(), dict[Moment, int]())
        return moments, neighbourhoods, rows, place

    def _neighbourhood(self, moment: Moment, group: LinkedGroup) -> Neighbourhood:
        links = self.portfolio.links
        assert links is not None  # a missing table was refused before
        return links.neighbourhood(*moment, group, self.names.links[group.by])

    def _rows(
        self, inputs: Sequence[LanguageModel], moments: Sequence[Moment]
    ) -> tuple[pl.DataFrame, dict[Moment, int]]:
        """Resolve what is read of entities as of their moments; an unknown entity has no row."""
        frames = [self.resolve(inputs, entities) for entities in entities_at(self.portfolio, moments)]
        together = pl.concat(frames, how="diagonal_relaxed") if frames else pl.DataFrame()
        names = together.select(ENTITY, AS_OF).iter_rows() if frames else ()
        return together, {(str(entity), int(as_of)): place for place, (entity, as_of) in enumerate(names)}

    def _of(
        self,
        each: Linked,
        moments: Sequence[Moment],
        neighbourhoods: Sequence[Neighbourhood],
        rows: pl.DataFrame,
        place: Mapping[Moment, int],
    ) -> dict[str, pl.Series]:
        group, key = each.linked, input_key(each)
        member, own_error = self._member(group, rows), _errors(rows, inputs_of_group(group))
        values: list[Fraction | bool | None] = []
        paths, errors = [], []
        for one, there in zip(moments, neighbourhoods, strict=True):
            answers = _answers(group, one, there, member, place)
            value, names = _value(group, answers)
            if there.unknown and value is not True:
                value = None
            values.append(value)
            errors.append(own_error[place[one]] if value is None and one[0] in names and one in place else None)
            counted = None if group.where is None else [name for name, (counts, _) in answers if counts]
            paths.append(_path(there, value, names, counted))
        columns = {key: self._column(each, values), path_of(key): pl.Series(paths, dtype=pl.String)}
        return columns | ({error_of(key): pl.Series(errors, dtype=pl.String)} if any(errors) else {})

    def _member(self, group: LinkedGroup, rows: pl.DataFrame) -> "_Member":
        return _Member(self._truths(group.where, rows), self._truths(group.any, rows), self._numbers(group, rows))

    def _column(self, each: Linked, values: Sequence[Fraction | bool | None]) -> pl.Series:
        column = column_for(each, self.names, self.portfolio.rates.base)
        if column.kind is ValueType.FLAG:
            return pl.Series(values, dtype=pl.Boolean)
        is_whole = column.kind is ValueType.MONEY and not is_money_in_fractions(each)
        exact = [None if value is None else Fraction(value) * column.units for value in values]
        written = [None if value is None else _written(value, whole=is_whole) for value in exact]
        return pl.Series(written, dtype=pl.Int64 if is_whole else pl.Float64)

    def _truths(self, condition: Any, rows: pl.DataFrame) -> list[bool | None] | None:
        """Evaluate a condition for every row; None if there is no condition."""
        if condition is None:
            return None
        compiled = Compiler(self._resolved, self.lists).condition(condition)
        return _readable(rows, condition_inputs(condition)).select(compiled).to_series().to_list() if len(rows) else []

    def _resolved(self, rule_input: LanguageModel) -> InputColumn:
        return column_for(rule_input, self.names, self.portfolio.rates.base)

    def _numbers(self, group: LinkedGroup, rows: pl.DataFrame) -> list[Fraction | None] | None:
        """Return the exact number of every row for a group's part; None if the group has none."""
        if group.part is None:
            return None
        if not len(rows):
            return []
        column = self._resolved(group.part)
        read = exact_value(group.part, column.kind, column.units)
        return [
            None if value is None else read(value)
            for value in _readable(rows, [group.part])[input_key(group.part)].to_list()
        ]


def condition_inputs(condition: Any) -> list[LanguageModel]:
    """List the inputs of a condition."""
    return list(inputs_of_group(LinkedGroup.model_construct(by="", any=condition)))


def _readable(rows: pl.DataFrame, inputs: Iterable[LanguageModel]) -> pl.DataFrame:
    """Make unreadable values unknown: their error concerns their own entity, and no other."""
    wrong = {key: error_of(key) for key in map(input_key, inputs) if error_of(key) in rows.columns}
    return rows.with_columns(
        pl.when(pl.col(error).is_null()).then(pl.col(key)).alias(key) for key, error in wrong.items()
    )


def _errors(rows: pl.DataFrame, inputs: Iterable[LanguageModel]) -> list[str | None]:
    """Return the first error of some inputs in every row; None if there is none."""
    wrong = [error for key in map(input_key, inputs) if (error := error_of(key)) in rows.columns]
    return rows.select(pl.coalesce(wrong)).to_series().to_list() if wrong else [None] * len(rows)


def in_group(group: LinkedGroup, entity: str, neighbourhood: Neighbourhood) -> tuple[str, ...]:
    """Return the entities that a value is computed from; with unknown members, only `any` has some."""
    if neighbourhood.unknown and group.any is None:
        return ()
    return (entity, *neighbourhood.members) if group.itself else neighbourhood.members


@dataclass(frozen=True)
class _Member:
    """What is known of linked entities, row by row; None for what the group does not read."""

    where: list[bool | None] | None
    any: list[bool | None] | None
    number: list[Fraction | None] | None

    def at(self, place: int | None) -> tuple[bool | None, Any]:
        """Return whether one entity counts, and its result; unknown if it has no row."""
        counts: bool | None = True
        if self.where is not None:
            counts = None if place is None else self.where[place]
        answers = self.any if self.any is not None else self.number
        return counts, None if answers is None or place is None else answers[place]


_Answers = Sequence[tuple[str, tuple[bool | None, Any]]]
"""The members of a group, each with whether it counts, and its result."""


def _answers(
    group: LinkedGroup, moment: Moment, neighbourhood: Neighbourhood, member: _Member, place: Mapping[Moment, int]
) -> _Answers:
    entity, as_of = moment
    return [(one, member.at(place.get((one, as_of)))) for one in in_group(group, entity, neighbourhood)]


def _value(group: LinkedGroup, members: _Answers) -> tuple[Fraction | bool | None, list[str]]:
    """Compute the result of a group, None where unknown.

    The second part names the entities whose unknown data are the reason, or those that meet the condition.
    """
    if group.count is not None:
        unknown = [one for one, (counts, _) in members if counts is None]
        return (None, unknown) if unknown else (Fraction(sum(bool(counts) for _, (counts, _) in members)), [])
    if group.any is not None:
        answers = [(one, False if False in answer else None if None in answer else True) for one, answer in members]
        met = [one for one, answer in answers if answer]
        if met:
            return True, met
        unknown = [one for one, answer in answers if answer is None]
        return (None, unknown) if unknown else (False, [])
    numbers, unknown = counted_numbers(members)
    if not numbers:
        return (Fraction(0) if numbers is not None and group.sum is not None else None), unknown
    return made_of(group.word, numbers), []


def counted_numbers(members: _Answers) -> tuple[list[Fraction] | None, list[str]]:
    """Return the numbers of the members that count; None if one is unknown, and the unknown members."""
    counted = [(one, counts, number) for one, (counts, number) in members if counts is not False]
    unknown = [one for one, counts, number in counted if counts is None or number is None]
    return (None, unknown) if unknown else ([number for _, _, number in counted], [])


def made_of(word: str, numbers: Sequence[Fraction]) -> Fraction:
    """Combine the numbers of a group, at least one, by the group's word."""
    return _MADE[word](numbers)


_MADE: Mapping[str, Callable[[Sequence[Fraction]], Fraction]] = {
    "sum": lambda numbers: sum(numbers, Fraction(0)),
    "mean": lambda numbers: sum(numbers, Fraction(0)) / len(numbers),
    "min": min,
    "max": max,
}


def _written(exact: Fraction, *, whole: bool) -> float | int | None:
    """Convert a number to its stored form; None if it is too large."""
    if whole:
        return int(exact) if abs(exact) <= _LARGEST else None
    return float_or_none(exact)


def float_or_none(exact: Fraction) -> float | None:
    """Return the float for an exact number; None if it is too large."""
    try:
        return float_of(exact)
    except TooLargeError:
        return None


def _path(
    neighbourhood: Neighbourhood, value: Fraction | bool | None, names: Sequence[str], counted: Sequence[str] | None
) -> str:
    """Write the entities that a value comes from: how many, the first, what they share, and those that `_value` names.

    *counted* are the members that meet `where`; None if there is no `where`. They are not written if a member is
    unknown, or a condition is met, as those members are named then.
    Only what the entity itself shares is named, not what others share among them.
    """
    content: dict[str, Any] = {
        "of": len(neighbourhood.members),
        "who": neighbourhood.members[:SHOWN],
        "by": neighbourhood.through[:SHOWN],
    }
    why = {"why": neighbourhood.unknown} | ({"not": [neighbourhood.whose]} if neighbourhood.whose else {})
    if value is True:
        content |= {"met": names[:SHOWN], "mets": len(names)} | (why if neighbourhood.unknown else {})
    elif neighbourhood.unknown:
        content = why
    elif names:
        content |= {"not": names[:SHOWN], "nots": len(names)}
    elif counted is not None:
        content |= {"counts": len(counted), "counted": counted[:SHOWN]}
    return json.dumps(content, sort_keys=True, separators=(",", ":"))
