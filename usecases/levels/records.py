"""Assessments as they are stored: compared with the last one, and kept with inputs that replay them to the byte."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import repeat, starmap
from operator import itemgetter
from typing import Any, NamedTuple

import polars as pl

from fivefold.domain.canonical import canonical_json
from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.engine.assessments import NOT_IN_FULL, STATUS, Assessments
from fivefold.risk.engine.deciding import KEPT_BY
from fivefold.risk.engine.explain.stored import contents, outcome_texts
from fivefold.risk.engine.levels import FLOORS_LOST, HELD_FLOOR, HELD_HARD_FLOOR, OVERRIDDEN, WITHHELD, as_text
from fivefold.risk.engine.next_change import NEXT, WHY, NextChange, next_changes
from fivefold.risk.engine.program import TOTAL
from fivefold.risk.facts.portfolio import AS_OF, ENTITY, Portfolio
from fivefold.store.levels.assessment_queue import Reason
from fivefold.usecases.levels.content.inputs import StoredInputs, stored_inputs

NEVER_ASSESSED = "never assessed"
NO_RULESET = "no ruleset"
"""The status of an entity whose type has no active ruleset."""

REASONS: Mapping[str, Reason] = {
    NextChange.EXPIRY: Reason.EXPIRY,
    NextChange.MOVE_DOWN: Reason.MOVE_DOWN,
    NextChange.DECAY: Reason.DECAY,
    NextChange.LIST: Reason.LIST,
    NextChange.TIME: Reason.TIME,
    NextChange.INTERVAL: Reason.INTERVAL,
}


def _earliest(*moments: tuple[int | None, Reason]) -> tuple[int | None, Reason]:
    """Return the earliest moment with its reason; of equal moments the first whose reason is not TIME, if any."""
    next_us, reason = None, Reason(0)
    for at, why in moments:
        if at is not None and (next_us is None or at < next_us or (at == next_us and reason == Reason.TIME)):
            next_us, reason = at, why
    return next_us, reason


_OUTCOME = (
    ENTITY,
    AS_OF,
    STATUS,
    "level",
    "rules_level",
    "floor",
    HELD_FLOOR,
    HELD_HARD_FLOOR,
    OVERRIDDEN,
    "entered",
    "may_move_down_on",
    WITHHELD,
    TOTAL,
)
"""The columns of an outcome that are stored by themselves; its codes hold the rest, such as each rule's points."""


class CurrentValue(NamedTuple):
    """An entity's last value by the value model; None where there was none."""

    score: float | None = None
    segment: str | None = None
    expected_value: float | None = None
    currency: str | None = None


class AssessmentRecord(NamedTuple):
    """One assessment: first its outcome, whatever was before; then how it compares with the last one.

    It can be stored only once the second part is known; until then that part has defaults.

    Attributes:
        version_id: the version of the ruleset that decided; None where none applied.
        floor: the highest floor that is triggered.
        held_floor: the highest floor that holds, triggered now or before.
        hard_floor: the highest floor that holds and that no override goes below.
        floors_lost: since when floors hold on unknown facts, as text; None where none does.
        override_id: the live override.
        kept_by: the families of other rulesets that keep the entity (`risk.engine.deciding`), as text; None without.
        breakdown: the codes of the breakdown for `risk.engine.explain.stored`; without a ruleset its text.
        next_us: when the entity is due again, for `next_reason`; None if no change is to come.
        is_put_off: whether present facts may change the level later: a lower level is withheld, an override holds
            another level, or the level stays since the assessment could not be made in full.
        number: counted from 1 for each entity; the last one's number where the result is the same.
        source: what made the difference: rules, override, decay, expiry or time.
        level_before: the level in force until now.
        level_since_us: when the level was reached; 0 where there was never one.
        moved_by: what made the latest transition; None where there is none, or this is one.
        value: the entity's value before this.
        digest: the hash of its content without its moment.
        same: whether the result equals the last one, so that it is not stored as another assessment.
        inputs: its recorded inputs, JSON; empty where the result is the same, as they are not stored again.
        layout: the part of the inputs shared with others; likewise empty, and without a ruleset.
    """

    entity_id: int
    as_of_us: int
    version_id: int | None
    status: str
    level: int | None
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
    is_put_off: bool
    number: int = 0
    source: str = ""
    level_before: int | None = None
    level_since_us: int = 0
    moved_by: str | None = None
    value: CurrentValue = CurrentValue()
    digest: str = ""
    same: bool = False
    inputs: str = ""
    layout: str = ""

    @property
    def level_source(self) -> str:
        """The source of the level in force, as `store.tables.levels.level_source` computes it in SQL."""
        if self.override_id is not None:
            return "override"
        made_by = self.moved_by or self.source
        return "rules" if made_by == "override" else made_by


