"""The prediction of many rows by LightGBM's trees, with the bits of `Booster.predict`, in a fifth of its time.

The trees are read from the text that LightGBM writes of them. Where they have another form than those of this product,
or this release of LightGBM reads them in another way, `Booster.predict` answers, more slowly.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from threading import Lock
from types import ModuleType
from weakref import WeakKeyDictionary

import lightgbm
import numpy as np
import numpy.typing as npt

from fivefold.domain.errors import ModelError
from fivefold.features.histories import Floats, Integers
from fivefold.features.numba_cache import compile_loops
from fivefold.models.trees import loops
from fivefold.models.trees.text import LOG_LINK, OBJECTIVES, header_and_trees

_MOST_LEAVES = 64
"""Each has a bit of a word."""
_MISSING_NONE, _MISSING_NAN = 0, 2
_PROBES = 256

log = logging.getLogger("fivefold.models")
Bits = npt.NDArray[np.uint64]


@dataclass(frozen=True, kw_only=True)
class ManyRowsPredictor:
    """Trees as tables, see `loops.add_trees`; any thread may ask it.

    Attributes:
        width: columns that a row has.
    """

    width: int
    columns: Integers
    thresholds: Floats
    lefts: npt.NDArray[np.bool_]
    stays: Bits
    first_nodes: Integers
    first_leaves: Integers
    leaves: Floats
    is_log: bool

    def predict(self, matrix: Floats) -> Floats:
        """Predict the raw money of n x F indicators."""
        if matrix.shape[1] != self.width:
            raise ValueError(f"the matrix has {matrix.shape[1]} columns; it must have {self.width}")
        money = np.empty(len(matrix))
        warm_many_rows().add_trees(
            np.asarray(matrix, dtype=np.float64),
            (self.columns, self.thresholds, self.lefts, self.stays),
            self.first_nodes,
            self.first_leaves,
            self.leaves,
            _PLACES,
            self.is_log,
            money,
        )
        return money


def warm_many_rows() -> ModuleType:
    """Load the compiled loop, or compile it: seconds once a machine."""
    return compile_loops(loops)


def many_rows_predictor(booster: lightgbm.Booster) -> ManyRowsPredictor | None:
    """Give the tables of a booster, whose trees do not change any more; None where `Booster.predict` is to be asked."""
    with _ONE_AT_A_TIME:
        if booster not in _PREDICTORS:
            _PREDICTORS[booster] = _checked(booster)
        return _PREDICTORS[booster]


_PREDICTORS: WeakKeyDictionary[lightgbm.Booster, ManyRowsPredictor | None] = WeakKeyDictionary()
_ONE_AT_A_TIME = Lock()
"""The threads of a pass ask for the same trees at once."""
_PLACES = np.argsort([(loops.FACTOR << power) % 2**64 >> 58 for power in range(64)])
"""See `loops.add_trees`."""


def _checked(booster: lightgbm.Booster) -> ManyRowsPredictor | None:
    """Read the trees; None where they have another form, or LightGBM predicts other bits for some rows."""
    predictor = _read(booster)
    if predictor is not None:
        rows = _probes(predictor)
        wanted = np.asarray(booster.predict(rows, num_threads=1), dtype=np.float64)
        if predictor.predict(rows).tobytes() == wanted.tobytes():
            return predictor
    log.info("LightGBM %s predicts many rows by its slower call", lightgbm.__version__)
    return None


def _read(booster: lightgbm.Booster) -> ManyRowsPredictor | None:
    try:
        header, trees = header_and_trees(booster.model_to_string())
        objective, *parameters = header["objective"].split()
        tables = [_Table.of(lines) for lines in trees]
        if objective not in OBJECTIVES or "sqrt" in parameters or "average_output" in header or not tables:
            return None
    except (KeyError, ValueError, ModelError):
        return None
    columns, thresholds, lefts, stays = (
        np.concatenate(parts) for parts in zip(*(each.nodes for each in tables), strict=True)
    )
    sizes = [len(each.leaves) for each in tables]
    ends = np.cumsum(sizes)
    return ManyRowsPredictor(
        width=booster.num_feature(),
        columns=columns,
        thresholds=thresholds,
        lefts=lefts,
        stays=stays,
        first_nodes=np.concatenate([[0], np.cumsum([size - 1 for size in sizes])]).astype(np.int64),
        first_leaves=(ends - sizes).astype(np.int64),
        leaves=np.concatenate([each.leaves for each in tables]),
        is_log=objective in LOG_LINK,
    )


def _probes(predictor: ManyRowsPredictor) -> Floats:
    """Give rows with the thresholds of the trees, on which every comparison turns, with zeros and missing values."""
    random = np.random.default_rng(1)
    rows = np.empty((_PROBES, predictor.width))
    for column in range(predictor.width):
        values = predictor.thresholds[predictor.columns == column]
        rows[:, column] = random.choice([*values, *np.nextafter(values, np.inf), 0.0, np.nan], _PROBES)
    return rows


@dataclass(frozen=True)
class _Table:
    """The nodes of a tree, see `loops.add_trees`, and the values of its leaves from the left."""

    nodes: tuple[Integers, Floats, npt.NDArray[np.bool_], Bits]
    leaves: Floats

    @classmethod
    def of(cls, lines: Mapping[str, str]) -> "_Table":
        """Read a tree; ValueError where it has another form."""
        values = np.array(lines["leaf_value"].split(), dtype=np.float64)
        if len(values) > _MOST_LEAVES or lines["num_cat"] != "0" or lines.get("is_linear", "0") != "0":
            raise ValueError
        if len(values) == 1:
            lines = dict.fromkeys(("split_feature", "threshold", "decision_type", "left_child", "right_child"), "")
        thresholds = np.array(lines["threshold"].split(), dtype=np.float64)
        decisions = _whole(lines["decision_type"])
        missing = decisions >> 2
        if not np.isin(missing, (_MISSING_NONE, _MISSING_NAN)).all():
            raise ValueError
        lefts = np.where(missing == _MISSING_NAN, decisions & 2 > 0, thresholds >= 0.0)  # LightGBM takes it for 0 else
        stays, places = _from_left(_whole(lines["left_child"]), _whole(lines["right_child"]))
        leaves = np.empty(len(values))
        leaves[places] = values
        return cls((_whole(lines["split_feature"]), thresholds, lefts, stays), leaves)


def _whole(text: str) -> Integers:
    return np.array(text.split(), dtype=np.int64)


def _from_left(lefts: Integers, rights: Integers) -> tuple[Bits, list[int]]:
    """Give for each node the leaves that stay where a row goes to the right, as bits, and the places of the leaves.

    Leaf k is child -1 - k, and so stands in the lists below, which have the nodes first: LightGBM writes a node after
    its parent.
    """
    nodes = list(enumerate(zip(lefts.tolist(), rights.tolist(), strict=True)))
    leaves, places = [1] * (2 * len(nodes) + 1), [0] * (2 * len(nodes) + 1)
    for node, (left, right) in reversed(nodes):
        leaves[node] = leaves[left] + leaves[right]
    for node, (left, right) in nodes:
        places[left], places[right] = places[node], places[node] + leaves[left]
    gone = [((1 << leaves[left]) - 1) << places[node] for node, (left, _) in nodes]
    return ~np.array(gone, dtype=np.uint64), places[len(nodes) :][::-1]
