"""Stores assessments, and with them current levels, transitions, events for webhooks, and the next due time."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import attrgetter
from typing import Any, Final, cast

import polars as pl
from sqlalchemy import Table, delete, select
from sqlalchemy.orm import Session

from fivefold.domain.canonical import canonical_json
from fivefold.domain.clock import utc_text
from fivefold.risk.engine.assessments import Status
from fivefold.risk.facts.portfolio import ENTITY
from fivefold.store.accounts.organisation import levels_of
from fivefold.store.audit import history
from fivefold.store.audit.standings import COLUMNS, with_standing
from fivefold.store.flows.runs import has_listeners
from fivefold.store.ingest.blocks import store_blocks
from fivefold.store.ingest.entities import lock_entities
from fivefold.store.ingest.tags import ReachedEnd, planned_ends
from fivefold.store.levels import leases as claims
from fivefold.store.levels.assessment_queue import NO_FLOW, Origin, Reason, caused_by_flows, keep_people
from fivefold.store.levels.champions import value_again
from fivefold.store.levels.layouts import add_layouts, layout_name
from fivefold.store.levels.leases import LeasedBatch
from fivefold.store.levels.levels import assessed_us
from fivefold.store.levels.overrides import people_of_ended
from fivefold.store.levels.summaries import store_summaries
from fivefold.store.sql.statements import put_rows, write_rows
from fivefold.store.tables.entities import Entity, EntityType, ValueScore
from fivefold.store.tables.flows import FLOW_ACTOR
from fivefold.store.tables.levels import Standing
from fivefold.store.tables.rulesets import Family, RulesetVersion
from fivefold.store.webhooks.outbox import NewEvent, add_events
from fivefold.usecases.audit import record as audit
from fivefold.usecases.levels.assess import AssessmentResult
from fivefold.usecases.levels.groups.memberships import store_looks
from fivefold.usecases.levels.records import AssessmentRecord, CurrentValue
from fivefold.usecases.levels.value_scores import STORED, EntityScores
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.flow_triggers import TriggerEvent, note

ENGINE = "2"
"""The version of the engine that assesses; it changes where the same inputs could give another result.

