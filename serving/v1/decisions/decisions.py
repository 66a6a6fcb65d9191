"""Decisions on transactions: programs are told what to do, people what held, publishers everything."""

from typing import Any, Self

from pydantic import Field

from fivefold.domain.paging import Page
from fivefold.serving.v1.levels.levels import SEE_EVERYTHING, ValueSeen
from fivefold.serving.v1.paging import PageAsked
from fivefold.serving.v1.route import Asked
from fivefold.serving.v1.schemas import BigNumber, Given, Moment, Shown, Text
from fivefold.usecases.decisions import decide as decisions
from fivefold.usecases.decisions import read as decision_reading
from fivefold.usecases.decisions import read as decision_views
from fivefold.usecases.decisions.decide import DecisionMade
from fivefold.usecases.levels.read import Freshness
from fivefold.usecases.shared.actors import Role


class DecisionAsked(Given):
    """Which policy is to decide on whose transaction.

    The transaction has the fields of POST /v1/transactions; its number, date and state may be missing. It is not
    stored. `decision_key` is what you call this decision, by default the transaction's number: asked again under the
    same key, the policy gives the decision that it made. `freshness` is that of the level.
    """

    policy: Text
    type: Text = "customer"
    external_id: Text
    transaction: dict[str, Any]
    decision_key: Text | None = None
    freshness: Freshness = Field(default=Freshness.REFRESH, strict=False)


class PolicyNamed(Shown):
    """A version of a policy."""

    name: str
    version: int

    @classmethod
    def named(cls, pair: tuple[str, int]) -> Self:
        """Give the form of a name and a number."""
        return cls(name=pair[0], version=pair[1])


class RuleNamed(Shown):
    """A rule of a policy."""

    rule: str
    title: str


class DecisionForApps(Shown):
    """What is to be done.

    `repeated`: it was decided before, under the same key. `decided_by`: the rule whose action it is; null where no rule
    gave one. `unknown`: the rules of which it is not known whether they hold. All three null once it was erased.
    `stale_rates_days`: how old the newest exchange rate was when money was converted for it; null up to a week.
    """

    decision: int
    repeated: bool
    action: str
    policy: PolicyNamed
    at: Moment
    decided_by: RuleNamed | None
    unknown: list[RuleNamed] | None
    level: str | None
    stale_rates_days: int | None


class RuleSeen(Shown):
    """A rule that held, was suppressed, or of which it is unknown, and what it looked at."""

    title: str
    rationale: str | None
    outcome: str
    action: str | None
    values: list[ValueSeen]


class DecisionReasons(Shown):
    """What held; the other rules of a policy, its conditions and thresholds are not told."""

    line: str
    level: dict[str, Any]
    value: dict[str, Any] | None
    transaction: dict[str, Any]
    rules: list[RuleSeen]


class DecisionForPeople(DecisionForApps):
    """What is to be done, who asked, and why; `reasons` is null once they were erased."""

    actor: str
    reasons: DecisionReasons | None


class DecisionForPublishers(DecisionForPeople):
    """The same with the whole answer: every rule, what it asks, and every version that was involved."""

    answer: dict[str, Any] | None


class DecisionLine(Shown):
    """A decision as it is listed; `line` is empty once it was erased."""

    decision: int
    at: Moment
    action: str
    policy: PolicyNamed
    actor: str
    line: str


DecisionAnswer = DecisionForApps | DecisionForPeople | DecisionForPublishers


def decide(asked: Asked, body: DecisionAsked) -> DecisionAnswer:
    """Decide on a transaction by level, value and the transaction itself, and write the decision down."""
    made = decisions.decide(
        asked.engine,
        asked.actor,
        body.policy,
        body.type,
        body.external_id,
        body.transaction,
        body.freshness,
        body.decision_key,
        valuer=asked.valuer,
    )
    return _for(asked, made)


def read_decision(asked: Asked, decision: BigNumber) -> DecisionAnswer:
    """Tell a decision as it was made."""
    return _for(asked, decision_reading.read_decision(asked.engine, asked.actor, decision))


def _for(asked: Asked, made: DecisionMade) -> DecisionAnswer:
    """Give of a decision what the role of whoever asks is told."""
    known = _told(made)
    if asked.role is Role.APP:
        return DecisionForApps.model_validate(known)
    reasons = decision_views.view_decision(asked.engine, asked.actor, made.number)
    known |= {"actor": made.actor, "reasons": reasons, "answer": made.answer}
    return (DecisionForPublishers if asked.role in SEE_EVERYTHING else DecisionForPeople).model_validate(known)


def _told(made: DecisionMade) -> dict[str, Any]:
    answer = made.answer or {"rules": (), "decided_by": None, "level": {"level": None}}
    rules = {rule["rule"]: rule for rule in answer["rules"]}
    return {
        "decision": made.number,
        "repeated": made.repeated,
        "action": made.action,
        "policy": PolicyNamed.named(made.policy),
        "at": made.at_us,
        "decided_by": rules.get(answer["decided_by"]),
        "unknown": None if made.answer is None else [r for r in rules.values() if r["outcome"] == "unknown"],
        "level": answer["level"]["level"],
        "stale_rates_days": answer.get("stale_rates_days"),  # one that was made before has none
    }


def list_decisions(asked: Asked, type_: Text, external_id: Text, query: PageAsked) -> Page[DecisionLine]:
    """List the decisions on an entity's transactions, the latest first."""
    found = decision_reading.list_decisions(asked.engine, asked.actor, type_, external_id, query.part)
    return found.map(_line)


def _line(line: decision_reading.DecisionLine) -> DecisionLine:
    known = {name: getattr(line, name) for name in ("action", "actor", "line")}
    return DecisionLine(**known, decision=line.number, at=line.at_us, policy=PolicyNamed.named(line.policy))
