"""The value model: its scores and segments, and the folder that it travels in."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fivefold.domain.clock import DAY_US
from fivefold.domain.errors import ConfigError, FingerprintMismatchError, ModelError
from fivefold.domain.segments import SEGMENTS
from fivefold.features.column_names import ABSENCES
from fivefold.models.curve import ScoreCurve
from fivefold.models.value_model import FORMAT, ValueModel, saved_hash
from tests.models.making import AS_OF, known_matrix, model_of_amounts, reference_matrix, value_model


@pytest.fixture
def saved(model: ValueModel, tmp_path: Path) -> Path:
    model.save(tmp_path / "deep" / "model")
    return tmp_path / "deep" / "model"


def change(folder: Path, **fields: object) -> None:
    path = folder / "model.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**content, **fields}), encoding="utf-8")


def test_what_is_saved_and_loaded_scores_the_same_bits(model: ValueModel, saved: Path) -> None:
    loaded = ValueModel.load(saved)
    before, after = model.scores(known_matrix()), loaded.scores(known_matrix())
    for name in ("expected_value", "percentile", "score"):
        assert getattr(before, name).tobytes() == getattr(after, name).tobytes()
    assert before.category.tolist() == after.category.tolist()
    assert loaded.curve.values.tobytes() == model.curve.values.tobytes()
    assert loaded.curve.percentiles.tobytes() == model.curve.percentiles.tobytes()
    assert loaded.curve.customers == model.curve.customers


def test_everything_else_travels_too(model: ValueModel, saved: Path) -> None:
    loaded = ValueModel.load(saved)
    same = ("objective", "cut_points", "rates", "horizon_days", "indicators", "fingerprint", "definition", "test_as_of")
    for name in same:
        assert getattr(loaded, name) == getattr(model, name), name
    assert loaded.currency == "EUR"
    assert loaded.test_window_ends == AS_OF + 90 * DAY_US


@pytest.mark.parametrize("objective", ["tweedie", "regression"])
def test_the_content_hash_survives_any_number_of_round_trips(objective: str, tmp_path: Path) -> None:
    model = value_model(objective)
    once = _through(model, tmp_path / "1")
    twice = _through(once, tmp_path / "2")
    assert model.content_hash == once.content_hash == twice.content_hash
    for name in ("booster.txt", "curve.parquet", "model.json"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()


def _through(model: ValueModel, folder: Path) -> ValueModel:
    model.save(folder)
    return ValueModel.load(folder)


def test_the_content_hash_covers_everything_that_decides(model: ValueModel) -> None:
    others = [
        value_model("poisson"),
        replace(model, curve=ScoreCurve.of(np.array([1.0, 2.0]))),
        replace(model, cut_points=(1.5, 3.0, 4.0)),
        replace(model, rates=replace(model.rates, rates={})),
        replace(model, horizon_days=91),
        replace(model, definition={**model.definition, "yearly_margin": 0.03}),
        replace(model, test_as_of=model.test_as_of + 1),
    ]
    assert len({made.content_hash for made in (model, *others)}) == len(others) + 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("cut_points", [1.5, 3.0, 4.0]),
        ("horizon_days", 30),
        ("objective", "regression"),
        ("test_as_of", 0),
        ("definition", {}),
        ("curve_customers", 1),
        ("added", "later"),
    ],
)
def test_a_changed_field_does_not_load(saved: Path, field: str, value: object) -> None:
    change(saved, **{field: value})
    with pytest.raises(ModelError, match=r"damaged: its trees, its curve or model\.json"):
        ValueModel.load(saved)


def test_a_changed_rate_does_not_load(saved: Path) -> None:
    text = (saved / "model.json").read_text(encoding="utf-8")
    assert "1.16" in text
    (saved / "model.json").write_text(text.replace("1.16", "1.61"), encoding="utf-8")
    with pytest.raises(ModelError, match="damaged"):
        ValueModel.load(saved)


def test_another_format_is_refused(saved: Path) -> None:
    change(saved, format=FORMAT + 1)
    with pytest.raises(ModelError, match=rf"format {FORMAT + 1}; this program reads {FORMAT}"):
        ValueModel.load(saved)


def test_a_model_remembers_which_columns_it_was_learnt_without(model: ValueModel, saved: Path, tmp_path: Path) -> None:
    made = model_of_amounts()
    loaded = _through(made, tmp_path / "amounts")
    assert (loaded.absent, loaded.content_hash, loaded.indicators) == (ABSENCES, made.content_hash, made.indicators)
    assert loaded.catalogue.names == made.indicators
    assert not [name for name in made.indicators if name.startswith("balance")]
    assert made.fingerprint != model.fingerprint
    assert "absent" not in json.loads((saved / "model.json").read_text(encoding="utf-8"))
    change(tmp_path / "amounts", absent=[])
    with pytest.raises(FingerprintMismatchError):
        ValueModel.load(tmp_path / "amounts")


def test_a_model_of_other_indicators_is_refused(saved: Path) -> None:
    change(saved, fingerprint="0" * 64)
    with pytest.raises(FingerprintMismatchError, match=r"trained on other indicators \(catalogue 000000000000\)"):
        ValueModel.load(saved)


def test_an_empty_folder_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds no value model"):
        ValueModel.load(tmp_path)


def _write(name: str, content: bytes) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        (folder / name).write_bytes(content)

    return damage


def _cut_in_half(name: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: len(content) // 2])

    return damage


def _other_column(folder: Path) -> None:
    pq.write_table(pa.table({"worth": [1.0]}), folder / "curve.parquet")


def _without(field: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        path = folder / "model.json"
        content = json.loads(path.read_text(encoding="utf-8"))
        del content[field]
        path.write_text(json.dumps(content), encoding="utf-8")

    return damage


def _pipe(name: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        os.mkfifo(folder / name)

    return damage


def _one_digit_of_a_leaf(folder: Path) -> None:
    text = (folder / "booster.txt").read_text(encoding="utf-8")
    at = text.index("leaf_value=") + len("leaf_value=") + 3
    (folder / "booster.txt").write_text(
        text[:at] + ("1" if text[at] != "1" else "2") + text[at + 1 :], encoding="utf-8"
    )


@pytest.mark.parametrize(
    "damage",
    [
        *[_write(name, b"") for name in ("booster.txt", "curve.parquet", "model.json")],
        *[_write(name, b"\xff\x00 nonsense") for name in ("booster.txt", "curve.parquet", "model.json")],
        *[_cut_in_half(name) for name in ("booster.txt", "curve.parquet", "model.json")],
        _write("model.json", b"[]"),
        _write("model.json", b"null"),
        _write("model.json", b"[" * 200_000 + b"]" * 200_000),
        *[_pipe(name) for name in ("booster.txt", "curve.parquet", "model.json", "own_indicators.py")],
        _other_column,
        _without("fingerprint"),
        _without("rates"),
        _one_digit_of_a_leaf,
    ],
)
def test_a_damaged_folder_is_a_model_error(saved: Path, damage: Callable[[Path], None]) -> None:
    damage(saved)
    with pytest.raises(ModelError) as caught:
        ValueModel.load(saved)
    assert str(saved) in str(caught.value)


@pytest.mark.parametrize(
    "damage",
    [
        _write("model.json", b"[" * 200_000 + b"]" * 200_000),
        _write("model.json", b"[]"),
        _write("model.json", b""),
        _pipe("model.json"),
    ],
)
def test_a_damaged_model_has_no_hash_that_can_be_read(saved: Path, damage: Callable[[Path], None]) -> None:
    assert saved_hash(saved)
    damage(saved)
    assert saved_hash(saved) is None


def test_a_missing_file_is_a_model_error(saved: Path) -> None:
    for name in ("booster.txt", "curve.parquet", "model.json"):
        (saved / name).rename(saved / "away")
        with pytest.raises(ModelError, match=f"^{saved} holds no value model: {name} is not there$"):
            ValueModel.load(saved)
        (saved / "away").rename(saved / name)


def test_wrong_cut_points_are_refused(model: ValueModel, tmp_path: Path) -> None:
    replace(model, cut_points=(4.0, 3.0, 2.0)).save(tmp_path)
    with pytest.raises((ModelError, ConfigError), match="cut points"):
        ValueModel.load(tmp_path)


def test_segments_are_cut_on_the_unrounded_score_and_a_boundary_belongs_to_the_upper(model: ValueModel) -> None:
    below = [float(np.nextafter(cut, 0.0)) for cut in (2.0, 3.0, 4.0)]
    scores = np.array([1.0, 1.999, below[0], 2.0, below[1], 3.0, 3.9999, below[2], 4.0, 5.0])
    wanted = ["low", "low", "low", "medium", "medium", "high", "high", "high", "top", "top"]
    assert model.segments_of(scores).tolist() == wanted


def test_the_category_follows_the_model_s_own_cut_points(model: ValueModel) -> None:
    high_bar = replace(model, cut_points=(1.5, 4.5, 4.9))
    scores = high_bar.scores(reference_matrix())
    assert ((scores.score >= 4.9) == (scores.category == "top")).all()
    assert ((scores.score < 1.5) == (scores.category == "low")).all()


@given(st.lists(st.floats(1, 5), min_size=1), st.lists(st.floats(1.001, 4.999), min_size=3, max_size=3, unique=True))
def test_a_higher_score_is_never_in_a_lower_segment(scores: list[float], cuts: list[float]) -> None:
    cut_points = sorted(cuts)
    model = replace(value_model(), cut_points=(cut_points[0], cut_points[1], cut_points[2]))
    places = [SEGMENTS.index(name) for name in model.segments_of(np.array(sorted(scores)))]
    assert places == sorted(places)
    assert places == [sum(score >= cut for cut in cut_points) for score in sorted(scores)]


def test_scores_follow_the_expected_money(model: ValueModel) -> None:
    scores = model.scores(reference_matrix())
    assert (scores.expected_value >= 0).all()
    assert scores.score.tolist() == (1 + 4 * scores.percentile).tolist()
    order = np.argsort(scores.expected_value)
    assert (np.diff(scores.score[order]) >= 0).all()
    assert {str(name) for name in scores.category} == set(SEGMENTS)


def test_the_reference_portfolio_fills_the_scale_evenly(model: ValueModel) -> None:
    scores = model.scores(reference_matrix())
    assert scores.percentile.mean() == pytest.approx(0.5, abs=1e-12)
    counts = [int((scores.category == name).sum()) for name in SEGMENTS]
    assert min(counts) > 0.2 * sum(counts)


def test_nobody_gets_no_score(model: ValueModel) -> None:
    scores = model.scores(np.empty((0, len(model.indicators))))
    assert len(scores.score) == len(scores.category) == len(scores.percentile) == len(scores.expected_value) == 0
