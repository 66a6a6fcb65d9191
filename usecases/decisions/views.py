"""What an investigator sees of a decision: the rules that held, or may have, and nothing of what else a policy asks.

As with levels: of a rule its title and rationale, the values that it looked at and what came of it, but no condition
and no threshold; of a rule that did not hold, nothing.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fivefold.risk.compiler.policy_checks import inputs_of_policy_rule
from fivefold.risk.compiler.value_types import vocabulary
from fivefold.risk.engine.explain.inputs import cuts_in
from fivefold.risk.engine.explain.policies import OUTCOMES
from fivefold.risk.engine.policy_program import Outcome, kept_policy
from fivefold.risk.language.inputs import key_of
from fivefold.risk.language.policy import Policy, PolicyRule
from fivefold.store.decisions.decisions import decision_numbered
from fivefold.store.sql.database import reachable
from fivefold.store.tables.events import Policy as PolicyRow
from fivefold.usecases.levels.explain import ValueSeen, value_seen
from fivefold.usecases.shared.actors import Actor


@dataclass(frozen=True)
class RuleSeen:
    """A rule that held, was suppressed, or of which it is unknown.

    Attributes:
        action: what it gave; None where it gave none.
        values: what it looked at; one that was unknown says so.
    """

    title: str
    rationale: str | None
    outcome: str
    action: str | None
    values: tuple[ValueSeen, ...]


@dataclass(frozen=True)
class DecisionSeen:
    """A decision without what the policy asks.

    Attributes:
        line: the decision in one line.
        level: where the entity stood.
        value: what the value model had said; None for nothing.
        transaction: what was decided on.
    """

    line: str
    level: Mapping[str, Any]
    value: Mapping[str, Any] | None
    transaction: Mapping[str, Any]
    rules: tuple[RuleSeen, ...]


def view_decision(engine: Engine, actor: Actor, number: int) -> DecisionSeen | None:
    """Give what may be seen of a decision; None once it was erased, NotThere where the organisation has none."""
    with reachable(), Session(engine) as session:
        found = decision_numbered(session, actor.organisation_id, number)
        if found.answer is None or found.inputs is None:
            return None
        policy = kept_policy(session.get_one(PolicyRow, found.policy_id).canonical)
        answer, kept = json.loads(found.answer), json.loads(found.inputs)
    told = zip(policy.rules, answer["rules"], strict=True)
    hidden = OUTCOMES[Outcome.NOT_HELD]
    rules = tuple(_seen(rule, said, policy, kept) for rule, said in told if said["outcome"] != hidden)
    return DecisionSeen(answer["line"], answer["level"], answer["value"], answer["transaction"], rules)


def _seen(rule: PolicyRule, said: Mapping[str, Any], policy: Policy, kept: Mapping[str, Any]) -> RuleSeen:
    cuts = cuts_in([rule.when] if rule.unless is None else [rule.when, rule.unless])
    names = vocabulary(policy)
    values = tuple(
        value_seen(made, kept["inputs"][key_of(made)], names, kept["base"], cuts.get(key_of(made), ()))
        for made in inputs_of_policy_rule(rule)
    )
    return RuleSeen(rule.title, rule.rationale, said["outcome"], said["action"], values)
