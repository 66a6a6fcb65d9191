"""Rulesets: families in order, drafts, versions. For publishers alone: they show every threshold."""

from typing import Annotated

from pydantic import Field

from fivefold.domain.paging import Page
from fivefold.risk.language.purposes import Purpose
from fivefold.serving.v1.errors import Place
from fivefold.serving.v1.paging import PageQuery
from fivefold.serving.v1.route import RequestContext
from fivefold.serving.v1.routes.changes import Proposed
from fivefold.serving.v1.schemas import (
    LARGEST,
    WHOLE,
    Number,
    Reason,
    ReasonIfAny,
    RequestModel,
    ResponseModel,
    Seen,
    Text,
)
from fivefold.store.rulesets.activations import PER_SECOND
from fivefold.usecases.changes import asks
from fivefold.usecases.rulesets import check as ruleset_checks
from fivefold.usecases.rulesets import commit as ruleset_commits
from fivefold.usecases.rulesets import drafts as rulesets
from fivefold.usecases.rulesets import read as ruleset_reading
from fivefold.usecases.rulesets import review as ruleset_reviews
from fivefold.usecases.rulesets.commit import Committed
from fivefold.usecases.rulesets.drafts import DraftSaved
from fivefold.usecases.rulesets.example_customer import EntityTried, try_text
from fivefold.usecases.rulesets.life_cycle import refuse_other_name
from fivefold.usecases.rulesets.read import DraftShown, FamilyLine, VersionLine, VersionView
from fivefold.usecases.rulesets.review import ExampleLine
from fivefold.usecases.shared.inputs import MOST_PER_SECOND

Rate = Annotated[
    int, Field(ge=1, le=MOST_PER_SECOND, description="Entities that are assessed again in a second"), WHOLE
]
Revision = Annotated[int, Field(ge=0, le=2**31 - 1), WHOLE]


class OfType(PageQuery):
    """Of which type of entity; of all where none is named."""

    type: Text | None = None


class DraftGiven(RequestModel):
    """A draft as it is written, in YAML or JSON, and the revision that was edited: 0 where there was no draft."""

    document: Text
    revision: Revision = 0


class DraftSeen(RequestModel):
    """The revision of the draft that was seen."""

    revision: Annotated[int, Field(ge=1, le=LARGEST), WHOLE]


class Review(ResponseModel):
    """Everything that is to be known of a draft before it is committed."""

    family: str
    revision: int
    content_hash: str | None
    errors: list[Place]
    warnings: list[Place]
    examples: list[ExampleLine]
    rules_percent: str
    cases_percent: str
    not_reached: list[str]


class TextGiven(RequestModel):
    """A ruleset as it is written, in YAML or JSON; nothing of it is stored."""

    document: Text


class TextPlace(Place):
    """The same with its column, where that is known."""

    column: int | None


class InputRead(ResponseModel):
    """What a part of a ruleset reads: by which path, what that was gathered for, and whether the part may read it."""

    source: str
    purpose: Purpose
    path: list[str] = Field(validation_alias="steps")
    allowed: bool = Field(validation_alias="is_allowed")


class TextReview(ResponseModel):
    """What a text comes to that is not saved, and what it changes in the version that decides, or in the newest.

    `purpose` is what the ruleset is for, null where it cannot be read; `readings` are what its rules read.
    """

    family: str | None
    content_hash: str | None
    purpose: Purpose | None
    readings: list[InputRead]
    errors: list[TextPlace]
    warnings: list[TextPlace]
    examples: list[ExampleLine]
    rules_percent: str
    cases_percent: str
    not_reached: list[str]
    compared_with: int | None
    changes: list["RulesetChange"]


class TryGiven(RequestModel):
    """An entity of the ruleset's type, and the text to try; null for the draft that is saved."""

    external_id: Text
    document: Text | None = None


class CommitGiven(RequestModel):
    """The revision that was looked at; and why it is committed although there are doubts, where there are."""

    revision: Revision
    accept_warnings: ReasonIfAny = ""


