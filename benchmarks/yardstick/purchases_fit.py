"""Fit BG/NBD × Gamma-Gamma with pymc-marketing, and predict money; a script for an environment of its own.

    python purchases_fit.py customers.csv predictions.csv report.json --horizon WEEKS

*customers.csv* has a line for each customer: `frequency` (days with a purchase after the first), `recency` and `age`
(weeks from the first purchase to the last, and to the as-of), `money` (mean of a later day, empty where there is none).
*predictions.csv* has the expected `purchases` and `money` of the horizon, in the same order. *report.json* tells
whether both models converged, and why not.

It imports nothing of fivefold: pymc-marketing needs Python 3.12 and other pins. `purchases.py` beside it calls it.
"""

import argparse
import json
import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pymc_extras.prior import Prior
from pymc_marketing.clv import BetaGeoModel, GammaGammaModel

STATIONARY = 1e-3
"""The slope of the log-likelihood by the logarithm of a parameter, for one customer: above it there is no maximum."""
FLAT = Prior("HalfFlat")
"""No opinion beforehand: the most probable parameters are those of greatest likelihood, as in the original papers."""


def main() -> None:
    """Read the customers, fit both models, write predictions and a report."""
    arguments = argparse.ArgumentParser(description=__doc__)
    for name in ("customers", "predictions", "report"):
        arguments.add_argument(name, type=Path)
    arguments.add_argument("--horizon", type=float, required=True, help="weeks to predict")
    options = arguments.parse_args()
    customers = pd.read_csv(options.customers).rename(columns={"age": "T"}).reset_index(names="customer_id")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a first purchase at the as-of says nothing, and may stand there
        predictions, report = predict(customers, options.horizon)
    predictions.to_csv(options.predictions, index=False)
    options.report.write_text(json.dumps(report, indent=1), encoding="utf-8")


def predict(customers: pd.DataFrame, horizon_weeks: float) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Give the expected purchases and money of each customer, and what the fits say of themselves."""
    counts = BetaGeoModel(model_config=dict.fromkeys(("r", "alpha", "a", "b"), FLAT))
    report = _fit(counts, customers, ("r", "alpha", "a", "b"))
    bought = customers[(customers["frequency"] > 0) & (customers["money"] > 0)]
    unit = float(bought["money"].median())  # the currency makes no difference
    sizes = GammaGammaModel(model_config=dict.fromkeys(("p", "q", "v"), FLAT))
    spent = bought.rename(columns={"money": "monetary_value"}).assign(monetary_value=bought["money"] / unit)
    reasons = report.pop("reasons")
    spread = _fit(sizes, spent, ("p", "q", "v"))
    reasons += spread.pop("reasons")
    if spread["q"] <= 1:
        reasons.append(f"Gamma-Gamma: q is {spread['q']:.3g}; at 1 or below a customer's mean purchase has no mean")
    purchases = _of_one_draw(counts.expected_purchases(customers, future_t=horizon_weeks))
    money = np.full(len(customers), unit * sizes.expected_new_customer_spend().item())
    money[bought.index] = unit * _of_one_draw(sizes.expected_customer_spend(spent))
    expected = purchases * money
    if not np.isfinite(expected).all():
        reasons.append(f"{int((~np.isfinite(expected)).sum())} of {len(expected)} predictions are not numbers")
    report |= spread | {"unit": unit, "customers": len(customers), "bought_again": len(bought)}
    return pd.DataFrame({"purchases": purchases, "money": expected}), report | {"reasons": reasons}


def _fit(model: BetaGeoModel | GammaGammaModel, data: pd.DataFrame, names: tuple[str, ...]) -> dict[str, Any]:
    """Fit by greatest likelihood, and look whether it is a maximum: the slope by every parameter must be about 0."""
    model.fit(data, method="map", progressbar=False)
    parameters = {name: float(model.fit_result[name].item()) for name in names}
    title = "Gamma-Gamma" if isinstance(model, GammaGammaModel) else "BG/NBD"
    if not all(math.isfinite(value) and value > 0 for value in parameters.values()):
        return parameters | {"reasons": [f"{title}: a parameter is not above 0 and finite"]}
    point = {f"{name}_log__": np.array(math.log(value)) for name, value in parameters.items()}
    slopes = np.abs(model.model.compile_dlogp()(point)) / len(data)
    steep = float(slopes.max())
    reasons = [] if steep <= STATIONARY else [f"{title}: the likelihood still rises by {steep:.2g} for each customer"]
    return parameters | {f"{title} slope": steep, "reasons": reasons}


def _of_one_draw(values: Any) -> np.ndarray:
    """Give the figures of a fit, which has a single set of parameters."""
    return np.asarray(values).reshape(-1)


if __name__ == "__main__":
    main()
