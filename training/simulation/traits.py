"""The simulated customers: traits that never change, and the transactions that customers want to make.

Every number here is a choice, not a measurement. Together they give the simulated portfolio what real portfolios have:
heavy tails, churn with warning signs, seasons, trends, pauses and single large amounts.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

CURRENCIES = ("EUR", "USD", "GBP", "SEK", "PLN")
CURRENCY_SHARES = (0.70, 0.10, 0.08, 0.07, 0.05)
UNITS_PER_EURO = np.array([1.0, 1.08, 0.86, 11.4, 4.3])
"""Rounded mid-2024 rates, only to give amounts their usual size; no valuation uses them."""

BUSINESS_SHARE = 0.10
JOINED_BEFORE_SHARE = 0.55
"""Customers who already have an account when the simulation starts; the others join while it runs."""

JOINED_BEFORE_DAYS = 4 * 365.0
LONGEST_PACE = 25.0
"""The most active customer against the mean one: 25 x 40 rows is the thousand that the busiest reach."""

WIND_DOWN_DAYS = 75.0
"""Leaving is gradual: activity falls over this many days before a customer leaves for good."""

DORMANT_PACE = 0.03
EPOCH_WEEKDAY = 3
"""1970-01-01 was a Thursday; Monday is 0."""

YEAR_DAYS = 365.25
WEEK_DAYS = 7
MONTH_PACE = np.array([0.86, 0.92, 0.98, 1.0, 1.02, 1.0, 0.93, 0.92, 1.0, 1.03, 1.1, 1.36])
"""January to December: Christmas trade, then the quiet month after it, and a slack summer."""

PHASE_DAYS = 91
PHASE_SPREAD = 0.4
"""Each customer has busier and quieter quarters: what makes last quarter an imperfect guide to the next."""

PERSON_HOURS = np.repeat([0.4, 0.15, 1.0, 1.3, 1.6, 0.8], [1, 5, 5, 6, 5, 2])
BUSINESS_HOURS = np.repeat([0.1, 1.0, 2.0, 1.0, 0.2], [7, 2, 8, 2, 5])
PERSON_WEEKDAYS = np.array([1.05, 1.0, 0.95, 1.0, 1.25, 1.0, 0.75])
BUSINESS_WEEKDAYS = np.array([1.2, 1.1, 1.0, 1.0, 1.0, 0.1, 0.05])
"""How busy the hours from midnight and the days from Monday are, against each other."""

SIZE_SPREAD = 0.7
ROUND_SHARE = 0.4
"""The share of people's amounts that are a multiple of ten."""


class Draws:
    """Random numbers of one chunk; each generator is a stream of its own.

    With one stream a purpose, the first values of a stream do not depend on how many follow in it or in another,
    so a smaller simulation is the beginning of a larger one.

    >>> Draws(1, 0).generator().random(2).tolist() == Draws(1, 0).generator().random(5)[:2].tolist()
    True
    """

    def __init__(self, seed: int, chunk: int) -> None:
        self._sequence = np.random.SeedSequence(seed, spawn_key=(chunk,))

    def generator(self) -> np.random.Generator:
        """Start the next stream."""
        return np.random.default_rng(self._sequence.spawn(1)[0])

    def uniform(self, count: int) -> Floats:
        """Draw evenly from [0, 1), shape (count,)."""
        return self.generator().random(count)

    def normal(self, count: int, mean: float = 0.0, deviation: float = 1.0) -> Floats:
        """Draw from the normal distribution, shape (count,)."""
        return mean + deviation * self.generator().standard_normal(count)

    def spread(self, count: int, median: float, deviation: float) -> Floats:
        """Draw from the lognormal distribution, shape (count,); *deviation* is that of the logarithm."""
        return median * np.exp(self.normal(count, deviation=deviation))

    def waiting(self, count: int, mean: float) -> Floats:
        """Draw from the exponential distribution, shape (count,)."""
        return mean * self.generator().standard_exponential(count)

    def chosen(self, count: int, share: float) -> Flags:
        """Pick about *share* of *count*, shape (count,)."""
        return self.uniform(count) < share


