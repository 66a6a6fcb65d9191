"""Inputs of a decision: the entity's level, value and facts, and the pending transaction.

The pending transaction is checked as one that is stored, but it is not stored.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

import polars as pl
from sqlalchemy.orm import Session

from fivefold.domain.canonical import canonical_json
from fivefold.domain.clock import DAY_US, from_microseconds, iso_text
from fivefold.domain.errors import InvalidDataError, Problem
from fivefold.domain.money import RateTable
from fivefold.features import schema as c
from fivefold.features.reading.columns import short_text
from fivefold.risk.compiler.analysis import analyse_canonical_policy
from fivefold.risk.engine.assessments import Status
from fivefold.risk.facts.inputs import Needs
from fivefold.risk.facts.look_back import RULES, look_back
from fivefold.risk.facts.portfolio import AS_OF, ENTITY, VALUE_CURRENCY, ListVersion, Portfolio, members_at
from fivefold.risk.facts.resolution import lazy_sources, resolve_inputs
from fivefold.risk.facts.value_inputs import with_failures
from fivefold.risk.language.expressions import VALUES
from fivefold.risk.language.fields import FieldType
from fivefold.risk.language.policy import Policy
from fivefold.store.accounts.organisation import base_currency_of
from fivefold.store.decisions import DecisionSubjects, EntityState
from fivefold.store.levels.levels import is_refreshing
from fivefold.store.sql.clocks import ahead_error
from fivefold.store.tables.entities import ValueScore
from fivefold.store.tables.levels import Standing
from fivefold.usecases.accounts.lists import lists_of
from fivefold.usecases.levels.content.inputs import types_of
from fivefold.usecases.levels.groups.links import read_linked
from fivefold.usecases.levels.portfolio import parts_of, read_parts, transaction_types, transactions_frame
from fivefold.usecases.levels.records import NEVER_ASSESSED
from fivefold.usecases.shared.entity_checks import FIELDS
from fivefold.usecases.shared.rates import rates_for, stale_days
from fivefold.usecases.shared.single_transaction import read_single
from fivefold.usecases.shared.transaction_columns import KNOWN, OWNERS, read_columns, transaction_frame

_UNNAMED = "unnamed"
"""The number of a transaction without one, while it is checked."""
_STATE = "PENDING"
"""The state of a transaction without one: it has not happened yet."""


@dataclass(frozen=True)
class PendingTransaction:
    """A pending transaction.

    Attributes:
        frame: one row, in the columns that the engine reads.
        answer_fields: the transaction as it is stored and returned: as text and exact numbers.
        transaction_id: its own number; None if it has none.
        is_dated: whether the caller sent its moment.
    """

    frame: pl.DataFrame
    answer_fields: Mapping[str, Any]
    transaction_id: str | None
    is_dated: bool

    @property
    def question(self) -> dict[str, Any]:
        """The transaction as part of the request, in one spelling: as stored, without a moment that is the call's."""
        return {name: value for name, value in self.answer_fields.items() if name != "at_us" or self.is_dated}


def digest_of_question(names: Sequence[str], question: Mapping[str, Any] | None) -> str:
    """Hash a request, so that a repeated call is recognised.

    Args:
        names: the type and id of the entity, for a decision after the name of the policy.
        question: the `PendingTransaction.question`; None without a transaction.
    """
    return sha256(canonical_json([*names, question]).encode()).hexdigest()


