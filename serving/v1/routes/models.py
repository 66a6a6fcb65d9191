"""Versions of the value model, and every change of the one that serves."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from fivefold.domain.paging import Page
from fivefold.models.comparison import VersionComparison
from fivefold.serving.v1.paging import PageQuery
from fivefold.serving.v1.route import RequestContext
from fivefold.serving.v1.schemas import LARGEST, WHOLE, Number, Reason, RequestModel, ResponseModel
from fivefold.usecases.changes.promotions import promote_by_member, roll_back_by_member
from fivefold.usecases.changes.proposals import ProposalLine
from fivefold.usecases.models import read
from fivefold.usecases.models.read import ModelVersionLine, PromotionLine
from fivefold.usecases.monitoring.realised import read as realised
from fivefold.usecases.monitoring.realised.read import RealisedLine
from fivefold.usecases.shared.api_fields import Moment, schema, shown_as


@schema("ModelVersionDetails")
@dataclass(frozen=True, kw_only=True)
class ModelVersionDetails(ModelVersionLine):
    """A version with what training stored beside it: the comparison on its window, and the model card."""

    judged_as_of_us: Annotated[
        Moment | None,
        shown_as("judged_as_of"),
        Field(
            description="The test as-of of the judged model, whose figures these are, where the version was learnt "
            "again from everything up to `test_as_of`; null where it was judged itself.",
        ),
    ]
    comparison: VersionComparison | None
    missing: Annotated[str, Field(description="Why there is no comparison; empty where there is one.")]
    card: Annotated[str | None, Field(description="The model card, in Markdown.")]


class PromotionGiven(RequestModel):
    """The version that is to serve, and why. `serving`: refused where another version serves than this one."""

    version: Annotated[int, Field(ge=1, le=LARGEST), WHOLE]
    reason: Reason
    force: bool = False
    serving: Annotated[int, Field(ge=1, le=LARGEST), WHOLE] | None = None


class ModelRollbackGiven(RequestModel):
    """Why. `serving`: refused where another version serves than this one."""

    reason: Reason
    serving: Annotated[int, Field(ge=1, le=LARGEST), WHOLE] | None = None


class ModelPromotionAsked(ResponseModel):
    """The promotion; or, where an organisation wants two people, the proposal.

    `warnings`: where the version gives money in another currency or over another horizon, and what reads it.
    """

    promotion: PromotionLine | None
    proposal: ProposalLine | None
    warnings: list[str]


@schema("ModelRollback")
@dataclass(frozen=True, kw_only=True)
class RollbackLine(PromotionLine):
    """A rollback; `warnings` are those of a promotion."""

    warnings: list[str]


def list_models(context: RequestContext, query: PageQuery) -> Page[ModelVersionLine]:
    """List the versions of the value model, the newest first."""
    return read.list_versions(context.registry, query.part)


def read_model(context: RequestContext, version: Number) -> ModelVersionDetails:
    """Show a version beside the one that it was judged against, as training stored it."""
    return ModelVersionDetails(**vars(read.read_version(context.registry, version)))


def list_realised(context: RequestContext, version: Number, query: PageQuery) -> Page[RealisedLine]:
    """List what a version predicted and what came, by day, the latest first; figures by segment and tenth."""
    return realised.list_realised(context, context.registry, version, query.part)


def list_promotions(context: RequestContext, query: PageQuery) -> Page[PromotionLine]:
    """List the changes of the version that serves, the latest first."""
    return read.list_promotions(context.registry, query.part)


def promote_model(context: RequestContext, body: PromotionGiven) -> ModelPromotionAsked:
    """Make a version the one that serves, as `fivefold promote` does; proposed where two people are needed."""
    with read.asking(context.registry) as registry:
        request = promote_by_member(
            context, read.present(registry), body.version, body.reason, force=body.force, serving=body.serving
        )
    done = None if request.promotion is None else read.promotion_line(request.promotion)
    return ModelPromotionAsked(promotion=done, proposal=request.proposal, warnings=list(request.warnings))


def roll_back_model(context: RequestContext, body: ModelRollbackGiven) -> RollbackLine:
    """Make the version that served before serve again, as `fivefold rollback` does."""
    with read.asking(context.registry) as registry:
        done, warnings = roll_back_by_member(context, read.present(registry), body.reason, serving=body.serving)
    return RollbackLine(**vars(read.promotion_line(done)), warnings=warnings)
