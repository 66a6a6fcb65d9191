"""For Schemathesis: what no schema can say of a valid request. It is asked by `processes/test_document.py`."""

from datetime import UTC, date, datetime, time
from itertools import count
from typing import Any

import schemathesis
from hypothesis import strategies as st

FIRST, LAST = date(2000, 1, 1), date(2025, 12, 31)
"""The days from which moments are drawn: some requests refuse the future."""

schemathesis.openapi.format("date", st.dates(FIRST, LAST).map(date.isoformat))
schemathesis.openapi.format(
    "date-time",
    st.datetimes(datetime.combine(FIRST, time.min), datetime.combine(LAST, time.min), timezones=st.just(UTC)).map(
        datetime.isoformat
    ),
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
