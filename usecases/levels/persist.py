"""Storing assessments: with them what stands now, what changed, what others are told, and when to look again."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from fivefold.domain.canonical import canonical_json
from fivefold.domain.clock import iso_text
from fivefold.store.accounts.settings import levels_of
from fivefold.store.audit import history
from fivefold.store.audit.standings import COLUMNS, with_standing
from fivefold.store.levels import leases as claims
from fivefold.store.levels.assessment_queue import Reason
from fivefold.store.levels.leases import Batch
from fivefold.store.sql.bulk import delete_rows, write_rows
from fivefold.store.tables.entities import Entity, EntityType, ValueScore
from fivefold.store.tables.rulesets import Family, RulesetVersion
from fivefold.store.webhooks.outbox import NewEvent, add_events
from fivefold.usecases.audit import record as audit
from fivefold.usecases.levels.assess import Result
from fivefold.usecases.levels.records import Made
from fivefold.usecases.levels.value_scores import Values
from fivefold.usecases.shared.actors import Actor

ENGINE = "2"
"""Of the engine that assesses: another one where the same inputs could come to something else.

2: floors hold while they are missing, and a ruleset of which it is unknown whether it applies lets nobody go.
"""

REACHED = "level.reached"

_ASSESSMENT = (
    "entity_id",
    "number",
    "organisation_id",
    "as_of_us",
    "version_id",
    "source",
    "status",
    "level",
    "rules_level",
    "floor",
    "score",
    "engine",
    "breakdown",
    "batch",
)
_STANDING = (
    "entity_id",
    "organisation_id",
    "type_id",
    "number",
    "assessed_us",
    *COLUMNS,
    "digest",
)
_TRANSITION = ("entity_id", "number", "organisation_id", "at_us", "from_level", "to_level", "source")


@dataclass(frozen=True)
class Stored:
    """The entities whose assessments were stored, or are as they were before.

    Attributes:
        levels: of each whether it has a level.
    """

    levels: Mapping[int, bool]

    @property
    def assessed(self) -> int:
        """How many they are."""
        return len(self.levels)

    @property
    def with_level(self) -> int:
        """How many of them have a level."""
        return sum(self.levels.values())


def store_result(session: Session, batch: Batch, result: Result, actor: str) -> Stored:
    """Store the assessments of those whose lease is still held, all in one transaction; count them.

    What somebody else took over since is theirs to store: so nothing is told twice, or twice in a history.
    """
    held = claims.lock_leased(session, batch)
    claims.clear(session, batch, dict.fromkeys(held.intersection(result.absent), (None, Reason(0))))
    made = [each for each in result.made if each.entity_id in held]
    if not made:
        return Stored({})
    of = batch.organisation_id
    new = [each._replace(inputs=with_standing(each.inputs, _stands(each))) for each in made if not each.same]
    batch_number = history.new_batch()
    write_rows(session, "assessments", _ASSESSMENT, (_assessment(each, of, batch_number) for each in new))
    bound = _bound(new)
    kept = [(each.entity_id, each.number, each.inputs, *pair) for each, pair in zip(new, bound, strict=True)]
    write_rows(session, "assessment_inputs", ("entity_id", "number", "content", "salt", "sha256"), kept)
    _store_standings(session, batch, made)
    moved = [each for each in made if each.level != each.level_before]
    transitions = (_transition(each, of) for each in moved)
    write_rows(session, "transitions", _TRANSITION, transitions)
    add_events(session, of, _events(session, batch, moved))
    for values in result.values:
        _store_values(session, values, held)
    claims.clear(session, batch, {each.entity_id: (each.next_us, each.next_reason) for each in made})
    if new:
        about = ("assessments.made", "assessment", batch_number)
        lines = history.assessment_lines(_sealed(new, [digest for _, digest in bound]))
        audit.record_rows(session, Actor(of, actor), about, lines, {"assessed": len(new), "moved": len(moved)})
    return Stored({each.entity_id: each.level is not None for each in made})


def _bound(new: Sequence[Made]) -> list[tuple[str, str]]:
    """Hash the inputs and the breakdown of each assessment with a salt of its own: salts and digests."""
    salts = history.new_salts(len(new))
    return [
        (salt, history.content_digest(salt, each.inputs, each.breakdown)) for salt, each in zip(salts, new, strict=True)
    ]


def _sealed(new: Sequence[Made], digests: Sequence[str]) -> pl.DataFrame:
    """Give what is sealed of assessments, in the columns of `history.ASSESSMENT`."""
    columns: dict[str, Sequence[Any]] = dict(zip(Made._fields, zip(*new, strict=True), strict=True))
    befores, afters = columns["level_before"], columns["level"]
    moves = [
        (before or 0, after or 0) if before != after else (None, None)
        for before, after in zip(befores, afters, strict=True)
    ]
    columns |= {"engine": [ENGINE] * len(new), "content_sha256": digests}
    columns |= dict(zip(("moved_from", "moved_to"), zip(*moves, strict=True), strict=True))
    return pl.DataFrame({name: pl.Series(columns[name], dtype=kind) for name, kind in history.ASSESSMENT.items()})


def _assessment(made: Made, organisation_id: int, batch: int) -> tuple[Any, ...]:
    return (
        made.entity_id,
        made.number,
        organisation_id,
        made.as_of_us,
        made.version_id,
        made.source,
        made.status,
        made.level,
        made.rules_level,
        made.floor,
        made.score,
        ENGINE,
        made.breakdown,
        batch,
    )


def _store_standings(session: Session, batch: Batch, made: Sequence[Made]) -> None:
    delete_rows(session, "standings", "entity_id", [each.entity_id for each in made if each.number > 1 or each.same])
    rows = (
        (
            each.entity_id,
            batch.organisation_id,
            batch.type_id,
            each.number,
            each.as_of_us,
            *_stands(each),
            each.digest,
        )
        for each in made
    )
    write_rows(session, "standings", _STANDING, rows)


def _stands(made: Made) -> tuple[Any, ...]:
    """Give what a standing says, in the order of `store.audit.standings.COLUMNS`."""
    return (
        made.version_id,
        made.status,
        made.source,
        made.level,
        made.rules_level,
        made.held_floor,
        made.hard_floor,
        made.floors_lost,
        made.entered_us,
        made.may_move_down_us,
        made.override_id,
    )


def _transition(made: Made, organisation_id: int) -> tuple[Any, ...]:
    return (
        made.entity_id,
        made.number,
        organisation_id,
        made.as_of_us,
        made.level_before,
        made.level,
        made.source,
    )


def _events(session: Session, batch: Batch, moved: Sequence[Made]) -> Iterable[NewEvent]:
    """Say who reached which level: once for each transition, since an event's name is that of its assessment."""
    if not moved:
        return []
    names = [None, *levels_of(session, batch.organisation_id)]
    type_name = session.get_one(EntityType, batch.type_id).name
    found = session.execute(
        select(Entity.id, Entity.external_id).where(Entity.id.in_([each.entity_id for each in moved]))
    )
    external: Mapping[int, str] = {row.id: row.external_id for row in found}
    rulesets = _rulesets(session, {each.version_id for each in moved if each.version_id is not None})
    return [
        NewEvent(
            f"level-{made.entity_id}-{made.number}",
            REACHED,
            made.entity_id,
            made.as_of_us,
            canonical_json(
                {
                    "entity_type": type_name,
                    "external_id": external[made.entity_id],
                    "from": names[made.level_before or 0],
                    "to": names[made.level or 0],
                    "at": iso_text(made.as_of_us),
                    "source": made.source,
                    "assessment": f"{made.entity_id}.{made.number}",
                    **rulesets.get(made.version_id or 0, {"ruleset": None, "version": None}),
                }
            ),
        )
        for made in moved
    ]


