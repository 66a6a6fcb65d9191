"""Levels, answers and members of groups at an earlier moment, for replays; a run reads the present ones instead."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US, day_text
from fivefold.domain.text import count_text
from fivefold.flows.outside.outcomes import OutsideOutcome, read_outcome
from fivefold.flows.outside.step import CompiledOutsideStep
from fivefold.flows.program import FlowProgram
from fivefold.flows.steps import RunContext
from fivefold.risk.facts.portfolio import ENTITY
from fivefold.store.erasure.retention_runs import moves_removed_before
from fivefold.store.flows.history import RecordedAnswer, levels_at
from fivefold.store.groups.groups import in_force_since
from fivefold.store.groups.members import KeptMove, moves_kept
from fivefold.store.tables.entities import EntityType
from fivefold.usecases.decisions.inputs import levels_of_rows
from fivefold.usecases.flows.runs.facts import FactsRead
from fivefold.usecases.flows.runs.shadows import asks_the_same


def levels_then(session: Session, entity_ids: Sequence[int], at_us: int) -> pl.DataFrame:
    """Return the levels at a moment; the age of one is unknown if a later assessment took its place in the record."""
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
    """Earlier answers, by entity and cause, and by step."""

    by_key: Mapping[tuple[int, str], Mapping[str, RecordedAnswer]]

    def run_context(
        self, program: FlowProgram, read: FactsRead, keys: Mapping[int, tuple[int, str]]
    ) -> tuple[RunContext, dict[str, pl.Series]]:
        """Return the context to run a program with, and, by step, which rows have an answer.

        Args:
            program: the program to run.
            read: the facts, a row for each entity.
            keys: by entity, the key of its answers in `by_key`.
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
        """Return answers in the order of entities, for steps that asked the same then as they ask now."""
        answers_by_step: dict[str, list[RecordedAnswer | None]] = {}
        for row, entity in enumerate(entities):
            for name, each in self.by_key.get(keys[entity], {}).items():
                if asks_the_same(name, canonical, each.canonical):
                    answers_by_step.setdefault(name, [None] * len(entities))[row] = each
        return answers_by_step


def answers_kept(answers: Iterable[RecordedAnswer], *, by_cause: bool) -> AnswersKept:
    """Group answers by entity, and *by_cause*; of several at one step the last one counts."""
    answers_by_entity: dict[tuple[int, str], dict[str, RecordedAnswer]] = {}
    for each in answers:
        answers_by_entity.setdefault((each.entity_id, each.cause if by_cause else ""), {})[each.step] = each
    return AnswersKept(answers_by_entity)


@dataclass(frozen=True)
class MembersThen:
    """The members of groups over time.

    Attributes:
        moves: of each group and entity, the stored moves in their order.
        all_kept_from_us: the moment from which on every move is stored.
        unknown: by entity, the groups that were queried for a moment at which membership is unknown.
    """

    moves: Mapping[tuple[str, int], Sequence[KeptMove]]
    all_kept_from_us: int
    unknown: dict[int, set[str]] = field(default_factory=dict)

    def was_member(self, group: str, entity_id: int, at_us: int) -> bool | None:
        """Return whether an entity was a member of a group at a moment; None if that is no longer known.

        Before its first move an entity is not a member, and moves lead in and out by turns.
        """
        moves = self.moves.get((group, entity_id), ())
        for move in reversed(moves):
            if move.at_us <= at_us:
                return move.entered
        if not moves or moves[0].number == 1:
            return False
        if at_us >= self.all_kept_from_us:
            return not moves[0].entered
        self.unknown.setdefault(entity_id, set()).add(group)
        return None

    def would_run(self, groups: Collection[str] | None, entity_id: int, at_us: int) -> bool:
        """Return whether an entity is known to have been a member of one of some groups; None stands for everybody."""
        if groups is None:
            return True
        were = [
            self.was_member(group, entity_id, at_us) for group in groups
        ]  # for each group, so that all unknown ones are noted
        return True in were


def read_members_then(
    session: Session, type_id: int, groups: Collection[str], entity_ids: Sequence[int]
) -> MembersThen:
    """Read the members of some groups of a type over time; reads nothing for no groups."""
    if not groups:
        return MembersThen({}, 0)
    organisation_id = session.get_one(EntityType, type_id).organisation_id
    moves = moves_kept(session, type_id, sorted(groups), entity_ids)
    before_us = moves_removed_before(session, organisation_id)  # read last, as some may go meanwhile
    return MembersThen(moves, before_us or 0)


def notes_of_members(
    session: Session, type_id: int, groups: Collection[str], begins_us: int, unknown: Mapping[str, int]
) -> list[str]:
    """Describe what is unknown about members, or what people may not expect.

    Args:
        session: to read with.
        type_id: the type of the groups.
        groups: the groups whose members matter.
        begins_us: the first moment at which they matter.
        unknown: by group, for how many entities membership is unknown for some of the time.
    """
    since = in_force_since(session, type_id, sorted(groups))
    notes = []
    for group in sorted(groups):
        if group not in since:
            notes.append(f"The group {group} was never in force, so it had no members.")
        elif begins_us < since[group]:
            day = day_text(since[group])
            notes.append(f"The group {group} came into force on {day}; before that it had no members.")
    for group, count in sorted(unknown.items()):
        notes.append(
            f"Of {count_text(count, 'customer')} it is not known for all of the time whether they were members of"
            f" {group}, as the retention policy removed moves of then; where it is not known, nothing is run for them."
        )
    return notes
