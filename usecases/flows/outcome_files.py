"""What came from outside as a file, so that flows which ask the outside can be run on files."""

import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl

from fivefold.domain.errors import ConfigError
from fivefold.domain.text import perhaps
from fivefold.flows.analysis import AnalysedFlow
from fivefold.flows.language import OutsideStep
from fivefold.flows.outside.outcomes import OutsideOutcome, fitted, read_outcome
from fivefold.risk.compiler.value_types import InputColumn, column_for
from fivefold.risk.language.policy import StepInput
from fivefold.usecases.portfolio_files.bundled import text_of


def read_outcomes(
    flow: AnalysedFlow, path: Path, entities: pl.Series, base: str
) -> dict[str, list[OutsideOutcome | None]]:
    """Read what came from outside, by the step and in the rows of entities.

    Each line is a JSON object: `entity_id`, `step`, and `values` by the name of the output or `failed` with the reason;
    `source` and `at_us` where they are known, as a run's record has them.

    ConfigError names the line that cannot be used.
    """
    columns = _columns(flow, base)
    rows = {entity: number for number, entity in enumerate(entities)}
    outcomes: dict[str, list[OutsideOutcome | None]] = {step: [None] * len(entities) for step in columns}
    for number, line in enumerate(text_of(path, str(path)).splitlines(), 1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        content = _object(line, where)
        entity, step = str(content.get("entity_id")), content.get("step")
        if step not in columns:
            there = ", ".join(columns) or "none"
            raise ConfigError(
                f"{where}: {step!r} asks nobody outside; steps that do are {there}{perhaps(str(step), columns)}"
            )
        if entity not in rows:
            raise ConfigError(f"{where} is about {entity!r}, which is no entity that was read")
        if outcomes[step][rows[entity]] is not None:
            raise ConfigError(f"{where}: entity {entity} has two outcomes at {step}")
        outcomes[step][rows[entity]] = _outcome(content, flow, columns[step], where)
    return outcomes


def _columns(flow: AnalysedFlow, base: str) -> dict[str, dict[str, InputColumn]]:
    return {
        step.id: {
            name: column_for(StepInput(step=step.id, output=name), flow.names, base) for name in step.asks.output_kinds
        }
        for step in flow.flow.steps
        if isinstance(step, OutsideStep)
    }


def _object(line: str, where: str) -> dict[str, Any]:
    try:
        content = json.loads(line, parse_float=Decimal)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{where} is no JSON: {error}") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{where} is no JSON object")
    return content


def _outcome(
    content: Mapping[str, Any], flow: AnalysedFlow, columns: Mapping[str, InputColumn], where: str
) -> OutsideOutcome:
    step = content["step"]
    choices = {name: output.choices for name, output in flow.names.outputs[step].items()}
    try:
        outcome = read_outcome({"source": "a file", "at_us": 0, **content}, columns)
    except (ValueError, TypeError, KeyError) as error:
        raise ConfigError(f"{where}: {error}") from None
    fitted_outcome = fitted(outcome, columns, choices)
    if fitted_outcome.failed != outcome.failed:
        raise ConfigError(f"{where}: {fitted_outcome.failed}")
    return fitted_outcome
