"""Which of several rulesets decides on an entity from day to day, while it is unknown whether some of them apply."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from random import Random
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from fivefold.domain.clock import DAY_US
from fivefold.domain.money import base_only
from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.engine.levels import (
    ENTERED,
    FLOOR_LOST,
    HARD_FLOOR_LOST,
    HELD_FLOOR,
    HELD_HARD_FLOOR,
    RULES_LEVEL,
)
from fivefold.risk.facts.portfolio import ENTITY, Portfolio
from fivefold.risk.facts.reading import entities_from_rows
from fivefold.risk.governance.backtest.compositions import (
    Composition,
    PriorState,
    compare_compositions,
    deciding_assessments,
    families_after,
    joined_comparisons,
)
from tests.depth import examples
from tests.risk.engine.small import DAY, FIELDS, Data, case, exactly, rule, ruleset
from tests.risk.governance.making import AS_OF, TEXT, portfolio
from tests.risk.governance.making import ruleset as read

VALUES: Mapping[str, tuple[Any, Any]] = {
    "kind": ("company", "person"),
    "country": ("NO", "SE"),
    "flag": (True, False),
}
"""The fields that predicates read: the value that each asks for, and another one."""
FLOOR = rule("n3", case({"field": "n3", "at_least": 1}, 0, "high"))

TESTS = st.sampled_from([{"field": field, "equals": value} for field, (value, _) in VALUES.items()])
PREDICATES = TESTS | st.builds(
    lambda word, pair: {word: pair}, st.sampled_from(("all", "any")), st.tuples(TESTS, TESTS)
)
"""Conditions of one field, or of two."""
ENTITIES = 150


def known_on(random: Random) -> Data:
    """Draw what is known of an entity on a day: what predicates read may be missing, what rules read is not."""
    return {
        **{field: random.choice((*values, None)) for field, values in VALUES.items()},
        **{f"n{number}": random.choice((0, 31, 61)) for number in range(3)},
        "n3": int(random.random() < 0.1),
    }


@st.composite
def families(draw: st.DrawFn) -> dict[str, Data | None]:
    """Draw the predicates of two or three rulesets in their order; the last one may apply to everybody."""
    count = draw(st.integers(2, 3))
    predicates: list[Data | None] = [draw(PREDICATES) for _ in range(count)]
    if draw(st.booleans()):
        predicates[-1] = None
    return {f"family{number}": predicate for number, predicate in enumerate(predicates)}


def composition(predicates: Mapping[str, Data | None], floors: Sequence[bool], cooldown: Data) -> Composition:
    """Each ruleset gives the points of a field of its own, and perhaps a floor."""
    return Composition(
        {
            name: AnalysedRuleset(
                ruleset(
                    exactly(number),
                    *([FLOOR] if floors[number] else []),
                    ruleset=name,
                    **cooldown,
                    **({} if predicate is None else {"applies_to": predicate}),
                )
            )
            for number, (name, predicate) in enumerate(predicates.items())
        }
    )


def applies(predicate: Data | None, day: Data) -> bool | None:
    """Tell whether a predicate is true of what is known on a day; None where that is unknown."""
    if predicate is None:
        return True
    if "field" in predicate:
        value = day[predicate["field"]]
        return None if value is None else value == predicate["equals"]
    ((word, parts),) = predicate.items()
    answers, decisive = [applies(part, day) for part in parts], word == "any"
    return decisive if decisive in answers else None if None in answers else not decisive


class World:
    """Entities that are assessed day by day, each day going on from what stood the day before."""

    def __init__(self, what: Composition) -> None:
        self.what = what
        self.state = PriorState()
        self.levels: dict[str, int] = {}
        self.deciding: dict[str, str] = {}

    def after(self, rows: Sequence[Data], as_of: int) -> "World":
        """Assess everybody as of a moment; this world stays as it is."""
        named = [{ENTITY: f"e{number}", **row} for number, row in enumerate(rows)]
        entities = entities_from_rows(named, ruleset(exactly(0), fields=FIELDS).fields)
        portfolio = Portfolio(entities, base_only("EUR", date(2024, 7, 1)))
        parts = list(deciding_assessments(self.what, portfolio, as_of, self.state))
        next_day = World(self.what)
        standing = [
            part.outcomes.filter(pl.col(RULES_LEVEL).is_not_null()).select(
                ENTITY,
                level=RULES_LEVEL,
                entered=ENTERED,
                floor=HELD_FLOOR,
                hard_floor=HELD_HARD_FLOOR,
                floor_lost=FLOOR_LOST,
                hard_floor_lost=HARD_FLOOR_LOST,
            )
            for _, part in parts
        ]
        next_day.state = PriorState(pl.concat(standing) if standing else None, families_after(parts))
        next_day.levels = {row[ENTITY]: row["level"] for each in standing for row in each.iter_rows(named=True)}
        next_day.deciding = {entity: family for family, part in parts for entity in part.outcomes[ENTITY]}
        return next_day


def first_for_sure(predicates: Mapping[str, Data | None], day: Data) -> str | None:
    return next((name for name, predicate in predicates.items() if applies(predicate, day)), None)


@settings(max_examples=examples(25))
@given(
    families(),
    st.tuples(*[st.booleans()] * 3),
    st.sampled_from(({}, {"cooldown": "10 days"})),
    st.lists(st.sampled_from((1, 11)), min_size=5, max_size=5),
    st.integers(0, 10**6),
)
def test_a_level_falls_only_where_it_would_by_the_values_that_were_known_last(
    predicates: dict[str, Data | None],
    floors: tuple[bool, ...],
    cooldown: Data,
    steps: list[int],
    seed: int,
) -> None:
    """Whatever is missing, on whatever days, in whatever order.

    It is so wherever the ruleset that decides by the values that were known last is one that the entity belongs to: it
    decided on the entity, or was the first that applied for sure, and was not known since then not to apply. Of one
    that always stood behind another one is not asked whether it applies, so that nothing is known of it to go on from.
    """
    random, world, as_of = Random(seed), World(composition(predicates, floors, cooldown)), DAY
    known_last: list[Data] = [{} for _ in range(ENTITIES)]
    belongs: list[set[str]] = [set() for _ in range(ENTITIES)]
    for step in steps:
        as_of += step * DAY_US
        today = [known_on(random) for _ in range(ENTITIES)]
        known_last = [
            {name: value if value is not None else before.get(name) for name, value in day.items()}
            for day, before in zip(today, known_last, strict=True)
        ]
        before, by_known_last, world = world, world.after(known_last, as_of), world.after(today, as_of)
        for number, day in enumerate(today):
            entity = f"e{number}"
            decides = first_for_sure(predicates, known_last[number])
            if decides is not None and (decides in belongs[number] or applies(predicates[decides], day)):
                least = min(before.levels.get(entity, 0), by_known_last.levels.get(entity, 0))
                assert world.levels.get(entity, 0) >= least
            family = world.deciding.get(entity)
            if all(applies(predicate, day) is not None for predicate in predicates.values()):
                assert family == first_for_sure(predicates, day)
            belongs[number] |= {each for each in (family, first_for_sure(predicates, day)) if each is not None}
            belongs[number] = {
                each
                for each in belongs[number]
                if each == family or (predicates[each] is not None and applies(predicates[each], day) is not False)
            }
            assert set(world.state.families.get(entity, ())) == belongs[number]


def test_of_failures_the_first_hundred_entities_are_kept_with_all_that_broke() -> None:
    twice = f"{TEXT}{TEXT[TEXT.index('  - id: income') :].replace('id: income', 'id: again')}"
    decides, failing = Composition({"retail": AnalysedRuleset(read(twice))}), portfolio([{"income": "?"}] * 120)
    found = compare_compositions(decides, decides, failing, failing, AS_OF, PriorState()).present
    assert (found.failed, len(found.failures)) == (120, 200)
    parts = [replace(failing, entities=failing.entities[begin : begin + 60]) for begin in (0, 60)]
    joined = joined_comparisons(
        [compare_compositions(decides, decides, part, part, AS_OF, PriorState()) for part in parts]
    )
    assert joined.present.failures == found.failures
