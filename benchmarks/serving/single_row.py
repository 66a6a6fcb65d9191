"""One customer's prediction: LightGBM's single-row call against `Booster.predict`, interleaved in this process.

    python -m benchmarks.serving.single_row

Each round times both calls on the same row, in alternating order, with a model of usual size on random numbers.
"""

from time import perf_counter

import numpy as np

from fivefold.features.histories import Floats
from fivefold.models.estimator import ValueRegressor
from fivefold.models.prediction import SingleRowPredictor, expected_value

ROUNDS = 4_000
INDICATORS = 75
TREES = 200


def timings() -> dict[str, Floats]:
    """Time both calls: the microseconds of each round by the name of the call."""
    random = np.random.default_rng(1)
    matrix = random.normal(0, 1e3, (2_000, INDICATORS))
    values = np.maximum(matrix[:, 0] + matrix[:, 1] * random.random(2_000), 0.0)
    booster = ValueRegressor(rounds=TREES, threads=1).fit(matrix, values).booster_
    calls = {"single-row call": SingleRowPredictor(booster), "Booster.predict": None}
    times = {name: np.empty(ROUNDS) for name in calls}
    for number in range(ROUNDS):
        row = matrix[number % len(matrix)][None]
        for name in [*calls] if number % 2 else reversed(calls):
            begun = perf_counter()
            expected_value(booster, row, calls[name])
            times[name][number] = 1e6 * (perf_counter() - begun)
    return times


def main() -> None:
    """Time and print medians and quartiles."""
    for name, times in timings().items():
        low, median, high = np.percentile(times, [25, 50, 75])
        print(f"{name:16} {median:6.1f} us (quartiles {low:.1f} to {high:.1f})")


if __name__ == "__main__":
    main()
