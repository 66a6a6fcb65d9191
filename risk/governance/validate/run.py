"""Validates a ruleset by labels confirmed later: ranking, capture, lift, drift, and verdicts."""

from dataclasses import asdict, dataclass, field
from typing import Any

import polars as pl

from fivefold.domain.clock import day_text
from fivefold.domain.errors import NotEnoughDataError
from fivefold.features.histories import Integers
from fivefold.risk.engine.assessments import COMPUTED, STATUS, Assessments, Status
from fivefold.risk.engine.program import APPLIES, TOTAL
from fivefold.risk.facts.portfolio import AS_OF, ENTITY
from fivefold.risk.governance.backtest.moves import FailedAssessment, failures
from fivefold.risk.governance.backtest.run import list_days, moments_words
from fivefold.risk.governance.validate.factors import (
    Addition,
    Lift,
    StabilityIndex,
    additions,
    lifts,
    stability_indices,
)
from fivefold.risk.governance.validate.labels import (
    LabelledEntities,
    Single,
    doubts_about_banned,
    doubts_about_failed,
    doubts_about_labels,
    match_labels,
    refuse_leaks,
    singles,
)
from fivefold.risk.governance.validate.measures import Capture, LevelRow, capture_curve, captured_share, level_rows
from fivefold.risk.governance.validate.peers import PeerComparison, PeerFigures, compare_with_peer
from fivefold.risk.governance.validate.ranking import (
    RESAMPLES,
    AnotherRuleset,
    Marks,
    Ranking,
    beside_another,
    rank,
)
from fivefold.risk.governance.validate.verdicts import AcceptanceLimits, LimitVerdict, verdicts


@dataclass(frozen=True, kw_only=True)
class Population:
    """The numbers of entities; an entity counts at most once in each.

    Attributes:
        entities: how many the portfolio has.
        not_applicable: the number of entities to which the ruleset does not apply.
        known: how many were already confirmed at as-of, so that nothing is left to predict.
        judged: the number of the others, whose levels are judged.
        confirmed: how many of these are confirmed.
        ranked: how many of these were assessed in full, so that their totals can be ranked.
        ranked_confirmed: how many of the ranked are confirmed.
        failed: how many of the judged could not be assessed in full.
        failed_confirmed: how many of these are confirmed.
        later: how many labels became known only after the horizon; they count as not confirmed.
        undated: how many labels have no date, and are assumed to have become known after as-of.
        strangers: how many confirmed entities the portfolio does not have.
    """

    entities: int
    not_applicable: int
    known: int
    judged: int
    confirmed: int
    ranked: int
    ranked_confirmed: int
    failed: int
    failed_confirmed: int
    later: int
    undated: int
    strangers: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Validation:
    """The result of validating a ruleset.

    Attributes:
        ruleset: its name.
        content_hash: the hash of its canonical form.
        as_of: the moment, in words.
        horizon: labels that became known later do not count; empty for all.
        lists: the days since which the versions of its lists are in force.
        seed: the seed of the resamples.
        resamples: the number of resamples.
        population: the numbers of entities.
        ranking: AUC and Gini of the total; None if it cannot be measured.
        level_ranking: the same for the level by the rules, including floors, on the same entities: a ruleset with
            only floors ranks nothing by its total.
        curve: the shares of entities ranked first, each with their share of the confirmed.
        levels: the portfolio by level.
        capture: the share of the confirmed in the top levels; None if no entity is confirmed.
        lifts: the lift of every rule and case.
        additions: what each rule adds to the Gini.
        singles: the best input columns alone, and all that separate suspiciously well.
        other: the paired comparison with another ruleset; None without one.
        peer: a peer's figures beside these; None without any.
        stability: the drift of factors from the reference period; empty without one.
        verdicts: the comparisons with the acceptance limits.
        failures: the failures of assessments.
        cautions: the limits of what the numbers show.
    """

    ruleset: str
    content_hash: str
    as_of: str
    horizon: str
    lists: dict[str, tuple[str, ...]]
    seed: int
    resamples: int
    population: Population
    ranking: Ranking | None
    level_ranking: Ranking | None
    curve: tuple[tuple[float, float], ...]
    levels: tuple[LevelRow, ...]
    capture: Capture | None
    lifts: tuple[Lift, ...]
    additions: tuple[Addition, ...]
    singles: tuple[Single, ...]
    other: AnotherRuleset | None
    peer: PeerComparison | None
    stability: tuple[StabilityIndex, ...]
    verdicts: tuple[LimitVerdict, ...]
    failures: tuple[FailedAssessment, ...]
    cautions: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class ValidationOptions:
    """Options of a validation.

    Attributes:
        floors: the acceptance limits.
        banned: names that no input may have.
        made_of: the sources that the label itself was made of.
        until: labels that became known after this moment, in microseconds, do not count.
        undated_are_later: assume that labels without a date became known after as-of.
        seed: the seed of the resamples.
        resamples: the number of resamples.
        peer: the peer whose figures to compare; None for none.
        cautions: known doubts about the facts, such as missing dates.
    """

    floors: AcceptanceLimits = field(default_factory=AcceptanceLimits)
    banned: tuple[str, ...] = ()
    made_of: tuple[str, ...] = ("cases", "alerts")
    until: int | None = None
    undated_are_later: bool = False
    seed: int = 0
    resamples: int = RESAMPLES
    peer: PeerFigures | None = None
    cautions: tuple[str, ...] = ()


