"""Runs a model once before it serves, so that no request pays for compilation or finds a defect."""

import numpy as np

from fivefold.features.indicator_matrix import warm
from fivefold.models.value_model import ValueModel


def warm_up_model(model: ValueModel) -> ValueModel:
    """Run every step of a request once; give the model."""
    warm()
    empty_row = np.full((1, len(model.catalogue.names)), np.nan)
    model.reference.count(model.reference.empty(), empty_row, model.scores(empty_row).score)
    return model
