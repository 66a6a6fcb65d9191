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
"""Columns that a file may lack. Indicators of balances are then undefined; the others are completed: the currency is
the base, the category is WEB, and an account was created with its first row."""
NULLABLE: Final = (BALANCE, CATEGORY, CREATED)
"""Columns of which a stored transaction may say nothing."""

# What a row is to the indicators. Plain integers: the kernel freezes them when it compiles.
NOTHING: Final = 0
"""A settled row that moves no money."""
DEPOSIT: Final = 1
WITHDRAWAL: Final = 2
PENDING_ROW: Final = 3
FAILED_ROW: Final = 4

# What a state means. Absent: success is inferred from the sign, so the row is settled.
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
"""Largest amount or balance taken, in the transaction's currency: beyond it cents are lost in 64-bit floats."""

ROWS_SORTED_IN_MEMORY: Final = 5_000_000
"""Most rows that are sorted in memory; larger files must come grouped by customer."""
