"""Assess entities from stored facts, all in one frame; the first ruleset that applies decides on each entity."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import polars as pl
from sqlalchemy.orm import Session

from fivefold.risk.compiler.analysis import Analysed, analyse_canonical
from fivefold.risk.engine.assess import assess
from fivefold.risk.engine.assessments import STATUS, Assessments, Status
from fivefold.risk.engine.deciding import Attempt, deciders, try_in_order, with_keepers
from fivefold.risk.engine.levels import HELD_FLOOR, HELD_HARD_FLOOR, RULES_LEVEL, from_text
from fivefold.risk.engine.time_changes import NEVER, next_by_time
from fivefold.risk.facts.look_back import LookBack
from fivefold.risk.facts.portfolio import ENTITY, NamedList, Portfolio
from fivefold.store.ingest.blocks import NewBlocks
from fivefold.store.levels import bulk_reads as loading
from fivefold.store.rulesets.rulesets import active_versions, families_of_versions
from fivefold.store.sql import clocks
from fivefold.store.tables.rulesets import RulesetVersion
from fivefold.usecases.levels.groups.links import LinkedEntities, read_linked
from fivefold.usecases.levels.groups.memberships import GroupLook, groups_of_type, look_at_groups
from fivefold.usecases.levels.portfolio import (
    TransactionsRead,
    coming_corrections,
    count_rows,
    entity_text,
    parts_of,
    read_stored_portfolio,
    transactions_for,
)
from fivefold.usecases.levels.records import AssessmentContext, AssessmentRecord, families_in
from fivefold.usecases.levels.value_scores import EntityScorer, EntityScores, last_values


def rows_to_read(
    session: Session, organisation_id: int, type_id: int, ids: Sequence[int], now_us: int, valuer: EntityScorer | None
) -> dict[int, int]:
    """Return by entity the approximate number of transactions that an assessment reads; one with none may be absent.

    Transactions of linked entities count too, and each linked entity as one more.
    """
    rulesets = [analyse_canonical(version.canonical) for version in active_versions(session, organisation_id, type_id)]
    read: list[Analysed[Any]] = [*rulesets, *groups_of_type(session, type_id).read]
    if valuer is None and not _reads_transactions(read):
        return {}
    back, linked = _look_back(read, valuer), read_linked(session, type_id, ids, read, now_us)
    if linked is None:
        return count_rows(session, loading.fact_owners(session, ids), now_us, back)
    return linked.summed(count_rows(session, loading.fact_owners(session, linked.everyone()), now_us, back))


def _reads_transactions(read: Sequence[Analysed[Any]]) -> bool:
    return any(parts_of(each) & {"transactions", "indicators"} for each in read)


def _look_back(read: Sequence[Analysed[Any]], valuer: EntityScorer | None) -> LookBack | None:
    """Return how far back to read; None for all history, which indicators of the value model need."""
    return LookBack.of(read) if valuer is None else None


@dataclass(frozen=True)
class AssessmentResult:
    """The assessments of some entities.

    Attributes:
        absent: entities about which nothing is known any more.
        ahead: entities that were not assessed, as their last assessment is dated after now, with its moment.
        values: the values of the entities at each moment; without a model the last ones.
        without_model: whether they were assessed without the value model.
        summaries: new summaries of transactions, for `store.levels.summaries.store_summaries`.
        blocks: new blocks of transactions, for `store.ingest.blocks.store_blocks`.
        looks: the results of the conditions of groups, for `usecases.levels.groups.memberships.store_looks`.
        members: the entities that each one is linked to, where a ruleset or a group follows links.
    """

    records: tuple[AssessmentRecord, ...]
    absent: tuple[int, ...] = ()
    values: tuple[EntityScores, ...] = ()
    summaries: tuple[pl.DataFrame, ...] = ()
    blocks: tuple[NewBlocks, ...] = ()
    ahead: Mapping[int, int] = field(default_factory=dict)
    looks: tuple[GroupLook, ...] = ()
    without_model: bool = False
    members: Mapping[int, frozenset[int]] = field(default_factory=dict)


def assess_entities(
    session: Session,
    organisation_id: int,
    type_id: int,
    reasons: Mapping[int, int],
    now_us: int,
    valuer: EntityScorer | None = None,
) -> AssessmentResult:
    """Assess entities of one type as of now; nothing is stored.

    Args:
        session: to read with.
        organisation_id: the organisation that they belong to.
        type_id: their type.
        reasons: why each is due, by its number.
        now_us: the moment; an entity whose last assessment is a little later is assessed as of that.
        valuer: the value model; without it the last values are read, and are unknown where transactions changed since.

    Raises:
        InvalidRulesetError: a ruleset lacks something that it reads, such as a list; then no entity is assessed.
    """
    standing = with_releases(
        loading.current_levels(session, sorted(reasons)), loading.releases(session, sorted(reasons))
    )
    last = dict(standing[["entity", "assessed_us"]].rows())
    latest = clocks.latest_us(session, now_us, max(last.values(), default=now_us))
    ahead = {entity: at for entity, at in last.items() if at > latest}
    moments: dict[int, dict[int, int]] = {}
    for entity in sorted(set(reasons).difference(ahead)):
        moments.setdefault(max(now_us, last.get(entity, 0)), {})[entity] = reasons[entity]
    results = [
        _assess_at(session, organisation_id, type_id, of_moment, as_of, valuer, _those(standing, of_moment))
        for as_of, of_moment in sorted(moments.items())
    ]
    return AssessmentResult(
        tuple(sorted((record for result in results for record in result.records), key=lambda each: each.entity_id)),
        tuple(absent for result in results for absent in result.absent),
        tuple(values for result in results for values in result.values),
        tuple(summary for result in results for summary in result.summaries),
        tuple(new for result in results for new in result.blocks),
        ahead,
        tuple(look for result in results for look in result.looks),
        valuer is None,
        {entity: members for result in results for entity, members in result.members.items()},
    )


class RulesLevel(NamedTuple):
    """The result of the rules alone: the numbers of the level, the highest floor and the hard floor; 0 for none."""

    level: int
    floor: int
    hard_floor: int


def levels_by_rules(
    session: Session,
    organisation_id: int,
    type_id: int,
    ids: Sequence[int],
    as_of_us: int,
    part: str,
    lists: Mapping[str, NamedList],
) -> dict[int, RulesLevel] | None:
    """Compute the levels of the rules alone for entities of one type, without earlier levels and overrides.

    Entities that cannot be assessed in full are left out. None where no active ruleset of the type reads *part*.
    *lists* are the lists that its rulesets name.
    """
    versions = active_versions(session, organisation_id, type_id)
    rulesets = [analyse_canonical(version.canonical) for version in versions]
    if not any(part in parts_of(ruleset) for ruleset in rulesets):
        return None
    portfolio = read_stored_portfolio(session, organisation_id, type_id, ids, rulesets, as_of_us, lists=lists)
    nothing = (loading.current_levels(session, []), loading.overrides(session, []))
    with_rules = (Status.ASSESSED.value, Status.NOT_APPLICABLE.value)
    return {
        int(entity): RulesLevel(level or 0, floor or 0, hard_floor or 0)
        for _, assessments, _ in _decided(versions, portfolio, as_of_us, *nothing, {}, ahead=False)
        for entity, status, level, floor, hard_floor in assessments.outcomes.select(
            ENTITY, STATUS, RULES_LEVEL, HELD_FLOOR, HELD_HARD_FLOOR
        ).iter_rows()
        if status in with_rules
    }


def _assess_at(
    session: Session,
    organisation_id: int,
    type_id: int,
    reasons: Mapping[int, int],
    as_of: int,
    valuer: EntityScorer | None,
    standing: pl.DataFrame,
) -> AssessmentResult:
    ids = sorted(reasons)
    overrides, groups = loading.overrides(session, ids), groups_of_type(session, type_id)
    versions = active_versions(session, organisation_id, type_id)
    rulesets = [analyse_canonical(version.canonical) for version in versions]
    read_for: list[Analysed[Any]] = [*rulesets, *groups.read]
    linked = read_linked(session, type_id, ids, read_for, as_of)
    stored = to_come = None
    transactions = TransactionsRead(pl.DataFrame())
    if valuer is not None or _reads_transactions(read_for):
        whose = loading.fact_owners(session, ids if linked is None else linked.everyone())
        back = _look_back(read_for, valuer)
        for_value = back is None or bool(back.summary) or any("indicators" in parts_of(each) for each in read_for)
        transactions = transactions_for(session, whose, as_of, for_value=for_value, back=back, stored_of=ids)
        stored = transactions.rows
        to_come = coming_corrections(session, whose, as_of)
    own = stored if linked is None or stored is None else _those(stored, ids)
    if valuer is None or own is None:
        values = last_values(session, reasons, standing, as_of)
    else:
        values = valuer.values_of(session, ids, own, as_of)
    portfolio = read_stored_portfolio(
        session, organisation_id, type_id, ids, read_for, as_of, stored=stored, values=values.frame, linked=linked
    )
    entity_ids = sorted(map(int, portfolio.entities[ENTITY]))
    context = AssessmentContext(
        as_of=as_of,
        before={row["entity"]: row for row in standing.iter_rows(named=True)},
        overrides={row["entity"]: row for row in overrides.iter_rows(named=True)},
        reasons=reasons,
        dated=_first_of_group(_dated_after(portfolio, (stored, to_come), as_of), linked),
        settled=values.settled,
    )
    records: list[AssessmentRecord] = []
    decided_before = _decided_before(session, versions, standing)
    for version, assessments, moves in _decided(versions, portfolio, as_of, standing, overrides, decided_before):
        version_id = None if version is None else versions[version].id
        records += context.records(assessments, version_id, portfolio, rulesets[:version], moves)
    if not rulesets:
        records = [context.without_ruleset(entity) for entity in entity_ids]
    records, looks = look_at_groups(groups, portfolio, records, as_of)
    absent = tuple(sorted(set(ids).difference(entity_ids)))
    summaries = () if transactions.summary is None else (transactions.summary,)
    members, blocks = {} if linked is None else linked.members, tuple(transactions.blocks)
    return AssessmentResult(tuple(records), absent, (values,), summaries, blocks, looks=looks, members=members)


def _those(frame: pl.DataFrame, entities: Collection[int]) -> pl.DataFrame:
    """Return the rows of some entities. Mostly these are all rows, and then no query of Polars is made."""
    if set(frame["entity"].to_list()).issubset(entities):
        return frame
    return frame.filter(pl.col("entity").is_in(list(entities)))


def _decided_before(
    session: Session, versions: Sequence[RulesetVersion], standing: pl.DataFrame
) -> Mapping[str, tuple[int, ...]]:
    """Return the places of the rulesets that decided last on each entity, or keep it, by its number as text."""
    places = {version.family_id: place for place, version in enumerate(versions)}
    return {
        entity: tuple(places[each] for each in families if each in places)
        for entity, families in families_before(session, standing).items()
    }


def families_before(session: Session, standing: pl.DataFrame) -> dict[str, tuple[int, ...]]:
    """Read the families that decided last on each entity, or keep it, by the entity's number as text.

    *standing* is a frame of `store.levels.bulk_reads.current_levels`.
    """
    family_of = families_of_versions(session, list(set(standing["version_id"].to_list()) - {None}))
    rows = standing[["entity", "version_id", "kept_by"]].rows()
    return {
        str(entity): (family_of[version_id], *families_in(kept_by))
        for entity, version_id, kept_by in rows
        if version_id in family_of
    }


def _decided(
    versions: Sequence[RulesetVersion],
    portfolio: Portfolio,
    as_of: int,
    standing: pl.DataFrame,
    overrides: pl.DataFrame,
    decided_before: Mapping[str, Collection[int]],
    *,
    ahead: bool = True,
) -> Iterator[tuple[int | None, Assessments, Mapping[str, int]]]:
    """Try the rulesets in order: each assesses the entities to which no earlier one applied; None where none applies.

    A ruleset does not let go while it is unknown whether it applies: see `risk.engine.deciding`. With *ahead*, each
    item also has, by entity, the moment when time alone may change the result of another ruleset that was tried.
    """
    previous = held_before(standing)
    set_by_hand = overrides.select(entity_text(), level="level", until="until_us")
    rulesets = [analyse_canonical(version.canonical) for version in versions]
    attempts = try_in_order(
        len(versions),
        portfolio.entities,
        decided_before,
        lambda place, rows: assess(rulesets[place], _only(portfolio, rows), as_of, previous, set_by_hand, ahead=ahead),
    )
    if not attempts:
        return
    deciding = deciders(attempts, decided_before)
    moves = _moves_of_others(attempts, deciding) if ahead and len(attempts) > 1 else {}
    attempts = with_keepers(attempts, decided_before, deciding, [version.family_id for version in versions])
    for attempt in attempts:
        mine = _places_of(attempt.assessments, deciding).eq_missing(attempt.place)
        if mine.any():
            yield attempt.place, attempt.assessments.where(mine), moves
    last = attempts[-1]
    none = _places_of(last.assessments, deciding).is_null()
    if none.any():
        yield None, last.assessments.where(none), moves


def _moves_of_others(attempts: Sequence[Attempt], deciding: Mapping[str, int]) -> dict[str, int]:
    """Return by entity when time alone may let a ruleset decide that does not now, or let its floor apply."""
    first: dict[str, int] = {}
    for attempt in attempts:
        others = attempt.assessments.where(_places_of(attempt.assessments, deciding).ne_missing(attempt.place))
        never = pl.repeat(NEVER, len(others), dtype=pl.Int64, eager=True)
        for entity, moment in zip(others.outcomes[ENTITY], next_by_time(others, never), strict=True):
            first[entity] = min(moment, first.get(entity, NEVER))
    return first


def with_releases(standing: pl.DataFrame, releases: pl.DataFrame) -> pl.DataFrame:
    """Replace the standings that a withdrawn version left by those without that version, from which entities go on.

    The level in force stays as it is, so the change shows as a transition. The next result is stored in any case.
    """
    if not len(releases):
        return standing
    keys = ["entity", "version_id", "rules_level", "entered_us", "assessed_us"]
    names = ("level", "entered_us", "floor", "hard_floor", "floors_lost")
    latest = releases.unique("entity", keep="last").select(
        *("entity", "version_id", "assessed_us"),
        *(pl.col(name).alias(f"released_{name}") for name in names),
        rules_level="held_level",
        entered_us="held_entered_us",
    )
    rows = standing.join(latest, on=keys, how="left", maintain_order="left")
    counts = pl.col("released_level").is_not_null()
    return rows.with_columns(
        *(
            pl.when(counts).then(f"released_{name}").otherwise(column).alias(column)
            for name, column in zip(names, ("rules_level", *names[1:]), strict=True)
        ),
        pl.when(~counts).then("digest").alias("digest"),
    ).select(standing.columns)


def held_before(standing: pl.DataFrame) -> pl.DataFrame:
    """Return the standings (`store.levels.bulk_reads.current_levels`) in the columns that the engine goes on from."""
    previous = standing.select(entity_text(), "floor", "hard_floor", level="rules_level", entered="entered_us")
    return previous.with_columns(from_text(standing["floors_lost"]))


def _places_of(assessments: Assessments, deciding: Mapping[str, int]) -> pl.Series:
    return pl.Series([deciding.get(entity) for entity in assessments.outcomes[ENTITY]], dtype=pl.Int64)


def _only(portfolio: Portfolio, entities: pl.DataFrame) -> Portfolio:
    return Portfolio(**{**vars(portfolio), "entities": entities})


def _dated_after(portfolio: Portfolio, moments: Sequence[pl.DataFrame | None], as_of: int) -> dict[int, int]:
    """Return by entity the first later moment at which something that is already known begins or ends.

    Mostly these are ends of tags and transactions dated ahead; other facts are dated ahead by a clock that was wrong.
    *moments* have `entity` and `at_us`.
    """
    some = [each for each in moments if each is not None and (each["at_us"] > as_of).any()]
    dated = [each.select("entity", at="at_us") for each in some]
    for part, columns in _MOMENTS.items():
        frame = getattr(portfolio, part)
        if frame is not None and len(frame):
            entity = pl.col(ENTITY).cast(pl.Int64).alias("entity")
            dated += [frame.select(entity, pl.col(column).cast(pl.Int64).alias("at")) for column in columns]
    if not dated:
        return {}
    first = pl.concat(dated).filter(pl.col("at") > as_of).group_by("entity").agg(pl.col("at").min())
    return dict(first.iter_rows())


def _first_of_group(dated: Mapping[int, int], linked: LinkedEntities | None) -> Mapping[int, int]:
    """Return by entity the first moment among its own and those of its linked entities."""
    if linked is None:
        return dated
    firsts = {
        entity: min((dated[one] for one in (entity, *members) if one in dated), default=None)
        for entity, members in linked.members.items()
    }
    return {entity: first for entity, first in firsts.items() if first is not None}


_MOMENTS: Mapping[str, Sequence[str]] = {
    "tags": ("from", "until"),
    "screenings": ("at",),
    "cases": ("opened", "closed"),
    "alerts": ("opened", "closed"),
}