_OUTCOME_FIELDS = AssessmentRecord._fields.index("number")
"""How many fields of a record are its outcome; the others, in their order, compare it with the last one."""
_NOT_STORED_AGAIN = StoredInputs("", "")
_VALUE = ("value_score", "segment", "expected_value", "value_currency")
"""The columns of a standing for the fields of `CurrentValue`, in their order."""
_value_before = itemgetter(*_VALUE)
_NEVER: Mapping[str, Any] = {
    **dict.fromkeys(("digest", "source", "level", "override_id", "moved_by", *_VALUE)),
    "number": 0,
    "level_since_us": 0,
}
"""The last assessment of an entity that was never assessed."""


def content_digest_of(outcome: AssessmentRecord, content: bytes) -> str:
    """Hash the content of an assessment without its moment; one of an equal hash is not stored again.

    *content* is what its breakdown shows, so an age that has grown by a second does not count as a change.
    """
    parts: tuple[Any, ...] = (outcome.version_id, outcome.status, outcome.level, outcome.rules_level)
    parts += (outcome.floor, outcome.hard_floor, outcome.override_id)
    if outcome.floors_lost is not None or outcome.held_floor != outcome.floor:
        parts += (outcome.held_floor, outcome.floors_lost)
    if outcome.kept_by is not None:
        parts += (outcome.kept_by,)
    return sha256(f"{parts}\n".encode() + content).hexdigest()


