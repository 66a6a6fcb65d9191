"""The reference's facts: transactions, cases and alerts, counted one by one for one entity at a time."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from fractions import Fraction
from math import ceil, isfinite
from statistics import median
from typing import Any

from dateutil.relativedelta import relativedelta

from tests.risk.engine.reference.conditions import AGGREGATES, BAD, SOURCES, Data, World, holds, inputs_in

UNITS = {"EUR": 100, "USD": 100, "JPY": 1}
RATES = {"EUR": Fraction(1), "USD": Fraction("0.95"), "JPY": Fraction("0.005")}
"""What one unit is worth in euro."""


def days_in(length: timedelta) -> Fraction:
    return Fraction(length // timedelta(microseconds=1), 86_400_000_000)


def _window(made: Data, moment: datetime, as_of: datetime) -> bool:
    """Tell whether a moment is in (end − w, end]."""
    return moment <= _ends(made, as_of) and ("over" not in made or moment > _begins(made, as_of))


def _back(moment: datetime, length: str) -> datetime:
    return moment - _length(length)


def _length(written: str) -> relativedelta:
    count, unit = written.split()
    return relativedelta(**{unit.rstrip("s") + "s": int(count)})


def _begins(made: Data, as_of: datetime) -> datetime:
    """Give where a window begins: months and years are added up before they are counted back."""
    over, ending = _length(made["over"]), _length(made.get("ending", "0 days ago").removesuffix(" ago"))
    is_on_the_calendar = all(each.months or each.years for each in (over, ending))
    return as_of - (over + ending) if is_on_the_calendar else as_of - ending - over


def _ends(made: Data, as_of: datetime) -> datetime:
    return _back(as_of, made["ending"].removesuffix(" ago")) if "ending" in made else as_of


def _facts(made: Data, world: World, entity: Data) -> Any:
    """Give the facts that an aggregate counts, as they were known at as-of; BAD where one could not be read."""
    named = [made.get(word) for word in ("count", "days_since", "share")]
    source = next((name for name in named if name in SOURCES), "transactions")
    rows = [row for row in getattr(world, str(source)) if row["entity_id"] == entity["entity_id"]]
    known = _known(str(source), rows, entity["as_of"])
    inside = [fact for fact in known if _window(made, fact["time"], entity["as_of"])]
    where = made.get("where")
    read = {test.get("field") for test in inputs_in(where)} - {None}
    asks_state = "state" in read
    of_money = "in_currency" not in made and bool({"amount", "signed_amount"} & {*read, field_of(made)})
    unread = [fact for fact in inside if fact.get("bad") or (of_money and fact["amount"] is None)]
    if any(_may_count(fact, made, world, entity["as_of"]) for fact in unread):
        return BAD
    counted = []
    for fact in inside:
        if source == "transactions" and not asks_state and fact["state"] != "settled":
            continue
        if source == "screenings" and "found" not in read and fact["found"] is None:
            continue
        if "in_currency" in made:
            if fact["currency"] != made["in_currency"]:
                continue
            fact = {**fact, "amount": fact["own_amount"], "signed_amount": fact["own_signed_amount"]}  # noqa: PLW2901 (the fact as it is asked for)
        if where is None or holds(where, lambda test, fact=fact: fact.get(test["field"]), world, entity["as_of"]):
            counted.append(fact)
    return counted


def _known(source: str, rows: list[Data], as_of: datetime) -> list[Data]:
    """Read the facts of a source as they were known."""
    if source == "transactions":
        return [_transaction(row) for row in rows]
    if source == "tags":
        return [{"time": row["from"] or ALWAYS, "tag": row["tag"]} for row in rows if is_there(row, as_of)]
    if source == "screenings":
        return [{**row, "time": row["at"] or ALWAYS} for row in rows]
    # Nothing is known of a case before it was opened, whatever it says of its end.
    return [_case(row, as_of) for row in rows if row["opened"] <= as_of]


def _may_count(fact: Data, made: Data, world: World, as_of: datetime) -> bool:
    """Tell whether a fact of which something could not be read may be one of those that are counted."""
    where = made.get("where")
    if fact["state"] != "settled" and "state" not in {test.get("field") for test in inputs_in(where)}:
        return False
    if fact["currency"] != made.get("in_currency", fact["currency"]):
        return False
    return where is None or holds(where, lambda test: fact.get(test["field"]), world, as_of, unread=True) is not False


def _transaction(row: Data) -> Data:
    amount, currency = row["transaction_amount"], row["transaction_currency"]
    words = {None: "settled", "SUCCEEDED": "settled", "PENDING": "pending", "FAILED": "failed"}
    fact = {
        "time": row["transaction_date"],
        "operation": row.get("operation") or None,
        "currency": currency,
        "state": words[row["transaction_state"]],
    }
    if amount is None or not isfinite(amount):
        return {**fact, "bad": True}
    units = UNITS.get(currency, 100)
    written = Fraction(Decimal(repr(abs(amount))))
    own = Fraction(round(written * units), units)
    sign = -1 if amount < 0 else 1
    size = None  # without a rate
    if currency in RATES:
        size = Fraction(round(written * RATES[currency] * 100), 100)
    return {
        **fact,
        "amount": size,
        "signed_amount": None if size is None else sign * size,
        "own_amount": own,
        "own_signed_amount": sign * own,
        "direction": "deposit" if amount > 0 else "withdrawal" if amount < 0 else None,
    }


def _case(row: Data, as_of: datetime) -> Data:
    """Show a case as it was known: until it was closed nobody knew what became of it."""
    closed = row["closed"] is not None and row["closed"] <= as_of
    return {
        "time": row["closed"] if closed else row["opened"],
        "outcome": row["outcome"] if closed else None,
        "status": "closed" if closed else "open",
    }


ALWAYS = datetime(1, 1, 1, tzinfo=UTC)
"""The moment of what was there from the start."""


def is_there(tag: Data, as_of: datetime) -> bool:
    """Tell whether a tag was given, and has not ended."""
    return (tag["from"] or ALWAYS) <= as_of and (tag["until"] is None or tag["until"] > as_of)


def _looked_for(made: Data, world: World, entity: Data) -> bool:
    """Tell whether some screening with a result may meet the condition by what it found."""
    rows = [row for row in world.screenings if row["entity_id"] == entity["entity_id"] and row["found"] is not None]
    until = [row for row in rows if (row["at"] or ALWAYS) <= _ends(made, entity["as_of"])]
    where = made.get("where")
    blind = [{**row, "found": None} for row in until]
    return any(
        where is None
        or holds(where, lambda test, row=row: row.get(test["field"]), world, entity["as_of"], unread=True) is not False
        for row in blind
    )


def field_of(made: Data) -> Any:
    """Name the field that an aggregate computes with."""
    word = next((word for word in AGGREGATES if word in made), "")
    return made["of"] if word == "percentile" else made.get(word)


def _share_of(made: Data, world: World, entity: Data) -> tuple[Any, datetime | None]:
    """Divide what meets `where` by all of which that is known."""
    word = "count" if made["share"] in SOURCES else "sum"
    asked = {word if name == "share" else name: value for name, value in made.items()}
    part, latest = aggregate_of(asked, world, entity)
    known = {"any": [made["where"], {"not": made["where"]}]}
    whole, _ = aggregate_of({**asked, "where": known}, world, entity)
    if part is BAD or whole is BAD:
        return BAD, None
    return part / whole if whole else None, latest


def _new_of(made: Data, world: World, entity: Data) -> tuple[Any, datetime | None]:
    """Take from the values up to the end of the window those before it; what cannot be read of either is BAD."""
    inside = _facts(made, world, entity)
    end = _ends(made, entity["as_of"])
    always = {name: value for name, value in made.items() if name not in {"over", "ending"}}
    until = _facts(always, world, {**entity, "as_of": end})
    before = _facts(always, world, {**entity, "as_of": _begins(made, entity["as_of"])})
    if BAD in (inside, until, before):
        return BAD, None
    values, old = ({fact[made["new"]] for fact in facts} - {None} for facts in (inside, before))
    known = [fact["time"] for fact in inside if fact[made["new"]] is not None]
    return Fraction(len(values - old)), max(known, default=None)


def aggregate_of(made: Data, world: World, entity: Data) -> tuple[Any, datetime | None]:
    """Compute an aggregate, and the moment of the latest fact that it counted."""
    word = next(word for word in AGGREGATES if word in made)
    if word == "share":
        return _share_of(made, world, entity)
    if word == "new":
        return _new_of(made, world, entity)
    facts = _facts(made, world, entity)
    if facts is BAD:
        return BAD, None
    if word not in {"count", "days_since"}:
        facts = [fact for fact in facts if fact[field_of(made)] is not None]
    latest = max((fact["time"] for fact in facts if fact["time"] != ALWAYS), default=None)
    if word == "count":
        is_known = made["count"] != "screenings" or _looked_for(made, world, entity)
        return Fraction(len(facts)) if is_known else None, latest
    if word == "days_since":
        return (None if latest is None else days_in(entity["as_of"] - latest)), latest
    return _of_values(word, sorted(fact[field_of(made)] for fact in facts), made), latest


def _of_values(word: str, values: list[Any], made: Data) -> Any:
    """Compute with the values of a window in order."""
    if word == "distinct":
        return Fraction(len(set(values)))
    if word in {"sum", "largest"}:
        return sum(values[-made["n"] :] if word == "largest" else values, Fraction(0))
    if not values or (word == "standard_deviation" and len(values) == 1):
        return None
    return _FUNCTIONS[word](values, made)


def _mean(values: list[Any], _: Data) -> Any:
    return sum(values) / len(values)


def _deviation(values: list[Any], made: Data) -> Fraction:
    """Take the root to forty digits."""
    square = sum(((value - _mean(values, made)) ** 2 for value in values), Fraction(0)) / (len(values) - 1)
    with localcontext() as context:
        context.prec = 40
        return Fraction((Decimal(square.numerator) / Decimal(square.denominator)).sqrt())


_FUNCTIONS: dict[str, Callable[[list[Any], Data], Any]] = {
    "mean": _mean,
    "min": lambda values, _: values[0],
    "max": lambda values, _: values[-1],
    "median": lambda values, _: median(values),
    "standard_deviation": _deviation,
    "percentile": lambda values, made: values[ceil(Fraction(str(made["percentile"])) / 100 * len(values)) - 1],
}


def structuring_of(made: Data, world: World, entity: Data) -> tuple[Any, datetime | None]:
    """Count deposits just below a threshold, where there are enough of them and they come to the threshold."""
    facts = _facts({"sum": "amount", "over": made["over"]}, world, entity)
    if facts is BAD:
        return BAD, None
    threshold, margin = Fraction(str(made["threshold"])), Fraction(made["margin"].rstrip("%")) / 100
    just = [
        fact
        for fact in facts
        if fact["direction"] == "deposit" and threshold * (1 - margin) <= fact["amount"] < threshold
    ]
    if len(just) < made["at_least"] or sum(fact["amount"] for fact in just) < threshold:
        return Fraction(0), None
    return Fraction(len(just)), max(fact["time"] for fact in just)
