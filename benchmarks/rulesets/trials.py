"""Repeated trials: tuned on one half of the entities, judged on the other by the engine and by `validate`."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
from lightgbm import LGBMClassifier
from tqdm import tqdm

from benchmarks.rulesets.data import Trial, part_of
from benchmarks.rulesets.splits import Repeated, halves, judge
from benchmarks.rulesets.tuning import only, shape_of, tune, without
from fivefold.features.histories import Floats
from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.engine.assess import assess
from fivefold.risk.engine.assessments import Assessments
from fivefold.risk.engine.outcomes import assess_inputs
from fivefold.risk.engine.program import TOTAL, compile_ruleset
from fivefold.risk.governance.validate.factors import StabilityIndex, stability_indices
from fivefold.risk.governance.validate.labels import refuse_leaks
from fivefold.risk.governance.validate.ranking import Marks, Paired, compare_rankings
from fivefold.risk.governance.validate.run import Validation, ValidationOptions, validate
from fivefold.risk.language.expressions import input_key
from fivefold.risk.language.reading import read_ruleset
from fivefold.risk.language.ruleset import Ruleset

BOOSTED: Mapping[str, Any] = {
    "n_estimators": 150,
    "learning_rate": 0.03,
    "num_leaves": 6,
    "min_child_samples": 20,
    "subsample": 0.8,
    "subsample_freq": 1,
    "colsample_bytree": 0.5,
    "n_jobs": 1,
    "verbose": -1,
}
"""Small, slow trees: with a few hundred confirmed, deeper ones learn the tuning half by heart."""

FEW_RESAMPLES = 200
"""For every split; the first one, which the pages show in full, has as many as `validate` takes."""


@dataclass(frozen=True)
class Split:
    """One split, judged.

    Attributes:
        ruleset: as tuned on its tuning half.
        assessments: its assessments of the judged half.
        validation: what `validate` says of them.
        against: the total against the one input that is to be beaten, resampled together.
    """

    ruleset: Ruleset
    assessments: Assessments
    validation: Validation
    against: Paired


class Trials:
    """One ruleset's shape on one data set, over several seeded splits.

    Everything is assessed once for tuning and once for the scores of variants; what is reported of a split is
    assessed again by the tuned ruleset, with the judged half alone.
    """

    def __init__(self, trial: Trial, splits: int = 10, first_seed: int = 0) -> None:
        self.trial = trial
        self.first_seed = first_seed
        self.shape = shape_of(read_ruleset(trial.ruleset.read_text(encoding="utf-8")))
        refuse_leaks(AnalysedRuleset(self.shape), trial.banned)
        self.judged = halves(trial.confirmed, splits, first_seed)

    @cached_property
    def tuning(self) -> Assessments:
        """Everyone as of the moment of tuning, by the ruleset as it is written."""
        return assess(AnalysedRuleset(self.shape), self.trial.tuning, self.trial.tuning_as_of)

    @cached_property
    def judging(self) -> Assessments:
        """Everyone as of the moment of judging."""
        return assess(AnalysedRuleset(self.shape), self.trial.judging, self.trial.judging_as_of)

    @cached_property
    def alone(self) -> Floats:
        """Give the one input that is to be beaten, turned so that much of it means risk."""
        key = key_of_rule(self.shape, self.trial.alone)
        values: Floats = self.judging.inputs[key].cast(pl.Float64).fill_null(0).to_numpy()
        return self.trial.alone_sign * values

    @cached_property
    def rulesets(self) -> list[Ruleset]:
        """The ruleset of every split."""
        return self.tuned(self.shape)

    def tuned(self, shape: Ruleset) -> list[Ruleset]:
        """Tune a variant of the shape on the tuning half of every split."""
        assessments = self.tuning if shape is self.shape else reassessed(self.tuning, shape)
        sides = tqdm(enumerate(self.judged, self.first_seed), total=len(self.judged), desc="tuning", leave=False)
        return [tune(assessments, ~judged, self.trial.confirmed, seed) for seed, judged in sides]

    def totals(self, rulesets: Sequence[Ruleset]) -> list[Floats]:
        """Give the totals of everyone at the moment of judging, by the ruleset of each split."""
        return [reassessed(self.judging, ruleset).outcomes[TOTAL].to_numpy() for ruleset in rulesets]

    def boosted(self) -> list[Floats]:
        """Learn boosted trees on the same inputs of the same halves, and score everyone with them."""
        keys = list(self.judging.program.inputs)
        before, after = (
            assessments.inputs.select(pl.col(key).cast(pl.Float64).fill_null(np.nan) for key in keys).to_numpy()
            for assessments in (self.tuning, self.judging)
        )
        scores = []
        for seed, judged in enumerate(self.judged, self.first_seed):
            model = LGBMClassifier(random_state=seed, **BOOSTED).fit(before[~judged], self.trial.confirmed[~judged])
            scores.append(np.asarray(model.booster_.predict(after, raw_score=True), dtype=np.float64))
        return scores

    def judge(self, scores: Sequence[Floats], others: Sequence[Floats] | None = None) -> Repeated:
        """Measure scores over all splits, and compare them with others."""
        return judge(self.judged, scores, self.trial.confirmed, others)

    def splits(self) -> Iterator[Split]:
        """Judge the ruleset of every split on its judged half: `assess`, then `validate`."""
        for number, (judged, ruleset) in enumerate(zip(self.judged, self.rulesets, strict=True)):
            yield self.split(judged, ruleset, ValidationOptions().resamples if number == 0 else FEW_RESAMPLES)

    def split(self, judged: Marks, ruleset: Ruleset, resamples: int) -> Split:
        """Judge one split."""
        assessments = assess(
            AnalysedRuleset(ruleset),
            part_of(self.trial.judging, judged),
            self.trial.judging_as_of.filter(pl.Series(judged)),
        )
        options = ValidationOptions(banned=self.trial.banned, undated_are_later=True, resamples=resamples)
        labels = self.trial.labels().filter(pl.Series(judged))
        total = assessments.outcomes[TOTAL].to_numpy()
        against = compare_rankings(total, self.alone[judged], self.trial.confirmed[judged], resamples=resamples)
        return Split(ruleset, assessments, validate(assessments, labels, options), against)

    def drift(self) -> tuple[StabilityIndex, ...]:
        """Compare the judged half of the first split at both moments."""
        judged, ruleset = self.judged[0], self.rulesets[0]
        sides = (
            (self.trial.tuning, self.trial.tuning_as_of),
            (self.trial.judging, self.trial.judging_as_of),
        )
        before, after = (
            assess(AnalysedRuleset(ruleset), part_of(portfolio, judged), as_of.filter(pl.Series(judged)))
            for portfolio, as_of in sides
        )
        return stability_indices(before, after)

    def rest(self, rules: Sequence[str]) -> list[Floats]:
        """Give the totals of the shape without some rules, tuned again."""
        return self.totals(self.tuned(without(self.shape, rules)))

    def pair(self, *rules: str) -> list[Floats]:
        """Give the totals of some rules alone, tuned again."""
        return self.totals(self.tuned(only(self.shape, rules)))


def key_of_rule(ruleset: Ruleset, rule: str) -> str:
    """Name the column of a rule's own input."""
    rule_input = ruleset.rule(rule).input
    assert rule_input is not None
    return input_key(rule_input)


def reassessed(assessments: Assessments, ruleset: Ruleset) -> Assessments:
    """Assess the same inputs by another ruleset that reads no others."""
    program = compile_ruleset(AnalysedRuleset(ruleset), {}, assessments.base)
    return Assessments(
        program=program,
        inputs=assessments.inputs,
        outcomes=assess_inputs(program, assessments.inputs),
        versions=assessments.versions,
        base=assessments.base,
    )
