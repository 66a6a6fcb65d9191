"""The pictures of a run."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import pyplot as plt

from fivefold.features.indicator_matrix import catalogue
from fivefold.training.config import TrainingConfig
from fivefold.training.data import TransactionSource
from fivefold.training.judging.predictions import WindowPredictions, predict_test_window
from fivefold.training.report import pictures as report
from fivefold.training.report.pictures import write_beeswarm, write_pictures
from tests.training.conftest import Runs

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def judged(runs: Runs, portfolio: TransactionSource, config: TrainingConfig) -> WindowPredictions:
    found = predict_test_window(portfolio, runs.first.lineage.dates, config, runs.first.model.booster, None)
    return replace(found, matrix=found.matrix[:60])


def test_four_pictures_are_drawn(runs: Runs, judged: WindowPredictions, tmp_path: Path) -> None:
    paths = write_pictures(tmp_path / "new" / "plots", runs.first.model, runs.first.evaluation, judged)
    assert [path.name for path in paths] == ["calibration.png", "lift.png", "segments.png", "shap.png"]
    for path in paths:
        content = path.read_bytes()
        assert content.startswith(PNG)
        assert len(content) > 5_000
    assert not plt.get_fignums()
    assert mpl.get_backend().lower() == "agg"


@pytest.fixture
def labels(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The x labels of the figures that are drawn; nothing is written."""
    found: list[str] = []
    monkeypatch.setattr(
        "matplotlib.figure.Figure.savefig", lambda figure, *_, **__: found.append(figure.axes[0].get_xlabel())
    )
    return found


@pytest.mark.parametrize(
    ("objective", "wanted"), [("tweedie", "logarithm of the expected value"), ("regression", "expected value")]
)
def test_the_beeswarm_says_what_the_margin_is(
    runs: Runs, judged: WindowPredictions, tmp_path: Path, labels: list[str], objective: str, wanted: str
) -> None:
    write_beeswarm(tmp_path / "shap.png", replace(runs.first.model, objective=objective), judged)
    (label,) = labels
    assert wanted in label
    assert ("logarithm" in label) == (objective == "tweedie")


def test_a_figure_is_closed_even_when_drawing_fails(
    runs: Runs, judged: WindowPredictions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: Any, **__: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", failing)
    with pytest.raises(OSError, match="disk full"):
        write_beeswarm(tmp_path / "shap.png", runs.first.model, judged)
    assert not plt.get_fignums()


def test_the_beeswarm_has_labels_and_the_look_of_the_others(
    runs: Runs, judged: WindowPredictions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[tuple[str, list[str], list[str]]] = []

    def kept(figure: Any, *_: Any, **__: Any) -> None:
        plot = figure.axes[0]
        looks.append(
            (
                plot.get_title("left"),
                mpl.rcParams["font.sans-serif"],
                [text.get_text() for text in plot.get_yticklabels()],
            )
        )

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", kept)
    before = list(mpl.rcParams["font.sans-serif"])
    write_beeswarm(tmp_path / "shap.png", runs.first.model, judged)
    ((title, fonts, names),) = looks
    assert title.startswith("What each indicator does")
    assert fonts[0] == "Liberation Sans"
    assert mpl.rcParams["font.sans-serif"] == before
    shown = {made.label for made in catalogue().indicators}
    assert len(set(names) & shown) > 5


def test_only_so_many_customers_are_drawn(
    runs: Runs, judged: WindowPredictions, tmp_path: Path, labels: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import shap

    sizes: list[int] = []
    monkeypatch.setattr(report, "SHOWN_CUSTOMERS", 25)
    drawn = shap.plots.beeswarm
    monkeypatch.setattr(
        shap.plots, "beeswarm", lambda values, **options: (sizes.append(len(values)), drawn(values, **options))
    )
    write_beeswarm(tmp_path / "shap.png", runs.first.model, judged)
    assert sizes == [25]
    assert len(labels) == 1


def test_the_beeswarm_of_the_same_model_is_the_same_file(runs: Runs, judged: WindowPredictions, tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("first.png", "second.png")]
    for path in paths:
        _, before, place, *_ = np.random.get_state()  # noqa: NPY002 (the generator that SHAP takes)
        write_beeswarm(path, runs.first.model, judged)
        _, after, place_after, *_ = np.random.get_state()  # noqa: NPY002 (as above)
        assert (list(before), place) == (list(after), place_after)
        np.random.rand()  # noqa: NPY002 (as above)
    assert paths[0].read_bytes() == paths[1].read_bytes()
