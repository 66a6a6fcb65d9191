"""Assessments as they are stored: compared with the last one, and kept with the inputs that repeat them to the byte."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, NamedTuple

import polars as pl

from fivefold.domain.canonical import canonical_json
from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.engine.assessments import NOT_IN_FULL, STATUS, Assessments
from fivefold.risk.engine.deciding import KEPT_BY
from fivefold.risk.engine.explain.stored import contents, outcome_texts
from fivefold.risk.engine.levels import FLOORS_LOST, HELD_FLOOR, HELD_HARD_FLOOR, WITHHELD, as_text
from fivefold.risk.engine.next_change import NEXT, WHY, NextChange, next_changes
from fivefold.risk.engine.program import TOTAL
from fivefold.risk.facts.portfolio import AS_OF, ENTITY, Portfolio
from fivefold.store.levels.assessment_queue import Reason
from fivefold.usecases.levels.content.inputs import stored_inputs

NEVER_ASSESSED = "never assessed"
NO_RULESET = "no ruleset"
"""The status of an entity for whose type nothing is active."""

REASONS: Mapping[str, Reason] = {
    NextChange.EXPIRY: Reason.EXPIRY,
    NextChange.MOVE_DOWN: Reason.MOVE_DOWN,
    NextChange.DECAY: Reason.DECAY,
    NextChange.LIST: Reason.LIST,
    NextChange.TIME: Reason.TIME,
    NextChange.INTERVAL: Reason.INTERVAL,
}


def _earliest(*moments: tuple[int | None, Reason]) -> tuple[int | None, Reason]:
    """Choose the earliest; of several at once that time passed says least, and otherwise the first one is taken."""
    next_us, reason = None, Reason(0)
    for at, why in moments:
        if at is not None and (next_us is None or at < next_us or (at == next_us and reason == Reason.TIME)):
            next_us, reason = at, why
    return next_us, reason


_KEPT = (
    ENTITY,
    AS_OF,
    STATUS,
    "level",
    "rules_level",
    "floor",
    HELD_FLOOR,
    HELD_HARD_FLOOR,
    "overridden",
    "entered",
    "may_move_down_on",
    WITHHELD,
)
"""What is kept of an outcome by itself: its codes tell the rest, such as every rule's case and points."""


class CurrentValue(NamedTuple):
    """What the value model said last of an entity; None where it said nothing, or that there is no value."""

    score: float | None = None
    segment: str | None = None
    expected_value: float | None = None
    currency: str | None = None


class AssessmentRecord(NamedTuple):
    """One assessment, ready to be stored.

    Attributes:
        number: counted from 1 for each entity; that of the last one where this comes to the same.
        version_id: the ruleset that decided; None where none applied.
        source: what made the difference: rules, override, decay, expiry or time.
        moved_by: what made the latest transition; None where there is none, or this is one.
        level_before: what held until now.
        floor: the highest floor that is triggered.
        held_floor: the highest one that holds, triggered now or before.
        hard_floor: the highest one that holds and that no override goes below.
        floors_lost: since when floors rest on what is unknown, as text; None where none does.
        override_id: the override that is live.
        kept_by: the families of other rulesets that keep the entity (`risk.engine.deciding`), as text; None without.
        breakdown: what it is written from, by `risk.engine.explain.stored`; without a ruleset its text.
        next_us: when it is to be looked at again, for `next_reason`; None where nothing is to come.
        inputs: what it was made from, JSON; empty where it comes to the same, since that is not stored again.
        layout: what it shares of that with others; empty likewise, and without a ruleset.
        digest: of its content without its moment.
        same: it comes to the same as the last one, so that it is no assessment of its own.
        level_since_us: when the level was reached; 0 where there was never one.
        value: what the value model had said before.
        is_put_off: what happened may change the level later: a lower one is withheld, an override holds another one, or
            one holds as it was, since the rules could not be answered in full.
    """

    entity_id: int
    number: int
    as_of_us: int
    version_id: int | None
    source: str
    status: str
    level: int | None
    level_before: int | None
    rules_level: int | None
    floor: int
    held_floor: int
    hard_floor: int
    floors_lost: str | None
    score: str
    entered_us: int | None
    may_move_down_us: int | None
    override_id: int | None
    kept_by: str | None
    breakdown: str
    next_us: int | None
    next_reason: Reason
    inputs: str = ""
    layout: str = ""
    digest: str = ""
    same: bool = False
    level_since_us: int = 0
    value: CurrentValue = CurrentValue()
    moved_by: str | None = None
    is_put_off: bool = False

    @property
    def level_source(self) -> str:
        """What the level in force rests on, as `store.tables.levels.level_source` says it in SQL."""
        if self.override_id is not None:
            return "override"
        made_by = self.moved_by or self.source
        return "rules" if made_by == "override" else made_by


