"""The catalogue in DuckDB's SQL: one scan, one look at neighbouring rows, one grouping.

It relies on the file's order: `file_row_number` orders a customer's rows (no keys for ties are sorted), and
neighbours come from windows without partition or order, which DuckDB streams instead of sorting.
"""

from pathlib import Path

import duckdb
import pyarrow as pa

from domain.clock import DAY_US
from domain.money import RateTable
from features.indicator import Indicator

_DAY = float(DAY_US)
_RECENT = f"age < {30 * DAY_US}"
_SEASON = f"age >= {275 * DAY_US}"
_LN2_A_DAY = "0.6931471805599453"

ROWS = """
    SELECT user_id, file_row_number AS n, {as_of} - epoch_us(transaction_date) AS age,
        {as_of} - epoch_us(user_created) AS account_age, user_balance * per_unit AS balance,
        transaction_amount * per_unit AS amount, transaction_currency AS currency, user_category = 'WEB' AS web,
        coalesce(upper(transaction_state) IN ('SUCCEEDED', 'COMPLETED'), true) AS settled,
        coalesce(upper(transaction_state) = 'PENDING', false) AS pending
    FROM read_parquet('{path}', file_row_number = true) JOIN rates ON transaction_currency = code
    WHERE epoch_us(transaction_date) <= {as_of}
"""
NEIGHBOURS = """
    SELECT *, CASE WHEN user_id = lag(user_id) OVER () THEN lag(age) OVER () END AS previous_age,
        CASE WHEN user_id = lead(user_id) OVER () THEN lead(age) OVER () ELSE 0 END AS next_age
    FROM ordered
"""
COLUMNS = """
    SELECT *, CASE WHEN settled AND amount > 0 THEN amount END AS deposit,
        CASE WHEN settled AND amount < 0 THEN -amount END AS withdrawal,
        NOT settled AND NOT pending AS failed, previous_age - age AS gap,
        ({as_of} - age) // {day} AS day, ({as_of} - age) % {day} AS time_of_day,
        (({as_of} - age) // {day} + 3) % 7 AS weekday,
        coalesce(({as_of} - previous_age) // {day} <> ({as_of} - age) // {day}, true) AS new_day,
        exp(-{ln2} / 360 * age / {day}.0) AS decay
    FROM neighbours
"""


def _inside(days: int | None) -> str:
    return "true" if days is None else f"age < {days * DAY_US}"


def _count(condition: str) -> str:
    return f"count(*) FILTER ({condition})"


def _sum(column: str, condition: str) -> str:
    return f"coalesce(sum({column}) FILTER ({condition}), 0.0)"


def _share(days: int | None, condition: str, of: str = "true") -> str:
    inside = _inside(days)
    return f"{_count(f'{inside} AND {condition}')} / nullif({_count(f'{inside} AND {of}')}, 0)"


def _flows(direction: str, d: int | None) -> dict[str, str]:
    return {
        f"{direction}_recency": f"min(age) FILTER ({direction} IS NOT NULL) / {_DAY}",
        f"{direction}_count": f"count({direction}) FILTER ({_inside(d)})",
        f"{direction}_sum": _sum(direction, _inside(d)),
        f"{direction}_mean": f"avg({direction}) FILTER ({_inside(d)})",
        f"{direction}_max": f"max({direction}) FILTER ({_inside(d)})",
        f"{direction}_trend": (
            f"{_sum(direction, _RECENT)} * 3 / nullif({_sum(direction, f'{_inside(d)} AND NOT {_RECENT}')}, 0)"
        ),
        f"{direction}_year_ago": _sum(direction, f"{_inside(d)} AND {_SEASON}"),
    }