@dataclass(frozen=True, kw_only=True)
class Traits:
    """One value per customer in every field, shape (customers,).

    Days are counted from 1970-01-01 UTC with fractions; money is in units of the customer's main currency.
    """

    business: Flags  # joins by API, not by WEB
    joined_day: Floats
    active_day: Floats  # the first day on which rows are possible
    first_day: Floats  # of a deposit that everyone makes
    leaving_day: Floats  # often long after the end
    takes_all: Flags  # empties the account on leaving
    pause_from_day: Floats
    pause_until_day: Floats
    pace: Floats  # events a week against the mean customer's
    trend_per_year: Floats  # growth of events and amounts together, as a logarithm
    deposit_share: Floats  # of the events that are not scheduled
    salaried: Flags
    salary: Floats  # a month
    payday: Integers  # day of the month from 1
    deposit_size: Floats
    saved_share: Floats  # of income; withdrawals are sized to spend the rest
    target_balance: Floats  # what lies above it is drawn down
    opening_balance: Floats
    overdraft: Floats  # how far below zero the balance may fall
    windfall_day: Floats  # infinite for those who get none
    windfall: Floats
    failure_share: Floats  # of rows
    currency: Integers  # positions in CURRENCIES
    second_currency: Integers  # the same as currency for those with one only


@dataclass(frozen=True)
class Events:
    """The transactions that customers want to make; each array has shape (events,)."""

    customer: Integers  # position in the chunk
    day: Floats  # since 1970-01-01 UTC
    withdrawal: Flags
    size: Floats  # in the main currency, not negative; infinite for 'everything'


def draw_traits(draws: Draws, customers: int, start_day: int, end_day: int) -> Traits:
    """Draw the traits of *customers* people and businesses seen from *start_day* up to *end_day*."""
    window_days = end_day - start_day
    business = draws.chosen(customers, BUSINESS_SHARE)
    before = draws.chosen(customers, JOINED_BEFORE_SHARE)
    since = draws.uniform(customers)
    joined = start_day + np.where(before, -JOINED_BEFORE_DAYS * since, (window_days - 1) * since)
    active = np.maximum(joined, start_day)
    currency = np.searchsorted(np.cumsum(CURRENCY_SHARES)[:-1], draws.uniform(customers), side="right")
    other = draws.generator().integers(len(CURRENCIES), size=customers)
    # Monthly income, for a business its monthly turnover: 1,900 and about 11,000 euros.
    income = draws.spread(customers, 1900.0, 0.6) * np.where(business, draws.spread(customers, 6.0, 0.9), 1.0)
    income *= UNITS_PER_EURO[currency]
    target = income * draws.spread(customers, 0.8, 1.1)
    pause_from = start_day + window_days * draws.uniform(customers)
    pause_days = np.where(draws.chosen(customers, 0.3), 28.0 + draws.waiting(customers, 70.0), 0.0)
    lucky = draws.chosen(customers, 0.12)
    stay_days_mean = draws.spread(customers, 3.2 * YEAR_DAYS, 0.7)
    leaving = active + 7.0 + draws.waiting(customers, 1.0) * stay_days_mean
    relative_pace = draws.spread(customers, 0.55, 1.1) * np.where(business, 2.5, 1.0)
    first_wait = draws.waiting(customers, 1.0) * np.where(before, 20.0 / relative_pace, 4.0)
    return Traits(
        business=business,
        joined_day=joined,
        active_day=active,
        first_day=active + np.minimum(first_wait, 0.999 * (np.minimum(leaving, end_day) - active)),
        leaving_day=leaving,
        takes_all=draws.chosen(customers, 0.7),
        pause_from_day=pause_from,
        pause_until_day=pause_from + pause_days,
        pace=np.minimum(relative_pace, LONGEST_PACE),
        trend_per_year=np.clip(draws.normal(customers, deviation=0.45), -1.2, 1.2),
        deposit_share=0.2 + 0.4 * draws.uniform(customers),
        salaried=draws.chosen(customers, 0.4) & ~business,
        salary=income * (0.6 + 0.4 * draws.uniform(customers)),
        payday=np.array([1, 10, 15, 25, 25, 28])[draws.generator().integers(6, size=customers)],
        deposit_size=income * draws.spread(customers, 0.12, 0.6),
        saved_share=np.clip(draws.normal(customers, 0.06, 0.08), -0.1, 0.4),
        target_balance=target,
        opening_balance=np.where(before, target * draws.spread(customers, 0.7, 0.6), 0.0),
        overdraft=np.where(draws.chosen(customers, 0.08), income * 0.25, 0.0),
        windfall_day=np.where(lucky, start_day + window_days * draws.uniform(customers), np.inf),
        windfall=income * draws.spread(customers, 7.0, 0.6),
        failure_share=np.clip(draws.spread(customers, 0.023, 0.6), 0.0, 0.3),
        currency=currency,
        second_currency=np.where(draws.chosen(customers, 0.05), other, currency),
    )


