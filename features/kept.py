"""Histories kept in files of Arrow: checked once, and read again by every later pass.

A row of the table is a customer, with its transactions as a list. Money is kept as it was read.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from fivefold.features.histories import Histories, Stateless
from fivefold.features.partitions import Result, read_table
from fivefold.features.schema import NULLABLE, USER_ID

_ROWS: Final = ("time", "amount", "balance", "kind", "currency", "category", "created")
_TRANSACTIONS: Final = "transactions"
_UNKNOWN: Final = "unknown_from"
_BASE: Final = "base"
_ABSENT: Final = "absent"
_IDENTIFIED: Final = "identified"
_REPEATS: Final = "repeats"
_STATELESS: Final = "stateless"


def keep(parts: Iterator[Histories]) -> Iterator[Result]:
    """Yield a table of the histories of each part, as `features.partitions.Work`."""
    for part in parts:
        yield Result(kept_table(part), b"")


def kept_table(part: Histories) -> pa.Table:
    """Lay out histories with a row for each customer; `read_kept` restores them bit for bit."""
    is_one = isinstance(part.identified, bool)
    names = _ROWS if is_one else (*_ROWS, _IDENTIFIED)
    rows = pa.StructArray.from_arrays([pa.array(getattr(part, name)) for name in names], names)
    columns = {
        USER_ID: part.user_ids.cast(pa.string()),
        _TRANSACTIONS: pa.LargeListArray.from_arrays(pa.array(part.offsets), rows),
    }
    if part.unknown_from is not None:
        flat = pa.array(np.ascontiguousarray(part.unknown_from).ravel())
        columns[_UNKNOWN] = pa.FixedSizeListArray.from_arrays(flat, len(NULLABLE))
    identified = json.dumps(part.identified if is_one else None)
    metadata = {_BASE: part.base, _ABSENT: json.dumps(part.absent), _IDENTIFIED: identified}
    metadata[_REPEATS] = str(part.repeats)
    metadata[_STATELESS] = json.dumps(list(part.stateless.days.items()))
    return pa.table(columns).replace_schema_metadata(metadata)


def read_kept(path: Path) -> Histories:
    """Read the histories of a file. The arrays are copies, because compiled loops need writable ones."""
    table = read_table(path)
    whole = {name: table[name].combine_chunks() for name in table.column_names}
    lists, unknown = whole[_TRANSACTIONS], whole.get(_UNKNOWN)
    metadata = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
    rows = {name: _copied(lists.values.field(name)) for name in _ROWS}
    identified = json.loads(metadata[_IDENTIFIED])
    return Histories(
        user_ids=whole[USER_ID],
        offsets=_copied(lists.offsets),
        **rows,
        base=metadata[_BASE],
        absent=tuple(json.loads(metadata[_ABSENT])),
        unknown_from=None if unknown is None else _copied(unknown.values).reshape(-1, len(NULLABLE)),
        identified=_copied(lists.values.field(_IDENTIFIED)) if identified is None else identified,
        repeats=int(metadata[_REPEATS]),
        stateless=Stateless(dict(json.loads(metadata[_STATELESS]))),
    )


def _copied(array: pa.Array) -> Any:
    return np.array(array.to_numpy(zero_copy_only=False))