def _going_on(record: AssessmentRecord, before: Mapping[str, Any] | None) -> AssessmentRecord:
    """Add since when the level holds, and what the value was before."""
    if before is None:
        return record._replace(level_since_us=0 if record.level is None else record.as_of_us)
    since = before["level_since_us"] if record.level == before["level"] else record.as_of_us
    value = CurrentValue(*(before[name] for name in ("value_score", "segment", "expected_value", "value_currency")))
    moved_by = before["moved_by"] if record.level == before["level"] else None
    return record._replace(level_since_us=since, value=value, moved_by=moved_by)


def content_digest_of(record: AssessmentRecord, content: bytes) -> str:
    """Hash the content of an assessment without its moment: an equal one is not stored again.

    *content* is what its breakdown says: an age that has grown by a second is no change.
    """
    parts: tuple[Any, ...] = (record.version_id, record.status, record.level, record.rules_level)
    parts += (record.floor, record.hard_floor, record.override_id)
    if record.floors_lost is not None or record.held_floor != record.floor:
        parts += (record.held_floor, record.floors_lost)
    if record.kept_by is not None:
        parts += (record.kept_by,)
    return sha256(f"{parts}\n".encode() + content).hexdigest()


def _kept_by(assessments: Assessments) -> list[str | None]:
    """Write for each entity the families of the rulesets that keep it, a JSON list; None where none does."""
    if KEPT_BY not in assessments.outcomes.columns:
        return [None] * len(assessments)
    return [None if each is None else json.dumps(sorted(each)) for each in assessments.outcomes[KEPT_BY].to_list()]


def families_in(kept_by: str | None) -> list[int]:
    """Read the families from `AssessmentRecord.kept_by`.

    >>> families_in("[2, 5]"), families_in(None)
    ([2, 5], [])
    """
    return [] if kept_by is None else json.loads(kept_by)


