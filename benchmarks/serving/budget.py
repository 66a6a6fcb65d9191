"""Where a request's time goes, without HTTP: each step on its own, in this process, warm.

    python -m benchmarks.serving.budget

In a worker each step takes half as long again to twice as long, because others drive it out of the processor's caches.
"""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from pydantic_core import to_json

from fivefold.cli.terminal import open_registry
from fivefold.domain.clock import DAY_US, now_microseconds
from fivefold.domain.settings import Limits
from fivefold.features.indicator_matrix import indicator_matrix
from fivefold.features.reading.columns import ErrorCollector
from fivefold.features.reading.request_body import BodyColumns
from fivefold.features.reading.validate import TransactionReader
from fivefold.serving.v4.contract import ROWS as ORDINARY
from fivefold.serving.v4.contract import read_rows, response_rows
from fivefold.store.accounts.plans import read_plans
from fivefold.store.accounts.tokens import Allowance, Charge
from fivefold.store.sql.database import open_database, upgrade
from fivefold.store.sql.fast_statements import PreparedStatements
from fivefold.usecases.accounts.credentials import charge_all, month_of
from fivefold.usecases.accounts.tokens import create_token
from fivefold.usecases.scoring import check_rows, score_checked

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


TIMES = 2_000


def microseconds(what: Callable[[], Any]) -> float:
    """Time a step: the median of many."""
    times = []
    for _ in range(TIMES):
        begun = perf_counter()
        what()
        times.append(1e6 * (perf_counter() - begun))
    return float(np.median(times))


def stages() -> dict[str, float]:
    """Time every step of one customer with 100 rows, microseconds."""
    model = open_registry().load_champion()
    body = json.dumps(customer(ROWS)).encode()
    rows = read_rows(body, Limits())
    assert isinstance(rows, BodyColumns)
    reader = TransactionReader(model.rates, created_slack_us=DAY_US)
    histories = reader.read_body(rows, ErrorCollector())
    matrix, _ = indicator_matrix(histories, AS_OF_US)
    answer = score_checked(model, check_rows(model, rows, as_of=AS_OF_US, now=AS_OF_US), explained=False)
    counts = model.reference.empty()
    with tempfile.TemporaryDirectory() as folder:
        engine = open_database(f"sqlite:///{Path(folder) / 'accounts.db'}")
        upgrade(engine)
        number, _ = create_token(engine, read_plans(None), plan="unlimited")
        now, statements = now_microseconds(), PreparedStatements(engine, quick=True)
        cost = Charge(token_id=number, month=month_of(now), users=1, allowance=Allowance(10**9, 10**9), at_us=now)
        stage_us = {
            "the floor's own json.loads": microseconds(lambda: json.loads(body)),
            "pydantic, were the body not flat": microseconds(lambda: ORDINARY.validate_json(body)),
            "body into columns": microseconds(lambda: read_rows(body, Limits())),
            "validating rows": microseconds(lambda: reader.read_body(rows, ErrorCollector())),
            "kernel": microseconds(lambda: indicator_matrix(histories, AS_OF_US)),
            "prediction, score and segment": microseconds(lambda: model.scores(matrix)),
            "charge, alone in its commit": microseconds(lambda: charge_all(statements, [cost])),
            "charge, one of eight in a commit": microseconds(lambda: charge_all(statements, [cost] * 8)) / 8,
            "counts by bucket": microseconds(lambda: model.reference.count(counts, matrix, answer.scores.score)),
            "writing the answer": microseconds(lambda: to_json(response_rows(answer, model, {}))),
        }
        statements.close()
        engine.dispose()
    return stage_us


def main() -> None:
    """Time and print."""
    for name, time_us in stages().items():
        print(f"{name:40} {time_us:7.1f} us")


if __name__ == "__main__":
    main()
