"""Rulesets and worlds drawn at random in which much moves by time alone: patterns, indicators, days off midnight."""

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
from hypothesis import strategies as st

from fivefold.domain.clock import from_microseconds, to_microseconds
from fivefold.features.histories import Histories
from fivefold.features.indicator_matrix import catalogue, snapshots
from fivefold.features.reading.sources import readable_histories
from fivefold.risk.facts.portfolio import ENTITY, Portfolio
from fivefold.risk.language.ruleset import Ruleset
from tests.risk.engine.drawn.rulesets import OVERS, comparisons, rulesets
from tests.risk.engine.drawn.worlds import MOMENTS, portfolio_of, worlds
from tests.risk.engine.reference.conditions import World

Data = dict[str, Any]
Draw = Any

_OVER = st.sampled_from(OVERS)
_LEAST, _SHARE = st.integers(1, 2), st.sampled_from(["40%", "50%", "80%"])


def _pattern(*names: str, **parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Data]:
    return st.fixed_dictionaries({"pattern": st.sampled_from(names), **parts})


_WINDOWED = {"over": _OVER, "at_least": _LEAST}
patterns = st.one_of(
    _pattern("structuring", threshold=st.just(100), margin=st.sampled_from(["10%", "50%"]), **_WINDOWED),
    _pattern("velocity", more_than=_LEAST, counterparties=_LEAST, over=_OVER),
    _pattern("pass-through", within=_OVER, share=_SHARE, minimum=st.just(1), **_WINDOWED),
    _pattern("volume-deviation", expected_monthly=st.just("income"), factor=st.sampled_from([0.5, 2]), over=_OVER),
    _pattern(
        "purpose-deviation",
        transaction_field=st.just("operation"),
        declared=st.just("products"),
        share=_SHARE,
        over=_OVER,
    ),
    _pattern("dormant-then-active", dormant=_OVER, active=_OVER, at_least=_LEAST),
    _pattern("fan-in", "fan-out", **_WINDOWED),
)
"""All of them."""
indicators = st.sampled_from(catalogue().names).map(lambda name: {"indicator": name})


@st.composite
def moving_rulesets(draw: Draw) -> Data:
    """Draw a ruleset, and let its rules ask patterns and indicators, for themselves and in ratios, before all else."""
    ruleset: Data = draw(rulesets())
    rules = []
    for rule in ruleset["rules"]:
        kind = draw(st.sampled_from(["pattern", "indicator", "ratio", "compared", "nothing"]))
        first = rule["cases"][0]
        if kind == "pattern" and "input" not in rule:
            rules.append(
                {
                    **rule,
                    "input": draw(patterns),
                    "cases": [{**first, "when": draw(comparisons("finding"))}, *rule["cases"]],
                }
            )
            continue
        test: Data = draw(indicators)
        if kind == "ratio":
            test = {"ratio": [test, {"field": "income"}]}
        test |= {"above": {"field": "income"}} if kind == "compared" else draw(comparisons("number"))
        cases = rule["cases"] if kind in {"nothing", "pattern"} else [{**first, "when": test}, *rule["cases"]]
        rules.append({**rule, "cases": cases})
    fields = {**ruleset["transaction_fields"], "counterparty_id": "text"}
    return {**ruleset, "transaction_fields": fields, "rules": rules}


_BALANCES = [0.0, 31.7, 140.0, -7.3]
"""None is a bound: where a mean of the same number lies on one, rounding alone decides."""
_off_midnight = st.integers(1, 400 * 24 * 60).map(lambda minutes: minutes * 60_000_000)


@st.composite
def moving_worlds(draw: Draw) -> World:
    """Draw a world with the columns of every transaction that indicators read, most of them dated off midnight."""
    world: World = draw(worlds())
    now = to_microseconds(MOMENTS[0])
    rows = []
    for row in world.transactions:
        more = {
            "counterparty_id": draw(st.sampled_from([None, "a", "b", "c"])),
            "user_balance": draw(st.sampled_from(_BALANCES)),
            "user_created": from_microseconds(now - draw(_off_midnight)),
        }
        if draw(st.integers(0, 3)):
            more["transaction_date"] = from_microseconds(now - draw(_off_midnight))
        rows.append({**row, **more})
    return replace(world, transactions=rows)


def moving_portfolio(world: World, people: list[Data], ruleset: Ruleset) -> Portfolio:
    """Bring rows into the frames that the engine reads, and into the histories that indicators are computed from."""
    portfolio = portfolio_of(world, people, ruleset)
    time = pl.Datetime("us", "UTC")
    more = pl.DataFrame(
        world.transactions, schema={"counterparty_id": pl.String, "user_balance": pl.Float64, "user_created": time}
    )
    assert isinstance(portfolio.transactions, pl.DataFrame)
    rows = portfolio.transactions.hstack(more)
    read = rows.select(
        pl.exclude("operation", "counterparty_id", ENTITY), pl.col(ENTITY).alias("user_id"), user_category=pl.lit("WEB")
    ).with_columns(pl.col("transaction_state").fill_null("SUCCEEDED"))
    histories, _ = readable_histories(read, portfolio.rates, "transactions")
    return replace(portfolio, transactions=rows.drop("user_balance", "user_created"), histories=histories)


def known_at(portfolio: Portfolio, moments: pl.Series) -> Portfolio:
    """Give the portfolio with the indicators of each entity as of a moment of its own."""
    histories = portfolio.histories
    assert histories is not None
    names = portfolio.entities[ENTITY].to_list()
    rows = [indicators_at(histories, name, [moment])[0] for name, moment in zip(names, moments, strict=True)]
    frame = pl.DataFrame(rows, schema=dict.fromkeys(catalogue().names, pl.Float64), orient="row")
    return replace(portfolio, indicators=portfolio.entities.select(ENTITY).hstack(frame))


def indicators_at(histories: Histories, name: str, moments: list[int]) -> list[list[float | None]]:
    """Compute every indicator of one entity as of some moments; None where it is undefined."""
    place = histories.position(name)
    if place is None:
        return [[None] * len(catalogue().names) for _ in moments]
    taken = snapshots(histories.select(place, place + 1), np.array(moments))
    return [
        [None if np.isnan(value) or not seen else float(value) for value in values]
        for values, seen in zip(taken.values[0], taken.row_counts[0], strict=True)
    ]
