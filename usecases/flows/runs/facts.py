"""The facts of runs: read for many entities at once, stored as text, and read back."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

import polars as pl
from sqlalchemy import select
from sqlalchemy.orm import Session

from fivefold.domain.clock import from_microseconds, iso_text
from fivefold.flows.analysis import AnalysedFlow
from fivefold.flows.run import FlowFacts, needs_of, resolve_facts
from fivefold.risk.compiler.analysis import Analysed
from fivefold.risk.facts.inputs import part_of
from fivefold.risk.facts.look_back import RULES, LookBack
from fivefold.risk.facts.portfolio import AS_OF, ENTITY
from fivefold.risk.language.fields import FieldType
from fivefold.store.accounts.organisation import base_currency_of
from fivefold.store.flows.runs import present_entities
from fivefold.store.levels import bulk_reads as loading
from fivefold.store.rulesets.rulesets import rulesets_of_versions
from fivefold.store.sql.arrays import among_parameter
from fivefold.store.sql.clocks import ahead_error
from fivefold.store.tables.entities import EntityType
from fivefold.store.tables.flows import FlowRun
from fivefold.store.tables.levels import Standing
from fivefold.usecases.accounts.lists import lists_of
from fivefold.usecases.decisions.inputs import decided_on, level_row, levels_of_rows, read_pending_transaction
from fivefold.usecases.levels.content.inputs import inputs_frame, types_of
from fivefold.usecases.levels.groups.links import read_linked
from fivefold.usecases.levels.portfolio import parts_of, read_parts, transactions_frame, with_corrections
from fivefold.usecases.shared.entity_checks import FIELDS
from fivefold.usecases.shared.rates import rates_for

LookedAt = str | Mapping[str, Any] | None
"""The transaction that a run looks at: the number of a stored one, one as it was sent, or none."""


def transaction_about(run: FlowRun) -> LookedAt:
    """Return the number of the transaction that caused a run, or the one in its call, kept as JSON for its amount."""
    transaction = run.about.get("transaction")
    return run.about.get("transaction_id") if transaction is None else json.loads(transaction)


_OWN_PARTS: Final = frozenset({"levels", "pending"})
"""Parts of a portfolio that are made for runs."""


LevelsThen: TypeAlias = Callable[[Session, Sequence[int], int], pl.DataFrame]
"""Reads the levels of entities at a past moment, as a frame of `Portfolio`."""


@dataclass(frozen=True, kw_only=True)
class FactsRead:
    """The facts that were read of entities.

    Attributes:
        facts: a row for each entity.
        base: the currency that money is in.
        rests_on: by entity, named as in the facts, the sources of the level and the value that are read: the assessment
            with its ruleset, and the model. What is not read has no entry.
    """

    facts: FlowFacts
    base: str
    rests_on: Mapping[str, Mapping[str, Any]]

    def stored_form(self, position: int) -> dict[str, Any]:
        """Return what to store of one entity, so that `facts_kept` reads it back."""
        return {
            "base": self.base,
            "rests_on": self.rests_on.get(self.facts.own[ENTITY][position], {}),
            "lists": {name: version.since for name, version in sorted(self.facts.versions.items())},
            "own": _stored_row(self.facts.own, position),
            "asked": {key: _stored_row(frame, position) for key, frame in sorted(self.facts.dependency_inputs.items())},
        }


def _stored_row(frame: pl.DataFrame, position: int) -> dict[str, Any]:
    names = sorted(set(frame.columns) - {ENTITY, AS_OF})
    columns = frame[names] if names else pl.DataFrame()  # an empty list of names would select rows
    return {"inputs": columns.row(position, named=True) if columns.width else {}, "types": types_of(columns)}


def facts_kept(
    stored_facts: Mapping[str, Any], as_of_us: int, entity_id: int
) -> tuple[pl.DataFrame, dict[str, pl.DataFrame]]:
    """Read the facts of a run back: its own, and those of everything it asks by key, one row each."""
    entity = str(entity_id)
    asked_frames = {key: inputs_frame(each, as_of_us, entity) for key, each in stored_facts["asked"].items()}
    return inputs_frame(stored_facts["own"], as_of_us, entity), asked_frames


def read_facts(
    session: Session,
    organisation_id: int,
    type_id: int,
    analysed: AnalysedFlow,
    entities: Mapping[int, LookedAt],
    now_us: int,
    levels_then: LevelsThen | None = None,
) -> FactsRead:
    """Read everything that a flow, and all that it asks, need of entities, as of *now_us*.

    Args:
        session: to read with.
        organisation_id: the organisation of the entities.
        type_id: the type of the entities.
        analysed: the flow.
        entities: the transaction in question of each entity, by the entity's number.
        now_us: the present, or a past moment.
        levels_then: for a past moment, reads the levels; fields, values and screenings are then as known by it.

    Raises:
        InvalidRulesetError: something that is read is missing, such as a list.
    """
    all_analysed: list[Analysed[Any]] = [analysed, *analysed.dependencies.values()]
    everything = set[str]().union(*map(_parts_of, all_analysed))
    parts = everything - _OWN_PARTS
    ids = sorted(entities)
    linked = read_linked(session, type_id, ids, all_analysed, now_us)
    base = base_currency_of(session, organisation_id)
    rates = rates_for(session, organisation_id, base, from_microseconds(now_us).date())
    whose = (organisation_id, type_id, ids)
    kind, lists = session.get_one(EntityType, type_id), lists_of(session, organisation_id, all_analysed)
    options: dict[str, Any] = {"linked": linked, "rates": rates, "lists": lists}
    options |= {"back": LookBack.of(all_analysed), "rules": LookBack.of(all_analysed, RULES)}
    options["known_by_us"] = None if levels_then is None else now_us
    options["pending"] = decided_on({entity: call for entity, call in entities.items() if isinstance(call, Mapping)})
    read = read_parts(session, *whose, parts, now_us, **options)
    declared = FIELDS.validate_python(kind.transaction_fields)
    pending = transactions_looked_at(session, organisation_id, declared, entities, now_us)
    if levels_then is None:
        standings = standings_of(session, ids) if "levels" in everything else {}
        levels = levels_frame(session, ids, standings, now_us)
        rests_on = _rests_on(session, standings, read.values)
    else:
        levels, rests_on = levels_then(session, ids, now_us), {}
    facts = resolve_facts(analysed, replace(read, levels=levels, pending=pending), now_us)
    return FactsRead(facts=facts, base=rates.base, rests_on=rests_on)


def _rests_on(
    session: Session, standings: Mapping[int, Standing], values: pl.DataFrame | None
) -> dict[str, dict[str, Any]]:
    """Return the assessment behind each entity's level, with its ruleset, and the model behind its value."""
    version_ids = {row.version_id for row in standings.values() if row.version_id is not None}
    rulesets = rulesets_of_versions(session, sorted(version_ids)) if version_ids else {}
    origins_by_entity: dict[str, dict[str, Any]] = {}
    for entity, row in standings.items():
        ruleset, version = rulesets.get(row.version_id or 0, (None, None))
        level = {"assessment": f"{entity}.{row.number}", "ruleset": ruleset, "version": version}
        origins_by_entity[str(entity)] = {"level": level}
    for value_row in () if values is None else values.iter_rows(named=True):
        value = {
            "model": value_row["model"],
            "version": value_row["model_version"],
            "as_of": iso_text(value_row["as_of_us"]),
        }
        origins_by_entity.setdefault(value_row[ENTITY], {})["value"] = value
    return origins_by_entity


