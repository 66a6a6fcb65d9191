"""Data drawn at random for drawn rulesets: nulls, NaN, infinities, wrong types, and moments on every edge."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from math import inf, nan
from typing import Any

import polars as pl
from dateutil.relativedelta import relativedelta
from hypothesis import strategies as st

from fivefold.domain.clock import from_microseconds, to_microseconds
from fivefold.domain.money import Rate, RateTable
from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.compiler.value_types import column_for
from fivefold.risk.engine.assess import assess
from fivefold.risk.engine.assessments import Assessments
from fivefold.risk.facts.peers import FEWEST_PEERS, made_reference, peers_in
from fivefold.risk.facts.portfolio import ListVersion, NamedList, Portfolio
from fivefold.risk.facts.reading import entities_from_rows
from fivefold.risk.language.expressions import input_key
from fivefold.risk.language.ruleset import Ruleset
from tests.risk.engine.drawn.rulesets import read
from tests.risk.engine.reference.conditions import World
from tests.risk.engine.reference.facts import RATES

Data = dict[str, Any]
Draw = Any

DAY = date(2024, 6, 30)
MOMENTS = [datetime(2024, 6, 30, tzinfo=UTC), datetime(2024, 6, 30, 12, tzinfo=UTC), datetime(2024, 3, 31, tzinfo=UTC)]
_BACK = [
    timedelta(),
    *(timedelta(days=days) for days in (1, 7, 30, 90, 180, 365, 900)),
    timedelta(hours=7),
    relativedelta(months=1),
    relativedelta(months=6),
    relativedelta(years=1),
]
EDGES = sorted({moment - back for moment in MOMENTS for back in _BACK})
moments = st.tuples(st.sampled_from(EDGES), st.sampled_from([-1, 0, 0, 1])).map(
    lambda pair: pair[0] + timedelta(microseconds=pair[1])
)
amounts = st.sampled_from([0.01, 0.1, 0.3, 1, 2, 10, 29.99, 95, 99.99, 100, 9500, 10000, -0.3, -10, -50.05, -10000, 0])
incomes = st.sampled_from([None, nan, -5, 0, 0.1, 0.1 + 0.2, 0.3, 1, 2.0, 3, 10, 29.99, 100, 10000])
"""0.1 + 0.2 as a float is not 0.3, and must not be taken for it."""
BAD_FIELDS = st.sampled_from(
    [
        {"income": "ten"},
        {"income": inf},
        {"income": True},
        {"resident": "maybe"},
        {"opened_on": "soon"},
        {"country": "Norway"},
        {"kind": "robot"},
        {"products": "cash"},
        {"occupation": 7},
    ]
)
WORDS = ["cash", "cash desk", "wire", "x", "NO"]


@st.composite
def entities(draw: Draw, number: int) -> Data:
    """Draw an entity: its fields, its moment, and what was decided of it before."""
    as_of = draw(st.sampled_from(MOMENTS))
    entity = {
        "entity_id": f"e{number}",
        "as_of": as_of,
        "country": draw(st.sampled_from([None, "NO", "DE", "IR", "XK"])),
        "kind": draw(st.sampled_from([None, "person", "company"])),
        "occupation": draw(st.sampled_from([None, "", *WORDS])),
        "income": draw(incomes),
        "resident": draw(st.sampled_from([None, True, False])),
        "opened_on": draw(st.none() | moments.map(lambda moment: moment.isoformat())),
        "products": draw(st.none() | st.lists(st.sampled_from(WORDS), max_size=3)),
        "account_age": draw(st.sampled_from([None, nan, 0.0, 90.0, 100.0, 400.5])),
        "score": draw(st.sampled_from([None, 1.0, 2.0, 3.0])),
        "segment": draw(st.sampled_from([None, "low", "high", "top"])),
        "previous": draw(st.none() | st.tuples(st.integers(1, 4), moments)),
        "override": draw(st.none() | st.tuples(st.integers(1, 4), st.none() | st.sampled_from(MOMENTS))),
    }
    if entity["previous"] is not None:
        entity["floors"] = draw(_floors_before(entity["previous"][0], as_of))
    if draw(st.integers(0, 3)) == 0:
        entity |= draw(BAD_FIELDS)
    return entity


@st.composite
def _floors_before(draw: Draw, level: int, as_of: datetime) -> tuple[int, int, Data, Data] | None:
    """Draw the floors that held: of all rules and of hard ones, and since when they rest on what is unknown."""
    if draw(st.booleans()):
        return None
    floor = draw(st.integers(0, level))
    hard = draw(st.integers(0, floor))
    since = st.sampled_from([edge for edge in EDGES if edge <= as_of])
    losts = [draw(st.dictionaries(st.integers(2, top), since, max_size=3)) if top > 1 else {} for top in (floor, hard)]
    return floor, hard, losts[0], losts[1]


people_drawn = (
    st.integers(1, 4).flatmap(lambda count: st.tuples(*[entities(number) for number in range(count)])).map(list)
)


def _rows(count: int, **parts: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Data]]:
    linked = st.integers(0, 3).map(lambda number: f"e{number}")
    return st.lists(st.fixed_dictionaries({"entity_id": linked, **parts}), max_size=count)


@st.composite
def worlds(draw: Draw) -> World:
    """Draw what is linked to entities e0 to e3; now and then a transaction that cannot be read."""
    currency = st.sampled_from(["EUR", "EUR", "USD", "JPY"])
    transactions = draw(
        _rows(
            8,
            transaction_amount=amounts,
            transaction_currency=currency,
            transaction_date=moments,
            transaction_state=st.sampled_from([None, None, "SUCCEEDED", "PENDING", "FAILED"]),
            operation=st.sampled_from([None, *WORDS]),
        )
    )
    if transactions and draw(st.integers(0, 4)) == 0:
        transactions[0] |= draw(
            st.sampled_from(
                [{"transaction_amount": inf}, {"transaction_amount": None}, {"transaction_currency": "XXX"}]
            )
        )
    ends = dict.fromkeys(("from", "until"), st.none() | moments)
    record = {"opened": moments, "closed": moments, "outcome": st.sampled_from(["confirmed", "cleared"])}
    return World(
        transactions,
        draw(_rows(4, **record)),
        draw(_rows(4, **record)),
        draw(_rows(3, tag=st.sampled_from(["watch", "other"]), **ends)),
        draw(_rows(4, screening=st.just("pep"), found=st.none() | st.booleans(), at=st.none() | moments)),
        {
            "watched": [(datetime(2020, 1, 1, tzinfo=UTC), ["NO", "cash"]), (MOMENTS[1], ["IR", "wire", "x"])],
            "small": [(datetime(2020, 1, 1, tzinfo=UTC), ["DE"])],
        },
        [peer for peer, count in draw(_PEERS) for _ in range(count)],
    )


_PEER = st.tuples(st.sampled_from([None, "NO", "DE"]), st.sampled_from(["-5", "0", "0.1", "0.3", "1", "2", "10", "90"]))
_PEERS = st.lists(st.tuples(_PEER, st.sampled_from([1, FEWEST_PEERS - 1, FEWEST_PEERS, 40])), max_size=5)


def reference_list(world: World, ruleset: Ruleset) -> NamedList:
    """Write the peers down as a reference portfolio: each has the same number, whatever is placed among theirs."""
    analysed = AnalysedRuleset(ruleset)
    frame = pl.DataFrame({"country": [country for country, _ in world.peers]}, schema={"country": pl.String})
    wanted, columns = [peers_in(each) for each in analysed.peer_inputs], {}
    for peers in wanted:
        column = column_for(peers.of, analysed.names, "EUR")
        numbers = [float(Fraction(number) * column.units) for _, number in world.peers]
        columns[input_key(peers.of)] = pl.Series(numbers, dtype=pl.Float64)
        if peers.group is not None:
            columns[input_key(peers.group)] = frame["country"]
    made = made_reference(wanted, frame.with_columns(**columns), 0, "EUR")
    return named_list("peers", [(datetime(2020, 1, 1, tzinfo=UTC), list(made.lines()))])


def only(world: World, entity: str) -> World:
    """Take what is linked to one entity."""
    parts = ("transactions", "cases", "alerts", "tags", "screenings")
    return replace(
        world, **{part: [row for row in getattr(world, part) if row["entity_id"] == entity] for part in parts}
    )


_TIME = pl.Datetime("us", "UTC")
_SCHEMAS: dict[str, dict[str, Any]] = {
    "transactions": {
        "entity_id": pl.String,
        "transaction_amount": pl.Float64,
        "transaction_currency": pl.String,
        "transaction_date": _TIME,
        "transaction_state": pl.String,
        "operation": pl.String,
    },
    "cases": {"entity_id": pl.String, "opened": _TIME, "closed": _TIME, "outcome": pl.String},
    "alerts": {"entity_id": pl.String, "opened": _TIME, "closed": _TIME, "outcome": pl.String},
    "tags": {"entity_id": pl.String, "tag": pl.String, "from": _TIME, "until": _TIME},
    "screenings": {"entity_id": pl.String, "screening": pl.String, "found": pl.Boolean, "at": _TIME},
}


def portfolio_of(world: World, people: list[Data], ruleset: Ruleset) -> Portfolio:
    """Bring rows into the frames that the engine reads."""
    frames = {
        name: pl.DataFrame(
            getattr(world, name),
            schema={column: kind for column, kind in schema.items() if column != "transaction_date"},
            strict=False,
        )
        if name != "transactions"
        else pl.DataFrame(world.transactions, schema=schema, strict=False)
        for name, schema in _SCHEMAS.items()
    }
    known = pl.DataFrame(
        [{name: one[name] for name in ("entity_id", "account_age", "score", "segment")} for one in people],
        schema={"entity_id": pl.String, "account_age": pl.Float64, "score": pl.Float64, "segment": pl.String},
    )
    rates = {code: Rate(float(rate), DAY) for code, rate in RATES.items() if code != "EUR"}
    return Portfolio(
        entities_from_rows(people, ruleset.fields),
        RateTable("EUR", DAY, rates, "test"),
        **frames,
        indicators=known.select("entity_id", "account_age"),
        values=known.select("entity_id", "score", "segment").with_columns(expected_value=pl.lit(None, pl.Float64)),
        lists={
            "peers": reference_list(world, ruleset),
            **{name: named_list(name, versions) for name, versions in world.lists.items()},
        },
    )


def named_list(name: str, versions: list[tuple[datetime, list[str]]]) -> NamedList:
    """Make a list of versions (since, members)."""
    made = tuple(ListVersion(since=to_microseconds(since), members=tuple(members)) for since, members in versions)
    return NamedList(list=name, title=name, source="test", versions=made)


def as_ofs(people: list[Data]) -> pl.Series:
    """Give everyone's moment."""
    return pl.Series("as_of", [to_microseconds(one["as_of"]) for one in people], dtype=pl.Int64)


