"""Backtests a draft among families of rulesets: deciding families and levels on a portfolio from files."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import polars as pl

from fivefold.domain.clock import day_text
from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.engine.assessments import Assessments, Status
from fivefold.risk.engine.levels import ENTERED, RULES_LEVEL
from fivefold.risk.facts.portfolio import ENTITY, Portfolio
from fivefold.risk.governance.backtest.compositions import (
    NOBODY,
    Composition,
    CompositionComparison,
    CompositionSide,
    Decisions,
    EntityMoved,
    PriorState,
    compare_decisions,
    decide,
    families_after,
    furthest,
    joined_comparisons,
)
from fivefold.risk.governance.backtest.moves import (
    CaseHits,
    MoveCount,
    case_hits,
    cells,
    first_failures,
    reasons,
    score_changes,
    total_text,
)
from fivefold.risk.governance.backtest.run import (
    MOVERS,
    HeldLevels,
    Progress,
    check_levels,
    draw,
    list_days,
    sum_cells,
    sum_hits,
)

NO_REACH = (
    "The draft decides on none of these entities: compare its `applies_to` with the fields that they have, and with "
    "that of the rulesets before it."
)


@dataclass(frozen=True, kw_only=True)
class FamilyHits:
    """One ruleset among those that decide.

    Attributes:
        family: the name of its place: the name of the ruleset in force, which a draft takes over.
        ruleset: its own name.
        content_hash: the hash of its canonical form.
        entities: the number of entities on which it decides.
        lists: the days since which the versions of its lists are in force.
        hits: every outcome of every rule, for entities on which it decides; empty if there are none.
    """

    family: str
    ruleset: str
    content_hash: str
    entities: int
    lists: dict[str, tuple[str, ...]]
    hits: tuple[CaseHits, ...]


@dataclass(frozen=True, kw_only=True)
class FamilyMover(EntityMoved):
    """An entity that would move, with its points and the reasons, as in other backtests."""

    points_before: str
    points_after: str
    reasons: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class FamiliesBacktest:
    """Families of rulesets with a draft among them, compared with those that decide now.

    Attributes:
        as_of: the moment, in words.
        entities: the number of entities in the whole portfolio.
        drawn: how many of them were assessed.
        seed: the seed of the sample.
        draft_family: the family whose place the draft takes.
        levels: the levels of all rulesets, lowest first.
        present: the rulesets that decide now, in the order in which they are tried.
        draft: the rulesets that would decide.
        present_side: the number of entities at each place by the present rulesets.
        draft_side: the same with the draft.
        standing: the source of the levels held before.
        deciders: the moves from family to family.
        alone: the moves from place to place by the rules alone.
        later: the same after the cooldown; None if no held levels were known.
        movers: the entities that change most.
        cautions: the limits of what the numbers show.
    """

    as_of: str
    entities: int
    drawn: int
    seed: int
    draft_family: str
    levels: tuple[str, ...]
    present: tuple[FamilyHits, ...]
    draft: tuple[FamilyHits, ...]
    present_side: CompositionSide
    draft_side: CompositionSide
    standing: str
    deciders: tuple[MoveCount, ...]
    alone: tuple[MoveCount, ...]
    later: tuple[MoveCount, ...] | None
    movers: tuple[FamilyMover, ...]
    cautions: tuple[str, ...]

    @property
    def orders(self) -> tuple[list[str], list[str]]:
        """The order of the places before, and of those after: levels, reasons for none, and the place of no ruleset."""
        reasons_for_none = (f"({status.value})" for status in Status if status != Status.ASSESSED)
        places = [*self.levels, *reasons_for_none, NOBODY]
        return places, places

    def to_dict(self) -> dict[str, Any]:
        """Convert the result to plain data."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class FamiliesComparison:
    """The results of families on some entities now, and with the draft among them.

    Attributes:
        present: the rulesets that decide now, in the order in which they are tried.
        draft: the rulesets that would decide.
        compared: the places of all entities, before and after.
        deciders: the moves from family to family.
        movers: the entities that change most.
        standing: the source of the levels held before.
        has_standing: whether there are such levels.
        cautions: the cautions about these levels.
        failing: by side, the place of the family that decides on each entity that could not be assessed in full.
    """

    present: tuple[FamilyHits, ...]
    draft: tuple[FamilyHits, ...]
    compared: CompositionComparison
    deciders: tuple[MoveCount, ...]
    movers: tuple[FamilyMover, ...]
    standing: str
    has_standing: bool
    cautions: tuple[str, ...]
    failing: tuple[Mapping[str, int], Mapping[str, int]]


