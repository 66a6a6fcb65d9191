"""Baselines: what a person would do without a model. A model that does not beat them is not promoted."""

import numpy as np
from scipy import stats

from fivefold.features.histories import Floats
from fivefold.training.judging.predictions import Judged

QUINTILES = 5


def persistence(judged: Judged) -> Floats:
    """Predict the value of the previous horizon once more."""
    return judged.persistence


def rfm(judged: Judged) -> Floats:
    """Add up the quintiles (1 to 5) of recency, frequency and money over the last year: 3 to 15.

    Source: the marketing classic, Hughes, "Strategic Database Marketing" (1994).
    """
    return _quintile(-judged.recency) + _quintile(judged.frequency) + _quintile(judged.money)


def _quintile(values: Floats) -> Floats:
    """Rank into five equal groups, 5 best; equal values fall in the same group."""
    places = (stats.rankdata(values, method="average") - 0.5) / len(values)
    return np.asarray(np.floor(places * QUINTILES) + 1.0)
