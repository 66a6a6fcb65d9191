"""Runs as far as a role may see them: who sees no versions of flows reads what was seen, and no condition."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy.orm import Session

from fivefold.domain.paging import Page
from fivefold.flows.analysis import AnalysedFlow
from fivefold.flows.choices import step_without_conditions, words_without_conditions
from fivefold.risk.engine.explain.describe import input_words
from fivefold.risk.facts.inputs import parts_of
from fivefold.store.flows.runs import run_numbered
from fivefold.usecases.flows.runs.outcomes import version_kept
from fivefold.usecases.flows.runs.reading import RunLine, RunView
from fivefold.usecases.levels.explain import input_named
from fivefold.usecases.shared.actors import OF_VERSIONS, Role
from fivefold.usecases.shared.context import Context


def runs_seen_by(role: Role, runs: Page[RunLine]) -> Page[RunLine]:
    """Give runs as a role may see them in a list."""
    return runs if role in OF_VERSIONS else runs.map(lambda run: replace(run, error=_of_error(run.error)))


def run_seen_by(context: Context, role: Role, run: RunView) -> RunView:
    """Give a run as a role may see it: conditions, and those within inputs, are for who sees versions of flows.

    Args:
        context: whose run it is.
        role: of who looks at it.
        run: as it was read.
    """
    if role in OF_VERSIONS:
        return run
    run = replace(run, error=_of_error(run.error))
    if run.why is None:
        return run
    with context.reading() as session:
        names = _inputs_renamed(session, context.organisation_id, run.number)
    why = _renamed({**run.why, "line": words_without_conditions(run.why["line"]), "steps": _steps(run.why)}, names)
    look_at = () if run.question is None else tuple(_renamed(each, names) for each in run.question.look_at)
    question = None if run.question is None else replace(run.question, look_at=look_at)
    return replace(run, why=why, question=question)


def _of_error(error: str | None) -> str | None:
    return None if error is None else words_without_conditions(error)


def _steps(why: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [step_without_conditions(step) for step in why["steps"]]


def _inputs_renamed(session: Session, organisation_id: int, number: int) -> dict[str, str]:
    """Give the words of the inputs that have conditions within, the longest first, and what to say in their place."""
    run = run_numbered(session, organisation_id, number)
    if run.inputs is None:
        return {}
    analysed = version_kept(session, run.version_id, json.loads(run.inputs)).analysed
    names = {input_words(each): input_named(each) for each in _inputs(analysed)}
    return {words: names[words] for words in sorted(names, key=len, reverse=True) if words != names[words]}


def _inputs(analysed: AnalysedFlow) -> Iterator[Any]:
    for each in analysed.inputs:
        yield from (each, *parts_of(each, analysed.names))
    for inner in analysed.flows.values():
        yield from _inputs(inner)


def _renamed(told: Any, names: Mapping[str, str]) -> Any:
    """Put other names of inputs into all texts of plain data."""
    if isinstance(told, str):
        for words, other in names.items():
            told = told.replace(words, other)
        return told
    if isinstance(told, Mapping):
        return {key: _renamed(each, names) for key, each in told.items()}
    return [_renamed(each, names) for each in told] if isinstance(told, list) else told