def standing(people: list[Data], part: str, names: tuple[str, str]) -> pl.DataFrame:
    """Give the levels held before, or the overrides, as the engine reads them."""
    rows = [
        {
            "entity_id": one["entity_id"],
            names[0]: one[part][0],
            names[1]: one[part][1] and to_microseconds(one[part][1]),
        }
        for one in people
        if one[part] is not None
    ]
    return pl.DataFrame(rows, schema={"entity_id": pl.String, names[0]: pl.Int64, names[1]: pl.Int64})


def levels_before(people: list[Data]) -> pl.DataFrame:
    """Give the levels held before, with their floors, as the engine reads them."""
    levels = standing(people, "previous", ("level", "entered"))
    held = [one.get("floors") or (0, 0, {}, {}) for one in people if one["previous"] is not None]

    def lost(part: dict[int, datetime]) -> list[int | None] | None:
        return [to_microseconds(part[level]) if level in part else None for level in (2, 3, 4)] if part else None

    return levels.with_columns(
        pl.Series("floor", [one[0] for one in held], pl.Int64),
        pl.Series("hard_floor", [one[1] for one in held], pl.Int64),
        pl.Series("floor_lost", [lost(one[2]) for one in held], pl.List(pl.Int64)),
        pl.Series("hard_floor_lost", [lost(one[3]) for one in held], pl.List(pl.Int64)),
    )


def run(ruleset: Data, world: World, people: list[Data]) -> Assessments:
    """Assess drawn people by a drawn ruleset."""
    made = read(ruleset)
    return assess(
        AnalysedRuleset(made),
        portfolio_of(world, people, made),
        as_ofs(people),
        levels_before(people),
        standing(people, "override", ("level", "until")),
    )


def moment(value: int | None) -> datetime | None:
    """Read the engine's moments."""
    return None if value is None else from_microseconds(value)
