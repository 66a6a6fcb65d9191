"""Decisions, what waits for a person, and the rulesets that decide."""

from datetime import datetime
from typing import Any

from fivefold.client.answers.base import Answer, ValueSeen, Version


class RuleNamed(Answer):
    """A rule of a policy."""

    rule: str
    title: str


class RuleSeen(Answer):
    """A rule that held, was suppressed, or of which it is unknown, and what it looked at."""

    title: str
    rationale: str | None
    outcome: str
    action: str | None
    values: tuple[ValueSeen, ...]


class DecisionReasons(Answer):
    """What held: the level, the value and the transaction that were looked at, and the rules."""

    line: str
    level: dict[str, Any]
    value: dict[str, Any] | None
    transaction: dict[str, Any]
    rules: tuple[RuleSeen, ...]


class Decision(Answer):
    """What is to be done with a transaction.

    A program's token sees what stands before `actor`, a publisher's everything; the rest is not in `model_fields_set`.

    Attributes:
        decision: its number.
        repeated: it was decided before, under the same `decision_key`.
        unknown: rules of which it was unknown whether they hold; None where that is not shown.
        answer: the whole answer with every version that was involved.
    """

    decision: int
    repeated: bool
    action: str
    policy: Version
    at: datetime
    decided_by: RuleNamed | None
    unknown: tuple[RuleNamed, ...] | None
    level: str | None
    stale_rates_days: int | None
    actor: str | None = None
    reasons: DecisionReasons | None = None
    answer: dict[str, Any] | None = None


class DecisionLine(Answer):
    """A decision as it is listed; `line` is empty once it was erased."""

    decision: int
    at: datetime
    action: str
    policy: Version
    actor: str
    line: str


class QueueItem(Answer):
    """Something that waits for a person.

    Attributes:
        run: of a question or a review by a flow; a question is answered with it (`flows.answer`).
        asks: of a question the role whose members answer.
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
    assessment: str | None
    asked_by: str | None
    run: int | None = None
    asks: str | None = None
    since: datetime
    due: datetime
    assigned_to: int | None
    assigned_name: str | None
    has_left: bool
    revision: int


class QueueCount(Answer):
    """How many items of a kind wait; `capped` where more wait than are counted."""

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
    """A committed version as it was written, and the results of its examples."""

    purpose: str
    document: str
    tests: dict[str, Any]
