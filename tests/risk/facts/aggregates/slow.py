"""What aggregates mean, in plain Python, one fact at a time."""

from calendar import monthrange
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from statistics import median, stdev
from typing import Any

from fivefold.domain.clock import DAY_US, from_microseconds, to_microseconds
from fivefold.domain.money import RateTable, minor_units

EDGES = {"over", "ending"}
WORDS = (
    "count",
    "sum",
    "mean",
    "min",
    "max",
    "distinct",
    "new",
    "median",
    "standard_deviation",
    "percentile",
    "largest",
    "share",
    "days_since",
)
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
    own = [fact for fact in facts if fact["entity"] == entity]
    counted = [fact for fact in own if _counts(fact, wanted, as_of)]
    word = next(word for word in WORDS if word in written)
    field = written["of" if word == "percentile" else word]
    if word == "share":
        return _share(own, wanted, as_of)
    if word not in {"count", "days_since"}:
        prefix = "original_" if "in_currency" in written and field in {"amount", "signed_amount"} else ""
        counted = [fact for fact in counted if fact[prefix + field] is not None]
        values = [fact[prefix + field] for fact in counted]
    latest = max((fact["time"] for fact in counted), default=None)
    if word == "count":
        return len(counted), latest
    if word == "days_since":
        return (None if latest is None else (as_of - latest) / DAY_US), latest
    if word == "new":
        earlier = Wanted({name: value for name, value in written.items() if name not in EDGES}, wanted.where)
        begins = _begin(written, as_of)
        old = {fact[prefix + field] for fact in own if _counts(fact, earlier, begins)}
        return len(set(values) - old), latest
    if word in {"median", "percentile", "largest", "standard_deviation"}:
        return _in_order(word, sorted(Fraction(str(value)) for value in values), written), latest
    return _of_values(word, values), latest


def _share(facts: Sequence[Fact], wanted: Wanted, as_of: int) -> tuple[Any, int | None]:
    """Divide what meets the condition by that of which it is known whether it does."""
    written = wanted.written
    prefix = "original_" if "in_currency" in written and written["share"] in {"amount", "signed_amount"} else ""
    name = prefix + written["share"]
    whole = [fact for fact in facts if _counts(fact, Wanted(written, lambda one: wanted.where(one) is not None), as_of)]
    if written["share"] != "transactions":
        whole = [fact for fact in whole if fact[name] is not None]
    sizes = [Fraction(1) if name == "transactions" else Fraction(str(fact[name])) for fact in whole]
    part = [size for fact, size in zip(whole, sizes, strict=True) if wanted.where(fact)]
    latest = max((fact["time"] for fact in whole if wanted.where(fact)), default=None)
    return float(sum(part) / sum(sizes)) if sum(sizes) else None, latest


def _in_order(word: str, values: list[Fraction], written: Fact) -> Any:
    """Compute what values in order tell, as floats, which whole minor units are as well."""
    if word == "largest":
        return float(sum(values[::-1][: written["n"]], Fraction(0)))
    if word == "standard_deviation":
        return stdev(values) if len(values) > 1 else None
    if not values:
        return None
    if word == "median":
        return float(median(values))
    least = Fraction(str(written["percentile"])) / 100
    shares = (Fraction(sum(one <= value for one in values), len(values)) for value in values)
    return float(next(value for value, share in zip(values, shares, strict=True) if share >= least))


def _end(written: Fact, as_of: int) -> int:
    return before(as_of, written["ending"].removesuffix(" ago")) if "ending" in written else as_of


def _begin(written: Fact, as_of: int) -> int:
    """Give where a window begins: months and years are added up before they are counted back."""
    lengths = [length.removesuffix(" ago").split() for name in ("ending", "over") if (length := written.get(name))]
    months = [int(count) * {"month": 1, "year": 12}.get(unit.rstrip("s"), 0) for count, unit in lengths]
    return months_before(as_of, sum(months)) if all(months) else before(_end(written, as_of), written["over"])


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
    ends = _end(written, as_of)
    if fact["time"] > ends:
        return False
    if "over" in written and fact["time"] <= _begin(written, as_of):
        return False
    if "state" in fact and '"state"' not in repr(written).replace("'", '"') and fact["state"] != "settled":
        return False
    if "in_currency" in written and fact["currency"] != written["in_currency"]:
        return False
    return wanted.where(fact) is True
