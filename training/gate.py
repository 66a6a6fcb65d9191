"""The gate: whether a new model may take the champion's place. A pure function of what was measured."""

from dataclasses import dataclass

from training.evaluate import BASELINES, CHAMPION, MODEL, Evaluation


@dataclass(frozen=True)
class Verdict:
    """What the gate says.

    Attributes:
        promote: the challenger may become champion without anyone's word.
        comparable: champion and challenger were judged on the same window in a way that is fair to both.
        reasons: one sentence for each thing that was looked at.
    """

    promote: bool
    comparable: bool
    reasons: tuple[str, ...]

    def __str__(self) -> str:
        return "; ".join(self.reasons)


def decide(evaluation: Evaluation, incomparable: str | None) -> Verdict:
    """Decide by normalised Gini on the same out-of-time window.

    Every baseline must be beaten, the mean realised value must rise from segment to segment, and the champion, where
    there is one, must be beaten too: a tie keeps it. *incomparable* says why the champion cannot be compared.
    """
    gini = {name: metrics.normalised_gini for name, metrics in evaluation.by_name.items()}
    rivals = [*BASELINES, *([CHAMPION] if CHAMPION in gini else [])]
    lost = [name for name in rivals if not gini[MODEL] > gini[name]]
    reasons = [
        f"normalised Gini {gini[MODEL]:.4f} {'does not beat' if name in lost else 'beats'} {name} {gini[name]:.4f}"
        for name in rivals
    ]
    rises = evaluation.segments_rise
    reasons.append(f"mean realised value {'rises' if rises else 'does not rise'} from segment to segment")
    if incomparable:
        reasons.append(f"not comparable with the champion: {incomparable}")
    return Verdict(not lost and rises and not incomparable, incomparable is None, tuple(reasons))
