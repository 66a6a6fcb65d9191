"""Checks of the text of trees before LightGBM reads it: LightGBM follows the numbers in it unchecked.

A child that is not a node ends the process, and one that leads back to its parent makes an endless loop, as soon as a
customer's indicators lead there; a trial run may not find it. A leaf that is not a number gives scores that are not.
"""

import math
from collections.abc import Callable, Iterator, Mapping

from fivefold.domain.errors import ModelError

LOG_LINK = ("tweedie", "poisson")
"""Objectives whose margin is the logarithm of the prediction."""
OBJECTIVES = (*LOG_LINK, "regression", "regression_l1")
"""With which trees are learnt."""

_CATEGORICAL = 1
"""The bit of a decision between categories, of which there are none among the indicators."""
_HEADER = {"num_class": "1", "num_tree_per_iteration": "1"}


def require_trees(text: str, columns: int) -> None:
    """Refuse trees in which some row of indicators would not reach a leaf.

    Args:
        text: of a booster, as LightGBM writes it.
        columns: indicators that a row has.

    Raises:
        ModelError: what is wrong, and in which tree.
        ValueError, KeyError: a number cannot be read, or a line is missing.
    """
    for number, lines in enumerate(header_and_trees(text)[1]):
        _require_tree(lines, f"tree {number}", columns)


def header_and_trees(text: str) -> tuple[Mapping[str, str], Iterator[Mapping[str, str]]]:
    """Give the lines of the header, and those of each tree, by the names before their signs of equality.

    Raises:
        ModelError: a tree has another form or place than LightGBM gives it; of the trees it is raised as they are read.
        ValueError, KeyError: as of `require_trees`.
    """
    head, separator, rest = text.encode().partition(b"\nTree=0\n")
    header = _lines(head, "the header")
    for name, value in _HEADER.items():
        if header[name] != value:
            raise ModelError(f"the trees have {name}={header[name]}; it must be {value}")
    return header, _trees(_whole(header["tree_sizes"]), (separator + rest)[1:])


def _trees(sizes: list[int], remaining: bytes) -> Iterator[Mapping[str, str]]:
    for number, size in enumerate(sizes):
        block, remaining = remaining[: max(size, 0)], remaining[max(size, 0) :]
        if not block.startswith(b"Tree=%d\n" % number) or block.count(b"Tree=") != 1:
            raise ModelError(f"tree {number} does not stand where the sizes of the trees say")
        yield _lines(block, f"tree {number}")
    if not remaining.startswith(b"end of trees"):
        raise ModelError("the trees do not end where their sizes say")


def _lines(block: bytes, name: str) -> Mapping[str, str]:
    fields: dict[str, str] = {}
    for line in block.decode().split("\n"):
        key, separator, value = line.partition("=")
        if separator and key in fields:
            raise ModelError(f"{name} has two lines {key}")
        fields[key] = value
    return fields


def _require_tree(lines: Mapping[str, str], name: str, columns: int) -> None:
    leaves = int(lines["num_leaves"])
    if leaves < 1 or lines["num_cat"] != "0" or lines.get("is_linear", "0") != "0":
        raise ModelError(f"{name} must have one leaf or more, no categories, and leaves that are plain numbers")
    if not _all(math.isfinite, lines["leaf_value"], leaves):
        raise ModelError(f"{name} must have {leaves} finite values of leaves")
    nodes = leaves - 1
    if nodes == 0:
        return
    features, decisions = _whole(lines["split_feature"]), _whole(lines["decision_type"])
    if len(features) != nodes or not all(0 <= feature < columns for feature in features):
        raise ModelError(f"{name} must have {nodes} features below {columns}")
    if len(decisions) != nodes or any(decision & _CATEGORICAL for decision in decisions):
        raise ModelError(f"{name} must have {nodes} decisions between numbers")
    # LightGBM itself writes infinite thresholds: they part missing values from all others.
    if not _all(lambda value: not math.isnan(value), lines["threshold"], nodes):
        raise ModelError(f"{name} must have {nodes} thresholds that are numbers")
    sides = [_whole(lines[side]) for side in ("left_child", "right_child")]
    # LightGBM writes a node after its parent. If every child comes later, every path has an end.
    onward = all(child < 0 or child > parent for side in sides for parent, child in enumerate(side))
    if not onward or sorted(sides[0] + sides[1]) != [*range(-leaves, 0), *range(1, nodes)]:
        raise ModelError(f"{name} has children that are not its {nodes} nodes and {leaves} leaves, each once")


def _whole(text: str) -> list[int]:
    return [int(part) for part in text.split()]


def _all(is_valid: Callable[[float], bool], text: str, count: int) -> bool:
    values = [float(part) for part in text.split()]
    return len(values) == count and all(map(is_valid, values))