def read_pending_transaction(
    transaction: Mapping[str, Any],
    declared: Mapping[str, FieldType],
    entity: tuple[int, str],
    now_us: int,
) -> PendingTransaction:
    """Check a transaction in the columns of the API, and convert it to those of the engine.

    Without a date it happens now, and without a state it is pending. The balance, the channel and the account's age,
    which other calls send with it, are accepted and not used.

    Args:
        transaction: as the caller sent it.
        declared: the fields that the entity type declares for its transactions.
        entity: number and external id of its entity.
        now_us: the present moment.

    Raises:
        InvalidDataError: names every problem. An unknown field is one, since no rule would read it.
    """
    number, external_id = entity
    _refuse_strange(transaction, declared, external_id)
    there = {name: value for name, value in transaction.items() if value is not None}
    moment = from_microseconds(now_us).replace(tzinfo=None).isoformat()
    usual = {c.TRANSACTION_ID: _UNNAMED, c.DATE: moment, c.STATE: _STATE, OWNERS[0]: external_id}
    row = read_single({**usual, **there}, declared, now_us)
    if row is None:
        return _of_columns({**usual, **there}, declared, entity, now_us, there.keys())
    if c.TRANSACTION_ID not in there:
        row["transaction_id"] = None
    columns = {ENTITY: str(number), "time": row["at_us"], **{name: row[name] for name in declared}}
    columns |= {name: row[name] for name in ("transaction_id", "amount", "currency", "state")}
    types = transaction_types(declared)
    frame = pl.DataFrame([[columns[name] for name in types]], schema=types, orient="row")
    return PendingTransaction(frame, _stored_form(row), row["transaction_id"], c.DATE in there)


def _of_columns(
    transaction: Mapping[str, Any],
    declared: Mapping[str, FieldType],
    entity: tuple[int, str],
    now_us: int,
    there: Collection[str],
) -> PendingTransaction:
    """Read a transaction with the checks for many, which name every problem; without its own number it has none.

    *there* are the fields that the caller sent.
    """
    read = read_columns(transaction_frame([transaction], declared), declared, now_us, text=False)
    stored = read.hstack([pl.Series("entity", [entity[0]], dtype=pl.Int64)])
    if c.TRANSACTION_ID not in there:
        nothing = pl.Series("transaction_id", [None], dtype=pl.String)
        stored = stored.replace_column(stored.get_column_index("transaction_id"), nothing)
    row = stored.row(0, named=True)
    frame = transactions_frame(stored, declared)
    return PendingTransaction(frame, _stored_form(row), row["transaction_id"], c.DATE in there)


