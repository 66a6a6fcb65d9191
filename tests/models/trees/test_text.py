"""Trees with the right hash that would end a process, hold it for ever, or score no number: refused before LightGBM."""

import json
import re
from pathlib import Path

import pytest

from fivefold.domain.errors import ModelError
from fivefold.models import value_model as value_models
from fivefold.models.trees.text import require_trees
from fivefold.models.value_model import ValueModel
from tests.models.making import value_model


def rewritten(trees: str, line: str, place: int, word: str) -> str:
    """Put a word into a line of the last tree, and mend the sizes: whoever writes it can do that too."""
    head, *blocks = re.split(r"(?=^Tree=\d+\n)", trees, flags=re.MULTILINE)
    blocks[-1], *end = re.split(r"(?=^end of trees)", blocks[-1], maxsplit=1, flags=re.MULTILINE)
    found = re.search(rf"^{line}=(.*)$", blocks[-1], flags=re.MULTILINE)
    assert found is not None
    words = found[1].split(" ")
    words[place] = word
    blocks[-1] = blocks[-1].replace(found[0], f"{line}={' '.join(words)}")
    sizes = " ".join(str(len(block.encode())) for block in blocks)
    head = re.sub(r"^tree_sizes=.*$", f"tree_sizes={sizes}", head, flags=re.MULTILINE)
    return "".join([head, *blocks, *end])


def loaded_with(trees: str, folder: Path) -> ValueModel:
    """Load a model with these trees and the right hash."""
    model = value_model()
    model.save(folder)
    rest = json.loads((folder / value_models._REST).read_text(encoding="utf-8"))
    rest["content_hash"] = value_models._content_hash(trees, model.curve, rest)
    (folder / value_models._REST).write_text(json.dumps(rest), encoding="utf-8")
    (folder / value_models._BOOSTER).write_text(trees, encoding="utf-8")
    return ValueModel.load(folder)


@pytest.mark.parametrize(
    ("line", "place", "word"),
    [
        ("right_child", -1, "0"),  # back to the first node: for ever
        ("right_child", -1, "-900000000"),
        ("left_child", -1, "900000000"),
        ("left_child", -1, "1.5"),
        ("split_feature", -1, "99999999"),
        ("split_feature", -1, "-1"),
        ("leaf_value", 0, "nan"),
        ("leaf_value", -1, "1e999"),
        ("threshold", -1, "nan"),
        ("threshold", -1, "1x"),
        ("decision_type", -1, "1"),
        ("num_leaves", 0, "900000"),
        ("num_leaves", 0, "0"),
        ("num_cat", 0, "5"),
        ("is_linear", 0, "1"),
        ("is_linear", 0, "0\nnum_leaves=2"),
    ],
)
def test_one_wrong_word_in_the_last_tree_is_refused(tmp_path: Path, line: str, place: int, word: str) -> None:
    with pytest.raises(ModelError):
        loaded_with(rewritten(value_model()._trees, line, place, word), tmp_path / "model")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("num_tree_per_iteration=1", "num_tree_per_iteration=7"),
        ("num_class=1", "num_class=3"),
        ("tree_sizes=", "tree_sizes=5 "),
        ("tree_sizes=", "tree_sizes=-1 "),
        ("end of trees", "end of"),
    ],
)
def test_a_header_that_says_otherwise_is_refused(tmp_path: Path, old: str, new: str) -> None:
    with pytest.raises(ModelError):
        loaded_with(value_model()._trees.replace(old, new, 1), tmp_path / "model")


def test_trees_that_are_cut_short_are_refused_everywhere(tmp_path: Path) -> None:
    trees = value_model()._trees
    for part in range(1, 9):
        with pytest.raises(ModelError):
            loaded_with(trees[: len(trees) * part // 18], tmp_path / f"{part}")


def test_trees_as_lightgbm_writes_them_are_good(tmp_path: Path) -> None:
    model = value_model()
    require_trees(model._trees, len(model.indicators))
    assert loaded_with(model._trees, tmp_path / "model").content_hash == model.content_hash


def test_a_split_between_missing_and_known_is_good(tmp_path: Path) -> None:
    """LightGBM gives it an infinite threshold."""
    trees = rewritten(value_model()._trees, "threshold", -1, "inf")
    assert loaded_with(trees, tmp_path / "model")._trees == trees
