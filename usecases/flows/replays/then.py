"""Levels and answers as they were at an earlier moment: what a replay reads where a run reads what stands."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US
from fivefold.flows.outside.outcomes import OutsideOutcome, read_outcome
from fivefold.flows.outside.step import CompiledOutsideStep
from fivefold.flows.program import FlowProgram
from fivefold.flows.steps import RunContext
from fivefold.risk.facts.portfolio import ENTITY
from fivefold.store.flows.history import RecordedAnswer, levels_at
from fivefold.usecases.decisions.inputs import levels_of_rows
from fivefold.usecases.flows.runs.answers_of_shadows import asks_the_same
from fivefold.usecases.flows.runs.facts import FactsRead


def levels_then(session: Session, entity_ids: Sequence[int], at_us: int) -> pl.DataFrame:
    """Give the levels at a moment; how old one was is unknown where a later assessment took its place in the record."""
    levels_by_entity = {each.entity_id: each for each in levels_at(session, entity_ids, at_us)}
    rows = []
    for entity in entity_ids:
        row: dict[str, Any] = {ENTITY: str(entity)}
        if (then := levels_by_entity.get(entity)) is not None:
            age = None if then.assessed_us is None else (at_us - then.assessed_us) / DAY_US
            row |= {"in_force": then.level, "rules": then.rules_level, "status": then.status}
            row |= {"source": then.source, "age_days": age}
        rows.append(row)
    return levels_of_rows(rows)


@dataclass(frozen=True)
class AnswersKept:
    """What was answered before, by entity and cause, and by step."""

    by_key: Mapping[tuple[int, str], Mapping[str, RecordedAnswer]]

    def run_context(
        self, program: FlowProgram, read: FactsRead, keys: Mapping[int, tuple[int, str]]
    ) -> tuple[RunContext, dict[str, pl.Series]]:
        """Give what a program is run with, and by step for which rows something is there.

        Args:
            program: that is run.
            read: the facts, a row for each entity.
            keys: of each entity under what its answers stand in `by_key`.
        """
        entities = [int(each) for each in read.facts.own[ENTITY]]
        answers, outcomes, there = {}, {}, {}
        for name, recorded_answers in self._by_step(program.flow.canonical, entities, keys).items():
            step = program.steps[program.flow.positions[name]]
            if isinstance(step, CompiledOutsideStep):
                came: list[OutsideOutcome | None] = [
                    None if each is None else read_outcome(json.loads(each.outcome), step.outputs)
                    for each in recorded_answers
                ]
                outcomes[name] = came
            else:
                words = [None if each is None else json.loads(each.outcome)["answer"] for each in recorded_answers]
                answers[name] = pl.Series(name, words, dtype=pl.String)
            there[name] = pl.Series([each is not None for each in recorded_answers])
        return RunContext(read.facts.dependency_inputs, answers, program.outcome_frames(outcomes)), there

    def _by_step(
        self, canonical: str, entities: Sequence[int], keys: Mapping[int, tuple[int, str]]
    ) -> dict[str, list[RecordedAnswer | None]]:
        """Give the answers in the rows of entities, for steps at which the same was asked as is asked now."""
        answers_by_step: dict[str, list[RecordedAnswer | None]] = {}
        for row, entity in enumerate(entities):
            for name, each in self.by_key.get(keys[entity], {}).items():
                if asks_the_same(name, canonical, each.canonical):
                    answers_by_step.setdefault(name, [None] * len(entities))[row] = each
        return answers_by_step


def answers_kept(answers: Iterable[RecordedAnswer], *, by_cause: bool) -> AnswersKept:
    """Arrange answers by entity, and *by_cause*; of several at one step the last one counts."""
    answers_by_entity: dict[tuple[int, str], dict[str, RecordedAnswer]] = {}
    for each in answers:
        answers_by_entity.setdefault((each.entity_id, each.cause if by_cause else ""), {})[each.step] = each
    return AnswersKept(answers_by_entity)
