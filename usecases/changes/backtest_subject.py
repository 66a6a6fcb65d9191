"""The subject of a backtest, for readers of its report: the rulesets that it compares, and the inputs of their rules.

A report has the database's numbers; here they become names and versions.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy.orm import Session

from fivefold.domain.errors import NotFoundError
from fivefold.risk.compiler.analysis import analyse_canonical
from fivefold.risk.compiler.value_types import column_for, vocabulary
from fivefold.risk.engine.explain.describe import input_words
from fivefold.risk.language.fields import ValueType
from fivefold.risk.language.ruleset import Ruleset
from fivefold.store.accounts.organisation import base_currency_of
from fivefold.store.rulesets.backtests import backtest_numbered
from fivefold.store.rulesets.rulesets import rulesets_of_versions, versions_of
from fivefold.store.tables.entities import EntityType
from fivefold.store.tables.rulesets import Backtest, Family
from fivefold.usecases.shared.context import Context


@dataclass(frozen=True, kw_only=True)
class RulesetDecides:
    """A ruleset that decides before or after a change; `version` is None for an uncommitted text."""

    name: str
    version: int | None


@dataclass(frozen=True, kw_only=True)
class BacktestSubject:
    """The subject of a finished backtest.

    Attributes:
        entity_type: of the assessed entities.
        proposal: the number of its proposal; None for a ruleset's content.
        before: the rulesets that decided when it was run, in the order in which they were tried; for a ruleset's
            content, that ruleset.
        after: the rulesets that would decide.
        looked_at: the input of each rule, by the rule's id, with the currency of money; none for a proposal.
    """

    entity_type: str
    proposal: int | None
    before: tuple[RulesetDecides, ...]
    after: tuple[RulesetDecides, ...]
    looked_at: Mapping[str, str] = field(default_factory=dict)


def subject_of_backtest(context: Context, number: int) -> BacktestSubject:
    """Return the subject of a backtest; NotFoundError if no finished one has that number."""
    with context.reading() as session:
        row = backtest_numbered(session, context.organisation_id, number)
        if row.report is None:
            raise NotFoundError(f"there is no finished backtest {number}")
        entity_type, report = session.get_one(EntityType, row.type_id).name, json.loads(row.report)
        if row.family_id is None:
            before, after = (_decide(session, report["decides"][side]) for side in ("before", "after"))
            return BacktestSubject(entity_type=entity_type, proposal=row.proposal_id, before=before, after=after)
        family, present = session.get_one(Family, row.family_id), report["present_version"]
        return BacktestSubject(
            entity_type=entity_type,
            proposal=None,
            before=() if present is None else (RulesetDecides(name=family.name, version=present),),
            after=(RulesetDecides(name=family.name, version=_committed(session, family, row)),),
            looked_at=_looked_at(
                analyse_canonical(row.canonical).ruleset, base_currency_of(session, family.organisation_id)
            ),
        )


def _decide(session: Session, pairs: list[tuple[str, int]]) -> tuple[RulesetDecides, ...]:
    """Name versions by the numbers that people know."""
    rulesets = rulesets_of_versions(session, [version_id for _, version_id in pairs])
    return tuple(
        RulesetDecides(name=rulesets[version_id][0], version=rulesets[version_id][1])
        for _, version_id in pairs
        if version_id in rulesets
    )


def _committed(session: Session, family: Family, row: Backtest) -> int | None:
    same = (version.number for version in versions_of(session, family) if version.content_hash == row.content_hash)
    return max(same, default=None)


def _looked_at(ruleset: Ruleset, base: str) -> dict[str, str]:
    """Name the input of each rule that has a single one."""
    names, inputs = vocabulary(ruleset), {}
    for rule in ruleset.rules:
        if rule.input is not None:
            money = column_for(rule.input, names, base).kind is ValueType.MONEY
            currency = f" in {base}" if money and getattr(rule.input, "in_currency", None) is None else ""
            inputs[rule.id] = f"{input_words(rule.input)}{currency}"
    return inputs
