"""What a flow reads before its first step, resolved: one row for each entity, for itself and for each policy."""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from fivefold.flows.analysis import AnalysedFlow
from fivefold.risk.engine.assess import timed_entities
from fivefold.risk.facts.inputs import Needs
from fivefold.risk.facts.portfolio import ENTITY, ListVersion, Portfolio, members_at
from fivefold.risk.facts.resolution import lazy_sources, resolve_inputs


@dataclass(frozen=True, kw_only=True)
class FlowFacts:
    """What is known of n entities, before a flow begins.

    Attributes:
        own: `entity_id`, `as_of`, and a column for each of the flow's `fact_inputs`.
        policies: the same for each policy that it asks, by its name and in the same rows.
        versions: of the lists that it or a policy names.
    """

    own: pl.DataFrame
    policies: Mapping[str, pl.DataFrame]
    versions: Mapping[str, ListVersion]


def needs_of(analysed: AnalysedFlow) -> Needs:
    """Give what a flow reads of entities by itself."""
    return Needs(analysed.fact_inputs, (), analysed.names)


def resolve_facts(analysed: AnalysedFlow, portfolio: Portfolio, as_of: int) -> FlowFacts:
    """Resolve what a flow, and every policy that it asks, reads of entities.

    Args:
        analysed: the flow.
        portfolio: what is known of them; no entity twice.
        as_of: the moment (microseconds).

    Raises:
        InvalidRulesetError: the flow cannot be used, or something that it reads (a list, a frame) is missing.
    """
    analysed.require_usable()
    versions = members_at(portfolio.lists, analysed.lists_asked, as_of, analysed.references)
    members = {name: version.members for name, version in versions.items()}
    entities = timed_entities(portfolio, as_of)
    policies = {}
    for name in analysed.policies_asked:
        needs = Needs.of(analysed.policies[name])
        policies[name] = resolve_inputs(needs, portfolio, lazy_sources(needs, portfolio), members, entities)
    needs = needs_of(analysed)
    own = resolve_inputs(needs, portfolio, lazy_sources(needs, portfolio), members, entities)
    assert own[ENTITY].equals(entities[ENTITY])
    return FlowFacts(own=own, policies=policies, versions=versions)
