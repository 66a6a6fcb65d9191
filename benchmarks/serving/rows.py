"""The rows that the serving benchmarks post."""

from typing import Any

ROWS = 100
AS_OF = "2024-07-01"
AS_OF_US = 1_719_792_000_000_000


def customer(rows: int, users: int = 1) -> list[dict[str, Any]]:
    """Make rows of June 2024, spread over users."""
    return [
        {
            "user_id": f"user_{number % users}",
            "transaction_state": "COMPLETED",
            "transaction_currency": "EUR",
            "user_balance": 500.0 + number % 97,
            "transaction_amount": float(number % 61) - 25.5,
            "user_created": "2024-01-01T12:00:00",
            "user_category": "WEB",
            "transaction_date": f"2024-06-{1 + number // users % 28:02d}T{number % 24:02d}:{number % 60:02d}:00",
        }
        for number in range(rows)
    ]
