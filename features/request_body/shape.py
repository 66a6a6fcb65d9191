"""How much a JSON body holds, known before it is read: what would take too long, or too much memory, is refused first.

To read a body makes an object of every value in it, and some hundred bytes of each; and what is wrong with a form is
named value by value. So a body of a few megabytes can take gigabytes. To count takes a millisecond a megabyte.
"""

from dataclasses import dataclass

import numpy as np

from fivefold.features.numba_cache import compiled_loops
from fivefold.features.request_body import shape_loops
from fivefold.features.request_body.shape_loops import DEEPEST

__all__ = ["DEEPEST", "Shape", "shape_of"]


@dataclass(frozen=True)
class Shape:
    """What was counted in a JSON body.

    Attributes:
        rows: elements of the outermost array, or members of the outermost object.
        values: values in all, at any depth.
        widest: members of the object that has most of them.
        widest_row: the row, from 0, in which that object stands.
        depth: how deep the nesting goes; beyond DEEPEST it was not counted further.
    """

    rows: int
    values: int
    widest: int
    widest_row: int
    depth: int


def shape_of(body: bytes) -> Shape:
    """Count what a JSON body holds; of what is no JSON the counts mean little, but there are some."""
    found = np.zeros(5, dtype=np.int64)
    if body:
        compiled_loops(shape_loops).measure(np.frombuffer(body, np.uint8), found)
    return Shape(*found.tolist())
