"""Running a model once before it serves: no request is the first, or finds that it cannot be run."""

import numpy as np

from fivefold.features.indicator_matrix import warm
from fivefold.models.value_model import ValueModel


def warmed(model: ValueModel) -> ValueModel:
    """Run everything that a request runs once; give the model."""
    warm()
    nobody = np.full((1, len(model.catalogue.names)), np.nan)
    model.reference.count(model.reference.empty(), nobody, model.scores(nobody).score)
    return model
