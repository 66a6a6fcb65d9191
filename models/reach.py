"""Doubts about the rows of a score: how far back they reach, what they lack or repeat, and how old the newest is.

A customer whose history is incomplete is scored as a newer one.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from fivefold.domain.clock import CLOCK_SLACK_US, DAY_US, day_text
from fivefold.domain.text import count_text, percent
from fivefold.features.column_names import absence_texts
from fivefold.features.histories import AmountChecks, Histories, Stateless, Ties
from fivefold.features.schema import STATE

ENOUGH_DAYS = 365
"""With this many days, a few per cent of the segments differ from those of whole histories; see docs/results.md."""
GAP_DAYS = 30
"""Days that can lie between the opening of an account and its first transaction though no row is missing."""
STALE_DAYS = 7
"""Rows that end more than this many days before the as-of are worth a warning."""
WARN_REPEATED_SHARE = 0.01
"""The share of repeated rows that is worth a warning."""
LEAST_OF_ONE_SIGN = 1_000
"""This many amounts of one sign, and none of the other, are worth a warning: with fewer it is possibly chance."""
LEAST_MOVES = 20
"""This many moves of balances by a hundredth of the amount, or by its hundredfold, are worth a warning."""
LEAST_SHARE_OF_MOVES, MOST_SHARE_OF_OTHER_MOVES = 0.5, 0.01
"""Where rows are missing, a balance moves by something else; where it moves by amounts too, units are mixed."""
LEAST_OF_TOTAL = 20
"""Least number of other amounts for a warning of a total: their sum hardly ever equals an amount by chance."""


@dataclass(frozen=True)
class HistoryReach:
    """The time that a history covers, microseconds.

    Attributes:
        first: its first row.
        created: when the account was created, as its rows say.
        until: the last moment whose rows count for the score.
    """

    first: int
    created: int
    until: int

    @property
    def days(self) -> int:
        """Whole days from the first row to the last moment that counts."""
        return (self.until - self.first) // DAY_US

    @property
    def missing_days(self) -> int:
        """Whole days from the creation of the account to the first row; 0 where the first row came before."""
        return max(0, (self.first - self.created) // DAY_US)

    @property
    def short(self) -> bool:
        """Whether rows are probably missing that would change the score."""
        return self.days < ENOUGH_DAYS and self.missing_days > GAP_DAYS

    def __str__(self) -> str:
        """Describe it for people.

        >>> print(HistoryReach(10 * DAY_US, 0, 20 * DAY_US))
        10 days of history, from 10 days after the account was created
        >>> print(HistoryReach(DAY_US, 0, 2 * DAY_US))
        1 day of history, from 1 day after the account was created
        """
        days, missing = count_text(self.days, "day"), count_text(self.missing_days, "day")
        text = f"{days} of history, from {missing} after the account was created"
        if self.short:
            text += f": with less than {ENOUGH_DAYS} days sent, an old customer is scored as a new one"
        return text

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data for JSON."""
        return {
            "from": day_text(self.first),
            "user_created": day_text(self.created),
            "days": self.days,
            "days_before_it": self.missing_days,
            "short": self.short,
        }


def history_reaches(histories: Histories, as_of: int, lag_us: int = 0) -> list[HistoryReach]:
    """Return the reach of every customer for a model with this settlement lag; each must have at least one row."""
    starts = histories.offsets[:-1]
    created = np.minimum.reduceat(histories.created, starts)
    firsts = zip(histories.time[starts].tolist(), created.tolist(), strict=True)
    return [HistoryReach(*pair, as_of - lag_us) for pair in firsts]