def _stored_form(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a transaction as it is stored: as text and exact numbers."""
    fields = {name: row[name] for name in ("transaction_id", "at_us", "currency", "state", "content")}
    return {**fields, "amount": repr(row["amount"])}


def _refuse_strange(transaction: Mapping[str, Any], declared: Mapping[str, FieldType], external_id: str) -> None:
    known_fields = (*KNOWN, *declared)
    problems = [
        Problem(0, name, "is not a field of it", ", ".join(known_fields))
        for name in transaction
        if name not in known_fields
    ]
    problems += [
        Problem(0, name, "is missing", "an amount and its currency")
        for name in (c.AMOUNT, c.CURRENCY)
        if transaction.get(name) is None
    ]
    problems += [
        Problem(0, name, f"is {short_text(transaction[name])}", f"{external_id}, whom it is decided on, or nothing")
        for name in OWNERS
        if transaction.get(name) is not None and transaction[name] != external_id
    ]
    if problems:
        raise InvalidDataError(problems)


def number_in(transaction: Mapping[str, Any]) -> Any:
    """Return a transaction's own number as it is stored: a whole number as its digits; None if it has none.

    >>> number_in({"transaction_id": 901}), number_in({"transaction_id": "901"}), number_in({})
    ('901', '901', None)
    """
    own = transaction.get(c.TRANSACTION_ID)
    return str(own) if type(own) is int else own


def decided_on(transactions: Mapping[int, Mapping[str, Any]]) -> list[tuple[int, str]]:
    """Return entity and number of the pending transactions that have a number, from one transaction by entity."""
    numbers = ((entity, number_in(transaction)) for entity, transaction in transactions.items())
    return [(entity, number) for entity, number in numbers if number is not None]


def rate_answer(rates: RateTable, currency: str) -> dict[str, Any]:
    """Return the rate at which an amount is converted to the base currency, and the day of that rate.

    Both are None for a currency without a rate, in which an amount is unknown in the base.
    """
    answer: dict[str, Any] = {"base": rates.base, "currency": currency, "day": None, "per_unit": None}
    if currency in rates.positions:
        answer |= {"day": rates.known_on(currency).isoformat(), "per_unit": repr(rates.per_unit(currency))}
    return answer


@dataclass(frozen=True, kw_only=True)
class DecisionInputs:
    """The inputs of a decision.

    Attributes:
        inputs: one row with a column for each input of the policy.
        versions: the versions of the named lists that it reads.
        base: the base currency.
        answer_parts: the parts that the answer repeats: the level and the value of the entity, the transaction, the
            rate, and the age of the newest rate if money is converted and it is too old.
        value_as_of_us: when the value was computed, or could not be; None if there is none.
        question: the `PendingTransaction.question`.
    """

    inputs: pl.DataFrame
    versions: Mapping[str, ListVersion]
    base: str
    answer_parts: Mapping[str, Any]
    value_as_of_us: int | None
    question: Mapping[str, Any]

    def to_stored(self) -> dict[str, Any]:
        """Return what to store, in the form that `usecases.levels.content.inputs.read_inputs` reads."""
        columns = self.inputs[sorted(set(self.inputs.columns) - {ENTITY, AS_OF})]
        return {
            "inputs": columns.row(0, named=True) if columns.width else {},
            "types": types_of(columns),
            "base": self.base,
            "lists": {name: version.since for name, version in self.versions.items()},
            "said": self.answer_parts,
        }


def load_decision_inputs(
    session: Session,
    canonical: str,
    parties: DecisionSubjects,
    point: EntityState,
    transaction: Mapping[str, Any],
    now_us: int,
) -> DecisionInputs:
    """Read everything that a policy reads, as of now.

    Args:
        session: to read with.
        canonical: the canonical form of the policy.
        parties: the entity of the transaction, its type, and the policy.
        point: the entity's level and value.
        transaction: the transaction as it was sent.
        now_us: the present.

    Raises:
        InvalidDataError: the transaction cannot be read.
        InvalidRulesetError: something that the policy reads is missing, such as a list.
    """
    analysed = analyse_canonical_policy(canonical)
    parts = parts_of(analysed) - _OWN_PARTS
    ahead = point.standing is not None and ahead_error(session, point.standing.assessed_us, now_us) is not None
    entity, value = parties.entity, point.value
    base, today = base_currency_of(session, entity.organisation_id), from_microseconds(now_us).date()
    rates = rates_for(session, entity.organisation_id, base, today)
    declared = FIELDS.validate_python(parties.kind.transaction_fields)
    pending = read_pending_transaction(transaction, declared, (entity.id, entity.external_id), now_us)
    whose = (entity.organisation_id, entity.type_id, [entity.id])
    linked = read_linked(session, entity.type_id, [entity.id], [analysed], now_us)
    options: dict[str, Any] = {"back": look_back(analysed), "rules": look_back(analysed, RULES)}
    lists = lists_of(session, entity.organisation_id, [analysed])
    options |= {"rates": rates, "linked": linked, "lists": lists, "pending": decided_on({entity.id: transaction})}
    read = read_parts(session, *whose, parts, now_us, **options)
    portfolio = replace(
        read,
        pending=pending.frame,
        levels=levels_of_rows([level_row(entity.id, point.standing, now_us, ahead=ahead)]),
        values=_values(entity.id, value),
    )
    versions = members_at(portfolio.lists, analysed.lists, now_us, analysed.references)
    needs = Needs.of(analysed)
    converts = pending.answer_fields["currency"] != base or _converts_stored(needs, portfolio)
    answers = {
        "level": _level_said(point, analysed.policy, now_us, ahead=ahead),
        "value": _value_said(value),
        "transaction": _transaction_answer(pending),
        "rate": rate_answer(rates, pending.answer_fields["currency"]),
        "stale_rates_days": stale_days(rates, today) if converts else None,
    }
    return DecisionInputs(
        inputs=_resolved(needs, portfolio, versions, now_us),
        versions=versions,
        base=rates.base,
        answer_parts=answers,
        value_as_of_us=None if value is None else value.as_of_us,
        question=pending.question,
    )


_OWN_PARTS = frozenset({"levels", "pending", "values"})
"""Parts of a portfolio that are made for each decision."""


def _converts_stored(needs: Needs, portfolio: Portfolio) -> bool:
    """Return whether an amount of a stored transaction is in another currency and is read in the base currency."""
    base, rows, histories = portfolio.rates.base, portfolio.transactions, portfolio.histories
    if histories is not None and bool((histories.currency != portfolio.rates.positions[base]).any()):
        return True
    return needs.converts and isinstance(rows, pl.DataFrame) and bool((rows["currency"] != base).any())


def _resolved(needs: Needs, portfolio: Portfolio, versions: Mapping[str, ListVersion], now_us: int) -> pl.DataFrame:
    members = {name: version.members for name, version in versions.items()}
    entities = portfolio.entities.hstack([pl.Series(AS_OF, [now_us], dtype=pl.Int64)])
    return resolve_inputs(needs, portfolio, lazy_sources(needs, portfolio), members, entities)


def level_row(entity_id: int, standing: Standing | None, now_us: int, *, ahead: bool) -> dict[str, Any]:
    """Return the level of an entity as policies and flows read it; one dated *ahead* is failed, and has no age."""
    row: dict[str, Any] = {ENTITY: str(entity_id)}
    if standing is not None:
        row |= {"in_force": standing.level, "rules": standing.rules_level, "status": _status(standing, ahead=ahead)}
        age = None if ahead else max(now_us - standing.assessed_us, 0) / DAY_US
        row |= {"source": standing.level_source, "age_days": age}
    return row


def levels_of_rows(rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """Return the part `levels` of a portfolio from rows of `level_row`."""
    return pl.DataFrame(rows, schema=_LEVELS)


_LEVELS: Mapping[str, Any] = {
    ENTITY: pl.String,
    "in_force": pl.Int64,
    "rules": pl.Int64,
    "status": pl.String,
    "source": pl.String,
    "age_days": pl.Float64,
}


def _values(entity_id: int, value: ValueScore | None) -> pl.DataFrame:
    row: dict[str, Any] = {ENTITY: str(entity_id)}
    if value is not None:
        row |= {name: getattr(value, name) for name in (*VALUES, VALUE_CURRENCY, "failure")}
    schema: dict[str, Any] = dict.fromkeys(VALUES, pl.Float64)
    schema |= {ENTITY: pl.String, "segment": pl.String, VALUE_CURRENCY: pl.String, "failure": pl.String}
    return with_failures(pl.DataFrame([row], schema=schema))


def _status(standing: Standing, *, ahead: bool) -> str:
    return Status.FAILED.value if ahead else standing.status


def _level_said(point: EntityState, policy: Policy, now_us: int, *, ahead: bool) -> dict[str, Any]:
    """Return the entity's level for the answer: the one in force, the one by the rules, and its source."""
    standing, names = point.standing, (None, *policy.levels)
    waits = point.is_behind or is_refreshing(point.mark, now_us, is_marked_later=point.is_marked_later)
    if standing is None:
        return {"status": NEVER_ASSESSED, "level": None, "rules_level": None, "assessment": None, "refreshing": waits}
    return {
        "level": names[standing.level or 0],
        "rules_level": names[standing.rules_level or 0],
        "status": _status(standing, ahead=ahead),
        "source": standing.level_source,
        "override": standing.override_id,
        "assessment": f"{standing.entity_id}.{standing.number}",
        "assessed_at": iso_text(standing.assessed_us),
        "ruleset": None
        if point.ruleset is None
        else {"name": point.ruleset, "version": point.version, "content_hash": point.content_hash},
        "refreshing": waits,
    }


def _value_said(value: ValueScore | None) -> dict[str, Any] | None:
    if value is None or value.score is None:
        return None
    return {
        "score": repr(value.score),
        "segment": value.segment,
        "expected_value": repr(value.expected_value),
        "currency": value.currency,
        "as_of": iso_text(value.as_of_us),
        "model": value.model,
        "model_version": value.model_version,
        "fingerprint": value.fingerprint,
    }


def _transaction_answer(pending: PendingTransaction) -> dict[str, Any]:
    fields = pending.answer_fields
    own = {} if fields["content"] is None else json.loads(fields["content"], parse_float=str)
    return {
        "transaction_id": fields["transaction_id"],
        "amount": fields["amount"],
        "currency": fields["currency"],
        "state": fields["state"],
        "time": iso_text(fields["at_us"]),
        "fields": own,
    }