def backtest_families(
    before: Composition,
    after: Composition,
    draft_family: str,
    portfolio: Portfolio,
    as_of: int,
    standing: HeldLevels | None = None,
    decided: Mapping[str, Sequence[str]] | None = None,
    size: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> FamiliesBacktest:
    """Assess a portfolio, or a sample of it, by the families that decide now and by those with the draft among them.

    Args:
        before: the composition that decides now; all rulesets of both have the same levels.
        after: the composition with the draft.
        draft_family: the family whose place the draft takes.
        portfolio: the entities, and all data that the rulesets read.
        as_of: the moment, in microseconds.
        standing: the levels held; without them only the rules are shown, without cooldown.
        decided: the families that decided on each entity until now, or keep it, if known.
        size: the size of the sample; all entities if it is not given.
        seed: the seed of the sample.
        progress: called with the number of entities done, and of all on both sides.

    Raises:
        InvalidRulesetError: a ruleset, or something that it needs, is missing or wrong.
        ConfigError: the sample or the held levels are invalid.
    """
    standing, rulesets = standing or HeldLevels(), (*before.rulesets.values(), *after.rulesets.values())
    check_levels(standing, [each.ruleset for each in rulesets])
    part = draw(portfolio, as_of, size, seed)
    of_all = compare_families(before, after, part.portfolio, as_of, standing, decided, progress)
    return families_evidence(of_all, after, draft_family, as_of, part.entities, seed)


def compare_families(
    before: Composition,
    after: Composition,
    portfolio: Portfolio,
    as_of: int,
    standing: HeldLevels,
    decided: Mapping[str, Sequence[str]] | None,
    progress: Progress | None = None,
) -> FamiliesComparison:
    """Compare the results of families on entities; arguments and errors are those of `backtest_families`."""
    size = portfolio.entities[ENTITY].n_unique()
    report, steps = progress or (lambda *_: None), 2 * size
    report(0, steps)
    now = decide(before, portfolio, as_of, before_draft := PriorState(standing.levels, decided or {}))
    report(size, steps)
    going_on, source, cautions = _standing(standing, now, before_draft)
    then = decide(after, portfolio, as_of, going_on)
    report(steps, steps)
    compared = compare_decisions(now, then)
    return FamiliesComparison(
        present=_families(before, now),
        draft=_families(after, then),
        compared=compared,
        deciders=_deciders(now, then),
        movers=tuple(_mover(moved, now, then) for moved in compared.movers),
        standing=source,
        has_standing=going_on.standing is not None,
        cautions=tuple(cautions),
        failing=(_failing(before, now), _failing(after, then)),
    )


def joined_families(parts: Sequence[FamiliesComparison]) -> FamiliesComparison:
    """Join comparisons by the same families and moment, at least one, in the order of the portfolio."""
    first = parts[0]
    compared = joined_comparisons([part.compared for part in parts])
    present, draft = (
        _joined_side(getattr(compared, name), parts, place) for place, name in enumerate(("present", "draft"))
    )
    return FamiliesComparison(
        present=_joined_hits([part.present for part in parts]),
        draft=_joined_hits([part.draft for part in parts]),
        compared=replace(compared, present=present, draft=draft),
        deciders=sum_cells(part.deciders for part in parts),
        movers=tuple(sorted((mover for part in parts for mover in part.movers), key=furthest)[:MOVERS]),
        standing=first.standing,
        has_standing=any(part.has_standing for part in parts),
        cautions=first.cautions,
        failing=({}, {}),
    )


def _joined_side(joined: CompositionSide, parts: Sequence[FamiliesComparison], place: int) -> CompositionSide:
    """Join one side, with failures in the order of a single process: those of the first family first."""
    sides = [(part.failing[place], part.compared.draft if place else part.compared.present) for part in parts]
    failures = [(places[failure.entity], failure) for places, side in sides for failure in side.failures]
    ordered = (failure for _, failure in sorted(failures, key=lambda pair: pair[0]))
    return replace(joined, failures=first_failures(ordered))


def _joined_hits(parts: Sequence[tuple[FamilyHits, ...]]) -> tuple[FamilyHits, ...]:
    joined = []
    for of_family in zip(*parts, strict=True):
        deciding = [each for each in of_family if each.entities] or of_family[:1]
        joined.append(
            replace(
                deciding[0],
                entities=sum(each.entities for each in deciding),
                hits=sum_hits([each.hits for each in deciding]),
            )
        )
    return tuple(joined)


def families_evidence(
    of_all: FamiliesComparison, after: Composition, draft_family: str, as_of: int, entities: int, seed: int
) -> FamiliesBacktest:
    """Make the backtest from the comparison of all entities that were drawn from *entities*."""
    compared = of_all.compared
    is_reached = any(each.family == draft_family and each.entities for each in of_all.draft)
    return FamiliesBacktest(
        as_of=day_text(as_of),
        entities=entities,
        drawn=compared.entities,
        seed=seed,
        draft_family=draft_family,
        levels=after.rulesets[draft_family].ruleset.levels,
        present=of_all.present,
        draft=of_all.draft,
        present_side=compared.present,
        draft_side=compared.draft,
        standing=of_all.standing,
        deciders=of_all.deciders,
        alone=compared.alone,
        later=compared.later if of_all.has_standing else None,
        movers=of_all.movers,
        cautions=(*(() if is_reached else (NO_REACH,)), *of_all.cautions),
    )


def _failing(what: Composition, decisions: Decisions) -> dict[str, int]:
    places = {family: place for place, family in enumerate(what.rulesets)}
    failing = {failure.entity for failure in decisions.failures}
    rows = decisions.frame.filter(pl.col(ENTITY).is_in(list(failing))).select(ENTITY, "family").iter_rows()
    return {entity: places[family] for entity, family in rows}


def _standing(standing: HeldLevels, now: Decisions, before: PriorState) -> tuple[PriorState, str, list[str]]:
    """Find the levels held before the draft, their source in words, and cautions about them."""
    if standing.levels is not None:
        return before, "the levels that were given", []
    decided = families_after(now.parts.items())
    if standing.entered is None:
        caution = "The cooldown is left out: it is not known which levels stand, and since when."
        return replace(before, families=decided), "none", [caution]
    levels = [
        part.outcomes.filter(pl.col(RULES_LEVEL).is_not_null()).select(
            ENTITY, pl.col(RULES_LEVEL).alias("level"), pl.lit(standing.entered, pl.Int64).alias(ENTERED)
        )
        for part in now.parts.values()
    ]
    since = f"those of the rulesets in force, taken to stand since {day_text(standing.entered)}"
    return PriorState(pl.concat(levels) if levels else None, decided), since, []


def _families(what: Composition, decisions: Decisions) -> tuple[FamilyHits, ...]:
    return tuple(_family(name, analysed, decisions.parts.get(name)) for name, analysed in what.rulesets.items())


def _family(name: str, analysed: AnalysedRuleset, part: Assessments | None) -> FamilyHits:
    return FamilyHits(
        family=name,
        ruleset=analysed.ruleset.name,
        content_hash=analysed.ruleset.content_hash,
        entities=0 if part is None else len(part),
        lists={} if part is None else list_days(part),
        hits=() if part is None else case_hits(part),
    )


def _deciders(now: Decisions, then: Decisions) -> tuple[MoveCount, ...]:
    table = now.frame.select(ENTITY, "family").join(
        then.frame.select(ENTITY, after="family"), on=ENTITY, maintain_order="left"
    )
    return cells(table, "family", "after")


def _mover(moved: EntityMoved, now: Decisions, then: Decisions) -> FamilyMover:
    places = [
        _place(side, family, moved.entity)
        for side, family in ((now, moved.decided_before), (then, moved.decided_after))
    ]
    points = ["" if place is None else total_text(*place) for place in places]
    before, after = places
    why: tuple[str, ...] = ()
    if before is not None and after is not None:
        rulesets = before[0].program.ruleset, after[0].program.ruleset
        why = reasons(*after, *before) or score_changes(*rulesets)
    return FamilyMover(**vars(moved), points_before=points[0], points_after=points[1], reasons=why)


def _place(side: Decisions, family: str, entity: str) -> tuple[Assessments, int] | None:
    """Find an entity among those on which a family decides; None if no ruleset decides."""
    if family == NOBODY:
        return None
    part = side.parts[family]
    position = part.position(entity)
    assert position is not None
    return part, position
