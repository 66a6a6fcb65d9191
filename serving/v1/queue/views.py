"""Named filters of the queue, over HTTP."""

from typing import Annotated

from pydantic import Field

from fivefold.serving.v1.route import RequestContext
from fivefold.serving.v1.schemas import RequestModel, Text
from fivefold.usecases.queue import views
from fivefold.usecases.queue.views import QueueViewShown

Chosen = Annotated[Text, Field(max_length=200)]
ViewName = Annotated[Text, Field(min_length=1, max_length=60)]


class FiltersGiven(RequestModel):
    """What is shown; several kinds or levels have commas between them. `days`: it came in so many days before now."""

    kind: Chosen = ""
    assigned: Chosen = ""
    type: Chosen = ""
    level: Chosen = ""
    days: Chosen = ""
    order: Chosen = ""


class ViewGiven(RequestModel):
    """A filter; `shared`: everybody of the organisation has it."""

    filters: FiltersGiven
    shared: bool = False


class WhichViews(RequestModel):
    """Of the organisation, or the member's own."""

    shared: Annotated[bool, Field(strict=False)] = False


def list_queue_views(context: RequestContext) -> list[QueueViewShown]:
    """List named filters of the queue: the member's own, then the organisation's."""
    return views.list_views(context)


def save_queue_view(context: RequestContext, name: ViewName, body: ViewGiven) -> QueueViewShown:
    """Keep a filter of the queue under a name."""
    return views.save_view(context, context.role, name, body.filters.model_dump(), shared=body.shared)


def remove_queue_view(context: RequestContext, name: ViewName, query: WhichViews) -> None:
    """Remove a named filter of the queue."""
    views.remove_view(context, context.role, name, shared=query.shared)