@dataclass(frozen=True, kw_only=True)
class AssessmentContext:
    """What the entities of one call had before, and what they have now.

    Attributes:
        dated: when the first of what is known already begins or ends.
        settled: when the first transaction counts for the value that does not yet.
    """

    as_of: int
    before: Mapping[int, Mapping[str, Any]]
    overrides: Mapping[int, Mapping[str, Any]]
    reasons: Mapping[int, int]
    dated: Mapping[int, int]
    settled: Mapping[int, int]

    def records(
        self,
        assessments: Assessments,
        version_id: int | None,
        portfolio: Portfolio,
        passed: Sequence[AnalysedRuleset],
        moves: Mapping[str, int],
    ) -> list[AssessmentRecord]:
        """Bring assessments into the form that is stored.

        *passed* are the rulesets that did not apply before; *moves* tell when one that does not decide may by time.
        """
        if not len(assessments):
            return []
        ends = [(str(entity), row["until_us"]) for entity, row in self.overrides.items()]
        overrides = pl.DataFrame(ends, schema={ENTITY: pl.String, "until": pl.Int64}, orient="row")
        following = next_changes(assessments, overrides, portfolio.lists)
        list_begins = self._next_version(portfolio, passed)
        rows = zip(
            assessments.outcomes.select(*_KEPT, as_text()).iter_rows(named=True),
            following.iter_rows(named=True),
            assessments.program.total.texts(assessments.outcomes[TOTAL].to_list()),
            outcome_texts(assessments),
            contents(assessments),
            _kept_by(assessments),
            strict=True,
        )
        records = []
        for row, following_row, score, codes, content, kept_by in rows:
            entity = int(row[ENTITY])
            others = ((moves.get(row[ENTITY]), Reason.TIME), (list_begins, Reason.LIST))
            following_one = (following_row[NEXT], REASONS[following_row[WHY]])
            next_us, reason = _earliest(following_one, *others, *self._known_ahead(entity))
            applies = version_id is not None
            one = AssessmentRecord(
                entity_id=entity,
                number=self._number(entity),
                as_of_us=row[AS_OF],
                version_id=version_id,
                source=self._source(entity, bool(row["overridden"])),
                status=row[STATUS],
                level=row["level"],
                level_before=self._level_before(entity),
                rules_level=row["rules_level"],
                floor=row["floor"] if applies else 0,
                held_floor=row[HELD_FLOOR],
                hard_floor=row[HELD_HARD_FLOOR],
                floors_lost=row[FLOORS_LOST],
                score=score if applies else "",
                entered_us=row["entered"],
                may_move_down_us=row["may_move_down_on"],
                override_id=self.overrides[entity]["id"] if row["overridden"] else None,
                kept_by=kept_by,
                breakdown=codes,
                next_us=next_us,
                next_reason=reason,
                is_put_off=_is_put_off(row),
            )
            records.append(self._compared(one, content))
        return self._with_inputs(assessments, records)

    def _with_inputs(self, assessments: Assessments, records: Sequence[AssessmentRecord]) -> list[AssessmentRecord]:
        """Add what they were made from to those that come to something else: of the others it is not stored."""
        new = assessments.where(pl.Series([not each.same for each in records]))
        made_from = iter(stored_inputs(new, self.before, self.overrides))
        return [each if each.same else each._replace(**next(made_from)._asdict()) for each in records]

    def without_ruleset(self, entity: int) -> AssessmentRecord:
        """Give what is stored where no ruleset is active: no level, but one that was set by hand, until it ends."""
        override = self.overrides.get(entity)
        until = None if override is None else override["until_us"]
        live = override if until is None or self.as_of < until else None
        ends = (until if live else None, Reason.EXPIRY)
        next_us, reason = _earliest(ends, *self._known_ahead(entity))
        line = "No ruleset is active for this type, so there is no level" + (" but the one set by hand" if live else "")
        breakdown = canonical_json({"status": NO_RULESET, "line": line, "level": ""})
        return self._compared(
            AssessmentRecord(
                entity_id=entity,
                number=self._number(entity),
                as_of_us=self.as_of,
                version_id=None,
                source=self._source(entity, live is not None),
                status=NO_RULESET,
                level=live["level"] if live else None,
                level_before=self._level_before(entity),
                rules_level=None,
                floor=0,
                held_floor=0,
                hard_floor=0,
                floors_lost=None,
                score="",
                entered_us=None,
                may_move_down_us=None,
                override_id=live["id"] if live else None,
                kept_by=None,
                breakdown=breakdown,
                next_us=next_us,
                next_reason=reason,
                inputs="{}",
            ),
            breakdown.encode(),
        )

    def _compared(self, record: AssessmentRecord, content: bytes) -> AssessmentRecord:
        """Number an assessment, or give it the number of the last one where it comes to the same."""
        before, digest = self.before.get(record.entity_id), content_digest_of(record, content)
        record = _going_on(record, before)
        if before is None or before["digest"] != digest:
            return record._replace(digest=digest)
        return record._replace(digest=digest, same=True, number=int(before["number"]), source=before["source"])

    def _next_version(self, portfolio: Portfolio, passed: Sequence[AnalysedRuleset]) -> int | None:
        """Tell when a ruleset that did not apply may: when a list begins that it asks for."""
        names = {name for analysed in passed for name in analysed.lists}.intersection(portfolio.lists)
        begins = (version.since for name in names for version in portfolio.lists[name].versions)
        return min((begin for begin in begins if begin > self.as_of), default=None)

    def _known_ahead(self, entity: int) -> tuple[tuple[int | None, Reason], ...]:
        """Tell when something that is known already counts, or counts no more."""
        return (self.dated.get(entity), Reason.DATED), (self.settled.get(entity), Reason.SETTLED)

    def _number(self, entity: int) -> int:
        return int(self.before[entity]["number"]) + 1 if entity in self.before else 1

    def _level_before(self, entity: int) -> int | None:
        return self.before[entity]["level"] if entity in self.before else None

    def _source(self, entity: int, overridden: bool) -> str:
        """Say what made the difference: an override that began or ended; decay or time alone; or the rules."""
        override_before = self.before[entity]["override_id"] if entity in self.before else None
        now = self.overrides.get(entity)
        if overridden and now is not None:
            return "override" if override_before != now["id"] else "rules"
        if override_before is not None:
            return "expiry" if now is not None and now["id"] == override_before else "override"
        return _BY_ITSELF.get(self.reasons[entity], "rules")


_BY_ITSELF: Mapping[int, str] = {Reason.DECAY: "decay", Reason.TIME: "time"}
"""What made the difference where nothing else happened."""


def _is_put_off(row: Mapping[str, Any]) -> bool:
    if row["rules_level"] is None:
        return False
    is_hidden = row["overridden"] and row["rules_level"] != row["level"]
    return row[WITHHELD] is not None or is_hidden or row[STATUS] in NOT_IN_FULL
