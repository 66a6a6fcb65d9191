"""The catalogue in DuckDB's SQL: one scan, one look at the neighbouring rows, one grouping.

`compute` relies on the file's order: `file_row_number` tells which of a customer's rows is the last, and neighbours
come from windows without partition or order, which DuckDB streams. `compute_ordering` orders the rows itself.
Measured on the way here: `FILTER (WHERE ...)` on each aggregate took twice the processor time of a CASE inside it.
"""

import duckdb
import pyarrow as pa

from benchmarks.features.plan import LN2_A_DAY, RECENT_US, SEASON_US, Plan, Wanted, pick
from fivefold.domain.clock import DAY_US

_DAY = float(DAY_US)
_RECENT = f"age < {RECENT_US}"
_SEASON = f"age >= {SEASON_US}"

ROWS = """
    SELECT user_id, file_row_number AS place, {as_of} - epoch_us(transaction_date) AS age,
        {as_of} - epoch_us(user_created) AS account_age, user_balance * per_unit AS balance,
        transaction_amount * per_unit AS amount, transaction_currency AS currency, user_category = 'WEB' AS web,
        coalesce(upper(transaction_state) IN ('SUCCEEDED', 'COMPLETED'), true) AS settled,
        coalesce(upper(transaction_state) = 'PENDING', false) AS pending, user_balance, transaction_amount,
        user_category, user_created
    FROM read_parquet('{path}', file_row_number = true) JOIN rates ON transaction_currency = code
    WHERE epoch_us(transaction_date) <= {as_of}
"""
NEIGHBOURS = """
    SELECT *, CASE WHEN user_id = lag(user_id) OVER () THEN lag(age) OVER () END AS previous_age,
        CASE WHEN user_id = lead(user_id) OVER () THEN lead(age) OVER () ELSE 0 END AS next_age,
        ({as_of} - age) // {day} AS day
    FROM counted
"""
ORDERED_NEIGHBOURS = """
    SELECT * EXCLUDE place, lag(age) OVER customer AS previous_age, lead(age, 1, 0) OVER customer AS next_age,
        ({as_of} - age) // {day} AS day, row_number() OVER customer AS place
    FROM counted
    WINDOW customer AS (
        PARTITION BY user_id ORDER BY age DESC, transaction_amount DESC, user_balance,
            CASE WHEN settled THEN 0 WHEN pending THEN 1 ELSE 2 END, currency, user_category, user_created)
"""
COLUMNS = """
    SELECT *, CASE WHEN settled AND amount > 0 THEN amount END AS deposit,
        CASE WHEN settled AND amount < 0 THEN -amount END AS withdrawal,
        NOT settled AND NOT pending AS failed, (previous_age - age) / {day}.0 AS gap,
        ({as_of} - age) % {day} AS time_of_day, (day + 3) % 7 AS weekday,
        coalesce(({as_of} - previous_age) // {day} <> day, true) AS new_day
    FROM neighbours
"""


def compute(plan: Plan) -> pa.Table:
    """Compute the plan's indicators: a table of user_id and one column each."""
    return _run(plan, NEIGHBOURS)


def compute_ordering(plan: Plan) -> pa.Table:
    """Compute the same for a file in any order."""
    return _run(plan, ORDERED_NEIGHBOURS)


def _run(plan: Plan, neighbours: str) -> pa.Table:
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE rates (code VARCHAR, per_unit DOUBLE)")
        connection.executemany("INSERT INTO rates VALUES (?, ?)", list(plan.per_unit.items()))
        return connection.sql(query(plan, neighbours)).to_arrow_table()


def query(plan: Plan, neighbours: str) -> str:
    """Write the whole query, *neighbours* being its second stage."""
    indicators = ", ".join(f"({_expression(one, plan)})::DOUBLE AS {one.name}" for one in plan.wanted)
    stages = (
        f"WITH counted AS ({ROWS}), neighbours AS ({neighbours}), columns AS ({COLUMNS}) "
        f"SELECT user_id, {indicators} FROM columns GROUP BY user_id"
    )
    filled = stages.replace("{as_of}", str(plan.as_of)).replace("{day}", str(DAY_US))
    return filled.replace("{path}", plan.path.replace("'", "''"))


def _expression(one: Wanted, plan: Plan) -> str:
    if one.half_life_days is not None:
        return pick(_decayed(one.half_life_days), one)
    window = one.window_us
    return pick(
        {
            **_flows("deposit", window),
            **_flows("withdrawal", window),
            **_times(window),
            **_rhythm(window),
            **_balances(window),
            **_others(window, plan.rates.codes),
        },
        one,
    )


def _inside(window: int | None) -> str:
    return "true" if window is None else f"age < {window}"


def _count(condition: str) -> str:
    return f"count_if({condition})"


