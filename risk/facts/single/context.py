"""The data of one entity, and the plan that computes its inputs: steps in order, each a plain function."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import polars as pl

from fivefold.risk.facts.inputs import Needs, own_fields, part_of
from fivefold.risk.facts.linked import FROM_THE_START, TIME, LinkedFacts
from fivefold.risk.facts.moments.indicators import IndicatorHistory, histories_of
from fivefold.risk.facts.portfolio import AS_OF, ENTITY, Portfolio
from fivefold.risk.facts.records import CLOSED, OPENED
from fivefold.risk.facts.single.facts import (
    SingleFacts,
    entering_of_columns,
    in_order,
    of_columns,
    of_records,
    rows_of_stored,
)
from fivefold.risk.facts.single.values import LeftToColumnsError, own_rows, plain_moments, plain_texts
from fivefold.risk.language.base import LanguageModel
from fivefold.risk.language.expressions import input_key
from fivefold.risk.language.fields import CASE_FIELDS, FieldType

Sources = Callable[[], Mapping[str, LinkedFacts]]
"""Prepares the linked facts as columns, once, when something needs them."""


@dataclass
class EntityContext:
    """What is known of one entity, and the values computed so far.

    Attributes:
        plan: the plan of its inputs.
        portfolio: the data.
        entities: the entity's row.
        sources: the linked facts as columns.
        values: the values computed so far, by the names of columns.
    """

    plan: "InputPlan"
    portfolio: Portfolio
    entities: pl.DataFrame
    sources: Sources
    values: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def entity(self) -> str:
        """The entity's identifier."""
        return str(self.entities[ENTITY][0])

    @cached_property
    def as_of(self) -> int:
        """The moment of assessment."""
        return int(self.entities[AS_OF][0])

    @cached_property
    def history(self) -> IndicatorHistory:
        """The history that its indicators are computed from."""
        return histories_of(self.portfolio, self.entities)[0]

    @cached_property
    def tags(self) -> Sequence[tuple[Any, ...]]:
        """Each tag with its beginning and end."""
        return self._recorded("tags", "tag", "from", "until")

    @cached_property
    def screenings(self) -> Sequence[tuple[Any, ...]]:
        """Each screening's subject, its moment and result."""
        frame = self.portfolio.screenings
        if frame is None or frame.schema.get("found") != pl.Boolean:
            raise LeftToColumnsError("found")
        rows = self._recorded("screenings", "screening", "at")
        results = own_rows(frame, self.entity)["found"].to_list()
        return [(*row, one) for row, one in zip(rows, results, strict=True)]

    def _recorded(self, part: str, word: str, *moments: str) -> Sequence[tuple[Any, ...]]:
        frame = getattr(self.portfolio, part)
        if word not in frame.columns:
            raise LeftToColumnsError(word)
        mine = own_rows(frame, self.entity)
        dates = [plain_moments(mine[name]) if name in mine.columns else [None] * len(mine) for name in moments]
        return list(zip(plain_texts(mine[word]), *dates, strict=True))

    @cached_property
    def pending(self) -> Mapping[str, Any] | None:
        """The entity's pending transaction, by its fields; None if it has none."""
        frame, declared = self.portfolio.pending, self.plan.declared("transactions")
        if frame is None or not self.portfolio.stored:
            raise LeftToColumnsError("pending")
        rows = rows_of_stored(frame, self.portfolio.rates, declared, self.entity)
        if len(rows) > 1:
            raise LeftToColumnsError("pending")
        return rows[0] if rows else None

    def facts(self, source: str) -> SingleFacts:
        """Return the facts of a source, read once."""
        if source not in self._facts:
            self._facts[source] = self._read(source)
        return self._facts[source]

    @cached_property
    def _facts(self) -> dict[str, SingleFacts]:
        return {}

    def _read(self, source: str) -> SingleFacts:
        frame, declared = getattr(self.portfolio, source), self.plan.declared(source)
        try:
            if source in _MARKS:
                return in_order(_MARKS[source](self), self.as_of)
            if source != "transactions":
                return of_records(frame, declared, self.entity, self.as_of)
            if self.portfolio.stored and isinstance(frame, pl.DataFrame):
                return in_order(rows_of_stored(frame, self.portfolio.rates, declared, self.entity), self.as_of)
        except LeftToColumnsError:
            pass
        return of_columns(self.sources()[source], self.entity, self.as_of)

    def enters(self, source: str) -> int | None:
        """Return the first moment after as-of at which a fact of a source appears or changes; None for none."""
        frame = getattr(self.portfolio, source)
        try:
            if source in _MARKS:
                moments = [at for row in getattr(self, source) for at in row[1:] if type(at) is int]
            elif source != "transactions":
                mine = own_rows(frame, self.entity)
                names = [name for name in (OPENED, CLOSED) if name in mine.columns]
                moments = [at for name in names for at in plain_moments(mine[name]) if at is not None]
            elif self.portfolio.stored and isinstance(frame, pl.DataFrame):
                moments = own_rows(frame, self.entity)[TIME].to_list()
            else:
                return entering_of_columns(self.sources()[source], self.entity, self.as_of)
        except LeftToColumnsError:
            return entering_of_columns(self.sources()[source], self.entity, self.as_of)
        return min((at for at in moments if at > self.as_of), default=None)


