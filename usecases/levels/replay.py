"""Replay: make a stored assessment again from what was kept of it, and compare the bytes."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

import polars as pl
from sqlalchemy.orm import Session

from fivefold.domain.errors import ConflictError
from fivefold.risk.compiler.analysis import analyse_canonical
from fivefold.risk.engine.assessments import VERSIONS, Assessments
from fivefold.risk.engine.explain.breakdown import as_json_text, explain
from fivefold.risk.engine.explain.stored import WORDS
from fivefold.risk.engine.outcomes import assess_inputs
from fivefold.risk.engine.program import program_for
from fivefold.risk.facts.portfolio import ListVersion
from fivefold.store.accounts.lists import list_rows
from fivefold.store.rulesets.rulesets import canonicals_of
from fivefold.store.tables.levels import Assessment
from fivefold.usecases.levels.content.breakdowns import breakdown_text, gone_text, inputs_of, words_of_breakdown
from fivefold.usecases.levels.content.inputs import inputs_frame, override_of, previous_of
from fivefold.usecases.levels.persist import ENGINE
from fivefold.usecases.levels.read import find_assessment
from fivefold.usecases.shared.context import Context

WORDS_WITHOUT_NUMBER: Final = 3
"""Of the words of decisions and of runs of flows that name none: programs of before stored them."""
_EXPLAINED: Final = ("rules", "steps", "inner")
"""Where the answer of a decision or of a run has the explanations of its parts."""


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """What became of a replay.

    Attributes:
        same: the very same bytes came out; of a decision or a run in other words, the same but for these.
        stored: the breakdown of what is stored, canonical JSON; of a decision or a run its answer.
        breakdown_now: the one that was made now.
        engine: the version of the engine that made the stored one; now it is `ENGINE`.
        words: the number of the words that it had then; None where the text of a breakdown is stored. Now it is
            `WORDS`.
    """

    assessment: str
    same: bool
    stored: str
    breakdown_now: str
    engine: str
    engine_now: str = ENGINE
    words: int | None = None
    words_now: int = WORDS

    @property
    def in_other_words(self) -> bool:
        """Whether it was in other words when it was made; the breakdown of an assessment is shown in those of now."""
        return self.words not in {None, self.words_now}


def replayed_answer(name: str, stored: str, answer_now: str, engine_now: str, worded: Collection[str]) -> Replayed:
    """Compare the answer that is stored of a decision or a run with the one that was made now.

    Args:
        name: of the decision or the run.
        stored: the answer, canonical JSON.
        answer_now: the one that was made now.
        engine_now: the version of the engine that made that.
        worded: the keys of what is in words. Where the stored answer has words of another number, these are not
            compared: all else must be the same.
    """
    answer, now = json.loads(stored), json.loads(answer_now)
    words = answer.get("words", WORDS_WITHOUT_NUMBER)
    same = stored == answer_now if words == WORDS else _unworded(answer, worded) == _unworded(now, worded)
    return Replayed(
        assessment=name,
        same=same,
        stored=stored,
        breakdown_now=answer_now,
        engine=answer["engine"],
        engine_now=engine_now,
        words=words,
    )


def _unworded(answer: Mapping[str, Any], worded: Collection[str]) -> dict[str, Any]:
    """Leave out of an answer, and of the explanations in it, what is in words."""
    return {
        key: [_unworded(part, worded) for part in value] if key in _EXPLAINED else value
        for key, value in answer.items()
        if key not in {*worded, "words"}
    }


def replay_assessment(context: Context, name: str) -> Replayed:
    """Make an assessment, such as 12.3, again from its recorded inputs and versions.

    What comes out is compared with the breakdown of what was recorded to have come out, to the byte.

    Raises:
        NotFoundError: there is no such assessment.
        ConflictError: what it was made from was erased, or no ruleset took part in it.
    """
    with context.reading() as session:
        assessment = find_assessment(session, context.actor, name)
        stored, recorded_inputs = breakdown_text(session, assessment), inputs_of(session, assessment)
        if stored is None or recorded_inputs is None:
            raise ConflictError(f"assessment {name} {gone_text(session, assessment)}: what it was made from is gone")
        ruleset_hash = json.loads(stored).get("content_hash")
        if ruleset_hash is None:
            raise ConflictError(
                f"no ruleset was active when assessment {name} was made: there is nothing to make again"
            )
        replayed = made_again(session, assessment, ruleset_hash, recorded_inputs)
        return Replayed(
            assessment=name,
            same=replayed == stored,
            stored=stored,
            breakdown_now=replayed,
            engine=assessment.engine,
            words=words_of_breakdown(assessment),
        )


def list_versions_used(session: Session, organisation_id: int, used: Mapping[str, int]) -> dict[str, ListVersion]:
    """Read the versions of lists that were used; lists are added to, and never changed."""
    return {
        row.name: ListVersion(since=row.since_us, members=tuple(row.members), source=row.source)
        for row in list_rows(session, organisation_id)
        if used.get(row.name) == row.since_us
    }


def made_again(session: Session, assessment: Assessment, ruleset_hash: str, recorded_inputs: Mapping[str, Any]) -> str:
    """Write the breakdown that an assessment by a ruleset has with some inputs, canonical JSON."""
    entity, base = str(assessment.entity_id), recorded_inputs["base"]
    canonical = canonicals_of(session, assessment.organisation_id, [ruleset_hash])[ruleset_hash]
    versions = list_versions_used(session, assessment.organisation_id, recorded_inputs["lists"])
    program = program_for(analyse_canonical(canonical), versions, base)
    inputs = inputs_frame(recorded_inputs, assessment.as_of_us, entity)
    previous_and_override = (
        previous_of(recorded_inputs["previous"], entity),
        override_of(recorded_inputs["override"], entity),
    )
    outcomes = assess_inputs(program, inputs, *previous_and_override).with_columns(pl.lit(0, pl.Int32).alias(VERSIONS))
    return as_json_text(
        explain(Assessments(program=program, inputs=inputs, outcomes=outcomes, versions=(versions,), base=base), 0)
    )