2: floors hold while their facts are missing, and a ruleset keeps its entities while it is unknown whether it applies.
"""

LEVEL_REACHED: Final = "level.reached"

_ASSESSMENT = (
    "entity_id",
    "number",
    "as_of_us",
    "version_id",
    "source",
    "status",
    "level",
    "rules_level",
    "floor",
    "score",
    "breakdown",
)
"""The columns of an assessment that its record has under the same names."""
_assessment_values = attrgetter(*_ASSESSMENT)
_inputs = attrgetter("inputs")
_standing_values = attrgetter(*("held_floor" if name == "floor" else name for name in COLUMNS))
_STANDINGS = cast("Table", Standing.__table__)
_STANDING = (
    "entity_id",
    "organisation_id",
    "type_id",
    "number",
    "assessed_us",
    *COLUMNS,
    "digest",
    "score",
    "level_since_us",
    "value_score",
    "segment",
    "expected_value",
    "value_currency",
)


@dataclass(frozen=True)
class StoredLevels:
    """The entities whose assessments were stored, or are as they were before.

    Attributes:
        levels: whether each entity has a level.
        failed: the entities whose status is failed.
    """

    levels: Mapping[int, bool]
    failed: frozenset[int] = frozenset()


def store_result(session: Session, batch: LeasedBatch, result: AssessmentResult, actor: str) -> StoredLevels:
    """Store the assessments of entities whose lease is still held, in the caller's transaction; return their levels.

    Entities whose lease was lost are skipped, so no event or history row is written twice.
    """
    lock_entities(session, [claim.entity_id for claim in batch.claims], stays=True)
    leased = claims.lock_leased(session, batch)
    claims.clear(session, batch, dict.fromkeys(leased.intersection(result.absent), (None, Reason(0))), {})
    records = [each for each in result.records if each.entity_id in leased]
    if not records:
        return StoredLevels({})
    new = [each for each in records if not each.same]
    moved = [each for each in records if each.level != each.level_before]
    values = _changed_values(result.values)
    batch_number, digests = _store_assessments(session, batch, new)
    ends = _behind_ends(session, batch.organisation_id, records, result.members)  # before the standings change
    _store_standings(session, batch, records, values)
    _store_moves(session, batch, moved)
    origins = _origins(session, batch, leased, records, ends)
    _note(session, batch, records, values, origins)
    _store_what_was_read(session, batch, result, leased, origins)
    settled = dict(chain(*(scores.settled.items() for scores in result.values)))
    claims.clear(session, batch, {each.entity_id: (each.next_us, each.next_reason) for each in records}, settled)
    if new:
        about = ("assessments.made", "assessment", batch_number)
        lines = history.assessment_lines(_sealed(new, digests))
        by = Actor(batch.organisation_id, actor)
        audit.record_rows(session, by, about, lines, {"assessed": len(new), "moved": len(moved)})
    failed = frozenset(each.entity_id for each in records if each.status == Status.FAILED)
    return StoredLevels({each.entity_id: each.level is not None for each in records}, failed)


def _store_assessments(
    session: Session, batch: LeasedBatch, new: Sequence[AssessmentRecord]
) -> tuple[int, Sequence[str]]:
    """Store assessments with their inputs; return their batch, and the digest of each one's content."""
    of, number = batch.organisation_id, history.new_batch()
    add_layouts(session, of, {layout_name(layout): layout for layout in {each.layout for each in new if each.layout}})
    rows = ((*_assessment_values(each), of, ENGINE, number) for each in new)
    write_rows(session, "assessments", (*_ASSESSMENT, "organisation_id", "engine", "batch"), rows)
    salts, contents = history.new_salts(len(new)), map(with_standing, map(_inputs, new), map(_standing_values, new))
    bound = [
        (each.entity_id, each.number, content, salt, history.content_digest(salt, content, each.breakdown))
        for each, content, salt in zip(new, contents, salts, strict=True)
    ]
    write_rows(session, "assessment_inputs", ("entity_id", "number", "content", "salt", "sha256"), bound)
    digests = [row[-1] for row in bound]
    return number, digests


def _store_moves(session: Session, batch: LeasedBatch, moved: Sequence[AssessmentRecord]) -> None:
    """Store the transitions of entities whose level moved, with their events for webhooks."""
    of = batch.organisation_id
    rows = (
        (each.entity_id, each.number, of, each.as_of_us, each.level_before, each.level, each.source) for each in moved
    )
    columns = ("entity_id", "number", "organisation_id", "at_us", "from_level", "to_level", "source")
    write_rows(session, "transitions", columns, rows)
    add_events(session, of, _events(session, batch, moved))


def _origins(
    session: Session,
    batch: LeasedBatch,
    leased: set[int],
    records: Sequence[AssessmentRecord],
    ends: Mapping[int, Origin],
) -> dict[int, Origin]:
    """Return by entity the flows that made it due, and the people behind that; keep these where a change is put off."""
    claimed = {claim.entity_id: claim.revision for claim in batch.claims if claim.entity_id in leased}
    origins = caused_by_flows(session, batch.type_id, claimed, max(each.as_of_us for each in records))
    origins |= {entity: origins.get(entity, NO_FLOW).combined_with(each) for entity, each in ends.items()}
    put_off = [each.entity_id for each in records if each.is_put_off and each.entity_id in origins]
    keep_people(session, {entity: (claimed[entity], origins[entity]) for entity in put_off})
    return origins


