"""The report: the pictures of an evaluation and the model card, written into a folder."""

from pathlib import Path

import altair as alt
import matplotlib as mpl

from charts.calibration import calibration
from charts.lift import lift
from charts.render import save
from charts.segments import segments
from features.matrix import catalogue
from models.prediction import LOG_LINK
from models.value_model import ValueModel
from training.evaluate import Evaluation
from training.judge import Judged

SHOWN_INDICATORS = 20
SHOWN_CUSTOMERS = 2_000


def write_pictures(folder: Path, model: ValueModel, evaluation: Evaluation, judged: Judged) -> list[Path]:
    """Draw calibration, lift, segments and the SHAP beeswarm as files in *folder*; give their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    pictures: dict[str, alt.TopLevelMixin] = {
        "calibration.png": calibration(evaluation.calibration, model.currency),
        "lift.png": lift(evaluation.lift),
        "segments.png": segments(evaluation.segments, model.currency),
    }
    for name, picture in pictures.items():
        save(picture, folder / name)
    write_beeswarm(folder / "shap.png", model, judged)
    return [folder / name for name in (*pictures, "shap.png")]


def write_beeswarm(path: Path, model: ValueModel, judged: Judged) -> None:
    """Draw what each indicator does to the margin, one dot a customer, by SHAP's own picture."""
    mpl.use("Agg")
    import shap  # noqa: PLC0415  (seconds to import, and only this picture needs it)
    from matplotlib import pyplot as plt  # noqa: PLC0415  (after the backend is chosen)

    values = shap.TreeExplainer(model.booster)(judged.matrix[:SHOWN_CUSTOMERS])
    values.feature_names = list(catalogue().names)
    figure = plt.figure()
    try:
        shap.plots.beeswarm(values, max_display=SHOWN_INDICATORS, show=False)
        figure = plt.gcf()
        margin = "logarithm of the expected value" if model.objective in LOG_LINK else "expected value"
        figure.axes[0].set_xlabel(f"effect on the margin ({margin})")
        figure.savefig(path, dpi=120, bbox_inches="tight")
    finally:
        plt.close(figure)
