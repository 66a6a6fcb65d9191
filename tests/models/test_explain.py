"""The explanation: it adds up, and it is TreeSHAP's."""

import warnings
from dataclasses import replace
from datetime import date
from math import fsum, isnan, nan
from typing import Any

import lightgbm
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fivefold.charts.steps import waterfall_plot
from fivefold.domain.clock import day_text
from fivefold.domain.money import base_only
from fivefold.features.catalogue.indicator import UNITS
from fivefold.features.indicator_matrix import catalogue
from fivefold.models.curve import ScoreCurve
from fivefold.models.explain import Explanations, breakdown, contribution, explain, sentence, value_text
from fivefold.models.trees.text import LOG_LINK, OBJECTIVES
from fivefold.models.value_model import ValueModel
from tests.depth import examples
from tests.models.making import fitted, known_matrix, model_of, reference_matrix, value_model

WITHIN = 1e-9
COLUMNS = len(catalogue().names)


def margin_of(model: ValueModel, matrix: np.ndarray) -> np.ndarray:
    return np.asarray(model.booster.predict(matrix, raw_score=True, num_threads=1))


def money_of(model: ValueModel, margin: np.ndarray) -> np.ndarray:
    return np.exp(margin) if model.objective in LOG_LINK else np.maximum(margin, 0.0)


def farthest_off(found: Explanations) -> float:
    """The largest distance of base + points from the score, however one adds up."""
    off = [
        max(abs(fsum((found.base, *row)) - score), abs(sum(row, start=found.base) - score))
        for row, score in zip(found.points.tolist(), found.scores.score.tolist(), strict=True)
    ]
    return max(off)


def oracle(model: ValueModel, matrix: np.ndarray, *, own_walk: bool) -> tuple[np.ndarray, float]:
    """SHAP values and expected margin by the shap package: through LightGBM, or by shap's own walk of the trees."""
    import shap

    explainer = shap.TreeExplainer(model.booster)
    if own_walk:
        explainer.model.model_type = "internal"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # shap tells of changes in what it returns for classifiers
        values = np.asarray(explainer.shap_values(matrix, check_additivity=False))
    return values, float(np.ravel(explainer.expected_value)[0])


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_base_and_points_add_up_to_the_score_for_thousands_of_customers(objective: str) -> None:
    matrix = known_matrix()
    assert len(matrix) > 2_500
    assert np.isnan(matrix).any()
    found = explain(value_model(objective), matrix)
    assert farthest_off(found) <= WITHIN
    assert found.scores.score.tobytes() == value_model(objective).scores(matrix).score.tobytes()


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_points_are_the_shap_values_of_the_shap_package_times_one_factor(objective: str) -> None:
    model, matrix = value_model(objective), known_matrix()
    values, expected = oracle(model, matrix, own_walk=False)
    found = explain(model, matrix)
    assert found.base == pytest.approx(model.curve.score(money_of(model, np.array([expected])))[0], abs=1e-12)
    difference = margin_of(model, matrix) - expected
    apart = np.abs(difference) > 1e-6
    assert apart.sum() > 2_500
    factor = (found.scores.score - found.base)[apart] / difference[apart]
    assert np.abs(found.points[apart] - values[apart] * factor[:, None]).max() <= WITHIN


def test_lightgbm_and_shap_s_own_walk_agree_on_what_each_indicator_did() -> None:
    model, matrix = value_model(), known_matrix()[:300]
    by_lightgbm, expected = oracle(model, matrix, own_walk=False)
    by_shap, expected_by_shap = oracle(model, matrix, own_walk=True)
    assert expected_by_shap == pytest.approx(expected, abs=1e-6)
    assert np.abs(by_shap - by_lightgbm).max() < 1e-6


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_customers_beyond_the_ends_of_the_curve_add_up_too(objective: str) -> None:
    matrix, full = known_matrix(), value_model(objective)
    middle = np.quantile(full.scores(matrix).expected_value, [0.45, 0.5, 0.55])
    model = model_of(fitted_again(full), middle, booster=full.booster, objective=objective)
    found = explain(model, matrix)
    assert (found.scores.expected_value < middle[0]).sum() > 100
    assert (found.scores.expected_value > middle[-1]).sum() > 100
    assert farthest_off(found) <= WITHIN
    assert set(np.round(found.scores.score[found.scores.expected_value > middle[-1]], 12)) == {4.333333333333}


