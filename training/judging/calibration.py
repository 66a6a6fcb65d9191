"""How far predicted money is off at least: what chance alone could have added to the calibration error is taken away.

The error adds up the distances of the tenths without their signs, so what chance moves in a tenth adds to it more than
it takes away: a model that is right has an error above 0, and draws of its customers have a larger one. A quantile of
these draws is not a bound. Sources: Kumar, Liang and Ma, "Verified Uncertainty Calibration" (2019), and Roelofs et al.,
"Mitigating Bias in Calibration Error Estimation" (2022), on how large the error of a right model is; Fang and Santos,
"Inference on Directionally Differentiable Functions" (2019), on bootstraps of sums of distances.
"""

from dataclasses import dataclass

import numpy as np

from fivefold.features.histories import Floats

BOUNDS = 2
"""The error is bounded by tenths and as a whole; the chance of being wrong is shared between the two."""


@dataclass(frozen=True)
class TenthsOff:
    """Predicted less realised money of every tenth of the customers, as shares of all realised money.

    Attributes:
        shares: of the customers as they are, one figure for each tenth; NaN where nobody is worth anything.
        drawn: of k draws of the customers, k x tenths; NaN in a draw in which nobody is worth anything.
    """

    shares: Floats
    drawn: Floats

    @property
    def error(self) -> float:
        """The calibration error, as `metrics.calibration_error` defines it."""
        return float(np.abs(self.shares).sum())


def least_error(model: TenthsOff, error: float) -> float:
    """Give what the calibration error is at least, 0 or more; NaN where no draw has a value.

    A tenth is truly off by no less than it is seen off less the distance that chance moved it. So the error less the
    sum of these distances is no more than the true one, and the quantile of that sum over the draws stands for it. All
    customers as one group give a second bound, which is nearer where all predictions are too high, or too low. The
    higher one counts.

    Args:
        model: what is judged.
        error: chance that the true error is smaller than the bound, shared between the two.
    """
    drawn = _known(model)
    if not len(drawn):
        return float("nan")
    return max(0.0, _bound(model, drawn - model.shares, 0.0, np.zeros(len(drawn)), error))


def least_difference(model: TenthsOff, rival: TenthsOff, error: float) -> float:
    """Give what the model's calibration error less the rival's is at least; NaN where no draw has a value.

    What chance could have added to the model's error, and taken from the rival's on the same draws, is taken away. The
    rival's tenths count with the signs that are seen.

    Args:
        model: what is judged.
        rival: judged on the same draws.
        error: chance that the true difference is smaller than the bound.
    """
    mine, theirs = _known(model), _known(rival)
    if not len(mine):
        return float("nan")
    rises = (theirs - rival.shares) @ np.sign(rival.shares)
    return _bound(model, mine - model.shares, rival.error, rises, error)


def _bound(model: TenthsOff, moved: Floats, rival: float, rises: Floats, error: float) -> float:
    """Give the higher bound of the model's error less the *rival* one, which *rises* by so much in each draw."""
    bounds = (
        error_of_sample - float(np.quantile(distance - rises, 1.0 - error / BOUNDS))
        for error_of_sample, distance in (
            (model.error, np.abs(moved).sum(axis=1)),
            (abs(float(model.shares.sum())), np.abs(moved.sum(axis=1))),
        )
    )
    return max(bounds) - rival


def _known(model: TenthsOff) -> Floats:
    """Give the draws that have a value; they are the same for all models, since the realised money alone decides."""
    return np.asarray(model.drawn[~np.isnan(model.drawn).any(axis=1)])
