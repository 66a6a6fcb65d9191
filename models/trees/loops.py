"""A loop over trees that Numba compiles: it compares 64 rows at a node, where LightGBM leads each row down by itself.

A node takes from a row the leaves of the side that the row does not go to; the first leaf that is left is the row's.
No step waits for the one before, so a processor compares several rows by one instruction. Source: Lucchese and others,
"QuickScorer: a fast algorithm to rank documents with additive ensembles of regression trees" (2015).
"""

import math
from typing import Any

import numpy as np

_FLOATS, _INTEGERS, _WORDS = "Array(float64,1,'C',True)", "Array(int64,1,'C',True)", "Array(uint64,1,'C',True)"
SIGNATURES = {
    "add_trees": f"void(Array(float64,2,'A',True), Tuple(({_INTEGERS}, {_FLOATS}, Array(bool_,1,'C',True), {_WORDS})), "
    f"{_INTEGERS}, {_INTEGERS}, {_FLOATS}, {_INTEGERS}, boolean, float64[::1])",
}
ROWS_AT_ONCE = 64
"""So many rows stay in the processor's nearest caches; with 16 it takes a third longer."""
ZERO = float(np.float32(1e-35))
"""LightGBM takes for 0 what is as near to it, or nearer."""
FACTOR = 0x03F79D71B4CB0A89
"""Its multiples by powers of two begin with six bits that are different for each: de Bruijn's sequence."""


def add_trees(
    matrix: Any, nodes: Any, first_nodes: Any, first_leaves: Any, leaves: Any, places: Any, is_log: Any, sums: Any
) -> None:
    """Fill what k trees say of each of n rows.

    Args:
        matrix: n x F.
        nodes: of each node its column, its threshold, whether a missing value goes to the left, and the leaves that
            stay where a row goes to the right: a bit for each leaf of the tree, from the left.
        first_nodes: k + 1 numbers: the first node of each tree, and the number of nodes.
        first_leaves: of each tree, its first leaf.
        leaves: the value of each leaf, from the left.
        places: 64 numbers: of the first six bits of `FACTOR` times a power of two, which power it is.
        is_log: the sum of the trees is the logarithm of what is filled.
        sums: n values that are filled.
    """
    columns, thresholds, lefts, stays = nodes
    every, shift, factor = np.uint64(0xFFFFFFFFFFFFFFFF), np.uint64(58), np.uint64(FACTOR)
    cells = np.empty((matrix.shape[1], ROWS_AT_ONCE))
    bits = np.empty(ROWS_AT_ONCE, dtype=np.uint64)
    for begin in range(0, len(sums), ROWS_AT_ONCE):
        rows = min(ROWS_AT_ONCE, len(sums) - begin)
        _turn(matrix, begin, rows, cells)
        for row in range(rows):
            sums[begin + row] = 0.0
        for tree in range(len(first_nodes) - 1):
            for row in range(rows):
                bits[row] = every
            for node in range(first_nodes[tree], first_nodes[tree + 1]):
                _take(bits, cells[columns[node]], thresholds[node], lefts[node], stays[node], rows)
            first = first_leaves[tree]
            for row in range(rows):
                lowest = bits[row] & (~bits[row] + np.uint64(1))
                sums[begin + row] += leaves[first + places[(lowest * factor) >> shift]]
        for row in range(rows):
            sums[begin + row] = math.exp(sums[begin + row]) if is_log else sums[begin + row]


def _turn(matrix: Any, begin: Any, rows: Any, cells: Any) -> None:
    """Fill F x `ROWS_AT_ONCE` with some rows of a matrix."""
    for row in range(rows):
        for column in range(matrix.shape[1]):
            cell = matrix[begin + row, column]
            cells[column, row] = 0.0 if abs(cell) <= ZERO else cell


def _take(bits: Any, values: Any, threshold: Any, missing: Any, stay: Any, rows: Any) -> None:
    """Take from each row that goes to the right of a node the leaves on its left; *missing* values go to the left."""
    every = np.uint64(0xFFFFFFFFFFFFFFFF)
    if missing:
        for row in range(rows):
            bits[row] &= stay if values[row] > threshold else every
    else:
        for row in range(rows):
            bits[row] &= every if values[row] <= threshold else stay
