"""Groups drawn at random: who is linked to whom, and rules over those linked."""

from dataclasses import replace
from typing import Any

import polars as pl
from hypothesis import strategies as st

from fivefold.risk.facts.groups.links import Links
from fivefold.risk.facts.portfolio import Portfolio
from fivefold.risk.language.ruleset import Ruleset
from tests.risk.engine.drawn.rulesets import aggregates, comparisons, conditions, optional, rulesets
from tests.risk.engine.drawn.worlds import entities, moments, portfolio_of, worlds
from tests.risk.engine.reference.conditions import World

Data = dict[str, Any]
Draw = Any

NAMES = [f"e{number}" for number in range(4)]
LINKS: Data = {
    "household": {"kind": "shared"},
    "device": {"kind": "shared", "complete": True},
    "owns": {"kind": "directed"},
    "controls": {"kind": "directed", "complete": True},
}
_NOT_READ_OF_OTHERS = (
    '"calculation"',
    '"indicator"',
    '"value"',
    '"pattern"',
    '"peer_percentile"',
    '"times_peer_median"',
)
_NUMBERS = st.one_of(
    st.just({"field": "income"}),
    aggregates.filter(lambda made: not {"mean", "median", "standard_deviation"} & set(made)),
)
_MONEY = {"sum", "min", "max", "percentile", "largest"}


def _is_of_others(condition: Any) -> bool:
    return not any(word in str(condition).replace("'", '"') for word in _NOT_READ_OF_OTHERS)


_CONDITIONS = conditions(None).filter(_is_of_others)


@st.composite
def groups(draw: Draw) -> tuple[Data, str]:
    """Draw an input over those linked, and the kind of its values."""
    by = draw(st.sampled_from([*LINKS]))
    made: Data = {"by": by, **draw(optional(steps=st.integers(1, 3), itself=st.booleans()))}
    if LINKS[by]["kind"] == "directed":
        made["way"] = draw(st.sampled_from(["to", "from", "both"]))
    if draw(st.integers(0, 2)) == 0:
        made["where"] = draw(_CONDITIONS)
    word = draw(st.sampled_from(["count", "any", "sum", "mean", "min", "max"]))
    if word == "count":
        return {"linked": {**made, "count": "entities"}}, "number"
    if word == "any":
        return {"linked": {**made, "any": draw(_CONDITIONS)}}, "flag"
    part = draw(_NUMBERS)
    return {"linked": {**made, word: part}}, "money" if _MONEY & set(part) else "number"


@st.composite
def rulesets_with_groups(draw: Draw) -> Data:
    """Draw a ruleset, and put an input over those linked before what each of its rules asks."""
    ruleset: Data = draw(rulesets())
    rules = []
    for rule in ruleset["rules"]:
        made, kind = draw(groups())
        test = {**made, **draw(comparisons(kind))}
        first = {**rule["cases"][0], "when": test}
        rules.append({**rule, "cases": [first, *rule["cases"]]})
    return {**ruleset, "links": LINKS, "rules": rules}


_ends = dict.fromkeys(("valid_from", "valid_until"), st.none() | moments)
_things = st.sampled_from([None, "H1", "H2"])
_names = st.sampled_from([None, *NAMES, "somebody"])
_shared = st.fixed_dictionaries(
    {"type": st.sampled_from(["household", "device"]), "from": st.sampled_from(NAMES), "to": _things, **_ends}
)
_directed = st.fixed_dictionaries(
    {"type": st.sampled_from(["owns", "controls"]), "from": _names, "to": _names, **_ends}
)
_undated = dict.fromkeys(_ends)
_declared = [
    *({"type": "household", "from": name, "to": None, **_undated} for name in (*NAMES, "somebody")),
    *({"type": "owns", "from": name, "to": None, **_undated} for name in (*NAMES, "somebody")),
    *({"type": "owns", "from": None, "to": name, **_undated} for name in (*NAMES, "somebody")),
]


@st.composite
def worlds_of_groups(draw: Draw) -> tuple[World, list[Data]]:
    """Draw what there is, four entities or fewer, and how they are linked; mostly of all, or of all but some."""
    people = [draw(entities(number)) for number in range(draw(st.integers(1, 4)))]
    links = draw(st.lists(st.one_of(_shared, _directed), max_size=8))
    silent = draw(st.sets(st.sampled_from(NAMES), max_size=2)) if draw(st.booleans()) else set()
    links += [row for row in _declared if not {row["from"], row["to"]} & silent] if draw(st.integers(0, 3)) else []
    return replace(draw(worlds()), links=links, everyone=people), people


def linked_portfolio(world: World, people: list[Data], ruleset: Ruleset) -> Portfolio:
    """Bring rows into the frames that the engine reads; *people* are those who are assessed."""
    whole = portfolio_of(world, world.everyone, ruleset)
    time = pl.Datetime("us", "UTC")
    kinds = {"type": pl.String, "from": pl.String, "to": pl.String, "valid_from": time, "valid_until": time}
    links = Links(pl.DataFrame(world.links, schema=kinds))
    asked = pl.col("entity_id").is_in([one["entity_id"] for one in people])
    return replace(whole, entities=whole.entities.filter(asked), everyone=whole.entities, links=links)