def _tags(context: EntityContext) -> list[dict[str, Any]]:
    """Return the tags that have not ended, as `risk.facts.records` does."""
    lasting = [each for each in context.tags if each[2] is None or each[2] > context.as_of]
    return [{"tag": tag, TIME: FROM_THE_START if begin is None else begin} for tag, begin, _ in lasting]


def _screenings(context: EntityContext) -> list[dict[str, Any]]:
    return [
        {"screening": looked_for, TIME: FROM_THE_START if at is None else at, "found": result}
        for looked_for, at, result in context.screenings
    ]


_MARKS: Mapping[str, Callable[[EntityContext], list[dict[str, Any]]]] = {"tags": _tags, "screenings": _screenings}


Step = Callable[[EntityContext], Any]
"""Computes the value of an input from those of its parts. Raises LeftToColumnsError if columns must be used."""


@dataclass(frozen=True, eq=False, kw_only=True)
class InputPlan:
    """How the inputs of one entity are computed, in order.

    Attributes:
        needs: the inputs.
        steps: the steps, by the name of the column.
        columns: the columns of the result, in order, with their types.
        batch_only: the inputs that have no plain form.
    """

    needs: Needs
    steps: Mapping[str, Step]
    columns: Mapping[str, Any]
    batch_only: tuple[LanguageModel, ...]

    def declared(self, source: str) -> Mapping[str, FieldType]:
        """Return the declared fields of a source, without the built-in ones."""
        if source == "transactions":
            return own_fields(self.needs.names)
        return {name: form for name, form in self.needs.names.case.items() if name not in CASE_FIELDS}

    @cached_property
    def parts(self) -> frozenset[str]:
        """The parts of a portfolio that are required."""
        return frozenset(part for each in self.needs.facts if (part := part_of(each)) is not None)

    @cached_property
    def left(self) -> Needs:
        """The inputs that have no plain form, which columns resolve."""
        keys = {input_key(each) for each in self.batch_only}
        signals = [each for each in self.needs.signals if input_key(each) in keys]
        return Needs(self.batch_only, signals, self.needs.names)

    def resolve(self, context: EntityContext, rest: Callable[[Needs], pl.DataFrame]) -> pl.DataFrame:
        """Resolve the inputs of one entity; *rest* computes the columns of those without a plain form."""
        if any(getattr(context.portfolio, part) is None for part in self.parts):
            raise LeftToColumnsError(*self.parts)  # the columns report what is missing
        columns, values = dict(self.columns), context.values
        values[ENTITY], values[AS_OF] = context.entity, context.as_of
        if self.batch_only:
            frame = rest(self.left)
            values |= frame.row(0, named=True)
            columns |= frame.schema
        for name, step in self.steps.items():
            values[name] = step(context)
        return pl.from_dicts([{name: values[name] for name in columns}], schema=columns)