def _rulesets(session: Session, version_ids: Iterable[int]) -> dict[int, dict[str, Any]]:
    found = session.execute(
        select(RulesetVersion.id, RulesetVersion.number, Family.name)
        .join(Family, Family.id == RulesetVersion.family_id)
        .where(RulesetVersion.id.in_(list(version_ids)))
    )
    return {row.id: {"ruleset": row.name, "version": row.number} for row in found}


def _store_values(session: Session, values: Values, held: set[int]) -> None:
    """Keep what the model said otherwise than before; a row of nulls says that somebody has no value any more."""
    rows = [row for row in values.changed.iter_rows() if int(row[0]) in held]
    if not rows:
        return
    same = (ValueScore.entity_id.in_([int(row[0]) for row in rows]), ValueScore.as_of_us == values.as_of_us)
    session.execute(delete(ValueScore).where(*same))
    model = values.valuer
    write_rows(
        session,
        "value_scores",
        (
            "entity_id",
            "as_of_us",
            "score",
            "segment",
            "expected_value",
            "currency",
            "model",
            "model_version",
            "fingerprint",
        ),
        [
            (
                int(entity),
                values.as_of_us,
                score,
                segment,
                expected,
                model.model.currency,
                model.name,
                model.version,
                model.model.fingerprint,
            )
            for entity, score, segment, expected in rows
        ],
    )


def failures_of(error: Exception) -> str:
    """Write an error so that it can be kept and shown: the first lines of what it says."""
    return f"{type(error).__name__}: {error}"[:1000]
