"""A compiled step that asks the outside: it waits for an outcome, and gives what came back."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import polars as pl

from fivefold.domain.canonical import canonical_json
from fivefold.flows.outside.outcomes import OutsideOutcome, fitted, held_value
from fivefold.flows.steps import CompiledStep, RowContext, RunContext
from fivefold.risk.compiler.value_types import DTYPES

CAME, FAILED, ASKS = range(3)
"""The codes of such a step."""


@dataclass(frozen=True, eq=False, kw_only=True)
class CompiledOutsideStep(CompiledStep):
    """A step that asks the outside.

    Its code is 0 after an outcome, 1 after a failure, and 2 until then.

    Attributes:
        choices: the texts that an output is limited to, by name.
    """

    choices: Mapping[str, tuple[str, ...]]

    @property
    def reads(self) -> tuple[str, ...]:
        """No column: the facts were sent before."""
        return ()

    @property
    def at_column(self) -> str:
        """The column of the time of the outcome (microseconds); null until there is one."""
        return f"{self.column} at"

    @property
    def source_column(self) -> str:
        """The column of the outcome's source."""
        return f"{self.column} source"

    @property
    def failed_column(self) -> str:
        """The column of why it failed; null if it did not."""
        return f"{self.column} failed"

    @property
    def reasons_column(self) -> str:
        """The column of an agent's reasons, as canonical JSON; null if there are none."""
        return f"{self.column} reasons"

    @property
    def model_column(self) -> str:
        """The column of the model that answered and why, as canonical JSON; null if no model was asked."""
        return f"{self.column} model"

    @cached_property
    def extra_columns(self) -> Mapping[str, Any]:
        """The columns beside the outputs, and their types."""
        texts = (self.source_column, self.failed_column, self.reasons_column, self.model_column)
        return {self.at_column: pl.Int64, **dict.fromkeys(texts, pl.String)}

    def row(self, outcome: OutsideOutcome | None) -> dict[str, Any]:
        """Return an outcome as the columns of one row; all of them null if there is none yet."""
        if outcome is None:
            return {
                **dict.fromkeys(column.name for column in self.outputs.values()),
                **dict.fromkeys(self.extra_columns),
            }
        outcome = fitted(outcome, self.outputs, self.choices)
        values = {
            column.name: held_value(outcome.values[name], column) if name in outcome.values else None
            for name, column in self.outputs.items()
        }
        reasons = outcome.as_json()["reasons"]
        return {
            **values,
            self.at_column: outcome.at_us,
            self.source_column: outcome.source,
            self.failed_column: outcome.failed,
            self.reasons_column: canonical_json(reasons) if reasons else None,
            self.model_column: None if outcome.model is None else canonical_json(outcome.model.as_json()),
        }

    def frame(self, outcomes: Iterable[OutsideOutcome | None]) -> pl.DataFrame:
        """Return the outcomes of rows as columns, for `RunContext.outcomes`."""
        schema = {column.name: DTYPES[column.kind] for column in self.outputs.values()} | dict(self.extra_columns)
        return pl.DataFrame([self.row(each) for each in outcomes], schema=schema, orient="row")

    def run(self, frame: pl.DataFrame, context: RunContext) -> tuple[pl.Series, list[pl.Series]]:
        """Look up the outcomes of every row."""
        outcomes = context.outcomes.get(self.identifier)
        if outcomes is None:
            outcomes = self.frame([None] * len(frame))
        code = (
            pl.when(pl.col(self.at_column).is_null())
            .then(ASKS)
            .when(pl.col(self.failed_column).is_not_null())
            .then(FAILED)
            .otherwise(CAME)
        )
        codes = outcomes.select(code.cast(pl.Int32).alias(self.column)).to_series()
        return codes, outcomes.get_columns()

    def run_row(self, row: dict[str, Any], context: RowContext) -> int:
        """Look up the outcome of one row."""
        values = self.row(context.outcomes.get(self.identifier))
        row |= values
        if values[self.at_column] is None:
            return ASKS
        return CAME if values[self.failed_column] is None else FAILED
