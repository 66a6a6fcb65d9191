"""The reference's inputs: what a rule looks at, read from rows as they were given."""

from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from math import isfinite, isnan, prod
from statistics import median
from typing import Any

from fivefold.risk.facts.peers import FEWEST_PEERS
from tests.risk.engine.reference.conditions import BAD, PEERS, SOURCES, Data, World, date_of, holds, inputs_in
from tests.risk.engine.reference.facts import aggregate_of, days_in, is_there, structuring_of

OPERATIONS = ("add", "subtract", "multiply", "divide", "least_of", "greatest_of", "absolute", "clamp", "round", "of")


def truth(condition: Any, own: Data | None, ruleset: Data, world: World, entity: Data) -> bool | None:
    """Tell whether a condition holds of an entity; None where that is unknown."""

    def look_up(made: Data | None) -> Any:
        value = value_of(own if made is None else made, ruleset, world, entity)
        return None if value is BAD else value

    mark = own is not None and bool({"tag", "screening"} & set(own))
    finding = own is not None and "pattern" in own
    return holds(condition, look_up, world, entity["as_of"], own_mark=mark, own_finding=finding)


def value_of(  # noqa: C901, PLR0911 (one for each kind of input)
    made: Data, ruleset: Data, world: World, entity: Data
) -> Any:
    """Give what an input is for an entity: None where it is unknown, BAD where it could not be read."""
    if "field" in made:
        return read(entity.get(made["field"]), ruleset["fields"][made["field"]])
    if "ratio" in made:
        over, under = (value_of(side, ruleset, world, entity) for side in made["ratio"])
        if over is BAD or under is BAD:
            return BAD
        return None if over is None or under is None or under == 0 else over / under
    if set(PEERS) & set(made):
        return _placed(made, ruleset, world, entity)
    if "calculation" in made:
        return calculated(ruleset["calculate"][made["calculation"]], ruleset, world, entity)
    if "indicator" in made or "value" in made:
        return read(
            entity.get(made.get("indicator") or made["value"]), "text" if "segment" in made.values() else "number"
        )
    if "tag" in made:
        return any(
            row["entity_id"] == entity["entity_id"] and row["tag"] == made["tag"] and is_there(row, entity["as_of"])
            for row in world.tags
        )
    if "screening" in made:
        return _screened(made["screening"], world, entity)
    if "linked" in made:
        return _linked(made["linked"], ruleset, world, entity)
    if made.get("days_since") not in {None, *SOURCES}:
        since = read(entity.get(made["days_since"]), "date")
        return since if since in {None, BAD} else days_in(entity["as_of"] - since)
    return structuring_of(made, world, entity)[0] if "pattern" in made else aggregate_of(made, world, entity)[0]


def _placed(made: Data, ruleset: Data, world: World, entity: Data) -> Any:
    """Place a number among those of peers, by counting them one by one."""
    ((word, peers),) = made.items()
    value = value_of(peers["of"], ruleset, world, entity)
    group = None if peers["among"] == "everyone" else value_of(peers["among"], ruleset, world, entity)
    if value is BAD or group is BAD:
        return BAD
    of_all = peers["among"] == "everyone"
    numbers = sorted(Fraction(number) for country, number in world.peers if of_all or country == group)
    if value is None or (group is None and not of_all) or len(numbers) < FEWEST_PEERS:
        return None
    if word == "peer_percentile":
        return Fraction(100 * sum(number < value for number in numbers), len(numbers))
    middle = median(numbers)
    return value / middle if middle > 0 else None


def calculated(made: Any, ruleset: Data, world: World, entity: Data) -> Any:  # noqa: C901, PLR0911 (one for each operation)
    """Calculate with fractions; BAD where a part could not be read, None where one is unknown or a divisor is 0."""
    if not isinstance(made, dict):
        return Fraction(str(made))
    word = next((word for word in OPERATIONS if word in made), None)
    if word is None:
        return value_of({name: part for name, part in made.items() if name != "as"}, ruleset, world, entity)
    written = made[word] if isinstance(made[word], list) else [made[word]]
    parts = [calculated(part, ruleset, world, entity) for part in written]
    if BAD in parts:
        return BAD
    if None in parts:
        return None
    if word == "add":
        return sum(parts, Fraction(0))
    if word == "multiply":
        return prod(parts)
    if word == "subtract":
        return parts[0] - parts[1]
    if word == "divide":
        return parts[0] / parts[1] if parts[1] else None
    if word == "round":
        scale = Fraction(10) ** made["decimals"]
        return _half_even(parts[0] * scale) / scale
    if word == "clamp":
        low, high = (None if made.get(end) is None else Fraction(str(made[end])) for end in ("from", "to"))
        raised = parts[0] if low is None or parts[0] >= low else low
        return raised if high is None or raised <= high else high
    return {"least_of": min, "greatest_of": max, "absolute": lambda one: abs(one[0]), "of": lambda one: one[0]}[word](
        parts
    )


def _half_even(value: Fraction) -> Fraction:
    down = value.numerator // value.denominator
    rest = value - down
    return Fraction(down + (rest > Fraction(1, 2) or (rest == Fraction(1, 2) and down % 2 == 1)))


