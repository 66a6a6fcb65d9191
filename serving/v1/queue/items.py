"""The queue over HTTP: what waits, and who works on it."""

from typing import Annotated

from pydantic import Field

from fivefold.domain.paging import Page
from fivefold.serving.v1.paging import PageQuery
from fivefold.serving.v1.portfolio.current_levels import Names
from fivefold.serving.v1.route import RequestContext
from fivefold.serving.v1.schemas import LARGEST, MomentGiven, RequestModel, Text
from fivefold.store.queue.items import QueueOrder
from fivefold.usecases.queue import items
from fivefold.usecases.queue.items import QueueCount, QueueFilters, QueueItem


class QueueQuery(RequestModel):
    """Which items; without a filter all that the role sees.

    `assigned`: mine, unassigned, or the number of a member. `level`: the present one. `since`: they came then or later.
    """

    kind: Names = ()
    assigned: Text = Field(default="", max_length=20)
    type: Text | None = None
    level: Names = ()
    since: MomentGiven | None = None

    def filters(self, order: QueueOrder = QueueOrder.DUE) -> QueueFilters:
        """Give the same for use cases."""
        return QueueFilters(
            kinds=self.kind,
            assigned=self.assigned,
            entity_type=self.type,
            levels=self.level,
            since_us=self.since,
            order=order,
        )


class PageOfQueue(PageQuery, QueueQuery):
    """Which items; without a filter all that the role sees.

    `order`: `due` has what is due first, `newest` what came last. `assigned`: mine, unassigned, or the number of a
    member. `level`: the present one. `since`: they came then or later.
    """

    order: QueueOrder = QueueOrder.DUE


class ItemGiven(RequestModel):
    """To whom an item is assigned, by number; nobody without one. `done` puts a rise away.

    `revision` is that of the item as it was read.
    """

    revision: int = Field(ge=0, le=LARGEST)
    assigned_to: Annotated[int, Field(ge=1, le=LARGEST)] | None = None
    done: bool = False


def list_queue(context: RequestContext, query: PageOfQueue) -> Page[QueueItem]:
    """List what waits for a person, as far as the role sees it."""
    return items.list_items(context, context.role, query.filters(query.order), query.part)


def count_queue(context: RequestContext, query: QueueQuery) -> list[QueueCount]:
    """Count what waits for a person, by kind and by when it is due."""
    return items.count_items(context, context.role, query.filters())


def change_queue_item(context: RequestContext, item: Text, body: ItemGiven) -> QueueItem | None:
    """Assign an item of the queue to a member or to nobody, or be done with a rise.

    Nothing is answered where the item has left the queue by that. It is refused where another person changed it since.
    """
    return items.change_item(context, context.role, item, body.revision, assigned_to=body.assigned_to, done=body.done)
