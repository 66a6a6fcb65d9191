"""draft"""

from functools import reduce

import polars as pl

from domain.clock import DAY_US

_AGE = pl.col("age")
_ALL = pl.lit(True)


def prepared(path, rates, as_of, **kw):
    codes = list(rates.codes)
    names = pl.col("transaction_currency")
    per_unit = names.replace_strict(codes, [rates.per_unit(c) for c in codes], return_dtype=pl.Float64)
    state = pl.col("transaction_state").str.to_uppercase()
    settled = state.is_in(["SUCCEEDED", "COMPLETED"]).fill_null(True)
    pending = (state == "PENDING").fill_null(False)
    time = pl.col("transaction_date").to_physical()
    neighbours = (
        pl.scan_parquet(path)
        .filter(pl.col("transaction_date") <= pl.lit(as_of).cast(pl.Datetime("us")))
        .select(
            "user_id",
            age=as_of - time,
            account_age=as_of - pl.col("user_created").to_physical(),
            balance=pl.col("user_balance") * per_unit,
            amount=pl.col("transaction_amount") * per_unit,
            settled=settled,
            pending=pending,
            currency=names,
            web=(pl.col("user_category") == "WEB"),
        )
        .with_columns(
            previous_age=pl.when(pl.col("user_id") == pl.col("user_id").shift(1)).then(_AGE.shift(1)),
            next_age=pl.when(pl.col("user_id") == pl.col("user_id").shift(-1))
            .then(_AGE.shift(-1))
            .otherwise(0)
            .fill_null(0),
        )
    )
    t = as_of - _AGE
    day = t // DAY_US
    amount = pl.col("amount")
    decay = (_AGE * (-0.6931471805599453 / 360 / DAY_US)).exp()
    return neighbours.with_columns(
        deposit=pl.when("settled", amount > 0).then(amount),
        withdrawal=pl.when("settled", amount < 0).then(-amount),
        failed=~pl.col("settled") & ~pl.col("pending"),
        gap=(pl.col("previous_age") - _AGE) / DAY_US,
        time_of_day=t % DAY_US,
        day=day,
        weekday=(day + 3) % 7,
        new_day=(day != (as_of - pl.col("previous_age")) // DAY_US).fill_null(True),
        decay=decay,
    )


def _inside(d):
    return _ALL if d is None else _AGE < d * DAY_US


def _of(column, condition):
    return (
        pl.when(condition).then(column)
        if condition is not _ALL
        else pl.col(column)
        if isinstance(column, str)
        else column
    )


def _count(c):
    return pl.len() if c is _ALL else c.sum()


def _and(a, b):
    return b if a is _ALL else a & b


def _over(part, whole):
    return pl.when(whole != 0).then(part / whole)


_RECENT = _AGE < 30 * DAY_US
_SEASON = _AGE >= 275 * DAY_US


def _flows(n, d):
    w = _inside(d)
    return {
        f"{n}_recency": _of("age", pl.col(n).is_not_null()).min() / DAY_US,
        f"{n}_count": _of(n, w).count(),
        f"{n}_sum": _of(n, w).sum(),
        f"{n}_mean": _of(n, w).mean(),
        f"{n}_max": _of(n, w).max(),
        f"{n}_trend": _over(_of(n, _RECENT).sum() * 3, _of(n, _and(w, ~_RECENT)).sum()),
        f"{n}_year_ago": _of(n, _and(w, _SEASON)).sum(),
    }


def _rhythm(d, as_of):
    w = _inside(d)
    both = _ALL if d is None else pl.col("previous_age") < d * DAY_US
    opens = pl.col("new_day") if d is None else w & (pl.col("new_day") | (pl.col("previous_age") >= d * DAY_US))
    mean = _over((_of("age", w).max() - _of("age", w).min()) / DAY_US, _count(w).cast(pl.Int64) - 1)
    deviation = _of("gap", both).std()
    return {
        "event_recency": _AGE.min() / DAY_US,
        "account_age": pl.max_horizontal(pl.col("account_age").max() / DAY_US, 0.0),
        "first_event_age": _AGE.max() / DAY_US,
        "active_days": _count(opens),
        "active_day_share": pl.col("new_day").sum() / (as_of // DAY_US - pl.col("day").min() + 1),
        "gap_mean": mean,
        "gap_deviation": deviation,
        "regularity": _over(mean, mean + deviation),
        "busiest_weekday_share": _over(
            pl.max_horizontal([_count(_and(w, pl.col("weekday") == k)) for k in range(7)]), _count(w)
        ),
        "weekend_share": _over(_count(_and(w, pl.col("weekday") >= 5)), _count(w)),
        "night_share": _over(_count(_and(w, pl.col("time_of_day") < DAY_US // 4)), _count(w)),
        "activity_trend": _over(_count(_RECENT) * 3, _count(_and(w, ~_RECENT))),
    }


def _balances(d):
    w = _inside(d)
    whole = (d or 0) * DAY_US
    held = (pl.min_horizontal(_AGE, whole) - pl.col("next_age")).clip(lower_bound=0)
    holding = (pl.col("next_age") < whole) | (pl.col("next_age") == 0)
    b = pl.col("balance")
    x, y = _of(_AGE / -DAY_US, w), _of("balance", w)
    return {
        "balance_last": b.last(),
        "balance_min": _of(b, holding).min(),
        "balance_max": _of(b, holding).max(),
        "balance_mean": y.mean(),
        "balance_deviation": y.std(),
        "balance_held": _over((b * held).sum(), pl.min_horizontal(_AGE.max(), whole)).fill_null(b.last()),
        "balance_empty_days": _of(held, b <= 0).sum() / DAY_US,
        "balance_slope": _over(pl.cov(x, y), x.var()),
        "balance_year_ago": _of(b, _and(w, _SEASON)).mean(),
    }


def _others(d, codes):
    w = _inside(d)
    counts = [_count(pl.col("currency") == c) for c in codes]
    return {
        "net_flow": _of("deposit", w).sum() - _of("withdrawal", w).sum(),
        "failed_count": _count(_and(w, pl.col("failed"))),
        "failed_share": _over(_count(_and(w, pl.col("failed"))), _count(_and(w, ~pl.col("pending")))),
        "currency_count": pl.sum_horizontal([c > 0 for c in counts]),
        "currency_main_share": pl.max_horizontal(counts) / pl.len(),
        "channel_web": pl.col("web").last(),
    }


def _decayed(h):
    weight = pl.lit(1.0)
    weight = (
        reduce(lambda a, b: a * b, [pl.col("decay")] * (360 // h))
        if MUL
        else (_AGE * (-0.6931471805599453 / h / DAY_US)).exp()
    )
    return {
        "deposit_decayed": (pl.col("deposit") * weight).sum(),
        "withdrawal_decayed": (pl.col("withdrawal") * weight).sum(),
        "balance_decayed": (pl.col("balance") * weight).sum() / weight.sum(),
    }


MUL = False


def query(catalogue, rates, as_of, path, pre=None, key="user_id", mo=False):
    cols = []
    for made in catalogue.indicators:
        d = made.window_days
        ex = {
            **_flows("deposit", d),
            **_flows("withdrawal", d),
            **_rhythm(d, as_of),
            **_balances(d),
            **_others(d, rates.codes),
        }
        c = dict(made.constants)
        if c:
            ex = _decayed(int(c["half_life_days"]))
        cols.append(ex[made.function.__name__].cast(pl.Float64).alias(made.name))
    p = prepared(path, rates, as_of)
    if pre:
        p = pre(p)
    return p.group_by(key, maintain_order=mo).agg(cols)
