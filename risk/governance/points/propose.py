"""Proposes points from confirmed cases: learnt on half of the customers, judged on the others, never put in force."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl

from fivefold.domain.clock import day_text
from fivefold.domain.errors import ConfigError, Finding, InvalidRulesetError
from fivefold.domain.text import count_text
from fivefold.features.histories import Integers
from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.engine.assessments import Assessments
from fivefold.risk.engine.explain.describe import condition_words
from fivefold.risk.engine.program import FLOOR, TOTAL
from fivefold.risk.governance.backtest.moves import slot_name
from fivefold.risk.governance.backtest.run import list_days, moments_words
from fivefold.risk.governance.points.learning import LEAST_GOT, Halves, LearntPoints, learn_points
from fivefold.risk.governance.points.outcomes import (
    Slot,
    added_points,
    slots_of,
    with_cuts,
    with_points,
    written_points,
)
from fivefold.risk.governance.thresholds.cuts import CutProposal, levels_by, nearest_cuts, present_cuts
from fivefold.risk.governance.validate.labels import LABELS_ARE, doubts_about_failed, refuse_leaks
from fivefold.risk.governance.validate.measures import LEAST_CONFIRMED, Capture, captured_share
from fivefold.risk.governance.validate.ranking import Marks, Paired, compare_rankings
from fivefold.risk.governance.validate.run import ValidationOptions
from fivefold.risk.language.purposes import PURPOSE_PHRASES
from fivefold.risk.language.quantities import POINT_UNITS, text_of
from fivefold.risk.language.ruleset import PointsScore, Ruleset

LEARNT = "learnt"
ALIKE = "as what gives the same points"
IN_ORDER = "too few got it: whole, and in the order of the rule's others"


@dataclass(frozen=True, kw_only=True)
class PointChange:
    """One outcome that would give other points.

    Attributes:
        rule: the rule's id.
        outcome: the number of the case from 1; otherwise; or unknown.
        asked: the condition of the case, in words; empty for the others.
        before: its present points.
        after: its points in the draft.
        source: the origin of its points: `LEARNT`, `ALIKE` or `IN_ORDER`.
        entities: the number of learning entities that got it.
        confirmed: how many of them are confirmed.
        capture: the effect of the change: the share of the judged confirmed in the top levels by the draft, less the
            share by the draft with these points unchanged.
    """

    rule: str
    outcome: int | str
    asked: str
    before: str
    after: str
    source: str
    entities: int
    confirmed: int
    capture: float


@dataclass(frozen=True, kw_only=True)
class DraftVerdict:
    """The verdict on the draft, from customers that were not used for learning.

    Attributes:
        judged: the number of these customers.
        confirmed: how many of them are confirmed.
        total: the Gini of the total, by the draft and by the present ruleset.
        level: the same for the level, floors included.
        capture: what the top levels hold by the draft.
        present_capture: what they hold by the present ruleset.
        recommended: whether enough judge, the interval of the difference is above 0, and the level is not surely worse.
        because: the reason for or against.
    """

    judged: int
    confirmed: int
    total: Paired
    level: Paired
    capture: Capture
    present_capture: Capture
    recommended: bool
    because: str


@dataclass(frozen=True, kw_only=True)
class PointsProposal:
    """Points for a new draft.

    Attributes:
        ruleset: the name of the present ruleset.
        content_hash: its hash.
        as_of: the moment of judging, in words.
        learnt_as_of: the moment of learning, in words.
        horizon: the end for labels, as later ones do not count; empty for none.
        lists: the days since which the versions of its lists are in force, at the moment of judging.
        seed: the seed of the halves, the folds and the resamples.
        resamples: the number of resamples.
        learnt_from: the number of learning customers.
        learnt_confirmed: how many of them are confirmed.
        penalty: the strength of the ridge.
        held_back: what the penalty is on: the points of cases, or the steps between them.
        doubling: the number of points that double the odds of being confirmed.
        changes: every outcome that would give other points.
        cuts: the thresholds that keep the shares of the levels.
        verdict: the verdict from the other half.
        cautions: the limits of what the numbers show.
    """

    ruleset: str
    content_hash: str
    as_of: str
    learnt_as_of: str
    horizon: str
    lists: dict[str, tuple[str, ...]]
    seed: int
    resamples: int
    learnt_from: int
    learnt_confirmed: int
    penalty: float
    held_back: str
    doubling: float
    changes: tuple[PointChange, ...]
    cuts: tuple[CutProposal, ...]
    verdict: DraftVerdict
    cautions: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Convert the result to plain data."""
        return asdict(self)