def read(raw: Any, declared: Any) -> Any:  # noqa: PLR0911 (one for each type)
    """Read a raw value as its declared type."""
    if raw is None or raw == "" or (isinstance(raw, float) and isnan(raw)):
        return None
    if declared == "number":
        fits = isinstance(raw, int | float) and not isinstance(raw, bool) and isfinite(raw)
        return Fraction(Decimal(repr(raw))) if fits else BAD
    if declared == "flag":
        return raw if isinstance(raw, bool) else BAD
    if declared == "date":
        return _read_date(raw)
    if declared == ["text"]:
        return raw if isinstance(raw, list) else BAD
    if not isinstance(raw, str):
        return BAD
    if declared == "country":
        return raw if len(raw) == 2 and all("A" <= sign <= "Z" for sign in raw) else BAD
    return BAD if isinstance(declared, dict) and raw not in declared["one_of"] else raw


def _read_date(raw: Any) -> Any:
    try:
        return raw if isinstance(raw, datetime) else date_of(raw)
    except (TypeError, ValueError):
        return BAD


def _never_held(link: Data) -> bool:
    ends = link["valid_from"], link["valid_until"]
    return None not in ends and ends[1] <= ends[0]


def linked_to(made: Data, ruleset: Data, world: World, entity: Data) -> tuple[set[str], bool]:
    """Find whom an entity is linked to, step by step, and tell whether it is known of each whom it is linked to."""
    declared, begin = ruleset["links"][made["by"]], entity["entity_id"]
    rows = [row for row in world.links if row["type"] == made["by"] and not _never_held(row)]
    begun = [row for row in rows if row["valid_from"] is None or row["valid_from"] <= entity["as_of"]]
    there = [row for row in begun if row["valid_until"] is None or entity["as_of"] < row["valid_until"]]
    ways = {"to": [("from", "to")], "from": [("to", "from")]}.get(made.get("way"), [("from", "to"), ("to", "from")])
    if declared["kind"] == "shared":
        ways = [("from", "to")]
    found, last, known = {begin}, {begin}, True
    for _ in range(made.get("steps", 1)):
        if not declared.get("complete") and not all(
            any(row[near] == one for row in begun) for one in last for near, _ in ways
        ):
            known = False
        met = {row[far] for one in last for near, far in ways for row in there if row[near] == one} - {None}
        if declared["kind"] == "shared":
            met = {row["from"] for row in there if row["to"] in met} - {None}
        last = met - found
        found |= met
    return found - {begin}, known


def _linked(made: Data, ruleset: Data, world: World, entity: Data) -> Any:
    """Make a number or an answer of those linked; what cannot be read of another one is unknown, and BAD of itself."""
    found, is_known = linked_to(made, ruleset, world, entity)
    own = entity["entity_id"]
    known = {one["entity_id"]: {**one, "as_of": entity["as_of"]} for one in world.everyone}
    members = found | ({own} if made.get("itself") else set()) if is_known or "any" in made else set()
    result, causes = _of_members(made, members, ruleset, world, known)
    if not is_known and result is not True:
        result = None
    read = [each for word in ("where", "any") if word in made for each in inputs_in(made[word])]
    read += [made[word] for word in ("sum", "mean", "min", "max") if word in made]
    is_cause = result is None and own in causes and own in known
    return BAD if is_cause and any(value_of(each, ruleset, world, known[own]) is BAD for each in read) else result


def _of_members(
    made: Data, members: set[str], ruleset: Data, world: World, known: dict[str, Data]
) -> tuple[Any, set[str]]:
    """Make a number or an answer of the members of a group; if it is unknown, name those who are the reason."""

    def asked(word: str, name: str) -> bool | None:
        return truth(made[word], None, ruleset, world, known[name]) if name in known else None

    counts = {name: asked("where", name) if "where" in made else True for name in members}
    if "any" in made:
        pairs = {name: (counts[name], asked("any", name)) for name in members}
        if (True, True) in pairs.values():
            return True, set()
        unknown = {name for name, pair in pairs.items() if False not in pair}
        return None if unknown else False, unknown
    if "count" in made:
        unknown = {name for name in members if counts[name] is None}
        return None if unknown else Fraction(sum(map(bool, counts.values()))), unknown
    word = next(word for word in ("sum", "mean", "min", "max") if word in made)
    values = {
        name: value_of(made[word], ruleset, world, known[name]) if name in known else None
        for name in members
        if counts[name] is not False
    }
    unknown = {name for name, value in values.items() if counts[name] is None or value is None or value is BAD}
    if unknown:
        return None, unknown
    if not values:
        return Fraction(0) if word == "sum" else None, set()
    numbers = list(values.values())
    return {"sum": sum, "min": min, "max": max, "mean": lambda all_: sum(all_) / len(all_)}[word](numbers), set()


def _screened(wanted: str, world: World, entity: Data) -> bool | None:
    """Find the latest screening by as-of; one without a moment came first, of two at once the later row holds."""
    best: tuple[datetime, bool] | None = None
    for row in world.screenings:
        at = row["at"] or datetime(1900, 1, 1, tzinfo=UTC)
        is_known = row["found"] is not None and at <= entity["as_of"]
        if row["entity_id"] == entity["entity_id"] and row["screening"] == wanted and is_known:
            best = (at, row["found"]) if best is None or at >= best[0] else best
    return None if best is None else best[1]


def signal_of_input(made: Data, ruleset: Data, world: World, entity: Data) -> datetime | None:
    """Give the moment that decay counts from: of a date field, or of the latest fact of an aggregate or pattern."""
    if "field" in made:
        moment = read(entity.get(made["field"]), ruleset["fields"][made["field"]])
        return None if moment is BAD else moment
    return (structuring_of if "pattern" in made else aggregate_of)(made, world, entity)[1]
