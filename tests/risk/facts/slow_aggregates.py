"""What aggregates mean, in plain Python, one fact at a time."""

from calendar import monthrange
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from typing import Any

from fivefold.domain.clock import DAY_US, from_microseconds, to_microseconds
from fivefold.domain.money import RateTable, minor_units

Fact = Mapping[str, Any]
Where = Callable[[Fact], bool | None]


def months_before(moment: int, months: int) -> int:
    """Count months back; a day that the month lacks becomes the last day that it has."""
    then = from_microseconds(moment)
    number = then.year * 12 + then.month - 1 - months
    year, month = divmod(number, 12)
    day = min(then.day, monthrange(year, month + 1)[1])
    return to_microseconds(then.replace(year=year, month=month + 1, day=day))


def before(moment: int, over: str) -> int:
    """Give the moment that lies a duration before."""
    count, unit = over.split()
    steps = {"month": 1, "year": 12}
    if unit.rstrip("s") in steps:
        return months_before(moment, int(count) * steps[unit.rstrip("s")])
    length = timedelta(hours=int(count)) if unit.startswith("hour") else timedelta(days=int(count))
    return moment - length // timedelta(microseconds=1)


def read_transaction(raw: Fact, rates: RateTable) -> dict[str, Any]:
    """Read one good transaction of the tests' generator."""
    code, amount = raw["transaction_currency"], raw["transaction_amount"]
    own = round(abs(amount) * minor_units(code))
    into = minor_units(rates.base)
    based = own if code == rates.base else round(own / minor_units(code) * rates.per_unit(code) * into)
    sign = -1 if amount < 0 else 1
    return {
        **raw,
        "entity": raw["user_id"],
        "time": raw["time"],
        "amount": based,
        "signed_amount": sign * based,
        "original_amount": own,
        "original_signed_amount": sign * own,
        "direction": "deposit" if amount > 0 else "withdrawal" if amount < 0 else None,
        "currency": code,
        "state": {"SUCCEEDED": "settled", None: "settled", "PENDING": "pending", "FAILED": "failed"}[
            raw["transaction_state"]
        ],
    }


@dataclass(frozen=True)
class Wanted:
    """An aggregate as a file writes it, and its `where` in Python."""

    written: Mapping[str, Any]
    where: Where = lambda _: True


def slow(facts: Sequence[Fact], wanted: Wanted, entity: str, as_of: int) -> tuple[Any, int | None]:
    """Compute one aggregate of one entity, and the moment of the latest fact that counted."""
    written = wanted.written
    counted = [fact for fact in facts if fact["entity"] == entity and _counts(fact, wanted, as_of)]
    word = next(word for word in ("count", "sum", "mean", "min", "max", "distinct", "days_since") if word in written)
    field = written[word]
    if word not in {"count", "days_since"}:
        prefix = "original_" if "in_currency" in written and field in {"amount", "signed_amount"} else ""
        counted = [fact for fact in counted if fact[prefix + field] is not None]
        values = [fact[prefix + field] for fact in counted]
    latest = max((fact["time"] for fact in counted), default=None)
    if word == "count":
        return len(counted), latest
    if word == "days_since":
        return (None if latest is None else (as_of - latest) / DAY_US), latest
    return _of_values(word, values), latest


def _of_values(word: str, values: list[Any]) -> Any:
    if word == "distinct":
        return len(set(values))
    if word == "sum":
        return _exact_sum(values)
    if not values:
        return None
    if word == "mean":
        return float(Fraction(str(_exact_sum(values))) / len(values))
    return min(values) if word == "min" else max(values)


def _exact_sum(values: list[Any]) -> Any:
    """Add up as people do on paper: the numbers as they are written, not as floats hold them."""
    total = sum((Fraction(str(value)) for value in values), Fraction(0))
    return int(total) if all(isinstance(value, int) for value in values) else float(total)


def _counts(fact: Fact, wanted: Wanted, as_of: int) -> bool:
    written = wanted.written
    if fact["time"] > as_of:
        return False
    if "over" in written and fact["time"] <= before(as_of, written["over"]):
        return False
    if "state" in fact and '"state"' not in repr(written).replace("'", '"') and fact["state"] != "settled":
        return False
    if "in_currency" in written and fact["currency"] != written["in_currency"]:
        return False
    return wanted.where(fact) is True