def _kept_by(assessments: Assessments) -> list[str | None]:
    """Return for each entity the families of the rulesets that keep it, as a JSON list; None if none does."""
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
    """What is known of the entities of one call before they are assessed.

    Attributes:
        dated: by entity, the first later moment at which a known fact begins or ends.
        settled: by entity, when the first transaction that does not count for the value yet will count.
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
        """Return assessments in the form in which they are stored.

        *passed* are the earlier rulesets, which did not apply; *moves* has when time may let another ruleset decide.
        """
        if not len(assessments):
            return []
        outcomes = self._outcomes(assessments, version_id, self._next_looks(assessments, portfolio, passed, moves))
        return self._compared(
            outcomes,
            contents(assessments),
            lambda are_new: stored_inputs(assessments.where(pl.Series(are_new)), self.before, self.overrides),
        )

    def _outcomes(
        self, assessments: Assessments, version_id: int | None, looks: Iterable[tuple[int | None, Reason]]
    ) -> list[AssessmentRecord]:
        columns = assessments.outcomes.select(*_OUTCOME, as_text()).to_dict(as_series=False)
        entities = list(map(int, columns[ENTITY]))
        overridden, count = columns[OVERRIDDEN], len(entities)
        applies = version_id is not None
        put_off = map(_is_put_off, *(columns[name] for name in ("level", "rules_level", STATUS, WITHHELD, OVERRIDDEN)))
        next_us, reasons = zip(*looks, strict=True)
        rows = zip(
            entities,
            columns[AS_OF],
            repeat(version_id, count),
            columns[STATUS],
            columns["level"],
            columns["rules_level"],
            columns["floor"] if applies else repeat(0, count),
            columns[HELD_FLOOR],
            columns[HELD_HARD_FLOOR],
            columns[FLOORS_LOST],
            assessments.program.total.texts(columns[TOTAL]) if applies else repeat("", count),
            columns["entered"],
            columns["may_move_down_on"],
            [self.overrides[one]["id"] if live else None for one, live in zip(entities, overridden, strict=True)],
            _kept_by(assessments),
            outcome_texts(assessments),
            next_us,
            reasons,
            put_off,
            strict=True,
        )
        return list(starmap(AssessmentRecord, rows))

    def _next_looks(
        self,
        assessments: Assessments,
        portfolio: Portfolio,
        passed: Sequence[AnalysedRuleset],
        moves: Mapping[str, int],
    ) -> Iterator[tuple[int | None, Reason]]:
        """Yield for each assessment when the entity is due again, and why."""
        ends = [(str(entity), row["until_us"]) for entity, row in self.overrides.items()]
        schema = {ENTITY: pl.String, "until": pl.Int64}
        overrides = pl.DataFrame(ends, schema=schema, orient="row") if ends else None
        following = next_changes(assessments, overrides, portfolio.lists)
        begins = self._next_version(portfolio, passed)
        texts = following[ENTITY].to_list()
        rows = zip(texts, following[NEXT].to_list(), following[WHY].to_list(), strict=True)
        for text, next_us, why in rows:
            others = ((moves.get(text), Reason.TIME), (begins, Reason.LIST))
            yield _earliest((next_us, REASONS[why]), *others, *self._known_ahead(int(text)))

    def without_ruleset(self, entity: int) -> AssessmentRecord:
        """Return the record of an entity without an active ruleset: no level, unless an override sets one."""
        override = self.overrides.get(entity)
        until = None if override is None else override["until_us"]
        live = override if until is None or self.as_of < until else None
        ends = (until if live else None, Reason.EXPIRY)
        next_us, reason = _earliest(ends, *self._known_ahead(entity))
        line = "No ruleset is active for this type, so there is no level" + (" but the one set by hand" if live else "")
        breakdown = canonical_json({"status": NO_RULESET, "line": line, "level": ""})
        outcome = AssessmentRecord(
            entity_id=entity,
            as_of_us=self.as_of,
            version_id=None,
            status=NO_RULESET,
            level=live["level"] if live else None,
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
            is_put_off=False,
        )
        return self._compared([outcome], [breakdown.encode()], lambda _: [StoredInputs("{}", "")])[0]

    def _compared(
        self,
        outcomes: Sequence[AssessmentRecord],
        content_bytes: Sequence[bytes],
        inputs_of: Callable[[Sequence[bool]], Iterable[StoredInputs]],
    ) -> list[AssessmentRecord]:
        """Number assessments; one with the same result as the last keeps the last one's number.

        *content_bytes* are as in `content_digest_of`. *inputs_of* returns the inputs of the new ones; those of the
        others are not stored.
        """
        befores = [self.before.get(one.entity_id, _NEVER) for one in outcomes]
        digests = list(map(content_digest_of, outcomes, content_bytes))
        are_new = [before["digest"] != digest for before, digest in zip(befores, digests, strict=True)]
        made_from = iter(inputs_of(are_new))
        return [
            AssessmentRecord._make(
                (
                    *one[:_OUTCOME_FIELDS],
                    *self._going_on(one, before, is_new=is_new),
                    CurrentValue._make(_value_before(before)),
                    digest,
                    not is_new,
                    *(next(made_from) if is_new else _NOT_STORED_AGAIN),
                )
            )
            for one, before, digest, is_new in zip(outcomes, befores, digests, are_new, strict=True)
        ]

    def _going_on(self, outcome: AssessmentRecord, before: Mapping[str, Any], *, is_new: bool) -> tuple[Any, ...]:
        """Return the number, the source, the level before, since when the level holds, and what made that."""
        level_before = before["level"]
        stays = outcome.level == level_before
        return (
            before["number"] + is_new,
            self._source(outcome, before["override_id"]) if is_new else before["source"],
            level_before,
            before["level_since_us"] if stays else outcome.as_of_us,
            before["moved_by"] if stays else None,
        )

    def _next_version(self, portfolio: Portfolio, passed: Sequence[AnalysedRuleset]) -> int | None:
        """Return when a ruleset that did not apply may apply: when a version of a list that it reads begins."""
        names = {name for analysed in passed for name in analysed.lists}.intersection(portfolio.lists)
        begins = (version.since for name in names for version in portfolio.lists[name].versions)
        return min((begin for begin in begins if begin > self.as_of), default=None)

    def _known_ahead(self, entity: int) -> tuple[tuple[int | None, Reason], ...]:
        """Return when a known fact begins to count, or stops counting."""
        return (self.dated.get(entity), Reason.DATED), (self.settled.get(entity), Reason.SETTLED)

    def _source(self, outcome: AssessmentRecord, override_before: int | None) -> str:
        """Return what made the difference: an override that began or ended; decay or time alone; or the rules."""
        if outcome.override_id is not None:
            return "override" if override_before != outcome.override_id else "rules"
        if override_before is not None:
            now = self.overrides.get(outcome.entity_id)
            return "expiry" if now is not None and now["id"] == override_before else "override"
        return _BY_ITSELF.get(self.reasons[outcome.entity_id], "rules")


_BY_ITSELF: Mapping[int, str] = {Reason.DECAY: "decay", Reason.TIME: "time"}
"""The source of a change where nothing but this happened."""


def _is_put_off(level: int | None, rules_level: int | None, status: str, withheld: int | None, live: bool) -> bool:
    if rules_level is None:
        return False
    return withheld is not None or (live and rules_level != level) or status in NOT_IN_FULL
