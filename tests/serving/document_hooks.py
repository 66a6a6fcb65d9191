"""For Schemathesis: what no schema can say of a valid request. It is asked by `test_process_document.py`."""

from datetime import UTC, date, datetime
from itertools import count
from typing import Any

import schemathesis
from hypothesis import strategies as st

FIRST, LAST = datetime(2000, 1, 1), datetime(2025, 12, 31)
"""Moments that have been: what is still to come is refused by name where it cannot be."""

schemathesis.openapi.format("date", st.dates(FIRST.date(), LAST.date()).map(date.isoformat))
schemathesis.openapi.format(
    "date-time", st.datetimes(FIRST, LAST, timezones=st.just(UTC)).map(lambda moment: moment.isoformat())
)


_KEYS = count()


@schemathesis.hook
def map_headers(context: Any, headers: dict[str, Any] | None) -> dict[str, Any] | None:
    """Give each request a key of its own: one that another request had is refused."""
    del context
    if not headers or "Idempotency-Key" not in headers:
        return headers
    return {**headers, "Idempotency-Key": f"key-{next(_KEYS)}"}


@schemathesis.hook
def filter_query(context: Any, query: dict[str, Any] | None) -> bool:
    """Leave `after` out: it is what the page before of the very list named."""
    del context
    return "after" not in (query or {})
