"""A request's JSON body decoded straight into columns, where its rows are flat objects."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import chain
from operator import attrgetter
from typing import Any

import msgspec
import numpy as np

from fivefold.features import schema as c
from fivefold.features.histories import Floats
from fivefold.features.reading.fast_columns import StringColumn
from fivefold.features.reading.request_body import BodyColumns


class _Row(msgspec.Struct, gc=False, kw_only=True):
    """One transaction; unknown fields are skipped."""

    user_id: str
    transaction_currency: str
    user_balance: float
    transaction_amount: float
    user_created: str
    user_category: str
    transaction_date: str
    transaction_state: str | None = None
    transaction_id: str | None = None


class _RawRow(_Row, gc=False, kw_only=True):
    """A transaction whose numbers are left as they are written."""

    user_balance: msgspec.Raw  # type: ignore[assignment]  # it is a number in the end
    transaction_amount: msgspec.Raw  # type: ignore[assignment]  # as above


_DECODER, _RAW_DECODER = msgspec.json.Decoder(list[_Row]), msgspec.json.Decoder(list[_RawRow])
_NUMBERS = {name: attrgetter(name) for name in (c.AMOUNT, c.BALANCE)}
_TEXTS = {name: attrgetter(name) for name in c.COLUMNS if name not in _NUMBERS}


def decode_body(body: bytes, most_rows: int) -> BodyColumns | None:
    """Decode an array of flat objects with all their fields; None where it is anything else or may have more rows."""
    objects = body.count(b"{")  # nothing is decoded that may be nested or have too many rows
    if not 0 < objects <= most_rows or body.count(b"[") != 1 or not _is_unicode(body):
        return None
    rows = _decode(body)
    if len(rows) != objects:  # a text with a brace in it, or nested objects
        return None
    columns: dict[str, StringColumn | Floats] = {
        name: np.fromiter(map(value, rows), np.float64, objects) for name, value in _NUMBERS.items()
    }
    texts: dict[str, list[Any]] = {name: [*map(value, rows)] for name, value in _TEXTS.items()}
    missing = {name: texts[name].count(None) for name in c.OPTIONAL}
    texts = {name: column for name, column in texts.items() if missing.get(name) != objects}
    return BodyColumns(objects, columns | _string_columns(texts, objects, lacking=any(map(missing.get, texts))))


def _decode(body: bytes) -> Sequence[_Row]:
    """Decode rows; none where a body is not an array of them. A number too large for a float is infinite."""
    with suppress(msgspec.DecodeError, ValueError):
        try:
            return _DECODER.decode(body)
        except msgspec.ValidationError:
            rows = _RAW_DECODER.decode(body)
            numbers = ((float(bytes(row.user_balance)), float(bytes(row.transaction_amount))) for row in rows)
            return [
                msgspec.structs.replace(row, user_balance=balance, transaction_amount=amount)
                for row, (balance, amount) in zip(rows, numbers, strict=True)
            ]
    return ()


def _string_columns(texts: Mapping[str, list[Any]], rows: int, *, lacking: bool) -> dict[str, StringColumn]:
    """Put the texts of all columns into one array of bytes; missing ones, where some are *lacking*, begin at -1."""
    every = [*chain.from_iterable(texts.values())]
    is_text = np.array([text is not None for text in every]) if lacking else None
    every = every if is_text is None else [text or "" for text in every]
    joined = "".join(every)
    data = joined.encode()
    sizes = map(len, every if len(data) == len(joined) else map(str.encode, every))
    lengths = np.fromiter(sizes, np.int64, len(every))
    ends = np.cumsum(lengths)
    begins = ends - lengths if is_text is None else np.where(is_text, ends - lengths, -1)
    content = np.frombuffer(data or b" ", np.uint8)
    places = {name: slice(number * rows, (number + 1) * rows) for number, name in enumerate(texts)}
    return {name: StringColumn(content, begins[place], ends[place]) for name, place in places.items()}


def _is_unicode(body: bytes) -> bool:
    if body.isascii():
        return True
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True