def month_pace(day: Floats) -> Floats:
    """Return the activity in the month of each day relative to a common month; any shape, days since 1970.

    >>> month_pace(np.array([0.0, 340.0])).tolist()
    [0.86, 1.36]
    """
    months = np.floor(day).astype("datetime64[D]").astype("datetime64[M]").astype(np.int64) % 12
    return np.asarray(MONTH_PACE[months], dtype=np.float64)


def growth(trend_per_year: Floats, day: Floats, middle_day: float) -> Floats:
    """Turn a trend into a factor for events or for amounts, half of it for each; 1 in the middle of the simulation."""
    return np.asarray(np.exp(0.5 * trend_per_year * (day - middle_day) / YEAR_DAYS), dtype=np.float64)


def weekly_pace(draws: Draws, traits: Traits, mondays: Integers) -> Floats:
    """Return the activity of each customer in each week.

    Args:
        draws: the chunk's random numbers.
        traits: the traits of the chunk's customers.
        mondays: the weeks' first days since 1970, shape (weeks,).

    Returns:
        Events relative to the mean customer's in a common week, shape (customers, weeks); 0 outside the account's time.
    """
    customers = len(traits.pace)
    monday = mondays.astype(np.float64)[None, :]
    phase = (mondays - mondays[0]) // PHASE_DAYS
    moods = draws.generator().standard_normal((customers, int(phase[-1]) + 1)) * PHASE_SPREAD
    pace = np.exp(moods - PHASE_SPREAD**2 / 2)[:, phase]
    pace *= growth(traits.trend_per_year[:, None], monday, float(mondays.mean()))
    pace *= month_pace(monday) * traits.pace[:, None]
    left = (traits.leaving_day[:, None] - monday) / WIND_DOWN_DAYS
    pace *= np.clip(left, 0.0, 1.0)
    pace *= monday + WEEK_DAYS > traits.active_day[:, None]
    paused = (monday >= traits.pause_from_day[:, None]) & (monday < traits.pause_until_day[:, None])
    return np.where(paused, pace * DORMANT_PACE, pace)


