"""Decisions, items that wait for a person, and rulesets."""

from datetime import datetime
from typing import Any

from fivefold.client.answers.base import Answer, InputSeen, Version


class RuleReference(Answer):
    """A rule of a policy."""

    rule: str
    title: str


class PolicyRuleOutcome(Answer):
    """A rule that held, was suppressed, or could not be evaluated, with the inputs that it read."""

    title: str
    rationale: str | None
    outcome: str
    action: str | None
    values: tuple[InputSeen, ...]


class DecisionReasons(Answer):
    """The reasons of a decision: the level, the value, the transaction, and the rules."""

    line: str
    level: dict[str, Any]
    value: dict[str, Any] | None
    transaction: dict[str, Any]
    rules: tuple[PolicyRuleOutcome, ...]


class Decision(Answer):
    """A decision on a transaction.

    A program's token sees the fields before `actor`; a publisher's sees all. Hidden fields are not in
    `model_fields_set`.

    Attributes:
        decision: its number.
        repeated: whether the decision was made earlier, under the same `decision_key`.
        unknown: rules that could not be evaluated; None if the token may not see them.
        status: of the level, as `Level.status`; None after it was erased.
        refreshing: whether the level was being recomputed because of newer events, or could not be for the decision;
            None after it was erased.
        answer: the whole answer with every version involved.
    """

    decision: int
    repeated: bool
    action: str
    policy: Version
    at: datetime
    decided_by: RuleReference | None
    unknown: tuple[RuleReference, ...] | None
    level: str | None
    status: str | None
    stale_rates_days: int | None
    refreshing: bool | None
    actor: str | None = None
    reasons: DecisionReasons | None = None
    answer: dict[str, Any] | None = None


class DecisionLine(Answer):
    """A decision in a list; `line` is empty after it was erased."""

    decision: int
    at: datetime
    action: str
    policy: Version
    actor: str
    line: str


class QueueItem(Answer):
    """An item that waits for a person.

    Attributes:
        version: the number of a version of a policy, a group, a ruleset or a flow that waits.
        run: of a question or a review by a flow; a question is answered with it (`flows.answer`).
        asks: the role whose members may answer a question.
    """

    item: str
    kind: str
    type: str | None
    external_id: str | None
    level: str | None
    from_level: str | None
    to_level: str | None
    reason: str
    about: str
    version: int | None = None
    assessment: str | None
    asked_by: str | None
    run: int | None = None
    asks: str | None = None
    since: datetime
    due: datetime
    assigned_to: int | None
    assigned_name: str | None
    has_left: bool
    sees_no_more: bool
    revision: int


class QueueCount(Answer):
    """The number of waiting items of a kind; `today` within 24 hours, `capped` if more wait than are counted."""

    kind: str
    overdue: int
    today: int
    later: int
    capped: bool


class Ruleset(Answer):
    """A ruleset and its versions; the first in order that applies to an entity decides."""

    name: str
    entity_type: str
    position: int
    enabled: bool
    active: int | None
    newest: int | None
    draft_revision: int | None


class RulesetVersionLine(Answer):
    """A committed version."""

    number: int
    content_hash: str
    active: bool
    editors: tuple[str, ...]
    committed_by: str
    committed_at: datetime


class RulesetVersion(RulesetVersionLine):
    """A committed version with its text and the results of its examples."""

    purpose: str
    document: str
    tests: dict[str, Any]