class ComparedWith(RequestModel):
    """The version that was before."""

    before: Number


class RulesetChange(ResponseModel):
    """One thing that differs, in words."""

    where: str
    sort: str
    before: str
    after: str


class Difference(ResponseModel):
    """Everything in which two versions differ."""

    before_hash: str
    after_hash: str
    changes: list[RulesetChange]


class OrderGiven(RequestModel):
    """All families of a type, in the order in which they are to be tried, and why."""

    families: list[Text] = Field(min_length=1)
    reason: Reason
    per_second: Rate = PER_SECOND


class SwitchGiven(RequestModel):
    """Whether a family is on, and why.

    `expected_active`: the number of the version that decided when this was looked at; what is not given is not checked.
    """

    on: bool
    reason: Reason
    per_second: Rate = PER_SECOND
    expected_active: Seen | None = None


def list_families(context: RequestContext, query: OfType) -> Page[FamilyLine]:
    """List the rulesets, by type in the order in which they are tried."""
    return ruleset_reading.list_families(context, query.type, query.part)


def save_draft(context: RequestContext, family: Text, body: DraftGiven) -> DraftSaved:
    """Save a draft; the first one of a name makes the ruleset. It may still be wrong."""
    refuse_other_name(body.document, "ruleset", family)
    return rulesets.save_draft(context, body.document, body.revision)


def read_draft(context: RequestContext, family: Text) -> DraftShown:
    """Show a draft as it was written."""
    return ruleset_reading.read_draft(context, family)


def discard_draft(context: RequestContext, family: Text, body: DraftSeen) -> None:
    """Take a draft away that was seen; the versions stay."""
    rulesets.discard_draft(context, family, body.revision)


def review_draft(context: RequestContext, family: Text) -> Review:
    """Look through a draft as committing it does: faults, doubts, examples and what they reach."""
    return Review.of(ruleset_reviews.review_draft(context, family))


def compare_draft(context: RequestContext, family: Text) -> Difference:
    """List every change from the version that decides, or from the newest where none does, to the draft."""
    return Difference.of(ruleset_checks.compare_draft(context, family))


def check_ruleset(context: RequestContext, body: TextGiven) -> TextReview:
    """Look through a text that is not saved, as committing it would: faults and doubts, examples, what it changes."""
    return TextReview.of(ruleset_checks.check_text(context, body.document))


def try_ruleset(context: RequestContext, family: Text, body: TryGiven) -> EntityTried:
    """Assess one entity by a draft, or by a text that is not saved, beside what the active version says."""
    return try_text(context, family, body.external_id, body.document)


def commit(context: RequestContext, family: Text, body: CommitGiven) -> Committed:
    """Make a version of a draft, which nothing changes any more. It must be without faults, tested and covered."""
    return ruleset_commits.commit(context, family, body.revision, body.accept_warnings)


def list_versions(context: RequestContext, family: Text, query: PageQuery) -> Page[VersionLine]:
    """List the versions of a ruleset, the newest first."""
    return ruleset_reading.list_versions(context, family, query.part)


def read_version(context: RequestContext, family: Text, number: Number) -> VersionView:
    """Show a version as it was written, and the results of its examples."""
    return ruleset_reading.read_version(context, family, number)


def compare_versions(context: RequestContext, family: Text, number: Number, query: ComparedWith) -> Difference:
    """List every change from one version to another."""
    difference = ruleset_reading.compare_versions(context, family, number, query.before)
    return Difference.of(difference)


def order_families(context: RequestContext, type_: Text, body: OrderGiven) -> Proposed:
    """Propose an order of the rulesets of a type: the first that applies decides."""
    outcome = asks.order_families(context, type_, body.families, body.reason, body.per_second)
    return Proposed.of(outcome)


def switch_family(context: RequestContext, family: Text, body: SwitchGiven) -> Proposed:
    """Propose to switch a ruleset on or off."""
    outcome = asks.switch_family(
        context, family, body.on, body.reason, body.per_second, expected_active=body.expected_active
    )
    return Proposed.of(outcome)
