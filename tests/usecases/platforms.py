"""A small platform for tests: an organisation with levels, a type of customer, and people who act."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.domain.clock import to_microseconds
from fivefold.store.accounts import tokens as accounts
from fivefold.store.tables.entities import EntityType, OrganisationSettings
from fivefold.usecases.shared.actors import Actor

NOW = to_microseconds(datetime(2026, 11, 20, tzinfo=UTC))
LEVELS = ["low", "medium", "high"]
FIELDS: dict[str, Any] = {
    "country": "country",
    "occupation": "text",
    "income": "number",
    "opened_on": "date",
    "pep": "flag",
}
TRANSACTION_FIELDS: dict[str, Any] = {"operation": "text"}


def organisation(engine: Engine, name: str = "bank", levels: list[str] | None = None, created_us: int = NOW) -> int:
    """Make an organisation with levels and the type customer."""
    with Session(engine) as session, session.begin():
        made = accounts.organisation_named(session, name, created_us)
        session.flush()
        # Rulesets of tests have few examples.
        session.add(OrganisationSettings(organisation_id=made.id, levels=levels or LEVELS, minimum_coverage_percent=0))
        session.add(
            EntityType(
                organisation_id=made.id,
                name="customer",
                fields=FIELDS,
                transaction_fields=TRANSACTION_FIELDS,
                case_fields={},
                created_us=NOW,
            )
        )
        return made.id


def actor(organisation_id: int, name: str = "member:1") -> Actor:
    """Somebody of an organisation."""
    return Actor(organisation_id, name)


def transaction(number: int, user: str = "a", **changed: Any) -> dict[str, Any]:
    """Write a transaction as the API takes it."""
    return {
        "transaction_id": f"t{number}",
        "user_id": user,
        "transaction_amount": 10.5,
        "transaction_currency": "EUR",
        "transaction_date": "2026-11-01T12:00:00",
        **changed,
    }
