"""The facts that runs of a flow are made from: read for many entities at once, kept as text, and read back."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import polars as pl
from sqlalchemy import select
from sqlalchemy.orm import Session

from fivefold.domain.clock import from_microseconds
from fivefold.flows.analysis import AnalysedFlow
from fivefold.flows.facts import FlowFacts, needs_of, resolve_facts
from fivefold.risk.compiler.analysis import Analysed
from fivefold.risk.facts.inputs import part_of
from fivefold.risk.facts.look_back import RULES, LookBack
from fivefold.risk.facts.portfolio import AS_OF, ENTITY
from fivefold.store.accounts.organisation import base_currency_of
from fivefold.store.ingest.entities import known_as
from fivefold.store.levels import bulk_reads as loading
from fivefold.store.sql.arrays import among
from fivefold.store.sql.clocks import ahead_error
from fivefold.store.tables.entities import EntityType
from fivefold.store.tables.levels import Standing
from fivefold.usecases.decisions.inputs import level_row, levels_of_rows, read_pending_transaction
from fivefold.usecases.levels.content.inputs import inputs_frame, types_of
from fivefold.usecases.levels.groups.links import read_linked
from fivefold.usecases.levels.portfolio import parts_of, read_parts, transactions_frame, with_corrections
from fivefold.usecases.shared.entity_checks import FIELDS
from fivefold.usecases.shared.rates import rates_for

LookedAt = str | Mapping[str, Any] | None
"""The transaction that a run looks at: the number of a stored one, one as it was sent, or none."""
_OWN_PARTS: Final = frozenset({"levels", "pending"})
"""Parts of a portfolio that are made for runs."""


@dataclass(frozen=True, kw_only=True)
class FactsRead:
    """What was read of entities.

    Attributes:
        facts: a row for each.
        base: the currency that money is in.
    """

    facts: FlowFacts
    base: str

    def kept(self, position: int) -> dict[str, Any]:
        """Give what is to be kept of one entity, so that `facts_kept` reads it back."""
        return {
            "base": self.base,
            "lists": {name: version.since for name, version in sorted(self.facts.versions.items())},
            "own": _kept(self.facts.own, position),
            "asked": {key: _kept(frame, position) for key, frame in sorted(self.facts.asked.items())},
        }


def _kept(frame: pl.DataFrame, position: int) -> dict[str, Any]:
    columns = frame.select(sorted(set(frame.columns) - {ENTITY, AS_OF}))
    return {"inputs": columns.row(position, named=True) if columns.width else {}, "types": types_of(columns)}


def facts_kept(kept: Mapping[str, Any], as_of_us: int, entity_id: int) -> tuple[pl.DataFrame, dict[str, pl.DataFrame]]:
    """Read the facts of a run back: its own, and those of all that it asks by their keys, one row each."""
    entity = str(entity_id)
    asked = {key: inputs_frame(each, as_of_us, entity) for key, each in kept["asked"].items()}
    return inputs_frame(kept["own"], as_of_us, entity), asked


def read_facts(
    session: Session,
    organisation_id: int,
    type_id: int,
    analysed: AnalysedFlow,
    entities: Mapping[int, LookedAt],
    now_us: int,
) -> FactsRead:
    """Read everything that a flow, and all that it asks, read of entities, as of now.

    Args:
        session: to read with.
        organisation_id: whose entities they are.
        type_id: their type.
        analysed: the flow.
        entities: by number the transaction that is looked at.
        now_us: the present.

    Raises:
        InvalidRulesetError: something that is read is not there, such as a list.
    """
    asked: list[Analysed[Any]] = [analysed, *analysed.asked.values()]
    parts = set[str]().union(*map(_parts_of, asked)) - _OWN_PARTS
    ids = sorted(entities)
    back: dict[str, Any] = {"back": LookBack.of(asked), "rules": LookBack.of(asked, RULES)}
    linked = read_linked(session, type_id, ids, asked, now_us)
    base = base_currency_of(session, organisation_id)
    rates = rates_for(session, organisation_id, base, from_microseconds(now_us).date())
    whose = (organisation_id, type_id, ids)
    read = read_parts(session, *whose, parts, now_us, linked=linked, rates=rates, **back)
    pending = transactions_looked_at(session, organisation_id, type_id, entities, now_us)
    portfolio = replace(read, levels=levels_frame(session, ids, now_us), pending=pending)
    return FactsRead(facts=resolve_facts(analysed, portfolio, now_us), base=rates.base)


def _parts_of(analysed: Analysed[Any]) -> set[str]:
    """Give the parts of a portfolio that a flow reads by itself, or that a policy or a ruleset reads."""
    if not isinstance(analysed, AnalysedFlow):
        return set(parts_of(analysed))
    return {part for each in needs_of(analysed).facts if (part := part_of(each)) is not None}


def levels_frame(session: Session, entity_ids: Sequence[int], now_us: int) -> pl.DataFrame:
    """Give the levels of entities as flows read them; one that is dated after now has failed, and its age is unknown.

    Without a level for who was never assessed.
    """
    standings = {row.entity_id: row for row in session.scalars(_standings(session, entity_ids))}
    rows = []
    for entity in entity_ids:
        standing = standings.get(entity)
        ahead = standing is not None and ahead_error(session, standing.assessed_us, now_us) is not None
        rows.append(level_row(entity, standing, now_us, ahead=ahead))
    return levels_of_rows(rows)


def _standings(session: Session, entity_ids: Sequence[int]) -> Any:
    return select(Standing).where(among(session, Standing.entity_id, list(entity_ids)))


def transactions_looked_at(
    session: Session, organisation_id: int, type_id: int, entities: Mapping[int, LookedAt], now_us: int
) -> pl.DataFrame:
    """Give the transactions that runs look at, as they are known by now; none for one that was reversed."""
    wanted = {number for number in entities.values() if isinstance(number, str)}
    stored = loading.transactions_numbered(session, organisation_id, sorted(wanted))
    stored = stored.filter(pl.col("entity").is_in(list(entities)))
    about = sorted(set(stored["entity"].to_list()))
    if about:
        corrections = loading.corrections(session, about, for_value=False)
        stored = with_corrections(stored, corrections.filter(pl.col("known_us") <= now_us))
    declared = FIELDS.validate_python(session.get_one(EntityType, type_id).transaction_fields)
    names = {number: name for number, (name, *_) in known_as(session, sorted(entities)).items()}
    sent = [
        read_pending_transaction(given, declared, (number, names[number]), now_us).frame
        for number, given in entities.items()
        if isinstance(given, Mapping)
    ]
    return pl.concat([transactions_frame(stored, declared), *sent])


def facts_text(kept: Mapping[str, Any]) -> str:
    """Write facts as they are stored."""
    return json.dumps(kept, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
