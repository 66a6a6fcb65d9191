"""Transactions and customers to look for patterns in, written short."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import polars as pl
from hypothesis import strategies as st
from pydantic import TypeAdapter

from fivefold.domain.clock import DAY_US, to_microseconds
from fivefold.risk.facts.patterns import find
from fivefold.risk.facts.portfolio import lacking_of, signal_of
from fivefold.risk.facts.single.facts import in_order
from fivefold.risk.facts.single.patterns import plain_pattern
from fivefold.risk.language.expressions import FieldInput, input_key
from fivefold.risk.language.patterns import Pattern

HOUR_US = DAY_US // 24
UNITS = 100
NOW = to_microseconds(date(2024, 7, 1))

Fact = dict[str, Any]
"""A prepared transaction."""

Answer = tuple[float | None, int | None]
"""A pattern's number, and the moment of its latest fact."""

NOTHING: Answer = (0.0, None)
UNKNOWN: Answer = (None, None)

TYPES = {
    "entity": pl.String,
    "time": pl.Int64,
    "amount": pl.Int64,
    "signed_amount": pl.Int64,
    "direction": pl.String,
    "currency": pl.String,
    "state": pl.String,
    "counterparty_id": pl.String,
    "purpose": pl.String,
}

_PATTERN: TypeAdapter[Any] = TypeAdapter(Pattern)


def pattern_of(written: Mapping[str, Any]) -> Any:
    return _PATTERN.validate_python(dict(written))


def fact(amount: float, days_ago: float = 1, /, **others: Any) -> Fact:
    """Make a transaction of *amount* whole units, a withdrawal where it is negative."""
    minor = round(amount * UNITS)
    made = {
        "entity": "a",
        "time": NOW - round(days_ago * DAY_US),
        "amount": abs(minor),
        "direction": "deposit" if minor >= 0 else "withdrawal",
        "state": "settled",
        "counterparty_id": None,
        "purpose": None,
        **others,
    }
    size = made["amount"]
    signed = None if size is None else size if made["direction"] == "deposit" else -size
    return {**made, "signed_amount": signed, "currency": "EUR"}


def prepared(facts: Sequence[Fact]) -> pl.LazyFrame:
    return pl.LazyFrame(facts, schema=TYPES) if facts else pl.LazyFrame(schema=TYPES)


def people(rows: Sequence[tuple[str, int]], **fields: pl.Series) -> pl.DataFrame:
    """Make entities: who, and as of when."""
    frame = pl.DataFrame(rows, schema={"entity_id": pl.String, "as_of": pl.Int64}, orient="row")
    return frame.with_columns(values.alias(input_key(FieldInput(field=name))) for name, values in fields.items())


def answers(entities: pl.DataFrame, facts: Sequence[Fact], written: Mapping[str, Any]) -> list[Answer]:
    """Look for a pattern, and give what every row of *entities* was by_row; in plain Python it is the same."""
    pattern = pattern_of(written)
    found = find(entities, prepared(facts), pattern, UNITS)
    key = input_key(pattern)
    lacks = {lacking_of(key): pl.Int64} if hasattr(pattern, "counterparty") else {}
    assert found.schema == {"entity_id": pl.String, key: pl.Float64, signal_of(key): pl.Int64, **lacks}
    assert found["entity_id"].to_list() == entities["entity_id"].to_list()
    rows: list[Answer] = found.select(key, signal_of(key)).rows()
    if all(made["amount"] is not None for made in facts):  # what cannot be read is for columns to say
        plain = plain_pattern(pattern, UNITS)
        lacking = found[lacking_of(key)].to_list() if lacks else [None] * len(rows)
        for row, one in zip(entities.iter_rows(named=True), zip(rows, lacking, strict=True), strict=True):
            mine = [made for made in facts if made["entity"] == row["entity_id"]]
            assert plain(in_order(mine, row["as_of"]), row) == (*one[0], one[1])
    return rows


def answer(facts: Sequence[Fact], written: Mapping[str, Any], as_of: int = NOW, **fields: pl.Series) -> Answer:
    """Look for a pattern in one customer, a."""
    return answers(people([("a", as_of)], **fields), facts, written)[0]


def facts_of(facts: Sequence[Fact], entity: str, as_of: int, begin: int | None = None) -> list[Fact]:
    """Give an entity's settled facts in (begin, as-of], in order of time: where every reference begins."""
    mine = [made for made in facts if made["entity"] == entity and made["state"] == "settled"]
    seen = [made for made in mine if made["time"] <= as_of and (begin is None or made["time"] > begin)]
    return sorted(seen, key=lambda made: made["time"])


def _moments(first: int, last: int) -> st.SearchStrategy[int]:
    return st.builds(lambda step, off: NOW + step * 6 * HOUR_US + off, st.integers(first, last), _OFF)


_OFF = st.sampled_from([0, 0, 0, 0, 1, -1])
moments = _moments(-24, 4)
"""Moments within a week that meet one another and the ends of windows, and miss them by a microsecond."""


def facts_in(amounts: st.SearchStrategy[float], sizes: Sequence[int] = (4, 12, 30, 0)) -> st.SearchStrategy[list[Fact]]:
    """Make so many facts, most of them settled and of customer a: few would show nothing."""
    words = st.sampled_from(["w", "x", "y", "z", None])
    one = st.builds(
        fact,
        amounts,
        entity=st.sampled_from("aaab"),
        time=moments,
        state=st.sampled_from(["settled"] * 8 + ["failed", "pending"]),
        counterparty_id=words,
        purpose=words,
    )
    return st.sampled_from(sizes).flatmap(lambda size: st.lists(one, min_size=size, max_size=size + 5))


_somebody = st.sampled_from(["a", "a", "a", "b", "nobody"])
rows_of_people = st.lists(st.tuples(_somebody, _moments(-8, 2)), min_size=1, max_size=5)
"""Entities with an as-of each; some twice."""