def needed_row_text(as_of: int, lag_us: int, name: str = "") -> str:
    """Describe the row that a score needs and that a customer lacks; *name*, if given, replaces the day of the as-of.

    >>> needed_row_text(20 * DAY_US, 0)
    'row by 1970-01-21'
    >>> needed_row_text(20 * DAY_US, 14 * DAY_US)
    'row by 1970-01-07, 14 days before 1970-01-21, as this model counts later rows as incomplete'
    """
    named = name or day_text(as_of)
    if not lag_us:
        return f"row by {named}"
    days = count_text(lag_us // DAY_US, "day")
    return f"row by {day_text(as_of - lag_us)}, {days} before {named}, as this model counts later rows as incomplete"


def doubts_of_newest(newest: int, as_of: int, *, is_now: bool, option: str) -> Iterator[str]:
    """Yield why scores are possibly not of the intended day; nothing if the rows fit the as-of.

    Args:
        newest: time of the newest row that was read, whatever the as-of, microseconds.
        as_of: the moment of the scores, microseconds.
        is_now: whether the as-of is the present, as none was given.
        option: how to give another as-of, with `{}` for the day.
    """
    if is_now and newest > as_of + CLOCK_SLACK_US:
        yield f"the newest row is dated {day_text(newest)}, in the future: no row after now was seen"
    if newest < as_of - STALE_DAYS * DAY_US:
        days, midnight = (as_of - newest) // DAY_US, day_text(-(-newest // DAY_US) * DAY_US)
        moment_text = "which is now" if is_now else day_text(as_of)
        yield (
            f"the newest row is {days:,} days older than the as-of, {moment_text}: if rows are missing, "
            f"customers only seem to have paused. For scores as of the end of the data: {option.format(midnight)}"
        )


def absences(absent: Collection[str], learnt_without: Collection[str], base: str) -> list[str]:
    """Describe what replaces the columns that rows lack and a model's training data had; balances are not replaced.

    Args:
        absent: columns of `features.column_names.ABSENCES` that the rows lack.
        learnt_without: the columns that the training data lacked, `ValueModel.absent`.
        base: the currency of the model.

    >>> absences(("transaction_currency", "user_category"), ("user_category",), "EUR")
    ['no transaction_currency: every amount is taken as EUR']
    """
    return [*absence_texts([name for name in absent if name not in learnt_without], base).values()]


def repeats_text(repeated: int, rows: int, least_share: float = WARN_REPEATED_SHARE) -> str:
    """Describe that many rows are repeated, as `features.histories.ties` counts; empty if fewer or none are.

    >>> repeats_text(0, 100)
    ''
    """
    if not repeated or repeated < least_share * rows:
        return ""
    return (
        f"{repeated:,} of {rows:,} rows ({percent(repeated / rows)}) repeat another row of their customer in "
        "everything, and without a transaction_id nothing tells a repeat from a second payment"
    )


def unordered_text(customers: int) -> str:
    """Describe for how many customers a balance is a guess at some moment, as `features.histories.ties` counts.

    >>> unordered_text(1)
    '1 customer has different balances at one moment or more and no transaction_id there: which came last is a guess'
    >>> unordered_text(0)
    ''
    """
    return _guess_text(customers, "at one moment or more")


def last_balance_text(customers: int) -> str:
    """Describe for how many customers the last visible balance is a guess, as `features.histories.ties` counts.

    >>> last_balance_text(2)
    '2 customers have different balances at their last moment and no transaction_id there: which came last is a guess'
    >>> last_balance_text(0)
    ''
    """
    return _guess_text(customers, f"at {'its' if customers == 1 else 'their'} last moment")


def _guess_text(customers: int, when: str) -> str:
    if not customers:
        return ""
    return (
        f"{count_text(customers, 'customer')} {'has' if customers == 1 else 'have'} different balances {when} "
        "and no transaction_id there: which came last is a guess"
    )


def absent_columns_text(absent: tuple[str, ...]) -> str:
    """Name the columns that training data lacked.

    >>> absent_columns_text(("user_balance", "user_created")), absent_columns_text(())
    ('without user_balance, user_created', 'with every column')
    """
    return f"without {', '.join(absent)}" if absent else "with every column"


def stateless_text(stateless: Stateless, rows: int) -> str:
    """Describe how many rows have no state though others have one, and since when; empty if all have one.

    >>> stateless_text(Stateless({19_975: 2}), 5_000)
    '2 of 5,000 rows (<0.1 %) have no transaction_state, the first at 2024-09-09: each of them counts as settled'
    """
    if not stateless.days:
        return ""
    return (
        f"{stateless.rows:,} of {rows:,} rows ({percent(stateless.rows / rows)}) have no {STATE}, the first at "
        f"{day_text(min(stateless.days) * DAY_US)}: each of them counts as settled"
    )


def one_sided_text(below: int, above: int, least: int = LEAST_OF_ONE_SIGN) -> str:
    """Describe that all amounts, of at least *least* rows, have one sign: an export may have it in another column.

    >>> one_sided_text(0, 2_000)
    'no amount is below 0, so every row is a deposit: a withdrawal is a negative amount'
    >>> one_sided_text(2_000, 0)
    'no amount is above 0, so every row is a withdrawal: a deposit is a positive amount'
    >>> one_sided_text(1, 2_000), one_sided_text(0, 3)
    ('', '')
    """
    if above >= least and not below:
        return "no amount is below 0, so every row is a deposit: a withdrawal is a negative amount"
    if below >= least and not above:
        return "no amount is above 0, so every row is a withdrawal: a deposit is a positive amount"
    return ""


def other_unit_text(checks: AmountChecks) -> str:
    """Describe that amounts and balances are in different units, such as cents and whole money; empty if they are not.

    >>> other_unit_text(AmountChecks(moves=1_000, moves_by_hundredth=990))
    'in 990 of 1,000 rows the balance moves by a hundredth of the amount: amounts are in cents, it seems, and balances \
are not; give both in whole money'
    >>> other_unit_text(AmountChecks(moves=1_000, moves_by_hundredth=500, moves_by_amount=500))
    ''
    """
    for count, share, cents, whole in (
        (checks.moves_by_hundredth, "a hundredth of", "amounts", "balances"),
        (checks.moves_by_hundredfold, "a hundred times", "balances", "amounts"),
    ):
        is_usual = count >= LEAST_MOVES and count >= LEAST_SHARE_OF_MOVES * checks.moves
        if is_usual and checks.moves_by_amount <= MOST_SHARE_OF_OTHER_MOVES * checks.moves:
            return (
                f"in {count:,} of {checks.moves:,} rows the balance moves by {share} the amount: {cents} are in cents, "
                f"it seems, and {whole} are not; give both in whole money"
            )
    return ""


def total_text(checks: AmountChecks) -> str:
    """Describe that the last customer's one row has the sum of all others, as the last line of a report; empty if not.

    >>> total_text(AmountChecks(rows=26, total=240.0, moved=400.0, last_customer="TOTAL", last_amount=120.0))
    "the last customer, 'TOTAL', has one row, whose amount is the sum of the 25 others: if it is their total, and no \
customer, remove it"
    """
    if checks.rows <= LEAST_OF_TOTAL or not checks.last_is_total:
        return ""
    return (
        f"the last customer, {checks.last_customer!r}, has one row, whose amount is the sum of the "
        f"{checks.rows - 1:,} others: if it is their total, and no customer, remove it"
    )


def other_currencies_text(currencies: Collection[str], base: str, source: str = "") -> str:
    """Describe that no amount is in the base currency; empty if one is. *source* names the rows, if it is not empty.

    >>> other_currencies_text({"USD", "JPY"}, "EUR")
    'no amount is in EUR, the base currency: all are in JPY, USD, and are converted'
    >>> other_currencies_text({"USD", "EUR"}, "EUR")
    ''
    """
    if not currencies or base in currencies:
        return ""
    codes = sorted(currencies)
    of = f" of {source}" if source else ""
    better = f"; with the base {codes[0]} nothing would have to be" if len(codes) == 1 else ""
    return (
        f"no amount{of} is in {base}, the base currency: all are in {', '.join(codes[:5])}, and are converted{better}"
    )


def doubts_of_amounts(checks: AmountChecks) -> list[str]:
    """Return doubts about the meaning of amounts: their signs, their unit, and a total among them."""
    texts = (one_sided_text(checks.below, checks.above), other_unit_text(checks), total_text(checks))
    return [text for text in texts if text]


_UNSEEN = r"\p{Cf}"
"""Format characters, which are not seen themselves, such as one of no width."""


def _visible(names: pl.Series) -> pl.Series:
    visible = names.str.replace_all(_UNSEEN, "").str.normalize("NFC")
    return visible.str.replace_all(r"\s+", " ").str.strip_chars()  # a space is seen, how wide it is is not


def other_spellings(names: pl.Series) -> list[str]:
    """Spell identifiers as each is seen, and with their letters composed and decomposed; without how they are spelt.

    >>> other_spellings(pl.Series(["a", "b ", "\u00fc"])) == ["b", "u\u0308"]
    True
    """
    special = names.filter(names.str.contains(r"[\s[:^ascii:]]"))
    forms = [_visible(special), special.str.normalize("NFC"), special.str.normalize("NFD")]
    return sorted({name for form in forms for name in form} - {"", *names})


@dataclass
class SimilarNames:
    """Finds customers whose identifiers look alike: they differ by what cannot be seen alone.

    They stay customers of their own: which spelling is right is not known here.
    """

    kind: str = "customer"
    """What has the identifiers, in the singular."""
    keys: list[pl.Series] = field(default_factory=list)
    """Of each batch, the hash of each identifier without what cannot be seen."""
    unusual: list[pl.DataFrame] = field(default_factory=list)
    """Of each batch, the identifiers that are spelt otherwise, with their hashes: of two alike at least one is."""

    def add(self, names: pl.Series) -> None:
        """Take in the identifiers of a batch; one may be in two of them only beside another spelling of it."""
        visible = _visible(names.cast(pl.String))
        keys = visible.hash()
        self.keys.append(keys)
        self.unusual.append(pl.DataFrame({"name": names.cast(pl.String), "key": keys}).filter(visible != names))

    def include(self, other: "SimilarNames") -> None:
        """Take in the identifiers of other customers."""
        self.keys += other.keys
        self.unusual += other.unusual

    @property
    def text(self) -> str:
        """Describe how many identifiers look alike, with examples; empty if none do."""
        unusual = pl.concat(self.unusual) if self.unusual else pl.DataFrame()
        if unusual.is_empty():
            return ""
        keys = pl.concat(self.keys)
        shared = keys.filter(keys.is_duplicated()).unique()
        alike = unusual.filter(pl.col("key").is_in(shared.implode()))["name"].unique()
        if alike.is_empty():
            return ""
        examples = " and ".join(ascii(name) for name in alike.sort().head(2))
        return (
            f"{count_text(len(alike), 'identifier')} look{'s' if len(alike) == 1 else ''} like that of another "
            f"{self.kind}, such as {examples}: only white space, unseen characters or the composition of "
            "letters differ, and each stands for one of its own"
        )


def doubts_of_units(outside: Mapping[str, int], customers: int) -> list[str]:
    """Describe own indicators with values that their unit does not allow, as `ScoredBatch.outside_units` counts.

    >>> doubts_of_units({"cash_share_90d": 3}, 1_000)
    ['the indicator cash_share_90d is outside its unit for 3 of 1,000 customers: the model learnt from no such value']
    """
    return [
        f"the indicator {name} is outside its unit for {count:,} of {count_text(customers, 'customer')}: the model "
        "learnt from no such value"
        for name, count in outside.items()
    ]


def doubts_of_rows(
    absent: Collection[str],
    learnt_without: Collection[str],
    base: str,
    tied: Ties,
    rows: int,
    stateless: Stateless,
    amount_checks: AmountChecks,
) -> list[str]:
    """Return all doubts about the rows of scores: replaced columns and states, repeats, guesses, and amounts."""
    texts = (
        *doubts_of_amounts(amount_checks),
        stateless_text(stateless, rows),
        repeats_text(tied.repeated, rows),
        last_balance_text(tied.unordered),
    )
    return [*absences(absent, learnt_without, base), *(text for text in texts if text)]