def fitted_again(model: ValueModel) -> Any:
    """Give something that `model_of` takes trees from."""
    return type("Fitted", (), {"booster_": model.booster, "objective": model.objective})


extreme = st.floats(-1e15, 1e15) | st.sampled_from([nan, 0.0, -0.0, 1e-300, -1e15, 1e15])
sparse_rows = st.lists(st.dictionaries(st.integers(0, COLUMNS - 1), extreme, max_size=COLUMNS), min_size=1, max_size=8)


@pytest.mark.parametrize("objective", OBJECTIVES)
@settings(max_examples=examples(25))
@given(rows=sparse_rows, references=st.lists(st.floats(0, 1e6), min_size=1, max_size=20))
def test_any_row_adds_up_on_any_curve(objective: str, rows: list[dict[int, float]], references: list[float]) -> None:
    full = value_model(objective)
    model = model_of(fitted_again(full), np.array(references))
    matrix = np.full((len(rows), COLUMNS), nan)
    for number, row in enumerate(rows):
        matrix[number, list(row)] = list(row.values())
    for shown in (model, full):
        found = explain(shown, matrix)
        assert np.isfinite(found.points).all()
        assert farthest_off(found) <= WITHIN
        parts = breakdown(found, 0, "EUR")
        assert abs(fsum(parts.families().values()) + parts.base - found.scores.score[0]) <= WITHIN
        assert abs(parts.total - found.scores.score[0]) <= WITHIN


def test_a_customer_of_whom_nothing_is_known_adds_up() -> None:
    found = explain(value_model(), np.full((1, COLUMNS), nan))
    assert farthest_off(found) <= WITHIN
    assert all(part.value is None for part in breakdown(found, 0, "EUR").contributions)


def additive_model(step: float, rounds: int = 150) -> ValueModel:
    """Value = 10 + step a + step b for a, b of -1 or 1, by stumps; the curve rises evenly from 0 to 20."""
    matrix = np.array([[a, b] for a in (-1.0, 1.0) for b in (-1.0, 1.0)] * 25)
    trees = fitted(
        matrix, 10 + step * matrix.sum(axis=1), objective="regression", leaves=2, rounds=rounds, learning_rate=0.3
    )
    return model_of(trees, np.linspace(0.0, 20.0, 2_001), objective="regression")


def test_where_the_effects_cancel_out_the_slope_of_the_curve_gives_the_points() -> None:
    model = additive_model(3.0)
    found = explain(model, np.array([[1.0, -1.0], [-1.0, 1.0], [1.0, 1.0]]))
    assert margin_of(model, found.matrix)[:2] == pytest.approx([10, 10], abs=1e-6)
    slope = 4 * (2_000 / 2_001) / 20  # points a unit of money
    assert found.points[:2] == pytest.approx(np.array([[3, -3], [-3, 3]]) * slope, abs=1e-5)
    assert found.points[2] == pytest.approx([3 * slope, 3 * slope], abs=1e-5)
    assert found.base == pytest.approx(3.0, abs=1e-6)
    assert farthest_off(found) <= WITHIN


def test_effects_that_cancel_out_exactly_are_no_division_by_zero() -> None:
    trees = two_stumps()
    model = model_of(trees, np.linspace(0.0, 20.0, 2_001), objective="regression")
    matrix = np.array([[1.0, -1.0]])
    contributions = model.booster.predict(matrix, pred_contrib=True)[0]
    assert contributions[0] == -contributions[1] == 1.0
    found = explain(model, matrix)
    assert found.points[0] == pytest.approx(contributions[:2] * 4 * (2_000 / 2_001) / 20, abs=1e-9)
    assert farthest_off(found) <= WITHIN


def test_a_jump_of_the_curve_where_the_effects_cancel_out_adds_up() -> None:
    model = additive_model(0.3, rounds=30)
    matrix = np.array([[1.0, -1.0]])
    expected = model.booster.predict(matrix, pred_contrib=True)[0, -1]
    predicted = model.booster.predict(matrix)[0]
    assert 0 < abs(predicted - expected) < 1e-9  # rounding alone
    at_the_jump = replace(model, curve=ScoreCurve.of(np.array([expected, predicted])))
    found = explain(at_the_jump, matrix)
    assert abs(found.scores.score[0] - found.base) == pytest.approx(2.0)
    assert farthest_off(found) <= WITHIN


