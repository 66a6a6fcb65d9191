"""What the retention policy would remove now."""

from typing import Annotated

from fivefold.serving.v1.route import RequestContext
from fivefold.serving.v1.schemas import PLAIN, RequestModel, ResponseModel
from fivefold.usecases.erasure import retention
from fivefold.usecases.erasure.retention import RetentionLine

Days = Annotated[int, PLAIN]


class RetentionQuery(RequestModel):
    """Days of another policy to look at; those of the organisation where they are not given."""

    outbox_days: Days | None = None
    deliveries_days: Days | None = None
    reports_days: Days | None = None
    assessments_days: Days | None = None
    flows_days: Days | None = None


class RetentionShown(ResponseModel):
    """A line for each kind of rows."""

    kinds: list[RetentionLine]


def preview_retention(context: RequestContext, query: RetentionQuery) -> RetentionShown:
    """Show what the retention policy would remove now, and the last run of it; nothing is removed."""
    days = {name.removesuffix("_days"): number for name, number in query.model_dump().items()}
    return RetentionShown.of({"kinds": retention.preview_retention(context, days)})
