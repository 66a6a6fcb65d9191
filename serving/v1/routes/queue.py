"""The queue over HTTP: what waits, who works on it, and its named filters."""

from typing import Annotated

from pydantic import Field

from fivefold.domain.paging import Page
from fivefold.serving.v1.paging import PageQuery
from fivefold.serving.v1.route import RequestContext
from fivefold.serving.v1.schemas import LARGEST, WHOLE, MomentGiven, Names, ReasonIfAny, RequestModel, Text
from fivefold.store.queue.items import QueueOrder
from fivefold.usecases.queue import items, views
from fivefold.usecases.queue.items import QueueCount, QueueFilters, QueueItem
from fivefold.usecases.queue.views import QueueViewShown

Chosen = Annotated[Text, Field(max_length=200)]
ViewName = Annotated[Text, Field(min_length=1, max_length=60)]


class QueueQuery(RequestModel):
    """Which items; without a filter all that the role sees.

    `assigned`: mine, unassigned, or the number of a member. `level`: the present one. `flow`: that asks a
    question, or for a review; other items are left out. `since`: they came then or later.
    """

    kind: Names = ()
    assigned: Text = Field(default="", max_length=20)
    type: Text | None = None
    level: Names = ()
    flow: Text | None = None
    since: MomentGiven | None = None

    def filters(self, order: QueueOrder = QueueOrder.DUE) -> QueueFilters:
        """Return the filters as use cases take them."""
        return QueueFilters(
            kinds=self.kind,
            assigned=self.assigned,
            entity_type=self.type,
            levels=self.level,
            flow=self.flow,
            since_us=self.since,
            order=order,
        )


class PageOfQueue(PageQuery, QueueQuery):
    """Which items; without a filter all that the role sees.

    `order`: `due` has what is due first, `newest` what came last. `assigned`: mine, unassigned, or the number of a
    member. `level`: the present one. `flow`: that asks a question, or for a review; other items are left out.
    `since`: they came then or later.
    """

    order: QueueOrder = QueueOrder.DUE


class ItemGiven(RequestModel):
    """To whom an item is assigned, by number; nobody without one. `done` puts a rise away, or a review by a flow.

    `reason`: why a review counts as done.
    `revision` is that of the item as it was read.
    """

    revision: Annotated[int, Field(ge=0, le=LARGEST), WHOLE]
    assigned_to: Annotated[int, Field(ge=1, le=LARGEST), WHOLE] | None = None
    done: bool = False
    reason: ReasonIfAny = ""


def list_queue(context: RequestContext, query: PageOfQueue) -> Page[QueueItem]:
    """List what waits for a person, as far as the role sees it."""
    return items.list_items(context, context.role, query.filters(query.order), query.part)


def count_queue(context: RequestContext, query: QueueQuery) -> list[QueueCount]:
    """Count what waits for a person, by kind and by when it is due: overdue, `today` within 24 hours, or later."""
    return items.count_items(context, context.role, query.filters())


def change_queue_item(context: RequestContext, item: Text, body: ItemGiven) -> QueueItem | None:
    """Assign an item of the queue to a member or to nobody, or be done with a rise or a review.

    Nothing is answered where the item has left the queue by that. It is refused where another person changed it since.
    """
    changes = body.model_dump(include={"assigned_to", "done", "reason"})
    return items.change_item(context, context.role, item, body.revision, **changes)


class FiltersGiven(RequestModel):
    """What is shown; several kinds or levels have commas between them. `days`: it came in so many days before now."""

    kind: Chosen = ""
    assigned: Chosen = ""
    type: Chosen = ""
    level: Chosen = ""
    flow: Chosen = ""
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
