"""The service and `fivefold score` give the same bits, for simulated customers and real ones."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

from fivefold.domain.clock import day_text, to_microseconds
from fivefold.domain.segments import rounded_score
from fivefold.models.scoring.histories import Scoring
from fivefold.models.scoring.sources import score_source
from fivefold.training.simulation.simulator import Simulation, simulate
from tests.models.making import AS_OF
from tests.serving.processes.registry import model
from tests.serving.processes.service import ROOT, Service, sample_rows

BERKA = ROOT.parent / "shared" / "data" / "berka" / "transactions.parquet"
BERKA_AS_OF = to_microseconds(datetime(1998, 10, 2))  # noqa: DTZ001 (no zone means UTC here)


def by_customer(table: pl.DataFrame) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Write the rows of each customer as a request has them."""
    times = [pl.col(name).dt.to_string("%Y-%m-%dT%H:%M:%S%.6f") for name in ("transaction_date", "user_created")]
    for (user_id,), rows in table.with_columns(times).group_by("user_id", maintain_order=True):
        yield str(user_id), rows.to_dicts()


def require_same_bits(service: Service, table: pl.DataFrame, as_of: int) -> int:
    """Post every customer alone; compare the answers with what the command gives for all together."""
    serving = model(service.version)
    expected = pl.concat([batch.table for batch in score_source(serving, table, Scoring(as_of))])
    wanted = {row["user_id"]: row for row in expected.to_dicts()}
    token = service.token()
    query = f"/v4/scoring?as_of={day_text(as_of)}&explain=true"

    def ask(customers: list[tuple[str, list[dict[str, Any]]]]) -> int:
        with service.client(token) as client:
            for user_id, rows in customers:
                (found,) = client.post(query, json=rows).json()
                want = wanted[user_id]
                assert found["user_id"] == user_id
                assert float(found["expected_value"]).hex() == want["expected_value"].hex()
                assert float(found["percentile"]).hex() == want["percentile"].hex()
                assert found["score"] == rounded_score(want["score"], want["category"], serving.cut_points)
                assert found["category"] == want["category"]
                total = found["base"] + sum(part["points"] for part in found["contributions"])
                assert abs(total - want["score"]) < 1e-9
        return len(customers)

    known = [(user_id, rows) for user_id, rows in by_customer(table) if user_id in wanted]
    with ThreadPoolExecutor(4) as pool:
        return sum(pool.map(ask, [known[number::4] for number in range(4)]))


@pytest.mark.full
def test_simulated_customers_have_the_bits_of_the_command(on_sqlite: Service) -> None:
    table = pl.from_arrow(pa.concat_tables(simulate(Simulation(customers=250, seed=23))))
    assert isinstance(table, pl.DataFrame)
    assert require_same_bits(on_sqlite, table, AS_OF) > 200


@pytest.mark.full
def test_customers_of_berka_have_the_bits_of_the_command(on_postgresql: Service) -> None:
    if not BERKA.exists():
        pytest.skip(f"the real data are not there: {BERKA}")
    table = pl.read_parquet(BERKA)
    chosen = table["user_id"].unique(maintain_order=True).gather_every(75)
    assert require_same_bits(on_postgresql, table.filter(pl.col("user_id").is_in(chosen.implode())), BERKA_AS_OF) > 50


def test_a_portfolio_of_ten_thousand_rows_is_one_request(service: Service) -> None:
    customers = [f"user {number}" for number in range(500)]
    rows = [
        {**row, "user_id": user_id, "transaction_amount": 0.01 + number + visit}
        for visit in range(10)
        for number, user_id in enumerate(customers)
        for row in sample_rows()
    ]
    assert len(rows) == 10_000
    token = service.token()
    answer = service.post(rows, token)
    assert answer.status_code == 200
    assert [element["user_id"] for element in answer.json()] == customers
    for number in (0, 250, 499):
        alone = service.post([row for row in rows if row["user_id"] == customers[number]], token).json()
        assert alone == [answer.json()[number]]
    assert service.usage_of(token) == (4, 503)
