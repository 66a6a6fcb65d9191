"""Replay: make a stored assessment again from what was kept of it, and compare the bytes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl
from sqlalchemy import select
from sqlalchemy.orm import Session

from fivefold.domain.errors import ConflictError
from fivefold.risk.compiler.analysis import AnalysedRuleset, analyse_canonical
from fivefold.risk.engine.assessments import VERSIONS, Assessments
from fivefold.risk.engine.explain.breakdown import as_json_text, explain
from fivefold.risk.engine.outcomes import assess_inputs
from fivefold.risk.engine.program import program_for
from fivefold.risk.facts.portfolio import ENTITY, ListVersion
from fivefold.store.accounts.lists import list_rows
from fivefold.store.tables.levels import AssessmentInputs
from fivefold.store.tables.rulesets import RulesetVersion
from fivefold.usecases.levels.persist import ENGINE
from fivefold.usecases.levels.read import find_assessment
from fivefold.usecases.levels.records import previous_of, read_inputs
from fivefold.usecases.shared.context import Context


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """What became of a replay.

    Attributes:
        same: the very same bytes came out.
        stored: the breakdown that is stored, canonical JSON.
        made: the one that was made now.
        engine: the version of the engine that made the stored one; now it is `ENGINE`.
    """

    assessment: str
    same: bool
    stored: str
    breakdown_now: str
    engine: str
    engine_now: str = ENGINE


def replay_assessment(context: Context, name: str) -> Replayed:
    """Make an assessment, such as 12.3, again from its recorded inputs and versions.

    Raises:
        NotFoundError: there is no such assessment.
        ConflictError: what it was made from was erased, or no ruleset took part in it.
    """
    with context.reading() as session:
        assessment = find_assessment(session, context.actor, name)
        content = session.get_one(AssessmentInputs, (assessment.entity_id, assessment.number)).content
        if assessment.breakdown is None or content is None:
            raise ConflictError(f"assessment {name} was erased: what it was made from is gone")
        ruleset_hash = json.loads(assessment.breakdown).get("content_hash")
        if ruleset_hash is None:
            raise ConflictError(
                f"no ruleset was active when assessment {name} was made: there is nothing to make again"
            )
        canonical = session.scalars(
            select(RulesetVersion.canonical)
            .where(
                RulesetVersion.organisation_id == context.organisation_id, RulesetVersion.content_hash == ruleset_hash
            )
            .limit(1)
        ).one()
        inputs, replay_inputs = read_inputs(content, assessment.as_of_us, str(assessment.entity_id))
        versions = list_versions_used(session, context.organisation_id, replay_inputs["lists"])
        replayed = _assessed(analyse_canonical(canonical), versions, inputs, replay_inputs)
        return Replayed(
            assessment=name,
            same=replayed == assessment.breakdown,
            stored=assessment.breakdown,
            breakdown_now=replayed,
            engine=assessment.engine,
        )


def list_versions_used(session: Session, organisation_id: int, used: Mapping[str, int]) -> dict[str, ListVersion]:
    """Read the versions of lists that were used; lists are added to, and never changed."""
    return {
        row.name: ListVersion(since=row.since_us, members=tuple(row.members), source=row.source)
        for row in list_rows(session, organisation_id)
        if used.get(row.name) == row.since_us
    }


def _assessed(
    analysed: AnalysedRuleset, versions: dict[str, ListVersion], inputs: pl.DataFrame, replay_inputs: dict[str, Any]
) -> str:
    program = program_for(analysed, versions, replay_inputs["base"])
    previous = previous_of(replay_inputs["previous"], inputs[ENTITY][0])
    override = override_of(inputs, replay_inputs["override"])
    outcomes = assess_inputs(program, inputs, previous, override).with_columns(pl.lit(0, pl.Int32).alias(VERSIONS))
    return as_json_text(
        explain(Assessments(program, inputs, outcomes, versions=(versions,), base=replay_inputs["base"]), 0)
    )


def override_of(inputs: pl.DataFrame, pair: list[int | None] | None) -> pl.DataFrame | None:
    """Give an override, as it was kept, in the frame that the engine reads; None for nothing."""
    if pair is None:
        return None
    schema = {ENTITY: pl.String, "level": pl.Int64, "until": pl.Int64}
    return pl.DataFrame([(inputs[ENTITY][0], *pair)], schema=schema, orient="row")
