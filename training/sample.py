"""A seeded sample of customers by their identifiers alone: it depends on no order, no library and no machine."""

import hashlib

import numpy as np
import pyarrow as pa

from fivefold.features.histories import Floats

_BYTES = 8


def places(user_ids: pa.Array, seed: int) -> Floats:
    """Give each customer a place from 0 to 1, evenly spread; those below a share are a sample of that size.

    >>> places(pa.array(["user_1", "user_2"]), seed=1).round(4).tolist()
    [0.0835, 0.2445]
    """
    start = hashlib.blake2b(digest_size=_BYTES, salt=seed.to_bytes(_BYTES, "big"))

    def digest(user_id: str) -> bytes:
        content = start.copy()
        content.update(user_id.encode())
        return content.digest()

    numbers = np.frombuffer(b"".join(map(digest, user_ids.to_pylist())), dtype=">u8")
    return numbers.astype(np.float64) / 2.0 ** (8 * _BYTES)