def propose_points(
    judging: Assessments,
    labels: pl.DataFrame,
    options: ValidationOptions | None,
    learning: Assessments | None = None,
) -> tuple[PointsProposal, Ruleset]:
    """Learn points on half of the customers, and judge them on the other half.

    Args:
        judging: the assessments of a portfolio by the present ruleset.
        labels: see `risk.governance.validate.labels.match_labels`.
        options: as for a validation; its floors and its peer are not read.
        learning: the assessments by the same ruleset as of an earlier moment, for learning; labels then count for
            learning if they became known between the two moments. Without it both halves are as of one moment.

    Returns:
        The proposal, and the changed ruleset.

    Raises:
        ConfigError: the score is not a sum of points.
        InvalidRulesetError: an input reads what the label was made of, or is banned; or the ruleset is for commerce.
        FileFormatError: the labels cannot be read.
        NotEnoughDataError: too few are confirmed, or too few are not.
    """
    options = options or ValidationOptions()
    program = judging.program
    ruleset = program.ruleset
    require_learnable(program.analysed, options.banned, options.made_of)
    halves = Halves(judging, learning or judging, labels, options)
    halves.refuse_few()
    assessments, sample, marks = halves.learning
    learnt = learn_points(assessments, sample, marks, options.seed)
    changes = _changed_units(assessments, learnt)
    cuts = _kept_shares(assessments, sample, changes)
    judged = _Judged(*halves.judging, changes, [units for units, _ in cuts])
    draft = with_cuts(with_points(ruleset, program, _whole(changes, assessments)), [units for units, _ in cuts])
    rows = _change_rows(assessments, sample, marks, learnt, changes, judged)
    return (
        PointsProposal(
            ruleset=ruleset.name,
            content_hash=ruleset.content_hash,
            as_of=moments_words(judging),
            learnt_as_of=moments_words(assessments),
            horizon="" if options.until is None else day_text(options.until),
            lists=list_days(judging),
            seed=options.seed,
            resamples=options.resamples,
            learnt_from=int(sample.sum()),
            learnt_confirmed=int((sample & marks).sum()),
            penalty=learnt.penalty,
            held_back=learnt.held_back,
            doubling=learnt.doubling,
            changes=rows,
            cuts=tuple(cut for _, cut in cuts),
            verdict=judged.verdict(options),
            cautions=tuple(_cautions(judging, halves, learnt, rows, options)),
        ),
        draft,
    )


def require_learnable(
    analysed: AnalysedRuleset, banned: Sequence[str] = (), made_of: Sequence[str] = LABELS_ARE
) -> None:
    """Refuse a ruleset whose points cannot be learnt, or may not be: what cases teach must not decide for commerce.

    Raises:
        ConfigError: its score is not a sum of points.
        InvalidRulesetError: it reads what the labels were made of, or what is *banned*; or it is for commerce.
    """
    ruleset = analysed.ruleset
    if not isinstance(ruleset.score, PointsScore):
        raise ConfigError(
            f"{ruleset.name} does not score points with thresholds; points can be proposed for these alone"
        )
    if made_of and ruleset.purpose != "aml":
        problem = (
            f"is for {PURPOSE_PHRASES[ruleset.purpose]}, and its points would be learnt from {' and '.join(made_of)}, "
            "which are for aml alone; say so if the labels come from elsewhere"
        )
        raise InvalidRulesetError([Finding("purpose", problem)], f"what ruleset {ruleset.name} would be learnt from")
    refuse_leaks(analysed, banned, made_of)