def _store_what_was_read(
    session: Session, batch: LeasedBatch, result: AssessmentResult, leased: set[int], origins: Mapping[int, Origin]
) -> None:
    """Store the other results of the assessments: memberships, values, and summaries and blocks of transactions."""
    store_looks(session, batch, result.looks, leased, origins)
    for values in result.values:
        _store_values(session, values, leased)
    if result.without_model:
        at_us = max(each.as_of_us for each in result.records if each.entity_id in leased)
        value_again(session, batch.organisation_id, batch.type_id, sorted(leased), at_us)
    for summary in result.summaries:
        store_summaries(session, batch, summary.filter(pl.col("entity").is_in(leased)))
    store_blocks(session, batch, [each for each in result.blocks if each.blocks[0].entity_id in leased])


def _behind_ends(
    session: Session, organisation_id: int, records: Sequence[AssessmentRecord], members: Mapping[int, Collection[int]]
) -> dict[int, Origin]:
    """Return by entity who set what ended by itself since its last assessment: its tags, its *members*', its override.

    They are behind what changes by these ends, as if they had ended them then. Empty where no flow listens.
    """
    if not has_listeners(session, organisation_id):
        return {}
    now_us = max(each.as_of_us for each in records)
    whose = {each.entity_id: (each.entity_id, *members.get(each.entity_id, ())) for each in records}
    overrides, last_us = people_of_ended(session, list(whose), now_us), assessed_us(session, list(whose))
    ends: dict[int, list[ReachedEnd]] = {}
    for end in planned_ends(session, set(chain(*whose.values())), now_us):
        if not end.set_by.startswith(FLOW_ACTOR):
            ends.setdefault(end.entity_id, []).append(end)
    origins = {}
    for each in records:
        since_us, ended = last_us.get(each.entity_id, 0), chain(*(ends.get(one, ()) for one in whose[each.entity_id]))
        people = set(overrides.get(each.entity_id, ()))
        for end in ended:
            if since_us < end.until_us <= each.as_of_us:
                people.update(end.people)
        if people:
            origins[each.entity_id] = Origin(people=tuple(sorted(people)))
    return origins


def _sealed(new: Sequence[AssessmentRecord], digests: Sequence[str]) -> pl.DataFrame:
    """Return the sealed part of assessments, in the columns of `history.ASSESSMENT`."""
    columns: dict[str, Sequence[Any]] = dict(zip(AssessmentRecord._fields, zip(*new, strict=True), strict=True))
    befores, afters = columns["level_before"], columns["level"]
    moves = [
        (before or 0, after or 0) if before != after else (None, None)
        for before, after in zip(befores, afters, strict=True)
    ]
    columns |= {"engine": [ENGINE] * len(new), "content_sha256": digests}
    columns |= dict(zip(("moved_from", "moved_to"), zip(*moves, strict=True), strict=True))
    return pl.DataFrame({name: pl.Series(columns[name], dtype=kind) for name, kind in history.ASSESSMENT.items()})


def _changed_values(values: Iterable[EntityScores]) -> dict[int, CurrentValue]:
    """Return the values of the entities whose value changed."""
    return {
        int(entity): CurrentValue() if score is None else CurrentValue(score, segment, expected, currency)
        for scores in values
        for entity, score, segment, expected, currency in scores.changed[
            [ENTITY, "score", "segment", "expected_value", "currency"]
        ].rows()
    }


def _store_standings(
    session: Session, batch: LeasedBatch, assessments: Sequence[AssessmentRecord], values: Mapping[int, CurrentValue]
) -> None:
    """Store the standings of entities: overwrite those of entities assessed before, and add the others."""
    before: list[tuple[Any, ...]] = []
    new: list[tuple[Any, ...]] = []
    for each in assessments:
        row = (
            each.entity_id,
            batch.organisation_id,
            batch.type_id,
            each.number,
            each.as_of_us,
            *_standing_values(each),
            each.digest,
            float(each.score or 0),
            each.level_since_us,
            *values.get(each.entity_id, each.value),
        )
        (before if each.number > 1 or each.same else new).append(row)
    put_rows(session, _STANDINGS, _STANDING, before)
    if new:
        write_rows(session, "standings", _STANDING, new)


