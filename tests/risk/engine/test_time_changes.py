"""Nothing changes by time alone before the moment that is announced: asked of drawn rulesets, and of every hour."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from fivefold.domain.clock import DAY_US
from fivefold.features.indicator_matrix import catalogue
from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.engine.assess import assess
from fivefold.risk.engine.assessments import Assessments
from fivefold.risk.engine.next_change import next_changes
from fivefold.risk.facts.portfolio import AS_OF, ENTITY, Portfolio
from tests.depth import DEPTH, examples
from tests.risk.engine.drawn.moving import indicators_at, known_at, moving_portfolio, moving_rulesets, moving_worlds
from tests.risk.engine.drawn.rulesets import read
from tests.risk.engine.drawn.worlds import as_ofs, levels_before, only, people_drawn, standing
from tests.risk.engine.reference.conditions import World
from tests.risk.engine.test_assess import QUICK

Data = dict[str, Any]

SAME = ("status", "computed", "level", "rules_level", "entered", "floor", "hard_floor", "held_floor", "held_hard_floor")
"""What an assessment comes to, beside the cases of its rules."""


def held(found: Assessments) -> pl.DataFrame:
    """Give what holds from an assessment on, as the next one goes on from it."""
    rows = found.outcomes.filter(pl.col("rules_level").is_not_null())
    columns = {"level": "rules_level", "entered": "entered", "floor": "held_floor", "hard_floor": "held_hard_floor"}
    return rows.select(
        ENTITY,
        *(pl.col(column).cast(pl.Int64).alias(name) for name, column in columns.items()),
        "floor_lost",
        "hard_floor_lost",
    )


def outcome(found: Assessments) -> pl.DataFrame:
    """Give what matters of it: of those to whom the ruleset does not apply no rule does."""
    applies = pl.col("status") != "not applicable"
    codes = (pl.when(applies).then(pl.col(rule.column)).alias(rule.column) for rule in found.program.rules)
    return found.outcomes.select(ENTITY, *SAME, *codes)


@settings(max_examples=examples(100), phases=QUICK, deadline=None)
@given(moving_rulesets(), moving_worlds(), people_drawn, st.lists(st.floats(0, 1), min_size=5, max_size=5))
def test_nothing_changes_before_the_moment_that_is_announced(
    ruleset: Data, world: World, people: list[Data], parts: list[float]
) -> None:
    analysed = AnalysedRuleset(read(ruleset))
    portfolio, now = moving_portfolio(world, people, analysed.ruleset), as_ofs(people)
    overrides = standing(people, "override", ("level", "until"))
    known = known_at(portfolio, now)
    first = assess(analysed, known, now, levels_before(people), overrides, ahead=True)
    announced = next_changes(first, overrides, portfolio.lists)
    assert (announced["next_us"] > now).all()
    length = announced["next_us"] - now
    before = held(first)
    again = assess(analysed, known, now, before, overrides)
    for share in (*parts, 1.0):
        later = now + ((length - 1) * share).cast(pl.Int64).clip(0, length - 1)
        then = assess(analysed, known_at(portfolio, later), later, before, overrides)
        assert outcome(then).equals(outcome(again)), (now.to_list(), later.to_list())


HOUR_US = DAY_US // 24
FIRST = datetime(2023, 6, 30, tzinfo=UTC)
HOURS = 24 * (60 if DEPTH == "quick" else 730)
MOST_LOOKS = {"quick": 100, "full": 400}.get(DEPTH, 4_000)
"""After how many assessments of one entity the comparison ends before its last hour: some change at every hour."""


def every_hour(portfolio: Portfolio, analysed: AnalysedRuleset, begin: int) -> pl.DataFrame:
    """Give what the rules alone say at each hour: the entity once for every hour, all in one frame."""
    hours = pl.DataFrame({"hour": pl.int_range(HOURS, eager=True)})

    def repeated(frame: pl.DataFrame) -> pl.DataFrame:
        named = pl.format("{}", "hour").alias(ENTITY)
        return hours.join(frame.drop(ENTITY), how="cross").with_columns(named).drop("hour")

    parts = ("entities", "transactions", "cases", "alerts", "tags", "screenings", "values")
    whole = replace(portfolio, **{part: repeated(getattr(portfolio, part)) for part in parts})
    moments = [begin + hour * HOUR_US for hour in range(HOURS)]
    assert portfolio.histories is not None
    values = indicators_at(portfolio.histories, portfolio.entities[ENTITY][0], moments)
    frame = pl.DataFrame(values, schema=dict.fromkeys(catalogue().names, pl.Float64), orient="row")
    named = hours.select(pl.format("{}", "hour").alias(ENTITY)).hstack(frame)
    found = assess(analysed, replace(whole, indicators=named), pl.Series(moments))
    known = found.inputs.select(pl.exclude(ENTITY, AS_OF).is_null())
    rules = found.outcomes.select("status", "floor", "hard_floor", *found.program.outputs[:-5])
    return rules.with_columns(known=pl.concat_str(known.cast(pl.String)) if known.width else pl.lit(""))


class Life:
    """One entity, assessed now and then: its level goes on from one assessment to the next."""

    def __init__(self, analysed: AnalysedRuleset, portfolio: Portfolio, overrides: pl.DataFrame) -> None:
        self.analysed, self.portfolio, self.overrides = analysed, portfolio, overrides
        self.before: pl.DataFrame | None = None
        self.level: Any = None
        self.looks = 0
        self.ends: list[int] = []

    def look(self, at: int, *, ahead: bool = False) -> Assessments:
        known = known_at(self.portfolio, pl.Series([at]))
        found = assess(self.analysed, known, at, self.before, self.overrides, ahead=ahead)
        self.before = held(found)
        self.looks += 1
        row = found.outcomes.row(0, named=True)
        self.level = (row["status"], row["level"], row["rules_level"])
        ends = (row["may_move_down_on"], row["floor_held_until"], *self.overrides["until"])
        self.ends = [end for end in ends if end is not None and end > at]
        return found


@settings(max_examples=examples(30), phases=QUICK, deadline=None)
@given(moving_rulesets(), moving_worlds(), people_drawn, st.integers(0, 3))
def test_announced_moments_give_the_levels_of_every_hour(
    ruleset: Data, world: World, people: list[Data], which: int
) -> None:
    begin = int(FIRST.timestamp()) * 1_000_000
    # A month from a moment off the hour may end a day later than one from the hour after: that is no matter of moments.
    made = read({**ruleset, **({"cooldown": "30 days"} if "cooldown" in ruleset else {})})
    analysed, person = AnalysedRuleset(made), people[which % len(people)]
    portfolio = moving_portfolio(only(world, person["entity_id"]), [person], made)
    overrides = standing([person], "override", ("level", "until"))
    rules = every_hour(portfolio, analysed, begin)
    moved = [
        0,
        *(
            rules[1:]
            .with_columns(rules[:-1].rename(lambda name: f"before {name}"))
            .select(pl.any_horizontal(pl.col(name).ne_missing(pl.col(f"before {name}")) for name in rules.columns))
            .to_series()
            .arg_true()
            + 1
        ),
    ]
    hourly, announced = Life(analysed, portfolio, overrides), Life(analysed, portfolio, overrides)
    changed, due = set(moved), begin
    for hour in range(HOURS):
        if hourly.looks + announced.looks > MOST_LOOKS:
            break
        now = begin + hour * HOUR_US
        while due <= now:
            found = announced.look(due, ahead=True)
            if due < now:  # what holds between two hours alone, as months end, may be held by a cooldown for longer
                hourly.look(due)
            before, due = due, next_changes(found, overrides, portfolio.lists)["next_us"][0]
            assert due > before
        if hour in changed or any(end <= now for end in hourly.ends):
            hourly.look(now)
        assert announced.level == hourly.level, (hour, now)
