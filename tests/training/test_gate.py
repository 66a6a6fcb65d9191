"""The gate, case by case."""

from dataclasses import dataclass
from math import nan

import polars as pl
import pytest

from training.evaluate import CHAMPION, MODEL, PERSISTENCE, RFM, Evaluation, Stability
from training.gate import decide
from training.metrics import Metrics

RISING = (1.0, 2.0, 3.0, 4.0)


def evaluation(gini: dict[str, float], means: tuple[float, ...] = RISING) -> Evaluation:
    segments = pl.DataFrame({"segment": list("abcd")[: len(means)], "value_mean": list(means)})
    by_name = {name: Metrics(value, 0.5, 0.5) for name, value in gini.items()}
    return Evaluation(by_name, pl.DataFrame(), segments, pl.DataFrame(), Stability(1.0, 0.0, 1.0), 100, 0.0)


@dataclass(frozen=True)
class Case:
    """What was measured, and what the gate must say."""

    model: float
    persistence: float
    rfm: float
    champion: float | None
    promote: bool
    says: str
    means: tuple[float, ...] = RISING
    incomparable: str | None = None


CASES = {
    "a first model that beats both baselines": Case(0.9, 0.8, 0.7, None, True, "beats persistence 0.8000"),
    "a first model that loses to persistence": Case(0.9, 0.91, 0.7, None, False, "does not beat persistence 0.9100"),
    "a first model that loses to RFM": Case(0.9, 0.8, 0.95, None, False, "does not beat rfm 0.9500"),
    "a first model that ties with a baseline": Case(0.9, 0.9, 0.7, None, False, "does not beat persistence 0.9000"),
    "a challenger that beats all": Case(0.9, 0.8, 0.7, 0.89, True, "beats champion 0.8900"),
    "a challenger that loses to the champion": Case(0.9, 0.8, 0.7, 0.91, False, "does not beat champion 0.9100"),
    "a tie keeps the champion": Case(0.9, 0.8, 0.7, 0.9, False, "does not beat champion 0.9000"),
    "a hair's breadth is enough": Case(0.9 + 1e-12, 0.8, 0.7, 0.9, True, "beats champion 0.9000"),
    "better than the champion, not than a baseline": Case(0.9, 0.92, 0.7, 0.8, False, "does not beat persistence"),
    "segments that do not rise": Case(0.9, 0.8, 0.7, None, False, "does not rise", (1.0, 3.0, 2.0, 4.0)),
    "segments that are level": Case(0.9, 0.8, 0.7, None, False, "does not rise", (1.0, 2.0, 2.0, 4.0)),
    "an undefined Gini": Case(nan, 0.8, 0.7, None, False, "does not beat persistence"),
    "a baseline without a Gini": Case(0.9, nan, 0.7, None, False, "does not beat persistence"),
    "a champion that cannot be compared": Case(
        0.9, 0.8, 0.7, None, False, "not comparable with the champion: champion 1 has other eyes", RISING,
        "champion 1 has other eyes",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_gate(name: str) -> None:
    case = CASES[name]
    gini = {MODEL: case.model, PERSISTENCE: case.persistence, RFM: case.rfm}
    if case.champion is not None:
        gini[CHAMPION] = case.champion
    verdict = decide(evaluation(gini, case.means), case.incomparable)
    assert verdict.promote is case.promote
    assert verdict.comparable is (case.incomparable is None)
    assert case.says in str(verdict)


def test_the_reasons_tell_of_everything_that_was_looked_at() -> None:
    gini = {MODEL: 0.9, PERSISTENCE: 0.8, RFM: 0.95, CHAMPION: 0.85}
    verdict = decide(evaluation(gini, (2.0, 1.0)), None)
    assert verdict.reasons == (
        "normalised Gini 0.9000 beats persistence 0.8000",
        "normalised Gini 0.9000 does not beat rfm 0.9500",
        "normalised Gini 0.9000 beats champion 0.8500",
        "mean realised value does not rise from segment to segment",
    )
    assert str(verdict) == "; ".join(verdict.reasons)