def two_stumps() -> Any:
    """Two trees that mirror each other: one rises with a by just what the other rises with b."""
    matrix = np.array([[a, b] for a in (-1.0, 1.0) for b in (-1.0, 1.0)] * 25)
    parameters = {"objective": "regression", "num_leaves": 2, "learning_rate": 1.0, "min_data_in_leaf": 1}
    quiet = {"verbosity": -1, "num_threads": 1}
    booster = lightgbm.train({**parameters, **quiet}, lightgbm.Dataset(matrix, 8.0 + matrix.sum(axis=1)), 2)
    return type("Fitted", (), {"booster_": booster, "objective": "regression"})


def test_trees_without_a_split_explain_nothing_and_still_add_up() -> None:
    trees = fitted(np.zeros((50, 2)), np.full(50, 7.0), rounds=3)
    model = model_of(trees, trees.predict(np.zeros((5, 2))))
    found = explain(model, np.array([[0.0, 1.0], [nan, nan]]))
    assert found.points.tolist() == [[0.0, 0.0], [0.0, 0.0]]
    assert found.scores.score.tolist() == [3.0, 3.0]
    assert found.base == 3.0


def test_a_steep_curve_between_two_neighbouring_predictions_adds_up() -> None:
    full, matrix = value_model(), known_matrix()[:200]
    money = full.scores(matrix).expected_value
    beside = np.concatenate([money, np.nextafter(money, np.inf), np.nextafter(money, 0.0)])
    found = explain(model_of(fitted_again(full), beside), matrix)
    assert farthest_off(found) <= WITHIN


def test_one_customer_is_explained_as_in_a_batch_to_the_bit() -> None:
    matrix = known_matrix()[:100]
    together = explain(value_model(), matrix)
    for row in range(0, 100, 7):
        alone = explain(value_model(), matrix[row : row + 1])
        assert alone.points[0].tobytes() == together.points[row].tobytes()
        assert alone.base == together.base


def test_no_customers_have_the_same_base_and_no_points() -> None:
    found = explain(value_model(), np.empty((0, COLUMNS)))
    assert found.points.shape == (0, COLUMNS)
    assert found.base == explain(value_model(), known_matrix()[:1]).base


def test_points_agree_with_the_effect_on_the_margin_in_sign() -> None:
    model, matrix = value_model(), known_matrix()[:500]
    shap = model.booster.predict(matrix, pred_contrib=True)[:, :-1]
    points = explain(model, matrix).points
    assert (points * shap >= -1e-9).all()


def test_the_breakdown_tells_every_indicator_s_value_unit_and_effect() -> None:
    found = explain(value_model(), reference_matrix()[:20])
    for row in range(20):
        parts = breakdown(found, row, "CHF").contributions
        assert sorted(part.name for part in parts) == sorted(catalogue().names)
        for part in parts:
            column = catalogue().names.index(part.name)
            made, value = catalogue().indicators[column], found.matrix[row, column]
            assert part.family == made.family
            assert part.points == found.points[row, column]
            assert part.unit == made.unit.replace("money", "CHF")
            assert part.value == (None if isnan(value) else value)
            assert part.sentence.startswith(made.meaning.rstrip("."))
            assert f": {value_text(value, made.unit, 'CHF')}; " in part.sentence
            assert effect(part.points) in part.sentence
            assert part.words == part.sentence or f"{part.points:.3f}".lstrip("-") == "0.000"
            assert part.label == made.label


@pytest.mark.parametrize(
    ("points", "words"),
    [
        (0.0004, "raises the score by 0.0004."),
        (-0.00001, "lowers the score by 0.00001."),
        (0.25, "raises the score by 0.250."),
        (0.0, "does not change the score."),
    ],
)
def test_people_never_read_that_an_effect_is_nothing(points: float, words: str) -> None:
    """Programs have the points beside the sentence, which keeps its three decimals."""
    part = contribution(catalogue().indicators[0], 3.0, points, "EUR")
    assert part.words.endswith(f"; {words}")
    assert part.sentence.endswith(f"; {effect(points)}")


def effect(points: float) -> str:
    if points > 0:
        return f"raises the score by {points:.3f}."
    return f"lowers the score by {-points:.3f}." if points < 0 else "does not change the score."


