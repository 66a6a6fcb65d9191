"""Text files read whole: JSON as rows, CSV as one Arrow table; and the kinds of sources."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pyarrow as pa

from fivefold.domain.errors import FileFormatError
from fivefold.domain.text import why_unreadable
from fivefold.features import schema as c
from fivefold.features.reading.csv_file import CsvPart, csv_parts
from fivefold.features.reading.frames import too_large
from fivefold.features.reading.json_lines import TwiceError, once
from fivefold.features.reading.text_files import MappedFile, open_text, unchanged

if TYPE_CHECKING:  # pandas is imported only where a caller passes a pandas frame
    import pandas as pd

    Source = Path | str | MappedFile | Sequence[Mapping[str, Any]] | pa.Table | pl.DataFrame | pd.DataFrame
else:
    Source = Path | str | MappedFile | Sequence[Mapping[str, Any]] | pa.Table | pl.DataFrame
"""The sources that histories can be read from."""


def read_json(path: Path) -> list[Any]:
    """Read a JSON array of rows; FileFormatError if it is not one, has a name twice, or is changed meanwhile."""
    try:
        with unchanged(path), open_text(path) as file:
            rows = json.load(file, object_pairs_hook=once)
    except TwiceError as error:
        raise error.of_file(path) from None
    except (ValueError, RecursionError) as error:  # also numbers of thousands of digits, and endless nesting
        raise FileFormatError(f"{path} is not valid JSON: {why_unreadable(error)}") from None
    if not isinstance(rows, list):
        raise FileFormatError(f"{path} holds a JSON {type(rows).__name__}; it must be an array of rows")
    return rows


def read_csv(path: Path, our_names: Callable[[Sequence[str]], Sequence[str]]) -> CsvPart:
    """Read a whole CSV file, everything as text; FileFormatError without rows, or with too many to sort in memory."""
    parts: list[CsvPart] = []
    rows = 0
    for part in csv_parts(path, our_names=our_names):
        parts.append(part)
        rows += len(part.rows)
        if rows > c.ROWS_SORTED_IN_MEMORY:
            raise too_large(str(path))
    if not rows and not any(part.torn for part in parts):
        raise FileFormatError(f"{path} has no rows")
    return CsvPart(
        pa.concat_tables([part.table for part in parts]),
        np.concatenate([part.rows for part in parts]),
        tuple(torn for part in parts for torn in part.torn),
    )