def _parts_of(analysed: Analysed[Any]) -> set[str]:
    """Return the parts of a portfolio that a flow reads by itself, or that a policy or a ruleset reads."""
    if not isinstance(analysed, AnalysedFlow):
        return set(parts_of(analysed))
    return {part for each in needs_of(analysed).facts if (part := part_of(each)) is not None}


def levels_frame(
    session: Session, entity_ids: Sequence[int], standings: Mapping[int, Standing], now_us: int
) -> pl.DataFrame:
    """Return the levels of entities as flows read them; one dated after now counts as failed, with unknown age.

    An entity that was never assessed has no level.
    """
    rows = []
    for entity in entity_ids:
        standing = standings.get(entity)
        ahead = standing is not None and ahead_error(session, standing.assessed_us, now_us) is not None
        rows.append(level_row(entity, standing, now_us, ahead=ahead))
    return levels_of_rows(rows)


_STANDINGS: Final = {
    dialect: select(Standing).where(among_parameter(dialect, Standing.entity_id, "ids"))
    for dialect in ("sqlite", "postgresql")
}


def standings_of(session: Session, entity_ids: Sequence[int]) -> dict[int, Standing]:
    """Read the standings of entities, without entities that were never assessed."""
    rows = session.scalars(_STANDINGS[session.get_bind().dialect.name], {"ids": list(entity_ids)})
    return {row.entity_id: row for row in rows}


def transactions_looked_at(
    session: Session,
    organisation_id: int,
    declared: Mapping[str, FieldType],
    entities: Mapping[int, LookedAt],
    now_us: int,
) -> pl.DataFrame:
    """Return the transactions that runs look at, as known by now, without reversed ones.

    *declared* are the fields that the entity type declares for transactions.
    """
    wanted = {number for number in entities.values() if isinstance(number, str)}
    with_calls = {number: transaction for number, transaction in entities.items() if isinstance(transaction, Mapping)}
    names = present_entities(session, with_calls) if with_calls else {}
    pending_frames = [
        read_pending_transaction(transaction, declared, (number, names[number]), now_us).frame
        for number, transaction in with_calls.items()
    ]
    if not wanted:
        return (
            pl.concat(pending_frames)
            if pending_frames
            else transactions_frame(loading.transactions_numbered(session, organisation_id, ()), declared)
        )
    stored = loading.transactions_numbered(session, organisation_id, sorted(wanted))
    stored = stored.filter(pl.col("entity").is_in(list(entities)))
    about = sorted(set(stored["entity"].to_list()))
    if about:
        corrections = loading.corrections(session, about, for_value=False)
        stored = with_corrections(stored, corrections.filter(pl.col("known_us") <= now_us))
    return pl.concat([transactions_frame(stored, declared), *pending_frames])


def facts_text(facts: Mapping[str, Any]) -> str:
    """Return facts as the text that is stored."""
    return json.dumps(facts, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