def test_the_largest_effects_come_first_and_families_sum_up() -> None:
    found = explain(value_model(), reference_matrix()[:50])
    for row in range(50):
        parts = breakdown(found, row, "EUR")
        sizes = [abs(part.points) for part in parts.contributions]
        assert sizes == sorted(sizes, reverse=True)
        families = parts.families()
        assert set(families) == {made.family for made in catalogue().indicators}
        assert abs(parts.base + fsum(families.values()) - found.scores.score[row]) <= WITHIN


def test_a_score_just_below_a_cut_point_is_not_written_as_the_cut_point() -> None:
    model = value_model()
    score = float(explain(model, known_matrix()[:1]).scores.score[0])
    cut = round(score, 2) + (0 if round(score, 2) > score else 0.01)
    below = replace(model, cut_points=(1.01, 1.02, cut))
    explained = explain(below, known_matrix()[:1])
    assert explained.scores.category.tolist() == ["high"]
    words = f"score {cut - 0.01:.2f}, high,"
    assert words in sentence(below, explained, 0)
    plot = waterfall_plot(breakdown(explained, 0, "EUR"), base_label="base", total_label="score")
    assert plot.rows[-1].number == f"{cut - 0.01:.2f}"


@pytest.mark.parametrize(
    ("below", "equal", "words"),
    [
        (326, 1, "32 % of the customers known on {}"),
        (290, 0, "29 % of the customers known on {}"),
        (999, 1, "99 % of the customers known on {}"),
        (1000, 0, "all of the customers known on {}"),
        (16, 139, "1 % of the customers known on {}, as much as 13.9 % of them"),
        (0, 1000, "0 % of the customers known on {}, as much as 100.0 % of them"),
    ],
)
def test_a_place_is_the_share_with_a_lower_prediction_never_rounded_up(below: int, equal: int, words: str) -> None:
    """Customers with the same prediction are not worth less, though half of them count in the percentile."""
    model = value_model()
    worth = float(explain(model, known_matrix()[:1]).scores.expected_value[0])
    reference = np.concatenate([np.full(below, worth / 2), np.full(equal, worth), np.full(1000 - below - equal, 1e9)])
    placed = replace(model, curve=ScoreCurve.of(reference))
    assert sentence(placed, explain(placed, known_matrix()[:1]), 0).endswith(
        f", more than {words.format(day_text(model.test_as_of))}"
    )


@pytest.mark.parametrize(("currency", "decimals"), [("KWD", 3), ("JPY", 0), ("EUR", 2)])
def test_money_is_written_with_the_decimals_of_its_currency(currency: str, decimals: int) -> None:
    model = value_model()
    own = replace(model, rates=base_only(currency, date(2024, 1, 1)))
    explained = explain(own, known_matrix()[:1])
    assert f"worth {explained.scores.expected_value[0]:,.{decimals}f} {currency} in" in sentence(own, explained, 0)
    assert value_text(12.3456, "money per day", currency) == f"{12.3456:.{decimals}f} {currency} per day"


def test_an_undefined_value_is_said_to_be_undefined() -> None:
    matrix = reference_matrix()[:1].copy()
    matrix[0, 0] = nan
    parts = breakdown(explain(value_model(), matrix), 0, "EUR").contributions
    (first,) = [part for part in parts if part.name == catalogue().names[0]]
    assert first.value is None
    assert ": undefined; " in first.sentence


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (1234567.891, "money", "1,234,567.89 SEK"),
        (-0.5, "money per day", "-0.50 SEK per day"),
        (0.1234, "share", "12.3 %"),
        (1.25, "ratio", "1.25"),
        (12.0, "days", "12.0 days"),
        (1200.0, "count", "1,200"),
        (1.0, "flag", "1"),
    ],
)
def test_values_are_written_with_their_units(value: float, unit: str, text: str) -> None:
    assert value_text(value, unit, "SEK") == text
    assert value_text(nan, unit, "SEK") == "undefined"


def test_every_unit_of_the_catalogue_is_written() -> None:
    assert {unit: value_text(1.0, unit, "EUR") for unit in UNITS}.keys() == set(UNITS)


def test_the_curve_of_one_customer_explains_nothing_but_adds_up() -> None:
    model = model_of(fitted_again(value_model()), np.array([5.0]))
    assert model.curve == ScoreCurve.of(np.array([5.0])) or model.curve.customers == 1
    found = explain(model, known_matrix()[:50])
    assert found.scores.score.tolist() == [3.0] * 50
    assert np.abs(found.points).max() <= WITHIN
