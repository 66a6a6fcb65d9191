"""Likely names of the columns of transactions that are absent under ours, and the effects of an absent column."""

import re
import shlex
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from fivefold.domain.text import misspelt_names, nearest
from fivefold.features import schema as c

ABSENCES: Final = (*c.ABSENT, c.STATE)
"""Columns whose absence from its training data a model records; without states every row counts as settled.

They are not in `features.schema`, whose code counts for the fingerprint of the catalogue.
"""
READ_ANYWAY: Final = (c.CURRENCY, c.STATE)
"""Columns that are read if present, even if the training data of a model lacked them: an amount in dollars is not one
in euros, and a failed transaction moves no money."""
OTHER: Final = "_other"
"""The end of the new name in `--map` of a column that is not what its name says."""
_USUAL: Final = {
    c.STATE: ("state", "status"),
    c.CURRENCY: ("currency", "currency_code", "currency_iso", "ccy", "ccy_code"),
    c.BALANCE: ("balance",),
    c.CREATED: ("created",),
    c.TRANSACTION_ID: ("tx_id", "txn_id", "trans_id"),
    c.USER_ID: ("user", "customer", "client"),
}
"""Words at the end of a name that clearly mean the column: a mere id or category may belong to something else."""
_PROPOSED: Final = {
    **_USUAL,
    c.TRANSACTION_ID: ("transaction_id", *_USUAL[c.TRANSACTION_ID]),
    c.USER_ID: (*_USUAL[c.USER_ID], "user_id", "customer_id", "client_id"),
    c.DATE: ("date", "date_utc", "created_at", "created"),
}
"""These with the words of real exports, the likelier first: `trans_id` of Berka, `Customer ID`, `Created date (UTC)`,
`created` and `balance_transaction_id` of Stripe, `links.customer` and `created_at` of GoCardless, `Date` of QuickBooks.
"""
_WORD: Final = re.compile(r"[A-Z]*[^\W\dA-Z_]+|[A-Z]+|\d+")
_ABSENT: Final = {
    c.STATE: "every row counts as settled",
    c.CURRENCY: "every amount is taken as {base}",
    c.CATEGORY: "every row is taken as WEB",
    c.CREATED: "an account is taken as opened with its first row",
}


def unread_columns(absent: Collection[str]) -> frozenset[str]:
    """Return the columns lacking in a model's training data that the model does not read."""
    return frozenset(absent).difference(READ_ANYWAY)


def absence_texts(absent: Collection[str], base: str) -> dict[str, str]:
    """Describe what replaces columns that a file lacks; balances are not replaced.

    >>> absence_texts(("user_balance", "transaction_currency"), "EUR")
    {'transaction_currency': 'no transaction_currency: every amount is taken as EUR'}
    """
    return {name: f"no {name}: {text.format(base=base)}" for name, text in _ABSENT.items() if name in absent}


def meant_columns(names: Collection[str], optional: Collection[str], regular: Collection[str] = ()) -> dict[str, str]:
    """Find columns that probably are absent optional ones: by a similar name, or by a word that means the same.

    Args:
        names: the names of the columns.
        optional: columns of transactions that may be absent.
        regular: names that mean what they say.

    Returns:
        The probable column by optional column, in the order of these.

    >>> meant_columns(["Transaction State", "txCcy", "account_id", "real_estate"], c.COLUMNS)
    {'transaction_currency': 'txCcy', 'transaction_state': 'Transaction State'}
    """
    near = misspelt_names(names, optional, regular)
    others = [name for name in names if name not in {*optional, *regular, *near.values()}]
    usual = {own: next((name for name in others if means(name, own)), None) for own in optional if own not in names}
    every = {own: near.get(own) or usual.get(own) for own in optional}
    return {own: name for own, name in every.items() if name is not None}


def how_to_rename(names: Sequence[str], needed: Sequence[str], *, in_file: bool) -> str:
    """Explain how to rename columns to the API's names, *needed* ones first: in a file by an option, else by hand."""
    pairs = _renames(names)
    first = sorted(pairs, key=lambda own: own not in needed) or [c.USER_ID]
    return rename_text({own: pairs.get(own, "customer_id") for own in first}, in_file=in_file)


def rename_text(renames: Mapping[str, str], *, in_file: bool) -> str:
    """Explain how to rename these columns to our names: in a file by an option, in a table by hand."""
    if in_file:
        options = " ".join(f"--map {shlex.quote(f'{theirs}={own}')}" for own, theirs in renames.items())
        return f"A column of another name is given by --map, such as {options}"
    return "Rename a column of another name, such as " + ", ".join(
        f"{theirs} to {own}" for own, theirs in renames.items()
    )


def _renames(names: Sequence[str]) -> dict[str, str]:
    """Find the column meant by each missing one: by a similar name, a usual word, or its last word alone."""
    theirs = [name for name in names if name not in c.COLUMNS]
    missing = [own for own in c.COLUMNS if own not in names]
    similar = {nearest(name, missing, cutoff=0.9): name for name in reversed(theirs)}
    renames = {own: similar[own] for own in missing if own in similar}
    others = [own for own in missing if own not in renames]
    for own in sorted(others, key=lambda own: own != c.DATE):  # what an export calls created is its rows' date
        free = [name for name in theirs if name not in renames.values()]
        usual = ([name for name in free if _ends_in(name, word)] for word in _PROPOSED.get(own, ()))
        if only := next((each[0] for each in usual if len(each) == 1), None):
            renames[own] = only
    for own in others:
        free = [name for name in theirs if name not in renames.values()]
        if own == c.TRANSACTION_ID:  # another id is that of something else
            left = [name for name in free if _words(name) == ["id"]]
        else:
            left = [name for name in free if _words(name)[-1:] == _words(own)[-1:]]
        if own not in renames and len(left) == 1:
            renames[own] = left[0]
    return {own: renames[own] for own in missing if own in renames}


def means(name: str, own: str) -> bool:
    """Check whether a name ends in a word for the column *own*, as `tx_status` does for `transaction_state`."""
    return any(_ends_in(name, word) for word in _USUAL.get(own, ()))


def _ends_in(name: str, word: str) -> bool:
    return f"_{'_'.join(_words(name))}".endswith(f"_{word}")


def _words(name: str) -> list[str]:
    """Return the words of a name in lower case.

    >>> _words("txCurrency Code"), _words("TRANSACTION_STATUS")
    (['tx', 'currency', 'code'], ['transaction', 'status'])
    """
    return [word.casefold() for word in _WORD.findall(name)]