def _rhythm(d: int | None) -> dict[str, str]:
    w = _inside(d)
    both = "true" if d is None else f"previous_age < {d * DAY_US}"
    opens = "new_day" if d is None else f"{w} AND (new_day OR previous_age >= {d * DAY_US})"
    mean = f"((max(age) FILTER ({w}) - min(age) FILTER ({w})) / {_DAY} / nullif({_count(w)} - 1, 0))"
    deviation = f"(stddev_samp(gap / {_DAY}) FILTER ({both}))"
    weekdays = ", ".join(_count(f"{w} AND weekday = {day}") for day in range(7))
    return {
        "event_recency": f"min(age) / {_DAY}",
        "account_age": f"greatest(max(account_age) / {_DAY}, 0)",
        "first_event_age": f"max(age) / {_DAY}",
        "active_days": _count(opens),
        "active_day_share": f"{_count('new_day')} / ({{as_of}} // {DAY_US} - min(day) + 1)",
        "gap_mean": mean,
        "gap_deviation": deviation,
        "regularity": f"{mean} / nullif({mean} + {deviation}, 0)",
        "busiest_weekday_share": f"greatest({weekdays}) / nullif({_count(w)}, 0)",
        "weekend_share": _share(d, "weekday >= 5"),
        "night_share": _share(d, f"time_of_day < {DAY_US // 4}"),
        "activity_trend": f"{_count(_RECENT)} * 3 / nullif({_count(f'{w} AND NOT {_RECENT}')}, 0)",
    }


def _balances(d: int | None) -> dict[str, str]:
    w = _inside(d)
    whole = (d or 0) * DAY_US
    held = f"greatest(least(age, {whole}) - next_age, 0)"
    holding = f"next_age < {whole} OR next_age = 0"
    return {
        "balance_last": "arg_max(balance, n)",
        "balance_min": f"min(balance) FILTER ({holding})",
        "balance_max": f"max(balance) FILTER ({holding})",
        "balance_mean": f"avg(balance) FILTER ({w})",
        "balance_deviation": f"stddev_samp(balance) FILTER ({w})",
        "balance_held": (
            f"coalesce(sum(balance * ({held})) / nullif(least(max(age), {whole}), 0), arg_max(balance, n))"
        ),
        "balance_empty_days": f"coalesce(sum({held}) FILTER (balance <= 0), 0) / {_DAY}",
        "balance_slope": f"regr_slope(balance, age / {-_DAY}) FILTER ({w})",
        "balance_year_ago": f"avg(balance) FILTER ({w} AND {_SEASON})",
    }


def _others(d: int | None, codes: tuple[str, ...]) -> dict[str, str]:
    counts = [_count(f"currency = '{code}'") for code in codes]
    return {
        "net_flow": f"{_sum('deposit', _inside(d))} - {_sum('withdrawal', _inside(d))}",
        "failed_count": _count(f"{_inside(d)} AND failed"),
        "failed_share": _share(d, "failed", "NOT pending"),
        "currency_count": " + ".join(f"({count} > 0)::int" for count in counts),
        "currency_main_share": f"greatest({', '.join(counts)}) / count(*)",
        "channel_web": "arg_max(web, n)::int",
    }


def _decayed(half_life_days: int) -> dict[str, str]:
    weight = " * ".join(["decay"] * (360 // half_life_days))
    return {
        "deposit_decayed": f"coalesce(sum(deposit * ({weight})), 0.0)",
        "withdrawal_decayed": f"coalesce(sum(withdrawal * ({weight})), 0.0)",
        "balance_decayed": f"sum(balance * ({weight})) / sum({weight})",
    }


def query(catalogue, rates, as_of, path):
    cols = []
    for made in catalogue.indicators:
        d = made.window_days
        ex = {
            **_flows("deposit", d),
            **_flows("withdrawal", d),
            **_rhythm(d),
            **_balances(d),
            **_others(d, rates.codes),
        }
        c = dict(made.constants)
        if c:
            ex = _decayed(int(c["half_life_days"]))
        cols.append(f"({ex[made.function.__name__]})::double AS {made.name}")
    q = f"WITH ordered AS ({ROWS}), neighbours AS ({NEIGHBOURS}), columns AS ({COLUMNS}) SELECT user_id, {', '.join(cols)} FROM columns GROUP BY user_id"
    for k, v in dict(as_of=as_of, path=path, day=DAY_US, ln2=_LN2_A_DAY).items():
        q = q.replace("{" + k + "}", str(v))
    return q
