"""Assess entities from what is stored: one frame for all of them, the first ruleset that applies decides for each."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import polars as pl
from sqlalchemy.orm import Session

from domain.canonical import canonical_json
from risk.engine.assess import assess
from risk.engine.assessments import STATUS, Assessments, Status
from risk.engine.breakdown import as_json, explain
from risk.engine.next_change import NEXT, WHY, Change, next_changes
from risk.facts.portfolio import AS_OF, ENTITY, Portfolio
from risk.language.reading import read_ruleset
from risk.language.ruleset import Ruleset
from store import loading
from store.due import Reason
from store.rulesets import active_versions
from usecases.inputs_kept import kept_inputs
from usecases.portfolios import read_portfolio, transactions_of
from usecases.valuing import Valuer, Values

NO_RULESET = "no ruleset"
"""The status of an entity for whose type nothing is active."""

REASONS: Mapping[str, Reason] = {
    Change.EXPIRY: Reason.EXPIRY,
    Change.MOVE_DOWN: Reason.MOVE_DOWN,
    Change.DECAY: Reason.DECAY,
    Change.LIST: Reason.LIST,
    Change.INTERVAL: Reason.INTERVAL,
}


@dataclass(frozen=True)
class Made:
    """One assessment, ready to be stored.

    Attributes:
        number: counted from 1 for each entity.
        version_id: the ruleset that decided; None where none applied.
        source: what made the difference: rules, override, decay or expiry.
        level_before: what held until now.
        override_id: the override that is live.
        breakdown: canonical JSON.
        inputs: what it was made from, JSON.
        next_us: when it is to be looked at again, for `next_reason`; None where nothing is to come.
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
    hard_floor: int
    score: str
    entered_us: int | None
    may_move_down_us: int | None
    override_id: int | None
    breakdown: str
    inputs: str
    next_us: int | None
    next_reason: Reason


@dataclass(frozen=True)
class Result:
    """The assessments of some entities, and what the value model said of them."""

    made: tuple[Made, ...]
    values: Values | None


def assess_entities(
    session: Session,
    organisation_id: int,
    type_id: int,
    reasons: Mapping[int, int],
    now_us: int,
    valuer: Valuer | None = None,
) -> Result:
    """Assess entities of one type as of now; nothing is stored.

    Args:
        session: to read with.
        organisation_id: whose they are.
        type_id: their type.
        reasons: why each is due, by its number.
        now_us: the moment; never before an entity's last assessment, whatever a machine's clock says.
        valuer: the value model; without it what it said last is read.

    Raises:
        RulesetNotValid: a ruleset lacks something that it reads, such as a list; then nobody is assessed.
    """
    ids = sorted(reasons)
    standing = loading.standings(session, ids)
    overrides = loading.overrides(session, ids)
    last: Any = standing["assessed_us"].max()
    as_of = max(now_us, last or 0)
    stored = transactions_of(session, loading.owned(session, ids)) if valuer is not None else None
    values = None if valuer is None or stored is None else valuer.values_of(session, ids, stored, as_of)
    versions = active_versions(session, organisation_id, type_id)
    rulesets = [ruleset_of(version.canonical) for version in versions]
    portfolio = read_portfolio(
        session,
        organisation_id,
        type_id,
        ids,
        rulesets,
        as_of,
        stored=stored,
        values=None if values is None else values.frame,
    )
    before = {row["entity"]: row for row in standing.iter_rows(named=True)}
    live = {row["entity"]: row for row in overrides.iter_rows(named=True)}
    moment = _Moment(as_of, before, live, reasons, _dated_after(portfolio, as_of))
    made: list[Made] = []
    for version, found in _decided(rulesets, portfolio, as_of, standing, overrides):
        version_id = None if version is None else versions[version].id
        made += moment.made(found, version_id, portfolio)
    if not rulesets:
        made = [moment.without_ruleset(entity) for entity in ids]
    return Result(tuple(sorted(made, key=lambda each: each.entity_id)), values)


@lru_cache(maxsize=64)
def ruleset_of(canonical: str) -> Ruleset:
    """Read a committed ruleset, once."""
    return read_ruleset(canonical)


def _decided(
    rulesets: Sequence[Ruleset], portfolio: Portfolio, as_of: int, standing: pl.DataFrame, overrides: pl.DataFrame
) -> Iterator[tuple[int | None, Assessments]]:
    """Try the rulesets in order: each assesses those that none before it applied to; None for whom none applies to."""
    previous = standing.select(_entity(), level="rules_level", entered="entered_us")
    set_by_hand = overrides.select(_entity(), level="level", until="until_us")
    left = portfolio.entities
    for number, ruleset in enumerate(rulesets):
        if not len(left):
            return
        found = assess(ruleset, _only(portfolio, left), as_of, previous, set_by_hand)
        applies = found.outcomes[STATUS] != Status.NOT_APPLICABLE.value
        yield number, _some(found, applies)
        left = left.filter(~applies)
        if number == len(rulesets) - 1:
            yield None, _some(found, ~applies)