def validate(
    assessments: Assessments,
    labels: pl.DataFrame,
    options: ValidationOptions | None = None,
    reference: Assessments | None = None,
    other: Assessments | None = None,
) -> Validation:
    """Compare assessments as of one moment with what became known afterwards.

    Args:
        assessments: the assessments from what was known at as-of, without standing levels or overrides.
        labels: see `risk.governance.validate.labels.match_labels`.
        options: limits, bans, horizon and resamples.
        reference: assessments by the same ruleset as of a reference period, for drift.
        other: assessments of the same entities by another ruleset, to compare with.

    Raises:
        InvalidRulesetError: an input reads what the label was made of, or is banned.
        FileFormatError: the labels cannot be read.
        NotEnoughDataError: no entity is judged, or the other assessments are of other entities.
    """
    options = options or ValidationOptions()
    refuse_leaks(assessments.program.analysed, options.banned, options.made_of)
    marked = match_labels(labels, assessments.outcomes, options.until, undated_are_later=options.undated_are_later)
    included = marked.judged(assessments.outcomes)
    if not included.any():
        raise NotEnoughDataError(
            f"of {len(assessments)} entities nobody is left to judge: the ruleset does not apply to them, or they were "
            "confirmed before"
        )
    ruleset, confirmed = assessments.program.ruleset, marked.confirmed
    ranked = included & (assessments.outcomes[STATUS] == Status.ASSESSED.value).to_numpy()
    population = _population(assessments, marked, included, ranked)
    by_level = levels_by_rules(assessments.outcomes)[included], confirmed[included], ruleset.levels
    levels, capture = level_rows(*by_level), captured_share(*by_level)
    measured = _Measured(assessments, ranked, confirmed, options)
    return Validation(
        ruleset=ruleset.name,
        content_hash=ruleset.content_hash,
        as_of=moments_words(assessments),
        horizon="" if options.until is None else day_text(options.until),
        lists=list_days(assessments),
        seed=options.seed,
        resamples=options.resamples,
        population=population,
        ranking=measured.ranking,
        level_ranking=measured.level_ranking,
        curve=measured.curve,
        levels=levels,
        capture=capture,
        lifts=lifts(assessments, included, confirmed),
        additions=measured.additions,
        singles=measured.singles,
        other=None if other is None else _compared(assessments, other, ranked, confirmed, options),
        peer=compare_with_peer(options.peer, measured.ranking, measured.level_ranking, capture, levels),
        stability=() if reference is None else stability_indices(reference, assessments),
        verdicts=verdicts(measured.ranking, capture, population.confirmed, levels, options.floors),
        failures=failures(assessments),
        cautions=tuple(_cautions(assessments, population, measured.singles, options, marked)),
    )


