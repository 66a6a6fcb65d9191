"""The columns of a transaction, as the API names them, and the codes that stand for their words inside."""

from typing import Final

USER_ID: Final = "user_id"
TRANSACTION_ID: Final = "transaction_id"
STATE: Final = "transaction_state"
CURRENCY: Final = "transaction_currency"
BALANCE: Final = "user_balance"
AMOUNT: Final = "transaction_amount"
CREATED: Final = "user_created"
CATEGORY: Final = "user_category"
DATE: Final = "transaction_date"

REQUIRED: Final = (USER_ID, CURRENCY, BALANCE, AMOUNT, CREATED, CATEGORY, DATE)
OPTIONAL: Final = (STATE, TRANSACTION_ID)
COLUMNS: Final = (*REQUIRED, *OPTIONAL)

ABSENT: Final = (BALANCE, CURRENCY, CATEGORY, CREATED)
"""Columns that a file may lack. Indicators of balances are then undefined. The other columns get defaults: the base
currency, the category WEB, and for the creation of an account the time of its first row."""
NULLABLE: Final = (BALANCE, CATEGORY, CREATED)
"""Columns that a stored transaction may lack."""

# The kind of a row, as indicators read it. Plain integers: the kernel freezes them when it compiles.
NOTHING: Final = 0
"""A settled row that moves no money."""
DEPOSIT: Final = 1
WITHDRAWAL: Final = 2
PENDING_ROW: Final = 3
FAILED_ROW: Final = 4

# The meaning of a state. A row without a state counts as settled.
SETTLED: Final = 0
PENDING: Final = 1
FAILED: Final = 2
STATES: Final = {
    "SUCCEEDED": SETTLED,
    "COMPLETED": SETTLED,
    "PENDING": PENDING,
    "FAILED": FAILED,
    "REJECTED": FAILED,
    "CANCELLED": FAILED,
    "EXPIRED": FAILED,
    "REVERSED": FAILED,
}

CATEGORIES: Final = {"API": 0, "WEB": 1}

LARGEST_MAGNITUDE: Final = 1e15
"""Largest amount or balance accepted, in the transaction's currency: beyond it 64-bit floats lose cents."""

ROWS_SORTED_IN_MEMORY: Final = 5_000_000
"""Most rows that are sorted in memory; larger files must come grouped by customer."""
