"""The tables of docs/results-rules.md, from the trials of one data set. `rulesets.py` is their command."""

import argparse
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.rulesets.data import TRIALS, read_trial
from benchmarks.rulesets.splits import Repeated
from benchmarks.rulesets.trials import Split, Trials, key_of_rule
from benchmarks.rulesets.tuning import written
from fivefold.features.histories import Floats
from fivefold.risk.governance.validate.factors import Lift
from fivefold.risk.governance.validate.ranking import ConfidenceInterval, auc

FEWEST_SHOWN = 20
"""A case that fewer judged entities got is not named as a rule's strongest."""


def main() -> None:
    """Judge one ruleset and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=sorted(TRIALS), help="the data set")
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds the data sets")
    parser.add_argument("--splits", type=int, default=10, help="how many")
    parser.add_argument("--first-seed", type=int, default=0, help="of the first split; the others follow it")
    parser.add_argument("--brief", action="store_true", help="the first table alone")
    parser.add_argument("--tune", action="store_true", help="write the first split's points into the ruleset's file")
    options = parser.parse_args()
    trials = Trials(read_trial(options.name, options.data), options.splits, options.first_seed)
    if options.tune:
        text = trials.trial.ruleset.read_text(encoding="utf-8")
        trials.trial.ruleset.write_text(written(text, trials.rulesets[0]), encoding="utf-8")
    parts = [overview(trials)] if options.brief else tables(trials)
    print("\n\n".join(map(_table, parts)))


Rows = Sequence[Sequence[str]]


def tables(trials: Trials) -> Iterator[Rows]:
    """Give every table, its heading first."""
    splits, totals = list(trials.splits()), trials.totals(trials.rulesets)
    yield overview(trials)
    yield _by_split(splits, trials.first_seed)
    yield _by_rule(trials, splits, totals)
    yield _verdicts(splits)
    yield _levels(splits)
    if trials.trial.tuning_as_of.equals(trials.trial.judging_as_of):
        return
    drift = [shift for shift in trials.drift() if shift.sort != "input"]  # the rules that read them say the same
    yield [["factor", "PSI", "verdict"], *([shift.factor, _index(shift.index), shift.verdict] for shift in drift)]


def overview(trials: Trials) -> Rows:
    """Compare the ruleset with what else could rank, over all splits."""
    totals = trials.totals(trials.rulesets)
    alone = [trials.alone] * len(totals)
    others = {
        f"the input of `{trials.trial.alone}` alone": alone,
        f"the rule `{trials.trial.alone}` alone, tuned": trials.pair(trials.trial.alone),
        "boosted trees on the same inputs": trials.boosted(),
        f"without {' and '.join(f'`{name}`' for name in trials.trial.attributes)}, tuned again": trials.rest(
            trials.trial.attributes
        ),
    }
    own = trials.judge(totals)
    rows = [["**the ruleset**", _measured(own.mean), _range(own.ginis), "", ""]]
    for name, scores in others.items():
        repeated, mean = trials.judge(totals, scores), trials.judge(scores).mean
        rows.append([name, _measured(mean), _range(repeated.others), *_difference(repeated)])
    return [["score", "Gini, mean of splits", "least to most", "ruleset − this", "resamples above"], *rows]


def _by_split(splits: Sequence[Split], first_seed: int) -> Rows:
    rows, shares = [], []
    for seed, split in enumerate(splits, first_seed):
        capture, ranking = split.validation.capture, split.validation.ranking
        assert capture is not None
        assert ranking is not None
        shares.append((capture.top_share, capture.captured.estimate, capture.possible))
        measured = (_measured(ranking.gini), f"{split.against.second:.3f}", _signed(split.against.difference))
        rows.append([str(seed), *measured, *(f"{share:.1%}" for share in shares[-1])])
    means = [f"{share:.1%}" for share in np.mean(shares, axis=0)]
    heading = ["seed", "Gini", "alone", "difference", "in the top two levels", "of the confirmed", "possible"]
    return [heading, *rows, ["mean", "", "", "", *means]]


def _by_rule(trials: Trials, splits: Sequence[Split], totals: list[Floats]) -> Rows:
    best, rows = trials.trial.alone, []
    base = trials.pair(best)
    for number, rule in enumerate(trials.shape.rules):
        added = [split.validation.additions[number].paired.difference.estimate for split in splits]
        lost = trials.judge(totals, trials.rest([rule.id]))
        beside = "" if rule.id == best else _signed(_gap(trials.judge(trials.pair(best, rule.id), base)))
        rows.append(
            [
                f"`{rule.id}`",
                f"{_alone(trials, rule.id):.3f}",
                f"{np.mean(added):+.4f}",
                _signed(_gap(lost)),
                beside,
                _strongest(lift for lift in splits[0].validation.lifts if lift.rule == rule.id),
            ]
        )
    heading = ["rule", "its input alone", "adds as tuned", "adds, others tuned again", f"adds to `{best}`", "best case"]
    return [heading, *rows]


def _alone(trials: Trials, rule: str) -> float:
    column = trials.judging.inputs[key_of_rule(trials.shape, rule)].cast(pl.Float64).fill_null(0).to_numpy()
    areas = [auc(column[judged], trials.trial.confirmed[judged]) for judged in trials.judged]
    return abs(2 * float(np.mean(areas)) - 1)


def _strongest(lifts: Iterable[Lift]) -> str:
    """Name the case with the highest lift that enough of the judged got."""
    named = [lift for lift in lifts if isinstance(lift.case, int) and lift.entities >= FEWEST_SHOWN]
    lift_pairs = [(lift.lift, lift) for lift in named if lift.lift is not None]
    if not lift_pairs:
        return ""
    interval, lift = max(lift_pairs, key=lambda pair: pair[0].estimate)
    question = lift.asked.removeprefix("it ")
    times = f"{interval.estimate:.1f} ({interval.low:.1f} to {interval.high:.1f})"
    return f"{question}: {lift.confirmed} of {lift.entities}, lift {times}"


def _verdicts(splits: Sequence[Split]) -> Rows:
    rows = []
    for number, verdict in enumerate(splits[0].validation.verdicts):
        answers = [split.validation.verdicts[number].answer.value for split in splits]
        counts = ", ".join(f"{answers.count(each)} {each}" for each in dict.fromkeys(answers))
        rows.append([verdict.what, verdict.floor, verdict.measured, verdict.answer.value, counts])
    return [["what", "floor", "first split", "verdict", "all splits"], *rows]


def _levels(splits: Sequence[Split]) -> Rows:
    rows = [
        [
            row.level,
            str(row.entities),
            f"{row.share:.1%}",
            str(row.confirmed),
            "" if row.rate is None else _percent(row.rate),
        ]
        for row in splits[0].validation.levels
    ]
    return [["level, first split", "entities", "share", "confirmed", "of the level confirmed"], *rows]


def _gap(repeated: Repeated) -> ConfidenceInterval:
    assert repeated.difference is not None
    return repeated.difference


def _difference(repeated: Repeated) -> list[str]:
    assert repeated.share_above is not None
    return [_signed(_gap(repeated)), f"{repeated.share_above:.1%}"]


def _measured(interval: ConfidenceInterval) -> str:
    return f"{interval.estimate:.3f} ({interval.low:.3f} to {interval.high:.3f})"


def _signed(interval: ConfidenceInterval) -> str:
    return f"{interval.estimate:+.3f} ({interval.low:+.3f} to {interval.high:+.3f})"


def _percent(interval: ConfidenceInterval) -> str:
    return f"{interval.estimate:.1%} ({interval.low:.1%} to {interval.high:.1%})"


def _range(numbers: Sequence[float]) -> str:
    return f"{min(numbers):.3f} to {max(numbers):.3f}"


def _index(index: float | None) -> str:
    return "" if index is None else f"{index:.3f}"


def _table(rows: Rows) -> str:
    lines = [" | ".join(row) for row in (rows[0], ["---"] * len(rows[0]), *rows[1:])]
    return "\n".join(f"| {line} |" for line in lines)
