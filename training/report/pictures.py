"""The report: the pictures of an evaluation and the model card, written into a folder."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import altair as alt
import matplotlib as mpl
import matplotlib.colors
import numpy as np

from fivefold.charts.evaluation import calibration, lift, segments
from fivefold.charts.render import save, svg
from fivefold.charts.style import GRID, INK, MUTED, SEGMENT_COLOURS, SMALL_TEXT_SIZE, TEXT_SIZE, TITLE_SIZE
from fivefold.domain.clock import day_text
from fivefold.models.trees.text import LOG_LINK
from fivefold.models.value_model import ValueModel
from fivefold.training.judging.evaluate import Evaluation
from fivefold.training.judging.predictions import WindowPredictions
from fivefold.training.report.card_page import Picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN_INDICATORS = 20
SHOWN_CUSTOMERS = 2_000
_SAID = {
    "calibration": "Money predicted and realised, by tenth of the predicted money. The table of the tenths has the "
    "figures.",
    "lift": "Share of the realised money that the customers ranked first hold, by the model and by others. The table "
    "of the ranking has the figures of these curves.",
    "segments": "Realised money of the customers of each segment. The table of the segments has the figures.",
}
"""The text for people who cannot see a picture."""
_POINTS_PER_PIXEL = 0.75
_LOOK: Any = {
    "font.family": "sans-serif",
    "font.sans-serif": ["Liberation Sans", "Arial", "Helvetica", "Arimo", "DejaVu Sans"],
    "font.size": TEXT_SIZE * _POINTS_PER_PIXEL,
    "text.color": INK,
}
"""The style of all other pictures, for SHAP's picture, which another library draws."""


def write_pictures(
    folder: Path, model: ValueModel, evaluation: Evaluation, test_window: WindowPredictions
) -> list[Path]:
    """Draw calibration, lift, segments and the SHAP beeswarm as files in *folder*; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {f"{name}.png": picture for name, picture in _charts(model, evaluation).items()}
    for name, picture in files.items():
        save(picture, folder / name)
    write_beeswarm(folder / "shap.png", model, test_window)
    return [folder / name for name in (*files, "shap.png")]


def card_pictures(model: ValueModel, evaluation: Evaluation) -> list[Picture]:
    """Draw calibration, lift and segments for the page of the card."""
    return [Picture(svg(chart), _SAID[name]) for name, chart in _charts(model, evaluation).items()]


def _charts(model: ValueModel, evaluation: Evaluation) -> dict[str, alt.TopLevelMixin]:
    return {
        "calibration": calibration(evaluation.calibration, model.currency),
        "lift": lift(evaluation.lift),
        "segments": segments(evaluation.segments, model.currency, day_text(model.test_as_of)),
    }


def write_beeswarm(path: Path, model: ValueModel, test_window: WindowPredictions) -> None:
    """Draw the effect of each indicator on the margin with SHAP's own picture, one dot a customer."""
    mpl.use("Agg")
    import shap  # noqa: PLC0415  (seconds to import, and only this picture needs it)
    from matplotlib import pyplot as plt  # noqa: PLC0415  (after the backend is chosen)

    values = shap.TreeExplainer(model.booster)(test_window.matrix[:SHOWN_CUSTOMERS])
    values.feature_names = [indicator.label for indicator in model.catalogue.indicators]
    shades = list(SEGMENT_COLOURS.values())
    colours = mpl.colors.LinearSegmentedColormap.from_list("fivefold", [shades[0], shades[-1]])
    with mpl.rc_context(_LOOK):
        plt.figure()
        try:
            with warnings.catch_warnings(), _same_dots():
                # An indicator that is undefined for all of them has no percentiles; its dots are grey.
                warnings.filterwarnings("ignore", "All-NaN", RuntimeWarning)
                shap.plots.beeswarm(values, max_display=SHOWN_INDICATORS, show=False, color=colours)
            figure = plt.gcf()
            margin = "logarithm of the expected value" if model.objective in LOG_LINK else "expected value"
            _style(figure, f"Effect on the margin ({margin})")
            figure.savefig(path, dpi=120, bbox_inches="tight", pad_inches=0.25, facecolor="white")
        finally:
            plt.close(plt.gcf())


@contextmanager
def _same_dots() -> Iterator[None]:
    """Make SHAP, which places dots by NumPy's shared generator, repeatable; restore the state of the generator."""
    before = np.random.get_state()  # noqa: NPY002 (the generator that SHAP takes; it takes no other)
    np.random.seed(0)  # noqa: NPY002 (as above)
    try:
        yield
    finally:
        np.random.set_state(before)  # noqa: NPY002 (as above)


def _style(figure: "Figure", effect: str) -> None:
    """Style SHAP's picture with the title, sizes and colours of the other pictures."""
    plot, *others = figure.axes
    plot.set_xlabel(effect, fontsize=SMALL_TEXT_SIZE * _POINTS_PER_PIXEL, color=MUTED)
    plot.tick_params(axis="x", labelsize=SMALL_TEXT_SIZE * _POINTS_PER_PIXEL, labelcolor=MUTED, length=0)
    plot.tick_params(axis="y", labelsize=TEXT_SIZE * _POINTS_PER_PIXEL, labelcolor=INK, length=0)
    plot.grid(axis="x", color=GRID)
    plot.set_axisbelow(True)
    for edge in plot.spines.values():
        edge.set_visible(False)
    title: dict[str, Any] = {"fontsize": TITLE_SIZE * _POINTS_PER_PIXEL, "fontweight": "bold", "color": INK}
    plot.set_title("What each indicator does to the prediction, one dot a customer", loc="left", pad=14, **title)
    for other in others:
        other.tick_params(labelsize=SMALL_TEXT_SIZE * _POINTS_PER_PIXEL, labelcolor=MUTED)
        other.yaxis.label.set(fontsize=SMALL_TEXT_SIZE * _POINTS_PER_PIXEL, color=MUTED)