def _changed_units(assessments: Assessments, learnt: LearntPoints) -> dict[Slot, int]:
    """Return the change of each changed outcome's points, in hundredths."""
    written = written_points(assessments.program)
    changes = {outcome: points * POINT_UNITS - written[outcome] for outcome, points in learnt.points.items()}
    return {outcome: change for outcome, change in changes.items() if change}


def _whole(changes: dict[Slot, int], assessments: Assessments) -> dict[Slot, int]:
    written = written_points(assessments.program)
    return {outcome: (written[outcome] + change) // POINT_UNITS for outcome, change in changes.items()}


def _totals(assessments: Assessments, sample: Marks) -> tuple[Integers, Integers]:
    """Return the totals in hundredths, and the floors, of a sample."""
    step = assessments.program.total.scale // POINT_UNITS
    outcomes = assessments.outcomes.filter(sample)
    return (outcomes[TOTAL] // step).to_numpy(), outcomes[FLOOR].to_numpy()


def _new_totals(assessments: Assessments, sample: Marks, changes: dict[Slot, int]) -> Integers:
    slots = {rule: got[sample] for rule, got in slots_of(assessments).items()}
    new: Integers = _totals(assessments, sample)[0] + added_points(slots, changes)
    return new


def _kept_shares(assessments: Assessments, sample: Marks, changes: dict[Slot, int]) -> list[tuple[int, CutProposal]]:
    """Find the thresholds that keep the shares of the learning entities' levels."""
    ruleset = assessments.program.ruleset
    totals, floors = _totals(assessments, sample)
    present = present_cuts(ruleset).units
    levels = levels_by(totals, floors, present)
    below = np.array([(levels <= number).mean() for number in range(1, len(ruleset.levels))])
    return nearest_cuts(_new_totals(assessments, sample, changes), floors, below, present, ruleset.levels)


class _Judged:
    """The judging entities, by the present ruleset and by the draft."""

    def __init__(
        self, assessments: Assessments, sample: Marks, confirmed: Marks, changes: dict[Slot, int], cuts: list[int]
    ) -> None:
        self.names = assessments.program.ruleset.levels
        self.confirmed = confirmed[sample]
        self.cuts = cuts
        self.slots = {rule: got[sample] for rule, got in slots_of(assessments).items()}
        self.present, self.floors = _totals(assessments, sample)
        self.new = _new_totals(assessments, sample, changes)
        self.level = levels_by(self.new, self.floors, cuts)
        self.present_level = levels_by(self.present, self.floors, present_cuts(assessments.program.ruleset).units)

    def captured(self, level: Integers) -> Capture:
        """Measure what the top levels hold."""
        capture = captured_share(level, self.confirmed, self.names)
        assert capture is not None  # too few confirmed were refused
        return capture

    def capture_of(self, outcome: Slot, change: int) -> float:
        """Return the effect of one change on the capture."""
        without = self.new - added_points(self.slots, {outcome: change})
        level = levels_by(without, self.floors, self.cuts)
        return self.captured(self.level).captured.estimate - self.captured(level).captured.estimate

    def verdict(self, options: ValidationOptions) -> DraftVerdict:
        """Compare both."""
        draws = self.confirmed, options.seed, options.resamples
        total = compare_rankings(self.new, self.present, *draws)
        level = compare_rankings(self.level, self.present_level, *draws)
        hits, others = int(self.confirmed.sum()), int((~self.confirmed).sum())
        enough = min(hits, others) >= LEAST_CONFIRMED
        if not enough:
            because = (
                f"of those who judge {hits:,} are confirmed and {others:,} are not, and at least {LEAST_CONFIRMED} of "
                "each are needed, as for every verdict on a Gini"
            )
        elif total.difference.low <= 0:
            because = (
                "the interval of the difference in the Gini of the total holds 0: chance alone may do as much"
                if total.difference.high > 0
                else "it ranks worse than the ruleset as it is"
            )
        elif level.difference.high < 0:
            because = "its total ranks better, but its levels rank worse than those of the ruleset as it is"
        else:
            because = "it ranks better than the ruleset as it is, by more than chance"
        return DraftVerdict(
            judged=len(self.confirmed),
            confirmed=hits,
            total=total,
            level=level,
            capture=self.captured(self.level),
            present_capture=self.captured(self.present_level),
            recommended=enough and total.difference.low > 0 and level.difference.high >= 0,
            because=because,
        )


def _change_rows(
    assessments: Assessments,
    sample: Marks,
    confirmed: Marks,
    learnt: LearntPoints,
    changes: dict[Slot, int],
    judged: _Judged,
) -> tuple[PointChange, ...]:
    """Describe every change, in the order of the rules."""
    slots, written = slots_of(assessments), written_points(assessments.program)
    rows = []
    for rule in assessments.program.rules:
        for outcome, change in changes.items():
            if outcome[0] != rule.rule.id:
                continue
            got = (slots[outcome[0]] == outcome[1]) & sample
            case = rule.rule.cases[outcome[1]] if outcome[1] < rule.otherwise else None
            rows.append(
                (
                    outcome[1],
                    PointChange(
                        rule=rule.rule.id,
                        outcome=slot_name(rule, outcome[1]),
                        asked="" if case is None else case.title or condition_words(case.when),
                        before=text_of(written[outcome], POINT_UNITS),
                        after=text_of(written[outcome] + change, POINT_UNITS),
                        source=_source(outcome in learnt.learnt, int(got.sum())),
                        entities=int(got.sum()),
                        confirmed=int((got & confirmed).sum()),
                        capture=judged.capture_of(outcome, change),
                    ),
                )
            )
    order = {rule.rule.id: number for number, rule in enumerate(assessments.program.rules)}
    return tuple(row for _, row in sorted(rows, key=lambda each: (order[each[1].rule], each[0])))


def _source(learnt: bool, entities: int) -> str:
    if not learnt:
        return IN_ORDER
    return LEARNT if entities >= LEAST_GOT else ALIKE


def _fallen_unknown(rows: Sequence[PointChange]) -> list[str]:
    """Name the rules whose unknown values would give fewer points, though too few entities got these to learn them."""
    return [
        row.rule
        for row in rows
        if row.outcome == "unknown" and row.source != LEARNT and Decimal(row.after) < Decimal(row.before)
    ]


def _cautions(
    judging: Assessments,
    halves: Halves,
    learnt: LearntPoints,
    rows: Sequence[PointChange],
    options: ValidationOptions,
) -> list[str]:
    cautions = [
        *options.cautions,
        *doubts_about_failed(*halves.failed(), "nothing is learnt from them, and they judge nothing"),
    ]
    if options.seed != ValidationOptions().seed:
        cautions.append(
            f"The halves were drawn with seed {options.seed}, which was chosen: of proposals with several seeds the "
            "best one is the best by its luck, too."
        )
    if halves.learning[0] is judging:
        cautions.append(
            "Both halves are of one moment: the draft is judged on other customers, and on no later time. Learn as of "
            "an earlier moment to see whether it lasts."
        )
    rare_count = len(learnt.points) - len(learnt.learnt)
    if rare_count:
        were, they, their = ("was", "it keeps", "its") if rare_count == 1 else ("were", "they keep", "their")
        cautions.append(
            f"{count_text(rare_count, 'outcome')} {were} given to fewer than {LEAST_GOT} of those who were learnt from;"
            f" {they} {their} points as far as the order of {their} rule and whole points admit."
        )
    fallen = _fallen_unknown(rows)
    if fallen:
        cautions.append(
            "An unknown value would give fewer points than now, though too few got it to learn that: "
            f"{', '.join(fallen)}. It follows the outcomes beside it in the order of its rule. Look whether it should: "
            "what is unknown does not speak for a customer."
        )
    fades = [rule.id for rule in judging.program.ruleset.rules if rule.decay is not None]
    if fades:
        cautions.append(f"Points that fade are not learnt; these rules keep theirs: {', '.join(fades)}.")
    cautions.append("Only reviewed customers can be confirmed; customers never reviewed count as not confirmed.")
    return cautions