class _Measured:
    """The measures that rank totals; empty unless there are both confirmed entities and others."""

    def __init__(self, assessments: Assessments, included: Marks, confirmed: Marks, options: ValidationOptions) -> None:
        self.ranking: Ranking | None = None
        self.level_ranking: Ranking | None = None
        self.curve: tuple[tuple[float, float], ...] = ()
        self.additions: tuple[Addition, ...] = ()
        self.singles: tuple[Single, ...] = ()
        marks = confirmed[included]
        if marks.any() and not marks.all():
            total, draws = assessments.outcomes[TOTAL].to_numpy()[included], (options.seed, options.resamples)
            self.ranking = rank(total, marks, *draws)
            self.level_ranking = rank(levels_by_rules(assessments.outcomes)[included], marks, *draws)
            self.curve = tuple(capture_curve(total, marks))
            self.additions = additions(assessments, included, confirmed, *draws)
            self.singles = singles(assessments, total, included, confirmed, *draws)


def levels_by_rules(outcomes: pl.DataFrame) -> Integers:
    """Return the levels by the rules alone: 0 for none."""
    return outcomes[COMPUTED].fill_null(0).cast(pl.Int64).to_numpy()


def _population(assessments: Assessments, marked: LabelledEntities, included: Marks, ranked: Marks) -> Population:
    applies = assessments.outcomes[APPLIES].to_numpy()
    broken = included & ~ranked
    return Population(
        entities=len(assessments),
        not_applicable=int((~applies).sum()),
        known=int((applies & marked.known_before).sum()),
        judged=int(included.sum()),
        confirmed=int((included & marked.confirmed).sum()),
        ranked=int(ranked.sum()),
        ranked_confirmed=int((ranked & marked.confirmed).sum()),
        failed=int(broken.sum()),
        failed_confirmed=int((broken & marked.confirmed).sum()),
        later=int(marked.later.sum()),
        undated=marked.undated,
        strangers=marked.strangers,
    )


def _compared(
    assessments: Assessments, other: Assessments, ranked: Marks, confirmed: Marks, options: ValidationOptions
) -> AnotherRuleset:
    same = other.outcomes.select(ENTITY, AS_OF).equals(assessments.outcomes.select(ENTITY, AS_OF))
    if not same:
        raise NotEnoughDataError(
            "the two rulesets were not assessed for the same entities and moments, in the same order"
        )
    refuse_leaks(other.program.analysed, options.banned, options.made_of)
    both = ranked & (other.outcomes[STATUS] == Status.ASSESSED.value).to_numpy()
    totals = assessments.outcomes[TOTAL].to_numpy()[both], other.outcomes[TOTAL].to_numpy()[both]
    return beside_another(other.program.ruleset.name, totals, confirmed[both], options.seed, options.resamples)


def _cautions(
    assessments: Assessments,
    population: Population,
    alone: tuple[Single, ...],
    options: ValidationOptions,
    marked: LabelledEntities,
) -> list[str]:
    cautions = [*options.cautions, *doubts_about_banned(assessments.program.analysed, options.banned)]
    cautions += [
        f"{single.column} alone has an AUC of {single.auc:.3f}: it was probably made from the label, or after it"
        for single in alone
        if single.suspected
    ]
    cautions += doubts_about_labels(marked)
    cautions += doubts_about_failed(
        population.failed,
        population.failed_confirmed,
        "their totals are not ranked, and without a level they count as missed",
    )
    if not options.made_of:
        cautions.append("The labels are said to come from elsewhere than cases and alerts; nothing here can check that")
    return cautions
