"""Validates families of rulesets by later labels: each on the entities for which it decides, and all together."""

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from fivefold.domain.clock import day_text
from fivefold.domain.errors import NotEnoughDataError
from fivefold.domain.text import count_text
from fivefold.risk.engine.assessments import COMPUTED, STATUS, Status
from fivefold.risk.engine.program import APPLIES
from fivefold.risk.facts.portfolio import AS_OF, ENTITY
from fivefold.risk.governance.backtest.compositions import Decisions
from fivefold.risk.governance.validate.labels import (
    LabelledEntities,
    doubts_about_strangers,
    match_labels,
    refuse_leaks,
)
from fivefold.risk.governance.validate.measures import Capture, LevelRow, captured_share, level_rows
from fivefold.risk.governance.validate.peers import PeerComparison, compare_with_peer
from fivefold.risk.governance.validate.ranking import AnotherRuleset, Marks, Ranking, beside_another, rank
from fivefold.risk.governance.validate.run import Validation, ValidationOptions, levels_by_rules, validate
from fivefold.risk.governance.validate.verdicts import LimitVerdict, verdicts


@dataclass(frozen=True, kw_only=True)
class JudgedFamily:
    """One of the rulesets that decide.

    Attributes:
        family: its name.
        entities: the number of entities for which it decides.
        validation: the validation on these alone; None if no entity is left to judge.
        unjudged: why there is no validation; empty if there is one.
    """

    family: str
    entities: int
    validation: Validation | None
    unjudged: str


@dataclass(frozen=True, kw_only=True)
class FamiliesValidation:
    """The result of validating families of rulesets.

    Totals of different rulesets cannot be compared, so all entities together are ranked only by level.

    Attributes:
        as_of: the moment, in words.
        horizon: labels that became known later do not count; empty for all.
        seed: the seed of the resamples.
        resamples: the number of resamples.
        entities: how many the portfolio has.
        undecided: the number of entities to which no ruleset applies.
        undecided_confirmed: how many of these are confirmed; they count in no figure.
        known: how many were already confirmed at as-of.
        judged: the number of the others, whose levels are judged.
        confirmed: how many of these are confirmed.
        ranked: how many of the judged were assessed in full.
        level_ranking: AUC and Gini of the level by the rules; None if it cannot be measured.
        levels: the portfolio by level.
        capture: the share of the confirmed in the top levels; None if no entity is confirmed.
        other: the paired comparison, by level, with another ruleset in place of the first; None without one.
        peer: a peer's figures beside these; None without any.
        verdicts: the comparisons with the acceptance limits.
        families: each ruleset separately, in the order in which they are tried.
        cautions: the limits of what the numbers show.
    """

    as_of: str
    horizon: str
    seed: int
    resamples: int
    entities: int
    undecided: int
    undecided_confirmed: int
    known: int
    judged: int
    confirmed: int
    ranked: int
    level_ranking: Ranking | None
    levels: tuple[LevelRow, ...]
    capture: Capture | None
    other: AnotherRuleset | None
    peer: PeerComparison | None
    verdicts: tuple[LimitVerdict, ...]
    families: tuple[JudgedFamily, ...]
    cautions: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


def validate_families(
    names: tuple[str, ...],
    decisions: Decisions,
    labels: pl.DataFrame,
    as_of: int,
    options: ValidationOptions,
    reference: Decisions | None,
    other: tuple[str, Decisions] | None,
) -> FamiliesValidation:
    """Compare what families of rulesets decided as of one moment with what became known afterwards.

    Args:
        names: the names of the families, in the order in which they are tried.
        decisions: the decisions from what was known at as-of, without standing levels or overrides.
        labels: see `risk.governance.validate.labels.match_labels`.
        as_of: the moment, microseconds.
        options: floors, bans, horizon and resamples.
        reference: the same families as of a reference period, for drift.
        other: the name of another ruleset, and the decisions with it in place of the first.

    Raises:
        InvalidRulesetError: an input reads what the label was made of, or is banned.
        FileFormatError: the labels cannot be read.
        NotEnoughDataError: no entity is judged.
    """
    for part in (*decisions.parts.values(), *(() if other is None else other[1].parts.values())):
        refuse_leaks(part.program.analysed, options.banned, options.made_of)
    outcomes = _outcomes(decisions, as_of)
    marked = match_labels(labels, outcomes, options.until, undated_are_later=options.undated_are_later)
    decided, judged = outcomes[APPLIES].to_numpy(), marked.judged(outcomes)
    _require_some(judged)
    ranked = judged & (outcomes[STATUS] == Status.ASSESSED.value).to_numpy()
    level, confirmed = levels_by_rules(outcomes), marked.confirmed
    level_names = next(iter(decisions.parts.values())).program.ruleset.levels
    levels = level_rows(level[judged], confirmed[judged], level_names)
    capture = captured_share(level[judged], confirmed[judged], level_names)
    ranking = _ranking(level[ranked], confirmed[ranked], options)
    families = tuple(_family(name, decisions, labels, options, reference) for name in names)
    undecided_confirmed, confirmed_count = int((~decided & confirmed).sum()), int((judged & confirmed).sum())
    return FamiliesValidation(
        as_of=day_text(as_of),
        horizon="" if options.until is None else day_text(options.until),
        seed=options.seed,
        resamples=options.resamples,
        entities=len(outcomes),
        undecided=int((~decided).sum()),
        undecided_confirmed=undecided_confirmed,
        known=int((decided & marked.known_before).sum()),
        judged=int(judged.sum()),
        confirmed=confirmed_count,
        ranked=int(ranked.sum()),
        level_ranking=ranking,
        levels=levels,
        capture=capture,
        other=None if other is None else _compared(other, outcomes, as_of, ranked, confirmed, options),
        peer=compare_with_peer(options.peer, None, ranking, capture, levels),
        verdicts=verdicts(None, capture, confirmed_count, levels, options.floors)[1:],
        families=families,
        cautions=(*_cautions(options, undecided_confirmed, marked), *_of_families(families)),
    )


