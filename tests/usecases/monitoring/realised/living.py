"""A bank whose customers pay every ten days, and a registry of which tests say what it has."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from fivefold.domain.clock import DAY_US, from_microseconds
from fivefold.domain.errors import ModelNotFoundError
from fivefold.domain.settings import Settings
from fivefold.models.value_model import ValueModel
from fivefold.store.levels.champions import begin_champion
from fivefold.store.tables.predictions import Prediction, PredictionDay
from fivefold.training.config import TrainingConfig
from fivefold.usecases.ingest.entities import put_entities
from fivefold.usecases.ingest.transactions import add_transactions
from fivefold.usecases.levels.value_scores import EntityScorer
from fivefold.usecases.monitoring.realised.judge import judge_next
from fivefold.usecases.monitoring.realised.keep import keep_predictions
from fivefold.usecases.shared.entity_checks import EntityRow
from tests.models.making import converting_model, interval_table
from tests.store.filling import filled_once
from tests.usecases import platforms
from tests.usecases.banks import Bank

MODEL = "fivefold-value"
CUSTOMERS = 40
HORIZON_DAYS = 90
SETTINGS = Settings(Path(), tracking="http://127.0.0.1:9")
"""Of a worker that has a registry; what it has, the tests say."""
WHOLE = {"user_created": "2025-01-01", "user_category": "WEB"}


@cache
def model() -> ValueModel:
    """A model whose values this program can compute, with intervals."""
    return converting_model(intervals=interval_table(), definition=TrainingConfig().definition())


class Shelf:
    """What the registry has: models by their numbers; and what training said of each."""

    name = MODEL

    def __init__(self) -> None:
        self.models: dict[int, ValueModel] = {1: model(), 2: model()}
        self.parameters: dict[str, str] = {"due.least_customers": "30"}
        self.gini: float | None = None

    def version(self, number: int) -> Any:
        if number not in self.models:
            raise ModelNotFoundError(f"{self.name} has no version {number}; there are: none")
        metrics = {} if self.gini is None else {"model_normalised_gini": self.gini}
        return SimpleNamespace(
            number=number, run_id="run", metrics=metrics, aliases=(), absent=(), stateless_share=None
        )

    def load(self, number: int) -> ValueModel:
        return self.models[number]

    @property
    def client(self) -> Any:
        return SimpleNamespace(get_run=lambda _: SimpleNamespace(data=SimpleNamespace(params=self.parameters)))


class Living(Bank):
    """Customers c0, c1, …, who pay in every ten days, each another amount, for good."""

    def __init__(self, engine: Engine, shelf: Shelf, name: str = "bank", customers: int = CUSTOMERS) -> None:
        super().__init__(engine, name)
        self.shelf = shelf
        self.customers = [f"c{number}" for number in range(customers)]
        self.valuer = EntityScorer(model(), MODEL, 1)
        self.paid = 0
        put_entities(self.context, "customer", [EntityRow(customer, {}) for customer in self.customers])
        self.pay_in(-200, 0)
        self.settle()
        self.serve(1)

    def registry(self) -> Any:
        return self.shelf

    def serve(self, version: int) -> None:
        """Let a version serve from now on."""
        self.valuer = EntityScorer(model(), MODEL, version)
        with Session(self.engine) as session, session.begin():
            begin_champion(session, MODEL, version, self.now)

    def pay_in(self, first: int, last: int, share: float = 1.0) -> None:
        """Let everybody pay on each tenth day between two days, counted from now."""
        rows = []
        for day in range(first, last + 1, 10):
            at = from_microseconds(self.now + day * DAY_US).replace(tzinfo=None).isoformat()
            for number, customer in enumerate(self.customers):
                self.paid += 1
                amount = share * 50.0 * (number + 1)
                given = {"transaction_amount": amount, "user_balance": amount, "transaction_date": at}
                rows.append(platforms.transaction(self.paid, f"{customer}", operation="cash", **given, **WHOLE))
        rows = [{**row, "transaction_id": f"{self.of}-{row['transaction_id']}"} for row in rows]
        add_transactions(self.context, rows, "customer")

    def live(self, days: int, share: float = 1.0) -> None:
        """Let days pass in which everybody pays."""
        self.wait(days)
        self.pay_in(10 - days, 0, share)

    def keep(self) -> bool:
        return keep_predictions(self.engine, self.valuer, self.now)

    def judge(self) -> int:
        """Judge what there is to judge; tell how many days that were."""
        count = 0
        while judge_next(self.engine, SETTINGS, self.now):
            count += 1
        return count

    def days(self) -> list[PredictionDay]:
        with Session(self.engine) as session:
            of = select(PredictionDay).where(PredictionDay.organisation_id == self.of)
            return list(session.scalars(of.order_by(PredictionDay.as_of_us, PredictionDay.id)))

    def predictions(self, day: int = 0) -> Mapping[int, Prediction]:
        with Session(self.engine) as session:
            of = select(Prediction).where(Prediction.day_id == self.days()[day].id)
            return {row.entity_id: row for row in session.scalars(of)}


@filled_once
def _begun(engine: Engine) -> Living:
    made = Living(engine, Shelf())
    made.valuer, made.shelf.models = None, {}  # they would be copied as well
    return made


def living(engine: Engine, shelf: Shelf) -> Living:
    """Give a bank as it begins, with a registry: a copy of the first one, whose customers take long to put in."""
    bank = _begun(engine)
    bank.shelf, bank.valuer = shelf, EntityScorer(model(), MODEL, 1)
    return bank
