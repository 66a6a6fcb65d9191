"""Replay: make a stored assessment again from its recorded inputs, and compare the bytes."""

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
"""The version of the words in stored answers of decisions and runs that name none, as older programs wrote them."""
_EXPLAINED: Final = ("rules", "steps", "inner")
"""The keys under which the answer of a decision or a run has the explanations of its parts."""


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """The result of a replay.

    Attributes:
        same: whether the bytes are the same; for a decision or a run in other words, the same apart from these.
        stored: the stored breakdown, canonical JSON; for a decision or a run its answer.
        breakdown_now: the breakdown or answer made now.
        engine: the version of the engine that made the stored one; now it is `engine_now`.
        words: the version of the words then; None where a breakdown is stored as text. Now it is `words_now`.
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
        """Whether it was made in other words; the breakdown of an assessment is shown in today's words."""
        return self.words not in {None, self.words_now}


def replayed_answer(name: str, stored: str, answer_now: str, engine_now: str, worded: Collection[str]) -> Replayed:
    """Compare the stored answer of a decision or a run with the one made now.

    Args:
        name: the name of the decision or the run.
        stored: the stored answer, canonical JSON.
        answer_now: the answer made now.
        engine_now: the version of the engine that made it.
        worded: the keys of values in words. If the stored answer has another version of the words, these are not
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
    """Return an answer, and the explanations in it, without what is in words."""
    return {
        key: [_unworded(part, worded) for part in value] if key in _EXPLAINED else value
        for key, value in answer.items()
        if key not in {*worded, "words"}
    }


def replay_assessment(context: Context, name: str) -> Replayed:
    """Make an assessment, such as 12.3, again from its recorded inputs and versions.

    The breakdown made now is compared with the stored one, to the byte.

    Raises:
        NotFoundError: there is no such assessment.
        ConflictError: its inputs were erased, or no ruleset took part in it.
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
    """Read the versions of lists that were used; versions are added, and never changed."""
    return {
        row.name: ListVersion(since=row.since_us, members=tuple(row.members), source=row.source)
        for row in list_rows(session, organisation_id)
        if used.get(row.name) == row.since_us
    }


def made_again(session: Session, assessment: Assessment, ruleset_hash: str, recorded_inputs: Mapping[str, Any]) -> str:
    """Return the breakdown that a ruleset gives an assessment from recorded inputs, as canonical JSON."""
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