def _of(column: str, condition: str) -> str:
    return column if condition == "true" else f"CASE WHEN {condition} THEN {column} END"


def _sum(column: str, condition: str) -> str:
    return f"coalesce(sum({_of(column, condition)}), 0.0)"


def _share(part: str, whole: str) -> str:
    return f"{_count(part)} / nullif({_count(whole)}, 0)"


def _flows(flow: str, window: int | None) -> dict[str, str]:
    inside = _inside(window)
    before = f"{inside} AND NOT {_RECENT}"
    return {
        f"{flow}_recency": f"min({_of('age', f'{flow} IS NOT NULL')}) / {_DAY}",
        f"{flow}_count": f"count({_of(flow, inside)})",
        f"{flow}_sum": _sum(flow, inside),
        f"{flow}_mean": f"avg({_of(flow, inside)})",
        f"{flow}_max": f"max({_of(flow, inside)})",
        f"{flow}_trend": f"{_sum(flow, _RECENT)} * 3 / nullif({_sum(flow, before)}, 0)",
        f"{flow}_year_ago": _sum(flow, f"{inside} AND {_SEASON}"),
    }


def _times(window: int | None) -> dict[str, str]:
    opens = "new_day" if window is None else f"{_inside(window)} AND (new_day OR previous_age >= {window})"
    return {
        "event_recency": f"min(age) / {_DAY}",
        "account_age": f"greatest(max(account_age) / {_DAY}, 0)",
        "first_event_age": f"max(age) / {_DAY}",
        "active_days": _count(opens),
        "active_day_share": f"{_count('new_day')} / ({{as_of}} // {DAY_US} - min(day) + 1)",
    }


def _rhythm(window: int | None) -> dict[str, str]:
    inside = _inside(window)
    ages = _of("age", inside)
    mean = f"((max({ages}) - min({ages})) / {_DAY} / nullif({_count(inside)} - 1, 0))"
    deviation = f"stddev_samp({_of('gap', 'true' if window is None else f'previous_age < {window}')})"
    weekdays = ", ".join(_count(f"{inside} AND weekday = {day}") for day in range(7))
    return {
        "gap_mean": mean,
        "gap_deviation": deviation,
        "regularity": f"{mean} / nullif({mean} + {deviation}, 0)",
        "busiest_weekday_share": f"greatest({weekdays}) / nullif({_count(inside)}, 0)",
        "weekend_share": _share(f"{inside} AND weekday >= 5", inside),
        "night_share": _share(f"{inside} AND time_of_day < {DAY_US // 4}", inside),
        "activity_trend": f"{_count(_RECENT)} * 3 / nullif({_count(f'{inside} AND NOT {_RECENT}')}, 0)",
    }


def _balances(window: int | None) -> dict[str, str]:
    inside = _of("balance", _inside(window))
    holding = _of("balance", f"next_age < {window} OR next_age = 0")
    held_us = f"greatest(least(age, {window}) - next_age, 0)"
    return {
        "balance_last": "arg_max(balance, place)",
        "balance_min": f"min({holding})",
        "balance_max": f"max({holding})",
        "balance_mean": f"avg({inside})",
        "balance_deviation": f"stddev_samp({inside})",
        "balance_held": (
            f"coalesce(sum(balance * {held_us}) / nullif(least(max(age), {window}), 0), arg_max(balance, place))"
        ),
        "balance_empty_days": f"coalesce(sum({_of(held_us, 'balance <= 0')}), 0) / {_DAY}",
        "balance_slope": f"regr_slope({inside}, age / {-_DAY})",
        "balance_year_ago": f"avg({_of('balance', f'{_inside(window)} AND {_SEASON}')})",
    }


def _others(window: int | None, codes: tuple[str, ...]) -> dict[str, str]:
    inside = _inside(window)
    counts = [_count(f"currency = '{code}'") for code in codes]
    return {
        "net_flow": f"{_sum('deposit', inside)} - {_sum('withdrawal', inside)}",
        "failed_count": _count(f"{inside} AND failed"),
        "failed_share": _share(f"{inside} AND failed", f"{inside} AND NOT pending"),
        "currency_count": " + ".join(f"({count} > 0)::INT" for count in counts),
        "currency_main_share": f"greatest({', '.join(counts)}) / count(*)",
        "channel_web": "arg_max(web, place)::INT",
    }


def _decayed(half_life_days: int) -> dict[str, str]:
    weight = f"exp(age * {-LN2_A_DAY / half_life_days!r}::DOUBLE)"
    return {
        "deposit_decayed": f"coalesce(sum(deposit * {weight}), 0.0)",
        "withdrawal_decayed": f"coalesce(sum(withdrawal * {weight}), 0.0)",
        "balance_decayed": f"sum(balance * {weight}) / sum({weight})",
    }


def as_arrow(result: pa.Table) -> pa.Table:
    """Give the result as it is."""
    return result