def _require_some(judged: Marks) -> None:
    if not judged.any():
        raise NotEnoughDataError(
            f"of {len(judged):,} entities nobody is left to judge: no ruleset applies to them, or they were "
            "confirmed before"
        )


def _outcomes(decisions: Decisions, as_of: int) -> pl.DataFrame:
    """Return a row for each entity, in the order of the portfolio; without a decision it is not applicable."""
    columns = {ENTITY: pl.String, COMPUTED: pl.Int8, STATUS: pl.String, APPLIES: pl.Boolean}
    nobody = pl.DataFrame(schema=columns)
    rows = pl.concat(
        [nobody, *(part.outcomes.select(list(columns)) for part in decisions.parts.values())], how="vertical_relaxed"
    )
    everybody = decisions.frame.select(ENTITY, pl.lit(as_of, pl.Int64).alias(AS_OF))
    joined = everybody.join(rows, on=ENTITY, how="left", validate="1:1", maintain_order="left")
    return joined.with_columns(pl.col(APPLIES).fill_null(False), pl.col(STATUS).fill_null(Status.NOT_APPLICABLE.value))


def _ranking(level: np.ndarray[Any, Any], confirmed: Marks, options: ValidationOptions) -> Ranking | None:
    if not confirmed.any() or confirmed.all():
        return None
    return rank(level, confirmed, options.seed, options.resamples)


def _family(
    name: str, decisions: Decisions, labels: pl.DataFrame, options: ValidationOptions, reference: Decisions | None
) -> JudgedFamily:
    """Validate one ruleset on the entities for which it decides; labels of others do not count as strangers."""
    part = decisions.parts.get(name)
    if part is None:
        return JudgedFamily(family=name, entities=0, validation=None, unjudged="it decides on nobody")
    own = labels.filter(pl.col(ENTITY).cast(pl.String).is_in(part.outcomes[ENTITY].implode()))
    earlier = None if reference is None else reference.parts.get(name)
    try:
        validation = validate(part, own, replace(options, peer=None, cautions=()), earlier)
    except NotEnoughDataError as problem:
        return JudgedFamily(family=name, entities=len(part), validation=None, unjudged=str(problem))
    return JudgedFamily(family=name, entities=len(part), validation=validation, unjudged="")


def _compared(
    other: tuple[str, Decisions],
    outcomes: pl.DataFrame,
    as_of: int,
    ranked: Marks,
    confirmed: Marks,
    options: ValidationOptions,
) -> AnotherRuleset:
    name, decisions = other
    theirs = _outcomes(decisions, as_of)
    both = ranked & (theirs[STATUS] == Status.ASSESSED.value).fill_null(False).to_numpy()
    sides = levels_by_rules(outcomes)[both], levels_by_rules(theirs)[both]
    return beside_another(name, sides, confirmed[both], options.seed, options.resamples)


def _cautions(options: ValidationOptions, undecided_confirmed: int, marked: LabelledEntities) -> tuple[str, ...]:
    cautions = list(options.cautions)
    if undecided_confirmed:
        cautions.append(
            f"{count_text(undecided_confirmed, 'confirmed entity', 'confirmed entities')} to whom no ruleset applies "
            "count nowhere: nothing would have found them"
        )
    return (*cautions, *doubts_about_strangers(marked))


def _of_families(families: tuple[JudgedFamily, ...]) -> tuple[str, ...]:
    unjudged = [f"{each.family}: {each.unjudged}" for each in families if each.validation is None]
    theirs = [
        f"{each.family}: {caution}" for each in families if each.validation for caution in each.validation.cautions
    ]
    return (*unjudged, *theirs)
