"""What a flow reads before its first step, resolved: one row for each entity, for itself and for all that it asks."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import polars as pl

from fivefold.flows.analysis import AnalysedFlow
from fivefold.flows.steps import RowContext
from fivefold.risk.compiler.analysis import VERSIONS_KEPT, Analysed, AnalysedRuleset
from fivefold.risk.engine.assess import timed_entities
from fivefold.risk.facts.inputs import Needs
from fivefold.risk.facts.portfolio import ENTITY, ListVersion, Portfolio, members_at
from fivefold.risk.facts.resolution import lazy_sources, resolve_inputs


@dataclass(frozen=True, kw_only=True)
class FlowFacts:
    """What is known of n entities, before a flow begins.

    Attributes:
        own: `entity_id`, `as_of`, a column for each of the flow's `fact_inputs`, and where the flow asks for the value,
            `MODEL_COLUMNS` as far as they are known.
        dependency_inputs: the same for everything that it asks, by the key of `AnalysedFlow.dependencies` and in the
            same rows.
        versions: of the lists that any of them names.
    """

    own: pl.DataFrame
    dependency_inputs: Mapping[str, pl.DataFrame]
    versions: Mapping[str, ListVersion]

    def asked_of(self, position: int, answers: Mapping[str, str | None] | None = None) -> RowContext:
        """Give what is asked of one entity, with the answers about it."""
        inputs = {key: frame.row(position, named=True) for key, frame in self.dependency_inputs.items()}
        return RowContext(inputs, answers or {})


MODEL_COLUMNS: Mapping[str, Any] = {"model": pl.String, "model_version": pl.Int64, "as_of_us": pl.Int64}
"""What of `Portfolio.values` says where the value comes from; columns of facts are named `value model`, and so on."""


@lru_cache(maxsize=VERSIONS_KEPT)
def needs_of(analysed: AnalysedFlow) -> Needs:
    """Give what a flow reads of entities by itself, once: what is made for it is kept with it."""
    return Needs(analysed.fact_inputs, (), analysed.names)


def resolve_facts(analysed: AnalysedFlow, portfolio: Portfolio, as_of: int, needs: Needs | None = None) -> FlowFacts:
    """Resolve what a flow, and everything that it asks, reads of entities.

    Args:
        analysed: the flow.
        portfolio: what is known of them; no entity twice.
        as_of: the moment (microseconds).
        needs: what is read of entities by the flow itself; more than that where its changed forms are tried as well.

    Raises:
        InvalidRulesetError: the flow cannot be used, or something that it reads (a list, a frame) is missing.
    """
    analysed.require_usable()
    versions = members_at(portfolio.lists, analysed.lists_asked, as_of, analysed.references_asked)
    members = {name: version.members for name, version in versions.items()}
    entities = timed_entities(portfolio, as_of)

    def resolved(one: Analysed[Any]) -> pl.DataFrame:
        own_portfolio = portfolio
        if isinstance(one, AnalysedRuleset):
            own_portfolio = portfolio.with_optional_parts(one.ruleset)
        read = needs_of(one) if isinstance(one, AnalysedFlow) else Needs.of(one)
        read = needs if one is analysed and needs is not None else read
        inputs = resolve_inputs(read, own_portfolio, lazy_sources(read, own_portfolio), members, entities)
        assert inputs[ENTITY].equals(entities[ENTITY])
        return _with_models(inputs, own_portfolio) if isinstance(one, AnalysedFlow) and one.asks_value else inputs

    inputs_by_key = {key: resolved(one) for key, one in analysed.dependencies.items()}
    return FlowFacts(own=resolved(analysed), dependency_inputs=inputs_by_key, versions=versions)


def _with_models(facts: pl.DataFrame, portfolio: Portfolio) -> pl.DataFrame:
    """Add what gave the value, and when, of those of whom that is known."""
    values = portfolio.values
    if values is None:
        return facts
    there = [name for name in MODEL_COLUMNS if name in values.columns]
    if not there:
        return facts
    of_each = values.select(ENTITY, *(pl.col(name).cast(MODEL_COLUMNS[name]).alias(f"value {name}") for name in there))
    return facts.join(of_each.unique(ENTITY, keep="first"), on=ENTITY, how="left", maintain_order="left")