def everyday_events(draws: Draws, traits: Traits, mondays: Integers, weekly_events: float) -> Events:
    """Draw the deposits and withdrawals that have no date of their own.

    Args:
        draws: the chunk's random numbers.
        traits: the traits of the chunk's customers.
        mondays: as for ``weekly_pace``.
        weekly_events: events of the mean customer in a common week.
    """
    counts = draws.generator().poisson(weekly_pace(draws, traits, mondays) * weekly_events)
    customer, week = np.divmod(np.repeat(np.arange(counts.size), counts.ravel()), len(mondays))
    count = len(customer)
    day = mondays[week] + _time_in_week(draws, traits.business[customer])
    withdrawal = draws.uniform(count) >= traits.deposit_share[customer]
    paid_in = traits.pace * weekly_events * traits.deposit_share * traits.deposit_size
    spent = (paid_in + traits.salaried * traits.salary * (12 * WEEK_DAYS / YEAR_DAYS)) * (1 - traits.saved_share)
    # A customer who rarely withdraws would take a fortune at once: the limit is some deposits or a month's salary.
    withdrawal_size = np.minimum(
        spent / (traits.pace * weekly_events * (1 - traits.deposit_share)),
        4 * traits.deposit_size + traits.salaried * traits.salary,
    )
    size = np.where(withdrawal, withdrawal_size[customer], traits.deposit_size[customer])
    size *= growth(traits.trend_per_year[customer], day, float(mondays.mean()))
    size *= draws.spread(count, np.exp(-(SIZE_SPREAD**2) / 2), SIZE_SPREAD)
    typed = draws.chosen(count, ROUND_SHARE) & ~traits.business[customer] & (size > 20)
    return Events(customer, day, withdrawal, np.where(typed, np.rint(size / 10) * 10, size))


def _time_in_week(draws: Draws, business: Flags) -> Floats:
    """Draw the time since Monday, in days, shape of *business*."""
    ticket = draws.uniform(len(business))
    hour = np.empty(len(business), dtype=np.int64)
    rhythms = ((~business, PERSON_WEEKDAYS, PERSON_HOURS), (business, BUSINESS_WEEKDAYS, BUSINESS_HOURS))
    for members, weekdays, hours in rhythms:
        shares = np.cumsum(np.outer(weekdays, hours))
        hour[members] = np.searchsorted(shares[:-1] / shares[-1], ticket[members], side="right")
    return (hour + draws.uniform(len(business))) / 24


def scheduled_events(draws: Draws, traits: Traits, mondays: Integers) -> Events:
    """Draw the events with a date of their own: first deposits, salaries, windfalls and last withdrawals.

    Some lie outside the simulation or the customer's time in it, to be left out; no first deposit does.
    """
    count = len(traits.pace)
    everyone = np.arange(count)
    first_size = traits.deposit_size * draws.spread(count, 1.5, 0.5)
    last_day = np.where(traits.takes_all, traits.leaving_day - 0.001, np.inf)
    salaried, payday = _paydays(draws, traits, mondays)
    salary = traits.salary[salaried] * draws.spread(len(salaried), 1.0, 0.05)
    return Events(
        customer=np.concatenate([everyone, everyone, salaried, everyone]),
        day=np.concatenate([traits.first_day, traits.windfall_day, payday, last_day]),
        withdrawal=np.arange(3 * count + len(salaried)) >= 2 * count + len(salaried),
        size=np.concatenate([first_size, traits.windfall, salary, np.full(count, np.inf)]),
    )


def _paydays(draws: Draws, traits: Traits, mondays: Integers) -> tuple[Integers, Floats]:
    """List salaried customers and their paydays: once a month, on the Friday before if it falls on a weekend."""
    months = np.unique(mondays.astype("datetime64[D]").astype("datetime64[M]"))
    month_day = months.astype("datetime64[D]").astype(np.int64)
    everyone = np.flatnonzero(traits.salaried)
    customer, month = np.divmod(np.arange(len(everyone) * len(months)), len(months))
    customer = everyone[customer]
    day = month_day[month] + traits.payday[customer] - 1
    day -= np.maximum((day + EPOCH_WEEKDAY) % WEEK_DAYS - 4, 0)
    moment = day + (5.0 + 4.0 * draws.uniform(len(day))) / 24
    # A salary that goes elsewhere is the first sign that a customer will leave.
    paid = draws.chosen(len(day), 0.97) & (moment < traits.leaving_day[customer] - WIND_DOWN_DAYS)
    return customer[paid], moment[paid]