def _only(portfolio: Portfolio, entities: pl.DataFrame) -> Portfolio:
    return Portfolio(**{**vars(portfolio), "entities": entities})


def _some(found: Assessments, wanted: pl.Series) -> Assessments:
    return Assessments(
        found.program, found.inputs.filter(wanted), found.outcomes.filter(wanted), found.versions, found.base
    )


def _entity() -> pl.Expr:
    return pl.col("entity").cast(pl.String).alias(ENTITY)


def _dated_after(portfolio: Portfolio, as_of: int) -> dict[str, int]:
    """Tell for whom something that is known already begins or ends later, and when the first of it does."""
    parts = [
        frame.select(ENTITY, pl.col(column).cast(pl.Int64).alias("at"))
        for frame, columns in ((portfolio.tags, ("from", "until")), (portfolio.transactions, ("transaction_date",)))
        if isinstance(frame, pl.DataFrame)
        for column in columns
    ]
    if not parts:
        return {}
    first = pl.concat(parts).filter(pl.col("at") > as_of).group_by(ENTITY).agg(pl.col("at").min())
    return dict(first.iter_rows())


@dataclass(frozen=True)
class _Moment:
    """What the entities of one call had before, and what they have now."""

    as_of: int
    before: Mapping[int, Mapping[str, Any]]
    overrides: Mapping[int, Mapping[str, Any]]
    reasons: Mapping[int, int]
    dated: Mapping[str, int]

    def made(self, found: Assessments, version_id: int | None, portfolio: Portfolio) -> Iterator[Made]:
        """Bring assessments into the form that is stored."""
        if not len(found):
            return
        overrides = pl.DataFrame(
            [(str(entity), row["until_us"]) for entity, row in self.overrides.items()],
            schema={ENTITY: pl.String, "until": pl.Int64},
            orient="row",
        )
        following = next_changes(found, overrides, portfolio.lists)
        kept = kept_inputs(found, self.before, self.overrides)
        rows = zip(found.outcomes.iter_rows(named=True), following.iter_rows(named=True), kept, strict=True)
        for position, (row, following_row, inputs) in enumerate(rows):
            explained = explain(found, position)
            entity = int(row[ENTITY])
            next_us, reason = following_row[NEXT], REASONS[following_row[WHY]]
            if row[ENTITY] in self.dated and self.dated[row[ENTITY]] < next_us:
                next_us, reason = self.dated[row[ENTITY]], Reason.DATED
            applies = version_id is not None
            yield Made(
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
                hard_floor=row["hard_floor"],
                score=explained.score if applies else "",
                entered_us=row["entered"],
                may_move_down_us=row["may_move_down_on"],
                override_id=self.overrides[entity]["id"] if row["overridden"] else None,
                breakdown=canonical_json(as_json(explained)),
                inputs=inputs,
                next_us=next_us,
                next_reason=reason,
            )

    def without_ruleset(self, entity: int) -> Made:
        """Give what is stored where no ruleset is active: no level, and nothing that time alone would change."""
        said = {"status": NO_RULESET, "line": "No ruleset is active for this type, so there is no level", "level": ""}
        return Made(
            entity,
            self._number(entity),
            self.as_of,
            None,
            self._source(entity, overridden=False),
            NO_RULESET,
            None,
            self._level_before(entity),
            None,
            0,
            0,
            "",
            None,
            None,
            None,
            canonical_json(said),
            "{}",
            None,
            Reason(0),
        )

    def _number(self, entity: int) -> int:
        return int(self.before[entity]["number"]) + 1 if entity in self.before else 1

    def _level_before(self, entity: int) -> int | None:
        return self.before[entity]["level"] if entity in self.before else None

    def _source(self, entity: int, overridden: bool) -> str:
        """Say what made the difference: an override that began, was revoked or ended; decay alone; or the rules."""
        held = self.before[entity]["override_id"] if entity in self.before else None
        now = self.overrides.get(entity)
        if overridden and now is not None:
            return "override" if held != now["id"] else "rules"
        if held is not None:
            return "expiry" if now is not None and now["id"] == held else "override"
        return "decay" if self.reasons[entity] == Reason.DECAY else "rules"
