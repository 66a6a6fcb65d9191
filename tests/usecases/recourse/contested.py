"""Challenges of a customer at a bank, and what settles them, for the tests of their parts."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.domain.clock import now_microseconds
from fivefold.usecases.accounts.settings import lock_settings
from fivefold.usecases.levels.overrides import approve_override, request_override
from fivefold.usecases.portfolio.timeline import list_events
from fivefold.usecases.recourse.challenges import (
    ChallengeLine,
    open_challenge,
)
from fivefold.usecases.recourse.settlement import Settlement
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context
from tests.store.audits import findings_of
from tests.usecases import banks
from tests.usecases.banks import Bank

SAID = "I have not earned that since the spring."


WHY = "The tax return says so."


STANDS = Settlement(outcome="confirmed", reason=WHY)


RULES = {"country": banks.COUNTRY, "income": banks.INCOME, "watch": banks.WATCH, "screened": banks.SCREENED}


def written(engine: Engine) -> Bank:
    """A bank with a ruleset, so that levels may be overridden."""
    made = Bank(engine)
    with Session(engine) as session, session.begin():
        lock_settings(session, made.of, made.now)
    made.activate(banks.document(RULES))
    return made


def by(bank: Bank, number: int) -> Context:
    """Another member of the bank."""
    return Context(bank.engine, Actor(bank.of, f"member:{number}")).at(bank.now)


def numbered(bank: Bank, name: str = "a") -> str:
    return f"{bank.id_of(name)}.{bank.standing(name).number}"


def opened(bank: Bank, name: str = "a", words: str = SAID) -> ChallengeLine:
    return open_challenge(bank.context, numbered(bank, name), words)


def corrected(*facts: str) -> Settlement:
    return Settlement(outcome="corrected", reason=WHY, facts=facts)


def overridden(number: int) -> Settlement:
    return Settlement(outcome="overridden", reason=WHY, override=number)


def approved(bank: Bank, level: str = "high", name: str = "a") -> int:
    made = request_override(by(bank, 3), "customer", name, level, "We know them.")
    return approve_override(by(bank, 4), made.id).id


def findings(bank: Bank) -> list[Any]:
    return findings_of(bank.engine)


def as_of_today(bank: Bank) -> Context:
    """Look at the machine's time, which the audit log has, where replies stand: the bank's may be before it."""
    return bank.context.at(max(bank.now, now_microseconds()))


def of_timeline(bank: Bank, kinds: Sequence[str] = ("challenges",)) -> list[tuple[str, str, str | None, str]]:
    found = list_events(as_of_today(bank), "customer", "a", kinds=kinds)
    return [(event.kind, event.about, event.after, event.reason) for event in found]