def _events(session: Session, batch: LeasedBatch, moved: Sequence[AssessmentRecord]) -> Iterable[NewEvent]:
    """Return an event for each transition: once, as the event is named after the assessment and the moment."""
    if not moved:
        return []
    names = [None, *levels_of(session, batch.organisation_id)]
    type_name = session.get_one(EntityType, batch.type_id).name
    entities = session.execute(
        select(Entity.id, Entity.external_id).where(Entity.id.in_([each.entity_id for each in moved]))
    )
    external: Mapping[int, str] = {row.id: row.external_id for row in entities}
    rulesets = _rulesets(session, {each.version_id for each in moved if each.version_id is not None})
    return [
        NewEvent(
            f"level-{assessment.entity_id}-{assessment.number}-{assessment.as_of_us}",
            LEVEL_REACHED,
            assessment.entity_id,
            assessment.as_of_us,
            canonical_json(
                {
                    "entity_type": type_name,
                    "external_id": external[assessment.entity_id],
                    "from": names[assessment.level_before or 0],
                    "to": names[assessment.level or 0],
                    "at": utc_text(assessment.as_of_us),
                    "source": assessment.source,
                    "assessment": f"{assessment.entity_id}.{assessment.number}",
                    **rulesets.get(assessment.version_id or 0, {"ruleset": None, "version": None}),
                }
            ),
        )
        for assessment in moved
    ]


def _note(
    session: Session,
    batch: LeasedBatch,
    records: Sequence[AssessmentRecord],
    values: Mapping[int, CurrentValue],
    origins: Mapping[int, Origin],
) -> None:
    """Start the flows that listen to levels and segments.

    *values* are the values that changed, and *origins* the flows that made entities due.
    """
    of = (session, batch.organisation_id, batch.type_id)
    moved = [each for each in records if each.level != each.level_before]
    if moved:
        names = [None, *levels_of(session, batch.organisation_id)]
        note(
            *of,
            "level",
            [_level_event(each, names, origins.get(each.entity_id, NO_FLOW)) for each in moved],
            moved[0].as_of_us,
        )
    other = [each for each in records if each.entity_id in values]
    segments = [
        TriggerEvent(
            each.entity_id,
            f"segment:{each.as_of_us}",
            {"from": each.value.segment, "to": new.segment},
            origins.get(each.entity_id, NO_FLOW),
        )
        for each in other
        if (new := values[each.entity_id]).segment != each.value.segment
    ]
    if segments:
        note(*of, "segment", segments, other[0].as_of_us)


def _level_event(moved: AssessmentRecord, names: Sequence[str | None], origin: Origin) -> TriggerEvent:
    """Return the event of a level that moved: a first level rose, and a lost level neither rose nor fell."""
    before, after = moved.level_before or 0, moved.level or 0
    about = {
        "direction": None if not after else "up" if after > before else "down",
        "from": names[before],
        "to": names[after],
    }
    return TriggerEvent(moved.entity_id, f"level:{moved.entity_id}.{moved.number}", about, origin)


def _rulesets(session: Session, version_ids: Iterable[int]) -> dict[int, dict[str, Any]]:
    versions = session.execute(
        select(RulesetVersion.id, RulesetVersion.number, Family.name)
        .join(Family, Family.id == RulesetVersion.family_id)
        .where(RulesetVersion.id.in_(list(version_ids)))
    )
    return {row.id: {"ruleset": row.name, "version": row.number} for row in versions}


def _store_values(session: Session, values: EntityScores, leased: set[int]) -> None:
    """Store the values that changed; a row of nulls means that an entity no longer has a value."""
    rows = [(int(row[0]), values.as_of_us, *row[1:]) for row in values.changed.iter_rows() if int(row[0]) in leased]
    if not rows:
        return
    same = (ValueScore.entity_id.in_([row[0] for row in rows]), ValueScore.as_of_us == values.as_of_us)
    session.execute(delete(ValueScore).where(*same))
    write_rows(session, "value_scores", ("entity_id", "as_of_us", *STORED[1:]), rows)
