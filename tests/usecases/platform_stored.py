"""What the platform has stored, and shows, beside what the model of it says."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from fivefold.risk.engine.assessments import NOT_IN_FULL
from fivefold.usecases.levels.read import LevelView
from tests.store.portfolio.counting import assert_counted
from tests.usecases.platform_model import Entity, Model, Outcome
from tests.usecases.platform_rulesets import LEVELS


def same(found: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Say only what differs: found, then expected."""
    names = found.keys() | expected.keys()
    differs = {name: (found.get(name), expected.get(name)) for name in names if found.get(name) != expected.get(name)}
    if differs:
        raise AssertionError(differs)


@dataclass(frozen=True)
class StoredPlatform:
    """The rows that a connection reads; *versions* are the families and numbers of rulesets by the row of each."""

    connection: Connection
    model: Model
    versions: Mapping[int, tuple[str, int]]

    def agrees(self) -> None:
        """Compare all of it."""
        names = {one.id: one.name for one in self.model.entities.values()}
        self._history_agrees(names)
        self._standings_agree(names)
        self._marks_agree(names)
        assert_counted(self.connection)
        events = [
            (body["external_id"], int(body["assessment"].split(".")[1]), body["from"], body["to"], body["source"])
            for (said,) in self.connection.execute(text("SELECT body FROM outbox ORDER BY id"))
            for body in [json.loads(said)]
        ]
        assert events == self.model.events
        assert self.connection.execute(text("SELECT count(*) FROM audit_entries")).scalar() == self.model.audited

    def _history_agrees(self, names: dict[int, str]) -> None:
        found: dict[str, list[tuple[Any, ...]]] = {}
        for entity, *rest in self.connection.execute(
            text(
                "SELECT entity_id, number, as_of_us, version_id, status, source, level, rules_level FROM assessments"
                " ORDER BY entity_id, number"
            )
        ):
            found.setdefault(names[entity], []).append(tuple(rest))
        expected = {
            one.name: [
                (number, *self._decided(made), made.level, made.rules_level)
                for number, made in enumerate(one.history, 1)
            ]
            for one in self.model.entities.values()
            if one.history
        }
        same(found, expected)
        moved: dict[str, list[tuple[Any, ...]]] = {}
        for entity, *rest in self.connection.execute(
            text("SELECT entity_id, number, at_us, from_level, to_level, source FROM transitions ORDER BY 1, 2")
        ):
            moved.setdefault(names[entity], []).append(tuple(rest))
        same(moved, self.model.transitions)

    def _decided(self, made: Outcome) -> tuple[Any, ...]:
        version = next((key for key, of in self.versions.items() if of == (made.family, made.number)), None)
        return made.as_of, version, made.status, made.source

    def _standings_agree(self, names: dict[int, str]) -> None:
        rows = self.connection.execute(
            text(
                "SELECT entity_id, number, assessed_us, version_id, status, source, level, rules_level, entered_us,"
                " may_move_down_us, floor, hard_floor, override_id FROM standings"
            )
        )
        expected = {
            one.name: (
                len(one.history),
                *self._decided(last),
                last.level,
                last.rules_level,
                last.entered,
                last.may_move_down,
                last.floor,
                last.hard_floor,
                last.override,
            )
            for one in self.model.entities.values()
            if (last := one.last) is not None
        }
        same({names[entity]: tuple(rest) for entity, *rest in rows}, expected)

    def _marks_agree(self, names: dict[int, str]) -> None:
        rows = self.connection.execute(
            text(
                "SELECT entity_id, due_us, planned_us, reasons, revision <> claimed, lease, attempts, quarantined"
                " FROM due_marks"
            )
        )
        expected = {
            one.name: (one.due, one.planned, one.reasons, one.overtaken, one.lease, one.attempts, one.quarantined)
            for one in self.model.entities.values()
        }
        same({names[entity]: tuple(rest) for entity, *rest in rows}, expected)


def assert_shown(shown: LevelView, entity: Entity, model: Model, now: int) -> None:
    """Compare what is shown of somebody with what the model knows of them."""
    last = entity.last
    assert shown.refreshing == entity.refreshing(now)
    assert (shown.entity_type, shown.external_id, shown.problem) == (entity.kind, entity.name, None)
    if last is None:
        assert (shown.level, shown.status, shown.assessment) == (None, "never assessed", None)
        return
    assert (shown.level, shown.rules_level) == (LEVELS[last.level or 0], LEVELS[last.rules_level or 0])
    source = model.level_source(entity)
    assert (shown.status, shown.source, shown.assessed_us) == (last.status, source, last.as_of)
    assert shown.kept_by == tuple(sorted(last.kept_by))
    is_withheld = last.withheld and (last.may_move_down or 0) > now
    is_held_by_time = is_withheld and last.status not in NOT_IN_FULL and last.override is None
    assert shown.may_move_down_us == (last.may_move_down if is_held_by_time else None)
    assert shown.assessment == f"{entity.id}.{len(entity.history)}"
    assert shown.ruleset == (None if last.family is None else (last.family, last.number))
    moves = model.transitions.get(entity.name)
    assert shown.since_us == (moves[-1][1] if moves else None)
    assert (None if shown.override is None else shown.override.id) == last.override
